//! Keys and values: rows of tables of one shape, read and written without a statement.
//!
//! **Vocabulary.** A *namespace* is an ordinary table of the schema `kv`, made as
//! `CREATE TABLE kv.name (key bytea PRIMARY KEY, value bytea NOT NULL)`. An *operation* is about one key of a namespace; a *batch* of
//! operations is one transaction. An operation is *unmet* when it compared a value and found another one. A batch is *blind* when it
//! only puts: it reads nothing. A *page* is a part of a scan, of one snapshot.
//!
//! **Guarantees.**
//! - What SQL sees and what is seen here is the same: the rows, the row locks, the transactions, and the log are. A batch is serializable with
//!   all other batches and with SQL's serializable transactions.
//! - A batch is done whole or not at all. An unmet operation is an answer: it says what was found, and nothing was done.
//! - A batch that lost a race against another transaction is run again, at most [`ATTEMPTS_MAX`] times; then it is 40001.
//! - Secondary indexes are kept. A table that demands more of its rows (CHECK, a foreign key of it or to it, further columns) is not
//!   written here: 0A000, or 42809 where it has another shape altogether.
//! - Whoever has the timestamp of an answer, and gives it as `after`, sees at least what that answer saw or did, on every connection. A
//!   timestamp that the database has not come to is waited for until the batch's time is over: 55000.
//!
//! **How a batch runs.**
//! 1. Its namespaces are looked up in the newest catalog, which is known unless it has just been changed.
//! 2. The rows that it writes are locked, in the order of their keys: batches never wait for each other in a circle.
//! 3. The view is taken, and the operations run in order; each sees those before it.
//! 4. The commit demands that the namespaces' descriptors are as they were seen. A blind batch demands nothing else: the order of the log
//!    is a serial order for it. Any other is serializable, and what it read must be unchanged.
//!
//! [`Kv::enqueue`] hands a blind batch to the log without waiting for it, so that one client may have many on their way: they take
//! effect in the order in which they were enqueued.
//!
//! **Left out.** Expiry of keys, watching them, old versions, blind deletes (a delete says whether there was something).

mod batch;
mod namespace;
mod run;
mod scan;

use std::sync::Arc;
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use aion_storage::{Outcome as Decided, Replicator, Ticket};

pub use batch::{
    Answer, BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, Batch, KEY_BYTES_MAX, Operation, Outcome, Unmet, VALUE_BYTES_MAX,
    What,
};
pub use namespace::SCHEMA;
pub use scan::{PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page, Scan};

use crate::cancel::Cancellation;
use crate::engine::Engine;
use crate::transaction::Transaction;
use namespace::Namespaces;
use run::Begun;

/// How often a batch is run in all when it loses against other transactions.
pub const ATTEMPTS_MAX: usize = 20;
/// Time that a batch, or a read, may wait for locks and for what it is to see.
pub const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether the database has come to a timestamp.
const AFTER_PAUSE: Duration = Duration::from_millis(2);

/// See the module's header. One for all requests of an edge.
#[derive(Debug)]
pub struct Kv {
    engine: Arc<Engine>,
    namespaces: Namespaces,
    /// Who waits for locks, as others see it.
    label: Arc<str>,
    clock: SystemClock,
}

/// When the time of a request is over, by the clock of [`Kv`].
#[derive(Clone, Copy, Debug)]
struct Deadline(Duration);

/// A batch on its way to the log. Dropping it does not take it back.
#[derive(Debug)]
#[must_use = "a batch is done only once this says so"]
pub struct Enqueued {
    engine: Arc<Engine>,
    begun: Begun,
    ticket: Option<Ticket>,
}

