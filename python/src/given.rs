//! Python's values as parameters.
//!
//! What the statement says of a parameter decides its type; a value that is no such thing is refused, not guessed at: a
//! str is no bigint, and a time without a zone is no moment.
//!
//! | parameter | takes |
//! |---|---|
//! | boolean | bool |
//! | smallint, integer, bigint | int, and what has `__index__`; 22003 out of range |
//! | real, double precision | float, int, and what has `__float__` |
//! | numeric | Decimal, int, float by its shortest digits |
//! | text, varchar | str |
//! | bytea | bytes, bytearray, memoryview |
//! | date | date |
//! | time | naive time |
//! | timestamp | naive datetime, date |
//! | timestamp with time zone | aware datetime |
//! | interval | timedelta, or its text |
//! | uuid | UUID, or its text |
//! | json | dict, list and what else `json.dumps` takes; a str is JSON already |
//! | arrays | a list or tuple of what the element takes, and None; or its text |
//! | vector | a sequence of numbers, also array('f') and numpy's; or its text |

use aion_base::{Error, SqlState};
use aion_catalog::interval::Interval;
use aion_catalog::{SqlType, Value};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple};

use crate::kinds::kinds;

/// Days from 0001-01-01, which is day 1, to 1970-01-01.
const EPOCH_ORDINAL: i32 = 719_163;
const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Characters of a value that a message repeats, at most.
const SHOWN_MAX: usize = 80;

/// Why there is no value.
pub enum Problem {
    /// The value is not what the type takes.
    Value(Error),
    /// Python failed on the way.
    Python(PyErr),
}

impl From<PyErr> for Problem {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Value(error)
    }
}

type Given = Result<Value, Problem>;

/// The value as one of `sql_type`.
///
/// # Errors
/// 42804 for another kind of value, 22003 for one out of range, 22000 and 22P02 for a wrong text or vector.
pub fn value(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    if given.is_none() {
        return Ok(Value::Null);
    }
    match sql_type {
        SqlType::Boolean => match given.extract() {
            Ok(value) => Ok(Value::Bool(value)),
            Err(_) => Err(mismatch(given, sql_type, None)),
        },
        SqlType::SmallInt => integer(given, sql_type).map(Value::I16),
        SqlType::Integer => integer(given, sql_type).map(Value::I32),
        SqlType::BigInt => integer(given, sql_type).map(Value::I64),
        SqlType::Double => float(given, sql_type).map(Value::F64),
        SqlType::Real => Ok(Value::F32(narrow(float(given, sql_type)?, given, sql_type)?)),
        SqlType::Numeric { .. } => numeric(given, sql_type),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Enum(_) => match given.cast::<PyString>() {
            Ok(text) => Ok(Value::text_in(sql_type, &text.to_cow()?)?),
            Err(_) => Err(mismatch(
                given,
                sql_type,
                Some("Name the parameter's type, as in $1::bigint."),
            )),
        },
        SqlType::Bytea => bytes(given, sql_type),
        SqlType::Date => date(given, sql_type),
        SqlType::Time(_) => time(given, sql_type),
        SqlType::Timestamp(_) | SqlType::TimestampTz(_) => timestamp(given, sql_type),
        SqlType::Interval => interval(given, sql_type),
        SqlType::Uuid => uuid(given, sql_type),
        SqlType::Json | SqlType::Jsonb => json(given, sql_type),
        SqlType::Vector(_) => vector(given, sql_type),
        SqlType::Array(element) => array(given, sql_type, element.sql_type()),
    }
}

