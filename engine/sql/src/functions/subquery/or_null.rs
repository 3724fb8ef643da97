//! Scalar subqueries that may have no row, and are NULL then.
//!
//! To DataFusion one is as nullable as its column: `coalesce((SELECT id FROM t WHERE id = 9), 7)` was NULL, `(SELECT 5 WHERE false) IS NULL`
//! false, and a column that was made of one an error. [`mark_nullable`] wraps those in a function that gives what it is given, and may give NULL.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Subquery, Volatility,
};

use crate::functions::retyped::retyped;

/// What marks a subquery that may have no row: it takes anything, and gives it back.
pub const OR_NULL_FUNCTION: &str = "aion_or_null";

static OR_NULL: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::from(OrNull {
        signature: Signature::any(1, Volatility::Immutable),
    }))
});

/// See the module's header. It comes before anybody asks for the columns of the plan.
///
/// # Errors
/// When a plan cannot be put together again.
pub fn mark_nullable(plan: LogicalPlan) -> Result<LogicalPlan> {
    let has_subqueries = |plan: &LogicalPlan| plan.expressions().iter().any(has_unmarked);
    retyped(plan, has_subqueries, |expr, _| expr.transform_down(marked))
}

fn has_unmarked(expr: &Expr) -> bool {
    let found = expr.exists(|expr| Ok(matches!(expr, Expr::ScalarSubquery(subquery) if may_surprise(subquery))));
    found.unwrap_or(false)
}

fn marked(expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::ScalarSubquery(subquery) if may_surprise(&subquery) => {
            let call = OR_NULL.call(vec![Expr::ScalarSubquery(subquery)]);
            Transformed::new(call, true, TreeNodeRecursion::Jump)
        }
        // What was marked before.
        Expr::ScalarFunction(ScalarFunction { ref func, .. }) if func.name() == OR_NULL.name() => {
            Transformed::new(expr, false, TreeNodeRecursion::Jump)
        }
        expr => Transformed::no(expr),
    })
}

/// Whether a subquery may be NULL where DataFusion says that it is not.
fn may_surprise(subquery: &Subquery) -> bool {
    let plan = &subquery.subquery;
    let is_never_null = plan.schema().fields().first().is_some_and(|field| !field.is_nullable());
    is_never_null && !has_a_row(plan)
}

/// Whether a plan gives a row whatever there is: it is an aggregate without groups.
fn has_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_a_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_a_row(&alias.input),
        LogicalPlan::Sort(sort) => sort.fetch.is_none() && has_a_row(&sort.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(relation) => relation.produce_one_row,
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OrNull {
    signature: Signature,
}

impl ScalarUDFImpl for OrNull {
    fn name(&self) -> &str {
        OR_NULL_FUNCTION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [one] => Ok(one.clone()),
            _ => exec_err!("{} has one argument", self.name()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [one] => Ok(Arc::new(one.as_ref().clone().with_nullable(true))),
            _ => exec_err!("{} has one argument", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(value) => Ok(value),
            None => exec_err!("{} has one argument", self.name()),
        }
    }
}
