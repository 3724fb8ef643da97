//! Temporary tables and views of a session: where they are made and found, and what becomes of their rows at the end of a transaction.
//!
//! The session's temporary schema (see [`crate::temporary`]) comes first in its search path, where it is not written elsewhere in it as `pg_temp`;
//! nothing is made in it that is not said to be temporary, or whose name does not say so.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use aion_base::id::TableId;
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::TableDescriptor;
use aion_catalog::objects::{Catalog, KeyChange, Object, SYSTEM_SCHEMAS, is_temporary};
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast;
use parking_lot::Mutex;

use super::Session;
use super::transaction::Block;
use crate::cancel::Cancellation;
use crate::dml::reference;
use crate::parse;
use crate::planner::search_path;
use crate::system::quoted;
use crate::temporary::TemporarySchema;
use crate::transaction::Transaction;

/// What stands for the session's own schema in names.
pub(crate) const ALIAS: &str = "pg_temp";

/// What a session has of temporary things.
#[derive(Debug, Default)]
pub(super) struct Temporary {
    schema: OnceLock<TemporarySchema>,
    /// What becomes of tables at the end of a transaction, by id and name: an id may be given again where the first one was rolled back.
    on_commit: Mutex<Vec<(TableId, String, AtCommit)>>,
}

/// What becomes of a temporary table at the end of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtCommit {
    /// Its rows go.
    DeleteRows,
    /// It goes.
    Drop,
}

impl AtCommit {
    /// Of what CREATE TABLE says.
    pub fn of(said: Option<&ast::OnCommit>) -> Option<Self> {
        match said {
            Some(ast::OnCommit::DeleteRows) => Some(Self::DeleteRows),
            Some(ast::OnCommit::Drop) => Some(Self::Drop),
            Some(ast::OnCommit::PreserveRows) | None => None,
        }
    }
}

impl Temporary {
    /// The name of the session's schema, if it has one.
    pub fn schema(&self) -> Option<&str> {
        self.schema.get().map(TemporarySchema::name)
    }

    /// The tables for which something is to be done at the end of a transaction, as the catalog has them.
    fn due(&self, catalog: &Catalog) -> Vec<(Arc<TableDescriptor>, AtCommit)> {
        let Some(schema) = self.schema() else {
            return Vec::new();
        };
        let noted = self.on_commit.lock();
        let due = noted
            .iter()
            .filter_map(|(id, name, action)| match catalog.object(schema, name)? {
                Object::Table(table) if table.id == *id => Some((table, *action)),
                _ => None,
            });
        due.collect()
    }
}

impl Session {
    /// The schemas in which a name without one is looked for, of a `search_path` setting.
    pub(super) fn path_of(&self, setting: &str) -> Vec<String> {
        let mut path = search_path(setting, &self.options.user);
        let place = path.iter().position(|schema| schema == ALIAS);
        match (self.temporary.schema(), place) {
            (Some(own), Some(at)) => own.clone_into(&mut path[at]),
            (Some(own), None) => path.insert(0, own.to_owned()),
            (None, _) => path.retain(|schema| schema != ALIAS),
        }
        path
    }

    /// The path that a view keeps: one that outlives the session has nothing of it.
    pub(super) fn path_of_view(&self, is_in_temporary_schema: bool) -> Result<Vec<String>> {
        let mut path = self.search_path()?;
        path.retain(|schema| is_in_temporary_schema || !is_temporary(schema));
        Ok(path)
    }

    /// The schema and name for a new object. `is_temporary` is what the statement says.
    pub(super) fn new_name(&self, name: &ast::ObjectName, is_said: bool) -> Result<(String, String)> {
        let own = || self.temporary.schema.get_or_init(|| TemporarySchema::new(&self.engine));
        match reference(name)? {
            TableReference::Bare { table } if is_said => Ok((own().name().to_owned(), table.to_string())),
            TableReference::Bare { table } => {
                let (path, catalog) = (self.search_path()?, self.catalog()?);
                let is_choice = |schema: &String| {
                    !SYSTEM_SCHEMAS.contains(&schema.as_str()) && !is_temporary(schema) && catalog.has_schema(schema)
                };
                let schema = path.into_iter().find(is_choice).ok_or_else(|| {
                    Error::not_found(
                        SqlState::INVALID_SCHEMA_NAME,
                        "no schema has been selected to create in",
                    )
                })?;
                Ok((schema, table.to_string()))
            }
            TableReference::Partial { schema, table } | TableReference::Full { schema, table, .. } => {
                if *schema == *ALIAS {
                    return Ok((own().name().to_owned(), table.to_string()));
                }
                if is_temporary(&schema) && self.temporary.schema() != Some(&*schema) {
                    return Err(Error::invalid(
                        SqlState::INVALID_TABLE_DEFINITION,
                        "cannot create relations in temporary schemas of other sessions",
                    ));
                }
                if is_said && !is_temporary(&schema) {
                    return Err(Error::invalid(
                        SqlState::INVALID_TABLE_DEFINITION,
                        "cannot create temporary relation in non-temporary schema",
                    ));
                }
                Ok((schema.to_string(), table.to_string()))
            }
        }
    }

