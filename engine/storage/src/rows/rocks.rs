//! Rows in RocksDB.
//!
//! ```text
//! family row    key                           -> timestamp u64 LE | value     newest version of each key
//! family hist                                                                 older versions, while they are kept: see [`super::history`]
//! family meta   "applied"                     -> index u64 LE | term u64 LE | timestamp u64 LE
//!               "note" | index u64 BE         -> reason u8 (0: repeated) | key
//!               "history"                        see there
//! ```
//!
//! **Guarantees.** Its own write-ahead log is off: the rows and `applied` are written in one batch and flushed together
//! (`atomic_flush`), so what survives a crash is exactly the effect of the log up to the durable `applied`. A point
//! read is a `Get`. Every block read is verified by checksum; an error names the file.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use aion_base::id::{LogIndex, Term, Timestamp};
use aion_base::range::{KeyRange, successor};
use aion_base::{Error, Result, SqlState};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DBCompressionType,
    DataBlockIndexType, FlushOptions, InfoLogger, LogLevel, Options, ReadOptions, ReadTier, WriteBatch, WriteOptions,
};

use super::history::{self, HISTORY, History, PastSnapshot};
use super::ingest;
use super::knobs::{RocksKnobs, RowsKnob, RowsSignals};
use super::latest::Latest;
use super::owned::{Db, OwnedSnapshot};
use super::present::RocksSnapshot;
use super::settle::settle;
use super::{Applied, Batch, Note, Past, RisingRows, Rows, Snapshot, Swept};
use crate::commit::{Reason, Rejection};

pub(super) const ROW: &str = "row";
pub(super) const META: &str = "meta";
const FAMILIES: [&str; 4] = [rocksdb::DEFAULT_COLUMN_FAMILY_NAME, ROW, HISTORY, META];
const APPLIED: &[u8] = b"applied";
const NOTE: &[u8] = b"note";
pub(super) const TIMESTAMP_BYTES: usize = 8;

/// Memory and threads of the rows.
#[derive(Clone, Copy, Debug)]
pub struct RocksOptions {
    /// Bytes of decompressed blocks that are kept.
    pub block_cache_bytes: usize,
    /// Bytes of one memtable; up to [`WRITE_BUFFERS_MAX`] are kept.
    pub memtable_bytes: usize,
    /// Threads that flush and compact.
    pub background_threads: i32,
}

/// Memtables that are kept at most.
const WRITE_BUFFERS_MAX: u8 = 4;
/// How eagerly blocks of a file that is gone are taken out of the cache: as long as one in twenty of them is found there. RocksDB's authors name this for
/// their later default.
const UNCACHE_AGGRESSIVENESS: &str = "300";
/// RocksDB's own window of a compressor.
const ZSTD_WINDOW_BITS: i32 = -14;
/// Levels of Zstandard: of what will be merged again, and of the lowest level.
const ZSTD_FAST: i32 = 1;
const ZSTD_DENSE: i32 = 3;
/// Files of level 0 that start a compaction, slow writers down, and stop them: RocksDB's own.
const LEVEL0_FILES: [u8; 3] = [4, 20, 36];

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 256 << 20,
            memtable_bytes: 64 << 20,
            background_threads: 2,
        }
    }
}

impl RocksOptions {
    /// What a knob of rows is that were opened with these.
    pub const fn value(&self, knob: RowsKnob) -> u64 {
        match knob {
            RowsKnob::BlockCacheBytes => self.block_cache_bytes as u64,
            RowsKnob::WriteBufferBytes => self.memtable_bytes as u64,
            RowsKnob::WriteBuffersMax => WRITE_BUFFERS_MAX as u64,
            RowsKnob::Level0CompactionTrigger => LEVEL0_FILES[0] as u64,
            RowsKnob::Level0SlowdownTrigger => LEVEL0_FILES[1] as u64,
            RowsKnob::Level0StopTrigger => LEVEL0_FILES[2] as u64,
        }
    }
}

