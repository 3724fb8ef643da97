//! Values of any type as JSON, as text and as trees.
//!
//! Numbers and booleans are themselves, json and jsonb are put in as they are, arrays are arrays and records are objects; moments are
//! strings of their ISO form, and all else is a string of its text.

use std::borrow::Cow;

use aion_base::{Error, Result};
use aion_catalog::json::{JsonbRef, Number, Tree, write_string};
use aion_catalog::{SqlType, Zone};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field};

use super::super::time_zone::label;
use crate::cells::{Cells, canonical};

/// A column of values.
pub enum Values {
    Plain(ArrayRef, SqlType),
    /// Each row a list: where each ends, and the elements of all.
    Lists(Vec<Option<std::ops::Range<usize>>>, Box<Values>),
    /// Each row a record.
    Records(ArrayRef, Vec<(String, Values)>),
}

impl Values {
    /// The values of an array that comes in this field; moments are shown in a zone.
    ///
    /// # Errors
    /// 0A000 for a type that has no text here.
    pub fn new(array: &ArrayRef, field: &Field, zone: Zone) -> Result<Self> {
        let failed = |error: datafusion::arrow::error::ArrowError| Error::internal(error.to_string());
        match field.data_type() {
            DataType::Struct(fields) => {
                let parts = array.as_struct().columns().iter().zip(fields);
                let parts = parts.map(|(part, field)| Ok((field.name().clone(), Self::new(part, field, zone)?)));
                Ok(Self::Records(array.clone(), parts.collect::<Result<_>>()?))
            }
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)
                if matches!(SqlType::from_field(field), Err(_) | Ok(SqlType::Array(_))) =>
            {
                let lists = datafusion::arrow::compute::cast(array, &DataType::List(item.clone())).map_err(failed)?;
                let lists = lists.as_list::<i32>();
                let offset = |at: usize| usize::try_from(lists.value_offsets()[at]).unwrap_or(0);
                let rows = (0..lists.len()).map(|row| lists.is_valid(row).then(|| offset(row)..offset(row + 1)));
                Ok(Self::Lists(
                    rows.collect(),
                    Box::new(Self::new(lists.values(), item, zone)?),
                ))
            }
            _ => {
                let sql_type = SqlType::from_field(field)?;
                Ok(Self::Plain(label(&canonical(array, sql_type)?, zone), sql_type))
            }
        }
    }

    /// Whether the value is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Plain(array, _) => array.is_null(row) || *array.data_type() == DataType::Null,
            Self::Lists(rows, _) => rows[row].is_none(),
            Self::Records(array, _) => array.is_null(row),
        }
    }

    /// The text of a value that is not NULL, as a key of an object.
    ///
    /// # Errors
    /// 22023 for what is no scalar.
    pub fn key(&self, row: usize) -> Result<String> {
        let Self::Plain(array, sql_type) = self else {
            return Err(no_key());
        };
        if matches!(sql_type, SqlType::Json | SqlType::Jsonb) {
            return Err(no_key());
        }
        let cells = cells(array, *sql_type)?;
        let mut text = String::new();
        match &cells {
            Cells::Boolean(array) => text.push_str(if array.value(row) { "true" } else { "false" }),
            _ => cells.write_text(row, &mut text),
        }
        Ok(moment(text, *sql_type))
    }

    /// Appends a value as `to_json` gives it, NULL as `null`.
    ///
    /// # Errors
    /// Internal, for an array that does not hold its type.
    pub fn write(&self, row: usize, out: &mut String) -> Result<()> {
        if self.is_null(row) {
            out.push_str("null");
            return Ok(());
        }
        match self {
            Self::Plain(array, sql_type) => {
                let cells = cells(array, *sql_type)?;
                let mut text = String::new();
                cells.write_text(row, &mut text);
                match (&cells, sql_type) {
                    (Cells::Boolean(array), _) => out.push_str(if array.value(row) { "true" } else { "false" }),
                    (_, SqlType::Json | SqlType::Jsonb) => out.push_str(&text),
                    _ if is_number(&text, *sql_type) => out.push_str(&text),
                    _ => write_string(&moment(text, *sql_type), out),
                }
            }
            Self::Lists(rows, elements) => {
                out.push('[');
                for (at, element) in rows[row].clone().unwrap_or_default().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    elements.write(element, out)?;
                }
                out.push(']');
            }
            Self::Records(_, parts) => {
                out.push('{');
                for (at, (name, values)) in parts.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    write_string(name, out);
                    out.push(':');
                    values.write(row, out)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }

    /// A value as `to_jsonb` gives it, NULL as `null`.
    ///
    /// # Errors
    /// As [`Values::write`]; those of the text of a json.
    pub fn tree(&self, row: usize) -> Result<Tree<'_>> {
        if self.is_null(row) {
            return Ok(Tree::Null);
        }
        Ok(match self {
            Self::Plain(array, sql_type) => {
                let cells = cells(array, *sql_type)?;
                match (array.data_type(), sql_type) {
                    (DataType::Boolean, _) => return Ok(Tree::Bool(array.as_boolean().value(row))),
                    (DataType::LargeBinary, _) => {
                        return Ok(Tree::Stored(JsonbRef::new(array.as_binary::<i64>().value(row))));
                    }
                    (DataType::Utf8, SqlType::Json | SqlType::Jsonb) => {
                        return Tree::read(array.as_string::<i32>().value(row));
                    }
                    _ => {}
                }
                let mut text = String::new();
                cells.write_text(row, &mut text);
                if is_number(&text, *sql_type)
                    && let Some(number) = Number::parse(&text)?
                {
                    return Ok(Tree::Number(number.into_owned()));
                }
                Tree::String(Cow::Owned(moment(text, *sql_type)))
            }
            Self::Lists(rows, elements) => {
                let range = rows[row].clone().unwrap_or_default();
                Tree::Array(range.map(|element| elements.tree(element)).collect::<Result<_>>()?)
            }
            Self::Records(_, parts) => {
                let members = parts
                    .iter()
                    .map(|(name, values)| Ok((Cow::Borrowed(name.as_str()), values.tree(row)?)));
                Tree::Object(members.collect::<Result<_>>()?)
            }
        })
    }
}

