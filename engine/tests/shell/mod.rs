//! `aion sql` as people and scripts run it: the real program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::program;
use crate::wire::Process;

/// What the program printed.
#[derive(Debug)]
struct Printed {
    code: Option<i32>,
    out: String,
    complaint: String,
}

fn sql(arguments: &[&str], input: &str) -> Printed {
    let mut child = Command::new(program())
        .arg("sql")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It may have ended before it read everything.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Printed {
        code: output.status.code(),
        out: text(output.stdout),
        complaint: text(output.stderr),
    }
}

fn data(dir: &tempfile::TempDir) -> String {
    dir.path().join("data").to_str().expect("UTF-8").to_owned()
}

const SCRIPT: &str =
    "CREATE TABLE t (id int PRIMARY KEY, s text, b bigint, n numeric(30,2), x double precision, yes boolean);
INSERT INTO t VALUES (1, 'ä; \"b\"', 9007199254740993, 1.50, 0.1, true), (2, NULL, 2, NULL, NULL, false);
";
const SELECT: &str = "SELECT * FROM t ORDER BY id";

const TABLE: &str = " id |   s    |        b         |  n   |  x  | yes 
----+--------+------------------+------+-----+-----
  1 | ä; \"b\" | 9007199254740993 | 1.50 | 0.1 | t
  2 |        |                2 |      |     | f
(2 rows)

";
const CSV: &str = "id,s,b,n,x,yes\n1,\"ä; \"\"b\"\"\",9007199254740993,1.50,0.1,t\n2,,2,,,f\n";
const JSON: &str = "[
  {\"id\": 1, \"s\": \"ä; \\\"b\\\"\", \"b\": \"9007199254740993\", \"n\": 1.50, \"x\": 0.1, \"yes\": true},
  {\"id\": 2, \"s\": null, \"b\": 2, \"n\": null, \"x\": null, \"yes\": false}
]
";

/// The same script, embedded and over the network, gives the same bytes.
fn formats(target: &[&str]) {
    let with = |more: &[&str], input: &str| {
        let printed = sql(&[target, more].concat(), input);
        assert_eq!((printed.code, printed.complaint.as_str()), (Some(0), ""), "{printed:?}");
        printed.out
    };
    assert_eq!(with(&[], SCRIPT), "CREATE TABLE\nINSERT 0 2\n");
    assert_eq!(with(&["-c", SELECT], ""), TABLE);
    assert_eq!(with(&["-c", SELECT, "--format", "csv"], ""), CSV);
    assert_eq!(with(&["-c", SELECT, "--format", "json"], ""), JSON);
    assert_eq!(
        with(
            &["--format", "json"],
            "BEGIN; SELECT 1 AS one; SELECT 2 AS two WHERE false; COMMIT"
        ),
        "[\n  {\"one\": 1}\n]\n[]\n"
    );
    assert_eq!(
        with(&["-c", "SELECT 1 AS a", "-c", "\\x", "-c", "SELECT 'x' AS b"], ""),
        " a \n---\n 1\n(1 row)\n\nExpanded display is on.\n-[ RECORD 1 ]\nb | x\n\n"
    );
    assert_eq!(
        with(&["-c", "COPY (SELECT s FROM t ORDER BY id) TO STDOUT"], ""),
        "ä; \"b\"\n\\N\n"
    );
    assert_eq!(with(&["-c", "UPDATE t SET s = 'c' WHERE id = 2"], ""), "UPDATE 1\n");
}

#[test]
fn a_database_in_a_directory_is_asked_in_three_formats() {
    let dir = tempfile::tempdir().expect("a directory");
    formats(&["--data", &data(&dir)]);
}

#[test]
fn a_server_is_asked_in_three_formats() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Process::start(Path::new(&data(&dir)), &[]);
    formats(&[
        "--connect",
        &format!("postgresql://aion@127.0.0.1:{}/aion", server.port),
    ]);
}

