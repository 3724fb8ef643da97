//! A scan of the snapshot with the transaction's own changes over it.

use std::sync::Arc;

use aion_base::Result;
use aion_storage::{Direction, Scan};

/// A key that the transaction changed, and its new value; None deletes.
pub type OwnChange = (Vec<u8>, Option<Arc<[u8]>>);

/// Merges two ordered sources; where both have a key, the own change counts.
pub struct TransactionScan {
    committed: Box<dyn Scan>,
    committed_state: Source,
    own: std::vec::IntoIter<OwnChange>,
    next_own: Option<OwnChange>,
    direction: Direction,
    current: Current,
}

#[derive(PartialEq)]
enum Source {
    /// Must be moved before it is looked at.
    Behind,
    At,
    End,
}

enum Current {
    None,
    Committed,
    Own(Vec<u8>, Arc<[u8]>),
}

impl TransactionScan {
    /// `own` is in the order of the scan; None deletes.
    pub(super) fn new(committed: Box<dyn Scan>, own: Vec<OwnChange>, direction: Direction) -> Self {
        let mut own = own.into_iter();
        let next_own = own.next();
        Self {
            committed,
            committed_state: Source::Behind,
            own,
            next_own,
            direction,
            current: Current::None,
        }
    }

    /// Moves to the next key; false when there is none.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            if self.committed_state == Source::Behind {
                self.committed_state = if self.committed.advance()? {
                    Source::At
                } else {
                    Source::End
                };
            }
            let Some((own_key, _)) = &self.next_own else {
                return Ok(self.take_committed());
            };
            if self.committed_state == Source::At {
                let ordering = match self.direction {
                    Direction::Forward => self.committed.key().cmp(own_key),
                    Direction::Backward => own_key.as_slice().cmp(self.committed.key()),
                };
                match ordering {
                    std::cmp::Ordering::Less => return Ok(self.take_committed()),
                    std::cmp::Ordering::Equal => self.committed_state = Source::Behind,
                    std::cmp::Ordering::Greater => {}
                }
            }
            let own = std::mem::replace(&mut self.next_own, self.own.next());
            if let Some((key, Some(value))) = own {
                self.current = Current::Own(key, value);
                return Ok(true);
            }
        }
    }

    fn take_committed(&mut self) -> bool {
        let is_there = self.committed_state == Source::At;
        self.current = if is_there { Current::Committed } else { Current::None };
        if is_there {
            self.committed_state = Source::Behind;
        }
        is_there
    }

    /// The key it stands on.
    pub fn key(&self) -> &[u8] {
        match &self.current {
            Current::None => &[],
            Current::Committed => self.committed.key(),
            Current::Own(key, _) => key,
        }
    }

    /// The value it stands on.
    pub fn value(&self) -> &[u8] {
        match &self.current {
            Current::None => &[],
            Current::Committed => self.committed.value(),
            Current::Own(_, value) => value,
        }
    }
}
