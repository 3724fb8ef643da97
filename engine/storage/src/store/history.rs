//! The keys as they were: how long what is overwritten is kept, and reading at a time.
//!
//! **Guarantees.** [`Store::snapshot_at`] of a time sees the commits up to that time and no others, today and as long as that time can be read: none
//! that is committed later gets a time that has been asked for. What cannot be read is said to be gone, never answered with something else; see
//! [`crate::rows::history`] for what is kept.
//!
//! **How.**
//! 1. Who asks for a time notes it, and waits until whoever commits at that moment is done. All who commit later take a later time.
//! 2. A thread raises the horizon to what the retention says and sweeps, some versions at a time, with pauses four times as long.
//!
//! **Who clears or loads** ranges beside the log ([`super::clear`], [`super::load`]) changes what was as well. A range may be cleared only when it was
//! dropped at or before the horizon ([`Store::horizon`]): then no time that can still be read had it. What is loaded has the time of a commit
//! before the one that says whose it is, so that it is there whenever anybody looks.
//!
//! Left out: a wall clock that jumps back while the store is closed can give a commit a time that was asked for before.

use super::*;

use crate::rows::Past;

/// Versions that one round of a sweep looks at.
const ENTRIES_AT_ONCE: usize = 10_000;
/// Of the time that a version is kept, how much it may be kept longer; and the bounds of that.
const SLACK: u64 = 8;
const SLACK_MICROS: std::ops::RangeInclusive<u64> = 250_000..=600_000_000;
/// How long the sweep rests, by how long a round took.
const PAUSE: u32 = 4;
/// While nothing is kept there is nothing to sweep.
const IDLE: Duration = Duration::from_secs(3_600);

/// Times that the store and its threads agree upon, in microseconds.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// How long what is overwritten is kept; 0 while it is not.
    retention: AtomicU64,
    /// The latest that was asked for: no commit gets it any more.
    asked: AtomicU64,
}

impl Times {
    /// The time of a commit, given the clock's and that of the one before.
    pub fn of_commit(&self, wall: u64, last: Timestamp) -> Timestamp {
        let asked = self.asked.load(Ordering::SeqCst);
        Timestamp(wall.max(last.0 + 1).max(asked + 1))
    }

    /// How long a version may be kept longer than it has to; None while none is kept.
    fn slack(&self) -> Option<u64> {
        let retention = self.retention.load(Ordering::Relaxed);
        (retention > 0).then(|| (retention / SLACK).clamp(*SLACK_MICROS.start(), *SLACK_MICROS.end()))
    }

    /// Raises the horizon to what the retention says. By who applies.
    pub fn raise(&self, rows: &dyn Rows, wall: u64) -> Result<()> {
        let retention = self.retention.load(Ordering::Relaxed);
        let wanted = Timestamp(wall.saturating_sub(retention));
        match rows.horizon() {
            Some(horizon) if retention > 0 && horizon < wanted => rows.raise_horizon(wanted),
            _ => Ok(()),
        }
    }

    /// As [`Times::raise`], where it has not been raised for a while.
    pub fn raise_if_due(&self, rows: &dyn Rows, wall: u64) -> Result<()> {
        let Some(slack) = self.slack() else { return Ok(()) };
        let kept = self.retention.load(Ordering::Relaxed) + slack;
        match rows.horizon() {
            Some(horizon) if horizon.0.saturating_add(kept) < wall => self.raise(rows, wall),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Keeps what is overwritten so long, from now on; zero forgets all that was kept. Durable when this returns; how long is for the caller to
    /// say again each time the store is opened, and until then nothing is removed.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    pub fn keep_history(&self, retention: Duration) -> Result<()> {
        let micros = u64::try_from(retention.as_micros()).unwrap_or(u64::MAX);
        self.times.retention.store(micros, Ordering::Relaxed);
        let is_kept = micros > 0;
        let change = || match self.rows.horizon().is_some() == is_kept {
            true => Ok(false),
            false => self.rows.keep_history(is_kept).map(|()| true),
        };
        match &self.core {
            Core::Memory { applier, .. } => {
                let _applier = applier.lock();
                change()?;
            }
            Core::Durable(durable) => {
                let has_changed = {
                    let _applier = durable.shared.applier.lock();
                    change()?
                };
                if has_changed {
                    self.flush()?;
                }
                let _state = durable.shared.state.lock();
                durable.shared.sweep.notify_all();
            }
        }
        Ok(())
    }

    /// The oldest time at which the keys can be read; None while nothing that is overwritten is kept.
    pub fn horizon(&self) -> Option<Timestamp> {
        self.rows.horizon()
    }

    /// About how many bytes older versions take on disk.
    pub fn history_bytes(&self) -> u64 {
        self.rows.history_bytes()
    }

    /// The time now, as commits have it.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock().wall_micros())
    }

