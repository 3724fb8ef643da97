//! `||`, `-`, `#-`, `jsonb_set` and `jsonb_insert`: documents from documents.
//!
//! Only the containers on the way to a change are taken apart; all others are copied as they are.

use std::borrow::Cow;

use aion_base::{Error, Result, SqlState};

use super::access::{PathElement, parse_index, place};
use super::{Array, Jsonb, JsonbRef, Node, Object, Tree, invalid_parameter};

/// What happens at the end of a path.
#[derive(Clone, Copy)]
enum Change<'a> {
    Delete,
    /// `jsonb_set`; `creates` adds what is missing.
    Set {
        value: JsonbRef<'a>,
        creates: bool,
    },
    /// `jsonb_insert`; `after` the element, or before it.
    Insert {
        value: JsonbRef<'a>,
        after: bool,
    },
}

impl<'a> Change<'a> {
    /// What is put where nothing is yet.
    fn created(self) -> Option<Tree<'a>> {
        match self {
            Self::Set { value, creates: true } | Self::Insert { value, .. } => Some(value.into()),
            Self::Set { creates: false, .. } | Self::Delete => None,
        }
    }
}

impl<'a> JsonbRef<'a> {
    /// `self || other`: members of both objects, those of `other` counting; or elements, a value that is no array being one of its own.
    ///
    /// # Errors
    /// 54000 beyond the size limit.
    pub fn concat(self, other: JsonbRef<'_>) -> Result<Jsonb> {
        if let (Some(one), Some(other)) = (self.object(), other.object()) {
            return Tree::Object(members(one).into_iter().chain(members(other)).collect()).encode();
        }
        let elements = |document: JsonbRef<'a>| match document.array() {
            Some(array) => array.iter().map(Tree::from).collect(),
            None => vec![Tree::Stored(document)],
        };
        let mut all: Vec<Tree<'_>> = elements(self);
        match other.array() {
            Some(array) => all.extend(array.iter().map(Tree::from)),
            None => all.push(other.into()),
        }
        Tree::Array(all).encode()
    }

    /// `self - keys`: without these keys, or these strings among the elements.
    ///
    /// # Errors
    /// 22023 for a scalar.
    pub fn without_keys(self, keys: &[&str]) -> Result<Jsonb> {
        match self.node() {
            Node::Object(object) => {
                let kept = object.iter().filter(|(key, _)| !keys.contains(key));
                Tree::Object(kept.map(|(key, value)| (key.into(), value.into())).collect()).encode()
            }
            Node::Array(array) => {
                let is_kept =
                    |element: &JsonbRef<'_>| !matches!(element.node(), Node::String(text) if keys.contains(&text));
                Tree::Array(array.iter().filter(is_kept).map(Tree::from).collect()).encode()
            }
            _ => Err(invalid_parameter("cannot delete from scalar")),
        }
    }

    /// `self - index`: without this element, counted from the end where negative.
    ///
    /// # Errors
    /// 22023 for what is no array.
    pub fn without_index(self, index: i64) -> Result<Jsonb> {
        let array = match self.node() {
            Node::Array(array) => array,
            Node::Object(_) => return Err(invalid_parameter("cannot delete from object using integer index")),
            _ => return Err(invalid_parameter("cannot delete from scalar")),
        };
        let Some(place) = place(index, array.len()) else {
            return Ok(self.to_owned());
        };
        let mut elements = elements(array);
        elements.remove(place);
        Tree::Array(elements).encode()
    }

    /// `self #- path`: without what lies there.
    ///
    /// # Errors
    /// 22023 for a scalar, 22004 for a NULL in the path, 22P02 for a step into an array that is no index.
    pub fn without_path(self, path: &[PathElement<'_>]) -> Result<Jsonb> {
        if self.is_scalar() {
            return Err(invalid_parameter("cannot delete path in scalar"));
        }
        self.change(path, Change::Delete)
    }

    /// `jsonb_set`: with the value in the place of what lies at the path, or added there if only the last step is missing and `creates`.
    ///
    /// # Errors
    /// 22023 for a scalar, 22004 for a NULL in the path, 22P02 for a step into an array that is no index; the limits.
    pub fn set(self, path: &[PathElement<'_>], value: JsonbRef<'_>, creates: bool) -> Result<Jsonb> {
        self.check_can_set()?;
        self.change(path, Change::Set { value, creates })
    }

    /// `jsonb_insert`: with the value before, or `after`, the element at the path, or as a new member.
    ///
    /// # Errors
    /// 22023 for a scalar and for a key that is there, 22004 for a NULL in the path, 22P02 for a step into an array that is no index;
    /// the limits.
    pub fn insert(self, path: &[PathElement<'_>], value: JsonbRef<'_>, after: bool) -> Result<Jsonb> {
        self.check_can_set()?;
        self.change(path, Change::Insert { value, after })
    }

    fn check_can_set(self) -> Result<()> {
        if self.is_scalar() {
            return Err(invalid_parameter("cannot set path in scalar"));
        }
        Ok(())
    }

    fn change(self, path: &[PathElement<'_>], change: Change<'_>) -> Result<Jsonb> {
        let is_empty =
            self.array().is_some_and(|array| array.is_empty()) || self.object().is_some_and(|object| object.is_empty());
        if path.is_empty() || is_empty && change.created().is_none() {
            return Ok(self.to_owned());
        }
        changed(self, path, 0, change)?.encode()
    }
}

fn elements<'a>(array: Array<'a>) -> Vec<Tree<'a>> {
    array.iter().map(Tree::from).collect()
}

fn members<'a>(object: Object<'a>) -> Vec<(Cow<'a, str>, Tree<'a>)> {
    object.iter().map(|(key, value)| (key.into(), value.into())).collect()
}

