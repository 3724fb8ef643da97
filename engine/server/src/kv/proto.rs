//! The messages of `proto/kv.proto`, written by hand: no compiler of protocols is needed to build the server. A test compares them with
//! that file.

use bytes::Bytes;
use prost::{Message, Oneof};

/// Operations that are one transaction.
#[derive(Clone, PartialEq, Message)]
pub struct Batch {
    /// In the order in which they run.
    #[prost(message, repeated, tag = "1")]
    pub operations: Vec<Operation>,
    /// Of the operations that name none.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// It sees at least the commit with this timestamp; 0 for whatever is there.
    #[prost(uint64, tag = "3")]
    pub after_timestamp: u64,
    /// How long it may wait for others; 0 for the server's own limit.
    #[prost(uint32, tag = "4")]
    pub timeout_ms: u32,
}

/// About one key.
#[derive(Clone, PartialEq, Message)]
pub struct Operation {
    /// Empty for the batch's.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// 1 to 256 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    /// What about it.
    #[prost(oneof = "What", tags = "3, 4, 5, 6")]
    pub what: Option<What>,
}

/// What is to be done with a key.
#[derive(Clone, PartialEq, Oneof)]
pub enum What {
    /// Read it.
    #[prost(message, tag = "3")]
    Get(Get),
    /// Give it a value.
    #[prost(message, tag = "4")]
    Put(Put),
    /// Take it away.
    #[prost(message, tag = "5")]
    Delete(Delete),
    /// Give it a value if it has the expected one.
    #[prost(message, tag = "6")]
    CompareAndSet(CompareAndSet),
}

/// Nothing more is said.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Get {}

/// A value for a key.
#[derive(Clone, PartialEq, Message)]
pub struct Put {
    /// The value.
    #[prost(bytes = "bytes", tag = "1")]
    pub value: Bytes,
}

/// Nothing more is said.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Delete {}

/// A value for a key that has another one.
#[derive(Clone, PartialEq, Message)]
pub struct CompareAndSet {
    /// What the key must have; None: it must not be there.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub expected: Option<Bytes>,
    /// What it gets; None: it is deleted.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// A batch was done.
#[derive(Clone, PartialEq, Message)]
pub struct Applied {
    /// Of the commit, or of the last commit that it saw.
    #[prost(uint64, tag = "1")]
    pub timestamp: u64,
    /// One for each operation.
    #[prost(message, repeated, tag = "2")]
    pub results: Vec<Result>,
}

/// What an operation answers.
#[derive(Clone, PartialEq, Message)]
pub struct Result {
    /// Of a get; None: there is none.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub value: Option<Bytes>,
    /// Of a delete: there was something.
    #[prost(bool, tag = "2")]
    pub existed: bool,
}

/// To a batch of a stream.
#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    /// What became of it.
    #[prost(oneof = "Outcome", tags = "1, 2")]
    pub outcome: Option<Outcome>,
}

/// What became of a batch.
#[derive(Clone, PartialEq, Oneof)]
pub enum Outcome {
    /// It was done.
    #[prost(message, tag = "1")]
    Applied(Applied),
    /// Nothing of it was done.
    #[prost(message, tag = "2")]
    Refused(Refused),
}

/// Nothing of a batch was done.
#[derive(Clone, PartialEq, Message)]
pub struct Refused {
    /// google.rpc.Code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// Five characters.
    #[prost(string, tag = "2")]
    pub sqlstate: String,
    /// What happened.
    #[prost(string, tag = "3")]
    pub message: String,
    /// Facts beyond the message.
    #[prost(string, tag = "4")]
    pub detail: String,
    /// What to do.
    #[prost(string, tag = "5")]
    pub hint: String,
    /// The operation whose comparison found another value, from 0.
    #[prost(uint32, optional, tag = "6")]
    pub operation: Option<u32>,
    /// What it found; None: nothing.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub found: Option<Bytes>,
    /// Of the last commit that it saw.
    #[prost(uint64, tag = "8")]
    pub timestamp: u64,
}

/// Which page of which keys.
#[derive(Clone, PartialEq, Message)]
pub struct ScanRequest {
    /// Whose keys.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// What they begin with.
    #[prost(bytes = "bytes", tag = "2")]
    pub prefix: Bytes,
    /// The first; empty for the very first.
    #[prost(bytes = "bytes", tag = "3")]
    pub start: Bytes,
    /// The first behind them; empty for none.
    #[prost(bytes = "bytes", tag = "4")]
    pub end: Bytes,
    /// The last first.
    #[prost(bool, tag = "5")]
    pub reverse: bool,
    /// Entries of the page; 0 for 100.
    #[prost(uint32, tag = "6")]
    pub limit: u32,
    /// Of the page before.
    #[prost(bytes = "bytes", tag = "7")]
    pub cursor: Bytes,
    /// It sees at least the commit with this timestamp.
    #[prost(uint64, tag = "8")]
    pub after_timestamp: u64,
}

/// A part of a scan.
#[derive(Clone, PartialEq, Message)]
pub struct Page {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
    /// For the next page; empty: there was nothing more.
    #[prost(bytes = "bytes", tag = "2")]
    pub cursor: Bytes,
    /// Of the last commit that it saw.
    #[prost(uint64, tag = "3")]
    pub timestamp: u64,
}

