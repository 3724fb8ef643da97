//! Many clients at once: no update is lost, and what must hold together holds for everybody who looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aion_base::rng::SeededRng;

use super::*;
use crate::program::{at_length, seed};

#[test]
fn no_increment_of_a_counter_is_lost() {
    const CLIENTS: usize = 8;
    let each = at_length(25, 500);
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        done(&mut client, [put("counter", "0")]).await;
        let lost = Arc::new(AtomicUsize::new(0));
        let mut running = Vec::new();
        for _ in 0..CLIENTS {
            let (mut client, lost) = (server.client().await, lost.clone());
            running.push(tokio::spawn(async move {
                let mut known = "0".to_owned();
                for _ in 0..each {
                    loop {
                        let next = (known.parse::<u64>().expect("a number") + 1).to_string();
                        match client.apply(batch([set("counter", Some(&known), Some(&next))])).await {
                            Ok(_) => {
                                known = next;
                                break;
                            }
                            Err(refused) => {
                                assert_eq!(told(&refused), (FAILED_PRECONDITION, "55000"), "{refused:?}");
                                lost.fetch_add(1, Ordering::Relaxed);
                                let found = refused.found.expect("it is there");
                                known = String::from_utf8(found.to_vec()).expect("UTF-8");
                            }
                        }
                    }
                }
            }));
        }
        for client in running {
            client.await.expect("no panic");
        }
        let expected = (CLIENTS * each).to_string();
        assert_eq!(value(&mut client, "counter").await, Some(expected));
        assert!(lost.load(Ordering::Relaxed) > 0, "they met");
    });
}

const ACCOUNTS: u64 = 4;
const MONEY: u64 = 100;

fn account(number: u64) -> String {
    format!("account{number}")
}

/// Moves money by comparing both accounts; whoever was overtaken tries again.
async fn transfer(client: &mut Client, rng: &mut SeededRng) {
    let (from, to) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS - 1));
    let to = if to >= from { to + 1 } else { to };
    loop {
        let (from, to) = (account(from), account(to));
        let found = done(client, [get(&from), get(&to)]).await;
        let text = |at: usize| {
            let value = found.results[at].value.clone().expect("an account");
            String::from_utf8(value.to_vec()).expect("UTF-8")
        };
        let (had, other) = (text(0), text(1));
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let amount = rng.below(number(&had) + 1);
        let moved = [
            (number(&had) - amount).to_string(),
            (number(&other) + amount).to_string(),
        ];
        let operations = [
            set(&from, Some(&had), Some(&moved[0])),
            set(&to, Some(&other), Some(&moved[1])),
        ];
        match client.apply(batch(operations)).await {
            Ok(_) => return,
            Err(refused) => {
                let told = told(&refused);
                assert!(
                    matches!(told, (FAILED_PRECONDITION, "55000") | (ABORTED, "40001")),
                    "{refused:?}"
                );
            }
        }
    }
}

/// The same by statements, at this level; at READ COMMITTED with the rows locked before they are read.
async fn transfer_by_sql(client: &tokio_postgres::Client, level: &str, rng: &mut SeededRng) {
    let (from, to) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS - 1));
    let to = if to >= from { to + 1 } else { to };
    let lock = if level == "READ COMMITTED" { " FOR UPDATE" } else { "" };
    loop {
        let moved = async {
            client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}")).await?;
            let mut had = Vec::new();
            for account in [account(from), account(to)] {
                let sql = format!("SELECT value FROM kv.n WHERE key = $1{lock}");
                let row = client.query_one(&sql, &[&account.into_bytes()]).await?;
                let text = String::from_utf8(row.get(0)).expect("UTF-8");
                had.push(text.parse::<u64>().expect("a number"));
            }
            let amount = rng.below(had[0] + 1);
            for (number, value) in [(from, had[0] - amount), (to, had[1] + amount)] {
                let values = (value.to_string().into_bytes(), account(number).into_bytes());
                let sql = "UPDATE kv.n SET value = $1 WHERE key = $2";
                client.execute(sql, &[&values.0, &values.1]).await?;
            }
            client.batch_execute("COMMIT").await
        };
        let Err(error) = moved.await else { return };
        let code = error.code().map(|code| code.code().to_owned());
        assert!(matches!(code.as_deref(), Some("40001" | "40P01")), "{error:?}");
        client.batch_execute("ROLLBACK").await.expect("rolled back");
    }
}

