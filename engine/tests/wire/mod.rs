//! Real clients against the real program: psql, and tokio-postgres for prepared statements.

mod edges;
mod enums;
mod login;
mod noise;
mod notifications;
mod origins;
mod temporary;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::program::program;
use crate::sql::Server;

/// `aion serve` as a process of its own.
pub struct Process {
    pub child: Child,
    pub port: u16,
    pub flight: Option<u16>,
    pub http: Option<u16>,
    output: BufReader<std::process::ChildStdout>,
}

impl Process {
    /// For PostgreSQL clients only.
    pub fn start(dir: &std::path::Path, arguments: &[&str]) -> Self {
        Self::start_with(dir, arguments, &[])
    }

    /// And with these variables in its environment.
    pub fn start_with(dir: &std::path::Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::of(Self::alone(dir, arguments).envs(variables.iter().copied()))
    }

    /// What serves PostgreSQL's protocol alone.
    pub fn alone(dir: &std::path::Path, arguments: &[&str]) -> Command {
        let mut command = Self::command(dir, &["--flight", "off", "--http", "off"]);
        command.args(arguments);
        command
    }

    pub fn start_with_edges(dir: &std::path::Path) -> Self {
        Self::spawn(dir, &["--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"])
    }

    fn spawn(dir: &std::path::Path, arguments: &[&str]) -> Self {
        Self::of(&mut Self::command(dir, arguments))
    }

    fn command(dir: &std::path::Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(["serve", "--pg", "127.0.0.1:0", "--data"]).arg(dir);
        command.args(arguments);
        command
    }

    /// Of a command that serves.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("aion starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        // From here on it is ended whatever happens.
        let mut process = Self {
            child,
            port: 0,
            flight: None,
            http: None,
            output,
        };
        loop {
            let mut line = String::new();
            let read = process.output.read_line(&mut line).expect("readable");
            assert!(read > 0, "aion serve ended before it was ready");
            let address = line.trim().strip_prefix("psql -h ");
            if let Some((_, rest)) = address.and_then(|address| address.split_once(" -p ")) {
                process.port = rest
                    .split(' ')
                    .next()
                    .and_then(|port| port.parse().ok())
                    .expect("a port");
            }
            let digits = |after: &str| {
                line.split_once(after)?
                    .1
                    .split(|c: char| !c.is_ascii_digit())
                    .next()?
                    .parse()
                    .ok()
            };
            process.flight = process.flight.or_else(|| digits("grpc://127.0.0.1:"));
            process.http = process.http.or_else(|| digits("curl http://127.0.0.1:"));
            if line.starts_with("Ready") {
                assert_ne!(process.port, 0, "a psql line");
                return process;
            }
        }
    }

    pub fn psql(&self, arguments: &[&str], input: &str) -> (bool, String, String) {
        let mut psql = Command::new("psql")
            .args([
                "-X",
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                "aion",
                "-At",
            ])
            .args(arguments)
            .arg("aion")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql is installed: `make setup` installs postgresql-client");
        psql.stdin
            .take()
            .expect("piped")
            .write_all(input.as_bytes())
            .expect("written");
        let output = psql.wait_with_output().expect("psql ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    pub fn signal(&mut self, signal: &str) -> std::process::ExitStatus {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .expect("kill");
        assert!(sent.success());
        let status = self.child.wait().expect("ended");
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.output, &mut rest).expect("readable");
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already in a test that passed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn psql_writes_what_survives_a_kill_and_a_clean_stop() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut server = Process::start(&data, &[]);
    let (ok, _, errors) = server.psql(
        &[],
        "CREATE TABLE t (id int PRIMARY KEY, s text);\nINSERT INTO t VALUES (1, 'ä'), (2, NULL);\n",
    );
    assert!(ok && errors.is_empty(), "{errors}");
    server.signal("-KILL");

    let mut server = Process::start(&data, &[]);
    assert_eq!(server.psql(&["-c", "SELECT * FROM t ORDER BY id"], "").1, "1|ä\n2|\n");
    server.psql(&["-c", "DELETE FROM t WHERE id = 2"], "");
    // The directory is held: whoever else opens it is told by whom, and how to connect.
    let second = Process::alone(&data, &[]).output().expect("ran");
    let complaint = String::from_utf8(second.stderr).expect("UTF-8");
    assert!(!second.status.success());
    assert!(
        complaint.contains(&format!("process {}", server.child.id())),
        "{complaint}"
    );
    assert!(
        complaint.contains(&format!("psql -h 127.0.0.1 -p {}", server.port)),
        "{complaint}"
    );
    assert!(server.signal("-TERM").success(), "SIGTERM is a clean stop");

    let server = Process::start(&data, &[]);
    assert_eq!(server.psql(&["-c", "SELECT * FROM t"], "").1, "1|ä\n");
}

