//! The window against a list of everything that was ever written.

use aion_base::rng::SeededRng;

use super::*;
use crate::commit::{Change, Check, Commit, Precondition, Write};

/// Every write, in order; looked through from the start each time.
#[derive(Default)]
struct Naive {
    writes: Vec<(LogIndex, Vec<u8>, bool)>,
    staged: Vec<(LogIndex, KeyRange)>,
    sizes: Vec<u64>,
    capacity_bytes: u64,
}

impl Naive {
    fn floor(&self) -> u64 {
        let mut bytes = 0;
        let kept = self.sizes.iter().rev().take_while(|&&size| {
            bytes += size;
            bytes <= self.capacity_bytes
        });
        self.sizes.len() as u64 - kept.count() as u64
    }

    fn key(&self, key: &[u8], since: LogIndex) -> Option<Option<bool>> {
        let point = self
            .writes
            .iter()
            .rfind(|(index, written, _)| *index > since && written == key);
        let span = self
            .staged
            .iter()
            .rfind(|(index, range)| *index > since && range.contains(key));
        match (point, span) {
            (None, None) => None,
            (Some((index, _, is_delete)), span) if span.is_none_or(|(staged, _)| staged < index) => {
                Some(Some(*is_delete))
            }
            _ => Some(None),
        }
    }

    fn range_keys(&self, range: &KeyRange, since: LogIndex) -> Vec<Vec<u8>> {
        let keys = self
            .writes
            .iter()
            .filter(|(index, key, _)| *index > since && range.contains(key));
        keys.map(|(_, key, _)| key.clone()).collect()
    }

    fn meets_span(&self, range: &KeyRange, since: LogIndex) -> bool {
        !range.is_empty()
            && self
                .staged
                .iter()
                .any(|(index, span)| *index > since && span.intersects(range))
    }

    fn check(&self, check: &Check, since: LogIndex) -> Option<Reason> {
        if since.0 < self.floor() {
            return Some(Reason::TooOld);
        }
        match check {
            Check::Absent(key) => match self.key(key, since) {
                None | Some(Some(true)) => None,
                Some(Some(false)) => Some(Reason::Duplicate),
                Some(None) => Some(Reason::Changed),
            },
            Check::Exists(key) => match self.key(key, since) {
                None | Some(Some(false)) => None,
                Some(Some(true)) => Some(Reason::Missing),
                Some(None) => Some(Reason::Changed),
            },
            Check::Empty(range) => {
                if self.meets_span(range, since) {
                    return Some(Reason::Changed);
                }
                let keys = self.range_keys(range, since);
                keys.iter()
                    .any(|key| self.key(key, since) == Some(Some(false)))
                    .then_some(Reason::NotEmpty)
            }
            Check::Unchanged(range) => {
                let is_changed = self.meets_span(range, since) || !self.range_keys(range, since).is_empty();
                is_changed.then_some(Reason::Changed)
            }
        }
    }

    fn decide(&self, commit: &Commit) -> Option<Reason> {
        let preconditions = commit
            .preconditions
            .iter()
            .map(|found| self.check(&found.check, found.read_point));
        let inserts = commit
            .writes
            .iter()
            .filter(|write| matches!(write.change, Change::Insert(_)));
        let inserts = inserts.map(|write| self.check(&Check::Absent(write.key.clone()), write.read_point));
        let first = preconditions.chain(inserts).flatten().next();
        first.or_else(|| match commit.isolation {
            Isolation::ReadCommitted => None,
            Isolation::RepeatableRead => commit
                .writes
                .iter()
                .find_map(|write| self.check(&Check::Unchanged(KeyRange::point(&write.key)), write.read_point)),
            Isolation::Serializable => commit
                .read_ranges
                .iter()
                .find_map(|range| self.check(&Check::Unchanged(range.clone()), commit.read_point)),
        })
    }
}

fn key(rng: &mut SeededRng) -> Vec<u8> {
    vec![rng.below(4) as u8, rng.below(6) as u8]
}

fn range(rng: &mut SeededRng) -> KeyRange {
    match rng.below(4) {
        0 => KeyRange::point(&key(rng)),
        1 => KeyRange::prefix(&[rng.below(4) as u8]),
        2 => KeyRange::new(key(rng), None),
        _ => KeyRange::new(key(rng), Some(key(rng))),
    }
}

