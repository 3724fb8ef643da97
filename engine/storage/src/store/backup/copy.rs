//! Bytes of files, from one folder to another, hashed on the way.
//!
//! **Guarantee.** What [`Copier::copy`] wrote is durable when it returns, and its name is once [`Copier::sync`] did. The hash is that of
//! the bytes as they were read.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use aion_base::files::{EntryKind, File, Files, Open, OsFiles};
use aion_base::{Error, Result, SqlState};
use sha2::{Digest, Sha256};

use super::manifest::{FileEntry, hex};
use super::{Listener, Progress};

/// Bytes that are read at a time; between two of them it can be cancelled.
const CHUNK_BYTES: usize = 1 << 20;

/// Reads and copies files, and says how far it is.
pub struct Copier<'a> {
    files: &'a dyn Files,
    listener: Listener<'a>,
    progress: Progress,
    buffer: Vec<u8>,
}

impl<'a> Copier<'a> {
    /// One that will read `bytes` in all.
    pub fn new(files: &'a dyn Files, bytes: u64, listener: Listener<'a>) -> Self {
        Self {
            files,
            listener,
            progress: Progress { bytes: 0, of: bytes },
            buffer: vec![0; CHUNK_BYTES],
        }
    }

    /// Reads `path` below `from`: its length and hash.
    pub fn read(&mut self, from: &Path, path: &str) -> Result<FileEntry> {
        self.each_chunk(&from.join(path), path, |_, _| Ok(()))
    }

    /// Copies `source`, which nobody changes meanwhile, to `path` below `to`, where nothing is.
    pub fn copy(&mut self, source: &Path, to: &Path, path: &str) -> Result<FileEntry> {
        let target = to.join(path);
        let failed = |error| Error::io(format_args!("write {}", target.display()), error);
        let file = self.files.open(&target, Open::New).map_err(failed)?;
        let file: &dyn File = &*file;
        let entry = self.each_chunk(source, path, |chunk, offset| {
            file.write_at(chunk, offset).map_err(failed)
        })?;
        file.sync_data().map_err(failed)?;
        Ok(entry)
    }

    fn each_chunk(
        &mut self,
        source: &Path,
        path: &str,
        mut act: impl FnMut(&[u8], u64) -> Result<()>,
    ) -> Result<FileEntry> {
        let failed = |error| Error::io(format_args!("read {}", source.display()), error);
        let file = OsFiles.open(source, Open::ReadOnly).map_err(failed)?;
        let mut digest = Sha256::new();
        let mut offset = 0;
        loop {
            let read = file.read_at(&mut self.buffer, offset).map_err(failed)?;
            let chunk = &self.buffer[..read];
            digest.update(chunk);
            act(chunk, offset)?;
            offset += read as u64;
            // A file that grew since it was measured counts as what it was.
            self.progress.bytes = self.progress.of.min(self.progress.bytes + read as u64);
            self.go_on()?;
            if read < CHUNK_BYTES {
                break;
            }
        }
        Ok(FileEntry {
            path: path.to_owned(),
            bytes: offset,
            sha256: hex(digest.finalize().as_slice()),
        })
    }

    /// Tells how far it is.
    ///
    /// # Errors
    /// 57014 where that is far enough.
    pub fn go_on(&mut self) -> Result<()> {
        match (self.listener)(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::unavailable(SqlState::QUERY_CANCELED, "it was cancelled")
                .with_hint("Remove what was made by then.")),
        }
    }

    /// Makes the folders below `to` that these paths need.
    pub fn make_folders<'p>(&self, to: &Path, paths: impl Iterator<Item = &'p str>) -> Result<()> {
        for folder in folders(paths) {
            let folder = to.join(folder);
            let made = self.files.create_dir_all(&folder);
            made.map_err(|error| Error::io(format_args!("create {}", folder.display()), error))?;
        }
        Ok(())
    }

    /// Makes the names below `to` durable.
    pub fn sync<'p>(&self, to: &Path, paths: impl Iterator<Item = &'p str>) -> Result<()> {
        for folder in folders(paths) {
            let folder = to.join(folder);
            let synced = self.files.sync_dir(&folder);
            synced.map_err(|error| Error::io(format_args!("sync {}", folder.display()), error))?;
        }
        Ok(())
    }
}

/// The folders that files with these paths are in, the innermost last; the one that the paths are relative to, too.
pub fn folders<'p>(paths: impl Iterator<Item = &'p str>) -> BTreeSet<PathBuf> {
    let parents = paths.flat_map(|path| Path::new(path).ancestors().skip(1));
    parents.map(Path::to_path_buf).collect()
}

/// The paths of everything below `dir`, relative to it and with `/`; links and such are there as if they were files.
pub fn walk(dir: &Path) -> Result<(BTreeSet<String>, BTreeSet<PathBuf>)> {
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        let path = dir.join(&folder);
        let entries = OsFiles.entries(&path);
        let entries = entries.map_err(|error| Error::io(format_args!("list {}", path.display()), error))?;
        for (name, kind) in entries {
            let inner = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            match kind {
                EntryKind::Directory => open.push(inner),
                EntryKind::File | EntryKind::Other => drop(files.insert(inner)),
            }
        }
        folders.insert(PathBuf::from(folder));
    }
    Ok((files, folders))
}

/// Refuses where less than this is free on the disk that `dir` is or will be on.
pub fn check_room(dir: &Path, bytes: u64) -> Result<()> {
    let there = dir
        .ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("."));
    // Where it cannot be told, it is tried.
    let Ok(disk) = rustix::fs::statvfs(there) else {
        return Ok(());
    };
    compare_room(dir, bytes, disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn compare_room(dir: &Path, bytes: u64, free: u64) -> Result<()> {
    if bytes <= free {
        return Ok(());
    }
    Err(Error::exhausted(
        SqlState::DISK_FULL,
        format!(
            "{bytes} bytes are to be written to {}, and {free} are free on its disk",
            dir.display()
        ),
    )
    .with_hint("Make room, or name a directory on another disk. Nothing was written."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers() {
        let dir = Path::new("/nowhere/at/all");
        assert!(check_room(dir, 1).is_ok());
        let error = check_room(dir, u64::MAX).expect_err("more than any disk has");
        assert_eq!(error.state(), SqlState::DISK_FULL);
        assert!(compare_room(dir, 1_000, 1_000).is_ok());
        let error = compare_room(dir, 1_001, 1_000).expect_err("one too many");
        assert_eq!(
            error.message(),
            "1001 bytes are to be written to /nowhere/at/all, and 1000 are free on its disk"
        );
    }

    #[test]
    fn folders_are_those_of_the_paths_outermost_first() {
        let paths = ["a/b/c.txt", "a/d.txt", "e"];
        let folders: Vec<_> = folders(paths.into_iter()).into_iter().collect();
        assert_eq!(folders, [Path::new(""), Path::new("a"), Path::new("a/b")]);
    }
}
