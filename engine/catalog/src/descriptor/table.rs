//! Tables, their columns and indexes.

use aion_base::id::{IndexId, TableId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ViewDescriptor;
use crate::types::SqlType;

/// Given once in its table, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnId(pub u32);

impl ColumnId {
    /// No column: in an index the next of its expressions.
    pub const EXPRESSION: Self = Self(0);
}

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
    /// What it holds in rows that were written before it was added, as text; None for NULL.
    #[serde(default)]
    pub missing: Option<String>,
    /// GENERATED ... AS IDENTITY: its values come from the sequence that its default names.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// GENERATED ALWAYS AS (expression) STORED: the text of the expression.
    #[serde(default)]
    pub generated: Option<String>,
    /// COMMENT ON COLUMN.
    #[serde(default)]
    pub comment: Option<String>,
}

/// Who may give an identity column its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The sequence, unless OVERRIDING SYSTEM VALUE is said.
    Always,
    /// Whoever inserts, or else the sequence.
    ByDefault,
}

/// A column that is gone, of which rows still have the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedColumn {
    /// As it was given.
    pub id: ColumnId,
    /// Says how many bytes it takes.
    #[serde(serialize_with = "write_type", deserialize_with = "read_type")]
    pub sql_type: SqlType,
}

/// A CHECK constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDescriptor {
    /// Unique among the table's constraints.
    pub name: String,
    /// The text of the expression; a row for which it is false is refused.
    pub expression: String,
    /// The columns that it names.
    pub columns: Vec<ColumnId>,
}

/// A FOREIGN KEY constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Unique among the table's constraints.
    pub name: String,
    /// The columns that refer.
    pub columns: Vec<ColumnId>,
    /// The table referred to.
    #[serde(serialize_with = "write_table_id", deserialize_with = "read_table_id")]
    pub parent: TableId,
    /// Its columns, in the order of `columns`: a primary key or unique.
    pub parent_columns: Vec<ColumnId>,
    /// What becomes of rows whose parent goes.
    pub on_delete: Action,
    /// What becomes of rows whose parent's columns change.
    pub on_update: Action,
    /// MATCH FULL: of several columns all are NULL, or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_full: bool,
    /// May be checked at the end of the transaction.
    #[serde(default)]
    pub is_deferrable: bool,
    /// Is, unless SET CONSTRAINTS says otherwise.
    #[serde(default)]
    pub is_deferred: bool,
}

/// What a foreign key does when the row referred to goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Refuses, at the end of the statement or transaction.
    NoAction,
    /// Refuses at once.
    Restrict,
    /// Does the same to the rows that refer.
    Cascade,
    /// Makes them refer to nothing.
    SetNull,
    /// Makes them refer to what their columns' defaults say.
    SetDefault,
}

impl ColumnDescriptor {
    /// A column that may be NULL, and has nothing else.
    pub fn new(id: ColumnId, name: impl Into<String>, sql_type: SqlType) -> Self {
        Self {
            id,
            name: name.into(),
            sql_type,
            is_nullable: true,
            default: None,
            missing: None,
            identity: None,
            generated: None,
            comment: None,
        }
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDescriptor {
    /// Given once: what it is known by, whatever its name.
    #[serde(serialize_with = "write_table_id", deserialize_with = "read_table_id")]
    pub id: TableId,
    /// The first part of its keys: another one after each TRUNCATE and rewrite. 0 in version 1, for the id.
    #[serde(default, serialize_with = "write_table_id", deserialize_with = "read_table_id")]
    pub storage: TableId,
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
    /// Columns that its rows still have room for.
    #[serde(default)]
    pub dropped: Vec<DroppedColumn>,
    /// What each row must fulfil.
    #[serde(default)]
    pub checks: Vec<CheckDescriptor>,
    /// Which rows of other tables its rows need.
    #[serde(default)]
    pub foreign_keys: Vec<ForeignKey>,
    /// COMMENT ON TABLE.
    #[serde(default)]
    pub comment: Option<String>,
    /// Storage parameters that were given and have no effect here, `fillfactor` for instance, by name.
    #[serde(default)]
    pub options: Vec<(String, String)>,
    /// COMMENT ON CONSTRAINT, by the constraint's name. A program that does not know it loses comments and nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraint_comments: Vec<(String, String)>,
    /// A materialized view has what it is made of: its schema, name and columns are the table's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<Box<ViewDescriptor>>,
    /// Of a materialized view: it was told to have no rows yet, and nobody reads it before they are there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unpopulated: bool,
}

/// An index of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexDescriptor {
    /// The second part of its keys; never 0, which holds the rows.
    #[serde(serialize_with = "write_index_id", deserialize_with = "read_index_id")]
    pub id: IndexId,
    /// Unique in the schema.
    pub name: String,
    /// In order of significance; each that is [`ColumnId::EXPRESSION`] stands for the next of `expressions`.
    pub columns: Vec<IndexColumn>,
    /// Refuses a second row with the same values; NULLs differ from each other.
    pub is_unique: bool,
    /// How it is built.
    pub method: IndexMethod,
    /// Who may use it.
    pub state: IndexState,
    /// The constraint that it is there for; it goes with that, and not by itself.
    #[serde(default)]
    pub constraint: Option<Constraint>,
    /// NULLS NOT DISTINCT: a unique index for which NULL equals NULL.
    #[serde(default)]
    pub is_nulls_equal: bool,
    /// INCLUDE: columns that it holds and does not order by.
    #[serde(default)]
    pub included: Vec<ColumnId>,
    /// WHERE: the text of the condition for a row to be in it.
    #[serde(default)]
    pub predicate: Option<String>,
    /// COMMENT ON INDEX.
    #[serde(default)]
    pub comment: Option<String>,
    /// What it is over beside columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<IndexExpression>,
}

/// An expression over the columns of a row that an index is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexExpression {
    /// As it was written.
    pub text: String,
    /// Of its values.
    #[serde(serialize_with = "write_type", deserialize_with = "read_type")]
    pub sql_type: SqlType,
}

