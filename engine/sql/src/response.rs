//! What a statement answers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use aion_base::Result;
use aion_catalog::{SqlType, Zone};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::{Stream, StreamExt};

use crate::functions::shown;
use crate::session::Timed;

pub use result_type::ResultType;

mod result_type;

/// The column of a table or a view that a column of a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The OID of the table or view.
    pub relation: u32,
    /// The column's number in it, from 1: `pg_attribute.attnum`.
    pub number: i16,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as written or derived.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
    /// The type that clients are told of, where only results have it; the values are then those of `sql_type`.
    pub result_type: Option<ResultType>,
    /// What it is a column of; None for what is computed.
    pub origin: Option<Origin>,
}

impl Column {
    /// A column of a type that tables have.
    pub fn new(name: impl Into<String>, sql_type: SqlType) -> Self {
        Self {
            name: name.into(),
            sql_type,
            result_type: None,
            origin: None,
        }
    }

    /// The OID of the type that clients are told of.
    pub fn oid(&self) -> u32 {
        self.result_type.map_or(self.sql_type.oid(), ResultType::oid)
    }

    /// The bytes of a value in PostgreSQL, -1 for a varying length.
    pub fn type_length(&self) -> i16 {
        self.result_type
            .map_or(self.sql_type.type_length(), ResultType::type_length)
    }

    /// PostgreSQL's encoding of the type's modifier, -1 for none.
    pub fn type_modifier(&self) -> i32 {
        self.result_type.map_or(self.sql_type.type_modifier(), |_| -1)
    }
}

/// Answer to one statement.
#[derive(Debug)]
pub enum Response {
    /// Rows, to be read to the end; then [`Rows::tag`] is known.
    Rows(Rows),
    /// No rows: PostgreSQL's command tag, such as `CREATE TABLE` or `INSERT 0 3`.
    Done {
        /// The tag.
        tag: String,
    },
}

/// A stream of Arrow batches.
///
/// Dropping it early ends the statement; nothing was changed by what was not read, because statements that write
/// finish before they answer.
pub struct Rows {
    columns: Arc<[Column]>,
    schema: SchemaRef,
    source: Source,
    verb: Verb,
    count: u64,
    is_binary: bool,
    /// Dropped with the rows.
    kept: Option<Box<dyn std::any::Any + Send>>,
    /// The session's.
    zone: Zone,
    is_shown: bool,
    /// Where slow statements are logged.
    timed: Option<Box<Timed>>,
}

/// Where batches come from.
enum Source {
    /// From operators that are still at work.
    Stream(Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>),
    /// From what was done before the answer.
    Ready(Option<RecordBatch>),
}

/// What made the rows; it decides the command tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `SELECT n`, n counted while reading.
    Select,
    /// `FETCH n`, likewise.
    Fetch,
    /// A fixed tag: `EXPLAIN`, `SHOW`, or that of a statement with RETURNING, which is done already.
    Fixed(String),
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("columns", &self.columns)
            .field("verb", &self.verb)
            .finish_non_exhaustive()
    }
}

impl Rows {
    /// Rows with these columns; `schema` has the same names, in the same order.
    pub fn new(
        columns: Arc<[Column]>,
        schema: SchemaRef,
        stream: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
        verb: Verb,
    ) -> Self {
        Self {
            columns,
            schema,
            source: Source::Stream(Box::pin(stream)),
            verb,
            count: 0,
            is_binary: false,
            kept: None,
            zone: Zone::UTC,
            is_shown: false,
            timed: None,
        }
    }

    /// Rows that are there already, at most one batch of them.
    pub(crate) fn ready(columns: Arc<[Column]>, schema: SchemaRef, batch: Option<RecordBatch>, verb: Verb) -> Self {
        Self {
            columns,
            schema,
            source: Source::Ready(batch),
            verb,
            count: 0,
            is_binary: false,
            kept: None,
            zone: Zone::UTC,
            is_shown: false,
            timed: None,
        }
    }

    /// Says in which zone the session shows times.
    pub(crate) fn set_zone(&mut self, zone: Zone) {
        self.zone = zone;
    }

    /// From now on the types of batches name the session's zone, so that [`Cells`](crate::Cells) write moments in it. Otherwise it is
    /// UTC, as [`Rows::schema`] says.
    pub fn show_in_zone(&mut self) {
        self.is_shown = true;
    }

    /// Says that a client without a wish of its own is to get the values in their binary form.
    pub(crate) fn set_binary(&mut self, is_binary: bool) {
        self.is_binary = is_binary;
    }

    /// Whether a client without a wish of its own gets the values in their binary form.
    pub fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// Keeps something until the rows are dropped.
    pub(crate) fn keep(&mut self, kept: impl std::any::Any + Send) {
        self.kept = Some(Box::new(kept));
    }

    /// The time that they take counts.
    pub(crate) fn time(&mut self, timed: Timed) {
        self.timed = Some(Box::new(timed));
    }

    /// The columns.
    pub fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// The Arrow schema of the batches; a field's metadata keeps types apart that Arrow does not tell apart
    /// (see `SqlType::from_field`).
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next batch; None at the end.
    ///
    /// # Errors
    /// What the statement failed with; nothing follows.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let since = self.timed.as_ref().map(|timed| timed.now());
        let batch = match &mut self.source {
            Source::Stream(stream) => stream.next().await.transpose(),
            Source::Ready(batch) => Ok(batch.take()),
        };
        if let (Some(timed), Some(since)) = (&mut self.timed, since) {
            match &batch {
                Ok(batch) => timed.took(since, batch.as_ref().map_or(0, RecordBatch::num_rows)),
                Err(_) => timed.forget(),
            }
            // Logged when its rows are over, not when whoever has them is done with them.
            self.timed = self.timed.take().filter(|_| matches!(&batch, Ok(Some(_))));
        }
        let mut batch = batch?;
        if self.is_shown {
            batch = batch.map(|batch| shown(batch, self.zone));
        }
        self.count += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Ok(batch)
    }

    /// The command tag, once all rows were read.
    pub fn tag(&self) -> String {
        self.tag_of(self.count)
    }

    /// The command tag of so many rows.
    pub fn tag_of(&self, count: u64) -> String {
        match &self.verb {
            Verb::Select => format!("SELECT {count}"),
            Verb::Fetch => format!("FETCH {count}"),
            Verb::Fixed(tag) => tag.clone(),
        }
    }
}
