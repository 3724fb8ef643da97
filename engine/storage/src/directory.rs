//! The data directory: its lock, its format, its parts.
//!
//! ```text
//! LOCK      held while open; names the process and how to connect
//! FORMAT    text: what this is, the format's version, properties fixed when it was made, and a checksum
//! data/     the rows (RocksDB)
//! log/      the log
//! staging-N links to files of the rows while a backup copies them, or files of a load that are not the rows' yet; what a killed process left goes at
//!           the next open
//! ```
//!
//! FORMAT is written first and last changed by a migration. A directory without it that is not empty is not ours and is
//! left alone.
//!
//! ```text
//! aion data directory
//! format 1
//! window_bytes 134217728
//! crc32c 1f2e3d4c
//! ```

use std::path::{Path, PathBuf};

use aion_base::files::{EntryKind, FileLock, Files, Open, OsFiles, read_all};
use aion_base::{Error, ErrorKind, Result, SqlState};

/// The version that this code writes.
pub const FORMAT_VERSION: u32 = 1;

const TITLE: &str = "aion data directory";
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const ROWS: &str = "data";
const LOG: &str = "log";
const STAGING: &str = "staging-";

/// An open, locked data directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    lock: FileLock,
    /// How many names of [`Directory::staging`] were given.
    stagings: u64,
    /// Bytes of log that a commit's read point may lie back; see [`crate::window`].
    pub window_bytes: u64,
}

impl Directory {
    /// Locks the directory at `path`; makes it where nothing is.
    ///
    /// # Errors
    /// 55006 while another process holds it; 0A000 for a newer format; corrupt for a damaged FORMAT; 22023 when the directory
    /// holds something else.
    pub fn open(path: &Path, window_bytes: u64) -> Result<Self> {
        let files = OsFiles;
        let failed = |what: &str, error| Error::io(format_args!("{what} {}", path.display()), error);
        files.create_dir_all(path).map_err(|error| failed("create", error))?;
        let names = files.list(path).map_err(|error| failed("list", error))?;
        let is_ours = names.iter().any(|name| name == FORMAT_FILE);
        let is_empty = names.iter().all(|name| name == LOCK_FILE || name == "FORMAT.new") && !has_parts(path);
        if !is_ours && !is_empty {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "{} is not empty and holds no {FORMAT_FILE} file: it is not an Aion data directory",
                    path.display()
                ),
            )
            .with_hint("Name another directory, or restore the file from a backup."));
        }
        let lock = FileLock::acquire(&path.join(LOCK_FILE), &format!("data directory {}", path.display()))?;
        let window_bytes = if is_ours {
            read_format(path)?
        } else {
            write_format(&files, path, FORMAT_VERSION, window_bytes)?;
            window_bytes
        };
        remove_staging(path).map_err(|error| failed("remove what a backup or a load left in", error))?;
        Ok(Self {
            path: path.to_path_buf(),
            lock,
            stagings: 0,
            window_bytes,
        })
    }

    /// Makes another directory in `path`, with the same properties.
    ///
    /// # Errors
    /// As [`Directory::open`]; 22023 where there is one already.
    pub fn new_like(&self, path: &Path) -> Result<Self> {
        if path.join(FORMAT_FILE).exists() {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("{} is a data directory already", path.display()),
            ));
        }
        Self::open(path, self.window_bytes)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the rows are.
    pub fn rows(&self) -> PathBuf {
        rows_in(&self.path)
    }

    /// Where the log is.
    pub fn log(&self) -> PathBuf {
        log_in(&self.path)
    }

    /// A name that is not there yet, on the disk of the rows, for what is needed for a while.
    pub fn staging(&mut self) -> Staging {
        self.stagings += 1;
        Staging(self.path.join(format!("{STAGING}{}", self.stagings)))
    }

    /// Says to whoever finds the directory locked how to connect.
    ///
    /// # Errors
    /// An IO error.
    pub fn describe(&mut self, hint: &str) -> Result<()> {
        self.lock.describe(hint)
    }
}

/// A folder of a data directory that is removed, with what is left in it, when this is dropped; at the latest by the next [`Directory::open`].
#[derive(Debug)]
pub struct Staging(pub PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        match OsFiles.remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, folder = %self.0.display(), "a folder that is no longer needed could not be removed");
            }
            _ => {}
        }
    }
}

/// Where the rows of a data directory are.
pub fn rows_in(path: &Path) -> PathBuf {
    path.join(ROWS)
}

/// Where the log of a data directory is.
pub fn log_in(path: &Path) -> PathBuf {
    path.join(LOG)
}

/// Whether the store makes what has this name in a data directory.
pub fn is_own_part(name: &str) -> bool {
    [ROWS, LOG, LOCK_FILE, FORMAT_FILE, "FORMAT.new"].contains(&name) || name.starts_with(STAGING)
}

