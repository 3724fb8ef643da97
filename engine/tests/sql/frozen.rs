//! Databases of format 1, frozen: today's code must read them for ever.
//!
//! Each is a directory that was closed, written once from its statements and not written again; `crash/fixture.rs` does the same for
//! the log and the rows below. `fixtures/format-1-sql.tar.gz` has tables of every type, indexes, a graph, a view, statistics and a saved
//! vector index, with descriptors of version 1. `fixtures/format-1-tables-2.tar.gz` has what came with version 2: altered and truncated
//! tables, constraints, sequences, identity columns, comments, a role. `fixtures/format-1-documents.tar.gz` has json and jsonb: in rows, in
//! keys of each kind of index, and as values of columns that were added. `fixtures/format-1-enums.tar.gz` has enums, and tables of version 6.
//! `fixtures/format-1-times.tar.gz` has times of day and times with fewer digits, tables of version 8, and a materialized view, version 7.

use std::path::{Path, PathBuf};

use aion_db::{Database, DatabaseOptions};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::crash::directory::files;
use crate::nearest::Client;

const FIXTURE: &str = "fixtures/format-1-sql.tar.gz";
const TABLES_2: &str = "fixtures/format-1-tables-2.tar.gz";
const ENUMS: &str = "fixtures/format-1-enums.tar.gz";
const TIMES: &str = "fixtures/format-1-times.tar.gz";
const DOCUMENTS: &str = "fixtures/format-1-documents.tar.gz";

/// What the database was made with.
const STATEMENTS: &[&str] = &[
    "CREATE SCHEMA store",
    "CREATE TABLE every (id integer PRIMARY KEY, b boolean, s smallint, l bigint, r real, d double precision, n numeric(12,3), \
     t text DEFAULT 'none', v varchar(5), y bytea, day date, ts timestamp, tz timestamptz, u uuid, j json, p vector(3))",
    "INSERT INTO every VALUES (1, true, -7, 9223372036854775807, 0.5, 0.1, -123.456, 'ä''\\', 'five', '\\x00ff', '2013-02-28', \
     '2013-01-01 05:06:07.5', '2013-01-01 05:00:00+00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": [1, null]}', '[1,2.5,-3]')",
    "INSERT INTO every (id) VALUES (-2147483648)",
    "INSERT INTO every (id, t) VALUES (2, NULL)",
    "CREATE TABLE store.parts (maker text, number bigint, price numeric(8,2) NOT NULL, PRIMARY KEY (maker, number))",
    "INSERT INTO store.parts SELECT 'm' || (i % 3), i, i / 4.0 FROM generate_series(1, 300) AS g(i)",
    "CREATE INDEX parts_price ON store.parts (price DESC NULLS LAST, maker)",
    "CREATE UNIQUE INDEX parts_number ON store.parts (number)",
    "CREATE TABLE keyless (a integer, b text)",
    "INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (NULL, NULL)",
    "CREATE TABLE city (code text PRIMARY KEY, name text NOT NULL)",
    "CREATE TABLE road (id integer PRIMARY KEY, a text, b text, km integer)",
    "INSERT INTO city VALUES ('A', 'Aachen'), ('B', 'Bonn'), ('C', 'Celle')",
    "INSERT INTO road VALUES (1, 'A', 'B', 90), (2, 'B', 'C', 350), (3, 'C', 'A', NULL), (4, 'A', 'nowhere', 1)",
    "CREATE PROPERTY GRAPH map VERTEX TABLES (city KEY (code) LABEL city PROPERTIES (code, name)) EDGE TABLES (road KEY (id) \
     SOURCE KEY (a) REFERENCES city (code) DESTINATION KEY (b) REFERENCES city (code) LABEL road PROPERTIES (id, km))",
    "CREATE VIEW cheap (maker, parts) AS SELECT maker, count(*) FROM store.parts WHERE price < 10 GROUP BY maker",
    "CREATE TABLE points (id integer PRIMARY KEY, at vector(2))",
    "INSERT INTO points SELECT i, CAST('[' || i || ',' || (i % 7) || ']' AS vector(2)) FROM generate_series(1, 600) AS g(i)",
    "CREATE INDEX points_at ON points USING hnsw (at vector_l2_ops) WITH (m = 8, ef_construction = 32)",
    "DELETE FROM points WHERE id = 100",
    "ANALYZE",
];

