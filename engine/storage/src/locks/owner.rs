//! Who locks: a transaction, and what it holds.

use std::fmt;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use parking_lot::Mutex;

use super::keys::{Asked, Found, Waker};
use super::wait::LockWait;
use super::{Grant, KeyHash, LockMode, Table};

/// An owner of locks. Never given twice by one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u64);

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What became of a request for a lock.
#[derive(Debug)]
#[must_use = "a lock that is waited for is not held"]
pub enum Attempt {
    /// The owner holds it.
    Granted(Grant),
    /// Another owner is in the way.
    Waiting(LockWait),
}

/// A moment of an owner, to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockMark {
    owner: OwnerId,
    keys: usize,
    upgrades: usize,
}

/// A transaction, as the table sees it. Dropping it releases all that it holds and ends all that it waits for.
///
/// It waits for one lock at a time. Partitions of one statement may share it and lock at the same time what nobody keeps from them, but
/// only one of them may wait. [`LockOwner::release_to`] and the end are for when they have stopped: what is locked while locks are
/// released may be released with them.
pub struct LockOwner {
    table: Arc<Table>,
    state: Arc<OwnerState>,
}

impl LockOwner {
    pub(super) fn new(table: Arc<Table>, state: Arc<OwnerState>) -> Self {
        Self { table, state }
    }

    /// Its id.
    pub fn id(&self) -> OwnerId {
        self.state.id
    }

    /// Locks a key, or begins to wait for it.
    ///
    /// A lock that was granted at once says nothing about the past: whoever held it before may have changed the row after the
    /// caller's snapshot.
    ///
    /// # Errors
    /// 40P01 where waiting would never end, 53200 beyond a limit, Internal where it would have to wait and waits already; nothing
    /// changed then.
    pub fn lock(&self, key: &[u8], mode: LockMode) -> Result<Attempt> {
        let asked = self.asked(key, mode);
        let found = self.table.keys(asked.hash).lock().acquire(&asked)?;
        match found {
            Found::Granted(grant) => Ok(Attempt::Granted(grant)),
            Found::Blocked => self.table.wait(&asked),
        }
    }

    /// Locks a key if nobody is in the way; None where somebody is. While the owner waits, None also for the key that it waits for, and
    /// for more of what it holds where others wait for that.
    ///
    /// # Errors
    /// 53200 beyond a limit; nothing changed then.
    pub fn try_lock(&self, key: &[u8], mode: LockMode) -> Result<Option<Grant>> {
        let asked = self.asked(key, mode);
        let found = self.table.keys(asked.hash).lock().acquire(&asked)?;
        Ok(match found {
            Found::Granted(grant) => Some(grant),
            Found::Blocked => None,
        })
    }

    /// How it holds a key; None where it does not.
    pub fn holds(&self, key: &[u8]) -> Option<LockMode> {
        let hash = self.table.hash(key);
        self.table.keys(hash).lock().mode(hash, self.state.id)
    }

    /// How many keys it holds.
    pub fn locks(&self) -> usize {
        self.state.held.lock().keys.len()
    }

    /// This moment, for a savepoint. Void once [`LockOwner::release_to`] went back to an earlier one.
    pub fn mark(&self) -> LockMark {
        let mut held = self.state.held.lock();
        held.is_marked = true;
        LockMark {
            owner: self.state.id,
            keys: held.keys.len(),
            upgrades: held.upgrades.len(),
        }
    }

    /// Releases what was locked since `mark`, and weakens again what was made stronger since.
    pub fn release_to(&self, mark: LockMark) {
        assert_eq!(mark.owner, self.state.id, "a mark belongs to its owner");
        let (keys, upgrades) = self.state.held.lock().split_off(mark);
        self.release(keys, upgrades);
    }

    /// Releases one key; false if it does not hold it. Not for an owner with marks, which count what was locked before them.
    pub fn unlock(&self, key: &[u8]) -> bool {
        let hash = self.table.hash(key);
        {
            let mut held = self.state.held.lock();
            let Some(at) = held.keys.iter().position(|held| *held == hash) else {
                return false;
            };
            held.keys.remove(at);
            held.upgrades.retain(|(upgraded, _)| *upgraded != hash);
        }
        self.release(vec![hash], Vec::new());
        true
    }

    fn release(&self, keys: Vec<KeyHash>, upgrades: Vec<(KeyHash, LockMode)>) {
        for (hash, mode) in upgrades.into_iter().rev() {
            let woken = self.table.keys(hash).lock().downgrade(hash, self.state.id, mode);
            wake(woken);
        }
        for hash in keys {
            let woken = self.table.keys(hash).lock().release(hash, self.state.id);
            wake(woken);
        }
    }

