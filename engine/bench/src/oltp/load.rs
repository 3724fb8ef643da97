//! Rows that are loaded over the wire: INSERT of many at a time, and COPY.
//!
//! Each run begins with an empty table. The time is that of the statements alone, by the client's clock; each is a transaction, durable when
//! it is answered. The texts of the INSERTs are made between them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use aion_base::{Error, Result};
use aion_shadow::answer::are_equal;

use super::servers::{Pair, Side};
use super::{Row, Run};
use crate::client::Client;
use crate::report::{Arm, Line, Report, Unit, count};

/// Rows of one INSERT.
const INSERT_ROWS: u64 = 1_000;
/// Rows of one COPY.
const COPY_ROWS: u64 = 1_000_000;
const FILLER_BYTES: usize = 84;

/// The table of all loads.
pub const TABLE: &str = "(id bigint PRIMARY KEY, value bigint NOT NULL, filler text NOT NULL)";

/// Durable rows a second by INSERT.
///
/// # Errors
/// What a server answered.
pub fn insert(pair: &Pair, run: &mut Run<'_>) -> Result<Report> {
    let duration = run.options.duration;
    let about = format!(
        "One client that inserts {INSERT_ROWS} rows of about 100 bytes in each statement and transaction, for {} s.",
        duration.as_secs()
    );
    measure(Row::Insert, about, pair, run, |client, table| {
        insert_for(client, table, duration)
    })
}

/// Durable rows a second by COPY.
///
/// # Errors
/// What a server answered; when the file cannot be written.
pub fn copy(pair: &Pair, run: &mut Run<'_>) -> Result<Report> {
    let path = run.folder.join("oltp-copy.csv");
    (run.progress)("copy: writing the file");
    let filler = "x".repeat(FILLER_BYTES);
    write_rows(&path, COPY_ROWS, |_| filler.clone())?;
    let sql_path = path.display().to_string().replace('\'', "''");
    let about = format!(
        "COPY of a CSV file of {} rows of about 100 bytes with their primary key, one transaction.",
        count(COPY_ROWS)
    );
    measure(Row::Copy, about, pair, run, |client, table| {
        let begin = Instant::now();
        client.run(&format!("COPY {table} FROM '{sql_path}' (FORMAT csv)"))?;
        Ok((COPY_ROWS, begin.elapsed()))
    })
}

/// Loads on both in turn; `load` gives the rows and the time of its statements.
fn measure(
    row: Row,
    about: String,
    pair: &Pair,
    run: &mut Run<'_>,
    mut load: impl FnMut(&mut Client, &str) -> Result<(u64, Duration)>,
) -> Result<Report> {
    let table = format!("oltp_{row}");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut wrong = Vec::new();
    for round in 1..=run.options.rounds {
        for side in Side::of_round(round) {
            (run.progress)(&format!(
                "{row}, round {round} of {}: {}",
                run.options.rounds,
                pair.name(side)
            ));
            let mut client = pair.client(side)?;
            client.run(&format!("DROP TABLE IF EXISTS {table}"))?;
            client.run(&format!("CREATE TABLE {table} {TABLE}"))?;
            if side == Side::Postgres {
                // What the round before left to write is not this one's.
                client.run("CHECKPOINT")?;
            }
            let (rows, took) = load(&mut client, &table)?;
            let rate = rows as f64 / took.as_secs_f64().max(1e-9);
            match side {
                Side::Aion => ours.push(rate),
                Side::Postgres => theirs.push(rate),
            }
            let found = client.query(&format!(
                "SELECT count(*), sum(id), sum(value), min(length(filler)) FROM {table}"
            ))?;
            if !are_equal(&found, &expected(rows)) {
                wrong.push(format!(
                    "WRONG on {}: {rows} rows were loaded, and {found:?} is there.",
                    pair.name(side)
                ));
            }
        }
    }
    let is_equal = wrong.is_empty();
    let mut notes = wrong;
    if is_equal {
        notes.push("Checked: after each run, all rows are there, with the sums that they must have.".to_owned());
    }
    Ok(Report {
        work: row.section(),
        about,
        unit: Unit::PerSecond,
        lines: vec![Line {
            what: "rows".to_owned(),
            ours: Arm {
                name: "Aion".to_owned(),
                runs: ours,
            },
            peers: vec![Arm {
                name: pair.name(Side::Postgres),
                runs: theirs,
            }],
        }],
        notes,
        is_equal,
    })
}

/// What stands beside an id.
fn value(id: u64) -> u64 {
    id * 7 % 1_000
}

/// What must be there after so many rows.
fn expected(rows: u64) -> Vec<Vec<Option<String>>> {
    let ids: u64 = (1..=rows).sum();
    let values = sum(rows);
    let cells = [rows, ids, values, FILLER_BYTES as u64];
    vec![cells.map(|cell| Some(cell.to_string())).to_vec()]
}

fn insert_for(client: &mut Client, table: &str, duration: Duration) -> Result<(u64, Duration)> {
    let (mut rows, mut took) = (0, Duration::ZERO);
    while took < duration {
        let sql = insert_sql(table, rows + 1);
        let begin = Instant::now();
        client.run(&sql)?;
        took += begin.elapsed();
        rows += INSERT_ROWS;
    }
    Ok((rows, took))
}

fn insert_sql(table: &str, first: u64) -> String {
    let filler = "x".repeat(FILLER_BYTES);
    let mut sql = format!("INSERT INTO {table} (id, value, filler) VALUES ");
    for id in first..first + INSERT_ROWS {
        let comma = if id == first { "" } else { ", " };
        // A String takes all that is written to it.
        let _ = write!(sql, "{comma}({id}, {}, '{filler}')", value(id));
    }
    sql
}

/// The sum of the values of so many rows.
pub fn sum(rows: u64) -> u64 {
    (1..=rows).map(value).sum()
}

/// Writes so many rows of [`TABLE`] as CSV; `filler` makes the text of an id.
///
/// # Errors
/// When the file cannot be written.
pub fn write_rows(path: &Path, rows: u64, filler: impl Fn(u64) -> String) -> Result<()> {
    let failed = |error| Error::io(format_args!("write {}", path.display()), error);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    for id in 1..=rows {
        writeln!(file, "{id},{},{}", value(id), filler(id)).map_err(failed)?;
    }
    file.flush().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_has_its_rows_in_order() {
        let sql = insert_sql("t", 1_001);
        assert!(sql.starts_with("INSERT INTO t (id, value, filler) VALUES (1001, 7, 'xxx"));
        assert!(sql.contains(", (2000, 0, 'xxx") && sql.ends_with("xxx')"));
        assert_eq!(sql.matches('(').count() as u64, INSERT_ROWS + 1);
    }

    #[test]
    fn what_must_be_there_is_added_up() {
        let cells: Vec<_> = expected(3).into_iter().flatten().flatten().collect();
        assert_eq!(cells, ["3", "6", "42", "84"]);
    }
}
