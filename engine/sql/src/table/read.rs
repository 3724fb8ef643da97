//! Running a scan: keys and rows from the transaction, filtered, as Arrow batches.
//!
//! 1. Take the next keys of the range: a few at first, because whoever asks may soon have enough, then more each time.
//! 2. For an index that does not hold all columns, look each row up.
//! 3. Decode the filter's columns and evaluate it; decode the other columns of the rows that are left.
//!
//! Every chunk asks whether the statement was cancelled and lets other tasks of the thread run.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use datafusion::arrow::array::{Array, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::metrics::{BaselineMetrics, RecordOutput};

use super::access::Access;
use super::decode::BatchBuilder;
use super::scan::{Filter, ScanPlan, StatementContext};
use crate::error::translate;
use crate::transaction::TransactionScan;

/// Rows that are looked up at once.
const LOOKUP_ROWS: usize = 128;

/// Rows of the first chunk.
const FIRST_CHUNK_ROWS: usize = 256;

/// See the module's header.
pub struct Reader {
    plan: Arc<ScanPlan>,
    statement: Arc<StatementContext>,
    metrics: BaselineMetrics,
    source: Source,
    chunk_rows: usize,
    batch_rows: usize,
    /// Rows that may still be given.
    rest: usize,
    rows: Rows,
}

/// Where keys come from.
enum Source {
    Scan(TransactionScan),
    /// The next of a list.
    List(usize),
}

/// How rows become batches.
enum Rows {
    /// Every row is decoded at once.
    All(BatchBuilder),
    /// The filter's columns are decoded first; the rows wait in `kept`.
    Filtered {
        tested: BatchBuilder,
        output: BatchBuilder,
        kept: Kept,
    },
    /// The index has every column: the filter works on all of them.
    Covered { builder: BatchBuilder, values: Vec<Value> },
}

/// Rows whose filter is not evaluated yet.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Where each row's key and value end.
    ends: Vec<(usize, usize)>,
}

