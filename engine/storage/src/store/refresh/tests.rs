//! Refreshes against a list of everything that was ever written.

use aion_base::SqlState;
use aion_base::id::TxnId;
use aion_base::rng::{SeededRng, entropy};

use super::*;
use crate::commit::{Change, Commit, Outcome};
use crate::store::{Replicator, StoreOptions};

fn options() -> StoreOptions {
    StoreOptions {
        window_bytes: 16 << 10,
        on_fatal: Arc::new(|error| panic!("fatal: {error}")),
        ..StoreOptions::default()
    }
}

fn point(store: &Store) -> LogIndex {
    store.snapshot().read_point().expect("a read point").index
}

fn put(store: &Store, txn: u128, keys: &[Vec<u8>]) -> Outcome {
    let mut commit = Commit::new(TxnId(txn), point(store));
    keys.iter()
        .for_each(|key| commit.write(key.clone(), Change::Put(Vec::new())));
    store.propose(commit).expect("queued").wait().expect("answered")
}

fn key(rng: &mut SeededRng) -> Vec<u8> {
    (0..1 + rng.below(2)).map(|_| rng.below(12) as u8).collect()
}

fn range(rng: &mut SeededRng) -> KeyRange {
    match rng.below(8) {
        0 => KeyRange::prefix(&[rng.below(12) as u8]),
        1 => KeyRange::new(key(rng), Some(key(rng))),
        2 if rng.chance(1, 6) => KeyRange::new(key(rng), None),
        _ => KeyRange::point(&key(rng)),
    }
}

/// One step of a store and of the list: a commit, which may be refused, then some questions.
fn step(store: &Store, rng: &mut SeededRng, written: &mut Vec<(LogIndex, Vec<u8>)>, seen: &mut [usize; 3]) {
    let mut keys: Vec<Vec<u8>> = (0..rng.below(4)).map(|_| key(rng)).collect();
    keys.sort();
    keys.dedup();
    let mut commit = Commit::new(
        TxnId(rng.next_u128()),
        LogIndex(point(store).0.saturating_sub(rng.below(2))),
    );
    commit.read_ranges.push(range(rng));
    keys.iter()
        .for_each(|key| commit.write(key.clone(), Change::Put(Vec::new())));
    if let Outcome::Committed { index, .. } = store.propose(commit).expect("queued").wait().expect("answered") {
        written.extend(keys.into_iter().map(|key| (index, key)));
    }
    let now = point(store);
    for _ in 0..4 {
        let ranges: Vec<KeyRange> = (0..rng.below(5)).map(|_| range(rng)).collect();
        let to = LogIndex(now.0 - rng.below(20).min(now.0));
        let reach = if rng.chance(1, 10) { 1_000 } else { 20 };
        let from = LogIndex(to.0 - rng.below(reach).min(to.0));
        let is_known = from >= store.with_window(Window::floor);
        let is_written = written
            .iter()
            .any(|(index, key)| *index > from && *index <= to && ranges.iter().any(|range| range.contains(key)));
        match store.unchanged_since(&ranges, from, to) {
            Ok(is_unchanged) => assert_eq!(
                (is_unchanged, is_known),
                (!is_written, true),
                "({from}, {to}] {ranges:?}"
            ),
            Err(error) => assert_eq!((error.state(), is_known), (SqlState::SERIALIZATION_FAILURE, false)),
        }
        seen[if is_known { usize::from(is_written) } else { 2 }] += 1;
    }
}

#[test]
fn what_is_unchanged_is_what_the_list_says() {
    let seed = match std::env::var("AION_SEED") {
        Ok(text) => text.trim().parse().expect("AION_SEED is a number"),
        Err(_) => entropy(),
    };
    println!("AION_SEED={seed}");
    let mut rng = SeededRng::new(seed);
    let dir = tempfile::tempdir().expect("a directory");
    let (mut written, mut seen) = (Vec::new(), [0; 3]);
    let memory = Store::in_memory(&options());
    for _ in 0..800 {
        step(&memory, &mut rng, &mut written, &mut seen);
    }
    written.clear();
    // Each time it is opened the window is another, with the same content.
    for _ in 0..3 {
        let store = Store::open(dir.path(), options()).expect("opens");
        for _ in 0..100 {
            step(&store, &mut rng, &mut written, &mut seen);
        }
        store.close().expect("closes");
    }
    assert!(seen.iter().all(|&count| count > 30), "each answer is met: {seen:?}");
}

#[test]
fn a_key_that_was_written_again_later_counts_for_what_was_between() {
    let store = Store::in_memory(&options());
    put(&store, 1, &[b"a".to_vec()]);
    let first = point(&store);
    put(&store, 2, &[b"b".to_vec()]);
    let second = point(&store);
    put(&store, 3, &[b"a".to_vec(), b"b".to_vec()]);
    let unchanged = |key: &[u8], from, to| store.unchanged_since(&[KeyRange::point(key)], from, to).expect("known");
    assert!(unchanged(b"a", first, second));
    assert!(!unchanged(b"b", first, second));
    assert!(!unchanged(b"a", second, point(&store)));
    assert!(unchanged(b"b", second, second));
    let error = store
        .unchanged_since(&[], second, point(&store).next())
        .expect_err("the future");
    assert_eq!(error.state(), SqlState::INTERNAL_ERROR);
}

