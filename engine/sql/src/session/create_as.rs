//! CREATE TABLE AS, SELECT INTO and CREATE MATERIALIZED VIEW: a table with the columns and the rows of a query.
//!
//! A column has the name and the type that the query gives it and takes NULL; nothing else of what it was made from. The rows are
//! written where nobody sees them before the commit, however many they are (see [`crate::storages`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use aion_base::id::TableId;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{ColumnDescriptor, ColumnId, TableDescriptor, ViewDescriptor, check_name};
use aion_catalog::objects::Catalog;
use aion_catalog::{SqlType, Value};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;

use super::ddl::{Definition, Filling, Rewrite};
use super::statements::Within;
use super::view::descriptors;
use super::{Prepared, Session, columns, table};
use crate::cancel::Cancellation;
use crate::dml::normalize;
use crate::parse::Statement;
use crate::response::{Column, Response};
use crate::table::TableShape;
use crate::utility::CreateAs;

/// The table that a query makes, instead of answering.
pub(super) fn into(query: &ast::Query) -> Option<&ast::SelectInto> {
    columns::select_of(&query.body)?.into.as_ref()
}

/// The query without the table that it makes.
fn without_into(query: &ast::Query) -> ast::Query {
    fn clear(body: &mut ast::SetExpr) {
        match body {
            ast::SetExpr::Select(select) => select.into = None,
            ast::SetExpr::Query(query) => clear(&mut query.body),
            ast::SetExpr::SetOperation { left, .. } => clear(left),
            _ => {}
        }
    }
    let mut query = query.clone();
    clear(&mut query.body);
    query
}

/// SELECT INTO as the CREATE TABLE AS that it stands for.
fn as_create(into: &ast::SelectInto) -> CreateAs {
    CreateAs {
        name: into.name.clone(),
        columns: Vec::new(),
        options: Vec::new(),
        if_not_exists: false,
        is_temporary: into.temporary,
        is_view: false,
        on_commit: None,
        is_executed: false,
        with_data: true,
        tail: 0,
    }
}

/// What the rows come from.
struct Source<'a> {
    query: &'a ast::Query,
    types: &'a [SqlType],
    values: &'a [Value],
    /// The text that the query stands in.
    text: &'a str,
}

impl Session {
    /// The parameters of a CREATE TABLE AS.
    pub(super) fn describe_create_as(
        &self,
        create: &CreateAs,
        statement: &Statement,
        given: &[Option<SqlType>],
    ) -> Result<Vec<SqlType>> {
        let within = Within::new(statement, Keyword::AS, create.tail)?;
        if create.is_executed {
            return self.describe_executed(&within.statement).map(|_| Vec::new());
        }
        let described = self.describe(&within.statement, given);
        described
            .map(|prepared| prepared.parameters)
            .map_err(|error| within.place(error))
    }

    /// The parameters of a SELECT INTO.
    pub(super) fn describe_into(
        &self,
        statement: &Statement,
        query: &ast::Query,
        given: &[Option<SqlType>],
    ) -> Result<Vec<SqlType>> {
        let mut plain = statement.clone();
        plain.ast = ast::Statement::Query(Box::new(without_into(query)));
        self.describe(&plain, given).map(|prepared| prepared.parameters)
    }

