//! How much faster, and how sure that is.
//!
//! The *speed-up* of a statement is the median of its times under the incumbent over the median under the candidate. That of a
//! workload is the same over sums: each statement's median times how often it was called. The interval is a paired, stratified
//! percentile bootstrap (Efron, Tibshirani 1993, chapter 13): [`RESAMPLES`] times, each statement's pairs are drawn with
//! replacement as often as there are pairs, and the speed-up is computed again; of the sorted results, 2.5 % lie below the lower bound
//! and 2.5 % above the upper one.
//!
//! **Replay.** Draws come from SplitMix64 ([`SeededRng`]) with the seed that stands beside the verdict: for each resample, for each
//! statement in order, for each pair, `below(pairs)`. So another program gets the same bounds from the same samples, to the rounding of
//! its sums.
//!
//! With few pairs the percentile bootstrap is too sure: of 5 pairs, its bounds lie almost at the extremes, which is as far as 5 pairs
//! can say. The margin of 1.10 that a verdict asks for is there for that as well.

use std::time::Duration;

use aion_base::rng::SeededRng;
use serde::{Deserialize, Serialize};

/// How often the samples are drawn again.
pub const RESAMPLES: usize = 1_000;
/// Of the sorted resamples, the position of the lower bound; the upper one lies as far from the end.
const LOW: usize = RESAMPLES * 25 / 1_000;

/// One execution under each arm, with the same literals, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Milliseconds under the incumbent.
    pub incumbent_ms: f64,
    /// Milliseconds under the candidate.
    pub candidate_ms: f64,
}

/// A time in milliseconds, with at most six digits after the point, as a clock of nanoseconds has them: such numbers come out of JSON as
/// they went in, where a reader is free to miss the last bit of others.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

/// The pairs of one statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stratum {
    /// How often the statement was called: its weight in the workload's time.
    pub calls: u64,
    /// In the order of their execution.
    pub pairs: Vec<Pair>,
}

/// A speed-up with its 95 % interval; above 1 the candidate is faster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speedup {
    /// Of the samples themselves.
    pub point: f64,
    /// 2.5 % of the resamples lie below.
    pub low: f64,
    /// 2.5 % of the resamples lie above.
    pub high: f64,
}

/// The median; of an even number of values, the mean of the middle two. None of no values.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// The speed-up of a workload; None without a pair. Strata without pairs count for nothing.
pub fn speedup(strata: &[Stratum], seed: u64) -> Option<Speedup> {
    let strata: Vec<&Stratum> = strata.iter().filter(|stratum| !stratum.pairs.is_empty()).collect();
    let mut buffers = Buffers::default();
    let point = buffers.ratio(&strata, |_, at| at)?;
    let mut random = SeededRng::new(seed);
    let mut resampled = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let drawn = buffers.ratio(&strata, |pairs, _| random.below(pairs as u64) as usize);
        resampled.extend(drawn);
    }
    resampled.sort_unstable_by(f64::total_cmp);
    Some(Speedup {
        point,
        low: *resampled.get(LOW)?,
        high: *resampled.get(RESAMPLES - 1 - LOW)?,
    })
}

/// Room for the drawn times, kept from resample to resample.
#[derive(Default)]
struct Buffers {
    incumbent: Vec<f64>,
    candidate: Vec<f64>,
}

impl Buffers {
    /// The workload's time under the incumbent over that under the candidate, from the pairs that `draw(pairs, at)` names.
    fn ratio(&mut self, strata: &[&Stratum], mut draw: impl FnMut(usize, usize) -> usize) -> Option<f64> {
        let (mut incumbent, mut candidate) = (0.0, 0.0);
        for stratum in strata {
            self.incumbent.clear();
            self.candidate.clear();
            let pairs = stratum.pairs.len();
            for at in 0..pairs {
                let pair = stratum.pairs[draw(pairs, at)];
                self.incumbent.push(pair.incumbent_ms);
                self.candidate.push(pair.candidate_ms);
            }
            let calls = stratum.calls.max(1) as f64;
            incumbent += calls * median(&mut self.incumbent)?;
            candidate += calls * median(&mut self.candidate)?;
        }
        (!strata.is_empty()).then(|| incumbent / candidate.max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    /// The build time of an index was 112.10109954301012 ms in the evidence and ...011 in the ledger, which had read it from there.
    #[test]
    fn times_survive_json() {
        let mut random = SeededRng::new(3);
        for _ in 0..10_000 {
            let shift = random.below(50);
            let ms = milliseconds(Duration::from_nanos(random.next_u64() >> (14 + shift)));
            let text = serde_json::to_string(&ms).expect("a number");
            assert_eq!(
                serde_json::from_str::<f64>(&text).expect("a number").to_bits(),
                ms.to_bits(),
                "{text}"
            );
        }
    }

    use super::*;

    fn pairs(random: &mut SeededRng, count: usize, incumbent: f64, candidate: f64) -> Vec<Pair> {
        // A quarter of noise upwards, as a shared machine has it.
        let mut noisy = |ms: f64| ms * (1.0 + random.below(250) as f64 / 1_000.0);
        let pairs = (0..count).map(|_| Pair {
            incumbent_ms: noisy(incumbent),
            candidate_ms: noisy(candidate),
        });
        pairs.collect()
    }

    #[test]
    fn the_median_of_few_values() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [3.0, 1.0]), Some(2.0));
        assert_eq!(median(&mut [5.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn a_workload_is_weighed_by_calls() {
        let stratum = |calls, incumbent_ms, candidate_ms| Stratum {
            calls,
            pairs: vec![
                Pair {
                    incumbent_ms,
                    candidate_ms
                };
                5
            ],
        };
        // 100 calls from 10 to 1 ms, one call from 100 to 200 ms: 1,100 to 300 ms.
        let both = speedup(&[stratum(100, 10.0, 1.0), stratum(1, 100.0, 200.0)], 1).expect("there are pairs");
        assert!((both.point - 1_100.0 / 300.0).abs() < 1e-12);
        assert_eq!((both.low, both.high), (both.point, both.point));
        assert_eq!(speedup(&[], 1), None);
        let empty = Stratum {
            calls: 5,
            pairs: Vec::new(),
        };
        assert_eq!(speedup(&[empty], 1), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_bounds() {
        let mut random = SeededRng::new(3);
        let strata = [Stratum {
            calls: 1,
            pairs: pairs(&mut random, 9, 10.0, 5.0),
        }];
        let first = speedup(&strata, 7).expect("there are pairs");
        assert_eq!(Some(first), speedup(&strata, 7));
        assert!(first.low < first.point && first.point < first.high, "{first:?}");
        assert!(first.low > 1.5 && first.high < 2.6, "{first:?}");
    }

    /// The reference: of identical arms the interval covers 1 about as often as it says, and a lower bound of 1.10 is next to never
    /// reached.
    #[test]
    fn identical_arms_are_told_as_such() {
        let (mut covered, mut promoted) = (0, 0);
        const RUNS: u64 = 400;
        for seed in 0..RUNS {
            let mut random = SeededRng::new(seed);
            let strata = [Stratum {
                calls: 1,
                pairs: pairs(&mut random, 12, 10.0, 10.0),
            }];
            let speedup = speedup(&strata, seed).expect("there are pairs");
            covered += u32::from(speedup.low <= 1.0 && 1.0 <= speedup.high);
            promoted += u32::from(speedup.low >= 1.10);
        }
        assert!(covered >= 360, "{covered} of {RUNS}");
        assert_eq!(promoted, 0);
    }
}
