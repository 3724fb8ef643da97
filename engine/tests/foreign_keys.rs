//! Foreign keys under concurrent transactions: whoever refers finds its parent after each commit, at each level, whatever comes between a
//! statement and its commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aion_base::rng::SeededRng;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::program::{at_length, seed};
use crate::wire::Process;

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

/// A child of each kind: found by an index or by reading all of it, and each action.
const CHILDREN: [(&str, &str, bool); 6] = [
    ("refusing", "", true),
    ("refusing_unindexed", "", false),
    ("cascading", "ON DELETE CASCADE ON UPDATE CASCADE", true),
    ("cascading_unindexed", "ON DELETE CASCADE ON UPDATE CASCADE", false),
    ("nulled", "ON DELETE SET NULL ON UPDATE SET NULL", true),
    ("defaulted", "ON DELETE SET DEFAULT ON UPDATE SET DEFAULT", true),
];

async fn connect(server: &Process) -> Client {
    let config = format!("host=127.0.0.1 port={} user=aion", server.port);
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("connected");
    tokio::spawn(connection);
    client
}

async fn run(client: &Client, sql: &str) {
    client
        .batch_execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

async fn refused(client: &Client, sql: &str) -> tokio_postgres::error::DbError {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error
        .as_db_error()
        .unwrap_or_else(|| panic!("{sql}: {error:?}"))
        .clone()
}

async fn number(client: &Client, sql: &str) -> i64 {
    let row = client.query_one(sql, &[]).await;
    row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

async fn orphans(client: &Client, child: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM {child} c LEFT JOIN parent p ON c.parent = p.id WHERE c.parent IS NOT NULL AND p.id IS NULL"
    );
    number(client, &sql).await
}

fn block_on(test: impl AsyncFnOnce(&std::path::Path, Process)) {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let server = Process::start(&data, &["--ai-mode", "off"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(test(&data, server));
}

async fn create(client: &Client) {
    run(
        client,
        "CREATE TABLE parent (id int PRIMARY KEY, v int NOT NULL DEFAULT 0)",
    )
    .await;
    for (name, actions, is_indexed) in CHILDREN {
        let sql = format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, parent int DEFAULT 0 REFERENCES parent {actions}, v int DEFAULT 0)"
        );
        run(client, &sql).await;
        if is_indexed {
            run(client, &format!("CREATE INDEX ON {name} (parent)")).await;
        }
    }
}

/// A commit that comes second learns what the first one has done: that the parent is gone, or that somebody refers to it.
#[test]
fn a_new_child_and_the_end_of_its_parent_exclude_each_other() {
    block_on(async |_, server| {
        let (one, other) = (connect(&server).await, connect(&server).await);
        create(&one).await;
        for level in LEVELS {
            for (child, actions, is_indexed) in CHILDREN {
                for (other, ..) in CHILDREN {
                    run(&one, &format!("DELETE FROM {other}")).await;
                }
                run(&one, "DELETE FROM parent; INSERT INTO parent VALUES (0), (1), (2)").await;
                let told = format!("{child} at {level}");

                // The parent goes first.
                run(
                    &one,
                    &format!("BEGIN ISOLATION LEVEL {level}; INSERT INTO {child} VALUES (1, 1)"),
                )
                .await;
                run(&other, "DELETE FROM parent WHERE id = 1").await;
                let error = refused(&one, "COMMIT").await;
                assert_eq!(*error.code(), SqlState::FOREIGN_KEY_VIOLATION, "{told}: {error:?}");
                assert_eq!(
                    error.constraint(),
                    Some(format!("{child}_parent_fkey").as_str()),
                    "{told}"
                );
                assert_eq!(error.table(), Some(child), "{told}");
                assert_eq!(
                    error.detail(),
                    Some("Key (parent)=(1) is not present in table \"parent\"."),
                    "{told}"
                );
                assert_eq!(
                    number(&one, &format!("SELECT count(*) FROM {child}")).await,
                    0,
                    "{told}"
                );

                // The child comes first.
                run(
                    &one,
                    &format!("BEGIN ISOLATION LEVEL {level}; DELETE FROM parent WHERE id = 2"),
                )
                .await;
                run(&other, &format!("INSERT INTO {child} VALUES (2, 2)")).await;
                let error = refused(&one, "COMMIT").await;
                let state = match (actions, is_indexed) {
                    ("", true) => SqlState::FOREIGN_KEY_VIOLATION,
                    _ => SqlState::T_R_SERIALIZATION_FAILURE,
                };
                assert_eq!(*error.code(), state, "{told}: {error:?}");
                if state == SqlState::FOREIGN_KEY_VIOLATION {
                    assert_eq!(
                        error.detail(),
                        Some(format!("Key (id)=(2) is still referenced from table \"{child}\".").as_str()),
                        "{told}"
                    );
                }
                assert_eq!(
                    number(&one, "SELECT count(*) FROM parent WHERE id = 2").await,
                    1,
                    "{told}"
                );

                // What is no key is nobody's concern.
                run(
                    &one,
                    &format!("BEGIN ISOLATION LEVEL {level}; INSERT INTO {child} VALUES (3, 2)"),
                )
                .await;
                run(&other, "UPDATE parent SET v = v + 1 WHERE id = 2").await;
                run(&one, "COMMIT").await;
                // A key that comes back is there.
                run(
                    &one,
                    &format!("BEGIN ISOLATION LEVEL {level}; INSERT INTO {child} VALUES (4, 0)"),
                )
                .await;
                run(
                    &other,
                    "BEGIN; DELETE FROM parent WHERE id = 0; INSERT INTO parent VALUES (0); COMMIT",
                )
                .await;
                run(&one, "COMMIT").await;
                assert_eq!(orphans(&one, child).await, 0, "{told}");
            }
        }
    });
}

/// Definitions and TRUNCATE, which give a table other keys, or others something to look after.
#[test]
fn a_transaction_that_did_not_know_of_a_definition_is_refused() {
    block_on(async |_, server| {
        let (one, other) = (connect(&server).await, connect(&server).await);
        for level in LEVELS {
            let begin = format!("BEGIN ISOLATION LEVEL {level}; ");
            run(
                &one,
                "DROP TABLE IF EXISTS child, parent; CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (parent int);
                 INSERT INTO parent VALUES (1), (2), (3); INSERT INTO child VALUES (1)",
            )
            .await;
            let meets = [
                // It was right to delete the parent, and to insert the child, before there was a foreign key.
                (
                    "DELETE FROM parent WHERE id = 1",
                    "ALTER TABLE child ADD CONSTRAINT k FOREIGN KEY (parent) REFERENCES parent",
                ),
                (
                    "INSERT INTO child VALUES (2)",
                    "TRUNCATE parent CASCADE; INSERT INTO parent VALUES (1), (2), (3)",
                ),
                (
                    "INSERT INTO child VALUES (3)",
                    "TRUNCATE parent, child; INSERT INTO parent VALUES (1), (2), (3)",
                ),
                (
                    "INSERT INTO child VALUES (3)",
                    "ALTER TABLE parent ALTER COLUMN id TYPE bigint",
                ),
                (
                    "DELETE FROM parent WHERE id = 2",
                    "ALTER TABLE child ALTER COLUMN parent TYPE bigint",
                ),
                (
                    "DELETE FROM parent WHERE id = 2",
                    "CREATE TABLE more (parent bigint REFERENCES parent)",
                ),
            ];
            for (change, definition) in meets {
                run(&one, &format!("{begin}{change}")).await;
                run(&other, definition).await;
                let error = refused(&one, "COMMIT").await;
                assert_eq!(
                    *error.code(),
                    SqlState::T_R_SERIALIZATION_FAILURE,
                    "{change} and {definition} at {level}: {error:?}"
                );
            }
            assert_eq!(number(&one, "SELECT count(*) FROM child").await, 0);
            run(&one, "DROP TABLE more").await;
        }
    });
}

/// What an action changes is locked like what a statement changes: it waits for whoever has it.
#[test]
fn an_action_waits_for_the_rows_that_it_changes() {
    block_on(async |_, server| {
        let (one, other) = (connect(&server).await, connect(&server).await);
        create(&one).await;
        for level in LEVELS {
            run(
                &one,
                "DELETE FROM cascading; DELETE FROM parent; INSERT INTO parent VALUES (0), (1); INSERT INTO cascading VALUES (1, 1), (2, 1)",
            )
            .await;
            run(
                &one,
                &format!("BEGIN ISOLATION LEVEL {level}; UPDATE cascading SET v = 7 WHERE id = 2"),
            )
            .await;
            let sql = format!("SET default_transaction_isolation = '{level}'; DELETE FROM parent WHERE id = 1");
            let (set, delete) = sql.split_once("; ").expect("two statements");
            run(&other, set).await;
            let waiting = other.batch_execute(delete);
            tokio::pin!(waiting);
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
            loop {
                let asked = number(&one, "SELECT count(*) FROM pg_locks WHERE NOT granted");
                tokio::select! {
                    answer = &mut waiting => panic!("it did not wait at {level}: {answer:?}"),
                    count = asked => if count > 0 { break },
                }
                assert!(std::time::Instant::now() < deadline, "nobody waits");
            }
            run(&one, "COMMIT").await;
            waiting.await.expect("deleted after the wait");
            assert_eq!(number(&one, "SELECT count(*) FROM cascading").await, 0, "{level}");
        }
    });
}

/// One change of a random kind: most of them are refused now and then.
fn change(rng: &mut SeededRng) -> String {
    let (child, ..) = CHILDREN[usize::try_from(rng.below(CHILDREN.len() as u64)).expect("few")];
    let parent = 1 + rng.below(12);
    let id = rng.below(60);
    match rng.below(10) {
        0 => format!("DELETE FROM parent WHERE id = {parent}"),
        1 => format!("DELETE FROM parent WHERE id BETWEEN {parent} AND {parent} + 2"),
        2 => format!("UPDATE parent SET id = {} WHERE id = {parent}", 1 + rng.below(12)),
        3 => format!("UPDATE parent SET v = v + 1 WHERE id = {parent}"),
        4 | 5 => format!("INSERT INTO parent VALUES ({parent}) ON CONFLICT DO NOTHING"),
        6 => format!("UPDATE {child} SET parent = {parent} WHERE id = {id}"),
        7 => format!("DELETE FROM {child} WHERE id = {id}"),
        8 => format!("INSERT INTO {child} VALUES ({id}, {parent})"),
        _ => format!(
            "INSERT INTO {child} VALUES ({id}, {parent}) ON CONFLICT (id) DO UPDATE SET parent = EXCLUDED.parent"
        ),
    }
}

/// Many clients change parents and children as they like; nobody is ever without its parent, also after a kill.
#[test]
fn no_row_is_ever_without_its_parent() {
    let seed = seed();
    block_on(async |data, server| {
        let setup = connect(&server).await;
        create(&setup).await;
        let (clients, rounds) = (at_length(6, 12), at_length(60, 2_000));
        let mut rng = SeededRng::new(seed);
        for level in LEVELS {
            run(
                &setup,
                "INSERT INTO parent VALUES (0), (1), (2), (3), (4), (5) ON CONFLICT DO NOTHING",
            )
            .await;
            let (committed, broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let mut tasks = Vec::new();
            for _ in 0..clients {
                let client = connect(&server).await;
                let (mut rng, committed, broken) = (rng.split(), committed.clone(), broken.clone());
                tasks.push(tokio::spawn(async move {
                    run(&client, &format!("SET default_transaction_isolation = '{level}'")).await;
                    for _ in 0..rounds {
                        let count = 1 + rng.below(3);
                        let changes: Vec<String> = (0..count).map(|_| change(&mut rng)).collect();
                        let statements = match changes.as_slice() {
                            [only] => vec![only.clone()],
                            several => [&["BEGIN".to_owned()], several, &["COMMIT".to_owned()]].concat(),
                        };
                        let mut outcome = Ok(());
                        for statement in &statements {
                            outcome = client.batch_execute(statement).await;
                            if outcome.is_err() {
                                break;
                            }
                        }
                        match outcome {
                            Ok(()) => drop(committed.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => {
                                let told = format!("{statements:?}, AION_SEED={seed}: {error:?}");
                                let state = error.code().unwrap_or_else(|| panic!("{told}")).clone();
                                let may_be = [
                                    SqlState::FOREIGN_KEY_VIOLATION,
                                    SqlState::UNIQUE_VIOLATION,
                                    SqlState::T_R_SERIALIZATION_FAILURE,
                                    SqlState::T_R_DEADLOCK_DETECTED,
                                ];
                                assert!(may_be.contains(&state), "{told}");
                                if state == SqlState::FOREIGN_KEY_VIOLATION {
                                    broken.fetch_add(1, Ordering::Relaxed);
                                }
                                run(&client, "ROLLBACK").await;
                            }
                        }
                    }
                }));
            }
            // Whoever looks at any moment sees none either.
            while tasks.iter().any(|task| !task.is_finished()) {
                for (child, ..) in CHILDREN {
                    assert_eq!(orphans(&setup, child).await, 0, "{child} at {level}, AION_SEED={seed}");
                }
            }
            for task in tasks {
                task.await.expect("no client failed");
            }
            for (child, ..) in CHILDREN {
                assert_eq!(orphans(&setup, child).await, 0, "{child} at {level}, AION_SEED={seed}");
            }
            let (committed, broken) = (committed.load(Ordering::Relaxed), broken.load(Ordering::Relaxed));
            assert!(
                committed > rounds,
                "{committed} commits of {clients} clients at {level}"
            );
            assert!(broken > 0, "nobody met a foreign key at {level}");
        }
        drop(server);
        let server = Process::start(data, &["--ai-mode", "off"]);
        let client = connect(&server).await;
        for (child, ..) in CHILDREN {
            assert_eq!(
                orphans(&client, child).await,
                0,
                "{child} after a kill, AION_SEED={seed}"
            );
            let error = refused(&client, &format!("INSERT INTO {child} VALUES (1000, 1000)")).await;
            assert_eq!(*error.code(), SqlState::FOREIGN_KEY_VIOLATION, "{child} after a kill");
        }
    });
}
