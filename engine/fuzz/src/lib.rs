//! What fuzzers try.
//!
//! A *target* is a function of any bytes that returns where what must hold of them does, and panics where it does not. They are run in two ways:
//!
//! - `cargo fuzz run --fuzz-dir engine/fuzz/libfuzzer <target>` lets libFuzzer look for bytes that reach new code. It is a workspace of its own, so
//!   that nothing of it is built by anybody else; `libfuzzer/README.md` says how.
//! - The tests of this crate run each over seeded bytes, a slice in `make test` and more of them in `cargo xtask hunt`.
//!
//! Left out: the messages of the PostgreSQL protocol, which are tried on a server (`engine/tests/wire/noise.rs`).

mod keys;
mod rows;

pub use aion_storage::fuzz::{entry, frames};
pub use keys::keys;
pub use rows::rows;

use aion_catalog::SqlType;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 4] = [("keys", keys), ("rows", rows), ("frames", frames), ("entry", entry)];

/// What may be a column of a table, by a byte.
fn type_of(byte: u8) -> SqlType {
    let types = [
        SqlType::Boolean,
        SqlType::SmallInt,
        SqlType::Integer,
        SqlType::BigInt,
        SqlType::Real,
        SqlType::Double,
        SqlType::NUMERIC,
        SqlType::Text,
        SqlType::Varchar(Some(10)),
        SqlType::Char(3),
        SqlType::Bytea,
        SqlType::Date,
        SqlType::TIME,
        SqlType::Timestamp(3),
        SqlType::TIMESTAMP,
        SqlType::TIMESTAMPTZ,
        SqlType::Interval,
        SqlType::Uuid,
        SqlType::Json,
        SqlType::Jsonb,
        SqlType::Vector(None),
    ];
    let sql_type = types[usize::from(byte & 0x7f) % types.len()];
    match byte & 0x80 {
        0 => sql_type,
        _ => sql_type.array().unwrap_or(sql_type),
    }
}

#[cfg(test)]
mod tests;
