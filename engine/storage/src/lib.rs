//! Storage: the log, the apply function, versions, snapshots.
//!
//! It knows bytes, ranges of keys, versions, snapshots and a log, and no table, no SQL, no network. A transaction above it reads
//! through a [`Snapshot`], gathers what it read and writes in a [`Commit`], and hands it to a [`Replicator`]; the answer says
//! committed or why not. How that is decided stands in `window`, how it is made durable in `log` and `store`.
//!
//! Deliberately absent: more than one shard.

mod apply;
pub mod commit;
mod derived;
mod directory;
mod entry;
mod locks;
mod log;
mod rows;
mod store;
mod window;

#[doc(hidden)]
pub mod fuzz {
    //! Doors for `aion-fuzz`: formats that nobody else reads.
    pub use crate::entry::fuzz::entry;
    pub use crate::log::fuzz::frames;
}

pub use commit::{Change, Check, Commit, Isolation, Outcome, Precondition, Reason, Rejection, Write};
pub use derived::{Derived, RowWrite};
pub use directory::FORMAT_VERSION;
pub use locks::{
    Attempt, Grant, KeyHash, LockEntry, LockMark, LockMode, LockOptions, LockOwner, LockTable, LockWait, OwnerId,
};
pub use log::LogOptions;
pub use rows::knobs::{RowsKnob, RowsSignals};
pub use rows::rocks::RocksOptions;
pub use rows::watched::Generation;
pub use rows::{Direction, Past, ReadPoint, RisingRows, Scan, Snapshot};
pub use store::backup;
pub use store::{Replicator, Store, StoreCounters, StoreOptions, Ticket};
