//! PostgreSQL's text form of values, both ways.
//!
//! **Vocabulary.** *Input* reads the text that a client or COPY sends for a column; *output* writes the text that a
//! client reads. The `parse_` functions are input, the `write_` functions append output to a `String`.
//!
//! **Guarantees.** No function allocates for a value, except for an error and for the name of a zone; COPY calls them for every field. Output
//! is byte for byte what PostgreSQL 15 prints (`DateStyle` ISO, `bytea_output` hex; a zone is told, or UTC), and reads back
//! as the same value. Input that PostgreSQL reads differently is refused, never read as something else. An error
//! names the type and the value: 22P02 malformed, 22003 out of range, 22007 malformed date or time, 22008 date out of range.
//!
//! **Left out.** `infinity` of dates and timestamps, the words `now` or `today`, and what else `spoken` lists (22007); hexadecimal
//! floats; NaN and infinity of `numeric` (22003).

mod array;
mod binary;
mod boolean;
mod calendar;
mod float;
mod interval;
mod number;
mod spoken;
mod string;
mod vector;

use aion_base::{Error, SqlState};

pub use array::{ArrayValue, Dimension, parse_array, write_array_element};
pub use binary::{parse_bytea, parse_uuid, write_bytea, write_uuid};
pub use boolean::{parse_bool, write_bool};
pub(crate) use calendar::{civil_from_days, days_from_civil, days_of_month};
pub use calendar::{
    has_zone, parse_date, parse_time, parse_timestamp, parse_timestamptz, parse_timestamptz_in, write_date, write_time,
    write_timestamp, write_timestamptz, write_timestamptz_in,
};
pub use float::{parse_f32, parse_f64, write_f32, write_f64};
pub(crate) use interval::unit_of;
pub use interval::{parse_interval, write_interval};
pub use number::{parse_decimal, parse_i16, parse_i32, parse_i64, write_decimal, write_integer};
pub use string::{check_json, parse_char, parse_text, parse_varchar, write_padded};
pub use vector::{parse_vector, write_vector};

/// The longest part of a value that an error message repeats.
const QUOTED_BYTES_MAX: usize = 200;

/// The value as an error message repeats it.
pub(crate) fn quoted(text: &str) -> String {
    if text.len() <= QUOTED_BYTES_MAX {
        return format!("\"{text}\"");
    }
    format!("\"{}...\"", &text[..text.floor_char_boundary(QUOTED_BYTES_MAX)])
}

#[cold]
fn invalid_syntax(type_name: &str, text: &str) -> Error {
    Error::invalid(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_name}: {}", quoted(text)),
    )
}

/// Without the white space that C's `isspace` knows.
fn trim(text: &str) -> &str {
    // Most values have none, and a look at two bytes tells: COPY calls this for every number.
    let is_inner = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_graphic);
    if is_inner(text.as_bytes().first()) && is_inner(text.as_bytes().last()) {
        return text;
    }
    text.trim_matches([' ', '\t', '\n', '\u{B}', '\u{C}', '\r'])
}

/// Appends what `format` writes.
pub(crate) fn append(out: &mut String, format: std::fmt::Arguments<'_>) {
    std::fmt::Write::write_fmt(out, format).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_repeats_the_beginning_of_a_long_value() {
        let error = invalid_syntax("integer", &"ß".repeat(1000));
        assert!(error.message().ends_with("ß...\"") && error.message().len() < 250);
    }
}
