//! The bytes of an entry of the log.
//!
//! ```text
//! entry      kind u8 | timestamp u64 LE, set when appended | body
//!
//! 1 commit   txn u128 LE | shard u32 LE | epoch u32 LE | isolation u8 | read point u64 LE
//!            | number of stages v | for each stage: first key b, last key b | part
//! 2 stage    txn u128 LE | sequence u32 LE, from 0 | read point u64 LE | part
//! 3 discard  txn u128 LE
//!
//! part       number v | read ranges: a range each
//!            number v | preconditions: check u8 (1 absent, 2 exists, 3 empty, 4 unchanged), read point r, key b or range
//!            number v | writes: change u8 (0 delete, 1 put, 2 insert), read point r, key b, value b unless delete
//!
//! range      start b, 0 u8            all keys from there on
//!            start b, 1 u8, end b
//!            end b, 2 u8              one key: the end without the zero byte that it ends with. Older programs know no 2, and wrote such a range as others
//!
//! v  unsigned LEB128      b  length v, then that many bytes      r  v, added to the read point of the entry
//! ```
//!
//! **Staging.** A commit that does not fit into one entry becomes stages, invisible, and one commit that names their
//! number and the span of the keys that each writes. The spans stand in the commit so that whoever needs to know
//! what it may have written need not keep the stages. A discard gives stages up whose commit never came.

pub mod fuzz;

use aion_base::id::{Epoch, LogIndex, ShardId, Timestamp, TxnId};
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};

use crate::commit::{Change, Check, Commit, Isolation, KEY_BYTES_MAX, VALUE_BYTES_MAX, Write};
use crate::log::ENTRY_BYTES_MAX;

const COMMIT: u8 = 1;
const STAGE: u8 = 2;
const DISCARD: u8 = 3;

/// Stages are closed at this size, so that the entry with its header stays below [`ENTRY_BYTES_MAX`].
const PART_BYTES_TARGET: usize = 2 << 20;
const TIMESTAMP_AT: usize = 1;

/// An entry, borrowed from its bytes.
#[derive(Debug)]
pub struct Entry<'a> {
    pub timestamp: Timestamp,
    pub body: Body<'a>,
}

#[derive(Debug)]
pub enum Body<'a> {
    Commit {
        header: Header,
        stages: Vec<Span<'a>>,
        part: Part<'a>,
    },
    Stage {
        txn: TxnId,
        sequence: u32,
        part: Part<'a>,
    },
    Discard {
        txn: TxnId,
    },
}

/// A commit without its lists.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub txn: TxnId,
    pub shard: ShardId,
    pub epoch: Epoch,
    pub isolation: Isolation,
    pub read_point: LogIndex,
}

/// The keys that a stage writes lie from `first` to `last`, both included.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    pub first: &'a [u8],
    pub last: &'a [u8],
}

/// Some of a commit's lists.
#[derive(Debug, Default)]
pub struct Part<'a> {
    pub read_ranges: Vec<RangeView<'a>>,
    pub preconditions: Vec<PreconditionView<'a>>,
    pub writes: Vec<WriteView<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub struct RangeView<'a> {
    pub start: &'a [u8],
    pub end: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug)]
pub struct PreconditionView<'a> {
    pub read_point: LogIndex,
    pub check: CheckView<'a>,
}

