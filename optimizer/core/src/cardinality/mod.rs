//! How many rows a sub-plan gives: the classical estimate, corrected by what was seen and what was learnt.
//!
//! **Vocabulary.** A *tier* is one way to answer. The *ratio* is the true number of rows over the classical estimate; a model
//! predicts three *quantiles* of its binary logarithm, those of 10, 50 and 90 %. The *Q-error* is the factor by which an estimate
//! is off, whichever way.
//!
//! | tier | what | answers when |
//! |---|---|---|
//! | T0 | [`feedback`]: the rows that this sub-plan gave before | seen lately, and the observations agree |
//! | T1 | [`estimator::Classical`]: the planner's own estimate | it has one |
//! | T2 | [`estimator::Model`]: quantiles of the ratio, from [`features`] | a model is given |
//! | T3 | [`clamp`]: bounds, and the pessimistic quantile where the model is unsure or out of its depth | always |
//!
//! **Guarantees.** Estimates change plans, never results. Each is finite and at least 0, with low <= rows <= high. For all sub-plans of a
//! query the model is called once. A model that fails, or gives nonsense, leaves the classical estimate.
//!
//! Left out: training (`models/learn`), loading (`models/onnx`), and when a model is promoted (`shadow`).

pub mod clamp;
pub mod estimator;
pub mod features;
pub mod feedback;
pub mod q_error;
pub mod training;

pub use clamp::Estimate;
pub use estimator::Estimator;
