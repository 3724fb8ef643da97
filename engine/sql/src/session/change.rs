//! Running INSERT, UPDATE and DELETE.

use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_catalog::objects::Catalog;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;

use super::query::{conform, result_schema, run};
use super::{Prepared, Session, columns, origins, parameters};
use crate::cancel::Cancellation;
use crate::dml::{self, Change, Ran, Returning, Written};
use crate::error::translate;
use crate::observe::Observing;
use crate::references;
use crate::response::{Column, Response, Rows, Verb};
use crate::table::StatementContext;
use crate::transaction::{Busy, Seen, Transaction, Waiting};

/// How often a statement outside of a transaction block is run again after it lost against another transaction.
pub(super) const ATTEMPTS_MAX: usize = 10;

/// How often a statement begins again because a row was busy that a foreign key's action is to change.
const WAITS_MAX: usize = 1_000;

/// Nothing of it took effect, and nobody has seen its answer.
fn is_worth_another(error: &Error) -> bool {
    matches!(
        error.state(),
        SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED
    )
}

/// Another transaction has changed a row that this one is about to change, and something that it has read.
pub(super) fn overtaken() -> Error {
    Error::conflict(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent update",
    )
    .with_hint("Nothing was written. Run the transaction again.")
}

/// How often a statement has begun again.
#[derive(Default)]
pub(super) struct Attempts {
    failed: usize,
    waited: usize,
}

impl Attempts {
    /// Begins a statement again: others have changed rows since they were read.
    ///
    /// # Errors
    /// 40001 when that was too often, or an earlier statement of the transaction no longer holds.
    pub fn again(&mut self, transaction: &Transaction) -> Result<()> {
        self.failed += 1;
        match self.failed < ATTEMPTS_MAX && transaction.restart_statement()? {
            true => Ok(()),
            false => Err(overtaken()),
        }
    }

    /// Waits for a row that a foreign key's action is to change, and begins the statement again.
    ///
    /// # Errors
    /// As [`Attempts::again`], and what waiting for a lock may fail with.
    pub async fn wait(&mut self, busy: &references::Busy, transaction: &Transaction, waiting: &Waiting) -> Result<()> {
        // The lock stays, so that each wait is for another row.
        self.waited += 1;
        transaction.lock(&[&busy.key], busy.mode, Busy::Wait, waiting).await?;
        match self.waited < WAITS_MAX && transaction.restart_statement()? {
            true => Ok(()),
            false => Err(overtaken()),
        }
    }
}

/// The columns of a RETURNING list that is planned.
///
/// # Errors
/// 0A000 for a type that has no SQL name.
pub(super) fn returned_columns(change: &Change, returning: &Returning, plan: &LogicalPlan) -> Result<Arc<[Column]>> {
    let columns = columns::of_items(&returning.items, plan.schema().as_arrow())?;
    let origins = origins::of_plan(plan, Some(&change.shape.descriptor));
    Ok(columns::with_origins(&columns, origins))
}

/// ORDER BY an expression.
fn ordered_by(expr: ast::Expr) -> ast::OrderBy {
    let by = ast::OrderByExpr {
        expr,
        options: ast::OrderByOptions::default(),
        with_fill: None,
    };
    ast::OrderBy {
        kind: ast::OrderByKind::Expressions(vec![by]),
        interpolate: None,
    }
}

impl Session {
    pub(super) async fn change(
        &mut self,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: Cancellation,
    ) -> Result<Response> {
        let limit = self.time_limit(&cancellation);
        if let Some(block) = &self.block {
            let transaction = block.transaction.clone();
            return self.change_in(&transaction, prepared, values, &cancellation).await;
        }
        for attempt in 1.. {
            let transaction = self.transaction(true)?;
            let response = match self.change_in(&transaction, prepared, values, &cancellation).await {
                Err(error) if is_worth_another(&error) && attempt < ATTEMPTS_MAX => continue,
                response => response?,
            };
            match self.commit(&transaction).await {
                Ok(()) => return Ok(response),
                Err(error) if is_worth_another(&error) && attempt < ATTEMPTS_MAX => {}
                Err(error) => return Err(error),
            }
        }
        drop(limit);
        Err(Error::internal("a statement has an attempt"))
    }

