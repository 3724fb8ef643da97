//! Accepts connections, and ends them.
//!
//! **Shutdown.** 1. No new connections. 2. `/healthz` says 503; idle connections are closed, others after their
//! answer. 3. After the grace statements are cancelled. 4. [`serve`] returns once nothing of it uses the database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, Result};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};

use super::answer;
use super::routes::routes;
use crate::kv::Face;
use crate::metrics::{Edge, OpenConnection};
use crate::service::{Service, accept, told_to_stop, too_many_connections};
use crate::socket::Socket;
use crate::work::Work;

/// Bytes of the head of a request, and of what is read ahead of its body.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 100;
/// Connections that are being refused, at a time.
const REFUSED_MAX: usize = 16;
/// Time to tell a connection that it is refused.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for connections to end once their statements have.
const ANSWERED_GRACE: Duration = Duration::from_secs(5);

/// What all connections share.
pub(super) struct Shared {
    pub(super) service: Arc<Service>,
    pub(super) work: Arc<Work>,
    /// Keys and values, and the tasks that are about them.
    pub(super) face: Arc<Face>,
    pub(super) kv_work: Arc<Work>,
    /// Where we listen; a browser may only ask for this.
    pub(super) address: SocketAddr,
}

/// Serves HTTP until the service is told to stop, then ends all connections and returns.
///
/// The address of `listener` should have passed [`crate::check_bind`].
///
/// # Errors
/// 58030 if the listener's address cannot be told. A connection's errors end that connection.
pub async fn serve(listener: TcpListener, service: Arc<Service>) -> Result<()> {
    let address = listener
        .local_addr()
        .map_err(|error| Error::io("read the listener's address", error))?;
    tracing::info!(%address, "serving HTTP");
    let mut shutdown = service.shutdown.clone();
    let grace = service.limits.shutdown_grace;
    let permits = Arc::new(Semaphore::new(service.limits.connections_max));
    let work = Work::new(service.database.runtime().clone(), service.limits.http_statements_max);
    let kv_work = Work::new(service.database.runtime().clone(), service.limits.kv_requests_max);
    let shared = Arc::new(Shared {
        face: Face::new(&service, Edge::Http),
        service,
        work: Arc::clone(&work),
        kv_work: Arc::clone(&kv_work),
        address,
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
                served.spawn(handle(stream, Arc::clone(&shared), permit, shutdown.clone()));
            }
            Err(_) => {
                shared.service.metrics.refused(Edge::Http);
                if refused.len() < REFUSED_MAX {
                    refused.spawn(refuse(stream, shared.service.limits.connections_max));
                }
            }
        }
    }
    tracing::info!(%address, connections = served.len(), "shutting down");
    drop(listener);
    refused.shutdown().await;
    let connections = async { while served.join_next().await.is_some() {} };
    let ended = async {
        tokio::join!(work.end(grace), kv_work.end(grace));
        tokio::time::sleep(ANSWERED_GRACE).await;
    };
    tokio::select! {
        () = connections => {}
        () = ended => tracing::warn!("connections did not end and are dropped"),
    }
    served.shutdown().await;
    tokio::join!(work.end(Duration::ZERO), kv_work.end(Duration::ZERO));
    Ok(())
}

/// What a connection holds.
struct Held {
    _open: OpenConnection,
    _permit: OwnedSemaphorePermit,
}

/// One connection, from its first byte to its last.
async fn handle(
    stream: TcpStream,
    shared: Arc<Shared>,
    permit: OwnedSemaphorePermit,
    mut shutdown: watch::Receiver<bool>,
) {
    let limits = &shared.service.limits;
    let held = Held {
        _open: shared.service.metrics.connection(Edge::Http),
        _permit: permit,
    };
    let socket = TokioIo::new(Socket::new(stream, limits.send_timeout, held));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also how long a connection may be idle between requests.
        .header_read_timeout(limits.login_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(socket, TowerToHyperService::new(routes(Arc::clone(&shared))));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told_to_stop(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Answers 503 to whatever is asked.
async fn refuse(stream: TcpStream, connections_max: usize) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let bytes = answer::refusal(&too_many_connections(connections_max));
    let told = async {
        let mut stream = stream;
        // Read first: closing a socket with unread bytes would throw the answer away.
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await?;
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    // It was to be refused; whether it heard so is its own affair.
    let _ = tokio::time::timeout(REFUSED_TIMEOUT, told).await;
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
