//! Text to [`Path`]: by precedence, lowest first.
//!
//! PostgreSQL's grammar keeps expressions and predicates apart. Here both are parsed by the same functions, which say which of the two
//! they have read, and whoever needs one of them refuses the other.

use aion_base::{Error, Result, SqlState};
use regex::RegexBuilder;

use super::lex::{Lexer, Token};
use super::{
    Chain, DEPTH_MAX, Flags, Item, LAST_LEVEL, LikeRegex, Method, OPERATORS_MAX, Operator, Path, TEXT_BYTES_MAX,
};
use crate::json::{Number, Tree};

/// What a compiled regular expression takes at most.
const REGEX_BYTES_MAX: usize = 1 << 20;

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// 42601, 22P02 for an empty text; 54001 and 54000 beyond [`DEPTH_MAX`] and [`TEXT_BYTES_MAX`]; 2201B for a regular expression that
    /// is none; 22003; 0A000 for `datetime()`.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a jsonpath of more than {TEXT_BYTES_MAX} bytes"),
            ));
        }
        let mut parser = Parser {
            lexer: Lexer::new(text),
            token: Token::End,
            depth: 0,
            operators: 0,
            filters: 0,
            subscripts: 0,
        };
        parser.advance()?;
        let is_strict = parser.takes("strict")?;
        if !is_strict && !parser.takes("lax")? && parser.token == Token::End {
            return Err(Error::invalid(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type jsonpath: {}", crate::text::quoted(text)),
            ));
        }
        let (chain, _) = parser.any()?;
        if parser.token != Token::End {
            return Err(parser.syntax_error());
        }
        Ok(Self { is_strict, chain })
    }
}

