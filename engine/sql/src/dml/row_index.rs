//! The entries of rows in one index: made of a row's bytes, if the index has an entry of it.

use std::sync::Arc;

use aion_base::Result;
use aion_catalog::descriptor::{IndexDescriptor, IndexMethod};
use aion_catalog::keys::{IndexEntry, IndexKeys};
use aion_catalog::row::RowReader;

use crate::table::{BatchBuilder, Formula, TableShape};

/// See the module's header.
pub struct RowIndex {
    keys: IndexKeys,
    formula: Option<(Arc<Formula>, BatchBuilder)>,
}

impl RowIndex {
    /// The ordered indexes of a table.
    ///
    /// # Errors
    /// Where the text of one can no longer be planned.
    pub fn all(shape: &TableShape) -> Result<Vec<Self>> {
        let indexes = shape.descriptor.indexes.iter();
        let ordered = indexes.filter(|index| index.method == IndexMethod::Ordered);
        ordered.map(|index| Self::new(shape, index)).collect()
    }

    /// An ordered index of a table.
    ///
    /// # Errors
    /// As [`RowIndex::all`].
    pub fn new(shape: &TableShape, index: &IndexDescriptor) -> Result<Self> {
        let formula = shape.formula(index)?;
        Ok(Self {
            keys: IndexKeys::new(&shape.descriptor, index),
            formula: formula.map(|formula| {
                let builder = formula.builder(shape);
                (formula, builder)
            }),
        })
    }

    /// Its keys.
    pub fn keys(&self) -> &IndexKeys {
        &self.keys
    }

    /// Writes the entry of a row into `entry`, replacing what was there; false where the index has none of it.
    ///
    /// # Errors
    /// 54000 for a key that is too long; what the index's condition may fail with.
    pub fn entry(
        &mut self,
        shape: &TableShape,
        row: &RowReader<'_>,
        row_key: &[u8],
        entry: &mut IndexEntry,
    ) -> Result<bool> {
        if let Some((formula, builder)) = &mut self.formula {
            builder.push_row(row, row_key)?;
            if !formula.holds(&builder.finish()?)? {
                return Ok(false);
            }
        }
        shape.keys.index_entry(&self.keys, &shape.layout, row, row_key, entry)?;
        Ok(true)
    }
}
