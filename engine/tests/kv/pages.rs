//! Pages of scans: in order, whole, and right while others write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aion_base::rng::SeededRng;
use aion_server::kv::proto::{Page, ScanRequest};

use super::*;
use crate::program::{at_length, seed};

fn scan(prefix: impl AsRef<[u8]>) -> ScanRequest {
    ScanRequest {
        namespace: "n".to_owned(),
        prefix: bytes(prefix),
        ..ScanRequest::default()
    }
}

async fn page(client: &mut Client, scan: &ScanRequest) -> Page {
    let page = client.scan(scan.clone()).await;
    page.unwrap_or_else(|error| panic!("{scan:?}: {error:?}"))
}

/// All pages, and how many there were.
async fn all(client: &mut Client, scan: &ScanRequest) -> (Vec<(Bytes, Bytes)>, usize) {
    let (mut scan, mut entries, mut pages) = (scan.clone(), Vec::new(), 0);
    loop {
        let page = page(client, &scan).await;
        pages += 1;
        entries.extend(page.entries.into_iter().map(|entry| (entry.key, entry.value)));
        if page.cursor.is_empty() {
            return (entries, pages);
        }
        scan.cursor = page.cursor;
    }
}

/// Beside a map in memory, with keys of few different bytes, so that prefixes and zero bytes meet.
#[test]
fn pages_are_what_a_map_says() {
    let mut rng = SeededRng::new(seed());
    let cases = at_length(150, 5_000);
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        let any = |rng: &mut SeededRng, least: u64| -> Vec<u8> {
            let length = least + rng.below(5);
            (0..length)
                .map(|_| [0, 1, b'a', 254, 255][rng.below(5) as usize])
                .collect()
        };
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for _ in 0..4 {
            let operations: Vec<_> = (0..150).map(|_| (any(&mut rng, 1), any(&mut rng, 0))).collect();
            done(&mut client, operations.iter().map(|(key, value)| put(key, value))).await;
            model.extend(operations);
        }
        let gone: Vec<_> = model.keys().filter(|_| rng.chance(1, 5)).cloned().collect();
        done(&mut client, gone.iter().map(delete)).await;
        gone.iter().for_each(|key| drop(model.remove(key)));
        for case in 0..cases {
            let maybe = |rng: &mut SeededRng| match rng.chance(1, 2) {
                true => any(rng, 0),
                false => Vec::new(),
            };
            let (prefix, start, end) = (maybe(&mut rng), maybe(&mut rng), maybe(&mut rng));
            let scan = ScanRequest {
                start: bytes(&start),
                end: bytes(&end),
                reverse: rng.chance(1, 2),
                limit: 1 + rng.below(60) as u32,
                ..scan(&prefix)
            };
            let (found, pages) = all(&mut client, &scan).await;
            let is_in = |key: &Vec<u8>| key.starts_with(&prefix) && *key >= start && (end.is_empty() || *key < end);
            let mut expected: Vec<_> = model
                .iter()
                .filter(|(key, _)| is_in(key))
                .map(|(key, value)| (bytes(key), bytes(value)))
                .collect();
            if scan.reverse {
                expected.reverse();
            }
            assert_eq!(found, expected, "case {case}: {scan:?}");
            assert_eq!(
                pages,
                expected.len().div_ceil(scan.limit as usize).max(1),
                "case {case}"
            );
        }
    });
}

#[test]
fn a_page_has_its_limits_and_a_cursor_its_scan() {
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        done(&mut client, (0..250).map(|at| put(format!("{at:03}"), ""))).await;
        let first = page(&mut client, &scan("")).await;
        assert_eq!(first.entries.len(), 100, "where nothing is said");
        assert!(first.timestamp > 0);
        for (wrong, state) in [
            (
                ScanRequest {
                    limit: 10_001,
                    ..scan("")
                },
                "22023",
            ),
            (
                ScanRequest {
                    cursor: first.cursor.clone(),
                    ..scan("1")
                },
                "22023",
            ),
            (
                ScanRequest {
                    cursor: first.cursor.clone(),
                    reverse: true,
                    ..scan("")
                },
                "22023",
            ),
            (
                ScanRequest {
                    cursor: bytes("nothing"),
                    ..scan("")
                },
                "22023",
            ),
            (scan("k".repeat(257)), "54000"),
        ] {
            let error = client.scan(wrong).await.expect_err("refused");
            assert_eq!(told(&error), (INVALID_ARGUMENT, state), "{error:?}");
        }
        let error = client
            .scan(ScanRequest {
                namespace: "m".to_owned(),
                ..scan("")
            })
            .await
            .expect_err("none");
        assert_eq!(told(&error), (NOT_FOUND, "42P01"));
        let all_at_once = page(
            &mut client,
            &ScanRequest {
                limit: 10_000,
                ..scan("")
            },
        )
        .await;
        assert_eq!((all_at_once.entries.len(), all_at_once.cursor.len()), (250, 0));
        // By bytes: each of these fills a page of its own.
        let large = vec![1; 3_000_000];
        for key in ["x1", "x2", "x3"] {
            done(&mut client, [put(key, &large)]).await;
        }
        let (entries, pages) = all(&mut client, &scan("x")).await;
        assert_eq!((entries.len(), pages), (3, 3));
    });
}

/// Keys that are there all the time come once, in order; each page is of one moment.
#[test]
fn pages_hold_while_others_write() {
    let rounds = at_length(10, 200);
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        // Even keys stay, with values that change together; odd ones come and go.
        const KEYS: usize = 200;
        done(&mut client, (0..KEYS).map(|at| put(format!("{:03}", 2 * at), "0"))).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let (mut writer, over) = (server.client().await, is_over.clone());
        let writing = tokio::spawn(async move {
            let mut number = 0;
            while !over.load(Ordering::Relaxed) {
                number += 1;
                let even = (0..KEYS).map(|at| put(format!("{:03}", 2 * at), number.to_string()));
                let odd = (0..KEYS).map(|at| match (at + number) % 3 {
                    0 => put(format!("{:03}", 2 * at + 1), "odd"),
                    _ => delete(format!("{:03}", 2 * at + 1)),
                });
                done(&mut writer, even.chain(odd)).await;
            }
        });
        for round in 0..rounds {
            let mut scan = ScanRequest {
                limit: 17 + round as u32 % 5,
                reverse: round % 2 == 1,
                ..scan("")
            };
            let mut keys = Vec::new();
            let mut last = 0;
            loop {
                let page = page(&mut client, &scan).await;
                assert!(page.timestamp >= last, "time goes on");
                last = page.timestamp;
                let values: Vec<_> = page
                    .entries
                    .iter()
                    .filter(|entry| entry.value != "odd")
                    .map(|entry| &entry.value)
                    .collect();
                assert!(
                    values.windows(2).all(|pair| pair[0] == pair[1]),
                    "a page is of one moment: {values:?}"
                );
                keys.extend(page.entries.into_iter().map(|entry| entry.key));
                if page.cursor.is_empty() {
                    break;
                }
                scan.cursor = page.cursor;
                scan.after_timestamp = last;
            }
            if scan.reverse {
                keys.reverse();
            }
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "in order, each once");
            let even = keys.iter().filter(|key| (key[2] - b'0').is_multiple_of(2)).count();
            assert_eq!(even, KEYS, "those that stay are all there");
        }
        is_over.store(true, Ordering::Relaxed);
        writing.await.expect("no panic");
    });
}
