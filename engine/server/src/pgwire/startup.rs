//! The first packets of a connection.
//!
//! They have no type: `length u32 BE, itself included | code u32 BE | body`.
//!
//! 1. SSLRequest is answered `S` where there is a certificate, and what follows is in TLS; else, as GSSENCRequest is always, `N`, each
//!    once: the client goes on in the clear, or leaves.
//! 2. CancelRequest is handed over and never answered.
//! 3. StartupMessage carries the protocol's version and parameters. A minor version or an option that we do not have
//!    is answered with NegotiateProtocolVersion.
//!
//! What is no such packet (TLS without asking, HTTP) ends the connection without an answer, as in PostgreSQL:
//! whoever sent it would not understand one.

use std::collections::BTreeMap;

use ::pgwire::messages::cancel::CancelRequest;
use ::pgwire::messages::response::{GssEncResponse, SslResponse};
use ::pgwire::messages::startup::{NegotiateProtocolVersion, Startup};
use ::pgwire::messages::{DecodeContext, Message, ProtocolVersion};
use aion_base::{Error, Result};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connection::End;
use super::input::violation;
use aion_db::binary::utf8;

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// Length and code.
const HEADER_BYTES: usize = 8;
/// PostgreSQL's MAX_STARTUP_PACKET_LENGTH.
const PACKET_BYTES_MAX: usize = 10_000;
/// Bytes asked of the socket at once.
const READ_BYTES: usize = 1024;
/// The prefix of protocol options, of which we have none.
const OPTION_PREFIX: &str = "_pq_.";

/// What a client wants.
#[derive(Debug)]
pub(crate) enum Greeting {
    /// A session.
    Session {
        /// The version that both sides speak from here on.
        version: ProtocolVersion,
        /// User, database, and settings.
        parameters: BTreeMap<String, String>,
    },
    /// The end of another connection's statement.
    Cancel(CancelRequest),
    /// TLS, which was promised: its handshake comes next, and then another greeting.
    Encrypt,
}

/// What a client that asks for TLS is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// No.
    Refuse,
    /// Yes.
    Accept,
    /// It is in TLS already: whoever asks again does not speak the protocol.
    Done,
}

/// A greeting, and what was read and not yet written with it.
#[derive(Debug)]
pub(crate) struct Opening {
    /// What the client wants.
    pub(crate) greeting: Greeting,
    /// Bytes that came after it.
    pub(crate) input: BytesMut,
    /// Bytes that have to be written before anything else.
    pub(crate) output: BytesMut,
}

/// Reads packets until it is clear what the client wants.
pub(crate) async fn receive<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, offer: Offer) -> Result<Opening, End> {
    let mut input = BytesMut::new();
    let (mut asked_ssl, mut asked_gss) = (offer == Offer::Done, false);
    loop {
        let (code, packet) = packet(stream, &mut input).await?;
        match code {
            SSL_REQUEST if !asked_ssl && offer == Offer::Accept => {
                // What somebody between us put behind the request would be taken for a part of the encrypted connection (CVE-2021-23214).
                if !input.is_empty() {
                    let error = violation("received unencrypted data after SSL request");
                    return Err(End::Fatal(error.with_detail(
                        "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
                    )));
                }
                stream.write_all(&[SslResponse::BYTE_ACCEPT]).await?;
                return Ok(Opening {
                    greeting: Greeting::Encrypt,
                    input,
                    output: BytesMut::new(),
                });
            }
            SSL_REQUEST if !asked_ssl => {
                asked_ssl = true;
                stream.write_all(&[SslResponse::BYTE_REFUSE]).await?;
            }
            GSSENC_REQUEST if !asked_gss => {
                asked_gss = true;
                stream.write_all(&[GssEncResponse::BYTE_REFUSE]).await?;
            }
            CANCEL_REQUEST => {
                let greeting = Greeting::Cancel(cancel(packet)?);
                return Ok(Opening {
                    greeting,
                    input,
                    output: BytesMut::new(),
                });
            }
            _ => {
                let mut output = BytesMut::new();
                let greeting = session(code, packet, &mut output).map_err(End::Fatal)?;
                return Ok(Opening {
                    greeting,
                    input,
                    output,
                });
            }
        }
    }
}

