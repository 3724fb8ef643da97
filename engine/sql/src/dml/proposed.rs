//! The rows that an INSERT ... ON CONFLICT proposes, and what stands at their keys.
//!
//! 1. [`Proposed::look`] checks and encodes the rows, as PostgreSQL does before it looks for a conflict, and finds for each one the row
//!    that has one of its keys, or the keys that nobody has.
//! 2. The caller locks [`Proposed::absent_keys`] and, to update them, [`Proposed::existing_keys`], and begins again where they are no
//!    longer as they were seen.
//! 3. [`Proposed::tables`] are the existing and the excluded rows, from which the new values are computed.
//! 4. [`Proposed::steps`] says what is done, in the order of the proposed rows.
//!
//! Left out: keys that the statement itself gives to an existing row, or takes from it, decide nothing about rows that come later. A
//! duplicate of such a key is 23505.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::keys::IndexEntry;
use aion_catalog::row::RowReader;
use datafusion::arrow::array::{Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::arrow::record_batch::RecordBatch;

use super::Change;
use super::conflict::{Arbiter, ORDINAL};
use super::encode::RowEncoder;
use super::row_index::RowIndex;
use super::write::{Step, checked};
use crate::table::{BatchBuilder, TableShape};
use crate::transaction::Transaction;

/// See the module's header.
#[derive(Debug, Default)]
pub struct Proposed {
    rows: Vec<ProposedRow>,
}

#[derive(Debug)]
struct ProposedRow {
    bytes: Vec<u8>,
    /// The keys by which it could conflict; empty where it does.
    absent: Vec<Vec<u8>>,
    existing: Option<Existing>,
}

/// The row that has one of a proposed row's keys.
#[derive(Debug)]
struct Existing {
    key: Vec<u8>,
    bytes: Arc<[u8]>,
}

impl Proposed {
    /// The rows of a source, with what stands at their keys.
    ///
    /// # Errors
    /// 23502, 23514 and what else a row may violate by itself.
    pub fn look(
        change: &Change,
        arbiters: &[Arbiter],
        source: &[RecordBatch],
        transaction: &Transaction,
    ) -> Result<Self> {
        let mut rows = Vec::new();
        let mut arbiters = arbiters
            .iter()
            .map(|arbiter| Deciding::new(arbiter, &change.shape))
            .collect::<Result<Vec<_>>>()?;
        for batch in source {
            let batch = checked(change, batch, 0)?;
            let encoder = RowEncoder::new(&change.shape, &batch, 0)?;
            for row in 0..batch.num_rows() {
                let mut bytes = Vec::new();
                encoder.encode(row, &mut bytes)?;
                rows.push(ProposedRow::look(bytes, &change.shape, &mut arbiters, transaction)?);
            }
        }
        Ok(Self { rows })
    }

    /// The keys that nobody has, in order.
    pub fn absent_keys(&self) -> Vec<&[u8]> {
        let keys = self.rows.iter().flat_map(|row| &row.absent);
        let keys: BTreeSet<&[u8]> = keys.map(Vec::as_slice).collect();
        keys.into_iter().collect()
    }

    /// The keys of the existing rows, in order.
    pub fn existing_keys(&self) -> Vec<&[u8]> {
        let existing = self.rows.iter().filter_map(|row| row.existing.as_ref());
        let keys: BTreeSet<&[u8]> = existing.map(|existing| existing.key.as_slice()).collect();
        keys.into_iter().collect()
    }

    /// The existing rows with their keys, and the excluded rows; each with the number of the proposed row.
    ///
    /// # Errors
    /// Corrupt, for a damaged row.
    pub fn tables(&self, shape: &TableShape) -> Result<(RecordBatch, RecordBatch)> {
        let columns = shape.descriptor.columns.len();
        let with_key: Vec<usize> = (0..=columns).collect();
        let mut existing = BatchBuilder::new(&shape.layout, &with_key, shape.schema_with_key.clone());
        let mut excluded = BatchBuilder::new(&shape.layout, &with_key[..columns], shape.schema.clone());
        let mut ordinals = Vec::new();
        for (ordinal, row) in (0_i64..).zip(&self.rows) {
            if let Some(there) = &row.existing {
                existing.push(&shape.layout, &there.key, &there.bytes)?;
                excluded.push(&shape.layout, &[], &row.bytes)?;
                ordinals.push(ordinal);
            }
        }
        let ordinals = Int64Array::from(ordinals);
        Ok((
            with_ordinals(&existing.finish()?, &ordinals)?,
            with_ordinals(&excluded.finish()?, &ordinals)?,
        ))
    }

    /// What is done with the rows. `updated` are the new values of existing rows, the number of the proposed row behind them; None for
    /// DO NOTHING.
    ///
    /// # Errors
    /// 21000, where a row would be inserted or updated and then updated.
    pub fn steps(&self, updated: Option<&[RecordBatch]>) -> Result<Vec<Step<'_>>> {
        let places = updated.map(places).transpose()?;
        // Keys of rows that were inserted, and of rows that were updated.
        let (mut inserted, mut met) = (BTreeSet::<&[u8]>::new(), BTreeSet::<&[u8]>::new());
        let mut steps = Vec::new();
        for (ordinal, row) in (0_i64..).zip(&self.rows) {
            let Some(existing) = &row.existing else {
                let is_taken = row.absent.iter().any(|key| inserted.contains(key.as_slice()));
                match (is_taken, &places) {
                    (false, _) => {
                        inserted.extend(row.absent.iter().map(Vec::as_slice));
                        steps.push(Step::Insert(&row.bytes));
                    }
                    (true, Some(_)) => return Err(second_time()),
                    (true, None) => {}
                }
                continue;
            };
            let Some(places) = &places else {
                continue;
            };
            if met.contains(existing.key.as_slice()) {
                return Err(second_time());
            }
            if let Some(&(batch, row)) = places.get(&ordinal) {
                met.insert(existing.key.as_slice());
                steps.push(Step::Update { batch, row });
            }
        }
        Ok(steps)
    }
}

