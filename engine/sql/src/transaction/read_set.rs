//! The ranges of keys that a transaction relied upon, in bounded memory.
//!
//! Ranges are kept sorted and disjoint. Beyond [`RANGES_MAX`] the set gives up precision, never a key: neighbours are
//! united, gaps included. A conflict may then be seen where none is; none is ever missed.

use std::collections::BTreeMap;
use std::ops::Bound;

use aion_base::range::{KeyRange, successor};

/// Ranges that are kept apart.
pub const RANGES_MAX: usize = 16_384;

/// See the module's header: start -> end, disjoint, not empty.
#[derive(Debug, Default)]
pub struct ReadSet {
    ranges: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Whether a range with this end meets or touches one that starts at `key`.
fn reaches(end: Option<&Vec<u8>>, key: &[u8]) -> bool {
    end.is_none_or(|end| end.as_slice() >= key)
}

/// The later of two ends; None is the end of all keys.
fn later(left: Option<Vec<u8>>, right: Option<Vec<u8>>) -> Option<Vec<u8>> {
    left.zip(right).map(|(left, right)| left.max(right))
}

impl ReadSet {
    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Adds one key.
    pub fn point(&mut self, key: &[u8]) {
        let before = self.up_to(key);
        if before.is_some_and(|(_, end)| end.as_deref().is_none_or(|end| end > key)) {
            return;
        }
        self.insert(key.to_vec(), Some(successor(key)));
    }

    /// Adds a range.
    pub fn range(&mut self, range: KeyRange) {
        if !range.is_empty() {
            self.insert(range.start, range.end);
        }
    }

    /// The last range that starts at or before `key`.
    fn up_to(&self, key: &[u8]) -> Option<(&Vec<u8>, &Option<Vec<u8>>)> {
        self.ranges
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
    }

    fn insert(&mut self, mut start: Vec<u8>, mut end: Option<Vec<u8>>) {
        let before = self.up_to(&start);
        if let Some((before, before_end)) = before.filter(|(_, end)| reaches(end.as_ref(), &start)) {
            end = later(end, before_end.clone());
            start = before.clone();
        }
        loop {
            let next = self
                .ranges
                .range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Unbounded))
                .next();
            let Some((next, next_end)) = next.filter(|(next, _)| reaches(end.as_ref(), next)) else {
                break;
            };
            end = later(end, next_end.clone());
            let next = next.clone();
            self.ranges.remove(&next);
        }
        self.ranges.insert(start, end);
        if self.ranges.len() > RANGES_MAX {
            self.coarsen();
        }
    }

    /// Unites every two neighbours.
    fn coarsen(&mut self) {
        let mut united: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        let mut pending: Option<(Vec<u8>, Option<Vec<u8>>)> = None;
        for (start, end) in std::mem::take(&mut self.ranges) {
            pending = match pending {
                None => Some((start, end)),
                Some((first, _)) => {
                    united.insert(first, end);
                    None
                }
            };
        }
        united.extend(pending);
        self.ranges = united;
    }

    /// The ranges, sorted and disjoint.
    pub fn ranges(&self) -> impl Iterator<Item = KeyRange> {
        let ranges = self.ranges.iter();
        ranges.map(|(start, end)| KeyRange::new(start.clone(), end.clone()))
    }

    /// As [`ReadSet::ranges`], for good.
    pub fn into_ranges(self) -> Vec<KeyRange> {
        self.ranges
            .into_iter()
            .map(|(start, end)| KeyRange { start, end })
            .collect()
    }
}
