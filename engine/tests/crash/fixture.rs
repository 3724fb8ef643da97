//! A data directory of format 1, frozen: today's code must read it, to the byte, for ever.
//!
//! `fixtures/format-1.tar.gz` is what a process that ends without closing leaves: rows that were flushed, and behind them
//! a log that must be replayed. It was written once, by [`write_fixture`], and is not written again: the test that reads
//! it is what "the format is frozen" means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aion_base::clock::ManualClock;
use aion_base::id::{LogIndex, Timestamp, TxnId};
use aion_base::{KeyRange, SqlState};
use aion_storage::{
    Change, Check, Commit, Direction, Isolation, Outcome, Precondition, Reason, Replicator, Store, StoreOptions,
};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::directory::{copy, files, wait_for_mark};

const FIXTURE: &str = "fixtures/format-1.tar.gz";
/// 2020-01-01: the clock of the fixture stands still, so commit times rise by a microsecond from commit to commit.
const CLOCK_MICROS: u64 = 1_577_836_800_000_000;
const WINDOW_BYTES: u64 = 16 << 20;

type Content = BTreeMap<Vec<u8>, (Timestamp, Vec<u8>)>;

fn options() -> StoreOptions {
    let mut options = StoreOptions {
        clock: Arc::new(ManualClock::at(CLOCK_MICROS)),
        window_bytes: WINDOW_BYTES,
        ..StoreOptions::default()
    };
    options.log.segment_bytes = 64 << 10;
    options
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE)
}

/// The transactions of the fixture, with what became of each. `flush` stands for a flush of the rows.
fn transactions() -> Vec<(Commit, Option<Reason>)> {
    let mut all = Vec::new();
    let mut add = |txn: u128, read_point: u64, fill: &dyn Fn(&mut Commit), reason| {
        let mut commit = Commit::new(TxnId(txn), LogIndex(read_point));
        fill(&mut commit);
        all.push((commit, reason));
    };
    // Entry 1: inserts, an empty value, a key with zeros.
    add(
        1,
        0,
        &|commit| {
            commit.write(*b"a", Change::Insert(b"one".to_vec()));
            commit.write(*b"b", Change::Insert(Vec::new()));
            commit.write(*b"c\0\0\xFF", Change::Put(vec![0; 100]));
        },
        None,
    );
    // Entry 2: another isolation, ranges and preconditions that hold.
    add(
        u128::MAX,
        1,
        &|commit| {
            commit.isolation = Isolation::RepeatableRead;
            commit.read_ranges.push(KeyRange::prefix(b"x"));
            commit.read_ranges.push(KeyRange::new(b"y".to_vec(), None));
            let checks = [
                Check::Absent(b"z".to_vec()),
                Check::Exists(b"a".to_vec()),
                Check::Empty(KeyRange::prefix(b"z")),
                Check::Unchanged(KeyRange::point(b"a")),
            ];
            commit.preconditions = checks
                .map(|check| Precondition {
                    read_point: LogIndex(1),
                    check,
                })
                .to_vec();
            commit.write(*b"b", Change::Put(b"two".to_vec()));
            commit.write(*b"c\0\0\xFF", Change::Delete);
        },
        None,
    );
    // Entry 3: rejected, a duplicate. Its note is flushed with the rows.
    add(
        3,
        1,
        &|commit| {
            commit.write(*b"d", Change::Put(b"never".to_vec()));
            commit.write(*b"b", Change::Insert(b"never".to_vec()));
        },
        Some(Reason::Duplicate),
    );
    // Entries 4 to 6: staged. Flushed.
    add(4, 3, &|commit| staged(commit, b's', 4), None);
    // Flushed up to here; the rest is in the log only. Entry 7: rejected, what it read was changed.
    add(
        7,
        1,
        &|commit| {
            commit.read_ranges.push(KeyRange::point(b"b"));
            commit.write(*b"e", Change::Put(b"never".to_vec()));
        },
        Some(Reason::Changed),
    );
    // Entries 8 to 10: staged, replayed.
    add(8, 7, &|commit| staged(commit, b't', 8), None);
    // Entry 11: overwrites what was flushed, and deletes.
    add(
        11,
        10,
        &|commit| {
            commit.write(*b"a", Change::Put(b"eleven".to_vec()));
            commit.write(*b"b", Change::Delete);
            commit.write([0xFF; 40], Change::Insert(b"last".to_vec()));
        },
        None,
    );
    all
}

const FLUSH_AFTER: usize = 4;
const STAGED_ROWS: u32 = 10;

/// Rows that do not fit into one entry: 5 MB that compress well.
fn staged(commit: &mut Commit, table: u8, fill: u8) {
    for number in 0..STAGED_ROWS {
        let mut key = vec![table];
        key.extend_from_slice(&number.to_be_bytes());
        commit.write(key, Change::Insert(vec![fill; 500_000]));
    }
}

