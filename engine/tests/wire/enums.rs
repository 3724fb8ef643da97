//! Enums on the wire: OIDs of their own that stay, labels in both forms, and what survives a kill between two states of a type.

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls};

use super::Process;

type Problem = Box<dyn std::error::Error + Sync + Send>;

/// A label, as the bytes that are sent of it: in the binary form, which this client asks for.
#[derive(Debug, PartialEq)]
struct Label(String);

fn label(text: &str) -> Label {
    Label(text.to_owned())
}

impl<'a> FromSql<'a> for Label {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Problem> {
        Ok(Self(std::str::from_utf8(raw)?.to_owned()))
    }

    fn accepts(of: &Type) -> bool {
        matches!(of.kind(), Kind::Enum(_))
    }
}

impl ToSql for Label {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Problem> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        matches!(of.kind(), Kind::Enum(_))
    }

    to_sql_checked!();
}

async fn connect(port: u16) -> Client {
    let text = format!("host=127.0.0.1 port={port} user=aion dbname=aion");
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

async fn oid(client: &Client) -> u32 {
    let row = client
        .query_one("SELECT oid FROM pg_type WHERE typname = 'mood'", &[])
        .await;
    row.expect("a type").get(0)
}

fn labels(of: &Type) -> Vec<&str> {
    match of.kind() {
        Kind::Enum(labels) => labels.iter().map(String::as_str).collect(),
        other => panic!("{other:?} is no enum"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enum_has_an_oid_of_its_own_and_labels_in_both_forms() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut server = Process::start(&data, &[]);
    let client = connect(server.port).await;
    client
        .batch_execute(
            "CREATE TABLE before (a integer); CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); \
             CREATE TYPE color AS ENUM ('red'); CREATE TABLE t (id integer PRIMARY KEY, m mood, ms mood[]); \
             INSERT INTO t VALUES (1, 'happy', '{sad,NULL,ok}'), (2, 'sad', NULL), (3, NULL, '{}')",
        )
        .await
        .expect("made");
    let first = oid(&client).await;
    assert!(first >= 16_384, "{first} is among PostgreSQL's own");

    // ParameterDescription and RowDescription.
    let by_label = client
        .prepare("SELECT m, ms, id FROM t WHERE m = $1")
        .await
        .expect("planned");
    assert_eq!(by_label.params()[0].oid(), first);
    assert_eq!(labels(&by_label.params()[0]), ["sad", "ok", "happy"]);
    assert_eq!(by_label.columns()[0].type_().oid(), first);
    let Kind::Array(element) = by_label.columns()[1].type_().kind() else {
        panic!("{:?} is no array", by_label.columns()[1].type_());
    };
    assert_eq!(element.oid(), first);
    let row = client.query_one(&by_label, &[&label("happy")]).await.expect("a row");
    assert_eq!(row.get::<_, Label>(0), label("happy"));
    assert_eq!(
        row.get::<_, Vec<Option<Label>>>(1),
        [Some(label("sad")), None, Some(label("ok"))]
    );
    let error = client
        .query_one(&by_label, &[&label("angry")])
        .await
        .expect_err("no label");
    let error = error.as_db_error().expect("the server's");
    assert_eq!(
        (error.code().code(), error.message()),
        ("22P02", "invalid input value for enum mood: \"angry\"")
    );

    // Parse with the OID, of a parameter and of an array of it.
    let of_type = Type::new("mood".into(), first, Kind::Enum(Vec::new()), "public".into());
    let array: u32 = client
        .query_one("SELECT typarray FROM pg_type WHERE oid = $1", &[&first])
        .await
        .expect("a type")
        .get(0);
    let of_array = Type::new("_mood".into(), array, Kind::Array(of_type.clone()), "public".into());
    let typed = client
        .prepare_typed(
            "SELECT $1, $1 > 'sad', $2, id FROM t WHERE m = ANY($2)",
            &[of_type, of_array],
        )
        .await
        .expect("planned");
    assert_eq!([typed.params()[0].oid(), typed.params()[1].oid()], [first, array]);
    let row = client
        .query_one(&typed, &[&label("ok"), &vec![label("happy"), label("ok")]])
        .await
        .expect("a row");
    assert_eq!(
        (row.get::<_, Label>(0), row.get::<_, bool>(1), row.get::<_, i32>(3)),
        (label("ok"), true, 1)
    );
    assert_eq!(row.get::<_, Vec<Label>>(2), [label("happy"), label("ok")]);
    let insert = client
        .prepare("INSERT INTO t VALUES ($1, $2, $3)")
        .await
        .expect("planned");
    let ms = vec![Some(label("ok")), None];
    client
        .execute(&insert, &[&4, &label("ok"), &ms])
        .await
        .expect("written");
    let unknown = Type::new("other".into(), 999_999, Kind::Simple, "public".into());
    let error = client
        .prepare_typed("SELECT $1", &[unknown])
        .await
        .expect_err("no type");
    assert_eq!(error.code().expect("a state").code(), "42704");

    // Another state of the type: what was prepared goes on, and knows the new label.
    client
        .batch_execute("ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok'")
        .await
        .expect("added");
    client
        .execute(&insert, &[&5, &label("meh"), &None::<Vec<Label>>])
        .await
        .expect("written");
    drop(client);
    server.signal("-KILL");

    let mut server = Process::start(&data, &[]);
    let client = connect(server.port).await;
    assert_eq!(oid(&client).await, first, "it stays");
    let all = client
        .prepare("SELECT m FROM t WHERE m IS NOT NULL ORDER BY m")
        .await
        .expect("planned");
    assert_eq!(labels(all.columns()[0].type_()), ["sad", "meh", "ok", "happy"]);
    let found: Vec<Label> = client
        .query(&all, &[])
        .await
        .expect("rows")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(found, ["sad", "meh", "ok", "happy"].map(label));
    client
        .batch_execute("ALTER TYPE mood RENAME VALUE 'meh' TO 'so so'; ALTER TYPE mood RENAME TO feeling; ALTER TYPE feeling RENAME TO mood")
        .await
        .expect("changed");
    drop(client);
    assert!(server.signal("-TERM").success());

    let server = Process::start(&data, &[]);
    let client = connect(server.port).await;
    assert_eq!(oid(&client).await, first);
    let found = client
        .query_one("SELECT array_agg(m::text ORDER BY m) FROM t WHERE m < 'happy'", &[])
        .await;
    assert_eq!(found.expect("a row").get::<_, Vec<String>>(0), ["sad", "so so", "ok"]);
}

#[test]
fn psql_describes_types_and_their_columns() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Process::start(&dir.path().join("data"), &[]);
    let (ok, output, errors) = server.psql(
        &["-q"],
        "CREATE TYPE mood AS ENUM ('sad', 'ok');\nCREATE SCHEMA s;\nCREATE TYPE s.\"Level\" AS ENUM ('low');\n\
         CREATE TABLE t (id integer PRIMARY KEY, m mood DEFAULT 'ok' CHECK (m <> 'sad'), l s.\"Level\"[]);\n\\dT\n\\dT s.*\n\\d t\nSELECT pg_get_constraintdef(oid, true) FROM pg_constraint WHERE conname = 't_m_check';\n",
    );
    assert!(ok && errors.is_empty(), "{errors}");
    for line in [
        "public|mood|",
        "s|s.\"Level\"|",
        "m|mood|||'ok'::mood",
        "l|s.\"Level\"[]|||",
        "CHECK (m <> 'sad'::mood)",
    ] {
        assert!(output.contains(line), "{line} is not in\n{output}");
    }
}
