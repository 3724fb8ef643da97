//! `interval`: months, days and microseconds, which PostgreSQL keeps apart because months and days differ in length.
//!
//! **Vocabulary.** A *field* is one of the three. *Spilling* is what multiplication and division do with the fraction of a field: that of
//! months goes into days, of 30 to a month, that of days into microseconds; nothing goes up. *Justifying* carries upward.
//!
//! **Guarantees.** Every operation gives PostgreSQL 15's answer to the microsecond, or its error: 22008 beyond the range of a field, 22012.
//! [`Interval::compare`] takes a month for 30 days and a day for 24 hours, so that intervals with different fields may be equal.
//!
//! Timestamps are microseconds and dates days since 1970-01-01, as in [`crate::text`]; one with time zone is reckoned in UTC. Text is
//! in [`crate::text::parse_interval`] and [`crate::text::write_interval`].

use std::cmp::Ordering;

use aion_base::{Error, Result, SqlState};

use crate::text::{civil_from_days, days_from_civil, days_of_month, unit_of};

pub(crate) const MONTHS_PER_YEAR: i32 = 12;
pub(crate) const DAYS_PER_MONTH: i32 = 30;
pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub(crate) const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub(crate) const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
const NANOS_PER_MICRO: i64 = 1_000;
const SECONDS_PER_DAY: f64 = 86_400.0;
/// What `extract` takes of dates, and not of intervals.
const UNITS_OF_DATES: [&str; 8] = [
    "dow",
    "doy",
    "isodow",
    "isoyear",
    "julian",
    "timezone",
    "timezone_hour",
    "timezone_minute",
];
/// 4714-11-24 BC, where PostgreSQL's timestamps begin.
const DAY_MIN: i64 = -2_440_588;

/// An interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    /// Months, of whatever length.
    pub months: i32,
    /// Days, of whatever length.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

/// The fields of an interval and of `extract`, in the order of their lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `microseconds`
    Microsecond,
    /// `milliseconds`
    Millisecond,
    /// `second`
    Second,
    /// `minute`
    Minute,
    /// `hour`
    Hour,
    /// `day`
    Day,
    /// `week`
    Week,
    /// `month`
    Month,
    /// `quarter`
    Quarter,
    /// `year`
    Year,
    /// `decade`
    Decade,
    /// `century`
    Century,
    /// `millennium`
    Millennium,
}

impl Interval {
    /// An interval of microseconds alone.
    pub const fn of_micros(micros: i64) -> Self {
        Self {
            months: 0,
            days: 0,
            micros,
        }
    }

    /// Itself, if Arrow's nanoseconds hold its time.
    ///
    /// # Errors
    /// 22008 for a time of 292 years and more.
    pub fn in_nanos_range(self) -> Result<Self> {
        self.nanos().map(|_| self)
    }

    /// Its time in nanoseconds.
    ///
    /// # Errors
    /// 22008 for a time of 292 years and more.
    pub fn nanos(self) -> Result<i64> {
        self.micros.checked_mul(NANOS_PER_MICRO).ok_or_else(out_of_range)
    }

    /// Of a time in nanoseconds, which are rounded to microseconds.
    pub const fn of_nanos(months: i32, days: i32, nanos: i64) -> Self {
        let (micros, rest) = (nanos.div_euclid(NANOS_PER_MICRO), nanos.rem_euclid(NANOS_PER_MICRO));
        Self {
            months,
            days,
            micros: if rest >= NANOS_PER_MICRO / 2 {
                micros + 1
            } else {
                micros
            },
        }
    }

    /// `make_interval` of years, months, weeks, days, hours, minutes, and of seconds, which are rounded to microseconds.
    ///
    /// # Errors
    /// 22008 beyond the range of a field, and for seconds that are no number.
    pub fn make(parts: [i64; 6], seconds: f64) -> Result<Self> {
        let [years, months, weeks, days, hours, minutes] = parts;
        let sum = |greater: i64, size: i64, smaller: i64| greater.checked_mul(size)?.checked_add(smaller);
        let micros = (seconds * MICROS_PER_SECOND as f64).round_ties_even();
        if !(-(2f64.powi(63)) <= micros && micros < 2f64.powi(63)) {
            return Err(out_of_range());
        }
        let fields = || {
            let time = sum(sum(hours, 60, minutes)?, MICROS_PER_MINUTE, micros as i64)?;
            Some((sum(years, MONTHS_PER_YEAR.into(), months)?, sum(weeks, 7, days)?, time))
        };
        let (months, days, micros) = fields().ok_or_else(out_of_range)?;
        Self::narrowed(months, days, micros)
    }

