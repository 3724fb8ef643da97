//! FETCH and MOVE: sqlparser has no MOVE, no directions without FROM, and no negative counts.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{number, word};
use crate::cursors::Count;

/// Rows of a cursor, or a place among them.
#[derive(Clone, Debug)]
pub struct Fetch {
    pub cursor: ast::Ident,
    pub direction: Direction,
    /// Without giving the rows.
    pub is_move: bool,
}

/// Which rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward(Count),
    Backward(Count),
    /// The row of that number, from 1; from the end where it is negative.
    Absolute(i64),
    /// The row so many after the one that the cursor is on.
    Relative(i64),
}

pub fn begins(words: &[&str]) -> bool {
    words
        .first()
        .is_some_and(|first| first.eq_ignore_ascii_case("fetch") || first.eq_ignore_ascii_case("move"))
}

/// A FETCH or MOVE, if it is one.
///
/// # Errors
/// For one that is wrong.
pub fn statement(parser: &mut Parser<'_>) -> Result<Option<Fetch>, ParserError> {
    let is_move = match (word(parser, "FETCH"), word(parser, "MOVE")) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => return Ok(None),
    };
    let direction = match is_last(parser) {
        // What is like a direction is then the name of the cursor.
        true => Direction::Forward(Count::Of(1)),
        false => direction(parser)?,
    };
    let _ = parser.parse_keyword(Keyword::FROM) || parser.parse_keyword(Keyword::IN);
    let cursor = parser.parse_identifier()?;
    Ok(Some(Fetch {
        cursor,
        direction,
        is_move,
    }))
}

/// Whether the next token is the last one.
fn is_last(parser: &Parser<'_>) -> bool {
    parser.peek_nth_token(1).token == Token::EOF
}

fn direction(parser: &mut Parser<'_>) -> Result<Direction, ParserError> {
    let one = Count::Of(1);
    Ok(if word(parser, "NEXT") {
        Direction::Forward(one)
    } else if word(parser, "PRIOR") {
        Direction::Backward(one)
    } else if word(parser, "FIRST") {
        Direction::Absolute(1)
    } else if word(parser, "LAST") {
        Direction::Absolute(-1)
    } else if word(parser, "ABSOLUTE") {
        Direction::Absolute(number(parser)?)
    } else if word(parser, "RELATIVE") {
        Direction::Relative(number(parser)?)
    } else if word(parser, "ALL") {
        Direction::Forward(Count::All)
    } else if word(parser, "FORWARD") {
        count(parser)?
    } else if word(parser, "BACKWARD") {
        match count(parser)? {
            Direction::Forward(count) => Direction::Backward(count),
            Direction::Backward(count) => Direction::Forward(count),
            other => other,
        }
    } else if is_number(parser) {
        count(parser)?
    } else {
        Direction::Forward(one)
    })
}

fn is_number(parser: &Parser<'_>) -> bool {
    matches!(
        parser.peek_token().token,
        Token::Number(..) | Token::Minus | Token::Plus
    )
}

/// What follows FORWARD and BACKWARD; a negative count goes the other way.
fn count(parser: &mut Parser<'_>) -> Result<Direction, ParserError> {
    if word(parser, "ALL") {
        return Ok(Direction::Forward(Count::All));
    }
    if !is_number(parser) {
        return Ok(Direction::Forward(Count::Of(1)));
    }
    let number = number(parser)?;
    let count = Count::Of(number.unsigned_abs());
    Ok(if number < 0 {
        Direction::Backward(count)
    } else {
        Direction::Forward(count)
    })
}
