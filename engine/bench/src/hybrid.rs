//! The hybrid query: rows, graph and vectors in one statement, beside DuckDB and beside a brute-force reference.
//!
//! The same sets of parameters run on Aion with `hnsw.exact` on, through the hnsw index, and on DuckDB, in turn. The exact
//! answers and DuckDB's must equal those of `datasets/flights/reference.py`; of the answers through the index the recall is shown.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use aion_base::{Error, Result};
use aion_datasets::flights::{FlightsArchive, GRAPH_SQL, Parameter, Query, REFERENCE_PY, SCHEMA_SQL, Workload};
use aion_db::{Database, DatabaseOptions};
use aion_shadow::answer::{are_equal, found_of};
use serde_json::{Value, json};

use crate::duckdb::{Answer, DuckDb, python};
use crate::embedded::Embedded;
use crate::flights::{expert_statements, load_duckdb, texts, values, write_tables};
use crate::report::{Arm, Line, Report, Unit};

/// The template that is measured.
const TEMPLATE: &str = "hybrid";
/// Where the answer has the flight's id, and the distance.
const ID: usize = 0;
const DISTANCE: usize = 7;

/// Runs `sets` sets of parameters drawn from `seed`, with files below `folder`.
///
/// # Errors
/// Those of the engines; 58P01 where a peer is missing.
pub fn run(folder: &Path, sets: usize, seed: u64, progress: &mut dyn FnMut(&str)) -> Result<Report> {
    let archive_path = FlightsArchive::default_path()?;
    let archive = FlightsArchive::open(&archive_path)?;
    let mut workload = Workload::new(seed, &archive)?;
    let queries: Option<Vec<Query>> = (0..sets).map(|_| workload.draw(TEMPLATE)).collect();
    let queries = queries.ok_or_else(|| Error::internal("the hybrid query is a template"))?;
    let python = python()?;
    progress("computing the reference");
    let wanted = reference(&python, &archive_path, &queries)?;

    progress("loading Aion");
    let tables = write_tables(&archive, folder, |_| {})?;
    let database = Database::open(&folder.join("aion"), DatabaseOptions::default())?;
    let mut aion = Embedded::new(&database);
    aion.script(SCHEMA_SQL)?;
    for table in &tables {
        aion.script(&table.copy_sql())?;
    }
    aion.script(GRAPH_SQL)?;
    for statement in expert_statements() {
        progress(&statement);
        aion.script(&statement)?;
    }
    aion.script("ANALYZE")?;
    aion.wait_for_indexes()?;
    progress("loading DuckDB");
    let threads = database.options().threads;
    let mut duckdb = DuckDb::start(&python, threads)?;
    load_duckdb(&mut duckdb, &tables)?;

    let template = queries.first().map(|query| query.template);
    let template = template.ok_or_else(|| Error::internal("at least one set of parameters is drawn"))?;
    let prepared = aion.prepare(template.sql)?;
    let (mut exact, mut graph, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    // The first of each warms up.
    for (at, query) in queries.iter().take(1).chain(&queries).enumerate() {
        progress(&format!("set {at} of {sets}"));
        aion.script("SET hnsw.exact = on")?;
        let one = aion.run(&prepared, &texts(query))?;
        aion.script("SET hnsw.exact = off")?;
        let two = aion.run(&prepared, &texts(query))?;
        let three = duckdb.run(template.duckdb_sql, &values(query))?;
        if at > 0 {
            exact.push(one);
            graph.push(two);
            peer.push(three);
        }
    }
    let duckdb_name = format!("DuckDB {}", duckdb.version());
    drop(prepared);
    drop(aion);
    database.close()?;

    let right = |answers: &[Answer]| {
        let pairs = answers.iter().zip(&wanted);
        pairs
            .filter(|(answer, wanted)| are_equal(&narrow(answer), wanted))
            .count()
    };
    let (exact_right, peer_right) = (right(&exact), right(&peer));
    let recalls: Vec<f64> = graph
        .iter()
        .zip(&wanted)
        .map(|(answer, wanted)| match wanted.len() {
            0 => 1.0,
            all => found_of(&narrow(answer), wanted) as f64 / all as f64,
        })
        .collect();
    let least = recalls.iter().copied().fold(1.0, f64::min);
    let mean = recalls.iter().sum::<f64>() / recalls.len().max(1) as f64;
    let same_length = graph
        .iter()
        .zip(&wanted)
        .all(|(answer, wanted)| answer.rows.len() == wanted.len());
    let rows: usize = wanted.iter().map(Vec::len).sum();
    let arm = |name: &str, answers: &[Answer]| Arm {
        name: name.to_owned(),
        runs: answers.iter().map(|answer| answer.ms).collect(),
    };
    let peers = vec![arm(&duckdb_name, &peer)];
    Ok(Report {
        work: "hybrid",
        about: format!(
            "The hybrid query of the demo (joins, graph semi-join, ten nearest vectors) with the expert's indexes, {sets} sets of \
             parameters (seed {seed}), {threads} threads."
        ),
        unit: Unit::Milliseconds,
        lines: vec![
            Line {
                what: "through hnsw".to_owned(),
                ours: arm("Aion", &graph),
                peers: peers.clone(),
            },
            Line {
                what: "hnsw.exact = on".to_owned(),
                ours: arm("Aion", &exact),
                peers,
            },
        ],
        notes: vec![
            format!(
                "Against the brute-force reference in Python, {rows} rows: exact {exact_right} of {sets} sets equal, DuckDB \
                 {peer_right} of {sets}."
            ),
            format!(
                "Through hnsw: recall@10 least {least:.3}, mean {mean:.3}; {} as many rows as match.",
                if same_length { "always" } else { "NOT always" }
            ),
        ],
        is_equal: exact_right == sets && peer_right == sets && same_length,
    })
}

/// What the reference computes, of an answer.
fn narrow(answer: &Answer) -> Vec<Vec<Option<String>>> {
    let cells = |row: &Vec<Option<String>>| [ID, DISTANCE].map(|at| row.get(at).cloned().flatten()).to_vec();
    answer.rows.iter().map(cells).collect()
}

/// The answers of the reference: rows of id and distance, for each set of parameters.
fn reference(python: &Path, archive: &Path, queries: &[Query]) -> Result<Vec<Vec<Vec<Option<String>>>>> {
    let failed = |error| Error::io(format_args!("run {}", python.display()), error);
    let mut child = Command::new(python)
        .args(["-c", REFERENCE_PY, "--archive"])
        .arg(archive)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut input = child
        .stdin
        .take()
        .ok_or_else(|| Error::internal("a child has the pipe that it was started with"))?;
    // It reads the archive first, so the lines must fit into the pipe or wait: another thread writes them.
    let lines: String = queries.iter().map(|query| format!("{}\n", question(query))).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().map_err(failed)?;
    writer
        .join()
        .map_err(|_| Error::internal("the writer of a pipe panicked"))?
        .map_err(failed)?;
    if !output.status.success() {
        return Err(Error::internal("the reference failed; see its message above"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let answers: Vec<_> = text.lines().map(rows).collect::<Result<_>>()?;
    match answers.len() == queries.len() {
        true => Ok(answers),
        false => Err(Error::internal(format!(
            "the reference gave {} answers to {} questions",
            answers.len(),
            queries.len()
        ))),
    }
}

fn question(query: &Query) -> Value {
    let mut question = json!({});
    for parameter in &query.parameters {
        match parameter {
            Parameter::Text(text) if question.get("airport").is_none() => question["airport"] = json!(text),
            Parameter::Text(text) => question["manufacturer"] = json!(text),
            Parameter::Profile { flight, .. } => question["flight_id"] = json!(flight),
            _ => {}
        }
    }
    question
}

fn rows(line: &str) -> Result<Vec<Vec<Option<String>>>> {
    let unreadable = |what: &str| Error::internal(format!("the reference's answer cannot be read: {what}"));
    let answer: Value = serde_json::from_str(line).map_err(|error| unreadable(&error.to_string()))?;
    let rows = answer["rows"].as_array().ok_or_else(|| unreadable("no rows"))?;
    let row = |row: &Value| vec![Some(row["id"].to_string()), Some(row["distance"].to_string())];
    Ok(rows.iter().map(row).collect())
}
