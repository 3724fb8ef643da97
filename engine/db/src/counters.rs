//! What a database counts.

use std::sync::atomic::{AtomicU64, Ordering};

use aion_base::Result;
use aion_sql::Engine;
use aion_storage::Store;

use crate::pipeline::Pipeline;

/// Counters since the database was opened, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseCounters {
    /// Transactions decided, rejected ones included.
    pub commits: u64,
    /// Transactions rejected.
    pub rejected: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Time spent in syncs, microseconds.
    pub sync_micros: u64,
    /// Bytes appended to the log.
    pub log_bytes: u64,
    /// Flushes of the rows.
    pub flushes: u64,
    /// The last entry of the log that a query sees now.
    pub log_index: u64,
    /// Bytes that versions take which were overwritten and are kept.
    pub history_bytes: u64,
    /// The oldest time at which rows can be read, in microseconds since 1970; None while no history is kept.
    pub history_horizon_micros: Option<u64>,
    /// Vector indexes that were read from their files, and not built.
    pub vector_indexes_restored: u64,
    /// Bytes of statements and literals that are noted.
    pub observed_bytes: usize,
    /// Executions and statements that were not noted for lack of room.
    pub observed_dropped: u64,
    /// Microseconds of processor time that were spent on learning, child processes included.
    pub learning_micros: u64,
    /// Bytes that running queries have reserved now.
    pub query_memory_bytes: usize,
    /// Bytes that queries may reserve together.
    pub query_memory_bytes_max: usize,
}

impl DatabaseCounters {
    pub(crate) fn of(store: &Store, engine: &Engine, pipeline: &Pipeline) -> Result<Self> {
        let (observed_bytes, observed_dropped) = pipeline.observed().map_or((0, 0), |observed| observed.size());
        let counters = store.counters();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok(Self {
            commits: read(&counters.commits),
            rejected: read(&counters.rejected),
            syncs: read(&counters.syncs),
            sync_micros: read(&counters.sync_micros),
            log_bytes: read(&counters.log_bytes),
            flushes: read(&counters.flushes),
            log_index: store.snapshot().read_point()?.index.0,
            history_bytes: store.history_bytes(),
            history_horizon_micros: store.horizon().map(|horizon| horizon.0),
            vector_indexes_restored: engine.indexes_restored(),
            observed_bytes,
            observed_dropped,
            learning_micros: u64::try_from(pipeline.spent().as_micros()).unwrap_or(u64::MAX),
            query_memory_bytes: engine.memory_reserved_bytes(),
            query_memory_bytes_max: engine.memory_bytes_max(),
        })
    }
}
