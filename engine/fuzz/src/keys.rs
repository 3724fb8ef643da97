//! Keys from any bytes.

use aion_base::key::{ColumnOrder, KeyReader};
use aion_catalog::keys::{read_value, write_value};
use aion_catalog::{SqlType, Value};

use crate::type_of;

const COLUMNS_MAX: usize = 4;

/// Reads `data` as the number of columns, a type and an order of each, and a key of them. What is read gives the same key again, as the codec
/// promises: no value has two. It does not say so of intervals, arrays and documents, which are kept in keys for their order alone.
pub fn keys(data: &[u8]) {
    let Some((&number, mut rest)) = data.split_first() else {
        return;
    };
    let mut columns: Vec<(SqlType, ColumnOrder)> = Vec::new();
    for _ in 0..usize::from(number) % COLUMNS_MAX + 1 {
        let Some((&[sql_type, order], after)) = rest.split_first_chunk::<2>() else {
            return;
        };
        rest = after;
        let orders = [
            ColumnOrder::ASC,
            ColumnOrder::ASC_NULLS_FIRST,
            ColumnOrder::DESC,
            ColumnOrder::DESC_NULLS_LAST,
        ];
        columns.push((type_of(sql_type), orders[usize::from(order) % orders.len()]));
    }
    let mut reader = KeyReader::new(rest);
    let mut values: Vec<Value> = Vec::new();
    for &(sql_type, order) in &columns {
        match read_value(&mut reader, sql_type, order) {
            Ok(value) => values.push(value),
            Err(_) => return,
        }
    }
    if reader.finish().is_err() {
        return;
    }
    let is_exact = |sql_type: &SqlType| !matches!(sql_type, SqlType::Interval | SqlType::Array(_) | SqlType::Jsonb);
    let mut again = Vec::new();
    for (value, (_, order)) in values.iter().zip(&columns) {
        let written = write_value(value, *order, &mut again);
        written.expect("a value that was read from a key can be part of one");
    }
    if columns.iter().all(|(sql_type, _)| is_exact(sql_type)) {
        assert_eq!(again, rest, "{values:?} of {columns:?} has two keys");
    }
}
