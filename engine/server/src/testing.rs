//! What the tests of the edges share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aion_base::clock::ManualClock;
use aion_db::{Database, DatabaseOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::limits::ServerLimits;
use crate::service::Service;

/// Its first row takes for ever.
pub const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000) b";

/// An empty database in memory.
pub fn database() -> Arc<Database> {
    // Kept: a database ends its runtime when it goes, which must not happen within one.
    static KEPT: Mutex<Vec<Arc<Database>>> = Mutex::new(Vec::new());
    let options = DatabaseOptions {
        memory_bytes: 256 << 20,
        threads: 2,
        ..DatabaseOptions::default()
    };
    let database = Arc::new(Database::in_memory(options).expect("memory and threads"));
    KEPT.lock().expect("no panic while pushing").push(Arc::clone(&database));
    database
}

/// A server of one edge on a free port.
pub struct Served {
    pub address: SocketAddr,
    pub service: Arc<Service>,
    /// By which handles age.
    pub clock: Arc<ManualClock>,
    pub shutdown: watch::Sender<bool>,
    pub task: JoinHandle<aion_base::Result<()>>,
}

impl Served {
    /// Serves with `serve`, which is an edge's.
    pub async fn start<F>(limits: ServerLimits, serve: impl FnOnce(TcpListener, Arc<Service>) -> F) -> Self
    where
        F: Future<Output = aion_base::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (shutdown, stopping) = watch::channel(false);
        let clock = Arc::new(ManualClock::at(0));
        let service = Service::with_clock(database(), limits, stopping, clock.clone());
        let task = tokio::spawn(serve(listener, Arc::clone(&service)));
        Self {
            address,
            service,
            clock,
            shutdown,
            task,
        }
    }

    /// A line of /metrics.
    pub fn metric(&self, name: &str) -> String {
        let text = self
            .service
            .metrics
            .text(&self.service.database.counters().expect("counted"));
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().to_owned()
    }
}
