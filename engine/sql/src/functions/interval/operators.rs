//! Operators between intervals, times and numbers, as calls of the functions that they are.
//!
//! | | |
//! |---|---|
//! | interval ± interval, -interval | interval |
//! | interval * number, number * interval, interval / number | interval |
//! | date or timestamp ± interval | timestamp |
//! | timestamptz ± interval | timestamptz, by the clocks of the session (see `time_zone::rule`) |
//! | timestamp - timestamp, timestamp ± time | interval, timestamp |
//! | time ± interval, time - time, date + time | time, interval, timestamp (see `of_day`) |
//!
//! A literal or a parameter beside a timestamp and `+` is an interval, beside `-` a timestamp, and beside an interval an interval.

use aion_catalog::{SqlType, Value};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::compute::{Way, is_interval};
use super::fields;
use crate::error::wrap;
use crate::functions::enumeration::is_moment;
use crate::functions::json::{Side, no_operator, settled};
use crate::functions::of_day::{self, is_of_day};
use crate::session::scalar;

/// See the module's header.
#[derive(Debug)]
pub struct IntervalOperators;

/// What stands on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    Interval,
    Date,
    Local,
    Moment,
    Number,
    /// A time of day.
    OfDay,
    /// A literal, a parameter or NULL: it takes a type.
    Open,
    Other,
}

impl Operand {
    fn of(expr: &Expr, schema: &DFSchema) -> Self {
        if Side::of(expr, schema) == Side::Open {
            return Self::Open;
        }
        match expr.get_type(schema) {
            Ok(data_type) if is_interval(&data_type) => Self::Interval,
            Ok(DataType::Date32) => Self::Date,
            Ok(DataType::Timestamp(_, None)) => Self::Local,
            Ok(data_type) if is_moment(&data_type) => Self::Moment,
            Ok(data_type) if is_of_day(&data_type) => Self::OfDay,
            Ok(data_type) if data_type.is_numeric() => Self::Number,
            _ => Self::Other,
        }
    }

    fn is_time(self) -> bool {
        matches!(self, Self::Date | Self::Local | Self::Moment)
    }
}

impl ExprPlanner for IntervalOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as B;
        let is_comparison = matches!(expr.op, B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq);
        let is_arithmetic = matches!(expr.op, B::Plus | B::Minus | B::Multiply | B::Divide | B::Modulo);
        if !is_comparison && !is_arithmetic {
            return Ok(PlannerResult::Original(expr));
        }
        let (left, right) = (Operand::of(&expr.left, schema), Operand::of(&expr.right, schema));
        if is_comparison {
            let is_refused = |one, other| match one {
                Operand::Interval => !matches!(other, Operand::Interval | Operand::Open),
                // Arrow would compare a time with the time of a timestamp.
                Operand::OfDay => !matches!(other, Operand::OfDay | Operand::Open),
                _ => false,
            };
            return match is_refused(left, right) || is_refused(right, left) {
                true => refused(expr, schema),
                false => Ok(PlannerResult::Original(expr)),
            };
        }
        let has_interval = left == Operand::Interval || right == Operand::Interval;
        if left == Operand::OfDay || right == Operand::OfDay {
            return plan_of_day(expr, left, right, schema);
        }
        if !has_interval && !left.is_time() && !right.is_time() {
            return Ok(PlannerResult::Original(expr));
        }
        plan(expr, left, right, schema)
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(ScalarUDF::call(&fields::extract(), args)))
    }
}

