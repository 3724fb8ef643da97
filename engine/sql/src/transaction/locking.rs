//! Row locks of a transaction, and statements that begin again after they waited.
//!
//! Who changes a row locks its key first, to the end of the transaction, so that two who change the same row come one after another
//! instead of one in vain. A lock says nothing about the past: the row may have been changed between the view and the lock. So after
//! locking, the keys are compared with the view ([`Seen`]). Where they differ, the statement begins again over a newer view, with its
//! locks kept: what it read itself is forgotten, what earlier statements read must not have changed, and READ COMMITTED has nothing
//! that must not. Whether a commit holds is decided without the locks all the same.

use std::sync::Arc;
use std::time::Duration;

use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_storage::{Attempt, Isolation, LockMark, LockMode, LockTable};

use super::Transaction;
use crate::cancel::Cancellation;

/// Keys that are compared one by one; of more it is asked whether any was written since.
const KEYS_COMPARED_MAX: usize = 16;

/// How the keys that were locked compare with the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// They are as the view has them.
    AsTheyAre,
    /// Some may have been changed since.
    Changed,
}

/// What a lock that somebody else has is to be done about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Wait for it.
    Wait,
    /// 55P03.
    Refuse,
}

/// How locks are waited for.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Where they are.
    pub locks: LockTable,
    /// Who waits, for the view of locks.
    pub label: Option<Arc<str>>,
    /// Longest; None for as long as it takes.
    pub timeout: Option<Duration>,
    /// Ends the wait.
    pub cancellation: Cancellation,
}

impl Transaction {
    /// Whether it has read, or written, anything: the view is fixed then.
    pub fn has_view(&self) -> bool {
        self.state.lock().view.is_some()
    }

    /// Locks keys, in their order, to the end of the transaction or of the savepoint.
    ///
    /// # Errors
    /// 40P01, 55P03, 57014, 53200.
    pub async fn lock<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        mode: LockMode,
        busy: Busy,
        waiting: &Waiting,
    ) -> Result<Seen> {
        let mut has_waited = false;
        for key in keys.iter().map(K::as_ref) {
            has_waited |= self.lock_key(key, mode, busy, waiting).await?;
        }
        match has_waited || !self.is_current(keys)? {
            true => Ok(Seen::Changed),
            false => Ok(Seen::AsTheyAre),
        }
    }

    /// Locks a key that nobody else has locked; false where somebody has.
    ///
    /// # Errors
    /// 53200.
    pub fn try_lock(&self, key: &[u8], mode: LockMode, waiting: &Waiting) -> Result<bool> {
        if self.state.lock().is_private(key) {
            return Ok(true);
        }
        Ok(self.owner(waiting).try_lock(key, mode)?.is_some())
    }

    fn owner(&self, waiting: &Waiting) -> &aion_storage::LockOwner {
        self.owner.get_or_init(|| waiting.locks.owner(waiting.label.clone()))
    }

    /// True if it had to be waited for.
    async fn lock_key(&self, key: &[u8], mode: LockMode, busy: Busy, waiting: &Waiting) -> Result<bool> {
        if self.state.lock().is_private(key) {
            return Ok(false);
        }
        let owner = self.owner(waiting);
        if busy == Busy::Refuse {
            return match owner.try_lock(key, mode)? {
                Some(_) => Ok(false),
                None => Err(Error::unavailable(
                    SqlState::LOCK_NOT_AVAILABLE,
                    "could not obtain lock on row",
                )),
            };
        }
        let wait = match owner.lock(key, mode)? {
            Attempt::Granted(_) => return Ok(false),
            Attempt::Waiting(wait) => wait,
        };
        let time_is_over = async {
            match waiting.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            granted = wait => granted.map(|()| true),
            () = waiting.cancellation.cancelled() => Err(waiting.cancellation.error()),
            () = time_is_over => Err(Error::unavailable(
                SqlState::LOCK_NOT_AVAILABLE,
                "canceling statement due to lock timeout",
            )),
        }
    }

    /// Whether no commit has changed any of the keys since the view was taken. Those that this transaction changed it had locked before.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn is_current<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<bool> {
        let (view, asked) = {
            let state = self.state.lock();
            let Some(view) = state.view.clone() else {
                return Ok(true);
            };
            let is_asked = |key: &&[u8]| !state.writes.contains_key(*key) && !state.is_private(key);
            let asked: Vec<Vec<u8>> = keys
                .iter()
                .map(K::as_ref)
                .filter(is_asked)
                .map(<[u8]>::to_vec)
                .collect();
            (view, asked)
        };
        if asked.len() > KEYS_COMPARED_MAX {
            let now = self.store.snapshot().read_point()?.index;
            let ranges: Vec<KeyRange> = asked.iter().map(|key| KeyRange::point(key)).collect();
            return self.store.unchanged_since(&ranges, view.read_point, now);
        }
        if self.store.are_surely_unwritten(&asked, view.read_point) {
            return Ok(true);
        }
        let mut value = Vec::new();
        for key in &asked {
            if view.snapshot.get(key, &mut value)? != self.store.get(key, &mut value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A statement begins: what the one before read stays read, and READ COMMITTED sees what was committed until now.
    pub fn begin_statement(&self) {
        let mut state = self.state.lock();
        let read = std::mem::take(&mut state.statement_reads);
        for range in read.into_ranges() {
            state.reads.range(range);
        }
        state.statement_checks = state.checks.len();
        if state.isolation == Isolation::ReadCommitted && !self.is_past {
            state.view = None;
        }
    }

    /// The statement begins again over a newer view: it has locked keys that were changed since the old one, and written nothing. False
    /// where an earlier statement of the transaction no longer holds: then it fails.
    ///
    /// # Errors
    /// As [`Transaction::refresh`].
    pub fn restart_statement(&self) -> Result<bool> {
        let is_first = {
            let mut state = self.state.lock();
            state.statement_reads = Default::default();
            let checks = state.statement_checks;
            state.checks.truncate(checks);
            let is_first = state.reads.is_empty() && state.checks.is_empty() && state.writes.is_empty();
            if is_first && !self.is_past {
                state.view = None;
            }
            is_first
        };
        Ok(is_first || self.refresh()?)
    }

    /// Where its locks are now, for a savepoint.
    pub fn lock_mark(&self, waiting: &Waiting) -> LockMark {
        self.owner(waiting).mark()
    }

    /// Gives back the locks that came after a mark of [`Transaction::lock_mark`].
    pub fn release_to(&self, mark: LockMark) {
        if let Some(owner) = self.owner.get() {
            owner.release_to(mark);
        }
    }

    /// A transaction that reads what this one does now, its changes included, and goes on doing so: for a result that is fetched while
    /// further statements run. READ COMMITTED alone needs one.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read.
    pub fn reading(self: &Arc<Self>) -> Result<Arc<Self>> {
        let mut state = self.state.lock();
        if state.isolation != Isolation::ReadCommitted {
            return Ok(self.clone());
        }
        self.view(&mut state)?;
        let mut fork = Self::begin(self.store.clone(), false);
        fork.begun_at_micros = self.begun_at_micros;
        fork.is_past = self.is_past;
        {
            let mut forked = fork.state.lock();
            forked.isolation = state.isolation;
            forked.view.clone_from(&state.view);
            forked.private.clone_from(&state.private);
            forked.private_view.clone_from(&state.private_view);
            forked.writes.clone_from(&state.writes);
        }
        Ok(Arc::new(fork))
    }
}
