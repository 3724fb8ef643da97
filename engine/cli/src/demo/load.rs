//! Loading the five tables through COPY, and laying the graph over them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aion_base::{Error, Result};
use aion_bench::embedded::Embedded;
use aion_datasets::flights::{FlightsArchive, GRAPH_SQL, SCHEMA_SQL, Table, write_csv};

use super::folder::Folder;
use crate::screen::{Screen, count, megabytes, rate};

/// A table as load-ready CSV.
#[derive(Debug)]
pub struct LoadTable {
    /// Which.
    pub table: Table,
    /// The file, with its header.
    pub csv: PathBuf,
    bytes: u64,
}

impl LoadTable {
    /// How many rows it has.
    pub fn row_count(&self) -> u64 {
        u64::from(self.table.row_count())
    }
}

/// Writes the load-ready CSV of all tables, profiles of the flights included, into the folder.
pub fn prepare(screen: &Screen, archive: &FlightsArchive, folder: &Folder) -> Result<Vec<LoadTable>> {
    let directory = folder.path().join("csv");
    std::fs::create_dir_all(&directory)
        .and_then(|()| directory.canonicalize())
        .map_err(|error| Error::io(format_args!("create {}", directory.display()), error))
        .and_then(|directory| write_tables(screen, archive, &directory))
}

fn write_tables(screen: &Screen, archive: &FlightsArchive, directory: &std::path::Path) -> Result<Vec<LoadTable>> {
    let rows = Table::ALL.iter().map(|table| u64::from(table.row_count())).sum();
    let bar = screen.bar("preparing CSV and profiles", rows);
    let mut tables = Vec::new();
    for table in Table::ALL {
        let csv = directory.join(format!("{}.csv", table.name()));
        let failed = |error| Error::io(format_args!("write {}", csv.display()), error);
        let mut file = BufWriter::new(File::create(&csv).map_err(failed)?);
        let before = bar.position();
        write_csv(archive, table, &mut file, |rows| {
            bar.set_position(before + u64::from(rows))
        })?;
        file.flush().map_err(failed)?;
        let bytes = csv.metadata().map_err(failed)?.len();
        tables.push(LoadTable { table, csv, bytes });
    }
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
        let path = table.csv.display().to_string().replace('\'', "''");
        let name = table.table.name();
        let tag = aion.script(&format!("COPY {name} FROM '{path}' (FORMAT csv, HEADER true)"))?;
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
