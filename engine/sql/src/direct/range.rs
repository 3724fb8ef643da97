//! Rows of a short range of keys, in their order.
//!
//! `SELECT columns FROM t WHERE k >= $1 [AND k < $2] [ORDER BY k [DESC]] [LIMIT $3]`, over the first column of the primary key, or over the one that
//! follows columns compared by `=`. A range that turns out to have more than [`ROWS_MAX`] rows or [`BYTES_MAX`] bytes is the planner's.
//!
//! What is read is recorded as the full path records it: the whole range, whatever the LIMIT.

use std::sync::Arc;

use aion_base::Result;
use aion_base::key::KeyWriter;
use aion_base::range::KeyRange;
use aion_catalog::keys::ROWS;
use aion_catalog::{SqlType, Value};
use aion_storage::Direction;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::sql::sqlparser::ast;

use super::get::Output;
use super::shape::{Order, RangeSelect, Target};
use super::source::{Fit, Parameters, Source, integer, is_key_type, write_key};
use crate::table::TableShape;
use crate::transaction::Transaction;

/// Rows that are given without a planner, at most.
const ROWS_MAX: usize = 1_000;
/// Bytes of their rows, at most.
const BYTES_MAX: usize = 4 << 20;

/// A SELECT of the rows of a range.
#[derive(Debug)]
pub(crate) struct Range {
    pub shape: Arc<TableShape>,
    pub output: Output,
    prefix: Vec<u8>,
    /// The first columns of the key, each with its value.
    equal: Vec<(SqlType, Source)>,
    /// The type of the column after them.
    sql_type: SqlType,
    from: Option<Bound>,
    to: Option<Bound>,
    direction: Direction,
    limit: Option<Source>,
}

#[derive(Debug)]
struct Bound {
    source: Source,
    is_included: bool,
}

/// A comparison of a column with a value.
struct Comparison<'a> {
    column: String,
    operator: Operator,
    value: &'a ast::Expr,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    From { is_included: bool },
    To { is_included: bool },
}

impl Range {
    pub fn compile(
        query: &ast::Query,
        range: &RangeSelect<'_>,
        shape: &Arc<TableShape>,
        parameters: &mut Parameters<'_>,
    ) -> Option<Self> {
        let target = &range.select.target;
        let mut comparisons = Vec::new();
        conjuncts(range.select.selection, target, &mut comparisons)?;
        let output = Output::compile(query, &range.select, shape)?;
        let positions = shape.descriptor.primary_key_positions();
        let mut equal = Vec::new();
        let (mut from, mut to) = (None, None);
        let mut used = 0;
        let mut ordered = None;
        for &position in &positions {
            let column = &shape.descriptor.columns[position];
            // The blanks of a character(n), and the zeroes of a float, are the planner's.
            if !is_key_type(column.sql_type) || matches!(column.sql_type, SqlType::Char(_)) {
                return None;
            }
            let of_column: Vec<_> = comparisons.iter().filter(|there| there.column == column.name).collect();
            used += of_column.len();
            if let [only] = of_column[..]
                && only.operator == Operator::Equal
            {
                equal.push((
                    column.sql_type,
                    Source::compile(only.value, column.sql_type, parameters)?,
                ));
                continue;
            }
            for comparison in of_column {
                let source = Source::compile(comparison.value, column.sql_type, parameters)?;
                let (bound, is_included) = match comparison.operator {
                    Operator::Equal => return None,
                    Operator::From { is_included } => (&mut from, is_included),
                    Operator::To { is_included } => (&mut to, is_included),
                };
                if bound.replace(Bound { source, is_included }).is_some() {
                    return None;
                }
            }
            ordered = Some(column.sql_type);
            break;
        }
        // Without bounds it is a part of the table, or all of it.
        if used != comparisons.len() || (from.is_none() && to.is_none()) {
            return None;
        }
        let direction = direction(range, target, shape, &positions, equal.len(), &output)?;
        let limit = match range.limit {
            Some(limit) => Some(Source::compile(limit, SqlType::BigInt, parameters)?),
            None => None,
        };
        let mut prefix = Vec::new();
        KeyWriter::new(&mut prefix).table(shape.descriptor.storage, ROWS);
        Some(Self {
            shape: shape.clone(),
            output,
            prefix,
            equal,
            sql_type: ordered?,
            from,
            to,
            direction,
            limit,
        })
    }

