//! The text form of `vector`, pgvector's: `[1,2.5,3]`.

use aion_base::{Error, ErrorKind, Result, SqlState};

use super::float::{parse_f32, write_f32};
use super::{invalid_syntax, quoted, trim};
use crate::types::VECTOR_DIMENSIONS_MAX;

/// Reads a `vector(dimensions)` and gives its elements to `push`, which has got a part of them after an error.
pub fn parse_vector(text: &str, dimensions: Option<u16>, mut push: impl FnMut(f32)) -> Result<()> {
    let Some(inner) = trim(text).strip_prefix('[') else {
        return Err(invalid_syntax("vector", text).with_detail("Vector contents must start with \"[\"."));
    };
    let Some(inner) = inner.strip_suffix(']') else {
        return Err(invalid_syntax("vector", text).with_detail("Vector contents must end with \"]\"."));
    };
    if trim(inner).is_empty() {
        return Err(data_exception("vector must have at least 1 dimension".into()));
    }
    let mut count = 0;
    for element in inner.split(',') {
        if count == VECTOR_DIMENSIONS_MAX {
            return Err(Error::new(
                ErrorKind::Invalid,
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("vector cannot have more than {VECTOR_DIMENSIONS_MAX} dimensions"),
            ));
        }
        push(parse_element(element, text)?);
        count += 1;
    }
    match dimensions {
        Some(expected) if expected != count => {
            Err(data_exception(format!("expected {expected} dimensions, not {count}")))
        }
        _ => Ok(()),
    }
}

fn parse_element(element: &str, text: &str) -> Result<f32> {
    match parse_f32(element) {
        Ok(value) if value.is_nan() => Err(data_exception("NaN not allowed in vector".into())),
        Ok(value) if value.is_infinite() => Err(data_exception("infinite value not allowed in vector".into())),
        Ok(value) => Ok(value),
        Err(error) if error.state() == SqlState::NUMERIC_VALUE_OUT_OF_RANGE => Err(Error::invalid(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("{} is out of range for type vector", quoted(trim(element))),
        )),
        Err(_) => Err(invalid_syntax("vector", text)),
    }
}

#[cold]
fn data_exception(message: String) -> Error {
    Error::invalid(SqlState::DATA_EXCEPTION, message)
}

/// Writes a `vector`.
pub fn write_vector(elements: impl IntoIterator<Item = f32>, out: &mut String) {
    let mut separator = '[';
    for element in elements {
        out.push(separator);
        write_f32(element, out);
        separator = ',';
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(text: &str, dimensions: Option<u16>) -> Result<Vec<f32>> {
        let mut out = Vec::new();
        parse_vector(text, dimensions, |element| out.push(element)).map(|()| out)
    }

    #[test]
    fn reads_and_writes_the_form_of_pgvector() {
        assert_eq!(vector(" [1, 2.5 ,-3e2] ", Some(3)).expect("three"), [1.0, 2.5, -300.0]);
        let mut out = String::new();
        write_vector([1.0, 2.5, -1e10], &mut out);
        assert_eq!(out, "[1,2.5,-1e+10]");
    }

    #[test]
    fn refuses_with_the_messages_of_pgvector() {
        for (text, dimensions, state, message) in [
            ("[1,2]", Some(3), "22000", "expected 3 dimensions, not 2"),
            ("[]", None, "22000", "vector must have at least 1 dimension"),
            ("[NaN]", None, "22000", "NaN not allowed in vector"),
            ("[-inf]", None, "22000", "infinite value not allowed in vector"),
            ("[4e38]", None, "22003", "\"4e38\" is out of range for type vector"),
            ("1,2", None, "22P02", "invalid input syntax for type vector: \"1,2\""),
            ("[1,2", None, "22P02", "invalid input syntax for type vector: \"[1,2\""),
            (
                "[1,,2]",
                None,
                "22P02",
                "invalid input syntax for type vector: \"[1,,2]\"",
            ),
        ] {
            let error = vector(text, dimensions).expect_err(text);
            assert_eq!((error.state().as_str(), error.message()), (state, message));
        }
        let long = format!("[{}1]", "1,".repeat(16_000));
        assert_eq!(vector(&long, None).expect_err("16001").state().as_str(), "54000");
    }
}