async fn packet<S: AsyncRead + Unpin>(stream: &mut S, input: &mut BytesMut) -> Result<(u32, BytesMut), End> {
    loop {
        if let Some([a, b, c, d, code @ ..]) = input.first_chunk::<HEADER_BYTES>() {
            let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
            if !(HEADER_BYTES..=PACKET_BYTES_MAX).contains(&length) {
                tracing::debug!(
                    length,
                    "the length of a first packet is impossible: this is another protocol"
                );
                return Err(End::Left);
            }
            if input.len() >= length {
                return Ok((u32::from_be_bytes(*code), input.split_to(length)));
            }
        }
        input.reserve(READ_BYTES);
        if stream.read_buf(input).await? == 0 {
            return Err(End::Left);
        }
    }
}

fn cancel(mut packet: BytesMut) -> Result<CancelRequest, End> {
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
    match CancelRequest::decode(&mut packet, &context) {
        Ok(Some(request)) => Ok(request),
        // Never answered, so that nobody learns from it.
        _ => Err(End::Left),
    }
}

fn session(code: u32, mut packet: BytesMut, output: &mut BytesMut) -> Result<Greeting> {
    let (major, minor) = (code >> 16, code & 0xffff);
    if major != 3 {
        return Err(Error::unsupported(format!(
            "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"
        )));
    }
    check(packet.get(HEADER_BYTES..).unwrap_or_default())?;
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
    let parameters = match Startup::decode(&mut packet, &context) {
        Ok(Some(startup)) => startup.parameters,
        _ => return Err(violation("invalid startup packet")),
    };
    let version = if minor >= 2 {
        ProtocolVersion::PROTOCOL3_2
    } else {
        ProtocolVersion::PROTOCOL3_0
    };
    let unknown: Vec<String> = parameters
        .keys()
        .filter(|name| name.starts_with(OPTION_PREFIX))
        .cloned()
        .collect();
    let exact = ProtocolVersion::from_version_number(3, u16::try_from(minor).unwrap_or(u16::MAX)).is_some();
    if !exact || !unknown.is_empty() {
        let negotiate = NegotiateProtocolVersion::new(version.into(), unknown);
        negotiate
            .encode(output)
            .map_err(|error| violation(format!("too many protocol options: {error}")))?;
    }
    Ok(Greeting::Session { version, parameters })
}

