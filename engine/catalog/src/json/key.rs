//! A document as bytes that sort as it does: what index entries hold, and what sorts, groups and joins by documents compare.
//!
//! ```text
//! value    rank u8, then by rank
//!   0 [] at the top, which is less than any scalar there | 1 null | 4 false, true: u8
//!   2 string     UTF-8 | 0
//!   3 number     1 | digits before the point: their count u32 BE, then themselves | digits after it | 0, without zeroes at its end;
//!                less than zero: 0 | the same with all bits turned round
//!   5 array      n u32 BE | values
//!   6 object     n u32 BE | n * (key as a string, value), in the document's order of keys
//! ```
//!
//! **Guarantees.** A key gives its document back ([`Jsonb::of_key`]), up to zeroes at the end of fractions. Two documents have the same key where [`JsonbRef::compare`] says that they are equal, and keys compare, byte by
//! byte, as it does. The format is frozen: indexes lie on disks.

use std::borrow::Cow;

use aion_base::{Error, Result};

use super::{DEPTH_MAX, Jsonb, JsonbRef, Node, Number, Tree};

const EMPTY: u8 = 0;
const NULL: u8 = 1;
const STRING: u8 = 2;
const NUMBER: u8 = 3;
const BOOL: u8 = 4;
const ARRAY: u8 = 5;
const OBJECT: u8 = 6;

impl JsonbRef<'_> {
    /// The key.
    pub fn to_key(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.as_bytes().len() + 1);
        self.write_key(&mut key);
        key
    }

    /// Appends the key.
    pub fn write_key(self, out: &mut Vec<u8>) {
        match self.array() {
            Some(array) if array.is_empty() => out.push(EMPTY),
            _ => self.write_inner_key(out),
        }
    }

    fn write_inner_key(self, out: &mut Vec<u8>) {
        match self.node() {
            Node::Null => out.push(NULL),
            Node::Bool(value) => out.extend_from_slice(&[BOOL, value.into()]),
            Node::Number(number) => write_number(&number, out),
            Node::String(text) => {
                out.push(STRING);
                write_text(text, out);
            }
            Node::Array(array) => {
                out.push(ARRAY);
                out.extend_from_slice(&(array.len() as u32).to_be_bytes());
                array.iter().for_each(|element| element.write_inner_key(out));
            }
            Node::Object(object) => {
                out.push(OBJECT);
                out.extend_from_slice(&(object.len() as u32).to_be_bytes());
                for (key, value) in object.iter() {
                    write_text(key, out);
                    value.write_inner_key(out);
                }
            }
        }
    }
}

/// A document's strings hold no U+0000.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn write_number(number: &Number<'_>, out: &mut Vec<u8>) {
    let text = number.normal();
    let (is_negative, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, text),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    out.extend_from_slice(&[NUMBER, u8::from(!is_negative)]);
    let start = out.len();
    out.extend_from_slice(&(whole.len() as u32).to_be_bytes());
    out.extend_from_slice(whole.as_bytes());
    out.extend_from_slice(fraction.as_bytes());
    out.push(0);
    if is_negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

impl Jsonb {
    /// The document with this key.
    ///
    /// # Errors
    /// XX001 for bytes that are no key.
    pub fn of_key(key: &[u8]) -> Result<Self> {
        let mut reader = Reader { rest: key };
        let tree = match key {
            [EMPTY] => Tree::Array(Vec::new()),
            _ => {
                let tree = reader.value(1)?;
                if !reader.rest.is_empty() {
                    return Err(no_key());
                }
                tree
            }
        };
        tree.encode()
    }
}

#[cold]
fn no_key() -> Error {
    Error::corrupt("bytes are no key of a jsonb")
}

