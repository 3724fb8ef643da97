//! Loading the five tables through COPY, and laying the graph over them.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use aion_base::{Error, Result};
use aion_bench::embedded::Embedded;
use aion_bench::flights::{LoadTable, row_count, write_tables};
use aion_datasets::flights::{FlightsArchive, GRAPH_SQL, SCHEMA_SQL};
use indicatif::ProgressBar;

use super::folder::Folder;
use crate::screen::{Screen, count, megabytes, rate};

/// Between two moves of a progress bar.
const BAR_STEP: Duration = Duration::from_millis(100);

/// Writes the load-ready CSV of all tables, profiles of the flights included, into the folder.
pub fn prepare(screen: &Screen, archive: &FlightsArchive, folder: &Folder) -> Result<Vec<LoadTable>> {
    let directory = folder.path().join("csv");
    std::fs::create_dir_all(&directory)
        .map_err(|error| Error::io(format_args!("create {}", directory.display()), error))?;
    let bar = screen.bar("preparing CSV and profiles", row_count());
    let tables = write_tables(archive, &directory, |rows| bar.set_position(rows))?;
    bar.finish_and_clear();
    Ok(tables)
}

/// Makes the tables and copies the files into them, each in one transaction, and shows how fast.
pub fn run(screen: &Screen, aion: &mut Embedded<'_>, tables: &[LoadTable]) -> Result<()> {
    aion.script(SCHEMA_SQL)?;
    let mut lines = vec![
        ["table", "rows", "CSV MB", "seconds", "rows/s"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut line = |name: &str, rows: u64, bytes: u64, elapsed: Duration| {
        lines.push(vec![
            name.to_owned(),
            count(rows),
            megabytes(bytes),
            format!("{:.2}", elapsed.as_secs_f64()),
            rate(rows, elapsed),
        ]);
    };
    let begin = Instant::now();
    for table in tables {
        let bar = screen.bar(&format!("loading {}", table.table), table.row_count());
        let start = Instant::now();
        let name = table.table.name();
        let tag = watched(aion, &table.copy_sql(), &bar)?;
        bar.finish_and_clear();
        if tag != format!("COPY {}", table.row_count()) {
            let wanted = table.row_count();
            return Err(Error::internal(format!(
                "{name}: {tag}, and the source has {wanted} rows"
            )));
        }
        line(name, table.row_count(), table.bytes, start.elapsed());
    }
    let rows = tables.iter().map(LoadTable::row_count).sum();
    let bytes = tables.iter().map(|table| table.bytes).sum();
    line("all", rows, bytes, begin.elapsed());
    screen.table(&lines)
}

/// Runs a COPY while the bar follows its rows.
fn watched(aion: &mut Embedded<'_>, sql: &str, bar: &ProgressBar) -> Result<String> {
    let canceller = aion.canceller();
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Until the sender is gone.
            while is_done.recv_timeout(BAR_STEP) == Err(mpsc::RecvTimeoutError::Timeout) {
                bar.set_position(canceller.rows_done().unwrap_or(0));
            }
        });
        let tag = aion.script(sql);
        drop(done);
        tag
    })
}

/// Lays the graph over the tables and counts its edges.
pub fn graph(screen: &Screen, aion: &mut Embedded<'_>) -> Result<()> {
    let start = Instant::now();
    aion.script(GRAPH_SQL)?;
    let edges = aion.prepare(
        "SELECT count(*) FROM GRAPH_TABLE (rotations MATCH (IS plane)-[e IS flew]->(IS airport) COLUMNS (e.id AS id))",
    )?;
    let answer = aion.run(&edges, &[])?;
    let edges = answer.rows.first().and_then(|row| row.first().cloned().flatten());
    let edges: u64 = edges
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::internal("a count is a number"))?;
    screen.line(format_args!(
        "  rotations: vertices are airports and planes; {} flights are edges, from their plane to their destination ({:.2} s)",
        count(edges),
        start.elapsed().as_secs_f64()
    ))
}
