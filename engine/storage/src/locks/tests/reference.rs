//! The table against a list of locks and a list of waits, both looked through from the start each time.
//!
//! One thread does it all, so that a seed tells the whole story. What other threads could do while a call begins to wait happens between the
//! parts of that call: before it searches for a cycle, and after it.

use std::collections::BTreeMap;

use aion_base::rng::{SeededRng, entropy};

use super::graph::Begun;
use super::keys::Asked;
use super::*;

const OWNERS: usize = 6;
const KEYS: u8 = 4;

/// What an owner waits for.
#[derive(Debug)]
struct Wait {
    owner: usize,
    key: u8,
    mode: LockMode,
    is_upgrade: bool,
    ticket: u64,
}

/// What becomes of a call at first.
#[derive(Debug)]
enum Begins {
    Granted(Grant),
    /// The ticket, and how it will be granted.
    Waiting(u64, Grant),
    /// It would be the second wait of its owner.
    Refused,
}

/// A lock, with every mode that it has had, each with the number of the step that made it so.
type Locks = BTreeMap<(u8, usize), Vec<(u64, LockMode)>>;

/// What becomes of one that closed a cycle.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Somebody had left the lock to it when the cycle was found.
    Left,
    /// Only the queue was before it.
    Passed,
    Victim,
}

#[derive(Default)]
struct Naive {
    held: Locks,
    waits: Vec<Wait>,
    last_ticket: u64,
    step: u64,
}

impl Naive {
    fn mode(&self, owner: usize, key: u8) -> Option<LockMode> {
        Some(self.held.get(&(key, owner))?.last()?.1)
    }

    /// Whether a holder is in the way, and all who are.
    fn blockers(&self, owner: usize, key: u8, mode: LockMode, ahead: &[Wait]) -> (bool, Vec<usize>) {
        let holders = self.held.iter().filter(|((locked, holder), modes)| {
            *locked == key && *holder != owner && modes.last().expect("never empty").1.conflicts_with(mode)
        });
        let mut blockers: Vec<usize> = holders.map(|((_, holder), _)| *holder).collect();
        let is_held = !blockers.is_empty();
        let ahead = ahead.iter();
        let ahead = ahead.filter(|wait| wait.key == key && wait.owner != owner && wait.mode.conflicts_with(mode));
        blockers.extend(ahead.map(|wait| wait.owner));
        (is_held, blockers)
    }

    /// Who waits for whom, directly or not.
    fn reach(&self) -> [[bool; OWNERS]; OWNERS] {
        let mut reach = [[false; OWNERS]; OWNERS];
        for (at, wait) in self.waits.iter().enumerate() {
            for blocker in self.blockers(wait.owner, wait.key, wait.mode, &self.waits[..at]).1 {
                reach[wait.owner][blocker] = true;
            }
        }
        for via in 0..OWNERS {
            for from in 0..OWNERS {
                for to in 0..OWNERS {
                    reach[from][to] |= reach[from][via] && reach[via][to];
                }
            }
        }
        reach
    }

    fn has_cycle(&self) -> bool {
        let reach = self.reach();
        (0..OWNERS).any(|owner| reach[owner][owner])
    }

    fn hold(&mut self, owner: usize, key: u8, mode: LockMode) -> Grant {
        let from = self.mode(owner, key);
        self.held.entry((key, owner)).or_default().push((self.step, mode));
        from.map_or(Grant::Acquired, |from| Grant::Upgraded { from })
    }

    /// Grants until nothing changes.
    fn settle(&mut self) {
        let free = |naive: &Self| {
            naive.waits.iter().enumerate().position(|(at, wait)| {
                naive
                    .blockers(wait.owner, wait.key, wait.mode, &naive.waits[..at])
                    .1
                    .is_empty()
            })
        };
        while let Some(at) = free(self) {
            let wait = self.waits.remove(at);
            self.hold(wait.owner, wait.key, wait.mode);
        }
    }

