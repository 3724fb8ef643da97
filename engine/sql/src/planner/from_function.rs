//! The arguments of a function in FROM: constants, computed before it is planned.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use crate::functions;

/// The arguments as literals, as far as they are constants.
///
/// # Errors
/// What computing one fails with.
pub fn computed(args: Vec<Expr>, options: &ConfigOptions) -> Result<Vec<Expr>> {
    let context = SimplifyContext::builder()
        .with_config_options(Arc::new(options.clone()))
        .build();
    let simplifier = ExprSimplifier::new(context);
    let schema = DFSchema::empty();
    let one = |arg: Expr| {
        let arg = functions::read_literals(arg, options)?;
        let arg = functions::settle_array_calls(arg, &schema)?;
        simplifier.simplify(simplifier.coerce(arg, &schema)?).map(widened)
    };
    args.into_iter().map(one).collect()
}

/// An integer as a bigint, which functions in FROM ask for.
fn widened(arg: Expr) -> Expr {
    match &arg {
        Expr::Literal(value, _) if value.data_type().is_integer() => match value.cast_to(&DataType::Int64) {
            Ok(value) => Expr::Literal(value, None),
            Err(_) => arg,
        },
        _ => arg,
    }
}
