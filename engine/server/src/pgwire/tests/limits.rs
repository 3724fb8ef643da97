//! What is beyond a limit, and who leaves.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::super::output::FULL_BYTES;
use super::client::{Client, PANICS, Server, bind, describe, execute, parse, query, sync};
use crate::limits::ServerLimits;

fn small() -> ServerLimits {
    ServerLimits {
        statement_bytes_max: 1_000,
        message_bytes_max: 2_000,
        row_bytes_max: 100,
        statements_max: 2,
        portals_max: 2,
        ..ServerLimits::default()
    }
}

#[tokio::test]
async fn a_statement_that_is_too_long_is_dropped_and_the_session_goes_on() {
    let server = Server::new(small()).await;
    let mut client = server.client().await;
    let long = format!("SELECT '{}'", "x".repeat(500_000));
    let refused = client.query(&long).await;
    assert_eq!(
        refused,
        [
            "E 54000 the message has 500014 bytes; at most 1000 are read | Load data with COPY, or send several statements.",
            "Z I"
        ]
    );
    assert_eq!(client.query("SELECT 1").await[1..], ["D 1", "C SELECT 1", "Z I"]);
    let refused = client
        .ask(&[parse("", &long, &[]), bind("", "", &[]), execute("", 0), sync()])
        .await;
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].starts_with("E 54000 "), "{refused:?}");
    client.ask(&[parse("s", "SELECT CAST($1 AS text)", &[]), sync()]).await;
    let refused = client
        .ask(&[bind("", "s", &[&"x".repeat(3_000)]), execute("", 0), sync()])
        .await;
    assert!(refused[0].starts_with("E 54000 ") && refused.len() == 2, "{refused:?}");
    assert_eq!(client.query("SELECT 1").await[1..], ["D 1", "C SELECT 1", "Z I"]);
}

#[tokio::test]
async fn a_row_that_is_too_long_ends_its_statement() {
    let server = Server::new(small()).await;
    let mut client = server.client().await;
    client.ask(&[parse("s", "SELECT CAST($1 AS text)", &[]), sync()]).await;
    let refused = client
        .ask(&[bind("", "s", &[&"x".repeat(200)]), execute("", 0), sync()])
        .await;
    assert_eq!(
        refused,
        [
            "2",
            "E 54000 a row of the result has more than 100 bytes | Select fewer or shorter columns.",
            "Z I"
        ]
    );
}

#[tokio::test]
async fn statements_and_portals_are_counted() {
    let server = Server::new(small()).await;
    let mut client = server.client().await;
    let answer = client
        .ask(&[
            parse("a", "SELECT 1", &[]),
            parse("b", "SELECT 1", &[]),
            parse("c", "SELECT 1", &[]),
            sync(),
        ])
        .await;
    assert!(
        answer[2].starts_with("E 54000 too many prepared statements"),
        "{answer:?}"
    );
    let answer = client
        .ask(&[bind("p", "a", &[]), bind("q", "a", &[]), bind("r", "a", &[]), sync()])
        .await;
    assert!(answer[2].starts_with("E 54000 too many portals"), "{answer:?}");
    let answer = client.ask(&[bind("p", "a", &[]), sync()]).await;
    assert_eq!(answer, ["2", "Z I"], "portals were dropped with the round");
}

#[tokio::test]
async fn a_large_result_streams() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client
        .send(&[query("SELECT id FROM generate_series(1, 300000) AS g(id)")])
        .await;
    let answer = client.until_ready().await;
    assert_eq!(answer.len(), 300_003);
    assert_eq!(answer[answer.len() - 2..], ["C SELECT 300000", "Z I"]);
    let longest = server.longest_write.load(Ordering::SeqCst);
    assert!(
        (FULL_BYTES..FULL_BYTES + 100).contains(&longest),
        "{longest} bytes in one write"
    );
}

