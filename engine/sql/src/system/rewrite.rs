//! What PostgreSQL's clients write, in a form that DataFusion plans.
//!
//! Each rule is about a construct and never about one client's query:
//!
//! | written | read as |
//! |---|---|
//! | `x COLLATE "default"`, also `C`, `POSIX` | `x`: text has one order, by code point |
//! | `a OPERATOR(pg_catalog.~) b` | `a ~ b` |
//! | `pg_catalog.f(x)` | `f(x)`, also in FROM |
//! | `x::regclass`, regtype, regnamespace, regrole, regproc | `regclassin(x)`, an oid; as text, or where it is shown, `regclassout(x)` |
//! | `current_schema`, `user`, ... without parentheses | `current_schema()` |
//! | `ARRAY(SELECT x ... ORDER BY y)` | `array_or_empty((SELECT array_agg(x ORDER BY y) ...))` |
//! | `ARRAY(SELECT f(x) FROM unnest(a) x)` | `array_transform(a, x -> f(x))` |
//! | `x AT TIME ZONE z` | `timezone(z, x)` |
//! | `x = ANY(a)`, `x < ALL(a)`, ... | `array_any_eq(x, a)`, `array_all_lt(x, a)`: of an array, not of a query |
//! | `a[:n]`, `a[n:]` | `a[1:n]`, `a[n:2147483647]` |
//! | `x LIKE p ESCAPE '/'` | `x LIKE like_escape(p, '/')`: with a backslash |
//! | `FROM generate_series(...) AS i`, `FROM unnest(a) AS i` | `... AS i (i)`: the alias names the column, too |
//! | `FROM unnest(a) WITH ORDINALITY` | `FROM unnest(a, ordinals(a))` |
//! | `CROSS JOIN LATERAL (SELECT x) AS o (n)` | `x` in the place of `o.n`, see [`lateral`] |
//! | `generate_series(...)`, `generate_subscripts(a, 1)`, `pg_partition_ancestors(t)` in a SELECT list | `unnest` of the list that they are |
//! | `x::jsonpath` | `jsonpathin(x)`, the path's text as PostgreSQL prints it |
//! | `JOIN ... USING`, `NATURAL JOIN` | see [`using`] |
//! | `SELECT u.*, count(*) ... GROUP BY u.id` | `GROUP BY u.id, u.name, ...`, see [`group_key`] |
//! | `mod(a, b)`, `(a, b) < (x, y)`, `localtimestamp(3)` and their like | see [`spelled`] |
//! | `VALUES (x::t), ('y')` | `VALUES (x::t), ('y'::t)` |
//! | `jsonb_agg(x)`, `FROM jsonb_each(x)` and their like | see [`documents`] |
//! | `(SELECT ...)` over a system table that never has a row | NULL, for whatever it would compute is computed for no row |
//!
//! The last one is what lets queries about publications and policies pass, whose other parts nothing here could plan.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Visit, VisitMut, Visitor, VisitorMut};

use super::group_key::{self, KeyOf};
use super::series::{self, series_of_parameters};
use super::using::{self, ColumnsOf};
use super::{arrays, documents, find, lateral, spelled, ties, values};
use crate::dml::normalize;
use crate::functions::bits;
use crate::session::columns::names_of_datafusion;

/// Rewrites a statement. `is_aggregate` tells whether a function of that name is one, `columns_of` the columns of a relation, `key_of` its
/// primary key.
pub fn rewrite(
    statement: &mut ast::Statement,
    is_aggregate: &dyn Fn(&str) -> bool,
    columns_of: ColumnsOf<'_>,
    key_of: KeyOf<'_>,
) {
    let mut ctes = NamedQueries::default();
    let _: ControlFlow<()> = Visit::visit(statement, &mut ctes);
    let _: ControlFlow<()> = statement.visit(&mut Rewriter {
        is_aggregate,
        columns_of,
        key_of,
        ctes: ctes.0,
    });
    if let ast::Statement::Query(query) = statement {
        show_names(&mut query.body);
    }
}

/// As [`rewrite`], for an expression by itself, such as a DEFAULT.
pub fn rewrite_expression(expr: &mut Expr, is_aggregate: &dyn Fn(&str) -> bool) {
    let _: ControlFlow<()> = expr.visit(&mut Rewriter {
        is_aggregate,
        columns_of: &|_| None,
        key_of: &|_| None,
        ctes: BTreeSet::new(),
    });
}

