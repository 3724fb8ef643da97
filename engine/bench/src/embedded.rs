//! Aion in this process, asked and timed like a peer.

use std::sync::Arc;
use std::time::Instant;

use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_db::{Canceller, Database, Prepared, Response, Session, SessionOptions, append_rows};
use arrow::record_batch::RecordBatch;

use crate::duckdb::Answer;

/// One session of an open database.
#[derive(Debug)]
pub struct Embedded<'a> {
    database: &'a Database,
    session: Session,
}

impl<'a> Embedded<'a> {
    /// A session of `database`.
    pub fn new(database: &'a Database) -> Self {
        let session = database.session(SessionOptions::default());
        Self { database, session }
    }

    /// Runs all statements of a text; gives the tag of the last.
    ///
    /// # Errors
    /// The first that fails.
    pub fn script(&mut self, sql: &str) -> Result<String> {
        let session = &mut self.session;
        self.database.runtime().block_on(async {
            let mut tag = String::new();
            for statement in session.parse(sql)? {
                let prepared = session.prepare(&statement, &[]).await?;
                tag = match session.execute(&prepared, &[]).await? {
                    Response::Done { tag } => tag,
                    Response::Rows(mut rows) => {
                        while rows.next().await?.is_some() {}
                        rows.tag()
                    }
                };
            }
            Ok(tag)
        })
    }

    /// What the session runs, to be watched from another thread.
    pub fn canceller(&self) -> Canceller {
        self.session.canceller()
    }

    /// Waits until the vector indexes are in memory.
    ///
    /// # Errors
    /// When one cannot be built.
    pub fn wait_for_indexes(&self) -> Result<()> {
        self.database.wait_for_indexes()
    }

    /// Prepares one statement.
    ///
    /// # Errors
    /// 42xxx.
    pub fn prepare(&mut self, sql: &str) -> Result<Arc<Prepared>> {
        let session = &mut self.session;
        self.database.runtime().block_on(async {
            let mut statements = session.parse(sql)?;
            let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
                return Err(Error::invalid(
                    SqlState::SYNTAX_ERROR,
                    "one statement is prepared at a time",
                ));
            };
            session.prepare(&statement, &[]).await
        })
    }

    /// Runs a prepared statement; parameters as text. Time is from the parameters to the last Arrow batch.
    ///
    /// # Errors
    /// The statement's.
    pub fn run(&mut self, prepared: &Arc<Prepared>, parameters: &[String]) -> Result<Answer> {
        self.run_timed(prepared, parameters).map(|(answer, _)| answer)
    }

    /// The same, with the milliseconds until it could be run: planning.
    ///
    /// # Errors
    /// The statement's.
    pub fn run_timed(&mut self, prepared: &Arc<Prepared>, parameters: &[String]) -> Result<(Answer, f64)> {
        let session = &mut self.session;
        let begin = Instant::now();
        let mut planning_ms = 0.0;
        let (columns, batches) = self.database.runtime().block_on(async {
            let values: Vec<Value> = parameters
                .iter()
                .zip(prepared.parameter_types())
                .map(|(text, sql_type)| Value::text_in(sql_type, text))
                .collect::<Result<_>>()?;
            let response = session.execute(prepared, &values).await?;
            planning_ms = begin.elapsed().as_secs_f64() * 1_000.0;
            let Response::Rows(mut rows) = response else {
                return Ok((Vec::new().into(), Vec::new()));
            };
            let mut batches: Vec<RecordBatch> = Vec::new();
            while let Some(batch) = rows.next().await? {
                batches.push(batch);
            }
            Ok::<_, Error>((rows.columns().clone(), batches))
        })?;
        let ms = begin.elapsed().as_secs_f64() * 1_000.0;
        let mut rows = Vec::new();
        for batch in &batches {
            append_rows(batch, &columns, &mut rows)?;
        }
        Ok((Answer { ms, rows }, planning_ms))
    }
}
