//! What a store answers, keeps over restarts, and refuses.

use std::io;

use aion_base::clock::ManualClock;
use aion_base::files::{Files, Open, OsFiles, read_all};
use aion_base::range::KeyRange;
use aion_base::rng::SeededRng;

use super::*;
use crate::commit::{Change, Reason};
use crate::rows::Direction;

pub(super) fn small() -> StoreOptions {
    StoreOptions {
        log: LogOptions {
            segment_bytes: 64 << 10,
            spare_segments_max: 2,
        },
        window_bytes: 64 << 10,
        on_fatal: Arc::new(|error| panic!("fatal: {error}")),
        ..StoreOptions::default()
    }
}

pub(super) fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path(), small()).expect("opens")
}

pub(super) fn begin(store: &Store, txn: u128) -> Commit {
    Commit::new(TxnId(txn), store.snapshot().read_point().expect("a read point").index)
}

pub(super) fn commit(store: &Store, commit: Commit) -> Outcome {
    store.propose(commit).expect("queued").wait().expect("answered")
}

pub(super) fn reason(outcome: &Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Committed { .. } => None,
        Outcome::Rejected(rejection) => Some(rejection.reason),
    }
}

pub(super) fn get(store: &Store, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    store.snapshot().get(key, &mut value).expect("readable").map(|_| value)
}

pub(super) fn content(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut scan = store.snapshot().scan(&KeyRange::ALL, Direction::Forward);
    let mut found = Vec::new();
    while scan.advance().expect("readable") {
        found.push((scan.key().to_vec(), scan.value().to_vec()));
    }
    found
}

const PARTS: [&str; 3] = ["", "data", "log"];

fn names(dir: &Path) -> Vec<Vec<String>> {
    PARTS.map(|part| OsFiles.list(&dir.join(part)).expect("names")).to_vec()
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for (part, names) in PARTS.iter().zip(names(from)) {
        OsFiles.create_dir_all(&to.join(part))?;
        for name in names {
            let bytes = read_all(&*OsFiles.open(&from.join(part).join(&name), Open::ReadOnly)?)?;
            OsFiles
                .open(&to.join(part).join(&name), Open::New)?
                .write_at(&bytes, 0)?;
        }
    }
    Ok(())
}

/// What a kill at this moment leaves to the next process; of files that forget what was not synced, what a power cut leaves. A kill is one
/// moment, and RocksDB removes files in the background: a copy counts if no name came or went meanwhile.
pub(super) fn image(from: &Path, to: &Path) {
    loop {
        let before = names(from);
        match copy(from, to) {
            Ok(()) if names(from) == before => return,
            Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
            _ => OsFiles.remove_dir_all(to).expect("removed"),
        }
    }
}

#[test]
fn a_clone_is_a_store_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir);
    // Enough that the log was purged and its window moved on: the clone's log does not begin with entry 1.
    for txn in 1..200_u128 {
        let mut next = begin(&store, txn);
        next.write(
            format!("key {:03}", txn % 50).into_bytes(),
            Change::Put(vec![txn as u8; 2_000]),
        );
        assert_eq!(reason(&commit(&store, next)), None);
    }
    let mut refused = Commit::new(TxnId(1_000), LogIndex(1));
    refused.write(*b"late", Change::Put(b"x".to_vec()));
    commit(&store, refused);
    let before = content(&store);
    let clone_path = dir.path().join("clone");
    let index = store.clone_to(&clone_path).expect("a clone");
    assert_eq!(index, store.snapshot().read_point().expect("a read point").index);
    // Neither sees what the other does from now on.
    let mut more = begin(&store, 2_000);
    more.write(*b"key 001", Change::Delete);
    commit(&store, more);
    for round in 0..2_u128 {
        let clone = Store::open(&clone_path, small()).expect("the clone opens");
        let point = clone.snapshot().read_point().expect("a read point").index;
        assert_eq!(point, LogIndex(index.0 + round as u64));
        let mut own = begin(&clone, 3_000 + round);
        own.write(format!("own {round}").into_bytes(), Change::Insert(b"1".to_vec()));
        assert_eq!(reason(&commit(&clone, own)), None);
        let mut after = content(&clone);
        after.retain(|(key, _)| !key.starts_with(b"own"));
        assert_eq!(after, before);
        clone.close().expect("closed");
    }
    assert_eq!(get(&store, b"key 001"), None);
    assert_eq!(get(&store, b"own 0"), None);
    // Not over another.
    let error = store.clone_to(&clone_path).expect_err("it is there");
    assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
    store.close().expect("closed");
    let memory = Store::in_memory(&small());
    let error = memory.clone_to(&dir.path().join("other")).expect_err("in memory");
    assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED);
}

