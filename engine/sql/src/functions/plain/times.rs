//! Functions of dates, times and intervals.

use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value, Zone, interval, template, text};

use super::{Definition, Kind, Row};

const MICROS_PER_SECOND: i64 = 1_000_000;

pub(super) fn definitions() -> Vec<Definition> {
    use Definition as F;
    use Kind::{Date, Double, Int, Interval, Moment, Text, Time, Timestamp};
    vec![
        F::new(
            "make_timestamp",
            &[Int, Int, Int, Int, Int, Double],
            SqlType::TIMESTAMP,
            make_timestamp,
        ),
        F::new(
            "make_timestamptz",
            &[Int, Int, Int, Int, Int, Double, Text],
            SqlType::TIMESTAMPTZ,
            make_moment,
        )
        .requiring(6)
        .stable(),
        F::new("make_time", &[Int, Int, Double], SqlType::TIME, make_time),
        F::new("to_char", &[Timestamp, Text], SqlType::Text, timestamp_to_char),
        F::new("to_char", &[Moment, Text], SqlType::Text, moment_to_char).stable(),
        F::new("to_char", &[Interval, Text], SqlType::Text, interval_to_char),
        F::new("to_char", &[Time, Text], SqlType::Text, interval_to_char),
        F::new("to_date", &[Text, Text], SqlType::Date, to_date),
        F::new("to_timestamp", &[Text, Text], SqlType::TIMESTAMPTZ, to_timestamp).stable(),
        F::new("to_timestamp", &[Double], SqlType::TIMESTAMPTZ, of_epoch),
        // There is nothing else here: infinity is refused where it is read.
        F::new("isfinite", &[Date], SqlType::Boolean, is_finite),
        F::new("isfinite", &[Timestamp], SqlType::Boolean, is_finite),
        F::new("isfinite", &[Moment], SqlType::Boolean, is_finite),
        F::new("isfinite", &[Interval], SqlType::Boolean, is_finite),
    ]
}

/// What a template writes; NULL for an empty one.
fn written(template: &str, write: impl FnOnce(&mut String) -> Result<()>) -> Result<Value> {
    if template.is_empty() {
        return Ok(Value::Null);
    }
    let mut out = String::new();
    write(&mut out)?;
    Ok(Value::Text(out))
}

fn micros_of(row: &Row<'_>) -> i64 {
    match row.values.first() {
        Some(Value::Timestamp(micros)) => *micros,
        _ => 0,
    }
}

fn timestamp_to_char(row: &Row<'_>) -> Result<Value> {
    let template = row.text(1);
    written(template, |out| {
        template::write_timestamp(micros_of(row), None, template, out)
    })
}

fn moment_to_char(row: &Row<'_>) -> Result<Value> {
    let (template, moment) = (row.text(1), micros_of(row));
    let name = row.zone.abbreviation(moment)?;
    let offset = i32::try_from(row.zone.offset(moment)?).map_err(|_| out_of_range("timestamp"))?;
    let local = row.zone.to_local(moment)?;
    written(template, |out| {
        template::write_timestamp(local, Some((offset, &name)), template, out)
    })
}

fn interval_to_char(row: &Row<'_>) -> Result<Value> {
    let template = row.text(1);
    match row.values.first() {
        // A time is as long as an interval.
        Some(Value::Time(micros)) => {
            let interval = interval::Interval {
                micros: *micros,
                ..interval::Interval::default()
            };
            written(template, |out| template::write_interval(interval, template, out))
        }
        Some(Value::Interval(interval)) => written(template, |out| template::write_interval(*interval, template, out)),
        _ => Err(Error::internal("to_char of an interval has one")),
    }
}

fn to_date(row: &Row<'_>) -> Result<Value> {
    template::read_date(row.text(0), row.text(1)).map(Value::Date)
}

fn to_timestamp(row: &Row<'_>) -> Result<Value> {
    let read = template::read_timestamp(row.text(0), row.text(1))?;
    let moment = match read.offset {
        Some(offset) => read.local.checked_sub(i64::from(offset) * MICROS_PER_SECOND),
        None => Some(row.zone.to_moment(read.local)?),
    };
    moment.map(Value::Timestamp).ok_or_else(|| out_of_range("timestamp"))
}

fn is_finite(_: &Row<'_>) -> Result<Value> {
    Ok(Value::Bool(true))
}

fn out_of_range(what: &str) -> Error {
    Error::invalid(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

/// The microseconds of a time of day, whose fields begin with the argument at `from`.
fn time_of(row: &Row<'_>, from: usize) -> Result<i64> {
    let (hour, minute, second) = (row.int(from), row.int(from + 1), row.double(from + 2));
    let is_one = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    let micros = is_one.then(|| {
        (hour * 60 + minute) * 60 * MICROS_PER_SECOND + (second * MICROS_PER_SECOND as f64).round_ties_even() as i64
    });
    micros
        .filter(|micros| *micros <= 86_400 * MICROS_PER_SECOND)
        .ok_or_else(|| {
            Error::invalid(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("time field value out of range: {hour}:{minute:02}:{second:02}"),
            )
        })
}

fn make_time(row: &Row<'_>) -> Result<Value> {
    time_of(row, 0).map(Value::Time)
}

fn local(row: &Row<'_>) -> Result<i64> {
    let (year, month, day) = (row.int(0), row.int(1), row.int(2));
    let wrong = || {
        Error::invalid(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date field value out of range: {year}-{month:02}-{day:02}"),
        )
    };
    if year < 1 {
        return Err(wrong());
    }
    let days = text::parse_date(&format!("{year:04}-{month}-{day}")).map_err(|_| wrong())?;
    let midnight = i64::from(days).checked_mul(86_400 * MICROS_PER_SECOND);
    let time = time_of(row, 3)?;
    midnight
        .and_then(|midnight| midnight.checked_add(time))
        .ok_or_else(|| out_of_range("timestamp"))
}

fn make_timestamp(row: &Row<'_>) -> Result<Value> {
    local(row).map(Value::Timestamp)
}

fn make_moment(row: &Row<'_>) -> Result<Value> {
    let zone = match row.values.len() {
        7 => Zone::setting(row.text(6)).map(|(zone, _)| zone).ok_or_else(|| {
            let message = format!("time zone \"{}\" not recognized", row.text(6));
            Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
        })?,
        _ => row.zone,
    };
    zone.to_moment(local(row)?).map(Value::Timestamp)
}

fn of_epoch(row: &Row<'_>) -> Result<Value> {
    let micros = (row.double(0) * MICROS_PER_SECOND as f64).round_ties_even();
    match micros.is_finite() && micros.abs() < i64::MAX as f64 {
        true => Ok(Value::Timestamp(micros as i64)),
        false => Err(out_of_range("timestamp")),
    }
}
