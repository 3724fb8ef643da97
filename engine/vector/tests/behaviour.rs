//! What the index refuses, forgets and bears: growth, threads, compaction, bad input.

#![allow(clippy::unwrap_used, reason = "test code")]

mod reference;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aion_base::id::LogIndex;
use aion_base::rng::SeededRng;
use aion_base::{Error, ErrorKind, SqlState};
use aion_vector::{HnswOptions, Metric, VectorIndex};
use reference::{clustered, key, load, recall, seeded};

fn index(dimensions: usize, metric: Metric) -> VectorIndex {
    VectorIndex::new(dimensions, metric, HnswOptions::default()).unwrap()
}

fn keys(index: &VectorIndex, query: &[f32], count: usize, read_point: u64) -> Vec<String> {
    let hits = index.nearest(query, count, LogIndex(read_point)).unwrap();
    hits.iter()
        .map(|hit| String::from_utf8(hit.key.to_vec()).unwrap())
        .collect()
}

fn assert_refused(error: Error, state: SqlState, message: &str) {
    assert_eq!((error.state(), error.message()), (state, message));
}

#[test]
fn a_reader_sees_its_read_point() {
    let index = index(1, Metric::L2);
    index.put(b"a", &[1.0], LogIndex(5)).unwrap();
    index.put(b"b", &[2.0], LogIndex(6)).unwrap();
    index.put(b"a", &[10.0], LogIndex(7)).unwrap();
    index.remove(b"b", LogIndex(9)).unwrap();
    index.remove(b"nobody", LogIndex(9)).unwrap();
    assert!(keys(&index, &[0.0], 9, 4).is_empty());
    assert_eq!(keys(&index, &[0.0], 9, 5), ["a"]);
    assert_eq!(keys(&index, &[0.0], 9, 6), ["a", "b"]);
    assert_eq!(keys(&index, &[0.0], 9, 7), ["b", "a"]);
    assert_eq!(keys(&index, &[0.0], 9, 8), ["b", "a"]);
    assert_eq!(keys(&index, &[0.0], 9, 9), ["a"]);
    assert_eq!(keys(&index, &[0.0], 0, 9), [""; 0]);
    assert_eq!((index.len(), index.stats().dead), (1, 2));
}

#[test]
fn forgetting_keeps_what_can_still_be_read() {
    let index = index(1, Metric::L2);
    for at in 1..=10u64 {
        index.put(b"a", &[at as f32], LogIndex(at)).unwrap();
    }
    assert_eq!(index.forget(LogIndex(4)), 3);
    assert_eq!(index.forget(LogIndex(4)), 0);
    let at = |read_point: u64| index.nearest(&[0.0], 1, LogIndex(read_point)).unwrap()[0].distance;
    for read_point in 4..=10 {
        assert_eq!(at(read_point), read_point as f64);
    }
    assert_eq!(index.stats().empty_nodes, 3);
    assert_eq!(index.compact(|_| Ok(())).unwrap(), 3);
    assert_eq!((index.stats().nodes, index.stats().dead), (7, 6));
    for read_point in 4..=10 {
        assert_eq!(at(read_point), read_point as f64);
    }
    // A vector that everybody forgot and somebody has again.
    index.forget(LogIndex(9));
    index.put(b"b", &[9.0], LogIndex(11)).unwrap();
    assert_eq!(index.nearest(&[9.0], 1, LogIndex(11)).unwrap()[0].key[..], *b"b");
}

#[test]
fn an_update_of_other_columns_makes_no_version() {
    let index = index(2, Metric::Cosine);
    index.put(b"a", &[0.0, 1.0], LogIndex(1)).unwrap();
    index.put(b"a", &[-0.0, 1.0], LogIndex(2)).unwrap();
    assert_eq!((index.stats().nodes, index.stats().dead), (1, 0));
    // Twice in one commit: nobody could have seen the first.
    index.put(b"a", &[2.0, 1.0], LogIndex(3)).unwrap();
    index.put(b"a", &[3.0, 1.0], LogIndex(3)).unwrap();
    assert_eq!((index.len(), index.stats().dead), (1, 1));
}

