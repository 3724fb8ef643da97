//! `to_json`, `json_build_object`, `json_build_array`, `row_to_json` and what jsonb has of them.

use std::borrow::Cow;
use std::sync::Arc;

use aion_base::Error;
use aion_catalog::SqlType;
use aion_catalog::json::{Jsonb, Tree, write_string};
use datafusion::arrow::array::{ArrayRef, LargeBinaryBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::super::time_zone::session_zone;
use super::invalid_parameter;
use super::values::Values;
use crate::error::wrap;

/// What is built of the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    /// The one argument; NULL is NULL.
    Value,
    /// Keys and values in turn.
    Object,
    Array,
    /// A key and a value as a member, to be gathered.
    Member,
}

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let build = |name, shape, sql_type| {
        let any = TypeSignature::VariadicAny;
        let signature = match shape {
            Shape::Value => TypeSignature::Any(1),
            Shape::Member => TypeSignature::Any(2),
            Shape::Object | Shape::Array => TypeSignature::OneOf(vec![TypeSignature::Nullary, any]),
        };
        Arc::new(ScalarUDF::from(Build {
            name,
            shape,
            sql_type,
            signature: Signature::new(signature, Volatility::Stable),
        }))
    };
    vec![
        build("json_build_object", Shape::Object, SqlType::Json),
        build("json_build_array", Shape::Array, SqlType::Json),
        build("jsonb_build_object", Shape::Object, SqlType::Jsonb),
        build("jsonb_build_array", Shape::Array, SqlType::Jsonb),
        build("to_json", Shape::Value, SqlType::Json),
        build("to_jsonb", Shape::Value, SqlType::Jsonb),
        build("row_to_json", Shape::Value, SqlType::Json),
        build("array_to_json", Shape::Value, SqlType::Json),
        // What aggregates gather.
        build("json_item", Shape::Value, SqlType::Json),
        build("jsonb_item", Shape::Value, SqlType::Jsonb),
        build("json_member", Shape::Member, SqlType::Json),
        build("jsonb_member", Shape::Member, SqlType::Jsonb),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Build {
    name: &'static str,
    shape: Shape,
    sql_type: SqlType,
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
        Ok(self.sql_type.to_arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if self.shape == Shape::Object && !args.arg_fields.len().is_multiple_of(2) {
            let error = invalid_parameter("argument list must have even number of elements").with_hint(format!(
                "The arguments of {}() must consist of alternating keys and values.",
                self.name
            ));
            return Err(wrap(error));
        }
        Ok(Arc::new(self.sql_type.to_field(self.name, self.shape == Shape::Value)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = session_zone(&args.config_options);
        let are_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if are_scalar { 1 } else { args.number_rows };
        let mut columns = Vec::with_capacity(args.args.len());
        for (value, field) in args.args.iter().zip(&args.arg_fields) {
            columns.push(Values::new(&value.to_array(rows)?, field, zone).map_err(wrap)?);
        }
        let array = self.all(&columns, rows).map_err(wrap)?;
        match are_scalar {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

impl Build {
    fn all(&self, columns: &[Values], rows: usize) -> aion_base::Result<ArrayRef> {
        let is_null = |row| self.shape == Shape::Value && columns.iter().all(|column| column.is_null(row));
        if self.sql_type == SqlType::Jsonb {
            let mut documents = LargeBinaryBuilder::new();
            for row in 0..rows {
                match is_null(row) {
                    true => documents.append_null(),
                    false => documents.append_value(self.document(columns, row)?.as_bytes()),
                }
            }
            return Ok(Arc::new(documents.finish()));
        }
        let mut texts = StringBuilder::new();
        let mut text = String::new();
        for row in 0..rows {
            if is_null(row) {
                texts.append_null();
                continue;
            }
            text.clear();
            self.write(columns, row, &mut text)?;
            texts.append_value(&text);
        }
        Ok(Arc::new(texts.finish()))
    }

    fn document(&self, columns: &[Values], row: usize) -> aion_base::Result<Jsonb> {
        match self.shape {
            Shape::Value => {
                let value = columns
                    .first()
                    .ok_or_else(|| Error::internal("to_jsonb takes an argument"))?;
                value.tree(row)?.encode()
            }
            Shape::Array => {
                let elements = columns.iter().map(|column| column.tree(row));
                Tree::Array(elements.collect::<aion_base::Result<_>>()?).encode()
            }
            Shape::Object | Shape::Member => {
                let members = columns.chunks_exact(2).enumerate().map(|(at, pair)| {
                    let key = self.key(&pair[0], row, 2 * at + 1)?;
                    Ok((Cow::Owned(key), pair[1].tree(row)?))
                });
                Tree::Object(members.collect::<aion_base::Result<_>>()?).encode()
            }
        }
    }

    fn write(&self, columns: &[Values], row: usize, out: &mut String) -> aion_base::Result<()> {
        let (open, close) = match self.shape {
            Shape::Value | Shape::Member => ("", ""),
            Shape::Object => ("{", "}"),
            Shape::Array => ("[", "]"),
        };
        out.push_str(open);
        for (at, column) in columns.iter().enumerate() {
            let (is_keyed, is_even) = (
                matches!(self.shape, Shape::Object | Shape::Member),
                at.is_multiple_of(2),
            );
            if at > 0 {
                out.push_str(if is_keyed && !is_even { " : " } else { ", " });
            }
            match is_keyed && is_even {
                true => write_string(&self.key(column, row, at + 1)?, out),
                false => column.write(row, out)?,
            }
        }
        out.push_str(close);
        Ok(())
    }

    fn key(&self, column: &Values, row: usize, number: usize) -> aion_base::Result<String> {
        if !column.is_null(row) {
            return column.key(row);
        }
        Err(match (self.shape, self.sql_type) {
            (Shape::Member, _) => invalid_parameter("field name must not be null"),
            (_, SqlType::Jsonb) => invalid_parameter(format!("argument {number}: key must not be null")),
            _ => {
                invalid_parameter(format!("argument {number} cannot be null")).with_hint("Object keys should be text.")
            }
        })
    }
}
