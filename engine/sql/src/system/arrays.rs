//! What is written of arrays, in a form that DataFusion plans: comparisons with ANY and ALL, bounds of slices, and arrays made of queries.

use datafusion::sql::sqlparser::ast::{self, Expr};

use super::rewrite::{call, function as function_of, last_name, null};
use crate::functions::OR_EMPTY;

/// `x op ANY(array)` as the function that it is; None beside a query, and for operators that compare nothing.
pub fn compared(quantifier: &str, left: &mut Expr, op: &ast::BinaryOperator, right: &mut Expr) -> Option<Expr> {
    use ast::BinaryOperator as B;
    let name = match op {
        B::Eq => "eq",
        B::NotEq => "ne",
        B::Lt => "lt",
        B::LtEq => "le",
        B::Gt => "gt",
        B::GtEq => "ge",
        _ => return None,
    };
    if matches!(right, Expr::Subquery(_)) {
        return None;
    }
    let operands = [left, right].map(|operand| std::mem::replace(operand, null()));
    Some(call(&format!("array_{quantifier}_{name}"), operands.to_vec()))
}

/// A slice with both its bounds: what is left out is that of the array, which is cut off there anyway.
pub fn bound(access: &mut ast::AccessExpr) {
    let number = |number: &str| Some(Expr::Value(ast::Value::Number(number.to_owned(), false).into()));
    if let ast::AccessExpr::Subscript(ast::Subscript::Slice {
        lower_bound,
        upper_bound,
        stride: None,
    }) = access
    {
        *lower_bound = lower_bound.take().or_else(|| number("1"));
        *upper_bound = upper_bound.take().or_else(|| number("2147483647"));
    }
}

/// `ARRAY(SELECT x FROM ... ORDER BY y)` as the aggregate that it is; None for a query whose rows are not those of its FROM and
/// WHERE.
pub fn array_of_query(function: &ast::Function) -> Option<Expr> {
    let ast::FunctionArguments::Subquery(query) = &function.args else {
        return None;
    };
    if last_name(&function.name)? != "array" {
        return None;
    }
    let mut query = query.clone();
    if query.with.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return None;
    }
    let order_by = query.order_by.take();
    let ast::SetExpr::Select(select) = &mut *query.body else {
        return None;
    };
    let is_grouped = !matches!(&select.group_by, ast::GroupByExpr::Expressions(by, _) if by.is_empty());
    if is_grouped || select.distinct.is_some() || select.having.is_some() {
        return None;
    }
    let [ast::SelectItem::UnnamedExpr(item) | ast::SelectItem::ExprWithAlias { expr: item, .. }] =
        &select.projection[..]
    else {
        return None;
    };
    let item = item.clone();
    let mut aggregate = function_of("array_agg", vec![item.clone()]);
    if let Some(order_by) = order_by {
        let ast::OrderByKind::Expressions(mut by) = order_by.kind else {
            return None;
        };
        for by in &mut by {
            // The first column by its number.
            if matches!(&by.expr, Expr::Value(value) if matches!(&value.value, ast::Value::Number(n, _) if n == "1")) {
                by.expr = item.clone();
            }
        }
        if let ast::FunctionArguments::List(list) = &mut aggregate.args {
            list.clauses.push(ast::FunctionArgumentClause::OrderBy(by));
        }
    }
    select.projection = vec![ast::SelectItem::UnnamedExpr(Expr::Function(aggregate))];
    Some(call(OR_EMPTY, vec![Expr::Subquery(query)]))
}

/// `ARRAY(SELECT f(x) FROM unnest(a) x)`: the elements of a list, each made into another. A list of an outer row is one that
/// DataFusion could not unnest.
pub fn array_of_elements(function: &ast::Function) -> Option<Expr> {
    let ast::FunctionArguments::Subquery(query) = &function.args else {
        return None;
    };
    let ast::SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let is_plain = query.with.is_none()
        && query.limit_clause.is_none()
        && query.order_by.is_none()
        && select.selection.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && matches!(&select.group_by, ast::GroupByExpr::Expressions(by, _) if by.is_empty());
    let ([item], [from]) = (&select.projection[..], &select.from[..]) else {
        return None;
    };
    if !is_plain || !from.joins.is_empty() || last_name(&function.name)? != "array" {
        return None;
    }
    let (ast::SelectItem::UnnamedExpr(item) | ast::SelectItem::ExprWithAlias { expr: item, .. }) = item else {
        return None;
    };
    let (list, alias) = match &from.relation {
        ast::TableFactor::Table {
            name,
            args: Some(arguments),
            alias: Some(alias),
            ..
        } if last_name(name)? == "unnest" => match &arguments.args[..] {
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(list))] => (list, alias),
            _ => return None,
        },
        ast::TableFactor::UNNEST {
            array_exprs,
            alias: Some(alias),
            with_offset: false,
            with_ordinality: false,
            ..
        } => match &array_exprs[..] {
            [list] => (list, alias),
            _ => return None,
        },
        _ => return None,
    };
    // The column has the name that the alias gives it, or else the alias itself.
    let parameter = alias.columns.first().map_or(&alias.name, |column| &column.name);
    let lambda = Expr::Lambda(ast::LambdaFunction {
        params: ast::OneOrManyWithParens::One(ast::LambdaFunctionParameter {
            name: parameter.clone(),
            data_type: None,
        }),
        body: Box::new(item.clone()),
        syntax: ast::LambdaSyntax::Arrow,
    });
    Some(call("array_transform", vec![list.clone(), lambda]))
}
