//! The operators of json and jsonb, as calls of the functions that they are.
//!
//! A literal or a parameter beside an operator has the type that PostgreSQL would choose: the document's where the operator takes two
//! documents, else text. Operators between a jsonb and a value of another type do not exist (42883), comparisons included: DataFusion
//! would compare bytes.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::{SqlType, Value};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, ScalarUDF, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::documents;
use super::plain;
use super::side::Side;
use crate::error::wrap;
use crate::session::scalar;

/// See the module's header.
#[derive(Debug)]
pub struct DocumentOperators;

impl ExprPlanner for DocumentOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as B;
        let is_ours = matches!(
            expr.op,
            B::Arrow
                | B::LongArrow
                | B::HashArrow
                | B::HashLongArrow
                | B::AtArrow
                | B::ArrowAt
                | B::Question
                | B::QuestionPipe
                | B::QuestionAnd
                | B::HashMinus
                | B::AtQuestion
                | B::AtAt
        );
        let is_shared = matches!(
            expr.op,
            B::StringConcat
                | B::Plus
                | B::Minus
                | B::Multiply
                | B::Divide
                | B::Modulo
                | B::Eq
                | B::NotEq
                | B::Lt
                | B::LtEq
                | B::Gt
                | B::GtEq
        );
        if !is_ours && !is_shared {
            return Ok(PlannerResult::Original(expr));
        }
        let (left, right) = (Side::of(&expr.left, schema), Side::of(&expr.right, schema));
        if !left.is_document() && !right.is_document() {
            for side in [&expr.left, &expr.right].into_iter().filter(|_| is_ours) {
                if let Err(error @ DataFusionError::SchemaError(..)) = side.to_field(schema) {
                    return Err(error);
                }
            }
            // Whose operands are all open, PostgreSQL finds no one operator for; arrays have some of these.
            let are_lists = matches!(left, Side::List) || matches!(right, Side::List);
            return match is_ours && !are_lists {
                true if left == Side::Open && right == Side::Open => Err(not_unique(&expr.op)),
                true => Err(no_operator(&expr.op.to_string(), &left, &right)),
                false => Ok(PlannerResult::Original(expr)),
            };
        }
        plan(expr, &left, &right)
    }

    /// `ARRAY[document, 'literal']`
    fn plan_array_literal(&self, exprs: Vec<Expr>, schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        if !exprs.iter().any(|expr| Side::of(expr, schema) == Side::Jsonb) {
            return Ok(PlannerResult::Original(exprs));
        }
        let exprs = exprs.into_iter().map(|expr| settled(expr, SqlType::Jsonb));
        exprs.collect::<Result<_>>().map(PlannerResult::Original)
    }

    /// `document['key']`
    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let key = match (&expr.field_access, Side::of(&expr.expr, schema)) {
            (GetFieldAccess::ListIndex { key }, Side::Jsonb) => (**key).clone(),
            (GetFieldAccess::NamedStructField { name }, Side::Jsonb) => Expr::Literal(name.clone(), None),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        // An index is a step of a path, and finds the member of an object that is called so, too.
        let key = match Side::of(&key, schema) {
            Side::Integer(_) => cast(key, DataType::Utf8),
            Side::Open | Side::Text(_) => key,
            other => {
                return Err(wrap(
                    Error::invalid(
                        SqlState::DATATYPE_MISMATCH,
                        format!("subscript type {} is not supported", other.name()),
                    )
                    .with_hint("jsonb subscript must be coercible to either integer or text."),
                ));
            }
        };
        Ok(PlannerResult::Planned(call(
            "jsonb_extract_path",
            vec![expr.expr, key],
        )?))
    }
}

