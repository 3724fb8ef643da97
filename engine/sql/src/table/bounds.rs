//! Comparisons with literals as a range of keys.
//!
//! 1. Take the conjuncts of the form `operand op literal`, either way round, whose literal has the operand's type: a column, or an
//!    expression that an index is over.
//! 2. Follow the columns of the primary key or of an index: while a column is compared by `=`, append its encoding to the prefix.
//! 3. On the first that is not, `<`, `<=`, `>`, `>=` narrow the range of that prefix, and it ends there.
//!
//! The range holds every row that satisfies the filters, and maybe more: the filters are evaluated all the same.
//! A comparison with NULL is true for no row, so it gives the empty range.

use aion_base::key::{ColumnOrder, KeyWriter};
use aion_base::range::KeyRange;
use aion_catalog::SqlType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::functions::is_key;

/// A conjunct of the form `operand op literal`.
#[derive(Debug)]
pub struct Comparison<'a> {
    pub operand: &'a Expr,
    pub op: Operator,
    pub value: &'a ScalarValue,
    /// Its place among the conjuncts.
    pub conjunct: usize,
}

/// What stands at one place of a key.
#[derive(Debug)]
pub enum KeyOperand<'a> {
    /// The column of that name.
    Column(&'a str),
    /// What is computed by an expression like this one.
    Expression(&'a Expr),
}

impl KeyOperand<'_> {
    fn is(&self, operand: &Expr) -> bool {
        match self {
            Self::Column(name) => matches!(operand, Expr::Column(column) if column.name == *name),
            Self::Expression(expr) => operand == *expr,
        }
    }
}

/// A column of a key.
#[derive(Debug)]
pub struct KeyColumn<'a> {
    /// None for what no filter is compared with.
    pub operand: Option<KeyOperand<'a>>,
    pub sql_type: SqlType,
    pub order: ColumnOrder,
}

/// What the filters leave of a key's range.
#[derive(Debug)]
pub struct Bounds {
    pub range: KeyRange,
    /// So many of the first columns have one value.
    pub equal: usize,
    /// The conjuncts that made it.
    pub conjuncts: Vec<usize>,
}

/// The comparisons among some conjuncts.
pub fn comparisons<'a>(conjuncts: &[&'a Expr]) -> Vec<Comparison<'a>> {
    let numbered = conjuncts.iter().enumerate();
    numbered
        .filter_map(|(conjunct, expr)| comparison(expr, conjunct))
        .collect()
}

fn comparison(filter: &Expr, conjunct: usize) -> Option<Comparison<'_>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return None;
    };
    let (operand, op, value) = match (compared(left), compared(right)) {
        (Expr::Literal(..), Expr::Literal(..)) => return None,
        (operand, Expr::Literal(value, _)) => (operand, *op, value),
        (Expr::Literal(value, _), operand) => (operand, op.swap()?, value),
        _ => return None,
    };
    Some(Comparison {
        operand,
        op,
        value,
        conjunct,
    })
}

/// What is compared: of a document, an interval or an array, whose key is, itself.
fn compared(expr: &Expr) -> &Expr {
    match expr {
        Expr::ScalarFunction(call) if is_key(call.name()) => call.args.first().unwrap_or(expr),
        _ => expr,
    }
}

