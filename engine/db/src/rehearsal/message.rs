//! What parent and child tell each other: a request on the child's standard input, then a line of JSON for each sample and one for the
//! end of the rehearsal on its standard output; then the next request, or the end of the input.

use std::path::PathBuf;

use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_shadow::captured::{Literals, Statement};
use aion_shadow::verdict::{Budget, Evidence, Verdict};
use serde::{Deserialize, Serialize};

/// What to rehearse.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// The clone that stays as it is.
    pub incumbent: PathBuf,
    /// The clone on which the command is run.
    pub candidate: PathBuf,
    /// Commands that are run on both first. They begin with those of the request before.
    pub given: Vec<String>,
    pub command: String,
    /// Takes the command back before the next request.
    pub undo_command: Option<String>,
    /// Schema and name of the table whose writes feel the change.
    pub table: Option<(String, String)>,
    pub statements: Vec<RequestedStatement>,
    pub budget: Budget,
    pub time_ms: u64,
    pub seed: u64,
    /// Whether statements whose plans are the same are compared, too.
    pub compares_all: bool,
    /// Memory of each clone.
    pub memory_bytes: usize,
}

/// A captured statement.
#[derive(Debug, Serialize, Deserialize)]
pub struct RequestedStatement {
    pub queryid: i64,
    pub calls: u64,
    pub is_read_only: bool,
    pub literals: Vec<Literals>,
}

impl From<&Statement> for RequestedStatement {
    fn from(statement: &Statement) -> Self {
        Self {
            queryid: statement.fingerprint.queryid,
            calls: statement.calls,
            is_read_only: statement.is_read_only,
            literals: statement.literals.clone(),
        }
    }
}

/// One measured execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleLine {
    /// The statement; None for rows that were written.
    pub queryid: Option<i64>,
    /// `incumbent` or `candidate`.
    pub arm: String,
    /// The same for the same literals.
    pub literal_hash: String,
    /// Milliseconds.
    pub ms: f64,
    /// Rows of the answer; None where it was given up.
    pub rows: Option<u64>,
    /// The same for equal answers.
    pub result_hash: Option<String>,
}

/// The end of a rehearsal.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    pub evidence: Evidence,
    pub verdict: Verdict,
    /// Whether there was time for more pairs when it was judged.
    pub had_time: bool,
}

/// A line of the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Sample(SampleLine),
    Done(Done),
    Failed { state: String, message: String },
}

impl Line {
    /// The end of a rehearsal that failed.
    pub fn failed(error: &Error) -> Self {
        Self::Failed {
            state: error.state().as_str().to_owned(),
            message: match error.detail() {
                Some(detail) => format!("{} ({detail})", error.message()),
                None => error.message().to_owned(),
            },
        }
    }
}

/// The error that a child told of. Its kind follows from the class of its state.
pub fn told(state: &str, message: &str) -> Error {
    let kinds = [
        ("53", ErrorKind::Exhausted, SqlState::INSUFFICIENT_RESOURCES),
        (
            "42",
            ErrorKind::Invalid,
            SqlState::SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION,
        ),
        ("23", ErrorKind::Conflict, SqlState::UNIQUE_VIOLATION),
        ("57", ErrorKind::Unavailable, SqlState::QUERY_CANCELED),
    ];
    let found = kinds.iter().find(|(class, ..)| state.starts_with(class));
    let (kind, known) = match found {
        Some(&(_, kind, known)) => (kind, known),
        None => (ErrorKind::Internal, SqlState::INTERNAL_ERROR),
    };
    Error::new(kind, known, format!("the rehearsal failed with {state}: {message}"))
}

/// A message as a line.
///
/// # Errors
/// Internal for what JSON cannot hold.
pub fn to_line(message: &impl Serialize) -> Result<String> {
    let mut line = serde_json::to_string(message)
        .map_err(|error| Error::internal(format!("a message of a rehearsal cannot be written: {error}")))?;
    line.push('\n');
    Ok(line)
}
