//! One connection after its login: a loop over messages.
//!
//! 1. Take the next message, or wait for bytes; a shutdown or too long a silence ends the connection here.
//! 2. While skipping after an error of the extended protocol, drop everything but Sync; Flush still writes what has gathered.
//! 3. Check and decode it, and answer: `simple` a Query, `extended` the others.
//! 4. Answers gather in the output and are written at the end of a Query, at Sync and at Flush, or when they are many.
//!
//! **Transactions.** Several statements of one Query, or several Executes before one Sync, are one implicit
//! transaction, as in PostgreSQL. An Execute whose Sync is there already needs none: it commits before it is
//! answered.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use ::pgwire::messages::response::{self, NotificationResponse, ReadyForQuery};
use ::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use aion_base::{Error, Result, SqlState};
use aion_db::{Canceller, Named, Session, TransactionStatus};
use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::extended::Portal;
use super::input::{Incoming, Input};
use super::output::Output;
use super::{check, error, login};
use crate::limits::ServerLimits;
use crate::metrics::Metrics;
use crate::service::{Service, told_to_stop};

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client left.
    Left,
    /// The network failed.
    Broken(io::Error),
    /// We end it, and say why.
    Fatal(Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Why a message was not answered to the end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The statement failed; the session goes on.
    Statement(Error),
    /// The connection ends.
    End(End),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Statement(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::End(End::Broken(error))
    }
}

impl From<End> for Failure {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

/// One connection.
pub(crate) struct Connection<R, W> {
    pub(super) input: Input<R>,
    pub(super) output: Output<W>,
    pub(super) session: Session,
    pub(super) canceller: Canceller,
    pub(super) limits: ServerLimits,
    pub(super) portals: Named<Portal>,
    /// An error of the extended protocol: nothing is done until Sync.
    pub(super) skipping: bool,
    /// Memory for the text of one value.
    pub(super) scratch: String,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: watch::Receiver<bool>,
    /// True once another session ends this one.
    ended: Option<watch::Receiver<bool>>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// A connection that has a session.
    pub(crate) fn new(input: Input<R>, output: Output<W>, mut session: Session, service: &Service) -> Self {
        let limits = service.limits.clone();
        session.allow_listening();
        session.limit_statements(limits.statements_max, limits.statement_bytes_total_max);
        Self {
            input,
            output,
            canceller: session.canceller(),
            ended: session.ended(),
            session,
            portals: Named::new("portals", limits.portals_max, limits.portal_bytes_total_max),
            limits,
            skipping: false,
            scratch: String::new(),
            metrics: Arc::clone(&service.metrics),
            shutdown: service.shutdown.clone(),
        }
    }

