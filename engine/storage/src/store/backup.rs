//! Backups: copies of a running store that stand for themselves and become a store again.
//!
//! ```text
//! backup.json   what it is, and the length and hash of every other file; written last
//! data/         the rows: the files of a checkpoint of RocksDB
//! ..            files of the data directory that are not the store's, where the caller named them
//! ```
//!
//! **Guarantees.**
//! - A backup holds all that was acknowledged before [`Store::backup_to`] was called and, of what came after, the commits up to one
//!   entry of the log: [`BackupReport::index`]. What [`restore`] makes of it holds exactly that.
//! - It shares no byte with the store: the files are copied, not linked, and a disk that damages one leaves the other.
//! - A directory without a whole `backup.json` is no backup, and one in which a byte is different, or a file missing or too many, is refused by
//!   [`verify`] and [`restore`], which name it. So an interrupted backup is never taken for one.
//! - No backup can be opened as a store by mistake, for it has no FORMAT. What [`restore`] makes gets its FORMAT last: a crash before
//!   leaves a directory that no store opens, or the empty one that was there.
//!
//! **How a backup is made.**
//! 1. The rows are flushed. Then, while commits wait, a checkpoint is made: hard links to the files of the rows and a flush of the
//!    rest, in a folder of the data directory, so `applied` of the checkpoint is the last entry there is. Until the end the disk keeps
//!    what compactions replace meanwhile.
//! 2. Its files and then the caller's are copied; each is hashed, and durable before the next.
//! 3. The copy is opened for reading, and every block in it is read against RocksDB's checksums: damage that the store's own
//!    files had already is found now, and not when the backup is needed.
//! 4. `backup.json` is written under another name, made durable and renamed; the checkpoint is removed.
//!
//! **Why no log.** The checkpoint has the effect of every entry up to `applied`, so there is nothing to replay. What the log is kept for
//! beyond that is transactions in flight, and none is in flight in a store that was restored. It begins with an empty log at the
//! next entry, as a clone does. What became of a transaction before the backup is not known there.
//!
//! Left out: backups of what changed since another, compression (the rows are compressed), other places than a directory.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aion_base::files::{Files, Open, OsFiles};
use aion_base::id::{LogIndex, Timestamp};
use aion_base::{Error, ErrorKind, Result, SqlState};

use self::copy::{Copier, check_room, folders, walk};
use self::manifest::{FileEntry, MANIFEST_FILE, Manifest, is_extra};
use super::{Core, Durable, Store};
use crate::directory;
use crate::log::{Log, LogOptions};
use crate::rows::rocks::RocksRows;
use crate::rows::{Applied, Rows};

mod copy;
mod manifest;

/// Bytes that are left free for the manifest, or for the folders and names of a copy.
const SPARE_BYTES: u64 = 4 << 20;

/// Names that an error lists at most.
const NAMES_MAX: usize = 10;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The last entry of the log whose effect is in it.
    pub index: LogIndex,
    /// The commit time of that entry.
    pub last_commit: Timestamp,
    /// Wall clock when it was made, in microseconds since 1970-01-01 UTC.
    pub created_at_micros: u64,
    /// Keys in it, those of indexes too.
    pub rows: u64,
    /// Files, without the manifest.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were read.
    pub bytes: u64,
    /// Of so many. Once all are, [`Store::backup_to`] goes on for a while, reading the rows again.
    pub of: u64,
}

/// Told how far it is, every few milliseconds; to break cancels (57014).
pub type Listener<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

impl Store {
    /// Makes a backup in `path`, which is empty or not there and not in the data directory; see the module's header. `extra` are further files
    /// of the data directory, by their paths in it, which nobody changes meanwhile; they are copied after the rows, and may be of a later
    /// moment. Commits wait while the last of the rows is flushed, and not for the copying.
    ///
    /// # Errors
    /// 0A000 for a store in memory; 22023 for a wrong `path` or `extra`; 53100 where the disk is too small; 57014 when cancelled; 58P01 for an
    /// `extra` that is not there; corrupt, naming the file, when the rows are damaged. What was made by then is no backup, and for
    /// the caller to remove.
    pub fn backup_to(&self, path: &Path, extra: &[PathBuf], listener: Listener<'_>) -> Result<BackupReport> {
        self.backup_through(&OsFiles, path, extra, listener)
    }

