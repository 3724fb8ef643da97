//! Storage ids: what keys begin with, given once, and ranges of keys that are nobody's.
//!
//! **Vocabulary.** A *storage* is the range of keys of one storage id, a table's until a TRUNCATE or a rewrite gives it another one. A
//! range is *retired* when the catalog says that its keys are nobody's. A *private* range is one that a transaction made for itself: it
//! is retired from the beginning, and stays that way unless the transaction commits.
//!
//! **Why.** Millions of rows are more than one commit takes. What nobody else can see may be loaded by many commits, before the one that
//! makes it a table's; and what nobody can see any more may be cleared away after the one that dropped it.
//!
//! **Guarantees.**
//! - An id is given once, whatever becomes of who asked: the counter is moved on by a commit of its own, some ids at a time.
//! - Keys of a private range are in the rows only after the commit that retires it. So whatever ends the transaction, also the end
//!   of the process, somebody clears them away: [`Storages::sweep`], at the latest after the next start.
//! - A range is swept while no transaction of this process has it, which it has until its commit is decided, and its retirement is
//!   taken back only once its keys are durably gone.
//! - While the store keeps history, a range is swept when the horizon has reached the commit that retired it: whoever reads at a time finds what a table
//!   had then.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use aion_base::id::{IndexId, TableId, TxnId};
use aion_base::range::KeyRange;
use aion_base::rng::SeededRng;
use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::{
    FIRST_STORAGE, KeyChange, next_storage_key, read_retired, retire, retired_range, unretire,
};
use aion_storage::{Change, Commit, Direction, Isolation, Outcome, Precondition, Replicator, Store};
use parking_lot::Mutex;

/// Ids that one commit takes from the counter.
const IDS_AT_ONCE: u32 = 64;
/// How often the counter is asked again after another process, or thread, was first.
const ATTEMPTS_MAX: usize = 100;
/// No range waits.
const NONE: u64 = u64::MAX;
/// Retired ranges that one sweep takes: the rest waits for the next.
const RANGES_PER_SWEEP: usize = 1_000;

/// See the module's header.
#[derive(Debug)]
pub struct Storages {
    store: Arc<Store>,
    /// Ids that are taken from the counter and not given yet.
    ids: Mutex<std::ops::Range<u32>>,
    /// The starts of the ranges that transactions have.
    private: Mutex<HashSet<Vec<u8>>>,
    /// There may be something to sweep.
    has_retired: AtomicBool,
    /// When the first range was retired that the horizon has not reached; [`NONE`] where there is none.
    waits_for: AtomicU64,
    sweeping: Mutex<()>,
    /// The database ends: what is left is the next process's to sweep.
    is_stopped: AtomicBool,
}

/// A private range; the transaction that has it drops it when it ends.
#[derive(Debug)]
pub struct Private {
    range: KeyRange,
    /// The key that says it is retired: it was written by a commit that the transaction's snapshot may not see.
    note: Vec<u8>,
    storages: Weak<Storages>,
}

/// Shared by who loads into it and who reads it.
pub type PrivateRange = Arc<Private>;

impl Private {
    /// The range.
    pub fn range(&self) -> &KeyRange {
        &self.range
    }

    /// Whether a key is the transaction's alone: one of the range, or the one that retires it.
    pub fn has(&self, key: &[u8]) -> bool {
        self.range.contains(key) || self.note == key
    }

    /// The change that makes the range somebody's for good, in the commit that says whose.
    pub fn keep(&self) -> KeyChange {
        unretire(&self.range)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some(storages) = self.storages.upgrade() {
            storages.private.lock().remove(&self.range.start);
            storages.note_retired();
        }
    }
}

