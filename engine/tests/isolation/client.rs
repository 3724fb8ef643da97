//! Clients that run transactions at the same time, and the recorder of what they did.
//!
//! **Vocabulary.** A *plan* is what a transaction is to do, drawn from the seed before it begins. A *way* is how a client
//! sends its statements; the clients of a run differ in it, so that transactions of all paths through the server meet.
//!
//! **How.** All clients are futures on one thread: each waits for its own answers, so the server has a transaction of each
//! of them at a time, and no clock has to be shared. Each plan is tried once; failures are part of the history.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use aion_base::rng::SeededRng;
use futures::future::join_all;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, NoTls, Row, SimpleQueryMessage, Statement};

use super::level::Level;
use super::record::{Outcome, Transaction, WITHDRAWN};

/// A transaction that takes longer is stuck.
const TRANSACTION_MAX: Duration = Duration::from_secs(120);

/// A parameter of a statement.
#[derive(Clone, Debug)]
pub enum Value {
    /// int.
    Int(i32),
    /// text.
    Text(String),
}

impl Value {
    fn literal(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
        }
    }

    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Int(number) => number,
            Self::Text(text) => text,
        }
    }
}

/// Why a statement did not do what the plan says.
#[derive(Debug)]
pub enum Failure {
    /// The server refused it.
    Refused(Error),
    /// The plan asks to roll back.
    Withdrawn,
}

/// How a client sends its statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Prepared once, with parameters.
    Prepared,
    /// As text with literals.
    Text,
}

/// A row as text.
pub type Cells = Vec<Option<String>>;

/// One connection.
pub struct Client {
    connection: tokio_postgres::Client,
    way: Way,
    statements: HashMap<String, Statement>,
}

impl Client {
    /// Connects. Of each four, one sends text, and one has all its statements planned.
    pub async fn connect(port: u16, number: usize) -> Self {
        let text = format!("host=127.0.0.1 port={port} user=aion dbname=aion");
        let (connection, answers) = tokio_postgres::connect(&text, NoTls).await.expect("connects");
        tokio::spawn(answers);
        let way = if number % 4 == 1 { Way::Text } else { Way::Prepared };
        if number % 4 == 2 {
            connection
                .batch_execute("SET aion.direct_path = off")
                .await
                .expect("a setting");
        }
        Self {
            connection,
            way,
            statements: HashMap::new(),
        }
    }

    /// Statements without results, outside the history.
    pub async fn script(&self, sql: &str) {
        self.connection.batch_execute(sql).await.expect("it runs");
    }

    /// The rows of a query with `$1`, `$2`, ... for the values.
    pub async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Cells>, Failure> {
        if self.way == Way::Text {
            let (rows, _) = self.simple(sql, values).await?;
            return Ok(rows);
        }
        let statement = self.statement(sql).await?;
        let parameters: Vec<_> = values.iter().map(Value::parameter).collect();
        let rows = self.connection.query(&statement, &parameters).await;
        Ok(rows.map_err(Failure::Refused)?.iter().map(cells).collect())
    }

    /// How many rows a change has changed.
    pub async fn change(&mut self, sql: &str, values: &[Value]) -> Result<u64, Failure> {
        if self.way == Way::Text {
            let (_, changed) = self.simple(sql, values).await?;
            return Ok(changed);
        }
        let statement = self.statement(sql).await?;
        let parameters: Vec<_> = values.iter().map(Value::parameter).collect();
        let changed = self.connection.execute(&statement, &parameters).await;
        changed.map_err(Failure::Refused)
    }

    async fn simple(&self, sql: &str, values: &[Value]) -> Result<(Vec<Cells>, u64), Failure> {
        let mut text = sql.to_owned();
        for (at, value) in values.iter().enumerate().rev() {
            text = text.replace(&format!("${}", at + 1), &value.literal());
        }
        let messages = self.connection.simple_query(&text).await.map_err(Failure::Refused)?;
        let (mut rows, mut changed) = (Vec::new(), 0);
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
                }
                SimpleQueryMessage::CommandComplete(count) => changed = count,
                _ => {}
            }
        }
        Ok((rows, changed))
    }

    async fn statement(&mut self, sql: &str) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.connection.prepare(sql).await.map_err(Failure::Refused)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// BEGIN, `body`, COMMIT; ROLLBACK after the first failure.
    async fn transaction<R>(
        &mut self,
        run: Run,
        body: impl AsyncFnOnce(&mut Self) -> Result<R, Failure>,
    ) -> Outcome<R> {
        if run.blocks == Blocks::None {
            return match body(self).await {
                Ok(seen) => Outcome::Committed(seen),
                Err(failure) => not_done(&failure),
            };
        }
        let begin = format!("BEGIN ISOLATION LEVEL {}", run.level.sql());
        if let Err(error) = self.connection.batch_execute(&begin).await {
            return aborted(&error);
        }
        match body(self).await {
            Ok(seen) => match self.connection.batch_execute("COMMIT").await {
                Ok(()) => Outcome::Committed(seen),
                Err(error) => after_commit(&error),
            },
            Err(failure) => {
                // Without COMMIT nothing is written, whatever becomes of this.
                let _ = self.connection.batch_execute("ROLLBACK").await;
                not_done(&failure)
            }
        }
    }
}

