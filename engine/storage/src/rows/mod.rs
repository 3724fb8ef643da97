//! Where the newest version of each key is, and how it is read.
//!
//! **Vocabulary.** A *snapshot* sees the keys as they were after one entry of the log, its *read point*. *Applied* is
//! the last entry whose effect is in the rows; *durably applied* the last whose effect survives a crash without the
//! log.
//!
//! Two implementations, [`rocks`] and [`memory`], pass one suite.

mod history;
mod ingest;
pub mod knobs;
mod latest;
pub mod memory;
mod owned;
mod present;
pub mod rocks;
mod settle;
pub mod watched;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aion_base::id::{LogIndex, Term, Timestamp};
use aion_base::range::KeyRange;
use aion_base::{Error, Result};

use crate::commit::Rejection;
use knobs::{RowsKnob, RowsSignals};

/// A value and its commit time.
pub type Version = (Timestamp, Vec<u8>);

/// What a snapshot sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadPoint {
    /// The last entry of the log that it sees.
    pub index: LogIndex,
    /// The commit time of that entry.
    pub timestamp: Timestamp,
}

/// In which order a scan gives its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Rising.
    Forward,
    /// Falling.
    Backward,
}

/// The keys as they were at one read point. Holding one keeps old versions on disk: drop it soon.
pub trait Snapshot: Send + Sync + fmt::Debug {
    /// What it sees.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    fn read_point(&self) -> Result<ReadPoint>;

    /// Puts the value of `key` into `value`, replacing what was there, and returns its commit time; None if the key does
    /// not exist.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>>;

    /// The values of `keys`, in their order.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Version>>>;

    /// Whether it can still be read: one that may grow too old says so here, too.
    ///
    /// # Errors
    /// 72000.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The keys of `range`, in order.
    fn scan(&self, range: &KeyRange, direction: Direction) -> Box<dyn Scan>;
}

/// A cursor over keys. It owns what it needs of the snapshot.
pub trait Scan: Send {
    /// Moves to the next key; false when there is none.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    fn advance(&mut self) -> Result<bool>;

    /// The key it stands on. Empty before the first [`Scan::advance`] and after the last.
    fn key(&self) -> &[u8];

    /// The value it stands on.
    fn value(&self) -> &[u8];

    /// The commit time of that value.
    fn timestamp(&self) -> Timestamp;
}

/// The last entry whose effect is in the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub index: LogIndex,
    pub term: Term,
    pub timestamp: Timestamp,
}

/// What remains of a commit that had no effect, so that a window can be rebuilt without deciding again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It was rejected.
    Rejected(Rejection),
    /// Its transaction had been decided before.
    Repeated,
}

/// The effect of a run of entries, made visible together.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    pub writes: Vec<RowWrite<'a>>,
    pub notes: Vec<(LogIndex, Note)>,
    /// Notes on entries up to here are no longer needed.
    pub forget_notes: LogIndex,
    pub applied: Applied,
}

/// What becomes of one key.
#[derive(Clone, Copy, Debug)]
pub struct RowWrite<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The commit's time.
    pub timestamp: Timestamp,
    /// None deletes.
    pub value: Option<&'a [u8]>,
}

/// Keys and values, each key behind the one before.
pub trait RisingRows: Send {
    /// The next key and its value; None at the end.
    ///
    /// # Errors
    /// Whatever ends the source early.
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>>;
}

/// The keys at a time that has passed, or why they cannot be read then.
#[derive(Clone, Debug)]
pub enum Past {
    /// As they were.
    Kept(Arc<dyn Snapshot>),
    /// What was overwritten since is not kept: this is the oldest time for which it is.
    Gone(Timestamp),
    /// Nothing that is overwritten is kept.
    NotKept,
}

/// What one round of sweeping history did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Versions that went.
    pub removed: usize,
    /// The end was reached: the next round begins anew.
    pub is_over: bool,
}

