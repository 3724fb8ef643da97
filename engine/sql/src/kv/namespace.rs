//! Namespaces: tables of one shape in one schema.

use std::collections::HashMap;
use std::sync::Arc;

use aion_base::key::KeyWriter;
use aion_base::range::KeyRange;
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{TableDescriptor, check_name};
use aion_catalog::keys::{KEY_ORDER, ROWS};
use aion_catalog::objects::{Catalog, Object, table_key};
use aion_catalog::row::{RowReader, RowWriter};
use aion_storage::Generation;
use parking_lot::Mutex;

use super::{ATTEMPTS_MAX, Batch, Kv, reader};
use crate::engine::Engine;
use crate::planner::Names;
use crate::response::Response;
use crate::session::{Session, SessionOptions};
use crate::system::quoted;
use crate::table::TableShape;
use crate::transaction::Transaction;

/// The schema of all namespaces.
pub const SCHEMA: &str = "kv";

const KEY: &str = "key";
const VALUE: &str = "value";

/// A table that is a namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    pub shape: Arc<TableShape>,
    /// The key of its descriptor.
    pub descriptor: KeyRange,
    /// How rows are written.
    pub writing: Writing,
    /// Positions of its columns.
    key_at: usize,
    value_at: usize,
    /// What the keys of its rows begin with.
    prefix: Vec<u8>,
}

/// How the rows of a namespace are written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// By their keys alone.
    Plain,
    /// With their entries in indexes.
    Indexed,
    /// By SQL alone: why.
    Refused(String),
}

/// The namespaces of the newest catalog that was asked for.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    generation: Option<Generation>,
    by_name: HashMap<Arc<str>, Arc<Namespace>>,
}

impl Namespaces {
    fn get(&self, generation: Generation, name: &str) -> Option<Arc<Namespace>> {
        let known = self.known.lock();
        if known.generation != Some(generation) {
            return None;
        }
        known.by_name.get(name).cloned()
    }

    fn put(&self, generation: Generation, name: &Arc<str>, namespace: &Arc<Namespace>) {
        let mut known = self.known.lock();
        if known.generation != Some(generation) {
            known.by_name.clear();
            known.generation = Some(generation);
        }
        known.by_name.insert(name.clone(), namespace.clone());
    }
}

impl Kv {
    /// The namespace of a name, as a transaction sees it.
    ///
    /// # Errors
    /// 42P01, 42809.
    pub(super) fn namespace(&self, transaction: &Transaction, name: &Arc<str>) -> Result<Arc<Namespace>> {
        let generation = transaction.generation()?;
        if let Some(known) = generation.and_then(|generation| self.namespaces.get(generation, name)) {
            return Ok(known);
        }
        let catalog = self.engine.catalog_of(transaction)?;
        let namespace = Arc::new(Namespace::find(&self.engine, &catalog, name)?);
        if let Some(generation) = generation {
            self.namespaces.put(generation, name, &namespace);
        }
        Ok(namespace)
    }

    /// The namespace of a name, as it is now.
    ///
    /// # Errors
    /// As [`Kv::namespace`].
    pub(super) fn namespace_now(&self, name: &Arc<str>) -> Result<Arc<Namespace>> {
        let generation = self.engine.store.generation();
        match generation.and_then(|generation| self.namespaces.get(generation, name)) {
            Some(known) => Ok(known),
            None => self.namespace(&reader(&self.engine), name),
        }
    }

