//! `aion admin`: backups of a database, verified and restored; and dumps.
//!
//! ```text
//! aion admin backup --to DIR [--connect URL | --data DIR]     of a running server, or of a directory that nobody serves
//! aion admin verify DIR                                        reads every byte of a backup and compares hashes
//! aion admin dump [--to FILE] [--schema S] [--table T]         the database as a script of SQL, see `dump`
//! aion admin restore --from DIR --to DIR                       verifies while it copies; the result is served with `aion serve --data`
//! ```
//!
//! A server writes the backup itself, into a directory of its own machine: `BACKUP TO 'DIR'` in SQL.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aion_base::{Error, Result, SqlState};
use aion_storage::backup::{self, BackupReport, Progress};
use aion_storage::{Store, StoreOptions};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;

use crate::arguments::check_directory;
use crate::dump::{self, DumpArguments};
use crate::screen::{Screen, count, megabytes};
use crate::shell::{Complaint, Connection};

/// Where to ask when neither a directory nor a server is named.
const LOCAL: &str = "postgresql://aion@127.0.0.1:5433/aion";

/// What is to be done.
#[derive(Debug, Args)]
pub struct AdminArguments {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Write a verified copy of a database, running or not, into a new directory
    Backup {
        /// The new directory, on the machine of the server
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// The data directory of a database that nobody serves
        #[arg(long, value_name = "DIR", conflicts_with = "connect")]
        data: Option<PathBuf>,
        /// The server: postgresql://user@host:port/database; by default the one on this machine
        #[arg(long, value_name = "URL")]
        connect: Option<String>,
    },
    /// Write a database as a script of SQL that makes it again
    Dump(DumpArguments),
    /// Read every byte of a backup, and compare it with its hashes
    Verify {
        /// The backup
        #[arg(value_name = "DIR")]
        path: PathBuf,
    },
    /// Make a data directory of a backup
    Restore {
        /// The backup
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// The data directory: new, or empty
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

/// Runs `aion admin`.
pub fn run(arguments: &AdminArguments) -> Result<ExitCode> {
    let screen = Screen::new();
    match &arguments.command {
        AdminCommand::Backup {
            to,
            data: Some(data),
            connect: _,
        } => {
            check_directory(data)?;
            let store = Store::open(data, StoreOptions::default())?;
            let extra = aion_db::backup_extras(data)?;
            let report = watched(&screen, "copied", |listener| store.backup_to(to, &extra, listener));
            store.close()?;
            tell(&screen, "Backed up to", to, &report?)?;
        }
        AdminCommand::Backup { to, connect, .. } => {
            let to = std::path::absolute(to).map_err(|error| Error::io("find the directory", error))?;
            let text = to
                .to_str()
                .ok_or_else(|| Error::invalid(SqlState::INVALID_NAME, format!("{} is no UTF-8", to.display())))?;
            let url = connect.as_deref().unwrap_or(LOCAL);
            let mut connection = match Connection::connect(url) {
                Ok(connection) => connection,
                Err(complaint) => return Ok(refused(&complaint)),
            };
            let statement = format!("BACKUP TO '{}'", text.replace('\'', "''"));
            let runtime = connection.runtime();
            let answered = runtime.block_on(connection.ask(&statement));
            connection.close()?;
            if let Err(complaint) = answered {
                return Ok(refused(&complaint));
            }
            screen.line(format_args!(
                "Backed up to {}. `aion admin verify` reads it again.",
                to.display()
            ))?;
        }
        AdminCommand::Dump(arguments) => return dump::run(arguments, LOCAL),
        AdminCommand::Verify { path } => {
            let report = watched(&screen, "read", |listener| backup::verify(path, listener))?;
            tell(&screen, "Intact:", path, &report)?;
        }
        AdminCommand::Restore { from, to } => {
            let report = watched(&screen, "copied", |listener| backup::restore(from, to, listener))?;
            tell(&screen, "Restored to", to, &report)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(complaint: &Complaint) -> ExitCode {
    eprint!("{}", complaint.show("", None, 1));
    ExitCode::FAILURE
}

/// Does something that takes long, with a bar.
fn watched(
    screen: &Screen,
    what: &str,
    work: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<BackupReport>,
) -> Result<BackupReport> {
    let mut bar: Option<ProgressBar> = None;
    let report = work(&mut |progress: Progress| {
        let bar = bar.get_or_insert_with(|| screen.bar(what, progress.of));
        bar.set_length(progress.of);
        bar.set_position(progress.bytes);
        ControlFlow::Continue(())
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    report
}

fn tell(screen: &Screen, what: &str, path: &Path, report: &BackupReport) -> Result<()> {
    screen.line(format_args!(
        "{what} {}: {} rows, {} in {} files, up to entry {} of the log",
        path.display(),
        count(report.rows),
        megabytes(report.bytes),
        count(report.files),
        report.index
    ))
}
