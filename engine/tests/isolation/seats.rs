//! Phantoms: a room is filled by transactions that count the rows of those who came before.
//!
//! Whoever counts fewer than the capacity inserts a row of their own. No two write the same row, and the rows that would
//! change the count are not there yet, so only the range that was read can tell the conflict. Rooms of even number are
//! ranges of a primary key, those of odd number ranges of a secondary index.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{Client, Failure, Run, Value, drive, number};
use super::level::Level;
use super::record::{Outcome, Transaction};

const CAPACITY: i32 = 5;

/// Rounds until the next room is filled.
const ROUNDS_PER_ROOM: usize = 3;

/// Somebody who wants a place.
#[derive(Clone, Debug)]
pub struct Plan {
    room: i32,
    person: i32,
}

/// How many were there before.
pub type Seen = i32;

/// A history with the number of rows of each room after it.
#[derive(Debug)]
pub struct History {
    pub transactions: Vec<Transaction<Plan, Seen>>,
    last: BTreeMap<i32, i32>,
}

/// Makes the tables, empty.
pub const TABLES: &str = "DROP TABLE IF EXISTS seats; DROP TABLE IF EXISTS tickets; \
     CREATE TABLE seats (room int, person int, PRIMARY KEY (room, person)); \
     CREATE TABLE tickets (person int PRIMARY KEY, room int); CREATE INDEX tickets_room ON tickets (room)";

/// Runs the workload.
pub async fn record(run: Run) -> History {
    let transactions = drive(
        run,
        |rng, place| Plan {
            // Two rooms at a time, one of each table.
            room: i32::try_from(place.round / ROUNDS_PER_ROOM).expect("few") * 2 + i32::from(rng.chance(1, 2)),
            person: place.unique,
        },
        execute,
    )
    .await;
    let mut client = Client::connect(run.port, 0).await;
    let mut last = BTreeMap::new();
    for sql in ["SELECT room, person FROM seats", "SELECT room, person FROM tickets"] {
        for row in client.rows(sql, &[]).await.expect("nobody else is there") {
            *last.entry(number(&row[0])).or_default() += 1;
        }
    }
    History { transactions, last }
}

async fn execute(client: &mut Client, plan: &Plan) -> Result<Seen, Failure> {
    let (count, insert) = match plan.room % 2 {
        0 => (
            "SELECT count(*) FROM seats WHERE room = $1",
            "INSERT INTO seats (room, person) VALUES ($1, $2)",
        ),
        _ => (
            "SELECT count(*) FROM tickets WHERE room = $1",
            "INSERT INTO tickets (room, person) VALUES ($1, $2)",
        ),
    };
    let rows = client.rows(count, &[Value::Int(plan.room)]).await?;
    let before = number(&rows[0][0]);
    if before < CAPACITY {
        let values = [Value::Int(plan.room), Value::Int(plan.person)];
        client.change(insert, &values).await?;
    }
    Ok(before)
}

/// At SERIALIZABLE no two got a place after the same count, and no room holds too many. At every level, those who got a place
/// are the rows that are there.
pub fn check(history: &History, level: Level) -> Result<String, String> {
    let mut placed: BTreeMap<i32, i32> = BTreeMap::new();
    let mut unknown: BTreeMap<i32, i32> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    let mut same = 0;
    for transaction in &history.transactions {
        let room = transaction.plan.room;
        match transaction.committed() {
            Some(&before) if before < CAPACITY => {
                *placed.entry(room).or_default() += 1;
                let is_new = counted.insert((room, before));
                same += usize::from(!is_new);
                if !is_new && level.forbids_write_skew() {
                    return Err(format!(
                        "another one got the place after {before}, too: {transaction:?}"
                    ));
                }
            }
            Some(&before) if before > CAPACITY && level.forbids_write_skew() => {
                return Err(format!("{before} places are taken of {CAPACITY}: {transaction:?}"));
            }
            Some(_) => {}
            None if transaction.may_have_committed() => *unknown.entry(room).or_default() += 1,
            None => {}
        }
    }
    let rooms: BTreeSet<i32> = placed.keys().chain(history.last.keys()).copied().collect();
    for room in rooms {
        let of = |counts: &BTreeMap<i32, i32>| counts.get(&room).copied().unwrap_or(0);
        let (found, certain) = (of(&history.last), of(&placed));
        if found < certain || found > certain + of(&unknown) {
            return Err(format!("room {room} has {found} rows, and {certain} got a place"));
        }
        if found > CAPACITY && level.forbids_write_skew() {
            return Err(format!("room {room} has {found} rows of {CAPACITY}"));
        }
    }
    Ok(format!(
        "; {} rooms, {same} times a place was given twice",
        history.last.len()
    ))
}

#[test]
fn a_place_given_twice_is_found_where_the_level_forbids_it() {
    let history = |befores: &[i32], found: i32| History {
        transactions: befores
            .iter()
            .map(|before| Transaction {
                invoked: 0,
                completed: 1,
                plan: Plan { room: 2, person: 0 },
                outcome: Outcome::Committed(*before),
            })
            .collect(),
        last: BTreeMap::from([(2, found)]),
    };
    let verdict = |befores: &[i32], found, level| check(&history(befores, found), level);
    let full = [0, 1, 2, 3, 4, 5, 5];
    assert!(verdict(&full, 5, Level::Serializable).is_ok());
    assert!(verdict(&full, 4, Level::ReadCommitted).is_err_and(|story| story.contains("4 rows, and 5 got a place")));
    assert!(verdict(&full, 6, Level::ReadCommitted).is_err_and(|story| story.contains("6 rows, and 5 got a place")));
    let twice = [0, 1, 1];
    assert!(verdict(&twice, 3, Level::Serializable).is_err_and(|story| story.contains("the place after 1")));
    assert!(verdict(&twice, 3, Level::RepeatableRead).is_ok_and(|note| note.contains("1 times")));
    assert!(verdict(&[0, 6], 1, Level::Serializable).is_err_and(|story| story.contains("6 places are taken of 5")));
}