impl Storages {
    /// The storages of a store.
    pub fn new(store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self {
            store,
            ids: Mutex::new(0..0),
            private: Mutex::default(),
            // Of the process before.
            has_retired: AtomicBool::new(true),
            waits_for: AtomicU64::new(NONE),
            sweeping: Mutex::new(()),
            is_stopped: AtomicBool::new(false),
        })
    }

    /// An id that nobody has had. Now and then this waits for a commit.
    ///
    /// # Errors
    /// As a commit; 54000 when no id is left.
    pub fn allocate(&self) -> Result<TableId> {
        let mut ids = self.ids.lock();
        if ids.is_empty() {
            *ids = self.take_ids()?;
        }
        let id = ids.start;
        ids.start += 1;
        Ok(TableId(id))
    }

    fn take_ids(&self) -> Result<std::ops::Range<u32>> {
        let key = next_storage_key();
        for _ in 0..ATTEMPTS_MAX {
            let snapshot = self.store.snapshot();
            let mut value = Vec::new();
            let next = match snapshot.get(&key, &mut value)? {
                Some(_) => {
                    let bytes = value.as_slice().try_into();
                    u32::from_le_bytes(bytes.map_err(|_| Error::corrupt("the next storage id is damaged"))?)
                }
                None => FIRST_STORAGE.0,
            };
            let end = next.checked_add(IDS_AT_ONCE).ok_or_else(|| {
                Error::exhausted(SqlState::PROGRAM_LIMIT_EXCEEDED, "no storage id is left")
                    .with_hint("Dump the database and restore it into a new one.")
            })?;
            let mut commit = Commit::new(new_id(), snapshot.read_point()?.index);
            commit.read_ranges.push(KeyRange::point(&key));
            commit.write(key.clone(), Change::Put(end.to_le_bytes().to_vec()));
            if let Outcome::Committed { .. } = self.store.propose(commit)?.wait()? {
                return Ok(next..end);
            }
        }
        Err(Error::conflict(
            SqlState::SERIALIZATION_FAILURE,
            "the counter of storage ids was changed by others each time",
        ))
    }

    /// A new storage that is private. Waits for a commit.
    ///
    /// # Errors
    /// As [`Storages::allocate`].
    pub fn private_storage(self: &Arc<Self>) -> Result<(TableId, PrivateRange)> {
        let id = self.allocate()?;
        Ok((id, self.private_range(KeyRange::table(id), None)?))
    }

    /// The range of an index that nobody knows of, private and empty. Waits for a commit, and for a sweep that is under way.
    ///
    /// Unlike a storage, an index gets the id again that one had whose transaction was rolled back. What that one loaded goes first, by
    /// nobody but us: a sweeper that had found the range retired before would take away what is loaded now.
    ///
    /// `seen` is the catalog in which nobody has the id. It must still hold, or the range would be retired of an index that another
    /// transaction committed meanwhile, and its keys swept.
    ///
    /// # Errors
    /// As a commit; 40001 where the catalog was changed; an IO error.
    pub fn private_index(
        self: &Arc<Self>,
        storage: TableId,
        index: IndexId,
        seen: Precondition,
    ) -> Result<PrivateRange> {
        let range = KeyRange::index(storage, index);
        let _sweeping = self.sweeping.lock();
        let is_used = self.store.get(&retire(&range).key, &mut Vec::new())?.is_some();
        let private = self.private_range(range, Some(seen))?;
        if is_used {
            self.store.clear(std::slice::from_ref(private.range()))?;
        }
        Ok(private)
    }

    /// Takes away what was loaded into a private range.
    ///
    /// # Errors
    /// An IO error.
    pub fn empty(&self, private: &Private) -> Result<()> {
        let _sweeping = self.sweeping.lock();
        self.store.clear(std::slice::from_ref(private.range()))
    }

    fn private_range(self: &Arc<Self>, range: KeyRange, seen: Option<Precondition>) -> Result<PrivateRange> {
        // Before the commit: nobody sweeps it from the first moment on.
        if !self.private.lock().insert(range.start.clone()) {
            return Err(Error::conflict(
                SqlState::SERIALIZATION_FAILURE,
                "another transaction builds the same index or storage at this moment",
            )
            .with_hint("Try again when it is over."));
        }
        let change = retire(&range);
        let private = Private {
            range,
            note: change.key.clone(),
            storages: Arc::downgrade(self),
        };
        let mut commit = self.commit()?;
        commit.write(change.key, Change::Put(change.value.unwrap_or_default()));
        if let Some(seen) = seen {
            commit.read_point = commit.read_point.min(seen.read_point);
            commit.preconditions.push(seen);
        }
        match self.store.propose(commit)?.wait()? {
            Outcome::Committed { .. } => Ok(Arc::new(private)),
            Outcome::Rejected(rejection) => Err(rejection.into()),
        }
    }

    /// A commit that relies on nothing. Its read point is of now all the same: one that lies too far back is refused, whatever it relies on.
    fn commit(&self) -> Result<Commit> {
        let mut commit = Commit::new(new_id(), self.store.snapshot().read_point()?.index);
        commit.isolation = Isolation::ReadCommitted;
        Ok(commit)
    }

    /// A commit retired something.
    pub fn note_retired(&self) {
        self.has_retired.store(true, Ordering::Release);
    }

    /// Whether there may be something to sweep.
    pub fn has_work(&self) -> bool {
        self.has_retired.load(Ordering::Acquire) || self.is_due()
    }

    /// Whether the horizon has reached a range that waits for it.
    fn is_due(&self) -> bool {
        let waits_for = self.waits_for.load(Ordering::Acquire);
        waits_for != NONE && self.store.horizon().is_none_or(|horizon| horizon.0 >= waits_for)
    }

    /// Whether a range is retired and not swept yet: keys of who had it before may be in it.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn is_retired(&self, range: &KeyRange) -> Result<bool> {
        Ok(self.store.get(&retire(range).key, &mut Vec::new())?.is_some())
    }

    /// Ends the sweep that may run, as soon as what it has begun is whole, and waits for its end; there is none after it. A demo on a busy machine
    /// dropped indexes and closed: the compaction took longer than closing waits for tasks, and the store was still held.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        drop(self.sweeping.lock());
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// Clears away what is retired. Blocks: for a thread that may.
    ///
    /// # Errors
    /// An IO error: what was not cleared is cleared the next time.
    pub fn sweep(&self) -> Result<()> {
        let Some(_one) = self.sweeping.try_lock() else {
            return Ok(());
        };
        while !self.is_stopped() && (self.has_retired.swap(false, Ordering::AcqRel) || self.is_due()) {
            self.waits_for.store(NONE, Ordering::Release);
            let ranges = self.retired()?;
            if ranges.is_empty() {
                continue;
            }
            if ranges.len() == RANGES_PER_SWEEP {
                self.note_retired();
            }
            let cleared = self.store.clear_while(&ranges, &|| !self.is_stopped());
            cleared.inspect_err(|_| self.note_retired())?;
            let mut commit = self.commit()?;
            for range in &ranges {
                commit.write(unretire(range).key, Change::Delete);
            }
            // Rejected or lost, it is swept again.
            let _: Outcome = self.store.propose(commit)?.wait()?;
        }
        Ok(())
    }

    /// Retired ranges that no transaction of this process has.
    fn retired(&self) -> Result<Vec<KeyRange>> {
        // In this order: a range that is made after the snapshot is not in it.
        let snapshot = self.store.snapshot();
        let mut scan = snapshot.scan(&retired_range(), Direction::Forward);
        let mut ranges = Vec::new();
        let horizon = self.store.horizon();
        while ranges.len() < RANGES_PER_SWEEP && scan.advance()? {
            let retired = scan.timestamp();
            if horizon.is_some_and(|horizon| retired > horizon) {
                self.waits_for.fetch_min(retired.0, Ordering::AcqRel);
                continue;
            }
            ranges.push(read_retired(scan.key(), scan.value())?);
        }
        // A range that is not private any more was, when the snapshot was taken, or its transaction has proposed its commit meanwhile.
        ranges.retain(|range| !self.private.lock().contains(&range.start));
        if ranges.is_empty() {
            return Ok(ranges);
        }
        self.wait_for_proposed()?;
        let mut value = Vec::new();
        let mut kept = Vec::new();
        for range in ranges {
            if self.store.get(&retire(&range).key, &mut value)?.is_some() {
                kept.push(range);
            }
        }
        Ok(kept)
    }

    /// Waits until all that was proposed before has its outcome, also what nobody waits for any more: commits are decided in order.
    fn wait_for_proposed(&self) -> Result<()> {
        let _: Outcome = self.store.propose(self.commit()?)?.wait()?;
        Ok(())
    }
}