    fn backup_through(
        &self,
        files: &dyn Files,
        path: &Path,
        extra: &[PathBuf],
        listener: Listener<'_>,
    ) -> Result<BackupReport> {
        let Core::Durable(durable) = &self.core else {
            return Err(
                Error::unsupported("a database in memory cannot be backed up").with_hint("COPY its tables TO files.")
            );
        };
        let extra = extra_paths(extra)?;
        let (home, window_bytes, staging) = {
            let mut directory = durable.directory.lock();
            (
                directory.path().to_path_buf(),
                directory.window_bytes,
                directory.staging(),
            )
        };
        check_target(path, &home, "the data directory")?;
        let applied = self.checkpoint(durable, &staging.0)?;

        let mut sources = Vec::new();
        for name in walk(&staging.0)?.0 {
            sources.push((staging.0.join(&name), format!("data/{name}")));
        }
        sources.extend(extra.into_iter().map(|name| (home.join(&name), name)));
        let bytes = length_of(sources.iter().map(|(source, _)| source.as_path()))?;
        check_room(path, bytes + SPARE_BYTES)?;

        let mut copier = Copier::new(files, bytes, listener);
        let paths = || sources.iter().map(|(_, path)| path.as_str());
        copier.make_folders(path, paths())?;
        let copied: Result<Vec<FileEntry>> = sources
            .iter()
            .map(|(source, name)| copier.copy(source, path, name))
            .collect();
        let copied = copied?;
        copier.sync(path, paths())?;
        let rows = check_copy(&directory::rows_in(path), applied, &mut copier)?;
        let manifest = Manifest::new(window_bytes, durable.clock.wall_micros(), applied, rows, copied);
        manifest.write(files, path)?;
        Ok(manifest.report())
    }

    /// Links to the files of the rows as they are at one entry of the log.
    fn checkpoint(&self, durable: &Durable, staging: &Path) -> Result<Applied> {
        // Most of it, before anybody waits.
        self.flush()?;
        let applier = durable.shared.applier.lock();
        self.rows.clone_to(staging)?;
        Ok(applier.applied())
    }
}

/// Reads a backup from one end to the other and compares it with what it says of itself. Changes nothing. What the operating system
/// still has in memory is not read from the disk: verifying a backup again after a day says more.
///
/// # Errors
/// 58P01 where there is nothing; 22023 for what is no finished backup; 0A000 for a newer format; 57014 when cancelled; corrupt, naming
/// the file that is damaged, missing or too many.
pub fn verify(path: &Path, listener: Listener<'_>) -> Result<BackupReport> {
    let manifest = Manifest::read(&OsFiles, path)?;
    check_names(path, &manifest)?;
    let mut copier = Copier::new(&OsFiles, manifest.bytes(), listener);
    for expected in &manifest.files {
        let found = copier.read(path, &expected.path)?;
        check_file(path, expected, &found)?;
    }
    let rows = directory::rows_in(path);
    check_applied(&rows, manifest.applied(), RocksRows::peek(&rows)?)?;
    Ok(manifest.report())
}

/// Makes a data directory in `to`, which is empty or not there, of the backup in `from`, and verifies the backup on the way.
/// [`Store::open`] opens it; the window keeps the size that it had.
///
/// # Errors
/// As [`verify`]; 22023 where something is in `to`; 53100 where the disk is too small. What was made by then opens as no store, and is for
/// the caller to remove.
pub fn restore(from: &Path, to: &Path, listener: Listener<'_>) -> Result<BackupReport> {
    restore_through(&(Arc::new(OsFiles) as Arc<dyn Files>), from, to, listener)
}

fn restore_through(files: &Arc<dyn Files>, from: &Path, to: &Path, listener: Listener<'_>) -> Result<BackupReport> {
    let manifest = Manifest::read(&OsFiles, from)?;
    check_names(from, &manifest)?;
    check_target(to, from, "the backup")?;
    let log_options = LogOptions::default();
    check_room(to, manifest.bytes() + log_options.segment_bytes + SPARE_BYTES)?;

    let rows = directory::rows_in(to);
    let mut copier = Copier::new(&**files, manifest.bytes(), listener);
    let paths = || manifest.files.iter().map(|file| file.path.as_str());
    // The folder of the rows is the first thing there: with it, and without FORMAT, a directory is not taken for an empty one.
    copier.make_folders(to, ["data/CURRENT"].into_iter())?;
    copier.make_folders(to, paths())?;
    for expected in &manifest.files {
        let found = copier.copy(&from.join(&expected.path), to, &expected.path)?;
        check_file(from, expected, &found)?;
    }
    copier.sync(to, paths())?;
    let applied = manifest.applied();
    check_applied(&rows, applied, RocksRows::peek(&rows)?)?;
    Log::create(files.clone(), &directory::log_in(to), log_options, applied.index.next())?;
    directory::write_format(&**files, to, manifest.store_format, manifest.window_bytes)?;
    Ok(manifest.report())
}

