//! Transactions of a few reads and writes of hot keys, whose history tells what order they had.
//!
//! **Lists.** `lists (k, v)`: a write appends an element to a text. Elements are unique, so every read shows the order of all
//! appends before it. A key is retired after some rounds, or the lists would grow without end.
//! **Registers.** `registers (k, v)`: a write replaces the value by one that nobody else writes. A read tells only whose value
//! it was; that of two writes one came later is known where one of them read the other, or was complete before it began.
//!
//! **Guarantee.** The steps of a client's plans follow from the seed alone. Which lists they are for follows from how far the run
//! is: clients that changed to other lists on their own would drift apart, and their transactions would not meet.

use std::collections::BTreeMap;

use aion_base::rng::SeededRng;

use super::client::{Blocks, Cells, Client, Failure, Place, Run, Value, drive, number};
use super::record::{Outcome, Transaction};

/// Keys in use at a time.
const KEYS: i32 = 5;

/// Rounds until the keys of lists are changed: with eight clients, about 40 elements for a list.
const ROUNDS_PER_EPOCH: usize = 20;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Appends, reads of whole lists.
    Lists,
    /// Writes and reads of unique values.
    Registers,
}

/// A micro-operation: one step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Micro {
    /// Appends the element to the list, or sets the register to it.
    Write(i32, i32),
    /// Reads a key.
    Read(i32),
    /// Reads all keys from the first to the last in one statement.
    Scan(i32, i32),
}

/// The steps of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Micro>,
    /// Rolled back in the end: nobody may see what it wrote.
    pub is_withdrawn: bool,
}

/// What a key held: the elements of a list; the one value of a register, or none.
pub type Held = Vec<i32>;

/// What the steps read: of a write nothing, of a scan one entry for each key.
pub type Seen = Vec<Vec<(i32, Held)>>;

/// A history with the state that it left.
#[derive(Clone, Debug)]
pub struct History {
    /// Lists or registers.
    pub kind: Kind,
    /// In order of completion. The last one reads all keys, if `last` is known.
    pub transactions: Vec<Transaction<Plan, Seen>>,
    /// What all keys held after the last transaction.
    pub last: Option<BTreeMap<i32, Held>>,
}

/// Makes the tables, empty.
pub const TABLES: &str = "DROP TABLE IF EXISTS lists; DROP TABLE IF EXISTS registers; \
     CREATE TABLE lists (k int PRIMARY KEY, v text); CREATE TABLE registers (k int PRIMARY KEY, v int)";

/// Runs a workload, then reads all keys.
pub async fn record(run: Run, kind: Kind) -> History {
    let mut transactions = drive(
        run,
        |rng, place| plan(run, kind, rng, place),
        async |client, plan| execute(kind, client, plan).await,
    )
    .await;
    let last = read_all(run, kind).await;
    let keys = transactions.iter().flat_map(|transaction| &transaction.plan.steps);
    let keys = keys.map(|step| match step {
        Micro::Write(key, _) | Micro::Read(key) | Micro::Scan(_, key) => *key,
    });
    let final_key = keys.max().unwrap_or(0);
    let seen = (0..=final_key)
        .map(|key| (key, last.get(&key).cloned().unwrap_or_default()))
        .collect();
    let now = 1 + transactions.last().map_or(0, |transaction| transaction.completed);
    transactions.push(Transaction {
        invoked: now,
        completed: now + 1,
        plan: Plan {
            steps: vec![Micro::Scan(0, final_key)],
            is_withdrawn: false,
        },
        outcome: Outcome::Committed(vec![seen]),
    });
    History {
        kind,
        transactions,
        last: Some(last),
    }
}

fn plan(run: Run, kind: Kind, rng: &mut SeededRng, place: Place) -> Plan {
    let base = match kind {
        Kind::Lists => i32::try_from(place.round / ROUNDS_PER_EPOCH).expect("few epochs") * KEYS,
        Kind::Registers => 0,
    };
    let steps = (0..=rng.below(5)).map(|at| {
        // Half of all on the hottest key, a quarter on the next, and so on.
        let key = base + i32::try_from(rng.next_u64().trailing_ones()).expect("64").min(KEYS - 1);
        match rng.below(20) {
            0..10 => Micro::Write(key, place.unique * 8 + i32::try_from(at).expect("at most 5")),
            10..19 => Micro::Read(key),
            _ => Micro::Scan(base, base + KEYS - 1),
        }
    });
    Plan {
        steps: steps.collect(),
        is_withdrawn: rng.chance(1, 16) && run.blocks == Blocks::Whole,
    }
}

async fn execute(kind: Kind, client: &mut Client, plan: &Plan) -> Result<Seen, Failure> {
    let mut seen = Vec::new();
    for step in &plan.steps {
        seen.push(match *step {
            Micro::Write(key, value) => {
                write(kind, client, key, value).await?;
                Vec::new()
            }
            Micro::Read(key) => {
                let sql = match kind {
                    Kind::Lists => "SELECT v FROM lists WHERE k = $1",
                    Kind::Registers => "SELECT v FROM registers WHERE k = $1",
                };
                let rows = client.rows(sql, &[Value::Int(key)]).await?;
                assert!(rows.len() <= 1, "{} rows have the primary key {key}", rows.len());
                vec![(key, rows.first().map_or_else(Vec::new, |row| held(&row[0])))]
            }
            Micro::Scan(first, last) => {
                let sql = match kind {
                    Kind::Lists => "SELECT k, v FROM lists WHERE k BETWEEN $1 AND $2",
                    Kind::Registers => "SELECT k, v FROM registers WHERE k BETWEEN $1 AND $2",
                };
                let rows = by_key(&client.rows(sql, &[Value::Int(first), Value::Int(last)]).await?);
                (first..=last)
                    .map(|key| (key, rows.get(&key).cloned().unwrap_or_default()))
                    .collect()
            }
        });
    }
    if plan.is_withdrawn {
        Err(Failure::Withdrawn)
    } else {
        Ok(seen)
    }
}

async fn write(kind: Kind, client: &mut Client, key: i32, value: i32) -> Result<(), Failure> {
    let (update, insert, value) = match kind {
        Kind::Lists => (
            "UPDATE lists SET v = v || ',' || $1 WHERE k = $2",
            "INSERT INTO lists (v, k) VALUES ($1, $2)",
            Value::Text(value.to_string()),
        ),
        Kind::Registers => (
            "UPDATE registers SET v = $1 WHERE k = $2",
            "INSERT INTO registers (v, k) VALUES ($1, $2)",
            Value::Int(value),
        ),
    };
    let values = [value, Value::Int(key)];
    if client.change(update, &values).await? == 0 {
        client.change(insert, &values).await?;
    }
    Ok(())
}

async fn read_all(run: Run, kind: Kind) -> BTreeMap<i32, Held> {
    let mut client = Client::connect(run.port, 0).await;
    let sql = match kind {
        Kind::Lists => "SELECT k, v FROM lists",
        Kind::Registers => "SELECT k, v FROM registers",
    };
    by_key(&client.rows(sql, &[]).await.expect("nobody else is there"))
}

fn by_key(rows: &[Cells]) -> BTreeMap<i32, Held> {
    let by_key: BTreeMap<i32, Held> = rows.iter().map(|row| (number(&row[0]), held(&row[1]))).collect();
    assert_eq!(by_key.len(), rows.len(), "a primary key twice in one result: {rows:?}");
    by_key
}

fn held(cell: &Option<String>) -> Held {
    let text = cell.as_deref().expect("not NULL");
    text.split(',')
        .map(|element| element.parse().expect("a number"))
        .collect()
}
