//! `CROSS JOIN LATERAL (SELECT expression) AS o (n)`: the expression, wherever `o.n` stands.
//!
//! A subquery without FROM has one row for each row that it is joined to: it only gives names to expressions. DataFusion plans none
//! that looks at the row.
//!
//! Left as it is written: what would be computed once and is then computed several times with other results, what has another
//! number of rows than one, and a query with `*`, whose columns it is part of.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Visit, Visitor};

use crate::dml::normalize;
use crate::functions::json_rows;

/// A subquery's columns: names of expressions.
struct Named {
    table: String,
    columns: Vec<(ast::Ident, Expr)>,
}

impl Named {
    /// The column that an expression is, with what it stands for.
    fn find(&self, expr: &Expr) -> Option<&(ast::Ident, Expr)> {
        let Expr::CompoundIdentifier(parts) = expr else {
            return None;
        };
        let [table, column] = parts.as_slice() else {
            return None;
        };
        let column = normalize(column);
        let is_it = |(name, _): &&(ast::Ident, Expr)| normalize(name) == column;
        self.columns
            .iter()
            .find(is_it)
            .filter(|_| normalize(table) == self.table)
    }
}

/// Puts expressions in the place of the columns of lateral subqueries that are nothing else. `is_aggregate` tells whether a function
/// of that name is one.
pub fn inline(query: &mut ast::Query, is_aggregate: &dyn Fn(&str) -> bool) {
    while let Some((from, join, named)) = find(query, is_aggregate) {
        let ast::SetExpr::Select(select) = &mut *query.body else {
            return;
        };
        select.from[from].joins.remove(join);
        for item in &mut select.projection {
            if let ast::SelectItem::UnnamedExpr(expr) = item
                && let Some((name, of)) = named.find(expr)
            {
                *item = ast::SelectItem::ExprWithAlias {
                    expr: Expr::Nested(Box::new(of.clone())),
                    alias: name.clone(),
                };
            }
        }
        let _: ControlFlow<()> = ast::visit_expressions_mut(query, |expr| {
            if let Some((_, of)) = named.find(expr) {
                *expr = Expr::Nested(Box::new(of.clone()));
            }
            ControlFlow::Continue(())
        });
    }
}

/// The place of such a subquery in FROM, and its columns.
fn find(query: &ast::Query, is_aggregate: &dyn Fn(&str) -> bool) -> Option<(usize, usize, Named)> {
    let ast::SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let has_wildcard = select.projection.iter().any(|item| {
        matches!(
            item,
            ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..)
        )
    });
    if has_wildcard {
        return None;
    }
    for (from, item) in select.from.iter().enumerate() {
        for (at, join) in item.joins.iter().enumerate() {
            // Behind a right or full join its columns may be NULL, whatever it computes.
            let is_always_there = item.joins[at + 1..].iter().all(keeps_left);
            if is_always_there
                && is_unconditional(&join.join_operator)
                && let Some(named) = named(&join.relation, is_aggregate)
                && count(query, &named.table) == 1
            {
                return Some((from, at, named));
            }
        }
    }
    None
}

/// Whether all rows on the left of a join stay as they are.
fn keeps_left(join: &ast::Join) -> bool {
    use ast::JoinOperator as J;
    matches!(
        join.join_operator,
        J::Join(_) | J::Inner(_) | J::Left(_) | J::LeftOuter(_) | J::CrossJoin(_)
    )
}

/// Whether each row on the left is joined to the one row on the right.
fn is_unconditional(operator: &ast::JoinOperator) -> bool {
    use ast::JoinOperator as J;
    match operator {
        J::CrossJoin(_) => true,
        J::Join(on) | J::Inner(on) | J::Left(on) | J::LeftOuter(on) => {
            matches!(on, ast::JoinConstraint::On(Expr::Value(value)) if matches!(value.value, ast::Value::Boolean(true)))
        }
        _ => false,
    }
}

/// The columns of a lateral subquery without FROM.
fn named(relation: &ast::TableFactor, is_aggregate: &dyn Fn(&str) -> bool) -> Option<Named> {
    let ast::TableFactor::Derived {
        lateral: true,
        subquery,
        alias: Some(alias),
        ..
    } = relation
    else {
        return None;
    };
    let ast::SetExpr::Select(select) = &*subquery.body else {
        return None;
    };
    let is_plain = subquery.with.is_none()
        && subquery.order_by.is_none()
        && subquery.limit_clause.is_none()
        && subquery.fetch.is_none()
        && select.from.is_empty()
        && select.selection.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && matches!(&select.group_by, ast::GroupByExpr::Expressions(by, _) if by.is_empty());
    if !is_plain || alias.columns.len() > select.projection.len() {
        return None;
    }
    let mut columns = Vec::with_capacity(select.projection.len());
    for (at, item) in select.projection.iter().enumerate() {
        let (expr, own) = match item {
            ast::SelectItem::UnnamedExpr(expr) => (expr, own_name(expr)),
            ast::SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.clone())),
            _ => return None,
        };
        if !is_steady(expr, is_aggregate) {
            return None;
        }
        let given = alias.columns.get(at).map(|column| column.name.clone());
        columns.push((given.or(own)?, expr.clone()));
    }
    Some(Named {
        table: normalize(&alias.name),
        columns,
    })
}

/// The name that an expression gives its column.
fn own_name(expr: &Expr) -> Option<ast::Ident> {
    match expr {
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
        Expr::Function(function) => function.name.0.last()?.as_ident().cloned(),
        _ => None,
    }
}

/// Whether an expression has one value for a row, however often it is computed.
fn is_steady(expr: &Expr, is_aggregate: &dyn Fn(&str) -> bool) -> bool {
    ast::visit_expressions(expr, |expr| match expr {
        Expr::Function(function) => {
            let name = function.name.0.last().and_then(ast::ObjectNamePart::as_ident);
            let name = name.map(normalize).unwrap_or_default();
            let is_other = function.over.is_some()
                || is_aggregate(&name)
                || json_rows(&name).is_some()
                || matches!(
                    name.as_str(),
                    "generate_series"
                        | "generate_subscripts"
                        | "unnest"
                        | "pg_partition_ancestors"
                        | "random"
                        | "nextval"
                        | "setval"
                        | "clock_timestamp"
                        | "gen_random_uuid"
                        | "set_config"
                        | "pg_listening_channels"
                        | "pg_notify"
                );
            match is_other {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
        _ => ControlFlow::Continue(()),
    })
    .is_continue()
}

/// How many items of FROM, also in subqueries, have a name.
fn count(query: &ast::Query, table: &str) -> usize {
    struct Count<'a> {
        table: &'a str,
        found: usize,
    }

    impl Visitor for Count<'_> {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
            let name = match factor {
                ast::TableFactor::Table { alias: Some(alias), .. }
                | ast::TableFactor::Derived { alias: Some(alias), .. }
                | ast::TableFactor::Function { alias: Some(alias), .. }
                | ast::TableFactor::UNNEST { alias: Some(alias), .. } => Some(&alias.name),
                ast::TableFactor::Table { name, .. } => name.0.last().and_then(ast::ObjectNamePart::as_ident),
                _ => None,
            };
            if name.is_some_and(|name| normalize(name) == self.table) {
                self.found += 1;
            }
            ControlFlow::Continue(())
        }
    }

    let mut count = Count { table, found: 0 };
    let _: ControlFlow<()> = query.visit(&mut count);
    count.found
}
