//! CREATE and DROP PROPERTY GRAPH.
//!
//! The names of a definition are looked up here, and it becomes a descriptor; no row is read for it. Then the rows of the edge
//! tables that lack a vertex are counted, for a notice: they are no edges, which is easily overlooked. In a transaction
//! block the count reads with the block's transaction, and so counts as something that the block has read.

use std::collections::BTreeSet;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{EdgeTable, GraphDescriptor, Property, TableDescriptor, VertexTable};
use aion_catalog::objects::{Catalog, Object, table_key};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{self, Spanned};
use futures::TryStreamExt;

use super::Session;
use super::ddl::Definition;
use super::materialized::refuse_materialized;
use super::query::run;
use crate::cancel::Cancellation;
use crate::dml::{at, normalize, reference};
use crate::graph::{self, Create, ElementTable, End, Properties};
use crate::parse::{self, Statement};
use crate::response::Response;
use crate::table::StatementContext;
use crate::transaction::Transaction;

/// Element tables of a graph, at most.
const ELEMENT_TABLES_MAX: usize = 256;

impl Session {
    pub(super) async fn define_graph(&mut self, statement: &Statement, cancellation: Cancellation) -> Result<Response> {
        let _limit = self.time_limit(&cancellation);
        let text = &statement.text;
        let ast::Statement::Call(call) = &statement.ast else {
            return Err(Error::internal("no CALL"));
        };
        let Some((body, place)) = graph::carried_definition(call) else {
            return Err(Error::unsupported("CALL is not there yet"));
        };
        let transaction = self.transaction(true)?;
        let catalog = self.catalog_of(&transaction)?;
        let create = match graph::parse_definition(body, place, text)? {
            graph::Definition::Drop { names, if_exists } => {
                let definition = self.drop_objects("DROP PROPERTY GRAPH", &names, if_exists, false, &catalog, text)?;
                return self.establish(definition, &transaction, &cancellation).await;
            }
            graph::Definition::Create(create) => create,
        };
        let (schema, name) = self.new_name(&create.name, false)?;
        if create.if_not_exists && catalog.object(&schema, &name).is_some() {
            let notice = format!("relation \"{name}\" already exists, skipping");
            let nothing = Definition::nothing("CREATE PROPERTY GRAPH", SqlState::DUPLICATE_TABLE, notice);
            return self.establish(nothing, &transaction, &cancellation).await;
        }
        let descriptor = self.describe_graph(&create, schema, name, &catalog, text)?;
        let changes = catalog.create_graph(&descriptor);
        let changes = changes.map_err(|error| at(error, create.name.span(), text))?;
        let mut definition = Definition::new("CREATE PROPERTY GRAPH", changes);
        let tables = descriptor.vertices.iter().map(|vertex| (&vertex.schema, &vertex.table));
        let tables = tables.chain(descriptor.edges.iter().map(|edge| (&edge.schema, &edge.table)));
        definition.required = tables.map(|(schema, table)| table_key(schema, table)).collect();
        let mut notices = Vec::new();
        for (edge, (written, ..)) in descriptor.edges.iter().zip(&create.edges) {
            let counted = self.count_edges(&descriptor, edge, &catalog, &cancellation).await;
            let (rows, edges) = counted.map_err(|error| at(error, written.span, text))?;
            if edges < rows {
                notices.push(format!(
                    "{} of {} rows of {} are no edges of {}: their source is not in {}, or their destination not in {}",
                    with_commas(rows - edges),
                    with_commas(rows),
                    edge.table,
                    descriptor.name,
                    edge.source,
                    edge.destination
                ));
            }
        }
        let response = self.establish(definition, &transaction, &cancellation).await?;
        for notice in notices {
            self.notice(SqlState::SUCCESSFUL_COMPLETION, notice);
        }
        Ok(response)
    }

