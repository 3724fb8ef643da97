//! `greatest`, `least` and `nullif` with literals beside intervals, arrays and enums, for which DataFusion has no common type. What they choose is in
//! `json::order`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::kernels::arity::unary;
use datafusion::arrow::compute::kernels::cmp::eq;
use datafusion::arrow::compute::nullif;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type};
use datafusion::common::Result;
use datafusion::functions::core;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::compute::{INTERVAL, is_interval};
use crate::functions::branches::one_list;
use crate::functions::enumeration::enum_of;

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let chosen = |inner: Arc<ScalarUDF>| {
        Arc::new(ScalarUDF::from(Chosen {
            inner,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    };
    vec![chosen(core::greatest()), chosen(core::least()), chosen(core::nullif())]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Chosen {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Chosen {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let of_enum = given.iter().find(|given| enum_of(given).is_some());
        if let Some(own) = of_enum
            && given
                .iter()
                .all(|given| given == own || given.is_null() || given.is_string())
        {
            return Ok(vec![own.clone(); given.len()]);
        }
        let is_open = |given: &DataType| is_interval(given) || given.is_null() || given.is_string();
        if given.iter().any(is_interval) && given.iter().all(is_open) {
            return Ok(vec![INTERVAL; given.len()]);
        }
        if let Some(list) = one_list(given.iter()) {
            return Ok(vec![list.clone(); given.len()]);
        }
        let field = |given: &DataType| Arc::new(Field::new("", given.clone(), true));
        let given: Vec<FieldRef> = given.iter().map(field).collect();
        let fields = fields_with_udf(&given, self.inner.as_ref())?;
        Ok(fields.iter().map(|field| field.data_type().clone()).collect())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [value, other] if self.name() == "nullif" && value.data_type().is_floating() => {
                unless_equal(value, other, args.number_rows)
            }
            _ => self.inner.invoke_with_args(args),
        }
    }
}

/// `nullif` of floats: -0 is 0, which Arrow's order of all floats tells apart.
fn unless_equal(value: &ColumnarValue, other: &ColumnarValue, rows: usize) -> Result<ColumnarValue> {
    let values = value.to_array(rows)?;
    let equal = eq(&without_sign(&values)?, &without_sign(&other.to_array(rows)?)?)?;
    Ok(ColumnarValue::Array(nullif(&values, &equal)?))
}

/// Floats with 0 in the place of -0.
fn without_sign(floats: &ArrayRef) -> Result<ArrayRef> {
    Ok(match floats.data_type() {
        DataType::Float64 => Arc::new(unary::<_, _, Float64Type>(
            floats.as_primitive::<Float64Type>(),
            |float| float + 0.0,
        )),
        DataType::Float32 => Arc::new(unary::<_, _, Float32Type>(
            floats.as_primitive::<Float32Type>(),
            |float| float + 0.0,
        )),
        _ => floats.clone(),
    })
}
