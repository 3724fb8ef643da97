//! CREATE, ALTER and DROP ROLE, each also as USER; GRANT, REVOKE and ALTER DEFAULT PRIVILEGES, which are read to be refused.
//!
//! sqlparser knows some of the options and quotes what it did not expect. A password may be anywhere in such a statement, so
//! here no error shows a literal, and no `Debug` a password.

use std::fmt;

use aion_security::roles::Options;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::{Utility, number, word};
use crate::dml::normalize;

/// A statement about roles.
#[derive(Clone, Debug)]
pub enum RoleStatement {
    Create {
        name: String,
        options: RoleOptions,
    },
    Alter {
        name: RoleName,
        options: RoleOptions,
    },
    Rename {
        name: RoleName,
        new_name: String,
    },
    Drop {
        names: Vec<RoleName>,
        if_exists: bool,
    },
    /// One that is not there, and why not.
    Refused {
        tag: &'static str,
        why: &'static str,
    },
}

impl RoleStatement {
    /// Its command tag.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE ROLE",
            Self::Alter { .. } | Self::Rename { .. } => "ALTER ROLE",
            Self::Drop { .. } => "DROP ROLE",
            Self::Refused { tag, .. } => tag,
        }
    }
}

/// Whom a statement names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleName {
    Named(String),
    /// CURRENT_USER, CURRENT_ROLE, SESSION_USER: as long as there is no SET ROLE they are one.
    Current,
}

/// What CREATE and ALTER ROLE say.
#[derive(Clone, Debug, Default)]
pub struct RoleOptions {
    /// What needs no looking at.
    pub plain: Options,
    /// CONNECTION LIMIT.
    pub connection_limit: Option<i64>,
    /// PASSWORD; inner None for NULL.
    pub password: Option<Option<Secret>>,
    /// VALID UNTIL.
    pub valid_until: Option<String>,
}

/// A password as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Words that one of these statements must have.
pub(super) const MENTIONS: [&[u8]; 4] = [b"role", b"user", b"grant", b"revoke"];

/// Whether a statement that begins with these words is one of these.
pub(super) fn begins(words: &[&str]) -> bool {
    let is = |at: usize, word: &str| words.get(at).is_some_and(|there| there.eq_ignore_ascii_case(word));
    let is_role = is(1, "role") || is(1, "user") && !is(2, "mapping");
    (is(0, "create") || is(0, "alter") || is(0, "drop")) && is_role
        || is(0, "grant")
        || is(0, "revoke")
        || is(0, "alter") && is(1, "default") && is(2, "privileges")
}

/// Reads one of these statements; None, and nothing is read, for any other.
pub(super) fn statement(parser: &mut Parser<'_>) -> Result<Option<Utility>, ParserError> {
    for kind in [Keyword::ROLE, Keyword::USER] {
        let statement = if parser.parse_keywords(&[Keyword::CREATE, kind]) {
            create(parser, kind == Keyword::USER)?
        } else if parser.parse_keywords(&[Keyword::ALTER, kind]) {
            alter(parser)?
        } else if parser.parse_keywords(&[Keyword::DROP, kind]) {
            drop_roles(parser)?
        } else {
            continue;
        };
        return Ok(Some(Utility::Role(statement)));
    }
    let tag = if parser.parse_keyword(Keyword::GRANT) {
        "GRANT"
    } else if parser.parse_keyword(Keyword::REVOKE) {
        "REVOKE"
    } else if parser.parse_keywords(&[Keyword::ALTER, Keyword::DEFAULT]) {
        "ALTER DEFAULT PRIVILEGES"
    } else {
        return Ok(None);
    };
    let why = "every role that may log in may read and write everything";
    Ok(Some(Utility::Role(refused(parser, tag, why))))
}

/// Passes over the rest of a statement that will be refused.
fn refused(parser: &mut Parser<'_>, tag: &'static str, why: &'static str) -> RoleStatement {
    while parser.peek_token().token != Token::EOF {
        parser.next_token();
    }
    RoleStatement::Refused { tag, why }
}

