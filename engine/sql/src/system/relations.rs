//! Schemas, relations, their columns, indexes and constraints.

use aion_base::Result;
use aion_catalog::descriptor::{IndexColumn, IndexMethod, IndexState, TableDescriptor};
use datafusion::arrow::datatypes::SchemaRef;

use super::cells::{Cell, Row, result_type, row};
use super::facts::{Facts, Relation, RelationKind};
use super::{Definition, cells, index_definition, oids};

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
        "pg_constraint",
        2606,
        "oid oid, conname name, connamespace oid, contype char, condeferrable bool, condeferred bool, \
         convalidated bool, conrelid oid, contypid oid, conindid oid, conparentid oid, confrelid oid, confupdtype char, \
         confdeltype char, confmatchtype char, conislocal bool, coninhcount int4, connoinherit bool, conkey int2[], \
         confkey int2[], conpfeqop oid[], conppeqop oid[], conffeqop oid[], confdelsetcols int2[], conexclop oid[], \
         conbin text",
        constraints,
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
    Ok(facts
        .relations()
        .iter()
        .map(|relation| class(facts, relation))
        .collect())
}

fn class(facts: &Facts, relation: &Relation) -> Row {
    let columns = match &relation.kind {
        RelationKind::View(view) => view.columns.len() as i64,
        _ => columns_of(facts, relation).len() as i64,
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
        RelationKind::View(_) | RelationKind::Graph | RelationKind::Sequence(_) => (0, 0, false),
        RelationKind::System(_) => (0, -1, false),
    };
    let file = if access_method == 0 { 0 } else { relation.oid };
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
        "p",
        relation.relkind(),
        columns,
        0,
        relation.relkind() == "v",
        false,
        false,
        false,
        false,
        true,
        if relation.relkind() == "r" { "d" } else { "n" },
        false,
        0,
        0,
        0,
        Cell::Null,
        options(relation),
        Cell::Null,
    ]
}

