//! Calls that product code must not make.

use super::Violation;
use super::modules::{Modules, Purpose};
use crate::model::Model;
use crate::policy::{BANS, Ban, Pattern};
use crate::scan::{Kind, Source, is_mark, scan};

/// Banned calls outside the places that may make them.
pub fn banned(model: &Model, modules: &Modules) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in model.rust_files() {
        let purpose = modules.purpose(path);
        if purpose == Purpose::Test {
            continue;
        }
        let source = scan(text);
        for ban in BANS {
            let excused = ban.in_build_scripts && purpose == Purpose::BuildScript;
            if excused || ban.allowed.iter().any(|prefix| path.starts_with(prefix)) {
                continue;
            }
            for line in lines(ban, &source) {
                let message = format!("`{}` in product code: {}", ban.pattern.shown(), ban.instead);
                violations.push(Violation::new("calls", format!("{path}:{line}"), message));
            }
        }
    }
    violations
}

impl Pattern {
    fn shown(&self) -> String {
        match self {
            Pattern::Method(name) => format!(".{name}()"),
            Pattern::Macro(name) => format!("{name}!"),
            Pattern::Path(segments) => segments.join("::"),
        }
    }
}

/// The lines of product code that hold the call.
fn lines(ban: &Ban, source: &Source<'_>) -> Vec<usize> {
    let tokens = &source.tokens;
    let product_words = || {
        let words = tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| token.kind == Kind::Word && !token.test);
        words.map(|(at, token)| (at, token.text, token.line))
    };
    match ban.pattern {
        Pattern::Method(name) => product_words()
            .filter(|(at, text, _)| {
                *text == name
                    && is_mark(tokens, at.wrapping_sub(1), ".")
                    && is_mark(tokens, at + 1, "(")
                    && is_mark(tokens, at + 2, ")")
            })
            .map(|(_, _, line)| line)
            .collect(),
        Pattern::Macro(name) => product_words()
            .filter(|(at, text, _)| {
                *text == name
                    && is_mark(tokens, at + 1, "!")
                    && ["(", "[", "{"].iter().any(|open| is_mark(tokens, at + 2, open))
            })
            .map(|(_, _, line)| line)
            .collect(),
        Pattern::Path(segments) => source
            .paths()
            .iter()
            .filter(|path| !path.test && path.segments.windows(segments.len()).any(|window| window == segments))
            .map(|path| path.line)
            .collect(),
    }
}
