//! What sqlparser does not know of identity and generated columns: DROP EXPRESSION, the options of GENERATED in any order, ALTER COLUMN's SET GENERATED, SET of an
//! option, RESTART and DROP IDENTITY, and OVERRIDING in an INSERT.
//!
//! It goes on in a place that sqlparser can read, under a name that nobody writes by chance:
//!
//! | written | read as |
//! |---|---|
//! | `id integer GENERATED ALWAYS AS IDENTITY (...)` | `id integer DEFAULT "aion identity"('GENERATED ALWAYS AS IDENTITY (...)')` |
//! | `ALTER COLUMN id RESTART WITH 5` | `ALTER COLUMN id SET DEFAULT "aion identity"('RESTART WITH 5')` |
//! | `INSERT INTO t (a) OVERRIDING USER VALUE ...` | `INSERT INTO t (a, "aion overriding user") ...` |
//!
//! As with `utility`, it is parsed where the tokens are looked through, so that an error has its place, and again where it is run.

use aion_base::Result;
use aion_catalog::descriptor::Identity;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use crate::dialect::Postgres;
use crate::parse;
use crate::utility::{Options, SequenceOption, option, word};

/// The function that carries what is said of an identity column.
const CARRIER: &str = "aion identity";
/// The columns that carry OVERRIDING SYSTEM VALUE and OVERRIDING USER VALUE.
const OVERRIDING_SYSTEM: &str = "aion overriding system";
const OVERRIDING_USER: &str = "aion overriding user";

/// What becomes of a column that is, or is to be, an identity column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityChange {
    /// GENERATED ... AS IDENTITY in a column's definition, and ADD GENERATED.
    Add {
        kind: Identity,
        options: Vec<SequenceOption>,
        /// SEQUENCE NAME
        name: Option<ast::ObjectName>,
    },
    /// SET GENERATED, SET of options, RESTART.
    Set {
        kind: Option<Identity>,
        options: Vec<SequenceOption>,
    },
    /// DROP IDENTITY
    Drop { if_exists: bool },
    /// DROP EXPRESSION, of a column that is computed of others.
    DropExpression { if_exists: bool },
}

/// Whose values an INSERT gives to identity columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overriding {
    /// The user's, also where they are GENERATED ALWAYS.
    System,
    /// The sequence's, whatever the user gives.
    User,
}

/// Whether a text may hold any of this; looked at before the tokens are.
pub fn is_mentioned(text: &str) -> bool {
    const WORDS: [&[u8]; 3] = [b"identity", b"alter", b"overriding"];
    parse::mentions(text, &WORDS)
}

/// See the module's header. What is nothing of this stays as it is.
///
/// # Errors
/// 42601 with the place, for what is wrong.
pub fn carry(tokens: Vec<TokenWithSpan>, text: &str) -> Result<Vec<TokenWithSpan>> {
    let mut carried = Vec::with_capacity(tokens.len());
    for statement in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        carry_statement(&Tokens::new(statement), text, &mut carried)?;
    }
    Ok(carried)
}

/// The tokens of a statement, and where those are that mean something.
struct Tokens<'a> {
    all: &'a [TokenWithSpan],
    places: Vec<usize>,
}

/// What is to be replaced: tokens that mean something, from the first up to one.
struct Found {
    from: usize,
    end: usize,
}

impl<'a> Tokens<'a> {
    fn new(all: &'a [TokenWithSpan]) -> Self {
        let is_meant = |at: &usize| !matches!(all[*at].token, Token::Whitespace(_) | Token::SemiColon);
        Self {
            places: (0..all.len()).filter(is_meant).collect(),
            all,
        }
    }

    fn token(&self, at: usize) -> Option<&Token> {
        self.places.get(at).map(|&place| &self.all[place].token)
    }

    fn is(&self, at: usize, wanted: &str) -> bool {
        matches!(self.token(at), Some(Token::Word(Word { value, quote_style: None, .. }))
            if value.eq_ignore_ascii_case(wanted))
    }

    fn are(&self, at: usize, wanted: &[&str]) -> bool {
        wanted
            .iter()
            .enumerate()
            .all(|(beyond, word)| self.is(at + beyond, word))
    }

    /// GENERATED ... AS IDENTITY and its options.
    fn definition(&self, from: usize) -> Option<Found> {
        if !self.is(from, "GENERATED") {
            return None;
        }
        let mut end = match (self.is(from + 1, "ALWAYS"), self.are(from + 1, &["BY", "DEFAULT"])) {
            (true, _) => from + 2,
            (_, true) => from + 3,
            _ => return None,
        };
        if !self.are(end, &["AS", "IDENTITY"]) {
            return None;
        }
        end += 2;
        if self.token(end) == Some(&Token::LParen) {
            // They have no parentheses within.
            while self.token(end).is_some_and(|token| *token != Token::RParen) {
                end += 1;
            }
            end = (end + 1).min(self.places.len());
        }
        Some(Found { from, end })
    }

