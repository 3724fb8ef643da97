//! A small scanner for Rust source: words, literals and marks with their lines, without comments, and with the test
//! code marked. It is not a parser: it knows just enough to tell a call in product code from the same letters in a
//! string, a comment or a test.
//!
//! How it works:
//!
//! 1. [`scan`] cuts the text into tokens. Comments (nested ones too) vanish, every kind of string becomes one literal.
//! 2. It then finds the attributes `#[test]`, `#[x::test]`, `#[cfg(test)]` and `#[cfg(all(test, ..))]` and marks the
//!    item that follows as test code, to its closing brace or semicolon. `#![cfg(test)]` marks the whole file.
//! 3. [`Source::paths`] lists every `a::b::c` of the source, with the imports of a `use` written out one by one.
//!
//! `#[cfg(any(test, ..))]` and `#[cfg(not(test))]` are product code: both are compiled into some product.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An identifier or a keyword.
    Word,
    /// A string, character, number or lifetime.
    Literal,
    /// One character of punctuation.
    Mark,
}

/// A piece of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// Its text, as written.
    pub text: &'a str,
    /// The line it begins on, from 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
    /// Whether it stands in test code.
    pub test: bool,
}

/// A path of the source, `std::fs::read` as `["std", "fs", "read"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// Its segments.
    pub segments: Vec<&'a str>,
    /// The line its last segment stands on, from 1.
    pub line: usize,
    /// Whether it stands in test code.
    pub test: bool,
}

/// A scanned file.
pub struct Source<'a> {
    /// All tokens in order.
    pub tokens: Vec<Token<'a>>,
    test_lines: Vec<Range<usize>>,
    line_count: usize,
}

/// Scans one file.
pub fn scan(text: &str) -> Source<'_> {
    let mut tokens = Scanner { text, at: 0, line: 1 }.tokens();
    let test_items = test_items(&tokens);
    let mut test_lines: Vec<Range<usize>> = Vec::new();
    for item in &test_items {
        for token in &mut tokens[item.clone()] {
            token.test = true;
        }
        test_lines.push(tokens[item.start].line..tokens[item.end - 1].line + 1);
    }
    Source {
        tokens,
        test_lines,
        line_count: text.lines().count(),
    }
}

impl<'a> Source<'a> {
    /// The number of lines that are not test code; comments and blank lines count.
    pub fn product_line_count(&self) -> usize {
        (1..=self.line_count)
            .filter(|line| !self.test_lines.iter().any(|range| range.contains(line)))
            .count()
    }

    /// Every path, imports written out.
    pub fn paths(&self) -> Vec<Path<'a>> {
        let tokens = &self.tokens;
        let mut paths = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if tokens[at].kind != Kind::Word {
                at += 1;
            } else if tokens[at].text == "use" {
                at = imports(tokens, at + 1, &[], &mut paths);
            } else {
                let start = at;
                while is_path_separator(tokens, at + 1) && tokens.get(at + 3).is_some_and(|t| t.kind == Kind::Word) {
                    at += 3;
                }
                paths.push(Path {
                    segments: tokens[start..=at].iter().step_by(3).map(|token| token.text).collect(),
                    line: tokens[at].line,
                    test: tokens[at].test,
                });
                at += 1;
            }
        }
        paths
    }
}

