//! Indexes beside their table: after random changes each of them answers as the rows do.
//!
//! A stale entry shows as a row that is found twice, or as a conflict with no row; a missing one as a row that is not found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aion_base::rng::SeededRng;
use aion_db::{Database, DatabaseOptions, Mode};
use tokio_postgres::error::SqlState;

use crate::locks::{block_on, connect, number, refused, run as run_on};
use crate::nearest::Client;
use crate::program::{at_length, seed};

const INDEXES: [(&str, &str); 9] = [
    ("t_part", "CREATE INDEX t_part ON t (a) WHERE kind = 3"),
    (
        "t_part_u",
        "CREATE UNIQUE INDEX t_part_u ON t (b) INCLUDE (c) WHERE kind = 1",
    ),
    (
        "t_soft",
        "CREATE UNIQUE INDEX t_soft ON t (a, b DESC) WHERE gone IS NULL AND kind IN (4, 5)",
    ),
    (
        "t_same",
        "CREATE UNIQUE INDEX t_same ON t (kind, a, s) NULLS NOT DISTINCT WHERE kind = 2",
    ),
    (
        "t_cover",
        "CREATE INDEX t_cover ON t (s DESC NULLS LAST) INCLUDE (c, kind, b)",
    ),
    (
        "t_lower",
        "CREATE UNIQUE INDEX t_lower ON t (lower(b), (a + 1)) INCLUDE (b) WHERE kind = 6",
    ),
    ("t_sum", "CREATE INDEX t_sum ON t ((a + kind) DESC, upper(s))"),
    (
        "t_call",
        "CREATE UNIQUE INDEX t_call ON t (coalesce(lower(s), '-'), id) NULLS NOT DISTINCT",
    ),
    ("t_plain", "CREATE INDEX t_plain ON t (b NULLS FIRST, a DESC)"),
];

/// Queries, and the index that each of them is answered by: all of it, and a part of it.
const QUERIES: [(&str, &str); 16] = [
    ("t_part", "SELECT id, a, b, kind FROM t WHERE kind = 3"),
    ("t_part", "SELECT id, b FROM t WHERE kind = 3 AND a > 4"),
    ("t_part_u", "SELECT b, c FROM t WHERE kind = 1 AND b = 'b3'"),
    ("t_part_u", "SELECT id, b, c, s FROM t WHERE kind = 1"),
    ("t_soft", "SELECT id, gone FROM t WHERE kind = 4 AND gone IS NULL"),
    (
        "t_soft",
        "SELECT id, kind FROM t WHERE kind = 5 AND gone IS NULL AND a = 2 AND b < 'b4'",
    ),
    ("t_same", "SELECT id, a, s FROM t WHERE kind = 2"),
    ("t_same", "SELECT id FROM t WHERE 2 = kind AND a = 3 AND s = 's1'"),
    ("t_cover", "SELECT s, c, kind, b FROM t WHERE s > 'a'"),
    ("t_cover", "SELECT c FROM t WHERE s = 's2'"),
    ("t_lower", "SELECT id, b, a, c FROM t WHERE kind = 6"),
    (
        "t_lower",
        "SELECT id, b FROM t WHERE lower(b) = 'b2' AND kind = 6 AND a + 1 > 2",
    ),
    ("t_sum", "SELECT id, a, kind FROM t WHERE a + kind = 6"),
    ("t_sum", "SELECT id, s FROM t WHERE a + kind = 5 AND upper(s) >= 'S2'"),
    ("t_call", "SELECT id, s FROM t WHERE coalesce(lower(s), '-') = '-'"),
    ("t_plain", "SELECT a, b, c FROM t WHERE b = 'b1' AND a < 6"),
];

/// What two rows may not both have, as the rows say it.
const UNIQUE: [&str; 4] = [
    "SELECT b FROM t WHERE kind = 1 AND b IS NOT NULL GROUP BY b HAVING count(*) > 1",
    "SELECT a, b FROM t WHERE gone IS NULL AND kind IN (4, 5) AND a IS NOT NULL AND b IS NOT NULL GROUP BY a, b HAVING count(*) > 1",
    "SELECT a, s FROM t WHERE kind = 2 GROUP BY a, s HAVING count(*) > 1",
    "SELECT lower(b), a FROM t WHERE kind = 6 AND a IS NOT NULL AND b IS NOT NULL GROUP BY lower(b), a HAVING count(*) > 1",
];

fn hide(client: &mut Client<'_>, is_hidden: bool) {
    let names = INDEXES.map(|(name, _)| name).join(", ");
    let names = if is_hidden { names.as_str() } else { "" };
    client.query(&format!("SET aion.hidden_indexes = '{names}'"), &[]);
}

