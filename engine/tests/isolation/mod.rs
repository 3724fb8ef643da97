//! The isolation hunt: clients run transactions against a server, and what they saw is checked against what the level allows.
//!
//! **Vocabulary.** A *history* is what clients asked for, what came back and when. A *workload* draws transactions from a seed;
//! each has a checker that takes the history and the level. An *arena* is a server with what a run needs around it.
//!
//! **Guarantees.** A checker never refuses what its level allows: a refusal is a bug of the server (or of the checker), and its
//! message holds the transactions that prove it. Each checker is shown histories with planted anomalies, which it refuses.
//! So is what the same clients see when BEGIN and COMMIT are left out, and a server with a mistake planted in it (`mutations`). What a run does follows from its seed; how it
//! interleaves does not, so a seed that found something is run some times.
//!
//! **Left out:** servers and connections that die in the middle, so no outcome is unknown here, although the checkers know
//! what to make of one; foreign keys, sequences and DDL; transactions that change many rows.
//!
//! | workload | asks | in |
//! |---|---|---|
//! | lists, registers | is there an order of the transactions that explains all reads? | `workload`, `check` |
//! | bank | does each reader see the same total, and does each transfer arrive once? | `bank` |
//! | doctors | does a decision upon what was read still hold at COMMIT? (write skew) | `doctors` |
//! | seats | does it if it rests upon rows that were not there? (phantoms) | `seats` |
//! | names | has a name one owner, and is nobody refused for a name that is free? (unique keys) | `names` |
//! | items | do a secondary index and its table hold the same? | `items` |

mod bank;
mod check;
mod client;
mod doctors;
mod items;
mod level;
mod mutations;
mod names;
mod planted;
mod record;
mod reference;
mod seats;
mod workload;

use std::future::Future;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::client::{Blocks, Client, Run};
use self::level::{LEVELS, Level};
use self::record::{Transaction, count};
use self::workload::Kind;
use crate::program::{at_length, seed};
use crate::wire::Process;

/// As many transactions at a time.
const CLIENTS: usize = 8;

/// The transactions of one history; a longer hunt has more histories. Why those of registers are short stands in `check`.
const LISTS_MAX: usize = 100_000;
const REGISTERS_MAX: usize = 2_500;

/// A server of its own for one test.
struct Arena {
    process: Process,
    runtime: Runtime,
    _dir: TempDir,
}

impl Arena {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// With these variables in the server's environment.
    fn start_with(variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let process = Process::start_with(&dir.path().join("data"), &["--ai-mode", "off"], variables);
        // One thread is enough for all clients: they only wait.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            process,
            runtime,
            _dir: dir,
        }
    }

    /// Runs this after the tables are made.
    fn run<F: Future>(&self, tables: &str, body: F) -> F::Output {
        self.runtime.block_on(async {
            Client::connect(self.process.port, 0).await.script(tables).await;
            body.await
        })
    }
}

/// Prints how the transactions ended, and ends the test if the history is not what the level allows.
fn judge<P, R>(name: &str, run: Run, transactions: &[Transaction<P, R>], verdict: Result<String, String>) {
    let counts = count(transactions);
    let verdict = counts.and_then(|counts| Ok((counts, verdict?)));
    match verdict {
        Ok((counts, notes)) => println!("{name} at {}: {counts}{notes}", run.level.sql()),
        Err(story) => panic!("{name} at {}, AION_SEED={}: {story}", run.level.sql(), run.seed),
    }
}

/// Runs a workload at each level that the server has. A slice is shared among them: the gate does not get longer with each.
fn hunt(name: &str, slice: usize, full: usize, workload: impl Fn(&Arena, Run)) {
    let (arena, seed) = (Arena::start(), seed());
    for &level in LEVELS {
        let begun = std::time::Instant::now();
        let run = Run {
            port: arena.process.port,
            level,
            blocks: Blocks::Whole,
            clients: CLIENTS,
            transactions: at_length(slice / LEVELS.len(), full),
            seed,
        };
        workload(&arena, run);
        println!(
            "{name} at {}: {} transactions in {:?}",
            level.sql(),
            run.transactions,
            begun.elapsed()
        );
    }
}

