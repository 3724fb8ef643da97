//! The open databases of this process.
//!
//! A directory is opened once per process, and its connections share what is open: the second `connect` to it finds it here. The
//! last connection that goes closes it, while the list is locked, so that a `connect` at the same moment waits and
//! opens it anew. Each in-memory database has one connection.
//!
//! **Forks.** A child of `fork` has this list and none of the threads, neither ours nor RocksDB's, so it can use
//! nothing of it and open nothing new. It is refused everything.
//!
//! **The end.** [`close_all`] runs when the interpreter ends, before its threads do: it ends what runs and closes what is open.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use aion_db::Database;
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::config::Config;
use crate::connection::Open;
use crate::{errors, task};

/// The path of a database that lives in memory.
pub const MEMORY: &str = ":memory:";

/// The file that every data directory has.
const FORMAT_FILE: &str = "FORMAT";

/// How long the end of the interpreter waits for one connection's statement to end.
const END_WAIT: Duration = Duration::from_secs(10);

/// What whoever finds the directory locked is told.
const IN_USE_HINT: &str =
    "A Python program has it open: end that, or serve the directory with `aion serve` and connect there with psql.";

/// An open database.
pub struct Shared {
    database: Database,
    config: Config,
    /// None in memory.
    path: Option<PathBuf>,
}

#[derive(Default)]
struct Registry {
    by_path: HashMap<PathBuf, Weak<Shared>>,
    connections: Vec<Weak<Open>>,
}

impl Registry {
    fn find(&self, path: &Path) -> Option<Arc<Shared>> {
        let path = path.canonicalize().ok()?;
        self.by_path.get(&path)?.upgrade()
    }
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

/// The process that opened the first database; 0 before.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Whether this process is the fork of one that had opened a database.
pub fn is_forked() -> bool {
    let opener = PROCESS.load(Ordering::Acquire);
    opener != 0 && opener != std::process::id()
}

/// Refuses a forked child.
///
/// # Errors
/// InterfaceError.
pub fn check_process(py: Python<'_>) -> PyResult<()> {
    if !is_forked() {
        return Ok(());
    }
    let opener = PROCESS.load(Ordering::Acquire);
    let message = format!(
        "aiondb was opened in process {opener}, and its threads did not survive the fork into process {}: \
         start workers with the method \"spawn\", or before the first connect",
        std::process::id()
    );
    Err(errors::interface(py, &message))
}

impl Shared {
    /// The open database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Opens a database, or finds it open.
    ///
    /// # Errors
    /// As [`Database::open`]; 58P01 where `is_read_only` and there is none; 55000 where it is open with another config.
    pub fn open(path: &Path, config: &Config, is_read_only: bool) -> Result<Arc<Self>> {
        if path.as_os_str().is_empty() {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                "the path is empty; a database in memory is \":memory:\"",
            ));
        }
        if path == Path::new(MEMORY) {
            let database = Database::in_memory(config.options())?;
            return Ok(Arc::new(Self::new(database, config, None)));
        }
        if is_read_only && !path.join(FORMAT_FILE).exists() {
            let message = format!("there is no database in {}", path.display());
            return Err(Error::not_found(SqlState::UNDEFINED_FILE, message)
                .with_hint("read_only opens a database that is there and makes none."));
        }
        let mut registry = REGISTRY.lock();
        if let Some(open) = registry.find(path) {
            return open.shared_with(config);
        }
        let database = match Database::open(path, config.options()) {
            Ok(database) => database,
            // A path such as `new/../data` names the directory only once `new` was made.
            Err(error) => match registry.find(path) {
                Some(open) => return open.shared_with(config),
                None => return Err(error),
            },
        };
        database.describe(IN_USE_HINT)?;
        let path = path
            .canonicalize()
            .map_err(|error| Error::io(format_args!("find {}", path.display()), error))?;
        let shared = Arc::new(Self::new(database, config, Some(path.clone())));
        registry.by_path.retain(|_, open| open.strong_count() > 0);
        registry.by_path.insert(path, Arc::downgrade(&shared));
        Ok(shared)
    }

    /// For one more connection, if what it asks for is what is open.
    fn shared_with(self: Arc<Self>, config: &Config) -> Result<Arc<Self>> {
        if config.agrees_with(&self.config) {
            return Ok(self);
        }
        let path = self.path.as_deref().unwrap_or_else(|| Path::new(MEMORY));
        Err(Error::invalid(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("{} is open in this process with another config", path.display()),
        )
        .with_hint("Connections of one process share a database: leave config out, or close the others first."))
    }

    fn new(database: Database, config: &Config, path: Option<PathBuf>) -> Self {
        // Whoever comes first names the process; a fork never comes here.
        let _ = PROCESS.compare_exchange(0, std::process::id(), Ordering::AcqRel, Ordering::Acquire);
        Self {
            database,
            config: config.clone(),
            path,
        }
    }

    /// Lets go of a database, and closes it with the last that does.
    ///
    /// # Errors
    /// An IO error; what was acknowledged is durable all the same.
    pub fn release(self: Arc<Self>) -> Result<()> {
        let mut registry = REGISTRY.lock();
        let Some(last) = Arc::into_inner(self) else {
            return Ok(());
        };
        if let Some(path) = &last.path {
            registry.by_path.remove(path);
        }
        last.database.close()
    }
}

/// Remembers a connection for [`close_all`].
pub fn remember(open: &Arc<Open>) {
    let mut registry = REGISTRY.lock();
    registry.connections.retain(|open| open.strong_count() > 0);
    registry.connections.push(Arc::downgrade(open));
}

/// Closes every connection; called when the interpreter ends.
///
/// Running statements are cancelled. One that does not end within ten seconds is left behind: what was acknowledged is durable.
#[pyfunction]
pub fn close_all(py: Python<'_>) -> PyResult<()> {
    if is_forked() {
        return Ok(());
    }
    let open: Vec<Arc<Open>> = {
        let mut registry = REGISTRY.lock();
        registry
            .connections
            .drain(..)
            .filter_map(|open| open.upgrade())
            .collect()
    };
    for open in open {
        let handle = open.handle();
        let closing = open.clone();
        let ended = task::wait(
            py,
            &handle,
            async move { tokio::time::timeout(END_WAIT, closing.end()).await.is_ok() },
            || false,
        )?;
        if ended {
            py.detach(|| open.release())
                .map_err(|error| errors::raised(py, &error))?;
        }
    }
    Ok(())
}
