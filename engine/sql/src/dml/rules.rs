//! What each row of a table must fulfil beside its types and keys: CHECK constraints.
//!
//! They are planned with a statement as expressions over the columns of its table, and computed for many rows at a time, before any
//! of them is written. A row for which a condition is false is refused; NULL is not false.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::TableDescriptor;
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::physical_plan::PhysicalExpr;

use crate::error::translate;
use crate::table::TableShape;

/// See the module's header.
#[derive(Debug)]
pub struct RowRules {
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Check {
    name: String,
    condition: Arc<dyn PhysicalExpr>,
}

impl RowRules {
    /// The rules of a table, whose conditions `plan` makes from their texts; None where it has none.
    ///
    /// # Errors
    /// As `plan`.
    pub fn new(
        table: &TableDescriptor,
        plan: impl Fn(&str) -> Result<Arc<dyn PhysicalExpr>>,
    ) -> Result<Option<Arc<Self>>> {
        let check = |check: &aion_catalog::descriptor::CheckDescriptor| {
            Ok(Check {
                name: check.name.clone(),
                condition: plan(&check.expression)?,
            })
        };
        let checks = table.checks.iter().map(check).collect::<Result<Vec<_>>>()?;
        Ok((!checks.is_empty()).then(|| Arc::new(Self { checks })))
    }

    /// Whether all rows of a batch, whose columns from `first` on are the table's, fulfil the rules.
    ///
    /// # Errors
    /// 23514, with the row; what a condition may fail with.
    pub fn check(&self, shape: &TableShape, batch: &RecordBatch, first: usize) -> Result<()> {
        let columns: Vec<ArrayRef> = batch.columns()[first..][..shape.descriptor.columns.len()].to_vec();
        let fields = shape.schema.fields().iter();
        let fields: Vec<_> = fields.map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let rows = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|error| Error::internal(format!("rows do not fit their table: {error}")))?;
        for check in &self.checks {
            let holds = check.condition.evaluate(&rows);
            let holds = holds.and_then(|value| value.into_array(rows.num_rows()));
            let holds = holds.map_err(|error| translate(error, ""))?;
            let holds = holds.as_any().downcast_ref::<BooleanArray>();
            let holds = holds.ok_or_else(|| Error::internal("a CHECK gives no boolean"))?;
            let broken = (0..holds.len()).find(|&row| holds.is_valid(row) && !holds.value(row));
            if let Some(row) = broken {
                return Err(violation(shape, &check.name, &rows, row));
            }
        }
        Ok(())
    }
}

fn violation(shape: &TableShape, name: &str, rows: &RecordBatch, row: usize) -> Error {
    let table = &shape.descriptor;
    let values = rows.columns().iter().map(|column| match column.is_null(row) {
        true => "null".to_owned(),
        false => array_value_to_string(column, row).unwrap_or_else(|_| "?".to_owned()),
    });
    Error::conflict(
        SqlState::CHECK_VIOLATION,
        format!(
            "new row for relation \"{}\" violates check constraint \"{name}\"",
            table.name
        ),
    )
    .with_detail(format!(
        "Failing row contains ({}).",
        values.collect::<Vec<_>>().join(", ")
    ))
    .with_schema(table.schema.clone())
    .with_table(table.name.clone())
    .with_constraint(name)
}
