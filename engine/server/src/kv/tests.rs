//! What the calls of gRPC are limited by, and how they end. What they do is tested against the program.

use std::time::Duration;

use super::Client;
use super::proto::{Batch, Operation, Outcome, Put, Refused, What};
use crate::flight;
use crate::limits::ServerLimits;
use crate::testing::Served;

/// google.rpc.Code
const RESOURCE_EXHAUSTED: i32 = 8;

async fn start(limits: ServerLimits) -> (Served, Client) {
    let served = Served::start(limits, flight::serve).await;
    let mut client = connect(&served).await;
    client.create_namespace("n").await.expect("made");
    (served, client)
}

async fn connect(served: &Served) -> Client {
    Client::connect(&served.address.to_string()).await.expect("it listens")
}

fn put(key: &'static str) -> Batch {
    Batch {
        operations: vec![Operation {
            namespace: "n".to_owned(),
            key: key.into(),
            what: Some(What::Put(Put { value: "v".into() })),
        }],
        ..Batch::default()
    }
}

fn is_too_many(refused: &Refused) -> bool {
    (refused.code, refused.sqlstate.as_str()) == (RESOURCE_EXHAUSTED, "53300")
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused() {
    let limits = ServerLimits {
        kv_requests_max: 1,
        ..ServerLimits::default()
    };
    let (_served, mut client) = start(limits).await;
    // It takes the room of one request until it ends.
    let (batches, mut answers) = client.stream(1).await.expect("there is room");
    for refused in [
        client.apply(put("k")).await.map(drop),
        client.list_namespaces().await.map(drop),
        client.stream(1).await.map(drop),
    ] {
        let refused = refused.expect_err("there is none");
        assert!(is_too_many(&refused), "{refused:?}");
    }
    batches.send(put("k")).await.expect("sent");
    let answer = answers.next().await.expect("a stream").expect("an answer");
    assert!(matches!(answer.outcome, Some(Outcome::Applied(_))), "{answer:?}");
    drop(batches);
    assert_eq!(answers.next().await.expect("a stream"), None);
    while let Err(refused) = client.apply(put("k")).await {
        assert!(is_too_many(&refused), "{refused:?}");
    }
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_told_so() {
    let limits = ServerLimits {
        connections_max: 1,
        ..ServerLimits::default()
    };
    let (served, mut first) = start(limits).await;
    let mut second = connect(&served).await;
    let refused = second.apply(put("k")).await.expect_err("one is served");
    assert!(is_too_many(&refused), "{refused:?}");
    first.apply(put("k")).await.expect("it is that one");
}

/// One that waits for its client's next batch would otherwise hold up the end for all of the grace.
#[tokio::test]
async fn a_stream_ends_with_the_server() {
    let (served, mut client) = start(ServerLimits::default()).await;
    let (batches, mut answers) = client.stream(1).await.expect("begun");
    batches.send(put("k")).await.expect("sent");
    assert!(answers.next().await.expect("a stream").is_some());
    served.shutdown.send(true).expect("it listens to that");
    assert_eq!(answers.next().await.expect("an orderly end"), None);
    drop(client);
    let half = ServerLimits::default().shutdown_grace / 2;
    let ended = tokio::time::timeout(half.max(Duration::from_secs(5)), served.task).await;
    ended.expect("in time").expect("no panic").expect("served");
}
