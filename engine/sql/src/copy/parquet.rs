//! Parquet files, a row group at a time.
//!
//! **Reading.** Columns are found by name; where the statement lists as many columns as the file has and a name is not among the
//! file's, by place. A column may have any type that the table's holds without a guess: integers of other widths, decimals
//! and floats into each other, times of other units, texts in any of Arrow's layouts. A text is never read as a number. A
//! value that does not fit (an overflow, a fraction) is an error that names column and row group.
//!
//! **Writing.** One column for each of the result's, as Arrow has it, compressed with zstd. A row group ends at
//! [`GROUP_ROWS_MAX`] rows or [`GROUP_BYTES_MAX`] bytes, which bounds the memory.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use datafusion::arrow::array::{Array, ArrayRef, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;

use super::load::{Load, write_batch};
use crate::cells::{documents_of_texts, interval_texts, intervals_of_texts, values_of_labels};
use crate::table::TableShape;

/// Rows of a batch that is read.
const BATCH_ROWS: usize = 1024;
/// Rows of a row group that is written, at most.
const GROUP_ROWS_MAX: usize = 122_880;
/// Bytes of a row group that is gathered, at most.
const GROUP_BYTES_MAX: usize = 64 << 20;

/// Loads a file; answers the number of rows.
///
/// # Errors
/// 22P04 for a file that is no Parquet, 42703 for a column that it lacks, 42804 for one of another type, 22003 for a value
/// that does not fit.
pub fn load(load: &Load, file: File) -> Result<u64> {
    let metadata = ArrowReaderMetadata::load(&file, Default::default()).map_err(failed)?;
    let places = places(load, metadata.schema())?;
    let file = Arc::new(file);
    let mut rows = load.writes()?;
    let mut count = 0;
    for group in 0..metadata.metadata().num_row_groups() {
        let place = format!("row group {group}");
        check_types(load, metadata.schema(), &places, &place)?;
        let in_group = |error: Error| load.context(error, &place, None, None);
        let file = file.try_clone().map_err(|error| Error::io("read the file", error))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), places.iter().copied());
        let reader = builder
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| in_group(failed(error)))?;
        for batch in reader {
            load.check_cancelled()?;
            let batch = batch.map_err(|error| {
                in_group(Error::invalid(
                    SqlState::BAD_COPY_FILE_FORMAT,
                    format!("the Parquet file cannot be read: {error}"),
                ))
            })?;
            let batch = conform(load, metadata.schema(), &places, &batch, &place)?;
            write_batch(load, &mut rows, &batch, &place)?;
            count += batch.num_rows() as u64;
        }
    }
    rows.finish()?;
    Ok(count)
}

/// For each column that is loaded, its place in the file.
fn places(load: &Load, schema: &Schema) -> Result<Vec<usize>> {
    let name = |column: usize| load.shape.descriptor.columns[column].name.as_str();
    let by_name: Vec<_> = load
        .columns
        .iter()
        .map(|&column| schema.fields().iter().position(|field| field.name() == name(column)))
        .collect();
    if let Some(places) = by_name.iter().copied().collect() {
        return Ok(places);
    }
    if load.is_listed && schema.fields().len() == load.columns.len() {
        return Ok((0..load.columns.len()).collect());
    }
    let missing = by_name.iter().position(Option::is_none).unwrap_or(0);
    let there: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    Err(Error::not_found(
        SqlState::UNDEFINED_COLUMN,
        format!("the Parquet file has no column \"{}\"", name(load.columns[missing])),
    )
    .with_detail(format!("It has: {}.", there.join(", ")))
    .with_hint("List the columns that the file has: COPY t (a, b) FROM ... Names that differ go by place."))
}

fn check_types(load: &Load, schema: &Schema, places: &[usize], place: &str) -> Result<()> {
    for (&column, &at) in load.columns.iter().zip(places) {
        let column = &load.shape.descriptor.columns[column];
        let found = schema.field(at).data_type();
        if !may_become(found, column.sql_type) {
            let error = Error::invalid(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" is of type {}, and the Parquet file has {found} there",
                    column.name, column.sql_type
                ),
            );
            return Err(load.context(error, place, Some(&column.name), None));
        }
    }
    Ok(())
}

/// Whether values of an Arrow type are values of the SQL type, apart from their range.
fn may_become(found: &DataType, sql_type: SqlType) -> bool {
    use DataType as D;
    let found = match found {
        D::Dictionary(_, values) => values,
        other => other,
    };
    let is_text = matches!(found, D::Utf8 | D::LargeUtf8 | D::Utf8View);
    let is_bytes = matches!(
        found,
        D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_)
    );
    match sql_type {
        _ if *found == D::Null => true,
        SqlType::Boolean => *found == D::Boolean,
        SqlType::SmallInt | SqlType::Integer | SqlType::BigInt => found.is_integer(),
        SqlType::Real | SqlType::Double | SqlType::Numeric { .. } => found.is_numeric(),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Json | SqlType::Jsonb => is_text,
        SqlType::Bytea => is_bytes,
        SqlType::Date => matches!(found, D::Date32 | D::Date64),
        SqlType::Time(_) => matches!(found, D::Time32(_) | D::Time64(_)),
        SqlType::Timestamp(_) => matches!(found, D::Timestamp(_, None) | D::Date32 | D::Date64),
        SqlType::TimestampTz(_) => matches!(found, D::Timestamp(_, _)),
        SqlType::Interval => is_text || matches!(found, D::Interval(_)),
        SqlType::Enum(_) => is_text,
        SqlType::Uuid => matches!(found, D::FixedSizeBinary(16)),
        SqlType::Array(element) => match found {
            D::List(field) | D::LargeList(field) => may_become(field.data_type(), element.sql_type()),
            _ => false,
        },
        SqlType::Vector(dimensions) => match found {
            D::FixedSizeList(field, length) => {
                field.data_type().is_floating() && dimensions.is_none_or(|wanted| i32::from(wanted) == *length)
            }
            D::List(field) | D::LargeList(field) => field.data_type().is_floating(),
            _ => false,
        },
    }
}

