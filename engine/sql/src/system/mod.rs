//! `pg_catalog` and `information_schema`: what drivers and tools ask to look around; and `aion`, what the database notes of itself.
//!
//! A [`Definition`] is a table's name, its columns and a function that gives its rows. Nothing is stored: rows are computed from the
//! [`Facts`] of the statement that reads them, the catalog at its snapshot and its session. So a transaction sees its own
//! definitions, and a table that was dropped is gone from here at once.
//!
//! **Honesty.** What is shown is what is there. What PostgreSQL's catalog holds and this database has not (triggers, policies,
//! publications) is a table with PostgreSQL's columns and no rows, never an error; columns have PostgreSQL's values for an
//! object without that property. Columns that were added to PostgreSQL after 15 are not there.
//!
//! **How a statement meets it.** The planner looks up names here first (`pg_catalog` is always searched first,
//! `information_schema` by its name only; a sequence is read as a table of one row); [`rewrite`] brings what psql and drivers write into a form that DataFusion plans;
//! functions that know the session are in `functions::system`.
//!
//! The columns of views are found by planning the views, in statements that read `pg_attribute` or
//! `information_schema.columns`; not in a view over these, which would have to plan itself.
//!
//! Left out: composite values (`information_schema._pg_expandarray`), oids of databases other than the one that there is, privileges,
//! the columns that every table of PostgreSQL has (`tableoid`, `xmin`), and the exact types of built-in functions in `pg_proc`.

mod arrays;
pub mod cells;
pub mod comments;
mod constraints;
pub mod definitions;
mod documents;
mod facts;
mod group_key;
mod held;
mod information_constraints;
mod information_schema;
mod lateral;
mod learned;
mod made_types;
pub mod oids;
mod parameters;
mod relations;
mod rewrite;
mod roles;
mod running;
pub mod sequences;
mod series;
mod server;
mod show;
mod spelled;
mod ties;
mod types;
mod using;
mod values;
mod whole;
pub mod written;

use std::sync::{Arc, LazyLock};

use aion_base::Result;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::wrap;
use cells::Row;
pub use facts::{Assigned, Facts, Identity, Numbers, Relation, RelationKind, quoted, quoted_literal, split_name};
pub use group_key::Keyed;
pub use oids::{table as oid_of_table, view as oid_of_view};
pub use parameters::{shown_oids, told_types};
pub use rewrite::{plain_type_name, rewrite, rewrite_expression};
pub use sequences::SequenceTable;
pub use server::function_oid;
pub use show::{index_column_name, index_definition, index_names, index_part};
pub use whole::substitute;

/// A system table.
#[derive(Debug)]
pub struct Definition {
    pub schema: &'static str,
    pub name: &'static str,
    /// PostgreSQL's oid of it; 0 where PostgreSQL gives none that is fixed, as to its views.
    fixed_oid: u32,
    /// Names and types, see [`cells`].
    pub columns: &'static str,
    rows: Rows,
}

/// Where the rows come from.
#[derive(Clone, Copy)]
enum Rows {
    Of(fn(&Facts) -> Result<Vec<Row>>),
    /// The same, told which columns are asked for: others may be NULL.
    Asked(fn(&Facts, &[bool]) -> Result<Vec<Row>>),
    /// There are none, ever.
    None,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Of(_) | Self::Asked(_) => "rows",
            Self::None => "no rows",
        })
    }
}

impl Definition {
    const fn new(
        name: &'static str,
        fixed_oid: u32,
        columns: &'static str,
        rows: fn(&Facts) -> Result<Vec<Row>>,
    ) -> Self {
        Self {
            schema: "pg_catalog",
            name,
            fixed_oid,
            columns,
            rows: Rows::Of(rows),
        }
    }

    const fn empty(name: &'static str, fixed_oid: u32, columns: &'static str) -> Self {
        Self {
            schema: "pg_catalog",
            name,
            fixed_oid,
            columns,
            rows: Rows::None,
        }
    }

    const fn asked(name: &'static str, columns: &'static str, rows: fn(&Facts, &[bool]) -> Result<Vec<Row>>) -> Self {
        Self {
            schema: "pg_catalog",
            name,
            fixed_oid: 0,
            columns,
            rows: Rows::Asked(rows),
        }
    }

    const fn in_schema(mut self, schema: &'static str) -> Self {
        self.schema = schema;
        self
    }

    /// Its oid.
    pub fn oid(&self) -> u32 {
        match self.fixed_oid {
            0 => oids::hashed("system", self.schema, self.name),
            oid => oid,
        }
    }

    /// Whether PostgreSQL has a view of that name, not a table.
    pub fn is_view(&self) -> bool {
        self.fixed_oid == 0
    }

    /// Whether its rows tell of the columns of views.
    pub fn tells_columns(&self) -> bool {
        matches!(
            (self.schema, self.name),
            ("pg_catalog", "pg_attribute") | ("information_schema", "columns")
        )
    }

    /// Whether it never has a row.
    pub fn is_empty(&self) -> bool {
        matches!(self.rows, Rows::None)
    }
}

static DEFINITIONS: LazyLock<Vec<&'static Definition>> = LazyLock::new(|| {
    let parts = [
        relations::TABLES,
        types::TABLES,
        made_types::TABLES,
        roles::TABLES,
        server::TABLES,
        server::EMPTY,
        constraints::TABLES,
        sequences::TABLES,
        comments::TABLES,
        definitions::TABLES,
        information_schema::TABLES,
        information_constraints::TABLES,
        learned::TABLES,
        running::TABLES,
        held::TABLES,
    ];
    parts.into_iter().flatten().collect()
});

/// All system tables.
pub fn definitions() -> impl Iterator<Item = &'static Definition> {
    DEFINITIONS.iter().copied()
}

/// The system table of that name; without a schema, one of `pg_catalog`.
pub fn find(schema: Option<&str>, name: &str) -> Option<&'static Definition> {
    let schema = schema.unwrap_or("pg_catalog");
    definitions().find(|definition| definition.schema == schema && definition.name == name)
}

/// A system table as DataFusion sees it.
#[derive(Debug)]
pub struct SystemTable {
    definition: &'static Definition,
    schema: SchemaRef,
    facts: Arc<Facts>,
}

impl SystemTable {
    /// The table with rows of these facts.
    pub fn new(definition: &'static Definition, facts: Arc<Facts>) -> Self {
        Self {
            definition,
            schema: cells::schema(definition.columns),
            facts,
        }
    }

    /// Its oid.
    pub fn oid(&self) -> u32 {
        self.definition.oid()
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        match self.definition.is_view() {
            true => TableType::View,
            false => TableType::Base,
        }
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let rows = match self.definition.rows {
            Rows::Of(rows) => rows(&self.facts).map_err(wrap)?,
            Rows::Asked(rows) => {
                let is_asked = |at| projection.is_none_or(|projection| projection.contains(&at));
                let asked: Vec<bool> = (0..self.schema.fields().len()).map(is_asked).collect();
                rows(&self.facts, &asked).map_err(wrap)?
            }
            Rows::None => Vec::new(),
        };
        let batch = cells::batch(&self.schema, &rows).map_err(wrap)?;
        let exec = MemorySourceConfig::try_new_exec(&[vec![batch]], self.schema.clone(), projection.cloned())?;
        Ok(exec)
    }
}

#[cfg(test)]
mod tests;
