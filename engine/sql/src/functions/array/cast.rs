//! Casts between arrays, and of arrays to text, whose elements PostgreSQL casts otherwise than Arrow.
//!
//! Fractions are rounded to integers, elements become text by their output function and are read from text by their input function;
//! what is out of range is 22003. Casts of numbers to wider ones are left to Arrow.

use std::cell::Cell;
use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::{SqlType, Value, Zone};
use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::is_array;
use crate::cells::{Cells, canonical};
use crate::error::wrap;
use crate::functions::arithmetic::rewrite;
use crate::functions::time_zone::session_zone;
use crate::table::array_of;

/// See the module's header.
#[derive(Debug)]
pub struct CastArrays;

impl AnalyzerRule for CastArrays {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let is_nested = Cell::new(false);
        let rewritten = rewrite(plan, |expr, schema| {
            is_nested.set(is_nested.get() || casts_nested(&expr, schema));
            replaced(expr, schema)
        })?;
        match is_nested.get() {
            true => Err(wrap(Error::unsupported(
                "arrays of several dimensions are not supported",
            ))),
            false => Ok(rewritten.data),
        }
    }

    fn name(&self) -> &str {
        "cast_arrays"
    }
}

/// Whether an array of arrays becomes something else, a text for instance.
fn casts_nested(expr: &Expr, schema: &DFSchema) -> bool {
    let Expr::Cast(Cast { expr: inner, field }) = expr else {
        return false;
    };
    let is_nested = |of: &DataType| matches!(of, DataType::List(item) if matches!(item.data_type(), DataType::List(_)));
    let to = field.data_type();
    let may_be = matches!(to, DataType::List(_)) || to.is_string();
    may_be && !is_nested(to) && inner.get_type(schema).is_ok_and(|from| is_nested(&from))
}

fn replaced(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::Cast(Cast { expr: inner, field }) = &expr else {
        return Transformed::no(expr);
    };
    let Ok(from) = inner.get_type(schema) else {
        return Transformed::no(expr);
    };
    let is_from_array = is_array(&from);
    let Ok(to) = SqlType::from_field(field) else {
        return Transformed::no(expr);
    };
    let Ok(from) = SqlType::from_arrow(&from) else {
        return Transformed::no(expr);
    };
    let is_ours = match (from.element(), to.element()) {
        (Some(from), Some(to)) => !is_arrows(from, to),
        (Some(_), None) => field.data_type().is_string(),
        _ => false,
    };
    if !is_from_array || !is_ours {
        return Transformed::no(expr);
    }
    let volatility = match (from.element(), to.element()) {
        (Some(SqlType::TimestampTz(_)), _) | (_, Some(SqlType::TimestampTz(_))) => Volatility::Stable,
        _ => Volatility::Immutable,
    };
    let function = ScalarUDF::from(ArrayCast {
        to,
        signature: Signature::any(1, volatility),
    });
    Transformed::yes(function.call(vec![inner.as_ref().clone()]))
}

/// Whether a type keeps less than all digits of a second.
fn is_rounded(sql_type: SqlType) -> bool {
    sql_type != sql_type.with_all_digits()
}

/// Whether Arrow casts the elements as PostgreSQL does.
fn is_arrows(from: SqlType, to: SqlType) -> bool {
    use SqlType as S;
    let is_integer = |sql_type| matches!(sql_type, S::SmallInt | S::Integer | S::BigInt);
    match (from, to) {
        (S::Varchar(_) | S::Char(_) | S::Text, S::Varchar(Some(_)) | S::Char(_)) => false,
        (one, other) if one.to_arrow() == other.to_arrow() => !is_rounded(other),
        (one, other) if is_integer(one) => is_integer(other) || matches!(other, S::Real | S::Double),
        (S::Real, S::Double) => true,
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayCast {
    to: SqlType,
    signature: Signature,
}

impl ScalarUDFImpl for ArrayCast {
    fn name(&self) -> &str {
        "array_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.to_arrow())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(self.to.to_field(self.name(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = session_zone(&args.config_options);
        match args.args.as_slice() {
            [ColumnarValue::Scalar(scalar)] => {
                let cast = converted(&scalar.to_array()?, self.to, zone)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0)?))
            }
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(converted(array, self.to, zone)?)),
            _ => exec_err!("array_cast takes an argument"),
        }
    }
}

/// Arrays with elements of another type; moments are told in a zone.
///
/// # Errors
/// Those of the elements' casts.
pub fn converted(lists: &ArrayRef, to: SqlType, zone: Zone) -> Result<ArrayRef> {
    let from = SqlType::from_arrow(lists.data_type()).map_err(wrap)?;
    let lists = canonical(lists, from).map_err(wrap)?;
    // Moments are shown in the session's zone.
    let shown = crate::functions::label(&lists, zone);
    let (Some(cells), Some(element)) = (Cells::of(&shown, from), from.element()) else {
        return exec_err!("array_cast takes an array");
    };
    let value = |row: usize| -> aion_base::Result<Value> {
        match (cells.value(row)?, to.element()) {
            (Value::Array(elements), Some(wanted)) => {
                let elements = elements
                    .iter()
                    .map(|value| converted_element(value, element, wanted, zone));
                Ok(Value::Array(elements.collect::<aion_base::Result<_>>()?))
            }
            (Value::Array(_), None) => {
                let mut text = String::new();
                cells.write_text(row, &mut text);
                Ok(Value::Text(text))
            }
            _ => Ok(Value::Null),
        }
    };
    let values: Vec<Value> = (0..lists.len())
        .map(value)
        .collect::<aion_base::Result<_>>()
        .map_err(wrap)?;
    array_of(to, &values).map_err(wrap)
}

