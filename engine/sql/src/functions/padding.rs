//! The blanks of a character(n), where PostgreSQL looks at them.
//!
//! They are not stored, and a cast to text takes them away there too; but LIKE, regular expressions, `octet_length` and `concat` take the
//! type as it is, and see the value as it is shown.

use aion_catalog::SqlType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::functions::unicode::expr_fn::rpad;
use datafusion::logical_expr::expr::{BinaryExpr, Like, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, lit};
use datafusion::optimizer::AnalyzerRule;

use super::arithmetic::rewrite;

/// See the module's header.
#[derive(Debug)]
pub struct PadBlanks;

impl AnalyzerRule for PadBlanks {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(rewrite(plan, seen)?.data)
    }

    fn name(&self) -> &str {
        "pad_blanks"
    }
}

fn seen(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let operands: Vec<&mut Expr> = match &mut expr {
        Expr::Like(Like { expr, .. }) => vec![&mut **expr],
        Expr::BinaryExpr(BinaryExpr { left, op, .. }) if is_match(*op) => vec![&mut **left],
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.name() {
            "octet_length" | "concat" | "concat_ws" => args.iter_mut().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let mut is_changed = false;
    for operand in operands {
        if let Some(width) = width(operand, schema) {
            *operand = rpad(vec![std::mem::take(operand), lit(width)]);
            is_changed = true;
        }
    }
    Transformed::new_transformed(expr, is_changed)
}

fn is_match(operator: Operator) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::RegexMatch | O::RegexIMatch | O::RegexNotMatch | O::RegexNotIMatch
    )
}

/// Of a character(n).
fn width(operand: &Expr, schema: &DFSchema) -> Option<i64> {
    let (_, field) = operand.to_field(schema).ok()?;
    match SqlType::from_field(&field).ok()? {
        SqlType::Char(width) => Some(width.into()),
        _ => None,
    }
}
