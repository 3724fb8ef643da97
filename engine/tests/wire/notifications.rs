//! LISTEN and NOTIFY between connections: who is told what, and when.

use std::time::Duration;

use futures::channel::mpsc;
use futures::{StreamExt, stream};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls, Notification};

use super::Process;

type Told = mpsc::UnboundedReceiver<Notification>;

async fn connect(server: &Process) -> (Client, Told) {
    let config = format!("host=127.0.0.1 port={} user=aion", server.port);
    let (client, mut connection) = tokio_postgres::connect(&config, NoTls).await.expect("connected");
    let (send, told) = mpsc::unbounded();
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = send.unbounded_send(notification);
            }
        }
    });
    (client, told)
}

async fn run(client: &Client, sql: &str) {
    client
        .batch_execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

async fn process_id(client: &Client) -> i32 {
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
    row.expect("a number").get(0)
}

/// The next one, as channel and payload.
async fn next(told: &mut Told) -> (String, String) {
    let next = tokio::time::timeout(Duration::from_secs(60), told.next()).await;
    let next = next.expect("told in time").expect("the connection is there");
    (next.channel().to_owned(), next.payload().to_owned())
}

fn pair(channel: &str, payload: &str) -> (String, String) {
    (channel.to_owned(), payload.to_owned())
}

fn block_on(test: impl AsyncFnOnce(Process)) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Process::start(&dir.path().join("data"), &["--ai-mode", "off"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(test(server));
}

#[test]
fn an_idle_session_is_told_of_what_is_committed_and_of_nothing_else() {
    block_on(async |server| {
        let (listens, mut told) = connect(&server).await;
        let (speaks, mut not_told) = connect(&server).await;
        run(&listens, "LISTEN a; LISTEN \"B c\"").await;
        run(&speaks, "NOTIFY a").await;
        assert_eq!(next(&mut told).await, pair("a", ""));
        // Rolled back, in whole and in part, and on another channel.
        run(&speaks, "BEGIN; NOTIFY a, 'rolled back'; ROLLBACK").await;
        run(
            &speaks,
            "BEGIN; NOTIFY a, 'before'; SAVEPOINT s; NOTIFY a, 'within'; ROLLBACK TO s; COMMIT",
        )
        .await;
        run(&speaks, "NOTIFY b, 'nobody listens'").await;
        speaks
            .batch_execute("BEGIN; NOTIFY a, 'failed'; SELECT 1 / 0; COMMIT")
            .await
            .expect_err("divides by zero");
        run(&speaks, "ROLLBACK").await;
        speaks
            .query("SELECT pg_notify('a', 'lost'), 1 / 0", &[])
            .await
            .expect_err("divides by zero");
        // The same one is told once for a transaction, the order is that of the statements.
        run(
            &speaks,
            "BEGIN; NOTIFY \"B c\", 'x'; SELECT pg_notify('a', 'y'); NOTIFY \"B c\", 'x'; COMMIT",
        )
        .await;
        speaks
            .query("SELECT pg_notify($1, $2)", &[&"a", &"ä"])
            .await
            .expect("notified");
        let found = [
            next(&mut told).await,
            next(&mut told).await,
            next(&mut told).await,
            next(&mut told).await,
        ];
        assert_eq!(
            found,
            [pair("a", "before"), pair("B c", "x"), pair("a", "y"), pair("a", "ä")]
        );
        // In a failed LISTEN, and after UNLISTEN, nothing is heard.
        run(&speaks, "BEGIN; LISTEN a; ROLLBACK").await;
        run(&listens, "UNLISTEN a").await;
        run(&listens, "NOTIFY a, 'unheard'; NOTIFY \"B c\", 'heard'").await;
        assert_eq!(next(&mut told).await, pair("B c", "heard"));
        run(&listens, "DISCARD ALL").await;
        run(&listens, "NOTIFY \"B c\", 'unheard'; LISTEN d; NOTIFY d, 'last'").await;
        assert_eq!(next(&mut told).await, pair("d", "last"));
        assert!(not_told.try_recv().is_err(), "who listens to nothing is told nothing");
    });
}

#[test]
fn a_session_in_a_transaction_is_told_when_that_is_over() {
    block_on(async |server| {
        let (listens, mut told) = connect(&server).await;
        let (speaks, _) = connect(&server).await;
        run(&listens, "LISTEN a").await;
        run(&listens, "BEGIN; SELECT 1").await;
        run(&speaks, "NOTIFY a, 'now'").await;
        run(&listens, "SELECT 2").await;
        assert!(told.try_recv().is_err(), "not within the transaction");
        run(&listens, "COMMIT").await;
        assert_eq!(next(&mut told).await, pair("a", "now"));
        // One that begins to listen and notifies tells itself, and says who it is.
        let (alone, mut told) = connect(&server).await;
        let number = process_id(&alone).await;
        run(&alone, "BEGIN; LISTEN b; NOTIFY b, 'itself'; COMMIT").await;
        let itself = tokio::time::timeout(Duration::from_secs(60), told.next()).await;
        let itself = itself.expect("told in time").expect("there");
        assert_eq!((itself.process_id(), itself.payload()), (number, "itself"));
    });
}

#[test]
fn notifications_come_after_what_they_tell_of_and_in_order() {
    block_on(async |server| {
        let (setup, _) = connect(&server).await;
        run(&setup, "CREATE TABLE done (id integer PRIMARY KEY)").await;
        let (listens, mut told) = connect(&server).await;
        run(&listens, "LISTEN done").await;
        let (writers, rounds) = (4, 25);
        let mut tasks = Vec::new();
        for writer in 0..writers {
            let (client, _) = connect(&server).await;
            tasks.push(tokio::spawn(async move {
                for round in 0..rounds {
                    let id = writer * rounds + round;
                    run(
                        &client,
                        &format!("BEGIN; INSERT INTO done VALUES ({id}); NOTIFY done, '{id}'; COMMIT"),
                    )
                    .await;
                }
            }));
        }
        let mut last = vec![-1; writers as usize];
        for _ in 0..writers * rounds {
            let (_, id) = next(&mut told).await;
            let id: i32 = id.parse().expect("a number");
            let row = listens
                .query_one("SELECT count(*) FROM done WHERE id = $1", &[&id])
                .await;
            assert_eq!(
                row.expect("a count").get::<_, i64>(0),
                1,
                "{id} is there when one is told of it"
            );
            let last = &mut last[(id / rounds) as usize];
            assert!(*last < id, "those of one session come in order");
            *last = id;
        }
        for task in tasks {
            task.await.expect("written");
        }
    });
}

/// Without a limit, a client that listens and never ends its transaction would fill the server's memory.
#[test]
fn who_does_not_listen_stops_the_notifying_and_nothing_else() {
    block_on(async |server| {
        let (listens, mut told) = connect(&server).await;
        let (speaks, _) = connect(&server).await;
        run(&listens, "LISTEN a").await;
        run(&listens, "BEGIN").await;
        let mut refused = None;
        for round in 0..100 {
            let payload = format!("repeat('x', 7900) || '{round} ' || g");
            let notify = format!("SELECT count(pg_notify('a', {payload})) FROM generate_series(1, 1000) AS g");
            refused = speaks.batch_execute(&notify).await.err();
            if refused.is_some() {
                break;
            }
        }
        let refused = refused.expect("there is a limit");
        assert_eq!(refused.code(), Some(&SqlState::PROGRAM_LIMIT_EXCEEDED), "{refused}");
        run(
            &speaks,
            "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)",
        )
        .await;
        run(&listens, "ROLLBACK").await;
        let (channel, _) = next(&mut told).await;
        assert_eq!(channel, "a");
        run(&listens, "UNLISTEN *").await;
        run(&speaks, "NOTIFY a, 'there is room again'").await;
    });
}
