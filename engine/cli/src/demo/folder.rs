//! The folder of the evidence, and the data directories below it.

use std::path::{Path, PathBuf};

use aion_base::files::FileLock;
use aion_base::{Error, Result, SqlState};
use aion_shadow::ledger;

/// The folder that `--out` names.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder and removes the data directories that a former run left in it, and nothing else.
    pub fn prepare(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| Error::io(format_args!("create {}", path.display()), error))?;
        let folder = Self {
            path: path.to_path_buf(),
        };
        for name in ["data", "kill", "power-cut"] {
            remove_data_directory(&path.join(name))?;
        }
        Ok(folder)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the flights are loaded to.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Writes the hashes of files into `SHA256SUMS`, as `sha256sum` does.
    pub fn seal(&self, names: &[&str]) -> Result<()> {
        let mut sums = String::new();
        for name in names {
            let path = self.path.join(name);
            let bytes =
                std::fs::read(&path).map_err(|error| Error::io(format_args!("read {}", path.display()), error))?;
            sums.push_str(&format!("{}  {name}\n", ledger::sha256(&bytes)));
        }
        self.write("SHA256SUMS", &sums)
    }

    /// Writes a file of evidence.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path.join(name);
        std::fs::write(&path, text).map_err(|error| Error::io(format_args!("write {}", path.display()), error))
    }
}

/// Removes a data directory that nobody has open.
pub fn remove_data_directory(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    if !path.join("FORMAT").is_file() {
        return Err(Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("{} is in the way: it is not an Aion data directory", path.display()),
        )
        .with_hint("Name another folder with --out, or move it away."));
    }
    let _lock = FileLock::acquire(&path.join("LOCK"), &format!("data directory {}", path.display()))?;
    std::fs::remove_dir_all(path).map_err(|error| Error::io(format_args!("remove {}", path.display()), error))
}

/// The bytes of all files below `path`.
pub fn bytes_below(path: &Path) -> Result<u64> {
    let failed = |error| Error::io(format_args!("read the folder {}", path.display()), error);
    let mut bytes = 0;
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        bytes += if metadata.is_dir() {
            bytes_below(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use aion_storage::{Store, StoreOptions};

    use super::*;

    #[test]
    fn a_former_run_is_removed_and_a_foreign_folder_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        let store = Store::open(&data, StoreOptions::default()).expect("opens");
        let error = Folder::prepare(dir.path()).expect_err("in use");
        assert_eq!(error.state(), SqlState::OBJECT_IN_USE);
        store.close().expect("closes");
        assert!(bytes_below(&data).expect("readable") > 0);
        Folder::prepare(dir.path()).expect("nobody has it open");
        assert!(!data.exists());

        std::fs::create_dir(&data).expect("made");
        std::fs::write(data.join("letter.txt"), "Dear reader").expect("written");
        let error = Folder::prepare(dir.path()).expect_err("not ours");
        assert!(error.message().contains("is in the way"), "{error}");
        assert!(data.join("letter.txt").exists());
    }
}
