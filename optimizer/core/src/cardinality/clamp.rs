//! T3: what of a prediction is believed.
//!
//! 1. The quantiles of the ratio, put in order, make an estimate: the middle one the rows, the outer two the interval.
//! 2. Where they are no numbers, the classical estimate stands, and all within the bounds is possible.
//! 3. Where the outer two lie further apart than the limit allows, the rows are the upper one. Underestimates are what hurts: they
//!    choose nested loops over what turns out large.
//! 4. Where the input is unlike the training data, the quantiles are extrapolations: the rows are the upper one or the classical estimate,
//!    whichever is more, and upwards only the bounds limit the interval.
//! 5. Rows and interval are moved into the bounds.
//!
//! **Unlike the training data**: of each slot the least and greatest value that was trained on are known; where more than
//! [`UNLIKE`] of a row's slots lie outside, it is. This finds new tables, sizes and shapes, not new combinations of known ones.

use super::features::{FEATURES, Features};

/// A prediction whose outer quantiles are further apart, in doublings, is not believed: a factor of 64.
pub const SPREAD_MAX: f64 = 6.0;
/// A row with more than this part of its slots outside of what was trained on is unlike it.
pub const UNLIKE: f64 = 0.05;
/// No model corrects by more doublings than this.
const RATIO_MAX: f64 = 40.0;

/// How many rows a sub-plan gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// To plan with.
    pub rows: f64,
    /// Hardly fewer.
    pub low: f64,
    /// Hardly more; may be infinite.
    pub high: f64,
}

/// What a number of rows cannot leave, whatever a model says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// At least.
    pub low: f64,
    /// At most; may be infinite.
    pub high: f64,
}

impl Bounds {
    /// Nothing is known.
    pub const NONE: Self = Self {
        low: 0.0,
        high: f64::INFINITY,
    };

    /// As bounds that bound: from 0 on, and the upper one not below the lower.
    fn ordered(self) -> Self {
        let low = if self.low.is_finite() { self.low.max(0.0) } else { 0.0 };
        let high = if self.high.is_nan() { f64::INFINITY } else { self.high };
        Self {
            low,
            high: high.max(low),
        }
    }

    /// A number of rows within them; of no number, the upper bound, or the lower one where there is no upper.
    fn limit(self, rows: f64) -> f64 {
        match rows.is_nan() {
            false => rows.clamp(self.low, self.high.min(f64::MAX)),
            true if self.high.is_finite() => self.high,
            true => self.low,
        }
    }
}

/// What a model's `quantiles` of log2(true / `point`) make of the classical estimate `point`. `spread_max` is in doublings.
pub fn clamp(point: f64, quantiles: [f64; 3], bounds: Bounds, spread_max: f64, is_unlike_training: bool) -> Estimate {
    let bounds = bounds.ordered();
    // The ratio was learnt from estimates as they are, and of at least one row.
    let base = if point.is_finite() {
        point.max(1.0)
    } else {
        bounds.limit(f64::NAN).max(1.0)
    };
    let point = bounds.limit(point);
    if quantiles.iter().any(|quantile| !quantile.is_finite()) {
        return Estimate {
            rows: point,
            low: bounds.low,
            high: bounds.high,
        };
    }
    let mut ordered = quantiles;
    // Quantiles of a model may cross.
    ordered.sort_unstable_by(f64::total_cmp);
    let [low, middle, high] = ordered.map(|quantile| bounds.limit(base * quantile.clamp(-RATIO_MAX, RATIO_MAX).exp2()));
    // A spread limit that is no number trusts nothing.
    let is_narrow = ordered[2] - ordered[0] <= spread_max;
    match (is_unlike_training, is_narrow) {
        (true, _) => Estimate {
            rows: high.max(point),
            low: low.min(point),
            high: bounds.high,
        },
        (false, false) => Estimate { rows: high, low, high },
        (false, true) => Estimate {
            rows: middle,
            low,
            high,
        },
    }
}

/// The least and greatest value of each slot that a model was trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingRange {
    /// The least.
    pub low: Features,
    /// The greatest.
    pub high: Features,
}

impl TrainingRange {
    /// That of these rows; None of no rows.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Features>) -> Option<Self> {
        let mut rows = rows.into_iter();
        let first = *rows.next()?;
        let mut range = Self {
            low: first,
            high: first,
        };
        for row in rows {
            for (slot, value) in row.iter().enumerate() {
                range.low[slot] = range.low[slot].min(*value);
                range.high[slot] = range.high[slot].max(*value);
            }
        }
        Some(range)
    }

    /// The part of a row's slots that lie outside, 0 to 1.
    pub fn outside(&self, row: &Features) -> f64 {
        let is_outside = |slot: &usize| !(self.low[*slot]..=self.high[*slot]).contains(&row[*slot]);
        (0..FEATURES).filter(is_outside).count() as f64 / FEATURES as f64
    }

    /// Whether a model that was trained within this range knows nothing of this row.
    pub fn is_unlike(&self, row: &Features) -> bool {
        self.outside(row) > UNLIKE
    }
}