    /// What stands behind ALTER COLUMN and a name, up to the next comma.
    fn alteration(&self, at: usize) -> Option<Found> {
        const OPTIONS: [&str; 8] = [
            "GENERATED",
            "INCREMENT",
            "MINVALUE",
            "MAXVALUE",
            "START",
            "RESTART",
            "CACHE",
            "CYCLE",
        ];
        if !self.is(at, "ALTER") {
            return None;
        }
        let name = at + 1 + usize::from(self.is(at + 1, "COLUMN"));
        let from = name + 1;
        let is_ours = self.is(from, "RESTART")
            || self.are(from, &["DROP", "IDENTITY"])
            || self.are(from, &["DROP", "EXPRESSION"])
            || self.are(from, &["ADD", "GENERATED"])
            || self.is(from, "SET")
                && (OPTIONS.iter().any(|option| self.is(from + 1, option))
                    || ["MINVALUE", "MAXVALUE", "CYCLE"]
                        .iter()
                        .any(|option| self.are(from + 1, &["NO", option])));
        if !is_ours {
            return None;
        }
        let (mut end, mut depth) = (from, 0_usize);
        while let Some(token) = self.token(end) {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                Token::Comma if depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        Some(Found { from, end })
    }

    /// From the start of the first to the end of the last.
    fn span(&self, found: &Found) -> Span {
        let (first, last) = (self.places[found.from], self.places[found.end - 1]);
        Span::new(self.all[first].span.start, self.all[last].span.end)
    }

    fn slice(&self, found: &Found) -> Vec<TokenWithSpan> {
        self.all[self.places[found.from]..=self.places[found.end - 1]].to_vec()
    }
}

fn carry_statement(tokens: &Tokens<'_>, text: &str, carried: &mut Vec<TokenWithSpan>) -> Result<()> {
    let is_alter = tokens.are(0, &["ALTER", "TABLE"]);
    let is_definition = is_alter || tokens.is(0, "CREATE");
    let has_insert = (0..tokens.places.len()).any(|at| tokens.is(at, "INSERT"));
    let (mut at, mut copied) = (0, 0);
    while at < tokens.places.len() {
        // Before that there are ALTER TABLE and its name.
        let alteration = (is_alter && at > 2).then(|| tokens.alteration(at)).flatten();
        let definition = is_definition.then(|| tokens.definition(at)).flatten();
        if let Some((found, prefix)) = alteration
            .map(|found| (found, &["SET", "DEFAULT"][..]))
            .or(definition.map(|found| (found, &["DEFAULT"][..])))
        {
            carried.extend_from_slice(&tokens.all[copied..tokens.places[found.from]]);
            carried.extend(carrier(tokens, &found, prefix, text)?);
            copied = tokens.places[found.end - 1] + 1;
            at = found.end;
            continue;
        }
        if has_insert
            && tokens.is(at, "OVERRIDING")
            && tokens.is(at + 2, "VALUE")
            && let Some(name) = overriding_name(tokens, at + 1)
        {
            copied = mark_columns(tokens, at, copied, name, carried);
            at += 3;
            continue;
        }
        at += 1;
    }
    carried.extend_from_slice(&tokens.all[copied..]);
    Ok(())
}

/// What carries something that sqlparser does not know; it was parsed once.
fn carrier(tokens: &Tokens<'_>, found: &Found, prefix: &[&str], text: &str) -> Result<Vec<TokenWithSpan>> {
    parse_tokens(tokens.slice(found)).map_err(|error| parse::syntax_error(error, text))?;
    let span = tokens.span(found);
    let prefix = prefix.iter().map(|word| Token::make_word(word, None));
    let call = [
        Token::make_word(CARRIER, Some('"')),
        Token::LParen,
        Token::SingleQuotedString(parse::slice(text, span).to_owned()),
        Token::RParen,
    ];
    Ok(prefix
        .chain(call)
        .map(|token| TokenWithSpan::new(token, span))
        .collect())
}

fn overriding_name(tokens: &Tokens<'_>, at: usize) -> Option<&'static str> {
    match (tokens.is(at, "SYSTEM"), tokens.is(at, "USER")) {
        (true, _) => Some(OVERRIDING_SYSTEM),
        (_, true) => Some(OVERRIDING_USER),
        _ => None,
    }
}

/// Adds a column to the list that stands before OVERRIDING, or makes one; how many tokens are copied then.
fn mark_columns(tokens: &Tokens<'_>, at: usize, copied: usize, name: &str, carried: &mut Vec<TokenWithSpan>) -> usize {
    let found = Found { from: at, end: at + 3 };
    let has_list = at > 0 && tokens.token(at - 1) == Some(&Token::RParen);
    let (until, before) = match has_list {
        true => (tokens.places[at - 1], Token::Comma),
        false => (tokens.places[at], Token::LParen),
    };
    carried.extend_from_slice(&tokens.all[copied..until]);
    let marker = Token::make_word(name, Some('"'));
    let span = tokens.span(&found);
    carried.extend([before, marker, Token::RParen].map(|token| TokenWithSpan::new(token, span)));
    tokens.places[at + 2] + 1
}

fn parse_tokens(tokens: Vec<TokenWithSpan>) -> Result<IdentityChange, ParserError> {
    let mut parser = Parser::new(&Postgres)
        .with_recursion_limit(parse::NESTING_MAX)
        .with_tokens_with_locations(tokens);
    let change = change(&mut parser)?;
    match parser.peek_token().token {
        Token::EOF => Ok(change),
        _ => parser.expected("end of what is said of the identity column", parser.peek_token()),
    }
}

fn change(parser: &mut Parser<'_>) -> Result<IdentityChange, ParserError> {
    if word(parser, "DROP") {
        let is_expression = word(parser, "EXPRESSION");
        if !is_expression {
            parser.next_token();
        }
        let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        return Ok(match is_expression {
            true => IdentityChange::DropExpression { if_exists },
            false => IdentityChange::Drop { if_exists },
        });
    }
    word(parser, "ADD");
    if word(parser, "GENERATED") {
        return addition(parser);
    }
    let (mut found, mut set) = (Options::default(), None);
    while parser.peek_token().token != Token::EOF {
        let is_set = word(parser, "SET");
        if is_set && word(parser, "GENERATED") {
            if set.is_some() {
                return Err(ParserError::ParserError("conflicting or redundant options".to_owned()));
            }
            set = Some(kind(parser)?);
            continue;
        }
        let restart = matches!(&parser.peek_token().token, Token::Word(Word { value, .. }) if value.eq_ignore_ascii_case("RESTART"));
        if !is_set && !restart {
            return parser.expected("SET or RESTART", parser.peek_token());
        }
        option(parser, &mut found)?;
    }
    Ok(IdentityChange::Set {
        kind: set,
        options: unowned(found)?,
    })
}

fn kind(parser: &mut Parser<'_>) -> Result<Identity, ParserError> {
    if word(parser, "ALWAYS") {
        return Ok(Identity::Always);
    }
    parser.expect_keywords(&[Keyword::BY, Keyword::DEFAULT])?;
    Ok(Identity::ByDefault)
}

fn addition(parser: &mut Parser<'_>) -> Result<IdentityChange, ParserError> {
    let kind = kind(parser)?;
    parser.expect_keywords(&[Keyword::AS, Keyword::IDENTITY])?;
    let (mut found, mut name) = (Options::default(), None);
    if parser.consume_token(&Token::LParen) {
        while !parser.consume_token(&Token::RParen) {
            if word(parser, "SEQUENCE") {
                if !word(parser, "NAME") {
                    return parser.expected("NAME", parser.peek_token());
                }
                name = Some(parser.parse_object_name(false)?);
                continue;
            }
            option(parser, &mut found)?;
        }
    }
    Ok(IdentityChange::Add {
        kind,
        options: unowned(found)?,
        name,
    })
}

/// The options, which say nothing of whose the sequence is: it is the column's.
fn unowned(found: Options) -> Result<Vec<SequenceOption>, ParserError> {
    match found.owned_by {
        None => Ok(found.options),
        Some(_) => Err(ParserError::ParserError(
            "the sequence of an identity column is owned by it".to_owned(),
        )),
    }
}

/// What a default carries of an identity column; None for one that is a user's.
///
/// # Errors
/// Internal: it was parsed before.
pub fn carried(default: &ast::Expr) -> Result<Option<IdentityChange>> {
    let ast::Expr::Function(function) = default else {
        return Ok(None);
    };
    let [part] = function.name.0.as_slice() else {
        return Ok(None);
    };
    let is_carrier = part
        .as_ident()
        .is_some_and(|name| name.quote_style.is_some() && name.value == CARRIER);
    let ast::FunctionArguments::List(list) = &function.args else {
        return Ok(None);
    };
    let ([ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(value)))], true) =
        (list.args.as_slice(), is_carrier)
    else {
        return Ok(None);
    };
    let ast::Value::SingleQuotedString(body) = &value.value else {
        return Ok(None);
    };
    let tokens = parse::tokens(body, body)?;
    parse_tokens(tokens)
        .map(Some)
        .map_err(|error| parse::syntax_error(error, body))
}

