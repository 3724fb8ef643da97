//! What a backup says of itself.
//!
//! ```text
//! {
//!   "title": "aion backup",
//!   "backup_format": 1,              of this text and of the folder
//!   "store_format": 1,               of the rows: what FORMAT says of a data directory
//!   "window_bytes": 134217728,       fixed when the data directory was made
//!   "created_at_micros": ..,         wall clock, since 1970
//!   "applied_index": .., "applied_term": .., "last_commit_micros": ..,   the last entry of the log in it
//!   "rows": ..,                      keys, of tables and of their indexes
//!   "files": [ { "path": "data/000012.sst", "bytes": .., "sha256": ".." }, .. ],     in order of their paths
//!   "manifest_sha256": ".."          of every byte before the comma that stands in front of it
//! }
//! ```
//!
//! **Guarantees.** One changed byte is one too many, white space included: the text has that hash, and what follows it is
//! exactly as drawn. This holds in any format to come, so a newer one is told from a damaged one. Paths are relative,
//! without `..`, and each stands there once: restoring writes nowhere else.

use std::path::{Component, Path};

use aion_base::files::{Files, Open, read_all};
use aion_base::id::{LogIndex, Term, Timestamp};
use aion_base::{Error, ErrorKind, Result, SqlState};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BackupReport;
use crate::directory::{FORMAT_VERSION, is_own_part, rows_in, write_whole};
use crate::rows::Applied;

/// The name of the manifest in a backup.
pub const MANIFEST_FILE: &str = "backup.json";

/// The version that this code writes.
const BACKUP_FORMAT: u32 = 1;

const TITLE: &str = "aion backup";
const HASH_LINE: &str = ",\n  \"manifest_sha256\": \"";

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the backup, and to the data directory; with `/`.
    pub path: String,
    pub bytes: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    title: String,
    backup_format: u32,
    pub store_format: u32,
    pub window_bytes: u64,
    created_at_micros: u64,
    applied_index: u64,
    applied_term: u64,
    last_commit_micros: u64,
    rows: u64,
    pub files: Vec<FileEntry>,
}

/// What any format has.
#[derive(Deserialize)]
struct Formats {
    title: String,
    backup_format: u32,
    store_format: u32,
}

impl Manifest {
    pub fn new(window_bytes: u64, created_at_micros: u64, applied: Applied, rows: u64, files: Vec<FileEntry>) -> Self {
        let mut manifest = Self {
            title: TITLE.to_owned(),
            backup_format: BACKUP_FORMAT,
            store_format: FORMAT_VERSION,
            window_bytes,
            created_at_micros,
            applied_index: applied.index.0,
            applied_term: applied.term.0,
            last_commit_micros: applied.timestamp.0,
            rows,
            files,
        };
        manifest.files.sort_by(|left, right| left.path.cmp(&right.path));
        manifest
    }

    pub fn applied(&self) -> Applied {
        Applied {
            index: LogIndex(self.applied_index),
            term: Term(self.applied_term),
            timestamp: Timestamp(self.last_commit_micros),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub fn report(&self) -> BackupReport {
        BackupReport {
            index: LogIndex(self.applied_index),
            last_commit: Timestamp(self.last_commit_micros),
            created_at_micros: self.created_at_micros,
            rows: self.rows,
            files: self.files.len() as u64,
            bytes: self.bytes(),
        }
    }

    /// Makes what is in `dir` a backup, all or nothing.
    pub fn write(&self, files: &dyn Files, dir: &Path) -> Result<()> {
        write_whole(files, dir, MANIFEST_FILE, self.encode().as_bytes())
            .map_err(|error| Error::io(format_args!("write {MANIFEST_FILE} in {}", dir.display()), error))
    }

    /// Reads the manifest of the backup in `dir`.
    ///
    /// # Errors
    /// 58P01 where there is no such directory; 22023 where it holds no manifest; 0A000 for a newer format; corrupt for a damaged one.
    pub fn read(files: &dyn Files, dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST_FILE);
        let failed = |error| Error::io(format_args!("read {}", path.display()), error);
        let file = match files.open(&path, Open::ReadOnly) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && dir.is_dir() => {
                return Err(Error::invalid(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!(
                        "{} holds no {MANIFEST_FILE}: it is no backup, or one that was not finished",
                        dir.display()
                    ),
                )
                .with_hint("Name a finished backup. One that was interrupted cannot be used, and can be removed."));
            }
            opened => opened.map_err(failed)?,
        };
        let bytes = read_all(&*file).map_err(failed)?;
        Self::decode(&bytes, &path)
    }

