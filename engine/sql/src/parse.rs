//! Text to statements.
//!
//! sqlparser's PostgreSQL dialect does the work. Here are its limits, its errors' places, and what it lets pass and we do
//! not do: that is refused with 0A000 where the statement is planned, never ignored. What sqlparser has no syntax for is
//! put aside before it reads the tokens (see `graph`).

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::dialect::Postgres;
use crate::dml::{carry_merge, mentions_merge};
use crate::{alter_system, alter_words, as_of, covering, ctes, generated, graph, inference, spellings, utility};

/// Bytes of a text, at most; 54000 beyond.
pub const TEXT_BYTES_MAX: usize = 16 << 20;

/// Depth of nesting, at most; 54001 beyond.
pub const NESTING_MAX: usize = 120;

/// Statements of one text, at most; 54000 beyond.
pub const STATEMENTS_MAX: usize = 100_000;

/// One statement of a text.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What was parsed.
    pub(crate) ast: ast::Statement,
    /// The whole text that it came in, for the places of errors.
    pub(crate) text: Arc<str>,
    /// Which one of the text's statements it is, from 0.
    pub(crate) ordinal: usize,
}

/// Splits a text into its statements.
///
/// # Errors
/// 42601 with the place; 54000 and 54001 beyond a limit.
pub fn parse(text: &str) -> Result<Vec<Statement>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("the statement has {} bytes; the limit is {TEXT_BYTES_MAX}", text.len()),
        )
        .with_hint("Load data with COPY, or send several statements."));
    }
    let mut tokens = tokens(text, text)?;
    if text.contains("U&'") || text.contains("u&'") {
        // DataFusion knows no other strings than these; the escapes are read already.
        for token in &mut tokens {
            if let Token::UnicodeStringLiteral(string) = &mut token.token {
                token.token = Token::SingleQuotedString(std::mem::take(string));
            }
        }
    }
    let mut times = Vec::new();
    if as_of::is_mentioned(text) {
        (tokens, times) = as_of::carry(tokens, text)?;
    }
    if graph::is_mentioned(text) {
        tokens = graph::carry(tokens, text)?;
    }
    if alter_system::is_mentioned(text) {
        tokens = alter_system::carry(tokens);
    }
    if alter_words::is_mentioned(text) {
        tokens = alter_words::carry(tokens);
    }
    if text
        .as_bytes()
        .windows(4)
        .any(|window| window.eq_ignore_ascii_case(b"copy"))
    {
        tokens = utility::plain_switches(tokens);
    }
    if text
        .as_bytes()
        .windows(3)
        .any(|window| window.eq_ignore_ascii_case(b"key"))
    {
        tokens = utility::strengthen(tokens);
    }
    if generated::is_mentioned(text) {
        tokens = generated::carry(tokens, text)?;
    }
    if spellings::is_mentioned(text) {
        tokens = spellings::carry(tokens);
    }
    if mentions_merge(text) {
        tokens = carry_merge(tokens);
    }
    spell_out_table(&mut tokens);
    mark_lists(&mut tokens);
    if covering::is_mentioned(text) {
        tokens = covering::carry(tokens);
    }
    if inference::is_mentioned(text) {
        tokens = inference::carry(tokens, text)?;
    }
    let mut utilities = Vec::new();
    if utility::is_mentioned(text) {
        (tokens, utilities) = utility::carry(tokens, text)?;
    }
    let mut statements = parse_tokens(tokens).map_err(|error| syntax_error(error, text))?;
    utility::put_back(&mut statements, utilities);
    as_of::put_back(&mut statements, times)?;
    if statements.len() > STATEMENTS_MAX {
        return Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!(
                "the text has {} statements; the limit is {STATEMENTS_MAX}",
                statements.len()
            ),
        ));
    }
    if spellings::is_mentioned(text) {
        statements.iter_mut().for_each(spellings::put_back);
    }
    for statement in &mut statements {
        write_out_exponents(statement);
        ctes::settle(statement);
        lock_nothing(statement);
    }
    let text: Arc<str> = text.into();
    Ok(statements
        .into_iter()
        .enumerate()
        .map(|(ordinal, ast)| Statement {
            ast,
            text: text.clone(),
            ordinal,
        })
        .collect())
}

/// `SELECT 1 FOR UPDATE` locks nothing, for it reads nothing.
fn lock_nothing(statement: &mut ast::Statement) {
    if let ast::Statement::Query(query) = statement
        && let ast::SetExpr::Select(select) = &*query.body
        && select.from.is_empty()
        && query.locks.iter().all(|lock| lock.of.is_none())
    {
        query.locks.clear();
    }
}

