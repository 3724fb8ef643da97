//! The rules that neither the compiler nor clippy knows: what may depend on what, which calls product code may not
//! make, how long a file may be.
//!
//! Every check is a function from the [`Model`] to its violations, so that a test plants one in a model of a few
//! lines. [`check`] runs them all and sorts what they found; nothing stops at the first. The tables they obey are in
//! [`crate::policy`].

mod calls;
mod crates;
mod files;
mod layers;
mod modules;
#[cfg(test)]
mod planted;

use std::fmt;

pub use files::long_files;

use crate::model::Model;

/// A broken rule: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The check that found it.
    pub check: &'static str,
    /// The crate's folder, or the file and line.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: [{}] {}", self.place, self.check, self.message)
    }
}

impl Violation {
    fn new(check: &'static str, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            check,
            place: place.into(),
            message: message.into(),
        }
    }
}

/// Runs every check.
pub fn check(model: &Model) -> Vec<Violation> {
    let modules = modules::Modules::resolve(model);
    let mut violations = [
        layers::edges(model),
        layers::homes(model),
        crates::names(model),
        crates::manifests(model),
        modules.forgotten(model),
        calls::banned(model, &modules),
        files::sizes(model, &modules),
        files::headers(model),
        files::forgotten_slt(model),
        files::machine_paths(model),
    ]
    .concat();
    violations.sort();
    violations
}
