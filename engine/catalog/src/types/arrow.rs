//! SQL types as Arrow types and back.
//!
//! | SQL | Arrow |
//! |---|---|
//! | boolean, smallint, integer, bigint | Boolean, Int16, Int32, Int64 |
//! | real, double precision | Float32, Float64 |
//! | numeric(p,s) | Decimal128(p, s) |
//! | text, varchar, json | Utf8 |
//! | bytea | Binary |
//! | jsonb | LargeBinary: the document's bytes |
//! | date | Date32 |
//! | time | Time64(us) |
//! | timestamp, timestamp with time zone | Timestamp(us), Timestamp(us, "UTC") |
//! | interval | Interval(MonthDayNano) |
//! | uuid | FixedSizeBinary(16) |
//! | vector(n), vector | FixedSizeList(Float32, n), List(Float32) |
//! | real[], other arrays | LargeList(Float32), List(the element's) |
//! | an enum | Timestamp(ns, the type's zone): the position of the label |
//!
//! A jsonb is the only LargeBinary. A mark in the field's metadata would not do: DataFusion drops it in CASE, COALESCE, UNION and window
//! functions, and what is a document would be shown as a bytea. Text would do, and would be parsed by every operator of every row.
//! What comes from outside as LargeBinary is a bytea, and is made one where it comes in; what goes out is text
//! ([`SqlType::to_outer_field`]).
//!
//! An enum needs a type that compares as the integers it holds, and that says which enum it is: again a mark would get lost, and of Arrow's
//! types the zone of a timestamp alone is a free text that comes through all operators. Of nanoseconds, since that is what DataFusion makes of
//! any timestamp beside a text. What would take it for a time, casts and arithmetic, is refused where types are settled. What goes out is the label.
//!
//! A list of Float32 is a vector, so that the array of them is the only LargeList. Arrays have one dimension here: a nested List has
//! a depth that its type states, which PostgreSQL's arrays do not. What has more is refused where it is read ([`crate::array`]).
//!
//! Where the Arrow type alone would read back as another SQL type (varchar, json, numeric without a modifier, times with one),
//! [`SqlType::to_field`] names the SQL type in the field's metadata. Types that are never stored but that queries
//! produce (Int8, unsigned integers, views, dictionaries) read as the nearest SQL type that holds all their values.

use std::collections::HashMap;
use std::sync::Arc;

use aion_base::{Error, Result};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};

use crate::enumeration::EnumType;

use super::{ElementType, NUMERIC_PRECISION_MAX, SqlType, VECTOR_DIMENSIONS_MAX};

/// The key of the field metadata that names the SQL type.
pub const TYPE_METADATA_KEY: &str = "aion.type";

/// The key of the field metadata that has the word of the enum whose labels a field of texts holds: what left the engine may come back.
const ENUM_METADATA_KEY: &str = "aion.enum";

const UUID_BYTES: i32 = 16;

