//! Write amplification of RocksDB: bytes that the process caused to be written for each byte that it was given.
//!
//! 1. Records are loaded in the order of their numbers, so their keys go everywhere; each batch is synced.
//! 2. What was written so far is read from `/proc/self/io`, and once more when everything is flushed and compacted.
//! 3. The same with updates of records that are drawn all alike.
//!
//! `write_bytes` there counts what goes to the layer below the page cache; what was cancelled by removing a file before it got there is
//! taken off. A log that is synced after each small write writes its last page again each time, so the figure depends on the batch.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use aion_base::clock::{Clock, SystemClock};
use aion_base::rng::SeededRng;
use aion_base::{Error, Result};
use aion_workload::driver::Measured;
use aion_workload::outcome::{COUNTED_IN, Outcome, Written, written_bytes};
use aion_workload::record::{KEY_BYTES, write_key, write_value};
use rocksdb::{DB, WaitForCompactOptions, WriteBatch};

use super::{Memory, NAME, failed, open, synced};
use crate::folder::Folder;
use crate::progress::{Progress, say};

const MEMTABLE_BYTES: usize = 128 << 20;
const CACHE_BYTES: u64 = 64 << 20;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of keys and values that are loaded.
    pub bytes: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Records that are updated then.
    pub updates: u64,
    /// Records of one write.
    pub batch: u64,
    /// Threads.
    pub threads: usize,
    /// Decides what is updated, and the values.
    pub seed: u64,
}

impl Options {
    fn record_bytes(&self) -> u64 {
        (KEY_BYTES + self.value_bytes) as u64
    }

    fn records(&self) -> u64 {
        self.bytes.div_ceil(self.record_bytes())
    }
}

/// Runs it; the database is removed afterwards.
///
/// # Errors
/// RocksDB's; an IO error.
pub fn run(dir: &Path, options: &Options) -> Result<Outcome> {
    let folder = Folder::open(dir, "rocksdb-fill")?;
    folder.empty()?;
    let outcome = fill(&folder, options);
    folder.remove()?;
    outcome
}

fn fill(folder: &Folder, options: &Options) -> Result<Outcome> {
    let memory = Memory {
        cache_bytes: CACHE_BYTES,
        memtable_bytes: MEMTABLE_BYTES,
    };
    let db = open(folder.path(), memory)?;
    let clock = SystemClock::default();
    let records = options.records();
    let mut written = Vec::new();
    let given = phase(&db, options, Phase::Load(records), 0, &mut written)?;
    if options.updates > 0 {
        phase(&db, options, Phase::Update(records), given, &mut written)?;
    }
    let measured = Measured {
        threads: options.threads,
        operations: records + options.updates,
        elapsed: clock.monotonic(),
        ..Measured::default()
    };
    let outcome = Outcome {
        engine: NAME.to_owned(),
        workload: format!("fill, batches of {}", options.batch),
        rows_after: records,
        written,
        ..Outcome::default()
    };
    Ok(outcome.with_measured(&measured))
}

/// What is written, of so many records.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Load(u64),
    Update(u64),
}

/// Writes, and notes the bytes before and after compaction; the bytes given since the beginning.
fn phase(db: &DB, options: &Options, phase: Phase, given: u64, written: &mut Vec<Written>) -> Result<u64> {
    let (name, count) = match phase {
        Phase::Load(records) => ("loaded", records),
        Phase::Update(_) => ("loaded and updated", options.updates),
    };
    write(db, options, phase, count)?;
    let given = given + count * options.record_bytes();
    written.push(Written::new(name, given, written_so_far()?));
    say("compacting");
    db.flush().map_err(failed)?;
    db.wait_for_compact(&WaitForCompactOptions::default()).map_err(failed)?;
    written.push(Written::new(&format!("{name}, compacted"), given, written_so_far()?));
    Ok(given)
}

fn write(db: &DB, options: &Options, phase: Phase, count: u64) -> Result<()> {
    let what = match phase {
        Phase::Load(_) => "loading records",
        Phase::Update(_) => "updating records",
    };
    let (next, progress) = (AtomicU64::new(0), Progress::new(what, count));
    let mut rng = SeededRng::new(options.seed ^ count);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|_| {
                let (rng, next, progress) = (rng.split(), &next, &progress);
                scope.spawn(move || write_batches(db, options, phase, count, rng, next, progress))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|_| Err(Error::internal("a writing thread panicked")))
        })
    })
}

fn write_batches(
    db: &DB,
    options: &Options,
    phase: Phase,
    count: u64,
    mut rng: SeededRng,
    next: &AtomicU64,
    progress: &Progress,
) -> Result<()> {
    let synced = synced();
    let (mut key, mut value) = (String::new(), String::new());
    loop {
        let first = next.fetch_add(options.batch, Ordering::Relaxed);
        if first >= count {
            return Ok(());
        }
        let end = count.min(first + options.batch);
        let mut batch = WriteBatch::default();
        for at in first..end {
            let number = match phase {
                Phase::Load(_) => at,
                Phase::Update(records) => rng.below(records),
            };
            write_key(number, &mut key);
            write_value(&mut rng, options.value_bytes, &mut value);
            batch.put(&key, &value);
        }
        db.write_opt(batch, &synced).map_err(failed)?;
        progress.add(end - first);
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

    #[test]
    fn what_is_given_is_counted_by_phase_and_the_folder_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options {
            bytes: 1 << 20,
            value_bytes: 200,
            updates: 1_000,
            batch: 100,
            threads: 2,
            seed: 1,
        };
        let outcome = run(dir.path(), &options).expect("run");
        let records = (1_u64 << 20).div_ceil(223);
        let given: Vec<u64> = outcome.written.iter().map(|written| written.bytes_given).collect();
        let (loaded, updated) = (records * 223, (records + 1_000) * 223);
        assert_eq!(given, [loaded, loaded, updated, updated]);
        assert_eq!(outcome.operations, records + 1_000);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
    }
}
