//! Messages out of a stream of bytes, within limits.
//!
//! A message is `type u8 | length u32 BE, itself included | body`. [`Input`] reads bytes and cuts them into messages:
//!
//! 1. The length is judged as soon as it is there, before any of the body is kept.
//! 2. A message beyond its limit is dropped as it arrives and reported once it is gone, so that the session can go
//!    on; its type tells the connection how to answer.
//! 3. Memory grows with the bytes that arrived, never with a length that was claimed.
//!
//! A wrong type or an impossible length means that the two sides no longer agree where messages begin: that ends the
//! connection. What the body holds is checked in `check`.

use std::io;

use aion_base::{Error, Result, SqlState};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::connection::End;
use crate::limits::ServerLimits;

/// Type and length.
const HEADER_BYTES: usize = 5;
/// Bytes asked of the socket at once; the buffer doubles from here while a message is longer.
const READ_BYTES: usize = 16 * 1024;
/// Bytes read ahead while a statement runs, to notice that the client left.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// Bytes of a message that carries a name at most, as in PostgreSQL.
const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;
/// PostgreSQL's own limit: a longer one is no message but noise.
const CLAIMED_BYTES_MAX: usize = 0x3fff_ffff;

/// What came in.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A whole message: its type, and its bytes with the header.
    Message(u8, BytesMut),
    /// A message beyond its limit, which was read and dropped.
    Dropped {
        /// Its type.
        kind: u8,
        /// Its length as claimed.
        length: usize,
        /// The limit that applied.
        limit: usize,
    },
}

/// What comes in while the client sends the data of a COPY.
#[derive(Debug)]
pub(crate) enum CopyIncoming {
    /// Some bytes of the data: messages are passed on as they arrive, whatever their length.
    Data(BytesMut),
    /// The client has sent everything.
    Done,
    /// The client gives up, and says why.
    Fail(String),
    /// The client leaves.
    Leave,
}

/// The receiving half of a connection.
pub(crate) struct Input<R> {
    reader: R,
    buffer: BytesMut,
    dropping: Option<Dropping>,
    /// Bytes of a CopyData message that have not come yet.
    copying: usize,
    ended: bool,
}

struct Dropping {
    kind: u8,
    length: usize,
    limit: usize,
    remaining: usize,
}

/// How much of a message is kept.
enum Keep {
    /// Up to so many bytes, else it is dropped.
    UpTo(usize),
    /// Up to so many bytes, else the connection ends.
    Only(usize),
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// Reads from `reader`, after the bytes that were read of it already.
    pub(crate) fn new(reader: R, buffer: BytesMut) -> Self {
        Self {
            reader,
            buffer,
            dropping: None,
            copying: 0,
            ended: false,
        }
    }

    /// The next message if it is here already.
    ///
    /// # Errors
    /// 08P01: what follows cannot be understood; the connection has to end.
    pub(crate) fn take(&mut self, limits: &ServerLimits) -> Result<Option<Incoming>> {
        if let Some(dropping) = &mut self.dropping {
            let here = dropping.remaining.min(self.buffer.len());
            self.buffer.advance(here);
            dropping.remaining -= here;
            if dropping.remaining > 0 {
                return Ok(None);
            }
            let Dropping {
                kind, length, limit, ..
            } = *dropping;
            self.dropping = None;
            return Ok(Some(Incoming::Dropped { kind, length, limit }));
        }
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let kind = header[0];
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(4..=CLAIMED_BYTES_MAX).contains(&length) {
            return Err(violation(format!("invalid message length {length}")));
        }
        match keep(kind, limits)? {
            Keep::Only(limit) if length > limit => Err(violation(format!(
                "invalid message length {length} of message type \"{}\"",
                char::from(kind)
            ))),
            Keep::UpTo(limit) if length > limit => {
                self.dropping = Some(Dropping {
                    kind,
                    length,
                    limit,
                    remaining: length + 1,
                });
                self.take(limits)
            }
            _ if self.buffer.len() <= length => Ok(None),
            _ => Ok(Some(Incoming::Message(kind, self.cut(length + 1)))),
        }
    }

    /// The body of the next message if it is here already, of a client that logs in: it must be of the type that passwords have, and
    /// short.
    ///
    /// # Errors
    /// 08P01 for any other; that the client leaves.
    pub(crate) fn take_response(&mut self, bytes_max: usize) -> Result<Option<BytesMut>, End> {
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match header[0] {
            b'p' if (4..=4 + bytes_max).contains(&length) => {}
            b'p' => return Err(End::Fatal(violation(format!("invalid message length {length}")))),
            b'X' => return Err(End::Left),
            kind => {
                let message = format!("expected SASL response, got message type {kind}");
                return Err(End::Fatal(violation(message)));
            }
        }
        if self.buffer.len() <= length {
            return Ok(None);
        }
        let mut message = self.cut(length + 1);
        message.advance(HEADER_BYTES);
        Ok(Some(message))
    }

