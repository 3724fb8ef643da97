//! The isolation levels, and what each one owes to its clients.

/// A level of the SQL standard, with what Aion gives under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Every history is that of one transaction after the other, in an order that agrees with the clock.
    Serializable,
    /// Snapshot isolation: all reads at one point not before BEGIN, and of two that overlap and write a row, one fails.
    RepeatableRead,
    /// Each statement reads what was committed when it began.
    ReadCommitted,
}

/// The levels that the server has: adding one here adds it to every workload.
pub const LEVELS: &[Level] = &Level::ALL;

impl Level {
    /// All of them, for checks of the checkers: these need no server.
    pub const ALL: [Level; 3] = [Level::Serializable, Level::RepeatableRead, Level::ReadCommitted];

    /// As BEGIN takes it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Serializable => "SERIALIZABLE",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::ReadCommitted => "READ COMMITTED",
        }
    }

    /// What adya calls what we claim: one process commits in one order, so each level holds in real time, too.
    pub fn model(self) -> &'static str {
        match self {
            Self::Serializable => "strict-serializable",
            Self::RepeatableRead => "strong-snapshot-isolation",
            Self::ReadCommitted => "strong-read-committed",
        }
    }

    /// Whether two statements of one transaction read the same rows.
    pub fn is_one_snapshot(self) -> bool {
        self != Self::ReadCommitted
    }

    /// Whether a decision still holds at the commit when others changed only what it read.
    pub fn forbids_write_skew(self) -> bool {
        self == Self::Serializable
    }
}
