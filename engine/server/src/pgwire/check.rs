//! Looks a message over before pgwire decodes it.
//!
//! pgwire's decoder trusts the body: it panics when a count or a length points beyond the end, reads on into the
//! next message, and replaces bytes that are no UTF-8. Here the body is walked once, in the format of its type,
//! without copying: every count and length must fit, every string must end in a zero byte and be UTF-8, and nothing
//! may be left over. A body that passes decodes without loss.
//!
//! Errors concern the one message; the boundaries between messages are intact, so the session goes on.

use ::pgwire::messages::{DecodeContext, PgWireFrontendMessage, ProtocolVersion};
use aion_base::{Error, Result};
use aion_db::binary::utf8;
use bytes::BytesMut;

use super::input::violation;

const HEADER_BYTES: usize = 5;

/// Decodes one whole message of type `kind`, header included.
///
/// # Errors
/// 08P01 for a body that is not of its type's format, 22021 for a string that is not UTF-8.
pub(crate) fn decode(kind: u8, mut message: BytesMut) -> Result<PgWireFrontendMessage> {
    check(kind, message.get(HEADER_BYTES..).unwrap_or_default())?;
    let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
    context.awaiting_frontend_ssl = false;
    context.awaiting_frontend_startup = false;
    match PgWireFrontendMessage::decode(&mut message, &context) {
        Ok(Some(decoded)) if message.is_empty() => Ok(decoded),
        Ok(_) => Err(violation("invalid message format")),
        Err(error) => Err(violation(format!("invalid message format: {error}"))),
    }
}

fn check(kind: u8, body: &[u8]) -> Result<()> {
    let mut body = Body { rest: body };
    match kind {
        b'Q' => body.string()?,
        b'P' => {
            body.string()?;
            body.string()?;
            let types = body.count()?;
            body.skip(types * 4)?;
        }
        b'B' => {
            body.string()?;
            body.string()?;
            let formats = body.count()?;
            body.skip(formats * 2)?;
            for _ in 0..body.count()? {
                body.value()?;
            }
            let formats = body.count()?;
            body.skip(formats * 2)?;
        }
        b'D' | b'C' => {
            match body.byte()? {
                b'S' | b'P' => {}
                other => return Err(violation(format!("invalid message subtype {other}"))),
            }
            body.string()?;
        }
        b'E' => {
            body.string()?;
            body.skip(4)?;
        }
        _ => {}
    }
    if body.rest.is_empty() {
        Ok(())
    } else {
        Err(violation("invalid message format: bytes are left over"))
    }
}

/// What is left of a body.
struct Body<'a> {
    rest: &'a [u8],
}

impl Body<'_> {
    fn skip(&mut self, count: usize) -> Result<()> {
        self.rest = self.rest.get(count..).ok_or_else(short)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.rest.split_first().ok_or_else(short)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn count(&mut self) -> Result<usize> {
        let (bytes, rest) = self.rest.split_first_chunk::<2>().ok_or_else(short)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes).into())
    }

    /// A parameter: its length, -1 for NULL, and its bytes.
    fn value(&mut self) -> Result<()> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or_else(short)?;
        self.rest = rest;
        match i32::from_be_bytes(*bytes) {
            -1 => Ok(()),
            length => self.skip(usize::try_from(length).map_err(|_| violation("invalid message format"))?),
        }
    }

    fn string(&mut self) -> Result<()> {
        let end = self.rest.iter().position(|&byte| byte == 0);
        let end = end.ok_or_else(|| violation("invalid string in message"))?;
        utf8(&self.rest[..end])?;
        self.rest = &self.rest[end + 1..];
        Ok(())
    }
}

fn short() -> Error {
    violation("insufficient data left in message")
}

#[cfg(test)]
mod tests {
    use ::pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Flush, Parse, Sync};
    use ::pgwire::messages::simplequery::Query;
    use aion_base::SqlState;
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn decode_body(kind: u8, body: &[u8]) -> Result<PgWireFrontendMessage> {
        let length = u32::try_from(body.len() + 4).expect("a short body");
        let mut message = BytesMut::from(&[kind][..]);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        decode(kind, message)
    }

    fn samples() -> Vec<PgWireFrontendMessage> {
        let parameters = vec![Some(Bytes::from_static(b"7")), None, Some(Bytes::new())];
        vec![
            PgWireFrontendMessage::Query(Query::new("select 'ä'".into())),
            PgWireFrontendMessage::Parse(Parse::new(Some("s".into()), "select $1".into(), vec![23, 0])),
            PgWireFrontendMessage::Parse(Parse::new(None, String::new(), vec![])),
            PgWireFrontendMessage::Bind(Bind::new(None, Some("s".into()), vec![0, 1, 0], parameters, vec![1])),
            PgWireFrontendMessage::Describe(Describe::new(b'S', Some("s".into()))),
            PgWireFrontendMessage::Close(Close::new(b'P', None)),
            PgWireFrontendMessage::Execute(Execute::new(None, 10)),
            PgWireFrontendMessage::Flush(Flush::new()),
            PgWireFrontendMessage::Sync(Sync::new()),
        ]
    }

    fn encoded(message: &PgWireFrontendMessage) -> BytesMut {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes).expect("a sample");
        bytes
    }

    #[test]
    fn well_formed_messages_decode_unchanged() {
        for message in samples() {
            let bytes = encoded(&message);
            let decoded = decode(bytes[0], bytes.clone()).expect("well-formed");
            assert_eq!(format!("{decoded:?}"), format!("{message:?}"));
        }
    }

    /// pgwire panics on these, or takes bytes of the next message.
    #[test]
    fn every_truncation_is_an_error() {
        for message in samples() {
            let bytes = encoded(&message);
            for end in HEADER_BYTES..bytes.len() {
                let error = decode_body(bytes[0], &bytes[HEADER_BYTES..end]).expect_err("too short");
                assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION, "{message:?} cut at {end}");
            }
            let longer = [&bytes[HEADER_BYTES..], b"\0"].concat();
            decode_body(bytes[0], &longer).expect_err("too long");
        }
    }

    #[test]
    fn counts_and_lengths_must_fit() {
        for (kind, body) in [
            (b'P', &b"\0\0\xff\xff"[..]),
            (b'B', b"\0\0\xff\xff"),
            (b'B', b"\0\0\0\0\xff\xff"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
            (b'D', b"x\0"),
        ] {
            let error = decode_body(kind, body).expect_err("does not fit");
            assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION, "{error}");
        }
    }

    /// PostgreSQL 15's words.
    #[test]
    fn text_must_be_utf8() {
        for (text, words) in [
            (&b"select '\xff'"[..], "0xff"),
            (b"select '\xe9 b'", "0xe9 0x20 0x62"),
            (b"select '\xc3", "0xc3"),
            (b"\xed\xa0\x80", "0xed 0xa0 0x80"),
        ] {
            let error = decode_body(b'Q', &[text, b"\0"].concat()).expect_err("not UTF-8");
            let expected = format!("invalid byte sequence for encoding \"UTF8\": {words}");
            assert_eq!((error.state().as_str(), error.message()), ("22021", expected.as_str()));
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(
            kind in prop::sample::select(b"QPBDCEHSX".to_vec()),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = decode_body(kind, &body);
        }

        #[test]
        fn damaged_messages_never_panic(which in 0usize..9, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = encoded(&samples()[which]);
            if bytes.len() > HEADER_BYTES {
                let at = HEADER_BYTES + at.index(bytes.len() - HEADER_BYTES);
                bytes[at] = byte;
            }
            let _ = decode(bytes[0], bytes);
        }
    }
}
