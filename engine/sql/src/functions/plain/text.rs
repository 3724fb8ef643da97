//! Functions of texts and bytes.

use aion_base::{Error, Result, SqlState};
use aion_catalog::pattern::{self, Pattern};
use aion_catalog::types::ElementType;
use aion_catalog::{SqlType, Value};

use super::{Definition, Kind, Row};
use crate::system::{quoted, quoted_literal};

/// Of a field's width in `format`.
const WIDTH_MAX: usize = 1 << 20;

pub(super) fn definitions() -> Vec<Definition> {
    use Definition as F;
    use Kind::{Any, Bytea, Int, Text};
    const TEXTS: SqlType = SqlType::Array(ElementType::Text);
    vec![
        F::new("concat", &[Any], SqlType::Text, concat)
            .variadic()
            .taking_nulls()
            .stable(),
        F::new("concat_ws", &[Text, Any], SqlType::Text, concat_ws)
            .variadic()
            .taking_nulls()
            .stable(),
        F::new("format", &[Text, Any], SqlType::Text, format)
            .variadic()
            .requiring(1)
            .taking_nulls()
            .stable(),
        F::new("length", &[Bytea], SqlType::Integer, bytes),
        F::new("length", &[Text], SqlType::Integer, characters),
        F::new("regexp_split_to_array", &[Text, Text, Text], TEXTS, split).requiring(2),
        F::new(
            "regexp_substr",
            &[Text, Text, Int, Int, Text, Int],
            SqlType::Text,
            substr,
        )
        .requiring(2),
        F::new("regexp_substring", &[Text, Text], SqlType::Text, substring),
        F::new("similar_to_escape", &[Text, Text], SqlType::Text, similar).requiring(1),
        F::new("like_any", &[Text, Any], SqlType::Boolean, like_any),
        F::new("ilike_any", &[Text, Any], SqlType::Boolean, ilike_any),
        F::new("get_byte", &[Bytea, Int], SqlType::Integer, get_byte),
        F::new("set_byte", &[Bytea, Int, Int], SqlType::Bytea, set_byte),
        F::new("bit_count", &[Bytea], SqlType::BigInt, bit_count),
        F::new("convert_from", &[Bytea, Text], SqlType::Text, convert_from),
        F::new("convert_to", &[Text, Text], SqlType::Bytea, convert_to),
        F::new("pg_column_size", &[Any], SqlType::Integer, column_size),
        F::new("num_nulls", &[Any], SqlType::Integer, nulls)
            .variadic()
            .taking_nulls(),
        F::new("num_nonnulls", &[Any], SqlType::Integer, non_nulls)
            .variadic()
            .taking_nulls(),
    ]
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn count(count: usize) -> Value {
    i32::try_from(count).map_or(Value::Null, Value::I32)
}

fn concat(row: &Row<'_>) -> Result<Value> {
    let texts = (0..row.values.len()).filter_map(|at| row.written(at));
    Ok(text(texts.collect::<String>()))
}

fn concat_ws(row: &Row<'_>) -> Result<Value> {
    let Some(separator) = row.written(0) else {
        return Ok(Value::Null);
    };
    let texts: Vec<String> = (1..row.values.len()).filter_map(|at| row.written(at)).collect();
    Ok(text(texts.join(&separator)))
}

fn bytes_of<'a>(row: &'a Row<'_>) -> &'a [u8] {
    match row.values.first() {
        Some(Value::Bytes(bytes)) => bytes,
        _ => &[],
    }
}

fn bytes(row: &Row<'_>) -> Result<Value> {
    Ok(count(bytes_of(row).len()))
}

fn characters(row: &Row<'_>) -> Result<Value> {
    Ok(count(row.text(0).chars().count()))
}

fn column_size(row: &Row<'_>) -> Result<Value> {
    Ok(count(row.values.first().map_or(0, Value::width)))
}

fn nulls(row: &Row<'_>) -> Result<Value> {
    Ok(count(row.values.iter().filter(|value| value.is_null()).count()))
}

fn non_nulls(row: &Row<'_>) -> Result<Value> {
    Ok(count(row.values.iter().filter(|value| !value.is_null()).count()))
}

fn index(row: &Row<'_>) -> Result<usize> {
    let (at, length) = (row.int(1), bytes_of(row).len());
    usize::try_from(at).ok().filter(|at| *at < length).ok_or_else(|| {
        Error::invalid(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            format!("index {at} out of valid range, 0..{}", length as i64 - 1),
        )
    })
}

fn get_byte(row: &Row<'_>) -> Result<Value> {
    Ok(Value::I32(bytes_of(row)[index(row)?].into()))
}

fn set_byte(row: &Row<'_>) -> Result<Value> {
    let mut bytes = bytes_of(row).to_vec();
    bytes[index(row)?] = row.int(2) as u8;
    Ok(Value::Bytes(bytes))
}

fn bit_count(row: &Row<'_>) -> Result<Value> {
    Ok(Value::I64(
        bytes_of(row).iter().map(|byte| i64::from(byte.count_ones())).sum(),
    ))
}

/// # Errors
/// 22023 for another encoding than UTF8, which there is none of.
fn check_encoding(name: &str) -> Result<()> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.eq_ignore_ascii_case("utf8") || plain.eq_ignore_ascii_case("unicode") {
        true => Ok(()),
        false => Err(Error::unsupported(format!(
            "texts are in UTF8, and not converted to \"{name}\""
        ))),
    }
}

