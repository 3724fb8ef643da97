//! Accepts connections, and ends them.
//!
//! **Two runtimes.** Connections are accepted and greeted on the runtime that [`serve`] runs on, which never blocks,
//! so that cancel requests get through while queries keep all their threads busy. A connection that gets a session
//! moves, socket and all, to the database's runtime of queries, because a statement costs less than a change of
//! threads.
//!
//! **Too many.** A connection beyond the limit is still greeted, so that its client learns why it is refused (53300)
//! and so that cancel requests get through; there are few such at a time, and beyond those the socket is closed at
//! once.
//!
//! **Shutdown.** 1. New connections get 57P03. 2. Idle ones get 57P01 at once, running ones after their statement.
//! 3. After the grace statements are cancelled. 4. Whatever is left some seconds later is dropped. 5. [`serve`]
//! returns once nothing of it uses the database any more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::cancel::Cancellers;
use super::connection::{Connection, End};
use super::input::Input;
use super::output::Output;
use super::startup::{self, Greeting, Opening};
use super::{error, login};
use crate::metrics::Edge;
use crate::service::{Service, accept, told_to_stop, too_many_connections};

/// Connections that are being refused, at a time.
const REFUSED_MAX: usize = 16;
/// Time for cancelled statements to end at shutdown, and then for dropped ones.
const CANCELLED_GRACE: Duration = Duration::from_secs(5);

/// Serves the PostgreSQL protocol until `shutdown` says true, then ends all connections and returns.
///
/// The address of `listener` should have passed [`crate::check_bind`].
///
/// # Errors
/// 58030 if the listener's address cannot be told. A connection's errors end that connection.
pub async fn serve(listener: TcpListener, service: Arc<Service>) -> Result<()> {
    let mut shutdown = service.shutdown.clone();
    let address = listener
        .local_addr()
        .map_err(|error| Error::io("read the listener's address", error))?;
    tracing::info!(%address, "serving the PostgreSQL protocol");
    let connections_max = u32::try_from(service.limits.connections_max).unwrap_or(u32::MAX);
    let shared = Arc::new(Shared {
        service,
        cancellers: Arc::default(),
    });
    let permits = Arc::new(Semaphore::new(connections_max as usize));
    let mut served = JoinSet::new();
    let mut refused = JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = told_to_stop(&mut shutdown) => break,
            Some(ended) = served.join_next() => { note(ended); continue }
            Some(ended) = refused.join_next() => { note(ended); continue }
            stream = accept(&listener) => stream,
        };
        match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => {
                served.spawn(handle(stream, Arc::clone(&shared), Admission::Granted(permit)));
            }
            Err(_) => refuse(&mut refused, stream, &shared, Admission::Full),
        }
    }
    tracing::info!(%address, connections = served.len(), "shutting down");
    drain(&listener, &shared, &mut served, &mut refused).await;
    refused.shutdown().await;
    drop(shared);
    // A session's last act is to give its permit back.
    if tokio::time::timeout(CANCELLED_GRACE, permits.acquire_many(connections_max))
        .await
        .is_err()
    {
        tracing::warn!("a session did not end although it was dropped");
    }
    Ok(())
}

/// Waits for the connections to end, and sees to it.
async fn drain(listener: &TcpListener, shared: &Arc<Shared>, served: &mut JoinSet<()>, refused: &mut JoinSet<()>) {
    let mut grace = std::pin::pin!(tokio::time::sleep(shared.service.limits.shutdown_grace));
    let mut cancelled = false;
    loop {
        tokio::select! {
            biased;
            ended = served.join_next() => match ended {
                Some(ended) => note(ended),
                None => return,
            },
            () = &mut grace => {
                if cancelled {
                    tracing::warn!(connections = served.len(), "connections did not end and are dropped");
                    return served.shutdown().await;
                }
                cancelled = true;
                shared.cancellers.cancel_all();
                grace.set(tokio::time::sleep(CANCELLED_GRACE));
            }
            Some(ended) = refused.join_next() => note(ended),
            stream = accept(listener) => refuse(refused, stream, shared, Admission::Stopping),
        }
    }
}

