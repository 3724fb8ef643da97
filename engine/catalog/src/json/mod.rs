//! JSON as PostgreSQL has it: the type `jsonb` in bytes of ours, its operators and functions, and the text check of `json`.
//!
//! **Vocabulary.** A *document* is one JSON value in our bytes, [`Jsonb`] owned and [`JsonbRef`] borrowed. A *container* is an array or an
//! object, a *scalar* everything else. A [`Tree`] is a value that is being put together: its leaves may be documents, which are then
//! copied as they are.
//!
//! ```text
//! value    tag u8: the format's version (1) in the upper four bits, the kind in the lower four
//!   0 null | 1 false | 2 true     nothing follows
//!   3 number                      its canonical text, as PostgreSQL prints the numeric: 1.10, 1000, -0.5
//!   4 string                      UTF-8, without U+0000
//!   5 array                       depth u16 LE, n u32 LE | ends n * u32 LE | elements
//!   6 object                      depth u16 LE, n u32 LE | key ends n * u32 LE | value ends n * u32 LE | keys | values
//! ```
//!
//! An end counts from the beginning of what it indexes (elements, keys, values). `depth` is 1 for a container of scalars. Keys are UTF-8,
//! unique, and sorted by length and then by bytes, as PostgreSQL sorts them. How long a value is, is known from outside.
//!
//! **Guarantees.**
//! 1. An element is found by two ends and a member by a binary search of the keys; nothing else is decoded, nothing is allocated, and
//!    what is found is a document itself: a slice of the one it lies in.
//! 2. Text in and out ([`Jsonb::parse`], [`JsonbRef::write`]), comparison, errors and every function do what PostgreSQL 15 does, which
//!    a table of its answers checks (`testdata/postgres.tsv`). Strings compare by bytes (collation C).
//! 3. The same value has the same bytes, up to zeroes at the end of a fraction. Equal values have equal hashes ([`JsonbRef::hash`]).
//! 4. Damaged bytes are no panic: [`JsonbRef::check`] names the damage; a part that cannot be read reads as null.
//!
//! **Limits.** [`DEPTH_MAX`] containers inside each other (54001), [`BYTES_MAX`] bytes (54000), numbers as `numeric` has them (22003).
//!
//! **Left out.** In [`path`], the method `datetime()`. Functions over the `json` text itself are in [`plain`].

mod access;
mod build;
mod change;
mod compare;
mod contain;
mod key;
mod number;
mod parse;
pub mod path;
pub mod plain;
mod read;
mod write;

pub use access::PathElement;
pub use build::Tree;
pub use number::Number;
pub use parse::check_text;
pub use read::{Array, JsonbRef, Node, Object};
pub use write::write_string;

use aion_base::{Error, Result, SqlState};

/// How many containers lie inside each other at most.
pub const DEPTH_MAX: usize = 1_000;

/// The size of a document at most, PostgreSQL's limit.
pub const BYTES_MAX: usize = 268_435_455;

const VERSION: u8 = 1 << 4;
const NULL: u8 = VERSION;
const FALSE: u8 = VERSION | 1;
const TRUE: u8 = VERSION | 2;
const NUMBER: u8 = VERSION | 3;
const STRING: u8 = VERSION | 4;
const ARRAY: u8 = VERSION | 5;
const OBJECT: u8 = VERSION | 6;

/// Bytes before the ends of a container: tag, depth, count.
const HEADER_BYTES: usize = 7;
const END_BYTES: usize = 4;

/// A document.
#[derive(Clone, Debug)]
pub struct Jsonb(Vec<u8>);

impl Jsonb {
    /// Reads JSON text.
    ///
    /// # Errors
    /// 22P02 for what is no JSON, 22P05 for `\u0000`, 22003 for a number that a `numeric` cannot hold, 54001 and 54000 beyond the limits.
    pub fn parse(text: &str) -> Result<Self> {
        parse::parse(text)?.encode()
    }

    /// The document that is read.
    pub fn as_ref(&self) -> JsonbRef<'_> {
        JsonbRef::new(&self.0)
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be stored.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl PartialEq for Jsonb {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Jsonb {}

impl std::fmt::Display for Jsonb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_ref().fmt(f)
    }
}

#[cold]
fn too_deep() -> Error {
    Error::exhausted(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .with_detail(format!("A JSON value nests at most {DEPTH_MAX} arrays and objects."))
}

#[cold]
fn invalid_parameter(message: impl Into<String>) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

#[cfg(test)]
mod tests;
