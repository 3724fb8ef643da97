//! The grammar of SCRAM's messages: attributes `x=value`, separated by commas.
//!
//! Works on bytes, as PostgreSQL does: a name in the client's message need not be UTF-8. Nothing that a peer sent is quoted
//! in an error, beyond the letter of an attribute.

use aion_base::{Error, Result, SqlState};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::MESSAGE_BYTES_MAX;

/// Reads a message from its front.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// # Errors
    /// 08P01 for a message that is empty, too long, or holds a zero byte.
    pub(super) fn new(message: &'a [u8]) -> Result<Self> {
        if message.is_empty() {
            return Err(malformed("The message is empty."));
        }
        if message.len() > MESSAGE_BYTES_MAX {
            let detail = format!(
                "The message has {} bytes; the limit is {MESSAGE_BYTES_MAX}.",
                message.len()
            );
            return Err(malformed(detail));
        }
        if message.contains(&0) {
            return Err(malformed("The message holds a zero byte."));
        }
        Ok(Self { rest: message })
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, which stays.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Passes over one byte, whatever it is.
    pub(super) fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Passes over a comma.
    pub(super) fn comma(&mut self) -> Result<()> {
        match self.peek() {
            Some(b',') => {
                self.skip();
                Ok(())
            }
            other => Err(malformed(format!("Comma expected, but found {}.", shown(other)))),
        }
    }

    /// The value of the attribute that must come next.
    pub(super) fn attribute(&mut self, name: u8) -> Result<&'a [u8]> {
        if self.peek() != Some(name) {
            let (expected, found) = (char::from(name), shown(self.peek()));
            return Err(malformed(format!(
                "Expected attribute \"{expected}\" but found {found}."
            )));
        }
        self.skip();
        self.value(name)
    }

    /// The next attribute, whatever it is called.
    pub(super) fn any_attribute(&mut self) -> Result<(u8, &'a [u8])> {
        match self.peek() {
            Some(name) if name.is_ascii_alphabetic() => {
                self.skip();
                Ok((name, self.value(name)?))
            }
            other => Err(malformed(format!("Attribute expected, but found {}.", shown(other)))),
        }
    }

    fn value(&mut self, name: u8) -> Result<&'a [u8]> {
        if self.peek() != Some(b'=') {
            let detail = format!("Expected character \"=\" for attribute \"{}\".", char::from(name));
            return Err(malformed(detail));
        }
        self.skip();
        let length = self.rest.iter().position(|&byte| byte == b',');
        let (value, rest) = self.rest.split_at(length.unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        // PostgreSQL passes over a comma at the end; then two spellings of a message would have one proof.
        if !rest.is_empty() && self.rest.is_empty() {
            return Err(malformed("Attribute expected, but found the end of the message."));
        }
        Ok(value)
    }
}

/// 08P01, with what is wrong.
pub(super) fn malformed(detail: impl Into<String>) -> Error {
    violation("malformed SCRAM message").with_detail(detail)
}

/// 08P01.
pub(super) fn violation(message: &str) -> Error {
    Error::invalid(SqlState::PROTOCOL_VIOLATION, message)
}

/// RFC 5802's `printable`: what a nonce is made of.
pub(super) fn is_printable(nonce: &[u8]) -> bool {
    !nonce.is_empty() && nonce.iter().all(|&byte| byte.is_ascii_graphic() && byte != b',')
}

pub(super) fn decode<const N: usize>(base64: &[u8]) -> Option<[u8; N]> {
    BASE64_STANDARD.decode(base64).ok()?.try_into().ok()
}

fn shown(byte: Option<u8>) -> String {
    match byte {
        None => "the end of the message".to_owned(),
        Some(byte) if byte.is_ascii_graphic() => format!("\"{}\"", char::from(byte)),
        Some(byte) => format!("the byte 0x{byte:02x}"),
    }
}
