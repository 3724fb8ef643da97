//! Values as JSON.
//!
//! | SQL | JSON |
//! |---|---|
//! | NULL | `null` |
//! | boolean | `true`, `false` |
//! | smallint, integer, bigint | a number, all digits: a client that reads numbers as doubles casts a bigint to text |
//! | real, double precision | the shortest number that reads back; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | numeric | a string, `"1.50"`: as a number it would lose digits |
//! | text, varchar, json | a string |
//! | bytea | a string, `"\\x00ff"` |
//! | date, timestamp, timestamp with time zone | a string, `"2024-02-29 12:34:56.7+00"` |
//! | uuid | a string |
//! | vector | an array of numbers |
//! | arrays | an array of what the elements are |
//!
//! Parameters go the other way: `null`, booleans, numbers, strings in PostgreSQL's text form, and for a vector, an array or json
//! an array or object. A number that needs more digits than a double has goes as a string.

use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value, Zone};
use aion_db::Cells;

/// Appends a value of a row.
pub(super) fn put(cells: &Cells<'_>, row: usize, scratch: &mut String, out: &mut Vec<u8>) {
    if cells.is_null(row) {
        return out.extend_from_slice(b"null");
    }
    if let Some(text) = cells.as_str(row) {
        return put_string(text, out);
    }
    scratch.clear();
    match cells {
        Cells::Boolean(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
        Cells::SmallInt(_) | Cells::Integer(_) | Cells::BigInt(_) => {
            cells.write_text(row, scratch);
            out.extend_from_slice(scratch.as_bytes());
        }
        Cells::Real(array) => put_real(array.value(row), out),
        Cells::Double(array) => put_double(array.value(row), out),
        Cells::Array(lists) => {
            out.push(b'[');
            let range = lists.range(row);
            for at in range.clone() {
                if at > range.start {
                    out.push(b',');
                }
                put(&lists.elements, at, scratch, out);
            }
            out.push(b']');
        }
        Cells::FixedVector(..) | Cells::Vector(..) => {
            out.push(b'[');
            for (at, element) in cells.elements(row).iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                put_real(*element, out);
            }
            out.push(b']');
        }
        _ => {
            cells.write_text(row, scratch);
            put_string(scratch, out);
        }
    }
}

/// Appends a string.
pub(super) fn put_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("memory takes all of a string");
}

fn put_real(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        serde_json::to_writer(out, &value).expect("memory takes all of a number");
    } else {
        put_not_finite(value.into(), out);
    }
}

fn put_double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        serde_json::to_writer(out, &value).expect("memory takes all of a number");
    } else {
        put_not_finite(value, out);
    }
}

fn put_not_finite(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(match value {
        f64::INFINITY => b"\"Infinity\"",
        f64::NEG_INFINITY => b"\"-Infinity\"",
        _ => b"\"NaN\"",
    });
}

/// Parameter `number` as a value of this type; a time without an offset is in a zone.
///
/// # Errors
/// Those of [`Value::text_in`]; 22P02 for an object or array where the type has none.
pub(super) fn parameter(number: usize, sql_type: &SqlType, json: &serde_json::Value, zone: Zone) -> Result<Value> {
    use serde_json::Value as Json;
    match (json, sql_type) {
        (Json::Null, _) => Ok(Value::Null),
        (Json::String(text), _) => Value::text_in_zone(sql_type, text, zone),
        (Json::Array(elements), SqlType::Array(element)) => {
            let element = element.sql_type();
            let elements = elements.iter().map(|json| parameter(number, &element, json, zone));
            Ok(Value::Array(elements.collect::<Result<_>>()?))
        }
        (Json::Bool(_) | Json::Number(_), _)
        | (Json::Array(_), SqlType::Vector(_) | SqlType::Json | SqlType::Jsonb)
        | (Json::Object(_), SqlType::Json | SqlType::Jsonb) => Value::text_in(sql_type, &json.to_string()),
        (Json::Array(_) | Json::Object(_), _) => Err(Error::invalid(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("parameter ${number} of type {sql_type} is given as a JSON array or object"),
        )
        .with_hint("Give it as a string in PostgreSQL's text form.")),
    }
}

#[cfg(test)]
mod tests {
    use aion_catalog::types::ElementType;
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_read_by_their_type() {
        let vector = SqlType::Vector(Some(2));
        for (sql_type, given, value) in [
            (SqlType::Integer, json!(7), Value::I32(7)),
            (SqlType::Integer, json!("7"), Value::I32(7)),
            (SqlType::Boolean, json!(true), Value::Bool(true)),
            (SqlType::Double, json!("NaN"), Value::F64(f64::NAN)),
            (SqlType::Text, json!(1.5), Value::Text("1.5".into())),
            (vector, json!([1, -2.5]), Value::Vector(vec![1.0, -2.5])),
            (SqlType::Json, json!({"a": [1]}), Value::Json("{\"a\":[1]}".into())),
            (SqlType::Date, json!(null), Value::Null),
            (
                SqlType::Array(ElementType::Integer),
                json!([1, null]),
                Value::Array(vec![Value::I32(1), Value::Null]),
            ),
        ] {
            let read = parameter(1, &sql_type, &given, Zone::UTC).expect("a value");
            assert_eq!(format!("{read:?}"), format!("{value:?}"));
        }
        for (sql_type, given, state) in [
            (SqlType::Integer, json!(1.5), "22P02"),
            (SqlType::Integer, json!(3_000_000_000_i64), "22003"),
            (SqlType::Integer, json!([1]), "22P02"),
            (SqlType::Boolean, json!({}), "22P02"),
            (vector, json!([1]), "22000"),
            (SqlType::Text, json!("a\0b"), "22021"),
        ] {
            let error = parameter(1, &sql_type, &given, Zone::UTC).expect_err("no value");
            assert_eq!(error.state().as_str(), state, "{error}");
        }
    }
}
