//! Running statements, with or without parameters.
//!
//! A statement runs once for each row of parameters, or once without. Several rows are one transaction, so that an
//! `executemany` is done whole or not at all.

use std::sync::{Arc, Mutex, PoisonError};

use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_db::{Response, Rows, Session, Statement};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use super::caller::Caller;
use super::listener::Shared;
use super::parameters::{self, Columns};
use super::seat::{Seat, Seated, Turn};
use super::stream::Waiting;
use crate::metrics::{Edge, Metrics, Timed};

/// Rows of parameters that a query takes: each has a result that is open until it was fetched.
const QUERY_ROWS_MAX: usize = 100;

/// A statement that a client prepared.
pub(super) struct Prepared {
    text_bytes: usize,
    statement: Statement,
    plan: Arc<aion_db::Prepared>,
    /// The transaction that it was prepared in.
    transaction: Option<Bytes>,
    /// The parameters of the next run.
    bound: Mutex<Arc<[RecordBatch]>>,
}

impl Prepared {
    /// What is known before it has run: the schemas of its parameters and of its result.
    pub(super) fn schemas(&self) -> (Schema, Option<Schema>) {
        let types = self.plan.parameter_types().iter().enumerate();
        let parameters = types.map(|(at, sql_type)| sql_type.to_outer_field(format!("${}", at + 1), true));
        let result = self.plan.columns().map(|columns| {
            let fields = columns
                .iter()
                .map(|column| column.sql_type.to_outer_field(&column.name, true));
            Schema::new(fields.collect::<Vec<_>>())
        });
        (Schema::new(parameters.collect::<Vec<_>>()), result)
    }

    /// Bytes that it takes with these parameters.
    pub(super) fn bytes_with(&self, batches: &[RecordBatch]) -> usize {
        let bound = batches.iter().map(RecordBatch::get_array_memory_size);
        bound.fold(self.text_bytes, usize::saturating_add)
    }

    /// Replaces the parameters of the next run.
    pub(super) fn bind(&self, batches: Vec<RecordBatch>) {
        // The whole value is replaced at once.
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = batches.into();
    }

    pub(super) fn transaction(&self) -> Option<&Bytes> {
        self.transaction.as_ref()
    }

    fn bound(&self) -> Arc<[RecordBatch]> {
        Arc::clone(&self.bound.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The session that a call's statement runs in: its transaction's, its login's, or one of its own.
///
/// # Errors
/// 26000 for a transaction that is not there.
pub(super) fn seat(shared: &Shared, caller: &Caller, transaction: Option<&Bytes>) -> Result<Arc<Seat>> {
    match (transaction.filter(|id| !id.is_empty()), &caller.seat) {
        (Some(id), _) => shared.transactions.get(id),
        (None, Some(seat)) => Ok(Arc::clone(seat)),
        (None, None) => Ok(Seat::of_call(shared.service.session(caller.options.clone()))),
    }
}

/// The one statement of a text.
fn parse_one(shared: &Shared, session: &Session, text: &str) -> Result<Statement> {
    let bytes_max = shared.service.limits.statement_bytes_max;
    if text.len() > bytes_max {
        return Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("the statement has {} bytes; the limit is {bytes_max}", text.len()),
        )
        .with_hint("Give values as parameters, or ingest the rows."));
    }
    let mut statements = session.parse(text)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Error::invalid(SqlState::SYNTAX_ERROR, "the text holds no statement")),
        (Some(_), false) => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            "the text holds several statements; Flight SQL takes one at a time",
        )
        .with_hint("Send them one after the other, in a transaction where they belong together.")),
    }
}

/// Prepares a text for a caller; answers the handle.
///
/// # Errors
/// 42xxx with a position; 54000 beyond a limit.
pub(super) async fn prepare(
    shared: &Arc<Shared>,
    caller: &Caller,
    text: String,
    transaction: Option<Bytes>,
) -> Result<(Bytes, Arc<Prepared>)> {
    let bytes = text.len();
    let turn = Turn::new(&seat(shared, caller, transaction.as_ref())?);
    let stopped = Arc::clone(&turn);
    let work = {
        let shared = Arc::clone(shared);
        async move {
            let mut session = turn.take().await;
            let statement = parse_one(&shared, &session, &text)?;
            let plan = session.prepare(&statement, &[]).await?;
            Ok(Arc::new(Prepared {
                text_bytes: text.len(),
                statement,
                plan,
                transaction,
                bound: Mutex::new(Arc::new([])),
            }))
        }
    };
    let prepared = shared.work.run(move || stopped.stop(), work).await?;
    let handle = shared.statements.insert(&caller.owner, bytes, Arc::clone(&prepared))?;
    Ok((handle, prepared))
}

/// What is to be run.
pub(super) enum Source {
    /// A text.
    Text(String),
    /// A prepared statement with what was bound to it.
    Prepared(Arc<Prepared>),
    /// A prepared statement with these parameters.
    PreparedWith(Arc<Prepared>, Vec<RecordBatch>),
}

/// What a statement answered.
pub(super) enum Answer {
    /// Rows, to be fetched by ticket.
    Rows(SchemaRef, Bytes),
    /// So many rows were changed.
    Done(i64),
}

/// Starts a statement. Rows are kept for the caller to fetch.
///
/// # Errors
/// The statement's; 53300 and 54000 beyond a limit.
pub(super) async fn start(shared: &Arc<Shared>, caller: &Caller, seat: Arc<Seat>, source: Source) -> Result<Answer> {
    let ran = run(shared, &seat, source).await?;
    let Some(schema) = ran.rows.first().map(|(rows, _)| Arc::clone(rows.schema())) else {
        return Ok(Answer::Done(ran.count));
    };
    let waiting = Waiting::new(Arc::clone(&schema), seat, ran.rows);
    let handle = shared.results.insert(&caller.owner, 0, Arc::new(waiting))?;
    Ok(Answer::Rows(schema, handle))
}

