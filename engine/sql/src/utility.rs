//! Statements that sqlparser does not know, or not all of: VACUUM, CREATE and ALTER SEQUENCE, ALTER ... OWNER TO of what has no
//! other ALTER, CHECKPOINT and REINDEX; FETCH and MOVE (`fetch`); CREATE TABLE AS (`create_as`); all of materialized views but DROP and COMMENT; and what concerns roles and their rights (`role`).
//!
//! As with property graphs (see `graph`) the statement goes on as a string in a place that sqlparser can read,
//! `CALL "aion utility"('statement')`, and keeps its place in the text. It is parsed where the tokens are looked through, so that an error
//! has its place, and again where it is run. What sqlparser is given is a number in the statement's stead ([`carry`]), since it writes
//! literals into its log; [`put_back`] makes it the statement.

use aion_base::Result;
use aion_catalog::SqlType;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use crate::dialect::Postgres;
use crate::planner::sql_type;
use crate::{graph, parse};
pub use create_as::CreateAs;
pub use fetch::{Direction, Fetch};
use role::RoleStatement;

mod create_as;
mod fetch;
pub mod role;

/// The name of the procedure that carries a statement.
const CARRIER: &str = "aion utility";

/// A statement.
#[derive(Clone, Debug)]
pub enum Utility {
    /// VACUUM, with ANALYZE or without, of some tables or all.
    Vacuum {
        analyze: bool,
        tables: Vec<ast::ObjectName>,
    },
    CreateSequence {
        name: ast::ObjectName,
        if_not_exists: bool,
        options: Vec<SequenceOption>,
        owned_by: Option<ast::ObjectName>,
    },
    AlterSequence {
        name: ast::ObjectName,
        if_exists: bool,
        options: Vec<SequenceOption>,
        owned_by: Option<ast::ObjectName>,
        renamed: Option<ast::Ident>,
    },
    /// COMMENT ON CONSTRAINT; None takes it away.
    CommentOnConstraint {
        constraint: ast::Ident,
        table: ast::ObjectName,
        comment: Option<String>,
    },
    /// Who owns something: there is one role that owns everything yet.
    OwnerTo { tag: &'static str },
    /// A verified copy of the database goes into a new directory of the server's machine.
    Backup { to: String },
    /// All rows are to be in their files.
    Checkpoint,
    /// Indexes are always what their tables are.
    Reindex,
    /// When foreign keys that may be deferred are looked at, all (None) or some.
    SetConstraints {
        names: Option<Vec<ast::ObjectName>>,
        is_deferred: bool,
    },
    /// It may hold a password.
    Role(RoleStatement),
    /// FETCH and MOVE.
    Fetch(Fetch),
    /// CREATE TABLE AS and CREATE MATERIALIZED VIEW.
    CreateAs(CreateAs),
    /// REFRESH MATERIALIZED VIEW.
    Refresh {
        name: ast::ObjectName,
        is_concurrent: bool,
        with_data: bool,
    },
    /// ALTER MATERIALIZED VIEW, which says what ALTER TABLE does.
    AlterMaterialized(Box<ast::AlterTable>),
}

/// An option of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceOption {
    As(SqlType),
    Increment(i64),
    /// None for NO MINVALUE.
    Min(Option<i64>),
    Max(Option<i64>),
    Start(i64),
    /// None for where it starts.
    Restart(Option<i64>),
    Cache(i64),
    Cycle(bool),
}

/// Whether a text may hold such a statement; looked at before the tokens are.
pub fn is_mentioned(text: &str) -> bool {
    const WORDS: [&[u8]; 13] = [
        b"refresh",
        b"materialized",
        b"create",
        b"vacuum",
        b"backup",
        b"sequence",
        b"owner",
        b"checkpoint",
        b"reindex",
        b"fetch",
        b"move",
        b"constraints",
        b"comment",
    ];
    parse::mentions(text, &WORDS) || parse::mentions(text, &role::MENTIONS)
}

