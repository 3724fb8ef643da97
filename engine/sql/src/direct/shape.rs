//! Syntax trees of the known shapes, taken apart.
//!
//! Each function names every part that a statement can have, so that a clause nobody thought of, also one that a later parser
//! adds, makes a statement not direct instead of being ignored.

use datafusion::sql::sqlparser::ast;

/// A table and the name that its columns may be qualified with.
pub struct Target<'a> {
    pub name: &'a ast::ObjectName,
    alias: String,
    /// It is called what it is called because the statement says so, or because that is all of its name.
    is_bare: bool,
}

/// `SELECT items FROM target WHERE selection`
pub struct Select<'a> {
    pub items: &'a [ast::SelectItem],
    pub target: Target<'a>,
    pub selection: &'a ast::Expr,
}

/// A select with `ORDER BY order LIMIT limit`.
pub struct RangeSelect<'a> {
    pub select: Select<'a>,
    pub order: Vec<Order<'a>>,
    pub limit: Option<&'a ast::Expr>,
}

/// `expr [ASC | DESC]`
pub struct Order<'a> {
    pub expr: &'a ast::Expr,
    pub is_descending: bool,
}

/// `INSERT INTO target (columns) VALUES rows`
pub struct Insert<'a> {
    pub target: Target<'a>,
    pub columns: &'a [ast::ObjectName],
    pub rows: Vec<&'a [ast::Expr]>,
}

/// `UPDATE target SET assignments WHERE selection`
pub struct Update<'a> {
    pub target: Target<'a>,
    pub assignments: &'a [ast::Assignment],
    pub selection: &'a ast::Expr,
}

/// `DELETE FROM target WHERE selection`
pub struct Delete<'a> {
    pub target: Target<'a>,
    pub selection: &'a ast::Expr,
}

/// An identifier as PostgreSQL folds it; None where folding is more than ASCII's.
pub fn identifier(ident: &ast::Ident) -> Option<String> {
    match ident.quote_style {
        Some('"') => Some(ident.value.clone()),
        None if ident.value.is_ascii() => Some(ident.value.to_ascii_lowercase()),
        _ => None,
    }
}

impl Target<'_> {
    /// The name of a column that an expression is, and nothing but it.
    pub fn column(&self, expr: &ast::Expr) -> Option<String> {
        match expr {
            ast::Expr::Identifier(name) => identifier(name),
            ast::Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [qualifier, name] if self.is_qualifier(qualifier) => identifier(name),
                _ => None,
            },
            ast::Expr::Nested(inner) => self.column(inner),
            _ => None,
        }
    }

    /// Whether this stands before the `*` of all its columns. After `FROM s.t` the planner knows no `t.*`.
    pub fn is_wildcard_qualifier(&self, ident: &ast::Ident) -> bool {
        self.is_bare && self.is_qualifier(ident)
    }

    /// Whether this is what the table is called in its statement.
    pub fn is_qualifier(&self, ident: &ast::Ident) -> bool {
        identifier(ident).is_some_and(|name| name == self.alias)
    }
}

fn target(table: &ast::TableWithJoins) -> Option<Target<'_>> {
    let ast::TableFactor::Table {
        name,
        alias,
        args: None,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions,
        json_path: None,
        sample: None,
        index_hints,
    } = &table.relation
    else {
        return None;
    };
    let is_plain = table.joins.is_empty() && with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty();
    let called = match alias {
        None => name.0.last()?.as_ident()?,
        Some(ast::TableAlias {
            explicit: _,
            name,
            columns,
            at: None,
        }) if columns.is_empty() => name,
        Some(_) => return None,
    };
    named(name, called, alias.is_some()).filter(|_| is_plain)
}

fn named<'a>(name: &'a ast::ObjectName, called: &ast::Ident, has_alias: bool) -> Option<Target<'a>> {
    let parts = name.0.iter().map(|part| part.as_ident().and_then(identifier));
    parts.collect::<Option<Vec<_>>>()?;
    Some(Target {
        name,
        alias: identifier(called)?,
        is_bare: has_alias || name.0.len() == 1,
    })
}

/// The parts of a query that has none but a body.
fn body(query: &ast::Query) -> Option<&ast::SetExpr> {
    let (body, None, None) = ordered_body(query)? else {
        return None;
    };
    Some(body)
}

/// The parts of a query that has none but a body, an order and a limit.
fn ordered_body(query: &ast::Query) -> Option<(&ast::SetExpr, Option<&ast::OrderBy>, Option<&ast::LimitClause>)> {
    let ast::Query {
        with: None,
        body,
        order_by,
        limit_clause,
        fetch: None,
        locks,
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators,
    } = query
    else {
        return None;
    };
    let is_plain = locks.is_empty() && pipe_operators.is_empty();
    is_plain.then_some((body, order_by.as_ref(), limit_clause.as_ref()))
}

