//! `time`, and the digits of a second that `time(p)`, `timestamp(p)` and `timestamp(p) with time zone` keep.
//!
//! A time is Arrow's Time64 of microseconds since midnight, from which DataFusion computes little as PostgreSQL does. [`Way`] has the
//! operators, which `interval::operators` plans, and the casts, which [`TimeCasts`] puts in the place of Arrow's once the types of a plan
//! are settled:
//!
//! | | |
//! |---|---|
//! | time ± interval | time: days and months say nothing, and it goes around midnight |
//! | time - time | interval |
//! | date + time | timestamp |
//! | time as interval, interval as time | its length; what is left of whole days |
//! | numbers and booleans as time, time as these, dates and timestamps | 42846: Arrow would take the microseconds |
//! | times as `(p)` | rounded ([`aion_catalog::precision`]) |
//!
//! A text is read, and rounded, by `text_in`.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::interval::Interval;
use aion_catalog::types::SECOND_DIGITS_MAX;
use aion_catalog::{SqlType, precision};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, IntervalMonthDayNanoArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    new_null_array,
};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, FieldRef, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, cast,
};
use datafusion::optimizer::AnalyzerRule;

use super::enumeration::enum_of;
use super::interval::{INTERVAL, is_interval};
use super::retyped::map_named;
use crate::cells::{arrow_interval, interval_of};
use crate::error::wrap;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// What is computed of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// A time plus an interval.
    Later,
    /// A time minus an interval.
    Earlier,
    /// A time minus a time.
    Between,
    /// A date plus a time.
    OnDate,
    /// A time as an interval.
    Length,
    /// An interval as a time.
    OfInterval,
    /// A time of this type with as many digits as it keeps.
    Rounded(SqlType),
}

impl Way {
    /// The call of it.
    pub fn call(self, args: Vec<Expr>) -> Expr {
        let count = match self {
            Self::Later | Self::Earlier | Self::Between | Self::OnDate => 2,
            Self::Length | Self::OfInterval | Self::Rounded(_) => 1,
        };
        ScalarUDF::from(OfDay {
            way: self,
            signature: Signature::any(count, Volatility::Immutable),
        })
        .call(args)
    }
}

/// Whether a type is one of times of day.
pub fn is_of_day(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Time32(_) | DataType::Time64(_))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfDay {
    way: Way,
    signature: Signature,
}

impl OfDay {
    fn sql_type(&self) -> SqlType {
        match self.way {
            Way::Later | Way::Earlier | Way::OfInterval => SqlType::TIME,
            Way::Between | Way::Length => SqlType::Interval,
            Way::OnDate => SqlType::TIMESTAMP,
            Way::Rounded(sql_type) => sql_type,
        }
    }

    fn compute(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        // The optimizer asks what is made of nothing but NULL, of no type.
        if let Some(null) = arrays.iter().find(|array| array.data_type().is_null()) {
            return Ok(new_null_array(&self.sql_type().to_arrow(), null.len()));
        }
        Ok(match (self.way, arrays) {
            (Way::Later | Way::Earlier, [times, intervals]) => {
                let (times, intervals) = (times_of(times)?, cast_array(intervals, &INTERVAL)?);
                let (times, intervals) = (
                    times.as_primitive::<Time64MicrosecondType>(),
                    intervals.as_primitive::<IntervalMonthDayNanoType>(),
                );
                let moved = times.iter().zip(intervals).map(|(time, interval)| {
                    let micros = interval_of(interval?).micros % MICROS_PER_DAY;
                    let moved = match self.way {
                        Way::Later => time? + micros,
                        _ => time? - micros,
                    };
                    Some(moved.rem_euclid(MICROS_PER_DAY))
                });
                Arc::new(moved.collect::<Time64MicrosecondArray>())
            }
            (Way::Between, [later, earlier]) => {
                let (later, earlier) = (times_of(later)?, times_of(earlier)?);
                let pairs = later
                    .as_primitive::<Time64MicrosecondType>()
                    .iter()
                    .zip(earlier.as_primitive::<Time64MicrosecondType>());
                intervals(pairs.map(|(later, earlier)| Some(later? - earlier?)))?
            }
            (Way::OnDate, [dates, times]) => {
                let times = times_of(times)?;
                let pairs = dates
                    .as_primitive::<Date32Type>()
                    .iter()
                    .zip(times.as_primitive::<Time64MicrosecondType>());
                let moments = pairs.map(|pair| match pair {
                    (Some(date), Some(time)) => {
                        let moment = i64::from(date).checked_mul(MICROS_PER_DAY);
                        let moment = moment.and_then(|midnight| midnight.checked_add(time));
                        moment.map(Some).ok_or_else(|| {
                            wrap(Error::invalid(
                                SqlState::DATETIME_FIELD_OVERFLOW,
                                "timestamp out of range",
                            ))
                        })
                    }
                    _ => Ok(None),
                });
                Arc::new(moments.collect::<Result<TimestampMicrosecondArray>>()?)
            }
            (Way::Length, [times]) => intervals(times_of(times)?.as_primitive::<Time64MicrosecondType>().iter())?,
            (Way::OfInterval, [intervals]) => {
                let intervals = cast_array(intervals, &INTERVAL)?;
                let times = intervals.as_primitive::<IntervalMonthDayNanoType>().iter();
                let times = times.map(|interval| Some(interval_of(interval?).micros.rem_euclid(MICROS_PER_DAY)));
                Arc::new(times.collect::<Time64MicrosecondArray>())
            }
            (Way::Rounded(sql_type), [times]) => {
                let digits = sql_type.second_digits().unwrap_or(SECOND_DIGITS_MAX);
                let times = cast_array(times, &sql_type.to_arrow())?;
                match sql_type {
                    SqlType::Time(_) => Arc::new(
                        times
                            .as_primitive::<Time64MicrosecondType>()
                            .unary::<_, Time64MicrosecondType>(|micros| precision::time(micros, digits)),
                    ),
                    _ => {
                        let rounded = times
                            .as_primitive::<TimestampMicrosecondType>()
                            .unary::<_, TimestampMicrosecondType>(|micros| precision::timestamp(micros, digits));
                        Arc::new(rounded.with_data_type(times.data_type().clone()))
                    }
                }
            }
            _ => return exec_err!("{} has other arguments", self.name()),
        })
    }
}

