//! Settings of a session: SET, RESET and SHOW.
//!
//! **Vocabulary.** A setting has a name (case does not count), a text value, and a default. *Reported* settings are told to
//! clients when they change (ParameterStatus).
//!
//! What a transaction block sets is undone when it is rolled back ([`Settings::mark`]); what it sets with SET LOCAL, when it ends.
//!
//! One table, [`SETTINGS`], says what exists, what a value must look like, and whether it is ours to change. A name
//! with a point that is not ours (`myapp.user`) is kept for the application, as PostgreSQL does.

mod units;

use std::collections::BTreeMap;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::Zone;
use aion_storage::Isolation;
use units::{BYTES, Integer, MILLISECONDS, SECONDS, TIME};

/// A setting that exists.
#[derive(Debug)]
struct Setting {
    name: &'static str,
    default: &'static str,
    kind: Kind,
    is_reported: bool,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Any text.
    Text,
    /// on or off, in PostgreSQL's spellings.
    Bool,
    /// One of these, whatever the case.
    OneOf(&'static [&'static str]),
    /// An isolation level.
    Isolation,
    /// A duration: a number of milliseconds, or a number with ms, s, min, h or d.
    Duration,
    /// A whole number with a unit.
    Integer(Integer),
    /// The name of a time zone.
    TimeZone,
    /// Cannot be changed.
    Fixed,
}

const fn setting(name: &'static str, default: &'static str, kind: Kind, is_reported: bool) -> Setting {
    Setting {
        name,
        default,
        kind,
        is_reported,
    }
}

/// The modes of the learned parts, each of which may do what those before it may.
const MODES: &[&str] = &["off", "shadow", "advise", "auto"];

/// The lower of two modes.
pub fn lower_mode<'a>(one: &'a str, other: &'a str) -> &'a str {
    let height = |mode: &str| MODES.iter().position(|there| *there == mode).unwrap_or(0);
    if height(one) < height(other) { one } else { other }
}

const SETTINGS: &[Setting] = &[
    // What the learned parts may do for this session; never more than the database's mode, which is what SHOW says then.
    setting("aion.ai_mode", "auto", Kind::OneOf(MODES), false),
    // Names of indexes that queries are planned without; writes keep them all the same.
    setting("aion.hidden_indexes", "", Kind::Text, false),
    // Off: statements that name rows by their primary key are planned like all others. The answers are the same.
    setting("aion.direct_path", "on", Kind::Bool, false),
    setting("aion.semi_join_reduction", "on", Kind::Bool, false),
    setting("application_name", "", Kind::Text, true),
    setting("bytea_output", "hex", Kind::OneOf(&["hex"]), false),
    // Scripts of pg_dump switch it off; there are no function bodies to check.
    setting("check_function_bodies", "on", Kind::Bool, false),
    setting(
        "client_encoding",
        "UTF8",
        Kind::OneOf(&["UTF8", "UTF-8", "unicode"]),
        true,
    ),
    setting(
        "client_min_messages",
        "notice",
        Kind::OneOf(&[
            "debug", "debug1", "debug2", "debug3", "debug4", "debug5", "log", "notice", "warning", "error",
        ]),
        false,
    ),
    setting("datestyle", "ISO, MDY", Kind::OneOf(&["ISO, MDY", "ISO"]), true),
    // The one of `pg_am` that tables have.
    setting(
        "default_table_access_method",
        "rows",
        Kind::OneOf(&["rows", "heap"]),
        false,
    ),
    setting("default_tablespace", "", Kind::Text, false),
    setting("default_transaction_isolation", "serializable", Kind::Isolation, false),
    setting("default_transaction_read_only", "off", Kind::Bool, false),
    setting("extra_float_digits", "1", Kind::OneOf(&["0", "1", "2", "3"]), false),
    // How long what is overwritten is kept, for AS OF SYSTEM TIME; the database's alone.
    setting("history_retention", "0", Kind::Integer(SECONDS), false),
    setting("hnsw.exact", "off", Kind::Bool, false),
    setting("idle_in_transaction_session_timeout", "0", Kind::Duration, false),
    setting("in_hot_standby", "off", Kind::Fixed, true),
    setting("integer_datetimes", "on", Kind::Fixed, true),
    setting("intervalstyle", "postgres", Kind::OneOf(&["postgres"]), true),
    setting("is_superuser", "on", Kind::Fixed, true),
    setting("lock_timeout", "0", Kind::Duration, false),
    setting("log_min_duration_statement", "-1", Kind::Integer(MILLISECONDS), false),
    // PostgreSQL logs values whole unless told otherwise; here none is logged unless somebody asks for it.
    setting("log_parameter_max_length", "0", Kind::Integer(BYTES), false),
    // The server says what it is.
    setting("max_connections", "100", Kind::Fixed, false),
    setting("max_identifier_length", "63", Kind::Fixed, false),
    setting("max_prepared_transactions", "0", Kind::Fixed, false),
    setting("max_index_keys", "32", Kind::Fixed, false),
    // There is no row security yet, so both mean the same.
    setting("row_security", "on", Kind::Bool, false),
    // What `\password` of psql asks for.
    setting("password_encryption", "scram-sha-256", Kind::Fixed, false),
    setting("search_path", "\"$user\", public", Kind::Text, true),
    setting("server_encoding", "UTF8", Kind::Fixed, true),
    setting("server_version", crate::SERVER_VERSION, Kind::Fixed, true),
    setting("server_version_num", "150000", Kind::Fixed, false),
    setting("session_authorization", "aion", Kind::Fixed, true),
    setting("superuser_reserved_connections", "3", Kind::Fixed, false),
    setting("standard_conforming_strings", "on", Kind::OneOf(&["on"]), true),
    // How old a snapshot may grow; the database's alone. Off: a dump and a long query are not to fail for their length unless somebody said so.
    setting("snapshot_age_max", "0", Kind::Integer(TIME), false),
    setting("statement_timeout", "0", Kind::Duration, false),
    setting("timezone", "UTC", Kind::TimeZone, true),
    setting("transaction_isolation", "serializable", Kind::Isolation, false),
    setting("transaction_read_only", "off", Kind::Bool, false),
    setting("xmloption", "content", Kind::OneOf(&["content", "document"]), false),
];

