//! `aion serve`: the server.
//!
//! It opens the data directory, listens for PostgreSQL clients (in TLS, where it is given a certificate), Flight SQL and HTTP, prints
//! how to connect and what its limits are, and serves until SIGTERM or SIGINT; then running statements end, what is queued is committed, and the
//! directory is released.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_db::{Database, DatabaseOptions, LearningOptions, Mode, NESTING_MAX, WRITE_SET_BYTES_MAX};
use aion_server::{Access, ServerLimits, Service, Tls, check_bind, check_pg_bind, check_roles, flight, http, pgwire};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::screen::Screen;
use crate::version;

/// What to serve, and where.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The data directory; made where nothing is
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address of the PostgreSQL protocol; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5433")]
    pg: SocketAddr,
    /// Address of Arrow Flight SQL, or off
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    flight: Edge,
    /// Address of HTTP, or off
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    http: Edge,
    /// The certificate of the PostgreSQL protocol in PEM, with those that vouch for it after it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key in PEM, not encrypted
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listen beyond this machine although there is neither TLS nor a password, and take whoever comes from there for somebody here
    #[arg(long)]
    insecure: bool,
    /// COPY reads files below this directory only
    #[arg(long, value_name = "DIR")]
    copy_dir: Option<PathBuf>,
    /// Memory that the database may hold, in MiB; half of the machine's by default
    #[arg(long, value_name = "MIB")]
    memory: Option<usize>,
    /// Connections of PostgreSQL clients at a time; of Flight SQL and HTTP there may be as many besides
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Connections among them that only superusers may have
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    superuser_reserved_connections: u16,
    /// What the learned parts may do: off, shadow (observe), advise (rehearse as well, and do what is approved), auto (act alone, for the
    /// kinds of aion.auto_kinds). By default what ALTER SYSTEM SET aion.ai_mode says, and shadow before it said anything
    #[arg(long, value_name = "MODE", value_parser = mode)]
    ai_mode: Option<Mode>,
}

pub fn mode(text: &str) -> Result<Mode, String> {
    Mode::from_name(text).ok_or_else(|| format!("'{text}' is no mode; the modes are off, shadow, advise and auto"))
}

/// Runs `aion serve`.
pub fn run(arguments: &ServeArguments) -> Result<ExitCode> {
    check_pg_bind(arguments.pg, arguments.tls_cert.is_some(), arguments.insecure)?;
    let others = [arguments.flight.address(), arguments.http.address()];
    for address in others.into_iter().flatten() {
        check_bind(address, arguments.insecure)?;
    }
    let (all, reserved) = (arguments.max_connections, arguments.superuser_reserved_connections);
    if reserved >= all {
        return Err(Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("superuser_reserved_connections ({reserved}) must be less than max_connections ({all})"),
        ));
    }
    let access = access(arguments)?;
    let copy_dir = arguments.copy_dir.as_ref().map(|dir| dir.canonicalize()).transpose();
    let copy_dir = copy_dir.map_err(|error| Error::io("find the directory of --copy-dir", error))?;
    let mut options = DatabaseOptions {
        copy_dir,
        ai_mode: arguments.ai_mode,
        learning: LearningOptions {
            program: Some(crate::ai::child()?),
            ..LearningOptions::default()
        },
        ..DatabaseOptions::default()
    };
    if let Some(mib) = arguments.memory {
        let bytes = mib.checked_mul(1 << 20).filter(|&bytes| bytes >= 64 << 20);
        options.memory_bytes = bytes.ok_or_else(|| {
            Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("--memory {mib} is not 64 MiB or more"),
            )
        })?;
    }
    let database = Arc::new(Database::open(&arguments.data, options)?);
    let roles = database.roles()?;
    check_roles(arguments.pg, &roles, arguments.insecure)?;
    let net = tokio::runtime::Builder::new_multi_thread()
        .thread_name("aion-net")
        .worker_threads(2)
        .thread_stack_size(16 << 20)
        .enable_all()
        .build()
        .map_err(|error| Error::io("start the network's threads", error))?;
    net.block_on(serve(arguments, access, database.clone()))?;
    net.shutdown_timeout(std::time::Duration::from_secs(1));
    let database = Arc::try_unwrap(database).map_err(|_| Error::internal("a connection outlived the server"))?;
    database.close()?;
    Screen::new().line("Closed: everything is durable.")?;
    Ok(ExitCode::SUCCESS)
}

/// What the switches say of who may connect in what.
fn access(arguments: &ServeArguments) -> Result<Access> {
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|error| Error::io(format_args!("read {}", path.display()), error));
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(Arc::new(Tls::from_pem(&read(certificate)?, &read(key)?)?)),
        _ => None,
    };
    Ok(Access {
        tls,
        trusts_network: arguments.insecure,
    })
}

/// An address that is served, or none.
#[derive(Clone, Copy, Debug)]
enum Edge {
    At(SocketAddr),
    Off,
}

