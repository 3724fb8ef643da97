//! What lasts: opening after a kill, and memory and disk after many updates. On our server alone.

use std::path::Path;
use std::time::{Duration, Instant};

use aion_base::{Error, Result};

use super::load::{TABLE, sum, write_rows};
use super::{Row, Run};
use crate::client::Client;
use crate::report::{Arm, Line, Report, Unit, count};
use crate::served::Served;

/// Bytes of a row's text.
const FILLER_BYTES: usize = 180;

/// Rows of one load before the kill, and the bytes of log that are wanted then: rows are flushed, and the log before them given up, after 512 MiB.
const LOAD_ROWS: u64 = 100_000;
const LOG_BYTES: u64 = 500 << 20;
const LOADS_MAX: u64 = 60;

/// Rows that are updated again and again, how many of them by one statement, and updates until memory is looked at.
const ROWS: u64 = 1_000_000;
const STATEMENT_ROWS: u64 = 100_000;
const UPDATES: u64 = 10_000_000;
/// Flushes and compactions have come to rest after so long without a change of the disk: each minute what is left is flushed, and in a minute of rest
/// the first level is merged.
const REST: Duration = Duration::from_secs(70);
const REST_MAX: Duration = Duration::from_secs(400);

/// Loads until the log is as long as it gets, kills the server, and takes the time until it is ready again with all rows.
///
/// # Errors
/// What the server answered; when it does not start.
pub fn reopen(aion: &Path, run: &mut Run<'_>) -> Result<Report> {
    let file = run.folder.join("reopen.csv");
    write_rows(&file, LOAD_ROWS, filler)?;
    let mut opened = Vec::new();
    let mut notes = Vec::new();
    let mut is_equal = true;
    for round in 1..=run.options.rounds {
        let data = run.folder.join(format!("reopen-{round}"));
        (run.progress)(&format!("reopen, round {round} of {}: loading", run.options.rounds));
        let served = Served::start(aion, &data)?;
        let mut loads = 0;
        while loads < LOADS_MAX && bytes_in(&data.join("log"), "log")? < LOG_BYTES {
            let mut client = Client::connect(served.port(), "aion")?;
            load(&mut client, &format!("reopen_{loads}"), &file)?;
            loads += 1;
        }
        let log = bytes_in(&data.join("log"), "log")?;
        // SIGKILL: the server writes nothing more.
        drop(served);
        (run.progress)(&format!("reopen, round {round} of {}: opening", run.options.rounds));
        let begin = Instant::now();
        let served = Served::start(aion, &data)?;
        opened.push(begin.elapsed().as_secs_f64() * 1e3);
        let mut client = Client::connect(served.port(), "aion")?;
        for number in 0..loads {
            let found = client.query(&format!("SELECT count(*), sum(value) FROM reopen_{number}"))?;
            if found != [[Some(LOAD_ROWS.to_string()), Some(sum(LOAD_ROWS).to_string())]] {
                is_equal = false;
                notes.push(format!(
                    "WRONG: table {number} of {loads} has {found:?} after the kill."
                ));
            }
        }
        notes.push(format!(
            "Killed with {} MiB of log on disk, after {} rows in {loads} loads; all of them are counted after it.",
            count(log >> 20),
            count(loads * LOAD_ROWS)
        ));
        drop(served);
        std::fs::remove_dir_all(&data).map_err(|error| Error::io(format_args!("remove {}", data.display()), error))?;
    }
    Ok(Report {
        work: Row::Reopen.section(),
        about: format!(
            "From the start of a server that was killed (SIGKILL) until it is ready. Its log is as long as it gets: rows are flushed, and the log before \
             them is given up, after 512 MiB. Rows of about {} bytes.",
            FILLER_BYTES + 20
        ),
        unit: Unit::Milliseconds,
        lines: vec![alone("until it is ready", opened)],
        notes,
        is_equal,
    })
}

