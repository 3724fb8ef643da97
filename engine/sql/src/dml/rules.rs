//! What each row of a table is beside what is written into it: its generated columns, and what it must fulfil, CHECK constraints.
//!
//! Generated columns are computed from the others of their row, whatever stands in their place, when all of these are known: before conditions
//! are looked at, keys are made and rows are encoded. No two of them see each other.
//!
//! They are planned with a statement as expressions over the columns of its table, and computed for many rows at a time, before any
//! of them is written. A row for which a condition is false is refused; NULL is not false. What is told is what PostgreSQL tells,
//! which looks at one row after the other: of the first row that is refused a NULL where none may be, or else the first condition
//! by name.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{ColumnDescriptor, TableDescriptor};
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use datafusion::arrow::compute::{filter_record_batch, take};
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::physical_plan::PhysicalExpr;

use super::encode::null_violation;
use crate::cells::{Cells, canonical};
use crate::error::translate;
use crate::table::TableShape;

/// Bytes of a value that an error repeats, as in PostgreSQL.
const SHOWN_BYTES_MAX: usize = 64;

/// See the module's header.
#[derive(Debug)]
pub struct RowRules {
    generated: Vec<Generated>,
    checks: Vec<Check>,
}

/// A column that is computed.
#[derive(Debug)]
struct Generated {
    position: usize,
    sql_type: SqlType,
    expression: Arc<dyn PhysicalExpr>,
}

#[derive(Debug)]
struct Check {
    name: String,
    condition: Arc<dyn PhysicalExpr>,
}

impl RowRules {
    /// The rules of a table, whose conditions `plan` makes from their texts, and `compute` its columns' values; None where it has none.
    ///
    /// # Errors
    /// As `plan` and `compute`.
    pub fn new(
        table: &TableDescriptor,
        plan: impl Fn(&str) -> Result<Arc<dyn PhysicalExpr>>,
        compute: impl Fn(&ColumnDescriptor, &str) -> Result<Arc<dyn PhysicalExpr>>,
    ) -> Result<Option<Arc<Self>>> {
        let mut generated = Vec::new();
        for (position, column) in table.columns.iter().enumerate() {
            if let Some(text) = &column.generated {
                generated.push(Generated {
                    position,
                    sql_type: column.sql_type,
                    expression: compute(column, text)?,
                });
            }
        }
        let check = |check: &aion_catalog::descriptor::CheckDescriptor| {
            Ok(Check {
                name: check.name.clone(),
                condition: plan(&check.expression)?,
            })
        };
        let mut checks = table.checks.iter().map(check).collect::<Result<Vec<_>>>()?;
        checks.sort_by(|one, other| one.name.cmp(&other.name));
        let has_none = generated.is_empty() && checks.is_empty();
        Ok((!has_none).then(|| Arc::new(Self { generated, checks })))
    }

    /// Whether a row has values that are computed.
    pub fn has_generated(&self) -> bool {
        !self.generated.is_empty()
    }

    /// The rows of a batch, whose columns from `first` on are the table's, with their generated columns.
    ///
    /// # Errors
    /// What an expression may fail with.
    pub fn complete(&self, shape: &TableShape, batch: &RecordBatch, first: usize) -> Result<RecordBatch> {
        if self.generated.is_empty() {
            return Ok(batch.clone());
        }
        let computed = self.computed(&rows_of(shape, batch, first)?)?;
        self.replaced(batch, first, computed)
    }

    /// As [`RowRules::complete`], of some rows; what is computed of the others is NULL.
    ///
    /// # Errors
    /// What an expression may fail with.
    pub fn complete_some(
        &self,
        shape: &TableShape,
        batch: &RecordBatch,
        first: usize,
        some: &BooleanArray,
    ) -> Result<RecordBatch> {
        if self.generated.is_empty() {
            return Ok(batch.clone());
        }
        let failed = |error: ArrowError| translate(error.into(), "");
        let rows = filter_record_batch(&rows_of(shape, batch, first)?, some).map_err(failed)?;
        let mut next = 0_u64;
        let places = some.iter().map(|is_one| {
            let place = (is_one == Some(true)).then_some(next);
            next += u64::from(place.is_some());
            place
        });
        let places: UInt64Array = places.collect();
        let computed = self.computed(&rows)?;
        let computed = computed.iter().map(|array| take(array, &places, None).map_err(failed));
        self.replaced(batch, first, computed.collect::<Result<_>>()?)
    }

    fn computed(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let computed = self.generated.iter().map(|generated| {
            let value = generated.expression.evaluate(rows);
            let array = value.and_then(|value| value.into_array(rows.num_rows()));
            canonical(&array.map_err(|error| translate(error, ""))?, generated.sql_type)
        });
        computed.collect()
    }

