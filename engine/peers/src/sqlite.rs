//! SQLite: accounts in one file.
//!
//! **Set for all.** WAL, `synchronous=FULL` (each commit is synced), the file mapped into memory, a cache that holds the table, statements
//! that are prepared once.
//!
//! **Writers.** SQLite has one writer at a time. Two ways to live with it are measured. With a connection for each thread, those that
//! find another one writing wait by SQLite's busy timeout, which sleeps for 1, 2, 5, ... up to 100 ms: what most programs do. With one
//! connection behind a lock, nobody sleeps, and its cache stays right: the best that a program can do that has all writers to itself.
//!
//! **Readers.** A read outside of a transaction takes a lock on the file and gives it back, which are system calls. A connection that
//! keeps the lock (`locking_mode=EXCLUSIVE`) saves them, and is alone then; both are measured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aion_base::rng::SeededRng;
use aion_base::{Error, Result, SqlState};
use aion_workload::accounts::{Balances, Bank, FILLER_BYTES, Reader, Teller, loaded_balance, loaded_sum};
use aion_workload::driver::drive;
use aion_workload::outcome::{Outcome, shown};
use clap::ValueEnum;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::folder::Folder;
use crate::progress::Progress;

const TABLE: &str = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, filler TEXT NOT NULL)";
const INSERT: &str = "INSERT INTO accounts VALUES (?1, ?2, ?3)";
const ADD: &str = "UPDATE accounts SET balance = balance + ?1 WHERE id = ?2";
const READ: &str = "SELECT balance FROM accounts WHERE id = ?1";
/// Rows of one transaction while the table is filled.
const LOAD_ROWS: u32 = 50_000;
/// Of each connection.
const CACHE_KIB: i64 = 256 << 10;
const MAPPED_BYTES: i64 = 1 << 30;
/// How long a connection waits to write.
const BUSY_TIME_MAX: Duration = Duration::from_secs(60);

/// How threads come to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Writers {
    /// Through one connection, which they take in turn
    #[default]
    Shared,
    /// Through connections of their own, which wait by SQLite's busy timeout
    Own,
}

impl Writers {
    fn name(self) -> &'static str {
        match self {
            Self::Shared => "one connection",
            Self::Own => "connections of their own",
        }
    }
}

/// Who may use the file beside a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// Others.
    Normal,
    /// Nobody.
    Exclusive,
}

impl Locking {
    fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Exclusive => "exclusive",
        }
    }
}

/// Small durable transactions on so many threads.
///
/// # Errors
/// SQLite's; internal when money was lost.
pub fn transactions(
    dir: &Path,
    accounts: u32,
    threads: usize,
    writers: Writers,
    duration: Duration,
    seed: u64,
) -> Result<Outcome> {
    let folder = Folder::open(dir, "sqlite")?;
    load(&folder, accounts)?;
    // Balances will be others.
    folder.forget()?;
    let shared = Arc::new(Mutex::new(connect(&folder, Locking::Normal)?));
    let mut rng = SeededRng::new(seed);
    let mut tellers = Vec::with_capacity(threads);
    for _ in 0..threads {
        let connection = match writers {
            Writers::Shared => shared.clone(),
            Writers::Own => Arc::new(Mutex::new(connect(&folder, Locking::Normal)?)),
        };
        tellers.push(Teller::new(Writer { connection }, accounts, rng.split()));
    }
    let measured = drive(tellers, duration)?;
    let (rows, sum) = sums(&shared.lock())?;
    if (rows, sum) != (u64::from(accounts), loaded_sum(accounts)) {
        return Err(Error::internal(format!(
            "{rows} accounts with {sum} are there; {accounts} with {} were loaded",
            loaded_sum(accounts)
        )));
    }
    let outcome = Outcome {
        engine: engine(),
        workload: format!("txns, {}", writers.name()),
        rows_before: accounts.into(),
        rows_after: rows,
        balances: Some(sum),
        ..Outcome::default()
    };
    Ok(outcome.with_measured(&measured))
}

/// Balances by primary key on this thread.
///
/// # Errors
/// SQLite's; internal for an account that is not there.
pub fn point_reads(dir: &Path, accounts: u32, locking: Locking, duration: Duration, seed: u64) -> Result<Outcome> {
    let folder = Folder::open(dir, "sqlite")?;
    load(&folder, accounts)?;
    let connection = connect(&folder, locking)?;
    let mut reader = Reader::new(Alone(connection), accounts, SeededRng::new(seed));
    let checked = reader.check()?;
    let measured = drive(vec![reader], duration)?;
    let outcome = Outcome {
        engine: engine(),
        workload: format!("point-read, locking {}", locking.name()),
        rows_before: accounts.into(),
        rows_after: accounts.into(),
        answers: Some(shown(checked)),
        ..Outcome::default()
    };
    Ok(outcome.with_measured(&measured))
}

