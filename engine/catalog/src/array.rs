//! Arrays as bytes: in rows, and in keys.
//!
//! ```text
//! 0   dimensions   u8        0 for an array without elements, 1
//! 1   lower        i32 LE    1, the index of the first element
//! 5   length       u32 LE    n, one or more
//! 9   nulls        n bits, padded to a byte; bit i of byte i / 8 is set where element i is NULL
//!     fixed        elements of a fixed width: n times that, zeros where NULL
//!     ends         elements of a variable width: u32 LE, n times, where each ends, from the start of `variable`
//!     variable     their bytes
//! ```
//!
//! Elements are encoded as columns of their type are, see [`crate::row`]. An array without elements is its first byte alone.
//!
//! **Dimensions.** An array has one dimension here, counted from 1, and those of more are refused (0A000) where they are read, as are
//! other lower bounds: Arrow's lists, which DataFusion's functions take, have neither. The bytes have room for both.
//!
//! **Order.** PostgreSQL's: by the first elements that differ, and of two that begin alike the shorter one first; NULL is an element,
//! equal to itself and behind all others. A key is the keys of the elements, one after another, as a bytea: what two arrays have in
//! common are then the same bytes, and the shorter one is a prefix of the other.

use aion_base::key::{ColumnOrder, KeyReader};
use aion_base::{Error, Result};

use crate::json::JsonbRef;
use crate::keys::{read_value, write_value};
use crate::row::width;
use crate::text::ArrayValue;
use crate::types::{ElementType, SqlType};
use crate::value::Value;

/// Elements of an array, at most: a row is limited to a few MiB by storage.
pub const ELEMENTS_MAX: usize = 4 << 20;
const HEADER_BYTES: usize = 9;
const ELEMENT_ORDER: ColumnOrder = ColumnOrder::ASC;

/// The elements of an array that has one dimension, counted from 1.
///
/// # Errors
/// 0A000 for another.
pub fn elements<T>(array: ArrayValue<T>) -> Result<Vec<Option<T>>> {
    match &array.dimensions[..] {
        [] => {}
        [one] if one.lower == 1 => {}
        [_] => {
            return Err(Error::unsupported(
                "arrays whose first index is not 1 are not supported",
            ));
        }
        _ => {
            return Err(Error::unsupported("arrays of several dimensions are not supported"));
        }
    }
    Ok(array.elements)
}

/// Appends the bytes of an array of these elements, which are of its type or NULL.
pub fn write(element: ElementType, elements: &[Value], out: &mut Vec<u8>) {
    if elements.is_empty() {
        out.push(0);
        return;
    }
    out.push(1);
    out.extend_from_slice(&1i32.to_le_bytes());
    // A row is limited to a few MiB by storage.
    out.extend_from_slice(&(elements.len() as u32).to_le_bytes());
    let nulls = out.len();
    out.resize(nulls + elements.len().div_ceil(8), 0);
    for (at, element) in elements.iter().enumerate() {
        if element.is_null() {
            out[nulls + at / 8] |= 1 << (at % 8);
        }
    }
    if let Some(width) = width(element.sql_type()) {
        for element in elements {
            let end = out.len() + width;
            write_element(element, out);
            out.resize(end, 0);
        }
        return;
    }
    let ends = out.len();
    let variable = ends + 4 * elements.len();
    out.resize(variable, 0);
    for (at, element) in elements.iter().enumerate() {
        write_element(element, out);
        let end = (out.len() - variable) as u32;
        out[ends + 4 * at..ends + 4 * at + 4].copy_from_slice(&end.to_le_bytes());
    }
}

