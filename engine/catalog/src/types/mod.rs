//! The SQL types of columns and expressions.
//!
//! **Vocabulary.** A *type* is what a column declares, with its *modifier* (`varchar(10)`, `numeric(10,2)`,
//! `vector(12)`). Its *name* is PostgreSQL's, written out, as `format_type` prints it.
//!
//! **Guarantees.** `to_string` and [`str::parse`] of a type are inverse, and the printed names are persistent:
//! descriptors store types by name. [`SqlType::to_field`] and [`SqlType::from_field`] are inverse too.
//!
//! **Where we are narrower than PostgreSQL.** `numeric` is an i128 at the column's scale: at most 38 digits, scale
//! 0 to the precision, no NaN and no infinities, and `numeric` without a modifier is (38,10), which rounds at the
//! eleventh decimal.
//!
//! A *precision* of a time is how many digits of a second it keeps, 0 to 6; a modifier that is 6 is none, and is not shown.
//! `time with time zone` is not there.
//!
//! The time of an `interval` is less than 292 years, which is what Arrow's nanoseconds hold; it has no fields and no precision but 6.
//!
//! An enum is shown by its name, and stored by its id ([`crate::enumeration`]): its name may change.
//!
//! `vector(n)` is pgvector's type; pgvector has no fixed OID, ours is 16400, in the range of user-defined objects.

mod arrow;
mod element;
mod parse;

use std::fmt;

use aion_base::Result;

use crate::enumeration::EnumType;

pub use arrow::TYPE_METADATA_KEY;
pub use element::ElementType;

/// The most digits of a `numeric`.
pub const NUMERIC_PRECISION_MAX: u8 = 38;
/// The scale of a `numeric` without a modifier.
pub const NUMERIC_DEFAULT_SCALE: i8 = 10;
/// The most characters of a `varchar(n)`, PostgreSQL's limit.
pub const VARCHAR_LENGTH_MAX: u32 = 10_485_760;
/// The most dimensions of a `vector`, pgvector's limit.
pub const VECTOR_DIMENSIONS_MAX: u16 = 16_000;
/// Digits of a second, and the precision of a time without a modifier: microseconds.
pub const SECOND_DIGITS_MAX: u8 = 6;
/// The OID of `vector`.
pub const VECTOR_OID: u32 = 16_400;

/// The type of a column or an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SqlType {
    /// `boolean`
    Boolean,
    /// `smallint`, 16 bits
    SmallInt,
    /// `integer`, 32 bits
    Integer,
    /// `bigint`, 64 bits
    BigInt,
    /// `real`, 32-bit float
    Real,
    /// `double precision`, 64-bit float
    Double,
    /// `numeric(precision, scale)`, stored as an i128 at this scale
    Numeric {
        /// Digits in all, 1 to 38; `None` is `numeric` without a modifier, which is (38,10).
        precision: Option<u8>,
        /// Digits after the point, 0 to the precision.
        scale: i8,
    },
    /// `text`
    Text,
    /// `character varying`, of at most so many characters
    Varchar(Option<u32>),
    /// `character(n)`: kept without the blanks at its end, which do not count, and shown with them.
    Char(u32),
    /// `bytea`
    Bytea,
    /// `date`, days since 1970-01-01
    Date,
    /// `time(p) without time zone`, microseconds since midnight, 0 to those of a day
    Time(u8),
    /// `timestamp(p) without time zone`, microseconds since 1970-01-01
    Timestamp(u8),
    /// `timestamp(p) with time zone`, microseconds since 1970-01-01 UTC
    TimestampTz(u8),
    /// `interval`: months, days and microseconds (see [`crate::interval`])
    Interval,
    /// `uuid`
    Uuid,
    /// `json`, kept as the text that was given
    Json,
    /// `jsonb`, kept as a document (see [`crate::json`])
    Jsonb,
    /// `vector`, of so many 32-bit floats; without a number, each value has its own
    Vector(Option<u16>),
    /// An array of one dimension (see [`crate::array`])
    Array(ElementType),
    /// A type that a user made (see [`crate::enumeration`])
    Enum(EnumType),
}

impl SqlType {
    /// `numeric` without a modifier.
    pub const NUMERIC: Self = Self::Numeric {
        precision: None,
        scale: NUMERIC_DEFAULT_SCALE,
    };

