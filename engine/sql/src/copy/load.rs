//! Data into a table: text and CSV row by row, Parquet batch by batch.
//!
//! 1. Each record becomes the bytes of a row: fields by their column's type, columns that are not in the data by their DEFAULT, or
//!    NULL.
//! 2. The row goes into the transaction with its index entries.
//! 3. When all are there, each that refers to a row must find it.
//!
//! An error names the line (or the row group) and the column, and takes back what was loaded.

use std::io::Read;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::json::Jsonb;
use aion_catalog::row::RowWriter;
use aion_catalog::{SqlType, Value, Zone, text};
use datafusion::arrow::record_batch::RecordBatch;

use super::defaults::Defaults;
use super::options::CopyOptions;
use super::record::{Record, RecordReader};
use crate::cancel::Cancellation;
use crate::dml::{ColumnEncoder, ManyRows, Outgrown, RowEncoder, RowRules, null_violation, unchecked_schema};
use crate::references::{Referring, Ties};
use crate::table::{BatchBuilder, TableShape};
use crate::transaction::Transaction;

/// Rows between two looks at the cancellation, and rows whose defaults are computed together.
const ROWS_PER_CHECK: usize = 1024;

/// Characters of a value that an error repeats, as in PostgreSQL.
const SHOWN_CHARS_MAX: usize = 100;

/// Where rows go.
#[derive(Debug)]
pub struct Load {
    /// The table.
    pub shape: Arc<TableShape>,
    /// The positions in the table of the data's columns, in the data's order.
    pub columns: Vec<usize>,
    /// Whether the statement listed its columns.
    pub is_listed: bool,
    /// What stands in the other columns.
    pub defaults: Defaults,
    /// What its rows must fulfil.
    pub rules: Option<Arc<RowRules>>,
    /// What becomes of rows that are too many for the transaction.
    pub outgrown: Option<Outgrown>,
    /// The foreign keys that its rows follow.
    pub ties: Option<Arc<Ties>>,
    /// What it is written through.
    pub transaction: Arc<Transaction>,
    /// Whether to stop.
    pub cancellation: Cancellation,
    /// What times without an offset are in.
    pub zone: Zone,
}

impl Load {
    /// Loads text or CSV; answers the number of rows. All or nothing.
    ///
    /// # Errors
    /// 22P04, 22P02, 22021 and what else the data may be, with line and column; 23505 for a duplicate key.
    pub fn records(&self, input: impl Read, options: &CopyOptions) -> Result<u64> {
        self.all_or_nothing(|| Records::new(self)?.load(input, options))
    }

    /// Loads Parquet; answers the number of rows. All or nothing.
    ///
    /// # Errors
    /// 42804 for a column of another type, with its row group; 23505 for a duplicate key.
    pub fn parquet(&self, file: std::fs::File) -> Result<u64> {
        self.all_or_nothing(|| super::parquet::load(self, file))
    }

    fn all_or_nothing(&self, load: impl FnOnce() -> Result<u64>) -> Result<u64> {
        self.transaction.save();
        let loaded = load();
        if loaded.is_err() {
            self.transaction.restore();
        }
        loaded
    }

    /// Ends the load when it was cancelled.
    ///
    /// # Errors
    /// 57014.
    pub fn check_cancelled(&self) -> Result<()> {
        match self.cancellation.is_cancelled() {
            true => Err(self.cancellation.error()),
            false => Ok(()),
        }
    }

