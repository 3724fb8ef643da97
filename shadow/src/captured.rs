//! The captured workload: statements with their figures, and with literals to run them again.
//!
//! **Limits.** So many statements, bytes in all, literals for each statement, bytes for each set of literals, and an age
//! ([`Limits`]). Beyond the number or the bytes the statement that was not seen for longest goes; what is not captured is counted.
//!
//! **Literals.** Of a statement's executions a uniform sample is kept (reservoir sampling, Vitter 1985); equal ones are kept once, with
//! their number. A rehearsal runs them, so what is called often with the same literals weighs accordingly.
//!
//! **Format.** Text, one JSON value a line: the first says `{"aion_captured":1}`, each further one is a statement. It is no part of the
//! data: one that cannot be read is left alone, and capturing begins anew.

use std::collections::HashMap;
use std::time::Duration;

use aion_base::observation::{Fingerprint, Observation, OperatorObservation, StatementFigures, TimeFigures};
use aion_base::rng::SeededRng;
use aion_base::subplan::SubPlan;
use aion_base::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::milliseconds;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Statements.
    pub statements_max: usize,
    /// Bytes of texts and literals.
    pub bytes_max: usize,
    /// Sets of literals of one statement.
    pub literals_max: usize,
    /// Bytes of one set of literals, its text among them.
    pub literal_bytes_max: usize,
    /// What was not seen for so long is forgotten.
    pub age_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            statements_max: 5_000,
            bytes_max: 64 << 20,
            literals_max: 32,
            literal_bytes_max: 64 << 10,
            age_max: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// Executions of a statement whose operators are all of interest; of later ones, each [`OPERATORS_EVERY`]th.
const OPERATORS_FIRST: u64 = 8;
/// See [`OPERATORS_FIRST`].
const OPERATORS_EVERY: u64 = 16;
/// Executions whose operators are kept, for each statement.
const OPERATORS_KEPT: usize = 16;
/// What a statement and an execution take beside their texts, roughly.
const ENTRY_BYTES: usize = 256;

/// A set of literals: the statement as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Literals {
    /// Its text.
    pub text: String,
    /// Its parameters as text; None for NULL.
    pub parameters: Vec<Option<String>>,
    /// Where its names were looked up.
    pub search_path: String,
    /// How often it was drawn.
    pub count: u64,
    /// When it was seen last, in microseconds since 1970.
    pub seen_at: i64,
}

/// A statement of the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Which one.
    pub fingerprint: Fingerprint,
    /// Whether it only reads.
    pub is_read_only: bool,
    /// Executions.
    pub calls: u64,
    /// Rows given or changed.
    pub rows: u64,
    /// Microseconds since 1970.
    pub seen_at: i64,
    /// A sample of what it was run with.
    pub literals: Vec<Literals>,
    /// The operators of some of its executions, the latest last.
    pub operators: Vec<Vec<OperatorObservation>>,
    planning: Moments,
    execution: Moments,
    /// Executions that the sample was drawn from.
    sampled: u64,
}

/// See the module's header.
#[derive(Debug)]
pub struct Captured {
    limits: Limits,
    random: SeededRng,
    statements: HashMap<i64, Statement>,
    bytes: usize,
    /// Executions whose literals were too long, and statements that went for lack of room.
    dropped: u64,
}

