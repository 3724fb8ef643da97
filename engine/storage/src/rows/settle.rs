//! Rows at rest.
//!
//! What was flushed lies in level 0 until four flushes have come together. In a small storage that whose rows were changed as often as they
//! are many is as much as all of the rows once more, and every point read looks into each of its files. So where little is written, level 0 is
//! merged into the rest. In a large storage it is little beside the rest, and to merge it is dear: it is left to RocksDB.

use std::path::Path;

use aion_base::Result;
use rocksdb::{ColumnFamily, CompactOptions, properties};

use super::owned::Db;
use super::rocks::failed;

/// Bytes of files beyond which nothing is merged: a second or two of work.
const BYTES_MAX: u64 = 256 << 20;
/// Level 0 is merged where it has more than this part of all bytes.
const LEVEL0_PART: u64 = 8;

/// Merges level 0 of a family into the rest where that pays; says whether it did.
///
/// # Errors
/// Corrupt or IO, naming the folder.
pub fn settle(db: &Db, family: &ColumnFamily, name: &str, dir: &Path) -> Result<bool> {
    let look = |error: rocksdb::Error| failed(dir, "look at", &error);
    let bytes = db
        .property_int_value_cf(family, properties::LIVE_SST_FILES_SIZE)
        .map_err(look)?;
    let bytes = bytes.unwrap_or(0);
    if bytes > BYTES_MAX {
        return Ok(false);
    }
    let files = db.live_files().map_err(look)?;
    let first = files
        .iter()
        .filter(|file| file.column_family_name == name && file.level == 0);
    let first: u64 = first.map(|file| file.size as u64).sum();
    // Also where there is nothing else yet: what has been overwritten goes.
    if first == 0 || first < bytes / LEVEL0_PART {
        return Ok(false);
    }
    let mut options = CompactOptions::default();
    options.set_exclusive_manual_compaction(false);
    db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
    Ok(true)
}
