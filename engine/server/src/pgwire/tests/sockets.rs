//! The listener, over sockets on this machine.

use std::net::SocketAddr;
use std::time::Duration;

use ::pgwire::messages::Message as _;
use ::pgwire::messages::cancel::CancelRequest;
use ::pgwire::messages::startup::SecretKey;
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::serve;
use super::client::{Client, database, query};
use crate::limits::ServerLimits;
use crate::service::Service;

const ENDLESS: &str = "SELECT id FROM generate_series(1, 1000000000000) AS g(id)";
const STOPPED: &str = "E FATAL 57P01 terminating connection due to administrator command";

struct Served {
    address: SocketAddr,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<aion_base::Result<()>>,
}

async fn start(limits: ServerLimits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (shutdown, stopping) = watch::channel(false);
    let task = tokio::spawn(serve(listener, Service::new(database().await, limits, stopping)));
    Served {
        address,
        shutdown,
        task,
    }
}

impl Served {
    async fn stranger(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.address).await.expect("it listens"))
    }

    async fn client(&self) -> Client<TcpStream> {
        let mut client = self.stranger().await;
        let welcome = client.log_in(&[("user", "aion")]).await;
        assert_eq!(welcome.last().map(String::as_str), Some("Z I"), "{welcome:?}");
        client
    }

    async fn cancel(&self, pid: i32, secret: Bytes) {
        let mut bytes = BytesMut::new();
        CancelRequest::new(pid, SecretKey::Bytes(secret))
            .encode(&mut bytes)
            .expect("short");
        let mut client = self.stranger().await;
        client.raw(&bytes).await;
        let mut answer = Vec::new();
        client.stream.read_to_end(&mut answer).await.expect("closed in order");
        assert!(answer.is_empty(), "a cancel request is not answered");
    }
}

#[tokio::test]
async fn a_cancel_request_ends_the_statement_of_its_secret_only() {
    let served = start(ServerLimits::default()).await;
    let mut client = served.client().await;
    let (pid, secret) = client.key.clone().expect("logged in");
    client.send(&[query(ENDLESS)]).await;
    assert_eq!(client.next().await.as_deref(), Some("T id"));
    let wrong: Vec<u8> = secret.iter().map(|byte| !byte).collect();
    served.cancel(pid, wrong.into()).await;
    for _ in 0..100_000 {
        assert!(client.next().await.is_some_and(|line| line.starts_with("D ")));
    }
    served.cancel(pid, secret).await;
    let mut last = client.next().await;
    while last.as_ref().is_some_and(|line| line.starts_with("D ")) {
        last = client.next().await;
    }
    assert_eq!(last.as_deref(), Some("E 57014 canceling statement due to user request"));
    assert_eq!(client.next().await.as_deref(), Some("Z I"));
    assert_eq!(client.query("SELECT 1").await[1..], ["D 1", "C SELECT 1", "Z I"]);
}

#[tokio::test]
async fn connections_are_counted() {
    let served = start(ServerLimits {
        connections_max: 1,
        ..ServerLimits::default()
    })
    .await;
    let mut first = served.client().await;
    let refused = served.stranger().await.log_in(&[("user", "aion")]).await;
    assert_eq!(refused, ["E FATAL 53300 sorry, too many clients already"]);
    let (pid, secret) = first.key.clone().expect("logged in");
    served.cancel(pid, secret).await;
    assert_eq!(first.query("SELECT 1").await[1..], ["D 1", "C SELECT 1", "Z I"]);
    first
        .send(&[::pgwire::messages::PgWireFrontendMessage::Terminate(
            ::pgwire::messages::terminate::Terminate::new(),
        )])
        .await;
    assert_eq!(first.next().await, None);
    // The server has closed the first connection; its place is free once its task was seen to end.
    loop {
        let welcome = served.stranger().await.log_in(&[("user", "aion")]).await;
        if welcome.last().is_some_and(|line| line == "Z I") {
            break;
        }
        assert_eq!(welcome, ["E FATAL 53300 sorry, too many clients already"]);
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_statements_and_lets_nobody_in() {
    let served = start(ServerLimits {
        shutdown_grace: Duration::from_secs(3_600),
        ..ServerLimits::default()
    })
    .await;
    let mut idle = served.client().await;
    let mut running = served.client().await;
    // It is not read, so it does not end.
    running.send(&[query(ENDLESS)]).await;
    assert_eq!(running.next().await.as_deref(), Some("T id"));
    served.shutdown.send(true).expect("it listens");
    assert_eq!(idle.next().await.as_deref(), Some(STOPPED));
    let refused = served.stranger().await.log_in(&[("user", "aion")]).await;
    assert_eq!(refused, ["E FATAL 57P03 the database system is shutting down"]);
    drop(running);
    served.task.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn a_shutdown_cancels_what_does_not_end() {
    let served = start(ServerLimits {
        shutdown_grace: Duration::from_millis(1),
        ..ServerLimits::default()
    })
    .await;
    let mut running = served.client().await;
    running.send(&[query(ENDLESS)]).await;
    assert_eq!(running.next().await.as_deref(), Some("T id"));
    served.shutdown.send(true).expect("it listens");
    let mut lines = Vec::new();
    while let Some(line) = running.next().await {
        if !line.starts_with("D ") {
            lines.push(line);
        }
    }
    assert_eq!(
        lines,
        ["E 57014 canceling statement due to user request", "Z I", STOPPED]
    );
    served.task.await.expect("no panic").expect("a clean end");
}
