//! `/v1/recommendations`: what is listed, asked and refused. Rehearsals need the program: engine/tests/page has those.

use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{Answer, Connection, start};
use crate::limits::ServerLimits;
use crate::testing::Served;

const PATH: &str = "/v1/recommendations";

/// A server in the mode advise with a table.
async fn advising() -> (Served, Connection) {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    client.done("ALTER SYSTEM SET aion.ai_mode = 'advise'").await;
    client.done("CREATE TABLE t (id bigint PRIMARY KEY, kind bigint)").await;
    (served, client)
}

/// Makes a recommendation that nobody rehearsed.
async fn plant(served: &Served, command: &'static str) -> u64 {
    let database = Arc::clone(&served.service.database);
    let planted = tokio::task::spawn_blocking(move || database.plant(command, "planted", "a test"));
    planted.await.expect("no panic").expect("it can be rehearsed")
}

async fn ask(client: &mut Connection, path: &str, body: &Value) -> Answer {
    let headers = "Content-Type: application/json\r\n";
    let path = format!("{PATH}{path}");
    client
        .request("POST", &path, headers, body.to_string().as_bytes())
        .await
}

fn hint(answer: &Answer) -> String {
    answer.json()["error"]["hint"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_empty_list_says_the_mode() {
    let served = start(ServerLimits::default()).await;
    let mut client = Connection::new(&served).await;
    let empty = client.get(PATH).await;
    assert_eq!(empty.status, 200, "{}", empty.body);
    assert!(
        empty.head.contains("content-type: application/json\r\n"),
        "{}",
        empty.head
    );
    assert_eq!(empty.json()["recommendations"], json!([]));
    assert_eq!(empty.json()["mode"], json!("shadow"));
    assert!(
        empty.json()["ai_cpu_seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds >= 0.0)
    );
    client.done("ALTER SYSTEM SET aion.ai_mode = 'advise'").await;
    assert_eq!(client.get(PATH).await.json()["mode"], json!("advise"));
}

#[tokio::test]
async fn one_is_listed_shown_and_dismissed_for_good() {
    let (served, mut client) = advising().await;
    let id = plant(&served, "CREATE INDEX by_kind ON t (kind)").await;
    let list = client.get(PATH).await.json();
    let listed = &list["recommendations"][0];
    for (name, wanted) in [
        ("id", json!(id)),
        ("kind", json!("index")),
        ("object", json!("public.t")),
        ("state", json!("proposed")),
        ("command", json!("CREATE INDEX \"by_kind\" ON t(kind)")),
        ("undo_command", json!("DROP INDEX public.by_kind")),
        ("origin", json!("planted")),
        ("speedup", json!(null)),
        ("rehearsed_at", json!(null)),
        ("pinned", json!(false)),
        ("verbs", json!(["rehearse", "dismiss"])),
    ] {
        assert_eq!(listed[name], wanted, "{name}");
    }
    let created = listed["created_at"].as_str().expect("a time");
    assert!(
        created.ends_with('Z') && created.contains('T') && created.len() >= 20,
        "{created}"
    );

    let shown = client.get(&format!("{PATH}/{id}")).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert_eq!(&shown.json()["recommendation"], listed);
    assert_eq!(shown.json()["statements"], json!([]));
    assert_eq!(shown.json()["decisions"].as_array().map(Vec::len), Some(2));

    let reason = "not \"now\" <b>";
    let dismissed = ask(&mut client, &format!("/{id}/dismiss"), &json!({ "reason": reason })).await;
    assert_eq!(dismissed.status, 200, "{}", dismissed.body);
    assert_eq!(dismissed.json()["recommendation"]["state"], json!("dismissed"));
    assert_eq!(dismissed.json()["recommendation"]["decided_by"], json!("aion"));
    let decisions = client.get(&format!("{PATH}/{id}")).await.json()["decisions"].clone();
    assert_eq!(
        (&decisions[2]["reason"], &decisions[2]["actor"]),
        (&json!(reason), &json!("aion"))
    );
    assert_eq!(decisions[2]["prev_hash"], decisions[1]["hash"]);
    assert_eq!(decisions[2]["hash"].as_str().map(str::len), Some(64));

    let again = ask(&mut client, &format!("/{id}/dismiss"), &json!({})).await;
    assert_eq!(again.error(), (409, "55000".to_owned()));
    assert!(hint(&again).contains("dismissed for good"), "{}", again.body);
}

#[tokio::test]
async fn what_the_state_the_mode_or_the_process_forbids_is_a_conflict_with_a_hint() {
    let (served, mut client) = advising().await;
    let id = plant(&served, "CREATE INDEX by_kind ON t (kind)").await;
    let state = ask(&mut client, &format!("/{id}/approve"), &json!({})).await;
    assert_eq!(state.error(), (409, "55000".to_owned()));
    assert!(hint(&state).contains("rehearse, dismiss"), "{}", state.body);
    let process = ask(&mut client, &format!("/{id}/rehearse"), &json!({})).await;
    assert_eq!(process.error(), (409, "55000".to_owned()));
    assert!(hint(&process).contains("aion serve"), "{}", process.body);
    client.done("ALTER SYSTEM SET aion.ai_mode = 'shadow'").await;
    let idea = json!({ "sql": "CREATE INDEX mine ON t (kind)" });
    for (path, body) in [(format!("/{id}/rehearse"), json!({})), (String::new(), idea)] {
        let mode = ask(&mut client, &path, &body).await;
        assert_eq!(mode.error(), (409, "55000".to_owned()), "{path}");
        assert!(
            hint(&mode).contains("ALTER SYSTEM SET aion.ai_mode = 'advise'"),
            "{}",
            mode.body
        );
    }
    assert_eq!(
        client.get(PATH).await.json()["recommendations"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn what_is_not_there_or_is_no_request_is_refused() {
    let (served, mut client) = advising().await;
    let id = plant(&served, "CREATE INDEX by_kind ON t (kind)").await;
    for path in ["/99", "/0", "/-1", "/one", "/18446744073709551616", "/%ff"] {
        let unknown = client.get(&format!("{PATH}{path}")).await;
        assert_eq!(unknown.error(), (404, "42704".to_owned()), "{path}");
    }
    assert_eq!(
        ask(&mut client, "/99/dismiss", &json!({})).await.error(),
        (404, "42704".to_owned())
    );
    let verb = ask(&mut client, &format!("/{id}/forget"), &json!({})).await;
    assert_eq!(verb.error(), (404, "42704".to_owned()));
    assert!(
        hint(&verb).contains("rehearse, approve, dismiss, revert, pin, unpin"),
        "{}",
        verb.body
    );
    for body in [json!({"why": "so"}), json!([]), json!(["so"]), json!({"reason": 1})] {
        let wrong = ask(&mut client, &format!("/{id}/dismiss"), &body).await;
        assert_eq!(wrong.error(), (400, "08P01".to_owned()), "{body}");
    }
    for (body, wanted) in [
        (json!({}), (400, "08P01")),
        (json!({"sql": 1}), (400, "08P01")),
        (json!({"sql": "DROP TABLE t"}), (400, "0A000")),
        (json!({"sql": "CREATE INDEX x ON t (kind); SELECT 1"}), (400, "42601")),
        (json!({"sql": "CREATE INDEX x ON nowhere (kind)"}), (404, "42P01")),
    ] {
        let wrong = ask(&mut client, "", &body).await;
        assert_eq!(wrong.error(), (wanted.0, wanted.1.to_owned()), "{body}");
    }
    let text = client.request("POST", &format!("{PATH}/{id}/dismiss"), "", b"{}").await;
    assert_eq!(text.error(), (415, "0A000".to_owned()), "a form of another page");
    assert_eq!(client.get(&format!("{PATH}/{id}/dismiss")).await.status, 405);
    assert_eq!(
        client.request("DELETE", &format!("{PATH}/{id}"), "", b"").await.status,
        405
    );
    let state = client.get(&format!("{PATH}/{id}")).await.json()["recommendation"]["state"].clone();
    assert_eq!(state, json!("proposed"), "nothing of it was done");
}

/// Whoever reaches the port through a person's browser could otherwise change the database.
#[tokio::test]
async fn foreign_pages_neither_read_nor_ask() {
    let (served, mut client) = advising().await;
    let id = plant(&served, "CREATE INDEX by_kind ON t (kind)").await;
    let verb = format!("{PATH}/{id}/dismiss");
    for (method, path) in [("GET", PATH), ("POST", PATH), ("POST", &verb)] {
        for origin in ["http://evil.example", "null"] {
            let headers = format!("Content-Type: application/json\r\nOrigin: {origin}\r\n");
            let mut foreign = Connection::new(&served).await;
            let refused = foreign.request(method, path, &headers, b"{}").await;
            assert_eq!(refused.error(), (403, "42501".to_owned()), "{method} {path} {origin}");
        }
    }
    let own = format!(
        "Content-Type: application/json\r\nOrigin: http://{}\r\n",
        served.address
    );
    assert_eq!(client.request("POST", &verb, &own, b"{}").await.status, 200);
}
