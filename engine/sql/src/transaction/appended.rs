//! A load's write set while its keys rise: a list.
//!
//! A *load* is a transaction that inserts, and in which nobody reads (see [`crate::dml::ManyRows`]). Rows whose keys lie behind all others of their
//! range cannot meet each other, so they need not be found again: they are appended as they are to be committed. The first key that may
//! lie between others moves all of them into the write set, where it is looked for.

use std::sync::Arc;

use aion_base::id::LogIndex;
use aion_base::{Error, Result, SqlState};
use aion_storage::{Change, Isolation, Store, Write};

use super::{Pending, Transaction, WRITE_SET_BYTES_MAX};

/// Keys and values in the order in which they were appended, one behind the other in one piece of memory.
#[derive(Debug, Default)]
pub struct Appended {
    bytes: Vec<u8>,
    /// Of each row, where its key and where its value ends.
    ends: Vec<(usize, usize)>,
    /// Of all of them.
    read_point: LogIndex,
}

impl Appended {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A row by its place.
    pub fn row(&self, at: usize) -> Option<(&[u8], &[u8])> {
        let &(key_end, end) = self.ends.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        Some((&self.bytes[start..key_end], &self.bytes[key_end..end]))
    }

    fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).filter_map(|at| self.row(at))
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    /// The read point of the rows; None where there are none.
    pub(super) fn read_point(&self) -> Option<LogIndex> {
        (self.len() > 0).then_some(self.read_point)
    }

    pub(super) fn into_writes(self) -> Vec<Write> {
        let writes = self.rows().map(|(key, value)| Write {
            key: key.to_vec(),
            change: Change::Insert(value.to_vec()),
            read_point: self.read_point,
        });
        writes.collect()
    }
}

impl Transaction {
    /// A load. What it reads is nobody's, so there is nothing to protect it from: READ COMMITTED.
    pub fn begin_load(store: Arc<Store>) -> Self {
        let load = Self::begin(store, true);
        load.set_isolation(Isolation::ReadCommitted);
        load.state.lock().appended = Some(Appended::default());
        load
    }

    /// Whether each key that was inserted into this load lies behind those before it in its range.
    pub fn is_rising(&self) -> bool {
        self.state.lock().appended.is_some()
    }

    /// Appends a key that lies behind all others of its range; false, and nothing is done, where this is no load or no longer rising.
    pub(super) fn append(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        let mut state = self.state.lock();
        let Some(is_first) = state.appended.as_ref().map(|appended| appended.len() == 0) else {
            return Ok(false);
        };
        let read_point = match is_first {
            true => Some(self.view_of(&mut state, key)?.read_point),
            false => None,
        };
        state.bytes += key.len() + value.len();
        if state.bytes > WRITE_SET_BYTES_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a part of a load has more than {WRITE_SET_BYTES_MAX} bytes"),
            ));
        }
        if let Some(appended) = &mut state.appended {
            appended.read_point = read_point.unwrap_or(appended.read_point);
            appended.push(key, value);
        }
        Ok(true)
    }

    /// From here on keys of this load may lie between others.
    pub(super) fn end_appending(&self) {
        let mut state = self.state.lock();
        let Some(appended) = state.appended.take() else { return };
        for (key, value) in appended.rows() {
            // Its bytes are counted already.
            let pending = Pending {
                value: Some(value.into()),
                was_absent: true,
                read_point: appended.read_point,
            };
            state.writes.insert(key.to_vec(), pending);
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

    /// What a load has written while its keys have risen; None where they no longer do. It is empty then.
    pub fn take_appended(&self) -> Option<Appended> {
        std::mem::take(&mut *self.state.lock()).appended
    }
}