/// A clone taken while four threads commit holds exactly a prefix of what they did.
#[test]
fn a_clone_taken_among_commits_is_a_moment() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Arc::new(open(&dir));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..4_u64 {
            let (store, stop) = (store.clone(), &stop);
            scope.spawn(move || {
                let mut count = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    let txn = (u128::from(writer + 1) << 64) | u128::from(count);
                    let mut next = begin(&store, txn);
                    // Two keys that always say the same.
                    for half in ["a", "b"] {
                        let key = format!("{writer} {half}").into_bytes();
                        next.write(key, Change::Put(count.to_le_bytes().to_vec()));
                    }
                    commit(&store, next);
                }
            });
        }
        for round in 0..5 {
            let path = dir.path().join(format!("clone {round}"));
            let index = store.clone_to(&path).expect("a clone");
            let clone = Store::open(&path, small()).expect("the clone opens");
            assert_eq!(clone.snapshot().read_point().expect("a read point").index, index);
            for pair in content(&clone).chunks(2) {
                assert_eq!(pair[0].1, pair[1].1, "half of a commit");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// The behaviour that both kinds of store share.
fn suite(store: &Store) {
    let mut first = begin(store, 1);
    first.write(*b"a", Change::Insert(b"1".to_vec()));
    first.write(*b"b", Change::Put(b"2".to_vec()));
    let before = store.snapshot();
    let outcome = commit(store, first.clone());
    assert_eq!(reason(&outcome), None);
    assert_eq!(get(store, b"a"), Some(b"1".to_vec()));
    assert_eq!(
        before.get(b"a", &mut Vec::new()).expect("readable"),
        None,
        "a snapshot does not move"
    );
    let Outcome::Committed { timestamp, index } = outcome.clone() else {
        panic!("committed")
    };
    assert_eq!(
        store.snapshot().read_point().expect("a read point"),
        crate::rows::ReadPoint { index, timestamp }
    );

    // The same transaction again: the same answer, no second effect.
    assert_eq!(commit(store, first), outcome);
    assert_eq!(store.outcome(TxnId(1)), Some(outcome));
    assert_eq!(store.outcome(TxnId(99)), None);

    // Two inserts of one key.
    let (mut left, mut right) = (begin(store, 2), begin(store, 3));
    left.write(*b"c", Change::Insert(b"left".to_vec()));
    right.write(*b"c", Change::Insert(b"right".to_vec()));
    right.write(*b"d", Change::Put(b"right".to_vec()));
    assert_eq!(reason(&commit(store, left)), None);
    assert_eq!(reason(&commit(store, right)), Some(Reason::Duplicate));
    assert_eq!((get(store, b"c"), get(store, b"d")), (Some(b"left".to_vec()), None));

    // Write skew: each reads what the other writes.
    let (mut left, mut right) = (begin(store, 4), begin(store, 5));
    left.read_ranges.push(KeyRange::point(b"a"));
    left.write(*b"b", Change::Put(b"left".to_vec()));
    right.read_ranges.push(KeyRange::point(b"b"));
    right.write(*b"a", Change::Put(b"right".to_vec()));
    assert_eq!(reason(&commit(store, left)), None);
    assert_eq!(reason(&commit(store, right)), Some(Reason::Changed));

    // A phantom: a row appears in a range that was read and found empty.
    let (mut reader, mut writer) = (begin(store, 6), begin(store, 7));
    reader.read_ranges.push(KeyRange::prefix(b"room"));
    reader.write(*b"room1", Change::Insert(b"reader".to_vec()));
    writer.write(*b"room2", Change::Insert(b"writer".to_vec()));
    assert_eq!(reason(&commit(store, writer)), None);
    assert_eq!(reason(&commit(store, reader)), Some(Reason::Changed));

    let mut delete = begin(store, 8);
    delete.write(*b"a", Change::Delete);
    assert_eq!(reason(&commit(store, delete)), None);
    assert_eq!(get(store, b"a"), None);
}

#[test]
fn a_store_in_memory() {
    suite(&Store::in_memory(&small()));
}

#[test]
fn a_durable_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir);
    suite(&store);
    let wanted = content(&store);
    let outcome = store.outcome(TxnId(3));
    assert!(outcome.is_some());
    store.close().expect("closes");
    let store = open(&dir);
    assert_eq!(content(&store), wanted);
    assert_eq!(store.outcome(TxnId(3)), outcome, "rejections are remembered too");
    assert!(store.outcome(TxnId(1)).is_some());
}

