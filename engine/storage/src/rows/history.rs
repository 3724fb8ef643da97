//! Older versions of keys in RocksDB, and reading the keys as they were at a time.
//!
//! **Vocabulary.** A version *begins* at the time of the commit that wrote it and *ends* at that of the commit that overwrote or deleted it. The
//! *horizon* is the oldest time at which the keys can still be read.
//!
//! ```text
//! family hist   escaped key | !begin u64 BE   -> end u64 LE | value           versions that ended
//! family meta   "history"                     -> 1 u8 | horizon u64 LE | reached u64 LE
//!
//! escaped key   each 0x00 as 00 FF, then 00 01: keys stay in their order, and none is the beginning of another
//! ```
//!
//! **Guarantees.** At every time from the horizon on, a key has the value that it had after the last commit up to that time. What the record
//! cannot vouch for is refused: `reached` is the last entry of the log whose overwritten versions were kept. Rows that are further than that
//! were written by somebody who kept none (a program of before), and the horizon becomes the time of the last of them.
//!
//! **How.**
//! 1. [`keep`] reads what a batch overwrites and adds it to the batch: a row and the version before it become visible together. An entry that is
//!    applied again finds itself in the rows, or writes the same version a second time.
//! 2. A version has its end with it. So a deleted key needs no mark of its own, and versions can go one by one, in any order.
//! 3. A read at a time takes the row if it had begun by then; else the newest version that had begun by then, if it had not ended.
//! 4. The horizon rises first, in a write of its own; then a sweep deletes what ended at or before it, some entries at a time. Whoever has a
//!    snapshot of before keeps its versions.
//!
//! **Rejected:** a compaction filter. It would cost no writes, but it takes versions from under snapshots that are open, and does nothing in
//! files that nobody compacts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aion_base::id::{LogIndex, Timestamp};
use aion_base::range::KeyRange;
use aion_base::{Error, Result};
use rocksdb::{ReadOptions, WriteBatch};

use super::owned::{Db, OwnedIterator, OwnedSnapshot};
use super::rocks::{META, ROW, TIMESTAMP_BYTES, failed, family, split_value};
use super::{Applied, Batch, Direction, ReadPoint, Scan, Snapshot, Swept, Version};

pub const HISTORY: &str = "hist";
const RECORD: &[u8] = b"history";
/// The version of the record that this code writes.
const VERSION: u8 = 1;
const BEGIN_BYTES: usize = 8;
const END_BYTES: usize = 8;
/// Rows that are looked up at a time.
const KEYS_AT_ONCE: usize = 1024;
/// Versions of a key that are passed one by one before the next key is sought.
const STEPS_MAX: usize = 8;
/// Deletions that one write of a sweep makes.
const DELETIONS_AT_ONCE: usize = 1024;

/// Whether older versions are kept, and since when.
#[derive(Debug, Default)]
pub struct History {
    is_kept: AtomicBool,
    horizon: AtomicU64,
}

