//! Accepts connections, and ends them.
//!
//! **Two runtimes.** Connections are accepted and greeted on the runtime that [`serve`] runs on, which never blocks,
//! so that cancel requests get through while queries keep all their threads busy. A connection that gets a session
//! moves, socket and all, to the database's runtime of queries, because a statement costs less than a change of
//! threads.
//!
//! **TLS.** The handshake is part of the greeting. What encrypts moves with the socket (`wire`).
//!
//! **Too many.** A connection beyond the limit is still greeted, so that its client learns why it is refused (53300)
//! and so that cancel requests get through; there are few such at a time, and beyond those the socket is closed at
//! once. The last ones are for superusers: whoever is none is told so once it has proved who it is.
//!
//! **Shutdown.** 1. New connections get 57P03. 2. Idle ones get 57P01 at once, running ones after their statement.
//! 3. After the grace statements are cancelled. 4. Whatever is left some seconds later is dropped. 5. [`serve`]
//! returns once nothing of it uses the database any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use aion_db::Session;
use aion_security::Role;
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::error::Elapsed;

use super::cancel::Cancellers;
use super::connection::{Connection, End};
use super::input::Input;
use super::output::Output;
use super::seats::{Seat, Seats};
#[cfg(test)]
use super::startup::{self, Offer};
use super::startup::{Greeting, Opening};
use super::wire::{Resumed, Wire};
use super::{error, login};
use crate::access::Entry;
use crate::metrics::Edge;
use crate::service::{Service, accept, reserved_connections, told_to_stop, too_many_connections};

/// Connections that are being refused, at a time.
const REFUSED_MAX: usize = 16;
/// Time for cancelled statements to end at shutdown, and then for dropped ones.
const CANCELLED_GRACE: Duration = Duration::from_secs(5);

