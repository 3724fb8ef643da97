//! COPY from and to the client, whatever protocol it speaks.
//!
//! **In.** The edge passes on the bytes as they come ([`CopyIn::write`]); a thread reads them, as it would read a file. Between the
//! two lies a queue of [`PIECES_MAX`] pieces: an edge that is faster than the load waits. The data takes effect when the edge
//! says that it is complete, and not before.
//!
//! **Out.** The edge asks for lines, or tuples ([`CopyOut::next`]), and gets some thousand bytes at a time; a client that reads slowly makes
//! the query wait.

use std::io::{self, Read};

use aion_base::{Error, Result};
use bytes::{Buf, Bytes};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::options::{CopyOptions, Format};
use super::write::{LineBatch, Writer};
use crate::cancel::Cancellation;
use crate::response::Rows;

/// Pieces of data that may wait for the load.
pub const PIECES_MAX: usize = 16;

/// Bytes of lines that are made at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Which way the data of a COPY goes between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// COPY FROM STDIN: see `Session::copy_in`.
    In,
    /// COPY TO STDOUT: see `Session::copy_out`.
    Out,
}

/// A part of what the client sends.
#[derive(Debug)]
pub enum Piece {
    /// Bytes, cut anywhere.
    Data(Bytes),
    /// The client has sent everything.
    End,
}

/// A COPY FROM STDIN that is under way.
#[derive(Debug)]
pub struct CopyIn {
    pub(crate) pieces: mpsc::Sender<Piece>,
    pub(crate) loading: JoinHandle<Result<u64>>,
    pub(crate) cancellation: Cancellation,
    pub(crate) transaction: std::sync::Arc<crate::transaction::Transaction>,
    pub(crate) outgrown: Option<crate::dml::Outgrown>,
    pub(crate) column_count: usize,
    pub(crate) is_binary: bool,
    /// The statement's time; it ends with this.
    pub(crate) _limit: Option<crate::session::TimeLimit>,
    /// Where slow statements are logged.
    pub(crate) timed: Option<Box<crate::session::Timed>>,
}

impl CopyIn {
    /// The number of columns of the data.
    pub fn column_count(&self) -> usize {
        self.column_count
    }

    /// Whether the data is PostgreSQL's binary format, and no text.
    pub fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// Passes bytes on, cut anywhere; waits while too many are on their way. False when the load has stopped:
    /// `Session::finish_copy_in` then tells why.
    pub async fn write(&mut self, bytes: Bytes) -> bool {
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => false,
            sent = self.pieces.send(Piece::Data(bytes)) => sent.is_ok(),
        }
    }

    /// Returns when the load has stopped before it was given its end: it failed, or was cancelled.
    pub async fn stopped(&self) {
        tokio::select! {
            () = self.cancellation.cancelled() => {}
            () = self.pieces.closed() => {}
        }
    }
}

/// The client's data as a file.
#[derive(Debug)]
pub struct PieceReader {
    pieces: mpsc::Receiver<Piece>,
    rest: Bytes,
    is_ended: bool,
    cancellation: Cancellation,
}

impl PieceReader {
    /// Reads what comes through `pieces`.
    pub fn new(pieces: mpsc::Receiver<Piece>, cancellation: Cancellation) -> Self {
        Self {
            pieces,
            rest: Bytes::new(),
            is_ended: false,
            cancellation,
        }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.is_ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(bytes)) => self.rest = bytes,
                Some(Piece::End) => self.is_ended = true,
                // Nobody will say that it is complete: it is given up.
                None if self.cancellation.is_cancelled() => return Err(io::Error::other(self.cancellation.error())),
                None => return Err(io::Error::other(given_up())),
            }
        }
        let count = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

fn given_up() -> Error {
    Error::unavailable(
        aion_base::SqlState::QUERY_CANCELED,
        "COPY from stdin failed: it was given up",
    )
}

/// A COPY TO STDOUT that is under way.
#[derive(Debug)]
pub struct CopyOut {
    rows: Rows,
    writer: Writer,
    is_binary: bool,
    is_begun: bool,
    is_ended: bool,
    batch: Option<LineBatch>,
    next_row: usize,
    count: u64,
    lines: CopyLines,
}

/// Some lines of a COPY TO STDOUT.
#[derive(Debug, Default)]
pub struct CopyLines {
    bytes: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl CopyLines {
    /// The lines, each with its end.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

impl CopyOut {
    pub(crate) fn new(rows: Rows, options: CopyOptions) -> Self {
        Self {
            rows,
            is_binary: options.format == Format::Binary,
            is_begun: false,
            is_ended: false,
            writer: Writer::new(options),
            batch: None,
            next_row: 0,
            count: 0,
            lines: CopyLines::default(),
        }
    }

    /// The number of columns of the data.
    pub fn column_count(&self) -> usize {
        self.rows.columns().len()
    }

    /// Whether the data is PostgreSQL's binary format, and no text.
    pub fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// The next lines; None at the end.
    ///
    /// # Errors
    /// What the statement failed with; nothing follows.
    pub async fn next(&mut self) -> Result<Option<&CopyLines>> {
        self.lines.bytes.clear();
        self.lines.ends.clear();
        let CopyLines { bytes, ends } = &mut self.lines;
        if !std::mem::replace(&mut self.is_begun, true) {
            self.writer.begin(self.rows.columns(), bytes);
            if !bytes.is_empty() {
                ends.push(bytes.len());
                return Ok(Some(&self.lines));
            }
        }
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.next_row < batch.rows()) {
                let ended = |end| ends.push(end);
                let next = self.writer.rows(batch, self.next_row, CHUNK_BYTES, bytes, ended)?;
                self.count += (next - self.next_row) as u64;
                self.next_row = next;
                return Ok(Some(&self.lines));
            }
            // A stream of rows is not asked again once it has ended.
            if self.is_ended {
                return Ok(None);
            }
            let Some(batch) = self.rows.next().await? else {
                self.is_ended = true;
                self.writer.end(bytes);
                if bytes.is_empty() {
                    return Ok(None);
                }
                ends.push(bytes.len());
                return Ok(Some(&self.lines));
            };
            self.batch = Some(LineBatch::new(&batch, self.rows.columns())?);
            self.next_row = 0;
        }
    }

    /// The command tag, once all lines were given.
    pub fn tag(&self) -> String {
        format!("COPY {}", self.count)
    }
}
