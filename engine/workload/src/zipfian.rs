//! Numbers that are drawn as YCSB draws them: some often, most hardly ever.
//!
//! - [`Zipfian`]: rank r of n with a probability in proportion to 1 / (r + 1)^0.99, by the method of Gray et al., "Quickly
//!   generating billion-record synthetic databases" (SIGMOD 1994): exact for the first two ranks, an approximation behind them.
//! - [`Scrambled`]: YCSB's `zipfian`. A rank of 10^10, whose place among the records its hash decides; so the hot records are not
//!   neighbours, and are the same ones however many records there are to be.
//! - [`Latest`]: YCSB's `latest`. The newest record is the most wanted; the distribution grows with the records.
//!
//! Follows YCSB 0.17 (`ZipfianGenerator`, `ScrambledZipfianGenerator`, `SkewedLatestGenerator`).

use aion_base::rng::SeededRng;

use crate::record::scatter;

/// YCSB's constant.
pub const THETA: f64 = 0.99;
/// Ranks of [`Scrambled`].
const SCRAMBLED_RANKS: u64 = 10_000_000_000;
/// The sum over them: adding it up takes a minute, so YCSB has it as a constant, too.
const SCRAMBLED_ZETA: f64 = 26.469_028_201_783_02;

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Zipfian {
    ranks: u64,
    /// The sum of 1 / i^theta for i from 1 to `ranks`.
    zeta: f64,
    eta: f64,
}

impl Zipfian {
    /// Over so many ranks, of which there must be one. Takes a few nanoseconds for each.
    pub fn new(ranks: u64) -> Self {
        assert!(ranks > 0, "there is nothing to draw from");
        let mut zipfian = Self::with_zeta(1, 1.0);
        zipfian.extend_to(ranks);
        zipfian
    }

    fn with_zeta(ranks: u64, zeta: f64) -> Self {
        let zeta_of_two = 1.0 + 0.5_f64.powf(THETA);
        let eta = (1.0 - (2.0 / ranks as f64).powf(1.0 - THETA)) / (1.0 - zeta_of_two / zeta);
        Self { ranks, zeta, eta }
    }

    /// Takes further ranks in; fewer than there are change nothing.
    pub fn extend_to(&mut self, ranks: u64) {
        if ranks > self.ranks {
            let added: f64 = (self.ranks + 1..=ranks).map(weight).sum();
            *self = Self::with_zeta(ranks, self.zeta + added);
        }
    }

    /// A rank; 0 is the most frequent.
    pub fn next(&self, rng: &mut SeededRng) -> u64 {
        let random = unit(rng);
        let scaled = random * self.zeta;
        if scaled < 1.0 || self.ranks == 1 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(THETA) || self.ranks == 2 {
            return 1;
        }
        let place = (self.eta * random - self.eta + 1.0).powf(1.0 / (1.0 - THETA));
        // Rounding must not lead behind the last.
        ((self.ranks as f64 * place) as u64).min(self.ranks - 1)
    }

    /// How probable a rank is.
    pub fn probability(&self, rank: u64) -> f64 {
        weight(rank + 1) / self.zeta
    }
}

fn weight(place: u64) -> f64 {
    1.0 / (place as f64).powf(THETA)
}

