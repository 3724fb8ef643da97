//! The keys of the rows that a WHERE clause names.

use std::sync::Arc;

use aion_base::key::KeyWriter;
use aion_catalog::keys::ROWS;
use aion_catalog::{SqlType, Value};
use datafusion::sql::sqlparser::ast;

use super::shape::Target;
use super::source::{Fit, Parameters, Source, is_key_type, write_key};
use crate::table::TableShape;

/// Elements of an IN list, at most: a longer one is the planner's.
const LIST_MAX: usize = 1_000;

/// Every column of a primary key, compared by `=`, or one of them by `IN`.
#[derive(Debug)]
pub(crate) struct Keys {
    pub shape: Arc<TableShape>,
    prefix: Vec<u8>,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    sql_type: SqlType,
    sources: Vec<Source>,
}

/// The keys of one execution.
#[derive(Debug)]
pub(crate) enum Found {
    /// These, in order, each once.
    Keys(Vec<Vec<u8>>),
    /// The planner has to say.
    Unfit,
}

impl Keys {
    /// The keys that a WHERE clause names; None where it says anything else.
    pub fn compile(
        selection: &ast::Expr,
        target: &Target<'_>,
        shape: &Arc<TableShape>,
        parameters: &mut Parameters<'_>,
    ) -> Option<Self> {
        let mut comparisons = Vec::new();
        conjuncts(selection, &mut comparisons)?;
        let positions = shape.descriptor.primary_key_positions();
        if comparisons.len() != positions.len() {
            return None;
        }
        let mut named = Vec::with_capacity(comparisons.len());
        for comparison in comparisons {
            named.push(comparison.column(target)?);
        }
        let mut columns = Vec::with_capacity(positions.len());
        for position in positions {
            let column = &shape.descriptor.columns[position];
            // As many comparisons as columns: none is named twice when each is found.
            let (_, operands) = named.iter().find(|(name, _)| *name == column.name)?;
            if !is_key_type(column.sql_type) || operands.len() > LIST_MAX {
                return None;
            }
            let sources = operands
                .iter()
                .map(|operand| Source::compile(operand, column.sql_type, parameters));
            columns.push(Column {
                sql_type: column.sql_type,
                sources: sources.collect::<Option<_>>()?,
            });
        }
        if columns.iter().filter(|column| column.sources.len() != 1).count() > 1 {
            return None;
        }
        let mut prefix = Vec::new();
        KeyWriter::new(&mut prefix).table(shape.descriptor.storage, ROWS);
        Some(Self {
            shape: shape.clone(),
            prefix,
            columns,
        })
    }

    /// Whether there is at most one row.
    pub fn is_single(&self) -> bool {
        self.columns.iter().all(|column| column.sources.len() == 1)
    }

    /// Puts the only key into `out`.
    pub fn single(&self, values: &[Value], out: &mut Vec<u8>) -> Fit {
        self.write(0, values, out)
    }

    /// All keys.
    pub fn all(&self, values: &[Value]) -> Found {
        let count = self.columns.iter().map(|column| column.sources.len()).max();
        let mut keys = Vec::new();
        for element in 0..count.unwrap_or(0) {
            let mut key = Vec::new();
            match self.write(element, values, &mut key) {
                Fit::Written => keys.push(key),
                Fit::Nowhere => {}
                Fit::Unfit => return Found::Unfit,
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Found::Keys(keys)
    }

    /// The key with this element of the list.
    fn write(&self, element: usize, values: &[Value], out: &mut Vec<u8>) -> Fit {
        out.clear();
        out.extend_from_slice(&self.prefix);
        for column in &self.columns {
            let source = match column.sources.as_slice() {
                [only] => only,
                list => &list[element],
            };
            let Some(value) = source.value(values) else {
                return Fit::Unfit;
            };
            match write_key(value, column.sql_type, out) {
                Fit::Written => {}
                other => return other,
            }
        }
        Fit::Written
    }
}

/// One side of a conjunction.
enum Comparison<'a> {
    Equal(&'a ast::Expr, &'a ast::Expr),
    In(&'a ast::Expr, &'a [ast::Expr]),
}

impl<'a> Comparison<'a> {
    /// The column, and what it is compared with.
    fn column(&self, target: &Target<'_>) -> Option<(String, Vec<&'a ast::Expr>)> {
        match *self {
            Self::Equal(left, right) => match (target.column(left), target.column(right)) {
                (Some(column), None) => Some((column, vec![right])),
                (None, Some(column)) => Some((column, vec![left])),
                _ => None,
            },
            Self::In(column, list) if !list.is_empty() => Some((target.column(column)?, list.iter().collect())),
            Self::In(..) => None,
        }
    }
}

fn conjuncts<'a>(expr: &'a ast::Expr, out: &mut Vec<Comparison<'a>>) -> Option<()> {
    match expr {
        ast::Expr::Nested(inner) => conjuncts(inner, out),
        ast::Expr::BinaryOp {
            left,
            op: ast::BinaryOperator::And,
            right,
        } => {
            conjuncts(left, out)?;
            conjuncts(right, out)
        }
        ast::Expr::BinaryOp {
            left,
            op: ast::BinaryOperator::Eq,
            right,
        } => {
            out.push(Comparison::Equal(left, right));
            Some(())
        }
        ast::Expr::InList {
            expr,
            list,
            negated: false,
        } => {
            out.push(Comparison::In(expr, list));
            Some(())
        }
        _ => None,
    }
}
