//! VALUES within a query of an INSERT, planned as what they are: rows of their own.
//!
//! DataFusion takes all VALUES of an INSERT for rows of the table, also those in FROM of the query that gives the rows, and knows the types
//! of no parameters there. Here a parameter has the type that it was given; else that of what else is in its column; else it is a text.
//!
//! And VALUES with subqueries in them, wherever they stand: rows of a relation, which are computed before any query has run. They become
//! projections, which are not.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Values};
use datafusion::sql::sqlparser::ast;

use crate::error::wrap;
use crate::parse;

/// See the module's header.
#[derive(Debug)]
pub struct NestedValues {
    types: Vec<Option<FieldRef>>,
}

impl NestedValues {
    /// For the query of an INSERT whose parameters were given these types; None where it has no such VALUES.
    ///
    /// # Errors
    /// Internal, if the template does not parse.
    pub fn of(source: &mut ast::Query, types: &[Option<FieldRef>]) -> Result<Option<Self>> {
        if matches!(&*source.body, ast::SetExpr::Values(_)) {
            return Ok(None);
        }
        let mut visitor = Wrap { found: false };
        match ast::VisitMut::visit(source, &mut visitor) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(visitor.found.then(|| Self { types: types.to_vec() })),
        }
    }

    /// The type that a parameter was given.
    fn given(&self, name: &str) -> Option<FieldRef> {
        let number: usize = name.strip_prefix('$')?.parse().ok()?;
        self.types.get(number.checked_sub(1)?)?.clone()
    }

    /// Gives the parameters of a column their types.
    fn settle(&self, column: &mut [&mut Expr]) -> Result<(), DataFusionError> {
        let empty = DFSchema::empty();
        let mut known = None;
        for expr in &*column {
            let data_type = match expr {
                Expr::Placeholder(parameter) => self.given(&parameter.id).map(|field| field.data_type().clone()),
                expr => Some(expr.get_type(&empty)?),
            };
            known = known.or(data_type.filter(|data_type| *data_type != DataType::Null));
        }
        let other = match known {
            Some(data_type) => Arc::new(Field::new("", data_type, true)),
            None => Arc::new(SqlType::Text.to_field("", true)),
        };
        for expr in column {
            if let Expr::Placeholder(Placeholder { id, field }) = &mut **expr {
                let given = self.given(id).unwrap_or_else(|| other.clone());
                field.get_or_insert(given);
            }
        }
        Ok(())
    }
}

/// Makes `VALUES ...` the query `SELECT * FROM (VALUES ...)`, wherever it stands.
struct Wrap {
    found: bool,
}

impl Wrap {
    fn put_in_from(&mut self, body: &mut ast::SetExpr) -> Result<()> {
        match body {
            ast::SetExpr::SetOperation { left, right, .. } => {
                self.put_in_from(left)?;
                self.put_in_from(right)
            }
            ast::SetExpr::Values(_) => {
                self.found = true;
                let values = std::mem::replace(body, around()?);
                match rows_within(body) {
                    Some(within) => *within = values,
                    None => return Err(Error::internal("the template has VALUES in FROM")),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl ast::VisitorMut for Wrap {
    type Break = Error;

    fn post_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<Error> {
        match self.put_in_from(&mut query.body) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// Parsing a template keeps us out of the many fields that have nothing to say here.
fn around() -> Result<ast::SetExpr> {
    let mut statements = parse::parse("SELECT * FROM (VALUES (1)) AS \"aion values\"")?;
    match statements.pop().map(|statement| statement.ast) {
        Some(ast::Statement::Query(query)) => Ok(*query.body),
        _ => Err(Error::internal("the template is a query")),
    }
}

/// The VALUES of the template.
fn rows_within(body: &mut ast::SetExpr) -> Option<&mut ast::SetExpr> {
    let ast::SetExpr::Select(select) = body else {
        return None;
    };
    match &mut select.from.first_mut()?.relation {
        ast::TableFactor::Derived { subquery, .. } => Some(&mut subquery.body),
        _ => None,
    }
}

impl RelationPlanner for NestedValues {
    fn plan_relation(
        &self,
        relation: ast::TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning, DataFusionError> {
        let original = |relation| Ok(RelationPlanning::Original(Box::new(relation)));
        let ast::TableFactor::Derived { subquery, alias, .. } = &relation else {
            return original(relation);
        };
        let ast::SetExpr::Values(values) = &*subquery.body else {
            return original(relation);
        };
        if subquery.with.is_some() || subquery.order_by.is_some() || subquery.limit_clause.is_some() {
            return original(relation);
        }
        let empty = DFSchema::empty();
        let planned = values.rows.iter().map(|row| {
            let exprs = row.content.iter();
            exprs.map(|expr| context.sql_to_expr(expr.clone(), &empty)).collect()
        });
        let mut rows: Vec<Vec<Expr>> = planned.collect::<Result<_, DataFusionError>>()?;
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            let message = "VALUES lists must all be the same length";
            return Err(wrap(Error::invalid(SqlState::SYNTAX_ERROR, message)));
        }
        for at in 0..width {
            let mut column: Vec<&mut Expr> = rows.iter_mut().filter_map(|row| row.get_mut(at)).collect();
            self.settle(&mut column)?;
        }
        let plan = LogicalPlanBuilder::values(rows)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan,
            alias.clone(),
        ))))
    }
}

/// See the module's header.
///
/// # Errors
/// Internal, of DataFusion.
pub fn without_queries(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let changed = plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Values(values) if values.values.iter().flatten().any(has_query) => {
            Ok(Transformed::yes(as_projections(values)?))
        }
        plan => Ok(Transformed::no(plan)),
    })?;
    Ok(changed.data)
}

fn has_query(expr: &Expr) -> bool {
    let found = expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
        ))
    });
    matches!(found, Ok(true))
}

fn as_projections(values: Values) -> Result<LogicalPlan, DataFusionError> {
    let Values { schema, values } = values;
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    let rows_of = |values| {
        LogicalPlan::Values(Values {
            schema: schema.clone(),
            values,
        })
    };
    for row in values {
        if !row.iter().any(has_query) {
            plain.push(row);
            continue;
        }
        if !plain.is_empty() {
            parts.push(rows_of(std::mem::take(&mut plain)));
        }
        let items = row.into_iter().zip(schema.fields()).map(|(expr, field)| {
            let typed = expr.cast_to(field.data_type(), &DFSchema::empty())?;
            Ok(typed.alias(field.name()))
        });
        let items: Vec<Expr> = items.collect::<Result<_, DataFusionError>>()?;
        parts.push(LogicalPlanBuilder::empty(true).project(items)?.build()?);
    }
    if !plain.is_empty() {
        parts.push(rows_of(plain));
    }
    let mut parts = parts.into_iter();
    let first = parts.next().map(LogicalPlanBuilder::from);
    let Some(first) = first else {
        return LogicalPlanBuilder::empty(false).build();
    };
    parts.try_fold(first, LogicalPlanBuilder::union)?.build()
}
