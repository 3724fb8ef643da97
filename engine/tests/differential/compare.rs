//! Two answers side by side.

use std::cmp::Ordering;

use super::Statement;
use super::client::{Answer, Cells};

/// Digits of a float that are the same whatever order a sum was taken in.
const FLOAT_ERROR_MAX: f64 = 1e-12;
/// `float4`, `float8`, `numeric`.
const FLOATS: [u32; 2] = [700, 701];

/// A statement that the two answered differently.
#[derive(Clone, Debug)]
pub struct Difference {
    pub statement: Statement,
    pub theirs: Answer,
    pub ours: Answer,
    /// What of the answers differs.
    pub what: &'static str,
}

impl Difference {
    fn code(answer: &Answer) -> &str {
        answer.error.as_ref().map_or("no error", |(code, _)| code)
    }

    /// SQLSTATE of PostgreSQL, or `no error`.
    pub fn their_code(&self) -> &str {
        Self::code(&self.theirs)
    }

    /// SQLSTATE of ours, or `no error`.
    pub fn our_code(&self) -> &str {
        Self::code(&self.ours)
    }

    /// What of it stays the same while statements are left out.
    pub fn kind(&self) -> (String, String, &'static str) {
        (self.their_code().to_owned(), self.our_code().to_owned(), self.what)
    }

    /// What two findings of one error have in common, mostly: the codes, and our message without what is quoted in it.
    pub fn class(&self) -> String {
        let message = self.ours.error.as_ref().map_or("", |(_, message)| message);
        let unquoted: Vec<&str> = message.split('"').step_by(2).collect();
        let words: Vec<String> = unquoted
            .join("")
            .split_whitespace()
            .take(6)
            .map(|word| word.chars().filter(|letter| !letter.is_ascii_digit()).collect())
            .collect();
        let verb: Vec<&str> = self.statement.sql.split_whitespace().take(2).collect();
        let verb = if self.our_code() == "no error" { verb[0] } else { "" };
        format!(
            "{} {} {} {verb} {}",
            self.their_code(),
            self.our_code(),
            self.what,
            words.join(" ")
        )
    }
}

/// What differs between two answers to one statement, if anything does.
pub fn differ(statement: &Statement, theirs: &Answer, ours: &Answer) -> Option<Difference> {
    let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
    if !statement.is_ordered {
        theirs.rows.sort();
        ours.rows.sort();
    }
    let types = |answer: &Answer| -> Vec<u32> { answer.columns.iter().map(|(_, oid)| *oid).collect() };
    let what = if theirs.error.as_ref().map(|(code, _)| code) != ours.error.as_ref().map(|(code, _)| code) {
        "the error"
    } else if theirs.status != ours.status {
        "the state of the transaction"
    } else if theirs.error.is_some() {
        return None;
    } else if theirs.tags != ours.tags {
        "the tag"
    } else if !same_rows(&theirs, &ours) {
        "the rows"
    } else if types(&theirs) != types(&ours) {
        "the types"
    } else {
        return None;
    };
    Some(Difference {
        statement: statement.clone(),
        theirs,
        ours,
        what,
    })
}

fn same_rows(theirs: &Answer, ours: &Answer) -> bool {
    let is_float: Vec<bool> = theirs.columns.iter().map(|(_, oid)| FLOATS.contains(oid)).collect();
    let same = |(a, b): (&Cells, &Cells)| {
        a.len() == b.len()
            && a.iter().zip(b).enumerate().all(|(at, (a, b))| {
                a == b
                    || (is_float.get(at) == Some(&true) && nearly(a.as_deref(), b.as_deref()) == Some(Ordering::Equal))
            })
    };
    theirs.rows.len() == ours.rows.len() && theirs.rows.iter().zip(&ours.rows).all(same)
}

fn nearly(a: Option<&str>, b: Option<&str>) -> Option<Ordering> {
    let (a, b): (f64, f64) = (a?.parse().ok()?, b?.parse().ok()?);
    match (a - b).abs() <= FLOAT_ERROR_MAX * a.abs().max(b.abs()) {
        true => Some(Ordering::Equal),
        false => a.partial_cmp(&b),
    }
}
