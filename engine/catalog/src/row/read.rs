//! Reading a row.

use aion_base::{Error, Result};

use super::{HEADER_BYTES, Parts, RowLayout, VERSION};
use crate::interval::Interval;
use crate::json::JsonbRef;
use crate::types::SqlType;
use crate::value::Value;

/// A row, checked as far as all its columns share; a variable column is checked when it is read.
#[derive(Clone, Copy, Debug)]
pub struct RowReader<'a> {
    layout: &'a RowLayout,
    bytes: &'a [u8],
    count: usize,
    parts: Parts,
}

impl<'a> RowReader<'a> {
    /// Reads the row in `bytes`.
    ///
    /// # Errors
    /// Corrupt, for bytes that are no row of this layout.
    pub fn new(layout: &'a RowLayout, bytes: &'a [u8]) -> Result<Self> {
        let Some((&[version, low, high], _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(damaged("it is shorter than its header"));
        };
        if version != VERSION {
            return Err(damaged("its version is unknown"));
        }
        let count = usize::from(u16::from_le_bytes([low, high]));
        if count > layout.places.len() {
            return Err(damaged("it has more columns than its table"));
        }
        let parts = layout.parts(count);
        if bytes.len() < parts.variable {
            return Err(damaged("it is shorter than its columns"));
        }
        Ok(Self {
            layout,
            bytes,
            count,
            parts,
        })
    }

    /// Whether the column was added after the row was written.
    pub fn is_absent(&self, column: usize) -> bool {
        self.layout.slots[column] >= self.count
    }

    /// Whether the column is NULL, as one that is absent is where nothing else stands for it.
    pub fn is_null(&self, column: usize) -> bool {
        let slot = self.layout.slots[column];
        match self.source(slot) {
            Some((bytes, _)) => bytes[HEADER_BYTES + slot / 8] & (1 << (slot % 8)) != 0,
            None => true,
        }
    }

    /// Where a slot is read: this row, or the one of what stands for columns that it had not.
    fn source(&self, slot: usize) -> Option<(&'a [u8], Parts)> {
        if slot < self.count {
            return Some((self.bytes, self.parts));
        }
        let missing = self.layout.missing.as_deref()?;
        Some((missing, self.layout.parts(self.layout.places.len())))
    }

    /// A boolean that is not NULL.
    pub fn bool(&self, column: usize) -> bool {
        self.fixed::<1>(column) != [0]
    }

    /// A smallint that is not NULL.
    pub fn i16(&self, column: usize) -> i16 {
        i16::from_le_bytes(self.fixed(column))
    }

    /// An integer or date that is not NULL.
    pub fn i32(&self, column: usize) -> i32 {
        i32::from_le_bytes(self.fixed(column))
    }

    /// A bigint or timestamp that is not NULL.
    pub fn i64(&self, column: usize) -> i64 {
        i64::from_le_bytes(self.fixed(column))
    }

    /// A numeric that is not NULL, at its column's scale.
    pub fn i128(&self, column: usize) -> i128 {
        i128::from_le_bytes(self.fixed(column))
    }

    /// A real that is not NULL.
    pub fn f32(&self, column: usize) -> f32 {
        f32::from_le_bytes(self.fixed(column))
    }

    /// A double precision that is not NULL.
    pub fn f64(&self, column: usize) -> f64 {
        f64::from_le_bytes(self.fixed(column))
    }

    /// A uuid that is not NULL.
    pub fn uuid(&self, column: usize) -> [u8; 16] {
        self.fixed(column)
    }

    /// An interval that is not NULL.
    pub fn interval(&self, column: usize) -> Interval {
        Interval::of_bytes(self.fixed(column))
    }

    /// The bytes of a variable column that is not NULL.
    ///
    /// # Errors
    /// Corrupt, when they do not lie within the row.
    pub fn bytes(&self, column: usize) -> Result<&'a [u8]> {
        let place = self.layout.place(column);
        assert!(place.width.is_none(), "column {column} is variable");
        let (bytes, parts) = self.source(place.slot).expect("it is not NULL");
        let end_of = |variable: usize| {
            let at = parts.ends + 4 * variable;
            u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
        };
        let start = place.variable_before.checked_sub(1).map_or(0, end_of);
        let end = end_of(place.variable_before);
        bytes[parts.variable..]
            .get(start..end)
            .ok_or_else(|| damaged("a column ends outside of it"))
    }

