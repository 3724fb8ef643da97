//! The names and types of a result's columns.
//!
//! DataFusion names a column by its expression; clients expect PostgreSQL's names: of a column its name, of a function call
//! the function's, of a cast what is cast or else the type, and `?column?` where there is none.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::Result;
use aion_catalog::SqlType;
use datafusion::arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast;

use crate::dml::normalize;
use crate::response::{Column, Origin, ResultType};

/// The columns of a query whose plan has this schema.
///
/// # Errors
/// 0A000 for a type that has no SQL name.
pub fn of_query(query: &ast::Query, schema: &Schema) -> Result<Arc<[Column]>> {
    let names = select_of(&query.body).and_then(|select| names(&select.projection, schema.fields().len()));
    with_names(names, schema)
}

/// The columns of a RETURNING list.
///
/// # Errors
/// As [`of_query`].
pub fn of_items(items: &[ast::SelectItem], schema: &Schema) -> Result<Arc<[Column]>> {
    with_names(names(items, schema.fields().len()), schema)
}

fn with_names(names: Option<Vec<Option<String>>>, schema: &Schema) -> Result<Arc<[Column]>> {
    let names = names.unwrap_or_else(|| vec![None; schema.fields().len()]);
    let columns = schema.fields().iter().zip(names).map(|(field, name)| {
        let name = name.unwrap_or_else(|| field.name().clone());
        let result_type = ResultType::of(field);
        let sql_type = match result_type {
            Some(result_type) => result_type.carrier(),
            None => SqlType::from_field(field)?,
        };
        Ok(Column {
            name,
            sql_type,
            result_type,
            origin: None,
        })
    });
    columns.collect()
}

/// The columns with what each of them is a column of.
pub fn with_origins(columns: &[Column], origins: impl IntoIterator<Item = Option<Origin>>) -> Arc<[Column]> {
    let columns = columns.iter().zip(origins);
    let columns = columns.map(|(column, origin)| Column {
        origin,
        ..column.clone()
    });
    columns.collect()
}

/// The SELECT whose list names the columns: of a UNION the first.
pub fn select_of(body: &ast::SetExpr) -> Option<&ast::Select> {
    match body {
        ast::SetExpr::Select(select) => Some(select),
        ast::SetExpr::Query(query) => select_of(&query.body),
        ast::SetExpr::SetOperation { left, .. } => select_of(left),
        _ => None,
    }
}

/// A name for each column; None within the columns of a `*`, which have theirs. None in all when list and schema do not
/// go together.
fn names(items: &[ast::SelectItem], count: usize) -> Option<Vec<Option<String>>> {
    let is_wildcard = |item: &ast::SelectItem| {
        matches!(
            item,
            ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..)
        )
    };
    let wildcards = items.iter().filter(|item| is_wildcard(item)).count();
    let others = items.len() - wildcards;
    let of_wildcard = match wildcards {
        0 if others == count => 0,
        1 => count.checked_sub(others)?,
        _ => return None,
    };
    let mut names = Vec::with_capacity(count);
    for item in items {
        match item {
            ast::SelectItem::UnnamedExpr(expr) => names.push(Some(name_of(expr))),
            ast::SelectItem::ExprWithAlias { alias, .. } => names.push(Some(normalize(alias))),
            ast::SelectItem::ExprWithAliases { .. } => return None,
            ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..) => {
                names.resize(names.len() + of_wildcard, None);
            }
        }
    }
    Some(names)
}

/// The name that an expression gives to its column.
pub fn name_of(expr: &ast::Expr) -> String {
    own_name(expr).map_or_else(|| UNNAMED.to_owned(), |(name, _)| name)
}

/// How much a name says: that of a cast's type gives way to what is around the cast.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Weak,
    Strong,
}

