//! What clients asked for, what came back, and when.
//!
//! **Times** are numbers of one counter, taken before BEGIN is sent and after the last answer was read. So an interval holds
//! the true one, and if one transaction was complete before another was invoked, it was so in truth.

use std::collections::BTreeMap;

/// SQLSTATEs with which a transaction may fail because of others: serialization, deadlock, a key that is there.
const CONFLICTS: [&str; 3] = ["40001", "40P01", "23505"];

/// The outcome is not known to the server itself.
const COMPLETION_UNKNOWN: &str = "40003";

/// The code of a transaction that its own client rolled back.
pub const WITHDRAWN: &str = "ROLLBACK";

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// COMMIT was acknowledged; with what the transaction had read.
    Committed(R),
    /// It has certainly no effect: SQLSTATE and message.
    Aborted(String, String),
    /// The answer to COMMIT was lost, or says nothing.
    Unknown(String, String),
}

/// One attempt at a transaction.
#[derive(Clone, Debug)]
pub struct Transaction<P, R> {
    /// Before it began.
    pub invoked: u64,
    /// After it ended.
    pub completed: u64,
    /// What it was to do.
    pub plan: P,
    /// How it ended.
    pub outcome: Outcome<R>,
}

impl<P, R> Transaction<P, R> {
    /// What it read, if it committed.
    pub fn committed(&self) -> Option<&R> {
        match &self.outcome {
            Outcome::Committed(seen) => Some(seen),
            Outcome::Aborted(..) | Outcome::Unknown(..) => None,
        }
    }

    /// Whether it has, or may have, an effect.
    pub fn may_have_committed(&self) -> bool {
        !matches!(self.outcome, Outcome::Aborted(..))
    }

    /// Whether it failed with this SQLSTATE.
    pub fn failed_with(&self, code: &str) -> bool {
        matches!(&self.outcome, Outcome::Aborted(found, _) if found == code)
    }
}

/// How many transactions ended how.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Acknowledged.
    pub committed: usize,
    /// By SQLSTATE.
    pub aborted: BTreeMap<String, usize>,
    /// Neither.
    pub unknown: usize,
}

/// Counts the outcomes. An error that no other transaction can cause is one of the server's, and ends the test.
pub fn count<P, R>(transactions: &[Transaction<P, R>]) -> Result<Counts, String> {
    let mut counts = Counts::default();
    for transaction in transactions {
        match &transaction.outcome {
            Outcome::Committed(_) => counts.committed += 1,
            Outcome::Aborted(code, message) => {
                if code != WITHDRAWN && !CONFLICTS.contains(&code.as_str()) {
                    return Err(format!("a transaction failed with {code}: {message}"));
                }
                *counts.aborted.entry(code.clone()).or_default() += 1;
            }
            Outcome::Unknown(code, message) => {
                // Nobody kills servers or connections here.
                if code != COMPLETION_UNKNOWN {
                    return Err(format!("a COMMIT ended with {code}: {message}"));
                }
                counts.unknown += 1;
            }
        }
    }
    Ok(counts)
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let failed: usize = self.aborted.values().sum();
        write!(f, "{} ok, {failed} failed", self.committed)?;
        let codes: Vec<String> = self
            .aborted
            .iter()
            .map(|(code, count)| format!("{code}: {count}"))
            .collect();
        if failed > 0 {
            write!(f, " ({})", codes.join(", "))?;
        }
        write!(f, ", {} unknown", self.unknown)
    }
}

#[test]
fn an_error_that_no_conflict_explains_ends_the_hunt() {
    let with = |outcome| {
        [Transaction {
            invoked: 0,
            completed: 1,
            plan: (),
            outcome,
        }]
    };
    let failed = |code: &str| Outcome::Aborted::<()>(code.to_owned(), "because".to_owned());
    let counted = count(&with(failed("40001"))).expect("a conflict");
    assert_eq!(counted.to_string(), "0 ok, 1 failed (40001: 1), 0 unknown");
    assert!(count(&with(failed("XX000"))).is_err_and(|story| story.contains("XX000")));
    assert!(count(&with(Outcome::Unknown("08006".to_owned(), "gone".to_owned()))).is_err());
}
