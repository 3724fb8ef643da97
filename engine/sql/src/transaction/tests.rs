//! A transaction against a plain map, and what it records.

use std::collections::BTreeMap;

use aion_base::rng::SeededRng;
use aion_storage::{Outcome, Replicator, Store, StoreOptions};

use super::*;

fn store() -> Arc<Store> {
    Arc::new(Store::in_memory(&StoreOptions::default()))
}

fn commit(store: &Store, transaction: Transaction) -> bool {
    match transaction.take_commit() {
        None => true,
        Some(commit) => {
            matches!(
                store.propose(commit).expect("queued").wait().expect("answered"),
                Outcome::Committed { .. }
            )
        }
    }
}

fn key(rng: &mut SeededRng) -> Vec<u8> {
    vec![rng.below(40) as u8]
}

#[test]
fn reads_see_the_snapshot_with_the_own_changes_over_it() {
    let store = store();
    let mut committed: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut rng = SeededRng::new(9);
    for _ in 0..60 {
        let transaction = Transaction::begin(store.clone(), true);
        let mut model = committed.clone();
        for _ in 0..rng.below(25) {
            let key = key(&mut rng);
            let value = vec![rng.below(256) as u8];
            match rng.below(5) {
                0 | 1 => {
                    let last = transaction.last_committed_key(&KeyRange::ALL).expect("read");
                    let is_new = match key > last {
                        true => transaction.insert_beyond(&key, &value),
                        false => transaction.insert(&key, &value),
                    };
                    let is_new = is_new.expect("written");
                    assert_eq!(is_new, !model.contains_key(&key));
                    model.entry(key).or_insert(value);
                }
                2 if model.contains_key(&key) => {
                    transaction.update(&key, &value).expect("written");
                    model.insert(key, value);
                }
                3 if model.contains_key(&key) => {
                    transaction.delete(&key).expect("written");
                    model.remove(&key);
                }
                _ => {
                    let found = transaction.get(&key).expect("read");
                    assert_eq!(found.as_deref(), model.get(&key).map(Vec::as_slice));
                }
            }
            let range = KeyRange::new(vec![rng.below(40) as u8], Some(vec![rng.below(40) as u8]));
            for direction in [Direction::Forward, Direction::Backward] {
                let mut scan = transaction.scan(&range, direction).expect("read");
                let mut found = Vec::new();
                while scan.advance().expect("read") {
                    found.push((scan.key().to_vec(), scan.value().to_vec()));
                }
                let mut wanted: Vec<_> = model
                    .clone()
                    .into_iter()
                    .filter(|(key, _)| range.contains(key))
                    .collect();
                if direction == Direction::Backward {
                    wanted.reverse();
                }
                assert_eq!(found, wanted);
            }
        }
        if rng.chance(3, 4) {
            assert!(commit(&store, transaction));
            committed = model;
        }
    }
}

#[test]
fn what_a_statement_did_can_be_taken_back() {
    let store = store();
    let transaction = Transaction::begin(store.clone(), true);
    assert!(transaction.insert(b"kept", b"1").expect("written"));
    transaction.save();
    assert!(transaction.insert(b"gone", b"2").expect("written"));
    transaction.update(b"kept", b"3").expect("written");
    transaction.delete(b"kept").expect("written");
    transaction.restore();
    assert_eq!(transaction.get(b"gone").expect("read"), None);
    assert_eq!(transaction.get(b"kept").expect("read").as_deref(), Some(&b"1"[..]));
}

#[test]
fn what_is_hidden_is_as_it_was_and_comes_back() {
    let mut rng = SeededRng::new(31);
    for _ in 0..200 {
        let store = store();
        let setup = Transaction::begin(store.clone(), true);
        for at in 0..20_u8 {
            assert!(setup.insert(&[at * 2], b"0").expect("written"));
        }
        assert!(commit(&store, setup));
        let transaction = Transaction::begin(store.clone(), true);
        let write = |rng: &mut SeededRng| {
            for _ in 0..rng.below(15) {
                let (key, value) = (key(rng), [rng.below(256) as u8]);
                match (transaction.get(&key).expect("read").is_some(), rng.chance(1, 2)) {
                    (true, true) => transaction.update(&key, &value).expect("written"),
                    (true, false) => transaction.delete(&key).expect("written"),
                    (false, _) => assert!(transaction.insert(&key, &value).expect("written")),
                }
            }
        };
        let all = || {
            let mut scan = transaction.scan(&KeyRange::ALL, Direction::Forward).expect("read");
            let mut found = BTreeMap::new();
            while scan.advance().expect("read") {
                found.insert(scan.key().to_vec(), scan.value().to_vec());
            }
            for key in 0..40 {
                let got = transaction.get(&[key]).expect("read");
                assert_eq!(got.as_deref(), found.get(&[key][..]).map(Vec::as_slice));
            }
            found
        };
        write(&mut rng);
        let before = all();
        let mark = transaction.mark();
        write(&mut rng);
        // A part of what was written is taken back.
        let middle = transaction.mark();
        write(&mut rng);
        if rng.chance(1, 2) {
            transaction.return_to(middle);
        }
        let after = all();
        let changed = transaction.written_since(mark);
        let hidden = transaction.hide_since(mark);
        assert_eq!(all(), before);
        transaction.show(hidden);
        assert_eq!(all(), after);
        let differs = |key: &Vec<u8>| before.get(key) != after.get(key);
        assert!(
            before
                .keys()
                .chain(after.keys())
                .filter(|key| differs(key))
                .all(|key| changed.contains(key))
        );
        let bytes = transaction.written_bytes();
        match rng.chance(1, 2) {
            true => {
                transaction.return_to(mark);
                assert_eq!(all(), before);
            }
            false => {
                assert_eq!(transaction.written_bytes(), bytes);
                assert!(commit(&store, transaction));
                let reader = Transaction::begin(store.clone(), false);
                let committed =
                    (0..40).filter_map(|key| Some((vec![key], reader.get(&[key]).expect("read")?.to_vec())));
                assert_eq!(committed.collect::<BTreeMap<_, _>>(), after);
            }
        }
    }
}

