//! Batches and pages as JSON.

use std::sync::Arc;
use std::time::Duration;

use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use aion_db::kv::{self, Answer, BATCH_OPERATIONS_MAX, Page, Unmet, What};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::Deserialize;

use super::{BASE64_BYTES_MAX, from_base64};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    operations: Vec<Operation>,
    /// Of the operations that name none.
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    after: u64,
    timeout_ms: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: Op,
    namespace: Option<String>,
    key: String,
    value: Option<String>,
    expected: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Op {
    Get,
    Put,
    Delete,
    CompareAndSet,
}

/// Reads a batch.
///
/// # Errors
/// 08P01 for what is none, 22P02 for what is not base64, 54000 for too many operations.
pub(super) fn batch(body: &[u8]) -> Result<kv::Batch> {
    let read: Batch = serde_json::from_slice(body).map_err(|error| {
        Error::invalid(
            SqlState::PROTOCOL_VIOLATION,
            format!("the body is not a batch: {error}"),
        )
        .with_hint("It is an object with \"operations\", and where wanted \"namespace\", \"after\" and \"timeout_ms\".")
    })?;
    if read.operations.len() > BATCH_OPERATIONS_MAX {
        return Err(Error::invalid(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("a batch has at most {BATCH_OPERATIONS_MAX} operations"),
        ));
    }
    let namespace: Arc<str> = read.namespace.into();
    let operations = read.operations.into_iter().enumerate();
    let operations = operations.map(|(at, operation)| operation.read(at, &namespace));
    Ok(kv::Batch {
        operations: operations.collect::<Result<_>>()?,
        after: Timestamp(read.after),
        wait: read.timeout_ms.map(|millis| Duration::from_millis(millis.into())),
    })
}

impl Operation {
    fn read(self, at: usize, namespace: &Arc<str>) -> Result<kv::Operation> {
        let bytes = |name: &str, text: &str| -> Result<Bytes> {
            match text.len() <= BASE64_BYTES_MAX {
                true => from_base64(text.as_bytes(), &format!("the {name} of operation {at}")),
                false => Err(Error::invalid(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    format!("the {name} of operation {at} is beyond every limit"),
                )),
            }
        };
        let value = self.value.map(|text| bytes("value", &text)).transpose()?;
        let expected = self.expected.map(|text| bytes("expected value", &text)).transpose()?;
        let what = match (self.op, value, expected) {
            (Op::Get, None, None) => What::Get,
            (Op::Delete, None, None) => What::Delete,
            (Op::Put, Some(value), None) => What::Put(value),
            (Op::CompareAndSet, value, expected) => What::CompareAndSet { expected, value },
            _ => {
                return Err(Error::invalid(
                    SqlState::PROTOCOL_VIOLATION,
                    format!(
                        "operation {at} has what does not belong to it: put has a \"value\", compare_and_set \"expected\" and \
                         \"value\", get and delete have neither"
                    ),
                ));
            }
        };
        Ok(kv::Operation {
            namespace: match self.namespace {
                Some(name) => name.into(),
                None => namespace.clone(),
            },
            key: bytes("key", &self.key)?,
            what,
        })
    }
}

/// The bytes of a cursor.
///
/// # Errors
/// 22P02.
pub(super) fn cursor(text: &[u8]) -> Result<Bytes> {
    from_base64(text, "the cursor")
}

pub(super) fn applied(timestamp: Timestamp, answers: &[Answer]) -> Vec<u8> {
    let mut out = format!("{{\"timestamp\":{timestamp},\"results\":[").into_bytes();
    for (at, answer) in answers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match answer {
            Answer::Got(value) => {
                out.extend_from_slice(b"{\"value\":");
                put(value.as_ref(), &mut out);
                out.push(b'}');
            }
            Answer::Deleted(existed) => out.extend_from_slice(format!("{{\"existed\":{existed}}}").as_bytes()),
            Answer::Put | Answer::Set => out.extend_from_slice(b"{}"),
        }
    }
    out.extend_from_slice(b"]}");
    out
}

/// `error` is the body of an error.
pub(super) fn unmet(found: &Unmet, error: &[u8]) -> Vec<u8> {
    let mut out = error.strip_suffix(b"}").unwrap_or(error).to_vec();
    out.extend_from_slice(format!(",\"operation\":{},\"found\":", found.operation).as_bytes());
    put(found.found.as_ref(), &mut out);
    out.extend_from_slice(format!(",\"timestamp\":{}}}", found.timestamp).as_bytes());
    out
}

