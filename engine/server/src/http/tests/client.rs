//! A client of the tests.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::serve;
use crate::limits::ServerLimits;
use crate::testing::Served;

/// A server with these limits.
pub async fn start(limits: ServerLimits) -> Served {
    Served::start(limits, serve).await
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Status and SQLSTATE of an error.
    pub fn error(&self) -> (u16, String) {
        let state = self.json()["error"]["sqlstate"].as_str().expect("an error").to_owned();
        (self.status, state)
    }
}

/// A connection.
pub struct Connection {
    pub stream: TcpStream,
    host: String,
}

impl Connection {
    pub async fn new(served: &Served) -> Self {
        Self {
            stream: TcpStream::connect(served.address).await.expect("it listens"),
            host: served.address.to_string(),
        }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sent");
    }

    /// Sends a request with these further headers, each with its end.
    pub async fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n{headers}\r\n",
            self.host,
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat()).await;
        self.answer().await.expect("an answer")
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, "", b"").await
    }

    /// Sends a body to /v1/sql.
    pub async fn post(&mut self, body: &str) -> Answer {
        let headers = "Content-Type: application/json\r\n";
        self.request("POST", "/v1/sql", headers, body.as_bytes()).await
    }

    /// Runs a text without parameters.
    pub async fn sql(&mut self, text: &str) -> Answer {
        self.post(&serde_json::json!({ "sql": text }).to_string()).await
    }

    /// Runs a text that must not fail.
    pub async fn done(&mut self, text: &str) -> Value {
        let answer = self.sql(text).await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.body);
        answer.json()
    }

    /// Reads an answer; None if the connection ended.
    pub async fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).expect("ASCII");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse::<usize>().expect("a length"))
        });
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(Answer {
            status,
            head,
            body: String::from_utf8(body).expect("UTF-8"),
        })
    }

    /// Waits for the connection to end without a further byte.
    pub async fn ended(mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}
