//! Results going out, through the Arrow C stream interface.

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchReader};
use pyo3::prelude::*;
use pyo3_arrow::{PyRecordBatchReader, PyTable};

use crate::stream::Stream;

/// Batches that are read when the consumer asks for them.
struct Reader {
    stream: Stream,
    /// Kept open while somebody may read.
    _connection: Py<PyAny>,
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The consumer may hold the GIL or not, and may be a thread of its own. Waiting gives it up and listens for Ctrl-C.
        let batch = Python::try_attach(|py| {
            self.stream.next(py).map_err(|error| {
                let is_interrupt = !error.is_instance_of::<pyo3::exceptions::PyException>(py);
                let message = error.to_string();
                if is_interrupt {
                    again(py);
                }
                ArrowError::ExternalError(message.into())
            })
        });
        match batch {
            Some(batch) => batch.transpose(),
            None => Some(Err(ArrowError::ExternalError("the interpreter is ending".into()))),
        }
    }
}

/// Arrow's errors cannot carry a KeyboardInterrupt, so it is raised once more where the consumer returns to Python.
fn again(py: Python<'_>) {
    let raised = py
        .import("_thread")
        .and_then(|threads| threads.call_method0("interrupt_main"));
    if let Err(error) = raised {
        error.write_unraisable(py, None);
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.stream.schema().clone()
    }
}

/// A capsule with the stream of what `stream` has left.
///
/// # Errors
/// InterfaceError when nothing can follow.
pub fn capsule<'py>(
    py: Python<'py>,
    connection: Py<PyAny>,
    stream: Stream,
    requested_schema: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let reader = PyRecordBatchReader::new(Box::new(Reader {
        stream,
        _connection: connection,
    }));
    Bound::new(py, reader)?.call_method1("__arrow_c_stream__", (requested_schema,))
}

/// All batches, as an object with `__arrow_c_stream__`.
///
/// # Errors
/// The statement's.
pub fn table<'py>(py: Python<'py>, stream: &Stream) -> PyResult<Bound<'py, PyAny>> {
    let mut batches = Vec::new();
    while let Some(batch) = stream.next(py)? {
        batches.push(batch);
    }
    Ok(Bound::new(py, PyTable::try_new(batches, stream.schema().clone())?)?.into_any())
}
