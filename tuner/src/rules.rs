//! The first policy: rules for RocksDB, after ADOC.
//!
//! ADOC (Yu et al., FAST'23, "Automatically Harmonizing Dataflow Between Components in Log-Structured Key-Value Stores") sees a stall as an
//! *overflow*: one part makes more than the next one takes. It tells three of them, and answers each with threads or with the size of batches. In this
//! order the first overflow, then the cache, then calm; of the moves the first that the knobs and the memory allow:
//!
//! | what is seen | high | low | moves |
//! |---|---|---|---|
//! | memory over its budget | used > budget | | block cache, write buffer, their number: down. Protects, so at once |
//! | memtables overflow | waiting >= buffers - 1 | <= buffers / 2 | buffers up, write buffer up, threads up; without memory, a cache down that is half empty or rarely missed |
//! | level 0 overflows | files >= 80 % of slow-down | <= 50 % | threads up, write buffer up; slow-down up while little is pending |
//! | redundancy overflows | pending >= limit | <= half of it | threads up, compaction trigger up, write buffer up |
//! | the cache is too small | hits < 90 %, 95 % full | hits >= 95 % or not full | cache up |
//! | calm | nothing above, for [`Settings::calm`] | | each knob a step towards its default: triggers, threads, write buffers |
//!
//! **No flip-flop.**
//! - *Hysteresis*: what is seen begins at its high mark and ends below its low one, and must last [`Settings::streak`] windows.
//! - *Damping*: after a move of a knob, the opposite one is closed for [`Settings::reversal`], twice as long after each reversal of that knob. So in a
//!   time T a knob turns around at most log2(T / reversal) + 1 times, whatever the signals do. Protection is not held up, but counts.
//! - A move that was taken back is closed as long, and longer after each failure; the next move in the row is tried instead.
//!
//! Left out of ADOC: its own thresholds, and moving several steps at once: here a trial judges each step.

use std::collections::HashMap;
use std::time::Duration;

use aion_base::knobs::Knob;

use crate::policy::{Ended, Outcome, Policy, Proposal, Purpose};
use crate::signals::Signals;

/// Doublings of a wait end here.
const DOUBLINGS_MAX: u32 = 12;

/// What the engine calls its knobs. A knob that it has not is not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// Bytes of the block cache.
    pub block_cache: &'static str,
    /// Bytes of one memtable.
    pub write_buffer: &'static str,
    /// Memtables at most, the one that is written to among them.
    pub write_buffers: &'static str,
    /// Files of level 0 that start a compaction.
    pub compaction_trigger: &'static str,
    /// Files of level 0 that slow writers down.
    pub slowdown_trigger: &'static str,
    /// Threads for flushes and compactions.
    pub threads: &'static str,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            block_cache: "block_cache_bytes",
            write_buffer: "write_buffer_bytes",
            write_buffers: "write_buffers_max",
            compaction_trigger: "level0_compaction_trigger",
            slowdown_trigger: "level0_slowdown_trigger",
            threads: "background_threads",
        }
    }
}

/// How the rules are set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The knobs.
    pub names: Names,
    /// Windows in a row that must show the same before it is acted on.
    pub streak: u32,
    /// Windows in a row without anything before knobs go back to their defaults.
    pub calm: u32,
    /// How long the opposite of a move, or one that was taken back, is closed at least.
    pub reversal: Duration,
    /// Pending bytes from which redundancy overflows. RocksDB slows writers down at 64 GiB.
    pub pending_bytes: u64,
    /// The part of the memory budget that is left alone, 0 to 1. More than the envelope's, so that it does not refuse.
    pub memory_reserve: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            names: Names::default(),
            streak: 3,
            calm: 60,
            reversal: Duration::from_secs(600),
            pending_bytes: 8 << 30,
            memory_reserve: 0.10,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Direction {
    Up,
    Down,
}

use Direction::{Down, Up};

/// What is seen of the engine, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Memtables,
    LevelZero,
    Redundancy,
    Cache,
}

const SIGHTS: [Sight; 4] = [Sight::Memtables, Sight::LevelZero, Sight::Redundancy, Sight::Cache];

/// What is remembered of a knob.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    last: Option<Direction>,
    reversals: u32,
    up: Closed,
    down: Closed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Closed {
    until: Duration,
    failures: u32,
}

/// The policy.
#[derive(Clone, Debug)]
pub struct Rules {
    settings: Settings,
    /// For how many windows each sight has lasted, in the order of [`SIGHTS`].
    lasted: [u32; SIGHTS.len()],
    calm: u32,
    knobs: HashMap<&'static str, Memory>,
}

impl Rules {
    /// With these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            lasted: [0; SIGHTS.len()],
            calm: 0,
            knobs: HashMap::new(),
        }
    }
}

