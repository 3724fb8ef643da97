//! Logging in: passwords, roles, TLS.
//!
//! The certificate in `fixtures/tls` signed itself, for `localhost`, until 2126; made by
//! `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost
//! -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Config, NoTls};

use super::Process;
use crate::program::program;
use crate::sql::Server;

/// A password that stands nowhere else.
const SECRET: &str = "hunter2-correct-horse";

/// Logs in; the SQLSTATE and message of what it is refused with.
fn log_in(server: &Server, user: &str, password: Option<&str>) -> Result<Client, (String, String)> {
    let mut config = Config::new();
    config
        .host(server.address.ip().to_string())
        .port(server.address.port())
        .user(user)
        .dbname("aion");
    if let Some(password) = password {
        config.password(password);
    }
    let connected = server.runtime.block_on(async {
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok::<_, tokio_postgres::Error>(client)
    });
    connected.map_err(|error| told(&error))
}

fn told(error: &tokio_postgres::Error) -> (String, String) {
    let error = error
        .as_db_error()
        .unwrap_or_else(|| panic!("no answer of the server: {error}"));
    (error.code().code().to_owned(), error.message().to_owned())
}

fn refused(server: &Server, user: &str, password: &str) -> (String, String) {
    match log_in(server, user, Some(password)) {
        Ok(_) => panic!("{user} was let in"),
        Err(error) => error,
    }
}

fn run(server: &Server, client: &Client, sql: &str) {
    let done = server.runtime.block_on(client.batch_execute(sql));
    done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The SQLSTATE of a statement that fails.
fn fails(server: &Server, client: &Client, sql: &str) -> String {
    let done = server.runtime.block_on(client.batch_execute(sql));
    told(&done.expect_err(sql)).0
}

fn text(server: &Server, client: &Client, sql: &str) -> String {
    let row = server.runtime.block_on(client.query_one(sql, &[]));
    row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

fn wrong_password(user: &str) -> (String, String) {
    let message = format!("password authentication failed for user \"{user}\"");
    ("28P01".to_owned(), message)
}

#[test]
fn while_no_role_has_a_password_nobody_is_asked_for_one() {
    let server = Server::start();
    log_in(&server, "aion", None).expect("on this machine");
    log_in(&server, "aion", Some("any")).expect("not asked for");
    let (state, message) = refused(&server, "bob", "any");
    assert_eq!(
        (state.as_str(), message.as_str()),
        ("28000", "role \"bob\" does not exist")
    );
}

#[test]
fn a_password_lets_in_and_nothing_else_tells_who_there_is() {
    let server = Server::start();
    let admin = server.connect();
    run(&server, &admin, &format!("CREATE USER alice PASSWORD '{SECRET}'"));
    let alice = log_in(&server, "alice", Some(SECRET)).expect("her password");
    assert_eq!(text(&server, &alice, "SELECT current_user"), "alice");
    assert_eq!(refused(&server, "alice", "hunter3"), wrong_password("alice"));
    assert_eq!(refused(&server, "bob", SECRET), wrong_password("bob"));
    // A role without a password is trusted on this machine still.
    log_in(&server, "aion", None).expect("on this machine");

    run(&server, &admin, "ALTER ROLE alice VALID UNTIL '2020-01-01'");
    assert_eq!(refused(&server, "alice", SECRET), wrong_password("alice"));
    run(&server, &admin, "ALTER ROLE alice VALID UNTIL 'infinity' NOLOGIN");
    let (state, message) = refused(&server, "alice", SECRET);
    assert_eq!(
        (state.as_str(), message.as_str()),
        ("28000", "role \"alice\" is not permitted to log in")
    );
    // Only to whom it is.
    assert_eq!(refused(&server, "alice", "hunter3"), wrong_password("alice"));

    // What is stored of a password is one for another role, too.
    let stored = text(
        &server,
        &admin,
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'alice'",
    );
    run(&server, &admin, &format!("CREATE ROLE carol LOGIN PASSWORD '{stored}'"));
    log_in(&server, "carol", Some(SECRET)).expect("the same password");
    run(&server, &admin, "DROP ROLE alice");
    assert_eq!(refused(&server, "alice", SECRET), wrong_password("alice"));
    run(&server, &admin, "ALTER ROLE carol PASSWORD ''");
    log_in(&server, "carol", None).expect("no password any more");
}

#[test]
fn a_role_has_so_many_connections() {
    let server = Server::start();
    let admin = server.connect();
    let create = format!("CREATE USER alice CONNECTION LIMIT 1 PASSWORD '{SECRET}'");
    run(&server, &admin, &create);
    let first = log_in(&server, "alice", Some(SECRET)).expect("one is free");
    let (state, message) = refused(&server, "alice", SECRET);
    assert_eq!(
        (state.as_str(), message.as_str()),
        ("53300", "too many connections for role \"alice\"")
    );
    drop(first);
    // The server notices that the first one left when it reads.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err((state, message)) = log_in(&server, "alice", Some(SECRET)).map(drop) {
        assert_eq!(state, "53300", "{message}");
        assert!(Instant::now() < deadline, "the seat is given back");
    }
}

#[test]
fn a_role_may_what_it_may_and_loses_it_at_once() {
    let server = Server::start();
    let admin = server.connect();
    run(&server, &admin, &format!("CREATE USER alice PASSWORD '{SECRET}'"));
    let alice = log_in(&server, "alice", Some(SECRET)).expect("her password");
    for statement in [
        "CREATE ROLE bob",
        "ALTER ROLE aion PASSWORD 'mine'",
        "ALTER ROLE alice SUPERUSER",
        "DROP ROLE aion",
        "SELECT * FROM pg_authid",
    ] {
        assert_eq!(fails(&server, &alice, statement), "42501", "{statement}");
    }
    run(&server, &alice, "ALTER ROLE CURRENT_USER PASSWORD 'another'");
    log_in(&server, "alice", Some("another")).expect("her new password");
    run(&server, &admin, "ALTER ROLE alice CREATEROLE");
    run(&server, &alice, "CREATE ROLE bob");
    // She acts as the role that logged in, whatever it is called, and whoever has her name.
    run(&server, &admin, "ALTER ROLE alice RENAME TO carol");
    run(&server, &admin, "CREATE ROLE alice SUPERUSER");
    assert_eq!(fails(&server, &alice, "CREATE ROLE eve SUPERUSER"), "42501");
    run(&server, &admin, "DROP ROLE carol");
    assert_eq!(fails(&server, &alice, "CREATE ROLE eve"), "42501");
}

/// What a client that has not logged in sends is no more than noise.
#[test]
fn noise_instead_of_a_password_is_answered_and_the_server_lives() {
    let server = Server::start();
    let admin = server.connect();
    run(&server, &admin, &format!("CREATE USER alice PASSWORD '{SECRET}'"));
    let startup = b"\0\0\0\x22\0\x03\0\0user\0alice\0database\0aion\0\0";
    assert_eq!(startup.len(), 0x22);
    for noise in [
        &b"p\0\0\0\x08\xff\xff\xff\xff"[..],
        b"p\0\0\0\x17SCRAM-SHA-256\0\x7f\xff\xff\xffx",
        b"p\0\0\0\x19SCRAM-SHA-256\0\0\0\0\x03n,,",
        b"p\x7f\xff\xff\xff",
        b"Q\0\0\0\x0dSELECT 1\0",
    ] {
        let mut stream = TcpStream::connect(server.address).expect("it listens");
        stream.write_all(startup).expect("sent");
        let mut offered = [0; 24];
        stream.read_exact(&mut offered).expect("it asks for a password");
        assert!(offered.ends_with(b"SCRAM-SHA-256\0\0"), "{offered:?}");
        stream.write_all(noise).expect("sent");
        let mut answer = Vec::new();
        // The socket may be reset while bytes of ours are unread.
        let _ = stream.read_to_end(&mut answer);
        let shown = answer.escape_ascii().to_string();
        assert!(shown.contains("SFATAL") && shown.contains("C08P01"), "{shown}");
    }
    log_in(&server, "alice", Some(SECRET)).expect("the server lives");
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)
}

