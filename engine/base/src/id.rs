//! Ids. One newtype for each, so that two bare integers never stand side by side.

use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        })*
    };
}

ids! {
    /// A storage object: the first four bytes of every key. A table's rewrite gets a new one.
    TableId(u32);
    /// An index of a table; 0 is the primary key, where the rows are.
    IndexId(u16);
    /// Place of an entry in the log; the first is 1, 0 means "before any".
    LogIndex(u64);
    /// Raft term of the entry; 1 while there is one node.
    Term(u64);
    /// Commit time in microseconds since 1970-01-01 UTC, strictly rising along the log.
    Timestamp(u64);
    /// Chosen by the client of the log; the same id asks for the same outcome.
    TxnId(u128);
    /// Shard that a commit belongs to; 0 while there is one.
    ShardId(u32);
    /// Configuration of a shard, raised by splits and merges; 0 while there is one shard.
    Epoch(u32);
}

impl LogIndex {
    /// The index after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