fn refuse(refused: &mut JoinSet<()>, stream: TcpStream, shared: &Arc<Shared>, admission: Admission) {
    shared.service.metrics.refused(Edge::Pgwire);
    if refused.len() < REFUSED_MAX {
        refused.spawn(handle(stream, Arc::clone(shared), admission));
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) service: Arc<Service>,
    pub(super) cancellers: Arc<Cancellers>,
}

/// Whether a connection may have a session.
pub(super) enum Admission {
    /// Yes; the permit is given back when the session has ended.
    Granted(OwnedSemaphorePermit),
    /// No: there are too many.
    Full,
    /// No: the server is shutting down.
    Stopping,
}

/// One connection, from its first byte to its last.
async fn handle(mut stream: TcpStream, shared: Arc<Shared>, admission: Admission) {
    let Some((opening, permit)) = greet(&mut stream, &shared, admission).await else {
        return;
    };
    let address = stream.local_addr().ok();
    let socket = match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
        Ok(socket) => socket,
        Err(error) => return tracing::debug!(%error, "a connection ended before it began"),
    };
    let queries = shared.service.database.runtime().clone();
    let session = async move {
        let _permit = permit;
        // Registered with the runtime that reads and writes it.
        match TcpStream::from_std(socket) {
            Ok(stream) => {
                let (reader, writer) = stream.into_split();
                session(reader, writer, opening, shared, address).await;
            }
            Err(error) => tracing::error!(%error, "a connection could not be moved"),
        }
    };
    let mut session = AbortedWithMe(queries.spawn(session));
    note((&mut session.0).await);
}

/// A task that ends when nobody waits for it any more.
struct AbortedWithMe(JoinHandle<()>);

impl Drop for AbortedWithMe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Finds out what a client wants; None if that has been done, or is refused.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    shared: &Shared,
    admission: Admission,
) -> Option<(Opening, OwnedSemaphorePermit)> {
    let limits = &shared.service.limits;
    let error = match tokio::time::timeout(limits.login_timeout, startup::receive(stream)).await {
        Ok(Ok(Opening {
            greeting: Greeting::Cancel(request),
            ..
        })) => {
            shared.cancellers.request(&request);
            return None;
        }
        Ok(Ok(opening)) => match admission {
            Admission::Granted(permit) => return Some((opening, permit)),
            Admission::Full => too_many_connections(limits.connections_max),
            Admission::Stopping => {
                Error::unavailable(SqlState::CANNOT_CONNECT_NOW, "the database system is shutting down")
            }
        },
        Ok(Err(End::Fatal(error))) => error,
        Ok(Err(End::Left)) => return None,
        Ok(Err(End::Broken(error))) => {
            tracing::debug!(%error, "a connection broke before its session began");
            return None;
        }
        Err(_) => Error::unavailable(SqlState::QUERY_CANCELED, "canceling authentication due to timeout"),
    };
    let mut output = Output::new(stream, BytesMut::new(), limits.login_timeout);
    output.send(&error::fatal(&error));
    if output.flush().await.is_ok() {
        output.close().await;
    }
    None
}

/// Makes the session that a client asked for, and runs it to its end.
pub(super) async fn session<R, W>(
    reader: R,
    writer: W,
    opening: Opening,
    shared: Arc<Shared>,
    address: Option<SocketAddr>,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Greeting::Session { version, parameters } = opening.greeting else {
        return;
    };
    let input = Input::new(reader, opening.input);
    let mut output = Output::new(writer, opening.output, shared.service.limits.send_timeout);
    let admitted = login::options(&parameters, address).and_then(|options| {
        let mut session = shared.service.database.session(options);
        let warnings = login::settings(&mut session, &parameters)?;
        let registration = shared.cancellers.register(version, session.canceller())?;
        session.set_process_id(registration.pid());
        Ok((session, warnings, registration))
    });
    match admitted {
        Ok((mut session, warnings, registration)) => {
            let _open = shared.service.metrics.connection(Edge::Pgwire);
            login::welcome(&mut output, &mut session);
            output.send(&registration.message());
            for warning in &warnings {
                output.send(&error::notice(warning));
            }
            tracing::debug!(pid = registration.pid(), "a session begins");
            Connection::new(input, output, session, &shared.service).run().await;
            tracing::debug!(pid = registration.pid(), "a session has ended");
        }
        Err(error) => {
            output.send(&error::fatal(&error));
            if output.flush().await.is_ok() {
                output.close().await;
            }
        }
    }
}
