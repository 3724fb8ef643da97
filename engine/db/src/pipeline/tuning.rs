//! Knobs: watched, proposed, tried on the running store, and taken back.
//!
//! **Steps.**
//!
//! 1. From mode shadow on `aion-watch` reads the signals of each window of [`super::LearningOptions::knob_window`].
//! 2. From mode advise on the tuner's policy looks at them. What it proposes, within its envelope, becomes a recommendation of kind knob;
//!    while one is open nothing else is proposed, and one that nobody tries expires after an hour.
//! 3. A knob cannot be rehearsed on a clone, which has no users. Its rehearsal is a **live trial**: windows with the old value and with the
//!    new one in turns, A B B A, each after a part that does not count, judged in pairs by [`aion_tuner::trial`]. A person starts it with
//!    `aion.rehearse`, the pipeline only in mode auto with kind knob listed. Whatever comes of it, the old value is in force at its end.
//! 4. Approved, it is set and stored. For a while it is compared with the trial's windows without it, then kept.
//!
//! **Guarantees.**
//! - The states are those of every recommendation; each move is in the ledger, a trial's windows are its evidence.
//! - One knob at a time, one step at a time. The watchdog ends a trial within half a window, and a change that is watched after
//!   [`BAD_MAX`] bad windows.
//! - A trial stores nothing: a process that dies in one opens with the old value. What cannot be set back is tried again each second.
//! - What a person sets by ALTER SYSTEM is his: a trial of it ends, and a recommendation that set it before is dismissed.
//! - Memory over its budget is the one change without a trial, in mode auto with kind knob listed: its reason says so.
//!
//! **Limits.** The arms follow each other, they do not run at once: what the workload does between two windows is noise that only more
//! windows take out. A block cache that shrinks does so as blocks come in, so that the arm without a larger one still has some of it: its
//! gain is underestimated. Statements are counted, not rows: one COPY is one. See `measure` for what is not seen at all.

mod change;
mod judge;
mod live;
mod measure;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aion_base::Result;
use aion_base::clock::Clock;
use aion_base::knobs::{Knob, Knobs};
use aion_base::recommendation::KnobRow;
use aion_shadow::recommendation::{Grounds, PIPELINE, Recommendation};
use aion_shadow::state::{Kind, Mode, State};
use aion_shadow::watch;
use aion_tuner::policy::{Ended, Proposal, Purpose};
use aion_tuner::reward::{Measured, Window};
use aion_tuner::rules::{Rules, Settings};
use aion_tuner::signals::Signals;
use aion_tuner::trial::{self, Trial};
use aion_tuner::tuner::{Limits, Tuner};
use parking_lot::{Condvar, Mutex};

use super::rehearse::Proposed;
use super::watching::Found;
use super::{Pipeline, stored};
use crate::knobs::PREFIX;
use change::Change;
pub use judge::is_sound;
use judge::means;
pub(super) use measure::Latencies;
use measure::Reading;

/// How long a proposal waits for its trial, and how long what came to nothing is not proposed again, in microseconds.
const PROPOSAL_TIME: i64 = 3_600 * 1_000_000;
/// Bad windows in a row after which a change that is watched goes back.
const BAD_MAX: u32 = 3;
/// Windows without harm after which it is kept.
const GOOD_MIN: u32 = 30;

/// What the pipeline keeps for its knobs.
#[derive(Debug)]
pub struct Tuning {
    pub(super) latencies: Latencies,
    tuner: Mutex<Tuner>,
    state: Mutex<Looked>,
    /// Never notified: a trial waits on it.
    pause: (Mutex<()>, Condvar),
}

#[derive(Debug, Default)]
struct Looked {
    last: Option<Reading>,
    windows: u64,
    signals: Signals,
    /// The policy's own proposal that is open, with its recommendation.
    open: Option<(u64, Proposal)>,
    watched: HashMap<u64, Watched>,
    /// What a trial could not set back: name, what it may be now, what it was.
    to_put_back: Option<Change>,
}

