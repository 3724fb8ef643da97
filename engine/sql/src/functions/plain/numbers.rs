//! Functions of numbers, and of none.

use std::cmp::Ordering;

use aion_base::rng::entropy;
use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value, template};
use datafusion::arrow::datatypes::i256;
use datafusion::common::ScalarValue;

use super::{Definition, Kind, Row};

pub(super) fn definitions() -> Vec<Definition> {
    use Definition as F;
    use Kind::{Double, Int, Numeric, Real, Text};
    const WHOLE: SqlType = SqlType::Numeric {
        precision: Some(38),
        scale: 0,
    };
    vec![
        F::new("div", &[Int, Int], WHOLE, quotient_of_integers),
        F::new("div", &[Numeric, Numeric], WHOLE, quotient),
        F::new("to_char", &[Int, Text], SqlType::Text, int_to_char),
        F::new("to_char", &[Numeric, Text], SqlType::Text, numeric_to_char),
        F::new("to_char", &[Double, Text], SqlType::Text, double_to_char),
        F::new("to_char", &[Real, Text], SqlType::Text, double_to_char),
        F::new("to_number", &[Text, Text], SqlType::NUMERIC, to_number).narrowed(digits_of_template),
        F::new(
            "width_bucket",
            &[Numeric, Numeric, Numeric, Int],
            SqlType::Integer,
            numeric_bucket,
        ),
        F::new(
            "width_bucket",
            &[Double, Double, Double, Int],
            SqlType::Integer,
            double_bucket,
        ),
        F::new("gen_random_uuid", &[], SqlType::Uuid, uuid).volatile(),
        // That of uuid-ossp.
        F::new("uuid_generate_v4", &[], SqlType::Uuid, uuid).volatile(),
    ]
}

/// # Errors
/// 22012.
fn divided(one: i128, other: i128) -> Result<Value> {
    match one.checked_div(other) {
        Some(whole) => Ok(Value::Decimal(whole, 0)),
        None => Err(Error::invalid(SqlState::DIVISION_BY_ZERO, "division by zero")),
    }
}

fn quotient_of_integers(row: &Row<'_>) -> Result<Value> {
    divided(row.int(0).into(), row.int(1).into())
}

fn quotient(row: &Row<'_>) -> Result<Value> {
    let [one, other] = of_one_scale(row.values)?;
    divided(one, other)
}

