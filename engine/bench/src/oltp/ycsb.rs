//! YCSB in this process, beside plain RocksDB.
//!
//! A record is a row of a table with its key as the primary key; each operation is one prepared statement, in a transaction of its own. Both
//! get as much memory for blocks that were read. The records are loaded once, then the workloads follow each other in YCSB's order on both.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::{SqlType, Value};
use aion_db::{Database, DatabaseOptions, Prepared};
use aion_workload::driver::{Answer, drive};
use aion_workload::outcome::{Outcome, shown};
use aion_workload::record::{digest, digest_of_parts, write_key, write_loaded_value};
use aion_workload::ycsb::{Client, Distribution, Draws, Population, Records, VALUE_BYTES, Workload};

use super::accounts::Runs;
use super::seat::{Seat, texts};
use super::{Row, Run, peers};
use crate::embedded::Embedded;
use crate::report::{Line, Report, Unit, count};

const THREADS: usize = 8;
/// Records that are loaded.
const RECORDS: u64 = 1_000_000;
/// Records between two lines of progress.
const TOLD_EVERY: u64 = 50_000;

const TABLE: &str = "CREATE TABLE usertable (key text PRIMARY KEY, value text NOT NULL)";
const READ: &str = "SELECT value FROM usertable WHERE key = $1";
const UPDATE: &str = "UPDATE usertable SET value = $1 WHERE key = $2";
const INSERT: &str = "INSERT INTO usertable (key, value) VALUES ($1, $2)";
const SCAN: &str = "SELECT key, value FROM usertable WHERE key >= $1 ORDER BY key LIMIT $2";
const ALL: &str = "SELECT key, value FROM usertable";

/// Measures all six workloads.
///
/// # Errors
/// Those of either engine; internal where a record is missing.
pub fn measure(aion: &Path, run: &mut Run<'_>) -> Result<Report> {
    let options = DatabaseOptions::default();
    // As our own rows have it.
    let cache_bytes = (options.memory_bytes / 4).to_string();
    let database = load(RECORDS, VALUE_BYTES, options, run)?;
    (run.progress)("ycsb: adding up what was loaded");
    let loaded = shown(all(&database)?);
    let (mut records, mut lines, mut notes) = (RECORDS, Vec::new(), Vec::new());
    let (mut peer_loaded, mut engine) = (None, String::new());
    for workload in Workload::ALL {
        let (mut ours, mut theirs) = (Runs::default(), Runs::default());
        for round in 1..=run.options.rounds {
            let what = format!("ycsb {workload}, round {round} of {}", run.options.rounds);
            (run.progress)(&format!("{what}: Aion"));
            records = on_aion(&database, workload, records, run, &mut ours)?;
            (run.progress)(&format!("{what}: RocksDB"));
            let outcome = on_rocksdb(aion, workload, &cache_bytes, run)?;
            theirs.add(&outcome);
            outcome.engine.clone_into(&mut engine);
            peer_loaded = peer_loaded.or(outcome.answers);
        }
        notes.push(format!("{workload}: {} {}", ours.told("Aion"), theirs.told(&engine)));
        lines.push(Line {
            what: format!("{workload}: {}", workload.about()),
            ours: ours.arm("Aion"),
            peers: vec![theirs.arm(&engine)],
        });
    }
    let rows = all(&database)?.rows;
    database.close()?;
    let is_equal = peer_loaded.as_deref() == Some(loaded.as_str()) && rows == records;
    notes.push(match is_equal {
        true => "Checked: what was loaded adds up to the same on both, each read found its record, and at the end all are there.".to_owned(),
        false => format!(
            "DIFFERENT: loaded on Aion {loaded}, on {engine} {}; at the end Aion has {rows} records of {records}.",
            peer_loaded.unwrap_or_else(|| "nothing".to_owned())
        ),
    });
    Ok(Report {
        work: Row::Ycsb.section(),
        about: format!(
            "YCSB in one process, {THREADS} threads, {} records with values of {} bytes, zipfian, each write durable when it is answered; {} s a \
             run. For us a record is a row and an operation an SQL statement; plain RocksDB has keys and values.",
            count(RECORDS),
            count(VALUE_BYTES as u64),
            run.options.duration.as_secs()
        ),
        unit: Unit::PerSecond,
        lines,
        notes,
        is_equal,
    })
}

/// One run of ours; how many records there are then.
fn on_aion(database: &Database, workload: Workload, records: u64, run: &Run<'_>, runs: &mut Runs) -> Result<u64> {
    let population = Population::new(records);
    let mut draws = Draws::new(workload, Distribution::Own, &population, run.options.seed);
    let clients: Vec<_> = (0..THREADS)
        .map(|_| Ok(Client::new(draws.split(), Table::new(database)?, VALUE_BYTES)))
        .collect::<Result<_>>()?;
    runs.add_measured(&drive(clients, run.options.duration)?);
    Ok(population.records())
}

fn on_rocksdb(aion: &Path, workload: Workload, cache_bytes: &str, run: &mut Run<'_>) -> Result<Outcome> {
    let [records, value_bytes, threads] =
        [RECORDS, VALUE_BYTES as u64, THREADS as u64].map(|number| number.to_string());
    let workload = workload.to_string();
    let arguments = [
        "rocksdb",
        "ycsb",
        "--workload",
        &workload,
        "--rows",
        &records,
        "--value-bytes",
        &value_bytes,
        "--threads",
        &threads,
        "--cache-bytes",
        cache_bytes,
    ];
    peers::run(aion, &arguments, run)
}

