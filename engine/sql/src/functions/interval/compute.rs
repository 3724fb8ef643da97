//! What is reckoned with intervals, as functions of rows.

use std::sync::{Arc, LazyLock};

use aion_base::{Error, SqlState};
use aion_catalog::interval::Interval;
use aion_catalog::{SqlType, Zone};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, IntervalMonthDayNanoArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::LENGTH_FUNCTION;
use crate::cells::{arrow_interval, interval_of};
use crate::error::wrap;
use crate::functions::time_zone::session_zone;

/// The type of a length: a decimal, which has an order everywhere.
const LENGTH: DataType = DataType::Decimal128(38, 0);

/// What is reckoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// `interval + interval`
    Add,
    /// `interval - interval`
    Subtract,
    /// `-interval`
    Negate,
    /// `interval * double precision`
    Multiply,
    /// `interval / double precision`
    Divide,
    /// `timestamp + interval`
    Later,
    /// `timestamp - interval`
    Earlier,
    /// `timestamp - timestamp`
    Between,
    /// `justify_hours(interval)`
    JustifyHours,
    /// `justify_days(interval)`
    JustifyDays,
    /// `justify_interval(interval)`
    Justify,
    /// `age(timestamp, timestamp)`
    Age,
    /// `make_interval(years, months, weeks, days, hours, mins, secs)`
    Make,
    /// What intervals are compared by.
    Length,
    /// `greatest(interval, ...)`
    Greatest,
    /// `least(interval, ...)`
    Least,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "interval_pl",
            Self::Subtract => "interval_mi",
            Self::Negate => "interval_um",
            Self::Multiply => "interval_mul",
            Self::Divide => "interval_div",
            Self::Later => "timestamp_pl_interval",
            Self::Earlier => "timestamp_mi_interval",
            Self::Between => "timestamp_mi",
            Self::JustifyHours => "justify_hours",
            Self::JustifyDays => "justify_days",
            Self::Justify => "justify_interval",
            Self::Age => "age",
            Self::Make => "make_interval",
            Self::Length => LENGTH_FUNCTION,
            Self::Greatest => "interval_greatest",
            Self::Least => "interval_least",
        }
    }

    /// The call of it.
    pub fn call(self, args: Vec<Expr>) -> Expr {
        let signature = match self {
            Self::Greatest | Self::Least => Signature::variadic_any(Volatility::Immutable),
            // Of moments it is that of the clocks.
            Self::Age => Signature::user_defined(Volatility::Stable),
            _ => Signature::user_defined(Volatility::Immutable),
        };
        ScalarUDF::from(Computed { way: self, signature }).call(args)
    }

    /// What its arguments are, for so many.
    fn arguments(self, given: &[DataType]) -> Option<Vec<DataType>> {
        let timestamp = || SqlType::TIMESTAMP.to_arrow();
        Some(match (self, given.len()) {
            (Self::Add | Self::Subtract, 2) => vec![INTERVAL, INTERVAL],
            (Self::Negate | Self::JustifyHours | Self::JustifyDays | Self::Justify | Self::Length, 1) => vec![INTERVAL],
            (Self::Multiply | Self::Divide, 2) => vec![INTERVAL, DataType::Float64],
            (Self::Later | Self::Earlier, 2) => vec![timestamp(), INTERVAL],
            (Self::Between | Self::Age, 2) => {
                // A literal goes with the moments that it stands beside.
                let is_moment = given
                    .iter()
                    .any(|given| matches!(given, DataType::Timestamp(_, Some(_))));
                let wanted = if is_moment {
                    SqlType::TIMESTAMPTZ.to_arrow()
                } else {
                    timestamp()
                };
                vec![wanted.clone(), wanted]
            }
            (Self::Make, 7) => {
                let mut wanted = vec![DataType::Int32; 6];
                wanted.push(DataType::Float64);
                wanted
            }
            (Self::Greatest | Self::Least, count) => vec![INTERVAL; count],
            _ => return None,
        })
    }
}

/// The Arrow type of intervals.
pub const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// Whether a type is one of intervals.
pub fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_))
}

/// Whether a function makes intervals of what are none.
pub fn is_made(name: &str) -> bool {
    matches!(name, "timestamp_mi" | "age" | "make_interval" | "text_in" | "coalesce")
}

