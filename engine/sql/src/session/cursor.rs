//! DECLARE, FETCH, MOVE and CLOSE, and named portals of the protocol, which are cursors in a transaction block.
//!
//! What a cursor reads is its query's snapshot and the changes that its transaction had made by then, as if it had been read at once.
//! Rows that a FETCH asks for forward go to the client while they are made; all else is done before it is answered.
//!
//! A cursor FOR UPDATE has read and locked all its rows when it is declared.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Mutex;

use super::positioned::{conform_keyed, keyed_schema, visible, with_key};
use super::query::{result_schema, run};
use super::statements::now;
use super::{Prepared, Session, TimeLimit, TransactionStatus, create_as, failed_block, locked};
use crate::cancel::Cancellation;
use crate::cursors::{Count, Cursor, CursorRows, Keeping, Positions};
use crate::dml::normalize;
use crate::parse::Statement;
use crate::response::{Column, Response, Rows, Verb};
use crate::utility::{Direction, Fetch};

/// What is left to be done once a cursor is where the rows are.
#[derive(Clone, Copy, Debug)]
enum Last {
    Forward(Count),
    Backward(Count),
}

fn done(tag: impl Into<String>) -> Result<Response> {
    Ok(Response::Done { tag: tag.into() })
}

/// Does the work of a statement, which ends with 57014 when it is cancelled.
async fn unless_cancelled<T>(cancellation: &Cancellation, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = cancellation.cancelled() => Err(cancellation.error()),
        done = work => done,
    }
}

/// The one cursor that a DECLARE declares.
fn declared(statement: &ast::Statement) -> Result<(&ast::Declare, String, &ast::Query)> {
    if let ast::Statement::Declare { stmts } = statement
        && let [declare] = stmts.as_slice()
        && let ([name], Some(query)) = (declare.names.as_slice(), &declare.for_query)
    {
        return Ok((declare, normalize(name), query));
    }
    Err(Error::unsupported("DECLARE declares a cursor"))
}

/// Rows that are locked are to be changed where they are, which none of these can do.
fn check_locking(declare: &ast::Declare, query: &ast::Query) -> Result<()> {
    let Some(lock) = query.locks.first() else {
        return Ok(());
    };
    let clause = format!("FOR {}", lock.lock_type);
    let refuse = |state, cursor: &str, is_not: &str, detail: &str| {
        let error = Error::invalid(state, format!("DECLARE {cursor} ... {clause} is not {is_not}"));
        Err(error.with_detail(format!("{detail} cursors must be READ ONLY.")))
    };
    if declare.hold == Some(true) {
        return refuse(
            SqlState::FEATURE_NOT_SUPPORTED,
            "CURSOR WITH HOLD",
            "supported",
            "Holdable",
        );
    }
    if declare.scroll == Some(true) {
        return refuse(
            SqlState::FEATURE_NOT_SUPPORTED,
            "SCROLL CURSOR",
            "supported",
            "Scrollable",
        );
    }
    if declare.sensitive == Some(true) {
        return refuse(
            SqlState::INVALID_CURSOR_DEFINITION,
            "INSENSITIVE CURSOR",
            "valid",
            "Insensitive",
        );
    }
    Ok(())
}

impl Session {
    /// The columns of a cursor, and whether it gives its values in their binary form.
    pub fn cursor_columns(&self, name: &str) -> Option<(Arc<[Column]>, bool)> {
        let cursor = self.cursors.get(name).ok()?;
        Some((cursor.columns.clone(), cursor.is_binary))
    }

    /// Closes a cursor; one that is not there is no error.
    pub fn close_cursor(&mut self, name: &str) {
        let _ = self.cursors.remove(name);
    }

    /// The parameters of a DECLARE.
    pub(super) fn describe_cursor(&self, statement: &Statement, given: &[Option<SqlType>]) -> Result<Vec<SqlType>> {
        declared(&statement.ast)?;
        self.describe_body(statement, Keyword::FOR, given)
            .map(|prepared| prepared.parameters)
    }