/// `TABLE t` as `SELECT * FROM t`, where a query may begin: sqlparser knows it in some places only.
fn spell_out_table(tokens: &mut Vec<TokenWithSpan>) {
    use Keyword as K;
    let keyword = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    };
    let mut begins = true;
    let mut found = Vec::new();
    for (at, TokenWithSpan { token, .. }) in tokens.iter().enumerate() {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        let keyword = keyword(token);
        if begins && keyword == Some(K::TABLE) {
            found.push(at);
        }
        begins = matches!(token, Token::SemiColon | Token::LParen)
            || matches!(
                keyword,
                Some(K::AS | K::UNION | K::INTERSECT | K::EXCEPT | K::ALL | K::DISTINCT)
            );
    }
    for at in found.into_iter().rev() {
        let span = tokens[at].span;
        let select = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
        tokens.splice(at..=at, select.map(|token| TokenWithSpan::new(token, span)));
    }
}

/// `IN ((SELECT ...), x)` as `IN (coalesce((SELECT ...)), x)`: sqlparser takes the list for a subquery, and finds no end of it.
fn mark_lists(tokens: &mut Vec<TokenWithSpan>) {
    let is_in =
        |token: &Token| matches!(token, Token::Word(word) if word.quote_style.is_none() && word.keyword == Keyword::IN);
    let mut found = Vec::new();
    let places: Vec<usize> = (0..tokens.len())
        .filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_)))
        .collect();
    for (number, &at) in places.iter().enumerate() {
        let next = |by: usize| places.get(number + by).map(|at| &tokens[*at].token);
        if !is_in(&tokens[at].token) || next(1) != Some(&Token::LParen) || next(2) != Some(&Token::LParen) {
            continue;
        }
        let mut depth = 0_usize;
        let rest = &places[number + 2..];
        let end = rest.iter().position(|at| {
            match tokens[*at].token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        let Some(end) = end else { continue };
        if rest.get(end + 1).map(|at| &tokens[*at].token) == Some(&Token::Comma) {
            found.push((rest[0], rest[end]));
        }
    }
    let mut inserted: Vec<(usize, Vec<Token>)> = Vec::new();
    for (begin, end) in found {
        inserted.push((begin, vec![Token::make_word("coalesce", None), Token::LParen]));
        inserted.push((end + 1, vec![Token::RParen]));
    }
    inserted.sort_by_key(|(at, _)| *at);
    for (at, new) in inserted.into_iter().rev() {
        let span = tokens[at.min(tokens.len() - 1)].span;
        tokens.splice(at..at, new.into_iter().map(|token| TokenWithSpan::new(token, span)));
    }
}

/// The statements of a text.
///
/// sqlparser takes what follows `COPY ... FROM STDIN;` for the data, which in the protocol comes by itself: then each
/// statement is parsed alone.
fn parse_tokens(tokens: Vec<TokenWithSpan>) -> Result<Vec<ast::Statement>, ParserError> {
    let parser = || Parser::new(&Postgres).with_recursion_limit(NESTING_MAX);
    let is_stdin = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::STDIN);
    if !tokens.iter().any(is_stdin) {
        return parser().with_tokens_with_locations(tokens).parse_statements();
    }
    let mut statements = Vec::new();
    for tokens in tokens.split(|token| token.token == Token::SemiColon) {
        statements.extend(
            parser()
                .with_tokens_with_locations(tokens.to_vec())
                .parse_statements()?,
        );
    }
    Ok(statements)
}

/// The tokens of `part`, which lies in `text`.
///
/// # Errors
/// 42601, with the place where `part` is all of `text`.
pub fn tokens(part: &str, text: &str) -> Result<Vec<TokenWithSpan>> {
    Tokenizer::new(&Postgres, part)
        .tokenize_with_location()
        .map_err(|error| syntax_error(error.into(), text))
}

/// Whether one of these words stands anywhere in a text, whatever it means there: to be looked at before the tokens are.
pub fn mentions(text: &str, words: &[&[u8]]) -> bool {
    let bytes = text.as_bytes();
    words.iter().any(|word| {
        bytes
            .windows(word.len())
            .any(|window| window.eq_ignore_ascii_case(word))
    })
}

