//! CREATE and DROP of tables and schemas; those of indexes are beside it.
//!
//! A definition is computed against the catalog that the transaction sees and goes into it as changes of keys. DROP TABLE
//! deletes the rows key by key in the same transaction, so it is bounded by what a transaction may write.

use std::sync::Arc;

use aion_base::id::TableId;
use aion_base::range::KeyRange;
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_catalog::descriptor::{ColumnDescriptor, ColumnId, TableDescriptor};
use aion_catalog::keys::{IndexKeys, check_key_type};
use aion_catalog::objects::{Catalog, KeyChange, Object, PUBLIC, SYSTEM_SCHEMAS};
use aion_catalog::stats::TableStatistics;
use aion_storage::Direction;
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::Session;
use crate::cancel::Cancellation;
use crate::dml::{at, normalize, reference};
use crate::parse::Statement;
use crate::planner::sql_type;
use crate::response::Response;
use crate::table::TableShape;
use crate::transaction::Transaction;

/// What a definition changes, and its tag.
pub(super) struct Definition {
    pub changes: Vec<KeyChange>,
    /// Ranges whose keys go.
    pub cleared: Vec<KeyRange>,
    /// Indexes to be filled from the rows of their tables.
    pub filled: Vec<(Arc<TableShape>, IndexKeys)>,
    /// An index is built in memory once it is committed.
    pub has_graph: bool,
    /// Keys of descriptors that it is right with only while they are as they were.
    pub required: Vec<Vec<u8>>,
    tag: &'static str,
    pub notice: Option<(SqlState, String)>,
}

impl Definition {
    pub fn new(tag: &'static str, changes: Vec<KeyChange>) -> Self {
        Self {
            changes,
            cleared: Vec::new(),
            filled: Vec::new(),
            has_graph: false,
            required: Vec::new(),
            tag,
            notice: None,
        }
    }

    /// IF [NOT] EXISTS: nothing to do, and a notice says so.
    pub fn nothing(tag: &'static str, state: SqlState, notice: String) -> Self {
        Self {
            changes: Vec::new(),
            cleared: Vec::new(),
            filled: Vec::new(),
            has_graph: false,
            required: Vec::new(),
            tag,
            notice: Some((state, notice)),
        }
    }
}

impl Session {
    pub(super) async fn define(&mut self, statement: &Statement, cancellation: &Cancellation) -> Result<Response> {
        let transaction = self.transaction(true)?;
        let catalog = self.catalog_of(&transaction)?;
        let definition = self.definition(statement, &catalog)?;
        self.establish(definition, &transaction, cancellation).await
    }

    /// Writes a definition, and commits it outside of a transaction block.
    pub(super) async fn establish(
        &mut self,
        definition: Definition,
        transaction: &Transaction,
        cancellation: &Cancellation,
    ) -> Result<Response> {
        let limit = self.time_limit(cancellation);
        for key in &definition.required {
            transaction.require_unchanged(KeyRange::point(key));
        }
        transaction.save();
        if let Err(error) = apply(transaction, &definition, cancellation).await {
            transaction.restore();
            return Err(error);
        }
        // What is committed from here on has taken effect.
        drop(limit);
        match &mut self.block {
            Some(block) => block.has_changed_catalog |= !definition.changes.is_empty(),
            None => self.commit(transaction).await?,
        }
        // Whoever made an index expects the next search to use it.
        if definition.has_graph && self.block.is_none() {
            self.engine.build_indexes().await?;
        }
        if let Some((state, notice)) = definition.notice {
            self.notice(state, notice);
        }
        Ok(Response::Done {
            tag: definition.tag.to_owned(),
        })
    }

