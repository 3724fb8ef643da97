//! Files out and in again.

use super::Bench;
use crate::wire::Process;

const SCHEMA: &str =
    "CREATE TABLE t (id int PRIMARY KEY, b boolean, i2 smallint, i8 bigint, r real, d double precision,
    n numeric(10,2), s text, c varchar(9), j json, a bytea, day date, at timestamp, tz timestamptz, u uuid, v vector(2),
    jb jsonb, i interval)";

/// As text; what INSERT cannot write yet (a uuid) comes in this way too.
const ROWS: &str = "1\tt\t-2\t9007199254740993\t0.1\t1e300\t12345678.90\tä, \"quoted\"\\n\\ttab \\\\ back\tx\t{\"a\": [1]}\t\\\\x00ff\t2013-01-01\t2013-01-01 10:00:00.123456\t2013-01-01 10:00:00+00\t00112233-4455-6677-8899-aabbccddeeff\t[1,-0.5]\t{\"b\": [1.50, \"\\\\n\"]}\t1 mon -2 days +00:00:00.5
2\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N
3\tf\t0\t0\t0\t0\t0\t\t\t0\t\\\\x\t1970-01-01\t1970-01-01 00:00:00\t1970-01-01 00:00:00+00\t00000000-0000-0000-0000-000000000000\t[0,0]\t[]\t-1 years
";

#[test]
fn every_type_goes_out_and_comes_back_in_every_format() {
    let bench = Bench::new(SCHEMA);
    let path = bench.file("t", ROWS);
    assert_eq!(bench.run(&format!("COPY t FROM '{path}'")).expect("rows"), ["3"]);
    let before = bench.run("SELECT * FROM t ORDER BY id").expect("read");
    assert!(before[0].contains("ä, \"quoted\"\n\ttab \\ back"), "{}", before[0]);
    for format in ["text", "csv", "csv, HEADER, DELIMITER ';', NULL 'nil'", "parquet"] {
        let copied = bench
            .run(&format!("COPY t TO '{path}' (FORMAT {format})"))
            .expect(format);
        assert_eq!(copied, ["3"], "{format}");
        bench.run("DELETE FROM t").expect("emptied");
        let copied = bench
            .run(&format!("COPY t FROM '{path}' (FORMAT {format})"))
            .expect(format);
        assert_eq!(copied, ["3"], "{format}");
        assert_eq!(
            bench.run("SELECT * FROM t ORDER BY id").expect("read"),
            before,
            "{format}"
        );
        assert_eq!(bench.names(), ["t"], "no temporary file stays");
    }
}

/// The bytes are PostgreSQL's.
#[test]
fn csv_and_text_are_as_postgresql_writes_them() {
    let bench = Bench::new("CREATE TABLE t (id int PRIMARY KEY, s text, x real)");
    bench
        .run("INSERT INTO t VALUES (1, 'a,\"b\"', 0.5), (2, NULL, NULL), (3, '', -1)")
        .expect("rows");
    let path = bench.path("out");
    bench.run(&format!("COPY t TO '{path}' WITH CSV HEADER")).expect("csv");
    let csv = std::fs::read_to_string(&path).expect("written");
    assert_eq!(csv, "id,s,x\n1,\"a,\"\"b\"\"\",0.5\n2,,\n3,\"\",-1\n");
    bench
        .run(&format!(
            "COPY (SELECT s, id FROM t WHERE id < 3 ORDER BY id DESC) TO '{path}'"
        ))
        .expect("text");
    let text = std::fs::read_to_string(&path).expect("written");
    assert_eq!(text, "\\N\t2\na,\"b\"\t1\n", "and the old file is replaced");
    bench.run(&format!("COPY t (x, id) TO '{path}'")).expect("columns");
    assert_eq!(
        std::fs::read_to_string(&path).expect("written"),
        "0.5\t1\n\\N\t2\n-1\t3\n"
    );
}

#[test]
fn a_copy_that_fails_leaves_the_old_file() {
    let bench = Bench::new("CREATE TABLE t (id int PRIMARY KEY)");
    bench.run("INSERT INTO t VALUES (1), (0)").expect("rows");
    let path = bench.file("out", "old\n");
    let failed = bench.run(&format!("COPY (SELECT 1 / id FROM t ORDER BY id DESC) TO '{path}'"));
    assert_eq!(failed.expect_err("a division by zero").state, "22012");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "old\n");
    assert_eq!(bench.names(), ["out"]);
}

