//! Casts of jsonb: to text, numbers and booleans, and those that there are not.
//!
//! Arrow would take the bytes of a document for those of the other type. Text as jsonb is the type's input, and so that of all types
//! (`text_in`).

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::json::{JsonbRef, Node};
use aion_catalog::{SqlType, Value};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::check::check_cast;
use super::side::Side;
use crate::error::wrap;
use crate::session::scalar;

/// A cast from or to jsonb as a function.
///
/// # Errors
/// 42846 for one that there is not.
pub fn read(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Cast(Cast { expr: inner, field }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let Ok(from) = inner.get_type(schema) else {
        return Ok(Transformed::no(expr));
    };
    let (is_from, is_to) = (
        from == DataType::LargeBinary,
        *field.data_type() == DataType::LargeBinary,
    );
    if is_from == is_to || from == DataType::Null {
        return Ok(Transformed::no(expr));
    }
    let sql_type = SqlType::from_field(field).map_err(wrap)?;
    let is_there = match sql_type {
        SqlType::Jsonb => matches!(from, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Json | SqlType::Boolean => true,
        SqlType::SmallInt | SqlType::Integer | SqlType::BigInt => true,
        SqlType::Real | SqlType::Double | SqlType::Numeric { .. } => true,
        _ => false,
    };
    if !is_there {
        return Err(wrap(Error::invalid(
            SqlState::CANNOT_COERCE,
            format!(
                "cannot cast type {} to {}",
                Side::of(inner, schema).name(),
                sql_type.base_name()
            ),
        )));
    }
    if is_to {
        return Ok(Transformed::no(expr));
    }
    let as_type = |sql_type| {
        let function = ScalarUDF::from(FromDocument {
            sql_type,
            signature: Signature::any(1, Volatility::Immutable),
        });
        function.call(vec![(**inner).clone()])
    };
    Ok(Transformed::yes(match sql_type {
        // The text is cut, as any that is cast.
        SqlType::Varchar(_) | SqlType::Char(_) => Expr::Cast(Cast {
            expr: Box::new(as_type(SqlType::Text)),
            field: field.clone(),
        }),
        other => as_type(other),
    }))
}

/// An expression of json that DataFusion gives no field of json, CASE for one, with such a field.
pub fn kept_json(expr: Expr) -> Expr {
    marked(SqlType::Json, expr)
}

/// A literal beside values of json, which is read as one; what is none stays as it is.
pub fn literal_as_json(expr: &mut Expr) {
    if matches!(expr, Expr::Literal(ScalarValue::Utf8(Some(_)), None)) {
        let literal = std::mem::take(expr);
        *expr = Expr::Cast(Cast {
            expr: Box::new(literal),
            field: Arc::new(SqlType::Json.to_field("", true)),
        });
    }
}

/// A cast of json to text, which is no json any more: DataFusion would leave the mark.
///
/// # Errors
/// 42846 for a cast to what is no text.
pub fn settle(cast: Cast, schema: &DFSchema) -> Result<Transformed<Expr>> {
    check_cast(&cast.expr, &cast.field, schema)?;
    if Side::of_field(&cast.field).is_document() {
        return Ok(Transformed::no(Expr::Cast(cast)));
    }
    let Cast { expr, field } = cast;
    let text = marked(SqlType::Text, *expr);
    Ok(Transformed::yes(match SqlType::from_field(&field) {
        Ok(SqlType::Text) => text,
        _ => Expr::Cast(Cast {
            expr: Box::new(text),
            field,
        }),
    }))
}

fn marked(sql_type: SqlType, expr: Expr) -> Expr {
    let function = ScalarUDF::from(Marked {
        sql_type,
        signature: Signature::any(1, Volatility::Immutable),
    });
    function.call(vec![expr])
}

/// A text as it is, with the field of json or text.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Marked {
    sql_type: SqlType,
    signature: Signature,
}

impl ScalarUDFImpl for Marked {
    fn name(&self) -> &str {
        match self.sql_type {
            SqlType::Json => "json_kept",
            _ => "json_as_text",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(self.sql_type.to_field(self.name(), true)))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.pop() {
            Some(value) => value.cast_to(&DataType::Utf8, None),
            None => exec_err!("{} takes an argument", self.name()),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FromDocument {
    sql_type: SqlType,
    signature: Signature,
}

impl ScalarUDFImpl for FromDocument {
    fn name(&self) -> &str {
        "jsonb_as"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.sql_type.to_arrow())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(self.sql_type.to_field(self.name(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.first() {
            Some(ColumnarValue::Scalar(value)) => {
                let array = self.all(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(self.all(array)?)),
            None => exec_err!("jsonb_as takes an argument"),
        }
    }
}

impl FromDocument {
    fn all(&self, documents: &ArrayRef) -> Result<ArrayRef> {
        let documents = documents.as_binary::<i64>();
        if documents.is_empty() {
            return Ok(new_empty_array(&self.sql_type.to_arrow()));
        }
        let values = documents.iter().map(|document| {
            let value = document.map_or(Ok(Value::Null), |bytes| converted(JsonbRef::new(bytes), self.sql_type));
            value.and_then(|value| scalar(&self.sql_type, &value)).map_err(wrap)
        });
        ScalarValue::iter_to_array(values.collect::<Result<Vec<_>>>()?)
    }
}

fn converted(document: JsonbRef<'_>, sql_type: SqlType) -> aion_base::Result<Value> {
    let refused = || {
        Err(Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "cannot cast jsonb {} to type {}",
                match document.type_name() {
                    "number" => "numeric",
                    other => other,
                },
                sql_type.base_name()
            ),
        ))
    };
    match (document.node(), sql_type) {
        (_, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Json) => {
            Value::text_in(&sql_type, &document.to_string())
        }
        (Node::Bool(value), SqlType::Boolean) => Ok(Value::Bool(value)),
        (_, SqlType::Boolean) => refused(),
        (Node::Number(number), SqlType::SmallInt | SqlType::Integer | SqlType::BigInt) => {
            // As the numeric would be: rounded.
            let whole = Value::text_in(
                &SqlType::Numeric {
                    precision: Some(38),
                    scale: 0,
                },
                number.as_str(),
            )
            .map_err(|_| out_of_range(sql_type))?;
            let mut text = String::new();
            whole.text_out(&sql_type, &mut text);
            Value::text_in(&sql_type, &text).map_err(|_| out_of_range(sql_type))
        }
        (Node::Number(number), _) => Value::text_in(&sql_type, number.as_str()),
        _ => refused(),
    }
}

fn out_of_range(sql_type: SqlType) -> Error {
    Error::invalid(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("{} out of range", sql_type.base_name()),
    )
}