/// The names of the queries of WITH.
#[derive(Default)]
struct NamedQueries(BTreeSet<String>);

impl Visitor for NamedQueries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(ctes.map(|cte| normalize(&cte.alias.name)));
        ControlFlow::Continue(())
    }
}

struct Rewriter<'a> {
    is_aggregate: &'a dyn Fn(&str) -> bool,
    columns_of: ColumnsOf<'a>,
    key_of: KeyOf<'a>,
    /// The names of queries of WITH, wherever they stand: a table of such a name may be one.
    ctes: BTreeSet<String>,
}

impl Rewriter<'_> {
    fn group_by_keys(&self, select: &mut ast::Select, order_by: Option<&ast::OrderBy>) {
        group_key::settle(select, order_by, &|factor| match factor {
            ast::TableFactor::Table { name, .. } => {
                let name = name.0.last()?.as_ident().map(normalize)?;
                if self.ctes.contains(&name) {
                    None
                } else {
                    (self.key_of)(factor)
                }
            }
            _ => None,
        });
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        lateral::inline(query, self.is_aggregate);
        ties::settle(query);
        match &mut *query.body {
            ast::SetExpr::Values(rows) => values::settle(rows),
            ast::SetExpr::Select(select) => self.group_by_keys(select, query.order_by.as_ref()),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Collate { expr: inner, collation } if is_our_collation(collation) => {
                *expr = std::mem::replace(&mut **inner, null());
            }
            Expr::BinaryOp { op, .. } => {
                unwrap_operator(op);
                spelled::settle(expr);
            }
            Expr::Substring { .. }
            | Expr::SimilarTo { .. }
            | Expr::Like { any: true, .. }
            | Expr::ILike { any: true, .. } => spelled::settle(expr),
            Expr::UnaryOp {
                op: ast::UnaryOperator::PGAbs | ast::UnaryOperator::PGSquareRoot | ast::UnaryOperator::PGCubeRoot,
                ..
            } => spelled::settle(expr),
            Expr::UnaryOp {
                op: ast::UnaryOperator::BitwiseNot,
                expr: inner,
            } => {
                let inner = std::mem::replace(&mut **inner, null());
                *expr = call(bits::NOT, vec![inner]);
            }
            Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => {
                if let Some(compared) = arrays::compared("any", left, compare_op, right) {
                    *expr = compared;
                }
            }
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => {
                if let Some(compared) = arrays::compared("all", left, compare_op, right) {
                    *expr = compared;
                }
            }
            Expr::Function(function) => {
                strip_catalog(&mut function.name);
                let replaced = set_returning(function)
                    .or_else(|| documents::rows(function))
                    .or_else(|| documents::aggregate(function))
                    .or_else(|| arrays::array_of_elements(function))
                    .or_else(|| arrays::array_of_query(function));
                match replaced {
                    Some(replaced) => *expr = replaced,
                    None => spelled::settle(expr),
                }
            }
            Expr::TypedString(typed) if plain_type(&typed.data_type) == "jsonpath" => {
                *expr = call("jsonpathin", vec![Expr::Value(typed.value.clone())]);
            }
            Expr::CompoundFieldAccess { root, access_chain } => match (&**root, access_chain.as_slice()) {
                // `(record).field`
                (Expr::Nested(_), [ast::AccessExpr::Dot(Expr::Identifier(field))]) => {
                    let field = ast::Value::SingleQuotedString(normalize(field)).with_empty_span();
                    let record = std::mem::replace(&mut **root, null());
                    *expr = call("get_field", vec![record, Expr::Value(field)]);
                }
                _ => access_chain.iter_mut().for_each(arrays::bound),
            },
            Expr::AtTimeZone { timestamp, time_zone } => {
                let zone = std::mem::replace(&mut **time_zone, null());
                let time = std::mem::replace(&mut **timestamp, null());
                *expr = call("timezone", vec![zone, time]);
            }
            Expr::Identifier(name) if name.quote_style.is_none() && is_session_word(&name.value) => {
                *expr = call(&name.value.to_lowercase(), Vec::new());
            }
            Expr::Cast {
                expr: inner,
                data_type,
                array: false,
                ..
            } => {
                let name = plain_type(data_type);
                if let Some(alias) = oid_alias(&name) {
                    let inner = std::mem::replace(&mut **inner, null());
                    *expr = call(&format!("{alias}in"), vec![inner]);
                } else if name == "jsonpath" {
                    let inner = std::mem::replace(&mut **inner, null());
                    *expr = call("jsonpathin", vec![inner]);
                } else if matches!(name.as_str(), "text" | "varchar" | "name") {
                    show_name(inner);
                }
            }
            Expr::Like {
                pattern, escape_char, ..
            }
            | Expr::ILike {
                pattern, escape_char, ..
            } => {
                let is_other = |escape: &mut ast::ValueWithSpan| !matches!(&escape.value, ast::Value::SingleQuotedString(text) if text == "\\");
                if let Some(escape) = escape_char.take_if(is_other) {
                    let written = std::mem::replace(&mut **pattern, null());
                    **pattern = call("like_escape", vec![written, Expr::Value(escape)]);
                }
            }
            Expr::Subquery(query) if self.is_without_rows(query) => *expr = null(),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        spelled::settle_groups(select);
        self.group_by_keys(select, None);
        using::settle(select, self.columns_of);
        if self.reads_nothing(select) {
            for item in &mut select.projection {
                if let ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } = item {
                    let _: ControlFlow<()> = ast::visit_expressions_mut(expr, |expr| {
                        let is_query = match expr {
                            Expr::Subquery(_) => true,
                            Expr::Function(function) => matches!(function.args, ast::FunctionArguments::Subquery(_)),
                            _ => false,
                        };
                        if is_query {
                            *expr = null();
                        }
                        ControlFlow::Continue(())
                    });
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        name_repeated(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
        // Now that its arguments are rewritten.
        let unnested = series::numbered(factor)
            .or_else(|| series::lateral(factor))
            .or_else(|| series_of_parameters(factor));
        if let Some(unnested) = unnested {
            *factor = unnested;
            number(factor);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
        documents::relation(factor);
        number(factor);
        match factor {
            ast::TableFactor::Table {
                name,
                args: Some(_),
                alias,
                with_ordinality: false,
                ..
            } => {
                strip_catalog(name);
                name_column(name, alias);
            }
            ast::TableFactor::Table {
                name, args: Some(_), ..
            }
            | ast::TableFactor::Function { name, .. } => strip_catalog(name),
            ast::TableFactor::UNNEST {
                array_exprs,
                alias,
                with_offset: false,
                with_ordinality: false,
                ..
            } if array_exprs.len() == 1 => name_column_by_alias(alias),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter<'_> {
    /// Whether a query gives no row, whatever is in the database.
    fn is_without_rows(&self, query: &ast::Query) -> bool {
        match &*query.body {
            ast::SetExpr::Select(select) => query.with.is_none() && self.reads_nothing(select),
            _ => false,
        }
    }

    /// Whether a SELECT computes its list for no row: it has a table without rows, in no outer join, and no aggregate, which
    /// would have a row even then.
    fn reads_nothing(&self, select: &ast::Select) -> bool {
        let is_inner = |join: &ast::Join| {
            matches!(
                join.join_operator,
                ast::JoinOperator::Join(_) | ast::JoinOperator::Inner(_) | ast::JoinOperator::CrossJoin(_)
            )
        };
        let has_empty = select.from.iter().any(|from| {
            is_empty_table(&from.relation)
                || from
                    .joins
                    .iter()
                    .take_while(|join| is_inner(join))
                    .any(|join| is_empty_table(&join.relation))
        });
        // An outer join can only add rows to what stands left of it where it is a right or full one.
        let adds_rows = select.from.iter().flat_map(|from| &from.joins).any(|join| {
            !is_inner(join)
                && !matches!(
                    join.join_operator,
                    ast::JoinOperator::Left(_) | ast::JoinOperator::LeftOuter(_)
                )
        });
        has_empty && !adds_rows && select.having.is_none() && !self.aggregates(select)
    }

    fn aggregates(&self, select: &ast::Select) -> bool {
        let mut finder = Aggregates {
            is_aggregate: self.is_aggregate,
            depth: 0,
        };
        select.projection.visit(&mut finder).is_break()
    }
}

/// Looks for an aggregate that is not in a subquery.
struct Aggregates<'a> {
    is_aggregate: &'a dyn Fn(&str) -> bool,
    depth: usize,
}

impl Visitor for Aggregates<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function)
                if self.depth == 0
                    && function.over.is_none()
                    && last_name(&function.name).is_some_and(|name| (self.is_aggregate)(&name)) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn is_empty_table(factor: &ast::TableFactor) -> bool {
    let ast::TableFactor::Table { name, args: None, .. } = factor else {
        return false;
    };
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(normalize)).collect();
    // Only with its schema: a name alone may be that of a WITH query.
    match parts.as_deref() {
        Some([schema, table]) => find(Some(schema), table).is_some_and(super::Definition::is_empty),
        _ => false,
    }
}

pub(super) fn null() -> Expr {
    Expr::Value(ast::Value::Null.into())
}

pub(super) fn last_name(name: &ast::ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(normalize)
}

fn is_our_collation(name: &ast::ObjectName) -> bool {
    last_name(name).is_some_and(|name| {
        matches!(
            name.to_lowercase().as_str(),
            "default" | "c" | "posix" | "ucs_basic" | "c.utf8" | "c.utf-8"
        )
    })
}

/// The operator that `OPERATOR(schema.op)` names.
fn unwrap_operator(op: &mut ast::BinaryOperator) {
    use ast::BinaryOperator as B;
    let B::PGCustomBinaryOperator(parts) = &*op else {
        return;
    };
    let known = match parts.last().map(String::as_str) {
        Some("=") => B::Eq,
        Some("<>" | "!=") => B::NotEq,
        Some("<") => B::Lt,
        Some("<=") => B::LtEq,
        Some(">") => B::Gt,
        Some(">=") => B::GtEq,
        Some("~") => B::PGRegexMatch,
        Some("~*") => B::PGRegexIMatch,
        Some("!~") => B::PGRegexNotMatch,
        Some("!~*") => B::PGRegexNotIMatch,
        Some("~~") => B::PGLikeMatch,
        Some("~~*") => B::PGILikeMatch,
        Some("!~~") => B::PGNotLikeMatch,
        Some("!~~*") => B::PGNotILikeMatch,
        Some("+") => B::Plus,
        Some("-") => B::Minus,
        Some("*") => B::Multiply,
        Some("/") => B::Divide,
        Some("%") => B::Modulo,
        Some("||") => B::StringConcat,
        Some("<->") => B::LtDashGt,
        Some("<=>") => B::Spaceship,
        _ => return,
    };
    *op = known;
}

/// `pg_catalog.f` is `f`: functions have no schemas here.
fn strip_catalog(name: &mut ast::ObjectName) {
    let is_of_catalog =
        |part: &ast::ObjectNamePart| part.as_ident().is_some_and(|part| normalize(part) == "pg_catalog");
    if name.0.len() == 2 && name.0.first().is_some_and(is_of_catalog) {
        name.0.remove(0);
    }
}

/// Names the column of a function in FROM that has one: by the alias, or else as the function.
fn name_column(function: &ast::ObjectName, alias: &mut Option<ast::TableAlias>) {
    let Some(name) = last_name(function).filter(|name| gives_rows(name) || name == "unnest") else {
        return;
    };
    alias.get_or_insert_with(|| ast::TableAlias {
        explicit: true,
        name: ast::Ident::new(name),
        columns: Vec::new(),
        at: None,
    });
    name_column_by_alias(alias);
}

/// The functions in FROM that are lists, unnested.
fn gives_rows(name: &str) -> bool {
    matches!(name, "generate_series" | "string_to_table" | "regexp_split_to_table")
}

/// `unnest(a) WITH ORDINALITY` as `unnest(a, ordinals(a))`, with names for both columns.
fn number(factor: &mut ast::TableFactor) {
    let ast::TableFactor::UNNEST {
        array_exprs,
        alias,
        with_ordinality: is_numbered @ true,
        ..
    } = factor
    else {
        return;
    };
    let [array] = &array_exprs[..] else { return };
    let ordinals = call("ordinals", vec![array.clone()]);
    array_exprs.push(ordinals);
    *is_numbered = false;
    let alias = alias.get_or_insert_with(|| ast::TableAlias {
        explicit: true,
        name: ast::Ident::new("unnest"),
        columns: Vec::new(),
        at: None,
    });
    let others = [alias.name.clone(), ast::Ident::new("ordinality")].into_iter();
    let others = others.skip(alias.columns.len());
    let others: Vec<_> = others
        .map(|name| ast::TableAliasColumnDef { name, data_type: None })
        .collect();
    alias.columns.extend(others);
}

fn name_column_by_alias(alias: &mut Option<ast::TableAlias>) {
    if let Some(alias) = alias
        && alias.columns.is_empty()
    {
        alias.columns.push(ast::TableAliasColumnDef {
            name: alias.name.clone(),
            data_type: None,
        });
    }
}

fn is_session_word(word: &str) -> bool {
    matches!(
        word.to_lowercase().as_str(),
        "current_schema" | "current_catalog" | "current_user" | "current_role" | "session_user" | "user"
    )
}

pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(function(name, arguments))
}

pub(super) fn function(name: &str, arguments: Vec<Expr>) -> ast::Function {
    let arguments = arguments.into_iter();
    ast::Function {
        name: ast::ObjectName::from(vec![ast::Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments
                .map(|argument| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument)))
                .collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }
}

/// A type's name without its schema, in lower case.
pub(super) fn plain_type(data_type: &ast::DataType) -> String {
    plain_type_name(&data_type.to_string())
}

/// A type's name without `pg_catalog` before it and without quotes, but those of `"char"`, which is another type than `char`.
pub fn plain_type_name(name: &str) -> String {
    let name = name.to_lowercase();
    let prefixes = ["pg_catalog.", "\"pg_catalog\"."];
    let name = prefixes
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(&name);
    match name.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((quoted, rest)) if quoted != "char" => format!("{quoted}{rest}"),
        _ => name.to_owned(),
    }
}

/// The types whose values are oids and are shown as names.
fn oid_alias(type_name: &str) -> Option<&'static str> {
    Some(match type_name {
        "regclass" => "regclass",
        "regtype" => "regtype",
        "regnamespace" => "regnamespace",
        "regrole" => "regrole",
        "regproc" | "regprocedure" => "regproc",
        _ => return None,
    })
}

