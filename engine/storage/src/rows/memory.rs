//! Rows in memory, for databases that live as long as their process.
//!
//! Each key has its versions, newest last. A snapshot registers its read point; a version is dropped once a newer
//! one exists that every registered snapshot, and every future one, sees. Scans copy a few keys at a time under the lock,
//! so a long scan blocks nobody.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use aion_base::id::{LogIndex, Timestamp};
use aion_base::range::KeyRange;
use aion_base::{Error, Result};
use parking_lot::RwLock;

use super::{Applied, Batch, Direction, Note, ReadPoint, Rows, Scan, Snapshot, Version};

/// Keys that a scan copies at a time.
const CHUNK: usize = 256;

/// See the module's header.
#[derive(Debug, Default)]
pub struct MemoryRows {
    state: Arc<RwLock<State>>,
}

/// Key, commit time and value.
type Item = (Arc<[u8]>, Timestamp, Arc<[u8]>);

/// The versions of a key, newest last; no value where it was deleted.
type Chain = Vec<(LogIndex, Timestamp, Option<Arc<[u8]>>)>;

#[derive(Debug, Default)]
struct State {
    keys: BTreeMap<Arc<[u8]>, Chain>,
    applied: Applied,
    notes: BTreeMap<LogIndex, Note>,
    /// Read points in use, with the number of snapshots at each.
    read_points: BTreeMap<LogIndex, usize>,
    /// Keys with a version to drop once every snapshot sees the entry.
    garbage: VecDeque<(LogIndex, Arc<[u8]>)>,
}

#[cfg(test)]
impl MemoryRows {
    /// Keys, and versions of all of them.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.read();
        (state.keys.len(), state.keys.values().map(Vec::len).sum())
    }
}

fn visible(chain: &Chain, at: LogIndex) -> Option<(Timestamp, &Arc<[u8]>)> {
    let (_, timestamp, value) = chain.iter().rfind(|(index, ..)| *index <= at)?;
    value.as_ref().map(|value| (*timestamp, value))
}

impl State {
    fn collect_garbage(&mut self) {
        let oldest = self.read_points.keys().next().copied().unwrap_or(self.applied.index);
        while self.garbage.front().is_some_and(|(index, _)| *index <= oldest) {
            let Some((_, key)) = self.garbage.pop_front() else {
                break;
            };
            let Some(chain) = self.keys.get_mut(&key) else { continue };
            let seen_by_all = chain.iter().rposition(|(index, ..)| *index <= oldest).unwrap_or(0);
            chain.drain(..seen_by_all);
            if chain.len() == 1 && chain[0].2.is_none() && chain[0].0 <= oldest {
                self.keys.remove(&key);
            }
        }
    }
}

impl Rows for MemoryRows {
    fn apply(&self, batch: &Batch<'_>) -> Result<()> {
        let mut state = self.state.write();
        let index = batch.applied.index;
        for write in &batch.writes {
            let key: Arc<[u8]> = match state.keys.get_key_value(write.key) {
                Some((key, _)) => key.clone(),
                None => write.key.into(),
            };
            let chain = state.keys.entry(key.clone()).or_default();
            let is_first = chain.is_empty();
            if let Some(at) = chain.iter().position(|(there, ..)| *there == index) {
                chain.remove(at); // Written twice by one batch: the later one counts.
            }
            chain.push((index, write.timestamp, write.value.map(Into::into)));
            if !is_first || write.value.is_none() {
                state.garbage.push_back((index, key));
            }
        }
        state.notes.extend(batch.notes.iter().cloned());
        if batch.forget_notes > LogIndex(0) {
            state.notes = state.notes.split_off(&batch.forget_notes.next());
        }
        state.applied = batch.applied;
        state.collect_garbage();
        Ok(())
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        let state = self.state.read();
        let found = state
            .keys
            .get(key)
            .and_then(|chain| visible(chain, state.applied.index));
        Ok(found.map(|(timestamp, bytes)| {
            value.clear();
            value.extend_from_slice(bytes);
            timestamp
        }))
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let mut state = self.state.write();
        let applied = state.applied;
        *state.read_points.entry(applied.index).or_default() += 1;
        drop(state);
        let read_point = ReadPoint {
            index: applied.index,
            timestamp: applied.timestamp,
        };
        Arc::new(MemorySnapshot {
            pin: Arc::new(Pin {
                state: self.state.clone(),
                read_point,
            }),
        })
    }

