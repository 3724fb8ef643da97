//! COPY between client and server, message by message.

use super::client::{Client, Server, bind, execute, parse, query, sync};
use crate::limits::ServerLimits;
use tokio::io::DuplexStream;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short body");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// CopyData messages with these bodies.
fn data(bodies: &[&str]) -> Vec<u8> {
    bodies.iter().flat_map(|body| message(b'd', body.as_bytes())).collect()
}

fn done() -> Vec<u8> {
    message(b'c', b"")
}

/// A server whose table `t` takes numbers, and a client.
async fn start() -> (Server, Client<DuplexStream>) {
    // A row longer than the messages that it comes in, and messages beyond the limits of others.
    let limits = ServerLimits {
        statement_bytes_max: 1_000,
        message_bytes_max: 1_000,
        ..ServerLimits::default()
    };
    let server = Server::new(limits).await;
    let mut client = server.client().await;
    client.query("CREATE TABLE t (id int PRIMARY KEY, s text)").await;
    (server, client)
}

async fn begin(client: &mut Client<DuplexStream>, text: &str) {
    client.send(&[query(text)]).await;
    assert_eq!(client.next().await.as_deref(), Some("G 2"), "{text}");
}

async fn ids(client: &mut Client<DuplexStream>) -> Vec<String> {
    let mut answer = client.query("SELECT id FROM t ORDER BY id").await;
    answer.retain(|line| line.starts_with("D "));
    answer
}

#[tokio::test]
async fn data_is_cut_anywhere_and_messages_have_any_length() {
    let (_server, mut client) = start().await;
    begin(&mut client, "COPY t FROM STDIN").await;
    let long = format!("3\t{}\n", "x".repeat(100_000));
    client
        .raw(&[data(&["1\to", "", "ne\n2", "\t\\N\n", &long]), done()].concat())
        .await;
    assert_eq!(client.until_ready().await, ["C COPY 3", "Z I"]);
    client
        .send(&[query(
            "COPY (SELECT id, s FROM t WHERE id < 3 ORDER BY id) TO STDOUT (FORMAT csv, HEADER)",
        )])
        .await;
    assert_eq!(
        client.until_ready().await,
        ["H 2", "d id,s\\n", "d 1,one\\n", "d 2,\\n", "c", "C COPY 2", "Z I"]
    );
}

#[tokio::test]
async fn a_wrong_row_ends_it_at_once_and_what_still_comes_is_dropped() {
    let (_server, mut client) = start().await;
    begin(&mut client, "COPY t FROM STDIN").await;
    client.raw(&data(&["1\tone\nx\ttwo\n"])).await;
    // The load notices when it is told that there is no more, or reads on.
    client.raw(&[data(&["3\tthree\n"]), done()].concat()).await;
    let answer = client.until_ready().await;
    assert!(answer[0].starts_with("E 22P02 "), "{answer:?}");
    assert_eq!(answer[1..], ["Z I"]);
    client
        .raw(&[data(&["4\tfour\n"]), done(), message(b'f', b"late\0")].concat())
        .await;
    assert!(ids(&mut client).await.is_empty());
}

#[tokio::test]
async fn the_client_may_give_up() {
    let (_server, mut client) = start().await;
    client.query("BEGIN").await;
    begin(&mut client, "COPY t FROM STDIN").await;
    client
        .raw(&[data(&["1\tone\n"]), message(b'f', b"no more\0")].concat())
        .await;
    assert_eq!(
        client.until_ready().await,
        ["E 57014 COPY from stdin failed: no more", "Z E"]
    );
    client.query("ROLLBACK").await;
    assert!(ids(&mut client).await.is_empty());
}

/// Nothing comes from the client: the statement's time wakes the COPY all the same.
#[tokio::test]
async fn a_copy_that_waits_for_its_client_is_cancelled() {
    let (_server, mut client) = start().await;
    client.query("SET statement_timeout = 50").await;
    begin(&mut client, "COPY t FROM STDIN").await;
    client.raw(&data(&["1\tone\n"])).await;
    assert_eq!(
        client.until_ready().await,
        ["E 57014 canceling statement due to statement timeout", "Z I"]
    );
    client.query("SET statement_timeout = 0").await;
    assert!(ids(&mut client).await.is_empty());
}