/// See the module's header. What is no such statement stays as it is. Besides the tokens, the statements that were taken out of them.
///
/// # Errors
/// 42601 with the place, for a statement that is wrong.
pub fn carry(tokens: Vec<TokenWithSpan>, text: &str) -> Result<(Vec<TokenWithSpan>, Vec<String>)> {
    let mut carried = Vec::with_capacity(tokens.len());
    let mut bodies = Vec::new();
    for statement in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        if !is_ours(statement) {
            carried.extend_from_slice(statement);
            continue;
        }
        let has_end = statement.last().is_some_and(|token| token.token == Token::SemiColon);
        let inner = &statement[..statement.len() - usize::from(has_end)];
        let is_word = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
        let (Some(first), Some(last)) = (inner.iter().find(is_word), inner.iter().rev().find(is_word)) else {
            continue;
        };
        let span = Span::new(first.span.start, last.span.end);
        parse_tokens(inner.to_vec()).map_err(|error| parse::syntax_error(error, text))?;
        let number = bodies.len().to_string();
        bodies.push(parse::slice(text, span).to_owned());
        for token in [
            Token::make_word("CALL", None),
            Token::make_word(CARRIER, Some('"')),
            Token::LParen,
            Token::SingleQuotedString(number),
            Token::RParen,
        ] {
            carried.push(TokenWithSpan::new(token, span));
        }
        if has_end {
            carried.extend(statement.last().cloned());
        }
    }
    Ok((carried, bodies))
}

/// Puts what [`carry`] took out of the tokens into the statements that were made of them.
pub fn put_back(statements: &mut [ast::Statement], mut bodies: Vec<String>) {
    for statement in statements {
        if let ast::Statement::Call(call) = statement
            && is_carrier(call)
            && let Some(number) = argument(&mut call.args)
            && let Some(body) = number.parse().ok().and_then(|at: usize| bodies.get_mut(at))
        {
            *number = std::mem::take(body);
        }
    }
}

fn is_carrier(call: &ast::Function) -> bool {
    let [part] = call.name.0.as_slice() else {
        return false;
    };
    part.as_ident()
        .is_some_and(|name| name.quote_style.is_some() && name.value == CARRIER)
}

/// The one argument, of a carrier.
fn argument(arguments: &mut ast::FunctionArguments) -> Option<&mut String> {
    let ast::FunctionArguments::List(list) = arguments else {
        return None;
    };
    match list.args.as_mut_slice() {
        [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(value)))] => match &mut value.value {
            ast::Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// `FOR NO KEY UPDATE` and `FOR KEY SHARE`, which sqlparser does not know, as the next stronger locks that it knows: they keep out
/// more than they must, and nothing less.
pub fn strengthen(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |token: &TokenWithSpan, word: Keyword| matches!(&token.token, Token::Word(found) if found.keyword == word);
    let significant: Vec<usize> = (0..tokens.len())
        .filter(|&at| !matches!(tokens[at].token, Token::Whitespace(_)))
        .collect();
    let mut weak = Vec::new();
    for window in significant.windows(3) {
        let [one, two, three] = [window[0], window[1], window[2]].map(|at| &tokens[at]);
        if is(one, Keyword::FOR) && is(two, Keyword::KEY) && is(three, Keyword::SHARE) {
            weak.push(window[1]);
        }
        if is(one, Keyword::NO) && is(two, Keyword::KEY) && is(three, Keyword::UPDATE) {
            weak.extend([window[0], window[1]]);
        }
    }
    for at in weak.into_iter().rev() {
        tokens.remove(at);
    }
    tokens
}

/// `FREEZE on` and `HEADER off` of a COPY as sqlparser knows them, TRUE and FALSE.
pub fn plain_switches(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let significant: Vec<usize> = (0..tokens.len())
        .filter(|&at| !matches!(tokens[at].token, Token::Whitespace(_)))
        .collect();
    let word = |at: usize| match &tokens[at].token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
        _ => None,
    };
    let mut changed = Vec::new();
    let mut is_copy = false;
    for (nth, &at) in significant.iter().enumerate() {
        let is_first = nth == 0 || tokens[significant[nth - 1]].token == Token::SemiColon;
        if is_first {
            is_copy = word(at).as_deref() == Some("copy");
        }
        let is_switch = is_copy && matches!(word(at).as_deref(), Some("freeze" | "header"));
        let Some(&next) = significant.get(nth + 1).filter(|_| is_switch) else {
            continue;
        };
        match word(next).as_deref() {
            Some("on") => changed.push((next, "TRUE")),
            Some("off") => changed.push((next, "FALSE")),
            _ => {}
        }
    }
    for (at, value) in changed {
        tokens[at].token = Token::make_word(value, None);
    }
    tokens
}