fn new_id() -> TxnId {
    TxnId(SeededRng::from_entropy().next_u128())
}

#[cfg(test)]
mod tests {
    use aion_base::id::LogIndex;
    use aion_storage::StoreOptions;

    use super::*;
    use crate::transaction::Transaction;

    fn put(store: &Store, key: &[u8]) {
        let mut commit = Commit::new(new_id(), LogIndex(0));
        commit.isolation = aion_storage::Isolation::ReadCommitted;
        commit.write(key, Change::Put(b"x".to_vec()));
        let outcome = store.propose(commit).expect("queued").wait().expect("answered");
        assert!(matches!(outcome, Outcome::Committed { .. }));
    }

    fn count(store: &Store, range: &KeyRange) -> usize {
        let snapshot = store.snapshot();
        let mut scan = snapshot.scan(range, Direction::Forward);
        let mut count = 0;
        while scan.advance().expect("read") {
            count += 1;
        }
        count
    }

    #[test]
    fn ids_are_given_once_also_by_two_at_a_time() {
        let store = Arc::new(Store::in_memory(&StoreOptions::default()));
        let (one, other) = (Storages::new(store.clone()), Storages::new(store));
        let mut given = HashSet::new();
        for _ in 0..200 {
            for storages in [&one, &other] {
                let id = storages.allocate().expect("left");
                assert!(id >= FIRST_STORAGE && given.insert(id), "{id:?}");
            }
        }
    }

