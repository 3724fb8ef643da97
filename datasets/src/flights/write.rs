//! Load-ready CSV: what `COPY table FROM '...' (FORMAT csv, HEADER true)` reads into the tables of the schema.
//!
//! A header, then a line for each source row in its order. A field that is not NULL stands as in the source, to the
//! digit; NULL is the empty field. `flights` begins with `id` and ends with `profile`, as quoted `[...]` text.

use std::fmt::Write as _;
use std::io::Write;

use aion_base::{Error, Result};
use csv::Writer;

use super::archive::FlightsArchive;
use super::profile::{ProfileText, profile};
use super::records::{Airline, Airport, Plane, Weather};
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
/// the end.
pub fn write_csv(
    archive: &FlightsArchive,
    table: Table,
    out: &mut impl Write,
    progress: impl FnMut(u32),
) -> Result<Written> {
    let mut lines = Lines {
        table,
        writer: Writer::from_writer(out),
        written: Written::default(),
        progress,
    };
    lines.header()?;
    match table {
        Table::Airlines => lines.copy::<Airline>(archive)?,
        Table::Airports => lines.copy::<Airport>(archive)?,
        Table::Planes => lines.copy::<Plane>(archive)?,
        Table::Weather => lines.copy::<Weather>(archive)?,
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

impl<W: Write, P: FnMut(u32)> Lines<W, P> {
    fn header(&mut self) -> Result<()> {
        let names = self.table.columns();
        self.writer
            .write_record(names)
            .map_err(|error| unwritable(self.table, error.into()))
    }

    /// A table that is loaded as it stands.
    fn copy<T: Record>(&mut self, archive: &FlightsArchive) -> Result<()> {
        let mut rows = archive.rows::<T>()?;
        while let Some(row) = rows.next() {
            // Reading the record checks the fields and finds those that are NULL.
            row?;
            self.source_fields(&rows)?;
            self.end_line()?;
        }
        Ok(())
    }

    fn flights(&mut self, archive: &FlightsArchive) -> Result<()> {
        let weather = archive.weather_by_hour()?;
        let mut text = String::new();
        let mut rows = archive.flights()?;
        while let Some(flight) = rows.next() {
            let flight = flight?;
            text.clear();
            write!(text, "{}", flight.id).expect("into a String");
            self.field(text.as_bytes())?;
            self.source_fields(&rows)?;
            text.clear();
            if let Some(profile) = profile(&flight, weather.at_departure(&flight)) {
                write!(text, "{}", ProfileText(&profile)).expect("into a String");
                self.written.profiles += 1;
            }
            self.field(text.as_bytes())?;
            self.end_line()?;
        }
        Ok(())
    }

    fn source_fields<T: Record>(&mut self, rows: &Rows<'_, T>) -> Result<()> {
        rows.fields()
            .try_for_each(|field| self.field(field.unwrap_or_default()))
    }

    fn field(&mut self, field: &[u8]) -> Result<()> {
        self.writer
            .write_field(field)
            .map_err(|error| unwritable(self.table, error.into()))
    }

    fn end_line(&mut self) -> Result<()> {
        self.writer
            .write_record(None::<&[u8]>)
            .map_err(|error| unwritable(self.table, error.into()))?;
        self.written.rows += 1;
        if self.written.rows.is_multiple_of(PROGRESS_ROWS) {
            (self.progress)(self.written.rows);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Written> {
        self.writer.flush().map_err(|error| unwritable(self.table, error))?;
        (self.progress)(self.written.rows);
        Ok(self.written)
    }
}

fn unwritable(table: Table, error: std::io::Error) -> Error {
    Error::io(format!("write the CSV file of {table}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(archive: &FlightsArchive, table: Table) -> (String, Written) {
        let mut bytes = Vec::new();
        let mut last = None;
        let written = write_csv(archive, table, &mut bytes, |rows| last = Some(rows)).expect("good rows");
        assert_eq!(last, Some(written.rows), "progress ends with the number of rows");
        (String::from_utf8(bytes).expect("UTF-8"), written)
    }

    #[test]
    fn null_is_empty_and_numbers_keep_their_digits() {
        let archive = FlightsArchive::of_files(&[
            (Table::Airports, "EWR,\"Newark, NJ\",40.6925,-74.168667,18,-5,A,NA\n"),
            (
                Table::Weather,
                "EWR,2013,1,1,5,NA,26.06,59.37,270,10.357019999999999,NA,0,1e3,10,2013-01-01T10:00:00Z\n",
            ),
        ]);
        assert_eq!(
            written(&archive, Table::Airports).0,
            "faa,name,lat,lon,alt,tz,dst,tzone\nEWR,\"Newark, NJ\",40.6925,-74.168667,18,-5,A,\n"
        );
        assert_eq!(
            written(&archive, Table::Weather).0.lines().nth(1),
            Some("EWR,2013,1,1,5,,26.06,59.37,270,10.357019999999999,,0,1e3,10,2013-01-01T10:00:00Z")
        );
    }

    #[test]
    fn flights_get_an_id_and_a_profile() {
        let archive = FlightsArchive::of_files(&[
            (
                Table::Weather,
                "EWR,2013,1,1,6,55,26,59,270,10,NA,0.25,NA,10,2013-01-01T11:00:00Z\n",
            ),
            (
                Table::Flights,
                "2013,1,1,600,600,0,900,930,-30,UA,7,N1,EWR,IAH,150,1400,6,0,2013-01-01T11:00:00Z\n\
                 2013,1,1,NA,600,NA,NA,930,NA,UA,8,NA,EWR,IAH,NA,1400,6,0,2013-01-01T11:00:00Z\n",
            ),
        ]);
        let (text, counts) = written(&archive, Table::Flights);
        assert_eq!(counts, Written { rows: 2, profiles: 1 });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], Table::Flights.columns().join(","));
        assert_eq!(
            lines[1],
            "1,2013,1,1,600,600,0,900,930,-30,UA,7,N1,EWR,IAH,150,1400,6,0,2013-01-01T11:00:00Z,\
             \"[1,6.123234e-17,0,1,0,-0.5,1.4,1,0,0.5,1,2]\""
        );
        assert_eq!(
            lines[2],
            "2,2013,1,1,,600,,,930,,UA,8,,EWR,IAH,,1400,6,0,2013-01-01T11:00:00Z,"
        );
    }

    #[test]
    fn a_full_disk_is_reported() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let archive = FlightsArchive::of_files(&[(Table::Airlines, "UA,United Air Lines\n")]);
        let error = write_csv(&archive, Table::Airlines, &mut Full, |_| ()).expect_err("a full disk");
        assert_eq!(error.state().as_str(), "53100");
        assert!(
            error.message().starts_with("could not write the CSV file of airlines"),
            "{error}"
        );
    }
}