impl Edge {
    fn address(self) -> Option<SocketAddr> {
        match self {
            Self::At(address) => Some(address),
            Self::Off => None,
        }
    }
}

impl FromStr for Edge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text
            .parse()
            .map_err(|_| "an address such as 127.0.0.1:0, or off".to_owned())?;
        Ok(Self::At(address))
    }
}

async fn serve(arguments: &ServeArguments, access: Access, database: Arc<Database>) -> Result<()> {
    // All ports before anything is served: a server that is half there helps nobody.
    let (pg, pg_address) = listen("--pg", arguments.pg).await?;
    let flight = listen_where_wanted("--flight", arguments.flight).await?;
    let http = listen_where_wanted("--http", arguments.http).await?;
    let psql = format!("psql -h {} -p {} -U aion aion", pg_address.ip(), pg_address.port());
    database.describe(&format!("Connect with: {psql}"))?;
    let limits = ServerLimits {
        connections_max: arguments.max_connections.into(),
        reserved_connections: arguments.superuser_reserved_connections.into(),
        ..ServerLimits::default()
    };
    let screen = Screen::new();
    screen.line(format_args!(
        "aion {} serves {}",
        version::VERSION,
        arguments.data.display()
    ))?;
    screen.heading("Connect with")?;
    screen.line(format_args!("  {psql}"))?;
    screen.line(format_args!("  postgresql://aion@{pg_address}/aion"))?;
    if let Some((_, address)) = &flight {
        screen.line(format_args!(
            "  adbc_driver_flightsql.dbapi.connect(\"grpc://{address}\")"
        ))?;
        screen.line(format_args!("  jdbc:arrow-flight-sql://{address}?useEncryption=false"))?;
    }
    if let Some((_, address)) = &http {
        screen.line(format_args!(
            "  curl http://{address}/v1/sql -H 'Content-Type: application/json' -d '{{\"sql\": \"SELECT 1\"}}'"
        ))?;
        screen.line(format_args!(
            "  curl -X PUT http://{address}/v1/kv/NAMESPACE/KEY --data-binary VALUE"
        ))?;
        screen.line(format_args!("  curl http://{address}/metrics"))?;
    }
    warn_of_open_edges(&screen, &database, flight.is_some() || http.is_some())?;
    screen.heading("Limits")?;
    screen.line(format_args!(
        "  memory                {} MiB",
        database.options().memory_bytes >> 20
    ))?;
    screen.line("  fsync                 on, before each commit is acknowledged")?;
    screen.line(format_args!(
        "  transaction           {} MiB",
        WRITE_SET_BYTES_MAX >> 20
    ))?;
    screen.line(format_args!("  nesting of a query    {NESTING_MAX} levels"))?;
    for line in limits.to_string().lines() {
        screen.line(format_args!("  {line}"))?;
    }
    screen.line("")?;
    screen.line("Ready. Stop with Ctrl-C or SIGTERM.")?;

    let (stop, stopped) = watch::channel(false);
    let waiting = |error| Error::io("wait for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(waiting)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(waiting)?;
    let service = Service::with_access(database, limits, access, stopped);
    let mut serving = JoinSet::new();
    serving.spawn(pgwire::serve(pg, service.clone()));
    if let Some((listener, _)) = flight {
        serving.spawn(flight::serve(listener, service.clone()));
    }
    if let Some((listener, _)) = http {
        serving.spawn(http::serve(listener, service.clone()));
    }
    drop(service);
    // None of them ends by itself, unless it fails; then the others go with it.
    let first = tokio::select! {
        ended = serving.join_next() => ended,
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    if first.is_none() {
        screen.line("Stopping: running statements may end.")?;
    }
    // The receivers are gone only when all have ended already.
    let _ = stop.send(true);
    let mut done = first.map_or(Ok(()), ended);
    while let Some(next) = serving.join_next().await {
        done = done.and(ended(next));
    }
    done
}

/// Whoever set a password expects to be asked for it.
fn warn_of_open_edges(screen: &Screen, database: &Database, has_open: bool) -> Result<()> {
    if has_open && database.roles()?.any_password() {
        screen.line("  Flight SQL and HTTP ask for no password: whoever is on this machine is aion there (--flight off --http off)")?;
    }
    Ok(())
}

fn ended(edge: Result<Result<()>, JoinError>) -> Result<()> {
    edge.map_err(|error| Error::internal(format!("an edge failed: {error}")))?
}

async fn listen_where_wanted(switch: &str, edge: Edge) -> Result<Option<(TcpListener, SocketAddr)>> {
    match edge.address() {
        Some(address) => listen(switch, address).await.map(Some),
        None => Ok(None),
    }
}

async fn listen(switch: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let failed = |error: std::io::Error| {
        let is_taken = error.kind() == std::io::ErrorKind::AddrInUse;
        let error = Error::io(format_args!("listen on {address} ({switch})"), error);
        if is_taken {
            error.with_hint(format!("Give another address with {switch}; port 0 takes a free one."))
        } else {
            error
        }
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