/// The range of keys that begin with `prefix` and whose `columns` the comparisons leave.
pub fn bounds(prefix: &[u8], columns: &[KeyColumn<'_>], comparisons: &[Comparison<'_>]) -> Bounds {
    let mut prefix = prefix.to_vec();
    let mut conjuncts = Vec::new();
    for (equal, column) in columns.iter().enumerate() {
        let is_of_column =
            |there: &&Comparison<'_>| column.operand.as_ref().is_some_and(|operand| operand.is(there.operand));
        let of_column = || comparisons.iter().filter(is_of_column);
        if let Some(null) = of_column().find(|there| is_ordering(there.op) && there.value.is_null()) {
            return Bounds {
                range: KeyRange::new(prefix.clone(), Some(prefix)),
                equal,
                conjuncts: vec![null.conjunct],
            };
        }
        let mut encoded = Vec::new();
        let found = of_column().find(|there| {
            encoded.clear();
            there.op == Operator::Eq && encode(there.value, column.sql_type, column.order, &mut encoded).is_some()
        });
        if let Some(found) = found {
            prefix.extend_from_slice(&encoded);
            conjuncts.push(found.conjunct);
            continue;
        }
        let mut range = KeyRange::prefix(&prefix);
        for there in of_column() {
            let mut bound = prefix.clone();
            if encode(there.value, column.sql_type, column.order, &mut bound).is_none() {
                continue;
            }
            let values = KeyRange::prefix(&bound);
            let op = match column.order.is_descending() {
                true => there.op.swap(),
                false => Some(there.op),
            };
            let narrowed = match op {
                Some(Operator::GtEq) => KeyRange::new(values.start, None),
                Some(Operator::Gt) => match values.end {
                    Some(end) => KeyRange::new(end, None),
                    None => continue,
                },
                Some(Operator::LtEq) => KeyRange::new(Vec::new(), values.end),
                Some(Operator::Lt) => KeyRange::new(Vec::new(), Some(values.start)),
                _ => continue,
            };
            range = range.intersection(&narrowed);
            conjuncts.push(there.conjunct);
        }
        return Bounds {
            range,
            equal,
            conjuncts,
        };
    }
    Bounds {
        range: KeyRange::prefix(&prefix),
        equal: columns.len(),
        conjuncts,
    }
}

/// Whether NULL on one side makes it NULL.
fn is_ordering(op: Operator) -> bool {
    use Operator as O;
    matches!(op, O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq)
}

/// Appends the key encoding of a literal that has the column's type; None for one that has not.
fn encode(value: &ScalarValue, sql_type: SqlType, order: ColumnOrder, out: &mut Vec<u8>) -> Option<()> {
    let mut writer = KeyWriter::new(out);
    match (value, sql_type) {
        (ScalarValue::Boolean(Some(value)), SqlType::Boolean) => writer.bool(*value, order),
        (ScalarValue::Int16(Some(value)), SqlType::SmallInt) => writer.i16(*value, order),
        (ScalarValue::Int32(Some(value)), SqlType::Integer) => writer.i32(*value, order),
        (ScalarValue::Int64(Some(value)), SqlType::BigInt) => writer.i64(*value, order),
        (ScalarValue::Date32(Some(value)), SqlType::Date) => writer.i32(*value, order),
        (ScalarValue::Time64Microsecond(Some(value)), SqlType::Time(_))
        | (ScalarValue::TimestampMicrosecond(Some(value), None), SqlType::Timestamp(_))
        | (ScalarValue::TimestampMicrosecond(Some(value), Some(_)), SqlType::TimestampTz(_)) => {
            writer.i64(*value, order)
        }
        (ScalarValue::TimestampNanosecond(Some(value), Some(_)), SqlType::Enum(_)) => writer.i64(*value, order),
        (ScalarValue::Decimal128(Some(value), _, scale), SqlType::Numeric { scale: column, .. })
            if *scale == column =>
        {
            writer.i128(*value, order)
        }
        (ScalarValue::Utf8(Some(value)), SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_)) => {
            writer.text(value, order)
        }
        // Documents and arrays are compared by their keys.
        (ScalarValue::Binary(Some(value)), SqlType::Bytea | SqlType::Jsonb | SqlType::Array(_)) => {
            writer.bytes(value, order)
        }
        // An interval is compared by its length.
        (ScalarValue::Decimal128(Some(value), _, 0), SqlType::Interval) => writer.i128(*value, order),
        (ScalarValue::FixedSizeBinary(16, Some(value)), SqlType::Uuid) => {
            writer.uuid(value.as_slice().try_into().ok()?, order)
        }
        // Floats: -0 and 0 are equal and NaN compares otherwise; the filter alone decides.
        _ => return None,
    };
    Some(())
}
