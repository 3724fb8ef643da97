//! CREATE TABLE AS and CREATE MATERIALIZED VIEW: sqlparser has no list of names without types in it, no WITH NO DATA, and no EXECUTE.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::word;

/// A table that is made of a query, which stands behind AS and is read where it is planned.
#[derive(Clone, Debug)]
pub struct CreateAs {
    pub name: ast::ObjectName,
    /// Names of the first columns, instead of those that the query gives.
    pub columns: Vec<ast::Ident>,
    pub options: Vec<ast::SqlOption>,
    pub if_not_exists: bool,
    pub is_temporary: bool,
    /// CREATE MATERIALIZED VIEW: the query is kept.
    pub is_view: bool,
    /// What becomes of its rows at the end of a transaction.
    pub on_commit: Option<ast::OnCommit>,
    /// An EXECUTE stands in the place of the query.
    pub is_executed: bool,
    pub with_data: bool,
    /// The words behind the query.
    pub tail: usize,
}

impl CreateAs {
    /// The tag of one that writes no rows.
    pub fn tag(&self) -> &'static str {
        match self.is_view {
            true => "CREATE MATERIALIZED VIEW",
            false => "CREATE TABLE AS",
        }
    }
}

/// Whether a statement that begins with CREATE is one: TABLE or MATERIALIZED is among its first words, and AS stands in no parentheses.
pub fn begins(words: &[&str], statement: &[TokenWithSpan]) -> bool {
    let mut words = words.iter();
    if !words.next().is_some_and(|first| first.eq_ignore_ascii_case("create"))
        || !words.any(|word| word.eq_ignore_ascii_case("table") || word.eq_ignore_ascii_case("materialized"))
    {
        return false;
    }
    let mut depth = 0_usize;
    statement.iter().any(|token| {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) => return depth == 0 && word.quote_style.is_none() && word.keyword == Keyword::AS,
            _ => {}
        }
        false
    })
}

/// What follows ON COMMIT.
fn on_commit(parser: &mut Parser<'_>) -> Result<ast::OnCommit, ParserError> {
    if parser.parse_keywords(&[Keyword::DELETE, Keyword::ROWS]) {
        Ok(ast::OnCommit::DeleteRows)
    } else if parser.parse_keywords(&[Keyword::PRESERVE, Keyword::ROWS]) {
        Ok(ast::OnCommit::PreserveRows)
    } else if parser.parse_keyword(Keyword::DROP) {
        Ok(ast::OnCommit::Drop)
    } else {
        let next = parser.peek_token();
        parser.expected("DELETE ROWS, PRESERVE ROWS or DROP", next)
    }
}

/// What follows CREATE, which was taken; None where it is another statement.
///
/// # Errors
/// For one that is wrong.
pub fn statement(parser: &mut Parser<'_>) -> Result<Option<CreateAs>, ParserError> {
    let is_view = word(parser, "MATERIALIZED");
    let mut is_temporary = false;
    if is_view {
        parser.expect_keyword(Keyword::VIEW)?;
    } else {
        let _ = word(parser, "LOCAL") || word(parser, "GLOBAL");
        is_temporary = word(parser, "TEMPORARY") || word(parser, "TEMP");
        // It outlives a crash: that is more than it must.
        let _ = word(parser, "UNLOGGED");
        if !word(parser, "TABLE") {
            return Ok(None);
        }
    }
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    let mut columns = Vec::new();
    if parser.consume_token(&Token::LParen) {
        columns = parser.parse_comma_separated(Parser::parse_identifier)?;
        parser.expect_token(&Token::RParen)?;
    }
    let options = parser.parse_options(Keyword::WITH)?;
    let on_commit = match !is_view && parser.parse_keywords(&[Keyword::ON, Keyword::COMMIT]) {
        true => Some(on_commit(parser)?),
        false => None,
    };
    parser.expect_keyword(Keyword::AS)?;
    let is_executed = !is_view && word(parser, "EXECUTE");
    if !is_executed {
        let first = parser.peek_token();
        let query = parser.parse_query()?;
        if matches!(
            *query.body,
            ast::SetExpr::Insert(_) | ast::SetExpr::Update(_) | ast::SetExpr::Delete(_) | ast::SetExpr::Merge(_)
        ) {
            return parser.expected("a query", first);
        }
    } else {
        parser.parse_identifier()?;
        if parser.consume_token(&Token::LParen) {
            parser.parse_comma_separated(Parser::parse_expr)?;
            parser.expect_token(&Token::RParen)?;
        }
    }
    let (with_data, tail) = match parser.parse_keyword(Keyword::WITH) {
        true => {
            let is_without = parser.parse_keyword(Keyword::NO);
            parser.expect_keyword(Keyword::DATA)?;
            (!is_without, 2 + usize::from(is_without))
        }
        false => (true, 0),
    };
    Ok(Some(CreateAs {
        name,
        columns,
        options,
        if_not_exists,
        is_temporary,
        is_view,
        on_commit,
        is_executed,
        with_data,
        tail,
    }))
}
