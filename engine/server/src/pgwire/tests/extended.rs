//! The extended protocol.

use std::sync::atomic::Ordering;

use ::pgwire::messages::PgWireFrontendMessage;
use ::pgwire::messages::extendedquery::Bind;
use bytes::Bytes;

use super::client::{Server, bind, close, describe, execute, flush, parse, sync};
use crate::limits::ServerLimits;

const ECHO: &str = "SELECT CAST($1 AS integer) AS v";
const SERIES: &str = "SELECT id FROM generate_series(1, 5) AS g(id)";

#[tokio::test]
async fn a_round_is_answered_in_one_write() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    let before = server.writes.load(Ordering::SeqCst);
    let answer = client
        .ask(&[
            parse("", ECHO, &[23]),
            describe(b'S', ""),
            bind("", "", &["7"]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ])
        .await;
    assert_eq!(answer, ["1", "t 23", "T v", "2", "T v", "D 7", "C SELECT 1", "Z I"]);
    assert_eq!(server.writes.load(Ordering::SeqCst) - before, 1);
}

#[tokio::test]
async fn rounds_can_be_pipelined() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client
        .send(&[
            parse("s", ECHO, &[23]),
            sync(),
            bind("", "s", &["1"]),
            execute("", 0),
            sync(),
            bind("", "s", &["x"]),
            execute("", 0),
            sync(),
            bind("", "s", &["3"]),
            execute("", 0),
            sync(),
        ])
        .await;
    assert_eq!(client.until_ready().await, ["1", "Z I"]);
    assert_eq!(client.until_ready().await, ["2", "D 1", "C SELECT 1", "Z I"]);
    assert_eq!(
        client.until_ready().await,
        ["E 22P02 invalid input syntax for type integer: \"x\"", "Z I"]
    );
    assert_eq!(client.until_ready().await, ["2", "D 3", "C SELECT 1", "Z I"]);
}

#[tokio::test]
async fn values_travel_in_both_forms() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    let bind = |codes: &[i16], value: Option<&'static [u8]>, results: &[i16]| {
        let value = value.map(Bytes::from_static);
        PgWireFrontendMessage::Bind(Bind::new(
            None,
            Some("s".into()),
            codes.to_vec(),
            vec![value],
            results.to_vec(),
        ))
    };
    client.ask(&[parse("s", ECHO, &[23]), sync()]).await;
    let answer = client
        .ask(&[
            bind(&[1], Some(b"\0\0\x01\0"), &[1]),
            execute("", 0),
            bind(&[0], Some(b"-5"), &[0]),
            execute("", 0),
            bind(&[], None, &[1]),
            execute("", 0),
            sync(),
        ])
        .await;
    let rows: Vec<&String> = answer.iter().filter(|line| line.starts_with('D')).collect();
    assert_eq!(rows, ["D \\x00\\x00\\x01\\x00", "D -5", "D NULL"], "{answer:?}");
    let answer = client.ask(&[bind(&[1], Some(b"\0\0"), &[]), sync()]).await;
    assert!(answer[0].starts_with("E 22P03 "), "{answer:?}");
    let answer = client.ask(&[bind(&[0], Some(b"1"), &[0, 0]), sync()]).await;
    assert_eq!(
        answer[0],
        "E 08P01 bind message has 2 result formats but query has 1 columns"
    );
}

#[tokio::test]
async fn after_an_error_everything_up_to_sync_is_skipped() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    let answer = client
        .ask(&[
            bind("", "nope", &[]),
            execute("", 0),
            parse("", "SELECT 1", &[]),
            flush(),
            execute("p", 0),
            sync(),
        ])
        .await;
    assert_eq!(answer, ["E 26000 prepared statement \"nope\" does not exist", "Z I"]);
    let answer = client.ask(&[execute("p", 0), sync()]).await;
    assert_eq!(answer, ["E 34000 portal \"p\" does not exist", "Z I"]);
    let answer = client.ask(&[describe(b'P', "p"), sync()]).await;
    assert_eq!(answer, ["E 34000 portal \"p\" does not exist", "Z I"]);
    let answer = client.ask(&[parse("", "SELECT 1; SELECT 2", &[]), sync()]).await;
    assert_eq!(
        answer,
        [
            "E 42601 cannot insert multiple commands into a prepared statement",
            "Z I"
        ]
    );
    let answer = client
        .ask(&[parse("s", "SELECT 1", &[]), parse("s", "SELECT 1", &[]), sync()])
        .await;
    assert_eq!(answer, ["1", "E 42P05 prepared statement \"s\" already exists", "Z I"]);
    let answer = client.ask(&[bind("", "s", &["1"]), sync()]).await;
    assert_eq!(
        answer,
        [
            "E 08P01 bind message supplies 1 parameters, but prepared statement \"s\" requires 0",
            "Z I"
        ]
    );
    let answer = client
        .ask(&[parse("", "SELECT CAST($1 AS integer)", &[1266]), sync()])
        .await;
    assert!(answer[0].starts_with("E 42704 "), "{answer:?}");
}