    /// As [`Input::take`], while the client sends the data of a COPY. Flush and Sync mean nothing there.
    ///
    /// # Errors
    /// 08P01: what follows cannot be understood, or is no part of a COPY; the connection has to end.
    pub(crate) fn take_copy(&mut self, limits: &ServerLimits) -> Result<Option<CopyIncoming>> {
        loop {
            if self.copying > 0 {
                let here = self.copying.min(self.buffer.len());
                if here == 0 {
                    return Ok(None);
                }
                self.copying -= here;
                return Ok(Some(CopyIncoming::Data(self.buffer.split_to(here))));
            }
            if self.next_is(b'd') {
                let length = self.buffer.get(1..HEADER_BYTES).and_then(|bytes| bytes.try_into().ok());
                let length = usize::try_from(length.map_or(0, u32::from_be_bytes)).unwrap_or(usize::MAX);
                if !(4..=CLAIMED_BYTES_MAX).contains(&length) {
                    return Err(violation(format!("invalid message length {length}")));
                }
                self.buffer.advance(HEADER_BYTES);
                self.copying = length - 4;
                continue;
            }
            let message = match self.take(limits)? {
                None => return Ok(None),
                Some(Incoming::Message(kind, message)) => (kind, message),
                Some(Incoming::Dropped { kind, .. }) => (kind, BytesMut::new()),
            };
            match message {
                (b'c', _) => return Ok(Some(CopyIncoming::Done)),
                (b'f', message) => {
                    let text = message.get(HEADER_BYTES..).unwrap_or_default();
                    let text = String::from_utf8_lossy(text.strip_suffix(b"\0").unwrap_or(text));
                    return Ok(Some(CopyIncoming::Fail(text.into_owned())));
                }
                (b'X', _) => return Ok(Some(CopyIncoming::Leave)),
                (b'H' | b'S', _) => {}
                (kind, _) => {
                    return Err(violation(format!(
                        "unexpected message type \"{}\" during COPY from stdin",
                        char::from(kind)
                    )));
                }
            }
        }
    }

    /// The COPY is over; what is still to come of its data is dropped.
    pub(crate) fn end_copy(&mut self) {
        let remaining = std::mem::take(&mut self.copying);
        if remaining > 0 {
            self.dropping = Some(Dropping {
                kind: b'd',
                length: remaining,
                limit: 0,
                remaining,
            });
        }
    }

