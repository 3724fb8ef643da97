//! Sequences.

use aion_base::id::TableId;
use serde::{Deserialize, Serialize};

use super::ColumnId;

/// A sequence: how its numbers follow each other. Where it is stands elsewhere, see [`crate::objects::sequence_state_key`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceDescriptor {
    /// Given once, among the tables' ids.
    pub id: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `smallint`, `integer` or `bigint`.
    pub data_type: String,
    /// The first number after a RESTART.
    pub start: i64,
    /// From one number to the next; never 0.
    pub increment: i64,
    /// The smallest number.
    pub min: i64,
    /// The largest number.
    pub max: i64,
    /// Numbers that a session takes at once.
    pub cache: i64,
    /// Begins again at the other end.
    pub is_cycle: bool,
    /// The table and column that it goes with, where it is owned by one.
    #[serde(default)]
    pub owned_by: Option<(u32, ColumnId)>,
    /// COMMENT ON SEQUENCE.
    #[serde(default)]
    pub comment: Option<String>,
    /// What its state is kept by: another number after each RESTART, so that one that is not committed is nobody else's; 0 for its id.
    #[serde(default)]
    pub state: u32,
    /// The number that the state begins with, and whether it counts as given out; None for `start`, which is not.
    #[serde(default)]
    pub first: Option<(i64, bool)>,
}

impl SequenceDescriptor {
    /// The number that its state is kept by, see [`crate::objects::sequence_state_key`].
    pub fn state_id(&self) -> u32 {
        match self.state {
            0 => self.id,
            state => state,
        }
    }

    /// Whether from each number the same one follows as in another.
    pub fn counts_as(&self, other: &Self) -> bool {
        let rule = |it: &Self| (it.increment, it.min, it.max, it.is_cycle);
        rule(self) == rule(other)
    }

    /// Whether it goes with this column of the table, or with any where none is named.
    pub fn is_of(&self, table: TableId, column: Option<ColumnId>) -> bool {
        self.owned_by
            .is_some_and(|(owner, of)| owner == table.0 && column.is_none_or(|column| column == of))
    }
}
