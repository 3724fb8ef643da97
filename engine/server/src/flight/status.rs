//! Errors as gRPC says them.
//!
//! The code is that of the error's kind, so that a client knows what to do; ADBC and JDBC show the message alone, so
//! SQLSTATE, detail and hint stand in it, as `psql` prints them. The same fields are in the trailers, for programs:
//! `aion-sqlstate`, `aion-position`, and as bytes `aion-detail-bin`, `aion-hint-bin`, `aion-constraint-bin`.

use aion_base::{Error, ErrorKind, SqlState};
use arrow_flight::error::FlightError;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// Characters of a message at most: with its other fields it has to fit into a header list of 16 KiB.
const FIELD_CHARS_MAX: usize = 1_000;

/// The status of an error.
pub(crate) fn status(error: &Error) -> Status {
    if error.kind() == ErrorKind::Internal {
        // Its code only: the message may quote a literal.
        tracing::error!(state = %error.state(), "a statement met an internal error");
    }
    let mut message = format!("{} ({})", cut(error.message()), error.state());
    let mut metadata = MetadataMap::new();
    if let Ok(state) = error.state().as_str().parse() {
        metadata.insert("aion-sqlstate", state);
    }
    if let Some(position) = error.position() {
        metadata.insert("aion-position", MetadataValue::from(position));
    }
    for (name, label, field) in [
        ("aion-detail-bin", "DETAIL", error.detail()),
        ("aion-hint-bin", "HINT", error.hint()),
    ] {
        if let Some(text) = field.map(cut) {
            message.push_str(&format!("\n{label}: {text}"));
            metadata.insert_bin(name, MetadataValue::from_bytes(text.as_bytes()));
        }
    }
    if let Some(constraint) = error.constraint().map(cut) {
        metadata.insert_bin("aion-constraint-bin", MetadataValue::from_bytes(constraint.as_bytes()));
    }
    Status::with_metadata(code(error), message, metadata)
}

/// A few states say more than their kind to a gRPC client: how to log in, what to do without, who gave up.
pub(crate) fn code(error: &Error) -> Code {
    match error.state() {
        SqlState::QUERY_CANCELED => Code::Cancelled,
        SqlState::FEATURE_NOT_SUPPORTED => Code::Unimplemented,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Code::Unauthenticated,
        _ => Code::from_i32(error.kind().grpc_code()),
    }
}

fn cut(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(FIELD_CHARS_MAX)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// What a client sent cannot be read as Arrow batches.
pub(super) fn undecodable(error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => Error::invalid(
            SqlState::PROTOCOL_VIOLATION,
            format!("the batches ended early: {}", status.message()),
        ),
        other => Error::invalid(SqlState::PROTOCOL_VIOLATION, format!("no Arrow batch: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let full = Error::conflict(SqlState::UNIQUE_VIOLATION, "duplicate key")
            .with_detail("Schlüssel (a)=(1)")
            .with_hint("Use another.")
            .with_position(7)
            .with_constraint("t_pkey");
        let status = status(&full);
        assert_eq!(status.code(), Code::Aborted);
        assert_eq!(
            status.message(),
            "duplicate key (23505)\nDETAIL: Schlüssel (a)=(1)\nHINT: Use another."
        );
        let text = |name| status.metadata().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(
            (text("aion-sqlstate"), text("aion-position")),
            (Some("23505"), Some("7"))
        );
        let detail = status.metadata().get_bin("aion-detail-bin").expect("there");
        assert_eq!(detail.to_bytes().expect("base64"), "Schlüssel (a)=(1)".as_bytes());
    }

    #[test]
    fn codes() {
        for (error, expected) in [
            (Error::unsupported("x"), Code::Unimplemented),
            (Error::unavailable(SqlState::QUERY_CANCELED, "x"), Code::Cancelled),
            (
                Error::denied(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "x"),
                Code::Unauthenticated,
            ),
            (Error::invalid(SqlState::SYNTAX_ERROR, "x"), Code::InvalidArgument),
            (Error::not_found(SqlState::UNDEFINED_TABLE, "x"), Code::NotFound),
            (Error::internal("x"), Code::Internal),
            (Error::corrupt("x"), Code::DataLoss),
        ] {
            assert_eq!(status(&error).code(), expected, "{error}");
        }
        let long = status(&Error::invalid(SqlState::SYNTAX_ERROR, "ä".repeat(100_000)));
        assert!(long.message().chars().count() < 1_100);
    }
}
