//! Runs the text of a request, and writes the answer.
//!
//! 1. Several statements, or one, are one transaction unless they say otherwise.
//! 2. Rows of the last statement become JSON as they come, until the limit; those of earlier ones are only read.
//! 3. The transaction commits, and then the answer is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_db::{Cells, Column, Response, Rows, Session, SessionOptions, Statement, TransactionStatus, canonical};
use arrow::record_batch::RecordBatch;

use super::json;
use super::listener::Shared;
use super::request::{Layout, SqlRequest};
use crate::metrics::{Edge, Timed};

/// Answers the body of a request.
///
/// # Errors
/// The statement's; 53300 while too many run.
pub(super) async fn run(shared: &Shared, request: SqlRequest) -> Result<Vec<u8>> {
    let mut session = shared.service.session(SessionOptions::default());
    let canceller = session.canceller();
    let stopped = Arc::new(AtomicBool::new(false));
    let is_stopped = Arc::clone(&stopped);
    let metrics = shared.service.metrics.clone();
    let bytes_max = shared.service.limits.http_result_bytes_max;
    let work = async move {
        if let Some(millis) = request.timeout_ms {
            session.set("statement_timeout", &millis.to_string())?;
        }
        let text = Text {
            request: &request,
            bytes_max,
            is_stopped: &is_stopped,
            begin: &|| metrics.statement(Edge::Http),
        };
        let answered = match text.run(&mut session).await {
            Ok(answer) => session.end_implicit().await.map(|()| answer),
            Err(error) => {
                session.fail();
                // It rolls back; the statement's error says why.
                let _ = session.end_implicit().await;
                Err(error)
            }
        };
        let answer = answered?;
        if session.status() != TransactionStatus::Idle {
            return Err(Error::invalid(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "the request ended in a transaction block, which was rolled back",
            )
            .with_hint("A request is a session of its own: end the block with COMMIT in the same text."));
        }
        Ok(answer.finish())
    };
    let stop = move || {
        stopped.store(true, Ordering::Release);
        canceller.cancel();
    };
    shared.work.run(stop, work).await
}

/// The statements of a request.
struct Text<'a> {
    request: &'a SqlRequest,
    bytes_max: usize,
    is_stopped: &'a AtomicBool,
    begin: &'a (dyn Fn() -> Timed + Sync),
}

impl Text<'_> {
    async fn run(&self, session: &mut Session) -> Result<Answer> {
        let statements = session.parse(&self.request.sql)?;
        let Some((last, earlier)) = statements.split_last() else {
            return Err(Error::invalid(SqlState::SYNTAX_ERROR, "the text holds no statement"));
        };
        if !earlier.is_empty() {
            if !self.request.params.is_empty() {
                return Err(Error::invalid(
                    SqlState::SYNTAX_ERROR,
                    "a text of several statements takes no parameters",
                )
                .with_hint("Send the statement with parameters by itself."));
            }
            session.begin_implicit();
        }
        for statement in earlier {
            self.statement(session, statement, None).await?;
        }
        let mut answer = Answer::new(self.request.format, self.bytes_max);
        self.statement(session, last, Some(&mut answer)).await?;
        Ok(answer)
    }

    async fn statement(&self, session: &mut Session, statement: &Statement, into: Option<&mut Answer>) -> Result<()> {
        let timed = (self.begin)();
        let done = self.statement_timed(session, statement, into, &timed).await;
        timed.ended(&done);
        done
    }

    async fn statement_timed(
        &self,
        session: &mut Session,
        statement: &Statement,
        mut into: Option<&mut Answer>,
        timed: &Timed,
    ) -> Result<()> {
        let prepared = session.prepare(statement, &[]).await?;
        let types = prepared.parameter_types();
        let given = &self.request.params;
        if types.len() != given.len() {
            return Err(Error::invalid(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "the statement has {} parameters; {} were given",
                    types.len(),
                    given.len()
                ),
            ));
        }
        let zone = session.zone();
        let values = types.iter().zip(given).enumerate();
        let values = values.map(|(at, (sql_type, json))| json::parameter(at + 1, sql_type, json, zone));
        let values = values.collect::<Result<Vec<Value>>>()?;
        if self.is_stopped.load(Ordering::Acquire) {
            let message = "canceling statement due to user request";
            return Err(Error::unavailable(SqlState::QUERY_CANCELED, message));
        }
        match session.execute(&prepared, &values).await? {
            Response::Done { tag } => {
                if let Some(answer) = into {
                    answer.done(tag);
                }
            }
            Response::Rows(mut rows) => {
                if let Some(answer) = &mut into {
                    answer.begin(&rows);
                }
                rows.show_in_zone();
                while let Some(batch) = rows.next().await? {
                    if let Some(answer) = &mut into {
                        answer.put(&batch)?;
                        timed.rows(batch.num_rows());
                    }
                }
                if let Some(answer) = into {
                    answer.tag = rows.tag();
                }
            }
        }
        Ok(())
    }
}