#[test]
fn money_that_batches_and_statements_move_stays_as_much_as_it_was() {
    let each = at_length(40, 1_000);
    let mut rng = SeededRng::new(seed());
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        let accounts = || (0..ACCOUNTS).map(account);
        done(&mut client, accounts().map(|account| put(account, MONEY.to_string()))).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut running = Vec::new();
        for _ in 0..3 {
            let (mut client, mut rng) = (server.client().await, rng.split());
            running.push(tokio::spawn(async move {
                for _ in 0..each {
                    transfer(&mut client, &mut rng).await;
                }
            }));
        }
        for level in ["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED"] {
            let (client, mut rng) = (server.sql().await, rng.split());
            running.push(tokio::spawn(async move {
                for _ in 0..each {
                    transfer_by_sql(&client, level, &mut rng).await;
                }
            }));
        }
        let (mut looking, sql, over) = (server.client().await, server.sql().await, is_over.clone());
        let watcher = tokio::spawn(async move {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) || looks == 0 {
                let found = done(&mut looking, (0..ACCOUNTS).map(|number| get(account(number)))).await;
                let money = |value: &[u8]| {
                    let text = std::str::from_utf8(value).expect("UTF-8");
                    text.parse::<u64>().expect("a number")
                };
                let sum: u64 = found
                    .results
                    .iter()
                    .map(|result| money(result.value.as_ref().expect("there")))
                    .sum();
                assert_eq!(sum, ACCOUNTS * MONEY, "a batch");
                let rows = sql.query("SELECT value FROM kv.n", &[]).await.expect("read");
                let sum: u64 = rows.iter().map(|row| money(row.get(0))).sum();
                assert_eq!(sum, ACCOUNTS * MONEY, "a statement");
                looks += 1;
            }
        });
        for client in running {
            client.await.expect("no panic");
        }
        is_over.store(true, Ordering::Relaxed);
        watcher.await.expect("no panic");
    });
}

/// Write skew: each takes a key away only while the other is there.
#[test]
fn of_two_batches_that_rely_on_each_other_one_is_refused() {
    let rounds = at_length(20, 500);
    block_on(async |server| {
        let (mut one, mut other) = (with_namespace(&server).await, server.client().await);
        for round in 0..rounds {
            done(&mut one, [put("a", "on"), put("b", "on")]).await;
            let off = |own: &str, of: &str| batch([set(of, Some("on"), Some("on")), set(own, Some("on"), None)]);
            let (first, second) = tokio::join!(one.apply(off("a", "b")), other.apply(off("b", "a")));
            let failed = [first, second].into_iter().filter_map(Result::err).collect::<Vec<_>>();
            assert_eq!(failed.len(), 1, "round {round}: {failed:?}");
            assert_eq!(told(&failed[0]), (FAILED_PRECONDITION, "55000"));
            // What is only read counts, too.
            done(&mut one, [put("a", "on"), put("b", "on")]).await;
            let sum = |own: &str, of: &str| batch([get(of), set(own, Some("on"), Some("off"))]);
            let (first, second) = tokio::join!(one.apply(sum("a", "b")), other.apply(sum("b", "a")));
            let (first, second) = (first.expect("done"), second.expect("done"));
            let saw = |applied: &Applied| applied.results[0].value.clone().expect("there");
            let both_on = saw(&first) == "on" && saw(&second) == "on";
            assert!(!both_on, "round {round}: neither saw what the other did");
        }
    });
}

#[test]
fn a_batch_waits_for_a_row_that_a_statement_has_locked() {
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        done(&mut client, [put("k", "old"), put("free", "old")]).await;
        let sql = server.sql().await;
        sql.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            .await
            .expect("begun");
        let lock = "SELECT value FROM kv.n WHERE key = 'k' FOR UPDATE";
        sql.query_one(lock, &[]).await.expect("locked");
        let short = |operations: [Operation; 1]| Batch {
            timeout_ms: 100,
            ..batch(operations)
        };
        for operation in [put("k", "x"), delete("k"), set("k", Some("old"), None)] {
            let error = refused(&mut client, short([operation])).await;
            assert_eq!(told(&error), (UNAVAILABLE, "55P03"), "{error:?}");
        }
        client.apply(short([put("free", "new")])).await.expect("nobody has it");
        assert_eq!(
            value(&mut client, "k").await.as_deref(),
            Some("old"),
            "readers wait for nobody"
        );
        let mut waiting = server.client().await;
        let waiting = tokio::spawn(async move { waiting.apply(batch([put("k", "put")])).await.map(drop) });
        let seen = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        let other = server.sql().await;
        while other.query_one(seen, &[]).await.expect("read").get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        sql.batch_execute("UPDATE kv.n SET value = 'updated' WHERE key = 'k'; COMMIT")
            .await
            .expect("committed");
        waiting.await.expect("no panic").expect("done");
        assert_eq!(
            value(&mut client, "k").await.as_deref(),
            Some("put"),
            "it came after the update"
        );
    });
}
