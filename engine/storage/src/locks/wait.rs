//! Waiting for a lock: as a future, or blocking.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use oneshot::RecvTimeoutError;

use super::owner::{OwnerState, wake};
use super::{KeyHash, Table};

/// A lock to come. Either a future, or to be waited for by [`LockWait::wait_timeout`]; not both.
///
/// Until it is granted or dropped, its owner waits for no other lock. Dropping it takes the request back. If the lock was granted
/// before that, unnoticed, the owner has it until its end or the mark before: another of its partitions may rely on it already.
///
/// # Errors
/// 57014 when the owner ended first.
pub struct LockWait {
    table: Arc<Table>,
    owner: Arc<OwnerState>,
    hash: KeyHash,
    ticket: u64,
    answer: Answer,
}

enum Answer {
    Blocking(oneshot::Receiver<()>),
    Polled(oneshot::AsyncReceiver<()>),
    Known,
}

impl LockWait {
    pub(super) fn new(
        table: Arc<Table>,
        owner: Arc<OwnerState>,
        hash: KeyHash,
        ticket: u64,
        answer: oneshot::Receiver<()>,
    ) -> Self {
        Self {
            table,
            owner,
            hash,
            ticket,
            answer: Answer::Blocking(answer),
        }
    }

    /// Of its request.
    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Blocks until the lock is granted, but not longer than `timeout`: whether it is. If not, the request waits on, until it is
    /// dropped or asked again.
    ///
    /// # Errors
    /// 57014 when the owner ended first.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<bool> {
        let answer = match &self.answer {
            Answer::Known => return Ok(true),
            Answer::Polled(_) => return Err(Error::internal("a lock is waited for as a future, and blocking too")),
            Answer::Blocking(answer) => answer.recv_timeout(timeout),
        };
        match answer {
            Ok(()) => {
                self.answer = Answer::Known;
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }
}

impl Future for LockWait {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.answer = match std::mem::replace(&mut self.answer, Answer::Known) {
            Answer::Blocking(answer) => Answer::Polled(answer.into_future()),
            other => other,
        };
        let Answer::Polled(answer) = &mut self.answer else {
            return Poll::Ready(Ok(()));
        };
        let answer = std::task::ready!(Pin::new(answer).poll(context));
        self.answer = Answer::Known;
        Poll::Ready(answer.map_err(|_| ended()))
    }
}

impl fmt::Debug for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockWait({} for {})", self.owner, self.hash)
    }
}

impl Drop for LockWait {
    fn drop(&mut self) {
        let withdrawn = self.table.keys(self.hash).lock().withdraw(self.hash, self.ticket);
        self.table.waits.fetch_sub(1, Ordering::Relaxed);
        if let Some((_, woken)) = withdrawn {
            wake(woken);
        }
    }
}

fn ended() -> Error {
    Error::unavailable(
        SqlState::QUERY_CANCELED,
        "the transaction ended while it waited for a row lock",
    )
}
