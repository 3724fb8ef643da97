//! Property graphs (ISO/IEC 9075-16, SQL/PGQ): their definitions, and GRAPH_TABLE.
//!
//! **Vocabulary.** An *element pattern* is `(x IS label WHERE ...)` or `-[e IS label WHERE ...]->`; element patterns in a row
//! are a *path pattern*; a *walk* is what matches one, with vertices and edges repeated at will, as the standard has
//! it. An *element table* holds vertices or edges; no row is copied.
//!
//! **How a text becomes a plan.** sqlparser knows nothing of this. So:
//!
//! 1. [`carry`] looks through the tokens, where words in strings and comments are none. `GRAPH_TABLE (name MATCH ...)` and a
//!    statement that begins with `CREATE PROPERTY GRAPH` or `DROP PROPERTY GRAPH` are valid nowhere else, so these words stay
//!    names elsewhere. The body is checked (`syntax`, `definition`), and goes on as a string in a place that sqlparser
//!    can read: `"aion graph_table"('body')`, `CALL "aion property graph"('statement')`. The string keeps its place in the
//!    text, and with it everything in the body: errors point into what the user wrote.
//! 2. When names are resolved, [`expand`] parses the body again and puts a derived table in its place (`lower`): joins over the
//!    element tables, with the user's expressions, parameters included, as they are. From there on it is a query like any other.
//!
//! A table function that plans the body itself was rejected: its parameters would be no parameters of the statement, and the
//! optimizer would see a black box. An AST of our own beside sqlparser's was rejected: every walk over a statement would
//! need to know of it.
//!
//! **Left out**, and refused with 0A000: quantifiers other than `{n}`, path variables and path search, undirected edges
//! (`~`), label expressions other than `a|b`, several labels of a table, LATERAL. Elements see their own pattern only: a
//! correlated subquery compares the COLUMNS outside.

mod cursor;
mod definition;
mod expand;
mod joins;
mod lower;
mod scope;
mod syntax;

#[cfg(test)]
pub(crate) mod tests;

use aion_base::{Error, Result, SqlState};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Whitespace, Word};

use crate::parse;

pub(crate) use definition::{Create, Definition, ElementTable, End, Properties, parse as parse_definition};
pub(crate) use expand::expand;
pub(crate) use joins::{edges_that_are, qualified};

/// The name of the function that carries the body of a GRAPH_TABLE.
const TABLE_CARRIER: &str = "aion graph_table";
/// The name of the procedure that carries a CREATE or DROP PROPERTY GRAPH.
const DEFINITION_CARRIER: &str = "aion property graph";

/// Whether a text may hold something of ours; looked at before the tokens are.
pub(crate) fn is_mentioned(text: &str) -> bool {
    text.as_bytes()
        .windows(5)
        .any(|window| window.eq_ignore_ascii_case(b"graph"))
}

/// The statement that a CALL carries, with its place; None for one that is a user's.
pub(crate) fn carried_definition(call: &ast::Function) -> Option<(&str, Span)> {
    is_named(&call.name, DEFINITION_CARRIER).then_some(())?;
    let ast::FunctionArguments::List(list) = &call.args else {
        return None;
    };
    carried(&list.args)
}

fn is_named(name: &ast::ObjectName, carrier: &str) -> bool {
    let [part] = name.0.as_slice() else { return false };
    part.as_ident()
        .is_some_and(|ident| ident.quote_style.is_some() && ident.value == carrier)
}

fn carried(args: &[ast::FunctionArg]) -> Option<(&str, Span)> {
    let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(value)))] = args else {
        return None;
    };
    match &value.value {
        ast::Value::SingleQuotedString(body) => Some((body, value.span)),
        _ => None,
    }
}

/// See step 1 of the module's header.
///
/// # Errors
/// 42601 with the place, for a body that is wrong.
pub(crate) fn carry(tokens: Vec<TokenWithSpan>, text: &str) -> Result<Vec<TokenWithSpan>> {
    let mut carried = Vec::with_capacity(tokens.len());
    let mut is_start = true;
    let mut at = 0;
    while at < tokens.len() {
        let found = match is_start && is_definition(&tokens, at) {
            true => Some(carry_definition(&tokens, at, text)?),
            false if is_graph_table(&tokens, at) => Some(carry_table(&tokens, at, text)?),
            false => None,
        };
        if let Some((instead, next)) = found {
            carried.extend(instead);
            at = next;
            is_start = false;
            continue;
        }
        match &tokens[at].token {
            Token::SemiColon => is_start = true,
            Token::Whitespace(_) => {}
            _ => is_start = false,
        }
        carried.push(tokens[at].clone());
        at += 1;
    }
    Ok(carried)
}

/// The index of the next token at or after `at` that is no whitespace.
fn significant(tokens: &[TokenWithSpan], at: usize) -> usize {
    let skipped = tokens[at.min(tokens.len())..]
        .iter()
        .take_while(|token| matches!(token.token, Token::Whitespace(_)));
    at + skipped.count()
}

/// Whether these words follow each other, unquoted, from `at`; the index behind them.
fn words(tokens: &[TokenWithSpan], at: usize, words: &[&str]) -> Option<usize> {
    let mut at = at;
    for word in words {
        at = significant(tokens, at);
        is_word(&tokens.get(at)?.token, word).then_some(())?;
        at += 1;
    }
    Some(at)
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}