#[test]
fn zero_vectors_are_last_by_cosine() {
    let index = index(2, Metric::Cosine);
    for (name, vector) in [
        ("z2", [0.0, 0.0]),
        ("y", [0.0, 1.0]),
        ("x", [1.0, 0.0]),
        ("z1", [-0.0, 0.0]),
    ] {
        index.put(name.as_bytes(), &vector, LogIndex(1)).unwrap();
    }
    let hits = index.nearest(&[2.0, 0.1], 9, LogIndex(1)).unwrap();
    assert_eq!(keys(&index, &[2.0, 0.1], 9, 1), ["x", "y", "z1", "z2"]);
    assert!(hits[2].distance.is_nan() && hits[3].distance.is_nan());
    // A zero query is at no distance from anything: all rows, by key.
    assert_eq!(keys(&index, &[0.0, 0.0], 3, 1), ["x", "y", "z1"]);
    assert_eq!(index.stats().strays, 1);
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let index = index(3, Metric::L2);
    index.put(b"a", &[1.0, 2.0, 3.0], LogIndex(1)).unwrap();
    let before = index.stats();
    let put = |vector: &[f32]| index.put(b"b", vector, LogIndex(2)).unwrap_err();
    let data = SqlState::DATA_EXCEPTION;
    assert_refused(put(&[1.0, 2.0]), data, "expected 3 dimensions, not 2");
    assert_refused(put(&[1.0, f32::NAN, 2.0]), data, "NaN not allowed in vector");
    assert_refused(
        put(&[1.0, 2.0, f32::NEG_INFINITY]),
        data,
        "infinite value not allowed in vector",
    );
    let search = |query: &[f32]| index.nearest(query, 1, LogIndex(1)).unwrap_err();
    assert_refused(search(&[1.0; 12]), data, "different vector dimensions 12 and 3");
    assert_refused(
        search(&[f32::INFINITY; 3]),
        data,
        "infinite value not allowed in vector",
    );
    assert_eq!(index.stats(), before);
    // The log does not go back.
    index.put(b"b", &[1.0, 2.0, 4.0], LogIndex(7)).unwrap();
    let late = index.put(b"c", &[1.0, 2.0, 5.0], LogIndex(6)).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Internal);

    let refused = |dimensions, options| VectorIndex::new(dimensions, Metric::L2, options).unwrap_err();
    let invalid = SqlState::INVALID_PARAMETER_VALUE;
    let small = HnswOptions {
        connectivity: 1,
        ..HnswOptions::default()
    };
    assert_refused(refused(3, small), invalid, "value 1 out of bounds for option \"m\"");
    let none = HnswOptions {
        threads: 0,
        ..HnswOptions::default()
    };
    assert_refused(
        refused(3, none),
        invalid,
        "value 0 out of bounds for option \"threads\"",
    );
    assert_eq!(refused(0, HnswOptions::default()).state(), invalid);
    assert_eq!(
        refused(16_001, HnswOptions::default()).state(),
        SqlState::PROGRAM_LIMIT_EXCEEDED
    );
}

