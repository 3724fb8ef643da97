//! What the functions give for one row.

use std::cmp::Ordering;

use aion_base::{Error, Result, SqlState};
use aion_catalog::array::ELEMENTS_MAX;
use aion_catalog::{SqlType, Value, Zone};

use super::call::{Comparison, Kind};

/// The arguments of a call for one row.
pub struct Args {
    pub values: Vec<Value>,
    pub types: Vec<SqlType>,
    /// The index of the first element.
    pub first: i32,
    /// The session's.
    pub zone: Zone,
}

/// The value of a call.
///
/// # Errors
/// 54000 for an array of too many elements, 22004 and 2202E for arguments that are no bounds.
pub fn value(kind: Kind, args: Args) -> Result<Value> {
    let Args {
        values,
        types,
        first,
        zone,
    } = args;
    let mut values = values.into_iter();
    let mut next = || values.next().unwrap_or(Value::Null);
    Ok(match kind {
        Kind::Append | Kind::Prepend | Kind::Cat => {
            let (one, other) = (next(), next());
            return joined(kind, one, other);
        }
        Kind::Remove => match (next(), next()) {
            (Value::Array(mut elements), what) => {
                elements.retain(|element| !is_same(element, &what));
                Value::Array(elements)
            }
            _ => Value::Null,
        },
        Kind::Replace => match (next(), next(), next()) {
            (Value::Array(mut elements), what, with) => {
                for element in &mut elements {
                    if is_same(element, &what) {
                        *element = with.clone();
                    }
                }
                Value::Array(elements)
            }
            _ => Value::Null,
        },
        Kind::Position => {
            let (array, what, start) = (next(), next(), next());
            let Value::Array(elements) = array else {
                return Ok(Value::Null);
            };
            let start = match (types.len(), start) {
                (..3, _) => 1,
                (_, Value::I32(start)) => start,
                _ => {
                    return Err(Error::invalid(
                        SqlState::NULL_VALUE_NOT_ALLOWED,
                        "initial position must not be null",
                    ));
                }
            };
            let skipped = usize::try_from(start.saturating_sub(1)).unwrap_or(0);
            let found = elements
                .iter()
                .skip(skipped)
                .position(|element| is_same(element, &what));
            found.map_or(Value::Null, |at| count(skipped + at + 1))
        }
        Kind::Positions => match (next(), next()) {
            (Value::Array(elements), what) => {
                let found = elements.iter().enumerate();
                let found = found.filter(|(_, element)| is_same(element, &what));
                Value::Array(found.map(|(at, _)| count(at + 1)).collect())
            }
            _ => Value::Null,
        },
        Kind::Length | Kind::Upper | Kind::Lower => match (next(), next()) {
            (Value::Array(elements), Value::I32(1)) if !elements.is_empty() => match kind {
                Kind::Length => count(elements.len()),
                Kind::Upper => Value::I32(i32::try_from(elements.len()).unwrap_or(i32::MAX) + first - 1),
                _ => Value::I32(first),
            },
            _ => Value::Null,
        },
        Kind::Ndims => match next() {
            Value::Array(elements) if !elements.is_empty() => Value::I32(1),
            _ => Value::Null,
        },
        Kind::Dims => match next() {
            Value::Array(elements) if !elements.is_empty() => Value::Text(format!("[1:{}]", elements.len())),
            _ => Value::Null,
        },
        Kind::Cardinality => match next() {
            Value::Array(elements) => count(elements.len()),
            _ => Value::Null,
        },
        Kind::ToString => {
            let element = types[0].element().unwrap_or(SqlType::Text);
            let (array, separator, null) = (next(), next(), next());
            let (Value::Array(elements), Value::Text(separator)) = (array, separator) else {
                return Ok(Value::Null);
            };
            let null = match null {
                Value::Text(null) => Some(null),
                _ => None,
            };
            Value::Text(to_string(&elements, element, &separator, null.as_deref(), zone))
        }
        Kind::OfString => {
            let (text, separator, null) = (next(), next(), next());
            let Value::Text(text) = text else {
                return Ok(Value::Null);
            };
            let read = |part: &str| match &null {
                Value::Text(null) if null == part => Value::Null,
                _ => Value::Text(part.to_owned()),
            };
            Value::Array(match separator {
                _ if text.is_empty() => Vec::new(),
                Value::Text(separator) if separator.is_empty() => vec![read(&text)],
                Value::Text(separator) => text.split(separator.as_str()).map(read).collect(),
                _ => text.chars().map(|c| read(c.encode_utf8(&mut [0; 4]))).collect(),
            })
        }
        Kind::Fill => return fill(next(), next(), next()),
        Kind::Trim => match (next(), next()) {
            (Value::Array(mut elements), Value::I32(cut)) => {
                let kept = usize::try_from(cut)
                    .ok()
                    .and_then(|cut| elements.len().checked_sub(cut));
                let Some(kept) = kept else {
                    let message = format!("number of elements to trim must be between 0 and {}", elements.len());
                    return Err(Error::invalid(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
                };
                elements.truncate(kept);
                Value::Array(elements)
            }
            _ => Value::Null,
        },
        Kind::Contains | Kind::Contained | Kind::Overlap => match (next(), next()) {
            (Value::Array(one), Value::Array(other)) => {
                let has = |elements: &[Value], wanted: &Value| {
                    elements
                        .iter()
                        .any(|element| element.compare(wanted) == Some(Ordering::Equal))
                };
                Value::Bool(match kind {
                    Kind::Contains => other.iter().all(|wanted| has(&one, wanted)),
                    Kind::Contained => one.iter().all(|wanted| has(&other, wanted)),
                    _ => other.iter().any(|wanted| has(&one, wanted)),
                })
            }
            _ => Value::Null,
        },
        Kind::Get => match (next(), next()) {
            (Value::Array(mut elements), Value::I32(at)) => {
                let at = i64::from(at) - i64::from(first);
                match usize::try_from(at).ok().filter(|&at| at < elements.len()) {
                    Some(at) => elements.swap_remove(at),
                    None => Value::Null,
                }
            }
            _ => Value::Null,
        },
        Kind::Slice => match (next(), next(), next()) {
            (Value::Array(elements), Value::I32(lower), Value::I32(upper)) => {
                let lower = usize::try_from(i64::from(lower) - i64::from(first)).unwrap_or(0);
                let upper = usize::try_from(i64::from(upper) - i64::from(first) + 1).unwrap_or(0);
                let upper = upper.min(elements.len());
                Value::Array(elements.get(lower..upper).unwrap_or_default().to_vec())
            }
            _ => Value::Null,
        },
        Kind::Any(comparison) => match (next(), next()) {
            (one, Value::Array(elements)) => some(&one, comparison, &elements, true),
            _ => Value::Null,
        },
        Kind::All(comparison) => match (next(), next()) {
            (one, Value::Array(elements)) => some(&one, comparison, &elements, false),
            _ => Value::Null,
        },
    })
}

fn joined(kind: Kind, one: Value, other: Value) -> Result<Value> {
    let elements = |value: Value| match value {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    };
    let (mut first, second) = match (kind, one, other) {
        (Kind::Append, array, element) => (elements(array), vec![element]),
        (Kind::Prepend, element, array) => (vec![element], elements(array)),
        (_, Value::Null, Value::Null) => return Ok(Value::Null),
        (_, one, other) => (elements(one), elements(other)),
    };
    check_length(first.len() + second.len())?;
    first.extend(second);
    Ok(Value::Array(first))
}

fn fill(value: Value, lengths: Value, bounds: Value) -> Result<Value> {
    let wrong = |state, message: &str| Err(Error::invalid(state, message));
    let Value::Array(lengths) = lengths else {
        return wrong(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "dimension array or low bound array cannot be null",
        );
    };
    match bounds {
        Value::Null => {}
        Value::Array(bounds) if bounds == [Value::I32(1)] => {}
        _ => {
            return Err(Error::unsupported(
                "arrays whose first index is not 1 are not supported",
            ));
        }
    }
    match lengths[..] {
        [] | [Value::I32(0)] => Ok(Value::Array(Vec::new())),
        [Value::I32(length @ 1..)] => {
            let length = length as usize;
            check_length(length)?;
            Ok(Value::Array(vec![value; length]))
        }
        [Value::I32(_)] => wrong(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "array size exceeds the maximum allowed (134217727)",
        ),
        [Value::Null] => wrong(SqlState::NULL_VALUE_NOT_ALLOWED, "dimension values cannot be null"),
        _ => Err(Error::unsupported("arrays of several dimensions are not supported")),
    }
}

fn check_length(length: usize) -> Result<()> {
    if length <= ELEMENTS_MAX {
        return Ok(());
    }
    Err(Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})"),
    ))
}

