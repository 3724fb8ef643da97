//! Frames coming in, through the Arrow C stream interface.

use aion_db::LocalTable;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatchReader;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatchReader;

use crate::errors;

/// The batches of a frame.
pub type Batches = Box<dyn RecordBatchReader + Send>;

/// Asks a frame for its batches.
///
/// # Errors
/// TypeError for something without `__arrow_c_stream__`.
pub fn open(frame: &Bound<'_, PyAny>) -> PyResult<(SchemaRef, Batches)> {
    if !frame.hasattr("__arrow_c_stream__")? {
        let name = frame.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "{name} has no __arrow_c_stream__: give a pyarrow Table, a pandas or polars DataFrame, or a result"
        )));
    }
    let batches = frame.extract::<PyRecordBatchReader>()?.into_reader()?;
    Ok((batches.schema(), batches))
}

/// Reads the batches into a table.
///
/// # Errors
/// The reader's, and those of [`LocalTable::push`]; KeyboardInterrupt between batches.
pub fn fill(py: Python<'_>, mut table: LocalTable, mut batches: Batches) -> PyResult<LocalTable> {
    loop {
        // Without the GIL: the frame may be one that Python makes as it goes, and then takes it itself.
        let step;
        (table, batches, step) = py.detach(move || {
            let step = batches.next().map(|batch| match batch {
                Ok(batch) => Ok(table.push(&batch)),
                Err(error) => Err(error.to_string()),
            });
            (table, batches, step)
        });
        match step {
            None => return Ok(table),
            Some(Ok(Ok(()))) => py.check_signals()?,
            Some(Ok(Err(error))) => return Err(errors::raised(py, &error)),
            Some(Err(message)) => {
                let message = format!("the frame's Arrow stream failed: {message}");
                let error = aion_base::Error::invalid(aion_base::SqlState::DATA_EXCEPTION, message);
                return Err(errors::raised(py, &error));
            }
        }
    }
}
