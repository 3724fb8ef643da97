//! `to_char` of timestamps and intervals.
//!
//! 1. Timestamp or interval are broken into [`Fields`].
//! 2. Each pattern of the template writes one of them; other characters are written as they are.

use aion_base::{Error, Result, SqlState};

use super::keywords::{self, Field, Pattern};
use super::{Letters, Node, julian, ordinal};
use crate::interval::{
    DAYS_PER_MONTH, Interval, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, MONTHS_PER_YEAR,
};
use crate::text::append;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
/// From December on, so that those that are the beginning of others come behind them.
pub(super) const ROMAN_MONTHS: [&str; 12] = ["XII", "XI", "X", "IX", "VIII", "VII", "VI", "V", "IV", "III", "II", "I"];
/// The letters of the short names of months and days.
pub(super) const SHORT: usize = 3;
/// To which names of months and days are padded.
const NAME_WIDTH: usize = 9;
const ROMAN_WIDTH: usize = 4;

/// What patterns show. Those of an interval may be negative, each for itself.
#[derive(Debug)]
struct Fields<'a> {
    /// 0 is 1 BC.
    year: i32,
    month: i32,
    day: i32,
    hour: i64,
    minute: i32,
    second: i32,
    micros: i32,
    day_of_year: i32,
    /// 0 is Sunday.
    week_day: i32,
    /// Seconds east of Greenwich, and the zone's abbreviation.
    zone: Option<(i32, &'a str)>,
    is_interval: bool,
}

/// Writes a timestamp as a template says: `to_char(timestamp, text)`.
///
/// `micros` are since 1970-01-01 of local time, `zone` is its offset in seconds east of Greenwich and its abbreviation for a
/// `timestamp with time zone`. For an empty template, and for an infinite timestamp, PostgreSQL answers NULL, which is the caller's to say.
///
/// # Errors
/// None; the type is that of [`write_interval`].
pub fn write_timestamp(micros: i64, zone: Option<(i32, &str)>, template: &str, out: &mut String) -> Result<()> {
    let time = micros.rem_euclid(MICROS_PER_DAY);
    let julian = micros.div_euclid(MICROS_PER_DAY) + julian::UNIX_EPOCH;
    // Timestamps are some hundred million days at most.
    let julian = julian as i32;
    let (year, month, day) = julian::date_of(julian);
    let fields = Fields {
        year,
        month,
        day,
        hour: time / MICROS_PER_HOUR,
        minute: (time % MICROS_PER_HOUR / MICROS_PER_MINUTE) as i32,
        second: (time % MICROS_PER_MINUTE / MICROS_PER_SECOND) as i32,
        micros: (time % MICROS_PER_SECOND) as i32,
        day_of_year: julian - julian::day_of(year, 1, 1) + 1,
        week_day: julian::week_day(julian),
        zone,
        is_interval: false,
    };
    fields.write(template, out)
}

/// Writes an interval as a template says: `to_char(interval, text)`. For an empty template PostgreSQL answers NULL.
///
/// # Errors
/// 22007 for a pattern that an interval has no field for.
pub fn write_interval(interval: Interval, template: &str, out: &mut String) -> Result<()> {
    let time = interval.micros;
    let fields = Fields {
        year: interval.months / MONTHS_PER_YEAR,
        month: interval.months % MONTHS_PER_YEAR,
        day: interval.days,
        hour: time / MICROS_PER_HOUR,
        minute: (time % MICROS_PER_HOUR / MICROS_PER_MINUTE) as i32,
        second: (time % MICROS_PER_MINUTE / MICROS_PER_SECOND) as i32,
        micros: (time % MICROS_PER_SECOND) as i32,
        day_of_year: interval.months.wrapping_mul(DAYS_PER_MONTH).wrapping_add(interval.days),
        week_day: 0,
        zone: None,
        is_interval: true,
    };
    fields.write(template, out)
}

