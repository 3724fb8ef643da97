//! `aion serve`: the server.
//!
//! It opens the data directory, listens, prints how to connect and what its limits are, and serves until SIGTERM or
//! SIGINT; then running statements end, what is queued is committed, and the directory is released.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_db::{Database, DatabaseOptions};
use aion_server::{ServerLimits, check_bind, pgwire};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

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
    /// Listen beyond this machine although there is neither TLS nor a password
    #[arg(long)]
    insecure: bool,
    /// COPY reads files below this directory only
    #[arg(long, value_name = "DIR")]
    copy_dir: Option<PathBuf>,
    /// Memory that the database may hold, in MiB; half of the machine's by default
    #[arg(long, value_name = "MIB")]
    memory: Option<usize>,
}

/// Runs `aion serve`.
pub fn run(arguments: &ServeArguments) -> Result<ExitCode> {
    check_bind(arguments.pg, arguments.insecure)?;
    let copy_dir = arguments.copy_dir.as_ref().map(|dir| dir.canonicalize()).transpose();
    let copy_dir = copy_dir.map_err(|error| Error::io("find the directory of --copy-dir", error))?;
    let mut options = DatabaseOptions {
        copy_dir,
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
    let net = tokio::runtime::Builder::new_multi_thread()
        .thread_name("aion-net")
        .worker_threads(2)
        .thread_stack_size(16 << 20)
        .enable_all()
        .build()
        .map_err(|error| Error::io("start the network's threads", error))?;
    net.block_on(serve(arguments, database.clone()))?;
    net.shutdown_timeout(std::time::Duration::from_secs(1));
    let database = Arc::try_unwrap(database).map_err(|_| Error::internal("a connection outlived the server"))?;
    database.close()?;
    Screen::new().line("Closed: everything is durable.")?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(arguments: &ServeArguments, database: Arc<Database>) -> Result<()> {
    let listening = |error| Error::io(format_args!("listen on {}", arguments.pg), error);
    let listener = TcpListener::bind(arguments.pg).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let (host, port) = (address.ip(), address.port());
    let psql = format!("psql -h {host} -p {port} -U aion aion");
    database.describe(&format!("Connect with: {psql}"))?;
    let limits = ServerLimits::default();
    let screen = Screen::new();
    screen.line(format_args!(
        "aion {} serves {}",
        version::VERSION,
        arguments.data.display()
    ))?;
    screen.heading("Connect with")?;
    screen.line(format_args!("  {psql}"))?;
    screen.line(format_args!("  postgresql://aion@{host}:{port}/aion"))?;
    screen.heading("Limits")?;
    screen.line(format_args!(
        "  memory                {} MiB",
        database.options().memory_bytes >> 20
    ))?;
    for line in limits.to_string().lines() {
        screen.line(format_args!("  {line}"))?;
    }
    screen.line("")?;
    screen.line("Ready. Stop with Ctrl-C or SIGTERM.")?;

    let (stop, stopped) = watch::channel(false);
    let waiting = |error| Error::io("wait for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(waiting)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(waiting)?;
    let serving = pgwire::serve(listener, database, limits, stopped);
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    screen.line("Stopping: running statements may end.")?;
    // The receiver is gone only when serving has ended already.
    let _ = stop.send(true);
    serving.await
}