/// The document with the change at `path[level..]`.
fn changed<'a>(document: JsonbRef<'a>, path: &[PathElement<'a>], level: usize, change: Change<'a>) -> Result<Tree<'a>> {
    let Some(element) = path[level] else {
        return Err(Error::invalid(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            format!("path element at position {} is null", level + 1),
        ));
    };
    if document.is_scalar() {
        return Ok(document.into());
    }
    let is_last = level + 1 == path.len();
    if let Some(object) = document.object() {
        let mut members = members(object);
        // By the same walk as the members: damaged bytes may hide a key from the search.
        let mut walk = object.iter().enumerate();
        let found = walk
            .find(|(_, (key, _))| key == &element)
            .map(|(at, (_, value))| (at, value));
        match (found, is_last) {
            (Some((at, value)), false) => {
                members[at].1 = changed(value, path, level + 1, change)?;
            }
            (Some((at, _)), true) => match change {
                Change::Delete => drop(members.remove(at)),
                Change::Set { value, .. } => members[at].1 = value.into(),
                Change::Insert { .. } => {
                    return Err(invalid_parameter("cannot replace existing key")
                        .with_hint("Try using the function jsonb_set to replace key value."));
                }
            },
            (None, true) => members.extend(change.created().map(|value| (Cow::Borrowed(element), value))),
            (None, false) => {}
        }
        return Ok(Tree::Object(members));
    }
    let array = document.array().expect("neither a scalar nor an object");
    let Some(index) = parse_index(element) else {
        return Err(Error::invalid(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!(
                "path element at position {} is not an integer: \"{element}\"",
                level + 1
            ),
        ));
    };
    let mut elements = elements(array);
    match (place(index, array.len()), is_last) {
        (Some(at), false) => {
            let inner = array.get(at).expect("the place is inside");
            elements[at] = changed(inner, path, level + 1, change)?;
        }
        (Some(at), true) => match change {
            Change::Delete => drop(elements.remove(at)),
            Change::Set { value, .. } => elements[at] = value.into(),
            Change::Insert { value, after } => elements.insert(at + usize::from(after), value.into()),
        },
        (None, true) => {
            let end = if index < 0 { 0 } else { elements.len() };
            if let Some(value) = change.created() {
                elements.insert(end, value);
            }
        }
        (None, false) => {}
    }
    Ok(Tree::Array(elements))
}
