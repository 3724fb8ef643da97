//! Half-open ranges of keys.
//!
//! **Vocabulary.** A range holds the keys `start <= key < end`, compared as bytes; a missing end is
//! unbounded. The *successor* of a key is the key followed by one 0x00 byte: no key lies between them,
//! so the range of a single key is `[key, key 00)`.
//!
//! **Guarantee.** One representation: every function that cuts, intersects or unites ranges works on these two
//! bounds, so no caller tells inclusive from exclusive bounds or a point from a range.

use crate::id::{IndexId, TableId};
use crate::key::{self, prefix_end};

/// The keys `start <= key < end`, in byte order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// The first key of the range.
    pub start: Vec<u8>,
    /// The first key after the range; `None` reaches to the last key there is.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub const ALL: Self = Self {
        start: Vec::new(),
        end: None,
    };

    /// The keys `start <= key < end`.
    pub fn new(start: Vec<u8>, end: Option<Vec<u8>>) -> Self {
        Self { start, end }
    }

    /// The one key `key`.
    pub fn point(key: &[u8]) -> Self {
        Self {
            start: key.to_vec(),
            end: Some(successor(key)),
        }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self {
            start: prefix.to_vec(),
            end: prefix_end(prefix),
        }
    }

    /// The keys of all indexes of a table.
    pub fn table(table: TableId) -> Self {
        Self::prefix(&table.0.to_be_bytes())
    }

    /// The keys of one index of a table; index 0 holds the rows.
    pub fn index(table: TableId, index: IndexId) -> Self {
        Self::prefix(&key::index_prefix(table, index))
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether the range holds exactly one key, `start`.
    pub fn is_point(&self) -> bool {
        self.end
            .as_ref()
            .is_some_and(|end| end.split_last() == Some((&0, &self.start)))
    }

    /// Whether `key` is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// Whether every key of `other` is in this range.
    pub fn contains_range(&self, other: &Self) -> bool {
        other.is_empty()
            || self.start <= other.start
                && match (&self.end, &other.end) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(end), Some(other_end)) => other_end <= end,
                }
    }

    /// Whether some key is in both ranges.
    pub fn intersects(&self, other: &Self) -> bool {
        let start = self.start.as_slice().max(&other.start);
        let below = |end: &Option<Vec<u8>>| end.as_deref().is_none_or(|end| start < end);
        below(&self.end) && below(&other.end)
    }

    /// The keys that are in both ranges; empty where there are none.
    pub fn intersection(&self, other: &Self) -> Self {
        let end = match (&self.end, &other.end) {
            (Some(end), Some(other_end)) => Some(end.min(other_end)),
            (end, other_end) => end.as_ref().or(other_end.as_ref()),
        };
        Self {
            start: self.start.clone().max(other.start.clone()),
            end: end.cloned(),
        }
    }
}

/// The smallest key greater than `key`.
pub fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_point_holds_one_key() {
        let point = KeyRange::point(b"ab");
        assert!(point.is_point());
        assert!(point.contains(b"ab"));
        assert!(!point.contains(b"ab\0"));
        assert!(!point.contains(b"a"));
        assert!(!KeyRange::prefix(b"ab").is_point());
        assert!(!KeyRange::ALL.is_point());
    }

    #[test]
    fn a_table_holds_its_indexes_and_no_other_table() {
        let table = KeyRange::table(TableId(7));
        assert_eq!(table.start, [0, 0, 0, 7]);
        assert_eq!(table.end, Some(vec![0, 0, 0, 8]));
        let index = KeyRange::index(TableId(7), IndexId(u16::MAX));
        assert_eq!(index.start, [0, 0, 0, 7, 0xFF, 0xFF]);
        assert_eq!(index.end, Some(vec![0, 0, 0, 8]));
        assert!(table.contains_range(&index));
        assert!(!index.contains_range(&table));
        assert_eq!(KeyRange::table(TableId(u32::MAX)).end, None);
    }

    /// Keys over three byte values, so that equal keys, prefixes and 0xFF runs are common.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0, 1, 0xFF]), 0..4)
    }

    fn range() -> impl Strategy<Value = KeyRange> {
        (key(), prop::option::of(key())).prop_map(|(start, end)| KeyRange::new(start, end))
    }

    /// All keys of up to four bytes over the same byte values and two neighbours.
    fn all_keys() -> Vec<Vec<u8>> {
        let mut keys = vec![Vec::new()];
        let mut first = 0;
        for _ in 0..5 {
            let last = keys.len();
            for at in first..last {
                for byte in [0, 1, 0xFF] {
                    let mut key = keys[at].clone();
                    key.push(byte);
                    keys.push(key);
                }
            }
            first = last;
        }
        keys
    }

    proptest! {
        #[test]
        fn agrees_with_membership_of_every_key(one in range(), other in range()) {
            let keys = all_keys();
            let in_both = keys.iter().filter(|key| one.contains(key) && other.contains(key));
            let intersection = one.intersection(&other);
            prop_assert_eq!(in_both.clone().count(), keys.iter().filter(|key| intersection.contains(key)).count());
            prop_assert_eq!(one.intersects(&other), in_both.count() > 0);
            prop_assert_eq!(one.intersects(&other), other.intersects(&one));
            prop_assert_eq!(one.is_empty(), !keys.iter().any(|key| one.contains(key)));
            if one.contains_range(&other) {
                prop_assert!(keys.iter().all(|key| one.contains(key) || !other.contains(key)));
            }
        }

        #[test]
        fn a_prefix_range_is_starts_with(prefix in key()) {
            let range = KeyRange::prefix(&prefix);
            for key in all_keys() {
                prop_assert_eq!(range.contains(&key), key.starts_with(&prefix));
            }
        }
    }
}
