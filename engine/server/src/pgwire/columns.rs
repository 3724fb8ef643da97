//! Values of a result as PostgreSQL's protocol sends them: their text form, and how long they are. Their binary form is
//! `aion_db::binary`'s.

use aion_catalog::SqlType;
use aion_db::Cells;
use bytes::BytesMut;

use super::rows::Format;

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
