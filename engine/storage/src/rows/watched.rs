//! How often the keys of one range were changed, so that who keeps something computed from them knows that it still holds.
//!
//! **Guarantees.** Two equal answers of [`WatchedRows::generation`] promise that every read in between saw the range as it
//! was at the first of them: whoever takes a snapshot, or reads a key, between the two knows what the range held for it.
//!
//! **How.** The number is raised before a batch that changes the range becomes visible, and again afterwards; so it is
//! odd while nobody can tell, and then there is no answer. A reader that sees the batch sees the first of the two.
//!
//! Left out: who changed what. A caller whose number is old reads the range again.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use aion_base::id::{LogIndex, Timestamp};
use aion_base::range::KeyRange;
use aion_base::{Error, Result};

use super::knobs::{RowsKnob, RowsSignals};
use super::{Applied, Batch, Note, Past, RisingRows, Rows, Snapshot, Swept};

/// How often the watched range had been changed. Two databases' generations have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

/// Rows, with a count of the changes in one range. See the module's header.
#[derive(Debug)]
pub struct WatchedRows {
    rows: Arc<dyn Rows>,
    range: OnceLock<KeyRange>,
    changes: AtomicU64,
}

impl WatchedRows {
    pub fn new(rows: Arc<dyn Rows>) -> Self {
        Self {
            rows,
            range: OnceLock::new(),
            changes: AtomicU64::new(0),
        }
    }

    /// Counts the changes in `range` from now on. Before this there is no generation.
    ///
    /// # Errors
    /// Internal when another range is watched already.
    pub fn watch(&self, range: &KeyRange) -> Result<()> {
        if self.range.get_or_init(|| range.clone()) == range {
            return Ok(());
        }
        Err(Error::internal("the rows watch another range already"))
    }

    /// The number of changes so far; None while one is being made, or nothing is watched.
    pub fn generation(&self) -> Option<Generation> {
        let changes = self.changes.load(Ordering::SeqCst);
        (changes.is_multiple_of(2) && self.range.get().is_some()).then_some(Generation(changes))
    }
}

impl Rows for WatchedRows {
    fn apply(&self, batch: &Batch<'_>) -> Result<()> {
        let is_watched = |range: &KeyRange| batch.writes.iter().any(|write| range.contains(write.key));
        if !self.range.get().is_some_and(is_watched) {
            return self.rows.apply(batch);
        }
        self.changes.fetch_add(1, Ordering::SeqCst);
        // After an error the number stays odd: the store stops, and until then nobody relies on what he keeps.
        self.rows.apply(batch)?;
        self.changes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        self.rows.get(key, value)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.rows.snapshot()
    }

    fn durable_applied(&self) -> Result<Applied> {
        self.rows.durable_applied()
    }

    fn flush(&self) -> Result<()> {
        self.rows.flush()
    }

    /// Nobody watches what is nobody's.
    fn ingest(&self, dir: &Path, timestamp: Timestamp, rows: &mut dyn RisingRows) -> Result<()> {
        self.rows.ingest(dir, timestamp, rows)
    }

    fn clear(&self, ranges: &[KeyRange]) -> Result<()> {
        let is_watched = |range: &KeyRange| ranges.iter().any(|cleared| cleared.intersects(range));
        if self.range.get().is_some_and(is_watched) {
            return Err(Error::internal("a range that is watched is cleared"));
        }
        self.rows.clear(ranges)
    }

    fn compact(&self, ranges: &[KeyRange]) {
        self.rows.compact(ranges);
    }

    fn settle(&self) -> Result<bool> {
        self.rows.settle()
    }

    fn clone_to(&self, dir: &Path) -> Result<()> {
        self.rows.clone_to(dir)
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.rows.disk_bytes()
    }

    fn disk_bytes_of(&self, range: &KeyRange) -> u64 {
        self.rows.disk_bytes_of(range)
    }

