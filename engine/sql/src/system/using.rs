//! JOIN ... USING and NATURAL JOIN, as PostgreSQL has them.
//!
//! The columns of USING stand for both sides: what is called so without a table is that of the left side, of a RIGHT JOIN that of the right
//! one, and of a FULL JOIN that of whichever has a row; `*` shows them first, and once. DataFusion takes one of the two by the names of the
//! tables for `*`, and the left one for everything else. So
//!
//! - a NATURAL JOIN becomes one with USING,
//! - `a RIGHT JOIN b USING (x)` becomes `b LEFT JOIN a USING (x)`,
//! - `x` is that of its table, and of a FULL JOIN `coalesce(a.x, b.x)`, in the expressions of the SELECT but for those of its subqueries,
//! - `*` becomes the columns of USING, and `a.*` and `b.*` without these.
//!
//! Where it takes the columns of a relation to know which has a column, the planner is asked; where it does not know, all stays.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, JoinConstraint, JoinOperator, SelectItem, TableFactor, VisitMut, VisitorMut,
};

use super::rewrite::call;
use crate::dml::normalize;

/// The names of the columns of a relation; None where that is not known.
pub type ColumnsOf<'a> = &'a dyn Fn(&TableFactor) -> Option<Vec<String>>;

/// What `*` shows.
#[derive(Clone)]
enum Item {
    /// A column of USING.
    Merged { name: String, expr: Box<Expr> },
    /// All columns of a relation but for these.
    All {
        alias: Ident,
        factor: Box<TableFactor>,
        without: Vec<String>,
    },
}

/// Rewrites one SELECT.
pub fn settle(select: &mut ast::Select, columns_of: ColumnsOf<'_>) {
    let is_one = |join: &ast::Join| {
        matches!(
            constraint(&join.join_operator),
            Some(JoinConstraint::Using(_) | JoinConstraint::Natural)
        )
    };
    let has_one = |from: &ast::TableWithJoins| from.joins.iter().any(is_one) || has_nested(&from.relation);
    if !select.from.iter().any(has_one) {
        return;
    }
    let mut items = Vec::new();
    let mut from = select.from.clone();
    for table in &mut from {
        match of_joins(table, columns_of) {
            Some(of_table) => items.extend(of_table),
            None => return,
        }
    }
    select.from = from;
    let merged = items.iter().filter_map(|item| match item {
        Item::Merged { name, expr } => Some((name.clone(), expr.as_ref().clone())),
        Item::All { .. } => None,
    });
    replace(select, &merged.collect::<Vec<_>>());
    let projection = std::mem::take(&mut select.projection);
    for item in projection {
        match item {
            SelectItem::Wildcard(_) => select.projection.extend(items.iter().map(shown)),
            other => select.projection.push(other),
        }
    }
}

fn has_nested(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => {
            let joins = &table_with_joins.joins;
            let is_one = |join: &ast::Join| {
                matches!(
                    constraint(&join.join_operator),
                    Some(JoinConstraint::Using(_) | JoinConstraint::Natural)
                )
            };
            joins.iter().any(is_one) || has_nested(&table_with_joins.relation)
        }
        _ => false,
    }
}

fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    use JoinOperator as J;
    match operator {
        J::Join(constraint)
        | J::Inner(constraint)
        | J::Left(constraint)
        | J::LeftOuter(constraint)
        | J::Right(constraint)
        | J::RightOuter(constraint)
        | J::FullOuter(constraint)
        | J::CrossJoin(constraint) => Some(constraint),
        _ => None,
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn column(alias: &Ident, name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![alias.clone(), quoted(name)])
}

fn shown(item: &Item) -> SelectItem {
    match item {
        Item::Merged { name, expr } if matches!(**expr, Expr::Function(_)) => SelectItem::ExprWithAlias {
            expr: expr.as_ref().clone(),
            alias: quoted(name),
        },
        Item::Merged { expr, .. } => SelectItem::UnnamedExpr(expr.as_ref().clone()),
        Item::All { alias, without, .. } => {
            let names = without.iter().map(|name| ast::ObjectName::from(vec![quoted(name)]));
            let opt_exclude = (!without.is_empty()).then(|| ast::ExcludeSelectItem::Multiple(names.collect()));
            SelectItem::QualifiedWildcard(
                ast::SelectItemQualifiedWildcardKind::ObjectName(ast::ObjectName::from(vec![alias.clone()])),
                ast::WildcardAdditionalOptions {
                    opt_exclude,
                    ..ast::WildcardAdditionalOptions::default()
                },
            )
        }
    }
}

/// What a relation of FROM shows; None for one without a name.
fn of_factor(factor: &mut TableFactor, columns_of: ColumnsOf<'_>) -> Option<Vec<Item>> {
    let alias = match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => return of_joins(table_with_joins, columns_of),
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => alias.name.clone(),
        TableFactor::Table { name, args: None, .. } => name.0.last()?.as_ident()?.clone(),
        _ => return None,
    };
    Some(vec![Item::All {
        alias: quoted(&normalize(&alias)),
        factor: Box::new(factor.clone()),
        without: Vec::new(),
    }])
}

