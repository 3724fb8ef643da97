//! `aion bench`: us and our peers in turn on the same work.
//!
//! Each work prints its table and, where `--results` names a file, puts it there as a section of its own; `oltp` does so for each of its
//! rows, as soon as it is measured. Measure on a quiet
//! machine, in a release build; the load is printed beside the figures. Exit code 1 when answers differ that should be equal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aion_base::rng::entropy;
use aion_base::{Error, Result};
use aion_bench::environment::Environment;
use aion_bench::report::{Report, write_section};
use aion_bench::{copy, hybrid, oltp, point_select, shadow, wire};
use clap::{Args, ValueEnum};

use crate::screen::Screen;
use crate::version;

/// What to measure.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// The works, in this order
    #[arg(value_enum, required = true)]
    works: Vec<Work>,
    /// Runs of each engine, in turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Seconds of one run, where the work has no end of its own; 20 for oltp and 5 for others by default
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    seconds: Option<u16>,
    /// Rows of oltp, with commas between; all by default
    #[arg(long, value_delimiter = ',')]
    rows: Vec<oltp::Row>,
    /// Scale of pgbench in oltp: 100,000 accounts each
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    scale: u32,
    /// Sets of parameters of the hybrid query, and of each template in shadow
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    sets: u16,
    /// Decides keys and parameters; random by default, and printed
    #[arg(long)]
    seed: Option<u64>,
    /// Where the databases of the run are made and removed; the system's folder for temporary files by default
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A file that gets the table as a section, such as engine/bench/RESULTS.md
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

impl BenchArguments {
    fn seconds(&self, work: Work) -> u16 {
        self.seconds.unwrap_or(match work {
            Work::Oltp => 20,
            _ => 5,
        })
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Work {
    /// COPY of the flights, beside PostgreSQL and DuckDB
    Copy,
    /// Prepared SELECT by primary key, in process
    Point,
    /// SELECT by primary key over the wire, with pgbench, beside PostgreSQL
    Wire,
    /// The hybrid query, beside DuckDB and a brute-force reference
    Hybrid,
    /// What the learned parts cost in mode shadow
    Shadow,
    /// Transactions: pgbench beside PostgreSQL, in process beside SQLite and RocksDB
    Oltp,
}

impl Work {
    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Runs `aion bench`.
pub fn run(arguments: &BenchArguments) -> Result<ExitCode> {
    let screen = Screen::new();
    let seed = arguments.seed.unwrap_or_else(|| entropy() >> 32);
    screen.line(format_args!("seed {seed}; aion {}", *version::LINE))?;
    if cfg!(debug_assertions) {
        screen.line("This is a debug build: its figures say nothing about a release.")?;
    }
    let mut is_equal = true;
    for &work in &arguments.works {
        let folder = Folder::make(arguments.dir.as_deref())?;
        let mut environment = Environment::measure(&folder.path, seed, version::BUILD)?;
        screen.heading(format_args!("{}: {}", work.name(), environment.summary()))?;
        let spinner = screen.spinner();
        let mut progress = |what: &str| spinner.set_message(what.to_owned());
        let mut found = |report: &Report| -> Result<()> {
            let command = command(work, report, arguments, seed);
            spinner.suspend(|| show(report, &command, arguments, &environment, &screen))?;
            is_equal &= report.is_equal;
            // The next row of this work begins on the machine as it is then.
            environment = Environment::measure(&folder.path, seed, version::BUILD)?;
            Ok(())
        };
        let measured = measure(work, arguments, seed, &folder.path, &mut progress, &mut found);
        spinner.finish_and_clear();
        measured?;
    }
    Ok(match is_equal {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Prints a report, and writes it down where that is asked for.
fn show(
    report: &Report,
    command: &str,
    arguments: &BenchArguments,
    environment: &Environment,
    screen: &Screen,
) -> Result<()> {
    screen.line(format_args!("  {}: {}", report.work, report.about))?;
    screen.line(format_args!("  {}", environment.summary()))?;
    screen.table(&report.table())?;
    for note in &report.notes {
        screen.line(format_args!("  {note}"))?;
    }
    if let Some(path) = &arguments.results {
        write_section(path, report.work, &report.section(command, environment))?;
        screen.line(format_args!("  written into {}", path.display()))?;
    }
    Ok(())
}

/// Runs a work; `found` is told of its report, or of each where it has several.
fn measure(
    work: Work,
    arguments: &BenchArguments,
    seed: u64,
    folder: &Path,
    progress: &mut dyn FnMut(&str),
    found: &mut dyn FnMut(&Report) -> Result<()>,
) -> Result<()> {
    let rounds = usize::from(arguments.rounds);
    let duration = Duration::from_secs(arguments.seconds(work).into());
    let program = || std::env::current_exe().map_err(|error| Error::io("find this program", error));
    let report = match work {
        Work::Copy => copy::run(folder, rounds, progress)?,
        Work::Point => point_select::report(folder.join("point"), rounds, duration, seed, progress)?,
        Work::Wire => {
            let options = wire::Options { rounds, duration, seed };
            wire::run(&program()?, folder, &options, progress)?
        }
        Work::Hybrid => hybrid::run(folder, arguments.sets.into(), seed, progress)?,
        Work::Shadow => shadow::run(folder, rounds, arguments.sets.into(), seed, progress)?,
        Work::Oltp => {
            let rows = match arguments.rows.as_slice() {
                [] => oltp::Row::ALL.to_vec(),
                rows => rows.to_vec(),
            };
            let options = oltp::Options {
                rows,
                scale: arguments.scale,
                rounds,
                duration,
                seed,
            };
            return oltp::run(&program()?, folder, &options, progress, found);
        }
    };
    found(&report)
}

/// The command that does the same again.
fn command(work: Work, report: &Report, arguments: &BenchArguments, seed: u64) -> String {
    let (name, seconds) = (work.name(), arguments.seconds(work));
    match work {
        Work::Copy => format!("aion bench {name} --rounds {}", arguments.rounds),
        Work::Hybrid => format!("aion bench {name} --sets {} --seed {seed}", arguments.sets),
        Work::Shadow => format!(
            "aion bench {name} --rounds {} --sets {} --seed {seed}",
            arguments.rounds, arguments.sets
        ),
        Work::Point | Work::Wire => format!(
            "aion bench {name} --rounds {} --seconds {seconds} --seed {seed}",
            arguments.rounds
        ),
        Work::Oltp => format!(
            "aion bench {name} --rows {} --scale {} --seconds {seconds} --rounds {} --seed {seed}",
            report.work.trim_start_matches("oltp "),
            arguments.scale,
            arguments.rounds
        ),
    }
}

/// A folder that goes when the work is done, in whatever way.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn make(parent: Option<&Path>) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let path = parent.join(format!("aion-bench-{}", std::process::id()));
        // Not readable by its owner alone: PostgreSQL reads the files as another user.
        std::fs::create_dir(&path).map_err(|error| Error::io(format_args!("make {}", path.display()), error))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            // It holds copies and measured data only; whoever looks at the disk should know where.
            let text = format!("aion: {} could not be removed: {error}\n", self.path.display());
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        }
    }
}
