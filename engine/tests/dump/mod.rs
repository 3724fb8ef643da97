//! `aion admin dump`: what it writes makes the same database again, here and in PostgreSQL 15; and what `pg_dump` 15 writes makes one here.
//!
//! Where PostgreSQL 15 is not installed, the tests that need it say so and end.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aion_bench::postgres::{self, Postgres};

use crate::program::program;
use crate::wire::Process;

const PORTABLE: &str = include_str!("portable.sql");
const BEYOND: &str = include_str!("beyond.sql");

/// What both databases are asked after a script has gone from one to the other.
const QUESTIONS: &[&str] = &[
    "SELECT id, name, born, rating, score, email, active, created, code, tag, raw, small, plain, amount, span FROM public.authors ORDER BY id",
    "SELECT id, author, title, price, \"Weird Name\", year FROM store.books ORDER BY id",
    "SELECT book, day, n, note FROM store.sales ORDER BY day",
    "SELECT key, doc, txt FROM public.documents ORDER BY key DESC",
    "SELECT txt FROM public.documents WHERE doc -> 'made' = '[2]' AND doc @> '{\"made\": []}'",
    "SELECT count(*), sum(a), max(b) FROM public.keyless",
    "SELECT \"select\", \"From \"\"x\"\"\" FROM \"Odd one\".\"Order\" ORDER BY 1",
    "SELECT * FROM public.shrunk",
    "SELECT * FROM public.a_first ORDER BY number",
    "SELECT * FROM public.zz_dear ORDER BY id",
    "SELECT * FROM store.per_year ORDER BY year",
    "SELECT a, b FROM public.everything ORDER BY a LIMIT 2",
    "SELECT * FROM public.here ORDER BY title",
    "SELECT * FROM public.felt ORDER BY m DESC",
    "SELECT l FROM public.felt WHERE m < 'happy' ORDER BY l",
    "SELECT enum_range(NULL::public.mood), enum_range(NULL::public.\"Level\")",
    "SELECT nextval('public.free'), nextval('public.unused'), nextval('public.down'), nextval('public.authors_id_seq')",
    "INSERT INTO store.books (author, title) VALUES (7, 'New') RETURNING id, price",
    "INSERT INTO store.sales (book, day) VALUES (1, '2025-01-01') RETURNING n, note",
    "SELECT conname, contype FROM pg_constraint WHERE contype IN ('c', 'p', 'u') AND conname NOT LIKE '%not_null' \
     AND conrelid >= 16384 ORDER BY conname",
    "SELECT d.description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid \
     WHERE d.classoid = 1259 AND c.relname IN ('authors', 'zz_dear', 'books_year', 'free') ORDER BY 1",
    "SELECT d.description FROM pg_description d JOIN pg_constraint c ON c.oid = d.objoid WHERE c.conname = 'positive'",
];

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

fn ran(output: Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text(output.stdout)
}

/// A server of ours that serves a directory of its own.
struct Aion {
    process: Process,
    data: PathBuf,
}

impl Aion {
    fn new(folder: &Path, name: &str) -> Self {
        let data = folder.join(name);
        let process = Process::start(&data, &["--ai-mode", "off"]);
        Self { process, data }
    }

    /// Runs a script; it has no error.
    fn load(&self, script: &str, arguments: &[&str]) {
        load(self.process.port, script, arguments);
    }

    fn dump(&self, arguments: &[&str]) -> String {
        let url = format!("postgresql://aion@127.0.0.1:{}/aion", self.process.port);
        let dump = Command::new(program())
            .args(["admin", "dump", "--connect", &url])
            .args(arguments)
            .output();
        ran(dump.expect("aion starts"))
    }
}

fn psql(port: u16, arguments: &[&str]) -> Command {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-U", "aion", "-d", "aion"])
        .args(["-p", &port.to_string(), "-v", "ON_ERROR_STOP=1"])
        .args(arguments);
    psql
}

fn load(port: u16, script: &str, arguments: &[&str]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), script).expect("written");
    let output = psql(port, arguments).arg("-f").arg(file.path()).output();
    let output = output.expect("psql is installed: `make setup` installs postgresql-client");
    let errors = text(output.stderr);
    assert!(output.status.success() && !errors.contains("ERROR"), "{errors}");
}

/// What a database says to [`QUESTIONS`].
fn answers(port: u16) -> Vec<(&'static str, String)> {
    let ask = |question| {
        let output = psql(port, &["-c", question]).output();
        (question, ran(output.expect("psql is installed")))
    };
    QUESTIONS.iter().map(|question| ask(*question)).collect()
}

/// PostgreSQL 15 with the database `aion`; None, and a line that says so, where it is not installed.
fn postgres(folder: &Path) -> Option<Postgres> {
    if let Err(error) = postgres::program("postgres") {
        println!("skipped: {error}");
        return None;
    }
    // It runs as another user, who must get there.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("ours");
    Some(Postgres::start(folder).expect("PostgreSQL starts"))
}

