//! Storage.
pub mod commit;
mod entry;
pub mod log;
mod window;
