//! What of RocksDB can be changed while the rows are open, and what it says of itself.
//!
//! **Guarantees.** A value that [`RocksKnobs::set`] accepted is in force for all column families when it returns; after a refused one all
//! have the old value. Nothing is stored: rows that are opened again have the values of their options.
//!
//! **How.** The block cache is resized through its handle. A smaller one gives its blocks up as others come in, each block pushing out
//! about twice its size: without misses it stays as large as it was. All else goes through RocksDB's `SetOptions`, family by family. It
//! writes a new OPTIONS file each time, which takes milliseconds: for seconds and minutes, not for each batch.
//!
//! Counters are RocksDB's statistics at the level that neither reads clocks nor keeps histograms, sizes its properties. What the counters
//! cost is not seen: a point read from the cache took 1409, 1439 and 1868 ns with them, 1348, 1765 and 1956 ns without (a debug build around
//! an optimised RocksDB, best of 15 rounds of 300,000 reads, in turns on a machine that was otherwise at work).
//!
//! Left out: threads for flushes and compactions. The crate has no `set_db_options`, and `Env::set_background_threads` changes a pool
//! that all databases of the process share.

use std::sync::atomic::{AtomicU64, Ordering};

use aion_base::{Error, Result, SqlState};
use parking_lot::Mutex;
use rocksdb::properties as property;
use rocksdb::statistics::{StatsLevel, Ticker};
use rocksdb::{Cache, ColumnFamily, Options};

use super::owned::Db;
use super::rocks::RocksOptions;

/// A setting of the rows that takes effect at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowsKnob {
    /// Bytes of decompressed blocks that are kept.
    BlockCacheBytes,
    /// Bytes of one memtable.
    WriteBufferBytes,
    /// Memtables that are kept at most, the one that is written to among them.
    WriteBuffersMax,
    /// Files of level 0 that start a compaction.
    Level0CompactionTrigger,
    /// Files of level 0 from which writers are slowed down.
    Level0SlowdownTrigger,
    /// Files of level 0 from which writers are stopped.
    Level0StopTrigger,
}

impl RowsKnob {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::BlockCacheBytes,
        Self::WriteBufferBytes,
        Self::WriteBuffersMax,
        Self::Level0CompactionTrigger,
        Self::Level0SlowdownTrigger,
        Self::Level0StopTrigger,
    ];

    /// What `SetOptions` calls it; None for the cache, which is none of its options.
    const fn option(self) -> Option<&'static str> {
        match self {
            Self::BlockCacheBytes => None,
            Self::WriteBufferBytes => Some("write_buffer_size"),
            Self::WriteBuffersMax => Some("max_write_buffer_number"),
            Self::Level0CompactionTrigger => Some("level0_file_num_compaction_trigger"),
            Self::Level0SlowdownTrigger => Some("level0_slowdown_writes_trigger"),
            Self::Level0StopTrigger => Some("level0_stop_writes_trigger"),
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// What the rows say of themselves. What counts events counts from when they were opened; the rest is as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsSignals {
    /// Blocks that were found in the cache.
    pub block_cache_hits: u64,
    /// Blocks that were not.
    pub block_cache_misses: u64,
    /// What the cache holds.
    pub block_cache_used_bytes: u64,
    /// Memory of all memtables, those among them that are flushed and still read.
    pub memtable_bytes: u64,
    /// Memtables that are full and not flushed, of the family that has most.
    pub memtables_waiting: u64,
    /// Bytes of all that are full and not flushed.
    pub memtable_bytes_waiting: u64,
    /// Memory of indexes and filters of the files that are open.
    pub table_reader_bytes: u64,
    /// Files of level 0, of the family that has most.
    pub level0_files: u64,
    /// What compaction has to rewrite before the trees have their shape.
    pub pending_compaction_bytes: u64,
    /// How long writers were slowed down or stopped.
    pub stall_micros: u64,
    /// Whether writers are stopped now.
    pub is_write_stopped: bool,
    /// Bytes of the files that hold the newest versions.
    pub live_file_bytes: u64,
    /// Bytes that flushes wrote.
    pub flushed_bytes: u64,
    /// Bytes that compactions wrote.
    pub compacted_bytes: u64,
}

/// The knobs of one set of rows, with what they are now.
pub(super) struct RocksKnobs {
    cache: Cache,
    /// Those that the database was opened with: its statistics hang on them.
    options: Options,
    values: [AtomicU64; RowsKnob::ALL.len()],
    /// Held while one is changed.
    changing: Mutex<()>,
}

