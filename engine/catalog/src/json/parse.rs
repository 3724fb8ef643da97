//! Reading JSON text (RFC 8259), with PostgreSQL's tokens and messages.
//!
//! 1. The lexer cuts the text into tokens. What is no token ends where the next separator does, and the detail of the error repeats it.
//! 2. The parser descends, at most [`DEPTH_MAX`] containers, and hands what it finds to a [`Sink`]: a tree for `jsonb`, nothing for `json`.
//!    Strings without escapes and canonical numbers are borrowed from the text.

use std::borrow::Cow;

use aion_base::{Error, Result, SqlState};

use super::{DEPTH_MAX, Number, Tree, too_deep};

/// Refuses what is not JSON; a `json` keeps its text as it was given.
///
/// # Errors
/// 22P02; 54001 beyond [`DEPTH_MAX`].
pub fn check_text(text: &str) -> Result<()> {
    Parser::<Check>::read(text)
}

/// The tree of a text.
pub(super) fn parse(text: &str) -> Result<Tree<'_>> {
    Parser::<Build>::read(text)
}

/// What becomes of the values that are read.
trait Sink<'a> {
    type Value;
    /// Whether escapes of strings are decoded, or only checked.
    const DECODES: bool;
    fn word(value: Option<bool>) -> Self::Value;
    fn number(text: &'a str) -> Result<Self::Value>;
    fn string(text: Cow<'a, str>) -> Self::Value;
    fn array(elements: Vec<Self::Value>) -> Self::Value;
    fn object(members: Vec<(Cow<'a, str>, Self::Value)>) -> Self::Value;
}

struct Check;

impl<'a> Sink<'a> for Check {
    type Value = ();
    const DECODES: bool = false;
    fn word(_: Option<bool>) {}
    fn number(_: &'a str) -> Result<()> {
        Ok(())
    }
    fn string(_: Cow<'a, str>) {}
    fn array(_: Vec<()>) {}
    fn object(_: Vec<(Cow<'a, str>, ())>) {}
}

struct Build;

impl<'a> Sink<'a> for Build {
    type Value = Tree<'a>;
    const DECODES: bool = true;

    fn word(value: Option<bool>) -> Tree<'a> {
        value.map_or(Tree::Null, Tree::Bool)
    }

    fn number(text: &'a str) -> Result<Tree<'a>> {
        let number = Number::parse(text)?;
        Ok(Tree::Number(
            number.expect("the lexer passes what JSON takes for a number"),
        ))
    }

    fn string(text: Cow<'a, str>) -> Tree<'a> {
        Tree::String(text)
    }

    fn array(elements: Vec<Tree<'a>>) -> Tree<'a> {
        Tree::Array(elements)
    }

    fn object(members: Vec<(Cow<'a, str>, Tree<'a>)>) -> Tree<'a> {
        Tree::Object(members)
    }
}

/// A token; of a string its text, decoded where the sink asks for it.
#[derive(Clone, Debug, PartialEq)]
enum Token<'a> {
    /// One of `{}[],:`.
    Mark(u8),
    Word(Option<bool>),
    Number(&'a str),
    String(Cow<'a, str>),
    End,
}

/// The next token, and where it stands.
struct Parser<'a, S> {
    text: &'a str,
    token: Token<'a>,
    start: usize,
    end: usize,
    sink: std::marker::PhantomData<S>,
}

impl<'a, S: Sink<'a>> Parser<'a, S> {
    fn read(text: &'a str) -> Result<S::Value> {
        let mut parser = Self {
            text,
            token: Token::End,
            start: 0,
            end: 0,
            sink: std::marker::PhantomData,
        };
        parser.advance()?;
        let value = parser.value(0)?;
        if parser.token != Token::End {
            return Err(parser.unexpected("end of input"));
        }
        Ok(value)
    }

    fn value(&mut self, level: usize) -> Result<S::Value> {
        match &mut self.token {
            Token::Mark(b'{') => self.object(level),
            Token::Mark(b'[') => self.array(level),
            Token::Word(word) => {
                let value = S::word(*word);
                self.advance()?;
                Ok(value)
            }
            Token::Number(text) => {
                let value = S::number(text)?;
                self.advance()?;
                Ok(value)
            }
            Token::String(text) => {
                let value = S::string(std::mem::take(text));
                self.advance()?;
                Ok(value)
            }
            Token::Mark(_) | Token::End => Err(self.unexpected("JSON value")),
        }
    }

    fn array(&mut self, level: usize) -> Result<S::Value> {
        if level >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.advance()?;
        let mut elements = Vec::new();
        if self.token != Token::Mark(b']') {
            elements.push(self.value(level + 1)?);
            while self.token == Token::Mark(b',') {
                self.advance()?;
                elements.push(self.value(level + 1)?);
            }
        }
        self.expect(b']', "\",\" or \"]\"")?;
        Ok(S::array(elements))
    }

    fn object(&mut self, level: usize) -> Result<S::Value> {
        if level >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.advance()?;
        let mut members = Vec::new();
        match self.token {
            Token::String(_) => {
                members.push(self.member(level)?);
                while self.token == Token::Mark(b',') {
                    self.advance()?;
                    members.push(self.member(level)?);
                }
            }
            Token::Mark(b'}') => {}
            _ => return Err(self.unexpected("string or \"}\"")),
        }
        self.expect(b'}', "\",\" or \"}\"")?;
        Ok(S::object(members))
    }

    fn member(&mut self, level: usize) -> Result<(Cow<'a, str>, S::Value)> {
        let Token::String(key) = &mut self.token else {
            return Err(self.unexpected("string"));
        };
        let key = std::mem::take(key);
        self.advance()?;
        self.expect(b':', "\":\"")?;
        Ok((key, self.value(level + 1)?))
    }

    fn expect(&mut self, mark: u8, name: &str) -> Result<()> {
        if self.token != Token::Mark(mark) {
            return Err(self.unexpected(name));
        }
        self.advance()
    }

    #[cold]
    fn unexpected(&self, expected: &str) -> Error {
        if self.token == Token::End {
            return invalid("The input string ended unexpectedly.");
        }
        let found = &self.text[self.start..self.end];
        invalid(format!("Expected {expected}, but found \"{found}\"."))
    }

    /// Reads the next token.
    fn advance(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let spaces = bytes[self.end..].iter().take_while(|byte| is_space(byte)).count();
        self.start = self.end + spaces;
        self.end = self.start;
        self.token = match bytes.get(self.start) {
            None => Token::End,
            Some(&mark @ (b'{' | b'}' | b'[' | b']' | b',' | b':')) => {
                self.end += 1;
                Token::Mark(mark)
            }
            Some(b'"') => Token::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
        };
        Ok(())
    }

    /// Where the characters of a word end that begin at `from`.
    fn word_end(&self, from: usize) -> usize {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
        from + self.text.as_bytes()[from..]
            .iter()
            .take_while(|byte| is_word(byte))
            .count()
    }

    fn word(&mut self) -> Result<Token<'a>> {
        self.end = self.word_end(self.start).max(self.start + 1);
        match &self.text[self.start..self.end] {
            "null" => Ok(Token::Word(None)),
            "true" => Ok(Token::Word(Some(true))),
            "false" => Ok(Token::Word(Some(false))),
            _ => Err(self.invalid_token(self.end)),
        }
    }

    fn number(&mut self) -> Result<Token<'a>> {
        let bytes = self.text.as_bytes();
        let mut at = self.start + usize::from(bytes[self.start] == b'-');
        let digits = |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut is_valid = true;
        // Passes the digits of one part, of which there must be some.
        let mut pass = |at: &mut usize, end: usize| {
            is_valid &= end > *at;
            *at = end;
        };
        let whole = if bytes.get(at) == Some(&b'0') {
            at + 1
        } else {
            digits(at)
        };
        pass(&mut at, whole);
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            let end = digits(at);
            pass(&mut at, end);
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(at);
            pass(&mut at, end);
        }
        let end = self.word_end(at);
        if !is_valid || end > at {
            return Err(self.invalid_token(end));
        }
        self.end = at;
        Ok(Token::Number(&self.text[self.start..at]))
    }

    #[cold]
    fn invalid_token(&self, end: usize) -> Error {
        invalid(format!("Token \"{}\" is invalid.", &self.text[self.start..end]))
    }

    /// Reads a string from its quote on.
    fn string(&mut self) -> Result<Cow<'a, str>> {
        let mut decoded = String::new();
        let mut at = self.start + 1;
        let mut plain = at;
        loop {
            let stop = self.text.as_bytes()[at..]
                .iter()
                .position(|&byte| byte < 32 || byte == b'"' || byte == b'\\');
            let Some(stop) = stop.map(|count| at + count) else {
                return Err(self.invalid_token(self.text.len()));
            };
            at = stop + 1;
            match self.text.as_bytes()[stop] {
                b'"' => {
                    self.end = at;
                    let last = &self.text[plain..stop];
                    return Ok(if decoded.is_empty() {
                        Cow::Borrowed(last)
                    } else {
                        decoded.push_str(last);
                        Cow::Owned(decoded)
                    });
                }
                b'\\' => {
                    let escape = self.escape(at)?;
                    at = escape.end;
                    if S::DECODES {
                        decoded.push_str(&self.text[plain..stop]);
                        decoded.push(escape.decoded);
                        plain = at;
                    }
                }
                control => {
                    return Err(invalid(format!(
                        "Character with value 0x{control:02x} must be escaped."
                    )));
                }
            }
        }
    }

    /// Reads an escape, from behind its backslash.
    fn escape(&self, at: usize) -> Result<Escape> {
        let Some(c) = self.text[at..].chars().next() else {
            return Err(self.invalid_token(self.text.len()));
        };
        let decoded = match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(at + 1),
            _ => return Err(invalid(format!("Escape sequence \"\\{c}\" is invalid."))),
        };
        Ok(Escape { decoded, end: at + 1 })
    }

    /// Reads the digits of a `\u`, and of the second one where the first is a high surrogate.
    fn unicode(&self, at: usize) -> Result<Escape> {
        let code = self.hex(at)?;
        let end = at + 4;
        if !S::DECODES {
            return Ok(Escape { decoded: ' ', end });
        }
        if let Some(decoded) = char::from_u32(code) {
            if decoded == '\0' {
                return Err(null_character());
            }
            return Ok(Escape { decoded, end });
        }
        if code >= 0xdc00 || !self.text[end..].starts_with("\\u") {
            return Err(invalid("Unicode low surrogate must follow a high surrogate."));
        }
        let low = self.hex(end + 2)?;
        match low {
            0xdc00..0xe000 => Ok(Escape {
                decoded: char::from_u32(0x1_0000 + ((code & 0x3ff) << 10) + (low & 0x3ff))
                    .expect("two surrogates are a character"),
                end: end + 6,
            }),
            0xd800..0xdc00 => Err(invalid("Unicode high surrogate must not follow a high surrogate.")),
            0 => Err(null_character()),
            _ => Err(invalid("Unicode low surrogate must follow a high surrogate.")),
        }
    }

    fn hex(&self, at: usize) -> Result<u32> {
        let digits = self.text.as_bytes().get(at..at + 4);
        match digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            Some(digits) => Ok(digits.iter().fold(0, |sum, digit| {
                sum * 16 + char::from(*digit).to_digit(16).expect("checked above")
            })),
            // The text ends among the digits, as a token.
            None if self.text.as_bytes()[at..].iter().take(4).all(u8::is_ascii_hexdigit) => {
                Err(self.invalid_token(self.text.len()))
            }
            None => Err(invalid("\"\\u\" must be followed by four hexadecimal digits.")),
        }
    }
}

struct Escape {
    decoded: char,
    end: usize,
}

#[cold]
fn invalid(detail: impl Into<String>) -> Error {
    Error::invalid(
        SqlState::INVALID_TEXT_REPRESENTATION,
        "invalid input syntax for type json",
    )
    .with_detail(detail)
}

/// The error for a string that no `text` can hold.
#[cold]
pub(super) fn null_character() -> Error {
    Error::invalid(
        SqlState::UNTRANSLATABLE_CHARACTER,
        "unsupported Unicode escape sequence",
    )
    .with_detail("\\u0000 cannot be converted to text.")
}
