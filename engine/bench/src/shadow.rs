//! What the learned parts cost while they serve in shadow.
//!
//! 1. The flights are loaded, with the expert's indexes but the vector one: the faster the statements are, the more an addition weighs.
//! 2. The workload runs once and is observed; a model is trained of it, and predicts in shadow from then on.
//! 3. In rounds, the workload runs in a session with `aion.ai_mode = 'off'` and in one that is observed, the session that goes first
//!    alternating. What a statement is planned in, what it takes, and the process's time on the processors are measured for each.
//! 4. Answers are compared. In the end the database is closed, and what it keeps of what was learnt is measured on disk.

use std::path::Path;
use std::time::Instant;

use aion_base::{Error, Result};
use aion_datasets::flights::{FlightsArchive, GRAPH_SQL, Kind, Query, SCHEMA_SQL, TEMPLATES, Workload};
use aion_db::{Database, DatabaseOptions, Mode};

use crate::embedded::Embedded;
use crate::flights::{expert_statements, texts, write_tables};
use crate::report::{Arm, Line, Report, Unit, count};

/// Clock ticks of a second, as Linux shows them to user space.
const TICKS: f64 = 100.0;

/// One session's measures.
#[derive(Debug, Default)]
struct Measures {
    planning_ms: Vec<f64>,
    total_ms: Vec<f64>,
    /// Of each round.
    processor_s: Vec<f64>,
}

/// Runs the workload with `sets` sets of parameters, `rounds` times in each session.
///
/// # Errors
/// When the flights are not there, or a statement fails.
pub fn run(folder: &Path, rounds: usize, sets: usize, seed: u64, progress: &mut dyn FnMut(&str)) -> Result<Report> {
    let archive = FlightsArchive::open(&FlightsArchive::default_path()?)?;
    progress("loading");
    let path = folder.join("shadow");
    let options = DatabaseOptions {
        ai_mode: Some(Mode::Shadow),
        ..DatabaseOptions::default()
    };
    let database = Database::open(&path, options)?;
    let mut observed = Embedded::new(&database);
    observed.script(SCHEMA_SQL)?;
    for table in &write_tables(&archive, folder, |_| {})? {
        observed.script(&table.copy_sql())?;
    }
    observed.script(GRAPH_SQL)?;
    for statement in expert_statements().iter().filter(|one| !one.contains("hnsw")) {
        progress(statement);
        observed.script(statement)?;
    }
    observed.script("ANALYZE")?;

    let mut workload = Workload::new(seed, &archive)?;
    let mut queries: Vec<Query> = Vec::new();
    // The direct path is not observed, and scans of all vectors would drown everything.
    let is_measured = |kind: Kind| !matches!(kind, Kind::Point | Kind::Vector | Kind::Hybrid);
    for template in TEMPLATES.iter().filter(|template| is_measured(template.kind)) {
        for _ in 0..sets {
            let query = workload.draw(template.name);
            queries.push(query.ok_or_else(|| Error::internal("a template is in its own list"))?);
        }
    }
    progress("observing");
    run_all(&database, &mut observed, &queries, &mut Measures::default())?;
    let model = database.train_model()?;
    let mut plain = Embedded::new(&database);
    plain.script("SET aion.ai_mode = 'off'")?;
    // Warm in both.
    run_all(&database, &mut plain, &queries, &mut Measures::default())?;

    let begin = Instant::now();
    let learning = database.counters()?.learning_micros;
    let (mut off, mut shadow) = (Measures::default(), Measures::default());
    let mut is_equal = true;
    for round in 0..rounds {
        progress(&format!("round {} of {rounds}", round + 1));
        let (one, two) = match round.is_multiple_of(2) {
            true => {
                let one = run_all(&database, &mut plain, &queries, &mut off)?;
                (one, run_all(&database, &mut observed, &queries, &mut shadow)?)
            }
            false => {
                let two = run_all(&database, &mut observed, &queries, &mut shadow)?;
                (run_all(&database, &mut plain, &queries, &mut off)?, two)
            }
        };
        is_equal &= one == two;
    }
    let elapsed = begin.elapsed().as_secs_f64();
    let threads = database.options().threads;
    let background = (database.counters()?.learning_micros - learning) as f64 / 1e6;
    let added = status(&mut plain, "added_planning")?;
    let told = status(&mut plain, "added_afterwards")?;
    let of_model = status(&mut plain, "model")?;
    let keeps = status(&mut plain, "observed")?;
    drop((plain, observed));
    database.close()?;

    let learnt_bytes: u64 = ["observed", "models"]
        .iter()
        .map(|name| bytes_below(&path.join(name)))
        .sum();
    let all_bytes = bytes_below(&path);
    let sum = |figures: &[f64]| figures.iter().sum::<f64>();
    let (cpu_off, cpu_shadow) = (sum(&off.processor_s), sum(&shadow.processor_s));
    let line = |what: &str, of: &dyn Fn(&Measures) -> f64| Line {
        what: what.to_owned(),
        ours: Arm {
            name: "shadow".to_owned(),
            runs: vec![of(&shadow)],
        },
        peers: vec![Arm {
            name: "off".to_owned(),
            runs: vec![of(&off)],
        }],
    };
    Ok(Report {
        work: "shadow",
        about: format!(
            "The learned parts in mode shadow beside mode off: {} statements of the flights workload (seed {seed}) with the expert's ordered \
             indexes, {rounds} times in each session, in turns, {threads} threads.",
            queries.len()
        ),
        unit: Unit::Milliseconds,
        lines: vec![
            line("planning, p50", &|one| quantile(&one.planning_ms, 0.5)),
            line("planning, p99", &|one| quantile(&one.planning_ms, 0.99)),
            line("statement, p50", &|one| quantile(&one.total_ms, 0.5)),
            line("statement, p99", &|one| quantile(&one.total_ms, 0.99)),
        ],
        notes: vec![
            format!(
                "Added to planning, as aion.ai_status has it: {added}. After the last row: {told}. Model: {}, version {}.",
                of_model,
                model.map_or_else(|| "none".to_owned(), |version| version.to_string())
            ),
            format!(
                "Processor time of serving: {cpu_shadow:.2} s in shadow, {cpu_off:.2} s off: {:+.2} %; of learning in the background: \
                 {background:.2} s. Both together: {:.2} % of the machine in the {elapsed:.0} s.",
                (cpu_shadow / cpu_off - 1.0) * 100.0,
                (background + cpu_shadow - cpu_off) / elapsed / threads as f64 * 100.0
            ),
            format!(
                "Disk: {} bytes of what was learnt in {} bytes: {:.2} %; memory: {keeps}.",
                count(learnt_bytes),
                count(all_bytes),
                learnt_bytes as f64 / all_bytes as f64 * 100.0
            ),
            format!(
                "Answers: {}.",
                if is_equal { "equal in all rounds" } else { "DIFFERENT" }
            ),
        ],
        is_equal,
    })
}

