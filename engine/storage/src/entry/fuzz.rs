//! Entries for a fuzzer: whatever bytes are read, what was read is written again and reads the same.

use super::{Body, ChangeView, CheckView, Part, RangeView, decode};
use crate::commit::{Change, Check, Commit, Precondition, Write};
use aion_base::range::KeyRange;

/// Reads `data` as an entry. Without stages it is written again, and read again.
pub fn entry(data: &[u8]) {
    let Ok(read) = decode(data) else { return };
    let Body::Commit { header, stages, part } = &read.body else {
        return;
    };
    let mut commit = Commit::new(header.txn, header.read_point);
    (commit.shard, commit.epoch, commit.isolation) = (header.shard, header.epoch, header.isolation);
    fill(&mut commit, part);
    // A key or a value beyond the limits, which only a fuzzer writes.
    let Ok(entries) = super::encode(&commit, usize::MAX) else {
        return;
    };
    if !stages.is_empty() || entries.len() != 1 {
        return;
    }
    let again = decode(&entries[0]).expect("what was written is read");
    assert_eq!(format!("{:?}", read.body), format!("{:?}", again.body));
}

fn fill(commit: &mut Commit, part: &Part<'_>) {
    let range = |view: &RangeView<'_>| KeyRange {
        start: view.start.to_vec(),
        end: view.end.map(<[u8]>::to_vec),
    };
    commit.read_ranges = part.read_ranges.iter().map(range).collect();
    let preconditions = part.preconditions.iter().map(|precondition| Precondition {
        read_point: precondition.read_point,
        check: match &precondition.check {
            CheckView::Absent(key) => Check::Absent(key.to_vec()),
            CheckView::Exists(key) => Check::Exists(key.to_vec()),
            CheckView::Empty(view) => Check::Empty(range(view)),
            CheckView::Unchanged(view) => Check::Unchanged(range(view)),
        },
    });
    commit.preconditions = preconditions.collect();
    let writes = part.writes.iter().map(|write| Write {
        key: write.key.to_vec(),
        change: match write.change {
            ChangeView::Delete => Change::Delete,
            ChangeView::Put(value) => Change::Put(value.to_vec()),
            ChangeView::Insert(value) => Change::Insert(value.to_vec()),
        },
        read_point: write.read_point,
    });
    commit.writes = writes.collect();
}
