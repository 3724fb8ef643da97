//! The log of slow statements, as it stands in the log of the program.

use std::path::Path;
use std::process::Command;

use crate::program::program;
use crate::wire::Process;

/// A server whose log is a file.
fn start(folder: &Path) -> Process {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a file");
    let mut command = Command::new(program());
    command
        .args([
            "serve",
            "--pg",
            "127.0.0.1:0",
            "--flight",
            "off",
            "--http",
            "off",
            "--data",
        ])
        .arg(folder.join("data"))
        .stderr(log);
    Process::of(&mut command)
}

/// The lines about statements since the last call.
fn logged(folder: &Path, seen: &mut usize) -> Vec<String> {
    let log = std::fs::read_to_string(folder.join("log")).expect("a log");
    let lines: Vec<String> = log
        .lines()
        .skip(*seen)
        .filter(|line| line.contains("aion::statement"))
        .map(str::to_owned)
        .collect();
    *seen = log.lines().count();
    lines
}

#[test]
fn slow_statements_are_lines_without_literals() {
    let folder = tempfile::tempdir().expect("a directory");
    let folder = folder.path();
    let server = start(folder);
    let mut seen = 0;
    let run = |server: &Process, sql: &str| {
        let (ok, output, errors) = server.psql(&["-q"], sql);
        assert!(ok && !errors.contains("ERROR"), "{sql}: {errors}");
        output
    };
    run(
        &server,
        "CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, 'hidden word'); SELECT * FROM t;",
    );
    assert!(
        logged(folder, &mut seen).is_empty(),
        "it is off until somebody asks for it"
    );

    // Each path of a statement: planned, by its key, a change, and COPY in both directions.
    run(
        &server,
        "SET log_min_duration_statement = 0;\n\
         SELECT s || 'hidden word' FROM t\n  WHERE length(s) > 1;\n\
         SELECT * FROM t WHERE id = 1;\n\
         INSERT INTO t VALUES (2, 'hidden word'), (3, 'hidden word');\n\
         COPY t TO STDOUT;\n\
         COPY t FROM STDIN;\n4\thidden word\n\\.\n\
         SELECT 1 / 0 WHERE false;\n",
    );
    let lines = logged(folder, &mut seen);
    let expected = [
        ("SELECT s || $1 FROM t WHERE length(s) > $2", 1),
        ("SELECT * FROM t WHERE id = $1", 1),
        ("INSERT INTO t VALUES ($1, $2), ($3, $4)", 2),
        ("COPY t TO STDOUT", 3),
        ("COPY t FROM STDIN", 1),
        ("SELECT $1 / $2 WHERE false", 0),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (statement, rows)) in lines.iter().zip(expected) {
        assert!(line.contains(&format!("statement=\"{statement}\"")), "{line}");
        assert!(line.contains("user=\"aion\" database=\"aion\" pid="), "{line}");
        assert!(
            line.contains("duration_ms=") && line.contains(&format!("rows={rows} ")),
            "{line}"
        );
        assert!(!line.contains("hidden"), "{line}");
    }

    // Long statements alone; and the text as it was sent, where somebody asks for it.
    run(
        &server,
        "SET log_min_duration_statement = '1h'; SELECT 'a'; RESET log_min_duration_statement; SELECT 'b';",
    );
    assert!(logged(folder, &mut seen).is_empty());
    run(
        &server,
        "SET log_parameter_max_length = 5;\nSET log_min_duration_statement = 0;\nSELECT 'shown\nword';\n\
         CREATE ROLE alice LOGIN PASSWORD 'never shown';\n",
    );
    let lines = logged(folder, &mut seen);
    assert!(lines[0].contains("statement=\"SELECT 'shown\\nword'\""), "{lines:?}");
    assert!(lines[1].contains("statement=\"(it may hold a password)\""), "{lines:?}");
    let log = std::fs::read_to_string(folder.join("log")).expect("a log");
    assert!(!log.contains("never shown") && !log.contains("hidden"), "{log}");
}

#[test]
fn the_database_has_the_setting_for_all_sessions() {
    let folder = tempfile::tempdir().expect("a directory");
    let folder = folder.path();
    let mut server = start(folder);
    let mut seen = 0;
    let (ok, output, errors) = server.psql(
        &[],
        "CREATE ROLE bob LOGIN;\nALTER SYSTEM SET log_min_duration_statement = 0;\nSHOW log_min_duration_statement;\n",
    );
    assert!(ok && output.ends_with("\n0\n"), "{output}{errors}");
    logged(folder, &mut seen);
    let (_, output, errors) = server.psql(
        &["-U", "bob"],
        "SHOW log_min_duration_statement;\nSET log_min_duration_statement = -1;\n\
         SELECT set_config('log_min_duration_statement', '-1', false);\nALTER SYSTEM RESET log_min_duration_statement;\n",
    );
    assert_eq!(output, "0\n");
    let refused = "permission denied to set parameter \"log_min_duration_statement\"";
    assert_eq!(errors.matches(refused).count(), 2, "{errors}");
    assert!(errors.contains("role \"bob\" may not change the settings"), "{errors}");
    let lines = logged(folder, &mut seen);
    assert!(lines.iter().any(|line| line.contains("user=\"bob\"")), "{lines:?}");

    // It outlives the server, and a session may say otherwise for itself.
    assert!(server.signal("-TERM").success());
    let server = start(folder);
    let (_, output, _) = server.psql(
        &[],
        "SHOW log_min_duration_statement;\nSET log_min_duration_statement = 250;\nSHOW log_min_duration_statement;\n\
         RESET log_min_duration_statement;\nSHOW log_min_duration_statement;\n\
         ALTER SYSTEM RESET log_min_duration_statement;\nSHOW log_min_duration_statement;\n",
    );
    assert_eq!(output, "0\nSET\n250ms\nRESET\n0\nALTER SYSTEM\n-1\n");
    let (_, _, errors) = server.psql(&[], "ALTER SYSTEM SET log_min_duration_statement = 'soon';\n");
    assert!(
        errors.contains("invalid value for parameter \"log_min_duration_statement\": \"soon\""),
        "{errors}"
    );
}