#[derive(Clone, Copy, Debug)]
pub enum CheckView<'a> {
    Absent(&'a [u8]),
    Exists(&'a [u8]),
    Empty(RangeView<'a>),
    Unchanged(RangeView<'a>),
}

#[derive(Clone, Copy, Debug)]
pub struct WriteView<'a> {
    pub key: &'a [u8],
    pub change: ChangeView<'a>,
    pub read_point: LogIndex,
}

#[derive(Clone, Copy, Debug)]
pub enum ChangeView<'a> {
    Delete,
    Put(&'a [u8]),
    Insert(&'a [u8]),
}

#[cfg(test)]
impl Header {
    pub fn of(commit: &Commit) -> Self {
        Self {
            txn: commit.txn,
            shard: commit.shard,
            epoch: commit.epoch,
            isolation: commit.isolation,
            read_point: commit.read_point,
        }
    }
}

#[cfg(test)]
impl<'a> Part<'a> {
    /// All of a commit.
    pub fn of(commit: &'a Commit) -> Self {
        Self {
            read_ranges: commit.read_ranges.iter().map(RangeView::of).collect(),
            preconditions: commit
                .preconditions
                .iter()
                .map(|precondition| PreconditionView {
                    read_point: precondition.read_point,
                    check: match &precondition.check {
                        Check::Absent(key) => CheckView::Absent(key),
                        Check::Exists(key) => CheckView::Exists(key),
                        Check::Empty(range) => CheckView::Empty(RangeView::of(range)),
                        Check::Unchanged(range) => CheckView::Unchanged(RangeView::of(range)),
                    },
                })
                .collect(),
            writes: commit
                .writes
                .iter()
                .map(|write| WriteView {
                    key: &write.key,
                    read_point: write.read_point,
                    change: match &write.change {
                        Change::Delete => ChangeView::Delete,
                        Change::Put(value) => ChangeView::Put(value),
                        Change::Insert(value) => ChangeView::Insert(value),
                    },
                })
                .collect(),
        }
    }
}

impl<'a> RangeView<'a> {
    pub fn of(range: &'a KeyRange) -> Self {
        Self {
            start: &range.start,
            end: range.end.as_deref(),
        }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        self.start <= key && self.end.is_none_or(|end| key < end)
    }

    pub fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| end <= self.start)
    }
}

/// Puts the commit time into an entry's bytes.
pub fn stamp(entry: &mut [u8], timestamp: Timestamp) {
    entry[TIMESTAMP_AT..TIMESTAMP_AT + 8].copy_from_slice(&timestamp.0.to_le_bytes());
}

/// The entries of a commit: its stages, if it needs any, and the commit, last.
///
/// # Errors
/// 54000 for a key or value beyond the limits, or a transaction beyond `bytes_max`.
pub fn encode(commit: &Commit, bytes_max: usize) -> Result<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    let mut spans: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut part = PartWriter::default();
    let mut total = 0;
    let base = commit.read_point;
    let expected = commit.writes.iter().map(write_bytes).sum::<usize>();
    part.writes.1.reserve(expected.min(PART_BYTES_TARGET));
    let mut close_if_full = |part: &mut PartWriter, next: usize| -> Result<()> {
        total += next;
        if total > bytes_max {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("the transaction is larger than {bytes_max} bytes"),
            )
            .with_hint("Split it, or raise max_transaction_bytes."));
        }
        if part.bytes() + next > PART_BYTES_TARGET && part.bytes() > 0 {
            let sequence = spans.len() as u32;
            let (bytes, span) = std::mem::take(part).stage(commit.txn, sequence, base);
            entries.push(bytes);
            spans.push(span);
        }
        Ok(())
    };
    for range in &commit.read_ranges {
        check_key(&range.start)?;
        range.end.as_deref().map_or(Ok(()), check_key)?;
        close_if_full(
            &mut part,
            range.start.len() + range.end.as_ref().map_or(0, Vec::len) + 12,
        )?;
        part.read_range(RangeView::of(range));
    }
    for precondition in &commit.preconditions {
        let offset = offset_of(precondition.read_point, base)?;
        let size = match &precondition.check {
            Check::Absent(key) | Check::Exists(key) => check_key(key).map(|()| key.len())?,
            Check::Empty(range) | Check::Unchanged(range) => {
                check_key(&range.start)?;
                range.end.as_deref().map_or(Ok(()), check_key)?;
                range.start.len() + range.end.as_ref().map_or(0, Vec::len)
            }
        };
        close_if_full(&mut part, size + 24)?;
        part.precondition(&precondition.check, offset);
    }
    for write in &commit.writes {
        check_key(&write.key)?;
        let value = match &write.change {
            Change::Delete => 0,
            Change::Put(value) | Change::Insert(value) => value.len(),
        };
        if value > VALUE_BYTES_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a row of {value} bytes is larger than {VALUE_BYTES_MAX} bytes"),
            ));
        }
        close_if_full(&mut part, write_bytes(write))?;
        part.write(write, offset_of(write.read_point, base)?);
    }
    let mut bytes = Vec::with_capacity(part.bytes() + 128);
    bytes.push(COMMIT);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&commit.txn.0.to_le_bytes());
    bytes.extend_from_slice(&commit.shard.0.to_le_bytes());
    bytes.extend_from_slice(&commit.epoch.0.to_le_bytes());
    bytes.push(commit.isolation as u8);
    bytes.extend_from_slice(&base.0.to_le_bytes());
    put_number(&mut bytes, spans.len() as u64);
    for (first, last) in &spans {
        put_bytes(&mut bytes, first);
        put_bytes(&mut bytes, last);
    }
    part.finish(&mut bytes);
    if bytes.len() > ENTRY_BYTES_MAX {
        // Reached by the spans of hundreds of stages with keys of the largest size only.
        return Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "the transaction writes too many long keys",
        ));
    }
    entries.push(bytes);
    Ok(entries)
}