/// What is left of a burst is merged once little comes any more.
#[test]
fn a_store_comes_to_rest() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = StoreOptions {
        flush_interval: Duration::from_millis(50),
        ..small()
    };
    let store = Store::open(dir.path(), options).expect("opens");
    for round in 0..3_u8 {
        let mut change = begin(&store, u128::from(round) + 1);
        for key in 0..200_u32 {
            change.write(key.to_be_bytes(), Change::Put(vec![round; 100]));
        }
        assert_eq!(reason(&commit(&store, change)), None);
        store.flush().expect("flushed");
    }
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    // Three files of level 0 are not enough for RocksDB.
    while store.signals().expect("measured").expect("they say").compacted_bytes == 0 {
        assert!(
            clock.monotonic() - begun < Duration::from_secs(60),
            "the first level is never merged"
        );
        std::thread::yield_now();
    }
    assert_eq!(get(&store, &7_u32.to_be_bytes()), Some(vec![2; 100]));
}

#[test]
fn commit_times_rise_when_the_clock_stands_or_goes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut last = Timestamp(0);
    for clock in [5_000, 5_000, 1] {
        let options = StoreOptions {
            clock: Arc::new(ManualClock::at(clock)),
            ..small()
        };
        let store = Store::open(dir.path(), options).expect("opens");
        for _ in 0..3 {
            let mut next = begin(&store, u128::from(last.0) << 20 | u128::from(clock));
            next.write(*b"k", Change::Put(vec![]));
            let Outcome::Committed { timestamp, .. } = commit(&store, next) else {
                panic!("committed")
            };
            assert!(timestamp > last);
            last = timestamp;
        }
    }
}

/// Random transactions against a plain map; restarts with and without a flush; old log given up on the way.
#[test]
fn restarts_keep_everything_and_the_log_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut rng = SeededRng::new(3);
    let mut model = std::collections::BTreeMap::new();
    let mut first_index = LogIndex(1);
    for round in 0..8u128 {
        let store = open(&dir);
        assert!(content(&store).into_iter().eq(model.clone()), "round {round}");
        for number in 0..150u128 {
            let mut next = begin(&store, (round << 64) | number);
            for _ in 0..1 + rng.below(5) {
                let key = vec![rng.below(200) as u8];
                if next.writes.iter().any(|write| write.key == key) {
                    continue;
                }
                let value = vec![rng.below(256) as u8; rng.below(400) as usize];
                let is_new = !model.contains_key(&key);
                let change = match rng.below(3) {
                    0 => Change::Delete,
                    1 if is_new => Change::Insert(value),
                    _ => Change::Put(value),
                };
                next.write(key, change);
            }
            for write in &next.writes {
                match &write.change {
                    Change::Delete => drop(model.remove(&write.key)),
                    Change::Put(value) | Change::Insert(value) => drop(model.insert(write.key.clone(), value.clone())),
                }
            }
            assert_eq!(reason(&commit(&store, next)), None);
            if rng.chance(1, 60) {
                store.flush().expect("flushes");
            }
        }
        store.close().expect("closes");
        let log = Log::open(Arc::new(OsFiles), &dir.path().join("log"), small().log).expect("opens");
        assert!(log.first_index() >= first_index);
        first_index = log.first_index();
        log.close().expect("closes");
    }
    assert!(
        first_index > LogIndex(500),
        "old segments are gone: the log begins at {first_index}"
    );
}

