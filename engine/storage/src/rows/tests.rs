//! One suite for every implementation of [`Rows`], against a plain map per read point.

use std::collections::BTreeMap;

use aion_base::SqlState;
use aion_base::rng::SeededRng;

use super::memory::MemoryRows;
use super::rocks::{RocksOptions, RocksRows};
use super::*;
use crate::commit::Reason;

type Model = BTreeMap<Vec<u8>, (Timestamp, Vec<u8>)>;

fn read_all(snapshot: &dyn Snapshot, range: &KeyRange, direction: Direction) -> Vec<(Vec<u8>, Timestamp, Vec<u8>)> {
    let mut scan = snapshot.scan(range, direction);
    let mut found = Vec::new();
    while scan.advance().expect("readable") {
        found.push((scan.key().to_vec(), scan.timestamp(), scan.value().to_vec()));
    }
    assert!(!scan.advance().expect("readable"), "the end stays the end");
    found
}

fn check(snapshot: &dyn Snapshot, model: &Model, rng: &mut SeededRng) {
    let key = |rng: &mut SeededRng| rng.below(700).to_be_bytes()[6..].to_vec();
    for _ in 0..4 {
        let range = match rng.below(4) {
            0 => KeyRange::ALL,
            1 => KeyRange::new(key(rng), None),
            2 => KeyRange::prefix(&[rng.below(3) as u8]),
            _ => KeyRange::new(key(rng), Some(key(rng))),
        };
        let mut expected: Vec<_> = model
            .iter()
            .filter(|(key, _)| range.contains(key))
            .map(|(key, (at, value))| (key.clone(), *at, value.clone()))
            .collect();
        assert_eq!(read_all(snapshot, &range, Direction::Forward), expected);
        expected.reverse();
        assert_eq!(read_all(snapshot, &range, Direction::Backward), expected);
    }
    let keys: Vec<_> = (0..20).map(|_| key(rng)).collect();
    let views: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let many = snapshot.multi_get(&views).expect("readable");
    let mut value = vec![99];
    for (key, found) in keys.iter().zip(many) {
        assert_eq!(found, model.get(key).cloned());
        let at = snapshot.get(key, &mut value).expect("readable");
        assert_eq!(at.map(|at| (at, value.clone())), model.get(key).cloned());
    }
}

/// Random batches; snapshots kept across them see what they saw.
fn suite(rows: &dyn Rows, flush: bool) {
    let mut rng = SeededRng::new(5);
    let mut model = Model::new();
    let mut kept: Vec<(Arc<dyn Snapshot>, ReadPoint, Model)> = Vec::new();
    assert_eq!(rows.snapshot().read_point().expect("readable"), ReadPoint::default());
    for step in 1..=120 {
        let timestamp = Timestamp(1_000 + step);
        let changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..rng.below(30))
            .map(|_| {
                let key = rng.below(700).to_be_bytes()[6..].to_vec();
                (
                    key,
                    rng.chance(2, 3)
                        .then(|| vec![rng.below(256) as u8; rng.below(50) as usize]),
                )
            })
            .collect();
        let mut batch = Batch {
            applied: Applied {
                index: LogIndex(step),
                term: Term(1),
                timestamp,
            },
            ..Batch::default()
        };
        for (key, value) in &changes {
            batch.writes.push(RowWrite {
                key,
                timestamp,
                value: value.as_deref(),
            });
            match value {
                Some(value) => drop(model.insert(key.clone(), (timestamp, value.clone()))),
                None => drop(model.remove(key)),
            }
        }
        rows.apply(&batch).expect("applied");
        if flush && rng.chance(1, 10) {
            rows.flush().expect("flushed");
            assert_eq!(rows.durable_applied().expect("readable"), batch.applied);
            rows.settle().expect("settled");
        }
        let snapshot = rows.snapshot();
        let read_point = ReadPoint {
            index: LogIndex(step),
            timestamp,
        };
        kept.push((snapshot, read_point, model.clone()));
        if kept.len() > 6 {
            kept.swap_remove(rng.below(6) as usize);
        }
        let (snapshot, read_point, model) = &kept[rng.below(kept.len() as u64) as usize];
        assert_eq!(snapshot.read_point().expect("readable"), *read_point);
        check(&**snapshot, model, &mut rng);
    }

    // A scan goes on after its snapshot and later batches.
    let mut scan = rows.snapshot().scan(&KeyRange::ALL, Direction::Forward);
    kept.clear();
    let end = Applied {
        index: LogIndex(121),
        term: Term(1),
        timestamp: Timestamp(9_999),
    };
    let keys: Vec<_> = model.keys().cloned().collect();
    let writes = keys
        .iter()
        .map(|key| RowWrite {
            key,
            timestamp: end.timestamp,
            value: None,
        })
        .collect();
    rows.apply(&Batch {
        writes,
        applied: end,
        ..Batch::default()
    })
    .expect("applied");
    for key in &keys {
        assert!(scan.advance().expect("readable"));
        assert_eq!(scan.key(), key);
    }
    assert!(read_all(&*rows.snapshot(), &KeyRange::ALL, Direction::Forward).is_empty());
}