impl RocksKnobs {
    /// Of a database that will be opened with `options`; switches the counters on.
    pub fn new(cache: Cache, options: &mut Options, of: &RocksOptions) -> Self {
        options.enable_statistics();
        options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
        let values = RowsKnob::ALL.map(|knob| AtomicU64::new(of.value(knob)));
        Self {
            cache,
            options: options.clone(),
            values,
            changing: Mutex::new(()),
        }
    }

    /// What a knob is now.
    pub fn value(&self, knob: RowsKnob) -> u64 {
        self.values[knob.index()].load(Ordering::Relaxed)
    }

    /// Changes a knob for all families.
    ///
    /// # Errors
    /// 22023 where RocksDB does not take the value.
    pub fn set(&self, db: &Db, families: &[&ColumnFamily], knob: RowsKnob, value: u64) -> Result<()> {
        let _changing = self.changing.lock();
        let before = self.value(knob);
        if value == before {
            return Ok(());
        }
        match knob.option() {
            None => {
                let bytes = usize::try_from(value).map_err(|_| refused(knob, value, "no machine has that much"))?;
                self.cache.clone().set_capacity(bytes);
            }
            Some(option) => {
                let set =
                    |family: &ColumnFamily, value: u64| db.set_options_cf(&family, &[(option, &value.to_string())]);
                for (at, family) in families.iter().enumerate() {
                    let Err(error) = set(family, value) else { continue };
                    for family in &families[..at] {
                        if let Err(error) = set(family, before) {
                            tracing::error!(%error, option, "a family of the rows keeps a setting that another one refused");
                        }
                    }
                    return Err(refused(knob, value, error.as_ref()));
                }
            }
        }
        self.values[knob.index()].store(value, Ordering::Relaxed);
        Ok(())
    }

    /// How the rows are.
    ///
    /// # Errors
    /// Internal, where RocksDB does not know a property.
    pub fn signals(&self, db: &Db, families: &[&ColumnFamily]) -> Result<RowsSignals> {
        let read = |family: &ColumnFamily, name: &property::PropName| {
            let found = db.property_int_value_cf(&family, name);
            let found =
                found.map_err(|error| Error::internal(format!("the rows cannot be measured: {}", error.as_ref())))?;
            Ok::<u64, Error>(found.unwrap_or(0))
        };
        let level0 = property::num_files_at_level(0);
        let mut signals = RowsSignals {
            block_cache_hits: self.options.get_ticker_count(Ticker::BlockCacheHit),
            block_cache_misses: self.options.get_ticker_count(Ticker::BlockCacheMiss),
            block_cache_used_bytes: self.cache.get_usage() as u64,
            stall_micros: self.options.get_ticker_count(Ticker::StallMicros),
            flushed_bytes: self.options.get_ticker_count(Ticker::FlushWriteBytes),
            compacted_bytes: self.options.get_ticker_count(Ticker::CompactWriteBytes),
            ..RowsSignals::default()
        };
        for family in families {
            let unflushed = read(family, property::CUR_SIZE_ALL_MEM_TABLES)?;
            let active = read(family, property::CUR_SIZE_ACTIVE_MEM_TABLE)?;
            let waiting = read(family, property::NUM_IMMUTABLE_MEM_TABLE)?;
            signals.memtable_bytes += read(family, property::SIZE_ALL_MEM_TABLES)?;
            signals.memtable_bytes_waiting += unflushed.saturating_sub(active);
            signals.memtables_waiting = signals.memtables_waiting.max(waiting);
            signals.table_reader_bytes += read(family, property::ESTIMATE_TABLE_READERS_MEM)?;
            let files = db.property_int_value_cf(family, &level0).ok().flatten();
            signals.level0_files = signals.level0_files.max(files.unwrap_or(0));
            signals.pending_compaction_bytes += read(family, property::ESTIMATE_PENDING_COMPACTION_BYTES)?;
            signals.is_write_stopped |= read(family, property::IS_WRITE_STOPPED)? != 0;
            signals.live_file_bytes += read(family, property::LIVE_SST_FILES_SIZE)?;
        }
        Ok(signals)
    }
}

fn refused(knob: RowsKnob, value: u64, why: &str) -> Error {
    Error::invalid(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("the rows do not take {value} for {knob:?}: {why}"),
    )
    .with_hint("Nothing was changed. The view aion.knobs shows the bounds.")
}

#[cfg(test)]
mod tests;
