//! AS OF SYSTEM TIME: what was, through the PostgreSQL protocol, in memory and on disk, over kills; and snapshots that are too old.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aion_base::rng::SeededRng;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::program::{at_length, seed};
use crate::sql::Server;
use crate::wire::Process;

/// A client that waits.
struct Client {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

/// Rows with a bar between their values and a space between them; or the SQLSTATE.
type Answer = Result<String, String>;

impl Client {
    fn connect(port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let text = format!("host=127.0.0.1 port={port} user=aion dbname=aion");
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&text, NoTls).await.expect("connects");
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    fn ask(&self, sql: &str) -> Answer {
        let answered = self.runtime.block_on(self.client.simple_query(sql));
        let messages =
            answered.map_err(|error| error.code().map_or(error.to_string(), |code| code.code().to_owned()))?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
                Some(values.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        Ok(rows.collect::<Vec<_>>().join(" "))
    }

    fn run(&self, sql: &str) -> String {
        self.ask(sql).unwrap_or_else(|state| panic!("{sql}: {state}"))
    }

    fn refused(&self, sql: &str) -> String {
        match self.ask(sql) {
            Ok(answer) => panic!("{sql}: {answer}"),
            Err(state) => state,
        }
    }

    /// Through the extended protocol, with a parameter.
    fn ask_with(&self, sql: &str, parameter: i32) -> Vec<String> {
        let rows = self.runtime.block_on(self.client.query(sql, &[&parameter]));
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter().map(|row| row.get::<_, String>(0)).collect()
    }
}

/// Microseconds since 1970: after all that was committed, and before all that will be.
fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_micros()
}

/// The life of a table, and what can be seen of it later: the time, a query, and its answer then.
fn live(client: &Client) -> Vec<(u128, &'static str, Answer)> {
    const ALL: &str = "SELECT * FROM t";
    const BY_KEY: &str = "SELECT v FROM t AS a";
    let mut seen: Vec<(u128, &'static str, Answer)> = Vec::new();
    let mut note = |queries: &[&'static str]| {
        let time = now();
        for query in queries {
            let end = if *query == BY_KEY {
                " WHERE k = 2"
            } else {
                " ORDER BY 1"
            };
            let answer = client.ask(&format!("{query}{end}"));
            seen.push((time, query, answer));
        }
    };
    note(&[ALL]);
    client.run("CREATE TABLE t (k int PRIMARY KEY, v text)");
    client.run("INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')");
    note(&[ALL, BY_KEY]);
    client.run("UPDATE t SET v = v || '!' WHERE k < 3");
    note(&[ALL, BY_KEY]);
    client.run("DELETE FROM t WHERE k = 2; INSERT INTO t VALUES (4, 'four')");
    note(&[ALL, BY_KEY]);
    client.run("INSERT INTO t VALUES (2, 'again')");
    client.run("CREATE INDEX i ON t (v)");
    note(&[ALL, BY_KEY, "SELECT k FROM t AS x"]);
    client.run("ALTER TABLE t ADD COLUMN w int DEFAULT 7");
    client.run("UPDATE t SET w = k WHERE k = 4");
    note(&[ALL, BY_KEY]);
    client.run("TRUNCATE t");
    note(&[ALL, BY_KEY]);
    client.run("INSERT INTO t VALUES (2, 'new', 9)");
    client.run("DROP INDEX i; ALTER TABLE t DROP COLUMN w");
    note(&[ALL, BY_KEY]);
    client.run("ALTER TABLE t ALTER COLUMN k TYPE bigint");
    note(&[ALL, BY_KEY]);
    client.run("DROP TABLE t");
    note(&[ALL, BY_KEY]);
    client.run("CREATE TABLE t (v text, x numeric(5, 2), k int)");
    client.run("INSERT INTO t VALUES ('other', 1.5, 2)");
    note(&[ALL, BY_KEY]);
    seen
}

fn end_of(query: &str) -> &'static str {
    match query.ends_with("AS a") {
        true => " WHERE k = 2",
        false => " ORDER BY 1",
    }
}

fn look_back(client: &Client, seen: &[(u128, &str, Answer)]) {
    for (time, query, answer) in seen {
        let (end, what) = (end_of(query), format!("{query} at {time}"));
        assert_eq!(
            client.ask(&format!("{query} AS OF SYSTEM TIME {time}{end}")),
            *answer,
            "{what}"
        );
        // In between, what is now.
        assert_eq!(client.run("SELECT v FROM t WHERE k = 2"), "other");
        let block = format!("BEGIN AS OF SYSTEM TIME '{time}'; {query}{end}; COMMIT");
        assert_eq!(client.ask(&block), *answer, "{what}, in a block");
        client.run("ROLLBACK");
        let block = format!("BEGIN; SET TRANSACTION AS OF SYSTEM TIME '{time}'; {query}{end}; ROLLBACK");
        assert_eq!(client.ask(&block), *answer, "{what}, in a block that was set");
        client.run("ROLLBACK");
        if answer.is_ok() {
            let plan = client.run(&format!("EXPLAIN {query} AS OF SYSTEM TIME {time}{end}"));
            assert!(plan.contains("Scan") || plan.contains("t"), "{plan}");
            let analyzed = client.run(&format!("EXPLAIN ANALYZE {query} AS OF SYSTEM TIME {time}{end}"));
            assert!(analyzed.contains("Execution Time"), "{analyzed}");
        }
    }
}

fn what_was(client: &Client) -> Vec<(u128, &'static str, Answer)> {
    let before = now();
    assert_eq!(client.run("SHOW history_retention"), "0");
    assert_eq!(client.run("SELECT horizon FROM aion.history"), "NULL");
    assert_eq!(client.refused("SELECT 1 AS OF SYSTEM TIME '-1s'"), "55000");
    assert_eq!(client.refused("SET history_retention = '1h'"), "55P02");
    assert_eq!(client.refused("ALTER SYSTEM SET history_retention = '-1'"), "22023");
    client.run("ALTER SYSTEM SET history_retention = '1h'");
    assert_eq!(client.run("SHOW history_retention"), "1h");
    assert_eq!(
        client.run("SELECT retention, horizon IS NOT NULL FROM aion.history"),
        "1h|t"
    );
    let seen = live(client);
    look_back(client, &seen);

    // The text of a time, in the session's zone.
    let (time, query, answer) = seen[1].clone();
    let text = |zone: &str| {
        client.run(&format!("SET timezone = '{zone}'"));
        client.run(&format!(
            "SELECT to_timestamp({time} / 1000000) + interval '1 microsecond' * ({time} % 1000000)"
        ))
    };
    for zone in ["America/New_York", "UTC"] {
        let shown = text(zone);
        let sql = format!("{query} AS OF SYSTEM TIME '{shown}' ORDER BY 1");
        assert_eq!(client.ask(&sql), answer, "{shown}");
        let (local, _) = shown.rsplit_once(['+', '-']).expect("an offset");
        let sql = format!("{query} AS OF SYSTEM TIME '{local}' ORDER BY 1");
        assert_eq!(client.ask(&sql), answer, "{local}");
    }
    // Prepared, with parameters, and by name.
    let sql = format!("SELECT v FROM t AS OF SYSTEM TIME {time} WHERE k = $1");
    assert_eq!(client.ask_with(&sql, 2), ["two"]);
    assert_eq!(client.ask_with("SELECT v FROM t WHERE k = $1", 2), ["other"]);
    client.run(&format!(
        "PREPARE p AS SELECT v FROM t AS OF SYSTEM TIME {time} WHERE k = $1"
    ));
    assert_eq!(client.run("EXECUTE p(3)"), "three");

    // It reads only.
    let block = |sql: &str| {
        let state = client.refused(&format!("BEGIN AS OF SYSTEM TIME {time}; {sql}"));
        client.run("ROLLBACK");
        state
    };
    for sql in [
        "INSERT INTO t VALUES (9, 'x')",
        "UPDATE t SET v = 'x'",
        "DELETE FROM t",
        "SELECT * FROM t FOR UPDATE",
        "CREATE TABLE s (k int)",
        "TRUNCATE t",
        "COPY t FROM STDIN",
    ] {
        assert_eq!(block(sql), "25006", "{sql}");
    }
    // A second ago the table was not there on a fast machine, or no history: that it stands in a block is said before that is looked at.
    assert_eq!(block("SELECT * FROM t AS OF SYSTEM TIME '-1s'"), "25001");
    assert_eq!(block("SELECT * FROM t AS OF SYSTEM TIME '-1h'"), "25001");
    assert_eq!(
        block("SELECT * FROM t; SET TRANSACTION AS OF SYSTEM TIME '-1s'"),
        "25001"
    );
    assert_eq!(
        block("SELECT * FROM t; SET TRANSACTION AS OF SYSTEM TIME '-1h'"),
        "25001"
    );
    assert_eq!(block("SET TRANSACTION READ WRITE"), "25001");
    assert_eq!(
        client.run(&format!(
            "BEGIN AS OF SYSTEM TIME {time}; SHOW transaction_read_only; COMMIT"
        )),
        "on"
    );
    for (sql, state) in [
        (format!("SELECT * FROM t AS OF SYSTEM TIME {time} FOR UPDATE"), "25006"),
        (format!("SELECT * INTO s FROM t AS OF SYSTEM TIME {time}"), "25006"),
        (format!("BEGIN AS OF SYSTEM TIME {time} READ WRITE"), "42601"),
        (
            format!("SELECT * FROM (SELECT * FROM t AS OF SYSTEM TIME {time}) AS s"),
            "0A000",
        ),
        (
            format!("INSERT INTO t SELECT * FROM t AS OF SYSTEM TIME {time}"),
            "0A000",
        ),
        (
            format!("CREATE VIEW w AS SELECT * FROM t AS OF SYSTEM TIME {time}"),
            "0A000",
        ),
        ("SELECT * FROM t AS OF SYSTEM TIME '1 hour'".to_owned(), "22023"),
        (
            format!("SELECT * FROM t AS OF SYSTEM TIME {}", now() + 60_000_000),
            "22023",
        ),
        ("SELECT * FROM t AS OF SYSTEM TIME 'soon'".to_owned(), "22023"),
        ("SELECT * FROM t AS OF SYSTEM TIME '-2h'".to_owned(), "72000"),
        (format!("SELECT * FROM t AS OF SYSTEM TIME {before}"), "72000"),
        (format!("BEGIN AS OF SYSTEM TIME {before}"), "72000"),
    ] {
        assert_eq!(client.refused(&sql), state, "{sql}");
        client.run("ROLLBACK");
    }
    // What a sequence gives is a change, and a block without a word of the past goes on as always.
    client.run("CREATE SEQUENCE numbers");
    assert_eq!(
        client.refused("SELECT nextval('numbers') AS OF SYSTEM TIME '-1us'"),
        "25006"
    );
    assert_eq!(
        client.run("BEGIN; UPDATE t SET x = 2 WHERE k = 2; SELECT x FROM t; COMMIT"),
        "2.00"
    );
    client.run("UPDATE t SET x = 1.5 WHERE k = 2");
    let copied = client.run(&format!(
        "BEGIN AS OF SYSTEM TIME {time}; DECLARE c CURSOR FOR SELECT k FROM t ORDER BY k; FETCH ALL c; COMMIT"
    ));
    assert_eq!(copied, "1 2 3");
    seen
}

/// What is older than the retention is refused, and what was dropped goes then.
fn forgets(client: &Client) {
    client.run("DROP TABLE t; CREATE TABLE t (k int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)");
    let time = now();
    client.run("TRUNCATE t");
    let sql = format!("SELECT count(*) FROM t AS OF SYSTEM TIME {time}");
    assert_eq!(client.run(&sql), "1");
    client.run("ALTER SYSTEM SET history_retention = '1s'");
    let begin = Instant::now();
    let mut count = 0;
    let state = loop {
        assert!(begin.elapsed() < Duration::from_secs(30), "it is still kept");
        count += 1;
        client.run(&format!("INSERT INTO t VALUES ({count}, 1)"));
        match client.ask(&sql) {
            Ok(answer) => assert_eq!(answer, "1"),
            Err(state) => break state,
        }
    };
    assert_eq!(state, "72000");
    client.run("ALTER SYSTEM RESET history_retention");
    assert_eq!(client.refused(&sql), "55000");
    assert_eq!(client.run("SHOW history_retention"), "0");
}

#[test]
fn a_database_in_memory_shows_what_was() {
    let server = Server::start();
    let client = Client::connect(server.address.port());
    let seen = what_was(&client);
    look_back(&client, &seen);
    forgets(&client);
}

#[test]
fn a_database_on_disk_shows_what_was_over_kills() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut process = Process::start(dir.path(), &[]);
    let seen = what_was(&Client::connect(process.port));
    for round in 0..2 {
        process.child.kill().expect("killed");
        process.child.wait().expect("gone");
        process = Process::start(dir.path(), &[]);
        let client = Client::connect(process.port);
        assert_eq!(client.run("SHOW history_retention"), "1h");
        look_back(&client, &seen);
        if round == 0 {
            client.run("CHECKPOINT");
            client.run("VACUUM");
            look_back(&client, &seen);
        }
    }
    forgets(&Client::connect(process.port));
}

