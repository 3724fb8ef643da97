//! Reads the name of a type.

use std::str::FromStr;

use aion_base::{Error, Result, SqlState};

use crate::enumeration::EnumType;

use super::{NUMERIC_PRECISION_MAX, SECOND_DIGITS_MAX, SqlType, VARCHAR_LENGTH_MAX, VECTOR_DIMENSIONS_MAX};

impl FromStr for SqlType {
    type Err = Error;

    /// Reads PostgreSQL's names and aliases in any case, with any white space: `int8`,
    /// `TIMESTAMP WITH TIME ZONE`, `numeric( 10, 2 )`.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        if let Some(element) = element(&lower) {
            let element: Self = element.parse()?;
            return element
                .array()
                .ok_or_else(|| Error::unsupported(format!("there are no arrays of {element}")));
        }
        let (name, modifiers) = split(&lower).ok_or_else(|| malformed(text))?;
        let modifiers = modifiers
            .iter()
            .map(|modifier| modifier.parse::<i64>().map_err(|_| malformed(text)))
            .collect::<Result<Vec<_>>>()?;
        let plain = |sql_type| {
            if modifiers.is_empty() {
                Ok(sql_type)
            } else {
                Err(malformed(text))
            }
        };
        match (name.as_str(), modifiers.as_slice()) {
            ("boolean" | "bool", _) => plain(Self::Boolean),
            ("smallint" | "int2", _) => plain(Self::SmallInt),
            ("integer" | "int" | "int4", _) => plain(Self::Integer),
            ("bigint" | "int8", _) => plain(Self::BigInt),
            ("real" | "float4", _) => plain(Self::Real),
            ("double precision" | "float8", _) | ("float", []) => plain(Self::Double),
            ("float", [bits]) => float(*bits),
            ("numeric" | "decimal" | "dec", []) => Ok(Self::NUMERIC),
            ("numeric" | "decimal" | "dec", [precision]) => numeric(*precision, 0),
            ("numeric" | "decimal" | "dec", [precision, scale]) => numeric(*precision, *scale),
            ("text", _) => plain(Self::Text),
            ("character varying" | "char varying" | "varchar", []) => Ok(Self::Varchar(None)),
            ("character varying" | "char varying" | "varchar", [length]) => varchar(*length),
            ("bytea", _) => plain(Self::Bytea),
            ("date", _) => plain(Self::Date),
            ("time" | "time without time zone", digits @ ([] | [_])) => second_digits(text, digits).map(Self::Time),
            ("timestamp" | "timestamp without time zone", digits @ ([] | [_])) => {
                second_digits(text, digits).map(Self::Timestamp)
            }
            ("timestamptz" | "timestamp with time zone", digits @ ([] | [_])) => {
                second_digits(text, digits).map(Self::TimestampTz)
            }
            ("timetz" | "time with time zone", [] | [_]) => Err(Error::unsupported(format!(
                "type {text} is not supported: take time, or timestamp with time zone"
            ))),
            ("interval", [] | [(6..)]) => Ok(Self::Interval),
            (name, _) if name == "interval" || name.starts_with("interval ") => Err(Error::unsupported(format!(
                "type {text}: an interval has all its fields, and the only precision is 6, microseconds"
            ))),
            (word, []) if EnumType::of_word(word).is_some() => {
                Ok(EnumType::of_word(word).map_or(Self::Text, Self::Enum))
            }
            ("uuid", _) => plain(Self::Uuid),
            ("json", _) => plain(Self::Json),
            ("jsonb", _) => plain(Self::Jsonb),
            ("vector", []) => Ok(Self::Vector(None)),
            ("vector", [dimensions]) => vector(*dimensions),
            ("character" | "char", []) => Ok(Self::Char(1)),
            // Without a length PostgreSQL's takes any.
            ("bpchar", []) => Ok(Self::Text),
            ("character" | "char" | "bpchar", [length]) => char(*length),
            _ => Err(Error::not_found(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{text}\" does not exist"),
            )),
        }
    }
}

