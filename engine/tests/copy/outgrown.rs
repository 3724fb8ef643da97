//! Loads beyond what a transaction holds: an empty table takes them, beside the transaction; whoever else writes into it meanwhile is not lost.
//!
//! The first run of the benchmarks found that a million rows could not be copied into a table: 54000, after 128 MiB.

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::Client;

use super::{Bench, Complaint, complaint};

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, n int, s text); CREATE INDEX t_n ON t (n)";
const MEGABYTE: usize = 1_000_000;

fn lines(ids: std::ops::Range<usize>) -> String {
    let text = "x".repeat(MEGABYTE);
    ids.map(|id| format!("{id}\t{}\t{text}\n", id % 7)).collect()
}

/// Rows by table and by index, and the bytes of their texts.
fn counted(bench: &Bench) -> Vec<String> {
    let of_all = bench.run("SELECT count(*), sum(length(s)) FROM t").expect("counted");
    let of_one = bench.run("SELECT count(*) FROM t WHERE n = 3").expect("counted");
    [of_all, of_one].concat()
}

/// More than the log's window too, within which a commit can be decided: at each level the transaction keeps up with what it loads.
#[test]
fn a_file_of_more_than_a_transaction_holds() {
    let bench = Bench::new("SELECT 1");
    let path = bench.file("lines", lines(0..150));
    for isolation in ["serializable", "repeatable read", "read committed"] {
        bench.run(&format!("DROP TABLE IF EXISTS t; {SCHEMA}")).expect("made");
        bench
            .run(&format!(
                "BEGIN ISOLATION LEVEL {isolation}; INSERT INTO t VALUES (1000, 3, 'x')"
            ))
            .expect("begun");
        bench.run(&format!("COPY t FROM '{path}'")).expect(isolation);
        bench.run("COMMIT").expect(isolation);
        assert_eq!(counted(&bench), ["151|150000001", "22"], "{isolation}");
    }
    let twice = bench
        .run("INSERT INTO t VALUES (149, 1, 'twice')")
        .expect_err("is there");
    assert_eq!(twice.state, "23505");
    // The table has rows now: there is no other storage for it.
    let more = bench.file("more", lines(150..300));
    let refused = bench.run(&format!("COPY t FROM '{more}'")).expect_err("too much");
    assert_eq!(refused.state, "54000", "{refused:?}");
    assert_eq!(counted(&bench), ["151|150000001", "22"]);
}

/// What TRUNCATE gives is a storage of its own too.
#[test]
fn after_truncate_as_well() {
    let bench = Bench::new(SCHEMA);
    let path = bench.file("lines", lines(0..150));
    bench.run("INSERT INTO t VALUES (1, 1, 'old')").expect("a row");
    bench
        .run("BEGIN ISOLATION LEVEL READ COMMITTED; TRUNCATE t; INSERT INTO t VALUES (1000, 3, 'x')")
        .expect("begun");
    bench.run(&format!("COPY t FROM '{path}'")).expect("loaded");
    bench.run("COMMIT").expect("committed");
    assert_eq!(counted(&bench), ["151|150000001", "22"]);
}

/// With rows that the block had written before, which go along, and reads of all of them before the commit.
#[test]
fn a_block_reads_what_it_loaded_and_rolls_it_back() {
    let bench = Bench::new(SCHEMA);
    let path = bench.file("lines", lines(0..40));
    let load = |end: &str| {
        bench
            .run("BEGIN; INSERT INTO t VALUES (1000, 3, 'before'), (1001, 3, 'gone'); DELETE FROM t WHERE id = 1001")
            .expect("rows");
        bench.run(&format!("COPY t FROM '{path}'")).expect("loaded");
        bench.run("INSERT INTO t VALUES (1002, 3, 'after!')").expect("a row");
        assert_eq!(counted(&bench), ["42|40000012", "8"]);
        let twice = bench.run("SAVEPOINT a; INSERT INTO t VALUES (1000, 1, 'twice')");
        assert_eq!(twice.expect_err("is there").state, "23505");
        bench.run("ROLLBACK TO a").expect("the row alone is undone");
        bench.run(end).expect(end);
    };
    load("ROLLBACK");
    assert_eq!(counted(&bench), ["0|NULL", "0"]);
    load("COMMIT");
    assert_eq!(counted(&bench), ["42|40000012", "8"]);
}