/// Questions and their answers, written down rather than computed by the code under test.
const ANSWERS: &[(&str, &[&[&str]])] = &[
    (
        "SELECT id, b, s, l, r, d, n, t, v FROM every ORDER BY id",
        &[
            &["-2147483648", "-", "-", "-", "-", "-", "-", "none", "-"],
            &[
                "1",
                "t",
                "-7",
                "9223372036854775807",
                "0.5",
                "0.1",
                "-123.456",
                "ä'\\",
                "five",
            ],
            &["2", "-", "-", "-", "-", "-", "-", "-", "-"],
        ],
    ),
    (
        "SELECT y, day, ts, tz, u, j, p FROM every WHERE id = 1",
        &[&[
            "\\x00ff",
            "2013-02-28",
            "2013-01-01 05:06:07.5",
            "2013-01-01 05:00:00+00",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "{\"a\": [1, null]}",
            "[1,2.5,-3]",
        ]],
    ),
    (
        "SELECT maker, number, price FROM store.parts WHERE maker = 'm1' AND number > 290 ORDER BY number",
        &[
            &["m1", "292", "73.00"],
            &["m1", "295", "73.75"],
            &["m1", "298", "74.50"],
        ],
    ),
    (
        "SELECT number FROM store.parts ORDER BY price DESC NULLS LAST, maker LIMIT 2",
        &[&["300"], &["299"]],
    ),
    ("SELECT maker FROM store.parts WHERE number = 7", &[&["m1"]]),
    ("SELECT count(*), count(a), sum(a) FROM keyless", &[&["3", "2", "2"]]),
    (
        "SELECT * FROM cheap ORDER BY maker",
        &[&["m0", "13"], &["m1", "13"], &["m2", "13"]],
    ),
    (
        "SELECT x, y, km FROM GRAPH_TABLE (map MATCH (a IS city)-[e IS road]->(b IS city) \
         COLUMNS (a.name AS x, b.name AS y, e.km AS km)) ORDER BY x",
        &[
            &["Aachen", "Bonn", "90"],
            &["Bonn", "Celle", "350"],
            &["Celle", "Aachen", "-"],
        ],
    ),
    (
        "SELECT id FROM points ORDER BY at <-> '[100,2]', id LIMIT 3",
        &[&["99"], &["101"], &["98"]],
    ),
    (
        "SELECT indexname FROM pg_indexes WHERE schemaname = 'store' ORDER BY 1",
        &[&["parts_number"], &["parts_pkey"], &["parts_price"]],
    ),
];

/// What the second one was made with.
const STATEMENTS_2: &[&str] = &[
    "CREATE TABLE altered (id serial PRIMARY KEY, gone text, kept integer, wide character(5) DEFAULT 'ab')",
    "INSERT INTO altered (gone, kept) VALUES ('x', 1), ('y', 2)",
    "ALTER TABLE altered DROP COLUMN gone, ADD COLUMN added numeric(6,2) DEFAULT 2.5, ADD CONSTRAINT small CHECK (kept < 100), \
     ADD CONSTRAINT one UNIQUE (kept)",
    "INSERT INTO altered (kept, added) VALUES (3, NULL)",
    "CREATE TABLE numbered (n bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5), t text)",
    "INSERT INTO numbered (t) VALUES ('a'), ('b')",
    "CREATE TABLE emptied (a integer PRIMARY KEY) WITH (fillfactor = 70)",
    "INSERT INTO emptied VALUES (1), (2)",
    "TRUNCATE emptied",
    "INSERT INTO emptied VALUES (3)",
    "CREATE SEQUENCE apart MINVALUE -5 MAXVALUE 5 START 4 CYCLE",
    "SELECT nextval('apart')",
    "COMMENT ON TABLE altered IS 'it was altered'",
    "COMMENT ON COLUMN altered.kept IS 'it was kept'",
    "CREATE TABLE dropped (a integer)",
    "DROP TABLE dropped",
    "CREATE ROLE reader LOGIN CONNECTION LIMIT 3",
];