impl SqlType {
    /// The Arrow type of a column of this type.
    pub fn to_arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::SmallInt => DataType::Int16,
            Self::Integer => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Numeric { scale, .. } => DataType::Decimal128(self.precision(), *scale),
            Self::Text | Self::Varchar(_) | Self::Char(_) | Self::Json => DataType::Utf8,
            Self::Bytea => DataType::Binary,
            Self::Jsonb => DataType::LargeBinary,
            Self::Date => DataType::Date32,
            Self::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz(_) => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Uuid => DataType::FixedSizeBinary(UUID_BYTES),
            Self::Vector(dimensions) => {
                let item = Arc::new(Field::new_list_field(DataType::Float32, true));
                match dimensions {
                    Some(dimensions) => DataType::FixedSizeList(item, (*dimensions).into()),
                    None => DataType::List(item),
                }
            }
            Self::Array(element) => list_of(*element, element.sql_type().to_arrow()),
            Self::Enum(of) => DataType::Timestamp(TimeUnit::Nanosecond, Some(of.zone().clone())),
        }
    }

    /// A field of this type.
    pub fn to_field(&self, name: impl Into<String>, nullable: bool) -> Field {
        let field = Field::new(name, self.to_arrow(), nullable);
        if Self::from_arrow(field.data_type()).is_ok_and(|read| read == *self) {
            return field;
        }
        field.with_metadata(HashMap::from([(TYPE_METADATA_KEY.to_owned(), self.to_string())]))
    }

    /// The SQL type of a field, from its metadata or else its Arrow type; 0A000 if it has none.
    ///
    /// Metadata that contradicts the Arrow type is ignored: an expression may keep its argument's metadata and
    /// change the type.
    pub fn from_field(field: &Field) -> Result<Self> {
        let named = field
            .metadata()
            .get(TYPE_METADATA_KEY)
            .and_then(|name| name.parse::<Self>().ok());
        match named {
            Some(sql_type) if same_values(&sql_type.to_arrow(), field.data_type()) => Ok(sql_type),
            _ => Self::from_arrow(field.data_type()),
        }
    }

    /// A field of this type for what leaves the engine: a jsonb as its text, an enum as its label.
    pub fn to_outer_field(&self, name: impl Into<String>, nullable: bool) -> Field {
        let outer = match self {
            Self::Jsonb | Self::Enum(_) => DataType::Utf8,
            Self::Array(element @ (ElementType::Jsonb | ElementType::Enum(_))) => list_of(*element, DataType::Utf8),
            _ => return self.to_field(name, nullable),
        };
        let mut marks = HashMap::from([(TYPE_METADATA_KEY.to_owned(), self.to_string())]);
        if let Some(of) = self.made() {
            marks.insert(ENUM_METADATA_KEY.to_owned(), of.word().to_string());
        }
        Field::new(name, outer, nullable).with_metadata(marks)
    }

    /// The SQL type of a field that comes from outside: of bytes a bytea, whatever their layout, of the text of a jsonb a jsonb, and of
    /// the labels of an enum that.
    ///
    /// # Errors
    /// As [`SqlType::from_field`].
    pub fn from_outer_field(field: &Field) -> Result<Self> {
        let mark = field.metadata().get(TYPE_METADATA_KEY).map(String::as_str);
        let word = field.metadata().get(ENUM_METADATA_KEY);
        if let Some(of) = word.and_then(|word| EnumType::of_word(word))
            && matches!(
                field.data_type(),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            )
        {
            return Ok(Self::Enum(of));
        }
        match field.data_type() {
            DataType::LargeBinary => Ok(Self::Bytea),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if mark == Some("jsonb") => Ok(Self::Jsonb),
            DataType::List(_) if mark == Some("jsonb[]") => Ok(Self::Array(ElementType::Jsonb)),
            _ => Self::from_field(field),
        }
    }

    /// The SQL type of an Arrow type; 0A000 if it has none.
    pub fn from_arrow(data_type: &DataType) -> Result<Self> {
        if let DataType::Timestamp(_, Some(zone)) = data_type
            && let Some(of) = EnumType::of_zone(zone)
        {
            return Ok(Self::Enum(of));
        }
        Ok(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Self::SmallInt,
            DataType::UInt16 | DataType::Int32 => Self::Integer,
            DataType::UInt32 | DataType::Int64 => Self::BigInt,
            DataType::UInt64 => Self::Numeric {
                precision: Some(20),
                scale: 0,
            },
            DataType::Float16 | DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Double,
            DataType::Decimal32(precision @ 1..=NUMERIC_PRECISION_MAX, scale)
            | DataType::Decimal64(precision @ 1..=NUMERIC_PRECISION_MAX, scale)
            | DataType::Decimal128(precision @ 1..=NUMERIC_PRECISION_MAX, scale)
            | DataType::Decimal256(precision @ 1..=NUMERIC_PRECISION_MAX, scale)
                if (0..=i16::from(*precision)).contains(&i16::from(*scale)) =>
            {
                Self::Numeric {
                    precision: Some(*precision),
                    scale: *scale,
                }
            }
            // The type of a bare NULL, which PostgreSQL resolves to text.
            DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::FixedSizeBinary(UUID_BYTES) => Self::Uuid,
            DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Self::Bytea,
            DataType::LargeBinary => Self::Jsonb,
            DataType::Date32 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::TIME,
            DataType::Timestamp(_, None) => Self::TIMESTAMP,
            DataType::Timestamp(_, Some(_)) => Self::TIMESTAMPTZ,
            DataType::Interval(_) => Self::Interval,
            DataType::FixedSizeList(item, dimensions)
                if *item.data_type() == DataType::Float32
                    && (1..=VECTOR_DIMENSIONS_MAX.into()).contains(dimensions) =>
            {
                Self::Vector(u16::try_from(*dimensions).ok())
            }
            DataType::List(item) if *item.data_type() == DataType::Float32 => Self::Vector(None),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                let element = Self::from_field(item)?;
                element
                    .array()
                    .ok_or_else(|| Error::unsupported(format!("arrays of {element} are not supported")))?
            }
            DataType::Dictionary(_, values) => Self::from_arrow(values)?,
            DataType::RunEndEncoded(_, values) => Self::from_arrow(values.data_type())?,
            _ => {
                return Err(Error::unsupported(format!(
                    "Arrow type {data_type} has no SQL type here"
                )));
            }
        })
    }
}

