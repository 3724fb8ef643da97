//! Making a change, and taking it back.

use aion_base::clock::Clock;
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_shadow::recommendation::{PIPELINE, Recommendation};
use aion_shadow::state::{Kind, State, Verb};
use aion_shadow::watch::{Finding, Promise};
use aion_sql::SessionOptions;

use super::watching::Found;
use super::{Pipeline, Progress, Step};

/// How often a change that lost against other transactions is tried.
const TRIES: usize = 5;
/// How far the watch trusts production's own mean above the rehearsal's median: a few slow executions must not buy a bad change time.
const PRODUCTION_FACTOR_MAX: f64 = 2.0;

impl Pipeline {
    /// Does what a person asks for.
    pub(super) fn act(&self, verb: Verb, id: u64, role: &str, reason: &str, progress: &Progress<'_>) -> Result<u64> {
        let said = |default: &str| match reason {
            "" => default.to_owned(),
            reason => reason.to_owned(),
        };
        match verb {
            Verb::Rehearse => self.rehearse(id, role, progress)?,
            Verb::Approve => self.approve(id, role, &said("approved"))?,
            Verb::Dismiss => {
                let _changing = self.changing.lock();
                let one = self.find(id)?;
                verb.check(id, one.state)?;
                self.advance(id, State::Dismissed, role, &said("dismissed"), None, |_| {})?;
            }
            Verb::Revert => {
                let _changing = self.changing.lock();
                let one = self.find(id)?;
                verb.check(id, one.state)?;
                self.revert(&one, role, &said("reverted"))?;
            }
            Verb::Pin | Verb::Unpin => self.pin(id, verb, role, &said(verb.name()))?,
        }
        Ok(id)
    }

    fn pin(&self, id: u64, verb: Verb, role: &str, reason: &str) -> Result<()> {
        let mut kept = self.kept.lock();
        let Some(one) = kept.recommendations.get(&id) else {
            drop(kept);
            return self.find(id).map(drop);
        };
        verb.check(id, one.state)?;
        let mut pinned = one.clone();
        pinned.is_pinned = verb == Verb::Pin;
        pinned.decided_at = self.now();
        role.clone_into(&mut pinned.decided_by);
        reason.clone_into(&mut pinned.state_reason);
        let from = pinned.state;
        self.write(&mut kept, pinned, Some(from), None)
    }

    /// Makes a change that is ready.
    ///
    /// # Errors
    /// 55000 where it is not ready or stale; what the command answers: then it has failed.
    pub(super) fn approve(&self, id: u64, by: &str, reason: &str) -> Result<()> {
        let _changing = self.changing.lock();
        let one = self.find(id)?;
        Verb::Approve.check(id, one.state)?;
        if one.kind == Kind::Model {
            return Err(Error::unsupported(format!(
                "recommendation {id} cannot be made: the planner does not take a model's rows yet"
            ))
            .with_hint("It predicts in shadow: EXPLAIN (ANALYZE, AI) shows its rows beside the planner's."));
        }
        self.check_fresh(&one)?;
        self.advance(id, State::Applying, by, reason, None, |_| {})?;
        self.step(id, Step::Applying);
        let before = self.clock.monotonic();
        let made = match one.kind {
            Kind::Knob => self.make_knob(&one),
            _ => self.run(&one.command),
        };
        if let Err(error) = made {
            self.advance(id, State::Failed, PIPELINE, error.message(), None, |_| {})?;
            return Err(error);
        }
        self.step(id, Step::Made);
        let millis = self.clock.monotonic().saturating_sub(before).as_millis();
        let made = format!("made in {millis} ms");
        self.advance(id, State::Watching, PIPELINE, &made, None, |_| {})?;
        self.watch(&one);
        self.step(id, Step::Watching);
        Ok(())
    }

    /// Whether what was rehearsed is what would be made.
    fn check_fresh(&self, one: &Recommendation) -> Result<()> {
        let stale = |why: String| {
            Error::conflict(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot approve recommendation {}: {why}", one.id),
            )
            .with_hint(format!("Rehearse it again: SELECT aion.rehearse({}).", one.id))
        };
        if one.expires_at.is_some_and(|expires| expires <= self.now()) {
            return Err(stale("it has expired".to_owned()));
        }
        let missing = one.upon.iter().find(|id| {
            let kept = self.kept.lock();
            !kept.recommendations.get(id).is_some_and(|there| there.state.is_made())
        });
        if let Some(missing) = missing {
            return Err(stale(format!(
                "it was rehearsed upon recommendation {missing}, which is not made"
            ))
            .with_hint(format!("Approve {missing} first, or rehearse this one again.")));
        }
        if one.kind == Kind::Knob {
            return self.check_knob(one).map_err(stale);
        }
        if self.parts()?.basis(&one.object, std::iter::empty())? != one.basis {
            return Err(stale(format!(
                "the columns or indexes of {} are not those that it was rehearsed with",
                one.object
            )));
        }
        Ok(())
    }

    /// Decides that a change is to be taken back, and does it.
    fn revert(&self, one: &Recommendation, by: &str, reason: &str) -> Result<()> {
        if one.undo_command.is_none() {
            return Err(
                Error::unsupported(format!("recommendation {} cannot be taken back", one.id))
                    .with_hint("What ANALYZE found is replaced by the next ANALYZE."),
            );
        }
        self.advance(one.id, State::Reverted, by, reason, None, |_| {})?;
        self.watching.remove(one.id);
        self.step(one.id, Step::Reverting);
        self.undo(one.id)
    }

