//! Connections: how many, how long, and their end.

use std::time::Duration;

use serde_json::json;

use super::client::{Answer, Connection, start};
use crate::limits::ServerLimits;
use crate::testing::ENDLESS;

#[tokio::test]
async fn too_many_are_told_so() {
    let limits = ServerLimits {
        connections_max: 1,
        ..ServerLimits::default()
    };
    let served = start(limits).await;
    let mut first = Connection::new(&served).await;
    assert_eq!(first.get("/healthz").await.status, 200);
    let mut second = Connection::new(&served).await;
    assert_eq!(second.get("/healthz").await.error(), (503, "53300".to_owned()));
    assert_eq!(served.metric("aion_connections_refused_total{edge=\"http\"}"), "1");
    drop(first);
    loop {
        let mut next = Connection::new(&served).await;
        if next.get("/healthz").await.status == 200 {
            break;
        }
    }
}

/// Otherwise a few clients that send nothing would keep all others out.
#[tokio::test]
async fn those_that_dawdle_are_cut_off() {
    let limits = ServerLimits {
        login_timeout: Duration::from_millis(50),
        http_body_timeout: Duration::from_millis(50),
        ..ServerLimits::default()
    };
    let served = start(limits).await;
    Connection::new(&served).await.ended().await;
    let mut head = Connection::new(&served).await;
    head.send(b"GET /healthz HTTP/1.1\r\nHost: loc").await;
    if let Some(answer) = head.answer().await {
        assert_eq!(answer.status, 408);
    }
    let mut body = Connection::new(&served).await;
    body.send(
        b"POST /v1/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    )
    .await;
    assert_eq!(
        body.answer().await.expect("an answer").error(),
        (408, "57014".to_owned())
    );
    let mut idle = Connection::new(&served).await;
    assert_eq!(idle.get("/healthz").await.status, 200);
    idle.ended().await;
}

/// Runs a text as soon as there is room for it.
async fn admitted(client: &mut Connection, text: &str) -> Answer {
    loop {
        let answer = client.sql(text).await;
        if answer.status != 503 || answer.error().1 != "53300" {
            return answer;
        }
    }
}

#[tokio::test]
async fn a_running_statement_ends_before_the_server_does() {
    let served = start(ServerLimits {
        http_statements_max: 1,
        ..ServerLimits::default()
    })
    .await;
    let mut idle = Connection::new(&served).await;
    assert_eq!(idle.get("/healthz").await.status, 200);
    let mut busy = Connection::new(&served).await;
    let mut other = Connection::new(&served).await;
    let text = "SELECT count(*) AS n FROM generate_series(1, 3000000) a";
    let running = tokio::spawn(async move { admitted(&mut busy, text).await });
    // Until it runs.
    while other.sql("SELECT 1").await.status != 503 && !running.is_finished() {
        tokio::task::yield_now().await;
    }
    served.shutdown.send(true).expect("it listens");
    assert_eq!(running.await.expect("no panic").json()["rows"], json!([[3_000_000]]));
    idle.ended().await;
    served.task.await.expect("no panic").expect("a clean stop");
}

#[tokio::test]
async fn after_the_grace_statements_are_cancelled() {
    let limits = ServerLimits {
        shutdown_grace: Duration::ZERO,
        http_statements_max: 1,
        ..ServerLimits::default()
    };
    let served = start(limits).await;
    let mut busy = Connection::new(&served).await;
    let running = tokio::spawn(async move { admitted(&mut busy, ENDLESS).await });
    let mut other = Connection::new(&served).await;
    while other.sql("SELECT 1").await.status != 503 {
        tokio::task::yield_now().await;
    }
    served.shutdown.send(true).expect("it listens");
    assert_eq!(running.await.expect("no panic").error(), (503, "57014".to_owned()));
    served.task.await.expect("no panic").expect("a clean stop");
}