/// The answer, while it is written.
struct Answer {
    layout: Layout,
    bytes_max: usize,
    columns: Arc<[Column]>,
    /// The rows; or what is there of each column.
    parts: Vec<Vec<u8>>,
    row_count: u64,
    tag: String,
    scratch: String,
}

impl Answer {
    fn new(layout: Layout, bytes_max: usize) -> Self {
        Self {
            layout,
            bytes_max,
            columns: Arc::new([]),
            parts: vec![Vec::new()],
            row_count: 0,
            tag: String::new(),
            scratch: String::new(),
        }
    }

    fn done(&mut self, tag: String) {
        // INSERT 0 3, UPDATE 3; others changed no rows.
        self.row_count = tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        self.tag = tag;
    }

    fn begin(&mut self, rows: &Rows) {
        self.columns = rows.columns().clone();
        if self.layout == Layout::Columns {
            self.parts = vec![Vec::new(); self.columns.len()];
        }
    }

    fn put(&mut self, batch: &RecordBatch) -> Result<()> {
        let arrays = batch.columns().iter().zip(self.columns.iter());
        let arrays = arrays.map(|(array, column)| canonical(array, column.sql_type));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let cells = arrays.iter().zip(self.columns.iter());
        let cells: Vec<Cells<'_>> = cells
            .filter_map(|(array, column)| Cells::of(array, column.sql_type))
            .collect();
        if cells.len() != self.columns.len() {
            return Err(Error::internal("a batch does not have the columns that were announced"));
        }
        for row in 0..batch.num_rows() {
            self.put_row(&cells, row);
            let length: usize = self.parts.iter().map(Vec::len).sum();
            if length > self.bytes_max {
                return Err(Error::exhausted(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    format!("the rows of the result have more than {} bytes as JSON", self.bytes_max),
                )
                .with_hint("Add LIMIT, select fewer columns, or fetch the result with Flight SQL."));
            }
        }
        Ok(())
    }

    fn put_row(&mut self, cells: &[Cells<'_>], row: usize) {
        let is_first = self.row_count == 0;
        self.row_count += 1;
        if self.layout == Layout::Columns {
            for (cell, part) in cells.iter().zip(&mut self.parts) {
                if !is_first {
                    part.push(b',');
                }
                json::put(cell, row, &mut self.scratch, part);
            }
            return;
        }
        let part = &mut self.parts[0];
        if !is_first {
            part.push(b',');
        }
        part.push(b'[');
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                part.push(b',');
            }
            json::put(cell, row, &mut self.scratch, part);
        }
        part.push(b']');
    }

    fn finish(self) -> Vec<u8> {
        let length: usize = self.parts.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(length + 256);
        out.extend_from_slice(b"{\"columns\":[");
        for (at, column) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"name\":");
            json::put_string(&column.name, &mut out);
            out.extend_from_slice(b",\"type\":");
            json::put_string(&column.sql_type.to_string(), &mut out);
            if self.layout == Layout::Columns {
                out.extend_from_slice(b",\"values\":[");
                out.extend_from_slice(&self.parts[at]);
                out.push(b']');
            }
            out.push(b'}');
        }
        out.push(b']');
        if self.layout == Layout::Rows {
            out.extend_from_slice(b",\"rows\":[");
            out.extend_from_slice(&self.parts[0]);
            out.push(b']');
        }
        out.extend_from_slice(b",\"tag\":");
        json::put_string(&self.tag, &mut out);
        out.extend_from_slice(format!(",\"row_count\":{}}}", self.row_count).as_bytes());
        out
    }
}
