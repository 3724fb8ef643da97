//! The table: each template's median without indexes, with those of a good DBA, and on DuckDB, on the same parameters.
//!
//! Every arm runs a template once to warm up and then once for each set of parameters. Answers are compared row by row, in order;
//! through the hnsw index a nearer row may be missed, so of those templates the recall is shown. Times are by each engine's own
//! clock, from the parameters to the last Arrow batch; Aion's statements are prepared once, DuckDB's Python package prepares each time.

use std::time::Instant;

use aion_base::{Error, Result};
use aion_bench::duckdb::{Answer, DuckDb, python};
use aion_bench::embedded::Embedded;
use aion_bench::flights::{LoadTable, expert_statements, load_duckdb, texts, values};
use aion_bench::report;
use aion_datasets::flights::{FlightsArchive, Kind, Query, TEMPLATES, Template, Workload};
use aion_shadow::answer;
use serde_json::Value;

use super::Start;
use super::evidence::Evidence;
use crate::screen::{Screen, count};

/// One template in one arm.
type Answers = Vec<Answer>;

/// What is compared: each template with its sets of parameters.
#[derive(Debug)]
pub struct Comparison {
    /// Sets of parameters for each template.
    draws: usize,
    queries: Vec<(&'static Template, Vec<Query>)>,
}

impl Comparison {
    /// Draws the parameters.
    pub fn draw(archive: &FlightsArchive, seed: u64, draws: usize) -> Result<Self> {
        let mut workload = Workload::new(seed, archive)?;
        let mut queries = Vec::new();
        for template in TEMPLATES {
            let drawn = (0..draws).map(|_| workload.draw(template.name));
            let drawn: Option<Vec<Query>> = drawn.collect();
            queries.push((
                template,
                drawn.ok_or_else(|| Error::internal("a template is in its own list"))?,
            ));
        }
        Ok(Self { draws, queries })
    }

    /// Runs all templates on Aion.
    pub fn run(
        &self,
        screen: &Screen,
        aion: &mut Embedded<'_>,
        arm: &str,
        evidence: &mut Evidence,
    ) -> Result<Vec<Answers>> {
        let bar = screen.bar(arm, (TEMPLATES.len() * self.draws) as u64);
        let mut all = Vec::new();
        for (template, queries) in &self.queries {
            let named = |error: Error| {
                let message = format!("{}: {}", template.name, error.message());
                Error::new(error.kind(), error.state(), message)
            };
            let prepared = aion.prepare(template.sql).map_err(named)?;
            let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) {}", template.sql);
            let explain = aion.prepare(&explain).map_err(named)?;
            let first = texts(&queries[0]);
            // The warm-up, and the plan.
            let plan = aion.run(&explain, &first).map_err(named)?;
            let plan = plan.rows.into_iter().next().and_then(|mut row| row.pop().flatten());
            evidence.plan(template.name, arm, &plan.unwrap_or_default())?;
            let mut answers = Vec::new();
            for query in queries {
                let answer = aion.run(&prepared, &texts(query)).map_err(named)?;
                evidence.sample(query, arm, &answer)?;
                answers.push(answer);
                bar.inc(1);
            }
            all.push(answers);
        }
        bar.finish_and_clear();
        Ok(all)
    }

    /// Runs all templates on DuckDB, with the same data.
    pub fn run_duckdb(&self, screen: &Screen, duckdb: &mut DuckDb, evidence: &mut Evidence) -> Result<Vec<Answers>> {
        let bar = screen.bar("duckdb", (TEMPLATES.len() * self.draws) as u64);
        let mut all = Vec::new();
        for (template, queries) in &self.queries {
            duckdb.run(template.duckdb_sql, &values(&queries[0]))?;
            let mut answers = Vec::new();
            for query in queries {
                let answer = duckdb.run(template.duckdb_sql, &values(query))?;
                evidence.sample(query, "duckdb", &answer)?;
                answers.push(answer);
                bar.inc(1);
            }
            all.push(answers);
        }
        bar.finish_and_clear();
        Ok(all)
    }
}

/// DuckDB with the tables loaded; None, and a line that says why, where it is not there.
pub fn duckdb(screen: &Screen, tables: &[LoadTable], threads: usize) -> Result<Option<DuckDb>> {
    let start = Instant::now();
    let started = python().and_then(|python| DuckDb::start(&python, threads));
    let mut peer = match started {
        Ok(peer) => peer,
        Err(error) => {
            let hint = error.hint().unwrap_or_default().to_owned();
            screen.line(format_args!("  DuckDB is left out: {} {hint}", error.message()))?;
            return Ok(None);
        }
    };
    load_duckdb(&mut peer, tables)?;
    screen.line(format_args!(
        "  DuckDB {}, in memory, {threads} threads, loaded from the same files in {:.2} s",
        peer.version(),
        start.elapsed().as_secs_f64()
    ))?;
    Ok(Some(peer))
}

