//! `AS OF SYSTEM TIME`: reading at a time that has passed.
//!
//! ```text
//! SELECT ... FROM t AS OF SYSTEM TIME time [WHERE ...]      also under EXPLAIN and PREPARE
//! BEGIN | START TRANSACTION [modes] AS OF SYSTEM TIME time
//! SET TRANSACTION AS OF SYSTEM TIME time
//!
//! time   '2026-03-01 12:00:00+01'   a timestamp, in the session's zone where it names none
//!        '-10s'                     an interval from now
//!        1772362800000000           microseconds since 1970
//! ```
//!
//! The clause is CockroachDB's, and a statement has one: for all of its tables, behind FROM of its outermost query. sqlparser has no syntax for it.
//! The tokens are taken out ([`carry`]), and the time is put where nothing of PostgreSQL's stands ([`put_back`]): into `SETTINGS` of a query, the
//! body of a BEGIN, the snapshot of a SET TRANSACTION. Whoever plans a query without knowing of it refuses it for that.
//!
//! Left out: parameters and expressions as the time.

use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use aion_catalog::{Zone, text};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::parse;

/// The name under which a time is carried.
const CARRIER: &str = "aion as of";
/// The words of the clause.
const WORDS: [&str; 4] = ["AS", "OF", "SYSTEM", "TIME"];

/// Whether a text may hold such a clause; looked at before the tokens are.
pub fn is_mentioned(text: &str) -> bool {
    parse::mentions(text, &[b"system"]) && parse::mentions(text, &[b"time"])
}

/// The tokens without the clauses, and the time of each statement that has one.
///
/// # Errors
/// 42601 with its place for a clause that is not whole, or a second one; 0A000 within parentheses.
pub fn carry(tokens: Vec<TokenWithSpan>, text: &str) -> Result<(Vec<TokenWithSpan>, Vec<Option<String>>)> {
    let mut carried = Vec::with_capacity(tokens.len());
    let mut times = Vec::new();
    for statement in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        let is_word =
            |token: &TokenWithSpan| !matches!(token.token, Token::Whitespace(_) | Token::SemiColon | Token::EOF);
        if !statement.iter().any(is_word) {
            carried.extend_from_slice(statement);
            continue;
        }
        let clause = find(statement, text)?;
        match clause {
            None => carried.extend_from_slice(statement),
            Some(Clause { from, to, .. }) => {
                carried.extend_from_slice(&statement[..from]);
                carried.extend_from_slice(&statement[to..]);
            }
        }
        times.push(clause.map(|clause| clause.time));
    }
    Ok((carried, times))
}

/// A clause, as its place among the tokens of a statement, and the time that it says.
struct Clause {
    from: usize,
    to: usize,
    time: String,
}

fn is(token: Option<&TokenWithSpan>, word: &str) -> bool {
    matches!(token.map(|token| &token.token), Some(Token::Word(Word { value, quote_style: None, .. }))
        if value.eq_ignore_ascii_case(word))
}

