//! The index as a plain list of versions: what `VectorIndex` must answer, written so that it can be read.

#![allow(dead_code, reason = "each test binary uses its part")]

use aion_base::id::LogIndex;
use aion_base::rng::SeededRng;
use aion_vector::{Hit, Metric, VectorIndex, by_distance};

#[derive(Clone, Debug)]
struct Version {
    key: Vec<u8>,
    vector: Vec<f32>,
    born: u64,
    died: u64,
}

/// All versions of all rows, compared one by one.
#[derive(Clone, Debug)]
pub struct ExactIndex {
    metric: Metric,
    versions: Vec<Version>,
}

impl ExactIndex {
    pub fn new(metric: Metric) -> Self {
        Self {
            metric,
            versions: Vec::new(),
        }
    }

    pub fn put(&mut self, key: &[u8], vector: &[f32], at: LogIndex) {
        self.remove(key, at);
        self.versions.push(Version {
            key: key.to_vec(),
            vector: vector.to_vec(),
            born: at.0,
            died: u64::MAX,
        });
    }

    pub fn remove(&mut self, key: &[u8], at: LogIndex) {
        for version in &mut self.versions {
            if version.key == key && version.died == u64::MAX {
                version.died = at.0;
            }
        }
    }

    pub fn forget(&mut self, horizon: LogIndex) {
        self.versions.retain(|version| version.died > horizon.0);
    }

    pub fn nearest(&self, query: &[f32], count: usize, read_point: LogIndex) -> Vec<Hit> {
        let mut hits: Vec<Hit> = (self.versions.iter())
            .filter(|version| version.born <= read_point.0 && read_point.0 < version.died)
            .map(|version| Hit {
                key: version.key.as_slice().into(),
                distance: self.metric.distance(query, &version.vector),
            })
            .collect();
        hits.sort_by(|a, b| by_distance(a.distance, b.distance).then_with(|| a.key.cmp(&b.key)));
        hits.truncate(count);
        hits
    }
}

/// The seed of a random test: `AION_SEED`, or the one given. It is printed, so that a failure replays.
pub fn seeded(default: u64) -> SeededRng {
    let seed = std::env::var("AION_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(default);
    println!("AION_SEED={seed}");
    SeededRng::new(seed)
}

/// Nearly normal, with variance 1.
pub fn noise(rng: &mut SeededRng) -> f32 {
    let even = |rng: &mut SeededRng| (rng.next_u64() >> 40) as f32 / (1 << 24) as f32 - 0.5;
    (even(rng) + even(rng) + even(rng) + even(rng)) * 3.0f32.sqrt()
}

pub fn random_vector(rng: &mut SeededRng, dimensions: usize) -> Vec<f32> {
    (0..dimensions).map(|_| noise(rng)).collect()
}

/// Vectors around centres, a centre for each hundred.
pub fn clustered(rng: &mut SeededRng, rows: usize, dimensions: usize) -> Vec<Vec<f32>> {
    let centres: Vec<_> = (0..rows.div_ceil(100))
        .map(|_| random_vector(rng, dimensions))
        .collect();
    (0..rows)
        .map(|_| {
            let centre = &centres[rng.below(centres.len() as u64) as usize];
            centre.iter().map(|x| x + 0.2 * noise(rng)).collect()
        })
        .collect()
}

pub fn key(row: usize) -> [u8; 4] {
    u32::try_from(row).expect("few rows").to_be_bytes()
}

/// Loads rows 0, 1, ... with these vectors, and says that the commit is in.
pub fn load(index: &VectorIndex, vectors: &[Vec<f32>], at: LogIndex) {
    let rows = vectors.iter().enumerate().map(|(row, vector)| Ok((key(row), vector)));
    let count = index.load(rows, at, |_| Ok(())).expect("the rows are good");
    assert_eq!(count, vectors.len() as u64);
    index.advance(at);
}

/// Equal keys, and distances equal to the bit, NaN included.
pub fn assert_same(found: &[Hit], expected: &[Hit], context: impl std::fmt::Display) {
    let plain = |hits: &[Hit]| -> Vec<_> {
        (hits.iter())
            .map(|hit| (hit.key.to_vec(), hit.distance.to_string()))
            .collect()
    };
    assert_eq!(plain(found), plain(expected), "{context}");
}

/// The part of the expected keys that were found.
pub fn recall(found: &[Hit], expected: &[Hit]) -> f64 {
    let both = expected
        .iter()
        .filter(|hit| found.iter().any(|other| other.key == hit.key));
    both.count() as f64 / expected.len() as f64
}