/// See the module's header.
pub struct RocksRows {
    db: Arc<Db>,
    dir: Arc<Path>,
    write_options: WriteOptions,
    /// Of reads without a snapshot: making them costs as much as a read.
    read_options: ReadOptions,
    knobs: RocksKnobs,
    latest: Latest,
    history: History,
    /// Of files that are made outside of the database.
    file_options: Options,
}

impl std::fmt::Debug for RocksRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksRows({})", self.dir.display())
    }
}

impl RocksRows {
    /// Opens the rows in `dir`, creating them where there are none.
    ///
    /// # Errors
    /// Corrupt, naming what RocksDB found damaged; IO.
    pub fn open(dir: &Path, options: RocksOptions) -> Result<Self> {
        let cache = Cache::new_hyper_clock_cache(options.block_cache_bytes, 0);
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&cache);
        table.set_block_size(8 << 10);
        table.set_bloom_filter(10.0, false);
        table.set_whole_key_filtering(true);
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        table.set_data_block_hash_ratio(0.75);
        table.set_format_version(6);
        table.set_cache_index_and_filter_blocks(false);

        let mut database = Options::default();
        database.create_if_missing(true);
        database.create_missing_column_families(true);
        database.set_atomic_flush(true);
        database.set_paranoid_checks(true);
        database.set_max_background_jobs(options.background_threads);
        database.set_max_open_files(4096);
        database.set_keep_log_file_num(4);
        database.set_max_manifest_file_size(64 << 20);
        database.set_bytes_per_sync(1 << 20);
        let knobs = RocksKnobs::new(cache, &mut database, &options);

        let mut family = Options::default();
        family.set_block_based_table_factory(&table);
        // On all levels: what is written again and again is what compression makes less (decision 0009).
        family.set_compression_type(DBCompressionType::Zstd);
        family.set_compression_options(ZSTD_WINDOW_BITS, ZSTD_FAST, 0, 0);
        family.set_bottommost_compression_type(DBCompressionType::Zstd);
        family.set_bottommost_compression_options(ZSTD_WINDOW_BITS, ZSTD_DENSE, 0, 0, true);
        family.set_write_buffer_size(options.memtable_bytes);
        family.set_max_write_buffer_number(WRITE_BUFFERS_MAX.into());
        family.set_level_zero_file_num_compaction_trigger(LEVEL0_FILES[0].into());
        family.set_level_zero_slowdown_writes_trigger(LEVEL0_FILES[1].into());
        family.set_level_zero_stop_writes_trigger(LEVEL0_FILES[2].into());
        family.set_level_compaction_dynamic_level_bytes(true);
        let families = FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, family.clone()));
        let db = Db::open_cf_descriptors(&database, dir, families).map_err(|error| failed(dir, "open", &error))?;
        // Blocks of files that are gone would fill the cache, each of them until a newer one wants its place. The crate has no name for it.
        let row = db.cf_handle(ROW).expect("opened with every family");
        db.set_options_cf(&row, &[("uncache_aggressiveness", UNCACHE_AGGRESSIVENESS)])
            .map_err(|error| failed(dir, "open", &error))?;
        let mut write_options = WriteOptions::default();
        write_options.disable_wal(true);
        let history = History::open(&db, read_applied(&db, &ReadOptions::default(), dir)?, dir)?;
        // Nothing lies below such a file, so it is taken for one of the lowest level; it is compressed like the others when it is rewritten.
        let mut file_options = family;
        file_options.set_bottommost_compression_type(DBCompressionType::Lz4);
        Ok(Self {
            db: Arc::new(db),
            dir: dir.into(),
            write_options,
            read_options: ReadOptions::default(),
            knobs,
            latest: Latest::default(),
            history,
            file_options,
        })
    }

    /// The key before which the keys of a range end in a family; None where it has no keys from the range's start on.
    fn end_of(&self, range: &KeyRange, name: &str) -> Result<Option<Vec<u8>>> {
        if let Some(end) = &range.end {
            return Ok(Some(end.clone()));
        }
        // A removed range needs an end, and there is no last key; but nobody writes in it any more.
        let mut iterator = self.db.raw_iterator_cf(family(&self.db, name));
        iterator.seek_to_last();
        let end = iterator.key().map(successor);
        iterator.status().map_err(|error| failed(&self.dir, "read", &error))?;
        Ok(end.filter(|end| *end > range.start))
    }

    /// A range as a family has it.
    fn range_in<'a>(range: &'a KeyRange, name: &str) -> Cow<'a, KeyRange> {
        match name {
            HISTORY => Cow::Owned(history::range_of(range)),
            _ => Cow::Borrowed(range),
        }
    }

    fn write(&self, out: WriteBatch) -> Result<()> {
        self.db
            .write_opt(out, &self.write_options)
            .map_err(|error| failed(&self.dir, "write", &error))
    }

    fn applied(&self) -> Result<Applied> {
        read_applied(&self.db, &self.read_options, &self.dir)
    }

    fn families(&self) -> [&ColumnFamily; FAMILIES.len()] {
        FAMILIES.map(|name| family(&self.db, name))
    }

    #[cfg(test)]
    pub(super) fn write_meta_for_test(&self, key: &[u8], value: &[u8]) {
        let mut out = WriteBatch::default();
        out.put_cf(family(&self.db, META), key, value);
        self.write(out).expect("written");
    }

    #[cfg(test)]
    pub(super) fn property(&self, name: &rocksdb::properties::PropName) -> u64 {
        let value = self.db.property_int_value_cf(family(&self.db, ROW), name);
        value.expect("it is known").expect("it is a number")
    }
}