/// psql with an address that says how it connects, and PGPASSWORD.
fn psql(server: &Process, address: &str, password: &str, sql: &str) -> (bool, String, String) {
    let address = format!(
        "host=localhost hostaddr=127.0.0.1 port={} dbname=aion {address}",
        server.port
    );
    let output = Command::new("psql")
        .env("PGPASSWORD", password)
        .args(["-X", "-w", "-At", "-c", sql, &address])
        .output()
        .expect("psql is installed: `make setup` installs postgresql-client");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn psql_logs_in_over_tls_and_binds_its_proof_to_the_certificate() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (fixture("certificate.pem"), fixture("key.pem"));
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let arguments = ["--tls-cert", &path(&certificate), "--tls-key", &path(&key)];
    let server = Process::start(&dir.path().join("data"), &arguments);
    let create = format!("CREATE USER alice PASSWORD '{SECRET}'");
    let (ok, _, errors) = server.psql(&["-c", &create], "");
    assert!(ok, "{errors}");
    let verified = format!("user=alice sslmode=verify-full sslrootcert={}", path(&certificate));
    for address in [
        "user=alice sslmode=disable",
        "user=alice sslmode=require",
        &format!("{verified} channel_binding=require"),
        "user=aion sslmode=require",
    ] {
        let sql = "SELECT repeat('x', 100000)";
        let (ok, out, errors) = psql(&server, address, SECRET, sql);
        assert!(ok && out.len() == 100_001, "{address}: {errors}");
    }
    let (ok, _, errors) = psql(&server, "user=alice sslmode=require", "pen", "SELECT 1");
    assert!(!ok && errors.contains("password authentication failed"), "{errors}");
    let unbound = "user=alice sslmode=disable channel_binding=require";
    assert!(!psql(&server, unbound, SECRET, "SELECT 1").0);
    // Without a certificate it says no, and who insists leaves.
    drop(server);
    let server = Process::start(&dir.path().join("data"), &[]);
    let (ok, _, errors) = psql(&server, "user=alice sslmode=require", SECRET, "SELECT 1");
    assert!(!ok && errors.contains("server does not support SSL"), "{errors}");
    assert!(psql(&server, "user=alice sslmode=prefer", SECRET, "SELECT 1").0);
}

