//! The settings of the database for its learned parts: ALTER SYSTEM.

use aion_base::{Error, Result, SqlState};
use aion_shadow::state::{Kind, Mode};

use super::Pipeline;

impl Pipeline {
    /// Changes a setting for good, and at once.
    ///
    /// # Errors
    /// 22023 for a value that it does not take, 42704 for a setting that is no such.
    pub(super) fn set(&self, name: &str, value: Option<&str>) -> Result<()> {
        let mut kept = self.kept.lock();
        let mut settings = kept.settings.clone();
        match name {
            "aion.ai_mode" => settings.ai_mode = value.map(|value| parse_mode(name, value)).transpose()?,
            "aion.auto_kinds" => settings.auto_kinds = value.map(|value| parse_kinds(name, value)).transpose()?,
            _ => {
                return Err(Error::not_found(
                    SqlState::UNDEFINED_OBJECT,
                    format!("\"{name}\" is no setting of the database"),
                )
                .with_hint("ALTER SYSTEM knows aion.ai_mode and aion.auto_kinds. SET changes the others, for a session."));
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
