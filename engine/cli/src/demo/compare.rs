//! The table: each template's median without indexes, with those of a good DBA, and on DuckDB, on the same parameters.
//!
//! Every arm runs a template once to warm up and then once for each set of parameters; the arms of Aion take turns with the same
//! parameters, the first one first and then the last one first, so that a drift of the machine weighs on all. Answers are compared row by row, in order;
//! through the hnsw index a nearer row may be missed, so of those templates the recall is shown. Times are by each engine's own
//! clock, from the parameters to the last Arrow batch; Aion's statements are prepared once, DuckDB's Python package prepares each time.

use std::collections::BTreeMap;
use std::time::Instant;

use aion_base::{Error, Result};
use aion_bench::duckdb::{Answer, DuckDb, python};
use aion_bench::embedded::Embedded;
use aion_bench::flights::{LoadTable, expert_statements, load_duckdb, texts, values};
use aion_bench::report;
use aion_datasets::flights::{FlightsArchive, Kind, Query, TEMPLATES, Template, Workload};
use aion_db::Database;
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

    /// Runs all templates as an application would, so that they are observed; how often something ran.
    pub fn observe(&self, screen: &Screen, aion: &mut Embedded<'_>) -> Result<usize> {
        let bar = screen.bar("workload", (TEMPLATES.len() * self.draws) as u64);
        let mut ran = 0;
        for (template, queries) in &self.queries {
            let prepared = aion.prepare(template.sql)?;
            for query in queries {
                aion.run(&prepared, &texts(query))?;
                ran += 1;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(ran)
    }

    /// Runs all templates on Aion under each arm, in turns.
    pub fn run(
        &self,
        screen: &Screen,
        arms: &mut [(&'static str, Embedded<'_>)],
        evidence: &mut Evidence,
    ) -> Result<Vec<Vec<Answers>>> {
        let bar = screen.bar("arms", (TEMPLATES.len() * self.draws * arms.len()) as u64);
        let mut all: Vec<Vec<Answers>> = arms.iter().map(|_| Vec::new()).collect();
        for (template, queries) in &self.queries {
            let named = |error: Error| {
                let message = format!("{}: {}", template.name, error.message());
                Error::new(error.kind(), error.state(), message)
            };
            let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) {}", template.sql);
            let first = texts(&queries[0]);
            let mut prepared = Vec::new();
            for (arm, aion) in arms.iter_mut() {
                prepared.push(aion.prepare(template.sql).map_err(named)?);
                // The warm-up, and the plan.
                let explain = aion.prepare(&explain).map_err(named)?;
                let plan = aion.run(&explain, &first).map_err(named)?;
                let plan = plan.rows.into_iter().next().and_then(|mut row| row.pop().flatten());
                evidence.plan(template.name, arm, &plan.unwrap_or_default())?;
            }
            all.iter_mut().for_each(|answers| answers.push(Vec::new()));
            for (at, query) in queries.iter().enumerate() {
                let parameters = texts(query);
                let mut order: Vec<usize> = (0..arms.len()).collect();
                if !at.is_multiple_of(2) {
                    order.reverse();
                }
                for arm in order {
                    let (name, aion) = &mut arms[arm];
                    let answer = aion.run(&prepared[arm], &parameters).map_err(named)?;
                    evidence.sample(query, name, &answer)?;
                    all[arm].last_mut().expect("pushed above").push(answer);
                    bar.inc(1);
                }
            }
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

/// Takes the DBA's indexes away again: they were there to be compared with.
pub fn drop_expert_indexes(aion: &mut Embedded<'_>) -> Result<()> {
    for statement in expert_statements() {
        let name = statement.split_whitespace().nth(2).unwrap_or_default();
        aion.script(&format!("DROP INDEX {name}"))?;
    }
    Ok(())
}

/// The arms of the comparison: the same statements with the same parameters on the same rows, with other indexes.
#[derive(Debug)]
pub struct Arms<'a> {
    comparison: &'a Comparison,
    start: Start,
    before: Vec<Answers>,
    /// None where nothing was promoted.
    after: Option<Vec<Answers>>,
    by_hand: Vec<Answers>,
    /// None where it is not there.
    pub duckdb: Option<Vec<Answers>>,
}

impl<'a> Arms<'a> {
    /// Nothing is measured yet.
    pub fn new(comparison: &'a Comparison, start: Start) -> Self {
        Self {
            comparison,
            start,
            before: Vec::new(),
            after: None,
            by_hand: Vec::new(),
            duckdb: None,
        }
    }

    /// Runs the arms of Aion. What an arm has not is hidden from its session; `promoted` are the indexes that were recommended. Nothing
    /// of it is observed.
    pub fn measure(
        &mut self,
        screen: &Screen,
        database: &Database,
        promoted: &[String],
        evidence: &mut Evidence,
    ) -> Result<()> {
        let expert: Vec<String> = expert_statements()
            .iter()
            .filter_map(|statement| statement.split_whitespace().nth(2).map(str::to_owned))
            .collect();
        let arm = |name: &'static str, hidden: &[&[String]], is_exact: bool| {
            let mut aion = Embedded::new(database);
            let names = hidden.concat().join(",");
            let exact = if is_exact { "on" } else { "off" };
            aion.script(&format!(
                "SET aion.ai_mode = 'off'; SET aion.hidden_indexes = '{names}'; SET hnsw.exact = {exact}"
            ))?;
            Ok::<_, Error>((name, aion))
        };
        let has_expert = self.start == Start::Expert;
        let of_start: &[String] = if has_expert { &[] } else { &expert };
        let mut arms = vec![arm("before", &[promoted, of_start], !has_expert)?];
        if !promoted.is_empty() {
            arms.push(arm("after", &[of_start], !has_expert)?);
        }
        arms.push(arm("by_hand", &[promoted], false)?);
        let mut answers = self.comparison.run(screen, &mut arms, evidence)?;
        self.by_hand = answers.pop().unwrap_or_default();
        self.after = (answers.len() > 1).then(|| answers.pop()).flatten();
        self.before = answers.pop().unwrap_or_default();
        Ok(())
    }

    /// Shows the medians side by side; whether all exact answers are equal, and the templates that are slower than by hand or than
    /// DuckDB.
    pub fn show(
        &self,
        screen: &Screen,
        plans: &std::path::Path,
    ) -> Result<(bool, BTreeMap<&'static str, Vec<String>>)> {
        let head = [
            "template",
            "before ms",
            "after ms",
            "by_hand ms",
            "duckdb ms",
            "ratio",
            "rows",
            "equal",
            "plan: expected/actual rows",
        ];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        let draws = self.comparison.draws;
        let mut all_equal = true;
        let mut slower: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        slower.entry("DuckDB").or_default();
        slower.entry("before").or_default();
        slower.entry("by hand").or_default();
        // Of the templates whose answers are exact: an index that may miss rows is nobody's to recommend.
        let (mut before_sum, mut after_sum, mut by_hand_sum) = (0.0, 0.0, 0.0);
        for (at, (template, _)) in self.comparison.queries.iter().enumerate() {
            let before = &self.before[at];
            let by_hand = &self.by_hand[at];
            let after = self.after.as_ref().map(|after| &after[at]);
            let peer = self.duckdb.as_ref().map(|peer| &peer[at]);
            let wanted = peer.unwrap_or(before);
            let is_approximate = matches!(template.kind, Kind::Vector | Kind::Hybrid);
            let has_expert = self.start == Start::Expert;
            // An arm with the hnsw index may miss rows.
            let ours = [(Some(before), has_expert), (after, has_expert), (Some(by_hand), true)];
            let mut fewest = draws;
            for (answers, has_graph) in ours {
                let Some(answers) = answers else { continue };
                let equal = equal_count(answers, wanted);
                if is_approximate && has_graph {
                    continue;
                }
                fewest = fewest.min(equal);
                all_equal &= equal == draws;
            }
            let of_graph = equal_count(by_hand, wanted);
            let equal = match is_approximate && of_graph < draws {
                true => format!("recall {:.3}", recall(by_hand, wanted)),
                false => format!("{fewest}/{draws}"),
            };
            let (was, hand) = (median(before), median(by_hand));
            let now = after.map(median);
            let theirs = peer.map(median);
            let best = now.map_or(hand, |now| now.min(hand));
            if theirs.is_some_and(|theirs| theirs < best) {
                slower.entry("DuckDB").or_default().push(template.name.to_owned());
            }
            if let Some(now) = now {
                if now > was * 1.1 {
                    slower
                        .entry("before")
                        .or_default()
                        .push(format!("{} {:.2}x", template.name, now / was));
                }
                if now > hand * 1.1 {
                    slower
                        .entry("by hand")
                        .or_default()
                        .push(format!("{} {:.2}x", template.name, now / hand));
                }
            }
            if !is_approximate {
                before_sum += was;
                after_sum += now.unwrap_or(was);
                by_hand_sum += hand;
            }
            let rows: usize = by_hand.iter().map(|answer| answer.rows.len()).sum();
            let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"));
            lines.push(vec![
                template.name.to_owned(),
                ms(Some(was)),
                ms(now),
                ms(Some(hand)),
                ms(theirs),
                theirs.map_or_else(|| "-".to_owned(), |theirs| format!("{:.2}", theirs / best)),
                count(rows as u64),
                equal,
                estimates(&plans.join(format!("{}.by_hand.json", template.name))),
            ]);
        }
        screen.table(&lines)?;
        screen.line(format_args!(
            "  medians of {draws} sets of parameters; ratio: duckdb over the better of after and by_hand, above 1 we are faster; rows: of all sets"
        ))?;
        if self.after.is_some() {
            // Where the workload begins with the DBA's indexes, what they gain is noise.
            let gain = match self.start {
                Start::None => {
                    let share = (before_sum - after_sum) / (before_sum - by_hand_sum);
                    format!("{:.0} % of the gain by hand", share * 100.0)
                }
                Start::Expert => format!("{:.0} % less", (1.0 - after_sum / before_sum) * 100.0),
            };
            screen.line(format_args!(
                "  the exact templates together: before {before_sum:.1} ms, after {after_sum:.1} ms, by hand {by_hand_sum:.1} ms: {gain}"
            ))?;
        }
        if !all_equal {
            screen.line("  DIFFERENT: answers that should be equal are not; see result_hash in samples.csv")?;
        }
        Ok((all_equal, slower))
    }
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
