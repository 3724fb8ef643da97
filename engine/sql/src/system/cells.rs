//! Rows of system tables as Arrow batches.
//!
//! A table's columns are written as one text, `"oid oid, relname name, relkind char, conkey int2[]"`, in PostgreSQL's order; its
//! rows are lists of [`Cell`]s. The types that only system tables have (oid, name, "char", int2vector) lie in the Arrow types
//! nearest to them and are named in the field's metadata, where [`ResultType`] finds them.

use std::collections::HashMap;
use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::SqlType;
use aion_catalog::types::TYPE_METADATA_KEY;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int16Array, Int16Builder, Int32Array, Int32Builder, Int64Array,
    Int64Builder, ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;

use crate::response::ResultType;

/// A value of a system table, or an argument or result of a system function.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds since 1970, UTC.
    Time(i64),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

/// A row.
pub type Row = Vec<Cell>;

impl Cell {
    /// The text, of a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, of a number.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The oid that a number is.
    pub fn oid(&self) -> Option<u32> {
        self.int().and_then(|number| u32::try_from(number).ok())
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i16> for Cell {
    fn from(value: i16) -> Self {
        Self::Int(value.into())
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row from values of different types.
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::system::cells::Cell::from($value)),*] };
}
pub(super) use row;

/// A field of a type by the name that system tables know it by; None for a name that they do not use.
pub fn field(name: &str, type_name: &str) -> Option<Field> {
    let list = |item| DataType::new_list(item, true);
    let (data_type, mark) = match type_name {
        "oid" => (DataType::Int64, Some("oid")),
        "name" => (DataType::Utf8, Some("name")),
        "char" => (DataType::Utf8, Some("char")),
        "text" => (DataType::Utf8, None),
        "bool" => (DataType::Boolean, None),
        "int2" => (DataType::Int16, None),
        "int4" => (DataType::Int32, None),
        "int8" => (DataType::Int64, None),
        "float4" => (DataType::Float32, None),
        "float8" => (DataType::Float64, None),
        "timestamptz" => (SqlType::TIMESTAMPTZ.to_arrow(), None),
        "json" => return Some(SqlType::Json.to_field(name, true)),
        "int2vector" => (list(DataType::Int16), Some("int2vector")),
        "oidvector" => (list(DataType::Int64), Some("oidvector")),
        "int2[]" => (list(DataType::Int16), None),
        "int4[]" => (list(DataType::Int32), None),
        "int8[]" => (list(DataType::Int64), None),
        "oid[]" => (list(DataType::Int64), Some("oid")),
        "text[]" | "name[]" => (list(DataType::Utf8), None),
        _ => return None,
    };
    let field = Field::new(name, data_type, true);
    Some(match mark {
        Some(mark) => field.with_metadata(HashMap::from([(TYPE_METADATA_KEY.to_owned(), mark.to_owned())])),
        None => field,
    })
}