    /// The bytes of a stored row: months, days and microseconds, in little endian.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.months.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.days.to_le_bytes());
        bytes[8..].copy_from_slice(&self.micros.to_le_bytes());
        bytes
    }

    /// What [`Interval::to_bytes`] made bytes of.
    pub fn of_bytes(bytes: [u8; 16]) -> Self {
        let whole = u128::from_le_bytes(bytes);
        Self {
            months: (whole as u32).cast_signed(),
            days: ((whole >> 32) as u32).cast_signed(),
            micros: ((whole >> 64) as u64).cast_signed(),
        }
    }

    /// An interval of a [length](Interval::length), in the greatest fields that hold it.
    ///
    /// # Errors
    /// 22008 for what is the length of none.
    pub fn of_length(length: i128) -> Result<Self> {
        let day = i128::from(MICROS_PER_DAY);
        let month = day * i128::from(DAYS_PER_MONTH);
        let clamp = |field: i128| field.clamp(i32::MIN.into(), i32::MAX.into());
        let months = clamp(length / month);
        let days = clamp((length - months * month) / day);
        let micros = length - months * month - days * day;
        let (Ok(months), Ok(days), Ok(micros)) = (months.try_into(), days.try_into(), micros.try_into()) else {
            return Err(out_of_range());
        };
        Ok(Self { months, days, micros })
    }

    /// `self + other`, field by field.
    ///
    /// # Errors
    /// 22008 beyond the range of a field.
    pub fn plus(self, other: Self) -> Result<Self> {
        let sum = || {
            Some(Self {
                months: self.months.checked_add(other.months)?,
                days: self.days.checked_add(other.days)?,
                micros: self.micros.checked_add(other.micros)?,
            })
        };
        sum().ok_or_else(out_of_range)
    }

    /// `self - other`, field by field.
    ///
    /// # Errors
    /// 22008 beyond the range of a field.
    pub fn minus(self, other: Self) -> Result<Self> {
        let difference = || {
            Some(Self {
                months: self.months.checked_sub(other.months)?,
                days: self.days.checked_sub(other.days)?,
                micros: self.micros.checked_sub(other.micros)?,
            })
        };
        difference().ok_or_else(out_of_range)
    }

    /// `-self`
    ///
    /// # Errors
    /// 22008 beyond the range of a field.
    pub fn negate(self) -> Result<Self> {
        Self::default().minus(self)
    }

    /// `self * factor`; fractions spill downward.
    ///
    /// # Errors
    /// 22008 beyond the range of a field, and for a factor that is no number.
    pub fn multiply(self, factor: f64) -> Result<Self> {
        self.scale(|field| field * factor)
    }

    /// `self / divisor`; fractions spill downward.
    ///
    /// # Errors
    /// 22012 for zero, 22008 beyond the range of a field.
    pub fn divide(self, divisor: f64) -> Result<Self> {
        if divisor == 0.0 {
            return Err(Error::invalid(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        self.scale(|field| field / divisor)
    }

    /// 1. Scale months and days, and cut their fractions off.
    /// 2. The months' fraction is days, rounded to the millionth; its whole days are added at the end.
    /// 3. What remains of the days is seconds, rounded to microseconds; whole days of them are days again.
    fn scale(self, scaled: impl Fn(f64) -> f64) -> Result<Self> {
        let round = |value: f64| (value * 1e6).round_ties_even() / 1e6;
        let (months, days) = (scaled(self.months.into()), scaled(self.days.into()));
        let (whole_months, whole_days) = (whole(months)?, whole(days)?);
        let month_days = round((months - f64::from(whole_months)) * f64::from(DAYS_PER_MONTH));
        let mut seconds = round((days - f64::from(whole_days) + month_days - month_days.trunc()) * SECONDS_PER_DAY);
        let mut carried = 0.0;
        if seconds.abs() >= SECONDS_PER_DAY {
            carried = (seconds / SECONDS_PER_DAY).trunc();
            seconds -= carried * SECONDS_PER_DAY;
        }
        let micros = (scaled(self.micros as f64) + seconds * 1e6).round_ties_even();
        // The upper bound is no double: 2^63 is the first one beyond.
        if !(-(2f64.powi(63)) <= micros && micros < 2f64.powi(63)) {
            return Err(out_of_range());
        }
        Ok(Self {
            months: whole_months,
            days: whole(f64::from(whole_days) + carried + month_days.trunc())?,
            micros: micros as i64,
        })
    }

    /// `justify_hours`: 24 hours are a day, and both have one sign.
    ///
    /// # Errors
    /// 22008 beyond the range of the days.
    pub fn justify_hours(self) -> Result<Self> {
        let mut days = i64::from(self.days) + self.micros / MICROS_PER_DAY;
        let mut micros = self.micros % MICROS_PER_DAY;
        align(&mut days, &mut micros, MICROS_PER_DAY);
        Self::narrowed(self.months.into(), days, micros)
    }

    /// `justify_days`: 30 days are a month, and both have one sign.
    ///
    /// # Errors
    /// 22008 beyond the range of the months.
    pub fn justify_days(self) -> Result<Self> {
        let mut months = i64::from(self.months) + i64::from(self.days / DAYS_PER_MONTH);
        let mut days = i64::from(self.days % DAYS_PER_MONTH);
        align(&mut months, &mut days, DAYS_PER_MONTH.into());
        Self::narrowed(months, days, self.micros)
    }

    /// `justify_interval`: both, and all have one sign.
    ///
    /// # Errors
    /// 22008 beyond the range of the months.
    pub fn justify(self) -> Result<Self> {
        let month: i64 = DAYS_PER_MONTH.into();
        let mut days = i64::from(self.days) + self.micros / MICROS_PER_DAY;
        let mut micros = self.micros % MICROS_PER_DAY;
        let mut months = i64::from(self.months) + days / month;
        days %= month;
        if months > 0 && (days < 0 || days == 0 && micros < 0) {
            days += month;
            months -= 1;
        } else if months < 0 && (days > 0 || days == 0 && micros > 0) {
            days -= month;
            months += 1;
        }
        align(&mut days, &mut micros, MICROS_PER_DAY);
        Self::narrowed(months, days, micros)
    }

    pub(crate) fn narrowed(months: i64, days: i64, micros: i64) -> Result<Self> {
        let (Ok(months), Ok(days)) = (i32::try_from(months), i32::try_from(days)) else {
            return Err(out_of_range());
        };
        Ok(Self { months, days, micros })
    }

    /// The order of the lengths, with months of 30 days and days of 24 hours.
    pub fn compare(self, other: Self) -> Ordering {
        self.length().cmp(&other.length())
    }

    /// The length that comparison takes, in microseconds: what an index or a hash of intervals stands on.
    pub fn length(self) -> i128 {
        let days = i128::from(self.months) * i128::from(DAYS_PER_MONTH) + i128::from(self.days);
        days * i128::from(MICROS_PER_DAY) + i128::from(self.micros)
    }

    /// `timestamp + self`: months first, where a day that the month does not have becomes its last; then days, then microseconds.
    ///
    /// # Errors
    /// 22008 beyond the range of timestamps.
    pub fn add_to_timestamp(self, timestamp: i64) -> Result<i64> {
        let time = timestamp.rem_euclid(MICROS_PER_DAY);
        let mut days = timestamp.div_euclid(MICROS_PER_DAY);
        if self.months != 0 {
            let (year, month, day) = civil_from_days(days);
            let months = year * 12 + month - 1 + i64::from(self.months);
            let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
            days = days_from_civil(year, month, day.min(days_of_month(year, month)));
        }
        let sum = (days + i64::from(self.days))
            .checked_mul(MICROS_PER_DAY)
            .and_then(|midnight| midnight.checked_add(time))
            .and_then(|moment| moment.checked_add(self.micros));
        sum.filter(|sum| *sum >= DAY_MIN * MICROS_PER_DAY)
            .ok_or_else(|| overflow("timestamp out of range"))
    }

    /// `timestamp - self`
    ///
    /// # Errors
    /// 22008 beyond the range of timestamps.
    pub fn subtract_from_timestamp(self, timestamp: i64) -> Result<i64> {
        let negative = self.negate().map_err(|_| overflow("timestamp out of range"))?;
        negative.add_to_timestamp(timestamp)
    }

    /// `date + self`, a timestamp.
    ///
    /// # Errors
    /// 22008 beyond the range of timestamps.
    pub fn add_to_date(self, days: i32) -> Result<i64> {
        let midnight = i64::from(days).checked_mul(MICROS_PER_DAY);
        self.add_to_timestamp(midnight.ok_or_else(|| overflow("date out of range for timestamp"))?)
    }

    /// `later - earlier` of two timestamps: days of 24 hours, and the rest.
    ///
    /// # Errors
    /// 22008 where the difference is no interval.
    pub fn between(later: i64, earlier: i64) -> Result<Self> {
        let micros = later.checked_sub(earlier).ok_or_else(out_of_range)?;
        Self::of_micros(micros).justify_hours()
    }

    /// `age(later, earlier)`: years, months and days as the calendar counts them. Days that are borrowed from a month are those of the
    /// earlier timestamp's month.
    ///
    /// # Errors
    /// None within the range of timestamps.
    pub fn age(later: i64, earlier: i64) -> Result<Self> {
        if later < earlier {
            // The greater one is subtracted from; PostgreSQL borrows from the month of the one that is less, in both cases.
            return Self::age(earlier, later)?.negate();
        }
        let (to, from) = (later.div_euclid(MICROS_PER_DAY), earlier.div_euclid(MICROS_PER_DAY));
        let ((year, month, day), (from_year, from_month, from_day)) = (civil_from_days(to), civil_from_days(from));
        let mut micros = later.rem_euclid(MICROS_PER_DAY) - earlier.rem_euclid(MICROS_PER_DAY);
        let mut days = day - from_day;
        let mut months = (year - from_year) * 12 + month - from_month;
        if micros < 0 {
            micros += MICROS_PER_DAY;
            days -= 1;
        }
        while days < 0 {
            days += days_of_month(from_year, from_month);
            months -= 1;
        }
        Self::narrowed(months, days, micros)
    }

    /// Refuses a field that a time of day has not, which is long as an interval.
    ///
    /// # Errors
    /// 0A000, and 22023 for what is no field at all.
    pub fn check_field_of_day(field: &str) -> Result<()> {
        let name = field.to_ascii_lowercase();
        match unit_of(&name) {
            _ if name == "epoch" => Ok(()),
            Some(Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour) => Ok(()),
            None if !UNITS_OF_DATES.contains(&name.as_str()) => Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unit \"{name}\" not recognized for type time without time zone"),
            )),
            _ => Err(Error::unsupported(format!(
                "unit \"{name}\" not supported for type time without time zone"
            ))),
        }
    }

    /// `extract(field from self)`: an unscaled value and its scale.
    ///
    /// # Errors
    /// 22023 for a name that is no field, 0A000 for one that an interval does not have.
    pub fn extract(self, field: &str) -> Result<(i128, i8)> {
        let name = field.to_ascii_lowercase();
        if name == "epoch" {
            return Ok((self.epoch(), 6));
        }
        let unsupported = || Error::unsupported(format!("unit \"{name}\" not supported for type interval"));
        let Some(unit) = unit_of(&name) else {
            return Err(if UNITS_OF_DATES.contains(&name.as_str()) {
                unsupported()
            } else {
                let message = format!("unit \"{name}\" not recognized for type interval");
                Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
            });
        };
        let (years, months) = (self.months / MONTHS_PER_YEAR, self.months % MONTHS_PER_YEAR);
        let within_minute = i128::from(self.micros % MICROS_PER_MINUTE);
        let whole = |value: i32| Ok((i128::from(value), 0));
        match unit {
            Unit::Microsecond => Ok((within_minute, 0)),
            Unit::Millisecond => Ok((within_minute, 3)),
            Unit::Second => Ok((within_minute, 6)),
            Unit::Minute => Ok(((self.micros / MICROS_PER_MINUTE % 60).into(), 0)),
            Unit::Hour => Ok(((self.micros / MICROS_PER_HOUR).into(), 0)),
            Unit::Day => whole(self.days),
            Unit::Month => whole(months),
            Unit::Quarter => whole(months / 3 + 1),
            Unit::Year => whole(years),
            Unit::Decade => whole(years / 10),
            Unit::Century => whole(years / 100),
            Unit::Millennium => whole(years / 1000),
            Unit::Week => Err(unsupported()),
        }
    }

    /// `date_trunc(field, self)`: without what is smaller than a field.
    ///
    /// # Errors
    /// 22023 for a name that is no field, 0A000 for weeks, of which a month has no whole number.
    pub fn truncate(self, field: &str) -> Result<Self> {
        let name = field.to_ascii_lowercase();
        let Some(unit) = unit_of(&name) else {
            let message = format!("unit \"{name}\" not recognized for type interval");
            return Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message));
        };
        let months = |count: i32| {
            Ok(Self {
                months: self.months / count * count,
                ..Self::default()
            })
        };
        let micros = |count: i64| {
            Ok(Self {
                micros: self.micros / count * count,
                ..self
            })
        };
        match unit {
            Unit::Microsecond => Ok(self),
            Unit::Millisecond => micros(1_000),
            Unit::Second => micros(MICROS_PER_SECOND),
            Unit::Minute => micros(MICROS_PER_MINUTE),
            Unit::Hour => micros(MICROS_PER_HOUR),
            Unit::Day => Ok(Self { micros: 0, ..self }),
            Unit::Week => {
                let message = format!("unit \"{name}\" not supported for type interval");
                Err(Error::unsupported(message).with_detail("Months usually have fractional weeks."))
            }
            Unit::Month => months(1),
            Unit::Quarter => months(3),
            Unit::Year => months(12),
            Unit::Decade => months(120),
            Unit::Century => months(1_200),
            Unit::Millennium => months(12_000),
        }
    }

    /// Microseconds, with years of 365.25 days and the other months of 30.
    fn epoch(self) -> i128 {
        let (years, months) = (self.months / MONTHS_PER_YEAR, self.months % MONTHS_PER_YEAR);
        let quarter_days = i128::from(years) * 1461 + 4 * (i128::from(months) * 30 + i128::from(self.days));
        quarter_days * i128::from(MICROS_PER_DAY / 4) + i128::from(self.micros)
    }
}