    /// Waits for more bytes: how many came, 0 if the client is gone. Nothing is lost if the future is dropped.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_BYTES);
        let count = self.reader.read_buf(&mut self.buffer).await?;
        self.ended |= count == 0;
        Ok(count)
    }

    /// Reads ahead until the client leaves. Never returns while it stays.
    pub(crate) async fn gone(&mut self) {
        while !self.ended && self.buffer.len() < READ_AHEAD_BYTES {
            match self.fill().await {
                Ok(_) => {}
                Err(_) => self.ended = true,
            }
        }
        if !self.ended {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the header of the next message is here and of this type.
    pub(crate) fn next_is(&self, kind: u8) -> bool {
        self.dropping.is_none() && self.buffer.first() == Some(&kind) && self.buffer.len() >= HEADER_BYTES
    }

    fn cut(&mut self, count: usize) -> BytesMut {
        let taken = self.buffer.split_to(count);
        if taken.len() > READ_BYTES {
            // The rest shares the large allocation: let go of it.
            self.buffer = BytesMut::from(self.buffer.as_ref());
        }
        taken
    }
}

fn keep(kind: u8, limits: &ServerLimits) -> Result<Keep> {
    Ok(match kind {
        b'Q' | b'P' => Keep::UpTo(limits.statement_bytes_max),
        b'B' => Keep::UpTo(limits.message_bytes_max),
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' => Keep::Only(SMALL_MESSAGE_BYTES_MAX),
        // Why a COPY is given up.
        b'f' => Keep::UpTo(SMALL_MESSAGE_BYTES_MAX),
        // COPY data outside of a COPY, and function calls: not wanted, whatever they hold.
        b'd' | b'c' | b'F' => Keep::UpTo(0),
        _ => return Err(violation(format!("invalid frontend message type {kind}"))),
    })
}

/// An error of a client that does not speak the protocol.
pub(crate) fn violation(message: impl Into<String>) -> Error {
    Error::invalid(SqlState::PROTOCOL_VIOLATION, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn limits() -> ServerLimits {
        ServerLimits {
            message_bytes_max: 4_000,
            statement_bytes_max: 1_000,
            ..ServerLimits::default()
        }
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("a short body");
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    /// All that `bytes` hold, read in pieces of `piece` bytes.
    async fn read_all(bytes: &[u8], piece: usize) -> Result<Vec<Incoming>> {
        let (mut client, server) = tokio::io::duplex(piece.max(1));
        let bytes = bytes.to_vec();
        let writing = tokio::spawn(async move {
            let _ = client.write_all(&bytes).await;
        });
        let mut input = Input::new(server, BytesMut::new());
        let mut seen = Vec::new();
        let ended = loop {
            match input.take(&limits()) {
                Ok(Some(incoming)) => seen.push(incoming),
                Ok(None) => {
                    if input.fill().await.expect("a pipe does not fail") == 0 {
                        break Ok(seen);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        drop(input);
        writing.await.expect("writing does not panic");
        ended
    }

    #[tokio::test]
    async fn cuts_messages_whatever_the_pieces() {
        let bytes = [
            message(b'Q', b"select 1\0"),
            message(b'S', b""),
            message(b'B', &[0; 3_900]),
        ]
        .concat();
        for piece in [1, 2, 5, 7, 64, 100_000] {
            let seen = read_all(&bytes, piece).await.expect("well-formed");
            let kinds = seen.iter().map(|incoming| match incoming {
                Incoming::Message(kind, bytes) => (*kind, bytes.len()),
                Incoming::Dropped { .. } => (0, 0),
            });
            assert_eq!(kinds.collect::<Vec<_>>(), [(b'Q', 14), (b'S', 5), (b'B', 3_905)]);
        }
    }

    #[tokio::test]
    async fn drops_what_is_too_long_and_goes_on() {
        let long = message(b'Q', &vec![b'x'; 300_000]);
        let bytes = [long, message(b'S', b"")].concat();
        for piece in [1_000, 1_000_000] {
            let seen = read_all(&bytes, piece).await.expect("within the protocol");
            assert!(
                matches!(
                    seen[..],
                    [
                        Incoming::Dropped {
                            kind: b'Q',
                            length: 300_004,
                            limit: 1_000
                        },
                        Incoming::Message(b'S', _)
                    ]
                ),
                "{seen:?}"
            );
        }
    }

    /// A statement of 96 MiB must not be held while it is dropped.
    #[tokio::test]
    async fn dropping_holds_no_memory() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let writing = tokio::spawn(async move {
            client
                .write_all(&[b'Q', 0x06, 0, 0, 4])
                .await
                .expect("the server reads");
            let piece = vec![b'x'; 1024 * 1024];
            for _ in 0..96 {
                client.write_all(&piece).await.expect("the server reads");
            }
        });
        let mut input = Input::new(server, BytesMut::new());
        let mut most = 0;
        let incoming = loop {
            if let Some(incoming) = input.take(&limits()).expect("within the protocol") {
                break incoming;
            }
            assert!(
                input.fill().await.expect("a pipe does not fail") > 0,
                "the message was whole"
            );
            most = most.max(input.buffer.capacity());
        };
        writing.await.expect("writing does not panic");
        assert!(
            matches!(
                incoming,
                Incoming::Dropped {
                    kind: b'Q',
                    length: 0x0600_0004,
                    ..
                }
            ),
            "{incoming:?}"
        );
        assert!(most <= 8 * READ_BYTES, "{most} bytes were held");
    }

    #[tokio::test]
    async fn noise_ends_the_connection() {
        for (bytes, words) in [
            (&b"G\0\0\0\x04"[..], "invalid frontend message type 71"),
            (&b"Q\0\0\0\x03"[..], "invalid message length 3"),
            (&b"Q\xff\xff\xff\xff"[..], "invalid message length 4294967295"),
            (
                &b"S\0\0\xff\xff"[..],
                "invalid message length 65535 of message type \"S\"",
            ),
        ] {
            let error = read_all(bytes, 100).await.expect_err(words);
            assert_eq!((error.state(), error.message()), (SqlState::PROTOCOL_VIOLATION, words));
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let _ = runtime.block_on(read_all(&bytes, piece));
        }
    }
}
