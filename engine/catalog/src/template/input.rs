//! `to_timestamp` and `to_date`: reads a moment as a template says.
//!
//! 1. The text is read pattern by pattern, by `reader`.
//! 2. The fields are put together: the year from its last digits and the century, the day from week, day of the year or Julian day.
//! 3. Day and time are checked.
//!
//! A field of zero is one that was not read, as in PostgreSQL; so is what two patterns contradict each other on.

use aion_base::{Error, Result, SqlState};

use super::julian;
use super::keywords::{self, Calendar};
use super::reader::Reader;
use crate::interval::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::precision;

/// Zones are less than sixteen hours from Greenwich.
const ZONE_HOUR_MAX: i32 = 15;
/// The first Julian day beyond the dates.
const JULIAN_END: i32 = 2_147_483_494;
/// Days of a year before each month, and all of them.
const DAYS_BEFORE: [i32; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

/// What `to_timestamp` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadMoment {
    /// Microseconds since 1970-01-01 00:00:00 of local time.
    pub local: i64,
    /// Seconds east of Greenwich, if the template asks for them: without them the session's zone tells.
    pub offset: Option<i32>,
}

/// Reads a moment as a template says: `to_timestamp(text, text)`.
///
/// # Errors
/// 22007 for a text that is not as the template says, and a template that contradicts itself; 22008 for what no clock shows, and beyond the
/// range of timestamps; 0A000 for `TZ` and `OF`.
pub fn read_timestamp(text: &str, template: &str) -> Result<ReadMoment> {
    let moment = Moment::read(text, template)?;
    moment
        .timestamp()
        .ok_or_else(|| out_of_range("timestamp out of range".to_owned()))
}

/// Reads the days since 1970-01-01: `to_date(text, text)`.
///
/// # Errors
/// As of [`read_timestamp`], for the range of dates.
pub fn read_date(text: &str, template: &str) -> Result<i32> {
    let days = Moment::read(text, template)?
        .julian()
        .map(|julian| i64::from(julian) - julian::UNIX_EPOCH);
    let days = days.and_then(|days| i32::try_from(days).ok());
    days.ok_or_else(|| out_of_range(format!("date out of range: \"{text}\"")))
}

