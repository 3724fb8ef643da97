//! The settings that may change while the database runs.
//!
//! **Vocabulary.** A *knob* is a whole number with bounds and a *step*, which is what an automatic change moves it by at once. A
//! knob is *pinned* when a person has set it: then nothing but a person changes it again. One that *needs a restart* keeps its old
//! effect until then, so that nothing can be learnt from changing it.
//!
//! **Guarantees** of [`Knobs`]: a value that [`Knobs::set`] accepted lies within the bounds and is in force when it returns; a refused
//! one changed nothing. Whether the one who sets may do so, and whether the knob is pinned, is decided before: a person sets
//! pinned knobs through the same call.
//!
//! Left out: texts, floats and durations. A duration is a count of [`Unit::Milliseconds`].

use std::fmt::{self, Debug};
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result, SqlState};

/// What a knob counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Files, threads, buffers.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Hundredths.
    PerCent,
}

impl Unit {
    /// As `pg_settings.unit` shows it; a count has none.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Count => None,
            Self::Bytes => Some("B"),
            Self::Milliseconds => Some("ms"),
            Self::PerCent => Some("%"),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or_default())
    }
}

/// A setting, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knob {
    /// What it is called in SQL.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// In force now; after a change that needs a restart, from then on.
    pub value: i64,
    /// What it is when nobody set it.
    pub default: i64,
    /// The least value.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
    /// What an automatic change moves it by; above 0.
    pub step: i64,
    /// Whether a change takes effect only when the database is opened again.
    pub needs_restart: bool,
    /// What it belongs to, as `pg_settings.category`: `Block cache`, `Write buffers`.
    pub family: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// Whether a person has set it.
    pub is_pinned: bool,
}

impl Knob {
    /// Checks that it can have this value.
    ///
    /// # Errors
    /// 22023 beyond its bounds; the hint names them.
    pub fn check(&self, value: i64) -> Result<()> {
        if (self.min..=self.max).contains(&value) {
            return Ok(());
        }
        let Self {
            name, unit, min, max, ..
        } = self;
        let message = format!("{value}{unit} is outside the valid range for parameter \"{name}\"");
        let hint = format!("Choose a value between {min}{unit} and {max}{unit}.");
        Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(hint))
    }

    /// One step up, as far as the bounds allow; None at the upper one.
    pub fn up(&self) -> Option<i64> {
        (self.value < self.max).then(|| self.value.saturating_add(self.step.max(1)).clamp(self.min, self.max))
    }

    /// One step down, as far as the bounds allow; None at the lower one.
    pub fn down(&self) -> Option<i64> {
        (self.value > self.min).then(|| self.value.saturating_sub(self.step.max(1)).clamp(self.min, self.max))
    }
}

/// Whoever has knobs: the engine, and in tests [`ManualKnobs`].
pub trait Knobs: Debug + Send + Sync {
    /// All of them, in an order that stays.
    fn list(&self) -> Vec<Knob>;

    /// One of them.
    ///
    /// # Errors
    /// 42704 where there is none of this name.
    fn get(&self, name: &str) -> Result<Knob> {
        let found = self.list().into_iter().find(|knob| knob.name == name);
        found.ok_or_else(|| unknown(name))
    }

    /// Changes one, and gives the value that it had before: what an undo sets.
    ///
    /// # Errors
    /// 42704 where there is none of this name, 22023 beyond its bounds ([`Knob::check`]), and those of the engine.
    fn set(&self, name: &str, value: i64) -> Result<i64>;
}

/// The error for a name that no knob has.
pub fn unknown(name: &str) -> Error {
    Error::not_found(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
    .with_hint("The view aion.knobs lists them.")
}

/// Knobs that turn nothing: for tests.
#[derive(Debug, Default)]
pub struct ManualKnobs {
    knobs: Mutex<Vec<Knob>>,
}

impl ManualKnobs {
    /// These knobs, with the values they have.
    pub fn new(knobs: impl IntoIterator<Item = Knob>) -> Self {
        Self {
            knobs: Mutex::new(knobs.into_iter().collect()),
        }
    }
}

impl Knobs for ManualKnobs {
    fn list(&self) -> Vec<Knob> {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, name: &str, value: i64) -> Result<i64> {
        let mut knobs = self.knobs.lock().unwrap_or_else(PoisonError::into_inner);
        let knob = knobs.iter_mut().find(|knob| knob.name == name);
        let knob = knob.ok_or_else(|| unknown(name))?;
        knob.check(value)?;
        Ok(std::mem::replace(&mut knob.value, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CACHE: Knob = Knob {
        name: "block_cache_bytes",
        unit: Unit::Bytes,
        value: 64,
        default: 64,
        min: 8,
        max: 100,
        step: 32,
        needs_restart: false,
        family: "Block cache",
        description: "Memory for blocks that were read.",
        is_pinned: false,
    };

    #[test]
    fn a_value_beyond_the_bounds_is_refused_and_changes_nothing() {
        let knobs = ManualKnobs::new([CACHE]);
        for value in [7, 101, i64::MIN, i64::MAX] {
            let error = knobs.set("block_cache_bytes", value).expect_err("beyond the bounds");
            assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
            assert_eq!(error.hint(), Some("Choose a value between 8B and 100B."));
        }
        assert_eq!(knobs.list(), [CACHE]);
        assert_eq!(knobs.set("block_cache_bytes", 8).expect("within them"), 64);
        assert_eq!(knobs.get("block_cache_bytes").expect("it is there").value, 8);
    }

    #[test]
    fn an_unknown_name_is_not_found() {
        let knobs = ManualKnobs::new([CACHE]);
        let errors = [knobs.get("cache").err(), knobs.set("cache", 1).err()];
        for error in errors {
            assert_eq!(error.map(|error| error.state()), Some(SqlState::UNDEFINED_OBJECT));
        }
    }

    #[test]
    fn a_step_ends_at_the_bounds() {
        let at = |value| Knob { value, ..CACHE };
        assert_eq!((at(64).up(), at(64).down()), (Some(96), Some(32)));
        assert_eq!((at(96).up(), at(96).down()), (Some(100), Some(64)));
        assert_eq!((at(100).up(), at(8).down()), (None, None));
        assert_eq!(at(9).down(), Some(8));
        let wide = Knob {
            step: i64::MAX,
            min: i64::MIN,
            max: i64::MAX,
            ..CACHE
        };
        assert_eq!((wide.up(), wide.down()), (Some(i64::MAX), Some(64 - i64::MAX)));
    }
}
