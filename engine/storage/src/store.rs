//! A store: rows, a log before them, and one thread that commits.
//!
//! **Guarantees.**
//! - [`Replicator::propose`] hands over a commit; its [`Ticket`] resolves once the decision is durable in the log *and* visible to
//!   new snapshots. What was committed survives any crash; what was rejected has no effect; when the process ends
//!   before the answer, [`Store::outcome`] of the same transaction id tells after the restart.
//! - Commits take effect in the order of the log, all of a commit or nothing of it.
//! - After a failed write or sync of the log, or a failed apply, the process ends ([`StoreOptions::on_fatal`]): what
//!   the disk holds is only known by opening it again.
//!
//! **The commit thread** ([`commits`]) repeats: take what is queued, up to [`GROUP_BYTES_MAX`], after a short wait for company where that pays
//! ([`gather`]); stamp and append it to the log; sync once; apply; answer; and, when nothing waits, note in the log that all is durable. Who waits
//! for its proposal, alone, does the same in its stead.
//!
//! **The flush thread** makes the rows durable every [`StoreOptions::flush_interval`], and when
//! [`StoreOptions::flush_log_bytes`] were appended since; then the commit thread gives up the log before the lowest of: what is durably applied, the
//! window's floor, and the stages still needed. After an interval in which little was written it brings the rows to rest ([`Rows::settle`]).
//!
//! **Opening** locks the directory, opens the log, checks that purged <= durably applied <= last, opens the rows, rebuilds the window
//! from the entries whose effect is in the rows, applies the rest, and discards stages whose commit never came.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::files::{Files, OsFiles};
use aion_base::id::{LogIndex, Term, Timestamp, TxnId};
use aion_base::range::KeyRange;
use aion_base::{Error, ErrorKind, Result, SqlState};
use parking_lot::{Condvar, Mutex};

use crate::apply::{Applier, Stages, Unit};
use crate::commit::{Commit, Outcome};
use crate::derived::Derived;
use crate::directory::Directory;
use crate::entry::{self, Body};
use crate::log::{Log, LogOptions};
use crate::rows::memory::MemoryRows;
use crate::rows::rocks::{RocksOptions, RocksRows};
use crate::rows::watched::{Generation, WatchedRows};
use crate::rows::{Rows, Snapshot};
use crate::window::Window;

use self::age::Ages;
use self::commits::{Committer, Flusher, Turn, flush_rows, run_commits};
use self::gather::Gather;
use self::history::{Sweeper, Times};
use self::recovery::{check_ends, recover};

mod age;
pub mod backup;
mod clear;
mod clone;
mod commits;
mod gather;
mod history;
mod knobs;
mod load;
mod recovery;
mod refresh;

/// Bytes of entries that one sync makes durable, at most; a larger proposal goes alone.
pub const GROUP_BYTES_MAX: usize = 8 << 20;

/// Bytes of entries that may wait for the commit thread; who proposes more waits too.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// The term of a store that is not part of a group.
const LOCAL_TERM: Term = Term(1);

/// Choices of a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// Where the log's files are. The rows are RocksDB's, on the operating system's.
    pub files: Arc<dyn Files>,
    /// Wall clock of the commit times.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub log: LogOptions,
    /// The rows.
    pub rocks: RocksOptions,
    /// Bytes of one transaction, at most; 54000 beyond. Never more than the window has.
    pub transaction_bytes_max: usize,
    /// Bytes of log that a commit's read point may lie back. Fixed when the directory is made.
    pub window_bytes: u64,
    /// The rows are flushed at least this often while there is something to flush.
    pub flush_interval: Duration,
    /// And when this many bytes of log were appended since.
    pub flush_log_bytes: u64,
    /// Called when the store can no longer keep its promises. The default writes the error to stderr and aborts the process.
    pub on_fatal: Arc<dyn Fn(&Error) + Send + Sync>,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("log", &self.log)
            .field("rocks", &self.rocks)
            .field("transaction_bytes_max", &self.transaction_bytes_max)
            .finish_non_exhaustive()
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            files: Arc::new(OsFiles),
            clock: Arc::new(SystemClock::default()),
            log: LogOptions::default(),
            rocks: RocksOptions::default(),
            transaction_bytes_max: 512 << 20,
            window_bytes: 128 << 20,
            flush_interval: Duration::from_secs(60),
            flush_log_bytes: 512 << 20,
            on_fatal: Arc::new(abort),
        }
    }
}

