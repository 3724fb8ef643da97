//! COPY FROM a CSV file on the server.
//!
//! The file is read, checked and written into the transaction row by row; an error names the line and the column and takes everything
//! back. Follows PostgreSQL's `FORMAT csv`: an unquoted field that equals the NULL string is NULL, a quoted one never is.
//!
//! Deliberately absent until later: COPY TO, STDIN and STDOUT, PROGRAM, text and binary formats, Parquet.

mod csv;

use std::fs::File;
use std::path::Path;

use aion_base::{Error, Result, SqlState};
use aion_catalog::row::RowWriter;
use aion_catalog::{SqlType, text};
use datafusion::sql::sqlparser::ast;

use self::csv::{CsvReader, Record};
use crate::cancel::Cancellation;
use crate::dml::RowWrites;
use crate::table::TableShape;
use crate::transaction::Transaction;

/// Rows between two looks at the cancellation.
const ROWS_PER_CHECK: u64 = 1024;

/// What a COPY says besides table and file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// The first line names columns and is no row.
    pub has_header: bool,
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: u8,
    /// The unquoted text that is NULL.
    pub null: String,
}

impl CopyOptions {
    /// Reads the options of the statement.
    ///
    /// # Errors
    /// 0A000 for what is not there yet, 22023 for a value that cannot be.
    pub fn new(options: &[ast::CopyOption], legacy: &[ast::CopyLegacyOption]) -> Result<Self> {
        if let Some(option) = legacy.first() {
            return Err(
                Error::unsupported(format!("COPY option {option} without parentheses is not there"))
                    .with_hint("Write COPY t FROM '/path/file' (FORMAT csv, HEADER true)."),
            );
        }
        let mut found = Self {
            has_header: false,
            delimiter: b',',
            quote: b'"',
            null: String::new(),
        };
        let mut is_csv = false;
        for option in options {
            match option {
                ast::CopyOption::Format(name) if name.value.eq_ignore_ascii_case("csv") => is_csv = true,
                ast::CopyOption::Header(has_header) => found.has_header = *has_header,
                ast::CopyOption::Delimiter(character) => found.delimiter = one_byte(*character, "DELIMITER")?,
                ast::CopyOption::Quote(character) => found.quote = one_byte(*character, "QUOTE")?,
                ast::CopyOption::Null(text) => found.null.clone_from(text),
                ast::CopyOption::Encoding(name) if name.replace('-', "").eq_ignore_ascii_case("utf8") => {}
                ast::CopyOption::Freeze(_) => {}
                other => return Err(Error::unsupported(format!("COPY option {other} is not there yet"))),
            }
        }
        if !is_csv {
            return Err(Error::unsupported(
                "COPY reads FORMAT csv; other formats are not there yet",
            ));
        }
        if found.delimiter == found.quote {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                "COPY delimiter and quote must be different",
            ));
        }
        Ok(found)
    }
}

fn one_byte(character: char, option: &str) -> Result<u8> {
    match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() && byte != b'\n' && byte != b'\r' => Ok(byte),
        _ => Err(Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("COPY {option} must be a single one-byte character"),
        )),
    }
}

/// Loads a file; returns the number of rows. All or nothing.
///
/// # Errors
/// 58P01 for a missing file, 22P04 and 22P02 with line and column for what is in it, 23505 for a duplicate key.
pub fn load(
    shape: &TableShape,
    columns: &[usize],
    path: &Path,
    options: &CopyOptions,
    transaction: &Transaction,
    cancellation: &Cancellation,
) -> Result<u64> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a file of the user, read once; no power cut concerns it"
    )]
    let file = File::open(path)
        .map_err(|error| Error::io(format_args!("open file \"{}\" for reading", path.display()), error))?;
    transaction.save();
    let loaded = load_rows(
        shape,
        columns,
        CsvReader::new(file, options),
        options,
        transaction,
        cancellation,
    );
    if loaded.is_err() {
        transaction.restore();
    }
    loaded
}

