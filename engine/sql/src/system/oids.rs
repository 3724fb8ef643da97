//! The oids of objects: given by rule, the same in every session and after every start.
//!
//! ```text
//! below 16384        what PostgreSQL has too, with its oids
//! 16384 .. 2^30      tables, 1024 each: the table, its primary key's index, its indexes by id
//! 2^30 .. 2^31       what has no number of its own: schemas, views, graphs, functions, by a hash of kind and name
//! ```
//!
//! **Limits.** An index whose id in its table is above 1021, and a table whose id is above 1,049,559, get an oid by hash as well.
//! Two hashes meet with a probability of 10^-9 for each pair of names; then tools mix the two up, SQL never does, because
//! nothing but these tables and functions reads an oid. All oids are below 2^31, since some drivers read them as integers.

use aion_base::id::{IndexId, TableId};
use aion_catalog::objects::FIRST_TABLE;

const FIRST: u32 = 16_384;
const PER_TABLE: u32 = 1_024;
const HASHED: u32 = 1 << 30;

/// The table of relations, which objects name their class by.
pub const PG_CLASS: u32 = 1_259;
/// The table of constraints.
pub const PG_CONSTRAINT: u32 = 2_606;
/// The table of defaults.
pub const PG_ATTRDEF: u32 = 2_604;
/// The schema `pg_catalog`.
pub const PG_CATALOG: u32 = 11;
/// The schema `public`.
pub const PUBLIC: u32 = 2_200;
/// The schema `information_schema`.
pub const INFORMATION_SCHEMA: u32 = 13_000;
/// The role `aion`, the first superuser as PostgreSQL's is.
pub const OWNER: u32 = 10;
/// The one database.
pub const DATABASE: u32 = 5;
/// Where tables lie.
pub const TABLESPACE: u32 = 1_663;
/// The collation of text: by code point.
pub const COLLATION_DEFAULT: u32 = 100;

/// A table's oid.
pub fn table(id: TableId) -> u32 {
    slot(id, 0)
}

/// A view's oid.
pub fn view(schema: &str, name: &str) -> u32 {
    hashed("view", schema, name)
}

/// The oid of the index that a table's primary key is.
pub fn primary_key(id: TableId) -> u32 {
    slot(id, 1)
}

/// An index's oid.
pub fn index(table: TableId, index: IndexId) -> u32 {
    slot(table, u32::from(index.0) + 1)
}

fn slot(table: TableId, slot: u32) -> u32 {
    let by_rule = table
        .0
        .checked_sub(FIRST_TABLE.0)
        .and_then(|number| number.checked_mul(PER_TABLE))
        .and_then(|start| start.checked_add(FIRST + slot))
        .filter(|&oid| slot < PER_TABLE - 1 && oid < HASHED);
    by_rule.unwrap_or_else(|| hashed("relation", &table.to_string(), &slot.to_string()))
}

/// The oid of a constraint: that of its index, in another table of oids.
pub fn constraint(index: u32) -> u32 {
    index
}

/// The oid of a column's default, by the oid of its relation and its number.
pub fn default(relation: u32, column: i64) -> u32 {
    hashed("default", &relation.to_string(), &column.to_string())
}

/// The oid of a schema.
pub fn schema(name: &str) -> u32 {
    match name {
        "pg_catalog" => PG_CATALOG,
        "public" => PUBLIC,
        "information_schema" => INFORMATION_SCHEMA,
        name => hashed("schema", name, ""),
    }
}

/// The oid of what has no number.
pub fn hashed(kind: &str, schema: &str, name: &str) -> u32 {
    // FNV-1a, 64 bits: short, without a key, the same everywhere and forever.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in [kind, schema, name] {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    let folded = (hash ^ (hash >> 32)) as u32;
    HASHED | (folded & (HASHED - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oids_differ_and_fit_into_an_integer() {
        let first = FIRST_TABLE;
        let second = TableId(first.0 + 1);
        let last_index = index(first, IndexId(1_021));
        assert_eq!(table(first), 16_384);
        assert_eq!(primary_key(first), 16_385);
        assert_eq!(index(first, IndexId(1)), 16_386);
        assert!(last_index < table(second), "{last_index}");
        for oid in [
            table(TableId(u32::MAX)),
            index(first, IndexId(u16::MAX)),
            schema("mine"),
            hashed("view", "public", "v"),
        ] {
            assert!((HASHED..=i32::MAX as u32).contains(&oid), "{oid}");
        }
        // Frozen: clients may keep what they read.
        assert_eq!(schema("mine"), hashed("schema", "mine", ""));
        assert_ne!(hashed("a", "b", "c"), hashed("a", "bc", ""));
    }
}
