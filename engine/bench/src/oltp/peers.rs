//! The program `aion-peers`: embedded engines in a process of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use aion_base::{Error, Result, SqlState};
use aion_workload::outcome::Outcome;

use super::{Run, watched};

/// The program: in `AION_PEERS`, or beside `aion`.
///
/// # Errors
/// 58P01 where it is not, with how to get it.
pub fn program(aion: &Path) -> Result<PathBuf> {
    let beside = || aion.with_file_name("aion-peers");
    let path = std::env::var_os("AION_PEERS").map_or_else(beside, PathBuf::from);
    match path.is_file() {
        true => Ok(path),
        false => Err(
            Error::not_found(SqlState::UNDEFINED_FILE, format!("{} is not there", path.display())).with_hint(
                "Build it with `cargo build --release --package aion-peers` and put it beside aion, or name it with the environment \
                 variable AION_PEERS.",
            ),
        ),
    }
}

/// Runs it with these arguments; its databases are made below the run's folder, and taken up again by the next.
///
/// # Errors
/// What it said; internal for something else than an outcome.
pub fn run(aion: &Path, arguments: &[&str], run: &mut Run<'_>) -> Result<Outcome> {
    let seconds = run.options.duration.as_secs().max(1).to_string();
    let timed: Vec<&str> = arguments.iter().copied().chain(["--seconds", &seconds]).collect();
    run_untimed(aion, &timed, run)
}

/// As [`run`], of work that has an end of its own.
///
/// # Errors
/// As [`run`].
pub fn run_untimed(aion: &Path, arguments: &[&str], run: &mut Run<'_>) -> Result<Outcome> {
    let mut command = Command::new(program(aion)?);
    command
        .args(arguments)
        .args(["--seed", &run.options.seed.to_string()])
        .arg("--dir")
        .arg(run.folder.join("peers"));
    let said = watched::run(&mut command, "aion-peers", run.progress)?;
    serde_json::from_str(said.trim()).map_err(|error| {
        Error::internal(format!(
            "aion-peers said something else than an outcome: {said} ({error})"
        ))
    })
}
