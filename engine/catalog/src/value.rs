//! One SQL value, outside of rows and arrays: a parameter, a default, a literal, a statistic.
//!
//! **Guarantees.** [`Value::text_in`] and [`Value::text_out`] are PostgreSQL's input and output of the type (module
//! [`text`]), and inverse to each other. [`Value::compare`] is the order of the key codec: what compares
//! equal has equal key bytes.
//!
//! Left out: conversions. A value belongs to a type ([`Value::is_of`]) and is stored only in a column of it; casts are
//! the planner's.

use std::cmp::Ordering;

use aion_base::Result;

use crate::array;
use crate::interval::Interval;
use crate::json::Jsonb;
use crate::precision;
use crate::text;
use crate::types::SqlType;
use crate::zone::Zone;

/// A value or NULL.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL, of every type.
    Null,
    /// `boolean`
    Bool(bool),
    /// `smallint`
    I16(i16),
    /// `integer`
    I32(i32),
    /// `bigint`
    I64(i64),
    /// `real`
    F32(f32),
    /// `double precision`
    F64(f64),
    /// `numeric`: the unscaled value and its scale, 0 to 38.
    Decimal(i128, i8),
    /// `text` and `character varying`
    Text(String),
    /// `bytea`
    Bytes(Vec<u8>),
    /// `date`: days since 1970-01-01.
    Date(i32),
    /// `time`: microseconds since midnight, 0 to those of a day.
    Time(i64),
    /// `timestamp`, and in UTC `timestamp with time zone`: microseconds since 1970-01-01.
    Timestamp(i64),
    /// `interval`
    Interval(Interval),
    /// `uuid`
    Uuid([u8; 16]),
    /// `json`, the text as it was given.
    Json(String),
    /// `jsonb`
    Jsonb(Jsonb),
    /// `vector`
    Vector(Vec<f32>),
    /// An enum's value: the position of its label.
    Enum(i64),
    /// An array of one dimension: its elements, of the element's type or NULL.
    Array(Vec<Value>),
}

impl Value {
    /// Reads the text of a value that is not NULL.
    ///
    /// # Errors
    /// PostgreSQL's, naming type and value: 22P02 malformed, 22003 out of range, 22007 malformed date or time, 22008 date out
    /// of range, 22001 too long for the varchar, 22021 a zero character, 22000 a vector of other dimensions.
    pub fn text_in(sql_type: &SqlType, text: &str) -> Result<Self> {
        Self::text_in_zone(sql_type, text, Zone::UTC)
    }

    /// As [`Value::text_in`], for whom a time without an offset is what the clocks of a zone show.
    ///
    /// # Errors
    /// As [`Value::text_in`]; 22008 for a time that is out of range in UTC.
    pub fn text_in_zone(sql_type: &SqlType, text: &str, zone: Zone) -> Result<Self> {
        Ok(match *sql_type {
            SqlType::Boolean => Self::Bool(text::parse_bool(text)?),
            SqlType::SmallInt => Self::I16(text::parse_i16(text)?),
            SqlType::Integer => Self::I32(text::parse_i32(text)?),
            SqlType::BigInt => Self::I64(text::parse_i64(text)?),
            SqlType::Real => Self::F32(text::parse_f32(text)?),
            SqlType::Double => Self::F64(text::parse_f64(text)?),
            SqlType::Numeric { scale, .. } => {
                Self::Decimal(text::parse_decimal(text, sql_type.precision(), scale)?, scale)
            }
            SqlType::Text => Self::Text(text::parse_text(text)?.to_owned()),
            SqlType::Varchar(limit) => Self::Text(text::parse_varchar(text, limit)?.to_owned()),
            SqlType::Char(length) => Self::Text(text::parse_char(text, length)?.to_owned()),
            SqlType::Bytea => {
                let mut bytes = Vec::new();
                text::parse_bytea(text, &mut bytes)?;
                Self::Bytes(bytes)
            }
            SqlType::Date => Self::Date(text::parse_date(text)?),
            SqlType::Time(digits) => Self::Time(precision::time(text::parse_time(text)?, digits)),
            SqlType::Timestamp(digits) => Self::Timestamp(precision::timestamp(text::parse_timestamp(text)?, digits)),
            SqlType::TimestampTz(digits) => {
                Self::Timestamp(precision::timestamp(text::parse_timestamptz_in(text, zone)?, digits))
            }
            SqlType::Interval => Self::Interval(text::parse_interval(text)?.in_nanos_range()?),
            SqlType::Uuid => Self::Uuid(text::parse_uuid(text)?),
            SqlType::Json => {
                text::check_json(text)?;
                Self::Json(text.to_owned())
            }
            SqlType::Jsonb => Self::Jsonb(Jsonb::parse(text)?),
            SqlType::Vector(dimensions) => {
                let mut elements = Vec::new();
                text::parse_vector(text, dimensions, |element| elements.push(element))?;
                Self::Vector(elements)
            }
            SqlType::Enum(of) => Self::Enum(of.text_in(text)?),
            SqlType::Array(element) => {
                let element = element.sql_type();
                let read = |text: &str| Self::text_in_zone(&element, text, zone);
                let elements = array::elements(text::ArrayValue::parse(text, read)?)?.into_iter();
                Self::Array(elements.map(|element| element.unwrap_or(Self::Null)).collect())
            }
        })
    }