/// Those that a statement may name.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    static NAMED: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
        let named = [Way::JustifyHours, Way::JustifyDays, Way::Justify, Way::Age, Way::Make];
        let function = |way: Way| match way.call(Vec::new()) {
            Expr::ScalarFunction(call) => call.func,
            _ => unreachable!("a call of a function is one"),
        };
        named.into_iter().map(function).collect()
    });
    NAMED.clone()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Computed {
    way: Way,
    signature: Signature,
}

impl ScalarUDFImpl for Computed {
    fn name(&self) -> &str {
        self.way.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = self.way.arguments(given).filter(|wanted| {
            let mut pairs = given.iter().zip(wanted);
            pairs.all(|(given, wanted)| is_taken(given, wanted))
        });
        wanted.ok_or_else(|| {
            let names = given.iter().map(|given| match SqlType::from_arrow(given) {
                Ok(sql_type) => sql_type.base_name().to_owned(),
                Err(_) => given.to_string(),
            });
            let names = names.collect::<Vec<_>>().join(", ");
            let message = format!("function {}({names}) does not exist", self.name());
            wrap(Error::not_found(SqlState::UNDEFINED_FUNCTION, message).with_hint(
                "No function matches the given name and argument types. You might need to add explicit type casts.",
            ))
        })
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.way {
            Way::Later | Way::Earlier => SqlType::TIMESTAMP.to_arrow(),
            Way::Length => LENGTH,
            _ => INTERVAL,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let computed = self.compute(&arrays, rows, session_zone(&args.config_options))?;
        match is_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&computed, 0)?)),
            false => Ok(ColumnarValue::Array(computed)),
        }
    }
}

/// Whether PostgreSQL makes an argument of what is given.
fn is_taken(given: &DataType, wanted: &DataType) -> bool {
    let is_open = given.is_null() || given.is_string();
    is_open
        || match wanted {
            DataType::Float64 => given.is_numeric(),
            DataType::Int32 => given.is_integer(),
            DataType::Timestamp(..) => matches!(given, DataType::Timestamp(..) | DataType::Date32),
            wanted => is_interval(wanted) && is_interval(given),
        }
}

impl Computed {
    fn compute(&self, arrays: &[ArrayRef], rows: usize, zone: Zone) -> Result<ArrayRef> {
        match (self.way, arrays) {
            (Way::Later | Way::Earlier, [times, intervals]) => {
                let times = times_of(times)?;
                let (times, intervals) = (
                    times.as_primitive::<TimestampMicrosecondType>(),
                    Intervals::of(intervals)?,
                );
                let moved = (0..rows).map(|row| match (times.is_valid(row), intervals.get(row)) {
                    (true, Some(interval)) => {
                        let time = times.value(row);
                        let moved = match self.way {
                            Way::Later => interval.add_to_timestamp(time),
                            _ => interval.subtract_from_timestamp(time),
                        };
                        moved.map(Some).map_err(wrap)
                    }
                    _ => Ok(None),
                });
                Ok(Arc::new(moved.collect::<Result<TimestampMicrosecondArray>>()?))
            }
            (Way::Between | Way::Age, [later, earlier]) => {
                let (later, earlier) = (times_of(later)?, times_of(earlier)?);
                let is_moment = matches!(later.data_type(), DataType::Timestamp(_, Some(_)));
                let (later, earlier) = (
                    later.as_primitive::<TimestampMicrosecondType>(),
                    earlier.as_primitive::<TimestampMicrosecondType>(),
                );
                let by_clocks = |time: i64| match is_moment {
                    true => zone.to_local(time),
                    false => Ok(time),
                };
                intervals(rows, |row| {
                    if later.is_null(row) || earlier.is_null(row) {
                        return Ok(None);
                    }
                    let (later, earlier) = (later.value(row), earlier.value(row));
                    match self.way {
                        Way::Between => Interval::between(later, earlier).map(Some),
                        _ => Interval::age(by_clocks(later)?, by_clocks(earlier)?).map(Some),
                    }
                })
            }
            (Way::Multiply | Way::Divide, [operands, factors]) => {
                let (operands, factors) = (Intervals::of(operands)?, cast(factors, &DataType::Float64)?);
                let factors = factors.as_primitive::<Float64Type>();
                intervals(rows, |row| match (operands.get(row), factors.is_valid(row)) {
                    (Some(interval), true) => {
                        let factor = factors.value(row);
                        let scaled = match self.way {
                            Way::Multiply => interval.multiply(factor),
                            _ => interval.divide(factor),
                        };
                        scaled.map(Some)
                    }
                    _ => Ok(None),
                })
            }
            (Way::Length, [operands]) => {
                let operands = Intervals::of(operands)?;
                let lengths = (0..rows).map(|row| operands.get(row).map(Interval::length));
                let lengths: Decimal128Array = lengths.collect();
                Ok(Arc::new(lengths.with_data_type(LENGTH)))
            }
            (Way::Make, parts) => made(parts, rows),
            (_, operands) => {
                let operands = operands.iter().map(Intervals::of).collect::<Result<Vec<_>>>()?;
                intervals(rows, |row| self.of_intervals(&operands, row))
            }
        }
    }

