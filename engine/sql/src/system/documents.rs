//! Functions of json and jsonb that DataFusion plans in another form:
//!
//! | written | read as |
//! |---|---|
//! | `jsonb_agg(x ORDER BY y)`, `jsonb_object_agg(k, v)`, ... | `jsonb_gathered(array_agg(to_jsonb(x) ORDER BY y))` |
//! | `SELECT jsonb_array_elements(x)`, ... | `unnest` of the list that the function gives here |
//! | `FROM t, jsonb_each(t.x) AS e` | `FROM t, LATERAL (SELECT unnest(...) AS key, unnest(...) AS value) AS e (key, value)` |
//! | `row_to_json(t)`, `jsonb_agg(t)`, ... where `t` is an item of FROM | the same of `whole_row(t.*)` |

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr};

use super::rewrite::{call, last_name, null};
use crate::dml::{normalize, select};
use crate::functions::{WHOLE_ROW, json_aggregate, json_rows};

/// An aggregate of documents, as one of lists.
pub fn aggregate(function: &ast::Function) -> Option<Expr> {
    let (around, of) = json_aggregate(&last_name(&function.name)?)?;
    let ast::FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let arguments = expressions(&list.args)?;
    let item = call(of, arguments.clone());
    let mut gathered = function.clone();
    gathered.name = ast::ObjectName::from(vec![ast::Ident::new("array_agg")]);
    if let ast::FunctionArguments::List(list) = &mut gathered.args {
        list.args = vec![unnamed(item.clone())];
        // What is made distinct is sorted by itself alone.
        let is_distinct = matches!(list.duplicate_treatment, Some(ast::DuplicateTreatment::Distinct));
        for clause in list.clauses.iter_mut().filter(|_| is_distinct) {
            if let ast::FunctionArgumentClause::OrderBy(by) = clause {
                for by in by.iter_mut().filter(|by| arguments.contains(&by.expr)) {
                    by.expr = item.clone();
                }
            }
        }
    }
    Some(call(around, vec![Expr::Function(gathered)]))
}

/// A function that gives rows of one column, in a SELECT list.
pub fn rows(function: &ast::Function) -> Option<Expr> {
    let [(_, list)] = json_rows(&last_name(&function.name)?)? else {
        return None;
    };
    let ast::FunctionArguments::List(arguments) = &function.args else {
        return None;
    };
    Some(call("unnest", vec![call(list, expressions(&arguments.args)?)]))
}

/// A function that gives rows, in FROM.
pub fn relation(factor: &mut ast::TableFactor) {
    let (name, arguments, alias, is_numbered) = match factor {
        ast::TableFactor::Table {
            name,
            args: Some(arguments),
            alias,
            with_ordinality,
            ..
        } => (name, &arguments.args, alias, *with_ordinality),
        ast::TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality,
            ..
        } => (name, &*args, alias, *with_ordinality),
        _ => return,
    };
    let Some(function) = last_name(name) else { return };
    let (Some(columns), Some(arguments)) = (json_rows(&function), expressions(arguments)) else {
        return;
    };
    let mut alias = alias.clone().unwrap_or_else(|| ast::TableAlias {
        explicit: true,
        name: ast::Ident::new(&*function),
        columns: Vec::new(),
        at: None,
    });
    let mut items = Vec::new();
    let mut names = Vec::new();
    for (column, list) in columns {
        let mut arguments = arguments.clone();
        if columns.len() > 1 {
            arguments.push(Expr::Value(ast::Value::SingleQuotedString(function.clone()).into()));
        }
        if is_numbered && items.is_empty() {
            // Behind the others, but made of the first.
            items.push(item(
                call("ordinals", vec![call(list, arguments.clone())]),
                "ordinality",
            ));
        }
        items.push(item(call(list, arguments), column));
        // Where the function does not name its column, the alias does.
        names.push(match *column == function {
            true => alias.name.clone(),
            false => ast::Ident::new(*column),
        });
    }
    if is_numbered {
        items.rotate_left(1);
        names.push(ast::Ident::new("ordinality"));
    }
    let Ok(ast::Statement::Query(subquery)) = select(items, Vec::new(), None) else {
        return;
    };
    let given = alias.columns.len();
    let others = names.into_iter().skip(given);
    alias
        .columns
        .extend(others.map(|name| ast::TableAliasColumnDef { name, data_type: None }));
    *factor = ast::TableFactor::Derived {
        lateral: true,
        subquery,
        alias: Some(alias),
        sample: None,
    };
}

/// Rows of items of FROM that are made JSON as a whole.
pub fn whole_rows(select: &mut ast::Select) {
    let joined = select.from.iter().flat_map(|from| {
        let joins = from.joins.iter().map(|join| &join.relation);
        std::iter::once(&from.relation).chain(joins)
    });
    let names: Vec<String> = joined.filter_map(name_of).collect();
    let takes_row = |function: &ast::Function| {
        last_name(&function.name).is_some_and(|name| {
            matches!(
                name.as_str(),
                "row_to_json"
                    | "to_json"
                    | "to_jsonb"
                    | "json_agg"
                    | "jsonb_agg"
                    | "json_build_array"
                    | "jsonb_build_array"
            ) || name.ends_with("_build_object")
                || name.ends_with("_object_agg")
        })
    };
    let mut replace = |expr: &mut Expr| {
        if let Expr::Function(function) = expr
            && takes_row(function)
            && let ast::FunctionArguments::List(list) = &mut function.args
        {
            for argument in &mut list.args {
                let name = match argument {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Identifier(name))) => name.clone(),
                    _ => continue,
                };
                if !names.contains(&normalize(&name)) {
                    continue;
                }
                let row = ast::FunctionArgExpr::QualifiedWildcard(ast::ObjectName::from(vec![name]));
                let mut whole = call(WHOLE_ROW, vec![null()]);
                if let Expr::Function(whole) = &mut whole
                    && let ast::FunctionArguments::List(list) = &mut whole.args
                {
                    list.args = vec![ast::FunctionArg::Unnamed(row)];
                }
                *argument = unnamed(whole);
            }
        }
        ControlFlow::<()>::Continue(())
    };
    for item in &mut select.projection {
        if let ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } = item {
            let _: ControlFlow<()> = ast::visit_expressions_mut(expr, &mut replace);
        }
    }
    if let Some(selection) = &mut select.selection {
        let _: ControlFlow<()> = ast::visit_expressions_mut(selection, &mut replace);
    }
}

fn name_of(factor: &ast::TableFactor) -> Option<String> {
    match factor {
        ast::TableFactor::Table { alias: Some(alias), .. }
        | ast::TableFactor::Derived { alias: Some(alias), .. }
        | ast::TableFactor::Function { alias: Some(alias), .. } => Some(normalize(&alias.name)),
        ast::TableFactor::Table { name, args: None, .. } => last_name(name),
        _ => None,
    }
}

fn expressions(arguments: &[ast::FunctionArg]) -> Option<Vec<Expr>> {
    let arguments = arguments.iter().map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    arguments.collect()
}

fn unnamed(expr: Expr) -> ast::FunctionArg {
    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr))
}

fn item(list: Expr, name: &str) -> ast::SelectItem {
    ast::SelectItem::ExprWithAlias {
        expr: call("unnest", vec![list]),
        alias: ast::Ident::new(name),
    }
}