/// Questions about it that change nothing, asked each time it is opened.
const ANSWERS_2: &[(&str, &[&[&str]])] = &[
    (
        "SELECT id, kept, wide, added FROM altered ORDER BY id",
        &[
            &["1", "1", "ab   ", "2.50"],
            &["2", "2", "ab   ", "2.50"],
            &["3", "3", "ab   ", "-"],
        ],
    ),
    ("SELECT n, t FROM numbered ORDER BY n", &[&["10", "a"], &["15", "b"]]),
    ("SELECT a FROM emptied", &[&["3"]]),
    ("SELECT last_value, is_called FROM apart", &[&["4", "t"]]),
    (
        "SELECT obj_description('altered'::regclass, 'pg_class')",
        &[&["it was altered"]],
    ),
    (
        "SELECT conname FROM pg_constraint WHERE conrelid = 'altered'::regclass ORDER BY 1",
        &[&["altered_pkey"], &["one"], &["small"]],
    ),
    (
        "SELECT rolcanlogin, rolconnlimit FROM pg_roles WHERE rolname = 'reader'",
        &[&["t", "3"]],
    ),
];

/// What the third one was made with.
const STATEMENTS_DOCUMENTS: &[&str] = &[
    "CREATE TABLE docs (id integer PRIMARY KEY, doc jsonb DEFAULT '{\"d\": 1}', txt json, CHECK (jsonb_typeof(doc) <> 'null'))",
    "INSERT INTO docs VALUES (1, '{\"bb\": [1.50, \"x\", null, true], \"a\": {\"ä\": -2e3}}', '{\"b\" :  1}'), (2, '[]', '[]'), (3, NULL, NULL), \
     (4, '\"text\"', '\"t\"'), (5, '-0.125', '1e3'), (6, '[[], {}]', '1')",
    "INSERT INTO docs SELECT i, to_jsonb(-i), NULL FROM generate_series(100, 499) AS g(i)",
    "CREATE UNIQUE INDEX docs_doc ON docs (doc)",
    "CREATE INDEX docs_back ON docs (doc DESC, id) INCLUDE (txt)",
    "CREATE INDEX docs_covered ON docs (id DESC) INCLUDE (doc)",
    "CREATE INDEX docs_a ON docs ((doc -> 'a')) WHERE doc ? 'a'",
    "CREATE TABLE keyed (doc jsonb PRIMARY KEY, v integer)",
    "INSERT INTO keyed VALUES ('{\"a\": 1.0}', 1), ('[1, 2]', 2), ('false', 3), ('12345678901234567890.5', 4), ('\"\"', 5)",
    "ALTER TABLE keyed ADD COLUMN added jsonb DEFAULT '{\"added\": [1.10]}', ADD COLUMN words json DEFAULT '{ }'",
    "INSERT INTO keyed VALUES ('[]', 6, NULL, NULL)",
    "ANALYZE",
];

