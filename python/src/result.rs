//! Results: rows as Python's tuples, as Arrow, as frames.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::SqlType;
use aion_db::{Cells, Column, canonical};
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::outcome::{affected, value};
use crate::stream::Stream;
use crate::{database, errors, export, show};

/// Rows that `show` prints without a number.
const SHOWN_ROWS: usize = 20;

/// The result of a statement: its rows, read from the engine as they are asked for, once.
///
/// Whatever reads rows (`fetchone`, `arrow`, iteration, ...) takes them; only `show` leaves them. A statement without rows has
/// no columns, and its `status`.
#[pyclass(module = "aiondb", name = "Result", frozen, weakref)]
pub struct ResultSet {
    answer: Answer,
    /// The connection, which is not closed for want of references while its rows may be asked for.
    connection: Py<PyAny>,
}

enum Answer {
    Done(String),
    Rows(Arc<Stream>),
}

impl ResultSet {
    /// Of a statement that gives no rows.
    pub fn done(connection: Py<PyAny>, tag: String) -> Self {
        Self {
            answer: Answer::Done(tag),
            connection,
        }
    }

    /// Of a query.
    pub fn of(connection: Py<PyAny>, stream: Arc<Stream>) -> Self {
        Self {
            answer: Answer::Rows(stream),
            connection,
        }
    }

    fn stream(&self, py: Python<'_>) -> PyResult<&Arc<Stream>> {
        match &self.answer {
            Answer::Rows(stream) => Ok(stream),
            Answer::Done(tag) => Err(errors::raised(
                py,
                &Error::invalid(SqlState::INVALID_CURSOR_STATE, format!("{tag} gave no rows")),
            )),
        }
    }

    fn columns_of(&self) -> &[Column] {
        match &self.answer {
            Answer::Rows(stream) => stream.columns(),
            Answer::Done(_) => &[],
        }
    }

    /// At most so many rows, all of one batch.
    fn fetch<'py>(
        &self,
        py: Python<'py>,
        stream: &Stream,
        count_max: usize,
        rows: &mut Vec<Bound<'py, PyTuple>>,
    ) -> PyResult<bool> {
        let Some(batch) = stream.next(py)? else {
            return Ok(false);
        };
        let count = batch.num_rows().min(count_max);
        let converted = tuples(py, stream.columns(), &batch.slice(0, count), rows);
        if count < batch.num_rows() && converted.is_ok() {
            stream.put_back(batch.slice(count, batch.num_rows() - count));
        }
        converted.map(|()| true)
    }

    fn table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        export::table(py, self.stream(py)?)
    }
}

/// The rows of a batch.
fn tuples<'py>(
    py: Python<'py>,
    columns: &[Column],
    batch: &RecordBatch,
    rows: &mut Vec<Bound<'py, PyTuple>>,
) -> PyResult<()> {
    let arrays = arrays(py, columns, batch)?;
    let cells = cells(py, columns, &arrays)?;
    for row in 0..batch.num_rows() {
        let values = cells
            .iter()
            .zip(columns)
            .map(|(cells, column)| value(py, cells, row, column.sql_type));
        rows.push(PyTuple::new(py, values.collect::<PyResult<Vec<_>>>()?)?);
    }
    Ok(())
}

/// The columns of a batch in the layouts that have cells.
pub fn arrays(py: Python<'_>, columns: &[Column], batch: &RecordBatch) -> PyResult<Vec<ArrayRef>> {
    let arrays = batch.columns().iter().zip(columns);
    arrays
        .map(|(array, column)| canonical(array, column.sql_type).map_err(|error| errors::raised(py, &error)))
        .collect()
}

/// Cells over such arrays.
pub fn cells<'a>(py: Python<'_>, columns: &[Column], arrays: &'a [ArrayRef]) -> PyResult<Vec<Cells<'a>>> {
    let cells = arrays.iter().zip(columns).map(|(array, column)| {
        Cells::of(array, column.sql_type).ok_or_else(|| {
            let message = format!("column \"{}\" has no cells", column.name);
            errors::raised(py, &Error::internal(message))
        })
    });
    cells.collect()
}

/// Imports an optional package, or says that it is missing.
fn package<'py>(py: Python<'py>, name: &str, method: &str) -> PyResult<Bound<'py, PyModule>> {
    py.import(name).map_err(|error| {
        if !error.is_instance_of::<PyImportError>(py) {
            return error;
        }
        let missing = PyImportError::new_err(format!(
            "{method} needs the package {name}, which is not installed: pip install {name}"
        ));
        missing.set_cause(py, Some(error));
        missing
    })
}

#[pymethods]
impl ResultSet {
    /// The names of the columns; empty for a statement without rows.
    #[getter]
    fn columns(&self) -> Vec<&str> {
        self.columns_of().iter().map(|column| column.name.as_str()).collect()
    }

