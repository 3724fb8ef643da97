//! Keys and values over HTTP, by curl.

use std::process::Command;

use serde_json::{Value, json};

use super::*;

/// What curl got.
pub(super) struct Answer {
    status: u16,
    timestamp: u64,
    pub(super) body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn error(&self) -> (u16, String) {
        let state = self.json()["error"]["sqlstate"].as_str().expect("an error").to_owned();
        (self.status, state)
    }
}

/// Runs curl; an argument that is a path of the server goes there.
pub(super) fn curl(server: &Server, arguments: &[&str]) -> Answer {
    let port = server.process.http.expect("HTTP is on");
    let arguments = arguments.iter().map(
        |argument| match argument.starts_with("/v1/") || *argument == "/metrics" {
            true => format!("http://127.0.0.1:{port}{argument}"),
            false => (*argument).to_owned(),
        },
    );
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--path-as-is",
            "--write-out",
            "\n%{http_code} %header{aion-timestamp}",
        ])
        .args(arguments)
        .output()
        .expect("curl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, end) = text.rsplit_once('\n').expect("what it was asked to write");
    let (status, timestamp) = end.split_once(' ').expect("both");
    Answer {
        status: status.parse().expect("a status"),
        timestamp: timestamp.parse().unwrap_or(0),
        body: body.to_owned(),
    }
}

fn apply(server: &Server, batch: &Value) -> Answer {
    let body = batch.to_string();
    curl(
        server,
        &["/v1/kv", "-H", "content-type: application/json", "--data-binary", &body],
    )
}

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), content).expect("written");
    file
}

#[test]
fn namespaces_and_keys_by_their_paths() {
    let server = Server::start();
    let get = |path: &str| curl(&server, &[path]);
    assert_eq!(get("/v1/kv/n/k").error(), (404, "42P01".to_owned()));
    assert_eq!(curl(&server, &["/v1/kv/n", "-X", "PUT"]).status, 201);
    assert_eq!(curl(&server, &["/v1/kv/n", "-X", "PUT"]).status, 200);
    assert_eq!(
        curl(&server, &["/v1/kv/N", "-X", "PUT"]).error(),
        (400, "42602".to_owned())
    );
    assert_eq!(get("/v1/kv").json(), json!({"namespaces": ["n"]}));
    let put = curl(
        &server,
        &[
            "/v1/kv/n/a/b%2Fc%00",
            "-T",
            file(b"one\n").path().to_str().expect("UTF-8"),
        ],
    );
    assert_eq!(
        (put.status, put.json()["timestamp"].as_u64()),
        (200, Some(put.timestamp))
    );
    let got = get("/v1/kv/n/a%2fb/c%00");
    assert_eq!((got.status, got.body.as_str()), (200, "one\n"));
    assert!(got.timestamp >= put.timestamp);
    assert_eq!(get(&format!("/v1/kv/n/a/b/c%00?after={}", put.timestamp)).status, 200);
    let absent = get("/v1/kv/n/absent");
    assert_eq!(absent.error(), (404, "42704".to_owned()));
    assert!(absent.timestamp >= put.timestamp);
    let deleted = curl(&server, &["/v1/kv/n/a/b/c%00", "-X", "DELETE"]);
    assert_eq!((deleted.status, &deleted.json()["existed"]), (200, &json!(true)));
    let deleted = curl(&server, &["/v1/kv/n/a/b/c%00", "-X", "DELETE"]);
    assert_eq!((deleted.status, &deleted.json()["existed"]), (200, &json!(false)));
    for (path, wrong) in [
        ("/v1/kv/n/%", (400, "22023")),
        ("/v1/kv/n?limits=1", (400, "22023")),
        ("/v1/kv/n?cursor=a", (400, "22P02")),
    ] {
        assert_eq!(get(path).error(), (wrong.0, wrong.1.to_owned()), "{path}");
    }
    assert_eq!(curl(&server, &["/v1/kv/n", "-X", "DELETE"]).status, 200);
    assert_eq!(
        curl(&server, &["/v1/kv/n", "-X", "DELETE"]).error(),
        (404, "42P01".to_owned())
    );
}

#[test]
fn limits_hold_at_the_byte() {
    let server = Server::start();
    curl(&server, &["/v1/kv/n", "-X", "PUT"]);
    let (key, longer) = ("k".repeat(256), "k".repeat(257));
    let (value, larger) = (file(&vec![b'v'; 4_000_000]), file(&vec![b'v'; 4_000_001]));
    let upload = |key: &str, file: &tempfile::NamedTempFile| {
        curl(
            &server,
            &[&format!("/v1/kv/n/{key}"), "-T", file.path().to_str().expect("UTF-8")],
        )
    };
    assert_eq!(upload(&key, &value).status, 200);
    assert_eq!(curl(&server, &[&format!("/v1/kv/n/{key}")]).body.len(), 4_000_000);
    assert_eq!(upload(&longer, &value).error(), (413, "54000".to_owned()));
    assert_eq!(upload(&key, &larger).error(), (413, "54000".to_owned()));
    assert_eq!(
        curl(&server, &[&format!("/v1/kv/n/{longer}")]).error(),
        (413, "54000".to_owned())
    );
    let many = |count: usize| json!({"namespace": "n", "operations": vec![json!({"op": "get", "key": "aw"}); count]});
    let send = |batch: &Value| {
        let body = file(batch.to_string().as_bytes());
        let data = format!("@{}", body.path().display());
        curl(
            &server,
            &["/v1/kv", "-H", "content-type: application/json", "--data-binary", &data],
        )
    };
    assert_eq!(send(&many(10_000)).status, 200);
    assert_eq!(send(&many(10_001)).error(), (413, "54000".to_owned()));
    assert_eq!(curl(&server, &["/v1/kv/n?limit=10000"]).status, 200);
    assert_eq!(
        curl(&server, &["/v1/kv/n?limit=10001"]).error(),
        (400, "22023".to_owned())
    );
}

