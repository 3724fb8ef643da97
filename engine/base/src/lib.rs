//! What every other crate stands on: ids, the order-preserving key codec, errors, and the traits
//! through which algorithms reach the clock, randomness and files. No async, no Arrow.

pub mod clock;
pub mod error;
pub mod files;
pub mod id;
pub mod key;
pub mod knobs;
pub mod observation;
pub mod plant;
pub mod range;
pub mod recommendation;
pub mod rng;
pub mod subplan;

pub use error::{Error, ErrorKind, Result, SqlState};
pub use range::KeyRange;
