//! The settings of the database for its learned parts: ALTER SYSTEM.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aion_base::knobs::Knobs;
use aion_base::{Error, Result, SqlState};
use aion_shadow::state::{Kind, Mode};

use super::{Kept, Pipeline};
use crate::knobs::{PREFIX, parse_value};

impl Pipeline {
    /// Changes a setting for good, and at once.
    ///
    /// # Errors
    /// 22023 for a value that it does not take, 42704 for a setting that is no such.
    pub(super) fn set(&self, name: &str, value: Option<&str>) -> Result<()> {
        let mut kept = self.kept.lock();
        let mut settings = kept.settings.clone();
        if let Some(checked) = aion_sql::check_of_database(name, value.unwrap_or("0"))? {
            match value {
                Some(_) => settings.sessions.insert(name.to_owned(), checked),
                None => settings.sessions.remove(name),
            };
            self.write_settings(&mut kept, settings)?;
            self.keep_history(&kept)?;
            // Sessions look again at their next statement.
            self.session_settings_version.fetch_add(1, Ordering::Release);
            return Ok(());
        }
        match name {
            "aion.ai_mode" => settings.ai_mode = value.map(|value| parse_mode(name, value)).transpose()?,
            "aion.auto_kinds" => settings.auto_kinds = value.map(|value| parse_kinds(name, value)).transpose()?,
            _ if self.is_knob(name) => return self.set_knob(&mut kept, name, value),
            _ => {
                return Err(Error::not_found(
                    SqlState::UNDEFINED_OBJECT,
                    format!("\"{name}\" is no setting of the database"),
                )
                .with_hint(
                    "ALTER SYSTEM knows aion.ai_mode, aion.auto_kinds, history_retention, log_min_duration_statement, \
                     log_parameter_max_length, snapshot_age_max and what the view aion.knobs lists. SET changes the others, for a session.",
                ));
            }
        }
        let mode = settings.ai_mode.unwrap_or(Mode::Shadow);
        self.write_settings(&mut kept, settings)?;
        drop(kept);
        if name == "aion.ai_mode" {
            self.enter(mode)?;
        }
        Ok(())
    }

    /// Tells the store how long history is kept, and how old a snapshot may grow.
    ///
    /// # Errors
    /// An IO error.
    pub(super) fn keep_history(&self, kept: &Kept) -> Result<()> {
        let number = |name: &str| {
            let value = kept.settings.sessions.get(name)?;
            aion_sql::number_of_database(name, value).filter(|number| *number > 0)
        };
        self.store
            .set_snapshot_age_max(number("snapshot_age_max").map(Duration::from_millis));
        self.store
            .keep_history(Duration::from_secs(number("history_retention").unwrap_or(0)))
    }

    fn is_knob(&self, name: &str) -> bool {
        let name = name.strip_prefix(PREFIX).unwrap_or_default();
        self.knobs.list().iter().any(|knob| knob.name == name)
    }

    /// Sets a knob for a person, at once and for good, and pins it; None puts its default back and unpins it.
    fn set_knob(&self, kept: &mut Kept, name: &str, value: Option<&str>) -> Result<()> {
        let knob = self.knobs.get(name.strip_prefix(PREFIX).unwrap_or_default())?;
        let mut settings = kept.settings.clone();
        settings.tuned.remove(knob.name);
        match value {
            Some(value) => {
                let value = parse_value(&knob, value)?;
                self.knobs.pin(knob.name, value)?;
                settings.knobs.insert(knob.name.to_owned(), value);
            }
            None => {
                self.knobs.unpin(knob.name, knob.default)?;
                settings.knobs.remove(knob.name);
            }
        }
        self.write_settings(kept, settings).inspect_err(|_| {
            // What is not stored is not in force either.
            if let Err(error) = self.knobs.restore(knob.name, knob.value, knob.is_pinned) {
                tracing::error!(%error, name, "a setting that could not be stored stays until the database is opened again");
            }
        })
    }

    /// Sets the knobs as they are stored.
    pub(super) fn restore_knobs(&self) {
        let settings = self.kept.lock().settings.clone();
        let of_persons = settings.knobs.iter().map(|(name, value)| (name, *value, true));
        let tuned = settings.tuned.iter().map(|(name, tuned)| (name, tuned.value, false));
        let mut left: Vec<_> = tuned.chain(of_persons).collect();
        // Triggers of level 0 can only move one after the other without breaking their order: what is refused first is not later.
        for _ in 0..left.len() {
            left.retain(|(name, value, is_pinned)| self.knobs.restore(name, *value, *is_pinned).is_err());
        }
        for (name, value, _) in left {
            tracing::warn!(
                name,
                value,
                "a stored setting could not be restored; it has its default"
            );
        }
    }

    /// The kinds that mode auto changes without asking.
    pub(super) fn auto_kinds(&self) -> Vec<Kind> {
        match &self.options.learning.auto_kinds {
            Some(kinds) => kinds.clone(),
            None => self.kept.lock().settings.auto_kinds.clone().unwrap_or_default(),
        }
    }
}

fn refuse(name: &str, value: &str, known: &str) -> Error {
    Error::invalid(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{name}\": \"{value}\""),
    )
    .with_hint(format!("Here it can be: {known}."))
}

fn parse_mode(name: &str, value: &str) -> Result<Mode> {
    let modes: Vec<&str> = Mode::ALL.iter().map(|mode| mode.name()).collect();
    Mode::from_name(&value.to_ascii_lowercase()).ok_or_else(|| refuse(name, value, &modes.join(", ")))
}

fn parse_kinds(name: &str, value: &str) -> Result<Vec<Kind>> {
    let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let named = value.split(',').map(str::trim).filter(|kind| !kind.is_empty());
    named
        .map(|kind| Kind::from_name(&kind.to_ascii_lowercase()).ok_or_else(|| refuse(name, value, &known.join(", "))))
        .collect()
}