#[tokio::test]
async fn a_portal_is_read_in_pieces() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    let answer = client
        .ask(&[
            parse("s", SERIES, &[]),
            bind("p", "s", &[]),
            execute("p", 2),
            execute("p", 2),
            execute("p", 2),
            execute("p", 2),
            sync(),
        ])
        .await;
    assert_eq!(
        answer,
        [
            "1",
            "2",
            "D 1",
            "D 2",
            "s",
            "D 3",
            "D 4",
            "s",
            "D 5",
            "C SELECT 1",
            "C SELECT 0",
            "Z I"
        ]
    );
    let gone = client.ask(&[execute("p", 0), sync()]).await;
    assert!(
        gone[0].starts_with("E 34000 "),
        "portals end with their transaction: {gone:?}"
    );
    client.query("BEGIN").await;
    let answer = client.ask(&[bind("p", "s", &[]), execute("p", 4), sync()]).await;
    assert_eq!(answer.last().map(String::as_str), Some("Z T"));
    let twice = client.ask(&[bind("p", "s", &[]), sync()]).await;
    assert_eq!(twice, ["E 42P03 cursor \"p\" already exists", "Z E"]);
    client.query("ROLLBACK").await;
    client.query("BEGIN").await;
    let answer = client
        .ask(&[bind("p", "s", &[]), execute("p", 4), sync(), execute("p", 4), sync()])
        .await;
    assert_eq!(answer, ["2", "D 1", "D 2", "D 3", "D 4", "s", "Z T"]);
    assert_eq!(client.until_ready().await, ["D 5", "C SELECT 1", "Z T"]);
    let answer = client
        .ask(&[close(b'P', "p"), close(b'P', "p"), execute("p", 0), sync()])
        .await;
    assert_eq!(answer, ["3", "3", "E 34000 portal \"p\" does not exist", "Z E"]);
}

/// Answers of PostgreSQL 15.
#[tokio::test]
async fn a_portal_is_a_cursor() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client.ask(&[parse("s", SERIES, &[]), sync()]).await;
    client.query("BEGIN").await;
    let answer = client.ask(&[bind("p", "s", &[]), execute("p", 2), sync()]).await;
    assert_eq!(answer, ["2", "D 1", "D 2", "s", "Z T"]);
    assert_eq!(client.query("MOVE 1 FROM p").await, ["C MOVE 1", "Z T"]);
    let answer = client.query("FETCH 1 FROM p").await;
    assert_eq!(answer[1..], ["D 4", "C FETCH 1", "Z T"]);
    let answer = client.ask(&[execute("p", 2), execute("p", 0), sync()]).await;
    assert_eq!(answer, ["D 5", "C SELECT 1", "C SELECT 0", "Z T"]);
    client.query("SAVEPOINT s").await;
    let answer = client.query("FETCH BACKWARD 1 FROM p").await;
    assert!(
        answer[0].starts_with("E 55000 cursor can only scan forward"),
        "{answer:?}"
    );
    client.query("ROLLBACK TO s").await;
    let answer = client.query("DECLARE p CURSOR FOR SELECT 1").await;
    assert_eq!(answer, ["E 42P03 cursor \"p\" already exists", "Z E"]);
    client.query("ROLLBACK TO s").await;
    assert_eq!(client.query("CLOSE p").await, ["C CLOSE CURSOR", "Z T"]);
    let answer = client.ask(&[execute("p", 0), sync()]).await;
    assert_eq!(answer, ["E 34000 portal \"p\" does not exist", "Z E"]);
    client.query("ROLLBACK TO s").await;
    let answer = client.ask(&[bind("p", "s", &[]), execute("p", 1), sync()]).await;
    assert_eq!(answer, ["2", "D 1", "s", "Z T"]);
    client.ask(&[close(b'P', "p"), sync()]).await;
    let answer = client.query("FETCH p").await;
    assert_eq!(answer, ["E 34000 cursor \"p\" does not exist", "Z E"]);
    client.query("ROLLBACK").await;

    // Bound, and fetched before it is executed; what SQL declares is executed.
    client.query("BEGIN").await;
    client.ask(&[bind("p", "s", &[]), sync()]).await;
    let answer = client.query("FETCH ALL FROM p").await;
    assert_eq!(answer[1..], ["D 1", "D 2", "D 3", "D 4", "D 5", "C FETCH 5", "Z T"]);
    assert_eq!(client.ask(&[execute("p", 0), sync()]).await, ["C SELECT 0", "Z T"]);
    client.query(&format!("DECLARE d CURSOR FOR {SERIES}")).await;
    assert_eq!(client.ask(&[execute("d", 1), sync()]).await, ["D 1", "s", "Z T"]);
    client.query("COMMIT").await;
    let answer = client.query("FETCH p").await;
    assert_eq!(answer, ["E 34000 cursor \"p\" does not exist", "Z I"]);
}

