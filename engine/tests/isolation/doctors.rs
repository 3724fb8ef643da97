//! Write skew: two doctors share a shift, and one of them stays on call.
//!
//! A doctor who sees a colleague on call goes off, and comes back where nobody is. Both rules hold for each one alone; two who look
//! at the same time and both go off have written different rows, so only SERIALIZABLE keeps them from it. Half of the
//! transactions look by primary key, half through a range, since the two record their reads in different ways.

use aion_base::rng::SeededRng;

use super::client::{Client, Failure, Run, Value, drive, number};
use super::level::Level;
use super::record::{Outcome, Transaction};

const SHIFTS: i32 = 4;
const DOCTORS: [i32; 2] = [0, 1];

/// A doctor who looks at a shift.
#[derive(Clone, Debug)]
pub struct Plan {
    shift: i32,
    doctor: i32,
    by_key: bool,
}

/// Who was on call.
pub type Seen = Vec<i32>;

/// Makes the shifts, with both doctors on call.
pub fn tables() -> String {
    let doctors = (0..SHIFTS).flat_map(|shift| DOCTORS.map(|doctor| format!("({shift}, {doctor}, 1)")));
    format!(
        "DROP TABLE IF EXISTS doctors; \
         CREATE TABLE doctors (shift int, doctor int, on_call int, PRIMARY KEY (shift, doctor)); \
         INSERT INTO doctors VALUES {}",
        doctors.collect::<Vec<_>>().join(", ")
    )
}

/// Runs the workload.
pub async fn record(run: Run) -> Vec<Transaction<Plan, Seen>> {
    let plan = |rng: &mut SeededRng, _| Plan {
        shift: i32::try_from(rng.below(SHIFTS as u64)).expect("few"),
        doctor: i32::from(rng.chance(1, 2)),
        by_key: rng.chance(1, 2),
    };
    drive(run, plan, execute).await
}

async fn execute(client: &mut Client, plan: &Plan) -> Result<Seen, Failure> {
    let shift = Value::Int(plan.shift);
    let mut seen = Vec::new();
    if plan.by_key {
        for doctor in DOCTORS {
            let sql = "SELECT on_call FROM doctors WHERE shift = $1 AND doctor = $2";
            let rows = client.rows(sql, &[shift.clone(), Value::Int(doctor)]).await?;
            if number(&rows.first().expect("doctors stay")[0]) == 1 {
                seen.push(doctor);
            }
        }
    } else {
        let sql = "SELECT doctor FROM doctors WHERE shift = $1 AND on_call = 1 ORDER BY doctor";
        let rows = client.rows(sql, std::slice::from_ref(&shift)).await?;
        seen.extend(rows.iter().map(|row| number(&row[0])));
    }
    let on_call = match (seen.contains(&plan.doctor), seen.len()) {
        (true, 2) => Some(0),
        (false, _) => Some(1),
        (true, _) => None,
    };
    if let Some(on_call) = on_call {
        let sql = "UPDATE doctors SET on_call = $1 WHERE shift = $2 AND doctor = $3";
        let values = [Value::Int(on_call), shift, Value::Int(plan.doctor)];
        client.change(sql, &values).await?;
    }
    Ok(seen)
}

/// At SERIALIZABLE nobody ever sees a shift without a doctor; at the other levels the note says how often that was.
pub fn check(history: &[Transaction<Plan, Seen>], level: Level) -> Result<String, String> {
    let mut deserted = history
        .iter()
        .filter(|transaction| transaction.committed().is_some_and(Vec::is_empty));
    match deserted.next() {
        None => Ok("; no shift was deserted".to_owned()),
        Some(first) if level.forbids_write_skew() => Err(format!("nobody is on call: {first:?}")),
        Some(_) => Ok(format!(
            "; {} saw nobody on call, as the level allows",
            deserted.count() + 1
        )),
    }
}

#[test]
fn a_deserted_shift_is_found_where_the_level_forbids_it() {
    let saw = |outcome| {
        [Transaction {
            invoked: 0,
            completed: 1,
            plan: Plan {
                shift: 0,
                doctor: 0,
                by_key: false,
            },
            outcome,
        }]
    };
    let nobody = saw(Outcome::Committed(Vec::new()));
    assert!(check(&nobody, Level::Serializable).is_err_and(|story| story.contains("nobody is on call")));
    assert!(check(&nobody, Level::RepeatableRead).is_ok_and(|note| note.starts_with("; 1 saw")));
    assert!(check(&saw(Outcome::Committed(vec![1])), Level::Serializable).is_ok());
    let failed = saw(Outcome::Aborted("40001".to_owned(), String::new()));
    assert!(check(&failed, Level::Serializable).is_ok());
}
