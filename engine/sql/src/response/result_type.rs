//! Types that results have and tables do not: those of PostgreSQL's catalog, and arrays.
//!
//! Their values travel as those of a [`SqlType`]: an oid as a bigint, a name as text, an array as PostgreSQL's text of it,
//! `{1,NULL,"a b"}`. What is more, the OID that clients choose their reader by, stands here.
//!
//! A field says which one it is by its metadata (system tables, casts to `oid`), an array by its Arrow type.

use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::types::TYPE_METADATA_KEY;
use aion_catalog::{SqlType, Zone, text};
use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{DataType, Field};

use crate::cells::{Cells, canonical};
use crate::functions::label;

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultType {
    /// `oid`
    Oid,
    /// `name`
    Name,
    /// `"char"`
    Char,
    /// `int2vector`: numbers with spaces between.
    Int2Vector,
    /// `oidvector`
    OidVector,
    /// An array of one dimension.
    Array(SqlType),
}

impl ResultType {
    /// The type of a field that no table's column has.
    pub fn of(field: &Field) -> Option<Self> {
        let mark = field.metadata().get(TYPE_METADATA_KEY).map(String::as_str);
        match (mark, field.data_type()) {
            (Some("oid"), DataType::Int64) => Some(Self::Oid),
            (Some("name"), DataType::Utf8) => Some(Self::Name),
            (Some("char"), DataType::Utf8) => Some(Self::Char),
            (Some("int2vector"), DataType::List(_)) => Some(Self::Int2Vector),
            (Some("oidvector"), DataType::List(_)) => Some(Self::OidVector),
            (_, DataType::List(item) | DataType::LargeList(item)) if *item.data_type() != DataType::Float32 => {
                SqlType::from_field(item).ok().map(Self::Array)
            }
            _ => None,
        }
    }

    /// The type whose values stand for it.
    pub fn carrier(self) -> SqlType {
        match self {
            Self::Oid => SqlType::BigInt,
            Self::Name | Self::Char | Self::Int2Vector | Self::OidVector | Self::Array(_) => SqlType::Text,
        }
    }

    /// PostgreSQL's OID of the type.
    pub fn oid(self) -> u32 {
        match self {
            Self::Oid => 26,
            Self::Name => 19,
            Self::Char => 18,
            Self::Int2Vector => 22,
            Self::OidVector => 30,
            Self::Array(item) => array_oid(&item),
        }
    }

    /// Bytes of a value in PostgreSQL, -1 for a varying length.
    pub fn type_length(self) -> i16 {
        match self {
            Self::Oid => 4,
            Self::Name => 64,
            Self::Char => 1,
            Self::Int2Vector | Self::OidVector | Self::Array(_) => -1,
        }
    }

    /// A field of the carrier that tells of this type.
    pub fn mark(self, field: Field) -> Field {
        let mark = match self {
            Self::Oid => "oid",
            Self::Name => "name",
            Self::Char => "char",
            Self::Int2Vector => "int2vector",
            Self::OidVector => "oidvector",
            Self::Array(_) => return field,
        };
        let mut metadata = field.metadata().clone();
        metadata.insert(TYPE_METADATA_KEY.to_owned(), mark.to_owned());
        field.with_metadata(metadata)
    }

    /// The type whose lists are carried as the texts of a field; None where nothing is to be done.
    pub fn carried(list: &DataType, field: &Field) -> Option<Self> {
        let (DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)) = list else {
            return None;
        };
        if *field.data_type() != DataType::Utf8 {
            return None;
        }
        match field.metadata().get(TYPE_METADATA_KEY).map(String::as_str) {
            Some("int2vector") => Some(Self::Int2Vector),
            Some("oidvector") => Some(Self::OidVector),
            _ => SqlType::from_field(item).ok().map(Self::Array),
        }
    }

    /// The values of an array as texts, in which moments are shown in a zone; of another type as they are.
    ///
    /// # Errors
    /// XX000 for an array that does not hold them.
    pub fn carry(self, array: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
        match self {
            Self::Oid | Self::Name | Self::Char => Ok(array.clone()),
            Self::Int2Vector => texts(array, SqlType::SmallInt, &Style::SPACED, zone),
            Self::OidVector => texts(array, SqlType::BigInt, &Style::SPACED, zone),
            Self::Array(item) => texts(array, item, &Style::BRACED, zone),
        }
    }
}

