//! Every definition is read, over a catalog with one of each object.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aion_base::Result;
use aion_base::id::IndexId;
use aion_base::observation::{Fingerprint, Observation, Observer, Predicted, StatementFigures, TimeFigures};
use aion_base::recommendation::{Asked, DecisionRow, KnobRow, ModelRow, Pipeline, Recommendation, StatusRow};
use aion_base::subplan::SubPlan;
use aion_catalog::SqlType;
use aion_catalog::descriptor::{
    ColumnDescriptor, ColumnId, Distance, IndexColumn, IndexDescriptor, IndexMethod, TableDescriptor, ViewDescriptor,
};
use aion_catalog::objects::Catalog;

use super::cells::Cell;
use super::*;
use crate::settings::Settings;

fn catalog() -> Catalog {
    let column = |id, name: &str, sql_type| ColumnDescriptor {
        is_nullable: id != 1,
        default: (id == 2).then(|| "'none'".to_owned()),
        ..ColumnDescriptor::new(ColumnId(id), name, sql_type)
    };
    let index = |id, name: &str, column, method| {
        let by = IndexColumn {
            column: ColumnId(column),
            is_descending: true,
            is_nulls_first: false,
        };
        IndexDescriptor {
            method,
            ..IndexDescriptor::new(IndexId(id), name, vec![by])
        }
    };
    let hnsw = IndexMethod::Hnsw {
        m: 16,
        ef_construction: 64,
        distance: Distance::Cosine,
    };
    let table = TableDescriptor {
        columns: vec![
            column(1, "id", SqlType::BigInt),
            column(2, "origin", SqlType::Varchar(Some(3))),
            // One was dropped.
            column(4, "shape", SqlType::Vector(Some(2))),
        ],
        primary_key: vec![ColumnId(1)],
        primary_key_name: Some("flights_pkey".to_owned()),
        indexes: vec![
            index(1, "by_origin", 2, IndexMethod::Ordered),
            index(2, "by_shape", 4, hnsw),
        ],
        next_column: 5,
        next_index: 3,
        ..TableDescriptor::new("public", "Flights")
    };
    let view = ViewDescriptor {
        schema: "public".to_owned(),
        name: "late".to_owned(),
        columns: Vec::new(),
        query_columns: Vec::new(),
        query: "SELECT 1".to_owned(),
        search_path: Vec::new(),
        uses: Vec::new(),
    };
    let mut entries = BTreeMap::new();
    for _ in 0..2 {
        let read =
            Catalog::read(entries.iter().map(|(key, value): (&Vec<u8>, &Vec<u8>)| (key, value))).expect("a catalog");
        let changes = match read.tables().next() {
            None => read.create_table(table.clone()).expect("a new name").1,
            Some(_) => read.create_view(&view, false).expect("a new name"),
        };
        for change in changes {
            entries.insert(change.key, change.value.expect("nothing is dropped"));
        }
    }
    Catalog::read(entries).expect("a catalog")
}

/// Has noted one statement.
#[derive(Debug)]
struct OneStatement;

impl Observer for OneStatement {
    fn is_on(&self) -> bool {
        true
    }

    fn wants_operators(&self, _: i64) -> bool {
        false
    }

    fn predicts(&self) -> bool {
        false
    }

    fn predict(&self, _: &[&SubPlan]) -> Option<Predicted> {
        None
    }

    fn observe(&self, _: Observation) {}

    fn statements(&self) -> Vec<StatementFigures> {
        vec![StatementFigures {
            fingerprint: Fingerprint {
                queryid: 1,
                query: "SELECT $1".into(),
            },
            calls: 1,
            rows: 1,
            planning: TimeFigures::default(),
            execution: TimeFigures::default(),
        }]
    }

    fn forget(&self, queryid: i64) -> bool {
        queryid == 1
    }
}

/// Has recommended one change.
#[derive(Debug)]
struct OneRecommendation;

impl Pipeline for OneRecommendation {
    fn mode(&self) -> &'static str {
        "advise"
    }

    fn status(&self) -> Vec<StatusRow> {
        vec![StatusRow {
            name: "mode",
            value: "advise".to_owned(),
            hint: None,
        }]
    }

    fn models(&self) -> Vec<ModelRow> {
        vec![ModelRow {
            stage: "shadow",
            ..ModelRow::default()
        }]
    }

    fn knobs(&self) -> Vec<KnobRow> {
        vec![KnobRow {
            name: "aion.block_cache_bytes".to_owned(),
            setting: "64".to_owned(),
            unit: Some("B"),
            category: "Block cache",
            short_desc: "Memory.",
            min_val: "8".to_owned(),
            max_val: "512".to_owned(),
            boot_val: "64".to_owned(),
            source: "pipeline",
            is_managed: true,
            decision_id: Some(1),
        }]
    }

    fn recommendations(&self, with_evidence: bool) -> Result<Vec<Recommendation>> {
        Ok(vec![Recommendation {
            id: 1,
            kind: "index",
            state: "ready",
            queryids: vec![-5],
            speedup: Some(2.0),
            verbs: vec!["approve"],
            evidence: with_evidence.then(|| "{}".to_owned()),
            ..Recommendation::default()
        }])
    }

    fn decisions(&self) -> Result<Vec<DecisionRow>> {
        Ok(vec![DecisionRow {
            seq: 1,
            at: 0,
            recommendation_id: 1,
            from_state: None,
            to_state: "observed",
            actor: "pipeline".to_owned(),
            reason: String::new(),
            log_index: 1,
            version: "0".to_owned(),
            seed: u64::MAX,
            evidence_sha256: None,
            prev_hash: String::new(),
            hash: String::new(),
        }])
    }

    fn ask(&self, _: &Asked, _: &(dyn Fn() -> bool + Sync)) -> Result<u64> {
        Ok(1)
    }

    fn configure(&self, _: &str, _: Option<&str>, _: &str) -> Result<()> {
        Ok(())
    }
}

