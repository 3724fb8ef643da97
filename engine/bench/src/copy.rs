//! Loading a CSV file: the flights, with their primary key, in one transaction that is durable at its end.
//!
//! Each run begins with an empty table. Ours is in a new data directory, through a session in this process; DuckDB's in a new
//! database file; PostgreSQL's in a new table after a checkpoint. The time is that of the COPY statement alone, by the client's clock.

use std::path::Path;
use std::time::Instant;

use aion_base::{Error, Result};
use aion_datasets::flights::{FlightsArchive, SCHEMA_SQL, Table};
use aion_db::{Database, DatabaseOptions};
use aion_shadow::answer::are_equal;

use crate::client::Client;
use crate::duckdb::{DuckDb, python};
use crate::embedded::Embedded;
use crate::flights::{LoadTable, write_tables};
use crate::postgres::Postgres;
use crate::report::{Arm, Line, Report, Unit};

/// What all engines must have after the load.
const CHECK: &str = "SELECT count(*), min(id), max(id), sum(distance), count(arr_delay), sum(arr_delay), count(tailnum), \
                     count(profile), count(DISTINCT dest) FROM flights";

/// Runs it `rounds` times on each engine, in turn, with files below `folder`.
///
/// # Errors
/// Those of the engines; 58P01 where a peer is missing.
pub fn run(folder: &Path, rounds: usize, progress: &mut dyn FnMut(&str)) -> Result<Report> {
    progress("writing the CSV files");
    let archive = FlightsArchive::open(&FlightsArchive::default_path()?)?;
    let tables = write_tables(&archive, folder, |_| {})?;
    let flights = tables.iter().find(|table| table.table == Table::Flights);
    let flights = flights.ok_or_else(|| Error::internal("flights is a table"))?;
    let options = DatabaseOptions::default();
    let python = python()?;
    progress("starting PostgreSQL");
    let postgres = Postgres::start(folder)?;

    let (mut ours, mut theirs, mut duckdbs) = (Vec::new(), Vec::new(), Vec::new());
    let mut answers = Vec::new();
    let mut version = String::new();
    for round in 1..=rounds {
        progress(&format!("round {round} of {rounds}: Aion"));
        let (seconds, answer) = on_aion(folder, flights, &options)?;
        ours.push(flights.row_count() as f64 / seconds);
        answers.push(answer);
        progress(&format!("round {round} of {rounds}: PostgreSQL"));
        let (seconds, answer) = on_postgres(&postgres, flights)?;
        theirs.push(flights.row_count() as f64 / seconds);
        answers.push(answer);
        progress(&format!("round {round} of {rounds}: DuckDB"));
        let file = folder.join(format!("copy-{round}.duckdb"));
        let mut duckdb = DuckDb::start_on_disk(&python, options.threads, &file)?;
        let (seconds, answer) = on_duckdb(&mut duckdb, flights)?;
        duckdb.version().clone_into(&mut version);
        duckdbs.push(flights.row_count() as f64 / seconds);
        answers.push(answer);
    }
    let is_equal = answers.windows(2).all(|pair| are_equal(&pair[0], &pair[1]));
    let arm = |name: String, runs| Arm { name, runs };
    Ok(Report {
        work: "copy",
        about: format!(
            "`COPY flights FROM` a CSV file of {} rows and {:.1} MB, with its primary key, one transaction, durable at its end.",
            flights.row_count(),
            flights.bytes as f64 / 1e6
        ),
        unit: Unit::PerSecond,
        lines: vec![Line {
            what: "rows loaded".to_owned(),
            ours: arm("Aion".to_owned(), ours),
            peers: vec![
                arm(postgres.name(), theirs),
                arm(format!("DuckDB {version}"), duckdbs),
            ],
        }],
        notes: vec![
            format!(
                "Nine aggregates over the loaded rows: {} on all engines after all {rounds} rounds.",
                if is_equal { "equal" } else { "DIFFERENT" }
            ),
            "The profile is a vector(12) for us, DOUBLE[12] for DuckDB, and text for PostgreSQL, which does not have to parse it."
                .to_owned(),
        ],
        is_equal,
    })
}

type Rows = Vec<Vec<Option<String>>>;

fn on_aion(folder: &Path, flights: &LoadTable, options: &DatabaseOptions) -> Result<(f64, Rows)> {
    let data = folder.join("aion");
    let database = Database::open(&data, options.clone())?;
    let mut aion = Embedded::new(&database);
    aion.script(SCHEMA_SQL)?;
    let begin = Instant::now();
    aion.script(&flights.copy_sql())?;
    let seconds = begin.elapsed().as_secs_f64();
    let check = aion.prepare(CHECK)?;
    let answer = aion.run(&check, &[])?;
    drop(check);
    drop(aion);
    database.close()?;
    std::fs::remove_dir_all(&data).map_err(|error| Error::io(format_args!("remove {}", data.display()), error))?;
    Ok((seconds, answer.rows))
}

fn on_postgres(postgres: &Postgres, flights: &LoadTable) -> Result<(f64, Rows)> {
    let mut client = Client::connect(postgres.port(), "aion")?;
    client.run("DROP TABLE IF EXISTS flights, weather, planes, airports, airlines")?;
    client.run(&SCHEMA_SQL.replace("vector(12)", "text"))?;
    client.run("CHECKPOINT")?;
    let begin = Instant::now();
    client.run(&flights.copy_sql())?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok((seconds, client.query(CHECK)?))
}

fn on_duckdb(duckdb: &mut DuckDb, flights: &LoadTable) -> Result<(f64, Rows)> {
    for statement in SCHEMA_SQL.split(';').filter(|text| text.contains("CREATE TABLE")) {
        duckdb.run(&statement.replace("vector(12)", "DOUBLE[12]"), &[])?;
    }
    let copied = duckdb.run(&flights.copy_sql(), &[])?;
    Ok((copied.ms / 1e3, duckdb.run(CHECK, &[])?.rows))
}