/// The OID of the array of a type (`pg_type.typarray`).
pub fn array_oid(item: &SqlType) -> u32 {
    match item {
        SqlType::Boolean => 1000,
        SqlType::Bytea => 1001,
        SqlType::SmallInt => 1005,
        SqlType::Integer => 1007,
        SqlType::Text => 1009,
        SqlType::BigInt => 1016,
        SqlType::Real => 1021,
        SqlType::Double => 1022,
        SqlType::Varchar(_) => 1015,
        SqlType::Char(_) => 1014,
        SqlType::Date => 1182,
        SqlType::Timestamp => 1115,
        SqlType::TimestampTz => 1185,
        SqlType::Numeric { .. } => 1231,
        SqlType::Json => 199,
        SqlType::Interval => 1187,
        SqlType::Uuid => 2951,
        SqlType::Jsonb => 3807,
        SqlType::Vector(_) => aion_catalog::types::VECTOR_OID + 1,
    }
}

struct Style {
    open: &'static str,
    separator: char,
    close: &'static str,
}

impl Style {
    const BRACED: Self = Self {
        open: "{",
        separator: ',',
        close: "}",
    };
    const SPACED: Self = Self {
        open: "",
        separator: ' ',
        close: "",
    };
}

fn texts(array: &ArrayRef, item: SqlType, style: &Style, zone: Zone) -> Result<ArrayRef> {
    // Whatever the list's offsets are, they become those of a List.
    let item_field = Arc::new(Field::new_list_field(item.to_arrow(), true));
    let list = arrow::compute::cast(array, &DataType::List(item_field))
        .map_err(|error| Error::internal(format!("an array of {item} came as {}: {error}", array.data_type())))?;
    let list = list.as_list::<i32>();
    let values = label(&canonical(list.values(), item)?, zone);
    let cells = Cells::of(&values, item).ok_or_else(|| Error::internal("canonical cells are cells"))?;
    let mut texts = StringBuilder::new();
    let (mut line, mut element) = (String::new(), String::new());
    for row in 0..list.len() {
        if list.is_null(row) {
            texts.append_null();
            continue;
        }
        line.clear();
        line.push_str(style.open);
        let offsets = list.value_offsets();
        let from = usize::try_from(offsets[row]).unwrap_or(0);
        let to = usize::try_from(offsets[row + 1]).unwrap_or(0);
        for at in from..to {
            if at > from {
                line.push(style.separator);
            }
            if cells.is_null(at) {
                line.push_str("NULL");
                continue;
            }
            element.clear();
            cells.write_text(at, &mut element);
            text::write_array_element(&element, &mut line);
        }
        line.push_str(style.close);
        texts.append_value(&line);
    }
    Ok(Arc::new(texts.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::ListBuilder;

    use super::*;

    #[test]
    fn arrays_are_written_as_postgres_reads_them() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for element in [Some("a"), None, Some(""), Some("null"), Some("b c"), Some("d\"\\,{}")] {
            lists.values().append_option(element);
        }
        lists.append(true);
        lists.append(false);
        lists.append(true);
        let lists: ArrayRef = Arc::new(lists.finish());
        let field = Field::new("a", lists.data_type().clone(), true);
        let of = ResultType::of(&field).expect("an array");
        assert_eq!((of, of.oid()), (ResultType::Array(SqlType::Text), 1009));
        let texts = of.carry(&lists, Zone::UTC).expect("texts");
        let texts = texts.as_string::<i32>();
        assert_eq!(texts.value(0), r#"{a,NULL,"","null","b c","d\"\\,{}"}"#);
        assert!(texts.is_null(1));
        assert_eq!(texts.value(2), "{}");
    }

    #[test]
    fn vectors_are_no_arrays() {
        let field = SqlType::Vector(None).to_field("v", true);
        assert_eq!(ResultType::of(&field), None);
    }
}