/// Whether a commit is one entry of the log: only then can the checks of the next one tell its keys from those between them.
pub fn is_one_entry(commit: &Commit) -> bool {
    let needs_none = commit.read_ranges.is_empty() && commit.preconditions.is_empty();
    needs_none && commit.writes.iter().map(write_bytes).sum::<usize>() <= PART_BYTES_TARGET
}

/// What a write takes in an entry, at most.
fn write_bytes(write: &Write) -> usize {
    let value = match &write.change {
        Change::Delete => 0,
        Change::Put(value) | Change::Insert(value) => value.len(),
    };
    write.key.len() + value + 24
}

/// An entry that gives up the stages of `txn`.
pub fn encode_discard(txn: TxnId) -> Vec<u8> {
    let mut bytes = vec![DISCARD];
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&txn.0.to_le_bytes());
    bytes
}

fn check_key(key: &[u8]) -> Result<()> {
    // A range may end one byte after the longest key.
    if key.len() > KEY_BYTES_MAX + 1 {
        return Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("a key of {} bytes is larger than {KEY_BYTES_MAX} bytes", key.len()),
        ));
    }
    Ok(())
}

fn offset_of(read_point: LogIndex, base: LogIndex) -> Result<u64> {
    read_point.0.checked_sub(base.0).ok_or_else(|| {
        Error::internal(format!(
            "a statement's read point {read_point} is before its transaction's, {base}"
        ))
    })
}

/// A part in the making.
#[derive(Default)]
struct PartWriter {
    ranges: (u64, Vec<u8>),
    preconditions: (u64, Vec<u8>),
    writes: (u64, Vec<u8>),
    span: Option<(Vec<u8>, Vec<u8>)>,
}

impl PartWriter {
    fn bytes(&self) -> usize {
        self.ranges.1.len() + self.preconditions.1.len() + self.writes.1.len()
    }

    fn read_range(&mut self, range: RangeView<'_>) {
        self.ranges.0 += 1;
        put_range(&mut self.ranges.1, range);
    }

    fn precondition(&mut self, check: &Check, offset: u64) {
        self.preconditions.0 += 1;
        let out = &mut self.preconditions.1;
        out.push(match check {
            Check::Absent(_) => 1,
            Check::Exists(_) => 2,
            Check::Empty(_) => 3,
            Check::Unchanged(_) => 4,
        });
        put_number(out, offset);
        match check {
            Check::Absent(key) | Check::Exists(key) => put_bytes(out, key),
            Check::Empty(range) | Check::Unchanged(range) => put_range(out, RangeView::of(range)),
        }
    }

    fn write(&mut self, write: &Write, offset: u64) {
        self.writes.0 += 1;
        let out = &mut self.writes.1;
        let (change, value) = match &write.change {
            Change::Delete => (0, None),
            Change::Put(value) => (1, Some(value)),
            Change::Insert(value) => (2, Some(value)),
        };
        out.push(change);
        put_number(out, offset);
        put_bytes(out, &write.key);
        if let Some(value) = value {
            put_bytes(out, value);
        }
        match &mut self.span {
            None => self.span = Some((write.key.clone(), write.key.clone())),
            Some((first, last)) => {
                if write.key < *first {
                    first.clone_from(&write.key);
                } else if write.key > *last {
                    last.clone_from(&write.key);
                }
            }
        }
    }

    fn finish(&self, out: &mut Vec<u8>) {
        for (number, bytes) in [&self.ranges, &self.preconditions, &self.writes] {
            put_number(out, *number);
            out.extend_from_slice(bytes);
        }
    }

    /// The part as a stage, and the span of its keys. A stage that writes nothing has the span of the empty key.
    fn stage(self, txn: TxnId, sequence: u32, base: LogIndex) -> (Vec<u8>, (Vec<u8>, Vec<u8>)) {
        let mut bytes = Vec::with_capacity(self.bytes() + 64);
        bytes.push(STAGE);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&txn.0.to_le_bytes());
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&base.0.to_le_bytes());
        self.finish(&mut bytes);
        (bytes, self.span.unwrap_or_default())
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_range(out: &mut Vec<u8>, range: RangeView<'_>) {
    match range.end {
        // Most are of one key.
        Some(end) if end.strip_suffix(&[0]) == Some(range.start) => {
            put_bytes(out, end);
            out.push(ONE_KEY);
        }
        Some(end) => {
            put_bytes(out, range.start);
            out.push(WITH_END);
            put_bytes(out, end);
        }
        None => {
            put_bytes(out, range.start);
            out.push(WITHOUT_END);
        }
    }
}

