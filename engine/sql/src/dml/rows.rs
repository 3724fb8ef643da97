//! Rows and their index entries, written into a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aion_base::clock::{Clock, SystemClock};
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::IndexDescriptor;
use aion_catalog::keys::{IndexEntry, ROWS};
use aion_catalog::row::RowReader;

use super::row_index::{RowIndex, shown_column};
use crate::system::quoted;
use crate::table::TableShape;
use crate::transaction::Transaction;

/// Writes rows, one by one, with their index entries.
pub struct RowWrites {
    shape: Arc<TableShape>,
    transaction: Arc<Transaction>,
    indexes: Vec<RowIndex>,
    /// For the rows and for each index the last key that is there; None where nobody looked.
    last_keys: Option<LastKeys>,
    key: Vec<u8>,
    entry: IndexEntry,
    /// Of a row that is being replaced, which indexes' entries stay; empty otherwise.
    kept: Vec<bool>,
}

/// The last key of the rows and of each index that was committed, or was written here since, empty where there is none: what lies
/// behind it is absent without a look.
struct LastKeys {
    rows: Vec<u8>,
    indexes: Vec<Vec<u8>>,
}

impl RowWrites {
    /// Writes into a table.
    ///
    /// # Errors
    /// Where the text of an index can no longer be planned.
    pub fn new(shape: &Arc<TableShape>, transaction: &Arc<Transaction>) -> Result<Self> {
        Ok(Self::over(shape, RowIndex::all(shape)?, transaction))
    }

    /// Fills one index of a table.
    ///
    /// # Errors
    /// As [`RowWrites::new`].
    pub fn of_index(shape: &Arc<TableShape>, index: &IndexDescriptor, transaction: &Arc<Transaction>) -> Result<Self> {
        Ok(Self::over(shape, vec![RowIndex::new(shape, index)?], transaction))
    }

    fn over(shape: &Arc<TableShape>, indexes: Vec<RowIndex>, transaction: &Arc<Transaction>) -> Self {
        Self {
            shape: shape.clone(),
            transaction: transaction.clone(),
            indexes,
            last_keys: None,
            key: Vec::new(),
            entry: IndexEntry::default(),
            kept: Vec::new(),
        }
    }