impl Fields<'_> {
    fn write(&self, template: &str, out: &mut String) -> Result<()> {
        for node in keywords::parse(template)? {
            match node {
                Node::Space(text) | Node::Separator(text) | Node::Character(text) => out.push_str(text),
                Node::Pattern(pattern) => self.write_pattern(&pattern, out)?,
            }
        }
        Ok(())
    }

    fn write_pattern(&self, pattern: &Pattern<'_>, out: &mut String) -> Result<()> {
        match pattern.field {
            Field::Exact => Ok(()),
            Field::HalfDay | Field::Era => self.write_half(pattern, out),
            Field::ZoneName | Field::ZoneHour | Field::ZoneMinute | Field::ZoneOffset => self.write_zone(pattern, out),
            Field::MonthName | Field::MonthShort | Field::DayName | Field::DayShort => self.write_name(pattern, out),
            Field::RomanMonth => {
                self.write_roman_month(pattern, out);
                Ok(())
            }
            field => {
                let begin = out.len();
                self.write_number(field, pattern, out)?;
                if let Some(letters) = pattern.ordinal
                    && out.len() > begin
                {
                    out.push_str(ordinal(&out[begin..], letters)?);
                }
                Ok(())
            }
        }
    }

    /// A pattern of the calendar says nothing of an interval.
    fn require_date(&self) -> Result<()> {
        if !self.is_interval {
            return Ok(());
        }
        let message = "invalid format specification for an interval value";
        let error = Error::invalid(SqlState::INVALID_DATETIME_FORMAT, message);
        Err(error.with_hint("Intervals are not tied to specific calendar dates."))
    }

    fn write_half(&self, pattern: &Pattern<'_>, out: &mut String) -> Result<()> {
        let half = if pattern.field == Field::HalfDay {
            if self.hour % 24 >= 12 { "P.M." } else { "A.M." }
        } else {
            self.require_date()?;
            if self.year <= 0 { "B.C." } else { "A.D." }
        };
        let letters = half
            .chars()
            .filter(|letter| *letter != '.' || pattern.name.contains('.'));
        match pattern.letters() {
            Letters::Lower => out.extend(letters.map(|letter| letter.to_ascii_lowercase())),
            _ => out.extend(letters),
        }
        Ok(())
    }

    fn write_zone(&self, pattern: &Pattern<'_>, out: &mut String) -> Result<()> {
        self.require_date()?;
        let (offset, name) = self.zone.unwrap_or((0, ""));
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.unsigned_abs() / 3600, offset.unsigned_abs() % 3600 / 60);
        match pattern.field {
            Field::ZoneName if pattern.letters() == Letters::Upper => out.push_str(name),
            Field::ZoneName => out.push_str(&name.to_ascii_lowercase()),
            Field::ZoneHour => append(out, format_args!("{sign}{hours:02}")),
            Field::ZoneMinute => append(out, format_args!("{minutes:02}")),
            _ => {
                let width = if pattern.is_filled { 0 } else { 2 };
                append(out, format_args!("{sign}{hours:0width$}"));
                if !offset.unsigned_abs().is_multiple_of(3600) {
                    append(out, format_args!(":{minutes:02}"));
                }
            }
        }
        Ok(())
    }

    fn write_name(&self, pattern: &Pattern<'_>, out: &mut String) -> Result<()> {
        self.require_date()?;
        let name = match pattern.field {
            Field::MonthName | Field::MonthShort => MONTHS[self.month as usize - 1],
            _ => DAYS[self.week_day as usize],
        };
        let is_short = matches!(pattern.field, Field::MonthShort | Field::DayShort);
        let name = if is_short { &name[..SHORT] } else { name };
        match pattern.letters() {
            Letters::Upper => out.push_str(&name.to_ascii_uppercase()),
            Letters::Capitalized => out.push_str(name),
            Letters::Lower => out.push_str(&name.to_ascii_lowercase()),
        }
        if !is_short && !pattern.is_filled && !pattern.is_translated {
            out.extend(std::iter::repeat_n(' ', NAME_WIDTH - name.len()));
        }
        Ok(())
    }

    /// An interval of whole years is in its last month, and of a negative one months are counted from December back.
    fn write_roman_month(&self, pattern: &Pattern<'_>, out: &mut String) {
        let index = match self.month {
            0 if self.year == 0 => return,
            0 if self.year > 0 => 0,
            0 => MONTHS_PER_YEAR - 1,
            month if month < 0 => -(month + 1),
            month => MONTHS_PER_YEAR - month,
        };
        let name = ROMAN_MONTHS[index as usize];
        let width = if pattern.is_filled { 0 } else { ROMAN_WIDTH };
        match pattern.letters() {
            Letters::Lower => append(out, format_args!("{:width$}", name.to_ascii_lowercase())),
            _ => append(out, format_args!("{name:width$}")),
        }
    }

    /// The year as it is shown, which is positive before Christ, too.
    fn shown_year(&self, year: i32) -> i32 {
        match self.is_interval || year > 0 {
            true => year,
            false => 1 - year,
        }
    }

    fn write_number(&self, field: Field, pattern: &Pattern<'_>, out: &mut String) -> Result<()> {
        let padded = |out: &mut String, value: i64, width: usize| {
            let width = if pattern.is_filled { 0 } else { width };
            append(out, format_args!("{value:0width$}"));
        };
        // The sign of some fields has a place of its own: that of the whole field, which the shown part may have lost.
        let signed = |out: &mut String, value: i64, whole: i64, width: usize| {
            padded(out, value, width + usize::from(whole < 0));
        };
        let iso = || julian::iso_date_of(self.year, self.month, self.day);
        let year = |out: &mut String, year: i32, digits: u8| {
            let shown = i64::from(self.shown_year(year));
            let last = if digits == 4 {
                shown
            } else {
                shown % 10_i64.pow(digits.into())
            };
            match digits {
                1 => append(out, format_args!("{last}")),
                // The sign's place is that of the year, also for the ISO year.
                _ => signed(out, last, self.shown_year(self.year).into(), digits.into()),
            }
        };
        match field {
            Field::Hour12 if self.hour % 12 == 0 => signed(out, 12, self.hour, 2),
            Field::Hour12 => signed(out, self.hour % 12, self.hour, 2),
            Field::Hour24 => signed(out, self.hour, self.hour, 2),
            Field::Minute => signed(out, self.minute.into(), self.minute.into(), 2),
            Field::Second => signed(out, self.second.into(), self.second.into(), 2),
            Field::Month => signed(out, self.month.into(), self.month.into(), 2),
            Field::Century => signed(out, self.century().into(), self.century().into(), 2),
            Field::Day => padded(out, self.day.into(), 2),
            Field::DayOfYear => padded(out, self.day_of_year.into(), 3),
            Field::DayOfIsoYear => padded(out, iso().2.into(), 3),
            Field::WeekOfYear => padded(out, (self.day_of_year.wrapping_sub(1) / 7 + 1).into(), 2),
            Field::IsoWeek => padded(out, iso().1.into(), 2),
            Field::Year(digits) => year(out, self.year, digits),
            Field::IsoYear(digits) => year(out, iso().0, digits),
            _ => return self.write_plain(field, out),
        }
        Ok(())
    }

    /// What is never padded, and the fraction's zeros, which are no padding: `FM` keeps them.
    fn write_plain(&self, field: Field, out: &mut String) -> Result<()> {
        let fraction = |digits: u8| self.micros / 10_i32.pow(6 - u32::from(digits));
        match field {
            Field::YearWithComma => {
                let year = self.shown_year(self.year);
                append(out, format_args!("{},{:03}", year / 1000, year % 1000));
            }
            Field::Millisecond => append(out, format_args!("{:03}", fraction(3))),
            Field::Microsecond => append(out, format_args!("{:06}", fraction(6))),
            Field::Fraction(digits) => append(out, format_args!("{:0width$}", fraction(digits), width = digits.into())),
            Field::SecondOfDay => {
                let seconds = self.hour * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
                append(out, format_args!("{seconds}"));
            }
            Field::WeekDay | Field::IsoWeekDay => {
                self.require_date()?;
                let day = match (field, self.week_day) {
                    (Field::WeekDay, day) => day + 1,
                    (_, 0) => 7,
                    (_, day) => day,
                };
                append(out, format_args!("{day}"));
            }
            Field::WeekOfMonth => append(out, format_args!("{}", self.day.wrapping_sub(1) / 7 + 1)),
            // An interval without months is in no quarter.
            Field::Quarter if self.month == 0 => {}
            Field::Quarter => append(out, format_args!("{}", (self.month - 1) / 3 + 1)),
            Field::Julian => append(out, format_args!("{}", julian::day_of(self.year, self.month, self.day))),
            _ => {}
        }
        Ok(())
    }

    fn century(&self) -> i32 {
        match self.year {
            year if self.is_interval => year / 100,
            year if year > 0 => (year - 1) / 100 + 1,
            year => year / 100 - 1,
        }
    }
}
