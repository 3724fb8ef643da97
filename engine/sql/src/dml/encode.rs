//! Arrow arrays to the bytes of rows, with the checks that a column's type makes.

use aion_base::{Error, Result, SqlState};
use aion_catalog::row::RowWriter;
use aion_catalog::{SqlType, Value, precision};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    FixedSizeListArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray,
    LargeBinaryArray, ListArray, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::Float32Type;
use datafusion::arrow::record_batch::RecordBatch;

use crate::cells::{Cells, interval_of};
use crate::table::TableShape;

/// The columns of a batch as the columns of a table.
pub struct RowEncoder<'a> {
    shape: &'a TableShape,
    columns: Vec<ColumnEncoder<'a>>,
}

/// An array as one column of a table.
pub struct ColumnEncoder<'a> {
    shape: &'a TableShape,
    position: usize,
    source: Source<'a>,
}

enum Source<'a> {
    Boolean(&'a BooleanArray),
    SmallInt(&'a Int16Array),
    Integer(&'a Int32Array),
    BigInt(&'a Int64Array),
    Real(&'a Float32Array),
    Double(&'a Float64Array),
    Numeric(&'a Decimal128Array),
    Text(&'a StringArray, Option<u32>),
    Char(&'a StringArray, u32),
    Json(&'a StringArray),
    Bytea(&'a BinaryArray),
    Jsonb(&'a LargeBinaryArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray, u8),
    Timestamp(&'a TimestampMicrosecondArray, u8),
    Interval(&'a IntervalMonthDayNanoArray),
    Uuid(&'a FixedSizeBinaryArray),
    Enum(&'a TimestampNanosecondArray),
    Vector(&'a FixedSizeListArray),
    Vectors(&'a ListArray),
    Array(&'a ArrayRef, Cells<'a>),
}

impl<'a> Source<'a> {
    fn new(array: &'a ArrayRef, sql_type: SqlType) -> Option<Self> {
        let any = array.as_any();
        Some(match sql_type {
            SqlType::Boolean => Self::Boolean(any.downcast_ref()?),
            SqlType::SmallInt => Self::SmallInt(any.downcast_ref()?),
            SqlType::Integer => Self::Integer(any.downcast_ref()?),
            SqlType::BigInt => Self::BigInt(any.downcast_ref()?),
            SqlType::Real => Self::Real(any.downcast_ref()?),
            SqlType::Double => Self::Double(any.downcast_ref()?),
            SqlType::Numeric { .. } => Self::Numeric(any.downcast_ref()?),
            SqlType::Text => Self::Text(any.downcast_ref()?, None),
            SqlType::Varchar(limit) => Self::Text(any.downcast_ref()?, limit),
            SqlType::Char(length) => Self::Char(any.downcast_ref()?, length),
            SqlType::Json => Self::Json(any.downcast_ref()?),
            SqlType::Bytea => Self::Bytea(any.downcast_ref()?),
            SqlType::Jsonb => Self::Jsonb(any.downcast_ref()?),
            SqlType::Date => Self::Date(any.downcast_ref()?),
            SqlType::Time(digits) => Self::Time(any.downcast_ref()?, digits),
            SqlType::Timestamp(digits) | SqlType::TimestampTz(digits) => Self::Timestamp(any.downcast_ref()?, digits),
            SqlType::Interval => Self::Interval(any.downcast_ref()?),
            SqlType::Uuid => Self::Uuid(any.downcast_ref()?),
            SqlType::Enum(_) => Self::Enum(any.downcast_ref()?),
            SqlType::Vector(Some(_)) => Self::Vector(any.downcast_ref()?),
            SqlType::Vector(None) => Self::Vectors(any.downcast_ref()?),
            SqlType::Array(_) => Self::Array(array, Cells::of(array, sql_type)?),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        let array: &dyn Array = match self {
            Self::Boolean(array) => array,
            Self::SmallInt(array) => array,
            Self::Integer(array) => array,
            Self::BigInt(array) => array,
            Self::Real(array) => array,
            Self::Double(array) => array,
            Self::Numeric(array) => array,
            Self::Text(array, _) | Self::Json(array) => array,
            Self::Char(array, _) => array,
            Self::Bytea(array) => array,
            Self::Jsonb(array) => array,
            Self::Date(array) => array,
            Self::Time(array, _) => array,
            Self::Timestamp(array, _) => array,
            Self::Interval(array) => array,
            Self::Uuid(array) => array,
            Self::Enum(array) => array,
            Self::Vector(array) => array,
            Self::Vectors(array) => array,
            Self::Array(array, _) => array,
        };
        array.is_null(row)
    }
}

impl<'a> RowEncoder<'a> {
    /// An encoder of the rows of `batch`, whose columns from `first` on are the table's.
    ///
    /// # Errors
    /// Internal, when the types are not the table's.
    pub fn new(shape: &'a TableShape, batch: &'a RecordBatch, first: usize) -> Result<Self> {
        let columns = (0..shape.descriptor.columns.len()).map(|position| match batch.columns().get(first + position) {
            Some(array) => ColumnEncoder::new(shape, position, array),
            None => Err(Error::internal(format!(
                "a batch of {} columns lacks column \"{}\"",
                batch.num_columns(),
                shape.descriptor.columns[position].name
            ))),
        });
        Ok(Self {
            shape,
            columns: columns.collect::<Result<_>>()?,
        })
    }

    /// Appends the bytes of a row.
    ///
    /// # Errors
    /// 23502 for a NULL in a column that takes none, 22001 for a text that is too long, 22P02 for json that is none.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let mut writer = RowWriter::new(&self.shape.layout, out);
        for column in &self.columns {
            if !column.put(row, &mut writer)? && !self.shape.descriptor.columns[column.position].is_nullable {
                return Err(null_violation(self.shape, column.position));
            }
        }
        writer.finish();
        Ok(())
    }
}

impl<'a> ColumnEncoder<'a> {
    /// An encoder of the table's column at `position`.
    ///
    /// # Errors
    /// Internal, when the type is not the column's.
    pub fn new(shape: &'a TableShape, position: usize, array: &'a ArrayRef) -> Result<Self> {
        let column = &shape.descriptor.columns[position];
        match Source::new(array, column.sql_type) {
            Some(source) => Ok(Self {
                shape,
                position,
                source,
            }),
            None => Err(Error::internal(format!(
                "column \"{}\" of type {} comes as {}",
                column.name,
                column.sql_type,
                array.data_type()
            ))),
        }
    }

    /// Writes the value; false, and nothing is written, for NULL.
    ///
    /// # Errors
    /// 22001 for a text that is too long, 22P02 for json that is none, 22000 for a vector with holes.
    pub fn put(&self, row: usize, writer: &mut RowWriter<'_>) -> Result<bool> {
        let position = self.position;
        if self.source.is_null(row) {
            return Ok(false);
        }
        match &self.source {
            Source::Boolean(array) => writer.bool(position, array.value(row)),
            Source::SmallInt(array) => writer.i16(position, array.value(row)),
            Source::Integer(array) => writer.i32(position, array.value(row)),
            Source::BigInt(array) => writer.i64(position, array.value(row)),
            Source::Real(array) => writer.f32(position, array.value(row)),
            Source::Double(array) => writer.f64(position, array.value(row)),
            Source::Numeric(array) => writer.i128(position, array.value(row)),
            Source::Text(array, limit) => {
                let text = array.value(row);
                self.check_length(text, *limit)?;
                writer.bytes(position, text.as_bytes());
            }
            Source::Char(array, length) => {
                let text = aion_catalog::text::parse_char(array.value(row), *length);
                let text =
                    text.map_err(|error| error.with_column(self.shape.descriptor.columns[position].name.clone()))?;
                writer.bytes(position, text.as_bytes());
            }
            Source::Json(array) => {
                let text = array.value(row);
                aion_catalog::text::check_json(text)?;
                writer.bytes(position, text.as_bytes());
            }
            Source::Bytea(array) => writer.bytes(position, array.value(row)),
            Source::Jsonb(array) => writer.bytes(position, array.value(row)),
            Source::Date(array) => writer.i32(position, array.value(row)),
            Source::Time(array, digits) => writer.i64(position, precision::time(array.value(row), *digits)),
            Source::Timestamp(array, digits) => writer.i64(position, precision::timestamp(array.value(row), *digits)),
            Source::Enum(array) => writer.i64(position, array.value(row)),
            Source::Interval(array) => writer.interval(position, interval_of(array.value(row))),
            Source::Uuid(array) => {
                let bytes = array.value(row).try_into();
                writer.uuid(position, bytes.map_err(|_| Error::internal("a uuid has 16 bytes"))?);
            }
            Source::Vector(array) => self.vector(writer, &array.value(row))?,
            Source::Vectors(array) => self.vector(writer, &array.value(row))?,
            Source::Array(_, cells) => self.array(writer, cells.value(row)?)?,
        }
        Ok(true)
    }

    /// Each element is checked as a column of its type would be.
    fn array(&self, writer: &mut RowWriter<'_>, array: Value) -> Result<()> {
        let column = &self.shape.descriptor.columns[self.position];
        let (Value::Array(mut elements), Some(element)) = (array, column.sql_type.element()) else {
            return Err(Error::internal(format!("column \"{}\" is no array", column.name)));
        };
        for value in &mut elements {
            match (&mut *value, element) {
                (Value::Text(text), SqlType::Varchar(limit)) => self.check_length(text, limit)?,
                (Value::Text(text), SqlType::Char(length)) => {
                    let checked = aion_catalog::text::parse_char(text, length)
                        .map_err(|error| error.with_column(column.name.clone()))?;
                    *text = checked.to_owned();
                }
                (Value::Json(text), _) => aion_catalog::text::check_json(text)?,
                (Value::Time(_) | Value::Timestamp(_), _) => {
                    *value = std::mem::replace(value, Value::Null).rounded(&element)
                }
                _ => {}
            }
        }
        writer.array(self.position, &elements);
        Ok(())
    }

    fn vector(&self, writer: &mut RowWriter<'_>, components: &ArrayRef) -> Result<()> {
        let components = components
            .as_primitive_opt::<Float32Type>()
            .filter(|components| components.null_count() == 0)
            .ok_or_else(|| self.error(SqlState::DATA_EXCEPTION, "a vector holds no NULL"))?;
        if components.values().iter().any(|component| !component.is_finite()) {
            return Err(self.error(SqlState::DATA_EXCEPTION, "a vector holds finite numbers"));
        }
        writer.vector(self.position, components.values());
        Ok(())
    }

    fn check_length(&self, text: &str, limit: Option<u32>) -> Result<()> {
        // Fewer bytes than characters there cannot be, so most texts need no counting.
        let Some(limit) = limit.filter(|&limit| text.len() > limit as usize) else {
            return Ok(());
        };
        let mut beyond = text.chars().skip(limit as usize);
        // The standard lets trailing spaces go; a stored value keeps what fits.
        match beyond.all(|rest| rest == ' ') {
            true if text.chars().count() <= limit as usize => Ok(()),
            _ => Err(self.error(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                &format!("value too long for type character varying({limit})"),
            )),
        }
    }

    fn error(&self, state: SqlState, message: &str) -> Error {
        column_error(self.shape, self.position, state, message)
    }
}

/// 23502 for a NULL in a column that takes none.
pub fn null_violation(shape: &TableShape, position: usize) -> Error {
    let column = &shape.descriptor.columns[position].name;
    let table = &shape.descriptor.name;
    let message = format!("null value in column \"{column}\" of relation \"{table}\" violates not-null constraint");
    column_error(shape, position, SqlState::NOT_NULL_VIOLATION, &message)
}

fn column_error(shape: &TableShape, position: usize, state: SqlState, message: &str) -> Error {
    let table = &shape.descriptor;
    Error::invalid(state, message)
        .with_schema(table.schema.clone())
        .with_table(table.name.clone())
        .with_column(table.columns[position].name.clone())
}
