//! A transaction over keys: where it reads, what was written, what was read.
//!
//! **Vocabulary.** The *view* is a snapshot and its read point. The *write set* is what the transaction will change, visible to itself.
//! The *read set* is the ranges of keys that it relied upon, gaps included. A *private* range is one that this transaction made,
//! and that nobody else reads or writes before it commits.
//!
//! **Guarantees.** Reads see the view with the write set over it. At commit the read set and the write set become one [`Commit`]: it
//! takes effect whole or not at all, and when serializable only if nothing of the read set was changed since the view.
//!
//! **The view** is taken when it is first asked for, so a transaction sees what was committed before its first statement, and not only
//! before BEGIN. READ COMMITTED takes a new one for each statement ([`Transaction::begin_statement`]). The other levels keep theirs; it
//! can be moved forward where nothing that was read has changed since ([`Transaction::refresh`]): then all that was read would be
//! read again, and all that was checked holds.
//!
//! **What is recorded**, at the levels that keep their view; REPEATABLE READ needs it only to move the view forward:
//! 1. A key that was looked up, found or not, as a point.
//! 2. A scanned range, whole, when the scan begins.
//! 3. An insert is no read: its own check (the key is absent) is part of the commit, and answers 23505, not 40001.
//! 4. Of private ranges nothing. They are read through a view of their own, which is as new as what was loaded into them.
//!
//! A transaction of the *past* reads at a time for which the store keeps history ([`Transaction::of_past`]): its view is given, never moves, and
//! nothing is recorded or written.
//!
//! A transaction that wrote nothing commits without the log: it read one snapshot, which is a serial order already.
//!
//! A scan sees the write set as it was when the scan began, so a statement never meets its own changes, and a
//! result that is still being read does not change.

mod appended;
mod checks;
mod deferred;
mod locking;
mod read_set;
mod scan;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use aion_base::clock::{Clock, SystemClock};
use aion_base::id::{LogIndex, TxnId};
use aion_base::plant::{Plant, is_planted};
use aion_base::range::KeyRange;
use aion_base::rng::SeededRng;
use aion_base::{Error, Result, SqlState};
use aion_storage::{Change, Commit, Direction, Generation, Isolation, LockOwner, Snapshot, Store, Write};
use parking_lot::Mutex;

use crate::storages::PrivateRange;
pub use appended::Appended;
use checks::Checks;
pub use deferred::Deferred;
use deferred::{Later, LaterMark};
pub use locking::{Busy, Seen, Waiting};
use read_set::ReadSet;
use scan::OwnChange;
pub use scan::TransactionScan;
use view::View;

/// Bytes of keys and values that a transaction may gather before it is refused: storage takes no more either.
pub const WRITE_SET_BYTES_MAX: usize = 128 << 20;

/// See the module's header. Shared by the operators of a statement.
#[derive(Debug)]
pub struct Transaction {
    store: Arc<Store>,
    /// False for a statement that is known to write nothing: it records no reads, at no level.
    may_write: bool,
    /// It reads at a time that has passed: its view never moves.
    is_past: bool,
    state: Mutex<State>,
    /// Microseconds since 1970, for `now()`.
    begun_at_micros: i64,
    /// Has its locks, from the first one on, until it is dropped.
    owner: OnceLock<LockOwner>,
    /// It inserted keys for being absent (INSERT ... ON CONFLICT), and would have done something else otherwise.
    has_upserted: AtomicBool,
}

/// The bytes of a row that was read.
#[derive(Debug)]
pub enum Row {
    /// This transaction wrote it.
    Own(Arc<[u8]>),
    /// The snapshot has it.
    Committed(Vec<u8>),
}

impl std::ops::Deref for Row {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Committed(bytes) => bytes,
        }
    }
}

/// A place in a transaction, see [`Transaction::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    undo: usize,
    checks: usize,
    later: LaterMark,
}

/// What was written since a mark, out of sight; see [`Transaction::hide_since`].
#[must_use = "what is hidden is to be shown again"]
#[derive(Debug)]
pub struct Hidden(Vec<(Vec<u8>, Option<Pending>)>);

