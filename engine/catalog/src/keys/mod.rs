//! The keys of rows and index entries.
//!
//! ```text
//! row             table | 0 | primary key columns              -> the row
//!                 table | 0 | hidden row id i64                -> the row, of a table without a primary key
//! index entry     table | index | columns | primary key columns (or row id)   -> included
//! unique index    table | index | columns                      -> included | primary key columns (or row id), where no column is
//!                                                                  NULL, or NULLs are equal; otherwise as an entry of a plain index
//! ```
//!
//! Columns are encoded as [`aion_base::key`] says, so keys sort as their values do; a jsonb by the bytes of [`crate::json::JsonbRef::to_key`],
//! an array by those of [`crate::array::write_key`].
//! They are computed from the bytes of the row: whoever has a row has its keys. *Included* columns (INCLUDE) are encoded in a way that
//! keeps all of their values, see [`included`]; of an index without any there are no bytes.

mod included;
mod read;

use aion_base::id::{IndexId, TableId};
use aion_base::key::{self, ColumnOrder, KeyWriter};
use aion_base::{Error, Result, SqlState};

use crate::descriptor::{IndexDescriptor, IndexPart, TableDescriptor};
use crate::row::{RowLayout, RowReader};
use crate::types::{ElementType, SqlType};
use crate::value::Value;

pub use read::read_value;

/// The index id under which the rows of a table lie.
pub const ROWS: IndexId = IndexId(0);

/// The order of the columns of a primary key.
pub const KEY_ORDER: ColumnOrder = ColumnOrder::ASC;

/// How the keys of a table are made; computed once for a descriptor.
#[derive(Clone, Debug)]
pub struct TableKeys {
    table: TableId,
    name: String,
    primary_key: Vec<usize>,
}

/// How the entries of an index are made.
#[derive(Clone, Debug)]
pub struct IndexKeys {
    index: IndexId,
    name: String,
    parts: Vec<(KeyPart, ColumnOrder)>,
    /// The types of its expressions.
    expressions: Vec<SqlType>,
    /// Columns that its entries hold and are not ordered by.
    included: Vec<usize>,
    is_unique: bool,
    is_nulls_equal: bool,
}

/// What stands at one place of an index's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The column at this position of the table.
    Column(usize),
    /// This one of the index's expressions.
    Expression(usize),
}

/// The values of an index's expressions for a row, as a row of their own.
#[derive(Clone, Copy, Debug)]
pub struct Computed<'a> {
    /// Their types.
    pub layout: &'a RowLayout,
    /// Their values.
    pub row: &'a RowReader<'a>,
}

/// An index entry: a key and its value.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct IndexEntry {
    /// The key.
    pub key: Vec<u8>,
    /// The value: the included columns, and the row's key columns where they are not in the key.
    pub value: Vec<u8>,
    /// No other row may have the key.
    pub is_unique: bool,
}

/// Checks that a column of this type may be part of a key.
///
/// # Errors
/// 42704 for json, 0A000 for vector.
pub fn check_key_type(sql_type: SqlType, column: &str) -> Result<()> {
    if sql_type.is_ordered() {
        return Ok(());
    }
    if let SqlType::Json | SqlType::Array(ElementType::Json) = sql_type {
        let message = format!("data type {sql_type} has no default operator class for access method \"btree\"");
        return Err(Error::not_found(SqlState::UNDEFINED_OBJECT, message).with_hint(
            "You must specify an operator class for the index or define a default operator class for the data type.",
        ));
    }
    Err(Error::unsupported(format!(
        "column \"{column}\" of type {sql_type} cannot be part of an ordered key"
    )))
}

impl TableKeys {
    /// The keys of a table.
    pub fn new(table: &TableDescriptor) -> Self {
        Self {
            table: table.storage,
            name: table.name.clone(),
            primary_key: table.primary_key_positions(),
        }
    }

    /// Appends the key of a row. `row_id` is the hidden one, for a table without a primary key.
    ///
    /// # Errors
    /// 54000 for a key that is too long.
    pub fn row_key(&self, layout: &RowLayout, row: &RowReader<'_>, row_id: i64, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        KeyWriter::new(out).table(self.table, ROWS);
        self.identity(layout, row, row_id, out)?;
        key::check_length(&out[start..], &self.name)
    }

    /// Appends what tells the row apart within its table.
    fn identity(&self, layout: &RowLayout, row: &RowReader<'_>, row_id: i64, out: &mut Vec<u8>) -> Result<()> {
        if self.primary_key.is_empty() {
            KeyWriter::new(out).i64(row_id, KEY_ORDER);
        }
        for &column in &self.primary_key {
            write_column(layout, row, column, KEY_ORDER, out)?;
        }
        Ok(())
    }

