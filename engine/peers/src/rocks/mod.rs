//! RocksDB, plain: keys and values in one family, no transactions, no versions that are kept.
//!
//! **Set for all.** The log synced on each write, writers grouped by RocksDB itself; leveled compaction; the block cache, blocks, bloom
//! filters and compression that Aion's own rows have, so that what differs is what is built on top.

pub mod fill;
pub mod ycsb;

use std::path::Path;

use aion_base::{Error, Result};
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompactionStyle, DBCompressionType, Options, WriteOptions};

/// The version of RocksDB that the crate `rocksdb` of the workspace brings.
const NAME: &str = "RocksDB 11.8.1";

/// What differs from run to run.
#[derive(Clone, Copy, Debug)]
struct Memory {
    cache_bytes: u64,
    memtable_bytes: usize,
}

fn failed(error: rocksdb::Error) -> Error {
    Error::internal(format!("RocksDB: {error}"))
}

fn open(path: &Path, memory: Memory) -> Result<DB> {
    let mut table = BlockBasedOptions::default();
    let cache_bytes = usize::try_from(memory.cache_bytes).unwrap_or(usize::MAX);
    table.set_block_cache(&Cache::new_hyper_clock_cache(cache_bytes, 0));
    table.set_block_size(8 << 10);
    table.set_bloom_filter(10.0, false);
    table.set_whole_key_filtering(true);
    table.set_format_version(6);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compaction_style(DBCompactionStyle::Level);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_write_buffer_size(memory.memtable_bytes);
    options.set_max_write_buffer_number(4);
    options.set_max_background_jobs(2);
    options.set_max_open_files(4096);
    options.set_bytes_per_sync(1 << 20);
    DB::open(&options, path).map_err(failed)
}

/// Each write is on the disk when it is answered.
fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_version_in_the_lock_file() {
        let lock = include_str!("../../../../Cargo.lock");
        let version = NAME.trim_start_matches("RocksDB ");
        assert!(lock.contains(&format!("+{version}\"")), "{NAME}");
    }
}
