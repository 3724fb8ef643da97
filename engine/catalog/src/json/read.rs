//! Reading documents, and the check of bytes that come from elsewhere.

use aion_base::{Error, Result};

use super::{
    ARRAY, DEPTH_MAX, END_BYTES, FALSE, HEADER_BYTES, Jsonb, NULL, NUMBER, Number, OBJECT, STRING, TRUE, number,
    too_deep,
};

/// A borrowed document.
#[derive(Clone, Copy)]
pub struct JsonbRef<'a> {
    bytes: &'a [u8],
}

/// What a document is.
#[derive(Clone, Debug)]
pub enum Node<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, exact.
    Number(Number<'a>),
    /// A string.
    String(&'a str),
    /// An array.
    Array(Array<'a>),
    /// An object.
    Object(Object<'a>),
}

impl<'a> JsonbRef<'a> {
    /// The document in these bytes, which [`Jsonb::into_bytes`] has given; see [`JsonbRef::check`] for bytes from elsewhere.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The document in bytes that may be damaged, once all of them are verified.
    ///
    /// # Errors
    /// XX001 for bytes that this version did not write.
    pub fn check(bytes: &'a [u8]) -> Result<Self> {
        let this = Self { bytes };
        this.check_depth(0)?;
        Ok(this)
    }

    /// The bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// A copy of its own.
    pub fn to_owned(self) -> Jsonb {
        Jsonb(self.bytes.to_vec())
    }

    /// What it is; damaged bytes are `Null`.
    pub fn node(self) -> Node<'a> {
        let Some((&tag, rest)) = self.bytes.split_first() else {
            return Node::Null;
        };
        let text = || std::str::from_utf8(rest).ok();
        let node = match tag {
            FALSE => Some(Node::Bool(false)),
            TRUE => Some(Node::Bool(true)),
            NUMBER => text()
                .filter(|text| number::is_canonical(text))
                .map(|text| Node::Number(Number::stored(text))),
            STRING => text().map(Node::String),
            ARRAY => self.array().map(Node::Array),
            OBJECT => self.object().map(Node::Object),
            _ => None,
        };
        node.unwrap_or(Node::Null)
    }

    /// The array, if it is one.
    pub fn array(self) -> Option<Array<'a>> {
        let (count, rest) = self.container(ARRAY)?;
        let (ends, elements) = rest.split_at_checked(count.checked_mul(END_BYTES)?)?;
        Some(Array(Parts { ends, bytes: elements }))
    }

    /// The object, if it is one.
    pub fn object(self) -> Option<Object<'a>> {
        let (count, rest) = self.container(OBJECT)?;
        let (key_ends, rest) = rest.split_at_checked(count.checked_mul(END_BYTES)?)?;
        let (value_ends, rest) = rest.split_at_checked(key_ends.len())?;
        let keys = Parts {
            ends: key_ends,
            bytes: rest,
        };
        let (keys, values) = rest.split_at_checked(keys.end(count))?;
        Some(Object {
            keys: Parts {
                ends: key_ends,
                bytes: keys,
            },
            values: Parts {
                ends: value_ends,
                bytes: values,
            },
        })
    }

    /// Whether it is neither array nor object.
    pub fn is_scalar(self) -> bool {
        !matches!(self.bytes.first(), Some(&(ARRAY | OBJECT))) || self.array().is_none() && self.object().is_none()
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        matches!(self.node(), Node::Null)
    }

    /// How many containers lie inside each other; 0 for a scalar.
    pub(super) fn depth(self) -> usize {
        match self.bytes {
            [ARRAY | OBJECT, low, high, ..] => u16::from_le_bytes([*low, *high]).into(),
            _ => 0,
        }
    }

    /// The count of a container of this tag, and what follows its header.
    fn container(self, tag: u8) -> Option<(usize, &'a [u8])> {
        let (header, rest) = self.bytes.split_at_checked(HEADER_BYTES)?;
        match header {
            [first, _, _, count @ ..] if *first == tag => {
                let count = u32::from_le_bytes(count.try_into().expect("four bytes of the header are left"));
                Some((count as usize, rest))
            }
            _ => None,
        }
    }

    /// Verifies the bytes, inside so many containers, and answers the depth.
    fn check_depth(self, level: usize) -> Result<usize> {
        if level > DEPTH_MAX {
            return Err(too_deep());
        }
        let parts = match (self.bytes.first(), self.node()) {
            (Some(&NULL), Node::Null) if self.bytes.len() == 1 => return Ok(0),
            (_, Node::Bool(_)) if self.bytes.len() == 1 => return Ok(0),
            (_, Node::String(text)) if !text.contains('\0') => return Ok(0),
            (_, Node::Number(_)) => return Ok(0),
            (_, Node::Array(array)) => array.0,
            (_, Node::Object(object)) => {
                object.keys.check()?;
                object.check_keys()?;
                object.values
            }
            _ => return Err(corrupt("a value of an unknown form")),
        };
        parts.check()?;
        let mut depth = 0;
        for index in 0..parts.len() {
            depth = depth.max(Self::new(parts.get(index)).check_depth(level + 1)?);
        }
        if self.depth() != depth + 1 {
            return Err(corrupt("a wrong depth"));
        }
        Ok(depth + 1)
    }
}

