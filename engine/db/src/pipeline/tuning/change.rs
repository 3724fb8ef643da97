//! The change that a recommendation of kind knob makes: as a command, in force, and taken back.

use aion_base::clock::Clock;
use aion_base::knobs::{Knob, Knobs};
use aion_base::{Error, Result, SqlState};
use aion_shadow::recommendation::{PIPELINE, Recommendation};
use aion_shadow::state::State;
use aion_tuner::policy::{Ended, Proposal, Purpose};

use super::super::Pipeline;
use super::super::stored::Tuned;
use crate::knobs::{PREFIX, parse_value};

/// A change of a knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub name: &'static str,
    pub from: i64,
    pub to: i64,
}

impl Change {
    pub fn proposal(&self, reason: &str) -> Proposal {
        Proposal {
            knob: self.name,
            from: self.from,
            to: self.to,
            purpose: Purpose::Improve,
            reason: reason.to_owned(),
        }
    }

    pub fn set_command(name: &str, value: i64) -> String {
        format!("ALTER SYSTEM SET {PREFIX}{name} = {value}")
    }

    pub fn undo_command(knob: &Knob) -> String {
        match knob.value == knob.default {
            true => format!("ALTER SYSTEM RESET {PREFIX}{}", knob.name),
            false => Self::set_command(knob.name, knob.value),
        }
    }
}

/// The knob and value of a command that sets one; no value where it resets it. None for any other command.
pub fn parse_command(command: &str) -> Option<(String, Option<String>)> {
    let command = command.trim().trim_end_matches(';').replace('=', " = ");
    let words: Vec<&str> = command.split_whitespace().collect();
    let is = |at: usize, word: &str| words.get(at).is_some_and(|there| there.eq_ignore_ascii_case(word));
    let name = words.get(3)?.to_ascii_lowercase();
    let name = name.strip_prefix(PREFIX)?.to_owned();
    if !is(0, "ALTER") || !is(1, "SYSTEM") {
        return None;
    }
    if is(2, "RESET") && words.len() == 4 {
        return Some((name, None));
    }
    let is_set = is(2, "SET") && (is(4, "=") || is(4, "TO")) && words.len() > 5;
    is_set.then(|| {
        let value = words[5..].join(" ");
        let value = value.trim_matches('\'').to_owned();
        (name, Some(value).filter(|value| !value.eq_ignore_ascii_case("default")))
    })
}

