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
//! **Guarantees.** Two documents have the same key where [`JsonbRef::compare`] says that they are equal, and keys compare, byte by
//! byte, as it does. The format is frozen: indexes lie on disks.

use super::{JsonbRef, Node, Number};

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

#[cfg(test)]
mod tests {
    use super::super::Jsonb;

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
