//! Regular expressions with PostgreSQL's flags, and what its functions find by them.
//!
//! The language is that of the crate `regex`, as it is for the operators `~` and LIKE's relatives: no back references, no look-around.

use aion_base::{Error, Result, SqlState};
use regex::{Regex, RegexBuilder};

/// Of a compiled pattern, so that a text cannot take all memory.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// 2201B for what is no pattern, or too large a one; 22023 for another flag.
    pub fn new(text: &str, flags: &str) -> Result<Self> {
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(PATTERN_BYTES_MAX);
        for flag in flags.chars() {
            match flag {
                'i' => builder.case_insensitive(true),
                'c' => builder.case_insensitive(false),
                'n' | 'm' => builder.multi_line(true),
                's' => builder.dot_matches_new_line(true),
                'x' => builder.ignore_whitespace(true),
                't' | 'e' => &mut builder,
                other => {
                    let message = format!("invalid regular expression option: \"{other}\"");
                    return Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message));
                }
            };
        }
        builder.build().map(Self).map_err(|error| {
            Error::invalid(
                SqlState::INVALID_REGULAR_EXPRESSION,
                format!("invalid regular expression: {error}"),
            )
        })
    }

    /// What stands between the places where it is found (`regexp_split_to_array`).
    pub fn split<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let (mut parts, mut from) = (Vec::new(), 0);
        for found in self.0.find_iter(text) {
            // One of no characters parts what it stands between, and nothing at the ends.
            if found.is_empty() && (found.start() == from || found.start() == text.len()) {
                continue;
            }
            parts.push(&text[from..found.start()]);
            from = found.end();
        }
        parts.push(&text[from..]);
        parts
    }

    /// The first place where it is found, or of it what its first group found, if it has groups (`substring(text from pattern)`).
    pub fn first<'a>(&self, text: &'a str) -> Option<&'a str> {
        let found = self.0.captures(text)?;
        let group = usize::from(found.len() > 1);
        found.get(group).map(|found| found.as_str())
    }

    /// The group of the nth place, counted from 0, from a character on, counted from 0; group 0 is all of it (`regexp_substr`).
    pub fn nth<'a>(&self, text: &'a str, skipped: usize, nth: usize, group: usize) -> Option<&'a str> {
        let (from, _) = text.char_indices().chain([(text.len(), ' ')]).nth(skipped)?;
        let found = self.0.captures_iter(&text[from..]).nth(nth)?;
        found.get(group).map(|found| found.as_str())
    }
}

/// Whether a text is like a pattern of LIKE, with a backslash before what stands for itself.
///
/// # Errors
/// 22025 for a pattern that ends with a backslash.
pub fn is_like(text: &str, pattern: &str) -> Result<bool> {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut of_pattern) = (0, 0);
    // Where to go on if what follows the last % does not fit: one character further.
    let mut again = None;
    loop {
        match pattern.get(of_pattern) {
            Some('%') => {
                again = Some((at, of_pattern + 1));
                of_pattern += 1;
                continue;
            }
            Some('\\') if pattern.get(of_pattern + 1).is_none() => {
                let message = "LIKE pattern must not end with escape character";
                return Err(Error::invalid(SqlState::INVALID_ESCAPE_SEQUENCE, message));
            }
            Some(&c) => {
                let (wanted, width) = match c {
                    '_' => (None, 1),
                    '\\' => (pattern.get(of_pattern + 1), 2),
                    _ => (pattern.get(of_pattern), 1),
                };
                if text
                    .get(at)
                    .is_some_and(|found| wanted.is_none_or(|wanted| wanted == found))
                {
                    at += 1;
                    of_pattern += width;
                    continue;
                }
            }
            None if at == text.len() => return Ok(true),
            None => {}
        }
        match again {
            Some((from, behind)) if from < text.len() => {
                again = Some((from + 1, behind));
                (at, of_pattern) = (from + 1, behind);
            }
            _ => return Ok(false),
        }
    }
}

