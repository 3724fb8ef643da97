//! `whole_row(t.*)`: a row of an item of FROM as one value, which the functions of JSON take.
//!
//! DataFusion has no such value: the call is planned with its star, and [`expand_rows`] then puts names and columns in, which are known
//! where the plan is. It is a record whose fields say what they are: `named_struct` would forget which are json.

use std::sync::Arc;

use datafusion::arrow::array::StructArray;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};

use super::retyped::retyped;

/// The name of the function.
pub const WHOLE_ROW: &str = "whole_row";

/// The function.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(WholeRow {
        signature: Signature::variadic_any(Volatility::Immutable),
    }))]
}

/// The plan of a query with the columns of its whole rows.
///
/// # Errors
/// When a plan cannot be put together again.
pub fn expand_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    retyped(
        plan,
        |_| true,
        |expr, schema| expr.transform_up(|expr| Ok(expanded(expr, schema))),
    )
}

fn expanded(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    if let Expr::WindowFunction(window) = &mut expr
        && let [Expr::ScalarFunction(call)] = &window.params.partition_by[..]
        && call.name() == WHOLE_ROW
    {
        // A row as a whole is none that rows can be sorted by; its columns are, behind the name of each.
        window.params.partition_by = call.args.iter().skip(1).step_by(2).cloned().collect();
        return Transformed::yes(expr);
    }
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
    Transformed::yes(call.func.call(parts.collect()))
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

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let pairs = args
            .arg_fields
            .chunks_exact(2)
            .zip(args.scalar_arguments.chunks_exact(2));
        let parts = pairs.map(|(fields, scalars)| {
            let name = scalars[0]
                .and_then(|name| name.try_as_str().flatten())
                .unwrap_or_default();
            fields[1].as_ref().clone().with_name(name).with_nullable(true)
        });
        let parts = Fields::from_iter(parts);
        Ok(Arc::new(Field::new(WHOLE_ROW, DataType::Struct(parts), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return exec_err!("a whole row is a record");
        };
        let parts = args.args.chunks_exact(2).map(|pair| pair[1].to_array(args.number_rows));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let record = StructArray::try_new_with_length(fields.clone(), parts, None, args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(record)))
    }
}
