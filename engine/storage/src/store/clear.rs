//! Removing ranges of keys that nobody reads or writes any more.
//!
//! **Vocabulary.** A range is *dropped* by a commit that notes it: what used it uses another from then on. Somebody above the store
//! *clears* it later, and takes the note back once that is done.
//!
//! **Guarantee.** When [`Store::clear`] returns, no crash and no replay brings a key of the range back, provided that the
//! commit that dropped it was acknowledged before, and that no commit after it writes in the range. For then:
//! 1. Every write in the range was applied before the removal, because the log is applied in order. So was `applied` at or
//!    above the entry that dropped it.
//! 2. The families of the rows are flushed together, as a prefix of what was written to them. So a state on disk that has the
//!    removal has those writes before it, and a durable `applied` at or above the entry that dropped the range.
//! 3. The flush has put such a state on disk before [`Store::clear`] returns. A later open replays only what is after the durable
//!    `applied`, and nothing there writes in the range.
//!
//! A crash before the flush leaves a state without the removal, or with it; the note is in both, and clearing what is
//! clear already changes nothing. The note must go by a commit proposed after the return.
//!
//! **Who is not told.** The window decides by keys of commits, and no commit to come touches the range; followers
//! forgot it with the commit that dropped it; counters count commits. Removing is no entry of the log: what
//! replays the log up to the note has the note, and clears for itself.
//!
//! Snapshots taken before keep seeing the keys, and keep them on disk. Older versions go with the keys: while history is kept, whoever clears waits until the
//! horizon has reached the commit that dropped the range (see [`super::history`]).

use aion_base::range::KeyRange;
use aion_base::{Error, Result};

use super::{Core, Store};
use crate::rows::Rows;

impl Store {
    /// Removes all keys of `ranges`, durably, and gives their disk back as far as no snapshot sees them. Each range holds all keys
    /// that begin with its start, as those of a table do, and is used by nobody any more; see the module's header. Takes about as long as
    /// reading the ranges from disk; commits do not wait for it.
    ///
    /// # Errors
    /// 53100 where the disk is full, or another IO error: whether the keys are gone is unknown then, and clearing again is harmless.
    pub fn clear(&self, ranges: &[KeyRange]) -> Result<()> {
        self.clear_while(ranges, &|| true)
    }

    /// As [`Store::clear`]; but from the first range on before which `go_on` says no, the disk is given back by compactions to come.
    ///
    /// # Errors
    /// As [`Store::clear`].
    pub fn clear_while(&self, ranges: &[KeyRange], go_on: &dyn Fn() -> bool) -> Result<()> {
        let Core::Durable(durable) = &self.core else {
            return self.rows.clear(ranges);
        };
        let before = durable.shared.applier.lock().applied();
        self.rows.clear(ranges)?;
        self.flush()?;
        let after = self.rows.durable_applied()?;
        if after.index < before.index {
            return Err(Error::internal(format!(
                "the rows were flushed, and only what is up to entry {} is durable instead of {}",
                after.index, before.index
            )));
        }
        // Removed is removed: from here on it is only about the disk.
        for range in ranges.iter().take_while(|_| go_on()) {
            self.rows.compact(std::slice::from_ref(range));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