impl Kept {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    fn row(&self, at: usize) -> (&[u8], &[u8]) {
        let start = if at == 0 { 0 } else { self.ends[at - 1].1 };
        let (key_end, end) = self.ends[at];
        (&self.bytes[start..key_end], &self.bytes[key_end..end])
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl Reader {
    /// Begins to read.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read.
    pub fn new(
        plan: Arc<ScanPlan>,
        statement: Arc<StatementContext>,
        batch_rows: usize,
        metrics: BaselineMetrics,
    ) -> Result<Self> {
        let builder = |columns: &[usize], schema: SchemaRef| BatchBuilder::new(&plan.shape.layout, columns, schema);
        let rows = match (&plan.access, &plan.filter) {
            (Access::Index { is_covering: true, .. }, filter) => {
                let columns = covered_columns(&plan, filter.as_ref());
                Rows::Covered {
                    builder: builder(&columns, project(&plan, &columns)),
                    values: vec![Value::Null; plan.shape.layout.len()],
                }
            }
            (_, None) => Rows::All(builder(&plan.projection, plan.schema.clone())),
            (_, Some(filter)) => Rows::Filtered {
                tested: builder(&filter.columns, project(&plan, &filter.columns)),
                output: builder(&plan.projection, plan.schema.clone()),
                kept: Kept::default(),
            },
        };
        let source = match &plan.access {
            Access::Rows { range, .. } | Access::Index { range, .. } => {
                Source::Scan(statement.transaction.scan(range, plan.direction)?)
            }
            Access::Keys { .. } => Source::List(0),
        };
        Ok(Self {
            source,
            statement,
            metrics,
            chunk_rows: FIRST_CHUNK_ROWS.min(batch_rows),
            batch_rows,
            rest: plan.limit.unwrap_or(usize::MAX),
            rows,
            plan,
        })
    }

    /// The next rows; None at the end.
    ///
    /// # Errors
    /// The filter's; corrupt for a damaged row; 57014 when cancelled.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.rest > 0 {
            if self.statement.cancellation.is_cancelled() {
                return Err(self.statement.cancellation.error());
            }
            let compute = self.metrics.elapsed_compute().clone();
            let timer = compute.timer();
            let is_end = self.read_chunk()?;
            let batch = self.take(is_end)?;
            timer.done();
            if is_end {
                self.rest = 0;
            }
            if let Some(batch) = batch {
                return Ok(Some(batch.record_output(&self.metrics)));
            }
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    /// Reads the next keys; true at the end of the range.
    fn read_chunk(&mut self) -> Result<bool> {
        let is_filtered = self.plan.filter.is_some();
        let wanted = match is_filtered {
            true => self.chunk_rows,
            false => self.chunk_rows.min(self.rest),
        };
        self.chunk_rows = (self.chunk_rows * 4).min(self.batch_rows);
        let plan = self.plan.clone();
        let is_end = match (&plan.access, &self.rows) {
            (Access::Keys { keys }, _) => self.read_listed(keys, wanted),
            (Access::Index { is_covering: false, .. }, _) => self.read_indexed(wanted),
            _ => self.read_in_order(wanted),
        };
        is_end.map_err(|error| self.damaged(error))
    }

    /// Takes the next rows of a list of keys; true at its end.
    fn read_listed(&mut self, keys: &[Arc<[u8]>], wanted: usize) -> Result<bool> {
        let Source::List(next) = &mut self.source else {
            return Err(Error::internal("a range is not the way to listed rows"));
        };
        let from = (*next).min(keys.len());
        let to = keys.len().min(from + wanted);
        *next = to;
        for keys in keys[from..to].chunks(LOOKUP_ROWS) {
            let rows = self.statement.transaction.get_many(keys)?;
            for (key, row) in keys.iter().zip(rows) {
                if let Some(row) = row {
                    self.rows.push(&self.plan, key, &row)?;
                }
            }
        }
        Ok(to - from < wanted)
    }

    /// Takes the next rows that entries of an index name; true at the end of the range.
    fn read_indexed(&mut self, wanted: usize) -> Result<bool> {
        let plan = &self.plan;
        let (Source::Scan(scan), Access::Index { keys, .. }) = (&mut self.source, &plan.access) else {
            return Err(Error::internal("a list of keys is not the way to these rows"));
        };
        let shape = &plan.shape;
        let mut rest = wanted;
        while rest > 0 {
            let step = rest.min(LOOKUP_ROWS);
            let mut row_keys: Vec<Vec<u8>> = Vec::with_capacity(step);
            while row_keys.len() < step && scan.advance()? {
                let mut key = Vec::new();
                shape
                    .keys
                    .row_of_entry(keys, &shape.layout, scan.key(), scan.value(), &mut key)?;
                row_keys.push(key);
            }
            let rows = self.statement.transaction.get_many(&row_keys)?;
            for (key, row) in row_keys.iter().zip(rows) {
                let row = row.ok_or_else(|| {
                    Error::corrupt(format!(
                        "index \"{}\" has an entry of a row that is not there",
                        keys.name()
                    ))
                })?;
                self.rows.push(plan, key, &row)?;
            }
            if row_keys.len() < step {
                return Ok(true);
            }
            rest -= step;
        }
        Ok(false)
    }

    /// Takes the next rows, or entries that hold all that is wanted, of a range; true at its end.
    fn read_in_order(&mut self, wanted: usize) -> Result<bool> {
        let plan = &self.plan;
        let Source::Scan(scan) = &mut self.source else {
            return Err(Error::internal("a list of keys is not the way to these rows"));
        };
        let shape = &plan.shape;
        for _ in 0..wanted {
            if !scan.advance()? {
                return Ok(true);
            }
            let (key, value) = (scan.key(), scan.value());
            match (&mut self.rows, &plan.access) {
                (Rows::Covered { builder, values }, Access::Index { keys, .. }) => {
                    shape.keys.values_of_entry(keys, &shape.layout, key, value, values)?;
                    builder.push_values(values)?;
                }
                (rows, _) => rows.push(plan, key, value)?,
            }
        }
        Ok(false)
    }

    fn damaged(&self, error: Error) -> Error {
        match error.kind() {
            aion_base::ErrorKind::Corrupt => Error::new(error.kind(), SqlState::DATA_CORRUPTED, error.message())
                .with_table(self.plan.shape.descriptor.name.clone()),
            _ => error,
        }
    }

    /// What has gathered, if it is worth handing on.
    fn take(&mut self, is_end: bool) -> Result<Option<RecordBatch>> {
        let plan = &self.plan;
        let batch = match &mut self.rows {
            Rows::All(builder) => builder.finish()?,
            Rows::Covered { builder, .. } => {
                let batch = builder.finish()?;
                let columns = covered_columns(plan, plan.filter.as_ref());
                let batch = match &plan.filter {
                    None => batch,
                    Some(filter) => {
                        let tested = project_batch(&batch, &columns, &filter.columns)?;
                        let mask = mask(filter, &tested)?;
                        filter_record_batch(&batch, &mask).map_err(|error| translate(error.into(), ""))?
                    }
                };
                project_batch(&batch, &columns, &plan.projection)?
            }
            Rows::Filtered { tested, output, kept } => {
                let filter = plan.filter.as_ref().expect("made with a filter");
                let batch = tested.finish()?;
                let mask = mask(filter, &batch)?;
                for at in mask.values().set_indices() {
                    if mask.is_valid(at) && output.len() < self.rest {
                        let (key, value) = kept.row(at);
                        output.push(&plan.shape.layout, key, value)?;
                    }
                }
                kept.clear();
                // A full batch, or the last: small ones cost every operator above.
                if output.len() < self.batch_rows / 2 && output.len() < self.rest && !is_end {
                    // Whoever waits for a few rows gets them at once.
                    if output.len() == 0 || self.chunk_rows >= self.batch_rows {
                        return Ok(None);
                    }
                }
                output.finish()?
            }
        };
        let batch = batch.slice(0, batch.num_rows().min(self.rest));
        self.rest -= batch.num_rows();
        Ok((batch.num_rows() > 0).then_some(batch))
    }
}

impl Rows {
    fn push(&mut self, plan: &ScanPlan, key: &[u8], value: &[u8]) -> Result<()> {
        match self {
            Self::All(builder) => builder.push(&plan.shape.layout, key, value),
            Self::Filtered { tested, kept, .. } => {
                kept.push(key, value);
                tested.push(&plan.shape.layout, key, value)
            }
            Self::Covered { .. } => Err(Error::internal("a covering index needs no rows")),
        }
    }
}

/// The columns of the result and of the filter, each once.
fn covered_columns(plan: &ScanPlan, filter: Option<&Filter>) -> Vec<usize> {
    let mut columns = plan.projection.clone();
    columns.extend(filter.iter().flat_map(|filter| filter.columns.iter().copied()));
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn project(plan: &ScanPlan, columns: &[usize]) -> SchemaRef {
    let schema = plan.shape.schema_with_key.project(columns);
    Arc::new(schema.expect("the positions are the planner's"))
}

/// The columns at `wanted` of a batch whose columns are at `columns`; positions in the table.
fn project_batch(batch: &RecordBatch, columns: &[usize], wanted: &[usize]) -> Result<RecordBatch> {
    let places: Vec<usize> = wanted
        .iter()
        .filter_map(|wanted| columns.iter().position(|there| there == wanted))
        .collect();
    batch.project(&places).map_err(|error| translate(error.into(), ""))
}

fn mask(filter: &Filter, batch: &RecordBatch) -> Result<BooleanArray> {
    let evaluated = filter
        .predicate
        .evaluate(batch)
        .and_then(|value| value.into_array(batch.num_rows()))
        .map_err(|error| translate(error, ""))?;
    let mask = evaluated.as_any().downcast_ref::<BooleanArray>();
    mask.cloned()
        .ok_or_else(|| Error::internal("a filter gives something that is no boolean"))
}
