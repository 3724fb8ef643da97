//! `json_build_object` and `json_build_array`: values as JSON.
//!
//! Numbers and booleans are themselves, json is put in as it is, all else is a string of its text.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::SqlType;
use datafusion::arrow::array::{ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::time_zone::{label, session_zone};
use crate::cells::{Cells, canonical};
use crate::error::wrap;

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let build = |name, is_object| {
        let signature = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]);
        Arc::new(ScalarUDF::from(Build {
            name,
            is_object,
            signature: Signature::new(signature, Volatility::Immutable),
        }))
    };
    vec![build("json_build_object", true), build("json_build_array", false)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Build {
    name: &'static str,
    /// Keys and values in turn.
    is_object: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Build {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(SqlType::Json.to_arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if self.is_object && !args.arg_fields.len().is_multiple_of(2) {
            return Err(wrap(
                Error::invalid(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "argument list must have even number of elements",
                )
                .with_hint("The arguments of json_build_object() must consist of alternating keys and values."),
            ));
        }
        Ok(Arc::new(SqlType::Json.to_field(self.name, false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = session_zone(&args.config_options);
        let mut columns: Vec<(ArrayRef, SqlType)> = Vec::with_capacity(args.args.len());
        for (value, field) in args.args.iter().zip(&args.arg_fields) {
            let sql_type = SqlType::from_field(field).map_err(wrap)?;
            let array = canonical(&value.to_array(args.number_rows)?, sql_type).map_err(wrap)?;
            let array = label(&array, zone);
            columns.push((array, sql_type));
        }
        let cells: Option<Vec<_>> = columns
            .iter()
            .map(|(array, sql_type)| Some((Cells::of(array, *sql_type)?, *sql_type)))
            .collect();
        let cells = cells.ok_or_else(|| wrap(Error::internal("canonical cells are cells")))?;
        let mut texts = StringBuilder::new();
        for row in 0..args.number_rows {
            texts.append_value(self.row(&cells, row)?);
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

impl Build {
    fn row(&self, cells: &[(Cells<'_>, SqlType)], row: usize) -> Result<String> {
        let (open, close) = if self.is_object { ('{', '}') } else { ('[', ']') };
        let mut out = String::from(open);
        let mut text = String::new();
        for (at, (cells, sql_type)) in cells.iter().enumerate() {
            let is_key = self.is_object && at % 2 == 0;
            if at > 0 {
                out.push_str(if self.is_object && !is_key { " : " } else { ", " });
            }
            text.clear();
            if cells.is_null(row) {
                if is_key {
                    return Err(wrap(Error::invalid(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("argument {}: key must not be null", at + 1),
                    )));
                }
                out.push_str("null");
                continue;
            }
            cells.write_text(row, &mut text);
            let is_bare = match sql_type {
                SqlType::SmallInt | SqlType::Integer | SqlType::BigInt | SqlType::Numeric { .. } | SqlType::Json => {
                    true
                }
                // JSON has no infinity.
                SqlType::Real | SqlType::Double => text.parse::<f64>().is_ok_and(f64::is_finite),
                _ => false,
            };
            match sql_type {
                SqlType::Boolean if !is_key => out.push_str(if text == "t" { "true" } else { "false" }),
                _ if is_bare && !is_key => out.push_str(&text),
                _ => push_string(&text, &mut out),
            }
        }
        out.push(close);
        Ok(out)
    }
}

/// Appends a text as a JSON string.
fn push_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
