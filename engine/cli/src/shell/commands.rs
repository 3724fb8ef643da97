//! The shell's own commands, which begin with a backslash.

use std::path::PathBuf;

use aion_base::{Error, Result, SqlState};
use clap::ValueEnum;

use super::print::Format;

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `\q`
    Quit,
    /// `\?`
    Help,
    /// `\d` and `\dt`: the tables.
    Tables,
    /// `\d table`
    Columns(String),
    /// `\timing [on|off]`
    Timing(Option<bool>),
    /// `\x [on|off]`
    Expanded(Option<bool>),
    /// `\format table|csv|json`
    Format(Format),
    /// `\i FILE`
    Include(PathBuf),
}

/// What `\?` says.
pub const HELP: &str = "\
\\d            list the tables
\\d TABLE      describe a table
\\dt           list the tables
\\format NAME  results as table, csv or json
\\i FILE       run a file
\\timing       say how long statements take
\\x            a line for each value
\\q            leave; so does Ctrl-D
\\?            this help

A statement ends with a semicolon. Ctrl-C cancels what runs, or drops what was typed.";

/// Reads a command.
///
/// # Errors
/// 42601 for one that there is not.
pub fn parse(text: &str) -> Result<Command> {
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    // A semicolon out of habit does no harm.
    let argument = argument.trim().trim_end_matches(';').trim_end();
    Ok(match (name.trim_end_matches(';'), argument) {
        ("\\q", "") => Command::Quit,
        ("\\?", "") => Command::Help,
        ("\\d" | "\\dt", "") => Command::Tables,
        ("\\d", table) => Command::Columns(table.to_owned()),
        ("\\timing", switch) => Command::Timing(on_or_off(switch)?),
        ("\\x", switch) => Command::Expanded(on_or_off(switch)?),
        ("\\format", format) => Command::Format(
            Format::from_str(format, true)
                .map_err(|_| wrong(format!("\\format takes table, csv or json, not \"{format}\"")))?,
        ),
        ("\\i", file) if !file.is_empty() => Command::Include(PathBuf::from(file.trim_matches('\''))),
        _ => return Err(wrong(format!("there is no command {text}"))),
    })
}

fn on_or_off(switch: &str) -> Result<Option<bool>> {
    match switch {
        "" => Ok(None),
        "on" => Ok(Some(true)),
        "off" => Ok(Some(false)),
        other => Err(wrong(format!("a switch is on or off, not \"{other}\""))),
    }
}

fn wrong(message: String) -> Error {
    Error::invalid(SqlState::SYNTAX_ERROR, message).with_hint("\\? lists the commands.")
}

/// The query behind `\dt`.
pub const TABLES: &str = "SELECT table_schema AS schema, table_name AS name, table_type AS type
    FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'aion')
    ORDER BY table_schema, table_name";

/// The query behind `\d table`.
pub fn columns(table: &str) -> String {
    let (schema, name) = match table.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, table),
    };
    let literal = |name: &str| {
        let folded = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
            Some(quoted) => quoted.to_owned(),
            None => name.to_lowercase(),
        };
        format!("'{}'", folded.replace('\'', "''"))
    };
    let in_schema = schema.map_or(String::new(), |schema| {
        format!(" AND table_schema = {}", literal(schema))
    });
    format!(
        "SELECT column_name AS \"column\", data_type AS type, is_nullable AS nullable, column_default AS \"default\"
    FROM information_schema.columns WHERE table_name = {}{in_schema} ORDER BY table_schema, ordinal_position",
        literal(name)
    )
}

/// The query behind the completion of names.
pub const NAMES: &str = "SELECT table_name FROM information_schema.tables
    UNION SELECT column_name FROM information_schema.columns
        WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'aion')";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_their_arguments() {
        for (text, command) in [
            ("\\q", Command::Quit),
            ("\\q;", Command::Quit),
            ("\\d", Command::Tables),
            ("\\d flights;", Command::Columns("flights".to_owned())),
            ("\\x", Command::Expanded(None)),
            ("\\timing on", Command::Timing(Some(true))),
            ("\\format JSON", Command::Format(Format::Json)),
            ("\\i  'a b.sql'", Command::Include("a b.sql".into())),
        ] {
            assert_eq!(parse(text).expect(text), command);
        }
        for text in ["\\nothing", "\\format xml", "\\i", "\\x maybe", "\\"] {
            assert_eq!(parse(text).expect_err(text).state(), SqlState::SYNTAX_ERROR, "{text}");
        }
    }

    #[test]
    fn a_name_is_folded_and_cannot_leave_its_quotes() {
        assert!(columns("Flights").contains("table_name = 'flights' ORDER"));
        assert!(columns("s.\"It's\"").contains("table_name = 'It''s' AND table_schema = 's'"));
    }
}
