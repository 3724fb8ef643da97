//! Servers with a mistake planted in them ([`Plant`]): a workload must find each.
//!
//! Only the mistakes that change what clients see while the server lives are here; syncs that do nothing and a log that is
//! given up early are what `crash/power.rs` finds.

use aion_base::plant::{Plant, VARIABLE};

use super::client::{Blocks, Run};
use super::level::{LEVELS, Level};
use super::record::count;
use super::workload::Kind;
use super::{Arena, CLIENTS, bank, check, doctors, items, seats, workload};
use crate::program::seed;

/// Whoever finds nothing in so many rounds of all workloads is blind.
const ROUNDS_MAX: u64 = 8;
const TRANSACTIONS: usize = 160;

/// What the first workload says that refuses; None where none does.
fn refusal(arena: &Arena, run: Run) -> Option<String> {
    let told = |name: &str, verdict: Result<String, String>| {
        let story = verdict.err()?;
        Some(format!(
            "{name} at {}: {}",
            run.level.sql(),
            story.lines().next().unwrap_or_default()
        ))
    };
    let history = arena.run(&doctors::tables(), doctors::record(run));
    let counted = |verdict: Result<String, String>| count(&history).and(verdict);
    if let Some(found) = told("doctors", counted(doctors::check(&history, run.level))) {
        return Some(found);
    }
    let history = arena.run(seats::TABLES, seats::record(run));
    if let Some(found) = told("seats", seats::check(&history, run.level)) {
        return Some(found);
    }
    let history = arena.run(workload::TABLES, workload::record(run, Kind::Registers));
    let verdict = check::check(&history, run.level).map(|()| String::new());
    if let Some(found) = told("registers", verdict) {
        return Some(found);
    }
    let history = arena.run(&bank::tables(), bank::record(run));
    if let Some(found) = told("bank", bank::check(&history, run.level)) {
        return Some(found);
    }
    let history = arena.run(&items::tables(), items::record(run));
    told("items", items::check(&history))
}

fn is_found(plant: Plant, levels: &[Level]) {
    if !cfg!(debug_assertions) {
        println!("not run: nothing can be planted in a release");
        return;
    }
    let (arena, seed) = (Arena::start_with(&[(VARIABLE, plant.name())]), seed());
    for round in 0..ROUNDS_MAX {
        for &level in levels {
            let run = Run {
                port: arena.process.port,
                level,
                blocks: Blocks::Whole,
                clients: CLIENTS,
                transactions: TRANSACTIONS,
                seed: seed.wrapping_add(round),
            };
            if let Some(found) = refusal(&arena, run) {
                println!("{plant:?} is found in round {round}: {found}");
                return;
            }
        }
    }
    panic!("{plant:?} is planted, and nobody finds it in {ROUNDS_MAX} rounds: the hunt is blind");
}

#[test]
fn a_range_that_is_not_in_the_read_set_is_found() {
    is_found(Plant::Range, &[Level::Serializable]);
}

#[test]
fn a_row_that_is_not_in_the_read_set_is_found() {
    is_found(Plant::Row, &[Level::Serializable]);
}

#[test]
fn an_entry_that_is_applied_again_is_found() {
    is_found(Plant::Apply, LEVELS);
}