    /// Where the rows are written.
    ///
    /// # Errors
    /// When the table cannot be looked into.
    pub fn writes(&self) -> Result<Written<'_>> {
        let ties = self.ties.as_ref();
        Ok(Written {
            rows: ManyRows::new(&self.shape, &self.transaction)?.with_outgrown(self.outgrown.clone()),
            referring: ties.map(|ties| Referring::new(&ties.root().referring)),
            transaction: &self.transaction,
        })
    }

    /// Rows as a batch, for the rules.
    fn builder(&self) -> BatchBuilder {
        let projection: Vec<usize> = (0..self.shape.descriptor.columns.len()).collect();
        BatchBuilder::new(&self.shape.layout, &projection, unchecked_schema(&self.shape))
    }

    /// The error with its place in the data, as PostgreSQL's CONTEXT says it.
    pub fn context(&self, error: Error, place: &str, column: Option<&str>, value: Option<&str>) -> Error {
        let table = &self.shape.descriptor.name;
        let mut at = format!("COPY {table}, {place}");
        if let Some(column) = column {
            at.push_str(&format!(", column {column}"));
        }
        match value {
            Some(value) if value.chars().nth(SHOWN_CHARS_MAX).is_some() => {
                let shown: String = value.chars().take(SHOWN_CHARS_MAX).collect();
                at.push_str(&format!(": \"{shown}...\""));
            }
            Some(value) => at.push_str(&format!(": \"{value}\"")),
            None => {}
        }
        let detail = match error.detail() {
            Some(detail) => format!("{detail}\n{at}"),
            None => at,
        };
        let error = error.with_detail(detail).with_table(table.clone());
        match column {
            Some(column) => error.with_column(column),
            None => error,
        }
    }
}

/// Rows that are written, and what they refer to.
pub struct Written<'a> {
    rows: ManyRows,
    referring: Option<Referring>,
    transaction: &'a Transaction,
}

impl Written<'_> {
    /// Inserts a row by its bytes.
    ///
    /// # Errors
    /// As [`ManyRows::insert`] and [`Referring::meet`].
    pub fn insert(&mut self, bytes: &[u8]) -> Result<()> {
        self.rows.insert(bytes)?;
        match &mut self.referring {
            Some(referring) => referring.meet(bytes, None, self.transaction),
            None => Ok(()),
        }
    }

    /// All rows are there.
    ///
    /// # Errors
    /// As [`ManyRows::finish`]; 23503 for a row that refers to nothing.
    pub fn finish(self) -> Result<()> {
        self.rows.finish()?;
        match self.referring {
            Some(referring) => referring.finish(self.transaction),
            None => Ok(()),
        }
    }
}

/// Records on their way into rows.
struct Records<'a> {
    load: &'a Load,
    /// What each column of the table is made of.
    sources: Vec<Source>,
    /// The defaults of the rows to come.
    batch: RecordBatch,
    next_in_batch: usize,
    scratch: Vec<u8>,
    vector: Vec<f32>,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Field(usize),
    Default(usize),
    Null,
}

impl<'a> Records<'a> {
    fn new(load: &'a Load) -> Result<Self> {
        let count = load.shape.descriptor.columns.len();
        let sources = (0..count).map(|position| {
            let field = load.columns.iter().position(|&column| column == position);
            match (field, load.defaults.place(position)) {
                (Some(field), _) => Source::Field(field),
                (None, Some(place)) => Source::Default(place),
                (None, None) => Source::Null,
            }
        });
        Ok(Self {
            load,
            sources: sources.collect(),
            batch: load.defaults.rows(ROWS_PER_CHECK)?,
            next_in_batch: 0,
            scratch: Vec::new(),
            vector: Vec::new(),
        })
    }

