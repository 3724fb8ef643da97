//! `POST /v1/sql`.

use serde_json::json;

use super::client::{Connection, start};
use crate::limits::ServerLimits;
use crate::testing::ENDLESS;

#[tokio::test]
async fn rows_and_columns() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    let text = "SELECT * FROM (VALUES (1, 'ä'), (2, NULL)) AS t(id, s) ORDER BY id";
    assert_eq!(
        client.done(text).await,
        json!({
            "columns": [{"name": "id", "type": "bigint"}, {"name": "s", "type": "text"}],
            "rows": [[1, "ä"], [2, null]],
            "tag": "SELECT 2",
            "row_count": 2,
        })
    );
    let answer = client
        .post(&json!({"sql": text, "format": "columns"}).to_string())
        .await;
    assert_eq!(
        answer.json(),
        json!({
            "columns": [
                {"name": "id", "type": "bigint", "values": [1, 2]},
                {"name": "s", "type": "text", "values": ["ä", null]},
            ],
            "tag": "SELECT 2",
            "row_count": 2,
        })
    );
    let nothing = client.done("SELECT 1 AS a WHERE false").await;
    assert_eq!(nothing["rows"], json!([]));
    assert!(served.metric("aion_statements_total{edge=\"http\",outcome=\"ok\"}") == "3");
    assert_eq!(served.metric("aion_rows_sent_total{edge=\"http\"}"), "4");
}

#[tokio::test]
async fn every_type_has_its_form() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    client
        .done(
            "CREATE TABLE t (a boolean, b smallint, c bigint, d real, e double precision, f numeric(12,2), g bytea,
             h date, i timestamp, j timestamp with time zone, k uuid, l json, m vector(2));",
        )
        .await;
    let values = json!([
        true,
        -2,
        9_007_199_254_740_993_i64,
        0.1,
        "NaN",
        1.5,
        "\\x00ff",
        "2024-02-29",
        "2024-02-29 12:34:56.7",
        "2024-02-29 12:34:56.7+02",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "{\"a\": 1.50}",
        [1, -2.5],
    ]);
    let places: Vec<String> = (1..=13).map(|at| format!("${at}")).collect();
    let insert = format!("INSERT INTO t VALUES ({})", places.join(","));
    let inserted = client
        .post(&json!({ "sql": insert, "params": values }).to_string())
        .await;
    assert_eq!(inserted.status, 200, "{}", inserted.body);
    let answer = client.sql("SELECT * FROM t").await;
    // A bigint keeps the digits that a JSON reader may lose.
    let row = "[true,-2,9007199254740993,0.1,\"NaN\",\"1.50\",\"\\\\x00ff\",\"2024-02-29\",\
               \"2024-02-29 12:34:56.7\",\"2024-02-29 10:34:56.7+00\",\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\",\
               \"{\\\"a\\\": 1.50}\",[1.0,-2.5]]";
    assert!(answer.body.contains(row), "{}", answer.body);
    let infinite = client
        .done("SELECT 'Infinity'::double precision, '-Infinity'::real")
        .await;
    assert_eq!(infinite["rows"], json!([["Infinity", "-Infinity"]]));
}

#[tokio::test]
async fn parameters_go_with_one_statement() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    client
        .done("CREATE TABLE t (id int PRIMARY KEY, s text, v vector(2))")
        .await;
    let insert = json!({"sql": "INSERT INTO t VALUES ($1, $2, $3)", "params": [1, "it's", [1, 2.5]]});
    let answer = client.post(&insert.to_string()).await.json();
    assert_eq!(
        (&answer["tag"], &answer["row_count"]),
        (&json!("INSERT 0 1"), &json!(1))
    );
    let select = json!({"sql": "SELECT s, v FROM t WHERE id = $1", "params": ["1"]});
    let answer = client.post(&select.to_string()).await.json();
    assert_eq!(answer["rows"], json!([["it's", [1.0, 2.5]]]));
    for (request, state) in [
        (json!({"sql": "SELECT $1::int", "params": []}), "08P01"),
        (json!({"sql": "SELECT 1", "params": [1]}), "08P01"),
        (json!({"sql": "SELECT $1::int", "params": ["x"]}), "22P02"),
        (json!({"sql": "SELECT 1; SELECT $1::int", "params": [1]}), "42601"),
    ] {
        assert_eq!(client.post(&request.to_string()).await.error(), (400, state.to_owned()));
    }
}

