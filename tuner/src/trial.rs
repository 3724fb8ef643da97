//! Whether a change that is in force may stay.
//!
//! Of each window of both arms, in this order:
//!
//! 1. **The watchdog**, from the first window on, one window is enough. It reverts when throughput falls below, the 99 % latency or the share of
//!    stalled time rises above what [`Limits`] allow against the control, or memory is over the budget.
//! 2. The first [`Limits::settle`] windows are not counted: caches are cold, buffers half full.
//! 3. A window in which an arm was idle, or not measured, says nothing. After [`Limits::blind_max`] such ones in a row the change goes back:
//!    nobody watches it.
//! 4. After [`Limits::windows_min`] windows, the mean reward has a 95 % confidence bound on each side (Student's t). The change is *safe* when the
//!    lower one reaches [`Limits::safe`] of the baseline, and kept when besides the mean is above 0. It goes back when the upper one lies below 0.
//! 5. After [`Limits::windows_max`] windows it goes back: not shown to pay.
//!
//! The bounds are looked at after each window, so they are a little too sure; the fixed end and the safe side (doubt reverts) are there for that.

use crate::policy::Proposal;
use crate::reward::{Weights, Window};
use crate::signals::Signals;

/// What a change must show, and what ends it at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// How measures are weighed.
    pub weights: Weights,
    /// Windows after a change that are not counted.
    pub settle: usize,
    /// Counted windows before anything but the watchdog decides; at least 3.
    pub windows_min: usize,
    /// Counted windows after which what is not shown counts as not so.
    pub windows_max: usize,
    /// Windows in a row that may say nothing.
    pub blind_max: usize,
    /// The part of the baseline that the lower bound must reach.
    pub safe: f64,
    /// Throughput below this many times the control's goes back at once.
    pub throughput_min: f64,
    /// A 99 % latency above this many times the control's goes back at once.
    pub p99_max: f64,
    /// So does a share of stalled time that is larger than the control's by more than this.
    pub stalled_max: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            settle: 1,
            windows_min: 6,
            windows_max: 24,
            blind_max: 6,
            safe: 0.95,
            throughput_min: 0.70,
            p99_max: 2.0,
            stalled_max: 0.20,
        }
    }
}

/// What follows from a window.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// More windows are needed.
    Continue,
    /// It pays.
    Keep(String),
    /// It does not, or it harms, for this reason.
    Revert(String),
}

/// A change in force.
#[derive(Clone, Debug)]
pub struct Trial {
    proposal: Proposal,
    limits: Limits,
    /// Windows so far, those that are not counted among them.
    seen: usize,
    blind_in_a_row: usize,
    rewards: Vec<f64>,
}

impl Trial {
    /// Of a change that has just been made.
    pub fn new(proposal: Proposal, limits: Limits) -> Self {
        Self {
            proposal,
            limits,
            seen: 0,
            blind_in_a_row: 0,
            rewards: Vec::new(),
        }
    }

    /// The change.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// Windows that count.
    pub fn windows(&self) -> usize {
        self.rewards.len()
    }

    /// The mean reward of the windows that count; None without any.
    pub fn reward(&self) -> Option<f64> {
        let count = self.rewards.len();
        (count > 0).then(|| self.rewards.iter().sum::<f64>() / count as f64)
    }

    /// Looks at a window; None where the arms could not be measured.
    pub fn observe(&mut self, window: Option<&Window>, signals: &Signals) -> Finding {
        if let Some(reason) = self.harm(window, signals) {
            return Finding::Revert(reason);
        }
        self.seen = self.seen.saturating_add(1);
        let Some(reward) = window.and_then(|window| window.reward(&self.limits.weights)) else {
            self.blind_in_a_row += 1;
            return match self.blind_in_a_row >= self.limits.blind_max {
                true => Finding::Revert(format!("{} windows in a row were not measured", self.blind_in_a_row)),
                false => Finding::Continue,
            };
        };
        self.blind_in_a_row = 0;
        if self.seen <= self.limits.settle {
            return Finding::Continue;
        }
        self.rewards.push(reward);
        self.decide()
    }

    /// What the watchdog sees.
    pub fn harm(&self, window: Option<&Window>, signals: &Signals) -> Option<String> {
        if signals.is_over_budget() {
            let (used, budget) = (signals.memory_used_bytes, signals.memory_budget_bytes);
            return Some(format!("{used} bytes of memory are used, {budget} are allowed"));
        }
        let Window { treated, control } = window?;
        let slower = treated.throughput < control.throughput * self.limits.throughput_min;
        if slower {
            let (with, without) = (treated.throughput, control.throughput);
            return Some(format!("throughput {with:.0}/s, {without:.0}/s without the change"));
        }
        // Idle arms have no latency to speak of.
        let is_busy = treated.throughput > 0.0 && control.throughput > 0.0;
        if is_busy && treated.p99_ms > control.p99_ms.max(0.05) * self.limits.p99_max {
            let (with, without) = (treated.p99_ms, control.p99_ms);
            return Some(format!(
                "99 % within {with:.1} ms, within {without:.1} ms without the change"
            ));
        }
        if treated.stalled > control.stalled + self.limits.stalled_max {
            let (with, without) = (treated.stalled * 100.0, control.stalled * 100.0);
            return Some(format!(
                "writers wait {with:.0} % of the time, {without:.0} % without the change"
            ));
        }
        None
    }