    /// Appends the text of the value, nothing for NULL. The type tells a timestamp with time zone from one without.
    pub fn text_out(&self, sql_type: &SqlType, out: &mut String) {
        match self {
            Self::Null => {}
            Self::Bool(value) => text::write_bool(*value, out),
            Self::I16(value) => text::write_integer((*value).into(), out),
            Self::I32(value) => text::write_integer((*value).into(), out),
            Self::I64(value) => text::write_integer(*value, out),
            Self::F32(value) => text::write_f32(*value, out),
            Self::F64(value) => text::write_f64(*value, out),
            Self::Decimal(unscaled, scale) => text::write_decimal(*unscaled, *scale, out),
            Self::Text(text) => text::write_padded(text, sql_type, out),
            Self::Json(text) => out.push_str(text),
            Self::Jsonb(document) => document.as_ref().write(out),
            Self::Bytes(bytes) => text::write_bytea(bytes, out),
            Self::Date(days) => text::write_date(*days, out),
            Self::Time(micros) => text::write_time(*micros, out),
            Self::Timestamp(micros) if matches!(sql_type, SqlType::TimestampTz(_)) => {
                text::write_timestamptz(*micros, out)
            }
            Self::Timestamp(micros) => text::write_timestamp(*micros, out),
            Self::Interval(interval) => text::write_interval(*interval, out),
            Self::Uuid(uuid) => text::write_uuid(uuid, out),
            Self::Vector(elements) => text::write_vector(elements.iter().copied(), out),
            Self::Enum(position) => match sql_type {
                SqlType::Enum(of) => of.text_out(*position, out),
                _ => text::write_integer(*position, out),
            },
            Self::Array(elements) => write_array(elements, sql_type, out),
        }
    }

    /// The value with as many digits of a second as its column keeps.
    pub fn rounded(self, sql_type: &SqlType) -> Self {
        match (self, sql_type) {
            (Self::Time(micros), SqlType::Time(digits)) => Self::Time(precision::time(micros, *digits)),
            (Self::Timestamp(micros), SqlType::Timestamp(digits) | SqlType::TimestampTz(digits)) => {
                Self::Timestamp(precision::timestamp(micros, *digits))
            }
            (value, _) => value,
        }
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether a column of the type can hold the value as it is. The length of a varchar and the digits of a numeric
    /// are not looked at, nor are those of a second.
    pub fn is_of(&self, sql_type: &SqlType) -> bool {
        match (self, sql_type) {
            (Self::Null, _)
            | (Self::Bool(_), SqlType::Boolean)
            | (Self::I16(_), SqlType::SmallInt)
            | (Self::I32(_), SqlType::Integer)
            | (Self::I64(_), SqlType::BigInt)
            | (Self::F32(_), SqlType::Real)
            | (Self::F64(_), SqlType::Double)
            | (Self::Text(_), SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_))
            | (Self::Bytes(_), SqlType::Bytea)
            | (Self::Date(_), SqlType::Date)
            | (Self::Time(_), SqlType::Time(_))
            | (Self::Timestamp(_), SqlType::Timestamp(_) | SqlType::TimestampTz(_))
            | (Self::Interval(_), SqlType::Interval)
            | (Self::Uuid(_), SqlType::Uuid)
            | (Self::Json(_), SqlType::Json)
            | (Self::Jsonb(_), SqlType::Jsonb)
            | (Self::Enum(_), SqlType::Enum(_))
            | (Self::Vector(_), SqlType::Vector(None)) => true,
            (Self::Decimal(_, scale), SqlType::Numeric { scale: declared, .. }) => scale == declared,
            (Self::Array(elements), SqlType::Array(element)) => {
                let element = element.sql_type();
                elements.iter().all(|value| value.is_of(&element))
            }
            (Self::Vector(elements), SqlType::Vector(Some(dimensions))) => elements.len() == usize::from(*dimensions),
            _ => false,
        }
    }

