//! `aion ai`: what the database recommends, and what a person does with it.
//!
//! ```text
//! aion ai list | show ID | rehearse SQL-or-ID | approve ID | dismiss ID | revert ID | pin ID | unpin ID | verify
//! ```
//!
//! All of it is SQL (`aion.recommendations`, `aion.decisions`, `SELECT aion.approve(17)`), asked of a server or of a data directory that
//! this process opens. Opened here, the mode is advise, because a person asks; nothing is looked at or rehearsed on its own.

mod act;
mod list;
mod show;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, Result};
use aion_db::{DatabaseOptions, LearningOptions, Mode, Step, StepWatcher, rehearsal};
use clap::{Args, Subcommand};

use crate::arguments::check_directory;
use crate::screen::Screen;
use crate::shell::{Complaint, Connection};

/// Where to ask when neither a directory nor a server is named.
const LOCAL: &str = "postgresql://aion@127.0.0.1:5433/aion";

/// What is asked.
#[derive(Debug, Args)]
pub struct AiArguments {
    /// Open the database in this directory, here in this process
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "connect")]
    data: Option<PathBuf>,
    /// Ask a server: postgresql://user@host:port/database; by default the one on this machine
    #[arg(long, value_name = "URL", global = true)]
    connect: Option<String>,
    /// Dies at a step of the pipeline as if killed: for the tests of durability
    #[arg(long, value_name = "STEP", global = true, hide = true, requires = "data", value_parser = step)]
    die_at: Option<Step>,
    #[command(subcommand)]
    command: AiCommand,
}

fn step(text: &str) -> Result<Step, String> {
    let steps = Step::ALL
        .iter()
        .find(|step| format!("{step:?}").eq_ignore_ascii_case(text));
    steps
        .copied()
        .ok_or_else(|| format!("'{text}' is no step of the pipeline"))
}

#[derive(Debug, Subcommand)]
enum AiCommand {
    /// All recommendations, a line each
    List,
    /// One recommendation: why, what was measured, and what to do next
    Show {
        /// The recommendation
        id: u64,
    },
    /// Try a command, or a recommendation again, on clones of the database with the queries that ran. Exit code 1 where it is not ready
    Rehearse {
        /// CREATE INDEX, DROP INDEX or ANALYZE; or the id of a recommendation
        #[arg(value_name = "SQL or ID")]
        what: String,
        /// Seconds for the pairs, at most; with --data
        #[arg(long, value_name = "SECONDS", default_value_t = 120)]
        seconds: u64,
    },
    /// Make a change that is ready
    Approve(act::OfOne),
    /// Do not propose a change again
    Dismiss(act::OfOne),
    /// Take a change back
    Revert(act::OfOne),
    /// Keep a change whatever the watch says
    Pin(act::OfOne),
    /// Let the watch decide again
    Unpin(act::OfOne),
    /// Check the ledger: its chain, and that each verdict follows from its evidence
    Verify,
}

/// Runs `aion ai`.
pub fn run(arguments: &AiArguments) -> Result<ExitCode> {
    let screen = Screen::new();
    let mut asking = match Asking::begin(arguments) {
        Ok(asking) => asking,
        Err(complaint) => return complain(&complaint),
    };
    let done = match &arguments.command {
        AiCommand::List => list::list(&mut asking, &screen),
        AiCommand::Show { id } => show::show(&mut asking, *id, &screen),
        AiCommand::Rehearse { what, .. } => act::rehearse(&mut asking, what, &screen),
        AiCommand::Approve(one) => act::act(&mut asking, "approve", one, &screen),
        AiCommand::Dismiss(one) => act::act(&mut asking, "dismiss", one, &screen),
        AiCommand::Revert(one) => act::act(&mut asking, "revert", one, &screen),
        AiCommand::Pin(one) => act::act(&mut asking, "pin", one, &screen),
        AiCommand::Unpin(one) => act::act(&mut asking, "unpin", one, &screen),
        AiCommand::Verify => verify::verify(&mut asking, &screen),
    };
    asking.connection.close()?;
    done.or_else(|complaint| complain(&complaint))
}

fn complain(complaint: &Complaint) -> Result<ExitCode> {
    eprint!("{}", complaint.show("", None, 1));
    Ok(ExitCode::FAILURE)
}

/// What a subcommand ends with.
type Done<T = ExitCode> = Result<T, Box<Complaint>>;

/// Asks a database in SQL.
struct Asking {
    connection: Connection,
}

impl Asking {
    fn begin(arguments: &AiArguments) -> Done<Self> {
        let connection = match (&arguments.data, &arguments.connect) {
            (Some(data), _) => {
                check_directory(data)?;
                let mut learning = LearningOptions {
                    program: Some(child()?),
                    // Only what is asked for is done here.
                    look_every: Duration::MAX / 4,
                    ..LearningOptions::default()
                };
                if let AiCommand::Rehearse { seconds, .. } = &arguments.command {
                    learning.rehearsal_time = Duration::from_secs(*seconds);
                }
                let options = DatabaseOptions {
                    ai_mode: Some(Mode::Advise),
                    learning,
                    on_step: arguments.die_at.map(dying_at),
                    ..DatabaseOptions::default()
                };
                Connection::open(data, options)?
            }
            (None, Some(url)) => Connection::connect(url)?,
            (None, None) => Connection::connect(LOCAL)?,
        };
        Ok(Self { connection })
    }

    /// The rows of a statement, as texts.
    fn ask(&mut self, sql: &str) -> Done<Vec<Vec<Option<String>>>> {
        let runtime = self.connection.runtime();
        runtime.block_on(self.connection.ask(sql))
    }

    /// The one row of a query for a recommendation.
    fn one(&mut self, columns: &str, id: u64) -> Done<Vec<Option<String>>> {
        let rows = self.ask(&format!("SELECT {columns} FROM aion.recommendations WHERE id = {id}"))?;
        rows.into_iter().next().ok_or_else(|| {
            let error = Error::not_found(
                aion_base::SqlState::UNDEFINED_OBJECT,
                format!("recommendation {id} does not exist"),
            );
            Box::<Complaint>::from(error.with_hint("aion ai list shows all of them."))
        })
    }
}

/// Ends the process, without a word and without an end, when the pipeline comes to a step.
fn dying_at(last: Step) -> StepWatcher {
    StepWatcher(Arc::new(move |_, step| {
        if step == last {
            std::process::abort();
        }
    }))
}

/// A text as a literal of SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text that is there.
fn text(cell: &Option<String>) -> &str {
    cell.as_deref().unwrap_or("-")
}

/// A number that was measured.
fn number(cell: &Option<String>) -> Option<f64> {
    cell.as_deref().and_then(|text| text.parse().ok())
}

/// `1.41x`
fn times(cell: &Option<String>) -> String {
    number(cell).map_or_else(|| "-".to_owned(), |number| format!("{number:.2}x"))
}

/// The program as a child that rehearses: this one.
pub fn child() -> Result<(PathBuf, Vec<String>)> {
    let program = std::env::current_exe().map_err(|error| Error::io("find this program", error))?;
    Ok((program, vec!["rehearse-clone".to_owned()]))
}

/// The child process of a rehearsal: asked on standard input, answers on standard output.
pub fn rehearse_clone() -> Result<ExitCode> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    rehearsal::child::run(&mut input, &mut output)?;
    Ok(ExitCode::SUCCESS)
}
