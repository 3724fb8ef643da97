//! The text of a `json`, taken apart without being changed: white space, the spelling of numbers, and members of the same name stay.
//!
//! **Vocabulary.** A [`Plain`] is the text of one value, without white space around it, in a text that [`super::check_text`] has passed.
//!
//! **Guarantees.** What is found is a slice of the text. Of members of the same name the last one counts, as in PostgreSQL. Text that was
//! not checked gives some answer, never a panic.

use std::borrow::Cow;

use aion_base::Result;

use super::access::{PathElement, parse_index, place};
use super::{Jsonb, invalid_parameter, write};

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<'a>(&'a str);

impl<'a> Plain<'a> {
    /// The value of a text that was checked.
    pub fn new(text: &'a str) -> Self {
        Self(text.trim_matches(is_space))
    }

    /// Its text.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// `json_typeof`
    pub fn type_name(self) -> &'static str {
        match self.0.as_bytes().first() {
            Some(b'{') => "object",
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "boolean",
            Some(b'n') | None => "null",
            Some(_) => "number",
        }
    }

    fn is_array(self) -> bool {
        self.0.starts_with('[')
    }

    fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// What `->>` gives: a string without its quotes and escapes, None for `null`.
    ///
    /// # Errors
    /// 22P05 for `\u0000`, and other escapes that no text can hold.
    pub fn to_text(self) -> Result<Option<Cow<'a, str>>> {
        match self.type_name() {
            "null" => Ok(None),
            "string" => unquoted(self.0).map(Some),
            _ => Ok(Some(Cow::Borrowed(self.0))),
        }
    }

    /// The members in their order; none of what is no object.
    ///
    /// # Errors
    /// As [`Plain::to_text`], for a key.
    pub fn members(self) -> Result<Vec<(Cow<'a, str>, Plain<'a>)>> {
        let mut members = Vec::new();
        let mut rest = match self.0.strip_prefix('{') {
            Some(rest) => rest.trim_start_matches(is_space),
            None => return Ok(members),
        };
        while rest.starts_with('"') {
            let (key, after) = rest.split_at(value_end(rest));
            let value = after.trim_start_matches(is_space);
            let value = value.strip_prefix(':').unwrap_or(value).trim_start_matches(is_space);
            let (value, after) = value.split_at(value_end(value));
            members.push((unquoted(key)?, Plain(value)));
            rest = next_part(after);
        }
        Ok(members)
    }

    /// The elements; none of what is no array.
    pub fn elements(self) -> Vec<Plain<'a>> {
        let mut elements = Vec::new();
        let mut rest = match self.0.strip_prefix('[') {
            Some(rest) => rest.trim_start_matches(is_space),
            None => return elements,
        };
        while !rest.is_empty() && !rest.starts_with(']') {
            let (element, after) = rest.split_at(value_end(rest));
            if element.is_empty() {
                break;
            }
            elements.push(Plain(element));
            rest = next_part(after);
        }
        elements
    }

    /// `json -> key`
    ///
    /// # Errors
    /// As [`Plain::members`].
    pub fn get(self, key: &str) -> Result<Option<Plain<'a>>> {
        let found = self.members()?.into_iter().rfind(|(name, _)| name == key);
        Ok(found.map(|(_, value)| value))
    }

    /// `json -> index`: from the end where negative.
    pub fn at(self, index: i64) -> Option<Plain<'a>> {
        let elements = self.elements();
        elements.get(place(index, elements.len())?).copied()
    }

    /// `json #> path`
    ///
    /// # Errors
    /// As [`Plain::members`].
    pub fn get_path(self, path: &[PathElement<'_>]) -> Result<Option<Plain<'a>>> {
        let mut found = self;
        for element in path {
            let Some(element) = *element else {
                return Ok(None);
            };
            let next = match found.is_array() {
                true => parse_index(element).and_then(|index| found.at(index)),
                false => found.get(element)?,
            };
            match next {
                Some(next) => found = next,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// `json_array_length`
    ///
    /// # Errors
    /// 22023 for what is no array.
    pub fn array_length(self) -> Result<usize> {
        match (self.is_array(), self.is_object()) {
            (true, _) => Ok(self.elements().len()),
            (_, true) => Err(invalid_parameter("cannot get array length of a non-array")),
            _ => Err(invalid_parameter("cannot get array length of a scalar")),
        }
    }

    /// The keys, for `json_object_keys`.
    ///
    /// # Errors
    /// 22023 for what is no object.
    pub fn object_keys(self) -> Result<Vec<Cow<'a, str>>> {
        match (self.is_object(), self.is_array()) {
            (true, _) => Ok(self.members()?.into_iter().map(|(key, _)| key).collect()),
            (_, true) => Err(invalid_parameter("cannot call json_object_keys on an array")),
            _ => Err(invalid_parameter("cannot call json_object_keys on a scalar")),
        }
    }

    /// The members, for `json_each` and `json_each_text`.
    ///
    /// # Errors
    /// 22023 for what is no object.
    pub fn each(self) -> Result<Vec<(Cow<'a, str>, Plain<'a>)>> {
        match (self.is_object(), self.is_array()) {
            (true, _) => self.members(),
            (_, true) => Err(invalid_parameter("cannot deconstruct an array as an object")),
            _ => Err(invalid_parameter("cannot deconstruct a scalar")),
        }
    }

    /// The elements, for `json_array_elements` and `json_array_elements_text`; `function` names the one that is called.
    ///
    /// # Errors
    /// 22023 for what is no array.
    pub fn array_elements(self, function: &str) -> Result<Vec<Plain<'a>>> {
        match (self.is_array(), self.is_object()) {
            (true, _) => Ok(self.elements()),
            (_, true) => Err(invalid_parameter(format!("cannot call {function} on a non-array"))),
            _ => Err(invalid_parameter(format!("cannot call {function} on a scalar"))),
        }
    }

    /// Appends `json_strip_nulls`: without the members that are `null`, and without white space.
    ///
    /// # Errors
    /// As [`Plain::members`].
    pub fn write_stripped(self, out: &mut String) -> Result<()> {
        match self.type_name() {
            "object" => {
                out.push('{');
                let members = self.members()?;
                let kept = members.iter().filter(|(_, value)| value.type_name() != "null");
                for (at, (key, value)) in kept.enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    write::write_string(key, out);
                    out.push(':');
                    value.write_stripped(out)?;
                }
                out.push('}');
            }
            "array" => {
                out.push('[');
                for (at, element) in self.elements().into_iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    element.write_stripped(out)?;
                }
                out.push(']');
            }
            "string" => write::write_string(&unquoted(self.0)?, out),
            _ => out.push_str(self.0),
        }
        Ok(())
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// What follows the comma behind a part.
fn next_part(after: &str) -> &str {
    let rest = after.trim_start_matches(is_space);
    match rest.strip_prefix(',') {
        Some(rest) => rest.trim_start_matches(is_space),
        None => "",
    }
}

/// Where the value ends that a text begins with.
fn value_end(text: &str) -> usize {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    in_string = false;
                    if depth == 0 {
                        return at + 1;
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' if depth == 0 && at > 0 => return at,
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 0 => return at,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// The text of a string in quotes.
fn unquoted(text: &str) -> Result<Cow<'_, str>> {
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text.trim_matches('"')));
    }
    let document = Jsonb::parse(text)?;
    Ok(Cow::Owned(document.as_ref().to_text().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path<'a>(text: &'a str, path: &[&str]) -> Option<&'a str> {
        let path: Vec<_> = path.iter().map(|element| Some(*element)).collect();
        Plain::new(text).get_path(&path).expect("checked").map(Plain::as_str)
    }

    #[test]
    fn what_is_found_keeps_its_text() {
        let text = r#" {"a" : [1,  2.50 , {"b":"x,]}\"y"}], "a\u0062" : null, "c":[ ] , "a":{"z" :1e3}} "#;
        assert_eq!(path(text, &["a", "z"]), Some("1e3"));
        assert_eq!(path(text, &["ab"]), Some("null"));
        assert_eq!(path(text, &["c"]), Some("[ ]"));
        assert_eq!(path(text, &["c", "0"]), None);
        let text = r#"[1,  2.50 , {"b":"x,]}\"y"}]"#;
        assert_eq!(path(text, &["-1", "b"]), Some(r#""x,]}\"y""#));
        assert_eq!(path(text, &["1"]), Some("2.50"));
        let found = Plain::new(text)
            .at(2)
            .expect("three")
            .get("b")
            .expect("checked")
            .expect("b");
        assert_eq!(found.to_text().expect("text").as_deref(), Some(r#"x,]}"y"#));
        let mut out = String::new();
        let text = r#"{"a": null, "b" : [null, {"c":null}], "d":"\u0041"}"#;
        Plain::new(text).write_stripped(&mut out).expect("checked");
        assert_eq!(out, r#"{"b":[null,{}],"d":"A"}"#);
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[\\[\\]{}\",: \\\\a1]{0,20}") {
            let plain = Plain::new(&text);
            let _ = (plain.members(), plain.elements(), plain.to_text());
        }
    }
}