fn convert_from(row: &Row<'_>) -> Result<Value> {
    check_encoding(row.text(1))?;
    crate::binary::utf8(bytes_of(row)).map(text)
}

fn convert_to(row: &Row<'_>) -> Result<Value> {
    check_encoding(row.text(1))?;
    Ok(Value::Bytes(row.text(0).as_bytes().to_vec()))
}

fn split(row: &Row<'_>) -> Result<Value> {
    let pattern = Pattern::new(row.text(1), row.text(2))?;
    Ok(Value::Array(pattern.split(row.text(0)).into_iter().map(text).collect()))
}

fn substring(row: &Row<'_>) -> Result<Value> {
    let pattern = Pattern::new(row.text(1), "")?;
    Ok(pattern.first(row.text(0)).map_or(Value::Null, text))
}

fn substr(row: &Row<'_>) -> Result<Value> {
    let or = |at: usize, otherwise: i64| if row.values.len() > at { row.int(at) } else { otherwise };
    let (start, nth, group) = (or(2, 1), or(3, 1), or(5, 0));
    for (name, value, least) in [("start", start, 1), ("n", nth, 1), ("subexpr", group, 0)] {
        if value < least {
            let message = format!("invalid value for parameter \"{name}\": {value}");
            return Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    }
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let pattern = Pattern::new(row.text(1), row.text(4))?;
    let found = pattern.nth(row.text(0), place(start - 1), place(nth - 1), place(group));
    Ok(found.map_or(Value::Null, text))
}

fn similar(row: &Row<'_>) -> Result<Value> {
    let escape = if row.values.len() > 1 { row.text(1) } else { "\\" };
    pattern::of_similar(row.text(0), escape).map(text)
}

fn like_any(row: &Row<'_>) -> Result<Value> {
    of_any(row, |text| text.to_owned())
}

fn ilike_any(row: &Row<'_>) -> Result<Value> {
    of_any(row, str::to_lowercase)
}

/// Whether a text is like any pattern of an array; unknown where it is like none, and one is NULL.
fn of_any(row: &Row<'_>, folded: fn(&str) -> String) -> Result<Value> {
    let literal;
    let patterns = match row.values.get(1) {
        Some(Value::Array(patterns)) => patterns,
        Some(Value::Text(text)) => match Value::text_in(&SqlType::Array(ElementType::Text), text)? {
            Value::Array(patterns) => {
                literal = patterns;
                &literal
            }
            _ => return Err(Error::internal("an array is read as one")),
        },
        _ => {
            let message = "op ANY/ALL (array) requires array on right side";
            return Err(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message));
        }
    };
    let given = folded(row.text(0));
    let mut has_null = false;
    for pattern in patterns {
        match pattern {
            Value::Text(pattern) if pattern::is_like(&given, &folded(pattern))? => return Ok(Value::Bool(true)),
            Value::Null => has_null = true,
            _ => {}
        }
    }
    Ok(if has_null { Value::Null } else { Value::Bool(false) })
}

