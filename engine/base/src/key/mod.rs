//! The order-preserving key codec.
//!
//! **Vocabulary.** A *key* is the address of a row or of an index entry: a table, an index, and the values of
//! the index's columns. A *column order* is a direction (ascending, descending) and a place of NULL (first,
//! last), as in `ORDER BY a DESC NULLS LAST`.
//!
//! **Guarantee.** Two keys written with the same column types and orders compare as bytes exactly as their
//! values compare in SQL, column by column, text by its UTF-8 bytes (collation "C"). SQL-equal values give equal
//! bytes. Every accepted encoding is the only one of its value: a reader refuses all others as corrupt, and
//! never panics.
//!
//! **Format.** Persistent and final; the golden tests below freeze it.
//!
//! ```text
//! key      table u32 BE | index u16 BE | column ...
//! column   tag u8 | payload                      DESC: every byte of the column, tag included, inverted
//!
//! tag      00  NULL, below every value           ASC NULLS FIRST, DESC NULLS LAST
//!          01  a value; its payload follows
//!          02  NULL, above every value           ASC NULLS LAST (default), DESC NULLS FIRST (default)
//!
//! payload  bool            00 false, 01 true
//!          i16 i32 i64     big endian, sign bit flipped       (i32: also dates in days)
//!          i128            big endian, sign bit flipped       (i64: also timestamps in microseconds)
//!          f32 f64         IEEE bits big endian; sign bit set: all bits flipped, clear: sign bit flipped
//!          uuid            16 bytes
//!          bytes text      every 00 written as 00 FF, then the terminator 00 00: a prefix sorts first
//! ```
//!
//! A decimal is its unscaled i128; its scale belongs to the column's type and is the same for all keys of an
//! index. Floats are normalised, because equal values must give equal keys: -0.0 is stored as +0.0 and decodes
//! as +0.0, and every NaN as the one 7FF8 0000 0000 0000 (f32: 7FC0 0000), which sorts above +Infinity. Who needs the sign of a zero
//! back reads the row.
//!
//! Left out: types. The column types stand in the catalog, the tag only tells NULL from value. Because the tag is inverted too,
//! reading a column in the wrong direction is an error and not a wrong value.
//!
//! Follows the key encodings of FoundationDB's tuple layer and CockroachDB (`pkg/util/encoding`).

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::KeyReader;
pub use write::KeyWriter;

use crate::error::{Error, ErrorKind, Result, SqlState};
use crate::id::{IndexId, TableId};

/// Bytes in front of the columns: table and index.
pub const PREFIX_BYTES: usize = 6;

/// The longest key that may be stored; an index entry of more is refused with 54000.
pub const KEY_BYTES_MAX: usize = 8 * 1024;

const TAG_NULL_LOW: u8 = 0x00;
const TAG_VALUE: u8 = 0x01;
const TAG_NULL_HIGH: u8 = 0x02;

/// After a 00 of a text or bytes payload: the 00 is data.
const ESCAPE: u8 = 0xFF;
/// After a 00 of a text or bytes payload: the payload has ended.
const TERMINATOR: u8 = 0x00;

/// Ascending or descending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Small values first.
    #[default]
    Ascending,
    /// Great values first.
    Descending,
}

/// Where NULL stands in a scan of the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Nulls {
    /// Before all values.
    First,
    /// After all values.
    #[default]
    Last,
}

/// How a column of a key is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ColumnOrder {
    /// Of the values.
    pub direction: Direction,
    /// Of NULL; independent of the direction.
    pub nulls: Nulls,
}

impl ColumnOrder {
    /// `ASC NULLS LAST`, PostgreSQL's default.
    pub const ASC: Self = Self {
        direction: Direction::Ascending,
        nulls: Nulls::Last,
    };
    /// `ASC NULLS FIRST`.
    pub const ASC_NULLS_FIRST: Self = Self {
        direction: Direction::Ascending,
        nulls: Nulls::First,
    };
    /// `DESC NULLS FIRST`, PostgreSQL's default for DESC.
    pub const DESC: Self = Self {
        direction: Direction::Descending,
        nulls: Nulls::First,
    };
    /// `DESC NULLS LAST`.
    pub const DESC_NULLS_LAST: Self = Self {
        direction: Direction::Descending,
        nulls: Nulls::Last,
    };

    /// Great values first.
    pub const fn is_descending(self) -> bool {
        matches!(self.direction, Direction::Descending)
    }

    /// NULL before all values.
    pub const fn is_nulls_first(self) -> bool {
        matches!(self.nulls, Nulls::First)
    }

    /// XORed onto every byte of the column.
    const fn mask(self) -> u8 {
        match self.direction {
            Direction::Ascending => 0x00,
            Direction::Descending => 0xFF,
        }
    }

    /// The tag of NULL, before the mask.
    const fn null_tag(self) -> u8 {
        match (self.direction, self.nulls) {
            (Direction::Ascending, Nulls::First) | (Direction::Descending, Nulls::Last) => TAG_NULL_LOW,
            (Direction::Ascending, Nulls::Last) | (Direction::Descending, Nulls::First) => TAG_NULL_HIGH,
        }
    }
}

/// The bytes that every key of an index begins with.
pub const fn index_prefix(table: TableId, index: IndexId) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = table.0.to_be_bytes();
    let [e, f] = index.0.to_be_bytes();
    [a, b, c, d, e, f]
}

/// The smallest key greater than all keys that begin with `prefix`; `None` if there is none, because the
/// prefix is empty or all 0xFF.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}

/// Refuses a key that is too long to be stored (54000); `index` names the index for the message.
pub fn check_length(key: &[u8], index: &str) -> Result<()> {
    if key.len() <= KEY_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!(
            "index row of {} bytes exceeds the maximum of {KEY_BYTES_MAX} bytes for index \"{index}\"",
            key.len()
        ),
    )
    .with_hint("Index a shorter value, such as a hash of the column."))
}
