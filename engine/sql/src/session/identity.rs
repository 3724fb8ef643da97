//! What system tables and functions may know of a session, and what a function may set in it.

use std::sync::Arc;
use std::time::Duration;

use aion_base::Result;

use super::{Prepared, Session, TransactionStatus};
use crate::activity::{Activity, Doing, Seat};
use crate::advisory::AdvisoryLocks;
use crate::response::Response;
use crate::system::Identity;

/// What the owner of a session's locks is called.
pub(super) fn label_of(process_id: i32) -> Arc<str> {
    format!("process {process_id}").into()
}

/// Says that a statement is over once it is dropped.
struct Over {
    activity: Arc<Activity>,
    seat: Arc<Seat>,
    doing: Doing,
    advisory: Arc<AdvisoryLocks>,
}

impl Drop for Over {
    fn drop(&mut self) {
        if self.doing == Doing::Idle {
            self.advisory.end_transaction();
        }
        self.activity.end(&self.seat, self.doing);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Session {
    /// Tells the session the number by which cancel requests name it, for `pg_backend_pid()`.
    pub fn set_process_id(&mut self, process_id: i32) {
        self.process_id = process_id;
        self.advisory = self
            .engine
            .advisory
            .open(self.engine.locks.clone(), Some(label_of(process_id)));
        self.leave();
        let (user, database) = (&self.options.user, &self.options.database);
        let seat = self
            .engine
            .activity
            .seat(process_id, user, database, self.canceller.clone());
        self.seat = Some(seat);
    }

    /// How long a client may leave a transaction block without a statement; None outside of one, and where there is no limit.
    pub fn idle_in_transaction_timeout(&self) -> Option<Duration> {
        if self.status() == TransactionStatus::Idle {
            return None;
        }
        self.choices.idle_in_transaction
    }

    /// Told once another session ends this one (`pg_terminate_backend`); None where nobody can name it.
    pub fn ended(&self) -> Option<tokio::sync::watch::Receiver<bool>> {
        self.seat.as_ref().map(|seat| seat.ended())
    }

    /// A statement begins, as others may see.
    pub(super) fn begin_activity(&mut self, prepared: &Prepared) {
        let said = self.said.take();
        if let Some(seat) = &self.seat {
            let text = said.as_ref().unwrap_or(&prepared.statement.text);
            self.engine.activity.begin(seat, text, &self.choices.application);
        }
    }

    /// The statement is over, but for rows that are still to be fetched.
    pub(super) fn end_activity(&self, response: &mut Result<Response>) {
        let Some(seat) = &self.seat else { return };
        let over = Over {
            activity: self.engine.activity.clone(),
            seat: seat.clone(),
            advisory: self.advisory.clone(),
            doing: match self.status() {
                TransactionStatus::Idle => Doing::Idle,
                TransactionStatus::Active => Doing::IdleInTransaction,
                TransactionStatus::Failed => Doing::IdleInFailed,
            },
        };
        if let Ok(Response::Rows(rows)) = response {
            rows.keep(over);
        }
    }

    /// Outside of a block, what was locked for the transaction was for the statement before.
    pub(super) fn end_advisory(&self) {
        if self.block.is_none() {
            self.advisory.end_transaction();
        }
    }

    fn leave(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.engine.activity.leave(&seat);
        }
    }

    /// Whose session it is, at this moment.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            user: self.options.user.clone(),
            database: self.options.database.clone(),
            settings: self.settings.clone(),
            process_id: self.process_id,
            roles: self.seen_roles(),
            assigned: self.assigned.clone(),
            sequences: self.engine.sequences.clone(),
            numbers: self.numbers.clone(),
            store: self.engine.store.clone(),
            activity: self.engine.activity.clone(),
            locks: self.engine.locks.clone(),
            advisory: self.advisory.clone(),
            advisories: self.engine.advisory.clone(),
            observer: self.engine.options.observer.clone(),
            pipeline: self.engine.options.pipeline.clone(),
            statements: self.statements.clone(),
            cursors: self.cursors.facts(),
            pending: self.pending.clone(),
            notifications: self.engine.notifications.clone(),
            channels: self.channels(),
        }
    }

    /// Takes over what functions set. They run while rows are read, when nobody holds the session.
    pub(super) fn assign(&mut self) {
        self.settle();
        let assigned = std::mem::take(&mut *self.assigned.lock());
        for (name, value, is_local) in assigned {
            // Checked by the function. Outside of a block, what is for the transaction alone is over with the statement.
            let _ = match (is_local, self.block.is_some()) {
                (false, _) => self.settings.set(&name, &value),
                (true, true) => self.settings.set_local(&name, &value),
                (true, false) => Ok(()),
            };
        }
    }
}