    /// The SQL order of two values of one ordered type: text by its bytes, floats with NaN last and equal to itself.
    /// `None` for NULL, for json and vectors, which have no order, and for two different types.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Bool(one), Self::Bool(two)) => one.cmp(two),
            (Self::I16(one), Self::I16(two)) => one.cmp(two),
            (Self::I32(one), Self::I32(two)) | (Self::Date(one), Self::Date(two)) => one.cmp(two),
            (Self::I64(one), Self::I64(two))
            | (Self::Time(one), Self::Time(two))
            | (Self::Timestamp(one), Self::Timestamp(two))
            | (Self::Enum(one), Self::Enum(two)) => one.cmp(two),
            (Self::F32(one), Self::F32(two)) => compare_floats((*one).into(), (*two).into()),
            (Self::F64(one), Self::F64(two)) => compare_floats(*one, *two),
            (Self::Decimal(one, scale), Self::Decimal(two, other_scale)) => {
                decimal_parts(*one, *scale).cmp(&decimal_parts(*two, *other_scale))
            }
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            (Self::Bytes(one), Self::Bytes(two)) => one.cmp(two),
            (Self::Interval(one), Self::Interval(two)) => one.compare(*two),
            (Self::Uuid(one), Self::Uuid(two)) => one.cmp(two),
            (Self::Jsonb(one), Self::Jsonb(two)) => one.as_ref().compare(two.as_ref()),
            (Self::Array(one), Self::Array(two)) => return compare_arrays(one, two),
            _ => return None,
        })
    }

    /// Bytes of the value in memory; what statistics call its width.
    pub fn width(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::I16(_) => 2,
            Self::I32(_) | Self::F32(_) | Self::Date(_) => 4,
            Self::I64(_) | Self::F64(_) | Self::Time(_) | Self::Timestamp(_) | Self::Enum(_) => 8,
            Self::Decimal(..) | Self::Uuid(_) | Self::Interval(_) => 16,
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Jsonb(document) => document.as_bytes().len(),
            Self::Vector(elements) => 4 * elements.len(),
            Self::Array(elements) => elements.iter().map(Self::width).sum(),
        }
    }
}

fn write_array(elements: &[Value], sql_type: &SqlType, out: &mut String) {
    let element = sql_type.element().unwrap_or(SqlType::Text);
    let mut text = String::new();
    out.push('{');
    for (at, value) in elements.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if value.is_null() {
            out.push_str("NULL");
            continue;
        }
        text.clear();
        value.text_out(&element, &mut text);
        text::write_array_element(&text, out);
    }
    out.push('}');
}

/// See [`crate::array`].
fn compare_arrays(one: &[Value], two: &[Value]) -> Option<Ordering> {
    for pair in one.iter().zip(two) {
        let order = match pair {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (one, two) => one.compare(two)?,
        };
        if order.is_ne() {
            return Some(order);
        }
    }
    Some(one.len().cmp(&two.len()))
}

/// Zeroes are equal, NaN equals itself and is the greatest.
fn compare_floats(one: f64, two: f64) -> Ordering {
    one.partial_cmp(&two).unwrap_or_else(|| one.is_nan().cmp(&two.is_nan()))
}

/// The whole part and the fraction in units of 1e-38, which compare as the decimals whatever their scales.
fn decimal_parts(unscaled: i128, scale: i8) -> (i128, i128) {
    let scale = u32::try_from(scale).expect("a scale is not negative");
    let factor = 10i128.pow(scale);
    (
        unscaled.div_euclid(factor),
        unscaled.rem_euclid(factor) * 10i128.pow(38 - scale),
    )
}

#[cfg(test)]
mod tests {
    use aion_base::key::{ColumnOrder, KeyWriter};
    use proptest::prelude::*;

    use super::*;
    use crate::types::ElementType;

    const NUMERIC: SqlType = SqlType::Numeric {
        precision: Some(12),
        scale: 3,
    };

