//! Reading the newest versions in RocksDB, through a snapshot.

use std::path::Path;
use std::sync::Arc;

use aion_base::Result;
use aion_base::id::Timestamp;
use aion_base::range::KeyRange;
use rocksdb::ReadOptions;

use super::owned::{OwnedIterator, OwnedSnapshot};
use super::rocks::{ROW, TIMESTAMP_BYTES, failed, family, get, read_applied, split_value};
use super::{Direction, ReadPoint, Scan, Snapshot, Version};

/// The keys as they were when it was taken.
pub struct RocksSnapshot {
    snapshot: Arc<OwnedSnapshot>,
    dir: Arc<Path>,
    /// Where it is not known it is read.
    read_point: Option<ReadPoint>,
}

impl RocksSnapshot {
    pub fn new(snapshot: Arc<OwnedSnapshot>, dir: Arc<Path>, read_point: Option<ReadPoint>) -> Self {
        Self {
            snapshot,
            dir,
            read_point,
        }
    }
}

impl std::fmt::Debug for RocksSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksSnapshot({})", self.dir.display())
    }
}

impl Snapshot for RocksSnapshot {
    fn read_point(&self) -> Result<ReadPoint> {
        if let Some(read_point) = self.read_point {
            return Ok(read_point);
        }
        let applied = read_applied(self.snapshot.db(), self.snapshot.options(), &self.dir)?;
        Ok(ReadPoint {
            index: applied.index,
            timestamp: applied.timestamp,
        })
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        get(self.snapshot.db(), key, self.snapshot.options(), &self.dir, value)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Version>>> {
        let db = self.snapshot.db();
        let found = db.batched_multi_get_cf_opt(family(db, ROW), keys.iter().copied(), false, self.snapshot.options());
        found
            .into_iter()
            .map(
                |found| match found.map_err(|error| failed(&self.dir, "read", &error))? {
                    Some(stored) => split_value(&stored, &self.dir).map(|(at, value)| Some((at, value.to_vec()))),
                    None => Ok(None),
                },
            )
            .collect()
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Box<dyn Scan> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(range.start.clone());
        // RocksDB takes bounds as given; an end before the start must not reach it.
        let end = range.end.clone().map(|end| end.max(range.start.clone()));
        if let Some(end) = end {
            options.set_iterate_upper_bound(end);
        }
        let row = family(self.snapshot.db(), ROW);
        Box::new(RocksScan {
            iterator: OwnedIterator::new(self.snapshot.clone(), row, options),
            direction,
            is_started: false,
            dir: self.dir.clone(),
        })
    }
}

struct RocksScan {
    iterator: OwnedIterator,
    direction: Direction,
    is_started: bool,
    dir: Arc<Path>,
}

impl Scan for RocksScan {
    fn advance(&mut self) -> Result<bool> {
        match (self.is_started, self.direction) {
            (false, Direction::Forward) => self.iterator.seek_to_first(),
            (false, Direction::Backward) => self.iterator.seek_to_last(),
            (true, _) if !self.iterator.get().valid() => return Ok(false),
            (true, Direction::Forward) => self.iterator.next(),
            (true, Direction::Backward) => self.iterator.prev(),
        }
        self.is_started = true;
        let iterator = self.iterator.get();
        if let Some(stored) = iterator.value() {
            split_value(stored, &self.dir)?;
            return Ok(true);
        }
        iterator.status().map_err(|error| failed(&self.dir, "read", &error))?;
        Ok(false)
    }

    fn key(&self) -> &[u8] {
        self.iterator.get().key().unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        self.iterator
            .get()
            .value()
            .and_then(|stored| stored.get(TIMESTAMP_BYTES..))
            .unwrap_or_default()
    }

    fn timestamp(&self) -> Timestamp {
        let stored = self.iterator.get().value().and_then(|stored| stored.first_chunk());
        Timestamp(stored.map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }
}
