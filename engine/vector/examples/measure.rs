//! How long an index takes to build and to search, how much it finds, and what it weighs.
//!
//! ```text
//! cargo run --release -p aion-vector --example measure -- [name=value ...]
//!     rows=325000 dimensions=12 threads=2 m=16 ef_construction=64 queries=500 noise=0.05 seed=1
//!     metric=l2|cosine|ip
//! ```
//!
//! The vectors are clustered: a centre for each hundred rows, and noise around it. The queries are rows with
//! noise: 0.05 stays within the cluster, 1 goes anywhere and is harder. Recall is the part of the true ten nearest that a
//! search finds. The defaults of `HnswOptions` are chosen by this.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::files::OsFiles;
use aion_base::id::LogIndex;
use aion_base::rng::SeededRng;
use aion_vector::{Hit, HnswOptions, Metric, VectorIndex};

const COUNT: usize = 10;
const AT: LogIndex = LogIndex(1);

struct Arguments {
    rows: usize,
    dimensions: usize,
    queries: usize,
    noise: f32,
    seed: u64,
    metric: Metric,
    options: HnswOptions,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let Arguments {
        rows,
        dimensions,
        queries,
        metric,
        options,
        ..
    } = arguments;
    let mut out = stdout().lock();
    let mut rng = SeededRng::new(arguments.seed);
    let vectors = clustered(&mut rng, rows, dimensions);
    let queries: Vec<Vec<f32>> = (0..queries)
        .map(|_| {
            let row = &vectors[rng.below(rows as u64) as usize];
            row.iter().map(|x| x + arguments.noise * noise(&mut rng)).collect()
        })
        .collect();
    writeln!(
        out,
        "{rows} vectors of {dimensions} dimensions, {metric:?}, {options:?}"
    )?;

    let index = VectorIndex::new(dimensions, metric, options)?;
    let clock = SystemClock::default();
    let keyed = vectors
        .iter()
        .enumerate()
        .map(|(row, vector)| Ok((row.to_be_bytes(), vector)));
    let (built, took) = timed(&clock, || index.load(keyed, AT, |_| Ok(())));
    built?;
    index.advance(AT);
    let stats = index.stats();
    writeln!(
        out,
        "build {:.1} s, {:.0} us per row and thread; {} bytes, {} per row",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 * options.threads as f64 / rows as f64,
        stats.memory_bytes,
        stats.memory_bytes / rows,
    )?;

    let mut exact = Vec::new();
    let (answered, took) = timed(&clock, || -> aion_base::Result<()> {
        for query in &queries {
            exact.push(index.nearest_exact(query, COUNT, AT)?);
        }
        Ok(())
    });
    answered?;
    writeln!(
        out,
        "scan                {:>8.0} us",
        micros(took) / queries.len() as f64
    )?;
    for expansion in [16, 32, 40, 64, 100, 200, 400, 1000] {
        let (mut found, mut slowest) = (0, 0.0f64);
        let (answered, took) = timed(&clock, || -> aion_base::Result<()> {
            for (query, exact) in queries.iter().zip(&exact) {
                let (hits, took) = timed(&clock, || index.nearest_with(query, COUNT, AT, expansion));
                slowest = slowest.max(micros(took));
                found += common(&hits?, exact);
            }
            Ok(())
        });
        answered?;
        let mean = micros(took) / queries.len() as f64;
        let recall = found as f64 / (queries.len() * COUNT) as f64;
        writeln!(
            out,
            "expansion {expansion:>4}      {mean:>8.0} us, slowest {slowest:.0}; recall@10 {recall:.4}"
        )?;
    }

    let path = std::env::temp_dir().join(format!("aion-measure-{}", std::process::id()));
    let (saved, took) = timed(&clock, || index.save(&OsFiles, &path));
    saved?;
    writeln!(out, "save                {:>8.2} s", took.as_secs_f64())?;
    drop(index);
    let (restored, took) = timed(&clock, || {
        VectorIndex::restore(&OsFiles, &path, dimensions, metric, options)
    });
    aion_base::files::Files::remove(&OsFiles, &path)?;
    writeln!(out, "restore             {:>8.2} s", took.as_secs_f64())?;
    let index = restored?;

    let changes = 2_000.min(rows);
    let (changed, took) = timed(&clock, || -> aion_base::Result<()> {
        for (row, old) in vectors.iter().enumerate().take(changes) {
            let vector: Vec<f32> = old.iter().map(|x| x + 0.01 * noise(&mut rng)).collect();
            index.put(&row.to_be_bytes(), &vector, AT.next())?;
        }
        Ok(())
    });
    changed?;
    writeln!(out, "put, one at a time  {:>8.0} us", micros(took) / changes as f64)?;
    Ok(())
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments {
        rows: 325_000,
        dimensions: 12,
        queries: 500,
        noise: 0.05,
        seed: 1,
        metric: Metric::L2,
        options: HnswOptions::default(),
    };
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or("arguments are name=value")?;
        match name {
            "rows" => arguments.rows = value.parse()?,
            "dimensions" => arguments.dimensions = value.parse()?,
            "queries" => arguments.queries = value.parse()?,
            "noise" => arguments.noise = value.parse()?,
            "seed" => arguments.seed = value.parse()?,
            "threads" => arguments.options.threads = value.parse()?,
            "m" => arguments.options.connectivity = value.parse()?,
            "ef_construction" => arguments.options.expansion_add = value.parse()?,
            "metric" => {
                arguments.metric = match value {
                    "l2" => Metric::L2,
                    "cosine" => Metric::Cosine,
                    "ip" => Metric::InnerProduct,
                    _ => return Err("metric is l2, cosine or ip".into()),
                }
            }
            _ => return Err(format!("there is no argument {name}").into()),
        }
    }
    if arguments.rows == 0 || arguments.queries == 0 {
        return Err("rows and queries are at least 1".into());
    }
    Ok(arguments)
}

fn clustered(rng: &mut SeededRng, rows: usize, dimensions: usize) -> Vec<Vec<f32>> {
    let centres: Vec<Vec<f32>> = (0..rows.div_ceil(100))
        .map(|_| (0..dimensions).map(|_| noise(rng)).collect())
        .collect();
    (0..rows)
        .map(|_| {
            let centre = &centres[rng.below(centres.len() as u64) as usize];
            centre.iter().map(|x| x + 0.2 * noise(rng)).collect()
        })
        .collect()
}

/// Nearly normal: the sum of four even numbers, with variance 1.
fn noise(rng: &mut SeededRng) -> f32 {
    let even = |rng: &mut SeededRng| (rng.next_u64() >> 40) as f32 / (1 << 24) as f32 - 0.5;
    (even(rng) + even(rng) + even(rng) + even(rng)) * 3.0f32.sqrt()
}

fn common(hits: &[Hit], exact: &[Hit]) -> usize {
    hits.iter()
        .filter(|hit| exact.iter().any(|other| other.key == hit.key))
        .count()
}

fn timed<T>(clock: &SystemClock, work: impl FnOnce() -> T) -> (T, Duration) {
    let start = clock.monotonic();
    let result = work();
    (result, clock.monotonic() - start)
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}
