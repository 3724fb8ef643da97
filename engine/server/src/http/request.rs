//! The bodies of requests, and that of `POST /v1/sql`.

use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use serde::Deserialize;

use super::{answer, guard};
use crate::limits::ServerLimits;

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlRequest {
    /// One statement, or several.
    pub(super) sql: String,
    /// Values of `$1`, `$2`, ...
    #[serde(default)]
    pub(super) params: Vec<serde_json::Value>,
    /// Time that each statement has; the session's own where it is not given.
    pub(super) timeout_ms: Option<u32>,
    /// How rows are laid out.
    #[serde(default)]
    pub(super) format: Layout,
}

/// How rows are laid out.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Layout {
    /// An array for each row.
    #[default]
    Rows,
    /// An array for each column.
    Columns,
}

impl SqlRequest {
    /// Reads what a body says.
    ///
    /// # Errors
    /// 08P01 with the place.
    pub(super) fn parse(body: &[u8]) -> Result<Self> {
        serde_json::from_slice(body).map_err(|error| {
            Error::invalid(
                SqlState::PROTOCOL_VIOLATION,
                format!("the body is not a request: {error}"),
            )
            .with_hint("It is an object with \"sql\", and where wanted \"params\", \"timeout_ms\" and \"format\".")
        })
    }
}

/// Reads the body of a request that has to be JSON.
///
/// # Errors
/// The answer to a body of another type, or one that is too long, too slow, or broken.
pub(super) async fn json_body(request: Request<Body>, limits: &ServerLimits) -> Result<Vec<u8>, Box<Response<Body>>> {
    if let Err(error) = guard::check_content_type(request.headers()) {
        drain(request.into_body(), limits).await;
        return Err(Box::new(answer::error_with(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error)));
    }
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.http_body_bytes_max) {
        let error = too_long(limits.http_body_bytes_max);
        return Err(Box::new(answer::error_with(StatusCode::PAYLOAD_TOO_LARGE, &error)));
    }
    read(request.into_body(), limits).await
}

/// Reads the body of a request whose bytes are a value.
///
/// # Errors
/// The answer to a body that is too long, too slow, or broken.
pub(super) async fn raw_body(request: Request<Body>, limits: &ServerLimits) -> Result<Vec<u8>, Box<Response<Body>>> {
    read(request.into_body(), limits).await
}

/// Reads a whole body.
///
/// # Errors
/// The answer to a body that is too long, too slow, or broken.
async fn read(body: Body, limits: &ServerLimits) -> Result<Vec<u8>, Box<Response<Body>>> {
    use futures::StreamExt;
    let bytes_max = limits.http_body_bytes_max;
    let refuse = |status, error: Error| Err::<Vec<u8>, _>(Box::new(answer::error_with(status, &error)));
    let mut bytes = Vec::new();
    let mut parts = body.into_data_stream();
    let whole = async {
        while let Some(part) = parts.next().await {
            let part = part.map_err(Some)?;
            if part.len() > bytes_max - bytes.len() {
                return Err(None::<axum::Error>);
            }
            bytes.extend_from_slice(&part);
        }
        Ok(())
    };
    match timed(limits.http_body_timeout, whole).await {
        Some(Ok(())) => Ok(bytes),
        Some(Err(None)) => refuse(StatusCode::PAYLOAD_TOO_LARGE, too_long(bytes_max)),
        Some(Err(Some(error))) => {
            let error = Error::invalid(SqlState::PROTOCOL_VIOLATION, format!("the body is broken: {error}"));
            refuse(StatusCode::BAD_REQUEST, error)
        }
        None => {
            let message = format!("the body did not arrive within {:?}", limits.http_body_timeout);
            let error = Error::unavailable(SqlState::QUERY_CANCELED, message);
            refuse(StatusCode::REQUEST_TIMEOUT, error)
        }
    }
}

/// Reads a body away: a connection that is closed with unread bytes would take the answer with it.
async fn drain(body: Body, limits: &ServerLimits) {
    use futures::StreamExt;
    let mut left = limits.http_body_bytes_max;
    let mut parts = body.into_data_stream();
    let gone = async {
        while let Some(Ok(part)) = parts.next().await {
            match left.checked_sub(part.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whatever is left is not worth waiting for.
    let _ = timed(limits.http_body_timeout, gone).await;
}

/// What a body beyond the limit is answered.
fn too_long(bytes_max: usize) -> Error {
    Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("the body of a request has at most {bytes_max} bytes"),
    )
    .with_hint("Load data with COPY or Flight SQL, or send several requests.")
}

async fn timed<F: Future>(timeout: Duration, work: F) -> Option<F::Output> {
    tokio::time::timeout(timeout, work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused() {
        let read = SqlRequest::parse(br#"{"sql": "SELECT $1", "params": [1], "timeout_ms": 5, "format": "columns"}"#)
            .expect("all of it");
        assert_eq!((read.params.len(), read.timeout_ms), (1, Some(5)));
        assert_eq!(read.format, Layout::Columns);
        assert_eq!(
            SqlRequest::parse(br#"{"sql": ""}"#).expect("short").format,
            Layout::Rows
        );
        for (body, says) in [
            (&br#"{"sql": 1}"#[..], "invalid type"),
            (br#"{"query": "SELECT 1"}"#, "unknown field `query`"),
            (br#"{"sql": "", "format": "csv"}"#, "unknown variant `csv`"),
            (br#"{"sql": "", "timeout_ms": -1}"#, "invalid value"),
            (b"{\"sql\": \"\xff\"}", "invalid unicode"),
            (b"", "EOF"),
        ] {
            let error = SqlRequest::parse(body).expect_err(says);
            assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION);
            assert!(error.message().contains(says), "{error}");
        }
        let deep = format!("{{\"sql\": \"\", \"params\": [{}]}}", "[".repeat(10_000));
        SqlRequest::parse(deep.as_bytes()).expect_err("nested too deep");
    }
}