    fn definition(&self, statement: &Statement, catalog: &Catalog) -> Result<Definition> {
        let text = &statement.text;
        match &statement.ast {
            ast::Statement::CreateTable(create) => self.create_table(create, catalog, text),
            ast::Statement::CreateSchema {
                schema_name: ast::SchemaName::Simple(name),
                if_not_exists,
                ..
            } => {
                let name = single_name(name)?;
                if *if_not_exists && catalog.has_schema(&name) {
                    let notice = format!("schema \"{name}\" already exists, skipping");
                    return Ok(Definition::nothing("CREATE SCHEMA", SqlState::DUPLICATE_SCHEMA, notice));
                }
                Ok(Definition::new("CREATE SCHEMA", catalog.create_schema(&name)?))
            }
            ast::Statement::CreateExtension(create) => {
                match normalize(&create.name).as_str() {
                    "vector" | "plpgsql" => Ok(Definition::new("CREATE EXTENSION", Vec::new())),
                    other => Err(Error::unsupported(format!("extension \"{other}\" is not there"))
                        .with_hint("vector is built in.")),
                }
            }
            ast::Statement::CreateIndex(create) => self.create_index(create, catalog, text),
            ast::Statement::Drop {
                object_type: ast::ObjectType::Index,
                if_exists,
                names,
                cascade: false,
                ..
            } => self.drop_indexes(names, *if_exists, catalog, text),
            ast::Statement::CreateView(create) => self.create_view(create, catalog, text),
            ast::Statement::Drop {
                object_type: ast::ObjectType::View,
                if_exists,
                names,
                cascade: false,
                ..
            } => self.drop_views(names, *if_exists, catalog, text),
            ast::Statement::Drop {
                object_type: ast::ObjectType::Table,
                if_exists,
                names,
                cascade,
                ..
            } => {
                if *cascade {
                    return Err(Error::unsupported("DROP ... CASCADE is not there yet"));
                }
                self.drop_tables(names, *if_exists, catalog, text)
            }
            other => {
                let words: Vec<_> = other
                    .to_string()
                    .split_whitespace()
                    .take(2)
                    .map(str::to_owned)
                    .collect();
                Err(Error::unsupported(format!("{} is not there yet", words.join(" "))))
            }
        }
    }

    fn create_table(&self, create: &ast::CreateTable, catalog: &Catalog, text: &str) -> Result<Definition> {
        refuse_options(create)?;
        let (schema, name) = self.new_name(&create.name)?;
        if create.if_not_exists && catalog.object(&schema, &name).is_some() {
            let notice = format!("relation \"{name}\" already exists, skipping");
            return Ok(Definition::nothing("CREATE TABLE", SqlState::DUPLICATE_TABLE, notice));
        }
        let mut table = TableDescriptor {
            id: TableId(0),
            schema,
            name,
            version: 0,
            columns: Vec::new(),
            primary_key: Vec::new(),
            primary_key_name: None,
            indexes: Vec::new(),
            next_column: 1,
            next_index: 1,
        };
        for column in &create.columns {
            add_column(&mut table, column, text)?;
        }
        for constraint in &create.constraints {
            add_constraint(&mut table, constraint, text)?;
        }
        self.check_defaults(&table, catalog)?;
        let (_, changes) = catalog
            .create_table(table)
            .map_err(|error| at(error, create.name.span(), text))?;
        Ok(Definition::new("CREATE TABLE", changes))
    }

    /// A DEFAULT must be an expression over nothing.
    fn check_defaults(&self, table: &TableDescriptor, catalog: &Catalog) -> Result<()> {
        let path = self.search_path()?;
        self.names(catalog, &path).check_defaults(table)
    }

