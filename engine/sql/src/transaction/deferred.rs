//! Foreign keys that are looked at when the transaction commits.
//!
//! What a statement breaks of a deferred foreign key is written down and looked at again at the end, or when SET CONSTRAINTS says so. What
//! is written down stays until then even if it was found to be mended: a savepoint may bring it back.

use std::collections::HashSet;

use aion_base::id::TableId;
use aion_base::{Error, Result, SqlState};

use super::{Transaction, WRITE_SET_BYTES_MAX};

/// What was broken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deferred {
    /// The table that refers.
    pub child: TableId,
    /// The table referred to.
    pub parent: TableId,
    /// The constraint's name.
    pub name: String,
    /// The parent's key, without table and index, which may be others by then.
    pub values: Vec<u8>,
    /// A row came that refers; else the parent went.
    pub is_of_child: bool,
}

/// When foreign keys that may be deferred are looked at: all of them (None) or one, by table and name.
type Mode = (Option<(TableId, String)>, bool);

/// In the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Later {
    all: Vec<Deferred>,
    known: HashSet<Deferred>,
    bytes: usize,
    /// The last that says something of a foreign key holds.
    modes: Vec<Mode>,
}

/// A place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaterMark {
    count: usize,
    modes: usize,
}

impl Later {
    pub fn mark(&self) -> LaterMark {
        LaterMark {
            count: self.all.len(),
            modes: self.modes.len(),
        }
    }

    pub fn return_to(&mut self, mark: LaterMark) {
        for gone in self.all.split_off(mark.count.min(self.all.len())) {
            self.bytes -= size(&gone);
            self.known.remove(&gone);
        }
        self.modes.truncate(mark.modes);
    }

    fn add(&mut self, deferred: Deferred) -> Result<()> {
        if self.known.contains(&deferred) {
            return Ok(());
        }
        let bytes = size(&deferred);
        if self.bytes + bytes > WRITE_SET_BYTES_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("the transaction defers checks of more than {WRITE_SET_BYTES_MAX} bytes of keys"),
            )
            .with_hint("Split it into several transactions, or put rows behind those that they refer to."));
        }
        self.bytes += bytes;
        self.known.insert(deferred.clone());
        self.all.push(deferred);
        Ok(())
    }
}

fn size(deferred: &Deferred) -> usize {
    2 * (deferred.values.len() + deferred.name.len())
}

impl Transaction {
    /// Writes down what is to be looked at later.
    ///
    /// # Errors
    /// 54000 for too much.
    pub fn defer(&self, deferred: Deferred) -> Result<()> {
        self.state.lock().later.add(deferred)
    }

    /// What is to be looked at.
    pub fn deferred(&self) -> Vec<Deferred> {
        self.state.lock().later.all.clone()
    }

    /// Whether something is to be looked at for a table, at whichever end.
    pub fn has_deferred(&self, table: TableId) -> bool {
        let state = self.state.lock();
        let mut all = state.later.all.iter();
        all.any(|there| there.child == table || there.parent == table)
    }

    /// SET CONSTRAINTS, of all (None) or some.
    pub fn set_deferred(&self, keys: Option<Vec<(TableId, String)>>, is_deferred: bool) {
        let mut state = self.state.lock();
        let is_marked = state.is_marked;
        let modes = &mut state.later.modes;
        match keys {
            None => {
                if !is_marked {
                    modes.clear();
                }
                modes.push((None, is_deferred));
            }
            Some(keys) => {
                for key in keys {
                    if !is_marked {
                        modes.retain(|(there, _)| there.as_ref() != Some(&key));
                    }
                    modes.push((Some(key), is_deferred));
                }
            }
        }
    }

    /// Whether a foreign key that may be deferred is, if nothing else was said than `initially`.
    pub fn is_deferred(&self, child: TableId, name: &str, initially: bool) -> bool {
        let state = self.state.lock();
        let mut modes = state.later.modes.iter().rev();
        let said = modes.find(|(key, _)| {
            key.as_ref()
                .is_none_or(|(table, there)| *table == child && there == name)
        });
        said.map_or(initially, |(_, is_deferred)| *is_deferred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(value: u8) -> Deferred {
        Deferred {
            child: TableId(1),
            parent: TableId(2),
            name: "k".to_owned(),
            values: vec![value],
            is_of_child: true,
        }
    }

    #[test]
    fn what_came_after_a_mark_goes_with_it_and_may_come_again() {
        let mut later = Later::default();
        later.add(broken(1)).expect("room");
        let (mark, bytes) = (later.mark(), later.bytes);
        for value in [2, 1, 2] {
            later.add(broken(value)).expect("room");
        }
        assert_eq!(later.all, [broken(1), broken(2)]);
        later.return_to(mark);
        assert_eq!((&later.all, later.bytes), (&vec![broken(1)], bytes));
        later.add(broken(2)).expect("room");
        assert_eq!(later.all, [broken(1), broken(2)]);
    }
}
