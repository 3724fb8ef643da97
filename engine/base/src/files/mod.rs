//! Files, through a trait, so that tests decide what a crash leaves behind.
//!
//! **Vocabulary.** A write is *durable* once [`File::sync_data`] on that file returned; a name (created,
//! renamed, removed) is durable once [`Files::sync_dir`] on its directory returned. Until then a power cut
//! may keep, lose, or tear it; a killed process loses nothing of it, because the kernel has it.
//!
//! Three implementations: [`OsFiles`] is the operating system; [`PowerCutFiles`] keeps what is not durable
//! in the memory of the process, so that killing the process does what a power cut does; and
//! [`SkipSyncFiles`] forgets to sync, to show that the tests notice.

mod lock;
mod os;
mod power_cut;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use lock::FileLock;
pub use os::{EntryKind, OsFiles};
pub use power_cut::PowerCutFiles;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must exist; for reading and writing.
    Existing,
    /// It must exist; for reading, so that it may be where nobody can write.
    ReadOnly,
    /// It must not exist; for reading and writing.
    New,
}

/// A file system.
pub trait Files: Send + Sync + fmt::Debug {
    /// Creates the directory and its parents, durably.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Opens or creates a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>>;

    /// The names of the files in `dir`, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Gives `from` the name `to`, replacing what was there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the name `path`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes all names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file, read and written at offsets in bytes.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads from `offset` until `buffer` is full or the file ends; returns the number of bytes read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`, extending the file where needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// True for a file of no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes the content durable (fdatasync: also the length, not the times).
    fn sync_data(&self) -> io::Result<()>;
}

/// Reads a whole file.
pub fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Files that answer a sync without doing it. With these a power-cut test must fail; if it does not, the
/// test is blind.
#[derive(Debug)]
pub struct SkipSyncFiles(pub Arc<dyn Files>);

#[derive(Debug)]
struct SkipSyncFile(Box<dyn File>);

impl Files for SkipSyncFiles {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        Ok(Box::new(SkipSyncFile(self.0.open(path, how)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
}

impl File for SkipSyncFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