/// The statement that a CALL carries; None for one that is a user's.
///
/// # Errors
/// Internal: it was parsed before.
pub fn carried(call: &ast::Function) -> Result<Option<Utility>> {
    let ast::FunctionArguments::List(list) = &call.args else {
        return Ok(None);
    };
    let ([ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(value)))], true) =
        (list.args.as_slice(), is_carrier(call))
    else {
        return Ok(None);
    };
    let ast::Value::SingleQuotedString(body) = &value.value else {
        return Ok(None);
    };
    let mut tokens = parse::tokens(body, body)?;
    if graph::is_mentioned(body) {
        tokens = graph::carry(tokens, body)?;
    }
    parse_tokens(tokens)
        .map(Some)
        .map_err(|error| parse::syntax_error(error, body))
}

fn is_ours(statement: &[TokenWithSpan]) -> bool {
    let words: Vec<&str> = statement
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .map_while(|token| match &token.token {
            Token::Word(Word {
                value,
                quote_style: None,
                ..
            }) => Some(value.as_str()),
            _ => None,
        })
        .take(3)
        .collect();
    let is = |at: usize, word: &str| words.get(at).is_some_and(|there| there.eq_ignore_ascii_case(word));
    if is(0, "backup") && is(1, "to") {
        return true;
    }
    if is(0, "set") && is(1, "constraints") {
        return true;
    }
    if fetch::begins(&words) || is(0, "vacuum") || is(0, "checkpoint") || is(0, "reindex") || role::begins(&words) {
        return true;
    }
    if is(0, "comment") {
        return is(1, "on") && is(2, "constraint");
    }
    if is(0, "create") {
        return is(1, "sequence") || create_as::begins(&words, statement);
    }
    if is(0, "alter") && (is(1, "sequence") || is(1, "materialized")) {
        return true;
    }
    if is(0, "refresh") && is(1, "materialized") {
        return true;
    }
    // ALTER VIEW v OWNER TO r, ALTER SCHEMA s OWNER TO r, and so on; tables have an ALTER of their own.
    let owner = [
        "schema",
        "view",
        "function",
        "type",
        "database",
        "procedure",
        "aggregate",
        "domain",
    ];
    is(0, "alter") && owner.iter().any(|kind| is(1, kind)) && has_owner(statement)
}

fn has_owner(statement: &[TokenWithSpan]) -> bool {
    let words = statement.iter().filter_map(|token| match &token.token {
        Token::Word(word) => Some(word.keyword),
        _ => None,
    });
    words
        .collect::<Vec<_>>()
        .windows(2)
        .any(|pair| pair == [Keyword::OWNER, Keyword::TO])
}

fn parse_tokens(tokens: Vec<TokenWithSpan>) -> Result<Utility, ParserError> {
    let mut parser = Parser::new(&Postgres)
        .with_recursion_limit(parse::NESTING_MAX)
        .with_tokens_with_locations(tokens);
    let utility = statement(&mut parser)?;
    match parser.peek_token().token {
        Token::EOF => Ok(utility),
        _ => parser.expected("end of statement", parser.peek_token()),
    }
}

/// Takes a word that may be no keyword of sqlparser's.
pub fn word(parser: &mut Parser<'_>, wanted: &str) -> bool {
    let is_there = matches!(&parser.peek_token().token, Token::Word(Word { value, quote_style: None, .. })
        if value.eq_ignore_ascii_case(wanted));
    if is_there {
        parser.next_token();
    }
    is_there
}

