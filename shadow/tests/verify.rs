//! `verify.py`, the sceptic's program, against this crate: it must find the same verdicts, and every edit of the evidence.
//!
//! 1. [`Case`] names each way in which a rehearsal can end. [`rehearsed`] draws evidence from a seed until the crate's own
//!    [`Evidence::judge`] ends it that way, with the samples that it was made of.
//! 2. [`Files`] writes `samples.csv`, `ledger.jsonl` and `decisions.jsonl` as the demo does.
//! 3. The tests run `python3 verify.py` on them, as they are and with one thing edited.

#![allow(clippy::disallowed_methods, reason = "tests write files and start Python")]

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use aion_base::rng::SeededRng;
use aion_shadow::ledger::{Decision, Entry, sha256};
use aion_shadow::state::State;
use aion_shadow::statistics::{Pair, median};
use aion_shadow::verdict::{Budget, Evidence, Measured, Verdict};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/cli/src/demo/verify.py");
const FILES: [&str; 3] = ["samples.csv", "ledger.jsonl", "decisions.jsonl"];
const HEADER: &str = "phase,candidate_id,template,arm,literal_hash,ms,rows,result_hash\n";

/// How a rehearsal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Ready,
    AnswersDiffer,
    NothingToCompare,
    Size,
    Memory,
    Writes,
    Slower,
    MayBeSlower,
    NotShown,
    TooFewPairs,
}

impl Case {
    const ALL: [Self; 10] = [
        Self::Ready,
        Self::AnswersDiffer,
        Self::NothingToCompare,
        Self::Size,
        Self::Memory,
        Self::Writes,
        Self::Slower,
        Self::MayBeSlower,
        Self::NotShown,
        Self::TooFewPairs,
    ];

    /// What the reason of its verdict contains; None where it is ready.
    fn reason(self) -> Option<&'static str> {
        Some(match self {
            Self::Ready => return None,
            Self::AnswersDiffer => "answers differ: statements ",
            Self::NothingToCompare => "nothing to compare: ",
            Self::Size => " bytes, ",
            Self::Memory => " bytes of memory, ",
            Self::Writes => "writes take ",
            Self::Slower => " becomes ",
            Self::MayBeSlower => " may become ",
            Self::NotShown => "not shown to pay: ",
            Self::TooFewPairs => "not shown: ",
        })
    }

    fn is_met_by(self, verdict: &Verdict) -> bool {
        match (verdict, self.reason()) {
            (Verdict::Ready, None) => true,
            (Verdict::Rejected(why), Some(reason)) => why.contains(reason),
            _ => false,
        }
    }

    /// By how much the candidate multiplies the times of each statement.
    fn factors(self) -> &'static [f64] {
        match self {
            Self::NothingToCompare => &[],
            Self::Slower => &[0.2, 1.8],
            Self::MayBeSlower => &[0.2, 1.2],
            Self::NotShown => &[1.0, 0.98],
            _ => &[0.3, 0.95, 0.6],
        }
    }
}

/// A recommendation that was rehearsed.
struct Rehearsed {
    id: u64,
    seed: u64,
    had_time: bool,
    budget: Budget,
    evidence: Evidence,
    verdict: Verdict,
    /// Lines of `samples.csv`.
    samples: String,
}

/// A time in milliseconds, up to `noise` times longer than `ms`, with all digits that a double has.
fn noisy(random: &mut SeededRng, ms: f64, noise: f64) -> f64 {
    ms * (1.0 + noise * (random.next_u64() as f64 / u64::MAX as f64))
}

fn between(random: &mut SeededRng, least: u64, most: u64) -> u64 {
    least + random.below(most - least + 1)
}

/// Evidence that ends as `case` does.
fn rehearsed(case: Case, id: u64, random: &mut SeededRng) -> Rehearsed {
    /// What is left to chance, such as a doubtful loss, comes out within a few.
    const ATTEMPTS_MAX: usize = 1_000;
    for _ in 0..ATTEMPTS_MAX {
        let drawn = draw(case, id, random);
        if case.is_met_by(&drawn.verdict) {
            return drawn;
        }
    }
    panic!("{case:?} did not come out");
}