/// Ends the process. Stopping here is what keeps "acknowledged" true.
fn abort(error: &Error) {
    use std::io::Write;
    // Nothing is left to do if stderr is gone too.
    let _ = writeln!(std::io::stderr(), "aion: stopping, the store cannot go on: {error}");
    std::process::abort();
}

/// Takes commits and answers with their outcome: one process's log now, a Raft group later.
pub trait Replicator: Send + Sync {
    /// Hands over a commit.
    ///
    /// # Errors
    /// 54000 beyond a limit, 57P01 after [`Store::close`] began. Nothing was written then.
    fn propose(&self, commit: Commit) -> Result<Ticket>;

    /// As [`Replicator::propose`], for one who does nothing before the ticket says so: then the calling thread may do the work itself, and be held up
    /// for as long as that takes. Who has several commits on their way proposes them, and they share what each costs.
    ///
    /// # Errors
    /// As [`Replicator::propose`].
    fn propose_and_wait(&self, commit: Commit) -> Result<Ticket>;

    /// Returns once a snapshot taken afterwards sees everything that was acknowledged before the call.
    ///
    /// # Errors
    /// When that cannot be known.
    fn read_barrier(&self) -> Result<()>;
}

/// The answer to come. Dropping it does not take the commit back.
#[derive(Debug)]
#[must_use = "a commit is durable only once its ticket says so"]
pub struct Ticket {
    txn: TxnId,
    answer: oneshot::Receiver<Result<Outcome>>,
}

impl Ticket {
    /// Blocks until the outcome is known.
    ///
    /// # Errors
    /// 53100 when the log has no room: nothing was written. 40003 when the store stopped first: the outcome is unknown.
    pub fn wait(self) -> Result<Outcome> {
        let txn = self.txn;
        self.answer.recv().unwrap_or_else(|_| Err(unknown(txn)))
    }
}

impl IntoFuture for Ticket {
    type Output = Result<Outcome>;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.answer.await.unwrap_or_else(|_| Err(unknown(self.txn))) })
    }
}

/// A transaction's own stages move the window on. One that is larger than the window would push the floor above its own
/// read point and be refused as too old however often it is tried again; so it is refused for its size.
fn transaction_bytes_max(options: &StoreOptions, window_bytes: u64) -> usize {
    let window_bytes = usize::try_from(window_bytes).unwrap_or(usize::MAX);
    options.transaction_bytes_max.min(window_bytes)
}

fn unknown(txn: TxnId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        SqlState::STATEMENT_COMPLETION_UNKNOWN,
        format!(
            "the store stopped before it answered; whether transaction {:032x} is committed is unknown",
            txn.0
        ),
    )
    .with_hint("After the restart, look whether its changes are there.")
}

/// Counters since the store was opened.
#[derive(Debug, Default)]
pub struct StoreCounters {
    /// Commits decided, rejected ones included.
    pub commits: AtomicU64,
    /// Commits rejected.
    pub rejected: AtomicU64,
    /// Syncs of the log: commits per sync is the size of a group.
    pub syncs: AtomicU64,
    /// Time spent in syncs, microseconds.
    pub sync_micros: AtomicU64,
    /// Bytes of frames appended to the log.
    pub log_bytes: AtomicU64,
    /// Flushes of the rows.
    pub flushes: AtomicU64,
    /// Entries of the log that were applied when it was opened.
    pub replayed: AtomicU64,
}

/// See the module's header.
pub struct Store {
    rows: Arc<WatchedRows>,
    core: Core,
    counters: Arc<StoreCounters>,
    times: Arc<Times>,
    ages: Arc<Ages>,
}

enum Core {
    Memory {
        applier: Mutex<MemoryCore>,
        bytes_max: usize,
    },
    Durable(Durable),
}

struct MemoryCore {
    applier: Applier,
    clock: Arc<dyn Clock>,
    rows: Arc<WatchedRows>,
    times: Arc<Times>,
}

struct Durable {
    shared: Arc<Shared>,
    commit_thread: Option<JoinHandle<Result<()>>>,
    flush_thread: Option<JoinHandle<()>>,
    sweep_thread: Option<JoinHandle<()>>,
    directory: Mutex<Directory>,
    clock: Arc<dyn Clock>,
    transaction_bytes_max: usize,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.rows)
    }
}