    fn load(mut self, input: impl Read, options: &CopyOptions) -> Result<u64> {
        let load = self.load;
        let mut reader = RecordReader::new(input, options);
        let mut rows = load.writes()?;
        let mut record = Record::default();
        let mut row = Vec::new();
        if options.has_header && !reader.read(&mut record)? {
            return Ok(0);
        }
        let mut count = 0;
        let mut checked = load.rules.as_ref().map(|rules| (rules, load.builder()));
        // What is computed of rows is computed of many at a time: they are written then.
        let is_computed = load.rules.as_ref().is_some_and(|rules| rules.has_generated());
        let check =
            |checked: &mut Option<(&Arc<RowRules>, BatchBuilder)>, written: &mut Written<'_>, record: &Record| {
                match checked {
                    Some((_, rows)) if is_computed && rows.len() > 0 => {
                        write_batch(load, written, &rows.finish()?, &up_to_line(record))
                    }
                    Some((rules, rows)) if rows.len() > 0 => rules
                        .check(&load.shape, &rows.finish()?, 0)
                        .map_err(|error| load.context(error, &up_to_line(record), None, None)),
                    _ => Ok(()),
                }
            };
        while reader.read(&mut record)? {
            if self.next_in_batch == ROWS_PER_CHECK {
                load.check_cancelled()?;
                check(&mut checked, &mut rows, &record)?;
                load.cancellation.note_rows(count);
                if load.defaults.differ() {
                    self.batch = load.defaults.rows(ROWS_PER_CHECK)?;
                }
                self.next_in_batch = 0;
            }
            row.clear();
            self.encode(&record, &mut row)?;
            if let Some((_, rows)) = &mut checked {
                rows.push(&load.shape.layout, &[], &row)?;
            }
            if !is_computed {
                rows.insert(&row)
                    .map_err(|error| load.context(error, &at_line(&record), None, None))?;
            }
            self.next_in_batch += 1;
            count += 1;
        }
        load.check_cancelled()?;
        check(&mut checked, &mut rows, &record)?;
        rows.finish()?;
        Ok(count)
    }

    /// Appends the bytes of the record's row.
    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<()> {
        let load = self.load;
        check_count(load, record)?;
        let mut writer = RowWriter::new(&load.shape.layout, out);
        for (position, column) in load.shape.descriptor.columns.iter().enumerate() {
            let value = match self.sources[position] {
                Source::Field(field) => record.field(field),
                Source::Default(place) => {
                    let encoder = ColumnEncoder::new(&load.shape, position, self.batch.column(place))?;
                    if encoder.put(self.next_in_batch, &mut writer)? {
                        continue;
                    }
                    Ok(None)
                }
                Source::Null => Ok(None),
            };
            let value = value.map_err(|error| load.context(error, &at_line(record), Some(&column.name), None))?;
            let Some(value) = value else {
                if column.is_nullable || column.generated.is_some() {
                    continue;
                }
                let error = null_violation(&load.shape, position);
                return Err(load.context(error, &at_line(record), Some(&column.name), None));
            };
            let put = put(
                &mut writer,
                position,
                column.sql_type,
                value,
                &mut self.scratch,
                &mut self.vector,
                load.zone,
            );
            put.map_err(|error| load.context(error, &at_line(record), Some(&column.name), Some(value)))?;
        }
        writer.finish();
        Ok(())
    }
}

/// Rows are checked some at a time.
fn up_to_line(record: &Record) -> String {
    format!("up to line {}", record.line())
}

fn at_line(record: &Record) -> String {
    format!("line {}", record.line())
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
    Err(load.context(error, &at_line(record), None, None))
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
        SqlType::Timestamp => writer.i64(position, text::parse_timestamp(value)?),
        SqlType::TimestampTz => writer.i64(position, text::parse_timestamptz_in(value, zone)?),
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

/// Writes the rows of a batch that has all columns of the table; `place` says which batch it is.
///
/// # Errors
/// What a row may violate, with `place`.
pub fn write_batch(load: &Load, rows: &mut Written<'_>, batch: &RecordBatch, place: &str) -> Result<()> {
    let mut batch = batch.clone();
    if let Some(rules) = &load.rules {
        let checked = rules
            .complete(&load.shape, &batch, 0)
            .and_then(|batch| rules.check(&load.shape, &batch, 0).map(|()| batch));
        batch = checked.map_err(|error| load.context(error, place, None, None))?;
    }
    let encoder = RowEncoder::new(&load.shape, &batch, 0)?;
    let mut row = Vec::new();
    for at in 0..batch.num_rows() {
        row.clear();
        let written = encoder.encode(at, &mut row).and_then(|()| rows.insert(&row));
        written.map_err(|error| {
            let column = error.column().map(str::to_owned);
            load.context(error, place, column.as_deref(), None)
        })?;
    }
    Ok(())
}