impl History {
    /// As it was when the rows were closed.
    ///
    /// # Errors
    /// Corrupt for a damaged record, 0A000 for one of a newer version.
    pub fn open(db: &Db, applied: Applied, dir: &Path) -> Result<Self> {
        let found = db
            .get_cf(family(db, META), RECORD)
            .map_err(|error| failed(dir, "read", &error))?;
        let Some(record) = found else {
            return Ok(Self::default());
        };
        match record.first() {
            Some(&VERSION) => {}
            Some(newer) if *newer > VERSION => {
                return Err(Error::unsupported(format!(
                    "the history in {} has version {newer}, and this program knows version {VERSION}",
                    dir.display()
                ))
                .with_hint("Open it with the program that wrote it, or a newer one."));
            }
            _ => return Err(damaged(dir)),
        }
        let number = |at: usize| {
            let bytes = record.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let (Some(horizon), Some(reached), 17) = (number(1), number(9), record.len()) else {
            return Err(damaged(dir));
        };
        // Somebody else applied entries meanwhile, and kept nothing.
        let horizon = match reached == applied.index.0 {
            true => horizon,
            false => horizon.max(applied.timestamp.0),
        };
        Ok(Self {
            is_kept: AtomicBool::new(true),
            horizon: AtomicU64::new(horizon),
        })
    }

    /// Whether what is overwritten is kept.
    pub fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// The oldest time at which the keys can be read; None while nothing is kept.
    pub fn horizon(&self) -> Option<Timestamp> {
        self.is_kept().then(|| Timestamp(self.horizon.load(Ordering::Acquire)))
    }

    /// The record, for a batch that reaches `index`.
    pub fn write(&self, db: &Db, index: LogIndex, out: &mut WriteBatch) {
        out.put_cf(
            family(db, META),
            RECORD,
            record(self.horizon.load(Ordering::Relaxed), index),
        );
    }

    /// Begins to keep what is overwritten from `applied` on, unless that is so already. By who applies.
    pub fn begin(&self, db: &Db, applied: Applied, out: &mut WriteBatch) {
        if !self.is_kept() {
            self.horizon.store(applied.timestamp.0, Ordering::Relaxed);
            self.write(db, applied.index, out);
        }
    }

    /// What [`History::begin`] said is written.
    pub fn begun(&self) {
        self.is_kept.store(true, Ordering::Release);
    }

    /// Keeps nothing any more, and forgets what is there. By who applies.
    pub fn end(&self, db: &Db, dir: &Path, out: &mut WriteBatch) -> Result<()> {
        self.is_kept.store(false, Ordering::Relaxed);
        out.delete_cf(family(db, META), RECORD);
        if let Some(end) = last_key(db, dir)? {
            let first: &[u8] = &[];
            out.delete_range_cf(family(db, HISTORY), first, end.as_slice());
        }
        Ok(())
    }

    /// Raises the horizon. By who applies, whose last entry is `applied`.
    pub fn raise(&self, db: &Db, to: Timestamp, applied: Applied, out: &mut WriteBatch) {
        self.horizon.fetch_max(to.0, Ordering::Release);
        self.write(db, applied.index, out);
    }
}

fn record(horizon: u64, reached: LogIndex) -> Vec<u8> {
    let mut record = vec![VERSION];
    record.extend_from_slice(&horizon.to_le_bytes());
    record.extend_from_slice(&reached.0.to_le_bytes());
    record
}

/// The horizon as a snapshot sees it; None where it sees no history.
///
/// # Errors
/// Corrupt or IO.
pub fn horizon_in(snapshot: &OwnedSnapshot, dir: &Path) -> Result<Option<Timestamp>> {
    let db = snapshot.db();
    let found = db
        .get_pinned_cf_opt(family(db, META), RECORD, snapshot.options())
        .map_err(|error| failed(dir, "read", &error))?;
    let Some(record) = found else { return Ok(None) };
    let horizon = record.get(1..9).and_then(|bytes| bytes.try_into().ok());
    let horizon = horizon.map(u64::from_le_bytes).ok_or_else(|| damaged(dir))?;
    Ok(Some(Timestamp(horizon)))
}

fn damaged(dir: &Path) -> Error {
    Error::corrupt(format!("the history of the rows in {} is damaged", dir.display()))
        .with_hint("Restore the data directory from a backup; nothing was changed.")
}

/// A key behind the last one; None where there is none.
fn last_key(db: &Db, dir: &Path) -> Result<Option<Vec<u8>>> {
    let mut iterator = db.raw_iterator_cf(family(db, HISTORY));
    iterator.seek_to_last();
    let end = iterator.key().map(aion_base::range::successor);
    iterator.status().map_err(|error| failed(dir, "read", &error))?;
    Ok(end)
}

fn escape(key: &[u8], out: &mut Vec<u8>) {
    for &byte in key {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
}

/// What the versions of a key begin with.
fn group_of(key: &[u8]) -> Vec<u8> {
    let mut group = Vec::with_capacity(key.len() + 4 + BEGIN_BYTES);
    escape(key, &mut group);
    group.extend_from_slice(&[0, 1]);
    group
}

/// The versions of the keys of a range.
pub fn range_of(range: &KeyRange) -> KeyRange {
    let escaped = |key: &[u8]| {
        let mut out = Vec::with_capacity(key.len() + 2);
        escape(key, &mut out);
        out
    };
    KeyRange::new(escaped(&range.start), range.end.as_deref().map(escaped))
}

/// Where a version is that began then.
fn place(mut group: Vec<u8>, begin: Timestamp) -> Vec<u8> {
    group.extend_from_slice(&(!begin.0).to_be_bytes());
    group
}

/// The key and the begin of a version, from where it is.
fn read_place(place: &[u8], key: &mut Vec<u8>) -> Option<Timestamp> {
    let (group, begin) = place.split_last_chunk::<BEGIN_BYTES>()?;
    let escaped = group.strip_suffix(&[0, 1])?;
    key.clear();
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        key.push(byte);
        if byte == 0 && bytes.next() != Some(&0xff) {
            return None;
        }
    }
    Some(Timestamp(!u64::from_be_bytes(*begin)))
}

/// Adds the versions that a batch overwrites.
///
/// # Errors
/// Corrupt or IO: nothing was written.
pub fn keep(db: &Db, batch: &Batch<'_>, options: &ReadOptions, dir: &Path, out: &mut WriteBatch) -> Result<()> {
    let (row, history) = (family(db, ROW), family(db, HISTORY));
    // What the batch itself wrote before.
    let mut within: HashMap<&[u8], (Timestamp, Option<&[u8]>)> = HashMap::new();
    let mut stored = Vec::new();
    let mut add = |out: &mut WriteBatch, key: &[u8], begin: Timestamp, end: Timestamp, value: &[u8]| {
        // Not so for an entry that is applied again.
        if begin < end {
            stored.clear();
            stored.extend_from_slice(&end.0.to_le_bytes());
            stored.extend_from_slice(value);
            out.put_cf(history, place(group_of(key), begin), &stored);
        }
    };
    for writes in batch.writes.chunks(KEYS_AT_ONCE) {
        let keys = writes.iter().map(|write| write.key);
        let found = db.batched_multi_get_cf_opt(row, keys, false, options);
        for (write, found) in writes.iter().zip(found) {
            let found = found.map_err(|error| failed(dir, "read", &error))?;
            match within.get(write.key) {
                Some((begin, Some(value))) => add(out, write.key, *begin, write.timestamp, value),
                Some((_, None)) => {}
                None => {
                    if let Some(stored) = &found {
                        let (begin, value) = split_value(stored, dir)?;
                        add(out, write.key, begin, write.timestamp, value);
                    }
                }
            }
            if batch.writes.len() > 1 {
                within.insert(write.key, (write.timestamp, write.value));
            }
        }
    }
    Ok(())
}

/// Deletes versions that ended at or before `horizon`, among the next `entries` behind `cursor`, which it moves on.
///
/// # Errors
/// Corrupt or IO.
pub fn sweep(
    db: &Db,
    horizon: Timestamp,
    cursor: &mut Vec<u8>,
    entries: usize,
    dir: &Path,
    write: &dyn Fn(WriteBatch) -> Result<()>,
) -> Result<Swept> {
    let history = family(db, HISTORY);
    let mut options = ReadOptions::default();
    // What is swept is not what is read next.
    options.fill_cache(false);
    options.set_iterate_lower_bound(cursor.clone());
    let mut iterator = db.raw_iterator_cf_opt(history, options);
    iterator.seek_to_first();
    let (mut seen, mut removed) = (0, 0);
    let mut out = WriteBatch::default();
    while seen < entries {
        let Some((place, stored)) = iterator.item() else { break };
        let end = stored.first_chunk::<END_BYTES>().ok_or_else(|| damaged(dir))?;
        if u64::from_le_bytes(*end) <= horizon.0 {
            out.delete_cf(history, place);
            removed += 1;
        }
        seen += 1;
        cursor.clear();
        cursor.extend_from_slice(place);
        cursor.push(0);
        if out.len() >= DELETIONS_AT_ONCE {
            write(std::mem::take(&mut out))?;
        }
        iterator.next();
    }
    iterator.status().map_err(|error| failed(dir, "read", &error))?;
    let is_over = !iterator.valid();
    if !out.is_empty() {
        write(out)?;
    }
    if is_over {
        cursor.clear();
    }
    Ok(Swept { removed, is_over })
}

/// The keys as they were at a time, not before the horizon of the snapshot.
pub struct PastSnapshot {
    snapshot: Arc<OwnedSnapshot>,
    dir: Arc<Path>,
    index: LogIndex,
    at: Timestamp,
}

impl PastSnapshot {
    /// `index` is the last entry that `snapshot` sees.
    pub fn new(snapshot: Arc<OwnedSnapshot>, dir: Arc<Path>, index: LogIndex, at: Timestamp) -> Self {
        Self {
            snapshot,
            dir,
            index,
            at,
        }
    }