fn wrong_format(message: impl Into<String>) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The digits that follow, as a number.
fn digits(rest: &mut &str) -> Result<Option<usize>> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, behind) = rest.split_at(end);
    *rest = behind;
    match number {
        "" => Ok(None),
        number => match number.parse::<usize>() {
            Ok(number) if number <= WIDTH_MAX => Ok(Some(number)),
            _ => Err(Error::invalid(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "number is out of range",
            )),
        },
    }
}

/// `%[position$][-][width]type`.
fn format(row: &Row<'_>) -> Result<Value> {
    let Some(template) = row.written(0) else {
        return Ok(Value::Null);
    };
    let argument = |at: usize| match at {
        0 => Err(wrong_format(
            "format specifies argument 0, but arguments are numbered from 1",
        )),
        at if at < row.values.len() => Ok(at),
        _ => Err(wrong_format("too few arguments for format()")),
    };
    let (mut out, mut rest, mut next) = (String::new(), template.as_str(), 1);
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        rest = behind;
        if let Some(behind) = rest.strip_prefix('%') {
            out.push('%');
            rest = behind;
            continue;
        }
        let mut position = None;
        let mark = rest;
        if let Some(number) = digits(&mut rest)? {
            match rest.strip_prefix('$') {
                Some(behind) => (position, rest) = (Some(number), behind),
                None => rest = mark,
            }
        }
        let mut is_left = false;
        while let Some(behind) = rest.strip_prefix('-') {
            (is_left, rest) = (true, behind);
        }
        let mut width = digits(&mut rest)?.unwrap_or(0);
        if let Some(behind) = rest.strip_prefix('*') {
            rest = behind;
            let mut of = None;
            if let Some(number) = digits(&mut rest)? {
                match rest.strip_prefix('$') {
                    Some(behind) => (of, rest) = (Some(number), behind),
                    None => return Err(wrong_format("width argument position must be ended by \"$\"")),
                }
            }
            let at = argument(of.unwrap_or(next))?;
            next = at + 1;
            let given = row.written(at).unwrap_or_default();
            let given: i64 = given.parse().unwrap_or(0);
            is_left |= given < 0;
            width = usize::try_from(given.unsigned_abs()).unwrap_or(usize::MAX);
            if width > WIDTH_MAX {
                return Err(Error::invalid(
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    "number is out of range",
                ));
            }
        }
        let Some(kind) = rest.chars().next() else {
            return Err(
                wrong_format("unterminated format() type specifier").with_hint("For a single \"%\" use \"%%\".")
            );
        };
        rest = &rest[kind.len_utf8()..];
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(wrong_format(format!("unrecognized format() type specifier \"{kind}\""))
                .with_hint("For a single \"%\" use \"%%\"."));
        }
        let at = argument(position.unwrap_or(next))?;
        next = at + 1;
        let value = row.written(at);
        let written = match (kind, value) {
            ('s', value) => value.unwrap_or_default(),
            ('I', Some(name)) => quoted(&name),
            ('I', None) => {
                return Err(Error::invalid(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            (_, Some(value)) => quoted_literal(&value),
            (_, None) => "NULL".to_owned(),
        };
        let padding = " ".repeat(width.saturating_sub(written.chars().count()));
        if !is_left {
            out.push_str(&padding);
        }
        out.push_str(&written);
        if is_left {
            out.push_str(&padding);
        }
    }
    out.push_str(rest);
    Ok(text(out))
}