/// What follows the first bytes of a range.
const WITHOUT_END: u8 = 0;
const WITH_END: u8 = 1;
const ONE_KEY: u8 = 2;

/// Reads an entry's bytes.
///
/// # Errors
/// Corrupt where they are not what [`encode`] or [`encode_discard`] writes.
pub fn decode(bytes: &[u8]) -> Result<Entry<'_>> {
    let mut reader = Reader { rest: bytes };
    let entry = reader
        .entry()
        .and_then(|entry| if reader.rest.is_empty() { Some(entry) } else { None });
    entry.ok_or_else(|| Error::corrupt("an entry of the log has a valid checksum and an unknown content"))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn entry(&mut self) -> Option<Entry<'a>> {
        let kind = self.u8()?;
        let timestamp = Timestamp(self.u64()?);
        let txn = TxnId(u128::from_le_bytes(self.take(16)?.try_into().ok()?));
        let body = match kind {
            COMMIT => {
                let shard = ShardId(self.u32()?);
                let epoch = Epoch(self.u32()?);
                let isolation = match self.u8()? {
                    1 => Isolation::ReadCommitted,
                    2 => Isolation::RepeatableRead,
                    3 => Isolation::Serializable,
                    _ => return None,
                };
                let read_point = LogIndex(self.u64()?);
                let number = self.count(2)?;
                let stages = (0..number)
                    .map(|_| {
                        Some(Span {
                            first: self.bytes()?,
                            last: self.bytes()?,
                        })
                    })
                    .collect::<Option<Vec<_>>>()?;
                let header = Header {
                    txn,
                    shard,
                    epoch,
                    isolation,
                    read_point,
                };
                Body::Commit {
                    header,
                    stages,
                    part: self.part(read_point)?,
                }
            }
            STAGE => {
                let sequence = self.u32()?;
                let read_point = LogIndex(self.u64()?);
                Body::Stage {
                    txn,
                    sequence,
                    part: self.part(read_point)?,
                }
            }
            DISCARD => Body::Discard { txn },
            _ => return None,
        };
        Some(Entry { timestamp, body })
    }

    fn part(&mut self, base: LogIndex) -> Option<Part<'a>> {
        let number = self.count(2)?;
        let read_ranges = (0..number).map(|_| self.range()).collect::<Option<_>>()?;
        let number = self.count(3)?;
        let preconditions = (0..number)
            .map(|_| {
                let kind = self.u8()?;
                let read_point = self.read_point(base)?;
                let check = match kind {
                    1 => CheckView::Absent(self.bytes()?),
                    2 => CheckView::Exists(self.bytes()?),
                    3 => CheckView::Empty(self.range()?),
                    4 => CheckView::Unchanged(self.range()?),
                    _ => return None,
                };
                Some(PreconditionView { read_point, check })
            })
            .collect::<Option<_>>()?;
        let number = self.count(3)?;
        let writes = (0..number)
            .map(|_| {
                let kind = self.u8()?;
                let read_point = self.read_point(base)?;
                let key = self.bytes()?;
                let change = match kind {
                    0 => ChangeView::Delete,
                    1 => ChangeView::Put(self.bytes()?),
                    2 => ChangeView::Insert(self.bytes()?),
                    _ => return None,
                };
                Some(WriteView {
                    key,
                    change,
                    read_point,
                })
            })
            .collect::<Option<_>>()?;
        Some(Part {
            read_ranges,
            preconditions,
            writes,
        })
    }

    fn range(&mut self) -> Option<RangeView<'a>> {
        let first = self.bytes()?;
        match self.u8()? {
            WITHOUT_END => Some(RangeView {
                start: first,
                end: None,
            }),
            WITH_END => Some(RangeView {
                start: first,
                end: Some(self.bytes()?),
            }),
            ONE_KEY => Some(RangeView {
                start: first.strip_suffix(&[0])?,
                end: Some(first),
            }),
            _ => None,
        }
    }

    fn read_point(&mut self, base: LogIndex) -> Option<LogIndex> {
        base.0.checked_add(self.number()?).map(LogIndex)
    }

    /// A number of items of at least `bytes_min` bytes each: never more than the rest can hold.
    fn count(&mut self, bytes_min: usize) -> Option<usize> {
        let number = usize::try_from(self.number()?).ok()?;
        (number <= self.rest.len() / bytes_min).then_some(number)
    }

    fn take(&mut self, number: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(number)?;
        self.rest = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)
            .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }
}

#[cfg(test)]
mod tests;