fn statement(parser: &mut Parser<'_>) -> Result<Utility, ParserError> {
    if let Some(utility) = role::statement(parser)? {
        return Ok(utility);
    }
    if let Some(fetch) = fetch::statement(parser)? {
        return Ok(Utility::Fetch(fetch));
    }
    if word(parser, "SET") {
        return set_constraints(parser);
    }
    if word(parser, "VACUUM") {
        return vacuum(parser);
    }
    if word(parser, "BACKUP") {
        parser.expect_keyword(Keyword::TO)?;
        let to = parser.parse_literal_string()?;
        return Ok(Utility::Backup { to });
    }
    if word(parser, "CHECKPOINT") {
        return Ok(Utility::Checkpoint);
    }
    if word(parser, "REINDEX") {
        while parser.peek_token().token != Token::EOF {
            parser.next_token();
        }
        return Ok(Utility::Reindex);
    }
    if word(parser, "COMMENT") {
        return comment(parser);
    }
    if word(parser, "CREATE") {
        if let Some(create) = create_as::statement(parser)? {
            return Ok(Utility::CreateAs(create));
        }
        parser.expect_keyword(Keyword::SEQUENCE)?;
        let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = parser.parse_object_name(false)?;
        let rest = options(parser)?;
        return Ok(Utility::CreateSequence {
            name,
            if_not_exists,
            options: rest.options,
            owned_by: rest.owned_by,
        });
    }
    if word(parser, "REFRESH") {
        return refresh(parser);
    }
    parser.expect_keyword(Keyword::ALTER)?;
    if word(parser, "MATERIALIZED") {
        parser.expect_keyword(Keyword::VIEW)?;
        let first = parser.peek_token();
        return match parser.parse_alter_table(false)? {
            ast::Statement::AlterTable(alter) => Ok(Utility::AlterMaterialized(Box::new(alter))),
            _ => parser.expected("what is altered", first),
        };
    }
    if !parser.parse_keyword(Keyword::SEQUENCE) {
        return owner(parser);
    }
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    if parser.parse_keywords(&[Keyword::OWNER, Keyword::TO]) {
        parser.parse_identifier()?;
        return Ok(Utility::OwnerTo { tag: "ALTER SEQUENCE" });
    }
    if parser.parse_keywords(&[Keyword::RENAME, Keyword::TO]) {
        return Ok(Utility::AlterSequence {
            name,
            if_exists,
            options: Vec::new(),
            owned_by: None,
            renamed: Some(parser.parse_identifier()?),
        });
    }
    let rest = options(parser)?;
    Ok(Utility::AlterSequence {
        name,
        if_exists,
        options: rest.options,
        owned_by: rest.owned_by,
        renamed: None,
    })
}

fn refresh(parser: &mut Parser<'_>) -> Result<Utility, ParserError> {
    if !word(parser, "MATERIALIZED") {
        return parser.expected("MATERIALIZED VIEW", parser.peek_token());
    }
    parser.expect_keyword(Keyword::VIEW)?;
    let is_concurrent = word(parser, "CONCURRENTLY");
    let name = parser.parse_object_name(false)?;
    let with_data = match parser.parse_keyword(Keyword::WITH) {
        true => {
            let is_without = parser.parse_keyword(Keyword::NO);
            parser.expect_keyword(Keyword::DATA)?;
            !is_without
        }
        false => true,
    };
    Ok(Utility::Refresh {
        name,
        is_concurrent,
        with_data,
    })
}

fn comment(parser: &mut Parser<'_>) -> Result<Utility, ParserError> {
    parser.expect_keywords(&[Keyword::ON, Keyword::CONSTRAINT])?;
    let constraint = parser.parse_identifier()?;
    parser.expect_keyword(Keyword::ON)?;
    let table = parser.parse_object_name(false)?;
    parser.expect_keyword(Keyword::IS)?;
    let comment = match parser.parse_keyword(Keyword::NULL) {
        true => None,
        false => Some(parser.parse_literal_string()?),
    };
    Ok(Utility::CommentOnConstraint {
        constraint,
        table,
        comment,
    })
}