/// A number from 0 to below 1.
fn unit(rng: &mut SeededRng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Scrambled {
    zipfian: Zipfian,
    records: u64,
}

impl Scrambled {
    /// Over so many records.
    pub fn new(records: u64) -> Self {
        assert!(records > 0, "there is nothing to draw from");
        Self {
            zipfian: Zipfian::with_zeta(SCRAMBLED_RANKS, SCRAMBLED_ZETA),
            records,
        }
    }

    /// A record's number.
    pub fn next(&self, rng: &mut SeededRng) -> u64 {
        self.place(self.zipfian.next(rng))
    }

    fn place(&self, rank: u64) -> u64 {
        scatter(rank) % self.records
    }
}

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Latest {
    zipfian: Zipfian,
}

impl Latest {
    /// Over so many records.
    pub fn new(records: u64) -> Self {
        Self {
            zipfian: Zipfian::new(records),
        }
    }

    /// A record's number, of so many as there are now; not fewer than there were.
    pub fn next(&mut self, rng: &mut SeededRng, records: u64) -> u64 {
        self.zipfian.extend_to(records);
        records - 1 - self.zipfian.next(rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 1_000_000;

    /// The share of draws below each of `bounds`.
    fn shares(mut draw: impl FnMut() -> u64, bounds: &[u64]) -> Vec<f64> {
        let mut counts = vec![0_u64; bounds.len()];
        for _ in 0..DRAWS {
            let drawn = draw();
            for (count, bound) in counts.iter_mut().zip(bounds) {
                *count += u64::from(drawn < *bound);
            }
        }
        counts.iter().map(|count| *count as f64 / DRAWS as f64).collect()
    }

    #[test]
    fn ranks_come_as_often_as_the_theory_says() {
        let mut rng = SeededRng::new(1);
        for ranks in [1, 2, 3, 10, 1_000, 100_000] {
            let zipfian = Zipfian::new(ranks);
            let bounds: Vec<u64> = [1, 2, 10, 100, 1_000, 10_000, 100_000]
                .into_iter()
                .filter(|bound| *bound <= ranks)
                .collect();
            let found = shares(|| zipfian.next(&mut rng), &bounds);
            for (bound, found) in bounds.iter().zip(found) {
                let theory: f64 = (0..*bound).map(|rank| zipfian.probability(rank)).sum();
                // The first two are exact, but for chance; behind them the method has an error of its own.
                let error_max = if *bound <= 2 || *bound == ranks { 0.003 } else { 0.02 };
                assert!(
                    (found - theory).abs() < error_max,
                    "below {bound} of {ranks}: {found} and not {theory}"
                );
            }
        }
    }

    #[test]
    fn the_probabilities_add_up_to_one() {
        let zipfian = Zipfian::new(10_000);
        let sum: f64 = (0..10_000).map(|rank| zipfian.probability(rank)).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn a_distribution_that_grew_is_the_one_that_was_made_at_once() {
        let mut grown = Zipfian::new(10);
        grown.extend_to(500);
        grown.extend_to(400);
        grown.extend_to(1_000);
        let whole = Zipfian::new(1_000);
        assert!((grown.zeta - whole.zeta).abs() < 1e-9);
        assert!((grown.eta - whole.eta).abs() < 1e-9);
    }

    #[test]
    fn the_constant_is_the_sum_over_ten_billion_ranks() {
        // The sum over the first million, and the integral over the rest with half of its ends: Euler and Maclaurin.
        let from = 1_000_000_u64;
        let rest = |place: f64| place.powf(1.0 - THETA) / (1.0 - THETA) + place.powf(-THETA) / 2.0;
        let sum = Zipfian::new(from).zeta + rest(SCRAMBLED_RANKS as f64) - rest(from as f64);
        // YCSB's own is off by what adding up ten billion floats loses.
        assert!((sum - SCRAMBLED_ZETA).abs() < 1e-3, "{sum}");
    }

    #[test]
    fn hot_records_are_scattered_and_as_hot_as_the_theory_says() {
        let mut rng = SeededRng::new(2);
        let scrambled = Scrambled::new(1_000_000);
        let hot: Vec<u64> = (0..10).map(|rank| scrambled.place(rank)).collect();
        let mut counts = [0_u64; 10];
        for _ in 0..DRAWS {
            let drawn = scrambled.next(&mut rng);
            assert!(drawn < 1_000_000);
            if let Some(at) = hot.iter().position(|place| *place == drawn) {
                counts[at] += 1;
            }
        }
        for (rank, count) in counts.iter().enumerate() {
            let theory = scrambled.zipfian.probability(rank as u64);
            let found = *count as f64 / DRAWS as f64;
            let error_max = if rank < 2 { 0.001 } else { 0.005 };
            assert!((found - theory).abs() < error_max, "rank {rank}: {found}, {theory}");
        }
        let mut sorted = hot.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 1), "{hot:?}");
    }

    #[test]
    fn the_newest_is_wanted_most_also_when_there_are_more() {
        let mut rng = SeededRng::new(3);
        let mut latest = Latest::new(1_000);
        for records in [1_000, 1_500] {
            let age = |drawn: u64| records - 1 - drawn;
            let found = shares(|| age(latest.next(&mut rng, records)), &[1, 2, records]);
            let zipfian = Zipfian::new(records);
            let theory = [
                zipfian.probability(0),
                zipfian.probability(0) + zipfian.probability(1),
                1.0,
            ];
            for (found, theory) in found.iter().zip(theory) {
                assert!((found - theory).abs() < 0.003, "{records}: {found}, {theory}");
            }
        }
    }
}
