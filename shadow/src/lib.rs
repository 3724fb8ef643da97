//! How a change is proven before it is made.
//!
//! **Vocabulary.** A *recommendation* is a proposed change: an index, a knob, a model, a plan, statistics. It goes through
//! *states* ([`state`]), moved by the pipeline or by a person's *verb*. The *incumbent* is the database as it is, the *candidate* is
//! the same with the change. A *rehearsal* runs captured statements under both, in pairs ([`rehearsal`]). *Evidence* is what was
//! measured; a *verdict* is what follows from it by rule ([`verdict`]). After a change was made it is *watched* ([`watch`]). Each move
//! from state to state is a *decision*, an entry of the *ledger* ([`ledger`]).
//!
//! **Guarantees.**
//! - A verdict is a function of the evidence, the budget, the seed and whether there was time for more pairs: whoever has the samples can compute it again.
//! - Nothing becomes ready whose answers differed once.
//! - An edited, removed or inserted entry of the ledger is found, and named, by the chain of hashes.
//!
//! All is synchronous and does no input or output. The crate knows the engine only through [`rehearsal::Rehearsal`].

pub mod answer;
pub mod captured;
pub mod contest;
pub mod ledger;
pub mod recommendation;
pub mod rehearsal;
pub mod state;
pub mod statistics;
pub mod verdict;
pub mod watch;
