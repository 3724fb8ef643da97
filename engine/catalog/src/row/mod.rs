//! The bytes of a row.
//!
//! **Vocabulary.** A *layout* says where the columns of a table lie. A *fixed* column has a width that its type gives; the bytes of
//! a *variable* one lie behind all fixed ones. A *slot* is a column's place in the row, given once: columns that were dropped keep
//! theirs, always NULL in new rows. A column's *position* counts only those that are there.
//!
//! ```text
//!  0   version    u8       1
//!  1   slots      u16 LE   n, the slots that the table had when the row was written
//!  3   nulls      n bits, padded to a byte; bit i of byte i / 8 is set where slot i is NULL
//!      fixed      the fixed columns, by slot; zeros where NULL
//!      ends       u32 LE for each variable column, by slot: where its bytes end, from the start of `variable`
//!      variable   the bytes of the variable columns, by slot
//!
//!  boolean 1 byte | smallint 2 | integer, date, real 4 | bigint, timestamp, timestamptz, double precision 8
//!  | numeric 16, the value at its column's scale | uuid 16, as written | interval 16: months i32, days i32, microseconds i64
//!  | all little-endian but uuid
//!  variable: text, varchar, json as UTF-8 | bytea | jsonb as a document, see `json` | vector as f32 LE
//!  | array, see `array`
//! ```
//!
//! **Guarantees.** One column is read without reading the others. Slots are only ever added at the end of a
//! layout; a row that was written before reads a column behind its own as what that column's descriptor says stands for it, NULL
//! mostly. Damaged bytes give an error, never a panic and never bytes of another row.

mod read;
mod write;

use aion_base::Result;

use crate::descriptor::TableDescriptor;
use crate::types::SqlType;
use crate::value::Value;

pub use read::RowReader;
pub use write::RowWriter;

/// The version that [`RowWriter`] writes.
pub const VERSION: u8 = 1;

const HEADER_BYTES: usize = 3;

/// Where the columns of a table lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    /// By slot.
    places: Vec<Place>,
    /// The slot of each column, rising.
    slots: Vec<usize>,
    /// A row of what columns hold in rows that were written before them; None where that is NULL throughout.
    missing: Option<Vec<u8>>,
}

/// Where one column lies, whatever the number of columns behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    slot: usize,
    sql_type: SqlType,
    /// Bytes of a fixed column; None for a variable one.
    width: Option<usize>,
    /// Bytes of the fixed columns before it.
    fixed_before: usize,
    /// Variable columns before it.
    variable_before: usize,
}

pub(crate) fn width(sql_type: SqlType) -> Option<usize> {
    match sql_type {
        SqlType::Boolean => Some(1),
        SqlType::SmallInt => Some(2),
        SqlType::Integer | SqlType::Date | SqlType::Real => Some(4),
        SqlType::BigInt
        | SqlType::Double
        | SqlType::Enum(_)
        | SqlType::Time(_)
        | SqlType::Timestamp(_)
        | SqlType::TimestampTz(_) => Some(8),
        SqlType::Numeric { .. } | SqlType::Uuid | SqlType::Interval => Some(16),
        SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Char(_)
        | SqlType::Json
        | SqlType::Jsonb
        | SqlType::Bytea
        | SqlType::Vector(_)
        | SqlType::Array(_) => None,
    }
}

impl RowLayout {
    /// The layout of a table that has had columns of these types only, and all from its beginning.
    pub fn new(types: &[SqlType]) -> Self {
        let (mut fixed_before, mut variable_before) = (0, 0);
        let places = types
            .iter()
            .enumerate()
            .map(|(slot, &sql_type)| {
                let width = width(sql_type);
                let place = Place {
                    slot,
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
        Self {
            places,
            slots: (0..types.len()).collect(),
            missing: None,
        }
    }

    /// The layout of a table: its columns and those that it dropped have their slots by their ids.
    ///
    /// # Errors
    /// Corrupt, for a value of an added column that is not of its type.
    pub fn of(table: &TableDescriptor) -> Result<Self> {
        let columns = table.columns.iter().map(|column| (column.id, column.sql_type));
        let dropped = table.dropped.iter().map(|column| (column.id, column.sql_type));
        let mut all: Vec<_> = columns.chain(dropped).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        let types: Vec<_> = all.iter().map(|(_, sql_type)| *sql_type).collect();
        let mut layout = Self::new(&types);
        let slot_of = |id| all.binary_search_by_key(&id, |(id, _)| *id).ok();
        layout.slots = table.columns.iter().filter_map(|column| slot_of(column.id)).collect();
        if table.columns.iter().any(|column| column.missing.is_some()) {
            let mut row = Vec::new();
            let mut writer = RowWriter::new(&layout, &mut row);
            for (position, column) in table.columns.iter().enumerate() {
                if let Some(text) = &column.missing {
                    writer.value(position, &Value::text_in(&column.sql_type, text)?);
                }
            }
            writer.finish();
            layout.missing = Some(row);
        }
        Ok(layout)
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The type of a column.
    pub fn sql_type(&self, column: usize) -> SqlType {
        self.place(column).sql_type
    }

    fn place(&self, column: usize) -> &Place {
        &self.places[self.slots[column]]
    }

    /// Where the parts begin in a row of the first `count` slots: fixed, ends, variable.
    fn parts(&self, count: usize) -> Parts {
        let fixed = HEADER_BYTES + count.div_ceil(8);
        let (fixed_bytes, variable_count) = match count.checked_sub(1).map(|last| &self.places[last]) {
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
