//! Parameters: their types, and their values in a plan.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value, Zone};
use datafusion::arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::metadata::{FieldMetadata, ScalarAndMetadata};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;

use crate::cells::arrow_interval;
use crate::functions::read_list;
use crate::system::told_types;
use crate::table::array_of;

/// A statement has at most this many parameters (the protocol counts them in 16 bits).
pub const PARAMETERS_MAX: usize = 65_535;

/// What the client says of the types, for the planner.
pub fn known(types: &[Option<SqlType>]) -> Vec<Option<FieldRef>> {
    types
        .iter()
        .map(|known| known.map(|sql_type| Arc::new(sql_type.to_field("", true)) as FieldRef))
        .collect()
}

/// What the client says of the types, and where it says nothing, what the statement does by itself.
pub fn with_casts(statement: &ast::Statement, given: &[Option<SqlType>]) -> Vec<Option<SqlType>> {
    let mut types = given.to_vec();
    for (at, cast) in told_types(statement).into_iter().enumerate() {
        if types.len() <= at {
            types.resize(at + 1, None);
        }
        types[at] = types[at].or(cast);
    }
    types
}

/// The types of all parameters of a plan: the client's, or what the plan tells, or text.
///
/// # Errors
/// 42P02 for `$0`, 54000 for too many, 0A000 for a type without an SQL name.
pub fn types(plan: &LogicalPlan, given: &[Option<SqlType>]) -> Result<Vec<SqlType>> {
    types_of([plan], given)
}

/// As [`types`], of a statement with several plans; the first that tells of a parameter decides.
///
/// # Errors
/// As [`types`].
pub fn types_of<'a>(
    plans: impl IntoIterator<Item = &'a LogicalPlan>,
    given: &[Option<SqlType>],
) -> Result<Vec<SqlType>> {
    let mut fields = Vec::new();
    for plan in plans {
        let of_plan = plan.get_parameter_fields();
        fields.extend(of_plan.map_err(|error| crate::error::translate(error, ""))?);
    }
    let mut inferred: Vec<Option<FieldRef>> = Vec::new();
    for (name, field) in fields {
        let number = name
            .strip_prefix('$')
            .and_then(|digits| digits.parse::<usize>().ok())
            .filter(|&n| n > 0);
        let Some(number) = number else {
            return Err(
                Error::invalid(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"))
                    .with_hint("Parameters are $1, $2, and so on."),
            );
        };
        if number > PARAMETERS_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("parameter ${number} is beyond the limit of {PARAMETERS_MAX}"),
            ));
        }
        if inferred.len() < number {
            inferred.resize(number, None);
        }
        let known = &mut inferred[number - 1];
        *known = known.take().or(field);
    }
    let count = inferred.len().max(given.len());
    (0..count)
        .map(
            |at| match (given.get(at).copied().flatten(), inferred.get(at).cloned().flatten()) {
                (Some(given), _) => Ok(given),
                // What is compared with a time is not rounded.
                (None, Some(field)) => SqlType::from_field(&field).map(SqlType::with_all_digits),
                (None, None) => Ok(SqlType::Text),
            },
        )
        .collect()
}

/// Puts values in the place of parameters; texts of times are in a zone.
///
/// # Errors
/// 22000 for a value that its type does not take.
pub fn replace(plan: LogicalPlan, types: &[SqlType], values: &[Value], text: &str, zone: Zone) -> Result<LogicalPlan> {
    if types.is_empty() {
        return Ok(plan);
    }
    // Where the plan wants another type than the client sent, a bigint column for an int2 for instance, the value is cast.
    let wanted = plan
        .get_parameter_fields()
        .map_err(|error| crate::error::translate(error, text))?;
    let list = types
        .iter()
        .zip(values)
        .enumerate()
        .map(|(at, (sql_type, value))| {
            let wanted = wanted.get(&format!("${}", at + 1)).and_then(Option::as_ref);
            if let (Value::Text(given), Some(field)) = (value, wanted)
                && let Some(list) =
                    read_list(field.data_type(), given, zone).map_err(|error| crate::error::translate(error, text))?
            {
                return Ok(ScalarAndMetadata::new(list, None));
            }
            // A text in the place of another type is read as PostgreSQL reads it.
            if let (Value::Text(text), Some(field)) = (value, wanted)
                && let Ok(wanted) = SqlType::from_field(field).map(SqlType::with_all_digits)
                && wanted.to_arrow() == *field.data_type()
                && !matches!(
                    wanted,
                    SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Json
                )
            {
                let read = scalar(&wanted, &Value::text_in_zone(&wanted, text, zone)?)?;
                return Ok(ScalarAndMetadata::new(read, None));
            }
            let document;
            let value = match wanted.and_then(|field| document_as(value, sql_type, field).transpose()) {
                Some(converted) => {
                    document = converted?;
                    &document
                }
                None => value,
            };
            let given = match wanted.map(|field| SqlType::from_field(field)) {
                Some(Ok(wanted)) => in_zone(sql_type, value, wanted, zone)?,
                _ => None,
            };
            let given = match given {
                Some((sql_type, value)) => scalar(&sql_type, &value)?,
                None => scalar(sql_type, value)?,
            };
            let cast = match wanted {
                Some(field) if *field.data_type() != given.data_type() => given.cast_to(field.data_type()),
                _ => Ok(given),
            };
            let value = cast.map_err(|error| crate::error::translate(error, text))?;
            // Of a json nothing but its field says that it is one.
            let mark = match wanted.map_or(Ok(*sql_type), |field| SqlType::from_field(field)) {
                Ok(SqlType::Json) => Some(FieldMetadata::from(&SqlType::Json.to_field("", true))),
                _ => None,
            };
            Ok(ScalarAndMetadata::new(value, mark))
        })
        .collect::<Result<Vec<_>>>()?;
    plan.replace_params_with_values(&ParamValues::List(list))
        .map_err(|error| crate::error::translate(error, text))
}

