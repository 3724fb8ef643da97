//! Knobs that are turned while the database runs, and turned back when that did not pay.
//!
//! **Vocabulary.** A *knob* is a setting with bounds and a step ([`aion_base::knobs`]). *Signals* are what the storage engine says of itself in
//! a *window* of time ([`signals`]). A *policy* makes *proposals* of them ([`policy`]); the first one is [`rules`]. The *envelope* is what no
//! proposal may leave ([`envelope`]). A *trial* compares windows with the change, the *treated* ones, with windows of a *control* that runs at the same time
//! without it ([`trial`]), by one number, the *reward* ([`reward`]). The *watchdog* is the part of a trial that does not wait for statistics.
//!
//! **Guarantees**, whatever a policy proposes and learns:
//! - a knob moves by at most one step of one knob at a time, within its bounds, and never when a person pinned it;
//! - what is not shown to be safe goes back, and at once where the watchdog sees harm;
//! - no change takes more memory than the budget leaves.
//!
//! All is synchronous and does no input or output: [`tuner::Tuner::tick`] is given the time, the signals and the knobs as they are, and gives back a
//! command. Who carries it out writes the ledger.

pub mod envelope;
pub mod policy;
pub mod reward;
pub mod rules;
pub mod signals;
pub mod trial;
pub mod tuner;

#[cfg(test)]
mod example;
