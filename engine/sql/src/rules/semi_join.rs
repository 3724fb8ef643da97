//! Where duplicates do not matter, joins become semi-joins.
//!
//! `x IN (SELECT y.a FROM s JOIN t ... JOIN y ...)` asks whether a value is there, not how often. One airport of a year of
//! flights has three million walks of two edges to fewer than a hundred destinations: enumerating them is the
//! difference between milliseconds and minutes.
//!
//! **Where duplicates do not matter** (a *free* input): the right side of a LeftSemi, LeftAnti or LeftMark join, mirrored for the
//! Right ones; what DISTINCT reads; what an aggregation reads all of whose functions ignore duplicates. Freedom goes down through
//! projections, filters, sorts without a limit, aliases, unions and joins, as long as nothing in them is volatile, since
//! `random()` of a row is another for each of its duplicates, and nothing counts rows: LIMIT, windows and other
//! aggregations end it.
//!
//! **What is done there.**
//! 1. With freedom goes the set of columns that are needed above.
//! 2. Inner joins in a row are taken apart and put together again with semi-joins (`join_tree`).
//! 3. A LEFT JOIN of whose right side nothing is needed is its left side.
//!
//! DataFusion's `eliminate_join` does a part of this: it takes one join at a time, from the top, and only under DISTINCT and
//! semi-joins. What is asked for in the middle of a walk, at both of its ends, or by `count(DISTINCT ...)`, it leaves.
//!
//! A plan that comes back gives at least the needed columns by their names, and the same *set* of rows over them. A node that
//! goes by positions, a union for instance, gets all columns in their order (`Reducer::exact`). A plan outside of a free input keeps its schema.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality, Result};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, Join, LogicalPlan, Projection, Sort, SubqueryAlias, Union,
};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::duplicates::{ignores_duplicates, is_plain};
use super::is_reduction_on;
use super::join_tree::JoinTree;

/// Columns, by their qualified names.
pub(super) type Columns = HashSet<Column>;

/// See the module's header.
#[derive(Debug)]
pub(crate) struct SemiJoinReduction;

impl OptimizerRule for SemiJoinReduction {
    fn name(&self) -> &str {
        "semi_join_reduction"
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !is_reduction_on(config) || !plan.exists(|node| Ok(matches!(node, LogicalPlan::Join(_))))? {
            return Ok(Transformed::no(plan));
        }
        let mut reducer = Reducer { is_changed: false };
        let reduced = reducer.visit(plan.clone(), None)?;
        match reducer.is_changed {
            true => Ok(Transformed::yes(reduced)),
            false => Ok(Transformed::no(plan)),
        }
    }
}

pub(super) struct Reducer {
    pub is_changed: bool,
}

