//! The composition root: a database is opened here, and everything below is put together.
//!
//! A [`Database`] owns the store, the SQL engine over it, and the runtime that queries run on. Sessions come from
//! [`Database::session`]; every edge and the embedded API use the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aion_base::observation::Observer;
use aion_base::{Error, Result};
use aion_storage::{RocksOptions, Store, StoreOptions};

pub use aion_shadow::state::Mode;
pub use aion_sql::{
    Canceller, Cells, Column, CopyDirection, CopyIn, CopyLines, CopyOut, Effect, EngineOptions, LineWriter, LocalTable,
    NESTING_MAX, Prepared, Response, ResultType, Rows, SERVER_VERSION, STATEMENTS_MAX, Session, SessionOptions,
    Statement, TEXT_BYTES_MAX, TransactionStatus, Verb, WRITE_SET_BYTES_MAX, canonical,
};
pub use text::append_rows;

/// Choices of a database.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Bytes that the database may hold in memory: half of the machine's or its control group's.
    pub memory_bytes: usize,
    /// Threads that queries run on.
    pub threads: usize,
    /// COPY reads and writes below this directory only, where given.
    pub copy_dir: Option<PathBuf>,
    /// What the learned parts may do.
    pub ai_mode: Mode,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            memory_bytes: memory::available_bytes() / 2,
            threads,
            copy_dir: None,
            ai_mode: Mode::Shadow,
        }
    }
}

mod advise;
mod counters;
mod memory;
mod observed;
pub mod rehearsal;
mod text;

pub use advise::{Advice, IndexAdvice};
pub use aion_optimizer_core::advisor::Limits as AdviceLimits;
pub use counters::DatabaseCounters;
use observed::Observed;

/// How long closing waits for tasks to end; they look at their cancellation between batches.
const STOP_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// An open database.
#[derive(Debug)]
pub struct Database {
    store: Arc<Store>,
    engine: Arc<aion_sql::Engine>,
    /// None where the learned parts are off.
    observed: Option<Arc<Observed>>,
    /// None in memory.
    path: Option<PathBuf>,
    /// Taken when the database goes.
    runtime: Option<tokio::runtime::Runtime>,
    options: DatabaseOptions,
}

impl Database {
    /// Opens the database in `path`, or makes one where nothing is.
    ///
    /// # Errors
    /// 55006 while another process holds it; corrupt, naming the file, for damage; 0A000 for a newer format.
    pub fn open(path: &Path, options: DatabaseOptions) -> Result<Self> {
        let rocks = RocksOptions {
            block_cache_bytes: options.memory_bytes / 4,
            ..RocksOptions::default()
        };
        let store = Store::open(
            path,
            StoreOptions {
                rocks,
                ..StoreOptions::default()
            },
        )?;
        rehearsal::remove_left(path);
        Self::with_store(store, options, Some(path))
    }

    /// A database that lives in memory and ends with the process.
    ///
    /// # Errors
    /// When its threads cannot be started.
    pub fn in_memory(options: DatabaseOptions) -> Result<Self> {
        Self::with_store(Store::in_memory(&StoreOptions::default()), options, None)
    }

    /// `path` is where a database lies that outlives its process.
    fn with_store(store: Store, options: DatabaseOptions, path: Option<&Path>) -> Result<Self> {
        if options.ai_mode.rehearses() {
            return Err(Error::unsupported(format!(
                "the mode {} of the learned parts is not there yet: they observe, and change nothing",
                options.ai_mode
            ))
            .with_hint("Choose off or shadow."));
        }
        let store = Arc::new(store);
        let observed = match options.ai_mode.observes() {
            true => Some(Observed::open(path.map(|path| path.join("observed")).as_deref())),
            false => None,
        };
        let engine_options = EngineOptions {
            memory_bytes: options.memory_bytes / 2,
            partitions: options.threads,
            copy_dir: options.copy_dir.clone(),
            index_dir: path.map(|path| path.join("vectors")),
            observer: observed.clone().map(|observed| observed as Arc<dyn Observer>),
        };
        let engine = aion_sql::Engine::new(store.clone(), engine_options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads)
            .thread_name("aion-query")
            // Plans are walked by recursion, and debug builds have large frames.
            .thread_stack_size(16 << 20)
            .enable_all()
            .build()
            .map_err(|error| Error::io("start the threads of queries", error))?;
        engine.build_in_background(runtime.handle())?;
        if let Some(observed) = &observed {
            observed.save_in_background(runtime.handle());
        }
        Ok(Self {
            store,
            engine,
            observed,
            path: path.map(Path::to_path_buf),
            runtime: Some(runtime),
            options,
        })
    }

    /// A session.
    pub fn session(&self, options: SessionOptions) -> Session {
        Session::new(self.engine.clone(), options)
    }

    /// Waits until the vector indexes are in memory; until then searches compare all rows. Blocks.
    ///
    /// # Errors
    /// When one cannot be built.
    pub fn wait_for_indexes(&self) -> Result<()> {
        self.engine.wait_for_indexes()
    }

    /// The runtime that statements run on.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        self.runtime.as_ref().expect("taken by drop alone").handle()
    }

    /// Bytes that its rows take on disk.
    ///
    /// # Errors
    /// An IO error.
    pub fn size_bytes(&self) -> Result<u64> {
        self.store.disk_bytes()
    }

    /// The choices it was opened with.
    pub fn options(&self) -> &DatabaseOptions {
        &self.options
    }

    /// What was counted since it was opened.
    ///
    /// # Errors
    /// When the end of the log cannot be read.
    pub fn counters(&self) -> Result<DatabaseCounters> {
        DatabaseCounters::of(&self.store, &self.engine, self.observed.as_deref())
    }

    /// Says to whoever finds the data directory locked how to connect.
    ///
    /// # Errors
    /// An IO error.
    pub fn describe(&self, hint: &str) -> Result<()> {
        self.store.describe(hint)
    }

    /// Ends what still runs, finishes what is queued, makes everything durable and releases the directory. Sessions must be
    /// gone. Blocks, and so is not called from a task.
    ///
    /// # Errors
    /// An IO error; what was acknowledged is durable all the same. Internal while a session is still there: then the
    /// directory is released when the last one goes.
    pub fn close(mut self) -> Result<()> {
        self.engine.stop();
        // A result that was dropped may still have tasks, and they hold snapshots: the rows would stay open, and could not be
        // opened again by this process.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(STOP_TIME_MAX);
        }
        if let Some(Err(error)) = self.observed.as_ref().map(|observed| observed.save()) {
            tracing::warn!(%error, "captured statements were not saved: the last minute of them is lost");
        }
        if let Err(error) = self.engine.save_indexes() {
            tracing::warn!(%error, "vector indexes were not saved; they are built again from the rows");
        }
        let store = self.store.clone();
        drop(self);
        match Arc::try_unwrap(store) {
            Ok(store) => store.close(),
            Err(_) => Err(Error::internal(
                "the database was closed while a session was open; it closes with the last",
            )),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Not waited for: the last owner may be a task, which may not block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