/// A change that is in force and not kept yet.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    without: Option<Measured>,
    good: u32,
    bad: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            latencies: Latencies::default(),
            tuner: Mutex::new(Tuner::new(Box::new(Rules::new(Settings::default())), Limits::default())),
            state: Mutex::default(),
            pause: Default::default(),
        }
    }
}

impl Pipeline {
    /// Looks at the window that has passed, if one has. Called once a second.
    ///
    /// # Errors
    /// When the rows cannot be measured, or a move cannot be written.
    pub(super) fn tune(&self) -> Result<()> {
        if !self.current_mode().observes() || self.knobs.list().is_empty() {
            return Ok(());
        }
        self.put_back()?;
        let now = self.clock.monotonic();
        let (signals, measured) = {
            let mut state = self.tuning.state.lock();
            let window = self.options.learning.knob_window;
            if state
                .last
                .as_ref()
                .is_some_and(|last| now.saturating_sub(last.at) < window)
            {
                return Ok(());
            }
            let reading = self.reading()?;
            let Some(last) = state.last.replace(reading.clone()) else {
                return Ok(());
            };
            state.windows += 1;
            state.signals = reading.signals_since(&last);
            (state.signals, reading.measured_since(&last))
        };
        self.watch_knobs(&signals, measured)?;
        if self.current_mode().rehearses() {
            self.propose_knob(&signals, now)?;
        }
        Ok(())
    }

    fn reading(&self) -> Result<Reading> {
        let counters = self.store.counters();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let reading = Reading {
            at: self.clock.monotonic(),
            rows: self.store.signals()?.unwrap_or_default(),
            log_bytes: read(&counters.log_bytes),
            commits: read(&counters.commits),
            syncs: read(&counters.syncs),
            sync_micros: read(&counters.sync_micros),
            query_bytes: self.parts()?.engine.memory_reserved_bytes() as u64,
            memory_budget_bytes: self.options.memory_bytes as u64,
            ..Reading::default()
        };
        Ok(reading.with(&self.tuning.latencies))
    }

    /// What the policy proposes becomes a recommendation.
    fn propose_knob(&self, signals: &Signals, now: Duration) -> Result<()> {
        if self.is_knob_open(signals.is_over_budget())? {
            return Ok(());
        }
        let knobs = self.knobs.list();
        let Some(proposal) = self.tuning.tuner.lock().propose(signals, &knobs, now) else {
            return Ok(());
        };
        let knob = self.knobs.get(proposal.knob)?;
        let reason = format!("{}; {}", proposal.reason, words(signals));
        if self.is_knob_settled(&Change::set_command(knob.name, proposal.to)) {
            self.tuning.tuner.lock().note(proposal, Ended::Abandoned, now);
            return Ok(());
        }
        let observed = self.observe_knob(&knob, proposal.to, "advisor", reason);
        let id = observed.inspect_err(|_| {
            self.tuning.tuner.lock().note(proposal.clone(), Ended::Abandoned, now);
        })?;
        let is_protection = proposal.purpose == Purpose::Protect;
        if is_protection && self.current_mode().acts(Kind::Knob, &self.auto_kinds()) {
            return self.protect(id, proposal, signals, &knobs, now);
        }
        self.tuning.state.lock().open = Some((id, proposal));
        Ok(())
    }

    /// Memory is over its budget: what gives some back is made without a trial, which would only say that less memory is slower.
    fn protect(&self, id: u64, proposal: Proposal, signals: &Signals, knobs: &[Knob], now: Duration) -> Result<()> {
        let why = "memory is over its budget: made without a trial";
        if let Err(reason) = self.tuning.tuner.lock().begin(proposal, signals, knobs, now) {
            tracing::warn!(id, reason, "a change that would give memory back leaves the envelope");
            return self.advance(id, State::Expired, PIPELINE, &reason, None, |_| {});
        }
        self.advance(id, State::Rehearsing, PIPELINE, why, None, |_| {})?;
        self.advance(id, State::Ready, PIPELINE, why, None, |_| {})?;
        self.approve(id, PIPELINE, why)
    }

