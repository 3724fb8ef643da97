//! The binary form of the types that only results have: oids, names, arrays.
//!
//! ```text
//! oid      u32
//! array    dimensions i32 (0 or 1) | has NULLs i32 | OID of the elements | [length i32 | first subscript i32]
//!          | (length i32 | value)*           length -1: NULL
//! ```
//!
//! An array travels through the engine as PostgreSQL's text of it and is read back here, element by element. That is
//! slower than a form of its own would be; arrays come from the catalog and from `array_agg`, not from tables.

use aion_base::{Error, Result};
use aion_catalog::{SqlType, Value, text};
use aion_db::{Cells, ResultType};
use bytes::{BufMut, BytesMut};

use super::{binary, columns};

/// Appends the binary form of a value that is not NULL.
///
/// # Errors
/// XX000 where the engine's text of an array does not read back.
pub(super) fn put_binary(result_type: ResultType, cells: &Cells<'_>, row: usize, out: &mut BytesMut) -> Result<()> {
    let written = || {
        cells
            .as_str(row)
            .ok_or_else(|| Error::internal("an array comes as text"))
    };
    match (result_type, cells) {
        (ResultType::Oid, Cells::BigInt(array)) => {
            let oid = u32::try_from(array.value(row)).map_err(|_| Error::internal("an oid is beyond 32 bits"))?;
            out.put_u32(oid);
        }
        (ResultType::Oid, _) => return Err(Error::internal("an oid comes as a bigint")),
        (ResultType::Name | ResultType::Char, _) => columns::put_binary(cells, row, out),
        (ResultType::Array(item), _) => put_array(&text::parse_array(written()?)?, item, item.oid(), 1, out)?,
        // Vectors count from 0.
        (ResultType::Int2Vector, _) => put_array(&spaced(written()?), SqlType::SmallInt, 21, 0, out)?,
        (ResultType::OidVector, _) => put_oids(&spaced(written()?), out)?,
    }
    Ok(())
}

fn put_head(elements: &[Option<String>], oid: u32, first: i32, out: &mut BytesMut) -> Result<()> {
    let length = i32::try_from(elements.len()).map_err(|_| Error::internal("an array has too many elements"))?;
    out.put_i32(i32::from(length > 0));
    out.put_i32(elements.iter().any(Option::is_none).into());
    out.put_u32(oid);
    if length > 0 {
        out.put_i32(length);
        out.put_i32(first);
    }
    Ok(())
}

fn put_array(elements: &[Option<String>], item: SqlType, oid: u32, first: i32, out: &mut BytesMut) -> Result<()> {
    put_head(elements, oid, first, out)?;
    let mut value = BytesMut::new();
    for element in elements {
        let Some(element) = element else {
            out.put_i32(-1);
            continue;
        };
        value.clear();
        put_value(&Value::text_in(&item, element)?, &mut value);
        out.put_i32(i32::try_from(value.len()).map_err(|_| Error::internal("an element is too long"))?);
        out.extend_from_slice(&value);
    }
    Ok(())
}

fn put_oids(elements: &[Option<String>], out: &mut BytesMut) -> Result<()> {
    put_head(elements, 26, 0, out)?;
    for element in elements.iter().flatten() {
        let oid: u32 = element.parse().map_err(|_| Error::internal("no oid in an oidvector"))?;
        out.put_i32(4);
        out.put_u32(oid);
    }
    Ok(())
}

fn put_value(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Null => {}
        Value::Bool(value) => out.put_u8((*value).into()),
        Value::I16(value) => out.put_i16(*value),
        Value::I32(value) => out.put_i32(*value),
        Value::I64(value) => out.put_i64(*value),
        Value::F32(value) => out.put_f32(*value),
        Value::F64(value) => out.put_f64(*value),
        Value::Decimal(unscaled, scale) => binary::put_numeric(*unscaled, *scale, out),
        Value::Text(text) | Value::Json(text) => out.extend_from_slice(text.as_bytes()),
        Value::Jsonb(document) => {
            out.put_u8(binary::JSONB_VERSION);
            out.extend_from_slice(document.to_string().as_bytes());
        }
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
        Value::Date(days) => binary::put_date(*days, out),
        Value::Timestamp(micros) => binary::put_timestamp(*micros, out),
        Value::Interval(interval) => binary::put_interval(*interval, out),
        Value::Uuid(uuid) => out.extend_from_slice(uuid),
        Value::Vector(elements) => binary::put_vector(elements, out),
    }
}

/// The numbers of `1 2 3`.
fn spaced(text: &str) -> Vec<Option<String>> {
    text.split_ascii_whitespace()
        .map(|number| Some(number.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_form_is_that_of_postgres() {
        let mut out = BytesMut::new();
        put_array(&[Some("7".to_owned()), None], SqlType::Integer, 23, 1, &mut out).expect("numbers");
        let expected = [1_i32, 1, 23, 2, 1, 4, 7, -1].map(i32::to_be_bytes).concat();
        assert_eq!(out, expected);
        out.clear();
        put_array(&[], SqlType::Text, 25, 1, &mut out).expect("none");
        assert_eq!(out, [0_i32, 0, 25].map(i32::to_be_bytes).concat());
    }
}