    fn of_intervals(&self, operands: &[Intervals], row: usize) -> aion_base::Result<Option<Interval>> {
        let given = || operands.iter().filter_map(|operand| operand.get(row));
        match self.way {
            // NULLs are passed over.
            Way::Greatest => {
                return Ok(given().reduce(|one, other| if other.compare(one).is_gt() { other } else { one }));
            }
            Way::Least => return Ok(given().reduce(|one, other| if other.compare(one).is_lt() { other } else { one })),
            _ => {}
        }
        let given: Vec<Interval> = given().collect();
        if given.len() < operands.len() {
            return Ok(None);
        }
        match (self.way, given.as_slice()) {
            (Way::Add, [one, other]) => one.plus(*other),
            (Way::Subtract, [one, other]) => one.minus(*other),
            (Way::Negate, [one]) => one.negate(),
            (Way::JustifyHours, [one]) => one.justify_hours(),
            (Way::JustifyDays, [one]) => one.justify_days(),
            (Way::Justify, [one]) => one.justify(),
            _ => Err(Error::internal(format!("{} has other arguments", self.name()))),
        }
        .map(Some)
    }
}

/// Timestamps in microseconds.
fn times_of(times: &ArrayRef) -> Result<ArrayRef> {
    Ok(match times.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => times.clone(),
        DataType::Timestamp(_, zone) => cast(times, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?,
        _ => cast(times, &SqlType::TIMESTAMP.to_arrow())?,
    })
}

/// A column of intervals.
pub struct Intervals(IntervalMonthDayNanoArray);

impl Intervals {
    /// Those of an array.
    ///
    /// # Errors
    /// Of an array of something else.
    pub fn of(array: &ArrayRef) -> Result<Self> {
        let array = match *array.data_type() == INTERVAL {
            true => array.clone(),
            false => cast(array, &INTERVAL)?,
        };
        match array.as_primitive_opt::<IntervalMonthDayNanoType>() {
            Some(array) => Ok(Self(array.clone())),
            None => exec_err!("{} came for an interval", array.data_type()),
        }
    }

    /// The rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The interval of a row; None for NULL.
    pub fn get(&self, row: usize) -> Option<Interval> {
        self.0.is_valid(row).then(|| interval_of(self.0.value(row)))
    }
}

/// An array of what is computed for each row.
pub fn intervals(rows: usize, of: impl Fn(usize) -> aion_base::Result<Option<Interval>>) -> Result<ArrayRef> {
    let computed = (0..rows).map(|row| of(row)?.map(arrow_interval).transpose());
    let computed = computed.collect::<aion_base::Result<IntervalMonthDayNanoArray>>();
    Ok(Arc::new(computed.map_err(wrap)?))
}

fn made(parts: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let [numbers @ .., seconds] = parts else {
        return exec_err!("make_interval has seven arguments");
    };
    let numbers = numbers.iter().map(|numbers| cast(numbers, &DataType::Int64));
    let numbers = numbers.collect::<std::result::Result<Vec<_>, _>>()?;
    let seconds = cast(seconds, &DataType::Float64)?;
    let seconds = seconds.as_primitive::<Float64Type>();
    intervals(rows, |row| {
        if seconds.is_null(row) || numbers.iter().any(|numbers| numbers.is_null(row)) {
            return Ok(None);
        }
        let number = |at: usize| {
            let numbers = numbers
                .get(at)
                .map(|numbers| numbers.as_primitive::<datafusion::arrow::datatypes::Int64Type>());
            numbers.map_or(0, |numbers| numbers.value(row))
        };
        Interval::make(
            [number(0), number(1), number(2), number(3), number(4), number(5)],
            seconds.value(row),
        )
        .map(Some)
    })
}
