//! BEGIN, COMMIT, ROLLBACK, savepoints, and committing what a statement wrote.

use std::collections::BTreeSet;
use std::sync::Arc;

use aion_base::id::{IndexId, TableId};
use aion_base::key::KeyReader;
use aion_base::{Error, Result, SqlState};
use aion_catalog::keys::ROWS;
use aion_catalog::objects;
use aion_storage::{Check, Commit, Isolation, LockMark, Outcome, Precondition, Reason, Rejection, Replicator};
use datafusion::sql::sqlparser::ast;

use super::change::overtaken;
use super::{Engine, Session};
use crate::as_of;
use crate::cancel::Cancellation;
use crate::dml::normalize;
use crate::notifications::PendingMark;
use crate::references::violation;
use crate::response::Response;
use crate::settings::{Settings, SettingsMark, isolation};
use crate::transaction::{Mark, Transaction, Waiting};

/// An open transaction block.
#[derive(Debug)]
pub struct Block {
    pub transaction: Arc<Transaction>,
    /// It ends with the message that began it.
    pub is_implicit: bool,
    pub is_failed: bool,
    pub has_changed_catalog: bool,
    /// Statements that change something are refused.
    pub is_read_only: bool,
    /// It reads at a time that has passed.
    pub is_past: bool,
    /// It was asked for as READ UNCOMMITTED, and is shown so.
    pub is_uncommitted: bool,
    /// The session's settings when it began.
    pub settings: SettingsMark,
    /// The oldest first.
    savepoints: Vec<Savepoint>,
}

/// A savepoint of a block.
#[derive(Debug)]
struct Savepoint {
    name: String,
    mark: Mark,
    locks: LockMark,
    marks: Marks,
    has_changed_catalog: bool,
}

/// Where what the session has besides its transaction was at a savepoint.
#[derive(Clone, Debug)]
struct Marks {
    settings: SettingsMark,
    cursors: u64,
    pending: PendingMark,
}

/// Savepoints of a block, at most; 54000 beyond.
const SAVEPOINTS_MAX: usize = 10_000;

impl Block {
    pub fn begin(engine: &Engine, settings: &Settings, is_implicit: bool) -> Result<Self> {
        let transaction = Arc::new(engine.begin(true));
        let level = settings.show("default_transaction_isolation")?;
        transaction.set_isolation(isolation(&level));
        Ok(Self {
            transaction,
            is_implicit,
            is_failed: false,
            has_changed_catalog: false,
            is_read_only: settings.is_on("default_transaction_read_only"),
            is_past: false,
            is_uncommitted: level == UNCOMMITTED,
            settings: settings.mark(),
            savepoints: Vec::new(),
        })
    }

    pub fn has_savepoints(&self) -> bool {
        !self.savepoints.is_empty()
    }

    fn savepoint(&mut self, name: &ast::Ident, marks: Marks, waiting: &Waiting) -> Result<()> {
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a transaction has at most {SAVEPOINTS_MAX} savepoints"),
            )
            .with_hint("Release those that are no longer needed."));
        }
        self.savepoints.push(Savepoint {
            name: normalize(name),
            mark: self.transaction.mark(),
            locks: self.transaction.lock_mark(waiting),
            marks,
            has_changed_catalog: self.has_changed_catalog,
        });
        Ok(())
    }

    /// The place of the newest savepoint of that name.
    fn find(&self, name: &ast::Ident) -> Result<usize> {
        let name = normalize(name);
        let at = self.savepoints.iter().rposition(|savepoint| savepoint.name == name);
        at.ok_or_else(|| {
            Error::not_found(
                SqlState::INVALID_SAVEPOINT_SPECIFICATION,
                format!("savepoint \"{name}\" does not exist"),
            )
        })
    }

    fn release(&mut self, name: &ast::Ident) -> Result<()> {
        self.savepoints.truncate(self.find(name)?);
        if self.savepoints.is_empty() {
            self.transaction.forget_marks();
        }
        Ok(())
    }

    /// Takes back what came after a savepoint, which stays; where the rest of the session was.
    fn roll_back_to(&mut self, name: &ast::Ident) -> Result<Marks> {
        let at = self.find(name)?;
        self.savepoints.truncate(at + 1);
        let savepoint = &self.savepoints[at];
        self.transaction.return_to(savepoint.mark);
        // What is taken back need not keep others waiting.
        self.transaction.release_to(savepoint.locks);
        self.has_changed_catalog = savepoint.has_changed_catalog;
        self.is_failed = false;
        Ok(self.savepoints[at].marks.clone())
    }

    /// What BEGIN or SET TRANSACTION asks for.
    ///
    /// # Errors
    /// 25001 for what must be said before the first query; 0A000 for a level that nobody knows.
    pub fn take_mode(&mut self, mode: &ast::TransactionMode) -> Result<()> {
        match mode {
            ast::TransactionMode::AccessMode(ast::TransactionAccessMode::ReadOnly) => self.is_read_only = true,
            ast::TransactionMode::AccessMode(ast::TransactionAccessMode::ReadWrite) => {
                if self.is_read_only && self.transaction.is_used() {
                    return Err(Error::invalid(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "transaction read-write mode must be set before any query",
                    ));
                }
                self.is_read_only = false;
            }
            ast::TransactionMode::IsolationLevel(level) => {
                let is_uncommitted = *level == ast::TransactionIsolationLevel::ReadUncommitted;
                let level = level_of(level)?;
                if self.transaction.is_used() && self.transaction.isolation() != level {
                    return Err(Error::invalid(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "SET TRANSACTION ISOLATION LEVEL must be called before any query",
                    ));
                }
                self.transaction.set_isolation(level);
                self.is_uncommitted = is_uncommitted;
            }
        }
        Ok(())
    }
}