fn create(parser: &mut Parser<'_>, is_user: bool) -> Result<RoleStatement, ParserError> {
    let tag = "CREATE ROLE";
    let at = parser.peek_token();
    let RoleName::Named(name) = role_name(parser)? else {
        return wrong("the name of a role", &at);
    };
    match options(parser)? {
        Given::Options(mut options) => {
            if is_user {
                options.plain.can_login.get_or_insert(true);
            }
            Ok(RoleStatement::Create {
                name,
                options: *options,
            })
        }
        Given::Refused(why) => Ok(refused(parser, tag, why)),
    }
}

fn alter(parser: &mut Parser<'_>) -> Result<RoleStatement, ParserError> {
    const SETTINGS: &str = "settings of roles are not there";
    let tag = "ALTER ROLE";
    let name = role_name(parser)?;
    if parser.parse_keywords(&[Keyword::RENAME, Keyword::TO]) {
        let at = parser.peek_token();
        return match role_name(parser)? {
            RoleName::Named(new_name) => Ok(RoleStatement::Rename { name, new_name }),
            RoleName::Current => wrong("the name of a role", &at),
        };
    }
    let next = parser.peek_token();
    if ["SET", "RESET", "IN"].iter().any(|begins| is_word(&next, begins)) {
        return Ok(refused(parser, tag, SETTINGS));
    }
    match options(parser)? {
        Given::Options(options) => Ok(RoleStatement::Alter {
            name,
            options: *options,
        }),
        Given::Refused(why) => Ok(refused(parser, tag, why)),
    }
}

fn drop_roles(parser: &mut Parser<'_>) -> Result<RoleStatement, ParserError> {
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let mut names = vec![role_name(parser)?];
    while parser.consume_token(&Token::Comma) {
        names.push(role_name(parser)?);
    }
    Ok(RoleStatement::Drop { names, if_exists })
}

fn role_name(parser: &mut Parser<'_>) -> Result<RoleName, ParserError> {
    const CURRENT: [&str; 4] = ["current_user", "current_role", "session_user", "user"];
    let token = parser.next_token();
    let Token::Word(Word { value, quote_style, .. }) = &token.token else {
        return wrong("the name of a role", &token);
    };
    let name = normalize(&ast::Ident {
        value: value.clone(),
        quote_style: *quote_style,
        span: token.span,
    });
    if quote_style.is_none() && CURRENT.contains(&name.as_str()) {
        return Ok(RoleName::Current);
    }
    Ok(RoleName::Named(name))
}

/// What follows the name.
enum Given {
    Options(Box<RoleOptions>),
    /// Something that is not there.
    Refused(&'static str),
}

fn options(parser: &mut Parser<'_>) -> Result<Given, ParserError> {
    let mut found = RoleOptions::default();
    word(parser, "WITH");
    while parser.peek_token().token != Token::EOF {
        let token = parser.next_token();
        let Token::Word(Word {
            value,
            quote_style: None,
            ..
        }) = &token.token
        else {
            return wrong("an option of a role", &token);
        };
        match value.to_ascii_lowercase().as_str() {
            "encrypted" if word(parser, "PASSWORD") => once(&mut found.password, password(parser)?, &token)?,
            "password" => once(&mut found.password, password(parser)?, &token)?,
            "connection" if word(parser, "LIMIT") => once(&mut found.connection_limit, number(parser)?, &token)?,
            "valid" if word(parser, "UNTIL") => {
                let until = string(parser).ok_or_else(|| at("expected a string after VALID UNTIL", &token))?;
                once(&mut found.valid_until, until, &token)?;
            }
            // What is not there, nobody has.
            "noreplication" | "nobypassrls" => {}
            "replication" => return Ok(Given::Refused("there is no replication")),
            "bypassrls" => return Ok(Given::Refused("there are no policies for rows")),
            "in" | "role" | "user" | "admin" => return Ok(Given::Refused("no role is a member of another")),
            "sysid" => return Ok(Given::Refused("ids of roles cannot be chosen")),
            "unencrypted" => return Ok(Given::Refused("passwords are always stored hashed")),
            option => {
                let (name, value) = match flag(&mut found.plain, option) {
                    Some(_) => (option, true),
                    None => (option.strip_prefix("no").unwrap_or(option), false),
                };
                let Some(slot) = flag(&mut found.plain, name) else {
                    return wrong("an option of a role", &token);
                };
                once(slot, value, &token)?;
            }
        }
    }
    Ok(Given::Options(Box::new(found)))
}

/// The option that a word without its NO stands for.
fn flag<'a>(options: &'a mut Options, word: &str) -> Option<&'a mut Option<bool>> {
    Some(match word {
        "superuser" => &mut options.is_superuser,
        "createrole" => &mut options.can_create_role,
        "createdb" => &mut options.can_create_database,
        "inherit" => &mut options.inherits,
        "login" => &mut options.can_login,
        _ => return None,
    })
}