    #[test]
    fn what_is_left_when_the_database_ends_is_swept_by_the_next_process() {
        let store = Arc::new(Store::in_memory(&StoreOptions::default()));
        let storages = Storages::new(store.clone());
        let (id, private) = storages.private_storage().expect("made");
        put(&store, &[&id.0.to_be_bytes()[..], b"key"].concat());
        drop(private);
        storages.stop();
        storages.sweep().expect("there is none");
        assert_eq!(count(&store, &KeyRange::table(id)), 1);
        Storages::new(store.clone()).sweep().expect("swept");
        assert_eq!(count(&store, &KeyRange::table(id)), 0);
    }

    /// A transaction gave its ranges up when its commit was taken from it. A sweep between that and the commit's decision cleared them,
    /// and what the commit had written into them was lost.
    #[test]
    fn what_a_commit_keeps_is_not_swept_before_it_is_decided() {
        let store = Arc::new(Store::in_memory(&StoreOptions::default()));
        let storages = Storages::new(store.clone());
        let (id, private) = storages.private_storage().expect("made");
        let (key, note) = ([&id.0.to_be_bytes()[..], b"key"].concat(), private.keep().key);
        let transaction = Transaction::begin(store.clone(), true);
        transaction.adopt(private);
        assert!(transaction.insert(&key, b"x").expect("written"));
        transaction.delete(&note).expect("written");
        let commit = transaction.take_commit().expect("it has written");
        storages.note_retired();
        storages.sweep().expect("swept");
        let outcome = store.propose(commit).expect("queued").wait().expect("answered");
        assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
        drop(transaction);
        storages.sweep().expect("swept");
        assert_eq!(count(&store, &KeyRange::table(id)), 1);
    }

    #[test]
    fn what_a_transaction_has_is_not_swept_and_what_it_leaves_is() {
        let store = Arc::new(Store::in_memory(&StoreOptions::default()));
        let storages = Storages::new(store.clone());
        let (id, private) = storages.private_storage().expect("made");
        let key = [&id.0.to_be_bytes()[..], b"key"].concat();
        put(&store, &key);
        storages.note_retired();
        storages.sweep().expect("swept");
        assert_eq!(count(&store, &KeyRange::table(id)), 1, "it is in use");

        drop(private);
        assert!(storages.has_work());
        storages.sweep().expect("swept");
        assert_eq!(
            (count(&store, &KeyRange::table(id)), count(&store, &retired_range())),
            (0, 0)
        );
        assert!(!storages.has_work());

        // The next process knows of no transaction.
        let (id, private) = storages.private_storage().expect("made");
        put(&store, &[&id.0.to_be_bytes()[..], b"key"].concat());
        Storages::new(store.clone()).sweep().expect("swept");
        assert_eq!(count(&store, &KeyRange::table(id)), 0);
        drop(private);
    }

