//! Commits to bytes and back; hostile bytes.

use proptest::prelude::*;

use super::*;
use crate::commit::Precondition;

fn range() -> impl Strategy<Value = KeyRange> {
    (
        prop::collection::vec(any::<u8>(), 0..6),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..6)),
    )
        .prop_map(|(start, end)| KeyRange { start, end })
}

fn check() -> impl Strategy<Value = Check> {
    let key = || prop::collection::vec(any::<u8>(), 0..6);
    prop_oneof![
        key().prop_map(Check::Absent),
        key().prop_map(Check::Exists),
        range().prop_map(Check::Empty),
        range().prop_map(Check::Unchanged)
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let value = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        Just(Change::Delete),
        value().prop_map(Change::Put),
        value().prop_map(Change::Insert)
    ]
}

prop_compose! {
    fn commit()(
        txn in any::<u128>(),
        read_point in 0..1u64 << 40,
        read_ranges in prop::collection::vec(range(), 0..5),
        preconditions in prop::collection::vec((check(), 0..300u64), 0..5),
        writes in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..9), change(), 0..300u64), 0..9),
    ) -> Commit {
        let mut commit = Commit::new(TxnId(txn), LogIndex(read_point));
        commit.read_ranges = read_ranges;
        commit.preconditions = preconditions
            .into_iter()
            .map(|(check, offset)| Precondition { read_point: LogIndex(read_point + offset), check })
            .collect();
        commit.writes = writes
            .into_iter()
            .map(|(key, change, offset)| Write { key, change, read_point: LogIndex(read_point + offset) })
            .collect();
        commit
    }
}

