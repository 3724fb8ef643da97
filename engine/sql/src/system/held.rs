//! What a session holds by name: prepared statements and cursors.

use aion_base::Result;

use super::Definition;
use super::cells::{Cell, Row, row};
use super::facts::Facts;

pub(super) const TABLES: &[Definition] = &[
    // The types are shown by their names, as PostgreSQL shows a regtype.
    Definition::new(
        "pg_prepared_statements",
        0,
        "name text, statement text, prepare_time timestamptz, parameter_types text[], from_sql bool, generic_plans int8, \
         custom_plans int8",
        statements,
    ),
    Definition::new(
        "pg_cursors",
        0,
        "name text, statement text, is_holdable bool, is_binary bool, is_scrollable bool, creation_time timestamptz",
        cursors,
    ),
];

fn statements(facts: &Facts) -> Result<Vec<Row>> {
    let statements = facts.identity.statements.lock();
    let named = statements.iter().filter(|(name, _)| !name.is_empty());
    let rows = named.map(|(name, statement)| {
        let types = statement.prepared.as_ref().map(|prepared| prepared.parameter_types());
        let types = types
            .unwrap_or_default()
            .iter()
            .map(|sql_type| sql_type.base_name().to_owned());
        row![
            name,
            statement.text.as_str(),
            Cell::Time(statement.prepared_at),
            Cell::Texts(types.collect()),
            statement.is_from_sql,
            // A plan is made for the values of each execution.
            0_i64,
            0_i64
        ]
    });
    Ok(rows.collect())
}

fn cursors(facts: &Facts) -> Result<Vec<Row>> {
    let rows = facts.identity.cursors.iter().map(|cursor| {
        row![
            cursor.name.as_str(),
            cursor.text.as_str(),
            cursor.is_holdable,
            cursor.is_binary,
            cursor.is_scrollable,
            Cell::Time(cursor.declared_at)
        ]
    });
    Ok(rows.collect())
}
