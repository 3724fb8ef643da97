//! Load-ready CSV: what `COPY table FROM '...' (FORMAT csv, HEADER true)` reads into the tables of the schema.
//!
//! A header, then a line for each source row in its order. A field that is not NULL stands as in the source, to the
//! digit; NULL is the empty field. `flights` begins with `id` and ends with `profile`, as quoted `[...]` text.

use std::io::Write;

use aion_base::{Error, Result};
use csv::Writer;

use super::archive::FlightsArchive;
use super::profile::{ProfileText, profile};
use super::records::{Airline, Airport, Flight, Plane, Weather};
use super::rows::{Record, Rows};
use super::table::Table;

/// Rows between two calls of the progress function.
const PROGRESS_ROWS: u32 = 4096;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows, the header not counted.
    pub rows: u32,
    /// Rows of them that have a profile.
    pub profiles: u32,
}

/// Writes `table` as load-ready CSV. `progress` is told the number of rows so far, every few thousand rows and at
/// the end; it returns `false` to stop there.
pub fn write_csv(
    archive: &FlightsArchive,
    table: Table,
    out: &mut impl Write,
    progress: impl FnMut(u32) -> bool,
) -> Result<Written> {
    let mut lines = Lines { table, writer: Writer::from_writer(out), written: Written::default(), progress };
    lines.fields(table.columns().iter().map(|column| Some(column.as_bytes())))?;
    lines.end()?;
    match table {
        Table::Airlines => lines.copy::<Airline>(archive.rows()?)?,
        Table::Airports => lines.copy::<Airport>(archive.rows()?)?,
        Table::Planes => lines.copy::<Plane>(archive.rows()?)?,
        Table::Weather => lines.copy::<Weather>(archive.rows()?)?,
        Table::Flights => lines.flights(archive)?,
    }
    lines.finish()
}

struct Lines<W: Write, P> {
    table: Table,
    writer: Writer<W>,
    written: Written,
    progress: P,
}
