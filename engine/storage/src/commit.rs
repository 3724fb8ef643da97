//! What a transaction asks for: the commit record.
//!
//! **Vocabulary.** The *read point* of a transaction or statement is the index of the last log entry it can see. A
//! *read range* is a range of keys whose content the transaction relied upon, gaps included. A *precondition* must
//! hold when the commit is decided, at every isolation level. An *insert* is a write that also demands that its
//! key was absent.
//!
//! A [`Commit`] is all that is needed to decide the transaction: no one reads row storage for it (see
//! [`crate::window`]). Its bytes are in [`crate::entry`].

use std::fmt;

use aion_base::id::{Epoch, LogIndex, ShardId, Timestamp, TxnId};
use aion_base::range::KeyRange;
use aion_base::{Error, SqlState};

/// What a transaction is protected from. The numbers are written to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Isolation {
    /// Preconditions only.
    ReadCommitted = 1,
    /// Also: no key it writes was written since the read point of the statement that wrote it (first committer wins).
    RepeatableRead = 2,
    /// Also: nothing it read was changed since its read point. The order of the log is then a serial order.
    Serializable = 3,
}

/// A transaction, ready to be decided.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Chosen by the proposer, unique; proposing it again gives the same outcome.
    pub txn: TxnId,
    /// The shard it belongs to.
    pub shard: ShardId,
    /// The configuration of the shard that the proposer knew.
    pub epoch: Epoch,
    /// How much of it is checked.
    pub isolation: Isolation,
    /// What its first statement saw. No statement's read point is before it.
    pub read_point: LogIndex,
    /// What it read; checked when serializable.
    pub read_ranges: Vec<KeyRange>,
    /// Checked always, in this order.
    pub preconditions: Vec<Precondition>,
    /// Applied together or not at all. A key stands here once.
    pub writes: Vec<Write>,
}

/// A demand on the moment of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// Where the proposer saw that it holds.
    pub read_point: LogIndex,
    /// What must still hold.
    pub check: Check,
}

/// What a precondition demands. The proposer has seen it hold at the precondition's read point.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// The key does not exist; else 23505.
    Absent(Vec<u8>),
    /// The key exists; else 23503.
    Exists(Vec<u8>),
    /// No key of the range exists; else 23503.
    Empty(KeyRange),
    /// No key of the range was written; else 40001.
    Unchanged(KeyRange),
}

/// A new state of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// At most [`KEY_BYTES_MAX`] bytes.
    pub key: Vec<u8>,
    /// What becomes of it.
    pub change: Change,
    /// The read point of the statement that made it.
    pub read_point: LogIndex,
}

/// What becomes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It no longer exists.
    Delete,
    /// It holds this value, whether it existed or not.
    Put(Vec<u8>),
    /// It holds this value and did not exist; else 23505.
    Insert(Vec<u8>),
}

/// A key is at most this many bytes.
pub const KEY_BYTES_MAX: usize = 16 << 10;

/// A value is at most this many bytes: with its key it fits into one entry of the log.
pub const VALUE_BYTES_MAX: usize = crate::log::ENTRY_BYTES_MAX - (64 << 10);

impl Commit {
    /// A serializable transaction of shard 0 that has read and written nothing yet.
    pub fn new(txn: TxnId, read_point: LogIndex) -> Self {
        Self {
            txn,
            shard: ShardId(0),
            epoch: Epoch(0),
            isolation: Isolation::Serializable,
            read_point,
            read_ranges: Vec::new(),
            preconditions: Vec::new(),
            writes: Vec::new(),
        }
    }

    /// Adds a write made at the transaction's read point.
    pub fn write(&mut self, key: impl Into<Vec<u8>>, change: Change) {
        self.writes.push(Write {
            key: key.into(),
            change,
            read_point: self.read_point,
        });
    }

    /// Whether it writes only, and few enough bytes for one entry of the log. A larger one is staged, and a transaction that inserts a key
    /// into what it spans, with a read point before it, is rejected.
    pub fn is_one_entry(&self) -> bool {
        crate::entry::is_one_entry(self)
    }
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable and visible.
    Committed {
        /// Its place in the log.
        index: LogIndex,
        /// Its commit time.
        timestamp: Timestamp,
    },
    /// It has no effect.
    Rejected(Rejection),
}

/// Why a commit was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which check failed.
    pub reason: Reason,
    /// The key concerned: of the duplicate, or of the change that was in the way; the start of the range where no single
    /// key is known; empty for [`Reason::TooOld`].
    pub key: Vec<u8>,
}

/// Which check failed. The numbers are written to storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The read point lies before what is remembered of recent commits.
    TooOld = 1,
    /// Something it read, or a key it writes, was changed by another transaction.
    Changed = 2,
    /// A key that had to be absent exists.
    Duplicate = 3,
    /// A key that had to exist is gone.
    Missing = 4,
    /// A range that had to be empty is not.
    NotEmpty = 5,
}

impl Reason {
    /// The reason with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::TooOld,
            Self::Changed,
            Self::Duplicate,
            Self::Missing,
            Self::NotEmpty,
        ]
        .into_iter()
        .find(|&reason| reason as u8 == number)
    }

    /// What a client sees when nobody above can name the constraint.
    pub fn state(self) -> SqlState {
        match self {
            Self::TooOld | Self::Changed => SqlState::SERIALIZATION_FAILURE,
            Self::Duplicate => SqlState::UNIQUE_VIOLATION,
            Self::Missing | Self::NotEmpty => SqlState::FOREIGN_KEY_VIOLATION,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooOld => "the transaction began too many changes ago",
            Self::Changed => "another transaction changed what this one read",
            Self::Duplicate => "the key exists already",
            Self::Missing => "a key that this change refers to is gone",
            Self::NotEmpty => "the key is still referred to",
        })
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let error = Self::conflict(
            rejection.reason.state(),
            format!("could not commit: {}", rejection.reason),
        );
        match rejection.reason {
            Reason::TooOld | Reason::Changed => error.with_hint("Nothing was written. Run the transaction again."),
            _ => error,
        }
    }
}