    /// The columns of what a FETCH gives; None for a MOVE.
    pub(super) fn describe_fetch(&self, fetch: &Fetch) -> Result<Option<Arc<[Column]>>> {
        let cursor = self.cursors.get(&normalize(&fetch.cursor))?;
        Ok((!fetch.is_move).then(|| cursor.columns.clone()))
    }

    pub(super) async fn declare(
        &mut self,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: Cancellation,
    ) -> Result<Response> {
        let statement = &prepared.statement;
        let (declare, name, query) = declared(&statement.ast)?;
        let is_holdable = declare.hold == Some(true);
        if self.block.is_none() && !is_holdable {
            return Err(Error::invalid(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            ));
        }
        self.cursors.check_new(&name)?;
        check_locking(declare, query)?;
        let keeping = match declare.scroll {
            Some(true) => Keeping::All,
            None if !locked::is_locking(query) => Keeping::Few,
            _ => Keeping::None,
        };
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let inner = Arc::new(self.describe_body(statement, Keyword::FOR, &types)?);
        let limit = self.time_limit(&cancellation);
        let (columns, positions, source) = self.open(&inner, values, &cancellation).await?;
        let mut cursor = self.cursor(columns, source, keeping, statement.to_sql());
        if self.block.is_none() {
            let rows = cursor.rows.clone();
            unless_cancelled(&cancellation, async { rows.lock().await.hold().await }).await?;
        }
        drop(limit);
        cursor.is_binary = declare.binary == Some(true);
        cursor.is_holdable = is_holdable;
        cursor.positions = positions;
        self.cursors.insert(name, cursor);
        if self.block.is_none() {
            self.cursors.end_transaction(true);
        }
        done("DECLARE CURSOR")
    }

    /// Makes a portal of the protocol a cursor, so that FETCH and MOVE see it; it goes forward only. False for what none is made of: it is
    /// run when it is executed. So is what stands outside of a transaction block, where nobody could fetch of it.
    ///
    /// # Errors
    /// 42P03 and 54000, and those of the query; the block has then failed.
    pub async fn open_portal(&mut self, name: &str, prepared: &Arc<Prepared>, values: &[Value]) -> Result<bool> {
        let is_query =
            matches!(&prepared.statement.ast, ast::Statement::Query(query) if create_as::into(query).is_none());
        if name.is_empty() || !is_query || self.status() != TransactionStatus::Active {
            return Ok(false);
        }
        let opened = self.opened(name, prepared, values).await;
        if opened.is_err() {
            self.fail();
        }
        opened.map(|()| true)
    }

    async fn opened(&mut self, name: &str, prepared: &Arc<Prepared>, values: &[Value]) -> Result<()> {
        self.cursors.check_new(name)?;
        self.admit(prepared, values)?;
        self.take_literals(prepared);
        let cancellation = self.canceller.begin();
        let (columns, positions, source) = self.open(prepared, values, &cancellation).await?;
        let mut cursor = self.cursor(columns, source, Keeping::None, prepared.statement.text.to_string());
        cursor.positions = positions;
        self.cursors.insert(name.to_owned(), cursor);
        Ok(())
    }

    /// The next rows of a portal that is a cursor, or of a cursor, all of them or so many.
    ///
    /// # Errors
    /// 34000 where it was closed; 25P02.
    pub fn execute_portal(&mut self, name: &str, count: Option<u64>) -> Result<Rows> {
        let cursor = self.cursors.get(name).map_err(|_| {
            let message = format!("portal \"{name}\" does not exist");
            Error::not_found(SqlState::INVALID_CURSOR_NAME, message)
        })?;
        if self.status() == TransactionStatus::Failed {
            return Err(failed_block());
        }
        let is_binary = cursor.is_binary;
        let (rows, columns, schema) = (cursor.rows.clone(), cursor.columns.clone(), cursor.schema.clone());
        let cancellation = self.canceller.begin();
        let limit = self.time_limit(&cancellation);
        let count = count.map_or(Count::All, Count::Of);
        let mut rows = forward(rows, (columns, schema), count, cancellation, limit, Verb::Select);
        rows.set_binary(is_binary);
        rows.set_zone(self.zone());
        Ok(rows)
    }

