//! Statements and transactions that read at a time that has passed.
//!
//! Such a statement has a transaction of its own, whose view is the keys as they were, the catalog among them: a table has the columns and the rows
//! that it had, also one that was emptied, changed or dropped since. It reads only. Nothing of it is kept for the present: the view has no
//! generation of the catalog, so neither the direct path nor a kept plan takes it for one of now.

use std::sync::Arc;

use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use aion_catalog::{Value, text};
use aion_storage::Past;
use datafusion::sql::sqlparser::ast;

use super::transaction::Block;
use super::{Prepared, Session};
use crate::as_of;
use crate::response::Response;
use crate::transaction::Transaction;

impl Session {
    /// Whether what runs reads at a time that has passed.
    pub(super) fn is_past(&self) -> bool {
        self.past.is_some() || self.block.as_ref().is_some_and(|block| block.is_past)
    }

    /// A transaction that reads at a time.
    ///
    /// # Errors
    /// 22023 for a time that is none or to come, 72000 for one that is gone, 55000 where no history is kept.
    pub(super) fn transaction_at(&self, time: &str) -> Result<Arc<Transaction>> {
        let store = &self.engine.store;
        let now = store.now();
        let at = as_of::moment(time, now, self.zone())?;
        match store.snapshot_at(at) {
            Ok(Past::Kept(snapshot)) => Ok(Arc::new(Transaction::of_past(store.clone(), snapshot))),
            Ok(Past::Gone(horizon)) => Err(Error::unavailable(
                SqlState::SNAPSHOT_TOO_OLD,
                format!("AS OF SYSTEM TIME: what was there at {} is gone", self.shown(at)),
            )
            .with_hint(format!(
                "The oldest time that can be read is {}. The setting history_retention says how long history is kept.",
                self.shown(horizon)
            ))),
            Ok(Past::NotKept) => Err(Error::invalid(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "AS OF SYSTEM TIME: no history is kept",
            )
            .with_hint("ALTER SYSTEM SET history_retention = '1h' keeps it for an hour, from then on.")),
            Err(_) if at > now => Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("AS OF SYSTEM TIME: {} is in the future", self.shown(at)),
            )),
            Err(error) => Err(error),
        }
    }

    fn shown(&self, at: Timestamp) -> String {
        let mut shown = String::new();
        text::write_timestamptz_in(i64::try_from(at.0).unwrap_or(i64::MAX), self.zone(), &mut shown);
        shown
    }

    /// SET TRANSACTION AS OF SYSTEM TIME.
    pub(super) fn set_past(&mut self, time: &str) -> Result<()> {
        let Some(block) = &self.block else {
            self.notice(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            );
            return Ok(());
        };
        block.check_unused()?;
        let past = self.transaction_at(time)?;
        if let Some(block) = &mut self.block {
            block.go_back(past);
        }
        Ok(())
    }

    /// That a statement may say its time; to be asked before what was there then.
    ///
    /// # Errors
    /// 25001 in a transaction block.
    pub(super) fn check_own_time(&self) -> Result<()> {
        if self.block.as_ref().is_some_and(|block| !block.is_implicit) {
            return Err(Error::invalid(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "AS OF SYSTEM TIME of a statement cannot be used inside a transaction block",
            )
            .with_hint("BEGIN AS OF SYSTEM TIME '...' reads all of a block at one time."));
        }
        Ok(())
    }

    /// Runs a statement that reads at a time.
    pub(super) async fn answer_at(
        &mut self,
        time: &str,
        prepared: &Arc<Prepared>,
        values: &[Value],
    ) -> Result<Response> {
        self.check_own_time()?;
        let current = Arc::new(prepared.of_now());
        current.statement.refuse_change()?;
        if let ast::Statement::Explain { statement, .. } = &current.statement.ast
            && !matches!(**statement, ast::Statement::Query(_))
        {
            return Err(Error::unsupported("AS OF SYSTEM TIME is for a query"));
        }
        self.numbers.set_read_only(true);
        self.past = Some(self.transaction_at(time)?);
        let answered = Box::pin(self.answer_now(&current, values)).await;
        self.past = None;
        answered
    }
}

impl Prepared {
    /// The statement without its time.
    fn of_now(&self) -> Self {
        let mut statement = self.statement.clone();
        statement.ast = as_of::without(&statement.ast);
        let mut current = Self::new(&statement, self.parameters.clone(), self.columns.clone());
        current.zone.clone_from(&self.zone);
        current
    }
}

impl Block {
    /// That it may still be told the time at which it reads.
    ///
    /// # Errors
    /// 25001 where it has read or written already.
    pub fn check_unused(&self) -> Result<()> {
        if self.transaction.is_used() || self.has_savepoints() {
            return Err(Error::invalid(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "AS OF SYSTEM TIME must be set before any query",
            ));
        }
        Ok(())
    }

    /// Reads at a time that has passed, from the first statement on.
    pub fn go_back(&mut self, past: Arc<Transaction>) {
        self.transaction = past;
        self.is_read_only = true;
        self.is_past = true;
    }
}
