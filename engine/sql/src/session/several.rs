//! Statements that are several: see [`steps`](crate::steps).
//!
//! 1. The steps are run in their order, and what each gives becomes a table in memory that those after it know by its name.
//! 2. Each reads what was there before the statement: what the steps before it wrote is put out of sight while it reads. So all of
//!    them see one snapshot, as in PostgreSQL, and know of each other by their rows alone.
//! 3. A row that a step has changed is left alone by those after it. (PostgreSQL does one of the changes, too, and does not say which.)
//! 4. Where a step finds that others have changed rows before it locked them, all that the statement wrote is taken back, and it begins
//!    again over a newer view, with its locks kept.

use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::{SqlType, Value};
use datafusion::arrow::array::{AsArray, BooleanArray};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;

use super::change::{Attempts, PlannedReturning, ReturnedRows, Tried};
use super::locked::{is_locking, without_locks};
use super::{Prepared, Session, columns, origins, parameters};
use crate::cancel::Cancellation;
use crate::dml::{Change, ChangeKind, plan_change};
use crate::error::translate;
use crate::parse::Statement;
use crate::response::{Column, Response, Verb};
use crate::steps::{Step, Steps};
use crate::transaction::{Mark, Transaction};

/// What a step knows of the statement that it is a part of.
#[derive(Clone, Debug, Default)]
pub struct Within {
    /// The rows of the steps before it.
    pub tables: Vec<(String, Arc<dyn TableProvider>)>,
    /// Where the statement began to write; None while it is only described.
    pub since: Option<Mark>,
}

/// What is known of a change, or a query, before it runs.
pub(super) struct Described {
    pub plans: Vec<LogicalPlan>,
    pub columns: Option<Arc<[Column]>>,
    /// Its rows as they are computed.
    schema: Option<SchemaRef>,
}

/// What a step gave.
struct Given {
    /// None for a change without RETURNING.
    rows: Option<ReturnedRows>,
    /// None for a query.
    tag: Option<String>,
    /// Rows changed or given.
    count: usize,
}

impl Within {
    /// The rows of a source without those that the statement has changed already.
    ///
    /// # Errors
    /// Internal, for a source without keys.
    pub fn without_written(
        &self,
        change: &Change,
        source: Vec<RecordBatch>,
        transaction: &Transaction,
    ) -> Result<Vec<RecordBatch>> {
        let written = match self.since {
            Some(since) if change.kind != ChangeKind::Insert => transaction.written_since(since),
            _ => return Ok(source),
        };
        if written.is_empty() {
            return Ok(source);
        }
        let others = source.iter().map(|batch| {
            let keys = batch.columns().first().and_then(|array| array.as_binary_opt::<i32>());
            let keys = keys.ok_or_else(|| Error::internal("the source of a change has no keys"))?;
            let is_other = |key: Option<&[u8]>| Some(key.is_none_or(|key| !written.contains(key)));
            let others: BooleanArray = keys.iter().map(is_other).collect();
            filter_record_batch(batch, &others).map_err(|error| translate(error.into(), ""))
        });
        others.collect()
    }

