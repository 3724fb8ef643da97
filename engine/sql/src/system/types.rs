//! Types: those of columns, their arrays, and those that only the catalog itself has.

use std::sync::LazyLock;

use aion_base::Result;
use aion_catalog::SqlType;

use super::cells::{Cell, Row, row};
use super::facts::Facts;
use super::{Definition, oids};

pub(super) const TABLES: &[Definition] = &[
    Definition::new(
        "pg_type",
        1247,
        "oid oid, typname name, typnamespace oid, typowner oid, typlen int2, typbyval bool, typtype char, \
         typcategory char, typispreferred bool, typisdefined bool, typdelim char, typrelid oid, typsubscript text, \
         typelem oid, typarray oid, typinput text, typoutput text, typreceive text, typsend text, typmodin text, \
         typmodout text, typanalyze text, typalign char, typstorage char, typnotnull bool, typbasetype oid, \
         typtypmod int4, typndims int4, typcollation oid, typdefaultbin text, typdefault text, typacl text[]",
        rows,
    ),
    Definition::new(
        "pg_collation",
        3456,
        "oid oid, collname name, collnamespace oid, collowner oid, collprovider char, collisdeterministic bool, \
         collencoding int4, collcollate text, collctype text, colliculocale text, collversion text",
        collations,
    ),
];

/// A type.
#[derive(Clone, Debug)]
pub struct TypeRow {
    pub oid: u32,
    /// `pg_type.typname`, PostgreSQL's internal name.
    pub name: &'static str,
    pub schema: &'static str,
    pub length: i16,
    /// `b` a value, `e` an enum, `p` a pseudo-type.
    pub kind: &'static str,
    pub category: &'static str,
    /// Of an array, the OID of its elements.
    pub item: Option<u32>,
    /// The OID of its array; 0 where there is none.
    pub array: u32,
}

/// The types of columns: type, internal name, the array's internal name, category.
const COLUMN_TYPES: [(SqlType, &str, &str, &str); 20] = [
    (SqlType::Boolean, "bool", "_bool", "B"),
    (SqlType::Bytea, "bytea", "_bytea", "U"),
    (SqlType::BigInt, "int8", "_int8", "N"),
    (SqlType::SmallInt, "int2", "_int2", "N"),
    (SqlType::Integer, "int4", "_int4", "N"),
    (SqlType::Text, "text", "_text", "S"),
    (SqlType::Json, "json", "_json", "U"),
    (SqlType::Jsonb, "jsonb", "_jsonb", "U"),
    (SqlType::Real, "float4", "_float4", "N"),
    (SqlType::Double, "float8", "_float8", "N"),
    (SqlType::Varchar(None), "varchar", "_varchar", "S"),
    (SqlType::Char(1), "bpchar", "_bpchar", "S"),
    (SqlType::Date, "date", "_date", "D"),
    (SqlType::TIME, "time", "_time", "D"),
    (SqlType::TIMESTAMP, "timestamp", "_timestamp", "D"),
    (SqlType::TIMESTAMPTZ, "timestamptz", "_timestamptz", "D"),
    (SqlType::Interval, "interval", "_interval", "T"),
    (SqlType::NUMERIC, "numeric", "_numeric", "N"),
    (SqlType::Uuid, "uuid", "_uuid", "U"),
    (SqlType::Vector(None), "vector", "_vector", "U"),
];

/// What only the catalog has: oid, name, length, kind, category, elements, array.
type CatalogType = (u32, &'static str, i16, &'static str, &'static str, Option<u32>, u32);

/// See [`CatalogType`].
const CATALOG_TYPES: [CatalogType; 17] = [
    (18, "char", 1, "b", "Z", None, 1002),
    (19, "name", 64, "b", "S", None, 1003),
    (22, "int2vector", -1, "b", "A", Some(21), 0),
    (24, "regproc", 4, "b", "N", None, 0),
    (26, "oid", 4, "b", "N", None, 1028),
    (30, "oidvector", -1, "b", "A", Some(26), 0),
    (1002, "_char", -1, "b", "A", Some(18), 0),
    (1003, "_name", -1, "b", "A", Some(19), 0),
    (1028, "_oid", -1, "b", "A", Some(26), 0),
    (2205, "regclass", 4, "b", "N", None, 0),
    (2206, "regtype", 4, "b", "N", None, 0),
    (4089, "regnamespace", 4, "b", "N", None, 0),
    (4096, "regrole", 4, "b", "N", None, 0),
    (705, "unknown", -2, "p", "X", None, 0),
    (2249, "record", -1, "p", "P", None, 0),
    (2276, "any", 4, "p", "P", None, 0),
    (2278, "void", 4, "p", "P", None, 0),
];

/// Where a type of columns is: pgvector's is no type of PostgreSQL's.
fn schema_of(sql_type: SqlType) -> &'static str {
    match sql_type {
        SqlType::Vector(_) => "public",
        _ => "pg_catalog",
    }
}

