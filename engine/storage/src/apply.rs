//! The apply function: entries of the log, in order, become rows.
//!
//! A *unit* is what one proposal put into the log: a commit with its stages before it, or a discard. [`Applier::apply`]
//! decides each unit and makes the effect of a run of units visible in one batch. It is given the bytes of the entries and
//! their index and reads nothing else but the window, so it does the same on every replica and in a replay.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use aion_base::id::{Epoch, LogIndex, ShardId, Term, Timestamp, TxnId};
use aion_base::plant::{Plant, is_planted};
use aion_base::{Error, Result};

use crate::commit::Outcome;
use crate::derived::Derived;
use crate::entry::{self, Body, ChangeView, Part};
use crate::log::Position;
use crate::rows::{Applied, Batch, Note, RowWrite, Rows};
use crate::window::{Decided, Window};

/// One proposal, as it lies in the log.
#[derive(Debug)]
pub struct Unit {
    /// The index of the last of `entries`. Stages that were replayed come without an index of their own: they were
    /// remembered when they were met.
    pub index: LogIndex,
    pub term: Term,
    /// Stages in order, then the commit or discard.
    pub entries: Vec<Vec<u8>>,
    /// How many of the stages directly before `index` are not yet remembered by the window.
    pub new_stages: usize,
}

/// See the module's header.
#[derive(Debug)]
pub struct Applier {
    rows: Arc<dyn Rows>,
    window: Window,
    applied: Applied,
    forgotten_notes: LogIndex,
    noted: VecDeque<LogIndex>,
    followers: Vec<Arc<dyn Derived>>,
    /// The entry that is applied again where [`Plant::Apply`] is planted.
    again: Option<Vec<u8>>,
}

impl Applier {
    /// An applier whose rows hold the effect of `applied` and whose window remembers what is up to there.
    pub fn new(rows: Arc<dyn Rows>, window: Window, applied: Applied, noted: VecDeque<LogIndex>) -> Self {
        Self {
            rows,
            window,
            applied,
            forgotten_notes: LogIndex(0),
            noted,
            followers: Vec::new(),
            again: None,
        }
    }

    /// From now on tells `follower` of every commit that takes effect.
    pub fn follow(&mut self, follower: Arc<dyn Derived>) {
        follower.reached(self.applied.index);
        self.followers.push(follower);
    }

    pub fn applied(&self) -> Applied {
        self.applied
    }

    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Remembers a stage that was met in the log; its commit may follow.
    pub fn remember_stage(&mut self, index: LogIndex, bytes: usize) {
        self.window.remember_other(index, bytes);
    }

    /// Decides `units` and makes their effect visible together; an outcome for each that is a commit.
    ///
    /// # Errors
    /// Any error leaves window and rows apart: the store must stop.
    pub fn apply(&mut self, units: &[Unit]) -> Result<Vec<Option<Outcome>>> {
        let again = self.again.take();
        let mut batch = Batch::default();
        let mut outcomes = Vec::with_capacity(units.len());
        // Where the writes of each unit end in the batch.
        let mut ends = Vec::with_capacity(units.len());
        for unit in units {
            outcomes.push(self.apply_unit(unit, &mut batch)?);
            ends.push((unit.index, batch.writes.len()));
        }
        while self.noted.front().is_some_and(|index| *index <= self.window.floor()) {
            self.noted.pop_front();
            self.forgotten_notes = self.window.floor();
            batch.forget_notes = self.forgotten_notes;
        }
        if is_planted(Plant::Apply) {
            apply_again(again.as_deref(), &mut batch)?;
            // Only where several commit at a time: a definition that came back would end the run before anybody looks.
            let first = units.first().filter(|_| units.len() > 1);
            self.again = first.and_then(|unit| unit.entries.last()).cloned();
        }
        batch.applied = self.applied;
        self.rows.apply(&batch)?;
        self.tell(&ends, &batch);
        Ok(outcomes)
    }

    /// Tells the followers, now that the rows are visible.
    fn tell(&self, ends: &[(LogIndex, usize)], batch: &Batch<'_>) {
        for follower in &self.followers {
            let mut start = 0;
            for &(index, end) in ends {
                if end > start {
                    follower.applied(index, &batch.writes[start..end]);
                }
                start = end;
            }
            follower.reached(self.applied.index);
        }
    }

    fn apply_unit<'a>(&mut self, unit: &'a Unit, batch: &mut Batch<'a>) -> Result<Option<Outcome>> {
        let (last, stages) = unit
            .entries
            .split_last()
            .ok_or_else(|| Error::internal("a unit has an entry"))?;
        for (back, stage) in stages.iter().rev().take(unit.new_stages).enumerate().rev() {
            self.window
                .remember_other(LogIndex(unit.index.0 - 1 - back as u64), stage.len());
        }
        let decoded = entry::decode(last)?;
        let timestamp = decoded.timestamp;
        self.applied = Applied {
            index: unit.index,
            term: unit.term,
            timestamp,
        };
        let Body::Commit {
            header,
            stages: spans,
            part,
        } = decoded.body
        else {
            self.window.remember_other(unit.index, last.len());
            return Ok(None);
        };
        if (header.shard, header.epoch) != (ShardId(0), Epoch(0)) {
            return Err(Error::corrupt(format!(
                "entry {} of the log belongs to shard {} in epoch {}, and this store holds shard 0 in epoch 0",
                unit.index, header.shard, header.epoch
            )));
        }
        if let Some(outcome) = self.window.outcome(header.txn) {
            let outcome = outcome.clone();
            self.window.remember_other(unit.index, last.len());
            self.note(unit.index, Note::Repeated, batch);
            return Ok(Some(outcome));
        }
        let mut parts = stage_parts(stages, header.txn)?;
        if parts.len() != spans.len() {
            return Err(Error::corrupt(format!(
                "entry {} of the log commits {} stages, and {} are there",
                unit.index,
                spans.len(),
                parts.len()
            )));
        }
        parts.push(part);
        let decision = self.window.decide(&header, &parts);
        let is_accepted = decision.is_ok();
        let own = parts.last().expect("pushed above");
        let decided = Decided {
            index: unit.index,
            entry_bytes: last.len(),
            txn: header.txn,
            timestamp,
            spans: &spans,
            part: own,
        };
        let outcome = self.window.remember_commit(&decided, decision);
        if is_accepted {
            push_writes(&parts, timestamp, batch);
        } else if let Outcome::Rejected(rejection) = &outcome {
            self.note(unit.index, Note::Rejected(rejection.clone()), batch);
        }
        Ok(Some(outcome))
    }

    fn note(&mut self, index: LogIndex, note: Note, batch: &mut Batch<'_>) {
        batch.notes.push((index, note));
        self.noted.push_back(index);
    }
}

