//! `UNIQUE (a) INCLUDE (b)` as a constraint, of which sqlparser does not know the INCLUDE.
//!
//! It goes on as `UNIQUE (a, "aion include", b)`: what stands behind that name are columns that the constraint's index holds beside its own.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

const MARK: &str = "aion include";

/// Whether a text may hold such a constraint; looked at before the tokens are.
pub fn is_mentioned(text: &str) -> bool {
    const WORD: &[u8] = b"include";
    let mut windows = text.as_bytes().windows(WORD.len());
    windows.any(|window| window.eq_ignore_ascii_case(WORD))
}

/// See the module's header. What is no such constraint stays as it is.
pub fn carry(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_meant = |at: &usize| !matches!(tokens[*at].token, Token::Whitespace(_));
    let places: Vec<usize> = (0..tokens.len()).filter(is_meant).collect();
    let is_word = |nth: usize, wanted: &str| {
        matches!(places.get(nth).map(|&at| &tokens[at].token), Some(Token::Word(Word { value, quote_style: None, .. }))
            if value.eq_ignore_ascii_case(wanted))
    };
    let is = |nth: usize, wanted: &Token| places.get(nth).is_some_and(|&at| tokens[at].token == *wanted);
    let mut carried = tokens.clone();
    for nth in 0..places.len() {
        if !is(nth, &Token::RParen) || !is_word(nth + 1, "INCLUDE") || !is(nth + 2, &Token::LParen) {
            continue;
        }
        // Columns, and what begins the constraint: an index's are behind a table's name.
        let columns = (0..nth).rev().take_while(|&at| !is(at, &Token::LParen)).count();
        let Some(first) = (nth - columns)
            .checked_sub(1)
            .and_then(|opening| opening.checked_sub(1))
        else {
            continue;
        };
        let is_constraint = is_word(first, "UNIQUE")
            || is_word(first, "DISTINCT")
                && (is_word(first.saturating_sub(1), "NULLS") || is_word(first.saturating_sub(1), "NOT"))
            || is_word(first, "KEY") && is_word(first.saturating_sub(1), "PRIMARY");
        if is_constraint {
            carried[places[nth]].token = Token::Comma;
            carried[places[nth + 1]].token = Token::make_word(MARK, Some('"'));
            carried[places[nth + 2]].token = Token::Comma;
        }
    }
    carried
}

/// The columns of a constraint, and those that its index holds beside them.
pub fn split(columns: &[String]) -> (&[String], &[String]) {
    match columns.iter().position(|column| column == MARK) {
        Some(at) => (&columns[..at], &columns[at + 1..]),
        None => (columns, &[]),
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    fn carried(text: &str) -> String {
        parse::parse(text).expect("parsed")[0].ast.to_string()
    }

    #[test]
    fn constraints_are_carried_and_indexes_are_the_parsers() {
        for (text, expected) in [
            (
                "CREATE TABLE t (a INT, b INT, UNIQUE (a) INCLUDE (b))",
                "CREATE TABLE t (a INT, b INT, UNIQUE (a, \"aion include\", b))",
            ),
            (
                "CREATE TABLE t (a INT, b INT, UNIQUE NULLS NOT DISTINCT (a, b) include ( c, \"D\"))",
                "CREATE TABLE t (a INT, b INT, UNIQUE NULLS NOT DISTINCT (a, b, \"aion include\", c, \"D\"))",
            ),
            (
                "CREATE UNIQUE INDEX i ON t(a) INCLUDE (b)",
                "CREATE UNIQUE INDEX i ON t(a) INCLUDE (b)",
            ),
        ] {
            assert_eq!(carried(text), expected);
        }
        assert!(parse::parse("CREATE TABLE t (a INT, UNIQUE (a) INCLUDE b)").is_err());
        assert!(parse::parse(") INCLUDE (").is_err());
    }
}
