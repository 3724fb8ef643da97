//! The page's files and their headers; engine/tests/page looks at them with a browser.

use super::client::{Connection, start};
use crate::limits::ServerLimits;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

#[tokio::test]
async fn each_file_has_its_type_and_the_policy() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    for (path, content_type, beginning) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/page.css", "text/css; charset=utf-8", ""),
        ("/page.js", "text/javascript; charset=utf-8", "//"),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        for header in [
            format!("content-type: {content_type}\r\n"),
            format!("content-security-policy: {POLICY}\r\n"),
            "x-content-type-options: nosniff\r\n".to_owned(),
        ] {
            assert!(
                answer.head.contains(&header),
                "{path}: {header} is not in\n{}",
                answer.head
            );
        }
        assert!(
            answer.body.starts_with(beginning) && answer.body.len() > 1_000,
            "{path}"
        );
        assert_eq!(client.request("POST", path, "", b"").await.status, 405, "{path}");
    }
    // All that it names is there.
    let page = client.get("/").await.body;
    assert!(page.contains("href=\"page.css\"") && page.contains("src=\"page.js\""));
    let missing = client.get("/index.html").await;
    assert_eq!(missing.error(), (404, "42704".to_owned()));
    assert!(missing.body.contains("GET /, GET /healthz"), "{}", missing.body);
}

#[tokio::test]
async fn by_another_name_it_says_where_to_open_it() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    client.send(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    let refused = client.answer().await.expect("an answer");
    assert_eq!(refused.error(), (403, "42501".to_owned()));
    assert!(
        refused.body.contains(&format!("http://{}/", served.address)),
        "{}",
        refused.body
    );
}
