//! Cleared ranges stay cleared, for everybody but snapshots of before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aion_base::files::PowerCutFiles;
use aion_base::id::TableId;
use aion_base::range::KeyRange;

use super::super::tests::{begin, commit, content, image, open, reason, small};
use crate::commit::Change;
use crate::rows::{Direction, Rows, Snapshot};
use crate::store::{Store, StoreOptions};

fn key(table: u32, row: u32) -> Vec<u8> {
    [table.to_be_bytes(), row.to_be_bytes()].concat()
}

/// Commits of 1000 rows each.
fn fill(store: &Store, table: u32, rows: u32) {
    for first in (0..rows).step_by(1_000) {
        let mut next = begin(store, (u128::from(table) << 64) | u128::from(first));
        for row in first..rows.min(first + 1_000) {
            next.write(key(table, row), Change::Put(row.to_be_bytes().to_vec()));
        }
        assert_eq!(reason(&commit(store, next)), None);
    }
}

fn count(snapshot: &dyn Snapshot, table: u32) -> usize {
    let mut scan = snapshot.scan(&KeyRange::table(TableId(table)), Direction::Forward);
    let mut count = 0;
    while scan.advance().expect("readable") {
        count += 1;
    }
    count
}

fn large_window() -> StoreOptions {
    StoreOptions {
        window_bytes: 16 << 20,
        ..small()
    }
}

/// A table of 200 000 rows is cleared while a snapshot is open and another table is written.
fn clears_beside_readers_and_writers(store: &Store) {
    const ROWS: u32 = 200_000;
    fill(store, 7, ROWS);
    fill(store, 6, 10);
    fill(store, 8, 10);
    let before = store.snapshot();
    let mut open_scan = before.scan(&KeyRange::table(TableId(7)), Direction::Forward);
    assert!(open_scan.advance().expect("readable"));
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut row = 10;
            while !stop.load(Ordering::Relaxed) || row == 10 {
                let mut next = begin(store, (1 << 100) | u128::from(row));
                next.write(key(8, row), Change::Insert(vec![1]));
                assert_eq!(reason(&commit(store, next)), None);
                row += 1;
            }
            row as usize
        });
        store.clear(&[KeyRange::table(TableId(7))]).expect("cleared");
        assert_eq!(count(&*store.snapshot(), 7), 0);
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("no panic")
    });
    assert_eq!(count(&*before, 7), ROWS as usize, "a snapshot of before sees them all");
    let mut rest = 1;
    while open_scan.advance().expect("readable") {
        rest += 1;
    }
    assert_eq!(rest, ROWS, "and so does a scan that had begun");
    drop((before, open_scan));
    let now = store.snapshot();
    assert_eq!([count(&*now, 6), count(&*now, 7), count(&*now, 8)], [10, 0, written]);
    store.clear(&[KeyRange::table(TableId(7))]).expect("cleared again");
    store.clear(&[]).expect("nothing to clear");
}

#[test]
fn a_large_range_is_cleared_beside_readers_and_writers() {
    clears_beside_readers_and_writers(&Store::in_memory(&large_window()));
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path(), large_window()).expect("opens");
    clears_beside_readers_and_writers(&store);
    let wanted = content(&store);
    store.close().expect("closes");
    let store = Store::open(dir.path(), large_window()).expect("opens");
    assert!(content(&store) == wanted);
}

#[test]
fn the_disk_is_given_back_once_no_snapshot_sees_the_keys() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path(), large_window()).expect("opens");
    fill(&store, 7, 100_000);
    fill(&store, 8, 1_000);
    let full = store.disk_bytes().expect("measured");
    store.clear(&[KeyRange::table(TableId(7))]).expect("cleared");
    let left = store.disk_bytes().expect("measured");
    assert!(left * 20 < full, "{left} of {full} bytes are left");
}

fn through_power_cuts(seed: u64) -> StoreOptions {
    StoreOptions {
        files: Arc::new(PowerCutFiles::new(seed)),
        ..large_window()
    }
}

/// Kills at each step of a sweep, with the power cut for the log: after the note was committed, after the removal and before it is durable, after the clearing and before
/// the note went. At each the next process finds the note, and clears; entries of the range that the log still has
/// do not come back.
#[test]
fn a_kill_at_any_step_of_a_sweep_is_mended_by_clearing_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let images = tempfile::tempdir().expect("a directory");
    // A window that keeps all of the log: a replay from too early would find every row.
    let store = Store::open(dir.path(), through_power_cuts(1)).expect("opens");
    let dropped = [KeyRange::table(TableId(7))];
    fill(&store, 7, 5_000);
    fill(&store, 8, 10);
    let mut drop_it = begin(&store, 1);
    drop_it.write(*b"note", Change::Insert(b"7".to_vec()));
    assert_eq!(reason(&commit(&store, drop_it)), None);
    image(dir.path(), &images.path().join("noted"));
    store.rows.clear(&dropped).expect("removed");
    image(dir.path(), &images.path().join("removed"));
    store.clear(&dropped).expect("cleared");
    image(dir.path(), &images.path().join("cleared"));
    fill(&store, 9, 20);
    image(dir.path(), &images.path().join("cleared and more"));

    for (step, rows_left) in [
        ("noted", 5_000),
        ("removed", 5_000),
        ("cleared", 0),
        ("cleared and more", 0),
    ] {
        let path = images.path().join(step);
        for round in 0..2 {
            let store = Store::open(&path, through_power_cuts(2)).expect("opens");
            let rows_left = if round == 0 { rows_left } else { 0 };
            assert_eq!(count(&*store.snapshot(), 7), rows_left, "{step}, round {round}");
            assert!(count(&*store.snapshot(), 8) >= 10, "{step}");
            assert_eq!(super::super::tests::get(&store, b"note"), Some(b"7".to_vec()), "{step}");
            store.clear(&dropped).expect("cleared");
            assert_eq!(count(&*store.snapshot(), 7), 0, "{step}");
            image(&path, &images.path().join(format!("{step} again {round}")));
        }
        let again = images.path().join(format!("{step} again 0"));
        let again = Store::open(&again, through_power_cuts(3)).expect("opens");
        assert_eq!(count(&*again.snapshot(), 7), 0, "{step}");
    }
}

/// What is cleared in a store is cleared in the clone of it, too.
#[test]
fn a_clone_holds_no_cleared_range() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Arc::new(open(&dir));
    fill(&store, 7, 100);
    fill(&store, 8, 100);
    store.clear(&[KeyRange::table(TableId(7))]).expect("cleared");
    let path = dir.path().join("clone");
    store.clone_to(&path).expect("a clone");
    let clone = Store::open(&path, small()).expect("opens");
    assert_eq!([count(&*clone.snapshot(), 7), count(&*clone.snapshot(), 8)], [0, 100]);
}
