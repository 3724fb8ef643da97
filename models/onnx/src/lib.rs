//! Prediction by ONNX Runtime, which is loaded at run time.
//!
//! The library is not linked and not shipped: it is looked for ([`library`]), looked at (`elf`) and loaded once ([`Runtime`]). Where
//! it is missing, models are evaluated in plain Rust from the same file, and [`status`] says so and how to change it: results are the
//! same, only a batch takes longer.
//!
//! **Guarantees.**
//!
//! 1. No file reaches ONNX Runtime's parser that [`aion_models_registry::onnx::inspect`] has not accepted.
//! 2. A library that is missing, or another one, is an error: nothing panics and nothing hangs.
//! 3. No telemetry, no threads of its own, no memory kept between calls.
//! 4. A model is run by ONNX Runtime only if it predicts what the plain evaluator predicts ([`open`]).

mod elf;
pub mod library;
mod predictor;
mod runtime;

pub use aion_models_registry::conformance::check_parity;
pub use predictor::{Engine, OnnxPredictor, Opened, open};
pub use runtime::{Runtime, Status, status};
