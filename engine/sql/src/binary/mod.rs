//! PostgreSQL's binary form of values, both ways: in the messages of its protocol, and in the data of COPY.
//!
//! ```text
//!   a cell of a result -- put -----------> bytes       (forms, arrays)
//!   bytes --------------- take_value ----> a value of a column's or a parameter's type
//! ```
//!
//! It lies below the edges, as the text form does, because COPY writes files with it; an edge sends it and does not make it. A
//! value's length, and the message or the tuple around it, are the business of whoever sends it.
//!
//! **Guarantees.** What is put is taken back as the same value. No bytes make it panic.

mod arrays;
mod forms;

pub use arrays::{take_oid, take_oids};

use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value, text};
use bytes::{BufMut, BytesMut};

use crate::cells::{Cells, interval_of};
use crate::response::Column;

/// Appends the binary form of a column's value that is not NULL.
///
/// # Errors
/// XX000 where the engine's values are not those of the column's type.
pub fn put(column: &Column, cells: &Cells<'_>, row: usize, out: &mut BytesMut) -> Result<()> {
    match column.result_type {
        Some(result_type) => arrays::put_result(result_type, cells, row, out),
        None => {
            put_cell(cells, row, out);
            Ok(())
        }
    }
}

/// Appends the binary form of a value of a type that tables have.
fn put_cell(cells: &Cells<'_>, row: usize, out: &mut BytesMut) {
    match cells {
        Cells::Null => {}
        Cells::Boolean(array) => out.put_u8(array.value(row).into()),
        Cells::SmallInt(array) => out.put_i16(array.value(row)),
        Cells::Integer(array) => out.put_i32(array.value(row)),
        Cells::Jsonb(_) | Cells::JsonbText(_) => {
            out.put_u8(forms::JSONB_VERSION);
            let mut text = String::new();
            cells.write_text(row, &mut text);
            out.extend_from_slice(text.as_bytes());
        }
        Cells::BigInt(array) => out.put_i64(array.value(row)),
        Cells::Real(array) => out.put_f32(array.value(row)),
        Cells::Double(array) => out.put_f64(array.value(row)),
        Cells::Numeric(array, scale) => forms::put_numeric(array.value(row), *scale, out),
        Cells::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
        Cells::Padded(..) | Cells::Enum(..) => {
            let mut text = String::new();
            cells.write_text(row, &mut text);
            out.extend_from_slice(text.as_bytes());
        }
        Cells::LargeText(array) => out.extend_from_slice(array.value(row).as_bytes()),
        Cells::TextView(array) => out.extend_from_slice(array.value(row).as_bytes()),
        Cells::Bytea(array) => out.extend_from_slice(array.value(row)),
        Cells::ByteaView(array) => out.extend_from_slice(array.value(row)),
        Cells::FixedBytea(array) | Cells::Uuid(array) => out.extend_from_slice(array.value(row)),
        Cells::Date(array) => forms::put_date(array.value(row), out),
        Cells::Time(array) => out.put_i64(array.value(row)),
        Cells::Timestamp(array) | Cells::TimestampTz(array, _) => forms::put_timestamp(array.value(row), out),
        Cells::Interval(array) => forms::put_interval(interval_of(array.value(row)), out),
        Cells::FixedVector(..) | Cells::Vector(..) => forms::put_vector(cells.elements(row), out),
        Cells::Array(lists) => arrays::put_array(lists, row, out),
    }
}

/// A time of day may be the end of it.
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A value from its binary form; None for bytes that are no value of the type, which the caller refuses with 22P03.
///
/// # Errors
/// Those of [`Value::text_in`], for a value that the type does not hold; 22021, XX000, 42804.
pub fn take_value(sql_type: SqlType, bytes: &[u8]) -> Result<Option<Value>> {
    Ok(match sql_type {
        SqlType::Boolean => forms::take_bool(bytes).map(Value::Bool),
        SqlType::SmallInt => forms::take_i16(bytes).map(Value::I16),
        SqlType::Integer => forms::take_i32(bytes).map(Value::I32),
        SqlType::BigInt => forms::take_i64(bytes).map(Value::I64),
        SqlType::Real => forms::take_f32(bytes).map(Value::F32),
        SqlType::Double => forms::take_f64(bytes).map(Value::F64),
        SqlType::Date => forms::take_date(bytes).map(Value::Date),
        SqlType::Time(_) => match forms::take_i64(bytes) {
            Some(micros) if !(0..=MICROS_PER_DAY).contains(&micros) => {
                return Err(Error::invalid(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"));
            }
            micros => micros.map(|micros| Value::Time(micros).rounded(&sql_type)),
        },
        SqlType::Timestamp(_) | SqlType::TimestampTz(_) => {
            forms::take_timestamp(bytes).map(|micros| Value::Timestamp(micros).rounded(&sql_type))
        }
        SqlType::Interval => forms::take_interval(bytes).map(Value::Interval),
        SqlType::Uuid => forms::take_uuid(bytes).map(Value::Uuid),
        SqlType::Bytea => Some(Value::Bytes(bytes.to_vec())),
        // Their binary form is their text.
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Json | SqlType::Enum(_) => {
            Some(Value::text_in(&sql_type, text::parse_text(utf8(bytes)?)?)?)
        }
        SqlType::Jsonb => match bytes.split_first() {
            Some((&forms::JSONB_VERSION, text)) => Some(Value::text_in(&sql_type, text::parse_text(utf8(text)?)?)?),
            Some((version, _)) => {
                return Err(Error::invalid(
                    SqlState::INTERNAL_ERROR,
                    format!("unsupported jsonb version number {version}"),
                ));
            }
            None => None,
        },
        // Rounded to the scale, and refused beyond the precision, where its text is.
        SqlType::Numeric { .. } => match forms::take_numeric(bytes) {
            Some(text) => Some(Value::text_in(&sql_type, &text)?),
            None => None,
        },
        SqlType::Vector(dimensions) => match (forms::take_vector(bytes), dimensions) {
            (Some(elements), Some(expected)) if elements.len() != usize::from(expected) => {
                return Err(Error::invalid(
                    SqlState::DATA_EXCEPTION,
                    format!("expected {expected} dimensions, not {}", elements.len()),
                ));
            }
            (elements, _) => elements.map(Value::Vector),
        },
        SqlType::Array(element) => arrays::take_array(element, bytes, take_value)?,
    })
}

/// The bytes as text.
///
/// # Errors
/// 22021 with the bytes that are at fault, as PostgreSQL says it.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let rest = &bytes[error.valid_up_to()..];
        // As many bytes as the first one promises, or as there are.
        let length = match rest.first() {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf7) => 4,
            _ => 1,
        };
        let shown: Vec<String> = rest.iter().take(length).map(|byte| format!("0x{byte:02x}")).collect();
        Error::invalid(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    })
}
