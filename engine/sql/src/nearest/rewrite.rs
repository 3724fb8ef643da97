//! Finding the sorts that an index can serve.

use std::any::Any;
use std::sync::Arc;

use aion_base::id::IndexId;
use aion_catalog::descriptor::{IndexMethod, IndexState};
use aion_vector::Metric;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

use super::exec::{NearestExec, Search};
use super::followers::{Followers, metric};
use crate::functions::distance_metric;
use crate::table::ScanExec;

/// Operators that hand on the rows and columns of their input as they are.
const TRANSPARENT: &[&str] = &[
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "RepartitionExec",
];

/// The plan with a [`NearestExec`] above each sort that an index can serve.
///
/// # Errors
/// When a plan cannot be put together.
pub fn rewrite(plan: Arc<dyn ExecutionPlan>, followers: &Arc<Followers>) -> Result<Arc<dyn ExecutionPlan>> {
    let rewritten = plan.transform_down(|plan| {
        let Some((sort, limit)) = limited_sort(&plan) else {
            return Ok(Transformed::no(plan));
        };
        let Some(search) = search(sort, limit) else {
            return Ok(Transformed::no(plan));
        };
        let nearest = NearestExec::new(plan, search, followers.clone());
        Ok(Transformed::new(Arc::new(nearest), true, TreeNodeRecursion::Jump))
    })?;
    Ok(rewritten.data)
}

/// The sort of a plan that gives the first rows of an order, in one partition.
fn limited_sort(plan: &Arc<dyn ExecutionPlan>) -> Option<(&SortExec, usize)> {
    let any: &dyn Any = plan.as_ref();
    if let Some(merge) = any.downcast_ref::<SortPreservingMergeExec>() {
        let below: &dyn Any = merge.input().as_ref();
        let sort = below.downcast_ref::<SortExec>()?;
        return Some((sort, merge.fetch().or(sort.fetch())?));
    }
    let sort = any.downcast_ref::<SortExec>()?;
    let is_whole = plan.properties().output_partitioning().partition_count() == 1;
    Some((sort, sort.fetch().filter(|_| is_whole)?))
}

fn search(sort: &SortExec, limit: usize) -> Option<Search> {
    let first = sort.expr().first();
    if first.options.descending || first.options.nulls_first {
        return None;
    }
    let (metric_wanted, column, query) = distance(&first.expr, sort.input().as_ref())?;
    let (scan, position) = column;
    let table = &scan.plan().shape.descriptor;
    let column = table.columns.get(position)?;
    let index = table.indexes.iter().find(|index| {
        let serves = match index.method {
            IndexMethod::Hnsw { distance, .. } => metric(distance) == Some(metric_wanted),
            IndexMethod::Ordered => false,
        };
        let is_of_column = index.columns.first().is_some_and(|there| there.column == column.id);
        serves && is_of_column && index.state == IndexState::Readable
    })?;
    Some(Search {
        scan: scan.plan().id,
        share: scan.plan().share,
        table: table.clone(),
        index: (index.id, index.name.clone()),
        query,
        distance: first.expr.clone(),
        limit,
    })
}

/// A scan and a column of its table.
type ScannedColumn<'a> = (&'a ScanExec, usize);

/// What a distance is of: the metric, a table's column, and a vector that is the same for all rows.
fn distance<'a>(
    expr: &Arc<dyn PhysicalExpr>,
    input: &'a dyn ExecutionPlan,
) -> Option<(Metric, ScannedColumn<'a>, Arc<dyn PhysicalExpr>)> {
    let any: &dyn Any = expr.as_ref();
    if let Some(column) = any.downcast_ref::<Column>() {
        // Computed below: an alias.
        let (below, expr) = computed(input, column.index())?;
        return distance(&expr, below);
    }
    let call = any.downcast_ref::<ScalarFunctionExpr>()?;
    let metric = distance_metric(call.fun())?;
    let [left, right] = call.args() else {
        return None;
    };
    for (column, query) in [(left, right), (right, left)] {
        let any: &dyn Any = column.as_ref();
        let Some(column) = any.downcast_ref::<Column>() else {
            continue;
        };
        if is_of_rows(query) {
            continue;
        }
        return Some((metric, trace(input, column.index())?, query.clone()));
    }
    None
}

