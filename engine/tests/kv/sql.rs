//! A namespace is a table: what one side does the other sees, and what the table demands is kept.

use super::*;

async fn text(sql: &tokio_postgres::Client, query: &str) -> Option<String> {
    let row = sql
        .query_opt(query, &[])
        .await
        .unwrap_or_else(|error| panic!("{query}: {error:?}"))?;
    Some(String::from_utf8(row.get(0)).expect("UTF-8"))
}

/// The rows of `kv.n`, as `key=value`.
async fn rows(sql: &tokio_postgres::Client, condition: &str) -> String {
    let query = format!("SELECT key, value FROM kv.n WHERE {condition} ORDER BY key");
    let rows = sql
        .query(&query, &[])
        .await
        .unwrap_or_else(|error| panic!("{query}: {error:?}"));
    let cell = |row: &tokio_postgres::Row, at: usize| String::from_utf8(row.get(at)).expect("UTF-8");
    let rows: Vec<_> = rows
        .iter()
        .map(|row| format!("{}={}", cell(row, 0), cell(row, 1)))
        .collect();
    rows.join(" ")
}

async fn run(sql: &tokio_postgres::Client, text: &str) {
    sql.batch_execute(text)
        .await
        .unwrap_or_else(|error| panic!("{text}: {error:?}"));
}

#[test]
fn both_sides_see_each_other() {
    block_on(async |server| {
        let (mut client, sql) = (with_namespace(&server).await, server.sql().await);
        done(&mut client, [put("a", "1"), put("b", "2"), put("c", "3")]).await;
        assert_eq!(
            text(&sql, "SELECT value FROM kv.n WHERE key = 'b'").await.as_deref(),
            Some("2")
        );
        run(
            &sql,
            "UPDATE kv.n SET value = 'by SQL' WHERE key >= 'b'; DELETE FROM kv.n WHERE key = 'c'",
        )
        .await;
        run(&sql, "INSERT INTO kv.n VALUES ('d', 'new')").await;
        assert_eq!(value(&mut client, "b").await.as_deref(), Some("by SQL"));
        assert_eq!(value(&mut client, "c").await, None);
        done(&mut client, [set("d", Some("new"), Some("newer")), delete("a")]).await;
        assert_eq!(rows(&sql, "true").await, "b=by SQL d=newer");
        // What a block has not committed nobody sees.
        run(&sql, "BEGIN; INSERT INTO kv.n VALUES ('e', 'open')").await;
        assert_eq!(value(&mut client, "e").await, None);
        run(&sql, "COMMIT").await;
        assert_eq!(value(&mut client, "e").await.as_deref(), Some("open"));
        // Another storage, the same table.
        run(&sql, "TRUNCATE kv.n").await;
        assert_eq!(value(&mut client, "b").await, None);
        done(&mut client, [put("b", "again")]).await;
        assert_eq!(rows(&sql, "true").await, "b=again");
        // A table that SQL made is a namespace if it has the shape of one.
        run(
            &sql,
            "CREATE TABLE kv.by_sql (value bytea NOT NULL, key bytea PRIMARY KEY)",
        )
        .await;
        let of_sql = |operation: Operation| Operation {
            namespace: "by_sql".to_owned(),
            ..operation
        };
        done(&mut client, [of_sql(put("k", "v"))]).await;
        assert_eq!(
            text(&sql, "SELECT value FROM kv.by_sql WHERE key = 'k'")
                .await
                .as_deref(),
            Some("v")
        );
        assert_eq!(client.list_namespaces().await.expect("listed"), ["by_sql", "n"]);
        run(&sql, "DROP TABLE kv.n").await;
        let error = refused(&mut client, batch([get("b")])).await;
        assert_eq!(told(&error), (NOT_FOUND, "42P01"));
    });
}

#[test]
fn indexes_are_kept() {
    block_on(async |server| {
        let (mut client, sql) = (with_namespace(&server).await, server.sql().await);
        done(
            &mut client,
            (0..50).map(|at| put(format!("{at:02}"), format!("v{}", at % 5))),
        )
        .await;
        run(
            &sql,
            "CREATE INDEX n_value ON kv.n (value); CREATE UNIQUE INDEX n_once ON kv.n (value) WHERE key > 'x'",
        )
        .await;
        let keys = async |value: &str| {
            let found = rows(&sql, &format!("value = '{value}'")).await;
            found.replace(&format!("={value}"), "")
        };
        let plan = sql
            .query("EXPLAIN SELECT key FROM kv.n WHERE value = 'v1'", &[])
            .await
            .expect("planned");
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(plan.join(" ").contains("n_value"), "{plan:?}");
        done(
            &mut client,
            [
                put("01", "other"),
                put("new", "v1"),
                delete("06"),
                set("11", Some("v1"), Some("other")),
            ],
        )
        .await;
        assert_eq!(keys("v1").await, "16 21 26 31 36 41 46 new");
        assert_eq!(keys("other").await, "01 11");
        done(&mut client, [put("01", "third"), put("01", "fourth"), delete("11")]).await;
        assert_eq!(
            (keys("other").await, keys("fourth").await),
            (String::new(), "01".to_owned())
        );
        // Of those behind x each value is there once.
        done(&mut client, [put("x1", "once")]).await;
        let error = refused(&mut client, batch([put("first", "x"), put("x2", "once")])).await;
        assert_eq!(told(&error), (ABORTED, "23505"), "{error:?}");
        assert_eq!(value(&mut client, "first").await, None);
        done(&mut client, [put("a", "once"), delete("x1"), put("x2", "once")]).await;
        assert_eq!(keys("once").await, "a x2");
    });
}

