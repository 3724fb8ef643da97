//! `aion bench`: us and our peers in turn on the same work.
//!
//! Each work prints its table and, where `--results` names a file, puts it there as a section of its own. Measure on a quiet
//! machine, in a release build; the load is printed beside the figures. Exit code 1 when answers differ that should be equal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aion_base::rng::entropy;
use aion_base::{Error, Result};
use aion_bench::environment::Environment;
use aion_bench::report::{Report, write_section};
use aion_bench::{copy, hybrid, point_select, shadow, wire};
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
    /// Seconds of one run, where the work has no end of its own
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    seconds: u16,
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
    for work in &arguments.works {
        let folder = Folder::make(arguments.dir.as_deref())?;
        let environment = Environment::measure(&folder.path, seed, version::BUILD)?;
        screen.heading(format_args!("{}: {}", work.name(), environment.summary()))?;
        let report = measure(*work, arguments, seed, &folder, &screen)?;
        screen.line(format_args!("  {}", report.about))?;
        screen.table(&report.table())?;
        for note in &report.notes {
            screen.line(format_args!("  {note}"))?;
        }
        is_equal &= report.is_equal;
        if let Some(path) = &arguments.results {
            let command = command(*work, arguments, seed);
            write_section(path, report.work, &report.section(&command, &environment))?;
            screen.line(format_args!("  written into {}", path.display()))?;
        }
    }
    Ok(match is_equal {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn measure(work: Work, arguments: &BenchArguments, seed: u64, folder: &Folder, screen: &Screen) -> Result<Report> {
    let spinner = screen.spinner();
    let mut progress = |what: &str| spinner.set_message(what.to_owned());
    let folder = folder.path.as_path();
    let rounds = usize::from(arguments.rounds);
    let duration = Duration::from_secs(arguments.seconds.into());
    let report = match work {
        Work::Copy => copy::run(folder, rounds, &mut progress),
        Work::Point => point_select::report(folder.join("point"), rounds, duration, seed, &mut progress),
        Work::Wire => {
            let program = std::env::current_exe().map_err(|error| Error::io("find this program", error))?;
            let options = wire::Options { rounds, duration, seed };
            wire::run(&program, folder, &options, &mut progress)
        }
        Work::Hybrid => hybrid::run(folder, arguments.sets.into(), seed, &mut progress),
        Work::Shadow => shadow::run(folder, rounds, arguments.sets.into(), seed, &mut progress),
    };
    spinner.finish_and_clear();
    report
}

/// The command that does the same again.
fn command(work: Work, arguments: &BenchArguments, seed: u64) -> String {
    let name = work.name();
    match work {
        Work::Copy => format!("aion bench {name} --rounds {}", arguments.rounds),
        Work::Hybrid => format!("aion bench {name} --sets {} --seed {seed}", arguments.sets),
        Work::Shadow => format!(
            "aion bench {name} --rounds {} --sets {} --seed {seed}",
            arguments.rounds, arguments.sets
        ),
        Work::Point | Work::Wire => format!(
            "aion bench {name} --rounds {} --seconds {} --seed {seed}",
            arguments.rounds, arguments.seconds
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