#[tokio::test]
async fn several_statements_are_one_transaction() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    client.done("CREATE TABLE t (id int PRIMARY KEY)").await;
    let failed = client.sql("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)").await;
    assert_eq!(failed.error(), (409, "23505".to_owned()));
    assert_eq!(client.done("SELECT count(*) AS n FROM t").await["rows"], json!([[0]]));
    let last = client
        .done("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); SELECT id FROM t ORDER BY id")
        .await;
    assert_eq!(last["rows"], json!([[1], [2]]));
    let explicit = client
        .done("BEGIN; INSERT INTO t VALUES (3); ROLLBACK; SELECT count(*) AS n FROM t")
        .await;
    assert_eq!(explicit["rows"], json!([[2]]));
    let open = client.sql("BEGIN; INSERT INTO t VALUES (4)").await;
    assert_eq!(open.error(), (400, "25P01".to_owned()));
    assert_eq!(client.done("SELECT count(*) AS n FROM t").await["rows"], json!([[2]]));
    let set = client
        .done("SET statement_timeout = '5min'; SHOW statement_timeout")
        .await;
    assert_eq!(set["rows"], json!([["5min"]]));
    assert_eq!(client.done("SHOW statement_timeout").await["rows"], json!([["0"]]));
}

#[tokio::test]
async fn errors_say_what_and_where() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    let answer = client.sql("SELECT *\n  FROM nowhere").await;
    assert_eq!(answer.error(), (404, "42P01".to_owned()));
    assert_eq!(answer.json()["error"]["position"], json!(17));
    assert_eq!(client.sql("SELEC 1").await.error(), (400, "42601".to_owned()));
    assert_eq!(client.sql(" ; ").await.error(), (400, "42601".to_owned()));
    assert_eq!(client.sql("SELECT 1/0").await.error(), (400, "22012".to_owned()));
    let late = client
        .sql("SELECT 1 / (id - 50000) FROM generate_series(1, 100000) AS g(id)")
        .await;
    assert_eq!(late.error(), (400, "22012".to_owned()), "in the middle of the rows");
    assert_eq!(client.sql("SELECT $1::int").await.error(), (400, "08P01".to_owned()));
    assert_eq!(
        client.done("SELECT 1 AS one").await["row_count"],
        json!(1),
        "the connection goes on"
    );
}

#[tokio::test]
async fn time_and_bytes_have_limits() {
    let limits = ServerLimits {
        http_result_bytes_max: 10_000,
        http_body_bytes_max: 5_000,
        ..ServerLimits::default()
    };
    let served = start(limits).await;
    let mut client = Connection::new(&served).await;
    let slow = client
        .post(&json!({"sql": ENDLESS, "timeout_ms": 50}).to_string())
        .await;
    assert_eq!(slow.error(), (503, "57014".to_owned()));
    let long = client
        .sql("SELECT id FROM generate_series(1, 1000000000000) AS g(id)")
        .await;
    assert_eq!(long.error(), (429, "54000".to_owned()));
    assert!(
        long.json()["error"]["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("LIMIT"))
    );
    let body = client.sql(&format!("SELECT '{}'", "x".repeat(6_000))).await;
    assert_eq!(body.error(), (413, "54000".to_owned()));
}

/// A statement whose client has gone would otherwise run to its end.
#[tokio::test]
async fn a_statement_ends_with_its_connection() {
    let limits = ServerLimits {
        http_statements_max: 1,
        ..ServerLimits::default()
    };
    let served = start(limits).await;
    let mut client = Connection::new(&served).await;
    let body = json!({ "sql": ENDLESS }).to_string();
    let head = format!(
        "POST /v1/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(head.as_bytes()).await;
    let mut other = Connection::new(&served).await;
    // Until it runs, and again until it has ended.
    while other.sql("SELECT 1").await.status != 503 {
        tokio::task::yield_now().await;
    }
    drop(client);
    while other.sql("SELECT 1").await.status != 200 {
        tokio::task::yield_now().await;
    }
}