/// What is left of a key.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(no_key)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1)?.first().copied().ok_or_else(no_key)
    }

    /// A count, of what takes a byte each at least.
    fn count(&mut self) -> Result<usize> {
        let bytes = self.take(4)?.try_into().map_err(|_| no_key())?;
        let count = u32::from_be_bytes(bytes) as usize;
        match count <= self.rest.len() {
            true => Ok(count),
            false => Err(no_key()),
        }
    }

    fn text(&mut self) -> Result<Cow<'a, str>> {
        let end = self.rest.iter().position(|&byte| byte == 0).ok_or_else(no_key)?;
        let text = std::str::from_utf8(self.take(end)?).map_err(|_| no_key())?;
        self.byte()?;
        Ok(Cow::Borrowed(text))
    }

    fn number(&mut self) -> Result<Tree<'a>> {
        let is_negative = match self.byte()? {
            0 => true,
            1 => false,
            _ => return Err(no_key()),
        };
        let turn = |byte: &u8| if is_negative { !byte } else { *byte };
        let count: Vec<u8> = self.take(4)?.iter().map(turn).collect();
        let whole = u32::from_be_bytes(count.try_into().map_err(|_| no_key())?) as usize;
        let end = self.rest.iter().position(|byte| turn(byte) == 0).ok_or_else(no_key)?;
        let digits: Vec<u8> = self.take(end)?.iter().map(turn).collect();
        self.byte()?;
        let digits = String::from_utf8(digits).map_err(|_| no_key())?;
        let (whole, fraction) = digits.split_at_checked(whole).ok_or_else(no_key)?;
        let mut text = String::from(if is_negative { "-" } else { "" });
        text.push_str(whole);
        if !fraction.is_empty() {
            text.push('.');
            text.push_str(fraction);
        }
        let number = Number::parse(&text)?.ok_or_else(no_key)?;
        Ok(Tree::Number(number.into_owned()))
    }

    fn value(&mut self, level: usize) -> Result<Tree<'a>> {
        if level > DEPTH_MAX + 1 {
            return Err(no_key());
        }
        match self.byte()? {
            NULL => Ok(Tree::Null),
            BOOL => Ok(Tree::Bool(self.byte()? != 0)),
            NUMBER => self.number(),
            STRING => self.text().map(Tree::String),
            ARRAY => {
                let count = self.count()?;
                let elements = (0..count).map(|_| self.value(level + 1));
                elements.collect::<Result<_>>().map(Tree::Array)
            }
            OBJECT => {
                let count = self.count()?;
                let members = (0..count).map(|_| Ok((self.text()?, self.value(level + 1)?)));
                members.collect::<Result<_>>().map(Tree::Object)
            }
            _ => Err(no_key()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Jsonb, Tree};

    /// Documents in PostgreSQL's order; those in one line are equal.
    #[test]
    fn keys_are_in_the_order_of_postgres() {
        let lines: [&[&str]; 16] = [
            &["[]"],
            &["null"],
            &["\"\""],
            &["\"a\""],
            &["\"ab\""],
            &["-10"],
            &["-1.5", "-1.50"],
            &["-1"],
            &["0", "-0.0", "0.000"],
            &["0.01"],
            &["1", "1.0"],
            &["10", "1e1"],
            &["false"],
            &["[1]", "[1.0]"],
            &["[[]]"],
            &["{\"a\": 1}"],
        ];
        let mut last: Option<Vec<u8>> = None;
        for line in lines {
            let keys: Vec<_> = line
                .iter()
                .map(|text| Jsonb::parse(text).expect("JSON").as_ref().to_key())
                .collect();
            assert!(keys.iter().all(|key| *key == keys[0]), "{line:?}");
            assert!(last.is_none_or(|last| last < keys[0]), "{line:?}");
            last = Some(keys[0].clone());
        }
    }

    #[test]
    fn keys_give_their_documents_back() {
        for (text, given) in [
            ("[]", "[]"),
            ("[[], {}, null]", "[[], {}, null]"),
            ("-0.50", "-0.5"),
            ("1e3", "1000"),
            (
                "123456789012345678901234567890.125",
                "123456789012345678901234567890.125",
            ),
            (
                r#"{"b": "ä\"", "a": [true, false, -12]}"#,
                r#"{"a": [true, false, -12], "b": "ä\""}"#,
            ),
        ] {
            let key = Jsonb::parse(text).expect("JSON").as_ref().to_key();
            assert_eq!(Jsonb::of_key(&key).expect("a key").to_string(), given);
            for cut in 0..key.len() {
                assert!(Jsonb::of_key(&key[..cut]).is_err(), "{text}, cut at {cut}");
            }
        }
    }

    /// Of random documents, keys compare as the documents do.
    #[test]
    fn keys_compare_as_documents_do() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let documents: Vec<Jsonb> = (0..300).map(|_| random.tree(0).encode().expect("small")).collect();
        let keys: Vec<Vec<u8>> = documents.iter().map(|document| document.as_ref().to_key()).collect();
        for (document, key) in documents.iter().zip(&keys) {
            assert_eq!(Jsonb::of_key(key).expect("a key"), *document);
            for (other, of_other) in documents.iter().zip(&keys) {
                let expected = document.as_ref().compare(other.as_ref());
                assert_eq!(key.cmp(of_other), expected, "{document} and {other}");
            }
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }

        fn tree(&mut self, level: u32) -> Tree<'static> {
            const TEXTS: [&str; 6] = ["", "a", "b", "ab", "ä", "\u{1}"];
            const NUMBERS: [&str; 9] = [
                "0",
                "-1",
                "1",
                "1.0",
                "1.5",
                "-1.5",
                "-10",
                "10.25",
                "99999999999999999999",
            ];
            let kinds = if level < 3 { 6 } else { 4 };
            match self.below(kinds) {
                0 => Tree::Null,
                1 => Tree::Bool(self.below(2) == 0),
                2 => Tree::String(TEXTS[self.below(6) as usize].into()),
                3 => Tree::read(NUMBERS[self.below(9) as usize]).expect("a number"),
                4 => Tree::Array((0..self.below(4)).map(|_| self.tree(level + 1)).collect()),
                _ => {
                    let members = (0..self.below(4)).map(|_| {
                        let key = TEXTS[self.below(6) as usize];
                        (key.into(), self.tree(level + 1))
                    });
                    Tree::Object(members.collect())
                }
            }
        }
    }

    /// The format is frozen: these bytes lie in indexes.
    #[test]
    fn the_bytes_are_the_format() {
        let key = Jsonb::parse(r#"{"a": [1.50, -2], "b": "x"}"#)
            .expect("JSON")
            .as_ref()
            .to_key();
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = [
            "06", "00000002", "6100", "05", "00000002", "0301", "00000001", "31", "35", "00", "0300", "fffffffe", "cd",
            "ff", "6200", "02", "7800",
        ];
        assert_eq!(hex, expected.concat());
    }
}
