//! Reading a CSV file of the data set as typed records.
//!
//! The header must be exactly the columns of the table, so a field is known by its place. `NA` is NULL where the
//! record says that a column may be NULL; in any other column it is text, or a bad number. One record buffer is reused
//! for the whole file. An error names the table, the line of the file (the header is line 1) and the column; after an
//! error, or the end, a reader yields nothing more.

use std::marker::PhantomData;

use aion_base::{Error, Result, SqlState};
use csv::ByteRecord;

use super::code::Code;
use super::hour::UtcHour;
use super::table::Table;

/// How the source writes NULL.
const NULL_TEXT: &[u8] = b"NA";

/// A row of one of the tables.
pub trait Record: Sized {
    /// The table.
    const TABLE: Table;

    /// Takes the fields in the order of the table's source columns. `number` is the number of the row, from 1.
    #[doc(hidden)]
    fn read(number: u32, fields: &mut Fields<'_>) -> Result<Self>;
}

/// The rows of a CSV file, in its order.
pub struct Rows<'a, T> {
    reader: csv::Reader<&'a [u8]>,
    buffer: ByteRecord,
    nulls: u32,
    row_count: u32,
    row_count_expected: Option<u32>,
    ended: bool,
    records: PhantomData<fn() -> T>,
}

impl<'a, T: Record> Rows<'a, T> {
    /// A reader of `file`, a whole CSV file with its header.
    pub fn new(file: &'a [u8]) -> Result<Self> {
        // Records of unequal length are reported here, with the same words as other errors, not by the csv crate.
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader.byte_headers().map_err(|error| unreadable(T::TABLE, error))?;
        check_header(T::TABLE, header)?;
        Ok(Self {
            reader,
            buffer: ByteRecord::new(),
            nulls: 0,
            row_count: 0,
            row_count_expected: None,
            ended: false,
            records: PhantomData,
        })
    }

    /// The same reader, which reports an error at the end of the file unless it has read `row_count` rows.
    pub(super) fn expecting(mut self, row_count: u32) -> Self {
        self.row_count_expected = Some(row_count);
        self
    }

    /// How many rows were read so far.
    pub fn row_count(&self) -> u32 {
        self.row_count
    }

    /// The fields of the row that was read last, as they stand in the file, `None` where they are NULL.
    pub(super) fn fields(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let nulls = self.nulls;
        self.buffer
            .iter()
            .enumerate()
            .map(move |(index, field)| (nulls & (1 << index) == 0).then_some(field))
    }

    fn read(&mut self) -> Result<Option<T>> {
        if !self
            .reader
            .read_byte_record(&mut self.buffer)
            .map_err(|error| unreadable(T::TABLE, error))?
        {
            return self.check_count().map(|()| None);
        }
        self.row_count += 1;
        let line = self.buffer.position().map_or(0, csv::Position::line);
        let mut fields = Fields {
            table: T::TABLE,
            line,
            record: &self.buffer,
            index: 0,
            nulls: 0,
        };
        fields.check_count()?;
        let record = T::read(self.row_count, &mut fields)?;
        assert_eq!(
            fields.index,
            fields.record.len(),
            "a record of {} takes each of its fields",
            T::TABLE
        );
        self.nulls = fields.nulls;
        Ok(Some(record))
    }

    fn check_count(&self) -> Result<()> {
        match self.row_count_expected {
            Some(expected) if expected != self.row_count => Err(Error::internal(format!(
                "{} rows of {} were read from an archive that has {expected}",
                self.row_count,
                T::TABLE
            ))),
            _ => Ok(()),
        }
    }
}

impl<T: Record> Iterator for Rows<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.read().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

fn check_header(table: Table, header: &ByteRecord) -> Result<()> {
    let expected = table.source_columns();
    let found: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
    if found == expected {
        return Ok(());
    }
    let message = match expected.iter().find(|column| !found.iter().any(|name| name == *column)) {
        Some(missing) => format!("the CSV file of {table} has no column {missing}"),
        None => format!("the CSV file of {table} has other columns, or another order of them, than expected"),
    };
    let detail = format!("Expected: {}. Found: {}.", expected.join(","), found.join(","));
    Err(Error::invalid(SqlState::BAD_COPY_FILE_FORMAT, message)
        .with_detail(detail)
        .with_table(table.name()))
}

fn unreadable(table: Table, source: csv::Error) -> Error {
    let message = format!("the CSV file of {table} cannot be read: {source}");
    Error::invalid(SqlState::BAD_COPY_FILE_FORMAT, message)
        .with_table(table.name())
        .with_source(source)
}

/// The fields of one row, taken one after the other.
pub struct Fields<'r> {
    table: Table,
    line: u64,
    record: &'r ByteRecord,
    index: usize,
    /// Bit `i` is set where field `i` is NULL.
    nulls: u32,
}

impl Fields<'_> {
    /// The next field, of a column that is never NULL.
    pub(super) fn required<V: Value>(&mut self) -> Result<V> {
        let field = &self.record[self.index];
        let value = std::str::from_utf8(field)
            .ok()
            .and_then(V::parse)
            .ok_or_else(|| self.bad_value(field, V::KIND))?;
        self.index += 1;
        Ok(value)
    }

    /// The next field, of a column that may be NULL.
    pub(super) fn optional<V: Value>(&mut self) -> Result<Option<V>> {
        if &self.record[self.index] == NULL_TEXT {
            self.nulls |= 1 << self.index;
            self.index += 1;
            return Ok(None);
        }
        self.required().map(Some)
    }

    fn check_count(&self) -> Result<()> {
        let expected = self.table.source_columns().len();
        if self.record.len() == expected {
            return Ok(());
        }
        let message = format!(
            "{}, line {}: {} fields instead of {expected}",
            self.table,
            self.line,
            self.record.len()
        );
        Err(Error::invalid(SqlState::BAD_COPY_FILE_FORMAT, message).with_table(self.table.name()))
    }

    fn bad_value(&self, field: &[u8], kind: &str) -> Error {
        let column = self.table.source_columns()[self.index];
        let text = String::from_utf8_lossy(field);
        let message = format!(
            "{}, line {}, column {column}: {text:?} is not {kind}",
            self.table, self.line
        );
        Error::invalid(SqlState::INVALID_TEXT_REPRESENTATION, message)
            .with_table(self.table.name())
            .with_column(column)
    }
}

/// What a field can be read as.
pub trait Value: Sized {
    /// What the text should have been, with its article.
    const KIND: &'static str;

    /// The value, or `None` where `text` is something else.
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! integers {
    ($($integer:ty: $kind:literal;)*) => {
        $(impl Value for $integer {
            const KIND: &'static str = $kind;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}

integers! {
    u8: "an integer from 0 to 255";
    i16: "an integer of 16 bits";
    i32: "an integer of 32 bits";
}

impl Value for f64 {
    const KIND: &'static str = "a finite number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

impl Value for String {
    const KIND: &'static str = "text in UTF-8";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl<const N: usize> Value for Code<N> {
    const KIND: &'static str = "a short code";

    fn parse(text: &str) -> Option<Self> {
        Self::new(text)
    }
}

impl Value for UtcHour {
    const KIND: &'static str = "a full hour such as 2013-01-01T10:00:00Z";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests;
