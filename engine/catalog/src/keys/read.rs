//! Reading index entries back: the row that an entry stands for, and the columns that it holds itself.

use aion_base::Result;
use aion_base::key::{ColumnOrder, KeyReader, KeyWriter};

use super::{IndexKeys, KEY_ORDER, KeyPart, ROWS, TableKeys, included};
use crate::array;
use crate::interval::Interval;
use crate::json::Jsonb;
use crate::row::RowLayout;
use crate::types::{ElementType, SqlType};
use crate::value::Value;

impl IndexKeys {
    /// What the index is over, with its order.
    pub fn parts(&self) -> &[(KeyPart, ColumnOrder)] {
        &self.parts
    }

    fn type_of(&self, part: KeyPart, layout: &RowLayout) -> SqlType {
        match part {
            KeyPart::Column(column) => layout.sql_type(column),
            KeyPart::Expression(nth) => self.expressions[nth],
        }
    }

    /// The index's id: the second part of its keys.
    pub fn id(&self) -> aion_base::id::IndexId {
        self.index
    }

    /// The index's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether no two rows have the same values.
    pub fn is_unique(&self) -> bool {
        self.is_unique
    }
}

impl TableKeys {
    /// The positions of the primary key's columns; empty where rows have a hidden id.
    pub fn primary_key(&self) -> &[usize] {
        &self.primary_key
    }

    /// Puts the key of the row that an entry of `index` stands for into `row_key`.
    ///
    /// # Errors
    /// Corrupt, for bytes that are no entry of the index.
    pub fn row_of_entry(
        &self,
        index: &IndexKeys,
        layout: &RowLayout,
        entry_key: &[u8],
        entry_value: &[u8],
        row_key: &mut Vec<u8>,
    ) -> Result<()> {
        row_key.clear();
        KeyWriter::new(row_key).table(self.table, ROWS);
        let mut value = KeyReader::new(entry_value);
        for &column in &index.included {
            included::skip(&mut value, layout.sql_type(column))?;
        }
        if !value.rest().is_empty() {
            row_key.extend_from_slice(value.rest());
            return Ok(());
        }
        let mut reader = KeyReader::new(entry_key);
        reader.table()?;
        for &(part, order) in &index.parts {
            skip(&mut reader, index.type_of(part, layout), order)?;
        }
        row_key.extend_from_slice(reader.rest());
        Ok(())
    }

    /// Whether the entries of `index` hold the column's value as the row has it. A float's key is not its value: -0 and
    /// the kinds of NaN are one there; nor is that of a jsonb, where 1.0 and 1 are one,
    /// or of an interval, where 1 day and 24 hours are.
    pub fn is_covered(&self, index: &IndexKeys, layout: &RowLayout, column: usize) -> bool {
        // The key of a row is read like a column behind the last.
        if column >= layout.len() {
            return false;
        }
        if index.included.contains(&column) {
            return true;
        }
        let is_in_key = index.parts.iter().any(|&(part, _)| part == KeyPart::Column(column));
        let is_there = is_in_key || self.primary_key.contains(&column);
        is_there
            && !matches!(
                layout.sql_type(column),
                SqlType::Real
                    | SqlType::Double
                    | SqlType::Jsonb
                    | SqlType::Interval
                    | SqlType::Array(ElementType::Real | ElementType::Double | ElementType::Jsonb)
            )
    }

    /// Reads the columns that an entry holds into `values`, by position in the table; the others are left alone.
    ///
    /// # Errors
    /// Corrupt, for bytes that are no entry of the index.
    pub fn values_of_entry(
        &self,
        index: &IndexKeys,
        layout: &RowLayout,
        entry_key: &[u8],
        entry_value: &[u8],
        values: &mut [Value],
    ) -> Result<()> {
        let mut reader = KeyReader::new(entry_key);
        reader.table()?;
        for &(part, order) in &index.parts {
            match part {
                KeyPart::Column(column) => values[column] = value(&mut reader, layout.sql_type(column), order)?,
                KeyPart::Expression(_) => skip(&mut reader, index.type_of(part, layout), order)?,
            }
        }
        let mut of_value = KeyReader::new(entry_value);
        let mut held = Vec::with_capacity(index.included.len());
        for &column in &index.included {
            held.push(included::value(&mut of_value, layout.sql_type(column))?);
        }
        if !of_value.rest().is_empty() {
            reader = of_value;
        }
        for &column in &self.primary_key {
            values[column] = value(&mut reader, layout.sql_type(column), KEY_ORDER)?;
        }
        // Last: of a float the key has not the value.
        for (&column, value) in index.included.iter().zip(held) {
            values[column] = value;
        }
        Ok(())
    }
}

