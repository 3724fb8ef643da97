//! The past of a store: through kills and power cuts, beside writers, and with a clock that moves.

use std::collections::BTreeMap;

use aion_base::clock::ManualClock;
use aion_base::files::PowerCutFiles;
use aion_base::rng::SeededRng;

use super::super::tests::{begin, commit, image, reason, small};
use super::*;
use crate::commit::Change;
use crate::rows::Direction;

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn content(snapshot: &dyn Snapshot) -> Content {
    let mut scan = snapshot.scan(&KeyRange::ALL, Direction::Forward);
    let mut found = Content::new();
    while scan.advance().expect("readable") {
        found.insert(scan.key().to_vec(), scan.value().to_vec());
    }
    found
}

fn at(store: &Store, time: Timestamp) -> Content {
    match store.snapshot_at(time).expect("readable") {
        Past::Kept(snapshot) => content(&*snapshot),
        other => panic!("{time:?}: {other:?}"),
    }
}

/// Commits at random: the time of the commit, and what the keys are then.
fn write(store: &Store, txn: u128, now: &mut Content, rng: &mut SeededRng) -> Timestamp {
    let mut next = begin(store, txn);
    for _ in 0..1 + rng.below(8) {
        let key = vec![rng.below(12) as u8];
        let change = match rng.chance(2, 3) {
            true => {
                let value = vec![rng.below(256) as u8; 3];
                now.insert(key.clone(), value.clone());
                Change::Put(value)
            }
            false => {
                now.remove(&key);
                Change::Delete
            }
        };
        next.writes.retain(|write| write.key != key);
        next.write(key, change);
    }
    match commit(store, next) {
        Outcome::Committed { timestamp, .. } => timestamp,
        Outcome::Rejected(rejection) => panic!("{rejection:?}"),
    }
}

/// Kills with the power cut, at any moment, some with rows that were flushed before: what was is as it was, whether it was applied before the kill
/// or again after it.
#[test]
fn the_past_survives_kills() {
    for seed in 0..4 {
        println!("seed {seed}");
        let mut rng = SeededRng::new(seed);
        let mut dir = tempfile::tempdir().expect("a directory");
        let options = |seed| StoreOptions {
            files: Arc::new(PowerCutFiles::new(seed)),
            ..small()
        };
        let mut store = Store::open(dir.path(), options(seed)).expect("opens");
        store.keep_history(Duration::from_secs(3_600)).expect("begun");
        let mut now = Content::new();
        let mut past: Vec<(Timestamp, Content)> = Vec::new();
        for step in 1..=60_u128 {
            let time = write(&store, (u128::from(seed) << 64) | step, &mut now, &mut rng);
            past.push((time, now.clone()));
            if rng.chance(1, 6) {
                store.flush().expect("flushed");
            }
            if rng.chance(1, 10) {
                let next = tempfile::tempdir().expect("a directory");
                image(dir.path(), next.path());
                drop(store);
                store = Store::open(next.path(), options(seed + 100 + step as u64)).expect("opens");
                dir = next;
                // Whoever opens it says so again, and that changes nothing.
                store.keep_history(Duration::from_secs(3_600)).expect("it goes on");
            }
            let (time, expected) = &past[rng.below(past.len() as u64) as usize];
            assert_eq!(at(&store, *time), *expected, "at {time:?}");
            assert_eq!(at(&store, Timestamp(time.0 + 1)), *expected, "and shortly after");
        }
        store.close().expect("closes");
    }
}

/// A time that was asked for stays what it was, though commits are made all the while.
#[test]
fn a_time_that_was_asked_for_is_over() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in [
        Store::open(dir.path(), small()).expect("opens"),
        Store::in_memory(&small()),
    ] {
        store.keep_history(Duration::from_secs(3_600)).expect("begun");
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..3_u128 {
                let (store, is_over) = (&store, &is_over);
                scope.spawn(move || {
                    let mut step = 0_u128;
                    while !is_over.load(Ordering::Relaxed) {
                        step += 1;
                        let mut next = begin(store, (writer << 64) | step);
                        next.write([writer as u8], Change::Put(step.to_be_bytes().to_vec()));
                        let _: Outcome = commit(store, next);
                    }
                });
            }
            let mut asked = Vec::new();
            for _ in 0..200 {
                let time = store.now();
                asked.push((time, at(&store, time)));
                if let Some((time, seen)) = asked.get(asked.len() / 2) {
                    assert_eq!(at(&store, *time), *seen);
                }
            }
            is_over.store(true, Ordering::Relaxed);
            for (time, seen) in &asked {
                assert_eq!(at(&store, *time), *seen);
            }
        });
        let error = store
            .snapshot_at(Timestamp(store.now().0 + 60_000_000))
            .expect_err("to come");
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
    }
}

/// What ended longer ago than the retention goes, and the horizon says so.
#[test]
fn what_is_too_old_goes() {
    let clock = Arc::new(ManualClock::at(1_000_000_000));
    let options = StoreOptions {
        clock: clock.clone(),
        ..small()
    };
    let dir = tempfile::tempdir().expect("a directory");
    for store in [
        Store::open(dir.path(), options.clone()).expect("opens"),
        Store::in_memory(&options),
    ] {
        let mut txn = 0;
        let mut put = |value: u8| {
            txn += 1;
            let mut next = begin(&store, txn);
            next.write(*b"key", Change::Put(vec![value]));
            assert_eq!(reason(&commit(&store, next)), None);
            let time = store.now();
            clock.advance(Duration::from_secs(1));
            time
        };
        put(0);
        assert!(matches!(
            store.snapshot_at(store.now()).expect("readable"),
            Past::NotKept
        ));
        store.keep_history(Duration::from_secs(10)).expect("begun");
        let times: Vec<Timestamp> = (1..=30).map(&mut put).collect();
        store.trim_history().expect("trimmed");
        let horizon = store.horizon().expect("kept");
        assert_eq!(horizon, Timestamp(store.now().0 - 10_000_000));
        for (value, time) in (1_u8..).zip(&times) {
            match store.snapshot_at(*time).expect("readable") {
                Past::Kept(snapshot) => {
                    assert!(*time >= horizon);
                    assert_eq!(content(&*snapshot)[&b"key"[..]], [value]);
                }
                Past::Gone(since) => assert!(*time < horizon && since == horizon),
                Past::NotKept => panic!("it is kept"),
            }
        }
        store.keep_history(Duration::ZERO).expect("over");
        assert_eq!(store.horizon(), None);
    }
}