fn write_element(element: &Value, out: &mut Vec<u8>) {
    match element {
        Value::Null => {}
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::I16(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::I32(value) | Value::Date(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::I64(value) | Value::Time(value) | Value::Timestamp(value) | Value::Enum(value) => {
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::F32(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::F64(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::Decimal(value, _) => out.extend_from_slice(&value.to_le_bytes()),
        Value::Uuid(value) => out.extend_from_slice(value),
        Value::Text(value) | Value::Json(value) => out.extend_from_slice(value.as_bytes()),
        Value::Bytes(value) => out.extend_from_slice(value),
        Value::Jsonb(value) => out.extend_from_slice(value.as_bytes()),
        other => unreachable!("{other:?} is no element of an array"),
    }
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// Corrupt, for bytes that are no array of the type.
pub fn read(element: ElementType, bytes: &[u8]) -> Result<Vec<Value>> {
    let Some((&[1, a, b, c, d, e, f, g, h], rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return match bytes {
            [0] => Ok(Vec::new()),
            _ => Err(damaged("it has no header")),
        };
    };
    let length = u32::from_le_bytes([e, f, g, h]) as usize;
    if i32::from_le_bytes([a, b, c, d]) != 1 || length == 0 {
        return Err(damaged("its bounds are none"));
    }
    let (nulls, rest) = rest
        .split_at_checked(length.div_ceil(8))
        .ok_or_else(|| damaged("it ends within its NULLs"))?;
    let is_null = |at: usize| nulls[at / 8] & (1 << (at % 8)) != 0;
    let sql_type = element.sql_type();
    let mut elements = Vec::with_capacity(length);
    if let Some(width) = width(sql_type) {
        if rest.len() != length * width {
            return Err(damaged("it has not as many elements as it says"));
        }
        for (at, bytes) in rest.chunks_exact(width).enumerate() {
            elements.push(match is_null(at) {
                true => Value::Null,
                false => fixed(sql_type, bytes).ok_or_else(|| damaged("an element has another width"))?,
            });
        }
        return Ok(elements);
    }
    let (ends, variable) = rest
        .split_at_checked(4 * length)
        .ok_or_else(|| damaged("it ends within the ends of its elements"))?;
    let mut start = 0;
    for (at, end) in ends.as_chunks::<4>().0.iter().enumerate() {
        let end = u32::from_le_bytes(*end) as usize;
        let bytes = variable
            .get(start..end)
            .ok_or_else(|| damaged("an element ends outside of it"))?;
        start = end;
        elements.push(match is_null(at) {
            true => Value::Null,
            false => variable_value(sql_type, bytes)?,
        });
    }
    Ok(elements)
}

fn fixed(sql_type: SqlType, bytes: &[u8]) -> Option<Value> {
    Some(match sql_type {
        SqlType::Boolean => Value::Bool(bytes != [0]),
        SqlType::SmallInt => Value::I16(i16::from_le_bytes(bytes.try_into().ok()?)),
        SqlType::Integer => Value::I32(i32::from_le_bytes(bytes.try_into().ok()?)),
        SqlType::Date => Value::Date(i32::from_le_bytes(bytes.try_into().ok()?)),
        SqlType::BigInt => Value::I64(i64::from_le_bytes(bytes.try_into().ok()?)),
        SqlType::Timestamp(_) | SqlType::TimestampTz(_) => Value::Timestamp(i64::from_le_bytes(bytes.try_into().ok()?)),
        SqlType::Time(_) => Value::Time(i64::from_le_bytes(bytes.try_into().ok()?)),
        SqlType::Enum(_) => Value::Enum(i64::from_le_bytes(bytes.try_into().ok()?)),
        SqlType::Real => Value::F32(f32::from_le_bytes(bytes.try_into().ok()?)),
        SqlType::Double => Value::F64(f64::from_le_bytes(bytes.try_into().ok()?)),
        SqlType::Numeric { scale, .. } => Value::Decimal(i128::from_le_bytes(bytes.try_into().ok()?), scale),
        SqlType::Uuid => Value::Uuid(bytes.try_into().ok()?),
        _ => return None,
    })
}

fn variable_value(sql_type: SqlType, bytes: &[u8]) -> Result<Value> {
    let text = || {
        let text = str::from_utf8(bytes).map_err(|_| damaged("a text in it is not UTF-8"))?;
        Ok::<_, Error>(text.to_owned())
    };
    Ok(match sql_type {
        SqlType::Bytea => Value::Bytes(bytes.to_vec()),
        SqlType::Jsonb => Value::Jsonb(JsonbRef::new(bytes).to_owned()),
        SqlType::Json => Value::Json(text()?),
        _ => Value::Text(text()?),
    })
}

/// Appends the key of an array, which a key has as a bytea.
///
/// # Errors
/// 0A000 for elements without an order.
pub fn write_key(elements: &[Value], out: &mut Vec<u8>) -> Result<()> {
    elements
        .iter()
        .try_for_each(|element| write_value(element, ELEMENT_ORDER, out))
}

/// The array that has a key; of a float and a jsonb what its key keeps.
///
/// # Errors
/// Corrupt, for bytes that are no key of an array of the type.
pub fn of_key(element: ElementType, key: &[u8]) -> Result<Vec<Value>> {
    let mut reader = KeyReader::new(key);
    let mut elements = Vec::new();
    while !reader.rest().is_empty() {
        elements.push(read_value(&mut reader, element.sql_type(), ELEMENT_ORDER)?);
    }
    Ok(elements)
}

#[cold]
fn damaged(what: &str) -> Error {
    Error::corrupt(format!("a stored array is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTEGER: ElementType = ElementType::Integer;

    fn bytes(element: ElementType, elements: &[Value]) -> Vec<u8> {
        let mut out = Vec::new();
        write(element, elements, &mut out);
        out
    }

    /// These bytes are in rows.
    #[test]
    fn golden() {
        assert_eq!(bytes(INTEGER, &[]), [0]);
        assert_eq!(
            bytes(INTEGER, &[Value::I32(7), Value::Null]),
            [1, 1, 0, 0, 0, 2, 0, 0, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            bytes(
                ElementType::Text,
                &[Value::Text("ab".into()), Value::Null, Value::Text("c".into())]
            ),
            [
                1, 1, 0, 0, 0, 3, 0, 0, 0, 2, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, b'a', b'b', b'c'
            ]
        );
    }

    #[test]
    fn other_bounds_are_refused() {
        for text in ["{{1}}", "[0:0]={1}"] {
            let array = ArrayValue::parse(text, |element| Ok(element.to_owned())).expect(text);
            assert_eq!(elements(array).expect_err(text).state().as_str(), "0A000");
        }
    }

    fn array() -> impl Strategy<Value = (SqlType, Vec<Value>)> {
        let texts = proptest::option::of("[aä\u{1}]{0,3}").prop_map(|text| text.map_or(Value::Null, Value::Text));
        let numbers = proptest::option::of(-2i64..3).prop_map(|number| number.map_or(Value::Null, Value::I64));
        prop_oneof![
            proptest::collection::vec(texts, 0..5).prop_map(|elements| (SqlType::Text, elements)),
            proptest::collection::vec(numbers, 0..5).prop_map(|elements| (SqlType::BigInt, elements)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back((sql_type, elements) in array()) {
            let element = ElementType::of(sql_type).expect("an element");
            prop_assert_eq!(&read(element, &bytes(element, &elements))?, &elements);
            let mut key = Vec::new();
            write_key(&elements, &mut key)?;
            prop_assert_eq!(&of_key(element, &key)?, &elements);
        }

        #[test]
        fn keys_sort_as_arrays_do(one in array(), two in array()) {
            prop_assume!(one.0 == two.0);
            let key = |elements: &[Value]| {
                let mut key = Vec::new();
                write_key(elements, &mut key).map(|()| key)
            };
            let expected = Value::Array(one.1.clone()).compare(&Value::Array(two.1.clone()));
            prop_assert_eq!(expected, Some(key(&one.1)?.cmp(&key(&two.1)?)));
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..40)) {
            for element in [INTEGER, ElementType::Text, ElementType::Jsonb, ElementType::Uuid] {
                let _ = read(element, &noise);
                let mut framed = vec![1, 1, 0, 0, 0, 2, 0, 0, 0];
                framed.extend_from_slice(&noise);
                let _ = read(element, &framed);
            }
        }
    }
}