#[derive(Debug)]
struct State {
    isolation: Isolation,
    /// Nothing can be written.
    is_past: bool,
    /// None until something is read.
    view: Option<View>,
    /// Something was read at some time.
    has_read: bool,
    /// Ranges that nobody else knows of.
    private: Vec<PrivateRange>,
    /// Where these are read.
    private_view: Option<View>,
    writes: BTreeMap<Vec<u8>, Pending>,
    /// Of a load, while its keys rise: instead of `writes`. See [`appended`].
    appended: Option<Appended>,
    bytes: usize,
    /// The keys that were changed since the first mark, or by the running statement, in order, with what they were before.
    undo: Vec<(Vec<u8>, Option<Pending>)>,
    /// Bytes in `undo` that are kept for marks.
    undo_bytes: usize,
    /// Where in `undo` the running statement began.
    statement: usize,
    /// Marks are kept: what came before the statement can still be taken back.
    is_marked: bool,
    /// By the statements that are over.
    reads: ReadSet,
    /// By the one that runs.
    statement_reads: ReadSet,
    checks: Checks,
    later: Later,
    /// How many of them there were when the statement began.
    statement_checks: usize,
    last_read: Option<LastRead>,
}

/// What was read last: who changes a row reads it twice.
#[derive(Debug)]
struct LastRead {
    key: Vec<u8>,
    /// Holds nothing open: it only tells whether it is still the same.
    snapshot: Weak<dyn Snapshot>,
    value: Option<Arc<[u8]>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            isolation: Isolation::Serializable,
            is_past: false,
            view: None,
            has_read: false,
            private: Vec::new(),
            private_view: None,
            writes: BTreeMap::new(),
            appended: None,
            bytes: 0,
            undo: Vec::new(),
            undo_bytes: 0,
            statement: 0,
            is_marked: false,
            reads: ReadSet::default(),
            statement_reads: ReadSet::default(),
            checks: Checks::default(),
            later: Later::default(),
            statement_checks: 0,
            last_read: None,
        }
    }
}

/// What becomes of a key.
#[derive(Clone, Debug)]
struct Pending {
    /// None deletes.
    value: Option<Arc<[u8]>>,
    /// The key was absent when this transaction first touched it.
    was_absent: bool,
    /// Of the statement that changed it last; for one that was absent, of the statement that found it so.
    read_point: LogIndex,
}

impl Transaction {
    /// A transaction that may write, or not, serializable.
    pub fn begin(store: Arc<Store>, may_write: bool) -> Self {
        Self {
            store,
            may_write,
            is_past: false,
            state: Mutex::default(),
            begun_at_micros: i64::try_from(SystemClock::default().wall_micros()).unwrap_or(i64::MAX),
            owner: OnceLock::new(),
            has_upserted: AtomicBool::new(false),
        }
    }

    /// A transaction that reads through a snapshot of a time that has passed, and writes nothing.
    pub fn of_past(store: Arc<Store>, snapshot: Arc<dyn Snapshot>) -> Self {
        let mut transaction = Self::begin(store, false);
        transaction.is_past = true;
        {
            let mut state = transaction.state.lock();
            state.view = Some(View {
                snapshot,
                read_point: LogIndex(0),
                generation: None,
            });
            state.has_read = true;
            state.is_past = true;
        }
        transaction
    }

    /// Whether it reads at a time that has passed.
    pub fn is_past(&self) -> bool {
        self.is_past
    }

