//! Reads by primary key over the PostgreSQL protocol: `pgbench` as the client of either server.
//!
//! The table and the statement are those of `pgbench -S`; its rows fit into memory on both sides. Client and server share the
//! machine's cores, as they do for the peer.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aion_base::rng::SeededRng;
use aion_base::{Error, Result};
use aion_shadow::answer::are_equal;

use crate::client::Client;
use crate::postgres::{Postgres, program};
use crate::report::{Arm, Line, Report, Unit};
use crate::served::Served;

const TABLE: &str =
    "CREATE TABLE accounts (aid integer PRIMARY KEY, bid integer, abalance integer, filler varchar(84))";
/// Rows of the table.
const ROWS: u32 = 500_000;
/// Keys whose rows are compared before anything is measured.
const CHECKED: usize = 1_000;
const CLIENTS: [usize; 2] = [1, 8];
const MODES: [&str; 2] = ["prepared", "simple"];

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs of each engine, in turn.
    pub rounds: usize,
    /// How long each run is.
    pub duration: Duration,
    /// Decides which keys are compared.
    pub seed: u64,
}

/// Measures `aion serve`, which is `aion`'s own program, beside PostgreSQL, with files below `folder`.
///
/// # Errors
/// Those of the servers and of pgbench; 58P01 where a program is missing.
pub fn run(aion: &Path, folder: &Path, options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Report> {
    program("pgbench")?;
    progress("writing the accounts");
    let csv = folder.join("accounts.csv");
    write_accounts(&csv)?;
    let script = folder.join("select.pgbench");
    let text = format!("\\set aid random(1, {ROWS})\nSELECT abalance FROM accounts WHERE aid = :aid;\n");
    std::fs::write(&script, text).map_err(|error| Error::io(format_args!("write {}", script.display()), error))?;
    progress("starting and loading PostgreSQL");
    let postgres = Postgres::start(folder)?;
    load(postgres.port(), &csv, "VACUUM ANALYZE accounts")?;
    progress("starting and loading Aion");
    let served = Served::start(aion, &folder.join("aion"))?;
    load(served.port(), &csv, "ANALYZE accounts")?;
    let is_equal = compare(&served, &postgres, options.seed)?;

    let mut lines = Vec::new();
    for mode in MODES {
        for clients in CLIENTS {
            let what = format!("{mode}, {clients} client{}", if clients == 1 { "" } else { "s" });
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for round in 1..=options.rounds {
                progress(&format!("{what}, round {round} of {}", options.rounds));
                ours.push(pgbench(served.port(), &script, mode, clients, options.duration)?);
                theirs.push(pgbench(postgres.port(), &script, mode, clients, options.duration)?);
            }
            let arm = |name: String, runs| Arm { name, runs };
            lines.push(Line {
                what,
                ours: arm("Aion".to_owned(), ours),
                peers: vec![arm(postgres.name(), theirs)],
            });
        }
    }
    Ok(Report {
        work: "wire",
        about: format!(
            "`SELECT abalance FROM accounts WHERE aid = $1` by pgbench over TCP on the same machine, {ROWS} rows, {} s a run.",
            options.duration.as_secs()
        ),
        unit: Unit::PerSecond,
        lines,
        notes: vec![format!(
            "{CHECKED} rows of random keys (seed {}) were compared before: {}.",
            options.seed,
            if is_equal { "equal" } else { "DIFFERENT" }
        )],
        is_equal,
    })
}

fn write_accounts(path: &Path) -> Result<()> {
    let failed = |error| Error::io(format_args!("write {}", path.display()), error);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    let filler = "x".repeat(84);
    for aid in 1..=ROWS {
        writeln!(
            file,
            "{aid},{},{},{filler}",
            aid / 100_000 + 1,
            aid.wrapping_mul(2_654_435_761) % 10_000
        )
        .map_err(failed)?;
    }
    file.flush().map_err(failed)
}

fn load(port: u16, csv: &Path, analyze: &str) -> Result<()> {
    let mut client = Client::connect(port, "aion")?;
    client.run(TABLE)?;
    let path = csv.display().to_string().replace('\'', "''");
    client.run(&format!("COPY accounts FROM '{path}' (FORMAT csv)"))?;
    client.run(analyze)
}

fn compare(served: &Served, postgres: &Postgres, seed: u64) -> Result<bool> {
    let mut random = SeededRng::new(seed);
    let keys: Vec<String> = (0..CHECKED)
        .map(|_| (random.below(ROWS.into()) + 1).to_string())
        .collect();
    let sql = format!("SELECT * FROM accounts WHERE aid IN ({}) ORDER BY aid", keys.join(", "));
    let ours = Client::connect(served.port(), "aion")?.query(&sql)?;
    let theirs = Client::connect(postgres.port(), "aion")?.query(&sql)?;
    Ok(!ours.is_empty() && are_equal(&ours, &theirs))
}

/// Transactions per second.
fn pgbench(port: u16, script: &Path, mode: &str, clients: usize, duration: Duration) -> Result<f64> {
    let path = program("pgbench")?;
    let output = Command::new(&path)
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "aion"])
        .args(["-n", "-M", mode, "-c", &clients.to_string(), "-j", "1"])
        .args(["-T", &duration.as_secs().max(1).to_string(), "-f"])
        .arg(script)
        .arg("aion")
        .output()
        .map_err(|error| Error::io(format_args!("run {}", path.display()), error))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match rate(&said).filter(|_| output.status.success()) {
        Some(rate) => Ok(rate),
        None => Err(Error::internal(format!(
            "pgbench failed: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

/// The rate that pgbench printed; None if a transaction failed, or it printed none.
fn rate(said: &str) -> Option<f64> {
    let failed = said
        .lines()
        .find_map(|line| line.strip_prefix("number of failed transactions: "))?;
    if !failed.starts_with("0 ") {
        return None;
    }
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    rate.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_pgbench_is_read_and_a_failed_transaction_is_seen() {
        let said = "number of transactions actually processed: 10\nnumber of failed transactions: 0 (0.000%)\n\
                    latency average = 0.1 ms\ntps = 12345.678901 (without initial connection time)\n";
        assert_eq!(rate(said), Some(12_345.678_901));
        assert_eq!(rate(&said.replace(": 0 (", ": 2 (")), None);
        assert_eq!(rate("pgbench: error"), None);
    }
}
