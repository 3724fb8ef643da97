//! DDL as changes of keys, read back.

use super::*;
use crate::descriptor::{ColumnDescriptor, ColumnId, IndexColumn, IndexDescriptor, IndexExpression};
use crate::enumeration::{EnumType, Place};
use crate::types::{ElementType, SqlType};

fn table(name: &str) -> TableDescriptor {
    let column = |id, name: &str, sql_type| ColumnDescriptor {
        is_nullable: id > 1,
        default: (id == 2).then(|| "'x'".to_owned()),
        ..ColumnDescriptor::new(ColumnId(id), name, sql_type)
    };
    let by_note = IndexColumn {
        column: ColumnId(2),
        is_descending: true,
        is_nulls_first: true,
    };
    TableDescriptor {
        columns: vec![
            column(1, "id", SqlType::BigInt),
            column(2, "note", SqlType::Varchar(Some(10))),
            column(4, "at", SqlType::Vector(Some(3))),
        ],
        primary_key: vec![ColumnId(1)],
        primary_key_name: Some(format!("{name}_pkey")),
        indexes: vec![IndexDescriptor::new(IndexId(1), format!("{name}_note"), vec![by_note])],
        next_column: 5,
        next_index: 2,
        ..TableDescriptor::new(PUBLIC, name)
    }
}

/// Keys and values as storage would hold them.
#[derive(Default)]
struct Keys(BTreeMap<Vec<u8>, Vec<u8>>);

impl Keys {
    fn apply(&mut self, changes: Vec<KeyChange>) {
        for change in changes {
            assert!(range().contains(&change.key));
            match change.value {
                Some(value) => drop(self.0.insert(change.key, value)),
                None => drop(self.0.remove(&change.key)),
            }
        }
    }

    fn catalog(&self) -> Catalog {
        let catalog = Catalog::read(&self.0).expect("intact");
        let version = self.0.get(&version_key()).map(Vec::as_slice);
        assert_eq!(read_version(version).expect("intact"), catalog.version());
        catalog
    }
}

#[test]
fn objects_come_and_go_and_each_change_raises_the_version() {
    let mut keys = Keys::default();
    assert_eq!(keys.catalog().version(), 0);
    let (first, changes) = keys.catalog().create_table(table("t")).expect("new");
    keys.apply(changes);
    let (second, changes) = keys.catalog().create_table(table("u")).expect("new");
    keys.apply(changes);
    assert_eq!((first.id, second.id), (FIRST_TABLE, TableId(FIRST_TABLE.0 + 1)));
    let catalog = keys.catalog();
    assert_eq!((catalog.version(), catalog.table(PUBLIC, "t")), (2, Some(&first)));
    assert_eq!(catalog.table_of_index(PUBLIC, "u_note"), Some(&second));

    let mut altered = (*first).clone();
    altered.indexes.clear();
    keys.apply(catalog.alter_table(altered).1);
    let catalog = keys.catalog();
    assert_eq!(catalog.table_of_index(PUBLIC, "t_note"), None);
    keys.apply(catalog.drop_table(&second));
    let catalog = keys.catalog();
    assert!(catalog.object(PUBLIC, "u").is_none());
    let (third, _) = catalog.create_table(table("u")).expect("new again");
    assert_eq!(third.id, TableId(FIRST_TABLE.0 + 2), "an id is given once");

    let view = ViewDescriptor {
        schema: PUBLIC.to_owned(),
        name: "v".to_owned(),
        columns: Vec::new(),
        query_columns: Vec::new(),
        query: "SELECT 1".to_owned(),
        search_path: vec![PUBLIC.to_owned()],
        uses: vec![(PUBLIC.to_owned(), "t".to_owned())],
        comment: None,
        column_comments: Vec::new(),
    };
    keys.apply(keys.catalog().create_view(&view, false).expect("new"));
    let dependents = keys.catalog().dependents(PUBLIC, "t");
    assert!(matches!(&dependents[..], [Object::View(found)] if **found == view));
    assert!(keys.catalog().dependents(PUBLIC, "v").is_empty());
    assert_eq!(keys.catalog().objects_in(PUBLIC).len(), 2);
    assert!(keys.catalog().create_view(&view, false).is_err());
    assert!(keys.catalog().create_view(&view, true).is_ok());
    assert!(matches!(keys.catalog().object(PUBLIC, "v"), Some(Object::View(found)) if *found == view));
    keys.apply(keys.catalog().drop_view(&view));
    keys.apply(keys.catalog().create_schema("mine").expect("new"));
    assert!(keys.catalog().has_schema("mine"));
}

