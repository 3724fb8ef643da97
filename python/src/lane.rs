//! One session, used by one statement at a time.
//!
//! Threads that come meanwhile wait in the order in which they came. Whoever is interrupted while waiting leaves the line
//! without disturbing the statement that runs; whoever is interrupted while running cancels it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use aion_base::Result;
use aion_db::{Canceller, Effect, Prepared, Response, Session, TransactionStatus};
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{errors, task};

/// How long closing waits for the running statement before it cancels it again.
const CANCEL_AGAIN: std::time::Duration = std::time::Duration::from_millis(20);

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const GONE: u8 = 2;

/// See the module's header. Cheap to clone.
#[derive(Clone)]
pub struct Lane {
    /// Where statements run.
    pub handle: Handle,
    /// None once the connection is closed.
    session: Arc<Mutex<Option<Session>>>,
    canceller: Canceller,
    /// Counts what makes the results of an open transaction stale: its changes, and its end.
    marks: Arc<AtomicU64>,
}

/// The session, held.
pub struct Held(OwnedMutexGuard<Option<Session>>, Lane);

/// What a statement answered, and the mark that its rows are good for: None for rows that no longer depend on a transaction.
pub struct Answer {
    /// The engine's answer.
    pub response: Response,
    /// See [`Lane::is_stale`].
    pub mark: Option<u64>,
}

impl Held {
    /// The session.
    pub fn session(&mut self) -> &mut Session {
        self.0.as_mut().expect("looked at when it was taken")
    }

    /// Runs a prepared statement.
    ///
    /// # Errors
    /// The statement's.
    pub async fn execute(
        &mut self,
        prepared: &Arc<Prepared>,
        effect: Effect,
        values: &[aion_catalog::Value],
    ) -> Result<Answer> {
        let before = self.session().status();
        let response = self.session().execute(prepared, values).await;
        let after = self.session().status();
        let has_ended = before != TransactionStatus::Idle && after == TransactionStatus::Idle;
        if effect == Effect::Changes || has_ended {
            self.1.marks.fetch_add(1, Ordering::AcqRel);
        }
        let reads_on = after != TransactionStatus::Idle && effect == Effect::Reads;
        Ok(Answer {
            response: response?,
            mark: reads_on.then(|| self.1.marks.load(Ordering::Acquire)),
        })
    }

    /// Runs a statement of ours that gives no rows.
    ///
    /// # Errors
    /// The statement's.
    pub async fn control(&mut self, text: &str) -> Result<()> {
        for statement in self.session().parse(text)? {
            let prepared = self.session().prepare(&statement, &[]).await?;
            self.execute(&prepared, statement.effect(), &[]).await?;
        }
        Ok(())
    }

    /// Whether no transaction block is open.
    pub fn is_idle(&mut self) -> bool {
        self.session().status() == TransactionStatus::Idle
    }
}

impl Lane {
    /// A lane for `session`.
    pub fn new(handle: Handle, session: Session) -> Self {
        Self {
            handle,
            canceller: session.canceller(),
            session: Arc::new(Mutex::new(Some(session))),
            marks: Arc::default(),
        }
    }

    /// Runs work with the session, when it is its turn. The outer error is the interface's (closed, interrupted), the inner one
    /// the engine's.
    pub fn run<T, W>(&self, py: Python<'_>, work: impl FnOnce(Held) -> W + Send + 'static) -> PyResult<Result<T>>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let place = Arc::new(AtomicU8::new(WAITING));
        let future = {
            let (lane, place) = (self.clone(), place.clone());
            async move {
                let guard = lane.session.clone().lock_owned().await;
                let begins = place.compare_exchange(WAITING, RUNNING, Ordering::AcqRel, Ordering::Acquire);
                if begins.is_err() || guard.is_none() {
                    return None;
                }
                Some(work(Held(guard, lane)).await)
            }
        };
        let stop = || {
            let leaves = place.compare_exchange(WAITING, GONE, Ordering::AcqRel, Ordering::Acquire);
            if leaves.is_err() {
                self.canceller.cancel();
            }
            leaves.is_ok()
        };
        match task::wait(py, &self.handle, future, stop)? {
            Some(outcome) => Ok(outcome),
            None => Err(errors::interface(py, "the connection is closed")),
        }
    }

    /// Ends the running statement with 57014.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// Whether rows that were good at `mark` read a transaction that has changed or ended since.
    pub fn is_stale(&self, mark: Option<u64>) -> bool {
        mark.is_some_and(|mark| mark != self.marks.load(Ordering::Acquire))
    }

    /// Tells the session that reading rows failed which were good at `mark`, so that its transaction has failed.
    pub async fn fail(&self, mark: Option<u64>) {
        if mark.is_none() {
            return;
        }
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_mut()
            && !self.is_stale(mark)
        {
            session.fail();
        }
    }

    /// Cancels what runs and drops the session when that has ended.
    pub async fn close(&self) {
        loop {
            self.canceller.cancel();
            // A statement that is still being prepared begins after a cancel that came too early; so it is said again.
            if let Ok(mut session) = tokio::time::timeout(CANCEL_AGAIN, self.session.lock()).await {
                drop(session.take());
                return;
            }
        }
    }
}