fn kind_of(given: &Bound<'_, PyAny>) -> String {
    given
        .get_type()
        .name()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

fn mismatch(given: &Bound<'_, PyAny>, sql_type: &SqlType, hint: Option<&str>) -> Problem {
    let message = format!("the statement takes {sql_type} here, not a Python {}", kind_of(given));
    let error = Error::invalid(SqlState::DATATYPE_MISMATCH, message);
    Problem::Value(match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

fn out_of_range(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Problem {
    let shown = given.repr().map_or_else(|_| kind_of(given), |shown| shown.to_string());
    let shown: String = shown.chars().take(SHOWN_MAX).collect();
    let message = format!("{shown} is out of range for type {sql_type}");
    Problem::Value(Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message))
}

fn integer<'py, T: for<'a> FromPyObject<'a, 'py, Error = PyErr>>(
    given: &Bound<'py, PyAny>,
    sql_type: &SqlType,
) -> Result<T, Problem> {
    if given.is_instance_of::<PyBool>() {
        return Err(mismatch(given, sql_type, None));
    }
    given.extract::<T>().map_err(|error| {
        if error.is_instance_of::<PyOverflowError>(given.py()) {
            out_of_range(given, sql_type)
        } else {
            mismatch(given, sql_type, None)
        }
    })
}

fn float(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Result<f64, Problem> {
    if given.is_instance_of::<PyBool>() {
        return Err(mismatch(given, sql_type, None));
    }
    given.extract::<f64>().map_err(|error| {
        if error.is_instance_of::<PyOverflowError>(given.py()) {
            out_of_range(given, sql_type)
        } else {
            mismatch(given, sql_type, None)
        }
    })
}

/// A double as a single, if it is in range.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is what is wanted; overflow is looked for"
)]
fn narrow(value: f64, given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Result<f32, Problem> {
    let single = value as f32;
    match single.is_infinite() && value.is_finite() {
        true => Err(out_of_range(given, sql_type)),
        false => Ok(single),
    }
}

fn numeric(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    let py = given.py();
    let is_decimal = given.is_instance(kinds(py)?.decimal.bind(py))?;
    let is_number = given.is_instance_of::<PyFloat>() || given.is_instance_of::<PyInt>();
    if given.is_instance_of::<PyBool>() || !(is_decimal || is_number) {
        return match given.hasattr("__index__")? && !given.is_instance_of::<PyBool>() {
            true => Ok(Value::text_in(sql_type, &given.str()?.to_cow()?)?),
            false => Err(mismatch(given, sql_type, None)),
        };
    }
    Ok(Value::text_in(sql_type, &given.str()?.to_cow()?)?)
}

fn bytes(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(Value::Bytes(bytes.as_bytes().to_vec()));
    }
    if let Ok(bytes) = given.cast::<PyByteArray>() {
        return Ok(Value::Bytes(bytes.to_vec()));
    }
    if given.is_instance_of::<PyMemoryView>() {
        let copy = given.call_method0("tobytes")?;
        if let Ok(bytes) = copy.cast::<PyBytes>() {
            return Ok(Value::Bytes(bytes.as_bytes().to_vec()));
        }
    }
    Err(mismatch(given, sql_type, None))
}

fn date(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    let py = given.py();
    let kinds = kinds(py)?;
    if given.is_instance(kinds.datetime.bind(py))? {
        return Err(mismatch(given, sql_type, Some("Give its .date().")));
    }
    if !given.is_instance(kinds.date.bind(py))? {
        return Err(mismatch(given, sql_type, None));
    }
    Ok(Value::Date(days(given)?))
}

/// Days since 1970-01-01.
fn days(date: &Bound<'_, PyAny>) -> PyResult<i32> {
    Ok(date.call_method0("toordinal")?.extract::<i32>()? - EPOCH_ORDINAL)
}

fn time(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    let py = given.py();
    if !given.is_instance(kinds(py)?.time.bind(py))? {
        return Err(mismatch(given, sql_type, None));
    }
    if !given.getattr("tzinfo")?.is_none() {
        let hint = "The time has a zone: take that away with .replace(tzinfo=None).";
        return Err(mismatch(given, sql_type, Some(hint)));
    }
    let part = |name: &str| given.getattr(name)?.extract::<i64>();
    let seconds = (part("hour")? * 60 + part("minute")?) * 60 + part("second")?;
    Ok(Value::Time(seconds * MICROS_PER_SECOND + part("microsecond")?))
}

fn timestamp(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    let py = given.py();
    let kinds = kinds(py)?;
    let has_zone = matches!(sql_type, SqlType::TimestampTz(_));
    if !given.is_instance(kinds.datetime.bind(py))? {
        if !has_zone && given.is_instance(kinds.date.bind(py))? {
            return Ok(Value::Timestamp(
                i64::from(days(given)?) * SECONDS_PER_DAY * MICROS_PER_SECOND,
            ));
        }
        return Err(mismatch(given, sql_type, None));
    }
    let is_aware = !given.call_method0("utcoffset")?.is_none();
    let (epoch, hint) = match has_zone {
        true => (
            &kinds.epoch_utc,
            "The datetime is naive: say which zone it is in, with tzinfo.",
        ),
        false => (
            &kinds.epoch,
            "The datetime has a zone: take that away with .replace(tzinfo=None), or use a timestamp with time zone.",
        ),
    };
    if is_aware != has_zone {
        return Err(mismatch(given, sql_type, Some(hint)));
    }
    let since = given.sub(epoch.bind(py))?;
    let days: i64 = since.getattr("days")?.extract()?;
    let seconds: i64 = since.getattr("seconds")?.extract()?;
    let micros: i64 = since.getattr("microseconds")?.extract()?;
    Ok(Value::Timestamp(
        (days * SECONDS_PER_DAY + seconds) * MICROS_PER_SECOND + micros,
    ))
}

fn interval(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    let py = given.py();
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Value::text_in(sql_type, &text.to_cow()?)?);
    }
    if !given.is_instance(kinds(py)?.timedelta.bind(py))? {
        return Err(mismatch(given, sql_type, None));
    }
    let seconds: i64 = given.getattr("seconds")?.extract()?;
    let micros: i64 = given.getattr("microseconds")?.extract()?;
    Ok(Value::Interval(Interval {
        months: 0,
        days: given.getattr("days")?.extract()?,
        micros: seconds * MICROS_PER_SECOND + micros,
    }))
}

