//! `information_schema`, the standard's own view of the catalog (ISO/IEC 9075-11).

use aion_base::Result;
use aion_catalog::SqlType;
use aion_catalog::objects::is_temporary;
use aion_security::role::BOOTSTRAP_NAME;

use super::Definition;
use super::cells::{Cell, Row, row};
use super::facts::{Facts, Relation, RelationKind};
use super::relations::{Attribute, columns_of};
use super::sequences::of_identity;

pub(super) const TABLES: &[Definition] = &[
    Definition::new("information_schema_catalog_name", 0, "catalog_name name", catalog_name)
        .in_schema("information_schema"),
    Definition::new(
        "schemata",
        0,
        "catalog_name name, schema_name name, schema_owner name, default_character_set_catalog name, \
         default_character_set_schema name, default_character_set_name name, sql_path text",
        schemata,
    )
    .in_schema("information_schema"),
    Definition::new(
        "tables",
        0,
        "table_catalog name, table_schema name, table_name name, table_type text, self_referencing_column_name name, \
         reference_generation text, user_defined_type_catalog name, user_defined_type_schema name, \
         user_defined_type_name name, is_insertable_into text, is_typed text, commit_action text",
        tables,
    )
    .in_schema("information_schema"),
    Definition::new(
        "columns",
        0,
        "table_catalog name, table_schema name, table_name name, column_name name, ordinal_position int4, \
         column_default text, is_nullable text, data_type text, character_maximum_length int4, \
         character_octet_length int4, numeric_precision int4, numeric_precision_radix int4, numeric_scale int4, \
         datetime_precision int4, interval_type text, interval_precision int4, character_set_catalog name, \
         character_set_schema name, character_set_name name, collation_catalog name, collation_schema name, \
         collation_name name, domain_catalog name, domain_schema name, domain_name name, udt_catalog name, \
         udt_schema name, udt_name name, scope_catalog name, scope_schema name, scope_name name, \
         maximum_cardinality int4, dtd_identifier name, is_self_referencing text, is_identity text, \
         identity_generation text, identity_start text, identity_increment text, identity_maximum text, \
         identity_minimum text, identity_cycle text, is_generated text, generation_expression text, is_updatable text",
        columns,
    )
    .in_schema("information_schema"),
    Definition::new(
        "views",
        0,
        "table_catalog name, table_schema name, table_name name, view_definition text, check_option text, \
         is_updatable text, is_insertable_into text, is_trigger_updatable text, is_trigger_deletable text, \
         is_trigger_insertable_into text",
        views,
    )
    .in_schema("information_schema"),
    Definition::new(
        "character_sets",
        0,
        "character_set_catalog name, character_set_schema name, character_set_name name, character_repertoire name, \
         form_of_use name, default_collate_catalog name, default_collate_schema name, default_collate_name name",
        character_sets,
    )
    .in_schema("information_schema"),
    Definition::new("enabled_roles", 0, "role_name name", enabled_roles).in_schema("information_schema"),
    Definition::empty(
        "routines",
        0,
        "specific_catalog name, specific_schema name, specific_name name, routine_catalog name, routine_schema name, \
         routine_name name, routine_type text, data_type text, routine_body text, routine_definition text, \
         external_language text",
    )
    .in_schema("information_schema"),
    Definition::empty(
        "parameters",
        0,
        "specific_catalog name, specific_schema name, specific_name name, ordinal_position int4, \
         parameter_mode text, parameter_name name, data_type text",
    )
    .in_schema("information_schema"),
    Definition::empty(
        "triggers",
        0,
        "trigger_catalog name, trigger_schema name, trigger_name name, event_manipulation text, \
         event_object_catalog name, event_object_schema name, event_object_table name, action_statement text, \
         action_orientation text, action_timing text",
    )
    .in_schema("information_schema"),
    Definition::empty(
        "domains",
        0,
        "domain_catalog name, domain_schema name, domain_name name, data_type text, domain_default text",
    )
    .in_schema("information_schema"),
    Definition::empty(
        "table_privileges",
        0,
        "grantor name, grantee name, table_catalog name, table_schema name, table_name name, privilege_type text, \
         is_grantable text, with_hierarchy text",
    )
    .in_schema("information_schema"),
    Definition::empty(
        "column_privileges",
        0,
        "grantor name, grantee name, table_catalog name, table_schema name, table_name name, column_name name, \
         privilege_type text, is_grantable text",
    )
    .in_schema("information_schema"),
];

fn catalog_name(facts: &Facts) -> Result<Vec<Row>> {
    Ok(vec![row![facts.identity.database.as_str()]])
}

fn schemata(facts: &Facts) -> Result<Vec<Row>> {
    let database = &facts.identity.database;
    let schemas = facts.catalog.schemas();
    Ok(schemas
        .map(|schema| {
            row![
                database.as_str(),
                schema,
                BOOTSTRAP_NAME,
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Null,
            ]
        })
        .collect())
}

/// The relations that the standard calls tables; graphs and indexes are none.
fn listed(facts: &Facts) -> impl Iterator<Item = &Relation> {
    let relations = facts.relations().iter();
    relations.filter(|relation| matches!(relation.relkind(), "r" | "v"))
}

fn tables(facts: &Facts) -> Result<Vec<Row>> {
    let rows = listed(facts).map(|relation| {
        let is_writable = matches!(relation.kind, RelationKind::Table(_));
        row![
            facts.identity.database.as_str(),
            relation.schema.as_str(),
            relation.name.as_str(),
            if relation.relkind() == "v" {
                "VIEW"
            } else if is_temporary(&relation.schema) {
                "LOCAL TEMPORARY"
            } else {
                "BASE TABLE"
            },
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            yes(is_writable),
            "NO",
            Cell::Null,
        ]
    });
    Ok(rows.collect())
}

