//! `@>`, `?`, `?|` and `?&`.

use super::{Array, JsonbRef, Node, Object};

impl JsonbRef<'_> {
    /// `self @> other`: whether every member, and for every element an equal one, of `other` is in `self`, at each level. An array
    /// contains a scalar that is one of its elements, at the top only.
    pub fn contains(self, other: JsonbRef<'_>) -> bool {
        match (self.node(), other.node()) {
            (Node::Array(array), _) if other.is_scalar() => has_scalar(array, other),
            _ => contains(self, other),
        }
    }

    /// `self ? key`: whether the key, or a string element, is there; a string has itself.
    pub fn has_key(self, key: &str) -> bool {
        match self.node() {
            Node::Object(object) => object.get(key).is_some(),
            Node::Array(array) => array
                .iter()
                .any(|element| matches!(element.node(), Node::String(text) if text == key)),
            Node::String(text) => text == key,
            _ => false,
        }
    }

    /// `self ?| keys`; a NULL among the keys is to be left out by the caller, as PostgreSQL does.
    pub fn has_any_key<'k>(self, keys: impl IntoIterator<Item = &'k str>) -> bool {
        keys.into_iter().any(|key| self.has_key(key))
    }

    /// `self ?& keys`; a NULL among the keys is to be left out by the caller, as PostgreSQL does.
    pub fn has_all_keys<'k>(self, keys: impl IntoIterator<Item = &'k str>) -> bool {
        keys.into_iter().all(|key| self.has_key(key))
    }
}

/// Containment of values of the same kind.
fn contains(one: JsonbRef<'_>, other: JsonbRef<'_>) -> bool {
    match (one.node(), other.node()) {
        (Node::Object(one), Node::Object(other)) => object_contains(one, other),
        (Node::Array(one), Node::Array(other)) => array_contains(one, other),
        _ => one.is_scalar() && other.is_scalar() && one == other,
    }
}

fn object_contains(one: Object<'_>, other: Object<'_>) -> bool {
    other.len() <= one.len()
        && other
            .iter()
            .all(|(key, value)| one.get(key).is_some_and(|found| contains(found, value)))
}

fn array_contains(one: Array<'_>, other: Array<'_>) -> bool {
    other.iter().all(|wanted| {
        if wanted.is_scalar() {
            return has_scalar(one, wanted);
        }
        one.iter().any(|element| contains(element, wanted))
    })
}

fn has_scalar(array: Array<'_>, scalar: JsonbRef<'_>) -> bool {
    array.iter().any(|element| element.is_scalar() && element == scalar)
}