#[test]
fn psql_is_told_what_and_where_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Process::start(&dir.path().join("data"), &[]);
    let (ok, _, errors) = server.psql(
        &["-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1"],
        "SELECT *\n  FROM nowhere;\n",
    );
    assert!(!ok);
    assert!(
        errors.contains("42P01") && errors.contains("LINE 2:   FROM nowhere"),
        "{errors}"
    );
    let (ok, _, errors) = server.psql(&["-U", "bob", "-c", "SELECT 1"], "");
    assert!(!ok && errors.contains("role \"bob\" does not exist"), "{errors}");
    assert!(
        errors.contains(&format!("psql -h 127.0.0.1 -p {} -U aion aion", server.port)),
        "{errors}"
    );
}

#[test]
fn an_address_beyond_this_machine_needs_a_word() {
    let dir = tempfile::tempdir().expect("a directory");
    let refused = Command::new(program())
        .args(["serve", "--pg", "0.0.0.0:0", "--data"])
        .arg(dir.path().join("data"))
        .output()
        .expect("ran");
    let complaint = String::from_utf8(refused.stderr).expect("UTF-8");
    assert!(
        !refused.status.success() && complaint.contains("--insecure"),
        "{complaint}"
    );
    assert!(!dir.path().join("data").exists(), "nothing was made");
}

#[test]
fn copy_loads_a_file_or_nothing_and_names_line_and_column() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = dir.path().join("files");
    std::fs::create_dir(&files).expect("made");
    let good = files.join("good.csv");
    std::fs::write(&good, "id,s,x\n1,plain,1.5\n2,\"quoted, \"\"so\"\"\",\n3,\"\",2\n").expect("written");
    let mut lines: String = (1..=1_000).map(|id| format!("{id},row {id},{id}.25\n")).collect();
    lines.push_str("1001,row 1001,not a number\n");
    let bad = files.join("bad.csv");
    std::fs::write(&bad, lines).expect("written");
    let server = Process::start(
        &dir.path().join("data"),
        &["--copy-dir", files.to_str().expect("UTF-8")],
    );
    server.psql(
        &["-c", "CREATE TABLE t (id int PRIMARY KEY, s text, x double precision)"],
        "",
    );
    let copy = |path: &std::path::Path, options: &str| {
        server.psql(
            &["-c", &format!("COPY t FROM '{}' (FORMAT csv{options})", path.display())],
            "",
        )
    };
    let (ok, tag, errors) = copy(&good, ", HEADER true");
    assert!(ok && tag == "COPY 3\n", "{tag}{errors}");
    let rows = server
        .psql(&["-P", "null=NULL", "-c", "SELECT * FROM t ORDER BY id"], "")
        .1;
    assert_eq!(rows, "1|plain|1.5\n2|quoted, \"so\"|NULL\n3||2\n");
    server.psql(&["-c", "DELETE FROM t"], "");

    let (ok, _, errors) = copy(&bad, "");
    assert!(
        !ok && errors.contains("line 1001, column x") && errors.contains("not a number"),
        "{errors}"
    );
    assert_eq!(
        server.psql(&["-c", "SELECT count(*) FROM t"], "").1,
        "0\n",
        "nothing was loaded"
    );
    let (ok, _, errors) = copy(&files.join("missing.csv"), "");
    assert!(!ok && errors.contains("missing.csv"), "{errors}");
    let (ok, _, errors) = copy(std::path::Path::new("/etc/passwd"), "");
    assert!(!ok && errors.contains("files lie below"), "{errors}");
}

