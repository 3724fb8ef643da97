//! The engine's errors as the exceptions of PEP 249.
//!
//! The classes are Python's (`aiondb/_errors.py`); which one an error is follows from its SQLSTATE alone.

use aion_base::Error;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// The name of the exception for an SQLSTATE.
fn class_of(state: &str) -> &'static str {
    match &state[..2] {
        "0A" => "NotSupportedError",
        "22" => "DataError",
        "23" => "IntegrityError",
        "20" | "21" | "24" | "25" | "26" | "2B" | "34" | "3D" | "3F" | "42" => "ProgrammingError",
        "XX" => "InternalError",
        // 08 connection, 28 who, 40 conflicts, 53 and 54 limits, 55 states, 57 cancellation, 58 files, 72 snapshots.
        _ => "OperationalError",
    }
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = ERRORS.get_or_try_init(py, || py.import("aiondb._errors").map(Bound::unbind))?;
    module.bind(py).getattr(name)
}

/// An error of the engine.
pub fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let state = error.state();
    let made = (|| {
        let fields = PyDict::new(py);
        fields.set_item("sqlstate", state.as_str())?;
        fields.set_item("detail", error.detail())?;
        fields.set_item("hint", error.hint())?;
        fields.set_item("position", error.position())?;
        class(py, class_of(state.as_str()))?.call((error.message(),), Some(&fields))
    })();
    made.map_or_else(|error| error, PyErr::from_value)
}

/// A wrong use of the interface: something closed, or of another process.
pub fn interface(py: Python<'_>, message: &str) -> PyErr {
    let made = class(py, "InterfaceError").and_then(|class| class.call1((message,)));
    made.map_or_else(|error| error, PyErr::from_value)
}
