//! Property graphs over tables (ISO/IEC 9075-16, SQL/PGQ): no row is copied.

use serde::{Deserialize, Serialize};

/// A property graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphDescriptor {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Where the vertices are.
    pub vertices: Vec<VertexTable>,
    /// Where the edges are.
    pub edges: Vec<EdgeTable>,
}

/// A table whose rows are vertices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VertexTable {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The name by which edges refer to it.
    pub alias: String,
    /// The columns that tell its vertices apart.
    pub key: Vec<String>,
    /// Its label in patterns.
    pub label: String,
}

/// A table whose rows are edges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeTable {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The name of this use of the table.
    pub alias: String,
    /// The columns that tell its edges apart.
    pub key: Vec<String>,
    /// Columns that refer to the source.
    pub source_key: Vec<String>,
    /// The alias of the source's vertex table.
    pub source: String,
    /// The columns of the source that `source_key` refers to.
    pub source_columns: Vec<String>,
    /// Columns that refer to the destination.
    pub destination_key: Vec<String>,
    /// The alias of the destination's vertex table.
    pub destination: String,
    /// The columns of the destination that `destination_key` refers to.
    pub destination_columns: Vec<String>,
    /// Its label in patterns.
    pub label: String,
}
