//! From a greeting to a session.
//!
//! 1. The greeting says who the client claims to be ([`options`]).
//! 2. He proves it ([`authenticate`]): with a password, or, on this machine and as a role that has none, by being there. How is
//!    decided in `aion_security::decide`; what is said of a role is said to whom it is.
//! 3. He is let in if the role may log in and has a connection left, and the database is ours ([`admit`]).
//! 4. Settings that come with the greeting are made as by SET; one that cannot be made is a warning, because drivers send
//!    some of them unasked and can do without.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ::pgwire::messages::PgWireBackendMessage;
use ::pgwire::messages::startup::{Authentication, ParameterStatus};
use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use aion_db::{Session, SessionOptions};
use aion_security::{Method, Role, decide};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::End;
use super::input::Input;
use super::output::Output;
use super::seats::{Seat, Seats};
use super::{error, sasl};
use crate::access::Entry;
use crate::service::{NAME, Service, check_database, database_meant};

/// Characters of a setting's value that are reported.
const REPORTED_CHARS_MAX: usize = 1_000;

/// Whose session it is to be.
///
/// # Errors
/// 28000 where no role is named, 0A000 for replication.
pub(crate) fn options(parameters: &BTreeMap<String, String>, address: Option<SocketAddr>) -> Result<SessionOptions> {
    let parameter = |name: &str| {
        parameters
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    };
    let Some(user) = parameter("user") else {
        let error = invalid_authorization("no PostgreSQL user name specified in startup packet");
        return Err(error.with_hint(how_to_connect(address)));
    };
    if parameter("replication").is_some_and(|value| !matches!(value, "false" | "off" | "no" | "0")) {
        return Err(Error::unsupported("replication connections are not supported"));
    }
    Ok(SessionOptions {
        user: user.to_owned(),
        database: database_meant(parameter("database").unwrap_or(user)).to_owned(),
        application: parameter("application_name").unwrap_or_default().to_owned(),
    })
}

/// What a client is told that does not know its way.
fn how_to_connect(address: Option<SocketAddr>) -> String {
    match address {
        Some(address) => format!(
            "Connect with: psql -h {} -p {} -U {NAME} {NAME}",
            address.ip().to_canonical(),
            address.port()
        ),
        None => format!("Connect with: psql -U {NAME} {NAME}"),
    }
}

/// Has the client prove that it is the role of that name, and answers with the role.
///
/// # Errors
/// 28000 and 28P01, and what the exchange of a password ends with.
pub(crate) async fn authenticate<R, W>(
    input: &mut Input<R>,
    output: &mut Output<W>,
    user: &str,
    entry: &Entry,
    service: &Service,
) -> Result<Arc<Role>, End>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let roles = service.database.roles().map_err(End::Fatal)?;
    let mock = service.database.mock().map_err(End::Fatal)?;
    let now = Timestamp(service.clock.wall_micros());
    let method = decide::method(&roles, user, entry.peer, now, &mock).map_err(|error| {
        let has_hint = error.hint().is_some();
        End::Fatal(if has_hint {
            error
        } else {
            error.with_hint(how_to_connect(entry.address))
        })
    })?;
    if let Method::Scram(subject) = method {
        let doom = subject.doom();
        let proved = sasl::authenticate(input, output, subject, &entry.binding).await;
        if let Err(End::Fatal(error)) = &proved {
            // Neither the name, which may be a password in the wrong place, nor the message, which quotes it.
            match doom {
                Some(reason) => tracing::info!(state = %error.state(), %reason, "a login failed"),
                None => tracing::info!(state = %error.state(), "a login failed"),
            }
        }
        proved?;
    }
    let role = roles.get(user).cloned();
    role.ok_or_else(|| End::Fatal(Error::internal("a role that is not there has proved to be who it is")))
}

/// Lets the role in: the seat is its connection.
///
/// # Errors
/// 28000 for a role without LOGIN, 53300 for one that has all its connections, 3D000 for another database.
pub(crate) fn admit(
    role: &Role,
    options: &SessionOptions,
    seats: &Arc<Seats>,
    address: Option<SocketAddr>,
) -> Result<Seat> {
    let seat = seats.take(role)?;
    check_database(&options.database).map_err(|error| error.with_hint(how_to_connect(address)))?;
    Ok(seat)
}

fn invalid_authorization(message: impl Into<String>) -> Error {
    Error::denied(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
}

/// Makes the settings that came with the greeting; answers warnings for those that could not be made.
///
/// # Errors
/// 22023 for an encoding other than UTF-8, which the client would get unasked.
pub(crate) fn settings(session: &mut Session, parameters: &BTreeMap<String, String>) -> Result<Vec<Error>> {
    let mut wanted: Vec<(String, String)> = Vec::new();
    for (name, value) in parameters {
        match name.as_str() {
            "user" | "database" | "replication" | "application_name" => {}
            "options" => wanted.extend(command_line(value)?),
            "client_encoding" => encoding(value)?,
            name if name.starts_with("_pq_.") => {}
            _ => wanted.push((name.clone(), value.clone())),
        }
    }
    let made = wanted
        .iter()
        .map(|(name, value)| (name, session.set_initial(name, value)));
    let warnings = made.filter_map(|(name, made)| Some(warning(name, &made.err()?)));
    Ok(warnings.collect())
}

fn warning(name: &str, error: &Error) -> Error {
    Error::invalid(
        SqlState::WARNING,
        format!("setting \"{name}\" was not made: {}", error.message()),
    )
}

fn encoding(value: &str) -> Result<()> {
    let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    if ["utf8", "unicode", "auto"]
        .iter()
        .any(|known| plain.eq_ignore_ascii_case(known))
    {
        return Ok(());
    }
    Err(Error::invalid(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"client_encoding\": \"{value}\""),
    )
    .with_hint("Text is UTF-8 here: set PGCLIENTENCODING=UTF8."))
}

