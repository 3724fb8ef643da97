//! A load that is interrupted leaves nothing of it; a query that wants too much memory ends, and others go on.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::{Client, NoTls};

use super::complaint;
use crate::wire::Process;

/// Until something happens that surely will.
const DEADLINE: Duration = Duration::from_secs(120);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn connect(server: &Process) -> Client {
    let text = format!("host=127.0.0.1 port={} user=aion dbname=aion", server.port);
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

fn count(data: &Path) -> String {
    let server = Process::start(data, &[]);
    let (ok, output, errors) = server.psql(&["-c", "SELECT count(*) FROM t"], "");
    assert!(ok, "{errors}");
    output.trim().to_owned()
}

/// The client has sent a hundred thousand rows and not the end when the signal comes.
fn interrupted_by(signal: &str) -> (std::process::ExitStatus, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut server = Process::start(&data, &[]);
    runtime().block_on(async {
        let client = connect(&server).await;
        client
            .batch_execute("CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (-1, 'before')")
            .await
            .expect("a row");
        let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.expect("begun");
        let mut sink = std::pin::pin!(sink);
        for thousand in 0..100 {
            let lines: String = (0..1_000)
                .map(|id| format!("{}\tsome text\n", thousand * 1_000 + id))
                .collect();
            sink.send(Bytes::from(lines)).await.expect("sent");
        }
        sink.flush().await.expect("sent");
        let status = server.signal(signal);
        sink.finish().await.expect_err("nobody confirms it");
        (status, count(&data))
    })
}

#[test]
fn a_kill_in_the_middle_of_a_load_leaves_nothing_of_it() {
    let (status, count) = interrupted_by("-KILL");
    assert!(!status.success());
    assert_eq!(count, "1");
}

#[test]
fn sigterm_in_the_middle_of_a_load_leaves_nothing_of_it_and_ends_cleanly() {
    let (status, count) = interrupted_by("-TERM");
    assert!(status.success(), "{status}");
    assert_eq!(count, "1");
}

/// The kill comes while the transaction goes into the log, in several entries: all of them count, or none.
#[test]
fn a_kill_while_a_load_commits_leaves_all_of_it_or_nothing() {
    const ROWS: usize = 150_000;
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut server = Process::start(&data, &[]);
    let log_bytes = || -> u64 {
        let entries = std::fs::read_dir(data.join("log")).expect("a log");
        entries
            .filter_map(|entry| entry.ok()?.metadata().ok())
            .map(|file| file.blocks_bytes())
            .sum()
    };
    let text = "x".repeat(100);
    let lines: String = (0..ROWS).map(|id| format!("{id}\t{text}\n")).collect();
    let path = dir.path().join("lines");
    std::fs::write(&path, lines).expect("written");
    runtime().block_on(async {
        let client = connect(&server).await;
        client
            .batch_execute("CREATE TABLE t (id int PRIMARY KEY, s text)")
            .await
            .expect("made");
        let before = log_bytes();
        let copy = format!("COPY t FROM '{}'", path.display());
        let mut loading = std::pin::pin!(client.batch_execute(&copy));
        let start = Instant::now();
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut loading => break Some(ended),
                () = tokio::task::yield_now() => {}
            }
            if log_bytes() > before + (4 << 20) {
                break None;
            }
            assert!(start.elapsed() < DEADLINE, "the load does not reach the log");
        };
        server.signal("-KILL");
        let count = count(&data);
        println!("confirmed before the kill: {}; {count} rows", ended.is_some());
        match ended {
            Some(ended) => {
                ended.expect("loaded");
                assert_eq!(count, ROWS.to_string());
            }
            None => assert!(count == "0" || count == ROWS.to_string(), "{count} rows"),
        }
    });
}

/// The bytes that a file has on disk: the log's segments are as long as they will be from the start.
trait BlocksBytes {
    fn blocks_bytes(&self) -> u64;
}

impl BlocksBytes for std::fs::Metadata {
    fn blocks_bytes(&self) -> u64 {
        std::os::unix::fs::MetadataExt::blocks(self) * 512
    }
}

#[test]
fn a_query_over_its_memory_ends_with_53200_and_others_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Process::start(&dir.path().join("data"), &["--memory", "64"]);
    runtime().block_on(async {
        let (greedy, modest) = (connect(&server).await, connect(&server).await);
        let join = "SELECT count(*) FROM generate_series(1, 20000000) AS a(x) JOIN generate_series(1, 20000000) AS b(y) ON x = y";
        let mut greedy_query = std::pin::pin!(greedy.simple_query(join));
        let mut answered = 0;
        let error = loop {
            tokio::select! {
                biased;
                ended = &mut greedy_query => break ended.expect_err("more than it may use"),
                modest = modest.query_one("SELECT count(*) FROM generate_series(1, 1000)", &[]) => {
                    assert_eq!(modest.expect("goes on").get::<_, i64>(0), 1_000);
                    answered += 1;
                }
            }
        };
        let error = complaint(&error);
        assert_eq!(error.state, "53200", "{error:?}");
        assert!(answered > 0, "the other session was answered meanwhile");
        greedy.simple_query("SELECT 1").await.expect("its session goes on");
        modest.simple_query("SELECT 1").await.expect("and the other");
    });
}
