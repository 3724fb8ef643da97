//! The binary form of arrays, both ways, and of the types that only results have: oids, names, vectors of the catalog.
//!
//! ```text
//! oid      u32
//! array    dimensions i32 (0 or 1) | has NULLs i32 | OID of the elements | [length i32 | first subscript i32]
//!          | (length i32 | value)*           length -1: NULL
//! ```
//!
//! The vectors of the catalog travel through the engine as PostgreSQL's text of them and are read back here.

use aion_base::{Error, Result, SqlState};
use aion_catalog::types::ElementType;
use aion_catalog::{SqlType, Value};
use bytes::{BufMut, BytesMut};

#[cfg(test)]
use super::forms;
use super::put_cell;
use crate::cells::{Cells, ListCells};
use crate::response::ResultType;

/// Appends the binary form of a value that is not NULL.
///
/// # Errors
/// XX000 where the engine's text of an array does not read back.
pub fn put_result(result_type: ResultType, cells: &Cells<'_>, row: usize, out: &mut BytesMut) -> Result<()> {
    let written = || {
        cells
            .as_str(row)
            .ok_or_else(|| Error::internal("a vector comes as text"))
    };
    match (result_type, cells) {
        (ResultType::Oid, Cells::BigInt(array)) => {
            let oid = u32::try_from(array.value(row)).map_err(|_| Error::internal("an oid is beyond 32 bits"))?;
            out.put_u32(oid);
        }
        (ResultType::Oid, _) => return Err(Error::internal("an oid comes as a bigint")),
        (ResultType::OidArray, Cells::Array(lists)) => {
            let range = lists.range(row);
            let has_nulls = range.clone().any(|at| lists.elements.is_null(at));
            put_head(range.len(), has_nulls, ResultType::Oid.oid(), 1, out);
            for at in range {
                if lists.elements.is_null(at) {
                    out.put_i32(-1);
                } else {
                    out.put_i32(4);
                    put_result(ResultType::Oid, &lists.elements, at, out)?;
                }
            }
        }
        (ResultType::OidArray, _) => return Err(Error::internal("oids come as bigints")),
        (ResultType::Name | ResultType::Char, _) => put_cell(cells, row, out),
        (ResultType::Int2Vector, _) => put_numbers(&spaced(written()?), 21, out)?,
        (ResultType::OidVector, _) => put_numbers(&spaced(written()?), 26, out)?,
    }
    Ok(())
}

/// Appends the binary form of an array that is not NULL.
pub fn put_array(lists: &ListCells<'_>, row: usize, out: &mut BytesMut) {
    let (range, elements) = (lists.range(row), &lists.elements);
    let has_nulls = range.clone().any(|at| elements.is_null(at));
    put_head(range.len(), has_nulls, lists.element.oid(), 1, out);
    for at in range {
        if elements.is_null(at) {
            out.put_i32(-1);
            continue;
        }
        let length = out.len();
        out.put_i32(0);
        put_cell(elements, at, out);
        // A row has no more than 1 GiB.
        let written = (out.len() - length - 4) as i32;
        out[length..length + 4].copy_from_slice(&written.to_be_bytes());
    }
}

fn put_head(length: usize, has_nulls: bool, oid: u32, first: i32, out: &mut BytesMut) {
    out.put_i32(i32::from(length > 0));
    out.put_i32(has_nulls.into());
    out.put_u32(oid);
    if length > 0 {
        // As above.
        out.put_i32(length as i32);
        out.put_i32(first);
    }
}

/// A vector of the catalog, of smallints or oids; they count from 0.
fn put_numbers(numbers: &[&str], oid: u32, out: &mut BytesMut) -> Result<()> {
    put_head(numbers.len(), false, oid, 0, out);
    for number in numbers {
        let number: u32 = number.parse().map_err(|_| Error::internal("no number in a vector"))?;
        match u16::try_from(number) {
            Ok(number) if oid == SqlType::SmallInt.oid() => {
                out.put_i32(2);
                out.put_u16(number);
            }
            _ => {
                out.put_i32(4);
                out.put_u32(number);
            }
        }
    }
    Ok(())
}

/// The numbers of `1 2 3`.
fn spaced(text: &str) -> Vec<&str> {
    text.split_ascii_whitespace().collect()
}

/// Reads the binary form of an `oid`; None for bytes that are none.
pub fn take_oid(bytes: &[u8]) -> Option<Value> {
    let bytes = bytes.try_into().ok()?;
    Some(Value::I64(u32::from_be_bytes(bytes).into()))
}

/// Reads the binary form of an `oid[]`; None for bytes that are none.
///
/// # Errors
/// As [`take_array`].
pub fn take_oids(bytes: &[u8]) -> Result<Option<Value>> {
    take_elements(ElementType::BigInt, ResultType::Oid.oid(), bytes, |_, bytes| {
        Ok(take_oid(bytes))
    })
}

