//! Putting documents together.
//!
//! A container's header and ends have a known size once its parts are known, so that a tree is written in one pass: leave room for the
//! ends, write the parts, fill in the ends and the depth. Parts that are documents already are copied.

use std::borrow::Cow;

use aion_base::{Error, Result, SqlState};

use super::read::key_order;
use super::{
    ARRAY, BYTES_MAX, DEPTH_MAX, END_BYTES, FALSE, Jsonb, JsonbRef, NULL, NUMBER, Number, OBJECT, STRING, TRUE,
    too_deep,
};

/// A value to be written as a document.
#[derive(Clone)]
pub enum Tree<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number<'a>),
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Tree<'a>>),
    /// An object: members in any order; of those with the same key the last one counts.
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
    /// A document, copied as it is.
    Stored(JsonbRef<'a>),
}

impl<'a> From<JsonbRef<'a>> for Tree<'a> {
    fn from(document: JsonbRef<'a>) -> Self {
        Self::Stored(document)
    }
}

impl<'a> From<&'a str> for Tree<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }
}

impl From<i64> for Tree<'_> {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl<'a> Tree<'a> {
    /// The tree of a JSON text.
    ///
    /// # Errors
    /// As [`Jsonb::parse`].
    pub fn read(text: &'a str) -> Result<Self> {
        super::parse::parse(text)
    }
}

impl Tree<'_> {
    /// The document.
    ///
    /// # Errors
    /// 54001 and 54000 beyond the limits, 22P05 for a string with U+0000.
    pub fn encode(&self) -> Result<Jsonb> {
        let mut writer = Writer(Vec::new());
        writer.value(self, 0)?;
        Ok(Jsonb(writer.0))
    }
}

struct Writer(Vec<u8>);

impl Writer {
    /// Writes a value that lies in `level` containers, and answers its depth.
    fn value(&mut self, tree: &Tree<'_>, level: usize) -> Result<usize> {
        match tree {
            Tree::Null => self.0.push(NULL),
            Tree::Bool(value) => self.0.push(if *value { TRUE } else { FALSE }),
            Tree::Number(number) => self.scalar(NUMBER, number.as_str()),
            Tree::String(text) => {
                check_text(text)?;
                self.scalar(STRING, text);
            }
            Tree::Array(elements) => return self.array(elements, level),
            Tree::Object(members) => return self.object(members, level),
            Tree::Stored(document) => {
                if level + document.depth() > DEPTH_MAX {
                    return Err(too_deep());
                }
                // What is damaged was read as null, and becomes it.
                match document.as_bytes() {
                    [] => self.0.push(NULL),
                    bytes => self.0.extend_from_slice(bytes),
                }
                return Ok(document.depth());
            }
        }
        Ok(0)
    }

    fn scalar(&mut self, tag: u8, text: &str) {
        self.0.push(tag);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Writes a header without its depth, and room for so many ends, and answers where the ends begin.
    fn header(&mut self, tag: u8, count: usize, ends: usize, level: usize) -> Result<usize> {
        if level >= DEPTH_MAX {
            return Err(too_deep());
        }
        let count = u32::try_from(count)
            .ok()
            .filter(|count| *count as usize <= BYTES_MAX / END_BYTES)
            .ok_or_else(|| too_large(tag))?;
        self.0.push(tag);
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&count.to_le_bytes());
        let at = self.0.len();
        self.0.resize(at + ends * END_BYTES, 0);
        Ok(at)
    }

    fn array(&mut self, elements: &[Tree<'_>], level: usize) -> Result<usize> {
        let start = self.0.len();
        let ends = self.header(ARRAY, elements.len(), elements.len(), level)?;
        let first = self.0.len();
        let mut depth = 0;
        for (index, element) in elements.iter().enumerate() {
            depth = depth.max(self.value(element, level + 1)?);
            self.end(ends, index, first, ARRAY)?;
        }
        Ok(self.finish(start, depth))
    }

    fn object(&mut self, members: &[(Cow<'_, str>, Tree<'_>)], level: usize) -> Result<usize> {
        // Stable: of equal keys the last one stays last.
        let mut sorted: Vec<_> = members.iter().collect();
        sorted.sort_by(|(one, _), (other, _)| key_order(one.as_bytes(), other.as_bytes()));
        let last: Vec<_> = sorted
            .chunk_by(|(one, _), (other, _)| one == other)
            .filter_map(<[_]>::last)
            .collect();
        let start = self.0.len();
        let ends = self.header(OBJECT, last.len(), 2 * last.len(), level)?;
        let first = self.0.len();
        for (index, (key, _)) in last.iter().enumerate() {
            check_text(key)?;
            self.0.extend_from_slice(key.as_bytes());
            self.end(ends, index, first, OBJECT)?;
        }
        let first = self.0.len();
        let mut depth = 0;
        for (index, (_, value)) in last.iter().enumerate() {
            depth = depth.max(self.value(value, level + 1)?);
            self.end(ends, last.len() + index, first, OBJECT)?;
        }
        Ok(self.finish(start, depth))
    }

    /// Fills in where the part ends that was just written.
    fn end(&mut self, ends: usize, index: usize, first: usize, tag: u8) -> Result<()> {
        if self.0.len() > BYTES_MAX {
            return Err(too_large(tag));
        }
        let end = (self.0.len() - first) as u32;
        let at = ends + index * END_BYTES;
        self.0[at..at + END_BYTES].copy_from_slice(&end.to_le_bytes());
        Ok(())
    }

    /// Fills in the depth of a container whose deepest part has this one.
    fn finish(&mut self, start: usize, inner: usize) -> usize {
        let depth = inner + 1;
        self.0[start + 1..start + 3].copy_from_slice(&(depth as u16).to_le_bytes());
        depth
    }
}

#[cold]
fn too_large(tag: u8) -> Error {
    let what = if tag == ARRAY { "array" } else { "object" };
    Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("total size of jsonb {what} elements exceeds the maximum of {BYTES_MAX} bytes"),
    )
}

fn check_text(text: &str) -> Result<()> {
    if text.as_bytes().contains(&0) {
        return Err(super::parse::null_character());
    }
    Ok(())
}
