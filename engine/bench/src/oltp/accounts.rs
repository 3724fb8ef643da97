//! Accounts in this process, beside SQLite: small durable transactions, and reads by primary key.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use aion_base::rng::SeededRng;
use aion_base::{Error, Result};
use aion_catalog::{SqlType, Value};
use aion_db::{Database, DatabaseOptions, Prepared};
use aion_workload::accounts::{ACCOUNTS, Balances, Bank, FILLER_BYTES, Reader, Teller, loaded_balance, loaded_sum};
use aion_workload::driver::{Measured, drive};
use aion_workload::outcome::{Outcome, shown};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::seat::Seat;
use super::{Row, Run, peers};
use crate::embedded::Embedded;
use crate::report::{Arm, Line, Report, Unit, count, median};

const THREADS: usize = 8;
/// Accounts that are read.
const READ_ACCOUNTS: u32 = 1_000_000;

const TABLE: &str = "CREATE TABLE accounts (id integer PRIMARY KEY, balance bigint NOT NULL, filler text NOT NULL)";
const ADD: &str = "UPDATE accounts SET balance = balance + $1 WHERE id = $2";
const READ: &str = "SELECT balance FROM accounts WHERE id = $1";

/// The runs of one arm, with what is told of them.
#[derive(Debug, Default)]
pub struct Runs {
    rates: Vec<f64>,
    means_us: Vec<f64>,
    highs_us: Vec<f64>,
    retries: u64,
}

impl Runs {
    /// Takes in a run of ours.
    pub fn add_measured(&mut self, measured: &Measured) {
        self.add(&Outcome::default().with_measured(measured));
    }

    /// Takes in a run.
    pub fn add(&mut self, outcome: &Outcome) {
        let [mean, _, high, _] = outcome.latency_us;
        self.rates.push(outcome.per_second);
        self.means_us.push(mean);
        self.highs_us.push(high);
        self.retries += outcome.retries;
    }

    /// As an arm of a report.
    pub fn arm(&self, name: &str) -> Arm {
        Arm {
            name: name.to_owned(),
            runs: self.rates.clone(),
        }
    }

    /// What is told beside the rate.
    pub fn told(&self, name: &str) -> String {
        format!(
            "{name}: mean latency {:.1} us, p99 {:.1} us, {} retries.",
            median(&self.means_us),
            median(&self.highs_us),
            count(self.retries)
        )
    }
}

/// Small durable transactions on eight threads.
///
/// # Errors
/// Those of either engine; internal where money was lost.
pub fn transactions(aion: &Path, run: &mut Run<'_>) -> Result<Report> {
    let database = load(Row::SqliteTxns, ACCOUNTS, run)?;
    let (mut ours, mut theirs) = (Runs::default(), [Runs::default(), Runs::default()]);
    let mut engine = String::new();
    let mut rng = SeededRng::new(run.options.seed);
    for round in 1..=run.options.rounds {
        (run.progress)(&format!("sqlite-txns, round {round} of {}: Aion", run.options.rounds));
        let tellers: Vec<_> = (0..THREADS)
            .map(|_| Ok(Teller::new(Account::new(&database)?, ACCOUNTS, rng.split())))
            .collect::<Result<_>>()?;
        ours.add_measured(&drive(tellers, run.options.duration)?);
        for (runs, writers) in theirs.iter_mut().zip(["shared", "own"]) {
            (run.progress)(&format!("sqlite-txns, round {round} of {}: SQLite", run.options.rounds));
            let threads = THREADS.to_string();
            let arguments = ["sqlite", "txns", "--threads", &threads, "--writers", writers];
            // It ends with an error where money was lost.
            let outcome = peers::run(aion, &arguments, run)?;
            runs.add(&outcome);
            outcome.engine.clone_into(&mut engine);
        }
    }
    let found = sums(&database)?;
    let is_equal = found == (u64::from(ACCOUNTS), loaded_sum(ACCOUNTS));
    database.close()?;
    let names = [
        format!("{engine}, one connection"),
        format!("{engine}, a connection each"),
    ];
    let mut notes = vec![ours.told("Aion")];
    notes.extend(theirs.iter().zip(&names).map(|(runs, name)| runs.told(name)));
    notes.push(match is_equal {
        true => "Checked: on each, all accounts are there, and the sum of their balances is what it was.".to_owned(),
        false => format!(
            "WRONG on Aion: {found:?} accounts and sum, loaded were {:?}",
            (ACCOUNTS, loaded_sum(ACCOUNTS))
        ),
    });
    Ok(Report {
        work: Row::SqliteTxns.section(),
        about: format!(
            "{THREADS} threads in one process; each transaction moves money between two of {} accounts, and is durable when it is answered; \
             {} s a run. SQLite in WAL mode with synchronous=FULL, its writers through one connection or through one each.",
            count(ACCOUNTS.into()),
            run.options.duration.as_secs()
        ),
        unit: Unit::PerSecond,
        lines: vec![Line {
            what: "transactions".to_owned(),
            ours: ours.arm("Aion"),
            peers: theirs.iter().zip(&names).map(|(runs, name)| runs.arm(name)).collect(),
        }],
        notes,
        is_equal,
    })
}

