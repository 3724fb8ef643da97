//! The bytes of a row.
//!
//! **Vocabulary.** A *layout* says where the columns of a table lie. A *fixed* column has a width that its type gives; the bytes of
//! a *variable* one lie behind all fixed ones.
//!
//! ```text
//!  0   version    u8       1
//!  1   columns    u16 LE   n, the columns that the table had when the row was written
//!  3   nulls      n bits, padded to a byte; bit i of byte i / 8 is set where column i is NULL
//!      fixed      the fixed columns, in order; zeros where NULL
//!      ends       u32 LE for each variable column, in order: where its bytes end, from the start of `variable`
//!      variable   the bytes of the variable columns, in order
//!
//!  boolean 1 byte | smallint 2 | integer, date, real 4 | bigint, timestamp, timestamptz, double precision 8
//!  | numeric 16, the value at its column's scale | uuid 16, as written | all little-endian but uuid
//!  variable: text, varchar, json as UTF-8 | bytea | vector as f32 LE
//! ```
//!
//! **Guarantees.** One column is read without reading the others. Columns are only ever added at the end of a
//! layout, so a row that was written before reads them as absent, and the reader supplies what stands for
//! that. Damaged bytes give an error, never a panic and never bytes of another row.

mod read;
mod write;

use crate::types::SqlType;

pub use read::RowReader;
pub use write::RowWriter;

/// The version that [`RowWriter`] writes.
pub const VERSION: u8 = 1;

const HEADER_BYTES: usize = 3;

/// Where the columns of a table lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    columns: Vec<Place>,
}

/// Where one column lies, whatever the number of columns behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    sql_type: SqlType,
    /// Bytes of a fixed column; None for a variable one.
    width: Option<usize>,
    /// Bytes of the fixed columns before it.
    fixed_before: usize,
    /// Variable columns before it.
    variable_before: usize,
}

fn width(sql_type: SqlType) -> Option<usize> {
    match sql_type {
        SqlType::Boolean => Some(1),
        SqlType::SmallInt => Some(2),
        SqlType::Integer | SqlType::Date | SqlType::Real => Some(4),
        SqlType::BigInt | SqlType::Timestamp | SqlType::TimestampTz | SqlType::Double => Some(8),
        SqlType::Numeric { .. } | SqlType::Uuid => Some(16),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Json | SqlType::Bytea | SqlType::Vector(_) => None,
    }
}

impl RowLayout {
    /// The layout of a table with columns of these types.
    pub fn new(types: &[SqlType]) -> Self {
        let (mut fixed_before, mut variable_before) = (0, 0);
        let columns = types
            .iter()
            .map(|&sql_type| {
                let width = width(sql_type);
                let place = Place {
                    sql_type,
                    width,
                    fixed_before,
                    variable_before,
                };
                match width {
                    Some(width) => fixed_before += width,
                    None => variable_before += 1,
                }
                place
            })
            .collect();
        Self { columns }
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The type of a column.
    pub fn sql_type(&self, column: usize) -> SqlType {
        self.columns[column].sql_type
    }

    /// Where the parts begin in a row of the first `count` columns: fixed, ends, variable.
    fn parts(&self, count: usize) -> Parts {
        let fixed = HEADER_BYTES + count.div_ceil(8);
        let (fixed_bytes, variable_count) = match count.checked_sub(1).map(|last| &self.columns[last]) {
            None => (0, 0),
            Some(last) => match last.width {
                Some(width) => (last.fixed_before + width, last.variable_before),
                None => (last.fixed_before, last.variable_before + 1),
            },
        };
        let ends = fixed + fixed_bytes;
        Parts {
            fixed,
            ends,
            variable: ends + 4 * variable_count,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Parts {
    fixed: usize,
    ends: usize,
    variable: usize,
}

#[cfg(test)]
mod tests;