/// Serves the PostgreSQL protocol until `shutdown` says true, then ends all connections and returns.
///
/// The address of `listener` should have passed [`crate::check_pg_bind`] and [`crate::check_roles`].
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
    let permits = Arc::new(Semaphore::new(connections_max as usize));
    let shared = Arc::new(Shared {
        service,
        cancellers: Arc::default(),
        seats: Arc::default(),
        permits: Arc::clone(&permits),
    });
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
    pub(super) seats: Arc<Seats>,
    /// The connections that are left.
    pub(super) permits: Arc<Semaphore>,
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
async fn handle(stream: TcpStream, shared: Arc<Shared>, admission: Admission) {
    let (from, address) = (stream.peer_addr().ok(), stream.local_addr().ok());
    if let Err(error) = stream.set_nodelay(true) {
        return tracing::debug!(%error, "a connection ended before it began");
    }
    let mut wire = Wire::new(stream);
    let access = &shared.service.access;
    let received = wire.receive(access.tls.as_deref());
    let received = tokio::time::timeout(shared.service.limits.login_timeout, received).await;
    let Some((opening, permit)) = decide(&mut wire, received, &shared, admission).await else {
        return;
    };
    let entry = access.entry(from, address, wire.is_encrypted());
    let parked = match wire.park() {
        Ok(parked) => parked,
        Err(error) => return tracing::debug!(%error, "a connection ended before it began"),
    };
    let queries = shared.service.database.runtime().clone();
    let session = async move {
        let _permit = permit;
        // Registered with the runtime that reads and writes it.
        match parked.resume() {
            Ok(Resumed::Plain(stream)) => {
                let (reader, writer) = stream.into_split();
                session(reader, writer, opening, shared, entry).await;
            }
            Ok(Resumed::Tls(stream)) => {
                let (reader, writer) = tokio::io::split(stream);
                session(reader, writer, opening, shared, entry).await;
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

/// Finds out what a client wants that is not offered TLS; None if that has been done, or is refused.
#[cfg(test)]
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    shared: &Shared,
    admission: Admission,
) -> Option<(Opening, OwnedSemaphorePermit)> {
    let received = startup::receive(stream, Offer::Refuse);
    let received = tokio::time::timeout(shared.service.limits.login_timeout, received).await;
    decide(stream, received, shared, admission).await
}

/// What becomes of a greeting that came, or did not come in time; None if all has been done, or is refused.
async fn decide<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    received: Result<Result<Opening, End>, Elapsed>,
    shared: &Shared,
    admission: Admission,
) -> Option<(Opening, OwnedSemaphorePermit)> {
    let limits = &shared.service.limits;
    let error = match received {
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
        Err(_) => login_took_too_long(),
    };
    let mut output = Output::new(stream, BytesMut::new(), limits.login_timeout);
    refuse_login(&mut output, &error).await;
    None
}

fn login_took_too_long() -> Error {
    Error::unavailable(SqlState::QUERY_CANCELED, "canceling authentication due to timeout")
}

/// Says why, and ends the connection.
async fn refuse_login<W: AsyncWrite + Unpin>(output: &mut Output<W>, error: &Error) {
    output.send(&error::fatal(error));
    if output.flush().await.is_ok() {
        output.close().await;
    }
}

/// Makes the session that a client asked for, once it has proved who it is, and runs it to its end.
pub(super) async fn session<R, W>(reader: R, writer: W, opening: Opening, shared: Arc<Shared>, entry: Entry)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Greeting::Session { version, parameters } = opening.greeting else {
        return;
    };
    let limits = &shared.service.limits;
    let mut input = Input::new(reader, opening.input);
    let mut output = Output::new(writer, opening.output, limits.send_timeout);
    // The time of the greeting is not taken off: a login has at most twice its limit.
    let logging_in = log_in(&mut input, &mut output, &parameters, &shared, &entry);
    let logged_in = match tokio::time::timeout(limits.login_timeout, logging_in).await {
        Ok(logged_in) => logged_in,
        Err(_) => Err(End::Fatal(login_took_too_long())),
    };
    let begun = logged_in.and_then(|mut login| {
        let session = &mut login.session;
        let warnings = login::settings(session, &parameters).map_err(End::Fatal)?;
        let registration = shared.cancellers.register(version, session.canceller());
        let registration = registration.map_err(End::Fatal)?;
        session.set_process_id(registration.pid());
        Ok((login, warnings, registration))
    });
    match begun {
        Ok((login, warnings, registration)) => {
            let Login {
                mut session,
                role,
                seat: _seat,
            } = login;
            let _open = shared.service.metrics.connection(Edge::Pgwire);
            login::welcome(&mut output, &mut session, &role);
            output.send(&registration.message());
            for warning in &warnings {
                output.send(&error::notice(warning));
            }
            tracing::debug!(pid = registration.pid(), "a session begins");
            Connection::new(input, output, session, &shared.service).run().await;
            tracing::debug!(pid = registration.pid(), "a session has ended");
        }
        Err(End::Fatal(error)) => refuse_login(&mut output, &error).await,
        Err(End::Left) => {}
        Err(End::Broken(error)) => tracing::debug!(%error, "a connection broke while it logged in"),
    }
}

/// A client that is in.
struct Login {
    session: Session,
    role: Arc<Role>,
    seat: Seat,
}

async fn log_in<R, W>(
    input: &mut Input<R>,
    output: &mut Output<W>,
    parameters: &BTreeMap<String, String>,
    shared: &Shared,
    entry: &Entry,
) -> Result<Login, End>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let service = &shared.service;
    let options = login::options(parameters, entry.address).map_err(End::Fatal)?;
    let role = login::authenticate(input, output, &options.user, entry, service).await?;
    // This connection has its permit already; so does whoever logs in beside it.
    if !role.is_superuser && shared.permits.available_permits() < service.limits.reserved_connections {
        service.metrics.refused(Edge::Pgwire);
        return Err(End::Fatal(reserved_connections()));
    }
    let seat = login::admit(&role, &options, &shared.seats, entry.address).map_err(End::Fatal)?;
    let mut session = service.session(options);
    session.set_role(role.id);
    Ok(Login { session, role, seat })
}
