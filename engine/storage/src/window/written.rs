//! What was written between two entries of the log, for who checks it without keeping the window locked.
//!
//! A read set may have many ranges and the window a million keys. So the window only hands out keys, some at a time, and
//! they are compared elsewhere. What it hands out is exact: each entry's keys are remembered with it, whether later entries wrote them
//! again or not. Of a staged commit it is the spans of its stages.

use std::sync::Arc;

use aion_base::id::LogIndex;
use aion_base::range::KeyRange;

use super::{Window, rejection};
use crate::commit::{Reason, Rejection};

/// Where a reader of the window goes on: at a key of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    entry: LogIndex,
    key: usize,
}

impl Place {
    /// Before everything that entries after `index` wrote.
    pub fn after(index: LogIndex) -> Self {
        Self {
            entry: index.next(),
            key: 0,
        }
    }
}

impl Window {
    /// The last entry that it remembers, or the floor.
    pub fn last(&self) -> LogIndex {
        self.entries.back().map_or(self.floor, |entry| entry.index)
    }

    /// Puts the keys that commits from `place` to `to` wrote into `keys`, at most `steps_max` of them, and says where to go on; None at
    /// the end. An entry counts as a step too.
    ///
    /// # Errors
    /// [`Reason::TooOld`] where an entry in question is remembered no longer.
    pub fn written(
        &self,
        place: Place,
        to: LogIndex,
        steps_max: usize,
        keys: &mut Vec<Arc<[u8]>>,
    ) -> Result<Option<Place>, Rejection> {
        if place.entry <= self.floor {
            return Err(rejection(Reason::TooOld, &[]));
        }
        let mut steps = 0;
        let mut skipped = place.key;
        let first = self.entries.partition_point(|entry| entry.index < place.entry);
        for entry in self.entries.range(first..).take_while(|entry| entry.index <= to) {
            let room = steps_max.saturating_sub(steps);
            let rest = &entry.keys[skipped..];
            if room == 0 || rest.len() > room {
                keys.extend(rest.iter().take(room).cloned());
                let place = Place {
                    entry: entry.index,
                    key: skipped + room,
                };
                return Ok(Some(place));
            }
            keys.extend(rest.iter().cloned());
            steps += 1 + rest.len();
            skipped = 0;
        }
        Ok(None)
    }

    /// The spans of staged commits after `from`, up to `to`.
    pub fn spans_between(&self, from: LogIndex, to: LogIndex) -> Vec<KeyRange> {
        let spans = self.spans_since(from).take_while(|(index, _)| *index <= to);
        spans.map(|(_, span)| span.clone()).collect()
    }
}
