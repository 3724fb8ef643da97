//! The captured workload of a database: in memory, and in a file beside the data.
//!
//! The file `observed/statements.jsonl` is written each minute in which something was noted, and at the end; a crash costs the last
//! minute. It holds literals, as the data does, and has the data's protection. It is read when the database is opened; one that
//! cannot be read is put aside as `statements.jsonl.damaged`, because what is observed is no part of the data. Nor does a directory that
//! cannot be used keep a database from opening: then what is noted ends with the process, and a line in the log says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::files::{Files, Open, OsFiles, read_all};
use aion_base::observation::{Observation, StatementFigures};
use aion_base::{Error, Result, rng};
use aion_catalog::Value;
use aion_shadow::captured::{Captured, Limits, Literals, Statement};
use aion_sql::{Prepared, Session};
use parking_lot::Mutex;

/// How often the file is written.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// See the module's header.
#[derive(Debug)]
pub struct Observed {
    captured: Mutex<Captured>,
    clock: SystemClock,
    file: Option<PathBuf>,
    /// Something was noted since the file was written.
    is_new: AtomicBool,
}

impl Observed {
    /// What was captured in `directory` so far; nothing where there is none, or no directory.
    pub fn open(directory: Option<&Path>) -> Arc<Self> {
        let mut file = directory.map(|directory| directory.join("statements.jsonl"));
        let captured = match file.as_deref().map(read) {
            Some(Ok(captured)) => captured,
            Some(Err(error)) => {
                tracing::warn!(%error, "captured statements cannot be kept; what is noted ends with this process");
                file = None;
                None
            }
            None => None,
        };
        Arc::new(Self {
            captured: Mutex::new(captured.unwrap_or_else(|| Captured::new(Limits::default(), rng::entropy()))),
            clock: SystemClock::default(),
            file,
            is_new: AtomicBool::new(false),
        })
    }

    /// Writes the file each minute, for as long as the runtime lives.
    pub fn save_in_background(self: &Arc<Self>, runtime: &tokio::runtime::Handle) {
        if self.file.is_none() {
            return;
        }
        let observed = self.clone();
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(SAVE_EVERY).await;
                let observed = observed.clone();
                let saved = tokio::task::spawn_blocking(move || observed.save()).await;
                if let Ok(Err(error)) = saved {
                    tracing::warn!(%error, "captured statements were not saved; it is tried again in a minute");
                }
            }
        });
    }

    /// Writes the file, if something was noted since it was written.
    ///
    /// # Errors
    /// An IO error; the file is as it was.
    pub fn save(&self) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if !self.is_new.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let lines = {
            let mut captured = self.captured.lock();
            captured.expire(self.now());
            captured.to_lines()
        };
        write(file, &lines).inspect_err(|_| self.is_new.store(true, Ordering::Relaxed))
    }

    /// The statements, the one that took most time first.
    pub fn workload(&self) -> Vec<Statement> {
        self.captured.lock().statements().into_iter().cloned().collect()
    }

    /// Bytes that are kept in memory, and how much was not kept for lack of room.
    pub fn size(&self) -> (usize, u64) {
        let captured = self.captured.lock();
        (captured.bytes(), captured.dropped())
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.wall_micros()).unwrap_or(i64::MAX)
    }
}

impl Observed {
    /// Whether the operators of the next execution of a statement are of interest.
    pub fn wants_operators(&self, queryid: i64) -> bool {
        self.captured.lock().wants_operators(queryid)
    }

    /// Takes note of an execution.
    pub fn observe(&self, observation: Observation) {
        let now = self.now();
        self.captured.lock().observe(observation, now);
        self.is_new.store(true, Ordering::Relaxed);
    }

    /// What was noted, by statement, the one that took most time first.
    pub fn statements(&self) -> Vec<StatementFigures> {
        let captured = self.captured.lock();
        captured.statements().into_iter().map(Statement::figures).collect()
    }

    /// The mean of each statement's executions, in milliseconds.
    pub fn means(&self) -> Vec<(i64, f64)> {
        let figures = self.statements().into_iter();
        figures
            .map(|one| (one.fingerprint.queryid, one.execution.mean_ms))
            .collect()
    }

    /// Forgets a statement with its literals; false where it is not known.
    pub fn forget(&self, queryid: i64) -> bool {
        let was_known = self.captured.lock().forget(queryid);
        if was_known {
            self.is_new.store(true, Ordering::Relaxed);
        }
        was_known
    }
}

/// Prepares a captured statement where its names were looked up, with the values of its parameters.
///
/// # Errors
/// Those of planning: its tables may have changed.
pub async fn prepare_captured(session: &mut Session, literals: &Literals) -> Result<(Arc<Prepared>, Vec<Value>)> {
    session.set("search_path", &literals.search_path)?;
    let statement = session.parse(&literals.text)?.into_iter().next();
    let statement = statement.ok_or_else(|| Error::internal("a captured statement is empty"))?;
    let prepared = session.prepare(&statement, &[]).await?;
    let values = prepared.parameter_types().iter().zip(&literals.parameters);
    let values = values.map(|(sql_type, text)| match text {
        Some(text) => Value::text_in(sql_type, text),
        None => Ok(Value::Null),
    });
    let values = values.collect::<Result<_>>()?;
    Ok((prepared, values))
}

fn read(file: &Path) -> Result<Option<Captured>> {
    let failed = |error| Error::io(format_args!("read {}", file.display()), error);
    let bytes = match OsFiles.open(file, Open::Existing) {
        Ok(opened) => read_all(&*opened).map_err(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    match Captured::from_lines(&String::from_utf8_lossy(&bytes), Limits::default(), rng::entropy()) {
        Ok(captured) => Ok(Some(captured)),
        Err(error) => {
            let aside = file.with_extension("jsonl.damaged");
            tracing::warn!(%error, aside = %aside.display(), "captured statements cannot be read; capturing begins anew");
            let failed = |error| Error::io(format_args!("rename {}", file.display()), error);
            OsFiles.rename(file, &aside).map_err(failed)?;
            Ok(None)
        }
    }
}

/// Replaces a file of lines.
pub(crate) fn write(file: &Path, lines: &str) -> Result<()> {
    let failed = |error| Error::io(format_args!("write {}", file.display()), error);
    if let Some(directory) = file.parent() {
        OsFiles.create_dir_all(directory).map_err(failed)?;
    }
    let new = file.with_extension("jsonl.new");
    // Of a process that ended while it wrote.
    match OsFiles.remove(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let opened = OsFiles.open(&new, Open::New).map_err(failed)?;
    opened.write_at(lines.as_bytes(), 0).map_err(failed)?;
    OsFiles.rename(&new, file).map_err(failed)
}