fn draw(case: Case, id: u64, random: &mut SeededRng) -> Rehearsed {
    let mut samples = String::new();
    let mut statements = Vec::new();
    for &factor in case.factors() {
        if random.chance(1, 2) {
            statements.push(excluded(random));
        }
        statements.push(statement(case, id, factor, random, &mut samples));
    }
    statements.push(excluded(random));
    let mut writes = Vec::new();
    if case == Case::Writes || random.chance(1, 2) {
        let factor = if case == Case::Writes { 3.0 } else { 1.1 };
        for round in 0..between(random, 5, 9) {
            let pair = Pair {
                incumbent_ms: noisy(random, 20.0, 0.2),
                candidate_ms: noisy(random, 20.0 * factor, 0.2),
            };
            write_pair(&mut samples, id, "write", round, &pair, ["", ""]);
            writes.push(pair);
        }
    }
    let budget = Budget::default();
    let beyond = |is_beyond: bool| if is_beyond { 3 << 30 } else { 1 << 20 };
    let evidence = Evidence {
        statements,
        writes,
        size_bytes: beyond(case == Case::Size),
        memory_bytes: beyond(case == Case::Memory),
        build_ms: noisy(random, 100.0, 1.0),
    };
    let seed = random.next_u64();
    let had_time = case != Case::TooFewPairs && random.chance(1, 2);
    Rehearsed {
        id,
        seed,
        had_time,
        budget,
        verdict: evidence.judge(&budget, seed, had_time),
        evidence,
        samples,
    }
}

fn excluded(random: &mut SeededRng) -> Measured {
    Measured {
        queryid: random.next_u64() as i64,
        calls: random.below(100),
        pairs: Vec::new(),
        compared: 0,
        equal: 0,
        excluded: Some("it calls \"random()\", größer als 数".to_owned()),
    }
}

fn statement(case: Case, id: u64, factor: f64, random: &mut SeededRng, samples: &mut String) -> Measured {
    let queryid = random.next_u64() as i64;
    let pairs = match case {
        Case::TooFewPairs => between(random, 1, 4),
        _ => between(random, 5, 20),
    };
    let noise = if case == Case::MayBeSlower { 0.8 } else { 0.25 };
    let ms = noisy(random, 2.0, 9.0);
    // The unmeasured first execution.
    let mut measured = Measured {
        queryid,
        calls: random.below(50),
        pairs: Vec::new(),
        compared: 1,
        equal: 1,
        excluded: None,
    };
    for round in 0..pairs {
        let pair = Pair {
            incumbent_ms: noisy(random, ms, noise),
            candidate_ms: noisy(random, ms * factor, noise),
        };
        let (one, two) = (random.next_u64(), random.next_u64());
        let is_equal = case != Case::AnswersDiffer || round != 1;
        let is_given_up = random.chance(1, 40);
        let incumbent = format!("3,{one:016x}");
        let candidate = match (is_given_up, is_equal) {
            (true, _) => String::new(),
            (_, true) => incumbent.clone(),
            _ => format!("3,{two:016x}"),
        };
        write_pair(
            samples,
            id,
            &queryid.to_string(),
            round,
            &pair,
            [&incumbent, &candidate],
        );
        measured.compared += usize::from(!is_given_up);
        measured.equal += usize::from(!is_given_up && is_equal);
        measured.pairs.push(pair);
    }
    measured
}

/// Two lines of `samples.csv`; each answer is `rows,result_hash`, or empty.
fn write_pair(samples: &mut String, id: u64, template: &str, round: u64, pair: &Pair, answers: [&str; 2]) {
    let answers = answers.map(|answer| if answer.is_empty() { "," } else { answer });
    let mut lines = [
        ("incumbent", pair.incumbent_ms, answers[0]),
        ("candidate", pair.candidate_ms, answers[1]),
    ];
    if !round.is_multiple_of(2) {
        lines.reverse();
    }
    for (arm, ms, answer) in lines {
        writeln!(samples, "rehearsal,{id},{template},{arm},{round:016x},{ms},{answer}").expect("a String takes all");
    }
}