    /// The rows as a transaction sees them; what is read is recorded in it. None where the planner has to say.
    ///
    /// # Errors
    /// Corrupt for a damaged row; when the rows cannot be read.
    pub fn read(&self, values: &[Value], transaction: &Transaction) -> Result<Option<Option<RecordBatch>>> {
        let Some((range, limit)) = self.keys(values) else {
            return Ok(None);
        };
        let mut scan = transaction.scan(&range, self.direction)?;
        let mut batch = self.output.batch(&self.shape, limit.unwrap_or(ROWS_MAX).min(ROWS_MAX));
        let (mut count, mut bytes) = (0, 0);
        while limit != Some(count) && scan.advance()? {
            count += 1;
            bytes += scan.value().len();
            if count > ROWS_MAX || bytes > BYTES_MAX {
                return Ok(None);
            }
            batch.push(scan.value())?;
        }
        Ok(Some(match count {
            0 => None,
            _ => Some(batch.finish()?),
        }))
    }

    /// The range of one execution, and how many of its rows are wanted.
    fn keys(&self, values: &[Value]) -> Option<(KeyRange, Option<usize>)> {
        let limit = match &self.limit {
            Some(source) => Some(usize::try_from(integer(source.value(values)?)?).ok()?),
            None => None,
        };
        let mut prefix = self.prefix.clone();
        for (sql_type, source) in &self.equal {
            if write_key(source.value(values)?, *sql_type, &mut prefix) != Fit::Written {
                return None;
            }
        }
        let at = |bound: &Bound| {
            let mut key = prefix.clone();
            let fit = write_key(bound.source.value(values)?, self.sql_type, &mut key);
            (fit == Fit::Written).then_some(key)
        };
        let all = KeyRange::prefix(&prefix);
        let start = match &self.from {
            None => all.start,
            Some(bound) if bound.is_included => at(bound)?,
            // Behind all keys that begin with the value. There is always something: the storage is not the last.
            Some(bound) => KeyRange::prefix(&at(bound)?).end?,
        };
        let end = match &self.to {
            None => all.end,
            Some(bound) if bound.is_included => KeyRange::prefix(&at(bound)?).end,
            Some(bound) => Some(at(bound)?),
        };
        Some((KeyRange::new(start, end), limit))
    }
}

/// In which order of the keys the rows are wanted; None for another order, or for only some of them in none.
fn direction(
    range: &RangeSelect<'_>,
    target: &Target<'_>,
    shape: &TableShape,
    positions: &[usize],
    equal: usize,
    output: &Output,
) -> Option<Direction> {
    if range.order.is_empty() {
        return range.limit.is_none().then_some(Direction::Forward);
    }
    let name = |position: &usize| shape.descriptor.columns[*position].name.as_str();
    let named = |order: &Order<'_>| target.column(order.expr);
    // Columns of one value say nothing of the order.
    let first = named(range.order.first()?)?;
    let wanted = match positions.first().is_some_and(|position| name(position) == first) {
        true => positions,
        false => &positions[equal..],
    };
    if range.order.len() != wanted.len() {
        return None;
    }
    let is_descending = range.order.first()?.is_descending;
    for (order, position) in range.order.iter().zip(wanted) {
        let column = named(order)?;
        let is_it = column == name(position) && output.keeps_name(*position, &column);
        if !is_it || order.is_descending != is_descending {
            return None;
        }
    }
    Some(match is_descending {
        true => Direction::Backward,
        false => Direction::Forward,
    })
}

fn conjuncts<'a>(expr: &'a ast::Expr, target: &Target<'_>, out: &mut Vec<Comparison<'a>>) -> Option<()> {
    use ast::BinaryOperator as B;
    match expr {
        ast::Expr::Nested(inner) => conjuncts(inner, target, out),
        ast::Expr::BinaryOp {
            left,
            op: B::And,
            right,
        } => {
            conjuncts(left, target, out)?;
            conjuncts(right, target, out)
        }
        ast::Expr::BinaryOp { left, op, right } => {
            let operator = match op {
                B::Eq => Operator::Equal,
                B::Gt => Operator::From { is_included: false },
                B::GtEq => Operator::From { is_included: true },
                B::Lt => Operator::To { is_included: false },
                B::LtEq => Operator::To { is_included: true },
                _ => return None,
            };
            out.push(match (target.column(left), target.column(right)) {
                (Some(column), None) => Comparison {
                    column,
                    operator,
                    value: right,
                },
                (None, Some(column)) => Comparison {
                    column,
                    operator: operator.turned(),
                    value: left,
                },
                _ => return None,
            });
            Some(())
        }
        ast::Expr::Between {
            expr,
            negated: false,
            low,
            high,
        } => {
            let column = target.column(expr)?;
            for (operator, value) in [
                (Operator::From { is_included: true }, low),
                (Operator::To { is_included: true }, high),
            ] {
                out.push(Comparison {
                    column: column.clone(),
                    operator,
                    value,
                });
            }
            Some(())
        }
        _ => None,
    }
}

impl Operator {
    /// With its sides exchanged.
    fn turned(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::From { is_included } => Self::To { is_included },
            Self::To { is_included } => Self::From { is_included },
        }
    }
}
