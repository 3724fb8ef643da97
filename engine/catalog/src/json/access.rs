//! `->`, `->>`, `#>`, `#>>`, and the functions that take a document apart.

use aion_base::Result;

use super::{Array, Jsonb, JsonbRef, Node, Object, Tree, invalid_parameter};

/// One step of a path (`text[]`): a key of an object, or the index of an array as text. None is a NULL.
pub type PathElement<'a> = Option<&'a str>;

impl<'a> JsonbRef<'a> {
    /// `self -> key`: None for what is no object, too.
    pub fn get(self, key: &str) -> Option<JsonbRef<'a>> {
        self.object()?.get(key)
    }

    /// `self -> index`: from the end where negative. As in PostgreSQL, a scalar has itself at 0.
    pub fn at(self, index: i64) -> Option<JsonbRef<'a>> {
        if self.is_scalar() {
            return matches!(index, 0 | -1).then_some(self);
        }
        let array = self.array()?;
        array.get(place(index, array.len())?)
    }

    /// `self #> path`.
    pub fn get_path(self, path: &[PathElement<'_>]) -> Option<JsonbRef<'a>> {
        path.iter().try_fold(self, |document, element| {
            let element = (*element)?;
            match document.node() {
                Node::Object(object) => object.get(element),
                Node::Array(array) => array.get(place(parse_index(element)?, array.len())?),
                _ => None,
            }
        })
    }

    /// What `->>` and `#>>` give of a found document: its text, a string without quotes, None for `null`.
    pub fn to_text(self) -> Option<String> {
        (!self.is_null()).then(|| {
            let mut text = String::new();
            self.write_unquoted(&mut text);
            text
        })
    }

    /// `jsonb_typeof`
    pub fn type_name(self) -> &'static str {
        match self.node() {
            Node::Null => "null",
            Node::Bool(_) => "boolean",
            Node::Number(_) => "number",
            Node::String(_) => "string",
            Node::Array(_) => "array",
            Node::Object(_) => "object",
        }
    }

    /// `jsonb_array_length`
    ///
    /// # Errors
    /// 22023 for what is no array.
    pub fn array_length(self) -> Result<usize> {
        match self.node() {
            Node::Array(array) => Ok(array.len()),
            Node::Object(_) => Err(invalid_parameter("cannot get array length of a non-array")),
            _ => Err(invalid_parameter("cannot get array length of a scalar")),
        }
    }

    /// The keys, for `jsonb_object_keys`.
    ///
    /// # Errors
    /// 22023 for what is no object.
    pub fn object_keys(self) -> Result<Vec<&'a str>> {
        match self.node() {
            Node::Object(object) => Ok(object.iter().map(|(key, _)| key).collect()),
            Node::Array(_) => Err(invalid_parameter("cannot call jsonb_object_keys on an array")),
            _ => Err(invalid_parameter("cannot call jsonb_object_keys on a scalar")),
        }
    }

    /// The members, for `jsonb_each` and `jsonb_each_text` (of which [`JsonbRef::to_text`] gives the values); `function` names the one
    /// that is called.
    ///
    /// # Errors
    /// 22023 for what is no object.
    pub fn each(self, function: &str) -> Result<Object<'a>> {
        self.object()
            .ok_or_else(|| invalid_parameter(format!("cannot call {function} on a non-object")))
    }

    /// The elements, for `jsonb_array_elements` and `jsonb_array_elements_text` (of which [`JsonbRef::to_text`] gives the values).
    ///
    /// # Errors
    /// 22023 for what is no array.
    pub fn array_elements(self) -> Result<Array<'a>> {
        match self.node() {
            Node::Array(array) => Ok(array),
            Node::Object(_) => Err(invalid_parameter("cannot extract elements from an object")),
            _ => Err(invalid_parameter("cannot extract elements from a scalar")),
        }
    }

    /// `jsonb_strip_nulls`: without the members that are `null`, at every level. Elements of arrays stay.
    ///
    /// # Errors
    /// None but those of [`Tree::encode`], which a document has passed.
    pub fn strip_nulls(self) -> Result<Jsonb> {
        stripped(self).encode()
    }
}

fn stripped(document: JsonbRef<'_>) -> Tree<'_> {
    match document.node() {
        Node::Array(array) => Tree::Array(array.iter().map(stripped).collect()),
        Node::Object(object) => Tree::Object(
            object
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.into(), stripped(value)))
                .collect(),
        ),
        _ => document.into(),
    }
}

/// The place of an index among `length` elements, counted from the end where negative.
pub(super) fn place(index: i64, length: usize) -> Option<usize> {
    let place = if index < 0 {
        index.checked_add(length as i64)?
    } else {
        index
    };
    usize::try_from(place).ok().filter(|place| *place < length)
}

/// An index in a path, as C's `strtol` reads it: spaces and a sign may stand before the digits.
pub(super) fn parse_index(text: &str) -> Option<i64> {
    let digits = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    digits.parse::<i32>().ok().map(i64::from)
}
