//! `generate_series` in FROM, where its arguments are known when it is run.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr};

use super::rewrite::{call, last_name};

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
    if last_name(name)? != "generate_series" {
        return None;
    }
    let (mut has_parameter, mut has_column) = (false, false);
    let _: ControlFlow<()> = ast::visit_expressions(&arguments.args, |expr| {
        match expr {
            Expr::Value(value) => has_parameter |= matches!(value.value, ast::Value::Placeholder(_)),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => has_column = true,
            _ => {}
        }
        ControlFlow::Continue(())
    });
    if !has_parameter || has_column {
        return None;
    }
    let arguments = arguments.args.iter().map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    Some(ast::TableFactor::UNNEST {
        alias: alias.clone(),
        array_exprs: vec![call("generate_series", arguments.collect::<Option<_>>()?)],
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    })
}
