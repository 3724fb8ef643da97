//! Keys and values over gRPC and HTTP: translation and counting. What they are is `aion_db::kv`'s to say.
//!
//! ```text
//!   gRPC (flight's port) ── glue ── grpc ──┐
//!                                          ├── Face ── aion_db::kv::Kv
//!   HTTP ── http::kv ──────────────────────┘
//! ```
//!
//! **gRPC.** The messages are those of `proto/kv.proto` ([`proto`]). `glue` hands a call's path to its method, `grpc` does the calls, [`Client`]
//! makes them. A call that fails has the code of its error's kind, and the trailers that `flight::status` describes; one whose comparison
//! found another value has FAILED_PRECONDITION, `aion-operation`, `aion-found-bytes` where there was a value, and `aion-found-bin` where
//! that is short. In a stream a refused batch is an answer like any other, and the stream goes on.
//!
//! **Work.** A call, and a stream with all its batches, is a task where statements run. There are no more at a time than
//! [`crate::ServerLimits`] says, of each edge by itself.

mod client;
mod face;
mod glue;
mod grpc;
pub mod proto;
#[cfg(test)]
mod tests;

pub use client::{Answers, Client};
pub(crate) use face::{Face, unmet};
pub(crate) use glue::KvServer;
pub(crate) use grpc::{Admission, Endpoint, PAGE_ENTRIES};
