//! Rows that are one run of pgbench: selects, TPC-B, commits, the hot row.

use aion_base::{Error, Result};
use aion_shadow::answer::are_equal;

use super::pgbench::{self, Ran};
use super::servers::{Pair, Side};
use super::{Row, Run};
use crate::report::{Arm, Line, Report, Unit, count, median};

/// Retries of a transaction are not limited by their number, in effect.
const MAX_TRIES: &str = "--max-tries=100000";

/// pgbench's built-in TPC-B with another first statement.
const TPCB_SERIALIZABLE: &str = "\
\\set aid random(1, 100000 * :scale)
\\set bid random(1, 1 * :scale)
\\set tid random(1, 10 * :scale)
\\set delta random(-5000, 5000)
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
";

/// Among so many keys two are the same once in a million runs.
const COMMITS: &str = "\
\\set id random(1, 1000000000000000000)
INSERT INTO oltp_commits (id, value) VALUES (:id, 1);
";
const COMMITS_TABLE: &[&str] = &["CREATE TABLE oltp_commits (id bigint PRIMARY KEY, value bigint NOT NULL)"];

const HOT_ROW: &str = "\
BEGIN ISOLATION LEVEL READ COMMITTED;
UPDATE oltp_hot SET counter = counter + 1 WHERE id = 1;
COMMIT;
";
const HOT_ROW_TABLE: &[&str] = &[
    "CREATE TABLE oltp_hot (id integer PRIMARY KEY, counter bigint NOT NULL)",
    "INSERT INTO oltp_hot VALUES (1, 0)",
];

/// How a row is run.
struct Plan {
    row: Row,
    about: &'static str,
    /// Of pgbench, beside how long and what.
    arguments: &'static [&'static str],
    /// A script of our own, in the place of a built-in one.
    script: Option<&'static str>,
    /// Run on both before.
    setup: &'static [&'static str],
    /// Whether it works on pgbench's tables.
    needs_pgbench: bool,
    check: Check,
}

