//! Writing the rows of a change into the transaction.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};

use aion_base::clock::{Clock, SystemClock};
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::IndexMethod;
use aion_catalog::keys::{IndexEntry, IndexKeys};
use aion_catalog::row::RowReader;
use datafusion::arrow::array::{Array, BinaryArray};
use datafusion::arrow::record_batch::RecordBatch;

use super::encode::RowEncoder;
use super::{Change, ChangeKind};
use crate::table::{BatchBuilder, TableShape};
use crate::transaction::Transaction;

/// What a change did.
#[derive(Debug)]
pub struct Written {
    /// Rows changed.
    pub count: u64,
    /// Those rows, for RETURNING: as they are now, for DELETE as they were.
    pub rows: Option<RecordBatch>,
}

/// Applies a change to the rows of its source. All or nothing: after an error the transaction is as before.
///
/// # Errors
/// 23502, 23505 and what else a row may violate.
pub fn run(change: &Change, source: &[RecordBatch], transaction: &Transaction) -> Result<Written> {
    let saved = transaction.save();
    let mut writer = Writer::new(change, transaction);
    let result = source.iter().try_for_each(|batch| match change.kind {
        ChangeKind::Insert => writer.insert(batch),
        ChangeKind::Update => writer.update(batch),
        ChangeKind::Delete => writer.delete(batch),
    });
    let finished = result.and_then(|()| writer.finish());
    if finished.is_err() {
        transaction.restore(saved);
    }
    finished
}

struct Writer<'a> {
    shape: &'a TableShape,
    transaction: &'a Transaction,
    indexes: Vec<IndexKeys>,
    returned: Option<BatchBuilder>,
    count: u64,
    /// Keys that an UPDATE or DELETE has met: a row is changed once.
    met: BTreeSet<Vec<u8>>,
    key: Vec<u8>,
    row: Vec<u8>,
    entry: IndexEntry,
}

impl<'a> Writer<'a> {
    fn new(change: &'a Change, transaction: &'a Transaction) -> Self {
        let shape = &*change.shape;
        let table = &shape.descriptor;
        let ordered = table
            .indexes
            .iter()
            .filter(|index| index.method == IndexMethod::Ordered);
        let projection: Vec<usize> = (0..table.columns.len()).collect();
        let builder = || BatchBuilder::new(&shape.layout, &projection, shape.schema.clone());
        Self {
            shape,
            transaction,
            indexes: ordered.map(|index| IndexKeys::new(table, index)).collect(),
            returned: change.returning.is_some().then(builder),
            count: 0,
            met: BTreeSet::new(),
            key: Vec::new(),
            row: Vec::new(),
            entry: IndexEntry::default(),
        }
    }

    fn insert(&mut self, batch: &RecordBatch) -> Result<()> {
        let encoder = RowEncoder::new(self.shape, batch, 0)?;
        for row in 0..batch.num_rows() {
            self.row.clear();
            encoder.encode(row, &mut self.row)?;
            self.insert_row()?;
            self.count_row(None)?;
        }
        Ok(())
    }

    fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = key_column(batch)?;
        let encoder = RowEncoder::new(self.shape, batch, 1)?;
        for row in 0..batch.num_rows() {
            if !self.met.insert(keys.value(row).to_vec()) {
                continue;
            }
            let Some(old) = self.transaction.get(keys.value(row))? else {
                return Err(Error::internal("a row that was read is gone"));
            };
            self.row.clear();
            encoder.encode(row, &mut self.row)?;
            self.update_row(keys.value(row), &old)?;
            self.count_row(None)?;
        }
        Ok(())
    }

    fn delete(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = key_column(batch)?;
        for row in 0..batch.num_rows() {
            let key = keys.value(row);
            if !self.met.insert(key.to_vec()) {
                continue;
            }
            let Some(old) = self.transaction.get(key)? else {
                return Err(Error::internal("a row that was read is gone"));
            };
            self.remove_entries(key, &old)?;
            self.transaction.delete(key)?;
            self.count_row(Some(&old))?;
        }
        Ok(())
    }

    /// Inserts the row in `self.row`.
    fn insert_row(&mut self) -> Result<()> {
        let row = RowReader::new(&self.shape.layout, &self.row)?;
        loop {
            self.key.clear();
            let row_id = if self.shape.descriptor.has_hidden_row_id() {
                next_row_id()
            } else {
                0
            };
            self.shape
                .keys
                .row_key(&self.shape.layout, &row, row_id, &mut self.key)?;
            if self.transaction.insert(&self.key, &self.row)? {
                break;
            }
            // A hidden id may have been given before the clock went back: take the next one.
            if !self.shape.descriptor.has_hidden_row_id() {
                let positions = self.shape.descriptor.primary_key_positions();
                let name = self
                    .shape
                    .descriptor
                    .primary_key_name
                    .as_deref()
                    .unwrap_or("primary key");
                return Err(self.duplicate(name, &positions, &row));
            }
        }
        self.add_entries(&row)
    }

    /// Replaces the row at `key`, which is `old`, by the one in `self.row`.
    fn update_row(&mut self, key: &[u8], old: &[u8]) -> Result<()> {
        self.remove_entries(key, old)?;
        let row = RowReader::new(&self.shape.layout, &self.row)?;
        self.key.clear();
        if self.shape.descriptor.has_hidden_row_id() {
            self.key.extend_from_slice(key);
        } else {
            self.shape.keys.row_key(&self.shape.layout, &row, 0, &mut self.key)?;
        }
        if self.key == key {
            self.transaction.update(key, &self.row)?;
        } else {
            self.transaction.delete(key)?;
            if !self.transaction.insert(&self.key, &self.row)? {
                let positions = self.shape.descriptor.primary_key_positions();
                let name = self
                    .shape
                    .descriptor
                    .primary_key_name
                    .as_deref()
                    .unwrap_or("primary key");
                return Err(self.duplicate(name, &positions, &row));
            }
        }
        self.add_entries(&row)
    }

    /// Adds the index entries of the row in `self.row`, whose key is in `self.key`.
    fn add_entries(&self, row: &RowReader<'_>) -> Result<()> {
        let mut entry = IndexEntry::default();
        for (at, index) in self.indexes.iter().enumerate() {
            self.shape
                .keys
                .index_entry(index, &self.shape.layout, row, &self.key, &mut entry)?;
            if !self.transaction.insert(&entry.key, &entry.value)? {
                if !entry.is_unique {
                    return Err(Error::internal("an index has an entry of a row that was not there"));
                }
                let table = &self.shape.descriptor;
                let ordered: Vec<_> = table
                    .indexes
                    .iter()
                    .filter(|index| index.method == IndexMethod::Ordered)
                    .collect();
                let columns = ordered[at]
                    .columns
                    .iter()
                    .filter_map(|column| table.position_of(column.column));
                return Err(self.duplicate(&ordered[at].name, &columns.collect::<Vec<_>>(), row));
            }
        }
        Ok(())
    }

    fn remove_entries(&mut self, key: &[u8], old: &[u8]) -> Result<()> {
        let row = RowReader::new(&self.shape.layout, old)?;
        for index in &self.indexes {
            self.shape
                .keys
                .index_entry(index, &self.shape.layout, &row, key, &mut self.entry)?;
            self.transaction.delete(&self.entry.key)?;
        }
        Ok(())
    }

    fn count_row(&mut self, old: Option<&[u8]>) -> Result<()> {
        self.count += 1;
        match &mut self.returned {
            Some(builder) => builder.push(&self.shape.layout, &[], old.unwrap_or(&self.row)),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<Written> {
        let rows = self.returned.as_mut().map(BatchBuilder::finish).transpose()?;
        Ok(Written {
            count: self.count,
            rows,
        })
    }

    /// 23505 with the values that are there already.
    fn duplicate(&self, constraint: &str, columns: &[usize], row: &RowReader<'_>) -> Error {
        let table = &self.shape.descriptor;
        let names: Vec<_> = columns
            .iter()
            .map(|&column| table.columns[column].name.as_str())
            .collect();
        let values: Vec<_> = columns.iter().map(|&column| show(self.shape, row, column)).collect();
        Error::conflict(
            SqlState::UNIQUE_VIOLATION,
            format!("duplicate key value violates unique constraint \"{constraint}\""),
        )
        .with_detail(format!(
            "Key ({})=({}) already exists.",
            names.join(", "),
            values.join(", ")
        ))
        .with_schema(table.schema.clone())
        .with_table(table.name.clone())
        .with_constraint(constraint)
    }
}

/// A column's value as text.
fn show(shape: &TableShape, row: &RowReader<'_>, column: usize) -> String {
    let mut builder = match shape.schema.project(&[column]) {
        Ok(schema) => BatchBuilder::new(&shape.layout, &[column], std::sync::Arc::new(schema)),
        Err(_) => return "?".to_owned(),
    };
    let batch = builder.push_row(row, &[]).and_then(|()| builder.finish());
    let shown = batch
        .ok()
        .and_then(|batch| datafusion::arrow::util::display::array_value_to_string(batch.column(0), 0).ok());
    shown.unwrap_or_else(|| "?".to_owned())
}

fn key_column(batch: &RecordBatch) -> Result<&BinaryArray> {
    let keys = batch
        .columns()
        .first()
        .and_then(|array| array.as_any().downcast_ref::<BinaryArray>());
    keys.filter(|keys| keys.null_count() == 0)
        .ok_or_else(|| Error::internal("the source of a change has no keys"))
}

/// The next hidden row id: rises in this process, and with the clock from one process to the next.
fn next_row_id() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    if LAST.load(Ordering::Relaxed) == 0 {
        // Microseconds in the upper bits leave room for a thousand rows in each.
        let start = (SystemClock::default().wall_micros() as i64) << 10;
        LAST.fetch_max(start, Ordering::Relaxed);
    }
    LAST.fetch_add(1, Ordering::Relaxed)
}
