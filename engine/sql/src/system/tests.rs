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
    Action, CheckDescriptor, ColumnDescriptor, ColumnId, Constraint, Distance, DroppedColumn, ForeignKey,
    Identity as IdentityColumn, IndexColumn, IndexDescriptor, IndexMethod, SequenceDescriptor, TableDescriptor,
    ViewDescriptor,
};
use aion_catalog::enumeration::EnumDescriptor;
use aion_catalog::objects::{Catalog, KeyChange};

use super::cells::Cell;
use super::show::type_name;
use super::types::oid_of as type_oid;
use super::written::Form;
use super::*;
use crate::settings::Settings;

/// Somebody who runs something.
fn activity() -> Arc<crate::activity::Activity> {
    let activity = Arc::new(crate::activity::Activity::default());
    let seat = activity.seat(7, "aion", "aion", crate::Canceller::default());
    activity.begin(&seat, &"SELECT 1".into(), "psql");
    activity
}

/// A row that stays locked.
fn locks() -> aion_storage::LockTable {
    let clock = Arc::new(aion_base::clock::SystemClock::default());
    let locks = aion_storage::LockTable::new(clock, Default::default());
    let owner = locks.owner(Some("process 7".into()));
    owner
        .try_lock(b"key", aion_storage::LockMode::Update)
        .expect("no limit");
    std::mem::forget(owner);
    locks
}

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
        comment: None,
        column_comments: Vec::new(),
    };
    let mut entries: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut change = |changes: &dyn Fn(&Catalog) -> Vec<KeyChange>| {
        let read =
            Catalog::read(entries.iter().map(|(key, value): (&Vec<u8>, &Vec<u8>)| (key, value))).expect("a catalog");
        for change in changes(&read) {
            entries.insert(change.key, change.value.expect("nothing is dropped"));
        }
    };
    change(&|catalog| catalog.create_table(table.clone()).expect("a new name").1);
    change(&|catalog| catalog.create_table(legs(catalog)).expect("a new name").1);
    change(&|catalog| catalog.create_view(&view, false).expect("a new name"));
    let held = TableDescriptor {
        columns: vec![column(1, "of", SqlType::Integer)],
        next_column: 2,
        view: Some(Box::new(view.clone())),
        ..TableDescriptor::new("public", "known")
    };
    change(&|catalog| catalog.create_table(held.clone()).expect("a new name").1);
    change(&|catalog| catalog.put_sequence(&sequence("tickets", 0, None)));
    let moods = EnumDescriptor::new("public", "mood", &["sad".to_owned(), "glad".to_owned()]).expect("labels");
    change(&|catalog| catalog.create_enum(moods.clone()).expect("a new name"));
    change(&|catalog| {
        let legs = catalog.table("public", "legs").expect("it was created");
        catalog.put_sequence(&sequence("legs_id_seq", 1, Some((legs.id.0, ColumnId(1)))))
    });
    Catalog::read(entries).expect("a catalog")
}

/// A table with one of each constraint that refers to the other one.
fn legs(catalog: &Catalog) -> TableDescriptor {
    let flights = catalog.table("public", "Flights").expect("it was created");
    let by_flight = IndexColumn {
        column: ColumnId(2),
        is_descending: false,
        is_nulls_first: false,
    };
    TableDescriptor {
        columns: vec![
            ColumnDescriptor {
                is_nullable: false,
                default: Some("nextval('\"public\".\"legs_id_seq\"')".to_owned()),
                identity: Some(IdentityColumn::Always),
                ..ColumnDescriptor::new(ColumnId(1), "id", SqlType::Integer)
            },
            ColumnDescriptor {
                comment: Some("what it is a part of".to_owned()),
                ..ColumnDescriptor::new(ColumnId(2), "flight", SqlType::BigInt)
            },
            ColumnDescriptor::new(ColumnId(4), "delay", SqlType::NUMERIC),
        ],
        dropped: vec![DroppedColumn {
            id: ColumnId(3),
            sql_type: SqlType::BigInt,
        }],
        indexes: vec![
            IndexDescriptor {
                is_unique: true,
                constraint: Some(Constraint::Unique),
                ..IndexDescriptor::new(IndexId(1), "legs_flight_key", vec![by_flight])
            },
            IndexDescriptor {
                is_unique: true,
                included: vec![ColumnId(4)],
                predicate: Some("delay > 3 AND flight > 1".to_owned()),
                ..IndexDescriptor::new(IndexId(2), "late_legs", vec![by_flight])
            },
        ],
        checks: vec![CheckDescriptor {
            name: "legs_delay_check".to_owned(),
            expression: "delay > 0".to_owned(),
            columns: vec![ColumnId(4)],
        }],
        foreign_keys: vec![ForeignKey {
            name: "legs_flight_fkey".to_owned(),
            columns: vec![ColumnId(2)],
            parent: flights.id,
            parent_columns: vec![ColumnId(1)],
            on_delete: Action::Cascade,
            on_update: Action::NoAction,
            is_full: false,
            is_deferrable: false,
            is_deferred: false,
        }],
        next_column: 5,
        next_index: 3,
        comment: Some("parts of flights".to_owned()),
        options: vec![("fillfactor".to_owned(), "70".to_owned())],
        ..TableDescriptor::new("public", "legs")
    }
}