fn is_path_separator(tokens: &[Token<'_>], at: usize) -> bool {
    is_mark(tokens, at, ":") && is_mark(tokens, at + 1, ":")
}

/// Whether the token at `at` is this mark.
pub fn is_mark(tokens: &[Token<'_>], at: usize, mark: &str) -> bool {
    tokens
        .get(at)
        .is_some_and(|token| token.kind == Kind::Mark && token.text == mark)
}

/// Whether the token at `at` is this word.
pub fn is_word(tokens: &[Token<'_>], at: usize, word: &str) -> bool {
    tokens
        .get(at)
        .is_some_and(|token| token.kind == Kind::Word && token.text == word)
}

/// Writes out one `use` tree from `at`, below `prefix`, and returns where it ends.
fn imports<'a>(tokens: &[Token<'a>], mut at: usize, prefix: &[&'a str], paths: &mut Vec<Path<'a>>) -> usize {
    let mut segments = prefix.to_vec();
    let mut renamed = false;
    let mut grouped = false;
    while let Some(token) = tokens.get(at) {
        match (token.kind, token.text) {
            (Kind::Word, "as") => renamed = true,
            (Kind::Word, "self") if segments.len() == prefix.len() && !prefix.is_empty() => {}
            (Kind::Word, word) if !renamed => segments.push(word),
            (Kind::Word, _) | (Kind::Mark, ":" | "*") => {}
            (Kind::Mark, "{") => {
                grouped = true;
                at += 1;
                while at < tokens.len() && !is_mark(tokens, at, "}") {
                    at = imports(tokens, at, &segments, paths);
                    if is_mark(tokens, at, ",") {
                        at += 1;
                    } else if !is_mark(tokens, at, "}") {
                        return at;
                    }
                }
            }
            _ => break,
        }
        at += 1;
    }
    if !grouped && !segments.is_empty() {
        let last = &tokens[at.saturating_sub(1)];
        paths.push(Path {
            segments,
            line: last.line,
            test: last.test,
        });
    }
    at
}

/// The token ranges of the items that are test code.
fn test_items(tokens: &[Token<'_>]) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some(attribute) = attribute(tokens, at) else {
            at += 1;
            continue;
        };
        if !says_test(&tokens[attribute.clone()]) {
            at = attribute.end + 1;
        } else if is_mark(tokens, at + 1, "!") {
            // Within an inline module it would speak of that module only; such code stays product.
            if !tokens[..at].iter().any(|token| token.text == "{") {
                items.push(0..tokens.len());
                return items;
            }
            at = attribute.end + 1;
        } else {
            let end = item_end(tokens, attribute.end + 1);
            items.push(at..end);
            at = end;
        }
    }
    items
}

/// The tokens between the brackets of the attribute that begins at `at`.
fn attribute(tokens: &[Token<'_>], at: usize) -> Option<Range<usize>> {
    if !is_mark(tokens, at, "#") {
        return None;
    }
    let open = if is_mark(tokens, at + 1, "!") { at + 2 } else { at + 1 };
    is_mark(tokens, open, "[").then(|| open + 1..closing(tokens, open))
}

/// The index of the mark that closes the bracket at `open`, or the end of the file.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match (token.kind, token.text) {
            (Kind::Mark, "(" | "[" | "{") => depth += 1,
            (Kind::Mark, ")" | "]" | "}") => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

fn says_test(attribute: &[Token<'_>]) -> bool {
    let texts: Vec<&str> = attribute.iter().map(|token| token.text).collect();
    match texts.as_slice() {
        ["cfg", "(", "test", ")"] => true,
        ["cfg", "(", "all", "(", inner @ ..] => says_test_at_top(inner),
        // `test`, `tokio::test`, `tokio::test(flavor = "..")`
        all => {
            let path = all.split(|text| *text == "(").next().unwrap_or_default();
            matches!(path, ["test"] | [.., ":", ":", "test"])
        }
    }
}

/// Whether `test` is one of the conditions of an `all(`, rather than of an `any` or a `not` within it.
fn says_test_at_top(inner: &[&str]) -> bool {
    let mut depth = 1usize;
    for text in inner {
        match *text {
            "(" => depth += 1,
            ")" => depth -= 1,
            "test" if depth == 1 => return true,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    false
}

/// The end of the item, field or arm that begins at `at`, further attributes included.
fn item_end(tokens: &[Token<'_>], mut at: usize) -> usize {
    while let Some(attribute) = attribute(tokens, at) {
        at = attribute.end + 1;
    }
    if is_word(tokens, at, "pub") {
        at = if is_mark(tokens, at + 1, "(") {
            closing(tokens, at + 1) + 1
        } else {
            at + 1
        };
    }
    let first = tokens.get(at).map_or("", |token| token.text);
    let constant = first == "const"
        && !["fn", "unsafe", "extern", "async"]
            .iter()
            .any(|w| is_word(tokens, at + 1, w));
    let to_semicolon = constant || ["static", "let", "type", "use"].contains(&first);
    let has_block = [
        "mod",
        "fn",
        "struct",
        "enum",
        "union",
        "trait",
        "impl",
        "const",
        "unsafe",
        "async",
        "extern",
        "macro_rules",
    ]
    .contains(&first);
    while let Some(token) = tokens.get(at) {
        match (token.kind, token.text) {
            (Kind::Mark, ";") => return at + 1,
            (Kind::Mark, ",") if !to_semicolon && !has_block => return at + 1,
            (Kind::Mark, "{") if !to_semicolon => return (closing(tokens, at) + 1).min(tokens.len()),
            (Kind::Mark, "(" | "[" | "{") => at = closing(tokens, at),
            (Kind::Mark, ")" | "]" | "}") => return at,
            _ => {}
        }
        at += 1;
    }
    tokens.len()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Scanner<'a> {
    fn tokens(mut self) -> Vec<Token<'a>> {
        let mut tokens = Vec::new();
        while let Some(first) = self.rest().chars().next() {
            let (length, kind) = self.next_length(first);
            let text = &self.rest()[..length];
            if let Some(kind) = kind {
                tokens.push(Token {
                    text,
                    line: self.line,
                    kind,
                    test: false,
                });
            }
            self.line += text.matches('\n').count();
            self.at += length;
        }
        tokens
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The length in bytes of what comes next, and its kind; `None` for blanks and comments.
    fn next_length(&self, first: char) -> (usize, Option<Kind>) {
        let rest = self.rest();
        if first.is_whitespace() {
            return (first.len_utf8(), None);
        }
        if rest.starts_with("//") {
            return (rest.find('\n').unwrap_or(rest.len()), None);
        }
        if rest.starts_with("/*") {
            return (block_comment_length(rest), None);
        }
        if let Some(length) = string_length(rest) {
            return (length, Some(Kind::Literal));
        }
        if first == '\'' {
            return (quote_length(rest), Some(Kind::Literal));
        }
        if first.is_ascii_digit() {
            return (number_length(rest), Some(Kind::Literal));
        }
        if let Some(raw) = rest.strip_prefix("r#")
            && raw.starts_with(is_word_start)
        {
            return (2 + word_length(raw), Some(Kind::Word));
        }
        if is_word_start(first) {
            return (word_length(rest), Some(Kind::Word));
        }
        (first.len_utf8(), Some(Kind::Mark))
    }
}

fn is_word_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn number_length(text: &str) -> usize {
    let whole = word_length(text);
    match text[whole..].strip_prefix('.') {
        Some(fraction) if fraction.starts_with(|c: char| c.is_ascii_digit()) => whole + 1 + word_length(fraction),
        _ => whole,
    }
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a plain, byte, C or raw string at the start of `text`.
fn string_length(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            let raw = prefix.ends_with('r');
            rest.starts_with('"') || (raw && rest.starts_with('#') && rest.trim_start_matches('#').starts_with('"'))
        })
    })?;
    let body = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let open = prefix.len() + hashes + 1;
        return Some(text[open..].find(&end).map_or(text.len(), |at| open + at + end.len()));
    }
    Some(prefix.len() + escaped_length(body, b'"'))
}

/// The length of a quoted text with backslash escapes; `text` begins with the quote.
fn escaped_length(text: &str, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of a character or a lifetime at the start of `text`.
fn quote_length(text: &str) -> usize {
    let mut inner = text[1..].chars();
    match inner.next() {
        Some('\\') => escaped_length(text, b'\''),
        Some(first) if inner.next() == Some('\'') => first.len_utf8() + 2,
        _ => 1 + word_length(&text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        scan(text)
            .tokens
            .iter()
            .filter(|token| token.kind == Kind::Word)
            .map(|token| token.text)
            .collect()
    }

    fn product_words(text: &str) -> Vec<&str> {
        scan(text)
            .tokens
            .iter()
            .filter(|token| token.kind == Kind::Word && !token.test)
            .map(|t| t.text)
            .collect()
    }

    fn paths(text: &str) -> Vec<String> {
        scan(text).paths().iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn comments_and_strings_hold_no_words() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f /// g\n//! h\ni"), ["a", "f", "i"]);
        assert_eq!(
            words(r####"a "b \" c" d r#"e " f"# g b"h" br##"i "# j"## k c"l" m"####),
            ["a", "d", "g", "k", "m"]
        );
        assert_eq!(words("a \"b\nc\\\\\" d"), ["a", "d"]);
    }

    #[test]
    fn characters_are_not_lifetimes() {
        assert_eq!(
            words(r"f('a', 'b') g::<'c>('\'', '\\', '\u{1F600}', '£') h"),
            ["f", "g", "h"]
        );
        assert_eq!(
            words("x: &'a str, y: &'static [u8; '{' as usize]"),
            ["x", "str", "y", "u8", "as", "usize"]
        );
    }

    #[test]
    fn numbers_and_raw_words() {
        assert_eq!(
            words("0x1F 1_000u64 2.5e3 0..n 1.max(2) r#type"),
            ["n", "max", "r#type"]
        );
    }

    #[test]
    fn a_broken_file_is_read_to_its_end() {
        for text in [
            "\"open",
            "/* open",
            "r#\"open\"",
            "'",
            "#[cfg(test)]",
            "#[cfg(test",
            "use a::{b",
            "'\\",
            "mod x {",
        ] {
            scan(text).paths();
        }
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let source = scan("a\n\"b\nc\"\n/* d\n*/ e");
        let lines: Vec<(&str, usize)> = source.tokens.iter().map(|token| (token.text, token.line)).collect();
        assert_eq!(lines, [("a", 1), ("\"b\nc\"", 2), ("e", 5)]);
    }

    #[test]
    fn test_items_are_marked() {
        assert_eq!(
            product_words("fn a() {} #[cfg(test)] mod tests { fn b() {} } fn c() {}"),
            ["fn", "a", "fn", "c"]
        );
        assert_eq!(
            product_words("#[test]\n#[should_panic]\npub(crate) fn a<B, C>(d: [u8; 2]) { e } f"),
            ["f"]
        );
        assert_eq!(
            product_words("#[tokio::test(start_paused = true)] async fn a() { b } c"),
            ["c"]
        );
        assert_eq!(product_words("#[cfg(test)] use a::{b, c}; d"), ["d"]);
        assert_eq!(product_words("#[cfg(test)] const A: B = B { c: 1 }; d"), ["d"]);
        assert_eq!(product_words("#[cfg(test)] const fn a() {} d"), ["d"]);
        assert_eq!(
            product_words("struct A { #[cfg(test)] b: C, d: E }"),
            ["struct", "A", "d", "E"]
        );
        assert_eq!(product_words("#[cfg(all(test, unix))] fn a() {} b"), ["b"]);
        assert_eq!(product_words("#![cfg(test)] fn a() {}"), [""; 0]);
        assert_eq!(
            product_words("mod a { #![cfg(test)] b }"),
            ["mod", "a", "cfg", "test", "b"]
        );
    }

    #[test]
    fn what_is_also_built_without_tests_is_product() {
        assert_eq!(product_words("#[cfg(any(test, unix))] fn a() {}").last(), Some(&"a"));
        assert_eq!(product_words("#[cfg(not(test))] fn a() {}").last(), Some(&"a"));
        assert_eq!(
            product_words("#[cfg(all(unix, not(test)))] fn a() {}").last(),
            Some(&"a")
        );
        assert_eq!(
            product_words("#[cfg_attr(test, derive(Debug))] struct A;").last(),
            Some(&"A")
        );
    }

    #[test]
    fn product_lines_leave_out_tests() {
        assert_eq!(
            scan("//! Header.\n\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n").product_line_count(),
            4
        );
    }

    #[test]
    fn paths_are_joined() {
        assert_eq!(paths("std::fs::read(x.y)"), ["std::fs::read", "x", "y"]);
        assert_eq!(paths("Vec::<u8>::new()"), ["Vec", "u8", "new"]);
    }

    #[test]
    fn imports_are_written_out() {
        assert_eq!(
            paths("use std::{fs::{self, File}, io as x, time::*};"),
            ["std::fs", "std::fs::File", "std::io", "std::time"]
        );
        assert_eq!(
            paths("use a; use ::b::c; pub use self::d;"),
            ["a", "b::c", "pub", "self::d"]
        );
    }
}