fn owner(parser: &mut Parser<'_>) -> Result<Utility, ParserError> {
    let kinds = [
        ("SCHEMA", "ALTER SCHEMA"),
        ("VIEW", "ALTER VIEW"),
        ("FUNCTION", "ALTER FUNCTION"),
        ("TYPE", "ALTER TYPE"),
        ("DATABASE", "ALTER DATABASE"),
        ("PROCEDURE", "ALTER PROCEDURE"),
        ("AGGREGATE", "ALTER AGGREGATE"),
        ("DOMAIN", "ALTER DOMAIN"),
    ];
    let kind = kinds.into_iter().find(|(kind, _)| word(parser, kind));
    let Some((_, tag)) = kind else {
        return parser.expected("an object", parser.peek_token());
    };
    while !parser.parse_keywords(&[Keyword::OWNER, Keyword::TO]) {
        if parser.peek_token().token == Token::EOF {
            return parser.expected("OWNER TO", parser.peek_token());
        }
        parser.next_token();
    }
    parser.parse_identifier()?;
    Ok(Utility::OwnerTo { tag })
}

fn set_constraints(parser: &mut Parser<'_>) -> Result<Utility, ParserError> {
    if !word(parser, "CONSTRAINTS") {
        return parser.expected("CONSTRAINTS", parser.peek_token());
    }
    let names = match parser.parse_keyword(Keyword::ALL) {
        true => None,
        false => Some(parser.parse_comma_separated(|parser| parser.parse_object_name(false))?),
    };
    let is_deferred = word(parser, "DEFERRED");
    if !is_deferred && !word(parser, "IMMEDIATE") {
        return parser.expected("DEFERRED or IMMEDIATE", parser.peek_token());
    }
    Ok(Utility::SetConstraints { names, is_deferred })
}

fn vacuum(parser: &mut Parser<'_>) -> Result<Utility, ParserError> {
    let mut analyze = false;
    if parser.consume_token(&Token::LParen) {
        loop {
            let is_analyze = word(parser, "ANALYZE") || word(parser, "ANALYSE");
            if !is_analyze {
                parser.parse_identifier()?;
            }
            let is_off = match parser.peek_token().token {
                Token::Comma | Token::RParen => false,
                _ => matches!(
                    parser.next_token().token.to_string().to_ascii_lowercase().as_str(),
                    "false" | "off" | "0"
                ),
            };
            analyze |= is_analyze && !is_off;
            if !parser.consume_token(&Token::Comma) {
                break;
            }
        }
        parser.expect_token(&Token::RParen)?;
    } else {
        for plain in ["FULL", "FREEZE", "VERBOSE"] {
            word(parser, plain);
        }
        analyze = word(parser, "ANALYZE") || word(parser, "ANALYSE");
    }
    let mut tables = Vec::new();
    if parser.peek_token().token != Token::EOF {
        loop {
            tables.push(parser.parse_object_name(false)?);
            if parser.consume_token(&Token::LParen) {
                parser.parse_comma_separated(Parser::parse_identifier)?;
                parser.expect_token(&Token::RParen)?;
            }
            if !parser.consume_token(&Token::Comma) {
                break;
            }
        }
    }
    Ok(Utility::Vacuum { analyze, tables })
}

/// Options of a sequence.
#[derive(Debug, Default)]
pub struct Options {
    /// As they are written.
    pub options: Vec<SequenceOption>,
    /// OWNED BY.
    pub owned_by: Option<ast::ObjectName>,
}

fn options(parser: &mut Parser<'_>) -> Result<Options, ParserError> {
    let mut found = Options::default();
    while parser.peek_token().token != Token::EOF {
        option(parser, &mut found)?;
    }
    Ok(found)
}

