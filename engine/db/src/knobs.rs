//! The knobs of a database: those of its rows, within its memory, and who set them.
//!
//! **Guarantees.** A value is within bounds that follow from [`crate::DatabaseOptions::memory_bytes`], and level 0 starts a compaction before it
//! slows writers down, and that before it stops them. A knob that a person set is pinned: [`StoreKnobs::turn`], which the tuner uses, leaves
//! it alone, however the two race. A database in memory has no knobs.
//!
//! What is set is in force and not stored: the pipeline stores it with its settings and sets it again when the database is opened.

use std::collections::BTreeSet;
use std::sync::Arc;

use aion_base::knobs::{Knob, Knobs, Unit, unknown};
use aion_base::{Error, Result, SqlState};
use aion_storage::{RocksOptions, RowsKnob, Store};
use parking_lot::Mutex;

/// What a setting of the database is called in SQL before its name.
pub const PREFIX: &str = "aion.";

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

/// What is known of a knob beside its value.
struct About {
    knob: RowsKnob,
    name: &'static str,
    unit: Unit,
    family: &'static str,
    description: &'static str,
}

const ABOUT: [About; 6] = [
    About {
        knob: RowsKnob::BlockCacheBytes,
        name: "block_cache_bytes",
        unit: Unit::Bytes,
        family: "Block cache",
        description: "Memory for decompressed blocks of rows that were read.",
    },
    About {
        knob: RowsKnob::WriteBufferBytes,
        name: "write_buffer_bytes",
        unit: Unit::Bytes,
        family: "Write buffers",
        description: "Memory of one write buffer; a full one is flushed to level 0.",
    },
    About {
        knob: RowsKnob::WriteBuffersMax,
        name: "write_buffers_max",
        unit: Unit::Count,
        family: "Write buffers",
        description: "Write buffers at most, the one that is written to among them; without a free one writers wait.",
    },
    About {
        knob: RowsKnob::Level0CompactionTrigger,
        name: "level0_compaction_trigger",
        unit: Unit::Count,
        family: "Level 0",
        description: "Files of level 0 that start a compaction.",
    },
    About {
        knob: RowsKnob::Level0SlowdownTrigger,
        name: "level0_slowdown_trigger",
        unit: Unit::Count,
        family: "Level 0",
        description: "Files of level 0 from which writers are slowed down.",
    },
    About {
        knob: RowsKnob::Level0StopTrigger,
        name: "level0_stop_trigger",
        unit: Unit::Count,
        family: "Level 0",
        description: "Files of level 0 from which writers are stopped.",
    },
];

/// Pairs of which the first stays below the second.
const ORDERS: [(&str, &str); 2] = [
    ("level0_compaction_trigger", "level0_slowdown_trigger"),
    ("level0_slowdown_trigger", "level0_stop_trigger"),
];

/// See the module's header.
#[derive(Debug)]
pub struct StoreKnobs {
    store: Arc<Store>,
    memory_bytes: i64,
    /// As the rows were opened.
    defaults: RocksOptions,
    /// The names of those that a person set. Held while one is changed.
    pinned: Mutex<BTreeSet<&'static str>>,
}

/// What rows are opened with in a database that may hold so much in memory.
pub fn rocks_options(memory_bytes: usize) -> RocksOptions {
    RocksOptions {
        block_cache_bytes: memory_bytes / 4,
        ..RocksOptions::default()
    }
}

impl StoreKnobs {
    /// The knobs of a store that was opened with [`rocks_options`] of so much memory.
    pub fn new(store: Arc<Store>, memory_bytes: usize) -> Self {
        Self {
            store,
            memory_bytes: i64::try_from(memory_bytes).unwrap_or(i64::MAX),
            defaults: rocks_options(memory_bytes),
            pinned: Mutex::default(),
        }
    }

    /// Sets a knob for a person, and pins it; the value before.
    ///
    /// # Errors
    /// Those of [`Knobs::set`]; then it is pinned as it was before.
    pub fn pin(&self, name: &str, value: i64) -> Result<i64> {
        let mut pinned = self.pinned.lock();
        let knob = self.read(name, &pinned)?;
        self.change(&knob, value, &pinned)?;
        pinned.insert(knob.name);
        Ok(knob.value)
    }

    /// Unpins a knob and gives it a value, which is what it is without a person.
    ///
    /// # Errors
    /// Those of [`Knobs::set`]; then it is pinned as it was before.
    pub fn unpin(&self, name: &str, value: i64) -> Result<()> {
        let mut pinned = self.pinned.lock();
        let knob = self.read(name, &pinned)?;
        self.change(&knob, value, &pinned)?;
        pinned.remove(knob.name);
        Ok(())
    }

    /// Sets a knob, unless a person has pinned it or it has become another than `from`; whether it was set.
    ///
    /// # Errors
    /// Those of [`Knobs::set`].
    pub fn turn(&self, name: &str, from: &[i64], to: i64) -> Result<bool> {
        let pinned = self.pinned.lock();
        let knob = self.read(name, &pinned)?;
        if knob.is_pinned || !from.contains(&knob.value) {
            return Ok(false);
        }
        self.change(&knob, to, &pinned)?;
        Ok(true)
    }