/// The catalog of a new database, made without reading anything, once gave its first table the id of the catalog itself, whose
/// rows then could not be told from descriptors.
#[test]
fn the_first_table_of_a_new_database_does_not_lie_in_the_catalog() {
    let (first, _) = Catalog::default().create_table(table("t")).expect("new");
    assert_eq!(first.id, FIRST_TABLE);
}

#[test]
fn names_that_cannot_be_are_refused() {
    let mut keys = Keys::default();
    keys.apply(keys.catalog().create_table(table("t")).expect("new").1);
    let catalog = keys.catalog();
    let state = |schema: &str, name: &str| catalog.check_new(schema, name, "table").expect_err("refused").state();
    assert_eq!(state(PUBLIC, "t"), SqlState::DUPLICATE_TABLE);
    assert_eq!(state(PUBLIC, "t_note"), SqlState::DUPLICATE_TABLE);
    assert_eq!(state("nowhere", "t"), SqlState::INVALID_SCHEMA_NAME);
    assert_eq!(state("aion", "t"), SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(state(PUBLIC, ""), SqlState::INVALID_NAME);
    assert_eq!(state(PUBLIC, &"x".repeat(64)), SqlState::NAME_TOO_LONG);
    assert_eq!(
        catalog.create_schema("pg_mine").expect_err("reserved").state(),
        SqlState::RESERVED_NAME
    );
    assert_eq!(
        catalog.create_schema("aion").expect_err("taken").state(),
        SqlState::DUPLICATE_SCHEMA
    );
}

#[test]
fn damaged_and_newer_descriptors_are_refused() {
    let mut keys = Keys::default();
    keys.apply(keys.catalog().create_table(table("t")).expect("new").1);
    let key = table_key(PUBLIC, "t");
    let intact = keys.0[&key].clone();
    for damaged in [Vec::new(), vec![5, b'{', b'}'], intact[..intact.len() - 2].to_vec()] {
        keys.0.insert(key.clone(), damaged);
        assert_eq!(Catalog::read(&keys.0).expect_err("refused").kind(), ErrorKind::Corrupt);
    }
}

/// The format is frozen: these bytes lie on disks.
#[test]
fn the_bytes_are_the_format() {
    let (table, _) = Catalog::read([("", ""); 0])
        .expect("empty")
        .create_table(table("t"))
        .expect("new");
    let bytes = descriptor::encode(descriptor::version_of(&table), &*table);
    assert_eq!(bytes[0], 2);
    assert_eq!(
        str::from_utf8(&bytes[1..]).expect("JSON"),
        concat!(
            r#"{"id":1000,"storage":1000,"schema":"public","name":"t","version":1,"columns":["#,
            r#"{"id":1,"name":"id","sql_type":"bigint","is_nullable":false,"default":null,"missing":null,"identity":null,"#,
            r#""generated":null,"comment":null},"#,
            r#"{"id":2,"name":"note","sql_type":"character varying(10)","is_nullable":true,"default":"'x'","missing":null,"#,
            r#""identity":null,"generated":null,"comment":null},"#,
            r#"{"id":4,"name":"at","sql_type":"vector(3)","is_nullable":true,"default":null,"missing":null,"identity":null,"#,
            r#""generated":null,"comment":null}],"#,
            r#""primary_key":[1],"primary_key_name":"t_pkey","indexes":[{"id":1,"name":"t_note","columns":["#,
            r#"{"column":2,"is_descending":true,"is_nulls_first":true}],"is_unique":false,"method":"ordered","#,
            r#""state":"readable","constraint":null,"is_nulls_equal":false,"included":[],"predicate":null,"comment":null}],"#,
            r#""next_column":5,"next_index":2,"dropped":[],"checks":[],"foreign_keys":[],"comment":null,"options":[]}"#
        )
    );
    // What a program without expressions would forget has a version of its own.
    let mut table = (*table).clone();
    table.indexes[0].columns[0].column = ColumnId::EXPRESSION;
    table.indexes[0].expressions.push(IndexExpression {
        text: "lower(note)".to_owned(),
        sql_type: SqlType::Text,
    });
    let bytes = descriptor::encode(descriptor::version_of(&table), &table);
    assert_eq!(bytes[0], 3);
    let json = str::from_utf8(&bytes[1..]).expect("JSON");
    let expected = r#""comment":null,"expressions":[{"text":"lower(note)","sql_type":"text"}]}],"next_column""#;
    assert!(json.contains(expected), "{json}");
    // A type that came later, too, also where it is that of a column that is gone.
    table.indexes[0].expressions[0].sql_type = SqlType::Jsonb;
    assert_eq!(descriptor::version_of(&table), 4);
    for later in [SqlType::Interval, SqlType::Array(ElementType::Text)] {
        table.indexes[0].expressions[0].sql_type = later;
        assert_eq!(descriptor::version_of(&table), 5);
    }
    let mood = EnumType::unresolved(1001).expect("known");
    for later in [SqlType::Enum(mood), SqlType::Array(ElementType::Enum(mood))] {
        table.indexes[0].expressions[0].sql_type = later;
        assert_eq!(descriptor::version_of(&table), 6);
    }
    table.indexes.clear();
    assert_eq!(descriptor::version_of(&table), 2);
    table.columns[1].sql_type = SqlType::Jsonb;
    let bytes = descriptor::encode(descriptor::version_of(&table), &table);
    assert_eq!(bytes[0], 4);
    let json = str::from_utf8(&bytes[1..]).expect("JSON");
    let expected = r#"{"id":2,"name":"note","sql_type":"jsonb","is_nullable":true,"default":"'x'""#;
    assert!(json.contains(expected), "{json}");
    let hex: String = table_key("public", "t")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, "000000000001017075626c6963000001740000");
}

