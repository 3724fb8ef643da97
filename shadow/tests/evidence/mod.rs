//! Evidence as the demo leaves it, drawn from a seed, and what `verify.py` says of it.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aion_base::rng::SeededRng;
use aion_shadow::ledger::{Decision, Entry, sha256};
use aion_shadow::recommendation::Proof;
use aion_shadow::state::State;
use aion_shadow::statistics::{Pair, median, milliseconds};
use aion_shadow::verdict::{Budget, Evidence, Measured, Verdict};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/cli/src/demo/verify.py");
pub const FILES: [&str; 4] = ["samples.csv", "ledger.jsonl", "evidence.jsonl", "decisions.jsonl"];
pub const HEADER: &str = "phase,candidate_id,template,arm,literal_hash,ms,rows,result_hash\n";

/// How a rehearsal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Ready,
    AnswersDiffer,
    NothingToCompare,
    Size,
    Memory,
    WrittenBytes,
    Writes,
    Slower,
    MayBeSlower,
    NotShown,
    TooFewPairs,
}

impl Case {
    pub const ALL: [Self; 11] = [
        Self::Ready,
        Self::AnswersDiffer,
        Self::NothingToCompare,
        Self::Size,
        Self::Memory,
        Self::WrittenBytes,
        Self::Writes,
        Self::Slower,
        Self::MayBeSlower,
        Self::NotShown,
        Self::TooFewPairs,
    ];

    /// What the reason of its verdict contains; None where it is ready.
    pub fn reason(self) -> Option<&'static str> {
        Some(match self {
            Self::Ready => return None,
            Self::AnswersDiffer => "answers differ: statements ",
            Self::NothingToCompare => "nothing to compare: ",
            Self::Size => " bytes, ",
            Self::Memory => " bytes of memory, ",
            Self::WrittenBytes => "writes put ",
            Self::Writes => "writes take ",
            Self::Slower => " becomes ",
            Self::MayBeSlower => " may become ",
            Self::NotShown => "not shown to pay: ",
            Self::TooFewPairs => "not shown: ",
        })
    }

    pub fn is_met_by(self, verdict: &Verdict) -> bool {
        match (verdict, self.reason()) {
            (Verdict::Ready, None) => true,
            (Verdict::Rejected(why), Some(reason)) => why.contains(reason),
            _ => false,
        }
    }

    /// By how much the candidate multiplies the times of each statement.
    pub fn factors(self) -> &'static [f64] {
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
pub struct Rehearsed {
    pub id: u64,
    pub seed: u64,
    pub had_time: bool,
    pub budget: Budget,
    pub evidence: Evidence,
    pub verdict: Verdict,
    /// Lines of `samples.csv`.
    pub samples: String,
}

/// A time in milliseconds, up to `noise` times longer than `ms`.
pub fn noisy(random: &mut SeededRng, ms: f64, noise: f64) -> f64 {
    let ms = ms * (1.0 + noise * (random.next_u64() as f64 / u64::MAX as f64));
    milliseconds(Duration::from_secs_f64(ms / 1_000.0))
}

pub fn between(random: &mut SeededRng, least: u64, most: u64) -> u64 {
    least + random.below(most - least + 1)
}