/// What was loaded cannot be undone alone: it stays within the transaction, and within its limit.
#[test]
fn after_a_savepoint_the_limit_is_the_transactions() {
    let bench = Bench::new(SCHEMA);
    let small = bench.file("small", lines(0..40));
    let large = bench.file("large", lines(40..190));
    bench.run("BEGIN; SAVEPOINT a").expect("a savepoint");
    bench.run(&format!("COPY t FROM '{small}'")).expect("within the limit");
    bench.run("SAVEPOINT b").expect("another");
    let refused = bench.run(&format!("COPY t FROM '{large}'")).expect_err("too much");
    assert_eq!(refused.state, "54000", "{refused:?}");
    bench.run("ROLLBACK TO b").expect("back");
    assert_eq!(counted(&bench), ["40|40000000", "6"]);
    bench.run("ROLLBACK TO a").expect("back");
    assert_eq!(counted(&bench), ["0|NULL", "0"]);
    bench.run("COMMIT").expect("nothing");
}

#[test]
fn a_load_that_fails_leaves_nothing() {
    let bench = Bench::new(SCHEMA);
    let path = bench.file("lines", format!("{}3\t1\ttwice\n", lines(0..40)));
    let failed = bench.run(&format!("COPY t FROM '{path}'")).expect_err("3 is there");
    assert_eq!(failed.state, "23505", "{failed:?}");
    assert_eq!(counted(&bench), ["0|NULL", "0"]);
    let path = bench.file("lines", format!("{}x\t1\tno number\n", lines(0..40)));
    let failed = bench.run(&format!("COPY t FROM '{path}'")).expect_err("no number");
    assert_eq!(failed.detail, "COPY t, line 41, column id: \"x\"");
    assert_eq!(counted(&bench), ["0|NULL", "0"]);
}

/// A stream, in whose middle others write. Whoever is confirmed is there.
fn beside(isolation: &str, other: &str) -> (Bench, Option<Complaint>, Option<Complaint>) {
    let bench = Bench::new(SCHEMA);
    let client = bench.server.connect();
    let other: Result<_, _> = bench.server.runtime.block_on(async {
        let set = format!("SET default_transaction_isolation = '{isolation}'");
        client.batch_execute(&set).await.expect("set");
        bench.client.batch_execute(&set).await.expect("set");
        let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.expect("begun");
        let mut sink = std::pin::pin!(sink);
        // One before and one after the load has moved.
        for id in 0..40 {
            if id == 2 || id == 38 {
                sink.flush().await.expect("sent");
                let sql = other.replace("ID", &(1_000 + id).to_string());
                if let Err(error) = bench.client.batch_execute(&sql).await {
                    return Err((sink.finish().await.err(), error));
                }
            }
            sink.send(Bytes::from(lines(id..id + 1))).await.expect("sent");
        }
        Ok(sink.finish().await.err())
    });
    match other {
        Ok(load) => (bench, load.as_ref().map(complaint), None),
        Err((load, other)) => (bench, load.as_ref().map(complaint), Some(complaint(&other))),
    }
}

#[test]
fn rows_of_others_are_not_left_behind() {
    for isolation in ["serializable", "repeatable read", "read committed"] {
        let (bench, load, other) = beside(isolation, "INSERT INTO t VALUES (ID, 3, 'other')");
        assert_eq!(other, None, "{isolation}: nothing holds them up");
        let load = load.expect("the rows of the others are committed");
        assert_eq!(load.state, "40001", "{isolation}: {load:?}");
        assert_eq!(counted(&bench), ["2|10", "2"], "{isolation}");
    }
}

#[test]
fn a_change_of_the_definition_is_not_left_behind() {
    let (bench, load, other) = beside("read committed", "ALTER TABLE t ADD COLUMN \"cID\" int");
    let columns = bench
        .run("SELECT count(*) FROM information_schema.columns WHERE table_name = 't'")
        .expect("counted");
    match (load, other) {
        (Some(load), None) => {
            assert_eq!(load.state, "40001", "{load:?}");
            assert_eq!(
                (columns, counted(&bench)),
                (vec!["5".to_owned()], vec!["0|NULL".to_owned(), "0".to_owned()])
            );
        }
        (load, other) => panic!("the load {load:?}, the other {other:?}, {columns:?} columns"),
    }
}

