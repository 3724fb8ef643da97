//! `ARRAY[...]`, subscripts, and the operators beside arrays.

use aion_base::{Error, SqlState};
use aion_catalog::SqlType;
use datafusion::common::{DFSchema, Result};
use datafusion::functions_nested::make_array::make_array;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, GetFieldAccess, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::call::Kind;
use super::resolve::{Arg, common, in_type, no_operator};
use super::settle_expr;
use crate::error::wrap;

/// Plans them as calls; asked before DataFusion's own planners.
#[derive(Debug)]
pub struct ArrayOperators;

impl ExprPlanner for ArrayOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as B;
        let (left, right) = (Arg::of(&expr.left, schema), Arg::of(&expr.right, schema));
        let is_ours = match (left.element(), right.element()) {
            (None, None) => false,
            _ => ![left, right]
                .iter()
                .any(|side| matches!(side, Arg::Typed(SqlType::Vector(_)))),
        };
        if !is_ours {
            return Ok(PlannerResult::Original(expr));
        }
        let RawBinaryExpr {
            op,
            left: one,
            right: other,
        } = expr;
        let refused = || no_operator(&op.to_string(), left.name(), right.name());
        let call = |kind: Kind, one: Expr, other: Expr| {
            settle_expr(kind.call(vec![one, other]), schema)
                .map(PlannerResult::Planned)
                .map_err(|_| refused())
        };
        // A literal that is none of its type is its own error.
        let settled = |kind: Kind, one: Expr, other: Expr| {
            settle_expr(kind.call(vec![one, other]), schema).map(PlannerResult::Planned)
        };
        match op {
            B::AtArrow | B::ArrowAt | B::PGOverlap => {
                let kind = match op {
                    B::AtArrow => Kind::Contains,
                    B::ArrowAt => Kind::Contained,
                    _ => Kind::Overlap,
                };
                if !are_alike(&one, left, &other, right) {
                    return Err(refused());
                }
                settled(kind, one, other)
            }
            B::StringConcat => match (left.element(), right.element()) {
                (Some(_), Some(_)) => call(Kind::Cat, one, other),
                (Some(_), None) if right == Arg::Open => settled(Kind::Cat, one, other),
                (None, Some(_)) if left == Arg::Open => settled(Kind::Cat, one, other),
                (Some(_), None) => call(Kind::Append, one, other),
                _ => call(Kind::Prepend, one, other),
            },
            B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq => {
                let wanted = match (left, right) {
                    (Arg::Typed(one_type), Arg::Typed(other_type)) if are_alike(&one, left, &other, right) => {
                        common(one_type, other_type).ok_or_else(refused)?
                    }
                    (Arg::Typed(sql_type), Arg::Open) | (Arg::Open, Arg::Typed(sql_type)) => sql_type,
                    _ => return Err(refused()),
                };
                Ok(PlannerResult::Original(RawBinaryExpr {
                    left: in_type(one, wanted, schema)?,
                    right: in_type(other, wanted, schema)?,
                    op,
                }))
            }
            _ => Err(refused()),
        }
    }

    fn plan_array_literal(&self, exprs: Vec<Expr>, schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        if exprs.is_empty() {
            return Ok(PlannerResult::Original(exprs));
        }
        let mut one = None;
        for expr in &exprs {
            one = match (one, Arg::of(expr, schema)) {
                // A type that there is none for here, or lists in a list: DataFusion's to know.
                (_, Arg::Other | Arg::Typed(SqlType::Vector(_) | SqlType::Array(_))) => {
                    return Ok(PlannerResult::Original(exprs));
                }
                (one, Arg::Open) => one,
                (None, Arg::Typed(sql_type)) => Some(sql_type),
                (Some(one), Arg::Typed(other)) => match common(one, other) {
                    Some(sql_type) => Some(sql_type),
                    None => {
                        let (one, other) = (one.base_name(), other.base_name());
                        let message = format!("ARRAY types {one} and {other} cannot be matched");
                        return Err(wrap(Error::invalid(SqlState::DATATYPE_MISMATCH, message)));
                    }
                },
            };
        }
        let element = one.unwrap_or(SqlType::Text);
        let exprs = exprs.into_iter().map(|expr| in_type(expr, element, schema));
        let list = make_array(exprs.collect::<Result<_>>()?);
        Ok(PlannerResult::Planned(match element {
            SqlType::Real => cast(list, SqlType::Array(aion_catalog::types::ElementType::Real).to_arrow()),
            _ => list,
        }))
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if Arg::of(&expr.expr, schema).element().is_none() {
            return Ok(PlannerResult::Original(expr));
        }
        let RawFieldAccessExpr { expr, field_access } = expr;
        let call = match field_access {
            GetFieldAccess::ListIndex { key } => Kind::Get.call(vec![expr, *key]),
            GetFieldAccess::NamedStructField { name } => Kind::Get.call(vec![expr, Expr::Literal(name, None)]),
            GetFieldAccess::ListRange { start, stop, .. } => Kind::Slice.call(vec![expr, *start, *stop]),
        };
        settle_expr(call, schema).map(PlannerResult::Planned)
    }
}

/// Whether PostgreSQL compares two arrays: those of one type. What is computed here may have a wider number than
/// it would there, so that only what says its type itself is held to it.
fn are_alike(one: &Expr, left: Arg, other: &Expr, right: Arg) -> bool {
    let (Arg::Typed(left), Arg::Typed(right)) = (left, right) else {
        return true;
    };
    let (Some(left), Some(right)) = (left.element(), right.element()) else {
        return false;
    };
    let says_itself = |expr: &Expr| match expr {
        Expr::ScalarFunction(call) if call.name() == "make_array" => call
            .args
            .iter()
            .all(|arg| matches!(arg, Expr::Literal(..) | Expr::Column(_) | Expr::Cast(_))),
        Expr::Column(_) | Expr::Cast(_) | Expr::Literal(..) | Expr::Placeholder(_) => true,
        _ => false,
    };
    left.oid() == right.oid() || (common(left, right).is_some() && !(says_itself(one) && says_itself(other)))
}
