//! Tables, their columns and indexes.

use aion_base::id::{IndexId, TableId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::SqlType;

/// Given once in its table, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnId(pub u32);

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDescriptor {
    /// Given once.
    pub id: ColumnId,
    /// Unique in the table.
    pub name: String,
    /// By its SQL name in the stored form.
    #[serde(serialize_with = "write_type", deserialize_with = "read_type")]
    pub sql_type: SqlType,
    /// May hold NULL.
    pub is_nullable: bool,
    /// The text of its DEFAULT expression.
    #[serde(default)]
    pub default: Option<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDescriptor {
    /// The first part of its keys.
    #[serde(serialize_with = "write_table_id", deserialize_with = "read_table_id")]
    pub id: TableId,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rises with each change of the descriptor.
    pub version: u64,
    /// In the order that `SELECT *` gives.
    pub columns: Vec<ColumnDescriptor>,
    /// Columns of the primary key in its order; empty for a table with a hidden row id.
    pub primary_key: Vec<ColumnId>,
    /// The primary key constraint's name.
    #[serde(default)]
    pub primary_key_name: Option<String>,
    /// Indexes beside the primary key.
    #[serde(default)]
    pub indexes: Vec<IndexDescriptor>,
    /// The next column id to give.
    pub next_column: u32,
    /// The next index id to give.
    pub next_index: u16,
}

/// An index of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexDescriptor {
    /// The second part of its keys; never 0, which holds the rows.
    #[serde(serialize_with = "write_index_id", deserialize_with = "read_index_id")]
    pub id: IndexId,
    /// Unique in the schema.
    pub name: String,
    /// In order of significance.
    pub columns: Vec<IndexColumn>,
    /// Refuses a second row with the same values; NULLs differ from each other.
    pub is_unique: bool,
    /// How it is built.
    pub method: IndexMethod,
    /// Who may use it.
    pub state: IndexState,
}

/// A column of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// The column.
    pub column: ColumnId,
    /// Largest first.
    pub is_descending: bool,
    /// NULLs before all values.
    pub is_nulls_first: bool,
}

/// How an index is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexMethod {
    /// Keys in order, in the row store.
    Ordered,
    /// A navigable small world graph over a vector column (Malkov, Yashunin 2016), in memory, rebuilt from rows.
    Hnsw {
        /// Neighbours of a node.
        m: u16,
        /// Candidates while building.
        ef_construction: u16,
        /// What near means.
        distance: Distance,
    },
}

/// What near means to a vector index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// `<->`, Euclidean.
    L2,
    /// `<=>`, one minus the cosine.
    Cosine,
    /// `<#>`, the negative inner product.
    InnerProduct,
    /// `<+>`, the sum of absolute differences.
    L1,
}

/// Who may use an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// Writes keep it; reads wait until it is built.
    WriteOnly,
    /// Complete.
    Readable,
    /// Building it failed; DROP INDEX removes it.
    Failed,
}

impl TableDescriptor {
    /// The position of a column by name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The position of a column by id.
    pub fn position_of(&self, id: ColumnId) -> Option<usize> {
        self.columns.iter().position(|column| column.id == id)
    }

    /// The positions of the primary key's columns, in its order.
    pub fn primary_key_positions(&self) -> Vec<usize> {
        self.primary_key.iter().filter_map(|id| self.position_of(*id)).collect()
    }

    /// Whether rows are told apart by a number that nobody sees.
    pub fn has_hidden_row_id(&self) -> bool {
        self.primary_key.is_empty()
    }

    /// The index of that name.
    pub fn index(&self, name: &str) -> Option<&IndexDescriptor> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// The types of the columns, by position.
    pub fn types(&self) -> Vec<SqlType> {
        self.columns.iter().map(|column| column.sql_type).collect()
    }
}

fn write_type<S: Serializer>(sql_type: &SqlType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(sql_type)
}

fn read_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SqlType, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse()
        .map_err(|_| serde::de::Error::custom(format!("unknown type {name}")))
}

fn write_table_id<S: Serializer>(id: &TableId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(id.0)
}

fn read_table_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TableId, D::Error> {
    u32::deserialize(deserializer).map(TableId)
}

fn write_index_id<S: Serializer>(id: &IndexId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(id.0)
}

fn read_index_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexId, D::Error> {
    u16::deserialize(deserializer).map(IndexId)
}