impl Kv {
    /// The keys and values of a database.
    pub fn new(engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            namespaces: Namespaces::default(),
            label: SCHEMA.into(),
            clock: SystemClock::default(),
        })
    }

    /// Runs a batch to its end.
    ///
    /// # Errors
    /// 54000 beyond a limit, 42P01 and 42809 for a namespace that is none, 0A000 for one that is not written here, 23505 for an index,
    /// 40001, 40P01, 55P03, 55000 for a timestamp that was not seen, 57014 when it is cancelled.
    pub async fn apply(&self, batch: &Batch, cancellation: &Cancellation) -> Result<Outcome> {
        batch.check()?;
        let deadline = self.deadline(batch.wait.unwrap_or(WAIT_MAX));
        self.see(batch.after, deadline, cancellation).await?;
        let mut last = None;
        for _ in 0..ATTEMPTS_MAX {
            if cancellation.is_cancelled() {
                return Err(cancellation.error());
            }
            let attempt = match self.begin(batch, deadline, cancellation).await {
                Ok(Some(begun)) => self.propose(begun, true)?.finish().await,
                // The catalog was changed between two looks.
                Ok(None) => Err(overtaken()),
                Err(error) => Err(error),
            };
            match attempt {
                Err(error) if is_worth_another(&error) => last = Some(error),
                ended => return ended,
            }
            tokio::task::yield_now().await;
        }
        Err(last.unwrap_or_else(overtaken))
    }

    /// Hands a blind batch to the log, behind those that were enqueued before, and does not wait for it. None for any other batch: that is
    /// [`Kv::apply`]'s.
    ///
    /// # Errors
    /// As [`Kv::apply`].
    pub async fn enqueue(&self, batch: &Batch, cancellation: &Cancellation) -> Result<Option<Enqueued>> {
        batch.check()?;
        if !batch.is_blind() || batch.after != Timestamp(0) || !self.are_plain(batch)? {
            return Ok(None);
        }
        let deadline = self.deadline(batch.wait.unwrap_or(WAIT_MAX));
        match self.begin(batch, deadline, cancellation).await? {
            Some(begun) if begun.is_blind() => self.propose(begun, false).map(Some),
            _ => Ok(None),
        }
    }

    fn deadline(&self, wait: Duration) -> Deadline {
        Deadline(self.clock.monotonic() + wait.min(WAIT_MAX))
    }

    fn left(&self, deadline: Deadline) -> Duration {
        deadline.0.saturating_sub(self.clock.monotonic())
    }

    fn propose(&self, begun: Begun, is_waiting: bool) -> Result<Enqueued> {
        let commit = begun.take_commit();
        let store = &self.engine.store;
        let ticket = commit.map(|commit| match is_waiting {
            true => store.propose_and_wait(commit),
            false => store.propose(commit),
        });
        let ticket = ticket.transpose()?;
        Ok(Enqueued {
            engine: self.engine.clone(),
            begun,
            ticket,
        })
    }

    /// Returns once what is read sees the commit with this timestamp.
    async fn see(&self, after: Timestamp, deadline: Deadline, cancellation: &Cancellation) -> Result<()> {
        if after == Timestamp(0) {
            return Ok(());
        }
        loop {
            let seen = self.engine.store.snapshot().read_point()?.timestamp;
            if seen >= after {
                return Ok(());
            }
            if cancellation.is_cancelled() {
                return Err(cancellation.error());
            }
            if self.left(deadline).is_zero() {
                return Err(Error::unavailable(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("the database has not come to the timestamp {after}: it is at {seen}"),
                )
                .with_hint("Give a timestamp that an answer of this database had."));
            }
            tokio::time::sleep(AFTER_PAUSE).await;
        }
    }
}

impl Enqueued {
    /// Waits until the batch is durable and visible, or refused.
    ///
    /// # Errors
    /// 40001 when it lost against another transaction: nothing of it was done.
    pub async fn finish(self) -> Result<Outcome> {
        let Some(ticket) = self.ticket else {
            return self.begun.without_commit();
        };
        match ticket.await? {
            Decided::Committed { timestamp, .. } => {
                self.engine.maintain();
                Ok(self.begun.committed(timestamp))
            }
            Decided::Rejected(rejection) => {
                Err(overtaken().with_detail(format!("The commit was refused: {}.", rejection.reason)))
            }
        }
    }
}

/// Nothing of it took effect, and another attempt may do better.
fn is_worth_another(error: &Error) -> bool {
    matches!(
        error.state(),
        SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED
    )
}

fn overtaken() -> Error {
    Error::conflict(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent update",
    )
    .with_hint("Nothing was written. Send the batch again.")
}

/// A transaction that reads what is there now.
fn reader(engine: &Engine) -> Transaction {
    engine.begin(false)
}
