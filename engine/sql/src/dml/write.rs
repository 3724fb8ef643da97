//! Writing the rows of a change into the transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use datafusion::arrow::array::{Array, BinaryArray, BooleanArray, Int64Array};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::record_batch::RecordBatch;

use super::encode::RowEncoder;
use super::merge::{Action, Merge};
use super::returning;
use super::rows::RowWrites;
use super::rules::failing_row;
use super::{Change, ChangeKind};
use crate::error::translate;
use crate::references::{Busy, Leaving, Ties};
use crate::table::{BatchBuilder, TableShape};
use crate::transaction::{Transaction, Waiting};

/// Rows of an INSERT from which on it pays to look for the end of the keys: that costs as much as looking for some rows.
const MANY_ROWS: usize = 16;

/// What a change did.
#[derive(Debug)]
pub struct Written {
    /// Rows changed.
    pub count: u64,
    /// Those rows, for RETURNING: as they are now, for DELETE as they were.
    pub rows: Option<RecordBatch>,
    /// Beside each of them, where RETURNING may name them: the columns of the tables that the change was joined with.
    pub others: Option<RecordBatch>,
    /// Of an INSERT ... ON CONFLICT: which of them were there, and were updated.
    pub updated: Vec<bool>,
}

/// How a change ended.
#[derive(Debug)]
pub enum Ran {
    /// It is done.
    Written(Written),
    /// A foreign key's action is to change a row that somebody else has, or has changed. Nothing was written: the statement is to wait
    /// for the row, and to begin again.
    Busy(Busy),
}

/// Applies a change to the rows of its source. All or nothing: after an error the transaction is as before.
///
/// # Errors
/// 23502, 23503, 23505 and what else a row may violate.
pub fn run(change: &Change, source: &[RecordBatch], transaction: &Arc<Transaction>, waiting: &Waiting) -> Result<Ran> {
    let mut taken = Vec::new();
    let mut ran = all_or_nothing(Writer::new(change, transaction, waiting)?, |writer| {
        for (at, batch) in source.iter().enumerate() {
            match change.kind {
                ChangeKind::Insert => writer.insert(&checked(change, batch, 0)?)?,
                ChangeKind::Update => writer.update(&checked(change, batch, 1)?)?,
                ChangeKind::Delete => writer.delete(batch)?,
            }
            taken.extend(writer.taken.drain(..).map(|row| (at, row)));
        }
        Ok(())
    })?;
    if let Ran::Written(written) = &mut ran
        && written.rows.is_some()
    {
        let columns = change.shape.descriptor.columns.len();
        written.others = match change.kind {
            ChangeKind::Insert => None,
            ChangeKind::Update => returning::taken(source, 1 + columns, &taken)?,
            ChangeKind::Delete => returning::taken(source, 1, &taken)?,
        };
    }
    Ok(ran)
}

fn all_or_nothing<'a>(mut writer: Writer<'a>, write: impl FnOnce(&mut Writer<'a>) -> Result<()>) -> Result<Ran> {
    let transaction = writer.transaction;
    if let Some(leaving) = &writer.leaving {
        leaving.depend()?;
    }
    transaction.save();
    let finished = write(&mut writer).and_then(|()| writer.finish());
    if !matches!(finished, Ok(Ran::Written(_))) {
        transaction.restore();
    }
    finished
}

/// A row of a change by its bytes, which are fit for its columns; its table has no rules.
#[derive(Debug)]
pub enum Encoded {
    /// A new one.
    New(Vec<u8>),
    /// What the row at `key` becomes.
    Changed {
        /// Its key.
        key: Vec<u8>,
        /// Its new bytes.
        bytes: Vec<u8>,
    },
}

/// As [`run`], for rows that are encoded.
///
/// # Errors
/// As [`run`].
pub fn run_encoded(
    change: &Change,
    rows: Vec<Encoded>,
    transaction: &Arc<Transaction>,
    waiting: &Waiting,
) -> Result<Ran> {
    all_or_nothing(Writer::new(change, transaction, waiting)?, |writer| {
        writer.encoded(rows)
    })
}

/// One row of an INSERT ... ON CONFLICT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// It is inserted, by its bytes.
    Insert(&'a [u8]),
    /// The row that has its key gets new values: those of this row of this batch.
    Update {
        /// Counted from 0.
        batch: usize,
        /// Counted from 0.
        row: usize,
    },
}

