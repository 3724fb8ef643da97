//! What ALTER TABLE says beyond sqlparser's syntax: SET SCHEMA, and SET STATISTICS, STORAGE and COMPRESSION of a column.
//!
//! `ALTER COLUMN a SET STATISTICS 100` goes on as `SET ("aion column" = a)`, and `SET SCHEMA s` as `SET ("aion schema" = s)`: storage
//! parameters that nobody writes by chance, of which the statement keeps the names in their places.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::parse;

const COLUMN: &str = "aion column";
const SCHEMA: &str = "aion schema";

/// What was carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Of a column that must be there, something that has no effect here.
    Column(ast::Ident),
    /// SET SCHEMA
    Schema(ast::Ident),
}

/// Whether a text may hold such a statement; looked at before the tokens are.
pub fn is_mentioned(text: &str) -> bool {
    const WORDS: [&[u8]; 4] = [b"schema", b"statistics", b"storage", b"compression"];
    parse::mentions(text, &WORDS)
}

/// See the module's header. What is no such statement stays as it is.
pub fn carry(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut carried = Vec::with_capacity(tokens.len());
    for statement in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        let words: Vec<usize> = (0..statement.len())
            .filter(|&at| !matches!(statement[at].token, Token::Whitespace(_)))
            .collect();
        let is_ours = word_at(statement, &words, 0, "ALTER") && word_at(statement, &words, 1, "TABLE");
        match is_ours {
            true => carry_statement(statement, &words, &mut carried),
            false => carried.extend_from_slice(statement),
        }
    }
    carried
}

fn word_at(statement: &[TokenWithSpan], words: &[usize], nth: usize, wanted: &str) -> bool {
    let token = words.get(nth).map(|&at| &statement[at].token);
    matches!(token, Some(Token::Word(Word { value, quote_style: None, .. })) if value.eq_ignore_ascii_case(wanted))
}

/// `words` are the places of the statement's tokens without those between them.
fn carry_statement(statement: &[TokenWithSpan], words: &[usize], out: &mut Vec<TokenWithSpan>) {
    let is = |nth: usize, wanted: &str| word_at(statement, words, nth, wanted);
    let is_word = |nth: usize| matches!(words.get(nth).map(|&at| &statement[at].token), Some(Token::Word(_)));
    let mut depth = 0usize;
    let mut nth = 0;
    // Up to which token the statement was taken over.
    let mut done = 0;
    while nth < words.len() {
        let at = words[nth];
        match statement[at].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        // The name's place, and how many words there are.
        let found = if depth > 0 || nth < 2 {
            None
        } else if is(nth, "SET") && is(nth + 1, "SCHEMA") && is_word(nth + 2) {
            Some((SCHEMA, nth + 2, 3))
        } else if is(nth, "ALTER") {
            let name = nth + 1 + usize::from(is(nth + 1, "COLUMN"));
            let is_negative = matches!(words.get(name + 3).map(|&at| &statement[at].token), Some(Token::Minus));
            let is_setting = is(name + 2, "STATISTICS") || is(name + 2, "STORAGE") || is(name + 2, "COMPRESSION");
            let count = name + 4 + usize::from(is_negative) - nth;
            (is_word(name) && is(name + 1, "SET") && is_setting && nth + count <= words.len())
                .then_some((COLUMN, name, count))
        } else {
            None
        };
        let Some((kind, name, count)) = found else {
            nth += 1;
            continue;
        };
        out.extend_from_slice(&statement[done..at]);
        let span = statement[at].span;
        for token in [
            Token::make_word("SET", None),
            Token::LParen,
            Token::make_word(kind, Some('"')),
            Token::Eq,
        ] {
            out.push(TokenWithSpan::new(token, span));
        }
        out.push(statement[words[name]].clone());
        out.push(TokenWithSpan::new(Token::RParen, span));
        nth += count;
        done = words[nth - 1] + 1;
    }
    out.extend_from_slice(&statement[done..]);
}

/// What storage parameters carry; None for those that are a user's.
pub fn carried(options: &[ast::SqlOption]) -> Option<Carried> {
    let [
        ast::SqlOption::KeyValue {
            key,
            value: ast::Expr::Identifier(name),
        },
    ] = options
    else {
        return None;
    };
    match (key.quote_style, key.value.as_str()) {
        (Some(_), COLUMN) => Some(Carried::Column(name.clone())),
        (Some(_), SCHEMA) => Some(Carried::Schema(name.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn options(text: &str) -> Vec<Option<Carried>> {
        let statements = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let ast::Statement::AlterTable(alter) = &statements.last().expect("a statement").ast else {
            panic!("{text}");
        };
        let of = |operation: &ast::AlterTableOperation| match operation {
            ast::AlterTableOperation::SetOptionsParens { options } => carried(options),
            _ => None,
        };
        alter.operations.iter().map(of).collect()
    }

    #[test]
    fn they_are_read_wherever_they_stand() {
        for (text, schema, columns) in [
            ("ALTER TABLE t SET SCHEMA \"S\"", Some("S"), vec![]),
            (
                "ALTER TABLE ONLY a.t ALTER COLUMN a SET STATISTICS -1;",
                None,
                vec!["a"],
            ),
            (
                "alter table t alter a set storage external, add b int, alter column c set statistics 5",
                None,
                vec!["a", "c"],
            ),
            ("ALTER TABLE t SET (fillfactor = 5)", None, vec![]),
            (
                "SELECT 1; ALTER TABLE t ADD CHECK (a > 1), ALTER a SET COMPRESSION lz4",
                None,
                vec!["a"],
            ),
        ] {
            let found: Vec<Carried> = options(text).into_iter().flatten().collect();
            let names = |found: &Carried| match found {
                Carried::Column(name) => Some(name.value.clone()),
                Carried::Schema(_) => None,
            };
            let schemas = |found: &Carried| match found {
                Carried::Schema(name) => Some(name.value.clone()),
                Carried::Column(_) => None,
            };
            assert_eq!(found.iter().filter_map(names).collect::<Vec<_>>(), columns, "{text}");
            assert_eq!(found.iter().find_map(schemas).as_deref(), schema, "{text}");
        }
    }
}
