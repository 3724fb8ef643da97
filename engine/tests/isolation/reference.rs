//! The checker beside a search through all orders, on random histories of a few transactions.
//!
//! **How.** Small engines of known strength, from serial execution to one that does not look for conflicts at all, run the same
//! kind of transactions; some reads are then shortened. A history is serializable if one of the permutations of its
//! transactions that agree with the clock reads the same; it is a history of snapshot isolation if one of the orders
//! of all beginnings and ends does.

use aion_base::rng::SeededRng;

use super::check::check;
use super::level::Level;
use super::record::{Outcome, Transaction};
use super::workload::{Held, History, Kind, Micro, Plan, Seen};
use crate::program::{at_length, seed};

const KEYS: usize = 2;
const TRANSACTIONS: usize = 4;

/// What the keys hold.
type State = [Held; KEYS];

/// How an engine reads, and what it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Serial,
    Snapshot,
    ReadCommitted,
    /// A snapshot, or not, for each read; no conflicts are looked for.
    Careless,
}

fn apply(kind: Kind, state: &mut State, key: i32, value: i32) {
    let held = &mut state[slot(key)];
    if kind == Kind::Registers {
        held.clear();
    }
    held.push(value);
}

fn slot(key: i32) -> usize {
    usize::try_from(key).expect("a key")
}

/// A transaction under way.
struct Running {
    plan: Plan,
    invoked: u64,
    /// The committed state when it began.
    snapshot: State,
    at: usize,
    seen: Seen,
}

/// The state with the transaction's own writes so far.
fn with_own(kind: Kind, base: &State, steps: &[Micro]) -> State {
    let mut state = base.clone();
    for step in steps {
        if let Micro::Write(key, value) = step {
            apply(kind, &mut state, *key, *value);
        }
    }
    state
}

impl Running {
    fn new(rng: &mut SeededRng, values: &mut i32, invoked: u64, committed: &State) -> Self {
        let steps = (0..=rng.below(3)).map(|_| {
            let key = i32::try_from(rng.below(KEYS as u64)).expect("few");
            *values += 1;
            if rng.chance(1, 2) {
                Micro::Write(key, *values)
            } else {
                Micro::Read(key)
            }
        });
        Self {
            plan: Plan {
                steps: steps.collect(),
                is_withdrawn: false,
            },
            invoked,
            snapshot: committed.clone(),
            at: 0,
            seen: Vec::new(),
        }
    }

    fn step(&mut self, engine: Engine, kind: Kind, rng: &mut SeededRng, committed: &State) {
        let reads_now = match engine {
            Engine::Serial | Engine::ReadCommitted => true,
            Engine::Snapshot => false,
            Engine::Careless => rng.chance(1, 2),
        };
        let base = if reads_now { committed } else { &self.snapshot };
        let state = with_own(kind, base, &self.plan.steps[..self.at]);
        self.seen.push(match self.plan.steps[self.at] {
            Micro::Read(key) => vec![(key, state[slot(key)].clone())],
            Micro::Write(..) | Micro::Scan(..) => Vec::new(),
        });
        self.at += 1;
    }

    fn writes(&self, key: usize) -> bool {
        let steps = self.plan.steps.iter();
        steps
            .clone()
            .any(|step| matches!(step, Micro::Write(written, _) if slot(*written) == key))
    }
}

/// Runs a few transactions on an engine, then reads all keys.
fn history(engine: Engine, kind: Kind, rng: &mut SeededRng) -> History {
    let mut committed = State::default();
    let mut running: Vec<Running> = Vec::new();
    let (mut transactions, mut begun, mut values, mut now) = (Vec::new(), 0, 0, 0);
    while begun < TRANSACTIONS || !running.is_empty() {
        now += 1;
        if begun < TRANSACTIONS && (running.is_empty() || rng.chance(1, 3)) {
            begun += 1;
            running.push(Running::new(rng, &mut values, now, &committed));
            continue;
        }
        let chosen = usize::try_from(rng.below(running.len() as u64)).expect("few");
        loop {
            let is_done = running[chosen].at == running[chosen].plan.steps.len();
            if is_done {
                let ended = running.swap_remove(chosen);
                transactions.push(commit(engine, kind, ended, now, &running, &mut committed));
                break;
            }
            running[chosen].step(engine, kind, rng, &committed);
            if engine != Engine::Serial {
                break;
            }
        }
    }
    if rng.chance(1, 4) {
        shorten(&mut transactions, rng);
    }
    transactions.push(read_all(&committed, now));
    let last = (0i32..).zip(committed).collect();
    History {
        kind,
        transactions,
        last: Some(last),
    }
}

fn commit(
    engine: Engine,
    kind: Kind,
    ended: Running,
    now: u64,
    others: &[Running],
    committed: &mut State,
) -> Transaction<Plan, Seen> {
    let conflicts = (0..KEYS).filter(|key| ended.writes(*key)).any(|key| match engine {
        Engine::Serial | Engine::Careless => false,
        Engine::Snapshot => committed[key] != ended.snapshot[key],
        // As if it had found the lock of one that began to write: not all of those would have had it yet.
        Engine::ReadCommitted => others.iter().any(|other| other.writes(key)),
    });
    if !conflicts {
        *committed = with_own(kind, committed, &ended.plan.steps);
    }
    Transaction {
        invoked: ended.invoked,
        completed: now,
        plan: ended.plan,
        outcome: if conflicts {
            Outcome::Aborted("40001".to_owned(), String::new())
        } else {
            Outcome::Committed(ended.seen)
        },
    }
}

