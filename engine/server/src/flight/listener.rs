//! Accepts connections, and ends them.
//!
//! Connections stay on the network's runtime, statements run on the database's (`work`).
//!
//! **Too many.** A connection beyond the limit is still served, so that its calls learn why they are refused (53300);
//! there are few such at a time, and beyond those the socket is closed at once.
//!
//! **Shutdown.** 1. No new connections; the others are told to go away after their calls. 2. Results that wait are
//! dropped, transactions rolled back. 3. After the grace statements are cancelled. 4. [`serve`] returns once nothing
//! of it uses the database any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aion_base::{Error, Result};
use arrow_flight::flight_service_server::FlightServiceServer;
use futures::stream::{self, Stream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::caller::caller;
use super::endpoint::Endpoint;
use super::held::{Bounds, Held, Owner};
use super::seat::Seat;
use super::statement::Prepared;
use super::stream::Waiting;
use crate::kv::{self, KvServer};
use crate::metrics::{Edge, OpenConnection};
use crate::service::{Service, accept, told_to_stop};
use crate::socket::Socket;
use crate::work::Work;

/// Connections that are being refused, at a time.
const REFUSED_MAX: usize = 16;
/// How often expired things are looked for.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);
/// Silence after which a connection is asked whether it is there, and the time it has to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));
/// Bytes of the headers of a call.
const HEADERS_BYTES_MAX: u32 = 64 * 1024;
/// Time for connections to end once their statements have.
const ANSWERED_GRACE: Duration = Duration::from_secs(5);

/// What all calls share.
pub(super) struct Shared {
    pub(super) service: Arc<Service>,
    pub(super) work: Arc<Work>,
    pub(super) logins: Held<Arc<Seat>>,
    pub(super) transactions: Held<Arc<Seat>>,
    pub(super) statements: Held<Arc<Prepared>>,
    pub(super) results: Held<Arc<Waiting>>,
}

impl Shared {
    fn new(service: Arc<Service>) -> Arc<Self> {
        let limits = &service.limits;
        let bounds = |count_max, total_max, bytes_max, idle_max| Bounds {
            count_max,
            total_max,
            bytes_max,
            idle_max,
        };
        let clients_max = limits.connections_max + limits.flight_sessions_max;
        let clock = || Arc::clone(&service.clock);
        let sessions_max = limits.flight_sessions_max;
        Arc::new(Self {
            work: Work::new(service.database.runtime().clone(), limits.flight_statements_max),
            logins: Held::new(
                "logins",
                bounds(sessions_max, sessions_max, usize::MAX, limits.handle_idle_timeout),
                clock(),
            ),
            transactions: Held::new(
                "transactions",
                bounds(
                    limits.flight_transactions_max,
                    clients_max,
                    usize::MAX,
                    limits.transaction_idle_timeout,
                ),
                clock(),
            ),
            statements: Held::new(
                "prepared statements",
                bounds(
                    limits.statements_max,
                    limits.statements_max.saturating_mul(clients_max),
                    limits.statement_bytes_total_max + limits.portal_bytes_total_max,
                    limits.handle_idle_timeout,
                ),
                clock(),
            ),
            results: Held::new(
                "results",
                bounds(
                    limits.flight_results_max,
                    limits.flight_results_max.saturating_mul(clients_max),
                    usize::MAX,
                    limits.result_idle_timeout,
                ),
                clock(),
            ),
            service,
        })
    }

    /// Drops what an owner holds.
    pub(super) fn drop_owner(&self, owner: &Owner) {
        self.results.drop_owner(owner);
        self.statements.drop_owner(owner);
        self.transactions.drop_owner(owner);
        self.logins.drop_owner(owner);
    }

    fn sweep(&self) {
        self.results.sweep();
        self.statements.sweep();
        self.transactions.sweep();
        self.logins.sweep();
    }

    fn clear(&self) {
        self.results.clear();
        self.statements.clear();
        self.transactions.clear();
        self.logins.clear();
    }
}

/// The connection that a call came on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) number: u64,
    pub(super) is_admitted: bool,
}

/// What a connection holds.
struct Connection {
    peer: Peer,
    shared: Arc<Shared>,
    _open: Option<OpenConnection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.drop_owner(&Owner::Connection(self.peer.number));
    }
}

