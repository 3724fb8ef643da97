//! What a change is worth: one number for a window, from five.
//!
//! Of each measure the natural logarithm of the ratio of treated and control is taken, turned so that above 0 is better, cut off at
//! [`RATIO_MAX`] and weighted; the weights of all five are brought to a sum of 1. So a reward of ln 0.95 is "5 % worse" in the weighted geometric mean.
//! The control runs at the same time: what the workload does to both cancels out.
//!
//! Each measure has a floor that is added to both sides or below which it does not count: a share of stalled time from 0 to 0.1 % is not
//! infinitely worse.

/// What one arm did in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Operations a second.
    pub throughput: f64,
    /// Milliseconds that 99 % of operations do not exceed.
    pub p99_ms: f64,
    /// Bytes written to disk for each byte of users.
    pub write_amplification: f64,
    /// The part of the time in which writers waited, 0 to 1.
    pub stalled: f64,
    /// Memory in use.
    pub memory_bytes: f64,
}

/// Both arms at the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// With the change.
    pub treated: Measured,
    /// Without it.
    pub control: Measured,
}

/// How much each measure counts. Negative ones and what is no number count nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Of throughput.
    pub throughput: f64,
    /// Of latency.
    pub p99: f64,
    /// Of write amplification.
    pub write_amplification: f64,
    /// Of stalls.
    pub stalled: f64,
    /// Of memory.
    pub memory: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            throughput: 0.35,
            p99: 0.35,
            write_amplification: 0.10,
            stalled: 0.15,
            memory: 0.05,
        }
    }
}

/// One measure does not count for more than this factor, so that it cannot outweigh all others.
pub const RATIO_MAX: f64 = 8.0;
const P99_FLOOR_MS: f64 = 0.05;
const STALLED_FLOOR: f64 = 0.01;
const MEMORY_FLOOR: f64 = 1_048_576.0;

impl Measured {
    /// Whether all of it is measured: finite, and not negative.
    pub fn is_complete(&self) -> bool {
        let all = [
            self.throughput,
            self.p99_ms,
            self.write_amplification,
            self.stalled,
            self.memory_bytes,
        ];
        all.iter().all(|measure| measure.is_finite() && *measure >= 0.0)
    }
}

impl Window {
    /// The reward; None where an arm was idle or is not measured, or no weight counts.
    pub fn reward(&self, weights: &Weights) -> Option<f64> {
        let Self { treated, control } = self;
        let is_busy = treated.throughput > 0.0 && control.throughput > 0.0;
        if !is_busy || !treated.is_complete() || !control.is_complete() {
            return None;
        }
        // Each as (weight, the better when large, the better when small).
        let terms = [
            (weights.throughput, treated.throughput, control.throughput),
            (
                weights.p99,
                control.p99_ms.max(P99_FLOOR_MS),
                treated.p99_ms.max(P99_FLOOR_MS),
            ),
            (
                weights.write_amplification,
                control.write_amplification.max(1.0),
                treated.write_amplification.max(1.0),
            ),
            (
                weights.stalled,
                control.stalled + STALLED_FLOOR,
                treated.stalled + STALLED_FLOOR,
            ),
            (
                weights.memory,
                control.memory_bytes.max(MEMORY_FLOOR),
                treated.memory_bytes.max(MEMORY_FLOOR),
            ),
        ];
        let (mut sum, mut weight_sum) = (0.0, 0.0);
        for (weight, above, below) in terms {
            let weight = if weight.is_finite() { weight.max(0.0) } else { 0.0 };
            // The difference of logarithms does not overflow where the ratio would.
            sum += weight * (above.ln() - below.ln()).clamp(-RATIO_MAX.ln(), RATIO_MAX.ln());
            weight_sum += weight;
        }
        (weight_sum > 0.0).then(|| sum / weight_sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{CONTROL, window};

    #[test]
    fn the_same_on_both_sides_is_worth_nothing() {
        assert_eq!(window(|_| {}).reward(&Weights::default()), Some(0.0));
    }

    #[test]
    fn each_measure_counts_in_its_direction() {
        let reward = |change: fn(&mut Measured)| window(change).reward(&Weights::default()).expect("it is measured");
        let better = [
            reward(|treated| treated.throughput *= 2.0),
            reward(|treated| treated.p99_ms /= 2.0),
            reward(|treated| treated.write_amplification /= 2.0),
            reward(|treated| treated.stalled = 0.0),
            reward(|treated| treated.memory_bytes /= 2.0),
        ];
        assert!(better.iter().all(|reward| *reward > 0.0), "{better:?}");
        assert!((better[0] - 0.35 * 2_f64.ln()).abs() < 1e-12);
        assert!(reward(|treated| treated.p99_ms *= 2.0) < 0.0);
        // Twice the throughput for twice the memory is worth it.
        assert!(reward(|treated| (treated.throughput, treated.memory_bytes) = (2_000.0, 4e9)) > 0.0);
    }

    #[test]
    fn one_measure_cannot_outweigh_all_others() {
        let reward = window(|treated| treated.throughput = 1e300).reward(&Weights::default());
        assert_eq!(reward, Some(0.35 * RATIO_MAX.ln()));
    }

    #[test]
    fn what_is_not_measured_has_no_reward() {
        let weights = Weights::default();
        assert_eq!(window(|treated| treated.throughput = 0.0).reward(&weights), None);
        assert_eq!(window(|treated| treated.p99_ms = f64::NAN).reward(&weights), None);
        assert_eq!(window(|treated| treated.stalled = -1.0).reward(&weights), None);
        let none = Weights {
            throughput: f64::NAN,
            p99: -1.0,
            write_amplification: 0.0,
            stalled: 0.0,
            memory: 0.0,
        };
        assert_eq!(window(|_| {}).reward(&none), None);
        assert!(CONTROL.is_complete());
    }
}
