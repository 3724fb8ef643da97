//! What an administrator does to a server that runs: looks who is connected, ends statements and sessions, makes a backup.

use std::process::Command;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::program::program;
use crate::wire::Process;

async fn connect(port: u16) -> Client {
    let config = format!("host=127.0.0.1 port={port} user=aion application_name=operations");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("connected");
    tokio::spawn(connection);
    client
}

async fn number(client: &Client, sql: &str) -> i64 {
    let row = client.query_one(sql, &[]).await;
    row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

fn block_on(test: impl AsyncFnOnce(Process, tempfile::TempDir)) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Process::start(&dir.path().join("data"), &["--ai-mode", "off"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(test(server, dir));
}

#[test]
fn a_session_is_seen_and_ended_by_another() {
    block_on(async |server, _dir| {
        let (one, other) = (connect(server.port).await, connect(server.port).await);
        let pid: i32 = one
            .query_one("SELECT pg_backend_pid()", &[])
            .await
            .expect("a number")
            .get(0);
        one.batch_execute("BEGIN; CREATE TABLE t (id int PRIMARY KEY)")
            .await
            .expect("begun");
        let seen = "SELECT state, query, application_name FROM pg_stat_activity WHERE pid = $1";
        let row = other.query_one(seen, &[&pid]).await.expect("it is there");
        assert_eq!(row.get::<_, &str>(0), "idle in transaction");
        assert!(row.get::<_, &str>(1).contains("CREATE TABLE t"));
        assert_eq!(row.get::<_, &str>(2), "operations");

        // A statement is cancelled, and its session goes on.
        one.batch_execute("ROLLBACK").await.expect("rolled back");
        let long = one.batch_execute("SELECT count(*) FROM generate_series(1, 100000000000)");
        tokio::pin!(long);
        let active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()";
        tokio::select! {
            answer = &mut long => panic!("it is long: {answer:?}"),
            () = async { while number(&other, active).await == 0 { tokio::task::yield_now().await } } => {}
        }
        let is_cancelled: bool = other
            .query_one(&format!("SELECT pg_cancel_backend({pid})"), &[])
            .await
            .expect("asked")
            .get(0);
        assert!(is_cancelled);
        let error = long.await.expect_err("it was cancelled");
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        assert_eq!(number(&one, "SELECT 1::bigint").await, 1);

        let is_ended: bool = other
            .query_one(&format!("SELECT pg_terminate_backend({pid})"), &[])
            .await
            .expect("asked")
            .get(0);
        assert!(is_ended);
        let error = one.batch_execute("SELECT 1").await.expect_err("its session is over");
        assert!(
            error.code() == Some(&SqlState::ADMIN_SHUTDOWN) || error.is_closed(),
            "{error:?}"
        );
        let rest = "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
        while number(&other, rest).await > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_client_that_leaves_a_transaction_open_is_sent_away() {
    block_on(async |server, _dir| {
        let (one, other) = (connect(server.port).await, connect(server.port).await);
        one.batch_execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)")
            .await
            .expect("made");
        one.batch_execute("SET idle_in_transaction_session_timeout = '100ms'")
            .await
            .expect("set");
        one.batch_execute("BEGIN; UPDATE t SET v = 1 WHERE id = 1")
            .await
            .expect("begun");
        // It waits for the lock, and gets it when the other one's session has ended.
        let changed = tokio::time::timeout(
            Duration::from_secs(60),
            other.execute("UPDATE t SET v = v + 5 WHERE id = 1", &[]),
        );
        assert_eq!(changed.await.expect("in time").expect("changed"), 1);
        assert_eq!(number(&other, "SELECT v::bigint FROM t").await, 5);
        let error = one.batch_execute("COMMIT").await.expect_err("its session is over");
        assert!(
            error.is_closed() || error.code() == Some(&SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT),
            "{error:?}"
        );
    });
}

#[test]
fn a_backup_of_a_running_server_is_verified_restored_and_served() {
    block_on(async |server, dir| {
        let client = connect(server.port).await;
        client
            .batch_execute("CREATE TABLE t (id serial PRIMARY KEY, v text); INSERT INTO t (v) SELECT 'row ' || i FROM generate_series(1, 1000) AS g(i)")
            .await
            .expect("written");
        let (backup, restored) = (dir.path().join("backup"), dir.path().join("restored"));
        let url = format!("postgresql://aion@127.0.0.1:{}/aion", server.port);
        let run = |arguments: &[&str]| {
            let output = Command::new(program())
                .arg("admin")
                .args(arguments)
                .output()
                .expect("it starts");
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        let backup_path = backup.to_str().expect("UTF-8");
        let (done, complaint) = run(&["backup", "--connect", &url, "--to", backup_path]);
        assert!(done, "{complaint}");
        // What came afterwards is not in it.
        client.batch_execute("DELETE FROM t").await.expect("deleted");
        let (done, complaint) = run(&["backup", "--connect", &url, "--to", backup_path]);
        assert!(
            !done && complaint.contains("HINT"),
            "a second one into the same directory: {complaint}"
        );
        let (done, complaint) = run(&["verify", backup_path]);
        assert!(done, "{complaint}");
        let (done, complaint) = run(&[
            "restore",
            "--from",
            backup_path,
            "--to",
            restored.to_str().expect("UTF-8"),
        ]);
        assert!(done, "{complaint}");
        let second = Process::start(&restored, &["--ai-mode", "off"]);
        let client = connect(second.port).await;
        assert_eq!(
            number(&client, "SELECT count(*) FROM t WHERE v LIKE 'row %'").await,
            1000
        );
        client
            .batch_execute("INSERT INTO t (v) VALUES ('new')")
            .await
            .expect("it goes on, and so do its sequences");

        let data = std::fs::read_dir(backup.join("data")).expect("a backup has rows");
        let file = data
            .flatten()
            .find(|file| file.path().extension().is_some_and(|extension| extension == "sst"));
        let file = file.expect("rows are in files").path();
        let mut bytes = std::fs::read(&file).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).expect("damaged");
        let (done, complaint) = run(&["verify", backup_path]);
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(
            !done && complaint.contains(&name),
            "the damaged file is named: {complaint}"
        );
    });
}