static TYPES: LazyLock<Vec<TypeRow>> = LazyLock::new(|| {
    let mut types = Vec::new();
    for (sql_type, name, array_name, category) in COLUMN_TYPES {
        types.push(TypeRow {
            oid: sql_type.oid(),
            name,
            schema: schema_of(sql_type),
            length: sql_type.type_length(),
            kind: "b",
            category,
            item: None,
            array: sql_type.array_oid(),
        });
        types.push(TypeRow {
            oid: sql_type.array_oid(),
            name: array_name,
            schema: schema_of(sql_type),
            length: -1,
            kind: "b",
            category: "A",
            item: Some(sql_type.oid()),
            array: 0,
        });
    }
    for (oid, name, length, kind, category, item, array) in CATALOG_TYPES {
        types.push(TypeRow {
            oid,
            name,
            schema: "pg_catalog",
            length,
            kind,
            category,
            item,
            array,
        });
    }
    types
});

/// All types.
pub fn types() -> &'static [TypeRow] {
    &TYPES
}

/// The type of an OID.
pub fn type_of(oid: u32) -> Option<&'static TypeRow> {
    types().iter().find(|found| found.oid == oid)
}

/// The OID of a type by any of its names: `integer`, `int4`, `numeric(10,2)`, `pg_catalog.text`, `int4[]`.
pub fn oid_of(name: &str) -> Option<u32> {
    let name = name.trim();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    let name = name.strip_prefix("public.").unwrap_or(name);
    if let Some(item) = name.strip_suffix("[]") {
        let item = type_of(oid_of(item)?)?;
        return Some(item.array).filter(|&array| array != 0);
    }
    let bare = name.trim_matches('"');
    if name != "char" {
        let by_name = types().iter().find(|found| found.name.eq_ignore_ascii_case(bare));
        if let Some(found) = by_name {
            return Some(found.oid);
        }
    }
    // What stands for a type within a statement is no name.
    if name.contains('#') {
        return None;
    }
    name.parse::<SqlType>().ok().map(|sql_type| sql_type.oid())
}

fn rows(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for found in types().iter().cloned().chain(facts.made_types()) {
        let is_array = found.category == "A" && found.array == 0 && found.name.starts_with('_');
        let is_enum = found.kind == "e";
        let reader = match (is_array, is_enum) {
            (true, _) => "array_in".to_owned(),
            (_, true) => "enum_in".to_owned(),
            _ => format!("{}in", found.name),
        };
        let writer = reader.strip_suffix("in").unwrap_or_default().to_owned() + "out";
        let receive = match (is_array, is_enum) {
            (true, _) => "array_recv".to_owned(),
            (_, true) => "enum_recv".to_owned(),
            _ => format!("{}recv", found.name),
        };
        let send = receive.strip_suffix("recv").unwrap_or_default().to_owned() + "send";
        let is_preferred = matches!(found.oid, 16 | 25 | 701 | 1184 | 1186 | 26);
        let is_collated = matches!(found.oid, 19 | 25 | 1043 | 1003 | 1009 | 1015);
        rows.push(row![
            found.oid,
            found.name,
            oids::schema(found.schema),
            oids::OWNER,
            found.length,
            matches!(found.length, 1 | 2 | 4 | 8),
            found.kind,
            found.category,
            is_preferred,
            true,
            ",",
            0,
            if is_array { "array_subscript_handler" } else { "-" },
            found.item.unwrap_or(0),
            found.array,
            reader,
            writer,
            receive,
            send,
            "-",
            "-",
            "-",
            "i",
            if found.length < 0 { "x" } else { "p" },
            false,
            0,
            -1,
            0,
            if is_collated { oids::COLLATION_DEFAULT } else { 0 },
            Cell::Null,
            Cell::Null,
            Cell::Null,
        ]);
    }
    Ok(rows)
}

fn collations(_: &Facts) -> Result<Vec<Row>> {
    // Text is compared by its bytes, which is by code point.
    let row = |oid: u32, name: &str, provider: &str| {
        row![
            oid,
            name,
            oids::PG_CATALOG,
            oids::OWNER,
            provider,
            true,
            -1,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
        ]
    };
    Ok(vec![
        row(oids::COLLATION_DEFAULT, "default", "d"),
        row(950, "C", "c"),
        row(951, "POSIX", "c"),
    ])
}