/// One option of a sequence, added to those that were found.
///
/// # Errors
/// For what is none.
pub fn option(parser: &mut Parser<'_>, found: &mut Options) -> Result<(), ParserError> {
    let option = if word(parser, "AS") {
        let data_type = parser.parse_data_type()?;
        let known = sql_type(&data_type).map_err(|error| ParserError::ParserError(error.message().to_owned()))?;
        SequenceOption::As(known)
    } else if word(parser, "INCREMENT") {
        word(parser, "BY");
        SequenceOption::Increment(number(parser)?)
    } else if word(parser, "MINVALUE") {
        SequenceOption::Min(Some(number(parser)?))
    } else if word(parser, "MAXVALUE") {
        SequenceOption::Max(Some(number(parser)?))
    } else if word(parser, "START") {
        word(parser, "WITH");
        SequenceOption::Start(number(parser)?)
    } else if word(parser, "RESTART") {
        word(parser, "WITH");
        let is_number = matches!(
            parser.peek_token().token,
            Token::Number(..) | Token::Minus | Token::Plus
        );
        SequenceOption::Restart(is_number.then(|| number(parser)).transpose()?)
    } else if word(parser, "CACHE") {
        SequenceOption::Cache(number(parser)?)
    } else if word(parser, "CYCLE") {
        SequenceOption::Cycle(true)
    } else if word(parser, "NO") {
        if word(parser, "MINVALUE") {
            SequenceOption::Min(None)
        } else if word(parser, "MAXVALUE") {
            SequenceOption::Max(None)
        } else if word(parser, "CYCLE") {
            SequenceOption::Cycle(false)
        } else {
            return parser.expected("MINVALUE, MAXVALUE or CYCLE", parser.peek_token());
        }
    } else if word(parser, "OWNED") {
        parser.expect_keyword(Keyword::BY)?;
        found.owned_by = Some(parser.parse_object_name(false)?);
        return Ok(());
    } else if word(parser, "LOGGED") || word(parser, "UNLOGGED") {
        return Ok(());
    } else {
        return parser.expected("an option of a sequence", parser.peek_token());
    };
    found.options.push(option);
    Ok(())
}

fn number(parser: &mut Parser<'_>) -> Result<i64, ParserError> {
    let is_negative = parser.consume_token(&Token::Minus);
    let _ = !is_negative && parser.consume_token(&Token::Plus);
    let token = parser.next_token();
    let digits = match &token.token {
        Token::Number(digits, _) => format!("{}{digits}", if is_negative { "-" } else { "" }),
        _ => return parser.expected("a number", token),
    };
    match digits.parse() {
        Ok(number) => Ok(number),
        Err(_) => parser.expected("a bigint", token),
    }
}

/// What a carried statement is called in a command tag and in errors.
pub fn verb(utility: &Utility) -> &'static str {
    match utility {
        Utility::Vacuum { .. } => "VACUUM",
        Utility::CreateSequence { .. } => "CREATE SEQUENCE",
        Utility::AlterSequence { .. } => "ALTER SEQUENCE",
        Utility::CommentOnConstraint { .. } => "COMMENT",
        Utility::OwnerTo { tag } => tag,
        Utility::Backup { .. } => "BACKUP",
        Utility::Checkpoint => "CHECKPOINT",
        Utility::Reindex => "REINDEX",
        Utility::SetConstraints { .. } => "SET CONSTRAINTS",
        Utility::Role(role) => role.tag(),
        Utility::Fetch(fetch) if fetch.is_move => "MOVE",
        Utility::Fetch(_) => "FETCH",
        Utility::CreateAs(create) => create.tag(),
        Utility::Refresh { .. } => "REFRESH MATERIALIZED VIEW",
        Utility::AlterMaterialized(_) => "ALTER MATERIALIZED VIEW",
    }
}