    pub(super) async fn create_table_as(
        &mut self,
        create: &CreateAs,
        prepared: &Prepared,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<Response> {
        let within = Within::new(&prepared.statement, Keyword::AS, create.tail)?;
        if create.is_executed {
            let executed = self.executed(&within.statement.ast, &within.statement.text).await;
            let (inner, values) = executed.map_err(|error| within.place(error))?;
            let ast::Statement::Query(query) = &inner.statement.ast else {
                return Err(Error::invalid(
                    SqlState::WRONG_OBJECT_TYPE,
                    "prepared statement is not a SELECT",
                ));
            };
            let source = Source {
                query,
                types: &inner.parameters,
                values: &values,
                text: &inner.statement.text,
            };
            return self.create_from(create, &source, cancellation).await;
        }
        let ast::Statement::Query(query) = &within.statement.ast else {
            return Err(Error::internal("a table is made of a query"));
        };
        let source = Source {
            query,
            types: &prepared.parameters,
            values,
            text: &within.statement.text,
        };
        let created = self.create_from(create, &source, cancellation).await;
        created.map_err(|error| within.place(error))
    }

    pub(super) async fn select_into(
        &mut self,
        query: &ast::Query,
        prepared: &Prepared,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<Response> {
        let into = into(query).ok_or_else(|| Error::internal("no SELECT INTO"))?;
        let source = Source {
            query: &without_into(query),
            types: &prepared.parameters,
            values,
            text: &prepared.statement.text,
        };
        self.create_from(&as_create(into), &source, cancellation).await
    }

    async fn create_from(
        &mut self,
        create: &CreateAs,
        source: &Source<'_>,
        cancellation: &Cancellation,
    ) -> Result<Response> {
        let transaction = self.transaction(true)?;
        let catalog = self.catalog_of(&transaction)?;
        let definition = self.table_as(create, source, &catalog)?;
        let response = self.establish(definition, &transaction, cancellation).await?;
        self.end_temporary_alone().await?;
        Ok(response)
    }

    fn table_as(&self, create: &CreateAs, source: &Source<'_>, catalog: &Catalog) -> Result<Definition> {
        let (schema, name) = self.new_name(&create.name, create.is_temporary)?;
        let (catalog, schema_changes) = self.with_temporary_schema(&schema, catalog)?;
        let catalog = &*catalog;
        if create.if_not_exists && catalog.object(&schema, &name).is_some() {
            let notice = format!("relation \"{name}\" already exists, skipping");
            return Ok(Definition::nothing(create.tag(), SqlState::DUPLICATE_TABLE, notice));
        }
        catalog.check_new(&schema, &name, "table")?;
        let types: Vec<_> = source.types.iter().copied().map(Some).collect();
        let planned = self.plan_query(source.query, &types, source.text, catalog)?;
        let found = columns::of_query(source.query, planned.plan.schema().as_arrow())?;
        let mut table = TableDescriptor::new(schema, name);
        table.options = table::parameters(&create.options)?;
        add_columns(&mut table, &create.columns, &found)?;
        if create.is_view {
            let query_columns = found.iter().map(|column| column.name.clone()).collect();
            let view = self.held_query(&table, source.text, query_columns, &planned, catalog)?;
            table.view = Some(Box::new(view));
            table.is_unpopulated = !create.with_data;
        }
        table.id = TableId(catalog.next_id(0)?.0);
        let mut definition = Definition::new(create.tag(), Vec::new());
        let (storage, private) = self.engine.storages.private_storage()?;
        definition.keep(private);
        table.storage = storage;
        let (table, changes) = catalog.create_table(table)?;
        self.note_on_commit(&table, create.on_commit.as_ref())?;
        definition.changes.extend(schema_changes);
        definition.changes.extend(changes);
        definition.required = descriptors(&planned);
        if create.with_data {
            let from = match &table.view {
                Some(view) => Filling::View(Arc::new(ViewDescriptor::clone(view))),
                None => {
                    let mut query = source.query.clone();
                    columns::make_unique(&mut query);
                    let query = Box::new(ast::Statement::Query(Box::new(query)));
                    Filling::Query(query, source.types.to_vec(), source.values.to_vec())
                }
            };
            definition.is_counted = true;
            definition.rewritten.push(Rewrite {
                from,
                to: TableShape::new(table),
            });
        }
        Ok(definition)
    }
}

fn add_columns(table: &mut TableDescriptor, names: &[ast::Ident], found: &[Column]) -> Result<()> {
    if names.len() > found.len() {
        return Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            "too many column names were specified",
        ));
    }
    let mut seen = BTreeSet::new();
    for (at, column) in found.iter().enumerate() {
        let name = names.get(at).map_or_else(|| column.name.clone(), normalize);
        check_name(&name, "column")?;
        if !seen.insert(name.clone()) {
            return Err(Error::invalid(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        let id = ColumnId(table.next_column);
        table.next_column += 1;
        table.columns.push(ColumnDescriptor::new(id, name, column.sql_type));
    }
    Ok(())
}
