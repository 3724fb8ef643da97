//! What the database recommends, as sessions see it and act upon it.
//!
//! **Vocabulary.** A *recommendation* is a proposed change with its evidence; a *decision* is a move of it from state to state, an
//! entry of the ledger; a *verb* is what a person can ask for. States, kinds, verbs and modes go by their names here: the pipeline
//! (`shadow`, composed in `db`) knows what they mean, sessions only show them and pass them on.

use std::fmt::Debug;

use crate::Result;

/// A row of `aion.recommendations`. Times are microseconds since 1970 in UTC; what was not measured is None.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recommendation {
    /// Counts from 1.
    pub id: u64,
    /// `index`, `plan`, `model`, `knob`, `statistics`.
    pub kind: &'static str,
    /// What it changes, as `schema.table`.
    pub object: String,
    /// Where it stands.
    pub state: &'static str,
    /// Why it stands there.
    pub state_reason: String,
    /// What makes the change.
    pub command: String,
    /// What takes it back; None where nothing does.
    pub undo_command: Option<String>,
    /// Whose idea it was: `advisor`, `planted`, or a role.
    pub origin: String,
    /// The statements that it is for.
    pub queryids: Vec<i64>,
    /// Their executions, when it was proposed.
    pub calls: Option<u64>,
    /// By the planner's estimate.
    pub estimated_speedup: Option<f64>,
    /// Of the workload, each statement's median times its calls.
    pub before_ms: Option<f64>,
    /// The same with the change.
    pub after_ms: Option<f64>,
    /// Of the workload.
    pub speedup: Option<f64>,
    /// The lower bound of its 95 % interval.
    pub speedup_low: Option<f64>,
    /// The upper bound of its 95 % interval.
    pub speedup_high: Option<f64>,
    /// The statement with the least speed-up.
    pub worst_queryid: Option<i64>,
    /// Its speed-up.
    pub worst_speedup: Option<f64>,
    /// Pairs of executions.
    pub samples: Option<u64>,
    /// Whether all answers that were compared were equal.
    pub results_equal: Option<bool>,
    /// What it takes on disk: estimated, and measured once it was rehearsed.
    pub size_bytes: Option<u64>,
    /// What making it took.
    pub build_ms: Option<f64>,
    /// How much longer writes take.
    pub write_cost_pct: Option<f64>,
    /// How many more bytes writes put into the log.
    pub write_bytes_pct: Option<f64>,
    /// What it takes in memory.
    pub memory_bytes: Option<u64>,
    /// When it was proposed.
    pub created_at: i64,
    /// When its rehearsal ended.
    pub rehearsed_at: Option<i64>,
    /// When its state last changed.
    pub decided_at: Option<i64>,
    /// Who changed it: a role, or `pipeline`.
    pub decided_by: Option<String>,
    /// When the change was made.
    pub applied_at: Option<i64>,
    /// When it is too old to be approved.
    pub expires_at: Option<i64>,
    /// The watch does not take it back.
    pub is_pinned: bool,
    /// The verbs that can be asked of it now.
    pub verbs: Vec<&'static str>,
    /// The evidence as JSON.
    pub evidence: Option<String>,
}

/// A row of `aion.decisions`.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// Microseconds since 1970, UTC.
    pub at: i64,
    /// What was decided on.
    pub recommendation_id: u64,
    /// None for the first decision on it.
    pub from_state: Option<&'static str>,
    /// Where it stands now.
    pub to_state: &'static str,
    /// A role, or `pipeline`.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The last entry of the log that the decision could see.
    pub log_index: u64,
    /// The version of the program that decided.
    pub version: String,
    /// Of the draws behind the verdict.
    pub seed: u64,
    /// Of the evidence as it is stored.
    pub evidence_sha256: Option<String>,
    /// The hash of the decision before.
    pub prev_hash: String,
    /// Of all the above.
    pub hash: String,
}

/// A row of `aion.ai_status`: one thing about the learned parts.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusRow {
    /// What it is about.
    pub name: &'static str,
    /// How it is, with its unit.
    pub value: String,
    /// What it means where it is not as one would like, and what to do.
    pub hint: Option<String>,
}

