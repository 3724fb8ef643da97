//! Loading the five tables.

use std::time::{Duration, Instant};

use aion_base::id::TxnId;
use aion_base::rng::SeededRng;
use aion_base::{Error, Result};
use aion_datasets::flights::{FlightsArchive, Table, write_csv};
use aion_storage::{Change, Commit, Outcome, Replicator, Store};
use csv::ByteRecord;
use indicatif::ProgressBar;

use super::rows;
use crate::screen::{Screen, count, megabytes, rate};

/// Bytes of keys and values in one transaction; the store's own limit is 512 MiB. All tables are smaller.
const TRANSACTION_BYTES: usize = 256 << 20;

/// Rows between two steps of a progress bar.
pub const PROGRESS_ROWS: u64 = 4096;

/// A table as load-ready CSV.
#[derive(Debug)]
pub struct LoadTable {
    /// Which.
    pub table: Table,
    /// The file, with its header.
    pub csv: Vec<u8>,
}

impl LoadTable {
    /// How many rows it has.
    pub fn row_count(&self) -> u64 {
        u64::from(self.table.row_count())
    }

    /// Calls `each` with every record, moving `bar` along.
    pub fn for_each(&self, bar: &ProgressBar, mut each: impl FnMut(&ByteRecord) -> Result<()>) -> Result<()> {
        let mut reader = csv::Reader::from_reader(self.csv.as_slice());
        let mut record = ByteRecord::new();
        let mut number = 0;
        while reader
            .read_byte_record(&mut record)
            .map_err(|error| Error::internal(format!("the CSV of {} cannot be read: {error}", self.table)))?
        {
            each(&record)?;
            number += 1;
            if number % PROGRESS_ROWS == 0 {
                bar.inc(PROGRESS_ROWS);
            }
        }
        bar.inc(number % PROGRESS_ROWS);
        Ok(())
    }
}

/// Makes the load-ready CSV of all tables, profiles of the flights included.
pub fn prepare(screen: &Screen, archive: &FlightsArchive) -> Result<Vec<LoadTable>> {
    let rows = Table::ALL.iter().map(|table| u64::from(table.row_count())).sum();
    let bar = screen.bar("preparing CSV and profiles", rows);
    let mut tables = Vec::new();
    for table in Table::ALL {
        let mut csv = Vec::new();
        let before = bar.position();
        write_csv(archive, table, &mut csv, |rows| {
            bar.set_position(before + u64::from(rows))
        })?;
        tables.push(LoadTable { table, csv });
    }
    bar.finish_and_clear();
    Ok(tables)
}

/// Loads all tables, each in one transaction, and shows how fast.
pub fn run(screen: &Screen, store: &Store, tables: &[LoadTable]) -> Result<()> {
    let mut lines = vec![
        ["table", "rows", "CSV MB", "seconds", "rows/s"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut line = |name: &str, rows: u64, bytes: usize, elapsed: Duration| {
        lines.push(vec![
            name.to_owned(),
            count(rows),
            megabytes(bytes as u64),
            format!("{:.2}", elapsed.as_secs_f64()),
            rate(rows, elapsed),
        ]);
    };
    let begin = Instant::now();
    for table in tables {
        let start = Instant::now();
        load(screen, store, table)?;
        line(table.table.name(), table.row_count(), table.csv.len(), start.elapsed());
    }
    let rows = tables.iter().map(LoadTable::row_count).sum();
    let bytes = tables.iter().map(|table| table.csv.len()).sum();
    line("all", rows, bytes, begin.elapsed());
    screen.table(&lines)
}

/// From the CSV to the acknowledged commit.
fn load(screen: &Screen, store: &Store, table: &LoadTable) -> Result<()> {
    let bar = screen.bar(&format!("loading {}", table.table), table.row_count());
    let mut rng = SeededRng::from_entropy();
    let mut begin = || -> Result<Commit> {
        let read_point = store.snapshot().read_point()?.index;
        Ok(Commit::new(TxnId(rng.next_u128()), read_point))
    };
    let mut commit = begin()?;
    let mut bytes = 0;
    table.for_each(&bar, |record| {
        let (key, value) = (rows::key(table.table, record)?, rows::value(record));
        bytes += key.len() + value.len();
        commit.write(key, Change::Insert(value));
        if bytes > TRANSACTION_BYTES {
            finish(store, std::mem::replace(&mut commit, begin()?))?;
            bytes = 0;
        }
        Ok(())
    })?;
    bar.set_message(format!("committing {}", table.table));
    finish(store, commit)?;
    bar.finish_and_clear();
    Ok(())
}

fn finish(store: &Store, commit: Commit) -> Result<()> {
    match store.propose(commit)?.wait()? {
        Outcome::Committed { .. } => Ok(()),
        Outcome::Rejected(rejection) => Err(rejection.into()),
    }
}
