//! How much room things take: `pg_relation_size` and its kin.
//!
//! A table's rows and an index's entries are ranges of keys, and their size is about what the files have of these; what is only in
//! memory is not counted, as little as a vector index, which lies in memory. The primary key has nothing of its own: it is the order of
//! the rows.

use aion_base::Result;
use aion_base::range::KeyRange;
use aion_catalog::keys::ROWS;

use super::bodies::relation_of;
use crate::system::cells::Cell;
use crate::system::{Facts, Relation, RelationKind};

/// Bytes of the rows or entries.
fn bytes(facts: &Facts, relation: &Relation) -> u64 {
    let range = match &relation.kind {
        RelationKind::Table(table) => KeyRange::index(table.storage, ROWS),
        RelationKind::Index(table, index) => KeyRange::index(table.storage, index.id),
        _ => return 0,
    };
    facts.identity.sequences.store().file_bytes_of(&range)
}

/// Bytes of all indexes of a table.
fn bytes_of_indexes(facts: &Facts, relation: &Relation) -> u64 {
    match &relation.kind {
        RelationKind::Table(table) => {
            let ranges = table
                .indexes
                .iter()
                .map(|index| KeyRange::index(table.storage, index.id));
            let store = facts.identity.sequences.store();
            ranges.map(|range| store.file_bytes_of(&range)).sum()
        }
        _ => 0,
    }
}

/// The size of a relation alone. Of its parts that PostgreSQL names in a second argument, `main` is all that there is.
pub fn relation_size(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let is_main = arguments.get(1).is_none_or(|part| part.text() == Some("main"));
    let relation = relation_of(facts, arguments.first());
    Ok(Cell::from(relation.map(|relation| match is_main {
        true => bytes(facts, relation),
        false => 0,
    })))
}

pub fn indexes_size(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let relation = relation_of(facts, arguments.first());
    Ok(Cell::from(relation.map(|relation| bytes_of_indexes(facts, relation))))
}

pub fn total_size(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let relation = relation_of(facts, arguments.first());
    Ok(Cell::from(relation.map(|relation| {
        bytes(facts, relation) + bytes_of_indexes(facts, relation)
    })))
}

/// A number of bytes for people.
pub fn size_pretty(_: &Facts, arguments: &[Cell]) -> Result<Cell> {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let Some(size) = arguments.first().and_then(Cell::int) else {
        return Ok(Cell::Null);
    };
    if size.unsigned_abs() < 10 * 1024 {
        return Ok(Cell::from(format!("{size} {}", UNITS[0])));
    }
    // In halves of the unit, as PostgreSQL counts, so that the last step rounds.
    let mut halves = size / (1 << 9);
    let mut unit = 1;
    while halves.unsigned_abs() >= 20 * 1024 - 1 && unit + 1 < UNITS.len() {
        halves /= 1 << 10;
        unit += 1;
    }
    let rounded = (halves + if halves < 0 { -1 } else { 1 }) / 2;
    Ok(Cell::from(format!("{rounded} {}", UNITS[unit])))
}