fn commit(rng: &mut SeededRng, last: u64) -> Commit {
    let read_point = last.saturating_sub(rng.below(12));
    let later = |rng: &mut SeededRng| LogIndex(read_point + rng.below(last - read_point + 1));
    let mut commit = Commit::new(TxnId(rng.next_u128()), LogIndex(read_point));
    commit.isolation = [
        Isolation::ReadCommitted,
        Isolation::RepeatableRead,
        Isolation::Serializable,
    ][rng.below(3) as usize];
    for _ in 0..rng.below(3) {
        commit.read_ranges.push(range(rng));
    }
    for _ in 0..rng.below(3) {
        let check = match rng.below(4) {
            0 => Check::Absent(key(rng)),
            1 => Check::Exists(key(rng)),
            2 => Check::Empty(range(rng)),
            _ => Check::Unchanged(range(rng)),
        };
        commit.preconditions.push(Precondition {
            read_point: later(rng),
            check,
        });
    }
    for _ in 0..rng.below(4) {
        let change = match rng.below(3) {
            0 => Change::Delete,
            1 => Change::Put(vec![1]),
            _ => Change::Insert(vec![2]),
        };
        let key = key(rng);
        if commit.writes.iter().all(|write| write.key != key) {
            commit.writes.push(Write {
                key,
                change,
                read_point: later(rng),
            });
        }
    }
    commit
}

fn run(seed: u64, steps: u64, capacity_bytes: u64) -> [usize; 6] {
    let mut rng = SeededRng::new(seed);
    let mut window = Window::new(capacity_bytes, LogIndex(0));
    let mut naive = Naive {
        capacity_bytes,
        ..Naive::default()
    };
    let mut seen = [0; 6];
    for last in 0..steps {
        let index = LogIndex(last + 1);
        let size = 1 + rng.below(9);
        if rng.chance(1, 20) {
            window.remember_other(index, size as usize);
            naive.sizes.push(size);
            continue;
        }
        let commit = commit(&mut rng, last);
        let part = Part::of(&commit);
        let parts = [part];
        let decision = window.decide(&Header::of(&commit), &parts);
        let expected = naive.decide(&commit);
        assert_eq!(
            decision.as_ref().err().map(|rejection| rejection.reason),
            expected,
            "seed {seed}, entry {index}"
        );
        seen[expected.map_or(0, |reason| reason as usize)] += 1;
        let staged = rng.chance(1, 10).then(|| {
            let (a, b) = (key(&mut rng), key(&mut rng));
            (a.clone().min(b.clone()), a.max(b))
        });
        let spans: Vec<_> = staged.iter().map(|(first, last)| Span { first, last }).collect();
        if decision.is_ok() {
            for write in &commit.writes {
                naive
                    .writes
                    .push((index, write.key.clone(), write.change == Change::Delete));
            }
            if let Some((first, last)) = &staged {
                naive
                    .staged
                    .push((index, KeyRange::new(first.clone(), KeyRange::point(last).end)));
            }
        }
        naive.sizes.push(size);
        let decided = Decided {
            index,
            entry_bytes: size as usize,
            txn: commit.txn,
            timestamp: Timestamp(0),
            spans: &spans,
            part: &parts[0],
        };
        window.remember_commit(&decided, decision);
        assert_eq!(window.floor().0, naive.floor(), "seed {seed}, entry {index}");
    }
    seen
}

#[test]
fn decisions_are_those_of_the_naive_list() {
    let mut seen = [0; 6];
    for seed in 0..60 {
        for (sum, count) in seen.iter_mut().zip(run(seed, 120, 40)) {
            *sum += count;
        }
    }
    assert!(seen.iter().all(|&count| count > 20), "each outcome is met: {seen:?}");
}

/// The two ways to check a range, over few keys and over many, agree.
#[test]
fn many_keys_are_checked_like_few() {
    let mut window = Window::new(u64::MAX, LogIndex(0));
    let mut commit = Commit::new(TxnId(1), LogIndex(0));
    for number in 0..(FEW_KEYS as u32 + 10) {
        commit.write(number.to_be_bytes(), Change::Put(vec![]));
    }
    let decided = Decided {
        index: LogIndex(1),
        entry_bytes: 1,
        txn: commit.txn,
        timestamp: Timestamp(1),
        spans: &[],
        part: &Part::of(&commit),
    };
    window.remember_commit(&decided, Ok(()));
    let reader = |range: KeyRange| {
        let mut reader = Commit::new(TxnId(2), LogIndex(0));
        reader.read_ranges.push(range);
        let parts = [Part::of(&reader)];
        window
            .decide(&Header::of(&reader), &parts)
            .err()
            .map(|rejection| rejection.key)
    };
    let key = |number: u32| number.to_be_bytes().to_vec();
    assert_eq!(reader(KeyRange::new(key(7), Some(key(9)))), Some(key(7)));
    assert_eq!(reader(KeyRange::new(key(u32::MAX), None)), None);
}

/// A window rebuilt from a later entry of the log judges like one that saw all of it.
#[test]
fn the_floor_is_a_function_of_the_log() {
    let sizes: Vec<usize> = (0..50).map(|number| 1 + number * 7 % 11).collect();
    let build = |from: usize| {
        let mut window = Window::new(60, LogIndex(from as u64));
        for (at, size) in sizes.iter().enumerate().skip(from) {
            window.remember_other(LogIndex(at as u64 + 1), *size);
        }
        window.floor()
    };
    let floor = build(0);
    for from in 0..=floor.0 as usize {
        assert_eq!(build(from), floor);
    }
}
