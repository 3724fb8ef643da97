//! Words that sqlparser does not take, and that say nothing it could not say otherwise:
//!
//! - `FETCH FIRST (n) ROWS ONLY` is `LIMIT n`.
//! - `[NOT] DEFERRABLE` of a transaction: one that is serializable and only reads is never refused here, and so never has to wait for that.
//! - `CREATE UNLOGGED TABLE`: what may be lost in a crash is kept.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

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
                && let Some(end) = self.fetch(nth)
            {
                out.extend_from_slice(&self.tokens[from..at]);
                let span = self.tokens[at].span;
                out.push(TokenWithSpan::new(Token::make_keyword("LIMIT"), span));
                // Between FIRST and ROWS.
                let count = &self.tokens[self.places[nth + 1] + 1..self.places[end - 1]];
                out.extend_from_slice(count);
                if end == nth + 3 {
                    let space = Token::Whitespace(datafusion::sql::sqlparser::tokenizer::Whitespace::Space);
                    out.push(TokenWithSpan::new(space, span));
                    out.push(TokenWithSpan::new(Token::Number("1".to_owned(), false), span));
                }
                from = self.places[end] + 1;
                nth = end + 1;
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

    /// The place of ONLY, behind a FETCH.
    fn fetch(&self, nth: usize) -> Option<usize> {
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
        self.is(at + 1, "ONLY").then_some(at + 1)
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
        assert!(spelled("SELECT a FROM t ORDER BY a FETCH FIRST 1 ROWS WITH TIES").contains("FETCH"));
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
