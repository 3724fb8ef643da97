//! The edge: wire formats, and nothing else.
//!
//! Each protocol is a module that translates between bytes and the one session type of `aion_db`, so that transactions,
//! cancellation, limits and errors are the same on each. No statement is understood here and no row is made here.
//!
//! * [`pgwire`]: the PostgreSQL protocol.
//! * [`flight`]: Arrow Flight SQL.
//! * [`http`]: SQL as JSON, health and metrics.
//! * [`kv`]: keys and values over gRPC, on the port of `flight`, and over HTTP.
//!
//! All serve one [`Service`]: a database, [`ServerLimits`], [`Metrics`], [`Access`] and the word to stop. [`check_bind`],
//! [`check_pg_bind`] and [`check_roles`] decide which addresses may be served.

mod access;
mod bind;
pub mod flight;
pub mod http;
pub mod kv;
mod limits;
mod metrics;
pub mod pgwire;
mod service;
mod socket;
#[cfg(test)]
mod testing;
mod tls;
mod work;

pub use access::Access;
pub use bind::{check_bind, check_pg_bind, check_roles};
pub use limits::ServerLimits;
pub use metrics::Metrics;
pub use service::Service;
pub use tls::Tls;