/// The name of the elements of an array: PostgreSQL declares neither how many there are nor how many dimensions.
fn element(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let (mut element, mut is_array) = (text, false);
    while let Some(rest) = element.strip_suffix(']') {
        let (before, count) = rest.rsplit_once('[')?;
        if !count.trim().bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        (element, is_array) = (before.trim_end(), true);
    }
    if let Some(before) = element.strip_suffix(" array") {
        (element, is_array) = (before.trim_end(), true);
    }
    is_array.then_some(element)
}

/// The name with single spaces, and the modifiers between its parentheses, which may stand in the middle:
/// `timestamp(6) with time zone`.
fn split(text: &str) -> Option<(String, Vec<&str>)> {
    let (before, modifiers, after) = match text.split_once('(') {
        None => (text, Vec::new(), ""),
        Some((before, rest)) => {
            let (inside, after) = rest.split_once(')')?;
            (before, inside.split(',').map(str::trim).collect(), after)
        }
    };
    let words = before.split_ascii_whitespace().chain(after.split_ascii_whitespace());
    Some((words.collect::<Vec<_>>().join(" "), modifiers))
}

fn malformed(text: &str) -> Error {
    Error::invalid(SqlState::SYNTAX_ERROR, format!("invalid type name \"{text}\""))
}

fn out_of_bounds(message: String) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

pub(super) fn numeric(precision: i64, scale: i64) -> Result<SqlType> {
    match u8::try_from(precision) {
        Ok(digits @ 1..=NUMERIC_PRECISION_MAX) => match i8::try_from(scale) {
            Ok(scale) if (0..=precision).contains(&scale.into()) => Ok(SqlType::Numeric {
                precision: Some(digits),
                scale,
            }),
            _ => Err(out_of_bounds(format!(
                "NUMERIC scale {scale} must be between 0 and precision {precision}"
            ))),
        },
        _ => Err(out_of_bounds(format!(
            "NUMERIC precision {precision} must be between 1 and {NUMERIC_PRECISION_MAX}"
        ))),
    }
}

/// The digits of a second that a modifier says. More than six are six, as in PostgreSQL.
fn second_digits(text: &str, modifier: &[i64]) -> Result<u8> {
    match modifier {
        [] | [(6..)] => Ok(SECOND_DIGITS_MAX),
        [digits] => u8::try_from(*digits).map_err(|_| malformed(text)),
        _ => Err(malformed(text)),
    }
}

fn float(bits: i64) -> Result<SqlType> {
    match bits {
        1..=24 => Ok(SqlType::Real),
        25..=53 => Ok(SqlType::Double),
        ..1 => Err(out_of_bounds("precision for type float must be at least 1 bit".into())),
        54.. => Err(out_of_bounds(
            "precision for type float must be less than 54 bits".into(),
        )),
    }
}

fn char(length: i64) -> Result<SqlType> {
    match u32::try_from(length) {
        Ok(length @ 1..=VARCHAR_LENGTH_MAX) => Ok(SqlType::Char(length)),
        _ if length > 0 => Err(out_of_bounds(format!(
            "length for type char cannot exceed {VARCHAR_LENGTH_MAX}"
        ))),
        _ => Err(out_of_bounds("length for type char must be at least 1".into())),
    }
}

fn varchar(length: i64) -> Result<SqlType> {
    match u32::try_from(length) {
        Ok(length @ 1..=VARCHAR_LENGTH_MAX) => Ok(SqlType::Varchar(Some(length))),
        _ if length > 0 => Err(out_of_bounds(format!(
            "length for type varchar cannot exceed {VARCHAR_LENGTH_MAX}"
        ))),
        _ => Err(out_of_bounds("length for type varchar must be at least 1".into())),
    }
}

