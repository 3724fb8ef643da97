//! By what factor estimates are off (Moerkotte, Neumann, Steidl 2009).

/// The factor between estimate and truth, whichever is larger; 1 is exact. Both count as at least one row. Infinite where either is not a
/// finite number, or negative: such an estimate is worse than any.
pub fn q_error(estimate: f64, actual: f64) -> f64 {
    let is_rows = |rows: f64| rows.is_finite() && rows >= 0.0;
    if !is_rows(estimate) || !is_rows(actual) {
        return f64::INFINITY;
    }
    let (estimate, actual) = (estimate.max(1.0), actual.max(1.0));
    (estimate / actual).max(actual / estimate)
}

/// The least value that at least `fraction` (0 to 1) of them do not exceed: a value that occurred, never one in between. None of no values.
/// `sorted` is ascending.
pub fn quantile(sorted: &[f64], fraction: f64) -> Option<f64> {
    let rank = (fraction.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The Q-errors of many estimates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QErrors {
    /// How many estimates.
    pub count: usize,
    /// The geometric mean.
    pub mean: f64,
    /// Half are not above.
    pub p50: f64,
    /// 90 % are not above.
    pub p90: f64,
    /// 95 % are not above.
    pub p95: f64,
    /// 99 % are not above.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// The part of them that were too low: what hurts.
    pub underestimated: f64,
}

impl QErrors {
    /// Of pairs of estimate and truth; None of no pairs.
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let (mut errors, mut low) = (Vec::new(), 0_usize);
        for (estimate, actual) in pairs {
            low += usize::from(estimate.max(1.0) < actual.max(1.0));
            errors.push(q_error(estimate, actual));
        }
        errors.sort_unstable_by(f64::total_cmp);
        let count = errors.len();
        let at = |fraction| quantile(&errors, fraction);
        Some(Self {
            count,
            mean: (errors.iter().map(|error| error.ln()).sum::<f64>() / count as f64).exp(),
            p50: at(0.50)?,
            p90: at(0.90)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            max: at(1.0)?,
            underestimated: low as f64 / count as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_count_the_same_and_less_than_a_row_is_one() {
        assert_eq!(q_error(10.0, 100.0), 10.0);
        assert_eq!(q_error(100.0, 10.0), 10.0);
        assert_eq!(q_error(0.0, 0.0), 1.0);
        assert_eq!(q_error(0.001, 5.0), 5.0);
        for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert_eq!(q_error(nonsense, 5.0), f64::INFINITY);
            assert_eq!(q_error(5.0, nonsense), f64::INFINITY);
        }
    }

    #[test]
    fn a_quantile_is_a_value_that_occurred() {
        assert_eq!(quantile(&[], 0.5), None);
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        let at = |fraction| quantile(&ten, fraction);
        assert_eq!(
            (at(0.0), at(0.5), at(0.95), at(1.0)),
            (Some(1.0), Some(5.0), Some(10.0), Some(10.0))
        );
        assert_eq!((at(-1.0), at(7.0), at(0.51)), (Some(1.0), Some(10.0), Some(6.0)));
    }

    #[test]
    fn a_summary_of_many() {
        assert_eq!(QErrors::of([]), None);
        let pairs = (0..100).map(|at| (1.0, if at < 98 { 2.0 } else { 1_024.0 }));
        let errors = QErrors::of(pairs).expect("there are pairs");
        assert_eq!(
            (errors.count, errors.p50, errors.p95, errors.p99),
            (100, 2.0, 2.0, 1_024.0)
        );
        assert!((errors.mean.log2() - (98.0 + 20.0) / 100.0).abs() < 1e-12, "{errors:?}");
        assert_eq!((errors.max, errors.underestimated), (1_024.0, 1.0));
        // One that is no number spoils the mean, and is seen in the maximum; the median stands.
        let spoilt = QErrors::of([(2.0, 2.0), (2.0, 2.0), (f64::NAN, 2.0)]).expect("there are pairs");
        assert_eq!(
            (spoilt.p50, spoilt.max, spoilt.mean),
            (1.0, f64::INFINITY, f64::INFINITY)
        );
    }
}