/// The batch with all columns of the table, in their types.
fn conform(load: &Load, schema: &Schema, places: &[usize], batch: &RecordBatch, place: &str) -> Result<RecordBatch> {
    let count = batch.num_rows();
    let defaults = load.defaults.rows(count)?;
    let columns = load
        .shape
        .descriptor
        .columns
        .iter()
        .enumerate()
        .map(|(position, column)| {
            let loaded = load.columns.iter().position(|&loaded| loaded == position);
            let Some(loaded) = loaded else {
                return Ok(match load.defaults.place(position) {
                    Some(default) => defaults.column(default).clone(),
                    None => new_null_array(&column.sql_type.to_arrow(), count),
                });
            };
            // The reader gives the projected columns in the file's order.
            let at = places.iter().filter(|&&other| other < places[loaded]).count();
            let name = schema.field(places[loaded]).name();
            convert(batch.column(at), column.sql_type).map_err(|error| {
                let error = Error::invalid(
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    format!(
                        "a value of the Parquet column \"{name}\" does not fit type {}: {error}",
                        column.sql_type
                    ),
                );
                load.context(error, place, Some(&column.name), None)
            })
        });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
    RecordBatch::try_new(all_nullable(&load.shape), columns)
        .map_err(|error| Error::internal(format!("a Parquet batch does not fit its table: {error}")))
}

/// The array in the SQL type's layout; a fraction or an overflow is an error, never a rounded or lost value.
fn convert(array: &ArrayRef, sql_type: SqlType) -> std::result::Result<ArrayRef, String> {
    let wanted = sql_type.to_arrow();
    if sql_type == SqlType::Jsonb && *array.data_type() != DataType::Null {
        return documents_of_texts(array).map_err(|error| error.message().to_owned());
    }
    if let SqlType::Enum(of) = sql_type
        && *array.data_type() != DataType::Null
    {
        return values_of_labels(array, of).map_err(|error| error.message().to_owned());
    }
    if *array.data_type() == wanted {
        return Ok(array.clone());
    }
    if sql_type == SqlType::Interval && !matches!(array.data_type(), DataType::Null | DataType::Interval(_)) {
        return intervals_of_texts(array).map_err(|error| error.message().to_owned());
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let cast = cast_with_options(array, &wanted, &options).map_err(|error| error.to_string())?;
    if cast.null_count() != array.logical_null_count() {
        return Err("it is lost".to_owned());
    }
    Ok(cast)
}

/// Every column takes NULL, because the check, with the column's name, is the row's.
fn all_nullable(shape: &TableShape) -> SchemaRef {
    let fields = shape.descriptor.columns.iter();
    let fields = fields.map(|column| column.sql_type.to_field(column.name.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn failed(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => Error::io("read or write the Parquet file", *error),
            Err(inner) => Error::internal(inner.to_string()),
        },
        other => Error::invalid(
            SqlState::BAD_COPY_FILE_FORMAT,
            format!("the Parquet file cannot be read: {other}"),
        ),
    }
}

/// The schema with intervals as texts: those of Parquet have milliseconds and no signs.
fn with_texts(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Interval(_) => field.as_ref().clone().with_data_type(DataType::Utf8),
        _ => field.as_ref().clone(),
    });
    let fields: Vec<Field> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Writes batches as a Parquet file.
pub struct ParquetSink<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
}

impl<W: Write + Send> ParquetSink<W> {
    /// A file of `schema` in `out`.
    ///
    /// # Errors
    /// 0A000 for a type that Parquet does not have, 58030.
    pub fn new(out: W, schema: SchemaRef) -> Result<Self> {
        let schema = with_texts(&schema);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
            .build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(written)?;
        Ok(Self { writer, schema })
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// 53100, 58030.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.columns().iter().map(|column| match column.data_type() {
            DataType::Interval(_) => interval_texts(column),
            _ => Ok(column.clone()),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| Error::internal(format!("a batch does not fit its Parquet file: {error}")))?;
        self.writer.write(&batch).map_err(written)?;
        if self.writer.in_progress_size() > GROUP_BYTES_MAX {
            self.writer.flush().map_err(written)?;
        }
        Ok(())
    }

    /// Ends the file; gives back what it was written to.
    ///
    /// # Errors
    /// As [`ParquetSink::write`].
    pub fn finish(self) -> Result<W> {
        self.writer.into_inner().map_err(written)
    }
}

fn written(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => Error::io("write the Parquet file", *error),
            Err(inner) => Error::internal(inner.to_string()),
        },
        other => Error::unsupported(format!("the result cannot be written as Parquet: {other}")),
    }
}