/// The rows as the table has them, whatever its indexes are.
fn through_rows(client: &mut Client<'_>, sql: &str) -> Vec<Vec<String>> {
    hide(client, true);
    let mut rows = client.query(sql, &[]);
    hide(client, false);
    rows.sort();
    rows
}

fn compare(client: &mut Client<'_>) {
    for (index, sql) in QUERIES {
        let expected = through_rows(client, sql);
        let mut found = client.query(sql, &[]);
        found.sort();
        assert_eq!(found, expected, "{index}: {sql}");
    }
    for sql in UNIQUE {
        assert_eq!(through_rows(client, sql), Vec::<Vec<String>>::new(), "{sql}");
    }
}

/// Each query is answered through its index: a comparison of the rows with themselves says nothing.
fn check_plans(client: &mut Client<'_>) {
    for (index, sql) in QUERIES {
        let plan = client.explain(sql, &[]);
        assert!(plan.contains(&format!("using {index} ")), "{index}: {sql}\n{plan}");
        hide(client, true);
        let plan = client.explain(sql, &[]);
        assert!(plan.contains("Seq Scan"), "{sql}\n{plan}");
        hide(client, false);
    }
}

fn maybe(random: &mut SeededRng, value: impl FnOnce(&mut SeededRng) -> String) -> String {
    match random.chance(1, 6) {
        true => "NULL".to_owned(),
        false => value(random),
    }
}

/// The values of a row but for its key: a, b, c, s, kind, gone.
fn values(random: &mut SeededRng) -> [String; 6] {
    [
        maybe(random, |random| random.below(8).to_string()),
        maybe(random, |random| {
            format!("'{}{}'", ["b", "B"][random.below(2) as usize], random.below(8))
        }),
        maybe(random, |random| {
            ["1.5", "'-0'", "'NaN'", "'-Infinity'"][random.below(4) as usize].to_owned()
        }),
        maybe(random, |random| {
            format!("'{}{}'", ["s", "S"][random.below(2) as usize], random.below(4))
        }),
        maybe(random, |random| random.below(7).to_string()),
        maybe(random, |random| {
            ["NULL", "'2024-01-01'"][random.below(2) as usize].to_owned()
        }),
    ]
}

fn change(random: &mut SeededRng) -> String {
    const COLUMNS: [&str; 6] = ["a", "b", "c", "s", "kind", "gone"];
    let id = random.below(120);
    let row = |random: &mut SeededRng, id: u64| format!("({id}, {})", values(random).join(", "));
    let insert = "INSERT INTO t (id, a, b, c, s, kind, gone) VALUES";
    match random.below(12) {
        0..3 => format!("{insert} {}", row(random, id)),
        3 => format!("{insert} {}, {}", row(random, id), row(random, id + 120)),
        4 => {
            let target = [
                "(id)",
                "(b) WHERE kind = 1",
                "(b, a) WHERE kind = 4 AND gone IS NULL",
                "(a, s, kind) WHERE kind = 2",
                "((a + 1), lower(b)) WHERE kind = 6",
            ][random.below(5) as usize];
            format!(
                "{insert} {} ON CONFLICT {target} DO UPDATE SET a = excluded.a, c = excluded.c, kind = excluded.kind",
                row(random, id)
            )
        }
        5 => format!("{insert} {} ON CONFLICT DO NOTHING", row(random, id)),
        6 => format!("DELETE FROM t WHERE id = {id}"),
        7 => format!("DELETE FROM t WHERE kind = 3 AND a = {}", random.below(8)),
        8 => format!("UPDATE t SET id = id + 1000 WHERE id = {id}"),
        9 => format!("UPDATE t SET kind = kind + 1 WHERE id BETWEEN {id} AND {}", id + 3),
        _ => {
            let column = random.below(6) as usize;
            format!(
                "UPDATE t SET {} = {} WHERE id = {id}",
                COLUMNS[column],
                values(random)[column]
            )
        }
    }
}

/// Runs a statement, which a key may refuse.
fn run(client: &mut Client<'_>, sql: &str) -> bool {
    match client.run(sql, &[]) {
        Ok(_) => true,
        Err(error) => {
            let state = error.state();
            assert!(["23505", "21000"].contains(&state.as_str()), "{sql}: {error}");
            false
        }
    }
}

fn open(path: &std::path::Path) -> Database {
    let options = DatabaseOptions {
        memory_bytes: 256 << 20,
        ai_mode: Some(Mode::Off),
        ..DatabaseOptions::default()
    };
    Database::open(path, options).expect("it opens")
}