/// Times as the intervals that they are long.
///
/// # Errors
/// Of what holds no times.
pub fn lengths_of(times: &ColumnarValue) -> Result<ColumnarValue> {
    let lengths = |times: &ArrayRef| intervals(times_of(times)?.as_primitive::<Time64MicrosecondType>().iter());
    Ok(match times {
        ColumnarValue::Array(times) => ColumnarValue::Array(lengths(times)?),
        ColumnarValue::Scalar(time) => {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&lengths(&time.to_array()?)?, 0)?)
        }
    })
}

fn times_of(times: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast_array(times, &SqlType::TIME.to_arrow())?)
}

fn intervals(micros: impl Iterator<Item = Option<i64>>) -> Result<ArrayRef> {
    let interval = |micros: i64| {
        arrow_interval(Interval {
            micros,
            ..Interval::default()
        })
    };
    let intervals = micros.map(|micros| micros.map(interval).transpose().map_err(wrap));
    Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

impl ScalarUDFImpl for OfDay {
    fn name(&self) -> &str {
        match self.way {
            Way::Later => "time_pl_interval",
            Way::Earlier => "time_mi_interval",
            Way::Between => "time_mi_time",
            Way::OnDate => "datetime_pl",
            Way::Length => "interval_of_time",
            Way::OfInterval => "time_of_interval",
            Way::Rounded(_) => "rounded_time",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.sql_type().to_arrow())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(self.sql_type().to_field(self.name(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(rows));
        let computed = self.compute(&arrays.collect::<Result<Vec<_>>>()?)?;
        match is_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&computed, 0)?)),
            false => Ok(ColumnarValue::Array(computed)),
        }
    }
}

/// See the module's header.
#[derive(Debug)]
pub struct TimeCasts;

impl AnalyzerRule for TimeCasts {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            map_named(plan, |expr| expr.transform_up(|expr| settled(expr, &schema)))
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "time_casts"
    }
}

fn settled(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Cast(Cast { expr: inner, field }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let to = field.data_type();
    let Ok(from) = inner.get_type(schema) else {
        return Ok(Transformed::no(expr));
    };
    // An enum is a timestamp to Arrow.
    if from.is_null() || enum_of(&from).is_some() || enum_of(to).is_some() {
        return Ok(Transformed::no(expr));
    }
    let bare = || inner.as_ref().clone();
    let converted = match (is_of_day(&from), is_of_day(to)) {
        (true, false) if is_interval(to) => Some(Way::Length.call(vec![bare()])),
        (false, true) if is_interval(&from) => Some(Way::OfInterval.call(vec![bare()])),
        (true, false) if !to.is_string() => return Err(no_cast(&from, to)),
        (false, true) if !from.is_string() && !matches!(from, DataType::Timestamp(..)) => {
            return Err(no_cast(&from, to));
        }
        _ => None,
    };
    let sql_type = SqlType::from_field(field).ok().filter(|sql_type| {
        sql_type
            .second_digits()
            .is_some_and(|digits| digits < SECOND_DIGITS_MAX)
            && sql_type.to_arrow() == *to
    });
    let Some(sql_type) = sql_type.filter(|_| !from.is_string()) else {
        return Ok(match converted {
            Some(converted) => Transformed::yes(converted),
            None => Transformed::no(expr),
        });
    };
    let whole = match converted {
        Some(converted) => converted,
        None if is_rounded(inner, sql_type) => return Ok(Transformed::no(expr)),
        None if from == *to => bare(),
        None => cast(bare(), to.clone()),
    };
    Ok(Transformed::yes(Way::Rounded(sql_type).call(vec![whole])))
}

/// Whether an expression was rounded before: rules may come a second time.
fn is_rounded(expr: &Expr, sql_type: SqlType) -> bool {
    let Expr::ScalarFunction(ScalarFunction { func, .. }) = expr else {
        return false;
    };
    let inner: &dyn std::any::Any = func.inner().as_ref();
    inner
        .downcast_ref::<OfDay>()
        .is_some_and(|of| of.way == Way::Rounded(sql_type))
}

/// 42846.
fn no_cast(from: &DataType, to: &DataType) -> datafusion::common::DataFusionError {
    let name = |data_type: &DataType| match SqlType::from_arrow(data_type) {
        Ok(sql_type) => sql_type.base_name().to_owned(),
        Err(_) => data_type.to_string(),
    };
    let message = format!("cannot cast type {} to {}", name(from), name(to));
    wrap(Error::invalid(SqlState::CANNOT_COERCE, message))
}
