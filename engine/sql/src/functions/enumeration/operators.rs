//! Operators beside an enum: comparisons with the same type, and `||`, to which a value is its label.

use aion_catalog::SqlType;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{ExprSchemable, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::check::fill_row;
use crate::functions::json::{Side, no_operator, settled};

/// Plans them; asked before DataFusion's own planners.
#[derive(Debug)]
pub struct EnumOperators;

impl ExprPlanner for EnumOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as B;
        if matches!(expr.op, B::And | B::Or) {
            return Ok(PlannerResult::Original(expr));
        }
        let mut expr = expr;
        let RawBinaryExpr { left, right, .. } = &mut expr;
        fill_row(left, right, schema)?;
        fill_row(right, left, schema)?;
        let (left, right) = (Side::of(&expr.left, schema), Side::of(&expr.right, schema));
        let of = match (&left, &right) {
            (Side::Enum(of), _) | (_, Side::Enum(of)) => *of,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        // An array knows what it takes beside it.
        if left == Side::List || right == Side::List {
            return Ok(PlannerResult::Original(expr));
        }
        let RawBinaryExpr {
            op,
            left: one,
            right: other,
        } = expr;
        let is_comparison = matches!(op, B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq);
        let (one, other) = match (&left, &right) {
            (Side::Enum(one_type), Side::Enum(other_type)) if is_comparison && one_type == other_type => (one, other),
            (Side::Enum(_), Side::Open) if is_comparison => (one, settled(other, SqlType::Enum(of))?),
            (Side::Open, Side::Enum(_)) if is_comparison => (settled(one, SqlType::Enum(of))?, other),
            (Side::Enum(_), Side::Open | Side::Text(_)) if op == B::StringConcat => (cast(one, DataType::Utf8), other),
            (Side::Open | Side::Text(_), Side::Enum(_)) if op == B::StringConcat => (one, cast(other, DataType::Utf8)),
            _ => {
                let types = [one.get_type(schema), other.get_type(schema)];
                for found in types {
                    match found {
                        // A column that is to be found elsewhere.
                        Err(error @ DataFusionError::SchemaError(..)) => return Err(error),
                        Err(_) => {
                            return Ok(PlannerResult::Original(RawBinaryExpr {
                                op,
                                left: one,
                                right: other,
                            }));
                        }
                        Ok(_) => {}
                    }
                }
                let op = match op {
                    B::NotEq => "<>".to_owned(),
                    op => op.to_string(),
                };
                return Err(no_operator(&op, &left, &right));
            }
        };
        Ok(PlannerResult::Original(RawBinaryExpr {
            op,
            left: one,
            right: other,
        }))
    }
}