/// Storage of the newest version of each key; and, while history is kept, of older ones.
pub trait Rows: Send + Sync + fmt::Debug {
    /// Makes a batch visible, all or nothing. Applying entries again that were applied already changes nothing.
    fn apply(&self, batch: &Batch<'_>) -> Result<()>;

    /// Puts the newest value of `key` into `value`, as [`Snapshot::get`] does: one key needs no snapshot.
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>>;

    /// The keys as they are now.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// The last entry durably applied.
    fn durable_applied(&self) -> Result<Applied>;

    /// Makes what is applied durable. Waits.
    fn flush(&self) -> Result<()>;

    /// Puts keys where no keys are between the first and the last of them, and nobody writes meanwhile, for snapshots taken from now on; neither
    /// through memory nor, so far as that has one, a log. They are durable when this returns, whatever becomes of what was applied before. After an
    /// error some of the first of them may be there. Files that are not finished yet are in `dir`.
    ///
    /// # Errors
    /// Whatever `rows` says; internal where its keys do not rise; 53100 where the disk is full, and other IO errors.
    fn ingest(&self, dir: &Path, timestamp: Timestamp, rows: &mut dyn RisingRows) -> Result<()>;

    /// Removes the keys of these ranges, older versions too, for snapshots taken from now on; those that are open keep seeing them. Each
    /// range holds all keys that begin with its start. Durable with the next [`Rows::flush`], and not before what was applied by now.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    fn clear(&self, ranges: &[KeyRange]) -> Result<()>;

    /// Gives the disk back that keys of these ranges took which no snapshot sees. Takes as long as reading what is there.
    fn compact(&self, ranges: &[KeyRange]);

    /// Brings what is on disk into the form in which it is small and read fast, where that is little work; says whether there was any. For
    /// times when little is written.
    ///
    /// # Errors
    /// Corrupt or IO, naming the folder.
    fn settle(&self) -> Result<bool> {
        Ok(false)
    }

    /// Makes a clone of what is applied in `dir`, which is not there yet: a storage of its own that shares the files that never
    /// change. What is applied meanwhile may or may not be in it.
    ///
    /// # Errors
    /// 0A000 for rows in memory; 53100 where the disk is full.
    fn clone_to(&self, dir: &Path) -> Result<()>;

    /// Bytes that they take on disk; what is not flushed is not counted.
    fn disk_bytes(&self) -> Result<u64>;

    /// About how many bytes a range takes on disk, to a block or two; what is not flushed is not counted.
    fn disk_bytes_of(&self, range: &KeyRange) -> u64;

    /// The keys as they were at `at`. The caller sees to it that nothing is applied any more with a time up to then.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    fn snapshot_at(&self, at: Timestamp) -> Result<Past>;

    /// The oldest time at which the keys can be read; None while nothing that is overwritten is kept.
    fn horizon(&self) -> Option<Timestamp>;

    /// Keeps what is overwritten from now on, or forgets all that was kept. Called by who applies, and not while it does.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    fn keep_history(&self, is_kept: bool) -> Result<()>;

    /// From now on nobody reads before `to`. Called by who applies, and not while it does.
    ///
    /// # Errors
    /// IO, naming the file.
    fn raise_horizon(&self, to: Timestamp) -> Result<()>;

    /// Removes versions that ended before the horizon, among the next `entries` behind `cursor`, which it moves on; empty to begin with.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    fn sweep_history(&self, cursor: &mut Vec<u8>, entries: usize) -> Result<Swept>;

    /// About how many bytes older versions take.
    fn history_bytes(&self) -> u64;

    /// The notes that were not forgotten, in order.
    fn notes(&self) -> Result<Vec<(LogIndex, Note)>>;

    /// What a knob is now; None where these rows have no such.
    fn knob(&self, _: RowsKnob) -> Option<u64> {
        None
    }

    /// Changes a knob, at once and until the rows are closed.
    ///
    /// # Errors
    /// 0A000 where these rows have no such; 22023 for a value that they do not take.
    fn set_knob(&self, knob: RowsKnob, _: u64) -> Result<()> {
        Err(Error::unsupported(format!("rows in memory have no setting {knob:?}")))
    }

    /// How the rows are; None where they do not say.
    ///
    /// # Errors
    /// When that cannot be measured.
    fn signals(&self) -> Result<Option<RowsSignals>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