/// Two loads: one of both is there, whole.
#[test]
fn of_two_loads_at_once_one_is_refused() {
    let bench = Bench::new(SCHEMA);
    let clients: [Client; 2] = [bench.server.connect(), bench.server.connect()];
    let ended = bench.server.runtime.block_on(async {
        let mut sinks = Vec::new();
        for client in &clients {
            let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.expect("begun");
            sinks.push(Box::pin(sink));
        }
        for id in 0..40 {
            for (number, sink) in sinks.iter_mut().enumerate() {
                let id = number * 100 + id;
                sink.send(Bytes::from(lines(id..id + 1))).await.expect("sent");
            }
        }
        let mut ended = Vec::new();
        for mut sink in sinks {
            ended.push(sink.as_mut().finish().await);
        }
        ended
    });
    let failed: Vec<_> = ended
        .iter()
        .filter_map(|ended| ended.as_ref().err())
        .map(complaint)
        .collect();
    assert_eq!(failed.len(), 1, "{ended:?}");
    assert_eq!(failed[0].state, "40001", "{failed:?}");
    assert_eq!(counted(&bench)[0], "40|40000000");
}

/// What is computed of a row for an index is so in the other storage too.
#[test]
fn indexes_of_some_rows_and_over_expressions_go_along() {
    let bench = Bench::new(
        "CREATE TABLE t (id int PRIMARY KEY, n int, s text); \
         CREATE INDEX t_some ON t ((id % 2)) WHERE n = 3; \
         CREATE UNIQUE INDEX t_once ON t (lower(left(s, 1)), id)",
    );
    let path = bench.file("lines", lines(0..40));
    bench.run(&format!("COPY t FROM '{path}'")).expect("loaded");
    let some = bench.run("SELECT count(*) FROM t WHERE n = 3 AND id % 2 = 1");
    assert_eq!(some.expect("counted"), ["3"]);
    let one = bench.run("SELECT count(*) FROM t WHERE lower(left(s, 1)) = 'x' AND id = 38");
    assert_eq!(one.expect("counted"), ["1"]);
}

/// While keys rise a load is remembered by what it spans. Keys that go back must find what was loaded a moment ago, and nothing else.
#[test]
fn keys_in_any_order() {
    const ROWS: usize = 24_000;
    let bench = Bench::new("SELECT 1");
    let text = "x".repeat(1_000);
    let load = |name: &str, ids: &mut dyn Iterator<Item = usize>| {
        bench
            .run("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, s text)")
            .expect("made");
        let path = bench.file(name, ids.map(|id| format!("{id}\t{text}\n")).collect::<String>());
        let loaded = bench.run(&format!("COPY t FROM '{path}'"));
        let there = bench
            .run("SELECT count(*), count(DISTINCT id), sum(id) FROM t")
            .expect("counted");
        (loaded.err(), there)
    };
    let sum = ROWS * (ROWS - 1) / 2;
    let all = vec![format!("{ROWS}|{ROWS}|{sum}")];
    // Steps of blocks: some go back within a part of the load, some into the one before, some into all of them.
    for block in [1, 7, 900, 5_000] {
        let blocks = (0..ROWS).step_by(2 * block);
        let mut swapped = blocks.flat_map(|at| {
            let (middle, end) = ((at + block).min(ROWS), (at + 2 * block).min(ROWS));
            (middle..end).chain(at..middle)
        });
        let (failed, there) = load("swapped", &mut swapped);
        assert!(failed.is_none(), "blocks of {block}: {failed:?}");
        assert_eq!(there, all, "blocks of {block}");
    }
    let (failed, there) = load("rising", &mut (0..ROWS));
    assert_eq!((failed.is_none(), there), (true, all.clone()));
    let (failed, there) = load("falling", &mut (0..ROWS).rev());
    assert_eq!((failed.is_none(), there), (true, all));
    // The last rows stand in the part of the load before, in the same one, and at its beginning.
    for twice in [ROWS - 1_500, ROWS - 2, 3] {
        let (failed, there) = load("twice", &mut (0..ROWS).chain([twice]));
        let failed = failed.expect("a key is there twice");
        assert_eq!(failed.state, "23505", "{twice}: {failed:?}");
        assert_eq!(there, ["0|0|NULL"], "{twice}");
    }
}