fn is_definition(tokens: &[TokenWithSpan], at: usize) -> bool {
    const BEGINNINGS: [&[&str]; 4] = [
        &["CREATE", "PROPERTY", "GRAPH"],
        &["CREATE", "OR", "REPLACE", "PROPERTY", "GRAPH"],
        &["DROP", "PROPERTY", "GRAPH"],
        &["ALTER", "PROPERTY", "GRAPH"],
    ];
    !matches!(tokens[at].token, Token::Whitespace(_))
        && BEGINNINGS
            .iter()
            .any(|beginning| words(tokens, at, beginning).is_some())
}

/// `GRAPH_TABLE (name MATCH`, where no other statement could have it.
fn is_graph_table(tokens: &[TokenWithSpan], at: usize) -> bool {
    if !is_word(&tokens[at].token, "GRAPH_TABLE") {
        return false;
    }
    let mut at = significant(tokens, at + 1);
    if tokens.get(at).is_none_or(|token| token.token != Token::LParen) {
        return false;
    }
    loop {
        at = significant(tokens, at + 1);
        if !matches!(tokens.get(at).map(|token| &token.token), Some(Token::Word(_))) {
            return false;
        }
        at = significant(tokens, at + 1);
        if tokens.get(at).is_none_or(|token| token.token != Token::Period) {
            return words(tokens, at, &["MATCH"]).is_some();
        }
    }
}

type Carried = ([TokenWithSpan; 4], usize);

fn carry_definition(tokens: &[TokenWithSpan], begin: usize, text: &str) -> Result<(Vec<TokenWithSpan>, usize)> {
    let end = (begin..tokens.len())
        .find(|&at| tokens[at].token == Token::SemiColon)
        .unwrap_or(tokens.len());
    let span = Span::new(tokens[begin].span.start, tokens[end - 1].span.end);
    let body = parse::slice(text, span);
    definition::parse(body, span, text)?;
    let call = TokenWithSpan::new(Token::make_word("CALL", None), span);
    let (rest, next) = carrier(DEFINITION_CARRIER, body, span, span, end);
    Ok((std::iter::once(call).chain(rest).collect(), next))
}

fn carry_table(tokens: &[TokenWithSpan], begin: usize, text: &str) -> Result<(Vec<TokenWithSpan>, usize)> {
    let open = significant(tokens, begin + 1);
    let mut depth = 0usize;
    let mut close = None;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => {
                close = Some(at);
                break;
            }
            Token::RParen => depth -= 1,
            Token::SemiColon => break,
            _ => {}
        }
    }
    let Some(close) = close else {
        return Err(arrow_in_comment(&tokens[open..], true, text).unwrap_or_else(|| {
            let error = Error::invalid(
                SqlState::SYNTAX_ERROR,
                "syntax error: GRAPH_TABLE ( is not closed with a parenthesis",
            );
            crate::dml::at(error, tokens[begin].span, text)
        }));
    };
    let span = Span::new(tokens[open].span.end, tokens[close].span.start);
    let body = parse::slice(text, span);
    if let Err(error) = syntax::parse(body, span, text) {
        return Err(arrow_in_comment(&tokens[open..close], true, text).unwrap_or(error));
    }
    if let Some(error) = arrow_in_comment(&tokens[open..close], false, text) {
        return Err(error);
    }
    let whole = Span::new(tokens[begin].span.start, tokens[close].span.end);
    let (carried, next) = carrier(TABLE_CARRIER, body, whole, span, close + 1);
    Ok((carried.into(), next))
}

fn carrier(name: &str, body: &str, whole: Span, place: Span, next: usize) -> Carried {
    let tokens = [
        TokenWithSpan::new(Token::make_word(name, Some('"')), whole),
        TokenWithSpan::new(Token::LParen, whole),
        TokenWithSpan::new(Token::SingleQuotedString(body.to_owned()), place),
        TokenWithSpan::new(Token::RParen, whole),
    ];
    (tokens, next)
}

/// What `(a)-->(b)` or `(a)--(b)` was meant to be: in SQL the rest of the line is a comment. One that touches an edge or a
/// vertex and goes on like an edge is refused even where the pattern is complete without it; with a space before, only
/// where it is not.
fn arrow_in_comment(tokens: &[TokenWithSpan], is_broken: bool, text: &str) -> Option<Error> {
    let in_pattern = tokens.iter().take_while(|token| token.token != Token::SemiColon);
    let mut before: Option<&Token> = None;
    for token in in_pattern {
        if let Token::Whitespace(Whitespace::SingleLineComment { prefix, comment }) = &token.token
            && prefix == "--"
        {
            let goes_on = comment.starts_with(['>', '(', '[']);
            let touches = matches!(before, Some(Token::RParen | Token::Lt | Token::RBracket));
            if (goes_on && touches) || (is_broken && (goes_on || touches)) {
                let message = "syntax error: `--` begins a comment in SQL, also in a pattern";
                let error = Error::invalid(SqlState::SYNTAX_ERROR, message).with_hint(
                    "Write -[]-> or ->, <-[]- or <-, and -[]- or - for an edge; put a space before a comment.",
                );
                return Some(crate::dml::at(error, token.span, text));
            }
        }
        before = Some(&token.token);
    }
    None
}

/// The place of a location of a body in the text that it is cut from.
fn shift(at: Location, start: Location) -> Location {
    Location {
        line: start.line + at.line - 1,
        column: match at.line {
            1 => start.column + at.column - 1,
            _ => at.column,
        },
    }
}

/// A body's tokens, with their places in the text that it is cut from.
fn tokens_of(body: &str, start: Location, text: &str) -> Result<Vec<TokenWithSpan>> {
    let mut tokens = parse::tokens(body, text)?;
    for token in &mut tokens {
        token.span = Span::new(shift(token.span.start, start), shift(token.span.end, start));
    }
    Ok(tokens)
}