/// Version 1 lies on disks, too: a table lay under its own id, and nothing of what came later was there.
#[test]
fn a_table_of_version_1_is_read() {
    let json = concat!(
        r#"{"id":1000,"schema":"public","name":"t","version":1,"columns":["#,
        r#"{"id":1,"name":"id","sql_type":"bigint","is_nullable":false,"default":null}],"#,
        r#""primary_key":[1],"primary_key_name":"t_pkey","indexes":[{"id":1,"name":"t_note","columns":["#,
        r#"{"column":1,"is_descending":true,"is_nulls_first":true}],"is_unique":false,"method":"ordered","#,
        r#""state":"readable"}],"next_column":5,"next_index":2}"#
    );
    let bytes = [&[1], json.as_bytes()].concat();
    let catalog = Catalog::read([(table_key(PUBLIC, "t"), bytes)]).expect("version 1");
    let table = catalog.table(PUBLIC, "t").expect("there");
    assert_eq!((table.storage, table.id), (TableId(1000), TableId(1000)));
    assert_eq!(
        table.columns[0],
        ColumnDescriptor {
            is_nullable: false,
            ..ColumnDescriptor::new(ColumnId(1), "id", SqlType::BigInt)
        }
    );
    assert_eq!(
        (table.indexes[0].constraint, table.checks.len(), table.dropped.len()),
        (None, 0, 0)
    );
}

