//! `/v1/kv`: keys and values.
//!
//! ```text
//! GET    /v1/kv                     {"namespaces": ["n", ...]}
//! PUT    /v1/kv/NAMESPACE           makes it: 201 {"created": true}, or 200 where it is there
//! DELETE /v1/kv/NAMESPACE           drops it with all that is in it: 200, or 404
//! GET    /v1/kv/NAMESPACE/KEY       the value as it is, or 404; ?after=T
//! PUT    /v1/kv/NAMESPACE/KEY       the body is the value -> {"timestamp": T}
//! DELETE /v1/kv/NAMESPACE/KEY       -> {"timestamp": T, "existed": true}
//! GET    /v1/kv/NAMESPACE           ?prefix=&start=&end=&limit=&reverse=&cursor=&after=
//!   -> 200                          {"entries": [{"key", "value"}], "cursor": "..." or null, "timestamp": T}
//! POST   /v1/kv                     {"operations": [O], "namespace": "n", "after": T, "timeout_ms": n}
//!   -> 200                          {"timestamp": T, "results": [{"value"}, {}, {"existed"}, {}]}
//!   -> 409                          {"error": {...}, "operation": 1, "found": "..." or null, "timestamp": T}
//! ```
//!
//! **Operations** are `{"op": "get", "key"}`, `{"op": "put", "key", "value"}`, `{"op": "delete", "key"}` and `{"op": "compare_and_set", "key",
//! "expected", "value"}`, each with a `"namespace"` where it is not the batch's. `expected` null says that the key must not be there, `value`
//! null deletes it.
//!
//! **Bytes.** In a path and in a query they are percent-encoded; all that stands behind `NAMESPACE/` is the key, slashes included. In
//! JSON they are base64, of either alphabet, with padding or without; what is answered has RFC 4648's first alphabet and padding.
//! A cursor is to be given back as it is.
//!
//! **Times** (`path`, `json`) are microseconds since 1970, which doubles hold exactly until the year 2255; they are in the header
//! `aion-timestamp`, too.
//!
//! **Errors** are those of HTTP's other paths; beyond a limit is 413 where other statements say 400.

mod json;
mod path;

use std::sync::Arc;
use std::time::Duration;

use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use aion_db::Cancellation;
use aion_db::kv::{self, Answer, Batch, Operation, Outcome, Scan, What};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use axum::routing::get;
use bytes::Bytes;

use super::listener::Shared;
use super::{answer, request};
use crate::kv::{Face, unmet};
use path::{Query, Target};

const TIMESTAMP: HeaderName = HeaderName::from_static("aion-timestamp");

/// The paths.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/kv", get(list).post(apply))
        .route("/v1/kv/{namespace}", get(scan).put(create).delete(drop_namespace))
        .route(
            "/v1/kv/{namespace}/{*key}",
            get(get_key).put(put_key).delete(delete_key),
        )
}

async fn list(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let listed = run(&shared, |face, _| async move { face.kv.list() }).await;
    respond(listed.map(|names| answer::json(StatusCode::OK, json::namespaces(&names))))
}

async fn create(State(shared): State<Arc<Shared>>, uri: Uri) -> Response<Body> {
    let created = async {
        let name = Target::of(&uri)?.namespace;
        run(&shared, |face, _| async move { face.kv.create(&name).await }).await
    };
    respond(created.await.map(|created| {
        let status = match created {
            true => StatusCode::CREATED,
            false => StatusCode::OK,
        };
        answer::json(status, format!("{{\"created\":{created}}}").into_bytes())
    }))
}

async fn drop_namespace(State(shared): State<Arc<Shared>>, uri: Uri) -> Response<Body> {
    let dropped = async {
        let name = Target::of(&uri)?.namespace;
        let dropped = {
            let name = name.clone();
            run(&shared, |face, _| async move { face.kv.drop_namespace(&name).await }).await?
        };
        match dropped {
            true => Ok(answer::json(StatusCode::OK, b"{\"dropped\":true}".to_vec())),
            false => Err(Error::not_found(
                SqlState::UNDEFINED_TABLE,
                format!("namespace \"{name}\" does not exist"),
            )),
        }
    };
    respond(dropped.await)
}

async fn get_key(State(shared): State<Arc<Shared>>, uri: Uri) -> Response<Body> {
    let got = async {
        let query = Query::of(&uri)?;
        let after = query.after()?;
        query.finish()?;
        let (timestamp, answer) = one(&shared, Target::of(&uri)?, What::Get, after).await?;
        match answer {
            Answer::Got(Some(value)) => Ok(at(
                timestamp,
                answer::answer(StatusCode::OK, "application/octet-stream", value),
            )),
            _ => {
                let error = Error::not_found(SqlState::UNDEFINED_OBJECT, "the key does not exist");
                Ok(at(timestamp, answer::error_with(StatusCode::NOT_FOUND, &error)))
            }
        }
    };
    respond(got.await)
}

