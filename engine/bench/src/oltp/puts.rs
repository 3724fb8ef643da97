//! Durable puts of keys and values over gRPC, on our server alone: what they cost, and whether they are all there.
//!
//! Each connection has one stream, on which it keeps so many batches on their way; a batch is one transaction, durable when it is
//! answered. The time of a batch runs from the moment that the client hands it over until its answer is read. All keys are different,
//! and in no order. Client and server share the machine.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use aion_base::rng::SeededRng;
use aion_base::{Error, Result};
use aion_server::kv::proto::{Batch, Get, Operation, Outcome, Put, Refused, What};
use aion_server::kv::{Answers, Client};
use aion_workload::histogram::Histogram;
use tokio::sync::mpsc::Sender;

use super::{Row, Run};
use crate::client::Client as SqlClient;
use crate::report::{Arm, Line, Report, Unit, count};
use crate::served::Served;

const CONNECTIONS: u64 = 8;
const VALUE_BYTES: usize = 100;
/// Keys that are read back after each run.
const SAMPLE: usize = 1_000;

/// How puts are sent.
struct Shape {
    /// Puts of a batch.
    batch: u64,
    /// Batches of a connection on their way.
    depth: usize,
}

/// As many puts on their way in each.
const SHAPES: [Shape; 3] = [
    Shape { batch: 8, depth: 4 },
    Shape { batch: 16, depth: 2 },
    Shape { batch: 32, depth: 1 },
];

/// What one run found.
#[derive(Default)]
struct Ran {
    puts: u64,
    times: Histogram,
}

/// Puts a second, for each shape.
///
/// # Errors
/// When the server does not start, or refuses a batch.
pub fn measure(aion: &std::path::Path, run: &mut Run<'_>) -> Result<Report> {
    (run.progress)("kv-puts: starting Aion");
    let served = Served::start_with_flight(aion, &run.folder.join("kv"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::io("start a runtime", error))?;
    let address = format!("127.0.0.1:{}", served.flight_port()?);
    let mut rates: Vec<Vec<f64>> = SHAPES.iter().map(|_| Vec::new()).collect();
    let mut times: Vec<Histogram> = SHAPES.iter().map(|_| Histogram::default()).collect();
    let mut wrong = Vec::new();
    let mut rng = SeededRng::new(run.options.seed);
    for round in 1..=run.options.rounds {
        for (at, shape) in SHAPES.iter().enumerate() {
            (run.progress)(&format!(
                "kv-puts, round {round} of {}: {} puts a batch",
                run.options.rounds, shape.batch
            ));
            let namespace = format!("puts_{round}_{}", shape.batch);
            let seed = rng.next_u64();
            let begin = Instant::now();
            let ran = runtime.block_on(put_for(&address, &namespace, shape, seed, run.options.duration))?;
            rates[at].push(ran.puts as f64 / begin.elapsed().as_secs_f64());
            times[at].merge(&ran.times);
            wrong.extend(check(&served, &namespace, ran.puts)?);
            wrong.extend(runtime.block_on(check_sample(&address, &namespace, shape, seed, ran.puts))?);
        }
    }
    let is_equal = wrong.is_empty();
    let mut notes: Vec<String> = SHAPES
        .iter()
        .zip(&times)
        .map(|(shape, times)| told(shape, times))
        .collect();
    notes.extend(wrong);
    if is_equal {
        notes.push(format!(
            "Checked: after each run, SQL counts as many rows as puts were answered, and {} keys have their values.",
            count(SAMPLE as u64)
        ));
    }
    let lines = SHAPES.iter().zip(rates).map(|(shape, runs)| Line {
        what: format!(
            "puts, {} a batch, {} on their way on each stream",
            shape.batch, shape.depth
        ),
        ours: Arm {
            name: "Aion".to_owned(),
            runs,
        },
        peers: Vec::new(),
    });
    Ok(Report {
        work: Row::KvPuts.section(),
        about: format!(
            "Puts of {VALUE_BYTES} bytes under new keys over gRPC, {CONNECTIONS} connections with a stream each, for {} s; a batch is a transaction, and \
             durable (fsync) when it is answered.",
            run.options.duration.as_secs()
        ),
        unit: Unit::PerSecond,
        lines: lines.collect(),
        notes,
        is_equal,
    })
}

fn told(shape: &Shape, times: &Histogram) -> String {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    format!(
        "A batch of {}: mean {:.2} ms, 50 % within {:.2} ms, 99 % within {:.2} ms, the longest {:.1} ms.",
        shape.batch,
        millis(times.mean()),
        millis(times.quantile(50)),
        millis(times.quantile(99)),
        millis(times.longest())
    )
}

/// Makes the namespace and puts on all connections.
async fn put_for(address: &str, namespace: &str, shape: &Shape, seed: u64, duration: Duration) -> Result<Ran> {
    let mut client = Client::connect(address).await?;
    client.create_namespace(namespace).await.map_err(refused)?;
    let deadline = Instant::now() + duration;
    let mut writers = Vec::new();
    for number in 0..CONNECTIONS {
        let mut client = Client::connect(address).await?;
        let (batches, answers) = client.stream(shape.depth).await.map_err(refused)?;
        let writer = Writer {
            keys: Keys { seed, number, next: 0 },
            namespace: namespace.to_owned(),
            batch: shape.batch,
            depth: shape.depth,
            batches,
            answers,
        };
        writers.push(tokio::spawn(writer.run(deadline)));
    }
    let mut all = Ran::default();
    for writer in writers {
        let ran = writer
            .await
            .map_err(|error| Error::internal(format!("a connection's task failed: {error}")))??;
        all.puts += ran.puts;
        all.times.merge(&ran.times);
    }
    Ok(all)
}

/// One connection.
struct Writer {
    keys: Keys,
    namespace: String,
    batch: u64,
    depth: usize,
    batches: Sender<Batch>,
    answers: Answers,
}

impl Writer {
    async fn run(mut self, deadline: Instant) -> Result<Ran> {
        let mut ran = Ran::default();
        let mut sent: VecDeque<Instant> = VecDeque::with_capacity(self.depth);
        loop {
            while sent.len() < self.depth && Instant::now() < deadline {
                let batch = self.batch();
                sent.push_back(Instant::now());
                let is_sent = self.batches.send(batch).await;
                is_sent.map_err(|_| Error::internal("the stream broke"))?;
            }
            let Some(begun) = sent.pop_front() else {
                return Ok(ran);
            };
            let answer = self.answers.next().await.map_err(refused)?;
            ran.times.record(begun.elapsed());
            match answer.and_then(|answer| answer.outcome) {
                Some(Outcome::Applied(applied)) if applied.results.len() as u64 == self.batch => {
                    ran.puts += self.batch;
                }
                Some(Outcome::Refused(error)) => return Err(refused(error)),
                other => return Err(Error::internal(format!("a batch was answered with {other:?}"))),
            }
        }
    }

    fn batch(&mut self) -> Batch {
        let keys = self.keys.by_ref();
        let puts = keys.take(usize::try_from(self.batch).unwrap_or(usize::MAX));
        let operations = puts.map(|key| Operation {
            namespace: String::new(),
            what: Some(What::Put(Put {
                value: value(&key).into(),
            })),
            key: key.into(),
        });
        Batch {
            operations: operations.collect(),
            namespace: self.namespace.clone(),
            after_timestamp: 0,
            timeout_ms: 0,
        }
    }
}

/// The keys of one connection, each once.
#[derive(Clone, Copy)]
struct Keys {
    seed: u64,
    number: u64,
    next: u64,
}

impl Keys {
    /// The one at a place.
    fn at(self, place: u64) -> Vec<u8> {
        let number = place * CONNECTIONS + self.number;
        format!("key-{:016x}", mixed(number ^ self.seed)).into_bytes()
    }
}

impl Iterator for Keys {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.next += 1;
        Some(self.at(self.next - 1))
    }
}

