//! Random workloads against the plain reference: every answer at every read point.

#![allow(clippy::unwrap_used, reason = "test code")]

mod reference;

use aion_base::id::LogIndex;
use aion_base::rng::SeededRng;
use aion_vector::{HnswOptions, Metric, VectorIndex};
use proptest::prelude::*;
use reference::{ExactIndex, assert_same, clustered, key, load, noise, random_vector, recall, seeded};

const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<f32>),
    Remove(u8),
    Commit,
    Forget(u8),
    Compact,
    Search(Vec<f32>, usize, u8),
}

/// Few values, so that equal vectors, equal distances and zero vectors are common; and some extreme ones.
fn vector() -> impl Strategy<Value = Vec<f32>> {
    let component = prop_oneof![
        8 => prop::sample::select(vec![0.0f32, -0.0, 1.0, -1.0, 2.0]),
        2 => -1.0f32..1.0,
        1 => prop::sample::select(vec![3e38f32, -3e38, 1e-40, 1e-12, 1e19]),
    ];
    prop::collection::vec(component, 3)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0u8..24, vector()).prop_map(|(row, vector)| Step::Put(row, vector)),
        3 => (0u8..24).prop_map(Step::Remove),
        4 => Just(Step::Commit),
        1 => (0u8..8).prop_map(Step::Forget),
        1 => Just(Step::Compact),
        6 => (vector(), 0usize..40, 0u8..10).prop_map(|(query, count, back)| Step::Search(query, count, back)),
    ]
}

proptest! {
    #[test]
    fn a_small_index_answers_as_the_reference(
        metric in prop::sample::select(METRICS.to_vec()),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let index = VectorIndex::new(3, metric, HnswOptions::default()).unwrap();
        let mut reference = ExactIndex::new(metric);
        // `at` is being written; below it everything is committed. Nobody reads below the horizon.
        let (mut at, mut horizon) = (LogIndex(1), LogIndex(0));
        for step in steps {
            match step {
                Step::Put(row, vector) => {
                    index.put(&[row], &vector, at).unwrap();
                    reference.put(&[row], &vector, at);
                }
                Step::Remove(row) => {
                    index.remove(&[row], at).unwrap();
                    reference.remove(&[row], at);
                }
                Step::Commit => {
                    index.advance(at);
                    at = at.next();
                }
                Step::Forget(back) => {
                    horizon = horizon.max(LogIndex((at.0 - 1).saturating_sub(back.into())));
                    index.forget(horizon);
                    reference.forget(horizon);
                }
                Step::Compact => {
                    index.compact(|_| Ok(())).unwrap();
                    prop_assert_eq!(index.stats().empty_nodes, 0);
                }
                Step::Search(query, count, back) => {
                    let read_point = horizon.max(LogIndex((at.0 - 1).saturating_sub(back.into())));
                    let found = index.nearest(&query, count, read_point).unwrap();
                    assert_same(&found, &reference.nearest(&query, count, read_point), format!("{query:?}"));
                }
            }
        }
        // A replay of what is in it changes nothing.
        index.advance(at);
        let before = index.stats();
        index.put(&[0], &[1.0, 2.0, 3.0], at).unwrap();
        index.remove(&[1], at).unwrap();
        prop_assert_eq!(index.stats(), before);
    }
}

/// Overwrites and removes in a graph that is far above the size at which a scan is cheaper, then searches at the newest
/// and at old read points: as many rows as there must be, no row that must not be, true distances, and high recall.
#[test]
fn a_large_index_finds_what_the_reference_finds() {
    const ROWS: usize = 3_000;
    const DIMENSIONS: usize = 12;
    const RECALL_MIN: f64 = 0.9;
    for metric in METRICS {
        let mut rng = seeded(7);
        let index = VectorIndex::new(DIMENSIONS, metric, HnswOptions::default()).unwrap();
        let mut reference = ExactIndex::new(metric);
        let vectors = clustered(&mut rng, ROWS, DIMENSIONS);
        load(&index, &vectors, LogIndex(1));
        for (row, vector) in vectors.iter().enumerate() {
            reference.put(&key(row), vector, LogIndex(1));
        }
        for at in 2..20 {
            let at = LogIndex(at);
            for _ in 0..100 {
                let row = rng.below(ROWS as u64) as usize;
                if rng.chance(1, 4) {
                    index.remove(&key(row), at).unwrap();
                    reference.remove(&key(row), at);
                } else {
                    let vector: Vec<f32> = vectors[row].iter().map(|x| x + 0.2 * noise(&mut rng)).collect();
                    index.put(&key(row), &vector, at).unwrap();
                    reference.put(&key(row), &vector, at);
                }
            }
            index.advance(at);
        }
        let (mut total, mut searches) = (0.0, 0);
        for _ in 0..20 {
            let near = &vectors[rng.below(ROWS as u64) as usize];
            let query: Vec<f32> = near.iter().map(|x| x + 0.1 * noise(&mut rng)).collect();
            for read_point in [1, 5, 12, 19].map(LogIndex) {
                let count = 1 + rng.below(20) as usize;
                let found = index.nearest(&query, count, read_point).unwrap();
                let all = reference.nearest(&query, usize::MAX, read_point);
                let expected = &all[..count];
                assert_eq!(found.len(), count);
                for hit in &found {
                    let same = all
                        .iter()
                        .find(|other| other.key == hit.key)
                        .expect("only visible rows");
                    assert_eq!(hit.distance.to_bits(), same.distance.to_bits());
                }
                assert!(found.is_sorted_by(|a, b| (a.distance, &a.key) < (b.distance, &b.key)));
                total += recall(&found, expected);
                searches += 1;
                let exact = index.nearest_exact(&query, count, read_point).unwrap();
                assert_same(&exact, expected, read_point);
            }
            // More than a search is good for: a scan, which misses nothing.
            let found = index.nearest(&query, ROWS, LogIndex(19)).unwrap();
            assert_same(&found, &reference.nearest(&query, ROWS, LogIndex(19)), "all rows");
        }
        let recall = total / f64::from(searches);
        println!("{metric:?}: recall {recall:.4} over {searches} searches");
        assert!(recall >= RECALL_MIN, "{metric:?}: recall {recall}");
    }
}

