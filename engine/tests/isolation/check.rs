//! The verdict on a history of lists or registers.
//!
//! **Guarantee.** A history that a level allows passes; one that contains a phenomenon that the level forbids, among those that
//! can be told from outside, is refused with the transactions that prove it. `planted` shows the second for each phenomenon,
//! `reference` compares with a search through all orders.
//!
//! **How.**
//! 1. What needs no order: a value read was written to that key by somebody; a transaction sees its own writes; and what the
//!    last state holds, or lacks, fits who committed. adya asks none of this, or not at each level.
//! 2. adya 0.1 (the method of Elle, Kingsbury and Alvaro, VLDB 2020) looks for aborted and intermediate reads, lost updates
//!    and cycles of dependencies, with the order of real time among them.
//!
//! On lists, adya takes seconds for 100,000 transactions, in a debug build too. On registers it has to be allowed to conclude
//! the order of values from the order of time, or it sees next to nothing, and that grows with the square of the history:
//! 6 s for 5,000 transactions that all commit. So histories of registers are kept short: many of them instead of a long one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use adya::history::{Interner, Mop, Op, OpType, ReadValue, Scalar};
use adya::{Opts, Valid, Workload};

use super::level::Level;
use super::record::{Outcome, Transaction};
use super::workload::{Held, History, Kind, Micro, Plan, Seen};

/// For the proof of one anomaly; whether there is one is decided without a limit.
const SEARCH_MAX: Duration = Duration::from_secs(5);

/// Whether the level allows the history, else why not.
pub fn check(history: &History, level: Level) -> Result<(), String> {
    values_have_writers(history)?;
    own_writes_are_seen(history)?;
    nothing_is_lost(history)?;
    lists_are_not_stale(history)?;
    let workload = match history.kind {
        Kind::Lists => Workload::ListAppend,
        Kind::Registers => Workload::RwRegister,
    };
    let options = Opts {
        models: vec![level.model().to_owned()],
        timeout: SEARCH_MAX,
        wfr_keys: true,
        linearizable_keys: true,
        ..Opts::default()
    };
    let report = adya::check(&translated(history), workload, &options);
    // No dependencies at all are no anomaly: such is a history in which everything failed.
    let is_empty = report.anomaly_types == ["empty-transaction-graph"];
    if report.valid == Valid::True || is_empty {
        return Ok(());
    }
    let proofs = report.anomalies.iter().map(|(name, found)| {
        let proof = found.first().map_or("", |anomaly| anomaly.explanation.as_str());
        format!("{name}, {} times; the first:\n{proof}", found.len())
    });
    Err(format!(
        "{:?} at {}: {}\n{}",
        history.kind,
        level.sql(),
        report.anomaly_types.join(", "),
        proofs.collect::<Vec<_>>().join("\n")
    ))
}

fn writes(plan: &Plan) -> impl Iterator<Item = (i32, i32)> {
    plan.steps.iter().filter_map(|step| match step {
        Micro::Write(key, value) => Some((*key, *value)),
        Micro::Read(_) | Micro::Scan(..) => None,
    })
}

fn values_have_writers(history: &History) -> Result<(), String> {
    let transactions = &history.transactions;
    let written: BTreeSet<(i32, i32)> = transactions.iter().flat_map(|each| writes(&each.plan)).collect();
    for transaction in transactions {
        let reads = transaction.committed().into_iter().flatten().flatten();
        for (key, held) in reads {
            if let Some(value) = held.iter().find(|value| !written.contains(&(*key, **value))) {
                return Err(format!(
                    "nobody wrote {value} to key {key}, and it was read by {transaction:?}"
                ));
            }
        }
    }
    Ok(())
}

/// Who wrote a key sees nothing else in it until the end: others wait, or fail.
fn own_writes_are_seen(history: &History) -> Result<(), String> {
    for transaction in &history.transactions {
        let Some(seen) = transaction.committed() else { continue };
        let mut own: BTreeMap<i32, Held> = BTreeMap::new();
        for (step, seen) in transaction.plan.steps.iter().zip(seen) {
            if let Micro::Write(key, value) = step {
                let written = own.entry(*key).or_default();
                if history.kind == Kind::Registers {
                    written.clear();
                }
                written.push(*value);
            }
            let other = seen
                .iter()
                .find(|(key, held)| own.get(key).is_some_and(|written| !held.ends_with(written)));
            if let Some((key, held)) = other {
                return Err(format!(
                    "key {key} held {held:?} after own writes {:?} of {transaction:?}",
                    own[key]
                ));
            }
        }
    }
    Ok(())
}

