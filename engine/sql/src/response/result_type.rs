//! Types that results have and tables do not: those of PostgreSQL's catalog.
//!
//! Their values travel as those of a [`SqlType`]: an oid as a bigint, a name as text, an int2vector as PostgreSQL's text of it, `1 2`.
//! What is more, the OID that clients choose their reader by, stands here.
//!
//! A field says which one it is by its metadata (system tables, casts to `oid`).

use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::SqlType;
use aion_catalog::types::{ElementType, TYPE_METADATA_KEY};
use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{DataType, Field};

use crate::cells::{Cells, canonical};

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
    /// `oid[]`
    OidArray,
}

impl ResultType {
    /// The type of a field that no table's column has.
    pub fn of(field: &Field) -> Option<Self> {
        let mark = field.metadata().get(TYPE_METADATA_KEY).map(String::as_str);
        match (mark, field.data_type()) {
            (Some("oid"), DataType::Int64) => Some(Self::Oid),
            (Some("oid"), DataType::List(item)) if *item.data_type() == DataType::Int64 => Some(Self::OidArray),
            (Some("name"), DataType::Utf8) => Some(Self::Name),
            (Some("char"), DataType::Utf8) => Some(Self::Char),
            (Some("int2vector"), DataType::List(_)) => Some(Self::Int2Vector),
            (Some("oidvector"), DataType::List(_)) => Some(Self::OidVector),
            _ => None,
        }
    }

    /// The type whose values stand for it.
    pub fn carrier(self) -> SqlType {
        match self {
            Self::Oid => SqlType::BigInt,
            Self::OidArray => SqlType::Array(ElementType::BigInt),
            Self::Name | Self::Char | Self::Int2Vector | Self::OidVector => SqlType::Text,
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
            Self::OidArray => 1028,
        }
    }

    /// Bytes of a value in PostgreSQL, -1 for a varying length.
    pub fn type_length(self) -> i16 {
        match self {
            Self::Oid => 4,
            Self::Name => 64,
            Self::Char => 1,
            Self::Int2Vector | Self::OidVector | Self::OidArray => -1,
        }
    }

    /// A field of the carrier that tells of this type.
    pub fn mark(self, field: Field) -> Field {
        let mark = match self {
            Self::Oid | Self::OidArray => "oid",
            Self::Name => "name",
            Self::Char => "char",
            Self::Int2Vector => "int2vector",
            Self::OidVector => "oidvector",
        };
        let mut metadata = field.metadata().clone();
        metadata.insert(TYPE_METADATA_KEY.to_owned(), mark.to_owned());
        field.with_metadata(metadata)
    }

    /// The type whose lists are carried as the texts of a field; None where nothing is to be done.
    pub fn carried(list: &DataType, field: &Field) -> Option<Self> {
        if !matches!(
            list,
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
        ) || *field.data_type() != DataType::Utf8
        {
            return None;
        }
        match field.metadata().get(TYPE_METADATA_KEY).map(String::as_str) {
            Some("int2vector") => Some(Self::Int2Vector),
            Some("oidvector") => Some(Self::OidVector),
            _ => None,
        }
    }

    /// The values of a vector as texts; of another type as they are.
    ///
    /// # Errors
    /// XX000 for an array that does not hold them.
    pub fn carry(self, array: &ArrayRef) -> Result<ArrayRef> {
        match self {
            Self::Oid | Self::OidArray | Self::Name | Self::Char => Ok(array.clone()),
            Self::Int2Vector => texts(array, SqlType::SmallInt),
            Self::OidVector => texts(array, SqlType::BigInt),
        }
    }
}

fn texts(array: &ArrayRef, item: SqlType) -> Result<ArrayRef> {
    // Whatever the list's offsets are, they become those of a List.
    let item_field = Arc::new(Field::new_list_field(item.to_arrow(), true));
    let list = arrow::compute::cast(array, &DataType::List(item_field))
        .map_err(|error| Error::internal(format!("a vector of {item} came as {}: {error}", array.data_type())))?;
    let list = list.as_list::<i32>();
    let values = canonical(list.values(), item)?;
    let cells = Cells::of(&values, item).ok_or_else(|| Error::internal("canonical cells are cells"))?;
    let mut texts = StringBuilder::new();
    let mut line = String::new();
    for row in 0..list.len() {
        if list.is_null(row) {
            texts.append_null();
            continue;
        }
        line.clear();
        let offsets = list.value_offsets();
        let from = usize::try_from(offsets[row]).unwrap_or(0);
        let to = usize::try_from(offsets[row + 1]).unwrap_or(0);
        for at in from..to {
            if at > from {
                line.push(' ');
            }
            cells.write_text(at, &mut line);
        }
        texts.append_value(&line);
    }
    Ok(Arc::new(texts.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::Int16Array;
    use arrow::array::ListBuilder;

    use super::*;

    #[test]
    fn vectors_of_the_catalog_have_spaces() {
        let mut lists = ListBuilder::new(Int16Array::builder(2));
        lists.append_value([Some(1), Some(2)]);
        lists.append(false);
        let lists: ArrayRef = Arc::new(lists.finish());
        let field = ResultType::Int2Vector.mark(Field::new("a", lists.data_type().clone(), true));
        let of = ResultType::of(&field).expect("an int2vector");
        assert_eq!((of, of.oid()), (ResultType::Int2Vector, 22));
        let texts = of.carry(&lists).expect("texts");
        let texts = texts.as_string::<i32>();
        assert_eq!(texts.value(0), "1 2");
        assert!(texts.is_null(1));
    }

    #[test]
    fn arrays_are_types_of_tables() {
        let field = Field::new_list("a", Field::new_list_field(DataType::Int32, true), true);
        assert_eq!(ResultType::of(&field), None);
        assert_eq!(SqlType::from_field(&field).expect("a type").oid(), 1007);
    }
}