impl Connected for Socket<Box<Connection>> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.held().peer
    }
}

/// Serves Flight SQL until the service is told to stop, then ends all connections and returns.
///
/// The address of `listener` should have passed [`crate::check_bind`].
///
/// # Errors
/// 58030 if the listener's address cannot be told, or the network fails as a whole. A connection's errors end that
/// connection.
pub async fn serve(listener: TcpListener, service: Arc<Service>) -> Result<()> {
    let address = listener
        .local_addr()
        .map_err(|error| Error::io("read the listener's address", error))?;
    tracing::info!(%address, "serving Flight SQL");
    let shared = Shared::new(service);
    let limits = &shared.service.limits;
    let message_bytes_max = limits.message_bytes_max;
    let endpoint = FlightServiceServer::new(Endpoint::new(Arc::clone(&shared)))
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(limits.row_bytes_max);
    let kv_work = Work::new(shared.service.database.runtime().clone(), limits.kv_requests_max);
    let keys = kv::Endpoint::new(&shared.service, Arc::clone(&kv_work), admission(&shared));
    let streams_max = u32::try_from(limits.flight_streams_max).unwrap_or(u32::MAX);
    let mut shutdown = shared.service.shutdown.clone();
    let serving = Server::builder()
        .max_concurrent_streams(streams_max)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .add_service(endpoint)
        .add_service(KvServer::new(keys))
        .serve_with_incoming_shutdown(incoming(listener, Arc::clone(&shared)), async move {
            told_to_stop(&mut shutdown).await;
        });
    let mut stopped = shared.service.shutdown.clone();
    let ending = async {
        told_to_stop(&mut stopped).await;
        shared.clear();
        let grace = shared.service.limits.shutdown_grace;
        tokio::join!(shared.work.end(grace), kv_work.end(grace));
        tokio::time::sleep(ANSWERED_GRACE).await;
    };
    let sweeping = async {
        loop {
            tokio::time::sleep(SWEEP_PAUSE).await;
            shared.sweep();
        }
    };
    let served = tokio::select! {
        served = serving => served,
        () = ending => {
            tracing::warn!("connections did not end and are dropped");
            Ok(())
        }
        () = sweeping => Ok(()),
    };
    tokio::join!(shared.work.end(Duration::ZERO), kv_work.end(Duration::ZERO));
    shared.clear();
    served.map_err(|error| {
        Error::unavailable(
            aion_base::SqlState::IO_ERROR,
            format!("could not serve Flight SQL: {error}"),
        )
        .with_source(error)
    })
}

/// Keys and values ask for what Flight SQL asks for.
fn admission(shared: &Arc<Shared>) -> kv::Admission {
    let shared = Arc::clone(shared);
    Box::new(move |metadata, extensions| caller(&shared, metadata, extensions.get::<Peer>()).map(drop))
}

/// The connections that are served.
fn incoming(
    listener: TcpListener,
    shared: Arc<Shared>,
) -> impl Stream<Item = std::io::Result<Socket<Box<Connection>>>> + Send + 'static {
    let served = Arc::new(Semaphore::new(shared.service.limits.connections_max));
    let refused = Arc::new(Semaphore::new(REFUSED_MAX));
    let numbers = AtomicU64::new(1);
    let state = (listener, shared, served, refused, numbers);
    stream::unfold(state, |state| async move {
        let (listener, shared, served, refused, numbers) = &state;
        let socket = loop {
            let stream: TcpStream = accept(listener).await;
            let (permit, is_admitted) = match Arc::clone(served).try_acquire_owned() {
                Ok(permit) => (permit, true),
                Err(_) => {
                    shared.service.metrics.refused(Edge::Flight);
                    match Arc::clone(refused).try_acquire_owned() {
                        Ok(permit) => (permit, false),
                        // Closed.
                        Err(_) => continue,
                    }
                }
            };
            let held = Connection {
                peer: Peer {
                    number: numbers.fetch_add(1, Ordering::Relaxed),
                    is_admitted,
                },
                shared: Arc::clone(shared),
                _open: is_admitted.then(|| shared.service.metrics.connection(Edge::Flight)),
                _permit: permit,
            };
            break Socket::new(stream, shared.service.limits.send_timeout, Box::new(held));
        };
        Some((Ok(socket), state))
    })
}
