//! What no proposal may leave, whoever makes it.
//!
//! A proposal is refused, by the first that holds, when
//!
//! 1. there is no such knob, a person pinned it, or a change would need a restart;
//! 2. it starts from another value than the knob has: the policy thought of another state;
//! 3. it changes nothing, goes beyond the bounds, or by more than one step (the trust region);
//! 4. an [`Limits::orders`] would break: level 0 must slow writers down before it stops them;
//! 5. it takes more memory than the budget leaves after a reserve; where nobody said what the budget is, any;
//! 6. it claims to protect, and memory is not over the budget or the change gives none back;
//! 7. the knob failed lately, see [`Envelope::note`]. What protects is not held up by that.

use std::collections::HashMap;
use std::time::Duration;

use aion_base::knobs::{Knob, Unit};

use crate::policy::{Ended, Outcome, Proposal, Purpose};
use crate::signals::Signals;

/// Doublings of the rest after failures end here.
const FAILURES_MAX: u32 = 10;

/// What the envelope is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Pairs of knobs of which the first must stay below the second.
    pub orders: Vec<(&'static str, &'static str)>,
    /// Pairs of knobs whose product is memory: the bytes of one, how many there may be.
    pub products: Vec<(&'static str, &'static str)>,
    /// The part of the memory budget that is left alone, 0 to 1.
    pub memory_reserve: f64,
    /// How long a knob rests after a change of it was taken back; twice as long after each further one.
    pub rest: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            orders: vec![
                ("level0_compaction_trigger", "level0_slowdown_trigger"),
                ("level0_slowdown_trigger", "level0_stop_trigger"),
            ],
            products: vec![("write_buffer_bytes", "write_buffers_max")],
            memory_reserve: 0.05,
            rest: Duration::from_secs(300),
        }
    }
}

/// Checks proposals, and remembers which knobs failed.
#[derive(Clone, Debug)]
pub struct Envelope {
    limits: Limits,
    failed: HashMap<&'static str, Failed>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    rests_until: Duration,
}