    fn durable_applied(&self) -> Result<Applied> {
        Ok(Applied::default())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64> {
        Ok(0)
    }

    fn disk_bytes_of(&self, _: &KeyRange) -> u64 {
        0
    }

    fn clone_to(&self, _: &Path) -> Result<()> {
        Err(Error::unsupported("a database in memory cannot be cloned"))
    }

    fn notes(&self) -> Result<Vec<(LogIndex, Note)>> {
        Ok(self
            .state
            .read()
            .notes
            .iter()
            .map(|(index, note)| (*index, note.clone()))
            .collect())
    }
}

/// Keeps the versions that a read point sees.
#[derive(Debug)]
struct Pin {
    state: Arc<RwLock<State>>,
    read_point: ReadPoint,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.state.write();
        if let Some(count) = state.read_points.get_mut(&self.read_point.index) {
            *count -= 1;
            if *count == 0 {
                state.read_points.remove(&self.read_point.index);
                state.collect_garbage();
            }
        }
    }
}

#[derive(Debug)]
struct MemorySnapshot {
    pin: Arc<Pin>,
}

impl Snapshot for MemorySnapshot {
    fn read_point(&self) -> Result<ReadPoint> {
        Ok(self.pin.read_point)
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        let state = self.pin.state.read();
        let found = state
            .keys
            .get(key)
            .and_then(|chain| visible(chain, self.pin.read_point.index));
        Ok(found.map(|(timestamp, bytes)| {
            value.clear();
            value.extend_from_slice(bytes);
            timestamp
        }))
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Version>>> {
        keys.iter()
            .map(|key| {
                let mut value = Vec::new();
                Ok(self.get(key, &mut value)?.map(|timestamp| (timestamp, value)))
            })
            .collect()
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Box<dyn Scan> {
        Box::new(MemoryScan {
            pin: self.pin.clone(),
            rest: (!range.is_empty()).then(|| range.clone()),
            direction,
            chunk: VecDeque::new(),
            current: None,
        })
    }
}

struct MemoryScan {
    pin: Arc<Pin>,
    /// What is still to be copied.
    rest: Option<KeyRange>,
    direction: Direction,
    chunk: VecDeque<Item>,
    current: Option<Item>,
}

impl MemoryScan {
    fn fill(&mut self) {
        let Some(range) = self.rest.take() else { return };
        let state = self.pin.state.read();
        let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let keys = state
            .keys
            .range::<[u8], _>((Bound::Included(range.start.as_slice()), end));
        let keys: Box<dyn Iterator<Item = _>> = match self.direction {
            Direction::Forward => Box::new(keys),
            Direction::Backward => Box::new(keys.rev()),
        };
        for (looked_at, (key, chain)) in keys.enumerate() {
            if looked_at == CHUNK {
                self.rest = Some(match self.direction {
                    Direction::Forward => KeyRange::new(key.to_vec(), range.end.clone()),
                    Direction::Backward => KeyRange::new(range.start.clone(), KeyRange::point(key).end),
                });
                return;
            }
            if let Some((timestamp, value)) = visible(chain, self.pin.read_point.index) {
                self.chunk.push_back((key.clone(), timestamp, value.clone()));
            }
        }
    }
}

impl Scan for MemoryScan {
    fn advance(&mut self) -> Result<bool> {
        while self.chunk.is_empty() && self.rest.is_some() {
            self.fill();
        }
        self.current = self.chunk.pop_front();
        Ok(self.current.is_some())
    }

    fn key(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |(key, ..)| key)
    }

    fn value(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |(.., value)| value)
    }

    fn timestamp(&self) -> Timestamp {
        self.current
            .as_ref()
            .map_or(Timestamp(0), |(_, timestamp, _)| *timestamp)
    }
}
