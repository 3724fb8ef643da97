//! Subqueries in expressions that DataFusion plans wrongly, or not at all.
//!
//! A subquery is *lifted* when its rows become the right side of a join, and what it looked at in the row around it becomes the join's
//! condition. DataFusion does that for the forms that it knows, in WHERE alone.

mod apply;
mod membership;
mod one_row;
mod or_null;
mod outer;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, TableReference};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

pub use apply::{Apply, bind, is_applied};
pub use membership::Membership;
pub use one_row::OneRow;
pub use or_null::{OR_NULL_FUNCTION, mark_nullable};
pub use outer::OuterColumns;

use outer::{OuterRefs, has_deep};

/// No user can write these names.
const VALUE: &str = "aion value";

fn key_name(at: usize) -> String {
    format!("aion key {at}")
}

/// A subquery as the right side of a join.
struct Lifted {
    plan: LogicalPlan,
    on: Vec<Expr>,
    /// The columns of the plan that are looked at above the join.
    columns: Vec<Column>,
    /// The value that is computed there; None where it is the column [`VALUE`] of the plan.
    value: Option<Expr>,
}

impl Lifted {
    /// The same once more, for another join.
    fn renamed(&self, from: &TableReference, to: &TableReference) -> Result<Self> {
        let rename = |expr: &Expr| {
            let renamed = expr.clone().transform(|expr| {
                Ok(match expr {
                    Expr::Column(column) if column.relation.as_ref() == Some(from) => {
                        Transformed::yes(Expr::Column(Column::new(Some(to.clone()), column.name)))
                    }
                    other => Transformed::no(other),
                })
            });
            renamed.map(|renamed| renamed.data)
        };
        let columns = self.columns.iter();
        Ok(Self {
            plan: LogicalPlanBuilder::from(self.plan.clone()).alias(to.clone())?.build()?,
            on: self.on.iter().map(rename).collect::<Result<_>>()?,
            columns: columns
                .map(|column| Column::new(Some(to.clone()), &column.name))
                .collect(),
            value: self.value.as_ref().map(rename).transpose()?,
        })
    }

    /// What it gives for each row, above the join.
    fn value(&self, alias: &TableReference) -> Expr {
        match &self.value {
            Some(value) => value.clone(),
            None => Expr::Column(Column::new(Some(alias.clone()), VALUE)),
        }
    }
}

/// What becomes of a subquery that gives `value` for each of `rows`; None where it looks at the row around it from within them, or from
/// within a subquery of its own.
fn lifted(value: &Expr, rows: &LogicalPlan, alias: &TableReference) -> Result<Option<Lifted>> {
    let (conditions, source) = match rows {
        LogicalPlan::Filter(filter) => (split_conjunction(&filter.predicate), filter.input.as_ref()),
        other => (Vec::new(), other),
    };
    let is_outer_value = value.contains_outer();
    let has_outer = !OuterRefs::of(source)?.is_empty();
    for expr in conditions.iter().copied().chain([value]) {
        if has_deep(expr, source.schema())? {
            return Ok(None);
        }
    }
    let (correlated, local): (Vec<&Expr>, Vec<&Expr>) = conditions.into_iter().partition(|expr| expr.contains_outer());
    if has_outer || (is_outer_value && has_subquery(value)) || correlated.iter().any(|expr| has_subquery(expr)) {
        return Ok(None);
    }
    let mut inner = LogicalPlanBuilder::from(source.clone());
    if let Some(local) = conjunction(local.into_iter().cloned()) {
        inner = inner.filter(local)?;
    }
    let mut keys = Keys {
        alias: alias.clone(),
        columns: Vec::new(),
    };
    let mut looked_at = vec![Column::new(Some(alias.clone()), VALUE)];
    let above = match is_outer_value {
        true => {
            let above = keys.lift(value.clone().unalias())?;
            looked_at.extend((0..keys.columns.len()).map(|at| Column::new(Some(alias.clone()), key_name(at))));
            Some(above)
        }
        false => None,
    };
    let on = correlated.into_iter().map(|expr| keys.lift(expr.clone()));
    let on = on.collect::<Result<Vec<_>>>()?;
    let first = match above {
        Some(_) => lit(true),
        None => value.clone().unalias(),
    };
    let mut columns = vec![first.alias(VALUE)];
    columns.extend(
        keys.columns
            .into_iter()
            .enumerate()
            .map(|(at, key)| Expr::Column(key).alias(key_name(at))),
    );
    let plan = inner.project(columns)?.alias(alias.clone())?.build()?;
    Ok(Some(Lifted {
        plan,
        on,
        columns: looked_at,
        value: above,
    }))
}

/// The inner columns that are looked at above, under names of their own: several tables may have an `oid`.
struct Keys {
    alias: TableReference,
    columns: Vec<Column>,
}

impl Keys {
    /// An expression of the subquery as one above its join.
    fn lift(&mut self, expr: Expr) -> Result<Expr> {
        let lifted = expr.transform_down(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(_, column) => {
                    Transformed::new(Expr::Column(column), true, TreeNodeRecursion::Jump)
                }
                Expr::Column(column) => {
                    let known = self.columns.iter().position(|key| *key == column);
                    let at = known.unwrap_or_else(|| {
                        self.columns.push(column);
                        self.columns.len() - 1
                    });
                    Transformed::yes(Expr::Column(Column::new(Some(self.alias.clone()), key_name(at))))
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(lifted.data)
    }
}

fn has_subquery(expr: &Expr) -> bool {
    let found = expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
        ))
    });
    found.is_ok_and(|found| found)
}