    /// A text, varchar or json that is not NULL.
    ///
    /// # Errors
    /// Corrupt, when it is not UTF-8 or does not lie within the row.
    pub fn text(&self, column: usize) -> Result<&'a str> {
        str::from_utf8(self.bytes(column)?).map_err(|_| damaged("a text in it is not UTF-8"))
    }

    /// A jsonb that is not NULL.
    ///
    /// # Errors
    /// Corrupt, when it does not lie within the row.
    pub fn document(&self, column: usize) -> Result<JsonbRef<'a>> {
        self.bytes(column).map(JsonbRef::new)
    }

    /// The components of a vector that is not NULL.
    ///
    /// # Errors
    /// Corrupt, when its bytes are no whole number of components.
    pub fn vector(&self, column: usize) -> Result<impl ExactSizeIterator<Item = f32> + use<'a>> {
        let (components, rest) = self.bytes(column)?.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(damaged("a vector in it ends within a component"));
        }
        Ok(components.iter().map(|bytes| f32::from_le_bytes(*bytes)))
    }

    /// The elements of an array that is not NULL.
    ///
    /// # Errors
    /// Corrupt, when its bytes are none.
    pub fn array(&self, column: usize) -> Result<Vec<Value>> {
        match self.layout.sql_type(column) {
            SqlType::Array(element) => crate::array::read(element, self.bytes(column)?),
            other => Err(Error::internal(format!("column {column} is a {other}"))),
        }
    }

    /// Any column, as a value.
    ///
    /// # Errors
    /// Corrupt, for damaged bytes.
    pub fn value(&self, column: usize) -> Result<Value> {
        if self.is_null(column) {
            return Ok(Value::Null);
        }
        Ok(match self.layout.sql_type(column) {
            SqlType::Boolean => Value::Bool(self.bool(column)),
            SqlType::SmallInt => Value::I16(self.i16(column)),
            SqlType::Integer => Value::I32(self.i32(column)),
            SqlType::BigInt => Value::I64(self.i64(column)),
            SqlType::Real => Value::F32(self.f32(column)),
            SqlType::Double => Value::F64(self.f64(column)),
            SqlType::Numeric { scale, .. } => Value::Decimal(self.i128(column), scale),
            SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => Value::Text(self.text(column)?.to_owned()),
            SqlType::Bytea => Value::Bytes(self.bytes(column)?.to_vec()),
            SqlType::Date => Value::Date(self.i32(column)),
            SqlType::Timestamp(_) | SqlType::TimestampTz(_) => Value::Timestamp(self.i64(column)),
            SqlType::Time(_) => Value::Time(self.i64(column)),
            SqlType::Enum(_) => Value::Enum(self.i64(column)),
            SqlType::Interval => Value::Interval(self.interval(column)),
            SqlType::Uuid => Value::Uuid(self.uuid(column)),
            SqlType::Json => Value::Json(self.text(column)?.to_owned()),
            SqlType::Jsonb => Value::Jsonb(self.document(column)?.to_owned()),
            SqlType::Vector(_) => Value::Vector(self.vector(column)?.collect()),
            SqlType::Array(_) => Value::Array(self.array(column)?),
        })
    }

    fn fixed<const N: usize>(&self, column: usize) -> [u8; N] {
        let place = self.layout.place(column);
        assert!(place.width == Some(N), "column {column} is a {}", place.sql_type);
        let (bytes, parts) = self.source(place.slot).expect("it is not NULL");
        let at = parts.fixed + place.fixed_before;
        bytes[at..at + N].try_into().expect("N bytes, which new() has checked")
    }
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!("a stored row is damaged: {what}"))
}
