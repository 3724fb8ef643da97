//! Order, equality and hash of documents.
//!
//! The order is that of PostgreSQL's btree class of `jsonb`: object > array > boolean > number > string > null; of two containers of
//! one kind the one with more parts is greater, then the first part that differs decides, keys and values in turn, keys as strings.
//! PostgreSQL keeps a scalar at the top as an array of one element, which shows at one place: an empty array is less than any scalar.

use std::cmp::Ordering;

use super::{JsonbRef, Node};

impl JsonbRef<'_> {
    /// The order of PostgreSQL's btree class.
    pub fn compare(self, other: JsonbRef<'_>) -> Ordering {
        let is_empty_array = |document: JsonbRef<'_>| document.array().is_some_and(|array| array.is_empty());
        if is_empty_array(self) && other.is_scalar() {
            return Ordering::Less;
        }
        if is_empty_array(other) && self.is_scalar() {
            return Ordering::Greater;
        }
        self.compare_inner(other)
    }

    fn compare_inner(self, other: JsonbRef<'_>) -> Ordering {
        let (one, other) = (self.node(), other.node());
        match (&one, &other) {
            (Node::Bool(one), Node::Bool(other)) => one.cmp(other),
            (Node::Number(one), Node::Number(other)) => one.compare(other),
            (Node::String(one), Node::String(other)) => one.cmp(other),
            (Node::Array(one), Node::Array(other)) => one.len().cmp(&other.len()).then_with(|| {
                one.iter()
                    .zip(other.iter())
                    .map(|(one, other)| one.compare_inner(other))
                    .find(|order| order.is_ne())
                    .unwrap_or(Ordering::Equal)
            }),
            (Node::Object(one), Node::Object(other)) => one.len().cmp(&other.len()).then_with(|| {
                one.iter()
                    .zip(other.iter())
                    .map(|((key, value), (other_key, other))| {
                        key.cmp(other_key).then_with(|| value.compare_inner(other))
                    })
                    .find(|order| order.is_ne())
                    .unwrap_or(Ordering::Equal)
            }),
            _ => rank(&one).cmp(&rank(&other)),
        }
    }

    /// 64 bits that are equal for equal documents, and always the same: FNV-1a over kinds, counts and contents, numbers without zeroes
    /// at the end of their fraction.
    pub fn hash(self) -> u64 {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        self.hash_into(&mut hash);
        // FNV leaves the upper bits of short inputs alike.
        let hash = (hash.0 ^ (hash.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ (hash >> 29)
    }

    fn hash_into(self, hash: &mut Fnv) {
        let node = self.node();
        hash.add(&[rank(&node)]);
        match node {
            Node::Null => {}
            Node::Bool(value) => hash.add(&[value.into()]),
            Node::Number(number) => hash.text(number.normal()),
            Node::String(text) => hash.text(text),
            Node::Array(array) => {
                hash.add(&(array.len() as u32).to_le_bytes());
                array.iter().for_each(|element| element.hash_into(hash));
            }
            Node::Object(object) => {
                hash.add(&(object.len() as u32).to_le_bytes());
                for (key, value) in object.iter() {
                    hash.text(key);
                    value.hash_into(hash);
                }
            }
        }
    }
}

/// The place of a kind in the order.
fn rank(node: &Node<'_>) -> u8 {
    match node {
        Node::Null => 0,
        Node::String(_) => 1,
        Node::Number(_) => 2,
        Node::Bool(_) => 3,
        Node::Array(_) => 4,
        Node::Object(_) => 5,
    }
}

struct Fnv(u64);

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn text(&mut self, text: &str) {
        self.add(&(text.len() as u32).to_le_bytes());
        self.add(text.as_bytes());
    }
}

impl PartialEq for JsonbRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other).is_eq()
    }
}

impl Eq for JsonbRef<'_> {}