/// What an index is over at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexPart<'a> {
    /// A column.
    Column(ColumnId),
    /// An expression.
    Expression(&'a IndexExpression),
}

/// What an index is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// UNIQUE
    Unique,
}

impl IndexDescriptor {
    /// An ordered index that was asked for by CREATE INDEX, complete, of a table.
    pub fn new(id: IndexId, name: impl Into<String>, columns: Vec<IndexColumn>) -> Self {
        Self {
            id,
            name: name.into(),
            columns,
            is_unique: false,
            method: IndexMethod::Ordered,
            state: IndexState::Readable,
            constraint: None,
            is_nulls_equal: false,
            included: Vec::new(),
            predicate: None,
            comment: None,
            expressions: Vec::new(),
        }
    }

    /// What it is over, in order of significance, with how that is ordered.
    pub fn parts(&self) -> impl Iterator<Item = (IndexPart<'_>, IndexColumn)> {
        let mut expressions = self.expressions.iter();
        self.columns.iter().filter_map(move |&column| {
            let part = match column.column {
                ColumnId::EXPRESSION => IndexPart::Expression(expressions.next()?),
                id => IndexPart::Column(id),
            };
            Some((part, column))
        })
    }

    /// Whether what it has of a row is computed: an expression's value, or whether the row is in it at all.
    pub fn is_computed(&self) -> bool {
        self.predicate.is_some() || !self.expressions.is_empty()
    }

    /// The texts of what is computed for it.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        let expressions = self.expressions.iter().map(|expression| &expression.text);
        expressions.chain(&self.predicate)
    }

    /// The same, to be changed.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let expressions = self.expressions.iter_mut().map(|expression| &mut expression.text);
        expressions.chain(&mut self.predicate)
    }
}

/// A column of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// The column, or [`ColumnId::EXPRESSION`].
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
    /// What a materialized view is made of has the names of the table.
    pub(crate) fn settle_view(&mut self) {
        if let Some(view) = &mut self.view {
            view.schema.clone_from(&self.schema);
            view.name.clone_from(&self.name);
            view.columns = self.columns.iter().map(|column| column.name.clone()).collect();
        }
    }

    /// A table without columns, whose ids are to be given.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: TableId(0),
            storage: TableId(0),
            schema: schema.into(),
            name: name.into(),
            version: 0,
            columns: Vec::new(),
            primary_key: Vec::new(),
            primary_key_name: None,
            indexes: Vec::new(),
            next_column: 1,
            next_index: 1,
            dropped: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            comment: None,
            options: Vec::new(),
            constraint_comments: Vec::new(),
            view: None,
            is_unpopulated: false,
        }
    }

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

    /// Whether rows are what is written into them: nothing is computed of them, and no condition looked at.
    pub fn has_no_rules(&self) -> bool {
        self.checks.is_empty() && self.columns.iter().all(|column| column.generated.is_none())
    }

    /// Whether a constraint, or an index, of the table has the name.
    pub fn has_constraint(&self, name: &str) -> bool {
        self.primary_key_name.as_deref() == Some(name)
            || self.index(name).is_some()
            || self.checks.iter().any(|check| check.name == name)
            || self.foreign_keys.iter().any(|key| key.name == name)
    }

    /// What is said of a constraint.
    pub fn constraint_comment(&self, name: &str) -> Option<&str> {
        let mut comments = self.constraint_comments.iter();
        comments
            .find(|(there, _)| there == name)
            .map(|(_, comment)| comment.as_str())
    }

    /// A constraint has another name.
    pub fn rename_constraint_comment(&mut self, old: &str, new: &str) {
        for (name, _) in self.constraint_comments.iter_mut().filter(|(name, _)| name == old) {
            new.clone_into(name);
        }
    }

    /// The types that its values have: of columns, also of those that are gone, and of what is computed for indexes.
    pub fn value_types_mut(&mut self) -> impl Iterator<Item = &mut SqlType> {
        let columns = self.columns.iter_mut().map(|column| &mut column.sql_type);
        let dropped = self.dropped.iter_mut().map(|column| &mut column.sql_type);
        let expressions = self.indexes.iter_mut().flat_map(|index| &mut index.expressions);
        columns
            .chain(dropped)
            .chain(expressions.map(|expression| &mut expression.sql_type))
    }

    /// Whether it has a column, or an index over an expression, of the type that a user made, or of arrays of it.
    pub fn has_type(&self, id: u32) -> bool {
        let columns = self.columns.iter().map(|column| column.sql_type);
        let expressions = self.indexes.iter().flat_map(|index| &index.expressions);
        columns
            .chain(expressions.map(|expression| expression.sql_type))
            .any(|sql_type| sql_type.made().is_some_and(|of| of.id() == id))
    }

    /// The types of the columns, by position.
    pub fn types(&self) -> Vec<SqlType> {
        self.columns.iter().map(|column| column.sql_type).collect()
    }
}

fn write_type<S: Serializer>(sql_type: &SqlType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&sql_type.stored())
}

fn read_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SqlType, D::Error> {
    let name = String::deserialize(deserializer)?;
    SqlType::of_stored(&name).map_err(|_| serde::de::Error::custom(format!("unknown type {name}")))
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
