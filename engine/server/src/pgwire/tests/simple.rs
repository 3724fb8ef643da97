//! The login and the simple protocol.

use super::client::{Client, Server};
use crate::limits::ServerLimits;

/// Without descriptions of rows: an error may come before or after one.
fn told(mut answer: Vec<String>) -> Vec<String> {
    answer.retain(|line| !line.starts_with("T "));
    answer
}

#[tokio::test]
async fn a_client_is_welcomed() {
    let server = Server::new(ServerLimits::default()).await;
    let (stream, _task) = server.connect();
    let mut client = Client::new(stream);
    let welcome = client
        .log_in(&[
            ("user", "aion"),
            ("database", "aion"),
            ("application_name", "test"),
            ("client_encoding", "UTF8"),
        ])
        .await;
    assert_eq!(welcome.first().map(String::as_str), Some("R"));
    assert_eq!(welcome.last().map(String::as_str), Some("Z I"));
    for status in [
        "S server_encoding=UTF8",
        "S client_encoding=UTF8",
        "S DateStyle=ISO, MDY",
        "S TimeZone=UTC",
        "S integer_datetimes=on",
        "S standard_conforming_strings=on",
        "S IntervalStyle=postgres",
        "S is_superuser=on",
        "S session_authorization=aion",
        "S application_name=test",
    ] {
        assert!(welcome.iter().any(|line| line == status), "{status} in {welcome:?}");
    }
    assert!(
        welcome
            .iter()
            .any(|line| line.starts_with("S server_version=15.0 (Aion ")),
        "{welcome:?}"
    );
    assert!(
        client.key.is_some_and(|(_, secret)| secret.len() == 4),
        "protocol 3.0 has short secrets"
    );
}

#[tokio::test]
async fn newer_clients_get_long_secrets() {
    let server = Server::new(ServerLimits::default()).await;
    let (stream, _task) = server.connect();
    let mut client = Client::new(stream);
    let welcome = client.log_in_with(2, &[("user", "aion")]).await;
    assert_eq!(welcome.last().map(String::as_str), Some("Z I"));
    assert!(client.key.as_ref().is_some_and(|(_, secret)| secret.len() == 32));
    let (stream, _task) = server.connect();
    let welcome = Client::new(stream).log_in_with(3, &[("user", "aion")]).await;
    assert_eq!(welcome.first().map(String::as_str), Some("v"), "there is no 3.3 yet");
    assert_eq!(welcome.last().map(String::as_str), Some("Z I"));
}

#[tokio::test]
async fn strangers_are_refused_with_a_way_in() {
    let server = Server::new(ServerLimits::default()).await;
    let (stream, task) = server.connect();
    let answer = Client::new(stream).log_in(&[("user", "postgres")]).await;
    assert_eq!(
        answer,
        ["E FATAL 28000 role \"postgres\" does not exist | Connect with: psql -h 127.0.0.1 -p 5433 -U aion aion"]
    );
    task.await.expect("the connection ends");
    let (stream, _task) = server.connect();
    let answer = Client::new(stream)
        .log_in(&[("user", "aion"), ("database", "shop")])
        .await;
    assert!(
        answer[0].starts_with("E FATAL 3D000 database \"shop\" does not exist | Connect with: psql"),
        "{answer:?}"
    );
}

/// Drivers send settings unasked: one that we do not have must not keep them out.
#[tokio::test]
async fn settings_of_the_greeting_are_made_or_warned_of() {
    let server = Server::new(ServerLimits::default()).await;
    let (stream, _task) = server.connect();
    let settings = [
        ("user", "aion"),
        ("extra_float_digits", "3"),
        ("no_such_setting", "1"),
        ("options", "-c statement_timeout=5000"),
    ];
    let welcome = Client::new(stream).log_in(&settings).await;
    let warnings: Vec<&String> = welcome.iter().filter(|line| line.starts_with("N ")).collect();
    assert_eq!(warnings.len(), 1, "{welcome:?}");
    assert!(
        warnings[0].starts_with("N 01000 setting \"no_such_setting\" was not made: "),
        "{welcome:?}"
    );
    assert_eq!(welcome.last().map(String::as_str), Some("Z I"));
    let (stream, _task) = server.connect();
    let refused = Client::new(stream)
        .log_in(&[("user", "aion"), ("client_encoding", "LATIN1")])
        .await;
    assert!(refused[0].starts_with("E FATAL 22023 "), "{refused:?}");
}