/// Runs all queries; their answers.
fn run_all(
    database: &Database,
    aion: &mut Embedded<'_>,
    queries: &[Query],
    measures: &mut Measures,
) -> Result<Vec<Vec<Vec<Option<String>>>>> {
    // What is learnt in the background is no session's.
    let serving_s = || Ok::<_, Error>(processor_s()? - database.counters()?.learning_micros as f64 / 1e6);
    let before = serving_s()?;
    let mut answers = Vec::new();
    for query in queries {
        // As a driver does that prepares each statement.
        let prepared = aion.prepare(query.template.sql)?;
        let (answer, planning_ms) = aion.run_timed(&prepared, &texts(query))?;
        measures.planning_ms.push(planning_ms);
        measures.total_ms.push(answer.ms);
        answers.push(answer.rows);
    }
    measures.processor_s.push(serving_s()? - before);
    Ok(answers)
}

fn status(aion: &mut Embedded<'_>, name: &str) -> Result<String> {
    let prepared = aion.prepare(&format!("SELECT value FROM aion.ai_status WHERE name = '{name}'"))?;
    let rows = aion.run(&prepared, &[])?.rows;
    Ok(rows.into_iter().flatten().flatten().next().unwrap_or_default())
}

/// Processor time of this process, in seconds.
fn processor_s() -> Result<f64> {
    let path = "/proc/self/stat";
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(format_args!("read {path}"), error))?;
    let fields = text.rsplit_once(") ").map(|(_, rest)| rest.split(' ').skip(11).take(2));
    let ticks: f64 = fields
        .into_iter()
        .flatten()
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS)
}

/// Bytes of the files below; nothing where there is none.
fn bytes_below(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |file| file.len());
    };
    entries.flatten().map(|entry| bytes_below(&entry.path())).sum()
}

/// The figure that this part of them does not exceed.
fn quantile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(place - 1).copied().unwrap_or(f64::NAN)
}
