//! One shard of the table: who holds which keys, and who waits for them.
//!
//! **Vocabulary.** A key is *contended* while more than one owner holds it or anybody waits for it. A *request* is the one lock that an
//! owner waits for. An *upgrade* is the request of an owner that holds the key already.
//!
//! **How.** A key that one owner holds is 16 bytes in `held`: a hash, and the owner's id with the mode. Only a contended key has
//! an entry in `contended`, with lists.
//!
//! **The queue** holds upgrades first, then the others, each in the order in which they came. A request is *blocked* by the holders
//! that it conflicts with, and by the requests before it that it conflicts with; never by its own owner. It is granted as soon as
//! nothing blocks it. Conflicts are symmetric, so a grant from the queue makes nobody wait who did not wait for that owner
//! before: the graph of who waits for whom gains no edge by it, and none by a release.
//!
//! Invariant: an owner has at most one request in all queues, and says so ([`OwnerState::awaited`]) from when it is put there until it is
//! granted or taken back; that changes under the mutex of the shard. No owner becomes the holder of a key while its request waits there,
//! other than by that request.
//!
//! Invariant: an owner that waits is given no lock for which others would begin to wait. What nobody keeps from it, it may have; but no
//! stronger lock before a queue.
//!
//! Nothing here wakes anybody. What is to be woken is returned, and is woken when no lock is held: a waker may drop what it
//! wakes, which comes back here.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};

use super::owner::{Awaited, OwnerId, OwnerState};
use super::{CONTENDED_BYTES, Grant, KeyHash, LOCK_BYTES, LockMode};

/// Of a contended key, this much is kept for the view: table, index and the first columns.
const PREFIX_BYTES_MAX: usize = 64;

/// A map with room for more than this many keys shrinks once it is an eighth full.
const SHRINK_ABOVE: usize = 1024;

/// Bits of [`Held`] that are the mode.
const MODE_BITS: u32 = 3;

/// The hash is one already.
#[derive(Debug, Default)]
pub struct Passthrough(u64);

impl Hasher for Passthrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a hash of a key is written as one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

type ByKey<T> = HashMap<KeyHash, T, BuildHasherDefault<Passthrough>>;

/// The one owner of a key and its mode in eight bytes; 0 where the key is contended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held(u64);

impl Held {
    const CONTENDED: Self = Self(0);

    fn by(holder: Holder) -> Self {
        Self(holder.owner.0 << MODE_BITS | holder.mode as u64)
    }

    fn holder(self) -> Option<Holder> {
        let mode = LockMode::from_number((self.0 & ((1 << MODE_BITS) - 1)) as u8)?;
        let owner = OwnerId(self.0 >> MODE_BITS);
        Some(Holder { owner, mode })
    }
}

/// Who holds a key, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub owner: OwnerId,
    pub mode: LockMode,
}

/// Told when the lock is granted; dropped when it never will be.
pub type Waker = oneshot::Sender<()>;

/// What an owner waits for.
#[derive(Debug)]
pub struct Request {
    pub owner: Arc<OwnerState>,
    pub mode: LockMode,
    pub since_micros: u64,
    /// Among those that are no upgrades, the queue is in this order.
    ticket: u64,
    is_upgrade: bool,
    waker: Waker,
}

/// A key that several hold or somebody waits for.
#[derive(Debug)]
pub struct Contended {
    pub prefix: Box<[u8]>,
    pub holders: Vec<Holder>,
    pub queue: VecDeque<Request>,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub hash: KeyHash,
    pub key: &'a [u8],
    pub owner: &'a Arc<OwnerState>,
    pub mode: LockMode,
}

/// What became of it.
#[derive(Debug)]
pub enum Found {
    Granted(Grant),
    Blocked,
}

/// Who keeps a request waiting.
#[derive(Debug)]
pub struct Blockers {
    pub owners: Vec<OwnerId>,
    /// What of the queue these cover: every request that is not an upgrade, came before this ticket and asks for no more than
    /// this is blocked by none but them and their own. None for an upgrade.
    pub covered: Option<(u64, LockMode)>,
    /// Whether a holder is among them.
    pub is_held: bool,
}

/// See the module's header.
#[derive(Debug)]
pub struct Keys {
    held: ByKey<Held>,
    contended: ByKey<Contended>,
    locks: usize,
    bytes_max: usize,
}