fn password(parser: &mut Parser<'_>) -> Result<Option<Secret>, ParserError> {
    let next = parser.peek_token();
    if word(parser, "NULL") {
        return Ok(None);
    }
    // What stands there instead may be a password whose quotes were forgotten.
    string(parser)
        .map(|text| Some(Secret(text)))
        .ok_or_else(|| at("expected a string in quotes, or NULL, after PASSWORD", &next))
}

fn string(parser: &mut Parser<'_>) -> Option<String> {
    let text = match parser.peek_token().token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text) => text,
        Token::DollarQuotedString(quoted) => quoted.value,
        _ => return None,
    };
    parser.next_token();
    Some(text)
}

fn once<T>(slot: &mut Option<T>, value: T, token: &TokenWithSpan) -> Result<(), ParserError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(at("conflicting or redundant options", token)),
    }
}

fn is_word(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(wanted))
}

/// sqlparser's "expected", without literals.
fn wrong<T>(expected: &str, found: &TokenWithSpan) -> Result<T, ParserError> {
    let shown = match &found.token {
        Token::Word(_) | Token::EOF | Token::Comma | Token::Eq | Token::LParen | Token::RParen => {
            found.token.to_string()
        }
        _ => "something else".to_owned(),
    };
    Err(at(&format!("Expected: {expected}, found: {shown}"), found))
}

fn at(message: &str, token: &TokenWithSpan) -> ParserError {
    ParserError::ParserError(format!("{message}{}", token.span.start))
}

#[cfg(test)]
mod tests {
    use aion_base::SqlState;

    use super::super::carried;
    use super::*;
    use crate::parse;