impl RocksRows {
    /// The last entry durably applied, found without changing anything: what [`Rows::durable_applied`] of the opened rows
    /// will say. The default where rows have not been made yet.
    ///
    /// # Errors
    /// As [`RocksRows::open`].
    pub fn peek(dir: &Path) -> Result<Applied> {
        // A process that died while it made the rows leaves no CURRENT, or not all families.
        if !dir.join("CURRENT").exists() {
            return Ok(Applied::default());
        }
        let options = looking();
        let families = Db::list_cf(&options, dir).map_err(|error| failed(dir, "open", &error))?;
        if !families.iter().any(|name| name == META) {
            return Ok(Applied::default());
        }
        let wanted = [rocksdb::DEFAULT_COLUMN_FAMILY_NAME, META];
        let db =
            Db::open_cf_for_read_only(&options, dir, wanted, false).map_err(|error| failed(dir, "open", &error))?;
        read_applied(&db, &ReadOptions::default(), dir)
    }

    /// Reads everything in `dir` once, each block against its checksum, without changing anything: the last entry applied, and how many
    /// rows there are. `go_on` is asked now and then, and ends it early.
    ///
    /// # Errors
    /// As [`RocksRows::open`]; whatever `go_on` says.
    pub fn check(dir: &Path, go_on: &mut dyn FnMut() -> Result<()>) -> Result<(Applied, u64)> {
        let db = Db::open_cf_for_read_only(&looking(), dir, FAMILIES, false);
        let db = db.map_err(|error| failed(dir, "open", &error))?;
        let mut rows = 0;
        for name in FAMILIES {
            let mut options = ReadOptions::default();
            options.fill_cache(false);
            options.set_readahead_size(2 << 20);
            let mut iterator = db.raw_iterator_cf_opt(family(&db, name), options);
            iterator.seek_to_first();
            let mut count = 0_u64;
            while iterator.valid() {
                count += 1;
                if count.is_multiple_of(1 << 14) {
                    go_on()?;
                }
                iterator.next();
            }
            iterator.status().map_err(|error| failed(dir, "read", &error))?;
            if name == ROW {
                rows = count;
            }
        }
        Ok((read_applied(&db, &ReadOptions::default(), dir)?, rows))
    }
}

/// Options that open rows without leaving a trace: not even RocksDB's own text file of what it did.
fn looking() -> Options {
    let mut options = Options::default();
    options.set_max_open_files(16);
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| ()));
    options
}

pub(super) fn family<'a>(db: &'a Db, name: &str) -> &'a ColumnFamily {
    db.cf_handle(name).expect("opened with every family")
}

