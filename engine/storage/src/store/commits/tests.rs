//! Whose turn it is to commit, and how the store ends when it cannot go on.

use super::*;
use crate::commit::Change;
use crate::rows::{Applied, Batch, Note, Past, RisingRows, Swept};
use aion_base::range::KeyRange;

/// Rows whose disk is full.
#[derive(Debug, Default)]
struct FullRows(MemoryRows);

impl Rows for FullRows {
    fn apply(&self, _: &Batch<'_>) -> Result<()> {
        Err(Error::exhausted(SqlState::DISK_FULL, "no space left"))
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        self.0.get(key, value)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.0.snapshot()
    }

    fn durable_applied(&self) -> Result<Applied> {
        self.0.durable_applied()
    }

    fn flush(&self) -> Result<()> {
        self.0.flush()
    }

    fn ingest(&self, dir: &Path, timestamp: Timestamp, rows: &mut dyn RisingRows) -> Result<()> {
        self.0.ingest(dir, timestamp, rows)
    }

    fn clear(&self, ranges: &[KeyRange]) -> Result<()> {
        self.0.clear(ranges)
    }

    fn compact(&self, ranges: &[KeyRange]) {
        self.0.compact(ranges);
    }

    fn clone_to(&self, dir: &Path) -> Result<()> {
        self.0.clone_to(dir)
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.0.disk_bytes()
    }

    fn disk_bytes_of(&self, range: &KeyRange) -> u64 {
        self.0.disk_bytes_of(range)
    }

    fn snapshot_at(&self, at: Timestamp) -> Result<Past> {
        self.0.snapshot_at(at)
    }

    fn horizon(&self) -> Option<Timestamp> {
        self.0.horizon()
    }

    fn keep_history(&self, is_kept: bool) -> Result<()> {
        self.0.keep_history(is_kept)
    }

    fn raise_horizon(&self, to: Timestamp) -> Result<()> {
        self.0.raise_horizon(to)
    }

    fn sweep_history(&self, cursor: &mut Vec<u8>, entries: usize) -> Result<Swept> {
        self.0.sweep_history(cursor, entries)
    }

    fn history_bytes(&self) -> u64 {
        self.0.history_bytes()
    }

    fn notes(&self) -> Result<Vec<(LogIndex, Note)>> {
        self.0.notes()
    }
}

/// What the threads of a store share, without any thread.
fn shared(dir: &Path, rows: Arc<dyn Rows>, gather: Gather) -> (Arc<Shared>, Arc<Mutex<Option<SqlState>>>) {
    let committer = Committer {
        log: log(dir),
        rows: rows.clone(),
        stages: Stages::default(),
        last_timestamp: Timestamp(0),
        clock: Arc::new(SystemClock::default()),
        times: Arc::default(),
        counters: Arc::default(),
        gather,
        last_sync: Duration::ZERO,
    };
    let fatal = Arc::new(Mutex::new(None));
    let window = Window::new(1 << 20, LogIndex(0));
    let shared = Shared {
        state: Mutex::new(State {
            idle: Some(Box::new(committer)),
            ..State::default()
        }),
        work: Condvar::new(),
        room: Condvar::new(),
        flush: Condvar::new(),
        sweep: Condvar::new(),
        turned: Condvar::new(),
        applier: Mutex::new(Applier::new(rows, window, Applied::default(), VecDeque::new())),
        flushed_at: AtomicU64::new(0),
        flush_log_bytes: 1 << 30,
        on_fatal: Arc::new({
            let fatal = fatal.clone();
            move |error| *fatal.lock() = Some(error.state())
        }),
    };
    (Arc::new(shared), fatal)
}

fn log(dir: &Path) -> Log {
    Log::open(Arc::new(OsFiles), &dir.join("log"), LogOptions::default()).expect("a log")
}

/// Proposes to write a value of so many bytes.
fn hand_over(shared: &Shared, txn: u128, value_bytes: usize, is_waiting: bool) -> oneshot::Receiver<Result<Outcome>> {
    let mut one = Commit::new(TxnId(txn), LogIndex(0));
    one.write(txn.to_be_bytes(), Change::Put(vec![7; value_bytes]));
    let entries = entry::encode(&one, 1 << 20).expect("it fits");
    let (answer, answered) = oneshot::channel();
    let proposal = Proposal {
        bytes: entries.iter().map(Vec::len).sum(),
        entries,
        answer,
    };
    shared.take(proposal, is_waiting).expect("there is room");
    answered
}

/// Proposes, and does nothing else until it is answered.
fn propose(shared: &Shared, txn: u128, value_bytes: usize) -> oneshot::Receiver<Result<Outcome>> {
    hand_over(shared, txn, value_bytes, true)
}

/// One that has seen a sync of so long, with a group of so many.
fn gather(group: usize, sync: Duration) -> Gather {
    let mut gather = Gather::default();
    gather.synced(group, sync, 0);
    gather
}

const FAST: Duration = Duration::from_micros(80);