impl Captured {
    /// Nothing yet. `seed` is of the drawing.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            random: SeededRng::new(seed),
            statements: HashMap::new(),
            bytes: 0,
            dropped: 0,
        }
    }

    /// Whether the operators of the next execution are of interest.
    pub fn wants_operators(&self, queryid: i64) -> bool {
        let calls = self.statements.get(&queryid).map_or(0, |statement| statement.calls);
        calls < OPERATORS_FIRST || calls.is_multiple_of(OPERATORS_EVERY)
    }

    /// Takes note of an execution at `now`, in microseconds since 1970.
    pub fn observe(&mut self, observation: Observation, now: i64) {
        let queryid = observation.fingerprint.queryid;
        let entry = self.statements.entry(queryid).or_insert_with(|| {
            self.bytes += ENTRY_BYTES + observation.fingerprint.query.len();
            Statement::new(&observation)
        });
        entry.calls += 1;
        entry.rows += observation.rows;
        entry.seen_at = now;
        entry.planning.add(milliseconds(observation.planning));
        entry.execution.add(milliseconds(observation.execution));
        if observation.is_complete {
            if !observation.operators.is_empty() {
                let mut operators = observation.operators;
                // What a model is trained on is kept elsewhere.
                for operator in &mut operators {
                    operator.sub_plan = SubPlan::default();
                }
                self.bytes += operators_bytes(&operators);
                entry.operators.push(operators);
                if entry.operators.len() > OPERATORS_KEPT {
                    self.bytes -= operators_bytes(&entry.operators.remove(0));
                }
            }
            let literals = Literals {
                text: observation.text.to_string(),
                parameters: observation.parameters,
                search_path: observation.search_path.to_string(),
                count: 1,
                seen_at: now,
            };
            match literals.bytes() <= self.limits.literal_bytes_max {
                true => entry.draw(literals, &self.limits, &mut self.random, &mut self.bytes),
                false => self.dropped += 1,
            }
        }
        while self.bytes > self.limits.bytes_max || self.statements.len() > self.limits.statements_max {
            let oldest = self.statements.values().min_by_key(|statement| statement.seen_at);
            let Some(oldest) = oldest.map(|statement| statement.fingerprint.queryid) else {
                break;
            };
            self.forget(oldest);
            self.dropped += 1;
        }
    }

    /// Forgets a statement with its literals; false where it is not known.
    pub fn forget(&mut self, queryid: i64) -> bool {
        let Some(statement) = self.statements.remove(&queryid) else {
            return false;
        };
        self.bytes -= statement.bytes();
        true
    }

    /// Forgets what is older than it may be.
    pub fn expire(&mut self, now: i64) {
        let age = i64::try_from(self.limits.age_max.as_micros()).unwrap_or(i64::MAX);
        let oldest = now.saturating_sub(age);
        self.statements.retain(|_, statement| statement.seen_at >= oldest);
        for statement in self.statements.values_mut() {
            statement.literals.retain(|literals| literals.seen_at >= oldest);
        }
        self.bytes = self.statements.values().map(Statement::bytes).sum();
    }

    /// All statements, the one that took most time first.
    pub fn statements(&self) -> Vec<&Statement> {
        let mut all: Vec<&Statement> = self.statements.values().collect();
        all.sort_by(|one, two| {
            let by_time = two.execution.total().total_cmp(&one.execution.total());
            by_time.then(one.fingerprint.queryid.cmp(&two.fingerprint.queryid))
        });
        all
    }

    /// Bytes of texts and literals.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was not kept for lack of room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// As it is written into a file.
    pub fn to_lines(&self) -> String {
        let mut lines = serde_json::json!({ HEADER: FORMAT }).to_string();
        for statement in self.statements() {
            lines.push('\n');
            lines.push_str(&serde_json::to_string(&Stored::from(statement)).expect("texts, numbers and lists of them"));
        }
        lines.push('\n');
        lines
    }

    /// What [`Captured::to_lines`] wrote.
    ///
    /// # Errors
    /// Corrupt where it is not that.
    pub fn from_lines(lines: &str, limits: Limits, seed: u64) -> Result<Self> {
        let corrupt = |error: &dyn std::fmt::Display| Error::corrupt(format!("captured statements: {error}"));
        let mut captured = Self::new(limits, seed);
        let mut lines = lines.lines();
        let header: serde_json::Value =
            serde_json::from_str(lines.next().unwrap_or_default()).map_err(|error| corrupt(&error))?;
        if header.get(HEADER).and_then(serde_json::Value::as_u64) != Some(FORMAT) {
            return Err(corrupt(&format_args!(
                "the first line is not {{\"{HEADER}\":{FORMAT}}}"
            )));
        }
        for line in lines {
            let stored: Stored = serde_json::from_str(line).map_err(|error| corrupt(&error))?;
            let statement = Statement::from(stored);
            captured.bytes += statement.bytes();
            captured.statements.insert(statement.fingerprint.queryid, statement);
        }
        Ok(captured)
    }
}