/// The regular expression that a pattern of SIMILAR TO is (`similar_to_escape`): `%` and `_` are those of LIKE, the rest is one's own.
///
/// # Errors
/// 22025 for an escape of several characters.
pub fn of_similar(pattern: &str, escape: &str) -> Result<String> {
    let mut of_escape = escape.chars();
    let (escape, None) = (of_escape.next(), of_escape.next()) else {
        let message = "invalid escape string";
        let error = Error::invalid(SqlState::INVALID_ESCAPE_SEQUENCE, message);
        return Err(error.with_hint("Escape string must be empty or one character."));
    };
    let mut out = String::from("(?s)^(?:");
    let (mut is_escaped, mut is_class) = (false, false);
    for c in pattern.chars() {
        if is_escaped {
            out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            is_escaped = false;
            continue;
        }
        match c {
            c if Some(c) == escape => is_escaped = true,
            '\\' => out.push_str("\\\\"),
            c if is_class => {
                is_class = c != ']';
                out.push(c);
            }
            '[' => {
                is_class = true;
                out.push(c);
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '.' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str(")$");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of PostgreSQL 15.
    #[test]
    fn splits_as_postgres() {
        for (text, pattern, flags, expected) in [
            ("a b  c", r"\s+", "", "a|b|c"),
            ("abc", "", "", "a|b|c"),
            ("aXbxc", "x", "i", "a|b|c"),
            (",a,", ",", "", "|a|"),
            ("", ",", "", ""),
            ("the quick", r"\s*", "", "t|h|e|q|u|i|c|k"),
        ] {
            let parts = Pattern::new(pattern, flags).expect(pattern).split(text).join("|");
            assert_eq!(parts, expected, "{text} by {pattern}");
        }
    }

    #[test]
    fn finds_groups_and_places() {
        let pattern = Pattern::new("o(.)b", "").expect("a pattern");
        assert_eq!((pattern.first("foobar"), pattern.first("none")), (Some("o"), None));
        let pattern = Pattern::new("o(.)", "").expect("a pattern");
        assert_eq!(pattern.nth("number of your street", 0, 0, 0), Some("of"));
        assert_eq!(pattern.nth("number of your street", 0, 1, 1), Some("u"));
        assert_eq!(pattern.nth("abc", 9, 0, 0), None);
    }

    /// `text SIMILAR TO pattern` of PostgreSQL 15.
    #[test]
    fn patterns_of_similar_to_are_read() {
        for (text, pattern, is_similar) in [
            ("abc", "abc", true),
            ("abc", "a", false),
            ("abc", "%(b|d)%", true),
            ("abc", "(b|c)%", false),
            ("a.c", "a\\.c", true),
            ("abc", "a.c", false),
            ("a\nc", "a_c", true),
            ("aaa", "a{2,4}", true),
            ("x%", "x\\%", true),
            ("xy", "x\\%", false),
            ("b", "[a-c]", true),
            ("_", "[^a_]", false),
            ("ab|", "ab\\|", true),
        ] {
            let pattern = Pattern::new(&of_similar(pattern, "\\").expect(pattern), "").expect(pattern);
            assert_eq!(pattern.first(text).is_some(), is_similar, "{text:?} by {pattern:?}");
        }
        assert_eq!(of_similar("a", "ab").expect_err("two").state().as_str(), "22025");
    }

    #[test]
    fn patterns_of_like_are_read() {
        for (text, pattern, is_similar) in [
            ("abc", "a%", true),
            ("abc", "%b%", true),
            ("abc", "a_", false),
            ("abc", "___", true),
            ("", "%", true),
            ("", "_", false),
            ("aXbXc", "a%X%c", true),
            ("ab%", "ab\\%", true),
            ("abc", "ab\\%", false),
            ("aaab", "%ab", true),
            ("aab", "%a%a%a%", false),
            ("äöü", "ä_ü", true),
        ] {
            assert_eq!(
                is_like(text, pattern).expect(pattern),
                is_similar,
                "{text} like {pattern}"
            );
        }
        assert_eq!(is_like("a", "a\\").expect_err("cut off").state().as_str(), "22025");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let state = |text, flags| {
            Pattern::new(text, flags)
                .expect_err("wrong")
                .state()
                .as_str()
                .to_owned()
        };
        assert_eq!(state("(", ""), "2201B");
        assert_eq!(state("a", "z"), "22023");
        assert_eq!(state(r"(\w{1000}){1000}", ""), "2201B");
    }
}