pub(super) fn failed(dir: &Path, doing: &str, error: &rocksdb::Error) -> Error {
    let message = format!("could not {doing} the rows in {}: {}", dir.display(), error.as_ref());
    match error.kind() {
        // An invalid argument at open is a CURRENT, MANIFEST or OPTIONS file that does not parse.
        rocksdb::ErrorKind::Corruption | rocksdb::ErrorKind::InvalidArgument | rocksdb::ErrorKind::NotFound => {
            Error::corrupt(message).with_hint("Restore the data directory from a backup; nothing was changed.")
        }
        rocksdb::ErrorKind::IOError if error.as_ref().contains("No space left") => {
            Error::exhausted(SqlState::DISK_FULL, message).with_hint("Free space on the disk.")
        }
        rocksdb::ErrorKind::IOError => Error::unavailable(SqlState::IO_ERROR, message),
        _ => Error::internal(message),
    }
}

pub(super) fn read_applied(db: &Db, options: &ReadOptions, dir: &Path) -> Result<Applied> {
    let found = db
        .get_pinned_cf_opt(family(db, META), APPLIED, options)
        .map_err(|error| failed(dir, "read", &error))?;
    let Some(bytes) = found else {
        return Ok(Applied::default());
    };
    let field = |at: usize| {
        bytes
            .get(at..at + 8)
            .map(|field| u64::from_le_bytes(field.try_into().expect("eight bytes")))
    };
    match (field(0), field(8), field(16), bytes.len()) {
        (Some(index), Some(term), Some(timestamp), 24) => Ok(Applied {
            index: LogIndex(index),
            term: Term(term),
            timestamp: Timestamp(timestamp),
        }),
        _ => Err(Error::corrupt(format!(
            "the rows in {} have no valid place in the log",
            dir.display()
        ))),
    }
}

pub(super) fn split_value<'a>(stored: &'a [u8], dir: &Path) -> Result<(Timestamp, &'a [u8])> {
    match stored.split_first_chunk::<TIMESTAMP_BYTES>() {
        Some((timestamp, value)) => Ok((Timestamp(u64::from_le_bytes(*timestamp)), value)),
        None => Err(Error::corrupt(format!("a row in {} has no commit time", dir.display()))),
    }
}

pub(super) fn get(
    db: &Db,
    key: &[u8],
    options: &ReadOptions,
    dir: &Path,
    value: &mut Vec<u8>,
) -> Result<Option<Timestamp>> {
    let found = db
        .get_pinned_cf_opt(family(db, ROW), key, options)
        .map_err(|error| failed(dir, "read", &error))?;
    let Some(stored) = found else { return Ok(None) };
    let (timestamp, bytes) = split_value(&stored, dir)?;
    value.clear();
    value.extend_from_slice(bytes);
    Ok(Some(timestamp))
}

fn note_key(index: LogIndex) -> Vec<u8> {
    [NOTE, &index.0.to_be_bytes()].concat()
}

impl Rows for RocksRows {
    fn apply(&self, batch: &Batch<'_>) -> Result<()> {
        let (row, meta) = (family(&self.db, ROW), family(&self.db, META));
        let mut out = WriteBatch::default();
        if self.history.is_kept() {
            history::keep(&self.db, batch, &self.read_options, &self.dir, &mut out)?;
            self.history.write(&self.db, batch.applied.index, &mut out);
        }
        let mut stored = Vec::new();
        for write in &batch.writes {
            match write.value {
                Some(value) => {
                    stored.clear();
                    stored.extend_from_slice(&write.timestamp.0.to_le_bytes());
                    stored.extend_from_slice(value);
                    out.put_cf(row, write.key, &stored);
                }
                None => out.delete_cf(row, write.key),
            }
        }
        for (index, note) in &batch.notes {
            let mut bytes = Vec::new();
            match note {
                Note::Repeated => bytes.push(0),
                Note::Rejected(rejection) => {
                    bytes.push(rejection.reason as u8);
                    bytes.extend_from_slice(&rejection.key);
                }
            }
            out.put_cf(meta, note_key(*index), bytes);
        }
        if batch.forget_notes > LogIndex(0) {
            out.delete_range_cf(meta, note_key(LogIndex(0)), note_key(batch.forget_notes.next()));
        }
        let applied = [batch.applied.index.0, batch.applied.term.0, batch.applied.timestamp.0];
        out.put_cf(meta, APPLIED, applied.map(u64::to_le_bytes).concat());
        let begun = self.latest.begin();
        self.write(out)?;
        self.latest.end(begun, &batch.applied);
        Ok(())
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        get(&self.db, key, &self.read_options, &self.dir, value)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let (snapshot, read_point) = self.latest.during(|| OwnedSnapshot::new(self.db.clone()));
        Arc::new(RocksSnapshot::new(Arc::new(snapshot), self.dir.clone(), read_point))
    }

