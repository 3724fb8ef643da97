//! Temporary schemas: what is in them is one session's, and ends with it.
//!
//! **Vocabulary.** A session that makes its first temporary object gets a schema of its own, `pg_temp_` and a number. It is in the catalog like any other,
//! and so are its tables: their rows are written, read, locked and checked as all rows are, and pay for that.
//!
//! **Guarantees.** When the session ends its schema is dropped in the background. Whatever a process leaves is dropped by the next one before its first
//! session, so a number belongs to one session at a time.
//!
//! What a name without a schema stands for, and what becomes of rows at the end of a transaction: [`crate::session`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aion_base::{Result, SqlState};
use aion_catalog::objects::{self, Catalog, TEMPORARY_PREFIX, is_temporary};
use aion_storage::{Direction, Outcome, Replicator, Store};
use parking_lot::Mutex;

use crate::engine::Engine;
use crate::session::drop_schemas_whole;
use crate::storages::Storages;
use crate::transaction::Transaction;

/// How often dropping is tried again where others change the catalog.
const ATTEMPTS_MAX: usize = 20;

/// The temporary schemas of an engine.
#[derive(Debug)]
pub(crate) struct Temporaries {
    store: Arc<Store>,
    storages: Arc<Storages>,
    last: AtomicU32,
    /// Of sessions that are over.
    ended: Mutex<Vec<String>>,
    dropping: Mutex<()>,
}

impl Temporaries {
    pub fn new(store: &Arc<Store>, storages: &Arc<Storages>) -> Self {
        Self {
            store: store.clone(),
            storages: storages.clone(),
            last: AtomicU32::new(0),
            ended: Mutex::default(),
            dropping: Mutex::default(),
        }
    }

    pub fn has_work(&self) -> bool {
        !self.ended.lock().is_empty()
    }

    /// Drops the schemas of sessions that are over. Waits for a commit.
    ///
    /// # Errors
    /// As a commit; what was not dropped is dropped the next time.
    pub fn drop_ended(&self) -> Result<()> {
        let _one = self.dropping.lock();
        let ended = std::mem::take(&mut *self.ended.lock());
        if ended.is_empty() {
            return Ok(());
        }
        let dropped = self.drop_those(&|schema| ended.iter().any(|ended| ended == schema));
        dropped.inspect_err(|_| self.ended.lock().extend(ended.iter().cloned()))
    }

    /// Drops what the process before left. Before the first session.
    ///
    /// # Errors
    /// As a commit.
    pub fn drop_left(&self) -> Result<()> {
        self.drop_those(&is_temporary)
    }

    fn drop_those(&self, is_going: &dyn Fn(&str) -> bool) -> Result<()> {
        let mut attempts = 0;
        loop {
            let transaction = Transaction::begin(self.store.clone(), true);
            let catalog = catalog_in(&transaction)?;
            let going = catalog.schemas().filter(|schema| is_going(schema));
            let going: Vec<String> = going.map(str::to_owned).collect();
            drop_schemas_whole(&going, &catalog, &transaction)?;
            let Some(commit) = transaction.take_commit() else {
                return Ok(());
            };
            match self.store.propose(commit)?.wait()? {
                Outcome::Committed { .. } => {
                    self.storages.note_retired();
                    return Ok(());
                }
                Outcome::Rejected(rejection) if attempts == ATTEMPTS_MAX => return Err(rejection.into()),
                Outcome::Rejected(_) => attempts += 1,
            }
        }
    }
}

fn catalog_in(transaction: &Transaction) -> Result<Catalog> {
    let mut entries = Vec::new();
    let mut scan = transaction.scan(&objects::range(), Direction::Forward)?;
    while scan.advance()? {
        entries.push((scan.key().to_vec(), scan.value().to_vec()));
    }
    Catalog::read(entries)
}

/// The schema of one session.
#[derive(Debug)]
pub(crate) struct TemporarySchema {
    name: String,
    engine: Arc<Engine>,
}

impl TemporarySchema {
    /// One that no session has.
    pub fn new(engine: &Arc<Engine>) -> Self {
        let number = engine.temporaries.last.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            name: format!("{TEMPORARY_PREFIX}{number}"),
            engine: engine.clone(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TemporarySchema {
    fn drop(&mut self) {
        self.engine
            .temporaries
            .ended
            .lock()
            .push(std::mem::take(&mut self.name));
        // Without a runtime the next commit sees to it, or the next process.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.engine.maintain();
        }
    }
}

/// Drops what is to be dropped, for a thread that may block.
pub(crate) fn drop_ended(temporaries: &Temporaries) {
    if let Err(error) = temporaries.drop_ended()
        && error.state() != SqlState::ADMIN_SHUTDOWN
    {
        tracing::warn!(%error, "temporary tables of sessions that are over could not be dropped yet");
    }
}