    fn role(text: &str) -> RoleStatement {
        let statements = parse::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let ast::Statement::Call(call) = &statements.last().expect("one").ast else {
            panic!("{text} is not carried");
        };
        match carried(call).expect("parsed before") {
            Some(Utility::Role(role)) => role,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn created(text: &str) -> RoleOptions {
        match role(text) {
            RoleStatement::Create { options, .. } | RoleStatement::Alter { options, .. } => options,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn options_come_in_any_order() {
        let options = created(
            "CREATE ROLE Alice WITH LOGIN NOSUPERUSER CREATEDB CREATEROLE NOINHERIT CONNECTION LIMIT -1 \
             ENCRYPTED PASSWORD 'it''s' VALID UNTIL 'infinity' NOREPLICATION NOBYPASSRLS;",
        );
        let plain = Options {
            can_login: Some(true),
            is_superuser: Some(false),
            can_create_role: Some(true),
            can_create_database: Some(true),
            inherits: Some(false),
            ..Options::default()
        };
        assert_eq!(options.plain, plain);
        assert_eq!(options.connection_limit, Some(-1));
        assert_eq!(options.password, Some(Some(Secret("it's".to_owned()))));
        assert_eq!(options.valid_until.as_deref(), Some("infinity"));
        assert_eq!(created("create user bob").plain.can_login, Some(true));
        assert_eq!(created("create user bob nologin").plain.can_login, Some(false));
        assert_eq!(created("create role bob").plain.can_login, None);
        assert_eq!(created("ALTER USER bob PASSWORD NULL").password, Some(None));
        let dollars = created("SELECT 1; ALTER ROLE bob PASSWORD $x$y'z$x$").password;
        assert_eq!(dollars, Some(Some(Secret("y'z".to_owned()))));
    }

    #[test]
    fn names_are_folded_and_the_current_role_has_words() {
        assert!(matches!(role("CREATE ROLE Alice"), RoleStatement::Create { name, .. } if name == "alice"));
        assert!(matches!(role("CREATE USER \"Alice\""), RoleStatement::Create { name, .. } if name == "Alice"));
        let current = |text| {
            matches!(
                role(text),
                RoleStatement::Alter {
                    name: RoleName::Current,
                    ..
                }
            )
        };
        assert!(current("ALTER ROLE CURRENT_USER PASSWORD 'x'") && current("ALTER USER user PASSWORD 'x'"));
        let RoleStatement::Drop { names, if_exists: true } = role("DROP USER IF EXISTS a, \"B\"") else {
            panic!("a DROP");
        };
        assert_eq!(
            names,
            [RoleName::Named("a".to_owned()), RoleName::Named("B".to_owned())]
        );
        assert!(matches!(role("ALTER ROLE a RENAME TO b"), RoleStatement::Rename { new_name, .. } if new_name == "b"));
    }

    #[test]
    fn what_is_not_there_is_read_to_its_end() {
        for (text, tag) in [
            ("GRANT SELECT ON t TO bob WITH GRANT OPTION", "GRANT"),
            ("REVOKE ALL ON SCHEMA public FROM PUBLIC; ", "REVOKE"),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA public GRANT SELECT ON TABLES TO b",
                "ALTER DEFAULT PRIVILEGES",
            ),
            ("CREATE ROLE a IN ROLE b", "CREATE ROLE"),
            ("ALTER ROLE a REPLICATION PASSWORD 'x'", "ALTER ROLE"),
            ("ALTER ROLE ALL SET work_mem = '1MB'", "ALTER ROLE"),
        ] {
            assert!(
                matches!(role(text), RoleStatement::Refused { tag: found, .. } if found == tag),
                "{text}"
            );
        }
    }

    #[test]
    fn no_error_and_no_debug_shows_a_password() {
        for wrong in [
            "CREATE ROLE a PASSWORD 'hunter2' 'hunter2'",
            "CREATE ROLE a PASSWORD hunter2",
            "CREATE ROLE a PASSWORD = 'hunter2'",
            "CREATE ROLE a PASSWORD 'x' PASSWORD 'hunter2'",
            "CREATE ROLE a PASSWORD 'x' CONNECTION LIMIT 'hunter2'",
            "ALTER USER 'hunter2' PASSWORD 'hunter2'",
            "ALTER USER a WITH PASSWORD 'x' $$hunter2$$",
            "ALTER USER a WITH PASSWORD E'x' E'hunter2'",
            "SELECT a PASSWORD 'hunter2'",
            "CREATE ROLE a PASSWORD 'hunter2",
        ] {
            let error = parse::parse(wrong).expect_err(wrong);
            assert_eq!(error.state(), SqlState::SYNTAX_ERROR, "{wrong}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{wrong}: {error:?}");
        }
        let shown = format!("{:?}", role("CREATE ROLE a PASSWORD 'hunter2'"));
        assert!(shown.contains("Secret") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn several_statements_come_back_to_their_places() {
        let text = "CREATE ROLE a; SELECT 1; DROP ROLE b; CHECKPOINT; ALTER ROLE c LOGIN";
        let statements = parse::parse(text).expect(text);
        let tags = statements.iter().map(|statement| match &statement.ast {
            ast::Statement::Call(call) => carried(call)
                .expect("parsed before")
                .map(|utility| super::super::verb(&utility)),
            _ => None,
        });
        let tags: Vec<_> = tags.collect();
        assert_eq!(
            tags,
            [
                Some("CREATE ROLE"),
                None,
                Some("DROP ROLE"),
                Some("CHECKPOINT"),
                Some("ALTER ROLE")
            ]
        );
    }

    #[test]
    fn other_statements_stay_as_they_are() {
        for text in ["SELECT role, \"user\" FROM users", "CREATE TABLE users (role text)"] {
            let statements = parse::parse(text).expect(text);
            assert!(!matches!(statements[0].ast, ast::Statement::Call(_)), "{text}");
        }
        assert!(parse::parse("CREATE USER MAPPING FOR a SERVER b").is_err());
    }
}