#[cold]
pub(super) fn out_of_range(message: String) -> Error {
    Error::invalid(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

#[cold]
pub(super) fn malformed(message: String) -> Error {
    Error::invalid(SqlState::INVALID_DATETIME_FORMAT, message)
}

/// A date, a time and a zone, each within its range.
#[derive(Debug)]
struct Moment {
    year: i32,
    month: i32,
    day: i32,
    /// Since midnight.
    micros: i64,
    /// Of the fraction of a second.
    digits: Option<u8>,
    offset: Option<i32>,
}

impl Moment {
    fn read(text: &str, template: &str) -> Result<Self> {
        let nodes = keywords::parse(template)?;
        Reader::read(text, &nodes)?.moment(text)
    }

    fn julian(&self) -> Option<i32> {
        let is_counted = (self.year, self.month) >= (-4713, 11) && (self.year, self.month) < (5_874_898, 6);
        let julian = is_counted.then(|| julian::day_of(self.year, self.month, self.day))?;
        (0..JULIAN_END).contains(&julian).then_some(julian)
    }

    fn timestamp(&self) -> Option<ReadMoment> {
        let midnight = (i64::from(self.julian()?) - julian::UNIX_EPOCH).checked_mul(MICROS_PER_DAY)?;
        let local = midnight.checked_add(self.micros)?;
        let local = self.digits.map_or(local, |digits| precision::timestamp(local, digits));
        let moment = local.checked_sub(i64::from(self.offset.unwrap_or(0)) * MICROS_PER_SECOND)?;
        let offset = self.offset;
        (moment >= -julian::UNIX_EPOCH * MICROS_PER_DAY).then_some(ReadMoment { local, offset })
    }
}

/// What was read; 0 is nothing.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub calendar: Option<Calendar>,
    pub hour: i32,
    pub is_hour_of_12: bool,
    /// 1 is PM.
    pub half_day: i32,
    pub minute: i32,
    pub second: i32,
    pub second_of_day: i32,
    pub millis: i32,
    pub micros: i32,
    pub fraction_digits: u8,
    pub century: i32,
    pub year: i32,
    /// Of the pattern of the year.
    pub year_digits: u8,
    /// 1 is BC.
    pub era: i32,
    pub month: i32,
    pub day: i32,
    pub day_of_year: i32,
    /// 1 is Sunday.
    pub week_day: i32,
    /// Of the year.
    pub week: i32,
    pub week_of_month: i32,
    pub julian: i32,
    pub zone_sign: i32,
    pub zone_hour: i32,
    pub zone_minute: i32,
}

impl Read {
    fn moment(&self, text: &str) -> Result<Moment> {
        let (micros, date) = (self.time()?, self.date()?);
        let (Some(micros), Some((year, month, day))) = (micros, date) else {
            return Err(out_of_range(format!("date/time field value out of range: \"{text}\"")));
        };
        let mut offset = None;
        if self.zone_sign != 0 {
            if !(0..=ZONE_HOUR_MAX).contains(&self.zone_hour) || !(0..60).contains(&self.zone_minute) {
                return Err(out_of_range(format!("time zone displacement out of range: \"{text}\"")));
            }
            offset = Some(self.zone_sign * (self.zone_hour * 3600 + self.zone_minute * 60));
        }
        Ok(Moment {
            year,
            month,
            day,
            micros,
            digits: (self.fraction_digits > 0).then_some(self.fraction_digits),
            offset,
        })
    }

    /// Microseconds since midnight; None for what no clock shows.
    fn time(&self) -> Result<Option<i64>> {
        let either = |value: i32, other: i32| if value == 0 { other } else { value };
        let mut hour = either(self.hour, self.second_of_day / 3600);
        let minute = either(self.minute, self.second_of_day % 3600 / 60);
        let second = either(self.second, self.second_of_day % 60);
        if self.is_hour_of_12 {
            if !(1..=12).contains(&hour) {
                let error = malformed(format!("hour \"{hour}\" is invalid for the 12-hour clock"));
                return Err(error.with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            hour = hour % 12 + 12 * self.half_day;
        }
        let fraction = i64::from(self.millis.wrapping_mul(1000).wrapping_add(self.micros));
        let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        if !is_time || !(0..MICROS_PER_SECOND).contains(&fraction) {
            return Ok(None);
        }
        let seconds = i64::from(hour * 3600 + minute * 60 + second);
        Ok(Some(seconds * MICROS_PER_SECOND + fraction))
    }

    /// Year, if one was read.
    fn full_year(&self) -> Option<i32> {
        let century = if self.era == 1 {
            self.century.wrapping_neg()
        } else {
            self.century
        };
        if self.year == 0 {
            return match century {
                0 => None,
                1.. => Some((century - 1).wrapping_mul(100).wrapping_add(1)),
                _ => Some(century.wrapping_mul(100).wrapping_add(1)),
            };
        }
        if self.century != 0 && self.year_digits <= 2 {
            // The 21st century is from 2001 to 2100, the 6th before Christ from 600 to 501.
            return Some(match (self.year % 100, century >= 0) {
                (0, true) => century.wrapping_mul(100),
                (0, false) => century.wrapping_mul(100).wrapping_add(1),
                (year, true) => year.wrapping_add((century - 1).wrapping_mul(100)),
                (year, false) => (century + 1).wrapping_mul(100).wrapping_sub(year).wrapping_add(1),
            });
        }
        let year = if self.era == 1 {
            self.year.wrapping_neg()
        } else {
            self.year
        };
        // 0 is 1 BC.
        Some(if year < 0 { year + 1 } else { year })
    }

    /// Year, month and day; None for what is in no calendar. What was not read is the first: of year 1 BC, of January, of the month.
    fn date(&self) -> Result<Option<(i32, i32, i32)>> {
        let full_year = self.full_year();
        let counted = self.counted_date(full_year.unwrap_or(0));
        let mut has_year = full_year.is_some() || counted.is_some();
        let (mut year, mut month, mut day) = counted.unwrap_or((full_year.unwrap_or(0), 1, 1));
        if self.week_of_month != 0 {
            day = first_day_of_week(self.week_of_month);
        } else if self.day != 0 {
            day = self.day;
        }
        if self.month != 0 {
            month = self.month;
        }
        let day_of_year = match self.week {
            0 => self.day_of_year,
            _ if self.is_iso() => self.day_of_year,
            week => first_day_of_week(week),
        };
        if day_of_year != 0 && (month <= 1 || day <= 1) {
            if year == 0 && self.era == 0 {
                return Err(malformed(
                    "cannot calculate day of year without year information".to_owned(),
                ));
            }
            if self.is_iso() {
                let before = julian::iso_week_start(year, 1).wrapping_sub(1);
                (year, month, day) = julian::date_of(before.wrapping_add(day_of_year));
                has_year = true;
            } else {
                (month, day) = in_year(year, month, day, day_of_year);
            }
        }
        let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
        // Without a year there is a 29th, a 30th and a 31st of February, which are days of March.
        let is_date = is_date && (!has_year || day <= days_of_month(year, month));
        Ok(is_date.then_some((year, month, day)))
    }

    fn is_iso(&self) -> bool {
        self.calendar == Some(Calendar::Iso)
    }

    /// The date that a Julian day is, or the day of an ISO week: its Monday, if the day was not read.
    fn counted_date(&self, year: i32) -> Option<(i32, i32, i32)> {
        let julian = (self.julian != 0).then(|| julian::date_of(self.julian));
        if self.week == 0 || !self.is_iso() {
            return julian;
        }
        let year = julian.map_or(year, |(year, ..)| year);
        // Sunday is 1, and the last day of the week.
        let days_behind = match self.week_day {
            0 => 0,
            ..=1 => 6,
            day => day - 2,
        };
        let monday = julian::iso_week_start(year, self.week);
        Some(julian::date_of(monday.wrapping_add(days_behind)))
    }
}

fn first_day_of_week(week: i32) -> i32 {
    week.wrapping_sub(1).wrapping_mul(7).wrapping_add(1)
}

/// Month and day of a day of the year, where none was read but the first. Month 13 is what the year does not reach.
fn in_year(year: i32, month: i32, day: i32, day_of_year: i32) -> (i32, i32) {
    let days_before = |month: usize| DAYS_BEFORE[month] + i32::from(month >= 2 && is_leap(year));
    let found = (1..=12).find(|month| day_of_year <= days_before(*month)).unwrap_or(13);
    let found_day = day_of_year.wrapping_sub(days_before(found - 1));
    (
        if month <= 1 { found as i32 } else { month },
        if day <= 1 { found_day } else { day },
    )
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i32, month: i32) -> i32 {
    match month {
        2 => 28 + i32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