fn uuid(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    let py = given.py();
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Value::text_in(sql_type, &text.to_cow()?)?);
    }
    if !given.is_instance(kinds(py)?.uuid.bind(py))? {
        return Err(mismatch(given, sql_type, None));
    }
    Ok(Value::Uuid(given.getattr("bytes")?.extract()?))
}

fn json(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Value::text_in(sql_type, &text.to_cow()?)?);
    }
    // TypeError and ValueError of dumps say best what is wrong; NaN, which JSON has not, is refused by the engine.
    let written = kinds(given.py())?.json_dumps.bind(given.py()).call1((given,))?;
    let text: String = written.extract()?;
    Ok(Value::text_in(sql_type, &text)?)
}

fn array(given: &Bound<'_, PyAny>, sql_type: &SqlType, element: SqlType) -> Given {
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Value::text_in(sql_type, &text.to_cow()?)?);
    }
    if !given.is_instance_of::<PyList>() && !given.is_instance_of::<PyTuple>() {
        return Err(mismatch(given, sql_type, None));
    }
    let mut elements = Vec::with_capacity(given.len()?);
    for item in given.try_iter()? {
        elements.push(value(&item?, &element)?);
    }
    Ok(Value::Array(elements))
}

fn vector(given: &Bound<'_, PyAny>, sql_type: &SqlType) -> Given {
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Value::text_in(sql_type, &text.to_cow()?)?);
    }
    let is_bytes = given.is_instance_of::<PyBytes>() || given.is_instance_of::<PyByteArray>();
    // A set or a dict has no order.
    if is_bytes || !given.hasattr("__getitem__")? || given.hasattr("keys")? || !given.hasattr("__len__")? {
        return Err(mismatch(given, sql_type, None));
    }
    // The limits are those of the text: at least one dimension, at most 16,000, finite.
    let length = given.len()?;
    let expected = match sql_type {
        SqlType::Vector(Some(dimensions)) => Some(usize::from(*dimensions)),
        _ => None,
    };
    let wrong = |message: String| Problem::Value(Error::invalid(SqlState::DATA_EXCEPTION, message));
    match expected {
        Some(expected) if expected != length => {
            return Err(wrong(format!("expected {expected} dimensions, not {length}")));
        }
        _ if length == 0 => return Err(wrong("vector must have at least 1 dimension".to_owned())),
        _ if length > usize::from(aion_catalog::types::VECTOR_DIMENSIONS_MAX) => {
            return Err(wrong(format!(
                "vector cannot have more than {} dimensions",
                aion_catalog::types::VECTOR_DIMENSIONS_MAX
            )));
        }
        _ => {}
    }
    let mut elements = Vec::with_capacity(length);
    for element in given.try_iter()? {
        let element = element?;
        let value = float(&element, sql_type)?;
        if !value.is_finite() {
            return Err(wrong(format!("{value} not allowed in vector")));
        }
        elements.push(narrow(value, &element, sql_type)?);
    }
    Ok(Value::Vector(elements))
}
