//! Reads by primary key, in process: what a prepared `SELECT` of one row costs without a network.
//!
//! The table and the statement are those of `pgbench -S`. Each thread has a session of its own, and looks up keys that are
//! evenly distributed, one after the other, waiting for each answer; so a rate per thread is the inverse of a latency. The
//! rows lie in RocksDB, in the directory that is given, and after the first second in its caches if they fit.
//!
//! Left out: the wire (a client does that), and what a first execution costs, which happens before the time runs.

#![allow(
    clippy::disallowed_methods,
    reason = "a measurement runs for a while, and waits meanwhile"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::rng::SeededRng;
use aion_base::{Error, Result};
use aion_catalog::Value;
use aion_db::{Database, DatabaseOptions, Prepared, Response, Session, SessionOptions};

use crate::report::{Arm, Line, Report as Found, Unit, median};

/// The statement that is run.
pub const STATEMENT: &str = "SELECT abalance FROM accounts WHERE aid = $1";

/// Rows of one INSERT while the table is filled.
const LOAD_ROWS: usize = 500;
/// INSERTs of one transaction.
const LOAD_STATEMENTS: usize = 20;
/// Of so many executions one is timed by itself.
const SAMPLE_EVERY: u64 = 64;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rows of the table.
    pub keys: u32,
    /// How long to measure.
    pub duration: Duration,
    /// Sessions at work, each on a thread of its own.
    pub threads: usize,
    /// An empty or missing directory for the database; None keeps it in memory, which is not the store that serves.
    pub directory: Option<PathBuf>,
    /// Whether the direct path may be taken.
    pub is_direct: bool,
    /// Decides which keys are looked up.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keys: 100_000,
            duration: Duration::from_secs(5),
            threads: 1,
            directory: None,
            is_direct: true,
            seed: 1,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for.
    pub options: Options,
    /// Statements run to their end, by all threads.
    pub statements: u64,
    /// For how long.
    pub elapsed: Duration,
    /// Of the statements that were timed by themselves: the median, the 99th percentile and the longest.
    pub latency: [Duration; 3],
}

impl Report {
    /// Statements in a second, of all threads together.
    pub fn per_second(&self) -> f64 {
        self.statements as f64 / self.elapsed.as_secs_f64()
    }
}

/// Measures `rounds` times each, in turn: one session, two sessions, and one without the direct path, on one database in `directory`.
///
/// # Errors
/// As [`run`].
pub fn report(
    directory: PathBuf,
    rounds: usize,
    duration: Duration,
    seed: u64,
    progress: &mut dyn FnMut(&str),
) -> Result<Found> {
    let options = Options {
        duration,
        seed,
        directory: Some(directory),
        ..Options::default()
    };
    progress("loading");
    let database = open(&options)?;
    let arms = [
        ("1 session", 1, true),
        ("2 sessions, a thread each", 2, true),
        ("1 session, direct path off", 1, false),
    ];
    let mut measured = arms.map(|_| (Vec::new(), Vec::new()));
    for round in 1..=rounds {
        for ((what, threads, is_direct), (rates, latencies)) in arms.iter().zip(&mut measured) {
            progress(&format!("{what}, round {round} of {rounds}"));
            let report = measure(
                &database,
                Options {
                    threads: *threads,
                    is_direct: *is_direct,
                    ..options.clone()
                },
            )?;
            rates.push(report.per_second());
            latencies.push(report.latency[0].as_secs_f64() * 1e6);
        }
    }
    database.close()?;
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    for ((what, ..), (runs, latencies)) in arms.iter().zip(measured) {
        notes.push(format!("{what}: median latency {:.2} us.", median(&latencies)));
        let name = "Aion".to_owned();
        lines.push(Line {
            what: (*what).to_owned(),
            ours: Arm { name, runs },
            peers: Vec::new(),
        });
    }
    Ok(Found {
        work: "point",
        about: format!(
            "`{STATEMENT}`, prepared, through sessions in this process, {} rows in RocksDB, random keys (seed {seed}), {} s a run. Every \
             answer has its one row, or the run fails.",
            options.keys,
            duration.as_secs()
        ),
        unit: Unit::PerSecond,
        lines,
        notes,
        is_equal: true,
    })
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let options = &self.options;
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        writeln!(f, "{STATEMENT}")?;
        writeln!(
            f,
            "{} keys, {} threads, {:.1} s, direct path {}, {}",
            options.keys,
            options.threads,
            self.elapsed.as_secs_f64(),
            if options.is_direct { "on" } else { "off" },
            if options.directory.is_some() {
                "in RocksDB"
            } else {
                "in memory"
            },
        )?;
        writeln!(f, "{:>12.0} statements/s", self.per_second())?;
        writeln!(
            f,
            "{:>12.2} us each, by thread",
            1e6 * options.threads as f64 / self.per_second()
        )?;
        let [median, high, longest] = self.latency.map(micros);
        write!(f, "{median:>12.2} us median, {high:.2} us p99, {longest:.2} us at most")
    }
}

/// Fills a table and looks up its rows.
///
/// # Errors
/// Those of the database, and internal when a row that is there is not found.
pub fn run(options: Options) -> Result<Report> {
    let database = open(&options)?;
    let report = measure(&database, options);
    database.close()?;
    report
}

