//! What must hold at the commit whatever the isolation, because the transaction saw it hold.
//!
//! Two kinds stand side by side. What a statement *read* must be unchanged: the descriptors that it was planned with, ranges. What a
//! statement *wrote* may demand something of other keys: that the row which a new one refers to exists, that nothing refers to one that
//! goes. The first stays when the statement is taken back to a savepoint, for its answer was seen; the second goes with it.
//!
//! When the view moves forward, demands of the second kind that may no longer hold as they were seen stay where they are: a row that is
//! referred to may have been changed, and is there all the same. The commit decides.

use std::collections::{BTreeSet, HashSet};

use aion_base::id::LogIndex;
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_storage::{Check, Precondition};

use super::{Transaction, WRITE_SET_BYTES_MAX, get_committed};

/// In the order in which they were asked for, each once.
#[derive(Debug, Default)]
pub(super) struct Checks {
    all: Vec<Precondition>,
    known: HashSet<Check>,
    /// Of their keys.
    bytes: usize,
}

impl Checks {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Precondition> {
        self.all.iter()
    }

    pub fn into_preconditions(self) -> Vec<Precondition> {
        self.all
    }

    /// Adds one, unless it is there: the oldest says more than a newer one.
    fn add(&mut self, check: Check, read_point: LogIndex) -> Result<()> {
        if self.known.contains(&check) {
            return Ok(());
        }
        let bytes = size(&check);
        if self.bytes + bytes > WRITE_SET_BYTES_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("the transaction relies upon keys of more than {WRITE_SET_BYTES_MAX} bytes"),
            )
            .with_hint("Split it into several transactions."));
        }
        self.bytes += bytes;
        self.known.insert(check.clone());
        self.all.push(Precondition { read_point, check });
        Ok(())
    }

    pub fn truncate(&mut self, len: usize) {
        for gone in self.all.split_off(len.min(self.all.len())) {
            self.bytes -= size(&gone.check);
            self.known.remove(&gone.check);
        }
    }

    /// Takes back what writes demanded, behind the first `len`.
    pub fn forget_writes_since(&mut self, len: usize) {
        let later = self.all.split_off(len.min(self.all.len()));
        for precondition in later {
            if is_of_read(&precondition.check) {
                self.all.push(precondition);
            } else {
                self.bytes -= size(&precondition.check);
                self.known.remove(&precondition.check);
            }
        }
    }

    /// The keys that must be as they were read, and since when.
    pub fn of_reads(&self) -> impl Iterator<Item = (LogIndex, KeyRange)> {
        self.ranges(true)
    }

    /// The keys of which writes demand something, and since when.
    pub fn of_writes(&self) -> impl Iterator<Item = (LogIndex, KeyRange)> {
        self.ranges(false)
    }

    fn ranges(&self, of_reads: bool) -> impl Iterator<Item = (LogIndex, KeyRange)> {
        let wanted = self
            .all
            .iter()
            .filter(move |there| is_of_read(&there.check) == of_reads);
        wanted.map(|there| (there.read_point, range(&there.check)))
    }

    /// They were seen to hold until a later point; but for those of writes since some points.
    pub fn move_on(&mut self, to: LogIndex, stays_behind: &BTreeSet<LogIndex>) {
        for precondition in &mut self.all {
            if is_of_read(&precondition.check) || !stays_behind.contains(&precondition.read_point) {
                precondition.read_point = to;
            }
        }
    }
}

fn is_of_read(check: &Check) -> bool {
    matches!(check, Check::Unchanged(_))
}

fn range(check: &Check) -> KeyRange {
    match check {
        Check::Absent(key) | Check::Exists(key) => KeyRange::point(key),
        Check::Empty(range) | Check::Unchanged(range) => range.clone(),
    }
}

fn size(check: &Check) -> usize {
    match check {
        Check::Absent(key) | Check::Exists(key) => key.len(),
        Check::Empty(range) | Check::Unchanged(range) => range.start.len() + range.end.as_ref().map_or(0, Vec::len),
    }
}

impl Transaction {
    /// Demands that nothing of `range` changes until the commit, whatever the isolation.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read; 54000 for too many demands.
    pub fn require_unchanged(&self, range: KeyRange) -> Result<()> {
        self.require(Check::Unchanged(range))
    }

    /// That nothing of `range` changed since it was read here, for a commit of somebody else.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read.
    pub fn unchanged(&self, range: KeyRange) -> Result<Precondition> {
        let read_point = self.view(&mut self.state.lock())?.read_point;
        Ok(Precondition {
            read_point,
            check: Check::Unchanged(range),
        })
    }

    /// Demands that what a check says, and what this transaction sees to hold, still does when it commits, whatever the isolation.
    ///
    /// # Errors
    /// As [`Transaction::require_unchanged`].
    pub fn require(&self, check: Check) -> Result<()> {
        if !self.may_write {
            return Ok(());
        }
        let mut state = self.state.lock();
        let read_point = self.view(&mut state)?.read_point;
        state.checks.add(check, read_point)
    }

    /// Whether a key is there. That is no read: what becomes of it is of no concern.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn has(&self, key: &[u8]) -> Result<bool> {
        self.look(key, false)
    }

    /// Whether a key is there. If it is, it must be when the transaction commits; its value may be another one then.
    ///
    /// # Errors
    /// When the rows cannot be read; 54000 for too many demands.
    pub fn require_existing(&self, key: &[u8]) -> Result<bool> {
        self.look(key, true)
    }

    fn look(&self, key: &[u8], is_required: bool) -> Result<bool> {
        let mut state = self.state.lock();
        match state
            .writes
            .get(key)
            .map(|pending| (pending.value.is_some(), pending.was_absent))
        {
            Some((false, _)) => return Ok(false),
            // It comes with the commit.
            Some((true, true)) => return Ok(true),
            Some((true, false)) | None => {}
        }
        let view = self.view_of(&mut state, key)?;
        if get_committed(&*view.snapshot, key)?.is_none() {
            return Ok(false);
        }
        if is_required && !state.is_private(key) {
            state.checks.add(Check::Exists(key.to_vec()), view.read_point)?;
        }
        Ok(true)
    }
}
