//! The live trial of a knob: windows with the old value and the new one in turns, on the running store.

use std::time::Duration;

use aion_base::clock::Clock;
use aion_base::knobs::Knobs;
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_shadow::recommendation::{Grounds, KnobTrial, PIPELINE, Recommendation};
use aion_shadow::state::State;
use aion_shadow::verdict::Verdict;
use aion_tuner::reward::{Measured, Window};
use aion_tuner::signals::Signals;
use aion_tuner::trial::Finding;
use aion_tuner::tuner::Action;

use super::super::{Pipeline, Progress, Step};
use super::change::{Change, pinned};
use super::judge::{arm, figures, finding_of, means, verdict_of};

/// Pairs of windows in a trial at most; its own limits end it before.
const PAIRS_MAX: usize = 64;
/// How long a trial's verdict can be approved, in microseconds: a day. The workload is another one then.
const READY_TIME: i64 = 24 * 3_600 * 1_000_000;
/// How often a waiting trial looks whether it is cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a trial ended.
enum Tried {
    Judged(KnobTrial),
    /// By a person.
    Taken,
}

impl Pipeline {
    /// The live trial of a knob: its rehearsal.
    ///
    /// # Errors
    /// 55000 where the envelope does not allow it now; 57014 when it is cancelled; then it is proposed again.
    pub(in crate::pipeline) fn rehearse_knob(
        &self,
        one: &Recommendation,
        by: &str,
        progress: &Progress<'_>,
    ) -> Result<()> {
        let id = one.id;
        let mut change = self.change_of(one)?;
        let knob = self.knobs.get(change.name)?;
        if knob.is_pinned {
            return Err(pinned(&knob));
        }
        change.from = knob.value;
        let reading = self.reading()?;
        let proposal = change.proposal(&one.state_reason);
        let now = self.clock.monotonic();
        let begun = {
            let mut tuner = self.tuning.tuner.lock();
            tuner.begin(proposal, &reading.signals_since(&reading), &self.knobs.list(), now)
        };
        if let Err(why) = begun {
            if by == PIPELINE && one.state == State::Proposed {
                self.advance(id, State::Expired, PIPELINE, &why, None, |_| {})?;
            }
            let message = format!("recommendation {id} cannot be tried now: {why}");
            return Err(Error::conflict(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .with_hint("SELECT * FROM aion.knobs shows what the knobs are and may be."));
        }
        self.tuning.state.lock().open = None;
        let undo = Change::undo_command(&knob);
        let began = self.advance(
            id,
            State::Rehearsing,
            by,
            "its trial on the running store began",
            None,
            |one| {
                one.undo_command = Some(undo);
            },
        );
        let tried = began.and_then(|()| {
            self.step(id, Step::Rehearsing);
            self.counted(|| self.try_knob(&change, progress))
        });
        self.end_trial(change);
        match tried {
            Ok(Tried::Judged(judged)) => self.judge_knob(id, judged),
            Ok(Tried::Taken) => {
                let why = "somebody else changed or pinned the knob during its trial";
                self.advance(id, State::Rejected, PIPELINE, why, None, |_| {})
            }
            Err(error) if error.state() == SqlState::QUERY_CANCELED => {
                self.advance(id, State::Proposed, by, "its trial was cancelled", None, |_| {})?;
                Err(error)
            }
            Err(error) if self.find(id)?.state == State::Rehearsing => {
                self.advance(id, State::Failed, PIPELINE, error.message(), None, |_| {})?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Windows with and without a change, until it can be judged.
    fn try_knob(&self, change: &Change, progress: &Progress<'_>) -> Result<Tried> {
        let mut without: Option<Measured> = None;
        let mut judged = KnobTrial {
            knob: change.name.to_owned(),
            from: change.from,
            to: change.to,
            memory_budget_bytes: self.options.memory_bytes as f64,
            windows: Vec::new(),
            verdict: Verdict::Undecided,
        };
        for pair in 0..PAIRS_MAX {
            let order = match pair % 2 {
                0 => [change.from, change.to],
                _ => [change.to, change.from],
            };
            let mut with = None;
            let mut signals = Signals::default();
            for value in order {
                if !self.knobs.turn(change.name, &[change.from, change.to], value)? {
                    return Ok(Tried::Taken);
                }
                let is_treated = value == change.to;
                let control = without.filter(|_| is_treated);
                let (seen, measured) = self.window(control, progress)?;
                match is_treated {
                    true => (with, signals) = (measured, seen),
                    false => without = measured,
                }
            }
            let window = with.zip(without).map(|(treated, control)| Window { treated, control });
            judged
                .windows
                .push(window.map(|window| [arm(window.control), arm(window.treated)]));
            let mut knobs = self.knobs.list();
            for knob in knobs
                .iter_mut()
                .filter(|knob| knob.name == change.name && knob.value == change.from)
            {
                // The arm without it is part of the trial.
                knob.value = change.to;
            }
            let now = self.clock.monotonic();
            let command = self.tuning.tuner.lock().tick(&signals, window.as_ref(), &knobs, now);
            if command
                .as_ref()
                .is_some_and(|command| command.action == Action::Abandon)
            {
                return Ok(Tried::Taken);
            }
            judged.verdict = match (verdict_of(&judged), command) {
                // For what is in no window: memory over its budget while nothing was measured.
                (Verdict::Undecided, Some(command)) => Verdict::Rejected(command.reason),
                (verdict, _) => verdict,
            };
            if judged.verdict != Verdict::Undecided {
                return Ok(Tried::Judged(judged));
            }
        }
        judged.verdict = Verdict::Rejected("not shown to pay".to_owned());
        Ok(Tried::Judged(judged))
    }

    /// One window with the knob as it is, after a part that does not count. With a `control` to compare with it ends in the middle where the
    /// watchdog sees harm.
    fn window(&self, control: Option<Measured>, progress: &Progress<'_>) -> Result<(Signals, Option<Measured>)> {
        let length = self.options.learning.knob_window;
        self.wait(length / 5, progress)?;
        let start = self.reading()?;
        loop {
            self.wait(length / 10, progress)?;
            let now = self.reading()?;
            let (signals, measured) = (now.signals_since(&start), now.measured_since(&start));
            let is_harmful = || {
                let window = measured
                    .zip(control)
                    .map(|(treated, control)| Window { treated, control });
                window.is_some_and(|window| self.tuning.tuner.lock().harm(&window, &signals).is_some())
            };
            if signals.window >= length || (signals.window >= length / 2 && is_harmful()) {
                return Ok((signals, measured));
            }
        }
    }

    fn wait(&self, time: Duration, progress: &Progress<'_>) -> Result<()> {
        let until = self.clock.monotonic() + time;
        loop {
            if (progress.is_cancelled)() || self.worker.is_stopped() {
                let message = "canceling statement due to user request";
                return Err(Error::new(ErrorKind::Unavailable, SqlState::QUERY_CANCELED, message));
            }
            let left = until.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return Ok(());
            }
            let (mutex, never) = &self.tuning.pause;
            never.wait_for(&mut mutex.lock(), left.min(LOOK_EVERY));
        }
    }

    /// Sets the old value back and lets the tuner rest.
    fn end_trial(&self, change: Change) {
        self.tuning.state.lock().to_put_back = Some(change);
        if let Err(error) = self.put_back() {
            tracing::error!(%error, knob = change.name, "a knob could not be set back after its trial; it is tried again in a second");
        }
    }

    /// Sets back what a trial changed and could not set back.
    pub(super) fn put_back(&self) -> Result<()> {
        let mut state = self.tuning.state.lock();
        let Some(change) = state.to_put_back else {
            return Ok(());
        };
        // False: it has the old value, or a person took it.
        self.knobs.turn(change.name, &[change.to], change.from)?;
        state.to_put_back = None;
        let signals = state.signals;
        drop(state);
        let (knobs, now) = (self.knobs.list(), self.clock.monotonic());
        let mut tuner = self.tuning.tuner.lock();
        if tuner.is_busy() {
            // It sees that the change is gone.
            tuner.tick(&signals, None, &knobs, now);
        }
        Ok(())
    }

    fn judge_knob(&self, id: u64, judged: KnobTrial) -> Result<()> {
        self.step(id, Step::Judged);
        let (to, reason) = match &judged.verdict {
            Verdict::Rejected(why) => (State::Rejected, why.clone()),
            Verdict::Ready | Verdict::Undecided => {
                let shown = match finding_of(&judged) {
                    Finding::Keep(shown) => shown,
                    Finding::Continue | Finding::Revert(_) => return Err(Error::internal("a trial ended undecided")),
                };
                (State::Ready, format!("shown to pay: {shown}"))
            }
        };
        let reason = match means(&judged) {
            Some([without, with]) => format!("{reason}; without it {}, with it {}", figures(&without), figures(&with)),
            None => reason,
        };
        let expires_at = self.now().saturating_add(READY_TIME);
        self.advance(id, to, PIPELINE, &reason, Some(&Grounds::Trial(judged)), |one| {
            one.expires_at = (to == State::Ready).then_some(expires_at);
        })?;
        self.step(id, Step::Decided);
        Ok(())
    }
}