    /// Says that it is ready, answers messages until the connection ends, and says why it does.
    pub(crate) async fn run(mut self) {
        let conversing = AssertUnwindSafe(async {
            match self.ready().await {
                Ok(()) => self.converse().await,
                Err(end) => end,
            }
        });
        // What the session was doing is lost with it, and rolled back; the client is told, and the others go on.
        let end = conversing.catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("a statement panicked, and its connection ends");
            End::Fatal(
                Error::internal("a mistake of this program ended the statement, and the session with it")
                    .with_hint("The server's log has more. Connect again; what was committed is there."),
            )
        });
        match end {
            End::Left => {}
            End::Broken(error) => return tracing::debug!(%error, "a connection broke"),
            End::Fatal(error) => self.output.send(&error::fatal(&error)),
        }
        if self.output.flush().await.is_ok() {
            self.output.close().await;
        }
    }

    async fn converse(&mut self) -> End {
        loop {
            let answered = match self.next().await {
                Ok(incoming) => self.answer(incoming).await,
                Err(end) => return end,
            };
            if let Err(end) = answered {
                return end;
            }
            // A client may send for ever without a Sync.
            if let Err(error) = self.output.flush_if_full().await {
                return End::Broken(error);
            }
        }
    }

    async fn next(&mut self) -> Result<Incoming, End> {
        loop {
            if *self.shutdown.borrow() {
                return Err(End::Fatal(shutting_down()));
            }
            if self.ended.as_ref().is_some_and(|ended| *ended.borrow()) {
                return Err(End::Fatal(Error::unavailable(
                    SqlState::ADMIN_SHUTDOWN,
                    "terminating connection due to administrator command",
                )));
            }
            if let Some(incoming) = self.input.take(&self.limits).map_err(End::Fatal)? {
                return Ok(incoming);
            }
            let in_transaction = self.session.idle_in_transaction_timeout();
            let timeout = in_transaction.or(self.limits.idle_timeout);
            let filled = async {
                match timeout {
                    Some(timeout) => tokio::time::timeout(timeout, self.input.fill()).await.ok(),
                    None => Some(self.input.fill().await),
                }
            };
            let mut notified = self.session.notified();
            let notified = async {
                match &mut notified {
                    Some(notified) => notified.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            let ended = async {
                let changed = match &mut self.ended {
                    Some(ended) => ended.changed().await.is_ok(),
                    None => false,
                };
                // A seat that is gone ends nothing.
                if !changed {
                    std::future::pending().await
                }
            };
            tokio::select! {
                biased;
                () = told_to_stop(&mut self.shutdown) => {}
                () = ended => {}
                _ = notified => {
                    self.send_notifications().await?;
                    self.output.flush().await?;
                }
                filled = filled => match filled {
                    Some(count) => if count? == 0 { return Err(End::Left) },
                    None if in_transaction.is_some() => return Err(End::Fatal(Error::unavailable(
                        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                        "terminating connection due to idle-in-transaction timeout",
                    ))),
                    None => return Err(End::Fatal(Error::unavailable(
                        SqlState::IDLE_SESSION_TIMEOUT,
                        "terminating connection due to idle-session timeout",
                    ))),
                },
            }
        }
    }

    async fn answer(&mut self, incoming: Incoming) -> Result<(), End> {
        let (kind, message) = match incoming {
            Incoming::Dropped { kind, length, limit } => return self.answer_dropped(kind, length, limit).await,
            Incoming::Message(kind, message) => (kind, message),
        };
        if self.skipping && !matches!(kind, b'S' | b'X') {
            // The error is to be seen by a client that waits for it before it sends Sync.
            return match kind {
                b'H' => Ok(self.output.flush().await?),
                _ => Ok(()),
            };
        }
        // A COPY that had ended already: ignored, as its data is.
        if kind == b'f' {
            return Ok(());
        }
        let size = message.len();
        let message = match check::decode(kind, message) {
            Ok(message) => message,
            Err(error) if kind == b'Q' => return self.refuse_query(error).await,
            Err(error) => return self.extended(Err(error.into())),
        };
        match message {
            PgWireFrontendMessage::Query(query) => self.query(&query.query).await,
            PgWireFrontendMessage::Parse(parse) => {
                let done = self.parse(parse, size).await;
                self.extended(done)
            }
            PgWireFrontendMessage::Bind(bind) => {
                let done = self.bind(bind, size).await;
                self.extended(done)
            }
            PgWireFrontendMessage::Describe(describe) => {
                let done = self.describe(&describe).map_err(Failure::from);
                self.extended(done)
            }
            PgWireFrontendMessage::Execute(execute) => {
                let done = self.execute(&execute).await;
                self.extended(done)
            }
            PgWireFrontendMessage::Close(close) => {
                self.close(&close);
                Ok(())
            }
            PgWireFrontendMessage::Flush(_) => Ok(self.output.flush().await?),
            PgWireFrontendMessage::Sync(_) => self.sync().await,
            _ => Err(End::Left),
        }
    }

    async fn answer_dropped(&mut self, kind: u8, length: usize, limit: usize) -> Result<(), End> {
        match kind {
            // COPY data that was on its way when the COPY had ended: ignored, as in PostgreSQL.
            b'd' | b'c' | b'f' => Ok(()),
            _ if self.skipping => Ok(()),
            b'F' => {
                self.refuse_query(Error::unsupported("function calls outside of SQL are not supported"))
                    .await
            }
            _ => {
                let error = Error::exhausted(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    format!("the message has {length} bytes; at most {limit} are read"),
                )
                .with_hint("Load data with COPY, or send several statements.");
                match kind {
                    b'Q' => self.refuse_query(error).await,
                    _ => self.extended(Err(error.into())),
                }
            }
        }
    }

    /// Answers what is not even run.
    async fn refuse_query(&mut self, error: Error) -> Result<(), End> {
        self.report(&error);
        let _ = self.session.end_implicit().await;
        self.ready().await
    }

    /// Sends an error of a statement, and fails the transaction it was in.
    pub(super) fn report(&mut self, error: &Error) {
        self.session.fail();
        self.send_notices();
        self.output.send(&error::error(error));
    }

    /// Sends what the session has to say besides its answer.
    pub(super) fn send_notices(&mut self) {
        for notice in self.session.take_notices() {
            self.output.send(&error::notice(&notice));
        }
    }

    /// Tells the client of what others notified it of.
    async fn send_notifications(&mut self) -> Result<(), End> {
        const AT_ONCE: usize = 100;
        loop {
            let found = self.session.take_notifications(AT_ONCE);
            for notification in &found {
                let (channel, payload) = (notification.channel.clone(), notification.payload.clone());
                let told = NotificationResponse::new(notification.process_id, channel, payload);
                self.output.send(&PgWireBackendMessage::NotificationResponse(told));
            }
            self.output.flush_if_full().await?;
            if found.len() < AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Ends a round: reports settings, says what state the transaction is in, and writes everything.
    pub(super) async fn ready(&mut self) -> Result<(), End> {
        self.send_notices();
        for (name, value) in self.session.take_changed_settings() {
            self.output.send(&login::status(name, &value));
        }
        let status = match self.session.status() {
            TransactionStatus::Idle => {
                // Portals live as long as their transaction.
                self.portals.clear();
                self.send_notifications().await?;
                response::TransactionStatus::Idle
            }
            TransactionStatus::Active => response::TransactionStatus::Transaction,
            TransactionStatus::Failed => response::TransactionStatus::Error,
        };
        self.output
            .send(&PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status)));
        Ok(self.output.flush().await?)
    }
}

/// Does the work of a statement; if the client leaves meanwhile, the work is cancelled. The work is pinned where it was made: it is ten
/// kilobytes, which would be copied for every statement.
pub(super) async fn attended<R: AsyncRead + Unpin, F: Future>(
    input: &mut Input<R>,
    canceller: &Canceller,
    mut work: Pin<&mut F>,
) -> F::Output {
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = input.gone() => canceller.cancel(),
    }
    work.await
}

pub(super) fn shutting_down() -> Error {
    Error::unavailable(
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )
}
