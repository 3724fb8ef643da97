//! Instants on the full hour, in UTC.

use std::fmt;

const HOURS_PER_DAY: i32 = 24;
/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_EPOCH: i32 = 719_468;
const DAYS_PER_ERA: i32 = 146_097;

/// An hour in UTC: the number of hours since 1970-01-01T00:00:00Z. Written `2013-01-01T10:00:00Z`, as in the source,
/// which every reader of `timestamptz` understands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UtcHour(i32);

impl UtcHour {
    /// Reads `YYYY-MM-DDTHH:00:00Z`. Anything else is `None`, also a time that is not on the hour.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix(":00:00Z")?.split_once('T')?;
        let hour = digits(time, 2)?;
        let (year, rest) = date.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
        if hour >= HOURS_PER_DAY || !(1..=12).contains(&month) {
            return None;
        }
        let days = days_since_epoch(year, month, day);
        (civil(days) == (year, month, day)).then_some(Self(days * HOURS_PER_DAY + hour))
    }

    /// Hours since 1970-01-01T00:00:00Z.
    pub fn hours_since_epoch(self) -> i32 {
        self.0
    }

    /// The instant `hours` later.
    pub fn plus_hours(self, hours: i32) -> Self {
        Self(self.0 + hours)
    }
}

impl fmt::Display for UtcHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(HOURS_PER_DAY));
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:00:00Z",
            self.0.rem_euclid(HOURS_PER_DAY)
        )
    }
}

impl fmt::Debug for UtcHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn digits(text: &str, count: usize) -> Option<i32> {
    let all_digits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March, so that a leap day ends it
/// (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(super) fn days_since_epoch(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_BEFORE_EPOCH
}

/// The inverse of [`days_since_epoch`]: year, month, day.
fn civil(days: i32) -> (i32, i32, i32) {
    let days = days + DAYS_BEFORE_EPOCH;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_reads_and_writes_the_same_text() {
        for (text, hours) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:00:00Z", -1),
            ("2000-02-29T12:00:00Z", 264_396),
            ("2013-01-01T10:00:00Z", 376_954),
            ("2014-01-01T04:00:00Z", 385_708),
        ] {
            let hour = UtcHour::parse(text).expect("an hour");
            assert_eq!((hour.hours_since_epoch(), hour.to_string().as_str()), (hours, text));
        }
    }

    #[test]
    fn consecutive_hours_have_consecutive_numbers() {
        let start = UtcHour::parse("2012-12-31T00:00:00Z").expect("an hour");
        for hours in 0..24 * 366 * 5 {
            let hour = start.plus_hours(hours);
            assert_eq!(UtcHour::parse(&hour.to_string()), Some(hour));
        }
    }

    #[test]
    fn other_text_is_no_hour() {
        for text in [
            "",
            "NA",
            "2013-01-01",
            "2013-01-01T10:00:00",
            "2013-01-01 10:00:00Z",
            "2013-01-01T10:30:00Z",
            "2013-02-29T10:00:00Z",
            "2013-13-01T10:00:00Z",
            "2013-00-01T10:00:00Z",
            "2013-01-00T10:00:00Z",
            "2013-01-01T24:00:00Z",
            "+013-01-01T10:00:00Z",
            "2013-1-01T10:00:00Z",
        ] {
            assert_eq!(UtcHour::parse(text), None, "{text:?}");
        }
    }
}