    fn encode(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("strings and numbers are JSON");
        let body = text.strip_suffix("\n}").expect("a pretty object ends so");
        format!("{body}{}", last_line(body))
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |what: &str| {
            Error::corrupt(format!("{} is damaged: {what}", path.display()))
                .with_hint("Use another backup; nothing was changed.")
        };
        let text = str::from_utf8(bytes).map_err(|_| damaged("it is no UTF-8"))?;
        let body = text.rfind(HASH_LINE).map(|at| &text[..at]);
        let body = body.ok_or_else(|| damaged("it does not end with its hash"))?;
        if text[body.len()..] != last_line(body) {
            return Err(damaged("its hash is not that of its text"));
        }
        let object = format!("{body}\n}}");
        let formats: Formats = serde_json::from_str(&object).map_err(|error| damaged(&error.to_string()))?;
        if formats.title != TITLE {
            return Err(damaged("it is about something else"));
        }
        for (what, version, known) in [
            ("backup format", formats.backup_format, BACKUP_FORMAT),
            ("rows of format", formats.store_format, FORMAT_VERSION),
        ] {
            if version > known {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "{} has {what} {version}; this version of aion reads up to {known}",
                        path.display()
                    ),
                )
                .with_hint("Use a newer aion; nothing was changed."));
            }
        }
        let manifest: Self = serde_json::from_str(&object).map_err(|error| damaged(&error.to_string()))?;
        let are_in_order = manifest.files.windows(2).all(|pair| pair[0].path < pair[1].path);
        if !are_in_order || !manifest.files.iter().all(|file| may_hold(Path::new(&file.path))) {
            return Err(damaged("a path in it is not one of a file in a backup"));
        }
        Ok(manifest)
    }
}

fn last_line(body: &str) -> String {
    format!("{HASH_LINE}{}\"\n}}\n", hex(Sha256::digest(body.as_bytes()).as_slice()))
}

/// Whether a backup may hold a file with this path: one of the rows, or one that is not the store's.
fn may_hold(path: &Path) -> bool {
    let is_of_rows = is_below(path) && path.starts_with(rows_in(Path::new(""))) && path.components().count() > 1;
    is_of_rows || is_extra(path)
}

/// Whether a path is one of a file in the data directory that is not the store's.
pub fn is_extra(path: &Path) -> bool {
    let first = path.iter().next().unwrap_or_default().to_string_lossy();
    is_below(path) && !is_own_part(&first) && !first.starts_with(MANIFEST_FILE)
}

/// Whether a path stays below the directory that it is relative to.
fn is_below(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let entry = |path: &str| FileEntry {
            path: path.to_owned(),
            bytes: 3,
            sha256: hex(Sha256::digest(b"abc").as_slice()),
        };
        let applied = Applied {
            index: LogIndex(7),
            term: Term(1),
            timestamp: Timestamp(1_700_000_000_000_001),
        };
        Manifest::new(
            134_217_728,
            1_700_000_000_000_002,
            applied,
            42,
            vec![entry("vectors/a \"b\".hnsw"), entry("data/000012.sst")],
        )
    }

    fn decode(text: &[u8]) -> Result<Manifest> {
        Manifest::decode(text, Path::new("backup.json"))
    }

    /// The format is frozen.
    #[test]
    fn the_text_is_the_format() {
        let text = manifest().encode();
        assert_eq!(
            text,
            r#"{
  "title": "aion backup",
  "backup_format": 1,
  "store_format": 1,
  "window_bytes": 134217728,
  "created_at_micros": 1700000000000002,
  "applied_index": 7,
  "applied_term": 1,
  "last_commit_micros": 1700000000000001,
  "rows": 42,
  "files": [
    {
      "path": "data/000012.sst",
      "bytes": 3,
      "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    },
    {
      "path": "vectors/a \"b\".hnsw",
      "bytes": 3,
      "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    }
  ],
  "manifest_sha256": "2f134e724ee527b4e95d2887bf53fdeb80e723e3531ffe418154e9dc094848c2"
}
"#
        );
        assert_eq!(decode(text.as_bytes()).expect("its own text"), manifest());
    }

    #[test]
    fn every_flipped_bit_and_every_missing_end_is_refused() {
        let text = manifest().encode().into_bytes();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                let error = decode(&flipped).expect_err("flipped");
                assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit} of byte {at}");
            }
            assert_eq!(
                decode(&text[..at]).expect_err("cut").kind(),
                ErrorKind::Corrupt,
                "cut at {at}"
            );
        }
    }

    #[test]
    fn a_newer_format_and_a_path_that_leads_out_are_refused() {
        let mut newer = manifest();
        newer.backup_format += 1;
        let error = decode(newer.encode().as_bytes()).expect_err("newer");
        assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED);
        let mut newer = manifest();
        newer.store_format += 1;
        let error = decode(newer.encode().as_bytes()).expect_err("newer");
        assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED);
        for path in [
            "/etc/passwd",
            "../x",
            "data/../../x",
            "",
            "data/./../x",
            "data",
            "log/x",
            "FORMAT",
            MANIFEST_FILE,
        ] {
            let mut outside = manifest();
            outside.files[0].path = path.to_owned();
            let error = decode(outside.encode().as_bytes()).expect_err("outside");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{path}");
        }
        let mut twice = manifest();
        twice.files[1] = twice.files[0].clone();
        assert_eq!(
            decode(twice.encode().as_bytes()).expect_err("twice").kind(),
            ErrorKind::Corrupt
        );
    }
}
