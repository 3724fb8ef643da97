//! Arrow Flight SQL: statements in, Arrow batches out.
//!
//! ```text
//!   gRPC call -> endpoint -> caller (who asks) -> seat (a session) -> statement | ingest | metadata
//!   gRPC call <- endpoint <- stream <- held (results, by ticket) <--------------------'
//! ```
//!
//! **Vocabulary.** A *seat* is a session and whoever waits for it. A *handle* is sixteen random bytes that stand for
//! something held here: a login, a transaction, a prepared statement, a result (its handle is in a *ticket*). An
//! *owner* is the login or the connection that a handle belongs to; what a connection owns goes with it.
//!
//! **Sessions.** A login (Handshake) keeps a session: SET, BEGIN and COMMIT work there as statements. BeginTransaction
//! makes a session of its own with the caller's settings, until EndTransaction. A call with neither is a session by
//! itself; SET and BEGIN are refused there, because nothing would be left to feel them.
//!
//! **Statements.** 1. GetFlightInfo plans and starts the statement. One that gives no rows, or that writes, is done
//! when it answers: there is nothing to fetch, or only what was written. 2. DoGet sends the rows of a ticket, once. 3.
//! A result that nobody fetches, a transaction that nobody uses, and a login that has been silent are dropped after a
//! while. A client that leaves, and CancelFlightInfo, end the statement.
//!
//! **Limits.** Those of [`crate::ServerLimits`]; what a client may hold is counted by owner.
//!
//! **Left out.** TLS, passwords (any is taken), savepoints, Substrait, DoExchange, PollFlightInfo, GetSchema of a
//! statement (prepare it), more than one endpoint.
//!
//! Follows Flight SQL as of Arrow 59.

mod base64;
mod caller;
mod endpoint;
mod held;
mod ingest;
mod listener;
mod metadata;
mod parameters;
mod seat;
mod statement;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod transaction;
mod types;

pub use listener::serve;
pub(crate) use status::{code, status};