fn has_parts(path: &Path) -> bool {
    rows_in(path).exists() || log_in(path).exists()
}

fn remove_staging(path: &Path) -> std::io::Result<()> {
    for (name, kind) in OsFiles.entries(path)? {
        if name.starts_with(STAGING) && kind == EntryKind::Directory {
            OsFiles.remove_dir_all(&path.join(name))?;
        }
    }
    Ok(())
}

fn format_text(version: u32, window_bytes: u64) -> String {
    let text = format!("{TITLE}\nformat {version}\nwindow_bytes {window_bytes}\n");
    let crc = crc32c::crc32c(text.as_bytes());
    format!("{text}crc32c {crc:08x}\n")
}

/// Makes a data directory of what is in `path`, all or nothing.
///
/// # Errors
/// An IO error.
pub fn write_format(files: &dyn Files, path: &Path, version: u32, window_bytes: u64) -> Result<()> {
    let text = format_text(version, window_bytes);
    write_whole(files, path, FORMAT_FILE, text.as_bytes())
        .map_err(|error| Error::io(format_args!("write {FORMAT_FILE} in {}", path.display()), error))
}

/// Writes a file in `dir` durably, under its name once it is whole.
pub fn write_whole(files: &dyn Files, dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = dir.join(format!("{name}.new"));
    match files.remove(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = files.open(&unfinished, Open::New)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    files.rename(&unfinished, &dir.join(name))?;
    files.sync_dir(dir)
}

fn read_format(path: &Path) -> Result<u64> {
    let file = path.join(FORMAT_FILE);
    let bytes = OsFiles.open(&file, Open::Existing).and_then(|file| read_all(&*file));
    let bytes = bytes.map_err(|error| Error::io(format_args!("read {}", file.display()), error))?;
    let damaged = || {
        Error::corrupt(format!("{} is damaged", file.display()))
            .with_hint("Restore this file from a backup; nothing was changed.")
    };
    let text = str::from_utf8(&bytes).map_err(|_| damaged())?;
    // The version comes first and has meaning in any format; the checksum ends any format.
    let (body, crc) = text
        .strip_suffix('\n')
        .and_then(|text| text.rsplit_once("crc32c "))
        .ok_or_else(damaged)?;
    if u32::from_str_radix(crc, 16).ok() != Some(crc32c::crc32c(body.as_bytes())) || crc.len() != 8 {
        return Err(damaged());
    }
    let mut lines = body.lines();
    if lines.next() != Some(TITLE) {
        return Err(damaged());
    }
    let version: u32 = lines
        .next()
        .and_then(|line| line.strip_prefix("format ")?.parse().ok())
        .ok_or_else(damaged)?;
    if version > FORMAT_VERSION {
        return Err(Error::new(
            ErrorKind::Invalid,
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "{} has format {version}; this version of aion reads formats up to {FORMAT_VERSION}",
                path.display()
            ),
        )
        .with_hint("Use a newer aion; nothing was changed."));
    }
    lines
        .next()
        .and_then(|line| line.strip_prefix("window_bytes ")?.parse().ok())
        .ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, bytes: &[u8]) {
        let _ = OsFiles.remove(path);
        OsFiles
            .open(path, Open::New)
            .and_then(|file| file.write_at(bytes, 0))
            .expect("written");
    }

    #[test]
    fn a_directory_opens_again_with_what_was_fixed_when_it_was_made() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(Directory::open(dir.path(), 77).expect("made").window_bytes, 77);
        assert_eq!(Directory::open(dir.path(), 99).expect("opened").window_bytes, 77);
    }

    #[test]
    fn a_newer_format_a_damaged_one_and_a_foreign_directory_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let format = dir.path().join("FORMAT");
        put(&format, format_text(FORMAT_VERSION + 1, 77).as_bytes());
        let error = Directory::open(dir.path(), 77).expect_err("newer");
        assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED);

        let text = format_text(FORMAT_VERSION, 77);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            put(&format, &bytes);
            let error = Directory::open(dir.path(), 77).expect_err("damaged");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}");
            assert!(error.message().contains("FORMAT"), "{error}");
        }
        OsFiles.remove(&format).expect("removed");
        put(&dir.path().join("letter.txt"), b"Dear reader");
        let error = Directory::open(dir.path(), 77).expect_err("foreign");
        assert!(error.message().contains("not an Aion data directory"), "{error}");
    }

    /// The format is frozen.
    #[test]
    fn the_text_is_the_format() {
        assert_eq!(
            format_text(1, 134_217_728),
            "aion data directory\nformat 1\nwindow_bytes 134217728\ncrc32c cc11c4bb\n"
        );
    }
}