fn hunt_dependencies(name: &str, kind: Kind, slice: usize) {
    let length_max = match kind {
        Kind::Lists => LISTS_MAX,
        Kind::Registers => REGISTERS_MAX,
    };
    hunt(name, slice, 100_000, |arena, run| {
        for part in 0..run.transactions.div_ceil(length_max) {
            let run = Run {
                transactions: run.transactions.min(length_max),
                seed: run.seed.wrapping_add(part as u64),
                ..run
            };
            let history = arena.run(workload::TABLES, workload::record(run, kind));
            let begun = std::time::Instant::now();
            let verdict = check::check(&history, run.level).map(|()| format!("; checked in {:?}", begun.elapsed()));
            judge(name, run, &history.transactions, verdict);
        }
    });
}

#[test]
fn lists_have_an_order_that_explains_all_reads() {
    hunt_dependencies("lists", Kind::Lists, 300);
}

#[test]
fn registers_have_an_order_that_explains_all_reads() {
    hunt_dependencies("registers", Kind::Registers, 600);
}

#[test]
fn the_bank_neither_makes_nor_loses_money() {
    hunt("bank", 400, 20_000, |arena, run| {
        let history = arena.run(&bank::tables(), bank::record(run));
        judge("bank", run, &history.transactions, bank::check(&history, run.level));
    });
}

#[test]
fn somebody_is_on_call() {
    hunt("doctors", 500, 20_000, |arena, run| {
        let history = arena.run(&doctors::tables(), doctors::record(run));
        judge("doctors", run, &history, doctors::check(&history, run.level));
    });
}

#[test]
fn no_room_is_overbooked() {
    hunt("seats", 400, 20_000, |arena, run| {
        let history = arena.run(seats::TABLES, seats::record(run));
        judge("seats", run, &history.transactions, seats::check(&history, run.level));
    });
}

#[test]
fn a_name_has_one_owner() {
    hunt("names", 500, 20_000, |arena, run| {
        let history = arena.run(names::TABLES, names::record(run));
        judge("names", run, &history.transactions, names::check(&history));
    });
}

#[test]
fn an_index_holds_what_its_table_holds() {
    hunt("items", 300, 20_000, |arena, run| {
        let history = arena.run(&items::tables(), items::record(run));
        judge("items", run, &history, items::check(&history));
    });
}

/// The same clients, recorders and checkers with BEGIN and COMMIT left out: whoever checks nothing would not notice.
#[test]
fn without_transactions_every_checker_refuses() {
    let (arena, seed) = (Arena::start(), seed());
    let run = Run {
        port: arena.process.port,
        level: Level::Serializable,
        blocks: Blocks::None,
        clients: CLIENTS,
        transactions: 160,
        seed,
    };
    let found = |name: &str, verdict: Result<String, String>| {
        let story = verdict.expect_err(name);
        println!("{name}: {}", story.lines().next().unwrap_or_default());
    };
    for kind in [Kind::Lists, Kind::Registers] {
        let history = arena.run(workload::TABLES, workload::record(run, kind));
        let verdict = check::check(&history, run.level).map(|()| String::new());
        found(&format!("{kind:?}"), verdict);
    }
    let history = arena.run(&bank::tables(), bank::record(run));
    found("bank", bank::check(&history, run.level));
    let history = arena.run(&doctors::tables(), doctors::record(run));
    found("doctors", doctors::check(&history, run.level));
    let history = arena.run(seats::TABLES, seats::record(run));
    found("seats", seats::check(&history, run.level));
    let history = arena.run(&items::tables(), items::record(run));
    found("items", items::check(&history));
}
