//! What sqlparser reads: PostgreSQL as it knows it, but for where it reads something else than PostgreSQL does.
//!
//! `a IS DISTINCT FROM b AND c` is `(a IS DISTINCT FROM b) AND c`; sqlparser takes all that follows for the right side.
//!
//! `TRIM(LEADING FROM a)`, which says nothing of what is taken away, and `a BETWEEN SYMMETRIC b AND c` are not known to it.
//!
//! `SELECT now() ON CONFLICT DO NOTHING` and `SELECT 1 FOR UPDATE` have no columns called `on` and `for`.
//!
//! `WHERE CURRENT OF c` is the expression [`CURRENT_OF`] of `c`, which stands by itself there, and nowhere else.
//!
//! Everything else is what [`PostgreSqlDialect`] says, method by method: one that a later version of it adds has to be added here.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, TrimWhereField, UnaryOperator};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The prefix of a cursor's name in the place of a condition.
pub const CURRENT_OF: &str = "CURRENT OF";

const KNOWN: PostgreSqlDialect = PostgreSqlDialect {};

/// See the module's header.
#[derive(Clone, Copy, Debug, Default)]
pub struct Postgres;

macro_rules! as_known {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self $(, $argument: $kind)*) -> $answer {
            KNOWN.$name($($argument),*)
        })*
    };
}

impl Dialect for Postgres {
    fn dialect(&self) -> TypeId {
        KNOWN.dialect()
    }

    as_known! {
        identifier_quote_style(identifier: &str) -> Option<char>;
        is_delimited_identifier_start(ch: char) -> bool;
        is_identifier_start(ch: char) -> bool;
        is_identifier_part(ch: char) -> bool;
        supports_unicode_string_literal() -> bool;
        is_reserved_for_identifier(keyword: Keyword) -> bool;
        is_custom_operator_part(ch: char) -> bool;
        get_next_precedence(parser: &Parser<'_>) -> Option<Result<u8, ParserError>>;
        supports_filter_during_aggregation() -> bool;
        supports_group_by_expr() -> bool;
        prec_value(precedence: Precedence) -> u8;
        allow_extract_custom() -> bool;
        allow_extract_single_quotes() -> bool;
        supports_create_index_with_clause() -> bool;
        supports_explain_with_utility_options() -> bool;
        supports_listen_notify() -> bool;
        supports_factorial_operator() -> bool;
        supports_bitwise_shift_operators() -> bool;
        supports_comment_on() -> bool;
        supports_load_extension() -> bool;
        supports_named_fn_args_with_colon_operator() -> bool;
        supports_named_fn_args_with_expr_name() -> bool;
        supports_empty_projections() -> bool;
        supports_nested_comments() -> bool;
        supports_string_escape_constant() -> bool;
        supports_numeric_literal_underscores() -> bool;
        supports_array_typedef_with_brackets() -> bool;
        supports_geometric_types() -> bool;
        supports_set_names() -> bool;
        supports_alter_column_type_using() -> bool;
        supports_notnull_operator() -> bool;
        supports_interval_options() -> bool;
        supports_insert_table_alias() -> bool;
        supports_create_table_like_parenthesized() -> bool;
        supports_select_wildcard_with_alias() -> bool;
        supports_comma_separated_trim() -> bool;
        supports_xml_expressions() -> bool;
        supports_comment_optimizer_hint() -> bool;
    }

    /// What PostgreSQL's grammar calls a label without AS: `SELECT now() ON CONFLICT` and `SELECT 1 FOR UPDATE` have none.
    fn is_select_item_alias(&self, explicit: bool, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        const NEVER_BARE: [Keyword; 9] = [
            Keyword::ON,
            Keyword::FOR,
            Keyword::FETCH,
            Keyword::RETURNING,
            Keyword::CREATE,
            Keyword::GRANT,
            Keyword::ARRAY,
            Keyword::OVERLAPS,
            Keyword::WITHIN,
        ];
        explicit || (!NEVER_BARE.contains(keyword) && KNOWN.is_select_item_alias(explicit, keyword, parser))
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        if let Some(side) = bare_trim(parser) {
            return Some(parse_trim(parser, side));
        }
        if !is_keyword(&parser.peek_token_ref().token, Keyword::CURRENT)
            || !is_keyword(&parser.get_current_token().token, Keyword::WHERE)
            || !parser.parse_keywords(&[Keyword::CURRENT, Keyword::OF])
        {
            return None;
        }
        Some(parser.parse_identifier().and_then(|cursor| {
            let next = parser.peek_token();
            match &next.token {
                Token::EOF | Token::SemiColon | Token::RParen => {}
                token if is_keyword(token, Keyword::RETURNING) => {}
                _ => return parser.expected("end of statement", next),
            }
            Ok(Expr::Prefixed {
                prefix: Ident::new(CURRENT_OF),
                value: Box::new(Expr::Identifier(cursor)),
            })
        }))
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, expr: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        let is_between = parser.parse_keywords(&[Keyword::BETWEEN, Keyword::SYMMETRIC]);
        if is_between || parser.parse_keywords(&[Keyword::NOT, Keyword::BETWEEN, Keyword::SYMMETRIC]) {
            return Some(parse_symmetric(parser, expr, !is_between));
        }
        let is_distinct = parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]);
        if !is_distinct && !parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
            return KNOWN.parse_infix(parser, expr, precedence);
        }
        let left = Box::new(expr.clone());
        let right = parser.parse_subexpr(KNOWN.prec_value(Precedence::Is));
        Some(right.map(|right| match is_distinct {
            true => Expr::IsDistinctFrom(left, Box::new(right)),
            false => Expr::IsNotDistinctFrom(left, Box::new(right)),
        }))
    }
}

