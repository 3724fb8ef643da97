//! The blanks of a character(n), where PostgreSQL looks at them.
//!
//! They are not stored, and a cast to text takes them away there too; but LIKE, regular expressions and `octet_length` have forms of their
//! own for the type, which see the value as it is shown.

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
    let operand = match &mut expr {
        Expr::Like(Like { expr, .. }) => Some(&mut **expr),
        Expr::BinaryExpr(BinaryExpr { left, op, .. }) if is_match(*op) => Some(&mut **left),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "octet_length" => args.first_mut(),
        _ => None,
    };
    match operand.map(|operand| (width(operand, schema), operand)) {
        Some((Some(width), operand)) => {
            *operand = rpad(vec![std::mem::take(operand), lit(width)]);
            Transformed::yes(expr)
        }
        _ => Transformed::no(expr),
    }
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
