//! Rows in memory, for databases that live as long as their process.
//!
//! Each key has its versions, newest last. A snapshot registers its moment; a version is dropped once a newer
//! one exists that every registered snapshot, and every future one, sees. Scans copy a few keys at a time under the lock,
//! so a long scan blocks nobody; clearing a range deletes as many at a time.
//!
//! A *moment* is an entry of the log and how often anything was cleared by then: clearing is no entry, and a snapshot taken
//! before it must not lose what it saw at the same entry.
//!
//! While history is kept, a version stays as well until the one that replaced it is no younger than the horizon. A snapshot at a time sees of each
//! key the newest version that is neither beyond its moment nor beyond the time.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use aion_base::id::{LogIndex, Timestamp};
use aion_base::range::{KeyRange, successor};
use aion_base::{Error, Result};
use parking_lot::RwLock;

use super::ingest::check_rises;
use super::{Applied, Batch, Direction, Note, Past, ReadPoint, RisingRows, Rows, Scan, Snapshot, Swept, Version};

/// Keys that a scan copies, and a clearing deletes, at a time.
const CHUNK: usize = 256;
/// Later than every commit.
const ALWAYS: Timestamp = Timestamp(u64::MAX);

/// See the module's header.
#[derive(Debug, Default)]
pub struct MemoryRows {
    state: Arc<RwLock<State>>,
}

/// Key, commit time and value.
type Item = (Arc<[u8]>, Timestamp, Arc<[u8]>);

/// The last entry applied, and the number of clearings; see the module's header. Both only rise.
type Moment = (LogIndex, u64);

/// The versions of a key, newest last; no value where it was deleted.
type Chain = Vec<(Moment, Timestamp, Option<Arc<[u8]>>)>;

#[derive(Debug, Default)]
struct State {
    keys: BTreeMap<Arc<[u8]>, Chain>,
    applied: Applied,
    /// Chunks of keys that were cleared so far.
    clearings: u64,
    notes: BTreeMap<LogIndex, Note>,
    /// Moments in use, with the number of snapshots at each.
    moments: BTreeMap<Moment, usize>,
    /// Times that snapshots at a time see, with the number of snapshots at each.
    times: BTreeMap<Timestamp, usize>,
    /// Keys with a version to drop once every snapshot sees the moment, and the horizon is at the time.
    garbage: VecDeque<(Moment, Timestamp, Arc<[u8]>)>,
    /// None while no history is kept.
    horizon: Option<Timestamp>,
}

#[cfg(test)]
impl MemoryRows {
    /// Keys, and versions of all of them.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.read();
        (state.keys.len(), state.keys.values().map(Vec::len).sum())
    }
}

fn visible(chain: &Chain, at: Moment, time: Timestamp) -> Option<(Timestamp, &Arc<[u8]>)> {
    let is_seen = |(moment, begin, _): &&(Moment, Timestamp, _)| *moment <= at && *begin <= time;
    let (_, timestamp, value) = chain.iter().rfind(is_seen)?;
    value.as_ref().map(|value| (*timestamp, value))
}

fn range_of<'a>(
    keys: &'a BTreeMap<Arc<[u8]>, Chain>,
    range: &KeyRange,
) -> std::collections::btree_map::Range<'a, Arc<[u8]>, Chain> {
    let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    keys.range::<[u8], _>((Bound::Included(range.start.as_slice()), end))
}

impl State {
    fn now(&self) -> Moment {
        (self.applied.index, self.clearings)
    }

    /// Deletes the first keys of a range; what is left of it, or None once it is done.
    fn clear_chunk(&mut self, range: &KeyRange) -> Option<KeyRange> {
        self.clearings += 1;
        let now = self.now();
        let keys: Vec<Arc<[u8]>> = range_of(&self.keys, range)
            .take(CHUNK)
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            let chain = self.keys.get_mut(key).expect("found above, under the same lock");
            let is_there = chain.last().is_some_and(|(.., value)| value.is_some());
            if is_there {
                chain.push((now, self.applied.timestamp, None));
                self.garbage.push_back((now, self.applied.timestamp, key.clone()));
            }
        }
        self.collect_garbage();
        let last = (keys.len() == CHUNK).then(|| keys.last()).flatten()?;
        Some(KeyRange::new(successor(last), range.end.clone()))
    }

    fn collect_garbage(&mut self) {
        let oldest = self.moments.keys().next().copied().unwrap_or(self.now());
        let time = self.times.keys().next().copied().unwrap_or(ALWAYS);
        let horizon = self.horizon.unwrap_or(ALWAYS).min(time);
        let is_seen = |moment: &Moment, begin: &Timestamp| *moment <= oldest && *begin <= horizon;
        while self
            .garbage
            .front()
            .is_some_and(|(moment, begin, _)| is_seen(moment, begin))
        {
            let Some((.., key)) = self.garbage.pop_front() else {
                break;
            };
            let Some(chain) = self.keys.get_mut(&key) else { continue };
            let seen_by_all = chain.iter().rposition(|(moment, begin, _)| is_seen(moment, begin));
            chain.drain(..seen_by_all.unwrap_or(0));
            if chain.len() == 1 && chain[0].2.is_none() && is_seen(&chain[0].0, &chain[0].1) {
                self.keys.remove(&key);
            }
        }
    }
}