    /// The version of a key that ended after the time, put into `value`.
    fn find(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        let group = group_of(key);
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(end_of(&group));
        options.set_iterate_lower_bound(place(group, self.at));
        let history = family(self.snapshot.db(), HISTORY);
        let mut iterator = OwnedIterator::new(self.snapshot.clone(), history, options);
        iterator.seek_to_first();
        let Some((place, stored)) = iterator.get().item() else {
            let status = iterator.get().status();
            return status.map(|()| None).map_err(|error| failed(&self.dir, "read", &error));
        };
        let begin = read_place(place, &mut Vec::new()).ok_or_else(|| damaged(&self.dir))?;
        self.take(stored, value).map(|is_there| is_there.then_some(begin))
    }

    /// Puts the value of a version that had begun into `value`; false if it had ended.
    fn take(&self, stored: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        take(stored, self.at, &self.dir, value)
    }
}

fn take(stored: &[u8], at: Timestamp, dir: &Path, value: &mut Vec<u8>) -> Result<bool> {
    let (end, bytes) = stored.split_first_chunk::<END_BYTES>().ok_or_else(|| damaged(dir))?;
    if u64::from_le_bytes(*end) <= at.0 {
        return Ok(false);
    }
    value.clear();
    value.extend_from_slice(bytes);
    Ok(true)
}

/// A key behind all versions of a group.
fn end_of(group: &[u8]) -> Vec<u8> {
    let mut end = group.to_vec();
    // It ends in 00 01.
    if let Some(last) = end.last_mut() {
        *last = 2;
    }
    end
}

impl std::fmt::Debug for PastSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PastSnapshot({}, {})", self.dir.display(), self.at.0)
    }
}

