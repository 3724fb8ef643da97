//! The flights as files that every engine loads, and what of them only a peer needs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use aion_base::{Error, Result};
use aion_datasets::flights::{EXPERT_SQL, FlightsArchive, Parameter, Query, Table, write_csv};
use serde_json::{Value, json};

use crate::duckdb::DuckDb;

/// A table as load-ready CSV.
#[derive(Debug)]
pub struct LoadTable {
    /// Which.
    pub table: Table,
    /// The file, with its header.
    pub csv: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl LoadTable {
    /// How many rows it has.
    pub fn row_count(&self) -> u64 {
        u64::from(self.table.row_count())
    }

    /// The path as a literal of SQL.
    pub fn literal(&self) -> String {
        format!("'{}'", self.csv.display().to_string().replace('\'', "''"))
    }

    /// The statement that loads it: Aion's and PostgreSQL's.
    pub fn copy_sql(&self) -> String {
        format!(
            "COPY {} FROM {} (FORMAT csv, HEADER true)",
            self.table.name(),
            self.literal()
        )
    }
}

/// Rows of all tables.
pub fn row_count() -> u64 {
    Table::ALL.iter().map(|table| u64::from(table.row_count())).sum()
}

/// Writes the load-ready CSV of all tables, profiles of the flights included, into an existing folder. `progress` is told the
/// rows so far.
///
/// # Errors
/// When a file cannot be written.
pub fn write_tables(
    archive: &FlightsArchive,
    directory: &Path,
    mut progress: impl FnMut(u64),
) -> Result<Vec<LoadTable>> {
    let directory = directory
        .canonicalize()
        .map_err(|error| Error::io(format_args!("find {}", directory.display()), error))?;
    let mut tables = Vec::new();
    let mut before = 0;
    for table in Table::ALL {
        let csv = directory.join(format!("{}.csv", table.name()));
        let failed = |error| Error::io(format_args!("write {}", csv.display()), error);
        let mut file = BufWriter::new(File::create(&csv).map_err(failed)?);
        write_csv(archive, table, &mut file, |rows| progress(before + u64::from(rows)))?;
        file.flush().map_err(failed)?;
        before += u64::from(table.row_count());
        let bytes = csv.metadata().map_err(failed)?.len();
        tables.push(LoadTable { table, csv, bytes });
    }
    Ok(tables)
}

/// Loads the tables into DuckDB. Profiles become DOUBLE[12], of singles as ours are.
///
/// # Errors
/// What DuckDB answered.
pub fn load_duckdb(peer: &mut DuckDb, tables: &[LoadTable]) -> Result<()> {
    for table in tables {
        let name = table.table.name();
        let path = table.literal();
        let profile = match table.table {
            Table::Flights => " REPLACE (profile::FLOAT[12]::DOUBLE[12] AS profile)",
            _ => "",
        };
        let types = match table.table {
            Table::Flights | Table::Weather => ", types = {'time_hour': 'TIMESTAMPTZ'}",
            _ => "",
        };
        peer.run(
            &format!(
                "CREATE TABLE {name} AS SELECT *{profile} FROM read_csv({path}, header = true, nullstr = ''{types})"
            ),
            &[],
        )?;
    }
    Ok(())
}

/// The statements that make the indexes of a good DBA.
pub fn expert_statements() -> Vec<String> {
    // Comments first: they may hold a semicolon.
    let lines = EXPERT_SQL.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join(" ");
    let statements = text.split(';').map(|statement| statement.trim().to_owned());
    statements.filter(|statement| !statement.is_empty()).collect()
}

/// Parameters as PostgreSQL's text.
pub fn texts(query: &Query) -> Vec<String> {
    query.parameters.iter().map(ToString::to_string).collect()
}

/// Parameters as DuckDB's child takes them.
pub fn values(query: &Query) -> Vec<Value> {
    let value = |parameter: &Parameter| match parameter {
        Parameter::Integer(number) => json!({ "integer": number }),
        Parameter::Double(number) => json!({ "double": number }),
        Parameter::Text(text) => json!({ "text": text }),
        Parameter::Time(hour) => json!({ "time": hour.to_string() }),
        Parameter::Profile { components, .. } => json!({ "vector": components.to_vec() }),
    };
    query.parameters.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_of_a_good_dba_are_told_apart() {
        let statements = expert_statements();
        assert!(statements.len() >= 6, "{statements:?}");
        assert!(
            statements.iter().all(|text| text.starts_with("CREATE INDEX ")),
            "{statements:?}"
        );
    }
}
