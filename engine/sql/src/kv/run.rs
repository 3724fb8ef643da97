//! The operations of a batch, in a transaction.

use std::collections::HashMap;
use std::sync::Arc;

use aion_base::id::{TableId, Timestamp};
use aion_base::{Error, Result, SqlState};
use aion_storage::{Commit, Isolation, LockMode};
use bytes::Bytes;

use super::batch::{Answer, BATCH_BYTES_MAX, Batch, Operation, Outcome, Unmet, What, beyond};
use super::namespace::{Namespace, Writing};
use super::{Deadline, Kv};
use crate::cancel::Cancellation;
use crate::dml::RowWrites;
use crate::transaction::{Busy, Transaction, Waiting};

/// A batch whose operations have run, before its commit.
#[derive(Debug)]
pub(super) struct Begun {
    /// Has the locks, until this is dropped.
    transaction: Arc<Transaction>,
    answers: Vec<Answer>,
    /// The operation that found something else, and what: nothing is committed then.
    unmet: Option<(usize, Option<Bytes>)>,
}

impl Begun {
    /// What is to be committed; None where it changes nothing.
    pub fn take_commit(&self) -> Option<Commit> {
        // Without one the view stays, for its place in the log.
        let is_changing = self.unmet.is_none() && self.transaction.written_bytes() > 0;
        is_changing.then(|| self.transaction.take_commit()).flatten()
    }

    /// Whether it read nothing, and its commit demands nothing of rows.
    pub fn is_blind(&self) -> bool {
        self.transaction.isolation() == Isolation::ReadCommitted
    }

    /// What became of it, with the commit's time.
    pub fn committed(self, timestamp: Timestamp) -> Outcome {
        Outcome::Applied {
            timestamp,
            answers: self.answers,
        }
    }

    /// What became of one that changes nothing.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read.
    pub fn without_commit(self) -> Result<Outcome> {
        let timestamp = self.transaction.snapshot()?.read_point()?.timestamp;
        Ok(match self.unmet {
            Some((operation, found)) => Outcome::Unmet(Unmet {
                operation,
                found,
                timestamp,
            }),
            None => self.committed(timestamp),
        })
    }
}

impl Kv {
    /// Runs the operations of a batch. None where a namespace got another storage meanwhile: it is to begin again.
    ///
    /// # Errors
    /// As [`Kv::apply`].
    pub(super) async fn begin(
        &self,
        batch: &Batch,
        deadline: Deadline,
        cancellation: &Cancellation,
    ) -> Result<Option<Begun>> {
        let is_writing = batch.is_writing();
        let transaction = Arc::new(self.engine.begin(is_writing));
        let before = match is_writing {
            true => self.namespaces_of(batch, |name| self.namespace_now(name))?,
            false => self.namespaces_of(batch, |name| self.namespace(&transaction, name))?,
        };
        let operations = batch.operations.iter().zip(&before);
        let keys: Vec<Vec<u8>> = operations
            .map(|(operation, space)| space.row_key(&operation.key))
            .collect();
        let mut spaces = before;
        if is_writing {
            self.lock(batch, &keys, &transaction, deadline, cancellation).await?;
            let now = self.namespaces_of(batch, |name| self.namespace(&transaction, name))?;
            let storage = |space: &Namespace| space.shape.descriptor.storage;
            let mut pairs = spaces.iter().zip(&now);
            if pairs.any(|(old, new)| storage(old) != storage(new)) {
                return Ok(None);
            }
            spaces = now;
        }
        let is_plain = spaces.iter().all(|space| space.writing == Writing::Plain);
        transaction.set_isolation(match is_plain && batch.is_blind() {
            true => Isolation::ReadCommitted,
            false => Isolation::Serializable,
        });
        Running::new(&transaction).run(batch, &spaces, &keys).map(Some)
    }

    /// The namespace of each operation.
    fn namespaces_of(
        &self,
        batch: &Batch,
        find: impl Fn(&Arc<str>) -> Result<Arc<Namespace>>,
    ) -> Result<Vec<Arc<Namespace>>> {
        let mut found: Vec<Arc<Namespace>> = Vec::with_capacity(batch.operations.len());
        for (at, operation) in batch.operations.iter().enumerate() {
            // Most batches are about one.
            let namespace = match at.checked_sub(1) {
                Some(before) if batch.operations[before].namespace == operation.namespace => found[before].clone(),
                _ => find(&operation.namespace)?,
            };
            if operation.what != What::Get {
                namespace.check_writing()?;
            }
            found.push(namespace);
        }
        Ok(found)
    }

    /// Locks the rows that a batch writes, before it sees any. `keys` are those of its operations.
    async fn lock(
        &self,
        batch: &Batch,
        keys: &[Vec<u8>],
        transaction: &Arc<Transaction>,
        deadline: Deadline,
        cancellation: &Cancellation,
    ) -> Result<()> {
        let waiting = Waiting {
            locks: self.engine.locks.clone(),
            label: Some(self.label.clone()),
            timeout: None,
            cancellation: cancellation.clone(),
        };
        let modes = batch.operations.iter().zip(keys);
        let modes = modes.filter_map(|(operation, key)| match &operation.what {
            What::Get => None,
            What::Put(_) | What::CompareAndSet { value: Some(_), .. } => Some((key, LockMode::NoKeyUpdate)),
            What::Delete | What::CompareAndSet { value: None, .. } => Some((key, LockMode::Update)),
        });
        let mut modes: Vec<_> = modes.collect();
        // Of one key the strongest comes first, and holds what the others ask for.
        modes.sort_unstable_by(|(key, mode), (other, than)| key.cmp(other).then(than.cmp(mode)));
        modes.dedup_by(|(later, _), (first, _)| later == first);
        let all = async {
            for (key, mode) in modes {
                // The view is not taken yet: what was changed before is seen.
                transaction.lock(&[key], mode, Busy::Wait, &waiting).await?;
            }
            Ok(())
        };
        match tokio::time::timeout(self.left(deadline), all).await {
            Ok(locked) => locked,
            Err(_) => Err(Error::unavailable(
                SqlState::LOCK_NOT_AVAILABLE,
                "another transaction has a row of the batch, and did not end in time",
            )
            .with_hint("Nothing was written. Send the batch again.")),
        }
    }
}

