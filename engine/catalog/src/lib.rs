//! Tables.

pub mod types;

pub use types::SqlType;
