//! `pg_typeof(any)`: the type of an expression, by the name that PostgreSQL writes.
//!
//! A literal in quotes is text here, where PostgreSQL says `unknown`.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::SqlType;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::wrap;
use crate::response::ResultType;

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(TypeOf {
        signature: Signature::any(1, Volatility::Immutable),
    }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TypeOf {
    signature: Signature,
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &str {
        "pg_typeof"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(field) = args.arg_fields.first() else {
            return Err(wrap(Error::not_found(
                SqlState::UNDEFINED_FUNCTION,
                "function pg_typeof() does not exist",
            )));
        };
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(type_name(field)))))
    }
}

fn type_name(field: &Field) -> String {
    let name = match ResultType::of(field) {
        Some(ResultType::Oid) => "oid",
        Some(ResultType::OidArray) => "oid[]",
        Some(ResultType::Name) => "name",
        Some(ResultType::Char) => "\"char\"",
        Some(ResultType::Int2Vector) => "int2vector",
        Some(ResultType::OidVector) => "oidvector",
        None => match (field.data_type(), SqlType::from_field(field)) {
            (DataType::Null, _) => "unknown",
            (DataType::Interval(_), _) => "interval",
            (_, Ok(sql_type)) => return sql_type.base_name().to_owned(),
            (other, Err(_)) => return other.to_string(),
        },
    };
    name.to_owned()
}
