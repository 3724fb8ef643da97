//! Counting keys and values.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aion_base::{Error, SqlState};
use aion_db::kv::{Batch, Outcome, Page, What};

use super::{Edge, Metrics};

/// Kinds of operations, as the page names them. A scan counts once for each page.
pub(super) const OPERATIONS: [&str; 5] = ["get", "put", "delete", "compare_and_set", "scan"];
const SCAN: usize = 4;

/// How a batch or a page ended, as the page names it.
pub(super) const OUTCOMES: [&str; 4] = ["ok", "unmet", "error", "cancelled"];
const OK: usize = 0;
const UNMET: usize = 1;
const ERROR: usize = 2;
const CANCELLED: usize = 3;

/// Those of one edge.
#[derive(Debug, Default)]
pub(super) struct KvCounters {
    /// That were done.
    pub(super) operations: [AtomicU64; OPERATIONS.len()],
    pub(super) requests: [AtomicU64; OUTCOMES.len()],
    pub(super) time_micros: AtomicU64,
}

impl Metrics {
    /// The time that [`Metrics::kv_batch`] and [`Metrics::kv_scan`] count from.
    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// A batch ended.
    pub(crate) fn kv_batch(&self, edge: Edge, begun: Duration, batch: &Batch, outcome: &Result<Outcome, Error>) {
        let counters = &self.of(edge).kv;
        let how = match outcome {
            Ok(Outcome::Applied { .. }) => {
                let mut done = [0; OPERATIONS.len()];
                for operation in &batch.operations {
                    done[kind(&operation.what)] += 1;
                }
                for (counter, count) in counters.operations.iter().zip(done) {
                    if count > 0 {
                        counter.fetch_add(count, Ordering::Relaxed);
                    }
                }
                OK
            }
            Ok(Outcome::Unmet(_)) => UNMET,
            Err(error) => of_error(error),
        };
        self.kv_ended(edge, begun, how);
    }

    /// A batch was refused before it ran.
    pub(crate) fn kv_refused(&self, edge: Edge, begun: Duration, error: &Error) {
        self.kv_ended(edge, begun, of_error(error));
    }

    /// A page was read.
    pub(crate) fn kv_scan(&self, edge: Edge, begun: Duration, page: &Result<Page, Error>) {
        let how = match page {
            Ok(page) => {
                self.of(edge).kv.operations[SCAN].fetch_add(1, Ordering::Relaxed);
                self.of(edge)
                    .rows
                    .fetch_add(page.entries.len() as u64, Ordering::Relaxed);
                OK
            }
            Err(error) => of_error(error),
        };
        self.kv_ended(edge, begun, how);
    }

    fn kv_ended(&self, edge: Edge, begun: Duration, how: usize) {
        let counters = &self.of(edge).kv;
        let micros = self.clock.monotonic().saturating_sub(begun).as_micros();
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        counters.time_micros.fetch_add(micros, Ordering::Relaxed);
        counters.requests[how].fetch_add(1, Ordering::Relaxed);
    }
}

fn kind(what: &What) -> usize {
    match what {
        What::Get => 0,
        What::Put(_) => 1,
        What::Delete => 2,
        What::CompareAndSet { .. } => 3,
    }
}

fn of_error(error: &Error) -> usize {
    match error.state() {
        SqlState::QUERY_CANCELED => CANCELLED,
        _ => ERROR,
    }
}