impl Policy for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn propose(&mut self, signals: &Signals, knobs: &[Knob], now: Duration) -> Option<Proposal> {
        let view = View {
            settings: self.settings,
            signals,
            knobs,
        };
        self.look(&view);
        let found = if signals.is_over_budget() {
            view.protection()
        } else {
            let lasting = (0..SIGHTS.len()).filter(|at| self.lasted[*at] >= self.settings.streak);
            let mut moves = lasting.flat_map(|at| view.moves(SIGHTS[at]));
            moves.find(|found| self.is_open(found, now) && view.fits(found))
        };
        let found = found.or_else(|| {
            let is_calm = self.calm >= self.settings.calm && !signals.is_over_budget();
            let mut moves = view.towards_defaults().into_iter().filter(|_| is_calm);
            moves.find(|found| self.is_open(found, now) && view.fits(found))
        })?;
        self.remember(&found, now);
        // The next move is judged by what is seen after this one.
        self.lasted = [0; SIGHTS.len()];
        self.calm = 0;
        Some(found.proposal)
    }

    fn learn(&mut self, outcome: &Outcome) {
        let is_up = outcome.proposal.to > outcome.proposal.from;
        let reversal = self.settings.reversal;
        let memory = self.knobs.entry(outcome.proposal.knob).or_default();
        let closed = if is_up { &mut memory.up } else { &mut memory.down };
        match outcome.ended {
            Ended::Kept => closed.failures = 0,
            Ended::Reverted(_) | Ended::Refused(_) => {
                closed.until = outcome.at.saturating_add(doubled(reversal, closed.failures));
                closed.failures = closed.failures.saturating_add(1);
            }
            Ended::Abandoned => closed.until = outcome.at.saturating_add(reversal),
        }
    }
}

impl Rules {
    /// Counts for how long each sight lasts.
    fn look(&mut self, view: &View<'_>) {
        for (lasted, sight) in self.lasted.iter_mut().zip(SIGHTS) {
            let goes_on = match *lasted {
                0 => view.is_high(sight),
                _ => !view.is_low(sight),
            };
            *lasted = if goes_on { lasted.saturating_add(1) } else { 0 };
        }
        let is_calm = self.lasted.iter().all(|lasted| *lasted == 0) && view.signals.stall_micros == 0;
        self.calm = if is_calm { self.calm.saturating_add(1) } else { 0 };
    }

    fn is_open(&self, found: &Move, now: Duration) -> bool {
        let Some(memory) = self.knobs.get(found.proposal.knob) else {
            return true;
        };
        let closed = match found.direction {
            Up => memory.up,
            Down => memory.down,
        };
        now >= closed.until
    }

    /// Closes the opposite of a move.
    fn remember(&mut self, found: &Move, now: Duration) {
        let reversal = self.settings.reversal;
        let memory = self.knobs.entry(found.proposal.knob).or_default();
        if memory.last.is_some_and(|last| last != found.direction) {
            memory.reversals = memory.reversals.saturating_add(1);
        }
        memory.last = Some(found.direction);
        let until = now.saturating_add(doubled(reversal, memory.reversals));
        let opposite = match found.direction {
            Up => &mut memory.down,
            Down => &mut memory.up,
        };
        opposite.until = opposite.until.max(until);
    }
}

fn doubled(wait: Duration, times: u32) -> Duration {
    wait.saturating_mul(1 << times.min(DOUBLINGS_MAX))
}

struct Move {
    direction: Direction,
    proposal: Proposal,
}

/// The engine in one window.
struct View<'a> {
    settings: Settings,
    signals: &'a Signals,
    knobs: &'a [Knob],
}

