//! Tables.

pub mod descriptor;
pub mod keys;
pub mod objects;
pub mod row;
pub mod stats;
pub mod text;
pub mod types;
pub mod value;

pub use types::SqlType;
pub use value::Value;