fn done(tag: &str) -> Response {
    Response::Done { tag: tag.to_owned() }
}

impl Session {
    pub(super) async fn control(&mut self, statement: &ast::Statement) -> Result<Response> {
        match statement {
            ast::Statement::StartTransaction { modes, statements, .. } => {
                let past = match as_of::of_begin(statement) {
                    Some(time) => Some(self.transaction_at(time)?),
                    None if statements.is_empty() => None,
                    None => return Err(Error::unsupported("BEGIN with a body is not PostgreSQL's")),
                };
                let read_write = ast::TransactionMode::AccessMode(ast::TransactionAccessMode::ReadWrite);
                if past.is_some() && modes.contains(&read_write) {
                    return Err(Error::invalid(
                        SqlState::SYNTAX_ERROR,
                        "AS OF SYSTEM TIME reads only: it cannot be READ WRITE",
                    ));
                }
                match &mut self.block {
                    None => self.block = Some(Block::begin(&self.engine, &self.settings, false)?),
                    Some(block) if block.is_implicit => block.is_implicit = false,
                    Some(_) => {
                        self.notice(
                            SqlState::ACTIVE_SQL_TRANSACTION,
                            "there is already a transaction in progress",
                        );
                    }
                }
                if let Some(block) = &mut self.block {
                    modes.iter().try_for_each(|mode| block.take_mode(mode))?;
                    if let Some(past) = past {
                        block.check_unused()?;
                        block.go_back(past);
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
                Some(block) if block.is_failed => {
                    self.abandon(block);
                    Ok(done("ROLLBACK"))
                }
                Some(block) => self.end(block).await.map(|()| done("COMMIT")),
            },
            ast::Statement::Rollback {
                chain: false,
                savepoint: None,
            } => {
                match self.block.take() {
                    Some(block) => self.abandon(block),
                    None => self.notice(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "there is no transaction in progress",
                    ),
                }
                Ok(done("ROLLBACK"))
            }
            ast::Statement::Rollback {
                savepoint: Some(name), ..
            } => {
                let marks = self.explicit_block("ROLLBACK TO SAVEPOINT")?.roll_back_to(name)?;
                self.settings.return_to(marks.settings);
                self.cursors.return_to(marks.cursors);
                self.pending.lock().return_to(marks.pending);
                Ok(done("ROLLBACK"))
            }
            ast::Statement::Savepoint { name } => {
                let marks = Marks {
                    settings: self.settings.mark(),
                    cursors: self.cursors.mark(),
                    pending: self.pending.lock().mark(),
                };
                let waiting = self.waiting(&Cancellation::default());
                self.explicit_block("SAVEPOINT")?.savepoint(name, marks, &waiting)?;
                Ok(done("SAVEPOINT"))
            }
            ast::Statement::ReleaseSavepoint { name } => {
                self.explicit_block("RELEASE SAVEPOINT")?.release(name)?;
                Ok(done("RELEASE"))
            }
            _ => Err(Error::unsupported("AND CHAIN is not there yet")),
        }
    }

    /// Commits a block: its settings stay then, but for those that were its own.
    ///
    /// # Errors
    /// As [`Session::commit`]; what it set is undone then.
    pub(super) async fn end(&mut self, block: Block) -> Result<()> {
        let held = self.hold_cursors().await;
        let (block, held) = match held {
            // What is temporary is not changed by who reads only.
            Ok(()) if block.is_past => (block, Ok(())),
            Ok(()) => self.end_temporary(block).await,
            Err(error) => (block, Err(error)),
        };
        let notifications = self.engine.notifications.clone();
        let is_pending = !self.pending.lock().is_empty();
        // Others are told in the order of the commits.
        let _order = match is_pending {
            true => Some(notifications.committing.lock().await),
            false => None,
        };
        let committed = match held {
            Ok(()) => self.commit(&block.transaction).await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(()) => {
                self.settings.end_local();
                self.advisory.end_transaction();
                self.cursors.end_transaction(true);
                self.settle();
            }
            Err(_) => self.abandon(block),
        }
        committed
    }

    /// Rolls a block back.
    pub(super) fn abandon(&mut self, block: Block) {
        self.settings.return_to(block.settings);
        self.advisory.end_transaction();
        self.cursors.end_transaction(false);
        self.pending.lock().clear();
    }

    /// The transaction block that BEGIN began.
    pub(super) fn explicit_block(&mut self, statement: &str) -> Result<&mut Block> {
        self.block.as_mut().filter(|block| !block.is_implicit).ok_or_else(|| {
            Error::invalid(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{statement} can only be used in transaction blocks"),
            )
        })
    }

    /// Commits a transaction and waits for the answer.
    ///
    /// # Errors
    /// 23503 for a deferred foreign key, 40001 for a conflict, 23505 for a duplicate that another transaction committed first.
    pub(super) async fn commit(&self, transaction: &Transaction) -> Result<()> {
        self.forget_temporary_rows(transaction)?;
        self.check_deferred(transaction, true, &Cancellation::default())?;
        let Some(commit) = transaction.take_commit() else {
            return Ok(());
        };
        // Keys of the catalog come first.
        let retires = commit.writes.iter().map(|write| &write.key);
        let retires = retires.take_while(|key| objects::range().contains(key));
        if retires.into_iter().any(|key| objects::retired_range().contains(key)) {
            self.engine.storages.note_retired();
        }
        let tied = tied_storages(&commit);
        match self.engine.store.propose_and_wait(commit)?.await? {
            Outcome::Committed { .. } => {
                self.engine.maintain();
                Ok(())
            }
            // Run again, it meets the row that was committed first.
            Outcome::Rejected(rejection) if rejection.reason == Reason::Duplicate && transaction.has_upserted() => {
                Err(overtaken())
            }
            Outcome::Rejected(rejection) => Err(self.rejected(rejection, &tied)),
        }
    }

    /// A rejection with the name of the constraint. `tied` are the storages that a commit with foreign keys wrote to.
    fn rejected(&self, rejection: Rejection, tied: &BTreeSet<TableId>) -> Error {
        if matches!(rejection.reason, Reason::Missing | Reason::NotEmpty)
            && let Ok(catalog) = self.engine.catalog_at(&*self.engine.store.snapshot())
            && let Some(error) = violation(&catalog, rejection.reason, &rejection.key, tied)
        {
            return error;
        }
        let is_duplicate = rejection.reason == Reason::Duplicate;
        let key = KeyReader::new(&rejection.key).table().ok();
        let error = Error::from(rejection);
        let Some((table, index)) = key else {
            return error;
        };
        if !is_duplicate {
            let place = match self.constraint(table, index) {
                _ if table == objects::CATALOG_TABLE => "a definition in the catalog".to_owned(),
                Some((table, _)) => format!("table \"{table}\""),
                None => format!("storage {}, index {}", table.0, index.0),
            };
            return error.with_detail(format!("What was changed lies in {place}."));
        }
        match self.constraint(table, index) {
            Some((table, constraint)) => Error::conflict(
                SqlState::UNIQUE_VIOLATION,
                format!("duplicate key value violates unique constraint \"{constraint}\""),
            )
            .with_detail("Another transaction committed the same key first.")
            .with_table(table)
            .with_constraint(constraint),
            // It was dropped, or its build ended, while the statement ran: there is nothing that forbids the row any more.
            None => Error::conflict(
                SqlState::SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent update",
            )
            .with_detail("An index of the table was dropped."),
        }
    }

    fn constraint(&self, table: TableId, index: IndexId) -> Option<(String, String)> {
        let catalog = self.engine.catalog_at(&*self.engine.store.snapshot()).ok()?;
        let table = catalog.tables().find(|there| there.storage == table)?;
        let constraint = match table.indexes.iter().find(|there| there.id == index) {
            Some(index) => index.name.clone(),
            None if index == ROWS => table.primary_key_name.clone().unwrap_or_default(),
            None => return None,
        };
        Some((table.name.clone(), constraint))
    }
}

/// The storages that a commit writes to, if foreign keys demand something of it.
fn tied_storages(commit: &Commit) -> BTreeSet<TableId> {
    let is_of_key = |there: &Precondition| matches!(there.check, Check::Exists(_) | Check::Empty(_));
    if !commit.preconditions.iter().any(is_of_key) {
        return BTreeSet::new();
    }
    let storages = commit
        .writes
        .iter()
        .filter_map(|write| KeyReader::new(&write.key).table().ok());
    storages.map(|(storage, _)| storage).collect()
}

/// A level by its name.
fn level_of(level: &ast::TransactionIsolationLevel) -> Result<Isolation> {
    match level {
        ast::TransactionIsolationLevel::Snapshot => Err(Error::unsupported(
            "SNAPSHOT is no isolation level: REPEATABLE READ reads one snapshot",
        )),
        level => Ok(isolation(&level.to_string().to_ascii_lowercase())),
    }
}

/// A level that is another one's name.
pub(super) const UNCOMMITTED: &str = "read uncommitted";

/// The name of a level.
pub(super) fn name_of(level: Isolation) -> &'static str {
    match level {
        Isolation::ReadCommitted => "read committed",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::Serializable => "serializable",
    }
}