#[test]
fn a_transaction_larger_than_an_entry_is_staged_and_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || StoreOptions {
        window_bytes: 64 << 20,
        ..small()
    };
    let store = Store::open(dir.path(), options()).expect("opens");
    let mut concurrent = begin(&store, 2);
    let mut large = begin(&store, 1);
    for number in 0..30_000u32 {
        large.write(number.to_be_bytes(), Change::Insert(vec![number as u8; 300]));
    }
    assert_eq!(reason(&commit(&store, large)), None);
    assert_eq!(content(&store).len(), 30_000);
    concurrent.write(7u32.to_be_bytes(), Change::Insert(vec![]));
    assert_eq!(
        reason(&commit(&store, concurrent.clone())),
        Some(Reason::Changed),
        "the span cannot tell: try again"
    );
    store.close().expect("closes");

    let store = Store::open(dir.path(), options()).expect("opens");
    assert_eq!(content(&store).len(), 30_000);
    concurrent.txn = TxnId(3);
    assert_eq!(
        reason(&commit(&store, concurrent)),
        Some(Reason::Changed),
        "the rebuilt window knows the span"
    );
}

#[test]
fn a_transaction_beyond_the_limit_is_refused_whole() {
    let store = Store::in_memory(&StoreOptions {
        transaction_bytes_max: 1_000,
        ..small()
    });
    let mut large = begin(&store, 1);
    (0..20u8).for_each(|number| large.write([number], Change::Put(vec![0; 100])));
    let error = store.propose(large).expect_err("too large");
    assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    assert!(content(&store).is_empty());
}

/// A writer that tried such a transaction again and again never ended: its own stages pushed the window's floor above
/// its read point, so each time the answer was "too old, try again".
#[test]
fn a_transaction_larger_than_the_window_is_refused_for_its_size() {
    let window_bytes = 4 << 20;
    let options = || StoreOptions {
        window_bytes,
        ..small()
    };
    let dir = tempfile::tempdir().expect("a directory");
    for store in [
        Store::in_memory(&options()),
        Store::open(dir.path(), options()).expect("opens"),
    ] {
        let of_rows = |txn, rows: u8| {
            let mut large = begin(&store, txn);
            (0..rows).for_each(|number| large.write([number], Change::Put(vec![0; 1 << 20])));
            large
        };
        let error = store.propose(of_rows(1, 4)).expect_err("larger than the window");
        assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
        assert_eq!(reason(&commit(&store, of_rows(2, 3))), None, "just below it");
        assert_eq!(reason(&commit(&store, of_rows(3, 3))), None, "and again");
    }
}

#[test]
fn a_directory_that_is_open_names_its_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir);
    store.describe("Connect with: psql -p 5433").expect("written");
    let error = Store::open(dir.path(), small()).expect_err("in use");
    assert_eq!(error.state(), SqlState::OBJECT_IN_USE);
    assert!(
        error.message().contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    assert_eq!(error.hint(), Some("Connect with: psql -p 5433"));
}

#[test]
fn a_log_that_is_gone_is_missed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir);
    suite(&store);
    store.close().expect("closes");
    let log = dir.path().join("log");
    for name in OsFiles.list(&log).expect("names") {
        OsFiles.remove(&log.join(name)).expect("removed");
    }
    let error = Store::open(dir.path(), small()).expect_err("a log without its entries");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("log"), "{error}");
}

