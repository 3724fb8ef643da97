//! The body of a GRAPH_TABLE, as it is written.
//!
//! ```text
//! body    = graph MATCH path {"," path} [WHERE expr] COLUMNS "(" item {"," item} ")"
//! path    = vertex {edge vertex}
//! vertex  = "(" filler ")"
//! edge    = "-[" filler "]->" | "<-[" filler "]-" | "-[" filler "]-" | "<-[" filler "]->" | "->" | "<-" | "-" | "<->"
//!           followed by "{" n "}", at will
//! filler  = [variable] [IS label {"|" label}] [WHERE expr]
//! item    = expr AS name | variable "." property | variable ".*"
//! ```
//!
//! `-[e]->{3}` becomes three edges with vertices without a name between them; `e` can then be seen in its own WHERE alone.

use aion_base::{Error, Result, SqlState};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Span, Token};

use super::cursor::Cursor;

/// Element patterns of one GRAPH_TABLE, at most: each is a join.
pub(super) const ELEMENTS_MAX: usize = 41;

/// See the module's header.
#[derive(Clone, Debug)]
pub(super) struct GraphTable {
    pub graph: ast::ObjectName,
    /// Each begins and ends with a vertex; vertices and edges alternate.
    pub paths: Vec<Vec<Element>>,
    pub filter: Option<ast::Expr>,
    pub items: Vec<Item>,
}

/// An element pattern.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub kind: Kind,
    pub variable: Option<ast::Ident>,
    /// It is one of several that a quantifier made: its variable is seen in its own filter alone.
    pub is_repeated: bool,
    /// Any of them; empty for all.
    pub labels: Vec<ast::Ident>,
    pub filter: Option<ast::Expr>,
    pub span: Span,
}

/// What an element pattern matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Vertex,
    Edge(Direction),
}

/// Where an edge points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Right,
    Left,
    Either,
}

/// An item of COLUMNS.
#[derive(Clone, Debug)]
pub(super) enum Item {
    One { expr: Box<ast::Expr>, name: ast::Ident },
    All(ast::Ident),
}

/// Reads a body that lies at `place` in `text`.
///
/// # Errors
/// 42601 and 0A000, with the place.
pub(super) fn parse(body: &str, place: Span, text: &str) -> Result<GraphTable> {
    let mut cursor = Cursor::new(body, place, text)?;
    let graph = cursor.object_name()?;
    cursor.expect_words(&["MATCH"])?;
    let mut paths = vec![path(&mut cursor)?];
    while cursor.take(&Token::Comma) {
        paths.push(path(&mut cursor)?);
    }
    let filter = match cursor.take_word("WHERE") {
        true => Some(cursor.expr()?),
        false => None,
    };
    if !cursor.take_word("COLUMNS") {
        return Err(cursor.unexpected("an edge, a comma, WHERE or COLUMNS"));
    }
    let items = cursor.list(item)?;
    cursor.expect_end()?;
    if paths.iter().map(Vec::len).sum::<usize>() > ELEMENTS_MAX {
        let error = Error::exhausted(
            SqlState::STATEMENT_TOO_COMPLEX,
            format!("the pattern has more than {ELEMENTS_MAX} vertices and edges, quantified ones counted in full"),
        );
        return Err(cursor.place(error, place));
    }
    Ok(GraphTable {
        graph,
        paths,
        filter,
        items,
    })
}

fn path(cursor: &mut Cursor<'_>) -> Result<Vec<Element>> {
    if matches!(cursor.peek().token, Token::Word(_)) {
        return Err(cursor.unsupported("path variables and path search (ANY, ALL, SHORTEST) are not there yet"));
    }
    let mut path = vec![vertex(cursor)?];
    while let Some(edge) = edge(cursor)? {
        let count = quantifier(cursor)?;
        for at in 0..count.unwrap_or(1) {
            if at > 0 {
                path.push(between(edge.span));
            }
            path.push(Element {
                is_repeated: count.is_some(),
                ..edge.clone()
            });
        }
        path.push(vertex(cursor)?);
    }
    Ok(path)
}

/// A vertex without a name, between the edges of a quantifier.
fn between(span: Span) -> Element {
    Element {
        kind: Kind::Vertex,
        variable: None,
        is_repeated: false,
        labels: Vec::new(),
        filter: None,
        span,
    }
}

fn vertex(cursor: &mut Cursor<'_>) -> Result<Element> {
    let span = cursor.span();
    if !cursor.take(&Token::LParen) {
        return Err(cursor.unexpected("a vertex in parentheses"));
    }
    if cursor.is_at(&Token::LParen) {
        return Err(cursor.unsupported("paths in parentheses are not there yet"));
    }
    let element = filler(cursor, Kind::Vertex, span)?;
    match cursor.take(&Token::RParen) {
        true => Ok(element),
        false => Err(unfinished(cursor, ")")),
    }
}

