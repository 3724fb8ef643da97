//! Locks on keys, which order those who would otherwise meet at the commit.
//!
//! **Vocabulary.** An *owner* is a transaction, or a session. It *holds* locks on keys, in one of four [modes](LockMode), until it ends, goes
//! [back to a mark](LockOwner::release_to) or [unlocks](LockOwner::unlock) a key. Who is in the way of another *blocks* it.
//!
//! **Guarantees.**
//! - Two owners never hold one key in modes that exclude each other.
//! - First come, first served: a request waits for the holders and for those before it that exclude it, and for no one else. An owner that
//!   asks for more of what it holds goes before those who hold nothing.
//! - A call that would wait for ever gets 40P01 instead (see [`graph`]).
//! - An owner waits for one lock at a time; a second call that would have to wait is refused.
//! - An owner that is dropped, by a panic too, holds and waits for nothing.
//!
//! They are local, and are no guarantee of the database: commits are decided by what was read and written, whoever held
//! what. Locks let the second writer of a row wait for the first instead of failing against it.
//!
//! **What a caller does.** It locks a row before it changes it, and keeps its [`LockOwner`] until the commit's outcome is known: a
//! snapshot that the next owner takes then sees it. It chooses its timeout and drops the [`LockWait`] when that is over.
//!
//! **Memory.** A lock is the 64-bit hash of its key, not the key: 16 bytes in a hash table (with its control byte and free places 20 to 39), and
//! 8 in the list of its owner. 3, 5 and 8 million locks of one owner took 33, 39 and 42 resident bytes each: an UPDATE of five million
//! rows takes 195 MB. Two keys of one hash exclude each other like one key: somebody waits, or skips a row, or runs again without
//! need. Beside five million locks that happens to one in 4e12, and as the hash is SipHash with a secret of this table, nobody can bring it
//! about. What several hold or wait for takes some hundred bytes more.
//!
//! **Speed.** 256 shards by hash, each with its own mutex on its own cache lines. On two cores that seven other processes wanted too: 0.15 us
//! for a lock and its release, 0.21 us with a new owner for each; 5 us to begin to wait as the 64th for a key, 0.1 to 0.2 ms as the 1000th,
//! where all hold other keys, so that the search is needed. `cargo bench -p aion-storage --bench locks` prints these.
//!
//! Deliberately absent: locks on ranges or tables, locks that outlive the process, timeouts.

mod graph;
mod keys;
mod mode;
mod owner;
mod view;
mod wait;

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use aion_base::clock::Clock;
use aion_base::rng::entropy;
use parking_lot::Mutex;

pub use mode::LockMode;
pub use owner::{Attempt, LockMark, LockOwner, OwnerId};
pub use view::LockEntry;
pub use wait::LockWait;

use self::graph::Graph;
use self::keys::Keys;
use self::owner::OwnerState;

/// What a lock counts for in [`LockOptions::bytes_max`]: 17 bytes in a hash table that is at least 7/16 full, 8 in its
/// owner's list.
const LOCK_BYTES: usize = 48;

/// What a key counts for beyond its locks while several hold it or wait for it.
const CONTENDED_BYTES: usize = 256;

/// Keys of different shards do not meet. So many that 64 threads rarely do.
const SHARDS: usize = 256;

/// The limits of a table.
#[derive(Clone, Debug)]
pub struct LockOptions {
    /// Locks of one owner; 53200 beyond. 8 million, which is 400 MB: more rows than a transaction of the largest size can change.
    pub locks_per_owner_max: usize,
    /// Bytes of all locks, about; 53200 beyond. Each shard has its part, so a full table refuses some per cent early.
    pub bytes_max: usize,
    /// Calls that wait at one time; 53200 beyond.
    pub waits_max: usize,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self {
            locks_per_owner_max: 8 << 20,
            bytes_max: 512 << 20,
            waits_max: 64 << 10,
        }
    }
}

/// How a lock was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The owner did not hold the key before.
    Acquired,
    /// It held the key in this weaker mode.
    Upgraded {
        /// The mode before.
        from: LockMode,
    },
    /// It held the key in this mode or a stronger one.
    Held,
}

/// Stands for a key: a hash that another table, or another process, computes differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash(u64);

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The locks of a database. A clone is the same table. See the module's header.
#[derive(Clone)]
pub struct LockTable {
    table: Arc<Table>,
}

struct Table {
    options: LockOptions,
    clock: Arc<dyn Clock>,
    secret: u64,
    last_owner: AtomicU64,
    /// Calls that wait.
    waits: AtomicUsize,
    shards: Box<[Shard]>,
    /// Order of the mutexes: the graph, then one shard's keys or owners, then one owner's own.
    graph: Mutex<Graph>,
}

/// Two cache lines: the processor fetches them in pairs.
#[repr(align(128))]
struct Shard {
    keys: Mutex<Keys>,
    /// Those with an id of this shard, so that owners are found by their id.
    owners: Mutex<HashMap<OwnerId, Arc<OwnerState>>>,
}

impl LockTable {
    /// A table in which nothing is locked. `clock` says since when somebody waits.
    pub fn new(clock: Arc<dyn Clock>, options: LockOptions) -> Self {
        let shard = || Shard {
            keys: Mutex::new(Keys::new(options.bytes_max / SHARDS)),
            owners: Mutex::default(),
        };
        let shards = (0..SHARDS).map(|_| shard()).collect();
        let table = Table {
            options,
            clock,
            secret: entropy(),
            last_owner: AtomicU64::new(0),
            waits: AtomicUsize::new(0),
            shards,
            graph: Mutex::default(),
        };
        Self { table: Arc::new(table) }
    }

    /// A new owner. `label` is what it is called where a deadlock is told and in [`LockTable::list`].
    pub fn owner(&self, label: Option<Arc<str>>) -> LockOwner {
        let id = OwnerId(self.table.last_owner.fetch_add(1, Ordering::Relaxed) + 1);
        let state = Arc::new(OwnerState::new(id, label, self.table.options.locks_per_owner_max));
        self.table.owners(id).lock().insert(id, state.clone());
        LockOwner::new(self.table.clone(), state)
    }

    /// How many locks are held.
    pub fn locks(&self) -> usize {
        let shards = self.table.shards.iter();
        shards.map(|shard| shard.keys.lock().locks()).sum()
    }

    /// How many calls wait.
    pub fn waits(&self) -> usize {
        self.table.waits.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for LockTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockTable({} locks)", self.locks())
    }
}

impl Table {
    fn hash(&self, key: &[u8]) -> KeyHash {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.secret);
        hasher.write(key);
        KeyHash(hasher.finish())
    }

    /// The shard of a key. The hash tables use the lowest bits and the seven highest.
    fn keys(&self, hash: KeyHash) -> &Mutex<Keys> {
        &self.shards[(hash.0 >> 40) as usize % SHARDS].keys
    }

    fn owners(&self, id: OwnerId) -> &Mutex<HashMap<OwnerId, Arc<OwnerState>>> {
        &self.shards[id.0 as usize % SHARDS].owners
    }

    /// An owner that has not ended.
    fn owner(&self, id: OwnerId) -> Option<Arc<OwnerState>> {
        self.owners(id).lock().get(&id).cloned()
    }

    fn forget(&self, id: OwnerId) {
        self.owners(id).lock().remove(&id);
    }
}

#[cfg(test)]
mod tests;