#[test]
fn batches_and_pages_as_json() {
    let server = Server::start();
    curl(&server, &["/v1/kv/n", "-X", "PUT"]);
    let put = |key: &str| json!({"op": "put", "key": key, "value": "/w=="});
    let done = apply(
        &server,
        &json!({"namespace": "n", "operations": [put("YQ"), put("YWI"), put("Yg=="), {"op": "get", "key": "YQ=="}, {"op": "delete", "key": "eg"}]}),
    );
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(
        done.json()["results"],
        json!([{}, {}, {}, {"value": "/w=="}, {"existed": false}])
    );
    let set = |expected: Value, value: Value| json!({"op": "compare_and_set", "namespace": "n", "key": "YQ", "expected": expected, "value": value});
    let unmet = apply(
        &server,
        &json!({"operations": [{"op": "delete", "namespace": "n", "key": "Yg"}, set(json!("AA"), json!("AQ"))]}),
    );
    assert_eq!(unmet.error(), (409, "55000".to_owned()));
    let body = unmet.json();
    assert_eq!((&body["operation"], &body["found"]), (&json!(1), &json!("/w==")));
    assert_eq!(body["timestamp"].as_u64(), Some(unmet.timestamp));
    assert_eq!(
        apply(
            &server,
            &json!({"operations": [set(json!("_w"), Value::Null), set(Value::Null, json!("AQ"))]})
        )
        .status,
        200
    );
    let late = json!({"namespace": "n", "operations": [], "after": 9_000_000_000_000_000_u64, "timeout_ms": 20});
    assert_eq!(apply(&server, &late).error(), (503, "55000".to_owned()));
    for (body, status) in [("{}", 400), ("[", 400)] {
        let refused = curl(
            &server,
            &["/v1/kv", "-H", "content-type: application/json", "--data-binary", body],
        );
        assert_eq!(refused.status, status, "{body}");
    }
    assert_eq!(curl(&server, &["/v1/kv", "--data-binary", "{}"]).status, 415);

    let first = curl(&server, &["/v1/kv/n?prefix=a&limit=1"]);
    assert_eq!(first.json()["entries"], json!([{"key": "YQ==", "value": "AQ=="}]));
    let cursor = first.json()["cursor"].as_str().expect("there is more").to_owned();
    let second = curl(
        &server,
        &[&format!(
            "/v1/kv/n?prefix=a&limit=1&cursor={cursor}&after={}",
            first.timestamp
        )],
    );
    assert_eq!(second.json()["entries"], json!([{"key": "YWI=", "value": "/w=="}]));
    assert_eq!(second.json()["cursor"], Value::Null);
    let range = curl(&server, &["/v1/kv/n?start=a%00&end=b%00&reverse=true"]);
    assert_eq!(
        range.json()["entries"],
        json!([{"key": "Yg==", "value": "/w=="}, {"key": "YWI=", "value": "/w=="}])
    );
    assert_eq!(
        curl(&server, &[&format!("/v1/kv/n?cursor={cursor}")]).error(),
        (400, "22023".to_owned())
    );
}

#[test]
fn what_was_done_is_counted_and_strangers_are_kept_out() {
    let server = Server::start();
    curl(&server, &["/v1/kv/n", "-X", "PUT"]);
    curl(&server, &["/v1/kv/n/k", "-X", "PUT", "-d", "v"]);
    curl(&server, &["/v1/kv/n/k"]);
    curl(&server, &["/v1/kv/n"]);
    apply(
        &server,
        &json!({"namespace": "n", "operations": [{"op": "compare_and_set", "key": "aw"}]}),
    );
    let metrics = curl(&server, &["/metrics"]).body;
    for line in [
        "aion_kv_operations_total{edge=\"http\",operation=\"put\"} 1",
        "aion_kv_operations_total{edge=\"http\",operation=\"get\"} 1",
        "aion_kv_operations_total{edge=\"http\",operation=\"scan\"} 1",
        "aion_kv_operations_total{edge=\"http\",operation=\"compare_and_set\"} 0",
        "aion_kv_requests_total{edge=\"http\",outcome=\"ok\"} 3",
        "aion_kv_requests_total{edge=\"http\",outcome=\"unmet\"} 1",
    ] {
        assert!(metrics.lines().any(|there| there == line), "{line}\n{metrics}");
    }
    let foreign = curl(
        &server,
        &[
            "/v1/kv/n/k",
            "-X",
            "PUT",
            "-d",
            "w",
            "-H",
            "origin: http://evil.example",
        ],
    );
    assert_eq!(foreign.error(), (403, "42501".to_owned()));
    let foreign = curl(&server, &["/v1/kv/n/k", "-H", "host: evil.example"]);
    assert_eq!(foreign.error(), (403, "42501".to_owned()));
    assert_eq!(curl(&server, &["/v1/kv/n/k"]).body, "v");
}