fn own_name(expr: &ast::Expr) -> Option<(String, Strength)> {
    use Strength::{Strong, Weak};
    let strong = |name: &str| Some((name.to_owned(), Strong));
    let weak = |name: String| Some((name, Weak));
    let or_weak = |inner: Option<(String, Strength)>, name: &dyn Fn() -> String| match inner {
        Some((inner, Strong)) => Some((inner, Strong)),
        _ => Some((name(), Weak)),
    };
    match expr {
        ast::Expr::Identifier(name) => Some((normalize(name), Strong)),
        ast::Expr::CompoundIdentifier(parts) => parts.last().map(|name| (normalize(name), Strong)),
        ast::Expr::Function(function) => {
            let name = function.name.0.last().and_then(ast::ObjectNamePart::as_ident);
            name.map(|name| (normalize(name), Strong))
        }
        ast::Expr::Cast { expr, data_type, .. } => or_weak(own_name(expr), &|| type_name(data_type)),
        ast::Expr::Nested(inner) => own_name(inner),
        // The last field, or else what has the elements.
        ast::Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                ast::AccessExpr::Dot(field) => Some(own_name(field)),
                ast::AccessExpr::Subscript(_) => None,
            });
            field.unwrap_or_else(|| own_name(root))
        }
        ast::Expr::Case { else_result, .. } => {
            or_weak(else_result.as_deref().and_then(own_name), &|| "case".to_owned())
        }
        ast::Expr::Interval(_) => weak("interval".to_owned()),
        ast::Expr::Exists { negated: false, .. } => strong("exists"),
        ast::Expr::Extract { .. } => strong("extract"),
        ast::Expr::Substring { .. } => strong("substring"),
        ast::Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        ast::Expr::Position { .. } => strong("position"),
        ast::Expr::Overlay { .. } => strong("overlay"),
        ast::Expr::AtTimeZone { .. } => strong("timezone"),
        ast::Expr::Ceil { .. } => strong("ceil"),
        ast::Expr::Floor { .. } => strong("floor"),
        ast::Expr::Array(_) => strong("array"),
        ast::Expr::TypedString(typed) => weak(type_name(&typed.data_type)),
        ast::Expr::Value(value) => match value.value {
            ast::Value::Boolean(_) => weak("bool".to_owned()),
            _ => None,
        },
        ast::Expr::Subquery(query) => match select_of(&query.body).map(|select| select.projection.as_slice()) {
            Some([ast::SelectItem::UnnamedExpr(expr)]) => own_name(expr),
            Some([ast::SelectItem::ExprWithAlias { alias, .. }]) => Some((normalize(alias), Strong)),
            _ => None,
        },
        _ => None,
    }
}

pub const UNNAMED: &str = "?column?";

/// PostgreSQL's internal name of a type, which is what an unnamed cast is called.
fn type_name(data_type: &ast::DataType) -> String {
    let name = data_type.to_string().to_ascii_lowercase();
    let Ok(sql_type) = name.parse::<SqlType>() else {
        // A type that a user made is called by its name, without its schema.
        return match data_type {
            ast::DataType::Custom(name, _) => name
                .0
                .last()
                .and_then(ast::ObjectNamePart::as_ident)
                .map(normalize)
                .unwrap_or_default(),
            _ => name,
        };
    };
    // An array is called as its elements are.
    match sql_type.element().unwrap_or(sql_type) {
        SqlType::Boolean => "bool",
        SqlType::SmallInt => "int2",
        SqlType::Integer => "int4",
        SqlType::BigInt => "int8",
        SqlType::Real => "float4",
        SqlType::Double => "float8",
        SqlType::Numeric { .. } => "numeric",
        SqlType::Varchar(_) => "varchar",
        SqlType::Char(_) => "bpchar",
        SqlType::Time(_) => "time",
        SqlType::TimestampTz(_) => "timestamptz",
        SqlType::Timestamp(_) => "timestamp",
        SqlType::Enum(of) => of.name(),
        other => other.base_name(),
    }
    .to_owned()
}

