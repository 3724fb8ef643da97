//! Logins and transactions.

use std::time::Duration;

use arrow_flight::sql::EndTransaction;
use bytes::Bytes;
use tonic::Code;

use super::client::{connect, done, failure, rows, start, state};
use crate::limits::ServerLimits;

#[tokio::test]
async fn transactions_are_sessions_of_their_own() {
    let served = start(ServerLimits::default()).await;
    let (mut client, mut other) = (connect(&served).await, connect(&served).await);
    done(&mut client, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let count = "SELECT count(*) FROM t";
    for (ending, expected) in [(EndTransaction::Rollback, "0"), (EndTransaction::Commit, "1")] {
        let transaction = client.begin_transaction().await.expect("begun");
        client
            .execute_update("INSERT INTO t VALUES (1)".into(), Some(transaction.clone()))
            .await
            .expect("inserted");
        assert_eq!(rows(&mut client, count, Some(&transaction)).await.expect("rows"), ["1"]);
        assert_eq!(rows(&mut other, count, None).await.expect("rows"), ["0"]);
        let mut prepared = client
            .prepare("SELECT id FROM t".into(), Some(transaction.clone()))
            .await
            .expect("prepared");
        assert_eq!(prepared.execute().await.expect("runs").endpoint.len(), 1);
        client
            .end_transaction(transaction.clone(), ending)
            .await
            .expect("ended");
        assert_eq!(rows(&mut other, count, None).await.expect("rows"), [expected]);
        let status = failure(rows(&mut client, count, Some(&transaction)).await);
        assert_eq!(state(&status), "26000", "it has ended: {status}");
    }
}

#[tokio::test]
async fn a_failed_transaction_does_not_pretend_to_commit() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    let transaction = client.begin_transaction().await.expect("begun");
    assert_eq!(
        state(&failure(rows(&mut client, "SELECT 1/0", Some(&transaction)).await)),
        "22012"
    );
    assert_eq!(
        state(&failure(rows(&mut client, "SELECT 1", Some(&transaction)).await)),
        "25P02"
    );
    let status = failure(client.end_transaction(transaction, EndTransaction::Commit).await);
    assert_eq!(state(&status), "25P02");
    let unknown = Bytes::from_static(b"never begun");
    assert_eq!(
        state(&failure(client.end_transaction(unknown, EndTransaction::Commit).await)),
        "26000"
    );
}

#[tokio::test]
async fn transactions_conflict_as_everywhere() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    done(&mut client, "CREATE TABLE t (id int PRIMARY KEY, n int)").await;
    done(&mut client, "INSERT INTO t VALUES (1, 0), (2, 0)").await;
    let (one, two) = (
        client.begin_transaction().await.expect("begun"),
        client.begin_transaction().await.expect("begun"),
    );
    // Each changes what the other has read: no wait brings them into an order.
    for (transaction, id) in [(&one, 1), (&two, 2)] {
        let sum = rows(&mut client, "SELECT sum(n) FROM t", Some(transaction)).await;
        assert_eq!(sum.expect("rows"), ["0"]);
        let update = format!("UPDATE t SET n = n + 1 WHERE id = {id}");
        assert_eq!(
            client
                .execute_update(update, Some(transaction.clone()))
                .await
                .expect("changed"),
            1
        );
    }
    client
        .end_transaction(one, EndTransaction::Commit)
        .await
        .expect("the first wins");
    let status = failure(client.end_transaction(two, EndTransaction::Commit).await);
    assert_eq!((status.code(), state(&status)), (Code::Aborted, "40001"));
}

#[tokio::test]
async fn a_login_keeps_settings_and_blocks() {
    let served = start(ServerLimits::default()).await;
    let (mut client, mut other) = (connect(&served).await, connect(&served).await);
    client.handshake("aion", "any").await.expect("logged in");
    done(&mut client, "CREATE TABLE t (id int)").await;
    done(&mut client, "SET statement_timeout = '5min'").await;
    assert_eq!(
        rows(&mut client, "SHOW statement_timeout", None).await.expect("rows"),
        ["5min"]
    );
    assert_eq!(
        rows(&mut other, "SHOW statement_timeout", None).await.expect("rows"),
        ["0"]
    );
    for ending in ["ROLLBACK", "COMMIT"] {
        // They can be prepared, too.
        for sql in ["BEGIN", "INSERT INTO t VALUES (1)", ending] {
            let mut prepared = client.prepare(sql.into(), None).await.expect(sql);
            prepared.execute_update().await.expect(sql);
        }
    }
    assert_eq!(
        rows(&mut other, "SELECT count(*) FROM t", None).await.expect("rows"),
        ["1"]
    );
    let transaction = client.begin_transaction().await.expect("begun");
    let inherited = rows(&mut client, "SHOW statement_timeout", Some(&transaction)).await;
    assert_eq!(
        inherited.expect("rows"),
        ["5min"],
        "a transaction has its login's settings"
    );
}

/// They would be gone with the call, and the client would not know.
#[tokio::test]
async fn without_a_login_nothing_is_kept_and_nothing_pretends_to_be() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    assert_eq!(state(&failure(rows(&mut client, "BEGIN", None).await)), "25P01");
    assert_eq!(
        state(&failure(rows(&mut client, "SET statement_timeout = 1", None).await)),
        "0A000"
    );
    let status = failure(client.execute_update("BEGIN".into(), None).await);
    assert!(status.message().contains("HINT: Log in"), "{status}");
}

#[tokio::test]
async fn strangers_are_refused() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    // "bob:x"; the client's own handshake hides the status.
    for (header, message) in [
        ("Basic Ym9iOng=", "role \"bob\" does not exist (28000)"),
        ("Basic ???", "the authorization header is neither"),
        ("Digest x", "the authorization header is neither"),
        ("Bearer 00ff", "the login is unknown or has expired (28000)"),
    ] {
        client.set_header("authorization", header);
        let status = failure(client.execute("SELECT 1".into(), None).await);
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().contains(message), "{status}");
    }
    client.set_header("authorization", "Basic YWlvbjp4");
    assert_eq!(rows(&mut client, "SELECT 1", None).await.expect("rows"), ["1"]);
    let mut stranger = connect(&served).await;
    let refused = stranger
        .handshake("bob", "x")
        .await
        .expect_err("a stranger")
        .to_string();
    assert!(refused.contains("does not exist (28000)"), "{refused}");
}

#[tokio::test]
async fn what_is_not_used_is_dropped() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    client.handshake("aion", "").await.expect("logged in");
    let transaction = client.begin_transaction().await.expect("begun");
    served.clock.advance(Duration::from_secs(299));
    rows(&mut client, "SELECT 1", Some(&transaction))
        .await
        .expect("used in time");
    served.clock.advance(Duration::from_secs(300));
    let status = failure(rows(&mut client, "SELECT 1", Some(&transaction)).await);
    assert_eq!(state(&status), "26000");
    assert!(status.message().contains("300s"), "{status}");
    served.clock.advance(Duration::from_secs(3_600));
    let status = failure(rows(&mut client, "SELECT 1", None).await);
    assert_eq!(state(&status), "28000", "{status}");
}
