//! Schemas, relations, their columns and indexes.
//!
//! A column's number is its id, which it keeps when another is dropped. Of one that is gone there is a row of its number, as in
//! PostgreSQL: pg_dump counts them.

use std::collections::HashSet;

use aion_base::Result;
use aion_base::id::TableId;
use aion_catalog::SqlType;
use aion_catalog::descriptor::{Identity, IndexColumn, IndexMethod, IndexPart, IndexState, TableDescriptor};
use aion_catalog::objects::is_temporary;
use aion_security::role::BOOTSTRAP_NAME;
use datafusion::arrow::datatypes::SchemaRef;

use super::cells::{Cell, Row, result_type, row};
use super::facts::{Facts, Relation, RelationKind};
use super::written::{self, Form};
use super::{Definition, cells, index_definition, index_names, oids, sequences};

pub(super) const TABLES: &[Definition] = &[
    Definition::new(
        "pg_namespace",
        2615,
        "oid oid, nspname name, nspowner oid, nspacl text[]",
        namespaces,
    ),
    Definition::new(
        "pg_class",
        1259,
        "oid oid, relname name, relnamespace oid, reltype oid, reloftype oid, relowner oid, relam oid, \
         relfilenode oid, reltablespace oid, relpages int4, reltuples float4, relallvisible int4, reltoastrelid oid, \
         relhasindex bool, relisshared bool, relpersistence char, relkind char, relnatts int2, relchecks int2, \
         relhasrules bool, relhastriggers bool, relhassubclass bool, relrowsecurity bool, relforcerowsecurity bool, \
         relispopulated bool, relreplident char, relispartition bool, relrewrite oid, relfrozenxid int8, \
         relminmxid int8, relacl text[], reloptions text[], relpartbound text",
        classes,
    ),
    Definition::new(
        "pg_attribute",
        1249,
        "attrelid oid, attname name, atttypid oid, attstattarget int4, attlen int2, attnum int2, attndims int4, \
         attcacheoff int4, atttypmod int4, attbyval bool, attalign char, attstorage char, attcompression char, \
         attnotnull bool, atthasdef bool, atthasmissing bool, attidentity char, attgenerated char, attisdropped bool, \
         attislocal bool, attinhcount int4, attcollation oid, attacl text[], attoptions text[], attfdwoptions text[], \
         attmissingval text",
        attributes,
    ),
    Definition::new(
        "pg_attrdef",
        2604,
        "oid oid, adrelid oid, adnum int2, adbin text",
        defaults,
    ),
    Definition::new(
        "pg_index",
        2610,
        "indexrelid oid, indrelid oid, indnatts int2, indnkeyatts int2, indisunique bool, indnullsnotdistinct bool, \
         indisprimary bool, indisexclusion bool, indimmediate bool, indisclustered bool, indisvalid bool, \
         indcheckxmin bool, indisready bool, indislive bool, indisreplident bool, indkey int2vector, \
         indcollation oidvector, indclass oidvector, indoption int2vector, indexprs text, indpred text",
        indexes,
    ),
    Definition::new(
        "pg_am",
        2601,
        "oid oid, amname name, amhandler text, amtype char",
        access_methods,
    ),
    Definition::new(
        "pg_tables",
        0,
        "schemaname name, tablename name, tableowner name, tablespace name, hasindexes bool, hasrules bool, \
         hastriggers bool, rowsecurity bool",
        tables_view,
    ),
    Definition::new(
        "pg_views",
        0,
        "schemaname name, viewname name, viewowner name, definition text",
        views_view,
    ),
    Definition::new(
        "pg_matviews",
        0,
        "schemaname name, matviewname name, matviewowner name, tablespace name, hasindexes bool, ispopulated bool, \
         definition text",
        materialized_views_view,
    ),
    Definition::new(
        "pg_indexes",
        0,
        "schemaname name, tablename name, indexname name, tablespace name, indexdef text",
        indexes_view,
    ),
];