/// Evidence that ends as `case` does.
pub fn rehearsed(case: Case, id: u64, random: &mut SeededRng) -> Rehearsed {
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

pub fn draw(case: Case, id: u64, random: &mut SeededRng) -> Rehearsed {
    let mut samples = String::new();
    let mut statements = Vec::new();
    for &factor in case.factors() {
        if random.chance(1, 2) {
            statements.push(excluded(random));
        }
        statements.push(statement(case, id, factor, random, &mut samples));
    }
    statements.push(excluded(random));
    let (mut writes, mut written_bytes) = (Vec::new(), None);
    if matches!(case, Case::Writes | Case::WrittenBytes) || random.chance(1, 2) {
        let more = if case == Case::WrittenBytes { 110_000 } else { 30_000 };
        written_bytes = Some([100_000, 120_000, 120_000 + more + random.below(1_000)]);
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
        written_bytes,
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

pub fn excluded(random: &mut SeededRng) -> Measured {
    Measured {
        queryid: random.next_u64() as i64,
        calls: random.below(100),
        pairs: Vec::new(),
        compared: 0,
        equal: 0,
        excluded: Some("it calls \"random()\", größer als 数".to_owned()),
    }
}

pub fn statement(case: Case, id: u64, factor: f64, random: &mut SeededRng, samples: &mut String) -> Measured {
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
pub fn write_pair(samples: &mut String, id: u64, template: &str, round: u64, pair: &Pair, answers: [&str; 2]) {
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
pub fn ledger_line(one: &Rehearsed, state: State) -> Value {
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
        "written_bytes": evidence.written_bytes,
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
pub fn unrehearsed_line(id: u64) -> Value {
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

/// What the database stores beside a verdict.
pub fn proof(one: &Rehearsed) -> String {
    let proof = Proof {
        seed: one.seed,
        had_time: one.had_time,
        budget: one.budget,
        queries: Vec::new(),
        evidence: one.evidence.clone(),
        verdict: one.verdict.clone(),
    };
    serde_json::to_string(&proof).expect("it is data")
}

/// The files.
pub struct Files {
    pub folder: TempDir,
    pub decisions: usize,
}

impl Files {
    /// Draws a rehearsal of each case, numbered from 1, and one more recommendation whose rehearsal failed.
    pub fn draw(cases: &[Case], seed: u64) -> Self {
        let mut random = SeededRng::new(seed);
        let (mut samples, mut ledger, mut proofs) = (workload(&mut random), Vec::new(), Vec::new());
        let mut chain: Vec<Entry> = Vec::new();
        for (id, &case) in (1..).zip(cases) {
            let one = rehearsed(case, id, &mut random);
            let proof = proof(&one);
            let evidence = sha256(proof.as_bytes());
            proofs.push(json!({"id": id, "evidence": proof}));
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
        files.write("evidence.jsonl", &lines(proofs.iter()));
        files.write("decisions.jsonl", &lines(chain.iter().map(decision_line)));
        files.seal();
        files
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("it was written")
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("a file can be written");
    }

    /// Writes the hashes of the files.
    pub fn seal(&self) {
        let sums = FILES.map(|name| format!("{}  {name}", sha256(self.read(name).as_bytes())));
        self.write("SHA256SUMS", &lines(sums.iter()));
    }

    /// What `verify.py` says of the files with one of them edited, which is then put back.
    pub fn edited(&self, name: &str, edit: impl FnOnce(&mut Vec<String>)) -> Said {
        let before = self.read(name);
        let mut edited = before.lines().map(str::to_owned).collect();
        edit(&mut edited);
        let after = lines(edited.iter());
        assert_ne!(before, after, "the edit of {name} changes nothing");
        self.write(name, &after);
        self.seal();
        let said = self.verify();
        self.write(name, &before);
        self.seal();
        said
    }

    /// The same with a field of an object in a file of JSON.
    pub fn edited_field(&self, name: &str, line: usize, field: &str, edit: impl FnOnce(&Value) -> Value) -> Said {
        self.edited(name, |lines| {
            let mut object: Value = serde_json::from_str(&lines[line]).expect("it is JSON");
            object[field] = edit(&object[field]);
            lines[line] = object.to_string();
        })
    }

    pub fn verify(&self) -> Said {
        Said::of(Command::new("python3").arg(PROGRAM).arg(self.path()))
    }
}

pub fn lines<T: ToString>(lines: impl Iterator<Item = T>) -> String {
    lines.fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

/// Executions of the workload before, after, with the indexes made by hand: 10, 4 and 2 ms, and 5 on DuckDB.
pub fn workload(random: &mut SeededRng) -> String {
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

pub fn decide(chain: &mut Vec<Entry>, id: u64, to_state: State, seed: u64, evidence_sha256: Option<String>) {
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

pub fn decision_line(entry: &Entry) -> Value {
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
pub struct Said {
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

impl Said {
    pub fn of(command: &mut Command) -> Self {
        let output = command
            .output()
            .expect("python3 runs: README.md names what it takes to build");
        Self {
            code: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub fn agrees(&self) {
        assert_eq!(self.code, Some(0), "{}\n{}", self.output, self.errors);
    }

    /// The disagreements begin with this one.
    pub fn finds_first(&self, what: &str) {
        assert_eq!(self.code, Some(1), "{what}:\n{}\n{}", self.output, self.errors);
        let list = self.output.split_once("Disagreements:\n").map_or("", |(_, list)| list);
        let first = list.lines().next().unwrap_or_default();
        assert!(first.trim_start().starts_with(what), "not {what}:\n{list}");
    }

    /// One of the disagreements begins so.
    pub fn finds(&self, what: &str) {
        assert_eq!(self.code, Some(1), "{what}:\n{}\n{}", self.output, self.errors);
        let is_found = self.output.lines().any(|line| line.trim_start().starts_with(what));
        assert!(is_found, "not {what}:\n{}", self.output);
    }

    /// Only this is wrong.
    pub fn finds_only(&self, what: &str) {
        self.finds_first(what);
        assert!(self.output.ends_with("; 1 disagreement\n"), "{}", self.output);
    }
}
