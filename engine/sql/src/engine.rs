//! What all sessions of a database share.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aion_base::clock::SystemClock;
use aion_base::id::TableId;
use aion_base::observation::Observer;
use aion_base::range::KeyRange;
use aion_base::recommendation::Pipeline;
use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::{self, Catalog};
use aion_catalog::stats::TableStatistics;
use aion_security::{Mock, Roles};
use aion_storage::{Direction, Generation, LockOptions, LockTable, Snapshot, Store};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::optimizer::Analyzer;
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;

use crate::activity::Activity;
use crate::advisory;
use crate::nearest::{Followers, SavedGraphs};
use crate::notifications::Notifications;
use crate::planner::Shapes;
use crate::roles::RoleStore;
use crate::sequences::Sequences;
use crate::session::KnownTexts;
use crate::storages::Storages;
use crate::temporary::{self, Temporaries};
use crate::transaction::Transaction;
use crate::{functions, rules};

/// Choices of an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Bytes that all queries together may hold.
    pub memory_bytes: usize,
    /// Threads that one query uses.
    pub partitions: usize,
    /// COPY reads and writes below this directory only, where given.
    pub copy_dir: Option<PathBuf>,
    /// Where vector indexes are kept while the database is closed; None builds them anew each time.
    pub index_dir: Option<PathBuf>,
    /// Who is told what ran; None where nobody wants to know.
    pub observer: Option<Arc<dyn Observer>>,
    /// Who recommends changes, and makes those that are approved.
    pub pipeline: Option<Arc<dyn Pipeline>>,
}

/// What ANALYZE found, by table.
pub(crate) type Statistics = Arc<HashMap<TableId, Arc<TableStatistics>>>;

#[derive(Clone, Debug, Default)]
struct Known {
    catalog: Arc<Catalog>,
    statistics: Statistics,
    /// The catalog's generation in the store, where that is known: who has that generation needs to read nothing.
    generation: Option<Generation>,
}

