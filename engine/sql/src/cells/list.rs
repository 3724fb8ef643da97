//! The cells of arrays: a list's offsets, and the cells of its elements.

use std::ops::Range;

use aion_base::Result;
use aion_catalog::json::{Jsonb, JsonbRef};
use aion_catalog::{SqlType, Value, text};
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::DataType;

use super::{Cells, interval_of};

/// Arrays of one dimension.
#[derive(Debug)]
pub struct ListCells<'a> {
    nulls: Option<&'a NullBuffer>,
    offsets: Offsets<'a>,
    /// The type of the elements.
    pub element: SqlType,
    /// The elements of all rows.
    pub elements: Box<Cells<'a>>,
}

#[derive(Debug)]
enum Offsets<'a> {
    Short(&'a [i32]),
    Long(&'a [i64]),
}

impl<'a> ListCells<'a> {
    pub(super) fn of(array: &'a dyn Array, element: SqlType) -> Option<Self> {
        let (offsets, values) = match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (Offsets::Short(list.value_offsets()), list.values())
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                (Offsets::Long(list.value_offsets()), list.values())
            }
            _ => return None,
        };
        Some(Self {
            nulls: array.nulls(),
            offsets,
            element,
            elements: Box::new(Cells::of(values, element)?),
        })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Where the elements of a row lie.
    pub fn range(&self, row: usize) -> Range<usize> {
        let offset = |at: usize| match self.offsets {
            Offsets::Short(offsets) => usize::try_from(offsets[at]).unwrap_or(0),
            Offsets::Long(offsets) => usize::try_from(offsets[at]).unwrap_or(0),
        };
        offset(row)..offset(row + 1)
    }

    pub(super) fn write_text(&self, row: usize, out: &mut String) {
        let mut element = String::new();
        out.push('{');
        let range = self.range(row);
        for at in range.clone() {
            if at > range.start {
                out.push(',');
            }
            if self.elements.is_null(at) {
                out.push_str("NULL");
                continue;
            }
            element.clear();
            self.elements.write_text(at, &mut element);
            text::write_array_element(&element, out);
        }
        out.push('}');
    }
}

impl Cells<'_> {
    /// The value, which is of the type that the cells were made for.
    ///
    /// # Errors
    /// 22P02 for a text that is no document.
    pub fn value(&self, row: usize) -> Result<Value> {
        if self.is_null(row) {
            return Ok(Value::Null);
        }
        Ok(match self {
            Self::Null => Value::Null,
            Self::Boolean(array) => Value::Bool(array.value(row)),
            Self::SmallInt(array) => Value::I16(array.value(row)),
            Self::Integer(array) => Value::I32(array.value(row)),
            Self::BigInt(array) => Value::I64(array.value(row)),
            Self::Real(array) => Value::F32(array.value(row)),
            Self::Double(array) => Value::F64(array.value(row)),
            Self::Numeric(array, scale) => Value::Decimal(array.value(row), *scale),
            Self::Text(array) | Self::Padded(array, _) => Value::Text(array.value(row).to_owned()),
            Self::LargeText(array) => Value::Text(array.value(row).to_owned()),
            Self::TextView(array) => Value::Text(array.value(row).to_owned()),
            Self::JsonbText(array) => Value::Jsonb(Jsonb::parse(array.value(row))?),
            Self::Bytea(array) => Value::Bytes(array.value(row).to_vec()),
            Self::ByteaView(array) => Value::Bytes(array.value(row).to_vec()),
            Self::FixedBytea(array) => Value::Bytes(array.value(row).to_vec()),
            Self::Uuid(array) => match array.value(row).try_into() {
                Ok(uuid) => Value::Uuid(uuid),
                Err(_) => Value::Null,
            },
            Self::Jsonb(array) => Value::Jsonb(JsonbRef::new(array.value(row)).to_owned()),
            Self::Date(array) => Value::Date(array.value(row)),
            Self::Time(array) => Value::Time(array.value(row)),
            Self::Timestamp(array) | Self::TimestampTz(array, _) => Value::Timestamp(array.value(row)),
            Self::Interval(array) => Value::Interval(interval_of(array.value(row))),
            Self::Enum(array, _) => Value::Enum(array.value(row)),
            Self::FixedVector(..) | Self::Vector(..) => Value::Vector(self.elements(row).to_vec()),
            Self::Array(lists) => {
                let is_json = lists.element == SqlType::Json;
                let elements = lists.range(row).map(|at| match lists.elements.value(at)? {
                    Value::Text(text) if is_json => Ok(Value::Json(text)),
                    value => Ok(value),
                });
                Value::Array(elements.collect::<Result<_>>()?)
            }
        })
    }
}
