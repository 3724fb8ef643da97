//! `whole_row(t.*)`: a row of an item of FROM as one value, which the functions of JSON take.
//!
//! DataFusion has no such value: the call is planned with its star, and [`expand_rows`] then puts the columns in, which are known where
//! the plan is.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, exec_err};
use datafusion::functions::core::named_struct;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};

/// The name of the function.
pub const WHOLE_ROW: &str = "whole_row";

/// The function.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(WholeRow {
        signature: Signature::any(1, Volatility::Immutable),
    }))]
}

/// The plan of a query with the columns of its whole rows.
///
/// # Errors
/// When a plan cannot be put together again.
pub fn expand_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        let expanded = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expanded = expr.transform_up(|expr| Ok(expanded(expr, &schema)))?;
            Ok(match expanded.transformed {
                true => expanded.update_data(|expr| name.restore(expr)),
                false => expanded,
            })
        })?;
        match expanded.transformed {
            true => expanded.map_data(LogicalPlan::recompute_schema),
            false => Ok(expanded),
        }
    })?;
    if !rewritten.transformed {
        return Ok(rewritten.data);
    }
    let settled = rewritten
        .data
        .transform_up_with_subqueries(|plan| plan.recompute_schema().map(Transformed::yes))?;
    Ok(settled.data)
}

fn expanded(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::ScalarFunction(call) = &expr else {
        return Transformed::no(expr);
    };
    #[expect(deprecated, reason = "the planner makes it of t.* in a call")]
    let [Expr::Wildcard { qualifier, .. }] = &call.args[..] else {
        return Transformed::no(expr);
    };
    if call.name() != WHOLE_ROW {
        return Transformed::no(expr);
    }
    let own = schema.iter().filter(|(of, _)| {
        qualifier.is_none() || of.is_some_and(|of| Some(of.table()) == qualifier.as_ref().map(|q| q.table()))
    });
    let parts = own.flat_map(|(of, field)| {
        let column = Expr::Column(Column::new(of.cloned(), field.name()));
        [lit(field.name().clone()), column]
    });
    Transformed::yes(named_struct().call(parts.collect()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WholeRow {
    signature: Signature,
}

impl ScalarUDFImpl for WholeRow {
    fn name(&self) -> &str {
        WHOLE_ROW
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(Fields::empty()))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(WHOLE_ROW, self.return_type(&[])?, true)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("a whole row is taken apart when a query is planned")
    }
}