/// An oid that is shown is shown by its name.
fn show_name(expr: &mut Expr) {
    match expr {
        Expr::Nested(inner) => show_name(inner),
        Expr::Function(function) => {
            let name = last_name(&function.name);
            let alias = name.as_deref().and_then(|name| name.strip_suffix("in"));
            if let Some(alias) = alias.and_then(oid_alias) {
                function.name = ast::ObjectName::from(vec![ast::Ident::new(format!("{alias}out"))]);
            }
        }
        _ => {}
    }
}

/// The values that a statement answers with are shown.
fn show_names(body: &mut ast::SetExpr) {
    match body {
        ast::SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } = item {
                    show_name(expr);
                }
            }
        }
        ast::SetExpr::Query(query) => show_names(&mut query.body),
        ast::SetExpr::SetOperation { left, right, .. } => {
            show_names(left);
            show_names(right);
        }
        ast::SetExpr::Values(values) => values
            .rows
            .iter_mut()
            .flat_map(|row| &mut row.content)
            .for_each(show_name),
        _ => {}
    }
}

/// Gives the second and later of equal unnamed expressions a name of their own, which DataFusion asks for and PostgreSQL does not.
fn name_repeated(projection: &mut [ast::SelectItem]) {
    let mut seen = BTreeSet::new();
    for (at, item) in projection.iter_mut().enumerate() {
        let expr = match item {
            ast::SelectItem::UnnamedExpr(expr) => expr,
            // `t.a AS a` is `t.a` to DataFusion.
            ast::SelectItem::ExprWithAlias { expr, alias } if is_column(expr, alias) => expr,
            _ => continue,
        };
        let names = names_of_datafusion(expr);
        let is_new = !names.iter().any(|name| seen.contains(name));
        seen.extend(names);
        if !is_new {
            *item = ast::SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: ast::Ident::with_quote('"', format!("aion column {at}")),
            };
        }
    }
}

