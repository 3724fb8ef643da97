//! SQL: sessions, DDL and DML, table providers, operators.
//!
//! DataFusion parses expressions, plans and runs queries; what it does otherwise than PostgreSQL is done here (see `dml`,
//! `session`, `planner`). Rows are read and written through a [`Transaction`](transaction) over storage.
//!
//! ```text
//! Session ── parse ── Statement ── prepare ── Prepared ── execute ── Response
//!    │                                                        │
//!    └── settings, transaction block                          ├── planner: names → tables, DataFusion's plan
//!                                                             ├── direct: rows by their keys, without a planner
//!                                                             ├── table: ranges of keys → Arrow batches
//!                                                             └── dml: rows of a query → changes of keys
//! ```
//!
//! [`kv`] reads and writes rows of some tables by their keys, without a session.
//!
//! Deliberately absent: which edge a statement came from, and what the learned parts think of it.

mod activity;
mod advisory;
mod alter_system;
mod alter_words;
mod as_of;
pub mod binary;
mod cancel;
mod cells;
mod copy;
mod covering;
mod ctes;
mod cursors;
mod dialect;
mod direct;
mod dml;
mod engine;
mod error;
mod functions;
mod generated;
mod graph;
mod inference;
pub mod kv;
mod named;
mod nearest;
mod notifications;
mod observe;
mod parse;
mod planner;
mod references;
mod response;
mod roles;
mod rules;
mod sequences;
mod session;
mod set_operations;
mod settings;
mod spellings;
mod steps;
mod storages;
mod system;
mod table;
mod temporary;
mod transaction;
mod unprepared;
mod utility;
mod views;

pub use cancel::{Cancellation, Canceller};
pub use cells::{Cells, ListCells, canonical, interval_of};
pub use copy::{CopyDirection, CopyIn, CopyLines, CopyOut, LineWriter};
pub use engine::{Engine, EngineOptions};
pub use named::Named;
pub use notifications::Notification;
pub use parse::{NESTING_MAX, STATEMENTS_MAX, Statement, TEXT_BYTES_MAX};
pub use response::{Column, Origin, Response, ResultType, Rows, Verb};
pub use session::{
    Effect, HypotheticalIndex, LOG_TARGET, LocalTable, NamedStatement, PhysicalChange, Prepared, Session,
    SessionOptions, TransactionStatus, WhatIf, backup_extras,
};
pub use settings::{check_of_database, number_of_database};
pub use system::{quoted, split_name};
pub use transaction::WRITE_SET_BYTES_MAX;

/// What `server_version` says: the PostgreSQL version whose behaviour we follow, and ours.
pub const SERVER_VERSION: &str = concat!("15.0 (Aion ", env!("CARGO_PKG_VERSION"), ")");
