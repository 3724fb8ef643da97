//! `aion advise`: which indexes would pay for a workload, by estimate.
//!
//! The workload is what the database has noted of the statements that ran (`aion.statements`), and the statements of a file, which are run
//! once, read-only, so that they are noted too.

use std::path::PathBuf;
use std::process::ExitCode;

use aion_base::{Error, Result};
use aion_db::{AdviceLimits, Database, DatabaseOptions, Response, Session, SessionOptions};
use clap::Args;

use crate::arguments::check_directory;
use crate::screen::{Screen, count, megabytes};

/// What to look at.
#[derive(Debug, Args)]
pub struct AdviseArguments {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Queries to run first, once each; a statement that writes is refused
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
}

/// Runs `aion advise`.
pub fn run(arguments: &AdviseArguments) -> Result<ExitCode> {
    let path = &arguments.data;
    check_directory(path)?;
    let workload = match &arguments.workload {
        Some(file) => Some(
            std::fs::read_to_string(file)
                .map_err(|error| Error::io(format_args!("read the workload {}", file.display()), error))?,
        ),
        None => None,
    };
    let screen = Screen::new();
    let database = Database::open(path, DatabaseOptions::default())?;
    let has_failed = match workload {
        Some(text) => run_workload(&database, &text, &screen)? > 0,
        None => false,
    };
    show(&database, &screen)?;
    database.close()?;
    Ok(match has_failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Runs each statement once; gives how many failed.
fn run_workload(database: &Database, text: &str, screen: &Screen) -> Result<usize> {
    let mut session = database.session(SessionOptions::default());
    session.set_read_only();
    let statements = session.parse(text)?;
    let bar = screen.bar("workload", statements.len() as u64);
    let mut failed = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        let ran = database.runtime().block_on(run_one(&mut session, statement));
        if let Err(error) = ran {
            failed.push(format!("  statement {} failed: {error}", at + 1));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    screen.line(format_args!(
        "{} statements of the workload ran, {} failed",
        statements.len() - failed.len(),
        failed.len()
    ))?;
    failed.iter().try_for_each(|line| screen.line(line))?;
    Ok(failed.len())
}

async fn run_one(session: &mut Session, statement: &aion_db::Statement) -> Result<()> {
    let prepared = session.prepare(statement, &[]).await?;
    if let Response::Rows(mut rows) = session.execute(&prepared, &[]).await? {
        while rows.next().await?.is_some() {}
    }
    Ok(())
}

fn show(database: &Database, screen: &Screen) -> Result<()> {
    let advice = database.advise(&AdviceLimits::default())?;
    screen.line(format_args!(
        "{} different statements that read tables, {} indexes considered",
        advice.statements, advice.candidates
    ))?;
    for (statement, why) in &advice.left_out {
        screen.line(format_args!("  left out: {why}: {}", shortened(&statement.query)))?;
    }
    if advice.indexes.is_empty() {
        return screen.line("No index is estimated to pay for this workload.");
    }
    let head = ["", "estimated", "MB", "statements"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for index in &advice.indexes {
        rows.push(vec![
            index.command(),
            format!("{:.2}x", index.estimated_speedup),
            megabytes(index.size_bytes),
            count(index.statements.len() as u64),
        ]);
    }
    screen.table(&rows)?;
    screen.line("Estimated for the whole workload, each index alone. Nothing was tried and nothing was changed.")
}

/// The beginning of a long statement.
pub fn shortened(query: &str) -> String {
    const CHARACTERS: usize = 100;
    match query.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}...", &query[..end]),
        None => query.to_owned(),
    }
}