fn notes_are_kept_until_forgotten(rows: &dyn Rows) {
    let rejected = |key: u8| {
        Note::Rejected(Rejection {
            reason: Reason::Duplicate,
            key: vec![key],
        })
    };
    let notes = vec![
        (LogIndex(3), rejected(1)),
        (LogIndex(4), Note::Repeated),
        (LogIndex(300), rejected(2)),
    ];
    rows.apply(&Batch {
        notes: notes.clone(),
        ..Batch::default()
    })
    .expect("applied");
    assert_eq!(rows.notes().expect("readable"), notes);
    rows.apply(&Batch {
        forget_notes: LogIndex(4),
        ..Batch::default()
    })
    .expect("applied");
    assert_eq!(rows.notes().expect("readable"), notes[2..]);
}

/// Ranges cleared among batches, against a map of which they are removed; snapshots of before see what they saw.
fn cleared_ranges_are_gone_for_later_snapshots_only(rows: &dyn Rows) {
    let seed = 11;
    println!("seed {seed}");
    let mut rng = SeededRng::new(seed);
    let mut model = Model::new();
    let mut kept: Vec<(Arc<dyn Snapshot>, Model)> = Vec::new();
    for step in 1..=60 {
        let applied = Applied {
            index: LogIndex(step),
            term: Term(1),
            timestamp: Timestamp(1_000 + step),
        };
        // Four bytes of a table, the last of them up to 0xff, and a row: as many as a clearing takes at a time, and more.
        let keys: Vec<_> = (0..rng.below(400))
            .map(|_| {
                let table = if rng.chance(1, 4) { 0xff } else { rng.below(3) as u8 };
                let row = rng.below(700).to_be_bytes();
                [&[0xff, 0xff, 0xff, table], &row[6..]].concat()
            })
            .collect();
        let writes = keys.iter().map(|key| RowWrite {
            key,
            timestamp: applied.timestamp,
            value: Some(&key[4..]),
        });
        rows.apply(&Batch {
            writes: writes.collect(),
            applied,
            ..Batch::default()
        })
        .expect("applied");
        model.extend(
            keys.iter()
                .map(|key| (key.clone(), (applied.timestamp, key[4..].to_vec()))),
        );
        kept.push((rows.snapshot(), model.clone()));
        if rng.chance(1, 2) {
            let table = if rng.chance(1, 4) { 0xff } else { rng.below(4) as u8 };
            let range = KeyRange::prefix(&[0xff, 0xff, 0xff, table]);
            let nothing = KeyRange::new(vec![9], Some(vec![3]));
            rows.clear(&[range.clone(), nothing, range.clone()]).expect("cleared");
            model.retain(|key, _| !range.contains(key));
            if rng.chance(1, 3) {
                rows.flush().expect("flushed");
                rows.compact(&[range]);
            }
            kept.push((rows.snapshot(), model.clone()));
        }
        if kept.len() > 8 {
            kept.swap_remove(rng.below(8) as usize);
        }
        let (snapshot, model) = &kept[rng.below(kept.len() as u64) as usize];
        let expected: Vec<_> = model
            .iter()
            .map(|(key, (at, value))| (key.clone(), *at, value.clone()))
            .collect();
        assert_eq!(read_all(&**snapshot, &KeyRange::ALL, Direction::Forward), expected);
    }
    let mut value = Vec::new();
    for table in 0..=255 {
        rows.clear(&[KeyRange::prefix(&[0xff, 0xff, 0xff, table])])
            .expect("cleared");
    }
    for key in model.keys() {
        assert_eq!(rows.get(key, &mut value).expect("readable"), None);
    }
    let (snapshot, model) = kept.pop().expect("one at least");
    assert_eq!(
        read_all(&*snapshot, &KeyRange::ALL, Direction::Forward).len(),
        model.len()
    );
    assert!(read_all(&*rows.snapshot(), &KeyRange::ALL, Direction::Forward).is_empty());
}

/// Rows of a list.
struct Listed {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    next: usize,
    /// What it ends with.
    error: Option<Error>,
}