fn list_of(element: ElementType, item: DataType) -> DataType {
    let item = Arc::new(Field::new_list_field(item, true));
    match element {
        ElementType::Real => DataType::LargeList(item),
        _ => DataType::List(item),
    }
}

/// Whether an array of one type holds the values of the other, in another layout at most.
fn same_values(declared: &DataType, found: &DataType) -> bool {
    match (declared, found) {
        (DataType::Utf8, DataType::Utf8View | DataType::LargeUtf8) => true,
        (_, DataType::Dictionary(_, values)) => same_values(declared, values),
        (DataType::FixedSizeList(one, length), DataType::FixedSizeList(other, found)) => {
            length == found && one.data_type() == other.data_type()
        }
        (DataType::List(one), DataType::List(other)) | (DataType::LargeList(one), DataType::LargeList(other)) => {
            one.data_type() == other.data_type()
        }
        _ => declared == found,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ALL;
    use super::*;

    #[test]
    fn fields_read_back() {
        for sql_type in ALL {
            let field = sql_type.to_field("c", true);
            assert_eq!(SqlType::from_field(&field).expect("made above"), sql_type, "{field}");
        }
    }

    #[test]
    fn metadata_stands_only_where_it_tells_something() {
        assert!(SqlType::Uuid.to_field("c", true).metadata().is_empty());
        assert_eq!(SqlType::Json.to_field("c", true).metadata()[TYPE_METADATA_KEY], "json");
        assert_eq!(
            SqlType::NUMERIC.to_field("c", true).metadata()[TYPE_METADATA_KEY],
            "numeric"
        );
    }

    #[test]
    fn a_jsonb_is_text_outside() {
        let field = SqlType::Jsonb.to_outer_field("c", true);
        assert_eq!(field.data_type(), &DataType::Utf8);
        assert_eq!(SqlType::from_outer_field(&field).expect("made above"), SqlType::Jsonb);
        let bytes = Field::new("c", DataType::LargeBinary, true);
        assert_eq!(SqlType::from_outer_field(&bytes).expect("bytes"), SqlType::Bytea);
    }

    #[test]
    fn contradicting_metadata_is_ignored() {
        let field = SqlType::Json.to_field("c", true);
        let length = field.clone().with_data_type(DataType::Int32);
        assert_eq!(SqlType::from_field(&length).expect("an integer"), SqlType::Integer);
        let view = field.with_data_type(DataType::Utf8View);
        assert_eq!(
            SqlType::from_field(&view).expect("text in another layout"),
            SqlType::Json
        );
    }

    #[test]
    fn query_types_are_widened() {
        let unsigned = SqlType::from_arrow(&DataType::UInt64).expect("fits numeric");
        assert_eq!(
            unsigned,
            SqlType::Numeric {
                precision: Some(20),
                scale: 0
            }
        );
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        assert_eq!(SqlType::from_arrow(&dictionary).expect("text"), SqlType::Text);
        let error = SqlType::from_arrow(&DataType::Decimal256(76, 0)).expect_err("too many digits");
        assert_eq!(error.state().as_str(), "0A000");
    }
}
