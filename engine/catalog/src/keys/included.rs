//! Columns that an index entry holds in its value: of every type, and exactly as the row has them.
//!
//! ```text
//! an ordered type             as in a key, ascending
//! real, double precision      its bits, as integer or bigint: -0 and the kinds of NaN stay what they are
//! interval                    its bytes in a row, as uuid
//! json                        its text, as bytea
//! jsonb                       the document's bytes, as bytea
//! array                       the array's bytes, as bytea
//! vector                      its components in little endian, as bytea
//! ```

use aion_base::Result;
use aion_base::key::{KeyReader, KeyWriter};

use super::{KEY_ORDER, read, write_column};
use crate::interval::Interval;
use crate::json::JsonbRef;
use crate::row::{RowLayout, RowReader};
use crate::types::SqlType;
use crate::value::Value;

/// Appends a column of a row.
pub(super) fn write(layout: &RowLayout, row: &RowReader<'_>, column: usize, out: &mut Vec<u8>) -> Result<()> {
    if row.is_null(column) {
        return write_column(layout, row, column, KEY_ORDER, out);
    }
    let mut writer = KeyWriter::new(out);
    match layout.sql_type(column) {
        SqlType::Real => writer.i32(row.f32(column).to_bits().cast_signed(), KEY_ORDER),
        SqlType::Double => writer.i64(row.f64(column).to_bits().cast_signed(), KEY_ORDER),
        SqlType::Interval => writer.uuid(&row.interval(column).to_bytes(), KEY_ORDER),
        SqlType::Json => writer.bytes(row.text(column)?.as_bytes(), KEY_ORDER),
        SqlType::Jsonb | SqlType::Array(_) => writer.bytes(row.bytes(column)?, KEY_ORDER),
        SqlType::Vector(_) => {
            let components: Vec<u8> = row.vector(column)?.flat_map(f32::to_le_bytes).collect();
            writer.bytes(&components, KEY_ORDER)
        }
        _ => return write_column(layout, row, column, KEY_ORDER, out),
    };
    Ok(())
}

/// Passes over a column.
pub(super) fn skip(reader: &mut KeyReader<'_>, sql_type: SqlType) -> Result<()> {
    match sql_type {
        SqlType::Json | SqlType::Jsonb | SqlType::Vector(_) | SqlType::Array(_) => {
            reader.skip_bytes(KEY_ORDER).map(drop)
        }
        other => read::skip(reader, other, KEY_ORDER),
    }
}

/// Reads a column.
pub(super) fn value(reader: &mut KeyReader<'_>, sql_type: SqlType) -> Result<Value> {
    let value = match sql_type {
        SqlType::Real => reader
            .i32(KEY_ORDER)?
            .map(|bits| Value::F32(f32::from_bits(bits.cast_unsigned()))),
        SqlType::Double => reader
            .i64(KEY_ORDER)?
            .map(|bits| Value::F64(f64::from_bits(bits.cast_unsigned()))),
        SqlType::Interval => {
            let bytes = reader.uuid(KEY_ORDER)?;
            bytes.map(|bytes| Value::Interval(Interval::of_bytes(bytes)))
        }
        SqlType::Json => {
            let text = reader
                .bytes(KEY_ORDER)?
                .map(|bytes| String::from_utf8(bytes.into_owned()));
            let text = text.transpose();
            text.map_err(|_| aion_base::Error::corrupt("a json in an index entry is no UTF-8"))?
                .map(Value::Json)
        }
        SqlType::Jsonb => {
            let document = reader.bytes(KEY_ORDER)?;
            document.map(|bytes| Value::Jsonb(JsonbRef::new(&bytes).to_owned()))
        }
        SqlType::Array(element) => match reader.bytes(KEY_ORDER)? {
            Some(bytes) => Some(Value::Array(crate::array::read(element, &bytes)?)),
            None => None,
        },
        SqlType::Vector(_) => reader.bytes(KEY_ORDER)?.map(|bytes| {
            let components = bytes.chunks_exact(4).map(|bytes| {
                let bytes = bytes.try_into().expect("chunks of 4 bytes have 4 bytes");
                f32::from_le_bytes(bytes)
            });
            Value::Vector(components.collect())
        }),
        other => return read::value(reader, other, KEY_ORDER),
    };
    Ok(value.unwrap_or(Value::Null))
}
