//! Many rows into one table: into the transaction, or beside it.
//!
//! A transaction holds what it writes in memory, and one commit takes only so much. Rows of a storage that nobody else sees
//! (see [`crate::storages`]) need neither: they are written by commits of their own, some MiB each, while the transaction goes on, and are the
//! table's when it commits. As the log grows, the transaction's view is moved forward with it: it would otherwise be too old to be
//! decided at its end.
//!
//! While keys rise, as those of a file that was sorted do, rows need no commit: they become files beside the log, a *run* ([`super::run`]). A key that
//! lies between others ends it, and so does a table with indexes, whose entries do not rise. A few rows are one commit all the same: it costs less than a file.
//!
//! After a savepoint the rows go into the transaction: what was committed cannot be taken back alone. So do those of a storage that others see, until
//! they are too many for it ([`super::outgrown`]).

use std::sync::Arc;

use aion_base::key::KeyReader;
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::IndexDescriptor;
use aion_storage::{Outcome, Reason, Rejection, Replicator, Ticket};

use super::outgrown::{self, Outgrown};
use super::rows::RowWrites;
use super::run::Run;
use crate::table::TableShape;
use crate::transaction::Transaction;

/// Keys and values of one commit beside the transaction: with what an entry of the log adds to each of them, mostly one entry.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks between two looks whether the transaction still holds.
const CHUNKS_PER_REFRESH: usize = 32;

/// See the module's header.
pub struct ManyRows {
    rows: RowWrites,
    /// None where the rows go into the transaction itself.
    beside: Option<Beside>,
    /// What becomes of them there when they are too many.
    outgrown: Option<Outgrown>,
    transaction: Arc<Transaction>,
}

struct Beside {
    transaction: Arc<Transaction>,
    chunk: Arc<Transaction>,
    chunks: usize,
    /// The answer to the chunk before.
    waiting: Option<Ticket>,
    /// What has come so far rises, and there is more than one chunk of it.
    run: Option<Run>,
    /// A run may still begin.
    is_first: bool,
}

impl ManyRows {
    /// Rows of a table.
    ///
    /// # Errors
    /// When the table cannot be looked into.
    pub fn new(shape: &Arc<TableShape>, transaction: &Arc<Transaction>) -> Result<Self> {
        let rows = RowWrites::for_many(shape, transaction)?;
        Ok(Self::over(rows, KeyRange::table(shape.descriptor.storage), transaction))
    }

    /// Entries of one index of a table.
    ///
    /// # Errors
    /// Where the index's text can no longer be planned.
    pub fn of_index(shape: &Arc<TableShape>, index: &IndexDescriptor, transaction: &Arc<Transaction>) -> Result<Self> {
        let range = KeyRange::index(shape.descriptor.storage, index.id);
        let rows = RowWrites::of_index(shape, index, transaction)?;
        Ok(Self::over(rows, range, transaction))
    }

    fn over(mut rows: RowWrites, range: KeyRange, transaction: &Arc<Transaction>) -> Self {
        let beside = (transaction.is_private(&range) && !transaction.is_marked()).then(|| Beside::new(transaction));
        if let Some(beside) = &beside {
            rows.write_into(&beside.chunk);
        }
        Self {
            rows,
            beside,
            outgrown: None,
            transaction: transaction.clone(),
        }
    }

    /// With a way out for too many rows.
    pub fn with_outgrown(mut self, outgrown: Option<Outgrown>) -> Self {
        self.outgrown = outgrown;
        self
    }

    /// Inserts a row by its bytes.
    ///
    /// # Errors
    /// As [`RowWrites::insert`]; 40001 where the transaction no longer holds; what a commit may answer.
    pub fn insert(&mut self, bytes: &[u8]) -> Result<()> {
        self.rows.insert(bytes)?;
        self.look_behind()?;
        self.next_chunk_if_full()
    }

    /// Adds the index entries of a row that is there already.
    ///
    /// # Errors
    /// As [`ManyRows::insert`].
    pub fn index(&mut self, key: &[u8], bytes: &[u8]) -> Result<()> {
        self.rows.index(key, bytes)?;
        self.look_behind()?;
        self.next_chunk_if_full()
    }

    /// Waits until all rows are where they belong.
    ///
    /// # Errors
    /// As [`ManyRows::insert`].
    pub fn finish(mut self) -> Result<()> {
        if let Some(beside) = &mut self.beside {
            beside.finish(self.rows.shape())?;
            beside.transaction.see_loaded();
        }
        Ok(())
    }