/// The parameters of an index, as CREATE INDEX ... WITH takes them.
fn options(relation: &Relation) -> Cell {
    match &relation.kind {
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
    pub default: Option<String>,
}

/// The columns of a relation.
pub(super) fn columns_of(facts: &Facts, relation: &Relation) -> Vec<Attribute> {
    let of_table = |table: &TableDescriptor, position: usize, number: i64| {
        let column = &table.columns[position];
        Attribute {
            number,
            name: column.name.clone(),
            oid: column.sql_type.oid(),
            length: column.sql_type.type_length(),
            modifier: column.sql_type.type_modifier(),
            is_nullable: column.is_nullable,
            default: column.default.clone(),
        }
    };
    let of_index = |table: &TableDescriptor, positions: Vec<usize>| {
        let columns = positions.into_iter().zip(1..).map(|(position, number)| Attribute {
            is_nullable: true,
            default: None,
            ..of_table(table, position, number)
        });
        columns.collect()
    };
    match &relation.kind {
        RelationKind::Table(table) => (0..table.columns.len())
            .map(|position| of_table(table, position, table.columns[position].id.0.into()))
            .collect(),
        RelationKind::PrimaryKey(table) => of_index(table, table.primary_key_positions()),
        RelationKind::Index(table, index) => {
            let positions = index.columns.iter();
            of_index(
                table,
                positions
                    .filter_map(|column| table.position_of(column.column))
                    .collect(),
            )
        }
        RelationKind::Graph | RelationKind::Sequence(_) => Vec::new(),
        RelationKind::View(view) => facts.columns_of_view(view).map(of_schema).unwrap_or_default(),
        RelationKind::System(definition) => of_schema(&cells::schema(definition.columns)),
    }
}

/// The columns of what gives rows of that schema.
fn of_schema(schema: &SchemaRef) -> Vec<Attribute> {
    let columns = schema.fields().iter().zip(1..).map(|(field, number)| {
        let (oid, length, modifier) = result_type(field);
        Attribute {
            number,
            name: field.name().clone(),
            oid,
            length,
            modifier,
            is_nullable: true,
            default: None,
        }
    });
    columns.collect()
}

/// Whether values of a type of this OID have a collation.
fn collation(oid: u32) -> u32 {
    match oid {
        19 | 25 | 1043 => oids::COLLATION_DEFAULT,
        _ => 0,
    }
}

fn attributes(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in facts.relations() {
        for column in columns_of(facts, relation) {
            let is_by_value = matches!(column.length, 1 | 2 | 4 | 8);
            let align = match column.length {
                1 => "c",
                2 => "s",
                8 => "d",
                _ => "i",
            };
            rows.push(row![
                relation.oid,
                column.name,
                column.oid,
                -1,
                column.length,
                column.number,
                0,
                -1,
                column.modifier,
                is_by_value,
                align,
                if column.length == -1 { "x" } else { "p" },
                "",
                !column.is_nullable,
                column.default.is_some(),
                false,
                "",
                "",
                false,
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
                let oid = oids::hashed("default", &relation.oid.to_string(), &column.number.to_string());
                rows.push(row![oid, relation.oid, column.number, default]);
            }
        }
    }
    Ok(rows)
}

fn indexes(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in facts.relations() {
        let (table, columns, is_primary, is_unique, is_valid) = match &relation.kind {
            RelationKind::PrimaryKey(table) => {
                let columns = table.primary_key.iter().map(|&column| IndexColumn {
                    column,
                    is_descending: false,
                    is_nulls_first: false,
                });
                (table, columns.collect(), true, true, true)
            }
            RelationKind::Index(table, index) => {
                let is_valid = index.state == IndexState::Readable;
                (table, index.columns.clone(), false, index.is_unique, is_valid)
            }
            _ => continue,
        };
        let count = columns.len();
        let keys = columns.iter().map(|column| column.column.0.into()).collect();
        // Bit 0: descending, bit 1: NULLs first.
        let options = columns
            .iter()
            .map(|column| i64::from(column.is_descending) | (i64::from(column.is_nulls_first) << 1));
        let collations = columns.iter().map(|column| {
            let position = table.position_of(column.column);
            position.map_or(0, |position| collation(table.columns[position].sql_type.oid()).into())
        });
        rows.push(row![
            relation.oid,
            oids::table(table.id),
            count as i64,
            count as i64,
            is_unique,
            false,
            is_primary,
            false,
            true,
            false,
            is_valid,
            false,
            true,
            true,
            false,
            Cell::Ints(keys),
            Cell::Ints(collations.collect()),
            Cell::Ints(vec![0; count]),
            Cell::Ints(options.collect()),
            Cell::Null,
            Cell::Null,
        ]);
    }
    Ok(rows)
}

fn constraints(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in facts.relations() {
        let RelationKind::PrimaryKey(table) = &relation.kind else {
            continue;
        };
        rows.push(row![
            oids::constraint(relation.oid),
            relation.name.as_str(),
            oids::schema(&relation.schema),
            "p",
            false,
            false,
            true,
            oids::table(table.id),
            0,
            relation.oid,
            0,
            0,
            " ",
            " ",
            " ",
            true,
            0,
            true,
            Cell::Ints(table.primary_key.iter().map(|column| column.0.into()).collect()),
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
        ]);
    }
    Ok(rows)
}

fn tables_view(facts: &Facts) -> Result<Vec<Row>> {
    let tables = facts.relations().iter().filter(|relation| relation.relkind() == "r");
    Ok(tables
        .map(|relation| {
            let has_indexes = match &relation.kind {
                RelationKind::Table(table) => table.primary_key_name.is_some() || !table.indexes.is_empty(),
                _ => false,
            };
            row![
                relation.schema.as_str(),
                relation.name.as_str(),
                facts.identity.user.as_str(),
                Cell::Null,
                has_indexes,
                false,
                false,
                false,
            ]
        })
        .collect())
}

fn views_view(facts: &Facts) -> Result<Vec<Row>> {
    let owner = facts.identity.user.as_str();
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
            index_definition(relation, true),
        ])
    });
    Ok(indexes.collect())
}
