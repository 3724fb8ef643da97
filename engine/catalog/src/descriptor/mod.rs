//! What the catalog knows of an object.
//!
//! **Vocabulary.** A *descriptor* describes one table, view, graph, sequence or enum ([`crate::enumeration`]). A *column id* is given once and never again in its
//! table; a column's *position* is its place in the descriptor's list. An index's columns and a table's primary key
//! name columns by id, so that they survive a rename and a dropped column before them.
//!
//! **Format.** A descriptor is stored as one byte, the version of its encoding, followed by JSON with the fields below.
//! A field that a later version adds has a default, and raises the byte: what does not know the field refuses the descriptor rather
//! than forget, say, a CHECK. So does a type that came later. Tables have version 2, with indexes over expressions 3, with jsonb 4, with
//! arrays 5, with enums 6, materialized views 7, with times of day and digits of seconds 8, all others 1. Version 1 has tables without `storage` (it is the id then), `dropped`, `checks`, `foreign_keys`, `comment`
//! and `options`, columns and indexes without what stands behind their first six fields, and is read for ever.

mod graph;
mod sequence;
mod table;

use aion_base::{Error, Result, SqlState};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use graph::{EdgeTable, GraphDescriptor, Property, VertexTable};
pub use sequence::SequenceDescriptor;
pub use table::{
    Action, CheckDescriptor, ColumnDescriptor, ColumnId, Constraint, Distance, DroppedColumn, ForeignKey, Identity,
    IndexColumn, IndexDescriptor, IndexExpression, IndexMethod, IndexPart, IndexState, TableDescriptor,
};

use crate::types::{ElementType, SECOND_DIGITS_MAX, SqlType};

/// A view: a name for a query.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ViewDescriptor {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The names of its columns, as they were when it was created.
    pub columns: Vec<String>,
    /// What these columns are called in the query itself, so that they are found again when a `*` in it gives more.
    #[serde(default)]
    pub query_columns: Vec<String>,
    /// The query's text.
    pub query: String,
    /// Where the names in the query are looked up: its creator's search path.
    #[serde(default)]
    pub search_path: Vec<String>,
    /// Schema and name of the tables, views and graphs that the query names.
    #[serde(default)]
    pub uses: Vec<(String, String)>,
    /// COMMENT ON VIEW. A program that does not know it loses a comment and nothing else, so that the version stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// COMMENT ON COLUMN of it, by the column's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub column_comments: Vec<(String, String)>,
}

impl ViewDescriptor {
    /// Whether its query names a table, view or graph.
    pub fn uses(&self, schema: &str, name: &str) -> bool {
        self.uses.iter().any(|(of, used)| of == schema && used == name)
    }
}

/// The version of the encoding of all but tables.
pub(crate) const VERSION: u8 = 1;
/// The newest one of tables.
pub(crate) const TABLE_VERSION: u8 = 8;

/// A name has at most this many bytes (PostgreSQL's NAMEDATALEN - 1).
pub const NAME_BYTES_MAX: usize = 63;

/// The version that a table is written with: the oldest that knows all that it has.
pub(crate) fn version_of(table: &TableDescriptor) -> u8 {
    let expressions = || table.indexes.iter().flat_map(|index| &index.expressions);
    let types = table.columns.iter().map(|column| column.sql_type);
    let dropped = table.dropped.iter().map(|column| column.sql_type);
    let computed = expressions().map(|expression| expression.sql_type);
    let of_types = types.chain(dropped).chain(computed).map(version_of_type).max();
    let of_indexes = expressions().next().map_or(2, |_| 3);
    let of_view = table.view.as_ref().map_or(2, |_| 7);
    of_types.unwrap_or(of_indexes).max(of_indexes).max(of_view)
}

/// The first version that knows a type.
fn version_of_type(sql_type: SqlType) -> u8 {
    match sql_type {
        _ if sql_type.made().is_some() => 6,
        SqlType::Time(_) | SqlType::Array(ElementType::Time(_)) => 8,
        SqlType::Timestamp(..SECOND_DIGITS_MAX) | SqlType::TimestampTz(..SECOND_DIGITS_MAX) => 8,
        SqlType::Array(ElementType::Timestamp(..SECOND_DIGITS_MAX) | ElementType::TimestampTz(..SECOND_DIGITS_MAX)) => {
            8
        }
        SqlType::Jsonb => 4,
        SqlType::Interval | SqlType::Array(_) => 5,
        _ => 2,
    }
}

pub(crate) fn encode(version: u8, descriptor: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![version];
    serde_json::to_writer(&mut bytes, descriptor).expect("descriptors hold text, numbers and lists of them");
    bytes
}

/// What [`encode`] wrote with this version or an older one.
pub(crate) fn decode<T: DeserializeOwned>(newest: u8, bytes: &[u8], what: &str) -> Result<T> {
    match bytes.split_first() {
        Some((&version, json)) if (1..=newest).contains(&version) => serde_json::from_slice(json)
            .map_err(|error| Error::corrupt(format!("the descriptor of {what} is damaged: {error}"))),
        Some((&version, _)) => Err(Error::corrupt(format!(
            "the descriptor of {what} has version {version}; this version of aion reads 1 to {newest}"
        ))),
        None => Err(Error::corrupt(format!("the descriptor of {what} is empty"))),
    }
}

/// Checks a name that a user gives to something.
///
/// # Errors
/// 42602 for an empty one, 42622 for one that is too long.
pub fn check_name(name: &str, kind: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid(SqlState::INVALID_NAME, format!("a {kind} needs a name")));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(
            SqlState::NAME_TOO_LONG,
            format!(
                "the {kind} name \"{name}\" has {} bytes; the limit is {NAME_BYTES_MAX}",
                name.len()
            ),
        ));
    }
    Ok(())
}