    /// Where the keys no longer rise, the chunk must have seen the run before it: it is written anew.
    fn look_behind(&mut self) -> Result<()> {
        match &mut self.beside {
            Some(beside) if beside.run.is_some() && !beside.chunk.is_rising() => {
                beside.write_anew(self.rows.shape())?;
                self.rows.write_into(&beside.chunk);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn next_chunk_if_full(&mut self) -> Result<()> {
        let Some(beside) = &mut self.beside else {
            return match self.transaction.written_bytes() > outgrown::BYTES_MAX {
                true => self.move_out(),
                false => Ok(()),
            };
        };
        if beside.chunk.written_bytes() < CHUNK_BYTES {
            return Ok(());
        }
        beside.send(self.rows.shape())?;
        self.rows.write_into(&beside.chunk);
        Ok(())
    }

    /// From here on beside the transaction, with what was written into it so far.
    fn move_out(&mut self) -> Result<()> {
        let Some(outgrown) = self.outgrown.take().filter(|_| !self.transaction.is_marked()) else {
            return Ok(());
        };
        let from = self.rows.shape().clone();
        let shape = outgrown.move_out(&from, &self.transaction)?;
        let mut beside = Beside::new(&self.transaction);
        for (mut key, value) in self.transaction.take_out(&KeyRange::table(from.descriptor.storage)) {
            let storage = shape.descriptor.storage.0.to_be_bytes();
            key[..storage.len()].copy_from_slice(&storage);
            // In their order, into a storage that was just made.
            if !beside.chunk.insert_beyond(&key, &value)? {
                return Err(Error::internal("a key was taken out twice"));
            }
            if beside.chunk.written_bytes() >= CHUNK_BYTES {
                beside.send(&shape)?;
            }
        }
        self.rows.move_to(&shape, &beside.chunk)?;
        self.beside = Some(beside);
        Ok(())
    }
}

/// A transaction for some of the rows.
fn chunk(transaction: &Transaction) -> Transaction {
    Transaction::begin_load(transaction.store().clone())
}

impl Beside {
    fn new(transaction: &Arc<Transaction>) -> Self {
        Self {
            transaction: transaction.clone(),
            chunk: Arc::new(chunk(transaction)),
            chunks: 0,
            waiting: None,
            run: None,
            is_first: true,
        }
    }

    /// Hands the chunk over and begins another one.
    fn send(&mut self, shape: &TableShape) -> Result<()> {
        // Entries of indexes lie apart from the rows, and do not rise with them.
        if self.is_first && shape.descriptor.indexes.is_empty() && self.chunk.is_rising() {
            self.run = Some(Run::begin(&self.transaction)?);
        }
        self.is_first = false;
        match &mut self.run {
            Some(run) => {
                let sent = std::mem::replace(&mut self.chunk, Arc::new(chunk(&self.transaction)));
                run.add(sent.take_appended().unwrap_or_default())?;
            }
            None => self.commit(shape)?,
        }
        self.chunks += 1;
        if self.chunks.is_multiple_of(CHUNKS_PER_REFRESH) && !self.transaction.keep_up()? {
            return Err(Error::conflict(
                SqlState::SERIALIZATION_FAILURE,
                "something that this transaction has read was changed while it loaded rows",
            )
            .with_hint("Try the transaction again."));
        }
        Ok(())
    }

    /// Commits the chunk, once the one before it is committed, and begins another one.
    fn commit(&mut self, shape: &TableShape) -> Result<()> {
        self.wait(shape)?;
        let sent = std::mem::replace(&mut self.chunk, Arc::new(chunk(&self.transaction)));
        if let Some(commit) = sent.take_commit() {
            let is_one_entry = commit.is_one_entry();
            self.waiting = Some(self.transaction.store().propose(commit)?);
            if !is_one_entry {
                // The next chunk must see it: it could not be told whether a key between its keys is new.
                self.wait(shape)?;
            }
        }
        Ok(())
    }

    /// Hands over what is left and waits for all of it.
    fn finish(&mut self, shape: &TableShape) -> Result<()> {
        match self.run.take() {
            Some(mut run) => {
                run.add(self.chunk.take_appended().unwrap_or_default())?;
                run.finish()
            }
            None => {
                self.commit(shape)?;
                self.wait(shape)
            }
        }
    }

    /// Waits for the run before and inserts the chunk's keys again, into one that sees it.
    fn write_anew(&mut self, shape: &TableShape) -> Result<()> {
        if let Some(run) = self.run.take() {
            run.finish()?;
        }
        let before = std::mem::replace(&mut self.chunk, Arc::new(chunk(&self.transaction)));
        for (key, value) in before.take_load() {
            if !self.chunk.insert(&key, &value)? {
                return Err(rejected(
                    Rejection {
                        reason: Reason::Duplicate,
                        key,
                    },
                    shape,
                ));
            }
        }
        Ok(())
    }

    fn wait(&mut self, shape: &TableShape) -> Result<()> {
        match self.waiting.take().map(Ticket::wait).transpose()? {
            None | Some(Outcome::Committed { .. }) => Ok(()),
            Some(Outcome::Rejected(rejection)) => Err(rejected(rejection, shape)),
        }
    }
}

/// Two rows with the same key, in chunks that follow each other.
fn rejected(rejection: Rejection, shape: &TableShape) -> Error {
    if rejection.reason != Reason::Duplicate {
        return rejection.into();
    }
    let table = &shape.descriptor;
    let index = KeyReader::new(&rejection.key).table().ok().map(|(_, index)| index);
    let name = table.indexes.iter().find(|there| Some(there.id) == index);
    let name = name
        .map(|index| index.name.as_str())
        .or(table.primary_key_name.as_deref());
    let name = name.unwrap_or("primary key");
    Error::conflict(
        SqlState::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{name}\""),
    )
    .with_schema(table.schema.clone())
    .with_table(table.name.clone())
    .with_constraint(name)
}