/// Questions about it that change nothing.
const ANSWERS_DOCUMENTS: &[(&str, &[&[&str]])] = &[
    (
        "SELECT id, doc, txt FROM docs WHERE id < 100 ORDER BY id",
        &[
            &[
                "1",
                "{\"a\": {\"ä\": -2000}, \"bb\": [1.50, \"x\", null, true]}",
                "{\"b\" :  1}",
            ],
            &["2", "[]", "[]"],
            &["3", "-", "-"],
            &["4", "\"text\"", "\"t\""],
            &["5", "-0.125", "1e3"],
            &["6", "[[], {}]", "1"],
        ],
    ),
    ("SELECT id FROM docs WHERE doc = '-0.12500'", &[&["5"]]),
    ("SELECT count(*) FROM docs WHERE doc < '-300'", &[&["201"]]),
    (
        "SELECT id, txt FROM docs WHERE doc > '0' ORDER BY doc DESC, id LIMIT 2",
        &[&["1", "{\"b\" :  1}"], &["6", "1"]],
    ),
    (
        "SELECT id, doc FROM docs WHERE id > 4 AND id < 100 ORDER BY id DESC",
        &[&["6", "[[], {}]"], &["5", "-0.125"]],
    ),
    (
        "SELECT id FROM docs WHERE doc ? 'a' AND doc -> 'a' = '{\"ä\": -2000.0}'",
        &[&["1"]],
    ),
    (
        "SELECT doc, v, added, words FROM keyed ORDER BY doc",
        &[
            &["[]", "6", "-", "-"],
            &["\"\"", "5", "{\"added\": [1.10]}", "{ }"],
            &["12345678901234567890.5", "4", "{\"added\": [1.10]}", "{ }"],
            &["false", "3", "{\"added\": [1.10]}", "{ }"],
            &["[1, 2]", "2", "{\"added\": [1.10]}", "{ }"],
            &["{\"a\": 1.0}", "1", "{\"added\": [1.10]}", "{ }"],
        ],
    ),
    ("SELECT v FROM keyed WHERE doc = '{\"a\": 1}'", &[&["1"]]),
];

/// What the fourth one was made with.
const STATEMENTS_ENUMS: &[&str] = &[
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE SCHEMA s",
    "CREATE TYPE s.level AS ENUM ('low', 'high')",
    "CREATE TABLE felt (m mood PRIMARY KEY, l s.level DEFAULT 'high', ms mood[], id integer)",
    "INSERT INTO felt VALUES ('happy', 'low', '{sad,NULL}', 1), ('sad', DEFAULT, '{}', 2), ('ok', NULL, NULL, 3)",
    "CREATE INDEX felt_l ON felt (l DESC, id)",
    "CREATE INDEX felt_part ON felt (id) WHERE m > 'sad'",
    "ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok'",
    "ALTER TYPE mood ADD VALUE 'worst' BEFORE 'sad'",
    "INSERT INTO felt VALUES ('meh', 'low', '{meh,worst}', 4), ('worst', 'low', NULL, 5)",
    "ALTER TABLE felt ADD COLUMN added mood NOT NULL DEFAULT 'meh', ADD CHECK (added <> 'worst')",
    "ALTER TYPE mood RENAME VALUE 'meh' TO 'so so'",
    "ALTER TYPE mood RENAME TO feeling",
    "ALTER TABLE felt DROP COLUMN ms",
    "CREATE VIEW good AS SELECT id, m FROM felt WHERE m > 'ok'::feeling",
    "CREATE TYPE gone AS ENUM ('x')",
    "DROP TYPE gone",
    "ANALYZE felt",
];

/// Questions about it that change nothing.
const ANSWERS_ENUMS: &[(&str, &[&[&str]])] = &[
    (
        "SELECT m, l, id, added FROM felt ORDER BY m",
        &[
            &["worst", "low", "5", "so so"],
            &["sad", "high", "2", "so so"],
            &["so so", "low", "4", "so so"],
            &["ok", "-", "3", "so so"],
            &["happy", "low", "1", "so so"],
        ],
    ),
    ("SELECT id FROM felt WHERE m = 'so so'", &[&["4"]]),
    (
        "SELECT id FROM felt WHERE m > 'sad' AND m < 'happy' ORDER BY m DESC",
        &[&["3"], &["4"]],
    ),
    (
        "SELECT id FROM felt WHERE l = 'low' ORDER BY id",
        &[&["1"], &["4"], &["5"]],
    ),
    ("SELECT * FROM good", &[&["1", "happy"]]),
    (
        "SELECT enum_range(NULL, 'happy'::feeling)::text",
        &[&["{worst,sad,\"so so\",ok,happy}"]],
    ),
    ("SELECT oid FROM pg_type WHERE typname = 'feeling'", &[&["16384"]]),
];