/// Whether a statement may hold a password, so that nobody may take note of its text.
pub fn is_secret(statement: &ast::Statement) -> bool {
    match statement {
        ast::Statement::Call(call) => matches!(carried(call), Ok(Some(Utility::Role(_))) | Err(_)),
        // As EXPLAIN has them, which does not explain them.
        ast::Statement::Explain { statement, .. } => is_secret(statement),
        ast::Statement::CreateRole(_) | ast::Statement::CreateUser(_) => true,
        ast::Statement::AlterRole { .. } | ast::Statement::AlterUser(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use aion_base::SqlState;

    use super::*;

    fn utility(text: &str) -> Option<Utility> {
        let statements = parse::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        match &statements.last().expect("one").ast {
            ast::Statement::Call(call) => carried(call).expect("parsed before"),
            _ => None,
        }
    }

    #[test]
    fn vacuum_is_read_in_all_its_forms() {
        for (text, wanted_analyze, count) in [
            ("VACUUM", false, 0),
            ("vacuum analyze pgbench_branches", true, 1),
            ("VACUUM FULL VERBOSE ANALYZE a.b, c (x, y);", true, 2),
            ("SELECT 1; VACUUM (VERBOSE, ANALYZE) t", true, 1),
            ("VACUUM (ANALYZE false, PARALLEL 2) t", false, 1),
            ("VACUUM FREEZE t", false, 1),
        ] {
            let Some(Utility::Vacuum { analyze, tables }) = utility(text) else {
                panic!("{text}");
            };
            assert_eq!((analyze, tables.len()), (wanted_analyze, count), "{text}");
        }
    }

    #[test]
    fn switches_of_copy_may_be_on_and_off() {
        for text in [
            "copy t from stdin with (freeze on)",
            "COPY t FROM STDIN (FORMAT csv, HEADER off);",
        ] {
            assert_eq!(parse::parse(text).expect("valid").len(), 1, "{text}");
        }
    }

    #[test]
    fn weak_locks_become_stronger_ones() {
        for (text, wanted) in [
            ("SELECT 1 FROM t FOR NO KEY UPDATE", "SELECT 1 FROM t FOR UPDATE"),
            ("SELECT 1 FROM t FOR KEY SHARE OF t", "SELECT 1 FROM t FOR SHARE OF t"),
        ] {
            assert_eq!(parse::parse(text).expect("valid")[0].to_sql(), wanted);
        }
    }

    #[test]
    fn sequences_are_read_in_any_order() {
        let text = "CREATE SEQUENCE IF NOT EXISTS a.s AS integer START WITH 5 INCREMENT BY -2 NO MINVALUE MAXVALUE 10 CACHE 3 NO CYCLE OWNED BY t.c";
        let Some(Utility::CreateSequence {
            if_not_exists: true,
            options,
            owned_by: Some(_),
            ..
        }) = utility(text)
        else {
            panic!("{text}");
        };
        use SequenceOption as O;
        let wanted = [
            O::As(SqlType::Integer),
            O::Start(5),
            O::Increment(-2),
            O::Min(None),
            O::Max(Some(10)),
            O::Cache(3),
            O::Cycle(false),
        ];
        assert_eq!(options, wanted);
        assert!(
            matches!(utility("ALTER SEQUENCE s RESTART"), Some(Utility::AlterSequence { options, .. }) if options == [O::Restart(None)])
        );
        assert!(matches!(
            utility("ALTER SEQUENCE s OWNER TO me"),
            Some(Utility::OwnerTo { tag: "ALTER SEQUENCE" })
        ));
        assert!(matches!(
            utility("ALTER SCHEMA s OWNER TO me"),
            Some(Utility::OwnerTo { tag: "ALTER SCHEMA" })
        ));
        assert!(utility("SELECT 'VACUUM', owner FROM sequence").is_none());
        for wrong in [
            "CREATE SEQUENCE",
            "CREATE SEQUENCE s INCREMENT BY x",
            "ALTER SEQUENCE s NO",
            "VACUUM (",
            "VACUUM t t",
        ] {
            let error = parse::parse(wrong).expect_err(wrong);
            assert_eq!(error.state(), SqlState::SYNTAX_ERROR, "{wrong}");
        }
    }
}