#[test]
fn write_skew_and_phantoms_do_not_commit() {
    let store = store();
    let begin = || Transaction::begin(store.clone(), true);
    let setup = begin();
    assert!(setup.insert(b"a", b"1").expect("written") && setup.insert(b"b", b"1").expect("written"));
    assert!(commit(&store, setup));

    let (left, right) = (begin(), begin());
    left.get(b"a").expect("read");
    left.update(b"b", b"0").expect("written");
    right.get(b"b").expect("read");
    right.update(b"a", b"0").expect("written");
    assert!(commit(&store, left));
    assert!(!commit(&store, right), "write skew");

    let (reader, writer) = (begin(), begin());
    assert!(
        !reader
            .scan(&KeyRange::prefix(b"room"), Direction::Forward)
            .expect("read")
            .advance()
            .expect("read")
    );
    assert!(reader.insert(b"count", b"0").expect("written"));
    assert!(writer.insert(b"room1", b"").expect("written"));
    assert!(commit(&store, writer));
    assert!(!commit(&store, reader), "a phantom");

    let (reader, writer) = (begin(), begin());
    assert_eq!(reader.get(b"nobody").expect("read"), None);
    assert!(reader.insert(b"seen", b"").expect("written"));
    assert!(writer.insert(b"nobody", b"").expect("written"));
    assert!(commit(&store, writer));
    assert!(!commit(&store, reader), "a missing key that appeared");
}

#[test]
fn a_read_set_holds_every_key_that_was_added() {
    let mut rng = SeededRng::new(21);
    for _ in 0..200 {
        let mut set = ReadSet::default();
        let mut model = [false; 256];
        for _ in 0..rng.below(20) {
            let (first, last) = (rng.below(256) as u8, rng.below(256) as u8);
            if rng.chance(1, 2) {
                set.point(&[first]);
                model[first as usize] = true;
            } else {
                set.range(KeyRange::new(vec![first], Some(vec![last])));
                (first..last).for_each(|at| model[at as usize] = true);
            }
        }
        let ranges = set.into_ranges();
        for (at, wanted) in model.iter().enumerate() {
            let key = [at as u8];
            assert_eq!(
                ranges.iter().any(|range| range.contains(&key)),
                *wanted,
                "{at} in {ranges:?}"
            );
        }
        assert!(
            ranges
                .windows(2)
                .all(|pair| pair[0].end.as_ref().is_some_and(|end| *end < pair[1].start))
        );
    }
}

#[test]
fn a_large_read_set_gives_up_precision_and_no_key() {
    let mut set = ReadSet::default();
    let keys: Vec<[u8; 4]> = (0..100_000u32)
        .map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    keys.iter().for_each(|key| set.point(key));
    let ranges = set.into_ranges();
    assert!(ranges.len() <= read_set::RANGES_MAX);
    for key in &keys {
        let at = ranges.partition_point(|range| range.start.as_slice() <= key.as_slice());
        assert!(at > 0 && ranges[at - 1].contains(key));
    }
}

/// A key that was not looked for is checked at the commit like any other.
#[test]
fn of_two_that_insert_beyond_the_last_key_one_is_refused() {
    let store = store();
    let begin = || Transaction::begin(store.clone(), true);
    let (first, second) = (begin(), begin());
    assert!(first.last_committed_key(&KeyRange::ALL).expect("read").is_empty());
    assert!(first.insert_beyond(b"a", b"1").expect("written") && !first.insert_beyond(b"a", b"1").expect("written"));
    assert!(second.insert_beyond(b"b", b"2").expect("written") && second.insert_beyond(b"a", b"2").expect("written"));
    assert!(commit(&store, first));
    assert!(!commit(&store, second), "a duplicate");
    assert_eq!(begin().last_committed_key(&KeyRange::ALL).expect("read"), b"a");
}

/// READ COMMITTED inserted a key, another transaction inserted it too and committed, and a later statement updated the own row: the
/// commit then looked for the other's key from the read point of the update on, did not see it, and wrote over an acknowledged
/// row. The isolation hunt found it, in every second run of 100 transactions on an empty table.
#[test]
fn a_key_that_was_inserted_and_then_updated_must_have_been_absent_since_the_insert() {
    let store = store();
    let begin = || {
        let transaction = Transaction::begin(store.clone(), true);
        transaction.set_isolation(Isolation::ReadCommitted);
        transaction
    };
    let (slow, quick) = (begin(), begin());
    assert!(slow.insert(b"a", b"slow").expect("written"));
    assert!(quick.insert(b"a", b"quick").expect("written"));
    assert!(commit(&store, quick));
    slow.begin_statement();
    slow.save();
    slow.update(b"a", b"slower").expect("written");
    assert!(!commit(&store, slow), "a duplicate");
    assert_eq!(begin().get(b"a").expect("read").as_deref(), Some(&b"quick"[..]));
}