/// Those that only a superuser may set, and that ALTER SYSTEM sets for all sessions.
const OF_DATABASE: [&str; 4] = [
    "history_retention",
    "log_min_duration_statement",
    "log_parameter_max_length",
    "snapshot_age_max",
];

/// Those among them that no session has another value of.
const OF_DATABASE_ALONE: [&str; 2] = ["history_retention", "snapshot_age_max"];

/// The levels of the standard. READ UNCOMMITTED is READ COMMITTED, as in PostgreSQL.
const ISOLATION_LEVELS: [&str; 4] = ["serializable", "repeatable read", "read committed", "read uncommitted"];

/// The level of that name.
pub fn isolation(level: &str) -> Isolation {
    match level {
        "read committed" | "read uncommitted" => Isolation::ReadCommitted,
        "repeatable read" => Isolation::RepeatableRead,
        _ => Isolation::Serializable,
    }
}

/// Values by the names of their settings.
pub type Values = Arc<BTreeMap<String, String>>;

/// The settings of one session.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What the database and the server say where the session says nothing.
    base: Values,
    changed: Arc<BTreeMap<String, String>>,
    /// What stands when the transaction block commits, where that is something else: SET LOCAL was used.
    after_commit: Option<Arc<BTreeMap<String, String>>>,
    version: u64,
    unreported: BTreeMap<String, String>,
}

/// The settings at one moment, to return to.
#[derive(Clone, Debug, Default)]
pub struct SettingsMark {
    changed: Arc<BTreeMap<String, String>>,
    after_commit: Option<Arc<BTreeMap<String, String>>>,
}

/// A setting, its value and what it may be.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Its value as SHOW prints it.
    pub value: String,
    /// What RESET makes it.
    pub default: String,
    /// PostgreSQL's word for its kind: `bool`, `enum`, `string`.
    pub type_name: &'static str,
    /// The values of an enum.
    pub values: Option<Vec<String>>,
    /// It cannot be changed.
    pub is_fixed: bool,
    /// Nobody changed it.
    pub is_default: bool,
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

