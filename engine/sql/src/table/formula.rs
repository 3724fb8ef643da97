//! What is computed of a row for an index of its table: whether a partial index has an entry of it, and the values of expressions.
//!
//! **Vocabulary.** A *formula* is what is planned of an index's texts: once as the optimizer makes it of a query, so that the two can be
//! compared, and once to be evaluated over the columns that it names.
//!
//! A formula names immutable functions only, so it holds for every session and at any time: it is planned once for a
//! descriptor, by [`crate::planner::Names`], which gives out no shape without. A shape that nobody prepared writes and reads no such index.

use std::collections::BTreeMap;
use std::sync::Arc;

use aion_base::id::IndexId;
use aion_base::{Error, Result};
use aion_catalog::descriptor::{ColumnDescriptor, ColumnId, IndexDescriptor, TableDescriptor};
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::PhysicalExpr;

use super::{BatchBuilder, TableShape};
use crate::cells::canonical;
use crate::error::translate;

/// The formulas of a table's indexes; those without one are not in it.
pub type Formulas = BTreeMap<IndexId, Arc<Formula>>;

/// See the module's header.
#[derive(Debug)]
pub struct Formula {
    /// The condition of a partial index as a query's filter: all of these.
    pub conjuncts: Vec<Expr>,
    /// The same, over a batch of `columns`.
    pub condition: Option<Arc<dyn PhysicalExpr>>,
    /// The index's expressions, in their order.
    pub expressions: Vec<Expression>,
    /// The expressions as the columns of a table of their own; None where there is none.
    pub computed: Option<Arc<TableShape>>,
    /// The columns that it names, by position.
    pub columns: Vec<usize>,
    /// Theirs.
    pub schema: SchemaRef,
}

/// An expression that an index is over.
#[derive(Debug)]
pub struct Expression {
    /// As the optimizer leaves it in a query's filter; None where it makes something else of it, which no filter is compared with.
    pub normal: Option<Expr>,
    /// The same, over a batch of the formula's columns.
    pub physical: Arc<dyn PhysicalExpr>,
}

impl Formula {
    /// A place to put rows into that it is to be evaluated over.
    pub fn builder(&self, shape: &TableShape) -> BatchBuilder {
        BatchBuilder::with_capacity(&shape.layout, &self.columns, self.schema.clone(), 1)
    }

    /// Whether the only row of a batch of its columns fulfils the condition; NULL does not.
    ///
    /// # Errors
    /// What the condition may fail with.
    pub fn holds(&self, row: &RecordBatch) -> Result<bool> {
        let Some(condition) = &self.condition else {
            return Ok(true);
        };
        let value = condition
            .evaluate(row)
            .and_then(|value| value.into_array(row.num_rows()));
        let value = value.map_err(|error| translate(error, ""))?;
        match value.as_any().downcast_ref::<BooleanArray>() {
            Some(value) => Ok(value.is_valid(0) && value.value(0)),
            // The type of a bare NULL.
            None if value.null_count() == value.len() || value.data_type().is_null() => Ok(false),
            None => Err(Error::internal("the condition of an index gives no boolean")),
        }
    }

    /// The values of the expressions for the rows of a batch of its columns.
    ///
    /// # Errors
    /// What the expressions may fail with.
    pub fn values(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let Some(computed) = &self.computed else {
            return Ok(Vec::new());
        };
        let types = computed.descriptor.columns.iter().map(|column| column.sql_type);
        let values = self.expressions.iter().zip(types).map(|(expression, sql_type)| {
            let value = expression.physical.evaluate(rows);
            let value = value.and_then(|value| value.into_array(rows.num_rows()));
            canonical(&value.map_err(|error| translate(error, ""))?, sql_type)
        });
        values.collect()
    }
}

/// Whether something is to be computed for an index of a table.
pub fn has_formulas(table: &TableDescriptor) -> bool {
    table.indexes.iter().any(IndexDescriptor::is_computed)
}

/// The expressions of an index as the columns of a table.
pub fn computed_columns(index: &IndexDescriptor) -> Option<Arc<TableShape>> {
    let columns = index.expressions.iter().zip(1..);
    let columns: Vec<_> = columns
        .map(|(expression, id)| ColumnDescriptor::new(ColumnId(id), expression.text.clone(), expression.sql_type))
        .collect();
    if columns.is_empty() {
        return None;
    }
    Some(TableShape::new(Arc::new(TableDescriptor {
        columns,
        ..TableDescriptor::new("", index.name.clone())
    })))
}

/// An error once more: [`Error`] is told once, and a shape's may be met by many.
pub fn again(error: &Error) -> Error {
    let told = Error::new(error.kind(), error.state(), error.message());
    match error.detail() {
        Some(detail) => told.with_detail(detail),
        None => told,
    }
}
