//! Rows to Arrow batches.

use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::row::{RowLayout, RowReader};
use aion_catalog::{SqlType, Value};
use datafusion::arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeBinaryBuilder,
    FixedSizeListBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder,
    IntervalMonthDayNanoBuilder, LargeBinaryBuilder, LargeListArray, ListArray, ListBuilder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder, TimestampNanosecondBuilder,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::cells::arrow_interval;

/// Gathers rows into a batch.
pub struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
}

/// One column of the batch.
struct Column {
    source: Source,
    builder: Builder,
}

enum Source {
    /// A column of the row, by position.
    Row(usize),
    /// The row's key.
    Key,
}

enum Builder {
    Boolean(BooleanBuilder),
    SmallInt(Int16Builder),
    Integer(Int32Builder),
    BigInt(Int64Builder),
    Real(Float32Builder),
    Double(Float64Builder),
    Numeric(Decimal128Builder),
    Text(StringBuilder),
    Bytea(BinaryBuilder),
    Jsonb(LargeBinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Enum(TimestampNanosecondBuilder),
    Vector(FixedSizeListBuilder<Float32Builder>, i32),
    Vectors(ListBuilder<Float32Builder>),
    Arrays(Box<Lists>),
}

/// Arrays: their elements, one after another.
struct Lists {
    element: SqlType,
    elements: Builder,
    lengths: Vec<usize>,
    is_there: Vec<bool>,
}

/// Rows that a batch has room for at first, unless the caller knows better.
const BATCH_ROWS: usize = 1024;
/// Components of vectors that room is made for at once.
const COMPONENTS_MAX: usize = 16_384;
/// Bytes of a text or bytea that room is made for.
const VARIABLE_BYTES: usize = 16;

impl Builder {
    fn with_capacity(sql_type: SqlType, rows: usize) -> Self {
        match sql_type {
            SqlType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            SqlType::SmallInt => Self::SmallInt(Int16Builder::with_capacity(rows)),
            SqlType::Integer => Self::Integer(Int32Builder::with_capacity(rows)),
            SqlType::BigInt => Self::BigInt(Int64Builder::with_capacity(rows)),
            SqlType::Real => Self::Real(Float32Builder::with_capacity(rows)),
            SqlType::Double => Self::Double(Float64Builder::with_capacity(rows)),
            SqlType::Numeric { .. } => {
                Self::Numeric(Decimal128Builder::with_capacity(rows).with_data_type(sql_type.to_arrow()))
            }
            SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Json => {
                Self::Text(StringBuilder::with_capacity(rows, rows * VARIABLE_BYTES))
            }
            SqlType::Bytea => Self::Bytea(BinaryBuilder::with_capacity(rows, rows * VARIABLE_BYTES)),
            SqlType::Jsonb => Self::Jsonb(LargeBinaryBuilder::with_capacity(rows, rows * VARIABLE_BYTES)),
            SqlType::Date => Self::Date(Date32Builder::with_capacity(rows)),
            SqlType::Time(_) => Self::Time(Time64MicrosecondBuilder::with_capacity(rows)),
            SqlType::Timestamp(_) | SqlType::TimestampTz(_) => {
                Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(sql_type.to_arrow()))
            }
            SqlType::Interval => Self::Interval(IntervalMonthDayNanoBuilder::with_capacity(rows)),
            SqlType::Uuid => Self::Uuid(FixedSizeBinaryBuilder::with_capacity(rows, 16)),
            SqlType::Enum(_) => {
                Self::Enum(TimestampNanosecondBuilder::with_capacity(rows).with_data_type(sql_type.to_arrow()))
            }
            SqlType::Vector(Some(dimensions)) => {
                let components = (rows * usize::from(dimensions)).min(COMPONENTS_MAX);
                let components = Float32Builder::with_capacity(components);
                let dimensions = i32::from(dimensions);
                Self::Vector(
                    FixedSizeListBuilder::with_capacity(components, dimensions, rows),
                    dimensions,
                )
            }
            SqlType::Vector(None) => Self::Vectors(ListBuilder::with_capacity(Float32Builder::new(), rows)),
            SqlType::Array(element) => Self::Arrays(Box::new(Lists {
                element: element.sql_type(),
                elements: Self::with_capacity(element.sql_type(), rows),
                lengths: Vec::with_capacity(rows),
                is_there: Vec::with_capacity(rows),
            })),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::SmallInt(builder) => builder.append_null(),
            Self::Integer(builder) => builder.append_null(),
            Self::BigInt(builder) => builder.append_null(),
            Self::Real(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Numeric(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Bytea(builder) => builder.append_null(),
            Self::Jsonb(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Interval(builder) => builder.append_null(),
            Self::Uuid(builder) => builder.append_null(),
            Self::Enum(builder) => builder.append_null(),
            Self::Vector(builder, dimensions) => {
                builder.values().append_nulls(*dimensions as usize);
                builder.append(false);
            }
            Self::Vectors(builder) => builder.append_null(),
            Self::Arrays(lists) => {
                lists.lengths.push(0);
                lists.is_there.push(false);
            }
        }
    }

    fn append(&mut self, row: &RowReader<'_>, column: usize) -> Result<()> {
        match self {
            Self::Boolean(builder) => builder.append_value(row.bool(column)),
            Self::SmallInt(builder) => builder.append_value(row.i16(column)),
            Self::Integer(builder) => builder.append_value(row.i32(column)),
            Self::BigInt(builder) => builder.append_value(row.i64(column)),
            Self::Real(builder) => builder.append_value(row.f32(column)),
            Self::Double(builder) => builder.append_value(row.f64(column)),
            Self::Numeric(builder) => builder.append_value(row.i128(column)),
            Self::Text(builder) => builder.append_value(row.text(column)?),
            Self::Bytea(builder) => builder.append_value(row.bytes(column)?),
            Self::Jsonb(builder) => builder.append_value(row.bytes(column)?),
            Self::Date(builder) => builder.append_value(row.i32(column)),
            Self::Time(builder) => builder.append_value(row.i64(column)),
            Self::Timestamp(builder) => builder.append_value(row.i64(column)),
            Self::Enum(builder) => builder.append_value(row.i64(column)),
            Self::Interval(builder) => builder.append_value(arrow_interval(row.interval(column))?),
            Self::Uuid(builder) => {
                builder
                    .append_value(row.uuid(column))
                    .map_err(|error| Error::internal(error.to_string()))?;
            }
            Self::Vector(builder, dimensions) => {
                let components = row.vector(column)?;
                if components.len() != *dimensions as usize {
                    return Err(Error::corrupt(format!(
                        "a stored vector has {} dimensions, and its column {dimensions}",
                        components.len()
                    )));
                }
                builder.values().extend(components.map(Some));
                builder.append(true);
            }
            Self::Vectors(builder) => {
                builder.values().extend(row.vector(column)?.map(Some));
                builder.append(true);
            }
            Self::Arrays(lists) => lists.append(&row.array(column)?)?,
        }
        Ok(())
    }

    fn append_value(&mut self, value: &Value) -> Result<()> {
        match (self, value) {
            (builder, Value::Null) => builder.append_null(),
            (Self::Boolean(builder), Value::Bool(value)) => builder.append_value(*value),
            (Self::SmallInt(builder), Value::I16(value)) => builder.append_value(*value),
            (Self::Integer(builder), Value::I32(value)) => builder.append_value(*value),
            (Self::BigInt(builder), Value::I64(value)) => builder.append_value(*value),
            (Self::Numeric(builder), Value::Decimal(value, _)) => builder.append_value(*value),
            (Self::Real(builder), Value::F32(value)) => builder.append_value(*value),
            (Self::Double(builder), Value::F64(value)) => builder.append_value(*value),
            (Self::Text(builder), Value::Text(value) | Value::Json(value)) => builder.append_value(value),
            (Self::Bytea(builder), Value::Bytes(value)) => builder.append_value(value),
            (Self::Date(builder), Value::Date(value)) => builder.append_value(*value),
            (Self::Time(builder), Value::Time(value)) => builder.append_value(*value),
            (Self::Timestamp(builder), Value::Timestamp(value)) => builder.append_value(*value),
            (Self::Enum(builder), Value::Enum(value)) => builder.append_value(*value),
            (Self::Interval(builder), Value::Interval(value)) => builder.append_value(arrow_interval(*value)?),
            (Self::Uuid(builder), Value::Uuid(value)) => builder
                .append_value(value)
                .map_err(|error| Error::internal(error.to_string()))?,
            (Self::Vector(builder, dimensions), Value::Vector(components))
                if components.len() == *dimensions as usize =>
            {
                builder.values().append_slice(components);
                builder.append(true);
            }
            (Self::Vectors(builder), Value::Vector(components)) => {
                builder.values().append_slice(components);
                builder.append(true);
            }
            (Self::Jsonb(builder), Value::Jsonb(value)) => builder.append_value(value.as_bytes()),
            (Self::Arrays(lists), Value::Array(elements)) => lists.append(elements)?,
            (_, value) => return Err(Error::internal(format!("{value:?} does not belong to the column"))),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        let builder: &mut dyn ArrayBuilder = match self {
            Self::Boolean(builder) => builder,
            Self::SmallInt(builder) => builder,
            Self::Integer(builder) => builder,
            Self::BigInt(builder) => builder,
            Self::Real(builder) => builder,
            Self::Double(builder) => builder,
            Self::Numeric(builder) => builder,
            Self::Text(builder) => builder,
            Self::Bytea(builder) => builder,
            Self::Jsonb(builder) => builder,
            Self::Date(builder) => builder,
            Self::Time(builder) => builder,
            Self::Timestamp(builder) => builder,
            Self::Interval(builder) => builder,
            Self::Uuid(builder) => builder,
            Self::Enum(builder) => builder,
            Self::Vector(builder, _) => builder,
            Self::Vectors(builder) => builder,
            Self::Arrays(lists) => return lists.finish(),
        };
        builder.finish()
    }
}

impl Lists {
    fn append(&mut self, elements: &[Value]) -> Result<()> {
        elements
            .iter()
            .try_for_each(|element| self.elements.append_value(element))?;
        self.lengths.push(elements.len());
        self.is_there.push(true);
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        let values = self.elements.finish();
        let item = Arc::new(Field::new_list_field(self.element.to_arrow(), true));
        let lengths = std::mem::take(&mut self.lengths);
        let nulls = Some(NullBuffer::from(std::mem::take(&mut self.is_there)));
        match self.element {
            SqlType::Real => Arc::new(LargeListArray::new(
                item,
                OffsetBuffer::from_lengths(lengths),
                values,
                nulls,
            )),
            _ => Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, nulls)),
        }
    }
}

/// Values of a type, or NULLs, as an array.
///
/// # Errors
/// Internal, for a value of another type.
pub fn array_of<'a>(sql_type: SqlType, values: impl IntoIterator<Item = &'a Value>) -> Result<ArrayRef> {
    let mut builder = Builder::with_capacity(sql_type, 0);
    values.into_iter().try_for_each(|value| builder.append_value(value))?;
    Ok(builder.finish())
}

impl BatchBuilder {
    /// For batches of `schema`, whose fields are the table's columns at `projection`; a position behind the last column is the
    /// row's key.
    pub fn new(layout: &RowLayout, projection: &[usize], schema: SchemaRef) -> Self {
        Self::with_capacity(layout, projection, schema, BATCH_ROWS)
    }