/// An arbiter at work: a unique index, or None for the primary key.
struct Deciding(Option<RowIndex>);

impl Deciding {
    fn new(arbiter: &Arbiter, shape: &TableShape) -> Result<Self> {
        let Arbiter::Index(id) = arbiter else {
            return Ok(Self(None));
        };
        let index = shape.descriptor.indexes.iter().find(|index| index.id == *id);
        let index = index.ok_or_else(|| Error::internal("the index that decides is not the table's"))?;
        Ok(Self(Some(RowIndex::new(shape, index)?)))
    }
}

impl ProposedRow {
    fn look(bytes: Vec<u8>, shape: &TableShape, arbiters: &mut [Deciding], transaction: &Transaction) -> Result<Self> {
        let (keys, layout) = (&shape.keys, &shape.layout);
        let row = RowReader::new(layout, &bytes)?;
        // A hidden id is of no unique index's key.
        let mut row_key = Vec::new();
        keys.row_key(layout, &row, 0, &mut row_key)?;
        let (mut absent, mut existing) = (Vec::new(), None);
        let mut entry = IndexEntry::default();
        for Deciding(index) in arbiters {
            let key = match index {
                None => row_key.as_slice(),
                Some(index) => {
                    let is_in_it = index.entry(shape, &row, &row_key, &mut entry)?;
                    // NULLs differ from each other: there is nothing to conflict with.
                    if !is_in_it || !entry.is_unique {
                        continue;
                    }
                    entry.key.as_slice()
                }
            };
            let Some(found) = transaction.get(key)? else {
                absent.push(key.to_vec());
                continue;
            };
            existing = Some(match index {
                None => Existing {
                    key: key.to_vec(),
                    bytes: found,
                },
                Some(index) => {
                    let mut there = Vec::new();
                    keys.row_of_entry(index.keys(), layout, key, &found, &mut there)?;
                    let stored = transaction.get(&there)?;
                    let stored =
                        stored.ok_or_else(|| Error::internal("an index has an entry of a row that is not there"))?;
                    Existing {
                        key: there,
                        bytes: stored,
                    }
                }
            });
            absent.clear();
            break;
        }
        Ok(Self {
            bytes,
            absent,
            existing,
        })
    }
}

/// Where the new values of each proposed row's existing row stand.
fn places(updated: &[RecordBatch]) -> Result<BTreeMap<i64, (usize, usize)>> {
    let mut places = BTreeMap::new();
    for (batch, rows) in updated.iter().enumerate() {
        let last = rows.columns().last();
        let ordinals = last.and_then(|array| array.as_any().downcast_ref::<Int64Array>());
        let ordinals = ordinals.ok_or_else(|| Error::internal("new values come without the numbers of their rows"))?;
        places.extend(
            ordinals
                .values()
                .iter()
                .enumerate()
                .map(|(row, &ordinal)| (ordinal, (batch, row))),
        );
    }
    Ok(places)
}

fn with_ordinals(batch: &RecordBatch, ordinals: &Int64Array) -> Result<RecordBatch> {
    let mut fields: Vec<FieldRef> = batch.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(ORDINAL, DataType::Int64, false)));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(ordinals.clone()));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| Error::internal(format!("rows and their numbers do not go together: {error}")))
}

fn second_time() -> Error {
    Error::invalid(
        SqlState::CARDINALITY_VIOLATION,
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    )
    .with_hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
}