    fn replaced(&self, batch: &RecordBatch, first: usize, computed: Vec<ArrayRef>) -> Result<RecordBatch> {
        let mut columns = batch.columns().to_vec();
        let mut fields: Vec<FieldRef> = batch.schema().fields().iter().cloned().collect();
        for (generated, array) in self.generated.iter().zip(computed) {
            let at = first + generated.position;
            // A place that nothing was given for may have no type.
            let field = fields[at].as_ref().clone().with_data_type(array.data_type().clone());
            fields[at] = Arc::new(field.with_nullable(true));
            columns[at] = array;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
            .map_err(|error| Error::internal(format!("computed columns do not fit their rows: {error}")))
    }

    /// Whether all rows of a batch, whose columns from `first` on are the table's, fulfil the rules.
    ///
    /// # Errors
    /// 23502 and 23514, with the row; what a condition may fail with.
    pub fn check(&self, shape: &TableShape, batch: &RecordBatch, first: usize) -> Result<()> {
        let rows = rows_of(shape, batch, first)?;
        let null = first_null(shape, &rows);
        let before = null.map_or(rows.num_rows(), |(row, _)| row);
        if let Some((check, row)) = self.first_broken(&rows.slice(0, before))? {
            return Err(violation(shape, &check.name, &rows, row));
        }
        match null {
            Some((row, position)) => {
                Err(null_violation(shape, position).with_detail(failing_row(shape, rows.columns(), row)))
            }
            None => Ok(()),
        }
    }

    /// Whether rows that a table has already, with the columns that its new definition gives it, fulfil the rules.
    ///
    /// # Errors
    /// 23514; what a condition may fail with.
    pub fn check_kept(&self, shape: &TableShape, batch: &RecordBatch) -> Result<()> {
        match self.first_broken(&rows_of(shape, batch, 0)?)? {
            Some((check, _)) => Err(violated_by_some_row(&shape.descriptor, &check.name)),
            None => Ok(()),
        }
    }

    /// The first row that breaks a condition, and the first by name that it breaks.
    fn first_broken(&self, rows: &RecordBatch) -> Result<Option<(&Check, usize)>> {
        let mut found = None;
        let mut rows = rows.clone();
        for check in &self.checks {
            if let Some(row) = check.first_broken(&rows)? {
                // Only what an earlier row breaks would be told before this.
                rows = rows.slice(0, row);
                found = Some((check, row));
            }
        }
        Ok(found)
    }
}

impl Check {
    fn first_broken(&self, rows: &RecordBatch) -> Result<Option<usize>> {
        let holds = self.condition.evaluate(rows);
        let holds = holds.and_then(|value| value.into_array(rows.num_rows()));
        let holds = holds.map_err(|error| translate(error, ""))?;
        let holds = holds.as_any().downcast_ref::<BooleanArray>();
        let holds = holds.ok_or_else(|| Error::internal("a CHECK gives no boolean"))?;
        Ok((0..holds.len()).find(|&row| holds.is_valid(row) && !holds.value(row)))
    }
}

/// The columns of a table, which may all hold NULL: rows that are still to be looked at.
pub fn unchecked_schema(shape: &TableShape) -> SchemaRef {
    let fields = shape.schema.fields().iter();
    let fields: Vec<_> = fields.map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

fn rows_of(shape: &TableShape, batch: &RecordBatch, first: usize) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = batch.columns()[first..][..shape.descriptor.columns.len()].to_vec();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(unchecked_schema(shape), columns, &options)
        .map_err(|error| Error::internal(format!("rows do not fit their table: {error}")))
}

/// The first row with a NULL where the table takes none, and the position of the column.
pub fn first_null(shape: &TableShape, rows: &RecordBatch) -> Option<(usize, usize)> {
    let columns = shape.descriptor.columns.iter().zip(rows.columns()).enumerate();
    let nulls = columns.filter_map(|(position, (column, array))| {
        if column.is_nullable || array.null_count() == 0 {
            return None;
        }
        let row = (0..array.len()).find(|&row| array.is_null(row))?;
        Some((row, position))
    });
    nulls.min()
}

fn violation(shape: &TableShape, name: &str, rows: &RecordBatch, row: usize) -> Error {
    let table = &shape.descriptor;
    Error::conflict(
        SqlState::CHECK_VIOLATION,
        format!(
            "new row for relation \"{}\" violates check constraint \"{name}\"",
            table.name
        ),
    )
    .with_detail(failing_row(shape, rows.columns(), row))
    .with_schema(table.schema.clone())
    .with_table(table.name.clone())
    .with_constraint(name)
}

/// 23514 for a condition that comes, or is looked at anew, when there are rows already.
pub fn violated_by_some_row(table: &TableDescriptor, name: &str) -> Error {
    Error::conflict(
        SqlState::CHECK_VIOLATION,
        format!(
            "check constraint \"{name}\" of relation \"{}\" is violated by some row",
            table.name
        ),
    )
    .with_schema(table.schema.clone())
    .with_table(table.name.clone())
    .with_constraint(name)
}

/// A row that is refused, as PostgreSQL's errors show it; `columns` begin with the table's.
pub fn failing_row(shape: &TableShape, columns: &[ArrayRef], row: usize) -> String {
    let columns = shape.descriptor.columns.iter().zip(columns);
    let values = columns.map(|(column, array)| {
        let mut text = shown(array, column.sql_type, row);
        if text.len() > SHOWN_BYTES_MAX {
            let mut end = SHOWN_BYTES_MAX;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push_str("...");
        }
        text
    });
    format!("Failing row contains ({}).", values.collect::<Vec<_>>().join(", "))
}

/// A value as text, in PostgreSQL's form.
pub fn shown(array: &ArrayRef, sql_type: SqlType, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    let one = canonical(&array.slice(row, 1), sql_type).ok();
    let cells = one.as_ref().and_then(|one| Cells::of(one, sql_type));
    let mut text = String::new();
    match cells {
        Some(cells) => cells.write_text(0, &mut text),
        None => text.push('?'),
    }
    text
}
