//! The constraints as `information_schema` shows them.
//!
//! PostgreSQL shows each NOT NULL as a CHECK of a name that holds oids; these are left out here.

use aion_base::Result;
use aion_catalog::descriptor::{ColumnId, TableDescriptor};

use super::Definition;
use super::cells::{Row, row};
use super::constraints::{Constraint, Kind, action_name};
use super::facts::Facts;
use super::information_schema::yes;
use super::written::Form;

pub(super) const TABLES: &[Definition] = &[
    Definition::new(
        "table_constraints",
        0,
        "constraint_catalog name, constraint_schema name, constraint_name name, table_catalog name, \
         table_schema name, table_name name, constraint_type text, is_deferrable text, initially_deferred text, \
         enforced text, nulls_distinct text",
        table_constraints,
    )
    .in_schema("information_schema"),
    Definition::new(
        "key_column_usage",
        0,
        "constraint_catalog name, constraint_schema name, constraint_name name, table_catalog name, \
         table_schema name, table_name name, column_name name, ordinal_position int4, \
         position_in_unique_constraint int4",
        key_column_usage,
    )
    .in_schema("information_schema"),
    Definition::new(
        "constraint_column_usage",
        0,
        "table_catalog name, table_schema name, table_name name, column_name name, constraint_catalog name, \
         constraint_schema name, constraint_name name",
        constraint_column_usage,
    )
    .in_schema("information_schema"),
    Definition::new(
        "referential_constraints",
        0,
        "constraint_catalog name, constraint_schema name, constraint_name name, unique_constraint_catalog name, \
         unique_constraint_schema name, unique_constraint_name name, match_option text, update_rule text, \
         delete_rule text",
        referential_constraints,
    )
    .in_schema("information_schema"),
    Definition::new(
        "check_constraints",
        0,
        "constraint_catalog name, constraint_schema name, constraint_name name, check_clause text",
        check_constraints,
    )
    .in_schema("information_schema"),
];

fn table_constraints(facts: &Facts) -> Result<Vec<Row>> {
    let database = facts.identity.database.as_str();
    let rows = facts.constraints().iter().map(|one| {
        let (kind, nulls_distinct) = match &one.kind {
            Kind::PrimaryKey => ("PRIMARY KEY", None),
            Kind::Unique(index) => ("UNIQUE", Some(yes(!index.is_nulls_equal))),
            Kind::Check(_) => ("CHECK", None),
            Kind::ForeignKey(_) => ("FOREIGN KEY", None),
        };
        let key = one.foreign_key();
        row![
            database,
            one.table.schema.as_str(),
            one.name.as_str(),
            database,
            one.table.schema.as_str(),
            one.table.name.as_str(),
            kind,
            yes(key.is_some_and(|key| key.is_deferrable)),
            yes(key.is_some_and(|key| key.is_deferred)),
            "YES",
            nulls_distinct,
        ]
    });
    Ok(rows.collect())
}

/// The name of a column by its id.
fn column_name(table: &TableDescriptor, column: ColumnId) -> Option<&str> {
    let position = table.position_of(column)?;
    Some(table.columns[position].name.as_str())
}

/// The constraint, of another table or this one, that a foreign key relies upon; None for an index that is no constraint.
fn relied_upon<'a>(facts: &'a Facts, one: &Constraint) -> Option<&'a Constraint> {
    one.foreign_key()?;
    facts.constraints().find(one.index(facts))
}

fn key_column_usage(facts: &Facts) -> Result<Vec<Row>> {
    let database = facts.identity.database.as_str();
    let mut rows = Vec::new();
    for one in facts.constraints().iter() {
        if matches!(one.kind, Kind::Check(_)) {
            continue;
        }
        let unique = relied_upon(facts, one).map(Constraint::columns);
        for (place, column) in one.columns().into_iter().enumerate() {
            let parent = one.foreign_key().and_then(|key| key.parent_columns.get(place));
            let in_unique = unique.as_ref().and_then(|unique| {
                let at = unique.iter().position(|column| Some(column) == parent)?;
                Some(at as i64 + 1)
            });
            rows.push(row![
                database,
                one.table.schema.as_str(),
                one.name.as_str(),
                database,
                one.table.schema.as_str(),
                one.table.name.as_str(),
                column_name(&one.table, column),
                place as i64 + 1,
                in_unique,
            ]);
        }
    }
    Ok(rows)
}

/// Of a foreign key, the columns referred to.
fn constraint_column_usage(facts: &Facts) -> Result<Vec<Row>> {
    let database = facts.identity.database.as_str();
    let mut rows = Vec::new();
    for one in facts.constraints().iter() {
        let (table, columns) = match one.foreign_key() {
            None => (&one.table, one.columns()),
            Some(key) => match facts.catalog.table_by_id(key.parent) {
                Some(parent) => (parent, key.parent_columns.clone()),
                None => continue,
            },
        };
        for column in columns {
            rows.push(row![
                database,
                table.schema.as_str(),
                table.name.as_str(),
                column_name(table, column),
                database,
                one.table.schema.as_str(),
                one.name.as_str(),
            ]);
        }
    }
    Ok(rows)
}

fn referential_constraints(facts: &Facts) -> Result<Vec<Row>> {
    let database = facts.identity.database.as_str();
    let mut rows = Vec::new();
    for one in facts.constraints().iter() {
        let Some(key) = one.foreign_key() else {
            continue;
        };
        let unique = relied_upon(facts, one);
        rows.push(row![
            database,
            one.table.schema.as_str(),
            one.name.as_str(),
            unique.map(|_| database),
            unique.map(|unique| unique.table.schema.as_str()),
            unique.map(|unique| unique.name.as_str()),
            if key.is_full { "FULL" } else { "NONE" },
            action_name(key.on_update),
            action_name(key.on_delete),
        ]);
    }
    Ok(rows)
}

fn check_constraints(facts: &Facts) -> Result<Vec<Row>> {
    let database = facts.identity.database.as_str();
    let mut rows = Vec::new();
    for one in facts.constraints().iter() {
        if !matches!(one.kind, Kind::Check(_)) {
            continue;
        }
        // PostgreSQL cuts the word off, and leaves the parentheses.
        let definition = one.definition(facts, Form::Full);
        let clause = definition.as_deref().and_then(|text| text.strip_prefix("CHECK "));
        rows.push(row![database, one.table.schema.as_str(), one.name.as_str(), clause,]);
    }
    Ok(rows)
}
