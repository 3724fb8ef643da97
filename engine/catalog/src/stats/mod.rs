//! Statistics of tables and columns, for the planner.
//!
//! **Vocabulary.** The *distinct count* is the number of different values in the whole table, estimated from a sample. The
//! *most common values* are those well above the average frequency; the *histogram* divides the others into ranges of equally many
//! rows. *Frequency* and *null fraction* are shares of all rows, NULLs included.
//!
//! **Guarantees.** Statistics only steer plans; an answer never depends on them. They are a function of the sample alone, so
//! that the same sample gives the same plan. Values are kept as text ([`Value::text_out`]), without those wider than [`VALUE_BYTES_MAX`].
//!
//! ```text
//! table 1 | index 0 | id of the table as i64   -> version u8 (1) | TableStatistics as JSON
//! ```
//!
//! Left out: joint distributions of columns, and the statistics of types without an order (json, vector), which have
//! a null fraction and a width only.
//!
//! Follows PostgreSQL's `analyze.c` and, for the distinct count, Haas and Stokes, "Estimating the number of classes in a
//! finite population" (1998), the estimator Duj1.

mod compute;

use aion_base::id::{IndexId, TableId};
use aion_base::key::{ColumnOrder, KeyWriter};
use aion_base::{KeyRange, Result};
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use crate::Value;
use crate::descriptor::{self, ColumnId};

/// The table id under which statistics lie.
pub const STATISTICS_TABLE: TableId = TableId(1);

/// Wider values are never most common values or bounds, and count as different from each other.
pub const VALUE_BYTES_MAX: usize = 1024;

const BY_TABLE: IndexId = IndexId(0);

/// What is known of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableStatistics {
    /// Rows of the table.
    pub rows: u64,
    /// Rows that were looked at.
    pub sampled_rows: u64,
    /// One entry for each column that was looked at.
    pub columns: Vec<ColumnStatistics>,
}

/// What is known of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// The column.
    pub column: ColumnId,
    /// Share of rows that are NULL.
    pub null_fraction: f64,
    /// Different values in the whole table; `None` for a type without an order.
    pub distinct: Option<u64>,
    /// The smallest value of the sample.
    pub min: Option<String>,
    /// The greatest value of the sample.
    pub max: Option<String>,
    /// The most frequent first.
    pub most_common: Vec<CommonValue>,
    /// Bounds of ranges that hold equally many of the values that are not most common, ascending; empty or two at least.
    pub histogram: Vec<String>,
    /// Mean bytes of a value that is not NULL.
    pub average_width: f64,
}

/// One of the most common values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommonValue {
    /// The value.
    pub value: String,
    /// Share of all rows.
    pub frequency: f64,
}

/// How much detail is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatisticsOptions {
    /// The most most-common values.
    pub most_common_max: usize,
    /// The most bounds of a histogram, two at least.
    pub histogram_bounds_max: usize,
}

impl Default for StatisticsOptions {
    /// PostgreSQL's `default_statistics_target` of 100.
    fn default() -> Self {
        Self {
            most_common_max: 100,
            histogram_bounds_max: 101,
        }
    }
}

impl TableStatistics {
    /// The key of a table's statistics.
    pub fn key(table: TableId) -> Vec<u8> {
        let mut key = Vec::new();
        KeyWriter::new(&mut key)
            .table(STATISTICS_TABLE, BY_TABLE)
            .i64(table.0.into(), ColumnOrder::ASC);
        key
    }

    /// The keys of the statistics of all tables.
    pub fn range() -> KeyRange {
        KeyRange::table(STATISTICS_TABLE)
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        descriptor::encode(descriptor::VERSION, self)
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// Corrupt, for bytes that [`TableStatistics::encode`] did not write.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        descriptor::decode(descriptor::VERSION, bytes, "a table's statistics")
    }

    /// The statistics of a column.
    pub fn column(&self, column: ColumnId) -> Option<&ColumnStatistics> {
        self.columns.iter().find(|statistics| statistics.column == column)
    }
}

#[cfg(test)]
mod tests;
