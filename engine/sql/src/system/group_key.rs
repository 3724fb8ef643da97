//! GROUP BY a primary key: the other columns of its table are the same for all rows of a group, and may be named like those that are grouped by.
//!
//! Those that are named are put behind the key in GROUP BY, which changes no group. (DataFusion can be told of keys itself, and then takes
//! rows of which UNNEST made several for one; see `engine/docs/transactional-core.md`.)
//!
//! Left out, as in PostgreSQL: keys within GROUPING SETS, ROLLUP and CUBE, and those of views and subqueries.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, SelectItem, TableFactor, VisitMut, VisitorMut};

use crate::dml::normalize;

/// The columns of a table, and which of them are its primary key.
pub struct Keyed {
    pub columns: Vec<String>,
    pub key: Vec<String>,
}

/// What is known of a relation of FROM; None for one that is no table, or has no primary key.
pub type KeyOf<'a> = &'a dyn Fn(&TableFactor) -> Option<Keyed>;

/// Rewrites the GROUP BY of one SELECT, of a query with this ORDER BY.
pub fn settle(select: &mut ast::Select, order_by: Option<&ast::OrderBy>, key_of: KeyOf<'_>) {
    let ast::GroupByExpr::Expressions(groups, _) = &select.group_by else {
        return;
    };
    let is_set = |group: &Expr| matches!(group, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_));
    if groups.is_empty() || groups.iter().any(is_set) {
        return;
    }
    let groups: Vec<Expr> = groups.iter().map(|group| item_of(group, &select.projection)).collect();
    let mut factors = Vec::new();
    select.from.iter().for_each(|from| relations(from, &mut factors));
    let mut added = Vec::new();
    let mut named = None;
    for factor in factors {
        let Some((alias, keyed)) = alias_of(factor).zip(key_of(factor)) else {
            continue;
        };
        let relation = normalize(&alias);
        let is_grouped = |column: &String| groups.iter().any(|group| is_column(group, &relation, column));
        if keyed.key.is_empty() || !keyed.key.iter().all(is_grouped) {
            continue;
        }
        let named = named.get_or_insert_with(|| Named::of(select, order_by));
        let missing = keyed.columns.iter();
        let missing = missing.filter(|column| named.has(&relation, column) && !is_grouped(column));
        added.extend(
            missing
                .map(|column| Expr::CompoundIdentifier(vec![alias.clone(), Ident::with_quote('"', column.as_str())])),
        );
    }
    if let ast::GroupByExpr::Expressions(groups, _) = &mut select.group_by {
        groups.extend(added);
    }
}

/// What an item of GROUP BY or ORDER BY stands for: a place in the list, or a name given there, is the expression that is there.
pub(super) fn item_of(group: &Expr, projection: &[SelectItem]) -> Expr {
    let item = |at: usize| match projection.get(at)? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    };
    let named = |name: &Ident| {
        projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if normalize(alias) == normalize(name) => Some(expr.clone()),
            _ => None,
        })
    };
    let meant = match group {
        Expr::Nested(inner) => Some(item_of(inner, projection)),
        Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => {
                let at = digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                at.and_then(item)
            }
            _ => None,
        },
        Expr::Identifier(name) => named(name),
        _ => None,
    };
    meant.unwrap_or_else(|| group.clone())
}

fn is_column(expr: &Expr, relation: &str, column: &str) -> bool {
    match expr {
        Expr::Identifier(name) => normalize(name) == column,
        Expr::CompoundIdentifier(parts) => match &parts[..] {
            [.., of, name] => normalize(of) == relation && normalize(name) == column,
            _ => false,
        },
        _ => false,
    }
}

fn relations<'a>(from: &'a ast::TableWithJoins, factors: &mut Vec<&'a TableFactor>) {
    let joined = from.joins.iter().map(|join| &join.relation);
    for factor in std::iter::once(&from.relation).chain(joined) {
        match factor {
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => relations(table_with_joins, factors),
            factor => factors.push(factor),
        }
    }
}

/// The name that a table has, whose columns have their own.
fn alias_of(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } => match alias {
            Some(alias) if alias.columns.is_empty() => Some(alias.name.clone()),
            Some(_) => None,
            None => name.0.last()?.as_ident().cloned(),
        },
        _ => None,
    }
}

/// The names in what is computed of groups.
#[derive(Default)]
struct Named {
    /// With the relation, where it is named.
    columns: BTreeSet<(Option<String>, String)>,
    /// Relations with `*`; None for all.
    stars: BTreeSet<Option<String>>,
}

impl Named {
    fn of(select: &ast::Select, order_by: Option<&ast::OrderBy>) -> Self {
        let mut named = Self::default();
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(_) => {
                    named.stars.insert(None);
                }
                SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let relation = name.0.last().and_then(ast::ObjectNamePart::as_ident);
                    named.stars.extend(relation.map(|relation| Some(normalize(relation))));
                }
                _ => {}
            }
        }
        // What is read before there are groups names nothing that is to be kept.
        let mut computed = select.clone();
        computed.from = Vec::new();
        computed.selection = None;
        computed.group_by = ast::GroupByExpr::Expressions(Vec::new(), Vec::new());
        let _: ControlFlow<()> = VisitMut::visit(&mut computed, &mut named);
        if let Some(order_by) = order_by {
            let _: ControlFlow<()> = VisitMut::visit(&mut order_by.clone(), &mut named);
        }
        named
    }

    fn has(&self, relation: &str, column: &str) -> bool {
        let is_named = |of: Option<String>| self.columns.contains(&(of, column.to_owned()));
        self.stars.contains(&None)
            || self.stars.contains(&Some(relation.to_owned()))
            || is_named(None)
            || is_named(Some(relation.to_owned()))
    }
}

impl VisitorMut for Named {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => {
                self.columns.insert((None, normalize(name)));
            }
            Expr::CompoundIdentifier(parts) => {
                if let [.., relation, name] = &parts[..] {
                    self.columns.insert((Some(normalize(relation)), normalize(name)));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