    /// The keys as they were at a time, or why they cannot be read then. Waits for commits that are under way.
    ///
    /// # Errors
    /// 22023 for a time that is to come; corrupt or IO, naming the file.
    pub fn snapshot_at(&self, at: Timestamp) -> Result<Past> {
        if at > self.rows.snapshot().read_point()?.timestamp {
            if at > self.now() {
                return Err(Error::invalid(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "cannot read as of a time in the future",
                ));
            }
            self.times.asked.fetch_max(at.0, Ordering::SeqCst);
            match &self.core {
                Core::Memory { applier, .. } => drop(applier.lock()),
                Core::Durable(durable) => durable.shared.wait_for_turn(),
            }
        }
        Ok(match self.rows.snapshot_at(at)? {
            Past::Kept(snapshot) => Past::Kept(self.ages.bounded(snapshot)),
            other => other,
        })
    }

    /// Removes what need not be kept any more, now and as a whole. A thread does the same, now and then and in pieces.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    pub fn trim_history(&self) -> Result<()> {
        let wall = self.now().0;
        match &self.core {
            Core::Memory { applier, .. } => {
                let _applier = applier.lock();
                self.times.raise(&*self.rows, wall)?;
            }
            Core::Durable(durable) => {
                let _applier = durable.shared.applier.lock();
                self.times.raise(&*self.rows, wall)?;
            }
        }
        let mut cursor = Vec::new();
        while !self.rows.sweep_history(&mut cursor, ENTRIES_AT_ONCE)?.is_over {}
        Ok(())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        match &self.core {
            Core::Memory { applier, .. } => applier.lock().clock.clone(),
            Core::Durable(durable) => durable.clock.clone(),
        }
    }
}

impl Shared {
    /// Returns once whoever commits now is done.
    fn wait_for_turn(&self) {
        let mut state = self.state.lock();
        let turn = state.turns;
        while state.idle.is_none() && state.turns == turn && !state.is_dead {
            self.turned.wait(&mut state);
        }
    }
}

/// The thread that removes what need not be kept any more.
pub(super) struct Sweeper {
    pub(super) shared: Arc<Shared>,
    pub(super) rows: Arc<dyn Rows>,
    pub(super) times: Arc<Times>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Sweeper {
    pub(super) fn run(&self) {
        while self.rest(|| self.times.slack().map_or(IDLE, Duration::from_micros)) {
            if let Err(error) = self.sweep() {
                tracing::warn!(%error, "older versions could not be removed; trying again");
            }
        }
    }

    fn sweep(&self) -> Result<()> {
        {
            let _applier = self.shared.applier.lock();
            self.times.raise(&*self.rows, self.clock.wall_micros())?;
        }
        let mut cursor = Vec::new();
        loop {
            let begin = self.clock.monotonic();
            if self.rows.sweep_history(&mut cursor, ENTRIES_AT_ONCE)?.is_over {
                return Ok(());
            }
            let took = self.clock.monotonic().saturating_sub(begin);
            if !self.rest(|| took * PAUSE) {
                return Ok(());
            }
        }
    }

    /// Waits so long, or until somebody says that something has changed; false when the store ends.
    fn rest(&self, time: impl Fn() -> Duration) -> bool {
        let mut state = self.shared.state.lock();
        if !state.is_closing && !state.is_dead {
            // Asked under the lock: who changes it says so under the lock.
            let _ = self.shared.sweep.wait_for(&mut state, time());
        }
        !state.is_closing && !state.is_dead
    }
}

#[cfg(test)]
mod tests;
