//! Words that sqlparser does not take, and that say nothing it could not say otherwise:
//!
//! - `FETCH FIRST (n) ROWS ONLY` is `LIMIT n`. WITH TIES it stays what it is; but sqlparser wants a plain number there, so the count is carried past it as an argument in
//!   LIMIT, and put back.
//! - `[NOT] DEFERRABLE` of a transaction: one that is serializable and only reads is never refused here, and so never has to wait for that.
//! - `CREATE UNLOGGED TABLE`: what may be lost in a crash is kept.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace, Word};

use crate::parse;

/// Whether a text may hold any of them; looked at before the tokens are.
pub fn is_mentioned(text: &str) -> bool {
    const WORDS: [&[u8]; 3] = [b"fetch", b"deferrable", b"unlogged"];
    parse::mentions(text, &WORDS)
}

/// See the module's header.
pub fn carry(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut carried = Vec::with_capacity(tokens.len());
    for statement in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        Spelled::new(statement).write(&mut carried);
    }
    carried
}

/// What the count of FETCH ... WITH TIES is an argument of on its way through sqlparser.
const WITH_TIES: &str = "aion_with_ties";

/// Puts the counts of FETCH ... WITH TIES back.
pub fn put_back(statement: &mut ast::Statement) {
    struct PutBack;
    impl ast::VisitorMut for PutBack {
        type Break = ();

        fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
            if let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause
                && let Some(count) = limit.as_ref().and_then(carried_count)
            {
                *limit = None;
                if offset.is_none() {
                    query.limit_clause = None;
                }
                query.fetch = Some(ast::Fetch {
                    with_ties: true,
                    percent: false,
                    quantity: Some(count),
                });
            }
            ControlFlow::Continue(())
        }
    }
    let _: ControlFlow<()> = ast::VisitMut::visit(statement, &mut PutBack);
}

