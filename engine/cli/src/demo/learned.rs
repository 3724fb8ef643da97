//! The learned loop on the demo's data: what was learnt, what is recommended, a revert, and what it all cost.
//!
//! 1. **What was learnt**: the workload runs with literals of its own; a cardinality model is trained of the operators that ran, and
//!    predicts beside the planner while the workload runs once more with other literals.
//! 2. **Recommendations**: the advisor's, a candidate that is useless, one that helps reads and writes more than its budget, and
//!    what `--propose` names, are rehearsed alike. In mode advise the approve commands are shown and run; in mode auto the pipeline acts.
//! 3. **A revert**: an index is promoted for a statement; then rows change so that it is the slow way, and the watch takes it back.
//! 4. **The last screen**: what was refused and why, what was estimated wrongly, what it cost, and how to undo each change.
//!
//! `ledger.jsonl`, `decisions.jsonl` and `verify.py` are left beside `samples.csv`: with these, and nothing of ours, the verdicts can be
//! computed again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use aion_base::{Error, Result};
use aion_bench::duckdb::python;
use aion_bench::embedded::Embedded;
use aion_db::recommendation::{Asked, AskedOf, Recommendation};
use aion_db::rehearsal::SampleLine;
use aion_db::{Database, Progress};
use aion_shadow::contest::{Sample, Split, q_error};
use aion_shadow::statistics::median;
use serde_json::{Value, json};

use super::compare::Comparison;
use super::evidence::Evidence;
use super::folder::Folder;
use super::{DemoMode, LearnedArguments};
use crate::screen::{Screen, count, megabytes};

/// The script that checks the evidence.
const VERIFY: &str = include_str!("verify.py");
/// Nobody asks for flights of a minute.
const USELESS: &str = "CREATE INDEX flights_minute ON flights (minute)";
/// A copy of almost the whole row in another order: it serves the arrivals at an airport, and nearly doubles what an insert writes.
const COSTLY: &str = "CREATE INDEX flights_all ON flights (dest, arr_delay, tailnum, time_hour, origin, carrier, flight, month, day, hour, \
     minute, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, air_time, distance)";
/// How many more bytes an insert may put into the log for an index of the demo, in per cent of its rows: of the others none takes more than
/// a third.
pub const WRITE_BYTES_PCT_MAX: f64 = 50.0;
/// The statement of the revert, and its index.
const SHIFTED: &str = "SELECT count(*), avg(arr_delay) FROM flights WHERE flight = $1";
const SHIFTED_INDEX: &str = "CREATE INDEX flights_flight ON flights (flight)";

/// Flights that get one number at a time.
const RENUMBERED: u64 = 56_000;

/// What the loop did, for the table and the last screen.
#[derive(Debug, Default)]
pub struct Learned {
    /// Names of the indexes that were promoted.
    pub indexes: Vec<String>,
    /// Processor time, in seconds, and of the machine's in the loop, in per cent.
    pub processor: (f64, f64),
}

/// Runs the workload, so that it is observed.
pub fn observe(screen: &Screen, aion: &mut Embedded<'_>, workload: &Comparison) -> Result<()> {
    let start = Instant::now();
    let ran = workload.observe(screen, aion)?;
    screen.line(format_args!(
        "  the workload ran {} times with literals of its own, and was observed: {:.1} s",
        count(ran as u64),
        start.elapsed().as_secs_f64()
    ))
}

