//! A session of this process with the thread that it is used from: waits for its own statements, and for nothing else.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use aion_base::{Error, Result};
use aion_catalog::{SqlType, Value};
use aion_db::{Cells, Database, Prepared, Response, Session, SessionOptions, canonical};
use arrow::record_batch::RecordBatch;
use tokio::runtime::Runtime;

/// See the module's header.
#[derive(Debug)]
pub struct Seat {
    session: Session,
    runtime: Runtime,
}

impl Seat {
    /// A session of `database`.
    ///
    /// # Errors
    /// When no runtime can be started.
    pub fn new(database: &Database) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io("start a runtime", error))?;
        Ok(Self {
            session: database.session(SessionOptions::default()),
            runtime,
        })
    }

    /// Prepares one statement with parameters of these types.
    ///
    /// # Errors
    /// 42xxx.
    pub fn prepare(&mut self, sql: &str, types: &[SqlType]) -> Result<Arc<Prepared>> {
        let types: Vec<Option<SqlType>> = types.iter().copied().map(Some).collect();
        let statement = self.session.parse(sql)?.pop();
        let statement = statement.ok_or_else(|| Error::internal(format!("there is no statement in {sql:?}")))?;
        let session = &mut self.session;
        finish(&self.runtime, session.prepare(&statement, &types))
    }

    /// Runs a statement that gives no rows; its tag.
    ///
    /// # Errors
    /// The statement's.
    pub fn run(&mut self, prepared: &Arc<Prepared>, values: &[Value]) -> Result<String> {
        let session = &mut self.session;
        finish(&self.runtime, async {
            match session.execute(prepared, values).await? {
                Response::Done { tag } => Ok(tag),
                Response::Rows(_) => Err(Error::internal("a statement without rows gave some")),
            }
        })
    }

    /// Runs a statement that gives rows, and hands each batch over.
    ///
    /// # Errors
    /// The statement's, and those of `each`.
    pub fn read(
        &mut self,
        prepared: &Arc<Prepared>,
        values: &[Value],
        mut each: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let session = &mut self.session;
        finish(&self.runtime, async {
            let Response::Rows(mut rows) = session.execute(prepared, values).await? else {
                return Err(Error::internal("a statement with rows gave none"));
            };
            while let Some(batch) = rows.next().await? {
                each(&batch)?;
            }
            Ok(())
        })
    }

    /// Drops what nobody reads: a notice for each ROLLBACK that had nothing to do.
    pub fn forget_notices(&mut self) {
        drop(self.session.take_notices());
    }

    /// Runs a statement that changes one row.
    ///
    /// # Errors
    /// The statement's; internal where it changed another number.
    pub fn change_one(&mut self, prepared: &Arc<Prepared>, values: &[Value]) -> Result<()> {
        let tag = self.run(prepared, values)?;
        match tag.rsplit(' ').next() {
            Some("1") => Ok(()),
            _ => Err(Error::internal(format!("a statement for one row answered {tag}"))),
        }
    }
}

/// Hands each text of a column to `each`, with the row's place.
///
/// # Errors
/// Internal where it is no column of texts; those of `each`.
pub fn texts(batch: &RecordBatch, column: usize, mut each: impl FnMut(usize, &str)) -> Result<()> {
    let array = canonical(batch.column(column), SqlType::Text)?;
    let cells = Cells::of(array.as_ref(), SqlType::Text);
    for row in 0..batch.num_rows() {
        let text = cells.as_ref().and_then(|cells| cells.as_str(row));
        let text = text.ok_or_else(|| Error::internal("a column of texts holds something else"))?;
        each(row, text);
    }
    Ok(())
}

/// Runs a future to its end. Most are ready when they are first asked, as a read by primary key is; parking the thread, and waking it,
/// would cost more than the read.
fn finish<F: Future>(runtime: &Runtime, future: F) -> F::Output {
    let mut future = pin!(future);
    {
        // What it spawns runs on our runtime.
        let _entered = runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    // It is asked once more, with a waker that wakes.
    runtime.block_on(future)
}
