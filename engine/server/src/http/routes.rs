//! Paths, and what stands at each.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::routing::{get, post};

use super::listener::Shared;
use super::request::{self, SqlRequest};
use super::{answer, guard, kv, page, recommendations, run};
use crate::metrics;

/// What there is, for whoever asks for something else.
const PATHS: &str = "There are GET /, GET /healthz, GET /metrics, POST /v1/sql, GET and POST /v1/recommendations, \
                     GET /v1/recommendations/ID and POST /v1/recommendations/ID/VERB, GET and POST /v1/kv, \
                     GET, PUT and DELETE /v1/kv/NAMESPACE and /v1/kv/NAMESPACE/KEY.";

/// All paths.
pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(show_metrics))
        .route("/v1/sql", post(sql))
        .merge(recommendations::routes())
        .merge(kv::routes())
        .merge(page::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guarded))
        .with_state(shared)
}

async fn guarded(State(shared): State<Arc<Shared>>, request: Request<Body>, next: Next) -> Response<Body> {
    match guard::check_origin(request.headers(), shared.address) {
        Ok(()) => next.run(request).await,
        Err(error) => answer::error_with(StatusCode::FORBIDDEN, &error),
    }
}

async fn health(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let (status, body) = if shared.service.is_stopping() {
        (StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"stopping\"}")
    } else {
        (StatusCode::OK, "{\"status\":\"ok\"}")
    };
    answer::json(status, body.into())
}

async fn show_metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    match shared.service.database.counters() {
        Ok(counters) => answer::answer(
            StatusCode::OK,
            metrics::CONTENT_TYPE,
            shared.service.metrics.text(&counters),
        ),
        Err(error) => answer::error(&error),
    }
}

async fn sql(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let body = match request::json_body(request, &shared.service.limits).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    match SqlRequest::parse(&body) {
        Ok(request) => match run::run(&shared, request).await {
            Ok(body) => answer::json(StatusCode::OK, body),
            Err(error) => answer::statement_error(&error),
        },
        Err(error) => answer::error(&error),
    }
}

async fn unknown_path(request: Request<Body>) -> Response<Body> {
    let error = Error::not_found(
        SqlState::UNDEFINED_OBJECT,
        format!("there is nothing at {}", request.uri().path()),
    )
    .with_hint(PATHS);
    answer::error_with(StatusCode::NOT_FOUND, &error)
}

async fn wrong_method(request: Request<Body>) -> Response<Body> {
    let error =
        Error::unsupported(format!("{} is not for {}", request.method(), request.uri().path())).with_hint(PATHS);
    answer::error_with(StatusCode::METHOD_NOT_ALLOWED, &error)
}