    /// A type with an order, and a value of it.
    fn ordered() -> impl Strategy<Value = (SqlType, Value, Value)> {
        fn pair<T: std::fmt::Debug + Clone + 'static>(
            sql_type: SqlType,
            values: impl Strategy<Value = T> + Clone + 'static,
            value: fn(T) -> Value,
        ) -> BoxedStrategy<(SqlType, Value, Value)> {
            (values.clone(), values)
                .prop_map(move |(one, two)| (sql_type, value(one), value(two)))
                .boxed()
        }
        prop_oneof![
            pair(SqlType::Boolean, any::<bool>(), Value::Bool),
            pair(SqlType::SmallInt, -2i16..3, Value::I16),
            pair(SqlType::Integer, any::<i32>(), Value::I32),
            pair(SqlType::BigInt, any::<i64>(), Value::I64),
            pair(
                SqlType::Real,
                prop_oneof![prop::num::f32::ANY, Just(-0.0), Just(0.0)],
                Value::F32
            ),
            pair(
                SqlType::Double,
                prop_oneof![prop::num::f64::ANY, Just(-0.0), Just(0.0)],
                Value::F64
            ),
            pair(NUMERIC, -999_999_999_999i128..=999_999_999_999, |unscaled| {
                Value::Decimal(unscaled, 3)
            }),
            pair(SqlType::Text, "[aäß\u{1}]{0,3}", Value::Text),
            pair(SqlType::Varchar(Some(3)), "[aäß\u{1}]{0,3}", Value::Text),
            pair(SqlType::Char(3), "[aäß\u{1}]{0,3}", Value::Text),
            pair(SqlType::Bytea, prop::collection::vec(any::<u8>(), 0..3), Value::Bytes),
            pair(SqlType::Date, -719_162i32..=2_145_042_905, Value::Date),
            pair(SqlType::TIME, 0i64..=86_400_000_000, Value::Time),
            pair(
                SqlType::TIMESTAMP,
                -62_135_596_800_000_000i64..=i64::MAX,
                Value::Timestamp
            ),
            pair(
                SqlType::TIMESTAMPTZ,
                -62_135_596_800_000_000i64..=i64::MAX,
                Value::Timestamp
            ),
            pair(
                SqlType::Interval,
                (-2i32..3, -60i32..60, -2i64..3).prop_map(|(months, days, twelfths)| Interval {
                    months,
                    days,
                    micros: twelfths * 43_200_000_000
                }),
                Value::Interval
            ),
            pair(SqlType::Uuid, any::<[u8; 16]>(), Value::Uuid),
            pair(SqlType::Jsonb, document(), Value::Jsonb),
            pair(SqlType::Array(ElementType::Double), doubles(), Value::Array),
            pair(SqlType::Array(ElementType::Text), texts(), Value::Array),
        ]
    }

    fn doubles() -> impl Strategy<Value = Vec<Value>> + Clone {
        let number = prop_oneof![
            Just(f64::NAN),
            Just(-0.0),
            Just(0.0),
            Just(1.5),
            Just(f64::NEG_INFINITY)
        ];
        let number = prop::option::of(number).prop_map(|number| number.map_or(Value::Null, Value::F64));
        prop::collection::vec(number, 0..4)
    }

    fn texts() -> impl Strategy<Value = Vec<Value>> + Clone {
        let text = prop::option::of("[a,\"{ ]{0,2}|NULL").prop_map(|text| text.map_or(Value::Null, Value::Text));
        prop::collection::vec(text, 0..4)
    }

    /// Documents that are often equal, or nearly.
    fn document() -> impl Strategy<Value = Jsonb> + Clone {
        let number = prop_oneof![
            Just("0"),
            Just("-0.0"),
            Just("1"),
            Just("1.0"),
            Just("1.10"),
            Just("1.1"),
            Just("-1"),
            Just("-1.01"),
            Just("10"),
            Just("0.001"),
            Just("-0.01"),
            Just("1e30"),
            Just("99")
        ];
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            number.prop_map(str::to_owned),
            "\"[ab\u{1}ß]{0,2}\"",
        ];
        let tree = leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|parts| format!("[{}]", parts.join(","))),
                prop::collection::vec(("[ab]{0,2}", inner), 0..3).prop_map(|members| {
                    let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                }),
            ]
        });
        tree.prop_map(|text| Jsonb::parse(&text.replace('\u{1}', "\\u0001")).expect("JSON"))
    }

    fn key(value: &Value) -> Vec<u8> {
        let (mut key, order) = (Vec::new(), ColumnOrder::ASC);
        let mut writer = KeyWriter::new(&mut key);
        match value {
            Value::Bool(value) => writer.bool(*value, order),
            Value::I16(value) => writer.i16(*value, order),
            Value::I32(value) | Value::Date(value) => writer.i32(*value, order),
            Value::I64(value) | Value::Time(value) | Value::Timestamp(value) => writer.i64(*value, order),
            Value::F32(value) => writer.f32(*value, order),
            Value::F64(value) => writer.f64(*value, order),
            Value::Decimal(unscaled, _) => writer.i128(*unscaled, order),
            Value::Text(text) => writer.text(text, order),
            Value::Bytes(bytes) => writer.bytes(bytes, order),
            Value::Enum(value) => writer.i64(*value, order),
            Value::Interval(interval) => writer.i128(interval.length(), order),
            Value::Uuid(uuid) => writer.uuid(uuid, order),
            Value::Jsonb(document) => writer.bytes(&document.as_ref().to_key(), order),
            Value::Array(elements) => {
                let mut inner = Vec::new();
                array::write_key(elements, &mut inner).expect("ordered elements");
                writer.bytes(&inner, order)
            }
            Value::Null | Value::Json(_) | Value::Vector(_) => writer.null(order),
        };
        key
    }

    fn text(value: &Value, sql_type: &SqlType) -> String {
        let mut out = String::new();
        value.text_out(sql_type, &mut out);
        out
    }

    proptest! {
        #[test]
        fn compares_as_its_key((_, one, two) in ordered()) {
            prop_assert_eq!(one.compare(&two), Some(key(&one).cmp(&key(&two))));
        }

        #[test]
        fn text_reads_back((sql_type, value, _) in ordered()) {
            prop_assert!(value.is_of(&sql_type));
            let back = Value::text_in(&sql_type, &text(&value, &sql_type))?;
            prop_assert_eq!(back.compare(&value), Some(Ordering::Equal));
        }

        #[test]
        fn any_text_is_read_or_refused(input in "\\PC{0,12}") {
            for sql_type in crate::types::tests::ALL {
                if let Ok(value) = Value::text_in(&sql_type, &input) {
                    prop_assert!(value.is_of(&sql_type));
                    prop_assert!(Value::text_in(&sql_type, &text(&value, &sql_type)).is_ok());
                }
            }
        }
    }

    #[test]
    fn types_without_an_order() {
        let json = Value::text_in(&SqlType::Json, "{\"a\":  1}").expect("json");
        assert_eq!(text(&json, &SqlType::Json), "{\"a\":  1}");
        let vector = Value::text_in(&SqlType::Vector(Some(2)), "[1, 2.5]").expect("two dimensions");
        assert_eq!(text(&vector, &SqlType::Vector(None)), "[1,2.5]");
        assert!(!vector.is_of(&SqlType::Vector(Some(3))) && vector.is_of(&SqlType::Vector(None)));
        assert_eq!(
            (
                json.compare(&json),
                vector.compare(&vector),
                Value::Null.compare(&Value::Null)
            ),
            (None, None, None)
        );
        assert_eq!(Value::I32(1).compare(&Value::I64(1)), None);
    }

    #[test]
    fn a_type_decides_how_a_timestamp_is_written() {
        let value = Value::text_in(&SqlType::TIMESTAMPTZ, "2013-01-01 05:00:00+00").expect("with a zone");
        assert_eq!(text(&value, &SqlType::TIMESTAMPTZ), "2013-01-01 05:00:00+00");
        assert_eq!(text(&value, &SqlType::TIMESTAMP), "2013-01-01 05:00:00");
    }

    #[test]
    fn decimals_of_different_scales_compare() {
        let compare = |one, scale, two, other| Value::Decimal(one, scale).compare(&Value::Decimal(two, other));
        assert_eq!(compare(15, 1, 1_500, 3), Some(Ordering::Equal));
        assert_eq!(compare(-15, 1, -1_499, 3), Some(Ordering::Less));
        assert_eq!(
            compare(10i128.pow(38) - 1, 0, 10i128.pow(38) - 1, 38),
            Some(Ordering::Greater)
        );
    }
}
