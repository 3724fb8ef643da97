//! The PostgreSQL protocol, version 3.
//!
//! ```text
//!   socket -> input -> check -> connection -> simple | extended -> session (aion_db)
//!   socket <- output <------- rows, error <------ stream <------- batches of rows
//! ```
//!
//! [`serve`] accepts connections. Each is a task: `startup` reads the greeting, in TLS where the client asks for it (`wire`); `login`
//! asks for a password where the role has one (`sasl`) and makes a session; `connection` loops over messages. Messages are encoded and decoded by the pgwire crate; lengths, structure and
//! UTF-8 are checked before it sees a byte (`input`, `check`), because it trusts what it is given. Rows go
//! straight from Arrow into the output (`rows`).
//!
//! **Guarantees.** No input makes it panic. One write per Sync, Flush or Query, unless the answer is long.
//! Everything has a limit ([`ServerLimits`]). Neither texts of statements nor parameters nor secrets are logged.
//!
//! **Left out.** Methods other than SCRAM, TLS without asking first, function calls, notifications, replication.
//!
//! Follows "Frontend/Backend Protocol" of PostgreSQL 15 and protocol 3.2 of 18.

mod cancel;
mod check;
mod columns;
mod connection;
mod copy;
mod error;
mod extended;
mod input;
mod listener;
mod login;
mod output;
mod parameters;
mod rows;
mod sasl;
mod seats;
mod simple;
mod startup;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub use listener::serve;

#[cfg(doc)]
use crate::ServerLimits;
