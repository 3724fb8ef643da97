//! The tokens of `jsonpath`.

use aion_base::{Error, Result, SqlState};

/// A token. What is written in two ways (`<>` and `!=`) is one token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name without quotes, a keyword perhaps.
    Word(String),
    String(String),
    Variable(String),
    Integer(String),
    Decimal(String),
    Mark(&'static str),
    End,
}

/// Longer ones before those that they begin with.
const MARKS: [&str; 32] = [
    "&&", "||", "**", "<=", "==", "<>", "!=", ">=", "!", "<", ">", "?", "%", "$", ".", "[", "]", "{", "}", "(", ")",
    "|", "&", "=", "@", "#", ",", "*", ":", "-", "+", "/",
];

/// Cuts text into tokens.
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Where the token that was read last begins and ends.
    start: usize,
    end: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, start: 0, end: 0 }
    }

    /// The error at the token that was read last.
    #[cold]
    pub(super) fn error(&self, message: &str) -> Error {
        let message = match &self.text[self.start..self.end] {
            "" => format!("{message} at end of jsonpath input"),
            token => format!("{message} at or near \"{token}\" of jsonpath input"),
        };
        Error::invalid(SqlState::SYNTAX_ERROR, message)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.end..]
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token> {
        self.pass_blanks()?;
        self.start = self.end;
        let rest = self.rest();
        let mut chars = rest.chars();
        match (chars.next(), chars.next()) {
            (None, _) => Ok(Token::End),
            (Some('"'), _) => {
                self.end += 1;
                self.quoted().map(Token::String)
            }
            (Some('$'), Some('"')) => {
                self.end += 2;
                self.quoted().map(Token::Variable)
            }
            (Some('$'), Some(c)) if is_word(c) => {
                self.end += 1;
                let length = self.rest().find(|c| !is_word(c)).unwrap_or(self.rest().len());
                let name = self.rest()[..length].to_owned();
                self.end += length;
                Ok(Token::Variable(name))
            }
            (Some('0'..='9'), _) | (Some('.'), Some('0'..='9')) => self.number(),
            (Some(c), _) if is_word(c) || c == '\\' => self.word().map(Token::Word),
            _ => {
                let mark = MARKS
                    .into_iter()
                    .find(|mark| rest.starts_with(mark))
                    .expect("each character that is no part of a word is a mark");
                self.end += mark.len();
                Ok(Token::Mark(if mark == "<>" { "!=" } else { mark }))
            }
        }
    }

    /// Passes white space and comments.
    fn pass_blanks(&mut self) -> Result<()> {
        loop {
            self.end = self.text.len() - self.rest().trim_start_matches(is_blank).len();
            if !self.rest().starts_with("/*") {
                return Ok(());
            }
            match self.rest().find("*/") {
                Some(length) => self.end += length + 2,
                None => {
                    (self.start, self.end) = (self.text.len(), self.text.len());
                    return Err(self.error("unexpected end of comment"));
                }
            }
        }
    }

    fn number(&mut self) -> Result<Token> {
        let bytes = self.text.as_bytes();
        let digits = |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut at = if bytes[self.end] == b'0' {
            self.end + 1
        } else {
            digits(self.end)
        };
        let mut is_integer = true;
        if bytes.get(at) == Some(&b'.') {
            is_integer = false;
            at = digits(at + 1);
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let exponent = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            if digits(exponent) > exponent {
                is_integer = false;
                at = digits(exponent);
            } else if exponent > at + 1 {
                self.end = exponent;
                return Err(self.error("invalid numeric literal"));
            }
        }
        self.end = at;
        if let Some(c) = self.rest().chars().next().filter(|c| is_word(*c)) {
            self.end += c.len_utf8();
            return Err(self.error("trailing junk after numeric literal"));
        }
        let text = self.text[self.start..at].to_owned();
        Ok(if is_integer {
            Token::Integer(text)
        } else {
            Token::Decimal(text)
        })
    }

    fn word(&mut self) -> Result<String> {
        let mut word = String::new();
        while let Some(c) = self.rest().chars().next() {
            if c == '\\' {
                word.push(self.escape()?);
            } else if is_word(c) {
                word.push(c);
                self.end += c.len_utf8();
            } else {
                break;
            }
        }
        Ok(word)
    }

    /// What stands up to the closing quote.
    fn quoted(&mut self) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.rest().chars().next() {
                None => {
                    self.start = self.end;
                    return Err(self.error("unexpected end of quoted string"));
                }
                Some('"') => {
                    self.end += 1;
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(c) => {
                    text.push(c);
                    self.end += c.len_utf8();
                }
            }
        }
    }

    /// Reads an escape from its backslash on.
    fn escape(&mut self) -> Result<char> {
        // An error is at the escape.
        self.start = self.end;
        self.end += 1;
        let Some(c) = self.rest().chars().next() else {
            return Err(self.error("unexpected end after backslash"));
        };
        self.end += c.len_utf8();
        match c {
            'b' => Ok('\u{8}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            'x' => {
                let code = self.hex(2, "invalid hex character sequence")?;
                self.character(code)
            }
            'u' => self.unicode(),
            c => Ok(c),
        }
    }

    /// The character of `XXXX` or `{X...}`, and of a second one where the first is a high surrogate.
    fn unicode(&mut self) -> Result<char> {
        let code = self.code()?;
        if !(0xd800..0xdc00).contains(&code) {
            return self.character(code);
        }
        if !self.rest().starts_with("\\u") {
            return Err(self.surrogate());
        }
        self.end += 2;
        match self.code()? {
            low @ 0xdc00..0xe000 => self.character(0x1_0000 + ((code & 0x3ff) << 10) + (low & 0x3ff)),
            _ => Err(self.surrogate()),
        }
    }

    fn code(&mut self) -> Result<u32> {
        const MESSAGE: &str = "invalid unicode sequence";
        let Some(braced) = self.rest().strip_prefix('{') else {
            return self.hex(4, MESSAGE);
        };
        self.end += 1;
        let length = braced.find('}').filter(|length| (1..=6).contains(length));
        let code = self.hex(length.ok_or_else(|| self.error(MESSAGE))?, MESSAGE)?;
        self.end += 1;
        Ok(code)
    }

    fn hex(&mut self, count: usize, message: &str) -> Result<u32> {
        let digits = self
            .rest()
            .bytes()
            .take(count)
            .take_while(u8::is_ascii_hexdigit)
            .count();
        let number = u32::from_str_radix(&self.rest()[..digits], 16);
        self.end += digits;
        match number {
            Ok(number) if digits == count => Ok(number),
            _ => Err(self.error(message)),
        }
    }

    fn character(&self, code: u32) -> Result<char> {
        match char::from_u32(code) {
            Some('\0') => Err(crate::json::parse::null_character()),
            Some(c) => Ok(c),
            None => Err(self.surrogate()),
        }
    }

    #[cold]
    fn surrogate(&self) -> Error {
        Error::invalid(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type jsonpath",
        )
        .with_detail("Unicode low surrogate must follow a high surrogate.")
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}')
}

/// Whether the character is part of a word as it stands.
fn is_word(c: char) -> bool {
    !is_blank(c) && !matches!(c, '"' | '\\') && !MARKS.iter().any(|mark| mark.starts_with(c))
}
