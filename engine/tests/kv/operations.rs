//! Each operation, what it answers, and its limits.

use super::*;

const KEY_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 4_000_000;

#[test]
fn namespaces_are_made_listed_and_dropped() {
    block_on(async |server| {
        let mut client = server.client().await;
        let error = refused(&mut client, batch([get("k")])).await;
        assert_eq!(told(&error), (NOT_FOUND, "42P01"), "{error:?}");
        assert!(client.create_namespace("n").await.expect("made"));
        assert!(!client.create_namespace("n").await.expect("it is there"));
        assert!(client.create_namespace("m_2").await.expect("made"));
        assert_eq!(client.list_namespaces().await.expect("listed"), ["m_2", "n"]);
        for name in ["", "N", "2", "a-b", "a b"] {
            let error = client.create_namespace(name).await.expect_err(name);
            assert_eq!(told(&error), (INVALID_ARGUMENT, "42602"), "{error:?}");
        }
        let error = client.create_namespace(&"n".repeat(64)).await.expect_err("too long");
        assert_eq!(told(&error), (INVALID_ARGUMENT, "42622"), "{error:?}");
        done(&mut client, [put("k", "v")]).await;
        assert!(client.drop_namespace("n").await.expect("dropped"));
        assert!(!client.drop_namespace("n").await.expect("there is none"));
        let error = refused(&mut client, batch([put("k", "v")])).await;
        assert_eq!(told(&error), (NOT_FOUND, "42P01"), "{error:?}");
        assert!(client.create_namespace("n").await.expect("made again"));
        assert_eq!(value(&mut client, "k").await, None, "nothing came back with its name");
    });
}

#[test]
fn each_operation_answers_what_it_found() {
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        let first = done(&mut client, [put("a", "1"), put("b", ""), get("a"), get("c")]).await;
        let values: Vec<_> = first.results.iter().map(|result| result.value.as_deref()).collect();
        assert_eq!(values, [None, None, Some(&b"1"[..]), None], "a batch sees itself");
        let second = done(&mut client, [delete("a"), delete("a"), delete("c"), get("b")]).await;
        let existed: Vec<_> = second.results.iter().map(|result| result.existed).collect();
        assert_eq!(existed, [true, false, false, false]);
        assert_eq!(
            second.results[3].value.as_deref(),
            Some(&b""[..]),
            "an empty value is one"
        );
        assert!(
            second.timestamp > first.timestamp,
            "{} {}",
            first.timestamp,
            second.timestamp
        );
        let read = done(&mut client, [get("b")]).await;
        assert!(read.timestamp >= second.timestamp);
        // All bytes, in keys and values.
        let all: Vec<u8> = (0..=255).collect();
        done(&mut client, [put(&all, &all)]).await;
        let found = done(&mut client, [get(&all)]).await;
        assert_eq!(found.results[0].value.as_deref(), Some(&all[..]));
        let nothing = done(&mut client, []).await;
        assert!(nothing.results.is_empty() && nothing.timestamp >= found.timestamp);
    });
}

#[test]
fn a_comparison_that_fails_takes_the_whole_batch_with_it() {
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        done(&mut client, [set("k", None, Some("1"))]).await;
        let error = refused(&mut client, batch([put("other", "x"), set("k", None, Some("2"))])).await;
        assert_eq!(told(&error), (FAILED_PRECONDITION, "55000"), "{error:?}");
        assert_eq!((error.operation, error.found.as_deref()), (Some(1), Some(&b"1"[..])));
        assert!(error.timestamp > 0);
        assert_eq!(value(&mut client, "other").await, None);
        let error = refused(&mut client, batch([set("absent", Some("1"), Some("2"))])).await;
        assert_eq!((error.operation, error.found), (Some(0), None));
        done(
            &mut client,
            [set("k", Some("1"), Some("2")), set("k", Some("2"), Some("3"))],
        )
        .await;
        assert_eq!(value(&mut client, "k").await.as_deref(), Some("3"));
        done(&mut client, [set("k", Some("3"), None), set("k", None, None)]).await;
        assert_eq!(value(&mut client, "k").await, None);
        // A long value is told by its length.
        let long = "x".repeat(5_000);
        done(&mut client, [put("k", &long)]).await;
        let error = refused(&mut client, batch([set("k", None, None)])).await;
        assert_eq!(error.found, None);
        assert!(error.message.contains("5000 bytes"), "{error:?}");
    });
}

