//! Learned models by name and version: manifest, stage, digest, lineage, and the trait that predicts.
//!
//! A *model* is an ONNX file ([`onnx`]) and a *manifest* beside it ([`manifest`]); a [`Registry`] keeps them in a directory. What
//! predicts is a [`Predictor`]: the plain evaluator here ([`Mlp`]) or ONNX Runtime in the crate of that name, which both pass
//! [`conformance::check_predictor`]. No candle and no ONNX Runtime here: a database without them reads its models all the same.

pub mod conformance;
pub mod manifest;
mod mlp;
pub mod onnx;
mod predictor;
mod store;

pub use manifest::{FeatureSet, Lineage, Manifest, Stage};
pub use mlp::{LAYERS_MAX, Layer, Mlp, PARAMETERS_MAX, QUANTILES, WIDTH_MAX};
pub use predictor::{BATCH_MAX, Predictor, check_finite, rows_in};
pub use store::{KEPT_MAX, Model, Registry};

#[cfg(test)]
mod tests;
