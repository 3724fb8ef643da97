//! What sqlparser does not know of `ON CONFLICT (...)`: expressions among its columns, and WHERE behind them.
//!
//! `ON CONFLICT (lower(name)) WHERE is_live DO NOTHING` goes on as `ON CONFLICT ("aion inference (lower(name)) WHERE is_live") DO NOTHING`.
//! As with `utility`, it is parsed where the tokens are looked through, so that an error has its place, and again where it is planned.

use aion_base::Result;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use crate::dialect::Postgres;
use crate::parse;

/// What the column's name begins with that carries it.
const CARRIER: &str = "aion inference ";

/// Which unique indexes are meant: over all of these, and with entries of all rows that fulfil the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// Columns, and expressions.
    pub elements: Vec<ast::Expr>,
    /// WHERE
    pub condition: Option<ast::Expr>,
}

/// Whether a text may hold any of this; looked at before the tokens are.
pub fn is_mentioned(text: &str) -> bool {
    const WORD: &[u8] = b"conflict";
    let mut windows = text.as_bytes().windows(WORD.len());
    windows.any(|window| window.eq_ignore_ascii_case(WORD))
}

/// See the module's header. What sqlparser can read stays as it is.
///
/// # Errors
/// 42601 with the place, for what is wrong.
pub fn carry(tokens: Vec<TokenWithSpan>, text: &str) -> Result<Vec<TokenWithSpan>> {
    let is_meant = |at: &usize| !matches!(tokens[*at].token, Token::Whitespace(_));
    let places: Vec<usize> = (0..tokens.len()).filter(is_meant).collect();
    let token = |nth: usize| places.get(nth).map(|&at| &tokens[at].token);
    let is = |nth: usize, wanted: &str| {
        matches!(token(nth), Some(Token::Word(Word { value, quote_style: None, .. }))
            if value.eq_ignore_ascii_case(wanted))
    };
    let (mut carried, mut copied, mut nth) = (Vec::with_capacity(tokens.len()), 0, 0);
    while nth < places.len() {
        let begins = is(nth, "ON") && is(nth + 1, "CONFLICT") && token(nth + 2) == Some(&Token::LParen);
        nth += 1;
        if !begins {
            continue;
        }
        let from = nth + 1;
        let (mut end, mut depth, mut is_plain) = (from, 0_usize, true);
        while let Some(token) = token(end) {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                Token::SemiColon => break,
                Token::Word(_) | Token::Comma => {}
                _ => is_plain = false,
            }
            is_plain &= depth < 2;
            if depth == 0 && (is(end + 1, "DO") || token == &Token::RParen && !is(end + 1, "WHERE")) {
                end += 1;
                break;
            }
            is_plain &= depth > 0;
            end += 1;
        }
        nth = end;
        if is_plain {
            continue;
        }
        let (first, last) = (places[from], places[end - 1]);
        parse_tokens(tokens[first..=last].to_vec()).map_err(|error| parse::syntax_error(error, text))?;
        let span = Span::new(tokens[first].span.start, tokens[last].span.end);
        let name = format!("{CARRIER}{}", parse::slice(text, span));
        carried.extend_from_slice(&tokens[copied..first]);
        let column = [Token::LParen, Token::make_word(&name, Some('"')), Token::RParen];
        carried.extend(column.map(|token| TokenWithSpan::new(token, span)));
        copied = last + 1;
    }
    carried.extend_from_slice(&tokens[copied..]);
    Ok(carried)
}

/// What the columns of ON CONFLICT carry; None where they are columns.
///
/// # Errors
/// 42601.
pub fn carried(columns: &[ast::Ident]) -> Result<Option<Inference>> {
    let [column] = columns else { return Ok(None) };
    let Some(text) = column.value.strip_prefix(CARRIER) else {
        return Ok(None);
    };
    let found = parse_tokens(parse::tokens(text, text)?);
    found.map(Some).map_err(|error| parse::syntax_error(error, text))
}

fn parse_tokens(tokens: Vec<TokenWithSpan>) -> Result<Inference, ParserError> {
    let mut parser = Parser::new(&Postgres)
        .with_recursion_limit(parse::NESTING_MAX)
        .with_tokens_with_locations(tokens);
    parser.expect_token(&Token::LParen)?;
    let elements = parser.parse_comma_separated(Parser::parse_expr)?;
    parser.expect_token(&Token::RParen)?;
    let condition = match parser.parse_keyword(Keyword::WHERE) {
        true => Some(parser.parse_expr()?),
        false => None,
    };
    match parser.peek_token().token {
        Token::EOF => Ok(Inference { elements, condition }),
        _ => parser.expected("DO", parser.peek_token()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the clause of an INSERT carries.
    fn of(clause: &str) -> Option<Inference> {
        let text = format!("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1) ON CONFLICT {clause}; SELECT 1");
        let statements = parse::parse(&text).expect("parsed");
        let ast::Statement::Insert(insert) = &statements[1].ast else {
            panic!("no INSERT");
        };
        let Some(ast::OnInsert::OnConflict(on)) = &insert.on else {
            panic!("no ON CONFLICT");
        };
        let Some(ast::ConflictTarget::Columns(columns)) = &on.conflict_target else {
            panic!("no columns");
        };
        carried(columns).expect("parsed before")
    }

    #[test]
    fn columns_alone_are_the_parsers() {
        assert_eq!(of("(a, \"B\") DO NOTHING"), None);
        assert_eq!(of("(a) DO UPDATE SET b = (1 + 2) WHERE t.b > 1"), None);
    }

    #[test]
    fn expressions_and_conditions_are_carried() {
        let shown = |clause: &str| {
            let found = of(clause).expect("carried");
            let elements: Vec<_> = found.elements.iter().map(ToString::to_string).collect();
            (
                elements.join("|"),
                found.condition.map(|condition| condition.to_string()),
            )
        };
        assert_eq!(
            shown("(a, lower(b), (c + 1)) DO NOTHING"),
            ("a|lower(b)|(c + 1)".to_owned(), None)
        );
        assert_eq!(
            shown("(a) WHERE b = 'it''s' AND (c OR d) DO UPDATE SET e = 1 WHERE f"),
            ("a".to_owned(), Some("b = 'it''s' AND (c OR d)".to_owned()))
        );
        assert!(parse::parse("INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE DO NOTHING").is_err());
        assert!(parse::parse("INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE b = (").is_err());
        assert!(parse::parse("INSERT INTO t VALUES (1) ON CONFLICT (").is_err());
    }
}
