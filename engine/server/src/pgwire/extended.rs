//! The extended protocol: Parse, Bind, Describe, Execute, Close, Sync.
//!
//! A *statement* is parsed and planned, a *portal* is a statement with its parameters and the forms of its result,
//! run a piece at a time. After an error everything up to the next Sync is skipped. Portals end with their
//! transaction.

use std::pin::pin;
use std::sync::Arc;

use ::pgwire::messages::PgWireBackendMessage as Message;
use ::pgwire::messages::data::{NoData, ParameterDescription};
use ::pgwire::messages::extendedquery::{
    self, Bind, BindComplete, Close, CloseComplete, Describe, Execute, ParseComplete, PortalSuspended,
};
use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value};
use aion_db::{Column, Response, TransactionStatus};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, End, Failure, attended};
use super::parameters;
use super::rows::{self, Format};
use super::simple::Completion;
use super::stream::{Open, counted, result_changed};
use crate::metrics::Edge;

/// A statement as Parse left it; None where the text held none.
type Prepared = Option<Arc<aion_db::Prepared>>;

fn parameter_types(prepared: &Prepared) -> &[SqlType] {
    prepared.as_ref().map_or(&[], |prepared| prepared.parameter_types())
}

fn columns(prepared: &Prepared) -> Option<&Arc<[Column]>> {
    prepared.as_ref().and_then(|prepared| prepared.columns())
}

/// A statement with its parameters.
pub(crate) struct Portal {
    prepared: Prepared,
    formats: Arc<[Format]>,
    state: State,
}

enum State {
    /// Bound.
    Ready(Vec<Value>),
    /// A cursor of the session, of the portal's name: FETCH and MOVE see it.
    Cursor,
    /// Some rows were sent.
    Open(Box<Open>),
    /// Run to the end, or failed.
    Over,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Ends the answer to a message of the extended protocol.
    pub(super) fn extended(&mut self, done: Result<(), Failure>) -> Result<(), End> {
        match done {
            Ok(()) => Ok(()),
            Err(Failure::Statement(error)) => {
                self.report(&error);
                self.skipping = true;
                Ok(())
            }
            Err(Failure::End(end)) => Err(end),
        }
    }

    /// What a client's OID says of a parameter, which may be of a type that a user made.
    fn declared(&self, oid: u32) -> Result<Option<SqlType>> {
        match parameters::declared(oid) {
            Err(error) => match self.session.catalog()?.type_of_oid(oid) {
                Some(made) => Ok(Some(made)),
                None => Err(error),
            },
            known => known,
        }
    }

    /// Parses and plans a statement; `size` is that of the message.
    pub(super) async fn parse(&mut self, parse: extendedquery::Parse, size: usize) -> Result<(), Failure> {
        let name = parse.name.unwrap_or_default();
        self.session.check_statement_name(&name)?;
        if name.is_empty() {
            self.session.forget_statement("");
        }
        let types = parse
            .type_oids
            .iter()
            .map(|oid| self.declared(*oid))
            .collect::<Result<Vec<_>>>()?;
        let prepared = self.prepare(&parse.query, &types).await?;
        self.session.name_statement(name, prepared, &parse.query, size)?;
        self.output.send(&Message::ParseComplete(ParseComplete::new()));
        Ok(())
    }

