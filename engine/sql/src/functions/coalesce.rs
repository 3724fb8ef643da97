//! `coalesce` of documents, intervals, times of day, arrays and enums, whose literals are such, too: DataFusion has no type that bytes and a text have in common.

use std::sync::Arc;

use aion_catalog::SqlType;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions::core::coalesce::CoalesceFunc;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::branches::one_list;
use super::enumeration::enum_of;
use super::interval::INTERVAL;

/// The function.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(Coalesce {
        inner: CoalesceFunc::new(),
    }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Coalesce {
    inner: CoalesceFunc,
}

impl ScalarUDFImpl for Coalesce {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_text = |given: &DataType| matches!(given, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let of_enum = types.iter().find(|given| enum_of(given).is_some()).cloned();
        for own in [DataType::LargeBinary, INTERVAL, SqlType::TIME.to_arrow()]
            .into_iter()
            .chain(of_enum)
        {
            let is_open = |given: &DataType| *given == own || given.is_null() || is_text(given);
            if types.contains(&own) && types.iter().all(is_open) {
                return Ok(vec![own.clone(); types.len()]);
            }
        }
        if let Some(list) = one_list(types.iter()) {
            return Ok(vec![list.clone(); types.len()]);
        }
        self.inner.coerce_types(types)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, context)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }
}