/// Writes numbers with an exponent out in full, or, beyond a numeric's digits, as a double precision.
///
/// DataFusion makes of `1e15` a decimal of scale -15, which its cast to double precision reads back as 999999999999999.9, and
/// of `1e300` an error.
pub fn write_out_exponents(node: &mut impl ast::VisitMut) {
    let _: ControlFlow<()> = ast::visit_expressions_mut(node, |expr| {
        if let ast::Expr::Value(value) = expr
            && let ast::Value::Number(number, _) = &value.value
            && number.contains(['e', 'E'])
        {
            match written_out(number) {
                Some(full) => value.value = ast::Value::Number(full, false),
                None => {
                    let text = ast::Value::SingleQuotedString(number.clone());
                    *expr = ast::Expr::Cast {
                        kind: ast::CastKind::DoubleColon,
                        expr: Box::new(ast::Expr::Value(text.into())),
                        data_type: ast::DataType::DoublePrecision,
                        array: false,
                        format: None,
                    };
                }
            }
        }
        ControlFlow::Continue(())
    });
}

/// `1.5e3` as `1500.0`; None for what has more digits than a numeric. A point is kept, so that it stays a numeric.
fn written_out(number: &str) -> Option<String> {
    const DIGITS_MAX: i64 = 38;
    let (mantissa, exponent) = number.split_once(['e', 'E'])?;
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let length = i64::try_from(digits.len()).ok()?;
    if point.max(length) - point.min(0) >= DIGITS_MAX {
        return None;
    }
    Some(if point <= 0 {
        format!("0.{}{digits}", "0".repeat(usize::try_from(-point).ok()?))
    } else if point >= length {
        format!("{digits}{}.0", "0".repeat(usize::try_from(point - length).ok()?))
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).ok()?);
        format!("{whole}.{fraction}")
    })
}

/// One expression, such as a column's DEFAULT.
///
/// # Errors
/// 42601 with the place in `text`.
pub fn parse_expression(text: &str) -> Result<ast::Expr> {
    Parser::new(&Postgres)
        .with_recursion_limit(NESTING_MAX)
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|error| syntax_error(error, text))
}

/// The parser's error as PostgreSQL would say it.
pub fn syntax_error(error: ParserError, text: &str) -> Error {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return Error::exhausted(
                SqlState::STATEMENT_TOO_COMPLEX,
                format!("the statement is nested deeper than {NESTING_MAX} levels"),
            );
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (message, place) = split_place(&message);
    let message = without_secret(message, text);
    let error = Error::invalid(SqlState::SYNTAX_ERROR, format!("syntax error: {message}"));
    match place.and_then(|(line, column)| position(text, line, column)) {
        Some(position) => error.with_position(position),
        None => error,
    }
}

/// Whether a text may set a password, so that no literal of it may be told to anybody.
pub fn mentions_password(text: &str) -> bool {
    const WORD: &[u8] = b"password";
    let mut windows = text.as_bytes().windows(WORD.len());
    windows.any(|window| window.eq_ignore_ascii_case(WORD))
}

/// A message without the literal that was found, in a text that may set a password.
fn without_secret<'a>(message: &'a str, text: &str) -> Cow<'a, str> {
    match message.split_once(", found: ") {
        Some((front, found)) if found.contains(['\'', '"', '$']) && mentions_password(text) => {
            format!("{front}, found: a literal").into()
        }
        _ => message.into(),
    }
}

/// Cuts ` at Line: 1, Column: 2` off a message.
fn split_place(message: &str) -> (&str, Option<(u64, u64)>) {
    let Some((front, place)) = message.rsplit_once(" at Line: ") else {
        return (message, None);
    };
    let place = place.split_once(", Column: ").and_then(|(line, column)| {
        let column = column.trim_end_matches(|last: char| !last.is_ascii_digit());
        Some((line.parse().ok()?, column.parse().ok()?))
    });
    (front.trim_end_matches(','), place)
}

/// The place of a line and column, both from 1, as a count of characters from 1.
pub fn position(text: &str, line: u64, column: u64) -> Option<usize> {
    if line == 0 || column == 0 {
        return None;
    }
    let skipped: usize = text
        .split_inclusive('\n')
        .take(usize::try_from(line - 1).ok()?)
        .map(|line| line.chars().count())
        .sum();
    Some(skipped + usize::try_from(column).ok()?)
}

/// The part of a text that a span covers.
pub fn slice(text: &str, span: Span) -> &str {
    text.get(offset(text, span.start)..offset(text, span.end)).unwrap_or("")
}

/// The bytes of a span of a text.
pub fn range(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = offset(text, span.start);
    start..offset(text, span.end).max(start)
}