#[test]
fn columns_left_out_take_their_defaults() {
    let bench = Bench::new(
        "CREATE TABLE t (id int PRIMARY KEY, n int DEFAULT 40 + 2, s text DEFAULT 'it''s', r double precision DEFAULT random(),
            d date DEFAULT '2013-01-01', at timestamptz DEFAULT now(), nothing text)",
    );
    let lines: String = (1..=3_000).map(|id| format!("{id}\n")).collect();
    let path = bench.file("ids", lines);
    bench.run(&format!("COPY t (id) FROM '{path}'")).expect("loaded");
    let counted = bench
        .run("SELECT count(*), min(n), max(n), min(s), max(s), min(d), count(DISTINCT at), count(nothing), count(DISTINCT r) > 2990 FROM t")
        .expect("counted");
    assert_eq!(counted, ["3000|42|42|it's|it's|2013-01-01|1|0|t"]);

    bench
        .run("CREATE TABLE strict (id int PRIMARY KEY, must int NOT NULL)")
        .expect("made");
    let found = bench
        .run(&format!("COPY strict (id) FROM '{path}'"))
        .expect_err("no default");
    assert_eq!(
        (found.state.as_str(), found.detail.as_str()),
        ("23502", "COPY strict, line 1, column must")
    );
    bench
        .run("CREATE TABLE wrong (id int PRIMARY KEY, x int DEFAULT 1 / 0)")
        .expect("made");
    let found = bench
        .run(&format!("COPY wrong (id) FROM '{path}'"))
        .expect_err("division");
    assert_eq!(found.state, "22012");
}

#[test]
fn parquet_columns_go_by_name_or_by_place_and_types_must_fit() {
    let bench = Bench::new("CREATE TABLE source (a bigint PRIMARY KEY, b text, c numeric(8,2))");
    bench
        .run("INSERT INTO source VALUES (1, 'one', 1.25), (70000, NULL, 2)")
        .expect("rows");
    let path = bench.path("source.parquet");
    bench
        .run(&format!("COPY source TO '{path}' (FORMAT parquet)"))
        .expect("written");
    let load = |columns: &str| bench.run(&format!("COPY t{columns} FROM '{path}' (FORMAT parquet)"));

    bench
        .run("CREATE TABLE t (c double precision, a int PRIMARY KEY, d int DEFAULT 7)")
        .expect("made");
    let missing = load("").expect_err("there is no d");
    assert_eq!(missing.state, "42703");
    assert!(
        missing.message.contains("\"d\"") && missing.detail.contains("a, b, c"),
        "{missing:?}"
    );
    assert_eq!(load(" (a, c)").expect("by name"), ["2"]);
    assert_eq!(
        bench.run("SELECT * FROM t ORDER BY a").expect("read"),
        ["1.25|1|7", "2|70000|7"]
    );

    bench
        .run("DROP TABLE t; CREATE TABLE t (x bigint PRIMARY KEY, y text, z numeric(8,2))")
        .expect("made");
    assert_eq!(load("").expect_err("no names").state, "42703");
    assert_eq!(load(" (x, y, z)").expect("by place"), ["2"]);
    assert_eq!(
        bench.run("SELECT * FROM t ORDER BY x").expect("read"),
        ["1|one|1.25", "70000|NULL|2.00"]
    );

    bench
        .run("DROP TABLE t; CREATE TABLE t (a smallint PRIMARY KEY, b text)")
        .expect("made");
    let found = load(" (a, b)").expect_err("70000 is no smallint");
    assert_eq!(
        (found.state.as_str(), found.detail.as_str()),
        ("22003", "COPY t, row group 0, column a")
    );
    bench
        .run("DROP TABLE t; CREATE TABLE t (a bigint PRIMARY KEY, b int)")
        .expect("made");
    let found = load(" (a, b)").expect_err("a text is no number");
    assert_eq!(
        (found.state.as_str(), found.detail.as_str()),
        ("42804", "COPY t, row group 0, column b")
    );
    bench
        .run("DROP TABLE t; CREATE TABLE t (a bigint PRIMARY KEY, b text NOT NULL)")
        .expect("made");
    assert_eq!(load(" (a, b)").expect_err("NULL").state, "23502");
    assert_eq!(bench.run("SELECT count(*) FROM t").expect("read"), ["0"]);
}

#[test]
fn copy_dir_bounds_what_is_written_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let (files, outside) = (dir.path().join("files"), dir.path().join("outside"));
    std::fs::create_dir(&files).expect("made");
    std::fs::create_dir(&outside).expect("made");
    std::os::unix::fs::symlink(&outside, files.join("way-out")).expect("linked");
    let server = Process::start(
        &dir.path().join("data"),
        &["--copy-dir", files.to_str().expect("UTF-8")],
    );
    let copy = |path: &std::path::Path| {
        server.psql(
            &[
                "-v",
                "VERBOSITY=verbose",
                "-c",
                &format!("COPY (SELECT 1) TO '{}'", path.display()),
            ],
            "",
        )
    };
    assert!(copy(&files.join("new")).0, "a file that was not there");
    for path in [outside.join("x"), files.join("../outside/x"), files.join("way-out/x")] {
        let (ok, _, errors) = copy(&path);
        assert!(
            !ok && errors.contains("42501") && errors.contains("files lie below"),
            "{errors}"
        );
    }
    assert_eq!(std::fs::read_dir(&outside).expect("readable").count(), 0);
}
