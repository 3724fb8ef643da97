//! Training in the process, and the export to ONNX.
//!
//! A [`Dataset`] of what the classical estimate missed goes in, a [`Trained`] perceptron comes out, with what it is worth on rows that
//! it never saw: later ones, and those of statements that were left out. No thread and no file is made here, and time is the caller's
//! clock; whoever trains does it on a thread of its own. `models/training` does the same in Python, from the same rows into the same
//! files.

mod accuracy;
mod dataset;
mod network;
mod split;
mod train;

pub use accuracy::Accuracy;
pub use aion_models_registry::onnx::export;
pub use dataset::{Dataset, Example};
pub use train::{Report, Stop, TrainOptions, Trained, train};

#[cfg(test)]
mod tests;
