//! Templates: `to_char`, `to_number`, `to_date` and `to_timestamp`.
//!
//! **Vocabulary.** A *template* is a text with *patterns* in it, such as `YYYY` or `9`, each of which stands for a *field* of a moment or for
//! a place of a number. What is no pattern is a *separator*, *space*, or another *character*; one in double quotes is always the last. A
//! *modifier* stands before a pattern (`FM`, `TM`) or behind it (`TH`).
//!
//! **Guarantees.** Answers are PostgreSQL 15's byte for byte, in the locale C, and so are errors: SQLSTATE, message, detail and hint. The
//! fixture `answers.txt` holds what a server said. Nothing panics, whatever the template and the text.
//!
//! - [`write_timestamp`], [`write_interval`] and [`read_timestamp`], [`read_date`]: patterns are in `keywords`, what they write in `moment`,
//!   what they read in `input` and `reader`, days and weeks in `julian`.
//! - [`write_numeric`], [`write_int4`], [`write_int8`], [`write_double`], [`write_float`] and [`read_number`]: the template is understood in
//!   `picture`, `number` makes digits of the value, `places` puts them into the template's places, `number_input` reads them.
//!
//! An empty template is the caller's: PostgreSQL answers NULL for moments and `to_number`, and an empty text for numbers.
//!
//! **Left out.** `SQLSTATE` 22009 of a zone that is too far from Greenwich is 22008 here. Numbers are 128 bits and a scale: `to_number` of
//! more digits is 22003, and `numeric` has no `NaN` and no infinity. Timestamps end where 64 bits of microseconds since 1970 do, 30 years
//! before PostgreSQL's.

use aion_base::{Error, Result, SqlState};

mod input;
mod julian;
mod keywords;
mod moment;
mod number;
mod number_input;
mod picture;
mod places;
mod reader;
#[cfg(test)]
mod tests;

pub use input::{ReadMoment, read_date, read_timestamp};
pub use moment::{write_interval, write_timestamp};
pub use number::{write_double, write_float, write_int4, write_int8, write_numeric};
pub use number_input::read_number;

/// How a word is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letters {
    Upper,
    Capitalized,
    Lower,
}

/// A part of a template.
#[derive(Clone, Copy, Debug)]
enum Node<'a, P> {
    Pattern(P),
    /// White space outside quotes.
    Space(&'a str),
    /// What is printed, is no letter and no digit, outside quotes.
    Separator(&'a str),
    /// Any other character.
    Character(&'a str),
}

/// Cuts a template into nodes. `pattern` takes a pattern off the beginning of the text; it may take something and find none.
fn parse<'a, P>(
    template: &'a str,
    mut pattern: impl FnMut(&mut &'a str) -> Result<Option<P>>,
) -> Result<Vec<Node<'a, P>>> {
    let mut nodes = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        if let Some(pattern) = pattern(&mut rest)? {
            nodes.push(Node::Pattern(pattern));
            continue;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            parse_quoted(&mut rest, &mut nodes);
            continue;
        }
        // Outside quotes a backslash is one, unless a quote follows.
        if rest.starts_with("\\\"") {
            rest = &rest[1..];
        }
        if let Some(character) = take_character(&mut rest) {
            nodes.push(match character.as_bytes()[0] {
                byte if is_separator(byte) => Node::Separator(character),
                byte if is_space(byte) => Node::Space(character),
                _ => Node::Character(character),
            });
        }
    }
    Ok(nodes)
}

/// Up to the closing quote, or to the end. A backslash takes the special meaning of what follows.
fn parse_quoted<'a, P>(rest: &mut &'a str, nodes: &mut Vec<Node<'a, P>>) {
    loop {
        if let Some(behind) = rest.strip_prefix('"') {
            *rest = behind;
            return;
        }
        if rest.len() > 1
            && let Some(behind) = rest.strip_prefix('\\')
        {
            *rest = behind;
        }
        let Some(character) = take_character(rest) else { return };
        nodes.push(Node::Character(character));
    }
}

fn take_character<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let length = rest.chars().next()?.len_utf8();
    let character;
    (character, *rest) = rest.split_at(length);
    Some(character)
}

/// What C's `isspace` knows.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn is_separator(byte: u8) -> bool {
    byte.is_ascii_punctuation()
}

/// The ending that makes a number an ordinal one.
fn ordinal(number: &str, letters: Letters) -> Result<&'static str> {
    let bytes = number.as_bytes();
    let last = bytes.last().copied().filter(u8::is_ascii_digit);
    let Some(last) = last else {
        let message = format!("\"{number}\" is not a number");
        return Err(Error::invalid(SqlState::INVALID_TEXT_REPRESENTATION, message));
    };
    let is_teen = bytes.len() > 1 && bytes[bytes.len() - 2] == b'1';
    let (upper, lower) = match last {
        b'1' if !is_teen => ("ST", "st"),
        b'2' if !is_teen => ("ND", "nd"),
        b'3' if !is_teen => ("RD", "rd"),
        _ => ("TH", "th"),
    };
    Ok(if letters == Letters::Lower { lower } else { upper })
}