    /// As [`BatchBuilder::new`], with room for so many rows at first.
    pub fn with_capacity(layout: &RowLayout, projection: &[usize], schema: SchemaRef, rows: usize) -> Self {
        let columns = projection
            .iter()
            .map(|&position| match position < layout.len() {
                true => Column {
                    source: Source::Row(position),
                    builder: Builder::with_capacity(layout.sql_type(position), rows),
                },
                false => Column {
                    source: Source::Key,
                    builder: Builder::with_capacity(SqlType::Bytea, rows),
                },
            })
            .collect();
        Self {
            schema,
            columns,
            rows: 0,
        }
    }

    /// Rows gathered.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Corrupt, for a damaged row.
    pub fn push(&mut self, layout: &RowLayout, key: &[u8], value: &[u8]) -> Result<()> {
        self.push_row(&RowReader::new(layout, value)?, key)
    }

    /// Adds a row that is open already.
    ///
    /// # Errors
    /// Corrupt, for a damaged row.
    pub fn push_row(&mut self, row: &RowReader<'_>, key: &[u8]) -> Result<()> {
        for column in &mut self.columns {
            match (&column.source, &mut column.builder) {
                (Source::Key, Builder::Bytea(builder)) => builder.append_value(key),
                (Source::Row(position), builder) if !row.is_null(*position) => builder.append(row, *position)?,
                (_, builder) => builder.append_null(),
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds a row by its values, which are by position in the table.
    ///
    /// # Errors
    /// Internal, for a value of another type.
    pub fn push_values(&mut self, values: &[Value]) -> Result<()> {
        for column in &mut self.columns {
            match column.source {
                Source::Row(position) => column.builder.append_value(&values[position])?,
                Source::Key => return Err(Error::internal("a row that is made of values has no key")),
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows gathered since the last call.
    ///
    /// # Errors
    /// Internal, when schema and columns do not match.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(|column| column.builder.finish()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| Error::internal(format!("rows do not fit their schema: {error}")))
    }
}
