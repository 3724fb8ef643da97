//! Watching a change that was made: does it keep its promise?
//!
//! For each statement that the rehearsal showed to gain clearly, the *promise* is that it stays faster than the incumbent was. An
//! execution that takes longer than [`Promise::limit_ms`] is *bad*. The change goes back
//!
//! - at the [`BAD_MAX`]th bad execution in a row of one statement: one slow execution is the machine, three are the change;
//! - when within [`WINDOW`] of the first bad execution the statements took longer in all than the incumbent would have, so that a
//!   mixture of good and bad ones does not hide a loss.
//!
//! After [`KEPT_AFTER`] good executions and at least [`WINDOW`] it is kept. Statements that the rehearsal showed unchanged are
//! not watched: of them, every second execution is slower than the median by definition.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bad executions in a row after which the change goes back.
pub const BAD_MAX: u32 = 3;
/// How long a loss in sum may last, and a change is watched at least.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Executions after which a change that kept its promise is kept.
pub const KEPT_AFTER: u64 = 20;
/// A statement is watched when the rehearsal showed it to be this many times as fast: of one that gained less, an execution is bad for
/// reasons of the machine too often. Where none gained as much, all that gained are watched.
const GAIN_MIN: f64 = 1.25;
/// An execution is bad when it takes this many times the incumbent's median.
const BAD_FACTOR: f64 = 1.1;

/// What was measured of a statement before the change was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// Its identity.
    pub queryid: i64,
    /// The median under the incumbent.
    pub incumbent_ms: f64,
    /// The median under the candidate.
    pub candidate_ms: f64,
}

impl Promise {
    /// How many times as fast the candidate was.
    fn gain(&self) -> f64 {
        self.incumbent_ms / self.candidate_ms.max(f64::MIN_POSITIVE)
    }

    /// Above this an execution is bad.
    pub fn limit_ms(&self) -> f64 {
        self.incumbent_ms * BAD_FACTOR
    }
}

/// What follows from an execution.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Go on watching.
    Watch,
    /// It kept its promise.
    Keep,
    /// Take it back, for this reason.
    Revert(String),
}

/// Watches one change.
#[derive(Clone, Debug)]
pub struct Watch {
    began: Duration,
    promised: HashMap<i64, Watched>,
    executions: u64,
    /// Since the first bad execution: when that was, and what was taken and promised.
    loss: Option<Loss>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    promise: Promise,
    bad_in_a_row: u32,
}

#[derive(Clone, Copy, Debug)]
struct Loss {
    since: Duration,
    taken_ms: f64,
    incumbent_ms: f64,
}

impl Watch {
    /// Begins at `now`, a monotonic time. Promises without a gain are left out.
    pub fn new(promises: impl IntoIterator<Item = Promise>, now: Duration) -> Self {
        let mut gains: Vec<Promise> = promises.into_iter().filter(|promise| promise.gain() > 1.0).collect();
        if gains.iter().any(|promise| promise.gain() >= GAIN_MIN) {
            gains.retain(|promise| promise.gain() >= GAIN_MIN);
        }
        let promised = gains.into_iter().map(|promise| {
            let watched = Watched {
                promise,
                bad_in_a_row: 0,
            };
            (promise.queryid, watched)
        });
        Self {
            began: now,
            promised: promised.collect(),
            executions: 0,
            loss: None,
        }
    }

    /// Takes note of an execution that ended at `now`.
    pub fn executed(&mut self, queryid: i64, ms: f64, now: Duration) -> Finding {
        let Some(watched) = self.promised.get_mut(&queryid) else {
            return Finding::Watch;
        };
        let promise = watched.promise;
        self.executions += 1;
        let is_bad = ms > promise.limit_ms();
        watched.bad_in_a_row = if is_bad { watched.bad_in_a_row + 1 } else { 0 };
        let bad_in_a_row = watched.bad_in_a_row;
        if bad_in_a_row >= BAD_MAX {
            return Finding::Revert(format!(
                "statement {queryid} took {ms:.1} ms at its {bad_in_a_row}. bad execution in a row; without the change it took {:.1} ms",
                promise.incumbent_ms
            ));
        }
        if is_bad && self.loss.is_none() {
            self.loss = Some(Loss {
                since: now,
                taken_ms: 0.0,
                incumbent_ms: 0.0,
            });
        }
        if let Some(loss) = &mut self.loss {
            loss.taken_ms += ms;
            loss.incumbent_ms += promise.incumbent_ms;
            let since = now.saturating_sub(loss.since);
            if since >= WINDOW {
                if loss.taken_ms > loss.incumbent_ms {
                    return Finding::Revert(format!(
                        "in {:.0} s its statements took {:.1} ms; without the change they took {:.1} ms",
                        since.as_secs_f64(),
                        loss.taken_ms,
                        loss.incumbent_ms
                    ));
                }
                self.loss = None;
            }
        }
        let is_long = now.saturating_sub(self.began) >= WINDOW;
        match self.loss.is_none() && is_long && self.executions >= KEPT_AFTER {
            true => Finding::Keep,
            false => Finding::Watch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        let promise = |queryid, incumbent_ms, candidate_ms| Promise {
            queryid,
            incumbent_ms,
            candidate_ms,
        };
        Watch::new(
            [promise(1, 30.0, 10.0), promise(2, 5.0, 5.0), promise(3, 100.0, 20.0)],
            at(0),
        )
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn three_bad_executions_in_a_row_take_it_back() {
        let mut watch = watch();
        assert_eq!(watch.executed(1, 90.0, at(1)), Finding::Watch);
        assert_eq!(watch.executed(1, 90.0, at(1)), Finding::Watch);
        // Another statement's does not count for it.
        assert_eq!(watch.executed(3, 20.0, at(1)), Finding::Watch);
        assert!(matches!(watch.executed(1, 90.0, at(2)), Finding::Revert(reason) if reason.contains("statement 1")));
    }

    #[test]
    fn a_slow_execution_among_good_ones_does_not() {
        let mut watch = watch();
        for second in 0..60 {
            let ms = if second % 3 == 0 { 60.0 } else { 10.0 };
            assert_eq!(watch.executed(1, ms, at(second)), Finding::Watch, "second {second}");
        }
    }

    #[test]
    fn a_loss_in_sum_takes_it_back_within_a_minute() {
        let mut watch = watch();
        // Never three in a row, and slower in all.
        let mut second = 0;
        let reason = loop {
            let ms = if second % 3 == 2 { 29.0 } else { 60.0 };
            match watch.executed(1, ms, at(second)) {
                Finding::Watch => second += 1,
                Finding::Revert(reason) => break reason,
                Finding::Keep => panic!("kept after {second} s"),
            }
        };
        assert!(second <= 60, "{second}");
        assert!(reason.contains("in 60 s"), "{reason}");
    }

    #[test]
    fn what_keeps_its_promise_is_kept_after_a_minute() {
        let mut watch = watch();
        for execution in 0..100 {
            assert_eq!(watch.executed(1, 11.0, at(execution % 59)), Finding::Watch);
        }
        assert_eq!(watch.executed(1, 11.0, at(61)), Finding::Keep);
    }

    #[test]
    fn what_promised_nothing_is_not_watched() {
        let mut watch = watch();
        for _ in 0..100 {
            assert_eq!(watch.executed(2, 500.0, at(70)), Finding::Watch);
            assert_eq!(watch.executed(77, 500.0, at(70)), Finding::Watch);
        }
    }
}
