//! Answers: JSON with a status, and errors as JSON.

use aion_base::{Error, ErrorKind, SqlState};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// Characters of one field at most; a message may quote a literal of any length.
const FIELD_CHARS_MAX: usize = 8 * 1024;

#[derive(Serialize)]
struct Wrapped<'a> {
    error: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    sqlstate: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraint: Option<&'a str>,
}

/// An answer of this type.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// JSON that was made already.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    answer(status, "application/json", body)
}

/// A statement's error, with the status of its kind.
pub(super) fn error(error: &Error) -> Response<Body> {
    if error.kind() == ErrorKind::Internal {
        // Its code only: the message may quote a literal.
        tracing::error!(state = %error.state(), "a statement met an internal error");
    }
    let status = StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error_with(status, error)
}

/// The error of what was run among others: that too many run is a 503, which has nothing to do with how much this client asked.
pub(super) fn statement_error(error: &Error) -> Response<Body> {
    match error.state() {
        SqlState::TOO_MANY_CONNECTIONS => error_with(StatusCode::SERVICE_UNAVAILABLE, error),
        _ => self::error(error),
    }
}

/// An error of HTTP itself, with a status of its own.
pub(super) fn error_with(status: StatusCode, error: &Error) -> Response<Body> {
    json(status, body(error))
}

/// The body of an error.
pub(super) fn body(error: &Error) -> Vec<u8> {
    let state = error.state();
    let wrapped = Wrapped {
        error: Fields {
            sqlstate: state.as_str(),
            message: cut(error.message()),
            detail: error.detail().map(cut),
            hint: error.hint().map(cut),
            position: error.position(),
            schema: error.schema(),
            table: error.table(),
            column: error.column(),
            constraint: error.constraint(),
        },
    };
    serde_json::to_vec(&wrapped).expect("text and numbers are JSON")
}

fn cut(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(FIELD_CHARS_MAX)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The bytes of a 503, for a connection that no library speaks for.
pub(super) fn refusal(error: &Error) -> Vec<u8> {
    let body = body(error);
    let mut bytes = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let full = Error::conflict(SqlState::UNIQUE_VIOLATION, "a \"key\"")
            .with_detail("Key (a)=(1) already exists.")
            .with_hint("Use another.")
            .with_position(7)
            .with_table("t");
        assert_eq!(
            String::from_utf8(body(&full)).expect("UTF-8"),
            r#"{"error":{"sqlstate":"23505","message":"a \"key\"","detail":"Key (a)=(1) already exists.","hint":"Use another.","position":7,"table":"t"}}"#
        );
        assert_eq!(error(&full).status(), StatusCode::CONFLICT);
        let short = Error::exhausted(SqlState::TOO_MANY_CONNECTIONS, "full");
        let bytes = refusal(&short);
        let length = br#"{"error":{"sqlstate":"53300","message":"full"}}"#.len();
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(text.contains(&format!("content-length: {length}\r\n")), "{text}");
    }
}