    /// Locks what nobody keeps from the owner; else None.
    fn try_lock(&mut self, owner: usize, key: u8, mode: LockMode) -> Option<Grant> {
        let own = self.mode(owner, key);
        if own.is_some_and(|own| own >= mode) {
            return Some(Grant::Held);
        }
        let is_waiting = self.waits.iter().any(|wait| wait.owner == owner);
        let waits_here = self.waits.iter().any(|wait| wait.owner == owner && wait.key == key);
        let passes = own.is_some() && self.waits.iter().any(|wait| wait.key == key && !wait.is_upgrade);
        let ahead = &self.waits[..self.place(own)];
        let is_free = self.blockers(owner, key, mode, ahead).1.is_empty();
        (is_free && !waits_here && !(is_waiting && passes)).then(|| self.hold(owner, key, mode))
    }

    /// Where a request belongs of an owner that holds its key like this.
    fn place(&self, own: Option<LockMode>) -> usize {
        match own {
            Some(_) => self.waits.iter().take_while(|wait| wait.is_upgrade).count(),
            None => self.waits.len(),
        }
    }

    fn begin(&mut self, owner: usize, key: u8, mode: LockMode) -> Begins {
        if let Some(grant) = self.try_lock(owner, key, mode) {
            return Begins::Granted(grant);
        }
        if self.waits.iter().any(|wait| wait.owner == owner) {
            return Begins::Refused;
        }
        let own = self.mode(owner, key);
        self.last_ticket += 1;
        let wait = Wait {
            owner,
            key,
            mode,
            is_upgrade: own.is_some(),
            ticket: self.last_ticket,
        };
        self.waits.insert(self.place(own), wait);
        let grant = own.map_or(Grant::Acquired, |from| Grant::Upgraded { from });
        Begins::Waiting(self.last_ticket, grant)
    }

    /// Breaks a cycle that goes through a request.
    fn conclude(&mut self, ticket: u64) -> End {
        let Some(at) = self.waits.iter().position(|wait| wait.ticket == ticket) else {
            return End::Left;
        };
        let Wait { owner, key, mode, .. } = self.waits.remove(at);
        if self.blockers(owner, key, mode, &[]).0 {
            self.settle();
            return End::Victim;
        }
        self.hold(owner, key, mode);
        End::Passed
    }

    fn withdraw(&mut self, ticket: u64) {
        self.waits.retain(|wait| wait.ticket != ticket);
        self.settle();
    }

    fn is_waiting(&self, ticket: u64) -> bool {
        self.waits.iter().any(|wait| wait.ticket == ticket)
    }

    /// Takes back what an owner locked after a step.
    fn release(&mut self, owner: usize, after: u64) {
        for ((_, holder), modes) in &mut self.held {
            modes.retain(|(step, _)| *holder != owner || *step <= after);
        }
        self.held.retain(|_, modes| !modes.is_empty());
        self.settle();
    }

    fn end(&mut self, owner: usize) {
        self.waits.retain(|wait| wait.owner != owner);
        self.held.retain(|(_, holder), _| *holder != owner);
        self.settle();
    }

    /// (key, owner, mode, granted), holders sorted, then those who wait, in order.
    fn content(&self) -> Vec<(u8, usize, LockMode, bool)> {
        let mut content = Vec::new();
        for key in 0..KEYS {
            let held = self.held.iter().filter(|((locked, _), _)| *locked == key);
            content.extend(held.map(|((_, owner), modes)| (key, *owner, modes.last().expect("never empty").1, true)));
            let waits = self.waits.iter().filter(|wait| wait.key == key);
            content.extend(waits.map(|wait| (key, wait.owner, wait.mode, false)));
        }
        content
    }
}

struct Run {
    table: LockTable,
    owners: Vec<LockOwner>,
    marks: Vec<Vec<(LockMark, u64)>>,
    waits: Vec<(usize, u64, LockWait)>,
    naive: Naive,
    seen: BTreeMap<&'static str, usize>,
}