/// As [`run`], for an INSERT that updates some rows instead. `updated` has their keys and new values; the rows to be inserted have been
/// checked.
///
/// # Errors
/// As [`run`].
pub fn run_steps(
    change: &Change,
    steps: &[Step<'_>],
    updated: &[RecordBatch],
    transaction: &Arc<Transaction>,
    waiting: &Waiting,
) -> Result<Ran> {
    all_or_nothing(Writer::new(change, transaction, waiting)?, |writer| {
        let updated = updated.iter().map(|batch| checked(change, batch, 1));
        writer.steps(steps, &updated.collect::<Result<Vec<_>>>()?)
    })
}

/// As [`run`], for a MERGE.
///
/// # Errors
/// As [`run`], and 21000 where two rows of the source would change one of the target.
pub fn run_merge(
    merge: &Merge,
    pairs: &[RecordBatch],
    transaction: &Arc<Transaction>,
    waiting: &Waiting,
) -> Result<Ran> {
    let writer = Writer::over(&merge.shape, false, merge.ties.as_deref(), transaction, waiting)?;
    all_or_nothing(writer, |writer| {
        pairs.iter().try_for_each(|batch| writer.merge(merge, batch))
    })
}

/// The rows of a batch, whose columns from `first` on are the table's, with what is computed of them; all of them fulfil the rules of a change.
///
/// # Errors
/// 23514, and what a condition or an expression may fail with.
pub fn checked(change: &Change, batch: &RecordBatch, first: usize) -> Result<RecordBatch> {
    let Some(rules) = &change.rules else {
        return Ok(batch.clone());
    };
    let batch = rules.complete(&change.shape, batch, first)?;
    rules.check(&change.shape, &batch, first)?;
    Ok(batch)
}

struct Writer<'a> {
    shape: &'a TableShape,
    transaction: &'a Transaction,
    rows: RowWrites,
    /// What foreign keys are to be told.
    leaving: Option<Leaving<'a>>,
    returned: Option<BatchBuilder>,
    /// Rows of the batch that were taken, for RETURNING.
    taken: Vec<usize>,
    /// Of each row of an INSERT ... ON CONFLICT that was written.
    updated: Vec<bool>,
    count: u64,
    /// Keys that an UPDATE or DELETE has met: a row is changed once.
    met: BTreeSet<Vec<u8>>,
    row: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(change: &'a Change, transaction: &'a Arc<Transaction>, waiting: &'a Waiting) -> Result<Self> {
        let ties = change.ties.as_deref();
        Self::over(&change.shape, change.returning.is_some(), ties, transaction, waiting)
    }

    fn over(
        shape: &'a Arc<TableShape>,
        is_returning: bool,
        ties: Option<&'a Ties>,
        transaction: &'a Arc<Transaction>,
        waiting: &'a Waiting,
    ) -> Result<Self> {
        let projection: Vec<usize> = (0..shape.descriptor.columns.len()).collect();
        let builder = || BatchBuilder::new(&shape.layout, &projection, shape.schema.clone());
        Ok(Self {
            shape,
            transaction,
            rows: RowWrites::new(shape, transaction)?,
            leaving: ties.map(|ties| Leaving::new(ties, transaction, waiting)),
            returned: is_returning.then(builder),
            taken: Vec::new(),
            updated: Vec::new(),
            count: 0,
            met: BTreeSet::new(),
            row: Vec::new(),
        })
    }

    fn insert(&mut self, batch: &RecordBatch) -> Result<()> {
        let encoder = RowEncoder::new(self.shape, batch, 0)?;
        self.expect(batch.num_rows())?;
        for row in 0..batch.num_rows() {
            self.encode(&encoder, batch, 0, row)?;
            self.insert_row()?;
        }
        Ok(())
    }

    /// Inserts the row that is in `self.row`.
    fn insert_row(&mut self) -> Result<()> {
        self.rows.insert(&self.row)?;
        if let Some(leaving) = &mut self.leaving {
            leaving.inserted(&self.row)?;
        }
        self.count_row(None)
    }

    /// Makes a row what is in `self.row`.
    fn replace_row(&mut self, key: &[u8], old: &[u8]) -> Result<()> {
        self.rows.update(key, old, &self.row)?;
        if let Some(leaving) = &mut self.leaving {
            leaving.updated(old, &self.row)?;
        }
        self.count_row(None)
    }

    fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = key_column(batch)?;
        let encoder = RowEncoder::new(self.shape, batch, 1)?;
        for row in 0..batch.num_rows() {
            self.update_row(keys.value(row), &encoder, batch, row)?;
        }
        Ok(())
    }

    fn update_row(&mut self, key: &[u8], encoder: &RowEncoder<'_>, batch: &RecordBatch, row: usize) -> Result<()> {
        if let Some(old) = self.first_meeting(key)? {
            self.encode(encoder, batch, 1, row)?;
            self.replace_row(key, &old)?;
            self.take(row);
        }
        Ok(())
    }

    fn encoded(&mut self, rows: Vec<Encoded>) -> Result<()> {
        if let Some(Encoded::New(_)) = rows.first() {
            self.expect(rows.len())?;
        }
        for row in rows {
            match row {
                Encoded::New(bytes) => {
                    self.row = bytes;
                    self.insert_row()?;
                }
                Encoded::Changed { key, bytes } => {
                    if let Some(old) = self.first_meeting(&key)? {
                        self.row = bytes;
                        self.replace_row(&key, &old)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows are to be inserted. Where the keys end is looked up once if they are many.
    fn expect(&mut self, count: usize) -> Result<()> {
        match count >= MANY_ROWS {
            true => self.rows.expect_many(),
            false => Ok(()),
        }
    }

    fn steps(&mut self, steps: &[Step<'_>], updated: &[RecordBatch]) -> Result<()> {
        let shape = self.shape;
        let sources = updated
            .iter()
            .map(|batch| Ok((key_column(batch)?, RowEncoder::new(shape, batch, 1)?)));
        let sources: Vec<_> = sources.collect::<Result<_>>()?;
        for step in steps {
            match *step {
                Step::Insert(bytes) => {
                    self.row.clear();
                    self.row.extend_from_slice(bytes);
                    self.insert_row()?;
                    self.updated.push(false);
                }
                Step::Update { batch, row } => {
                    let (keys, encoder) = &sources[batch];
                    let count = self.count;
                    self.update_row(keys.value(row), encoder, &updated[batch], row)?;
                    if self.count > count {
                        self.updated.push(true);
                    }
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, merge: &Merge, batch: &RecordBatch) -> Result<()> {
        let pairs = Pairs::new(merge, batch)?;
        let mut batch = batch.clone();
        if let Some(rules) = &merge.rules {
            let is_written = |row| matches!(pairs.action(row), Action::Insert | Action::Update);
            let written: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_written(row))).collect();
            batch = rules.complete_some(self.shape, &batch, Pairs::VALUES, &written)?;
            let written = filter_record_batch(&batch, &written).map_err(|error| translate(error.into(), ""))?;
            rules.check(self.shape, &written, Pairs::VALUES)?;
        }
        let batch = &batch;
        let encoder = RowEncoder::new(self.shape, batch, Pairs::VALUES)?;
        for row in 0..batch.num_rows() {
            match pairs.action(row) {
                Action::Nothing => continue,
                Action::Insert => {
                    self.encode(&encoder, batch, Pairs::VALUES, row)?;
                    self.insert_row()?;
                }
                Action::Update => {
                    let key = pairs.key(row)?;
                    let old = self.first_meeting(key)?.ok_or_else(second_time)?;
                    self.encode(&encoder, batch, Pairs::VALUES, row)?;
                    self.replace_row(key, &old)?;
                }
                Action::Delete => {
                    let key = pairs.key(row)?;
                    let old = self.first_meeting(key)?.ok_or_else(second_time)?;
                    self.delete_row(key, &old)?;
                }
            }
        }
        Ok(())
    }

    /// Puts the bytes of a row, whose columns stand in the batch from `first` on, into `self.row`.
    fn encode(&mut self, encoder: &RowEncoder<'_>, batch: &RecordBatch, first: usize, row: usize) -> Result<()> {
        self.row.clear();
        encoder.encode(row, &mut self.row).map_err(|error| match error.state() {
            SqlState::NOT_NULL_VIOLATION => error.with_detail(failing_row(self.shape, &batch.columns()[first..], row)),
            _ => error,
        })
    }

    fn delete_row(&mut self, key: &[u8], old: &[u8]) -> Result<()> {
        self.rows.delete(key, old)?;
        if let Some(leaving) = &mut self.leaving {
            leaving.deleted(old)?;
        }
        self.count_row(Some(old))
    }

    fn delete(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = key_column(batch)?;
        for row in 0..batch.num_rows() {
            let key = keys.value(row);
            if let Some(old) = self.first_meeting(key)? {
                self.delete_row(key, &old)?;
                self.take(row);
            }
        }
        Ok(())
    }

    /// Notes that a row of the batch was taken.
    fn take(&mut self, row: usize) {
        if self.returned.is_some() {
            self.taken.push(row);
        }
    }

    /// The row at `key` as it is; None when this change has met it before.
    fn first_meeting(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>> {
        if !self.met.insert(key.to_vec()) {
            return Ok(None);
        }
        match self.transaction.get(key)? {
            Some(old) => Ok(Some(old)),
            None => Err(Error::internal("a row that was read is gone")),
        }
    }

    fn count_row(&mut self, old: Option<&[u8]>) -> Result<()> {
        self.count += 1;
        match &mut self.returned {
            Some(builder) => builder.push(&self.shape.layout, &[], old.unwrap_or(&self.row)),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<Ran> {
        if let Some(leaving) = self.leaving.take()
            && let Some(busy) = leaving.settle()?
        {
            return Ok(Ran::Busy(busy));
        }
        let rows = self.returned.as_mut().map(BatchBuilder::finish).transpose()?;
        Ok(Ran::Written(Written {
            count: self.count,
            rows,
            others: None,
            updated: std::mem::take(&mut self.updated),
        }))
    }
}

/// The keys of the rows that a change is about to change, in the order of its source.
///
/// # Errors
/// Internal, for a source without keys.
pub fn keys<'a>(change: &Change, source: &'a [RecordBatch]) -> Result<Vec<&'a [u8]>> {
    if change.kind == ChangeKind::Insert {
        return Ok(Vec::new());
    }
    let mut keys = Vec::new();
    for batch in source {
        keys.extend(key_column(batch)?.iter().flatten());
    }
    Ok(keys)
}

/// The keys of the rows that a MERGE is about to change, in order.
///
/// # Errors
/// Internal, for pairs without keys.
pub fn merged_keys<'a>(merge: &Merge, pairs: &'a [RecordBatch]) -> Result<Vec<&'a [u8]>> {
    let mut keys = Vec::new();
    for batch in pairs {
        let pairs = Pairs::new(merge, batch)?;
        for row in 0..batch.num_rows() {
            if matches!(pairs.action(row), Action::Update | Action::Delete) {
                keys.push(pairs.key(row)?);
            }
        }
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// A batch of the pairs of a MERGE.
struct Pairs<'a> {
    keys: &'a BinaryArray,
    clauses: &'a Int64Array,
    actions: Vec<Action>,
}

impl<'a> Pairs<'a> {
    /// The first column of values.
    const VALUES: usize = 2;

    fn new(merge: &Merge, batch: &'a RecordBatch) -> Result<Self> {
        let column = |at: usize| batch.columns().get(at).map(|array| array.as_any());
        let keys = column(0).and_then(|array| array.downcast_ref::<BinaryArray>());
        let clauses = column(1).and_then(|array| array.downcast_ref::<Int64Array>());
        match (keys, clauses) {
            (Some(keys), Some(clauses)) => Ok(Self {
                keys,
                clauses,
                actions: merge.actions.clone(),
            }),
            _ => Err(Error::internal("the pairs of a MERGE have no keys or no clauses")),
        }
    }

    /// What is done with a pair.
    fn action(&self, row: usize) -> Action {
        let clause = self.clauses.is_valid(row).then(|| self.clauses.value(row));
        let clause = clause.and_then(|clause| usize::try_from(clause).ok());
        let action = clause.and_then(|clause| self.actions.get(clause));
        action.copied().unwrap_or(Action::Nothing)
    }

    fn key(&self, row: usize) -> Result<&'a [u8]> {
        match self.keys.is_valid(row) {
            true => Ok(self.keys.value(row)),
            false => Err(Error::internal("a row that is to be changed has no key")),
        }
    }
}

fn second_time() -> Error {
    Error::invalid(
        SqlState::CARDINALITY_VIOLATION,
        "MERGE command cannot affect row a second time",
    )
    .with_hint("Ensure that not more than one source row matches any one target row.")
}

fn key_column(batch: &RecordBatch) -> Result<&BinaryArray> {
    let keys = batch
        .columns()
        .first()
        .and_then(|array| array.as_any().downcast_ref::<BinaryArray>());
    keys.filter(|keys| keys.null_count() == 0)
        .ok_or_else(|| Error::internal("the source of a change has no keys"))
}