fn wrong(message: String) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// Refuses a place where something is, and one in `source`, where the copy would become part of what is copied.
fn check_target(path: &Path, source: &Path, what: &str) -> Result<()> {
    let entries = match OsFiles.entries(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Error::io(format_args!("list {}", path.display()), error)),
    };
    if let Some((name, _)) = entries.first() {
        let error = wrong(format!("{} is not empty: {name} is in it", path.display()));
        return Err(error
            .with_hint("Name a directory that is empty or not there; if what is in it was interrupted, remove it."));
    }
    let absolute = |path: &Path| {
        let there = path
            .ancestors()
            .find(|ancestor| ancestor.exists())
            .unwrap_or(Path::new("."));
        let there = if there.as_os_str().is_empty() {
            Path::new(".")
        } else {
            there
        };
        there
            .canonicalize()
            .map_err(|error| Error::io(format_args!("look at {}", there.display()), error))
    };
    if absolute(path)?.starts_with(absolute(source)?) {
        return Err(wrong(format!("{} is in {what}", path.display()))
            .with_hint("Name a directory elsewhere, best on another disk."));
    }
    Ok(())
}

/// The caller's files, as paths in a backup.
fn extra_paths(extra: &[PathBuf]) -> Result<Vec<String>> {
    let mut paths = Vec::with_capacity(extra.len());
    for path in extra {
        let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
        match parts {
            Some(parts) if is_extra(path) => paths.push(parts.join("/")),
            _ => {
                return Err(wrong(format!(
                    "{} is no path of a file of the data directory that a backup could take along",
                    path.display()
                )));
            }
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn length_of<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<u64> {
    let mut bytes = 0;
    for path in paths {
        let length = OsFiles.open(path, Open::ReadOnly).and_then(|file| file.len());
        bytes += length.map_err(|error| Error::io(format_args!("read {}", path.display()), error))?;
    }
    Ok(bytes)
}

/// Reads every block of a copy of the rows; how many rows there are.
fn check_copy(rows: &Path, applied: Applied, copier: &mut Copier<'_>) -> Result<u64> {
    let (found, count) = match RocksRows::check(rows, &mut || copier.go_on()) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            return Err(
                Error::corrupt(format!("the copy of the rows is damaged: {}", error.message())).with_hint(
                    "Keep the backups that there are. If it happens again, the store's own files are damaged: restore the newest backup that verifies.",
                ),
            );
        }
        checked => checked?,
    };
    if found != applied {
        return Err(Error::internal(format!(
            "a checkpoint at entry {} of the log holds what is up to entry {}",
            applied.index, found.index
        )));
    }
    Ok(count)
}

fn damaged(message: String) -> Error {
    Error::corrupt(message).with_hint("Use another backup; nothing was changed in this one.")
}

/// Refuses a backup with files that its manifest does not name, or without some that it names.
fn check_names(path: &Path, manifest: &Manifest) -> Result<()> {
    let (mut found, found_folders) = walk(path)?;
    found.remove(MANIFEST_FILE);
    let names = || manifest.files.iter().map(|file| file.path.as_str());
    let missing: Vec<&str> = names().filter(|name| !found.contains(*name)).collect();
    let known: BTreeSet<&str> = names().collect();
    let known_folders = folders(names());
    let unknown_folders = found_folders.iter().filter(|folder| !known_folders.contains(*folder));
    let unknown: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|name| !known.contains(name))
        .chain(unknown_folders.filter_map(|folder| folder.to_str()))
        .collect();
    for (names, what) in [(missing, "lacks"), (unknown, "holds, unknown to its manifest,")] {
        if !names.is_empty() {
            let more = if names.len() > NAMES_MAX { ", .." } else { "" };
            let listed = names[..names.len().min(NAMES_MAX)].join(", ");
            return Err(damaged(format!("the backup {} {what} {listed}{more}", path.display())));
        }
    }
    Ok(())
}

fn check_file(root: &Path, expected: &FileEntry, found: &FileEntry) -> Result<()> {
    let path = root.join(&expected.path);
    if found.bytes != expected.bytes {
        return Err(damaged(format!(
            "{} has {} bytes instead of {}",
            path.display(),
            found.bytes,
            expected.bytes
        )));
    }
    if found.sha256 != expected.sha256 {
        return Err(damaged(format!(
            "{} is damaged: its sha256 is {} instead of {}",
            path.display(),
            found.sha256,
            expected.sha256
        )));
    }
    Ok(())
}

fn check_applied(rows: &Path, expected: Applied, found: Applied) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(damaged(format!(
        "the rows in {} hold what is up to entry {} of the log instead of {}",
        rows.display(),
        found.index,
        expected.index
    )))
}

#[cfg(test)]
mod tests;