fn read_all(committed: &State, now: u64) -> Transaction<Plan, Seen> {
    let steps = (0..KEYS).map(|key| Micro::Read(i32::try_from(key).expect("few")));
    let seen = (0i32..).zip(committed).map(|(key, held)| vec![(key, held.clone())]);
    Transaction {
        invoked: now + 1,
        completed: now + 2,
        plan: Plan {
            steps: steps.collect(),
            is_withdrawn: false,
        },
        outcome: Outcome::Committed(seen.collect()),
    }
}

/// Takes the last value from one read.
fn shorten(transactions: &mut [Transaction<Plan, Seen>], rng: &mut SeededRng) {
    let chosen = usize::try_from(rng.below(transactions.len() as u64)).expect("few");
    if let Outcome::Committed(seen) = &mut transactions[chosen].outcome
        && let Some((_, held)) = seen.iter_mut().flatten().next()
    {
        held.pop();
    }
}

/// Whether the transaction reads what it has read if it runs on this state.
fn reads_the_same(kind: Kind, transaction: &Transaction<Plan, Seen>, base: &State) -> bool {
    let seen = transaction.committed().expect("committed ones only");
    let steps = &transaction.plan.steps;
    (0..steps.len()).all(|at| {
        let state = with_own(kind, base, &steps[..at]);
        seen[at].iter().all(|(key, held)| state[slot(*key)] == *held)
    })
}

/// A search through all orders in which transactions begin and end.
struct Search<'a> {
    kind: Kind,
    transactions: Vec<&'a Transaction<Plan, Seen>>,
    /// One at a time: what begins also ends.
    is_serial: bool,
}

impl<'a> Search<'a> {
    fn new(history: &'a History, is_serial: bool) -> Self {
        let transactions = history.transactions.iter();
        Self {
            kind: history.kind,
            transactions: transactions.filter(|each| each.committed().is_some()).collect(),
            is_serial,
        }
    }

    fn succeeds(&self) -> bool {
        self.go_on(&State::default(), &mut vec![None; self.transactions.len()], 0)
    }

    /// `begun` holds for each transaction its snapshot; `ended` is a set of those that ended.
    fn go_on(&self, committed: &State, begun: &mut Vec<Option<State>>, ended: u32) -> bool {
        let count = self.transactions.len();
        if ended.count_ones() as usize == count {
            return true;
        }
        for at in 0..count {
            let is_over = ended & (1 << at) != 0;
            let found = match begun[at].clone() {
                None if self.may_begin(at, ended) => {
                    let reads = reads_the_same(self.kind, self.transactions[at], committed);
                    begun[at] = Some(committed.clone());
                    let found = reads
                        && match self.is_serial {
                            true => self.end(at, committed, committed, begun, ended),
                            false => self.go_on(committed, begun, ended),
                        };
                    begun[at] = None;
                    found
                }
                Some(snapshot) if !is_over => self.end(at, &snapshot, committed, begun, ended),
                _ => false,
            };
            if found {
                return true;
            }
        }
        false
    }

    /// Whoever was complete before it was invoked has ended.
    fn may_begin(&self, at: usize, ended: u32) -> bool {
        let invoked = self.transactions[at].invoked;
        let mut others = self.transactions.iter().enumerate();
        others.all(|(other, each)| each.completed >= invoked || ended & (1 << other) != 0)
    }

    fn end(&self, at: usize, snapshot: &State, committed: &State, begun: &mut Vec<Option<State>>, ended: u32) -> bool {
        let steps = &self.transactions[at].plan.steps;
        let is_first = steps.iter().all(|step| match step {
            Micro::Write(key, _) => committed[slot(*key)] == snapshot[slot(*key)],
            Micro::Read(_) | Micro::Scan(..) => true,
        });
        is_first && self.go_on(&with_own(self.kind, committed, steps), begun, ended | 1 << at)
    }
}

#[test]
fn the_verdict_on_lists_is_that_of_a_search_through_all_orders() {
    let mut rng = SeededRng::new(seed());
    let mut verdicts = [[0usize; 2]; 2];
    let engines = [
        Engine::Serial,
        Engine::Snapshot,
        Engine::ReadCommitted,
        Engine::Careless,
    ];
    for round in 0..at_length(1_500, 200_000) {
        let engine = engines[round % engines.len()];
        let history = history(engine, Kind::Lists, &mut rng);
        for (at, level) in [Level::Serializable, Level::RepeatableRead].into_iter().enumerate() {
            let expected = Search::new(&history, level == Level::Serializable).succeeds();
            let verdict = check(&history, level);
            assert_eq!(
                verdict.is_ok(),
                expected,
                "round {round}, {engine:?}, at {}: {verdict:?}\n{history:#?}",
                level.sql()
            );
            verdicts[at][usize::from(expected)] += 1;
        }
    }
    println!(
        "lists refused and allowed: SERIALIZABLE {:?}, REPEATABLE READ {:?}",
        verdicts[0], verdicts[1]
    );
    assert!(
        verdicts.iter().flatten().all(|count| *count > 100),
        "both verdicts at both levels: {verdicts:?}"
    );
}

#[test]
fn no_level_refuses_a_history_of_its_own_engine_and_registers_never_by_mistake() {
    let mut rng = SeededRng::new(seed());
    let (mut wrong_ones, mut refused) = (0usize, 0usize);
    for round in 0..at_length(800, 100_000) {
        let careless = history(Engine::Careless, Kind::Registers, &mut rng);
        let is_serializable = Search::new(&careless, true).succeeds();
        let verdict = check(&careless, Level::Serializable);
        assert!(
            verdict.is_ok() || !is_serializable,
            "round {round}: {verdict:?}\n{careless:#?}"
        );
        wrong_ones += usize::from(!is_serializable);
        refused += usize::from(verdict.is_err());
    }
    println!("registers: {refused} refused of {wrong_ones} that are not serializable");
    assert!(refused * 2 > wrong_ones, "registers show less than half");
}
