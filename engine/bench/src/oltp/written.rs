//! Write amplification in this process, beside plain RocksDB: bytes that reach the disk for each byte of keys and values that is given.
//!
//! 1. Records are loaded in the order of their numbers, so their keys go everywhere: one hundred in each transaction, by eight threads.
//! 2. What this process caused to be written is read from `/proc/self/io`, and once more when everything is flushed and compacted.
//! 3. The same with updates of records that are drawn all alike.
//!
//! The peer does the same by batches, each of which is synced; `aion-peers` counts its own bytes. For us a record is a row of a table with its key as
//! the primary key, and each write is a prepared statement of a transaction.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aion_base::rng::SeededRng;
use aion_base::{Error, ErrorKind, Result};
use aion_catalog::{SqlType, Value};
use aion_db::{Database, DatabaseOptions, Prepared};
use aion_workload::outcome::{COUNTED_IN, Written, written_bytes};
use aion_workload::record::{KEY_BYTES, write_key, write_value};

use super::lasting::rested;
use super::seat::Seat;
use super::{Row, Run, peers};
use crate::embedded::Embedded;
use crate::report::{Arm, Line, Report, Unit, count};

const THREADS: usize = 8;
/// Of keys and values that are loaded.
const BYTES: u64 = 4 << 30;
const VALUE_BYTES: usize = 200;
const UPDATES: u64 = 10_000_000;
/// Records of one transaction.
const BATCH: u64 = 100;
const ATTEMPTS_MAX: u32 = 100;
/// With less a memtable may not have 128 MiB.
const MEMORY_BYTES: usize = 2 << 30;

const TABLE: &str = "CREATE TABLE written (key text PRIMARY KEY, value text NOT NULL)";
const INSERT: &str = "INSERT INTO written (value, key) VALUES ($1, $2)";
const UPDATE: &str = "UPDATE written SET value = $1 WHERE key = $2";

/// How much of it.
#[derive(Clone, Copy, Debug)]
struct Size {
    bytes: u64,
    updates: u64,
}

impl Size {
    const RECORD_BYTES: u64 = (KEY_BYTES + VALUE_BYTES) as u64;

    fn records(self) -> u64 {
        self.bytes.div_ceil(Self::RECORD_BYTES)
    }
}

/// Measures both, once.
///
/// # Errors
/// Those of either engine.
pub fn measure(aion: &Path, run: &mut Run<'_>) -> Result<Report> {
    let size = Size {
        bytes: BYTES,
        updates: UPDATES,
    };
    let (ours, rows) = on_aion(size, run)?;
    (run.progress)("written: RocksDB");
    let (bytes, updates, batch, values) = (
        size.bytes.to_string(),
        size.updates.to_string(),
        BATCH.to_string(),
        VALUE_BYTES.to_string(),
    );
    let arguments = [
        "rocksdb",
        "fill",
        "--bytes",
        &bytes,
        "--value-bytes",
        &values,
        "--updates",
        &updates,
        "--batch",
        &batch,
    ];
    let theirs = peers::run_untimed(aion, &arguments, run)?;
    let arm = |name: &str, written: &Written| Arm {
        name: name.to_owned(),
        runs: vec![written.amplification],
    };
    let lines = ours.iter().zip(&theirs.written).map(|(ours, of_peer)| Line {
        what: ours.phase.clone(),
        ours: arm("Aion", ours),
        peers: vec![arm(&theirs.engine, of_peer)],
    });
    let phases = |written: &[Written]| written.iter().map(|phase| phase.phase.clone()).collect::<Vec<_>>();
    let is_equal = rows == size.records() && theirs.rows_after == rows && phases(&ours) == phases(&theirs.written);
    let checked = match is_equal {
        true => "Checked: on both, as many records are there as were loaded.".to_owned(),
        false => format!("WRONG: Aion has {rows} records, and {} were loaded.", size.records()),
    };
    Ok(Report {
        work: Row::Written.section(),
        about: format!(
            "Bytes that the process wrote for each byte of keys and values given. {} records of {} bytes are loaded by {THREADS} threads, {BATCH} in a \
             durable transaction, then {} updates of records drawn all alike. Memtables of 128 MiB. Compacted: when flushes and compactions have come to \
             rest.",
            count(size.records()),
            Size::RECORD_BYTES,
            count(size.updates)
        ),
        unit: Unit::BytesPerByte,
        lines: lines.collect(),
        notes: vec![checked],
        is_equal,
    })
}