/// See the module's header.
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) state: SessionState,
    pub(crate) options: EngineOptions,
    pub(crate) shapes: Shapes,
    pub(crate) followers: Arc<Followers>,
    pub(crate) storages: Arc<Storages>,
    pub(crate) temporaries: Arc<Temporaries>,
    pub(crate) sequences: Arc<Sequences>,
    pub(crate) locks: LockTable,
    pub(crate) activity: Arc<Activity>,
    pub(crate) advisory: Arc<advisory::Sessions>,
    pub(crate) roles: Arc<RoleStore>,
    pub(crate) known_texts: KnownTexts,
    pub(crate) notifications: Arc<Notifications>,
    /// The newest catalog that anyone read, and the statistics of its tables.
    catalog: Mutex<Known>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over `store`.
    ///
    /// # Errors
    /// When the functions and rules cannot be set up.
    pub fn new(store: Arc<Store>, options: EngineOptions) -> Result<Arc<Self>> {
        let mut config = SessionConfig::new()
            .with_target_partitions(options.partitions)
            .with_information_schema(false);
        {
            let options = config.options_mut();
            options.sql_parser.parse_float_as_decimal = true;
            options.sql_parser.support_varchar_with_length = true;
            options.sql_parser.map_string_types_to_utf8view = false;
            options.sql_parser.collect_spans = true;
            // Our scans do not take them, and upstream they have given wrong results.
            options.optimizer.enable_dynamic_filter_pushdown = false;
            // A constant that is folded is never NULL, though what it was made of could be: that is no error.
            options.execution.skip_physical_aggregate_schema_check = true;
            options.execution.time_zone = Some("UTC".to_owned());
            options.extensions.insert(rules::RuleOptions::default());
        }
        let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(options.memory_bytes));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(pool)
            .build_arc()
            .map_err(|error| crate::error::translate(error, ""))?;
        let mut rules = functions::early_analyzer_rules();
        rules.extend(Analyzer::new().rules);
        let mut builder = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rules(rules::optimizer_rules())
            .with_analyzer_rules(rules);
        let planners = builder.expr_planners().get_or_insert_default();
        planners.splice(0..0, functions::first_expr_planners());
        let mut state = builder.build();
        for function in functions::scalar_functions() {
            state
                .register_udf(function)
                .map_err(|error| crate::error::translate(error, ""))?;
        }
        let known = state.scalar_functions().clone();
        for function in functions::plain_functions(&|name| known.get(name).cloned()) {
            state
                .register_udf(function)
                .map_err(|error| crate::error::translate(error, ""))?;
        }
        for function in functions::aggregate_functions() {
            state
                .register_udaf(function)
                .map_err(|error| crate::error::translate(error, ""))?;
        }
        for planner in functions::expr_planners() {
            state
                .register_expr_planner(planner)
                .map_err(|error| crate::error::translate(error, ""))?;
        }
        for rule in functions::analyzer_rules() {
            state.add_analyzer_rule(rule);
        }
        let followers = Followers::new(
            &store,
            options.partitions,
            options.index_dir.clone().map(SavedGraphs::new),
        );
        store.watch(&objects::range())?;
        let storages = Storages::new(store.clone());
        Ok(Arc::new(Self {
            temporaries: Arc::new(Temporaries::new(&store, &storages)),
            storages,
            sequences: Arc::new(Sequences::new(store.clone())),
            activity: Arc::default(),
            advisory: Arc::default(),
            locks: LockTable::new(Arc::new(SystemClock::default()), LockOptions::default()),
            roles: Arc::new(RoleStore::new(store.clone())?),
            store,
            state,
            options,
            shapes: Shapes::default(),
            followers,
            known_texts: KnownTexts::default(),
            notifications: Arc::default(),
            catalog: Mutex::default(),
        }))
    }

    /// A transaction that sees everything acknowledged before its first statement, and knows which generation of the catalog that is
    /// unless the catalog is changed at that moment.
    pub(crate) fn begin(&self, may_write: bool) -> Transaction {
        Transaction::begin(self.store.clone(), may_write)
    }

    /// The catalog as a transaction sees it that has not changed it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn catalog_of(&self, transaction: &Transaction) -> Result<Arc<Catalog>> {
        let Some(generation) = transaction.generation()? else {
            return self.catalog_at(&*transaction.snapshot()?);
        };
        {
            let known = self.catalog.lock();
            if known.generation == Some(generation) {
                return Ok(known.catalog.clone());
            }
        }
        let catalog = self.catalog_at(&*transaction.snapshot()?)?;
        let mut known = self.catalog.lock();
        if known.catalog.version() == catalog.version() {
            known.generation = Some(generation);
        }
        Ok(catalog)
    }

    /// The roles as they are now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn roles(&self) -> Result<Arc<Roles>> {
        self.roles.now()
    }

    /// What makes verifiers for those who have no password.
    ///
    /// # Errors
    /// When its secret cannot be read.
    pub fn mock(&self) -> Result<Mock> {
        self.roles.mock()
    }

    /// Bytes that running queries have reserved.
    pub fn memory_reserved_bytes(&self) -> usize {
        self.state.runtime_env().memory_pool.reserved()
    }

    /// Bytes that all queries together may reserve.
    pub fn memory_bytes_max(&self) -> usize {
        self.options.memory_bytes
    }

    /// The catalog as `snapshot` sees it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn catalog_at(&self, snapshot: &dyn Snapshot) -> Result<Arc<Catalog>> {
        let mut value = Vec::new();
        let found = snapshot.get(&objects::version_key(), &mut value)?;
        let version = objects::read_version(found.map(|_| value.as_slice()))?;
        let known = self.catalog.lock().catalog.clone();
        if known.version() == version {
            return Ok(known);
        }
        let mut entries = Vec::new();
        let mut scan = snapshot.scan(&objects::range(), Direction::Forward);
        while scan.advance()? {
            entries.push((scan.key().to_vec(), scan.value().to_vec()));
        }
        let read = Arc::new(Catalog::read(entries)?);
        let statistics = read_statistics(snapshot, &read)?;
        let mut newest = self.catalog.lock();
        if read.version() > newest.catalog.version() {
            *newest = Known {
                catalog: read.clone(),
                statistics,
                generation: None,
            };
            self.followers.meet(&read);
        }
        Ok(read)
    }

    /// What the newest ANALYZE of each table found. It only steers plans, so it need not be of any snapshot.
    pub(crate) fn statistics(&self) -> Statistics {
        self.catalog.lock().statistics.clone()
    }

    /// What the newest ANALYZE of a table found.
    pub fn statistics_of(&self, table: TableId) -> Option<Arc<TableStatistics>> {
        self.catalog.lock().statistics.get(&table).cloned()
    }

    /// Lets the vector indexes catch up with the commits, and clears away what was dropped, on a thread that may block. Nothing waits
    /// for it.
    pub(crate) fn maintain(&self) {
        if !self.followers.has_work() && !self.storages.has_work() && !self.temporaries.has_work() {
            return;
        }
        drop(self.work(&tokio::runtime::Handle::current()));
    }

    /// Takes up what the process before left: takes away the indexes that it had not filled and its temporary tables, and lets `runtime` build the vector indexes;
    /// until they are there, searches compare all rows. Before the first session.
    ///
    /// # Errors
    /// When the catalog cannot be read, or not written.
    pub fn take_up(&self, runtime: &tokio::runtime::Handle) -> Result<()> {
        let count = crate::session::take_away_unfinished(self)?;
        if count > 0 {
            tracing::warn!(
                count,
                "indexes whose CREATE INDEX was cut off were taken away: create them again"
            );
        }
        self.temporaries.drop_left()?;
        self.catalog_at(&*self.store.snapshot())?;
        drop(self.work(runtime));
        Ok(())
    }

    /// Builds the vector indexes of the newest catalog.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn build_indexes(&self) -> Result<()> {
        self.catalog_at(&*self.store.snapshot())?;
        self.work(&tokio::runtime::Handle::current())
            .await
            .map_err(|error| Error::internal(format!("building a vector index panicked: {error}")))?
    }

    fn work(&self, runtime: &tokio::runtime::Handle) -> tokio::task::JoinHandle<Result<()>> {
        let (followers, storages) = (self.followers.clone(), self.storages.clone());
        let temporaries = self.temporaries.clone();
        runtime.spawn_blocking(move || {
            temporary::drop_ended(&temporaries);
            if let Err(error) = storages.sweep()
                && error.state() != SqlState::ADMIN_SHUTDOWN
            {
                tracing::warn!(%error, "what was dropped could not be cleared away yet");
            }
            followers.work().inspect_err(|error| {
                // A build that the end of the database cut short is no news.
                if error.state() == SqlState::ADMIN_SHUTDOWN {
                    return;
                }
                tracing::warn!(%error, "a vector index could not follow the commits; searches compare all rows");
            })
        })
    }

    /// Builds the vector indexes that are not there yet, or waits for whoever does. Blocks.
    ///
    /// # Errors
    /// When one cannot be built.
    pub fn wait_for_indexes(&self) -> Result<()> {
        self.followers.work()
    }

    /// Writes the vector indexes into their files, for the next process. Nothing is committed any more, and [`Engine::stop`] was
    /// called.
    ///
    /// # Errors
    /// An IO error: what has no file is built again.
    pub fn save_indexes(&self) -> Result<()> {
        // Whoever closed in order leaves no gap; one that cannot be avoided is allowed.
        if let Err(error) = self.sequences.put_back() {
            tracing::warn!(%error, "numbers that sequences had ready are left out");
        }
        // An index that was dropped last may not have been missed yet.
        self.catalog_at(&*self.store.snapshot())?;
        self.followers.save()
    }

    /// Vector indexes that were read from their files, and not built, since the database was opened.
    pub fn indexes_restored(&self) -> u64 {
        self.followers.restored()
    }

    /// Ends what runs in the background, and waits for its end.
    pub fn stop(&self) {
        self.storages.stop();
        self.followers.stop();
    }

    /// The catalog as a transaction that changed it sees it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn catalog_in(&self, transaction: &Transaction) -> Result<Arc<Catalog>> {
        // Whoever changes the catalog changes its version; ranges that are retired meanwhile are nobody's concern.
        transaction.rely_on(&KeyRange::point(&objects::version_key()));
        let mut entries = Vec::new();
        let mut scan = transaction.glance(&objects::range(), Direction::Forward)?;
        while scan.advance()? {
            entries.push((scan.key().to_vec(), scan.value().to_vec()));
        }
        Catalog::read(entries).map(Arc::new)
    }

    /// The path that COPY may read.
    ///
    /// # Errors
    /// 42501 outside of `copy_dir`, 42602 for a relative path, 58P01 for a missing file.
    pub(crate) fn copy_path(&self, path: &str) -> Result<PathBuf> {
        let path = absolute(path)?;
        match &self.options.copy_dir {
            // Resolved, so that neither `..` nor a link leads out.
            Some(allowed) => below(allowed, path, resolve(path)?),
            None => Ok(path.to_path_buf()),
        }
    }

    /// The path that COPY may write. The file need not exist; its directory must.
    ///
    /// # Errors
    /// As [`Engine::copy_path`].
    pub(crate) fn copy_path_to(&self, path: &str) -> Result<PathBuf> {
        let path = absolute(path)?;
        let Some(allowed) = &self.options.copy_dir else {
            return Ok(path.to_path_buf());
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::invalid(
                SqlState::INVALID_NAME,
                format!("\"{}\" names no file", path.display()),
            ));
        };
        // A link by that name is replaced and not followed, so its directory alone is resolved.
        below(allowed, path, resolve(parent)?.join(name))
    }
}

/// The statistics of the tables of a catalog.
fn read_statistics(snapshot: &dyn Snapshot, catalog: &Catalog) -> Result<Statistics> {
    let mut found = HashMap::new();
    let mut value = Vec::new();
    for table in catalog.tables() {
        if snapshot.get(&TableStatistics::key(table.id), &mut value)?.is_some() {
            found.insert(table.id, Arc::new(TableStatistics::decode(&value)?));
        }
    }
    Ok(Arc::new(found))
}

fn absolute(path: &str) -> Result<&Path> {
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(Error::invalid(
        SqlState::INVALID_NAME,
        format!("relative path not allowed for COPY: {}", path.display()),
    ))
}

fn resolve(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(|error| Error::io(format_args!("find file \"{}\"", path.display()), error))
}

fn below(allowed: &Path, path: &Path, resolved: PathBuf) -> Result<PathBuf> {
    if resolved.starts_with(allowed) {
        return Ok(resolved);
    }
    Err(Error::denied(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!(
            "COPY may not use {}: files lie below {}",
            path.display(),
            allowed.display()
        ),
    ))
}