    /// Writes many rows into a table: looks up once where its keys end, and spares rows behind that a look of their own.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn for_many(shape: &Arc<TableShape>, transaction: &Arc<Transaction>) -> Result<Self> {
        let mut rows = Self::new(shape, transaction)?;
        rows.expect_many()?;
        Ok(rows)
    }

    /// Looks up where its keys end, if nobody has.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn expect_many(&mut self) -> Result<()> {
        if self.last_keys.is_some() {
            return Ok(());
        }
        let table = self.shape.descriptor.storage;
        let last = |index| self.transaction.last_committed_key(&KeyRange::index(table, index));
        let indexes = self.indexes.iter().map(|index| last(index.keys().id()));
        self.last_keys = Some(LastKeys {
            rows: last(ROWS)?,
            indexes: indexes.collect::<Result<_>>()?,
        });
        Ok(())
    }

    /// Writes from here on into another transaction.
    pub fn write_into(&mut self, transaction: &Arc<Transaction>) {
        self.transaction = transaction.clone();
    }

    /// Goes on in another storage of the table, into which all that was written here has moved.
    ///
    /// # Errors
    /// As [`RowWrites::new`].
    pub fn move_to(&mut self, shape: &Arc<TableShape>, transaction: &Arc<Transaction>) -> Result<()> {
        let storage = shape.descriptor.storage.0.to_be_bytes();
        if let Some(last) = &mut self.last_keys {
            for key in std::iter::once(&mut last.rows).chain(&mut last.indexes) {
                if let Some(start) = key.get_mut(..storage.len()) {
                    start.copy_from_slice(&storage);
                }
            }
        }
        self.indexes = RowIndex::all(shape)?;
        self.shape = shape.clone();
        self.transaction = transaction.clone();
        Ok(())
    }

    /// The table.
    pub fn shape(&self) -> &Arc<TableShape> {
        &self.shape
    }

    /// Inserts a row by its bytes.
    ///
    /// # Errors
    /// 23505, and 54000 for a key or a transaction beyond a limit.
    pub fn insert(&mut self, bytes: &[u8]) -> Result<()> {
        let shape = self.shape.clone();
        let row = RowReader::new(&shape.layout, bytes)?;
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
            let is_beyond = self.last_keys.as_ref().is_some_and(|last| self.key > last.rows);
            let is_new = match is_beyond {
                true => self.transaction.insert_beyond(&self.key, bytes)?,
                false => self.transaction.insert(&self.key, bytes)?,
            };
            if is_new {
                if let Some(last) = self.last_keys.as_mut().filter(|_| is_beyond) {
                    last.rows.clone_from(&self.key);
                }
                break;
            }
            // A hidden id may have been given before the clock went back: take the next one.
            if !self.shape.descriptor.has_hidden_row_id() {
                return Err(self.duplicate_row(&row));
            }
        }
        self.add_entries(&row)
    }

    /// Replaces the row at `key`, which is `old`, by `bytes`.
    ///
    /// # Errors
    /// As [`RowWrites::insert`].
    pub fn update(&mut self, key: &[u8], old: &[u8], bytes: &[u8]) -> Result<()> {
        let shape = self.shape.clone();
        let row = RowReader::new(&shape.layout, bytes)?;
        self.key.clear();
        if self.shape.descriptor.has_hidden_row_id() {
            self.key.extend_from_slice(key);
        } else {
            self.shape.keys.row_key(&self.shape.layout, &row, 0, &mut self.key)?;
        }
        self.remove_changed_entries(key, old, &row)?;
        if self.key == key {
            self.transaction.update(key, bytes)?;
        } else {
            self.transaction.delete(key)?;
            if !self.transaction.insert(&self.key, bytes)? {
                return Err(self.duplicate_row(&row));
            }
        }
        let added = self.add_entries(&row);
        self.kept.clear();
        added
    }

    /// Deletes the entries of the row at `key`, which is `old`, but for those that `row`, with its key in `self.key`, has as well: these
    /// are noted in `self.kept`, as are the indexes that have an entry of neither. Who reads a row through an entry reads the row's key,
    /// too, so nobody misses the change.
    fn remove_changed_entries(&mut self, key: &[u8], old: &[u8], row: &RowReader<'_>) -> Result<()> {
        let shape = self.shape.clone();
        let old = RowReader::new(&shape.layout, old)?;
        let mut new = IndexEntry::default();
        self.kept.clear();
        for index in &mut self.indexes {
            let was_there = index.entry(&shape, &old, key, &mut self.entry)?;
            let is_there = index.entry(&shape, row, &self.key, &mut new)?;
            let is_kept = was_there == is_there && (!is_there || new == self.entry);
            if was_there && !is_kept {
                self.transaction.delete(&self.entry.key)?;
            }
            self.kept.push(is_kept);
        }
        Ok(())
    }

    /// Adds the index entries of a row that is there already.
    ///
    /// # Errors
    /// 23505, and 54000 for a key or a transaction beyond a limit.
    pub fn index(&mut self, key: &[u8], bytes: &[u8]) -> Result<()> {
        let shape = self.shape.clone();
        let row = RowReader::new(&shape.layout, bytes)?;
        self.key.clear();
        self.key.extend_from_slice(key);
        self.add_entries(&row)
    }

    /// As [`RowWrites::index`], of a row that somebody else may have given its entries.
    ///
    /// # Errors
    /// As [`RowWrites::index`].
    pub fn index_if_missing(&mut self, key: &[u8], bytes: &[u8]) -> Result<()> {
        let shape = self.shape.clone();
        let row = RowReader::new(&shape.layout, bytes)?;
        for index in &mut self.indexes {
            if !index.entry(&shape, &row, key, &mut self.entry)? {
                continue;
            }
            match self.transaction.get(&self.entry.key)? {
                Some(there) if *there == *self.entry.value => {}
                Some(_) => {
                    let parts = index.shown(&shape, &row)?;
                    return Err(duplicate(&shape, index.keys().name(), parts));
                }
                None => drop(self.transaction.insert(&self.entry.key, &self.entry.value)?),
            }
        }
        Ok(())
    }

    /// Adds the index entries of a row whose key is in `self.key`, but for those that were kept.
    fn add_entries(&mut self, row: &RowReader<'_>) -> Result<()> {
        let entry = &mut self.entry;
        for (at, index) in self.indexes.iter_mut().enumerate() {
            if self.kept.get(at) == Some(&true) || !index.entry(&self.shape, row, &self.key, entry)? {
                continue;
            }
            let last = self.last_keys.as_ref().map(|last| &last.indexes[at]);
            let is_beyond = last.is_some_and(|last| entry.key > *last);
            let is_new = match is_beyond {
                true => self.transaction.insert_beyond(&entry.key, &entry.value)?,
                false => self.transaction.insert(&entry.key, &entry.value)?,
            };
            if let Some(last) = self.last_keys.as_mut().filter(|_| is_beyond) {
                last.indexes[at].clone_from(&entry.key);
            }
            if !is_new {
                if !entry.is_unique {
                    return Err(Error::internal("an index has an entry of a row that was not there"));
                }
                let parts = index.shown(&self.shape, row)?;
                return Err(duplicate(&self.shape, index.keys().name(), parts));
            }
        }
        Ok(())
    }

    /// Deletes the row at `key`, which is `old`.
    ///
    /// # Errors
    /// 54000 for a transaction beyond a limit.
    pub fn delete(&mut self, key: &[u8], old: &[u8]) -> Result<()> {
        self.remove_entries(key, old)?;
        self.transaction.delete(key)
    }

    fn remove_entries(&mut self, key: &[u8], old: &[u8]) -> Result<()> {
        let shape = self.shape.clone();
        let row = RowReader::new(&shape.layout, old)?;
        for index in &mut self.indexes {
            if index.entry(&shape, &row, key, &mut self.entry)? {
                self.transaction.delete(&self.entry.key)?;
            }
        }
        Ok(())
    }

    /// 23505 for a row whose primary key is taken.
    fn duplicate_row(&self, row: &RowReader<'_>) -> Error {
        let table = &self.shape.descriptor;
        let name = table.primary_key_name.as_deref().unwrap_or("primary key");
        let columns = table.primary_key_positions().into_iter();
        let parts = columns.map(|column| {
            (
                quoted(&table.columns[column].name),
                shown_column(&self.shape, row, column),
            )
        });
        duplicate(&self.shape, name, parts.collect())
    }
}

/// 23505 with what is there already: each part of the key, and its value.
fn duplicate(shape: &TableShape, constraint: &str, parts: Vec<(String, String)>) -> Error {
    let table = &shape.descriptor;
    let (names, values): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
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