/// What the fifth one was made with.
const STATEMENTS_TIMES: &[&str] = &[
    "CREATE TABLE clocks (a time PRIMARY KEY, b time(0), c timestamp(3), d timestamptz(1), e time(2)[], f timestamp(0)[], id integer)",
    "INSERT INTO clocks VALUES ('10:20:30.5', '10:20:30.5', '2020-01-01 00:00:00.0005', '2020-01-01 00:00:00.25+00', '{10:00:00.126,NULL}', \
     '{2020-01-01 00:00:00.5}', 1), ('24:00', NULL, '1999-12-31 23:59:59.9996', NULL, NULL, '{}', 2), ('00:00', '23:59:59.5', NULL, NULL, '{}', NULL, 3)",
    "CREATE INDEX clocks_b ON clocks (b DESC, id)",
    "CREATE UNIQUE INDEX clocks_c ON clocks (c) INCLUDE (d)",
    "CREATE INDEX clocks_later ON clocks ((a + interval '1 hour'))",
    "ALTER TABLE clocks ADD COLUMN added time(1) NOT NULL DEFAULT '01:00:00.07'",
    "ALTER TABLE clocks ADD CHECK (b >= '00:00')",
    "CREATE MATERIALIZED VIEW hours AS SELECT id, a, c FROM clocks WHERE a < '12:00'",
    "CREATE UNIQUE INDEX hours_id ON hours (id)",
    "ANALYZE clocks",
];

/// Questions about it that change nothing.
const ANSWERS_TIMES: &[(&str, &[&[&str]])] = &[
    (
        "SELECT a, b, c, d, e, f, added FROM clocks ORDER BY a",
        &[
            &["00:00:00", "24:00:00", "-", "-", "{}", "-", "01:00:00.1"],
            &[
                "10:20:30.5",
                "10:20:31",
                "2020-01-01 00:00:00.001",
                "2020-01-01 00:00:00.3+00",
                "{10:00:00.13,NULL}",
                "{\"2020-01-01 00:00:01\"}",
                "01:00:00.1",
            ],
            &["24:00:00", "-", "2000-01-01 00:00:00", "-", "-", "{}", "01:00:00.1"],
        ],
    ),
    ("SELECT id FROM clocks WHERE b = '24:00'", &[&["3"]]),
    (
        "SELECT d FROM clocks WHERE c = '2020-01-01 00:00:00.001'",
        &[&["2020-01-01 00:00:00.3+00"]],
    ),
    (
        "SELECT id FROM clocks WHERE a + interval '1 hour' = '11:20:30.5'",
        &[&["1"]],
    ),
    (
        "SELECT id, a FROM hours ORDER BY id",
        &[&["1", "10:20:30.5"], &["3", "00:00:00"]],
    ),
    (
        "SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute \
         WHERE attrelid = 'clocks'::regclass AND attnum BETWEEN 1 AND 4",
        &[&[
            "time without time zone, time(0) without time zone, timestamp(3) without time zone, timestamp(1) with time zone",
        ]],
    ),
];

fn path(fixture: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture)
}

fn open(directory: &Path) -> Database {
    let database = Database::open(directory, DatabaseOptions::default()).expect("it opens");
    database.wait_for_indexes().expect("read or built");
    database
}

