//! Beginning to wait, unless that would never end.
//!
//! **Vocabulary.** The *graph* has an edge from each owner that waits to each owner that blocks one of its requests: a
//! holder, or one that waits before it for something that excludes it. A *cycle* in it is a deadlock: locks go with their owners,
//! so none of them ends before the others.
//!
//! **Guarantee.** The graph has no cycle, but for the moment in which one is looked for. The owner whose call would have closed it gets 40P01.
//!
//! **How.** Edges come into being only where somebody begins to wait, or asks for more where it waits, or gets a stronger
//! lock before the queue while it waits elsewhere (see [`super::keys`]). All of that happens here, under one mutex: the graph *stands
//! still*, apart from edges that go. All new edges begin or end at the owner that calls, so a new cycle goes through it:
//! 1. let the request wait, and note that in its owner;
//! 2. search from the owner, breadth first, shard by shard; what the search meets on the way was there when it began, as no edge comes;
//! 3. if it comes back to the owner, take the request back and say who waits for whom.
//!
//! **Passing the queue.** Where only requests before it block the call, and its owner waits for nothing else, it does not fail but is
//! granted at once: it could have come earlier.
//!
//! **Cost.** Many owners that wait for one key are looked at once each: [`Blockers::covered`] says which requests block by none
//! that was not seen already. A call of an owner that holds nothing and waits for nothing else needs no search: nobody waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aion_base::{Error, Result, SqlState};
use parking_lot::MutexGuard;

use super::keys::{Asked, Blockers, Found, Waiter};
use super::owner::{Attempt, OwnerId, Pending, wake};
use super::wait::LockWait;
use super::{Grant, KeyHash, LockMode, Table};

/// A deadlock among more owners than this is not told in full.
const OWNERS_TOLD_MAX: usize = 16;

/// What the mutex of the graph protects, beside the standstill.
#[derive(Debug, Default)]
pub struct Graph {
    last_ticket: u64,
}

impl Table {
    /// Begins to wait; or is granted, if what was in the way has gone meanwhile.
    pub fn wait(self: &Arc<Self>, asked: &Asked<'_>) -> Result<Attempt> {
        let mut graph = self.graph.lock();
        let mut keys = self.keys(asked.hash).lock();
        if let Found::Granted(grant) = keys.acquire(asked, true)? {
            drop(keys);
            return self.keep_if_acyclic(graph, asked, grant).map(Attempt::Granted);
        }
        if self.waits.load(Ordering::Relaxed) >= self.options.waits_max {
            let message = format!("{} calls wait for row locks, and no more can", self.options.waits_max);
            return Err(Error::exhausted(SqlState::OUT_OF_MEMORY, message).with_hint("Try again later."));
        }
        graph.last_ticket += 1;
        let ticket = graph.last_ticket;
        let (waker, woken) = oneshot::channel();
        let waiter = Waiter {
            ticket,
            mode: asked.mode,
            waker,
        };
        let before = keys.mode(asked.hash, asked.owner.id);
        keys.enqueue(asked, waiter, self.clock.wall_micros());
        asked.owner.begins_to_wait(Pending {
            hash: asked.hash,
            ticket,
            mode: asked.mode,
        });
        drop(keys);
        self.waits.fetch_add(1, Ordering::Relaxed);
        let wait = LockWait::new(self.clone(), asked.owner.clone(), asked.hash, ticket, woken);
        let Some(cycle) = self.cycle(asked) else {
            return Ok(Attempt::Waiting(wait));
        };
        let granted = before.map_or(Grant::Acquired, |from| Grant::Upgraded { from });
        let is_alone = asked.owner.pending().len() == 1;
        if is_alone && self.keys(asked.hash).lock().pass_queue(asked.hash, asked.owner.id) {
            return Ok(Attempt::Granted(granted));
        }
        let error = self.deadlock(&cycle);
        let withdrawn = self
            .keys(asked.hash)
            .lock()
            .withdraw(asked.hash, asked.owner.id, Some(ticket));
        drop(graph);
        let Some((_, woken)) = withdrawn else {
            // While the search ran, somebody ended and left the lock to this owner.
            return Ok(Attempt::Granted(granted));
        };
        wake(woken);
        Err(error)
    }

    /// Asks once more for what could be granted, now that the graph stands still.
    pub fn try_again(&self, asked: &Asked<'_>) -> Result<Option<Grant>> {
        let graph = self.graph.lock();
        let found = self.keys(asked.hash).lock().acquire(asked, true)?;
        match found {
            Found::Granted(grant) => Ok(self.keep_if_acyclic(graph, asked, grant).ok()),
            Found::Blocked | Found::AskAgain => Ok(None),
        }
    }

    /// Takes a stronger lock back that made others wait for an owner which waits for them.
    fn keep_if_acyclic(&self, graph: MutexGuard<'_, Graph>, asked: &Asked<'_>, grant: Grant) -> Result<Grant> {
        let Grant::Upgraded { from } = grant else {
            return Ok(grant);
        };
        let Some(cycle) = self.cycle(asked) else {
            return Ok(grant);
        };
        let error = self.deadlock(&cycle);
        // What the owner noted of the upgrade may stay: undone once more, it changes nothing.
        let woken = self.keys(asked.hash).lock().downgrade(asked.hash, asked.owner.id, from);
        drop(graph);
        wake(woken);
        Err(error)
    }

    /// The owners of a cycle through the one that asks, beginning with it.
    fn cycle(&self, asked: &Asked<'_>) -> Option<Vec<OwnerId>> {
        let start = asked.owner.id;
        if !asked.owner.has_locks() && asked.owner.pending().len() <= 1 {
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
        let mut found = Vec::new();
        let pending = self.owner(owner).map(|state| state.pending());
        for pending in pending.into_iter().flatten() {
            let is_covered = |(ticket, mode): &(u64, LockMode)| pending.ticket < *ticket && pending.mode <= *mode;
            if covered.get(&pending.hash).is_some_and(is_covered) {
                continue;
            }
            let blockers = self.keys(pending.hash).lock().blockers(pending.hash, owner);
            let Some(Blockers {
                owners, covered: more, ..
            }) = blockers
            else {
                continue;
            };
            found.extend(owners);
            if let Some(more) = more {
                covered.insert(pending.hash, more);
            }
        }
        found
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