pub(super) fn page(page: &Page) -> Vec<u8> {
    let mut out = b"{\"entries\":[".to_vec();
    for (at, (key, value)) in page.entries.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"key\":");
        put(Some(key), &mut out);
        out.extend_from_slice(b",\"value\":");
        put(Some(value), &mut out);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"cursor\":");
    match &page.cursor {
        // It goes into a query as it is.
        Some(cursor) => out.extend_from_slice(format!("\"{}\"", URL_SAFE_NO_PAD.encode(cursor)).as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(format!(",\"timestamp\":{}}}", page.timestamp).as_bytes());
    out
}

pub(super) fn namespaces(names: &[String]) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({ "namespaces": names })).expect("text is JSON")
}

fn put(bytes: Option<&Bytes>, out: &mut Vec<u8>) {
    match bytes {
        Some(bytes) => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_or_refused() {
        let body = br#"{"namespace": "n", "after": 5, "operations": [
            {"op": "get", "key": "aw=="}, {"op": "put", "key": "-_8", "value": "", "namespace": "m"},
            {"op": "compare_and_set", "key": "aw", "expected": null, "value": "dg=="}, {"op": "compare_and_set", "key": "aw", "expected": "dg"}]}"#;
        let batch = batch(body).expect("a batch");
        let seen: Vec<_> = batch
            .operations
            .iter()
            .map(|one| (&*one.namespace, &one.key[..]))
            .collect();
        assert_eq!(seen, [("n", &b"k"[..]), ("m", b"\xfb\xff"), ("n", b"k"), ("n", b"k")]);
        assert_eq!(batch.operations[1].what, What::Put(Bytes::new()));
        let set = |expected: Option<&'static str>, value: Option<&'static str>| What::CompareAndSet {
            expected: expected.map(Bytes::from),
            value: value.map(Bytes::from),
        };
        assert_eq!(batch.operations[2].what, set(None, Some("v")));
        assert_eq!(batch.operations[3].what, set(Some("v"), None));
        assert_eq!(batch.after, Timestamp(5));
        for (body, state) in [
            (r#"{"operations": [{"op": "get"}]}"#, SqlState::PROTOCOL_VIOLATION),
            (
                r#"{"operations": [{"op": "take", "key": ""}]}"#,
                SqlState::PROTOCOL_VIOLATION,
            ),
            (
                r#"{"operations": [{"op": "put", "key": "aw"}]}"#,
                SqlState::PROTOCOL_VIOLATION,
            ),
            (
                r#"{"operations": [{"op": "get", "key": "aw", "value": ""}]}"#,
                SqlState::PROTOCOL_VIOLATION,
            ),
            (
                r#"{"operations": [{"op": "get", "key": "a"}]}"#,
                SqlState::INVALID_TEXT_REPRESENTATION,
            ),
            (
                r#"{"operations": [{"op": "get", "key": "%%"}]}"#,
                SqlState::INVALID_TEXT_REPRESENTATION,
            ),
            ("[]", SqlState::PROTOCOL_VIOLATION),
        ] {
            assert_eq!(super::batch(body.as_bytes()).expect_err(body).state(), state, "{body}");
        }
    }

    #[test]
    fn golden() {
        let answers = [
            Answer::Got(Some(Bytes::from_static(b"\xff\xfe"))),
            Answer::Got(None),
            Answer::Put,
            Answer::Deleted(false),
        ];
        assert_eq!(
            String::from_utf8(applied(Timestamp(7), &answers)).expect("UTF-8"),
            r#"{"timestamp":7,"results":[{"value":"//4="},{"value":null},{},{"existed":false}]}"#
        );
        let found = Unmet {
            operation: 1,
            found: None,
            timestamp: Timestamp(9),
        };
        assert_eq!(
            String::from_utf8(unmet(&found, br#"{"error":{}}"#)).expect("UTF-8"),
            r#"{"error":{},"operation":1,"found":null,"timestamp":9}"#
        );
        let read = Page {
            entries: vec![(Bytes::from_static(b"k"), Bytes::new())],
            cursor: Some(Bytes::from_static(b"\xff\xfe")),
            timestamp: Timestamp(9),
        };
        assert_eq!(
            String::from_utf8(page(&read)).expect("UTF-8"),
            r#"{"entries":[{"key":"aw==","value":""}],"cursor":"__4","timestamp":9}"#
        );
    }
}