/// Memory and disk after ten million updates, and after ten million more.
///
/// # Errors
/// What the server answered; when it does not start.
pub fn updates(aion: &Path, run: &mut Run<'_>) -> Result<Report> {
    let file = run.folder.join("updates.csv");
    let data = run.folder.join("updates");
    (run.progress)("updates: loading");
    write_rows(&file, ROWS, filler)?;
    let served = Served::start(aion, &data)?;
    let mut client = Client::connect(served.port(), "aion")?;
    load(&mut client, "oltp_updates", &file)?;
    let rows = data.join("data");
    let loaded = served.resident_bytes()?;
    let fresh = rested(&rows)?;
    // At once and at rest: right after a statement up to four memtables may stand, which are flushed a moment later.
    let mut memory = vec![(loaded, served.resident_bytes()?)];
    let mut disk = vec![fresh];
    let begin = Instant::now();
    for part in 1..=2_u64 {
        for number in 0..UPDATES / STATEMENT_ROWS {
            if number % 10 == 0 {
                let done = (part - 1) * UPDATES + number * STATEMENT_ROWS;
                (run.progress)(&format!("updates: {} of {}", count(done), count(2 * UPDATES)));
            }
            let first = number * STATEMENT_ROWS % ROWS + 1;
            client.run(&format!(
                "UPDATE oltp_updates SET value = value + 1 WHERE id BETWEEN {first} AND {}",
                first + STATEMENT_ROWS - 1
            ))?;
        }
        let at_once = served.resident_bytes()?;
        disk.push(rested(&rows)?);
        memory.push((at_once, served.resident_bytes()?));
    }
    let rate = 2.0 * UPDATES as f64 / begin.elapsed().as_secs_f64();
    let found = client.query("SELECT count(*), sum(value) FROM oltp_updates")?;
    let is_equal = found == [[Some(ROWS.to_string()), Some((sum(ROWS) + 2 * UPDATES).to_string())]];
    let mebibytes = |bytes: u64| vec![bytes as f64 / f64::from(1 << 20)];
    let lines = ["after the load", "after the first updates", "after the second"]
        .into_iter()
        .zip(memory.iter().zip(&disk))
        .flat_map(|(when, (memory, disk))| {
            [
                alone(&format!("resident memory at once {when}"), mebibytes(memory.0)),
                alone(&format!("resident memory at rest {when}"), mebibytes(memory.1)),
                alone(&format!("disk of the rows {when}"), mebibytes(*disk)),
            ]
        });
    let ratio = |after: u64, before: u64| after as f64 / before as f64;
    let checked = match is_equal {
        true => "Checked: the sum of the values is that of the load and of all updates.".to_owned(),
        false => format!("WRONG: {found:?} is there."),
    };
    Ok(Report {
        work: Row::Updates.section(),
        about: format!(
            "{} rows of about {} bytes, of which each is updated ten times, {} rows by one statement, and then ten times more. At rest: when flushes and \
             compactions have come to their end, as for the disk.",
            count(ROWS),
            FILLER_BYTES + 20,
            count(STATEMENT_ROWS)
        ),
        unit: Unit::Mebibytes,
        lines: lines.collect(),
        notes: vec![
            format!(
                "Memory after the second {} updates against after the first: at rest {:.3}, at once {:.3}; disk against a fresh load: {:.2}; {} updates a \
                 second, waits for rest included.",
                count(UPDATES),
                ratio(memory[2].1, memory[1].1),
                ratio(memory[2].0, memory[1].0),
                ratio(disk[2], disk[0]),
                count(rate as u64)
            ),
            checked,
        ],
        is_equal,
    })
}

fn alone(what: &str, runs: Vec<f64>) -> Line {
    Line {
        what: what.to_owned(),
        ours: Arm {
            name: "Aion".to_owned(),
            runs,
        },
        peers: Vec::new(),
    }
}

/// A text that does not shrink to nothing.
fn filler(id: u64) -> String {
    let word = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut text = format!("{word:016x}").repeat(FILLER_BYTES / 16 + 1);
    text.truncate(FILLER_BYTES);
    text
}

fn load(client: &mut Client, table: &str, file: &Path) -> Result<()> {
    let path = file.display().to_string().replace('\'', "''");
    client.run(&format!("CREATE TABLE {table} {TABLE}"))?;
    client.run(&format!("COPY {table} FROM '{path}' (FORMAT csv)"))
}

/// Bytes of the files in a folder whose names end so; of all for an empty ending.
fn bytes_in(folder: &Path, ending: &str) -> Result<u64> {
    let failed = |error| Error::io(format_args!("look into {}", folder.display()), error);
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().ends_with(ending) {
            continue;
        }
        // One that a compaction has just removed.
        if let Ok(metadata) = entry.metadata() {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}

/// The bytes of a folder when nothing has changed them for a while.
///
/// # Errors
/// An IO error.
pub fn rested(folder: &Path) -> Result<u64> {
    let begin = Instant::now();
    let (mut last, mut since) = (bytes_in(folder, "")?, Instant::now());
    while since.elapsed() < REST && begin.elapsed() < REST_MAX {
        std::thread::sleep(Duration::from_millis(250));
        let now = bytes_in(folder, "")?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_long_as_told_and_add_up() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("rows.csv");
        write_rows(&path, 3, filler).expect("written");
        let text = std::fs::read_to_string(&path).expect("readable");
        let fields: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(fields.iter().map(|row| row[0]).collect::<Vec<_>>(), ["1", "2", "3"]);
        assert!(fields.iter().all(|row| row[2].len() == FILLER_BYTES));
        let values: u64 = fields.iter().map(|row| row[1].parse::<u64>().expect("a number")).sum();
        assert_eq!(values, sum(3));
        assert_eq!(bytes_in(dir.path(), ".csv").expect("a folder"), text.len() as u64);
        assert_eq!(bytes_in(dir.path(), ".log").expect("a folder"), 0);
    }
}
