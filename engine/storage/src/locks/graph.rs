//! Beginning to wait, unless that would never end.
//!
//! **Vocabulary.** The *graph* has an edge from each owner that waits to each owner that blocks its request: a holder, or one that waits
//! before it for something that excludes it. A *cycle* in it is a deadlock: locks go with their owners, so none of them ends before
//! the others.
//!
//! **Guarantee.** The graph has no cycle, but for the moment in which one is looked for. The owner whose call would have closed it gets 40P01.
//!
//! **Why.** An owner waits for one lock at a time, so all edges from it are those of one request, and end with it. New edges come:
//! - where a request is put into a queue: from its owner, and to it if an upgrade goes before others. All of that happens here, under
//!   one mutex, so that no other request comes meanwhile;
//! - to an owner that gets a stronger lock before a queue, or passes one: it waits for nothing then, so that no cycle goes through it
//!   (see [`super::keys`]).
//!
//! A new cycle thus goes through the owner that asks, and through its request:
//! 1. let the request wait ([`Table::begin`]);
//! 2. search from the owner, breadth first, shard by shard ([`Table::cycle`]). Edges may go meanwhile; one that the search depends on was there
//!    when it began, or does not matter by the above;
//! 3. if it comes back to the owner, take the request back and say who waits for whom ([`Table::conclude`]). If the request was granted
//!    meanwhile, the owner waits no more, and the cycle has gone.
//!
//! The last sentence is false for an owner that waits elsewhere too: an upgrade makes others wait for it, and the way back from them leads
//! through its other request. Hence one at a time.
//!
//! **Passing the queue.** Where only requests before it block the call it does not fail but is granted at once: it could have come earlier.
//!
//! **Cost.** Many owners that wait for one key are looked at once each: [`Blockers::covered`] says which requests block by none
//! that was not seen already. A call of an owner that holds nothing needs no search: nobody waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aion_base::{Error, Result, SqlState};
use parking_lot::MutexGuard;

use super::keys::{Asked, Blockers, Found};
use super::owner::{Attempt, Awaited, OwnerId, wake};
use super::wait::LockWait;
use super::{Grant, KeyHash, LockMode, Table};

/// A deadlock among more owners than this is not told in full.
const OWNERS_TOLD_MAX: usize = 16;

/// What the mutex of the graph protects, beside the standstill.
#[derive(Debug, Default)]
pub struct Graph {
    last_ticket: u64,
}

/// What became of a request before the search.
pub enum Begun {
    Granted(Grant),
    /// It stands in its queue. The grant is how it will be granted.
    Waiting(LockWait, Grant),
}

impl Table {
    /// Begins to wait; or is granted, if what was in the way has gone meanwhile.
    pub fn wait(self: &Arc<Self>, asked: &Asked<'_>) -> Result<Attempt> {
        let mut graph = self.graph.lock();
        match self.begin(&mut graph, asked)? {
            Begun::Granted(grant) => Ok(Attempt::Granted(grant)),
            Begun::Waiting(wait, grant) => match self.cycle(asked) {
                Some(cycle) => self.conclude(graph, asked, wait, grant, &cycle),
                None => Ok(Attempt::Waiting(wait)),
            },
        }
    }

    /// Lets the request wait.
    pub fn begin(self: &Arc<Self>, graph: &mut Graph, asked: &Asked<'_>) -> Result<Begun> {
        // Read before the keys: who waits for nothing now cannot begin to meanwhile, so what is blocked below is blocked by others. Read after
        // them, a request that only the owner's own wait had kept back could be put into the queue when that is over; nobody would grant it.
        let is_waiting = asked.owner.awaited().is_some();
        let mut keys = self.keys(asked.hash).lock();
        if let Found::Granted(grant) = keys.acquire(asked)? {
            return Ok(Begun::Granted(grant));
        }
        if is_waiting {
            let message = format!("{} would wait for two row locks at one time", asked.owner);
            return Err(Error::internal(message));
        }
        if self.waits.load(Ordering::Relaxed) >= self.options.waits_max {
            let message = format!("{} calls wait for row locks, and no more can", self.options.waits_max);
            return Err(Error::exhausted(SqlState::OUT_OF_MEMORY, message).with_hint("Try again later."));
        }
        graph.last_ticket += 1;
        let ticket = graph.last_ticket;
        let (waker, woken) = oneshot::channel();
        let before = keys.mode(asked.hash, asked.owner.id);
        keys.enqueue(asked, ticket, waker, self.clock.wall_micros());
        drop(keys);
        self.waits.fetch_add(1, Ordering::Relaxed);
        let wait = LockWait::new(self.clone(), asked.owner.clone(), asked.hash, ticket, woken);
        let grant = before.map_or(Grant::Acquired, |from| Grant::Upgraded { from });
        Ok(Begun::Waiting(wait, grant))
    }

