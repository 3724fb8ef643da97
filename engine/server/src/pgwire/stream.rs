//! Rows on their way to the client.

use std::pin::pin;
use std::sync::Arc;

use aion_base::{Error, Result};
use aion_db::Rows;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Failure, attended};
use super::output::FULL_BYTES;
use super::rows::{Batch, Bounds, Format};
use crate::metrics::Timed;

/// A result that is being sent: the rows to come, and the batch that was begun.
pub(super) struct Open {
    rows: Rows,
    formats: Arc<[Format]>,
    batch: Option<Batch>,
    ended: bool,
    /// Rows that were sent since it was last asked for some.
    sent: u64,
    /// Until it is known how the statement ended.
    timed: Option<Timed>,
}

impl Open {
    /// A result to send in these forms; none given: all text.
    pub(super) fn new(mut rows: Rows, formats: Arc<[Format]>, timed: Timed) -> Self {
        rows.show_in_zone();
        Self {
            rows,
            formats,
            batch: None,
            ended: false,
            sent: 0,
            timed: Some(timed),
        }
    }

    /// The command tag, once all rows were sent: as in PostgreSQL it counts those that were sent last.
    pub(super) fn tag(&self) -> String {
        self.rows.tag_of(self.sent)
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Sends rows: all of them, or as many as are wanted. True if none are left.
    ///
    /// Rows are written while they are made, whenever enough have gathered: the statement waits while the client
    /// does not read.
    pub(super) async fn stream(&mut self, open: &mut Open, wanted: usize) -> Result<bool, Failure> {
        let done = self.put_rows(open, wanted).await;
        match (&done, open.timed.take()) {
            (Ok(true), Some(timed)) => timed.succeeded(),
            (Err(Failure::Statement(error)), Some(timed)) => timed.failed(error),
            (Ok(false), timed) => open.timed = timed,
            _ => {}
        }
        done
    }

    async fn put_rows(&mut self, open: &mut Open, wanted: usize) -> Result<bool, Failure> {
        let mut wanted = wanted;
        open.sent = 0;
        loop {
            while let Some(batch) = open.batch.as_mut().filter(|batch| batch.remaining() > 0) {
                if wanted == 0 {
                    return Ok(false);
                }
                let bounds = Bounds {
                    row_count_max: wanted,
                    bytes_full: FULL_BYTES,
                    row_bytes_max: self.limits.row_bytes_max,
                };
                let columns = open.rows.columns();
                let put = batch.put(columns, &open.formats, &mut self.scratch, &bounds, self.output.buffer());
                let put = put?;
                if let Some(timed) = &open.timed {
                    timed.rows(put);
                }
                wanted -= put;
                open.sent += put as u64;
                self.output.flush_if_full().await?;
            }
            open.batch = None;
            if open.ended {
                return Ok(true);
            }
            if wanted == 0 {
                return Ok(false);
            }
            let next = attended(&mut self.input, &self.canceller, pin!(open.rows.next())).await?;
            match next {
                Some(batch) => open.batch = Some(Batch::new(&batch, open.rows.columns())?),
                None => open.ended = true,
            }
        }
    }
}

/// Says how a statement ended that is not sent as rows; one whose connection ended counts as cancelled.
pub(super) fn counted<T>(timed: Timed, done: Result<T, Failure>) -> Result<T, Failure> {
    match &done {
        Ok(_) => timed.succeeded(),
        Err(Failure::Statement(error)) => timed.failed(error),
        Err(Failure::End(_)) => {}
    }
    done
}

/// A prepared statement no longer gives the columns that its client was told of.
pub(super) fn result_changed() -> Error {
    Error::unsupported("cached plan must not change result type").with_hint("Prepare the statement again.")
}
