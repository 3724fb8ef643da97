//! What COMMENT ON says: `pg_description`, and where a comment of an object is found.

use aion_base::Result;
use aion_catalog::descriptor::ViewDescriptor;

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
        RelationKind::View(view) => view.comment.as_deref(),
        RelationKind::PrimaryKey(_) | RelationKind::Graph | RelationKind::System(_) => None,
    }
}

/// The comment of a constraint by its oid.
pub fn of_constraint(facts: &Facts, oid: u32) -> Option<&str> {
    let constraint = facts.constraints().find(oid)?;
    constraint.table.constraint_comment(&constraint.name)
}

/// The comment of a column by its number.
pub fn of_column(relation: &Relation, number: i64) -> Option<&str> {
    match &relation.kind {
        RelationKind::Table(table) => {
            let mut columns = table.columns.iter();
            let column = columns.find(|column| i64::from(column.id.0) == number)?;
            column.comment.as_deref()
        }
        RelationKind::View(view) => {
            let position = usize::try_from(number).ok()?.checked_sub(1)?;
            of_view_column(view, view.columns.get(position)?)
        }
        _ => None,
    }
}

fn of_view_column<'a>(view: &'a ViewDescriptor, column: &str) -> Option<&'a str> {
    let mut comments = view.column_comments.iter();
    let (_, comment) = comments.find(|(name, _)| name == column)?;
    Some(comment.as_str())
}

fn descriptions(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in facts.relations() {
        if let Some(comment) = of_relation(relation) {
            rows.push(row![relation.oid, oids::PG_CLASS, 0, comment]);
        }
        match &relation.kind {
            RelationKind::Table(table) => {
                for column in &table.columns {
                    if let Some(comment) = &column.comment {
                        rows.push(row![relation.oid, oids::PG_CLASS, column.id.0, comment.as_str()]);
                    }
                }
            }
            RelationKind::View(view) => {
                for (number, column) in (1u32..).zip(&view.columns) {
                    if let Some(comment) = of_view_column(view, column) {
                        rows.push(row![relation.oid, oids::PG_CLASS, number, comment]);
                    }
                }
            }
            _ => {}
        }
    }
    for constraint in facts.constraints().iter() {
        if let Some(comment) = constraint.table.constraint_comment(&constraint.name) {
            rows.push(row![constraint.oid, oids::PG_CONSTRAINT, 0, comment]);
        }
    }
    Ok(rows)
}