/// The settings of `-c name=value` and `--name=value`, separated by white space; a backslash takes the next
/// character as it is.
fn command_line(text: &str) -> Result<Vec<(String, String)>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        match next {
            next if next.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            next => word.get_or_insert_default().push(next),
        }
    }
    words.extend(word);
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = match word
            .strip_prefix("--")
            .or_else(|| word.strip_prefix("-c").filter(|rest| !rest.is_empty()))
        {
            Some(setting) => setting.to_owned(),
            None if word == "-c" => words.next().unwrap_or_default(),
            None => return Err(violation_of_options(&word)),
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| violation_of_options(&setting))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn violation_of_options(word: &str) -> Error {
    Error::invalid(
        SqlState::SYNTAX_ERROR,
        format!("invalid command-line argument for server process: {word}"),
    )
    .with_hint("Options have the form -c name=value.")
}

/// Tells the client that it is in, and what it should know.
pub(crate) fn welcome<W: AsyncWrite + Unpin>(output: &mut Output<W>, session: &mut Session, role: &Role) {
    output.send(&PgWireBackendMessage::Authentication(Authentication::Ok));
    let mut reported = session.reported_settings();
    for (name, value) in &mut reported {
        match name.as_str() {
            "session_authorization" => value.clone_from(&role.name),
            "is_superuser" => *value = if role.is_superuser { "on" } else { "off" }.to_owned(),
            _ => {}
        }
    }
    // libpq asks for it where it is not told.
    let read_only = "default_transaction_read_only";
    reported.extend(session.setting(read_only).map(|value| (read_only.to_owned(), value)));
    for (name, value) in reported {
        output.send(&status(name, &value));
    }
    // What was set above has just been told.
    let _ = session.take_changed_settings();
}

/// The value of a setting as a message.
pub(crate) fn status(name: String, value: &str) -> PgWireBackendMessage {
    let value = error::clean(value).chars().take(REPORTED_CHARS_MAX).collect();
    PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn strangers_are_told_how_to_connect() {
        let address = Some("127.0.0.1:5433".parse().expect("an address"));
        let error = options(&parameters(&[]), address).expect_err("nobody");
        assert_eq!(
            (error.state().as_str(), error.message()),
            ("28000", "no PostgreSQL user name specified in startup packet")
        );
        assert_eq!(
            error.hint(),
            Some("Connect with: psql -h 127.0.0.1 -p 5433 -U aion aion")
        );
        let elsewhere = options(&parameters(&[("user", "aion"), ("database", "x")]), address).expect("it is said who");
        let seats = Arc::default();
        let error = admit(&Role::bootstrap(), &elsewhere, &seats, "[::1]:5433".parse().ok());
        let error = error.err().expect("another database");
        assert_eq!(
            (error.state().as_str(), error.message()),
            ("3D000", "database \"x\" does not exist")
        );
        assert_eq!(error.hint(), Some("Connect with: psql -h ::1 -p 5433 -U aion aion"));
        let replication = parameters(&[("user", "aion"), ("replication", "database")]);
        assert_eq!(
            options(&replication, address)
                .expect_err("replication")
                .state()
                .as_str(),
            "0A000"
        );
    }

    #[test]
    fn the_database_is_the_users_by_default() {
        let given = parameters(&[("user", "aion"), ("application_name", "psql"), ("replication", "off")]);
        let options = options(&given, None).expect("ours");
        assert_eq!(
            (options.user, options.database, options.application),
            ("aion".into(), "aion".into(), "psql".into())
        );
    }

    #[test]
    fn the_database_has_the_name_of_postgresqls_own_too() {
        let given = parameters(&[("user", "aion"), ("database", "postgres")]);
        assert_eq!(options(&given, None).expect("ours").database, "aion");
    }

    #[test]
    fn options_are_read_as_a_command_line() {
        let read = |text| {
            command_line(text).map(|pairs| pairs.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>())
        };
        assert_eq!(read("-c a=1  -cb=2 --c-d=3").expect("three"), ["a=1", "b=2", "c_d=3"]);
        assert_eq!(read("-c search_path=a,\\ b\\\\").expect("one"), ["search_path=a, b\\"]);
        assert_eq!(read("").expect("none"), [""; 0]);
        for wrong in ["-x", "-c", "a=1", "--a"] {
            assert_eq!(command_line(wrong).expect_err(wrong).state(), SqlState::SYNTAX_ERROR);
        }
    }

    #[test]
    fn only_utf8_is_spoken() {
        for name in ["UTF8", "utf-8", "'utf-8'", "UNICODE", "auto"] {
            encoding(name).expect(name);
        }
        assert_eq!(
            encoding("LATIN1").expect_err("another").state(),
            SqlState::INVALID_PARAMETER_VALUE
        );
    }
}
