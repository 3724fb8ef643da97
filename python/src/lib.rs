//! The Python package `aiondb`: the embedded database, Arrow in and out.
//!
//! This crate is the extension module `aiondb._native`; the thin part in Python, `aiondb/`, adds the exceptions and the cursors of
//! PEP 249. What it guarantees:
//!
//! - The GIL is released while the engine works, and never waited for by a thread of the engine.
//! - Ctrl-C ends what runs: whoever waits asks Python for signals every few milliseconds ([`task`]).
//! - A connection is used by one statement at a time, whichever thread comes ([`lane`]); a result is read by one thread at a
//!   time, a second one is told so ([`stream`]).
//! - No values are shared with Python but Arrow's buffers that go out: a registered frame is copied.
//!
//! ```text
//! Connection ── Lane ── Session          one statement after another, on the threads of the database
//!     │           │
//!     │        database: one per directory and process; the last connection closes it
//!     └── ResultSet ── Stream ── Rows    read on demand, independent of what the session does next
//! ```
//!
//! After a fork the child has none of the threads: everything is refused there ([`database::check_process`]), and nothing is
//! freed.

mod config;
mod connection;
mod database;
mod errors;
mod export;
mod given;
mod kinds;
mod lane;
mod names;
mod outcome;
mod result;
mod show;
mod stream;
mod taken;
mod task;

use pyo3::prelude::*;

/// The native part of aiondb; use the package, not this module.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::connection::Connection;
    #[pymodule_export]
    use super::database::close_all;
    #[pymodule_export]
    use super::result::ResultSet;

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