/// The edge that begins here; None if none does.
fn edge(cursor: &mut Cursor<'_>) -> Result<Option<Element>> {
    let span = cursor.span();
    let plain = |direction| Element {
        kind: Kind::Edge(direction),
        ..between(span)
    };
    let is_from_left = match &cursor.peek().token {
        Token::Arrow => {
            cursor.take(&Token::Arrow);
            return Ok(Some(plain(Direction::Right)));
        }
        Token::TwoWayArrow => {
            cursor.take(&Token::TwoWayArrow);
            return Ok(Some(plain(Direction::Either)));
        }
        Token::Tilde => {
            return Err(cursor.unsupported("undirected edges are not there: -[]- follows an edge either way"));
        }
        Token::CustomBinaryOperator(_) if is_operator(cursor) => return Err(cursor.unsupported(FIXED_ONLY)),
        Token::CustomBinaryOperator(operator) => {
            let message = format!("{operator} is not there: an edge is ->, <-, -, -[]->, <-[]- or -[]-");
            return Err(cursor.unsupported(message));
        }
        Token::Lt => {
            cursor.take(&Token::Lt);
            cursor.expect(&Token::Minus)?;
            true
        }
        Token::Minus => {
            cursor.take(&Token::Minus);
            false
        }
        _ => return Ok(None),
    };
    if !cursor.take(&Token::LBracket) {
        return Ok(Some(plain(if is_from_left {
            Direction::Left
        } else {
            Direction::Either
        })));
    }
    let mut element = filler(cursor, Kind::Edge(Direction::Either), span)?;
    if !cursor.take(&Token::RBracket) {
        return Err(unfinished(cursor, "]"));
    }
    if is_operator(cursor) {
        return Err(cursor.unsupported(FIXED_ONLY));
    }
    let is_to_right = cursor.take(&Token::Arrow);
    if !is_to_right && !cursor.take(&Token::Minus) {
        return Err(cursor.unexpected("- or ->"));
    }
    element.kind = Kind::Edge(match (is_from_left, is_to_right) {
        (true, false) => Direction::Left,
        (false, true) => Direction::Right,
        _ => Direction::Either,
    });
    Ok(Some(element))
}

const FIXED_ONLY: &str = "only the quantifier {n}, n at least 1, is there: paths of other lengths are not there yet";

/// `->*` and `-+` are one token.
fn is_operator(cursor: &Cursor<'_>) -> bool {
    matches!(&cursor.peek().token, Token::CustomBinaryOperator(operator) if operator.starts_with('-'))
}

/// `{n}`; None without a quantifier.
fn quantifier(cursor: &mut Cursor<'_>) -> Result<Option<u64>> {
    if matches!(cursor.peek().token, Token::Mul | Token::Plus | Token::Question) {
        return Err(cursor.unsupported(FIXED_ONLY));
    }
    let span = cursor.span();
    if !cursor.take(&Token::LBrace) {
        return Ok(None);
    }
    match (cursor.whole_number(), cursor.take(&Token::RBrace)) {
        (Some(count), true) if (1..=ELEMENTS_MAX as u64 / 2).contains(&count) => Ok(Some(count)),
        (Some(count), true) if count > 0 => {
            let error = Error::exhausted(
                SqlState::STATEMENT_TOO_COMPLEX,
                format!("the quantifier {{{count}}} is beyond the limit of {}", ELEMENTS_MAX / 2),
            );
            Err(cursor.place(error, span))
        }
        _ => Err(cursor.place(Error::unsupported(FIXED_ONLY), span)),
    }
}

fn filler(cursor: &mut Cursor<'_>, kind: Kind, span: Span) -> Result<Element> {
    let is_keyword = cursor.is_at_word("IS") || cursor.is_at_word("WHERE");
    let variable = match cursor.peek().token {
        Token::Word(_) if !is_keyword => Some(cursor.ident()?),
        _ => None,
    };
    let mut labels = Vec::new();
    if cursor.take_word("IS") {
        loop {
            labels.push(cursor.ident()?);
            if !cursor.take(&Token::Pipe) {
                break;
            }
        }
        if matches!(
            cursor.peek().token,
            Token::Ampersand | Token::ExclamationMark | Token::Mod
        ) {
            return Err(cursor.unsupported("of label expressions only a|b is there"));
        }
    }
    let filter = match cursor.take_word("WHERE") {
        true => Some(cursor.expr()?),
        false => None,
    };
    Ok(Element {
        kind,
        variable,
        is_repeated: false,
        labels,
        filter,
        span,
    })
}

/// What is wrong inside of an element pattern.
fn unfinished(cursor: &Cursor<'_>, close: &str) -> Error {
    match cursor.peek().token {
        Token::Colon => cursor.unexpected(close).with_hint("A label follows IS: (x IS label)."),
        Token::Word(_) => cursor.unexpected(&format!("IS, WHERE or {close}")),
        Token::ExclamationMark | Token::Mod => cursor.unsupported("of label expressions only a|b is there"),
        _ => cursor.unexpected(close),
    }
}

fn item(cursor: &mut Cursor<'_>) -> Result<Item> {
    let span = cursor.span();
    if cursor.is_at(&Token::Mul) {
        return Err(cursor
            .unexpected("an expression")
            .with_hint("Name an element: x.* for all of its properties."));
    }
    let expr = cursor.expr();
    let expr = match expr {
        Ok(ast::Expr::QualifiedWildcard(name, _)) => match <[ast::ObjectNamePart; 1]>::try_from(name.0) {
            Ok([ast::ObjectNamePart::Identifier(variable)]) => return Ok(Item::All(variable)),
            _ => {
                return Err(cursor.place(
                    Error::invalid(SqlState::SYNTAX_ERROR, "syntax error: x.* names an element"),
                    span,
                ));
            }
        },
        other => other?,
    };
    let has_as = cursor.take_word("AS");
    let name = match (&cursor.peek().token, &expr) {
        (Token::Word(_), _) => cursor.ident()?,
        _ if has_as => return Err(cursor.unexpected("a name")),
        (_, ast::Expr::CompoundIdentifier(parts)) if parts.len() == 2 => parts[1].clone(),
        _ => {
            let error = Error::invalid(SqlState::SYNTAX_ERROR, "syntax error: a column of COLUMNS needs a name")
                .with_hint("Only a property has one by itself; else write: expression AS name.");
            return Err(cursor.place(error, span));
        }
    };
    Ok(Item::One {
        expr: Box::new(expr),
        name,
    })
}