fn stage_parts(stages: &[Vec<u8>], wanted: TxnId) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::with_capacity(stages.len() + 1);
    for bytes in stages {
        match entry::decode(bytes)?.body {
            Body::Stage { txn, sequence, part } if txn == wanted && sequence as usize == parts.len() => {
                parts.push(part)
            }
            _ => return Err(Error::corrupt("a stage of the log is not where its commit says")),
        }
    }
    Ok(parts)
}

fn push_writes<'a>(parts: &[Part<'a>], timestamp: Timestamp, batch: &mut Batch<'a>) {
    for write in parts.iter().flat_map(|part| &part.writes) {
        let value = match write.change {
            ChangeView::Delete => None,
            ChangeView::Put(value) | ChangeView::Insert(value) => Some(value),
        };
        batch.writes.push(RowWrite {
            key: write.key,
            timestamp,
            value,
        });
    }
}

/// The mistake of [`Plant::Apply`].
fn apply_again<'a>(entry: Option<&'a [u8]>, batch: &mut Batch<'a>) -> Result<()> {
    let Some(bytes) = entry else { return Ok(()) };
    let decoded = entry::decode(bytes)?;
    if let Body::Commit { part, .. } = decoded.body {
        push_writes(&[part], decoded.timestamp, batch);
    }
    Ok(())
}

/// Rebuilds a window from entries whose effect is in the rows already, without deciding again.
#[derive(Debug)]
pub struct Rebuild {
    window: Window,
    notes: BTreeMap<LogIndex, Note>,
}

impl Rebuild {
    /// Begins before the entry after `before`, with the notes that the rows hold.
    pub fn new(capacity_bytes: u64, before: LogIndex, notes: Vec<(LogIndex, Note)>) -> Self {
        Self {
            window: Window::new(capacity_bytes, before),
            notes: notes.into_iter().collect(),
        }
    }

    /// Remembers the next entry.
    ///
    /// # Errors
    /// Corrupt, when the entry cannot be read.
    pub fn remember(&mut self, index: LogIndex, bytes: &[u8]) -> Result<()> {
        let decoded = entry::decode(bytes)?;
        let Body::Commit { header, stages, part } = decoded.body else {
            self.window.remember_other(index, bytes.len());
            return Ok(());
        };
        let decision = match self.notes.get(&index) {
            None => Ok(()),
            Some(Note::Rejected(rejection)) => Err(rejection.clone()),
            Some(Note::Repeated) => {
                self.window.remember_other(index, bytes.len());
                return Ok(());
            }
        };
        let decided = Decided {
            index,
            entry_bytes: bytes.len(),
            txn: header.txn,
            timestamp: decoded.timestamp,
            spans: &stages,
            part: &part,
        };
        self.window.remember_commit(&decided, decision);
        Ok(())
    }

    /// The window, and the entries that have notes.
    pub fn finish(self) -> (Window, VecDeque<LogIndex>) {
        (self.window, self.notes.into_keys().collect())
    }
}

/// Stages in the log whose commit was not seen yet, or is not durable in the rows.
#[derive(Debug, Default)]
pub struct Stages {
    open: BTreeMap<TxnId, (LogIndex, Vec<Position>)>,
    /// Commit and first stage of those that are applied.
    applied: VecDeque<(LogIndex, LogIndex)>,
}

impl Stages {
    pub fn add(&mut self, txn: TxnId, index: LogIndex, position: Position) {
        self.open
            .entry(txn)
            .or_insert_with(|| (index, Vec::new()))
            .1
            .push(position);
    }

    /// The stages of a commit or discard at `index`; they stay in the log until that is durably applied.
    pub fn take(&mut self, txn: TxnId, index: LogIndex) -> Vec<Position> {
        let Some((first, positions)) = self.open.remove(&txn) else {
            return Vec::new();
        };
        self.applied.push_back((index, first));
        positions
    }

    /// Transactions whose commit never came.
    pub fn abandoned(&self) -> Vec<TxnId> {
        self.open.keys().copied().collect()
    }

    /// The last entry that the log may give up as far as stages are concerned.
    pub fn purge_limit(&mut self, durable: LogIndex) -> LogIndex {
        self.applied.retain(|(commit, _)| *commit > durable);
        let open = self.open.values().map(|(first, _)| *first);
        let first = open.chain(self.applied.iter().map(|(_, first)| *first)).min();
        first.map_or(LogIndex(u64::MAX), |first| LogIndex(first.0 - 1))
    }
}