    /// `time without time zone` without a modifier.
    pub const TIME: Self = Self::Time(SECOND_DIGITS_MAX);
    /// `timestamp without time zone` without a modifier.
    pub const TIMESTAMP: Self = Self::Timestamp(SECOND_DIGITS_MAX);
    /// `timestamp with time zone` without a modifier.
    pub const TIMESTAMPTZ: Self = Self::TimestampTz(SECOND_DIGITS_MAX);

    /// The name without its modifier, as PostgreSQL's messages write it.
    pub const fn base_name(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Real => "real",
            Self::Double => "double precision",
            Self::Numeric { .. } => "numeric",
            Self::Text => "text",
            Self::Varchar(_) => "character varying",
            Self::Char(_) => "character",
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time(_) => "time without time zone",
            Self::Timestamp(_) => "timestamp without time zone",
            Self::TimestampTz(_) => "timestamp with time zone",
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Vector(_) => "vector",
            Self::Array(element) => element.array_name(),
            Self::Enum(of) => of.shown(),
        }
    }

    /// PostgreSQL's OID of the type (`pg_type.oid`).
    pub const fn oid(&self) -> u32 {
        match self {
            Self::Boolean => 16,
            Self::Bytea => 17,
            Self::BigInt => 20,
            Self::SmallInt => 21,
            Self::Integer => 23,
            Self::Text => 25,
            Self::Json => 114,
            Self::Real => 700,
            Self::Double => 701,
            Self::Varchar(_) => 1043,
            Self::Char(_) => 1042,
            Self::Date => 1082,
            Self::Time(_) => 1083,
            Self::Timestamp(_) => 1114,
            Self::TimestampTz(_) => 1184,
            Self::Interval => 1186,
            Self::Numeric { .. } => 1700,
            Self::Uuid => 2950,
            Self::Jsonb => 3802,
            Self::Vector(_) => VECTOR_OID,
            Self::Array(element) => element.array_oid(),
            Self::Enum(of) => of.oid(),
        }
    }

    /// Bytes of a value in PostgreSQL (`pg_type.typlen`), -1 for a varying length.
    pub const fn type_length(&self) -> i16 {
        match self {
            Self::Boolean => 1,
            Self::SmallInt => 2,
            Self::Integer | Self::Real | Self::Date | Self::Enum(_) => 4,
            Self::BigInt | Self::Double | Self::Time(_) | Self::Timestamp(_) | Self::TimestampTz(_) => 8,
            Self::Uuid | Self::Interval => 16,
            Self::Numeric { .. }
            | Self::Text
            | Self::Varchar(_)
            | Self::Char(_)
            | Self::Bytea
            | Self::Json
            | Self::Jsonb
            | Self::Vector(_)
            | Self::Array(_) => -1,
        }
    }

    /// PostgreSQL's encoding of the modifier (`pg_attribute.atttypmod`), -1 for none.
    pub const fn type_modifier(&self) -> i32 {
        match *self {
            Self::Numeric {
                precision: Some(precision),
                scale,
            } => (((precision as i32) << 16) | scale as i32) + 4,
            Self::Varchar(Some(length)) | Self::Char(length) => length as i32 + 4,
            Self::Vector(Some(dimensions)) => dimensions as i32,
            Self::Time(digits @ ..SECOND_DIGITS_MAX)
            | Self::Timestamp(digits @ ..SECOND_DIGITS_MAX)
            | Self::TimestampTz(digits @ ..SECOND_DIGITS_MAX) => digits as i32,
            Self::Array(element) => element.sql_type().type_modifier(),
            _ => -1,
        }
    }

    /// The type of an OID and a modifier; `None` if there is no such type here. Those that users made are the catalog's to find.
    pub fn from_oid(oid: u32, modifier: i32) -> Option<Self> {
        Some(match oid {
            16 => Self::Boolean,
            17 => Self::Bytea,
            20 => Self::BigInt,
            21 => Self::SmallInt,
            23 => Self::Integer,
            25 => Self::Text,
            114 => Self::Json,
            700 => Self::Real,
            701 => Self::Double,
            1043 if modifier < 4 => Self::Varchar(None),
            1043 => Self::Varchar(u32::try_from(modifier - 4).ok()),
            1042 if modifier < 4 => Self::Text,
            1042 => Self::Char(u32::try_from(modifier - 4).unwrap_or(1)),
            1082 => Self::Date,
            1083 => Self::Time(second_digits(modifier)),
            1114 => Self::Timestamp(second_digits(modifier)),
            1184 => Self::TimestampTz(second_digits(modifier)),
            1186 => Self::Interval,
            1700 if modifier < 4 => Self::NUMERIC,
            1700 => {
                let (precision, scale) = ((modifier - 4) >> 16, (modifier - 4) & 0xFFFF);
                parse::numeric(precision.into(), scale.into()).ok()?
            }
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            VECTOR_OID if modifier < 1 => Self::Vector(None),
            VECTOR_OID => parse::vector(modifier.into()).ok()?,
            other => {
                let element = ElementType::oid_of_array(other)?;
                return Self::from_oid(element, modifier)?.array();
            }
        })
    }

    /// The name by which it is found whatever the search path.
    pub fn qualified(&self) -> String {
        match self {
            Self::Enum(of) => of.qualified().to_owned(),
            Self::Array(ElementType::Enum(of)) => format!("{}[]", of.qualified()),
            _ => self.to_string(),
        }
    }

    /// The type that a user made which it is, or an array of.
    pub const fn made(&self) -> Option<EnumType> {
        match self {
            Self::Enum(of) | Self::Array(ElementType::Enum(of)) => Some(*of),
            _ => None,
        }
    }

    /// The type with another state of the type that a user made, see [`SqlType::made`].
    pub const fn remade(self, of: EnumType) -> Self {
        match self {
            Self::Enum(_) => Self::Enum(of),
            Self::Array(ElementType::Enum(_)) => Self::Array(ElementType::Enum(of)),
            _ => self,
        }
    }

    /// The name that descriptors store.
    pub(crate) fn stored(&self) -> String {
        match self {
            Self::Enum(of) => of.stored(),
            Self::Array(ElementType::Enum(of)) => format!("{}[]", of.stored()),
            _ => self.to_string(),
        }
    }

    /// The type of a name that was stored; one that a user made is without labels yet.
    pub(crate) fn of_stored(name: &str) -> Result<Self> {
        let (bare, is_array) = match name.strip_suffix("[]") {
            Some(bare) => (bare, true),
            None => (name, false),
        };
        match EnumType::of_stored(bare) {
            Some(of) if is_array => Ok(Self::Array(ElementType::Enum(of?))),
            Some(of) => Ok(Self::Enum(of?)),
            None => name.parse(),
        }
    }

    /// The digits of a second that a time keeps; None for another type.
    pub const fn second_digits(&self) -> Option<u8> {
        match self {
            Self::Time(digits) | Self::Timestamp(digits) | Self::TimestampTz(digits) => Some(*digits),
            _ => None,
        }
    }

    /// The type with all digits of a second: what is compared with a value of it, or computed of one, is not rounded.
    pub const fn with_all_digits(self) -> Self {
        match self {
            Self::Time(_) => Self::TIME,
            Self::Timestamp(_) => Self::TIMESTAMP,
            Self::TimestampTz(_) => Self::TIMESTAMPTZ,
            other => other,
        }
    }

    /// Digits in all of a `numeric`, 38 for every other type.
    pub const fn precision(&self) -> u8 {
        match self {
            Self::Numeric {
                precision: Some(precision),
                ..
            } => *precision,
            _ => NUMERIC_PRECISION_MAX,
        }
    }

    /// Whether a column of integers of this type can hold the number.
    pub fn fits(self, number: i64) -> bool {
        match self {
            Self::SmallInt => i16::try_from(number).is_ok(),
            Self::Integer => i32::try_from(number).is_ok(),
            Self::BigInt => true,
            _ => false,
        }
    }

    /// Whether values have an order: whether the type can be a key, a sort key and a statistic.
    pub const fn is_ordered(&self) -> bool {
        !matches!(self, Self::Json | Self::Vector(_) | Self::Array(ElementType::Json))
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(element) => return write!(f, "{}[]", element.sql_type()),
            Self::Enum(of) => return fmt::Display::fmt(of, f),
            _ => {}
        }
        if let Some(digits @ ..SECOND_DIGITS_MAX) = self.second_digits()
            && let Some((before, behind)) = self.base_name().split_once(' ')
        {
            return write!(f, "{before}({digits}) {behind}");
        }
        f.write_str(self.base_name())?;
        match self {
            Self::Numeric {
                precision: Some(precision),
                scale,
            } => write!(f, "({precision},{scale})"),
            Self::Varchar(Some(length)) | Self::Char(length) => write!(f, "({length})"),
            Self::Vector(Some(dimensions)) => write!(f, "({dimensions})"),
            _ => Ok(()),
        }
    }
}