fn plan(expr: RawBinaryExpr, left: Operand, right: Operand, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    use BinaryOperator as B;
    use Operand as O;
    let interval = |expr: Expr| as_type(expr, SqlType::Interval);
    let planned = |way: Way, args: Vec<Expr>| Ok(PlannerResult::Planned(way.call(args)));
    let timestamp = |expr: Expr, operand: O| match operand {
        O::Local => Ok(expr),
        _ => as_type(expr, SqlType::TIMESTAMP),
    };
    let moment = |expr: Expr, operand: O| match operand {
        O::Moment => Ok(expr),
        _ => as_type(expr, SqlType::TIMESTAMPTZ),
    };
    let RawBinaryExpr {
        op,
        left: one,
        right: other,
    } = expr;
    match (&op, left, right) {
        (B::Plus, O::Interval, O::Interval | O::Open) | (B::Plus, O::Open, O::Interval) => {
            planned(Way::Add, vec![interval(one)?, interval(other)?])
        }
        (B::Minus, O::Interval, O::Interval | O::Open) | (B::Minus, O::Open, O::Interval) => {
            planned(Way::Subtract, vec![interval(one)?, interval(other)?])
        }
        (B::Multiply, O::Interval, O::Number | O::Open) => planned(Way::Multiply, vec![one, number(other, right)?]),
        (B::Multiply, O::Number | O::Open, O::Interval) => planned(Way::Multiply, vec![other, number(one, left)?]),
        (B::Divide, O::Interval, O::Number | O::Open) => planned(Way::Divide, vec![one, number(other, right)?]),
        (B::Plus, O::Date | O::Local, O::Interval) | (B::Plus, O::Local, O::Open) => {
            planned(Way::Later, vec![timestamp(one, left)?, interval(other)?])
        }
        (B::Plus, O::Interval, O::Date | O::Local) | (B::Plus, O::Open, O::Local) => {
            planned(Way::Later, vec![timestamp(other, right)?, interval(one)?])
        }
        (B::Minus, O::Date | O::Local, O::Interval) => {
            planned(Way::Earlier, vec![timestamp(one, left)?, interval(other)?])
        }
        // By the session's clocks: another rule puts that in its place.
        (B::Plus | B::Minus, O::Moment, O::Interval) | (B::Plus, O::Moment, O::Open) => {
            Ok(PlannerResult::Original(RawBinaryExpr {
                left: one,
                right: interval(other)?,
                op,
            }))
        }
        (B::Plus, O::Interval | O::Open, O::Moment) => Ok(PlannerResult::Original(RawBinaryExpr {
            left: interval(one)?,
            right: other,
            op,
        })),
        (B::Minus, O::Date | O::Local | O::Open, O::Local) | (B::Minus, O::Local, O::Date | O::Open) => {
            planned(Way::Between, vec![timestamp(one, left)?, timestamp(other, right)?])
        }
        (B::Minus, O::Date | O::Local | O::Moment | O::Open, O::Moment)
        | (B::Minus, O::Moment, O::Date | O::Local | O::Open) => {
            planned(Way::Between, vec![moment(one, left)?, moment(other, right)?])
        }
        _ if left == O::Interval || right == O::Interval => {
            let expr = RawBinaryExpr {
                op,
                left: one,
                right: other,
            };
            refused(expr, schema)
        }
        _ => Ok(PlannerResult::Original(RawBinaryExpr {
            op,
            left: one,
            right: other,
        })),
    }
}