impl Listed {
    fn new(keys: impl Iterator<Item = u32>) -> Self {
        let rows = keys.map(|key| (key.to_be_bytes().to_vec(), vec![key as u8; 100]));
        Self {
            rows: rows.collect(),
            next: 0,
            error: None,
        }
    }
}

impl RisingRows for Listed {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.next += 1;
        match self.rows.get(self.next - 1) {
            Some((key, value)) => Ok(Some((key, value))),
            None => self.error.take().map_or(Ok(None), Err),
        }
    }
}

/// Rows that were ingested are like others: seen from then on, and changed, cleared and ingested behind others.
fn ingested_rows_are_like_others(rows: &dyn Rows, dir: &Path) {
    const PER_TABLE: u32 = 1 << 24;
    let count =
        |snapshot: &dyn Snapshot, table: u8| read_all(snapshot, &KeyRange::prefix(&[table]), Direction::Forward).len();
    let put = |index: u64, key: u32, value: Option<&[u8]>| {
        let key = key.to_be_bytes();
        let write = RowWrite {
            key: &key,
            timestamp: Timestamp(index),
            value,
        };
        let applied = Applied {
            index: LogIndex(index),
            ..Applied::default()
        };
        let batch = Batch {
            writes: vec![write],
            applied,
            ..Batch::default()
        };
        rows.apply(&batch).expect("applied");
    };
    put(1, 7, Some(b"old"));
    let before = rows.snapshot();
    let keys = PER_TABLE..PER_TABLE + 3_000;
    rows.ingest(dir, Timestamp(1), &mut Listed::new(keys.clone()))
        .expect("ingested");
    let after = rows.snapshot();
    assert_eq!(
        (count(&*before, 1), count(&*after, 1), count(&*after, 0)),
        (0, 3_000, 1)
    );
    let mut value = Vec::new();
    for key in [keys.start, keys.start + 1_234, keys.end - 1] {
        assert_eq!(
            rows.get(&key.to_be_bytes(), &mut value).expect("read"),
            Some(Timestamp(1))
        );
        assert_eq!(value, vec![key as u8; 100]);
    }
    put(2, PER_TABLE + 5, Some(b"changed"));
    put(3, PER_TABLE + 6, None);
    assert_eq!(
        rows.get(&(PER_TABLE + 5).to_be_bytes(), &mut value).expect("read"),
        Some(Timestamp(2))
    );
    assert_eq!(value, b"changed");
    assert_eq!(
        rows.get(&(PER_TABLE + 6).to_be_bytes(), &mut value).expect("read"),
        None
    );
    rows.ingest(dir, Timestamp(3), &mut Listed::new(keys.end..keys.end + 500))
        .expect("behind");
    assert_eq!((count(&*rows.snapshot(), 1), count(&*after, 1)), (3_499, 3_000));
    rows.clear(&[KeyRange::prefix(&[1])]).expect("cleared");
    assert_eq!((count(&*rows.snapshot(), 1), count(&*after, 1)), (0, 3_000));
    rows.ingest(dir, Timestamp(3), &mut Listed::new(keys.clone()))
        .expect("again");
    assert_eq!(
        (count(&*rows.snapshot(), 1), count(&*after, 1), count(&*before, 1)),
        (3_000, 3_000, 0)
    );
    rows.ingest(dir, Timestamp(3), &mut Listed::new(0..0)).expect("nothing");

    let falling = [2, 1].into_iter().map(|key| 2 * PER_TABLE + key);
    let error = rows
        .ingest(dir, Timestamp(3), &mut Listed::new(falling))
        .expect_err("they fall");
    assert_eq!(error.kind(), aion_base::ErrorKind::Internal);
    let mut ends = Listed::new(3 * PER_TABLE..3 * PER_TABLE + 10);
    ends.error = Some(Error::invalid(SqlState::BAD_COPY_FILE_FORMAT, "the source ends"));
    let error = rows.ingest(dir, Timestamp(3), &mut ends).expect_err("it ends");
    assert_eq!(error.state(), SqlState::BAD_COPY_FILE_FORMAT);
}

fn rocks(dir: &tempfile::TempDir) -> RocksRows {
    RocksRows::open(
        dir.path(),
        RocksOptions {
            memtable_bytes: 64 << 10,
            ..RocksOptions::default()
        },
    )
    .expect("opens")
}

#[test]
fn memory_rows() {
    suite(&MemoryRows::default(), false);
    notes_are_kept_until_forgotten(&MemoryRows::default());
    ingested_rows_are_like_others(&MemoryRows::default(), Path::new(""));
    let rows = MemoryRows::default();
    cleared_ranges_are_gone_for_later_snapshots_only(&rows);
    assert_eq!(rows.counts(), (0, 0), "keys and versions, once no snapshot is left");
}