fn cells(array: &ArrayRef, sql_type: SqlType) -> Result<Cells<'_>> {
    Cells::of(array, sql_type).ok_or_else(|| Error::internal("canonical cells are cells"))
}

fn no_key() -> Error {
    super::invalid_parameter("key value must be scalar, not array, composite, or json")
}

/// Whether a text is a number in JSON, which has no infinity.
fn is_number(text: &str, sql_type: SqlType) -> bool {
    match sql_type {
        SqlType::SmallInt | SqlType::Integer | SqlType::BigInt | SqlType::Numeric { .. } => true,
        SqlType::Real | SqlType::Double => text.parse::<f64>().is_ok_and(f64::is_finite),
        _ => false,
    }
}

/// The text of a moment in the form of ISO 8601, of anything else as it is.
fn moment(text: String, sql_type: SqlType) -> String {
    match sql_type {
        SqlType::Timestamp(_) => text.replacen(' ', "T", 1),
        SqlType::TimestampTz(_) => {
            let text = text.replacen(' ', "T", 1);
            let (moment, era) = match text.strip_suffix(" BC") {
                Some(moment) => (moment, " BC"),
                None => (text.as_str(), ""),
            };
            // ISO 8601 has minutes in every offset.
            let sign = moment.len().checked_sub(3).and_then(|at| moment.as_bytes().get(at));
            let minutes = if matches!(sign, Some(b'+' | b'-')) { ":00" } else { "" };
            format!("{moment}{minutes}{era}")
        }
        _ => text,
    }
}