fn sequence(name: &str, number: u32, owned_by: Option<(u32, ColumnId)>) -> SequenceDescriptor {
    SequenceDescriptor {
        id: (1 << 30) + number,
        schema: "public".to_owned(),
        name: name.to_owned(),
        data_type: "bigint".to_owned(),
        start: 1,
        increment: 1,
        min: 1,
        max: i64::MAX,
        cache: 1,
        is_cycle: false,
        owned_by,
        comment: None,
        state: 0,
        first: None,
    }
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

fn statements() -> crate::session::Statements {
    let statements = crate::session::no_statements();
    let named = crate::session::NamedStatement {
        prepared: None,
        text: "PREPARE one AS SELECT 1".to_owned(),
        is_from_sql: true,
        prepared_at: 0,
    };
    let inserted = statements.lock().insert("one".to_owned(), Arc::new(named), 23);
    inserted.expect("room for one");
    statements
}

fn facts() -> Facts {
    let identity = Identity {
        user: "aion".to_owned(),
        database: "aion".to_owned(),
        settings: Settings::default(),
        process_id: 7,
        roles: {
            let store = aion_storage::Store::in_memory(&aion_storage::StoreOptions::default());
            let store = crate::roles::RoleStore::new(Arc::new(store)).expect("randomness");
            crate::roles::SeenRoles::new(Arc::new(store), None, None, "aion")
        },
        observer: Some(Arc::new(OneStatement)),
        pipeline: Some(Arc::new(OneRecommendation)),
        assigned: Assigned::default(),
        sequences: Arc::new(crate::sequences::Sequences::new(Arc::new(
            aion_storage::Store::in_memory(&aion_storage::StoreOptions::default()),
        ))),
        numbers: Arc::default(),
        store: Arc::new(aion_storage::Store::in_memory(&aion_storage::StoreOptions::default())),
        activity: activity(),
        locks: locks(),
        advisory: crate::advisory::Sessions::default().open(locks(), None),
        advisories: Arc::default(),
        statements: statements(),
        cursors: [crate::cursors::CursorFacts {
            name: "c".to_owned(),
            text: "DECLARE c CURSOR FOR SELECT 1".to_owned(),
            is_binary: false,
            is_holdable: false,
            is_scrollable: true,
            declared_at: 0,
        }]
        .into(),
        pending: Arc::new(parking_lot::Mutex::new(crate::notifications::Pending::new(
            Arc::default(),
        ))),
        notifications: Arc::default(),
        channels: Vec::new(),
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
        index_definition(relation, true, Form::Full).expect("its definition")
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
    assert_eq!(
        definition("late_legs"),
        "CREATE UNIQUE INDEX late_legs ON public.legs USING btree (flight) INCLUDE (delay) WHERE ((delay > (3)::numeric) AND \
         (flight > 1))"
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

/// The rows of a table that is always there.
fn rows_of(facts: &Facts, name: &str) -> Vec<cells::Row> {
    let definition = find(None, name).expect("there");
    let Rows::Of(rows) = definition.rows else {
        panic!("it has rows");
    };
    rows(facts).expect("rows")
}

#[test]
fn columns_keep_their_numbers() {
    let facts = facts();
    let table = facts.relation_in("public", "Flights").expect("there").oid;
    let rows = rows_of(&facts, "pg_attribute").into_iter();
    let rows: Vec<_> = rows.filter(|row| row[0] == Cell::from(table)).collect();
    let numbers = |is_dropped| -> Vec<Cell> {
        let rows = rows.iter().filter(|row| row[18] == Cell::Bool(is_dropped));
        rows.map(|row| row[5].clone()).collect()
    };
    assert_eq!(numbers(false), [Cell::Int(1), Cell::Int(2), Cell::Int(4)]);
    assert_eq!(numbers(true), [Cell::Int(3)]);
}

#[test]
fn defaults_are_written_as_postgresql_writes_them() {
    let facts = facts();
    let rows = rows_of(&facts, "pg_attrdef");
    // An identity column has none.
    let [row] = rows.as_slice() else {
        panic!("one default: {rows:?}");
    };
    assert_eq!(row[3], Cell::from("'none'::character varying"));
    let legs = facts.relation_in("public", "legs").expect("there").oid;
    let class = rows_of(&facts, "pg_class")
        .into_iter()
        .find(|row| row[0] == Cell::from(legs));
    let class = class.expect("there");
    assert_eq!(
        class[17..19],
        [Cell::Int(4), Cell::Int(1)],
        "columns with the dropped one, and CHECKs"
    );
    assert_eq!(
        class[20],
        Cell::Bool(true),
        "psql looks for foreign keys where there are triggers"
    );
    assert_eq!(class[31], Cell::Texts(vec!["fillfactor=70".to_owned()]));
}

#[test]
fn constraints_are_written_as_sql() {
    let facts = facts();
    let expected = [
        ("flights_pkey", "p", "PRIMARY KEY (id)", "PRIMARY KEY (id)"),
        ("legs_flight_key", "u", "UNIQUE (flight)", "UNIQUE (flight)"),
        (
            "legs_delay_check",
            "c",
            "CHECK ((delay > (0)::numeric))",
            "CHECK (delay > 0::numeric)",
        ),
        (
            "legs_flight_fkey",
            "f",
            "FOREIGN KEY (flight) REFERENCES \"Flights\"(id) ON DELETE CASCADE",
            "FOREIGN KEY (flight) REFERENCES \"Flights\"(id) ON DELETE CASCADE",
        ),
    ];
    let found: Vec<_> = facts.constraints().iter().collect();
    assert_eq!(found.len(), expected.len());
    for (one, (name, letter, full, pretty)) in found.into_iter().zip(expected) {
        assert_eq!((one.name.as_str(), one.letter()), (name, letter));
        assert_eq!(one.definition(&facts, Form::Full).as_deref(), Some(full));
        assert_eq!(one.definition(&facts, Form::Pretty).as_deref(), Some(pretty));
        assert_eq!(
            facts.constraints().find(one.oid).map(|found| found.name.as_str()),
            Some(name)
        );
    }
    let key = facts
        .constraints()
        .iter()
        .find(|one| one.letter() == "f")
        .expect("there");
    let parent = facts.relation_in("public", "flights_pkey").expect("there").oid;
    assert_eq!(key.index(&facts), parent, "it relies on the primary key's index");
}

#[test]
fn a_sequence_is_shown_with_its_column() {
    let facts = facts();
    let oid = |name: &str| Cell::from(facts.relation_in("public", name).expect("there").oid);
    let class = || Cell::from(oids::PG_CLASS);
    let expected = vec![
        class(),
        oid("legs_id_seq"),
        Cell::Int(0),
        class(),
        oid("legs"),
        Cell::Int(1),
        Cell::from("i"),
    ];
    assert!(rows_of(&facts, "pg_depend").contains(&expected));
    let described = rows_of(&facts, "pg_description");
    let texts: Vec<_> = described.iter().map(|row| (row[2].clone(), row[3].clone())).collect();
    assert_eq!(
        texts,
        [
            (Cell::Int(0), Cell::from("parts of flights")),
            (Cell::Int(2), Cell::from("what it is a part of"))
        ]
    );
}