#[test]
fn who_proposes_alone_is_answered_without_the_commit_thread() {
    let dir = tempfile::tempdir().expect("a directory");
    let (shared, _) = shared(dir.path(), Arc::new(MemoryRows::default()), gather(1, FAST));
    let answered = propose(&shared, 1, 10).try_recv().expect("answered").expect("decided");
    assert!(matches!(answered, Outcome::Committed { .. }), "{answered:?}");
    let state = shared.state.lock();
    assert!(state.idle.is_some() && state.queue.is_empty());
    let applied = shared.applier.lock().applied();
    assert_eq!(applied.index, LogIndex(1));
    drop(state);
    drop(shared);
    assert_eq!(log(dir.path()).last_index(), LogIndex(1));
}

/// A stream of batches in one thread got a sync for each of them, until only a thread that waits committed by itself.
#[test]
fn who_does_not_wait_leaves_it_to_the_commit_thread() {
    let dir = tempfile::tempdir().expect("a directory");
    let (shared, _) = shared(dir.path(), Arc::new(MemoryRows::default()), gather(1, FAST));
    let answers: Vec<_> = (1..4).map(|txn| hand_over(&shared, txn, 10, false)).collect();
    assert_eq!(shared.state.lock().queue.len(), 3);
    assert!(answers.iter().all(|answer| answer.try_recv().is_err()));
}

/// Before the first sync, after a group, with slow syncs, for a large proposal, and while somebody else has the turn.
#[test]
fn everything_else_is_for_the_commit_thread() {
    let cases = [
        (Gather::default(), 10),
        (gather(2, FAST), 10),
        (gather(1, Duration::from_millis(2)), 10),
        (gather(1, FAST), ALONE_BYTES_MAX),
    ];
    for (gather, bytes) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let (shared, _) = shared(dir.path(), Arc::new(MemoryRows::default()), gather);
        let answer = propose(&shared, 1, bytes);
        assert_eq!(shared.state.lock().queue.len(), 1);
        let commits = std::thread::spawn({
            let shared = shared.clone();
            move || run_commits(&shared)
        });
        let answered = answer.recv().expect("answered").expect("decided");
        assert!(matches!(answered, Outcome::Committed { .. }), "{answered:?}");
        shared.state.lock().is_closing = true;
        shared.work.notify_all();
        commits.join().expect("no panic").expect("closed");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (shared, _) = shared(dir.path(), Arc::new(MemoryRows::default()), gather(1, FAST));
    let committer = shared.state.lock().idle.take().expect("there");
    let turn = Turn::new(&shared, committer);
    let answer = propose(&shared, 1, 10);
    assert!(answer.try_recv().is_err(), "it waits for its turn");
    drop(turn);
    // Whoever has several on their way does not wait for each.
    let other = hand_over(&shared, 3, 10, false);
    assert!(other.try_recv().is_err());
    // The next one does not overtake it.
    let next = propose(&shared, 2, 10);
    assert!(next.try_recv().is_err());
    assert_eq!(shared.state.lock().queue.len(), 3);
}

/// Whoever panics with the turn leaves a log that may end anywhere: nobody commits after that.
#[test]
fn a_panic_with_the_turn_ends_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let (shared, _) = shared(dir.path(), Arc::new(MemoryRows::default()), gather(1, FAST));
    let ended = std::thread::spawn({
        let shared = shared.clone();
        move || {
            let committer = shared.state.lock().idle.take().expect("there");
            let _turn = Turn::new(&shared, committer);
            panic!("planned");
        }
    });
    assert!(ended.join().is_err());
    assert!(run_commits(&shared).is_err());
    let mut one = Commit::new(TxnId(1), LogIndex(0));
    one.write(*b"key", Change::Put(b"value".to_vec()));
    let (answer, _answered) = oneshot::channel();
    let proposal = Proposal {
        bytes: 1,
        entries: entry::encode(&one, 1 << 20).expect("it fits"),
        answer,
    };
    let refused = shared.take(proposal, true);
    assert_eq!(refused.expect_err("refused").state(), SqlState::ADMIN_SHUTDOWN);
}

/// A commit that the log had, and the rows had no room for, was answered with "Nothing was written", and the store went on: the next to
/// open it found the row. By the commit thread, and by the thread that proposed it.
#[test]
fn a_disk_that_fills_up_after_the_log_has_a_commit_ends_the_store() {
    for gather in [Gather::default(), gather(1, FAST)] {
        let is_alone = gather.is_alone() && gather.sync().is_some();
        let dir = tempfile::tempdir().expect("a directory");
        let (shared, fatal) = shared(dir.path(), Arc::new(FullRows::default()), gather);
        let answered = propose(&shared, 1, 10);
        let error = run_commits(&shared).expect_err("it ends");
        if !is_alone {
            assert_eq!(error.state(), SqlState::DISK_FULL);
        }
        assert_eq!(*fatal.lock(), Some(SqlState::DISK_FULL), "the process is told to end");
        assert!(answered.recv().is_err(), "nobody says that nothing was written");
        assert!(shared.state.lock().is_dead);
        drop(shared);
        assert_eq!(log(dir.path()).last_index(), LogIndex(1));
    }
}
