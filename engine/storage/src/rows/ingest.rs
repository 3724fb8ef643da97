//! Rows that become files of RocksDB without passing through its memory.
//!
//! Keys that rise are what a sorted file is made of. It is written beside the database and then *ingested*: linked into its folder and, durably,
//! into its list of files, at the lowest level that has no keys between its first and its last. A thread of its own does the second, so that
//! the next file is begun while the one before reaches the disk.
//!
//! **Guarantees.** A file is ingested whole or not at all; who takes a snapshot later sees it, who took one before does not. A snapshot of the
//! files (a checkpoint) that is begun later has it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use aion_base::id::Timestamp;
use aion_base::{Error, Result};
use rocksdb::{ColumnFamily, IngestExternalFileOptions, Options, SstFileWriter};

use super::RisingRows;
use super::owned::Db;
use super::rocks::failed;

/// Bytes of keys and values of one file, as RocksDB's own files have them.
const FILE_BYTES: u64 = 64 << 20;

/// Where rows go.
pub struct Target<'a> {
    pub db: &'a Db,
    pub family: &'a ColumnFamily,
    pub dir: &'a Path,
    pub file_options: &'a Options,
}

/// As [`super::Rows::ingest`].
pub fn ingest(target: &Target<'_>, dir: &Path, timestamp: Timestamp, rows: &mut dyn RisingRows) -> Result<()> {
    std::thread::scope(|scope| {
        // One file waits while another one is taken in.
        let (sender, receiver) = sync_channel(0);
        let taking = scope.spawn(move || take_in(target, &receiver));
        let written = write_files(target, dir, timestamp, rows, &sender);
        drop(sender);
        let taken = taking
            .join()
            .map_err(|_| Error::internal("a thread that ingests files panicked"))?;
        // Where the one that takes files in failed, the other one only knows that it is gone.
        taken.and(written)
    })
}

/// Ingests files until there are no more.
fn take_in(target: &Target<'_>, files: &Receiver<PathBuf>) -> Result<()> {
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    for file in files {
        let taken = target
            .db
            .ingest_external_file_cf_opts(target.family, &options, vec![&file]);
        taken.map_err(|error| failed(target.dir, "ingest a file into", &error))?;
    }
    Ok(())
}

fn write_files(
    target: &Target<'_>,
    dir: &Path,
    timestamp: Timestamp,
    rows: &mut dyn RisingRows,
    sender: &SyncSender<PathBuf>,
) -> Result<()> {
    let wrong = |error| failed(target.dir, "write a file for", &error);
    let mut last = Vec::new();
    let mut stored = Vec::new();
    let mut number = 0_u32;
    let mut is_over = false;
    while !is_over {
        number += 1;
        let path = dir.join(format!("{number}.sst"));
        // A writer for each file: it is not said that one can be used again after an error.
        let mut writer = SstFileWriter::create(target.file_options);
        let mut bytes = 0;
        while bytes < FILE_BYTES {
            let Some((key, value)) = rows.next()? else {
                is_over = true;
                break;
            };
            if bytes == 0 {
                writer.open(&path).map_err(wrong)?;
            }
            check_rises(&mut last, key)?;
            stored.clear();
            stored.extend_from_slice(&timestamp.0.to_le_bytes());
            stored.extend_from_slice(value);
            writer.put(key, &stored).map_err(wrong)?;
            bytes += (key.len() + stored.len()) as u64;
        }
        if bytes == 0 {
            break;
        }
        writer.finish().map_err(wrong)?;
        drop(writer);
        if sender.send(path).is_err() {
            return Err(Error::internal("files are no longer ingested"));
        }
    }
    Ok(())
}

/// That `key` lies behind the last one, whose place it takes.
pub fn check_rises(last: &mut Vec<u8>, key: &[u8]) -> Result<()> {
    if !last.is_empty() && key <= last.as_slice() {
        return Err(Error::internal("keys that are ingested do not rise"));
    }
    last.clear();
    last.extend_from_slice(key);
    Ok(())
}