fn count(count: usize) -> Value {
    Value::I32(i32::try_from(count).unwrap_or(i32::MAX))
}

/// Whether two elements are equal, NULL to itself.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Null, Value::Null) => true,
        _ => one.compare(other) == Some(Ordering::Equal),
    }
}

fn some(one: &Value, comparison: Comparison, elements: &[Value], wanted: bool) -> Value {
    use Comparison as C;
    let mut is_unknown = false;
    for element in elements {
        let Some(order) = one.compare(element) else {
            is_unknown = true;
            continue;
        };
        let holds = match comparison {
            C::Eq => order.is_eq(),
            C::NotEq => order.is_ne(),
            C::Lt => order.is_lt(),
            C::LtEq => order.is_le(),
            C::Gt => order.is_gt(),
            C::GtEq => order.is_ge(),
        };
        if holds == wanted {
            return Value::Bool(wanted);
        }
    }
    match is_unknown {
        true => Value::Null,
        false => Value::Bool(!wanted),
    }
}

fn to_string(elements: &[Value], element: SqlType, separator: &str, null: Option<&str>, zone: Zone) -> String {
    let mut out = String::new();
    let mut is_first = true;
    for value in elements {
        if value.is_null() && null.is_none() {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push_str(separator);
        }
        match (value, element) {
            (Value::Null, _) => out.push_str(null.unwrap_or_default()),
            (Value::Timestamp(moment), SqlType::TimestampTz(_)) => {
                aion_catalog::text::write_timestamptz_in(*moment, zone, &mut out);
            }
            _ => value.text_out(&element, &mut out),
        }
    }
    out
}