/// Runs a statement for what it changes; answers how many rows, -1 for a query, whose rows are not read.
///
/// # Errors
/// The statement's; 53300 beyond the limit.
pub(super) async fn update(shared: &Arc<Shared>, seat: Arc<Seat>, source: Source) -> Result<i64> {
    let ran = run(shared, &seat, source).await?;
    for (_, timed) in ran.rows {
        timed.succeeded();
    }
    Ok(ran.count)
}

/// What the runs of a statement answered.
struct Ran {
    rows: Vec<(Rows, Timed)>,
    /// Rows that were changed; -1 for a query.
    count: i64,
    tag: String,
}

async fn run(shared: &Arc<Shared>, seat: &Arc<Seat>, source: Source) -> Result<Ran> {
    let turn = Turn::new(seat);
    let stopped = Arc::clone(&turn);
    let (shared, seat) = (Arc::clone(shared), Arc::clone(seat));
    let work = {
        let shared = Arc::clone(&shared);
        async move {
            let mut session = turn.take().await;
            let (statement, plan, batches) = match source {
                Source::Text(text) => {
                    let statement = parse_one(&shared, &session, &text)?;
                    let plan = session.prepare(&statement, &[]).await?;
                    (statement, plan, Arc::from([]))
                }
                Source::Prepared(prepared) => {
                    (prepared.statement.clone(), Arc::clone(&prepared.plan), prepared.bound())
                }
                Source::PreparedWith(prepared, batches) => {
                    (prepared.statement.clone(), Arc::clone(&prepared.plan), batches.into())
                }
            };
            let ran = run_rows(&mut session, &shared.service.metrics, &statement, plan, &batches).await?;
            seat.check_left(&session, &ran.tag)?;
            Ok(ran)
        }
    };
    shared.work.run(move || stopped.stop(), work).await
}

/// Runs a statement for each row of parameters.
async fn run_rows(
    session: &mut Seated<'_>,
    metrics: &Arc<Metrics>,
    statement: &Statement,
    plan: Arc<aion_db::Prepared>,
    batches: &[RecordBatch],
) -> Result<Ran> {
    let mut runner = Runner {
        session,
        metrics,
        ran: Ran {
            rows: Vec::new(),
            count: 0,
            tag: String::new(),
        },
    };
    let row_count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if batches.is_empty() {
        runner.run_one(&plan, &[]).await?;
        return Ok(runner.ran);
    }
    if row_count > QUERY_ROWS_MAX && plan.columns().is_some() {
        return Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("a statement with a result takes at most {QUERY_ROWS_MAX} rows of parameters, not {row_count}"),
        )
        .with_hint("Bind fewer at a time, or join with a table that holds them."));
    }
    if row_count > 1 {
        runner.session.begin_implicit();
    }
    let mut done = Ok(());
    for batch in batches {
        done = runner.run_batch(statement, &plan, batch).await;
        if done.is_err() {
            break;
        }
    }
    let Runner { session, ran, .. } = runner;
    if done.is_err() {
        session.fail();
    }
    let ended = session.end_implicit().await;
    // Of a statement that failed the first error counts; what followed was rolled back.
    done.and(ended).map(|()| ran)
}

struct Runner<'a, 'b> {
    session: &'a mut Seated<'b>,
    metrics: &'a Arc<Metrics>,
    ran: Ran,
}

impl Runner<'_, '_> {
    async fn run_batch(
        &mut self,
        statement: &Statement,
        plan: &Arc<aion_db::Prepared>,
        batch: &RecordBatch,
    ) -> Result<()> {
        let declared = parameters::declared(&batch.schema(), plan.parameter_types())?;
        let fits = |(declared, planned): (&Option<_>, &_)| declared.is_none_or(|declared| declared == *planned);
        let plan = if declared.iter().zip(plan.parameter_types()).all(fits) {
            Arc::clone(plan)
        } else {
            self.session.prepare(statement, &declared).await?
        };
        let columns = Columns::new(batch, plan.parameter_types())?;
        for row in 0..columns.row_count() {
            let values = columns.values(row, self.session.zone())?;
            self.run_one(&plan, &values).await?;
        }
        Ok(())
    }

    async fn run_one(&mut self, plan: &Arc<aion_db::Prepared>, values: &[Value]) -> Result<()> {
        let timed = self.metrics.statement(Edge::Flight);
        match self.session.execute(plan, values).await {
            Ok(Response::Done { tag }) => {
                timed.succeeded();
                self.ran.count += changed(&tag).unwrap_or(0);
                self.ran.tag = tag;
                Ok(())
            }
            Ok(Response::Rows(rows)) => {
                // A statement with RETURNING has its tag already; a query's says SELECT.
                let tag = rows.tag();
                match changed(&tag) {
                    Some(count) if !tag.starts_with("SELECT") => self.ran.count += count,
                    _ => self.ran.count = -1,
                }
                self.ran.tag = tag;
                self.ran.rows.push((rows, timed));
                Ok(())
            }
            Err(error) => {
                timed.failed(&error);
                Err(error)
            }
        }
    }
}

/// The number in a tag: `INSERT 0 3`, `UPDATE 3`.
fn changed(tag: &str) -> Option<i64> {
    tag.rsplit(' ').next()?.parse().ok()
}
