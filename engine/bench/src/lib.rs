//! Side-by-side benchmarks: the same work on us and on a peer, in turn.
//!
//! **Rules.** A peer runs on the same machine, in the same run, with the same threads and the same durability. What both
//! answer is compared; a figure beside a different answer says so.

#![allow(
    clippy::disallowed_methods,
    reason = "benchmarks measure time and start the processes of peers"
)]

pub mod duckdb;
pub mod embedded;
pub mod point_select;
pub mod results;