    fn asked<'a>(&'a self, key: &'a [u8], mode: LockMode) -> Asked<'a> {
        Asked {
            hash: self.table.hash(key),
            key,
            owner: &self.state,
            mode,
        }
    }
}

impl fmt::Debug for LockOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockOwner({})", self.state)
    }
}

impl Drop for LockOwner {
    fn drop(&mut self) {
        // First what waits: what is granted until then is among the locks that are taken below.
        if let Some(Awaited { hash, ticket, .. }) = self.state.awaited() {
            let withdrawn = self.table.keys(hash).lock().withdraw(hash, ticket);
            if let Some((_, woken)) = withdrawn {
                wake(woken);
            }
        }
        let held = std::mem::take(&mut *self.state.held.lock());
        self.release(held.keys, Vec::new());
        self.table.forget(self.state.id);
    }
}

/// Tells those whose lock is granted. Not while a lock of the table is held.
pub fn wake(woken: Vec<Waker>) {
    for waker in woken {
        // Whoever stopped waiting has the lock all the same, until its owner ends.
        let _ = waker.send(());
    }
}

/// What an owner waits for.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    pub hash: KeyHash,
    pub ticket: u64,
    pub mode: LockMode,
}

/// An owner, as its shards see it. Its mutexes are taken last: under that of a shard or of the graph.
#[derive(Debug)]
pub struct OwnerState {
    pub id: OwnerId,
    pub label: Option<Arc<str>>,
    locks_max: usize,
    held: Mutex<HeldKeys>,
    awaited: Mutex<Option<Awaited>>,
}

#[derive(Debug, Default)]
struct HeldKeys {
    /// In the order in which they were granted.
    keys: Vec<KeyHash>,
    /// What locks were before they became stronger; kept once there is a mark to go back to.
    upgrades: Vec<(KeyHash, LockMode)>,
    is_marked: bool,
}

impl HeldKeys {
    /// Takes out what came after `mark`.
    fn split_off(&mut self, mark: LockMark) -> (Vec<KeyHash>, Vec<(KeyHash, LockMode)>) {
        let keys = self.keys.split_off(mark.keys.min(self.keys.len()));
        let upgrades = self.upgrades.split_off(mark.upgrades.min(self.upgrades.len()));
        self.keys.shrink_to(self.keys.len() * 2);
        (keys, upgrades)
    }
}

impl OwnerState {
    pub fn new(id: OwnerId, label: Option<Arc<str>>, locks_max: usize) -> Self {
        Self {
            id,
            label,
            locks_max,
            held: Mutex::default(),
            awaited: Mutex::default(),
        }
    }

    /// Notes a lock that is being granted at once.
    ///
    /// # Errors
    /// 53200 when it would be one too many.
    pub fn acquired(&self, hash: KeyHash) -> Result<()> {
        let mut held = self.held.lock();
        if held.keys.len() >= self.locks_max {
            let message = format!("a transaction locks at most {} rows", self.locks_max);
            return Err(
                Error::exhausted(SqlState::OUT_OF_MEMORY, message).with_hint("Change fewer rows in one transaction.")
            );
        }
        held.keys.push(hash);
        Ok(())
    }

    /// Notes a lock that was waited for. There are far fewer of these than locks: they count, and are not refused.
    pub fn acquired_at_last(&self, hash: KeyHash) {
        self.held.lock().keys.push(hash);
    }

    /// Notes that a lock was weaker before.
    pub fn upgraded(&self, hash: KeyHash, from: LockMode) {
        let mut held = self.held.lock();
        if held.is_marked {
            held.upgrades.push((hash, from));
        }
    }

    pub fn has_locks(&self) -> bool {
        !self.held.lock().keys.is_empty()
    }

    pub fn begins_to_wait(&self, awaited: Awaited) {
        let before = self.awaited.lock().replace(awaited);
        assert!(before.is_none(), "an owner waits for one lock at a time");
    }

    pub fn waits_no_more(&self) {
        let before = self.awaited.lock().take();
        assert!(before.is_some(), "what is granted or taken back was waited for");
    }

    /// What it waits for: its request that stands in a queue.
    pub fn awaited(&self) -> Option<Awaited> {
        *self.awaited.lock()
    }
}

impl fmt::Display for OwnerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            Some(label) => f.write_str(label),
            None => write!(f, "owner {}", self.id),
        }
    }
}