    /// Sets a knob to what is stored, as near as the bounds allow: they may have become narrower since, with the memory.
    ///
    /// # Errors
    /// Those of [`Knobs::set`]: then it is as it was.
    pub fn restore(&self, name: &str, value: i64, is_pinned: bool) -> Result<()> {
        let knob = self.get(name)?;
        let near = value.clamp(knob.min, knob.max);
        if near != value {
            tracing::warn!(
                name,
                value,
                near,
                "a stored setting is beyond its bounds; the nearest value is taken"
            );
        }
        match is_pinned {
            true => self.pin(name, near).map(drop),
            false => self.unpin(name, near),
        }
    }

    fn read(&self, name: &str, pinned: &BTreeSet<&'static str>) -> Result<Knob> {
        let found = self.all(pinned).into_iter().find(|knob| knob.name == name);
        found.ok_or_else(|| unknown(&format!("{PREFIX}{name}")))
    }

    fn all(&self, pinned: &BTreeSet<&'static str>) -> Vec<Knob> {
        let values = self.store.knobs();
        let knobs = ABOUT.iter().filter_map(|about| {
            let (_, value) = values.iter().find(|(knob, _)| *knob == about.knob)?;
            let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            let default = number(self.defaults.value(about.knob));
            let [min, max, step] = self.range(about.knob, default);
            Some(Knob {
                name: about.name,
                unit: about.unit,
                value: number(*value),
                default,
                min,
                max,
                step,
                needs_restart: false,
                family: about.family,
                description: about.description,
                is_pinned: pinned.contains(about.name),
            })
        });
        knobs.collect()
    }

    /// Least, most, step. The cache takes half of the memory at most, one write buffer a sixteenth.
    fn range(&self, knob: RowsKnob, default: i64) -> [i64; 3] {
        let memory = self.memory_bytes;
        match knob {
            RowsKnob::BlockCacheBytes => {
                let min = default.clamp(1, 8 * MIB);
                [min, (memory / 2).max(default).max(min), (memory / 32).max(MIB)]
            }
            RowsKnob::WriteBufferBytes => [4 * MIB, (memory / 16).clamp(default, GIB), 16 * MIB],
            RowsKnob::WriteBuffersMax => [2, 16, 1],
            RowsKnob::Level0CompactionTrigger => [2, 64, 2],
            RowsKnob::Level0SlowdownTrigger => [4, 128, 4],
            RowsKnob::Level0StopTrigger => [6, 256, 4],
        }
    }

    fn change(&self, knob: &Knob, value: i64, pinned: &BTreeSet<&'static str>) -> Result<()> {
        knob.check(value)?;
        self.check_order(knob, value, pinned)?;
        let about = ABOUT.iter().find(|about| about.name == knob.name);
        let about = about.ok_or_else(|| unknown(knob.name))?;
        let value = u64::try_from(value).map_err(|_| Error::internal(format!("{} has a bound below 0", knob.name)))?;
        self.store.set_knob(about.knob, value)
    }

    fn check_order(&self, knob: &Knob, value: i64, pinned: &BTreeSet<&'static str>) -> Result<()> {
        let all = self.all(pinned);
        let after = |name: &str| match name == knob.name {
            true => Some(value),
            false => all.iter().find(|knob| knob.name == name).map(|knob| knob.value),
        };
        for (lesser, greater) in ORDERS {
            let is_concerned = lesser == knob.name || greater == knob.name;
            if is_concerned && after(lesser) >= after(greater) {
                let message = format!("invalid value for parameter \"{PREFIX}{}\": {value}", knob.name);
                let bound = format!(
                    "{PREFIX}{lesser} must stay below {PREFIX}{greater}; they would be {} and {}.",
                    after(lesser).unwrap_or(0),
                    after(greater).unwrap_or(0)
                );
                return Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(bound));
            }
        }
        Ok(())
    }
}

impl Knobs for StoreKnobs {
    fn list(&self) -> Vec<Knob> {
        self.all(&self.pinned.lock())
    }

    fn get(&self, name: &str) -> Result<Knob> {
        self.read(name, &self.pinned.lock())
    }

    fn set(&self, name: &str, value: i64) -> Result<i64> {
        let pinned = self.pinned.lock();
        let knob = self.read(name, &pinned)?;
        self.change(&knob, value, &pinned)?;
        Ok(knob.value)
    }
}

/// A value as a person writes it: a whole number, and for bytes with a unit as PostgreSQL's: `B`, `kB`, `MB`, `GB`, `TB`.
///
/// # Errors
/// 22023.
pub fn parse_value(knob: &Knob, text: &str) -> Result<i64> {
    let text = text.trim();
    let split = text.find(|sign: char| sign.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match (unit.trim(), knob.unit) {
        ("" | "B", _) if unit.is_empty() || knob.unit == Unit::Bytes => Some(0),
        ("kB", Unit::Bytes) => Some(10),
        ("MB", Unit::Bytes) => Some(20),
        ("GB", Unit::Bytes) => Some(30),
        ("TB", Unit::Bytes) => Some(40),
        _ => None,
    };
    let parsed = number.trim().parse::<i64>().ok().zip(shift);
    let value = parsed.and_then(|(number, shift)| number.checked_mul(1 << shift));
    value.ok_or_else(|| {
        let message = format!("invalid value for parameter \"{PREFIX}{}\": \"{text}\"", knob.name);
        let units = match knob.unit {
            Unit::Bytes => ", with a unit if need be: B, kB, MB, GB, TB",
            _ => "",
        };
        let hint = format!("It is a whole number between {} and {}{units}.", knob.min, knob.max);
        Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(hint)
    })
}

#[cfg(test)]
mod tests;
