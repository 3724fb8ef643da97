//! `timezone(zone, time)`, which is what `time AT TIME ZONE zone` means: of a timestamptz, what the clocks of a zone show at that moment; of a
//! timestamp, the moment at which they show it.
//!
//! A zone is, in this order,
//!
//! 1. an abbreviation of PostgreSQL's default set: an offset, whatever the time of year,
//! 2. a name of the time zone database, in any case,
//! 3. an offset as POSIX writes it, maybe behind a name of its own: hours *west* of Greenwich, so that `-02:30` is east of it.
//!
//! An interval is an offset east of Greenwich. Where clocks are set forward, a time that they leave out is taken as if they were not set
//! yet; where they are set back, a time that they show twice is the second one.

mod abbreviations;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use aion_base::{Error, SqlState};
use aion_catalog::interval::Interval;
use aion_catalog::{SqlType, text};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{
    DataType, FieldRef, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::wrap;

/// Seconds that an offset has at most: a week.
const OFFSET_SECONDS_MAX: i64 = 7 * 24 * 3_600;

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(AtTimeZone {
        signature: Signature::user_defined(Volatility::Immutable),
    }))]
}

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    /// Seconds east of Greenwich.
    Fixed(i64),
    Named(chrono_tz::Tz),
}

/// The names of the time zone database, in small letters.
static NAMED: LazyLock<HashMap<String, chrono_tz::Tz>> = LazyLock::new(|| {
    let zones = chrono_tz::TZ_VARIANTS.iter();
    zones.map(|zone| (zone.name().to_ascii_lowercase(), *zone)).collect()
});

static ABBREVIATIONS: LazyLock<HashMap<&'static str, Zone>> = LazyLock::new(|| {
    let offsets = abbreviations::OFFSETS.iter();
    let fixed = offsets.flat_map(|(minutes, names)| {
        names
            .split(' ')
            .map(|name| (name, Zone::Fixed(i64::from(*minutes) * 60)))
    });
    let zones = abbreviations::ZONES.iter();
    let named = zones.filter_map(|(name, zone)| Some((*name, Zone::Named(*NAMED.get(&zone.to_ascii_lowercase())?))));
    fixed.chain(named).collect()
});

impl Zone {
    /// The zone that a text names.
    fn parse(text: &str) -> Result<Self, Error> {
        let name = text.to_ascii_lowercase();
        if let Some(zone) = ABBREVIATIONS.get(name.as_str()) {
            return Ok(*zone);
        }
        if let Some(zone) = NAMED.get(&name) {
            return Ok(Self::Named(*zone));
        }
        posix_offset(&name).map(Self::Fixed).ok_or_else(|| {
            Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("time zone \"{text}\" not recognized"),
            )
        })
    }

    /// What its clocks show at a moment, both in microseconds since 1970.
    fn to_local(self, moment: i64) -> Result<i64, Error> {
        let seconds = match self {
            Self::Fixed(seconds) => seconds,
            Self::Named(zone) => seconds(&zone.offset_from_utc_datetime(&date_time(moment)?)),
        };
        let shown = seconds
            .checked_mul(1_000_000)
            .and_then(|micros| moment.checked_add(micros));
        shown.ok_or_else(out_of_range)
    }

    /// The moment at which its clocks show a time.
    fn to_moment(self, local: i64) -> Result<i64, Error> {
        let seconds = match self {
            Self::Fixed(seconds) => seconds,
            Self::Named(zone) => {
                let shown = date_time(local)?;
                seconds(&match zone.offset_from_local_datetime(&shown) {
                    MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => offset,
                    // No clock is set twice in a day.
                    MappedLocalTime::None => {
                        let before = shown.checked_sub_signed(TimeDelta::days(1));
                        zone.offset_from_utc_datetime(&before.ok_or_else(out_of_range)?)
                    }
                })
            }
        };
        let moment = seconds
            .checked_mul(1_000_000)
            .and_then(|micros| local.checked_sub(micros));
        moment.ok_or_else(out_of_range)
    }
}

/// Seconds east of Greenwich.
fn seconds(offset: &impl Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc())
}

fn date_time(micros: i64) -> Result<NaiveDateTime, Error> {
    let moment = DateTime::from_timestamp_micros(micros).ok_or_else(out_of_range)?;
    Ok(moment.naive_utc())
}

