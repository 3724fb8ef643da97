//! Streams of batches: answered in order, in effect in order, on their way together.

use aion_server::kv::proto::Outcome;

use super::*;

#[test]
fn batches_of_a_stream_take_effect_in_their_order() {
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        let (batches, mut answers) = client.stream(64).await.expect("begun");
        // Each writes the same key, and one of its own.
        for number in 0..300 {
            let number = number.to_string();
            batches
                .send(batch([put("last", &number), put(format!("key{number}"), &number)]))
                .await
                .expect("sent");
        }
        batches
            .send(batch([set("last", Some("299"), Some("set")), get("key7")]))
            .await
            .expect("sent");
        batches
            .send(batch([set("last", Some("299"), None)]))
            .await
            .expect("sent");
        batches.send(batch([put("", "no key")])).await.expect("sent");
        batches.send(batch([put("more", "1")])).await.expect("sent");
        drop(batches);
        let mut last = 0;
        for number in 0..300 {
            match answers
                .next()
                .await
                .expect("a stream")
                .and_then(|answer| answer.outcome)
            {
                Some(Outcome::Applied(applied)) => {
                    assert!(applied.timestamp > last, "{number}");
                    last = applied.timestamp;
                }
                other => panic!("{number}: {other:?}"),
            }
        }
        let mut outcomes = Vec::new();
        while let Some(answer) = answers.next().await.expect("a stream") {
            outcomes.push(answer.outcome.expect("an outcome"));
        }
        let [
            Outcome::Applied(set),
            Outcome::Refused(unmet),
            Outcome::Refused(wrong),
            Outcome::Applied(_),
        ] = &outcomes[..]
        else {
            panic!("{outcomes:?}");
        };
        assert_eq!(
            set.results[1].value.as_deref(),
            Some(&b"7"[..]),
            "it sees those before it"
        );
        assert_eq!(told(unmet), (FAILED_PRECONDITION, "55000"));
        assert_eq!((unmet.operation, unmet.found.as_deref()), (Some(0), Some(&b"set"[..])));
        assert_eq!(told(wrong), (INVALID_ARGUMENT, "22023"));
        assert_eq!(value(&mut client, "more").await.as_deref(), Some("1"));
    });
}

/// They share syncs of the log: that is what they are on their way together for.
#[test]
fn batches_on_their_way_together_share_their_syncs() {
    block_on(async |server| {
        let mut client = with_namespace(&server).await;
        let syncs = async || {
            let text = http::curl(&server, &["/metrics"]).body;
            let line = text.lines().find_map(|line| line.strip_prefix("aion_log_syncs_total "));
            line.and_then(|count| count.parse::<u64>().ok()).expect("a counter")
        };
        let before = syncs().await;
        let (batches, mut answers) = client.stream(1_000).await.expect("begun");
        for number in 0..1_000 {
            batches
                .send(batch([put(format!("{number}"), "v")]))
                .await
                .expect("sent");
        }
        drop(batches);
        let mut count = 0;
        while answers.next().await.expect("a stream").is_some() {
            count += 1;
        }
        assert_eq!(count, 1_000);
        let syncs = syncs().await - before;
        assert!(syncs < 700, "{syncs} syncs for 1000 batches");
    });
}

#[test]
fn what_was_answered_survives_a_kill() {
    let mut server = Server::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (mut round, mut answered) = (0, Vec::new());
    while round < 3 {
        let acknowledged = runtime.block_on(async {
            let mut client = with_namespace(&server).await;
            let (batches, mut answers) = client.stream(64).await.expect("begun");
            let sender = tokio::spawn(async move {
                for number in 0.. {
                    let key = |part: &str| format!("{round}-{number}-{part}");
                    let operations = [put(key("a"), number.to_string()), put(key("b"), number.to_string())];
                    if batches.send(batch(operations)).await.is_err() {
                        return;
                    }
                }
            });
            let mut acknowledged = 0_u32;
            while acknowledged < 200 {
                let answer = answers.next().await.expect("a stream").expect("an answer");
                assert!(matches!(answer.outcome, Some(Outcome::Applied(_))), "{answer:?}");
                acknowledged += 1;
            }
            sender.abort();
            acknowledged
        });
        server.kill_and_start();
        answered.push(acknowledged);
        runtime.block_on(async {
            let mut client = server.client().await;
            for (round, &acknowledged) in answered.iter().enumerate() {
                let keys = (0..acknowledged).flat_map(|number| ["a", "b"].map(|part| (number, part)));
                let gets = keys
                    .clone()
                    .map(|(number, part)| get(format!("{round}-{number}-{part}")));
                let found = done(&mut client, gets).await;
                for ((number, part), result) in keys.zip(&found.results) {
                    let expected = number.to_string();
                    assert_eq!(
                        result.value.as_deref(),
                        Some(expected.as_bytes()),
                        "{round}-{number}-{part}"
                    );
                }
            }
            // A batch that was not answered is there whole, or not at all.
            let sql = server.sql().await;
            let halves = "SELECT count(*) FROM (SELECT left(encode(key, 'hex'), -4) AS name, count(*) AS parts \
                          FROM kv.n GROUP BY 1) AS batches WHERE parts <> 2";
            let halves: i64 = sql.query_one(halves, &[]).await.expect("counted").get(0);
            assert_eq!(halves, 0);
        });
        round += 1;
    }
}