/// A key and its value.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// A namespace by its name.
#[derive(Clone, PartialEq, Message)]
pub struct Namespace {
    /// The table's name in the schema `kv`.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// What CreateNamespace did.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Created {
    /// False: it was there.
    #[prost(bool, tag = "1")]
    pub created: bool,
}

/// What DropNamespace did.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Dropped {
    /// False: there was none.
    #[prost(bool, tag = "1")]
    pub dropped: bool,
}

/// Nothing more is said.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ListRequest {}

/// All namespaces.
#[derive(Clone, PartialEq, Message)]
pub struct Namespaces {
    /// In order.
    #[prost(string, repeated, tag = "1")]
    pub names: Vec<String>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PROTO: &str = include_str!("../../proto/kv.proto");
    const SOURCE: &str = include_str!("proto.rs");

    /// Fields by message, name and number; oneofs count as fields of their message.
    type Fields = BTreeMap<String, BTreeMap<u32, (String, String)>>;

    fn of_proto() -> Fields {
        let mut found = Fields::new();
        let mut message = String::new();
        for line in PROTO.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("message ") {
                message = rest.split([' ', '{']).next().expect("a name").to_owned();
                found.entry(message.clone()).or_default();
                continue;
            }
            let Some((declared, number)) = line.trim_end_matches(';').rsplit_once(" = ") else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            let (kind, name) = declared.rsplit_once(' ').expect("a type and a name");
            let field = (kind.to_owned(), name.to_owned());
            assert!(
                found
                    .get_mut(&message)
                    .expect("within one")
                    .insert(number, field)
                    .is_none()
            );
        }
        found
    }

    fn snake(name: &str) -> String {
        let mut snake = String::new();
        for character in name.chars() {
            if character.is_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.extend(character.to_lowercase());
        }
        snake
    }

    fn of_source() -> Fields {
        let mut found = Fields::new();
        // The variants of an enum are fields of the message that has it.
        let owners = BTreeMap::from([("What", "Operation"), ("Outcome", "Answer")]);
        let mut message = String::new();
        let mut attribute: Option<String> = None;
        let product = SOURCE.split("#[cfg(test)]").next().expect("some");
        for line in product.lines().map(str::trim) {
            let declared = line.strip_prefix("pub struct ").or(line.strip_prefix("pub enum "));
            if let Some(rest) = declared {
                let name = rest.split(' ').next().expect("a name");
                message = owners.get(name).copied().unwrap_or(name).to_owned();
                found.entry(message.clone()).or_default();
            } else if let Some(rest) = line.strip_prefix("#[prost(") {
                attribute = Some(rest.trim_end_matches(")]").to_owned()).filter(|text| !text.starts_with("oneof"));
            } else if let Some(attribute) = attribute.take() {
                let number = attribute.split("tag = \"").nth(1).expect("a tag").trim_end_matches('"');
                let number = number.parse().expect("a number");
                let (name, written) = match line.strip_prefix("pub ") {
                    Some(field) => field.split_once(": ").expect("a field"),
                    None => line.split_once('(').expect("a variant"),
                };
                let written = written.trim_end_matches([',', ')', '>']);
                let inner = written.rsplit('<').next().expect("some");
                let scalar = attribute.split([',', ' ']).next().expect("a kind");
                let kind = match scalar {
                    "message" => inner.to_owned(),
                    other => other.to_owned(),
                };
                let kind = match attribute.split(", ").nth(1) {
                    Some(label @ ("repeated" | "optional")) => format!("{label} {kind}"),
                    _ => kind,
                };
                let field = (kind, snake(name));
                let fields = found.get_mut(&message).expect("within one");
                assert!(fields.insert(number, field).is_none(), "{message} {number}");
            }
        }
        found
    }

    #[test]
    fn the_messages_are_those_of_the_file() {
        let (file, source) = (of_proto(), of_source());
        assert!(file.len() > 15);
        assert_eq!(source, file);
    }

    /// Written down byte by byte, after the encoding that protobuf.dev describes.
    #[test]
    fn golden_bytes() {
        let operation = |what| Operation {
            namespace: String::new(),
            key: Bytes::from_static(b"k"),
            what: Some(what),
        };
        let set = CompareAndSet {
            expected: Some(Bytes::new()),
            value: None,
        };
        let batch = Batch {
            operations: vec![
                operation(What::Put(Put {
                    value: Bytes::from_static(b"v"),
                })),
                operation(What::Get(Get {})),
                operation(What::CompareAndSet(set)),
            ],
            namespace: "n".to_owned(),
            after_timestamp: 300,
            timeout_ms: 0,
        };
        let bytes: &[u8] = &[
            0x0a, 8, 0x12, 1, b'k', 0x22, 3, 0x0a, 1, b'v', // put
            0x0a, 5, 0x12, 1, b'k', 0x1a, 0, // get
            0x0a, 7, 0x12, 1, b'k', 0x32, 2, 0x0a, 0, // compare and set
            0x12, 1, b'n', 0x18, 0xac, 0x02,
        ];
        assert_eq!(batch.encode_to_vec(), bytes);
        assert_eq!(Batch::decode(bytes).expect("a batch"), batch);
    }
}
