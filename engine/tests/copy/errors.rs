//! Data that is wrong: where and what is said, and nothing is loaded.

use super::Bench;

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, x double precision, s varchar(5), v vector(2))";

/// Content, options, SQLSTATE, and what the message and the detail contain.
const WRONG: &[(&[u8], &str, &str, &str, &str)] = &[
    (
        b"1,a,,\n",
        "csv",
        "22P02",
        "invalid input syntax",
        "COPY t, line 1, column x: \"a\"",
    ),
    (
        b"1,1,,\n2,1,,\n99999999999,1,,\n",
        "csv",
        "22003",
        "out of range",
        "COPY t, line 3, column id: \"99999999999\"",
    ),
    (
        b"1,1,\"a\nb\",\n2,1,,[1]\n",
        "csv",
        "22000",
        "2 dimensions",
        "COPY t, line 3, column v: \"[1]\"",
    ),
    (
        b"1,1,abcdef,\n",
        "csv",
        "22001",
        "character varying(5)",
        "COPY t, line 1, column s: \"abcdef\"",
    ),
    (
        b",1,,\n",
        "csv",
        "23502",
        "null value in column \"id\"",
        "COPY t, line 1, column id",
    ),
    (b"1,1,\xff,\n", "csv", "22021", "0xff", "COPY t, line 1, column s"),
    (
        b"1,1,\n",
        "csv",
        "22P04",
        "missing data for column \"v\"",
        "COPY t, line 1",
    ),
    (
        b"1,1,,\n2,1,,,\n",
        "csv",
        "22P04",
        "extra data after last expected column",
        "COPY t, line 2",
    ),
    (b"1,1,\"a,\n", "csv", "22P04", "unterminated CSV quoted field", "line 1"),
    (
        b"1,1,,\n1,1,,\n",
        "csv",
        "23505",
        "t_pkey",
        "Key (id)=(1) already exists.\nCOPY t, line 2",
    ),
    (
        b"7,1,,\n",
        "csv",
        "23505",
        "t_pkey",
        "Key (id)=(7) already exists.\nCOPY t, line 1",
    ),
    (
        b"1\t1\ta\\tbcd\\N\t\\N\n",
        "text",
        "22001",
        "too long",
        "COPY t, line 1, column s: \"a\tbcdN\"",
    ),
    (
        b"1\t1\n",
        "text",
        "22P04",
        "missing data for column \"s\"",
        "COPY t, line 1",
    ),
    (b"no Parquet at all", "parquet", "22P04", "Parquet", ""),
];

#[test]
fn wrong_data_is_named_by_line_and_column_and_nothing_is_loaded() {
    let bench = Bench::new(SCHEMA);
    bench.run("INSERT INTO t VALUES (7, 1, NULL, NULL)").expect("a row");
    for (content, format, state, message, detail) in WRONG {
        let path = bench.file("data", content);
        let copy = format!("COPY t FROM '{path}' (FORMAT {format})");
        let shown = String::from_utf8_lossy(content);
        let found = bench.run(&copy).expect_err(&shown);
        assert_eq!(found.state, *state, "{shown}: {found:?}");
        assert!(found.message.contains(message), "{shown}: {found:?}");
        assert!(found.detail.contains(detail), "{shown}: {found:?}");
        assert_eq!(bench.run("SELECT id FROM t").expect("read"), ["7"], "{shown}");
    }
}

#[test]
fn the_hundred_thousandth_row_is_found() {
    let bench = Bench::new("CREATE TABLE t (id int PRIMARY KEY, x double precision)");
    let mut lines: String = (1..100_000).map(|id| format!("{id},{id}.5\n")).collect();
    lines.push_str("100000,abc\n");
    let path = bench.file("data", lines);
    let found = bench.run(&format!("COPY t FROM '{path}' CSV")).expect_err("abc");
    assert_eq!(found.state, "22P02");
    assert_eq!(found.detail, "COPY t, line 100000, column x: \"abc\"");
    assert_eq!(bench.run("SELECT count(*) FROM t").expect("read"), ["0"]);
}

/// In a transaction block what stood before the COPY is lost with it, as after any error.
#[test]
fn a_failed_copy_fails_its_transaction() {
    let bench = Bench::new("CREATE TABLE t (id int PRIMARY KEY)");
    let path = bench.file("data", "1\n2\nx\n");
    bench.run("BEGIN; INSERT INTO t VALUES (5)").expect("begun");
    assert_eq!(
        bench.run(&format!("COPY t FROM '{path}'")).expect_err("x").state,
        "22P02"
    );
    assert_eq!(bench.run("SELECT 1").expect_err("failed").state, "25P02");
    bench.run("ROLLBACK").expect("rolled back");
    assert_eq!(bench.run("SELECT count(*) FROM t").expect("read"), ["0"]);
}

#[test]
fn files_that_cannot_be_used() {
    let bench = Bench::new("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let state = |sql: String| bench.run(&sql).expect_err(&sql).state;
    let (missing, dir) = (bench.path("missing"), bench.path(""));
    assert_eq!(state(format!("COPY t FROM '{missing}'")), "58P01");
    assert_eq!(state(format!("COPY t FROM '{dir}'")), "42809");
    assert_eq!(state(format!("COPY t TO '{dir}'")), "42809");
    assert_eq!(state(format!("COPY t TO '{missing}/t'")), "58P01");
    assert_eq!(state("COPY t FROM 'relative'".to_owned()), "42602");
    assert_eq!(state("COPY t TO '/dev/null'".to_owned()), "42809");
    assert_eq!(state("COPY t FROM STDIN (FORMAT parquet)".to_owned()), "0A000");
    assert_eq!(state(format!("COPY t FROM '{missing}' (FORMAT binary)")), "58P01");
    assert_eq!(state(format!("COPY nowhere TO '{missing}'")), "42P01");
    assert_eq!(state(format!("COPY t (id, no) TO '{missing}'")), "42703");
    assert_eq!(state("COPY t TO PROGRAM 'cat'".to_owned()), "0A000");

    let secret = bench.file("secret", "2\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o0);
    std::fs::set_permissions(&secret, mode).expect("changed");
    if std::fs::read(&secret).is_ok() {
        println!("skipped: this user may read a file that nobody may (it is the superuser), so 42501 cannot be seen");
    } else {
        assert_eq!(state(format!("COPY t FROM '{secret}'")), "42501");
    }
    assert_eq!(bench.run("SELECT id FROM t").expect("read"), ["1"]);
}