/// What a chain of joins shows, once it is one that DataFusion has right.
fn of_joins(table: &mut ast::TableWithJoins, columns_of: ColumnsOf<'_>) -> Option<Vec<Item>> {
    use JoinOperator as J;
    let mut left = of_factor(&mut table.relation, columns_of)?;
    let mut done = ast::TableWithJoins {
        relation: table.relation.clone(),
        joins: Vec::new(),
    };
    for mut join in std::mem::take(&mut table.joins) {
        let right = of_factor(&mut join.relation, columns_of)?;
        let names = match constraint(&join.join_operator)? {
            JoinConstraint::Using(names) => {
                let names = names.iter().map(|name| name.0.last()?.as_ident().map(normalize));
                names.collect::<Option<Vec<String>>>()?
            }
            JoinConstraint::Natural => {
                let of_right = names_of(&right, columns_of)?;
                let of_left = names_of(&left, columns_of)?;
                of_left.into_iter().filter(|name| of_right.contains(name)).collect()
            }
            _ => {
                left.extend(right);
                done.joins.push(join);
                continue;
            }
        };
        let using = match names.is_empty() {
            true => JoinConstraint::On(Expr::value(ast::Value::Boolean(true))),
            false => JoinConstraint::Using(
                names
                    .iter()
                    .map(|name| ast::ObjectName::from(vec![quoted(name)]))
                    .collect(),
            ),
        };
        let is_right = matches!(join.join_operator, J::Right(_) | J::RightOuter(_));
        let is_full = matches!(join.join_operator, J::FullOuter(_));
        let (mut of_left, mut of_right) = (left, right);
        let mut merged = Vec::with_capacity(names.len());
        for name in &names {
            let (one, other) = (
                taken(&mut of_left, name, columns_of)?,
                taken(&mut of_right, name, columns_of)?,
            );
            let expr = match (is_right, is_full) {
                (true, _) => other,
                (_, true) => call("coalesce", vec![one, other]),
                _ => one,
            };
            merged.push(Item::Merged {
                name: name.clone(),
                expr: Box::new(expr),
            });
        }
        left = merged.into_iter().chain(of_left).chain(of_right).collect();
        if is_right {
            let inner = match done.joins.is_empty() {
                true => done.relation,
                false => TableFactor::NestedJoin {
                    table_with_joins: Box::new(done),
                    alias: None,
                },
            };
            done = ast::TableWithJoins {
                relation: join.relation,
                joins: vec![ast::Join {
                    relation: inner,
                    global: false,
                    join_operator: J::Left(using),
                }],
            };
            continue;
        }
        join.join_operator = match join.join_operator {
            J::Left(_) | J::LeftOuter(_) => J::Left(using),
            J::FullOuter(_) => J::FullOuter(using),
            _ => J::Inner(using),
        };
        done.joins.push(join);
    }
    *table = done;
    Some(left)
}

fn names_of(items: &[Item], columns_of: ColumnsOf<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for item in items {
        match item {
            Item::Merged { name, .. } => names.push(name.clone()),
            Item::All { factor, without, .. } => {
                let columns = columns_of(factor)?.into_iter();
                names.extend(columns.filter(|name| !without.contains(name)));
            }
        }
    }
    Some(names)
}

/// Takes a column away from what one side shows; None where it is not known whose it is.
fn taken(items: &mut Vec<Item>, name: &str, columns_of: ColumnsOf<'_>) -> Option<Expr> {
    let is_merged = |item: &Item| matches!(item, Item::Merged { name: merged, .. } if merged == name);
    if let Some(at) = items.iter().position(is_merged)
        && let Item::Merged { expr, .. } = items.remove(at)
    {
        return Some(*expr);
    }
    let relations = items.iter().filter(|item| matches!(item, Item::All { .. })).count();
    for item in items {
        let Item::All { alias, factor, without } = item else {
            continue;
        };
        if relations == 1 || columns_of(factor)?.iter().any(|column| column == name) {
            without.push(name.to_owned());
            return Some(column(alias, name));
        }
    }
    None
}

/// Puts expressions in the place of names without a table, but for those in subqueries.
fn replace(select: &mut ast::Select, by: &[(String, Expr)]) {
    struct Names<'a> {
        by: &'a [(String, Expr)],
        depth: usize,
    }

    impl VisitorMut for Names<'_> {
        type Break = ();

        fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if self.depth == 0
                && let Expr::Identifier(name) = expr
                && let Some((_, merged)) = self.by.iter().find(|(of, _)| *of == normalize(name))
            {
                *expr = merged.clone();
            }
            ControlFlow::Continue(())
        }
    }

    // What a column is called stays.
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item
            && by
                .iter()
                .any(|(of, by)| *of == normalize(name) && matches!(by, Expr::Function(_)))
        {
            *item = SelectItem::ExprWithAlias {
                expr: Expr::Identifier(name.clone()),
                alias: name.clone(),
            };
        }
    }
    let mut names = Names { by, depth: 0 };
    let from = std::mem::take(&mut select.from);
    let _: ControlFlow<()> = select.visit(&mut names);
    select.from = from;
}