/// What must hold afterwards.
#[derive(Clone, Copy)]
enum Check {
    /// The accounts are the same ones.
    Accounts,
    /// All sums of balances agree, and the history has a row for each transaction.
    Balances,
    /// The answer to this grew by one for each transaction.
    Counted(&'static str),
}

fn plan(row: Row) -> Result<Plan> {
    let select = |row: Row, about: &'static str, arguments: &'static [&'static str]| Plan {
        row,
        about,
        arguments,
        script: None,
        setup: &[],
        needs_pgbench: true,
        check: Check::Accounts,
    };
    Ok(match row {
        Row::SelectPrepared => select(
            row,
            "One account by primary key, prepared statements, 8 clients.",
            &["-S", "-M", "prepared", "-c", "8", "-j", "2"],
        ),
        Row::SelectSimple => select(
            row,
            "One account by primary key, each statement as text, 8 clients.",
            &["-S", "-M", "simple", "-c", "8", "-j", "2"],
        ),
        Row::SelectOne => select(
            row,
            "One account by primary key, prepared statements, 1 client: the inverse of a latency.",
            &["-S", "-M", "prepared", "-c", "1", "-j", "1"],
        ),
        Row::Tpcb => Plan {
            check: Check::Balances,
            ..select(
                row,
                "pgbench's TPC-B, 8 clients, each server at its default isolation level, nothing retried: no transaction may fail.",
                &["-b", "tpcb-like", "-M", "prepared", "-c", "8", "-j", "2"],
            )
        },
        Row::TpcbSerializable => Plan {
            check: Check::Balances,
            script: Some(TPCB_SERIALIZABLE),
            ..select(
                row,
                "pgbench's TPC-B, 8 clients, SERIALIZABLE on both, retried until it commits.",
                &["-M", "prepared", "-c", "8", "-j", "2", MAX_TRIES],
            )
        },
        Row::Commits => Plan {
            check: Check::Counted("SELECT count(*) FROM oltp_commits"),
            script: Some(COMMITS),
            setup: COMMITS_TABLE,
            needs_pgbench: false,
            ..select(
                row,
                "One client that inserts one row in each transaction: commits that nobody shares an fsync with.",
                &["-M", "prepared", "-c", "1", "-j", "1"],
            )
        },
        Row::HotRow => Plan {
            check: Check::Counted("SELECT counter FROM oltp_hot WHERE id = 1"),
            script: Some(HOT_ROW),
            setup: HOT_ROW_TABLE,
            needs_pgbench: false,
            ..select(
                row,
                "64 clients that add one to the same row, READ COMMITTED: each waits for the one before.",
                &["-M", "prepared", "-c", "64", "-j", "2"],
            )
        },
        other => return Err(Error::internal(format!("{other} is no run of pgbench"))),
    })
}

/// Measures a row.
///
/// # Errors
/// What pgbench or a server said.
pub fn measure(row: Row, pair: &mut Pair, run: &mut Run<'_>) -> Result<Report> {
    let plan = plan(row)?;
    if plan.needs_pgbench {
        pair.fill(run)?;
    }
    for sql in plan.setup {
        pair.run(sql)?;
    }
    let arguments = arguments(&plan, run)?;
    let before = [state(pair, Side::Aion, &plan)?, state(pair, Side::Postgres, &plan)?];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=run.options.rounds {
        for side in Side::of_round(round) {
            (run.progress)(&format!(
                "{row}, round {round} of {}: {}",
                run.options.rounds,
                pair.name(side)
            ));
            let ran = pgbench::run(pair.port(side), &arguments, run.options.duration, run.progress)?;
            match side {
                Side::Aion => ours.push(ran),
                Side::Postgres => theirs.push(ran),
            }
        }
    }
    (run.progress)(&format!("{row}: checking"));
    let mut notes = vec![told("Aion", &ours), told(&pair.name(Side::Postgres), &theirs)];
    let mut is_equal = ours.iter().all(|ran| ran.failed == 0);
    for (side, (before, runs)) in Side::BOTH.into_iter().zip(before.into_iter().zip([&ours, &theirs])) {
        let processed: u64 = runs.iter().map(|ran| ran.processed).sum();
        if let Some(wrong) = check(pair, side, &plan, before, processed)? {
            notes.push(format!("WRONG on {}: {wrong}", pair.name(side)));
            is_equal = false;
        }
    }
    if is_equal {
        notes.push(checked(plan.check).to_owned());
    }
    let rates = |runs: &[Ran]| runs.iter().map(|ran| ran.rate).collect();
    let shown = arguments_shown(&plan);
    Ok(Report {
        work: row.section(),
        about: format!(
            "{} `pgbench {shown} -T {}`{}.",
            plan.about,
            run.options.duration.as_secs(),
            if plan.needs_pgbench {
                format!(", scale {}", run.options.scale)
            } else {
                String::new()
            }
        ),
        unit: Unit::PerSecond,
        lines: vec![Line {
            what: "transactions".to_owned(),
            ours: Arm {
                name: "Aion".to_owned(),
                runs: rates(&ours),
            },
            peers: vec![Arm {
                name: pair.name(Side::Postgres),
                runs: rates(&theirs),
            }],
        }],
        notes,
        is_equal,
    })
}

fn arguments_shown(plan: &Plan) -> String {
    let script = if plan.script.is_some() { " -f SCRIPT" } else { "" };
    format!("{}{script}", plan.arguments.join(" "))
}

/// Of pgbench; a script of our own is written first.
fn arguments(plan: &Plan, run: &Run<'_>) -> Result<Vec<String>> {
    let mut arguments: Vec<String> = plan.arguments.iter().map(|&text| text.to_owned()).collect();
    if let Some(script) = plan.script {
        let path = run.folder.join(format!("{}.pgbench", plan.row));
        std::fs::write(&path, script).map_err(|error| Error::io(format_args!("write {}", path.display()), error))?;
        arguments.extend([
            "-f".to_owned(),
            path.display().to_string(),
            // With scripts of one's own it does not look for it.
            "-s".to_owned(),
            run.options.scale.to_string(),
        ]);
    }
    Ok(arguments)
}

/// What grows with each transaction, as it is now.
fn state(pair: &Pair, side: Side, plan: &Plan) -> Result<i64> {
    match plan.check {
        Check::Accounts => Ok(0),
        Check::Balances => pair.number(side, "SELECT count(*) FROM pgbench_history"),
        Check::Counted(sql) => pair.number(side, sql),
    }
}

/// What is wrong on a side after so many transactions.
fn check(pair: &Pair, side: Side, plan: &Plan, before: i64, processed: u64) -> Result<Option<String>> {
    if let Check::Accounts = plan.check {
        let sql = "SELECT count(*), min(aid), max(aid), sum(aid) FROM pgbench_accounts";
        let [here, there] = Side::BOTH.map(|side| pair.client(side)?.query(sql));
        let (here, there) = (here?, there?);
        return Ok((!are_equal(&here, &there)).then(|| format!("accounts {here:?}, and on the other {there:?}")));
    }
    let grown = state(pair, side, plan)?.saturating_sub(before);
    if u64::try_from(grown) != Ok(processed) {
        return Ok(Some(format!(
            "{processed} transactions were counted, and {grown} are there"
        )));
    }
    let Check::Balances = plan.check else {
        return Ok(None);
    };
    let sums = [
        "SELECT coalesce(sum(abalance), 0) FROM pgbench_accounts",
        "SELECT coalesce(sum(tbalance), 0) FROM pgbench_tellers",
        "SELECT coalesce(sum(bbalance), 0) FROM pgbench_branches",
        "SELECT coalesce(sum(delta), 0) FROM pgbench_history",
    ];
    let sums: Vec<i64> = sums.iter().map(|sql| pair.number(side, sql)).collect::<Result<_>>()?;
    let agree = sums.windows(2).all(|pair| pair[0] == pair[1]);
    Ok((!agree).then(|| format!("sums of accounts, tellers, branches and history: {sums:?}")))
}

/// What was checked, where all was well.
fn checked(check: Check) -> &'static str {
    match check {
        Check::Accounts => "Checked: the accounts of both are as many and the same ones.",
        Check::Balances => {
            "Checked: on each, the sums of accounts, tellers, branches and history agree, and the history has a row for each transaction."
        }
        Check::Counted(_) => "Checked: on each, what was counted is there.",
    }
}