/// Whether an expression needs a row.
fn is_of_rows(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let has_column = expr.exists(|expr| {
        let any: &dyn Any = expr.as_ref();
        Ok(any.is::<Column>())
    });
    !matches!(has_column, Ok(false))
}

/// The expression that a column of the output is, and the input that it is over.
fn computed(plan: &dyn ExecutionPlan, index: usize) -> Option<(&dyn ExecutionPlan, Arc<dyn PhysicalExpr>)> {
    let any: &dyn Any = plan;
    if let Some(projection) = any.downcast_ref::<ProjectionExec>() {
        let expr = projection.expr().get(index)?.expr.clone();
        return Some((projection.input().as_ref(), expr));
    }
    if TRANSPARENT.contains(&plan.name()) {
        return computed(plan.children().into_iter().next()?.as_ref(), index);
    }
    None
}

/// The table's column that a column of the output is, through operators that keep or drop the table's rows one by one.
fn trace(plan: &dyn ExecutionPlan, index: usize) -> Option<ScannedColumn<'_>> {
    let any: &dyn Any = plan;
    if let Some(scan) = any.downcast_ref::<ScanExec>() {
        // A limit below the sort takes rows by another order.
        if scan.plan().limit.is_some() {
            return None;
        }
        return Some((scan, *scan.plan().projection.get(index)?));
    }
    if let Some(projection) = any.downcast_ref::<ProjectionExec>() {
        let expr: &dyn Any = projection.expr().get(index)?.expr.as_ref();
        return trace(projection.input().as_ref(), expr.downcast_ref::<Column>()?.index());
    }
    if let Some(filter) = any.downcast_ref::<FilterExec>() {
        if filter.fetch().is_some() {
            return None;
        }
        let index = projected(filter.projection().as_deref(), index)?;
        return trace(filter.input().as_ref(), index);
    }
    if let Some(join) = any.downcast_ref::<HashJoinExec>() {
        if join.fetch().is_some() {
            return None;
        }
        let index = projected(join.projection.as_deref(), index)?;
        return trace_join(join.left().as_ref(), join.right().as_ref(), *join.join_type(), index);
    }
    if let Some(join) = any.downcast_ref::<NestedLoopJoinExec>() {
        let index = projected(join.projection().as_deref(), index)?;
        return trace_join(join.left().as_ref(), join.right().as_ref(), *join.join_type(), index);
    }
    if let Some(join) = any.downcast_ref::<CrossJoinExec>() {
        return trace_join(join.left().as_ref(), join.right().as_ref(), JoinType::Inner, index);
    }
    if TRANSPARENT.contains(&plan.name()) && plan.fetch().is_none() {
        return trace(plan.children().into_iter().next()?.as_ref(), index);
    }
    None
}

fn projected(projection: Option<&[usize]>, index: usize) -> Option<usize> {
    match projection {
        Some(projection) => projection.get(index).copied(),
        None => Some(index),
    }
}

/// Through a join: on a side whose rows each stand or fall alone. A row of the other side must not appear because a
/// row of this one is missing.
fn trace_join<'a>(
    left: &'a dyn ExecutionPlan,
    right: &'a dyn ExecutionPlan,
    join_type: JoinType,
    index: usize,
) -> Option<ScannedColumn<'a>> {
    let left_columns = left.schema().fields().len();
    match join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => trace(left, index),
        JoinType::RightSemi | JoinType::RightAnti => trace(right, index),
        JoinType::Inner if index < left_columns => trace(left, index),
        JoinType::Inner => trace(right, index - left_columns),
        JoinType::Left if index < left_columns => trace(left, index),
        JoinType::Right if index >= left_columns => trace(right, index - left_columns),
        _ => None,
    }
}

/// An index by its id and name.
pub type NamedIndex = (IndexId, String);
