//! Texts without their literals: what makes one statement of many texts.
//!
//! **Vocabulary.** The *shape* of a text is the text with each literal replaced by `$1`, `$2`, ...; its *literals* are what stood there. Only
//! integers and plain strings are taken out; a sign belongs to its integer where it cannot be an operator.
//!
//! **Guarantee.** A text that [`Lifted::lift`] takes is its shape with the literals put back, for whoever allows a literal exactly where
//! a parameter stands. Where that cannot be told without parsing (comments, dollar quotes, floats, prefixed strings, parameters, several
//! statements, non-ASCII text outside of quotes) the text is not taken.
//!
//! **What it is for.** Drivers that send literals in their texts send the same shapes again and again. [`Known`] remembers what was made
//! of a shape, or that nothing can be made of it.

use std::collections::HashMap;
use std::fmt::Write;

use aion_catalog::{SqlType, Value};

/// Longer texts are not taken.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// Texts with more literals are not taken.
const LITERALS_MAX: usize = 20_000;
/// Shapes remembered, and their bytes: when either is reached, all are forgotten.
const SHAPES_MAX: usize = 500;
const SHAPE_BYTES_MAX: usize = 1 << 20;

/// What stood in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// An integer, with its sign.
    Integer(i64),
    /// A string, without its quotes.
    Text(String),
}

impl Literal {
    /// It as a value of a parameter's type; None where that takes more than reading it.
    pub fn value(self, sql_type: SqlType) -> Option<Value> {
        match (self, sql_type) {
            (Self::Integer(number), SqlType::SmallInt) => i16::try_from(number).ok().map(Value::I16),
            (Self::Integer(number), SqlType::Integer) => i32::try_from(number).ok().map(Value::I32),
            (Self::Integer(number), SqlType::BigInt) => Some(Value::I64(number)),
            (Self::Text(text), SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_)) => Some(Value::Text(text)),
            (Self::Text(text), SqlType::Enum(of)) => of.find(&text).map(Value::Enum),
            _ => None,
        }
    }
}

/// A shape and the literals of the text that was lifted last. Kept from text to text for its memory.
#[derive(Debug, Default)]
pub struct Lifted {
    /// See the module's header.
    pub shape: String,
    /// In order.
    pub literals: Vec<Literal>,
}

/// What came before a place in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing, an operator, a comma or an opening parenthesis: a sign belongs to what follows.
    Open,
    /// A word, which may be a column.
    Word,
    /// What has a value: a sign is an operator.
    Value,
}

impl Lifted {
    /// Takes a text apart; false where it is not taken.
    pub fn lift(&mut self, text: &str) -> bool {
        self.shape.clear();
        self.literals.clear();
        text.len() <= TEXT_BYTES_MAX && self.take(text).is_some()
    }

