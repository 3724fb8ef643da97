//! The distances of pgvector, in f64.
//!
//! [`Metric::distance`] is the one definition: the operators of SQL, the exact scan and the rescoring of the graph's
//! candidates all call it, so the same two vectors have the same distance to the last bit wherever it is computed. The
//! graph itself ranks with usearch's own 32-bit arithmetic, which chooses candidates and is never shown to anybody.

use std::cmp::Ordering;

/// How far two vectors are from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Euclidean distance, pgvector's `<->`.
    L2,
    /// 1 - cosine of the angle, pgvector's `<=>`; NaN where one of the two is a zero vector.
    Cosine,
    /// The negative inner product, pgvector's `<#>`.
    InnerProduct,
}

/// Independent sums, so that the additions do not wait for each other: floats may not be reordered by the compiler.
const LANES: usize = 4;

impl Metric {
    /// The distance of `a` and `b`, which must have the same length.
    pub fn distance(self, a: &[f32], b: &[f32]) -> f64 {
        assert_eq!(a.len(), b.len(), "vectors of one comparison have the same dimensions");
        match self {
            Self::L2 => sum(a, b, |x, y| (x - y) * (x - y)).sqrt(),
            Self::InnerProduct => -sum(a, b, |x, y| x * y),
            Self::Cosine => {
                // Squares of f32 stay below 1e78 each: no overflow in f64, nor in the product of two sums.
                let norms = norm_squared(a) * norm_squared(b);
                let similarity = sum(a, b, |x, y| x * y) / norms.sqrt();
                // Rounding may leave [-1, 1]; a NaN stays one.
                1.0 - similarity.clamp(-1.0, 1.0)
            }
        }
    }
}

/// The sum of the squares of the components.
pub(crate) fn norm_squared(vector: &[f32]) -> f64 {
    sum(vector, vector, |x, y| x * y)
}

fn sum(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] += term(f64::from(x[lane]), f64::from(y[lane]));
        }
    }
    for (lane, (x, y)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[lane] += term(f64::from(*x), f64::from(*y));
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}

/// The order of distances: small first, NaN last, 0 and -0 equal.
pub fn by_distance(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_values_of_pgvector() {
        assert_eq!(Metric::L2.distance(&[0.0, 0.0], &[3.0, 4.0]), 5.0);
        assert_eq!(Metric::InnerProduct.distance(&[1.0, 2.0], &[3.0, 4.0]), -11.0);
        assert_eq!(Metric::Cosine.distance(&[1.0, 2.0], &[2.0, 4.0]), 0.0);
        assert_eq!(Metric::Cosine.distance(&[1.0, 1.0], &[-1.0, -1.0]), 2.0);
        assert_eq!(Metric::Cosine.distance(&[1.0, 0.0], &[0.0, 2.0]), 1.0);
        assert!(Metric::Cosine.distance(&[0.0, 0.0], &[1.0, 2.0]).is_nan());
        // In f32 the squares would be infinite, or 0.
        assert_eq!(Metric::L2.distance(&[3e38], &[-3e38]), 2.0 * f64::from(3e38_f32));
        assert!(Metric::L2.distance(&[1e-40], &[0.0]) > 0.0);
        assert_eq!(Metric::Cosine.distance(&[3e38, 0.0], &[1e-40, 0.0]), 0.0);
    }

    #[test]
    fn nan_is_the_farthest() {
        let mut distances = [f64::NAN, 1.0, f64::INFINITY, -1.0];
        distances.sort_by(|a, b| by_distance(*a, *b));
        assert_eq!(distances[..3], [-1.0, 1.0, f64::INFINITY]);
        assert_eq!(by_distance(f64::NAN, f64::NAN), Ordering::Equal);
        assert_eq!(by_distance(0.0, -0.0), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_sums(pairs in prop::collection::vec((-1e3f32..1e3, -1e3f32..1e3), 1..40)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let pairs = || a.iter().zip(&b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
            let dot: f64 = pairs().map(|(x, y)| x * y).sum();
            let l2 = pairs().map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
            let norms = pairs().map(|(x, _)| x * x).sum::<f64>() * pairs().map(|(_, y)| y * y).sum::<f64>();
            prop_assert!((Metric::L2.distance(&a, &b) - l2).abs() <= 1e-9 * l2);
            prop_assert!((Metric::InnerProduct.distance(&a, &b) + dot).abs() <= 1e-9 * norms.sqrt());
            prop_assert!((Metric::Cosine.distance(&a, &b) - (1.0 - dot / norms.sqrt())).abs() <= 1e-9);
            for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
                prop_assert_eq!(metric.distance(&a, &b).to_bits(), metric.distance(&b, &a).to_bits());
            }
        }
    }
}
