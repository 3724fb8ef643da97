//! Filters on the primary key as a range of keys.
//!
//! 1. Take the conjuncts of the form `column op literal`, either way round, whose literal has the column's type.
//! 2. Follow the primary key's columns: while a column is compared by `=`, append its encoding to the prefix.
//! 3. On the first that is not, `<`, `<=`, `>`, `>=` narrow the range of that prefix, and it ends there.
//!
//! The range holds every row that satisfies the filters, and maybe more: the filters are evaluated all the same.
//! A comparison with NULL is true for no row, so it gives the empty range.

use aion_base::key::{ColumnOrder, KeyWriter};
use aion_base::range::KeyRange;
use aion_catalog::SqlType;
use aion_catalog::keys::ROWS;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::TableShape;

/// The range of row keys that the filters leave.
pub fn primary_key_range(shape: &TableShape, filters: &[Expr]) -> KeyRange {
    let comparisons: Vec<_> = filters
        .iter()
        .flat_map(split_conjunction)
        .filter_map(comparison)
        .collect();
    let mut prefix = Vec::new();
    KeyWriter::new(&mut prefix).table(shape.descriptor.id, ROWS);
    for position in shape.descriptor.primary_key_positions() {
        let column = &shape.descriptor.columns[position];
        let of_column = || comparisons.iter().filter(|(name, ..)| *name == column.name);
        if of_column().any(|(_, _, value)| value.is_null()) {
            return KeyRange::new(prefix.clone(), Some(prefix));
        }
        let mut encoded = Vec::new();
        let equal = of_column().find(|(_, op, value)| {
            *op == Operator::Eq && encode(value, column.sql_type, clear(&mut encoded)).is_some()
        });
        if equal.is_some() {
            prefix.extend_from_slice(&encoded);
            continue;
        }
        let mut range = KeyRange::prefix(&prefix);
        for (_, op, value) in of_column() {
            let mut bound = prefix.clone();
            if encode(value, column.sql_type, &mut bound).is_none() {
                continue;
            }
            let values = KeyRange::prefix(&bound);
            let narrowed = match op {
                Operator::GtEq => KeyRange::new(values.start, None),
                Operator::Gt => match values.end {
                    Some(end) => KeyRange::new(end, None),
                    None => continue,
                },
                Operator::LtEq => KeyRange::new(Vec::new(), values.end),
                Operator::Lt => KeyRange::new(Vec::new(), Some(values.start)),
                _ => continue,
            };
            range = range.intersection(&narrowed);
        }
        return range;
    }
    KeyRange::prefix(&prefix)
}

fn clear(buffer: &mut Vec<u8>) -> &mut Vec<u8> {
    buffer.clear();
    buffer
}

/// `column op literal`, with the column on the left.
fn comparison(filter: &Expr) -> Option<(&str, Operator, &ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return None;
    };
    match (&**left, &**right) {
        (Expr::Column(column), Expr::Literal(value, _)) => Some((&column.name, *op, value)),
        (Expr::Literal(value, _), Expr::Column(column)) => Some((&column.name, op.swap()?, value)),
        _ => None,
    }
}

/// Appends the key encoding of a literal that has the column's type; None for one that has not.
fn encode(value: &ScalarValue, sql_type: SqlType, out: &mut Vec<u8>) -> Option<()> {
    let mut writer = KeyWriter::new(out);
    let order = ColumnOrder::ASC;
    match (value, sql_type) {
        (ScalarValue::Boolean(Some(value)), SqlType::Boolean) => writer.bool(*value, order),
        (ScalarValue::Int16(Some(value)), SqlType::SmallInt) => writer.i16(*value, order),
        (ScalarValue::Int32(Some(value)), SqlType::Integer) => writer.i32(*value, order),
        (ScalarValue::Int64(Some(value)), SqlType::BigInt) => writer.i64(*value, order),
        (ScalarValue::Date32(Some(value)), SqlType::Date) => writer.i32(*value, order),
        (ScalarValue::TimestampMicrosecond(Some(value), None), SqlType::Timestamp)
        | (ScalarValue::TimestampMicrosecond(Some(value), Some(_)), SqlType::TimestampTz) => writer.i64(*value, order),
        (ScalarValue::Decimal128(Some(value), _, scale), SqlType::Numeric { scale: column, .. })
            if *scale == column =>
        {
            writer.i128(*value, order)
        }
        (ScalarValue::Utf8(Some(value)), SqlType::Text | SqlType::Varchar(_)) => writer.text(value, order),
        (ScalarValue::Binary(Some(value)), SqlType::Bytea) => writer.bytes(value, order),
        (ScalarValue::FixedSizeBinary(16, Some(value)), SqlType::Uuid) => {
            writer.uuid(value.as_slice().try_into().ok()?, order)
        }
        // Floats: -0 and 0 are equal and NaN compares otherwise; the filter alone decides.
        _ => return None,
    };
    Some(())
}