#[test]
fn a_load_can_be_cancelled_and_says_how_far_it_is() {
    let vectors = clustered(&mut seeded(1), 2_000, 8);
    let rows = || vectors.iter().enumerate().map(|(row, vector)| Ok((key(row), vector)));
    let mut told = Vec::new();
    let index = index(8, Metric::L2);
    let cancelled = index.load(rows(), LogIndex(1), |count| {
        told.push(count);
        match count {
            1_024.. => Err(Error::invalid(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            )),
            _ => Ok(()),
        }
    });
    assert_eq!(cancelled.unwrap_err().state(), SqlState::QUERY_CANCELED);
    assert_eq!(told, [512, 1_024]);
    // A row that cannot be read ends it too.
    let broken = rows().take(700).chain([Err(Error::corrupt("a damaged row"))]);
    assert_eq!(
        index.load(broken, LogIndex(1), |_| Ok(())).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(index.position(), LogIndex(0));
}

/// From empty, one row at a time, past several capacities of the graph.
#[test]
fn it_grows() {
    let vectors = clustered(&mut seeded(2), 5_000, 6);
    let index = index(6, Metric::L2);
    for (row, vector) in vectors.iter().enumerate() {
        index.put(&key(row), vector, LogIndex(1 + row as u64)).unwrap();
        if row % 500 == 0 {
            let hit = &index.nearest(vector, 1, LogIndex(1 + row as u64)).unwrap()[0];
            assert_eq!((&hit.key[..], hit.distance), (&key(row)[..], 0.0));
        }
    }
    let mut found = 0;
    for vector in vectors.iter().step_by(25) {
        found += usize::from(index.nearest(vector, 1, LogIndex(5_000)).unwrap()[0].distance == 0.0);
    }
    println!("{found} of 200 rows find themselves");
    assert!(found >= 195, "{found}");
    assert!(index.stats().memory_bytes > 5_000 * (6 * 4 + 16 * 8));
}

/// Searches from more threads than the graph has slots, beside puts, a load, forgetting and compactions. What a reader
/// must see is known by construction: row n has the vector [n, 0] up to commit 1, and [n, 1] later.
#[test]
fn searches_beside_every_change() {
    const ROWS: usize = 3_000;
    const READERS: usize = 80;
    let index = index(2, Metric::L2);
    let rows = |y: f32| (0..ROWS).map(move |row| Ok((key(row), [row as f32, y])));
    index.load(rows(0.0), LogIndex(1), |_| Ok(())).unwrap();
    index.advance(LogIndex(1));
    let (committed, is_done) = (AtomicU64::new(1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (index, committed, is_done) = (&index, &committed, &is_done);
            scope.spawn(move || {
                let mut rng = SeededRng::new(reader as u64);
                loop {
                    let last = is_done.load(Ordering::SeqCst);
                    let row = rng.below(ROWS as u64) as f32;
                    let read_point = committed.load(Ordering::SeqCst);
                    let y = if read_point == 1 { 0.0 } else { 1.0 };
                    let hits = index.nearest(&[row, y], 3, LogIndex(read_point)).unwrap();
                    assert_eq!(hits.len(), 3);
                    // All from one version of the rows: those of the other are at another height.
                    for hit in &hits {
                        let at = u32::from_be_bytes(hit.key[..].try_into().unwrap());
                        assert_eq!(
                            hit.distance,
                            f64::from((at as f32 - row).abs()),
                            "{hits:?} at {read_point}"
                        );
                    }
                    if last {
                        return;
                    }
                }
            });
        }
        // The load of commit 2 is visible to nobody until it is whole.
        index.load(rows(1.0), LogIndex(2), |_| Ok(())).unwrap();
        index.advance(LogIndex(2));
        committed.store(2, Ordering::SeqCst);
        for at in 3..200u64 {
            // Far away rows, whose vectors come and go.
            let far = 1e6 + at as f32;
            index.put(&[9, 9], &[far, far], LogIndex(at)).unwrap();
            index.advance(LogIndex(at));
            committed.store(at, Ordering::SeqCst);
        }
        index.compact(|_| Ok(())).unwrap();
        is_done.store(true, Ordering::SeqCst);
    });
    assert_eq!(index.len(), ROWS + 1);
    let before = index.stats();
    assert_eq!((before.dead, before.nodes), (ROWS + 196, 2 * ROWS + 197));
    assert_eq!(index.forget(LogIndex(199)), ROWS + 196);
    assert!(index.wants_compaction());
    assert_eq!(index.compact(|_| Ok(())).unwrap(), ROWS + 196);
    assert!(!index.wants_compaction());
    assert!(index.stats().memory_bytes < before.memory_bytes);
}

