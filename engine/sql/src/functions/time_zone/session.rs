//! What the zone of a session does to moments, as functions. They are stable: an index cannot be over them.

use std::sync::Arc;

use aion_base::Error;
use aion_catalog::interval::Interval;
use aion_catalog::{SqlType, Zone};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::session_zone;
use crate::cells::interval_of;
use crate::error::wrap;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// What to make of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// What clocks show at a moment.
    Local,
    /// The moment at which clocks show a time.
    Moment,
    /// The beginning of so many microseconds, counted from midnight, that a moment is in.
    Truncated(i64),
    /// Seconds that clocks are ahead of UTC at a moment, divided by so many; and what is left of these.
    Offset(i32, Option<i32>),
    /// A moment so much later: days and months are those of the clocks.
    Later,
    /// A moment so much earlier.
    Earlier,
    /// What clocks show now, without a zone. It is rewritten before it is called.
    LocalNow,
    /// The time of day in it, by this name. So is this.
    TimeNow(&'static str),
}

impl Turn {
    fn name(self) -> &'static str {
        match self {
            Self::Local => "local_of_session",
            Self::Moment => "moment_of_session",
            Self::Truncated(_) => "truncated_in_session",
            Self::Offset(..) => "offset_of_session",
            Self::Later => "later_in_session",
            Self::Earlier => "earlier_in_session",
            Self::LocalNow => "localtimestamp",
            Self::TimeNow(name) => name,
        }
    }

    /// The call of it.
    pub fn of(self) -> ScalarUDF {
        let arguments = match self {
            Self::LocalNow | Self::TimeNow(_) => {
                return ScalarUDF::from(OfSession {
                    turn: self,
                    signature: Signature::nullary(Volatility::Stable),
                });
            }
            Self::Later | Self::Earlier => 2,
            _ => 1,
        };
        ScalarUDF::from(OfSession {
            turn: self,
            signature: Signature::any(arguments, Volatility::Stable),
        })
    }
}

/// Those that a statement may name.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let all = [
        Turn::LocalNow,
        Turn::TimeNow("localtime"),
        Turn::TimeNow("current_time"),
    ];
    all.map(|turn| Arc::new(turn.of())).into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfSession {
    turn: Turn,
    signature: Signature,
}

impl ScalarUDFImpl for OfSession {
    fn name(&self) -> &str {
        self.turn.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.turn {
            Turn::Local | Turn::LocalNow => SqlType::TIMESTAMP.to_arrow(),
            Turn::Moment | Turn::Truncated(_) | Turn::Later | Turn::Earlier => SqlType::TIMESTAMPTZ.to_arrow(),
            Turn::Offset(..) => DataType::Int32,
            Turn::TimeNow(_) => SqlType::TIME.to_arrow(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let [time, rest @ ..] = args.args.as_slice() else {
            return exec_err!("{} is rewritten before it is called", self.name());
        };
        let zone = session_zone(&args.config_options);
        let times = micros(&time.to_array(rows)?)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let computed: ArrayRef = match (self.turn, rest) {
            (Turn::Offset(unit, rest), []) => {
                let offset = |moment| -> Result<i32> {
                    let seconds = i32::try_from(zone.offset(moment).map_err(wrap)?).unwrap_or(0);
                    Ok(rest.map_or(seconds, |rest| seconds % rest) / unit)
                };
                let offsets = times.iter().map(|moment| moment.map(offset).transpose());
                Arc::new(offsets.collect::<Result<Int32Array>>()?)
            }
            (Turn::Later | Turn::Earlier, [interval]) => {
                let intervals = cast(
                    &interval.to_array(rows)?,
                    &DataType::Interval(IntervalUnit::MonthDayNano),
                )?;
                let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
                let moved = times.iter().zip(intervals.iter()).map(|pair| match pair {
                    (Some(moment), Some(interval)) => {
                        let interval = interval_of(interval);
                        self.moved(zone, moment, interval).map(Some).map_err(wrap)
                    }
                    _ => Ok(None),
                });
                self.typed(moved.collect::<Result<_>>()?)?
            }
            (_, []) => {
                let turned = times
                    .iter()
                    .map(|time| time.map(|time| self.turned(zone, time)).transpose());
                self.typed(turned.collect::<aion_base::Result<_>>().map_err(wrap)?)?
            }
            _ => return exec_err!("{} has other arguments", self.name()),
        };
        if is_constant {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(
                &computed, 0,
            )?));
        }
        Ok(ColumnarValue::Array(computed))
    }
}

impl OfSession {
    fn typed(&self, times: TimestampMicrosecondArray) -> Result<ArrayRef> {
        let DataType::Timestamp(_, zone) = self.return_type(&[])? else {
            return Err(wrap(Error::internal("a time is made a timestamp")));
        };
        Ok(Arc::new(times.with_timezone_opt(zone)))
    }

    fn turned(&self, zone: Zone, time: i64) -> aion_base::Result<i64> {
        match self.turn {
            Turn::Moment => zone.to_moment(time),
            Turn::Truncated(unit) => {
                // The offset stays what it is: of an hour that is shown twice each begins for itself.
                let local = zone.to_local(time)?;
                Ok(time - local.rem_euclid(unit))
            }
            _ => zone.to_local(time),
        }
    }

    fn moved(&self, zone: Zone, moment: i64, interval: Interval) -> aion_base::Result<i64> {
        let interval = match self.turn {
            Turn::Earlier => interval.negate()?,
            _ => interval,
        };
        let by_clocks = |moment, interval: Interval| match interval == Interval::default() {
            true => Ok(moment),
            false => zone.to_moment(interval.add_to_timestamp(zone.to_local(moment)?)?),
        };
        let (months, days) = (interval.months, interval.days);
        let moment = by_clocks(
            moment,
            Interval {
                months,
                ..Interval::default()
            },
        )?;
        let moment = by_clocks(
            moment,
            Interval {
                days,
                ..Interval::default()
            },
        )?;
        Interval::of_micros(interval.micros).add_to_timestamp(moment)
    }
}

/// Times in microseconds, whatever unit they came in.
fn micros(times: &ArrayRef) -> Result<ArrayRef> {
    Ok(match times.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => times.clone(),
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            // Cut off toward the past, also before 1970.
            let nanos = times.as_primitive::<datafusion::arrow::datatypes::TimestampNanosecondType>();
            let micros: TimestampMicrosecondArray = nanos.unary(|nanos| nanos.div_euclid(1_000));
            Arc::new(micros.with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(_, zone) => cast(times, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?,
        _ => cast(times, &SqlType::TIMESTAMP.to_arrow())?,
    })
}

/// Microseconds of a unit that is shorter than a day; None of another.
pub fn unit_micros(unit: &str) -> Option<i64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "hour" => 3_600 * MICROS_PER_SECOND,
        "minute" => 60 * MICROS_PER_SECOND,
        "second" => MICROS_PER_SECOND,
        "millisecond" | "milliseconds" => 1_000,
        "microsecond" | "microseconds" => 1,
        _ => return None,
    })
}
