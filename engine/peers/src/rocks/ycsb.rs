//! YCSB over RocksDB.
//!
//! 1. The records are loaded in batches without a log, flushed, and compacted as far as RocksDB wants; or they are there.
//! 2. The threads run for their time.
//! 3. All rows are counted: so many as were loaded and inserted.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, Result};
use aion_workload::driver::{Answer, drive};
use aion_workload::outcome::{Outcome, shown};
use aion_workload::record::{digest, row_digest, write_key, write_loaded_value};
use aion_workload::ycsb::{Client, Distribution, Draws, Population, Records, Workload};
use rocksdb::{DB, ReadOptions, WaitForCompactOptions, WriteBatch, WriteOptions};

use super::{Memory, NAME, failed, open, synced};
use crate::folder::Folder;
use crate::progress::{Progress, say};

/// Records of one batch while they are loaded.
const LOAD_RECORDS: u64 = 1_000;
/// As Aion has it.
const MEMTABLE_BYTES: usize = 64 << 20;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which.
    pub workload: Workload,
    /// How records are drawn.
    pub distribution: Distribution,
    /// Records that are loaded.
    pub records: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Threads.
    pub threads: usize,
    /// Memory for blocks that were read.
    pub cache_bytes: u64,
    /// How long.
    pub duration: Duration,
    /// Decides what is drawn.
    pub seed: u64,
}

/// Runs it.
///
/// # Errors
/// RocksDB's; internal for a record that is not there.
pub fn run(dir: &Path, options: &Options) -> Result<Outcome> {
    let folder = Folder::open(dir, "rocksdb-ycsb")?;
    let memory = Memory {
        cache_bytes: options.cache_bytes,
        memtable_bytes: MEMTABLE_BYTES,
    };
    let (db, records, answers) = load(&folder, memory, options)?;
    let population = Population::new(records);
    if options.workload.inserts() {
        folder.forget()?;
    }
    let mut draws = Draws::new(options.workload, options.distribution, &population, options.seed);
    let clients = (0..options.threads).map(|_| {
        let thread = Thread {
            db: db.clone(),
            synced: synced(),
        };
        Client::new(draws.split(), thread, options.value_bytes)
    });
    let clients: Vec<_> = clients.collect();
    say(format_args!("measuring workload {}", options.workload));
    let measured = drive(clients, options.duration)?;
    let rows = all(&db)?.rows;
    if rows != population.records() {
        return Err(Error::internal(format!(
            "{rows} records are there; {} were loaded and inserted",
            population.records()
        )));
    }
    folder.note(&noted(options, rows))?;
    let outcome = Outcome {
        engine: NAME.to_owned(),
        workload: format!("ycsb {}", options.workload),
        rows_before: records,
        rows_after: rows,
        answers,
        ..Outcome::default()
    };
    Ok(outcome.with_measured(&measured))
}

/// The database with its records, how many they are, and what they are where they were loaded now.
fn load(folder: &Folder, memory: Memory, options: &Options) -> Result<(Arc<DB>, u64, Option<String>)> {
    let there = folder.loaded().and_then(|loaded| {
        let records = loaded.split(' ').next()?.parse().ok()?;
        (records >= options.records && loaded == noted(options, records)).then_some(records)
    });
    if let Some(records) = there {
        return Ok((Arc::new(open(folder.path(), memory)?), records, None));
    }
    folder.empty()?;
    let db = open(folder.path(), memory)?;
    let progress = Progress::new("loading records", options.records);
    let mut unlogged = WriteOptions::default();
    unlogged.disable_wal(true);
    let (mut key, mut value) = (String::new(), String::new());
    for first in (0..options.records).step_by(LOAD_RECORDS as usize) {
        let end = options.records.min(first + LOAD_RECORDS);
        let mut batch = WriteBatch::default();
        for number in first..end {
            write_key(number, &mut key);
            write_loaded_value(number, options.value_bytes, &mut value);
            batch.put(&key, &value);
        }
        db.write_opt(batch, &unlogged).map_err(failed)?;
        progress.add(end - first);
    }
    say("compacting");
    db.flush().map_err(failed)?;
    db.wait_for_compact(&WaitForCompactOptions::default()).map_err(failed)?;
    let read = all(&db)?;
    folder.note(&noted(options, options.records))?;
    Ok((Arc::new(db), options.records, Some(shown(read))))
}

fn noted(options: &Options, records: u64) -> String {
    format!("{records} records with values of {} bytes", options.value_bytes)
}

/// All rows, in the order of keys.
fn all(db: &DB) -> Result<Answer> {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_readahead_size(2 << 20);
    scan(db, options, b"", u64::MAX)
}

fn scan(db: &DB, options: ReadOptions, from: &[u8], records: u64) -> Result<Answer> {
    let mut read = Answer::default();
    let mut rows = db.raw_iterator_opt(options);
    rows.seek(from);
    while let Some((key, value)) = rows.item() {
        read.add(Answer::row(row_digest(key, value)));
        if read.rows == records {
            return Ok(read);
        }
        rows.next();
    }
    rows.status().map_err(failed)?;
    Ok(read)
}

/// What one thread asks.
struct Thread {
    db: Arc<DB>,
    synced: WriteOptions,
}

impl Records for Thread {
    fn read(&mut self, key: &str) -> Result<Option<u64>> {
        let value = self.db.get_pinned(key).map_err(failed)?;
        Ok(value.map(|value| digest(&value)))
    }

    fn update(&mut self, key: &str, value: &str) -> Result<()> {
        self.db.put_opt(key, value, &self.synced).map_err(failed)
    }

    fn insert(&mut self, key: &str, value: &str) -> Result<()> {
        self.update(key, value)
    }

    fn scan(&mut self, from: &str, records: u64) -> Result<Answer> {
        scan(&self.db, ReadOptions::default(), from.as_bytes(), records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_six_run_one_after_the_other_on_one_set_of_records() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut rows = 2_000;
        for workload in Workload::ALL {
            let options = Options {
                workload,
                distribution: Distribution::Own,
                records: 2_000,
                value_bytes: 100,
                threads: 2,
                cache_bytes: 8 << 20,
                duration: Duration::from_millis(50),
                seed: 3,
            };
            let outcome = run(dir.path(), &options).expect("run");
            assert!(outcome.operations > 0, "{workload}");
            assert_eq!(outcome.rows_before, rows, "{workload}");
            assert_eq!(outcome.answers.is_some(), workload == Workload::A, "loaded once");
            assert_eq!(outcome.rows_after > rows, workload.inserts(), "{workload}");
            rows = outcome.rows_after;
        }
    }

    #[test]
    fn the_sum_of_loaded_records_is_that_of_the_records_themselves() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options {
            workload: Workload::C,
            distribution: Distribution::Uniform,
            records: 1_234,
            value_bytes: 30,
            threads: 1,
            cache_bytes: 8 << 20,
            duration: Duration::from_millis(1),
            seed: 4,
        };
        let outcome = run(dir.path(), &options).expect("run");
        let (mut expected, mut key, mut value) = (Answer::default(), String::new(), String::new());
        for number in 0..options.records {
            write_key(number, &mut key);
            write_loaded_value(number, options.value_bytes, &mut value);
            expected.add(Answer::row(row_digest(key.as_bytes(), value.as_bytes())));
        }
        assert_eq!(outcome.answers, Some(shown(expected)));
    }
}