/// A database with so many records.
fn load(records: u64, value_bytes: usize, options: DatabaseOptions, run: &mut Run<'_>) -> Result<Database> {
    let path = run.folder.join("ycsb.csv");
    let failed = |error| Error::io(format_args!("write {}", path.display()), error);
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).map_err(failed)?);
    let (mut key, mut value) = (String::new(), String::new());
    for number in 0..records {
        if number % TOLD_EVERY == 0 {
            (run.progress)(&format!("ycsb: writing record {} of {}", count(number), count(records)));
        }
        write_key(number, &mut key);
        write_loaded_value(number, value_bytes, &mut value);
        // There is nothing in them that CSV would quote.
        writeln!(file, "{key},{value}").map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    (run.progress)("ycsb: loading Aion");
    let database = Database::open(&run.folder.join("ycsb"), options)?;
    let mut embedded = Embedded::new(&database);
    embedded.script(TABLE)?;
    let sql_path = path.display().to_string().replace('\'', "''");
    embedded.script(&format!("COPY usertable FROM '{sql_path}' (FORMAT csv)"))?;
    embedded.script("ANALYZE usertable")?;
    drop(embedded);
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(database)
}

/// All records.
fn all(database: &Database) -> Result<Answer> {
    let mut seat = Seat::new(database)?;
    let prepared = seat.prepare(ALL, &[])?;
    read_rows(&mut seat, &prepared, &[])
}

/// Rows of key and value.
fn read_rows(seat: &mut Seat, prepared: &Arc<Prepared>, values: &[Value]) -> Result<Answer> {
    let mut answer = Answer::default();
    let mut keys: Vec<u64> = Vec::new();
    seat.read(prepared, values, |batch| {
        keys.clear();
        texts(batch, 0, |_, key| keys.push(digest(key.as_bytes())))?;
        texts(batch, 1, |row, value| {
            answer.add(Answer::row(digest_of_parts(keys[row], digest(value.as_bytes()))));
        })
    })?;
    Ok(answer)
}

/// One thread's session.
struct Table {
    seat: Seat,
    read: Arc<Prepared>,
    update: Arc<Prepared>,
    insert: Arc<Prepared>,
    scan: Arc<Prepared>,
}

impl Table {
    fn new(database: &Database) -> Result<Self> {
        let mut seat = Seat::new(database)?;
        Ok(Self {
            read: seat.prepare(READ, &[SqlType::Text])?,
            update: seat.prepare(UPDATE, &[SqlType::Text, SqlType::Text])?,
            insert: seat.prepare(INSERT, &[SqlType::Text, SqlType::Text])?,
            scan: seat.prepare(SCAN, &[SqlType::Text, SqlType::BigInt])?,
            seat,
        })
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

impl Records for Table {
    fn read(&mut self, key: &str) -> Result<Option<u64>> {
        let mut found = None;
        self.seat.read(&self.read, &[text(key)], |batch| {
            texts(batch, 0, |_, value| found = Some(digest(value.as_bytes())))
        })?;
        Ok(found)
    }

    fn update(&mut self, key: &str, value: &str) -> Result<()> {
        self.seat.change_one(&self.update, &[text(value), text(key)])
    }

    fn insert(&mut self, key: &str, value: &str) -> Result<()> {
        self.seat.change_one(&self.insert, &[text(key), text(value)])
    }

    fn scan(&mut self, from: &str, records: u64) -> Result<Answer> {
        let limit = Value::I64(records.cast_signed());
        read_rows(&mut self.seat, &self.scan, &[text(from), limit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aion_workload::record::row_digest;
    use std::time::Duration;

    #[test]
    fn all_six_run_and_find_their_records() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = super::super::Options {
            rows: vec![Row::Ycsb],
            scale: 1,
            rounds: 1,
            duration: Duration::from_millis(100),
            seed: 2,
        };
        let mut run = Run {
            options: &options,
            folder: dir.path(),
            progress: &mut |_: &str| {},
        };
        let database = load(500, 40, DatabaseOptions::default(), &mut run).expect("loaded");
        let (mut expected, mut key, mut value) = (Answer::default(), String::new(), String::new());
        for number in 0..500 {
            write_key(number, &mut key);
            write_loaded_value(number, 40, &mut value);
            expected.add(Answer::row(row_digest(key.as_bytes(), value.as_bytes())));
        }
        assert_eq!(all(&database).expect("read"), expected);
        let mut records = 500;
        for workload in Workload::ALL {
            let mut runs = Runs::default();
            let after = on_aion(&database, workload, records, &run, &mut runs).expect("each read has its row");
            assert!(after >= records, "{workload}");
            records = after;
            assert_eq!(all(&database).expect("read").rows, records, "{workload}");
        }
        let mut table = Table::new(&database).expect("a session");
        assert_eq!(table.scan("user", 7).expect("scanned").rows, 7);
        drop(table);
        database.close().expect("closed");
    }
}
