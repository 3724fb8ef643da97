//! What a policy is: signals in, a proposal out, and what came of it in again.
//!
//! A policy keeps what it has to remember of a proposal from [`Policy::propose`] to [`Policy::learn`] itself: there is never more than one open, and
//! each is learnt from when it ends. It need not be careful: the envelope and the trial are.

use std::fmt::Debug;
use std::time::Duration;

use aion_base::knobs::Knob;

use crate::signals::Signals;

/// Why a change is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It may pay: it is tried, and kept if it does.
    Improve,
    /// More memory is used than may be: it is made without a trial, which would only say that less memory is slower.
    Protect,
}

/// A change of one knob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Which.
    pub knob: &'static str,
    /// What it is.
    pub from: i64,
    /// What it should be.
    pub to: i64,
    /// What for.
    pub purpose: Purpose,
    /// What of the signals asks for it, in words for a person.
    pub reason: String,
}

/// How a proposal ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// It is in force.
    Kept,
    /// It was in force, and was taken back for this reason.
    Reverted(String),
    /// It left the envelope and was never in force.
    Refused(String),
    /// Somebody else changed or pinned the knob meanwhile: nothing can be said.
    Abandoned,
}

/// What came of a proposal.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The proposal.
    pub proposal: Proposal,
    /// How it ended.
    pub ended: Ended,
    /// The mean reward of its windows; None without any that were measured.
    pub reward: Option<f64>,
    /// Windows that were measured.
    pub windows: usize,
    /// When it ended, a monotonic time.
    pub at: Duration,
}

/// Proposes changes. `now` is a monotonic time.
pub trait Policy: Debug + Send {
    /// What it is called in the ledger.
    fn name(&self) -> &'static str;

    /// Looks at a window, and may propose a change. It is asked for each window in which nothing else is tried.
    fn propose(&mut self, signals: &Signals, knobs: &[Knob], now: Duration) -> Option<Proposal>;

    /// Takes note of what came of its last proposal, of one that somebody else had tried, or of an earlier one that was taken back after all.
    fn learn(&mut self, outcome: &Outcome);
}
