//! Comparing what is stored with the archive.

use std::time::Instant;

use aion_base::Result;
use aion_storage::{Direction, Snapshot, Store};
use csv::ByteRecord;
use indicatif::ProgressBar;

use super::load::LoadTable;
use super::rows;
use crate::screen::{Screen, count, rate};

/// Rows fetched together.
const KEYS_PER_READ: usize = 512;

/// Reads every row by its key, compares it, and counts what is there; says whether all is equal.
pub fn run(screen: &Screen, store: &Store, tables: &[LoadTable], when: &str) -> Result<bool> {
    let snapshot = store.snapshot();
    let wanted: u64 = tables.iter().map(LoadTable::row_count).sum();
    let bar = screen.bar("comparing", wanted);
    let start = Instant::now();
    let mut comparison = Comparison::default();
    for table in tables {
        comparison.table(&*snapshot, table, &bar)?;
    }
    let elapsed = start.elapsed();
    bar.finish_and_clear();
    let is_equal = comparison.equal == wanted && comparison.stored == wanted && comparison.different == 0;
    screen.line(format_args!(
        "  {when}: {} rows stored, {} equal, {} different or missing: {} ({:.2} s, {} rows/s)",
        count(comparison.stored),
        count(comparison.equal),
        count(comparison.different),
        if is_equal { "equal" } else { "NOT EQUAL" },
        elapsed.as_secs_f64(),
        rate(wanted, elapsed)
    ))?;
    Ok(is_equal)
}

#[derive(Debug, Default)]
struct Comparison {
    equal: u64,
    different: u64,
    stored: u64,
}

impl Comparison {
    fn table(&mut self, snapshot: &dyn Snapshot, table: &LoadTable, bar: &ProgressBar) -> Result<()> {
        let mut records = Vec::with_capacity(KEYS_PER_READ);
        table.for_each(bar, |record| {
            records.push((rows::key(table.table, record)?, record.clone()));
            if records.len() == KEYS_PER_READ {
                self.records(snapshot, &records)?;
                records.clear();
            }
            Ok(())
        })?;
        self.records(snapshot, &records)?;
        let mut scan = snapshot.scan(&rows::range(table.table), Direction::Forward);
        while scan.advance()? {
            self.stored += 1;
        }
        Ok(())
    }

    fn records(&mut self, snapshot: &dyn Snapshot, records: &[(Vec<u8>, ByteRecord)]) -> Result<()> {
        let keys: Vec<&[u8]> = records.iter().map(|(key, _)| key.as_slice()).collect();
        for (found, (_, record)) in snapshot.multi_get(&keys)?.into_iter().zip(records) {
            let is_equal = match found {
                Some((_, value)) => rows::fields(&value)?
                    .into_iter()
                    .eq(record.iter().map(|field| (!field.is_empty()).then_some(field))),
                None => false,
            };
            self.equal += u64::from(is_equal);
            self.different += u64::from(!is_equal);
        }
        Ok(())
    }
}