#[test]
fn each_index_answers_as_the_rows_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = SeededRng::new(seed());
    let mut database = open(directory.path());
    let mut client = Client::new(&database);
    client.query(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer, b text, c double precision, s text, kind integer, gone timestamp)",
        &[],
    );
    for (_, sql) in INDEXES {
        client.query(sql, &[]);
    }
    let (mut done, mut refused) = (0, 0);
    let rounds = at_length(12, 400);
    for round in 0..rounds {
        let is_in_block = random.chance(1, 3);
        if is_in_block {
            client.query("BEGIN", &[]);
        }
        let is_direct = ["on", "off"][random.below(2) as usize];
        client.query(&format!("SET aion.direct_path = {is_direct}"), &[]);
        for _ in 0..40 {
            let sql = change(&mut random);
            if is_in_block {
                client.query("SAVEPOINT here", &[]);
            }
            match run(&mut client, &sql) {
                true => done += 1,
                false => refused += 1,
            }
            if is_in_block && (client.run("SELECT 1", &[]).is_err() || random.chance(1, 5)) {
                client.query("ROLLBACK TO here", &[]);
            }
        }
        compare(&mut client);
        if is_in_block {
            client.query(if random.chance(1, 3) { "ROLLBACK" } else { "COMMIT" }, &[]);
            compare(&mut client);
        }
        if round == rounds / 3 {
            client.query("ALTER TABLE t ALTER COLUMN a TYPE bigint", &[]);
            compare(&mut client);
        }
        if round == rounds / 2 {
            drop(client);
            database.close().expect("it closes");
            database = open(directory.path());
            client = Client::new(&database);
            compare(&mut client);
            // Filled from the rows: by itself, and in a block.
            for (at, (name, sql)) in INDEXES.into_iter().enumerate() {
                client.query(&format!("DROP INDEX {name}"), &[]);
                match at % 2 {
                    0 => drop(client.query(sql, &[])),
                    _ => {
                        client.query("BEGIN", &[]);
                        client.query(sql, &[]);
                        client.query(["COMMIT", "ROLLBACK"][at / 2 % 2], &[]);
                        if at / 2 % 2 == 1 {
                            client.query(sql, &[]);
                        }
                    }
                }
            }
            compare(&mut client);
            check_plans(&mut client);
        }
        if round == rounds * 2 / 3 {
            client.query("ALTER TABLE t ALTER COLUMN a TYPE integer", &[]);
            client.query("ALTER TABLE t RENAME COLUMN b TO other", &[]);
            client.query("ALTER TABLE t RENAME COLUMN other TO b", &[]);
            compare(&mut client);
        }
    }
    assert!(
        done > refused && refused > rounds,
        "{done} were done, {refused} refused"
    );
    client.query("ANALYZE t", &[]);
    compare(&mut client);
    drop(client);
    database.close().expect("it closes");
}

/// Changes rows until it is told to stop; what it is refused is tried again.
async fn write_on(client: tokio_postgres::Client, nth: u64, seed: u64, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    let mut random = SeededRng::new(seed + nth);
    let mut next = 100_000 * (nth + 1);
    while !stop.load(Ordering::Relaxed) {
        let id = random.below(6_000);
        let sql = match random.below(4) {
            0 => {
                next += 1;
                format!("INSERT INTO busy VALUES ({next}, {id}, 'N{id}')")
            }
            1 => format!("DELETE FROM busy WHERE id = {id}"),
            2 => format!("UPDATE busy SET a = a + 1 WHERE id = {id}"),
            _ => format!("UPDATE busy SET b = 'C{id}', a = a + 2 WHERE id = {id}"),
        };
        match client.batch_execute(&sql).await {
            Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                // An index that is being filled is kept already, also one that cannot be.
                let constraint = error.as_db_error().and_then(|error| error.constraint());
                let is_expected = error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
                    || error.code() == Some(&SqlState::UNIQUE_VIOLATION) && constraint == Some("busy_twice");
                assert!(is_expected, "{sql}: {error:?}");
            }
        }
    }
}

