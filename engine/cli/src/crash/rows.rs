//! The rows of the durability tests: two for each transaction, so that half a transaction can be seen.
//!
//! Transaction `id` inserts a row with the key `id` (i64, ascending) into table 2000 (side 0) and one into table 2001 (side
//! 1). The value follows from the seed: with the generator SplitMix64 seeded with `seed ^ (id << 1 | side)`, the length is
//! 16 + a draw below 480, or [`LARGE_BYTES`] for a large one, and the bytes are its next draws, little endian. Large is
//! every id that is a multiple of `large_every`; two large rows do not fit into one entry of the log, so such a
//! transaction is staged.

use std::ops::Range;

use aion_base::id::{IndexId, TableId};
use aion_base::key::{ColumnOrder, KeyReader, KeyWriter};
use aion_base::rng::SeededRng;
use aion_base::{KeyRange, Result};

/// The tables of the two rows.
pub const TABLES: [TableId; 2] = [TableId(2000), TableId(2001)];

/// Bytes of a large value.
pub const LARGE_BYTES: usize = 1_300_000;

const SMALL_BYTES: Range<u64> = 16..496;

/// What follows from the command line for all rows.
#[derive(Clone, Copy, Debug)]
pub struct RowRule {
    /// Draws the values.
    pub seed: u64,
    /// Every so-manieth id is large; 0: none.
    pub large_every: u64,
}

impl RowRule {
    /// The value of a row.
    pub fn value(&self, id: u64, side: usize) -> Vec<u8> {
        let mut rng = SeededRng::new(self.seed ^ (id << 1 | side as u64));
        let small = SMALL_BYTES.start + rng.below(SMALL_BYTES.end - SMALL_BYTES.start);
        let is_large = self.large_every > 0 && id.is_multiple_of(self.large_every);
        let length = if is_large { LARGE_BYTES } else { small as usize };
        let mut value = Vec::with_capacity(length + 8);
        while value.len() < length {
            value.extend_from_slice(&rng.next_u64().to_le_bytes());
        }
        value.truncate(length);
        value
    }
}

/// The key of a row.
pub fn key(id: u64, side: usize) -> Vec<u8> {
    let mut key = Vec::new();
    KeyWriter::new(&mut key)
        .table(TABLES[side], IndexId(0))
        .i64(id as i64, ColumnOrder::ASC);
    key
}

/// The id in a key of one of the tables.
pub fn id_of(key: &[u8]) -> Result<Option<u64>> {
    let mut reader = KeyReader::new(key);
    reader.table()?;
    Ok(reader.i64(ColumnOrder::ASC)?.map(|id| id as u64))
}

/// The keys of one side.
pub fn range(side: usize) -> KeyRange {
    KeyRange::index(TABLES[side], IndexId(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_follows_from_seed_id_and_side() {
        let rule = RowRule {
            seed: 7,
            large_every: 100,
        };
        assert_eq!(rule.value(1, 0), rule.value(1, 0));
        assert_ne!(rule.value(1, 0), rule.value(1, 1));
        assert_ne!(rule.value(1, 0), rule.value(2, 0));
        assert_eq!(rule.value(300, 1).len(), LARGE_BYTES);
        assert!((16..496).contains(&rule.value(301, 1).len()));
    }

    #[test]
    fn a_key_gives_its_id_back() {
        for id in [0, 1, 5_000_000] {
            assert_eq!(id_of(&key(id, 1)).expect("a key"), Some(id));
            assert!(range(1).contains(&key(id, 1)) && !range(0).contains(&key(id, 1)));
        }
    }
}