/// The schema of a table's columns.
///
/// # Panics
/// Where a definition of ours names a type that does not exist: a test reads all of them.
pub fn schema(columns: &str) -> SchemaRef {
    let fields = columns.split(',').map(|column| {
        column
            .trim()
            .split_once(' ')
            .and_then(|(name, type_name)| field(name, type_name))
            .expect("a test reads every definition")
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The type of a column, in PostgreSQL's terms: OID, length and modifier.
pub fn result_type(field: &Field) -> (u32, i16, i32) {
    match (ResultType::of(field), SqlType::from_field(field)) {
        (Some(special), _) => (special.oid(), special.type_length(), -1),
        (None, Ok(sql_type)) => (sql_type.oid(), sql_type.type_length(), sql_type.type_modifier()),
        (None, Err(_)) => (SqlType::Text.oid(), -1, -1),
    }
}

/// Rows as a batch.
///
/// # Errors
/// Internal for a row that does not fit the columns.
pub fn batch(schema: &SchemaRef, rows: &[Row]) -> Result<RecordBatch> {
    if let Some(row) = rows.iter().find(|row| row.len() != schema.fields().len()) {
        return Err(Error::internal(format!(
            "a row of a system table has {} values for {} columns",
            row.len(),
            schema.fields().len()
        )));
    }
    let columns = schema.fields().iter().enumerate().map(|(at, field)| {
        let cells: Vec<&Cell> = rows.iter().map(|row| &row[at]).collect();
        array(field.data_type(), &cells).ok_or_else(|| {
            Error::internal(format!(
                "the system column {} has no {}",
                field.name(),
                field.data_type()
            ))
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(schema.clone(), columns)
        .map_err(|error| Error::internal(format!("rows of a system table do not fit: {error}")))
}

/// Cells as an array; None where one is of another type.
pub fn array(data_type: &DataType, cells: &[&Cell]) -> Option<ArrayRef> {
    fn each<T>(cells: &[&Cell], of: impl Fn(&Cell) -> Option<T>) -> Option<Vec<Option<T>>> {
        cells
            .iter()
            .map(|cell| match cell {
                Cell::Null => Some(None),
                cell => of(cell).map(Some),
            })
            .collect()
    }
    let int = |cell: &Cell| cell.int();
    Some(match data_type {
        DataType::Boolean => {
            let of = |cell: &Cell| match cell {
                Cell::Bool(value) => Some(*value),
                _ => None,
            };
            Arc::new(BooleanArray::from(each(cells, of)?))
        }
        DataType::Int16 => Arc::new(Int16Array::from(each(cells, |cell| i16::try_from(cell.int()?).ok())?)),
        DataType::Int32 => Arc::new(Int32Array::from(each(cells, |cell| i32::try_from(cell.int()?).ok())?)),
        DataType::Int64 => Arc::new(Int64Array::from(each(cells, int)?)),
        DataType::Float32 => {
            let of = |cell: &Cell| match cell {
                Cell::Float(value) => Some(*value as f32),
                cell => Some(cell.int()? as f32),
            };
            Arc::new(Float32Array::from(each(cells, of)?))
        }
        DataType::Float64 => {
            let of = |cell: &Cell| match cell {
                Cell::Float(value) => Some(*value),
                _ => None,
            };
            Arc::new(Float64Array::from(each(cells, of)?))
        }
        DataType::Utf8 => Arc::new(StringArray::from(each(cells, |cell| cell.text().map(str::to_owned))?)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let of = |cell: &Cell| match cell {
                Cell::Time(micros) => Some(*micros),
                _ => None,
            };
            Arc::new(TimestampMicrosecondArray::from(each(cells, of)?).with_timezone_opt(zone.clone()))
        }
        DataType::List(item) => lists(item.data_type(), cells)?,
        _ => return None,
    })
}

fn lists(item: &DataType, cells: &[&Cell]) -> Option<ArrayRef> {
    macro_rules! fill {
        ($builder:expr, $kind:path, $convert:expr) => {{
            let mut builder = ListBuilder::new($builder);
            for cell in cells {
                match cell {
                    Cell::Null => builder.append_null(),
                    $kind(values) => {
                        for value in values {
                            builder.values().append_value($convert(value)?);
                        }
                        builder.append(true);
                    }
                    _ => return None,
                }
            }
            Some(Arc::new(builder.finish()))
        }};
    }
    match item {
        DataType::Int16 => fill!(Int16Builder::new(), Cell::Ints, |value: &i64| i16::try_from(*value)
            .ok()),
        DataType::Int32 => fill!(Int32Builder::new(), Cell::Ints, |value: &i64| i32::try_from(*value)
            .ok()),
        DataType::Int64 => fill!(Int64Builder::new(), Cell::Ints, |value: &i64| Some(*value)),
        DataType::Utf8 => fill!(StringBuilder::new(), Cell::Texts, |value: &String| Some(value.clone())),
        _ => None,
    }
}
