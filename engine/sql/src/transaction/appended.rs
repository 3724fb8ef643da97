//! A load's write set while its keys rise: a list.
//!
//! A *load* is a transaction that inserts, and in which nobody reads (see [`crate::dml::ManyRows`]). Rows whose keys lie behind all others of their
//! range cannot meet each other, so they need not be found again: they are appended as they are to be committed. The first key that may
//! lie between others moves all of them into the write set, where it is looked for.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_storage::{Change, Isolation, Store, Write};

use super::{Pending, State, Transaction, WRITE_SET_BYTES_MAX};

impl Transaction {
    /// A load. What it reads is nobody's, so there is nothing to protect it from: READ COMMITTED.
    pub fn begin_load(store: Arc<Store>) -> Self {
        let load = Self::begin(store, true);
        load.set_isolation(Isolation::ReadCommitted);
        load.state.lock().appended = Some(Vec::new());
        load
    }

    /// Whether each key that was inserted into this load lies behind those before it in its range.
    pub fn is_rising(&self) -> bool {
        self.state.lock().appended.is_some()
    }

    /// Appends a key that lies behind all others of its range; false, and nothing is done, where this is no load or no longer rising.
    pub(super) fn append(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        let mut state = self.state.lock();
        let Some(last) = state.appended.as_ref().map(|appended| appended.last()) else {
            return Ok(false);
        };
        let read_point = match last {
            Some(last) => last.read_point,
            None => self.view_of(&mut state, key)?.read_point,
        };
        state.bytes += key.len() + value.len();
        if state.bytes > WRITE_SET_BYTES_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a part of a load has more than {WRITE_SET_BYTES_MAX} bytes"),
            ));
        }
        let write = Write {
            key: key.to_vec(),
            change: Change::Insert(value.to_vec()),
            read_point,
        };
        if let Some(appended) = &mut state.appended {
            appended.push(write);
        }
        Ok(true)
    }

    /// From here on keys of this load may lie between others.
    pub(super) fn end_appending(&self) {
        let mut state = self.state.lock();
        for write in state.appended.take().unwrap_or_default() {
            state.settle(write);
        }
    }

    /// What a load has written so far, in order; it is empty then.
    pub fn take_load(&self) -> Vec<(Vec<u8>, Arc<[u8]>)> {
        self.end_appending();
        let state = std::mem::take(&mut *self.state.lock());
        let writes = state.writes.into_iter();
        writes
            .filter_map(|(key, pending)| Some((key, pending.value?)))
            .collect()
    }
}

impl State {
    /// Moves an appended write into the write set. Its bytes are counted already.
    fn settle(&mut self, write: Write) {
        let Change::Insert(value) = write.change else { return };
        let pending = Pending {
            value: Some(value.into()),
            was_absent: true,
            read_point: write.read_point,
        };
        self.writes.insert(write.key, pending);
    }
}
