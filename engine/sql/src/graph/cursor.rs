//! A place in the tokens of a body, and what is read there.
//!
//! sqlparser's parser is the cursor, so that expressions are read by it in the middle of what it does not know.

use aion_base::{Error, Result, SqlState};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::{is_word, tokens_of};
use crate::dialect::Postgres;
use crate::dml::at;
use crate::parse::{self, NESTING_MAX};

const DIALECT: Postgres = Postgres;

pub(super) struct Cursor<'a> {
    parser: Parser<'a>,
    text: &'a str,
    /// Where the body ends.
    end: Span,
}

impl<'a> Cursor<'a> {
    /// At the begin of `body`, which lies at `place` in `text`.
    ///
    /// # Errors
    /// 42601 for what cannot be split into tokens.
    pub fn new(body: &str, place: Span, text: &'a str) -> Result<Self> {
        let tokens = tokens_of(body, place.start, text)?;
        Ok(Self {
            parser: Parser::new(&DIALECT)
                .with_recursion_limit(NESTING_MAX)
                .with_tokens_with_locations(tokens),
            text,
            end: Span::new(place.end, place.end),
        })
    }

    /// The next token.
    pub fn peek(&self) -> &TokenWithSpan {
        self.parser.peek_token_ref()
    }

    /// The place of the next token.
    pub fn span(&self) -> Span {
        match self.peek() {
            TokenWithSpan { token: Token::EOF, .. } => self.end,
            token => token.span,
        }
    }

    pub fn is_at(&self, token: &Token) -> bool {
        self.peek().token == *token
    }

    pub fn is_at_word(&self, word: &str) -> bool {
        is_word(&self.peek().token, word)
    }

    /// Goes past a token, if it is the next.
    pub fn take(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    /// Goes past an unquoted word, if it is the next.
    pub fn take_word(&mut self, word: &str) -> bool {
        let is_there = self.is_at_word(word);
        if is_there {
            self.parser.advance_token();
        }
        is_there
    }

    /// Goes past unquoted words, if all of them are next.
    pub fn take_words(&mut self, words: &[&str]) -> bool {
        let are_there = words
            .iter()
            .enumerate()
            .all(|(at, word)| is_word(&self.parser.peek_nth_token_ref(at).token, word));
        if are_there {
            words.iter().for_each(|_| self.parser.advance_token());
        }
        are_there
    }

    pub fn expect(&mut self, token: &Token) -> Result<()> {
        match self.take(token) {
            true => Ok(()),
            false => Err(self.unexpected(&token.to_string())),
        }
    }

    pub fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        for word in words {
            if !self.take_word(word) {
                return Err(self.unexpected(word));
            }
        }
        Ok(())
    }

    pub fn expect_end(&self) -> Result<()> {
        match self.peek().token {
            Token::EOF => Ok(()),
            _ => Err(self.unexpected("the end")),
        }
    }

    /// A name.
    pub fn ident(&mut self) -> Result<ast::Ident> {
        if !matches!(self.peek().token, Token::Word(_)) {
            return Err(self.unexpected("a name"));
        }
        self.parser.parse_identifier().map_err(|error| self.failed(error))
    }

    /// A name with a schema, or without.
    pub fn object_name(&mut self) -> Result<ast::ObjectName> {
        let mut parts = vec![self.ident()?];
        while self.take(&Token::Period) {
            parts.push(self.ident()?);
        }
        Ok(ast::ObjectName::from(parts))
    }

    /// `(a, b, ...)`.
    pub fn idents(&mut self) -> Result<Vec<ast::Ident>> {
        self.list(Self::ident)
    }

    /// Things in parentheses with commas between.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect(&Token::LParen)?;
        let mut items = vec![item(self)?];
        while self.take(&Token::Comma) {
            items.push(item(self)?);
        }
        if !self.take(&Token::RParen) {
            return Err(self.unexpected(", or )"));
        }
        Ok(items)
    }

    /// An expression.
    pub fn expr(&mut self) -> Result<ast::Expr> {
        let mut expr = self.parser.parse_expr().map_err(|error| self.failed(error))?;
        parse::write_out_exponents(&mut expr);
        Ok(expr)
    }

    /// An unsigned whole number; None if something else is next.
    pub fn whole_number(&mut self) -> Option<u64> {
        let Token::Number(digits, _) = &self.peek().token else {
            return None;
        };
        let number = digits.parse().ok()?;
        self.parser.advance_token();
        Some(number)
    }

    /// 42601 at the next token.
    pub fn unexpected(&self, expected: &str) -> Error {
        let found = match &self.peek().token {
            Token::EOF => "the end".to_owned(),
            token => token.to_string(),
        };
        let error = Error::invalid(
            SqlState::SYNTAX_ERROR,
            format!("syntax error: Expected: {expected}, found: {found}"),
        );
        self.place(error, self.span())
    }

    /// 0A000 at the next token.
    pub fn unsupported(&self, message: impl Into<String>) -> Error {
        self.place(Error::unsupported(message), self.span())
    }

    /// An error at a place.
    pub fn place(&self, error: Error, span: Span) -> Error {
        at(error, span, self.text)
    }

    fn failed(&self, error: ParserError) -> Error {
        let error = parse::syntax_error(error, self.text);
        match error.position() {
            Some(_) => error,
            None => self.place(error, self.end),
        }
    }
}