/// Numerics with as many digits behind the point as the one that has most of them.
///
/// # Errors
/// 22003.
fn of_one_scale<const N: usize>(values: &[Value]) -> Result<[i128; N]> {
    let decimal = |value: &Value| match value {
        Value::Decimal(unscaled, scale) => Ok((*unscaled, *scale)),
        _ => Err(Error::internal("an argument is a numeric")),
    };
    let values = values.iter().map(decimal).collect::<Result<Vec<_>>>()?;
    let common = values.iter().map(|(_, scale)| *scale).max().unwrap_or(0);
    let raised = values.into_iter().map(|(unscaled, scale)| {
        let factor = 10_i128.checked_pow(u32::try_from(common - scale).unwrap_or(0));
        let raised = factor.and_then(|factor| unscaled.checked_mul(factor));
        raised.ok_or_else(|| Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format"))
    });
    let raised = raised.collect::<Result<Vec<_>>>()?;
    <[i128; N]>::try_from(raised).map_err(|_| Error::internal("another number of numerics"))
}

fn no_bucket(message: &str) -> Error {
    Error::invalid(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION, message)
}

/// How many buckets there are.
///
/// # Errors
/// 2201G, 22003.
fn buckets(count: i64) -> Result<i32> {
    if count <= 0 {
        return Err(no_bucket("count must be greater than zero"));
    }
    i32::try_from(count).map_err(|_| not_an_integer())
}

fn not_an_integer() -> Error {
    Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range")
}

/// The bucket behind the last.
///
/// # Errors
/// 22003.
fn behind(count: i32) -> Result<Value> {
    count.checked_add(1).map(Value::I32).ok_or_else(not_an_integer)
}

fn numeric_bucket(row: &Row<'_>) -> Result<Value> {
    let count = buckets(row.int(3))?;
    let [value, low, high] = of_one_scale(&row.values[..3])?;
    // Falling bounds are rising ones of the numbers below zero.
    let (value, low, high) = match low.cmp(&high) {
        Ordering::Equal => return Err(no_bucket("lower bound cannot equal upper bound")),
        Ordering::Less => (value, low, high),
        Ordering::Greater => (-value, -low, -high),
    };
    if value < low {
        return Ok(Value::I32(0));
    }
    if value >= high {
        return behind(count);
    }
    let [value, low, high] = [value, low, high].map(i256::from_i128);
    let above = (value - low) * i256::from_i128(count.into()) / (high - low);
    let bucket = above.to_i128().and_then(|above| i32::try_from(above + 1).ok());
    bucket.map(Value::I32).ok_or_else(not_an_integer)
}

/// As PostgreSQL computes it, digit for digit.
fn double_bucket(row: &Row<'_>) -> Result<Value> {
    let count = buckets(row.int(3))?;
    let [value, low, high] = [0, 1, 2].map(|at| row.double(at));
    if [value, low, high].iter().any(|number| number.is_nan()) {
        return Err(no_bucket("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(no_bucket("lower and upper bounds must be finite"));
    }
    if low == high {
        return Err(no_bucket("lower bound cannot equal upper bound"));
    }
    let (value, low, high) = match low < high {
        true => (value, low, high),
        false => (-value, -low, -high),
    };
    if value < low {
        return Ok(Value::I32(0));
    }
    if value >= high {
        return behind(count);
    }
    let part = match (high - low).is_infinite() {
        false => (value - low) / (high - low),
        true => (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0),
    };
    // A part below 1 may be rounded to 1.
    let bucket = ((f64::from(count) * part) as i32).min(count - 1);
    Ok(Value::I32(bucket + 1))
}

fn int_to_char(row: &Row<'_>) -> Result<Value> {
    let mut out = String::new();
    template::write_int8(row.int(0), row.text(1), &mut out)?;
    Ok(Value::Text(out))
}

fn numeric_to_char(row: &Row<'_>) -> Result<Value> {
    let mut out = String::new();
    match row.values.first() {
        Some(Value::Decimal(unscaled, scale)) => template::write_numeric(*unscaled, *scale, row.text(1), &mut out)?,
        _ => return Err(Error::internal("to_char of a numeric has one")),
    }
    Ok(Value::Text(out))
}

fn double_to_char(row: &Row<'_>) -> Result<Value> {
    let mut out = String::new();
    match row.values.first() {
        Some(Value::F32(value)) => template::write_float(*value, row.text(1), &mut out)?,
        _ => template::write_double(row.double(0), row.text(1), &mut out)?,
    }
    Ok(Value::Text(out))
}

fn to_number(row: &Row<'_>) -> Result<Value> {
    if row.text(1).is_empty() {
        return Ok(Value::Null);
    }
    template::read_number(row.text(0), row.text(1)).map(|(unscaled, scale)| Value::Decimal(unscaled, scale))
}

/// The numeric that a template of `to_number` reads: with as many digits behind the point as it has places for.
fn digits_of_template(arguments: &[Option<&ScalarValue>]) -> Option<SqlType> {
    let template = arguments
        .get(1)
        .copied()
        .flatten()?
        .try_as_str()
        .flatten()?
        .to_ascii_uppercase();
    // What divides says nothing of digits.
    if template.contains(['V', 'E', '"']) {
        return None;
    }
    let behind = template.split_once(['.', 'D']).map_or("", |(_, behind)| behind);
    let places = behind.chars().filter(|c| matches!(c, '9' | '0')).count();
    Some(SqlType::Numeric {
        precision: Some(38),
        scale: i8::try_from(places).ok().filter(|scale| *scale <= 38)?,
    })
}

/// Version 4 of RFC 9562.
fn uuid(_: &Row<'_>) -> Result<Value> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&entropy().to_be_bytes());
    bytes[8..].copy_from_slice(&entropy().to_be_bytes());
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Ok(Value::Uuid(bytes))
}
