//! DuckDB beside us: a child process that runs its Python package.
//!
//! The package is what its users have; linking the library would make it a part of `aion`. The child is asked one
//! statement at a time and times it itself, so the pipe between us costs it nothing.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use aion_base::{Error, ErrorKind, Result, SqlState};
use serde_json::{Value, json};

const PROGRAM: &str = include_str!("../peers/duckdb_peer.py");

/// A running DuckDB.
#[derive(Debug)]
pub struct DuckDb {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
}

/// Answer to one statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// By the peer's own clock, milliseconds.
    pub ms: f64,
    /// Rows of values as text; None is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// The Python that has the peers' packages: `AION_PYTHON`, or that of `make setup`.
///
/// # Errors
/// 58P01 where there is none, with how to get it.
pub fn python() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("AION_PYTHON") {
        return Ok(path.into());
    }
    let cache = std::env::var_os("AION_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/aion")));
    let path = cache.map(|cache| cache.join("python/bin/python"));
    path.filter(|path| path.is_file()).ok_or_else(|| {
        Error::not_found(
            SqlState::UNDEFINED_FILE,
            "there is no Python with the peers' packages (duckdb, pyarrow)",
        )
        .with_hint("Run `make setup`, or name one with the environment variable AION_PYTHON.")
    })
}

impl DuckDb {
    /// Starts DuckDB with an empty database in memory.
    ///
    /// # Errors
    /// 58P01 where Python or its package is missing.
    pub fn start(python: &Path, threads: usize) -> Result<Self> {
        Self::open(python, threads, ":memory:")
    }

    /// Starts DuckDB with a database in a file, which is made where it is not there.
    ///
    /// # Errors
    /// 58P01 where Python or its package is missing.
    pub fn start_on_disk(python: &Path, threads: usize, file: &Path) -> Result<Self> {
        Self::open(python, threads, &file.display().to_string())
    }

    fn open(python: &Path, threads: usize, path: &str) -> Result<Self> {
        let failed = |error| Error::io(format_args!("run {}", python.display()), error);
        let mut child = Command::new(python)
            .arg("-c")
            .arg(PROGRAM)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::internal("a child has the pipes that it was started with"));
        };
        let mut peer = Self {
            child,
            requests,
            answers: BufReader::new(answers),
            version: String::new(),
        };
        let opened = peer.ask(&json!({ "open": { "threads": threads, "path": path } }))?;
        peer.version = opened["version"].as_str().unwrap_or("unknown").to_owned();
        Ok(peer)
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs one statement. Parameters are JSON objects, see `peers/duckdb_peer.py`.
    ///
    /// # Errors
    /// What DuckDB answered, as XX000.
    pub fn run(&mut self, sql: &str, parameters: &[Value]) -> Result<Answer> {
        let answer = self.ask(&json!({ "sql": sql, "parameters": parameters }))?;
        let row = |row: &Value| {
            let cells = row.as_array().into_iter().flatten();
            cells.map(|cell| cell.as_str().map(str::to_owned)).collect()
        };
        Ok(Answer {
            ms: answer["ms"].as_f64().unwrap_or(f64::NAN),
            rows: answer["values"].as_array().into_iter().flatten().map(row).collect(),
        })
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        let gone = |error| Error::io("talk to DuckDB", error);
        writeln!(self.requests, "{request}")
            .and_then(|()| self.requests.flush())
            .map_err(gone)?;
        let mut line = String::new();
        if self.answers.read_line(&mut line).map_err(gone)? == 0 {
            return Err(self.ended());
        }
        let answer: Value = serde_json::from_str(&line)
            .map_err(|error| Error::internal(format!("DuckDB's answer cannot be read: {error}")))?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(Error::internal(format!("DuckDB: {error}"))),
            None => Ok(answer),
        }
    }

    /// What the child said before it ended.
    fn ended(&mut self) -> Error {
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            // What cannot be read is not shown.
            let _ = std::io::Read::read_to_string(&mut stderr, &mut said);
        }
        let last = said.lines().last().unwrap_or("it ended without a word").to_owned();
        Error::new(
            ErrorKind::NotFound,
            SqlState::UNDEFINED_FILE,
            format!("DuckDB's Python package cannot be used: {last}"),
        )
        .with_hint("Run `make setup`, or name a Python that has it with the environment variable AION_PYTHON.")
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