/// Roles are read by themselves: whoever shows the catalog shows none of their secrets.
#[test]
fn roles_are_passed_over() {
    let (key, value) = (role_key("alice"), b"hunter2".to_vec());
    assert!(roles_range().contains(&key) && range().contains(&key));
    for other in [next_role_key(), mock_secret_key(), table_key(PUBLIC, "alice")] {
        assert!(!roles_range().contains(&other));
    }
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "00000000000701616c6963650000");
    let catalog = Catalog::read([(key, value)]).expect("a key of ours");
    let shown = format!("{catalog:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
}

#[test]
fn sequences_names_and_retired_ranges_are_changes_like_others() {
    let mut keys = Keys::default();
    let (first, changes) = keys.catalog().create_table(table("t")).expect("new");
    keys.apply(changes);
    let catalog = keys.catalog();
    let (id, taken) = catalog.next_id(0).expect("left");
    let sequence = SequenceDescriptor {
        id,
        schema: PUBLIC.to_owned(),
        name: "t_id_seq".to_owned(),
        data_type: "bigint".to_owned(),
        start: 1,
        increment: 1,
        min: 1,
        max: i64::MAX,
        cache: 1,
        is_cycle: false,
        owned_by: Some((first.id.0, ColumnId(1))),
        comment: None,
        state: 0,
        first: None,
    };
    keys.apply(vec![taken]);
    keys.apply(catalog.put_sequence(&sequence));
    let catalog = keys.catalog();
    assert_eq!(
        catalog.next_id(0).expect("left").0,
        id + 1,
        "ids of tables and sequences are one"
    );
    assert!(
        catalog
            .sequences()
            .any(|there| there.is_of(first.id, Some(ColumnId(1))))
    );
    assert!(!sequence.is_of(first.id, Some(ColumnId(2))) && sequence.is_of(first.id, None));
    let taken = catalog
        .check_new(PUBLIC, "t_id_seq", "table")
        .expect_err("the sequence has it");
    assert_eq!(taken.state(), SqlState::DUPLICATE_TABLE);

    let renamed = TableDescriptor {
        name: "u".to_owned(),
        ..(*first).clone()
    };
    assert!(
        catalog
            .rename_table(
                &first,
                TableDescriptor {
                    name: "t_id_seq".to_owned(),
                    ..renamed.clone()
                }
            )
            .is_err()
    );
    keys.apply(catalog.rename_table(&first, renamed).expect("free").1);
    let catalog = keys.catalog();
    assert!(catalog.table(PUBLIC, "t").is_none());
    assert_eq!(
        catalog.table_by_id(first.id).map(|table| table.name.as_str()),
        Some("u")
    );

    let range = KeyRange::table(first.storage);
    let version = keys.catalog().version();
    keys.apply(vec![retire(&range)]);
    let (key, end) = keys
        .0
        .iter()
        .find(|(key, _)| retired_range().contains(key))
        .expect("there");
    assert_eq!(read_retired(key, end).expect("one of ours"), range);
    keys.apply(vec![unretire(&range)]);
    assert!(!keys.0.keys().any(|key| retired_range().contains(key)));
    assert_eq!(keys.catalog().version(), version);
    keys.apply(keys.catalog().drop_sequence(&sequence));
    assert_eq!(keys.catalog().sequences().count(), 0);
}

fn mood() -> EnumDescriptor {
    let labels = ["sad", "ok"].map(str::to_owned);
    EnumDescriptor::new(PUBLIC, "mood", &labels).expect("two labels")
}

