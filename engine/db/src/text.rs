//! Rows of an answer as texts, as PostgreSQL writes them.

use aion_base::Result;
use aion_sql::{Cells, Column, canonical};
use arrow::record_batch::RecordBatch;

/// Appends the rows of a batch of an answer with these columns; None is NULL. A column of a type without a text is left out.
///
/// # Errors
/// Internal where the batch does not hold what its columns say.
pub fn append_rows(batch: &RecordBatch, columns: &[Column], rows: &mut Vec<Vec<Option<String>>>) -> Result<()> {
    let arrays = batch.columns().iter().zip(columns);
    let arrays: Vec<_> = arrays
        .map(|(array, column)| canonical(array, column.sql_type))
        .collect::<Result<_>>()?;
    let cells = arrays.iter().zip(columns);
    let cells: Vec<Cells<'_>> = cells
        .filter_map(|(array, column)| Cells::of(array, column.sql_type))
        .collect();
    rows.extend((0..batch.num_rows()).map(|row| cells.iter().map(|cells| text(cells, row)).collect()));
    Ok(())
}

fn text(cells: &Cells<'_>, row: usize) -> Option<String> {
    if cells.is_null(row) {
        return None;
    }
    let mut text = String::new();
    cells.write_text(row, &mut text);
    Some(text)
}
