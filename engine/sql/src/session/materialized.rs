//! Materialized views: tables whose rows are those of a query, as they were when it last ran.
//!
//! ```text
//! CREATE MATERIALIZED VIEW [IF NOT EXISTS] name [(columns)] [WITH (parameters)] AS query [WITH [NO] DATA]
//! REFRESH MATERIALIZED VIEW [CONCURRENTLY] name [WITH [NO] DATA]
//! ```
//!
//! One is a table with a [`ViewDescriptor`] in its descriptor, so that indexes, statistics and plans know nothing of it. What names tables in
//! its query depends on them, and follows their names, as with views (`dependents`).
//!
//! **REFRESH** runs the query and writes its rows into another storage, which takes the place of the old one with the commit: who reads
//! meanwhile has the old rows, with CONCURRENTLY or without. A crash or an error leaves what was there. Two at once are a conflict (40001).
//!
//! **Left out**: TABLESPACE and USING; and CONCURRENTLY looks for the unique index that PostgreSQL demands, but needs none.

use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{IndexDescriptor, IndexMethod, IndexState, TableDescriptor, ViewDescriptor};
use aion_catalog::objects::{Catalog, Object, is_temporary};
use datafusion::sql::sqlparser::ast;

use super::Session;
use super::ddl::{Definition, Filling, Rewrite};
use super::view::{check_parameters, descriptors};
use crate::dml::reference;
use crate::planner::Planned;
use crate::views;

const REFRESH: &str = "REFRESH MATERIALIZED VIEW";
const ALTER: &str = "ALTER MATERIALIZED VIEW";

impl Session {
    /// What a table holds that is made of a query, whose columns are called so.
    ///
    /// # Errors
    /// 0A000 for temporary tables and parameters.
    pub(super) fn held_query(
        &self,
        table: &TableDescriptor,
        query: &str,
        query_columns: Vec<String>,
        planned: &Planned,
        catalog: &Catalog,
    ) -> Result<ViewDescriptor> {
        if planned.named.iter().any(|(schema, _)| is_temporary(schema)) {
            return Err(Error::unsupported(
                "materialized views must not use temporary tables or views",
            ));
        }
        check_parameters(planned)?;
        let mut view = ViewDescriptor {
            schema: table.schema.clone(),
            name: table.name.clone(),
            columns: table.columns.iter().map(|column| column.name.clone()).collect(),
            query_columns,
            query: query.trim().to_owned(),
            search_path: self.path_of_view(false)?,
            uses: planned.named.iter().cloned().collect(),
            comment: None,
            column_comments: Vec::new(),
        };
        self.freeze_view(&mut view, catalog)?;
        // As it will be planned: what it is nested too deep for is said now.
        let path = self.search_path()?;
        views::plan(&self.names(catalog, &path), &view)?;
        Ok(view)
    }

