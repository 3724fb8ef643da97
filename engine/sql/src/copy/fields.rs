//! Records as the fields of rows: what a load asks of a format, and how text and CSV answer.

use std::io::Read;

use aion_base::{Error, Result, SqlState};
use aion_catalog::json::Jsonb;
use aion_catalog::row::RowWriter;
use aion_catalog::{SqlType, Value, Zone, precision, text};

use super::load::{Load, at_line};
use super::options::CopyOptions;
use super::record::{Record, RecordReader};

/// Records, one after another; each has as many fields as the load has columns.
pub trait Fields {
    /// Goes on to the next record; false at the end.
    ///
    /// # Errors
    /// 22P04 for what is no record, with its place.
    fn next(&mut self) -> Result<bool>;

    /// The line of the record, from 1; in binary its number.
    fn line(&self) -> u64;

    /// Writes a field as the value of the column at `position`; false for NULL, for which nothing is written.
    ///
    /// # Errors
    /// For what is no value of the type, without its place.
    fn put(&mut self, field: usize, writer: &mut RowWriter<'_>, position: usize, sql_type: SqlType) -> Result<bool>;

    /// The field as an error shows it.
    fn shown(&self, field: usize) -> Option<&str>;
}

/// Fields of text or CSV.
pub struct TextFields<'a, R> {
    load: &'a Load,
    reader: RecordReader<R>,
    record: Record,
    scratch: Vec<u8>,
    vector: Vec<f32>,
}

impl<'a, R: Read> TextFields<'a, R> {
    /// The fields of `input`, behind the line that names them.
    ///
    /// # Errors
    /// As [`Fields::next`].
    pub fn new(load: &'a Load, input: R, options: &CopyOptions) -> Result<Self> {
        let mut fields = Self {
            load,
            reader: RecordReader::new(input, options),
            record: Record::default(),
            scratch: Vec::new(),
            vector: Vec::new(),
        };
        if options.has_header {
            fields.reader.read(&mut fields.record)?;
        }
        Ok(fields)
    }
}

impl<R: Read> Fields for TextFields<'_, R> {
    fn next(&mut self) -> Result<bool> {
        if !self.reader.read(&mut self.record)? {
            return Ok(false);
        }
        check_count(self.load, &self.record)?;
        Ok(true)
    }

    fn line(&self) -> u64 {
        self.record.line()
    }

    fn put(&mut self, field: usize, writer: &mut RowWriter<'_>, position: usize, sql_type: SqlType) -> Result<bool> {
        let Some(value) = self.record.field(field)? else {
            return Ok(false);
        };
        let (scratch, vector) = (&mut self.scratch, &mut self.vector);
        put(writer, position, sql_type, value, scratch, vector, self.load.zone)?;
        Ok(true)
    }

    fn shown(&self, field: usize) -> Option<&str> {
        // What is no UTF-8 is not shown.
        self.record.field(field).ok().flatten()
    }
}

fn check_count(load: &Load, record: &Record) -> Result<()> {
    if record.len() == load.columns.len() {
        return Ok(());
    }
    let message = match load.columns.get(record.len()) {
        Some(&missing) => {
            let missing = &load.shape.descriptor.columns[missing].name;
            format!("missing data for column \"{missing}\"")
        }
        None => "extra data after last expected column".to_owned(),
    };
    let error = Error::invalid(SqlState::BAD_COPY_FILE_FORMAT, message);
    Err(load.context(error, &at_line(record.line()), None, None))
}

/// Writes a field by its column's type.
fn put(
    writer: &mut RowWriter<'_>,
    position: usize,
    sql_type: SqlType,
    value: &str,
    scratch: &mut Vec<u8>,
    vector: &mut Vec<f32>,
    zone: Zone,
) -> Result<()> {
    match sql_type {
        SqlType::Boolean => writer.bool(position, text::parse_bool(value)?),
        SqlType::SmallInt => writer.i16(position, text::parse_i16(value)?),
        SqlType::Integer => writer.i32(position, text::parse_i32(value)?),
        SqlType::BigInt => writer.i64(position, text::parse_i64(value)?),
        SqlType::Real => writer.f32(position, text::parse_f32(value)?),
        SqlType::Double => writer.f64(position, text::parse_f64(value)?),
        SqlType::Numeric { scale, .. } => {
            writer.i128(position, text::parse_decimal(value, sql_type.precision(), scale)?);
        }
        SqlType::Text => writer.bytes(position, text::parse_text(value)?.as_bytes()),
        SqlType::Varchar(limit) => writer.bytes(position, text::parse_varchar(value, limit)?.as_bytes()),
        SqlType::Char(length) => writer.bytes(position, text::parse_char(value, length)?.as_bytes()),
        SqlType::Json => {
            text::check_json(value)?;
            writer.bytes(position, value.as_bytes());
        }
        SqlType::Bytea => {
            scratch.clear();
            text::parse_bytea(value, scratch)?;
            writer.bytes(position, scratch);
        }
        SqlType::Jsonb => writer.bytes(position, Jsonb::parse(value)?.as_bytes()),
        SqlType::Date => writer.i32(position, text::parse_date(value)?),
        SqlType::Time(digits) => writer.i64(position, precision::time(text::parse_time(value)?, digits)),
        SqlType::Timestamp(digits) => writer.i64(position, precision::timestamp(text::parse_timestamp(value)?, digits)),
        SqlType::TimestampTz(digits) => {
            let moment = text::parse_timestamptz_in(value, zone)?;
            writer.i64(position, precision::timestamp(moment, digits));
        }
        SqlType::Interval => writer.interval(position, text::parse_interval(value)?.in_nanos_range()?),
        SqlType::Uuid => writer.uuid(position, text::parse_uuid(value)?),
        SqlType::Enum(of) => writer.i64(position, of.text_in(value)?),
        SqlType::Vector(dimensions) => {
            vector.clear();
            text::parse_vector(value, dimensions, |component| vector.push(component))?;
            writer.vector(position, vector);
        }
        SqlType::Array(_) => writer.value(position, &Value::text_in_zone(&sql_type, value, zone)?),
    }
    Ok(())
}