/// The access method of tables: rows in the order of their keys.
const AM_ROWS: u32 = 2;
/// Keys in order: PostgreSQL's name and oid of it.
const AM_BTREE: u32 = 403;

fn am_hnsw() -> u32 {
    oids::hashed("access method", "", "hnsw")
}

fn access_methods(_: &Facts) -> Result<Vec<Row>> {
    Ok(vec![
        row![AM_ROWS, "rows", "-", "t"],
        row![AM_BTREE, "btree", "bthandler", "i"],
        row![am_hnsw(), "hnsw", "hnswhandler", "i"],
    ])
}

fn namespaces(facts: &Facts) -> Result<Vec<Row>> {
    let schemas = facts.catalog.schemas();
    Ok(schemas
        .map(|schema| row![oids::schema(schema), schema, oids::OWNER, Cell::Null])
        .collect())
}

fn classes(facts: &Facts) -> Result<Vec<Row>> {
    let tied = tied(facts);
    let relations = facts.relations().iter();
    Ok(relations.map(|relation| class(facts, relation, &tied)).collect())
}

/// The tables with a foreign key, and those that one refers to. In PostgreSQL they have triggers, by which psql knows of the keys.
fn tied(facts: &Facts) -> HashSet<TableId> {
    let tables = facts.catalog.tables();
    let keys = tables.flat_map(|table| table.foreign_keys.iter().map(move |key| [table.id, key.parent]));
    keys.flatten().collect()
}

fn class(facts: &Facts, relation: &Relation, tied: &HashSet<TableId>) -> Row {
    let columns = match &relation.kind {
        RelationKind::Table(table) => i64::from(table.next_column) - 1,
        RelationKind::View(view) => view.columns.len() as i64,
        _ => columns_of(facts, relation).len() as i64,
    };
    let (checks, has_triggers) = match &relation.kind {
        RelationKind::Table(table) => (table.checks.len() as i64, tied.contains(&table.id)),
        _ => (0, false),
    };
    let (access_method, rows, has_index) = match &relation.kind {
        RelationKind::Table(table) => {
            let has_index = table.primary_key_name.is_some() || !table.indexes.is_empty();
            (AM_ROWS, facts.estimated_rows(table.id), has_index)
        }
        RelationKind::PrimaryKey(table) => (AM_BTREE, facts.estimated_rows(table.id), false),
        RelationKind::Index(table, index) => {
            let method = match index.method {
                IndexMethod::Ordered => AM_BTREE,
                IndexMethod::Hnsw { .. } => am_hnsw(),
            };
            (method, facts.estimated_rows(table.id), false)
        }
        RelationKind::View(_) | RelationKind::Graph => (0, 0, false),
        RelationKind::Sequence(_) => (0, 1, false),
        RelationKind::System(_) => (0, -1, false),
    };
    let has_file = access_method != 0 || relation.relkind() == "S";
    let file = if has_file { relation.oid } else { 0 };
    row![
        relation.oid,
        relation.name.as_str(),
        oids::schema(&relation.schema),
        0,
        0,
        oids::OWNER,
        access_method,
        file,
        0,
        0,
        rows,
        0,
        0,
        has_index,
        false,
        if is_temporary(&relation.schema) { "t" } else { "p" },
        relation.relkind(),
        columns,
        checks,
        matches!(relation.relkind(), "v" | "m"),
        has_triggers,
        false,
        false,
        false,
        !matches!(&relation.kind, RelationKind::Table(table) if table.is_unpopulated),
        if matches!(relation.relkind(), "r" | "m") {
            "d"
        } else {
            "n"
        },
        false,
        0,
        0,
        0,
        Cell::Null,
        options(relation),
        Cell::Null,
    ]
}

/// The parameters of a table or an index, as CREATE ... WITH takes them.
fn options(relation: &Relation) -> Cell {
    match &relation.kind {
        RelationKind::Table(table) if !table.options.is_empty() => {
            let options = table.options.iter();
            Cell::Texts(options.map(|(name, value)| format!("{name}={value}")).collect())
        }
        RelationKind::Index(_, index) => match index.method {
            IndexMethod::Hnsw { m, ef_construction, .. } => {
                Cell::Texts(vec![format!("m={m}"), format!("ef_construction={ef_construction}")])
            }
            IndexMethod::Ordered => Cell::Null,
        },
        _ => Cell::Null,
    }
}

