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
}

impl SequenceDescriptor {
    /// Whether it goes with this column of the table, or with any where none is named.
    pub fn is_of(&self, table: TableId, column: Option<ColumnId>) -> bool {
        self.owned_by
            .is_some_and(|(owner, of)| owner == table.0 && column.is_none_or(|column| column == of))
    }
}