fn out_of_range() -> Error {
    Error::invalid(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// Seconds east of Greenwich of `name+hh[:mm[:ss]]`, whose sign means west.
fn posix_offset(text: &str) -> Option<i64> {
    let (name, signed) = match text.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?,
        None => text.split_at(text.find(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'))?),
    };
    let is_name = match text.starts_with('<') {
        true => {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-'))
        }
        false => name.is_empty() || (name.len() >= 3 && name.chars().all(|c| c.is_ascii_alphabetic())),
    };
    let (sign, digits) = match signed.strip_prefix('-') {
        Some(digits) => (1, digits),
        None => (-1, signed.strip_prefix('+').unwrap_or(signed)),
    };
    let mut seconds = 0;
    let mut unit = 3_600;
    for part in digits.split(':') {
        let is_number = (1..=3).contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit());
        let number: i64 = part.parse().ok().filter(|_| is_number && unit > 0)?;
        if unit < 3_600 && number > 59 {
            return None;
        }
        seconds += number * unit;
        unit = if unit == 1 { 0 } else { unit / 60 };
    }
    (is_name && seconds < OFFSET_SECONDS_MAX).then_some(sign * seconds)
}

/// The zone that is an interval.
fn of_interval(months: i32, days: i32, nanos: i64) -> Result<Zone, Error> {
    if months == 0 && days == 0 {
        return Ok(Zone::Fixed(nanos / 1_000_000_000));
    }
    let mut text = String::new();
    let micros = nanos / 1_000;
    text::write_interval(Interval { months, days, micros }, &mut text);
    Err(Error::invalid(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("interval time zone \"{text}\" must not include months or days"),
    ))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let moment = || SqlType::TimestampTz.to_arrow();
        let zone = match given.first() {
            Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null) => Some(DataType::Utf8),
            Some(DataType::Interval(_)) => Some(DataType::Interval(IntervalUnit::MonthDayNano)),
            _ => None,
        };
        let time = match given.get(1) {
            Some(DataType::Timestamp(_, None)) => Some(SqlType::Timestamp.to_arrow()),
            Some(DataType::Timestamp(_, Some(_)) | DataType::Date32 | DataType::Null) => Some(moment()),
            // A literal in quotes, which PostgreSQL takes for what it prefers.
            Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => Some(moment()),
            _ => None,
        };
        match (zone, time) {
            (Some(zone), Some(time)) if given.len() == 2 => Ok(vec![zone, time]),
            _ => {
                let names = given.iter().map(ToString::to_string).collect::<Vec<_>>();
                let message = format!("function timezone({}) does not exist", names.join(", "));
                Err(wrap(Error::not_found(SqlState::UNDEFINED_FUNCTION, message)))
            }
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match given.get(1) {
            Some(DataType::Timestamp(_, None)) => SqlType::TimestampTz.to_arrow(),
            _ => SqlType::Timestamp.to_arrow(),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let sql_type = match self.return_type(&types)? {
            DataType::Timestamp(_, None) => SqlType::Timestamp,
            _ => SqlType::TimestampTz,
        };
        Ok(Arc::new(sql_type.to_field(self.name(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [zones, times] = args.args.as_slice() else {
            return Err(wrap(Error::internal("timezone() has two arguments")));
        };
        let times = times.to_array(args.number_rows)?;
        let is_local = matches!(times.data_type(), DataType::Timestamp(TimeUnit::Microsecond, None));
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let moved = |zone: Zone, time: i64| match is_local {
            true => zone.to_moment(time).map_err(wrap),
            false => zone.to_local(time).map_err(wrap),
        };
        let zones = match zones {
            // Mostly it is one for all rows.
            ColumnarValue::Scalar(_) => zones_of(&zones.to_array(1)?)?,
            ColumnarValue::Array(array) => zones_of(array)?,
        };
        let zone_of = |row: usize| if zones.len() == 1 { zones[0] } else { zones[row] };
        let values = (0..times.len()).map(|row| match zone_of(row) {
            Some(zone) if times.is_valid(row) => moved(zone, times.value(row)).map(Some),
            _ => Ok(None),
        });
        let moved: TimestampMicrosecondArray = values.collect::<Result<_>>()?;
        let DataType::Timestamp(_, zone) = args.return_field.data_type() else {
            return Err(wrap(Error::internal("timezone() gives a timestamp")));
        };
        let array: ArrayRef = Arc::new(moved.with_timezone_opt(zone.clone()));
        Ok(ColumnarValue::Array(array))
    }
}

fn zones_of(array: &ArrayRef) -> Result<Vec<Option<Zone>>> {
    let zone = |row: usize| match array.data_type() {
        _ if array.is_null(row) => Ok(None),
        DataType::Interval(_) => {
            let interval = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            of_interval(interval.months, interval.days, interval.nanoseconds).map(Some)
        }
        _ => Zone::parse(array.as_string::<i32>().value(row)).map(Some),
    };
    (0..array.len()).map(|row| zone(row).map_err(wrap)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_abbreviation_stands_for_a_zone() {
        let count = abbreviations::OFFSETS
            .iter()
            .flat_map(|(_, names)| names.split(' '))
            .count();
        assert_eq!(ABBREVIATIONS.len(), count + abbreviations::ZONES.len());
    }

    #[test]
    fn offsets_are_west() {
        for (text, seconds) in [
            ("+02", Some(-7_200)),
            ("-02:30", Some(9_000)),
            ("foo+3", Some(-10_800)),
            ("<foo>-5:30", Some(19_800)),
            ("+05:30:15", Some(-19_815)),
            ("+167", Some(-601_200)),
            ("+168", None),
            ("+0530", None),
            ("ab+3", None),
            ("+5:60", None),
            ("+1:2:3:4", None),
            ("", None),
            ("+", None),
            ("nope", None),
            ("<>5", None),
            ("5", Some(-18_000)),
            ("foo5:30", Some(-19_800)),
        ] {
            assert_eq!(posix_offset(text), seconds, "{text}");
        }
    }

    #[test]
    fn a_moment_comes_back_but_from_a_gap() {
        let zone = Zone::parse("europe/BERLIN").expect("a zone");
        let mut times = 0;
        // All half hours of 2024, in which the clocks are set twice.
        for half_hour in 0..366 * 48 {
            let moment = 1_704_067_200_000_000 + half_hour * 1_800_000_000;
            let local = zone.to_local(moment).expect("in range");
            let back = zone.to_moment(local).expect("in range");
            times += i32::from(back != moment);
            assert!(back == moment || back == moment + 3_600_000_000, "{moment}");
        }
        assert_eq!(times, 2, "the hour that the clocks show twice");
        assert_eq!(
            zone.to_local(i64::MAX).map_err(|error| error.state()),
            Err(SqlState::DATETIME_FIELD_OVERFLOW)
        );
    }
}
