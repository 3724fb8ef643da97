//! Rows from any bytes.

use aion_catalog::row::{RowLayout, RowReader, RowWriter};
use aion_catalog::{SqlType, Value};

use crate::type_of;

const COLUMNS_MAX: usize = 8;

/// Reads `data` as the number of columns, the type of each, and a row of them. What is read is written, and reads the same again.
pub fn rows(data: &[u8]) {
    let Some((&number, rest)) = data.split_first() else {
        return;
    };
    let number = usize::from(number) % COLUMNS_MAX + 1;
    let Some((types, bytes)) = rest.split_at_checked(number) else {
        return;
    };
    let types: Vec<SqlType> = types.iter().map(|byte| type_of(*byte)).collect();
    let layout = RowLayout::new(&types);
    let Ok(row) = RowReader::new(&layout, bytes) else {
        return;
    };
    let values: Result<Vec<Value>, _> = (0..number).map(|column| row.value(column)).collect();
    let Ok(values) = values else { return };
    let mut written = Vec::new();
    let mut writer = RowWriter::new(&layout, &mut written);
    for (column, value) in values.iter().enumerate() {
        writer.value(column, value);
    }
    writer.finish();
    let row = RowReader::new(&layout, &written).expect("what was written is read");
    let again: Result<Vec<Value>, _> = (0..number).map(|column| row.value(column)).collect();
    let again = again.expect("what was written is read");
    // By their text: NaN is not equal to itself.
    assert_eq!(format!("{values:?}"), format!("{again:?}"), "of {types:?}");
}
