//! The text form of `bytea` and `uuid`.

use aion_base::{Error, Result, SqlState};

use super::invalid_syntax;

/// Reads a `bytea` and appends it to `out`: `\x` and hexadecimal digits, or text with `\\` and `\ooo` escapes.
///
/// After an error, `out` holds a part of the value.
pub fn parse_bytea(text: &str, out: &mut Vec<u8>) -> Result<()> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hex(digits, out),
        None => parse_escaped(text, out),
    }
}

fn parse_hex(digits: &str, out: &mut Vec<u8>) -> Result<()> {
    let mut rest = digits.chars();
    out.reserve(digits.len() / 2);
    while let Some(high) = rest.next() {
        if matches!(high, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = hex_digit(high)?;
        let Some(low) = rest.next() else {
            return Err(hex_error(
                "invalid hexadecimal data for type bytea: odd number of digits".into(),
            ));
        };
        out.push(high << 4 | hex_digit(low)?);
    }
    Ok(())
}

fn hex_digit(character: char) -> Result<u8> {
    match character.to_digit(16) {
        Some(digit) => Ok(digit as u8),
        None => Err(hex_error(format!(
            "invalid hexadecimal digit for type bytea: \"{character}\""
        ))),
    }
}

#[cold]
fn hex_error(message: String) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn parse_escaped(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(()),
            [b'\\', b'\\', rest @ ..] => {
                out.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            [b'\\', ..] => return Err(invalid_syntax("bytea", text)),
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        }
    }
}

/// Writes a `bytea` as `\x` and hexadecimal digits.
pub fn write_bytea(value: &[u8], out: &mut String) {
    out.reserve(2 + 2 * value.len());
    out.push_str("\\x");
    for byte in value {
        push_hex(*byte, out);
    }
}

fn push_hex(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(DIGITS[usize::from(byte >> 4)].into());
    out.push(DIGITS[usize::from(byte & 15)].into());
}

/// Reads a `uuid`: 32 hexadecimal digits, with a hyphen after any group of four, in braces or not.
pub fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    uuid_bytes(text).ok_or_else(|| invalid_syntax("uuid", text))
}

fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let inner = match text.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}')?,
        None => text,
    };
    let mut rest = inner.as_bytes();
    let mut uuid = [0; 16];
    for (at, byte) in uuid.iter_mut().enumerate() {
        if at > 0 && at % 2 == 0 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
        let [high, low, tail @ ..] = rest else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
        rest = tail;
    }
    rest.is_empty().then_some(uuid)
}

/// Writes a `uuid` in five groups of small hexadecimal digits.
pub fn write_uuid(value: &[u8; 16], out: &mut String) {
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        push_hex(*byte, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytea(text: &str) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        parse_bytea(text, &mut out).map(|()| out)
    }

    #[test]
    fn bytea_has_two_forms() {
        assert_eq!(bytea("\\xDEad be EF").expect("hex"), [0xDE, 0xAD, 0xBE, 0xEF]);
        assert_eq!(bytea("a\\\\b\\000\\377").expect("escapes"), b"a\\b\x00\xFF");
        assert_eq!(bytea("").expect("empty"), b"");
        for (text, state, message) in [
            (
                "\\xabc",
                "22023",
                "invalid hexadecimal data for type bytea: odd number of digits",
            ),
            ("\\xzz", "22023", "invalid hexadecimal digit for type bytea: \"z\""),
            ("\\xa b", "22023", "invalid hexadecimal digit for type bytea: \" \""),
            ("a\\b", "22P02", "invalid input syntax for type bytea: \"a\\b\""),
            ("\\400", "22P02", "invalid input syntax for type bytea: \"\\400\""),
        ] {
            let error = bytea(text).expect_err(text);
            assert_eq!((error.state().as_str(), error.message()), (state, message));
        }
    }

    #[test]
    fn uuid_forms() {
        let canonical = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for text in [
            canonical,
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        ] {
            let mut out = String::new();
            write_uuid(&parse_uuid(text).expect(text), &mut out);
            assert_eq!(out, canonical);
        }
        for text in [
            "",
            "{a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a1",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11a",
            "a0-eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc99--9c0b4ef8bb6d6bb9bd380a11",
            " a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11-",
        ] {
            assert_eq!(parse_uuid(text).expect_err(text).state().as_str(), "22P02");
        }
    }

    proptest! {
        #[test]
        fn bytea_reads_back(value in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut out = String::new();
            write_bytea(&value, &mut out);
            prop_assert_eq!(bytea(&out)?, value);
        }
    }
}