/// The name in the first line.
const HEADER: &str = "aion_captured";
/// The version in the first line.
const FORMAT: u64 = 1;

impl Statement {
    fn new(observation: &Observation) -> Self {
        Self {
            fingerprint: observation.fingerprint.clone(),
            is_read_only: observation.is_read_only,
            calls: 0,
            rows: 0,
            seen_at: 0,
            literals: Vec::new(),
            operators: Vec::new(),
            planning: Moments::default(),
            execution: Moments::default(),
            sampled: 0,
        }
    }

    /// Its figures as `pg_stat_statements` has them.
    pub fn figures(&self) -> StatementFigures {
        StatementFigures {
            fingerprint: self.fingerprint.clone(),
            calls: self.calls,
            rows: self.rows,
            planning: self.planning.figures(),
            execution: self.execution.figures(),
        }
    }

    /// Lets an execution into the sample, in the place of another where it is full.
    fn draw(&mut self, literals: Literals, limits: &Limits, random: &mut SeededRng, bytes: &mut usize) {
        self.sampled += 1;
        let is_same = |there: &&mut Literals| {
            there.text == literals.text
                && there.parameters == literals.parameters
                && there.search_path == literals.search_path
        };
        if let Some(there) = self.literals.iter_mut().find(is_same) {
            there.count += 1;
            there.seen_at = literals.seen_at;
            return;
        }
        if self.literals.len() < limits.literals_max {
            *bytes += literals.bytes();
            self.literals.push(literals);
            return;
        }
        let drawn = random.below(self.sampled) as usize;
        if let Some(there) = self.literals.get_mut(drawn) {
            *bytes += literals.bytes();
            *bytes -= there.bytes();
            *there = literals;
        }
    }

    fn bytes(&self) -> usize {
        let literals: usize = self.literals.iter().map(Literals::bytes).sum();
        let operators: usize = self.operators.iter().map(|one| operators_bytes(one)).sum();
        ENTRY_BYTES + self.fingerprint.query.len() + literals + operators
    }
}

impl Literals {
    fn bytes(&self) -> usize {
        let parameters = self.parameters.iter().flatten().map(String::len);
        self.text.len()
            + self.search_path.len()
            + parameters.sum::<usize>()
            + self.parameters.len() * size_of::<Option<String>>()
    }
}

fn operators_bytes(operators: &[OperatorObservation]) -> usize {
    let each = operators.iter().map(|one| {
        let relation = one.relation.as_ref().map_or(0, String::len);
        size_of::<OperatorObservation>() + one.name.len() + relation
    });
    each.sum()
}

/// Mean and deviation in one pass (Welford 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    fn total(&self) -> f64 {
        self.mean * self.count as f64
    }

    fn figures(&self) -> TimeFigures {
        TimeFigures {
            total_ms: self.total(),
            min_ms: self.min,
            max_ms: self.max,
            mean_ms: self.mean,
            stddev_ms: (self.squares / self.count.max(1) as f64).max(0.0).sqrt(),
        }
    }
}

/// A statement as a line. Operators are not kept from process to process.
#[derive(Serialize, Deserialize)]
struct Stored {
    queryid: i64,
    query: String,
    is_read_only: bool,
    calls: u64,
    rows: u64,
    seen_at: i64,
    planning: Moments,
    execution: Moments,
    sampled: u64,
    literals: Vec<Literals>,
}