/// Whether an expression is a column of that name.
fn is_column(expr: &Expr, name: &ast::Ident) -> bool {
    let column = match expr {
        Expr::Identifier(column) => Some(column),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    column.is_some_and(|column| normalize(column) == normalize(name))
}

/// A function that gives rows, as `unnest` of a list.
fn set_returning(function: &mut ast::Function) -> Option<Expr> {
    let list = match last_name(&function.name)?.as_str() {
        "generate_series" => "generate_series",
        "string_to_table" => "string_to_array",
        "regexp_split_to_table" => "regexp_split_to_array",
        "generate_subscripts" => "array_subscripts",
        "pg_partition_ancestors" => "pg_partition_ancestors",
        "pg_listening_channels" => "pg_listening_channels",
        "_pg_expandarray" => "expanded",
        _ => return None,
    };
    let ast::FunctionArguments::List(arguments) = &function.args else {
        return None;
    };
    let arguments = arguments.args.iter().map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let arguments: Option<Vec<_>> = arguments.collect();
    Some(call("unnest", vec![call(list, arguments?)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn rewritten(text: &str) -> String {
        let mut statement = parse(text).expect("SQL").remove(0).ast;
        rewrite(
            &mut statement,
            &|name| matches!(name, "count" | "array_agg"),
            &|_| None,
            &|_| None,
        );
        statement.to_string()
    }

    #[test]
    fn constructs_are_rewritten() {
        for (written, expected) in [
            (
                "SELECT a OPERATOR(pg_catalog.~) 'x' COLLATE pg_catalog.default",
                "SELECT a ~ 'x'",
            ),
            ("SELECT pg_catalog.version()", "SELECT version()"),
            ("SELECT 'a'::regclass", "SELECT regclassout('a')"),
            (
                "SELECT 1 WHERE a = 'a'::pg_catalog.regclass",
                "SELECT 1 WHERE a = regclassin('a')",
            ),
            ("SELECT a::regtype::text", "SELECT regtypeout(a)::TEXT"),
            ("SELECT a::regclass::oid", "SELECT regclassin(a)::oid"),
            ("SELECT current_schema", "SELECT current_schema()"),
            (
                "SELECT ARRAY(SELECT a FROM t ORDER BY 1)",
                "SELECT array_or_empty((SELECT array_agg(a ORDER BY a) FROM t))",
            ),
            (
                "SELECT ARRAY(SELECT 'x' || e FROM pg_catalog.unnest(t.a) e) FROM t",
                "SELECT array_transform(t.a, e -> 'x' || e) FROM t",
            ),
            (
                "SELECT a LIKE 'x/_' ESCAPE '/'",
                "SELECT a LIKE like_escape('x/_', '/')",
            ),
            (
                "SELECT generate_subscripts(a, 1) FROM t",
                "SELECT unnest(array_subscripts(a, 1)) FROM t",
            ),
            (
                "SELECT pg_catalog.pg_partition_ancestors('1')",
                "SELECT unnest(pg_partition_ancestors('1'))",
            ),
            (
                "SELECT a FROM pg_catalog.generate_series(1, 2) AS a",
                "SELECT a FROM generate_series(1, 2) AS a (a)",
            ),
            (
                "SELECT o.n, p.a FROM c CROSS JOIN LATERAL (SELECT pg_catalog.f(c.x)) AS o(n) \
                 LEFT JOIN p ON p.id = c.id WHERE o.n IS NOT NULL ORDER BY o.n",
                "SELECT (f(c.x)) AS n, p.a FROM c LEFT JOIN p ON p.id = c.id WHERE (f(c.x)) IS NOT NULL ORDER BY (f(c.x))",
            ),
        ] {
            assert_eq!(rewritten(written), expected, "{written}");
        }
    }

    #[test]
    fn what_is_computed_for_no_row_is_null() {
        let kept = |text: &str| assert_eq!(rewritten(text), text);
        assert_eq!(
            rewritten("SELECT a, (SELECT x FROM t) FROM pg_catalog.pg_policy"),
            "SELECT a, NULL FROM pg_catalog.pg_policy"
        );
        assert_eq!(
            rewritten("SELECT (SELECT s FROM pg_catalog.pg_trigger WHERE k = a) FROM t"),
            "SELECT NULL FROM t"
        );
        // An aggregate has a row even of nothing, and so has the left of an outer join.
        kept("SELECT (SELECT count(*) FROM pg_catalog.pg_trigger) FROM t");
        kept("SELECT (SELECT x FROM t) FROM u LEFT JOIN pg_catalog.pg_policy ON true");
        kept("SELECT (SELECT x FROM t) FROM pg_catalog.pg_policy RIGHT JOIN u ON true");
        kept("WITH pg_policy AS (SELECT 1) SELECT (SELECT x FROM t) FROM pg_policy");
    }
}
