//! Connections: how many, and their end.

use std::time::Duration;

use arrow_flight::error::FlightError;
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use super::client::{connect, done, failure, rows, start, state, ticket};
use crate::limits::ServerLimits;
use crate::testing::ENDLESS;

#[tokio::test]
async fn too_many_are_told_so() {
    let served = start(ServerLimits {
        connections_max: 1,
        ..ServerLimits::default()
    })
    .await;
    let mut first = connect(&served).await;
    rows(&mut first, "SELECT 1", None).await.expect("served");
    let mut second = connect(&served).await;
    let status = failure(second.execute("SELECT 1".into(), None).await);
    assert_eq!((status.code(), state(&status)), (Code::ResourceExhausted, "53300"));
    assert!(
        status.message().starts_with("sorry, too many clients already"),
        "{status}"
    );
    assert_eq!(served.metric("aion_connections_open{edge=\"flight\"}"), "1");
    drop((first, second));
    loop {
        let mut next = connect(&served).await;
        if next.execute("SELECT 1".into(), None).await.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn noise_ends_its_connection_only() {
    let served = start(ServerLimits::default()).await;
    for noise in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff",
    ] {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        stream.write_all(noise).await.expect("sent");
        stream.shutdown().await.expect("half closed");
        let mut answer = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut answer).await;
    }
    let mut client = connect(&served).await;
    assert_eq!(rows(&mut client, "SELECT 1", None).await.expect("rows"), ["1"]);
}

#[tokio::test]
async fn results_under_way_arrive_before_the_server_ends() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    done(&mut client, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let info = client
        .execute("SELECT id FROM generate_series(1, 300000) AS g(id)".into(), None)
        .await
        .expect("runs");
    let mut stream = client.do_get(ticket(&info)).await.expect("rows");
    let first = stream.try_next().await.expect("rows").expect("a batch");
    served.shutdown.send(true).expect("it listens");
    let rest: Vec<_> = stream.try_collect().await.expect("the rest");
    let count: usize = rest.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(count + first.num_rows(), 300_000);
    drop(client);
    served.task.await.expect("no panic").expect("a clean stop");
}

#[tokio::test]
async fn after_the_grace_statements_are_cancelled() {
    let served = start(ServerLimits {
        shutdown_grace: Duration::ZERO,
        flight_statements_max: 1,
        ..ServerLimits::default()
    })
    .await;
    let mut client = connect(&served).await;
    let info = client.execute(ENDLESS.into(), None).await.expect("runs");
    let mut stream = client.do_get(ticket(&info)).await.expect("rows");
    served.shutdown.send(true).expect("it listens");
    let ended = async {
        while stream.try_next().await?.is_some() {}
        Ok::<_, FlightError>(())
    };
    let status = failure(ended.await);
    assert_eq!(status.code(), Code::Cancelled, "{status}");
    drop((stream, client));
    served.task.await.expect("no panic").expect("a clean stop");
}