#[test]
fn what_the_table_demands_beyond_that_is_not_broken() {
    block_on(async |server| {
        let (mut client, sql) = (with_namespace(&server).await, server.sql().await);
        done(&mut client, [put("k", "v")]).await;
        for (change, undo, state) in [
            (
                "ALTER TABLE kv.n ADD CONSTRAINT short CHECK (value < 'z')",
                "ALTER TABLE kv.n DROP CONSTRAINT short",
                (UNIMPLEMENTED, "0A000"),
            ),
            (
                "CREATE TABLE parents (id bytea PRIMARY KEY); INSERT INTO parents VALUES ('v'); \
                 ALTER TABLE kv.n ADD CONSTRAINT of_parent FOREIGN KEY (value) REFERENCES parents",
                "ALTER TABLE kv.n DROP CONSTRAINT of_parent",
                (UNIMPLEMENTED, "0A000"),
            ),
            (
                "CREATE TABLE children (k bytea REFERENCES kv.n)",
                "DROP TABLE children",
                (UNIMPLEMENTED, "0A000"),
            ),
        ] {
            run(&sql, change).await;
            for operation in [put("k", "longer"), delete("k"), set("k", Some("v"), Some("longer"))] {
                let error = refused(&mut client, batch([operation])).await;
                assert_eq!(told(&error), state, "{change}: {error:?}");
            }
            assert_eq!(value(&mut client, "k").await.as_deref(), Some("v"), "it is read");
            run(&sql, undo).await;
            done(&mut client, [put("k", "v")]).await;
        }
        for (change, undo) in [
            (
                "ALTER TABLE kv.n ADD COLUMN more int",
                "ALTER TABLE kv.n DROP COLUMN more",
            ),
            (
                "ALTER TABLE kv.n ALTER COLUMN value DROP NOT NULL",
                "ALTER TABLE kv.n ALTER COLUMN value SET NOT NULL",
            ),
            (
                "ALTER TABLE kv.n RENAME COLUMN key TO name",
                "ALTER TABLE kv.n RENAME COLUMN name TO key",
            ),
        ] {
            run(&sql, change).await;
            for operation in [put("k", "w"), get("k")] {
                let error = refused(&mut client, batch([operation])).await;
                assert_eq!(told(&error), (INVALID_ARGUMENT, "42809"), "{change}: {error:?}");
            }
            assert!(client.list_namespaces().await.expect("listed").is_empty(), "{change}");
            run(&sql, undo).await;
            // Rows that were written before and after a column came and went are read alike.
            done(&mut client, [put("later", "w")]).await;
            assert_eq!(value(&mut client, "k").await.as_deref(), Some("v"), "{undo}");
            assert_eq!(value(&mut client, "later").await.as_deref(), Some("w"), "{undo}");
        }
        run(&sql, "CREATE VIEW kv.seen AS SELECT * FROM kv.n").await;
        let error = client.drop_namespace("n").await.expect_err("a view needs it");
        assert_eq!(error.sqlstate, "2BP01", "{error:?}");
        let error = client.create_namespace("seen").await.expect_err("a view");
        assert_eq!(error.sqlstate, "42809", "{error:?}");
    });
}

/// An index that comes while batches are on their way has their entries.
#[test]
fn an_index_is_made_while_batches_are_written() {
    block_on(async |server| {
        let (mut client, sql) = (with_namespace(&server).await, server.sql().await);
        let mut writers = Vec::new();
        for number in 0..4 {
            let mut client = server.client().await;
            writers.push(tokio::spawn(async move {
                for at in 0..150 {
                    let operations = [
                        put(format!("{number}-{at}"), format!("{}", at % 3)),
                        put(format!("{number}"), format!("{at}")),
                    ];
                    client
                        .apply(batch(operations))
                        .await
                        .unwrap_or_else(|error| panic!("{error:?}"));
                }
            }));
        }
        while value(&mut client, "0").await.is_none() {
            tokio::task::yield_now().await;
        }
        run(&sql, "CREATE INDEX n_value ON kv.n (value)").await;
        for writer in writers {
            writer.await.expect("no panic");
        }
        let count = async |query: &str| -> i64 { sql.query_one(query, &[]).await.expect("counted").get(0) };
        let by_index = count("SELECT count(*) FROM kv.n WHERE value = '1'").await;
        run(&sql, "SET aion.hidden_indexes = 'n_value'").await;
        let by_rows = count("SELECT count(*) FROM kv.n WHERE value = '1'").await;
        assert_eq!((by_index, by_rows), (4 * 50, 4 * 50));
        assert_eq!(count("SELECT count(*) FROM kv.n").await, 4 * 151);
    });
}
