//! Structures that follow the commits: indexes in memory, counts.
//!
//! They hold nothing that the rows do not say, so they are never made durable with a commit and can always be built again from a
//! snapshot. A follower that is told of a commit and meets a snapshot at or above its index has seen all that the snapshot
//! sees: the thread that applies calls it after the rows are visible, in the order of the log.

use std::fmt;

use aion_base::id::LogIndex;

pub use crate::rows::RowWrite;

/// Follows the commits of a store.
pub trait Derived: Send + Sync + fmt::Debug {
    /// A commit took effect. Called on the thread that commits, so it must not block and must not read rows; what costs more than
    /// noting the change belongs elsewhere.
    fn applied(&self, index: LogIndex, writes: &[RowWrite<'_>]);

    /// Everything up to here was told of; also when the entries changed nothing.
    fn reached(&self, index: LogIndex);
}
