//! Mistakes that can be planted in the engine, to see whether the hunts find them.
//!
//! A hunt that finds nothing proves something only if it would have found a mistake. Each [`Plant`] is one that somebody could
//! make, at the place where it would be made. It is there in debug builds only, and sleeps until the variable [`VARIABLE`]
//! names it: in a release [`is_planted`] is `false` where it is compiled.

use std::sync::LazyLock;

/// The variable of the environment that names what is planted.
pub const VARIABLE: &str = "AION_PLANT";

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A range that was scanned is not in the read set.
    Range,
    /// A row that was looked up is not in the read set; the index entry that led to it is.
    Row,
    /// An entry of the log is applied again, behind the next one.
    Apply,
    /// The log is given up before the rows that it holds are durable.
    Purge,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Range, Self::Row, Self::Apply, Self::Purge];

    /// As [`VARIABLE`] has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Row => "row",
            Self::Apply => "apply",
            Self::Purge => "purge",
        }
    }
}

static PLANTED: LazyLock<Option<Plant>> = LazyLock::new(|| {
    let name = std::env::var(VARIABLE).ok()?;
    Plant::ALL.into_iter().find(|plant| plant.name() == name)
});

/// Whether this mistake is to be made.
pub fn is_planted(plant: Plant) -> bool {
    cfg!(debug_assertions) && *PLANTED == Some(plant)
}
