//! Reading at a time, against all versions there ever were.

use std::collections::{BTreeMap, BTreeSet};

use aion_base::id::Term;
use aion_base::rng::SeededRng;

use super::*;
use crate::rows::memory::MemoryRows;
use crate::rows::rocks::{RocksOptions, RocksRows};
use crate::rows::{Past, RowWrite, Rows};

/// Every version of every key, by its begin; None where it was deleted.
type Versions = BTreeMap<Vec<u8>, BTreeMap<u64, Option<Vec<u8>>>>;
type Found = Vec<(Vec<u8>, Timestamp, Vec<u8>)>;

fn at(versions: &Versions, range: &KeyRange, time: u64) -> Found {
    let within = versions.iter().filter(|(key, _)| range.contains(key));
    let found = within.filter_map(|(key, versions)| {
        let (begin, value) = versions.range(..=time).next_back()?;
        Some((key.clone(), Timestamp(*begin), value.clone()?))
    });
    found.collect()
}

fn read(snapshot: &dyn Snapshot, range: &KeyRange, direction: Direction) -> Found {
    let mut scan = snapshot.scan(range, direction);
    let mut found = Vec::new();
    while scan.advance().expect("readable") {
        found.push((scan.key().to_vec(), scan.timestamp(), scan.value().to_vec()));
    }
    assert!(!scan.advance().expect("readable"), "the end stays the end");
    found
}

/// Keys that are beginnings of each other, with the bytes that are escaped.
fn key(rng: &mut SeededRng) -> Vec<u8> {
    let length = 1 + rng.below(4);
    (0..length)
        .map(|_| [0x00, 0x01, 0x02, 0xfe, 0xff][rng.below(5) as usize])
        .collect()
}

fn compare(snapshot: &dyn Snapshot, versions: &Versions, time: u64, rng: &mut SeededRng) {
    assert_eq!(snapshot.read_point().expect("known").timestamp, Timestamp(time));
    for _ in 0..3 {
        let range = match rng.below(4) {
            0 => KeyRange::ALL,
            1 => KeyRange::new(key(rng), None),
            2 => KeyRange::prefix(&key(rng)),
            _ => KeyRange::new(key(rng), Some(key(rng))),
        };
        let mut expected = at(versions, &range, time);
        assert_eq!(
            read(snapshot, &range, Direction::Forward),
            expected,
            "{range:?} at {time}"
        );
        expected.reverse();
        assert_eq!(
            read(snapshot, &range, Direction::Backward),
            expected,
            "{range:?} at {time}"
        );
    }
    let keys: Vec<Vec<u8>> = (0..20).map(|_| key(rng)).collect();
    let views: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let many = snapshot.multi_get(&views).expect("readable");
    for (key, found) in keys.iter().zip(many) {
        let expected = at(versions, &KeyRange::point(key), time).pop();
        let expected = expected.map(|(_, begin, value)| (begin, value));
        assert_eq!(found, expected, "{key:?} at {time}");
        let mut value = vec![9];
        let begin = snapshot.get(key, &mut value).expect("readable");
        assert_eq!(begin.map(|begin| (begin, value)), expected, "{key:?} at {time}");
    }
}

fn kept(rows: &dyn Rows, time: u64) -> Arc<dyn Snapshot> {
    match rows.snapshot_at(Timestamp(time)).expect("readable") {
        Past::Kept(snapshot) => snapshot,
        other => panic!("{time}: {other:?}"),
    }
}