/// The side of `TRIM([side] FROM`, which comes next.
fn bare_trim(parser: &Parser<'_>) -> Option<Option<TrimWhereField>> {
    let is = |at: usize, keyword: Keyword| is_keyword(&parser.peek_nth_token_ref(at).token, keyword);
    if !is(0, Keyword::TRIM) || parser.peek_nth_token_ref(1).token != Token::LParen {
        return None;
    }
    let sides = [
        (Keyword::LEADING, TrimWhereField::Leading),
        (Keyword::TRAILING, TrimWhereField::Trailing),
        (Keyword::BOTH, TrimWhereField::Both),
    ];
    if is(2, Keyword::FROM) {
        return Some(None);
    }
    let side = sides.into_iter().find(|(keyword, _)| is(2, *keyword));
    side.filter(|_| is(3, Keyword::FROM)).map(|(_, side)| Some(side))
}

fn parse_trim(parser: &mut Parser<'_>, side: Option<TrimWhereField>) -> Result<Expr, ParserError> {
    parser.advance_token();
    parser.advance_token();
    if side.is_some() {
        parser.advance_token();
    }
    parser.expect_keyword(Keyword::FROM)?;
    let of = parser.parse_expr()?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Trim {
        expr: Box::new(of),
        trim_where: side,
        trim_what: None,
        trim_characters: None,
    })
}

/// What follows BETWEEN SYMMETRIC: the bounds in either order.
fn parse_symmetric(parser: &mut Parser<'_>, expr: &Expr, is_not: bool) -> Result<Expr, ParserError> {
    let precedence = KNOWN.prec_value(Precedence::Between);
    let one = parser.parse_subexpr(precedence)?;
    parser.expect_keyword(Keyword::AND)?;
    let other = parser.parse_subexpr(precedence)?;
    let between = |low: &Expr, high: &Expr| Expr::Between {
        expr: Box::new(expr.clone()),
        negated: false,
        low: Box::new(low.clone()),
        high: Box::new(high.clone()),
    };
    let either = Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(between(&one, &other)),
        op: BinaryOperator::Or,
        right: Box::new(between(&other, &one)),
    }));
    Ok(match is_not {
        true => Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(either),
        },
        false => either,
    })
}

fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.keyword == keyword)
}

/// The cursor of `WHERE CURRENT OF cursor`.
pub fn current_of(condition: &Expr) -> Option<&Ident> {
    match condition {
        Expr::Prefixed { prefix, value } if prefix.value == CURRENT_OF => match &**value {
            Expr::Identifier(cursor) => Some(cursor),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut parser = Parser::new(&Postgres).try_with_sql(text).expect("tokens");
        fn parenthesized(expr: &Expr) -> String {
            match expr {
                Expr::IsDistinctFrom(left, right) => format!("[{left} <> {right}]"),
                Expr::IsNotDistinctFrom(left, right) => format!("[{left} == {right}]"),
                Expr::BinaryOp { left, op, right } => {
                    format!("({} {op} {})", parenthesized(left), parenthesized(right))
                }
                Expr::UnaryOp { op, expr } => format!("({op} {})", parenthesized(expr)),
                Expr::Nested(expr) => parenthesized(expr),
                other => other.to_string(),
            }
        }
        parenthesized(&parser.parse_expr().expect("an expression"))
    }

    /// `NOT a IS DISTINCT FROM b AND c` was `NOT (a IS DISTINCT FROM (b AND c))`.
    #[test]
    fn is_distinct_from_ends_where_it_does_in_postgresql() {
        for (text, read) in [
            ("a IS DISTINCT FROM b AND c", "([a <> b] AND c)"),
            ("x AND a IS NOT DISTINCT FROM b OR c", "((x AND [a == b]) OR c)"),
            ("NOT a IS DISTINCT FROM b AND c", "((NOT [a <> b]) AND c)"),
            ("a IS DISTINCT FROM b + 1 = c", "[a <> b + 1 = c]"),
            ("a IS DISTINCT FROM (b AND c)", "[a <> (b AND c)]"),
            ("a IS NULL AND b IS NOT NULL", "(a IS NULL AND b IS NOT NULL)"),
        ] {
            assert_eq!(shown(text), read, "{text}");
        }
    }
}
