//! The entries of rows in one index: made of a row's bytes, if the index has an entry of it.

use std::sync::Arc;

use aion_base::Result;
use aion_catalog::descriptor::{IndexDescriptor, IndexMethod};
use aion_catalog::keys::{Computed, IndexEntry, IndexKeys, KeyPart};
use aion_catalog::row::{RowReader, RowWriter};

use super::encode::ColumnEncoder;
use super::rules::shown;
use crate::system::written::Form;
use crate::system::{index_part, quoted};
use crate::table::{BatchBuilder, Formula, TableShape};

/// See the module's header.
pub struct RowIndex {
    keys: IndexKeys,
    formula: Option<(Arc<Formula>, BatchBuilder)>,
    /// What its expressions give for a row, as bytes of a row.
    computed: Vec<u8>,
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
            computed: Vec::new(),
        })
    }

    /// Its keys.
    pub fn keys(&self) -> &IndexKeys {
        &self.keys
    }

    /// Writes the entry of a row into `entry`, replacing what was there; false where the index has none of it.
    ///
    /// # Errors
    /// 54000 for a key that is too long; what the index's condition and expressions may fail with.
    pub fn entry(
        &mut self,
        shape: &TableShape,
        row: &RowReader<'_>,
        row_key: &[u8],
        entry: &mut IndexEntry,
    ) -> Result<bool> {
        let (keys, layout) = (&shape.keys, &shape.layout);
        let Some((formula, builder)) = &mut self.formula else {
            keys.index_entry(&self.keys, layout, row, None, row_key, entry)?;
            return Ok(true);
        };
        builder.push_row(row, row_key)?;
        let batch = builder.finish()?;
        if !formula.holds(&batch)? {
            return Ok(false);
        }
        let Some(columns) = &formula.computed else {
            keys.index_entry(&self.keys, layout, row, None, row_key, entry)?;
            return Ok(true);
        };
        self.computed.clear();
        let mut writer = RowWriter::new(&columns.layout, &mut self.computed);
        for (position, array) in formula.values(&batch)?.iter().enumerate() {
            ColumnEncoder::new(columns, position, array)?.put(0, &mut writer)?;
        }
        writer.finish();
        let computed = RowReader::new(&columns.layout, &self.computed)?;
        let computed = Computed {
            layout: &columns.layout,
            row: &computed,
        };
        keys.index_entry(&self.keys, layout, row, Some(computed), row_key, entry)?;
        Ok(true)
    }

    /// What it is over and what of it a row has, as an error shows them.
    ///
    /// # Errors
    /// As [`RowIndex::entry`].
    pub fn shown(&mut self, shape: &TableShape, row: &RowReader<'_>) -> Result<Vec<(String, String)>> {
        let table = &shape.descriptor;
        let values = match &mut self.formula {
            Some((formula, builder)) => {
                builder.push_row(row, &[])?;
                formula.values(&builder.finish()?)?
            }
            None => Vec::new(),
        };
        let expressions = table.indexes.iter().find(|index| index.id == self.keys.id());
        let expressions = expressions.map_or(&[][..], |index| &index.expressions);
        let parts = self.keys.parts().iter().map(|&(part, _)| match part {
            KeyPart::Column(column) => (quoted(&table.columns[column].name), shown_column(shape, row, column)),
            KeyPart::Expression(nth) => {
                let expression = &expressions[nth];
                let value = shown(&values[nth], expression.sql_type, 0);
                (index_part(&expression.text, table, Form::Pretty), value)
            }
        });
        Ok(parts.collect())
    }
}

/// A column's value as text.
pub fn shown_column(shape: &TableShape, row: &RowReader<'_>, column: usize) -> String {
    let mut builder = match shape.schema.project(&[column]) {
        Ok(schema) => BatchBuilder::new(&shape.layout, &[column], Arc::new(schema)),
        Err(_) => return "?".to_owned(),
    };
    let batch = builder.push_row(row, &[]).and_then(|()| builder.finish());
    match batch {
        Ok(batch) => shown(batch.column(0), shape.descriptor.columns[column].sql_type, 0),
        Err(_) => "?".to_owned(),
    }
}