/// What the threads share.
struct Shared {
    state: Mutex<State>,
    /// Something to do for the commit thread.
    work: Condvar,
    /// Room in the queue.
    room: Condvar,
    /// Something to do for the flush thread.
    flush: Condvar,
    /// And for the one that removes older versions.
    sweep: Condvar,
    /// Somebody who committed is done.
    turned: Condvar,
    applier: Mutex<Applier>,
    /// Bytes of log appended when the rows were last flushed, and how many more call for the next time.
    flushed_at: AtomicU64,
    flush_log_bytes: u64,
    on_fatal: Arc<dyn Fn(&Error) + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// There while nobody commits.
    idle: Option<Box<Committer>>,
    /// How often somebody who committed was done.
    turns: u64,
    queue: VecDeque<Proposal>,
    /// Where the commit thread waits for company it is woken by so many; else 0, and by the first.
    wanted: usize,
    queue_bytes: usize,
    is_closing: bool,
    is_dead: bool,
    purge_upto: Option<LogIndex>,
}

struct Proposal {
    entries: Vec<Vec<u8>>,
    bytes: usize,
    answer: oneshot::Sender<Result<Outcome>>,
}

impl Store {
    /// A store that lives in memory and ends with the process.
    pub fn in_memory(options: &StoreOptions) -> Self {
        let watched = Arc::new(WatchedRows::new(Arc::new(MemoryRows::default())));
        let rows: Arc<dyn Rows> = watched.clone();
        let window = Window::new(options.window_bytes, LogIndex(0));
        let applier = Applier::new(rows, window, Default::default(), VecDeque::new());
        let times: Arc<Times> = Arc::default();
        let core = MemoryCore {
            applier,
            clock: options.clock.clone(),
            rows: watched.clone(),
            times: times.clone(),
        };
        let core = Core::Memory {
            applier: Mutex::new(core),
            bytes_max: transaction_bytes_max(options, options.window_bytes),
        };
        Self {
            rows: watched,
            core,
            counters: Arc::default(),
            times,
            ages: Ages::new(options.clock.clone()),
        }
    }