#[tokio::test]
async fn the_extended_protocol_copies_too() {
    let (_server, mut client) = start().await;
    // As drivers do it: the first Sync comes while the COPY is under way, and means nothing.
    client
        .send(&[
            parse("", "COPY t FROM STDIN", &[]),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ])
        .await;
    client.raw(&[data(&["1\tone\n"]), done()].concat()).await;
    client.send(&[sync()]).await;
    assert_eq!(client.until_ready().await, ["1", "2", "G 2", "C COPY 1", "Z I"]);

    client
        .send(&[
            parse("", "COPY t FROM STDIN", &[]),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ])
        .await;
    client.raw(&[data(&["1\tone\n"]), done()].concat()).await;
    client.send(&[sync()]).await;
    let answer = client.until_ready().await;
    assert!(answer[3].starts_with("E 23505 ") && answer[4] == "Z I", "{answer:?}");
    assert_eq!(ids(&mut client).await, ["D 1"]);
}

#[tokio::test]
async fn what_is_no_part_of_a_copy_ends_the_connection() {
    let (_server, mut client) = start().await;
    begin(&mut client, "COPY t FROM STDIN").await;
    client.send(&[query("SELECT 1")]).await;
    let answer = client.next().await.expect("an answer");
    assert!(answer.contains("08P01") && answer.contains("during COPY"), "{answer}");
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn several_statements_of_one_text_copy_one_after_another() {
    let (_server, mut client) = start().await;
    client.send(&[query("COPY t FROM STDIN; SELECT count(*) FROM t")]).await;
    client.raw(&[data(&["1\tone\n"]), done()].concat()).await;
    assert_eq!(
        client.until_ready().await,
        ["G 2", "C COPY 1", "T count", "D 1", "C SELECT 1", "Z I"]
    );
}

/// What drivers expect: the head and the first tuple are one message, as PostgreSQL sends them.
#[tokio::test]
async fn binary_is_announced_and_sent_as_postgres_does_it() {
    let (_server, mut client) = start().await;
    let head = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    let tuple = b"\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x03one";
    client.send(&[query("COPY t FROM STDIN (FORMAT binary)")]).await;
    assert_eq!(client.next().await.as_deref(), Some("G 2 format 1 [1, 1]"));
    let all = [
        &head[..],
        &tuple[..],
        b"\0\x02\0\0\0\x04\0\0\0\x02\xff\xff\xff\xff\xff\xff",
    ]
    .concat();
    let pieces: Vec<u8> = all.chunks(7).flat_map(|piece| message(b'd', piece)).collect();
    client.raw(&[pieces, done()].concat()).await;
    assert_eq!(client.until_ready().await, ["C COPY 2", "Z I"]);

    let text = "COPY (SELECT id, s FROM t ORDER BY id) TO STDOUT (FORMAT binary)";
    client.send(&[query(text)]).await;
    let head = "PGCOPY\\n\\xff\\r\\n\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00";
    let number = |number: u8| format!("\\x00\\x02\\x00\\x00\\x00\\x04\\x00\\x00\\x00\\x{number:02x}");
    assert_eq!(
        client.until_ready().await,
        [
            "H 2 format 1 [1, 1]".to_owned(),
            format!("d {head}{}\\x00\\x00\\x00\\x03one", number(1)),
            format!("d {}\\xff\\xff\\xff\\xff", number(2)),
            "d \\xff\\xff".to_owned(),
            "c".to_owned(),
            "C COPY 2".to_owned(),
            "Z I".to_owned(),
        ]
    );
    client
        .send(&[query("COPY (SELECT 1 WHERE false) TO STDOUT BINARY")])
        .await;
    assert_eq!(
        client.until_ready().await[1..3],
        [format!("d {head}\\xff\\xff"), "c".to_owned()]
    );
}
