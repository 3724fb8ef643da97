//! How long operations took: counts by magnitude, of a fixed size however many there are.
//!
//! Sixteen buckets for each power of two of nanoseconds, so a quantile is at most 1/16 too long; the mean and the longest are exact.

use std::time::Duration;

const BUCKETS_OF_POWER: u64 = 16;
const BUCKETS: usize = 64 * BUCKETS_OF_POWER as usize;

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    total_nanos: u64,
    longest_nanos: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            count: 0,
            total_nanos: 0,
            longest_nanos: 0,
        }
    }
}

impl Histogram {
    /// Takes one operation in.
    pub fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.count += 1;
        self.total_nanos = self.total_nanos.saturating_add(nanos);
        self.longest_nanos = self.longest_nanos.max(nanos);
    }

    /// Takes in what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours += theirs;
        }
        self.count += other.count;
        self.total_nanos = self.total_nanos.saturating_add(other.total_nanos);
        self.longest_nanos = self.longest_nanos.max(other.longest_nanos);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; zero of none.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.total_nanos.checked_div(self.count).unwrap_or(0))
    }

    /// The longest; zero of none.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest_nanos)
    }

    /// What `of_hundred` of a hundred operations did not exceed; zero of none.
    pub fn quantile(&self, of_hundred: u64) -> Duration {
        let wanted = (self.count * of_hundred).div_ceil(100).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(end(at).min(self.longest_nanos));
            }
        }
        Duration::ZERO
    }
}

/// Numbers below 16 have a bucket each; from there on the four bits behind the first tell.
fn bucket(nanos: u64) -> usize {
    if nanos < BUCKETS_OF_POWER {
        return nanos as usize;
    }
    let power = nanos.ilog2();
    let within = (nanos >> (power - 4)) & (BUCKETS_OF_POWER - 1);
    ((u64::from(power) - 3) * BUCKETS_OF_POWER + within) as usize
}

/// The greatest number of a bucket.
fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < BUCKETS_OF_POWER {
        return bucket;
    }
    let (shift, within) = (bucket / BUCKETS_OF_POWER - 1, bucket % BUCKETS_OF_POWER);
    let end = u128::from(BUCKETS_OF_POWER + within + 1) << shift;
    u64::try_from(end - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_lies_in_its_bucket_and_no_bucket_is_wide() {
        for nanos in (0..100_000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let at = bucket(nanos);
            assert!(at < BUCKETS && end(at) >= nanos, "{nanos}");
            assert!(at == 0 || end(at - 1) < nanos, "{nanos}");
            assert!(end(at) - nanos <= nanos / 16, "{nanos}");
        }
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let (mut all, mut half) = (Histogram::default(), Histogram::default());
        for micros in 1..=100 {
            let histogram = if micros % 2 == 0 { &mut all } else { &mut half };
            histogram.record(Duration::from_micros(micros));
        }
        all.merge(&half);
        assert_eq!(all.count(), 100);
        assert_eq!(all.longest(), Duration::from_micros(100));
        assert_eq!(all.mean(), Duration::from_nanos(50_500));
        for of_hundred in [1, 50, 99, 100] {
            let exact = of_hundred as f64;
            let found = all.quantile(of_hundred).as_secs_f64() * 1e6;
            assert!(found >= exact && found <= exact * 1.07, "{of_hundred}: {found}");
        }
        assert_eq!(Histogram::default().quantile(99), Duration::ZERO);
        assert_eq!(Histogram::default().mean(), Duration::ZERO);
    }
}