/// Enums lie on disks as these bytes, and tables name them by their ids.
#[test]
fn the_bytes_of_enums_are_the_format() {
    let mut keys = Keys::default();
    let (_, changes) = keys.catalog().create_table(table("t")).expect("new");
    keys.apply(changes);
    keys.apply(keys.catalog().create_enum(mood()).expect("new"));
    let catalog = keys.catalog();
    let of = catalog.enum_type(PUBLIC, "mood").expect("there");
    let more = of.descriptor().with_label("happy", Place::Before("ok")).expect("room");
    keys.apply(catalog.alter_enum(of, &more).expect("the same name"));
    let catalog = keys.catalog();
    let of = catalog.enum_type(PUBLIC, "mood").expect("there");
    let expected = concat!(
        "\u{1}",
        r#"{"id":1001,"schema":"public","name":"mood","labels":[{"text":"sad","position":0},"#,
        r#"{"text":"happy","position":8796093022208},{"text":"ok","position":17592186044416}]}"#
    );
    let key = enum_key(PUBLIC, "mood");
    assert_eq!(str::from_utf8(&keys.0[&key]).expect("JSON"), expected);
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "000000000008017075626c69630000016d6f6f640000");
    assert_eq!(
        (of.oid(), of.array_oid()),
        (17_408, 17_409),
        "frozen, too: clients keep them"
    );

    let mut with = TableDescriptor::clone(catalog.table(PUBLIC, "t").expect("there"));
    with.columns[1].sql_type = SqlType::Enum(of);
    with.columns[1].missing = Some("happy".to_owned());
    with.columns[2].sql_type = SqlType::Array(ElementType::Enum(of));
    keys.apply(catalog.alter_table(with).1);
    let bytes = &keys.0[&table_key(PUBLIC, "t")];
    assert_eq!(bytes[0], 6);
    let json = str::from_utf8(&bytes[1..]).expect("JSON");
    for expected in [
        r#""name":"note","sql_type":"enum 1001","is_nullable":true,"default":"'x'","missing":"happy""#,
        r#""name":"at","sql_type":"enum 1001[]""#,
    ] {
        assert!(json.contains(expected), "{json}");
    }
}

#[test]
fn enums_come_and_go_and_tables_have_their_newest_labels() {
    let mut keys = Keys::default();
    keys.apply(keys.catalog().create_enum(mood()).expect("new"));
    let catalog = keys.catalog();
    let of = catalog.enum_type(PUBLIC, "mood").expect("there");
    let mut with = table("t");
    with.columns[1].sql_type = SqlType::Enum(of);
    keys.apply(catalog.create_table(with).expect("new").1);
    let catalog = keys.catalog();
    assert_eq!(catalog.tables_with(of).count(), 1);
    assert_eq!(catalog.type_of_oid(of.oid()), Some(SqlType::Enum(of)));
    for (error, state) in [
        (catalog.create_enum(mood()).expect_err("there"), "42710"),
        (
            catalog
                .create_enum(EnumDescriptor {
                    name: "t".to_owned(),
                    ..mood()
                })
                .expect_err("a table's"),
            "42710",
        ),
        (
            catalog.check_new(PUBLIC, "mood", "table").expect_err("a type's"),
            "42710",
        ),
    ] {
        assert_eq!(error.state().as_str(), state, "{error}");
    }

    let renamed = EnumDescriptor {
        name: "feeling".to_owned(),
        ..of.descriptor().with_renamed("ok", "fine").expect("there")
    };
    keys.apply(catalog.alter_enum(of, &renamed).expect("free"));
    let catalog = keys.catalog();
    let now = catalog.enum_type(PUBLIC, "feeling").expect("there");
    assert!(catalog.enum_type(PUBLIC, "mood").is_none() && now.oid() == of.oid());
    let table = catalog.table(PUBLIC, "t").expect("there");
    assert_eq!(
        table.columns[1].sql_type,
        SqlType::Enum(now),
        "the table knows the name and the labels"
    );

    // A table without its type is no table.
    let mut without = Keys(keys.0.clone());
    without.apply(catalog.drop_enum(now));
    let error = Catalog::read(&without.0).expect_err("no type");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    keys.apply(catalog.drop_table(table));
    keys.apply(keys.catalog().drop_enum(now));
    assert_eq!(keys.catalog().enums().count(), 0);
}