/// Puts while a compaction copies: its progress callback is where they come between.
#[test]
fn a_compaction_keeps_what_comes_meanwhile() {
    const ROWS: usize = 3_000;
    let vectors = clustered(&mut seeded(4), 2 * ROWS, 5);
    let index = index(5, Metric::L2);
    load(&index, &vectors[..ROWS], LogIndex(1));
    for row in 0..ROWS / 2 {
        index.remove(&key(row), LogIndex(2)).unwrap();
    }
    index.advance(LogIndex(2));
    index.forget(LogIndex(2));
    let mut next = 3;
    let removed = index.compact(|_| {
        for _ in 0..20 {
            // New vectors, and ones of nodes that were passed over as empty.
            let row = next as usize;
            index.put(&key(row), &vectors[ROWS + row], LogIndex(next))?;
            index.put(&key(row + 1_000), &vectors[row], LogIndex(next))?;
            next += 1;
        }
        index.advance(LogIndex(next - 1));
        Ok(())
    });
    let removed = removed.unwrap();
    assert!(removed > ROWS / 2 - 200 && removed <= ROWS / 2, "{removed}");
    for row in 3..next as usize {
        for (key, vector) in [(key(row), &vectors[ROWS + row]), (key(row + 1_000), &vectors[row])] {
            let found = index.nearest_exact(vector, 1, LogIndex(next)).unwrap();
            assert_eq!((&found[0].key[..], found[0].distance), (&key[..], 0.0));
        }
    }
    let total: f64 = (vectors[ROWS / 2..ROWS].iter().step_by(10))
        .map(|query| {
            let expected = index.nearest_exact(query, 10, LogIndex(next)).unwrap();
            recall(&index.nearest(query, 10, LogIndex(next)).unwrap(), &expected)
        })
        .sum();
    let recall = total / 150.0;
    println!("recall@10 after the compaction: {recall:.4}");
    assert!(recall >= 0.95, "{recall}");

    let cancelled = index.compact(|_| Err(Error::invalid(SqlState::QUERY_CANCELED, "no")));
    assert_eq!(cancelled.unwrap_err().state(), SqlState::QUERY_CANCELED);
    assert_eq!(
        index.nearest(&vectors[ROWS - 1], 1, LogIndex(next)).unwrap()[0].distance,
        0.0
    );
}

/// Two threads added neighbours at the same moment, and neither found the other: of points that came in the order of a line, a
/// search for 64 found 60 on average and sometimes another stretch of the line. A test of SQL failed of it now and then.
#[test]
fn rows_that_come_in_order_are_found_however_many_threads_load_them() {
    const ROWS: u32 = 3_000;
    const TRIALS: usize = 20;
    const COUNT: usize = 64;
    let line = |row: u32| vec![row as f32, 1.0, 2.0];
    let curve = |row: u32| vec![row as f32, (row * 1_237 % 3) as f32, (row * 777 % 5) as f32];
    type Place = fn(u32) -> Vec<f32>;
    for (name, place) in [("line", line as Place), ("curve", curve as Place)] {
        let mut found = 0.0;
        for trial in 0..TRIALS {
            let options = HnswOptions {
                threads: 2,
                ..HnswOptions::default()
            };
            let index = VectorIndex::new(3, Metric::L2, options).unwrap();
            load(&index, &(0..ROWS).map(place).collect::<Vec<_>>(), LogIndex(1));
            let query = [1_500.2 + trial as f32 * 10.0, 1.0, 2.0];
            let hits = index.nearest(&query, COUNT, LogIndex(1)).unwrap();
            found += recall(&hits, &index.nearest_exact(&query, COUNT, LogIndex(1)).unwrap());
        }
        let mean = found / TRIALS as f64;
        assert!(mean > 0.98, "{name}: recall {mean:.3}");
    }
}
