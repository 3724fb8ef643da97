//! Whether a column of a query is a literal, which takes the type of where it goes.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// Whether all that the column at a place has are literals in quotes and NULLs.
pub fn is_open(plan: &LogicalPlan, at: usize) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => {
            let expr = projection.expr.get(at);
            expr.is_some_and(|expr| is_open_expr(expr, &projection.input))
        }
        LogicalPlan::Values(values) => values
            .values
            .iter()
            .all(|row| row.get(at).is_some_and(|expr| is_open_expr(expr, plan))),
        LogicalPlan::Union(union) => union.inputs.iter().all(|input| is_open(input, at)),
        LogicalPlan::SubqueryAlias(alias) => is_open(&alias.input, at),
        LogicalPlan::Sort(sort) => is_open(&sort.input, at),
        LogicalPlan::Limit(limit) => is_open(&limit.input, at),
        LogicalPlan::Filter(filter) => is_open(&filter.input, at),
        LogicalPlan::Distinct(Distinct::All(input)) => is_open(input, at),
        _ => false,
    }
}

/// As [`is_open`], of an expression over what a plan gives.
pub fn is_open_expr(expr: &Expr, input: &LogicalPlan) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Utf8(_), metadata) => metadata.is_none(),
        Expr::Literal(value, _) => value.data_type() == DataType::Null,
        Expr::Placeholder(_) => true,
        Expr::Alias(alias) => is_open_expr(&alias.expr, input),
        Expr::Column(column) => {
            let place = input.schema().maybe_index_of_column(column);
            place.is_some_and(|at| is_open(input, at))
        }
        _ => false,
    }
}
