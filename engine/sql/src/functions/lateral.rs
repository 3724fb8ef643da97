//! `FROM t, LATERAL (SELECT unnest(f(t.x)))`: rows that each row of `t` gives, as an unnest of `t` itself.
//!
//! DataFusion plans a join whose right side refers to its left, and runs none where that side unnests. [`flatten`] computes the right side's
//! expressions over the rows of the left, which it carries along:
//!
//! ```text
//! Join                                  Projection: t.*, e.*
//!   Scan: t                               Projection: t.*, unnested AS value
//!   Subquery, alias e            ->         Unnest: list
//!     Projection: unnested AS value           Projection: t.*, f(t.x) AS list
//!       Unnest: list                            Scan: t
//!         Projection: f(outer t.x) AS list
//!           EmptyRelation
//! ```
//!
//! Left as it is planned: what has a FROM of its own, and an outer join with a condition.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, NullHandling, Result, ScalarValue, TableReference};
use datafusion::logical_expr::builder::unnest_with_options;
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Projection, Subquery, SubqueryAlias};

use super::retyped::recomputed;

/// The plan of a query without joins that are unnests.
///
/// # Errors
/// When a plan cannot be put together again.
pub fn flatten(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| match &plan {
        LogicalPlan::Join(join) => Ok(match flattened(join)? {
            Some(flat) => Transformed::yes(flat),
            None => Transformed::no(plan),
        }),
        _ => Ok(Transformed::no(plan)),
    })?;
    recomputed(rewritten)
}

fn flattened(join: &Join) -> Result<Option<LogicalPlan>> {
    let is_true = |expr: &Expr| matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _));
    let is_plain = join.on.is_empty() && join.filter.as_ref().is_none_or(is_true);
    if !is_plain || !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return Ok(None);
    }
    let (alias, inner) = match &*join.right {
        LogicalPlan::Subquery(Subquery { subquery, .. }) => (None, subquery),
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => match &**input {
            LogicalPlan::Subquery(Subquery { subquery, .. }) => (Some(alias.clone()), subquery),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let left = Left {
        plan: &join.left,
        columns: join.left.schema().columns(),
        keeps_all: join.join_type == JoinType::Left,
    };
    if !unnests(inner) {
        return Ok(None);
    }
    let Some(flat) = left.below(inner)? else {
        return Ok(None);
    };
    left.renamed(flat, inner, alias.as_ref()).map(Some)
}

fn unnests(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Unnest(_)) || plan.inputs().into_iter().any(unnests)
}

/// The left side of a join.
struct Left<'a> {
    plan: &'a Arc<LogicalPlan>,
    columns: Vec<Column>,
    /// A row stays where the right side has none for it.
    keeps_all: bool,
}

impl Left<'_> {
    /// A plan of the right side over the rows of the left; None where that cannot be.
    fn below(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let over = |input: &LogicalPlan| self.below(input);
        Ok(Some(match plan {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => LogicalPlan::clone(self.plan),
            LogicalPlan::Projection(projection) => {
                let Some(input) = over(&projection.input)? else {
                    return Ok(None);
                };
                let mut exprs: Vec<Expr> = self.columns.iter().cloned().map(Expr::Column).collect();
                for expr in &projection.expr {
                    exprs.push(self.resolved(expr.clone())?);
                }
                LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?)
            }
            LogicalPlan::Unnest(unnest) => {
                let Some(input) = over(&unnest.input)? else {
                    return Ok(None);
                };
                let mut options = unnest.options.clone();
                if self.keeps_all {
                    options = options.with_null_handling(NullHandling::PreserveAndExpandEmpty);
                }
                unnest_with_options(input, unnest.exec_columns.clone(), options)?
            }
            LogicalPlan::Filter(filter) if !self.keeps_all => {
                let Some(input) = over(&filter.input)? else {
                    return Ok(None);
                };
                let predicate = self.resolved(filter.predicate.clone())?;
                LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?)
            }
            _ => return Ok(None),
        }))
    }

    /// An expression of the right side with the left side's columns as its own.
    fn resolved(&self, expr: Expr) -> Result<Expr> {
        let resolved = expr.transform_up(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(_, column) if self.columns.contains(&column) => {
                    Transformed::yes(Expr::Column(column))
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(resolved.data)
    }

    /// The columns of the left, and those of the right by the alias.
    fn renamed(&self, flat: LogicalPlan, inner: &LogicalPlan, alias: Option<&TableReference>) -> Result<LogicalPlan> {
        let columns = flat.schema().columns();
        let own = columns.len() - inner.schema().fields().len();
        let names = inner.schema().fields().iter().map(|field| field.name());
        let mut exprs: Vec<Expr> = self.columns.iter().cloned().map(Expr::Column).collect();
        for (column, name) in columns.into_iter().skip(own).zip(names) {
            exprs.push(Expr::Column(column).alias_qualified(alias.cloned(), name));
        }
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(flat))?))
    }
}
