//! The log of slow statements: `log_min_duration_statement`.
//!
//! A statement that worked for so long or longer is one line of the server's log, at the level info and of the target
//! [`LOG_TARGET`], which the program writes whatever level it was asked for:
//!
//! ```text
//! duration_ms=1503.118 user="alice" database="aion" pid=7 rows=3 statement="SELECT * FROM t WHERE id = $1"
//! ```
//!
//! **What is counted**: the work on its execution and its rows, not the time in which the client read what it was sent. A statement that
//! failed is told to its client and is no line here.
//!
//! **No user's data**: literals are `$n` (see `observe`), and values of parameters are left out, unless `log_parameter_max_length` is set:
//! then the text is the client's, and values are as long as it says. A statement that may hold a password is not shown even then.
//! Texts are quoted and escaped, so that no statement can write a line of its own.

use std::sync::Arc;
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_catalog::{SqlType, Value};

use super::{Prepared, Session};
use crate::observe::fingerprint;
use crate::parse::mentions_password;
use crate::response::{Response, Rows};
use crate::utility;

/// What log lines of statements are told apart by.
pub const LOG_TARGET: &str = "aion::statement";

/// Bytes of a text that are logged, at most.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// What is to be logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowLog {
    /// Statements that take so long.
    pub from: Duration,
    /// Bytes of a value that are logged; 0 for none, -1 for all.
    pub parameter_bytes: i64,
}

/// A statement that is timed; it is logged, if it was slow, when this is dropped.
#[derive(Debug)]
pub(crate) struct Timed {
    log: SlowLog,
    clock: SystemClock,
    begin: Duration,
    took: Duration,
    rows: u64,
    user: String,
    database: String,
    process_id: i32,
    text: Arc<str>,
    ordinal: usize,
    is_secret: bool,
    parameters: Vec<String>,
    /// It did what it was to do, as far as it is known yet.
    has_answered: bool,
}

impl Session {
    /// Begins to time a statement; None where nobody wants to know.
    pub(super) fn timed(&self, prepared: &Prepared, values: &[Value]) -> Option<Timed> {
        let log = self.choices.slow_log?;
        let clock = SystemClock::default();
        let statement = &prepared.statement;
        let is_secret = utility::is_secret(&statement.ast);
        let parameters = match log.parameter_bytes {
            0 => Vec::new(),
            _ if is_secret => Vec::new(),
            bytes => {
                let values = values.iter().zip(&prepared.parameters);
                values.map(|(value, sql_type)| shown(value, sql_type, bytes)).collect()
            }
        };
        Some(Timed {
            log,
            begin: clock.monotonic(),
            clock,
            took: Duration::ZERO,
            rows: 0,
            user: self.options.user.clone(),
            database: self.options.database.clone(),
            process_id: self.process_id,
            text: statement.text.clone(),
            ordinal: statement.ordinal,
            is_secret,
            parameters,
            has_answered: false,
        })
    }
}

/// A value as text, so long as is allowed.
fn shown(value: &Value, sql_type: &SqlType, bytes: i64) -> String {
    if *value == Value::Null {
        return "NULL".to_owned();
    }
    let mut text = String::new();
    value.text_out(sql_type, &mut text);
    let allowed = usize::try_from(bytes).unwrap_or(TEXT_BYTES_MAX);
    cut(&text, allowed.min(TEXT_BYTES_MAX))
}

fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(bytes_max)])
}

impl Timed {
    /// A monotonic time.
    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// The statement has answered: it is over, but for the rows that are still to come.
    pub(super) fn answered(self, response: &mut Response) {
        match response {
            Response::Rows(rows) => self.gives(rows),
            Response::Done { tag } => self.over(tag),
        }
    }

    /// The statement's rows are still to come.
    pub(super) fn gives(mut self, rows: &mut Rows) {
        self.took = self.now().saturating_sub(self.begin);
        self.has_answered = true;
        rows.time(self);
    }

