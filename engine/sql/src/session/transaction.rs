//! BEGIN, COMMIT, ROLLBACK, and committing what a statement wrote.

use std::sync::Arc;

use aion_base::id::{IndexId, TableId};
use aion_base::key::KeyReader;
use aion_base::{Error, Result, SqlState};
use aion_storage::{Outcome, Reason, Rejection, Replicator};
use datafusion::sql::sqlparser::ast;

use super::{Engine, Session};
use crate::response::Response;
use crate::transaction::Transaction;

/// An open transaction block.
#[derive(Debug)]
pub struct Block {
    pub transaction: Arc<Transaction>,
    /// It ends with the message that began it.
    pub is_implicit: bool,
    pub is_failed: bool,
    pub has_changed_catalog: bool,
}

impl Block {
    pub fn begin(engine: &Engine, is_implicit: bool) -> Result<Self> {
        let transaction = Arc::new(engine.begin(true)?);
        Ok(Self {
            transaction,
            is_implicit,
            is_failed: false,
            has_changed_catalog: false,
        })
    }
}

fn done(tag: &str) -> Response {
    Response::Done { tag: tag.to_owned() }
}

impl Session {
    pub(super) async fn control(&mut self, statement: &ast::Statement) -> Result<Response> {
        match statement {
            ast::Statement::StartTransaction { modes, statements, .. } => {
                if !statements.is_empty() {
                    return Err(Error::unsupported("BEGIN with a body is not PostgreSQL's"));
                }
                modes.iter().try_for_each(check_mode)?;
                match &mut self.block {
                    None => self.block = Some(Block::begin(&self.engine, false)?),
                    Some(block) if block.is_implicit => block.is_implicit = false,
                    Some(_) => {
                        self.notice(
                            SqlState::ACTIVE_SQL_TRANSACTION,
                            "there is already a transaction in progress",
                        );
                    }
                }
                Ok(done("BEGIN"))
            }
            ast::Statement::Commit { chain: false, .. } => match self.block.take() {
                None => {
                    self.notice(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "there is no transaction in progress",
                    );
                    Ok(done("COMMIT"))
                }
                // As PostgreSQL answers the COMMIT of a failed transaction.
                Some(block) if block.is_failed => Ok(done("ROLLBACK")),
                Some(block) => self.commit(&block.transaction).await.map(|()| done("COMMIT")),
            },
            ast::Statement::Rollback {
                chain: false,
                savepoint: None,
            } => {
                if self.block.take().is_none() {
                    self.notice(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "there is no transaction in progress",
                    );
                }
                Ok(done("ROLLBACK"))
            }
            ast::Statement::Rollback { savepoint: Some(_), .. } => {
                Err(Error::unsupported("savepoints are not there yet"))
            }
            _ => Err(Error::unsupported("AND CHAIN is not there yet")),
        }
    }

    /// Commits a transaction and waits for the answer.
    ///
    /// # Errors
    /// 40001 for a conflict, 23505 for a duplicate that another transaction committed first.
    pub(super) async fn commit(&self, transaction: &Transaction) -> Result<()> {
        let Some(commit) = transaction.take_commit() else {
            return Ok(());
        };
        match self.engine.store.propose(commit)?.await? {
            Outcome::Committed { .. } => {
                self.engine.maintain();
                Ok(())
            }
            Outcome::Rejected(rejection) => Err(self.rejected(rejection)),
        }
    }

    /// A rejection with the name of the constraint.
    fn rejected(&self, rejection: Rejection) -> Error {
        let is_duplicate = rejection.reason == Reason::Duplicate;
        let key = KeyReader::new(&rejection.key).table().ok();
        let error = Error::from(rejection);
        let (Some((table, index)), true) = (key, is_duplicate) else {
            return error;
        };
        match self.constraint(table, index) {
            Some((table, constraint)) => Error::conflict(
                SqlState::UNIQUE_VIOLATION,
                format!("duplicate key value violates unique constraint \"{constraint}\""),
            )
            .with_detail("Another transaction committed the same key first.")
            .with_table(table)
            .with_constraint(constraint),
            None => error,
        }
    }

    fn constraint(&self, table: TableId, index: IndexId) -> Option<(String, String)> {
        let catalog = self.engine.catalog_at(&*self.engine.store.snapshot()).ok()?;
        let table = catalog.tables().find(|there| there.id == table)?;
        let constraint = match table.indexes.iter().find(|there| there.id == index) {
            Some(index) => index.name.clone(),
            None => table.primary_key_name.clone()?,
        };
        Some((table.name.clone(), constraint))
    }
}

fn check_mode(mode: &ast::TransactionMode) -> Result<()> {
    match mode {
        ast::TransactionMode::IsolationLevel(ast::TransactionIsolationLevel::Serializable)
        | ast::TransactionMode::AccessMode(ast::TransactionAccessMode::ReadWrite) => Ok(()),
        other => Err(Error::unsupported(format!(
            "{other} is not there yet: every transaction is serializable"
        ))),
    }
}