#[test]
fn rocks_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    suite(&rocks(&dir), true);
    let dir = tempfile::tempdir().expect("a directory");
    notes_are_kept_until_forgotten(&rocks(&dir));
    let dir = tempfile::tempdir().expect("a directory");
    cleared_ranges_are_gone_for_later_snapshots_only(&rocks(&dir));
    let (dir, files) = (
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("another"),
    );
    ingested_rows_are_like_others(&rocks(&dir), files.path());
}

/// Memory does not grow with the number of overwrites, or with keys that came and went.
#[test]
fn memory_rows_forget_what_nobody_sees() {
    let rows = MemoryRows::default();
    for step in 1..=1_000u64 {
        let applied = Applied {
            index: LogIndex(step),
            ..Applied::default()
        };
        let passing = step.to_be_bytes();
        let before = (step - 1).to_be_bytes();
        let write = |key, value| RowWrite {
            key,
            timestamp: Timestamp(step),
            value,
        };
        let writes = vec![
            write(b"same", Some(b"x")),
            write(&passing, Some(b"y")),
            write(&before, None),
        ];
        rows.apply(&Batch {
            writes,
            applied,
            ..Batch::default()
        })
        .expect("applied");
        drop(rows.snapshot());
    }
    assert_eq!(rows.counts(), (2, 2), "keys and versions");
}

fn write_all(rows: &RocksRows, step: u64) {
    let keys: Vec<[u8; 8]> = (0..20_000_u64).map(u64::to_be_bytes).collect();
    // Other bytes in each row, which do not shrink.
    let mut rng = SeededRng::new(step);
    let values: Vec<Vec<u8>> = keys
        .iter()
        .map(|_| (0..25).flat_map(|_| rng.next_u64().to_be_bytes()).collect())
        .collect();
    let batch = Batch {
        writes: keys
            .iter()
            .zip(&values)
            .map(|(key, value)| RowWrite {
                key,
                timestamp: Timestamp(step),
                value: Some(value),
            })
            .collect(),
        applied: Applied {
            index: LogIndex(step),
            ..Applied::default()
        },
        ..Batch::default()
    };
    rows.apply(&batch).expect("applied");
    rows.flush().expect("flushed");
}

fn level0_files(rows: &RocksRows) -> u64 {
    rows.property(&rocksdb::properties::num_files_at_level(0))
}

/// After ten updates of each row twice the rows were on disk, and what had been read of files that were gone stayed in memory until the cache was
/// full: three gigabytes for a table of 24 megabytes.
#[test]
fn rows_at_rest_take_their_size_on_disk_and_in_the_cache() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = RocksOptions::default();
    let rows = RocksRows::open(dir.path(), options).expect("opens");
    write_all(&rows, 1);
    assert!(rows.settle().expect("settled"), "all of it lies in level 0");
    let fresh = rows.disk_bytes().expect("measured");
    let mut cached = Vec::new();
    for step in 2..=6 {
        write_all(&rows, step);
        assert_eq!(
            read_all(&*rows.snapshot(), &KeyRange::ALL, Direction::Forward).len(),
            20_000
        );
        if step % 3 == 0 {
            assert!(rows.settle().expect("settled"));
            assert!(!rows.settle().expect("settled"), "there is nothing left to do");
            assert_eq!(level0_files(&rows), 0);
        }
        let signals = rows.signals().expect("measured").expect("they say");
        cached.push(signals.block_cache_used_bytes);
    }
    let disk = rows.disk_bytes().expect("measured");
    assert!(disk < fresh * 11 / 10, "{disk} bytes, {fresh} when they were fresh");
    let last = cached.last().expect("measured");
    assert!(*last < fresh * 3 / 2, "cached: {cached:?} bytes of {fresh}");
    assert_eq!(
        read_all(&*rows.snapshot(), &KeyRange::ALL, Direction::Backward).len(),
        20_000
    );
}

/// To merge little into much is work for nothing.
#[test]
fn a_little_that_is_new_is_left_in_level_0() {
    let dir = tempfile::tempdir().expect("a directory");
    let rows = RocksRows::open(dir.path(), RocksOptions::default()).expect("opens");
    write_all(&rows, 1);
    assert!(rows.settle().expect("settled"));
    let batch = Batch {
        writes: vec![RowWrite {
            key: b"a",
            timestamp: Timestamp(2),
            value: Some(b"b"),
        }],
        applied: Applied {
            index: LogIndex(2),
            ..Applied::default()
        },
        ..Batch::default()
    };
    rows.apply(&batch).expect("applied");
    rows.flush().expect("flushed");
    assert!(!rows.settle().expect("looked at"));
    assert_eq!(level0_files(&rows), 1);
}