fn unknown(name: &str) -> Error {
    Error::not_found(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

/// The value that ALTER SYSTEM gives a setting which the database has for its sessions; None where it has none of that name.
///
/// # Errors
/// 22023 for a value that it does not take.
pub fn check_of_database(name: &str, value: &str) -> Result<Option<String>> {
    match find(name).filter(|setting| OF_DATABASE.contains(&setting.name)) {
        Some(setting) => setting.kind.check(setting.name, value).map(Some),
        None => Ok(None),
    }
}

/// A value of such a setting that is a number, without its unit.
pub fn number_of_database(name: &str, value: &str) -> Option<u64> {
    match find(name)?.kind {
        Kind::Integer(integer) => u64::try_from(integer.read(value)?).ok(),
        _ => None,
    }
}

/// Whether only a superuser may set it.
pub fn is_of_superusers(name: &str) -> bool {
    OF_DATABASE.iter().any(|there| there.eq_ignore_ascii_case(name))
}

impl Settings {
    /// The value as SHOW prints it.
    ///
    /// # Errors
    /// 42704 for a name that does not exist.
    pub fn show(&self, name: &str) -> Result<String> {
        let key = name.to_ascii_lowercase();
        if let Some(value) = self.changed.get(&key) {
            return Ok(value.clone());
        }
        self.default_of(&key).map_err(|_| unknown(name))
    }

    /// What RESET makes a setting.
    ///
    /// # Errors
    /// 42704 for a name that does not exist.
    pub fn default_of(&self, name: &str) -> Result<String> {
        let setting = find(name).ok_or_else(|| unknown(name))?;
        let given = self.base.get(setting.name);
        Ok(given.map_or_else(|| setting.default.to_owned(), Clone::clone))
    }

    /// Takes what the database and the server say over all that they said before.
    pub fn set_base(&mut self, base: Values) {
        self.base = base;
        self.version += 1;
    }

    /// What the database and the server say.
    pub fn base(&self) -> &Values {
        &self.base
    }

    /// Sets a value.
    ///
    /// # Errors
    /// 42704 for a name that does not exist, 22023 for a value that it does not take, 55P02 for one that is fixed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let key = name.to_ascii_lowercase();
        let Some(setting) = find(&key) else {
            // A prefix of ours without a setting of that name is a typing error, not an application's own.
            if !key.contains('.') || key.starts_with("aion.") || key.starts_with("hnsw.") {
                return Err(unknown(name));
            }
            self.put(key, value.to_owned());
            return Ok(());
        };
        if OF_DATABASE_ALONE.contains(&setting.name) {
            return Err(Error::invalid(
                SqlState::CANT_CHANGE_RUNTIME_PARAM,
                format!("parameter \"{}\" cannot be changed now", setting.name),
            )
            .with_hint(format!(
                "ALTER SYSTEM SET {} changes it for the database.",
                setting.name
            )));
        }
        let value = setting.kind.check(setting.name, value)?;
        if setting.is_reported && self.show(&key)? != value {
            self.unreported.insert(setting.name.to_owned(), value.clone());
        }
        self.put(key, value);
        Ok(())
    }

    /// Sets a value that RESET returns to: it came with the session's beginning.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub fn set_initial(&mut self, name: &str, value: &str) -> Result<()> {
        self.set(name, value)?;
        let key = name.to_ascii_lowercase();
        if let Some(setting) = find(&key) {
            let checked = self.show(setting.name)?;
            Arc::make_mut(&mut self.base).insert(key, checked);
        }
        Ok(())
    }

    fn put(&mut self, key: String, value: String) {
        if let Some(after_commit) = &mut self.after_commit {
            Arc::make_mut(after_commit).insert(key.clone(), value.clone());
        }
        Arc::make_mut(&mut self.changed).insert(key, value);
        self.version += 1;
    }

    /// Sets a value until the transaction block ends.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub fn set_local(&mut self, name: &str, value: &str) -> Result<()> {
        let after_commit = self.after_commit.clone().unwrap_or_else(|| self.changed.clone());
        let set = self.set(name, value);
        if set.is_ok() || self.after_commit.is_some() {
            self.after_commit = Some(after_commit);
        }
        set
    }

    /// The settings now, to return to.
    pub fn mark(&self) -> SettingsMark {
        SettingsMark {
            changed: self.changed.clone(),
            after_commit: self.after_commit.clone(),
        }
    }

    /// Undoes what was set since: a block, or a part of it, is rolled back.
    pub fn return_to(&mut self, mark: SettingsMark) {
        self.replace(mark.changed);
        self.after_commit = mark.after_commit;
    }

    /// Undoes what was set for the block alone: it committed.
    pub fn end_local(&mut self) {
        if let Some(after_commit) = self.after_commit.take() {
            self.replace(after_commit);
        }
    }

    fn replace(&mut self, changed: Arc<BTreeMap<String, String>>) {
        if Arc::ptr_eq(&self.changed, &changed) {
            return;
        }
        let before = std::mem::replace(&mut self.changed, changed);
        self.version += 1;
        for setting in SETTINGS.iter().filter(|setting| setting.is_reported) {
            let value = self.changed.get(setting.name);
            if before.get(setting.name) != value {
                let value = match value {
                    Some(value) => value.clone(),
                    None => self.default_of(setting.name).unwrap_or_default(),
                };
                self.unreported.insert(setting.name.to_owned(), value);
            }
        }
    }

    /// Whether a setting of on and off is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.show(name).is_ok_and(|value| value == "on")
    }

    /// Back to the default.
    ///
    /// # Errors
    /// 42704 for a name that does not exist.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        let key = name.to_ascii_lowercase();
        match find(&key) {
            Some(setting) if OF_DATABASE.contains(&setting.name) => {
                // So that it follows when the database's value changes.
                self.remove(&key);
                Ok(())
            }
            Some(setting) if !matches!(setting.kind, Kind::Fixed) => {
                let default = self.default_of(&key)?;
                self.set(&key, &default)
            }
            Some(_) => Ok(()),
            None if self.changed.contains_key(&key) => {
                self.remove(&key);
                Ok(())
            }
            None => Err(unknown(name)),
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(after_commit) = &mut self.after_commit {
            Arc::make_mut(after_commit).remove(key);
        }
        Arc::make_mut(&mut self.changed).remove(key);
        self.version += 1;
    }

    /// Rises with each change, so that who keeps what a setting says knows when to look again.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All settings with their values, by name.
    pub fn all(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<String, String> = SETTINGS
            .iter()
            .map(|setting| (setting.name.to_owned(), setting.default.to_owned()))
            .collect();
        all.extend(self.base.as_ref().clone());
        all.extend(self.changed.as_ref().clone());
        all.into_iter().collect()
    }

    /// All settings as `pg_settings` shows them, by name.
    pub fn described(&self) -> Vec<Described> {
        let ours = SETTINGS.iter().map(|setting| Described {
            name: spelling(setting.name).to_owned(),
            value: self.show(setting.name).unwrap_or_default(),
            default: self.default_of(setting.name).unwrap_or_default(),
            type_name: match setting.kind {
                Kind::Bool => "bool",
                Kind::Integer(_) => "integer",
                Kind::OneOf(_) | Kind::Isolation => "enum",
                Kind::Text | Kind::Duration | Kind::TimeZone | Kind::Fixed => "string",
            },
            values: match setting.kind {
                Kind::OneOf(values) => Some(values.iter().map(|&value| value.to_owned()).collect()),
                Kind::Isolation => Some(ISOLATION_LEVELS.map(str::to_owned).to_vec()),
                _ => None,
            },
            is_fixed: matches!(setting.kind, Kind::Fixed),
            is_default: !self.changed.contains_key(setting.name),
        });
        let mut all: Vec<Described> = ours.collect();
        let others = self.changed.iter().filter(|(name, _)| find(name).is_none());
        all.extend(others.map(|(name, value)| Described {
            name: name.clone(),
            value: value.clone(),
            default: String::new(),
            type_name: "string",
            values: None,
            is_fixed: false,
            is_default: false,
        }));
        all.sort_by_key(|setting| setting.name.to_ascii_lowercase());
        all
    }

    /// A whole number, without its unit.
    pub fn integer(&self, name: &str) -> i64 {
        let shown = self.show(name).unwrap_or_default();
        match find(name).map(|setting| setting.kind) {
            Some(Kind::Integer(integer)) => integer.read(&shown).unwrap_or(-1),
            _ => -1,
        }
    }

    /// `statement_timeout` in milliseconds; None when there is none.
    pub fn statement_timeout_ms(&self) -> Option<u64> {
        self.duration_ms("statement_timeout")
    }

    /// A setting that is a time, in milliseconds; None when there is none.
    pub fn duration_ms(&self, name: &str) -> Option<u64> {
        self.show(name)
            .ok()
            .and_then(|value| duration_ms(&value))
            .filter(|&millis| millis > 0)
    }

    /// Reported settings that changed since the last call.
    pub fn take_unreported(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.unreported)
            .into_iter()
            .map(|(name, value)| (spelling(&name).to_owned(), value))
            .collect()
    }

    /// Reported settings with their values, for the start of a session.
    pub fn reported(&self) -> Vec<(String, String)> {
        SETTINGS
            .iter()
            .filter(|setting| setting.is_reported)
            .map(|setting| {
                (
                    spelling(setting.name).to_owned(),
                    self.show(setting.name).unwrap_or_default(),
                )
            })
            .collect()
    }
}

