//! Parameters: from Arrow batches to values of a statement's types.
//!
//! Each column is a parameter, in the order of `$1`, `$2`, each row a run of the statement. A column says of which SQL
//! type it is, and the statement is planned for that, so that the engine casts where it must and as it does for
//! every client. A column of text leaves the type open where the statement wants another one, and its values are read
//! as that type's text; so does a column of NULLs; a list of numbers is read as a vector where one is wanted.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::json::JsonbRef;
use aion_catalog::{SqlType, Value, Zone};
use aion_db::{Cells, canonical, interval_of};
use arrow::array::{Array, ArrayRef};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

/// What the columns say of the parameters' types; `inferred` is what the statement wants.
///
/// # Errors
/// 08P01 for a wrong number of columns, 0A000 for a type that does not exist here.
pub(super) fn declared(schema: &Schema, inferred: &[SqlType]) -> Result<Vec<Option<SqlType>>> {
    if schema.fields().len() != inferred.len() {
        return Err(Error::invalid(
            SqlState::PROTOCOL_VIOLATION,
            format!(
                "the batch has {} columns, but the statement has {} parameters",
                schema.fields().len(),
                inferred.len()
            ),
        ));
    }
    let columns = schema.fields().iter().zip(inferred);
    columns.map(|(field, wanted)| declared_one(field, wanted)).collect()
}

fn declared_one(field: &Field, wanted: &SqlType) -> Result<Option<SqlType>> {
    if matches!(field.data_type(), DataType::Null) || is_text(field.data_type()) {
        return Ok(None);
    }
    if matches!(wanted, SqlType::Vector(_)) && element(field.data_type()).is_some() {
        return Ok(None);
    }
    match (SqlType::from_outer_field(field)?, wanted) {
        // Sixteen bytes are both.
        (SqlType::Bytea, SqlType::Uuid) | (SqlType::Uuid, SqlType::Bytea) => Ok(None),
        (declared, _) => Ok(Some(declared)),
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        _ => false,
    }
}

/// Whether it is a type of lists.
pub(super) fn is_list(data_type: &DataType) -> bool {
    element(data_type).is_some()
}