    /// Opens the store in `path`, or makes one where nothing is.
    ///
    /// # Errors
    /// As [`Directory::open`]; corrupt, naming the file, when anything acknowledged is missing or damaged.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self> {
        let directory = Directory::open(path, options.window_bytes)?;
        let window_bytes = directory.window_bytes;
        // Before RocksDB may change anything: what a damaged MANIFEST leaves out, it deletes as obsolete when it opens.
        let applied = RocksRows::peek(&directory.rows())?;
        let log = Log::open(options.files.clone(), &directory.log(), options.log.clone())?;
        check_ends(path, applied, &log)?;
        let watched = Arc::new(WatchedRows::new(Arc::new(RocksRows::open(
            &directory.rows(),
            options.rocks,
        )?)));
        let rows: Arc<dyn Rows> = watched.clone();
        let counters: Arc<StoreCounters> = Arc::default();
        let opened = recover(path, &rows, &log, window_bytes, &counters)?;
        let times: Arc<Times> = Arc::default();
        let mut committer = Committer {
            log,
            times: times.clone(),
            rows: rows.clone(),
            stages: opened.stages,
            last_timestamp: opened.last_timestamp,
            clock: options.clock.clone(),
            counters: counters.clone(),
            gather: Gather::default(),
            last_sync: Duration::ZERO,
        };
        let mut applier = opened.applier;
        committer.discard_abandoned(&mut applier)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                idle: Some(Box::new(committer)),
                ..State::default()
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            flush: Condvar::new(),
            sweep: Condvar::new(),
            turned: Condvar::new(),
            applier: Mutex::new(applier),
            flushed_at: AtomicU64::new(0),
            flush_log_bytes: options.flush_log_bytes,
            on_fatal: options.on_fatal.clone(),
        });
        let spawn_failed = |error| Error::io("start a thread", error);
        let commit_thread = std::thread::Builder::new().name("aion-commit".to_owned()).spawn({
            let shared = shared.clone();
            move || run_commits(&shared)
        });
        let commit_thread = commit_thread.map_err(spawn_failed)?;
        let flush_thread = std::thread::Builder::new().name("aion-flush".to_owned()).spawn({
            let mut flusher = Flusher {
                shared: shared.clone(),
                rows: rows.clone(),
                counters: counters.clone(),
                interval: options.flush_interval,
                seen: 0,
            };
            move || flusher.run()
        });
        let flush_thread = flush_thread.map_err(spawn_failed)?;
        let sweep_thread = std::thread::Builder::new().name("aion-history".to_owned()).spawn({
            let sweeper = Sweeper {
                shared: shared.clone(),
                rows: rows.clone(),
                times: times.clone(),
                clock: options.clock.clone(),
            };
            move || sweeper.run()
        });
        let sweep_thread = sweep_thread.map_err(spawn_failed)?;
        let durable = Durable {
            shared,
            commit_thread: Some(commit_thread),
            flush_thread: Some(flush_thread),
            sweep_thread: Some(sweep_thread),
            directory: Mutex::new(directory),
            clock: options.clock.clone(),
            transaction_bytes_max: transaction_bytes_max(&options, window_bytes),
        };
        Ok(Self {
            rows: watched,
            core: Core::Durable(durable),
            counters,
            times,
            ages: Ages::new(options.clock.clone()),
        })
    }

    /// The keys as they are now: everything acknowledged before the call.
    pub fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.rows.snapshot()
    }

    /// From now on tells `follower` of every commit, after it is visible to new snapshots.
    pub fn follow(&self, follower: Arc<dyn Derived>) {
        match &self.core {
            Core::Memory { applier, .. } => applier.lock().applier.follow(follower),
            Core::Durable(durable) => durable.shared.applier.lock().follow(follower),
        }
    }

    /// The newest value of one key, put into `value`, and its commit time: everything acknowledged before the call, without
    /// the price of a snapshot.
    ///
    /// # Errors
    /// Corrupt or IO, naming the file.
    pub fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        self.rows.get(key, value)
    }

    /// Counts the changes in `range` from now on; to be called before the first of them.
    ///
    /// # Errors
    /// Internal when another range is watched already.
    pub fn watch(&self, range: &KeyRange) -> Result<()> {
        self.rows.watch(range)
    }

    /// How often the watched range was changed. What was read between two equal answers saw the range as it was at the
    /// first. None while a change of it is becoming visible, and before [`Store::watch`].
    pub fn generation(&self) -> Option<Generation> {
        self.rows.generation()
    }

    /// Counters since the store was opened.
    pub fn counters(&self) -> &StoreCounters {
        &self.counters
    }

    /// What became of a transaction. None when it is unknown: never proposed, or too long ago.
    pub fn outcome(&self, txn: TxnId) -> Option<Outcome> {
        self.with_window(|window| window.outcome(txn).cloned())
    }

    /// Says to whoever finds the directory locked how to connect.
    ///
    /// # Errors
    /// An IO error.
    pub fn describe(&self, hint: &str) -> Result<()> {
        match &self.core {
            Core::Memory { .. } => Ok(()),
            Core::Durable(durable) => durable.directory.lock().describe(hint),
        }
    }

    /// Makes the rows durable now and gives up the log before them. Waits for the rows.
    ///
    /// # Errors
    /// An IO error; what was acknowledged is durable in the log all the same.
    pub fn flush(&self) -> Result<()> {
        match &self.core {
            Core::Memory { .. } => Ok(()),
            Core::Durable(durable) => flush_rows(&*self.rows, &durable.shared, &self.counters),
        }
    }

    /// Finishes what is queued, makes everything durable and releases the directory.
    ///
    /// # Errors
    /// An IO error; what was acknowledged is durable all the same.
    pub fn close(mut self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<()> {
        let Core::Durable(durable) = &mut self.core else {
            return Ok(());
        };
        let Some(commit_thread) = durable.commit_thread.take() else {
            return Ok(());
        };
        {
            let mut state = durable.shared.state.lock();
            state.is_closing = true;
            durable.shared.work.notify_all();
            durable.shared.flush.notify_all();
            durable.shared.sweep.notify_all();
            durable.shared.room.notify_all();
        }
        let panicked = || Error::internal("a thread of the store panicked");
        for thread in [durable.sweep_thread.take(), durable.flush_thread.take()]
            .into_iter()
            .flatten()
        {
            thread.join().map_err(|_| panicked())?;
        }
        commit_thread.join().map_err(|_| panicked())?
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::error!(%error, "could not close the store; the log will be replayed");
        }
    }
}

