//! Arrow batches as DataRow messages.
//!
//! ```text
//! 'D' | length i32 | columns i16 | (length i32 | value)*        length -1: NULL
//! ```
//!
//! A row is written in place: lengths are left open and filled in when their end is known. Nothing is allocated for
//! a value or a row.

use ::pgwire::messages::data::{FieldDescription, RowDescription};
use aion_base::{Error, Result, SqlState};
use aion_db::{Cells, Column, binary, canonical};
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};

use super::error::clean;
use super::input::violation;

/// Columns of a result at most: PostgreSQL's limit for a target list.
const COLUMNS_MAX: usize = 1_664;

/// Bytes of a row at most, whatever the limits say: its length is an i32.
const ROW_BYTES_CEILING: usize = 1 << 30;
/// Memory for one value's text that is kept for the next.
const SCRATCH_BYTES_KEPT: usize = 64 * 1024;

/// The form in which a value is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// What people read.
    #[default]
    Text,
    /// What machines read.
    Binary,
}

impl Format {
    /// The form that a code names.
    ///
    /// # Errors
    /// 22023 for another code.
    pub(crate) fn from_code(code: i16) -> Result<Self> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            other => Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {other}"),
            )),
        }
    }

    /// The forms of `count` values, from none (all text), one (for all) or as many codes.
    ///
    /// # Errors
    /// 08P01 for another number of codes, with `what` to say of what; 22023 for a code that is none.
    pub(crate) fn expand(codes: &[i16], count: usize, what: impl FnOnce() -> String) -> Result<Vec<Self>> {
        match codes {
            [] => Ok(vec![Self::Text; count]),
            [code] => Ok(vec![Self::from_code(*code)?; count]),
            codes if codes.len() == count => codes.iter().map(|code| Self::from_code(*code)).collect(),
            _ => Err(violation(what())),
        }
    }
}

/// Describes the columns of a result.
///
/// # Errors
/// 54000 for more columns than a message can say.
pub(crate) fn describe(columns: &[Column], formats: &[Format]) -> Result<RowDescription> {
    if columns.len() > COLUMNS_MAX {
        return Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!(
                "the result has {} columns; at most {COLUMNS_MAX} can be sent",
                columns.len()
            ),
        ));
    }
    let fields = columns.iter().enumerate().map(|(at, column)| {
        let format = formats.get(at).copied().unwrap_or_default();
        // A computed column is of no table: 0.
        let (relation, number) = column.origin.map_or((0, 0), |origin| (origin.relation, origin.number));
        FieldDescription::new(
            clean(&column.name),
            relation.cast_signed(),
            number,
            column.oid(),
            column.type_length(),
            column.type_modifier(),
            format as i16,
        )
    });
    Ok(RowDescription::new(fields.collect()))
}

/// A batch whose rows are being sent.
pub(crate) struct Batch {
    arrays: Vec<ArrayRef>,
    row_count: usize,
    next: usize,
}

impl Batch {
    /// The batch as columns of these types.
    ///
    /// # Errors
    /// XX000 where it does not fit them.
    pub(crate) fn new(batch: &RecordBatch, columns: &[Column]) -> Result<Self> {
        if batch.num_columns() != columns.len() {
            return Err(Error::internal(format!(
                "a batch has {} columns where {} were announced",
                batch.num_columns(),
                columns.len()
            )));
        }
        let arrays = batch
            .columns()
            .iter()
            .zip(columns)
            .map(|(array, column)| canonical(array, column.sql_type));
        Ok(Self {
            arrays: arrays.collect::<Result<_>>()?,
            row_count: batch.num_rows(),
            next: 0,
        })
    }

    /// Rows that are left.
    pub(crate) fn remaining(&self) -> usize {
        self.row_count - self.next
    }

    /// Appends rows, at most `row_count_max`, until `out` has `bytes_full` bytes; answers how many.
    ///
    /// # Errors
    /// 54000 for a row of more than `row_bytes_max`; the rows before it have been appended.
    pub(crate) fn put(
        &mut self,
        columns: &[Column],
        formats: &[Format],
        scratch: &mut String,
        bounds: &Bounds,
        out: &mut BytesMut,
    ) -> Result<usize> {
        let cells = self
            .arrays
            .iter()
            .zip(columns)
            .filter_map(|(array, column)| Cells::of(array, column.sql_type));
        let cells: Vec<Cells<'_>> = cells.collect();
        assert_eq!(cells.len(), columns.len(), "the arrays are canonical");
        let row_bytes_max = bounds.row_bytes_max.min(ROW_BYTES_CEILING);
        let mut count = 0;
        while count < bounds.row_count_max && self.next < self.row_count && out.len() < bounds.bytes_full {
            put_row(columns, &cells, formats, self.next, scratch, row_bytes_max, out)?;
            self.next += 1;
            count += 1;
        }
        if scratch.capacity() > SCRATCH_BYTES_KEPT {
            *scratch = String::new();
        }
        Ok(count)
    }
}

/// Where to stop.
pub(crate) struct Bounds {
    /// After so many rows.
    pub(crate) row_count_max: usize,
    /// Once so many bytes have gathered.
    pub(crate) bytes_full: usize,
    /// Before a row of more bytes.
    pub(crate) row_bytes_max: usize,
}

fn put_row(
    columns: &[Column],
    cells: &[Cells<'_>],
    formats: &[Format],
    row: usize,
    scratch: &mut String,
    row_bytes_max: usize,
    out: &mut BytesMut,
) -> Result<()> {
    let start = out.len();
    out.put_u8(b'D');
    out.put_i32(0);
    out.put_i16(cells.len() as i16);
    for (at, cell) in cells.iter().enumerate() {
        if cell.is_null(row) {
            out.put_i32(-1);
            continue;
        }
        let format = formats.get(at).copied().unwrap_or_default();
        if out.len() - start + super::columns::size(cell, row, format) > row_bytes_max {
            out.truncate(start);
            return Err(too_long(row_bytes_max));
        }
        let value = out.len();
        out.put_i32(0);
        match format {
            Format::Text => super::columns::put_text(cell, row, scratch, out),
            Format::Binary => binary::put(&columns[at], cell, row, out)?,
        }
        fill_length(out, value, 4);
    }
    fill_length(out, start + 1, 0);
    Ok(())
}

fn too_long(row_bytes_max: usize) -> Error {
    Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("a row of the result has more than {row_bytes_max} bytes"),
    )
    .with_hint("Select fewer or shorter columns.")
}

/// Writes at `at` how many bytes follow it, of which `not_counted` are the length's own.
fn fill_length(out: &mut BytesMut, at: usize, not_counted: usize) {
    let length = u32::try_from(out.len() - at - not_counted).expect("a row is shorter than its limit");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}