#[test]
fn beyond_this_machine_takes_tls_and_a_password() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let serve = |arguments: &[&str]| {
        let output = Command::new(program())
            .args([
                "serve",
                "--pg",
                "0.0.0.0:0",
                "--flight",
                "off",
                "--http",
                "off",
                "--data",
            ])
            .arg(&data)
            .args(arguments)
            .output()
            .expect("ran");
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let (certificate, key) = (fixture("certificate.pem"), fixture("key.pem"));
    let (certificate, key) = (certificate.to_str().expect("UTF-8"), key.to_str().expect("UTF-8"));
    let complaint = serve(&[]);
    assert!(
        complaint.contains("there is no TLS") && complaint.contains("--tls-cert"),
        "{complaint}"
    );
    assert!(!data.exists(), "nothing was made");
    let complaint = serve(&["--tls-cert", key, "--tls-key", key]);
    assert!(complaint.contains("holds no certificate"), "{complaint}");
    let complaint = serve(&["--tls-cert", certificate, "--tls-key", "/nowhere"]);
    assert!(complaint.contains("/nowhere"), "{complaint}");
    let complaint = serve(&["--tls-cert", certificate]);
    assert!(complaint.contains("--tls-key"), "{complaint}");
    let complaint = serve(&["--tls-cert", certificate, "--tls-key", key]);
    assert!(
        complaint.contains("no role that may log in has a password") && complaint.contains("ALTER ROLE aion PASSWORD"),
        "{complaint}"
    );

    let server = Process::start(&data, &[]);
    let set = format!("ALTER ROLE aion PASSWORD '{SECRET}'");
    assert!(server.psql(&["-c", &set], "").0);
    drop(server);
    // From this machine it can be reached at any address.
    let arguments = ["--pg", "0.0.0.0:0", "--tls-cert", certificate, "--tls-key", key];
    let mut serving = Command::new(program());
    serving
        .args(["serve", "--flight", "off", "--http", "off", "--data"])
        .arg(&data)
        .args(arguments);
    let server = Process::of(&mut serving);
    let (ok, out, errors) = psql(&server, "user=aion sslmode=require", SECRET, "SELECT 1");
    assert!(ok && out == "1\n", "{errors}");
}

/// A password is for the statement that sets it alone.
#[test]
fn a_password_is_neither_noted_nor_logged_nor_quoted() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let log = dir.path().join("log");
    let mut serving = Process::alone(&data, &["--ai-mode", "shadow"]);
    serving
        .env("AION_LOG", "trace")
        .stderr(std::fs::File::create(&log).expect("made"));
    let mut server = Process::of(&mut serving);
    let statements = [
        format!("CREATE USER alice PASSWORD '{SECRET}'"),
        format!("SELECT 1 AS one; ALTER USER alice PASSWORD '{SECRET}'; SELECT 2 AS two"),
        format!("CREATE ROLE alice PASSWORD '{SECRET}'"),
        format!("CREATE ROLE bob PASSWORD '{SECRET}' '{SECRET}'"),
        format!("CREATE ROLE bob PASSWORD {SECRET}"),
        format!("CREATE ROLE bob PASSWORD '{SECRET}' NOWHERE"),
        format!("EXPLAIN ALTER ROLE alice PASSWORD '{SECRET}'"),
        format!("BEGIN READ ONLY; ALTER ROLE alice PASSWORD '{SECRET}'; ROLLBACK"),
    ];
    for statement in &statements {
        // psql shows the line of an error itself; the server's part is the one without it.
        let (_, _, errors) = server.psql(&["-v", "VERBOSITY=sqlstate", "-c", statement], "");
        assert!(!errors.contains(SECRET), "{statement}: {errors}");
        let (_, _, errors) = server.psql(&["-v", "VERBOSITY=terse", "-c", statement], "");
        assert!(!errors.contains(SECRET), "{statement}: {errors}");
    }
    let (ok, noted, errors) = server.psql(&["-c", "SELECT query FROM aion.statements"], "");
    assert!(ok && noted.contains("SELECT $1 AS one"), "{noted}{errors}");
    assert!(
        !noted.contains(SECRET) && !noted.to_lowercase().contains("password"),
        "{noted}"
    );
    assert!(server.signal("-TERM").success(), "a clean stop");
    let log = std::fs::read_to_string(&log).expect("UTF-8");
    assert!(!log.contains(SECRET), "the log holds the password");
    let holds = |path: &Path| {
        let bytes = std::fs::read(path).expect("readable");
        bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    };
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => assert!(!holds(&path), "{} holds the password", path.display()),
            }
        }
    }
}