impl Store {
    /// Hands over a commit; `is_waiting` says that the caller does nothing else meanwhile.
    fn hand_over(&self, commit: Commit, is_waiting: bool) -> Result<Ticket> {
        let txn = commit.txn;
        let (sender, answer) = oneshot::channel();
        match &self.core {
            Core::Memory { applier, bytes_max } => {
                let mut core = applier.lock();
                let outcome = core.commit(&commit, *bytes_max)?;
                self.counters.count(&outcome);
                sender
                    .send(Ok(outcome))
                    .map_err(|_| Error::internal("a ticket is lost"))?;
            }
            Core::Durable(durable) => {
                let entries = entry::encode(&commit, durable.transaction_bytes_max)?;
                drop(commit);
                let bytes = entries.iter().map(Vec::len).sum();
                let proposal = Proposal {
                    entries,
                    bytes,
                    answer: sender,
                };
                durable.shared.take(proposal, is_waiting)?;
            }
        }
        Ok(Ticket { txn, answer })
    }
}

impl Replicator for Store {
    fn propose(&self, commit: Commit) -> Result<Ticket> {
        self.hand_over(commit, false)
    }

    fn propose_and_wait(&self, commit: Commit) -> Result<Ticket> {
        self.hand_over(commit, true)
    }

    fn read_barrier(&self) -> Result<()> {
        // One process: what is acknowledged is applied.
        Ok(())
    }
}

impl StoreCounters {
    fn count(&self, outcome: &Outcome) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if matches!(outcome, Outcome::Rejected(_)) {
            self.rejected.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl MemoryCore {
    /// The same bytes and the same apply function as with a log, without the log.
    fn commit(&mut self, commit: &Commit, bytes_max: usize) -> Result<Outcome> {
        let mut entries = entry::encode(commit, bytes_max)?;
        let applied = self.applier.applied();
        let wall = self.clock.wall_micros();
        self.times.raise_if_due(&*self.rows, wall)?;
        let timestamp = self.times.of_commit(wall, applied.timestamp);
        entries.iter_mut().for_each(|entry| entry::stamp(entry, timestamp));
        let index = LogIndex(applied.index.0 + entries.len() as u64);
        let new_stages = entries.len() - 1;
        let unit = Unit {
            index,
            term: LOCAL_TERM,
            entries,
            new_stages,
        };
        let mut outcomes = self.applier.apply(&[unit])?;
        outcomes
            .pop()
            .flatten()
            .ok_or_else(|| Error::internal("a commit has an outcome"))
    }
}

impl Shared {
    fn unflushed(&self, counters: &StoreCounters) -> u64 {
        counters.log_bytes.load(Ordering::Relaxed) - self.flushed_at.load(Ordering::Relaxed)
    }

    fn is_flush_due(&self, counters: &StoreCounters) -> bool {
        self.unflushed(counters) >= self.flush_log_bytes
    }

    /// Hands a proposal to the commit thread; or commits it, if the caller waits for it and nobody else is there.
    ///
    /// # Errors
    /// 57P01 when the store is closing: nothing was written.
    fn take(&self, proposal: Proposal, is_waiting: bool) -> Result<()> {
        let mut state = self.state.lock();
        while state.queue_bytes + proposal.bytes > QUEUE_BYTES_MAX && !state.queue.is_empty() && !state.is_closing {
            self.room.wait(&mut state);
        }
        if state.is_closing || state.is_dead {
            return Err(
                Error::unavailable(SqlState::ADMIN_SHUTDOWN, "the database is shutting down")
                    .with_hint("Nothing was written. Connect again after the restart."),
            );
        }
        let is_first = is_waiting && state.queue.is_empty() && state.purge_upto.is_none();
        if is_first
            && let Some(committer) = state
                .idle
                .take_if(|committer| committer.is_for_proposer(proposal.bytes))
        {
            drop(state);
            if let Err(error) = Turn::new(self, committer).commit(vec![proposal]) {
                // Whoever waits for the ticket is told that the outcome is unknown.
                tracing::error!(%error, "the store stopped");
            }
            return Ok(());
        }
        state.queue_bytes += proposal.bytes;
        state.queue.push_back(proposal);
        // Who has the turn looks at the queue when it is over.
        let is_awaited = state.wanted > 0 && state.queue.len() >= state.wanted;
        if is_awaited || state.idle.is_some() {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Ends the process. Where that returns, in tests, everybody who waits is told that the outcome is unknown.
    fn stop(&self, error: Error) -> Error {
        (self.on_fatal)(&error);
        let mut state = self.state.lock();
        state.is_dead = true;
        state.queue.clear();
        self.room.notify_all();
        self.sweep.notify_all();
        self.turned.notify_all();
        error
    }
}

#[cfg(test)]
mod tests;
