//! The SQL types, as ODBC and JDBC name them (`GetXdbcTypeInfo`).

use aion_base::{Error, Result};
use aion_catalog::SqlType;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

const ALL: [SqlType; 19] = [
    SqlType::Boolean,
    SqlType::SmallInt,
    SqlType::Integer,
    SqlType::BigInt,
    SqlType::Real,
    SqlType::Double,
    SqlType::NUMERIC,
    SqlType::Text,
    SqlType::Varchar(None),
    SqlType::Bytea,
    SqlType::Date,
    SqlType::TIME,
    SqlType::TIMESTAMP,
    SqlType::TIMESTAMPTZ,
    SqlType::Interval,
    SqlType::Uuid,
    SqlType::Json,
    SqlType::Jsonb,
    SqlType::Vector(None),
];

/// What is known of the types.
///
/// # Errors
/// XX000 if they do not make a batch.
pub(super) fn type_info() -> Result<XdbcTypeInfoData> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for sql_type in ALL {
        builder.append(info(&sql_type));
    }
    builder
        .build()
        .map_err(|error| Error::internal(format!("the types do not make a batch: {error}")))
}

fn info(sql_type: &SqlType) -> XdbcTypeInfo {
    let (data_type, subcode) = xdbc(sql_type);
    let is_number = matches!(
        sql_type,
        SqlType::SmallInt
            | SqlType::Integer
            | SqlType::BigInt
            | SqlType::Real
            | SqlType::Double
            | SqlType::Numeric { .. }
    );
    let is_numeric = matches!(sql_type, SqlType::Numeric { .. });
    let is_quoted = !is_number && *sql_type != SqlType::Boolean;
    let quote = is_quoted.then(|| "'".to_owned());
    XdbcTypeInfo {
        type_name: sql_type.base_name().to_owned(),
        data_type,
        column_size: precision(sql_type),
        literal_prefix: quote.clone(),
        literal_suffix: quote,
        create_params: match sql_type {
            SqlType::Numeric { .. } => Some(vec!["precision".to_owned(), "scale".to_owned()]),
            SqlType::Varchar(_) | SqlType::Char(_) => Some(vec!["length".to_owned()]),
            SqlType::Vector(_) => Some(vec!["dimensions".to_owned()]),
            _ => None,
        },
        nullable: Nullable::NullabilityNullable,
        case_sensitive: matches!(
            sql_type,
            SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Json | SqlType::Jsonb
        ),
        searchable: match sql_type {
            SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => Searchable::Full,
            SqlType::Json | SqlType::Vector(_) => Searchable::None,
            _ => Searchable::Basic,
        },
        unsigned_attribute: is_number.then_some(false),
        fixed_prec_scale: false,
        auto_increment: is_number.then_some(false),
        local_type_name: None,
        minimum_scale: is_numeric.then_some(0),
        maximum_scale: is_numeric.then_some(38),
        sql_data_type: data_type,
        datetime_subcode: subcode,
        num_prec_radix: match sql_type {
            SqlType::Real | SqlType::Double => Some(2),
            _ if is_number => Some(10),
            _ => None,
        },
        interval_precision: None,
    }
}

fn xdbc(sql_type: &SqlType) -> (XdbcDataType, Option<XdbcDatetimeSubcode>) {
    use XdbcDataType as X;
    let data_type = match sql_type {
        SqlType::Boolean => X::XdbcBit,
        SqlType::SmallInt => X::XdbcSmallint,
        SqlType::Integer => X::XdbcInteger,
        SqlType::BigInt => X::XdbcBigint,
        SqlType::Real => X::XdbcReal,
        SqlType::Double => X::XdbcDouble,
        SqlType::Numeric { .. } => X::XdbcNumeric,
        SqlType::Text | SqlType::Json | SqlType::Jsonb => X::XdbcLongvarchar,
        SqlType::Varchar(_) | SqlType::Enum(_) => X::XdbcVarchar,
        SqlType::Char(_) => X::XdbcChar,
        SqlType::Bytea => X::XdbcLongvarbinary,
        SqlType::Interval => X::XdbcInterval,
        SqlType::Uuid => X::XdbcBinary,
        SqlType::Date => return (X::XdbcDate, None),
        SqlType::Time(_) => return (X::XdbcTime, Some(XdbcDatetimeSubcode::XdbcSubcodeTime)),
        SqlType::Timestamp(_) => return (X::XdbcTimestamp, Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp)),
        SqlType::TimestampTz(_) => {
            return (
                X::XdbcTimestamp,
                Some(XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone),
            );
        }
        // None of theirs.
        SqlType::Vector(_) | SqlType::Array(_) => X::XdbcUnknownType,
    };
    (data_type, None)
}

/// Digits of a number, characters of a text, bytes of a binary; None where there is no limit.
pub(super) fn precision(sql_type: &SqlType) -> Option<i32> {
    match sql_type {
        SqlType::Boolean => Some(1),
        SqlType::SmallInt => Some(5),
        SqlType::Integer => Some(10),
        SqlType::BigInt => Some(19),
        SqlType::Real => Some(24),
        SqlType::Double => Some(53),
        SqlType::Numeric { .. } => Some(sql_type.precision().into()),
        SqlType::Varchar(length) => length.and_then(|length| i32::try_from(length).ok()),
        SqlType::Char(length) => i32::try_from(*length).ok(),
        SqlType::Date => Some(10),
        SqlType::Time(_) => Some(15),
        SqlType::Timestamp(_) => Some(26),
        SqlType::TimestampTz(_) => Some(32),
        SqlType::Interval => Some(49),
        SqlType::Uuid => Some(16),
        SqlType::Vector(dimensions) => dimensions.map(i32::from),
        SqlType::Text | SqlType::Bytea | SqlType::Json | SqlType::Jsonb | SqlType::Array(_) | SqlType::Enum(_) => None,
    }
}