#[test]
fn the_first_error_ends_a_script_with_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, file) = (data(&dir), dir.path().join("script.sql"));
    std::fs::write(&file, "SELECT 1 AS a;\n\nSELECT\n  2 FROM nowhere;\nSELECT 3 AS c;\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let printed = sql(&["--data", &data, "-f", file, "--format", "csv"], "");
    assert_eq!((printed.code, printed.out.as_str()), (Some(1), "a\n1\n"), "{printed:?}");
    assert!(
        printed.complaint.starts_with(&format!("{file}:3: ERROR:  42P01: ")),
        "{printed:?}"
    );
    assert!(
        printed
            .complaint
            .contains("\nLINE 2:   2 FROM nowhere;\n                 ^\n"),
        "{printed:?}"
    );

    let printed = sql(&["--data", &data, "-f", file, "--format", "csv", "--keep-going"], "");
    assert_eq!(
        (printed.code, printed.out.as_str()),
        (Some(1), "a\n1\nc\n3\n"),
        "{printed:?}"
    );

    let server = Process::start(Path::new(&data), &[]);
    let url = format!("postgresql://aion@127.0.0.1:{}/aion", server.port);
    let remote = sql(&["--connect", &url, "-f", file, "--format", "csv"], "");
    assert_eq!((remote.code, remote.out.as_str()), (Some(1), "a\n1\n"), "{remote:?}");
    assert_eq!(remote.complaint, printed.complaint, "the same words from a server");
    // The directory is held: who holds it and how to connect is said.
    let held = sql(&["--data", &data, "-c", "SELECT 1"], "");
    assert_eq!(held.code, Some(1));
    assert!(
        held.complaint.contains("55006") && held.complaint.contains(&format!("process {}", server.child.id())),
        "{held:?}"
    );
    assert!(
        held.complaint
            .contains(&format!("psql -h 127.0.0.1 -p {}", server.port)),
        "{held:?}"
    );
}

#[test]
fn what_the_command_line_lacks_is_said() {
    let printed = sql(&[], "SELECT 1");
    assert_eq!(printed.code, Some(2));
    assert!(
        printed.complaint.contains("--data") && printed.complaint.contains("--connect"),
        "{printed:?}"
    );
    assert_eq!(sql(&["--data", "a", "--connect", "b"], "").code, Some(2));
    let printed = sql(
        &["--connect", "postgresql://aion@127.0.0.1:1/aion", "-c", "SELECT 1"],
        "",
    );
    assert_eq!(printed.code, Some(1));
    assert!(
        printed.complaint.contains("08000") && printed.complaint.contains("aion serve"),
        "{printed:?}"
    );
    let printed = sql(&["--connect", "nonsense", "-c", "SELECT 1"], "");
    assert!(
        printed.code == Some(1) && printed.complaint.contains("22023"),
        "{printed:?}"
    );
    let dir = tempfile::tempdir().expect("a directory");
    let printed = sql(&["--data", &data(&dir), "-f", "/nowhere.sql"], "");
    assert!(
        printed.code == Some(1) && printed.complaint.contains("58P01"),
        "{printed:?}"
    );
}

#[test]
fn commands_of_the_shell_work_in_scripts() {
    let dir = tempfile::tempdir().expect("a directory");
    let inner = dir.path().join("inner.sql");
    std::fs::write(&inner, "SELECT 'inner' AS who;\n").expect("written");
    let script = format!("\\format csv\n\\i {}\n\\q\nSELECT 1;\n", inner.display());
    let printed = sql(&["--data", &data(&dir)], &script);
    assert_eq!(
        (printed.code, printed.out.as_str(), printed.complaint.as_str()),
        (Some(0), "who\ninner\n", "")
    );
    let printed = sql(&["--data", &data(&dir)], "\\nothing\nSELECT 1;\n");
    assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""));
    assert!(
        printed
            .complaint
            .contains("<stdin>:1: ERROR:  42601: there is no command \\nothing"),
        "{printed:?}"
    );

    let catalog = sql(
        &["--data", &data(&dir), "--format", "csv"],
        "CREATE TABLE t (id int PRIMARY KEY, s text);\n\\dt\n\\d t\n",
    );
    assert!(
        catalog.out.contains(",t,") && catalog.out.contains("\nid,"),
        "{catalog:?}"
    );
}

/// `aion sql ... | head -1`: whoever reads has enough, and nobody complains.
#[test]
fn a_closed_pipe_ends_it_quietly() {
    let dir = tempfile::tempdir().expect("a directory");
    for format in ["csv", "json", "table"] {
        let mut child = Command::new(program())
            .args(["sql", "--data", &data(&dir), "--format", format])
            .args(["-c", "SELECT * FROM generate_series(1, 3000000)", "-c", "SELECT 1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert_eq!(String::from_utf8(output.stderr).expect("UTF-8"), "", "{format}");
    }
}