    async fn change_in(
        &self,
        transaction: &Arc<Transaction>,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<Response> {
        if let Some(response) = self.put_directly(prepared, values, transaction, cancellation).await? {
            return Ok(response);
        }
        if let Some(sent) = prepared.put_back(values) {
            return Box::pin(self.change_in(transaction, &sent, &[], cancellation)).await;
        }
        let mut observing = self.observe(prepared, values, Duration::ZERO, None);
        let since = observing.as_ref().map(Observing::now);
        let text = &prepared.statement.text;
        if let ast::Statement::Merge(merge) = &prepared.statement.ast {
            let count = self.merge(merge, transaction, prepared, values, cancellation).await?;
            if let (Some(observing), Some(since)) = (&mut observing, since) {
                observing.took(since, usize::try_from(count).unwrap_or(usize::MAX));
                observing.complete();
            }
            return Ok(Response::Done {
                tag: format!("MERGE {count}"),
            });
        }
        let (change, written) = match &prepared.statement.ast {
            ast::Statement::Insert(insert) if insert.on.is_some() => {
                self.upsert(transaction, prepared, values, cancellation).await?
            }
            _ => self.write(transaction, prepared, values, cancellation).await?,
        };
        if let (Some(observing), Some(since)) = (&mut observing, since) {
            observing.took(since, usize::try_from(written.count).unwrap_or(usize::MAX));
            observing.complete();
        }
        let tag = change.kind.tag(written.count);
        let Some(returning) = &change.returning else {
            return Ok(Response::Done { tag });
        };
        let catalog = self.catalog_of(transaction)?;
        let plan = self.plan_returning(&change, returning, Some(written), &catalog, text)?;
        let columns = returned_columns(&change, returning, &plan)?;
        let schema = result_schema(&columns);
        let returned = self.collect(&plan, transaction, cancellation, text).await?;
        let returned = returned
            .into_iter()
            .map(|batch| conform(batch, &schema))
            .collect::<Result<Vec<_>>>()?;
        let stream = futures::stream::iter(returned.into_iter().map(Ok));
        Ok(Response::Rows(Rows::new(columns, schema, stream, Verb::Fixed(tag))))
    }

    /// Plans a change, reads its source, locks the rows that it changes, and writes them.
    async fn write(
        &self,
        transaction: &Arc<Transaction>,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<(Arc<Change>, Written)> {
        let text = &prepared.statement.text;
        let waiting = self.waiting(cancellation);
        let mut attempts = Attempts::default();
        loop {
            let template = self.change_template(prepared, transaction)?;
            let change = &template.change;
            self.depend(&template.planned, transaction)?;
            let plan = template.planned.plan.clone();
            let plan = parameters::replace(plan, &prepared.parameters, values, text, self.zone())?;
            let source = self.collect(&plan, transaction, cancellation, text).await?;
            let mut keys = dml::keys(change, &source)?;
            keys.sort_unstable();
            let seen = transaction
                .lock(&keys, change.lock_mode(), Busy::Wait, &waiting)
                .await?;
            if seen == Seen::Changed {
                // Others have changed rows since they were read: it is done again, with the locks that it has.
                attempts.again(transaction)?;
                continue;
            }
            match dml::run(change, &source, transaction, &waiting)? {
                Ran::Written(written) => return Ok((change.clone(), written)),
                Ran::Busy(busy) => attempts.wait(&busy, transaction, &waiting).await?,
            }
        }
    }

    /// The RETURNING list as a query over the changed rows; without rows, to know its columns.
    pub(super) fn plan_returning(
        &self,
        change: &Change,
        returning: &Returning,
        written: Option<Written>,
        catalog: &Catalog,
        text: &str,
    ) -> Result<LogicalPlan> {
        let path = self.search_path()?;
        let mut names = self.names(catalog, &path);
        let from = returning.from(&mut names, &change.shape, written)?;
        let mut statement = dml::select(returning.items.clone(), from, None)?;
        if let ast::Statement::Query(query) = &mut statement {
            columns::make_unique(query);
            query.order_by = returning.order().map(ordered_by);
        }
        Ok(names.plan(statement, Vec::new(), text)?.plan)
    }

    /// All batches of a plan, accounted for in the memory of queries while they are gathered.
    pub(super) async fn collect(
        &self,
        plan: &LogicalPlan,
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
        text: &Arc<str>,
    ) -> Result<Vec<RecordBatch>> {
        let context = StatementContext {
            transaction: transaction.clone(),
            cancellation: cancellation.clone(),
        };
        let (physical, task) = self.physical(plan, context, text).await?;
        let reservation = MemoryConsumer::new("rows of a change").register(task.memory_pool());
        let stream = run(physical, task, cancellation.clone(), text.clone())?;
        let mut stream = std::pin::pin!(stream);
        let mut batches = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            reservation
                .try_grow(batch.get_array_memory_size())
                .map_err(|error| translate(error, text))?;
            batches.push(batch);
        }
        Ok(batches)
    }
}