#[test]
fn a_refresh_sees_now_unless_what_was_read_has_changed() {
    let store = Store::in_memory(&options());
    let from = point(&store);
    let read = [KeyRange::prefix(b"a"), KeyRange::point(b"c")];
    put(&store, 1, &[b"b".to_vec()]);
    let snapshot = store.refresh(&read, from).expect("known").expect("unchanged");
    assert_eq!(snapshot.read_point().expect("a read point").index, point(&store));
    assert!(snapshot.get(b"b", &mut Vec::new()).expect("readable").is_some());
    put(&store, 2, &[b"c".to_vec()]);
    assert!(store.refresh(&read, from).expect("known").is_none());
}

#[test]
fn of_a_staged_commit_the_spans_count() {
    let store = Store::in_memory(&StoreOptions {
        window_bytes: 64 << 20,
        ..options()
    });
    let from = point(&store);
    let mut large = Commit::new(TxnId(1), from);
    for number in 0..3_000_u32 {
        large.write((number * 2).to_be_bytes(), Change::Put(vec![7; 4_000]));
    }
    store.propose(large).expect("queued").wait().expect("answered");
    let to = point(&store);
    assert!(to.0 > from.0 + 1, "it had stages");
    let unchanged = |range: KeyRange| store.unchanged_since(&[range], from, to).expect("known");
    assert!(!unchanged(KeyRange::point(&6_u32.to_be_bytes())));
    assert!(
        !unchanged(KeyRange::point(&7_u32.to_be_bytes())),
        "too careful: within a span"
    );
    assert!(unchanged(KeyRange::point(&9_000_u32.to_be_bytes())));
    assert!(unchanged(KeyRange::new(9_000_u32.to_be_bytes().to_vec(), None)));
    assert!(store.unchanged_since(&[KeyRange::ALL], to, to).expect("known"));
}

/// More keys than are handed out at a time, in one entry and over several.
#[test]
fn many_keys_are_handed_out_in_parts() {
    let store = Store::in_memory(&StoreOptions {
        window_bytes: 64 << 20,
        ..options()
    });
    let from = point(&store);
    let keys = |from: u32, count: usize| -> Vec<Vec<u8>> {
        let keys = (from..).take(count);
        keys.map(|number| (number * 2).to_be_bytes().to_vec()).collect()
    };
    let mut next = 0;
    for (txn, count) in [STEPS_MAX * 2 + 1, STEPS_MAX, 0, STEPS_MAX - 2, 1, 1, 1, 3]
        .into_iter()
        .enumerate()
    {
        put(&store, txn as u128 + 1, &keys(next, count));
        next += count as u32;
    }
    let to = point(&store);
    let unchanged = |number: u32| {
        let range = KeyRange::point(&number.to_be_bytes());
        store.unchanged_since(&[range], from, to).expect("known")
    };
    let edges = (0..next).filter(|number| [0, 1, 2].contains(&(number % STEPS_MAX as u32)) || *number + 20 > next);
    for number in edges {
        assert!(!unchanged(number * 2), "{number} was written");
        assert!(unchanged(number * 2 + 1), "{number} and a half was not");
    }
}

/// While somebody reads part by part, the window moves on.
#[test]
fn what_is_forgotten_meanwhile_is_too_old() {
    let mut window = Window::new(10, LogIndex(0));
    (1..=10).for_each(|index| window.remember_other(LogIndex(index), 1));
    let mut keys = Vec::new();
    let place = window
        .written(Place::after(LogIndex(2)), LogIndex(10), 3, &mut keys)
        .expect("known");
    let place = place.expect("more");
    (11..=15).for_each(|index| window.remember_other(LogIndex(index), 1));
    assert_eq!(window.floor(), LogIndex(5));
    let rest = window.written(place, LogIndex(10), usize::MAX, &mut keys);
    assert_eq!(rest, Ok(None), "what was read by then is not needed");
    window.remember_other(LogIndex(16), 1);
    let rejection = window
        .written(place, LogIndex(10), 3, &mut keys)
        .expect_err("forgotten");
    assert_eq!(rejection.reason, Reason::TooOld);
}

/// Readers ask while a writer commits; what they are told fits what they can see themselves.
#[test]
fn refreshes_among_commits() {
    let store = Store::in_memory(&StoreOptions {
        window_bytes: 64 << 20,
        ..options()
    });
    let value = |snapshot: &dyn Snapshot| snapshot.get(b"a", &mut Vec::new()).expect("readable");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut txn = 1;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let keys: Vec<Vec<u8>> = if txn % 5 == 0 {
                    vec![b"a".to_vec()]
                } else {
                    vec![b"b".to_vec()]
                };
                put(&store, txn, &keys);
                txn += 1;
            }
        });
        for _ in 0..2_000 {
            let before = store.snapshot();
            let from = before.read_point().expect("a read point").index;
            std::thread::yield_now();
            let after = store.snapshot();
            let to = after.read_point().expect("a read point").index;
            let is_unchanged = store
                .unchanged_since(&[KeyRange::point(b"a")], from, to)
                .expect("known");
            // Its commit time is new with each write.
            assert_eq!(is_unchanged, value(&*before) == value(&*after), "({from}, {to}]");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
