//! The loop: asks a policy, keeps it within the envelope, tries one change at a time, and takes back what does not pay.
//!
//! ```text
//!            Try                     Keep
//!   resting ------> trying --------------------> resting
//!      ^             |   \-- Abandon ------------^
//!      |             v Revert                    |
//!      +-------- reverting ----------------------+
//! ```
//!
//! Each [`Tuner::tick`] is one window. It gives a command or nothing; the caller sets the knob, where the command has a value to set, and writes
//! it down. What it did is seen in the knobs of the next tick:
//! - a revert is given again until the knob has its old value, so that a failed one is not forgotten;
//! - a knob that somebody else changed or pinned meanwhile is theirs: the trial is abandoned, nothing is set.
//!
//! Who wants to be asked between a proposal and its trial calls [`Tuner::propose`] and [`Tuner::begin`] instead, and ticks while something is tried.

use std::time::Duration;

use aion_base::knobs::{Knob, Knobs};

use crate::envelope::{self, Envelope};
use crate::policy::{Ended, Outcome, Policy, Proposal, Purpose};
use crate::reward::Window;
use crate::signals::Signals;
use crate::trial::{self, Finding, Trial};

/// How a tuner works.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// What no proposal leaves.
    pub envelope: envelope::Limits,
    /// What a change must show.
    pub trial: trial::Limits,
    /// Between the end of one trial and the next proposal.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            envelope: envelope::Limits::default(),
            trial: trial::Limits::default(),
            pause: Duration::from_secs(30),
        }
    }
}

/// What is to be done with a knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set it, and watch what happens.
    Try,
    /// Set it: memory is over its budget.
    Protect,
    /// Set it back.
    Revert,
    /// Nothing: the change stays.
    Keep,
    /// Nothing: somebody else has taken the knob.
    Abandon,
}

/// A decision, as the ledger writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What is to be done.
    pub action: Action,
    /// With which knob.
    pub knob: &'static str,
    /// What it is.
    pub from: i64,
    /// What it shall be; the same where nothing is set.
    pub to: i64,
    /// Why.
    pub reason: String,
}

impl Command {
    /// Sets the knob, where there is something to set.
    ///
    /// # Errors
    /// Those of [`Knobs::set`].
    pub fn carry_out(&self, knobs: &dyn Knobs) -> aion_base::Result<()> {
        match self.action {
            Action::Try | Action::Protect | Action::Revert => knobs.set(self.knob, self.to).map(|_| ()),
            Action::Keep | Action::Abandon => Ok(()),
        }
    }
}

#[derive(Debug)]
enum Stage {
    Resting { until: Duration },
    Trying(Box<Trial>),
    Reverting { proposal: Proposal, reason: String },
}

/// Turns knobs.
#[derive(Debug)]
pub struct Tuner {
    policy: Box<dyn Policy>,
    envelope: Envelope,
    limits: Limits,
    stage: Stage,
}

impl Tuner {
    /// With this policy, within these limits.
    pub fn new(policy: Box<dyn Policy>, limits: Limits) -> Self {
        Self {
            policy,
            envelope: Envelope::new(limits.envelope.clone()),
            limits,
            stage: Stage::Resting { until: Duration::ZERO },
        }
    }

