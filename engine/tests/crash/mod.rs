//! Crashes, power cuts, damaged files and old formats.
//!
//! [`child`] is a process that writes until it is killed; [`ledger`] the other side, which knows what must be there; [`statements`] a server that is killed.

mod child;
pub mod directory;
mod fixture;
mod flips;
mod ledger;
mod power;
mod statements;