/// A commit: when, and what it writes.
type Written = (u64, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn apply(rows: &dyn Rows, commits: &[Written], index: u64) {
    let mut batch = Batch {
        applied: Applied {
            index: LogIndex(index),
            term: Term(1),
            timestamp: Timestamp(commits.last().expect("one").0),
        },
        ..Batch::default()
    };
    for (time, writes) in commits {
        batch.writes.extend(writes.iter().map(|(key, value)| RowWrite {
            key,
            timestamp: Timestamp(*time),
            value: value.as_deref(),
        }));
    }
    rows.apply(&batch).expect("applied");
}

/// Random commits, several in a batch; snapshots at times, also such as are kept while versions go. `reopened` opens the rows again, or gives
/// them back. `is_repeating` applies what was applied before.
fn suite(
    seed: u64,
    mut rows: Box<dyn Rows>,
    mut reopened: impl FnMut(Box<dyn Rows>, bool) -> Box<dyn Rows>,
    is_repeating: bool,
) {
    println!("seed {seed}");
    let mut rng = SeededRng::new(seed);
    let mut versions = Versions::new();
    let mut snapshots: Vec<(Arc<dyn Snapshot>, Versions, u64)> = Vec::new();
    let mut time = 1_000;
    let mut horizon = None;
    let mut last: Vec<Written> = Vec::new();
    for step in 1..=200_u64 {
        let commits: Vec<Written> = (0..1 + rng.below(3))
            .map(|_| {
                time += 1 + rng.below(5);
                let keys: BTreeSet<Vec<u8>> = (0..1 + rng.below(20)).map(|_| key(&mut rng)).collect();
                let writes = keys.into_iter().map(|key| {
                    let value = rng
                        .chance(2, 3)
                        .then(|| vec![rng.below(256) as u8; rng.below(9) as usize]);
                    (key, value)
                });
                (time, writes.collect())
            })
            .collect();
        for (time, writes) in &commits {
            for (key, value) in writes {
                versions.entry(key.clone()).or_default().insert(*time, value.clone());
            }
        }
        apply(&*rows, &commits, step);
        if is_repeating && rng.chance(1, 4) {
            // As a replay does: from somewhere on, all that followed.
            if rng.chance(1, 2) && !last.is_empty() {
                apply(&*rows, &last, step - 1);
            }
            apply(&*rows, &commits, step);
        }
        last = commits;
        if step == 20 {
            assert!(matches!(
                rows.snapshot_at(Timestamp(time)).expect("readable"),
                Past::NotKept
            ));
            rows.keep_history(true).expect("begun");
            rows.keep_history(true).expect("it stays as it was");
            horizon = Some(time);
        }
        if rng.chance(1, 10) {
            snapshots.clear();
            rows = reopened(rows, rng.chance(1, 2));
        }
        assert_eq!(rows.horizon(), horizon.map(Timestamp));
        let Some(oldest) = &mut horizon else { continue };
        if rng.chance(1, 10) && time > *oldest + 300 {
            *oldest = time - 200 - rng.below(100);
            rows.raise_horizon(Timestamp(*oldest)).expect("raised");
            rows.raise_horizon(Timestamp(1)).expect("it never falls");
            let mut cursor = Vec::new();
            while !rows.sweep_history(&mut cursor, 7).expect("swept").is_over {}
        }
        match rows.snapshot_at(Timestamp(*oldest - 1)).expect("readable") {
            Past::Gone(since) => assert_eq!(since, Timestamp(*oldest)),
            other => panic!("{other:?}"),
        }
        let then = *oldest + rng.below(time + 3 - *oldest);
        let snapshot = kept(&*rows, then);
        compare(&*snapshot, &versions, then, &mut rng);
        if then <= time {
            // What is committed later does not matter to it.
            snapshots.push((snapshot, versions.clone(), then));
        }
        if snapshots.len() > 5 {
            snapshots.swap_remove(rng.below(5) as usize);
        }
        if !snapshots.is_empty() {
            let (snapshot, versions, then) = &snapshots[rng.below(snapshots.len() as u64) as usize];
            compare(&**snapshot, versions, *then, &mut rng);
        }
    }
    rows.keep_history(false).expect("over");
    assert!(matches!(
        rows.snapshot_at(Timestamp(time)).expect("readable"),
        Past::NotKept
    ));
    assert_eq!(rows.horizon(), None);
    for (snapshot, versions, then) in &snapshots {
        compare(&**snapshot, versions, *then, &mut rng);
    }
    rows.keep_history(true).expect("begun again");
    assert_eq!(rows.horizon(), Some(Timestamp(time)));
    compare(&*kept(&*rows, time), &versions, time, &mut rng);
}

fn open(dir: &Path) -> RocksRows {
    let options = RocksOptions {
        memtable_bytes: 64 << 10,
        ..RocksOptions::default()
    };
    RocksRows::open(dir, options).expect("opens")
}

#[test]
fn memory_rows_are_as_they_were() {
    for seed in 0..10 {
        suite(seed, Box::new(MemoryRows::default()), |rows, _| rows, false);
    }
}

#[test]
fn rocks_rows_are_as_they_were() {
    for seed in 0..6 {
        let dir = tempfile::tempdir().expect("a directory");
        let reopened = |rows: Box<dyn Rows>, is_reopened: bool| -> Box<dyn Rows> {
            rows.flush().expect("flushed");
            rows.compact(&[KeyRange::ALL]);
            if !is_reopened {
                return rows;
            }
            drop(rows);
            Box::new(open(dir.path()))
        };
        suite(seed, Box::new(open(dir.path())), reopened, seed % 2 == 1);
    }
}

/// One put, for a test that needs no more.
fn put(rows: &dyn Rows, time: u64, key: &[u8], value: Option<&[u8]>) {
    apply(rows, &[(time, vec![(key.to_vec(), value.map(<[u8]>::to_vec))])], time);
}

fn value_at(rows: &dyn Rows, time: u64, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    kept(rows, time).get(key, &mut value).expect("readable").map(|_| value)
}

/// A program that keeps nothing opened the rows and applied entries: what it overwrote is gone, and nobody may read before.
#[test]
fn what_others_overwrote_is_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let rows = open(dir.path());
    put(&rows, 1, b"a", Some(b"1"));
    rows.keep_history(true).expect("begun");
    put(&rows, 2, b"a", Some(b"2"));
    put(&rows, 3, b"a", None);
    assert_eq!(value_at(&rows, 1, b"a").as_deref(), Some(&b"1"[..]));
    rows.flush().expect("flushed");
    drop(rows);
    let rows = open(dir.path());
    assert_eq!(rows.horizon(), Some(Timestamp(1)));
    assert_eq!(value_at(&rows, 2, b"a").as_deref(), Some(&b"2"[..]));
    // As a program of before does it.
    let applied = [9_u64, 1, 50].map(u64::to_le_bytes).concat();
    rows.write_meta_for_test(b"applied", &applied);
    rows.flush().expect("flushed");
    drop(rows);
    let rows = open(dir.path());
    assert_eq!(rows.horizon(), Some(Timestamp(50)));
    assert!(matches!(
        rows.snapshot_at(Timestamp(49)).expect("readable"),
        Past::Gone(Timestamp(50))
    ));
    // A record of a later version.
    rows.write_meta_for_test(RECORD, &[VERSION + 1]);
    rows.flush().expect("flushed");
    drop(rows);
    let error = RocksRows::open(dir.path(), RocksOptions::default()).expect_err("it is newer");
    assert_eq!(error.state(), aion_base::SqlState::FEATURE_NOT_SUPPORTED);
}

