//! Unique keys under concurrent inserts: a name has one owner at a time.
//!
//! Transactions give a name to a new owner, or take it from the one who has it. A name is unique by an index in one table and
//! by the primary key in another. An owner certainly holds a name from the acknowledged insert to the call that deletes it, and
//! may hold it from the call of the insert to the acknowledged delete.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{Client, Failure, Run, Value, drive, number};
use super::record::{Outcome, Transaction};

const NAMES: u64 = 4;

/// Which table, whose column `name` is unique by what it is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// A unique index on it.
    Index,
    /// It is the key of the rows.
    PrimaryKey,
}

/// A transaction on a name.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Insert it for this owner.
    Give { by: By, name: i32, owner: i32 },
    /// Delete it, whosever it is.
    Take { by: By, name: i32 },
}

/// The owner from whom it was taken.
pub type Seen = Option<i32>;

/// A history with the owners after it.
#[derive(Debug)]
pub struct History {
    pub transactions: Vec<Transaction<Plan, Seen>>,
    last: Vec<(By, i32, i32)>,
}

/// Makes the tables, empty.
pub const TABLES: &str = "DROP TABLE IF EXISTS names; DROP TABLE IF EXISTS keys; \
     CREATE TABLE names (owner int PRIMARY KEY, name int); CREATE UNIQUE INDEX names_name ON names (name); \
     CREATE TABLE keys (owner int, name int PRIMARY KEY)";

/// Runs the workload.
pub async fn record(run: Run) -> History {
    let transactions = drive(
        run,
        |rng, place| {
            let by = if rng.chance(1, 2) { By::Index } else { By::PrimaryKey };
            let name = i32::try_from(rng.below(NAMES)).expect("few");
            match rng.chance(1, 2) {
                true => Plan::Give {
                    by,
                    name,
                    owner: place.unique,
                },
                false => Plan::Take { by, name },
            }
        },
        execute,
    )
    .await;
    let mut client = Client::connect(run.port, 0).await;
    let mut last = Vec::new();
    for (by, sql) in [
        (By::Index, "SELECT owner, name FROM names"),
        (By::PrimaryKey, "SELECT owner, name FROM keys"),
    ] {
        let rows = client.rows(sql, &[]).await.expect("nobody else is there");
        last.extend(rows.iter().map(|row| (by, number(&row[1]), number(&row[0]))));
    }
    History { transactions, last }
}

async fn execute(client: &mut Client, plan: &Plan) -> Result<Seen, Failure> {
    match *plan {
        Plan::Give { by, name, owner } => {
            let sql = match by {
                By::Index => "INSERT INTO names (owner, name) VALUES ($1, $2)",
                By::PrimaryKey => "INSERT INTO keys (owner, name) VALUES ($1, $2)",
            };
            client.change(sql, &[Value::Int(owner), Value::Int(name)]).await?;
            Ok(None)
        }
        Plan::Take { by, name } => {
            let (find, delete) = match by {
                By::Index => (
                    "SELECT owner FROM names WHERE name = $1",
                    "DELETE FROM names WHERE name = $1 AND owner = $2",
                ),
                By::PrimaryKey => (
                    "SELECT owner FROM keys WHERE name = $1",
                    "DELETE FROM keys WHERE name = $1 AND owner = $2",
                ),
            };
            let rows = client.rows(find, &[Value::Int(name)]).await?;
            assert!(rows.len() <= 1, "name {name} has several owners: {rows:?}");
            let Some(row) = rows.first() else { return Ok(None) };
            let owner = number(&row[0]);
            let deleted = client.change(delete, &[Value::Int(name), Value::Int(owner)]).await?;
            // At READ COMMITTED another may have been faster.
            Ok((deleted == 1).then_some(owner))
        }
    }
}

/// When an owner had a name: at most, and at least.
#[derive(Clone, Copy, Debug)]
struct Tenure {
    owner: i32,
    possible: (u64, u64),
    certain: (u64, u64),
}

/// No two owners certainly had a name at once, nobody was refused (23505) while certainly nobody had it, each was deleted
/// once, and who is left in the end is who was not deleted.
pub fn check(history: &History) -> Result<String, String> {
    let tenures = tenures(history)?;
    for ((by, name), tenures) in &tenures {
        let mut by_start: Vec<&Tenure> = tenures.iter().filter(|each| each.certain.0 < each.certain.1).collect();
        by_start.sort_by_key(|each| each.certain.0);
        let overlap = by_start.windows(2).find(|pair| pair[1].certain.0 < pair[0].certain.1);
        if let Some(pair) = overlap {
            let owners = (pair[0].owner, pair[1].owner);
            return Err(format!(
                "name {name} by {by:?} had two owners at once, {owners:?}: {pair:?}"
            ));
        }
    }
    let mut refused = 0;
    for transaction in history.transactions.iter().filter(|each| each.failed_with("23505")) {
        let Plan::Give { by, name, .. } = transaction.plan else {
            return Err(format!("a delete was refused as a duplicate: {transaction:?}"));
        };
        let meets = |each: &Tenure| each.possible.0 < transaction.completed && transaction.invoked < each.possible.1;
        if !tenures
            .get(&(by, name))
            .is_some_and(|tenures| tenures.iter().any(meets))
        {
            return Err(format!("refused although nobody had the name: {transaction:?}"));
        }
        refused += 1;
    }
    let names: BTreeSet<(By, i32)> = history.last.iter().map(|(by, name, _)| (*by, *name)).collect();
    if names.len() != history.last.len() {
        return Err(format!("a name has two rows in the end: {:?}", history.last));
    }
    Ok(format!("; {refused} refused for a name that was taken"))
}

