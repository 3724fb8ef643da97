//! Arrow's values as Python's, and what a command tag counts.
//!
//! | column | gives |
//! |---|---|
//! | boolean | bool |
//! | smallint, integer, bigint | int |
//! | real, double precision | float |
//! | numeric | Decimal, with the digits of its scale |
//! | text, varchar | str |
//! | bytea | bytes |
//! | date | date |
//! | timestamp | naive datetime |
//! | timestamp with time zone | datetime in UTC |
//! | uuid | UUID |
//! | json | what `json.loads` makes of it |
//! | vector | list of float |
//! | arrays | list of what the elements are, and None |
//!
//! Python's dates end with the year 9999: a later one is DataError, and can be read as text or through Arrow.

use aion_base::{Error, SqlState};
use aion_catalog::SqlType;
use aion_db::Cells;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::errors;
use crate::kinds::{Kinds, kinds};

/// Rows that a tag such as `INSERT 0 3` counts.
pub fn affected(tag: &str) -> Option<u64> {
    let mut words = tag.split(' ');
    let counts = matches!(words.next(), Some("INSERT" | "UPDATE" | "DELETE" | "SELECT" | "COPY"));
    words.next_back().filter(|_| counts)?.parse().ok()
}

/// The value of a cell.
///
/// # Errors
/// DataError for a date that Python cannot hold.
pub fn value<'py>(py: Python<'py>, cells: &Cells<'_>, row: usize, sql_type: SqlType) -> PyResult<Bound<'py, PyAny>> {
    if cells.is_null(row) {
        return Ok(py.None().into_bound(py));
    }
    match cells {
        Cells::Null => Ok(py.None().into_bound(py)),
        Cells::Boolean(array) => array.value(row).into_bound_py_any(py),
        Cells::SmallInt(array) => array.value(row).into_bound_py_any(py),
        Cells::Integer(array) => array.value(row).into_bound_py_any(py),
        Cells::BigInt(array) => array.value(row).into_bound_py_any(py),
        Cells::Real(array) => array.value(row).into_bound_py_any(py),
        Cells::Double(array) => array.value(row).into_bound_py_any(py),
        Cells::Numeric(..) => {
            let mut text = String::new();
            cells.write_text(row, &mut text);
            kinds(py)?.decimal.bind(py).call1((text,))
        }
        Cells::Padded(..) | Cells::Enum(..) => {
            let mut text = String::new();
            cells.write_text(row, &mut text);
            text.into_bound_py_any(py)
        }
        Cells::Text(_) | Cells::JsonbText(_) | Cells::LargeText(_) | Cells::TextView(_) => {
            let text = cells.as_str(row).unwrap_or_default();
            match sql_type {
                SqlType::Json | SqlType::Jsonb => kinds(py)?.json_loads.bind(py).call1((text,)),
                _ => text.into_bound_py_any(py),
            }
        }
        Cells::Bytea(array) => Ok(PyBytes::new(py, array.value(row)).into_any()),
        Cells::Jsonb(_) => {
            let mut text = String::new();
            cells.write_text(row, &mut text);
            kinds(py)?.json_loads.bind(py).call1((text,))
        }
        Cells::ByteaView(array) => Ok(PyBytes::new(py, array.value(row)).into_any()),
        Cells::FixedBytea(array) => Ok(PyBytes::new(py, array.value(row)).into_any()),
        Cells::Uuid(array) => {
            let bytes = PyDict::new(py);
            bytes.set_item("bytes", PyBytes::new(py, array.value(row)))?;
            kinds(py)?.uuid.bind(py).call((), Some(&bytes))
        }
        Cells::Date(array) => {
            let ordinal = i64::from(array.value(row)) + 719_163;
            let made = kinds(py)?.date.bind(py).call_method1("fromordinal", (ordinal,));
            made.map_err(|error| too_late(py, error, cells, row))
        }
        Cells::Time(array) => {
            // Python has no 24:00:00, which is too late for it.
            let seconds = array.value(row) / 1_000_000;
            let parts = (
                seconds / 3_600,
                seconds / 60 % 60,
                seconds % 60,
                array.value(row) % 1_000_000,
            );
            let made = kinds(py)?.time.bind(py).call1(parts);
            made.map_err(|error| too_late(py, error, cells, row))
        }
        Cells::Timestamp(array) => {
            moment(py, kinds(py)?, false, array.value(row)).map_err(|error| too_late(py, error, cells, row))
        }
        Cells::TimestampTz(array, _) => {
            moment(py, kinds(py)?, true, array.value(row)).map_err(|error| too_late(py, error, cells, row))
        }
        Cells::Interval(array) => {
            let given = array.value(row);
            // As psycopg: a timedelta has no months, and a year has 365 days there.
            let (years, months) = (i64::from(given.months / 12), i64::from(given.months % 12));
            let days = years * 365 + months * 30 + i64::from(given.days);
            let made = kinds(py)?
                .timedelta
                .bind(py)
                .call1((days, 0, given.nanoseconds / 1_000));
            made.map_err(|error| too_late(py, error, cells, row))
        }
        Cells::Array(lists) => {
            let elements = PyList::empty(py);
            for at in lists.range(row) {
                elements.append(value(py, &lists.elements, at, lists.element)?)?;
            }
            Ok(elements.into_any())
        }
        Cells::FixedVector(..) | Cells::Vector(..) => Ok(PyList::new(py, cells.elements(row))?.into_any()),
    }
}

fn moment<'py>(py: Python<'py>, kinds: &Kinds, has_zone: bool, micros: i64) -> PyResult<Bound<'py, PyAny>> {
    let epoch = match has_zone {
        true => &kinds.epoch_utc,
        false => &kinds.epoch,
    };
    epoch.bind(py).add(kinds.timedelta.bind(py).call1((0, 0, micros))?)
}

fn too_late(py: Python<'_>, error: PyErr, cells: &Cells<'_>, row: usize) -> PyErr {
    let is_range =
        error.is_instance_of::<PyOverflowError>(py) || error.is_instance_of::<pyo3::exceptions::PyValueError>(py);
    if !is_range {
        return error;
    }
    let mut text = String::new();
    cells.write_text(row, &mut text);
    let message = format!("{text} is beyond what Python's datetime holds");
    let error = Error::invalid(SqlState::DATETIME_FIELD_OVERFLOW, message)
        .with_hint("Read it as text, with ::text, or as Arrow, with arrow().");
    errors::raised(py, &error)
}
