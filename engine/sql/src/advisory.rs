//! Advisory locks: numbers that sessions lock, and that mean what they agreed upon (`pg_advisory_lock` and its kin).
//!
//! **Vocabulary.** A *key* is a bigint or two integers; the two kinds never meet. It is held *for the session*, as often as it was locked and
//! until it was unlocked as often, or *for the transaction*, until that ends.
//!
//! **Guarantees.** Nobody holds a key while somebody else holds it exclusively. A wait ends with `lock_timeout` (55P03), with the
//! statement, and with 40P01 where sessions wait for each other in a circle of such keys. A session that ends holds nothing.
//!
//! **How.** A session is one owner in the table of row locks, for all its keys; how often it holds each of them is counted here.
//!
//! **Narrower than PostgreSQL.** A circle that goes through a row lock is not seen, and ends with a timeout. A key that is held
//! exclusively and shared stays exclusive until both are given back. ROLLBACK TO gives back no key of a transaction.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use aion_storage::{Attempt, LockMode, LockOwner, LockTable, OwnerId};
use parking_lot::Mutex;

/// Before every key, so that those who list locks know them; rows' keys begin with the number of a storage, which is smaller.
const PREFIX: [u8; 9] = *b"\xffadvisory";

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A bigint.
    One(i64),
    /// Two integers.
    Two(i32, i32),
}

impl Key {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = PREFIX.to_vec();
        match self {
            Self::One(number) => {
                bytes.push(1);
                bytes.extend(number.to_be_bytes());
            }
            Self::Two(one, other) => {
                bytes.push(2);
                bytes.extend(one.to_be_bytes());
                bytes.extend(other.to_be_bytes());
            }
        }
        bytes
    }

    /// The key of these bytes; None for those of a row.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, number) = bytes.strip_prefix(&PREFIX)?.split_first()?;
        let number = i64::from_be_bytes(number.try_into().ok()?);
        match kind {
            1 => Some(Self::One(number)),
            2 => Some(Self::Two((number >> 32) as i32, number as i32)),
            _ => None,
        }
    }

    /// As `pg_locks` shows it: `classid`, `objid` and `objsubid`.
    pub fn shown(self) -> (u32, u32, i16) {
        match self {
            Self::One(number) => ((number >> 32) as u32, number as u32, 1),
            Self::Two(one, other) => (one.cast_unsigned(), other.cast_unsigned(), 2),
        }
    }
}

/// How long a key is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// It is unlocked, or the session ends.
    Unlocked,
    /// The transaction ends.
    TransactionEnds,
}

/// How often a key is held, shared and exclusively.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    shared: u32,
    exclusive: u32,
}

impl Counts {
    fn of(&mut self, is_shared: bool) -> &mut u32 {
        match is_shared {
            true => &mut self.shared,
            false => &mut self.exclusive,
        }
    }

    fn is_none(self) -> bool {
        self == Self::default()
    }
}

#[derive(Default)]
struct Held {
    of_session: HashMap<Key, Counts>,
    of_transaction: HashMap<Key, Counts>,
}

impl Held {
    fn of(&mut self, until: Until) -> &mut HashMap<Key, Counts> {
        match until {
            Until::Unlocked => &mut self.of_session,
            Until::TransactionEnds => &mut self.of_transaction,
        }
    }

    fn has(&self, key: Key) -> bool {
        self.of_session.contains_key(&key) || self.of_transaction.contains_key(&key)
    }
}

/// The sessions that may hold advisory locks, for those who list them.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Vec<Weak<AdvisoryLocks>>>);

/// A key that a session holds, or several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKey {
    /// Which.
    pub key: Key,
    /// Whether others may hold it, too.
    pub is_shared: bool,
    /// What the session is called.
    pub label: Option<Arc<str>>,
}

impl Sessions {
    /// The locks of a new session of this name.
    pub fn open(&self, table: LockTable, label: Option<Arc<str>>) -> Arc<AdvisoryLocks> {
        let opened = Arc::new(AdvisoryLocks::new(table, label));
        let mut sessions = self.0.lock();
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(&opened));
        opened
    }

    /// What all of them hold, and which owners of locks they are.
    pub fn held(&self) -> (Vec<HeldKey>, HashSet<OwnerId>) {
        let sessions: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        let (mut keys, mut owners) = (Vec::new(), HashSet::new());
        for session in sessions {
            owners.extend(session.owner.lock().as_ref().map(|owner| owner.id()));
            let held = session.held.lock();
            let counts = held.of_session.iter().chain(&held.of_transaction);
            for (key, counts) in counts {
                for (is_shared, count) in [(false, counts.exclusive), (true, counts.shared)] {
                    if count > 0 {
                        keys.push(HeldKey {
                            key: *key,
                            is_shared,
                            label: session.label.clone(),
                        });
                    }
                }
            }
        }
        (keys, owners)
    }
}

