//! Plans whose expressions get other types than DataFusion gave them.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// A plan with the expressions of those nodes that `is_concerned` rewritten, each with the columns that it may name; names stay. What stands
/// above gets the new types. It changes the types of columns, so it comes before anybody asks for them.
///
/// # Errors
/// Those of `rewrite`; when a plan cannot be put together again.
pub fn retyped(
    plan: LogicalPlan,
    is_concerned: impl Fn(&LogicalPlan) -> bool,
    rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| match is_concerned(&plan) {
        true => retyped_node(plan, &rewrite),
        false => Ok(Transformed::no(plan)),
    })?;
    recomputed(rewritten)
}

/// Rewrites the expressions of one node; each keeps the name that it had.
///
/// # Errors
/// Those of `rewrite`; when the node cannot be put together again.
pub fn map_named(
    plan: LogicalPlan,
    mut rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(rewrite(expr)?.update_data(|expr| name.restore(expr)))
    })
}

/// As [`retyped`], one node alone: what stands above it is the caller's.
///
/// # Errors
/// Those of `rewrite`; when the node cannot be put together again.
pub fn retyped_node(
    plan: LogicalPlan,
    rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let rewritten = map_named(plan, |expr| rewrite(expr, &schema))?;
    match rewritten.transformed {
        true => rewritten.map_data(LogicalPlan::recompute_schema),
        false => Ok(rewritten),
    }
}

/// A plan some nodes of which got other types; what stands above them gets these too.
///
/// # Errors
/// When a plan cannot be put together again.
pub fn recomputed(rewritten: Transformed<LogicalPlan>) -> Result<LogicalPlan> {
    if !rewritten.transformed {
        return Ok(rewritten.data);
    }
    let settled = rewritten
        .data
        .transform_up_with_subqueries(|plan| plan.recompute_schema().map(Transformed::yes))?;
    Ok(settled.data)
}