#[test]
fn limits_hold_at_the_byte() {
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        let (key, longer) = ("k".repeat(KEY_BYTES_MAX), "k".repeat(KEY_BYTES_MAX + 1));
        let (value, larger) = (vec![7; VALUE_BYTES_MAX], vec![7; VALUE_BYTES_MAX + 1]);
        done(&mut client, [put(&key, &value)]).await;
        let found = done(&mut client, [get(&key)]).await;
        assert_eq!(found.results[0].value.as_deref(), Some(&value[..]));
        let large: fn(Vec<u8>) -> What = |value| {
            What::CompareAndSet(CompareAndSet {
                expected: None,
                value: Some(value.into()),
            })
        };
        for beyond in [
            batch([put(&longer, "v")]),
            batch([get(&longer)]),
            batch([delete(&longer)]),
            batch([put(&key, &larger)]),
            batch([operation("k", large(larger.clone()))]),
            batch((0..10_001).map(|at| put(format!("{at}"), ""))),
            batch((0..5).map(|at| put(format!("{at}"), &value))),
        ] {
            let error = refused(&mut client, beyond).await;
            assert_eq!(told(&error), (INVALID_ARGUMENT, "54000"), "{}", error.message);
        }
        let error = refused(&mut client, batch([put("", "v")])).await;
        assert_eq!(told(&error), (INVALID_ARGUMENT, "22023"));
        done(&mut client, (0..10_000).map(|at| put(format!("{at}"), ""))).await;
        // What is answered is limited, too.
        done(&mut client, (0..4).map(|at| put(format!("big{at}"), &value))).await;
        let gets = |count: usize| (0..count).map(|at| get(format!("big{}", at % 4)));
        done(&mut client, gets(4)).await;
        let error = refused(&mut client, batch(gets(5))).await;
        assert_eq!(told(&error), (INVALID_ARGUMENT, "54000"), "{}", error.message);
        let nothing = Operation { what: None, ..get("k") };
        let error = refused(&mut client, batch([nothing])).await;
        assert_eq!(told(&error), (INVALID_ARGUMENT, "08P01"));
    });
}

#[test]
fn a_batch_spans_namespaces() {
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        client.create_namespace("m").await.expect("made");
        let of_m = |operation: Operation| Operation {
            namespace: "m".to_owned(),
            ..operation
        };
        done(&mut client, [put("k", "of n"), of_m(put("k", "of m"))]).await;
        let error = refused(&mut client, batch([of_m(put("k", "x")), set("k", Some("y"), None)])).await;
        assert_eq!(error.operation, Some(1));
        let found = done(&mut client, [get("k"), of_m(get("k"))]).await;
        let values: Vec<_> = found
            .results
            .iter()
            .filter_map(|result| result.value.as_deref())
            .collect();
        assert_eq!(values, [&b"of n"[..], b"of m"]);
    });
}

#[test]
fn what_was_seen_once_is_seen_on_each_connection() {
    block_on(async |server| {
        let (mut one, mut other) = (with_namespace(&server).await, server.client().await);
        for number in 0..50 {
            let number = number.to_string();
            let put = done(&mut one, [put("k", &number)]).await;
            let read = Batch {
                after_timestamp: put.timestamp,
                ..batch([get("k")])
            };
            let read = other.apply(read).await.expect("seen");
            assert_eq!(read.results[0].value.as_deref(), Some(number.as_bytes()));
            assert!(read.timestamp >= put.timestamp);
        }
        // One that is still to come is waited for, until somebody commits; and not for ever.
        let now = done(&mut one, [get("k")]).await.timestamp;
        let of_tomorrow = Batch {
            after_timestamp: now + 86_400_000_000,
            timeout_ms: 50,
            ..batch([get("k")])
        };
        let error = refused(&mut other, of_tomorrow).await;
        assert_eq!(told(&error), (UNAVAILABLE, "55000"), "{error:?}");
        let soon = Batch {
            after_timestamp: now + 1,
            ..batch([get("k")])
        };
        let waiting = tokio::spawn(async move { other.apply(soon).await.map(|applied| applied.timestamp) });
        let put = done(&mut one, [put("k", "awaited")]).await;
        assert!(waiting.await.expect("no panic").expect("seen") >= put.timestamp);
    });
}