/// What was written, and how many rows there are then.
fn on_aion(size: Size, run: &mut Run<'_>) -> Result<(Vec<Written>, u64)> {
    let folder = run.folder.join("written");
    let options = DatabaseOptions {
        memory_bytes: MEMORY_BYTES,
        ..DatabaseOptions::default()
    };
    let database = Database::open(&folder, options)?;
    let mut embedded = Embedded::new(&database);
    embedded.script("ALTER SYSTEM SET aion.write_buffer_bytes = '128 MB'")?;
    embedded.script(TABLE)?;
    let before = written_so_far()?;
    let mut written = Vec::new();
    let mut given = 0;
    for (name, sql, operations) in [
        ("loaded", INSERT, size.records()),
        ("loaded and updated", UPDATE, size.updates),
    ] {
        write(&database, sql, size, operations, run)?;
        given += operations * Size::RECORD_BYTES;
        written.push(Written::new(name, given, written_so_far()? - before));
        (run.progress)(&format!("written: Aion, {name}, waiting for compactions"));
        embedded.script("CHECKPOINT")?;
        rested(&folder.join("data"))?;
        written.push(Written::new(
            &format!("{name}, compacted"),
            given,
            written_so_far()? - before,
        ));
    }
    let prepared = embedded.prepare("SELECT count(*) FROM written")?;
    let rows = embedded.run(&prepared, &[])?.rows;
    let rows = rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
    drop(embedded);
    database.close()?;
    std::fs::remove_dir_all(&folder).map_err(|error| Error::io("remove a measured database", error))?;
    rows.map(|rows| (written, rows))
        .ok_or_else(|| Error::internal("a count is no number"))
}

fn write(database: &Database, sql: &str, size: Size, operations: u64, run: &mut Run<'_>) -> Result<()> {
    let next = AtomicU64::new(0);
    let mut rng = SeededRng::new(run.options.seed ^ operations);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (rng, next) = (rng.split(), &next);
                scope.spawn(move || write_batches(database, sql, size, operations, rng, next))
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            let done = next.load(Ordering::Relaxed).min(operations);
            (run.progress)(&format!("written: Aion, {} of {}", count(done), count(operations)));
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        threads.into_iter().try_for_each(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|_| Err(Error::internal("a writing thread panicked")))
        })
    })
}

fn write_batches(
    database: &Database,
    sql: &str,
    size: Size,
    operations: u64,
    mut rng: SeededRng,
    next: &AtomicU64,
) -> Result<()> {
    let mut seat = Seat::new(database)?;
    let [begin, commit, rollback] = ["BEGIN", "COMMIT", "ROLLBACK"].map(|sql| seat.prepare(sql, &[]));
    let (begin, commit, rollback) = (begin?, commit?, rollback?);
    let change = seat.prepare(sql, &[SqlType::Text, SqlType::Text])?;
    let mut batch = Vec::new();
    let (mut key, mut value) = (String::new(), String::new());
    loop {
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        if first >= operations {
            return Ok(());
        }
        batch.clear();
        for at in first..operations.min(first + BATCH) {
            let number = match sql {
                INSERT => at,
                _ => rng.below(size.records()),
            };
            write_key(number, &mut key);
            write_value(&mut rng, VALUE_BYTES, &mut value);
            batch.push([Value::Text(value.clone()), Value::Text(key.clone())]);
        }
        let mut attempts = 1;
        while let Err(error) = transaction(&mut seat, &begin, &change, &commit, &batch) {
            seat.run(&rollback, &[])?;
            seat.forget_notices();
            if error.kind() != ErrorKind::Conflict || attempts == ATTEMPTS_MAX {
                return Err(error);
            }
            attempts += 1;
        }
    }
}

fn transaction(
    seat: &mut Seat,
    begin: &Arc<Prepared>,
    change: &Arc<Prepared>,
    commit: &Arc<Prepared>,
    batch: &[[Value; 2]],
) -> Result<()> {
    seat.run(begin, &[])?;
    batch.iter().try_for_each(|values| seat.change_one(change, values))?;
    match seat.run(commit, &[])?.as_str() {
        "COMMIT" => Ok(()),
        tag => Err(Error::internal(format!("COMMIT answered {tag}"))),
    }
}

/// Bytes that this process caused to be written.
fn written_so_far() -> Result<u64> {
    let text =
        std::fs::read_to_string(COUNTED_IN).map_err(|error| Error::io(format_args!("read {COUNTED_IN}"), error))?;
    written_bytes(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_given_is_counted_by_phase() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = super::super::Options {
            rows: vec![Row::Written],
            scale: 1,
            rounds: 1,
            duration: Duration::from_millis(100),
            seed: 3,
        };
        let mut run = Run {
            options: &options,
            folder: dir.path(),
            progress: &mut |_: &str| {},
        };
        let size = Size {
            bytes: 256 << 10,
            updates: 500,
        };
        let (written, rows) = on_aion(size, &mut run).expect("run");
        assert_eq!(rows, size.records());
        let given: Vec<u64> = written.iter().map(|phase| phase.bytes_given).collect();
        let (loaded, updated) = (rows * 223, (rows + 500) * 223);
        assert_eq!(given, [loaded, loaded, updated, updated]);
    }
}