fn cells(row: &Row) -> Cells {
    let cell = |at: usize| match *row.columns()[at].type_() {
        Type::INT4 => row.get::<_, Option<i32>>(at).map(|number| number.to_string()),
        Type::INT8 => row.get::<_, Option<i64>>(at).map(|number| number.to_string()),
        Type::TEXT => row.get::<_, Option<String>>(at),
        ref other => panic!("no workload reads a column of type {other}"),
    };
    (0..row.len()).map(cell).collect()
}

/// A cell that holds a number.
pub fn number(cell: &Option<String>) -> i32 {
    let text = cell.as_deref().expect("not NULL");
    text.parse().expect("a number")
}

fn code(error: &Error) -> (String, String) {
    match error.as_db_error() {
        Some(refused) => (refused.code().code().to_owned(), refused.message().to_owned()),
        None if error.is_closed() => ("08006".to_owned(), error.to_string()),
        // The driver did not even send it, or did not understand the answer.
        None => ("a driver's error".to_owned(), error.to_string()),
    }
}

fn not_done<R>(failure: &Failure) -> Outcome<R> {
    match failure {
        Failure::Refused(error) => aborted(error),
        Failure::Withdrawn => Outcome::Aborted(WITHDRAWN.to_owned(), "withdrawn".to_owned()),
    }
}

fn aborted<R>(error: &Error) -> Outcome<R> {
    let (code, message) = code(error);
    Outcome::Aborted(code, message)
}

/// Only classes 23 and 40 say that a COMMIT has no effect, and 40003 says that nobody knows.
fn after_commit<R>(error: &Error) -> Outcome<R> {
    let (code, message) = code(error);
    let is_certain = code != "40003" && (code.starts_with("23") || code.starts_with("40"));
    if is_certain {
        Outcome::Aborted(code, message)
    } else {
        Outcome::Unknown(code, message)
    }
}

/// What stands around the statements of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// BEGIN and COMMIT.
    Whole,
    /// Nothing: each statement commits by itself. A control, whose history the checkers have to refuse.
    None,
}

/// What a run is.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The server's port.
    pub port: u16,
    /// The level of every transaction.
    pub level: Level,
    /// Whether they are transactions at all.
    pub blocks: Blocks,
    /// How many at a time.
    pub clients: usize,
    /// How many in all.
    pub transactions: usize,
    /// What all plans are drawn from.
    pub seed: u64,
}

/// Which transaction a plan is for.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// How many times as many as there are clients have begun: all clients are in one round, or they would no longer meet.
    pub round: usize,
    /// A number that no other transaction of the run has.
    pub unique: i32,
}

impl Place {
    fn new(begun_before: usize, clients: usize) -> Self {
        Self {
            round: begun_before / clients,
            unique: i32::try_from(begun_before + 1).expect("fewer than 2^31 transactions"),
        }
    }
}

/// Runs the transactions and gives the history, in order of completion.
pub async fn drive<P, R>(
    run: Run,
    plan: impl Fn(&mut SeededRng, Place) -> P,
    execute: impl AsyncFn(&mut Client, &P) -> Result<R, Failure>,
) -> Vec<Transaction<P, R>> {
    let (counter, begun) = (Cell::new(0u64), Cell::new(0usize));
    let tick = || counter.replace(counter.get() + 1);
    let mut seeds = SeededRng::new(run.seed);
    let generators: Vec<SeededRng> = (0..run.clients).map(|_| seeds.split()).collect();
    let (plan, execute, tick, begun) = (&plan, &execute, &tick, &begun);
    let clients = generators.into_iter().enumerate().map(|(number, mut rng)| async move {
        let mut client = Client::connect(run.port, number).await;
        let mut history = Vec::new();
        while begun.get() < run.transactions {
            let place = Place::new(begun.replace(begun.get() + 1), run.clients);
            let plan = plan(&mut rng, place);
            let invoked = tick();
            let ending = client.transaction(run, async |client| execute(client, &plan).await);
            let outcome = in_time(ending, place, run.seed).await;
            history.push(Transaction {
                invoked,
                completed: tick(),
                plan,
                outcome,
            });
        }
        history
    });
    let mut history: Vec<_> = join_all(clients).await.into_iter().flatten().collect();
    history.sort_by_key(|transaction| transaction.completed);
    history
}

async fn in_time<R>(ending: impl Future<Output = R>, place: Place, seed: u64) -> R {
    match tokio::time::timeout(TRANSACTION_MAX, ending).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("{place:?} of seed {seed} has no answer after {TRANSACTION_MAX:?}"),
    }
}