    async fn prepare(&mut self, text: &str, types: &[Option<SqlType>]) -> Result<Prepared> {
        let mut statements = self.session.parse(text)?;
        let Some(statement) = statements.pop() else {
            return Ok(None);
        };
        if !statements.is_empty() {
            return Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let Self {
            input,
            canceller,
            session,
            ..
        } = self;
        let prepared = attended(input, canceller, pin!(session.prepare(&statement, types))).await?;
        Ok(Some(prepared))
    }

    /// Gives a statement its parameters; `size` is that of the message.
    pub(super) async fn bind(&mut self, bind: Bind, size: usize) -> Result<(), Failure> {
        let portal_name = bind.portal_name.unwrap_or_default();
        let statement_name = bind.statement_name.unwrap_or_default();
        let prepared = self.session.statement(&statement_name)?.prepared.clone();
        // One that is a cursor may have been closed as one.
        let portal = self.portals.get(&portal_name);
        let is_taken = portal.is_some_and(|portal| !matches!(portal.state, State::Cursor))
            || self.session.cursor_columns(&portal_name).is_some();
        if !portal_name.is_empty() && is_taken {
            return Err(Error::invalid(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{portal_name}\" already exists"),
            )
            .into());
        }
        let values = {
            let types = self.session.newest_types(parameter_types(&prepared))?;
            parameters::values(
                &statement_name,
                parameters::Types {
                    types: &types,
                    shown_oid: &|at| prepared.as_ref().and_then(|prepared| prepared.shown_oid(at)),
                },
                &bind.parameter_format_codes,
                &bind.parameters,
                self.session.zone(),
            )?
        };
        let codes = &bind.result_column_format_codes;
        let formats = match columns(&prepared) {
            Some(columns) => Format::expand(codes, columns.len(), || {
                format!(
                    "bind message has {} result formats but query has {} columns",
                    codes.len(),
                    columns.len()
                )
            })?,
            // The codes concern no columns; PostgreSQL does not mind.
            None => Vec::new(),
        };
        let is_cursor = match &prepared {
            Some(statement) if !portal_name.is_empty() => {
                let Self {
                    input,
                    canceller,
                    session,
                    ..
                } = self;
                let opening = session.open_portal(&portal_name, statement, &values);
                attended(input, canceller, pin!(opening)).await?
            }
            _ => false,
        };
        let portal = Portal {
            prepared,
            formats: formats.into(),
            state: match is_cursor {
                true => State::Cursor,
                false => State::Ready(values),
            },
        };
        self.portals.insert(portal_name, portal, size)?;
        self.output.send(&Message::BindComplete(BindComplete::new()));
        Ok(())
    }

    /// Says what a statement wants and what it or a portal gives.
    pub(super) fn describe(&mut self, describe: &Describe) -> Result<()> {
        let name = describe.name.as_deref().unwrap_or_default();
        let message = if describe.target_type == extendedquery::TARGET_TYPE_BYTE_STATEMENT {
            let statement = self.session.statement(name)?;
            let types = statement
                .prepared
                .as_ref()
                .map_or_else(Vec::new, |prepared| prepared.parameter_oids());
            self.output
                .send(&Message::ParameterDescription(ParameterDescription::new(types)));
            description(columns(&statement.prepared), &[])?
        } else if let Some(portal) = self.portals.get(name) {
            description(columns(&portal.prepared), &portal.formats)?
        } else {
            // What SQL declares is a portal, too: drivers ask for the columns of their cursors.
            let (columns, is_binary) = self.session.cursor_columns(name).ok_or_else(|| no_portal(name))?;
            let format = if is_binary { Format::Binary } else { Format::Text };
            description(Some(&columns), &vec![format; columns.len()])?
        };
        self.output.send(&message);
        Ok(())
    }

    /// Runs a portal, or goes on with it.
    pub(super) async fn execute(&mut self, execute: &Execute) -> Result<(), Failure> {
        let name = execute.name.as_deref().unwrap_or_default();
        let wanted = usize::try_from(execute.max_rows)
            .ok()
            .filter(|rows| *rows > 0)
            .unwrap_or(usize::MAX);
        let Some(portal) = self.portals.get_mut(name) else {
            // What SQL declares is a portal, too.
            return self.execute_cursor(name, wanted).await;
        };
        // Over, unless it is put back below.
        let state = std::mem::replace(&mut portal.state, State::Over);
        let prepared = portal.prepared.clone();
        let mut open = match state {
            State::Open(open) => open,
            State::Cursor => {
                portal.state = State::Cursor;
                return self.execute_cursor(name, wanted).await;
            }
            State::Over => {
                return Err(Error::invalid(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("portal \"{name}\" cannot be run: it is at its end, or failed"),
                )
                .into());
            }
            State::Ready(values) => {
                let formats = Arc::clone(&portal.formats);
                match self.start(&prepared, &values, formats).await? {
                    Started::Rows(open) => open,
                    Started::Done(completion) => {
                        self.complete(completion);
                        return Ok(());
                    }
                }
            }
        };
        if self.stream(&mut open, wanted).await? {
            self.complete(Completion::Tag(open.tag()));
        } else {
            self.send_notices();
            self.output.send(&Message::PortalSuspended(PortalSuspended::new()));
        }
        // At its end it answers no rows to a further Execute, as in PostgreSQL.
        if let Some(portal) = self.portals.get_mut(name) {
            portal.state = State::Open(open);
        }
        Ok(())
    }

