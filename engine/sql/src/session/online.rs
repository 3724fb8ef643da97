//! CREATE INDEX while others write.
//!
//! 1. The index is committed as *write-only*. From then on whoever commits keeps it: what was planned before relies upon the table's
//!    descriptor, and is refused.
//! 2. The rows that were there get their entries, some at a time, each *chunk* in a transaction of its own, which relies upon the rows
//!    that it read. Where somebody changed one of them meanwhile it is refused, and tried again with fewer rows.
//! 3. The index is committed as readable: queries use it.
//!
//! **Guarantees.** Writers wait for nothing. What ends the build takes the index away again; after the end of the process, the next one does
//! ([`take_away_unfinished`]): nobody was told that it is there.
//!
//! In a transaction block an index is filled in the transaction, see `index`.

use std::sync::Arc;

use aion_base::id::{IndexId, TableId};
use aion_base::range::KeyRange;
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_catalog::descriptor::{IndexDescriptor, IndexState, TableDescriptor};
use aion_catalog::keys::ROWS;
use aion_catalog::objects::{self, Catalog, KeyChange, table_key};
use aion_storage::{Direction, Outcome, Replicator};

use super::Session;
use super::ddl::write;
use super::index::not_unique;
use crate::cancel::Cancellation;
use crate::dml::RowWrites;
use crate::engine::Engine;
use crate::table::TableShape;
use crate::transaction::Transaction;

/// Rows that one commit gives their entries, at most.
const CHUNK_ROWS: usize = 4096;
/// Keys and values of one commit, in bytes; a row's more there may be.
const CHUNK_BYTES: usize = 1 << 20;
/// Times that a chunk, or a change of the descriptor, is refused before the build gives up.
const ATTEMPTS_MAX: usize = 1000;

/// An index that is committed, and not filled yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Building {
    pub table: TableId,
    pub index: IndexId,
}

impl Building {
    /// The index as the catalog has it.
    fn find<'a>(&self, catalog: &'a Catalog) -> Result<(&'a Arc<TableDescriptor>, &'a IndexDescriptor)> {
        let table = catalog.table_by_id(self.table);
        let found = table.and_then(|table| Some((table, table.indexes.iter().find(|index| index.id == self.index)?)));
        found.ok_or_else(|| {
            Error::not_found(
                SqlState::UNDEFINED_OBJECT,
                "the index was dropped while its rows were read",
            )
        })
    }
}

/// Where a build is.
#[derive(Debug)]
struct Place {
    storage: TableId,
    /// The rows that have no entries yet; what was inserted behind them later has.
    rest: KeyRange,
}

impl Session {
    /// Fills an index that was committed as write-only, and makes it readable.
    ///
    /// # Errors
    /// 23505 when two rows have the same values in a unique index, 57014, and what a commit may answer. The index is gone then.
    pub(super) async fn build(&self, building: Building, cancellation: &Cancellation) -> Result<()> {
        let limit = self.time_limit(cancellation);
        let filled = self.fill_beside_writers(building, cancellation).await;
        drop(limit);
        let Err(error) = filled else {
            return self.change_built(building, readable).await;
        };
        // Who asked is told why it ended, whatever becomes of what it leaves.
        match self.change_built(building, gone).await {
            Err(left) if left.kind() != ErrorKind::NotFound => {
                let hint = format!(
                    "The index could not be taken away; DROP INDEX does that. {}",
                    left.message()
                );
                Err(error.with_hint(hint))
            }
            _ => Err(error),
        }
    }

    async fn fill_beside_writers(&self, building: Building, cancellation: &Cancellation) -> Result<()> {
        let path = self.search_path()?;
        let mut place: Option<Place> = None;
        let (mut rows_max, mut attempts, mut done) = (CHUNK_ROWS, 0, 0_u64);
        loop {
            cancellation.watch(0).await?;
            let transaction = Arc::new(self.engine.begin(true));
            let catalog = self.engine.catalog_of(&transaction)?;
            let (table, index) = building.find(&catalog)?;
            transaction.require_unchanged(KeyRange::point(&table_key(&table.schema, &table.name)))?;
            // A table that was rewritten meanwhile, or emptied, begins from its first row.
            let here = match place.take().filter(|place| place.storage == table.storage) {
                Some(here) => here,
                None => Place {
                    storage: table.storage,
                    rest: rows_there(table, &transaction)?,
                },
            };
            let shape = self.names(&catalog, &path).shape(table);
            let (count, next) = fill_chunk(&shape, index, &transaction, &here.rest, rows_max)?;
            let refused = match transaction.take_commit() {
                None => None,
                Some(commit) => match self.engine.store.propose(commit)?.await? {
                    Outcome::Committed { .. } => None,
                    Outcome::Rejected(rejection) => Some(rejection),
                },
            };
            if let Some(rejection) = refused {
                attempts += 1;
                if attempts == ATTEMPTS_MAX {
                    return Err(rejection.into());
                }
                rows_max = (rows_max / 2).max(1);
                place = Some(here);
                continue;
            }
            (rows_max, attempts, done) = ((rows_max * 2).min(CHUNK_ROWS), 0, done + count as u64);
            cancellation.note_rows(done);
            match next {
                None => return Ok(()),
                Some(next) => {
                    place = Some(Place {
                        storage: here.storage,
                        rest: KeyRange::new(next, here.rest.end),
                    });
                }
            }
        }
    }