#[tokio::test]
async fn statements_without_rows_and_empty_ones() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    let answer = client
        .ask(&[
            parse("", "", &[]),
            describe(b'S', ""),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ])
        .await;
    assert_eq!(answer, ["1", "t ", "n", "2", "I", "Z I"]);
    let answer = client
        .ask(&[
            parse("", "BEGIN", &[]),
            bind("", "", &[]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ])
        .await;
    assert_eq!(answer, ["1", "2", "n", "C BEGIN", "Z T"]);
    let again = client
        .ask(&[bind("", "", &[]), execute("", 0), execute("", 0), sync()])
        .await;
    assert!(
        again.iter().any(|line| line.starts_with("E 55000 ")),
        "a portal without rows runs once: {again:?}"
    );
}

#[tokio::test]
async fn a_round_is_one_transaction() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client.query("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    client
        .ask(&[parse("i", "INSERT INTO t VALUES ($1)", &[20]), sync()])
        .await;
    let insert = |value: &'static str| [bind("", "i", &[value]), execute("", 0)];
    let mut twice: Vec<PgWireFrontendMessage> = [insert("1"), insert("1")].into_iter().flatten().collect();
    twice.push(sync());
    let answer = client.ask(&twice).await;
    assert!(answer.iter().any(|line| line.starts_with("E 23505 ")), "{answer:?}");
    assert_eq!(
        client.query("SELECT id FROM t").await[1..],
        ["C SELECT 0", "Z I"],
        "both are undone"
    );
    let mut two: Vec<PgWireFrontendMessage> = [insert("1"), insert("2")].into_iter().flatten().collect();
    two.push(sync());
    assert_eq!(
        client.ask(&two).await,
        ["2", "C INSERT 0 1", "2", "C INSERT 0 1", "Z I"]
    );
    let [bound, run] = insert("3");
    assert_eq!(client.ask(&[bound, run, sync()]).await, ["2", "C INSERT 0 1", "Z I"]);
    assert_eq!(
        client.query("SELECT id FROM t").await[1..],
        ["D 1", "D 2", "D 3", "C SELECT 3", "Z I"]
    );
}

#[tokio::test]
async fn flush_writes_without_ending_the_round() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client.send(&[parse("", "SELECT 1", &[]), flush()]).await;
    assert_eq!(client.next().await.as_deref(), Some("1"));
    assert_eq!(client.ask(&[sync()]).await, ["Z I"]);
}

/// A client that reads a portal in pieces waits for the answer to Flush before it says what is next. It got none where the statement was
/// wrong, and waited for ever.
#[tokio::test]
async fn flush_writes_an_error_too() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client
        .send(&[
            parse("", "SELECT nothing", &[]),
            bind("", "", &[]),
            describe(b'P', ""),
            flush(),
        ])
        .await;
    let answer = client.next().await.unwrap_or_default();
    assert!(answer.starts_with("E 42703@8 "), "{answer}");
    let answer = client.ask(&[sync()]).await;
    assert_eq!(answer, ["Z I"]);
}

#[tokio::test]
async fn statements_are_dropped_by_name() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    let all = [
        parse("_pg3_0", "SELECT 1", &[]),
        parse("b", "SELECT 1", &[]),
        parse("c", "SELECT 1", &[]),
        sync(),
    ];
    client.ask(&all).await;
    assert_eq!(client.query("DEALLOCATE \"_pg3_0\"").await, ["C DEALLOCATE", "Z I"]);
    let answer = client
        .ask(&[
            parse("", "DEALLOCATE b", &[]),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ])
        .await;
    assert_eq!(answer, ["1", "2", "C DEALLOCATE", "Z I"]);
    for name in ["_pg3_0", "b"] {
        let gone = client.ask(&[describe(b'S', name), sync()]).await;
        assert!(gone[0].starts_with("E 26000 "), "{gone:?}");
    }
    assert_eq!(client.query("DEALLOCATE ALL").await, ["C DEALLOCATE ALL", "Z I"]);
    assert_eq!(
        client
            .ask(&[close(b'S', "c"), parse("c", "SELECT 1", &[]), sync()])
            .await,
        ["3", "1", "Z I"]
    );
}
