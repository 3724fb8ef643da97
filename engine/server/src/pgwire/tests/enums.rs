//! Enums: OIDs of their own in what is described and declared, and labels in both forms.

use ::pgwire::messages::PgWireFrontendMessage;
use ::pgwire::messages::extendedquery::Bind;
use bytes::Bytes;

use super::client::{Server, bind, describe, execute, parse, sync};
use crate::limits::ServerLimits;

/// The first type of a database, and arrays of it.
const MOOD: u32 = 16_384;
const MOODS: u32 = 16_385;

#[tokio::test]
async fn an_enum_has_an_oid_of_its_own_and_labels_in_both_forms() {
    let server = Server::new(ServerLimits::default()).await;
    let mut client = server.client().await;
    for statement in [
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
        "CREATE TABLE t (m mood, ms mood[])",
        "INSERT INTO t VALUES ('happy', '{sad,ok}'), ('sad', NULL)",
    ] {
        let answer = client
            .ask(&[parse("", statement, &[]), bind("", "", &[]), execute("", 0), sync()])
            .await;
        assert!(
            answer.iter().any(|line| line.starts_with('C')),
            "{statement}: {answer:?}"
        );
    }
    let in_binary = |name: &str, value: &'static [u8]| {
        PgWireFrontendMessage::Bind(Bind::new(
            None,
            Some(name.into()),
            vec![1],
            vec![Some(Bytes::from_static(value))],
            vec![1],
        ))
    };

    // ParameterDescription, of a column's type and of a cast's.
    for text in [
        "SELECT m, ms FROM t WHERE m = $1",
        "SELECT m, ms FROM t WHERE m >= $1::mood",
    ] {
        let answer = client
            .ask(&[
                parse("s", text, &[]),
                describe(b'S', "s"),
                bind("", "s", &["happy"]),
                execute("", 0),
                in_binary("s", b"happy"),
                execute("", 0),
                bind("", "s", &["angry"]),
                sync(),
                super::client::close(b'S', "s"),
                sync(),
            ])
            .await;
        assert_eq!(answer[..3], ["1", &format!("t {MOOD}"), "T m ms"], "{text}");
        assert_eq!(answer[4], "D happy {sad,ok}", "{text}");
        assert!(answer[7].starts_with("D happy "), "{text}: {answer:?}");
        assert!(
            answer.contains(&"E 22P02 invalid input value for enum mood: \"angry\"".to_owned()),
            "{text}: {answer:?}"
        );
        client.until_ready().await;
    }

    // Parse with the OIDs.
    let answer = client
        .ask(&[
            parse("p", "SELECT $1 AS v, $1 > 'sad' AS b", &[MOOD]),
            parse("a", "SELECT count(*) AS n FROM t WHERE m = ANY($1)", &[MOODS]),
            describe(b'S', "p"),
            describe(b'S', "a"),
            in_binary("p", b"ok"),
            execute("", 0),
            bind("", "a", &["{ok,happy}"]),
            execute("", 0),
            sync(),
        ])
        .await;
    assert_eq!(
        answer[..6],
        ["1", "1", &format!("t {MOOD}"), "T v b", &format!("t {MOODS}"), "T n"]
    );
    assert!(answer[7].starts_with("D ok "), "{answer:?}");
    assert!(answer.contains(&"D 1".to_owned()), "{answer:?}");
    let answer = client.ask(&[parse("", "SELECT $1", &[999_999]), sync()]).await;
    assert!(answer[0].starts_with("E 42704"), "{answer:?}");

    // What was prepared knows a label that comes later.
    let more = "ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok'";
    client
        .ask(&[parse("", more, &[]), bind("", "", &[]), execute("", 0), sync()])
        .await;
    let answer = client.ask(&[bind("", "p", &["meh"]), execute("", 0), sync()]).await;
    assert_eq!(answer, ["2", "D meh t", "C SELECT 1", "Z I"]);
}
