//! A client that writes values as DataFusion's own runner does, and a comparison that knows both ways.

use std::io;

use sqllogictest::{DB, DBOutput, DefaultColumnType, Normalizer};

use crate::differential::client::{Client, Way};

/// PostgreSQL's types that DataFusion writes otherwise.
const BOOLEAN: u32 = 16;
const TIMESTAMPS: [u32; 2] = [1114, 1184];

/// Numbers that differ by less of themselves are one number.
const NUMBER_ERROR_MAX: f64 = 1e-9;

/// One connection.
pub struct Connection(Client);

impl Connection {
    pub fn open(port: u16, database: &str) -> Result<Self, Failure> {
        Ok(Self(Client::connect(port, database).map_err(lost)?))
    }
}

/// An error as `SQLSTATE: message`.
#[derive(Debug)]
pub struct Failure(String);

/// What a connection that ended is told as; see [`super::report`].
pub const LOST: &str = "the connection is gone";

fn lost(error: io::Error) -> Failure {
    Failure(format!("{LOST}: {error}"))
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl DB for Connection {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let answer = self.0.ask(sql, Way::Simple).map_err(lost)?;
        if let Some((code, message)) = answer.error {
            return Err(Failure(format!("{code}: {message}")));
        }
        if answer.columns.is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let shown = |(at, cell): (usize, Option<String>)| {
            let oid = answer.columns.get(at).map_or(0, |(_, oid)| *oid);
            match cell.as_deref() {
                None => "NULL".to_owned(),
                Some("") => "(empty)".to_owned(),
                Some("t") if oid == BOOLEAN => "true".to_owned(),
                Some("f") if oid == BOOLEAN => "false".to_owned(),
                Some(moment) if TIMESTAMPS.contains(&oid) => moment.replacen(' ', "T", 1).replace("+00", "Z"),
                Some(text) => text.to_owned(),
            }
        };
        let rows = answer
            .rows
            .into_iter()
            .map(|row| row.into_iter().enumerate().map(shown).collect())
            .collect();
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Any; answer.columns.len()],
            rows,
        })
    }

    fn engine_name(&self) -> &str {
        "postgres"
    }
}

/// Word by word.
pub fn same_values(_: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    let actual: Vec<&str> = actual
        .iter()
        .flatten()
        .flat_map(|cell| cell.split_whitespace())
        .collect();
    let expected: Vec<&str> = expected.iter().flat_map(|line| line.split_whitespace()).collect();
    actual.len() == expected.len() && actual.iter().zip(&expected).all(|(a, b)| a == b || is_one_number(a, b))
}

/// Row by row, in whichever order they come: for what asks for none.
pub fn same_rows(normalizer: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    // A row may be shown in several lines.
    if same_values(normalizer, actual, expected) {
        return true;
    }
    let mut left: Vec<&String> = expected.iter().collect();
    actual.len() == expected.len()
        && actual.iter().all(|row| {
            let is_it = |line: &&String| same_values(normalizer, std::slice::from_ref(row), &[(**line).clone()]);
            let found = left.iter().position(is_it);
            found.map(|at| left.swap_remove(at)).is_some()
        })
}

fn is_one_number(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a == b || (a - b).abs() <= NUMBER_ERROR_MAX * a.abs().max(b.abs()),
        _ => false,
    }
}

#[test]
fn numbers_are_compared_as_numbers_and_nothing_else_is() {
    let row = |cells: &[&str]| vec![cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>()];
    let same = |actual: &[&str], expected: &str| {
        same_values(sqllogictest::default_normalizer, &row(actual), &[expected.to_owned()])
    };
    assert!(same(&["1.500", "a b"], "1.5 a b"));
    assert!(!same(&["1.500", "a b"], "1.6 a b"));
    assert!(!same(&["NULL"], "0"));
    assert!(!same(&["1"], "1 1"));
    let rows = [vec!["2".to_owned()], vec!["1.0".to_owned()]];
    let in_any_order = |expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        same_rows(sqllogictest::default_normalizer, &rows, &expected)
    };
    assert!(in_any_order(&["1", "2"]));
    assert!(!in_any_order(&["1", "1"]) && !in_any_order(&["1"]) && !in_any_order(&["1", "2", "2"]));
}
