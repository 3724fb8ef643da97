//! `aion ai`: what the database recommends, and what a person does with it.

mod rehearse;

use std::process::ExitCode;

use aion_base::{Error, Result};
use clap::{Args, Subcommand};

pub use rehearse::rehearse_clone;

/// What is asked.
#[derive(Debug, Args)]
pub struct AiArguments {
    #[command(subcommand)]
    command: AiCommand,
}

#[derive(Debug, Subcommand)]
enum AiCommand {
    /// Try a command on clones of the database with the queries that ran, and say what comes of it
    Rehearse(rehearse::RehearseArguments),
}

/// Runs `aion ai`.
pub fn run(arguments: &AiArguments) -> Result<ExitCode> {
    match &arguments.command {
        AiCommand::Rehearse(arguments) => rehearse::run(arguments),
    }
}

/// The program as a child that rehearses: this one.
fn child() -> Result<(std::path::PathBuf, Vec<String>)> {
    let program = std::env::current_exe().map_err(|error| Error::io("find this program", error))?;
    Ok((program, vec!["rehearse-clone".to_owned()]))
}
