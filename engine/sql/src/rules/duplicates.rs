//! What duplicates do to expressions, aggregates and plans.

use std::any::Any;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, JoinType};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::table::Table;

/// Whether an expression gives the same for equal rows, and can be told from the row alone.
pub(super) fn is_plain(expr: &Expr) -> bool {
    let is_more = expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        ))
    });
    matches!(is_more, Ok(false)) && !expr.is_volatile()
}

/// Whether an aggregate is the same with and without duplicates in its input.
pub(super) fn ignores_duplicates(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => ignores_duplicates(&alias.expr),
        Expr::AggregateFunction(aggregate) => match aggregate.func.name() {
            "min" | "max" | "bool_and" | "bool_or" | "bit_and" | "bit_or" => true,
            // Of no others is it certain that DISTINCT is all that they know of duplicates and order.
            "count" | "sum" | "avg" => aggregate.params.distinct,
            _ => false,
        },
        _ => false,
    }
}

/// Whether equal values of a type are the same value: a zero of a float has two signs.
pub(super) fn is_exact(data_type: &DataType) -> bool {
    !data_type.is_floating() && !data_type.is_nested()
}

/// Columns that tell all rows of a plan apart, where that is known.
pub(super) fn unique_columns(plan: &LogicalPlan) -> Option<Vec<Column>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok()?;
            let provider: &dyn Any = &*provider;
            let columns = provider.downcast_ref::<Table>()?.primary_key()?;
            let columns = columns.map(|name| Column::new(Some(scan.table_name.clone()), name));
            within(columns.collect(), plan)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = alias.input.schema().columns();
            let outer = alias.schema.columns();
            let outside = |column: &Column| {
                let at = inner.iter().position(|there| there == column)?;
                outer.get(at).cloned()
            };
            unique_columns(&alias.input)?.iter().map(outside).collect()
        }
        LogicalPlan::Filter(filter) => unique_columns(&filter.input),
        LogicalPlan::Projection(projection) => within(unique_columns(&projection.input)?, plan),
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) => {
            unique_columns(&join.left)
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.aggr_expr.is_empty() => Some(aggregate.schema.columns()),
        _ => None,
    }
}

/// The columns, if the plan gives all of them under these names, unchanged.
fn within(columns: Vec<Column>, plan: &LogicalPlan) -> Option<Vec<Column>> {
    let is_there = |column: &Column| match plan {
        LogicalPlan::Projection(projection) => projection
            .expr
            .iter()
            .any(|expr| matches!(expr, Expr::Column(there) if there == column)),
        _ => plan.schema().has_column(column),
    };
    columns.iter().all(is_there).then_some(columns)
}
