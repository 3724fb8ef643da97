//! Temporary tables of several sessions, of sessions that end, and of a process that is killed.

use std::time::{Duration, Instant};

use super::Process;

const COUNT: &str = "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'";

fn number(process: &Process, sql: &str) -> u64 {
    let (ok, output, errors) = process.psql(&["-q", "-A", "-t"], sql);
    assert!(ok, "{errors}");
    output.trim().parse().expect("a number")
}

/// Waits until as many temporary tables are there.
fn wait_for(process: &Process, count: u64) {
    let begin = Instant::now();
    loop {
        let there = number(process, COUNT);
        if there == count {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{there} temporary tables are there"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn each_session_has_its_own_and_takes_them_along() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut process = Process::start(dir.path(), &[]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let connect = || {
        let text = format!("host=127.0.0.1 port={} user=aion dbname=aion", process.port);
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&text, tokio_postgres::NoTls)
                .await
                .expect("connects");
            (client, tokio::spawn(connection))
        })
    };
    let run = |client: &tokio_postgres::Client, sql: &str| runtime.block_on(client.batch_execute(sql));
    let sum = |client: &tokio_postgres::Client| -> i64 {
        let row = runtime
            .block_on(client.query_one("SELECT sum(a) FROM t", &[]))
            .expect("a sum");
        row.get(0)
    };
    let ((one, ends), (other, goes)) = (connect(), connect());
    for (client, first) in [(&one, 1), (&other, 100)] {
        run(client, "CREATE TEMP TABLE t (a int PRIMARY KEY, b serial)").expect("made");
        run(
            client,
            &format!("INSERT INTO t (a) SELECT g FROM generate_series({first}, {first} + 9) AS g"),
        )
        .expect("rows");
    }
    assert_eq!((sum(&one), sum(&other)), (55, 1_045));
    let schema: String = runtime
        .block_on(one.query_one(
            "SELECT nspname::text FROM pg_namespace WHERE oid = pg_my_temp_schema()",
            &[],
        ))
        .expect("a schema")
        .get(0);
    let of_another = run(&other, &format!("SELECT * FROM {schema}.t")).expect_err("it is another's");
    assert_eq!(
        of_another.code().map(tokio_postgres::error::SqlState::code),
        Some("0A000")
    );
    let made = run(&other, &format!("CREATE TABLE {schema}.u (a int)")).expect_err("it is another's");
    assert_eq!(made.code().map(tokio_postgres::error::SqlState::code), Some("42P16"));
    wait_for(&process, 2);

    drop(one);
    runtime.block_on(ends).expect("ended").expect("in order");
    wait_for(&process, 1);
    assert_eq!(sum(&other), 1_045);
    drop(other);
    runtime.block_on(goes).expect("ended").expect("in order");
    wait_for(&process, 0);
    assert_eq!(
        number(
            &process,
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg_temp%'"
        ),
        0
    );

    // What a kill leaves goes before the first session.
    let (killed, _) = connect();
    run(
        &killed,
        "CREATE TEMP TABLE t AS SELECT g AS a FROM generate_series(1, 1000) AS g; CREATE TABLE kept (a int)",
    )
    .expect("made");
    process.child.kill().expect("killed");
    process.child.wait().expect("gone");
    let process = Process::start(dir.path(), &[]);
    assert_eq!(number(&process, COUNT), 0);
    assert_eq!(number(&process, "SELECT count(*) FROM kept"), 0);
}
