//! A script taken apart into statements and commands, line by line.
//!
//! A statement ends at a `;` that is not within quotes, dollar quotes or a comment. A line that begins with a backslash, where no
//! statement has begun, is a command of the shell. Only what is in the middle of a statement is kept, so a script may have any
//! length.

use aion_base::{Error, Result, SqlState};
use aion_db::TEXT_BYTES_MAX;

/// A part of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A statement, with its `;` where it has one, and the line that its text begins on, from 1.
    Statement(String, usize),
    /// A command, with its backslash, and its line.
    Command(String, usize),
}

/// See the module's header.
#[derive(Debug)]
pub struct Splitter {
    /// What has begun.
    buffer: String,
    state: State,
    /// The line that the buffer begins on, and the one to come.
    start: usize,
    line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Plain,
    /// Within single quotes; after E a backslash takes the next character along.
    Quoted {
        has_escapes: bool,
    },
    Name,
    Dollar(String),
    Comment(usize),
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            buffer: String::new(),
            state: State::Plain,
            start: 1,
            line: 1,
        }
    }
}

impl Splitter {
    /// Takes the next line, with its end; answers what is complete.
    ///
    /// # Errors
    /// 54000 for a statement beyond the session's limit.
    pub fn push(&mut self, line: &str) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        if self.is_empty() {
            self.buffer.clear();
            self.start = self.line;
            if let Some(command) = command(line) {
                pieces.push(Piece::Command(command, self.line));
                self.line += 1;
                return Ok(pieces);
            }
        }
        let mut from = self.buffer.len();
        self.buffer.push_str(line);
        while let Some(end) = self.scan(from) {
            let rest = self.buffer.split_off(end);
            let text = std::mem::replace(&mut self.buffer, rest);
            // Blank lines before it are not part of its places.
            let skipped = text.len() - text.trim_start().len();
            let start = self.start + text[..skipped].matches('\n').count();
            self.start += text.matches('\n').count();
            if !is_blank(&text) {
                pieces.push(Piece::Statement(text[skipped..].to_owned(), start));
            }
            if let Some(command) = command(&self.buffer) {
                pieces.push(Piece::Command(command, self.line));
                self.buffer.clear();
            }
            from = 0;
        }
        if self.buffer.len() > TEXT_BYTES_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "the statement on line {} has more than {TEXT_BYTES_MAX} bytes",
                    self.start
                ),
            )
            .with_hint("Is a quote or a semicolon missing? Load data with COPY."));
        }
        self.line += 1;
        Ok(pieces)
    }

    /// The end of the script: what has begun is a statement too.
    pub fn finish(self) -> Option<Piece> {
        if self.is_empty() {
            return None;
        }
        let skipped = self.buffer.len() - self.buffer.trim_start().len();
        let start = self.start + self.buffer[..skipped].matches('\n').count();
        Some(Piece::Statement(self.buffer[skipped..].to_owned(), start))
    }

    /// Whether nothing has begun.
    pub fn is_empty(&self) -> bool {
        self.state == State::Plain && is_blank(&self.buffer)
    }

    /// Goes through the buffer from a place on; the place behind a `;` that ends a statement. The buffer ends with a line, so
    /// what belongs together within a line is there.
    fn scan(&mut self, from: usize) -> Option<usize> {
        let mut at = from;
        while let Some(next) = self.buffer[at..].chars().next() {
            let rest = &self.buffer[at..];
            let (step, state) = match &self.state {
                State::Plain => match next {
                    ';' => return Some(at + 1),
                    '\'' => (
                        1,
                        State::Quoted {
                            has_escapes: has_escapes(&self.buffer[..at]),
                        },
                    ),
                    '"' => (1, State::Name),
                    '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), State::Plain),
                    '/' if rest.starts_with("/*") => (2, State::Comment(1)),
                    '$' if !ends_word(&self.buffer[..at]) => match dollar_tag(rest) {
                        Some(tag) => (tag.len(), State::Dollar(tag.to_owned())),
                        None => (1, State::Plain),
                    },
                    other => (other.len_utf8(), State::Plain),
                },
                state @ State::Quoted { has_escapes } => match next {
                    '\\' if *has_escapes => (1 + rest[1..].chars().next().map_or(0, char::len_utf8), state.clone()),
                    '\'' if rest.starts_with("''") => (2, state.clone()),
                    '\'' => (1, State::Plain),
                    other => (other.len_utf8(), state.clone()),
                },
                State::Name if next == '"' => (1, State::Plain),
                State::Dollar(tag) if rest.starts_with(tag.as_str()) => (tag.len(), State::Plain),
                State::Comment(depth) if rest.starts_with("*/") => match depth {
                    1 => (2, State::Plain),
                    depth => (2, State::Comment(depth - 1)),
                },
                State::Comment(depth) if rest.starts_with("/*") => (2, State::Comment(depth + 1)),
                state => (next.len_utf8(), state.clone()),
            };
            at += step;
            self.state = state;
        }
        None
    }
}