#[tokio::test]
async fn texts_hold_any_number_of_statements() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    let one = client.query("SELECT 1").await;
    assert_eq!(one[1..], ["D 1", "C SELECT 1", "Z I"]);
    let two = client.query("SELECT 1; SELECT 2").await;
    assert_eq!(
        [&two[1..3], &two[4..]].concat(),
        ["D 1", "C SELECT 1", "D 2", "C SELECT 1", "Z I"]
    );
    assert_eq!(client.query("").await, ["I", "Z I"]);
    assert_eq!(client.query(" ; ").await, ["I", "Z I"]);
}

#[tokio::test]
async fn an_error_ends_the_text_and_undoes_it() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client.query("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let answer = told(client.query("INSERT INTO t VALUES (1); SELECT 1/0; SELECT 3").await);
    assert_eq!(answer, ["C INSERT 0 1", "E 22012 division by zero", "Z I"]);
    assert_eq!(
        client.query("SELECT id FROM t").await[1..],
        ["C SELECT 0", "Z I"],
        "one transaction"
    );
    let answer = client.query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").await;
    assert_eq!(answer, ["C INSERT 0 1", "C INSERT 0 1", "Z I"]);
    assert_eq!(
        client.query("SELECT id FROM t").await[1..],
        ["D 1", "D 2", "C SELECT 2", "Z I"]
    );
    let answer = client.query("SELECT 'ä'; SELEC 1").await;
    assert_eq!(answer.len(), 2, "{answer:?}");
    assert!(answer[0].starts_with("E 42601@13 "), "{answer:?}");
}

#[tokio::test]
async fn the_state_of_a_transaction_is_told() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    assert_eq!(client.query("BEGIN").await, ["C BEGIN", "Z T"]);
    let failed = told(client.query("SELECT 1/0").await);
    assert_eq!(failed, ["E 22012 division by zero", "Z E"]);
    let refused = client.query("SELECT 1").await;
    assert!(refused[0].starts_with("E 25P02 "), "{refused:?}");
    assert_eq!(client.query("ROLLBACK").await, ["C ROLLBACK", "Z I"]);
    client.query("BEGIN").await;
    // What never reaches the engine fails the transaction all the same.
    let answer = client.query("SELEC 1").await;
    assert_eq!(answer.last().map(String::as_str), Some("Z E"));
}

#[tokio::test]
async fn changed_settings_are_reported() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    let answer = client.query("SET application_name TO 'x'").await;
    assert_eq!(answer, ["C SET", "S application_name=x", "Z I"]);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused_and_the_session_goes_on() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client.raw(b"Q\0\0\0\x0fSELECT '\xff'\0").await;
    let answer = client.until_ready().await;
    assert_eq!(
        answer,
        ["E 22021 invalid byte sequence for encoding \"UTF8\": 0xff", "Z I"]
    );
    assert_eq!(client.query("SELECT 1").await[1..], ["D 1", "C SELECT 1", "Z I"]);
}

#[tokio::test]
async fn messages_that_nobody_asked_for() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    // The rest of a COPY that the server had ended: nothing to say.
    client.raw(b"d\0\0\0\x08rowsc\0\0\0\x04f\0\0\0\x06x\0").await;
    assert_eq!(client.query("").await, ["I", "Z I"]);
    client.raw(b"F\0\0\0\x0e\0\0\0\x01\0\0\0\0\0\0").await;
    let refused = client.until_ready().await;
    assert_eq!(
        refused,
        ["E 0A000 function calls outside of SQL are not supported", "Z I"]
    );
    client.raw(b"p\0\0\0\x05\0").await;
    assert_eq!(
        client.until_ready().await,
        ["E FATAL 08P01 invalid frontend message type 112"]
    );
}

#[tokio::test]
async fn statements_and_rows_are_counted() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    client
        .query("SELECT 1; SELECT id FROM generate_series(1, 3) AS g(id)")
        .await;
    client.query("SELECT 1/0").await;
    let service = server.service();
    let text = service.metrics().text(&service.database.counters().expect("counted"));
    for line in [
        "aion_statements_total{edge=\"pgwire\",outcome=\"ok\"} 2",
        "aion_statements_total{edge=\"pgwire\",outcome=\"error\"} 1",
        "aion_rows_sent_total{edge=\"pgwire\"} 4",
        "aion_connections_open{edge=\"pgwire\"} 1",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} is missing in\n{text}");
    }
}
