//! A database's folder, and what was loaded into it.
//!
//! A run takes up what an earlier one loaded with the same options, and loads anew otherwise. What is there stands in the file
//! `LOADED`, which is written last and taken away before anything changes that it says: so a run that was cut short is not taken up.
//! Only folders that this program made are ever removed.

use std::path::{Path, PathBuf};

use aion_base::{Error, Result};

const LOADED: &str = "LOADED";

/// See the module's header.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder `name` of ours below `dir`, which is made where it is missing.
    ///
    /// # Errors
    /// An IO error.
    pub fn open(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(format!("aion-peers-{name}"));
        std::fs::create_dir_all(&path).map_err(|error| Error::io(format_args!("make {}", path.display()), error))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is loaded; None where nothing is, or only a part.
    pub fn loaded(&self) -> Option<String> {
        std::fs::read_to_string(self.path.join(LOADED)).ok()
    }

    /// Notes what is loaded now.
    ///
    /// # Errors
    /// An IO error.
    pub fn note(&self, loaded: &str) -> Result<()> {
        let path = self.path.join(LOADED);
        std::fs::write(&path, loaded).map_err(|error| Error::io(format_args!("write {}", path.display()), error))
    }

    /// Nobody takes up what is there, until it is noted again.
    ///
    /// # Errors
    /// An IO error.
    pub fn forget(&self) -> Result<()> {
        let path = self.path.join(LOADED);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format_args!("remove {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Removes all that is in it.
    ///
    /// # Errors
    /// An IO error.
    pub fn empty(&self) -> Result<()> {
        self.remove()?;
        std::fs::create_dir(&self.path).map_err(|error| Error::io(format_args!("make {}", self.path.display()), error))
    }

    /// Removes it.
    ///
    /// # Errors
    /// An IO error.
    pub fn remove(&self) -> Result<()> {
        let failed = |error| Error::io(format_args!("remove {}", self.path.display()), error);
        std::fs::remove_dir_all(&self.path).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_loaded_is_known_until_it_is_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Folder::open(dir.path(), "thing").expect("opened");
        assert_eq!(open().loaded(), None);
        open().note("10 rows").expect("noted");
        assert_eq!(open().loaded().as_deref(), Some("10 rows"));
        open().forget().expect("forgotten");
        open().forget().expect("forgotten already");
        assert_eq!(open().loaded(), None);
        open().note("11 rows").expect("noted");
        open().empty().expect("emptied");
        assert_eq!(open().loaded(), None);
    }
}