    pub(super) fn refresh(
        &self,
        name: &ast::ObjectName,
        is_concurrent: bool,
        with_data: bool,
        catalog: &Catalog,
    ) -> Result<Definition> {
        if is_concurrent && !with_data {
            return Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                "CONCURRENTLY and WITH NO DATA options cannot be used together",
            ));
        }
        let table = self.materialized(name, SqlState::FEATURE_NOT_SUPPORTED, catalog)?;
        let view = table
            .view
            .as_deref()
            .ok_or_else(|| Error::internal("a materialized view has a query"))?;
        if is_concurrent {
            check_concurrent(&table)?;
        }
        let mut changed = TableDescriptor::clone(&table);
        let mut definition = Definition::new(REFRESH, Vec::new());
        let (storage, private) = self.engine.storages.private_storage()?;
        definition.keep(private);
        changed.storage = storage;
        changed.is_unpopulated = !with_data;
        definition.has_graph = changed.indexes.iter().any(|index| index.method != IndexMethod::Ordered);
        let (changed, changes) = catalog.alter_table(changed);
        definition.changes.extend(changes);
        definition.retire(KeyRange::table(table.storage));
        if with_data {
            let path = self.search_path()?;
            let names = self.names(catalog, &path);
            let planned = views::plan(&names, view)?;
            definition.required = descriptors(&planned);
            definition.rewritten.push(Rewrite {
                from: Filling::View(Arc::new(view.clone())),
                to: names.new_shape(changed),
            });
        }
        Ok(definition)
    }

    /// ALTER MATERIALIZED VIEW.
    pub(super) fn alter_materialized(&self, alter: &ast::AlterTable, catalog: &Catalog) -> Result<Definition> {
        match self.materialized(&alter.name, SqlState::WRONG_OBJECT_TYPE, catalog) {
            Ok(_) => {}
            Err(error) if alter.if_exists && error.state() == SqlState::UNDEFINED_TABLE => {
                let notice = format!("relation \"{}\" does not exist, skipping", alter.name);
                return Ok(Definition::nothing(ALTER, SqlState::SUCCESSFUL_COMPLETION, notice));
            }
            Err(error) => return Err(error),
        }
        let mut definition = self.alter_table(alter, catalog, "")?;
        definition.tag = ALTER;
        Ok(definition)
    }

    /// The materialized view of a name.
    ///
    /// # Errors
    /// 42P01; `otherwise` for what is none.
    fn materialized(
        &self,
        name: &ast::ObjectName,
        otherwise: SqlState,
        catalog: &Catalog,
    ) -> Result<Arc<TableDescriptor>> {
        let path = self.search_path()?;
        match self.names(catalog, &path).resolve(&reference(name)?)? {
            Object::Table(table) if table.view.is_some() => Ok(table),
            _ => Err(Error::invalid(
                otherwise,
                format!("\"{name}\" is not a materialized view"),
            )),
        }
    }
}

/// What PostgreSQL demands of REFRESH ... CONCURRENTLY.
fn check_concurrent(table: &TableDescriptor) -> Result<()> {
    if table.is_unpopulated {
        return Err(Error::unsupported(
            "CONCURRENTLY cannot be used when the materialized view is not populated",
        ));
    }
    let is_whole = |index: &IndexDescriptor| {
        index.is_unique && index.state == IndexState::Readable && index.predicate.is_none() && !index.is_computed()
    };
    if table.indexes.iter().any(is_whole) {
        return Ok(());
    }
    Err(Error::invalid(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "cannot refresh materialized view \"{}.{}\" concurrently",
            table.schema, table.name
        ),
    )
    .with_hint("Create a unique index with no WHERE clause on one or more columns of the materialized view."))
}

/// That an operation of ALTER TABLE is one that a materialized view takes.
///
/// # Errors
/// 42809.
pub(super) fn check_operation(table: &TableDescriptor, operation: &ast::AlterTableOperation) -> Result<()> {
    use ast::AlterTableOperation as Operation;
    let is_taken = matches!(
        operation,
        Operation::RenameTable { .. }
            | Operation::RenameColumn { .. }
            | Operation::OwnerTo { .. }
            | Operation::SetOptionsParens { .. }
    );
    if table.view.is_none() || is_taken {
        return Ok(());
    }
    let words: Vec<String> = operation
        .to_string()
        .split_whitespace()
        .take(2)
        .map(str::to_owned)
        .collect();
    Err(Error::invalid(
        SqlState::WRONG_OBJECT_TYPE,
        format!(
            "ALTER action {} cannot be performed on relation \"{}\"",
            words.join(" "),
            table.name
        ),
    )
    .with_detail("This operation is not supported for materialized views."))
}

/// 55000 for a materialized view that has no rows yet.
pub(crate) fn check_populated(table: &TableDescriptor) -> Result<()> {
    if !table.is_unpopulated {
        return Ok(());
    }
    Err(Error::invalid(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("materialized view \"{}\" has not been populated", table.name),
    )
    .with_hint("Use the REFRESH MATERIALIZED VIEW command.")
    .with_schema(table.schema.clone())
    .with_table(table.name.clone()))
}

/// 42809 for what may not be done with a materialized view.
pub(crate) fn refuse_materialized(table: &TableDescriptor, what: &str) -> Result<()> {
    match &table.view {
        None => Ok(()),
        Some(_) => Err(Error::invalid(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot {what} materialized view \"{}\"", table.name),
        )
        .with_hint("REFRESH MATERIALIZED VIEW gives it the rows of its query.")
        .with_schema(table.schema.clone())
        .with_table(table.name.clone())),
    }
}