/// A column of a relation, as `pg_attribute` and `information_schema.columns` need it.
pub(super) struct Attribute {
    pub number: i64,
    pub name: String,
    pub oid: u32,
    pub length: i16,
    pub modifier: i32,
    pub is_nullable: bool,
    /// As PostgreSQL writes it; what it is generated from, of a generated column.
    pub default: Option<String>,
    /// `pg_attribute.attidentity`.
    pub identity: &'static str,
    pub is_generated: bool,
    pub is_dropped: bool,
}

impl Attribute {
    /// A column of which there is nothing else to say. The type is its oid, length and modifier.
    fn plain(number: i64, name: impl Into<String>, (oid, length, modifier): (u32, i16, i32)) -> Self {
        Self {
            number,
            name: name.into(),
            oid,
            length,
            modifier,
            is_nullable: true,
            default: None,
            identity: "",
            is_generated: false,
            is_dropped: false,
        }
    }
}

/// The columns of a relation.
pub(super) fn columns_of(facts: &Facts, relation: &Relation) -> Vec<Attribute> {
    match &relation.kind {
        RelationKind::Table(table) => columns_of_table(facts, table),
        RelationKind::PrimaryKey(table) => {
            let positions = table.primary_key_positions().into_iter();
            let names = positions.map(|position| table.columns[position].name.clone());
            let parts = table.primary_key.iter().map(|&column| IndexPart::Column(column));
            columns_of_index(table, parts, names.collect())
        }
        RelationKind::Index(table, index) => {
            let included = index.included.iter().map(|&column| IndexPart::Column(column));
            let parts = index.parts().map(|(part, _)| part).chain(included);
            columns_of_index(table, parts, index_names(table, index))
        }
        RelationKind::Graph => Vec::new(),
        RelationKind::Sequence(_) => {
            let columns = of_schema(&cells::schema(sequences::COLUMNS)).into_iter();
            let is_nullable = false;
            columns.map(|column| Attribute { is_nullable, ..column }).collect()
        }
        RelationKind::View(view) => facts.columns_of_view(view).map(of_schema).unwrap_or_default(),
        RelationKind::System(definition) => of_schema(&cells::schema(definition.columns)),
    }
}

fn columns_of_table(facts: &Facts, table: &TableDescriptor) -> Vec<Attribute> {
    let columns = table.columns.iter().map(|column| {
        let sql_type = column.sql_type;
        let sql_type = (sql_type.oid(), sql_type.type_length(), sql_type.type_modifier());
        Attribute {
            is_nullable: column.is_nullable,
            default: written::default(facts, table, column),
            identity: match column.identity {
                Some(Identity::Always) => "a",
                Some(Identity::ByDefault) => "d",
                None => "",
            },
            is_generated: column.generated.is_some(),
            ..Attribute::plain(column.id.0.into(), column.name.as_str(), sql_type)
        }
    });
    columns.collect()
}

fn columns_of_index<'a>(
    table: &TableDescriptor,
    parts: impl Iterator<Item = IndexPart<'a>>,
    names: Vec<String>,
) -> Vec<Attribute> {
    let columns = parts.zip(names).zip(1..).filter_map(|((part, name), number)| {
        let sql_type = match part {
            IndexPart::Column(column) => table.columns[table.position_of(column)?].sql_type,
            // Of what is computed no modifier is known.
            IndexPart::Expression(expression) => {
                let sql_type = expression.sql_type;
                let computed = (sql_type.oid(), sql_type.type_length(), -1);
                return Some(Attribute::plain(number, name, computed));
            }
        };
        let sql_type = (sql_type.oid(), sql_type.type_length(), sql_type.type_modifier());
        Some(Attribute::plain(number, name, sql_type))
    });
    columns.collect()
}

