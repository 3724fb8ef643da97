//! Sessions, as calls share them.
//!
//! Calls that name the same login or transaction take turns: a session runs one statement at a time. A [`Turn`] is one
//! call's; stopping it cancels the statement that it runs, or keeps it from running one, and never concerns another
//! call's.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_db::{Canceller, Prepared, Response, Session, TransactionStatus};

/// A session and whoever waits for it.
pub(super) struct Seat {
    session: tokio::sync::Mutex<Session>,
    canceller: Canceller,
    /// False for the session of one call.
    is_kept: bool,
}

impl Seat {
    /// A session that outlives the call.
    pub(super) fn kept(session: Session) -> Arc<Self> {
        Self::new(session, true)
    }

    /// The session of one call.
    pub(super) fn of_call(session: Session) -> Arc<Self> {
        Self::new(session, false)
    }

    fn new(session: Session, is_kept: bool) -> Arc<Self> {
        Arc::new(Self {
            canceller: session.canceller(),
            session: tokio::sync::Mutex::new(session),
            is_kept,
        })
    }

    /// Tells the session that reading a result failed.
    pub(super) async fn fail(&self) {
        self.session.lock().await.fail();
    }

    /// Refuses what a statement of a session that ends with its call would leave behind.
    ///
    /// # Errors
    /// 25P01 for a transaction block, 0A000 for a setting.
    pub(super) fn check_left(&self, session: &Session, tag: &str) -> Result<()> {
        const HINT: &str = "Log in with a user name to keep a session, or turn autocommit off to begin a transaction.";
        if self.is_kept {
            return Ok(());
        }
        if session.status() != TransactionStatus::Idle {
            let message = "there is no session that could keep the transaction block; it was rolled back";
            return Err(Error::invalid(SqlState::NO_ACTIVE_SQL_TRANSACTION, message).with_hint(HINT));
        }
        if tag == "SET" {
            return Err(Error::unsupported("there is no session that could keep the setting").with_hint(HINT));
        }
        Ok(())
    }
}

/// One call's turn at a seat.
pub(super) struct Turn {
    seat: Arc<Seat>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Stopped,
    Over,
}

impl Turn {
    /// A turn that has yet to come.
    pub(super) fn new(seat: &Arc<Seat>) -> Arc<Self> {
        Arc::new(Self {
            seat: Arc::clone(seat),
            state: Mutex::new(State::Waiting),
        })
    }

    /// Waits for the turn.
    pub(super) async fn take(&self) -> Seated<'_> {
        let session = self.seat.session.lock().await;
        let mut state = self.lock();
        if *state == State::Waiting {
            *state = State::Running;
        }
        drop(state);
        Seated { turn: self, session }
    }

    /// Ends the statement that this turn runs, and lets it run no other.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        // The lock is held: the turn is not over before the statement was told.
        if *state == State::Running {
            self.seat.canceller.cancel();
        }
        if *state != State::Over {
            *state = State::Stopped;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // It is one word.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session, while the turn lasts.
pub(super) struct Seated<'a> {
    turn: &'a Turn,
    session: tokio::sync::MutexGuard<'a, Session>,
}

impl Seated<'_> {
    /// Runs a statement, unless the turn was stopped.
    ///
    /// # Errors
    /// The statement's; 57014 after a stop.
    pub(super) async fn execute(&mut self, plan: &Arc<Prepared>, values: &[Value]) -> Result<Response> {
        if *self.turn.lock() == State::Stopped {
            let message = "canceling statement due to user request";
            self.session.fail();
            return Err(Error::unavailable(SqlState::QUERY_CANCELED, message));
        }
        self.session.execute(plan, values).await
    }

    /// Runs a text of ours; answers the tag of its last statement.
    ///
    /// # Errors
    /// As [`Seated::execute`].
    pub(super) async fn run_text(&mut self, text: &str) -> Result<String> {
        let mut last = String::new();
        for statement in self.session.parse(text)? {
            let prepared = self.session.prepare(&statement, &[]).await?;
            match self.execute(&prepared, &[]).await? {
                Response::Done { tag } => last = tag,
                Response::Rows(mut rows) => {
                    while rows.next().await?.is_some() {}
                    last = rows.tag();
                }
            }
        }
        Ok(last)
    }
}

impl Deref for Seated<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Seated<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        *self.turn.lock() = State::Over;
    }
}
