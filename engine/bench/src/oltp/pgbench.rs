//! PostgreSQL's own pgbench, as the client of either server.

use std::process::Command;
use std::time::Duration;

use aion_base::{Error, Result};

use super::watched;
use crate::postgres::program;

/// What one run found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ran {
    /// Transactions in a second, without those that failed and without the time to connect.
    pub rate: f64,
    /// Transactions that succeeded.
    pub processed: u64,
    /// Transactions that were given up.
    pub failed: u64,
    /// Attempts that lost and were made again.
    pub retries: u64,
    /// The mean, in milliseconds.
    pub latency_ms: f64,
}

/// A command that connects to a server of this machine.
fn command(port: u16) -> Result<Command> {
    let path = program("pgbench").map_err(|error| {
        error.with_hint(
            "pgbench comes with Debian's package postgresql-15 (with postgresql-contrib elsewhere): apt-get install postgresql-15; or \
             name the folder of PostgreSQL's programs with the environment variable AION_POSTGRES_BIN.",
        )
    })?;
    let mut command = Command::new(path);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "aion"]);
    Ok(command)
}

/// Whether it is there.
///
/// # Errors
/// 58P01 where it is not, with how to get it.
pub fn find() -> Result<()> {
    command(0).map(drop)
}

/// Makes and fills its four tables.
///
/// # Errors
/// What it said.
pub fn initialize(port: u16, scale: u32, what: &str, progress: &mut dyn FnMut(&str)) -> Result<()> {
    let mut command = command(port)?;
    command.args(["-i", "-q", "-s", &scale.to_string(), "aion"]);
    watched::run(&mut command, what, progress).map(drop)
}

/// Runs it with these arguments for so long.
///
/// # Errors
/// What it said; internal where a client gave up.
pub fn run(port: u16, arguments: &[String], duration: Duration, progress: &mut dyn FnMut(&str)) -> Result<Ran> {
    let mut command = command(port)?;
    command
        .args(["-n", "-T", &duration.as_secs().max(1).to_string()])
        .args(arguments)
        .arg("aion");
    let said = watched::run(&mut command, "pgbench", progress)?;
    read(&said).ok_or_else(|| Error::internal(format!("pgbench said something else than its figures: {said}")))
}

/// The figures that it printed.
fn read(said: &str) -> Option<Ran> {
    let figure = |name: &str| {
        let rest = said.lines().find_map(|line| line.strip_prefix(name))?;
        rest.trim().split(' ').next()
    };
    let retries = figure("total number of retries:").map_or(Some(0), |text| text.parse().ok());
    Some(Ran {
        rate: figure("tps =")?.parse().ok()?,
        processed: figure("number of transactions actually processed:")?.parse().ok()?,
        failed: figure("number of failed transactions:")?.parse().ok()?,
        retries: retries?,
        latency_ms: figure("latency average =")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIED: &str = "pgbench (15.18)\ntransaction type: s.sql\nscaling factor: 1\nquery mode: prepared\nnumber of clients: 8\n\
        number of threads: 2\nmaximum number of tries: 1000\nduration: 2 s\nnumber of transactions actually processed: 1208\n\
        number of failed transactions: 3 (0.248%)\nnumber of transactions retried: 947 (78.394%)\ntotal number of retries: 8104\n\
        latency average = 13.213 ms\ninitial connection time = 15.701 ms\ntps = 605.446715 (without initial connection time)\n";

    #[test]
    fn the_figures_of_a_run_are_read() {
        let ran = read(RETRIED).expect("figures");
        let expected = Ran {
            rate: 605.446_715,
            processed: 1_208,
            failed: 3,
            retries: 8_104,
            latency_ms: 13.213,
        };
        assert_eq!(ran, expected);
    }

    #[test]
    fn without_further_tries_there_are_no_retries() {
        let without: Vec<&str> = RETRIED.lines().filter(|line| !line.contains("retr")).collect();
        let said = without.join("\n").replace("13.213 ms", "1.755 ms (including failures)");
        let ran = read(&said).expect("figures");
        assert_eq!((ran.retries, ran.latency_ms), (0, 1.755));
        assert_eq!(read("number of transactions actually processed: 0\n"), None);
    }
}
