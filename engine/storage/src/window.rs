//! Deciding commits from what recent ones wrote.
//!
//! **Vocabulary.** The *window* is the memory of recent entries of the log: which keys the committed ones wrote.
//! Its *floor* is the lowest read point it can still judge.
//!
//! **Guarantees.** [`Window::decide`] is a function of the commit and of the log before it: no clock, no row, no
//! order of a hash map. So all replicas, and a replay after a crash, decide the same.
//!
//! **The floor is a function of the log.** The window is the longest run of entries, ending with the last, whose bytes add
//! up to at most [`Window::capacity_bytes`] (a property of the data directory). A window rebuilt from any
//! earlier entry is the same, so the log is kept from the floor on.
//!
//! **How a commit is decided.**
//! 1. The same transaction id again: the same outcome.
//! 2. Preconditions, in order, then inserts, in order: the last write to the key since the check's read point says
//!    whether it still holds. A delete since then leaves a key absent. These come first because a duplicate that is
//!    committed is a better answer than "try again".
//! 3. Repeatable read: keys that it writes, written by another since its statement's read point.
//! 4. Serializable: writes of others into its read ranges since its read point.
//!
//! A check whose read point lies below the floor rejects as too old.
//!
//! **Staged commits** write so many keys that only the span of each stage is remembered. A check that meets such a
//! span cannot know, and rejects as changed: never wrong, sometimes too careful.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use aion_base::id::{LogIndex, Timestamp, TxnId};
use aion_base::range::KeyRange;

use crate::commit::{Isolation, Outcome, Reason, Rejection};
use crate::entry::{ChangeView, CheckView, Header, Part, RangeView, Span};

pub mod written;

/// With at most this many keys since the read point, a range is checked against them instead of against all that are
/// remembered.
const FEW_KEYS: usize = 4096;

/// See the module's header.
#[derive(Debug)]
pub struct Window {
    capacity_bytes: u64,
    bytes: u64,
    floor: LogIndex,
    entries: VecDeque<Remembered>,
    keys: BTreeMap<Arc<[u8]>, LastWrite>,
    spans: VecDeque<(LogIndex, KeyRange)>,
    outcomes: HashMap<TxnId, Outcome>,
    last_committed: LogIndex,
}

/// A commit at its place in the log, as the window remembers it.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    pub index: LogIndex,
    pub entry_bytes: usize,
    pub txn: TxnId,
    pub timestamp: Timestamp,
    /// The spans of its stages.
    pub spans: &'a [Span<'a>],
    /// What is in the commit's own entry.
    pub part: &'a Part<'a>,
}

#[derive(Debug)]
struct Remembered {
    index: LogIndex,
    bytes: u64,
    txn: Option<TxnId>,
    keys: Vec<Arc<[u8]>>,
}

#[derive(Clone, Copy, Debug)]
struct LastWrite {
    index: LogIndex,
    is_delete: bool,
}

/// What happened to a key since a read point.
enum Since {
    Nothing,
    Written,
    Deleted,
    /// A staged commit may have written it.
    Unknown,
}

impl Window {
    /// An empty window before the entry after `floor`.
    pub fn new(capacity_bytes: u64, floor: LogIndex) -> Self {
        Self {
            capacity_bytes,
            bytes: 0,
            floor,
            entries: VecDeque::new(),
            keys: BTreeMap::new(),
            spans: VecDeque::new(),
            outcomes: HashMap::new(),
            last_committed: LogIndex(0),
        }
    }

    /// The lowest read point that can be judged. The log is needed from the entry after it.
    pub fn floor(&self) -> LogIndex {
        self.floor
    }

    /// What became of a transaction, if it is remembered.
    pub fn outcome(&self, txn: TxnId) -> Option<&Outcome> {
        self.outcomes.get(&txn)
    }

