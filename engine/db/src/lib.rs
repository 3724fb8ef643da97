//! The composition root: a database is opened here, and everything below is put together.
//!
//! A [`Database`] owns the store, the SQL engine over it, and the runtime that queries run on. Sessions come from
//! [`Database::session`]; every edge and the embedded API use the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aion_base::id::{IndexId, TableId};
use aion_base::range::KeyRange;
use aion_base::recommendation::{Asked, DecisionRow, Pipeline as _, Recommendation};
use aion_base::{Error, Result};
use aion_catalog::keys::ROWS;
use aion_security::{Mock, Roles};
use aion_storage::{Direction, Store, StoreOptions};

pub use aion_base::recommendation;
pub use aion_shadow::state::Mode;
pub use aion_sql::{
    Cancellation, Canceller, Cells, Column, CopyDirection, CopyIn, CopyLines, CopyOut, Effect, EngineOptions,
    LOG_TARGET, LineWriter, ListCells, LocalTable, NESTING_MAX, Named, NamedStatement, Notification, Origin, Prepared,
    Response, ResultType, Rows, SERVER_VERSION, STATEMENTS_MAX, Session, SessionOptions, Statement, TEXT_BYTES_MAX,
    TransactionStatus, Verb, WRITE_SET_BYTES_MAX, backup_extras, canonical, interval_of, quoted, split_name,
};
pub use aion_sql::{binary, kv};
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
    /// What the learned parts may do; None takes what the database has stored, which is shadow by default.
    pub ai_mode: Option<Mode>,
    /// How the learned parts work.
    pub learning: LearningOptions,
    /// Who is told of the steps of the pipeline.
    pub on_step: Option<StepWatcher>,
}

/// Is told of each step of the pipeline, with the recommendation's id, before the next one.
#[derive(Clone)]
pub struct StepWatcher(pub Arc<dyn Fn(u64, Step) + Send + Sync>);

impl std::fmt::Debug for StepWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StepWatcher")
    }
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            memory_bytes: memory::available_bytes() / 2,
            threads,
            copy_dir: None,
            ai_mode: None,
            learning: LearningOptions::default(),
            on_step: None,
        }
    }
}

mod advise;
mod counters;
mod knobs;
mod memory;
mod observed;
mod pipeline;
pub mod rehearsal;
mod text;

pub(crate) use advise::index_name;
pub use advise::{Advice, IndexAdvice};
pub use aion_optimizer_core::advisor::Limits as AdviceLimits;
pub use counters::DatabaseCounters;
use observed::Observed;
use pipeline::Pipeline;
pub use pipeline::{Cycle, LearningOptions, Progress, Step, Verified};

/// How long closing waits for tasks to end; they look at their cancellation between batches.
const STOP_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// An open database.
#[derive(Debug)]
pub struct Database {
    store: Arc<Store>,
    engine: Arc<aion_sql::Engine>,
    pipeline: Arc<Pipeline>,
    /// Taken when the database goes.
    runtime: Option<tokio::runtime::Runtime>,
    options: DatabaseOptions,
}

/// What the learned parts work with: the database without what ends it.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    store: Arc<Store>,
    engine: Arc<aion_sql::Engine>,
    /// None where nothing was ever observed.
    observed: Option<Arc<Observed>>,
    /// None in memory.
    path: Option<PathBuf>,
    runtime: tokio::runtime::Handle,
    options: DatabaseOptions,
}

impl Parts {
    fn session(&self, options: SessionOptions) -> Session {
        Session::new(self.engine.clone(), options)
    }
}