    /// The statement is over; its tag says of how many rows.
    pub(super) fn over(mut self, tag: &str) {
        self.took = self.now().saturating_sub(self.begin);
        self.has_answered = true;
        self.rows = count_of(tag);
    }

    /// It took this time more, and gave so many rows in it.
    pub(crate) fn took(&mut self, since: Duration, rows: usize) {
        self.took += self.now().saturating_sub(since);
        self.rows += rows as u64;
    }

    /// It failed.
    pub(crate) fn forget(&mut self) {
        self.has_answered = false;
    }

    fn statement(&self) -> String {
        if self.is_secret {
            return "(it may hold a password)".to_owned();
        }
        // The text has the statements that came with it, too, and one of them may set a password.
        let has_secret = mentions_password(&self.text);
        let found = fingerprint(&self.text, self.ordinal);
        let text = match &found {
            Some((_, place)) if self.log.parameter_bytes != 0 && !has_secret => self.text.get(place.clone()),
            Some((fingerprint, _)) => Some(&*fingerprint.query),
            None => None,
        };
        match text {
            Some(text) => cut(text, TEXT_BYTES_MAX),
            None => format!(
                "(statement {} of a text of {} bytes)",
                self.ordinal + 1,
                self.text.len()
            ),
        }
    }
}

/// The rows that a command tag counts.
fn count_of(tag: &str) -> u64 {
    let last = tag.rsplit(' ').next();
    last.and_then(|count| count.parse().ok()).unwrap_or_default()
}

impl Drop for Timed {
    fn drop(&mut self) {
        if !self.has_answered || self.took < self.log.from {
            return;
        }
        let milliseconds = format!("{:.3}", self.took.as_secs_f64() * 1_000.0);
        let statement = self.statement();
        let (user, database) = (&self.user, &self.database);
        let parameters = (!self.parameters.is_empty()).then(|| tracing::field::debug(&self.parameters));
        tracing::info!(
            target: LOG_TARGET,
            duration_ms = %milliseconds,
            ?user,
            ?database,
            pid = self.process_id,
            rows = self.rows,
            ?statement,
            parameters
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(text: &str, parameter_bytes: i64) -> Timed {
        let clock = SystemClock::default();
        Timed {
            log: SlowLog {
                from: Duration::ZERO,
                parameter_bytes,
            },
            begin: clock.monotonic(),
            clock,
            took: Duration::ZERO,
            rows: 0,
            user: "aion".to_owned(),
            database: "aion".to_owned(),
            process_id: 1,
            text: text.into(),
            ordinal: 0,
            is_secret: false,
            parameters: Vec::new(),
            has_answered: false,
        }
    }

    #[test]
    fn literals_are_shown_where_somebody_asked_for_them() {
        let text = "SELECT 'secret' -- comment\n FROM t";
        assert_eq!(timed(text, 0).statement(), "SELECT $1 FROM t");
        assert_eq!(timed(text, 10).statement(), text);
        let text = "SELECT 'x'; ALTER ROLE alice PASSWORD 'y'";
        assert_eq!(timed(text, -1).statement(), "SELECT $1");
        assert_eq!(
            timed("SELECT 'open", -1).statement(),
            "(statement 1 of a text of 12 bytes)"
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "ä...");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(shown(&Value::Null, &SqlType::Text, 5), "NULL");
        assert_eq!(shown(&Value::Text("abcdef".into()), &SqlType::Text, 2), "ab...");
        assert_eq!(shown(&Value::Text("abcdef".into()), &SqlType::Text, -1), "abcdef");
    }

    #[test]
    fn tags_count_rows() {
        for (tag, count) in [("INSERT 0 3", 3), ("UPDATE 7", 7), ("CREATE TABLE", 0), ("COPY 12", 12)] {
            assert_eq!(count_of(tag), count, "{tag}");
        }
    }
}
