//! A second store with the rows of the first, and what rows take on disk.

use std::path::Path;
use std::sync::Arc;

use aion_base::files::{Files, OsFiles};
use aion_base::id::LogIndex;
use aion_base::range::KeyRange;
use aion_base::{Error, Result};

use super::{Core, Store};
use crate::log::{Log, LogOptions};
use crate::rows::Rows;

impl Store {
    /// Makes a clone in `path`, which is empty or not there: a store of its own that holds all that was acknowledged before the call
    /// and knows nothing of this one. The files of the rows are hard links, so it must be on the same disk, and it keeps them there for as
    /// long as it exists. Commits wait while the last of the rows is flushed. Answers the last entry that is in it.
    ///
    /// # Errors
    /// 0A000 for a store in memory; 22023 where something is in `path`; 53100 where the disk is full. What was made by then is for
    /// the caller to remove.
    pub fn clone_to(&self, path: &Path) -> Result<LogIndex> {
        let Core::Durable(durable) = &self.core else {
            return Err(Error::unsupported("a database in memory cannot be cloned"));
        };
        // Most of it, before anybody waits.
        self.flush()?;
        let mut directory = durable.directory.lock().new_like(path)?;
        directory.describe("a rehearsal is being prepared in it")?;
        let applied = {
            let applier = durable.shared.applier.lock();
            self.rows.clone_to(&directory.rows())?;
            applier.applied()
        };
        let files: Arc<dyn Files> = Arc::new(OsFiles);
        Log::create(files, &directory.log(), LogOptions::default(), applied.index.next())?;
        Ok(applied.index)
    }

    /// Bytes that the rows take on disk, flushed for that; 0 in memory.
    ///
    /// # Errors
    /// An IO error.
    pub fn disk_bytes(&self) -> Result<u64> {
        self.flush()?;
        self.rows.disk_bytes()
    }

    /// About how many bytes a range of keys takes in files; what is not flushed yet is not counted.
    pub fn file_bytes_of(&self, range: &KeyRange) -> u64 {
        self.rows.disk_bytes_of(range)
    }

    /// About how many bytes a range of keys takes on disk, flushed for that; 0 in memory.
    ///
    /// # Errors
    /// An IO error.
    pub fn disk_bytes_of(&self, range: &KeyRange) -> Result<u64> {
        self.flush()?;
        Ok(self.rows.disk_bytes_of(range))
    }
}