impl Envelope {
    /// Within these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            failed: HashMap::new(),
        }
    }

    /// Whether a proposal may be made at `now`.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn check(&self, proposal: &Proposal, knobs: &[Knob], signals: &Signals, now: Duration) -> Result<(), String> {
        self.check_limits(proposal, knobs, signals)?;
        let failed = self.failed.get(proposal.knob);
        let resting = failed.filter(|failed| now < failed.rests_until && proposal.purpose != Purpose::Protect);
        match resting {
            Some(failed) => Err(format!(
                "{}: it rests until {} s",
                proposal.knob,
                failed.rests_until.as_secs()
            )),
            None => Ok(()),
        }
    }

    /// Whether a change may be tried, all but the last of the rules: a person may ask again for what failed lately.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn check_limits(&self, proposal: &Proposal, knobs: &[Knob], signals: &Signals) -> Result<(), String> {
        let name = proposal.knob;
        let (from, to) = (proposal.from, proposal.to);
        let found = knobs.iter().find(|knob| knob.name == name);
        let knob = found.ok_or_else(|| format!("there is no knob {name}"))?;
        let refuse = |why: String| Err(format!("{name}: {why}"));
        if knob.is_pinned {
            return refuse("a person pinned it".to_owned());
        }
        if knob.needs_restart {
            return refuse("a change needs a restart".to_owned());
        }
        if from != knob.value {
            return refuse(format!("it is {}, not {from}", knob.value));
        }
        if from == to {
            return refuse("nothing would change".to_owned());
        }
        if knob.check(to).is_err() {
            return refuse(format!("{to} is not between {} and {}", knob.min, knob.max));
        }
        if to.abs_diff(from) > knob.step.unsigned_abs().max(1) {
            return refuse(format!("from {from} to {to} is more than a step of {}", knob.step));
        }
        if let Some((lesser, greater)) = self.broken_order(proposal, knobs) {
            return refuse(format!("{lesser} must stay below {greater}"));
        }
        let delta = self.memory_delta(proposal, knobs);
        let left = signals.memory_left(self.limits.memory_reserve);
        if delta > i128::from(left) {
            return refuse(format!("it takes {delta} bytes, {left} are left of the budget"));
        }
        if proposal.purpose == Purpose::Protect {
            let is_protection = signals.is_over_budget() && delta < 0;
            return match is_protection {
                true => Ok(()),
                false => refuse("it protects nothing".to_owned()),
            };
        }
        Ok(())
    }

    /// Bytes that a proposal takes; below 0, gives back.
    pub fn memory_delta(&self, proposal: &Proposal, knobs: &[Knob]) -> i128 {
        let value = |name: &str| knobs.iter().find(|knob| knob.name == name).map_or(1, |knob| knob.value);
        let change = i128::from(proposal.to) - i128::from(proposal.from);
        for (bytes, count) in &self.limits.products {
            if proposal.knob == *bytes {
                return change * i128::from(value(count));
            }
            if proposal.knob == *count {
                return change * i128::from(value(bytes));
            }
        }
        let is_bytes = |knob: &&Knob| knob.name == proposal.knob && knob.unit == Unit::Bytes;
        if knobs.iter().any(|knob| is_bytes(&knob)) {
            change
        } else {
            0
        }
    }

    /// Takes note of what came of a proposal: a knob whose change was taken back rests.
    pub fn note(&mut self, outcome: &Outcome) {
        let knob = outcome.proposal.knob;
        match outcome.ended {
            Ended::Kept => {
                self.failed.remove(knob);
            }
            Ended::Reverted(_) => {
                let times = self.failed.get(knob).map_or(0, |failed| failed.times);
                let rest = self.limits.rest.saturating_mul(1 << times.min(FAILURES_MAX));
                let failed = Failed {
                    times: times.saturating_add(1),
                    rests_until: outcome.at.saturating_add(rest),
                };
                self.failed.insert(knob, failed);
            }
            Ended::Refused(_) | Ended::Abandoned => {}
        }
    }

    fn broken_order(&self, proposal: &Proposal, knobs: &[Knob]) -> Option<(&'static str, &'static str)> {
        let after = |name: &str| match name == proposal.knob {
            true => Some(proposal.to),
            false => knobs.iter().find(|knob| knob.name == name).map(|knob| knob.value),
        };
        let concerned = |order: &&(&'static str, &'static str)| order.0 == proposal.knob || order.1 == proposal.knob;
        let is_broken = |order: &&(&'static str, &'static str)| match (after(order.0), after(order.1)) {
            (Some(lesser), Some(greater)) => lesser >= greater,
            _ => false,
        };
        let mut orders = self.limits.orders.iter().filter(concerned);
        orders.find(is_broken).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{MIB, calm, knobs, proposal};
    use aion_base::knobs::Knobs;

    const NOW: Duration = Duration::from_secs(1_000);

    fn refused(proposal: &Proposal, why: &str) {
        let checked = Envelope::new(Limits::default()).check(proposal, &knobs().list(), &calm(), NOW);
        assert!(
            matches!(&checked, Err(reason) if reason.contains(why)),
            "{checked:?}, not {why}"
        );
    }

    #[test]
    fn a_step_within_the_bounds_is_allowed() {
        let envelope = Envelope::new(Limits::default());
        let checked = envelope.check(
            &proposal("block_cache_bytes", 64 * MIB, 96 * MIB),
            &knobs().list(),
            &calm(),
            NOW,
        );
        assert_eq!(checked, Ok(()));
    }

    #[test]
    fn what_leaves_it_is_refused() {
        refused(&proposal("nonsense", 1, 2), "no knob");
        refused(&proposal("pinned_count", 4, 5), "pinned");
        refused(&proposal("restart_count", 4, 5), "restart");
        refused(&proposal("background_threads", 3, 4), "it is 2, not 3");
        refused(&proposal("background_threads", 2, 2), "nothing would change");
        refused(&proposal("background_threads", 2, 9), "not between 1 and 8");
        refused(&proposal("background_threads", 2, 4), "more than a step of 1");
        refused(&proposal("block_cache_bytes", 64 * MIB, i64::MIN), "not between");
    }

    #[test]
    fn orders_hold_on_both_sides() {
        let mut list = knobs().list();
        for knob in &mut list {
            match knob.name {
                "level0_slowdown_trigger" => knob.value = 34,
                "level0_compaction_trigger" => knob.value = 32,
                _ => {}
            }
        }
        let envelope = Envelope::new(Limits::default());
        let check = |knob, from, to| envelope.check(&proposal(knob, from, to), &list, &calm(), NOW);
        assert!(check("level0_slowdown_trigger", 34, 36).is_err_and(|why| why.contains("level0_stop_trigger")));
        assert!(check("level0_compaction_trigger", 32, 34).is_err_and(|why| why.contains("must stay below")));
        assert!(check("level0_slowdown_trigger", 34, 32).is_err_and(|why| why.contains("must stay below")));
        assert_eq!(check("level0_compaction_trigger", 32, 30), Ok(()));
    }

    #[test]
    fn memory_is_counted_by_all_buffers() {
        let envelope = Envelope::new(Limits::default());
        let list = knobs().list();
        let delta = |knob, from, to| envelope.memory_delta(&proposal(knob, from, to), &list);
        assert_eq!(delta("block_cache_bytes", 64 * MIB, 96 * MIB), i128::from(32 * MIB));
        assert_eq!(
            delta("write_buffer_bytes", 16 * MIB, 32 * MIB),
            i128::from(4 * 16 * MIB)
        );
        assert_eq!(delta("write_buffers_max", 4, 3), -i128::from(16 * MIB));
        assert_eq!(delta("background_threads", 2, 3), 0);
        let mut tight = calm();
        tight.memory_used_bytes = tight.memory_budget_bytes - 40 * MIB as u64;
        let grow = proposal("block_cache_bytes", 64 * MIB, 96 * MIB);
        assert!(
            envelope
                .check(&grow, &list, &tight, NOW)
                .is_err_and(|why| why.contains("are left"))
        );
        tight.memory_budget_bytes = 0;
        assert!(envelope.check(&grow, &list, &tight, NOW).is_err());
    }

    #[test]
    fn only_what_gives_memory_back_protects() {
        let envelope = Envelope::new(Limits::default());
        let list = knobs().list();
        let protecting = |knob, from, to| Proposal {
            purpose: Purpose::Protect,
            ..proposal(knob, from, to)
        };
        let shrink = protecting("block_cache_bytes", 64 * MIB, 32 * MIB);
        assert!(
            envelope
                .check(&shrink, &list, &calm(), NOW)
                .is_err_and(|why| why.contains("protects nothing"))
        );
        let mut over = calm();
        over.memory_used_bytes = over.memory_budget_bytes + 1;
        assert_eq!(envelope.check(&shrink, &list, &over, NOW), Ok(()));
        let threads = protecting("background_threads", 2, 1);
        assert!(envelope.check(&threads, &list, &over, NOW).is_err());
    }

    #[test]
    fn a_knob_that_failed_rests_longer_each_time() {
        let mut envelope = Envelope::new(Limits::default());
        let tried = proposal("background_threads", 2, 3);
        let outcome = |ended, at| Outcome {
            proposal: tried.clone(),
            ended,
            reward: None,
            windows: 0,
            at,
        };
        let list = knobs().list();
        let is_allowed = |envelope: &Envelope, second| {
            envelope
                .check(&tried, &list, &calm(), Duration::from_secs(second))
                .is_ok()
        };
        envelope.note(&outcome(Ended::Reverted(String::new()), NOW));
        assert!(!is_allowed(&envelope, 1_299) && is_allowed(&envelope, 1_300));
        assert_eq!(
            envelope.check_limits(&tried, &list, &calm()),
            Ok(()),
            "a person may ask"
        );
        envelope.note(&outcome(Ended::Reverted(String::new()), NOW));
        assert!(!is_allowed(&envelope, 1_599) && is_allowed(&envelope, 1_600));
        envelope.note(&outcome(Ended::Kept, NOW));
        assert!(is_allowed(&envelope, 1_000));
        for _ in 0..100 {
            envelope.note(&outcome(Ended::Reverted(String::new()), Duration::MAX));
        }
        assert!(!is_allowed(&envelope, u64::MAX - 1));
    }
}
