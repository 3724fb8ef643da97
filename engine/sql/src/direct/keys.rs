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

/// Every column of a primary key, compared by `=`, or one of them by `IN` or `= ANY (array)`.
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
    /// The array whose elements it is compared with, where it is one.
    array: Option<Source>,
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
            let (_, operands, is_array) = named.iter().find(|(name, ..)| *name == column.name)?;
            if !is_key_type(column.sql_type) || operands.len() > LIST_MAX {
                return None;
            }
            if let (true, [array]) = (*is_array, &operands[..]) {
                columns.push(Column {
                    sql_type: column.sql_type,
                    sources: Vec::new(),
                    array: Some(Source::compile(array, column.sql_type.array()?, parameters)?),
                });
                continue;
            }
            let sources = operands
                .iter()
                .map(|operand| Source::compile(operand, column.sql_type, parameters));
            columns.push(Column {
                sql_type: column.sql_type,
                sources: sources.collect::<Option<_>>()?,
                array: None,
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
        self.write(0, None, values, out)
    }

    /// All keys.
    pub fn all(&self, values: &[Value]) -> Found {
        let elements = match self.array(values) {
            None => None,
            Some(Value::Array(elements)) if elements.len() <= LIST_MAX => Some(elements.as_slice()),
            Some(Value::Null) => Some(&[][..]),
            Some(_) => return Found::Unfit,
        };
        let count = match elements {
            Some(elements) => elements.len(),
            None => self
                .columns
                .iter()
                .map(|column| column.sources.len())
                .max()
                .unwrap_or(0),
        };
        let mut keys = Vec::new();
        for at in 0..count {
            let mut key = Vec::new();
            match self.write(at, elements, values, &mut key) {
                Fit::Written => keys.push(key),
                Fit::Nowhere => {}
                Fit::Unfit => return Found::Unfit,
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Found::Keys(keys)
    }

    /// The array that a column is compared with the elements of.
    fn array<'a>(&'a self, values: &'a [Value]) -> Option<&'a Value> {
        let array = self.columns.iter().find_map(|column| column.array.as_ref())?;
        array.value(values)
    }

    /// The key with this element of the list, or of the array.
    fn write(&self, at: usize, elements: Option<&[Value]>, values: &[Value], out: &mut Vec<u8>) -> Fit {
        out.clear();
        out.extend_from_slice(&self.prefix);
        for column in &self.columns {
            let value = match (column.sources.as_slice(), elements) {
                ([], Some(elements)) => elements.get(at),
                ([only], _) => only.value(values),
                (list, _) => list.get(at).and_then(|source| source.value(values)),
            };
            let Some(value) = value else {
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
    Any(&'a ast::Expr, &'a ast::Expr),
}

impl<'a> Comparison<'a> {
    /// The column, what it is compared with, and whether that is an array.
    fn column(&self, target: &Target<'_>) -> Option<(String, Vec<&'a ast::Expr>, bool)> {
        match *self {
            Self::Equal(left, right) => match (target.column(left), target.column(right)) {
                (Some(column), None) => Some((column, vec![right], false)),
                (None, Some(column)) => Some((column, vec![left], false)),
                _ => None,
            },
            Self::In(column, list) if !list.is_empty() => Some((target.column(column)?, list.iter().collect(), false)),
            Self::In(..) => None,
            Self::Any(column, array) => Some((target.column(column)?, vec![array], true)),
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
        ast::Expr::AnyOp {
            left,
            compare_op: ast::BinaryOperator::Eq,
            right,
            ..
        } => {
            out.push(match &**right {
                ast::Expr::Array(array) => Comparison::In(left, &array.elem),
                array => Comparison::Any(left, array),
            });
            Some(())
        }
        _ => None,
    }
}