/// CREATE INDEX relied upon all rows of its table once: on one that never rests it was refused (40001), each time.
#[test]
fn an_index_is_built_while_others_write() {
    let seed = seed();
    block_on(async |server| {
        let client = connect(&server).await;
        run_on(&client, "CREATE TABLE busy (id integer PRIMARY KEY, a integer, b text)").await;
        run_on(
            &client,
            "INSERT INTO busy SELECT i, i % 100, 'B' || i FROM generate_series(1, 6000) AS s(i)",
        )
        .await;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut writers = Vec::new();
        for nth in 0..3 {
            let writer = connect(&server).await;
            writers.push(tokio::spawn(write_on(writer, nth, seed, stop.clone(), done.clone())));
        }
        for _ in 0..at_length(2, 20) {
            for (name, over) in [
                ("busy_a", "(a)"),
                ("busy_b", "(lower(b)) INCLUDE (a)"),
                ("busy_p", "(b) WHERE a = 7"),
            ] {
                let before = done.load(Ordering::Relaxed);
                while done.load(Ordering::Relaxed) == before {
                    tokio::task::yield_now().await;
                }
                run_on(&client, &format!("DROP INDEX IF EXISTS {name}")).await;
                run_on(&client, &format!("CREATE INDEX {name} ON busy {over}")).await;
            }
            // Two rows of one value end it, and nothing is left.
            let twice = "CREATE UNIQUE INDEX busy_twice ON busy ((a % 5))";
            assert_eq!(refused(&client, twice).await, SqlState::UNIQUE_VIOLATION);
            let left = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
            assert_eq!(number(&client, left).await, 0);
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("no writer failed");
        }
        assert_eq!(
            number(&client, "SELECT count(*) FROM pg_indexes WHERE tablename = 'busy'").await,
            4
        );
        for query in [
            "SELECT count(*) FROM busy WHERE a = {}",
            "SELECT count(*) FROM busy WHERE lower(b) = 'b{}' AND a < 1000",
            "SELECT count(*) FROM busy WHERE lower(b) = 'c{}'",
            "SELECT count(*) FROM busy WHERE a = 7 AND b > 'B{}'",
        ] {
            for value in (0..120).chain(5_900..5_920) {
                let sql = query.replace("{}", &value.to_string());
                run_on(&client, "SET aion.hidden_indexes = ''").await;
                let found = number(&client, &sql).await;
                run_on(&client, "SET aion.hidden_indexes = 'busy_a, busy_b, busy_p'").await;
                assert_eq!(found, number(&client, &sql).await, "{sql}");
            }
        }
    });
}

#[test]
fn a_block_fills_its_index_itself() {
    block_on(async |server| {
        let (one, other) = (connect(&server).await, connect(&server).await);
        run_on(&one, "CREATE TABLE t (id integer PRIMARY KEY, a integer)").await;
        run_on(&one, "INSERT INTO t SELECT i, i FROM generate_series(1, 100) AS s(i)").await;
        run_on(&one, "BEGIN; CREATE INDEX t_a ON t (a)").await;
        let concurrently = refused(&one, "CREATE INDEX CONCURRENTLY t_b ON t (a)").await;
        assert_eq!(concurrently, SqlState::ACTIVE_SQL_TRANSACTION);
        run_on(&one, "ROLLBACK; BEGIN; CREATE INDEX t_a ON t (a)").await;
        run_on(&other, "UPDATE t SET a = 0 WHERE id = 5").await;
        // What the block has indexed is no longer so.
        assert_eq!(refused(&one, "COMMIT").await, SqlState::T_R_SERIALIZATION_FAILURE);
        run_on(&one, "CREATE INDEX CONCURRENTLY t_a ON t (a)").await;
        assert_eq!(number(&one, "SELECT count(*) FROM t WHERE a = 0").await, 1);
    });
}

/// A block that still saw the catalog without another session's new index gave its own the same id, and retired that id's keys at once; when it
/// was refused, as it had to be, the sweep took away the keys of the other index, which queries then found empty.
#[test]
fn an_id_that_another_session_gave_its_index_is_not_taken() {
    block_on(async |server| {
        let (one, other) = (connect(&server).await, connect(&server).await);
        run_on(&one, "CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer)").await;
        run_on(
            &one,
            "INSERT INTO t SELECT i, i % 10, i FROM generate_series(1, 1000) AS s(i)",
        )
        .await;
        run_on(&one, "BEGIN").await;
        assert_eq!(number(&one, "SELECT count(*) FROM t").await, 1000);
        run_on(&other, "CREATE INDEX t_a ON t (a)").await;
        let second = refused(&one, "CREATE INDEX t_b ON t (b)").await;
        assert_eq!(second, SqlState::T_R_SERIALIZATION_FAILURE);
        run_on(&one, "ROLLBACK").await;
        run_on(&one, "VACUUM").await;
        run_on(&one, "SET aion.hidden_indexes = 't_pkey'").await;
        assert_eq!(number(&one, "SELECT count(*) FROM t WHERE a = 7").await, 100);
        let plan = one
            .query("EXPLAIN SELECT id FROM t WHERE a = 7", &[])
            .await
            .expect("a plan");
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(plan.iter().any(|line| line.contains("t_a")), "{plan:?}");
        run_on(&one, "CREATE INDEX t_b ON t (b)").await;
        assert_eq!(number(&one, "SELECT count(*) FROM t WHERE b = 7").await, 1);
    });
}