impl Database {
    /// Opens the database in `path`, or makes one where nothing is.
    ///
    /// # Errors
    /// 55006 while another process holds it; corrupt, naming the file, for damage; 0A000 for a newer format.
    pub fn open(path: &Path, options: DatabaseOptions) -> Result<Self> {
        let rocks = knobs::rocks_options(options.memory_bytes);
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
        let store = Arc::new(store);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads)
            .thread_name("aion-query")
            // Plans are walked by recursion, and debug builds have large frames.
            .thread_stack_size(16 << 20)
            .enable_all()
            .build()
            .map_err(|error| Error::io("start the threads of queries", error))?;
        let path = path.map(Path::to_path_buf);
        let pipeline = Pipeline::open(store.clone(), path.clone(), &options, runtime.handle().clone())?;
        let engine_options = EngineOptions {
            memory_bytes: options.memory_bytes / 2,
            partitions: options.threads,
            copy_dir: options.copy_dir.clone(),
            index_dir: path.map(|path| path.join("vectors")),
            observer: Some(pipeline.clone()),
            pipeline: Some(pipeline.clone()),
        };
        let engine = aion_sql::Engine::new(store.clone(), engine_options)?;
        engine.take_up(runtime.handle())?;
        pipeline.begin_with(&engine)?;
        Ok(Self {
            store,
            engine,
            pipeline,
            runtime: Some(runtime),
            options,
        })
    }

    /// A session.
    pub fn session(&self, options: SessionOptions) -> Session {
        Session::new(self.engine.clone(), options)
    }

    /// Its keys and values, for all requests of an edge.
    pub fn kv(&self) -> Arc<kv::Kv> {
        kv::Kv::new(self.engine.clone())
    }

    /// The roles as they are now: who may log in, and how.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn roles(&self) -> Result<Arc<Roles>> {
        self.engine.roles()
    }

    /// What makes verifiers for those who have no password, so that a login does not tell who has one.
    ///
    /// # Errors
    /// When its secret cannot be read.
    pub fn mock(&self) -> Result<Mock> {
        self.engine.mock()
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

    /// About how many bytes an index takes on disk.
    ///
    /// # Errors
    /// An IO error.
    pub(crate) fn index_bytes(&self, table: TableId, index: IndexId) -> Result<u64> {
        self.store.disk_bytes_of(&KeyRange::index(table, index))
    }

    /// Bytes of keys and values of the first rows of a table.
    ///
    /// # Errors
    /// An IO error.
    pub(crate) fn bytes_of_first_rows(&self, table: TableId, count: usize) -> Result<u64> {
        let snapshot = self.store.snapshot();
        let mut rows = snapshot.scan(&KeyRange::index(table, ROWS), Direction::Forward);
        let mut bytes = 0;
        for _ in 0..count {
            if !rows.advance()? {
                break;
            }
            bytes += rows.key().len() + rows.value().len();
        }
        Ok(bytes as u64)
    }

    /// Makes the rows durable in their files.
    ///
    /// # Errors
    /// An IO error.
    pub(crate) fn flush(&self) -> Result<()> {
        self.store.flush()
    }

    /// Bytes that were appended to the log since it was opened.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.store
            .counters()
            .log_bytes
            .load(std::sync::atomic::Ordering::Relaxed)
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
        DatabaseCounters::of(&self.store, &self.engine, &self.pipeline)
    }

    /// What the learned parts may do now.
    pub fn ai_mode(&self) -> Mode {
        self.pipeline.current_mode()
    }

    /// Looks for indexes that would pay for the statements that ran, by estimate; nothing is run and nothing is changed. Blocks, and so
    /// is not called from a task.
    ///
    /// # Errors
    /// 55000 where statements are not observed; what the planner answers.
    pub fn advise(&self, limits: &AdviceLimits) -> Result<Advice> {
        self.pipeline.advise(limits)
    }

    /// What is recommended, by id; the evidence of each only where it is asked for.
    ///
    /// # Errors
    /// When the evidence cannot be read.
    pub fn recommendations(&self, with_evidence: bool) -> Result<Vec<Recommendation>> {
        self.pipeline.recommendations(with_evidence)
    }

    /// The ledger, by sequence.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn decisions(&self) -> Result<Vec<DecisionRow>> {
        self.pipeline.decisions()
    }

    /// Does what a person asks for; the id of the recommendation. Blocks, for minutes where something is rehearsed, and so is not called
    /// from a task.
    ///
    /// # Errors
    /// Those of [`aion_base::recommendation::Pipeline::ask`].
    pub fn ask(&self, asked: &Asked, progress: &Progress<'_>) -> Result<u64> {
        self.pipeline.ask_with(asked, progress)
    }

    /// Tries a command on clones with the statements that ran, and makes no recommendation of it: [`Database::ask`] does. `record` is
    /// told of each measured execution. Blocks, and so is not called from a task.
    ///
    /// # Errors
    /// 0A000 for another command than CREATE INDEX, DROP INDEX and ANALYZE, or a database in memory; 55000 where nothing is known of
    /// the workload; what the command or the clones answer.
    pub fn rehearse(
        &self,
        command: &str,
        options: &rehearsal::RehearsalOptions,
        record: &mut dyn FnMut(&rehearsal::SampleLine),
    ) -> Result<rehearsal::Rehearsed> {
        self.pipeline.try_out(command, options, record)
    }

    /// One round of the pipeline, now: propose what would pay by estimate, rehearse what is proposed, and in mode auto approve. Blocks.
    ///
    /// # Errors
    /// 57014 when it is cancelled, 55000 where the mode does not rehearse, and what the advisor answers.
    pub fn learn(&self, progress: &Progress<'_>) -> Result<Cycle> {
        self.pipeline.learn(progress)
    }

    /// Looks at the workload and proposes what would pay by estimate; the new ids. Nothing is rehearsed. Blocks.
    ///
    /// # Errors
    /// 55000 where the mode does not rehearse, and what the advisor answers.
    pub fn propose(&self) -> Result<Vec<u64>> {
        self.pipeline.look_now()
    }

    /// Trains a cardinality model of the operators that ran, now, and lets it predict in shadow; its version. None in memory, where no model
    /// is kept. Blocks.
    ///
    /// # Errors
    /// 55000 where too little ran; an IO error.
    pub fn train_model(&self) -> Result<Option<u64>> {
        self.pipeline.train()
    }

    /// Takes a model file and its manifest from elsewhere into shadow; its version.
    ///
    /// # Errors
    /// Corrupt or Invalid for what is no model of ours, 0A000 in memory.
    pub fn accept_model(&self, file: &[u8], manifest: &[u8]) -> Result<u64> {
        self.pipeline.accept_model(file, manifest)
    }

    /// What the model in shadow and the planner predicted, and what came.
    pub fn model_samples(&self) -> Vec<aion_shadow::contest::Sample> {
        self.pipeline.model_samples()
    }

    /// Puts a command into the pipeline that is not the advisor's and not a person's: `origin` says whose it is. It is rehearsed when its
    /// turn comes.
    ///
    /// # Errors
    /// 0A000 for a command that cannot be rehearsed, 55000 where the mode does not rehearse.
    pub fn plant(&self, command: &str, origin: &str, reason: &str) -> Result<u64> {
        self.pipeline.plant(command, origin, reason)
    }

    /// Checks the ledger: that its chain is whole, and that each verdict follows from its evidence.
    ///
    /// # Errors
    /// Corrupt, naming the first record that is wrong.
    pub fn verify_ledger(&self) -> Result<Verified> {
        self.pipeline.verify()
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
        self.pipeline.stop(true);
        self.engine.stop();
        // A result that was dropped may still have tasks, and they hold snapshots: the rows would stay open, and could not be
        // opened again by this process.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(STOP_TIME_MAX);
        }
        self.pipeline.save();
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
        self.pipeline.stop(false);
        // Not waited for: the last owner may be a task, which may not block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
