//! What system tables and functions may know of a session, and what a function may set in it.

use super::Session;
use crate::system::Identity;

impl Session {
    /// Tells the session the number by which cancel requests name it, for `pg_backend_pid()`.
    pub fn set_process_id(&mut self, process_id: i32) {
        self.process_id = process_id;
    }

    /// Whose session it is, at this moment.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            user: self.options.user.clone(),
            database: self.options.database.clone(),
            settings: self.settings.clone(),
            process_id: self.process_id,
            assigned: self.assigned.clone(),
            sequences: self.engine.sequences.clone(),
            numbers: self.numbers.clone(),
            observer: self.engine.options.observer.clone(),
            pipeline: self.engine.options.pipeline.clone(),
        }
    }

    /// Takes over what functions set. They run while rows are read, when nobody holds the session.
    pub(super) fn assign(&mut self) {
        let assigned = std::mem::take(&mut *self.assigned.lock());
        for (name, value, is_local) in assigned {
            // Checked by the function. Outside of a block, what is for the transaction alone is over with the statement.
            let _ = match (is_local, self.block.is_some()) {
                (false, _) => self.settings.set(&name, &value),
                (true, true) => self.settings.set_local(&name, &value),
                (true, false) => Ok(()),
            };
        }
    }
}