fn plan(expr: RawBinaryExpr, left: &Side, right: &Side) -> Result<PlannerResult<RawBinaryExpr>> {
    use BinaryOperator as B;
    let RawBinaryExpr {
        op,
        left: one,
        right: other,
    } = expr;
    let refused = || no_operator(&op.to_string(), left, right);
    let planned = |name: &str, one: Expr, other: Expr| call(name, vec![one, other]).map(PlannerResult::Planned);
    match (&op, left, right) {
        // No operator takes a bigint.
        (B::Arrow | B::LongArrow | B::Minus, _, Side::Integer("bigint")) => Err(refused()),
        (B::Arrow | B::LongArrow, Side::Jsonb | Side::Json, Side::Open | Side::Text(_) | Side::Integer(_)) => {
            let name = match (left, matches!(right, Side::Integer(_)), op == B::LongArrow) {
                (Side::Jsonb, false, false) => "jsonb_object_field",
                (Side::Jsonb, false, true) => "jsonb_object_field_text",
                (Side::Jsonb, true, false) => "jsonb_array_element",
                (Side::Jsonb, true, true) => "jsonb_array_element_text",
                (_, false, false) => "json_object_field",
                (_, false, true) => "json_object_field_text",
                (_, true, false) => "json_array_element",
                (_, true, true) => "json_array_element_text",
            };
            planned(name, one, settled(other, SqlType::Text)?)
        }
        (B::HashArrow | B::HashLongArrow, Side::Jsonb | Side::Json, Side::Open | Side::List) => {
            let name = match (left, op == B::HashLongArrow) {
                (Side::Jsonb, false) => "jsonb_extract_path",
                (Side::Jsonb, true) => "jsonb_extract_path_text",
                (_, false) => "json_extract_path",
                (_, true) => "json_extract_path_text",
            };
            planned(name, one, listed(other))
        }
        (B::AtArrow | B::ArrowAt, Side::Jsonb | Side::Open, Side::Jsonb | Side::Open) => {
            let name = if op == B::AtArrow {
                "jsonb_contains"
            } else {
                "jsonb_contained"
            };
            planned(name, settled(one, SqlType::Jsonb)?, settled(other, SqlType::Jsonb)?)
        }
        (B::Question, Side::Jsonb, Side::Open | Side::Text(_)) => {
            planned("jsonb_exists", one, settled(other, SqlType::Text)?)
        }
        (B::QuestionPipe, Side::Jsonb, Side::Open | Side::List) => planned("jsonb_exists_any", one, listed(other)),
        (B::QuestionAnd, Side::Jsonb, Side::Open | Side::List) => planned("jsonb_exists_all", one, listed(other)),
        (B::HashMinus, Side::Jsonb, Side::Open | Side::List) => planned("jsonb_delete_path", one, listed(other)),
        (B::AtQuestion, Side::Jsonb, Side::Open | Side::Text(_)) => {
            planned("jsonb_path_exists_opr", one, settled(other, SqlType::Text)?)
        }
        (B::AtAt, Side::Jsonb, Side::Open | Side::Text(_)) => {
            planned("jsonb_path_match_opr", one, settled(other, SqlType::Text)?)
        }
        (B::Minus, Side::Jsonb, Side::Open | Side::Text(_) | Side::Integer(_) | Side::List) => {
            planned("jsonb_delete", one, settled(other, SqlType::Text)?)
        }
        (B::StringConcat, Side::Jsonb | Side::Open, Side::Jsonb | Side::Open) => planned(
            "jsonb_concat",
            settled(one, SqlType::Jsonb)?,
            settled(other, SqlType::Jsonb)?,
        ),
        // A document beside a text is its text.
        (B::StringConcat, Side::Text(_), _)
        | (B::StringConcat, _, Side::Text(_))
        | (B::StringConcat, Side::Json, Side::Open)
        | (B::StringConcat, Side::Open, Side::Json) => {
            let as_text = |expr: Expr, side: &Side| match side {
                Side::Jsonb | Side::Json => cast(expr, DataType::Utf8),
                _ => expr,
            };
            Ok(PlannerResult::Original(RawBinaryExpr {
                left: as_text(one, left),
                right: as_text(other, right),
                op,
            }))
        }
        (B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq, Side::Jsonb | Side::Open, Side::Jsonb | Side::Open) => {
            Ok(PlannerResult::Original(RawBinaryExpr {
                left: settled(one, SqlType::Jsonb)?,
                right: settled(other, SqlType::Jsonb)?,
                op,
            }))
        }
        _ => Err(refused()),
    }
}

/// A literal or a parameter in a type; what has one stays as it is.
pub fn settled(expr: Expr, sql_type: SqlType) -> Result<Expr> {
    Ok(match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), None) if sql_type == SqlType::Jsonb => {
            let value = Value::text_in(&sql_type, &text).map_err(wrap)?;
            Expr::Literal(scalar(&sql_type, &value).map_err(wrap)?, None)
        }
        Expr::Literal(value, _) if value.is_null() && value.data_type() == DataType::Null => {
            Expr::Literal(scalar(&sql_type, &Value::Null).map_err(wrap)?, None)
        }
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field: FieldRef = Arc::new(sql_type.to_field("", true));
            Expr::Placeholder(Placeholder { id, field: Some(field) })
        }
        other => other,
    })
}

/// A literal or a parameter as a list of texts.
fn listed(expr: Expr) -> Expr {
    let is_open = match &expr {
        Expr::Literal(ScalarValue::Utf8(_), _) => true,
        Expr::Placeholder(Placeholder { field, .. }) => {
            field.as_ref().is_none_or(|field| !field.data_type().is_nested())
        }
        Expr::Literal(value, _) => value.is_null(),
        _ => false,
    };
    match is_open {
        true => cast(expr, DataType::new_list(DataType::Utf8, true)),
        false => expr,
    }
}

fn call(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    let found = documents::ALL
        .iter()
        .chain(plain::ALL)
        .find(|definition| definition.name == name);
    let definition = found.ok_or_else(|| wrap(Error::internal(format!("no function {name}"))))?;
    Ok(ScalarUDF::call(&definition.function(), arguments))
}

/// 42883 for an operator between these.
pub fn no_operator(op: &str, left: &Side, right: &Side) -> DataFusionError {
    wrap(
        Error::not_found(
            SqlState::UNDEFINED_FUNCTION,
            format!("operator does not exist: {} {op} {}", left.name(), right.name()),
        )
        .with_hint("No operator matches the given name and argument types. You might need to add explicit type casts."),
    )
}

fn not_unique(op: &BinaryOperator) -> DataFusionError {
    let message = format!("operator is not unique: unknown {op} unknown");
    wrap(
        Error::invalid(SqlState::AMBIGUOUS_FUNCTION, message)
            .with_hint("Could not choose a best candidate operator. You might need to add explicit type casts."),
    )
}