impl MemoryRows {
    /// A snapshot of now that is told to be of `timestamp`, and sees nothing that was written after `time`.
    fn pinned(&self, state: &mut State, timestamp: Timestamp, time: Timestamp) -> MemorySnapshot {
        let moment = state.now();
        *state.moments.entry(moment).or_default() += 1;
        if time != ALWAYS {
            *state.times.entry(time).or_default() += 1;
        }
        let read_point = ReadPoint {
            index: state.applied.index,
            timestamp,
        };
        MemorySnapshot {
            pin: Arc::new(Pin {
                state: self.state.clone(),
                read_point,
                moment,
                time,
            }),
        }
    }
}

impl Rows for MemoryRows {
    fn apply(&self, batch: &Batch<'_>) -> Result<()> {
        let mut state = self.state.write();
        let moment = (batch.applied.index, state.clearings);
        for write in &batch.writes {
            let key: Arc<[u8]> = match state.keys.get_key_value(write.key) {
                Some((key, _)) => key.clone(),
                None => write.key.into(),
            };
            let chain = state.keys.entry(key.clone()).or_default();
            let is_first = chain.is_empty();
            let is_same = |(there, begin, _): &(Moment, Timestamp, _)| *there == moment && *begin == write.timestamp;
            if let Some(at) = chain.iter().position(is_same) {
                chain.remove(at); // Written twice by one commit: the later one counts.
            }
            chain.push((moment, write.timestamp, write.value.map(Into::into)));
            if !is_first || write.value.is_none() {
                state.garbage.push_back((moment, write.timestamp, key));
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
        let now = state.now();
        let found = state.keys.get(key).and_then(|chain| visible(chain, now, ALWAYS));
        Ok(found.map(|(timestamp, bytes)| {
            value.clear();
            value.extend_from_slice(bytes);
            timestamp
        }))
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let mut state = self.state.write();
        let timestamp = state.applied.timestamp;
        Arc::new(self.pinned(&mut state, timestamp, ALWAYS))
    }

    fn snapshot_at(&self, at: Timestamp) -> Result<Past> {
        let mut state = self.state.write();
        Ok(match state.horizon {
            None => Past::NotKept,
            Some(horizon) if at < horizon => Past::Gone(horizon),
            Some(_) => Past::Kept(Arc::new(self.pinned(&mut state, at, at))),
        })
    }

    fn horizon(&self) -> Option<Timestamp> {
        self.state.read().horizon
    }

    fn keep_history(&self, is_kept: bool) -> Result<()> {
        let mut state = self.state.write();
        state.horizon = match is_kept {
            true => Some(state.horizon.unwrap_or(state.applied.timestamp)),
            false => None,
        };
        state.collect_garbage();
        Ok(())
    }

    fn raise_horizon(&self, to: Timestamp) -> Result<()> {
        let mut state = self.state.write();
        state.horizon = state.horizon.map(|horizon| horizon.max(to));
        state.collect_garbage();
        Ok(())
    }

    /// What nobody sees any more is gone already.
    fn sweep_history(&self, _: &mut Vec<u8>, _: usize) -> Result<Swept> {
        Ok(Swept {
            removed: 0,
            is_over: true,
        })
    }

    /// They take no disk.
    fn history_bytes(&self) -> u64 {
        0
    }

    fn durable_applied(&self) -> Result<Applied> {
        Ok(Applied::default())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn ingest(&self, _: &Path, timestamp: Timestamp, rows: &mut dyn RisingRows) -> Result<()> {
        let mut last = Vec::new();
        while let Some((key, value)) = rows.next()? {
            check_rises(&mut last, key)?;
            let mut state = self.state.write();
            // As a clearing: no entry of the log says when it was.
            state.clearings += 1;
            let moment = state.now();
            let key: Arc<[u8]> = key.into();
            let chain = state.keys.entry(key.clone()).or_default();
            chain.push((moment, timestamp, Some(value.into())));
            // It was there, and cleared away.
            if chain.len() > 1 {
                state.garbage.push_back((moment, timestamp, key));
            }
        }
        Ok(())
    }

    fn clear(&self, ranges: &[KeyRange]) -> Result<()> {
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            let mut rest = Some(range.clone());
            while let Some(range) = rest {
                rest = self.state.write().clear_chunk(&range);
            }
        }
        Ok(())
    }

    /// What nobody sees any more is gone already.
    fn compact(&self, _: &[KeyRange]) {}

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

/// Keeps the versions that a moment sees.
#[derive(Debug)]
struct Pin {
    state: Arc<RwLock<State>>,
    read_point: ReadPoint,
    moment: Moment,
    /// What was written later is not seen.
    time: Timestamp,
}

/// One less of something that is counted: whether that was the last.
fn is_last_of<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) -> bool {
    let Entry::Occupied(mut entry) = counts.entry(key) else {
        return false;
    };
    *entry.get_mut() -= 1;
    if *entry.get() > 0 {
        return false;
    }
    entry.remove();
    true
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.state.write();
        let mut is_last = is_last_of(&mut state.moments, self.moment);
        if self.time != ALWAYS {
            is_last |= is_last_of(&mut state.times, self.time);
        }
        if is_last {
            state.collect_garbage();
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
            .and_then(|chain| visible(chain, self.pin.moment, self.pin.time));
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
        let keys = range_of(&state.keys, &range);
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
            if let Some((timestamp, value)) = visible(chain, self.pin.moment, self.pin.time) {
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