/// The advisory locks of a session.
pub struct AdvisoryLocks {
    table: LockTable,
    label: Option<Arc<str>>,
    owner: Mutex<Option<Arc<LockOwner>>>,
    held: Mutex<Held>,
}

impl AdvisoryLocks {
    /// Of a session of this name.
    pub fn new(table: LockTable, label: Option<Arc<str>>) -> Self {
        Self {
            table,
            label,
            owner: Mutex::new(None),
            held: Mutex::new(Held::default()),
        }
    }

    fn owner(&self) -> Arc<LockOwner> {
        let mut owner = self.owner.lock();
        let made = owner.get_or_insert_with(|| Arc::new(self.table.owner(self.label.clone())));
        made.clone()
    }

    fn note(&self, key: Key, is_shared: bool, until: Until) {
        *self.held.lock().of(until).entry(key).or_default().of(is_shared) += 1;
    }

    /// Locks a key, and waits for it, at most so long.
    ///
    /// # Errors
    /// 40P01, 55P03, 53200.
    pub async fn lock(&self, key: Key, is_shared: bool, until: Until, timeout: Option<Duration>) -> Result<()> {
        let owner = self.owner();
        // Behind the wait, which it outlives: a grant may come when nobody listens any more.
        let mut unnoted = Unnoted {
            locks: self,
            key: Some(key),
        };
        match owner.lock(&key.bytes(), mode(is_shared))? {
            Attempt::Granted(_) => {}
            Attempt::Waiting(wait) => {
                let time_is_over = async {
                    match timeout {
                        Some(timeout) => tokio::time::sleep(timeout).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    granted = wait => drop(granted?),
                    () = time_is_over => {
                        return Err(Error::unavailable(
                            SqlState::LOCK_NOT_AVAILABLE,
                            "canceling statement due to lock timeout",
                        ));
                    }
                }
            }
        }
        self.note(key, is_shared, until);
        unnoted.key = None;
        Ok(())
    }

    /// Locks a key if nobody is in the way.
    ///
    /// # Errors
    /// 53200.
    pub fn try_lock(&self, key: Key, is_shared: bool, until: Until) -> Result<bool> {
        let is_granted = self.owner().try_lock(&key.bytes(), mode(is_shared))?.is_some();
        if is_granted {
            self.note(key, is_shared, until);
        }
        Ok(is_granted)
    }

    /// Unlocks a key that was locked for the session; false for one that was not.
    pub fn unlock(&self, key: Key, is_shared: bool) -> bool {
        let mut held = self.held.lock();
        let Some(counts) = held.of_session.get_mut(&key) else {
            return false;
        };
        let count = counts.of(is_shared);
        if *count == 0 {
            return false;
        }
        *count -= 1;
        if counts.is_none() {
            held.of_session.remove(&key);
        }
        self.release(&held, [key]);
        true
    }

    /// Unlocks all that was locked for the session.
    pub fn unlock_all(&self) {
        let mut held = self.held.lock();
        let keys = std::mem::take(&mut held.of_session);
        self.release(&held, keys.into_keys());
    }

    /// Unlocks what was locked for the transaction.
    pub fn end_transaction(&self) {
        let mut held = self.held.lock();
        // Nearly always: it is asked of every statement outside of a block.
        if held.of_transaction.is_empty() {
            return;
        }
        let keys = std::mem::take(&mut held.of_transaction);
        self.release(&held, keys.into_keys());
    }

    /// Gives back which of the keys nobody holds any more here.
    fn release(&self, held: &Held, keys: impl IntoIterator<Item = Key>) {
        let owner = self.owner.lock().clone();
        let Some(owner) = owner else { return };
        for key in keys.into_iter().filter(|key| !held.has(*key)) {
            owner.unlock(&key.bytes());
        }
    }
}

/// A key that is being locked: if it is not noted in the end, it is not to be held.
struct Unnoted<'a> {
    locks: &'a AdvisoryLocks,
    key: Option<Key>,
}

impl Drop for Unnoted<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.locks.release(&self.locks.held.lock(), [key]);
        }
    }
}

impl fmt::Debug for AdvisoryLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.lock();
        write!(
            f,
            "AdvisoryLocks({} of the session, {} of the transaction)",
            held.of_session.len(),
            held.of_transaction.len()
        )
    }
}

fn mode(is_shared: bool) -> LockMode {
    match is_shared {
        true => LockMode::Share,
        false => LockMode::Update,
    }
}