/// Makes the indexes of a good DBA, one by one, with their times.
pub fn expert_indexes(screen: &Screen, aion: &mut Embedded<'_>) -> Result<()> {
    let mut times = Vec::new();
    for statement in expert_statements() {
        let start = Instant::now();
        aion.script(&statement)?;
        let name = statement.split_whitespace().nth(2).unwrap_or_default();
        times.push(format!("{name} {:.1} s", start.elapsed().as_secs_f64()));
    }
    let start = Instant::now();
    aion.script("ANALYZE")?;
    times.push(format!("ANALYZE {:.1} s", start.elapsed().as_secs_f64()));
    screen.line(format_args!(
        "  indexes of datasets/flights/expert.sql: {}",
        times.join(", ")
    ))
}

/// Shows the medians side by side, and says whether all exact answers are equal.
pub fn show(
    screen: &Screen,
    comparison: &Comparison,
    before: &[Answers],
    by_hand: &[Answers],
    duckdb: Option<&[Answers]>,
    start: Start,
    plans: &std::path::Path,
) -> Result<bool> {
    let mut lines = vec![
        [
            "template",
            "before ms",
            "by_hand ms",
            "duckdb ms",
            "ratio",
            "rows",
            "equal",
            "plan: expected/actual rows",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let draws = comparison.draws;
    let mut all_equal = true;
    let mut lost = Vec::new();
    for (at, (template, _)) in comparison.queries.iter().enumerate() {
        let peer = duckdb.map(|peer| &peer[at]);
        let wanted = peer.unwrap_or(&before[at]);
        let is_approximate = matches!(template.kind, Kind::Vector | Kind::Hybrid);
        let found = [&before[at], &by_hand[at]].map(|arm| equal_count(arm, wanted));
        // An arm with the hnsw index may miss rows.
        let may_miss = [is_approximate && start == Start::Expert, is_approximate];
        all_equal &= found
            .iter()
            .zip(may_miss)
            .all(|(&equal, may_miss)| may_miss || equal == draws);
        let equal = match is_approximate && found[1] < draws {
            true => format!("recall {:.3}", recall(&by_hand[at], wanted)),
            false => format!("{}/{draws}", found[0].min(found[1])),
        };
        let (ours, theirs) = (median(&by_hand[at]), peer.map(median));
        let ratio = theirs.map(|theirs| theirs / ours);
        if ratio.is_some_and(|ratio| ratio < 1.0) {
            lost.push(template.name);
        }
        let rows: usize = by_hand[at].iter().map(|answer| answer.rows.len()).sum();
        lines.push(vec![
            template.name.to_owned(),
            format!("{:.2}", median(&before[at])),
            format!("{ours:.2}"),
            theirs.map_or_else(|| "-".to_owned(), |theirs| format!("{theirs:.2}")),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            count(rows as u64),
            equal,
            estimates(&plans.join(format!("{}.by_hand.json", template.name))),
        ]);
    }
    screen.table(&lines)?;
    screen.line(format_args!(
        "  medians of {draws} sets of parameters; ratio: duckdb over by_hand, above 1 we are faster; rows: of all sets"
    ))?;
    if !lost.is_empty() {
        screen.line(format_args!("  slower than DuckDB: {}", lost.join(", ")))?;
    }
    if !all_equal {
        screen.line("  DIFFERENT: answers that should be equal are not; see result_hash in samples.csv")?;
    }
    Ok(all_equal)
}

fn equal_count(one: &Answers, two: &Answers) -> usize {
    let pairs = one.iter().zip(two);
    pairs
        .filter(|(one, two)| answer::are_equal(&one.rows, &two.rows))
        .count()
}

fn recall(found: &Answers, wanted: &Answers) -> f64 {
    let total: usize = wanted.iter().map(|answer| answer.rows.len()).sum();
    let pairs = found.iter().zip(wanted);
    let there: usize = pairs
        .map(|(found, wanted)| answer::found_of(&found.rows, &wanted.rows))
        .sum();
    there as f64 / total.max(1) as f64
}

fn median(answers: &Answers) -> f64 {
    let times: Vec<f64> = answers.iter().map(|answer| answer.ms).collect();
    report::median(&times)
}

/// The operators of a plan whose estimate is known and farthest from the truth, at most two.
fn estimates(path: &std::path::Path) -> String {
    let plan: Option<Value> = std::fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut found = Vec::new();
    if let Some(plan) = &plan {
        gather(&plan[0]["Plan"], &mut found);
    }
    found.sort_by(|one: &(f64, String), two| two.0.total_cmp(&one.0));
    found.truncate(2);
    found.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

fn gather(node: &Value, found: &mut Vec<(f64, String)>) {
    let rows = (node["Plan Rows"].as_f64(), node["Actual Rows"].as_f64());
    if let (Some(expected), Some(actual)) = rows {
        let error = (expected.max(1.0) / actual.max(1.0)).max(actual.max(1.0) / expected.max(1.0));
        let name = node["Relation Name"]
            .as_str()
            .or(node["Node Type"].as_str())
            .unwrap_or("?");
        found.push((error, format!("{name} {expected:.0}/{actual:.0}")));
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        gather(child, found);
    }
}
