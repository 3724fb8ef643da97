//! What is noted of a statement that ran.
//!
//! **Vocabulary.** A *fingerprint* is a statement without its literals: a text, and the number that it is known by, the *queryid*. An
//! *observation* is one execution. It holds what is needed to run the statement again: its text as it was sent, and its
//! parameters' values as text, in the order of `$1`, `$2`, ...
//!
//! Literals are the users' data: an observer keeps them in its own bounded store, and never logs them.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::subplan::SubPlan;

/// A statement without its literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The number it is known by.
    pub queryid: i64,
    /// Its text with `$n` for each literal.
    pub query: Arc<str>,
}

/// One execution of a statement.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Which statement.
    pub fingerprint: Fingerprint,
    /// The text that was sent.
    pub text: Arc<str>,
    /// Its parameters as text; None for NULL.
    pub parameters: Vec<Option<String>>,
    /// Where its names were looked up: the setting `search_path`.
    pub search_path: Arc<str>,
    /// Whether it only reads.
    pub is_read_only: bool,
    /// Whether all its rows were read. Otherwise what was counted is less than what there was.
    pub is_complete: bool,
    /// From the text to an executable plan.
    pub planning: Duration,
    /// What observing added before it ran: its fingerprint and its parameters.
    pub added: Duration,
    /// What observing added after its last row: its operators, and a model's predictions of them.
    pub told: Duration,
    /// The model that was asked.
    pub model: Option<Arc<str>>,
    /// Running it, without what the client took between batches.
    pub execution: Duration,
    /// Rows given, or changed.
    pub rows: u64,
    /// The plan's operators, the topmost first, where they were asked for.
    pub operators: Vec<OperatorObservation>,
}

/// What one operator of a plan was expected to do, and did.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorObservation {
    /// How far below the topmost it stands.
    pub depth: usize,
    /// The name that EXPLAIN gives it.
    pub name: String,
    /// The table that it reads.
    pub relation: Option<String>,
    /// Rows that were expected; None where nothing was known.
    pub estimated_rows: Option<f64>,
    /// Rows that it gave.
    pub actual_rows: f64,
    /// Its processor time, what is below it included.
    pub time: Duration,
    /// What its rows depend on.
    pub sub_plan: SubPlan,
    /// It may have been stopped before it had given all its rows.
    pub is_censored: bool,
    /// What a model predicted of its rows, before it ran.
    pub predicted: Option<PredictedRows>,
}

/// What a model predicts of an operator's rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictedRows {
    /// Nine of ten times there are more.
    pub low: f64,
    /// As often more as less.
    pub rows: f64,
    /// Nine of ten times there are less.
    pub high: f64,
}

/// What a model predicts of the operators of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// Name and version of the model.
    pub model: Arc<str>,
    /// Whether plans are made with it; otherwise it is only compared.
    pub is_live: bool,
    /// One for each operator, in the order that was asked; None where it has nothing to say.
    pub rows: Vec<Option<PredictedRows>>,
}

/// All executions of one statement.
#[derive(Clone, Debug, PartialEq)]
pub struct StatementFigures {
    /// Which statement.
    pub fingerprint: Fingerprint,
    /// Executions.
    pub calls: u64,
    /// Rows given or changed by all of them.
    pub rows: u64,
    /// Milliseconds of planning.
    pub planning: TimeFigures,
    /// Milliseconds of execution.
    pub execution: TimeFigures,
}

/// Milliseconds over all executions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimeFigures {
    /// Their sum.
    pub total_ms: f64,
    /// The shortest.
    pub min_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Their mean.
    pub mean_ms: f64,
    /// Their standard deviation over all executions, as PostgreSQL computes it.
    pub stddev_ms: f64,
}

/// Takes note of statements. It never fails and never waits: what it cannot keep it drops, and counts.
pub trait Observer: Debug + Send + Sync {
    /// Whether anything is noted now; asked before each statement of the full path.
    fn is_on(&self) -> bool;

    /// Whether the operators of the next execution of a statement are of interest; gathering them costs.
    fn wants_operators(&self, queryid: i64) -> bool;

    /// Whether a model predicts now; where none does, plans need not be walked for it.
    fn predicts(&self) -> bool;

    /// What a model predicts of the operators of a plan; None where there is no model.
    fn predict(&self, sub_plans: &[&SubPlan]) -> Option<Predicted>;

    /// Takes note of an execution.
    fn observe(&self, observation: Observation);

    /// What was noted, by statement, the one that took most time first.
    fn statements(&self) -> Vec<StatementFigures>;

    /// Forgets a statement with its literals; false where it is not known.
    fn forget(&self, queryid: i64) -> bool;
}