impl Snapshot for PastSnapshot {
    fn read_point(&self) -> Result<ReadPoint> {
        Ok(ReadPoint {
            index: self.index,
            timestamp: self.at,
        })
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        let db = self.snapshot.db();
        let found = db
            .get_pinned_cf_opt(family(db, ROW), key, self.snapshot.options())
            .map_err(|error| failed(&self.dir, "read", &error))?;
        if let Some(stored) = found {
            let (begin, bytes) = split_value(&stored, &self.dir)?;
            if begin <= self.at {
                value.clear();
                value.extend_from_slice(bytes);
                return Ok(Some(begin));
            }
        }
        self.find(key, value)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Version>>> {
        let db = self.snapshot.db();
        let options = self.snapshot.options();
        let found = db.batched_multi_get_cf_opt(family(db, ROW), keys.iter().copied(), false, options);
        let mut value = Vec::new();
        let versions = keys.iter().zip(found).map(|(key, found)| {
            if let Some(stored) = found.map_err(|error| failed(&self.dir, "read", &error))? {
                let (begin, bytes) = split_value(&stored, &self.dir)?;
                if begin <= self.at {
                    return Ok(Some((begin, bytes.to_vec())));
                }
            }
            Ok(self.find(key, &mut value)?.map(|begin| (begin, value.clone())))
        });
        versions.collect()
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Box<dyn Scan> {
        let iterator = |name: &str, range: &KeyRange| {
            let mut options = ReadOptions::default();
            options.set_iterate_lower_bound(range.start.clone());
            // RocksDB takes bounds as given; an end before the start must not reach it.
            if let Some(end) = range.end.clone().map(|end| end.max(range.start.clone())) {
                options.set_iterate_upper_bound(end);
            }
            OwnedIterator::new(self.snapshot.clone(), family(self.snapshot.db(), name), options)
        };
        Box::new(PastScan {
            rows: iterator(ROW, range),
            older: iterator(HISTORY, &range_of(range)),
            older_key: Vec::new(),
            has_older: false,
            direction,
            at: self.at,
            is_started: false,
            current: Current::None,
            key: Vec::new(),
            value: Vec::new(),
            begin: Timestamp(0),
            dir: self.dir.clone(),
        })
    }
}

/// Merges the rows with the groups of older versions, both in the order of their keys.
struct PastScan {
    rows: OwnedIterator,
    /// Stands on the version of a group that comes first in the scan's direction.
    older: OwnedIterator,
    /// The key of that group.
    older_key: Vec<u8>,
    has_older: bool,
    direction: Direction,
    at: Timestamp,
    is_started: bool,
    current: Current,
    key: Vec<u8>,
    value: Vec<u8>,
    begin: Timestamp,
    dir: Arc<Path>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Current {
    None,
    /// Where `rows` stands.
    Row,
    /// `key`, `value` and `begin`.
    Older,
}

impl PastScan {
    fn start(&mut self) -> Result<()> {
        self.is_started = true;
        for iterator in [&mut self.rows, &mut self.older] {
            match self.direction {
                Direction::Forward => iterator.seek_to_first(),
                Direction::Backward => iterator.seek_to_last(),
            }
        }
        self.meet()
    }

    fn step_row(&mut self) {
        match self.direction {
            Direction::Forward => self.rows.next(),
            Direction::Backward => self.rows.prev(),
        }
    }

    /// Notes the group on which `older` stands.
    fn meet(&mut self) -> Result<()> {
        let iterator = self.older.get();
        self.has_older = match iterator.key() {
            Some(place) => {
                read_place(place, &mut self.older_key).ok_or_else(|| damaged(&self.dir))?;
                true
            }
            None => {
                iterator.status().map_err(|error| failed(&self.dir, "read", &error))?;
                false
            }
        };
        Ok(())
    }

    /// Takes the version of the group that is wanted, if it has one, and goes on to the next group.
    fn resolve(&mut self, is_wanted: bool) -> Result<bool> {
        let group = group_of(&self.older_key);
        let mut is_found = false;
        if is_wanted {
            let wanted = place(group.clone(), self.at);
            // Forward, the newest version comes first: it may be the one.
            let is_before = self.older.get().key().is_some_and(|there| there < wanted.as_slice());
            if is_before || self.direction == Direction::Backward {
                self.older.seek(&wanted);
            }
            if let Some((there, stored)) = self.older.get().item()
                && there.starts_with(&group)
            {
                self.begin = read_place(there, &mut self.key).ok_or_else(|| damaged(&self.dir))?;
                is_found = take(stored, self.at, &self.dir, &mut self.value)?;
            }
            // An error leaves it nowhere, as the end does.
            let status = self.older.get().status();
            status.map_err(|error| failed(&self.dir, "read", &error))?;
        }
        match self.direction {
            Direction::Forward => {
                let is_within =
                    |older: &OwnedIterator| older.get().key().is_some_and(|there| there.starts_with(&group));
                let mut steps = 0;
                while is_within(&self.older) {
                    match steps < STEPS_MAX {
                        true => self.older.next(),
                        false => self.older.seek(&end_of(&group)),
                    }
                    steps += 1;
                }
            }
            Direction::Backward => self.older.seek_for_prev(&group),
        }
        self.meet()?;
        Ok(is_found)
    }
}

impl Scan for PastScan {
    fn advance(&mut self) -> Result<bool> {
        match (self.is_started, self.current) {
            (false, _) => self.start()?,
            (true, Current::Row) => self.step_row(),
            (true, _) => {}
        }
        self.current = Current::None;
        loop {
            let row = self.rows.get().item();
            let ordering = match (row, self.has_older) {
                (None, false) => {
                    let status = self.rows.get().status();
                    return status
                        .map(|()| false)
                        .map_err(|error| failed(&self.dir, "read", &error));
                }
                (Some(_), false) => std::cmp::Ordering::Less,
                (None, true) => std::cmp::Ordering::Greater,
                (Some((key, _)), true) => match self.direction {
                    Direction::Forward => key.cmp(self.older_key.as_slice()),
                    Direction::Backward => self.older_key.as_slice().cmp(key),
                },
            };
            let has_begun = match row {
                Some((_, stored)) if ordering.is_le() => split_value(stored, &self.dir)?.0 <= self.at,
                _ => false,
            };
            let is_found = match ordering.is_ge() {
                true => self.resolve(!has_begun)?,
                false => false,
            };
            if has_begun {
                self.current = Current::Row;
                return Ok(true);
            }
            if ordering.is_le() {
                self.step_row();
            }
            if is_found {
                self.current = Current::Older;
                return Ok(true);
            }
        }
    }

    fn key(&self) -> &[u8] {
        match self.current {
            Current::None => &[],
            Current::Row => self.rows.get().key().unwrap_or_default(),
            Current::Older => &self.key,
        }
    }

    fn value(&self) -> &[u8] {
        let stored = match self.current {
            Current::None => return &[],
            Current::Row => self.rows.get().value().unwrap_or_default(),
            Current::Older => return &self.value,
        };
        stored.get(TIMESTAMP_BYTES..).unwrap_or_default()
    }

    fn timestamp(&self) -> Timestamp {
        match self.current {
            Current::None => Timestamp(0),
            Current::Row => {
                let stored = self.rows.get().value().and_then(|stored| stored.first_chunk());
                Timestamp(stored.map_or(0, |bytes| u64::from_le_bytes(*bytes)))
            }
            Current::Older => self.begin,
        }
    }
}

#[cfg(test)]
mod tests;