    /// Writes the entry of a row in an index into `entry`, replacing what was there. `row_key` is the row's, `computed` what the index's
    /// expressions give for it.
    ///
    /// # Errors
    /// 54000 for a key that is too long.
    pub fn index_entry(
        &self,
        index: &IndexKeys,
        layout: &RowLayout,
        row: &RowReader<'_>,
        computed: Option<Computed<'_>>,
        row_key: &[u8],
        entry: &mut IndexEntry,
    ) -> Result<()> {
        entry.key.clear();
        entry.value.clear();
        let identity = &row_key[key::index_prefix(self.table, ROWS).len()..];
        KeyWriter::new(&mut entry.key).table(self.table, index.index);
        let mut has_null = false;
        for &(part, order) in &index.parts {
            let (layout, row, column) = match (part, &computed) {
                (KeyPart::Column(column), _) => (layout, row, column),
                (KeyPart::Expression(nth), Some(computed)) => (computed.layout, computed.row, nth),
                (KeyPart::Expression(_), None) => {
                    let message = format!("nothing was computed for index \"{}\"", index.name);
                    return Err(Error::internal(message));
                }
            };
            has_null |= row.is_null(column);
            write_column(layout, row, column, order, &mut entry.key)?;
        }
        for &column in &index.included {
            included::write(layout, row, column, &mut entry.value)?;
        }
        // NULLs differ from each other, so a unique index says nothing about them, unless it says that they are equal.
        entry.is_unique = index.is_unique && (index.is_nulls_equal || !has_null);
        let target = if entry.is_unique {
            &mut entry.value
        } else {
            &mut entry.key
        };
        target.extend_from_slice(identity);
        key::check_length(&entry.key, &index.name)
    }
}

impl IndexKeys {
    /// The entries of an index of a table.
    pub fn new(table: &TableDescriptor, index: &IndexDescriptor) -> Self {
        let order = |is_descending, is_nulls_first| match (is_descending, is_nulls_first) {
            (false, false) => ColumnOrder::ASC,
            (false, true) => ColumnOrder::ASC_NULLS_FIRST,
            (true, true) => ColumnOrder::DESC,
            (true, false) => ColumnOrder::DESC_NULLS_LAST,
        };
        let mut expressions = 0..;
        let parts = index.parts().filter_map(|(part, column)| {
            let part = match part {
                IndexPart::Column(id) => KeyPart::Column(table.position_of(id)?),
                IndexPart::Expression(_) => KeyPart::Expression(expressions.next()?),
            };
            Some((part, order(column.is_descending, column.is_nulls_first)))
        });
        Self {
            index: index.id,
            name: index.name.clone(),
            parts: parts.collect(),
            expressions: index.expressions.iter().map(|expression| expression.sql_type).collect(),
            included: index.included.iter().filter_map(|&id| table.position_of(id)).collect(),
            is_unique: index.is_unique,
            is_nulls_equal: index.is_nulls_equal,
        }
    }
}

/// Appends a value as a column of a key, as that of a row that has it.
///
/// # Errors
/// 0A000 for a type that is part of no key.
pub fn write_value(value: &Value, order: ColumnOrder, out: &mut Vec<u8>) -> Result<()> {
    let mut writer = KeyWriter::new(out);
    match value {
        Value::Null => writer.null(order),
        Value::Bool(value) => writer.bool(*value, order),
        Value::I16(value) => writer.i16(*value, order),
        Value::I32(value) | Value::Date(value) => writer.i32(*value, order),
        Value::I64(value) | Value::Time(value) | Value::Timestamp(value) | Value::Enum(value) => {
            writer.i64(*value, order)
        }
        Value::F32(value) => writer.f32(*value, order),
        Value::F64(value) => writer.f64(*value, order),
        Value::Decimal(value, _) => writer.i128(*value, order),
        Value::Interval(value) => writer.i128(value.length(), order),
        Value::Uuid(value) => writer.uuid(value, order),
        Value::Text(value) => writer.text(value, order),
        Value::Bytes(value) => writer.bytes(value, order),
        Value::Jsonb(document) => writer.bytes(&document.as_ref().to_key(), order),
        Value::Array(elements) => {
            let mut key = Vec::new();
            crate::array::write_key(elements, &mut key)?;
            writer.bytes(&key, order)
        }
        Value::Json(_) | Value::Vector(_) => {
            return Err(Error::unsupported("a json or vector cannot be part of an ordered key"));
        }
    };
    Ok(())
}

fn write_column(
    layout: &RowLayout,
    row: &RowReader<'_>,
    column: usize,
    order: ColumnOrder,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut writer = KeyWriter::new(out);
    if row.is_null(column) {
        writer.null(order);
        return Ok(());
    }
    match layout.sql_type(column) {
        SqlType::Boolean => writer.bool(row.bool(column), order),
        SqlType::SmallInt => writer.i16(row.i16(column), order),
        SqlType::Integer | SqlType::Date => writer.i32(row.i32(column), order),
        SqlType::BigInt | SqlType::Enum(_) | SqlType::Time(_) | SqlType::Timestamp(_) | SqlType::TimestampTz(_) => {
            writer.i64(row.i64(column), order)
        }
        SqlType::Real => writer.f32(row.f32(column), order),
        SqlType::Double => writer.f64(row.f64(column), order),
        SqlType::Numeric { .. } => writer.i128(row.i128(column), order),
        SqlType::Interval => writer.i128(row.interval(column).length(), order),
        SqlType::Uuid => writer.uuid(&row.uuid(column), order),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => writer.text(row.text(column)?, order),
        SqlType::Bytea => writer.bytes(row.bytes(column)?, order),
        SqlType::Jsonb => writer.bytes(&row.document(column)?.to_key(), order),
        SqlType::Array(_) => {
            return write_value(&Value::Array(row.array(column)?), order, out);
        }
        other @ (SqlType::Json | SqlType::Vector(_)) => {
            return Err(Error::new(
                aion_base::ErrorKind::Invalid,
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("a {other} cannot be part of an ordered key"),
            ));
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests;