impl Keys {
    pub fn new(bytes_max: usize) -> Self {
        Self {
            held: HashMap::default(),
            contended: HashMap::default(),
            locks: 0,
            bytes_max,
        }
    }

    /// How many locks are granted.
    pub fn locks(&self) -> usize {
        self.locks
    }

    /// For how many locks the table has room before it grows.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.held.capacity()
    }

    /// Grants what can be granted at once.
    ///
    /// # Errors
    /// 53200 beyond a limit.
    pub fn acquire(&mut self, asked: &Asked<'_>) -> Result<Found> {
        let new = Holder {
            owner: asked.owner.id,
            mode: asked.mode,
        };
        let Some(&held) = self.held.get(&asked.hash) else {
            self.check_room()?;
            asked.owner.acquired(asked.hash)?;
            self.held.insert(asked.hash, Held::by(new));
            self.locks += 1;
            return Ok(Found::Granted(Grant::Acquired));
        };
        if let Some(holder) = held.holder() {
            if holder.owner == new.owner {
                if holder.mode >= new.mode {
                    return Ok(Found::Granted(Grant::Held));
                }
                self.held.insert(asked.hash, Held::by(new));
                asked.owner.upgraded(asked.hash, holder.mode);
                return Ok(Found::Granted(Grant::Upgraded { from: holder.mode }));
            }
            if holder.mode.conflicts_with(new.mode) {
                return Ok(Found::Blocked);
            }
        }
        self.acquire_contended(asked)
    }

    fn acquire_contended(&mut self, asked: &Asked<'_>) -> Result<Found> {
        let contended = self.contend(asked);
        let own = contended.holder(asked.owner.id).map(|holder| holder.mode);
        if own.is_some_and(|own| own >= asked.mode) {
            return Ok(Found::Granted(Grant::Held));
        }
        if contended.position(asked.owner.id).is_some() {
            return Ok(Found::Blocked);
        }
        let at = contended.place(own.is_some());
        if !contended.blockers(asked.owner.id, asked.mode, at).owners.is_empty() {
            return Ok(Found::Blocked);
        }
        let Some(own) = own else {
            return self.join(asked);
        };
        // The one grant that can make somebody wait for its owner who did not before. Should the owner begin to wait right after this
        // question, its search comes after that, and sees here who waits for it.
        if contended.queue.len() > at && asked.owner.awaited().is_some() {
            return Ok(Found::Blocked);
        }
        contended.hold(asked.owner.id, asked.mode);
        asked.owner.upgraded(asked.hash, own);
        Ok(Found::Granted(Grant::Upgraded { from: own }))
    }

    /// Adds a holder that nothing blocks to a contended key.
    fn join(&mut self, asked: &Asked<'_>) -> Result<Found> {
        let noted = self.check_room().and_then(|()| asked.owner.acquired(asked.hash));
        if noted.is_err() {
            let woken = self.settle(asked.hash);
            debug_assert!(woken.is_empty(), "nothing has changed");
        }
        noted?;
        let contended = self.contended.get_mut(&asked.hash).expect("the caller found it");
        contended.holders.push(Holder {
            owner: asked.owner.id,
            mode: asked.mode,
        });
        self.locks += 1;
        Ok(Found::Granted(Grant::Acquired))
    }

    /// Lets a request wait that was blocked, of an owner that waits for nothing else.
    pub fn enqueue(&mut self, asked: &Asked<'_>, ticket: u64, waker: Waker, since_micros: u64) {
        let contended = self.contend(asked);
        let is_upgrade = contended.holder(asked.owner.id).is_some();
        let request = Request {
            owner: asked.owner.clone(),
            mode: asked.mode,
            since_micros,
            ticket,
            is_upgrade,
            waker,
        };
        contended.queue.insert(contended.place(is_upgrade), request);
        asked.owner.begins_to_wait(Awaited {
            hash: asked.hash,
            ticket,
            mode: asked.mode,
        });
    }

    /// Who keeps the request of `owner` waiting; None when it waits no longer.
    pub fn blockers(&self, hash: KeyHash, owner: OwnerId) -> Option<Blockers> {
        let contended = self.contended.get(&hash)?;
        let at = contended.position(owner)?;
        let request = &contended.queue[at];
        let mut blockers = contended.blockers(owner, request.mode, at);
        blockers.covered = (!request.is_upgrade).then_some((request.ticket, request.mode));
        Some(blockers)
    }

    /// Grants the request of `owner` before those that came earlier: whether no holder is in its way.
    pub fn pass_queue(&mut self, hash: KeyHash, owner: OwnerId) -> bool {
        let Some(contended) = self.contended.get_mut(&hash) else {
            return false;
        };
        let Some(at) = contended.position(owner) else {
            return false;
        };
        if contended.blockers(owner, contended.queue[at].mode, at).is_held {
            return false;
        }
        let request = contended.queue.remove(at).expect("it stands there");
        self.locks += usize::from(contended.grant(hash, &request));
        true
    }

    /// Takes back the request with this ticket, and whom to wake then; None when it waits no longer.
    pub fn withdraw(&mut self, hash: KeyHash, ticket: u64) -> Option<(Request, Vec<Waker>)> {
        let contended = self.contended.get_mut(&hash)?;
        let at = contended.queue.iter().position(|request| request.ticket == ticket)?;
        let request = contended.queue.remove(at).expect("it stands there");
        request.owner.waits_no_more();
        Some((request, self.settle(hash)))
    }

    /// Takes a lock from its owner: whom to wake.
    pub fn release(&mut self, hash: KeyHash, owner: OwnerId) -> Vec<Waker> {
        let Some(&held) = self.held.get(&hash) else {
            return Vec::new();
        };
        match held.holder() {
            Some(holder) if holder.owner == owner => {
                self.held.remove(&hash);
                self.locks -= 1;
                shrink(&mut self.held);
                Vec::new()
            }
            Some(_) => Vec::new(),
            None => {
                let contended = self.contended.get_mut(&hash).expect("held says so");
                let before = contended.holders.len();
                contended.holders.retain(|holder| holder.owner != owner);
                self.locks -= before - contended.holders.len();
                self.settle(hash)
            }
        }
    }

    /// Weakens a lock to `mode`: whom to wake.
    pub fn downgrade(&mut self, hash: KeyHash, owner: OwnerId, mode: LockMode) -> Vec<Waker> {
        let Some(held) = self.held.get_mut(&hash) else {
            return Vec::new();
        };
        match held.holder() {
            Some(holder) => {
                if holder.owner == owner {
                    *held = Held::by(Holder { owner, mode });
                }
                Vec::new()
            }
            None => {
                let contended = self.contended.get_mut(&hash).expect("held says so");
                if contended.holder(owner).is_some() {
                    contended.hold(owner, mode);
                }
                self.settle(hash)
            }
        }
    }

    /// How `owner` holds a key.
    pub fn mode(&self, hash: KeyHash, owner: OwnerId) -> Option<LockMode> {
        let holder = match self.held.get(&hash)?.holder() {
            None => *self.contended.get(&hash)?.holder(owner)?,
            Some(holder) => holder,
        };
        (holder.owner == owner).then_some(holder.mode)
    }

    pub fn contended(&self) -> impl Iterator<Item = (KeyHash, &Contended)> {
        self.contended.iter().map(|(hash, contended)| (*hash, contended))
    }

    /// Keys that one owner holds and nobody waits for.
    pub fn uncontended(&self) -> impl Iterator<Item = (KeyHash, Holder)> {
        let held = self.held.iter();
        held.filter_map(|(hash, held)| Some((*hash, held.holder()?)))
    }

    fn check_room(&self) -> Result<()> {
        let bytes = self.locks * LOCK_BYTES + self.contended.len() * CONTENDED_BYTES;
        if bytes + LOCK_BYTES <= self.bytes_max {
            return Ok(());
        }
        Err(
            Error::exhausted(SqlState::OUT_OF_MEMORY, "there is no room for another row lock")
                .with_hint("Change fewer rows in one transaction, or try again when others have ended."),
        )
    }

    /// The entry of a contended key; makes one of a key that is held by one owner.
    fn contend(&mut self, asked: &Asked<'_>) -> &mut Contended {
        let held = self
            .held
            .get_mut(&asked.hash)
            .expect("only a key that is held is contended");
        let holder = std::mem::replace(held, Held::CONTENDED).holder();
        self.contended.entry(asked.hash).or_insert_with(|| Contended {
            prefix: asked.key[..asked.key.len().min(PREFIX_BYTES_MAX)].into(),
            holders: holder.into_iter().collect(),
            queue: VecDeque::new(),
        })
    }

    /// Grants what nothing blocks any more, in the order of the queue, and gives the entry up if the key is contended no
    /// longer: whom to wake.
    fn settle(&mut self, hash: KeyHash) -> Vec<Waker> {
        let contended = self.contended.get_mut(&hash).expect("the caller found it");
        let mut woken = Vec::new();
        let mut at = 0;
        let mut ahead: Option<LockMode> = None;
        while let Some(request) = contended.queue.get(at) {
            // Behind this nothing can be granted.
            if ahead == Some(LockMode::Update) {
                break;
            }
            let is_blocked = conflicts(ahead, request.mode)
                || conflicts(contended.strongest_holder_but(request.owner.id), request.mode);
            if is_blocked {
                ahead = ahead.max(Some(request.mode));
                at += 1;
            } else {
                let request = contended.queue.remove(at).expect("it was looked at");
                self.locks += usize::from(contended.grant(hash, &request));
                woken.push(request.waker);
            }
        }
        if contended.queue.is_empty() && contended.holders.len() <= 1 {
            match contended.holders.pop() {
                Some(holder) => drop(self.held.insert(hash, Held::by(holder))),
                None => drop(self.held.remove(&hash)),
            }
            self.contended.remove(&hash);
            shrink(&mut self.contended);
            shrink(&mut self.held);
        }
        woken
    }
}

