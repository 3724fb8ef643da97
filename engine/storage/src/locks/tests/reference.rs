//! The table against a list of locks and a list of waits, both looked through from the start each time.

use std::collections::BTreeMap;

use aion_base::rng::{SeededRng, entropy};

use super::*;

const OWNERS: usize = 6;
const KEYS: u8 = 4;

/// What an owner waits for on one key, for all calls with these tickets.
#[derive(Clone, Debug)]
struct Wait {
    owner: usize,
    key: u8,
    is_upgrade: bool,
    calls: Vec<(u64, LockMode)>,
}

impl Wait {
    fn mode(&self) -> LockMode {
        self.calls.iter().map(|(_, mode)| *mode).max().expect("never empty")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Granted(Grant),
    Waiting(u64),
    Deadlock,
    NotNow,
}

/// A lock, with every mode that it has had, each with the number of the step that made it so.
type Locks = BTreeMap<(u8, usize), Vec<(u64, LockMode)>>;

#[derive(Clone, Default)]
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
        let ahead = ahead.filter(|wait| wait.key == key && wait.owner != owner && wait.mode().conflicts_with(mode));
        blockers.extend(ahead.map(|wait| wait.owner));
        (is_held, blockers)
    }

    /// Who waits for whom, directly or not.
    fn reach(&self) -> [[bool; OWNERS]; OWNERS] {
        let mut reach = [[false; OWNERS]; OWNERS];
        for (at, wait) in self.waits.iter().enumerate() {
            for blocker in self.blockers(wait.owner, wait.key, wait.mode(), &self.waits[..at]).1 {
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
                    .blockers(wait.owner, wait.key, wait.mode(), &naive.waits[..at])
                    .1
                    .is_empty()
            })
        };
        while let Some(at) = free(self) {
            let wait = self.waits.remove(at);
            self.hold(wait.owner, wait.key, wait.mode());
        }
    }

    fn lock(&mut self, owner: usize, key: u8, mode: LockMode, may_wait: bool) -> Answer {
        let own = self.mode(owner, key);
        if own.is_some_and(|own| own >= mode) {
            return Answer::Granted(Grant::Held);
        }
        let before = self.clone();
        let queued = self
            .waits
            .iter()
            .position(|wait| wait.owner == owner && wait.key == key);
        let place = match own {
            Some(_) => self.waits.iter().take_while(|wait| wait.is_upgrade).count(),
            None => self.waits.len(),
        };
        let is_free = self.blockers(owner, key, mode, &self.waits[..place]).1.is_empty();
        if queued.is_none() && is_free {
            let grant = self.hold(owner, key, mode);
            if !self.has_cycle() {
                return Answer::Granted(grant);
            }
            *self = before;
            return if may_wait { Answer::Deadlock } else { Answer::NotNow };
        }
        if !may_wait {
            return Answer::NotNow;
        }
        self.last_ticket += 1;
        let call = (self.last_ticket, mode);
        match queued {
            Some(at) => self.waits[at].calls.push(call),
            None => self.waits.insert(
                place,
                Wait {
                    owner,
                    key,
                    is_upgrade: own.is_some(),
                    calls: vec![call],
                },
            ),
        }
        if !self.has_cycle() {
            return Answer::Waiting(self.last_ticket);
        }
        let is_held = self.blockers(owner, key, mode, &[]).0;
        let is_alone = before.waits.iter().all(|wait| wait.owner != owner);
        *self = before;
        if is_held || !is_alone {
            return Answer::Deadlock;
        }
        Answer::Granted(self.hold(owner, key, mode))
    }

    fn withdraw(&mut self, ticket: u64) {
        for wait in &mut self.waits {
            wait.calls.retain(|(call, _)| *call != ticket);
        }
        self.waits.retain(|wait| !wait.calls.is_empty());
        self.settle();
    }

    fn is_waiting(&self, ticket: u64) -> bool {
        self.waits
            .iter()
            .any(|wait| wait.calls.iter().any(|(call, _)| *call == ticket))
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
            content.extend(waits.map(|wait| (key, wait.owner, wait.mode(), false)));
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
        // Whose request is granted does not wait; the table may have to be told that.
        let naive = &self.naive;
        self.waits.retain_mut(|(_, ticket, wait)| {
            let is_waiting = naive.is_waiting(*ticket);
            assert_eq!(is_granted(wait), !is_waiting, "ticket {ticket}");
            is_waiting
        });
        assert_eq!(self.content(), self.naive.content());
        assert_eq!(self.table.locks(), self.naive.held.len());
        assert_eq!(self.table.waits(), self.waits.len());
        assert!(!self.naive.has_cycle(), "somebody waits for ever");
    }

    fn ask(rng: &mut SeededRng) -> (u8, LockMode) {
        (rng.below(u64::from(KEYS)) as u8, LockMode::ALL[rng.below(4) as usize])
    }

    fn lock(&mut self, owner: usize, rng: &mut SeededRng) {
        let (key, mode) = Self::ask(rng);
        let expected = self.naive.lock(owner, key, mode, true);
        let found = self.owners[owner].lock(&[key], mode);
        match (found, expected) {
            (Ok(Attempt::Granted(grant)), Answer::Granted(expected)) => {
                assert_eq!(grant, expected);
                self.count(match grant {
                    Grant::Acquired => "acquired",
                    Grant::Upgraded { .. } => "upgraded",
                    Grant::Held => "held",
                });
            }
            (Ok(Attempt::Waiting(wait)), Answer::Waiting(ticket)) => {
                self.waits.push((owner, ticket, wait));
                self.count("waiting");
            }
            (Err(error), Answer::Deadlock) => {
                assert_eq!(error.state(), SqlState::DEADLOCK_DETECTED);
                self.count("deadlock");
            }
            (found, expected) => panic!("owner {owner}, key {key}, {mode}: {found:?}, expected {expected:?}"),
        }
    }

    fn try_lock(&mut self, owner: usize, rng: &mut SeededRng) {
        let (key, mode) = Self::ask(rng);
        let expected = match self.naive.lock(owner, key, mode, false) {
            Answer::Granted(grant) => Some(grant),
            _ => None,
        };
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
        60
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
    assert_eq!(seen.len(), 10, "each outcome is met: {seen:?}");
    assert!(seen.values().all(|&count| count > 20), "and often: {seen:?}");
}