impl From<&Statement> for Stored {
    fn from(statement: &Statement) -> Self {
        Self {
            queryid: statement.fingerprint.queryid,
            query: statement.fingerprint.query.to_string(),
            is_read_only: statement.is_read_only,
            calls: statement.calls,
            rows: statement.rows,
            seen_at: statement.seen_at,
            planning: statement.planning,
            execution: statement.execution,
            sampled: statement.sampled,
            literals: statement.literals.clone(),
        }
    }
}

impl From<Stored> for Statement {
    fn from(stored: Stored) -> Self {
        Self {
            fingerprint: Fingerprint {
                queryid: stored.queryid,
                query: stored.query.into(),
            },
            is_read_only: stored.is_read_only,
            calls: stored.calls,
            rows: stored.rows,
            seen_at: stored.seen_at,
            literals: stored.literals,
            operators: Vec::new(),
            planning: stored.planning,
            execution: stored.execution,
            sampled: stored.sampled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(queryid: i64, parameter: &str, ms: u64) -> Observation {
        Observation {
            fingerprint: Fingerprint {
                queryid,
                query: format!("SELECT {queryid} + $1").into(),
            },
            text: format!("SELECT {queryid} + $1").into(),
            parameters: vec![Some(parameter.to_owned()), None],
            search_path: "public".into(),
            is_read_only: true,
            is_complete: true,
            planning: Duration::from_micros(500),
            added: Duration::ZERO,
            told: Duration::ZERO,
            model: None,
            execution: Duration::from_millis(ms),
            rows: 2,
            operators: vec![OperatorObservation {
                depth: 0,
                name: "Seq Scan".to_owned(),
                relation: Some("t".to_owned()),
                estimated_rows: Some(10.0),
                actual_rows: 2.0,
                time: Duration::from_millis(1),
                sub_plan: SubPlan::default(),
                is_censored: false,
                predicted: None,
            }],
        }
    }

    fn counted(captured: &Captured) {
        let bytes: usize = captured.statements.values().map(Statement::bytes).sum();
        assert_eq!(captured.bytes(), bytes);
    }

    #[test]
    fn figures_are_those_of_all_executions() {
        let mut captured = Captured::new(Limits::default(), 1);
        for ms in [10, 20, 30, 40] {
            captured.observe(observation(1, "a", ms), 1_000);
        }
        captured.observe(observation(2, "a", 500), 1_000);
        let statements = captured.statements();
        assert_eq!(statements[0].fingerprint.queryid, 2, "the one that took most time");
        let figures = statements[1].figures();
        assert_eq!((figures.calls, figures.rows), (4, 8));
        let times = figures.execution;
        assert_eq!((times.min_ms, times.max_ms), (10.0, 40.0));
        assert!((times.total_ms - 100.0).abs() < 1e-9 && (times.mean_ms - 25.0).abs() < 1e-9);
        assert!((times.stddev_ms - 125.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!(statements[1].literals.len(), 1);
        assert_eq!(statements[1].literals[0].count, 4);
        counted(&captured);
    }

    #[test]
    fn literals_are_a_uniform_sample() {
        let limits = Limits {
            literals_max: 10,
            ..Limits::default()
        };
        let mut first_half = 0;
        for seed in 0..200 {
            let mut captured = Captured::new(limits, seed);
            for at in 0..100 {
                captured.observe(observation(1, &at.to_string(), 1), at);
            }
            counted(&captured);
            let literals = &captured.statements()[0].literals;
            assert_eq!(literals.len(), 10);
            first_half += literals.iter().filter(|one| one.seen_at < 50).count();
        }
        // Half of 2,000, to four standard deviations.
        assert!((910..=1_090).contains(&first_half), "{first_half}");
    }

    #[test]
    fn operators_of_the_first_and_of_some_later_executions_are_wanted() {
        let mut captured = Captured::new(Limits::default(), 1);
        let mut wanted = 0;
        for _ in 0..160 {
            let wants = captured.wants_operators(1);
            wanted += usize::from(wants);
            let mut one = observation(1, "a", 1);
            if !wants {
                one.operators.clear();
            }
            captured.observe(one, 1);
            counted(&captured);
        }
        assert_eq!(wanted, 8 + 9);
        assert_eq!(captured.statements()[0].operators.len(), OPERATORS_KEPT);
    }

    #[test]
    fn limits_hold() {
        let limits = Limits {
            statements_max: 3,
            bytes_max: 4_000,
            literal_bytes_max: 100,
            ..Limits::default()
        };
        let mut captured = Captured::new(limits, 1);
        for queryid in 0..10 {
            captured.observe(observation(queryid, "a", 1), queryid);
        }
        let mut left: Vec<i64> = captured
            .statements()
            .iter()
            .map(|one| one.fingerprint.queryid)
            .collect();
        left.sort_unstable();
        assert_eq!(left, [7, 8, 9]);
        assert_eq!(captured.dropped(), 7);
        captured.observe(observation(9, &"x".repeat(200), 1), 10);
        assert_eq!(captured.dropped(), 8);
        for at in 0..100 {
            captured.observe(observation(9, &at.to_string(), 1), 11);
            assert!(captured.bytes() <= 4_000);
        }
        counted(&captured);
    }

    #[test]
    fn what_is_old_or_to_be_forgotten_goes() {
        let day = 24 * 60 * 60 * 1_000_000;
        let mut captured = Captured::new(Limits::default(), 1);
        captured.observe(observation(1, "old", 1), 0);
        captured.observe(observation(2, "old", 1), 0);
        captured.observe(observation(2, "new", 1), 6 * day);
        captured.expire(8 * day);
        counted(&captured);
        let statements = captured.statements();
        assert_eq!(statements.len(), 1);
        assert_eq!(statements[0].literals.len(), 1);
        assert_eq!(statements[0].literals[0].parameters[0].as_deref(), Some("new"));
        assert!(captured.forget(2) && !captured.forget(2));
        assert_eq!(captured.bytes(), 0);
    }

    #[test]
    fn an_execution_that_was_given_up_leaves_no_literals() {
        let mut captured = Captured::new(Limits::default(), 1);
        let mut given_up = observation(1, "a", 1);
        given_up.is_complete = false;
        captured.observe(given_up, 1);
        let statements = captured.statements();
        assert_eq!(statements[0].calls, 1);
        assert!(statements[0].literals.is_empty() && statements[0].operators.is_empty());
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut captured = Captured::new(Limits::default(), 1);
        for at in 0..50 {
            captured.observe(observation(at % 5, &format!("ü\n\"{at}"), at as u64), at);
        }
        let lines = captured.to_lines();
        let back = Captured::from_lines(&lines, Limits::default(), 2).expect("it was written so");
        counted(&back);
        assert_eq!(back.statements().len(), 5);
        for statement in captured.statements() {
            let read = &back.statements[&statement.fingerprint.queryid];
            assert_eq!(
                (&read.fingerprint, &read.literals),
                (&statement.fingerprint, &statement.literals)
            );
            let (one, two) = (read.figures(), statement.figures());
            assert_eq!((one.calls, one.rows), (two.calls, two.rows));
            // serde_json reads a double to its last digit or the one before.
            assert!((one.execution.stddev_ms - two.execution.stddev_ms).abs() < 1e-9);
            assert!((one.execution.total_ms - two.execution.total_ms).abs() < 1e-9);
        }
        for damaged in ["", "{}", "{\"aion_captured\":2}", &lines[..lines.len() - 9]] {
            assert!(
                Captured::from_lines(damaged, Limits::default(), 2).is_err(),
                "{damaged}"
            );
        }
    }
}
