//! Errors and notices, as psql shows them: severity, SQLSTATE, message; the line with a caret under the place; detail and hint.

use aion_base::Error;

use super::table::width;
use crate::screen::is_closed_pipe;

/// Columns of a line that are shown around a place.
const SHOWN_WIDTH: usize = 100;

/// An error, whoever it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaint {
    /// `ERROR`, `FATAL`, `NOTICE`, `WARNING`.
    pub severity: String,
    /// The five characters.
    pub state: String,
    /// What happened.
    pub message: String,
    /// Facts beyond the message.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The place in the statement, in characters from 1.
    pub position: Option<usize>,
    /// The connection is gone: nothing can follow.
    pub is_fatal: bool,
    /// Nobody reads standard output any more.
    pub is_closed_pipe: bool,
}

impl Complaint {
    /// The complaint of an error of ours.
    pub fn new(severity: &str, error: &Error) -> Self {
        Self {
            severity: severity.to_owned(),
            state: error.state().to_string(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            position: error.position(),
            is_fatal: false,
            is_closed_pipe: is_closed_pipe(error),
        }
    }

    /// The complaint about a statement that begins on line `first_line` of `file`; without a file no lines are told but the
    /// statement's own.
    pub fn show(&self, statement: &str, file: Option<&str>, first_line: usize) -> String {
        let place = match file {
            Some(file) => format!("{file}:{first_line}: "),
            None => String::new(),
        };
        let mut shown = format!("{place}{}:  {}: {}\n", self.severity, self.state, self.message);
        if let Some((number, line, before)) = self.position.and_then(|position| line_of(statement, position)) {
            let prefix = format!("LINE {number}: ");
            let indent = " ".repeat(prefix.len() + before);
            shown.push_str(&format!("{prefix}{line}\n{indent}^\n"));
        }
        for (name, text) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if let Some(text) = text {
                shown.push_str(&format!("{name}:  {text}\n"));
            }
        }
        shown
    }
}

impl From<Error> for Box<Complaint> {
    fn from(error: Error) -> Self {
        Self::new(Complaint::new("ERROR", &error))
    }
}

/// The line that a place is on: its number, what is shown of it, and how many columns stand before the place.
fn line_of(statement: &str, position: usize) -> Option<(usize, String, usize)> {
    let before = position.checked_sub(1)?;
    let at = statement
        .char_indices()
        .nth(before)
        .map_or(statement.len(), |(at, _)| at);
    // A place behind the end is the end of the last line.
    let at = at.min(statement.trim_end().len());
    let start = statement[..at].rfind('\n').map_or(0, |end| end + 1);
    let number = statement[..start].matches('\n').count() + 1;
    let end = statement[start..].find('\n').map_or(statement.len(), |end| start + end);
    let clean = |text: &str| text.replace(|character: char| character.is_control(), " ");
    let (mut left, mut right) = (clean(&statement[start..at]), clean(&statement[at..end]));
    if width(&left) > SHOWN_WIDTH / 2 && width(&left) + width(&right) > SHOWN_WIDTH {
        let skipped = left.chars().count() - SHOWN_WIDTH / 2;
        left = format!("...{}", left.chars().skip(skipped).collect::<String>());
    }
    if width(&left) + width(&right) > SHOWN_WIDTH {
        right = right.chars().take(SHOWN_WIDTH / 2).collect::<String>() + "...";
    }
    let columns = width(&left);
    Some((number, left + &right, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(statement: &str, position: usize) -> String {
        let complaint = Complaint {
            severity: "ERROR".to_owned(),
            state: "42P01".to_owned(),
            message: "no".to_owned(),
            hint: Some("try".to_owned()),
            position: Some(position),
            ..Complaint::default()
        };
        complaint.show(statement, None, 1)
    }

    #[test]
    fn a_caret_stands_under_the_place() {
        assert_eq!(
            at("SELECT '日',\n  x FROM t", 15),
            "ERROR:  42P01: no\nLINE 2:   x FROM t\n          ^\nHINT:  try\n"
        );
        assert_eq!(
            at("SELECT '日', x", 13),
            "ERROR:  42P01: no\nLINE 1: SELECT '日', x\n                     ^\nHINT:  try\n"
        );
        assert!(
            at("SELECT\n", 8).contains("LINE 1: SELECT\n              ^"),
            "{}",
            at("SELECT\n", 8)
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let statement = format!("SELECT {}x{} FROM t", "a, ".repeat(100), ", b".repeat(100));
        let shown = at(&statement, 308);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].chars().nth(lines[2].len() - 1), Some('x'), "{shown}");
        assert!(width(lines[1]) < 130, "{shown}");
    }

    #[test]
    fn a_script_is_named() {
        let complaint: Box<Complaint> = Error::unsupported("no").into();
        assert_eq!(complaint.show("x", Some("a.sql"), 7), "a.sql:7: ERROR:  0A000: no\n");
    }
}