fn find(statement: &[TokenWithSpan], text: &str) -> Result<Option<Clause>> {
    let is_meant = |at: &usize| !matches!(statement[*at].token, Token::Whitespace(_));
    let places: Vec<usize> = (0..statement.len()).filter(is_meant).collect();
    let token = |nth: usize| places.get(nth).map(|&at| &statement[at]);
    let mut depth = 0_usize;
    let mut found: Option<Clause> = None;
    for nth in 0..places.len() {
        match token(nth).map(|token| &token.token) {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if !(0..WORDS.len()).all(|at| is(token(nth + at), WORDS[at])) {
            continue;
        }
        if depth > 0 {
            return Err(
                Error::unsupported("AS OF SYSTEM TIME is for a whole statement, not for a part of it")
                    .with_hint("Write it once, behind FROM of the outermost SELECT."),
            );
        }
        let mut last = nth + WORDS.len();
        if ["INTERVAL", "TIMESTAMP", "TIMESTAMPTZ"]
            .iter()
            .any(|word| is(token(last), word))
        {
            last += 1;
        }
        let time = match token(last).map(|token| &token.token) {
            Some(Token::SingleQuotedString(time)) => time.clone(),
            Some(Token::Number(number, _)) => number.clone(),
            _ => return Err(wrong(
                "AS OF SYSTEM TIME takes a time as a literal",
                token(last).or(token(nth)),
                text,
            )
            .with_hint(
                "A timestamp such as '2026-03-01 12:00:00+01', an interval such as '-10s', or microseconds since 1970.",
            )),
        };
        if found.is_some() {
            return Err(wrong("a statement has one AS OF SYSTEM TIME", token(nth), text));
        }
        // Between the modes of a transaction there may be commas.
        let controls = ["BEGIN", "START", "SET"].iter().any(|word| is(token(0), word));
        let is_comma = |nth: Option<usize>| {
            let token = nth.and_then(token);
            controls && token.is_some_and(|token| token.token == Token::Comma)
        };
        let (mut first, mut next) = (nth, last + 1);
        if is_comma(nth.checked_sub(1)) {
            first -= 1;
        } else if is_comma(Some(next)) {
            next += 1;
        }
        let to = places.get(next).copied().unwrap_or(statement.len());
        found = Some(Clause {
            from: places[first],
            to,
            time,
        });
    }
    Ok(found)
}

fn wrong(message: &str, token: Option<&TokenWithSpan>, text: &str) -> Error {
    let error = Error::invalid(SqlState::SYNTAX_ERROR, message);
    let start = token.map(|token| token.span.start);
    match start.and_then(|start| parse::position(text, start.line, start.column)) {
        Some(position) => error.with_position(position),
        None => error,
    }
}

/// Puts the times that [`carry`] found into the statements that were made of the tokens.
///
/// # Errors
/// 0A000 for a statement that has no time.
pub fn put_back(statements: &mut [ast::Statement], times: Vec<Option<String>>) -> Result<()> {
    if times.iter().all(Option::is_none) {
        return Ok(());
    }
    if statements.len() != times.len() {
        return Err(Error::internal("statements were lost between the tokens and the tree"));
    }
    for (statement, time) in statements.iter_mut().zip(times) {
        if let Some(time) = time {
            put(statement, time)?;
        }
    }
    Ok(())
}

fn put(statement: &mut ast::Statement, time: String) -> Result<()> {
    let literal = |time| ast::Expr::Value(ast::Value::SingleQuotedString(time).into());
    match statement {
        ast::Statement::Query(query) if query.settings.is_none() => {
            query.settings = Some(vec![ast::Setting {
                key: ast::Ident::new(CARRIER),
                value: literal(time),
            }]);
            Ok(())
        }
        ast::Statement::Explain { statement, .. } | ast::Statement::Prepare { statement, .. } => put(statement, time),
        ast::Statement::StartTransaction { statements, .. } if statements.is_empty() => {
            let variable = ast::ObjectName::from(vec![ast::Ident::new(CARRIER)]);
            statements.push(ast::Statement::Set(ast::Set::SingleAssignment {
                scope: None,
                hivevar: false,
                variable,
                values: vec![literal(time)],
            }));
            Ok(())
        }
        ast::Statement::Set(ast::Set::SetTransaction {
            snapshot: snapshot @ None,
            session: false,
            ..
        }) => {
            // A tag that cannot be written.
            let value = ast::Value::DollarQuotedString(ast::DollarQuotedString {
                value: time,
                tag: Some(CARRIER.to_owned()),
            });
            *snapshot = Some(value.into());
            Ok(())
        }
        _ => Err(Error::unsupported(
            "AS OF SYSTEM TIME is for SELECT, EXPLAIN, PREPARE, BEGIN and SET TRANSACTION",
        )
        .with_hint("BEGIN AS OF SYSTEM TIME reads all of a transaction at one time, and what COPY and cursors read in it.")),
    }
}

fn string(expr: &ast::Expr) -> Option<&str> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The time that a query says.
pub fn of_query(query: &ast::Query) -> Option<&str> {
    match query.settings.as_deref()? {
        [ast::Setting { key, value }] if key.value == CARRIER => string(value),
        _ => None,
    }
}

/// The time at which a statement reads.
pub fn of(statement: &ast::Statement) -> Option<&str> {
    match statement {
        ast::Statement::Query(query) => of_query(query),
        ast::Statement::Explain { statement, .. } => of(statement),
        _ => None,
    }
}

/// The time at which a transaction reads that a statement begins.
pub fn of_begin(statement: &ast::Statement) -> Option<&str> {
    let ast::Statement::StartTransaction { statements, .. } = statement else {
        return None;
    };
    match statements.as_slice() {
        [ast::Statement::Set(ast::Set::SingleAssignment { variable, values, .. })] => {
            let name = match variable.0.as_slice() {
                [part] => part.as_ident()?,
                _ => return None,
            };
            let [value] = values.as_slice() else { return None };
            (name.value == CARRIER).then(|| string(value)).flatten()
        }
        _ => None,
    }
}

/// The time at which a transaction is to read.
pub fn of_set(set: &ast::Set) -> Option<&str> {
    let ast::Set::SetTransaction {
        snapshot: Some(snapshot),
        ..
    } = set
    else {
        return None;
    };
    match &snapshot.value {
        ast::Value::DollarQuotedString(text) if text.tag.as_deref() == Some(CARRIER) => Some(&text.value),
        _ => None,
    }
}

/// The statement without its time.
pub fn without(statement: &ast::Statement) -> ast::Statement {
    let mut statement = statement.clone();
    strip(&mut statement);
    statement
}

fn strip(statement: &mut ast::Statement) {
    match statement {
        ast::Statement::Query(query) => **query = query_without(query),
        ast::Statement::Explain { statement, .. } | ast::Statement::Prepare { statement, .. } => strip(statement),
        _ => {}
    }
}

/// The statement as it can be sent.
pub fn written(statement: &ast::Statement) -> String {
    let time = match statement {
        ast::Statement::Prepare { statement, .. } => of(statement),
        statement => of(statement),
    };
    match time {
        // Anywhere outside of parentheses will do.
        Some(time) => {
            let time = ast::Value::SingleQuotedString(time.to_owned());
            format!("{} AS OF SYSTEM TIME {time}", without(statement))
        }
        None => statement.to_string(),
    }
}

/// The query without its time.
pub fn query_without(query: &ast::Query) -> ast::Query {
    let mut query = query.clone();
    if of_query(&query).is_some() {
        query.settings = None;
    }
    query
}

/// The moment that a time means.
///
/// # Errors
/// 22023 for what is none.
pub fn moment(time: &str, now: Timestamp, zone: Zone) -> Result<Timestamp> {
    let time = time.trim();
    let is_number = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let micros = match is_number {
        true => time.parse::<i64>().ok(),
        false => text::parse_timestamptz_in(time, zone).ok().or_else(|| {
            let interval = text::parse_interval(time).ok()?;
            interval.add_to_timestamp(i64::try_from(now.0).ok()?).ok()
        }),
    };
    // Whatever was before 1970 was before everything.
    let micros = micros.map(|micros| Timestamp(u64::try_from(micros).unwrap_or(0)));
    micros.ok_or_else(|| {
        Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("AS OF SYSTEM TIME: \"{time}\" is no time"),
        )
        .with_hint(
            "A timestamp such as '2026-03-01 12:00:00+01', an interval such as '-10s', or microseconds since 1970.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn the_clause_is_found_and_nothing_else_is() {
        for (text, time) in [
            ("SELECT * FROM t AS OF SYSTEM TIME '-10s'", Some("-10s")),
            (
                "select * from t as a, u /* c */ as of system time 17 where a.k = 1",
                Some("17"),
            ),
            (
                "SELECT k FROM t AS OF SYSTEM TIME INTERVAL '-1 h' ORDER BY k",
                Some("-1 h"),
            ),
            (
                "SELECT 1; EXPLAIN SELECT * FROM t AS OF SYSTEM TIME '-1s' LIMIT 1;",
                Some("-1s"),
            ),
            ("SELECT 'AS OF SYSTEM TIME'", None),
            ("SELECT system.time AS of FROM system", None),
        ] {
            let statements = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let last = &statements.last().expect("a statement").ast;
            assert_eq!(of(last), time, "{text}");
            assert_eq!(of(&without(last)), None);
            let again = parse(&written(last)).expect("it can be sent");
            assert_eq!(of(&again[0].ast), time);
            assert_eq!(without(&again[0].ast).to_string(), without(last).to_string());
        }
        for text in [
            "BEGIN AS OF SYSTEM TIME '-1s'",
            "BEGIN TRANSACTION READ ONLY, AS OF SYSTEM TIME '-1s'",
            "START TRANSACTION AS OF SYSTEM TIME '-1s', READ ONLY",
        ] {
            let statements = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(of_begin(&statements[0].ast), Some("-1s"), "{text}");
        }
        for (text, state) in [
            ("SELECT * FROM t AS OF SYSTEM TIME", SqlState::SYNTAX_ERROR),
            ("SELECT * FROM t AS OF SYSTEM TIME now()", SqlState::SYNTAX_ERROR),
            (
                "SELECT * FROM t AS OF SYSTEM TIME 1 UNION SELECT * FROM t AS OF SYSTEM TIME 2",
                SqlState::SYNTAX_ERROR,
            ),
            (
                "SELECT * FROM (SELECT * FROM t AS OF SYSTEM TIME 1) AS s",
                SqlState::FEATURE_NOT_SUPPORTED,
            ),
            ("DELETE FROM t AS OF SYSTEM TIME 1", SqlState::FEATURE_NOT_SUPPORTED),
            (
                "CREATE TABLE s AS SELECT * FROM t AS OF SYSTEM TIME 1",
                SqlState::FEATURE_NOT_SUPPORTED,
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.state(), state, "{text}: {error}");
        }
    }

    #[test]
    fn a_time_is_a_moment_or_a_while_ago() {
        let now = Timestamp(1_000_000_000_000_000);
        let at = |time: &str| moment(time, now, Zone::UTC).map(|at| at.0);
        assert_eq!(at("17").expect("a number"), 17);
        assert_eq!(at("-10s").expect("an interval"), now.0 - 10_000_000);
        assert_eq!(at(" -1 day ").expect("an interval"), now.0 - 86_400_000_000);
        assert_eq!(at("2001-09-09 01:46:40+00").expect("a moment"), now.0);
        assert_eq!(at("2001-09-09 03:46:40+02").expect("a moment"), now.0);
        assert_eq!(at("1950-01-01").expect("long ago"), 0);
        for wrong in ["", "x", "99999999999999999999", "-"] {
            assert_eq!(at(wrong).expect_err(wrong).state(), SqlState::INVALID_PARAMETER_VALUE);
        }
    }
}
