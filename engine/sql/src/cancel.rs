//! Ending a statement from outside, and watching how far it is.
//!
//! A statement has a [`Cancellation`]; its operators look at it between batches, and whoever awaits it is
//! woken. A [`Canceller`] belongs to a session and reaches whichever statement it runs at that moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use aion_base::{Error, Result, SqlState};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Rows between two looks of [`Cancellation::watch`].
const ROWS_UNWATCHED: u64 = 4_096;

const RUNNING: u8 = 0;
const BY_USER: u8 = 1;
const BY_TIMEOUT: u8 = 2;

/// Whether one statement is to stop, and why.
#[derive(Clone, Debug, Default)]
pub struct Cancellation {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: AtomicU8,
    rows_done: AtomicU64,
    woken: Notify,
}

impl Cancellation {
    /// True once the statement is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.inner.state.load(Ordering::Acquire) != RUNNING
    }

    /// Returns when the statement is to stop.
    pub async fn cancelled(&self) {
        let woken = self.inner.woken.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        if !self.is_cancelled() {
            woken.await;
        }
    }

    /// What the statement ends with: 57014.
    pub fn error(&self) -> Error {
        let why = match self.inner.state.load(Ordering::Acquire) {
            BY_TIMEOUT => "canceling statement due to statement timeout",
            _ => "canceling statement due to user request",
        };
        Error::unavailable(SqlState::QUERY_CANCELED, why)
    }

    /// For a loop that waits for nothing: after so many rows, now and then, lets other tasks of the thread run.
    ///
    /// # Errors
    /// 57014 once the statement is to stop.
    pub async fn watch(&self, rows: u64) -> Result<()> {
        if !rows.is_multiple_of(ROWS_UNWATCHED) {
            return Ok(());
        }
        tokio::task::yield_now().await;
        match self.is_cancelled() {
            true => Err(self.error()),
            false => Ok(()),
        }
    }

    /// Notes how many rows the statement has handled, for who watches it ([`Canceller::rows_done`]).
    pub fn note_rows(&self, rows: u64) {
        self.inner.rows_done.store(rows, Ordering::Relaxed);
    }

    /// Stops the statement because somebody asked for it.
    pub fn cancel(&self) {
        self.stop(BY_USER);
    }

    /// Stops the statement because its time is over.
    pub fn time_out(&self) {
        self.stop(BY_TIMEOUT);
    }

    fn stop(&self, why: u8) {
        // The first reason counts.
        if self
            .inner
            .state
            .compare_exchange(RUNNING, why, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            self.inner.woken.notify_waiters();
        }
    }
}

/// Cancels what its session is running. Cheap to clone; outlives the session harmlessly.
#[derive(Clone, Debug, Default)]
pub struct Canceller {
    running: Arc<Mutex<Option<Cancellation>>>,
}

impl Canceller {
    /// Ends the running statement with 57014; nothing happens when there is none.
    pub fn cancel(&self) {
        if let Some(running) = &*self.running.lock() {
            running.stop(BY_USER);
        }
    }

    /// Rows that the running statement has handled so far, where it says so: COPY FROM does, every thousand rows or so. None when
    /// no statement has begun.
    pub fn rows_done(&self) -> Option<u64> {
        let running = self.running.lock();
        running
            .as_ref()
            .map(|running| running.inner.rows_done.load(Ordering::Relaxed))
    }

    /// A new statement begins.
    pub(crate) fn begin(&self) -> Cancellation {
        let cancellation = Cancellation::default();
        *self.running.lock() = Some(cancellation.clone());
        cancellation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cancel_reaches_the_running_statement_and_no_later_one() {
        let canceller = Canceller::default();
        canceller.cancel();
        let first = canceller.begin();
        assert!(!first.is_cancelled());
        let waiting = tokio::spawn({
            let first = first.clone();
            async move { first.cancelled().await }
        });
        canceller.cancel();
        waiting.await.expect("woken");
        assert_eq!(first.error().state(), SqlState::QUERY_CANCELED);
        assert!(!canceller.begin().is_cancelled());
    }
}