    /// Sends the next rows of a portal that is a cursor, or of a cursor that SQL has declared.
    async fn execute_cursor(&mut self, name: &str, wanted: usize) -> Result<(), Failure> {
        let count = (wanted < usize::MAX).then_some(wanted as u64);
        let rows = self.session.execute_portal(name, count)?;
        let formats = match self.portals.get(name) {
            Some(portal) => {
                let columns = columns(&portal.prepared);
                if columns.is_none_or(|columns| !same_types(columns, rows.columns())) {
                    return Err(result_changed().into());
                }
                Arc::clone(&portal.formats)
            }
            None => {
                let format = if rows.is_binary() { Format::Binary } else { Format::Text };
                vec![format; rows.columns().len()].into()
            }
        };
        let timed = self.metrics.statement(Edge::Pgwire);
        let mut open = Open::new(rows, formats, timed);
        if self.stream(&mut open, wanted).await? {
            self.complete(Completion::Tag(open.tag()));
        } else {
            self.send_notices();
            self.output.send(&Message::PortalSuspended(PortalSuspended::new()));
        }
        Ok(())
    }

    async fn start(
        &mut self,
        prepared: &Prepared,
        values: &[Value],
        formats: Arc<[Format]>,
    ) -> Result<Started, Failure> {
        let statement = match prepared {
            None => return Ok(Started::Done(Completion::Empty)),
            Some(statement) => statement,
        };
        // The only statement of its round commits by itself.
        if !self.input.next_is(b'S') {
            self.session.begin_implicit();
        }
        if let Some(direction) = statement.copy_direction() {
            let timed = self.metrics.statement(Edge::Pgwire);
            let done = self.copy(statement, direction).await;
            return counted(timed, done).map(Started::Done);
        }
        let before = self.session.status();
        let Self {
            input,
            canceller,
            session,
            metrics,
            ..
        } = self;
        let timed = metrics.statement(Edge::Pgwire);
        let response = match attended(input, canceller, pin!(session.execute(statement, values))).await {
            Ok(response) => response,
            Err(error) => {
                timed.failed(&error);
                return Err(error.into());
            }
        };
        if before != TransactionStatus::Idle && self.session.status() == TransactionStatus::Idle {
            // COMMIT or ROLLBACK.
            self.portals.clear();
        }
        match response {
            Response::Done { tag } => {
                timed.succeeded();
                Ok(Started::Done(Completion::Tag(tag)))
            }
            Response::Rows(rows) => match statement.columns() {
                Some(columns) if Arc::ptr_eq(columns, rows.columns()) || same_types(columns, rows.columns()) => {
                    Ok(Started::Rows(Box::new(Open::new(rows, formats, timed))))
                }
                _ => {
                    let error = result_changed();
                    timed.failed(&error);
                    Err(error.into())
                }
            },
        }
    }

    /// Forgets a statement or a portal; one that is not there is no error.
    pub(super) fn close(&mut self, close: &Close) {
        let name = close.name.as_deref().unwrap_or_default();
        if close.target_type == extendedquery::TARGET_TYPE_BYTE_STATEMENT {
            self.session.forget_statement(name);
        } else {
            // A portal may be a cursor, and what SQL declared is one.
            self.portals.remove(name);
            self.session.close_cursor(name);
        }
        self.output.send(&Message::CloseComplete(CloseComplete::new()));
    }

    /// Ends a round: commits what it did, unless it failed.
    pub(super) async fn sync(&mut self) -> Result<(), End> {
        let failed = std::mem::take(&mut self.skipping);
        if let Err(error) = self.session.end_implicit().await {
            // After an error it rolls back, and the client knows why.
            if !failed {
                self.report(&error);
            }
        }
        self.ready().await
    }
}

/// What became of a portal that was run.
enum Started {
    Rows(Box<Open>),
    Done(Completion),
}

fn description(columns: Option<&Arc<[Column]>>, formats: &[Format]) -> Result<Message> {
    Ok(match columns {
        Some(columns) => Message::RowDescription(rows::describe(columns, formats)?),
        None => Message::NoData(NoData::new()),
    })
}

fn no_portal(name: &str) -> Error {
    Error::not_found(
        SqlState::INVALID_CURSOR_NAME,
        format!("portal \"{name}\" does not exist"),
    )
}

/// Whether rows fit the description that the client has. Names may differ: they do not change how values are read.
fn same_types(announced: &[Column], found: &[Column]) -> bool {
    announced.len() == found.len()
        && announced
            .iter()
            .zip(found)
            .all(|(a, b)| a.sql_type.oid() == b.sql_type.oid())
}