#[cold]
fn corrupt(what: &str) -> Error {
    Error::corrupt(format!("damaged jsonb: {what}"))
}

/// Byte strings that lie behind each other, and where each of them ends.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    ends: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Parts<'a> {
    fn len(&self) -> usize {
        self.ends.len() / END_BYTES
    }

    /// Where the first `count` parts end.
    fn end(&self, count: usize) -> usize {
        let Some(last) = count.checked_sub(1) else { return 0 };
        let end = self.ends.get(last * END_BYTES..count * END_BYTES);
        end.and_then(|bytes| bytes.try_into().ok())
            .map_or(0, |bytes| u32::from_le_bytes(bytes) as usize)
    }

    /// A part; nothing where the ends are damaged.
    fn get(&self, index: usize) -> &'a [u8] {
        self.bytes.get(self.end(index)..self.end(index + 1)).unwrap_or_default()
    }

    /// Whether the ends rise and reach the end.
    fn check(&self) -> Result<()> {
        let rises = (0..self.len()).all(|index| self.end(index) <= self.end(index + 1));
        if rises && self.end(self.len()) == self.bytes.len() {
            return Ok(());
        }
        Err(corrupt("ends that do not rise to the end"))
    }
}

/// The elements of an array.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a>(Parts<'a>);

impl<'a> Array<'a> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An element, counted from 0.
    pub fn get(&self, index: usize) -> Option<JsonbRef<'a>> {
        (index < self.len()).then(|| JsonbRef::new(self.0.get(index)))
    }

    /// The elements in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = JsonbRef<'a>> + DoubleEndedIterator + use<'a> {
        let parts = self.0;
        (0..parts.len()).map(move |index| JsonbRef::new(parts.get(index)))
    }
}

/// The members of an object.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    keys: Parts<'a>,
    values: Parts<'a>,
}

impl<'a> Object<'a> {
    /// The number of members.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<JsonbRef<'a>> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            let found = self.keys.get(middle);
            match key_order(found, key.as_bytes()) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
                std::cmp::Ordering::Equal => return Some(JsonbRef::new(self.values.get(middle))),
            }
        }
        None
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, JsonbRef<'a>)> + DoubleEndedIterator + use<'a> {
        let (keys, values) = (self.keys, self.values);
        (0..keys.len()).map(move |index| {
            let key = std::str::from_utf8(keys.get(index)).unwrap_or_default();
            (key, JsonbRef::new(values.get(index)))
        })
    }

    /// A value, by the place of its key.
    pub fn value(&self, index: usize) -> Option<JsonbRef<'a>> {
        (index < self.len()).then(|| JsonbRef::new(self.values.get(index)))
    }

    fn check_keys(&self) -> Result<()> {
        let is_text = |key: &[u8]| !key.contains(&0) && std::str::from_utf8(key).is_ok();
        let is_sorted = (1..self.len()).all(|at| key_order(self.keys.get(at - 1), self.keys.get(at)).is_lt());
        if is_sorted && (0..self.len()).all(|at| is_text(self.keys.get(at))) {
            return Ok(());
        }
        Err(corrupt("keys that are not sorted text"))
    }
}

/// The order of keys: by length, then by bytes.
pub(super) fn key_order(one: &[u8], other: &[u8]) -> std::cmp::Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}