/// Reads by primary key on one thread.
///
/// # Errors
/// Those of either engine.
pub fn point_reads(aion: &Path, run: &mut Run<'_>) -> Result<Report> {
    let database = load(Row::SqlitePoint, READ_ACCOUNTS, run)?;
    let (mut ours, mut theirs) = (Runs::default(), [Runs::default(), Runs::default()]);
    let (mut engine, mut answers) = (String::new(), Vec::new());
    let rows = READ_ACCOUNTS.to_string();
    for round in 1..=run.options.rounds {
        (run.progress)(&format!("sqlite-point, round {round} of {}: Aion", run.options.rounds));
        let rng = SeededRng::new(run.options.seed);
        let mut reader = Reader::new(Account::new(&database)?, READ_ACCOUNTS, rng);
        answers.push(Some(shown(reader.check()?)));
        ours.add_measured(&drive(vec![reader], run.options.duration)?);
        let normal = ["sqlite", "point-read", "--rows", &rows];
        let exclusive = ["sqlite", "point-read", "--rows", &rows, "--exclusive"];
        for (runs, arguments) in theirs.iter_mut().zip([&normal[..], &exclusive[..]]) {
            (run.progress)(&format!(
                "sqlite-point, round {round} of {}: SQLite",
                run.options.rounds
            ));
            let outcome = peers::run(aion, arguments, run)?;
            runs.add(&outcome);
            outcome.engine.clone_into(&mut engine);
            answers.push(outcome.answers);
        }
    }
    database.close()?;
    let is_equal = answers.windows(2).all(|pair| pair[0].is_some() && pair[0] == pair[1]);
    let names = [engine.clone(), format!("{engine}, exclusive lock")];
    let mut notes = vec![ours.told("Aion")];
    notes.extend(theirs.iter().zip(&names).map(|(runs, name)| runs.told(name)));
    notes.push(match is_equal {
        true => "Checked: the first 10,000 reads of each run add up to the same.".to_owned(),
        false => format!("The first reads are DIFFERENT: {answers:?}"),
    });
    Ok(Report {
        work: Row::SqlitePoint.section(),
        about: format!(
            "`SELECT balance FROM accounts WHERE id = ?`, prepared, on one thread of one process, {} accounts, all alike; {} s a run.",
            count(READ_ACCOUNTS.into()),
            run.options.duration.as_secs()
        ),
        unit: Unit::PerSecond,
        lines: vec![Line {
            what: "reads".to_owned(),
            ours: ours.arm("Aion"),
            peers: theirs.iter().zip(&names).map(|(runs, name)| runs.arm(name)).collect(),
        }],
        notes,
        is_equal,
    })
}

/// A database with so many accounts.
fn load(row: Row, accounts: u32, run: &mut Run<'_>) -> Result<Database> {
    (run.progress)(&format!("{row}: loading Aion"));
    let path = run.folder.join(format!("{row}.csv"));
    let failed = |error| Error::io(format_args!("write {}", path.display()), error);
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).map_err(failed)?);
    let filler = "x".repeat(FILLER_BYTES);
    for id in 1..=accounts {
        writeln!(file, "{id},{},{filler}", loaded_balance(id)).map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    let database = Database::open(&run.folder.join(row.name()), DatabaseOptions::default())?;
    let mut embedded = Embedded::new(&database);
    embedded.script(TABLE)?;
    let sql_path = path.display().to_string().replace('\'', "''");
    embedded.script(&format!("COPY accounts FROM '{sql_path}' (FORMAT csv)"))?;
    embedded.script("ANALYZE accounts")?;
    drop(embedded);
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(database)
}

