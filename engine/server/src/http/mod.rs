//! HTTP: SQL as JSON, keys and values, recommendations and the page that shows them, health and metrics.
//!
//! ```text
//! GET  /                              the page for people: recommendations with their evidence, and what can be asked
//! GET  /page.css, /page.js            its other files
//! GET  /healthz                       200 while statements are served, 503 once the server stops
//! GET  /metrics                       counters, in Prometheus' text format
//! POST /v1/sql                        {"sql": "...", "params": [...], "timeout_ms": n, "format": "rows" | "columns"}
//!   -> 200                            {"columns": [{"name", "type"}], "rows": [[...]], "tag": "SELECT 2", "row_count": 2}
//! GET  /v1/recommendations            {"mode", "ai_cpu_seconds", "recommendations": [R]}
//! POST /v1/recommendations            {"sql": "CREATE INDEX ..."}: rehearses a person's own idea
//!   -> 200                            {"recommendation": R}
//! GET  /v1/recommendations/ID         {"recommendation": R, "statements": [...], "decisions": [...]}
//! POST /v1/recommendations/ID/VERB    {} or {"reason": "..."}: rehearse, approve, dismiss, revert, pin, unpin
//!   -> 200                            {"recommendation": R}
//! .../v1/kv...                        keys and values: see `kv`
//! each -> 4xx, 5xx                    {"error": {"sqlstate", "message", "detail", "hint", "position"}}
//! ```
//!
//! **One request, one session.** The text is one statement, or several that are one transaction, as in PostgreSQL's
//! simple protocol; the last one's result is answered, and only after everything has committed. Parameters `$1`, `$2`
//! go with one statement alone. Nothing outlives the request: a transaction left open by BEGIN is rolled back and
//! answered with 25P01, and SET counts until the end of the text.
//!
//! **Values.** `json` says how a value looks; with `"format": "columns"` each column has its `values` and there are no
//! `rows`.
//!
//! **Recommendations** (`recommendations`). R has the names of `aion.recommendations` without the evidence. A verb answers when it is
//! done; a client that goes away before ends a rehearsal, and not a change.
//!
//! **The page** (`page`) is part of the program, loads nothing from elsewhere, and may do no more than its policy says.
//!
//! **Guards** (`guard`). A page of another origin that a browser on this machine shows must not reach the database:
//! the body has to be `application/json`, `Host` has to be an address or `localhost`, and `Origin`, where there is
//! one, has to be ours.
//!
//! **Limits.** Those of [`crate::ServerLimits`]: connections (503), time for the head and the body of a request (the
//! connection is closed; 408), bytes of a body (413), statements at a time (503), bytes of a result (54000).
//!
//! **Left out.** TLS, passwords, results that are streamed: a big one is fetched with Flight SQL.

mod answer;
mod guard;
mod json;
mod kv;
mod listener;
mod page;
mod recommendations;
mod request;
mod routes;
mod run;
#[cfg(test)]
mod tests;

pub use listener::serve;