/// RocksDB takes a MANIFEST that ends early for one whose last write was cut short, opens what is left, and deletes every
/// file that is not in it: one flipped bit in the length of a record, and a refused open had removed all rows, while its
/// message said that nothing was changed.
#[test]
fn a_manifest_that_ends_early_is_refused_before_anything_is_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir);
    for number in 0..400u128 {
        let mut next = begin(&store, number);
        next.write((number as u64).to_be_bytes(), Change::Put(vec![number as u8; 1_000]));
        assert_eq!(reason(&commit(&store, next)), None);
        if number % 100 == 99 {
            store.flush().expect("flushes");
        }
    }
    let wanted = content(&store);
    store.close().expect("closes");

    let data = dir.path().join("data");
    let rows_files = || -> Vec<String> {
        let names = OsFiles.list(&data).expect("names");
        let kept = |name: &String| name.ends_with(".sst") || name.starts_with("MANIFEST");
        names.into_iter().filter(kept).collect()
    };
    let before = rows_files();
    let manifest = data.join(
        before
            .iter()
            .find(|name| name.starts_with("MANIFEST"))
            .expect("a MANIFEST"),
    );
    let put = |bytes: &[u8]| {
        OsFiles.remove(&manifest).expect("removed");
        let file = OsFiles.open(&manifest, aion_base::files::Open::New).expect("made");
        file.write_at(bytes, 0).expect("written");
    };
    let bytes = OsFiles
        .open(&manifest, aion_base::files::Open::Existing)
        .and_then(|file| aion_base::files::read_all(&*file))
        .expect("readable");
    let mut missed = 0;
    for length in (0..bytes.len()).step_by(16) {
        put(&bytes[..length]);
        let error = match Store::open(dir.path(), small()) {
            // The last records may say nothing that matters; but then RocksDB has begun a new MANIFEST.
            Ok(store) => {
                assert!(content(&store) == wanted, "cut at {length}");
                break;
            }
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {length}: {error}");
        assert!(
            error.message().contains(&*dir.path().to_string_lossy()),
            "cut at {length}: {error}"
        );
        assert_eq!(rows_files(), before, "cut at {length}: {error}");
        missed += usize::from(error.message().contains("hold only what is up to"));
    }
    assert!(missed > 0, "no cut was taken for a torn write");
    let is_restored = rows_files() == before;
    if is_restored {
        put(&bytes);
    }
    assert!(content(&open(&dir)) == wanted);
}

/// Threads that move money between accounts while others sum it up: the sum never changes.
#[test]
fn concurrent_transfers_keep_the_sum() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir);
    let mut setup = begin(&store, 1);
    (0..10u8).for_each(|account| setup.write([account], Change::Put(vec![100])));
    assert_eq!(reason(&commit(&store, setup)), None);
    let committed: u32 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4u128)
            .map(|worker| {
                let store = &store;
                scope.spawn(move || {
                    let mut rng = SeededRng::new(worker as u64);
                    let mut committed = 0;
                    for number in 0..150u128 {
                        let snapshot = store.snapshot();
                        let sum: u32 = content(store).iter().map(|(_, value)| u32::from(value[0])).sum();
                        assert_eq!(sum, 1_000);
                        let read_point = snapshot.read_point().expect("a read point").index;
                        let mut next = Commit::new(TxnId((worker + 2) << 32 | number), read_point);
                        let (from, to) = (rng.below(10) as u8, rng.below(10) as u8);
                        if from == to {
                            continue;
                        }
                        let mut value = Vec::new();
                        for (account, is_from) in [(from, true), (to, false)] {
                            snapshot.get(&[account], &mut value).expect("readable");
                            next.read_ranges.push(KeyRange::point(&[account]));
                            let Some(moved) = (if is_from {
                                value[0].checked_sub(1)
                            } else {
                                value[0].checked_add(1)
                            }) else {
                                next.writes.clear();
                                break;
                            };
                            next.write([account], Change::Put(vec![moved]));
                        }
                        committed += u32::from(reason(&commit(store, next)).is_none());
                    }
                    committed
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
    });
    assert!(committed > 100, "{committed} committed");
    assert_eq!(
        content(&store)
            .iter()
            .map(|(_, value)| u32::from(value[0]))
            .sum::<u32>(),
        1_000
    );
}