    fn take(&mut self, text: &str) -> Option<()> {
        let bytes = text.as_bytes();
        let mut at = 0;
        let mut before = Before::Open;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {
                    self.shape.push(char::from(byte));
                    at += 1;
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                    let end = end_of(bytes, at, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                    // A prefix changes what a string is.
                    if bytes.get(end).is_some_and(|next| matches!(next, b'\'' | b'$')) {
                        return None;
                    }
                    self.shape.push_str(&text[at..end]);
                    at = end;
                    before = Before::Word;
                }
                b'0'..=b'9' => {
                    at = self.integer(text, at, false)?;
                    before = Before::Value;
                }
                b'-' if bytes.get(at + 1) == Some(&b'-') => return None,
                b'-' if before == Before::Open && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                    at = self.integer(text, at + 1, true)?;
                    before = Before::Value;
                }
                b'\'' => {
                    at = self.string(text, at + 1)?;
                    before = Before::Value;
                }
                b'"' => {
                    let end = after_quoted(bytes, at + 1, b'"')?;
                    self.shape.push_str(&text[at..end]);
                    at = end;
                    before = Before::Value;
                }
                b'/' if bytes.get(at + 1) == Some(&b'*') => return None,
                b';' => {
                    let is_last = bytes[at..]
                        .iter()
                        .all(|byte| *byte == b';' || byte.is_ascii_whitespace());
                    return is_last.then_some(());
                }
                b')' | b']' => {
                    self.shape.push(char::from(byte));
                    at += 1;
                    before = Before::Value;
                }
                b'.' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => return None,
                b'+' | b'-' | b'*' | b'/' | b'=' | b'<' | b'>' | b'(' | b',' | b'.' | b':' | b'[' | b'%' | b'!'
                | b'|' => {
                    self.shape.push(char::from(byte));
                    at += 1;
                    before = Before::Open;
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// An integer whose digits begin at `start`; where it ends.
    fn integer(&mut self, text: &str, start: usize, is_negative: bool) -> Option<usize> {
        let bytes = text.as_bytes();
        let end = end_of(bytes, start, |byte| byte.is_ascii_digit());
        let goes_on =
            |next: &u8| next.is_ascii_alphanumeric() || matches!(next, b'_' | b'.' | b'$') || !next.is_ascii();
        if bytes.get(end).is_some_and(goes_on) {
            return None;
        }
        // The least bigint has no positive, and is a numeric to the parser.
        let number: i64 = text[start..end].parse().ok()?;
        self.put(Literal::Integer(if is_negative { -number } else { number }))?;
        Some(end)
    }

    /// A string whose first character is at `start`; where it ends.
    fn string(&mut self, text: &str, start: usize) -> Option<usize> {
        let end = after_quoted(text.as_bytes(), start, b'\'')?;
        let quoted = &text[start..end - 1];
        let value = match quoted.contains('\'') {
            true => quoted.replace("''", "'"),
            false => quoted.to_owned(),
        };
        self.put(Literal::Text(value))?;
        Some(end)
    }

    fn put(&mut self, literal: Literal) -> Option<()> {
        if self.literals.len() == LITERALS_MAX {
            return None;
        }
        self.literals.push(literal);
        // Writing into a string cannot fail.
        write!(self.shape, "${}", self.literals.len()).ok()
    }
}

fn end_of(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let length = bytes[start..].iter().position(|byte| !belongs(*byte));
    length.map_or(bytes.len(), |length| start + length)
}

/// The place behind the closing quote of what begins at `start`; a doubled quote is one of its characters.
fn after_quoted(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start;
    loop {
        at += bytes[at..].iter().position(|byte| *byte == quote)? + 1;
        if bytes.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// What was made of shapes.
#[derive(Debug)]
pub struct Known<T> {
    shapes: HashMap<Box<str>, T>,
    bytes: usize,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self {
            shapes: HashMap::new(),
            bytes: 0,
        }
    }
}

impl<T> Known<T> {
    /// What was made of a shape.
    pub fn get(&self, shape: &str) -> Option<&T> {
        self.shapes.get(shape)
    }

    /// Remembers it.
    pub fn insert(&mut self, shape: &str, made: T) {
        if self.shapes.len() >= SHAPES_MAX || self.bytes + shape.len() > SHAPE_BYTES_MAX {
            *self = Self::default();
        }
        self.bytes += shape.len();
        if self.shapes.insert(shape.into(), made).is_some() {
            self.bytes -= shape.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifted(text: &str) -> Option<(String, Vec<Literal>)> {
        let mut lifted = Lifted::default();
        lifted.lift(text).then_some((lifted.shape, lifted.literals))
    }

    fn integers(text: &str) -> (String, Vec<i64>) {
        let (shape, literals) = lifted(text).unwrap_or_else(|| panic!("{text} is taken"));
        let numbers = literals.into_iter().map(|literal| match literal {
            Literal::Integer(number) => number,
            Literal::Text(text) => panic!("a string: {text}"),
        });
        (shape, numbers.collect())
    }

    #[test]
    fn integers_and_their_signs() {
        for (text, shape, numbers) in [
            (
                "SELECT a FROM t WHERE id = 5;",
                "SELECT a FROM t WHERE id = $1",
                vec![5],
            ),
            (
                "SELECT a1 FROM t2 WHERE id=-5 ; ; ",
                "SELECT a1 FROM t2 WHERE id=$1 ",
                vec![-5],
            ),
            (
                "UPDATE t SET n = n + -3 WHERE id = 9",
                "UPDATE t SET n = n + $1 WHERE id = $2",
                vec![-3, 9],
            ),
            // After a name, a value or a parenthesis it is an operator.
            (
                "SELECT n -3, 4 -3, (n) - 3",
                "SELECT n -$1, $2 -$3, (n) - $4",
                vec![3, 4, 3, 3],
            ),
            ("IN (-1,007,-2)", "IN ($1,$2,$3)", vec![-1, 7, -2]),
            ("9223372036854775807", "$1", vec![i64::MAX]),
            ("BEGIN", "BEGIN", vec![]),
        ] {
            assert_eq!(integers(text), (shape.to_owned(), numbers), "{text}");
        }
    }

    #[test]
    fn strings_and_names() {
        let (shape, literals) = lifted("INSERT INTO \"T 1\" VALUES ('it''s', '', 'ä;--', 'a\\b')").expect("taken");
        assert_eq!(shape, "INSERT INTO \"T 1\" VALUES ($1, $2, $3, $4)");
        let texts = ["it's", "", "ä;--", "a\\b"].map(|text| Literal::Text(text.to_owned()));
        assert_eq!(literals, texts);
        // What is in quotes is a name, whatever it looks like.
        assert_eq!(lifted("\"a\"\"5\"").expect("taken").0, "\"a\"\"5\"");
    }

    #[test]
    fn what_needs_a_parser_is_not_taken() {
        for text in [
            "SELECT 1.5",
            "SELECT .5",
            "SELECT 1e5",
            "SELECT 1_000",
            "SELECT 0x1F",
            "SELECT 9223372036854775808",
            "SELECT -9223372036854775808",
            "SELECT 99999999999999999999",
            "SELECT 1 -- one",
            "SELECT 1 /* one */",
            "SELECT E'a'",
            "SELECT b'1'",
            "SELECT U&'a'",
            "SELECT $1",
            "SELECT $$a$$",
            "SELECT a$b",
            "SELECT ä",
            "SELECT 1ä",
            "SELECT 1; SELECT 2",
            "SELECT 'open",
            "SELECT \"open",
            "SELECT 'a' \\ 'b'",
        ] {
            assert_eq!(lifted(text), None, "{text}");
        }
        let long = format!("SELECT {}", "1,".repeat(LITERALS_MAX + 1));
        assert_eq!(lifted(&long), None);
        assert_eq!(lifted(&format!("SELECT '{}'", "a".repeat(TEXT_BYTES_MAX))), None);
    }

    /// Whatever a text is, its shape with the literals put back is that text, but for leading zeroes and what follows the last semicolon.
    #[test]
    fn a_shape_and_its_literals_are_the_text() {
        let mut rng = aion_base::rng::SeededRng::new(7);
        let pieces = [
            "a", "t1", " ", "-", "+", "5", "17", "(", ")", ",", "'x'", "'y''z'", "\"n\"", "=", "*", " ", "/", ".", "<",
        ];
        let mut taken = 0;
        for _ in 0..20_000 {
            let count = rng.below(12);
            let text: String = (0..count)
                .map(|_| pieces[usize::try_from(rng.below(pieces.len() as u64)).expect("small")])
                .collect();
            let Some((shape, literals)) = lifted(&text) else {
                continue;
            };
            taken += 1;
            let mut back = shape;
            for (number, literal) in literals.iter().enumerate().rev() {
                let written = match literal {
                    Literal::Integer(number) => number.to_string(),
                    Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
                };
                back = back.replace(&format!("${}", number + 1), &written);
            }
            assert_eq!(back, text);
        }
        assert!(taken > 5_000, "{taken}");
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let mut known = Known::default();
        for number in 0..10_000 {
            known.insert(&format!("SELECT {number}"), number);
            assert_eq!(known.get(&format!("SELECT {number}")), Some(&number));
        }
        assert!(known.shapes.len() <= SHAPES_MAX);
        let long = "a".repeat(SHAPE_BYTES_MAX / 2);
        for number in 0..5 {
            known.insert(&format!("{long}{number}"), number);
        }
        assert!(known.bytes <= SHAPE_BYTES_MAX);
    }
}