/// A row of `aion.models`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelRow {
    /// Its name.
    pub name: String,
    /// Counts from 1 for each name.
    pub version: u64,
    /// What it predicts.
    pub purpose: String,
    /// How far it is: `shadow`, `live`, `retired`, `failed`, ...
    pub stage: &'static str,
    /// Of its file.
    pub sha256: String,
    /// Of its file.
    pub bytes: u64,
    /// Microseconds since 1970, UTC.
    pub trained_at: i64,
    /// Operators that it was trained on.
    pub train_rows: u64,
    /// Operators that it was measured on.
    pub test_rows: u64,
    /// Its median Q-error.
    pub q_error_p50: Option<f64>,
    /// Its 95 % Q-error.
    pub q_error_p95: Option<f64>,
    /// The planner's median Q-error on the same operators.
    pub baseline_p50: Option<f64>,
    /// The planner's 95 % Q-error on the same operators.
    pub baseline_p95: Option<f64>,
    /// What last went wrong with it.
    pub last_error: Option<String>,
}

/// A row of `aion.knobs`, with the names of `pg_settings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnobRow {
    /// As ALTER SYSTEM takes it.
    pub name: String,
    /// Its value, in force now.
    pub setting: String,
    /// None for a count.
    pub unit: Option<&'static str>,
    /// What it belongs to.
    pub category: &'static str,
    /// One sentence.
    pub short_desc: &'static str,
    /// The least value.
    pub min_val: String,
    /// The greatest value.
    pub max_val: String,
    /// Its value when nobody set it.
    pub boot_val: String,
    /// Who set it: `default`, `alter system` or `pipeline`.
    pub source: &'static str,
    /// Whether the pipeline may change it: no person has set it.
    pub is_managed: bool,
    /// The recommendation that set it.
    pub decision_id: Option<u64>,
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The verb by its name.
    pub verb: &'static str,
    /// Of what.
    pub of: AskedOf,
    /// Why; empty where no reason was given.
    pub reason: String,
    /// The role that asks.
    pub role: String,
    /// The mode that the session lowered itself to, by its name.
    pub mode: String,
}

/// What a verb is asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedOf {
    /// A recommendation.
    Recommendation(u64),
    /// A command that is to become one.
    Command(String),
}

/// The pipeline of recommendations, as sessions reach it.
pub trait Pipeline: Debug + Send + Sync {
    /// The database's mode, by its name.
    fn mode(&self) -> &'static str;

    /// How the learned parts are.
    fn status(&self) -> Vec<StatusRow>;

    /// All models, by name and version.
    fn models(&self) -> Vec<ModelRow>;

    /// The settings that can change while the database runs; none in memory.
    fn knobs(&self) -> Vec<KnobRow>;

    /// All recommendations, by id; the evidence of each only where it is asked for.
    ///
    /// # Errors
    /// When the evidence cannot be read.
    fn recommendations(&self, with_evidence: bool) -> Result<Vec<Recommendation>>;

    /// All decisions, by their sequence.
    ///
    /// # Errors
    /// When they cannot be read.
    fn decisions(&self) -> Result<Vec<DecisionRow>>;

    /// Does what is asked; the recommendation's id. Blocks, for minutes where something is rehearsed.
    ///
    /// # Errors
    /// 42704 for an id that does not exist, 55000 where the state, the mode or the time does not allow it, 42501 for a role that may
    /// not ask, 57014 when it is cancelled, and what the change itself answers.
    fn ask(&self, asked: &Asked, is_cancelled: &(dyn Fn() -> bool + Sync)) -> Result<u64>;

    /// What the database was given for settings that its sessions have.
    fn session_settings(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Rises with each change of [`Pipeline::session_settings`]; 0 where there never was any.
    fn session_settings_version(&self) -> u64 {
        0
    }

    /// Changes a setting of the database for good; None puts its default back.
    ///
    /// # Errors
    /// 22023 for a value that it does not take, 42704 for a setting that is no such, 42501 for a role that may not.
    fn configure(&self, name: &str, value: Option<&str>, role: &str) -> Result<()>;
}
