//! Counting: connections, statements, their time and their rows, by edge.
//!
//! **Vocabulary.** An *outcome* is how a statement ended: `ok`, `error`, or `cancelled`, which is also that its client
//! left. A statement's time runs from its start until its last row was handed to the connection.
//!
//! Keys and values (`kv`) are counted by themselves: a batch is no statement.
//!
//! Everything is an atomic number that only grows, but for the open connections; `text` prints them.

mod kv;
mod text;

pub(crate) use text::CONTENT_TYPE;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aion_base::clock::Clock;
use aion_base::{Error, SqlState};

/// Upper ends of the classes of a statement's time, in microseconds.
const CLASSES_MICROS: [u64; 14] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
];

/// An edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// The PostgreSQL protocol.
    Pgwire,
    /// Arrow Flight SQL.
    Flight,
    /// HTTP.
    Http,
}

const EDGES: [Edge; 3] = [Edge::Pgwire, Edge::Flight, Edge::Http];

impl Edge {
    fn name(self) -> &'static str {
        match self {
            Self::Pgwire => "pgwire",
            Self::Flight => "flight",
            Self::Http => "http",
        }
    }
}

/// How a statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Ok,
    /// With an error.
    Error,
    /// Cancelled, or its client left.
    Cancelled,
}

const OUTCOMES: [Outcome; 3] = [Outcome::Ok, Outcome::Error, Outcome::Cancelled];

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }

    fn of(error: &Error) -> Self {
        if error.state() == SqlState::QUERY_CANCELED {
            Self::Cancelled
        } else {
            Self::Error
        }
    }
}

/// See the module's header.
#[derive(Debug)]
pub struct Metrics {
    clock: Arc<dyn Clock>,
    started: Duration,
    edges: [Counters; EDGES.len()],
}

#[derive(Debug, Default)]
struct Counters {
    connections_open: AtomicU64,
    connections: AtomicU64,
    connections_refused: AtomicU64,
    statements: [AtomicU64; OUTCOMES.len()],
    /// One more than the classes: the last takes what is longer than all.
    times: [AtomicU64; CLASSES_MICROS.len() + 1],
    time_micros: AtomicU64,
    rows: AtomicU64,
    kv: kv::KvCounters,
}

impl Metrics {
    /// Nothing was counted yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            started: clock.monotonic(),
            clock,
            edges: Default::default(),
        })
    }

    /// A connection is served; it is open until the answer is dropped.
    pub(crate) fn connection(self: &Arc<Self>, edge: Edge) -> OpenConnection {
        let counters = self.of(edge);
        counters.connections.fetch_add(1, Ordering::Relaxed);
        counters.connections_open.fetch_add(1, Ordering::Relaxed);
        OpenConnection {
            metrics: Arc::clone(self),
            edge,
        }
    }

    /// A connection was turned away.
    pub(crate) fn refused(&self, edge: Edge) {
        self.of(edge).connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A statement begins.
    pub(crate) fn statement(self: &Arc<Self>, edge: Edge) -> Timed {
        Timed {
            started: self.clock.monotonic(),
            metrics: Arc::clone(self),
            edge,
            outcome: Outcome::Cancelled,
        }
    }

    fn of(&self, edge: Edge) -> &Counters {
        &self.edges[edge as usize]
    }
}

/// A connection that is served.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    metrics: Arc<Metrics>,
    edge: Edge,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics
            .of(self.edge)
            .connections_open
            .fetch_sub(1, Ordering::Relaxed);
    }
}

/// A statement that runs. It counts when it is dropped, as cancelled if nobody said how it ended.
#[derive(Debug)]
pub(crate) struct Timed {
    metrics: Arc<Metrics>,
    edge: Edge,
    started: Duration,
    outcome: Outcome,
}

impl Timed {
    /// Rows were handed to the connection.
    pub(crate) fn rows(&self, count: usize) {
        self.metrics
            .of(self.edge)
            .rows
            .fetch_add(count as u64, Ordering::Relaxed);
    }

    /// It ended as it should.
    pub(crate) fn succeeded(mut self) {
        self.outcome = Outcome::Ok;
    }

    /// It ended with this error.
    pub(crate) fn failed(mut self, error: &Error) {
        self.outcome = Outcome::of(error);
    }

    /// It ended like this.
    pub(crate) fn ended<T>(self, result: &Result<T, Error>) {
        match result {
            Ok(_) => self.succeeded(),
            Err(error) => self.failed(error),
        }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let counters = self.metrics.of(self.edge);
        let micros = self.metrics.clock.monotonic().saturating_sub(self.started).as_micros();
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        let class = CLASSES_MICROS.partition_point(|&end| end < micros);
        counters.times[class].fetch_add(1, Ordering::Relaxed);
        counters.time_micros.fetch_add(micros, Ordering::Relaxed);
        counters.statements[self.outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}