async fn put_key(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let uri = request.uri().clone();
    // The body first: a connection that is closed with unread bytes would take the answer with it.
    let value = match request::raw_body(request, &shared.service.limits).await {
        Ok(value) => value,
        Err(refusal) => return *refusal,
    };
    let put = async {
        Query::of(&uri)?.finish()?;
        one(&shared, Target::of(&uri)?, What::Put(value.into()), Timestamp(0)).await
    };
    respond(put.await.map(|(timestamp, _)| {
        let body = format!("{{\"timestamp\":{timestamp}}}").into_bytes();
        at(timestamp, answer::json(StatusCode::OK, body))
    }))
}

async fn delete_key(State(shared): State<Arc<Shared>>, uri: Uri) -> Response<Body> {
    let deleted = async {
        Query::of(&uri)?.finish()?;
        one(&shared, Target::of(&uri)?, What::Delete, Timestamp(0)).await
    };
    respond(deleted.await.map(|(timestamp, answer)| {
        let existed = answer == Answer::Deleted(true);
        let body = format!("{{\"timestamp\":{timestamp},\"existed\":{existed}}}").into_bytes();
        at(timestamp, answer::json(StatusCode::OK, body))
    }))
}

async fn scan(State(shared): State<Arc<Shared>>, uri: Uri) -> Response<Body> {
    let page = async {
        let target = Target::of(&uri)?;
        let query = Query::of(&uri)?;
        let scan = Scan {
            namespace: target.namespace,
            prefix: query.bytes("prefix"),
            start: query.bytes("start"),
            end: query.bytes("end"),
            is_reverse: query.flag("reverse")?,
            limit: match query.number("limit")? {
                Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
                None => crate::kv::PAGE_ENTRIES as usize,
            },
            cursor: json::cursor(&query.bytes("cursor"))?,
            after: query.after()?,
        };
        query.finish()?;
        run(&shared, |face, cancellation| async move {
            face.scan(&scan, &cancellation).await
        })
        .await
    };
    respond(page.await.map(|page| {
        let body = json::page(&page);
        at(page.timestamp, answer::json(StatusCode::OK, body))
    }))
}

/// A batch.
async fn apply(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let body = match request::json_body(request, &shared.service.limits).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let applied = async {
        let batch = json::batch(&body)?;
        run(&shared, |face, cancellation| async move {
            face.apply(&batch, &cancellation).await
        })
        .await
    };
    respond(applied.await.map(|outcome| match outcome {
        Outcome::Applied { timestamp, answers } => at(
            timestamp,
            answer::json(StatusCode::OK, json::applied(timestamp, &answers)),
        ),
        Outcome::Unmet(found) => {
            let body = json::unmet(&found, &answer::body(&unmet(&found)));
            at(found.timestamp, answer::json(StatusCode::CONFLICT, body))
        }
    }))
}

/// One operation, as a batch.
async fn one(shared: &Shared, target: Target, what: What, after: Timestamp) -> Result<(Timestamp, Answer)> {
    let batch = Batch {
        operations: vec![Operation {
            namespace: target.namespace,
            key: target.key,
            what,
        }],
        after,
        wait: None::<Duration>,
    };
    let outcome = run(shared, |face, cancellation| async move {
        face.apply(&batch, &cancellation).await
    });
    match outcome.await? {
        Outcome::Applied { timestamp, mut answers } => match answers.pop() {
            Some(answer) => Ok((timestamp, answer)),
            None => Err(Error::internal("an operation has an answer")),
        },
        Outcome::Unmet(_) => Err(Error::internal("nothing was compared")),
    }
}

/// Runs something as a task that ends when its client leaves.
async fn run<T: Send + 'static, F>(shared: &Shared, work: impl FnOnce(Arc<Face>, Cancellation) -> F) -> Result<T>
where
    F: Future<Output = Result<T>> + Send + 'static,
{
    let cancellation = Cancellation::default();
    let stop = {
        let cancellation = cancellation.clone();
        move || cancellation.cancel()
    };
    let work = work(shared.face.clone(), cancellation);
    shared.kv_work.run(stop, work).await
}

fn at(timestamp: Timestamp, mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(TIMESTAMP, HeaderValue::from(timestamp.0));
    response
}

fn respond(answered: Result<Response<Body>>) -> Response<Body> {
    match answered {
        Ok(response) => response,
        Err(error) if error.state() == SqlState::PROGRAM_LIMIT_EXCEEDED => {
            answer::error_with(StatusCode::PAYLOAD_TOO_LARGE, &error)
        }
        Err(error) => answer::statement_error(&error),
    }
}

/// Bytes from base64 of either alphabet, with padding or without.
///
/// # Errors
/// 22P02.
fn from_base64(text: &[u8], what: &str) -> Result<Bytes> {
    use base64::Engine as _;
    use base64::alphabet::{STANDARD, URL_SAFE};
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
    const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);
    let decoded = match text.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        true => URL.decode(text),
        false => PLAIN.decode(text),
    };
    decoded.map(Bytes::from).map_err(|error| {
        Error::invalid(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("{what} is not base64: {error}"),
        )
    })
}

/// Whatever is beyond the largest batch need not be decoded to be refused.
const BASE64_BYTES_MAX: usize = kv::BATCH_BYTES_MAX / 3 * 4 + 4;