fn facts() -> Facts {
    let identity = Identity {
        user: "aion".to_owned(),
        database: "aion".to_owned(),
        settings: Settings::default(),
        process_id: 7,
        observer: Some(Arc::new(OneStatement)),
        pipeline: Some(Arc::new(OneRecommendation)),
        assigned: Assigned::default(),
        sequences: Arc::new(crate::sequences::Sequences::new(Arc::new(
            aion_storage::Store::in_memory(&aion_storage::StoreOptions::default()),
        ))),
        numbers: Arc::default(),
        activity: Arc::default(),
        locks: aion_storage::LockTable::new(Arc::new(aion_base::clock::SystemClock::default()), Default::default()),
    };
    let functions = vec![("lower".to_owned(), 'f')];
    Facts::new(
        catalog(),
        vec!["public".to_owned()],
        identity,
        Arc::new(HashMap::new()),
        functions,
    )
}

#[test]
fn every_table_gives_rows_of_its_columns() {
    let facts = facts();
    let mut oids = BTreeMap::new();
    for definition in definitions() {
        let schema = cells::schema(definition.columns);
        let rows = match definition.rows {
            Rows::Of(rows) => rows(&facts).expect("rows"),
            Rows::Asked(rows) => {
                let asked = vec![true; schema.fields().len()];
                rows(&facts, &asked).expect("rows")
            }
            Rows::None => Vec::new(),
        };
        cells::batch(&schema, &rows).unwrap_or_else(|error| panic!("{}: {error}", definition.name));
        let other = oids.insert(definition.oid(), definition.name);
        assert_eq!(other, None, "{} has the oid of another", definition.name);
        if !definition.is_empty() {
            assert!(!rows.is_empty(), "{} has no row", definition.name);
        }
    }
}

#[test]
fn objects_are_written_as_sql() {
    let facts = facts();
    let definition = |name: &str| {
        let relation = facts.relation_in("public", name).expect("an index");
        index_definition(relation, true).expect("its definition")
    };
    assert_eq!(
        definition("flights_pkey"),
        "CREATE UNIQUE INDEX flights_pkey ON public.\"Flights\" USING btree (id)"
    );
    assert_eq!(
        definition("by_origin"),
        "CREATE INDEX by_origin ON public.\"Flights\" USING btree (origin DESC NULLS LAST)"
    );
    assert_eq!(
        definition("by_shape"),
        "CREATE INDEX by_shape ON public.\"Flights\" USING hnsw (shape vector_cosine_ops) WITH (m='16', \
         ef_construction='64')"
    );
    for (oid, modifier, name) in [
        (23, -1, "integer"),
        (1043, 7, "character varying(3)"),
        (1700, -1, "numeric"),
        (1700, 655_366, "numeric(10,2)"),
        (1009, -1, "text[]"),
        (16_400, 2, "vector(2)"),
        (26, -1, "oid"),
        (18, -1, "\"char\""),
        (0, -1, "-"),
        (99_999, -1, "???"),
    ] {
        assert_eq!(type_name(oid, modifier), name);
    }
    for (name, oid) in [
        ("int4", 23),
        ("pg_catalog.int4", 23),
        ("integer", 23),
        ("numeric(10,2)", 1700),
        ("text[]", 1009),
        ("_text", 1009),
        ("vector", 16_400),
        ("\"char\"", 18),
    ] {
        assert_eq!(type_oid(name), Some(oid), "{name}");
    }
    assert_eq!(type_oid("no_such"), None);
}

#[test]
fn columns_keep_their_numbers() {
    let facts = facts();
    let attributes = find(None, "pg_attribute").expect("there");
    let Rows::Of(rows) = attributes.rows else {
        panic!("it has rows");
    };
    let table = facts.relation_in("public", "Flights").expect("there").oid;
    let numbers: Vec<_> = rows(&facts)
        .expect("rows")
        .into_iter()
        .filter(|row| row[0] == Cell::from(table))
        .map(|row| row[5].clone())
        .collect();
    assert_eq!(numbers, [Cell::Int(1), Cell::Int(2), Cell::Int(4)]);
}