    /// The catalog in which something is made in a schema: with the session's own, where that is not there yet, and what makes it.
    ///
    /// # Errors
    /// As CREATE SCHEMA.
    pub(super) fn with_temporary_schema<'c>(
        &self,
        schema: &str,
        catalog: &'c Catalog,
    ) -> Result<(Cow<'c, Catalog>, Vec<KeyChange>)> {
        if !is_temporary(schema) || catalog.has_schema(schema) {
            return Ok((Cow::Borrowed(catalog), Vec::new()));
        }
        let changes = catalog.create_schema(schema)?;
        Ok((Cow::Owned(catalog.with_schema(schema)), changes))
    }

    /// Notes what becomes of a new table at the end of the transaction.
    ///
    /// # Errors
    /// 42P16 for a table that is not temporary.
    pub(super) fn note_on_commit(&self, table: &TableDescriptor, said: Option<&ast::OnCommit>) -> Result<()> {
        if said.is_some() && !is_temporary(&table.schema) {
            return Err(Error::invalid(
                SqlState::INVALID_TABLE_DEFINITION,
                "ON COMMIT can only be used on temporary tables",
            ));
        }
        if let Some(action) = AtCommit::of(said) {
            let mut noted = self.temporary.on_commit.lock();
            noted.retain(|(there, name, _)| (*there, name) != (table.id, &table.name));
            noted.push((table.id, table.name.clone(), action));
        }
        Ok(())
    }

    /// Whether the rows of a table go at the end of each transaction.
    pub(super) fn is_emptied(&self, table: &TableDescriptor) -> bool {
        let noted = self.temporary.on_commit.lock();
        is_temporary(&table.schema)
            && noted
                .iter()
                .any(|(there, name, _)| (*there, name) == (table.id, &table.name))
    }

    /// Does what is to be done at the end of the block: drops tables, and empties others.
    ///
    /// # Errors
    /// As DROP and TRUNCATE.
    pub(super) async fn end_temporary(&mut self, block: Block) -> (Block, Result<()>) {
        if self.temporary.on_commit.lock().is_empty() {
            return (block, Ok(()));
        }
        let transaction = block.transaction.clone();
        self.block = Some(block);
        let done = self.clear_temporary(&transaction).await;
        let block = self.block.take().expect("it was put there, and no definition takes it");
        (block, done)
    }

    /// As [`Session::end_temporary`], after a definition outside of a block.
    pub(super) async fn end_temporary_alone(&mut self) -> Result<()> {
        if self.temporary.on_commit.lock().is_empty() || self.block.is_some() {
            return Ok(());
        }
        let transaction = self.transaction(true)?;
        self.clear_temporary(&transaction).await
    }

    async fn clear_temporary(&mut self, transaction: &Arc<Transaction>) -> Result<()> {
        let due = self.temporary.due(&*self.catalog()?);
        for (table, action) in due {
            let range = KeyRange::table(table.storage);
            transaction.take_out(&range);
            let name = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
            let text = match action {
                AtCommit::Drop => format!("DROP TABLE {name} CASCADE"),
                // What was loaded beside the transaction.
                AtCommit::DeleteRows if !transaction.last_committed_key(&range)?.is_empty() => {
                    format!("TRUNCATE {name} CASCADE")
                }
                AtCommit::DeleteRows => continue,
            };
            self.define_quietly(&text, transaction).await?;
        }
        Ok(())
    }

    async fn define_quietly(&mut self, text: &str, transaction: &Arc<Transaction>) -> Result<()> {
        let catalog = self.catalog_of(transaction)?;
        for statement in parse::parse(text)? {
            let mut definition = self.definition(&statement, &catalog)?;
            definition.notices.clear();
            self.establish(definition, transaction, &Cancellation::default())
                .await?;
        }
        Ok(())
    }

    /// Of a statement outside of a block: forgets the rows that would go with its commit.
    pub(super) fn forget_temporary_rows(&self, transaction: &Transaction) -> Result<()> {
        if self.temporary.on_commit.lock().is_empty() || self.block.is_some() {
            return Ok(());
        }
        for (table, _) in self.temporary.due(&*self.catalog()?) {
            transaction.take_out(&KeyRange::table(table.storage));
        }
        Ok(())
    }

    /// DISCARD TEMP: drops all that is temporary of this session.
    ///
    /// # Errors
    /// As DROP SCHEMA.
    pub(super) async fn discard_temporary(&mut self) -> Result<()> {
        let Some(schema) = self.temporary.schema().map(str::to_owned) else {
            return Ok(());
        };
        let transaction = self.transaction(true)?;
        let text = format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(&schema));
        self.define_quietly(&text, &transaction).await?;
        self.temporary.on_commit.lock().clear();
        Ok(())
    }
}

/// That a table and what it refers to are both temporary, or neither.
///
/// # Errors
/// 42P16.
pub(super) fn check_reference(child: &str, parent: &str) -> Result<()> {
    let message = match (is_temporary(child), is_temporary(parent)) {
        (true, false) => "constraints on temporary tables may reference only temporary tables",
        (false, true) => "constraints on permanent tables may reference only permanent tables",
        _ => return Ok(()),
    };
    Err(Error::invalid(SqlState::INVALID_TABLE_DEFINITION, message))
}