    /// Gives what a step gave its name.
    ///
    /// # Errors
    /// Internal, for rows that do not fit their schema.
    fn add(&mut self, step: &Step, rows: ReturnedRows) -> Result<()> {
        let fields = rows.schema.fields().iter().zip(&*rows.columns).enumerate();
        let fields = fields.map(|(at, (field, column))| -> FieldRef {
            let name = step.columns.get(at).unwrap_or(&column.name);
            Arc::new(Field::clone(field).with_name(name).with_nullable(true))
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let unfit = |error| Error::internal(format!("the rows of a step do not fit: {error}"));
        let batches = rows.batches.into_iter().map(|batch| {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options).map_err(unfit)
        });
        let batches = batches.collect::<Result<Vec<_>>>()?;
        let table = MemTable::try_new(schema.clone(), vec![batches]).map_err(|error| translate(error, ""))?;
        self.tables.push((step.name.clone(), Arc::new(table)));
        Ok(())
    }
}

impl Prepared {
    /// A step of this statement.
    fn step(&self, statement: &ast::Statement, within: &Within) -> Self {
        let statement = part(&self.statement, statement);
        let mut step = Self::new(&statement, self.parameters.clone(), None);
        step.is_candidate = false;
        step.within = Some(within.clone());
        step
    }
}

fn part(whole: &Statement, statement: &ast::Statement) -> Statement {
    Statement {
        ast: statement.clone(),
        text: whole.text.clone(),
        ordinal: whole.ordinal,
    }
}

impl Session {
    /// What a change takes and gives.
    ///
    /// # Errors
    /// As [`plan_change`].
    pub(super) fn describe_change(
        &self,
        statement: &Statement,
        given: &[Option<SqlType>],
        within: Option<&Within>,
    ) -> Result<Described> {
        let (catalog, path, text) = (self.catalog()?, self.search_path()?, &statement.text);
        let names = self.names_within(&catalog, &path, within);
        let (change, planned) = plan_change(names, statement.ast.clone(), parameters::known(given), text)?;
        let returning = self.plan_returning(&change, None, given, &catalog, text, within)?;
        let mut plans = self.plans_of_change(&change, planned.plan, given, &catalog, text, within)?;
        let (columns, schema) = match returning {
            Some(PlannedReturning { plan, columns }) => {
                let schema = plan.schema().inner().clone();
                plans.push(plan);
                (Some(columns), Some(schema))
            }
            None => (None, None),
        };
        Ok(Described { plans, columns, schema })
    }

    /// What a statement takes and gives that has steps.
    pub(super) fn describe_steps(
        &self,
        statement: &Statement,
        steps: Steps,
        given: &[Option<SqlType>],
    ) -> Result<Prepared> {
        let mut within = Within::default();
        let mut plans = Vec::new();
        for step in &steps.first {
            let described = self.describe_step(&part(statement, &step.statement), given, &within)?;
            plans.extend(described.plans);
            if let (Some(columns), Some(schema)) = (described.columns, described.schema) {
                let batches = Vec::new();
                let rows = ReturnedRows {
                    columns,
                    schema,
                    batches,
                };
                within.add(step, rows)?;
            }
        }
        let last = self.describe_step(&part(statement, &steps.last), given, &within)?;
        plans.extend(last.plans);
        let mut prepared = Prepared::new(statement, parameters::types_of(&plans, given)?, last.columns);
        prepared.steps = Some(Arc::new(steps));
        Ok(prepared)
    }

    fn describe_step(&self, statement: &Statement, given: &[Option<SqlType>], within: &Within) -> Result<Described> {
        match &statement.ast {
            ast::Statement::Query(query) => {
                let catalog = self.catalog()?;
                let plan = self
                    .plan_query_within(&without_locks(query), given, &statement.text, &catalog, Some(within))?
                    .plan;
                let schema = plan.schema().inner().clone();
                let columns = columns::of_query(query, &schema)?;
                Ok(Described {
                    columns: Some(columns::with_origins(&columns, origins::of_plan(&plan, None))),
                    schema: Some(schema),
                    plans: vec![plan],
                })
            }
            ast::Statement::Insert(_) | ast::Statement::Update(_) | ast::Statement::Delete(_) => {
                self.describe_change(statement, given, Some(within))
            }
            _ => Err(Error::unsupported(
                "a query of WITH that changes rows is an INSERT, an UPDATE or a DELETE",
            )),
        }
    }

