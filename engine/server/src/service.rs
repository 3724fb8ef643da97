//! What the edges share: the database, the limits, the counting, and the word to stop.

use std::sync::Arc;
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::{Error, Result, SqlState};
use aion_db::{Database, Session, SessionOptions};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::access::Access;
use crate::limits::ServerLimits;
use crate::metrics::Metrics;

/// The first role, which Flight SQL and HTTP know alone, and the one database.
pub(crate) const NAME: &str = "aion";

/// Pause after a failed accept: it fails when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A database as the edges serve it; each edge's `serve` takes one, and all of a process the same.
#[derive(Debug)]
pub struct Service {
    pub(crate) database: Arc<Database>,
    pub(crate) limits: ServerLimits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) access: Access,
    pub(crate) shutdown: watch::Receiver<bool>,
}

impl Service {
    /// A service that ends when `shutdown` says true, without TLS.
    pub fn new(database: Arc<Database>, limits: ServerLimits, shutdown: watch::Receiver<bool>) -> Arc<Self> {
        Self::with_access(database, limits, Access::default(), shutdown)
    }

    /// The same, with what the operator says of who may connect in what.
    pub fn with_access(
        database: Arc<Database>,
        limits: ServerLimits,
        access: Access,
        shutdown: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let clock = Arc::new(SystemClock::default());
        Arc::new(Self::made(database, limits, access, shutdown, clock))
    }

    /// A service whose handles age, and whose statements are timed, by `clock`.
    #[cfg(test)]
    pub(crate) fn with_clock(
        database: Arc<Database>,
        limits: ServerLimits,
        shutdown: watch::Receiver<bool>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self::made(database, limits, Access::default(), shutdown, clock))
    }

    fn made(
        database: Arc<Database>,
        limits: ServerLimits,
        access: Access,
        shutdown: watch::Receiver<bool>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            database,
            limits,
            metrics: Metrics::new(Arc::clone(&clock)),
            clock,
            access,
            shutdown,
        }
    }

    /// A session over the database, which can show the limits of this service.
    pub(crate) fn session(&self, options: SessionOptions) -> Session {
        let mut session = self.database.session(options);
        session.set_fixed("max_connections", self.limits.connections_max);
        session.set_fixed("superuser_reserved_connections", self.limits.reserved_connections);
        session
    }

    /// The counters of this service.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Whether the server was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.shutdown.borrow()
    }
}

/// The session that a role may have where there are no passwords: on the edges that do not ask for one.
///
/// # Errors
/// 28000 for another role than ours, 3D000 for another database.
pub(crate) fn admit(user: &str, database: &str, application: &str) -> Result<SessionOptions> {
    if user != NAME {
        return Err(Error::denied(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            format!("role \"{user}\" does not exist"),
        ));
    }
    let database = database_meant(database);
    check_database(database)?;
    Ok(SessionOptions {
        user: user.to_owned(),
        database: database.to_owned(),
        application: application.to_owned(),
    })
}

/// The database that PostgreSQL has in any case, and that clients ask for where they want any.
const ANY: &str = "postgres";

/// What a client means that asks for a database: the one that is there has the name of PostgreSQL's own, too.
pub(crate) fn database_meant(name: &str) -> &str {
    match name {
        ANY => NAME,
        name => name,
    }
}

/// Whether there is such a database.
///
/// # Errors
/// 3D000.
pub(crate) fn check_database(name: &str) -> Result<()> {
    if name == NAME {
        return Ok(());
    }
    Err(Error::not_found(
        SqlState::INVALID_CATALOG_NAME,
        format!("database \"{name}\" does not exist"),
    ))
}

/// What a client beyond the limit on connections is told.
pub(crate) fn too_many_connections(connections_max: usize) -> Error {
    Error::exhausted(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
        .with_detail(format!("At most {connections_max} connections are served."))
}

/// What a client is told that would have one of the last connections, and is no superuser.
pub(crate) fn reserved_connections() -> Error {
    Error::exhausted(
        SqlState::TOO_MANY_CONNECTIONS,
        "remaining connection slots are reserved for non-replication superuser connections",
    )
}

/// The next connection.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns when the server stops.
pub(crate) async fn told_to_stop(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
}
