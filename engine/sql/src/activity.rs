//! Who is connected and what they do: `pg_stat_activity`, and ending it from another session.
//!
//! Each session that an edge names ([`crate::Session::set_process_id`]) has a *seat*. It notes its statement when it begins and its state
//! when it ends, which costs a lock that nobody else holds and a look at the clock. Texts are cut at [`TEXT_BYTES_MAX`], and what
//! may hold a password is not shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use aion_base::clock::{Clock, SystemClock};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cancel::Canceller;

/// Bytes of a statement that are shown: PostgreSQL's `track_activity_query_size`.
const TEXT_BYTES_MAX: usize = 1_024;

/// All seats.
#[derive(Debug, Default)]
pub struct Activity {
    clock: SystemClock,
    seats: Mutex<BTreeMap<i32, Arc<Seat>>>,
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// Nothing, outside of a transaction.
    #[default]
    Idle,
    /// A statement.
    Active,
    /// Nothing, in a transaction block.
    IdleInTransaction,
    /// Nothing, in one that failed.
    IdleInFailed,
}

impl Doing {
    /// As `pg_stat_activity.state` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::IdleInTransaction => "idle in transaction",
            Self::IdleInFailed => "idle in transaction (aborted)",
        }
    }
}

/// One session, as others see it.
#[derive(Debug)]
pub struct Seat {
    process_id: i32,
    user: String,
    database: String,
    /// Microseconds since 1970.
    began_at: i64,
    canceller: Canceller,
    /// True once the session is to end.
    is_ended: watch::Sender<bool>,
    state: Mutex<SeatState>,
}

/// The part of a seat that changes.
#[derive(Clone, Debug, Default)]
pub struct SeatState {
    pub application: String,
    pub doing: Doing,
    pub text: Option<Arc<str>>,
    /// Microseconds since 1970.
    pub statement_began_at: Option<i64>,
    pub transaction_began_at: Option<i64>,
    pub changed_at: Option<i64>,
}

impl Activity {
    fn now(&self) -> i64 {
        i64::try_from(self.clock.wall_micros()).unwrap_or(i64::MAX)
    }

    /// Seats a session; a number that is taken is given to the newer one.
    pub fn seat(&self, process_id: i32, user: &str, database: &str, canceller: Canceller) -> Arc<Seat> {
        let seat = Arc::new(Seat {
            process_id,
            user: user.to_owned(),
            database: database.to_owned(),
            began_at: self.now(),
            canceller,
            is_ended: watch::Sender::new(false),
            state: Mutex::default(),
        });
        self.seats.lock().insert(process_id, seat.clone());
        seat
    }

    /// Gives a seat back.
    pub fn leave(&self, seat: &Arc<Seat>) {
        let mut seats = self.seats.lock();
        if seats
            .get(&seat.process_id)
            .is_some_and(|there| Arc::ptr_eq(there, seat))
        {
            seats.remove(&seat.process_id);
        }
    }

    /// A statement begins.
    pub fn begin(&self, seat: &Seat, text: &Arc<str>, application: &str) {
        let now = self.now();
        let mut state = seat.state.lock();
        if state.application != application {
            application.clone_into(&mut state.application);
        }
        state.doing = Doing::Active;
        state.text = Some(text.clone());
        state.statement_began_at = Some(now);
        state.changed_at = Some(now);
        state.transaction_began_at.get_or_insert(now);
    }

    /// It is over.
    pub fn end(&self, seat: &Seat, doing: Doing) {
        let mut state = seat.state.lock();
        state.doing = doing;
        state.changed_at = Some(self.now());
        if doing == Doing::Idle {
            state.transaction_began_at = None;
        }
    }

    /// All seats, by process id.
    pub fn all(&self) -> Vec<Arc<Seat>> {
        self.seats.lock().values().cloned().collect()
    }

    /// Ends what a session runs; false where there is none of that number.
    pub fn cancel(&self, process_id: i32) -> bool {
        let seat = self.seats.lock().get(&process_id).cloned();
        seat.as_ref().map(|seat| seat.canceller.cancel()).is_some()
    }

    /// Ends a session; false where there is none of that number.
    pub fn terminate(&self, process_id: i32) -> bool {
        let seat = self.seats.lock().get(&process_id).cloned();
        seat.map(|seat| {
            seat.is_ended.send_replace(true);
            seat.canceller.cancel();
        })
        .is_some()
    }
}

impl Seat {
    /// The number by which cancel requests name it.
    pub fn process_id(&self) -> i32 {
        self.process_id
    }

    /// The role.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// When it connected, in microseconds since 1970.
    pub fn began_at(&self) -> i64 {
        self.began_at
    }

    /// What it does at this moment.
    pub fn state(&self) -> SeatState {
        self.state.lock().clone()
    }

    /// Told once somebody ends it.
    pub fn ended(&self) -> watch::Receiver<bool> {
        self.is_ended.subscribe()
    }
}

impl SeatState {
    /// The statement, as it may be shown.
    pub fn shown(&self) -> Option<String> {
        let text = self.text.as_ref()?;
        let has_password = text
            .as_bytes()
            .windows(8)
            .any(|window| window.eq_ignore_ascii_case(b"password"));
        if has_password {
            return Some("<a statement that may hold a password>".to_owned());
        }
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Some(text[..end].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_says_what_its_session_does() {
        let activity = Activity::default();
        let seat = activity.seat(7, "aion", "aion", Canceller::default());
        activity.begin(&seat, &"SELECT 1".into(), "psql");
        let state = seat.state();
        assert_eq!(
            (state.doing, state.shown().as_deref(), state.application.as_str()),
            (Doing::Active, Some("SELECT 1"), "psql")
        );
        activity.end(&seat, Doing::IdleInTransaction);
        assert!(seat.state().transaction_began_at.is_some());
        activity.end(&seat, Doing::Idle);
        assert!(seat.state().transaction_began_at.is_none());
        activity.begin(&seat, &"ALTER ROLE x PASSWORD 'secret'".into(), "psql");
        assert!(!seat.state().shown().expect("a text").contains("secret"));
        activity.begin(&seat, &"ä".repeat(1_000).into(), "psql");
        assert_eq!(seat.state().shown().expect("a text").len(), TEXT_BYTES_MAX);
    }

    #[test]
    fn a_session_is_ended_by_its_number() {
        let activity = Activity::default();
        let seat = activity.seat(7, "aion", "aion", Canceller::default());
        let ended = seat.ended();
        assert!(activity.cancel(7) && !activity.cancel(8) && !*ended.borrow());
        assert!(activity.terminate(7) && *ended.borrow());
        // Another session with the number is not sent away by the one that leaves.
        let newer = activity.seat(7, "aion", "aion", Canceller::default());
        activity.leave(&seat);
        assert_eq!(activity.all().len(), 1);
        activity.leave(&newer);
        assert!(activity.all().is_empty() && !activity.terminate(7));
    }
}
