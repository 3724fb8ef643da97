//! What a table is, as types and as bytes.
//!
//! - [`types`]: SQL types with PostgreSQL's names, and as Arrow's. [`text`] and [`value`]: their values as PostgreSQL writes them.
//! - [`array`]: arrays in rows and keys. [`enumeration`]: the types that users make of labels.
//! - [`json`]: the values of `jsonb`, its functions and its path language.
//! - [`zone`]: time zones. [`precision`]: digits of a second. [`pattern`]: regular expressions. [`interval`]: the values of `interval` and what is reckoned with them.
//! - [`template`]: what `to_char`, `to_number`, `to_date` and `to_timestamp` write and read.
//! - [`row`] and [`keys`]: a row's bytes, its key, and its entries in indexes.
//! - [`descriptor`] and [`objects`]: what is known of tables, views and graphs, the keys it lies under, and the [`objects::Catalog`] of
//!   all of it at one moment.
//! - [`stats`]: what is known of a column's values.
//!
//! It reads and writes no storage: DDL is computed as changes of keys, for somebody else's transaction. Of Arrow it knows the schema
//! alone; of DataFusion nothing.

pub mod array;
pub mod descriptor;
pub mod enumeration;
pub mod interval;
pub mod json;
pub mod keys;
pub mod objects;
pub mod pattern;
pub mod precision;
pub mod row;
pub mod stats;
pub mod template;
pub mod text;
pub mod types;
pub mod value;
pub mod zone;

pub use types::SqlType;
pub use value::Value;
pub use zone::Zone;