/// What else pgbench found, over all rounds.
fn told(name: &str, runs: &[Ran]) -> String {
    let total = |of: fn(&Ran) -> u64| count(runs.iter().map(of).sum());
    let latencies: Vec<f64> = runs.iter().map(|ran| ran.latency_ms).collect();
    format!(
        "{name}: {} transactions, {} failed, {} retries; mean latency {:.3} ms.",
        total(|ran| ran.processed),
        total(|ran| ran.failed),
        total(|ran| ran.retries),
        median(&latencies)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_over_the_wire_is_a_run_of_pgbench_or_a_load() {
        for row in Row::ALL {
            let is_run = row.is_served() && !matches!(row, Row::Insert | Row::Copy);
            assert_eq!(plan(row).is_ok(), is_run, "{row}");
        }
    }

    #[test]
    fn all_rounds_are_told_together() {
        let ran = |processed, latency_ms| Ran {
            rate: 1.0,
            processed,
            failed: 1,
            retries: 2,
            latency_ms,
        };
        let text = told("Aion", &[ran(1_000, 3.0), ran(500, 1.0), ran(1, 2.0)]);
        assert_eq!(
            text,
            "Aion: 1,501 transactions, 3 failed, 6 retries; mean latency 2.000 ms."
        );
    }
}