    /// The SQL types of the columns, by PostgreSQL's names: `bigint`, `numeric(10,2)`.
    #[getter]
    fn types(&self) -> Vec<String> {
        self.columns_of()
            .iter()
            .map(|column| column.sql_type.to_string())
            .collect()
    }

    /// PEP 249's description: for each column its name, its type's name, and five more, of which precision and scale are there for
    /// numerics. None for a statement without rows.
    #[getter]
    fn description<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let Answer::Rows(stream) = &self.answer else {
            return Ok(None);
        };
        let columns = stream.columns().iter().map(|column| {
            let (precision, scale) = match column.sql_type {
                SqlType::Numeric { scale, .. } => (Some(column.sql_type.precision()), Some(scale)),
                _ => (None, None),
            };
            let nothing = py.None();
            let type_name = column.sql_type.to_string();
            (&column.name, type_name, &nothing, &nothing, precision, scale, &nothing).into_pyobject(py)
        });
        PyList::new(py, columns.collect::<PyResult<Vec<_>>>()?).map(Some)
    }

    /// Rows that the statement changed, or that a query gave once all were read; -1 while nobody knows.
    #[getter]
    fn rowcount(&self) -> i64 {
        let tag = self.status();
        let count = tag
            .as_deref()
            .and_then(affected)
            .and_then(|count| i64::try_from(count).ok());
        count.unwrap_or(-1)
    }

    /// PostgreSQL's command tag, such as `INSERT 0 3`; None until all rows were read.
    #[getter]
    fn status(&self) -> Option<String> {
        match &self.answer {
            Answer::Done(tag) => Some(tag.clone()),
            Answer::Rows(stream) => stream.tag(),
        }
    }

    /// The next row as a tuple, None at the end.
    fn fetchone<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let stream = self.stream(py)?;
        let mut rows = Vec::with_capacity(1);
        self.fetch(py, stream, 1, &mut rows)?;
        Ok(rows.pop())
    }

    /// The next `size` rows, fewer at the end, as a list of tuples.
    #[pyo3(signature = (size=1))]
    fn fetchmany<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let stream = self.stream(py)?;
        let mut rows = Vec::new();
        while rows.len() < size && self.fetch(py, stream, size - rows.len(), &mut rows)? {}
        Ok(rows)
    }

    /// The remaining rows as a list of tuples.
    fn fetchall<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let stream = self.stream(py)?;
        let mut rows = Vec::new();
        while self.fetch(py, stream, usize::MAX, &mut rows)? {}
        Ok(rows)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.fetchone(py)
    }

    /// The remaining rows as a pyarrow Table.
    fn arrow<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pyarrow = package(py, "pyarrow", "arrow()")?;
        let reader = pyarrow.getattr("RecordBatchReader")?;
        reader
            .call_method1("from_stream", (self.table(py)?,))?
            .call_method0("read_all")
    }

    /// The remaining rows as a pandas DataFrame, by way of pyarrow. A uuid is its 16 bytes, a vector an array.
    fn df<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        package(py, "pandas", "df()")?;
        package(py, "pyarrow", "df()")?;
        self.arrow(py)?.call_method0("to_pandas")
    }

    /// The remaining rows as a polars DataFrame.
    fn pl<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let polars = package(py, "polars", "pl()")?;
        polars.getattr("DataFrame")?.call1((self.table(py)?,))
    }

    /// The remaining rows as a stream of Arrow batches, each read from the engine when it is asked for. An error of the
    /// query comes out as the consumer's, with the SQLSTATE in its text.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        database::check_process(py)?;
        let rest = self.stream(py)?.hand_out(py)?;
        export::capsule(py, self.connection.clone_ref(py), rest, requested_schema)
    }

    /// Prints the next rows as a table, at most so many, and leaves them to be fetched.
    #[pyo3(signature = (rows=SHOWN_ROWS))]
    fn show(&self, py: Python<'_>, rows: usize) -> PyResult<()> {
        let text = match &self.answer {
            Answer::Done(tag) => tag.clone(),
            Answer::Rows(stream) => show::table(py, stream, rows)?,
        };
        py.import("builtins")?.call_method1("print", (text,))?;
        Ok(())
    }

    fn __repr__(&self) -> String {
        match &self.answer {
            Answer::Done(tag) => format!("<aiondb.Result {tag}>"),
            Answer::Rows(stream) => {
                let columns = stream.columns().iter();
                let columns: Vec<_> = columns
                    .map(|column| format!("{} {}", column.name, column.sql_type))
                    .collect();
                format!("<aiondb.Result ({})>", columns.join(", "))
            }
        }
    }
}