    fn snapshot_at(&self, at: Timestamp) -> Result<Past> {
        self.rows.snapshot_at(at)
    }

    fn horizon(&self) -> Option<Timestamp> {
        self.rows.horizon()
    }

    fn keep_history(&self, is_kept: bool) -> Result<()> {
        self.rows.keep_history(is_kept)
    }

    fn raise_horizon(&self, to: Timestamp) -> Result<()> {
        self.rows.raise_horizon(to)
    }

    fn sweep_history(&self, cursor: &mut Vec<u8>, entries: usize) -> Result<Swept> {
        self.rows.sweep_history(cursor, entries)
    }

    fn history_bytes(&self) -> u64 {
        self.rows.history_bytes()
    }

    fn notes(&self) -> Result<Vec<(LogIndex, Note)>> {
        self.rows.notes()
    }

    fn knob(&self, knob: RowsKnob) -> Option<u64> {
        self.rows.knob(knob)
    }

    fn set_knob(&self, knob: RowsKnob, value: u64) -> Result<()> {
        self.rows.set_knob(knob, value)
    }

    fn signals(&self) -> Result<Option<RowsSignals>> {
        self.rows.signals()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::RowWrite;
    use crate::rows::memory::MemoryRows;

    fn write(rows: &WatchedRows, index: u64, key: &[u8]) {
        let batch = Batch {
            writes: vec![RowWrite {
                key,
                timestamp: Timestamp(index),
                value: Some(b"value"),
            }],
            applied: Applied {
                index: LogIndex(index),
                ..Applied::default()
            },
            ..Batch::default()
        };
        rows.apply(&batch).expect("applied");
    }

    #[test]
    fn changes_of_the_range_are_counted_and_no_others() {
        let rows = WatchedRows::new(Arc::new(MemoryRows::default()));
        assert_eq!(rows.generation(), None, "nothing is watched");
        rows.watch(&KeyRange::prefix(b"c")).expect("the first");
        rows.watch(&KeyRange::prefix(b"c")).expect("the same");
        rows.watch(&KeyRange::prefix(b"d")).expect_err("another");
        let first = rows.generation().expect("nothing happens");
        write(&rows, 1, b"a");
        assert_eq!(rows.generation(), Some(first));
        write(&rows, 2, b"cat");
        let second = rows.generation().expect("nothing happens");
        assert_ne!(first, second);
        write(&rows, 3, b"d");
        assert_eq!(rows.generation(), Some(second));
        let mut value = Vec::new();
        assert!(rows.get(b"cat", &mut value).expect("readable").is_some());
        assert_eq!(value, b"value");
    }

    /// Writers change a row and the watched key in one batch, always to the same number. A reader between two equal
    /// generations must find the number that belongs to the generation.
    #[test]
    fn a_read_between_two_equal_generations_saw_that_generation() {
        let rows = WatchedRows::new(Arc::new(MemoryRows::default()));
        rows.watch(&KeyRange::prefix(b"c")).expect("the first");
        let rounds = 2_000u64;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for index in 1..=rounds {
                    let number = index.to_le_bytes();
                    let row = |key| RowWrite {
                        key,
                        timestamp: Timestamp(index),
                        value: Some(&number),
                    };
                    let batch = Batch {
                        writes: vec![row(b"a"), row(b"c")],
                        applied: Applied {
                            index: LogIndex(index),
                            ..Applied::default()
                        },
                        ..Batch::default()
                    };
                    rows.apply(&batch).expect("applied");
                }
            });
            let mut value = Vec::new();
            let mut last = 0;
            while last < rounds {
                let before = rows.generation();
                let found = rows.get(b"a", &mut value).expect("readable");
                if let Some(Generation(changes)) = before.filter(|_| before == rows.generation()) {
                    let number = found.map_or(0, |_| {
                        u64::from_le_bytes(value.as_slice().try_into().expect("a number"))
                    });
                    assert_eq!(number, changes / 2);
                    last = number;
                }
            }
        });
    }
}