/// Trains the model and shows how it does beside the planner.
pub fn model(screen: &Screen, database: &Database, aion: &mut Embedded<'_>, unseen: &Comparison) -> Result<()> {
    let start = Instant::now();
    let trained = match database.train_model() {
        Ok(trained) => trained,
        Err(error) => {
            return screen.line(format_args!("  no model: {}", error.message()));
        }
    };
    let Some(version) = trained else {
        return screen.line("  no model: a database in memory keeps none");
    };
    let status = one(aion, "SELECT value FROM aion.ai_status WHERE name = 'model'")?;
    screen.line(format_args!(
        "  version {version} was trained in {:.1} s: {status}",
        start.elapsed().as_secs_f64()
    ))?;
    unseen.observe(screen, aion)?;
    let samples = database.model_samples();
    let head = [
        "rows of operators, Q-error",
        "operators",
        "planner p50",
        "model p50",
        "planner p95",
        "model p95",
        "better",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, split) in [
        ("later executions", Split::Time),
        ("statements left out", Split::Template),
    ] {
        let of_split: Vec<&Sample> = samples.iter().filter(|sample| sample.split == split).collect();
        let errors = |of: fn(&Sample) -> f64| -> Vec<f64> {
            let mut errors: Vec<f64> = of_split.iter().filter_map(|one| q_error(of(one), one.actual)).collect();
            errors.sort_unstable_by(f64::total_cmp);
            errors
        };
        let (planner, model) = (errors(|one| one.incumbent), errors(|one| one.candidate));
        let at = |errors: &[f64], share: f64| {
            let place = ((errors.len() as f64 * share) as usize).min(errors.len().saturating_sub(1));
            errors.get(place).copied().unwrap_or(f64::NAN)
        };
        let better = match (
            at(&model, 0.95) < at(&planner, 0.95),
            at(&model, 0.5) <= at(&planner, 0.5),
        ) {
            (true, true) => "model",
            (false, false) => "planner",
            (true, false) => "planner at p50, model at p95",
            (false, true) => "model at p50, planner at p95",
        };
        rows.push(vec![
            name.to_owned(),
            count(of_split.len() as u64),
            format!("{:.2}", at(&planner, 0.5)),
            format!("{:.2}", at(&model, 0.5)),
            format!("{:.1}", at(&planner, 0.95)),
            format!("{:.1}", at(&model, 0.95)),
            better.to_owned(),
        ]);
    }
    screen.table(&rows)?;
    screen.line("  the model predicts in shadow: no plan is made with it")
}