/// The columns that a table had.
fn dropped_of(relation: &Relation) -> Vec<Attribute> {
    let RelationKind::Table(table) = &relation.kind else {
        return Vec::new();
    };
    let there: HashSet<u32> = table.columns.iter().map(|column| column.id.0).collect();
    let gone = (1..table.next_column).filter(|id| !there.contains(id));
    let dropped = gone.map(|id| {
        let known = table.dropped.iter().find(|dropped| dropped.id.0 == id);
        let length = known.map_or(-1, |dropped| dropped.sql_type.type_length());
        Attribute {
            is_dropped: true,
            ..Attribute::plain(id.into(), format!("........pg.dropped.{id}........"), (0, length, -1))
        }
    });
    dropped.collect()
}

/// The columns of what gives rows of that schema.
fn of_schema(schema: &SchemaRef) -> Vec<Attribute> {
    let columns = schema.fields().iter().zip(1..);
    columns
        .map(|(field, number)| Attribute::plain(number, field.name().as_str(), result_type(field)))
        .collect()
}

/// Whether values of a type of this OID have a collation.
fn collation(oid: u32) -> u32 {
    match oid {
        19 | 25 | 1043 => oids::COLLATION_DEFAULT,
        _ => 0,
    }
}

/// `pg_attribute.attstorage`: what PostgreSQL would do with long values.
fn storage(column: &Attribute) -> &'static str {
    const NUMERIC: u32 = 1_700;
    match (column.length, column.oid) {
        (-1, NUMERIC) => "m",
        (-1, _) => "x",
        _ => "p",
    }
}

fn attributes(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in facts.relations() {
        let columns = columns_of(facts, relation).into_iter();
        for column in columns.chain(dropped_of(relation)) {
            let is_by_value = matches!(column.length, 1 | 2 | 4 | 8);
            let align = match column.length {
                1 => "c",
                2 => "s",
                8 => "d",
                _ => "i",
            };
            let storage = storage(&column);
            rows.push(row![
                relation.oid,
                column.name,
                column.oid,
                -1,
                column.length,
                column.number,
                // Of an array the dimensions that it was declared with, which are not kept.
                i32::from(matches!(facts.sql_type(column.oid, -1), Some(SqlType::Array(_)))),
                -1,
                column.modifier,
                is_by_value,
                align,
                storage,
                "",
                !column.is_nullable,
                column.default.is_some(),
                false,
                column.identity,
                if column.is_generated { "s" } else { "" },
                column.is_dropped,
                true,
                0,
                collation(column.oid),
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Null,
            ]);
        }
    }
    Ok(rows)
}

fn defaults(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in facts.relations() {
        for column in columns_of(facts, relation) {
            if let Some(default) = column.default {
                let oid = oids::default(relation.oid, column.number);
                rows.push(row![oid, relation.oid, column.number, default]);
            }
        }
    }
    Ok(rows)
}

fn indexes(facts: &Facts) -> Result<Vec<Row>> {
    Ok(facts.relations().iter().filter_map(index).collect())
}

