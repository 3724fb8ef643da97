//! The tests of the whole: one binary, because each binary that links the engine costs a link of its own.
//!
//! **Environment.** `AION_BIN` is the program to test; `cargo xtask` builds it and sets this, and without it
//! `target/debug/aion` beside this test is taken. `AION_SEED` replays a random test from the seed that it printed.
//! `AION_HUNT=full` runs random tests at length. `AION_BLESS=1` writes fixtures that are missing.
//!
//! Nothing here sleeps: a test waits for a line of a child, or polls a condition with a deadline.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start processes, copy and damage files, and measure time"
)]

mod as_of;
mod bench;
mod copy;
mod corpus;
mod crash;
mod demo;
mod differential;
mod documents;
mod dump;
mod foreign_keys;
mod indexes;
mod isolation;
mod knobs;
mod kv;
mod limits;
mod locks;
mod model;
mod nearest;
mod observed;
mod operations;
mod pipeline;
mod program;
mod rehearsal;
mod shell;
mod slow;
mod sql;
mod wire;
mod writes;