/// Pairs of strings, and an empty one at the very end: pgwire would take anything.
fn check(body: &[u8]) -> Result<()> {
    let layout = || violation("invalid startup packet layout: expected terminator as last byte");
    let body = match body {
        [0] => return Ok(()),
        [strings @ .., 0, 0] => strings,
        _ => return Err(layout()),
    };
    let mut count = 0;
    for string in body.split(|byte| *byte == 0) {
        utf8(string)?;
        // A value may be empty, a name ends the list.
        if string.is_empty() && count % 2 == 0 {
            return Err(layout());
        }
        count += 1;
    }
    // The last value's zero byte was cut off with the end; where that value is empty, so was its string.
    if count % 2 == 0 { Ok(()) } else { Err(layout()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(code: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + HEADER_BYTES).expect("short");
        [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
    }

    fn version(major: u32, minor: u32) -> u32 {
        major << 16 | minor
    }

    /// What the server makes of `bytes`, and what it answers.
    async fn greet(bytes: &[u8]) -> (Result<Greeting, End>, Vec<u8>) {
        greet_with(Offer::Refuse, bytes).await
    }

    async fn greet_with(offer: Offer, bytes: &[u8]) -> (Result<Greeting, End>, Vec<u8>) {
        let (mut client, mut server) = tokio::io::duplex(64 * 1024);
        client.write_all(bytes).await.expect("room for all");
        client.shutdown().await.expect("a pipe does not fail");
        let opening = receive(&mut server, offer).await;
        let greeting = match opening {
            Ok(opening) => {
                server.write_all(&opening.output).await.expect("room for all");
                Ok(opening.greeting)
            }
            Err(end) => Err(end),
        };
        drop(server);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("a pipe does not fail");
        (greeting, answer)
    }

    #[tokio::test]
    async fn encryption_is_refused_and_the_client_goes_on() {
        let body = b"user\0aion\0application_name\0\0\0";
        let bytes = [
            packet(SSL_REQUEST, b""),
            packet(GSSENC_REQUEST, b""),
            packet(version(3, 0), body),
        ]
        .concat();
        let (greeting, answer) = greet(&bytes).await;
        let Ok(Greeting::Session {
            version: ProtocolVersion::PROTOCOL3_0,
            parameters,
        }) = greeting
        else {
            unreachable!("{greeting:?}");
        };
        assert_eq!(answer, b"NN");
        assert_eq!(parameters["user"], "aion");
        assert_eq!(parameters["application_name"], "");
    }

    #[tokio::test]
    async fn encryption_is_promised_once_and_nothing_may_come_before_it() {
        let (greeting, answer) = greet_with(Offer::Accept, &packet(SSL_REQUEST, b"")).await;
        assert!(
            matches!(greeting, Ok(Greeting::Encrypt)) && answer == b"S",
            "{greeting:?}"
        );
        let early = [packet(SSL_REQUEST, b""), packet(version(3, 0), b"user\0aion\0\0")].concat();
        let again = packet(SSL_REQUEST, b"");
        for (offer, bytes, state) in [(Offer::Accept, early, "08P01"), (Offer::Done, again, "0A000")] {
            let (greeting, answer) = greet_with(offer, &bytes).await;
            assert!(
                matches!(&greeting, Err(End::Fatal(error)) if error.state().as_str() == state),
                "{greeting:?}"
            );
            assert!(answer.is_empty(), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn newer_versions_and_options_are_negotiated() {
        let (greeting, answer) = greet(&packet(version(3, 2), b"user\0aion\0\0")).await;
        assert!(
            matches!(
                greeting,
                Ok(Greeting::Session {
                    version: ProtocolVersion::PROTOCOL3_2,
                    ..
                })
            ),
            "{greeting:?}"
        );
        assert_eq!(answer, b"");
        let (_, answer) = greet(&packet(version(3, 9999), b"user\0aion\0_pq_.x\0y\0\0")).await;
        assert_eq!(answer, b"v\0\0\0\x13\0\x03\0\x02\0\0\0\x01_pq_.x\0");
        let (_, answer) = greet(&packet(version(3, 1), b"user\0aion\0\0")).await;
        assert_eq!(answer, b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0");
    }

    #[tokio::test]
    async fn a_cancel_request_is_read() {
        let (greeting, answer) = greet(&packet(CANCEL_REQUEST, b"\0\0\0\x07\x01\x02\x03\x04")).await;
        let Ok(Greeting::Cancel(request)) = greeting else {
            unreachable!("{greeting:?}")
        };
        assert_eq!(
            (request.pid, &request.secret_key.to_bytes()[..]),
            (7, &[1, 2, 3, 4][..])
        );
        assert!(answer.is_empty());
    }

    #[tokio::test]
    async fn what_is_no_startup_packet_is_refused() {
        for (bytes, state) in [
            (packet(version(2, 0), b"user\0\0"), "0A000"),
            (packet(version(3, 0), b"user\0aion\0"), "08P01"),
            (packet(version(3, 0), b"user\0\0"), "08P01"),
            (packet(version(3, 0), b"user\0\0\0\0"), "08P01"),
            (packet(version(3, 0), b""), "08P01"),
            (packet(version(3, 0), b"user\0\xff\0\0"), "22021"),
        ] {
            let (greeting, _) = greet(&bytes).await;
            assert!(
                matches!(&greeting, Err(End::Fatal(error)) if error.state().as_str() == state),
                "{:?}: {greeting:?}",
                bytes.escape_ascii().to_string()
            );
        }
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01",
            b"\0\0\0\x04\0\0\0\0",
            b"\0\0",
        ] {
            assert!(matches!(greet(bytes).await, (Err(End::Left), answer) if answer.is_empty()));
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(
            minor in 0u32..4,
            body in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let _ = greet(&packet(version(3, minor), &body)).await;
                let _ = greet(&packet(CANCEL_REQUEST, &body)).await;
            });
        }
    }
}