/// Equal for expressions that DataFusion gives one name: it leaves out casts, types and parentheses, names a subquery by its column, and
/// says nothing of one in a condition. A literal of an interval is named by its fields: such an expression may have either name.
pub fn names_of_datafusion(expr: &ast::Expr) -> Vec<String> {
    let (mut bare, mut is_condition, mut is_interval) = (expr.clone(), false, false);
    // What is within an expression comes before it.
    let _: ControlFlow<()> = ast::visit_expressions_mut(&mut bare, |expr| {
        is_interval |= match &*expr {
            ast::Expr::Interval(_) => true,
            ast::Expr::Cast { data_type, .. } => matches!(data_type, ast::DataType::Interval { .. }),
            _ => false,
        };
        while let ast::Expr::Cast { expr: inner, .. } | ast::Expr::Nested(inner) = expr {
            *expr = std::mem::replace(inner, ast::Expr::Value(ast::Value::Null.into()));
        }
        if let ast::Expr::TypedString(typed) = expr {
            *expr = ast::Expr::Value(typed.value.clone());
        }
        is_condition |= matches!(expr, ast::Expr::InSubquery { .. } | ast::Expr::Exists { .. });
        is_condition |= matches!(expr, ast::Expr::AnyOp { .. } | ast::Expr::AllOp { .. });
        if let ast::Expr::Subquery(query) = expr
            && let Some(column) = select_of(&query.body).and_then(only_column)
        {
            *expr = column;
        }
        ControlFlow::Continue(())
    });
    match is_condition {
        true => vec!["<subquery>".to_owned()],
        false if is_interval => vec!["<interval>".to_owned(), bare.to_string()],
        false => vec![bare.to_string()],
    }
}

/// What DataFusion names the column of a subquery by.
fn only_column(select: &ast::Select) -> Option<ast::Expr> {
    match select.projection.as_slice() {
        [ast::SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(parts))] => {
            parts.last().cloned().map(ast::Expr::Identifier)
        }
        [ast::SelectItem::UnnamedExpr(expr)] => Some(expr.clone()),
        [ast::SelectItem::ExprWithAlias { alias, .. }] => Some(ast::Expr::Identifier(alias.clone())),
        _ => None,
    }
}

/// Gives the second and later of equal unnamed expressions, and of equal names, in the list a name of their own, which DataFusion asks for
/// and PostgreSQL does not. The names above are computed from the list as it was.
pub fn make_unique(query: &mut ast::Query) {
    let ast::SetExpr::Select(select) = &mut *query.body else {
        return;
    };
    if let Some(order_by) = &mut query.order_by {
        name_casts(select);
        name_windows(select, order_by);
    }
    let beside = Beside::of(select, query.order_by.as_ref());
    let mut seen = std::collections::BTreeSet::new();
    let mut aliases = std::collections::BTreeSet::new();
    for (at, item) in select.projection.iter_mut().enumerate() {
        let own = || ast::Ident::with_quote('"', format!("aion column {at}"));
        match item {
            ast::SelectItem::UnnamedExpr(expr) => {
                let is_taken = matches!(expr, ast::Expr::Subquery(_)) && beside.has(&name_of(expr));
                let names = names_of_datafusion(expr);
                let is_new = !names.iter().any(|name| seen.contains(name));
                seen.extend(names);
                if !is_new || is_taken {
                    *item = ast::SelectItem::ExprWithAlias {
                        expr: expr.clone(),
                        alias: own(),
                    };
                }
            }
            ast::SelectItem::ExprWithAlias { alias, .. } => {
                let name = normalize(alias);
                let is_taken = beside.has(&name);
                if !aliases.insert(name) || is_taken {
                    *alias = own();
                }
            }
            _ => {}
        }
    }
}

/// What a list gives that is called as columns of tables are: DataFusion has no other column of such a name beside them.
struct Beside {
    columns: std::collections::BTreeSet<String>,
    /// A `*` may give any, and what is called so is not ordered or grouped by under its name.
    has_star: bool,
    mentioned: std::collections::BTreeSet<String>,
}