/// Random changes of a table with indexes, against what it held after each of them.
#[test]
fn random_changes_can_be_looked_back_at() {
    let mut rng = SeededRng::new(seed());
    let server = Server::start();
    let client = Client::connect(server.address.port());
    client.run("ALTER SYSTEM SET history_retention = '1h'");
    client.run("CREATE TABLE t (k int PRIMARY KEY, a int, b text)");
    client.run("CREATE INDEX by_a ON t (a); CREATE UNIQUE INDEX by_b ON t (b DESC)");
    let mut model: BTreeMap<u64, u64> = BTreeMap::new();
    let mut past: Vec<(u128, BTreeMap<u64, u64>)> = Vec::new();
    for _ in 0..at_length(120, 3_000) {
        let key = rng.below(20);
        match rng.below(6) {
            0 => {
                client.run(&format!("DELETE FROM t WHERE k = {key}"));
                model.remove(&key);
            }
            1 => {
                client.run(&format!("UPDATE t SET a = a + 1 WHERE k >= {key}"));
                model.range_mut(key..).for_each(|(_, a)| *a += 1);
            }
            2 if rng.chance(1, 6) => {
                client.run("TRUNCATE t");
                model.clear();
            }
            _ => {
                let a = rng.below(10);
                client.run(&format!(
                    "INSERT INTO t VALUES ({key}, {a}, 'b{key}') ON CONFLICT (k) DO UPDATE SET a = excluded.a"
                ));
                model.insert(key, a);
            }
        }
        past.push((now(), model.clone()));
        let (time, then) = &past[rng.below(past.len() as u64) as usize];
        let expected = |keep: &dyn Fn(&u64, &u64) -> bool| {
            let rows = then
                .iter()
                .filter(|(k, a)| keep(k, a))
                .map(|(k, a)| format!("{k}|{a}|b{k}"));
            rows.collect::<Vec<_>>().join(" ")
        };
        let ask = |condition: &str| {
            client.run(&format!(
                "SELECT * FROM t AS OF SYSTEM TIME {time} {condition} ORDER BY k"
            ))
        };
        assert_eq!(ask(""), expected(&|_, _| true));
        let (k, a) = (rng.below(20), rng.below(10));
        assert_eq!(ask(&format!("WHERE k = {k}")), expected(&|there, _| *there == k));
        assert_eq!(ask(&format!("WHERE a = {a}")), expected(&|_, there| *there == a));
        assert_eq!(ask(&format!("WHERE b = 'b{k}'")), expected(&|there, _| *there == k));
        assert_eq!(
            ask(&format!("WHERE k > {k} AND a < {a}")),
            expected(&|there, b| *there > k && *b < a)
        );
        let backward = client.run(&format!(
            "SELECT k FROM t AS OF SYSTEM TIME {time} ORDER BY k DESC LIMIT 3"
        ));
        let last = then
            .keys()
            .rev()
            .take(3)
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(backward, last);
    }
}