#[test]
fn prepared_statements_take_parameters_and_are_run_again() {
    let server = Server::start();
    let client = server.connect();
    server.runtime.block_on(async {
        client
            .batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, s text, x double precision)")
            .await
            .expect("made");
        let insert = client
            .prepare("INSERT INTO t VALUES ($1, $2, $3)")
            .await
            .expect("prepared");
        for id in 1..=5i64 {
            let name = (id % 2 == 0).then(|| format!("row {id}"));
            let changed = client
                .execute(&insert, &[&id, &name, &(id as f64 / 4.0)])
                .await
                .expect("inserted");
            assert_eq!(changed, 1);
        }
        let select = client
            .prepare("SELECT s, x FROM t WHERE id = $1")
            .await
            .expect("prepared");
        for id in 1..=5i64 {
            let row = client.query_one(&select, &[&id]).await.expect("one row");
            assert_eq!(
                row.get::<_, Option<String>>(0),
                (id % 2 == 0).then(|| format!("row {id}"))
            );
            assert!((row.get::<_, f64>(1) - id as f64 / 4.0).abs() < f64::EPSILON);
        }
        // A driver may send a smaller integer than the column holds.
        let typed = client
            .prepare_typed("INSERT INTO t (id) VALUES ($1)", &[tokio_postgres::types::Type::INT2])
            .await
            .expect("prepared");
        assert_eq!(client.execute(&typed, &[&6i16]).await.expect("inserted"), 1);
        client
            .execute("DELETE FROM t WHERE id = 6", &[])
            .await
            .expect("deleted");
        let error = client
            .execute(&insert, &[&1i64, &None::<String>, &0.0f64])
            .await
            .expect_err("a duplicate");
        assert_eq!(
            error.code().map(|code| code.code().to_owned()),
            Some("23505".to_owned())
        );
        assert_eq!(
            client.query("SELECT id FROM t", &[]).await.expect("rows").len(),
            5,
            "the session goes on"
        );
    });
}

/// A statement of 100 MB is read and dropped; the session stays usable.
#[test]
fn an_enormous_statement_is_refused_and_the_session_goes_on() {
    let server = Server::start();
    let client = server.connect();
    server.runtime.block_on(async {
        let enormous = format!("SELECT '{}'", "x".repeat(100 << 20));
        let error = client.simple_query(&enormous).await.expect_err("too large");
        assert_eq!(
            error.code().map(|code| code.code().to_owned()),
            Some("54000".to_owned())
        );
        client.simple_query("SELECT 1").await.expect("the session goes on");
    });
}

#[test]
fn a_cancelled_statement_ends_and_the_session_goes_on() {
    let server = Server::start();
    let client = server.connect();
    server.runtime.block_on(async {
        let canceller = client.cancel_token();
        let endless = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000) b";
        let running = client.simple_query(endless);
        let cancelling = async {
            // Until the statement has ended: the first request may come before it has begun.
            loop {
                canceller.cancel_query(tokio_postgres::NoTls).await.expect("sent");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let error = tokio::select! {
            ended = running => ended.expect_err("cancelled"),
            () = cancelling => unreachable!("it never ends"),
        };
        assert_eq!(
            error.code().map(|code| code.code().to_owned()),
            Some("57014".to_owned())
        );
        // A late request may still be under way; it has nothing to cancel or this to.
        let _ = client.simple_query("SELECT 1").await;
        client.simple_query("SELECT 1").await.expect("the session goes on");
    });
}