/// The type of a list's elements.
fn element(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

/// The columns of a batch, ready to be read as values of these types.
pub(super) struct Columns {
    columns: Vec<Column>,
    row_count: usize,
}

struct Column {
    sql_type: SqlType,
    array: ArrayRef,
    /// The type whose cells the array has.
    found: SqlType,
}

impl Columns {
    /// The batch as parameters of these types.
    ///
    /// # Errors
    /// 0A000 for a type that does not exist here, 22000 for a list with something in it that is not a number.
    pub(super) fn new(batch: &RecordBatch, types: &[SqlType]) -> Result<Self> {
        let schema = batch.schema();
        let columns = batch.columns().iter().zip(schema.fields()).zip(types);
        let columns = columns.enumerate().map(|(at, ((array, field), sql_type))| {
            let (array, found) = readable(at + 1, array, field, sql_type)?;
            Ok(Column {
                sql_type: *sql_type,
                array,
                found,
            })
        });
        Ok(Self {
            columns: columns.collect::<Result<_>>()?,
            row_count: batch.num_rows(),
        })
    }

    /// Rows of the batch.
    pub(super) fn row_count(&self) -> usize {
        self.row_count
    }

    /// The values of a row; texts of times without an offset are in a zone.
    ///
    /// # Errors
    /// Those of [`Value::text_in`] for a text that is none of the type.
    pub(super) fn values(&self, row: usize, zone: Zone) -> Result<Vec<Value>> {
        let values = self.columns.iter().map(|column| {
            let cells = Cells::of(&column.array, column.found);
            let cells = cells.ok_or_else(|| Error::internal("a parameter's column is not canonical"))?;
            value(&cells, row, &column.sql_type, zone)
        });
        values.collect()
    }
}

/// The array in a layout whose cells can be read, and the type of those.
fn readable(number: usize, array: &ArrayRef, field: &Field, wanted: &SqlType) -> Result<(ArrayRef, SqlType)> {
    if is_text(field.data_type()) {
        return Ok((canonical(array, SqlType::Text)?, SqlType::Text));
    }
    if matches!(wanted, SqlType::Vector(_)) && element(field.data_type()).is_some() {
        return vectors(&format!("parameter ${number}"), array).map(|array| (array, SqlType::Vector(None)));
    }
    let found = SqlType::from_outer_field(field)?;
    Ok((canonical(array, found)?, found))
}

/// Lists of numbers as vectors, each of its own length; `what` is the column's name for messages.
///
/// # Errors
/// 22000 for something in them that is not a number.
pub(super) fn vectors(what: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let wrong = |why: String| Error::invalid(SqlState::DATA_EXCEPTION, format!("{what} is no vector: {why}"));
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let lists = cast_with_options(array, &DataType::List(item), &strict).map_err(|error| wrong(error.to_string()))?;
    let has_null = match Cells::of(&lists, SqlType::Vector(None)) {
        Some(Cells::Vector(_, elements)) => elements.null_count() > 0,
        _ => false,
    };
    if has_null {
        return Err(wrong("a vector has no NULL in it".to_owned()));
    }
    Ok(lists)
}

fn value(cells: &Cells<'_>, row: usize, sql_type: &SqlType, zone: Zone) -> Result<Value> {
    if cells.is_null(row) {
        return Ok(Value::Null);
    }
    if let Some(text) = cells.as_str(row) {
        return Value::text_in_zone(sql_type, text, zone);
    }
    Ok(match cells {
        Cells::Boolean(array) => Value::Bool(array.value(row)),
        Cells::SmallInt(array) => Value::I16(array.value(row)),
        Cells::Integer(array) => Value::I32(array.value(row)),
        Cells::BigInt(array) => Value::I64(array.value(row)),
        Cells::Real(array) => Value::F32(array.value(row)),
        Cells::Double(array) => Value::F64(array.value(row)),
        Cells::Numeric(array, scale) => Value::Decimal(array.value(row), *scale),
        Cells::Bytea(array) => bytes(array.value(row), sql_type)?,
        Cells::ByteaView(array) => bytes(array.value(row), sql_type)?,
        Cells::FixedBytea(array) | Cells::Uuid(array) => bytes(array.value(row), sql_type)?,
        Cells::Date(array) => Value::Date(array.value(row)),
        Cells::Time(array) => Value::Time(array.value(row)),
        Cells::Timestamp(array) | Cells::TimestampTz(array, _) => Value::Timestamp(array.value(row)),
        Cells::Interval(array) => Value::Interval(interval_of(array.value(row))),
        Cells::Enum(array, _) => Value::Enum(array.value(row)),
        Cells::FixedVector(..) | Cells::Vector(..) => {
            let mut text = String::new();
            cells.write_text(row, &mut text);
            // Its own input checks dimensions and numbers.
            Value::text_in(sql_type, &text)?
        }
        Cells::Array(lists) => match sql_type {
            SqlType::Array(element) => {
                let element = element.sql_type();
                let elements = lists.range(row).map(|at| value(&lists.elements, at, &element, zone));
                Value::Array(elements.collect::<Result<_>>()?)
            }
            _ => cells.value(row)?,
        },
        Cells::Jsonb(array) => Value::Jsonb(JsonbRef::new(array.value(row)).to_owned()),
        Cells::Padded(array, _) => Value::text_in(sql_type, array.value(row))?,
        Cells::Null | Cells::Text(_) | Cells::JsonbText(_) | Cells::LargeText(_) | Cells::TextView(_) => Value::Null,
    })
}

fn bytes(bytes: &[u8], sql_type: &SqlType) -> Result<Value> {
    match (sql_type, <[u8; 16]>::try_from(bytes)) {
        (SqlType::Uuid, Ok(uuid)) => Ok(Value::Uuid(uuid)),
        (SqlType::Uuid, Err(_)) => Err(Error::invalid(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("a uuid has 16 bytes, not {}", bytes.len()),
        )),
        _ => Ok(Value::Bytes(bytes.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use aion_catalog::types::ElementType;
    use arrow::array::{
        BinaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, ListArray, NullArray, StringArray, UInt64Array,
    };
    use arrow::datatypes::Float64Type;

    use super::*;

    fn read(array: ArrayRef, wanted: SqlType) -> Result<(SqlType, Vec<Value>)> {
        let batch = RecordBatch::try_from_iter_with_nullable([("0", array, true)]).expect("one column");
        let declared = declared(&batch.schema(), &[wanted])?;
        let sql_type = declared[0].unwrap_or(wanted);
        let columns = Columns::new(&batch, &[sql_type])?;
        Ok((sql_type, columns.values(0, Zone::UTC)?))
    }

    #[test]
    fn columns_keep_their_type_and_text_takes_the_statements() {
        let uuid = [7; 16];
        let vector = SqlType::Vector(Some(2));
        let list = ListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(1.0), Some(-2.5)])]);
        for (array, wanted, sql_type, value) in [
            (
                Arc::new(Int64Array::from(vec![5])) as ArrayRef,
                SqlType::Integer,
                SqlType::BigInt,
                Value::I64(5),
            ),
            (
                Arc::new(StringArray::from(vec!["5"])),
                SqlType::Integer,
                SqlType::Integer,
                Value::I32(5),
            ),
            (
                Arc::new(StringArray::from(vec!["2024-02-29"])),
                SqlType::Date,
                SqlType::Date,
                Value::Date(19_782),
            ),
            (Arc::new(NullArray::new(1)), SqlType::Date, SqlType::Date, Value::Null),
            (
                Arc::new(UInt64Array::from(vec![u64::MAX])),
                SqlType::BigInt,
                SqlType::Numeric {
                    precision: Some(20),
                    scale: 0,
                },
                Value::Decimal(u64::MAX.into(), 0),
            ),
            (
                Arc::new(FixedSizeBinaryArray::try_from_iter([uuid].into_iter()).expect("one")),
                SqlType::Uuid,
                SqlType::Uuid,
                Value::Uuid(uuid),
            ),
            (
                Arc::new(BinaryArray::from_vec(vec![&uuid])),
                SqlType::Uuid,
                SqlType::Uuid,
                Value::Uuid(uuid),
            ),
            (
                Arc::new(FixedSizeBinaryArray::try_from_iter([uuid].into_iter()).expect("one")),
                SqlType::Bytea,
                SqlType::Bytea,
                Value::Bytes(uuid.to_vec()),
            ),
            (
                Arc::new(list.clone()),
                SqlType::Integer,
                SqlType::Array(ElementType::Double),
                Value::Array(vec![Value::F64(1.0), Value::F64(-2.5)]),
            ),
            (Arc::new(list), vector, vector, Value::Vector(vec![1.0, -2.5])),
        ] {
            let found = read(array, wanted).expect("a value");
            assert_eq!(found, (sql_type, vec![value]), "{wanted}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let list = |elements: Vec<Option<f64>>| {
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(elements)])) as ArrayRef
        };
        for (array, wanted, state) in [
            (
                Arc::new(StringArray::from(vec!["x"])) as ArrayRef,
                SqlType::Integer,
                "22P02",
            ),
            (Arc::new(BinaryArray::from_vec(vec![b"x"])), SqlType::Uuid, "22P03"),
            (list(vec![Some(1.0)]), SqlType::Vector(Some(2)), "22000"),
            (list(vec![Some(1.0), None]), SqlType::Vector(Some(2)), "22000"),
        ] {
            let error = read(array, wanted).expect_err(state);
            assert_eq!(error.state().as_str(), state, "{error}");
        }
        let two = RecordBatch::try_from_iter([
            ("0", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef),
            ("1", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef),
        ]);
        let error = declared(&two.expect("two columns").schema(), &[SqlType::Double]).expect_err("one too many");
        assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION);
    }
}