    /// The value of a key, None if it does not exist.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Arc<[u8]>>> {
        let mut state = self.state.lock();
        if let Some(pending) = state.writes.get(key) {
            return Ok(pending.value.clone());
        }
        let snapshot = self.read_at(&mut state, key)?;
        if !self.may_write {
            drop(state);
            return get_committed(&*snapshot, key);
        }
        if let Some(last) = &state.last_read
            && last.key == key
            && std::ptr::addr_eq(last.snapshot.as_ptr(), Arc::as_ptr(&snapshot))
        {
            return Ok(last.value.clone());
        }
        drop(state);
        let value = get_committed(&*snapshot, key)?;
        self.state.lock().last_read = Some(LastRead {
            key: key.to_vec(),
            snapshot: Arc::downgrade(&snapshot),
            value: value.clone(),
        });
        Ok(value)
    }

    /// The values of some keys of one table, in their order, None for one that does not exist: as [`Transaction::get`], and cheaper for
    /// many.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Row>>> {
        let mut found: Vec<Option<Row>> = Vec::with_capacity(keys.len());
        let (mut wanted, mut places) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        let mut snapshot = None;
        {
            let mut state = self.state.lock();
            for (place, key) in keys.iter().map(K::as_ref).enumerate() {
                if let Some(pending) = state.writes.get(key) {
                    found.push(pending.value.clone().map(Row::Own));
                    continue;
                }
                snapshot = Some(self.read_at(&mut state, key)?);
                found.push(None);
                wanted.push(key);
                places.push(place);
            }
        }
        if let Some(snapshot) = snapshot {
            let committed = snapshot.multi_get(&wanted)?;
            for (place, version) in places.into_iter().zip(committed) {
                found[place] = version.map(|(_, value)| Row::Committed(value));
            }
        }
        Ok(found)
    }

    /// What a key is read through; that it is read is recorded.
    fn read_at(&self, state: &mut State, key: &[u8]) -> Result<Arc<dyn Snapshot>> {
        if state.is_private(key) {
            return Ok(self.private_view(state)?.snapshot);
        }
        let snapshot = self.view(state)?.snapshot.clone();
        if self.records(state) && !is_planted(Plant::Row) {
            state.statement_reads.point(key);
        }
        Ok(snapshot)
    }

    fn records(&self, state: &State) -> bool {
        self.may_write && state.isolation != Isolation::ReadCommitted
    }

    /// The keys of `range`, in order, with their values.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read.
    pub fn scan(&self, range: &KeyRange, direction: Direction) -> Result<TransactionScan> {
        self.rely_on(range);
        self.glance(range, direction)
    }

    /// As [`Transaction::scan`], for what the outcome does not rely upon: nothing is recorded.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read.
    pub fn glance(&self, range: &KeyRange, direction: Direction) -> Result<TransactionScan> {
        let mut state = self.state.lock();
        let snapshot = self.view_of(&mut state, &range.start)?.snapshot;
        let mut own: Vec<OwnChange> = match range.is_empty() || state.writes.is_empty() {
            true => Vec::new(),
            false => {
                let end = range
                    .end
                    .as_deref()
                    .map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
                let bounds = (std::ops::Bound::Included(range.start.as_slice()), end);
                let slice = state.writes.range::<[u8], _>(bounds);
                slice
                    .map(|(key, pending)| (key.clone(), pending.value.clone()))
                    .collect()
            }
        };
        if direction == Direction::Backward {
            own.reverse();
        }
        Ok(TransactionScan::new(snapshot.scan(range, direction), own, direction))
    }

    /// Keys of `range` that this transaction gave a value.
    pub fn own_keys(&self, range: &KeyRange) -> Vec<Vec<u8>> {
        let state = self.state.lock();
        let from = std::ops::Bound::Included(range.start.as_slice());
        let there = state.writes.range::<[u8], _>((from, std::ops::Bound::Unbounded));
        let there = there.take_while(|(key, _)| range.contains(key));
        there
            .filter(|(_, pending)| pending.value.is_some())
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Notes that the outcome relies on all of `range`, as a scan of it would.
    pub fn rely_on(&self, range: &KeyRange) {
        let mut state = self.state.lock();
        if self.records(&state) && !state.is_private(&range.start) && !is_planted(Plant::Range) {
            state.statement_reads.range(range.clone());
        }
    }

    /// Inserts a key that must not exist. False if it does: nothing was changed.
    ///
    /// # Errors
    /// When the rows cannot be read; 54000 for a write set beyond the limit.
    pub fn insert(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        self.end_appending();
        self.insert_unless(key, value, |snapshot| Ok(get_committed(snapshot, key)?.is_some()))
    }

    /// As [`Transaction::insert`], of a key that lies behind [`Transaction::last_committed_key`] of its range: it need not be
    /// looked for. That it is still absent at the commit is checked all the same.
    ///
    /// # Errors
    /// As [`Transaction::insert`].
    pub fn insert_beyond(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        if self.append(key, value)? {
            return Ok(true);
        }
        self.insert_unless(key, value, |_| Ok(false))
    }

    /// The last key of `range` in the snapshot, whatever this transaction wrote; empty where there is none. Like an insert it
    /// is no read: who relies on it inserts.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn last_committed_key(&self, range: &KeyRange) -> Result<Vec<u8>> {
        let snapshot = self.view_of(&mut self.state.lock(), &range.start)?.snapshot;
        let mut scan = snapshot.scan(range, Direction::Backward);
        Ok(match scan.advance()? {
            true => scan.key().to_vec(),
            false => Vec::new(),
        })
    }

    fn insert_unless(
        &self,
        key: &[u8],
        value: &[u8],
        is_committed: impl FnOnce(&dyn Snapshot) -> Result<bool>,
    ) -> Result<bool> {
        let mut state = self.state.lock();
        let view = self.view_of(&mut state, key)?;
        // Rows that come in the order of their keys spare themselves a search.
        let is_behind_all = state
            .writes
            .last_key_value()
            .is_none_or(|(last, _)| key > last.as_slice());
        let pending = if is_behind_all { None } else { state.writes.get(key) };
        let was_absent = match pending {
            Some(Pending { value: Some(_), .. }) => return Ok(false),
            Some(Pending {
                value: None,
                was_absent,
                ..
            }) => *was_absent,
            None => {
                if is_committed(&*view.snapshot)? {
                    return Ok(false);
                }
                true
            }
        };
        state.put(
            key,
            Pending {
                value: Some(value.into()),
                was_absent,
                read_point: view.read_point,
            },
        )?;
        Ok(true)
    }

    /// Gives a key a value, whether it is there or not: nothing is read, and nothing is demanded of it.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read; 54000 for a write set beyond the limit.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut state = self.state.lock();
        let read_point = self.view_of(&mut state, key)?.read_point;
        state.put(
            key,
            Pending {
                value: Some(value.into()),
                was_absent: false,
                read_point,
            },
        )
    }

    /// Gives a key that this transaction has read and found a new value.
    ///
    /// # Errors
    /// 54000 for a write set beyond the limit.
    pub fn update(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut state = self.state.lock();
        let view = self.view_of(&mut state, key)?;
        let inserted = state.writes.get(key).filter(|pending| pending.was_absent);
        let was_absent = inserted.is_some();
        // An insert locks nothing: the key must have been absent ever since, and not since the newer view of READ COMMITTED.
        let read_point = match inserted {
            Some(pending) if !state.is_private(key) => pending.read_point,
            _ => view.read_point,
        };
        state.put(
            key,
            Pending {
                value: Some(value.into()),
                was_absent,
                read_point,
            },
        )
    }

    /// Deletes a key that this transaction has read and found.
    ///
    /// # Errors
    /// 54000 for a write set beyond the limit.
    pub fn delete(&self, key: &[u8]) -> Result<()> {
        let mut state = self.state.lock();
        let view = self.view_of(&mut state, key)?;
        match state.writes.get(key) {
            Some(pending) if pending.was_absent => {
                // It came and went within the transaction: nobody else needs to know.
                state.set(key, None);
                Ok(())
            }
            _ => state.put(
                key,
                Pending {
                    value: None,
                    was_absent: false,
                    read_point: view.read_point,
                },
            ),
        }
    }

    /// Takes the new keys of `range` out of what it writes, with their values.
    pub fn take_out(&self, range: &KeyRange) -> Vec<(Vec<u8>, Arc<[u8]>)> {
        let mut state = self.state.lock();
        let from = state.writes.range(range.start.clone()..);
        let within = from.take_while(|(key, _)| range.contains(key));
        let taken: Vec<_> = within
            .filter_map(|(key, pending)| Some((key.clone(), pending.value.clone()?)))
            .collect();
        for (key, _) in &taken {
            state.set(key, None);
        }
        taken
    }

    /// Begins a statement: [`Transaction::restore`] comes back to here. Statements of a transaction run one after another.
    pub fn save(&self) {
        let mut state = self.state.lock();
        if !state.is_marked {
            state.undo.clear();
            state.undo_bytes = 0;
        }
        state.statement = state.undo.len();
    }

    /// Takes back what was written since [`Transaction::save`]. What was read stays read.
    pub fn restore(&self) {
        let mut state = self.state.lock();
        let statement = state.statement;
        state.take_back(statement);
    }

    /// A place to come back to with [`Transaction::return_to`]. From here on all changes can be taken back, which takes memory for
    /// each of them, until [`Transaction::forget_marks`].
    pub fn mark(&self) -> Mark {
        let mut state = self.state.lock();
        if !state.is_marked {
            state.undo.clear();
            state.undo_bytes = 0;
            state.is_marked = true;
        }
        Mark {
            undo: state.undo.len(),
            checks: state.checks.len(),
            later: state.later.mark(),
        }
    }

    /// Takes back what was written since the mark was made, with what that demanded of other keys. What was read stays read.
    pub fn return_to(&self, mark: Mark) {
        let mut state = self.state.lock();
        state.take_back(mark.undo);
        state.checks.forget_writes_since(mark.checks);
        state.later.return_to(mark.later);
        state.statement_checks = state.statement_checks.min(state.checks.len());
    }

    /// Puts what was written since the mark out of sight, until [`Transaction::show`]: reads see what was there before. Nothing may be
    /// written meanwhile.
    pub fn hide_since(&self, mark: Mark) -> Hidden {
        let mut state = self.state.lock();
        let mut first: BTreeMap<Vec<u8>, Option<Pending>> = BTreeMap::new();
        let from = mark.undo.min(state.undo.len());
        for (key, before) in &state.undo[from..] {
            first.entry(key.clone()).or_insert_with(|| before.clone());
        }
        let hidden = first.into_iter().map(|(key, before)| {
            let now = match before {
                Some(before) => state.writes.insert(key.clone(), before),
                None => state.writes.remove(&key),
            };
            (key, now)
        });
        Hidden(hidden.collect())
    }

    /// Takes back [`Transaction::hide_since`].
    pub fn show(&self, hidden: Hidden) {
        let mut state = self.state.lock();
        for (key, now) in hidden.0 {
            match now {
                Some(now) => state.writes.insert(key, now),
                None => state.writes.remove(&key),
            };
        }
    }

    /// The keys that were written since the mark.
    pub fn written_since(&self, mark: Mark) -> BTreeSet<Vec<u8>> {
        let state = self.state.lock();
        let from = mark.undo.min(state.undo.len());
        state.undo[from..].iter().map(|(key, _)| key.clone()).collect()
    }

    /// When it began, in microseconds since 1970: what `now()` says in all of its statements.
    pub fn begun_at_micros(&self) -> i64 {
        self.begun_at_micros
    }

    /// Notes that it inserts keys for being absent: one that another transaction commits first is a conflict, and no duplicate.
    pub fn note_upsert(&self) {
        self.has_upserted.store(true, Ordering::Relaxed);
    }

    /// Whether [`Transaction::note_upsert`] was called.
    pub fn has_upserted(&self) -> bool {
        self.has_upserted.load(Ordering::Relaxed)
    }

    /// The store that it reads.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Bytes of the keys and values that it changes.
    pub fn written_bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Whether a statement read or wrote something.
    pub fn is_used(&self) -> bool {
        let state = self.state.lock();
        state.has_read || !state.writes.is_empty()
    }

    /// Nobody will come back to a mark.
    pub fn forget_marks(&self) {
        self.state.lock().is_marked = false;
    }

    /// The commit record; None when there is nothing to commit. What follows in this transaction has no effect, but it is to live until
    /// the commit is decided: private ranges are its until then.
    pub fn take_commit(&self) -> Option<Commit> {
        self.begin_statement();
        let state = {
            let mut current = self.state.lock();
            let state = std::mem::take(&mut *current);
            // Until the commit is decided nobody may clear away what it makes somebody's.
            current.private.clone_from(&state.private);
            state
        };
        let appended = state.appended.unwrap_or_default();
        if state.writes.is_empty() && appended.len() == 0 {
            return None;
        }
        assert!(self.may_write, "a transaction that writes has said that it may");
        let id = TxnId(SeededRng::from_entropy().next_u128());
        let of_writes = state.writes.values().map(|pending| pending.read_point);
        let of_checks = state.checks.iter().map(|precondition| precondition.read_point);
        let of_appended = appended.read_point();
        let of_reads = state.view.as_ref().map(|view| view.read_point);
        let read_point = of_writes.chain(of_checks).chain(of_appended).chain(of_reads).min();
        let mut commit = Commit::new(id, read_point.expect("a write has a read point"));
        commit.isolation = state.isolation;
        if state.isolation == Isolation::Serializable {
            commit.read_ranges = state.reads.into_ranges();
        }
        commit.preconditions = state.checks.into_preconditions();
        commit.writes = appended.into_writes();
        commit
            .writes
            .extend(state.writes.into_iter().map(|(key, pending)| Write {
                key,
                change: match (pending.value, pending.was_absent) {
                    (None, _) => Change::Delete,
                    (Some(value), true) => Change::Insert(value.to_vec()),
                    (Some(value), false) => Change::Put(value.to_vec()),
                },
                read_point: pending.read_point,
            }));
        Some(commit)
    }
}