    /// Whether a recommendation for a knob waits for somebody, or is watched; what is watched does not keep memory from being given back.
    /// One that waited too long expires here.
    fn is_knob_open(&self, is_over_budget: bool) -> Result<bool> {
        let open: Vec<Recommendation> = {
            let kept = self.kept.lock();
            let all = kept.recommendations.values().filter(|one| one.kind == Kind::Knob);
            let open = all.filter(|one| !one.state.is_end() && one.state != State::Kept);
            open.filter(|one| !is_over_budget || one.state != State::Watching)
                .cloned()
                .collect()
        };
        let now = self.now();
        let mut is_open = false;
        for one in open {
            let is_old = now.saturating_sub(one.decided_at) >= PROPOSAL_TIME;
            if one.state != State::Proposed || !is_old {
                is_open = true;
                continue;
            }
            let why = "nobody tried it within an hour: what asked for it has passed";
            self.advance(one.id, State::Expired, PIPELINE, why, None, |_| {})?;
        }
        let mut state = self.tuning.state.lock();
        if !is_open && let Some((_, proposal)) = state.open.take() {
            self.tuning
                .tuner
                .lock()
                .note(proposal, Ended::Abandoned, self.clock.monotonic());
        }
        Ok(is_open)
    }

    /// Whether a change is not to be proposed: a person dismissed it, or it came to nothing a short while ago.
    fn is_knob_settled(&self, design: &str) -> bool {
        let now = self.now();
        let kept = self.kept.lock();
        let mut same = kept.recommendations.values().filter(|one| one.design == design);
        same.any(|one| match one.state {
            State::Dismissed => true,
            State::Rejected | State::Expired | State::Failed | State::Reverted => {
                now.saturating_sub(one.decided_at) < PROPOSAL_TIME
            }
            _ => false,
        })
    }

    fn observe_knob(&self, knob: &Knob, to: i64, origin: &str, reason: String) -> Result<u64> {
        let command = Change::set_command(knob.name, to);
        self.observe_proposal(Proposed {
            kind: Kind::Knob,
            object: format!("{PREFIX}{}", knob.name),
            design: command.clone(),
            command,
            undo_command: Some(Change::undo_command(knob)),
            makes: None,
            drops: None,
            origin: origin.to_owned(),
            queryids: Vec::new(),
            calls: None,
            estimated_speedup: None,
            estimated_bytes: None,
            reason,
        })
    }

    /// Compares what is in force and not kept yet with the trial's windows without it.
    fn watch_knobs(&self, signals: &Signals, measured: Option<Measured>) -> Result<()> {
        let made: Vec<Recommendation> = {
            let kept = self.kept.lock();
            let all = kept.recommendations.values();
            all.filter(|one| one.kind == Kind::Knob && one.state == State::Watching)
                .cloned()
                .collect()
        };
        let mut found = Vec::new();
        {
            let mut state = self.tuning.state.lock();
            state.watched.retain(|id, _| made.iter().any(|one| one.id == *id));
            for one in &made {
                let change = self.change_of(one)?;
                let watched = match state.watched.entry(one.id) {
                    Entry::Occupied(there) => there.into_mut(),
                    Entry::Vacant(room) => {
                        let proof = stored::proof(&*self.store.snapshot(), one.id)?;
                        let without = proof.and_then(|(grounds, _)| match grounds {
                            Grounds::Trial(judged) => means(&judged).map(|[without, _]| without),
                            _ => None,
                        });
                        room.insert(Watched {
                            without,
                            ..Watched::default()
                        })
                    }
                };
                let finding = watched.look(&change, signals, measured);
                if finding != watch::Finding::Watch {
                    found.push(Found { id: one.id, finding });
                }
            }
        }
        found.iter().try_for_each(|found| self.found(found))
    }