/// Of a modifier of a time.
fn second_digits(modifier: i32) -> u8 {
    u8::try_from(modifier).map_or(SECOND_DIGITS_MAX, |digits| digits.min(SECOND_DIGITS_MAX))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: [SqlType; 35] = [
        SqlType::Boolean,
        SqlType::SmallInt,
        SqlType::Integer,
        SqlType::BigInt,
        SqlType::Real,
        SqlType::Double,
        SqlType::NUMERIC,
        SqlType::Numeric {
            precision: Some(10),
            scale: 2,
        },
        SqlType::Numeric {
            precision: Some(38),
            scale: 10,
        },
        SqlType::Numeric {
            precision: Some(38),
            scale: 38,
        },
        SqlType::Text,
        SqlType::Varchar(None),
        SqlType::Varchar(Some(10)),
        SqlType::Char(10),
        SqlType::Bytea,
        SqlType::Date,
        SqlType::TIME,
        SqlType::Time(0),
        SqlType::Timestamp(3),
        SqlType::TimestampTz(2),
        SqlType::TIMESTAMP,
        SqlType::TIMESTAMPTZ,
        SqlType::Interval,
        SqlType::Uuid,
        SqlType::Json,
        SqlType::Jsonb,
        SqlType::Vector(None),
        SqlType::Vector(Some(12)),
        SqlType::Array(ElementType::Integer),
        SqlType::Array(ElementType::Real),
        SqlType::Array(ElementType::Numeric {
            precision: Some(10),
            scale: 2,
        }),
        SqlType::Array(ElementType::Varchar(Some(10))),
        SqlType::Array(ElementType::Text),
        SqlType::Array(ElementType::TimestampTz(6)),
        SqlType::Array(ElementType::Jsonb),
    ];

    #[test]
    fn names_and_oids_read_back() {
        for sql_type in ALL {
            assert_eq!(
                sql_type.to_string().parse::<SqlType>().expect("printed above"),
                sql_type
            );
            assert_eq!(
                SqlType::from_oid(sql_type.oid(), sql_type.type_modifier()),
                Some(sql_type)
            );
        }
        assert_eq!(SqlType::from_oid(26, -1), None);
        assert_eq!(SqlType::from_oid(1700, i32::MAX), None);
    }

    /// `atttypmod` of PostgreSQL 15 for the same declarations.
    #[test]
    fn modifiers_are_those_of_postgres() {
        let numeric = SqlType::Numeric {
            precision: Some(10),
            scale: 2,
        };
        assert_eq!(numeric.type_modifier(), 655_366);
        assert_eq!(SqlType::Varchar(Some(10)).type_modifier(), 14);
        assert_eq!(SqlType::Text.type_modifier(), -1);
        assert_eq!(SqlType::Timestamp(3).type_modifier(), 3);
        assert_eq!(
            (SqlType::Time(0).type_modifier(), SqlType::TIME.type_modifier()),
            (0, -1)
        );
    }

    /// Descriptors store these names.
    #[test]
    fn golden() {
        let names = ALL.map(|sql_type| sql_type.to_string()).join(", ");
        assert_eq!(
            names,
            "boolean, smallint, integer, bigint, real, double precision, numeric, numeric(10,2), numeric(38,10), \
             numeric(38,38), text, character varying, character varying(10), character(10), bytea, date, \
             time without time zone, time(0) without time zone, timestamp(3) without time zone, \
             timestamp(2) with time zone, timestamp without time zone, timestamp with time zone, interval, uuid, json, jsonb, vector, vector(12), \
             integer[], real[], numeric(10,2)[], character varying(10)[], text[], timestamp with time zone[], jsonb[]"
        );
    }
}