fn get_committed(snapshot: &dyn Snapshot, key: &[u8]) -> Result<Option<Arc<[u8]>>> {
    let mut value = Vec::new();
    Ok(snapshot.get(key, &mut value)?.map(|_| value.into()))
}

impl State {
    fn put(&mut self, key: &[u8], pending: Pending) -> Result<()> {
        if self.is_past {
            return Err(Error::invalid(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                "what was at a time that has passed cannot be changed",
            ));
        }
        let added = size(key, &pending);
        if self.bytes + self.undo_bytes + added > WRITE_SET_BYTES_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("the transaction changes more than {WRITE_SET_BYTES_MAX} bytes"),
            )
            .with_hint("Split it into several transactions."));
        }
        self.set(key, Some(pending));
        Ok(())
    }

    /// Changes the write set, and notes how to change it back.
    fn set(&mut self, key: &[u8], pending: Option<Pending>) {
        self.bytes += pending.as_ref().map_or(0, |pending| size(key, pending));
        let before = match pending {
            Some(pending) => self.writes.insert(key.to_vec(), pending),
            None => self.writes.remove(key),
        };
        let replaced = before.as_ref().map_or(0, |before| size(key, before));
        self.bytes -= replaced;
        if self.is_marked {
            self.undo_bytes += key.len() + replaced;
        }
        self.undo.push((key.to_vec(), before));
    }

    /// Changes back what was noted from a place on.
    fn take_back(&mut self, from: usize) {
        let undo_bytes = self.undo_bytes;
        for (key, before) in self.undo.split_off(from.min(self.undo.len())).into_iter().rev() {
            self.undo_bytes = self
                .undo_bytes
                .saturating_sub(key.len() + before.as_ref().map_or(0, |before| size(&key, before)));
            let kept = self.undo_bytes;
            self.set(&key, before);
            // Changing back is not to be taken back.
            self.undo.truncate(from);
            self.undo_bytes = kept;
        }
        debug_assert!(self.undo_bytes <= undo_bytes, "taking back frees");
    }
}

fn size(key: &[u8], pending: &Pending) -> usize {
    key.len() + pending.value.as_ref().map_or(0, |value| value.len())
}

#[cfg(test)]
mod tests;