impl View<'_> {
    fn knob(&self, name: &str) -> Option<&Knob> {
        self.knobs.iter().find(|knob| knob.name == name)
    }

    /// A knob's value; None where the engine has no such knob, or it is no number of things.
    fn value(&self, name: &str) -> Option<u64> {
        self.knob(name).and_then(|knob| u64::try_from(knob.value).ok())
    }

    fn is_high(&self, sight: Sight) -> bool {
        let signals = self.signals;
        match sight {
            Sight::Memtables => self.value(self.settings.names.write_buffers).is_some_and(|most| {
                signals.memtables_waiting > 0 && signals.memtables_waiting >= most.saturating_sub(1)
            }),
            Sight::LevelZero => self.level_zero().is_some_and(|full| full >= 0.80),
            Sight::Redundancy => signals.pending_compaction_bytes >= self.settings.pending_bytes.max(1),
            Sight::Cache => signals.hit_ratio().is_some_and(|hits| hits < 0.90) && self.cache_full() >= 0.95,
        }
    }

    fn is_low(&self, sight: Sight) -> bool {
        let signals = self.signals;
        match sight {
            Sight::Memtables => self
                .value(self.settings.names.write_buffers)
                .is_none_or(|most| signals.memtables_waiting <= most / 2),
            Sight::LevelZero => self.level_zero().is_none_or(|full| full <= 0.50),
            Sight::Redundancy => signals.pending_compaction_bytes <= self.settings.pending_bytes / 2,
            Sight::Cache => signals.hit_ratio().is_none_or(|hits| hits >= 0.95) || self.cache_full() < 0.90,
        }
    }

    /// Files of level 0 as a part of those that slow writers down.
    fn level_zero(&self) -> Option<f64> {
        let slowdown = self.value(self.settings.names.slowdown_trigger)?;
        Some(self.signals.l0_files as f64 / slowdown.max(1) as f64)
    }

    fn cache_full(&self) -> f64 {
        let capacity = self.value(self.settings.names.block_cache).unwrap_or(0);
        match capacity {
            0 => 0.0,
            bytes => self.signals.block_cache_used_bytes as f64 / bytes as f64,
        }
    }

    fn moves(&self, sight: Sight) -> Vec<Move> {
        let (names, signals) = (self.settings.names, self.signals);
        let of = |name, direction, reason: &str| self.a_move(name, direction, Purpose::Improve, reason);
        let moves: Vec<Option<Move>> = match sight {
            Sight::Memtables => {
                let reason = format!(
                    "memtables overflow: {} ({} bytes) wait for a flush, writers waited {:.0} % of the time",
                    signals.memtables_waiting,
                    signals.memtable_bytes_waiting,
                    signals.stalled() * 100.0
                );
                // Its memory may do more as a write buffer.
                let is_idle = self.cache_full() < 0.5 || signals.hit_ratio().is_some_and(|hits| hits >= 0.99);
                vec![
                    of(names.write_buffers, Up, &reason),
                    of(names.write_buffer, Up, &reason),
                    of(names.threads, Up, &reason),
                    of(names.block_cache, Down, &reason).filter(|_| is_idle),
                ]
            }
            Sight::LevelZero => {
                let reason = format!("level 0 overflows: {} files", signals.l0_files);
                let is_little_pending = signals.pending_compaction_bytes <= self.settings.pending_bytes / 2;
                vec![
                    of(names.threads, Up, &reason),
                    of(names.write_buffer, Up, &reason),
                    of(names.slowdown_trigger, Up, &reason).filter(|_| is_little_pending),
                ]
            }
            Sight::Redundancy => {
                let reason = format!(
                    "redundancy overflows: {} bytes to compact",
                    signals.pending_compaction_bytes
                );
                vec![
                    of(names.threads, Up, &reason),
                    of(names.compaction_trigger, Up, &reason),
                    of(names.write_buffer, Up, &reason),
                ]
            }
            Sight::Cache => {
                let hits = signals.hit_ratio().unwrap_or(0.0) * 100.0;
                let reason = format!("the block cache is full and answers {hits:.0} % of reads");
                vec![of(names.block_cache, Up, &reason)]
            }
        };
        moves.into_iter().flatten().collect()
    }

    fn towards_defaults(&self) -> Vec<Move> {
        let names = self.settings.names;
        let order = [
            names.slowdown_trigger,
            names.compaction_trigger,
            names.threads,
            names.write_buffers,
            names.write_buffer,
        ];
        let moves = order.into_iter().filter_map(|name| {
            let knob = self.knob(name)?;
            let direction = match knob.value.cmp(&knob.default) {
                std::cmp::Ordering::Less => Up,
                std::cmp::Ordering::Equal => return None,
                std::cmp::Ordering::Greater => Down,
            };
            let mut found = self.a_move(name, direction, Purpose::Improve, "calm: back towards its default")?;
            // Not past it.
            found.proposal.to = match direction {
                Up => found.proposal.to.min(knob.default),
                Down => found.proposal.to.max(knob.default),
            };
            Some(found)
        });
        moves.collect()
    }

    fn protection(&self) -> Option<Move> {
        let names = self.settings.names;
        let (used, budget) = (self.signals.memory_used_bytes, self.signals.memory_budget_bytes);
        let reason = format!("memory: {used} bytes are used, {budget} are allowed");
        let mut order = [names.block_cache, names.write_buffer, names.write_buffers].into_iter();
        order.find_map(|name| self.a_move(name, Down, Purpose::Protect, &reason))
    }

    /// A step of a knob; None where it is at its bound, or not to be moved.
    fn a_move(&self, name: &str, direction: Direction, purpose: Purpose, reason: &str) -> Option<Move> {
        let knob = self.knob(name).filter(|knob| !knob.is_pinned && !knob.needs_restart)?;
        let to = match direction {
            Up => knob.up(),
            Down => knob.down(),
        }?;
        let proposal = Proposal {
            knob: knob.name,
            from: knob.value,
            to,
            purpose,
            reason: reason.to_owned(),
        };
        Some(Move { direction, proposal })
    }

    /// Whether there is memory for a move.
    fn fits(&self, found: &Move) -> bool {
        let names = self.settings.names;
        let Proposal { knob, from, to, .. } = found.proposal;
        let each = if knob == names.block_cache {
            1
        } else if knob == names.write_buffer {
            self.value(names.write_buffers).unwrap_or(1)
        } else if knob == names.write_buffers {
            self.value(names.write_buffer).unwrap_or(1)
        } else {
            return true;
        };
        let more = u128::from(to.saturating_sub(from).max(0).unsigned_abs()) * u128::from(each);
        more <= u128::from(self.signals.memory_left(self.settings.memory_reserve))
    }
}

#[cfg(test)]
mod tests;