/// Clients look for some names in PostgreSQL's spelling.
pub fn spelling(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        other => other,
    }
}

impl Kind {
    fn check(self, name: &str, value: &str) -> Result<String> {
        let refuse = |what: &str| {
            Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"{name}\": \"{value}\""),
            )
            .with_hint(what)
        };
        match self {
            Self::Text => Ok(value.to_owned()),
            Self::Bool => match value.to_ascii_lowercase().as_str() {
                "on" | "true" | "yes" | "1" | "t" => Ok("on".to_owned()),
                "off" | "false" | "no" | "0" | "f" => Ok("off".to_owned()),
                _ => Err(refuse("It is on or off.")),
            },
            Self::OneOf(values) => match values.iter().find(|there| there.eq_ignore_ascii_case(value)) {
                Some(there) => Ok(canonical(values[0], there)),
                None => Err(refuse(&format!("Here it can be: {}.", values.join("; ")))),
            },
            Self::Isolation => match value.to_ascii_lowercase().as_str() {
                level if ISOLATION_LEVELS.contains(&level) => Ok(level.to_owned()),
                _ => Err(refuse(&format!("It can be: {}.", ISOLATION_LEVELS.join("; ")))),
            },
            Self::Duration => match duration_ms(value) {
                Some(_) => Ok(value.trim().to_owned()),
                None => Err(refuse("A number of milliseconds, or a number with ms, s, min, h or d.")),
            },
            Self::TimeZone => match Zone::setting(value) {
                Some((_, name)) => Ok(name),
                None => Err(Error::invalid(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid value for parameter \"{}\": \"{value}\"", spelling(name)),
                )),
            },
            Self::Integer(integer) => integer.check(name, value),
            Self::Fixed => Err(Error::invalid(
                SqlState::CANT_CHANGE_RUNTIME_PARAM,
                format!("parameter \"{name}\" cannot be changed"),
            )),
        }
    }
}