/// Takes what says OVERRIDING out of the columns of an INSERT.
pub fn take_overriding(columns: &mut Vec<ast::ObjectName>) -> Option<Overriding> {
    let [part] = columns.last()?.0.as_slice() else {
        return None;
    };
    let name = part.as_ident().filter(|name| name.quote_style.is_some())?;
    let overriding = match name.value.as_str() {
        OVERRIDING_SYSTEM => Overriding::System,
        OVERRIDING_USER => Overriding::User,
        _ => return None,
    };
    columns.pop();
    Some(overriding)
}

#[cfg(test)]
mod tests {
    use aion_base::SqlState;

    use super::*;

    fn only(text: &str) -> ast::Statement {
        let mut statements = parse::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        statements.pop().expect("one").ast
    }

    /// What each ALTER COLUMN of a statement says of an identity column.
    fn alterations(text: &str) -> Vec<Option<IdentityChange>> {
        let ast::Statement::AlterTable(alter) = only(text) else {
            panic!("{text}");
        };
        let change = |operation: &ast::AlterTableOperation| match operation {
            ast::AlterTableOperation::AlterColumn {
                op: ast::AlterColumnOperation::SetDefault { value },
                ..
            } => carried(value).expect("parsed before"),
            _ => None,
        };
        alter.operations.iter().map(change).collect()
    }

