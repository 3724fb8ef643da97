//! Arrow arrays as columns of values that can be written: by the edges, by COPY, by the shell.
//!
//! [`canonical`] brings the arrays of a batch into the layouts known here: queries also produce dictionaries, narrow
//! and unsigned integers, other time units; Arrow's own casts turn those, rare and a batch at a time, into the array
//! of the column's SQL type. [`Cells`] then is one array with its type resolved, once per batch, so that writing a
//! value looks nothing up.

use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::enumeration::EnumType;
use aion_catalog::interval::Interval;
use aion_catalog::json::{Jsonb, JsonbRef};
use aion_catalog::{SqlType, Zone, text};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, LargeBinaryArray, LargeBinaryBuilder, LargeStringArray, ListArray, StringArray,
    StringBuilder, StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampNanosecondType,
};

mod list;

pub use list::ListCells;

const UUID_BYTES: i32 = 16;

/// The array in a layout that [`Cells`] knows.
///
/// # Errors
/// XX000 if it cannot hold the values of `sql_type`: the engine said one thing and did another.
pub fn canonical(array: &ArrayRef, sql_type: SqlType) -> Result<ArrayRef> {
    if Cells::of(array, sql_type).is_some() {
        return Ok(ArrayRef::clone(array));
    }
    let cast = datafusion::arrow::compute::cast(array, &sql_type.to_arrow()).ok();
    cast.filter(|cast| Cells::of(cast, sql_type).is_some()).ok_or_else(|| {
        Error::internal(format!(
            "a column of type {sql_type} came as Arrow's {}, which does not hold it",
            array.data_type()
        ))
    })
}

/// An interval of Arrow's, whose nanoseconds are rounded to microseconds.
pub const fn interval_of(arrow: IntervalMonthDayNano) -> Interval {
    Interval::of_nanos(arrow.months, arrow.days, arrow.nanoseconds)
}

/// An interval as one of Arrow's.
///
/// # Errors
/// 22008 for a time of 292 years and more.
pub fn arrow_interval(interval: Interval) -> Result<IntervalMonthDayNano> {
    let nanos = interval.nanos()?;
    Ok(IntervalMonthDayNano::new(interval.months, interval.days, nanos))
}

/// The zone of a type; UTC for what Arrow alone takes for one.
fn zone_of(name: &str) -> Zone {
    match name {
        "UTC" => Zone::UTC,
        name => Zone::setting(name).map_or(Zone::UTC, |(zone, _)| zone),
    }
}