impl Beside {
    fn of(select: &ast::Select, order_by: Option<&ast::OrderBy>) -> Self {
        let mut beside = Self {
            columns: std::collections::BTreeSet::new(),
            has_star: false,
            mentioned: std::collections::BTreeSet::new(),
        };
        for item in &select.projection {
            match item {
                ast::SelectItem::UnnamedExpr(ast::Expr::Identifier(name)) => {
                    beside.columns.insert(normalize(name));
                }
                ast::SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(parts)) => {
                    beside.columns.extend(parts.last().map(normalize));
                }
                ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..) => beside.has_star = true,
                _ => {}
            }
        }
        if !beside.has_star {
            return beside;
        }
        let mentioned = &mut beside.mentioned;
        let mut mention = |expr: &ast::Expr| {
            if let ast::Expr::Identifier(name) = expr {
                mentioned.insert(normalize(name));
            }
            ControlFlow::<()>::Continue(())
        };
        if let Some(order_by) = order_by {
            let _ = ast::visit_expressions(order_by, &mut mention);
        }
        let _ = ast::visit_expressions(&select.group_by, &mut mention);
        let _ = ast::visit_expressions(&select.distinct, &mut mention);
        beside
    }

    fn has(&self, name: &str) -> bool {
        self.columns.contains(name) || (self.has_star && !self.mentioned.contains(name))
    }
}

/// What a window function gives for groups has a name where it is ordered by: DataFusion takes it for a column that is not grouped
/// otherwise.
fn name_windows(select: &mut ast::Select, order_by: &mut ast::OrderBy) {
    if matches!(&select.group_by, ast::GroupByExpr::Expressions(groups, _) if groups.is_empty()) {
        return;
    }
    let ast::OrderByKind::Expressions(orders) = &mut order_by.kind else {
        return;
    };
    for (at, item) in select.projection.iter_mut().enumerate() {
        let ast::SelectItem::UnnamedExpr(expr) = item else {
            continue;
        };
        if !has_window(expr) {
            continue;
        }
        let alias = ast::Ident::with_quote('"', format!("aion column {at}"));
        let written = expr.to_string();
        for order in orders.iter_mut().filter(|order| order.expr.to_string() == written) {
            order.expr = ast::Expr::Identifier(alias.clone());
        }
        *item = ast::SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias,
        };
    }
}

fn has_window(expr: &ast::Expr) -> bool {
    ast::visit_expressions(expr, |expr| match expr {
        ast::Expr::Function(function) if function.over.is_some() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// `SELECT a::text ... ORDER BY a` orders by what it gives, as in PostgreSQL. DataFusion adds the column a beside it, and finds that both
/// are called a. With GROUP BY the name means the column in PostgreSQL, and what is given in DataFusion: then nothing is named.
fn name_casts(select: &mut ast::Select) {
    let groups = match &select.group_by {
        ast::GroupByExpr::All(_) => true,
        ast::GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
    };
    if groups {
        return;
    }
    let column_of = |expr: &ast::Expr| match expr {
        ast::Expr::Identifier(name) => Some(normalize(name)),
        ast::Expr::CompoundIdentifier(parts) => parts.last().map(normalize),
        _ => None,
    };
    let named = select.projection.iter().filter_map(|item| match item {
        ast::SelectItem::UnnamedExpr(expr) => column_of(expr),
        ast::SelectItem::ExprWithAlias { alias, .. } => Some(normalize(alias)),
        _ => None,
    });
    let mut taken: std::collections::BTreeSet<String> = named.collect();
    let has_star = select.projection.iter().any(|item| {
        matches!(
            item,
            ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..)
        )
    });
    for item in &mut select.projection {
        let ast::SelectItem::UnnamedExpr(ast::Expr::Cast { expr, .. }) = item else {
            continue;
        };
        let Some(name) = column_of(expr).filter(|name| !has_star && taken.insert(name.clone())) else {
            continue;
        };
        if let ast::SelectItem::UnnamedExpr(expr) = item {
            *item = ast::SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: ast::Ident::with_quote('"', name),
            };
        }
    }
}