/// Another number for each number (the finalizer of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The value that a key gets.
fn value(key: &[u8]) -> Vec<u8> {
    key.iter().rev().copied().cycle().take(VALUE_BYTES).collect()
}

/// What SQL counts.
fn check(served: &Served, namespace: &str, puts: u64) -> Result<Option<String>> {
    let mut client = SqlClient::connect(served.port(), "aion")?;
    let found = client.query(&format!("SELECT count(*) FROM kv.{namespace}"))?;
    let expected = [[Some(puts.to_string())]];
    Ok((found != expected).then(|| format!("WRONG: {puts} puts were answered, and {found:?} rows are there.")))
}

/// Some keys, read back. Each connection put nearly as many, so those of the first half are surely there.
async fn check_sample(address: &str, namespace: &str, shape: &Shape, seed: u64, puts: u64) -> Result<Option<String>> {
    let mut client = Client::connect(address).await?;
    let mut rng = SeededRng::new(seed);
    let of_one = (puts / CONNECTIONS / 2).max(shape.batch);
    let keys = (0..SAMPLE).map(|at| {
        let of = Keys {
            seed,
            number: at as u64 % CONNECTIONS,
            next: 0,
        };
        of.at(rng.below(of_one))
    });
    let keys: Vec<Vec<u8>> = keys.collect();
    let operations = keys.iter().map(|key| Operation {
        namespace: String::new(),
        key: key.clone().into(),
        what: Some(What::Get(Get {})),
    });
    let batch = Batch {
        operations: operations.collect(),
        namespace: namespace.to_owned(),
        ..Batch::default()
    };
    let found = client.apply(batch).await.map_err(refused)?;
    let missing = keys.iter().zip(&found.results);
    let missing = missing.filter(|(key, result)| result.value.as_deref() != Some(&value(key)));
    Ok(match missing.count() {
        0 => None,
        missing => Some(format!("WRONG: {missing} of {SAMPLE} keys do not have their values.")),
    })
}

fn refused(refused: impl Borrow<Refused>) -> Error {
    let refused = refused.borrow();
    Error::internal(format!("the server answered {}: {}", refused.sqlstate, refused.message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_all_different_and_come_again() {
        let mut seen = BTreeSet::new();
        for number in 0..CONNECTIONS {
            let keys = Keys {
                seed: 5,
                number,
                next: 0,
            };
            for (at, key) in keys.take(1_000).enumerate() {
                assert_eq!(key, keys.at(at as u64));
                assert_eq!(value(&key).len(), VALUE_BYTES);
                assert!(seen.insert(key));
            }
        }
    }
}
