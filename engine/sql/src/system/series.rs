//! What gives rows of a list in FROM: `generate_series`, where its arguments are known when it is run, and the parts of texts.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr};

use super::rewrite::{call, last_name};

/// The list that a function in FROM unnests.
fn list_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "generate_series" => "generate_series",
        "string_to_table" => "string_to_array",
        "regexp_split_to_table" => "regexp_split_to_array",
        _ => return None,
    })
}

fn plain_arguments(arguments: &ast::TableFunctionArgs) -> Option<Vec<Expr>> {
    let arguments = arguments.args.iter().map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    arguments.collect()
}

/// `FROM generate_series(1, 3) WITH ORDINALITY` as `FROM unnest(generate_series(1, 3)) WITH ORDINALITY`.
pub fn numbered(factor: &ast::TableFactor) -> Option<ast::TableFactor> {
    let ast::TableFactor::Table {
        name,
        alias,
        args: Some(arguments),
        with_ordinality: true,
        ..
    } = factor
    else {
        return None;
    };
    let function = last_name(name)?;
    let alias = alias.clone().unwrap_or_else(|| ast::TableAlias {
        explicit: true,
        name: ast::Ident::new(function.clone()),
        columns: Vec::new(),
        at: None,
    });
    Some(ast::TableFactor::UNNEST {
        alias: Some(alias),
        array_exprs: vec![call(list_of(&function)?, plain_arguments(arguments)?)],
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: true,
    })
}

/// `FROM generate_series(1, $1)`, as the list that it is, unnested: DataFusion's relation asks for numbers.
pub fn series_of_parameters(factor: &ast::TableFactor) -> Option<ast::TableFactor> {
    let ast::TableFactor::Table {
        name,
        alias,
        args: Some(arguments),
        with_ordinality: false,
        ..
    } = factor
    else {
        return None;
    };
    let list = list_of(&last_name(name)?)?;
    let (mut has_parameter, mut has_column) = (false, false);
    let _: ControlFlow<()> = ast::visit_expressions(&arguments.args, |expr| {
        match expr {
            Expr::Value(value) => has_parameter |= matches!(value.value, ast::Value::Placeholder(_)),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => has_column = true,
            _ => {}
        }
        ControlFlow::Continue(())
    });
    // With numbers it is a relation, which need not be kept.
    if list == "generate_series" && !has_parameter && !has_column {
        return None;
    }
    Some(ast::TableFactor::UNNEST {
        alias: alias.clone(),
        array_exprs: vec![call(list, plain_arguments(arguments)?)],
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    })
}

/// `LATERAL unnest(a)`, `LATERAL generate_series(1, n)` and their like, as the lists that they are, unnested: such a relation sees those before
/// it anyway.
pub fn lateral(factor: &ast::TableFactor) -> Option<ast::TableFactor> {
    let ast::TableFactor::Function {
        lateral: true,
        name,
        args,
        alias,
        ..
    } = factor
    else {
        return None;
    };
    let function = last_name(name)?;
    let arguments = args.iter().map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let arguments: Vec<Expr> = arguments.collect::<Option<_>>()?;
    let array_exprs = match function.as_str() {
        "unnest" => arguments,
        _ => vec![call(list_of(&function)?, arguments)],
    };
    let mut alias = alias.clone().unwrap_or_else(|| ast::TableAlias {
        explicit: true,
        name: ast::Ident::new(function),
        columns: Vec::new(),
        at: None,
    });
    if alias.columns.is_empty() && array_exprs.len() == 1 {
        let name = alias.name.clone();
        alias.columns.push(ast::TableAliasColumnDef { name, data_type: None });
    }
    Some(ast::TableFactor::UNNEST {
        alias: Some(alias),
        array_exprs,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    })
}