/// As [`plan`], where a side is a time of day.
fn plan_of_day(
    expr: RawBinaryExpr,
    left: Operand,
    right: Operand,
    schema: &DFSchema,
) -> Result<PlannerResult<RawBinaryExpr>> {
    use BinaryOperator as B;
    use Operand as O;
    let interval = |expr: Expr| as_type(expr, SqlType::Interval);
    let planned = |way: of_day::Way, args: Vec<Expr>| Ok(PlannerResult::Planned(way.call(args)));
    // Beside what has no operator with a time, a time is as long as an interval.
    let length = |time: Expr| of_day::Way::Length.call(vec![time]);
    let RawBinaryExpr {
        op,
        left: one,
        right: other,
    } = expr;
    match (&op, left, right) {
        (B::Plus, O::OfDay, O::Interval | O::Open) => planned(of_day::Way::Later, vec![one, interval(other)?]),
        (B::Plus, O::Interval | O::Open, O::OfDay) => planned(of_day::Way::Later, vec![other, interval(one)?]),
        (B::Minus, O::OfDay, O::Interval) => planned(of_day::Way::Earlier, vec![one, other]),
        (B::Minus, O::OfDay | O::Open, O::OfDay) | (B::Minus, O::OfDay, O::Open) => {
            let time = |expr: Expr| as_type(expr, SqlType::TIME);
            planned(of_day::Way::Between, vec![time(one)?, time(other)?])
        }
        (B::Plus, O::Date, O::OfDay) => planned(of_day::Way::OnDate, vec![one, other]),
        (B::Plus, O::OfDay, O::Date) => planned(of_day::Way::OnDate, vec![other, one]),
        (B::Plus | B::Minus, O::Date | O::Local | O::Moment, O::OfDay) => {
            let expr = RawBinaryExpr {
                op,
                left: one,
                right: length(other),
            };
            plan(expr, left, O::Interval, schema)
        }
        (B::Plus, O::OfDay, O::Local | O::Moment) => {
            let expr = RawBinaryExpr {
                op,
                left: length(one),
                right: other,
            };
            plan(expr, O::Interval, right, schema)
        }
        (B::Multiply | B::Divide, O::OfDay, O::Number) => {
            let expr = RawBinaryExpr {
                op,
                left: length(one),
                right: other,
            };
            plan(expr, O::Interval, right, schema)
        }
        _ => refused(
            RawBinaryExpr {
                op,
                left: one,
                right: other,
            },
            schema,
        ),
    }
}

/// An expression of a type: a literal is read as it, a parameter takes it, anything else is cast.
fn as_type(expr: Expr, sql_type: SqlType) -> Result<Expr> {
    let is_of_zone = sql_type == SqlType::TIMESTAMPTZ;
    match &expr {
        // What a moment is depends on the session's zone, which the analyzer's rules know.
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) if !is_of_zone => {
            let value = Value::text_in(&sql_type, text).map_err(wrap)?;
            return Ok(Expr::Literal(scalar(&sql_type, &value).map_err(wrap)?, None));
        }
        Expr::Literal(value, _) if value.is_null() => return settled(expr, sql_type),
        Expr::Placeholder(Placeholder { id, .. }) => {
            return settled(
                Expr::Placeholder(Placeholder {
                    id: id.clone(),
                    field: None,
                }),
                sql_type,
            );
        }
        Expr::Literal(value, _) if is_interval(&value.data_type()) || is_of_day(&value.data_type()) => {
            return Ok(expr);
        }
        _ => {}
    }
    Ok(match sql_type {
        SqlType::Interval | SqlType::Time(_) => expr,
        sql_type => cast(expr, sql_type.to_arrow()),
    })
}

fn number(expr: Expr, operand: Operand) -> Result<Expr> {
    match operand {
        Operand::Open => as_type(expr, SqlType::Double),
        _ => Ok(cast(expr, DataType::Float64)),
    }
}

/// 42883 for an operator that there is not; what has no type yet is left as it is.
fn refused(expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    match (expr.left.get_type(schema), expr.right.get_type(schema)) {
        // A column that is to be found elsewhere.
        (Err(error @ DataFusionError::SchemaError(..)), _) | (_, Err(error @ DataFusionError::SchemaError(..))) => {
            return Err(error);
        }
        (Err(_), _) | (_, Err(_)) => return Ok(PlannerResult::Original(expr)),
        (Ok(_), Ok(_)) => {}
    }
    let (left, right) = (Side::of(&expr.left, schema), Side::of(&expr.right, schema));
    let op = match expr.op {
        BinaryOperator::NotEq => "<>".to_owned(),
        ref op => op.to_string(),
    };
    Err(no_operator(&op, &left, &right))
}