fn nothing_is_lost(history: &History) -> Result<(), String> {
    let Some(last) = &history.last else { return Ok(()) };
    let nothing = Vec::new();
    for transaction in &history.transactions {
        for (key, value) in writes(&transaction.plan) {
            let held = last.get(&key).unwrap_or(&nothing);
            let is_there = held.contains(&value);
            if is_there && !transaction.may_have_committed() {
                return Err(format!("{value} is in key {key}, although aborted: {transaction:?}"));
            }
            let must_be = history.kind == Kind::Lists && transaction.committed().is_some();
            if must_be && !is_there {
                return Err(format!(
                    "{value} is not in key {key}, although committed: {transaction:?}"
                ));
            }
            if held.is_empty() && transaction.committed().is_some() {
                return Err(format!("key {key} is empty, although written by {transaction:?}"));
            }
        }
    }
    Ok(())
}

/// Whoever was complete before a transaction was invoked is seen by all its reads. adya asks this above READ COMMITTED.
fn lists_are_not_stale(history: &History) -> Result<(), String> {
    if history.kind == Kind::Registers {
        // There it follows from the order of values that adya makes out.
        return Ok(());
    }
    let committed: Vec<_> = history
        .transactions
        .iter()
        .filter_map(|transaction| Some((transaction, transaction.committed()?)))
        .collect();
    // For each key, its elements in their order: the longest read.
    let mut orders: BTreeMap<i32, &Held> = BTreeMap::new();
    for (key, held) in committed.iter().flat_map(|(_, seen)| seen.iter().flatten()) {
        let order = orders.entry(*key).or_insert(held);
        if held.len() > order.len() {
            *order = held;
        }
    }
    let nothing = Vec::new();
    // For each key, when an append was complete, and how long the list must be since then.
    let mut lengths: BTreeMap<i32, BTreeMap<u64, usize>> = BTreeMap::new();
    for (transaction, _) in &committed {
        for (key, value) in writes(&transaction.plan) {
            let order = orders.get(&key).copied().unwrap_or(&nothing);
            // One that is in no read comes after all that are.
            let position = order.iter().position(|each| *each == value).unwrap_or(order.len());
            let length = lengths
                .entry(key)
                .or_default()
                .entry(transaction.completed)
                .or_default();
            *length = (*length).max(position + 1);
        }
    }
    for since in lengths.values_mut() {
        let mut longest = 0;
        for length in since.values_mut() {
            longest = longest.max(*length);
            *length = longest;
        }
    }
    for (transaction, seen) in &committed {
        for (key, held) in seen.iter().flatten() {
            let since = lengths
                .get(key)
                .and_then(|since| since.range(..transaction.invoked).next_back());
            if let Some((completed, length)) = since.filter(|(_, length)| held.len() < **length) {
                return Err(format!(
                    "read too little: key {key} has {length} elements since {completed}, {transaction:?} sees {}",
                    held.len()
                ));
            }
        }
    }
    Ok(())
}

/// The history as adya takes it: what was asked and what came back, in the order of time.
fn translated(history: &History) -> adya::History {
    let mut interner = Interner::default();
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (at, transaction) in history.transactions.iter().enumerate() {
        moments.push((transaction.invoked, at, false));
        moments.push((transaction.completed, at, true));
    }
    moments.sort_unstable();
    let ops = moments.iter().enumerate().map(|(index, &(_, at, is_end))| {
        let transaction = &history.transactions[at];
        let kind = match (&transaction.outcome, is_end) {
            (_, false) => OpType::Invoke,
            (Outcome::Committed(_), true) => OpType::Ok,
            (Outcome::Aborted(..), true) => OpType::Fail,
            (Outcome::Unknown(..), true) => OpType::Info,
        };
        Op {
            index: index as u64,
            kind,
            // Each transaction is a process of its own: none of our levels asks for more than the order of time gives.
            process: Some(i64::try_from(at).expect("few")),
            value: steps(history.kind, transaction, is_end, &mut interner),
            time: None,
        }
    });
    let ops = ops.collect();
    adya::History::from_ops(ops, interner)
}

fn steps(kind: Kind, transaction: &Transaction<Plan, Seen>, is_end: bool, interner: &mut Interner) -> Vec<Mop> {
    let mut id = |number: i32| interner.intern(Scalar::Int(i64::from(number)));
    let seen = transaction.committed().filter(|_| is_end);
    let mut steps = Vec::new();
    for (at, step) in transaction.plan.steps.iter().enumerate() {
        match *step {
            Micro::Write(key, value) => {
                let (key, value) = (id(key), id(value));
                steps.push(match kind {
                    Kind::Lists => Mop::Append { key, value },
                    Kind::Registers => Mop::Write { key, value },
                });
            }
            Micro::Read(_) | Micro::Scan(..) => {
                for (key, held) in seen.map_or(&[][..], |seen| &seen[at]) {
                    let value = match (kind, held.last()) {
                        (Kind::Lists, _) => ReadValue::List(held.iter().map(|value| id(*value)).collect()),
                        (Kind::Registers, None) => ReadValue::Nil,
                        (Kind::Registers, Some(value)) => ReadValue::Scalar(id(*value)),
                    };
                    steps.push(Mop::Read { key: id(*key), value });
                }
            }
        }
    }
    steps
}
