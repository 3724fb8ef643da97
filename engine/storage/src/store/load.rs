//! Loading rows beside the log, into a range of keys that is nobody's yet.
//!
//! **Vocabulary.** A range is *nobody's* when a commit has noted that its keys are to be cleared away, and somebody above the store, who is
//! the only one to use it, sees to it that they are not. A later commit takes the note back, and says whose the range is.
//!
//! **Guarantee.** What [`Store::load`] has put there is durable when it returns, so that commit need only say that it is there: after a crash the
//! rows are there if it is, and cleared away if it is not. For the files of the rows are durable before the commit is proposed, and the
//! note was durable before the first of them. A backup and a clone copy the files as they are after some entry of the log: those that have
//! the commit have the files that were there before it.
//!
//! **Who is not told.** As with [`super::clear`]: the window, because nobody else reads or writes in the range; followers, which learn of the
//! range by the commit that makes it somebody's; the log. Whoever replays the log elsewhere, as a replica will, has not the
//! rows: where there are replicas, rows have to go through the log, or the files to be sent ahead of the commit.

use std::path::Path;

use aion_base::files::{Files, OsFiles};
use aion_base::{Error, Result};

use super::{Core, Store};
use crate::rows::{RisingRows, Rows};

impl Store {
    /// Puts rows into a range that is nobody's and has no keys between the first and the last of them; see the module's header. They have the time of the
    /// last commit. Takes as long as `rows` takes to give them.
    ///
    /// # Errors
    /// Whatever `rows` says; 53100 where the disk is full, and other IO errors. Some of the first rows may be there then.
    pub fn load(&self, rows: &mut dyn RisingRows) -> Result<()> {
        let timestamp = self.snapshot().read_point()?.timestamp;
        let Core::Durable(durable) = &self.core else {
            return self.rows.ingest(Path::new(""), timestamp, rows);
        };
        let folder = durable.directory.lock().staging();
        let made = OsFiles.create_dir_all(&folder.0);
        made.map_err(|error| Error::io(format_args!("create {}", folder.0.display()), error))?;
        self.rows.ingest(&folder.0, timestamp, rows)
    }
}

#[cfg(test)]
mod tests;