    /// The commits of the storages once had the read point 0, which the window no longer knows after 128 MiB of log: from then on nothing
    /// could be dropped, and no index be built.
    #[test]
    fn a_log_that_is_long_keeps_nobody_from_it() {
        let options = StoreOptions {
            window_bytes: 4096,
            ..StoreOptions::default()
        };
        let store = Arc::new(Store::in_memory(&options));
        for _ in 0..100 {
            let mut commit = Commit::new(new_id(), store.snapshot().read_point().expect("read").index);
            commit.write(b"key".to_vec(), Change::Put(vec![7; 200]));
            let _: Outcome = store.propose(commit).expect("queued").wait().expect("answered");
        }
        let storages = Storages::new(store.clone());
        let (id, private) = storages.private_storage().expect("made");
        assert!(id >= FIRST_STORAGE);
        drop(private);
        storages.sweep().expect("swept");
        assert_eq!(count(&store, &retired_range()), 0);
    }

    /// CREATE INDEX, rolled back, and again: the second found the entries of the first, of rows that were not there any more.
    #[test]
    fn an_index_that_gets_an_id_again_finds_nothing_there() {
        let store = Arc::new(Store::in_memory(&StoreOptions::default()));
        let storages = Storages::new(store.clone());
        let (storage, index) = (storages.allocate().expect("left"), IndexId(1));
        let range = KeyRange::index(storage, index);
        let transaction = Transaction::begin(storages.store.clone(), true);
        let seen = || transaction.unchanged(KeyRange::point(b"catalog")).expect("read");
        let first = storages.private_index(storage, index, seen()).expect("made");
        put(&store, &[&range.start[..], b"key"].concat());
        drop(first);
        let second = storages.private_index(storage, index, seen()).expect("made");
        assert_eq!(count(&store, &range), 0);
        put(&store, &[&range.start[..], b"key"].concat());
        storages.note_retired();
        storages.sweep().expect("swept");
        assert_eq!(count(&store, &range), 1, "it is in use");
        drop(second);
    }

    /// A block that made an index could lose it: from COMMIT to its answer the range was nobody's, and was swept.
    #[test]
    fn a_range_is_not_swept_while_its_commit_is_under_way() {
        let store = Arc::new(Store::in_memory(&StoreOptions::default()));
        let storages = Storages::new(store.clone());
        let (id, private) = storages.private_storage().expect("made");
        put(&store, &[&id.0.to_be_bytes()[..], b"key"].concat());
        let transaction = Transaction::begin(store.clone(), true);
        transaction.adopt(private.clone());
        transaction.delete(&private.keep().key).expect("written");
        drop(private);
        let commit = transaction.take_commit().expect("it writes");
        storages.note_retired();
        storages.sweep().expect("swept");
        assert_eq!(count(&store, &KeyRange::table(id)), 1, "it is about to be somebody's");
        let outcome = store.propose(commit).expect("queued").wait().expect("answered");
        assert!(matches!(outcome, Outcome::Committed { .. }));
        drop(transaction);
        storages.sweep().expect("swept");
        assert_eq!(count(&store, &KeyRange::table(id)), 1, "it is somebody's");
    }

    #[test]
    fn a_range_that_was_kept_is_not_swept() {
        let store = Arc::new(Store::in_memory(&StoreOptions::default()));
        let storages = Storages::new(store.clone());
        let (id, private) = storages.private_storage().expect("made");
        put(&store, &[&id.0.to_be_bytes()[..], b"key"].concat());
        let mut commit = Commit::new(new_id(), LogIndex(0));
        commit.isolation = aion_storage::Isolation::ReadCommitted;
        commit.write(private.keep().key, Change::Delete);
        let _: Outcome = store.propose(commit).expect("queued").wait().expect("answered");
        drop(private);
        storages.sweep().expect("swept");
        assert_eq!(count(&store, &KeyRange::table(id)), 1);
    }
}