/// A line of `ledger.jsonl`.
fn ledger_line(one: &Rehearsed, state: State) -> Value {
    let figures = one.evidence.figures(one.seed);
    let counted = one
        .evidence
        .statements
        .iter()
        .filter(|statement| statement.excluded.is_none());
    let (mut before_ms, mut after_ms) = (0.0, 0.0);
    for statement in counted {
        let calls = statement.calls.max(1) as f64;
        let half =
            |of: fn(&Pair) -> f64| median(&mut statement.pairs.iter().map(of).collect::<Vec<_>>()).unwrap_or(0.0);
        before_ms += calls * half(|pair| pair.incumbent_ms);
        after_ms += calls * half(|pair| pair.candidate_ms);
    }
    let (verdict, reason) = match &one.verdict {
        Verdict::Rejected(reason) => ("rejected", Some(reason)),
        Verdict::Ready => ("ready", None),
        Verdict::Undecided => panic!("recommendation {} is undecided", one.id),
    };
    let evidence = &one.evidence;
    let statements = evidence.statements.iter().map(|statement| {
        json!({
            "queryid": statement.queryid,
            "calls": statement.calls,
            "compared": statement.compared,
            "equal": statement.equal,
            "excluded": statement.excluded,
        })
    });
    json!({
        "id": one.id,
        "kind": "index",
        "command": format!("CREATE INDEX aion_t_{} ON public.t (a)", one.id),
        "undo_command": format!("DROP INDEX public.aion_t_{}", one.id),
        "origin": "advisor",
        "state": state.name(),
        "state_reason": reason.map_or("it was shown to pay", |reason| reason),
        "verdict": verdict,
        "verdict_reason": reason,
        "before_ms": before_ms,
        "after_ms": after_ms,
        "speedup": figures.speedup.map(|speedup| speedup.point),
        "speedup_low": figures.speedup.map(|speedup| speedup.low),
        "speedup_high": figures.speedup.map(|speedup| speedup.high),
        "worst_queryid": figures.worst.map(|(queryid, _)| queryid),
        "worst_speedup": figures.worst.map(|(_, worst)| worst.point),
        "samples": figures.samples,
        "results_equal": figures.results_equal,
        "write_cost_pct": figures.write_cost_pct,
        "size_bytes": evidence.size_bytes,
        "memory_bytes": evidence.memory_bytes,
        "build_ms": evidence.build_ms,
        "seed": one.seed,
        "had_time": one.had_time,
        "budget": serde_json::to_value(one.budget).expect("it is data"),
        "statements": statements.collect::<Vec<_>>(),
        "rehearsed": true,
    })
}

/// A line of `ledger.jsonl` of a recommendation that was not rehearsed.
fn unrehearsed_line(id: u64) -> Value {
    json!({
        "id": id,
        "kind": "index",
        "command": "CREATE INDEX aion_t_b ON public.t (b)",
        "state": "failed",
        "state_reason": "the clone does not fit",
        "verdict": null,
        "rehearsed": false,
    })
}

/// The three files.
struct Files {
    folder: TempDir,
    decisions: usize,
}

impl Files {
    /// Draws a rehearsal of each case, numbered from 1, and one more recommendation whose rehearsal failed.
    fn draw(cases: &[Case], seed: u64) -> Self {
        let mut random = SeededRng::new(seed);
        let (mut samples, mut ledger) = (workload(&mut random), Vec::new());
        let mut chain: Vec<Entry> = Vec::new();
        for (id, &case) in (1..).zip(cases) {
            let one = rehearsed(case, id, &mut random);
            let evidence = sha256(&serde_json::to_vec(&one.evidence).expect("it is data"));
            let path: &[State] = match one.verdict {
                Verdict::Ready => &[State::Ready, State::Applying, State::Watching],
                _ => &[State::Rejected],
            };
            decide(&mut chain, id, State::Proposed, 0, None);
            decide(&mut chain, id, State::Rehearsing, 0, None);
            for &state in path {
                decide(&mut chain, id, state, one.seed, Some(evidence.clone()));
            }
            samples.push_str(&one.samples);
            ledger.push(ledger_line(&one, path[path.len() - 1]));
        }
        let failed = cases.len() as u64 + 1;
        for state in [State::Proposed, State::Rehearsing, State::Failed] {
            decide(&mut chain, failed, state, 0, None);
        }
        ledger.push(unrehearsed_line(failed));
        let files = Self {
            folder: TempDir::new().expect("a folder can be made"),
            decisions: chain.len(),
        };
        files.write("samples.csv", &samples);
        files.write("ledger.jsonl", &lines(ledger.iter()));
        files.write("decisions.jsonl", &lines(chain.iter().map(decision_line)));
        files
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("it was written")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("a file can be written");
    }