pub(super) fn yes(is_so: bool) -> &'static str {
    if is_so { "YES" } else { "NO" }
}

fn columns(facts: &Facts) -> Result<Vec<Row>> {
    let database = facts.identity.database.as_str();
    let mut rows = Vec::new();
    for relation in listed(facts) {
        let is_writable = matches!(relation.kind, RelationKind::Table(_));
        for column in columns_of(facts, relation) {
            let position = column.number;
            let sql_type = facts.sql_type(column.oid, column.modifier);
            let found = facts.type_of(column.oid);
            let data_type = match (sql_type, &found) {
                // The standard knows no such type.
                (Some(SqlType::Vector(_) | SqlType::Enum(_)), _) => "USER-DEFINED".to_owned(),
                (Some(SqlType::Array(_)), _) => "ARRAY".to_owned(),
                (Some(sql_type), _) => sql_type.base_name().to_owned(),
                (None, Some(found)) if found.item.is_some() => "ARRAY".to_owned(),
                (None, _) => facts.type_name(column.oid, -1),
            };
            let schema = found.as_ref().map_or("pg_catalog", |found| found.schema);
            let [precision, radix, scale] = numeric(sql_type);
            let length = match sql_type {
                Some(SqlType::Varchar(length)) => length,
                Some(SqlType::Char(length)) => Some(length),
                _ => None,
            };
            let octets = match sql_type {
                Some(SqlType::Text) => Some(1 << 30),
                Some(SqlType::Varchar(length)) => Some(length.map_or(1 << 30, |length| i64::from(length) * 4)),
                Some(SqlType::Char(length)) => Some(i64::from(length) * 4),
                _ => None,
            };
            let datetime = match sql_type {
                Some(SqlType::Date) => Some(0_i64),
                Some(SqlType::Interval) => Some(6),
                Some(sql_type) => sql_type.second_digits().map(i64::from),
                _ => None,
            };
            let mut row = row![
                database,
                relation.schema.as_str(),
                relation.name.as_str(),
                column.name.as_str(),
                position,
                if column.is_generated {
                    None
                } else {
                    column.default.as_deref()
                },
                yes(column.is_nullable),
                data_type,
                length,
                octets,
                precision,
                radix,
                scale,
                datetime,
            ];
            row.resize(25, Cell::Null);
            row.extend(row![database, schema, found.map(|found| found.name)]);
            row.resize(32, Cell::Null);
            row.extend(row![position.to_string(), "NO"]);
            row.extend(identity(facts, relation, &column));
            let (generated, expression) = match column.is_generated {
                true => ("ALWAYS", column.default),
                false => ("NEVER", None),
            };
            row.extend(row![generated, expression, yes(is_writable)]);
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Whether a column is an identity column, and how its sequence goes.
fn identity(facts: &Facts, relation: &Relation, column: &Attribute) -> Row {
    let generation = match column.identity {
        "a" => "ALWAYS",
        "d" => "BY DEFAULT",
        _ => {
            let mut row = row!["NO"];
            row.resize(6, Cell::Null);
            row.push(Cell::from("NO"));
            return row;
        }
    };
    let sequence = match &relation.kind {
        RelationKind::Table(table) => table
            .position(&column.name)
            .and_then(|position| of_identity(facts, table, &table.columns[position])),
        _ => None,
    };
    row![
        "YES",
        generation,
        sequence.map(|sequence| sequence.start.to_string()),
        sequence.map(|sequence| sequence.increment.to_string()),
        sequence.map(|sequence| sequence.max.to_string()),
        sequence.map(|sequence| sequence.min.to_string()),
        yes(sequence.is_some_and(|sequence| sequence.is_cycle)),
    ]
}

/// Precision, radix and scale of a number.
fn numeric(sql_type: Option<SqlType>) -> [Option<i64>; 3] {
    let of = |precision, radix, scale| [Some(precision), Some(radix), scale];
    match sql_type {
        Some(SqlType::SmallInt) => of(16, 2, Some(0)),
        Some(SqlType::Integer) => of(32, 2, Some(0)),
        Some(SqlType::BigInt) => of(64, 2, Some(0)),
        Some(SqlType::Real) => of(24, 2, None),
        Some(SqlType::Double) => of(53, 2, None),
        Some(SqlType::Numeric { precision, scale }) => match precision {
            Some(precision) => of(precision.into(), 10, Some(scale.into())),
            None => [None, Some(10), None],
        },
        _ => [None; 3],
    }
}

fn views(facts: &Facts) -> Result<Vec<Row>> {
    let views = listed(facts).filter(|relation| relation.relkind() == "v");
    Ok(views
        .map(|relation| {
            let query = match &relation.kind {
                RelationKind::View(view) => Some(view.query.as_str()),
                _ => None,
            };
            row![
                facts.identity.database.as_str(),
                relation.schema.as_str(),
                relation.name.as_str(),
                query,
                "NONE",
                "NO",
                "NO",
                "NO",
                "NO",
                "NO",
            ]
        })
        .collect())
}

fn character_sets(facts: &Facts) -> Result<Vec<Row>> {
    Ok(vec![row![
        Cell::Null,
        Cell::Null,
        "UTF8",
        "UCS",
        "UTF8",
        facts.identity.database.as_str(),
        "pg_catalog",
        "default",
    ]])
}

fn enabled_roles(facts: &Facts) -> Result<Vec<Row>> {
    Ok(vec![row![facts.identity.user.as_str()]])
}