    /// A cursor before its first row.
    fn cursor(
        &self,
        columns: Arc<[Column]>,
        source: BoxStream<'static, Result<RecordBatch>>,
        keeping: Keeping,
        text: String,
    ) -> Cursor {
        let pool = &self.engine.state.runtime_env().memory_pool;
        let reservation = MemoryConsumer::new("rows of a cursor").register(pool);
        let schema = result_schema(&columns);
        let rows = CursorRows::new(source, keeping, reservation);
        Cursor::new(columns, schema, rows, text, now())
    }

    /// The rows of a query, to be read whenever somebody wants them.
    async fn open(
        &mut self,
        inner: &Arc<Prepared>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<(Arc<[Column]>, Positions, BoxStream<'static, Result<RecordBatch>>)> {
        let ast::Statement::Query(query) = &inner.statement.ast else {
            return Err(Error::unsupported("DECLARE CURSOR is for a query"));
        };
        if locked::is_locking(query) {
            let columns = inner.columns.clone();
            let columns = columns.ok_or_else(|| Error::internal("a query has columns"))?;
            let (found, tables) = self.rows_locked(inner, query, values, cancellation.clone()).await?;
            let schema = result_schema(&columns);
            let keyed = keyed_schema(&schema, tables.len());
            let found = found
                .into_iter()
                .map(move |batch| conform_keyed(batch, &schema, &keyed));
            return Ok((columns, Positions::Locked(tables), futures::stream::iter(found).boxed()));
        }
        // It is read by other statements than this one.
        let cancellation = Cancellation::default();
        let mut positions = Positions::Unknown;
        let adapt = |plan: LogicalPlan| match with_key(&plan) {
            Some((keyed, table)) => {
                positions = Positions::Scanned(table);
                keyed
            }
            None => plan,
        };
        let running = self.start_as(inner, query, values, &cancellation, adapt).await?;
        let columns = running.columns;
        let schema = result_schema(&columns);
        let keyed = match positions {
            Positions::Scanned(_) => keyed_schema(&schema, 1),
            _ => schema.clone(),
        };
        let batches = run(
            running.physical,
            running.task,
            cancellation,
            inner.statement.text.clone(),
        )?;
        let stream = batches.map(move |batch| batch.and_then(|batch| conform_keyed(batch, &schema, &keyed)));
        Ok((columns, positions, stream.boxed()))
    }

    pub(super) async fn fetch(&mut self, fetch: &Fetch, cancellation: Cancellation) -> Result<Response> {
        let cursor = self.cursors.get(&normalize(&fetch.cursor))?;
        let (rows, columns, schema) = (cursor.rows.clone(), cursor.columns.clone(), cursor.schema.clone());
        let is_binary = cursor.is_binary;
        let limit = self.time_limit(&cancellation);
        let last = unless_cancelled(&cancellation, async {
            let mut rows = rows.lock().await;
            // MOVE 0 asks whether it is on a row.
            if fetch.is_move
                && matches!(
                    fetch.direction,
                    Direction::Relative(0) | Direction::Forward(Count::Of(0))
                )
            {
                return Ok(Err(u64::from(rows.is_on_row())));
            }
            let last = go(&mut rows, fetch.direction).await?;
            if !fetch.is_move {
                return Ok(Ok(last));
            }
            match last {
                Last::Forward(count) => rows.skip(count).await.map(Err),
                Last::Backward(count) => {
                    let found = rows.backward(count)?;
                    Ok(Err(found.iter().map(|batch| batch.num_rows() as u64).sum()))
                }
            }
        });
        let mut fetched = match last.await? {
            Err(moved) => return done(format!("MOVE {moved}")),
            Ok(Last::Backward(count)) => {
                let found = rows.lock().await.backward(count)?;
                let width = columns.len();
                let found = found.into_iter().map(move |batch| visible(&batch, width));
                let stream = futures::stream::iter(found);
                Rows::new(columns, schema, stream, Verb::Fetch)
            }
            Ok(Last::Forward(count)) => forward(rows, (columns, schema), count, cancellation, limit, Verb::Fetch),
        };
        fetched.set_binary(is_binary);
        Ok(Response::Rows(fetched))
    }

    pub(super) fn close(&mut self, cursor: &ast::CloseCursor) -> Result<Response> {
        match cursor {
            ast::CloseCursor::All => {
                self.cursors.clear();
                done("CLOSE CURSOR ALL")
            }
            ast::CloseCursor::Specific { name } => {
                self.cursors.remove(&normalize(name))?;
                done("CLOSE CURSOR")
            }
        }
    }

    /// Takes the rows of holdable cursors into memory: their transaction is about to commit.
    pub(super) async fn hold_cursors(&self) -> Result<()> {
        let held = self.cursors.to_hold();
        if held.is_empty() {
            return Ok(());
        }
        let cancellation = self.canceller.begin();
        let _limit = self.time_limit(&cancellation);
        for rows in held {
            unless_cancelled(&cancellation, async { rows.lock().await.hold().await }).await?;
        }
        Ok(())
    }
}

/// The next rows of a cursor, as they are asked for.
fn forward(
    rows: Arc<Mutex<CursorRows>>,
    (columns, schema): (Arc<[Column]>, SchemaRef),
    count: Count,
    cancellation: Cancellation,
    limit: Option<TimeLimit>,
    verb: Verb,
) -> Rows {
    let width = columns.len();
    let stream = futures::stream::unfold(Some(count), move |left| {
        let (rows, cancellation) = (rows.clone(), cancellation.clone());
        let _ = &limit; // It ends with the stream.
        async move {
            let left = left?;
            let next = async { rows.lock().await.forward(left).await };
            match unless_cancelled(&cancellation, next).await.transpose()? {
                Ok(batch) => {
                    let left = left.minus(batch.num_rows() as u64);
                    Some((visible(&batch, width), Some(left)))
                }
                Err(error) => Some((Err(error), None)),
            }
        }
    });
    Rows::new(columns, schema, stream, verb)
}

/// Brings a cursor to where the rows are that a direction means.
async fn go(rows: &mut CursorRows, direction: Direction) -> Result<Last> {
    let one = Count::Of(1);
    Ok(match direction {
        Direction::Forward(Count::Of(0)) | Direction::Relative(0) => match rows.is_on_row() {
            true => {
                rows.backward(one)?;
                Last::Forward(one)
            }
            false => Last::Forward(Count::Of(0)),
        },
        Direction::Forward(count) => Last::Forward(count),
        Direction::Backward(count) => Last::Backward(count),
        Direction::Absolute(0) => {
            rows.rewind()?;
            Last::Forward(Count::Of(0))
        }
        Direction::Absolute(number) if number > 0 => {
            rows.seek(number.unsigned_abs()).await?;
            Last::Forward(one)
        }
        Direction::Absolute(number) => {
            rows.skip(Count::All).await?;
            rows.backward(Count::Of(number.unsigned_abs() - 1))?;
            Last::Backward(one)
        }
        Direction::Relative(number) if number > 0 => {
            rows.skip(Count::Of(number.unsigned_abs() - 1)).await?;
            Last::Forward(one)
        }
        Direction::Relative(number) => {
            rows.backward(Count::Of(number.unsigned_abs() - 1))?;
            Last::Backward(one)
        }
    })
}
