//! ALTER SYSTEM SET and RESET: settings of the database.
//!
//! sqlparser has no syntax for it. `ALTER SYSTEM SET a.b = 'c'` goes on as `SET "aion alter system".a.b = 'c'`, which it can read and which
//! nobody writes by chance; all tokens keep their places in the text.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::dml::normalize;

/// The first part of the name of a setting that is the database's.
const CARRIER: &str = "aion alter system";

/// Whether a text may hold such a statement; looked at before the tokens are.
pub fn is_mentioned(text: &str) -> bool {
    text.as_bytes()
        .windows(6)
        .any(|window| window.eq_ignore_ascii_case(b"system"))
}

/// See the module's header. What is no such statement stays as it is.
pub fn carry(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_word = |token: Option<&TokenWithSpan>, word: &str| {
        matches!(token.map(|token| &token.token), Some(Token::Word(Word { value, quote_style: None, .. }))
            if value.eq_ignore_ascii_case(word))
    };
    let mut carried = Vec::with_capacity(tokens.len());
    for statement in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        let words: Vec<usize> = statement
            .iter()
            .enumerate()
            .filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)))
            .map(|(at, _)| at)
            .take(3)
            .collect();
        let at = |nth: usize| words.get(nth).and_then(|&at| statement.get(at));
        let is_ours =
            is_word(at(0), "ALTER") && is_word(at(1), "SYSTEM") && (is_word(at(2), "SET") || is_word(at(2), "RESET"));
        if !is_ours {
            carried.extend_from_slice(statement);
            continue;
        }
        let verb = words[2];
        carried.push(statement[verb].clone());
        let span = statement[verb].span;
        let space = Token::Whitespace(datafusion::sql::sqlparser::tokenizer::Whitespace::Space);
        carried.push(TokenWithSpan::new(space, span));
        carried.push(TokenWithSpan::new(Token::make_word(CARRIER, Some('"')), span));
        carried.push(TokenWithSpan::new(Token::Period, span));
        let rest = statement[verb + 1..].iter();
        carried.extend(
            rest.skip_while(|token| matches!(token.token, Token::Whitespace(_)))
                .cloned(),
        );
    }
    carried
}

/// The name of the setting that an ALTER SYSTEM changes; None for any other statement.
pub fn carried(statement: &ast::Statement) -> Option<String> {
    let name = match statement {
        ast::Statement::Set(ast::Set::SingleAssignment { variable, .. }) => variable,
        ast::Statement::Reset(ast::ResetStatement {
            reset: ast::Reset::ConfigurationParameter(name),
        }) => name,
        _ => return None,
    };
    let parts: Vec<&ast::Ident> = name.0.iter().filter_map(ast::ObjectNamePart::as_ident).collect();
    let (first, rest) = parts.split_first()?;
    if first.quote_style.is_none() || first.value != CARRIER {
        return None;
    }
    let rest: Vec<String> = rest.iter().map(|part| normalize(part)).collect();
    Some(rest.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn it_is_read_and_nothing_else_is() {
        for (text, name) in [
            ("ALTER SYSTEM SET aion.ai_mode = 'advise'", Some("aion.ai_mode")),
            ("alter system /* c */ set aion.ai_mode to advise;", Some("aion.ai_mode")),
            ("ALTER SYSTEM RESET aion.auto_kinds", Some("aion.auto_kinds")),
            ("SELECT 1; ALTER SYSTEM SET x.y = DEFAULT", Some("x.y")),
            ("SET aion.ai_mode = 'off'", None),
            ("SELECT 'ALTER SYSTEM SET a.b = 1'", None),
        ] {
            let statements = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let last = statements.last().expect("a statement");
            assert_eq!(carried(&last.ast).as_deref(), name, "{text}");
        }
        for wrong in ["ALTER SYSTEM", "ALTER SYSTEM SET", "ALTER SYSTEM DROP x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
