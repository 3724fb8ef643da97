//! The way to a table's rows: all of them, a range of the primary key, or an index.
//!
//! For each way the conjuncts give a range of keys; the cheapest by the estimated number of rows wins. The unit of cost is one
//! row read in order; a row fetched through an index costs a lookup, and an index that holds all columns that are asked for
//! needs none.

use std::sync::Arc;

use aion_base::key::{ColumnOrder, KeyWriter};
use aion_base::range::KeyRange;
use aion_catalog::descriptor::{IndexDescriptor, IndexMethod, IndexState};
use aion_catalog::keys::{IndexKeys, KeyPart, ROWS};
use datafusion::logical_expr::Expr;

use super::TableShape;
use super::bounds::{Comparison, KeyColumn, KeyOperand, bounds, comparisons};
use super::estimate::Estimator;
use super::formula::Formula;
use super::implied::implied;

/// Cost of a row that is looked up by key, in rows that are read in order: measured 2.8 us from the cache against 0.25 us, over 17,283 of
/// 336,776 flights. At 4 the rehearsal of an index on dest found a statement that became 1.4 times slower by it.
pub(crate) const LOOKUP: f64 = 12.0;
/// Cost of an entry of an index that is read in order, in the same: measured 0.58 us. Of a row only the columns that are asked for are
/// decoded; a key is read from its beginning.
const ENTRY: f64 = 2.0;

/// See the module's header.
#[derive(Clone, Debug)]
pub enum Access {
    /// The rows whose keys are in the range, in the order of the primary key.
    Rows {
        range: KeyRange,
        /// So many of the key's first columns have one value.
        equal: usize,
    },
    /// The entries in the range, in the order of the index.
    Index {
        keys: IndexKeys,
        range: KeyRange,
        equal: usize,
        /// The rows themselves are not needed.
        is_covering: bool,
    },
    /// The rows with these keys, those that are there.
    Keys { keys: Arc<[Arc<[u8]>]> },
}

impl Access {
    /// The cheapest way to the rows that satisfy the conjuncts, when the columns at `needed` are asked for, and its cost in rows
    /// that are read in order.
    pub fn choose(shape: &TableShape, needed: &[usize], conjuncts: &[&Expr], estimator: &Estimator<'_>) -> (Self, f64) {
        let comparisons = comparisons(conjuncts);
        let rows = |used: &[usize]| {
            let used = used.iter().map(|&at| conjuncts[at]);
            (estimator.rows() * estimator.selectivity(used)).max(1.0)
        };
        let key = primary_key(shape, &comparisons);
        let mut cheapest = rows(&key.conjuncts);
        let mut access = Self::Rows {
            range: key.range,
            equal: key.equal,
        };
        for index in &shape.descriptor.indexes {
            if index.method != IndexMethod::Ordered || index.state != IndexState::Readable {
                continue;
            }
            // One whose texts can no longer be planned is of no use to a query; who writes is told.
            let Ok(formula) = shape.formula(index) else {
                continue;
            };
            // What the index's condition follows from says which part of the rows it has.
            let condition = formula.as_ref().map_or(&[][..], |formula| &formula.conjuncts);
            let Some(mut restricting) = implied(condition, conjuncts) else {
                continue;
            };
            let keys = IndexKeys::new(&shape.descriptor, index);
            let columns: Vec<_> = keys
                .parts()
                .iter()
                .map(|&(part, order)| match part {
                    KeyPart::Column(at) => column(shape, at, order),
                    KeyPart::Expression(nth) => computed(index, formula.as_deref(), nth, order),
                })
                .collect();
            let mut prefix = Vec::new();
            KeyWriter::new(&mut prefix).table(shape.descriptor.storage, index.id);
            let found = bounds(&prefix, &columns, &comparisons);
            let is_covering = needed
                .iter()
                .all(|&column| shape.keys.is_covered(&keys, &shape.layout, column));
            let each = if is_covering { ENTRY } else { LOOKUP };
            restricting.extend(found.conjuncts);
            restricting.sort_unstable();
            restricting.dedup();
            let cost = rows(&restricting) * each;
            if cost < cheapest {
                cheapest = cost;
                access = Self::Index {
                    keys,
                    range: found.range,
                    equal: found.equal,
                    is_covering,
                };
            }
        }
        (access, cheapest)
    }

    /// The columns by which it is ordered, as positions, most significant first; those with one value come first and
    /// are counted by the second.
    pub fn order(&self, shape: &TableShape) -> (Vec<(usize, ColumnOrder)>, usize) {
        match self {
            Self::Rows { equal, .. } => {
                let key = shape.keys.primary_key().iter();
                (key.map(|&column| (column, ColumnOrder::ASC)).collect(), *equal)
            }
            Self::Index { keys, equal, .. } => {
                let column = |&(part, order): &(KeyPart, ColumnOrder)| match part {
                    KeyPart::Column(at) => Some((at, order)),
                    KeyPart::Expression(_) => None,
                };
                let (constant, ordered) = keys.parts().split_at(*equal);
                let mut columns: Vec<_> = constant.iter().filter_map(column).collect();
                let equal = columns.len();
                columns.extend(ordered.iter().map_while(column));
                (columns, equal)
            }
            Self::Keys { .. } => (Vec::new(), 0),
        }
    }
}

/// One of an index's expressions.
fn computed<'a>(
    index: &IndexDescriptor,
    formula: Option<&'a Formula>,
    nth: usize,
    order: ColumnOrder,
) -> KeyColumn<'a> {
    let normal = formula.and_then(|formula| formula.expressions.get(nth)?.normal.as_ref());
    KeyColumn {
        operand: normal.map(KeyOperand::Expression),
        sql_type: index.expressions[nth].sql_type,
        order,
    }
}

fn primary_key(shape: &TableShape, comparisons: &[Comparison<'_>]) -> super::bounds::Bounds {
    let columns: Vec<_> = shape
        .keys
        .primary_key()
        .iter()
        .map(|&at| column(shape, at, ColumnOrder::ASC))
        .collect();
    let mut prefix = Vec::new();
    KeyWriter::new(&mut prefix).table(shape.descriptor.storage, ROWS);
    bounds(&prefix, &columns, comparisons)
}

fn column(shape: &TableShape, position: usize, order: ColumnOrder) -> KeyColumn<'_> {
    let column = &shape.descriptor.columns[position];
    KeyColumn {
        operand: Some(KeyOperand::Column(&column.name)),
        sql_type: column.sql_type,
        order,
    }
}