fn engine() -> String {
    format!("SQLite {}", rusqlite::version())
}

fn failed(error: rusqlite::Error) -> Error {
    let is_busy = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    );
    let text = format!("SQLite: {error}");
    if is_busy {
        Error::conflict(SqlState::SERIALIZATION_FAILURE, text)
    } else {
        Error::internal(text)
    }
}

fn connect(folder: &Folder, locking: Locking) -> Result<Connection> {
    let connection = Connection::open(folder.path().join("accounts.sqlite")).map_err(failed)?;
    let set = || {
        connection.busy_timeout(BUSY_TIME_MAX)?;
        connection.pragma_update(None, "locking_mode", locking.name())?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "mmap_size", MAPPED_BYTES)?;
        // What was asked for and refused is not an error to SQLite.
        let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        rusqlite::Result::Ok((journal, synchronous))
    };
    let (journal, synchronous) = set().map_err(failed)?;
    if (journal.as_str(), synchronous) != ("wal", 2) {
        return Err(Error::internal(format!(
            "SQLite runs with journal_mode {journal} and synchronous {synchronous}, and not with wal and 2"
        )));
    }
    Ok(connection)
}

/// Fills the table, unless it is there.
fn load(folder: &Folder, accounts: u32) -> Result<()> {
    let loaded = format!("{accounts} accounts");
    if folder.loaded().as_ref() == Some(&loaded) {
        return Ok(());
    }
    folder.empty()?;
    let mut connection = connect(folder, Locking::Normal)?;
    connection.execute_batch(TABLE).map_err(failed)?;
    let progress = Progress::new("loading accounts", accounts.into());
    let filler = "x".repeat(FILLER_BYTES);
    for first in (1..=accounts).step_by(LOAD_ROWS as usize) {
        let last = accounts.min(first + (LOAD_ROWS - 1));
        let mut insert = || {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare_cached(INSERT)?;
                for id in first..=last {
                    statement.execute(params![id, loaded_balance(id), filler])?;
                }
            }
            transaction.commit()
        };
        insert().map_err(failed)?;
        progress.add(u64::from(last - first) + 1);
    }
    let checkpoint = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], checkpoint)
        .map_err(failed)?;
    folder.note(&loaded)
}

/// How many accounts there are, and the sum of their balances.
fn sums(connection: &Connection) -> Result<(u64, i64)> {
    let sql = "SELECT count(*), sum(balance) FROM accounts";
    let (rows, sum): (i64, i64) = connection
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed)?;
    Ok((rows.unsigned_abs(), sum))
}

/// One thread that writes.
struct Writer {
    connection: Arc<Mutex<Connection>>,
}

impl Bank for Writer {
    fn transfer(&mut self, changes: [(u32, i64); 2]) -> Result<()> {
        let connection = self.connection.lock();
        let run = |sql: &str| connection.prepare_cached(sql)?.execute([]);
        // A transaction that begins as a reader cannot always become a writer.
        run("BEGIN IMMEDIATE").map_err(failed)?;
        let change = |(id, amount): (u32, i64)| connection.prepare_cached(ADD)?.execute(params![amount, id]);
        let [first, second] = changes;
        let changed = change(first).and_then(|rows| Ok(rows + change(second)?));
        match changed {
            Ok(2) => run("COMMIT").map(drop).map_err(failed),
            other => {
                run("ROLLBACK").map_err(failed)?;
                let rows = other.map_err(failed)?;
                Err(Error::internal(format!("a transfer changed {rows} accounts")))
            }
        }
    }
}

/// The one thread that reads.
struct Alone(Connection);

impl Balances for Alone {
    fn balance(&mut self, id: u32) -> Result<Option<i64>> {
        let mut statement = self.0.prepare_cached(READ).map_err(failed)?;
        statement
            .query_row(params![id], |row| row.get(0))
            .optional()
            .map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_moves_and_none_is_lost_whichever_way_threads_write() {
        let dir = tempfile::tempdir().expect("a directory");
        for writers in [Writers::Shared, Writers::Own] {
            let outcome = transactions(dir.path(), 200, 4, writers, Duration::from_millis(100), 1).expect("run");
            assert!(outcome.operations > 0 && outcome.threads == 4);
            assert_eq!(outcome.balances, Some(loaded_sum(200)));
        }
    }

    #[test]
    fn both_ways_of_locking_read_the_same_and_load_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let read = |locking| point_reads(dir.path(), 3_000, locking, Duration::from_millis(20), 2).expect("read");
        let (normal, exclusive) = (read(Locking::Normal), read(Locking::Exclusive));
        assert!(normal.operations > 0 && normal.operations == normal.rows_read);
        assert_eq!(normal.answers, exclusive.answers);
        let folder = Folder::open(dir.path(), "sqlite").expect("opened");
        assert_eq!(folder.loaded().as_deref(), Some("3000 accounts"));
    }
}
