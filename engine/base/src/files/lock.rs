//! A lock that names who holds a directory.
//!
//! A file with the operating system's advisory lock (released when its holder dies, however it dies), and text
//! that says who that is.

#![allow(clippy::disallowed_methods, reason = "the lock is a file of the operating system")]

use std::fs::{self, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::{Error, ErrorKind, Result, SqlState};

/// Held from [`FileLock::acquire`] until dropped.
#[derive(Debug)]
pub struct FileLock {
    file: fs::File,
    path: PathBuf,
}

impl FileLock {
    /// Takes the lock at `path`, whose directory exists.
    ///
    /// # Errors
    /// 55006 when another process holds it: the message is `object` "is in use by", the holder's process id, and what it said with
    /// [`FileLock::describe`] as the hint.
    pub fn acquire(path: &Path, object: &str) -> Result<Self> {
        let doing = |error| Error::io(format_args!("lock {}", path.display()), error);
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(doing)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(doing)?;
                let (process, hint) = text.split_once('\n').unwrap_or((&text, ""));
                let process = if process.is_empty() { "another process" } else { process };
                let error = Error::new(
                    ErrorKind::Unavailable,
                    SqlState::OBJECT_IN_USE,
                    format!("{object} is in use by {process}"),
                );
                let hint = hint.trim();
                return Err(error.with_hint(if hint.is_empty() {
                    "Wait for it to end, or stop it."
                } else {
                    hint
                }));
            }
            Err(TryLockError::Error(error)) => return Err(doing(error)),
        }
        let mut lock = Self {
            file,
            path: path.to_path_buf(),
        };
        lock.describe("")?;
        Ok(lock)
    }

    /// Says what others should do who find the lock taken, for instance how to connect.
    ///
    /// # Errors
    /// An IO error.
    pub fn describe(&mut self, hint: &str) -> Result<()> {
        let text = format!("process {}\n{hint}\n", std::process::id());
        let written = (|| {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.set_len(0)?;
            self.file.write_all(text.as_bytes())
        })();
        written.map_err(|error| Error::io(format_args!("write {}", self.path.display()), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_holds_it_and_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("LOCK");
        let mut lock = FileLock::acquire(&path, "data directory x").expect("free");
        lock.describe("Connect with: psql -p 5433").expect("written");
        let error = FileLock::acquire(&path, "data directory x").expect_err("held");
        assert_eq!(error.state(), SqlState::OBJECT_IN_USE);
        assert_eq!(
            error.message(),
            format!("data directory x is in use by process {}", std::process::id())
        );
        assert_eq!(error.hint(), Some("Connect with: psql -p 5433"));
        drop(lock);
        FileLock::acquire(&path, "data directory x").expect("free again");
    }
}