/// Queries far from the clusters, which are the hard ones. Recall is bought with a wider search, so it must rise with it;
/// and by default it must be good.
#[test]
fn recall_at_ten_on_clusters() {
    const ROWS: usize = 4_000;
    let mut rng = seeded(11);
    let vectors = clustered(&mut rng, ROWS, 12);
    let queries: Vec<_> = (0..100).map(|_| random_vector(&mut rng, 12)).collect();
    // An inner product is no distance (nothing is nearest to itself), and a graph of neighbours serves it less well.
    for (metric, recall_min) in [(Metric::L2, 0.9), (Metric::Cosine, 0.9), (Metric::InnerProduct, 0.8)] {
        // Two threads build another graph each time, one builds the same.
        let options = HnswOptions {
            threads: 1,
            ..HnswOptions::default()
        };
        let index = VectorIndex::new(12, metric, options).unwrap();
        load(&index, &vectors, LogIndex(1));
        let exact = |query: &Vec<f32>| index.nearest_exact(query, 10, LogIndex(1)).unwrap();
        let expected: Vec<_> = queries.iter().map(exact).collect();
        let recall_at = |expansion: Option<usize>| {
            let found = |query: &[f32]| match expansion {
                Some(expansion) => index.nearest_with(query, 10, LogIndex(1), expansion).unwrap(),
                None => index.nearest(query, 10, LogIndex(1)).unwrap(),
            };
            let pairs = queries.iter().zip(&expected);
            pairs
                .map(|(query, expected)| recall(&found(query), expected))
                .sum::<f64>()
                / queries.len() as f64
        };
        let (narrow, default, wide) = (recall_at(Some(10)), recall_at(None), recall_at(Some(200)));
        println!("{metric:?}: recall@10 {narrow:.4} at 10, {default:.4} by default, {wide:.4} at 200");
        assert!(default >= recall_min, "{metric:?}: {default}");
        assert!(
            narrow <= default && default <= wide,
            "{metric:?}: {narrow} {default} {wide}"
        );
    }
}

/// HNSW over thousands of equal vectors falls into islands that a search cannot leave; so equal vectors are one node.
#[test]
fn equal_vectors_are_one_node_and_ties_go_by_key() {
    let mut rng = seeded(3);
    let index = VectorIndex::new(4, Metric::L2, HnswOptions::default()).unwrap();
    let mut reference = ExactIndex::new(Metric::L2);
    // 2,000 different vectors, and two of which there are 3,000 each.
    let mut vectors: Vec<Vec<f32>> = (0..2_000).map(|_| random_vector(&mut rng, 4)).collect();
    for _ in 0..3_000 {
        vectors.push(vec![0.5, 0.5, 0.5, 0.5]);
        vectors.push(vec![-0.5, 0.0, -0.5, 0.5]);
    }
    load(&index, &vectors, LogIndex(1));
    for (row, vector) in vectors.iter().enumerate() {
        reference.put(&key(row), vector, LogIndex(1));
    }
    assert_eq!(index.stats().nodes, 2_002);
    assert_eq!(index.len(), 8_000);
    for query in [vec![0.5, 0.5, 0.5, 0.5], vec![-0.4, 0.0, -0.5, 0.5]] {
        for count in [1, 10, 50] {
            let found = index.nearest(&query, count, LogIndex(1)).unwrap();
            assert_same(&found, &reference.nearest(&query, count, LogIndex(1)), count);
        }
    }
}

/// Most of the neighbourhood of a query was deleted: the search must widen until it has enough.
#[test]
fn a_search_widens_past_the_dead() {
    let mut rng = SeededRng::new(5);
    let mut vectors = Vec::new();
    for _ in 0..1_000 {
        vectors.push((0..6).map(|_| 0.01 * noise(&mut rng)).collect::<Vec<f32>>());
    }
    for _ in 0..9_000 {
        vectors.push((0..6).map(|_| 5.0 + noise(&mut rng)).collect());
    }
    let index = VectorIndex::new(6, Metric::L2, HnswOptions::default()).unwrap();
    load(&index, &vectors, LogIndex(1));
    for row in 0..995 {
        index.remove(&key(row), LogIndex(2)).unwrap();
    }
    index.advance(LogIndex(2));
    let hits = index.nearest(&[0.0; 6], 20, LogIndex(2)).unwrap();
    assert_same(
        &hits,
        &index.nearest_exact(&[0.0; 6], 20, LogIndex(2)).unwrap(),
        "past 995 dead ones",
    );
    let mut first: Vec<_> = hits[..5].iter().map(|hit| hit.key.to_vec()).collect();
    first.sort();
    assert_eq!(first, (995..1_000).map(|row| key(row).to_vec()).collect::<Vec<_>>());
}
