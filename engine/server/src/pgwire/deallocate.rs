//! DEALLOCATE, which names what only the protocol knows.
//!
//! Statements that Parse named live in the connection, and drivers drop them with SQL (psycopg: `DEALLOCATE
//! "_pg3_0"`). So this one statement is recognised here, by its text alone:
//!
//! ```text
//! DEALLOCATE [PREPARE] (ALL | name) [;]
//! ```
//!
//! Anything else, comments included, goes to the session, as does a name that the connection does not know.

/// What to drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// All prepared statements.
    All,
    /// The one of this name.
    Named(String),
}

impl Target {
    /// The command tag.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::All => "DEALLOCATE ALL",
            Self::Named(_) => "DEALLOCATE",
        }
    }
}

/// What a text drops, if it is a DEALLOCATE.
pub(crate) fn recognise(text: &str) -> Option<Target> {
    let text = text.trim_ascii();
    let text = text.strip_suffix(';').unwrap_or(text).trim_ascii_end();
    let text = after_word(text, "deallocate")?;
    let text = after_word(text, "prepare").unwrap_or(text);
    if text.eq_ignore_ascii_case("all") {
        return Some(Target::All);
    }
    if let Some(quoted) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let name = quoted.replace("\"\"", "\"");
        // Every quote inside was doubled.
        let is_one = quoted.matches('"').count() == 2 * name.matches('"').count();
        return (is_one && !name.is_empty()).then_some(Target::Named(name));
    }
    let is_identifier = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || each == '_' || each == '$');
    is_identifier.then(|| Target::Named(text.to_ascii_lowercase()))
}

/// What follows a word and white space.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (first, rest) = text.split_at_checked(word.len())?;
    let rest_trimmed = rest.trim_ascii_start();
    (first.eq_ignore_ascii_case(word) && (rest_trimmed.len() < rest.len())).then_some(rest_trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_its_forms_and_nothing_else() {
        let named = |name: &str| Some(Target::Named(name.to_owned()));
        for (text, target) in [
            ("DEALLOCATE ALL", Some(Target::All)),
            (" deallocate prepare all ; ", Some(Target::All)),
            ("DEALLOCATE \"_pg3_0\"", named("_pg3_0")),
            ("deallocate Foo;", named("foo")),
            ("DEALLOCATE PREPARE foo", named("foo")),
            ("DEALLOCATE\n\"a\"\"b\"", named("a\"b")),
            ("DEALLOCATE prepare", named("prepare")),
            ("DEALLOCATE", None),
            ("DEALLOCATE a; DEALLOCATE b", None),
            ("DEALLOCATE \"a\"; SELECT \"b\"", None),
            ("DEALLOCATE \"\"", None),
            ("DEALLOCATEall", None),
            ("DEALLOCATE 1a", None),
            ("SELECT 1", None),
            ("", None),
            ("äöüäöü", None),
        ] {
            assert_eq!(recognise(text), target, "{text}");
        }
    }
}
