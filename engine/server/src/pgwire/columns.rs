//! Values of a result as PostgreSQL's protocol sends them.

use aion_catalog::SqlType;
use aion_db::{Cells, interval_of};
use bytes::{BufMut, BytesMut};

use super::rows::Format;
use super::{arrays, binary};

/// Appends the text form of a value that is not NULL.
pub(crate) fn put_text(cells: &Cells<'_>, row: usize, scratch: &mut String, out: &mut BytesMut) {
    if let Some(text) = cells.as_str(row) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    scratch.clear();
    cells.write_text(row, scratch);
    out.extend_from_slice(scratch.as_bytes());
}

/// Appends the binary form of a value that is not NULL.
pub(crate) fn put_binary(cells: &Cells<'_>, row: usize, out: &mut BytesMut) {
    match cells {
        Cells::Null => {}
        Cells::Boolean(array) => out.put_u8(array.value(row).into()),
        Cells::SmallInt(array) => out.put_i16(array.value(row)),
        Cells::Integer(array) => out.put_i32(array.value(row)),
        Cells::Jsonb(_) | Cells::JsonbText(_) => {
            out.put_u8(binary::JSONB_VERSION);
            let mut text = String::new();
            cells.write_text(row, &mut text);
            out.extend_from_slice(text.as_bytes());
        }
        Cells::BigInt(array) => out.put_i64(array.value(row)),
        Cells::Real(array) => out.put_f32(array.value(row)),
        Cells::Double(array) => out.put_f64(array.value(row)),
        Cells::Numeric(array, scale) => binary::put_numeric(array.value(row), *scale, out),
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
        Cells::Date(array) => binary::put_date(array.value(row), out),
        Cells::Timestamp(array) | Cells::TimestampTz(array, _) => binary::put_timestamp(array.value(row), out),
        Cells::Interval(array) => binary::put_interval(interval_of(array.value(row)), out),
        Cells::FixedVector(..) | Cells::Vector(..) => binary::put_vector(cells.elements(row), out),
        Cells::Array(lists) => arrays::put_array(lists, row, out),
    }
}

/// Bytes that the value takes, where that can be many: a row is refused before it is built.
pub(crate) fn size(cells: &Cells<'_>, row: usize, format: Format) -> usize {
    let bytea = |bytes: &[u8]| match format {
        Format::Text => 2 + 2 * bytes.len(),
        Format::Binary => bytes.len(),
    };
    match cells {
        Cells::Text(array) | Cells::JsonbText(array) => array.value(row).len(),
        Cells::Padded(array, sql_type) => match sql_type {
            SqlType::Char(length) => array.value(row).len() + *length as usize,
            _ => array.value(row).len(),
        },
        Cells::LargeText(array) => array.value(row).len(),
        Cells::TextView(array) => array.value(row).len(),
        Cells::Bytea(array) => bytea(array.value(row)),
        Cells::ByteaView(array) => bytea(array.value(row)),
        Cells::FixedBytea(array) => bytea(array.value(row)),
        // Punctuation in the place of ends; a string may be written with escapes.
        Cells::Jsonb(array) => 2 * array.value(row).len(),
        Cells::Array(lists) => lists.range(row).map(|at| 4 + size(&lists.elements, at, format)).sum(),
        // The longest of the others is a vector, of 16,000 elements at most.
        _ => 0,
    }
}