    /// Whether all namespaces of a batch are written by keys alone.
    ///
    /// # Errors
    /// As [`Kv::namespace`].
    pub(super) fn are_plain(&self, batch: &Batch) -> Result<bool> {
        let mut last: Option<&Arc<str>> = None;
        for operation in &batch.operations {
            if last == Some(&operation.namespace) {
                continue;
            }
            last = Some(&operation.namespace);
            if self.namespace_now(&operation.namespace)?.writing != Writing::Plain {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The names of all namespaces, in order. A table of the schema that has another shape is none.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn list(&self) -> Result<Vec<String>> {
        let catalog = self.engine.catalog_of(&reader(&self.engine))?;
        let tables = catalog.tables().filter(|table| table.schema == SCHEMA);
        let mut names: Vec<String> = tables
            .filter(|table| columns(table).is_ok())
            .map(|table| table.name.clone())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Makes a namespace; false where it is there already.
    ///
    /// # Errors
    /// 42602 for a name that is none, 42622 for one that is too long, 42809 for what is there and is no namespace.
    pub async fn create(&self, name: &str) -> Result<bool> {
        check_namespace_name(name)?;
        if self.is_there(name)? {
            return Ok(false);
        }
        let table = format!("{SCHEMA}.{}", quoted(name));
        let text = format!(
            "CREATE SCHEMA IF NOT EXISTS {SCHEMA}; \
             CREATE TABLE {table} ({KEY} bytea PRIMARY KEY, {VALUE} bytea NOT NULL)"
        );
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.define(&text).await {
                Ok(()) => return Ok(true),
                // Somebody else makes the schema, or a namespace, at this moment.
                Err(error) if error.kind() == ErrorKind::Conflict || is_duplicate(&error) => {
                    if self.is_there(name)? {
                        return Ok(false);
                    }
                    if attempts == ATTEMPTS_MAX {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Drops a namespace with all that is in it; false where there is none.
    ///
    /// # Errors
    /// 42809 for a table that is no namespace, 2BP01 where something depends on it.
    pub async fn drop_namespace(&self, name: &str) -> Result<bool> {
        if !self.is_there(name)? {
            return Ok(false);
        }
        match self.define(&format!("DROP TABLE {SCHEMA}.{}", quoted(name))).await {
            Ok(()) => Ok(true),
            Err(error) if error.state() == SqlState::UNDEFINED_TABLE => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_there(&self, name: &str) -> Result<bool> {
        match self.namespace_now(&name.into()) {
            Ok(_) => Ok(true),
            Err(error) if error.state() == SqlState::UNDEFINED_TABLE => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Runs definitions as one transaction.
    async fn define(&self, text: &str) -> Result<()> {
        let mut session = Session::new(self.engine.clone(), SessionOptions::default());
        session.begin_implicit();
        for statement in session.parse(text)? {
            let prepared = session.prepare(&statement, &[]).await?;
            match session.execute(&prepared, &[]).await? {
                Response::Done { .. } => {}
                Response::Rows(_) => return Err(Error::internal("a definition gives rows")),
            }
        }
        session.end_implicit().await
    }
}

impl Namespace {
    fn find(engine: &Engine, catalog: &Catalog, name: &str) -> Result<Self> {
        let table = match catalog.object(SCHEMA, name) {
            Some(Object::Table(table)) => table,
            Some(_) => return Err(other_shape(name, "it is no table")),
            None => {
                return Err(Error::not_found(
                    SqlState::UNDEFINED_TABLE,
                    format!("namespace \"{name}\" does not exist"),
                )
                .with_hint("Make it first, by CreateNamespace or PUT /v1/kv/NAMESPACE."));
            }
        };
        let (key_at, value_at) = columns(&table)?;
        let names = Names::new(&engine.state, catalog, &[], &engine.shapes);
        let shape = names.shape(&table);
        let mut prefix = Vec::new();
        KeyWriter::new(&mut prefix).table(table.storage, ROWS);
        Ok(Self {
            descriptor: KeyRange::point(&table_key(&table.schema, &table.name)),
            writing: writing(catalog, &table),
            shape,
            key_at,
            value_at,
            prefix,
        })
    }

    /// The key of a row.
    pub fn row_key(&self, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.prefix.len() + key.len() + 8);
        out.extend_from_slice(&self.prefix);
        KeyWriter::new(&mut out).bytes(key, KEY_ORDER);
        out
    }

    /// The range of the rows whose keys begin with `prefix`.
    pub fn starting_with(&self, prefix: &[u8]) -> KeyRange {
        let mut out = self.prefix.clone();
        KeyWriter::new(&mut out).bytes_prefix(prefix, KEY_ORDER);
        KeyRange::prefix(&out)
    }

    /// The range of all rows.
    pub fn rows(&self) -> KeyRange {
        KeyRange::prefix(&self.prefix)
    }

    /// Puts the bytes of a row into `out`, replacing what was there.
    pub fn write_row(&self, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
        out.clear();
        let mut writer = RowWriter::new(&self.shape.layout, out);
        // In the order of the columns.
        let mut cells = [(self.key_at, key), (self.value_at, value)];
        cells.sort_unstable_by_key(|(at, _)| *at);
        for (at, bytes) in cells {
            writer.bytes(at, bytes);
        }
        writer.finish();
    }

    /// The key and the value of a row.
    ///
    /// # Errors
    /// Corrupt, for bytes that are no row of the table.
    pub fn read_row<'a>(&'a self, row: &'a [u8]) -> Result<(&'a [u8], &'a [u8])> {
        let row = RowReader::new(&self.shape.layout, row)?;
        if row.is_null(self.key_at) || row.is_null(self.value_at) {
            return Err(Error::corrupt(format!(
                "a row of {SCHEMA}.{} is without a key or a value",
                self.shape.descriptor.name
            )));
        }
        Ok((row.bytes(self.key_at)?, row.bytes(self.value_at)?))
    }

    /// Refuses to write what only SQL may write.
    ///
    /// # Errors
    /// 0A000.
    pub fn check_writing(&self) -> Result<()> {
        match &self.writing {
            Writing::Refused(why) => {
                let name = &self.shape.descriptor.name;
                Err(Error::unsupported(format!(
                    "namespace \"{name}\" is written by SQL alone: the table {SCHEMA}.{name} has {why}"
                ))
                .with_table(name.clone()))
            }
            Writing::Plain | Writing::Indexed => Ok(()),
        }
    }
}

/// The positions of the key and the value in a table that is a namespace.
///
/// # Errors
/// 42809.
fn columns(table: &TableDescriptor) -> Result<(usize, usize)> {
    let column = |name: &str| {
        let at = table.position(name)?;
        let column = &table.columns[at];
        let is_it = column.sql_type == SqlType::Bytea && !column.is_nullable && column.generated.is_none();
        is_it.then_some(at)
    };
    match (column(KEY), column(VALUE)) {
        (Some(key), Some(value)) if table.columns.len() == 2 && table.primary_key_positions() == [key] => {
            Ok((key, value))
        }
        _ => Err(other_shape(&table.name, "its columns are others")),
    }
}

fn other_shape(name: &str, why: &str) -> Error {
    Error::invalid(
        SqlState::WRONG_OBJECT_TYPE,
        format!("{SCHEMA}.{name} is no namespace: {why}"),
    )
    .with_hint(format!(
        "A namespace is a table ({KEY} bytea PRIMARY KEY, {VALUE} bytea NOT NULL)."
    ))
}

fn writing(catalog: &Catalog, table: &TableDescriptor) -> Writing {
    if let Some(check) = table.checks.first() {
        return Writing::Refused(format!("the constraint \"{}\" (CHECK)", check.name));
    }
    if let Some(key) = table.foreign_keys.first() {
        return Writing::Refused(format!("the constraint \"{}\" (FOREIGN KEY)", key.name));
    }
    let children = catalog
        .tables()
        .find(|child| child.foreign_keys.iter().any(|key| key.parent == table.id));
    if let Some(child) = children {
        return Writing::Refused(format!(
            "rows that the foreign key of another table, \"{}\", needs",
            child.name
        ));
    }
    match table.indexes.is_empty() {
        true => Writing::Plain,
        false => Writing::Indexed,
    }
}

fn is_duplicate(error: &Error) -> bool {
    matches!(error.state(), SqlState::DUPLICATE_TABLE | SqlState::DUPLICATE_SCHEMA)
}

/// A name that reads the same in SQL without quotes.
fn check_namespace_name(name: &str) -> Result<()> {
    check_name(name, "namespace")?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let mut bytes = name.bytes();
    if bytes.next().is_some_and(is_plain) && bytes.all(|byte| is_plain(byte) || byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(
        Error::invalid(SqlState::INVALID_NAME, format!("\"{name}\" is no name of a namespace"))
            .with_hint("It begins with a lower-case letter or _, and goes on with those and digits."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_sql_reads_without_quotes() {
        for name in ["a", "_", "users_2", &"n".repeat(63)] {
            check_namespace_name(name).expect(name);
        }
        for name in ["", "A", "2a", "a-b", "a.b", "é", "a b", "a\"", &"n".repeat(64)] {
            check_namespace_name(name).expect_err(name);
        }
    }
}