    fn drop_tables(
        &self,
        names: &[ast::ObjectName],
        if_exists: bool,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Definition> {
        let mut definition = Definition::new("DROP TABLE", Vec::new());
        let path = self.search_path()?;
        for name in names {
            let resolved = self.names(catalog, &path).resolve(&reference(name)?);
            match resolved {
                Ok(Object::Table(table)) => {
                    let unused = catalog.check_unused(&table.schema, &table.name, "table", &[]);
                    unused.map_err(|error| at(error, name.span(), text))?;
                    definition.changes.extend(catalog.drop_table(&table));
                    definition.cleared.push(KeyRange::table(table.id));
                    definition
                        .cleared
                        .push(KeyRange::point(&TableStatistics::key(table.id)));
                }
                Ok(_) => {
                    let error = Error::invalid(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a table"));
                    return Err(at(error, name.span(), text));
                }
                Err(error) if if_exists && error.kind() == ErrorKind::NotFound => {
                    let notice = format!("table \"{name}\" does not exist, skipping");
                    definition.notice = Some((SqlState::SUCCESSFUL_COMPLETION, notice));
                }
                Err(error) => return Err(at(error, name.span(), text)),
            }
        }
        Ok(definition)
    }

    /// The schema and name for a new object.
    pub(super) fn new_name(&self, name: &ast::ObjectName) -> Result<(String, String)> {
        match reference(name)? {
            TableReference::Bare { table } => {
                let path = self.search_path()?;
                let schema = path
                    .into_iter()
                    .find(|schema| !SYSTEM_SCHEMAS.contains(&schema.as_str()));
                Ok((schema.unwrap_or_else(|| PUBLIC.to_owned()), table.to_string()))
            }
            TableReference::Partial { schema, table } | TableReference::Full { schema, table, .. } => {
                Ok((schema.to_string(), table.to_string()))
            }
        }
    }
}

async fn apply(transaction: &Transaction, definition: &Definition, cancellation: &Cancellation) -> Result<()> {
    for range in &definition.cleared {
        let mut rows = 0;
        let mut scan = transaction.scan(range, Direction::Forward);
        while scan.advance()? {
            transaction.delete(scan.key())?;
            rows += 1;
            cancellation.watch(rows).await?;
        }
    }
    for (shape, index) in &definition.filled {
        super::index::fill(shape, index, transaction, cancellation).await?;
    }
    for change in &definition.changes {
        // Read first: two definitions at once are a conflict.
        let is_there = transaction.get(&change.key)?.is_some();
        match &change.value {
            Some(value) if is_there => transaction.update(&change.key, value)?,
            Some(value) => drop(transaction.insert(&change.key, value)?),
            None if is_there => transaction.delete(&change.key)?,
            None => {}
        }
    }
    Ok(())
}

fn add_column(table: &mut TableDescriptor, definition: &ast::ColumnDef, text: &str) -> Result<()> {
    let name = normalize(&definition.name);
    let place = |error| at(error, definition.name.span, text);
    if table.position(&name).is_some() {
        let error = Error::invalid(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{name}\" specified more than once"),
        );
        return Err(place(error));
    }
    let id = ColumnId(table.next_column);
    table.next_column += 1;
    let mut column = ColumnDescriptor {
        id,
        name,
        sql_type: sql_type(&definition.data_type).map_err(place)?,
        is_nullable: true,
        default: None,
    };
    let mut primary_key = None;
    for option in &definition.options {
        match &option.option {
            ast::ColumnOption::Null => {}
            ast::ColumnOption::NotNull => column.is_nullable = false,
            ast::ColumnOption::Default(expr) => column.default = Some(expr.to_string()),
            ast::ColumnOption::PrimaryKey(_) => primary_key = Some(option.name.as_ref()),
            other => {
                return Err(place(Error::unsupported(format!(
                    "column \"{}\": {other} is not there yet",
                    column.name
                ))));
            }
        }
    }
    let column_name = column.name.clone();
    table.columns.push(column);
    if let Some(constraint) = primary_key {
        set_primary_key(table, &[column_name], constraint).map_err(place)?;
    }
    Ok(())
}

fn add_constraint(table: &mut TableDescriptor, constraint: &ast::TableConstraint, text: &str) -> Result<()> {
    let ast::TableConstraint::PrimaryKey(primary_key) = constraint else {
        return Err(at(
            Error::unsupported(format!("the constraint {constraint} is not there yet")),
            constraint.span(),
            text,
        ));
    };
    let mut columns = Vec::new();
    for column in &primary_key.columns {
        match &column.column.expr {
            ast::Expr::Identifier(name) => columns.push(normalize(name)),
            other => return Err(Error::invalid(SqlState::SYNTAX_ERROR, format!("{other} is no column"))),
        }
    }
    set_primary_key(table, &columns, primary_key.name.as_ref()).map_err(|error| at(error, constraint.span(), text))
}

fn set_primary_key(table: &mut TableDescriptor, columns: &[String], name: Option<&ast::Ident>) -> Result<()> {
    if !table.primary_key.is_empty() {
        return Err(Error::invalid(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("multiple primary keys for table \"{}\" are not allowed", table.name),
        ));
    }
    for name in columns {
        let position = table.position(name).ok_or_else(|| {
            Error::not_found(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" named in key does not exist"),
            )
        })?;
        let column = &mut table.columns[position];
        check_key_type(column.sql_type, name)?;
        column.is_nullable = false;
        if table.primary_key.contains(&column.id) {
            return Err(Error::invalid(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" appears twice in primary key constraint"),
            ));
        }
        table.primary_key.push(column.id);
    }
    table.primary_key_name = Some(name.map_or_else(|| format!("{}_pkey", table.name), normalize));
    Ok(())
}

fn refuse_options(create: &ast::CreateTable) -> Result<()> {
    let what = [
        (create.or_replace, "CREATE OR REPLACE TABLE"),
        (create.temporary, "a temporary table"),
        (create.external, "an external table"),
        (create.query.is_some(), "CREATE TABLE AS"),
        (create.like.is_some(), "CREATE TABLE ... LIKE"),
        (create.clone.is_some(), "CREATE TABLE ... CLONE"),
        (create.inherits.is_some(), "INHERITS"),
        (
            create.partition_by.is_some() || create.partition_of.is_some(),
            "a partitioned table",
        ),
        (create.on_commit.is_some(), "ON COMMIT"),
        (!matches!(create.table_options, ast::CreateTableOptions::None), "WITH"),
    ];
    match what.iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => Err(Error::unsupported(format!("{what} is not there yet"))),
        None => Ok(()),
    }
}

fn single_name(name: &ast::ObjectName) -> Result<String> {
    match reference(name)? {
        TableReference::Bare { table } => Ok(table.to_string()),
        _ => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            format!("{name} is not the name of a schema"),
        )),
    }
}
