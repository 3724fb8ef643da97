//! What statements ask of their tables.
//!
//! **Vocabulary.** A *template* is a statement without its literals. A *use* is one occurrence of a table in it, with the columns
//! by which its rows are told: *equal* to something, *ranged* over, *joined* with a column of another table, in the *order* that is
//! asked for; and all columns that are *needed* of it. An *index design* is a table and columns, most significant first; a column
//! that is there for the sake of reading the index alone is among them.

use aion_base::id::TableId;
use aion_catalog::descriptor::ColumnId;

/// One occurrence of a table in a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableUse {
    /// The table.
    pub table: TableId,
    /// Columns that one value, or one of a few, is asked for.
    pub equal: Vec<ColumnId>,
    /// Columns that are compared with less and greater.
    pub ranged: Vec<ColumnId>,
    /// Columns that are equal to a column of another table.
    pub joined: Vec<ColumnId>,
    /// The first columns of ORDER BY, as far as they are columns of this table in one direction.
    pub ordered: Vec<ColumnId>,
    /// All columns that the statement reads, those above among them.
    pub needed: Vec<ColumnId>,
}

impl TableUse {
    /// Whether an index could serve this use: its first column tells rows, or it holds all that is needed.
    pub fn could_use(&self, index: &IndexDesign) -> bool {
        let tells = |column: &ColumnId| {
            let columns = [&self.equal, &self.ranged, &self.joined, &self.ordered];
            columns.into_iter().any(|columns| columns.contains(column))
        };
        let covers = || self.needed.iter().all(|column| index.columns.contains(column));
        self.table == index.table && (index.columns.first().is_some_and(tells) || covers())
    }
}

/// A statement without its literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its identity, from its normalised text.
    pub queryid: i64,
    /// How often it was called.
    pub calls: u64,
    /// Its tables; one that occurs twice is there twice.
    pub uses: Vec<TableUse>,
}

/// An index that could be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexDesign {
    /// The table.
    pub table: TableId,
    /// Most significant first.
    pub columns: Vec<ColumnId>,
}

impl IndexDesign {
    /// Whether whatever `other` serves is served by this one: its columns begin with the other's.
    pub fn begins_with(&self, other: &Self) -> bool {
        self.table == other.table && self.columns.starts_with(&other.columns)
    }
}
