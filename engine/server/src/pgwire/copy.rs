//! COPY between the client and the server.
//!
//! **From the client.** CopyInResponse asks for the data; what comes goes to the session in pieces of about [`PIECE_BYTES`], so neither a long message
//! nor a long COPY takes memory, and a client that sends each row in a message of its own does not wake the loading thread for each. A load that fails, a cancel and a shutdown end it at once: the client is told, and what it
//! still sends is dropped.
//!
//! **To the client.** CopyOutResponse, then one CopyData message for each line or tuple, which is what drivers expect.

use std::pin::pin;

use ::pgwire::messages::PgWireBackendMessage as Message;
use ::pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use aion_base::{Error, SqlState};
use aion_db::{CopyDirection, CopyIn, Prepared};
use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, End, Failure, attended, shutting_down};
use super::error::clean;
use super::input::CopyIncoming;
use super::simple::Completion;
use crate::service::told_to_stop;

/// What the messages call the formats: text and CSV are 0.
fn format_code(is_binary: bool) -> i8 {
    is_binary.into()
}

/// Bytes of a client's data that go to the session at once.
const PIECE_BYTES: usize = 64 << 10;

/// How the client's data ended.
enum Ended {
    /// It is complete, or the load has stopped.
    Done,
    /// The client gives it up.
    Failed(String),
    /// The connection ends.
    End(End),
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Runs a COPY whose data is the client's.
    pub(super) async fn copy(&mut self, prepared: &Prepared, direction: CopyDirection) -> Result<Completion, Failure> {
        match direction {
            CopyDirection::In => self.copy_in(prepared).await,
            CopyDirection::Out => self.copy_out(prepared).await,
        }
    }

    async fn copy_in(&mut self, prepared: &Prepared) -> Result<Completion, Failure> {
        let mut copy = self.session.copy_in(prepared).await?;
        self.send_notices();
        let (columns, format) = (copy.column_count(), format_code(copy.is_binary()));
        self.output.send(&Message::CopyInResponse(CopyInResponse::new(
            format,
            columns as i16,
            vec![format.into(); columns],
        )));
        let ended = match self.output.flush().await {
            Ok(()) => self.receive(&mut copy).await,
            Err(error) => Ended::End(End::Broken(error)),
        };
        self.input.end_copy();
        match ended {
            Ended::Done => {
                let Self {
                    input,
                    canceller,
                    session,
                    ..
                } = self;
                let tag = attended(input, canceller, pin!(session.finish_copy_in(copy))).await?;
                Ok(Completion::Tag(tag))
            }
            Ended::Failed(why) => {
                self.session.abandon_copy_in(copy).await;
                let message = format!("COPY from stdin failed: {}", clean(&why));
                Err(Error::unavailable(SqlState::QUERY_CANCELED, message).into())
            }
            Ended::End(end) => {
                self.session.abandon_copy_in(copy).await;
                Err(end.into())
            }
        }
    }

    /// Passes on what the client sends until it has sent everything.
    async fn receive(&mut self, copy: &mut CopyIn) -> Ended {
        let mut piece = BytesMut::new();
        loop {
            match self.input.take_copy(&self.limits) {
                Ok(Some(CopyIncoming::Data(bytes))) => {
                    if piece.is_empty() {
                        piece.reserve(2 * PIECE_BYTES);
                    }
                    piece.extend_from_slice(&bytes);
                    if piece.len() >= PIECE_BYTES && !copy.write(piece.split().freeze()).await {
                        return Ended::Done;
                    }
                    continue;
                }
                Ok(Some(CopyIncoming::Done)) => {
                    if !piece.is_empty() {
                        // A load that has stopped says why where it is ended.
                        copy.write(piece.freeze()).await;
                    }
                    return Ended::Done;
                }
                Ok(Some(CopyIncoming::Fail(why))) => return Ended::Failed(why),
                Ok(Some(CopyIncoming::Leave)) => return Ended::End(End::Left),
                Ok(None) => {}
                Err(error) => return Ended::End(End::Fatal(error)),
            }
            tokio::select! {
                biased;
                () = told_to_stop(&mut self.shutdown) => return Ended::End(End::Fatal(shutting_down())),
                () = copy.stopped() => return Ended::Done,
                filled = self.input.fill() => match filled {
                    Ok(0) => return Ended::End(End::Left),
                    Ok(_) => {}
                    Err(error) => return Ended::End(End::Broken(error)),
                },
            }
        }
    }

    async fn copy_out(&mut self, prepared: &Prepared) -> Result<Completion, Failure> {
        let Self {
            input,
            canceller,
            session,
            output,
            limits,
            ..
        } = self;
        let mut copy = attended(input, canceller, pin!(session.copy_out(prepared))).await?;
        let (columns, format) = (copy.column_count(), format_code(copy.is_binary()));
        output.send(&Message::CopyOutResponse(CopyOutResponse::new(
            format,
            columns as i16,
            vec![format.into(); columns],
        )));
        while let Some(lines) = attended(input, canceller, pin!(copy.next())).await? {
            for line in lines.iter() {
                if line.len() > limits.row_bytes_max {
                    return Err(Error::exhausted(
                        SqlState::PROGRAM_LIMIT_EXCEEDED,
                        format!("a row of the result has more than {} bytes", limits.row_bytes_max),
                    )
                    .with_hint("Select fewer or shorter columns.")
                    .into());
                }
                let out = output.buffer();
                out.put_u8(b'd');
                out.put_i32(line.len() as i32 + 4);
                out.extend_from_slice(line);
                output.flush_if_full().await?;
            }
        }
        output.send(&Message::CopyDone(CopyDone::new()));
        Ok(Completion::Tag(copy.tag()))
    }
}