    /// The rows of `aion.knobs`.
    pub(super) fn knob_rows(&self) -> Vec<KnobRow> {
        let settings = self.kept.lock().settings.clone();
        let rows = self.knobs.list().into_iter().map(|knob| {
            let tuned = settings.tuned.get(knob.name).filter(|_| !knob.is_pinned);
            KnobRow {
                name: format!("{PREFIX}{}", knob.name),
                setting: knob.value.to_string(),
                unit: knob.unit.name(),
                category: knob.family,
                short_desc: knob.description,
                min_val: knob.min.to_string(),
                max_val: knob.max.to_string(),
                boot_val: knob.default.to_string(),
                source: match (knob.is_pinned, tuned) {
                    (true, _) => "alter system",
                    (false, Some(_)) => PIPELINE,
                    (false, None) => "default",
                },
                is_managed: !knob.is_pinned,
                decision_id: tuned.map(|tuned| tuned.recommendation),
            }
        });
        rows.collect()
    }

    /// What the tuner is at, for the view of all that is learnt.
    pub(super) fn tuning_status(&self) -> (String, Option<String>) {
        if self.knobs.list().is_empty() {
            let hint = "A database in memory has no knobs: open one in a directory.";
            return ("off".to_owned(), Some(hint.to_owned()));
        }
        let tuner = self.tuning.tuner.lock();
        let (policy, tried) = (
            tuner.policy(),
            tuner
                .trying()
                .map(|proposal| Change::set_command(proposal.knob, proposal.to)),
        );
        drop(tuner);
        let state = self.tuning.state.lock();
        let at = match tried {
            Some(command) => format!("trying {command}"),
            None => format!("{} windows, {}", state.windows, words(&state.signals)),
        };
        let hint = match self.current_mode() {
            Mode::Off | Mode::Shadow => Some("It proposes changes from mode advise on.".to_owned()),
            Mode::Advise | Mode::Auto => None,
        };
        (format!("policy {policy}, {at}"), hint)
    }
}

impl Watched {
    /// What follows from a window.
    fn look(&mut self, change: &Change, signals: &Signals, measured: Option<Measured>) -> watch::Finding {
        let window = measured.zip(self.without).map(|(treated, control)| Window {
            treated,
            // How much is asked of the database is not the change's doing.
            control: Measured {
                throughput: treated.throughput,
                ..control
            },
        });
        // What gives memory back is not what takes too much.
        let memory_budget_bytes = if change.to < change.from {
            0
        } else {
            signals.memory_budget_bytes
        };
        let signals = &Signals {
            memory_budget_bytes,
            ..*signals
        };
        let limits = trial::Limits::default();
        let stalled = signals.stalled() > limits.stalled_max && self.without.is_none();
        let harm = Trial::new(change.proposal(""), limits).harm(window.as_ref(), signals);
        let harm =
            harm.or_else(|| stalled.then(|| format!("writers wait {:.0} % of the time", signals.stalled() * 100.0)));
        if let Some(why) = harm {
            self.good = 0;
            self.bad += 1;
            return match self.bad >= BAD_MAX {
                true => watch::Finding::Revert(format!("{why}, in {BAD_MAX} windows")),
                false => watch::Finding::Watch,
            };
        }
        self.bad = 0;
        // Where nothing runs nothing is shown.
        self.good += u32::from(measured.is_some());
        match self.good >= GOOD_MIN {
            true => watch::Finding::Keep,
            false => watch::Finding::Watch,
        }
    }
}

/// Signals for a person.
fn words(signals: &Signals) -> String {
    let hits = signals.hit_ratio().map_or("no reads of blocks".to_owned(), |hits| {
        format!("the block cache answers {:.1} % of reads", hits * 100.0)
    });
    format!(
        "{hits} with {} MiB, {} memtables wait, level 0 has {} files, {} MiB to compact, writers wait {:.1} %",
        signals.block_cache_used_bytes >> 20,
        signals.memtables_waiting,
        signals.l0_files,
        signals.pending_compaction_bytes >> 20,
        signals.stalled() * 100.0
    )
}

#[cfg(test)]
mod tests;
