//! `aion crash-writer`: writes two-row transactions until it is killed, and says which were acknowledged.
//!
//! Stdout, one line each, written whole: `open` once the store is open; then the id of each transaction, *after* its
//! ticket said that it is committed; and `done` once `--count` transactions are. After `done` it waits for the end of its
//! stdin and closes the store.
//!
//! With `--cut-power` the log's files keep what was not synced in the memory of this process only, so that killing it does
//! to the log what a power cut does. With `--skip-sync` syncs of the log do nothing: the tests must notice.
//!
//! Each of the writers proposes up to four transactions, then waits for all of them. One that was rejected because of
//! what happened at the same time is tried again; any other rejection ends the process.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aion_base::files::{Files, OsFiles, PowerCutFiles, SkipSyncFiles};
use aion_base::id::TxnId;
use aion_base::rng::SeededRng;
use aion_base::{Error, Result};
use aion_storage::{Change, Commit, Outcome, Reason, Replicator, Store, StoreOptions, Ticket};
use clap::Args;

use super::rows::{self, RowRule};

/// What to write.
#[derive(Debug, Args)]
pub struct WriterArguments {
    /// The data directory
    #[arg(long)]
    data: PathBuf,
    /// Draws the values, and what a power cut tears
    #[arg(long)]
    seed: u64,
    /// Threads that write
    #[arg(long, default_value_t = 4)]
    writers: u64,
    /// The first id; each transaction takes the next
    #[arg(long)]
    first_id: u64,
    /// Stop after this many transactions; without it, write until killed
    #[arg(long)]
    count: Option<u64>,
    /// Every so-manieth id has values of 1.3 MB; 0: none
    #[arg(long, default_value_t = 0)]
    large_every: u64,
    /// Keep what is not synced in memory
    #[arg(long)]
    cut_power: bool,
    /// Do not sync the log
    #[arg(long)]
    skip_sync: bool,
    /// Size of a log segment
    #[arg(long)]
    segment_bytes: Option<u64>,
    /// Size of the window of a new directory
    #[arg(long)]
    window_bytes: Option<u64>,
    /// Flush the rows after this many bytes of log
    #[arg(long)]
    flush_log_bytes: Option<u64>,
}

impl WriterArguments {
    fn store_options(&self) -> StoreOptions {
        let mut files: Arc<dyn Files> = Arc::new(OsFiles);
        if self.cut_power {
            files = Arc::new(PowerCutFiles::new(self.seed ^ self.first_id));
        }
        if self.skip_sync {
            files = Arc::new(SkipSyncFiles(files));
        }
        let mut options = StoreOptions {
            files,
            ..StoreOptions::default()
        };
        options.log.segment_bytes = self.segment_bytes.unwrap_or(options.log.segment_bytes);
        options.window_bytes = self.window_bytes.unwrap_or(options.window_bytes);
        options.flush_log_bytes = self.flush_log_bytes.unwrap_or(options.flush_log_bytes);
        options
    }
}

/// Runs `aion crash-writer`.
pub fn run(arguments: &WriterArguments) -> Result<ExitCode> {
    let store = Store::open(&arguments.data, arguments.store_options())?;
    say("open")?;
    let writer = Writer {
        store: &store,
        rule: RowRule {
            seed: arguments.seed,
            large_every: arguments.large_every,
        },
        next_id: AtomicU64::new(arguments.first_id),
        end_id: arguments
            .count
            .map_or(u64::MAX, |count| arguments.first_id.saturating_add(count)),
    };
    let mut rng = SeededRng::new(arguments.seed.wrapping_add(arguments.first_id));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.writers)
            .map(|_| {
                let (writer, rng) = (&writer, rng.split());
                scope.spawn(move || writer.run(rng))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .map_err(|_| Error::internal("a writer panicked"))
                .and_then(|done| done)
        })
    })?;
    say("done")?;
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .map_err(|error| Error::io("read standard input", error))?;
    store.close()?;
    Ok(ExitCode::SUCCESS)
}

/// One short line is one write: whoever reads gets all of it or nothing.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Error::io("write to standard output", error))
}

struct Writer<'a> {
    store: &'a Store,
    rule: RowRule,
    next_id: AtomicU64,
    end_id: u64,
}

impl Writer<'_> {
    fn run(&self, mut rng: SeededRng) -> Result<()> {
        loop {
            let mut pending = Vec::new();
            for _ in 0..1 + rng.below(4) {
                let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                if id < self.end_id {
                    pending.push((id, self.propose(id, &mut rng)?));
                }
            }
            if pending.is_empty() {
                return Ok(());
            }
            for (id, ticket) in pending {
                self.finish(id, ticket, &mut rng)?;
            }
        }
    }

    fn propose(&self, id: u64, rng: &mut SeededRng) -> Result<Ticket> {
        let read_point = self.store.snapshot().read_point()?.index;
        // A new transaction id each time: the same one would get the same answer again.
        let mut commit = Commit::new(TxnId(rng.next_u128()), read_point);
        for side in 0..rows::TABLES.len() {
            commit.write(rows::key(id, side), Change::Insert(self.rule.value(id, side)));
        }
        self.store.propose(commit)
    }

    /// Waits until the transaction is committed, proposing it again where it lost against another, and says so.
    fn finish(&self, id: u64, mut ticket: Ticket, rng: &mut SeededRng) -> Result<()> {
        loop {
            match ticket.wait()? {
                Outcome::Committed { .. } => return say(&id.to_string()),
                Outcome::Rejected(rejection) if matches!(rejection.reason, Reason::TooOld | Reason::Changed) => {
                    ticket = self.propose(id, rng)?;
                }
                Outcome::Rejected(rejection) => {
                    return Err(Error::internal(format!(
                        "transaction {id} was rejected: {}",
                        rejection.reason
                    )));
                }
            }
        }
    }
}