    /// Runs the steps of a statement; its answer, and how many rows that changed or has.
    pub(super) async fn several(
        &self,
        steps: &Steps,
        transaction: &Arc<Transaction>,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<(Response, usize)> {
        let was_marked = transaction.is_marked();
        let mut attempts = Attempts::default();
        loop {
            let mark = transaction.mark();
            let tried = self
                .try_steps(steps, mark, transaction, prepared, values, cancellation)
                .await;
            if !matches!(tried, Ok(Tried::Done(_))) {
                transaction.return_to(mark);
            }
            if !was_marked {
                transaction.forget_marks();
            }
            match tried? {
                Tried::Done(given) => {
                    let response = match (given.rows, given.tag) {
                        (Some(rows), Some(tag)) => rows.answer(Verb::Fixed(tag))?,
                        (Some(rows), None) => rows.answer(Verb::Select)?,
                        (None, tag) => Response::Done {
                            tag: tag.unwrap_or_default(),
                        },
                    };
                    return Ok((response, given.count));
                }
                Tried::Changed => attempts.again(transaction)?,
                Tried::Busy(busy) => attempts.wait(&busy, transaction, &self.waiting(cancellation)).await?,
            }
        }
    }

    async fn try_steps(
        &self,
        steps: &Steps,
        mark: Mark,
        transaction: &Arc<Transaction>,
        prepared: &Prepared,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<Tried<Given>> {
        let mut within = Within {
            tables: Vec::new(),
            since: Some(mark),
        };
        for step in &steps.first {
            let run = Arc::new(prepared.step(&step.statement, &within));
            match self.try_step(&run, transaction, values, cancellation).await? {
                Tried::Done(given) => given.rows.map_or(Ok(()), |rows| within.add(step, rows))?,
                other => return Ok(other),
            }
        }
        let last = Arc::new(prepared.step(&steps.last, &within));
        self.try_step(&last, transaction, values, cancellation).await
    }

    /// Runs a step once.
    async fn try_step(
        &self,
        step: &Arc<Prepared>,
        transaction: &Arc<Transaction>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<Tried<Given>> {
        if let ast::Statement::Query(query) = &step.statement.ast {
            let within = step.within.as_ref();
            let catalog = self.catalog_of(transaction)?;
            let types: Vec<_> = step.parameters.iter().copied().map(Some).collect();
            let text = &step.statement.text;
            let planned = self.plan_query_within(&without_locks(query), &types, text, &catalog, within)?;
            let schema = planned.plan.schema().inner().clone();
            let columns = columns::of_query(query, &schema)?;
            let columns = columns::with_origins(&columns, origins::of_plan(&planned.plan, None));
            let batches = match is_locking(query) {
                true => {
                    let found = self
                        .find_and_lock(step, query, columns.len(), values, transaction, cancellation)
                        .await?;
                    let Some((batches, _)) = found else {
                        return Ok(Tried::Changed);
                    };
                    // The keys are left out.
                    let wanted: Vec<usize> = (0..columns.len()).collect();
                    let batches = batches.iter().map(|batch| batch.project(&wanted));
                    batches
                        .collect::<std::result::Result<_, _>>()
                        .map_err(|error| translate(error.into(), text))?
                }
                false => {
                    self.depend(&planned, transaction)?;
                    let plan = parameters::replace(planned.plan, &step.parameters, values, text, self.zone())?;
                    self.collect_for(step, &plan, transaction, cancellation).await?
                }
            };
            return Ok(Tried::Done(Given {
                count: batches.iter().map(RecordBatch::num_rows).sum(),
                rows: Some(ReturnedRows {
                    columns,
                    schema,
                    batches,
                }),
                tag: None,
            }));
        }
        let (change, written) = match self.try_change(transaction, step, values, cancellation).await? {
            Tried::Done(done) => done,
            Tried::Changed => return Ok(Tried::Changed),
            Tried::Busy(busy) => return Ok(Tried::Busy(busy)),
        };
        let count = written.count;
        let rows = self
            .returned(step, &change, written, values, transaction, cancellation)
            .await?;
        Ok(Tried::Done(Given {
            rows,
            tag: Some(change.kind.tag(count)),
            count: usize::try_from(count).unwrap_or(usize::MAX),
        }))
    }
}