/// Reads the binary form of an array; `read` reads that of an element. None for bytes that are no array.
///
/// # Errors
/// 42804 for elements of another type, 0A000 for several dimensions, 54000 for too many of them, and the errors of `read`.
pub fn take_array(
    element: ElementType,
    bytes: &[u8],
    read: impl Fn(SqlType, &[u8]) -> Result<Option<Value>>,
) -> Result<Option<Value>> {
    take_elements(element, element.sql_type().oid(), bytes, read)
}

/// As [`take_array`], of elements that are said to have that OID.
fn take_elements(
    element: ElementType,
    element_oid: u32,
    bytes: &[u8],
    read: impl Fn(SqlType, &[u8]) -> Result<Option<Value>>,
) -> Result<Option<Value>> {
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = bytes.split_at_checked(count)?;
        *bytes = rest;
        Some(taken)
    }
    fn number(bytes: &mut &[u8]) -> Option<i32> {
        take(bytes, 4)?.try_into().ok().map(i32::from_be_bytes)
    }
    let mut rest = bytes;
    let sql_type = element.sql_type();
    let (Some(dimensions), Some(0 | 1), Some(oid)) = (number(&mut rest), number(&mut rest), number(&mut rest)) else {
        return Ok(None);
    };
    let oid = oid.cast_unsigned();
    if oid != element_oid && !(is_text(oid) && is_text(sql_type.oid())) {
        return Err(Error::invalid(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "binary data has array element type {oid} ({}) instead of expected {} ({sql_type})",
                SqlType::from_oid(oid, -1).map_or("unknown", |found| found.base_name()),
                element_oid
            ),
        ));
    }
    let length = match dimensions {
        0 => 0,
        1 => match (number(&mut rest), number(&mut rest)) {
            (Some(length @ 0..), Some(1)) => length as usize,
            (Some(_), Some(_)) => {
                return Err(Error::unsupported(
                    "arrays whose first index is not 1 are not supported",
                ));
            }
            _ => return Ok(None),
        },
        2..=6 => return Err(Error::unsupported("arrays of several dimensions are not supported")),
        _ => {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("number of array dimensions ({dimensions}) exceeds the maximum allowed (6)"),
            ));
        }
    };
    // Each element has a length: the message's size limits them.
    let mut elements = Vec::with_capacity(length.min(rest.len() / 4));
    for _ in 0..length {
        elements.push(match number(&mut rest) {
            Some(-1) => Value::Null,
            Some(length @ 0..) => {
                let Some(bytes) = take(&mut rest, length as usize) else {
                    return Ok(None);
                };
                match read(sql_type, bytes)? {
                    Some(value) => value,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        });
    }
    Ok(rest.is_empty().then_some(Value::Array(elements)))
}

/// Whether values of the type are plain text in their binary form.
fn is_text(oid: u32) -> bool {
    matches!(oid, 19 | 25 | 1042 | 1043)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, Int32Array, ListBuilder};

    use super::*;

    fn sent(lists: ArrayRef, sql_type: SqlType) -> BytesMut {
        let mut out = BytesMut::new();
        let Some(Cells::Array(lists)) = Cells::of(&lists as &dyn Array, sql_type) else {
            panic!("arrays");
        };
        put_array(&lists, 0, &mut out);
        out
    }

    #[test]
    fn the_binary_form_is_that_of_postgres() {
        let array = SqlType::Array(ElementType::Integer);
        let mut lists = ListBuilder::new(Int32Array::builder(2));
        lists.append_value([Some(7), None]);
        let out = sent(std::sync::Arc::new(lists.finish()), array);
        let expected = [1_i32, 1, 23, 2, 1, 4, 7, -1].map(i32::to_be_bytes).concat();
        assert_eq!(out, expected);
        let read = |sql_type: SqlType, bytes: &[u8]| {
            assert_eq!(sql_type, SqlType::Integer);
            Ok(forms::take_i32(bytes).map(Value::I32))
        };
        let back = take_array(ElementType::Integer, &out, read).expect("an array");
        assert_eq!(back, Some(Value::Array(vec![Value::I32(7), Value::Null])));
        for end in 0..out.len() {
            assert_eq!(
                take_array(ElementType::Integer, &out[..end], read).expect("cut off"),
                None
            );
        }
        let mut none = ListBuilder::new(Int32Array::builder(0));
        none.append(true);
        let out = sent(std::sync::Arc::new(none.finish()), array);
        assert_eq!(out, [0_i32, 0, 23].map(i32::to_be_bytes).concat());
        let error = take_array(ElementType::Text, &out, read).expect_err("of integers");
        assert_eq!(error.state(), SqlState::DATATYPE_MISMATCH);
    }
}
