//! The clones of one rehearsal, removed with it.

use std::path::{Path, PathBuf};

use aion_base::files::{Files, OsFiles};
use aion_base::{Error, Result, rng};
use aion_storage::Store;

/// Where clones are, in the data directory.
const FOLDER: &str = "clones";

/// Two clones in a folder of their own.
#[derive(Debug)]
pub struct Clones {
    folder: PathBuf,
}

impl Clones {
    /// Makes both, of one moment: if somebody commits between them, both are made again.
    ///
    /// # Errors
    /// 55006 where commits never pause; 53100 where the disk is full, and an IO error. Nothing is left then.
    pub fn make(store: &Store, data: &Path) -> Result<Self> {
        const TRIES: usize = 20;
        for _ in 0..TRIES {
            let folder = data.join(FOLDER).join(format!("{:016x}", rng::entropy()));
            let clones = Self { folder };
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
            aion_base::SqlState::OBJECT_IN_USE,
            "the database is written to without a pause, so no two clones of one moment could be made",
        )
        .with_hint("Rehearse when there is less to do."))
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
