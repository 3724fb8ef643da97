//! Messages into a stream of bytes, gathered.
//!
//! Answers gather in one buffer, which is written at [`Output::flush`]: one write for all that answers a Sync, a
//! Flush or a simple query. While rows stream, [`Output::flush_if_full`] writes whenever 64 KiB have gathered, so a
//! large result needs little memory and goes no faster than the client reads it.

use std::io;
use std::time::Duration;

use ::pgwire::messages::PgWireBackendMessage;
use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Bytes gathered before they are written while rows stream.
pub(crate) const FULL_BYTES: usize = 64 * 1024;
/// A buffer that grew beyond this, for one long row, is not kept.
const KEPT_BYTES_MAX: usize = 4 * FULL_BYTES;

/// The sending half of a connection.
pub(crate) struct Output<W> {
    writer: W,
    buffer: BytesMut,
    send_timeout: Duration,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    /// Writes to `writer`, beginning with the bytes in `buffer`.
    pub(crate) fn new(writer: W, buffer: BytesMut, send_timeout: Duration) -> Self {
        Self {
            writer,
            buffer,
            send_timeout,
        }
    }

    /// Adds a message.
    pub(crate) fn send(&mut self, message: &PgWireBackendMessage) {
        let start = self.buffer.len();
        if let Err(error) = message.encode(&mut self.buffer) {
            // Only an over-long tag or parameter could do this, and both are cut before.
            self.buffer.truncate(start);
            tracing::error!(%error, "a message to the client could not be encoded and was left out");
        }
    }

    /// Where rows are written.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// The client is gone, or has not read for the send timeout.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut written = 0;
        while written < self.buffer.len() {
            let writing = self.writer.write(&self.buffer[written..]);
            match tokio::time::timeout(self.send_timeout, writing).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(Ok(count)) => written += count,
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        self.buffer.clear();
        if self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = BytesMut::new();
        }
        self.writer.flush().await
    }

    /// Writes if much has gathered.
    ///
    /// # Errors
    /// As [`Output::flush`].
    pub(crate) async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() < FULL_BYTES {
            Ok(())
        } else {
            self.flush().await
        }
    }

    /// Ends the sending half.
    pub(crate) async fn close(&mut self) {
        let _ = tokio::time::timeout(self.send_timeout, self.writer.shutdown()).await;
    }
}

#[cfg(test)]
mod tests {
    use ::pgwire::messages::response::{CommandComplete, EmptyQueryResponse};
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn messages_gather_until_they_are_flushed() {
        let (mut client, server) = tokio::io::duplex(1_000);
        let mut output = Output::new(server, BytesMut::new(), Duration::from_secs(10));
        output.send(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
        output.send(&PgWireBackendMessage::CommandComplete(CommandComplete::new(
            "SELECT 1".into(),
        )));
        output.flush_if_full().await.expect("nothing to do");
        output.send(&PgWireBackendMessage::CommandComplete(CommandComplete::new(
            "x".repeat(40_000),
        )));
        output.flush().await.expect("the client is there");
        output.close().await;
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).await.expect("a pipe does not fail");
        assert_eq!(
            bytes, b"I\0\0\0\x04C\0\0\0\x0dSELECT 1\0",
            "the over-long one is left out whole"
        );
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        let (_client, server) = tokio::io::duplex(10);
        let mut output = Output::new(server, BytesMut::new(), Duration::from_millis(1));
        output.send(&PgWireBackendMessage::CommandComplete(CommandComplete::new(
            "x".repeat(100),
        )));
        let error = output.flush().await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
