//! Parameters by name: `$name` becomes `$1`, `$2`, ... where the text means a parameter.
//!
//! It does not where PostgreSQL reads something else: in strings (`'...'`, and `E'...'` with its backslashes), in quoted
//! identifiers, in comments (`--`, and nested `/* */`), between dollar quotes (`$$`, `$tag$`), and within a word (`a$b`).
//! A text without names goes to the engine as it is. Positions in errors are those of the text as it was given.

use aion_base::{Error, SqlState};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping, PySequence, PyString};

use crate::{connection, errors};

/// Parameters in their order, each with its name as the text has it.
pub type Parameters<'py> = Vec<(String, Bound<'py, PyAny>)>;

/// A text and its parameters, as the engine takes them.
pub struct Text<'py> {
    /// The text with numbered parameters.
    pub sql: String,
    /// The parameters.
    pub parameters: Parameters<'py>,
    /// The names of `$1`, `$2`, ...; None where the text was not translated.
    names: Option<Vec<String>>,
    shifts: Vec<Shift>,
}

/// A name that was replaced: where its number begins, in characters from 1, and how long both are.
#[derive(Clone, Copy, Debug)]
struct Shift {
    at: usize,
    name_length: usize,
    number_length: usize,
}

struct Translated {
    sql: String,
    names: Vec<String>,
    shifts: Vec<Shift>,
    has_numbers: bool,
}

impl<'py> Text<'py> {
    /// The text with what `params` gives.
    ///
    /// # Errors
    /// TypeError for what is neither a sequence nor a mapping; ProgrammingError for a name without a value, or names and numbers
    /// in one text.
    pub fn new(py: Python<'py>, query: &str, params: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        let plain = |parameters| Self {
            sql: query.to_owned(),
            parameters,
            names: None,
            shifts: Vec::new(),
        };
        let Some(params) = params else {
            return Ok(plain(Vec::new()));
        };
        let Ok(mapping) = params.cast::<PyMapping>() else {
            return Ok(plain(sequence(params)?));
        };
        let translated = translate(query);
        if translated.has_numbers {
            return Err(wrong(
                py,
                "$1, $2, ... take a sequence; a mapping is for $name".to_owned(),
            ));
        }
        Ok(Self {
            parameters: look_up(py, &translated.names, mapping)?,
            sql: translated.sql,
            names: Some(translated.names),
            shifts: translated.shifts,
        })
    }

    /// The parameters of the same text with other values.
    ///
    /// # Errors
    /// As [`Text::new`].
    pub fn same_with(&self, py: Python<'py>, params: &Bound<'py, PyAny>) -> PyResult<Parameters<'py>> {
        match (&self.names, params.cast::<PyMapping>()) {
            (Some(names), Ok(mapping)) => look_up(py, names, mapping),
            (None, Err(_)) => sequence(params),
            _ => Err(wrong(
                py,
                "all sets of parameters are sequences, or all are mappings".to_owned(),
            )),
        }
    }

    /// An error of this text as an exception.
    pub fn raised(&self, py: Python<'_>, error: Error) -> PyErr {
        let error = match error.position() {
            Some(position) if !self.shifts.is_empty() => error.with_position(original(position, &self.shifts)),
            _ => error,
        };
        errors::raised(py, &error)
    }
}

fn wrong(py: Python<'_>, message: String) -> PyErr {
    errors::raised(py, &Error::invalid(SqlState::UNDEFINED_PARAMETER, message))
}

fn sequence<'py>(params: &Bound<'py, PyAny>) -> PyResult<Parameters<'py>> {
    let is_text = params.is_instance_of::<PyString>() || params.is_instance_of::<PyBytes>();
    if is_text || params.cast::<PySequence>().is_err() {
        return Err(connection::no_parameters(params));
    }
    let values = params.try_iter()?.enumerate();
    values.map(|(at, value)| Ok((format!("${}", at + 1), value?))).collect()
}

fn look_up<'py>(py: Python<'py>, names: &[String], mapping: &Bound<'py, PyMapping>) -> PyResult<Parameters<'py>> {
    let values = names.iter().map(|name| {
        if !mapping.contains(name)? {
            return Err(wrong(py, format!("there is no value for the parameter ${name}")));
        }
        Ok((format!("${name}"), mapping.get_item(name)?))
    });
    values.collect()
}

/// The place in the text as it was given.
fn original(position: usize, shifts: &[Shift]) -> usize {
    let mut moved = position;
    for shift in shifts.iter().take_while(|shift| shift.at < position) {
        let end = shift.at + shift.number_length;
        if position < end {
            // Within the number: where the name begins.
            moved -= position - shift.at;
        } else {
            moved = moved + shift.name_length - shift.number_length;
        }
    }
    moved
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Replaces the names.
fn translate(query: &str) -> Translated {
    let mut out = Translated {
        sql: String::with_capacity(query.len()),
        names: Vec::new(),
        shifts: Vec::new(),
        has_numbers: false,
    };
    let mut rest = query;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let follows_word = is_word(before) || before == '$';
        let length = match next {
            '\'' => {
                let is_escaped = matches!(before, 'e' | 'E') && !ends_in_longer_word(&out.sql);
                quoted(rest, '\'', is_escaped)
            }
            '"' => quoted(rest, '"', false),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            '$' if !follows_word => match dollar(rest) {
                Dollar::Quoted(length) => length,
                Dollar::Name(name) => {
                    let at = out.names.iter().position(|known| known == name).unwrap_or_else(|| {
                        out.names.push(name.to_owned());
                        out.names.len() - 1
                    });
                    let number = format!("${}", at + 1);
                    out.shifts.push(Shift {
                        at: out.sql.chars().count() + 1,
                        name_length: name.chars().count() + 1,
                        number_length: number.len(),
                    });
                    out.sql.push_str(&number);
                    rest = &rest[1 + name.len()..];
                    before = '0';
                    continue;
                }
                Dollar::Number => {
                    out.has_numbers = true;
                    1
                }
                Dollar::Other => 1,
            },
            _ => next.len_utf8(),
        };
        let (copied, after) = rest.split_at(length);
        out.sql.push_str(copied);
        before = copied.chars().next_back().unwrap_or(' ');
        rest = after;
    }
    out
}

/// Whether the letter at the end belongs to a word of more than itself.
fn ends_in_longer_word(sql: &str) -> bool {
    let mut letters = sql.chars().rev();
    letters.next();
    letters.next().is_some_and(is_word)
}

/// The length of a text between quotes; a doubled quote is one of it.
fn quoted(text: &str, quote: char, has_backslashes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && has_backslashes {
            characters.next();
        } else if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// The length of a comment, with those inside.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

enum Dollar<'a> {
    /// A text between dollar quotes, of this length.
    Quoted(usize),
    Name(&'a str),
    Number,
    Other,
}

/// What begins with this dollar.
fn dollar(text: &str) -> Dollar<'_> {
    let word_end = text[1..]
        .find(|next: char| !is_word(next))
        .map_or(text.len(), |end| end + 1);
    let word = &text[1..word_end];
    if word.starts_with(|first: char| first.is_ascii_digit()) {
        return Dollar::Number;
    }
    if text[word_end..].starts_with('$') {
        let tag = &text[..=word_end];
        let inner = &text[tag.len()..];
        return Dollar::Quoted(inner.find(tag).map_or(text.len(), |end| end + 2 * tag.len()));
    }
    match word.is_empty() {
        true => Dollar::Other,
        false => Dollar::Name(word),
    }
}
