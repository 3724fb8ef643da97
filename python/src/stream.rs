//! The rows of a result, read on demand.
//!
//! A stream is independent of its session: other statements may run while it is read. Two things end it early: the connection is
//! closed, or it reads an open transaction that has been changed or ended since ([`crate::lane`]); both are said to whoever reads on.
//!
//! **Who holds what.** The rows are *taken* while a batch is awaited, so that no lock is held without the GIL; a second
//! thread that comes meanwhile is told so. What came and was not used (a batch of which some rows were fetched) waits in
//! *ahead*.

use std::collections::VecDeque;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_db::{Column, Rows};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::lane::Lane;
use crate::{database, errors, task};

/// See the module's header.
pub struct Stream {
    lane: Lane,
    mark: Option<u64>,
    columns: Arc<[Column]>,
    schema: SchemaRef,
    state: Mutex<State>,
}

struct State {
    source: Source,
    ahead: VecDeque<RecordBatch>,
}

enum Source {
    Open(Box<Rows>),
    /// A thread awaits the next batch; the sender stops it.
    Taken(Option<oneshot::Sender<()>>),
    /// Everything was read. The command tag.
    Ended(String),
    /// Nothing follows, and why.
    Gone(&'static str),
}

/// Rows that a thread reads, and what stops it.
type Taken = (Box<Rows>, oneshot::Receiver<()>);

const CLOSED: &str = "the connection of this result is closed";
const STOPPED: &str = "reading this result was stopped by an error; run the query again";
const HANDED_OUT: &str = "the rows of this result were handed out as an Arrow stream already";

impl Stream {
    /// The rows of an answer that are good at `mark`.
    pub fn new(lane: Lane, rows: Rows, mark: Option<u64>) -> Self {
        Self {
            lane,
            mark,
            columns: rows.columns().clone(),
            schema: rows.schema().clone(),
            state: Mutex::new(State {
                source: Source::Open(Box::new(rows)),
                ahead: VecDeque::new(),
            }),
        }
    }

    /// The columns.
    pub fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// The Arrow schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The command tag, once everything was read.
    pub fn tag(&self) -> Option<String> {
        match &self.state.lock().source {
            Source::Ended(tag) => Some(tag.clone()),
            _ => None,
        }
    }

    /// The next batch that is not empty; None at the end.
    ///
    /// # Errors
    /// The statement's; InterfaceError when nothing can follow; KeyboardInterrupt.
    pub fn next(&self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        database::check_process(py)?;
        loop {
            let (rows, stop) = {
                let mut state = self.state.lock();
                if let Some(batch) = state.ahead.pop_front() {
                    return Ok(Some(batch));
                }
                match self.take(&mut state) {
                    Ok(Some(taken)) => taken,
                    Ok(None) => return Ok(None),
                    Err(message) => return Err(errors::interface(py, message)),
                }
            };
            match self.read(py, rows, stop)? {
                Some(batch) if batch.num_rows() == 0 => {}
                batch => return Ok(batch),
            }
        }
    }

    fn take(&self, state: &mut State) -> Result<Option<Taken>, &'static str> {
        match &state.source {
            Source::Ended(_) => return Ok(None),
            Source::Gone(why) => return Err(why),
            Source::Taken(_) => return Err("another thread reads this result; give each thread a result of its own"),
            Source::Open(_) => {}
        }
        let (stop, stopped) = oneshot::channel();
        match std::mem::replace(&mut state.source, Source::Taken(Some(stop))) {
            Source::Open(rows) => Ok(Some((rows, stopped))),
            other => {
                state.source = other;
                Err(STOPPED)
            }
        }
    }

    /// Awaits a batch and puts the rows back.
    fn read(&self, py: Python<'_>, mut rows: Box<Rows>, stop: oneshot::Receiver<()>) -> PyResult<Option<RecordBatch>> {
        let (lane, mark) = (self.lane.clone(), self.mark);
        let future = async move {
            let batch = if lane.is_stale(mark) {
                Err(stale())
            } else {
                tokio::select! {
                    biased;
                    // The sender is not dropped before it is used or the answer is here.
                    _ = stop => Err(stopped()),
                    batch = rows.next() => batch,
                }
            };
            if batch.is_err() {
                lane.fail(mark).await;
            }
            // Here, and not by a thread of Python: its parts end their tasks.
            let rows = batch.is_ok().then_some(rows);
            (rows, batch)
        };
        let outcome = task::wait(py, &self.lane.handle, future, || {
            self.stop();
            false
        });
        let mut state = self.state.lock();
        let is_taken = matches!(state.source, Source::Taken(_));
        match outcome {
            Ok((rows, Ok(batch))) => {
                if is_taken {
                    state.source = match (rows, &batch) {
                        (Some(rows), Some(_)) => Source::Open(rows),
                        (Some(rows), None) => Source::Ended(rows.tag()),
                        (None, _) => Source::Gone(STOPPED),
                    };
                }
                Ok(batch)
            }
            Ok((_, Err(error))) => {
                if is_taken {
                    state.source = Source::Gone(STOPPED);
                }
                Err(errors::raised(py, &error))
            }
            Err(interrupt) => {
                if is_taken {
                    state.source = Source::Gone(STOPPED);
                }
                Err(interrupt)
            }
        }
    }

    /// Ends a read that is awaited by some thread.
    pub fn stop(&self) {
        if let Source::Taken(stop) = &mut self.state.lock().source
            && let Some(stop) = stop.take()
        {
            // It fails when the read has just ended, which is what was asked for.
            let _ = stop.send(());
        }
    }

    /// Gives a batch back, to be the next one.
    pub fn put_back(&self, batch: RecordBatch) {
        self.state.lock().ahead.push_front(batch);
    }

    /// Ends the stream with its connection.
    pub fn close(&self) {
        self.stop();
        let mut state = self.state.lock();
        state.ahead.clear();
        if !matches!(state.source, Source::Ended(_)) {
            let _runtime = self.lane.handle.enter();
            state.source = Source::Gone(CLOSED);
        }
    }

    /// The rest of the rows, as a stream of its own.
    ///
    /// # Errors
    /// InterfaceError when nothing can follow, or a thread reads it.
    pub fn hand_out(&self, py: Python<'_>) -> PyResult<Self> {
        let mut state = self.state.lock();
        let why = match &state.source {
            Source::Gone(why) => Some(*why),
            Source::Taken(_) => Some("another thread reads this result"),
            Source::Open(_) | Source::Ended(_) => None,
        };
        if let Some(why) = why {
            return Err(errors::interface(py, why));
        }
        let source = std::mem::replace(&mut state.source, Source::Gone(HANDED_OUT));
        let ahead = std::mem::take(&mut state.ahead);
        Ok(Self {
            lane: self.lane.clone(),
            mark: self.mark,
            columns: self.columns.clone(),
            schema: self.schema.clone(),
            state: Mutex::new(State { source, ahead }),
        })
    }
}

fn stale() -> Error {
    Error::invalid(
        SqlState::INVALID_CURSOR_STATE,
        "the rows are those of a transaction that has changed something or ended since the query",
    )
    .with_hint("Read the result to its end first, for instance with fetchall() or arrow().")
}

fn stopped() -> Error {
    Error::unavailable(SqlState::QUERY_CANCELED, "canceling statement due to user request")
}

impl Drop for Stream {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let source = std::mem::replace(&mut state.source, Source::Gone(CLOSED));
        if database::is_forked() {
            // Its tasks belong to threads that are not in this process.
            std::mem::forget(source);
            return;
        }
        let _runtime = self.lane.handle.enter();
        drop(source);
    }
}
