//! DDL as changes of keys, read back.

use super::*;
use crate::descriptor::{ColumnDescriptor, ColumnId, IndexColumn, IndexDescriptor, IndexMethod, IndexState};
use crate::types::SqlType;

fn table(name: &str) -> TableDescriptor {
    let column = |id, name: &str, sql_type| ColumnDescriptor {
        id: ColumnId(id),
        name: name.to_owned(),
        sql_type,
        is_nullable: id > 1,
        default: (id == 2).then(|| "'x'".to_owned()),
    };
    TableDescriptor {
        id: TableId(0),
        schema: PUBLIC.to_owned(),
        name: name.to_owned(),
        version: 0,
        columns: vec![
            column(1, "id", SqlType::BigInt),
            column(2, "note", SqlType::Varchar(Some(10))),
            column(4, "at", SqlType::Vector(Some(3))),
        ],
        primary_key: vec![ColumnId(1)],
        primary_key_name: Some(format!("{name}_pkey")),
        indexes: vec![IndexDescriptor {
            id: IndexId(1),
            name: format!("{name}_note"),
            columns: vec![IndexColumn {
                column: ColumnId(2),
                is_descending: true,
                is_nulls_first: true,
            }],
            is_unique: false,
            method: IndexMethod::Ordered,
            state: IndexState::Readable,
        }],
        next_column: 5,
        next_index: 2,
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
    };
    keys.apply(keys.catalog().create_view(&view, false).expect("new"));
    let dropped = keys
        .catalog()
        .check_unused(PUBLIC, "t", "table", &[])
        .expect_err("the view");
    assert_eq!(dropped.state(), SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    assert!(keys.catalog().check_unused(PUBLIC, "v", "view", &[]).is_ok());
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
    for damaged in [Vec::new(), vec![2, b'{', b'}'], intact[..intact.len() - 2].to_vec()] {
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
    let bytes = descriptor::encode(&*table);
    assert_eq!(bytes[0], 1);
    assert_eq!(
        str::from_utf8(&bytes[1..]).expect("JSON"),
        concat!(
            r#"{"id":1000,"schema":"public","name":"t","version":1,"columns":["#,
            r#"{"id":1,"name":"id","sql_type":"bigint","is_nullable":false,"default":null},"#,
            r#"{"id":2,"name":"note","sql_type":"character varying(10)","is_nullable":true,"default":"'x'"},"#,
            r#"{"id":4,"name":"at","sql_type":"vector(3)","is_nullable":true,"default":null}],"#,
            r#""primary_key":[1],"primary_key_name":"t_pkey","indexes":[{"id":1,"name":"t_note","columns":["#,
            r#"{"column":2,"is_descending":true,"is_nulls_first":true}],"is_unique":false,"method":"ordered","#,
            r#""state":"readable"}],"next_column":5,"next_index":2}"#
        )
    );
    let hex: String = table_key("public", "t")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, "000000000001017075626c6963000001740000");
}
