//! Results on their way to the client.
//!
//! A result waits for its ticket to be shown, and is then sent from where queries run: batches are encoded there and
//! handed on through a short queue, so that a statement goes no faster than its client reads. A batch of many bytes
//! goes in several messages.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use aion_base::{Error, Result, SqlState};
use aion_db::Rows;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::listener::Shared;
use super::seat::Seat;
use super::status::status;
use crate::metrics::Timed;

/// Messages that wait to be sent.
const QUEUE_MESSAGES: usize = 2;

/// What a call that answers batches returns.
pub(super) type Batches = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// A result that waits to be fetched, or is being sent.
pub(super) struct Waiting {
    schema: SchemaRef,
    seat: Arc<Seat>,
    stop: watch::Sender<bool>,
    /// Taken when it is sent.
    rows: Mutex<Option<VecDeque<(Rows, Timed)>>>,
}

impl Waiting {
    /// The rows of one or several runs of a statement.
    pub(super) fn new(schema: SchemaRef, seat: Arc<Seat>, rows: Vec<(Rows, Timed)>) -> Self {
        Self {
            schema,
            seat,
            stop: watch::Sender::new(false),
            rows: Mutex::new(Some(rows.into())),
        }
    }

    /// Ends the statement, whether it is being sent or waits.
    pub(super) fn cancel(&self) {
        self.stop.send_replace(true);
        drop(self.take());
    }

    fn take(&self) -> Option<VecDeque<(Rows, Timed)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Sends the result of a ticket.
///
/// # Errors
/// 26000 for a ticket that is unknown, expired or was shown before; 53300 beyond the limit.
pub(super) fn send(shared: &Arc<Shared>, handle: Bytes) -> Result<Batches> {
    let waiting = shared.results.get(&handle)?;
    let Some(rows) = waiting.take() else {
        return Err(Error::not_found(
            SqlState::INVALID_SQL_STATEMENT_NAME,
            "the result of this ticket was fetched already, or cancelled",
        )
        .with_hint("A ticket is good for one DoGet; run the statement again."));
    };
    let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES);
    let sending = Sending {
        shared: Arc::clone(shared),
        waiting: Arc::clone(&waiting),
        sender,
    };
    let work = async move {
        sending.send(rows).await;
        // It may have expired meanwhile.
        let _ = sending.shared.results.take(&handle);
    };
    shared.work.spawn(move || waiting.cancel(), work)?;
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

struct Sending {
    shared: Arc<Shared>,
    waiting: Arc<Waiting>,
    sender: mpsc::Sender<Result<FlightData, Status>>,
}

impl Sending {
    async fn send(&self, rows: VecDeque<(Rows, Timed)>) {
        let limits = &self.shared.service.limits;
        let batches = batches(Arc::clone(&self.waiting), rows);
        let mut messages = FlightDataEncoderBuilder::new()
            .with_schema(Arc::clone(&self.waiting.schema))
            .with_max_flight_data_size(limits.flight_batch_bytes)
            .build(batches);
        loop {
            let message = tokio::select! {
                biased;
                // The client has left; what is dropped here ends.
                () = self.sender.closed() => return,
                message = messages.next() => message,
            };
            let message = match message {
                None => return,
                Some(Ok(message)) if message.data_body.len() > limits.row_bytes_max => {
                    Err(status(&too_long(limits.row_bytes_max)))
                }
                Some(Ok(message)) => Ok(message),
                Some(Err(FlightError::Tonic(status))) => Err(*status),
                Some(Err(error)) => Err(status(&Error::internal(format!("a batch cannot be encoded: {error}")))),
            };
            let is_last = message.is_err();
            let sent = tokio::time::timeout(limits.send_timeout, self.sender.send(message)).await;
            if is_last || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }
}

fn too_long(row_bytes_max: usize) -> Error {
    Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("a row of the result has more than {row_bytes_max} bytes"),
    )
    .with_hint("Select fewer or shorter columns.")
}

/// The batches of several results, one after the other.
fn batches(
    waiting: Arc<Waiting>,
    rows: VecDeque<(Rows, Timed)>,
) -> impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static {
    let stop = waiting.stop.subscribe();
    stream::unfold((waiting, rows, stop), |(waiting, mut rows, mut stop)| async move {
        loop {
            let (current, timed) = rows.front_mut()?;
            let next = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Err(Error::unavailable(
                    SqlState::QUERY_CANCELED,
                    "canceling statement due to user request",
                )),
                next = current.next() => next,
            };
            match next {
                Ok(Some(batch)) => {
                    timed.rows(batch.num_rows());
                    return Some((Ok(batch), (waiting, rows, stop)));
                }
                Ok(None) => {
                    if let Some((_, timed)) = rows.pop_front() {
                        timed.succeeded();
                    }
                }
                Err(error) => {
                    if let Some((_, timed)) = rows.pop_front() {
                        timed.failed(&error);
                    }
                    rows.clear();
                    waiting.seat.fail().await;
                    let error = FlightError::Tonic(Box::new(status(&error)));
                    return Some((Err(error), (waiting, rows, stop)));
                }
            }
        }
    })
}

/// One batch that is there already.
pub(super) fn one(batch: RecordBatch) -> Batches {
    let messages = FlightDataEncoderBuilder::new()
        .with_schema(batch.schema())
        .build(stream::iter([Ok(batch)]));
    Box::pin(messages.map(|message| {
        message.map_err(|error| status(&Error::internal(format!("a batch cannot be encoded: {error}"))))
    }))
}
