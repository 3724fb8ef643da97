//! How many rows a filter leaves, from the statistics that ANALYZE gathered.
//!
//! **Guarantees.** Estimates steer plans and nothing else. Without statistics they are PostgreSQL's defaults, so that a key
//! lookup is still told from a scan.
//!
//! A conjunct `column op literal` is looked up in the most common values and the histogram; `AND` multiplies, `OR` adds and
//! subtracts the product, NOT complements; IS NULL uses the share of NULLs; IN adds up. What is not understood takes a third, as in
//! PostgreSQL's `selfuncs.c`. Conjuncts are taken as independent.

use std::cmp::Ordering;

use aion_catalog::descriptor::{ColumnDescriptor, TableDescriptor};
use aion_catalog::interval::Interval;
use aion_catalog::json::Jsonb;
use aion_catalog::stats::{ColumnStatistics, TableStatistics};
use aion_catalog::{SqlType, Value, array};
use datafusion::common::stats::Precision;
use datafusion::common::{ScalarValue, Statistics};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Like, Operator};

use super::TableShape;
use crate::cells::{Cells, canonical};
use crate::functions::is_key;
use crate::session::scalar;

/// Share of rows that an equality leaves, where nothing is known of the column.
const EQUAL: f64 = 0.005;
/// Share of rows that a comparison leaves, where nothing is known of the column.
const COMPARED: f64 = 1.0 / 3.0;
/// Share of rows that LIKE leaves.
const LIKE: f64 = 0.05;
/// Rows of a table that nothing is known of.
const ROWS_UNKNOWN: f64 = 10_000.0;

/// Estimates for one table.
#[derive(Clone, Copy, Debug)]
pub struct Estimator<'a> {
    pub table: &'a TableDescriptor,
    pub statistics: Option<&'a TableStatistics>,
}

impl Estimator<'_> {
    /// Rows of the table.
    pub fn rows(&self) -> f64 {
        self.statistics.map_or(ROWS_UNKNOWN, |known| known.rows as f64)
    }

    /// The share of rows, 0 to 1, for which all conjuncts are true.
    pub fn selectivity<'e>(&self, conjuncts: impl IntoIterator<Item = &'e Expr>) -> f64 {
        conjuncts.into_iter().map(|expr| self.share(expr)).product()
    }

    /// What DataFusion wants to know of `rows` rows of the columns at `projection`; a limit is exact.
    pub fn statistics_of(
        &self,
        shape: &TableShape,
        projection: &[usize],
        rows: f64,
        limit: Option<usize>,
    ) -> Statistics {
        let schema = &shape.schema_with_key;
        let Some(known) = self.statistics else {
            return Statistics::new_unknown(&schema.project(projection).expect("the positions are the planner's"));
        };
        let rows = limit.map_or(rows, |limit| rows.min(limit as f64));
        let columns = projection.iter().map(|&position| {
            let column = self.table.columns.get(position);
            let statistics = column.and_then(|column| Some((column, known.column(column.id)?)));
            let Some((column, statistics)) = statistics else {
                return datafusion::common::ColumnStatistics::new_unknown();
            };
            let bound = |text: &Option<String>| {
                let value = text
                    .as_ref()
                    .and_then(|text| Value::text_in(&column.sql_type, text).ok());
                value.and_then(|value| scalar(&column.sql_type, &value).ok())
            };
            let inexact = |value: f64| Precision::Inexact(value.max(0.0).round() as usize);
            let precision = |value: Option<ScalarValue>| value.map_or(Precision::Absent, Precision::Inexact);
            datafusion::common::ColumnStatistics {
                null_count: inexact(rows * statistics.null_fraction),
                min_value: precision(bound(&statistics.min)),
                max_value: precision(bound(&statistics.max)),
                sum_value: Precision::Absent,
                distinct_count: statistics
                    .distinct
                    .map_or(Precision::Absent, |distinct| inexact((distinct as f64).min(rows))),
                byte_size: inexact(rows * statistics.average_width),
            }
        });
        let columns: Vec<_> = columns.collect();
        let widths = projection.iter().filter_map(|&position| {
            let column = self.table.columns.get(position)?;
            Some(known.column(column.id)?.average_width)
        });
        Statistics {
            num_rows: Precision::Inexact(rows.round().max(1.0) as usize),
            total_byte_size: Precision::Inexact((rows * widths.sum::<f64>()) as usize),
            column_statistics: columns,
        }
    }

    fn share(&self, expr: &Expr) -> f64 {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::And => self.share(left) * self.share(right),
                Operator::Or => {
                    let (one, two) = (self.share(left), self.share(right));
                    one + two - one * two
                }
                _ => self.compared(left, *op, right),
            },
            Expr::Not(inner) => 1.0 - self.share(inner),
            Expr::IsNull(inner) => self.nulls(inner).unwrap_or(EQUAL),
            Expr::IsNotNull(inner) => 1.0 - self.nulls(inner).unwrap_or(EQUAL),
            Expr::InList(InList { expr, list, negated }) => {
                let each = list.iter().map(|value| self.compared(expr, Operator::Eq, value));
                negate(each.sum::<f64>().min(1.0), *negated)
            }
            Expr::Between(Between {
                expr,
                negated,
                low,
                high,
            }) => {
                let above = self.compared(expr, Operator::GtEq, low);
                let below = self.compared(expr, Operator::LtEq, high);
                negate((above + below - 1.0).max(EQUAL), *negated)
            }
            Expr::Like(Like { negated, .. }) => negate(LIKE, *negated),
            Expr::Literal(ScalarValue::Boolean(Some(true)), _) => 1.0,
            Expr::Literal(..) => 0.0,
            Expr::Column(_) => 0.5,
            _ => COMPARED,
        }
    }

    fn nulls(&self, expr: &Expr) -> Option<f64> {
        let (_, statistics) = self.column(expr)?;
        Some(statistics?.null_fraction)
    }

    fn compared(&self, left: &Expr, op: Operator, right: &Expr) -> f64 {
        let default = match op {
            Operator::Eq | Operator::IsNotDistinctFrom => EQUAL,
            Operator::NotEq | Operator::IsDistinctFrom => 1.0 - EQUAL,
            _ => COMPARED,
        };
        let (column, op, literal) = match (left, right) {
            (column, Expr::Literal(literal, _)) => (column, Some(op), literal),
            (Expr::Literal(literal, _), column) => (column, op.swap(), literal),
            _ => return default,
        };
        let (Some((column, statistics)), Some(op)) = (self.column(column), op) else {
            return default;
        };
        if self.is_unique(column) && op == Operator::Eq {
            return 1.0 / self.rows().max(1.0);
        }
        let value = value_of(literal, column.sql_type);
        match (statistics, value) {
            (Some(statistics), Some(value)) => Column::new(statistics, column.sql_type)
                .share(op, &value)
                .unwrap_or(default),
            _ => default,
        }
    }

    fn is_unique(&self, column: &ColumnDescriptor) -> bool {
        self.table.primary_key == [column.id]
    }

    /// The column that an expression is, through casts.
    fn column(&self, expr: &Expr) -> Option<(&ColumnDescriptor, Option<&ColumnStatistics>)> {
        match expr {
            Expr::Column(column) => {
                let column = &self.table.columns[self.table.position(&column.name)?];
                Some((column, self.statistics.and_then(|known| known.column(column.id))))
            }
            Expr::Cast(cast) => self.column(&cast.expr),
            // A document or an array is compared by its key, an interval by its length.
            Expr::ScalarFunction(call) if is_key(call.name()) => self.column(call.args.first()?),
            _ => None,
        }
    }
}