/// A line that is a command, without what surrounds it.
fn command(line: &str) -> Option<String> {
    let line = line.trim();
    line.starts_with('\\').then(|| line.to_owned())
}

/// Whether a text has nothing but white space, comments and semicolons.
fn is_blank(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        rest = match rest.as_bytes() {
            [] => return true,
            [b';', ..] => rest[1..].trim_start(),
            [b'-', b'-', ..] => match rest.find('\n') {
                Some(end) => rest[end..].trim_start(),
                None => return true,
            },
            _ => return false,
        };
    }
}

/// Whether a quote after this text begins a string with escapes: `E'..'`.
fn has_escapes(before: &str) -> bool {
    let mut last = before.chars().rev();
    matches!(last.next(), Some('e' | 'E')) && !last.next().is_some_and(is_word)
}

fn ends_word(before: &str) -> bool {
    before.chars().next_back().is_some_and(is_word)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

/// `$$` or `$tag$` at the beginning; not the parameter `$1`.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find('$')? + 1;
    let tag = &rest[1..end];
    let is_tag = tag
        .chars()
        .all(|character| character.is_alphanumeric() || character == '_')
        && !tag.starts_with(|first: char| first.is_ascii_digit());
    is_tag.then(|| &rest[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<Piece> {
        let mut splitter = Splitter::default();
        let mut pieces: Vec<_> = text
            .split_inclusive('\n')
            .flat_map(|line| splitter.push(line).expect("short"))
            .collect();
        pieces.extend(splitter.finish());
        pieces
    }

    fn statement(text: &str, line: usize) -> Piece {
        Piece::Statement(text.to_owned(), line)
    }

    #[test]
    fn a_semicolon_ends_a_statement_and_not_within_quotes() {
        for whole in [
            "SELECT ';''';",
            "SELECT E'\\';';",
            "SELECT 'e\\';",
            "SELECT \";\";",
            "SELECT $$;$$;",
            "SELECT $a$ $$ ; $a$;",
            "SELECT 1 /* ; /* ; */ ; */;",
            "SELECT 1 -- ; '\n;",
            "SELECT $1, a$b;",
            "SELECT '\n;\n';",
        ] {
            assert_eq!(split(whole), [statement(whole, 1)], "{whole}");
        }
        assert_eq!(
            split("SELECT 1;\n\n SELECT\n 2; SELECT 3;;\nSELECT 4"),
            [
                statement("SELECT 1;", 1),
                statement("SELECT\n 2;", 3),
                statement("SELECT 3;", 4),
                statement("SELECT 4", 5)
            ]
        );
    }

    #[test]
    fn commands_stand_alone_on_a_line() {
        assert_eq!(
            split("\\dt\nSELECT\n\\dt\n;\n  \\x  \n"),
            [
                Piece::Command("\\dt".to_owned(), 1),
                statement("SELECT\n\\dt\n;", 2),
                Piece::Command("\\x".to_owned(), 5)
            ]
        );
        let both = [statement("SELECT 1;", 1), Piece::Command("\\q".to_owned(), 1)];
        assert_eq!(split("SELECT 1; \\q\n"), both);
    }

    #[test]
    fn nothing_is_nothing() {
        for text in ["", "\n\n", ";;\n", "-- only a comment\n", " ; -- x\n;"] {
            assert_eq!(split(text), [], "{text:?}");
        }
    }

    #[test]
    fn an_open_quote_is_not_empty_and_has_a_limit() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push("SELECT '\n").expect("short"), []);
        assert!(!splitter.is_empty());
        let error = splitter.push(&"x".repeat(TEXT_BYTES_MAX)).expect_err("long");
        assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    }
}