    /// Takes a change back that is decided to be. Called again until it succeeds.
    pub(super) fn undo(&self, id: u64) -> Result<()> {
        let one = self.find(id)?;
        if let Some(undo) = &one.undo_command {
            let undone = match one.kind {
                Kind::Knob => self.undo_knob(&one),
                _ => self.run(undo),
            };
            match undone {
                Ok(()) => {}
                // Somebody did it before, or a process that was killed.
                Err(error) if one.makes.is_some() && error.kind() == ErrorKind::NotFound => {}
                Err(error) if one.drops.is_some() && error.state() == SqlState::DUPLICATE_TABLE => {}
                Err(error) => return Err(error),
            }
        }
        self.step(id, Step::Undone);
        self.amend(id, |one| one.undo_is_due = false)?;
        self.step(id, Step::Reverted);
        Ok(())
    }

    /// The same, where nobody waits for it: one that fails keeps neither the database from opening nor others from being taken back.
    pub(super) fn undo_or_say(&self, id: u64) {
        if let Err(error) = self.undo(id) {
            tracing::warn!(%error, id, "a change could not be taken back; it is tried again in a second");
        }
    }

    /// Whether a change is there, as far as the catalog can tell.
    pub(super) fn is_there(&self, one: &Recommendation) -> Result<bool> {
        if one.kind == Kind::Knob {
            return Ok(self.is_knob_made(one));
        }
        let catalog = self.parts()?.session(SessionOptions::default()).catalog()?;
        let exists = |(schema, name): &(String, String)| catalog.table_of_index(schema, name).is_some();
        Ok(match (&one.makes, &one.drops) {
            (Some(made), _) => exists(made),
            (None, Some(dropped)) => !exists(dropped),
            (None, None) => false,
        })
    }

    /// Begins to watch what was made.
    pub(super) fn watch(&self, one: &Recommendation) {
        let Some(measured) = &one.measured else {
            return;
        };
        let figures = self.observed().map_or_else(Vec::new, |observed| observed.means());
        let promises = measured.promises.iter().map(|promise| {
            let in_production = figures.iter().find(|(queryid, _)| *queryid == promise.queryid);
            let mean = in_production.map_or(0.0, |(_, mean_ms)| *mean_ms);
            Promise {
                // On a busy machine statements take longer than in a rehearsal, with the change as without.
                incumbent_ms: mean.clamp(promise.incumbent_ms, promise.incumbent_ms * PRODUCTION_FACTOR_MAX),
                ..*promise
            }
        });
        let is_kept = one.state == State::Kept;
        self.watching.add(one.id, promises, is_kept, self.clock.monotonic());
    }

    /// What the watch found is done.
    pub(super) fn found(&self, found: &Found) -> Result<()> {
        let _changing = self.changing.lock();
        let one = self.find(found.id)?;
        match &found.finding {
            Finding::Watch => Ok(()),
            Finding::Keep if one.state == State::Watching => {
                self.advance(one.id, State::Kept, PIPELINE, "it kept its promise", None, |_| {})
            }
            Finding::Revert(why) if one.state.is_made() && one.is_pinned => {
                tracing::warn!(
                    id = one.id,
                    why,
                    "a change that does not keep its promise is pinned, and stays"
                );
                Ok(())
            }
            Finding::Revert(why) if one.state.is_made() => self.revert(&one, PIPELINE, why),
            Finding::Keep | Finding::Revert(_) => Ok(()),
        }
    }

    /// Looks after what was decided: what expired, what is still to be taken back, and what its owner dropped.
    pub(super) fn tidy(&self) -> Result<()> {
        let _changing = self.changing.lock();
        let all: Vec<Recommendation> = self.kept.lock().recommendations.values().cloned().collect();
        let now = self.now();
        for one in all {
            if one.undo_is_due {
                self.undo_or_say(one.id);
            } else if one.state == State::Ready && one.expires_at.is_some_and(|expires| expires <= now) {
                self.advance(
                    one.id,
                    State::Expired,
                    PIPELINE,
                    "nobody approved it in time",
                    None,
                    |_| {},
                )?;
            } else if one.state.is_made() && one.kind == Kind::Knob {
                self.tidy_knob(&one)?;
            } else if one.state.is_made() && one.makes.is_some() && !self.is_there(&one)? {
                self.watching.remove(one.id);
                let why = "what it made is gone: whoever owns it dropped it";
                self.advance(one.id, State::Dismissed, PIPELINE, why, None, |_| {})?;
            }
        }
        Ok(())
    }

    /// Runs a command as the superuser.
    fn run(&self, command: &str) -> Result<()> {
        let parts = self.parts()?;
        let mut session = parts.session(SessionOptions::default());
        session.set("aion.ai_mode", "off")?;
        let mut tried = 0;
        loop {
            tried += 1;
            let done: Result<()> = parts.runtime.block_on(async {
                for statement in session.parse(command)? {
                    let prepared = session.prepare(&statement, &[]).await?;
                    session.execute(&prepared, &[]).await?;
                }
                Ok(())
            });
            match done {
                Err(error) if tried < TRIES && error.state() == SqlState::SERIALIZATION_FAILURE => {}
                done => return done,
            }
        }
    }
}