    /// What `verify.py` says of the files with one of them edited, which is then put back.
    fn edited(&self, name: &str, edit: impl FnOnce(&mut Vec<String>)) -> Said {
        let before = self.read(name);
        let mut edited = before.lines().map(str::to_owned).collect();
        edit(&mut edited);
        let after = lines(edited.iter());
        assert_ne!(before, after, "the edit of {name} changes nothing");
        self.write(name, &after);
        let said = self.verify();
        self.write(name, &before);
        said
    }

    /// The same with a field of an object in a file of JSON.
    fn edited_field(&self, name: &str, line: usize, field: &str, edit: impl FnOnce(&Value) -> Value) -> Said {
        self.edited(name, |lines| {
            let mut object: Value = serde_json::from_str(&lines[line]).expect("it is JSON");
            object[field] = edit(&object[field]);
            lines[line] = object.to_string();
        })
    }

    fn verify(&self) -> Said {
        Said::of(Command::new("python3").arg(PROGRAM).arg(self.path()))
    }
}

fn lines<T: ToString>(lines: impl Iterator<Item = T>) -> String {
    lines.fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

/// Executions of the workload before, after, with the indexes made by hand: 10, 4 and 2 ms, and 5 on DuckDB.
fn workload(random: &mut SeededRng) -> String {
    let mut samples = HEADER.to_owned();
    for (arm, ms) in [("before", 10.0), ("after", 4.0), ("by_hand", 2.0), ("duckdb", 5.0)] {
        for template in ["delays_by_carrier", "nearest"] {
            for (round, ms) in [ms * 0.5, ms, ms, ms, ms * 7.0].into_iter().enumerate() {
                let hash = random.next_u64();
                writeln!(samples, "workload,,{template},{arm},{round:016x},{ms},1,{hash:016x}")
                    .expect("a String takes all");
            }
        }
    }
    samples
}

fn decide(chain: &mut Vec<Entry>, id: u64, to_state: State, seed: u64, evidence_sha256: Option<String>) {
    let before = chain.iter().rev().find(|entry| entry.decision.recommendation_id == id);
    let decision = Decision {
        at: 1_796_000_000_000_000 + chain.len() as i64,
        recommendation_id: id,
        from_state: before.map(|entry| entry.decision.to_state),
        to_state,
        actor: "pipeline".to_owned(),
        reason: "a \"reason\" with\tsigns: \u{1}\u{7f}\u{2028}, ü, 数, 😀".to_owned(),
        log_index: 40 + chain.len() as u64,
        version: "0.1.0".to_owned(),
        seed,
        evidence_sha256,
    };
    let entry = Entry::following(chain.last(), decision);
    chain.push(entry);
}

fn decision_line(entry: &Entry) -> Value {
    let decision = &entry.decision;
    json!({
        "seq": entry.seq,
        "at": decision.at,
        "recommendation_id": decision.recommendation_id,
        "from_state": decision.from_state.map(State::name),
        "to_state": decision.to_state.name(),
        "actor": decision.actor,
        "reason": decision.reason,
        "log_index": decision.log_index,
        "version": decision.version,
        "seed": decision.seed,
        "evidence_sha256": decision.evidence_sha256,
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
    })
}

/// How `verify.py` ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Said {
    fn of(command: &mut Command) -> Self {
        let output = command
            .output()
            .expect("python3 runs: README.md names what it takes to build");
        Self {
            code: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn agrees(&self) {
        assert_eq!(self.code, Some(0), "{}\n{}", self.output, self.errors);
    }

    /// The disagreements begin with this one.
    fn finds_first(&self, what: &str) {
        assert_eq!(self.code, Some(1), "{what}:\n{}\n{}", self.output, self.errors);
        let list = self.output.split_once("Disagreements:\n").map_or("", |(_, list)| list);
        let first = list.lines().next().unwrap_or_default();
        assert!(first.trim_start().starts_with(what), "not {what}:\n{list}");
    }

    /// One of the disagreements begins so.
    fn finds(&self, what: &str) {
        assert_eq!(self.code, Some(1), "{what}:\n{}\n{}", self.output, self.errors);
        let is_found = self.output.lines().any(|line| line.trim_start().starts_with(what));
        assert!(is_found, "not {what}:\n{}", self.output);
    }

    /// Only this is wrong.
    fn finds_only(&self, what: &str) {
        self.finds_first(what);
        assert!(self.output.ends_with("; 1 disagreement\n"), "{}", self.output);
    }
}

#[test]
fn every_verdict_is_found_again() {
    for seed in 1..=6 {
        let files = Files::draw(&Case::ALL, seed);
        let said = files.verify();
        said.agrees();
        let decisions = files.decisions;
        let closing = format!("verify: 10 verdicts recomputed, 10 agree; chain of {decisions} decisions intact\n");
        assert!(said.output.ends_with(&closing), "seed {seed}: {}", said.output);
        for reason in Case::ALL.iter().filter_map(|case| case.reason()) {
            let is_told = said
                .output
                .lines()
                .any(|line| line.contains("rejected: ") && line.contains(reason));
            assert!(is_told, "seed {seed}: {reason}\n{}", said.output);
        }
        assert!(said.output.contains("not rehearsed, failed: the clone does not fit"));
    }
}

#[test]
fn the_workload_is_shown_in_medians_and_in_total() {
    let said = Files::draw(&[Case::Ready], 1).verify();
    said.agrees();
    let rows: Vec<Vec<&str>> = said
        .output
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in [
        ["nearest", "10.000", "4.000", "2.000", "5.000", "2.50x", "5.00x"],
        ["total", "20.000", "8.000", "4.000", "10.000", "2.50x", "5.00x"],
    ] {
        assert!(rows.iter().any(|found| *found == row), "{row:?}\n{}", said.output);
    }
    assert!(
        said.output.contains("`after` reaches 75.0 % of the gain by hand"),
        "{}",
        said.output
    );
}

#[test]
fn it_checks_the_folder_that_it_lies_in() {
    let files = Files::draw(&[Case::Ready], 2);
    let copy = files.path().join("verify.py");
    std::fs::copy(PROGRAM, &copy).expect("a file can be copied");
    Said::of(Command::new("python3").arg(copy)).agrees();
}

/// The place in `samples.csv` of the fastest execution of recommendation 1 under the incumbent: changed, it moves a median.
fn fastest(lines: &[String]) -> usize {
    let ms = |line: &String| line.split(',').nth(5).and_then(|ms| ms.parse::<f64>().ok());
    let is_meant =
        |line: &String| line.starts_with("rehearsal,1,") && line.contains(",incumbent,") && !line.contains(",write,");
    let meant = lines.iter().enumerate().filter(|(_, line)| is_meant(line));
    let fastest = meant.min_by(|(_, one), (_, two)| ms(one).partial_cmp(&ms(two)).expect("times"));
    fastest.expect("there are samples").0
}

fn set_column(line: &mut String, column: usize, value: &str) {
    let mut columns: Vec<&str> = line.split(',').collect();
    columns[column] = value;
    *line = columns.join(",");
}

#[test]
fn an_edited_sample_is_found() {
    let files = Files::draw(&[Case::Ready, Case::NotShown], 3);
    files
        .edited("samples.csv", |lines| {
            let at = fastest(lines);
            set_column(&mut lines[at], 5, "123456.75");
        })
        .finds_first("recommendation 1: before_ms is ");
    for (column, value) in [(7, "0123456789abcdef"), (6, "4")] {
        let mut place = String::new();
        let said = files.edited("samples.csv", |lines| {
            // The first line of a pair, which was not given up.
            let at = lines.iter().position(|line| line.starts_with("rehearsal,1,"));
            let line = &mut lines[at.expect("there are samples")];
            place = format!(
                "recommendation 1: statement {}, pair 1: the answers differ (",
                line.split(',').nth(2).unwrap_or_default()
            );
            set_column(line, column, value);
        });
        said.finds_only(&place);
    }
}

#[test]
fn samples_and_ledger_belong_together() {
    let files = Files::draw(&[Case::Ready, Case::NotShown], 4);
    let is_second = |line: &String| line.starts_with("rehearsal,2,");
    // Without its line in the ledger.
    let said = files.edited("ledger.jsonl", |lines| drop(lines.remove(1)));
    said.finds("recommendation 2: samples.csv has ");
    said.finds("recommendation 2: decision ");
    // Without its samples.
    let said = files.edited("samples.csv", |lines| lines.retain(|line| !is_second(line)));
    said.finds("recommendation 2: statement ");
    said.finds("recommendation 2: before_ms is ");
    // Of a statement that the ledger excludes, or does not have.
    let said = files.edited("samples.csv", |lines| {
        lines.push("rehearsal,2,17,incumbent,0,1.5,1,00".to_owned());
    });
    said.finds_only("recommendation 2: samples.csv has 1 samples of 17");
    // One that has no partner.
    let said = files.edited("samples.csv", |lines| {
        let at = lines.iter().position(is_second).expect("there are samples");
        lines.remove(at);
    });
    said.finds_first("recommendation 2: statement ");
    assert!(said.output.contains(" samples make no pairs"), "{}", said.output);
}

#[test]
fn an_edited_figure_is_found() {
    // With writes, so that each figure is there.
    let files = Files::draw(&[Case::Writes, Case::Ready], 5);
    let larger = |by: f64| move |value: &Value| json!(value.as_f64().expect("a number") * by);
    let figures = [
        "before_ms",
        "after_ms",
        "speedup",
        "speedup_low",
        "speedup_high",
        "worst_speedup",
        "write_cost_pct",
    ];
    for name in figures {
        let said = files.edited_field("ledger.jsonl", 0, name, larger(1.000_001));
        said.finds_only(&format!("recommendation 1: {name} is "));
        said.finds("verify: 2 verdicts recomputed, 1 agree; ");
        files
            .edited_field("ledger.jsonl", 0, name, |_| Value::Null)
            .finds_only(&format!("recommendation 1: {name} is null"));
    }
    files
        .edited_field("ledger.jsonl", 0, "speedup", larger(1.0 + 1e-12))
        .agrees();
    for name in ["samples", "worst_queryid"] {
        let said = files.edited_field("ledger.jsonl", 0, name, |_| json!(4));
        said.finds_only(&format!("recommendation 1: {name} is 4 in the ledger"));
    }
    let said = files.edited_field("ledger.jsonl", 0, "results_equal", |_| json!(false));
    said.finds_only("recommendation 1: results_equal is false");
    // Another seed draws other bounds.
    let said = files.edited_field("ledger.jsonl", 0, "seed", |_| json!(5));
    said.finds("recommendation 1: speedup_low is ");
    said.finds("recommendation 1: no decision after a rehearsal carries its seed, 5");
    // More answers than there are.
    let said = files.edited_field("ledger.jsonl", 0, "statements", |statements| {
        let mut statements = statements.clone();
        for statement in statements.as_array_mut().expect("a list") {
            if statement["excluded"].is_null() {
                statement["compared"] = json!(99);
                statement["equal"] = json!(99);
            }
        }
        statements
    });
    said.finds_first("recommendation 1: statement ");
    assert!(
        said.output.contains("99 are said to have been compared"),
        "{}",
        said.output
    );
}

#[test]
fn an_edited_verdict_is_found() {
    let files = Files::draw(&[Case::Ready, Case::NotShown], 6);
    let edited = |line: usize, field: &str, value: Value| files.edited_field("ledger.jsonl", line, field, |_| value);
    edited(0, "verdict", json!("rejected"))
        .finds_first("recommendation 1: the verdict is rejected in the ledger, and ready by the rules");
    edited(1, "verdict", json!("ready"))
        .finds_only("recommendation 2: the verdict is ready in the ledger, and rejected (not shown to pay: ");
    edited(1, "verdict_reason", json!("it takes 5 bytes, 4 are allowed")).finds_only(
        "recommendation 2: the reason of the verdict is of the kind: too many bytes in the ledger, and not shown",
    );
    edited(1, "verdict_reason", json!("not shown to pay: 1.09x"))
        .finds_only("recommendation 2: the reason of the verdict is \"not shown to pay: 1.09x\" in the ledger");
    // Another budget asks for another verdict.
    let strict = Budget {
        speedup_min: 1e6,
        pairs_max: 1,
        ..Budget::default()
    };
    edited(0, "budget", serde_json::to_value(strict).expect("it is data"))
        .finds_only("recommendation 1: the verdict is ready in the ledger, and rejected (not shown to pay: ");
    // What failed was not shown to pay.
    edited(2, "verdict", json!("ready"))
        .finds_only("recommendation 3: the verdict is ready in the ledger, and it was not rehearsed");
    let said = edited(2, "state", json!("kept"));
    said.finds("recommendation 3: it is kept, and it was not rehearsed");
    said.finds("recommendation 3: it is kept in the ledger, and failed by decision ");
}

#[test]
fn an_edited_decision_is_found() {
    let files = Files::draw(&[Case::Ready, Case::NotShown], 7);
    let fields = [
        ("at", json!(1)),
        ("recommendation_id", json!(9)),
        ("from_state", json!("kept")),
        ("to_state", json!("kept")),
        ("actor", json!("ann")),
        ("reason", json!("because")),
        ("log_index", json!(1)),
        ("version", json!("0.2.0")),
        ("seed", json!(1)),
        ("evidence_sha256", json!("00")),
        ("hash", json!("00")),
    ];
    for (field, value) in fields {
        let said = files.edited_field("decisions.jsonl", 2, field, |_| value);
        said.finds_only("decision 3: its fields are not those that it was made with");
        said.finds(&format!(
            "verify: 2 verdicts recomputed, 2 agree; chain of {} decisions broken at decision 3",
            files.decisions
        ));
    }
    let said = files.edited_field("decisions.jsonl", 2, "prev_hash", |_| json!("00"));
    said.finds_only("decision 3: it does not follow the decision before it");
    let said = files.edited("decisions.jsonl", |lines| drop(lines.remove(2)));
    said.finds_only("decision 4: decision 3 is missing before it");
    let said = files.edited("decisions.jsonl", |lines| lines.swap(2, 3));
    said.finds_only("decision 4: decision 3 is missing before it");
    // The end that was cut off is not in the chain, but the ledger knows of it.
    let said = files.edited("decisions.jsonl", |lines| drop(lines.pop()));
    said.finds_only("recommendation 3: it is failed in the ledger, and rehearsing by decision ");
}

#[test]
fn what_cannot_be_read_is_named() {
    let files = Files::draw(&[Case::Ready], 8);
    let unreadable = |said: &Said, what: &str| {
        assert_eq!(said.code, Some(2), "{what}: {said:?}");
        assert!(
            said.errors.starts_with("verify: ") && said.errors.contains(what),
            "{what}: {said:?}"
        );
        assert_eq!(said.errors.lines().count(), 1, "{said:?}");
    };
    for name in FILES {
        let text = files.read(name);
        std::fs::remove_file(files.path().join(name)).expect("a file can be removed");
        unreadable(&files.verify(), name);
        files.write(name, &text);
    }
    let said = files.edited("samples.csv", |lines| set_column(&mut lines[1], 5, "fast"));
    unreadable(&said, "samples.csv, line 2: 'fast' is no time in milliseconds");
    let said = files.edited("samples.csv", |lines| lines[0] = lines[0].replace("ms", "seconds"));
    unreadable(&said, "samples.csv: the header is phase,");
    let said = files.edited("ledger.jsonl", |lines| lines[0].truncate(40));
    unreadable(&said, "ledger.jsonl, line 1: ");
    let said = files.edited_field("ledger.jsonl", 0, "speedup", |_| json!("3x"));
    unreadable(
        &said,
        "ledger.jsonl, line 1: speedup is \"3x\", which is of the wrong type",
    );
    let said = files.edited("decisions.jsonl", |lines| lines[1] = "{\"seq\": 2}".to_owned());
    unreadable(&said, "decisions.jsonl, line 2: at is missing");
    files.verify().agrees();
}