fn carried_count(limit: &Expr) -> Option<Expr> {
    let Expr::Function(function) = limit else { return None };
    match (&function.name.0[..], &function.args) {
        ([name], ast::FunctionArguments::List(list)) if name.as_ident().is_some_and(|name| name.value == WITH_TIES) => {
            match &list.args[..] {
                [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(count))] => Some(count.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A FETCH: the place of its last word, and that of ROWS.
struct Fetch {
    end: usize,
    rows: usize,
    is_with_ties: bool,
}

/// A statement, and where its words are.
struct Spelled<'a> {
    tokens: &'a [TokenWithSpan],
    /// The places of the tokens that are not between the others.
    places: Vec<usize>,
}

impl<'a> Spelled<'a> {
    fn new(tokens: &'a [TokenWithSpan]) -> Self {
        let is_meant = |at: &usize| !matches!(tokens[*at].token, Token::Whitespace(_));
        let places = (0..tokens.len()).filter(is_meant).collect();
        Self { tokens, places }
    }

    fn token(&self, nth: usize) -> Option<&Token> {
        self.places.get(nth).map(|&at| &self.tokens[at].token)
    }

    fn is(&self, nth: usize, wanted: &str) -> bool {
        matches!(self.token(nth), Some(Token::Word(Word { value, quote_style: None, .. })) if value.eq_ignore_ascii_case(wanted))
    }

    fn is_one_of(&self, nth: usize, wanted: &[&str]) -> bool {
        wanted.iter().any(|wanted| self.is(nth, wanted))
    }

    fn write(&self, out: &mut Vec<TokenWithSpan>) {
        let controls = self.is_one_of(0, &["BEGIN", "START"]) || (self.is(0, "SET") && !self.is(1, "CONSTRAINTS"));
        let mut from = 0;
        let mut nth = 0;
        while nth < self.places.len() {
            let at = self.places[nth];
            if nth > 0
                && self.is(nth, "FETCH")
                && let Some(fetch) = self.fetch(nth)
            {
                out.extend_from_slice(&self.tokens[from..at]);
                let span = self.tokens[at].span;
                let mut put = |token| out.push(TokenWithSpan::new(token, span));
                put(Token::make_keyword("LIMIT"));
                if fetch.is_with_ties {
                    put(Token::Whitespace(Whitespace::Space));
                    put(Token::make_word(WITH_TIES, None));
                    put(Token::LParen);
                }
                if fetch.rows == nth + 2 {
                    put(Token::Whitespace(Whitespace::Space));
                    put(Token::Number("1".to_owned(), false));
                } else {
                    // Between FIRST and ROWS.
                    out.extend_from_slice(&self.tokens[self.places[nth + 1] + 1..self.places[fetch.rows]]);
                }
                if fetch.is_with_ties {
                    out.push(TokenWithSpan::new(Token::RParen, span));
                }
                from = self.places[fetch.end] + 1;
                nth = fetch.end + 1;
                continue;
            }
            let is_unlogged = nth == 1 && self.is(0, "CREATE") && self.is(nth, "UNLOGGED");
            let skipped = if is_unlogged || (controls && self.is(nth, "DEFERRABLE")) {
                1
            } else if controls && self.is(nth, "NOT") && self.is(nth + 1, "DEFERRABLE") {
                2
            } else {
                0
            };
            if skipped > 0 {
                // With the comma before it.
                let mut until = at;
                if controls && nth > 0 && self.token(nth - 1) == Some(&Token::Comma) {
                    until = self.places[nth - 1].max(from);
                }
                out.extend_from_slice(&self.tokens[from..until]);
                from = self.places[nth + skipped - 1] + 1;
                nth += skipped;
                continue;
            }
            nth += 1;
        }
        out.extend_from_slice(&self.tokens[from..]);
    }

    fn fetch(&self, nth: usize) -> Option<Fetch> {
        if !self.is_one_of(nth + 1, &["FIRST", "NEXT"]) {
            return None;
        }
        let mut at = nth + 2;
        if !self.is_one_of(at, &["ROW", "ROWS"]) {
            let mut depth = 0_usize;
            loop {
                match self.token(at)? {
                    Token::LParen => depth += 1,
                    Token::RParen => depth = depth.checked_sub(1)?,
                    Token::Word(word) if depth == 0 && word.keyword != Keyword::NULL => return None,
                    _ => {}
                }
                at += 1;
                if depth == 0 && self.is_one_of(at, &["ROW", "ROWS"]) {
                    break;
                }
            }
        }
        let is_with_ties = self.is(at + 1, "WITH") && self.is(at + 2, "TIES");
        (is_with_ties || self.is(at + 1, "ONLY")).then_some(Fetch {
            end: at + 1 + usize::from(is_with_ties),
            rows: at,
            is_with_ties,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::parse;

    fn spelled(text: &str) -> String {
        parse(text).expect("it parses")[0].to_sql()
    }

    #[test]
    fn the_first_rows_are_a_limit() {
        assert_eq!(
            spelled("SELECT a FROM t ORDER BY a OFFSET (1) ROWS FETCH FIRST (2 + 3) ROWS ONLY"),
            "SELECT a FROM t ORDER BY a LIMIT (2 + 3) OFFSET (1) ROWS"
        );
        assert_eq!(
            spelled("SELECT a FROM t FETCH NEXT ROW ONLY"),
            "SELECT a FROM t LIMIT 1"
        );
        assert_eq!(
            spelled("SELECT a FROM (SELECT a FROM t FETCH FIRST 3 ROWS ONLY) AS s FOR UPDATE"),
            "SELECT a FROM (SELECT a FROM t LIMIT 3) AS s FOR UPDATE"
        );
        let with_ties = "SELECT a FROM t ORDER BY a OFFSET 1 ROWS FETCH FIRST (2 + $1) ROWS WITH TIES";
        assert_eq!(spelled(with_ties), with_ties);
        assert_eq!(
            spelled("SELECT a FROM (SELECT a FROM t ORDER BY a FETCH NEXT ROW WITH TIES) AS s"),
            "SELECT a FROM (SELECT a FROM t ORDER BY a FETCH FIRST 1 ROWS WITH TIES) AS s"
        );
    }

    #[test]
    fn a_transaction_may_be_deferrable() {
        let plain = "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY";
        for text in [
            "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY NOT DEFERRABLE",
        ] {
            assert_eq!(spelled(text), plain);
        }
        assert_eq!(
            spelled("SET TRANSACTION READ ONLY DEFERRABLE"),
            "SET TRANSACTION READ ONLY"
        );
        let key = "CREATE TABLE t (a INT REFERENCES s (a) NOT DEFERRABLE)";
        assert_eq!(spelled(key), key);
    }
}