/// Reads a value that [`write_value`](super::write_value) wrote, or a row's column, from a key.
///
/// # Errors
/// Corrupt, for bytes that are no value of the type.
pub fn read_value(reader: &mut KeyReader<'_>, sql_type: SqlType, order: ColumnOrder) -> Result<Value> {
    value(reader, sql_type, order)
}

pub(super) fn skip(reader: &mut KeyReader<'_>, sql_type: SqlType, order: ColumnOrder) -> Result<()> {
    match sql_type {
        SqlType::Boolean => reader.bool(order).map(drop),
        SqlType::SmallInt => reader.skip_fixed(2, order).map(drop),
        SqlType::Integer | SqlType::Date | SqlType::Real => reader.skip_fixed(4, order).map(drop),
        SqlType::BigInt
        | SqlType::Double
        | SqlType::Enum(_)
        | SqlType::Time(_)
        | SqlType::Timestamp(_)
        | SqlType::TimestampTz(_) => reader.skip_fixed(8, order).map(drop),
        SqlType::Numeric { .. } | SqlType::Uuid | SqlType::Interval => reader.skip_fixed(16, order).map(drop),
        SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Char(_)
        | SqlType::Bytea
        | SqlType::Jsonb
        | SqlType::Array(_) => reader.skip_bytes(order).map(drop),
        SqlType::Json | SqlType::Vector(_) => Err(not_ordered(sql_type)),
    }
}

pub(super) fn value(reader: &mut KeyReader<'_>, sql_type: SqlType, order: ColumnOrder) -> Result<Value> {
    let value = match sql_type {
        SqlType::Boolean => reader.bool(order)?.map(Value::Bool),
        SqlType::SmallInt => reader.i16(order)?.map(Value::I16),
        SqlType::Integer => reader.i32(order)?.map(Value::I32),
        SqlType::Date => reader.i32(order)?.map(Value::Date),
        SqlType::BigInt => reader.i64(order)?.map(Value::I64),
        SqlType::Timestamp(_) | SqlType::TimestampTz(_) => reader.i64(order)?.map(Value::Timestamp),
        SqlType::Time(_) => reader.i64(order)?.map(Value::Time),
        SqlType::Enum(_) => reader.i64(order)?.map(Value::Enum),
        SqlType::Real => reader.f32(order)?.map(Value::F32),
        SqlType::Double => reader.f64(order)?.map(Value::F64),
        SqlType::Numeric { scale, .. } => reader.i128(order)?.map(|value| Value::Decimal(value, scale)),
        // In the greatest fields: it is not covered.
        SqlType::Interval => match reader.i128(order)? {
            Some(length) => Some(Value::Interval(Interval::of_length(length)?)),
            None => None,
        },
        SqlType::Uuid => reader.uuid(order)?.map(Value::Uuid),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => {
            reader.text(order)?.map(|text| Value::Text(text.into_owned()))
        }
        SqlType::Bytea => reader.bytes(order)?.map(|bytes| Value::Bytes(bytes.into_owned())),
        // Without zeroes at the end of a fraction: it is not covered.
        SqlType::Jsonb => match reader.bytes(order)? {
            Some(key) => Some(Value::Jsonb(Jsonb::of_key(&key)?)),
            None => None,
        },
        SqlType::Array(element) => match reader.bytes(order)? {
            Some(key) => Some(Value::Array(array::of_key(element, &key)?)),
            None => None,
        },
        SqlType::Json | SqlType::Vector(_) => return Err(not_ordered(sql_type)),
    };
    Ok(value.unwrap_or(Value::Null))
}

fn not_ordered(sql_type: SqlType) -> aion_base::Error {
    aion_base::Error::corrupt(format!("a {sql_type} is in an ordered key"))
}