fn tenures(history: &History) -> Result<BTreeMap<(By, i32), Vec<Tenure>>, String> {
    let mut taken: BTreeMap<(By, i32, i32), (u64, u64)> = BTreeMap::new();
    let mut is_unknown = BTreeSet::new();
    for transaction in &history.transactions {
        if let Plan::Take { by, name } = transaction.plan {
            match transaction.committed() {
                Some(Some(owner)) => {
                    let times = (transaction.invoked, transaction.completed);
                    if taken.insert((by, name, *owner), times).is_some() {
                        return Err(format!("owner {owner} lost name {name} twice: {transaction:?}"));
                    }
                }
                Some(None) => {}
                None if transaction.may_have_committed() => drop(is_unknown.insert((by, name))),
                None => {}
            }
        }
    }
    let last: BTreeSet<(By, i32, i32)> = history.last.iter().copied().collect();
    let mut tenures: BTreeMap<(By, i32), Vec<Tenure>> = BTreeMap::new();
    let mut given = BTreeSet::new();
    for transaction in history.transactions.iter().filter(|each| each.may_have_committed()) {
        let Plan::Give { by, name, owner } = transaction.plan else {
            continue;
        };
        given.insert((by, name, owner));
        let end = taken.get(&(by, name, owner)).copied();
        let is_left = last.contains(&(by, name, owner));
        let is_certain = transaction.committed().is_some();
        if end.is_some() && is_left {
            return Err(format!("owner {owner} is left with name {name}, which was taken"));
        }
        // The answer to some delete was lost: it may have been this one's.
        let may_be_taken = is_unknown.contains(&(by, name));
        if is_certain && end.is_none() && !is_left && !may_be_taken {
            return Err(format!("owner {owner} has lost name {name} to nobody: {transaction:?}"));
        }
        let (first_end, last_end) = end.unwrap_or((u64::MAX, u64::MAX));
        let known = is_certain && !(may_be_taken && end.is_none());
        tenures.entry((by, name)).or_default().push(Tenure {
            owner,
            possible: (transaction.invoked, last_end),
            certain: if known {
                (transaction.completed, first_end)
            } else {
                (0, 0)
            },
        });
    }
    match taken.keys().chain(&last).find(|owned| !given.contains(owned)) {
        Some(stray) => Err(format!("{stray:?} had a name that nobody gave")),
        None => Ok(tenures),
    }
}

#[test]
fn two_owners_a_false_refusal_and_a_lost_row_are_found() {
    let by = By::Index;
    let at = |invoked: u64, plan, outcome| Transaction {
        invoked,
        completed: invoked + 2,
        plan,
        outcome,
    };
    let give = |invoked, owner| at(invoked, Plan::Give { by, name: 1, owner }, Outcome::Committed(None));
    let take = |invoked, owner| at(invoked, Plan::Take { by, name: 1 }, Outcome::Committed(Some(owner)));
    let refused = |invoked| {
        let outcome = Outcome::Aborted("23505".to_owned(), String::new());
        at(invoked, Plan::Give { by, name: 1, owner: 9 }, outcome)
    };
    let verdict = |transactions: Vec<_>, last: &[i32]| {
        let last = last.iter().map(|owner| (by, 1, *owner)).collect();
        check(&History { transactions, last })
    };
    let says = |verdict: Result<String, String>, words: &str| verdict.is_err_and(|story| story.contains(words));

    assert!(verdict(vec![give(0, 7), refused(1), take(10, 7), give(11, 8)], &[8]).is_ok());
    // The call that deletes may have waited for the one that inserts.
    assert!(verdict(vec![give(0, 7), give(4, 8), take(1, 7)], &[8]).is_ok());
    assert!(says(
        verdict(vec![give(0, 7), give(4, 8), take(8, 7)], &[8]),
        "two owners at once"
    ));
    assert!(says(
        verdict(vec![give(0, 7), give(0, 8)], &[7, 8]),
        "two owners at once"
    ));
    assert!(says(verdict(vec![refused(0)], &[]), "nobody had the name"));
    assert!(says(
        verdict(vec![give(0, 7), take(4, 7), refused(8)], &[]),
        "nobody had the name"
    ));
    assert!(says(verdict(vec![give(0, 7)], &[]), "to nobody"));
    assert!(says(verdict(vec![give(0, 7), take(4, 7)], &[7]), "which was taken"));
    assert!(says(verdict(vec![give(0, 7), take(4, 7), take(4, 7)], &[]), "twice"));
    assert!(says(verdict(vec![], &[7]), "nobody gave"));
}