impl Run {
    fn new() -> Self {
        let table = table();
        Self {
            owners: (0..OWNERS).map(|_| table.owner(None)).collect(),
            marks: vec![Vec::new(); OWNERS],
            table,
            waits: Vec::new(),
            naive: Naive::default(),
            seen: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn step(&mut self, rng: &mut SeededRng) {
        self.naive.step += 1;
        let owner = rng.below(OWNERS as u64) as usize;
        match rng.below(24) {
            0..=13 => self.lock(owner, rng),
            14..=16 => self.try_lock(owner, rng),
            17 | 18 => self.withdraw(rng),
            19 => self.marks[owner].push((self.owners[owner].mark(), self.naive.step)),
            20 | 21 => self.release_to(owner, rng),
            _ => self.end(owner),
        }
        assert_eq!(self.table.waits(), self.waits.len());
        self.check();
        assert!(!self.naive.has_cycle(), "somebody waits for ever");
        // Some see late that they have what they waited for.
        let naive = &self.naive;
        self.waits
            .retain(|(_, ticket, _)| naive.is_waiting(*ticket) || rng.chance(1, 3));
    }

    fn check(&mut self) {
        for (_, ticket, wait) in &mut self.waits {
            assert_eq!(is_granted(wait), !self.naive.is_waiting(*ticket), "ticket {ticket}");
        }
        assert_eq!(self.content(), self.naive.content());
        assert_eq!(self.table.locks(), self.naive.held.len());
    }

    /// What others do while a call of an owner begins to wait: nothing, or what needs no standstill.
    fn meanwhile(&mut self, asks: usize, rng: &mut SeededRng) {
        while rng.chance(3, 4) {
            let owner = rng.below(OWNERS as u64) as usize;
            match rng.below(8) {
                0..=2 => self.try_lock(owner, rng),
                3 | 4 => self.withdraw(rng),
                5 | 6 if owner != asks => self.release_to(owner, rng),
                7 if owner != asks => self.end(owner),
                _ => {}
            }
            self.check();
        }
    }

    fn ask(rng: &mut SeededRng) -> (u8, LockMode) {
        (rng.below(u64::from(KEYS)) as u8, LockMode::ALL[rng.below(4) as usize])
    }

    fn lock(&mut self, owner: usize, rng: &mut SeededRng) {
        let (key, mode) = Self::ask(rng);
        match self.naive.begin(owner, key, mode) {
            Begins::Granted(expected) => {
                assert_eq!(granted(&self.owners[owner], &[key], mode), expected);
                self.count(match expected {
                    Grant::Acquired => "acquired",
                    Grant::Upgraded { .. } => "upgraded",
                    Grant::Held => "held",
                });
            }
            Begins::Refused => {
                let error = refused(&self.owners[owner], &[key], mode);
                assert_eq!(error.state(), SqlState::INTERNAL_ERROR);
                self.count("refused");
            }
            Begins::Waiting(ticket, grant) => {
                let (found, is_cycle) = match rng.chance(1, 4) {
                    true => (self.owners[owner].lock(&[key], mode), self.naive.has_cycle()),
                    false => self.lock_in_parts(owner, key, mode, rng),
                };
                let end = is_cycle.then(|| self.naive.conclude(ticket));
                let what = match (found, end) {
                    (Ok(Attempt::Waiting(wait)), None) => {
                        self.waits.push((owner, ticket, wait));
                        "waiting"
                    }
                    (Ok(Attempt::Granted(found)), Some(end @ (End::Left | End::Passed))) => {
                        assert_eq!(found, grant);
                        if end == End::Left { "left by another" } else { "passed" }
                    }
                    (Err(error), Some(End::Victim)) => {
                        assert_eq!(error.state(), SqlState::DEADLOCK_DETECTED);
                        "deadlock"
                    }
                    (found, end) => panic!("owner {owner}, key {key}, {mode}: {found:?}, expected {end:?}"),
                };
                self.count(what);
            }
        }
    }

    /// A call that begins to wait, as [`Table::wait`] does it, and whether it found a cycle.
    fn lock_in_parts(
        &mut self,
        owner: usize,
        key: u8,
        mode: LockMode,
        rng: &mut SeededRng,
    ) -> (Result<Attempt, Error>, bool) {
        let table = self.table.table.clone();
        let asked = Asked {
            hash: table.hash(&[key]),
            key: &[key],
            owner: &table.owner(self.owners[owner].id()).expect("it lives"),
            mode,
        };
        let mut graph = table.graph.lock();
        let begun = table.begin(&mut graph, &asked).expect("no limit");
        let Begun::Waiting(wait, grant) = begun else {
            panic!("owner {owner}, key {key}, {mode}: granted");
        };
        if rng.chance(1, 4) {
            self.meanwhile(owner, rng);
        }
        let cycle = table.cycle(&asked);
        assert_eq!(cycle.is_some(), self.naive.has_cycle(), "{cycle:?}");
        let Some(cycle) = cycle else {
            return (Ok(Attempt::Waiting(wait)), false);
        };
        self.meanwhile(owner, rng);
        (table.conclude(graph, &asked, wait, grant, &cycle), true)
    }

    fn try_lock(&mut self, owner: usize, rng: &mut SeededRng) {
        let (key, mode) = Self::ask(rng);
        let expected = self.naive.try_lock(owner, key, mode);
        assert_eq!(self.owners[owner].try_lock(&[key], mode).expect("no limit"), expected);
        self.count(if expected.is_some() {
            "try: locked"
        } else {
            "try: not now"
        });
    }

    fn withdraw(&mut self, rng: &mut SeededRng) {
        if self.waits.is_empty() {
            return;
        }
        let at = rng.below(self.waits.len() as u64) as usize;
        let (_, ticket, wait) = self.waits.swap_remove(at);
        drop(wait);
        self.naive.withdraw(ticket);
        self.count("withdrawn");
    }

    /// Goes back to a mark; the statement that took locks since then has ended, so it waits for nothing.
    fn release_to(&mut self, owner: usize, rng: &mut SeededRng) {
        if self.marks[owner].is_empty() {
            return;
        }
        let waits = std::mem::take(&mut self.waits);
        let (own, others): (Vec<_>, Vec<_>) = waits.into_iter().partition(|(waiting, _, _)| *waiting == owner);
        self.waits = others;
        for (_, ticket, wait) in own {
            drop(wait);
            self.naive.withdraw(ticket);
        }
        let at = rng.below(self.marks[owner].len() as u64) as usize;
        self.marks[owner].truncate(at + 1);
        let (mark, step) = self.marks[owner][at];
        self.owners[owner].release_to(mark);
        self.naive.release(owner, step);
        self.count("released");
    }

    fn end(&mut self, owner: usize) {
        self.owners[owner] = self.table.owner(None);
        self.marks[owner].clear();
        self.waits.retain(|(waiting, _, _)| *waiting != owner);
        self.naive.end(owner);
        self.count("ended");
    }

    fn content(&self) -> Vec<(u8, usize, LockMode, bool)> {
        let keys: Vec<KeyHash> = (0..KEYS).map(|key| self.table.table.hash(&[key])).collect();
        let entries = self.table.list(usize::MAX);
        let mut content: Vec<_> = entries
            .iter()
            .map(|entry| {
                let key = keys.iter().position(|key| *key == entry.key).expect("one of them");
                let owner = self.owners.iter().position(|owner| owner.id() == entry.owner);
                (key as u8, owner.expect("it lives"), entry.mode, entry.is_granted)
            })
            .collect();
        // Holders have no order. Those who wait keep theirs.
        content.sort_by_key(|&(key, owner, _, is_granted)| (key, !is_granted, if is_granted { owner } else { 0 }));
        content
    }
}

#[test]
fn the_table_does_what_the_lists_do() {
    let seed = match std::env::var("AION_SEED") {
        Ok(text) => text.trim().parse().expect("AION_SEED is a number"),
        Err(_) => entropy(),
    };
    println!("AION_SEED={seed}");
    let runs = if std::env::var("AION_HUNT").is_ok_and(|hunt| hunt == "full") {
        2_000
    } else {
        200
    };
    let mut rng = SeededRng::new(seed);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..runs {
        let mut run = Run::new();
        for _ in 0..300 {
            run.step(&mut rng);
        }
        run.seen
            .iter()
            .for_each(|(what, count)| *seen.entry(what).or_default() += count);
        run.waits.clear();
        run.owners.clear();
        assert_eq!(run.table.locks(), 0);
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), 13, "each outcome is met: {seen:?}");
    assert!(seen.values().all(|&count| count > 10), "and often: {seen:?}");
}