/// What must be there, written down rather than computed by the code under test.
fn wanted() -> Content {
    let at = |order: u64| Timestamp(CLOCK_MICROS + order);
    let mut content = Content::new();
    content.insert(b"a".to_vec(), (at(6), b"eleven".to_vec()));
    content.insert(vec![0xFF; 40], (at(6), b"last".to_vec()));
    for (table, fill, order) in [(b's', 4, 3), (b't', 8, 5)] {
        for number in 0..STAGED_ROWS {
            let mut key = vec![table];
            key.extend_from_slice(&number.to_be_bytes());
            content.insert(key, (at(order), vec![fill; 500_000]));
        }
    }
    content
}

fn wanted_outcomes() -> Vec<(u128, Outcome)> {
    let committed = |index, order| Outcome::Committed {
        index: LogIndex(index),
        timestamp: Timestamp(CLOCK_MICROS + order),
    };
    let rejected = |reason, key: &[u8]| {
        Outcome::Rejected(aion_storage::Rejection {
            reason,
            key: key.to_vec(),
        })
    };
    vec![
        (1, committed(1, 0)),
        (u128::MAX, committed(2, 1)),
        (3, rejected(Reason::Duplicate, b"b")),
        (4, committed(6, 3)),
        (7, rejected(Reason::Changed, b"b")),
        (8, committed(10, 5)),
        (11, committed(11, 6)),
    ]
}

fn content(store: &Store) -> Content {
    let mut content = Content::new();
    let mut scan = store.snapshot().scan(&KeyRange::ALL, Direction::Forward);
    while scan.advance().expect("readable") {
        content.insert(scan.key().to_vec(), (scan.timestamp(), scan.value().to_vec()));
    }
    content
}

fn unpack(to: &Path) {
    let file = std::fs::File::open(path()).expect("the fixture is there; AION_BLESS=1 writes one that is missing");
    tar::Archive::new(GzDecoder::new(file)).unpack(to).expect("unpacked");
}

/// Writes the fixture where it is missing. A store that is open and idle has on disk what a kill would leave, so
/// copying its files is as good as killing it; a lock is not copied.
fn write_fixture() {
    let dir = tempfile::tempdir().expect("a directory");
    let (live, image) = (dir.path().join("live"), dir.path().join("image"));
    let store = Store::open(&live, options()).expect("opens");
    for (at, (commit, reason)) in transactions().into_iter().enumerate() {
        if at == FLUSH_AFTER {
            store.flush().expect("flushes");
        }
        let outcome = store.propose(commit).expect("taken").wait().expect("answered");
        let found = match outcome {
            Outcome::Committed { .. } => None,
            Outcome::Rejected(rejection) => Some(rejection.reason),
        };
        assert_eq!(found, reason, "transaction {at}");
    }
    wait_for_mark(&live);
    copy(&live, &image);
    store.close().expect("closes");
    let file = std::fs::File::create(path()).expect("created");
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    for name in files(&image) {
        // RocksDB's own diary, with paths of the machine in it, and a lock that names a process.
        if name != Path::new("LOCK") && !name.starts_with("data/LOG") && name != Path::new("data/LOCK") {
            archive.append_path_with_name(image.join(&name), &name).expect("packed");
        }
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("written");
}

#[test]
fn format_1_is_read() {
    if !path().exists() && std::env::var_os("AION_BLESS").is_some() {
        write_fixture();
    }
    let dir = tempfile::tempdir().expect("a directory");
    unpack(dir.path());
    // Twice: after the first time it is a directory that today's code has written to.
    for replayed in [5, 0] {
        let store = Store::open(dir.path(), options()).expect("opens");
        assert_eq!(store.counters().replayed.load(Ordering::Relaxed), replayed);
        assert!(content(&store) == wanted(), "the rows of the fixture");
        for (txn, outcome) in wanted_outcomes() {
            assert_eq!(store.outcome(TxnId(txn)), Some(outcome), "transaction {txn}");
        }
        let read_point = store.snapshot().read_point().expect("readable");
        assert_eq!(read_point.index, LogIndex(11));
        store.close().expect("closes");
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    unpack(dir.path());
    let body = format!("aion data directory\nformat 2\nwindow_bytes {WINDOW_BYTES}\nof the future yes\n");
    let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
    std::fs::write(dir.path().join("FORMAT"), &text).expect("written");
    let image = || -> Vec<(PathBuf, Vec<u8>)> {
        files(dir.path())
            .into_iter()
            .filter(|file| file != Path::new("LOCK"))
            .map(|file| (file.clone(), std::fs::read(dir.path().join(file)).expect("readable")))
            .collect()
    };
    let before = image();
    let error = Store::open(dir.path(), options()).expect_err("a newer format");
    assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED, "0A000");
    assert!(error.message().contains("has format 2"), "{error}");
    assert!(error.message().contains(&*dir.path().to_string_lossy()), "{error}");
    assert!(image() == before, "something was changed");
}
