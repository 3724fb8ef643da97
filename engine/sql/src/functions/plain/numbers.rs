//! Functions of numbers, and of none.

use aion_base::rng::entropy;
use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value, template};
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
    let [Value::Decimal(one, scale), Value::Decimal(other, other_scale)] = row.values else {
        return Err(Error::internal("div has two numerics"));
    };
    let raised = |value: i128, by: i8| {
        let factor = 10_i128.checked_pow(u32::try_from(by).unwrap_or(0));
        factor
            .and_then(|factor| value.checked_mul(factor))
            .ok_or_else(|| Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format"))
    };
    let common = (*scale).max(*other_scale);
    divided(raised(*one, common - scale)?, raised(*other, common - other_scale)?)
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
