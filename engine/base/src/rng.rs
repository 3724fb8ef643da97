//! Randomness that replays from a printed seed.
//!
//! [`SeededRng`] is SplitMix64 (Steele, Lea, Flood 2014): one u64 of state, full period, good enough
//! for workloads, ids and fault injection. It is not a source of secrets.

use std::hash::{BuildHasher, RandomState};

/// A repeatable source of random numbers.
#[derive(Clone, Debug)]
pub struct SeededRng {
    state: u64,
}

impl SeededRng {
    /// The generator that `seed` names.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator with a seed that differs from process to process.
    pub fn from_entropy() -> Self {
        Self::new(entropy())
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next 128 random bits.
    pub fn next_u128(&mut self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }

    /// A number below `limit`, evenly distributed. `limit` must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        assert!(limit > 0, "no number is below 0");
        // The high half of the product; the bias is below limit / 2^64.
        ((u128::from(self.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// True in `numerator` of `denominator` cases.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// An independent generator, for a thread of its own.
    pub fn split(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

/// 64 bits that differ from process to process and from call to call.
pub fn entropy() -> u64 {
    // std seeds RandomState from the operating system and changes it with each call.
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (SeededRng::new(7), SeededRng::new(7));
        let first: Vec<u64> = (0..8).map(|_| a.next_u64()).collect();
        assert_eq!(first, (0..8).map(|_| b.next_u64()).collect::<Vec<_>>());
        assert_ne!(first[0], SeededRng::new(8).next_u64());
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut rng = SeededRng::new(1);
        let mut seen = [0u32; 7];
        for _ in 0..7_000 {
            seen[usize::try_from(rng.below(7)).expect("below 7")] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1_200).contains(&count)), "{seen:?}");
    }
}