    /// Breaks a cycle that goes through a request.
    pub fn conclude(
        &self,
        graph: MutexGuard<'_, Graph>,
        asked: &Asked<'_>,
        wait: LockWait,
        grant: Grant,
        cycle: &[OwnerId],
    ) -> Result<Attempt> {
        let withdrawn = {
            let mut keys = self.keys(asked.hash).lock();
            match keys.pass_queue(asked.hash, asked.owner.id) {
                true => None,
                false => keys.withdraw(asked.hash, wait.ticket()),
            }
        };
        // Where it was neither passed nor taken back, somebody ended while the search ran and left the lock to this owner.
        let Some((request, woken)) = withdrawn else {
            return Ok(Attempt::Granted(grant));
        };
        let error = self.deadlock(cycle);
        drop(graph);
        drop(request);
        wake(woken);
        Err(error)
    }

    /// The owners of a cycle through the one that asks, beginning with it.
    pub fn cycle(&self, asked: &Asked<'_>) -> Option<Vec<OwnerId>> {
        let start = asked.owner.id;
        if !asked.owner.has_locks() {
            return None;
        }
        let mut reached_from = HashMap::from([(start, start)]);
        let mut covered: HashMap<KeyHash, (u64, LockMode)> = HashMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(owner) = next.pop_front() {
            for blocker in self.blocked_by(owner, &mut covered) {
                if blocker == start {
                    return Some(path(&reached_from, start, owner));
                }
                reached_from.entry(blocker).or_insert_with(|| {
                    next.push_back(blocker);
                    owner
                });
            }
        }
        None
    }

    /// Whom an owner waits for, except those that were seen when what is `covered` was.
    fn blocked_by(&self, owner: OwnerId, covered: &mut HashMap<KeyHash, (u64, LockMode)>) -> Vec<OwnerId> {
        let awaited = self.owner(owner).and_then(|state| state.awaited());
        let Some(Awaited { hash, ticket, mode }) = awaited else {
            return Vec::new();
        };
        let is_covered = |(before, most): &(u64, LockMode)| ticket < *before && mode <= *most;
        if covered.get(&hash).is_some_and(is_covered) {
            return Vec::new();
        }
        let blockers = self.keys(hash).lock().blockers(hash, owner);
        let Some(Blockers {
            owners, covered: more, ..
        }) = blockers
        else {
            return Vec::new();
        };
        if let Some(more) = more {
            covered.insert(hash, more);
        }
        owners
    }

    fn deadlock(&self, cycle: &[OwnerId]) -> Error {
        let name = |owner: &OwnerId| match self.owner(*owner) {
            Some(state) => state.to_string(),
            None => format!("owner {owner}"),
        };
        let edges = cycle.iter().zip(cycle.iter().cycle().skip(1));
        let edges = edges.map(|(waiting, blocker)| format!("{} waits for {}", name(waiting), name(blocker)));
        let mut detail = edges.take(OWNERS_TOLD_MAX).collect::<Vec<_>>().join("; ");
        if cycle.len() > OWNERS_TOLD_MAX {
            detail.push_str(&format!("; and so on, {} in all", cycle.len()));
        }
        Error::conflict(SqlState::DEADLOCK_DETECTED, "deadlock detected")
            .with_detail(detail + ".")
            .with_hint(
                "Run the transaction again. Transactions that lock rows in the same order do not meet like this.",
            )
    }
}

fn path(reached_from: &HashMap<OwnerId, OwnerId>, start: OwnerId, end: OwnerId) -> Vec<OwnerId> {
    let mut path = vec![end];
    let mut at = end;
    while at != start {
        at = reached_from[&at];
        path.push(at);
    }
    path.reverse();
    path
}