#[test]
fn what_a_dump_makes_has_the_same_dump() {
    let folder = tempfile::tempdir().expect("a directory");
    let mut first = Aion::new(folder.path(), "first");
    first.load(PORTABLE, &[]);
    first.load(BEYOND, &[]);
    let script = first.dump(&[]);
    assert!(script.contains("\nCREATE PROPERTY GRAPH public.friends "), "{script}");

    // In one transaction.
    let second = Aion::new(folder.path(), "second");
    second.load(&script, &["-1"]);
    assert_eq!(second.dump(&[]), script);

    // As INSERTs, each statement by itself, out of a file.
    let file = folder.path().join("inserts.sql");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(first.dump(&["--inserts", "--to", path]), "");
    let inserts = std::fs::read_to_string(&file).expect("written");
    assert!(!inserts.contains("COPY"), "{inserts}");
    let third = Aion::new(folder.path(), "third");
    third.load(&inserts, &[]);
    assert_eq!(third.dump(&[]), script);

    // A directory that nobody serves; while somebody does, it is refused.
    let offline = |data: &Path| {
        let mut dump = Command::new(program());
        dump.args(["admin", "dump", "--data"]).arg(data);
        dump.output().expect("aion starts")
    };
    let refused = offline(&first.data);
    assert!(!refused.status.success());
    assert!(text(refused.stderr).contains("55006"));
    assert!(first.process.signal("-TERM").success());
    assert_eq!(ran(offline(&first.data)), script);

    let here = answers(second.process.port);
    assert_eq!(answers(third.process.port), here);
    let graph = psql(second.process.port, &["-c", "SELECT * FROM acquainted ORDER BY who"]).output();
    assert_eq!(ran(graph.expect("psql is installed")), "Ann|Bob\nBob|Cid\n");
}

#[test]
fn a_part_is_dumped_by_the_names_of_schemas_and_tables() {
    let folder = tempfile::tempdir().expect("a directory");
    let server = Aion::new(folder.path(), "data");
    server.load(PORTABLE, &[]);
    let script = server.dump(&["--schema", "store", "--schema-only"]);
    assert!(script.contains("CREATE SCHEMA store;") && script.contains("CREATE TABLE store.books"));
    assert!(script.contains("CREATE VIEW store.per_year") && script.contains("COMMENT ON CONSTRAINT positive"));
    // A table of the schema has a type of another one.
    let elsewhere = script.replace("public.mood", "");
    assert!(
        !elsewhere.contains("public.") && !script.contains("Odd") && !script.contains("COPY"),
        "{script}"
    );

    let script = server.dump(&["--table", "authors", "--table", "\"Odd one\".\"Order\""]);
    assert!(script.contains("CREATE TABLE public.authors") && script.contains("\nCOPY \"Odd one\".\"Order\" "));
    assert!(
        script.contains("setval('public.authors_id_seq', 3, true)"),
        "its sequence goes with it"
    );
    assert!(
        !script.contains("CREATE SCHEMA") && !script.contains("books") && !script.contains("VIEW"),
        "{script}"
    );

    for (arguments, message) in [
        (["--table", "nothing"], "no table, view, sequence or graph of that name"),
        (["--schema", "nothing"], "schema \"nothing\" does not exist"),
    ] {
        let url = format!("postgresql://aion@127.0.0.1:{}/aion", server.process.port);
        let file = folder.path().join("nothing.sql");
        let refused = Command::new(program())
            .args(["admin", "dump", "--connect", &url, "--to"])
            .arg(&file)
            .args(arguments)
            .output()
            .expect("aion starts");
        assert!(!refused.status.success());
        assert!(text(refused.stderr).contains(message));
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("readable").collect();
        assert_eq!(left.len(), 1, "nothing is left of a dump that failed: {left:?}");
    }
}

#[test]
fn a_dump_restores_into_postgresql() {
    let folder = tempfile::tempdir().expect("a directory");
    let Some(postgresql) = postgres(folder.path()) else {
        return;
    };
    let server = Aion::new(folder.path(), "data");
    server.load(PORTABLE, &[]);
    let script = server.dump(&[]);
    load(postgresql.port(), &script, &["-1"]);
    assert_eq!(answers(postgresql.port()), answers(server.process.port));
}

#[test]
fn a_script_of_pg_dump_restores() {
    let folder = tempfile::tempdir().expect("a directory");
    let Some(postgresql) = postgres(folder.path()) else {
        return;
    };
    load(postgresql.port(), PORTABLE, &[]);
    let scripts = [&["--column-inserts"][..], &["--inserts"], &[]].map(|arguments| {
        let dump = Command::new(postgres::program("pg_dump").expect("it is beside the server"))
            .args(["-h", "127.0.0.1", "-U", "aion", "-d", "aion"])
            .args(["-p", &postgresql.port().to_string()])
            .args(arguments)
            .output();
        ran(dump.expect("pg_dump starts"))
    });
    let expected = answers(postgresql.port());
    for (number, script) in scripts.iter().enumerate() {
        let server = Aion::new(folder.path(), &format!("data {number}"));
        server.load(script, &[]);
        assert_eq!(answers(server.process.port), expected);
    }
}
