//! What is not answered, and why.

use super::client::{Connection, start};
use crate::limits::ServerLimits;

const SELECT: &[u8] = br#"{"sql": "SELECT 1"}"#;
const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn only_json_is_read() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    for headers in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ] {
        let answer = client.request("POST", "/v1/sql", headers, SELECT).await;
        assert_eq!(answer.error(), (415, "0A000".to_owned()), "{headers}");
    }
    assert_eq!(client.request("POST", "/v1/sql", JSON, SELECT).await.status, 200);
    for body in [
        &b"{"[..],
        b"[]",
        b"{\"sql\": 1}",
        b"{\"sql\": \"\xff\"}",
        b"{\"sql\": \"\", \"x\": 1}",
        b"",
    ] {
        let answer = client.request("POST", "/v1/sql", JSON, body).await;
        assert_eq!(answer.error(), (400, "08P01".to_owned()));
    }
}

/// A page that a browser on this machine shows must reach neither data nor counters.
#[tokio::test]
async fn foreign_pages_are_refused() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    let origin = format!("{JSON}Origin: http://evil.example\r\n");
    let answer = client.request("POST", "/v1/sql", &origin, SELECT).await;
    assert_eq!(answer.error(), (403, "42501".to_owned()));
    let own = format!("{JSON}Origin: http://{}\r\n", served.address);
    assert_eq!(client.request("POST", "/v1/sql", &own, SELECT).await.status, 200);
    for path in ["/v1/sql", "/metrics", "/healthz"] {
        let mut rebound = Connection::new(&served).await;
        rebound
            .send(format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n").as_bytes())
            .await;
        assert_eq!(rebound.answer().await.expect("an answer").status, 403, "{path}");
    }
    // A browser asks first whether it may send JSON; nothing says yes.
    let asked = client
        .request("OPTIONS", "/v1/sql", "Access-Control-Request-Method: POST\r\n", b"")
        .await;
    assert_eq!(asked.status, 405);
    assert!(
        !asked.head.to_ascii_lowercase().contains("access-control-allow"),
        "{}",
        asked.head
    );
}

#[tokio::test]
async fn paths_and_methods() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    assert_eq!(client.get("/v2/sql").await.error(), (404, "42704".to_owned()));
    assert_eq!(client.get("/v1/sql").await.error(), (405, "0A000".to_owned()));
    assert_eq!(client.request("POST", "/metrics", "", b"").await.status, 405);
    assert_eq!(client.get("/healthz").await.body, "{\"status\":\"ok\"}");
    let metrics = client.get("/metrics").await;
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    for name in [
        "aion_build_info{version=",
        "aion_connections_open{edge=\"http\"} 1",
        "aion_log_index ",
    ] {
        assert!(metrics.body.contains(name), "{name} is missing in\n{}", metrics.body);
    }
}

#[tokio::test]
async fn noise_is_answered_or_cut_off() {
    let served = start(ServerLimits::default()).await;
    for noise in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"SELECT 1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
    ] {
        let mut client = Connection::new(&served).await;
        client.send(noise).await;
        if let Some(answer) = client.answer().await {
            assert_eq!(answer.status, 400);
        }
    }
    let mut client = Connection::new(&served).await;
    let headers: String = (0..1_000).map(|at| format!("X-{at}: y\r\n")).collect();
    client
        .send(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes())
        .await;
    assert_eq!(client.answer().await.expect("an answer").status, 431);
    assert_eq!(Connection::new(&served).await.get("/healthz").await.status, 200);
}