/// A database with the table.
fn open(options: &Options) -> Result<Database> {
    let database_options = DatabaseOptions {
        threads: options.threads,
        ..DatabaseOptions::default()
    };
    let database = match &options.directory {
        Some(directory) => Database::open(directory, database_options)?,
        None => Database::in_memory(database_options)?,
    };
    runtime()?.block_on(load(&mut database.session(SessionOptions::default()), options.keys))?;
    Ok(database)
}

fn measure(database: &Database, options: Options) -> Result<Report> {
    let clock = SystemClock::default();
    let (start, stop) = (Barrier::new(options.threads + 1), AtomicBool::new(false));
    let mut rng = SeededRng::new(options.seed);
    let measured = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|_| {
                let session = database.session(SessionOptions::default());
                let (options, clock, rng, start, stop) = (&options, &clock, rng.split(), &start, &stop);
                scope.spawn(move || {
                    // Whatever failed, the others wait for this thread.
                    let ready = self::runtime().and_then(|runtime| {
                        let prepared = runtime.block_on(prepare(session, options.is_direct))?;
                        Ok((runtime, prepared))
                    });
                    start.wait();
                    let (runtime, (session, prepared)) = ready?;
                    runtime.block_on(look_up(session, &prepared, options.keys, rng, clock, stop))
                })
            })
            .collect();
        start.wait();
        let begun = clock.monotonic();
        std::thread::sleep(options.duration);
        stop.store(true, Ordering::Relaxed);
        let done: Result<Vec<_>> = threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Error::internal("a measuring thread panicked")))
            })
            .collect();
        done.map(|done| (done, clock.monotonic() - begun))
    });
    let (done, elapsed) = measured?;
    let statements = done.iter().map(|(count, _)| count).sum();
    let mut samples: Vec<Duration> = done.into_iter().flat_map(|(_, samples)| samples).collect();
    samples.sort_unstable();
    let quantile = |of_hundred: usize| {
        let at = (samples.len() * of_hundred / 100).min(samples.len().saturating_sub(1));
        samples.get(at).copied().unwrap_or_default()
    };
    Ok(Report {
        latency: [quantile(50), quantile(99), quantile(100)],
        options,
        statements,
        elapsed,
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("start a runtime", error))
}

/// Runs one statement, and gives the number of its rows.
async fn execute(session: &mut Session, prepared: &Arc<Prepared>, values: &[Value]) -> Result<usize> {
    match session.execute(prepared, values).await? {
        Response::Done { .. } => Ok(0),
        Response::Rows(mut rows) => {
            let mut count = 0;
            while let Some(batch) = rows.next().await? {
                count += batch.num_rows();
            }
            Ok(count)
        }
    }
}

async fn run_text(session: &mut Session, text: &str) -> Result<()> {
    for statement in session.parse(text)? {
        let prepared = session.prepare(&statement, &[]).await?;
        execute(session, &prepared, &[]).await?;
    }
    Ok(())
}

async fn load(session: &mut Session, keys: u32) -> Result<()> {
    run_text(
        session,
        "CREATE TABLE accounts (aid integer PRIMARY KEY, bid integer, abalance integer, filler varchar(84))",
    )
    .await?;
    let filler = "x".repeat(84);
    let keys: Vec<u32> = (1..=keys).collect();
    for transaction in keys.chunks(LOAD_ROWS * LOAD_STATEMENTS) {
        run_text(session, "BEGIN").await?;
        for rows in transaction.chunks(LOAD_ROWS) {
            let rows: Vec<_> = rows
                .iter()
                .map(|key| format!("({key}, 1, {key}, '{filler}')"))
                .collect();
            run_text(session, &format!("INSERT INTO accounts VALUES {}", rows.join(", "))).await?;
        }
        run_text(session, "COMMIT").await?;
    }
    Ok(())
}

/// A session with the statement prepared and run once.
async fn prepare(mut session: Session, is_direct: bool) -> Result<(Session, Arc<Prepared>)> {
    session.set("aion.direct_path", if is_direct { "on" } else { "off" })?;
    let statement = session.parse(STATEMENT)?.pop();
    let statement = statement.ok_or_else(|| Error::internal("the text is a statement"))?;
    let prepared = session.prepare(&statement, &[]).await?;
    execute(&mut session, &prepared, &[Value::I32(1)]).await?;
    Ok((session, prepared))
}

/// Looks up keys until it is told to stop: how many, and the times of some.
async fn look_up(
    mut session: Session,
    prepared: &Arc<Prepared>,
    keys: u32,
    mut rng: SeededRng,
    clock: &SystemClock,
    stop: &AtomicBool,
) -> Result<(u64, Vec<Duration>)> {
    let (mut count, mut samples) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let key = rng.below(keys.into()) as i32 + 1;
        let begun = (count % SAMPLE_EVERY == 0).then(|| clock.monotonic());
        let rows = execute(&mut session, prepared, &[Value::I32(key)]).await?;
        if rows != 1 {
            return Err(Error::internal(format!("{rows} accounts have the number {key}")));
        }
        if let Some(begun) = begun {
            samples.push(clock.monotonic() - begun);
        }
        count += 1;
    }
    Ok((count, samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_and_counted_on_both_paths() {
        for is_direct in [true, false] {
            let report = run(Options {
                keys: 1_200,
                duration: Duration::from_millis(50),
                threads: 2,
                is_direct,
                ..Options::default()
            })
            .expect("measured");
            assert!(report.statements > 0);
            assert!(report.to_string().contains("statements/s"), "{report}");
        }
    }
}
