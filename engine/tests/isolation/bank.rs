//! Transfers between accounts: readers see one total, and what arrived is what was sent.
//!
//! A transfer reads two balances and writes two, either as numbers that the client computed or by an expression; at READ
//! COMMITTED only by an expression, since there a number may be computed from what others have replaced. A reader takes
//! all balances in one statement or, where the level has one snapshot, one after the other.

use std::collections::BTreeMap;

use super::client::{Client, Failure, Run, Value, drive, number};
use super::level::Level;
use super::record::{Outcome, Transaction, WITHDRAWN};

const ACCOUNTS: i32 = 6;
const INITIAL: i32 = 100;

/// A transaction of the bank.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Amount from one account to another.
    Transfer {
        from: i32,
        to: i32,
        amount: i32,
        by_expression: bool,
    },
    /// All balances.
    Look { one_by_one: bool },
}

/// Balances by account; of a transfer none.
pub type Seen = BTreeMap<i32, i32>;

/// A history with the balances after it.
#[derive(Debug)]
pub struct History {
    pub transactions: Vec<Transaction<Plan, Seen>>,
    last: Seen,
}

/// Makes the accounts.
pub fn tables() -> String {
    let rows: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, {INITIAL})")).collect();
    format!(
        "DROP TABLE IF EXISTS accounts; CREATE TABLE accounts (id int PRIMARY KEY, balance int); \
         INSERT INTO accounts VALUES {}",
        rows.join(", ")
    )
}

/// Runs the workload.
pub async fn record(run: Run) -> History {
    let transactions = drive(
        run,
        |rng, _| {
            let mut account = || i32::try_from(rng.below(ACCOUNTS as u64)).expect("few");
            let (from, to) = (account(), account());
            let level = run.level;
            match rng.below(3) {
                0 => Plan::Look {
                    one_by_one: level.is_one_snapshot() && rng.chance(1, 2),
                },
                _ => Plan::Transfer {
                    from,
                    to: if from == to { (to + 1) % ACCOUNTS } else { to },
                    amount: i32::try_from(rng.below(30)).expect("few") + 1,
                    by_expression: !level.is_one_snapshot() || rng.chance(1, 2),
                },
            }
        },
        execute,
    )
    .await;
    let mut client = Client::connect(run.port, 0).await;
    let last = look(&mut client).await.expect("nobody else is there");
    History { transactions, last }
}

async fn execute(client: &mut Client, plan: &Plan) -> Result<Seen, Failure> {
    match *plan {
        Plan::Look { one_by_one: false } => look(client).await,
        Plan::Look { one_by_one: true } => {
            let mut seen = Seen::new();
            for id in 0..ACCOUNTS {
                seen.insert(id, balance(client, id).await?);
            }
            Ok(seen)
        }
        Plan::Transfer {
            from,
            to,
            amount,
            by_expression: false,
        } => {
            let (giver, taker) = (balance(client, from).await?, balance(client, to).await?);
            if giver < amount {
                return Err(Failure::Withdrawn);
            }
            let sql = "UPDATE accounts SET balance = $1 WHERE id = $2";
            let values = |balance, id| [Value::Int(balance), Value::Int(id)];
            client.change(sql, &values(giver - amount, from)).await?;
            client.change(sql, &values(taker + amount, to)).await?;
            Ok(Seen::new())
        }
        Plan::Transfer { from, to, amount, .. } => {
            let take = "UPDATE accounts SET balance = balance - $1 WHERE id = $2 AND balance >= $1";
            let give = "UPDATE accounts SET balance = balance + $1 WHERE id = $2";
            if client.change(take, &[Value::Int(amount), Value::Int(from)]).await? == 0 {
                return Err(Failure::Withdrawn);
            }
            client.change(give, &[Value::Int(amount), Value::Int(to)]).await?;
            Ok(Seen::new())
        }
    }
}

async fn look(client: &mut Client) -> Result<Seen, Failure> {
    let rows = client.rows("SELECT id, balance FROM accounts", &[]).await?;
    Ok(rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect())
}

