//! The types of the elements of arrays.
//!
//! `Array(ElementType)` keeps [`SqlType`] small and [`Copy`]: an element is of any type that a column has, except an array, which
//! PostgreSQL has no arrays of either, and `vector`, which is a list already.

use super::{SqlType, VECTOR_OID};
use crate::enumeration::EnumType;

/// What an array holds; each stands for the [`SqlType`] of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are those of SqlType")]
pub enum ElementType {
    Boolean,
    SmallInt,
    Integer,
    BigInt,
    Real,
    Double,
    Numeric { precision: Option<u8>, scale: i8 },
    Text,
    Varchar(Option<u32>),
    Char(u32),
    Bytea,
    Date,
    Time(u8),
    Timestamp(u8),
    TimestampTz(u8),
    Uuid,
    Json,
    Jsonb,
    Enum(EnumType),
}

impl ElementType {
    /// The element that a type is; None for one that there are no arrays of.
    pub const fn of(sql_type: SqlType) -> Option<Self> {
        Some(match sql_type {
            SqlType::Boolean => Self::Boolean,
            SqlType::SmallInt => Self::SmallInt,
            SqlType::Integer => Self::Integer,
            SqlType::BigInt => Self::BigInt,
            SqlType::Real => Self::Real,
            SqlType::Double => Self::Double,
            SqlType::Numeric { precision, scale } => Self::Numeric { precision, scale },
            SqlType::Text => Self::Text,
            SqlType::Varchar(limit) => Self::Varchar(limit),
            SqlType::Char(length) => Self::Char(length),
            SqlType::Bytea => Self::Bytea,
            SqlType::Date => Self::Date,
            SqlType::Time(digits) => Self::Time(digits),
            SqlType::Timestamp(digits) => Self::Timestamp(digits),
            SqlType::TimestampTz(digits) => Self::TimestampTz(digits),
            SqlType::Uuid => Self::Uuid,
            SqlType::Json => Self::Json,
            SqlType::Jsonb => Self::Jsonb,
            SqlType::Enum(of) if of.has_arrays() => Self::Enum(of),
            _ => return None,
        })
    }

    /// The type of a value that is not in an array.
    pub const fn sql_type(self) -> SqlType {
        match self {
            Self::Boolean => SqlType::Boolean,
            Self::SmallInt => SqlType::SmallInt,
            Self::Integer => SqlType::Integer,
            Self::BigInt => SqlType::BigInt,
            Self::Real => SqlType::Real,
            Self::Double => SqlType::Double,
            Self::Numeric { precision, scale } => SqlType::Numeric { precision, scale },
            Self::Text => SqlType::Text,
            Self::Varchar(limit) => SqlType::Varchar(limit),
            Self::Char(length) => SqlType::Char(length),
            Self::Bytea => SqlType::Bytea,
            Self::Date => SqlType::Date,
            Self::Time(digits) => SqlType::Time(digits),
            Self::Timestamp(digits) => SqlType::Timestamp(digits),
            Self::TimestampTz(digits) => SqlType::TimestampTz(digits),
            Self::Uuid => SqlType::Uuid,
            Self::Json => SqlType::Json,
            Self::Jsonb => SqlType::Jsonb,
            Self::Enum(of) => SqlType::Enum(of),
        }
    }

    /// The array's name without modifiers.
    pub const fn array_name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean[]",
            Self::SmallInt => "smallint[]",
            Self::Integer => "integer[]",
            Self::BigInt => "bigint[]",
            Self::Real => "real[]",
            Self::Double => "double precision[]",
            Self::Numeric { .. } => "numeric[]",
            Self::Text => "text[]",
            Self::Varchar(_) => "character varying[]",
            Self::Char(_) => "character[]",
            Self::Bytea => "bytea[]",
            Self::Date => "date[]",
            Self::Time(_) => "time without time zone[]",
            Self::Timestamp(_) => "timestamp without time zone[]",
            Self::TimestampTz(_) => "timestamp with time zone[]",
            Self::Uuid => "uuid[]",
            Self::Json => "json[]",
            Self::Jsonb => "jsonb[]",
            Self::Enum(of) => of.array_name(),
        }
    }

    /// The array's OID (`pg_type.typarray` of the element).
    pub const fn array_oid(self) -> u32 {
        match self {
            Self::Boolean => 1000,
            Self::SmallInt => 1005,
            Self::Integer => 1007,
            Self::BigInt => 1016,
            Self::Real => 1021,
            Self::Double => 1022,
            Self::Numeric { .. } => 1231,
            Self::Text => 1009,
            Self::Varchar(_) => 1015,
            Self::Char(_) => 1014,
            Self::Bytea => 1001,
            Self::Date => 1182,
            Self::Time(_) => 1183,
            Self::Timestamp(_) => 1115,
            Self::TimestampTz(_) => 1185,
            Self::Uuid => 2951,
            Self::Json => 199,
            Self::Jsonb => 3807,
            Self::Enum(of) => of.array_oid(),
        }
    }

    /// The OID of the elements of an array of this OID.
    pub(super) const fn oid_of_array(array: u32) -> Option<u32> {
        Some(match array {
            1000 => 16,
            1005 => 21,
            1007 => 23,
            1016 => 20,
            1021 => 700,
            1022 => 701,
            1231 => 1700,
            1009 => 25,
            1015 => 1043,
            1014 => 1042,
            1001 => 17,
            1182 => 1082,
            1183 => 1083,
            1115 => 1114,
            1185 => 1184,
            2951 => 2950,
            199 => 114,
            3807 => 3802,
            _ => return None,
        })
    }
}

impl SqlType {
    /// Arrays of this type; None where there are none.
    pub const fn array(self) -> Option<Self> {
        match ElementType::of(self) {
            Some(element) => Some(Self::Array(element)),
            None => None,
        }
    }

    /// The type of the elements of an array.
    pub const fn element(self) -> Option<Self> {
        match self {
            Self::Array(element) => Some(element.sql_type()),
            _ => None,
        }
    }

    /// The OID of the arrays of this type (`pg_type.typarray`), 0 where it has none.
    pub const fn array_oid(self) -> u32 {
        match (self, ElementType::of(self)) {
            (_, Some(element)) => element.array_oid(),
            (Self::Vector(_), None) => VECTOR_OID + 1,
            // PostgreSQL has them; here there are none yet.
            (Self::Interval, None) => 1187,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ALL;
    use super::*;

    #[test]
    fn elements_and_arrays_are_told_by_their_oids() {
        for sql_type in ALL {
            let Some(element) = ElementType::of(sql_type) else {
                let has_none = matches!(sql_type, SqlType::Vector(_) | SqlType::Array(_) | SqlType::Interval);
                assert!(has_none, "{sql_type}");
                continue;
            };
            assert_eq!(element.sql_type(), sql_type);
            assert_eq!(ElementType::oid_of_array(element.array_oid()), Some(sql_type.oid()));
            assert_eq!(element.array_name(), format!("{}[]", sql_type.base_name()));
        }
    }
}