/// Which of the grammar's two kinds a chain is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Expression,
    Predicate,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    depth: usize,
    operators: usize,
    /// How many filters and subscripts are around: `@` and `last` stand in them only.
    filters: usize,
    subscripts: usize,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    #[cold]
    fn syntax_error(&self) -> Error {
        self.lexer.error("syntax error")
    }

    /// Whether this keyword is next.
    fn is_word(&self, keyword: &str) -> bool {
        matches!(&self.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// Passes over a keyword if it is next.
    fn takes(&mut self, keyword: &str) -> Result<bool> {
        let is_next = self.is_word(keyword);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn expect_word(&mut self, keyword: &str) -> Result<()> {
        if self.takes(keyword)? {
            Ok(())
        } else {
            Err(self.syntax_error())
        }
    }

    fn takes_mark(&mut self, mark: &str) -> Result<bool> {
        let is_next = matches!(self.token, Token::Mark(next) if next == mark);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn expect_mark(&mut self, mark: &str) -> Result<()> {
        if self.takes_mark(mark)? {
            Ok(())
        } else {
            Err(self.syntax_error())
        }
    }

    fn require(&self, kind: Kind, wanted: Kind) -> Result<()> {
        if kind == wanted {
            Ok(())
        } else {
            Err(self.syntax_error())
        }
    }

    fn expression(&mut self) -> Result<Chain> {
        let (chain, kind) = self.any()?;
        self.require(kind, Kind::Expression)?;
        Ok(chain)
    }

    fn predicate(&mut self) -> Result<Chain> {
        let (chain, kind) = self.any()?;
        self.require(kind, Kind::Predicate)?;
        Ok(chain)
    }

    /// An expression or a predicate.
    fn any(&mut self) -> Result<(Chain, Kind)> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(
                Error::exhausted(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                    .with_detail(format!("Expressions of a jsonpath nest at most {DEPTH_MAX} deep.")),
            );
        }
        let answer = self.binary(Operator::Or.priority());
        self.depth -= 1;
        answer
    }

    /// Operators of at least this priority, those of the same one from left to right.
    fn binary(&mut self, priority: u8) -> Result<(Chain, Kind)> {
        let (mut left, mut kind) = self.sign()?;
        loop {
            let operator = match self.token {
                Token::Mark(mark) => Operator::of(mark),
                _ if self.is_word("starts") => Some(Operator::StartsWith),
                _ if self.is_word("like_regex") && Operator::StartsWith.priority() >= priority => {
                    self.require(kind, Kind::Expression)?;
                    left = vec![self.like_regex(left)?];
                    kind = Kind::Predicate;
                    continue;
                }
                _ => None,
            };
            let Some(operator) = operator.filter(|operator| operator.priority() >= priority) else {
                return Ok((left, kind));
            };
            // Each operator is a level of the tree, perhaps.
            self.operators += 1;
            if self.operators > OPERATORS_MAX {
                return Err(Error::exhausted(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    format!("a jsonpath of more than {OPERATORS_MAX} operators"),
                ));
            }
            let is_logical = matches!(operator, Operator::Or | Operator::And);
            let wanted = if is_logical { Kind::Predicate } else { Kind::Expression };
            self.require(kind, wanted)?;
            self.advance()?;
            let right = if operator == Operator::StartsWith {
                self.expect_word("with")?;
                match self.token {
                    Token::String(_) | Token::Variable(_) => self.primary()?.0,
                    _ => return Err(self.syntax_error()),
                }
            } else {
                let (right, right_kind) = self.binary(operator.priority() + 1)?;
                self.require(right_kind, wanted)?;
                right
            };
            kind = match operator.priority() {
                0..=2 => Kind::Predicate,
                _ => Kind::Expression,
            };
            left = vec![Item::Binary(operator, left, right)];
        }
    }

    /// `+` and `-` before an operand, which is a chain.
    fn sign(&mut self) -> Result<(Chain, Kind)> {
        let operator = match self.token {
            Token::Mark("+") => Operator::Add,
            Token::Mark("-") => Operator::Subtract,
            _ => return self.chain(),
        };
        self.advance()?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep());
        }
        let (operand, kind) = self.sign()?;
        self.depth -= 1;
        self.require(kind, Kind::Expression)?;
        let chain = match operand.as_slice() {
            [Item::Literal(literal)] if literal.as_ref().type_name() == "number" => {
                let text = literal.to_string();
                let text = match text.strip_prefix('-') {
                    _ if operator == Operator::Add => text,
                    Some(positive) => positive.to_owned(),
                    None => format!("-{text}"),
                };
                vec![number(&text)?]
            }
            _ => vec![Item::Sign(operator, operand)],
        };
        Ok((chain, Kind::Expression))
    }

    /// A primary and its accessors.
    fn chain(&mut self) -> Result<(Chain, Kind)> {
        let (mut chain, mut kind) = if self.takes_mark("!")? {
            let is_exists = self.is_word("exists");
            let (operand, kind) = if is_exists {
                self.exists()?
            } else {
                self.parenthesized()?
            };
            self.require(kind, Kind::Predicate)?;
            return Ok((vec![Item::Not(operand)], Kind::Predicate));
        } else if self.token == Token::Mark("(") {
            self.parenthesized()?
        } else if self.is_word("exists") {
            return self.exists();
        } else {
            self.primary()?
        };
        if kind == Kind::Predicate && self.takes("is")? {
            self.expect_word("unknown")?;
            return Ok((vec![Item::IsUnknown(chain)], Kind::Predicate));
        }
        while let Some(accessor) = self.accessor()? {
            chain.push(accessor);
            kind = Kind::Expression;
        }
        Ok((chain, kind))
    }

    fn parenthesized(&mut self) -> Result<(Chain, Kind)> {
        self.expect_mark("(")?;
        let inner = self.any()?;
        self.expect_mark(")")?;
        Ok(inner)
    }

    fn exists(&mut self) -> Result<(Chain, Kind)> {
        self.expect_word("exists")?;
        self.expect_mark("(")?;
        let operand = self.expression()?;
        self.expect_mark(")")?;
        Ok((vec![Item::Exists(operand)], Kind::Predicate))
    }

    fn primary(&mut self) -> Result<(Chain, Kind)> {
        let item = match &self.token {
            Token::Mark("$") => Item::Root,
            Token::Mark("@") if self.filters == 0 => return Err(misplaced("@ is not allowed in root expressions")),
            Token::Mark("@") => Item::Current,
            Token::Variable(name) => Item::Variable(name.clone()),
            Token::String(text) => Item::Literal(Tree::String(text.into()).encode()?),
            Token::Integer(text) | Token::Decimal(text) => number(text)?,
            Token::Word(word) => match word.as_str() {
                "null" => Item::Literal(Tree::Null.encode()?),
                "true" => Item::Literal(Tree::Bool(true).encode()?),
                "false" => Item::Literal(Tree::Bool(false).encode()?),
                word if !word.eq_ignore_ascii_case("last") => return Err(self.syntax_error()),
                _ if self.subscripts == 0 => return Err(misplaced("LAST is allowed only in array subscripts")),
                _ => Item::Last,
            },
            Token::Mark(_) | Token::End => return Err(self.syntax_error()),
        };
        self.advance()?;
        Ok((vec![item], Kind::Expression))
    }

    fn accessor(&mut self) -> Result<Option<Item>> {
        if self.takes_mark("[")? {
            return self.subscript().map(Some);
        }
        if self.takes_mark("?")? {
            self.expect_mark("(")?;
            self.filters += 1;
            let predicate = self.predicate()?;
            self.filters -= 1;
            self.expect_mark(")")?;
            return Ok(Some(Item::Filter(predicate)));
        }
        if !self.takes_mark(".")? {
            return Ok(None);
        }
        let item = match self.advance()? {
            Token::Mark("*") => Item::AnyKey,
            Token::Mark("**") => self.any_level()?,
            Token::String(key) => Item::Key(key),
            Token::Word(word) if self.token == Token::Mark("(") => {
                let method = Method::ALL
                    .into_iter()
                    .find(|method| method.name().eq_ignore_ascii_case(&word));
                if word.eq_ignore_ascii_case("datetime") {
                    return Err(Error::unsupported("jsonpath item method .datetime() is not supported"));
                }
                let method = method.ok_or_else(|| self.syntax_error())?;
                self.advance()?;
                self.expect_mark(")")?;
                Item::Method(method)
            }
            Token::Word(key) => Item::Key(key),
            // The error is at what was passed, which is what the lexer names where nothing follows.
            _ => return Err(self.syntax_error()),
        };
        Ok(Some(item))
    }

    /// What follows `[`.
    fn subscript(&mut self) -> Result<Item> {
        if self.takes_mark("*")? {
            self.expect_mark("]")?;
            return Ok(Item::AnyElement);
        }
        self.subscripts += 1;
        let mut ranges = Vec::new();
        loop {
            let from = self.expression()?;
            let to = if self.takes("to")? {
                Some(self.expression()?)
            } else {
                None
            };
            ranges.push((from, to));
            if !self.takes_mark(",")? {
                break;
            }
        }
        self.subscripts -= 1;
        self.expect_mark("]")?;
        Ok(Item::Elements(ranges))
    }

    /// What follows `**`.
    fn any_level(&mut self) -> Result<Item> {
        let (mut first, mut last) = (0, LAST_LEVEL);
        if self.takes_mark("{")? {
            first = self.level()?;
            last = if self.takes("to")? { self.level()? } else { first };
            self.expect_mark("}")?;
        }
        Ok(Item::AnyLevel { first, last })
    }

    fn level(&mut self) -> Result<u32> {
        if self.takes("last")? {
            return Ok(LAST_LEVEL);
        }
        let Token::Integer(digits) = &self.token else {
            return Err(self.syntax_error());
        };
        // PostgreSQL reads it by atoi, whose answer beyond an integer means nothing.
        let level = digits.parse::<i32>().map_err(|_| self.syntax_error())?;
        self.advance()?;
        Ok(level.unsigned_abs())
    }

    fn like_regex(&mut self, text: Chain) -> Result<Item> {
        self.expect_word("like_regex")?;
        let Token::String(pattern) = self.token.clone() else {
            return Err(self.syntax_error());
        };
        self.advance()?;
        let mut flags = Flags::default();
        if self.takes("flag")? {
            let Token::String(letters) = self.token.clone() else {
                return Err(self.syntax_error());
            };
            flags = read_flags(&letters)?;
            self.advance()?;
        }
        let source = if flags.quoted {
            regex::escape(&pattern)
        } else {
            pattern.clone()
        };
        let regex = RegexBuilder::new(&source)
            .case_insensitive(flags.ignores_case)
            .dot_matches_new_line(flags.dot_is_all)
            .multi_line(flags.many_lines)
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|error| {
                Error::invalid(
                    SqlState::INVALID_REGULAR_EXPRESSION,
                    format!("invalid regular expression: {}", crate::text::quoted(&pattern)),
                )
                .with_source(error)
            })?;
        Ok(Item::LikeRegex(Box::new(LikeRegex {
            text,
            pattern,
            flags,
            regex,
        })))
    }
}

fn read_flags(letters: &str) -> Result<Flags> {
    let mut flags = Flags::default();
    for letter in letters.chars() {
        match letter {
            'i' => flags.ignores_case = true,
            's' => flags.dot_is_all = true,
            'm' => flags.many_lines = true,
            'q' => flags.quoted = true,
            'x' => {
                return Err(Error::unsupported(
                    "XQuery \"x\" flag (expanded regular expressions) is not implemented",
                ));
            }
            _ => {
                return Err(
                    Error::invalid(SqlState::SYNTAX_ERROR, "invalid input syntax for type jsonpath").with_detail(
                        format!("Unrecognized flag character \"{letter}\" in LIKE_REGEX predicate."),
                    ),
                );
            }
        }
    }
    Ok(flags)
}

fn number(text: &str) -> Result<Item> {
    let number = Number::parse(text)?.expect("the lexer passes what is a number");
    Ok(Item::Literal(Tree::Number(number).encode()?))
}

#[cold]
fn misplaced(message: &str) -> Error {
    Error::invalid(SqlState::SYNTAX_ERROR, message)
}

#[cold]
fn too_deep() -> Error {
    Error::exhausted(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .with_detail(format!("Expressions of a jsonpath nest at most {DEPTH_MAX} deep."))
}