impl Contended {
    fn holder(&self, owner: OwnerId) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.owner == owner)
    }

    fn position(&self, owner: OwnerId) -> Option<usize> {
        self.queue.iter().position(|request| request.owner.id == owner)
    }

    /// Where a new request belongs in the queue.
    fn place(&self, is_upgrade: bool) -> usize {
        if is_upgrade {
            self.queue.iter().take_while(|request| request.is_upgrade).count()
        } else {
            self.queue.len()
        }
    }

    fn strongest_holder_but(&self, owner: OwnerId) -> Option<LockMode> {
        let others = self.holders.iter().filter(|holder| holder.owner != owner);
        others.map(|holder| holder.mode).max()
    }

    /// Who blocks a request of `owner` that stands at `at`.
    fn blockers(&self, owner: OwnerId, mode: LockMode, at: usize) -> Blockers {
        let in_way = |other: OwnerId, held: LockMode| other != owner && held.conflicts_with(mode);
        let holders = self.holders.iter().filter(|holder| in_way(holder.owner, holder.mode));
        let mut owners: Vec<OwnerId> = holders.map(|holder| holder.owner).collect();
        let is_held = !owners.is_empty();
        let ahead = self.queue.range(..at);
        let ahead = ahead.filter(|request| in_way(request.owner.id, request.mode));
        owners.extend(ahead.map(|request| request.owner.id));
        Blockers {
            owners,
            covered: None,
            is_held,
        }
    }

    /// Sets the mode of an owner that holds the key.
    fn hold(&mut self, owner: OwnerId, mode: LockMode) {
        let holder = self.holders.iter_mut().find(|holder| holder.owner == owner);
        holder.expect("it holds the key").mode = mode;
    }

    /// Makes the owner of a request a holder, or a stronger one; whether that is a further lock.
    fn grant(&mut self, hash: KeyHash, request: &Request) -> bool {
        let (owner, mode) = (request.owner.id, request.mode);
        let held = self.holder(owner).map(|holder| holder.mode);
        match held {
            Some(from) => {
                self.hold(owner, mode);
                request.owner.upgraded(hash, from);
            }
            None => {
                self.holders.push(Holder { owner, mode });
                request.owner.acquired_at_last(hash);
            }
        }
        // Only now: an owner that seems to wait for nothing and to hold nothing is waited for by nobody.
        request.owner.waits_no_more();
        held.is_none()
    }
}

fn conflicts(held: Option<LockMode>, mode: LockMode) -> bool {
    held.is_some_and(|held| held.conflicts_with(mode))
}

/// Gives back what a large transaction had made the map grow to. Each time costs as much as the removals since the last.
fn shrink<T>(map: &mut ByKey<T>) {
    if map.capacity() > SHRINK_ABOVE && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}
