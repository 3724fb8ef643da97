//! The prompt: several lines to a statement, history, completion, and Ctrl-C that ends the statement and not the shell.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use aion_base::{Error, Result};
use reedline::{
    ColumnarMenu, Completer, CompletionResult, Emacs, FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder, Prompt,
    PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal, Span, Suggestion,
    ValidationResult, Validator, default_emacs_keybindings,
};

use super::Shell;
use super::split::Splitter;

/// Statements that the history keeps.
const HISTORY_MAX: usize = 10_000;

/// Names that are completed, at most.
const NAMES_MAX: usize = 10_000;

const MENU: &str = "completion";

const KEYWORDS: &[&str] = &[
    "ALTER TABLE",
    "AND",
    "AS",
    "ASC",
    "BEGIN",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COMMIT",
    "COPY",
    "COUNT",
    "CREATE INDEX",
    "CREATE TABLE",
    "DEFAULT",
    "DELETE FROM",
    "DESC",
    "DISTINCT",
    "DROP TABLE",
    "ELSE",
    "END",
    "EXISTS",
    "EXPLAIN",
    "FROM",
    "GRAPH_TABLE",
    "GROUP BY",
    "HAVING",
    "IN",
    "INNER JOIN",
    "INSERT INTO",
    "IS NULL",
    "JOIN",
    "LEFT JOIN",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER BY",
    "PRIMARY KEY",
    "REFERENCES",
    "RETURNING",
    "ROLLBACK",
    "SELECT",
    "SET",
    "SHOW",
    "SUM",
    "THEN",
    "UNION",
    "UNIQUE",
    "UPDATE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Reads statements from the terminal and runs them until Ctrl-D or `\q`.
pub fn run(shell: &mut Shell) -> Result<()> {
    let mut editor = editor(shell)?;
    loop {
        let read = editor
            .read_line(&Ready)
            .map_err(|error| Error::io("read from the terminal", error))?;
        match read {
            Signal::Success(text) if shell.run_typed(&text)? => return Ok(()),
            Signal::CtrlD => return Ok(()),
            // What was typed is dropped.
            _ => {}
        }
    }
}

fn editor(shell: &mut Shell) -> Result<Reedline> {
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    let menu = Box::new(ColumnarMenu::default().with_name(MENU));
    let mut editor = Reedline::create()
        .with_validator(Box::new(Whole))
        .with_completer(Box::new(Names::new(shell.names())))
        .with_menu(ReedlineMenu::EngineCompleter(menu))
        .with_edit_mode(Box::new(Emacs::new(keys)));
    if let Some(path) = history_path() {
        match FileBackedHistory::with_file(HISTORY_MAX, path.clone()) {
            Ok(history) => editor = editor.with_history(Box::new(history)),
            // The shell works without; who misses it is told why.
            Err(error) => eprintln!("aion: no history in {}: {error}", path.display()),
        }
    }
    Ok(editor)
}

/// `$XDG_STATE_HOME/aion/history`, by default below `~/.local/state`.
fn history_path() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path: &PathBuf| path.is_absolute())
    };
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("aion/history"))
}

/// A statement is whole when nothing of it is open.
struct Whole;

impl Validator for Whole {
    fn validate(&self, text: &str) -> ValidationResult {
        let mut splitter = Splitter::default();
        for line in format!("{text}\n").split_inclusive('\n') {
            if splitter.push(line).is_err() {
                // It is refused when it is run, with the reason.
                return ValidationResult::Complete;
            }
        }
        match splitter.is_empty() {
            true => ValidationResult::Complete,
            false => ValidationResult::Incomplete,
        }
    }
}

/// Completes keywords, tables, columns and commands.
struct Names {
    words: Vec<Arc<str>>,
}

impl Names {
    fn new(mut names: Vec<String>) -> Self {
        names.truncate(NAMES_MAX);
        names.sort();
        names.dedup();
        let words = names.iter().map(String::as_str).chain(KEYWORDS.iter().copied());
        Self {
            words: words.map(Arc::from).collect(),
        }
    }

    /// The words that begin as the one before `position`, and where that begins.
    fn matching(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let before = line.get(..position).unwrap_or(line);
        let is_word = |character: char| character.is_alphanumeric() || character == '_' || character == '\\';
        let start = before
            .char_indices()
            .rev()
            .take_while(|(_, character)| is_word(*character))
            .last()
            .map_or(before.len(), |(at, _)| at);
        let word = before[start..].to_lowercase();
        if word.is_empty() {
            return (start, Vec::new());
        }
        if word.starts_with('\\') {
            let names = ["\\d", "\\dt", "\\format", "\\i", "\\timing", "\\x", "\\q", "\\?"];
            return (
                start,
                names
                    .iter()
                    .filter(|name| name.starts_with(&word))
                    .map(|name| (*name).to_owned())
                    .collect(),
            );
        }
        let is_capital = before[start..].starts_with(char::is_uppercase);
        let found = self.words.iter().filter(|name| name.to_lowercase().starts_with(&word));
        let found = found.map(|name| match KEYWORDS.contains(&&**name) && !is_capital {
            true => name.to_lowercase(),
            false => name.to_string(),
        });
        (start, found.collect())
    }
}

impl Completer for Names {
    fn complete(&mut self, line: &str, position: usize) -> CompletionResult {
        let (start, found) = self.matching(line, position);
        let suggestions: Vec<Suggestion> = found
            .into_iter()
            .map(|value| Suggestion {
                value,
                span: Span::new(start, position),
                append_whitespace: true,
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}

/// The prompt.
struct Ready;

impl Prompt for Ready {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("aion")
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("=> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("    -> ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(search: {}) ", search.term))
    }
}

/// What is said when the shell begins.
pub const WELCOME: &str = "Statements end with a semicolon; \\? lists the commands, Ctrl-D leaves.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_goes_on_until_its_semicolon() {
        let is_whole = |text: &str| matches!(Whole.validate(text), ValidationResult::Complete);
        assert!(is_whole("SELECT 1;") && is_whole("") && is_whole("\\d t") && is_whole("SELECT\n1;"));
        assert!(!is_whole("SELECT 1") && !is_whole("SELECT ';") && !is_whole("SELECT 1; SELECT"));
    }

    #[test]
    fn words_are_completed_where_the_cursor_is() {
        let names = Names::new(vec!["flights".into(), "flight_id".into(), "Weather".into()]);
        assert_eq!(
            names.matching("SELECT * FROM fli WHERE", 17),
            (14, vec!["flight_id".to_owned(), "flights".to_owned()])
        );
        assert_eq!(names.matching("select * fr", 11), (9, vec!["from".to_owned()]));
        assert_eq!(names.matching("SELEC", 5), (0, vec!["SELECT".to_owned()]));
        assert_eq!(names.matching("x.wea", 5), (2, vec!["Weather".to_owned()]));
        assert_eq!(names.matching("\\fo", 3), (0, vec!["\\format".to_owned()]));
        assert!(names.matching("SELECT ", 7).1.is_empty());
    }
}