/// What a part says, as text: views have no equality of their own.
fn content(parts: &[Part<'_>]) -> String {
    let ranges: Vec<_> = parts.iter().flat_map(|part| &part.read_ranges).collect();
    let preconditions: Vec<_> = parts.iter().flat_map(|part| &part.preconditions).collect();
    let writes: Vec<_> = parts.iter().flat_map(|part| &part.writes).collect();
    format!("{ranges:?} {preconditions:?} {writes:?}")
}

proptest! {
    #[test]
    fn a_commit_reads_back(commit in commit(), timestamp in any::<u64>()) {
        let mut entries = encode(&commit, usize::MAX).expect("small");
        prop_assert_eq!(entries.len(), 1);
        stamp(&mut entries[0], Timestamp(timestamp));
        let entry = decode(&entries[0]).expect("intact");
        prop_assert_eq!(entry.timestamp, Timestamp(timestamp));
        let Body::Commit { header, stages, part } = entry.body else { panic!("a commit") };
        prop_assert_eq!(format!("{header:?}"), format!("{:?}", Header::of(&commit)));
        prop_assert!(stages.is_empty());
        prop_assert_eq!(content(&[part]), content(&[Part::of(&commit)]));
    }

    #[test]
    fn cut_or_changed_bytes_never_panic(commit in commit(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&commit, usize::MAX).expect("small").remove(0);
        let at = at.index(bytes.len());
        prop_assert!(decode(&bytes[..at]).is_err());
        bytes[at] = byte;
        let _ = decode(&bytes);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}

#[test]
fn a_large_commit_is_staged_and_its_spans_hold_its_keys() {
    let mut commit = Commit::new(TxnId(5), LogIndex(9));
    commit.read_ranges.push(KeyRange::point(b"r"));
    for number in 0..40_000u32 {
        commit.write(
            number.wrapping_mul(2_654_435_761).to_be_bytes(),
            Change::Insert(vec![7; 200]),
        );
    }
    let entries = encode(&commit, usize::MAX).expect("fits");
    assert!(entries.len() > 3);
    let mut parts = Vec::new();
    let (last, stages) = entries.split_last().expect("several");
    let Body::Commit {
        stages: spans,
        part: rest,
        ..
    } = decode(last).expect("intact").body
    else {
        panic!("a commit")
    };
    assert_eq!(spans.len(), stages.len());
    for (number, (stage, span)) in stages.iter().zip(spans).enumerate() {
        assert!(stage.len() <= ENTRY_BYTES_MAX);
        let Body::Stage { txn, sequence, part } = decode(stage).expect("intact").body else {
            panic!("a stage")
        };
        assert_eq!((txn, sequence), (TxnId(5), number as u32));
        let keys = || part.writes.iter().map(|write| write.key);
        assert_eq!((keys().min(), keys().max()), (Some(span.first), Some(span.last)));
        parts.push(part);
    }
    parts.push(rest);
    assert_eq!(content(&parts), content(&[Part::of(&commit)]));

    let error = encode(&commit, 1 << 20).expect_err("too large");
    assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
}

#[test]
fn keys_and_rows_beyond_the_limits_are_refused() {
    let mut commit = Commit::new(TxnId(1), LogIndex(0));
    commit.write(vec![1], Change::Put(vec![0; VALUE_BYTES_MAX]));
    assert!(
        encode(&commit, usize::MAX)
            .expect("fits")
            .iter()
            .all(|entry| entry.len() <= ENTRY_BYTES_MAX)
    );
    commit.writes[0].change = Change::Put(vec![0; VALUE_BYTES_MAX + 1]);
    assert_eq!(
        encode(&commit, usize::MAX).expect_err("too large").state(),
        SqlState::PROGRAM_LIMIT_EXCEEDED
    );
    commit.writes[0] = Write {
        key: vec![0; KEY_BYTES_MAX + 2],
        change: Change::Delete,
        read_point: LogIndex(0),
    };
    assert_eq!(
        encode(&commit, usize::MAX).expect_err("too long").state(),
        SqlState::PROGRAM_LIMIT_EXCEEDED
    );
}

/// The format is frozen: these bytes lie on disks.
#[test]
fn the_bytes_are_the_format() {
    let mut commit = Commit::new(TxnId(0x0102), LogIndex(300));
    commit.read_ranges.push(KeyRange {
        start: vec![1],
        end: Some(vec![2]),
    });
    commit.read_ranges.push(KeyRange {
        start: vec![3],
        end: None,
    });
    commit.preconditions.push(Precondition {
        read_point: LogIndex(301),
        check: Check::Exists(vec![4]),
    });
    commit.write([5], Change::Insert(vec![6, 7]));
    commit.write([8], Change::Delete);
    let mut bytes = encode(&commit, usize::MAX).expect("small").remove(0);
    stamp(&mut bytes, Timestamp(0x11));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "01\
         1100000000000000\
         02010000000000000000000000000000\
         0000000000000000\
         03\
         2c01000000000000\
         00\
         020101010102010300\
         0102010104\
         0202000105020607\
         00000108"
    );
    let discard: String = encode_discard(TxnId(1))
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(discard, "03000000000000000001000000000000000000000000000000");
}

/// A change of a row by its key relies on that key, so that each was in the log three times.
#[test]
fn a_range_of_one_key_takes_its_key_once_and_the_form_before_is_read() {
    let mut commit = Commit::new(TxnId(1), LogIndex(0));
    commit.read_ranges.push(KeyRange::point(&[5]));
    commit.preconditions.push(Precondition {
        read_point: LogIndex(0),
        check: Check::Unchanged(KeyRange::point(&[6, 0])),
    });
    let bytes = encode(&commit, usize::MAX).expect("small").remove(0);
    let part = bytes.len() - 14;
    assert_eq!(bytes[part..], [1, 2, 5, 0, 2, 1, 4, 0, 3, 6, 0, 0, 2, 0][..]);
    let before = [
        &bytes[..part],
        &[1, 1, 5, 1, 2, 5, 0, 1, 4, 0, 2, 6, 0, 1, 3, 6, 0, 0, 0],
    ]
    .concat();
    for bytes in [bytes, before] {
        let Body::Commit { part, .. } = decode(&bytes).expect("an entry").body else {
            panic!("a commit")
        };
        assert_eq!(content(&[part]), content(&[Part::of(&commit)]));
    }
}