/// Gives the smaller field the sign of the greater one, of which it is less than `size`.
fn align(greater: &mut i64, smaller: &mut i64, size: i64) {
    if *greater > 0 && *smaller < 0 {
        *smaller += size;
        *greater -= 1;
    } else if *greater < 0 && *smaller > 0 {
        *smaller -= size;
        *greater += 1;
    }
}

/// The integer towards zero.
fn whole(value: f64) -> Result<i32> {
    // Compared as PostgreSQL does: a fraction beyond the greatest integer is out of range.
    if !(f64::from(i32::MIN) <= value && value <= f64::from(i32::MAX)) {
        return Err(out_of_range());
    }
    Ok(value as i32)
}

#[cold]
fn overflow(message: &str) -> Error {
    Error::invalid(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

#[cold]
pub(crate) fn out_of_range() -> Error {
    overflow("interval out of range")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_interval() -> impl Strategy<Value = Interval> {
        (any::<i32>(), any::<i32>(), any::<i64>()).prop_map(|(months, days, micros)| Interval { months, days, micros })
    }

    proptest! {
        /// Justifying changes the fields, never the length.
        #[test]
        fn justified_intervals_are_equal(interval in any_interval()) {
            for justified in [interval.justify_hours(), interval.justify_days(), interval.justify()].into_iter().flatten() {
                prop_assert!(justified.compare(interval).is_eq());
            }
        }

        #[test]
        fn reads_back(interval in any_interval()) {
            prop_assert_eq!(Interval::of_bytes(interval.to_bytes()), interval);
            if let Ok(nanos) = interval.nanos() {
                prop_assert_eq!(Interval::of_nanos(interval.months, interval.days, nanos), interval);
            }
            prop_assert!(Interval::of_length(interval.length())?.compare(interval).is_eq());
        }

        #[test]
        fn nothing_panics(one in any_interval(), other in any_interval(), factor in any::<f64>(), micros in any::<i64>()) {
            let _ = (one.plus(other), one.minus(other), one.negate());
            let _ = (one.multiply(factor), one.divide(factor));
            let _ = (one.add_to_timestamp(micros), one.subtract_from_timestamp(micros), one.add_to_date(one.days));
            let _ = (Interval::between(micros, other.micros), Interval::age(micros, other.micros));
            let _ = ["epoch", "second", "hour", "millennium"].map(|field| one.extract(field));
        }

        /// Month by month from the earlier timestamp, the age never passes the later one.
        #[test]
        fn an_age_counts_whole_months(earlier in 0i64..4_000_000_000_000_000, length in 0i64..1_000_000_000_000_000) {
            let age = Interval::age(earlier + length, earlier)?;
            let months = Interval { months: age.months, ..Interval::default() };
            prop_assert!(months.add_to_timestamp(earlier)? <= earlier + length);
            prop_assert!((0..31).contains(&age.days) && (0..MICROS_PER_DAY).contains(&age.micros));
        }
    }
}