pub fn pinned(knob: &Knob) -> Error {
    let message = format!("a person has set {PREFIX}{}: it is not tried", knob.name);
    Error::conflict(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_hint(format!("ALTER SYSTEM RESET {PREFIX}{} gives it back.", knob.name))
}

impl Pipeline {
    /// A recommendation of a command that changes a knob; None for any other command.
    ///
    /// # Errors
    /// 42704 where there is no such knob; 22023 for a value beyond its bounds or more than a step away; 55000 where a person pinned it.
    pub(in crate::pipeline) fn recommend_knob(&self, command: &str, origin: &str, reason: &str) -> Result<Option<u64>> {
        let Some((name, value)) = parse_command(command) else {
            return Ok(None);
        };
        let knob = self.knobs.get(&name)?;
        let to = match value {
            Some(value) => parse_value(&knob, &value)?,
            None => knob.default,
        };
        knob.check(to)?;
        if to == knob.value || to.abs_diff(knob.value) > knob.step.unsigned_abs() {
            let (down, up) = (knob.down().unwrap_or(knob.value), knob.up().unwrap_or(knob.value));
            let message = format!(
                "{PREFIX}{name} is {}: a trial changes it by one step at most",
                knob.value
            );
            let hint =
                format!("Choose another value between {down} and {up}. ALTER SYSTEM SET sets any, without a trial.");
            return Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(hint));
        }
        if knob.is_pinned {
            return Err(pinned(&knob));
        }
        self.observe_knob(&knob, to, origin, reason.to_owned()).map(Some)
    }

    /// A recommendation's change. Before it is tried it starts from what the knob is.
    pub(super) fn change_of(&self, one: &Recommendation) -> Result<Change> {
        let wrong = || Error::internal(format!("recommendation {} changes no knob: {}", one.id, one.command));
        let (name, to) = parse_command(&one.command).ok_or_else(wrong)?;
        let knob = self.knobs.get(&name)?;
        let number = |text: Option<String>| match text {
            Some(text) => text.parse().map_err(|_| wrong()),
            None => Ok(knob.default),
        };
        let (_, from) = one.undo_command.as_deref().and_then(parse_command).ok_or_else(wrong)?;
        Ok(Change {
            name: knob.name,
            from: number(from)?,
            to: number(to)?,
        })
    }

    /// Whether what was tried is what would be made.
    ///
    /// # Errors
    /// Why not, in words.
    pub(in crate::pipeline) fn check_knob(&self, one: &Recommendation) -> Result<(), String> {
        let change = self.change_of(one).map_err(|error| error.message().to_owned())?;
        let knob = self
            .knobs
            .get(change.name)
            .map_err(|error| error.message().to_owned())?;
        match (knob.is_pinned, knob.value == change.from) {
            (true, _) => Err(format!("a person has set {PREFIX}{}", knob.name)),
            (false, false) => Err(format!(
                "{PREFIX}{} is {}, it was tried from {}",
                knob.name, knob.value, change.from
            )),
            (false, true) => Ok(()),
        }
    }

    /// Sets the knob of a recommendation and stores that.
    ///
    /// # Errors
    /// 55000 where a person was faster; what RocksDB and the store answer: then it is as it was.
    pub(in crate::pipeline) fn make_knob(&self, one: &Recommendation) -> Result<()> {
        let change = self.change_of(one)?;
        let mut kept = self.kept.lock();
        if !self.knobs.turn(change.name, &[change.from], change.to)? {
            let message = format!("{PREFIX}{} was changed meanwhile", change.name);
            return Err(Error::conflict(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let mut settings = kept.settings.clone();
        let tuned = Tuned {
            value: change.to,
            recommendation: one.id,
        };
        settings.tuned.insert(change.name.to_owned(), tuned);
        let written = self.write_settings(&mut kept, settings);
        if written.is_err() {
            self.knobs.turn(change.name, &[change.to], change.from)?;
        }
        written
    }

    /// Sets the knob of a recommendation back and stores that. What a person has set since stays.
    ///
    /// # Errors
    /// What RocksDB and the store answer.
    pub(in crate::pipeline) fn undo_knob(&self, one: &Recommendation) -> Result<()> {
        let change = self.change_of(one)?;
        let knob = self.knobs.get(change.name)?;
        let mut kept = self.kept.lock();
        if kept
            .settings
            .tuned
            .get(change.name)
            .is_none_or(|tuned| tuned.recommendation != one.id)
        {
            return Ok(());
        }
        self.knobs.turn(change.name, &[change.to], change.from)?;
        let mut settings = kept.settings.clone();
        settings.tuned.remove(change.name);
        if change.from != knob.default {
            let tuned = Tuned {
                value: change.from,
                recommendation: one.id,
            };
            settings.tuned.insert(change.name.to_owned(), tuned);
        }
        self.write_settings(&mut kept, settings)?;
        drop(kept);
        let ended = Ended::Reverted(one.state_reason.clone());
        let proposal = change.proposal(&one.state_reason);
        self.tuning.tuner.lock().note(proposal, ended, self.clock.monotonic());
        Ok(())
    }

    /// Whether a recommendation's value is in force.
    pub(in crate::pipeline) fn is_knob_made(&self, one: &Recommendation) -> bool {
        let name = one.object.strip_prefix(PREFIX).unwrap_or_default();
        let kept = self.kept.lock();
        kept.settings
            .tuned
            .get(name)
            .is_some_and(|tuned| tuned.recommendation == one.id)
    }

    /// Ends a recommendation whose value is no longer in force: another one replaced it, or a person took the knob.
    pub(in crate::pipeline) fn tidy_knob(&self, one: &Recommendation) -> Result<()> {
        let name = one.object.strip_prefix(PREFIX).unwrap_or_default();
        let by = self
            .kept
            .lock()
            .settings
            .tuned
            .get(name)
            .map(|tuned| tuned.recommendation);
        match by {
            Some(by) if by == one.id => Ok(()),
            Some(by) => {
                let why = format!("recommendation {by} has set it since");
                self.advance(one.id, State::Reverted, PIPELINE, &why, None, |one| {
                    one.undo_is_due = false
                })
            }
            None => {
                let why = "a person has set or reset it since";
                self.advance(one.id, State::Dismissed, PIPELINE, why, None, |_| {})
            }
        }
    }
}
