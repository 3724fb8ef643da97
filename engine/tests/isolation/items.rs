//! A secondary index holds what its table holds, at every read point.
//!
//! Writers insert, move and delete rows of a few ids and codes; readers ask for one code through the index and by a filter that no
//! index serves, in one statement or, where the level has one snapshot, in two. Each row repeats its code in a column that
//! the index does not hold, so an entry that leads to another version of its row is found, too.

use aion_base::rng::SeededRng;

use super::client::{Cells, Client, Failure, Place, Run, Value, drive, number};
use super::record::{Outcome, Transaction};

const IDS: u64 = 24;
const CODES: u64 = 4;

/// A transaction on the items.
#[derive(Clone, Debug)]
pub enum Plan {
    /// A new row; refused if the id is there.
    Insert { id: i32, code: i32 },
    /// Another code for two rows.
    Move { ids: [i32; 2], code: i32 },
    /// A row less.
    Delete { id: i32 },
    /// Both ways to a code, within a transaction that also moves a row before, so that its own writes count.
    Compare {
        code: i32,
        one_statement: bool,
        own: Option<i32>,
    },
}

/// The ids of a code by the index and by the table, with what the rows say their code is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    by_index: Vec<(i32, i32)>,
    by_table: Vec<(i32, i32)>,
}

/// Makes the table, half filled.
pub fn tables() -> String {
    let rows = (0..IDS / 2).map(|id| format!("({id}, {code}, {code})", code = id % CODES));
    format!(
        "DROP TABLE IF EXISTS items; CREATE TABLE items (id int PRIMARY KEY, code int, note int); \
         CREATE INDEX items_code ON items (code); INSERT INTO items VALUES {}",
        rows.collect::<Vec<_>>().join(", ")
    )
}

/// Runs the workload, then compares each code.
pub async fn record(run: Run) -> Vec<Transaction<Plan, Seen>> {
    let plan = |rng: &mut SeededRng, _| {
        let mut below = |limit| i32::try_from(rng.below(limit)).expect("few");
        let (id, other, code) = (below(IDS), below(IDS), below(CODES));
        match below(8) {
            0 => Plan::Insert { id, code },
            1..4 => Plan::Move { ids: [id, other], code },
            4 => Plan::Delete { id },
            way => Plan::Compare {
                code,
                one_statement: !run.level.is_one_snapshot() || way == 5,
                own: (below(4) == 0).then_some(id),
            },
        }
    };
    let mut history = drive(run, plan, execute).await;
    let everything = Run {
        clients: 1,
        transactions: usize::try_from(CODES).expect("few"),
        ..run
    };
    let compare = |_: &mut SeededRng, place: Place| Plan::Compare {
        code: place.unique - 1,
        one_statement: true,
        own: None,
    };
    history.extend(drive(everything, compare, execute).await);
    history
}

async fn execute(client: &mut Client, plan: &Plan) -> Result<Seen, Failure> {
    let move_to = "UPDATE items SET code = $1, note = $1 WHERE id = $2";
    match *plan {
        Plan::Insert { id, code } => {
            let sql = "INSERT INTO items (id, code, note) VALUES ($1, $2, $2)";
            client.change(sql, &[Value::Int(id), Value::Int(code)]).await?;
            Ok(Seen::default())
        }
        Plan::Move { ids, code } => {
            for id in ids {
                client.change(move_to, &[Value::Int(code), Value::Int(id)]).await?;
            }
            Ok(Seen::default())
        }
        Plan::Delete { id } => {
            client
                .change("DELETE FROM items WHERE id = $1", &[Value::Int(id)])
                .await?;
            Ok(Seen::default())
        }
        Plan::Compare {
            code,
            one_statement,
            own,
        } => {
            if let Some(id) = own {
                client.change(move_to, &[Value::Int(code), Value::Int(id)]).await?;
            }
            compare(client, code, one_statement).await
        }
    }
}

async fn compare(client: &mut Client, code: i32, one_statement: bool) -> Result<Seen, Failure> {
    let code = [Value::Int(code)];
    let pairs = |rows: &[Cells]| {
        let mut pairs: Vec<(i32, i32)> = rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect();
        pairs.sort_unstable();
        pairs
    };
    if one_statement {
        let sql = "SELECT id, note, 0 FROM items WHERE code = $1 \
             UNION ALL SELECT id, note, 1 FROM items WHERE code + 0 = $1::int";
        let rows = client.rows(sql, &code).await?;
        let (by_index, by_table): (Vec<Cells>, Vec<Cells>) = rows.into_iter().partition(|row| number(&row[2]) == 0);
        return Ok(Seen {
            by_index: pairs(&by_index),
            by_table: pairs(&by_table),
        });
    }
    let by_index = client.rows("SELECT id, note FROM items WHERE code = $1", &code).await?;
    let by_table = client
        .rows("SELECT id, note FROM items WHERE code + 0 = $1::int", &code)
        .await?;
    Ok(Seen {
        by_index: pairs(&by_index),
        by_table: pairs(&by_table),
    })
}

/// Both ways led to the same rows, each of them once and of the code that was asked for.
pub fn check(history: &[Transaction<Plan, Seen>]) -> Result<String, String> {
    let mut compared = 0;
    for transaction in history {
        let Some(seen) = transaction.committed() else { continue };
        if seen.by_index != seen.by_table {
            return Err(format!("the index and its table differ: {transaction:?}"));
        }
        if let Some(twice) = seen.by_index.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("row {} came twice: {transaction:?}", twice[0].0));
        }
        if let Plan::Compare { code, .. } = transaction.plan {
            if let Some((id, note)) = seen.by_index.iter().find(|(_, note)| *note != code) {
                return Err(format!("row {id} is of code {note}: {transaction:?}"));
            }
            compared += 1;
        }
    }
    Ok(format!("; compared {compared} times"))
}

#[test]
fn an_index_that_lags_is_found() {
    let verdict = |by_index: &[(i32, i32)], by_table: &[(i32, i32)]| {
        check(&[Transaction {
            invoked: 0,
            completed: 1,
            plan: Plan::Compare {
                code: 3,
                one_statement: true,
                own: None,
            },
            outcome: Outcome::Committed(Seen {
                by_index: by_index.to_vec(),
                by_table: by_table.to_vec(),
            }),
        }])
    };
    let says = |verdict: Result<String, String>, words: &str| verdict.is_err_and(|story| story.contains(words));
    assert!(verdict(&[(1, 3), (2, 3)], &[(1, 3), (2, 3)]).is_ok());
    assert!(says(verdict(&[(1, 3)], &[(1, 3), (2, 3)]), "differ"));
    assert!(says(verdict(&[(1, 3), (2, 3)], &[(1, 3)]), "differ"));
    assert!(says(verdict(&[(1, 3), (1, 3)], &[(1, 3), (1, 3)]), "twice"));
    assert!(says(verdict(&[(1, 2)], &[(1, 2)]), "is of code 2"));
}