    fn durable_applied(&self) -> Result<Applied> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::Persisted);
        read_applied(&self.db, &options, &self.dir)
    }

    fn flush(&self) -> Result<()> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        // All families: `flush()` of the crate means the default family, even with atomic_flush.
        let families = self.families();
        let families: Vec<_> = families.iter().collect();
        self.db
            .flush_cfs_opt(&families, &options)
            .map_err(|error| failed(&self.dir, "flush", &error))
    }

    fn ingest(&self, dir: &Path, timestamp: Timestamp, rows: &mut dyn RisingRows) -> Result<()> {
        let target = ingest::Target {
            db: &self.db,
            family: family(&self.db, ROW),
            dir: &self.dir,
            file_options: &self.file_options,
        };
        ingest::ingest(&target, dir, timestamp, rows)
    }

    fn clear(&self, ranges: &[KeyRange]) -> Result<()> {
        let mut out = WriteBatch::default();
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            for name in [ROW, HISTORY] {
                let range = Self::range_in(range, name);
                if let Some(end) = self.end_of(&range, name)? {
                    out.delete_range_cf(family(&self.db, name), range.start.as_slice(), end.as_slice());
                }
            }
        }
        self.db
            .write_opt(out, &self.write_options)
            .map_err(|error| failed(&self.dir, "clear ranges of", &error))
    }

    /// A compaction of those ranges, by the threads that compact in any case; flushes and other compactions go on beside it.
    ///
    /// Not `DeleteFilesInRange`, though it would read nothing: "snapshots before the delete might not see the data in the given range", and
    /// it takes a file with the mark of a removed range as well as one with rows, so that rows of a file across the range's
    /// border would come back. Nor is it left to RocksDB: a mark on level 0 waits there until enough others have come.
    fn compact(&self, ranges: &[KeyRange]) {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            for name in [ROW, HISTORY] {
                let range = Self::range_in(range, name);
                self.db.compact_range_cf_opt(
                    family(&self.db, name),
                    Some(range.start.as_slice()),
                    range.end.as_deref(),
                    &options,
                );
            }
        }
    }

    fn settle(&self) -> Result<bool> {
        settle(&self.db, family(&self.db, ROW), ROW, &self.dir)
    }

    /// Hard links, and a flush of what is in memory.
    fn clone_to(&self, dir: &Path) -> Result<()> {
        let checkpoint = Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.create_checkpoint(dir));
        checkpoint.map_err(|error| failed(&self.dir, "clone", &error))
    }

    fn disk_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for name in [ROW, HISTORY, META] {
            let found = self
                .db
                .property_int_value_cf(family(&self.db, name), "rocksdb.total-sst-files-size");
            bytes += found
                .map_err(|error| failed(&self.dir, "measure", &error))?
                .unwrap_or(0);
        }
        Ok(bytes)
    }

    fn disk_bytes_of(&self, range: &KeyRange) -> u64 {
        // No key of ours is as long.
        let last = vec![0xff; 64];
        let of_family = |name| -> u64 {
            let range = Self::range_in(range, name);
            let end = range.end.as_ref().unwrap_or(&last);
            let ranges = [rocksdb::Range::new(&range.start, end)];
            let sizes = self.db.get_approximate_sizes_cf(&family(&self.db, name), &ranges);
            sizes.into_iter().sum()
        };
        [ROW, HISTORY].into_iter().map(of_family).sum()
    }

    fn snapshot_at(&self, at: Timestamp) -> Result<Past> {
        // What others overwrote is known when the rows are opened, and written with the next batch.
        let known = self.history.horizon();
        let snapshot = Arc::new(OwnedSnapshot::new(self.db.clone()));
        let written = history::horizon_in(&snapshot, &self.dir)?;
        Ok(
            match written.map(|written| known.map_or(written, |known| known.max(written))) {
                None => Past::NotKept,
                Some(horizon) if at < horizon => Past::Gone(horizon),
                Some(_) => {
                    let applied = read_applied(&self.db, snapshot.options(), &self.dir)?;
                    Past::Kept(Arc::new(PastSnapshot::new(
                        snapshot,
                        self.dir.clone(),
                        applied.index,
                        at,
                    )))
                }
            },
        )
    }

    fn horizon(&self) -> Option<Timestamp> {
        self.history.horizon()
    }

    fn keep_history(&self, is_kept: bool) -> Result<()> {
        let mut out = WriteBatch::default();
        if is_kept {
            self.history.begin(&self.db, self.applied()?, &mut out);
            self.write(out)?;
            self.history.begun();
            return Ok(());
        }
        self.history.end(&self.db, &self.dir, &mut out)?;
        self.write(out)
    }

    fn raise_horizon(&self, to: Timestamp) -> Result<()> {
        let mut out = WriteBatch::default();
        self.history.raise(&self.db, to, self.applied()?, &mut out);
        self.write(out)
    }

    fn sweep_history(&self, cursor: &mut Vec<u8>, entries: usize) -> Result<Swept> {
        let Some(horizon) = self.history.horizon() else {
            cursor.clear();
            return Ok(Swept {
                removed: 0,
                is_over: true,
            });
        };
        history::sweep(&self.db, horizon, cursor, entries, &self.dir, &|out| self.write(out))
    }

    fn history_bytes(&self) -> u64 {
        let of = |property: &str| {
            let value = self.db.property_int_value_cf(family(&self.db, HISTORY), property);
            value.ok().flatten().unwrap_or(0)
        };
        of("rocksdb.total-sst-files-size") + of("rocksdb.size-all-mem-tables")
    }

    fn knob(&self, knob: RowsKnob) -> Option<u64> {
        Some(self.knobs.value(knob))
    }

    fn set_knob(&self, knob: RowsKnob, value: u64) -> Result<()> {
        self.knobs.set(&self.db, &self.families(), knob, value)
    }

    fn signals(&self) -> Result<Option<RowsSignals>> {
        self.knobs.signals(&self.db, &self.families()).map(Some)
    }

    fn notes(&self) -> Result<Vec<(LogIndex, Note)>> {
        let mut notes = Vec::new();
        let mut options = ReadOptions::default();
        options.set_iterate_range(note_key(LogIndex(0))..note_key(LogIndex(u64::MAX)));
        let mut iterator = self.db.raw_iterator_cf_opt(family(&self.db, META), options);
        iterator.seek_to_first();
        while let Some((key, value)) = iterator.item() {
            let index = key
                .get(NOTE.len()..)
                .and_then(|bytes| bytes.try_into().ok())
                .map(u64::from_be_bytes);
            let note = match value.split_first() {
                Some((0, [])) => Some(Note::Repeated),
                Some((&number, key)) => Reason::from_number(number).map(|reason| {
                    Note::Rejected(Rejection {
                        reason,
                        key: key.to_vec(),
                    })
                }),
                None => None,
            };
            match (index, note) {
                (Some(index), Some(note)) => notes.push((LogIndex(index), note)),
                _ => return Err(Error::corrupt(format!("a note in {} is not valid", self.dir.display()))),
            }
            iterator.next();
        }
        iterator.status().map_err(|error| failed(&self.dir, "read", &error))?;
        Ok(notes)
    }
}