fn converted_element(value: &Value, from: SqlType, to: SqlType, zone: Zone) -> aion_base::Result<Value> {
    use SqlType as S;
    let out_of_range = || {
        let message = format!("{to} out of range");
        Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    };
    let integer = |number: i128| {
        Ok(match to {
            S::SmallInt => Value::I16(i16::try_from(number).map_err(|_| out_of_range())?),
            S::Integer => Value::I32(i32::try_from(number).map_err(|_| out_of_range())?),
            _ => Value::I64(i64::try_from(number).map_err(|_| out_of_range())?),
        })
    };
    let is_integer = matches!(to, S::SmallInt | S::Integer | S::BigInt);
    let is_text = matches!(to, S::Text | S::Varchar(_) | S::Char(_));
    let rounded = |number: f64| match number.is_finite() {
        true => integer(number.round_ties_even() as i128),
        false => Err(out_of_range()),
    };
    match (value, to) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::F32(number), _) if is_integer => rounded(f64::from(*number)),
        (Value::F64(number), _) if is_integer => rounded(*number),
        (Value::Decimal(unscaled, scale), _) if is_integer => {
            let unit = 10i128.pow(u32::try_from(*scale).unwrap_or(0));
            let (whole, rest) = (unscaled / unit, unscaled % unit);
            // Half away from zero.
            integer(whole + if 2 * rest.abs() >= unit { rest.signum() } else { 0 })
        }
        (Value::Bool(value), _) if is_text => Value::text_in(&to, if *value { "true" } else { "false" }),
        (Value::Bool(value), S::Integer) => Ok(Value::I32((*value).into())),
        (Value::I32(value), S::Boolean) => Ok(Value::Bool(*value != 0)),
        (Value::Text(text), S::Varchar(Some(length)) | S::Char(length)) => shortened(text, to, length),
        (Value::Time(_), S::Time(_)) => Ok(value.clone().rounded(&to)),
        (Value::Timestamp(moment), S::Timestamp(_) | S::Date | S::Time(_)) if matches!(from, S::TimestampTz(_)) => {
            let local = Value::Timestamp(zone.to_local(*moment)?);
            converted_element(&local, S::TIMESTAMP, to, zone)
        }
        (Value::Timestamp(local), S::TimestampTz(_)) if matches!(from, S::Timestamp(_)) => {
            Ok(Value::Timestamp(zone.to_moment(*local)?).rounded(&to))
        }
        (Value::Timestamp(_), S::Timestamp(_) | S::TimestampTz(_)) => Ok(value.clone().rounded(&to)),
        (Value::Date(_), S::TimestampTz(_)) => {
            let midnight = converted_element(value, from, S::TIMESTAMP, zone)?;
            converted_element(&midnight, S::TIMESTAMP, to, zone)
        }
        (Value::Date(_), S::Timestamp(_)) | (Value::Timestamp(_), S::Date) => arrows(value, from, to),
        (Value::Timestamp(_), S::Time(_)) => Ok(arrows(value, from, to)?.rounded(&to)),
        _ if is_text || matches!(from, S::Text | S::Varchar(_) | S::Char(_)) || is_document(from, to) => {
            let mut text = String::new();
            match (value, from) {
                (Value::Timestamp(moment), S::TimestampTz(_)) => {
                    aion_catalog::text::write_timestamptz_in(*moment, zone, &mut text);
                }
                _ => value.text_out(&from, &mut text),
            }
            Value::text_in_zone(&to, &text, zone)
        }
        _ => arrows(value, from, to),
    }
}

/// A text cut off behind so many characters, as a cast does it.
fn shortened(text: &str, to: SqlType, length: u32) -> aion_base::Result<Value> {
    let end = text
        .char_indices()
        .nth(length as usize)
        .map_or(text.len(), |(end, _)| end);
    Value::text_in(&to, &text[..end])
}

/// The array that a text is, whose elements a cast shortens where they are too long.
///
/// # Errors
/// 22P02 and those of the elements' type.
pub fn read_shortened(element: SqlType, text: &str) -> aion_base::Result<Value> {
    let (SqlType::Varchar(Some(length)) | SqlType::Char(length)) = element else {
        return Err(Error::internal("only texts are shortened"));
    };
    let elements = aion_catalog::text::ArrayValue::parse(text, |text| shortened(text, element, length))?;
    let elements = aion_catalog::array::elements(elements)?.into_iter();
    Ok(Value::Array(
        elements.map(|element| element.unwrap_or(Value::Null)).collect(),
    ))
}

fn is_document(from: SqlType, to: SqlType) -> bool {
    let is_one = |sql_type| matches!(sql_type, SqlType::Json | SqlType::Jsonb);
    is_one(from) && is_one(to)
}

/// A value that Arrow casts as PostgreSQL does.
fn arrows(value: &Value, from: SqlType, to: SqlType) -> aion_base::Result<Value> {
    let exact = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let refused = || {
        Error::invalid(
            SqlState::CANNOT_COERCE,
            format!("cannot cast type {}[] to {}[]", from.base_name(), to.base_name()),
        )
    };
    let array = array_of(from, [value])?;
    if !datafusion::arrow::compute::can_cast_types(array.data_type(), &to.to_arrow()) {
        return Err(refused());
    }
    let cast = cast_with_options(&array, &to.to_arrow(), &exact).map_err(|_| {
        let message = match to {
            SqlType::Numeric { .. } => "numeric field overflow".to_owned(),
            _ => format!("{} out of range", to.base_name()),
        };
        Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })?;
    Cells::of(&cast as &dyn Array, to).ok_or_else(refused)?.value(0)
}