/// A transaction whose snapshot is too old ends, whether it reads rows by their keys or all of them.
#[test]
fn a_snapshot_may_be_too_old() {
    let server = Server::start();
    let client = Client::connect(server.address.port());
    client.run("CREATE TABLE t (k int PRIMARY KEY); INSERT INTO t SELECT g FROM generate_series(1, 1000) AS g");
    assert_eq!(client.run("SHOW snapshot_age_max"), "0");
    client.run("ALTER SYSTEM SET snapshot_age_max = '200ms'");
    for sql in ["SELECT k FROM t WHERE k = 1", "SELECT count(*) FROM t"] {
        client.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
        client.run(sql);
        let begin = Instant::now();
        let state = loop {
            assert!(begin.elapsed() < Duration::from_secs(20), "it never ended");
            match client.ask(sql) {
                Ok(_) => std::thread::sleep(Duration::from_millis(20)),
                Err(state) => break state,
            }
        };
        assert_eq!(state, "72000", "{sql}");
        assert!(begin.elapsed() >= Duration::from_millis(150));
        client.run("ROLLBACK");
        client.run(sql);
    }
    // READ COMMITTED takes a new one for each statement.
    client.run("BEGIN ISOLATION LEVEL READ COMMITTED");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(500) {
        client.run("SELECT count(*) FROM t");
    }
    client.run("COMMIT");
    client.run("ALTER SYSTEM RESET snapshot_age_max");
    assert_eq!(client.run("SHOW snapshot_age_max"), "0");
}