fn negate(share: f64, negated: bool) -> f64 {
    if negated { 1.0 - share } else { share }
}

/// The literal as a value of the column's type; None where it has none.
fn value_of(literal: &ScalarValue, sql_type: SqlType) -> Option<Value> {
    if literal.is_null() {
        return None;
    }
    if let (ScalarValue::Binary(Some(key)), SqlType::Jsonb) = (literal, sql_type) {
        return Jsonb::of_key(key).ok().map(Value::Jsonb);
    }
    if let (ScalarValue::Decimal128(Some(length), _, 0), SqlType::Interval) = (literal, sql_type) {
        return Interval::of_length(*length).ok().map(Value::Interval);
    }
    if let (ScalarValue::Binary(Some(key)), SqlType::Array(element)) = (literal, sql_type) {
        return array::of_key(element, key).ok().map(Value::Array);
    }
    let array = canonical(&literal.to_array().ok()?, sql_type).ok()?;
    let mut text = String::new();
    Cells::of(&array, sql_type)?.write_text(0, &mut text);
    Value::text_in(&sql_type, &text).ok()
}

/// What is known of one column.
struct Column<'a> {
    statistics: &'a ColumnStatistics,
    sql_type: SqlType,
}

impl<'a> Column<'a> {
    fn new(statistics: &'a ColumnStatistics, sql_type: SqlType) -> Self {
        Self { statistics, sql_type }
    }

    /// The share of rows that compare so; None for another operator.
    fn share(&self, op: Operator, value: &Value) -> Option<f64> {
        let present = 1.0 - self.statistics.null_fraction;
        Some(match op {
            Operator::Eq | Operator::IsNotDistinctFrom => self.equal(value),
            Operator::NotEq | Operator::IsDistinctFrom => (present - self.equal(value)).max(0.0),
            Operator::Lt | Operator::LtEq => self.below(value, op == Operator::LtEq)?,
            Operator::Gt | Operator::GtEq => (present - self.below(value, op == Operator::Gt)?).max(0.0),
            _ => return None,
        })
    }

    fn equal(&self, value: &Value) -> f64 {
        let known = self.statistics;
        let mut common = 0.0;
        for there in &known.most_common {
            if self.compare(&there.value, value) == Some(Ordering::Equal) {
                return there.frequency;
            }
            common += there.frequency;
        }
        let distinct = known.distinct.unwrap_or(200) as f64;
        let others = (distinct - known.most_common.len() as f64).max(0.0);
        let rest = (1.0 - known.null_fraction - common).max(0.0);
        // Never seen, and all that was seen is known: next to none.
        if others < 1.0 { rest } else { rest / others }
    }

    /// The share of rows that are less than the value, or equal to it.
    fn below(&self, value: &Value, or_equal: bool) -> Option<f64> {
        let known = self.statistics;
        let is_below = |text: &str| match self.compare(text, value)? {
            Ordering::Less => Some(true),
            Ordering::Equal => Some(or_equal),
            Ordering::Greater => Some(false),
        };
        let mut share = 0.0;
        let mut common = 0.0;
        for there in &known.most_common {
            common += there.frequency;
            if is_below(&there.value)? {
                share += there.frequency;
            }
        }
        let rest = (1.0 - known.null_fraction - common).max(0.0);
        let bounds = &known.histogram;
        if bounds.len() < 2 {
            return Some(share + rest * 0.5);
        }
        let passed = bounds.iter().filter(|bound| is_below(bound) == Some(true)).count();
        // Between two bounds, half of the range.
        let position = match passed {
            0 => 0.0,
            all if all == bounds.len() => 1.0,
            some => (some as f64 - 0.5) / (bounds.len() - 1) as f64,
        };
        Some(share + rest * position)
    }

    fn compare(&self, text: &str, value: &Value) -> Option<Ordering> {
        Value::text_in(&self.sql_type, text).ok()?.compare(value)
    }
}