/// Spellings of one value become the first of them; values that differ stay.
fn canonical(first: &str, found: &str) -> String {
    let are_synonyms = matches!(first, "UTF8" | "UTC" | "ISO, MDY");
    if are_synonyms {
        first.to_owned()
    } else {
        found.to_owned()
    }
}

fn duration_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
        .filter(|&millis| millis <= i32::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_and_shown_as_set() {
        let mut settings = Settings::default();
        assert_eq!(settings.show("TimeZone").expect("known"), "UTC");
        settings.set("hnsw.exact", "TRUE").expect("a boolean");
        assert_eq!(settings.show("hnsw.exact").expect("known"), "on");
        settings.reset("hnsw.exact").expect("known");
        assert_eq!(settings.show("hnsw.exact").expect("known"), "off");
        settings.set("statement_timeout", "2s").expect("a duration");
        assert_eq!(settings.statement_timeout_ms(), Some(2_000));
        let state = |result: Result<()>| result.expect_err("refused").state();
        assert_eq!(
            state(settings.set("timezone", "Mars/Olympus")),
            SqlState::INVALID_PARAMETER_VALUE
        );
        assert_eq!(
            state(settings.set("server_version", "1")),
            SqlState::CANT_CHANGE_RUNTIME_PARAM
        );
        assert_eq!(
            state(settings.set("default_transaction_isolation", "snapshot")),
            SqlState::INVALID_PARAMETER_VALUE
        );
        settings
            .set("default_transaction_isolation", "READ COMMITTED")
            .expect("a level");
        assert_eq!(state(settings.set("hnsw.exakt", "on")), SqlState::UNDEFINED_OBJECT);
        assert_eq!(
            settings.show("no_such").expect_err("unknown").state(),
            SqlState::UNDEFINED_OBJECT
        );
        settings.set("myapp.user", "42").expect("an application's own");
        assert_eq!(settings.show("myapp.user").expect("set"), "42");
    }

    #[test]
    fn clients_are_told_of_changes_once() {
        let mut settings = Settings::default();
        settings.set("application_name", "psql").expect("text");
        settings.set("client_encoding", "utf-8").expect("a synonym");
        assert_eq!(
            settings.take_unreported(),
            [("application_name".to_owned(), "psql".to_owned())]
        );
        assert!(settings.take_unreported().is_empty());
        assert!(
            settings
                .reported()
                .iter()
                .any(|(name, value)| name == "DateStyle" && value == "ISO, MDY")
        );
    }
}