    /// Whether the commit may take effect at the end of the log. `parts` are its stages and its own part, in order.
    pub fn decide(&self, header: &Header, parts: &[Part<'_>]) -> Result<(), Rejection> {
        for precondition in parts.iter().flat_map(|part| &part.preconditions) {
            self.check(&precondition.check, precondition.read_point)?;
        }
        for write in parts.iter().flat_map(|part| &part.writes) {
            if matches!(write.change, ChangeView::Insert(_)) {
                self.check(&CheckView::Absent(write.key), write.read_point)?;
            }
        }
        match header.isolation {
            Isolation::ReadCommitted => {}
            Isolation::RepeatableRead => {
                for write in parts.iter().flat_map(|part| &part.writes) {
                    if !matches!(self.since(write.key, write.read_point)?, Since::Nothing) {
                        return Err(rejection(Reason::Changed, write.key));
                    }
                }
            }
            Isolation::Serializable => {
                for range in parts.iter().flat_map(|part| &part.read_ranges) {
                    if let Some(key) = self.written_in(range, header.read_point, |_| true)? {
                        return Err(rejection(Reason::Changed, &key));
                    }
                }
            }
        }
        Ok(())
    }

    /// Remembers the next entry of the log: a decided commit.
    pub fn remember_commit(&mut self, commit: &Decided<'_>, decision: Result<(), Rejection>) -> Outcome {
        let &Decided {
            index,
            entry_bytes,
            txn,
            timestamp,
            spans,
            part,
        } = commit;
        let mut keys = Vec::new();
        let outcome = match decision {
            Ok(()) => {
                keys.reserve(part.writes.len());
                for write in &part.writes {
                    let is_delete = matches!(write.change, ChangeView::Delete);
                    let last = LastWrite { index, is_delete };
                    let key: Arc<[u8]> = write.key.into();
                    self.keys.insert(key.clone(), last);
                    keys.push(key);
                }
                for span in spans {
                    let range = KeyRange::new(span.first.to_vec(), KeyRange::point(span.last).end);
                    self.spans.push_back((index, range));
                }
                if !part.writes.is_empty() || !spans.is_empty() {
                    self.last_committed = index;
                }
                Outcome::Committed { index, timestamp }
            }
            Err(rejection) => Outcome::Rejected(rejection),
        };
        self.outcomes.insert(txn, outcome.clone());
        self.remember(Remembered {
            index,
            bytes: entry_bytes as u64,
            txn: Some(txn),
            keys,
        });
        outcome
    }

    /// Remembers the next entry of the log: one that decides nothing (a stage, a discard, a commit that was proposed twice).
    pub fn remember_other(&mut self, index: LogIndex, entry_bytes: usize) {
        self.remember(Remembered {
            index,
            bytes: entry_bytes as u64,
            txn: None,
            keys: Vec::new(),
        });
    }

    fn remember(&mut self, entry: Remembered) {
        let before = self.entries.back().map_or(self.floor, |last| last.index);
        assert_eq!(entry.index, before.next(), "entries are remembered in order");
        self.bytes += entry.bytes;
        self.entries.push_back(entry);
        while self.bytes > self.capacity_bytes {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.bytes;
            self.floor = oldest.index;
            for key in oldest.keys {
                if self.keys.get(&key).is_some_and(|last| last.index == oldest.index) {
                    self.keys.remove(&key);
                }
            }
            while self.spans.front().is_some_and(|(index, _)| *index == oldest.index) {
                self.spans.pop_front();
            }
            if let Some(txn) = oldest.txn {
                self.outcomes.remove(&txn);
            }
        }
    }

    fn check(&self, check: &CheckView<'_>, read_point: LogIndex) -> Result<(), Rejection> {
        match check {
            CheckView::Absent(key) => match self.since(key, read_point)? {
                Since::Nothing | Since::Deleted => Ok(()),
                Since::Written => Err(rejection(Reason::Duplicate, key)),
                Since::Unknown => Err(rejection(Reason::Changed, key)),
            },
            CheckView::Exists(key) => match self.since(key, read_point)? {
                Since::Nothing | Since::Written => Ok(()),
                Since::Deleted => Err(rejection(Reason::Missing, key)),
                Since::Unknown => Err(rejection(Reason::Changed, key)),
            },
            CheckView::Empty(range) => {
                self.check_age(read_point)?;
                if let Some(span) = self.span_in(range, read_point) {
                    return Err(rejection(Reason::Changed, span));
                }
                match self.written_in(range, read_point, |last| !last.is_delete)? {
                    None => Ok(()),
                    Some(key) => Err(rejection(Reason::NotEmpty, &key)),
                }
            }
            CheckView::Unchanged(range) => match self.written_in(range, read_point, |_| true)? {
                None => Ok(()),
                Some(key) => Err(rejection(Reason::Changed, &key)),
            },
        }
    }

    fn check_age(&self, read_point: LogIndex) -> Result<(), Rejection> {
        if read_point < self.floor {
            Err(rejection(Reason::TooOld, &[]))
        } else {
            Ok(())
        }
    }

    /// Whether it is known that nobody has written `key` since.
    pub fn is_unwritten_since(&self, key: &[u8], read_point: LogIndex) -> bool {
        matches!(self.since(key, read_point), Ok(Since::Nothing))
    }

    fn since(&self, key: &[u8], read_point: LogIndex) -> Result<Since, Rejection> {
        self.check_age(read_point)?;
        if self.last_committed <= read_point {
            return Ok(Since::Nothing);
        }
        let point = self.keys.get(key).filter(|last| last.index > read_point);
        let span = self
            .spans_since(read_point)
            .filter(|(_, range)| range.contains(key))
            .map(|(index, _)| *index)
            .last();
        Ok(match (point, span) {
            (None, None) => Since::Nothing,
            (Some(last), span) if span.is_none_or(|index| index < last.index) => {
                if last.is_delete {
                    Since::Deleted
                } else {
                    Since::Written
                }
            }
            _ => Since::Unknown,
        })
    }

    /// The smallest key of `range` whose last write since `read_point` is of the kind wanted, or the start of a span that meets it.
    fn written_in(
        &self,
        range: &RangeView<'_>,
        read_point: LogIndex,
        wanted: impl Fn(&LastWrite) -> bool,
    ) -> Result<Option<Vec<u8>>, Rejection> {
        self.check_age(read_point)?;
        if self.last_committed <= read_point || range.is_empty() {
            return Ok(None);
        }
        if let Some(start) = self.span_in(range, read_point) {
            return Ok(Some(start.to_vec()));
        }
        let is_hit = |last: &LastWrite| last.index > read_point && wanted(last);
        let first = self.entries.partition_point(|entry| entry.index <= read_point);
        let mut few = 0;
        let are_few = self.entries.range(first..).all(|entry| {
            few += entry.keys.len();
            few <= FEW_KEYS
        });
        if are_few {
            let keys = self.entries.range(first..).flat_map(|entry| &entry.keys);
            let hits = keys.filter(|key| range.contains(key) && self.keys.get(*key).is_some_and(is_hit));
            return Ok(hits.min().map(|key| key.to_vec()));
        }
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut keys = self.keys.range::<[u8], _>((Bound::Included(range.start), end));
        Ok(keys.find(|(_, last)| is_hit(last)).map(|(key, _)| key.to_vec()))
    }

    fn spans_since(&self, read_point: LogIndex) -> impl Iterator<Item = &(LogIndex, KeyRange)> {
        let first = self.spans.partition_point(|(index, _)| *index <= read_point);
        self.spans.range(first..)
    }

    fn span_in(&self, range: &RangeView<'_>, read_point: LogIndex) -> Option<&[u8]> {
        let meets = |span: &KeyRange| {
            range.end.is_none_or(|end| span.start.as_slice() < end)
                && span.end.as_deref().is_none_or(|end| range.start < end)
        };
        let spans = self.spans_since(read_point).filter(|(_, span)| meets(span));
        spans.map(|(_, span)| span.start.as_slice()).min()
    }
}

fn rejection(reason: Reason, key: &[u8]) -> Rejection {
    Rejection {
        reason,
        key: key.to_vec(),
    }
}

#[cfg(test)]
mod tests;