/// The statement within another one, behind a word of it that stands in no parentheses, and before so many others at its end: as a text of
/// its own, and the characters before it.
///
/// # Errors
/// Internal: the word was there when the statement was parsed.
pub fn body(statement: &Statement, behind: Keyword, tail: usize) -> Result<(String, usize)> {
    let text = &*statement.text;
    let tokens = tokens(text, text)?;
    let is_significant = |token: &TokenWithSpan| !matches!(token.token, Token::Whitespace(_) | Token::EOF);
    let parts = tokens.split(|token| token.token == Token::SemiColon);
    let mut parts = parts.filter(|part| part.iter().any(is_significant));
    let mut tokens = parts
        .nth(statement.ordinal)
        .unwrap_or_default()
        .iter()
        .filter(|token| is_significant(token));
    let mut depth = 0_usize;
    let found = tokens.find(|token| {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) => return depth == 0 && word.quote_style.is_none() && word.keyword == behind,
            _ => {}
        }
        false
    });
    let first = found.and_then(|_| tokens.next());
    let first = first.ok_or_else(|| Error::internal("a statement within a statement is behind its word"))?;
    let last = tokens.nth_back(tail).unwrap_or(first);
    let start = offset(text, first.span.start);
    let body = slice(text, Span::new(first.span.start, last.span.end));
    Ok((body.to_owned(), text[..start].chars().count()))
}

/// The bytes before a location; the length of the text for one behind it.
fn offset(text: &str, location: Location) -> usize {
    let (Ok(line), Ok(column)) = (usize::try_from(location.line), usize::try_from(location.column)) else {
        return text.len();
    };
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
    let before: usize = lines.map(str::len).sum();
    let rest = &text[before..];
    let within = rest.char_indices().nth(column.saturating_sub(1));
    before + within.map_or(rest.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_has_its_place() {
        let error = parse("SELECT 1;\nSELEC 2").expect_err("a typing error");
        assert_eq!(
            (error.state(), error.position()),
            (SqlState::SYNTAX_ERROR, Some(11)),
            "{error}"
        );
        let error = parse("SELECT 'ä' FROM (t").expect_err("not closed");
        assert_eq!(error.state(), SqlState::SYNTAX_ERROR);
        assert!(!error.message().contains("Line:"), "{error}");
    }

    #[test]
    fn statements_are_split_and_none_is_none() {
        assert_eq!(parse("SELECT 1; SELECT ';'; -- end\n").expect("two").len(), 2);
        assert!(parse(" ; -- nothing\n").expect("none").is_empty());
    }

    #[test]
    fn what_follows_copy_from_stdin_is_a_statement() {
        for text in [
            "COPY t FROM STDIN",
            "COPY t FROM STDIN;",
            "COPY t FROM STDIN (FORMAT csv) ;\n",
        ] {
            assert_eq!(parse(text).expect(text).len(), 1, "{text}");
        }
        let statements = parse("COPY t FROM STDIN; SELECT 'a;b'").expect("two");
        assert!(matches!(statements[1].ast, ast::Statement::Query(_)));
        assert_eq!(
            parse("SELECT 1; COPY t FROM STDIN; SELEC")
                .expect_err("wrong")
                .position(),
            Some(30)
        );
    }

    #[test]
    fn a_statement_within_a_statement_is_a_text() {
        let text = "SELECT 1; -- ä\nPREPARE p (numeric(5, 2)) AS\n SELECT '; AS' AS a ;SELECT 2";
        let statements = parse(text).expect("three");
        let (within, before) = body(&statements[1], Keyword::AS, 0).expect("there");
        assert_eq!(within, "SELECT '; AS' AS a");
        let (within, _) = body(&statements[1], Keyword::AS, 2).expect("there");
        assert_eq!(within, "SELECT '; AS'");
        assert_eq!(text.chars().skip(before).take(8).collect::<String>(), "SELECT '");
    }

    #[test]
    fn exponents_are_written_out() {
        for (number, full) in [
            ("1e15", "1000000000000000.0"),
            ("1.5E3", "1500.0"),
            ("1.25e1", "12.5"),
            ("12e-3", "0.012"),
            (".5e1", "5.0"),
            ("1e0", "1.0"),
        ] {
            assert_eq!(written_out(number).as_deref(), Some(full), "{number}");
        }
        for number in ["1e300", "1e-300", "1e99999999999999999999"] {
            assert_eq!(written_out(number), None, "{number}");
        }
    }

    #[test]
    fn deep_nesting_and_long_texts_are_refused() {
        let deep = format!("SELECT {}1{}", "(".repeat(1_000), ")".repeat(1_000));
        assert_eq!(parse(&deep).expect_err("deep").state(), SqlState::STATEMENT_TOO_COMPLEX);
        let long = format!("SELECT '{}'", "x".repeat(TEXT_BYTES_MAX));
        assert_eq!(
            parse(&long).expect_err("long").state(),
            SqlState::PROGRAM_LIMIT_EXCEEDED
        );
    }
}
