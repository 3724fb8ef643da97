//! Proof of durability: a process that writes and says what was acknowledged, one that kills it and looks what is there.
//!
//! [`writer`] is the child, [`victim`] how the parent holds it, [`verdict`] what the parent finds, [`rows`] what both know.

pub mod rows;
pub mod verdict;
pub mod victim;
pub mod writer;