/// A batch while its operations run.
struct Running<'a> {
    transaction: &'a Arc<Transaction>,
    /// Of the namespaces that have indexes, by storage.
    writes: HashMap<TableId, RowWrites>,
    row: Vec<u8>,
    answers: Vec<Answer>,
    /// Of the values that are answered.
    bytes: usize,
}

/// A row by its key, and its bytes where there is one.
struct Stored<'a> {
    key: &'a [u8],
    row: Option<Arc<[u8]>>,
}

impl<'a> Running<'a> {
    fn new(transaction: &'a Arc<Transaction>) -> Self {
        Self {
            transaction,
            writes: HashMap::new(),
            row: Vec::new(),
            answers: Vec::new(),
            bytes: 0,
        }
    }

    fn run(mut self, batch: &Batch, spaces: &[Arc<Namespace>], keys: &[Vec<u8>]) -> Result<Begun> {
        self.answers.reserve(batch.operations.len());
        for (at, (operation, space)) in batch.operations.iter().zip(spaces).enumerate() {
            let is_new = at == 0 || !Arc::ptr_eq(space, &spaces[at - 1]);
            if is_new {
                self.transaction.require_unchanged(space.descriptor.clone())?;
            }
            if let Err(found) = self.operate(operation, space, &keys[at])? {
                return Ok(Begun {
                    transaction: self.transaction.clone(),
                    answers: Vec::new(),
                    unmet: Some((at, found)),
                });
            }
        }
        Ok(Begun {
            transaction: self.transaction.clone(),
            answers: self.answers,
            unmet: None,
        })
    }

    /// One operation; what it found where that is not what it expected.
    fn operate(
        &mut self,
        operation: &Operation,
        space: &Arc<Namespace>,
        key: &[u8],
    ) -> Result<Result<(), Option<Bytes>>> {
        let answer = match &operation.what {
            What::Get => {
                let stored = self.find(key)?;
                let value = self.value(&stored, space)?;
                self.bytes += value.as_ref().map_or(0, Bytes::len);
                if self.bytes > BATCH_BYTES_MAX {
                    return Err(beyond(format!(
                        "the values that a batch answers have at most {BATCH_BYTES_MAX} bytes"
                    )));
                }
                Answer::Got(value)
            }
            What::Put(value) if space.writing == Writing::Plain => {
                space.write_row(&operation.key, value, &mut self.row);
                self.transaction.put(key, &self.row)?;
                Answer::Put
            }
            What::Put(value) => {
                let stored = self.find(key)?;
                self.set(operation, space, &stored, value)?;
                Answer::Put
            }
            What::Delete => {
                let stored = self.find(key)?;
                self.delete(space, &stored)?;
                Answer::Deleted(stored.row.is_some())
            }
            What::CompareAndSet { expected, value } => {
                let stored = self.find(key)?;
                let found = self.value(&stored, space)?;
                if found != *expected {
                    return Ok(Err(found));
                }
                match value {
                    Some(value) => self.set(operation, space, &stored, value)?,
                    None => self.delete(space, &stored)?,
                }
                Answer::Set
            }
        };
        self.answers.push(answer);
        Ok(Ok(()))
    }

    fn find<'k>(&self, key: &'k [u8]) -> Result<Stored<'k>> {
        let row = self.transaction.get(key)?;
        Ok(Stored { key, row })
    }

    fn value(&self, stored: &Stored<'_>, space: &Namespace) -> Result<Option<Bytes>> {
        match &stored.row {
            Some(row) => Ok(Some(Bytes::copy_from_slice(space.read_row(row)?.1))),
            None => Ok(None),
        }
    }

    fn set(&mut self, operation: &Operation, space: &Arc<Namespace>, stored: &Stored<'_>, value: &[u8]) -> Result<()> {
        let mut row = std::mem::take(&mut self.row);
        space.write_row(&operation.key, value, &mut row);
        let set = match (&space.writing, &stored.row) {
            (Writing::Indexed, Some(old)) => self.indexed(space)?.update(stored.key, old, &row),
            (Writing::Indexed, None) => self.indexed(space)?.insert(&row),
            _ => self.transaction.put(stored.key, &row),
        };
        self.row = row;
        set
    }

    fn delete(&mut self, space: &Arc<Namespace>, stored: &Stored<'_>) -> Result<()> {
        match (&space.writing, &stored.row) {
            (_, None) => Ok(()),
            (Writing::Indexed, Some(old)) => self.indexed(space)?.delete(stored.key, old),
            _ => self.transaction.delete(stored.key),
        }
    }

    fn indexed(&mut self, space: &Arc<Namespace>) -> Result<&mut RowWrites> {
        let storage = space.shape.descriptor.storage;
        match self.writes.entry(storage) {
            std::collections::hash_map::Entry::Occupied(there) => Ok(there.into_mut()),
            std::collections::hash_map::Entry::Vacant(free) => {
                Ok(free.insert(RowWrites::new(&space.shape, self.transaction)?))
            }
        }
    }
}
