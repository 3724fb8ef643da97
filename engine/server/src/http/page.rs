//! The page at `/`: three files that are part of the program. What they do stands in them.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::get;

use super::answer;

/// What a browser lets the page do: load its own files, ask this server, and nothing else. Without trusted types no script can turn text
/// into markup, whatever stands in a name or a reason.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// The paths of the page.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/",
            get(|| async { file("text/html; charset=utf-8", include_str!("page/index.html")) }),
        )
        .route(
            "/page.css",
            get(|| async { file("text/css; charset=utf-8", include_str!("page/page.css")) }),
        )
        .route(
            "/page.js",
            get(|| async { file("text/javascript; charset=utf-8", include_str!("page/page.js")) }),
        )
}

fn file(content_type: &'static str, text: &'static str) -> Response<Body> {
    let mut response = answer::answer(StatusCode::OK, content_type, text);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
