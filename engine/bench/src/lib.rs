//! Side-by-side benchmarks: the same work on us and on a peer, in turn.
//!
//! **Rules.** A peer runs on the same machine, in the same run, with the same threads and the same durability. What both
//! answer is compared; a figure beside a different answer says so. The engines alternate, run by run, so that a noisy minute
//! falls on all of them.
//!
//! **Works.** [`copy`], [`point_select`], [`wire`], [`hybrid`], [`shadow`]; each gives a [`report::Report`]. [`oltp`] gives one for each of its rows. Peers:
//! [`duckdb`], [`postgres`], and the program `aion-peers`.

#![allow(
    clippy::disallowed_methods,
    reason = "benchmarks measure time and start the processes of peers"
)]

pub mod client;
pub mod copy;
pub mod duckdb;
pub mod embedded;
pub mod environment;
pub mod flights;
pub mod hybrid;
pub mod oltp;
pub mod point_select;
pub mod postgres;
pub mod report;
pub mod served;
pub mod shadow;
pub mod wire;