async fn balance(client: &mut Client, id: i32) -> Result<i32, Failure> {
    let rows = client
        .rows("SELECT balance FROM accounts WHERE id = $1", &[Value::Int(id)])
        .await?;
    Ok(number(&rows.first().expect("accounts stay")[0]))
}

/// Whether all readers saw the total, and the last balances are what the transfers make of the first.
pub fn check(history: &History, level: Level) -> Result<String, String> {
    let mut expected: Seen = (0..ACCOUNTS).map(|id| (id, INITIAL)).collect();
    let mut readers = 0;
    for transaction in &history.transactions {
        let Some(seen) = transaction.committed() else { continue };
        match transaction.plan {
            Plan::Transfer { from, to, amount, .. } => {
                *expected.entry(from).or_default() -= amount;
                *expected.entry(to).or_default() += amount;
            }
            Plan::Look { .. } => {
                is_whole(seen).map_err(|story| format!("{story}, at {}: {transaction:?}", level.sql()))?;
                readers += 1;
            }
        }
    }
    is_whole(&history.last).map_err(|story| format!("{story} in the end: {:?}", history.last))?;
    let is_certain = history
        .transactions
        .iter()
        .all(|transaction| transaction.committed().is_some() || !transaction.may_have_committed());
    if is_certain && history.last != expected {
        return Err(format!(
            "the balances are {:?}, the transfers make {expected:?}",
            history.last
        ));
    }
    let refused = history
        .transactions
        .iter()
        .filter(|each| each.failed_with(WITHDRAWN))
        .count();
    Ok(format!("; {readers} readers, {refused} transfers without cover"))
}

fn is_whole(seen: &Seen) -> Result<(), String> {
    let total: i32 = seen.values().sum();
    if seen.len() != ACCOUNTS as usize || total != ACCOUNTS * INITIAL {
        return Err(format!(
            "{} accounts hold {total} of {}",
            seen.len(),
            ACCOUNTS * INITIAL
        ));
    }
    match seen.iter().find(|(_, balance)| **balance < 0) {
        Some((id, balance)) => Err(format!("account {id} holds {balance}")),
        None => Ok(()),
    }
}

#[test]
fn money_that_appears_or_goes_is_found() {
    let initial: Seen = (0..ACCOUNTS).map(|id| (id, INITIAL)).collect();
    let changed = |changes: &[(i32, i32)]| {
        let mut balances = initial.clone();
        balances.extend(changes.iter().copied());
        balances
    };
    let transaction = |plan, outcome| Transaction {
        invoked: 0,
        completed: 1,
        plan,
        outcome,
    };
    let look = |seen| transaction(Plan::Look { one_by_one: true }, Outcome::Committed(seen));
    let transfer = |outcome| {
        let plan = Plan::Transfer {
            from: 0,
            to: 1,
            amount: 30,
            by_expression: false,
        };
        transaction(plan, outcome)
    };
    let verdict = |transactions, last| check(&History { transactions, last }, Level::Serializable);
    let moved = changed(&[(0, 70), (1, 130)]);
    let done = || transfer(Outcome::Committed(Seen::new()));

    assert!(verdict(vec![done(), look(moved.clone()), look(initial.clone())], moved.clone()).is_ok());
    let half = verdict(vec![done(), look(changed(&[(0, 70)]))], moved.clone());
    assert!(half.is_err_and(|story| story.contains("hold 570 of 600")));
    let lost = verdict(vec![done(), done()], moved.clone());
    assert!(lost.is_err_and(|story| story.contains("the transfers make")));
    let undead = verdict(
        vec![transfer(Outcome::Aborted("40001".to_owned(), String::new()))],
        moved.clone(),
    );
    assert!(undead.is_err_and(|story| story.contains("the transfers make")));
    let unknown = || transfer(Outcome::Unknown("40003".to_owned(), String::new()));
    assert!(verdict(vec![unknown()], moved).is_ok() && verdict(vec![unknown()], initial.clone()).is_ok());
    let below = verdict(Vec::new(), changed(&[(0, -10), (1, 210)]));
    assert!(below.is_err_and(|story| story.contains("account 0 holds -10")));
    let missing: Seen = initial.into_iter().skip(1).collect();
    assert!(verdict(vec![look(missing.clone())], missing).is_err());
}
