//! A pair of clones, removed with whoever holds them ([`super::sandbox`]).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use aion_base::files::{Files, OsFiles};
use aion_base::{Error, Result, SqlState, rng};
use aion_storage::Store;
use rustix::fs::{Dir, FileType, Mode, OFlags};

/// Where clones are, in the data directory.
const FOLDER: &str = "clones";
/// What is to be free at least, however small the database is.
const ROOM_MIN: u64 = 64 << 20;
/// Folders within folders that are counted.
const DEPTH_MAX: usize = 8;

/// Two clones in a folder of their own.
#[derive(Debug)]
pub struct Clones {
    folder: PathBuf,
    bytes_max: u64,
}

impl Clones {
    /// Makes both, of one moment: if somebody commits between them, both are made again. They may take `bytes_max` beside the data.
    ///
    /// # Errors
    /// 55006 where commits never pause; 53100 where the disk is full, or too little of it is free, and an IO error. Nothing is left
    /// then.
    pub fn make(store: &Store, data: &Path, bytes_max: u64) -> Result<Self> {
        const TRIES: usize = 20;
        check_room(
            data,
            bytes_max.min(store.disk_bytes()?.saturating_mul(2).saturating_add(ROOM_MIN)),
        )?;
        for _ in 0..TRIES {
            let folder = data.join(FOLDER).join(format!("{:016x}", rng::entropy()));
            let clones = Self { folder, bytes_max };
            OsFiles
                .create_dir_all(&clones.folder)
                .map_err(|error| Error::io(format_args!("create {}", clones.folder.display()), error))?;
            let one = store.clone_to(&clones.incumbent())?;
            let two = store.clone_to(&clones.candidate())?;
            if one == two {
                return Ok(clones);
            }
        }
        Err(Error::unavailable(
            SqlState::OBJECT_IN_USE,
            "the database is written to without a pause, so no two clones of one moment could be made",
        )
        .with_hint("Rehearse when there is less to do."))
    }

    /// Refuses to go on where they take more than they may.
    ///
    /// # Errors
    /// 53100.
    pub fn check_size(&self) -> Result<()> {
        let bytes = self.bytes(&self.folder, DEPTH_MAX);
        if bytes <= self.bytes_max {
            return Ok(());
        }
        Err(Error::exhausted(
            SqlState::DISK_FULL,
            format!(
                "the clones of the rehearsal take {bytes} bytes of disk beside the data; {} are allowed",
                self.bytes_max
            ),
        ))
    }

    /// Bytes of the files that the database has not: those with one name are one clone's own, those with two are held by both. What
    /// goes while it is counted counts for nothing.
    fn bytes(&self, folder: &Path, depth: usize) -> u64 {
        let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries = rustix::fs::open(folder, directory, Mode::empty()).and_then(Dir::new);
        let Ok(entries) = entries else {
            return 0;
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_owned());
        let names = names.filter(|name| !matches!(name.to_bytes(), b"." | b".."));
        let bytes = names.map(|name| {
            let path = folder.join(OsStr::from_bytes(name.to_bytes()));
            match rustix::fs::lstat(&path) {
                Ok(found) if FileType::from_raw_mode(found.st_mode).is_dir() && depth > 0 => {
                    self.bytes(&path, depth - 1)
                }
                Ok(found) => {
                    let size = u64::try_from(found.st_size).unwrap_or(0);
                    match found.st_nlink {
                        0 | 1 => size,
                        2 => size / 2,
                        _ => 0,
                    }
                }
                Err(_) => 0,
            }
        });
        bytes.sum()
    }

    /// The one that stays as it is.
    pub fn incumbent(&self) -> PathBuf {
        self.folder.join("incumbent")
    }

    /// The one that is changed.
    pub fn candidate(&self) -> PathBuf {
        self.folder.join("candidate")
    }
}

impl Drop for Clones {
    fn drop(&mut self) {
        if let Err(error) = OsFiles.remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "the clones of a rehearsal could not be removed");
        }
    }
}

/// Refuses where less than this is free on the disk of `data`.
fn check_room(data: &Path, bytes: u64) -> Result<()> {
    // Where it cannot be told, the clones are tried.
    let Ok(disk) = rustix::fs::statvfs(data) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= bytes {
        return Ok(());
    }
    Err(Error::exhausted(
        SqlState::DISK_FULL,
        format!(
            "a rehearsal may need {bytes} bytes of disk, and {free} are free beside {}",
            data.display()
        ),
    )
    .with_hint("Make room, then rehearse again."))
}

/// Removes what rehearsals left that were killed. Nobody else has the data directory open.
pub fn remove_left(data: &Path) {
    let folder = data.join(FOLDER);
    match OsFiles.remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, folder = %folder.display(), "what is left of rehearsals could not be removed");
        }
        _ => {}
    }
}
