//! Data sets: where they come from, how to read them, and what to ask of them.
//!
//! Each data set is a module with its source, version, sha256 and licence, typed readers, load-ready CSV, SQL
//! scripts and a workload of parameterised statements. Nothing here connects to a network: `make setup` fetches the
//! files, and a reader refuses a file whose sha256 is not the expected one. The SQL scripts, the Python reference and
//! a description of each data set stand in the folder that is named after it, beside `src`.

pub mod flights;
