//! The command line.

use std::path::Path;
use std::process::ExitCode;

use aion_base::{Error, Result, SqlState};
use clap::{Parser, Subcommand};

use crate::{admin, advise, ai, bench, check, crash, demo, serve, shell, version};

/// One database for rows, graphs, vectors, time series and keys.
#[derive(Debug, Parser)]
#[command(name = "aion", version = version::LINE.as_str(), arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load real flights, read them back, then kill the writer and cut its power: nothing acknowledged may be missing
    Demo(demo::DemoArguments),
    /// Serve a data directory to PostgreSQL clients
    Serve(serve::ServeArguments),
    /// Run SQL on a data directory or a server, from a prompt or a script
    Sql(shell::SqlArguments),
    /// Say which indexes would pay for the statements that ran, by estimate
    Advise(advise::AdviseArguments),
    /// What the database recommends, and what a person does with it
    Ai(ai::AiArguments),
    /// Measure us and our peers side by side on the same work, and compare the answers
    Bench(bench::BenchArguments),
    /// Back up a database, verify a backup, restore one
    Admin(admin::AdminArguments),
    /// Read every row of a data directory; print how many there are and their sha256
    Check(check::CheckArguments),
    /// Write until killed; the child process of the durability tests
    #[command(hide = true)]
    CrashWriter(crash::writer::WriterArguments),
    /// Rehearse on clones; the child process of `aion ai rehearse`
    #[command(hide = true)]
    RehearseClone,
}

impl Arguments {
    /// Runs the subcommand.
    pub fn run(&self) -> Result<ExitCode> {
        match &self.command {
            Command::Demo(arguments) => demo::run(arguments),
            Command::Serve(arguments) => serve::run(arguments),
            Command::Sql(arguments) => shell::run(arguments),
            Command::Advise(arguments) => advise::run(arguments),
            Command::Ai(arguments) => ai::run(arguments),
            Command::Bench(arguments) => bench::run(arguments),
            Command::Admin(arguments) => admin::run(arguments),
            Command::Check(arguments) => check::run(arguments),
            Command::CrashWriter(arguments) => crash::writer::run(arguments),
            Command::RehearseClone => ai::rehearse_clone(),
        }
    }
}

/// Checks that a data directory is there: opening would make one.
///
/// # Errors
/// 58P01.
pub fn check_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    Err(Error::not_found(
        SqlState::UNDEFINED_FILE,
        format!("there is no directory {}", path.display()),
    )
    .with_hint("Name a data directory, such as demo-out/data."))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_version_names_program_commit_and_format() {
        let line = &*version::LINE;
        assert!(line.starts_with(version::VERSION), "{line}");
        assert!(line.contains("commit ") && line.ends_with("data format 1)"), "{line}");
    }
}