/// Proposes, rehearses and, as the mode says, approves.
pub fn recommend(
    screen: &Screen,
    database: &Database,
    arguments: &LearnedArguments,
    data: &Path,
    evidence: &mut Evidence,
) -> Result<Learned> {
    let begin = Instant::now();
    let before = database.counters()?.learning_micros;
    let mut ids = database.propose()?;
    let of_advisor = ids.len();
    if of_advisor == 0 {
        screen.line("  the advisor finds nothing worth proposing")?;
    }
    for (command, why) in [
        (USELESS, "planted: no statement asks for it"),
        (COSTLY, "planted: it helps reads, and writes more than is allowed"),
    ] {
        ids.push(database.plant(command, "planted", why)?);
    }
    if let Some(command) = &arguments.propose {
        ids.push(database.plant(command, "aion", "named by --propose")?);
    }
    let bar = screen.bar("rehearsals", ids.len() as u64);
    for &id in &ids {
        let samples = RefCell::new(Vec::new());
        let sampled = |sample: &SampleLine| samples.borrow_mut().push(sample.clone());
        let progress = Progress {
            is_cancelled: &|| false,
            sampled: &sampled,
        };
        // What cannot be rehearsed has failed, and says why.
        if database.ask(&asked("rehearse", id, ""), &progress).is_ok() {
            for sample in samples.into_inner() {
                evidence.rehearsal(id, &sample)?;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    show(screen, database, &ids)?;
    let quiet = Progress {
        is_cancelled: &|| false,
        sampled: &|_| {},
    };
    match arguments.mode {
        DemoMode::Auto => {
            let cycle = database.learn(&quiet)?;
            screen.line(format_args!(
                "  mode auto made {} of them without being asked",
                cycle.approved.len()
            ))?;
        }
        _ => {
            for one in database.recommendations(false)? {
                if one.state == "ready" && one.kind == "index" {
                    screen.line(format_args!("  $ aion ai --data {} approve {}", data.display(), one.id))?;
                    if let Err(error) =
                        database.ask(&asked("approve", one.id, "the demo approves what is ready"), &quiet)
                    {
                        screen.line(format_args!("    {}", error.message()))?;
                    }
                }
            }
        }
    }
    let made = database.recommendations(false)?;
    let made = made.iter().filter(|one| one.state == "watching" || one.state == "kept");
    let indexes: Vec<String> = made.filter_map(|one| index_name(&one.command)).collect();
    if indexes.is_empty() {
        screen.line("  nothing was worth promoting")?;
    }
    let spent = (database.counters()?.learning_micros - before) as f64 / 1e6;
    let share = spent / begin.elapsed().as_secs_f64() / database.options().threads.max(1) as f64 * 100.0;
    screen.line(format_args!(
        "  {spent:.1} s of processor time in {:.1} s: {share:.0} % of the machine, which the demo allows; {} % is the default",
        begin.elapsed().as_secs_f64(),
        aion_db::LearningOptions::default().processor_share * 100.0
    ))?;
    Ok(Learned {
        indexes,
        processor: (spent, share),
    })
}

fn show(screen: &Screen, database: &Database, ids: &[u64]) -> Result<()> {
    let head = [
        "",
        "ID",
        "ORIGIN",
        "STATE",
        "SPEED-UP (95 %)",
        "WORST",
        "MB",
        "INSERT",
        "LOG",
        "PAIRS",
        "EQUAL",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let all = database.recommendations(false)?;
    for one in all.iter().filter(|one| ids.contains(&one.id)) {
        let speedup = match (one.speedup, one.speedup_low, one.speedup_high) {
            (Some(point), Some(low), Some(high)) => format!("{point:.2}x ({low:.2} to {high:.2})"),
            _ => "-".to_owned(),
        };
        rows.push(vec![
            short(&one.command),
            one.id.to_string(),
            one.origin.clone(),
            one.state.to_owned(),
            speedup,
            one.worst_speedup.map_or("-".to_owned(), |worst| format!("{worst:.2}x")),
            one.size_bytes.map_or("-".to_owned(), megabytes),
            one.write_cost_pct
                .map_or("-".to_owned(), |cost| format!("{cost:+.0} %")),
            one.write_bytes_pct
                .map_or("-".to_owned(), |more| format!("{more:+.0} %")),
            one.samples.map_or("-".to_owned(), count),
            one.results_equal
                .map_or("-".to_owned(), |equal| if equal { "all" } else { "NO" }.to_owned()),
        ]);
    }
    screen.table(&rows)
}

/// A promoted change stops paying, and goes back on its own. Answers whether it did.
pub fn revert(screen: &Screen, database: &Database, evidence: &mut Evidence) -> Result<bool> {
    let mut aion = Embedded::new(database);
    let statement = aion.prepare(SHIFTED)?;
    for flight in [15, 27, 181, 303, 695, 1109, 2002, 3525] {
        aion.run(&statement, &[flight.to_string()])?;
    }
    let id = database.plant(SHIFTED_INDEX, "aion", "the demo asks for it")?;
    let samples = RefCell::new(Vec::new());
    let sampled = |sample: &SampleLine| samples.borrow_mut().push(sample.clone());
    let progress = Progress {
        is_cancelled: &|| false,
        sampled: &sampled,
    };
    database.ask(&asked("rehearse", id, ""), &progress)?;
    for sample in samples.borrow().iter() {
        evidence.rehearsal(id, sample)?;
    }
    let state = |database: &Database| -> Result<Recommendation> {
        let all = database.recommendations(false)?;
        let found = all.into_iter().find(|one| one.id == id);
        found.ok_or_else(|| Error::internal("a recommendation is gone"))
    };
    let rehearsed = state(database)?;
    screen.line(format_args!(
        "  {SHIFTED_INDEX}: {}, {}",
        rehearsed.state, rehearsed.state_reason
    ))?;
    if rehearsed.state != "ready" {
        return Ok(false);
    }
    if database.ai_mode() == aion_db::Mode::Auto {
        database.learn(&progress)?;
    } else {
        database.ask(&asked("approve", id, "the demo approves what is ready"), &progress)?;
    }
    let good = aion.run(&statement, &["181".to_owned()])?;
    let mut rows = 0;
    // In parts: a transaction may change so many bytes and no more.
    for part in 0..3 {
        let tag = aion.script(&format!(
            "UPDATE flights SET flight = 9999 WHERE id > {} AND id <= {}",
            part * RENUMBERED,
            (part + 1) * RENUMBERED
        ))?;
        rows += tag.rsplit(' ').next().and_then(|rows| rows.parse().ok()).unwrap_or(0);
    }
    screen.line(format_args!(
        "  then half of the flights, {}, get one number, and nobody runs ANALYZE",
        count(rows)
    ))?;
    let begin = Instant::now();
    let mut bad = Vec::new();
    for _ in 0..3 {
        bad.push(aion.run(&statement, &["9999".to_owned()])?.ms);
    }
    while state(database)?.state != "reverted" {
        if begin.elapsed() > Duration::from_secs(60) {
            screen.line("  NOT REVERTED within 60 s")?;
            return Ok(false);
        }
        std::thread::yield_now();
    }
    let reverted = begin.elapsed();
    // Among the first are one that is planned anew, and some while the entries are still being cleared away.
    let mut after = Vec::new();
    for _ in 0..9 {
        after.push(aion.run(&statement, &["9999".to_owned()])?.ms);
    }
    let after = median(&mut after).unwrap_or(f64::NAN);
    let bad: Vec<String> = bad.iter().map(|ms| format!("{ms:.0}")).collect();
    screen.line(format_args!(
        "  one flight's number took {:.1} ms with it; the new one {} ms; it went back on its own {:.1} s after the first of these: {}",
        good.ms,
        bad.join(", "),
        reverted.as_secs_f64(),
        state(database)?.state_reason
    ))?;
    screen.line(format_args!(
        "  without it the same takes {after:.0} ms, the median of 9 runs"
    ))?;
    Ok(true)
}

/// Leaves ledger and script, and lets the script compute the verdicts again. Answers whether it agrees.
pub fn verify(screen: &Screen, database: &Database, folder: &Folder) -> Result<bool> {
    let mut ledger = String::new();
    let mut proofs = String::new();
    for one in database.recommendations(true)? {
        let evidence = one.evidence.clone();
        ledger.push_str(&ledger_line(&one)?.to_string());
        ledger.push('\n');
        if let (Some(evidence), "index" | "statistics") = (evidence, one.kind) {
            proofs.push_str(&json!({"id": one.id, "evidence": evidence}).to_string());
            proofs.push('\n');
        }
    }
    folder.write("ledger.jsonl", &ledger)?;
    folder.write("evidence.jsonl", &proofs)?;
    let mut decisions = String::new();
    for one in database.decisions()? {
        let line = json!({
            "seq": one.seq, "at": one.at, "recommendation_id": one.recommendation_id, "from_state": one.from_state,
            "to_state": one.to_state, "actor": one.actor, "reason": one.reason, "log_index": one.log_index,
            "version": one.version, "seed": one.seed, "evidence_sha256": one.evidence_sha256,
            "prev_hash": one.prev_hash, "hash": one.hash,
        });
        decisions.push_str(&line.to_string());
        decisions.push('\n');
    }
    folder.write("decisions.jsonl", &decisions)?;
    folder.write("verify.py", VERIFY)?;
    folder.seal(&[
        "samples.csv",
        "ledger.jsonl",
        "evidence.jsonl",
        "decisions.jsonl",
        "verify.py",
    ])?;
    let Ok(python) = python() else {
        screen.line("  verify.py was not run: there is no python3")?;
        return Ok(true);
    };
    let script = folder.path().join("verify.py");
    let ran = std::process::Command::new(&python)
        .arg(&script)
        .output()
        .map_err(|error| Error::io(format_args!("run {}", script.display()), error))?;
    let said = String::from_utf8_lossy(&ran.stdout);
    screen.line(format_args!("  $ python3 {}", script.display()))?;
    if ran.status.success() {
        screen.line(format_args!("  {}", said.lines().last().unwrap_or_default()))?;
    } else {
        let complaint = String::from_utf8_lossy(&ran.stderr);
        for line in said.lines().chain(complaint.lines()) {
            screen.line(format_args!("  {line}"))?;
        }
    }
    Ok(ran.status.success())
}

/// A recommendation as a line of `ledger.jsonl`.
fn ledger_line(one: &Recommendation) -> Result<Value> {
    let evidence: Option<Value> = match (&one.evidence, one.kind) {
        (Some(text), "index" | "statistics") => Some(
            serde_json::from_str(text).map_err(|error| Error::internal(format!("evidence cannot be read: {error}")))?,
        ),
        _ => None,
    };
    let verdict = evidence.as_ref().map(|evidence| match &evidence["verdict"] {
        Value::Object(rejected) => ("rejected", rejected.get("rejected").cloned().unwrap_or(Value::Null)),
        _ => ("ready", Value::Null),
    });
    let statements = evidence.as_ref().map(|evidence| {
        let each = evidence["evidence"]["statements"].as_array().into_iter().flatten();
        let each = each.map(|one| {
            json!({
                "queryid": one["queryid"], "calls": one["calls"], "compared": one["compared"], "equal": one["equal"],
                "excluded": one["excluded"],
            })
        });
        each.collect::<Vec<_>>()
    });
    Ok(json!({
        "id": one.id, "kind": one.kind, "object": one.object, "command": one.command, "undo_command": one.undo_command,
        "origin": one.origin, "state": one.state, "state_reason": one.state_reason,
        "rehearsed": evidence.is_some(),
        "verdict": verdict.as_ref().map(|verdict| verdict.0),
        "verdict_reason": verdict.as_ref().map(|verdict| verdict.1.clone()),
        "before_ms": one.before_ms, "after_ms": one.after_ms, "speedup": one.speedup, "speedup_low": one.speedup_low,
        "speedup_high": one.speedup_high, "worst_queryid": one.worst_queryid, "worst_speedup": one.worst_speedup,
        "samples": one.samples, "results_equal": one.results_equal, "write_cost_pct": one.write_cost_pct,
        "written_bytes": evidence.as_ref().map(|evidence| evidence["evidence"]["written_bytes"].clone()),
        "size_bytes": one.size_bytes, "memory_bytes": one.memory_bytes, "build_ms": one.build_ms,
        "estimated_speedup": one.estimated_speedup,
        "seed": evidence.as_ref().map(|evidence| evidence["seed"].clone()),
        "had_time": evidence.as_ref().map(|evidence| evidence["had_time"].clone()),
        "budget": evidence.as_ref().map(|evidence| evidence["budget"].clone()),
        "statements": statements,
    }))
}

/// What was refused, what was wrong, what it cost, and how to undo it.
pub fn last_screen(
    screen: &Screen,
    database: &Database,
    learned: &Learned,
    data: &Path,
    slower: &BTreeMap<&str, Vec<String>>,
) -> Result<()> {
    let all = database.recommendations(false)?;
    screen.line("  refused:")?;
    for one in all.iter().filter(|one| matches!(one.state, "rejected" | "failed")) {
        screen.line(format_args!("    {}: {}", short(&one.command), one.state_reason))?;
    }
    screen.line("  expected to pay, of the whole workload, and did not, of the statements that it concerns:")?;
    for one in all.iter().filter(|one| one.state == "rejected") {
        if let (Some(estimated), Some(measured)) = (one.estimated_speedup, one.speedup) {
            screen.line(format_args!(
                "    {}: {estimated:.2}x by estimate, {measured:.2}x measured",
                short(&one.command)
            ))?;
        }
    }
    for (than, templates) in slower {
        let templates = if templates.is_empty() {
            "nothing".to_owned()
        } else {
            templates.join(", ")
        };
        screen.line(format_args!("  slower than {than}: {templates}"))?;
    }
    let made: Vec<&Recommendation> = all
        .iter()
        .filter(|one| matches!(one.state, "watching" | "kept"))
        .collect();
    let bytes: u64 = made.iter().filter_map(|one| one.size_bytes).sum();
    let build: f64 = made.iter().filter_map(|one| one.build_ms).sum();
    let writes = made.iter().filter_map(|one| one.write_cost_pct).fold(0.0, f64::max);
    screen.line(format_args!(
        "  cost: {:.1} s of processor time ({:.0} % of the machine meanwhile), {} MB of indexes made in {build:.0} ms; an insert into flights \
         takes up to {writes:+.0} % longer for one of them",
        learned.processor.0,
        learned.processor.1,
        megabytes(bytes)
    ))?;
    screen.line("  to undo a change:")?;
    for one in made {
        screen.line(format_args!(
            "    aion ai --data {} revert {}    or in SQL: {}",
            data.display(),
            one.id,
            one.undo_command.as_deref().unwrap_or("-")
        ))?;
    }
    Ok(())
}

fn asked(verb: &'static str, id: u64, reason: &str) -> Asked {
    Asked {
        verb,
        of: AskedOf::Recommendation(id),
        reason: reason.to_owned(),
        role: "aion".to_owned(),
        mode: "auto".to_owned(),
    }
}

fn one(aion: &mut Embedded<'_>, sql: &str) -> Result<String> {
    let prepared = aion.prepare(sql)?;
    let answer = aion.run(&prepared, &[])?;
    Ok(answer.rows.into_iter().flatten().flatten().next().unwrap_or_default())
}

/// The name of the index that a command makes.
fn index_name(command: &str) -> Option<String> {
    let rest = command.strip_prefix("CREATE INDEX ")?;
    let (name, _) = rest.split_once(" ON ")?;
    Some(name.trim().trim_matches('"').to_owned())
}

/// What a command makes, short.
fn short(command: &str) -> String {
    const CHARACTERS: usize = 60;
    let plain = command.replace('"', "").replace("public.", "");
    let short = plain.split_once(" ON ").map_or(plain.as_str(), |(_, rest)| rest);
    match short.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}...", &short[..end]),
        None => short.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_found_in_commands() {
        let command = r#"CREATE INDEX "aion_flights_dest_3" ON "public"."flights" ("dest")"#;
        assert_eq!(super::index_name(command).as_deref(), Some("aion_flights_dest_3"));
        assert_eq!(super::short(command), "flights (dest)");
        assert_eq!(super::index_name("ANALYZE"), None);
    }
}