/// One array with its type resolved; each variant holds the array of the SQL type it is named after.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants are the SQL types and their Arrow layouts")]
pub enum Cells<'a> {
    Null,
    Boolean(&'a BooleanArray),
    SmallInt(&'a Int16Array),
    Integer(&'a Int32Array),
    BigInt(&'a Int64Array),
    Real(&'a Float32Array),
    Double(&'a Float64Array),
    Numeric(&'a Decimal128Array, i8),
    Text(&'a StringArray),
    /// A `character(n)`, which is shown with blanks up to its length.
    Padded(&'a StringArray, SqlType),
    LargeText(&'a LargeStringArray),
    TextView(&'a StringViewArray),
    Bytea(&'a BinaryArray),
    ByteaView(&'a BinaryViewArray),
    FixedBytea(&'a FixedSizeBinaryArray),
    Uuid(&'a FixedSizeBinaryArray),
    Jsonb(&'a LargeBinaryArray),
    /// The texts of documents.
    JsonbText(&'a StringArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray),
    TimestampTz(&'a TimestampMicrosecondArray, Zone),
    Interval(&'a IntervalMonthDayNanoArray),
    /// The positions of labels.
    Enum(&'a TimestampNanosecondArray, EnumType),
    FixedVector(&'a FixedSizeListArray, &'a Float32Array),
    Vector(&'a ListArray, &'a Float32Array),
    Array(ListCells<'a>),
}

impl<'a> Cells<'a> {
    /// The cells of a column of this type; None where [`canonical`] has work to do.
    pub fn of(array: &'a dyn Array, sql_type: SqlType) -> Option<Self> {
        use SqlType as S;
        Some(match (sql_type, array.data_type()) {
            (_, DataType::Null) => Self::Null,
            (S::Boolean, DataType::Boolean) => Self::Boolean(array.as_boolean()),
            (S::SmallInt, DataType::Int16) => Self::SmallInt(array.as_primitive::<Int16Type>()),
            (S::Integer, DataType::Int32) => Self::Integer(array.as_primitive::<Int32Type>()),
            (S::BigInt, DataType::Int64) => Self::BigInt(array.as_primitive::<Int64Type>()),
            (S::Real, DataType::Float32) => Self::Real(array.as_primitive::<Float32Type>()),
            (S::Double, DataType::Float64) => Self::Double(array.as_primitive::<Float64Type>()),
            (S::Numeric { .. }, DataType::Decimal128(_, scale @ 0..=38)) => {
                Self::Numeric(array.as_primitive::<Decimal128Type>(), *scale)
            }
            (S::Char(_), DataType::Utf8) => Self::Padded(array.as_string(), sql_type),
            // What goes out of an enum is the label.
            (S::Text | S::Varchar(_) | S::Json | S::Enum(_), DataType::Utf8) => Self::Text(array.as_string()),
            (S::Text | S::Varchar(_) | S::Json, DataType::LargeUtf8) => Self::LargeText(array.as_string()),
            (S::Text | S::Varchar(_) | S::Json, DataType::Utf8View) => Self::TextView(array.as_string_view()),
            (S::Bytea, DataType::Binary) => Self::Bytea(array.as_binary()),
            (S::Jsonb, DataType::LargeBinary) => Self::Jsonb(array.as_binary()),
            (S::Jsonb, DataType::Utf8) => Self::JsonbText(array.as_string()),
            (S::Bytea, DataType::BinaryView) => Self::ByteaView(array.as_binary_view()),
            (S::Bytea, DataType::FixedSizeBinary(_)) => Self::FixedBytea(array.as_fixed_size_binary()),
            (S::Uuid, DataType::FixedSizeBinary(UUID_BYTES)) => Self::Uuid(array.as_fixed_size_binary()),
            (S::Date, DataType::Date32) => Self::Date(array.as_primitive::<Date32Type>()),
            (S::Time(_), DataType::Time64(TimeUnit::Microsecond)) => {
                Self::Time(array.as_primitive::<Time64MicrosecondType>())
            }
            (S::Timestamp(_), DataType::Timestamp(TimeUnit::Microsecond, None)) => {
                Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>())
            }
            // The microseconds are UTC; they are shown in the zone that the type names.
            (S::TimestampTz(_), DataType::Timestamp(TimeUnit::Microsecond, Some(zone))) => {
                Self::TimestampTz(array.as_primitive::<TimestampMicrosecondType>(), zone_of(zone))
            }
            (S::Interval, DataType::Interval(IntervalUnit::MonthDayNano)) => {
                Self::Interval(array.as_primitive::<IntervalMonthDayNanoType>())
            }
            (S::Enum(of), DataType::Timestamp(TimeUnit::Nanosecond, Some(zone))) => {
                // As the type was when the array was made.
                let of = EnumType::of_zone(zone).unwrap_or(of);
                Self::Enum(array.as_primitive::<TimestampNanosecondType>(), of)
            }
            (S::Vector(_), DataType::FixedSizeList(..)) => {
                let lists = array.as_fixed_size_list();
                Self::FixedVector(lists, lists.values().as_primitive_opt::<Float32Type>()?)
            }
            (S::Vector(_), DataType::List(_)) => {
                let lists = array.as_list();
                Self::Vector(lists, lists.values().as_primitive_opt::<Float32Type>()?)
            }
            (S::Array(element), _) => Self::Array(ListCells::of(array, element.sql_type())?),
            _ => return None,
        })
    }

    /// Whether the value is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean(array) => array.is_null(row),
            Self::SmallInt(array) => array.is_null(row),
            Self::Integer(array) => array.is_null(row),
            Self::BigInt(array) => array.is_null(row),
            Self::Real(array) => array.is_null(row),
            Self::Double(array) => array.is_null(row),
            Self::Numeric(array, _) => array.is_null(row),
            Self::Text(array) | Self::JsonbText(array) | Self::Padded(array, _) => array.is_null(row),
            Self::LargeText(array) => array.is_null(row),
            Self::TextView(array) => array.is_null(row),
            Self::Bytea(array) => array.is_null(row),
            Self::Jsonb(array) => array.is_null(row),
            Self::ByteaView(array) => array.is_null(row),
            Self::FixedBytea(array) | Self::Uuid(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::Timestamp(array) | Self::TimestampTz(array, _) => array.is_null(row),
            Self::Interval(array) => array.is_null(row),
            Self::Enum(array, _) => array.is_null(row),
            Self::FixedVector(array, _) => array.is_null(row),
            Self::Vector(array, _) => array.is_null(row),
            Self::Array(lists) => lists.is_null(row),
        }
    }

    /// Appends the text form of a value that is not NULL, as PostgreSQL writes it.
    pub fn write_text(&self, row: usize, out: &mut String) {
        match self {
            Self::Null => {}
            Self::Boolean(array) => text::write_bool(array.value(row), out),
            Self::SmallInt(array) => text::write_integer(array.value(row).into(), out),
            Self::Integer(array) => text::write_integer(array.value(row).into(), out),
            Self::BigInt(array) => text::write_integer(array.value(row), out),
            Self::Real(array) => text::write_f32(array.value(row), out),
            Self::Double(array) => text::write_f64(array.value(row), out),
            Self::Numeric(array, scale) => text::write_decimal(array.value(row), *scale, out),
            Self::Text(array) | Self::JsonbText(array) => out.push_str(array.value(row)),
            Self::Padded(array, sql_type) => text::write_padded(array.value(row), sql_type, out),
            Self::LargeText(array) => out.push_str(array.value(row)),
            Self::TextView(array) => out.push_str(array.value(row)),
            Self::Bytea(array) => text::write_bytea(array.value(row), out),
            Self::ByteaView(array) => text::write_bytea(array.value(row), out),
            Self::FixedBytea(array) => text::write_bytea(array.value(row), out),
            Self::Uuid(array) => {
                if let Ok(uuid) = array.value(row).try_into() {
                    text::write_uuid(uuid, out);
                }
            }
            Self::Jsonb(array) => JsonbRef::new(array.value(row)).write(out),
            Self::Date(array) => text::write_date(array.value(row), out),
            Self::Time(array) => text::write_time(array.value(row), out),
            Self::Timestamp(array) => text::write_timestamp(array.value(row), out),
            Self::TimestampTz(array, zone) => text::write_timestamptz_in(array.value(row), *zone, out),
            Self::Interval(array) => text::write_interval(interval_of(array.value(row)), out),
            Self::Enum(array, of) => of.text_out(array.value(row), out),
            Self::FixedVector(..) | Self::Vector(..) => text::write_vector(self.elements(row).iter().copied(), out),
            Self::Array(lists) => lists.write_text(row, out),
        }
    }

    /// The value of a text column, None of another.
    pub fn as_str(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Text(array) | Self::JsonbText(array) => Some(array.value(row)),
            Self::LargeText(array) => Some(array.value(row)),
            Self::TextView(array) => Some(array.value(row)),
            _ => None,
        }
    }

    /// The elements of a vector. A vector has no NULL inside; where Arrow would allow one, its slot's number is given.
    pub fn elements(&self, row: usize) -> &[f32] {
        match self {
            Self::FixedVector(lists, elements) => {
                let length = usize::try_from(lists.value_length()).unwrap_or(0);
                let start = usize::try_from(lists.value_offset(row)).unwrap_or(0);
                elements.values().get(start..start + length).unwrap_or_default()
            }
            Self::Vector(lists, elements) => {
                let offset = |at: usize| usize::try_from(lists.value_offsets()[at]).unwrap_or(0);
                elements.values().get(offset(row)..offset(row + 1)).unwrap_or_default()
            }
            _ => &[],
        }
    }
}

/// Documents as their texts.
///
/// # Errors
/// Internal, for what holds none.
pub fn document_texts(documents: &dyn Array) -> Result<ArrayRef> {
    let Some(documents) = documents.as_binary_opt::<i64>() else {
        return Err(Error::internal(format!("documents came as {}", documents.data_type())));
    };
    let mut texts = StringBuilder::with_capacity(documents.len(), documents.values().len());
    let mut text = String::new();
    for document in documents {
        match document {
            None => texts.append_null(),
            Some(bytes) => {
                text.clear();
                JsonbRef::new(bytes).write(&mut text);
                texts.append_value(&text);
            }
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// The labels of an enum's values.
///
/// # Errors
/// Internal, for what holds none.
pub fn labels(values: &dyn Array, of: EnumType) -> Result<ArrayRef> {
    let Some(values) = values.as_primitive_opt::<TimestampNanosecondType>() else {
        return Err(Error::internal(format!(
            "values of {of} came as {}",
            values.data_type()
        )));
    };
    let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 8);
    let mut text = String::new();
    for value in values {
        match value {
            None => texts.append_null(),
            Some(position) => {
                text.clear();
                of.text_out(position, &mut text);
                texts.append_value(&text);
            }
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// Labels as the values of an enum that they are.
///
/// # Errors
/// 22P02, for a text that is none.
pub fn values_of_labels(texts: &dyn Array, of: EnumType) -> Result<ArrayRef> {
    let texts = datafusion::arrow::compute::cast(texts, &DataType::Utf8)
        .map_err(|error| Error::internal(format!("texts came as {}: {error}", texts.data_type())))?;
    let positions = texts.as_string::<i32>().iter();
    let positions = positions.map(|text| text.map(|text| of.text_in(text)).transpose());
    let positions: TimestampNanosecondArray = positions.collect::<Result<_>>()?;
    Ok(Arc::new(positions.with_timezone(of.zone().clone())))
}

/// Intervals as their texts.
///
/// # Errors
/// Internal, for what holds none.
pub fn interval_texts(intervals: &ArrayRef) -> Result<ArrayRef> {
    let intervals = canonical(intervals, SqlType::Interval)?;
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
    let mut texts = StringBuilder::new();
    let mut text = String::new();
    for interval in intervals {
        match interval {
            None => texts.append_null(),
            Some(interval) => {
                text.clear();
                text::write_interval(interval_of(interval), &mut text);
                texts.append_value(&text);
            }
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// Texts as the intervals that they are.
///
/// # Errors
/// 22007 and its like, for a text that is none.
pub fn intervals_of_texts(texts: &dyn Array) -> Result<ArrayRef> {
    let texts = datafusion::arrow::compute::cast(texts, &DataType::Utf8)
        .map_err(|error| Error::internal(format!("texts came as {}: {error}", texts.data_type())))?;
    let read = |text: &str| arrow_interval(text::parse_interval(text)?);
    let intervals = texts.as_string::<i32>().iter().map(|text| text.map(read).transpose());
    Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// Texts as the documents that they are.
///
/// # Errors
/// 22P02 and its like, for a text that is none.
pub fn documents_of_texts(texts: &dyn Array) -> Result<ArrayRef> {
    let texts = datafusion::arrow::compute::cast(texts, &DataType::Utf8)
        .map_err(|error| Error::internal(format!("texts came as {}: {error}", texts.data_type())))?;
    let texts = texts.as_string::<i32>();
    let mut documents = LargeBinaryBuilder::with_capacity(texts.len(), texts.value_data().len());
    for text in texts {
        match text {
            None => documents.append_null(),
            Some(text) => documents.append_value(Jsonb::parse(text)?.as_bytes()),
        }
    }
    Ok(Arc::new(documents.finish()))
}