impl Reducer {
    /// The plan, reduced. `needed` is what a free input must give; None where duplicates matter.
    pub fn visit(&mut self, plan: LogicalPlan, needed: Option<&Columns>) -> Result<LogicalPlan> {
        let plan = plan
            .map_subqueries(|subquery| self.visit(subquery, None).map(Transformed::yes))?
            .data;
        match (plan, needed) {
            (LogicalPlan::Join(join), _) => self.join(join, needed),
            (LogicalPlan::Aggregate(aggregate), _) => self.aggregate(aggregate),
            (LogicalPlan::Distinct(Distinct::All(input)), _) => {
                let input = self.exact(Arc::unwrap_or_clone(input))?;
                Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(input))))
            }
            (LogicalPlan::Projection(projection), Some(needed)) if projection.expr.iter().all(is_plain) => {
                self.projection(projection, needed)
            }
            (LogicalPlan::Filter(filter), Some(needed)) if is_plain(&filter.predicate) => {
                let mut below = needed.clone();
                add_columns(&mut below, &filter.predicate);
                let input = self.visit(Arc::unwrap_or_clone(filter.input), Some(&below))?;
                Ok(LogicalPlan::Filter(Filter::try_new(filter.predicate, Arc::new(input))?))
            }
            (LogicalPlan::Sort(sort), Some(needed))
                if sort.fetch.is_none() && sort.expr.iter().all(|by| is_plain(&by.expr)) =>
            {
                let mut below = needed.clone();
                sort.expr.iter().for_each(|by| add_columns(&mut below, &by.expr));
                let input = self.visit(Arc::unwrap_or_clone(sort.input), Some(&below))?;
                let input = Arc::new(input);
                Ok(LogicalPlan::Sort(Sort { input, ..sort }))
            }
            (LogicalPlan::SubqueryAlias(alias), Some(needed)) => self.alias(alias, needed),
            (LogicalPlan::Union(union), Some(_)) => {
                let inputs = union.inputs.into_iter().map(|input| {
                    let input = self.exact(Arc::unwrap_or_clone(input))?;
                    Ok(Arc::new(input))
                });
                let inputs = inputs.collect::<Result<_>>()?;
                let schema = union.schema;
                Ok(LogicalPlan::Union(Union { inputs, schema }))
            }
            (other, _) => self.children(other),
        }
    }

    /// Beyond this node duplicates matter, or nothing is known of it.
    fn children(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        Ok(plan
            .map_children(|child| self.visit(child, None).map(Transformed::yes))?
            .data)
    }

    /// A free input that gives all columns in their order.
    fn exact(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let schema = plan.schema().clone();
        let columns = schema.columns();
        let all = columns.iter().cloned().collect();
        let reduced = self.visit(plan, Some(&all))?;
        if reduced.schema().columns() == columns {
            return Ok(reduced);
        }
        let columns = columns.into_iter().map(Expr::Column).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(
            columns,
            Arc::new(reduced),
        )?))
    }

    fn aggregate(&mut self, aggregate: Aggregate) -> Result<LogicalPlan> {
        let exprs = || aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
        let is_free = aggregate.aggr_expr.iter().all(ignores_duplicates) && exprs().all(is_plain);
        let input = Arc::unwrap_or_clone(aggregate.input.clone());
        let input = if is_free {
            let mut needed = Columns::new();
            exprs().for_each(|expr| add_columns(&mut needed, expr));
            self.visit(input, Some(&needed))?
        } else {
            self.visit(input, None)?
        };
        Ok(LogicalPlan::Aggregate(Aggregate::try_new_with_schema(
            Arc::new(input),
            aggregate.group_expr,
            aggregate.aggr_expr,
            aggregate.schema,
        )?))
    }

    fn projection(&mut self, projection: Projection, needed: &Columns) -> Result<LogicalPlan> {
        let outputs = projection.schema.columns();
        let is_needed = outputs.iter().map(|output| needed.contains(output));
        let mut kept: Vec<Expr> = projection
            .expr
            .iter()
            .zip(is_needed)
            .filter(|(_, is_needed)| *is_needed)
            .map(|(expr, _)| expr.clone())
            .collect();
        if kept.is_empty() {
            // EXISTS needs no column, but a row has one.
            kept.extend(projection.expr.into_iter().take(1));
        }
        let mut below = Columns::new();
        kept.iter().for_each(|expr| add_columns(&mut below, expr));
        let input = self.visit(Arc::unwrap_or_clone(projection.input), Some(&below))?;
        Ok(LogicalPlan::Projection(Projection::try_new(kept, Arc::new(input))?))
    }

    fn alias(&mut self, alias: SubqueryAlias, needed: &Columns) -> Result<LogicalPlan> {
        let inner = alias.input.schema().columns();
        let outer = alias.schema.columns();
        // Equal names are told apart by their order: such an alias keeps its input as it is.
        let names: HashSet<&str> = inner.iter().map(|column| column.name.as_str()).collect();
        let is_renaming = inner.iter().zip(&outer).all(|(inner, outer)| inner.name == outer.name);
        if names.len() != inner.len() || inner.len() != outer.len() || !is_renaming {
            return self.children(LogicalPlan::SubqueryAlias(alias));
        }
        let below = inner
            .into_iter()
            .zip(&outer)
            .filter(|(_, outer)| needed.contains(outer))
            .map(|(inner, _)| inner)
            .collect();
        let input = self.visit(Arc::unwrap_or_clone(alias.input), Some(&below))?;
        Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(
            Arc::new(input),
            alias.alias,
        )?))
    }

    fn join(&mut self, join: Join, needed: Option<&Columns>) -> Result<LogicalPlan> {
        let (left, right) = (join.left.schema().clone(), join.right.schema().clone());
        let exprs = || {
            join.on
                .iter()
                .flat_map(|(left, right)| [left, right])
                .chain(&join.filter)
        };
        if !exprs().all(is_plain) {
            return self.children(LogicalPlan::Join(join));
        }
        if let Some(needed) = needed {
            let is_of = |schema: &DFSchema| needed.iter().all(|column| schema.has_column(column));
            match join.join_type {
                JoinType::Left if is_of(&left) => {
                    self.is_changed = true;
                    return self.visit(Arc::unwrap_or_clone(join.left), Some(needed));
                }
                JoinType::Right if is_of(&right) => {
                    self.is_changed = true;
                    return self.visit(Arc::unwrap_or_clone(join.right), Some(needed));
                }
                JoinType::Inner if join.null_equality == NullEquality::NullEqualsNothing => {
                    if let Some(mut tree) = JoinTree::of(&join)?
                        && tree.reduce(needed)?
                    {
                        self.is_changed = true;
                        return tree.build(self, needed);
                    }
                }
                _ => {}
            }
        }
        let mut below = needed.cloned().unwrap_or_default();
        exprs().for_each(|expr| add_columns(&mut below, expr));
        let is_left_free = needed.is_some()
            || matches!(
                join.join_type,
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
            );
        let is_right_free = needed.is_some()
            || matches!(
                join.join_type,
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark
            );
        let mut side = |plan: Arc<LogicalPlan>, schema: &DFSchema, is_free: bool| {
            let of_side: Columns = below
                .iter()
                .filter(|column| schema.has_column(column))
                .cloned()
                .collect();
            self.visit(Arc::unwrap_or_clone(plan), is_free.then_some(&of_side))
        };
        let new_left = side(join.left.clone(), &left, is_left_free)?;
        let new_right = side(join.right.clone(), &right, is_right_free)?;
        let reduced = Join::try_new(
            Arc::new(new_left),
            Arc::new(new_right),
            join.on.clone(),
            join.filter.clone(),
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?;
        // A mark is named after the only table of the other side, and there may be another one only now.
        let is_mark = matches!(join.join_type, JoinType::LeftMark | JoinType::RightMark);
        if is_mark && reduced.schema.columns().last() != join.schema.columns().last() {
            return self.children(LogicalPlan::Join(join));
        }
        Ok(LogicalPlan::Join(reduced))
    }
}

/// Adds the columns that an expression names.
pub(super) fn add_columns(columns: &mut Columns, expr: &Expr) {
    columns.extend(expr.column_refs().into_iter().cloned());
}
