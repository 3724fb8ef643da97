//! Functions of json and jsonb that DataFusion plans in another form:
//!
//! | written | read as |
//! |---|---|
//! | `jsonb_agg(x ORDER BY y)`, `jsonb_object_agg(k, v)`, ... | `jsonb_gathered(array_agg(jsonb_item(x) ORDER BY y))` |
//! | `SELECT jsonb_array_elements(x)`, ... | `unnest` of the list that the function gives here |
//! | `FROM t, jsonb_each(t.x) AS e` | `FROM t, LATERAL (SELECT unnest(...) AS key, unnest(...) AS value) AS e (key, value)` |
//!
//! An item of FROM as a value, `row_to_json(t)`, is in [`super::whole`].

use datafusion::sql::sqlparser::ast::{self, Expr};

use super::rewrite::{call, last_name};
use crate::dml::select;
use crate::functions::{json_aggregate, json_rows};

/// An aggregate of documents, as one of lists.
pub fn aggregate(function: &ast::Function) -> Option<Expr> {
    let (around, of) = json_aggregate(&last_name(&function.name)?)?;
    let ast::FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let arguments = expressions(&list.args)?;
    // What is made distinct is sorted by itself alone: it is made JSON once it is gathered.
    let is_distinct = matches!(list.duplicate_treatment, Some(ast::DuplicateTreatment::Distinct));
    let (around, item) = match (&arguments[..], is_distinct) {
        ([argument], true) => (format!("{around}_values"), argument.clone()),
        _ => (around.to_owned(), call(of, arguments)),
    };
    let mut gathered = function.clone();
    gathered.name = ast::ObjectName::from(vec![ast::Ident::new("array_agg")]);
    if let ast::FunctionArguments::List(list) = &mut gathered.args {
        list.args = vec![unnamed(item)];
    }
    Some(call(&around, vec![Expr::Function(gathered)]))
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

fn expressions(arguments: &[ast::FunctionArg]) -> Option<Vec<Expr>> {
    let arguments = arguments.iter().map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    arguments.collect()
}

pub fn unnamed(expr: Expr) -> ast::FunctionArg {
    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr))
}

fn item(list: Expr, name: &str) -> ast::SelectItem {
    ast::SelectItem::ExprWithAlias {
        expr: call("unnest", vec![list]),
        alias: ast::Ident::new(name),
    }
}
