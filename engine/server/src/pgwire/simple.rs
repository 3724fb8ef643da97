//! The simple protocol: one text, its statements one after the other.
//!
//! Rows are sent as text, but for those of a binary cursor. Several statements are one transaction, unless they say
//! otherwise; the first error ends the text. The tag of the last statement waits until that transaction has committed,
//! so that it never promises what COMMIT then refuses.

use std::pin::pin;
use std::sync::Arc;

use ::pgwire::messages::PgWireBackendMessage;
use ::pgwire::messages::response::{CommandComplete, EmptyQueryResponse};
use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_db::{CopyDirection, Prepared, Response, Statement};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, End, Failure, attended};
use super::rows::{self, Format};
use super::stream::{Open, counted};
use crate::metrics::Edge;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Answers a Query.
    pub(super) async fn query(&mut self, text: &str) -> Result<(), End> {
        self.session.forget_statement("");
        self.portals.remove("");
        let done = match self.run_text(text).await {
            Ok(last) => self.session.end_implicit().await.map(|()| last),
            Err(Failure::Statement(error)) => {
                self.session.fail();
                // It rolls back; the statement's error says why.
                let _ = self.session.end_implicit().await;
                Err(error)
            }
            Err(Failure::End(end)) => return Err(end),
        };
        match done {
            Ok(last) => self.complete(last),
            Err(error) => self.report(&error),
        }
        self.ready().await
    }

    /// Runs the statements; answers how the last one ended, of which the client has not been told.
    async fn run_text(&mut self, text: &str) -> Result<Completion, Failure> {
        if let Some((prepared, values)) = self.session.recall(text) {
            return self.run_statement(Wanted::Recalled(prepared, values)).await;
        }
        let statements = self.session.parse(text)?;
        if statements.len() > 1 {
            self.session.begin_implicit();
        }
        let mut last = None;
        for statement in &statements {
            if let Some(completion) = last.take() {
                self.complete(completion);
            }
            last = Some(self.run_statement(Wanted::Parsed(statement)).await?);
        }
        Ok(last.unwrap_or(Completion::Empty))
    }

    async fn run_statement(&mut self, wanted: Wanted<'_>) -> Result<Completion, Failure> {
        let Self {
            input,
            canceller,
            session,
            metrics,
            ..
        } = self;
        let timed = metrics.statement(Edge::Pgwire);
        let ran = {
            let work = pin!(async {
                let (prepared, values) = match wanted {
                    Wanted::Parsed(statement) => (session.prepare(statement, &[]).await?, Vec::new()),
                    Wanted::Recalled(prepared, values) => (prepared, values),
                };
                if prepared.parameter_types().len() != values.len() {
                    return Err(
                        Error::invalid(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1")
                            .with_hint("Only a prepared statement has parameters."),
                    );
                }
                match prepared.copy_direction() {
                    Some(direction) => Ok(Ran::Copy(prepared, direction)),
                    None => session.execute(&prepared, &values).await.map(Ran::Answered),
                }
            });
            attended(input, canceller, work).await
        };
        let rows = match ran {
            Ok(Ran::Copy(prepared, direction)) => return counted(timed, self.copy(&prepared, direction).await),
            Ok(Ran::Answered(Response::Done { tag })) => {
                timed.succeeded();
                return Ok(Completion::Tag(tag));
            }
            Ok(Ran::Answered(Response::Rows(rows))) => rows,
            Err(error) => {
                timed.failed(&error);
                return Err(error.into());
            }
        };
        // Of a cursor that was declared BINARY; all others are text.
        let formats: Arc<[Format]> = match rows.is_binary() {
            true => vec![Format::Binary; rows.columns().len()].into(),
            false => Arc::new([]),
        };
        let description = rows::describe(rows.columns(), &formats)?;
        self.output.send(&PgWireBackendMessage::RowDescription(description));
        let mut open = Open::new(rows, formats, timed);
        self.stream(&mut open, usize::MAX).await?;
        Ok(Completion::Tag(open.tag()))
    }

    /// Tells the client that a statement is done.
    pub(super) fn complete(&mut self, completion: Completion) {
        self.send_notices();
        self.output.send(&match completion {
            Completion::Tag(tag) => PgWireBackendMessage::CommandComplete(CommandComplete::new(tag)),
            Completion::Empty => PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()),
        });
    }
}

/// A statement to run.
enum Wanted<'a> {
    Parsed(&'a Statement),
    /// One that came before with other literals, and those of now.
    Recalled(Arc<Prepared>, Vec<Value>),
}

/// How far a statement has come.
enum Ran {
    Answered(Response),
    /// Its data is the client's.
    Copy(Arc<Prepared>, CopyDirection),
}

/// How a statement ended.
#[derive(Debug)]
pub(super) enum Completion {
    /// With this command tag.
    Tag(String),
    /// There was none.
    Empty,
}