    #[test]
    fn options_come_in_any_order() {
        let text = "CREATE TABLE t (a integer GENERATED BY DEFAULT AS IDENTITY (START WITH 100 INCREMENT BY 10) PRIMARY KEY, \
                    b int GENERATED ALWAYS AS IDENTITY, c int GENERATED ALWAYS AS (a + 1) STORED)";
        let ast::Statement::CreateTable(create) = only(text) else {
            panic!("{text}");
        };
        let ast::ColumnOption::Default(default) = &create.columns[0].options[0].option else {
            panic!("{text}");
        };
        let wanted = IdentityChange::Add {
            kind: Identity::ByDefault,
            options: vec![SequenceOption::Start(100), SequenceOption::Increment(10)],
            name: None,
        };
        assert_eq!(carried(default).expect("parsed before"), Some(wanted));
        assert_eq!(create.columns[0].options.len(), 2);
        let generated = &create.columns[2].options[0].option;
        assert!(matches!(generated, ast::ColumnOption::Generated { .. }), "{generated}");
    }

    #[test]
    fn alter_column_says_it_in_all_forms() {
        let text = "ALTER TABLE ONLY a.t ALTER COLUMN id RESTART WITH 50, ALTER k SET GENERATED ALWAYS SET INCREMENT BY 5, \
                    ALTER COLUMN x DROP IDENTITY IF EXISTS, ALTER COLUMN y SET DEFAULT 1;";
        let wanted = [
            Some(IdentityChange::Set {
                kind: None,
                options: vec![SequenceOption::Restart(Some(50))],
            }),
            Some(IdentityChange::Set {
                kind: Some(Identity::Always),
                options: vec![SequenceOption::Increment(5)],
            }),
            Some(IdentityChange::Drop { if_exists: true }),
            None,
        ];
        assert_eq!(alterations(text), wanted);
        let dumped = "ALTER TABLE s.p ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (\n  SEQUENCE NAME s.p_n_seq\n  START WITH 1\n  NO MINVALUE\n);";
        let [Some(IdentityChange::Add { name: Some(name), .. })] = &alterations(dumped)[..] else {
            panic!("{dumped}");
        };
        assert_eq!(name.to_string(), "s.p_n_seq");
        for wrong in [
            "ALTER TABLE t ALTER COLUMN a RESTART 5 INCREMENT 2",
            "ALTER TABLE t ALTER COLUMN a SET GENERATED",
            "ALTER TABLE t ALTER COLUMN a ADD GENERATED ALWAYS AS IDENTITY (START x)",
        ] {
            let error = parse::parse(wrong).expect_err(wrong);
            assert_eq!(error.state(), SqlState::SYNTAX_ERROR, "{wrong}");
        }
    }

    #[test]
    fn overriding_is_taken_out_of_the_columns() {
        for (text, wanted, count) in [
            (
                "INSERT INTO t (a, b) OVERRIDING SYSTEM VALUE VALUES (1, 2)",
                Some(Overriding::System),
                2,
            ),
            (
                "INSERT INTO t OVERRIDING user VALUE SELECT 1",
                Some(Overriding::User),
                0,
            ),
            ("INSERT INTO t (overriding, system) VALUES (1, 2)", None, 2),
        ] {
            let ast::Statement::Insert(mut insert) = only(text) else {
                panic!("{text}");
            };
            assert_eq!(take_overriding(&mut insert.columns), wanted, "{text}");
            assert_eq!(insert.columns.len(), count, "{text}");
        }
    }
}