/// How many accounts there are, and the sum of their balances.
fn sums(database: &Database) -> Result<(u64, i64)> {
    let mut embedded = Embedded::new(database);
    let prepared = embedded.prepare("SELECT count(*), sum(balance) FROM accounts")?;
    let rows = embedded.run(&prepared, &[])?.rows;
    let number = |at: usize| -> Option<i64> { rows.first()?.get(at)?.as_ref()?.parse().ok() };
    match (number(0), number(1)) {
        (Some(accounts), Some(sum)) => Ok((accounts.unsigned_abs(), sum)),
        _ => Err(Error::internal(format!("{rows:?} are no sums"))),
    }
}

/// One thread's session.
struct Account {
    seat: Seat,
    begin: Arc<Prepared>,
    add: Arc<Prepared>,
    commit: Arc<Prepared>,
    rollback: Arc<Prepared>,
    read: Arc<Prepared>,
}

impl Account {
    fn new(database: &Database) -> Result<Self> {
        let mut seat = Seat::new(database)?;
        Ok(Self {
            begin: seat.prepare("BEGIN", &[])?,
            add: seat.prepare(ADD, &[SqlType::BigInt, SqlType::Integer])?,
            commit: seat.prepare("COMMIT", &[])?,
            rollback: seat.prepare("ROLLBACK", &[])?,
            read: seat.prepare(READ, &[SqlType::Integer])?,
            seat,
        })
    }

    fn try_transfer(&mut self, changes: [(u32, i64); 2]) -> Result<()> {
        self.seat.run(&self.begin, &[])?;
        for (id, amount) in changes {
            let values = [Value::I64(amount), Value::I32(id.cast_signed())];
            self.seat.change_one(&self.add, &values)?;
        }
        match self.seat.run(&self.commit, &[])?.as_str() {
            "COMMIT" => Ok(()),
            tag => Err(Error::internal(format!("COMMIT answered {tag}"))),
        }
    }
}

impl Bank for Account {
    fn transfer(&mut self, changes: [(u32, i64); 2]) -> Result<()> {
        let done = self.try_transfer(changes);
        if done.is_err() {
            // After a COMMIT that failed there is nothing to roll back, which is no error.
            self.seat.run(&self.rollback, &[])?;
            self.seat.forget_notices();
        }
        done
    }
}

impl Balances for Account {
    fn balance(&mut self, id: u32) -> Result<Option<i64>> {
        let mut balance = None;
        self.seat.read(&self.read, &[Value::I32(id.cast_signed())], |batch| {
            let balances = batch.column(0).as_primitive_opt::<Int64Type>();
            let balances = balances.ok_or_else(|| Error::internal("a balance is a bigint"))?;
            if !balances.is_empty() {
                balance = Some(balances.value(0));
            }
            Ok(())
        })?;
        Ok(balance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Loads a few accounts as a run does.
    fn with_accounts(row: Row, accounts: u32, body: impl FnOnce(Database)) {
        let dir = tempfile::tempdir().expect("a directory");
        let options = super::super::Options {
            rows: vec![row],
            scale: 1,
            rounds: 1,
            duration: Duration::from_millis(50),
            seed: 1,
        };
        let mut run = Run {
            options: &options,
            folder: dir.path(),
            progress: &mut |_: &str| {},
        };
        body(load(row, accounts, &mut run).expect("loaded"));
    }

    #[test]
    fn money_moves_on_two_threads_and_none_is_lost() {
        with_accounts(Row::SqliteTxns, 500, |database| {
            let mut rng = SeededRng::new(1);
            let tellers = [(); 2].map(|()| {
                let account = Account::new(&database).expect("a session");
                Teller::new(account, 500, rng.split())
            });
            let measured = drive(tellers.into(), Duration::from_millis(100)).expect("driven");
            assert!(measured.operations > 0);
            assert_eq!(sums(&database).expect("sums"), (500, loaded_sum(500)));
            database.close().expect("closed");
        });
    }

    #[test]
    fn balances_are_those_that_were_loaded() {
        with_accounts(Row::SqlitePoint, 300, |database| {
            let mut account = Account::new(&database).expect("a session");
            for id in 1..=300 {
                assert_eq!(account.balance(id).expect("read"), Some(loaded_balance(id)));
            }
            assert_eq!(account.balance(301).expect("read"), None);
            drop(account);
            database.close().expect("closed");
        });
    }
}