    fn describe_graph(
        &self,
        create: &Create,
        schema: String,
        name: String,
        catalog: &Catalog,
        text: &str,
    ) -> Result<GraphDescriptor> {
        let mut graph = GraphDescriptor {
            schema,
            name,
            vertices: Vec::new(),
            edges: Vec::new(),
        };
        if create.vertices.len() + create.edges.len() > ELEMENT_TABLES_MAX {
            let message = format!("a property graph has at most {ELEMENT_TABLES_MAX} element tables");
            return Err(Error::exhausted(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let mut aliases = BTreeSet::new();
        for written in &create.vertices {
            let element = self.element(written, &mut aliases, catalog, text)?;
            graph.vertices.push(VertexTable {
                schema: element.table.schema.clone(),
                table: element.table.name.clone(),
                label: element.label,
                alias: element.alias,
                key: element.key,
                properties: element.properties,
            });
        }
        for (written, source, destination) in &create.edges {
            let element = self.element(written, &mut aliases, catalog, text)?;
            let (source_key, source, source_columns) = end(source, &element.table, &graph, catalog, text)?;
            let (destination_key, destination, destination_columns) =
                end(destination, &element.table, &graph, catalog, text)?;
            graph.edges.push(EdgeTable {
                schema: element.table.schema.clone(),
                table: element.table.name.clone(),
                alias: element.alias,
                key: element.key,
                source_key,
                source,
                source_columns,
                destination_key,
                destination,
                destination_columns,
                label: element.label,
                properties: element.properties,
            });
        }
        Ok(graph)
    }

    fn element(
        &self,
        written: &ElementTable,
        aliases: &mut BTreeSet<String>,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Element> {
        let place = |error| at(error, written.span, text);
        let path = self.search_path()?;
        let resolved = self.names(catalog, &path).resolve(&reference(&written.table)?);
        let Object::Table(table) = resolved.map_err(place)? else {
            let message = format!("\"{}\" is not a table", written.table);
            return Err(place(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message)));
        };
        refuse_materialized(&table, "make a graph of").map_err(place)?;
        let alias = written.alias.as_ref().map_or_else(|| table.name.clone(), normalize);
        if !aliases.insert(alias.clone()) {
            let error = Error::invalid(
                SqlState::DUPLICATE_OBJECT,
                format!("\"{alias}\" is used more than once as an element table"),
            );
            return Err(place(error.with_hint("Give one of them another name with AS.")));
        }
        let key = match &written.key {
            Some(key) => columns(key, &table, text)?,
            None => {
                let positions = table.primary_key.iter().filter_map(|&id| table.position_of(id));
                positions.map(|at| table.columns[at].name.clone()).collect()
            }
        };
        if key.is_empty() {
            let error = Error::invalid(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("element table \"{alias}\" has no KEY, and its table no primary key"),
            );
            return Err(place(error));
        }
        let properties = match &written.properties {
            Properties::All => None,
            Properties::AllExcept(except) => {
                let except = columns(except, &table, text)?;
                let visible = table.columns.iter().map(|column| &column.name);
                let visible = visible.filter(|name| !except.contains(name));
                Some(visible.map(|name| property(name, name)).collect())
            }
            Properties::These(these) => Some(named(these, &table, text)?),
        };
        Ok(Element {
            label: written.label.as_ref().map_or_else(|| alias.clone(), normalize),
            table,
            alias,
            key,
            properties,
        })
    }

    /// The rows of an edge table, and how many of them are edges.
    async fn count_edges(
        &self,
        graph: &GraphDescriptor,
        edge: &EdgeTable,
        catalog: &Catalog,
        cancellation: &Cancellation,
    ) -> Result<(i64, i64)> {
        let transaction = self.transaction(false)?;
        let rows = format!("SELECT count(*) FROM {}", graph::qualified(&edge.schema, &edge.table));
        let rows = self.count(&rows, catalog, &transaction, cancellation).await?;
        let edges = graph::edges_that_are(graph, edge)?;
        Ok((rows, self.count(&edges, catalog, &transaction, cancellation).await?))
    }

    async fn count(
        &self,
        query: &str,
        catalog: &Catalog,
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
    ) -> Result<i64> {
        let statement = parse::parse(query)?.pop();
        let Some(ast::Statement::Query(parsed)) = statement.map(|statement| statement.ast) else {
            return Err(Error::internal("a count is no query"));
        };
        let plan: LogicalPlan = self.plan_query(&parsed, &[], query, catalog)?.plan;
        let context = StatementContext {
            transaction: transaction.clone(),
            cancellation: cancellation.clone(),
        };
        let (physical, task) = self.physical(&plan, context, query).await?;
        let batches: Vec<_> = run(physical, task, cancellation.clone(), query.into())?
            .try_collect()
            .await?;
        let counts = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
        Ok(counts.sum())
    }
}

/// An element table, looked up.
struct Element {
    table: Arc<TableDescriptor>,
    alias: String,
    key: Vec<String>,
    label: String,
    properties: Option<Vec<Property>>,
}

fn property(name: &str, column: &str) -> Property {
    Property {
        name: name.to_owned(),
        column: column.to_owned(),
    }
}

fn named(these: &[(ast::Ident, ast::Ident)], table: &TableDescriptor, text: &str) -> Result<Vec<Property>> {
    let mut properties: Vec<Property> = Vec::new();
    for (column, name) in these {
        let there = columns(std::slice::from_ref(column), table, text)?;
        let new = property(&normalize(name), &there[0]);
        if properties.iter().any(|other| other.name == new.name) {
            let error = Error::invalid(
                SqlState::DUPLICATE_OBJECT,
                format!("property \"{}\" specified more than once", new.name),
            );
            return Err(at(error, name.span, text));
        }
        properties.push(new);
    }
    Ok(properties)
}

/// The names of columns, all of which must be there.
fn columns(names: &[ast::Ident], table: &TableDescriptor, text: &str) -> Result<Vec<String>> {
    let found = names.iter().map(|ident| {
        let name = normalize(ident);
        match table.position(&name) {
            Some(_) => Ok(name),
            None => {
                let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                let error = Error::not_found(SqlState::UNDEFINED_COLUMN, message);
                Err(at(error.with_table(&table.name).with_column(name), ident.span, text))
            }
        }
    });
    found.collect()
}

/// The columns of an end of an edge, its vertex table's alias, and the columns there that they refer to.
fn end(
    end: &End,
    table: &TableDescriptor,
    graph: &GraphDescriptor,
    catalog: &Catalog,
    text: &str,
) -> Result<(Vec<String>, String, Vec<String>)> {
    let alias = normalize(&end.vertex);
    let vertex = graph.vertex(&alias).ok_or_else(|| {
        let message = format!(
            "there is no vertex table \"{alias}\" in property graph \"{}\"",
            graph.name
        );
        let error = Error::not_found(SqlState::UNDEFINED_TABLE, message);
        at(
            error.with_hint("REFERENCES takes the alias of one of its VERTEX TABLES."),
            end.vertex.span,
            text,
        )
    })?;
    let of_vertex = catalog.table(&vertex.schema, &vertex.table);
    let of_vertex = of_vertex.ok_or_else(|| Error::internal("a table is gone while a graph is defined"))?;
    let key = columns(&end.key, table, text)?;
    let referred = match &end.columns {
        None => vertex.key.clone(),
        Some(written) => columns(written, of_vertex, text)?,
    };
    if key.len() != referred.len() {
        let error = Error::invalid(
            SqlState::INVALID_TABLE_DEFINITION,
            format!(
                "{} columns cannot refer to {} columns of vertex table \"{alias}\"",
                key.len(),
                referred.len()
            ),
        );
        return Err(at(error, end.span, text));
    }
    for (own, other) in key.iter().zip(&referred) {
        let (own_type, other_type) = (column_type(table, own)?, column_type(of_vertex, other)?);
        let (own_arrow, other_arrow) = (own_type.to_arrow(), other_type.to_arrow());
        if own_arrow != other_arrow && !(own_arrow.is_numeric() && other_arrow.is_numeric()) {
            let error = Error::invalid(
                SqlState::DATATYPE_MISMATCH,
                format!("column \"{own}\" of type {own_type} cannot refer to \"{other}\" of type {other_type}"),
            );
            return Err(at(error, end.span, text));
        }
    }
    Ok((key, alias, referred))
}

fn column_type(table: &TableDescriptor, column: &str) -> Result<SqlType> {
    let position = table.position(column);
    let position =
        position.ok_or_else(|| Error::internal(format!("column {column} is gone while a graph is defined")))?;
    Ok(table.columns[position].sql_type)
}

/// `58799` as `58,799`.
fn with_commas(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
