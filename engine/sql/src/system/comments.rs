//! What COMMENT ON says: `pg_description`, and where a comment of an object is found.

use aion_base::Result;

use super::cells::{Row, row};
use super::facts::{Facts, Relation, RelationKind};
use super::{Definition, oids};

pub(super) const TABLES: &[Definition] = &[Definition::new(
    "pg_description",
    2609,
    "objoid oid, classoid oid, objsubid int4, description text",
    descriptions,
)];

/// The comment of a relation.
pub fn of_relation(relation: &Relation) -> Option<&str> {
    match &relation.kind {
        RelationKind::Table(table) => table.comment.as_deref(),
        RelationKind::Index(_, index) => index.comment.as_deref(),
        RelationKind::Sequence(sequence) => sequence.comment.as_deref(),
        RelationKind::PrimaryKey(_) | RelationKind::View(_) | RelationKind::Graph | RelationKind::System(_) => None,
    }
}

/// The comment of a table's column by its number.
pub fn of_column(relation: &Relation, number: i64) -> Option<&str> {
    let RelationKind::Table(table) = &relation.kind else {
        return None;
    };
    let mut columns = table.columns.iter();
    let column = columns.find(|column| i64::from(column.id.0) == number)?;
    column.comment.as_deref()
}

fn descriptions(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in facts.relations() {
        if let Some(comment) = of_relation(relation) {
            rows.push(row![relation.oid, oids::PG_CLASS, 0, comment]);
        }
        if let RelationKind::Table(table) = &relation.kind {
            for column in &table.columns {
                if let Some(comment) = &column.comment {
                    rows.push(row![relation.oid, oids::PG_CLASS, column.id.0, comment.as_str()]);
                }
            }
        }
    }
    Ok(rows)
}