    /// The policy's name, for the ledger.
    pub fn policy(&self) -> &'static str {
        self.policy.name()
    }

    /// The change that is being tried.
    pub fn trying(&self) -> Option<&Proposal> {
        match &self.stage {
            Stage::Trying(trial) => Some(trial.proposal()),
            Stage::Resting { .. } | Stage::Reverting { .. } => None,
        }
    }

    /// Whether a change is being tried or taken back.
    pub fn is_busy(&self) -> bool {
        !matches!(self.stage, Stage::Resting { .. })
    }

    /// One window has passed. `window` compares both arms, where something is being tried and could be measured; `knobs` are as they are, `now` is
    /// a monotonic time.
    pub fn tick(
        &mut self,
        signals: &Signals,
        window: Option<&Window>,
        knobs: &[Knob],
        now: Duration,
    ) -> Option<Command> {
        match &mut self.stage {
            Stage::Resting { .. } => {
                let proposal = self.propose(signals, knobs, now)?;
                self.begin(proposal, signals, knobs, now).ok()
            }
            Stage::Trying(trial) => {
                let proposal = trial.proposal().clone();
                if !is_ours(&proposal, knobs) {
                    return Some(self.abandon(proposal, knobs, now));
                }
                let finding = match signals.is_over_budget() && self.envelope.memory_delta(&proposal, knobs) < 0 {
                    // Taking it back would take more memory still.
                    true => Finding::Keep("memory is over its budget, and this gives some back".to_owned()),
                    false => trial.observe(window, signals),
                };
                let (reward, windows) = (trial.reward(), trial.windows());
                let (ended, reason) = match finding {
                    Finding::Continue => return None,
                    Finding::Keep(shown) => (Ended::Kept, shown),
                    Finding::Revert(reason) => (Ended::Reverted(reason.clone()), reason),
                };
                let outcome = Outcome {
                    proposal,
                    ended,
                    reward,
                    windows,
                    at: now,
                };
                self.learn(&outcome);
                let proposal = outcome.proposal;
                match outcome.ended {
                    Ended::Kept => {
                        self.rest(now);
                        Some(command(Action::Keep, &proposal, (proposal.to, proposal.to), reason))
                    }
                    _ => {
                        let back = command(Action::Revert, &proposal, (proposal.to, proposal.from), reason.clone());
                        self.stage = Stage::Reverting { proposal, reason };
                        Some(back)
                    }
                }
            }
            Stage::Reverting { proposal, reason } => {
                if is_ours(proposal, knobs) {
                    let (proposal, reason) = (proposal.clone(), reason.clone());
                    return Some(command(Action::Revert, &proposal, (proposal.to, proposal.from), reason));
                }
                self.rest(now);
                None
            }
        }
    }

    /// What the policy would change, within the envelope; None while something is tried and in the pause after it. Whoever does not give it to
    /// [`Tuner::begin`] withdraws it.
    pub fn propose(&mut self, signals: &Signals, knobs: &[Knob], now: Duration) -> Option<Proposal> {
        match &self.stage {
            Stage::Resting { until } if now >= *until || signals.is_over_budget() => {}
            Stage::Resting { .. } | Stage::Trying(_) | Stage::Reverting { .. } => return None,
        }
        let proposal = self.policy.propose(signals, knobs, now)?;
        match self.envelope.check(&proposal, knobs, signals, now) {
            Ok(()) => Some(proposal),
            Err(reason) => {
                self.learn(&unmeasured(proposal, Ended::Refused(reason), now));
                None
            }
        }
    }

    /// Begins with a proposal, whoever's it is, and whether the knob rests or not: gives what is to be set now. One that is to be tried is watched by [`Tuner::tick`] from then on.
    ///
    /// # Errors
    /// Why not, in words: another change is being tried, or it leaves the envelope.
    pub fn begin(
        &mut self,
        proposal: Proposal,
        signals: &Signals,
        knobs: &[Knob],
        now: Duration,
    ) -> Result<Command, String> {
        if !matches!(self.stage, Stage::Resting { .. }) {
            return Err("another change is being tried".to_owned());
        }
        self.envelope.check_limits(&proposal, knobs, signals)?;
        let (step, reason) = ((proposal.from, proposal.to), proposal.reason.clone());
        Ok(match proposal.purpose {
            Purpose::Improve => {
                let command = command(Action::Try, &proposal, step, reason);
                self.stage = Stage::Trying(Box::new(Trial::new(proposal, self.limits.trial.clone())));
                command
            }
            Purpose::Protect => {
                let command = command(Action::Protect, &proposal, step, reason);
                self.learn(&unmeasured(proposal, Ended::Kept, now));
                self.rest(now);
                command
            }
        })
    }

    /// What the watchdog sees in the change that is being tried: for who looks more often than once a window. The tick that is given the same
    /// takes the change back.
    pub fn harm(&self, window: &Window, signals: &Signals) -> Option<String> {
        match &self.stage {
            Stage::Trying(trial) => trial.harm(Some(window), signals),
            Stage::Resting { .. } | Stage::Reverting { .. } => None,
        }
    }

    /// A proposal was not tried, or stayed in force and was taken back later: so it `ended`.
    pub fn note(&mut self, proposal: Proposal, ended: Ended, now: Duration) {
        self.learn(&unmeasured(proposal, ended, now));
    }

    fn abandon(&mut self, proposal: Proposal, knobs: &[Knob], now: Duration) -> Command {
        let value = knobs
            .iter()
            .find(|knob| knob.name == proposal.knob)
            .map(|knob| knob.value);
        let value = value.unwrap_or(proposal.to);
        let reason = "somebody else changed or pinned it".to_owned();
        let command = command(Action::Abandon, &proposal, (value, value), reason);
        self.learn(&unmeasured(proposal, Ended::Abandoned, now));
        self.rest(now);
        command
    }

    fn learn(&mut self, outcome: &Outcome) {
        self.envelope.note(outcome);
        self.policy.learn(outcome);
    }

    fn rest(&mut self, now: Duration) {
        self.stage = Stage::Resting {
            until: now.saturating_add(self.limits.pause),
        };
    }
}

/// Whether the knob still has the value that the proposal gave it, and nobody pinned it.
fn is_ours(proposal: &Proposal, knobs: &[Knob]) -> bool {
    let is_it = |knob: &Knob| knob.name == proposal.knob && knob.value == proposal.to && !knob.is_pinned;
    knobs.iter().any(is_it)
}

fn unmeasured(proposal: Proposal, ended: Ended, at: Duration) -> Outcome {
    Outcome {
        proposal,
        ended,
        reward: None,
        windows: 0,
        at,
    }
}

fn command(action: Action, proposal: &Proposal, (from, to): (i64, i64), reason: String) -> Command {
    Command {
        action,
        knob: proposal.knob,
        from,
        to,
        reason,
    }
}

#[cfg(test)]
mod tests;
