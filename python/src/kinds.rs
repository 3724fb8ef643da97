//! The classes of Python's library that values come from and become, looked up once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// See the module's header.
pub struct Kinds {
    /// `datetime.date`
    pub date: Py<PyAny>,
    /// `datetime.datetime`
    pub datetime: Py<PyAny>,
    /// `datetime.time`
    pub time: Py<PyAny>,
    /// `datetime.timedelta`
    pub timedelta: Py<PyAny>,
    /// 1970-01-01 as a naive datetime.
    pub epoch: Py<PyAny>,
    /// 1970-01-01 in UTC.
    pub epoch_utc: Py<PyAny>,
    /// `decimal.Decimal`
    pub decimal: Py<PyAny>,
    /// `uuid.UUID`
    pub uuid: Py<PyAny>,
    /// `json.dumps`
    pub json_dumps: Py<PyAny>,
    /// `json.loads`
    pub json_loads: Py<PyAny>,
}

/// The classes.
///
/// # Errors
/// When the library cannot be imported.
pub fn kinds(py: Python<'_>) -> PyResult<&'static Kinds> {
    static KINDS: PyOnceLock<Kinds> = PyOnceLock::new();
    KINDS.get_or_try_init(py, || {
        let times = py.import("datetime")?;
        let datetime = times.getattr("datetime")?;
        let in_utc = PyDict::new(py);
        in_utc.set_item("tzinfo", times.getattr("timezone")?.getattr("utc")?)?;
        let json = py.import("json")?;
        Ok(Kinds {
            date: times.getattr("date")?.unbind(),
            time: times.getattr("time")?.unbind(),
            timedelta: times.getattr("timedelta")?.unbind(),
            epoch: datetime.call1((1970, 1, 1))?.unbind(),
            epoch_utc: datetime.call((1970, 1, 1), Some(&in_utc))?.unbind(),
            datetime: datetime.unbind(),
            decimal: py.import("decimal")?.getattr("Decimal")?.unbind(),
            uuid: py.import("uuid")?.getattr("UUID")?.unbind(),
            json_dumps: json.getattr("dumps")?.unbind(),
            json_loads: json.getattr("loads")?.unbind(),
        })
    })
}