    fn decide(&self) -> Finding {
        let count = self.rewards.len();
        let Some(mean) = self.reward().filter(|_| count >= self.limits.windows_min.max(3)) else {
            return Finding::Continue;
        };
        let squares: f64 = self.rewards.iter().map(|reward| (reward - mean).powi(2)).sum();
        let half = student_t(count - 1) * (squares / (count - 1) as f64 / count as f64).sqrt();
        let (low, high) = ((mean - half).exp(), (mean + half).exp());
        let shown = format!(
            "{:.3} of the baseline ({low:.3} to {high:.3}) in {count} windows",
            mean.exp()
        );
        if high < 1.0 {
            return Finding::Revert(format!("it does harm: {shown}"));
        }
        if low >= self.limits.safe && mean > 0.0 {
            return Finding::Keep(shown);
        }
        match count >= self.limits.windows_max {
            true => Finding::Revert(format!("not shown to pay: {shown}")),
            false => Finding::Continue,
        }
    }
}

/// The 95 % quantile of Student's t with so many degrees of freedom, from tables; between their lines, the larger one.
fn student_t(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753, 1.746,
        1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697,
    ];
    TABLE.get(freedom.saturating_sub(1)).copied().unwrap_or(TABLE[29])
}

#[cfg(test)]
mod tests {
    use aion_base::rng::SeededRng;

    use super::*;
    use crate::example::{calm, proposal, window};
    use crate::reward::Measured;

    fn trial() -> Trial {
        Trial::new(proposal("background_threads", 2, 3), Limits::default())
    }

    /// Feeds windows until something is decided.
    fn run(mut change: impl FnMut(&mut Measured)) -> (Finding, usize) {
        let mut trial = trial();
        for windows in 1..1_000 {
            let finding = trial.observe(Some(&window(&mut change)), &calm());
            if finding != Finding::Continue {
                return (finding, windows);
            }
        }
        panic!("nothing was decided");
    }

    fn reverted(finding: &Finding, why: &str) {
        assert!(
            matches!(finding, Finding::Revert(reason) if reason.contains(why)),
            "{finding:?}, not {why}"
        );
    }

    #[test]
    fn what_pays_is_kept_after_few_windows() {
        let (finding, windows) = run(|treated| treated.throughput *= 1.2);
        assert!(matches!(finding, Finding::Keep(_)), "{finding:?}");
        assert_eq!(windows, 7, "one to settle, six that count");
    }

    #[test]
    fn the_watchdog_reverts_in_the_first_window() {
        type Harm = fn(&mut Measured);
        let harms: [(Harm, &str); 4] = [
            (|treated| treated.throughput = 699.0, "throughput"),
            (|treated| treated.throughput = 0.0, "throughput"),
            (|treated| treated.p99_ms = 20.1, "99 %"),
            (|treated| treated.stalled = 0.23, "writers wait"),
        ];
        for (harm, why) in harms {
            let (finding, windows) = run(harm);
            reverted(&finding, why);
            assert_eq!(windows, 1);
        }
        let mut over = calm();
        over.memory_used_bytes = over.memory_budget_bytes + 1;
        reverted(&trial().observe(None, &over), "bytes of memory");
    }

    #[test]
    fn a_small_harm_goes_back_by_its_statistics() {
        let (finding, windows) = run(|treated| treated.p99_ms *= 1.05);
        reverted(&finding, "it does harm");
        assert_eq!(windows, 7);
    }

    #[test]
    fn what_changes_nothing_goes_back_in_the_end() {
        let (finding, windows) = run(|_| {});
        reverted(&finding, "not shown to pay");
        assert_eq!(windows, 25);
    }

    #[test]
    fn what_is_not_measured_goes_back() {
        let mut trial = trial();
        for _ in 0..5 {
            assert_eq!(trial.observe(None, &calm()), Finding::Continue);
        }
        // One that is measured starts the count again.
        assert_eq!(trial.observe(Some(&window(|_| {})), &calm()), Finding::Continue);
        for _ in 0..5 {
            assert_eq!(trial.observe(None, &calm()), Finding::Continue);
        }
        let nonsense = window(|treated| treated.p99_ms = f64::NAN);
        reverted(&trial.observe(Some(&nonsense), &calm()), "not measured");
    }

    /// With a noise of 10 %, a change that takes a tenth is kept next to never, and one that gives a fifth next to always.
    #[test]
    fn noise_rarely_hides_a_harm() {
        let kept = |factor: f64| {
            let kept = (0..300).filter(|seed| {
                let mut random = SeededRng::new(*seed);
                let mut noise = || 0.9 + random.below(200) as f64 / 1_000.0;
                let (finding, _) = run(|treated| {
                    treated.throughput *= factor * noise();
                    treated.p99_ms /= factor * noise();
                });
                matches!(finding, Finding::Keep(_))
            });
            kept.count()
        };
        let (worse, same, better) = (kept(0.9), kept(1.0), kept(1.2));
        assert!(worse <= 1 && better >= 290, "{worse} {same} {better}");
    }
}
