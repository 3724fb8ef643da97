//! `aion ai rehearse`: a person's own idea, tried on clones.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aion_base::{Result, rng};
use aion_bench::report::count;
use aion_db::rehearsal::{self, RehearsalOptions, Rehearsed};
use aion_db::{Database, DatabaseOptions};
use aion_shadow::statistics::{Pair, median};
use aion_shadow::verdict::{Budget, Measured, Verdict};
use clap::Args;

use crate::advise::shortened;
use crate::arguments::check_directory;
use crate::screen::{Screen, megabytes};

/// What to try.
#[derive(Debug, Args)]
pub struct RehearseArguments {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Seconds for the pairs, at most
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    seconds: u64,
    /// Of the draws behind the intervals; random by default
    #[arg(long)]
    seed: Option<u64>,
    /// CREATE INDEX, DROP INDEX or ANALYZE
    #[arg(value_name = "SQL")]
    command: String,
}

/// The child process of a rehearsal: asked on standard input, answers on standard output.
pub fn rehearse_clone() -> Result<ExitCode> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    rehearsal::child::run(&mut input, &mut output)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `aion ai rehearse`. The exit code is 0 where the change would be ready, and 1 otherwise.
pub fn run(arguments: &RehearseArguments) -> Result<ExitCode> {
    let path = &arguments.data;
    check_directory(path)?;
    let screen = Screen::new();
    let database = Database::open(path, DatabaseOptions::default())?;
    let options = RehearsalOptions {
        program: super::child()?,
        budget: Budget::default(),
        time: Duration::from_secs(arguments.seconds),
        seed: arguments.seed.unwrap_or_else(rng::entropy),
    };
    let spinner = screen.spinner();
    spinner.set_message("cloning");
    let mut measured = 0;
    let rehearsed = database.rehearse(&arguments.command, &options, &mut |_| {
        measured += 1;
        spinner.set_message(format!("{measured} executions"));
    });
    spinner.finish_and_clear();
    let rehearsed = rehearsed?;
    database.close()?;
    show(&rehearsed, arguments, &options, &screen)?;
    Ok(match rehearsed.verdict {
        Verdict::Ready => ExitCode::SUCCESS,
        Verdict::Undecided | Verdict::Rejected(_) => ExitCode::FAILURE,
    })
}

fn show(
    rehearsed: &Rehearsed,
    arguments: &RehearseArguments,
    options: &RehearsalOptions,
    screen: &Screen,
) -> Result<()> {
    screen.line(format_args!("{} (seed {})", arguments.command, options.seed))?;
    let head = [
        "statement",
        "calls",
        "before ms",
        "after ms",
        "speed-up",
        "pairs",
        "equal",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut left_out = Vec::new();
    for (fingerprint, measured) in rehearsed.fingerprints.iter().zip(&rehearsed.evidence.statements) {
        match &measured.excluded {
            Some(why) => left_out.push(format!("  left out, {why}: {}", shortened(&fingerprint.query))),
            None => rows.push(row(&shortened(&fingerprint.query), measured)),
        }
    }
    screen.table(&rows)?;
    left_out.iter().try_for_each(|line| screen.line(line))?;
    let figures = &rehearsed.figures;
    if let Some(speedup) = figures.speedup {
        screen.line(format_args!(
            "the workload: {:.2}x (95 %: {:.2} to {:.2}), {} pairs",
            speedup.point, speedup.low, speedup.high, figures.samples
        ))?;
    }
    let writes = match figures.write_cost_pct {
        Some(cost) => format!("inserts take {cost:+.1} %"),
        None => "no writes feel it".to_owned(),
    };
    screen.line(format_args!(
        "it takes {} MB and {:.0} ms to make; {writes}",
        megabytes(rehearsed.evidence.size_bytes),
        rehearsed.evidence.build_ms
    ))?;
    screen.line(match &rehearsed.verdict {
        Verdict::Ready => "ready: it was shown to pay".to_owned(),
        Verdict::Undecided => "undecided".to_owned(),
        Verdict::Rejected(why) => format!("rejected: {why}"),
    })
}

fn row(query: &str, measured: &Measured) -> Vec<String> {
    let side = |of: fn(&Pair) -> f64| median(&mut measured.pairs.iter().map(of).collect::<Vec<_>>()).unwrap_or(0.0);
    let (before, after) = (side(|pair| pair.incumbent_ms), side(|pair| pair.candidate_ms));
    vec![
        query.to_owned(),
        count(measured.calls),
        format!("{before:.2}"),
        format!("{after:.2}"),
        format!("{:.2}x", before / after.max(f64::MIN_POSITIVE)),
        count(measured.pairs.len() as u64),
        format!("{}/{}", measured.equal, measured.compared),
    ]
}