fn write_fixture(fixture: &str, statements: &[&str]) {
    let dir = tempfile::tempdir().expect("a directory");
    let database = open(dir.path());
    let mut client = Client::new(&database);
    for statement in statements {
        client.query(statement, &[]);
    }
    drop(client);
    database.close().expect("closed");
    let file = std::fs::File::create(path(fixture)).expect("created");
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    for name in files(dir.path()) {
        // RocksDB's own diary, with paths of the machine in it, and a lock that names a process.
        if name != Path::new("LOCK") && !name.starts_with("data/LOG") && name != Path::new("data/LOCK") {
            archive
                .append_path_with_name(dir.path().join(&name), &name)
                .expect("packed");
        }
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("written");
}

/// The directory that a fixture holds.
fn unpacked(fixture: &str, statements: &[&str]) -> tempfile::TempDir {
    if !path(fixture).exists() && std::env::var_os("AION_BLESS").is_some() {
        write_fixture(fixture, statements);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file =
        std::fs::File::open(path(fixture)).expect("the fixture is there; AION_BLESS=1 writes one that is missing");
    tar::Archive::new(GzDecoder::new(file))
        .unpack(dir.path())
        .expect("unpacked");
    dir
}

#[test]
fn tables_of_version_2_are_read_and_go_on() {
    let dir = unpacked(TABLES_2, STATEMENTS_2);
    for round in 0..2 {
        let database = open(dir.path());
        let mut client = Client::new(&database);
        for (question, answer) in ANSWERS_2 {
            assert_eq!(client.query(question, &[]), *answer, "{question}, round {round}");
        }
        for (wrong, state) in [
            ("INSERT INTO altered (kept) VALUES (100)", "23514"),
            ("INSERT INTO altered (kept) VALUES (2)", "23505"),
            ("INSERT INTO altered (kept, wide) VALUES (9, 'toolong')", "22001"),
            ("INSERT INTO numbered (n) VALUES (1)", "428C9"),
            ("SELECT * FROM dropped", "42P01"),
        ] {
            let error = client.run(wrong, &[]).expect_err(wrong);
            assert_eq!(error.state().as_str(), state, "{wrong}");
        }
        drop(client);
        database.close().expect("closed");
    }
    let database = open(dir.path());
    let mut client = Client::new(&database);
    assert_eq!(
        client.query("SELECT nextval('apart'), nextval('apart')", &[]),
        [["5", "-5"]]
    );
    let number = client.query("INSERT INTO numbered (t) VALUES ('c') RETURNING n", &[]);
    assert_eq!(number, [["20"]], "a database that was closed leaves no gap");
    let number = client.query("INSERT INTO altered (kept) VALUES (50) RETURNING id > 3, added", &[]);
    assert_eq!(number, [["t", "2.50"]]);
    drop(client);
    database.close().expect("closed");
}

#[test]
fn documents_of_format_1_are_read_and_go_on() {
    let dir = unpacked(DOCUMENTS, STATEMENTS_DOCUMENTS);
    for round in 0..2 {
        let database = open(dir.path());
        let mut client = Client::new(&database);
        for (question, answer) in ANSWERS_DOCUMENTS {
            assert_eq!(client.query(question, &[]), *answer, "{question}, round {round}");
        }
        for (wrong, state) in [
            ("INSERT INTO docs VALUES (7, '[[], {}]')", "23505"),
            ("INSERT INTO docs VALUES (7, 'null')", "23514"),
            ("INSERT INTO keyed VALUES ('{\"a\": 1.000}')", "23505"),
        ] {
            let error = client.run(wrong, &[]).expect_err(wrong);
            assert_eq!(error.state().as_str(), state, "{wrong}");
        }
        client.query("INSERT INTO docs VALUES (9, '{\"a\": 9}', '9')", &[]);
        client.query("DELETE FROM docs WHERE doc = '{\"a\": 9.0}'", &[]);
        drop(client);
        database.close().expect("closed");
    }
}

#[test]
fn enums_of_format_1_are_read_and_go_on() {
    let dir = unpacked(ENUMS, STATEMENTS_ENUMS);
    for round in 0..2 {
        let database = open(dir.path());
        let mut client = Client::new(&database);
        for (question, answer) in ANSWERS_ENUMS {
            assert_eq!(client.query(question, &[]), *answer, "{question}, round {round}");
        }
        for (wrong, state) in [
            ("INSERT INTO felt VALUES ('ok')", "23505"),
            ("INSERT INTO felt VALUES ('meh')", "22P02"),
            ("UPDATE felt SET added = 'worst'", "23514"),
            ("SELECT 'ok'::mood", "42704"),
            ("DROP TYPE feeling", "2BP01"),
        ] {
            let error = client.run(wrong, &[]).expect_err(wrong);
            assert_eq!(error.state().as_str(), state, "{wrong}");
        }
        client.query("ALTER TYPE feeling ADD VALUE IF NOT EXISTS 'best'", &[]);
        client.query("INSERT INTO felt (m) VALUES ('best')", &[]);
        assert_eq!(
            client.query("SELECT max(m), min(m) FROM felt", &[]),
            [["best", "worst"]]
        );
        client.query("DELETE FROM felt WHERE m = 'best'", &[]);
        client.query("ALTER TYPE feeling RENAME VALUE 'best' TO 'unused'", &[]);
        client.query("ALTER TYPE feeling RENAME VALUE 'unused' TO 'best'", &[]);
        drop(client);
        database.close().expect("closed");
    }
}

#[test]
fn times_of_format_1_are_read_and_go_on() {
    let dir = unpacked(TIMES, STATEMENTS_TIMES);
    for round in 0..2 {
        let database = open(dir.path());
        let mut client = Client::new(&database);
        for (question, answer) in ANSWERS_TIMES {
            assert_eq!(client.query(question, &[]), *answer, "{question}, round {round}");
        }
        for (wrong, state) in [
            ("INSERT INTO clocks (a) VALUES ('10:20:30.5')", "23505"),
            (
                "INSERT INTO clocks (a, c) VALUES ('01:00', '2020-01-01 00:00:00.0012')",
                "23505",
            ),
            ("INSERT INTO clocks (a) VALUES ('25:00')", "22008"),
            ("INSERT INTO hours VALUES (9)", "42809"),
        ] {
            let error = client.run(wrong, &[]).expect_err(wrong);
            assert_eq!(error.state().as_str(), state, "{wrong}");
        }
        client.query(
            "INSERT INTO clocks (a, c, id) VALUES ('11:00', '2021-01-01 00:00:00.0014', 4)",
            &[],
        );
        client.query("REFRESH MATERIALIZED VIEW hours", &[]);
        assert_eq!(
            client.query("SELECT c FROM hours WHERE id = 4", &[]),
            [["2021-01-01 00:00:00.001"]]
        );
        client.query("DELETE FROM clocks WHERE id = 4", &[]);
        client.query("REFRESH MATERIALIZED VIEW hours", &[]);
        drop(client);
        database.close().expect("closed");
    }
}

#[test]
fn a_database_of_format_1_is_read_and_goes_on() {
    let dir = unpacked(FIXTURE, STATEMENTS);
    // Twice: after the first time it is a directory that today's code has written to.
    for round in 0..2 {
        let database = open(dir.path());
        // Another version of the graph's library may refuse the file; the index is built then, and saved again.
        let restored = database.counters().expect("counted").vector_indexes_restored;
        assert!(round == 0 || restored == 1, "the vector index of the file");
        let mut client = Client::new(&database);
        for (question, answer) in ANSWERS {
            assert_eq!(client.query(question, &[]), *answer, "{question}, round {round}");
        }
        let plan = client.explain("SELECT maker FROM store.parts WHERE number = 7", &[]);
        assert!(plan.contains("parts_number"), "{plan}");
        for duplicate in [
            "INSERT INTO every (id) VALUES (1)",
            "INSERT INTO store.parts VALUES ('m9', 7, 1)",
        ] {
            let error = client.run(duplicate, &[]).expect_err("a duplicate");
            assert_eq!(error.state().as_str(), "23505", "{duplicate}");
        }
        client.query("INSERT INTO keyless VALUES (5, 'new')", &[]);
        client.query("DELETE FROM keyless WHERE a = 5", &[]);
        drop(client);
        database.close().expect("closed");
    }
}