/// A row of `pg_index`; None for what is no index.
fn index(relation: &Relation) -> Option<Row> {
    let (table, columns, of_index) = match &relation.kind {
        RelationKind::PrimaryKey(table) => {
            let columns = table.primary_key.iter().map(|&column| IndexColumn {
                column,
                is_descending: false,
                is_nulls_first: false,
            });
            (table, columns.collect(), None)
        }
        RelationKind::Index(table, index) => (table, index.columns.clone(), Some(index)),
        _ => return None,
    };
    let included = of_index.map(|index| index.included.as_slice()).unwrap_or_default();
    let count = columns.len();
    let ids = columns.iter().map(|column| column.column);
    let ids = ids.chain(included.iter().copied());
    // Bit 0: descending, bit 1: NULLs first. It says nothing of included columns, nor do collations.
    let options = columns
        .iter()
        .map(|column| i64::from(column.is_descending) | (i64::from(column.is_nulls_first) << 1));
    let types: Vec<_> = match of_index {
        Some(index) => index.parts().map(|(part, _)| type_of_part(table, part)).collect(),
        None => columns
            .iter()
            .map(|column| type_of_part(table, IndexPart::Column(column.column)))
            .collect(),
    };
    let collations = types
        .iter()
        .map(|sql_type| sql_type.map_or(0, |sql_type| collation(sql_type.oid()).into()));
    let predicate = of_index.and_then(|index| index.predicate.as_ref());
    let expressions = of_index.map(|index| index.expressions.as_slice()).unwrap_or_default();
    let expressions: Vec<_> = expressions
        .iter()
        .map(|expression| written::expression(&expression.text, Some(table), Form::Full))
        .collect();
    Some(row![
        relation.oid,
        oids::table(table.id),
        (count + included.len()) as i64,
        count as i64,
        of_index.is_none_or(|index| index.is_unique),
        of_index.is_some_and(|index| index.is_nulls_equal),
        of_index.is_none(),
        false,
        true,
        false,
        of_index.is_none_or(|index| index.state == IndexState::Readable),
        false,
        true,
        true,
        false,
        Cell::Ints(ids.map(|id| id.0.into()).collect()),
        Cell::Ints(collations.collect()),
        Cell::Ints(vec![0; count]),
        Cell::Ints(options.collect()),
        (!expressions.is_empty()).then(|| expressions.join(", ")),
        predicate.map(|text| written::expression(text, Some(table), Form::Full)),
    ])
}

fn type_of_part(table: &TableDescriptor, part: IndexPart<'_>) -> Option<SqlType> {
    match part {
        IndexPart::Column(column) => Some(table.columns[table.position_of(column)?].sql_type),
        IndexPart::Expression(expression) => Some(expression.sql_type),
    }
}

fn tables_view(facts: &Facts) -> Result<Vec<Row>> {
    let tied = tied(facts);
    let tables = facts.relations().iter().filter(|relation| relation.relkind() == "r");
    Ok(tables
        .map(|relation| {
            let (has_indexes, has_triggers) = match &relation.kind {
                RelationKind::Table(table) => {
                    let has_indexes = table.primary_key_name.is_some() || !table.indexes.is_empty();
                    (has_indexes, tied.contains(&table.id))
                }
                _ => (false, false),
            };
            row![
                relation.schema.as_str(),
                relation.name.as_str(),
                BOOTSTRAP_NAME,
                Cell::Null,
                has_indexes,
                false,
                has_triggers,
                false,
            ]
        })
        .collect())
}

fn views_view(facts: &Facts) -> Result<Vec<Row>> {
    let owner = BOOTSTRAP_NAME;
    let views = facts.relations().iter().filter_map(|relation| match &relation.kind {
        RelationKind::View(view) => Some(row![
            relation.schema.as_str(),
            relation.name.as_str(),
            owner,
            view.query.as_str(),
        ]),
        RelationKind::System(definition) if definition.is_view() => {
            Some(row![definition.schema, definition.name, owner, Cell::Null])
        }
        _ => None,
    });
    Ok(views.collect())
}

fn materialized_views_view(facts: &Facts) -> Result<Vec<Row>> {
    let held = facts.catalog.tables().filter_map(|table| {
        let view = table.view.as_ref()?;
        Some(row![
            table.schema.as_str(),
            table.name.as_str(),
            BOOTSTRAP_NAME,
            Cell::Null,
            !table.indexes.is_empty(),
            !table.is_unpopulated,
            view.query.as_str(),
        ])
    });
    Ok(held.collect())
}

fn indexes_view(facts: &Facts) -> Result<Vec<Row>> {
    let indexes = facts.relations().iter().filter_map(|relation| {
        let (RelationKind::PrimaryKey(table) | RelationKind::Index(table, _)) = &relation.kind else {
            return None;
        };
        Some(row![
            relation.schema.as_str(),
            table.name.as_str(),
            relation.name.as_str(),
            Cell::Null,
            index_definition(relation, true, Form::Full).map(|definition| facts.shortened(definition)),
        ])
    });
    Ok(indexes.collect())
}