/// A select of the rows of a range, in their order.
pub fn range(query: &ast::Query) -> Option<RangeSelect<'_>> {
    let (body, order_by, limit_clause) = ordered_body(query)?;
    let order = match order_by {
        None => Vec::new(),
        Some(ast::OrderBy {
            kind: ast::OrderByKind::Expressions(expressions),
            interpolate: None,
        }) => expressions.iter().map(order).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    let limit = match limit_clause {
        None => None,
        Some(ast::LimitClause::LimitOffset {
            limit: Some(limit),
            offset: None,
            limit_by,
        }) if limit_by.is_empty() => Some(limit),
        Some(_) => return None,
    };
    Some(RangeSelect {
        select: select_of(body)?,
        order,
        limit,
    })
}

/// Of columns that are never NULL: where those come first is of no concern.
fn order(by: &ast::OrderByExpr) -> Option<Order<'_>> {
    let ast::OrderByExpr {
        expr,
        options: ast::OrderByOptions { asc, nulls_first: _ },
        with_fill: None,
    } = by
    else {
        return None;
    };
    Some(Order {
        expr,
        is_descending: *asc == Some(false),
    })
}

pub fn select(query: &ast::Query) -> Option<Select<'_>> {
    select_of(body(query)?)
}

fn select_of(body: &ast::SetExpr) -> Option<Select<'_>> {
    let ast::SetExpr::Select(select) = body else {
        return None;
    };
    let ast::Select {
        select_token: _,
        optimizer_hints,
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: _,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views,
        prewhere: None,
        selection: Some(selection),
        connect_by,
        group_by: ast::GroupByExpr::Expressions(groups, modifiers),
        cluster_by,
        distribute_by,
        sort_by,
        having: None,
        named_window,
        qualify: None,
        window_before_qualify: _,
        value_table_mode: None,
        flavor: ast::SelectFlavor::Standard,
    } = &**select
    else {
        return None;
    };
    let is_plain = optimizer_hints.is_empty()
        && lateral_views.is_empty()
        && connect_by.is_empty()
        && groups.is_empty()
        && modifiers.is_empty()
        && cluster_by.is_empty()
        && distribute_by.is_empty()
        && sort_by.is_empty()
        && named_window.is_empty();
    let [table] = from.as_slice() else { return None };
    Some(Select {
        items: projection,
        target: target(table)?,
        selection,
    })
    .filter(|_| is_plain)
}

pub fn insert(insert: &ast::Insert) -> Option<Insert<'_>> {
    let ast::Insert {
        insert_token: _,
        optimizer_hints,
        or: None,
        ignore: false,
        into: _,
        table: ast::TableObject::TableName(name),
        table_alias: None,
        columns,
        overwrite: false,
        source: Some(source),
        assignments,
        partitioned: None,
        after_columns,
        has_table_keyword: false,
        on: None,
        returning: None,
        output: None,
        replace_into: false,
        priority: None,
        insert_alias: None,
        settings: None,
        format_clause: None,
        multi_table_insert_type: None,
        multi_table_into_clauses,
        multi_table_when_clauses,
        multi_table_else_clause: None,
    } = insert
    else {
        return None;
    };
    let is_plain = optimizer_hints.is_empty()
        && assignments.is_empty()
        && after_columns.is_empty()
        && multi_table_into_clauses.is_empty()
        && multi_table_when_clauses.is_empty();
    let ast::SetExpr::Values(ast::Values {
        explicit_row: false,
        value_keyword: false,
        rows,
    }) = body(source)?
    else {
        return None;
    };
    Some(Insert {
        target: named(name, name.0.last()?.as_ident()?, false)?,
        columns,
        rows: rows.iter().map(|row| row.content.as_slice()).collect(),
    })
    .filter(|_| is_plain)
}

pub fn update(update: &ast::Update) -> Option<Update<'_>> {
    let ast::Update {
        update_token: _,
        optimizer_hints,
        table,
        assignments,
        from: None,
        selection: Some(selection),
        returning: None,
        output: None,
        or: None,
        order_by,
        limit: None,
    } = update
    else {
        return None;
    };
    Some(Update {
        target: target(table)?,
        assignments,
        selection,
    })
    .filter(|_| optimizer_hints.is_empty() && order_by.is_empty())
}

pub fn delete(delete: &ast::Delete) -> Option<Delete<'_>> {
    let ast::Delete {
        delete_token: _,
        optimizer_hints,
        tables,
        from: ast::FromTable::WithFromKeyword(from),
        using: None,
        selection: Some(selection),
        returning: None,
        output: None,
        order_by,
        limit: None,
    } = delete
    else {
        return None;
    };
    let [table] = from.as_slice() else { return None };
    Some(Delete {
        target: target(table)?,
        selection,
    })
    .filter(|_| optimizer_hints.is_empty() && tables.is_empty() && order_by.is_empty())
}
