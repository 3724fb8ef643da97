//! The adapter between a DataFusion plan and what the optimizer's core thinks in. It decides nothing.
//!
//! - [`uses`]: what a plan asks of its tables.
//! - [`order`]: whether its answer is the same each time.

pub mod order;
pub mod uses;
