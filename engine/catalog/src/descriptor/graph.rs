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
    /// What patterns see of a row; None for every column by its name.
    #[serde(default)]
    pub properties: Option<Vec<Property>>,
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
    /// What patterns see of a row; None for every column by its name.
    #[serde(default)]
    pub properties: Option<Vec<Property>>,
}

/// A column that patterns see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// The name that patterns use.
    pub name: String,
    /// The table's column.
    pub column: String,
}

impl GraphDescriptor {
    /// The vertex table of that alias.
    pub fn vertex(&self, alias: &str) -> Option<&VertexTable> {
        self.vertices.iter().find(|vertex| vertex.alias == alias)
    }

    /// Whether a table holds vertices or edges of it.
    pub fn uses(&self, schema: &str, table: &str) -> bool {
        let of_vertices = self.vertices.iter().map(|vertex| (&vertex.schema, &vertex.table));
        let of_edges = self.edges.iter().map(|edge| (&edge.schema, &edge.table));
        of_vertices
            .chain(of_edges)
            .any(|(its_schema, its_table)| its_schema == schema && its_table == table)
    }
}