pub(super) fn vector(dimensions: i64) -> Result<SqlType> {
    match u16::try_from(dimensions) {
        Ok(dimensions @ 1..=VECTOR_DIMENSIONS_MAX) => Ok(SqlType::Vector(Some(dimensions))),
        _ if dimensions > 0 => Err(out_of_bounds(format!(
            "dimensions for type vector cannot exceed {VECTOR_DIMENSIONS_MAX}"
        ))),
        _ => Err(out_of_bounds("dimensions for type vector must be at least 1".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ElementType;
    use super::*;

    #[test]
    fn reads_aliases() {
        let numeric = SqlType::Numeric {
            precision: Some(10),
            scale: 2,
        };
        for (text, expected) in [
            ("INT8", SqlType::BigInt),
            ("Double  Precision", SqlType::Double),
            ("float(24)", SqlType::Real),
            ("float(25)", SqlType::Double),
            (" numeric ( 10 , 2 ) ", numeric),
            ("decimal(10,2)", numeric),
            (
                "numeric(5)",
                SqlType::Numeric {
                    precision: Some(5),
                    scale: 0,
                },
            ),
            ("varchar(7)", SqlType::Varchar(Some(7))),
            ("char", SqlType::Char(1)),
            ("character (84)", SqlType::Char(84)),
            ("timestamptz", SqlType::TIMESTAMPTZ),
            ("timestamp(6) with time zone", SqlType::TIMESTAMPTZ),
            ("timestamp", SqlType::TIMESTAMP),
            ("timestamp(3)", SqlType::Timestamp(3)),
            ("time ( 0 ) without time zone", SqlType::Time(0)),
            ("time(9)", SqlType::TIME),
            ("timestamptz(2)[]", SqlType::Array(ElementType::TimestampTz(2))),
            ("vector(3)", SqlType::Vector(Some(3))),
            ("INT[]", SqlType::Array(ElementType::Integer)),
            ("int8 [ 3 ] [ 4 ]", SqlType::Array(ElementType::BigInt)),
            ("text ARRAY", SqlType::Array(ElementType::Text)),
            (
                "timestamp(6) with time zone[]",
                SqlType::Array(ElementType::TimestampTz(6)),
            ),
            ("varchar(7)[]", SqlType::Array(ElementType::Varchar(Some(7)))),
        ] {
            assert_eq!(text.parse::<SqlType>().expect(text), expected);
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        for (text, state, message) in [
            ("serial8x", "42704", "type \"serial8x\" does not exist"),
            ("numeric(39)", "22023", "NUMERIC precision 39 must be between 1 and 38"),
            (
                "numeric(5,6)",
                "22023",
                "NUMERIC scale 6 must be between 0 and precision 5",
            ),
            (
                "numeric(5,-1)",
                "22023",
                "NUMERIC scale -1 must be between 0 and precision 5",
            ),
            ("varchar(0)", "22023", "length for type varchar must be at least 1"),
            (
                "varchar(99999999999)",
                "22023",
                "length for type varchar cannot exceed 10485760",
            ),
            (
                "vector(16001)",
                "22023",
                "dimensions for type vector cannot exceed 16000",
            ),
            ("vector(0)", "22023", "dimensions for type vector must be at least 1"),
            ("text(3)", "42601", "invalid type name \"text(3)\""),
            ("numeric(a)", "42601", "invalid type name \"numeric(a)\""),
            ("varchar(3", "42601", "invalid type name \"varchar(3\""),
            ("char(0)", "22023", "length for type char must be at least 1"),
            ("timestamp(-1)", "42601", "invalid type name \"timestamp(-1)\""),
            ("time(1,2)", "42704", "type \"time(1,2)\" does not exist"),
            (
                "timetz",
                "0A000",
                "type timetz is not supported: take time, or timestamp with time zone",
            ),
        ] {
            let error = text.parse::<SqlType>().expect_err(text);
            assert_eq!((error.state().as_str(), error.message()), (state, message));
        }
    }
}