#[cfg(test)]
mod tests {
    use aion_base::rng::SeededRng;

    use super::*;

    const WIDE: Bounds = Bounds {
        low: 0.0,
        high: 1_000_000.0,
    };

    fn estimate(rows: f64, low: f64, high: f64) -> Estimate {
        Estimate { rows, low, high }
    }

    #[test]
    fn a_sure_prediction_is_taken() {
        let found = clamp(100.0, [-1.0, 1.0, 2.0], WIDE, SPREAD_MAX, false);
        assert_eq!(found, estimate(200.0, 50.0, 400.0));
        // Crossed quantiles are put in order.
        assert_eq!(clamp(100.0, [2.0, -1.0, 1.0], WIDE, SPREAD_MAX, false), found);
        // Of an estimate beyond the bounds, as it was trained.
        assert_eq!(clamp(4e6, [-3.0, -3.0, -2.0], WIDE, SPREAD_MAX, false).rows, 500_000.0);
        // Ratios are of at least one row.
        assert_eq!(
            clamp(0.0, [0.0, 3.0, 3.0], WIDE, SPREAD_MAX, false),
            estimate(8.0, 1.0, 8.0)
        );
    }

    #[test]
    fn an_unsure_one_is_taken_at_its_worst() {
        let found = clamp(100.0, [-4.0, 0.0, 3.0], WIDE, SPREAD_MAX, false);
        assert_eq!(found, estimate(800.0, 6.25, 800.0));
        let trusted = clamp(100.0, [-4.0, 0.0, 3.0], WIDE, 7.0, false);
        assert_eq!(trusted.rows, 100.0);
        assert_eq!(clamp(100.0, [0.0, 0.0, 0.0], WIDE, f64::NAN, false).rows, 100.0);
    }

    #[test]
    fn of_what_is_unlike_never_less_than_the_classical_one() {
        let lower = clamp(100.0, [-3.0, -2.0, -1.0], WIDE, SPREAD_MAX, true);
        assert_eq!(lower, estimate(100.0, 12.5, WIDE.high));
        let higher = clamp(100.0, [1.0, 2.0, 3.0], WIDE, SPREAD_MAX, true);
        assert_eq!(higher, estimate(800.0, 100.0, WIDE.high));
    }

    #[test]
    fn bounds_hold_whatever_is_predicted() {
        let tight = Bounds { low: 10.0, high: 120.0 };
        let found = clamp(100.0, [-9.0, -8.0, -7.0], tight, SPREAD_MAX, false);
        assert_eq!(found, estimate(10.0, 10.0, 10.0));
        assert_eq!(clamp(100.0, [7.0, 8.0, 9.0], tight, SPREAD_MAX, true).rows, 120.0);
        let nothing = clamp(100.0, [0.0, f64::NAN, 0.0], tight, SPREAD_MAX, false);
        assert_eq!(nothing, estimate(100.0, 10.0, 120.0));
        assert_eq!(
            clamp(f64::NAN, [f64::NAN; 3], Bounds::NONE, SPREAD_MAX, false).rows,
            0.0
        );
        assert_eq!(clamp(f64::NAN, [0.0; 3], tight, SPREAD_MAX, false).rows, 120.0);
    }

    #[test]
    fn nonsense_gives_an_estimate_in_order() {
        const ODD: [f64; 9] = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            -3.0,
            0.0,
            2.5,
            1e200,
        ];
        for seed in 0..20_000 {
            let mut random = SeededRng::new(seed);
            let mut odd = || ODD[random.below(9) as usize];
            let bounds = Bounds {
                low: odd(),
                high: odd(),
            };
            let (point, quantiles, spread) = (odd(), [odd(), odd(), odd()], odd());
            let found = clamp(point, quantiles, bounds, spread, seed % 2 == 0);
            let is_ordered = 0.0 <= found.low && found.low <= found.rows && found.rows <= found.high;
            assert!(found.rows.is_finite() && is_ordered, "seed {seed}: {found:?}");
        }
    }

    #[test]
    fn a_row_is_unlike_when_enough_slots_are_outside() {
        let (zeros, ones) = ([0.0; FEATURES], [1.0; FEATURES]);
        let range = TrainingRange::of([&zeros, &ones]).expect("there are rows");
        assert_eq!(TrainingRange::of([]), None);
        let with = |count: usize, value: f32| {
            let mut row = [0.5; FEATURES];
            row[..count].fill(value);
            row
        };
        assert_eq!(range.outside(&with(12, 2.0)), 0.25);
        assert!(!range.is_unlike(&with(2, 2.0)) && range.is_unlike(&with(3, 2.0)));
        assert!(range.is_unlike(&with(3, -0.1)) && range.is_unlike(&with(3, f32::NAN)));
        assert!(!range.is_unlike(&zeros) && !range.is_unlike(&ones));
    }
}