#[tokio::test]
async fn a_round_without_end_is_written_as_it_grows() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client.ask(&[parse("s", "SELECT 1", &[]), sync()]).await;
    let mut messages: Vec<_> = (0..10_000).map(|_| describe(b'S', "s")).collect();
    messages.push(sync());
    client.send(&messages).await;
    assert_eq!(client.until_ready().await.len(), 20_001);
    let longest = server.longest_write.load(Ordering::SeqCst);
    assert!(
        (FULL_BYTES..FULL_BYTES + 200).contains(&longest),
        "{longest} bytes in one write"
    );
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_statement() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client
        .send(&[query("SELECT id FROM generate_series(1, 1000000000000) AS g(id)")])
        .await;
    assert!(client.next().await.is_some());
    let task = client.task.take().expect("not a socket");
    drop(client);
    task.await
        .expect("the connection ends, long before the statement would");
}

#[tokio::test]
async fn a_silent_client_is_not_waited_for() {
    let limits = ServerLimits {
        login_timeout: Duration::from_millis(1),
        ..ServerLimits::default()
    };
    let server = Server::new(limits).await;
    let (mut stream, task) = server.connect();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("a pipe does not fail");
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.contains("FATAL") && text.contains("57014"), "{text:?}");
    task.await.expect("the connection ends");
    let limits = ServerLimits {
        idle_timeout: Some(Duration::from_millis(1)),
        ..ServerLimits::default()
    };
    let server = Server::new(limits).await;
    let mut client = server.client().await;
    let last = client.next().await;
    assert_eq!(
        last.as_deref(),
        Some("E FATAL 57P05 terminating connection due to idle-session timeout")
    );
}

#[tokio::test]
async fn a_shutdown_ends_sessions() {
    let server = Server::new(ServerLimits::default()).await;
    let mut idle = server.client().await;
    server.shutdown.send(true).expect("somebody listens");
    let last = idle.next().await;
    assert_eq!(
        last.as_deref(),
        Some("E FATAL 57P01 terminating connection due to administrator command")
    );
    assert_eq!(idle.next().await, None);
}

#[tokio::test]
async fn the_last_connections_are_for_superusers() {
    let server = Server::new(ServerLimits {
        connections_max: 4,
        reserved_connections: 2,
        ..ServerLimits::default()
    })
    .await;
    let mut first = server.client().await;
    first.query("CREATE ROLE bob LOGIN").await;
    assert_eq!(first.query("SHOW max_connections").await[1], "D 4");
    assert_eq!(first.query("SHOW superuser_reserved_connections").await[1], "D 2");
    assert_eq!(
        first.query("SET max_connections = 5").await[0],
        "E 55P02 parameter \"max_connections\" cannot be changed"
    );
    let as_bob = [("user", "bob"), ("database", "aion")];
    let log_in = async || {
        let (stream, _task) = server.connect();
        let mut client = Client::new(stream);
        let answer = client.log_in(&as_bob).await;
        (client, answer)
    };
    let (bob, answer) = log_in().await;
    assert_eq!(
        answer.last().map(String::as_str),
        Some("Z I"),
        "two are free beside his"
    );
    let (_refused, answer) = log_in().await;
    assert_eq!(
        answer.last().map(String::as_str),
        Some("E FATAL 53300 remaining connection slots are reserved for non-replication superuser connections")
    );
    let mut administrator = server.client().await;
    assert_eq!(administrator.query("SELECT 1").await[1], "D 1");
    drop((bob, administrator, first));
}

/// Its connection was cut without a word, and the client could not tell it from a server that had died.
#[tokio::test]
async fn who_meets_a_panic_is_told_and_the_others_go_on() {
    let server = Server::new(ServerLimits::default()).await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    client.send(&[query(&format!("SELECT '{PANICS}'"))]).await;
    let mut told = Vec::new();
    while let Some(line) = client.next().await {
        told.push(line);
    }
    let last = told.last().map(String::as_str).unwrap_or_default();
    assert!(last.starts_with("E FATAL XX000 a mistake of this program"), "{told:?}");
    assert_eq!(other.query("SELECT 1").await[1..], ["D 1", "C SELECT 1", "Z I"]);
}
