//! Running INSERT, UPDATE and DELETE.

use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::Catalog;
use aion_catalog::{SqlType, Value};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;

use super::query::{conform, result_schema, run};
use super::several::Within;
use super::{Prepared, Session, columns, origins, parameters};
use crate::cancel::Cancellation;
use crate::dml::{self, Change, Ran, Written};
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

/// How an attempt ended.
pub(super) enum Tried<T> {
    Done(T),
    /// Others have changed rows since they were read; they are locked now.
    Changed,
    /// A foreign key's action is to change a row that somebody else has.
    Busy(references::Busy),
}

/// Rows of a statement that are all there.
pub(super) struct ReturnedRows {
    pub columns: Arc<[Column]>,
    /// As they are computed; what a client gets may have other types.
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

impl ReturnedRows {
    /// As an answer.
    ///
    /// # Errors
    /// When a value does not fit its column's type.
    pub fn answer(self, verb: Verb) -> Result<Response> {
        let schema = result_schema(&self.columns);
        let batches = self.batches.into_iter().map(|batch| conform(batch, &schema));
        let batches = batches.collect::<Result<Vec<_>>>()?;
        let stream = futures::stream::iter(batches.into_iter().map(Ok));
        Ok(Response::Rows(Rows::new(self.columns, schema, stream, verb)))
    }
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

/// A RETURNING list that is planned.
pub(super) struct PlannedReturning {
    pub(super) plan: LogicalPlan,
    pub(super) columns: Arc<[Column]>,
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
        if let Some(steps) = &prepared.steps {
            let (response, count) = self.several(steps, transaction, prepared, values, cancellation).await?;
            if let (Some(observing), Some(since)) = (&mut observing, since) {
                observing.took(since, count);
                observing.complete();
            }
            return Ok(response);
        }
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
        let (change, written) = self.write(transaction, prepared, values, cancellation).await?;
        if let (Some(observing), Some(since)) = (&mut observing, since) {
            observing.took(since, usize::try_from(written.count).unwrap_or(usize::MAX));
            observing.complete();
        }
        let tag = change.kind.tag(written.count);
        match self
            .returned(prepared, &change, written, values, transaction, cancellation)
            .await?
        {
            Some(rows) => rows.answer(Verb::Fixed(tag)),
            None => Ok(Response::Done { tag }),
        }
    }

    /// Plans a change, reads its source, locks the rows that it changes, and writes them.
    async fn write(
        &self,
        transaction: &Arc<Transaction>,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<(Arc<Change>, Written)> {
        let mut attempts = Attempts::default();
        loop {
            match self.try_change(transaction, prepared, values, cancellation).await? {
                Tried::Done(done) => return Ok(done),
                Tried::Changed => attempts.again(transaction)?,
                Tried::Busy(busy) => attempts.wait(&busy, transaction, &self.waiting(cancellation)).await?,
            }
        }
    }

    /// As [`Session::write`], once. Where nothing was written, what the statement wrote before is still there.
    pub(super) async fn try_change(
        &self,
        transaction: &Arc<Transaction>,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<Tried<(Arc<Change>, Written)>> {
        match &prepared.statement.ast {
            ast::Statement::Insert(insert) if insert.on.is_some() => {
                self.try_upsert(transaction, prepared, values, cancellation).await
            }
            _ => self.try_write(transaction, prepared, values, cancellation).await,
        }
    }

    async fn try_write(
        &self,
        transaction: &Arc<Transaction>,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<Tried<(Arc<Change>, Written)>> {
        let text = &prepared.statement.text;
        let waiting = self.waiting(cancellation);
        let template = self.change_template(prepared, transaction)?;
        let change = &template.change;
        self.depend(&template.planned, transaction)?;
        let plan = template.planned.plan.clone();
        let plan = parameters::replace(plan, &prepared.parameters, values, text, self.zone())?;
        let mut source = self.collect_for(prepared, &plan, transaction, cancellation).await?;
        if let Some(within) = &prepared.within {
            source = within.without_written(change, source, transaction)?;
        }
        let mut keys = dml::keys(change, &source)?;
        keys.sort_unstable();
        let seen = transaction
            .lock(&keys, change.lock_mode(), Busy::Wait, &waiting)
            .await?;
        if seen == Seen::Changed {
            // Others have changed rows since they were read: it is done again, with the locks that it has.
            return Ok(Tried::Changed);
        }
        Ok(match dml::run(change, &source, transaction, &waiting)? {
            Ran::Written(written) => Tried::Done((change.clone(), written)),
            Ran::Busy(busy) => Tried::Busy(busy),
        })
    }

    /// What RETURNING gives, as it was computed.
    pub(super) async fn returned(
        &self,
        prepared: &Prepared,
        change: &Change,
        written: Written,
        values: &[Value],
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
    ) -> Result<Option<ReturnedRows>> {
        if change.returning.is_none() {
            return Ok(None);
        }
        let text = &prepared.statement.text;
        let catalog = self.catalog_of(transaction)?;
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let within = prepared.within.as_ref();
        let planned = self.plan_returning(change, Some(written), &types, &catalog, text, within)?;
        let Some(PlannedReturning { plan, columns }) = planned else {
            return Ok(None);
        };
        let plan = parameters::replace(plan, &prepared.parameters, values, text, self.zone())?;
        let batches = self.collect_for(prepared, &plan, transaction, cancellation).await?;
        Ok(Some(ReturnedRows {
            columns,
            schema: plan.schema().inner().clone(),
            batches,
        }))
    }

    /// The RETURNING list, if there is one, as a query over the changed rows; without rows, to know its columns.
    ///
    /// # Errors
    /// Those of planning; 0A000 for a type that has no SQL name.
    pub(super) fn plan_returning(
        &self,
        change: &Change,
        written: Option<Written>,
        given: &[Option<SqlType>],
        catalog: &Catalog,
        text: &str,
        within: Option<&Within>,
    ) -> Result<Option<PlannedReturning>> {
        let Some(returning) = &change.returning else {
            return Ok(None);
        };
        let path = self.search_path()?;
        let mut names = self.names_within(catalog, &path, within);
        let from = returning.from(&mut names, &change.shape, written)?;
        let mut statement = dml::select(returning.items.clone(), from, None)?;
        if let ast::Statement::Query(query) = &mut statement {
            columns::make_unique(query);
            query.order_by = returning.order().map(ordered_by);
        }
        let plan = names.plan(statement, parameters::known(given), text)?.plan;
        let columns = columns::of_items(&returning.items, plan.schema().as_arrow())?;
        let origins = origins::of_plan(&plan, Some(&change.shape.descriptor));
        Ok(Some(PlannedReturning {
            columns: columns::with_origins(&columns, origins),
            plan,
        }))
    }

    /// As [`Session::collect`], without what the statement that this is a step of has written.
    pub(super) async fn collect_for(
        &self,
        prepared: &Prepared,
        plan: &LogicalPlan,
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
    ) -> Result<Vec<RecordBatch>> {
        let text = &prepared.statement.text;
        let hidden = prepared.within.as_ref().and_then(|within| within.since);
        let hidden = hidden.map(|since| transaction.hide_since(since));
        let collected = self.collect(plan, transaction, cancellation, text).await;
        if let Some(hidden) = hidden {
            transaction.show(hidden);
        }
        collected
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