    /// Commits another descriptor of the table.
    async fn change_built(
        &self,
        building: Building,
        change: fn(&Catalog, &TableDescriptor, &IndexDescriptor) -> Vec<KeyChange>,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let transaction = self.engine.begin(true);
            let catalog = self.engine.catalog_of(&transaction)?;
            let (table, index) = building.find(&catalog)?;
            write(&change(&catalog, table, index), &transaction)?;
            match self.commit(&transaction).await {
                Ok(()) => return Ok(()),
                Err(error) if error.state() == SqlState::SERIALIZATION_FAILURE => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(
            SqlState::SERIALIZATION_FAILURE,
            "the table's definition was changed by others each time",
        ))
    }
}

/// Takes away what a process that ended was building, and says how many indexes that were. Blocks; before any session is there.
///
/// # Errors
/// As a commit.
pub(crate) fn take_away_unfinished(engine: &Engine) -> Result<usize> {
    let transaction = engine.begin(true);
    let catalog = engine.catalog_of(&transaction)?;
    let mut changes = Vec::new();
    let mut count = 0;
    for table in catalog.tables() {
        let is_unfinished = |index: &&IndexDescriptor| index.state == IndexState::WriteOnly;
        let unfinished: Vec<&IndexDescriptor> = table.indexes.iter().filter(is_unfinished).collect();
        if unfinished.is_empty() {
            continue;
        }
        count += unfinished.len();
        let mut changed = TableDescriptor::clone(table);
        changed.indexes.retain(|index| !is_unfinished(&index));
        changes.extend(catalog.alter_table(changed).1);
        let range = |index: &&IndexDescriptor| objects::retire(&KeyRange::index(table.storage, index.id));
        changes.extend(unfinished.iter().map(range));
    }
    write(&changes, &transaction)?;
    match transaction.take_commit() {
        None => Ok(0),
        Some(commit) => match engine.store.propose(commit)?.wait()? {
            Outcome::Committed { .. } => Ok(count),
            Outcome::Rejected(rejection) => Err(rejection.into()),
        },
    }
}

fn readable(catalog: &Catalog, table: &TableDescriptor, index: &IndexDescriptor) -> Vec<KeyChange> {
    let mut changed = table.clone();
    for there in changed.indexes.iter_mut().filter(|there| there.id == index.id) {
        there.state = IndexState::Readable;
    }
    catalog.alter_table(changed).1
}

fn gone(catalog: &Catalog, table: &TableDescriptor, index: &IndexDescriptor) -> Vec<KeyChange> {
    let mut changed = table.clone();
    changed.indexes.retain(|there| there.id != index.id);
    let mut changes = catalog.alter_table(changed).1;
    changes.push(objects::retire(&KeyRange::index(table.storage, index.id)));
    changes
}

/// The rows of a table that are there now.
fn rows_there(table: &TableDescriptor, transaction: &Transaction) -> Result<KeyRange> {
    let all = KeyRange::index(table.storage, ROWS);
    let last = transaction.last_committed_key(&all)?;
    let end = match last.is_empty() {
        true => Some(all.start.clone()),
        false => KeyRange::point(&last).end,
    };
    Ok(KeyRange::new(all.start, end))
}

/// Gives the first rows of a range their entries. How many, and the first row that is left.
fn fill_chunk(
    shape: &Arc<TableShape>,
    index: &IndexDescriptor,
    transaction: &Arc<Transaction>,
    range: &KeyRange,
    rows_max: usize,
) -> Result<(usize, Option<Vec<u8>>)> {
    let mut entries = RowWrites::of_index(shape, index, transaction)?;
    let mut rows = transaction.glance(range, Direction::Forward)?;
    let mut count = 0;
    while rows.advance()? {
        if count == rows_max || transaction.written_bytes() >= CHUNK_BYTES {
            return Ok((count, Some(rows.key().to_vec())));
        }
        count += 1;
        transaction.rely_on(&KeyRange::point(rows.key()));
        let indexed = entries.index_if_missing(rows.key(), rows.value());
        indexed.map_err(|error| not_unique(error, shape))?;
    }
    Ok((count, None))
}