/// A moment for a local time, or a local time for a moment, where a parameter is the one and the other is wanted.
fn in_zone(from: &SqlType, value: &Value, to: SqlType, zone: Zone) -> Result<Option<(SqlType, Value)>> {
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    let moment = |local| Ok(Some((SqlType::TIMESTAMPTZ, Value::Timestamp(zone.to_moment(local)?))));
    match (from, value, to) {
        (SqlType::Timestamp(_), Value::Timestamp(local), SqlType::TimestampTz(_)) => moment(*local),
        (SqlType::Date, Value::Date(days), SqlType::TimestampTz(_)) => moment(i64::from(*days) * MICROS_PER_DAY),
        (SqlType::TimestampTz(_), Value::Timestamp(moment), SqlType::Timestamp(_) | SqlType::Date) => {
            Ok(Some((SqlType::TIMESTAMP, Value::Timestamp(zone.to_local(*moment)?))))
        }
        _ => Ok(None),
    }
}

/// A document in the place of a text, or the other way round; None where the value is no document and none is wanted.
///
/// # Errors
/// 42804 for a value that is neither a document nor text where one is wanted: Arrow would take its bytes for one.
fn document_as(value: &Value, sql_type: &SqlType, wanted: &Field) -> Result<Option<Value>> {
    let is_wanted = *wanted.data_type() == DataType::LargeBinary;
    match value {
        Value::Null => Ok(None),
        Value::Json(text) if is_wanted => Value::text_in(&SqlType::Jsonb, text).map(Some),
        Value::Jsonb(_) if is_wanted => Ok(None),
        Value::Jsonb(document) if *wanted.data_type() == DataType::Utf8 => Ok(Some(Value::Text(document.to_string()))),
        _ if !is_wanted => Ok(None),
        _ => Err(Error::invalid(
            SqlState::DATATYPE_MISMATCH,
            format!("a jsonb is wanted where a parameter is of type {sql_type}"),
        )),
    }
}

/// A value as DataFusion's.
///
/// # Errors
/// 22000 for a vector of other dimensions.
pub fn scalar(sql_type: &SqlType, value: &Value) -> Result<ScalarValue> {
    Ok(match value {
        Value::Null => ScalarValue::try_from(&sql_type.to_arrow())
            .map_err(|error| Error::internal(format!("no NULL of type {sql_type}: {error}")))?,
        Value::Bool(value) => ScalarValue::Boolean(Some(*value)),
        Value::I16(value) => ScalarValue::Int16(Some(*value)),
        Value::I32(value) => ScalarValue::Int32(Some(*value)),
        Value::I64(value) => ScalarValue::Int64(Some(*value)),
        Value::F32(value) => ScalarValue::Float32(Some(*value)),
        Value::F64(value) => ScalarValue::Float64(Some(*value)),
        Value::Decimal(value, scale) => ScalarValue::Decimal128(Some(*value), sql_type.precision(), *scale),
        Value::Text(value) | Value::Json(value) => ScalarValue::Utf8(Some(value.clone())),
        Value::Jsonb(value) => ScalarValue::LargeBinary(Some(value.as_bytes().to_vec())),
        Value::Bytes(value) => ScalarValue::Binary(Some(value.clone())),
        Value::Date(value) => ScalarValue::Date32(Some(*value)),
        Value::Time(value) => ScalarValue::Time64Microsecond(Some(*value)),
        Value::Timestamp(value) => match sql_type {
            SqlType::TimestampTz(_) => ScalarValue::TimestampMicrosecond(Some(*value), Some("UTC".into())),
            _ => ScalarValue::TimestampMicrosecond(Some(*value), None),
        },
        Value::Enum(value) => {
            ScalarValue::TimestampNanosecond(Some(*value), sql_type.made().map(|of| of.zone().clone()))
        }
        Value::Interval(value) => ScalarValue::IntervalMonthDayNano(Some(arrow_interval(*value)?)),
        Value::Uuid(value) => ScalarValue::FixedSizeBinary(16, Some(value.to_vec())),
        Value::Vector(components) => vector(sql_type, components)?,
        Value::Array(_) => {
            let array = array_of(*sql_type, [value])?;
            ScalarValue::try_from_array(&array, 0)
                .map_err(|error| Error::internal(format!("no {sql_type}: {error}")))?
        }
    })
}

fn vector(sql_type: &SqlType, components: &[f32]) -> Result<ScalarValue> {
    let values: ArrayRef = Arc::new(Float32Array::from(components.to_vec()));
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let wrong = |error| Error::invalid(SqlState::DATA_EXCEPTION, format!("no {sql_type}: {error}"));
    match sql_type {
        SqlType::Vector(Some(dimensions)) => {
            let list = FixedSizeListArray::try_new(item, (*dimensions).into(), values, None).map_err(wrong)?;
            Ok(ScalarValue::FixedSizeList(Arc::new(list)))
        }
        _ => {
            let offsets = OffsetBuffer::from_lengths([components.len()]);
            let list = ListArray::try_new(item, offsets, values, None).map_err(wrong)?;
            Ok(ScalarValue::List(Arc::new(list)))
        }
    }
}