fn load_rows(
    shape: &TableShape,
    columns: &[usize],
    mut reader: CsvReader<File>,
    options: &CopyOptions,
    transaction: &Transaction,
    cancellation: &Cancellation,
) -> Result<u64> {
    let mut rows = RowWrites::new(shape, transaction);
    let mut record = Record::default();
    let mut row = Vec::new();
    // A variable column must be written after those before it in the table, whatever the file's order.
    let mut order: Vec<(usize, usize)> = columns
        .iter()
        .copied()
        .enumerate()
        .map(|(field, column)| (column, field))
        .collect();
    order.sort_unstable();
    if options.has_header && !reader.read(&mut record)? {
        return Ok(0);
    }
    let mut count = 0;
    while reader.read(&mut record)? {
        if count % ROWS_PER_CHECK == 0 && cancellation.is_cancelled() {
            return Err(cancellation.error());
        }
        let line = record.line();
        let at_line = |error: Error| context(error, shape, line, None);
        if record.len() != columns.len() {
            let message = if record.len() < columns.len() {
                let missing = &shape.descriptor.columns[columns[record.len()]].name;
                format!("missing data for column \"{missing}\"")
            } else {
                "extra data after last expected column".to_owned()
            };
            return Err(at_line(Error::invalid(SqlState::BAD_COPY_FILE_FORMAT, message)));
        }
        row.clear();
        encode(shape, &order, &record, options, &mut row)?;
        rows.insert(&row).map_err(at_line)?;
        count += 1;
    }
    Ok(count)
}

fn encode(
    shape: &TableShape,
    order: &[(usize, usize)],
    record: &Record,
    options: &CopyOptions,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut writer = RowWriter::new(&shape.layout, out);
    let mut scratch = Vec::new();
    let mut vector = Vec::new();
    let mut order = order.iter().peekable();
    for (position, column) in shape.descriptor.columns.iter().enumerate() {
        let field = order
            .next_if(|(column, _)| *column == position)
            .map(|(_, field)| *field);
        let in_column = |error: Error| context(error, shape, record.line(), Some(&column.name));
        let value = match field {
            Some(field) => record.field(field).map_err(in_column)?,
            None => None,
        };
        let value = value.filter(|(text, is_quoted)| *is_quoted || *text != options.null);
        let Some((value, _)) = value else {
            if !column.is_nullable {
                let message = format!(
                    "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                    column.name, shape.descriptor.name
                );
                return Err(in_column(Error::invalid(SqlState::NOT_NULL_VIOLATION, message)));
            }
            continue;
        };
        put(&mut writer, position, column.sql_type, value, &mut scratch, &mut vector).map_err(in_column)?;
    }
    writer.finish();
    Ok(())
}

fn put(
    writer: &mut RowWriter<'_>,
    position: usize,
    sql_type: SqlType,
    value: &str,
    scratch: &mut Vec<u8>,
    vector: &mut Vec<f32>,
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
        SqlType::Json => {
            text::check_json(value)?;
            writer.bytes(position, value.as_bytes());
        }
        SqlType::Bytea => {
            scratch.clear();
            text::parse_bytea(value, scratch)?;
            writer.bytes(position, scratch);
        }
        SqlType::Date => writer.i32(position, text::parse_date(value)?),
        SqlType::Timestamp => writer.i64(position, text::parse_timestamp(value)?),
        SqlType::TimestampTz => writer.i64(position, text::parse_timestamptz(value)?),
        SqlType::Uuid => writer.uuid(position, text::parse_uuid(value)?),
        SqlType::Vector(dimensions) => {
            vector.clear();
            text::parse_vector(value, dimensions, |component| vector.push(component))?;
            writer.vector(position, vector);
        }
    }
    Ok(())
}

/// The error with the place in the file, as PostgreSQL's CONTEXT says it.
fn context(error: Error, shape: &TableShape, line: u64, column: Option<&str>) -> Error {
    let table = &shape.descriptor.name;
    let place = match column {
        Some(column) => format!("COPY {table}, line {line}, column {column}"),
        None => format!("COPY {table}, line {line}"),
    };
    let detail = match error.detail() {
        Some(detail) => format!("{detail} {place}"),
        None => place,
    };
    let error = error.with_detail(detail).with_table(table.clone());
    match column {
        Some(column) => error.with_column(column),
        None => error,
    }
}
