//! Enums as psql sees them, and what survives a kill between two states of a type. OIDs and the binary form are `pgwire/tests/enums.rs` of the
//! server.

use super::Process;

fn answer(server: &Process, sql: &str) -> String {
    let (ok, output, errors) = server.psql(&["-q", "-v", "ON_ERROR_STOP=1"], sql);
    assert!(ok && errors.is_empty(), "{sql}: {errors}");
    output
}

#[test]
fn a_type_keeps_its_oid_and_its_labels_over_kills() {
    const OIDS: &str = "SELECT oid, typarray FROM pg_type WHERE typname = 'mood'";
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut server = Process::start(&data, &[]);
    answer(
        &server,
        "CREATE TABLE before (a integer); CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); \
         CREATE TABLE t (m mood PRIMARY KEY, ms mood[]); INSERT INTO t VALUES ('happy', '{sad,NULL,ok}'), ('sad', NULL), ('ok', '{}'); \
         ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok'; INSERT INTO t VALUES ('meh', '{meh}')",
    );
    let first = answer(&server, OIDS);
    server.signal("-KILL");

    let mut server = Process::start(&data, &[]);
    assert_eq!(answer(&server, OIDS), first, "it stays");
    assert_eq!(
        answer(&server, "SELECT * FROM t ORDER BY m DESC"),
        "happy|{sad,NULL,ok}\nok|{}\nmeh|{meh}\nsad|\n"
    );
    answer(
        &server,
        "BEGIN; ALTER TYPE mood ADD VALUE 'lost'; INSERT INTO t VALUES ('lost', NULL); ROLLBACK; \
         ALTER TYPE mood RENAME VALUE 'meh' TO 'so so'; ALTER TYPE mood RENAME TO feeling; ALTER TYPE feeling RENAME TO mood",
    );
    server.signal("-KILL");

    let server = Process::start(&data, &[]);
    assert_eq!(answer(&server, OIDS), first);
    assert_eq!(
        answer(&server, "SELECT m FROM t WHERE m > 'sad' ORDER BY m"),
        "so so\nok\nhappy\n"
    );
    assert_eq!(
        answer(&server, "SELECT enum_range(NULL::mood)"),
        "{sad,\"so so\",ok,happy}\n"
    );
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