/// The bytes of version 1, of an entry and of the record: frozen.
#[test]
fn the_bytes_stay_what_they_are() {
    assert_eq!(
        place(group_of(&[7, 0, 0xff]), Timestamp(0x0102)),
        [7, 0, 0xff, 0xff, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xfd]
    );
    let mut key = Vec::new();
    let place = place(group_of(&[7, 0, 0xff]), Timestamp(0x0102));
    assert_eq!(read_place(&place, &mut key), Some(Timestamp(0x0102)));
    assert_eq!(key, [7, 0, 0xff]);
    assert_eq!(read_place(&[1, 2, 3], &mut key), None);
    assert_eq!(
        record(5, LogIndex(6)),
        [1, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]
    );
}

/// A key that is written very often: the next one is sought and not walked to.
#[test]
fn many_versions_of_a_key_are_passed() {
    let dir = tempfile::tempdir().expect("a directory");
    let rows = open(dir.path());
    put(&rows, 1, b"a", Some(b"a"));
    put(&rows, 2, b"c", Some(b"c"));
    rows.keep_history(true).expect("begun");
    for time in 3..500 {
        put(&rows, time, b"b", Some(&time.to_le_bytes()));
    }
    put(&rows, 500, b"a", None);
    put(&rows, 501, b"c", Some(b"later"));
    for time in [3, 4, 250, 499] {
        let expected = vec![
            (b"a".to_vec(), Timestamp(1), b"a".to_vec()),
            (b"b".to_vec(), Timestamp(time), time.to_le_bytes().to_vec()),
            (b"c".to_vec(), Timestamp(2), b"c".to_vec()),
        ];
        let snapshot = kept(&rows, time);
        assert_eq!(read(&*snapshot, &KeyRange::ALL, Direction::Forward), expected);
        let backward: Vec<_> = expected.into_iter().rev().collect();
        assert_eq!(read(&*snapshot, &KeyRange::ALL, Direction::Backward), backward);
    }
    let bytes = rows.history_bytes();
    assert!(bytes > 0);
    rows.clear(&[KeyRange::prefix(b"b")]).expect("cleared");
    assert_eq!(read(&*kept(&rows, 499), &KeyRange::ALL, Direction::Forward).len(), 2);
}
