//! What DataFusion computes in UTC, in the session's zone.
//!
//! | what is written | what is computed |
//! |---|---|
//! | a moment as a timestamp, a date, a time of day | the local time, as that |
//! | a timestamp or a date as a moment | the moment at which clocks show it |
//! | a field of a moment | that of the local time; `epoch` is that of the moment, `timezone` the offset |
//! | `date_trunc` of a moment | from a day on, the moment of the truncated local time; below, the offset stays |
//! | a moment plus or minus an interval | months and days on the clocks, the rest in time |
//! | `current_date`, `localtime`, `current_time`, `localtimestamp` | the local time of `now()`, as that |
//!
//! It comes after the types of a plan are settled, when each such conversion is a cast.

use std::sync::{Arc, LazyLock};

use aion_catalog::SqlType;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions::datetime;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, cast};
use datafusion::optimizer::AnalyzerRule;

use super::super::arithmetic::rewrite;
use super::super::enumeration::{enum_of, is_moment};
use super::session::{Turn, unit_micros};

/// See the module's header.
#[derive(Debug)]
pub struct InZone;

impl AnalyzerRule for InZone {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(rewrite(plan, in_zone)?.data)
    }

    fn name(&self) -> &str {
        "in_zone"
    }
}

/// `now()`, whose type is a moment in UTC.
static NOW: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let mut options = ConfigOptions::default();
    options.execution.time_zone = Some("UTC".to_owned());
    datetime::now(&options)
});

fn call(turn: Turn, args: Vec<Expr>) -> Expr {
    turn.of().call(args)
}

fn in_zone(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let rewritten = match &expr {
        Expr::Cast(Cast { expr: inner, field }) => converted(inner, field.data_type(), schema),
        Expr::ScalarFunction(function) => computed(function, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => moved(left, *op, right, schema),
        _ => None,
    };
    match rewritten {
        Some(rewritten) => Transformed::yes(rewritten),
        None => Transformed::no(expr),
    }
}

fn converted(inner: &Expr, to: &DataType, schema: &DFSchema) -> Option<Expr> {
    let from = inner.get_type(schema).ok()?;
    // No times, though they look so.
    if enum_of(&from).is_some() || enum_of(to).is_some() {
        return None;
    }
    match (&from, to) {
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None)) => {
            let local = call(Turn::Local, vec![inner.clone()]);
            Some(of_type(local, SqlType::TIMESTAMP.to_arrow(), to))
        }
        (
            DataType::Timestamp(_, Some(_)),
            DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_),
        ) => Some(cast(call(Turn::Local, vec![inner.clone()]), to.clone())),
        (DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64, DataType::Timestamp(_, Some(_))) => {
            let local = of_type(inner.clone(), from, &SqlType::TIMESTAMP.to_arrow());
            let moment = call(Turn::Moment, vec![local]);
            Some(of_type(moment, SqlType::TIMESTAMPTZ.to_arrow(), to))
        }
        _ => None,
    }
}

fn of_type(expr: Expr, from: DataType, to: &DataType) -> Expr {
    if from == *to { expr } else { cast(expr, to.clone()) }
}

fn computed(function: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let name = function.func.name();
    let local_now = || call(Turn::Local, vec![NOW.call(Vec::new())]);
    match name {
        "current_date" => return Some(cast(local_now(), DataType::Date32)),
        "current_time" | "localtime" => return Some(cast(local_now(), SqlType::TIME.to_arrow())),
        "localtimestamp" => return Some(local_now()),
        "date_part" | "date_trunc" => {}
        _ => return None,
    }
    let time = function.args.get(1)?;
    let time_type = time.get_type(schema).ok().filter(is_moment)?;
    let word = match function.args.first() {
        Some(Expr::Literal(ScalarValue::Utf8(Some(word)), _)) => word.to_ascii_lowercase(),
        _ => String::new(),
    };
    let local = call(Turn::Local, vec![time.clone()]);
    let of_local = |local: Expr| {
        let mut args = function.args.clone();
        args[1] = local;
        function.func.call(args)
    };
    match name {
        "date_part" => match word.as_str() {
            "epoch" => None,
            "timezone" => Some(call(Turn::Offset(1, None), vec![time.clone()])),
            "timezone_hour" => Some(call(Turn::Offset(3_600, None), vec![time.clone()])),
            "timezone_minute" => Some(call(Turn::Offset(60, Some(3_600)), vec![time.clone()])),
            _ => Some(of_local(local)),
        },
        "date_trunc" => {
            let truncated = match unit_micros(&word) {
                Some(unit) => call(Turn::Truncated(unit), vec![time.clone()]),
                None => call(Turn::Moment, vec![of_local(local)]),
            };
            Some(of_type(truncated, SqlType::TIMESTAMPTZ.to_arrow(), &time_type))
        }
        _ => Some(of_local(local)),
    }
}

fn moved(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let type_of = |expr: &Expr| expr.get_type(schema).ok();
    let is_interval = |expr: &Expr| matches!(type_of(expr), Some(DataType::Interval(_)));
    let moment = |expr: &Expr| type_of(expr).filter(is_moment);
    let (turn, time, interval) = match op {
        Operator::Plus if is_interval(right) => (Turn::Later, left, right),
        Operator::Plus if is_interval(left) => (Turn::Later, right, left),
        Operator::Minus if is_interval(right) => (Turn::Earlier, left, right),
        _ => return None,
    };
    let time_type = moment(time)?;
    let moved = call(turn, vec![time.clone(), interval.clone()]);
    Some(of_type(moved, SqlType::TIMESTAMPTZ.to_arrow(), &time_type))
}
