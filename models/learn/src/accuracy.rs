//! How good estimates are.

/// Q-errors over rows: of an estimate that is `q` times too low or too high, `q`; 1 is exact (Moerkotte et al., VLDB 2009).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Rows with a known count.
    pub rows: u64,
    /// The median with the model.
    pub q_error_p50: f64,
    /// The 95th percentile with the model.
    pub q_error_p95: f64,
    /// The median without it.
    pub baseline_p50: f64,
    /// The 95th percentile without it.
    pub baseline_p95: f64,
}

impl Accuracy {
    /// Of pairs of log2(true / classical estimate) and the prediction of it; None of no pairs.
    pub(crate) fn of(pairs: &[(f32, f32)]) -> Option<Self> {
        let q_errors = |missed: &dyn Fn(&(f32, f32)) -> f32| {
            let mut errors: Vec<f64> = pairs.iter().map(|pair| f64::from(missed(pair)).abs().exp2()).collect();
            errors.sort_unstable_by(f64::total_cmp);
            errors
        };
        let with = q_errors(&|(truth, predicted)| truth - predicted);
        let without = q_errors(&|(truth, _)| *truth);
        Some(Self {
            rows: pairs.len() as u64,
            q_error_p50: percentile(&with, 50)?,
            q_error_p95: percentile(&with, 95)?,
            baseline_p50: percentile(&without, 50)?,
            baseline_p95: percentile(&without, 95)?,
        })
    }

    /// Whether the model is better in the median and in the tail.
    pub fn is_better(&self) -> bool {
        self.q_error_p50 < self.baseline_p50 && self.q_error_p95 < self.baseline_p95
    }
}

/// The least value that so many of a hundred do not exceed.
fn percentile(sorted: &[f64], of_hundred: usize) -> Option<f64> {
    let rank = (sorted.len() * of_hundred).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_errors_are_symmetric() {
        // Truths of 2^0 to 2^9, all predicted one too high.
        let pairs: Vec<(f32, f32)> = (0..10).map(|truth| (truth as f32, truth as f32 + 1.0)).collect();
        let accuracy = Accuracy::of(&pairs).unwrap();
        assert_eq!((accuracy.q_error_p50, accuracy.q_error_p95), (2.0, 2.0));
        assert_eq!((accuracy.baseline_p50, accuracy.baseline_p95), (16.0, 512.0));
        assert!(accuracy.is_better());
        assert_eq!(Accuracy::of(&[]), None);
        let worse = Accuracy::of(&[(0.0, 3.0)]).unwrap();
        assert!(!worse.is_better());
        assert_eq!(worse.q_error_p50, 8.0);
    }
}
