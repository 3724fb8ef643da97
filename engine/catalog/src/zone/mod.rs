//! Time zones: what the clocks of a place show at a moment, and when they show it.
//!
//! **Vocabulary.** A *moment* is a point of time, in microseconds since 1970-01-01 00:00:00 UTC: a `timestamptz`. What clocks show, a
//! *local* time, is in microseconds since their 1970-01-01 00:00:00: a `timestamp`. An *offset* is in seconds east of Greenwich.
//!
//! A zone of AT TIME ZONE is, in this order,
//!
//! 1. an abbreviation of PostgreSQL's default set: an offset, whatever the time of year,
//! 2. a name of the time zone database, in any case,
//! 3. an offset as POSIX writes it, maybe behind a name of its own: hours *west* of Greenwich, so that `-02:30` is east of it.
//!
//! The setting `TimeZone` knows no abbreviations, and takes a bare number for hours *east* of Greenwich.
//!
//! **Guarantees.** Where clocks are set forward, a time that they leave out is taken as if they were not set yet; where they are set
//! back, a time that they show twice is the second one. The rules of a zone go on for ever: the database's tables end in 2099, and later years are
//! looked up in an earlier one whose days are the same.
//!
//! Left out: rules in the text of a zone (`EST5EDT,M3.2.0,M11.1.0`), and zones as they were before 1970 where the database has joined
//! them with others.

mod abbreviations;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use aion_base::{Error, Result, SqlState};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::OffsetName;

use crate::text::{civil_from_days, days_from_civil};

/// Seconds that an offset has at most: a week.
const OFFSET_SECONDS_MAX: i64 = 7 * 24 * 3_600;
const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// From this year on a year is looked up as one of the 28 before it: no century that is no leap year lies between, so each calendar is
/// among them.
const MAPPED_FROM_YEAR: i64 = 2091;
const CALENDARS: i64 = 28;
/// Their clocks follow the moon until 2087, by tables, and then stand still.
const UNMAPPED: [chrono_tz::Tz; 2] = [chrono_tz::Tz::Africa__Casablanca, chrono_tz::Tz::Africa__El_Aaiun];

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// Seconds east of Greenwich.
    Fixed(i64),
    /// Of the time zone database.
    Named(chrono_tz::Tz),
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
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
    /// What a database's sessions have unless they say otherwise.
    pub const UTC: Self = Self::Named(chrono_tz::Tz::UTC);

    /// The zone that a text names.
    ///
    /// # Errors
    /// 22023 where it names none.
    pub fn parse(text: &str) -> Result<Self> {
        let name = text.to_ascii_lowercase();
        Self::of_name(&name)
            .or_else(|| posix_offset(&name).map(Self::Fixed))
            .ok_or_else(|| unknown(text))
    }

    /// The zone of an abbreviation or a name of the database, in small letters.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        match ABBREVIATIONS.get(name) {
            Some(zone) => Some(*zone),
            None => NAMED.get(name).copied().map(Self::Named),
        }
    }

    /// The zone that the setting `TimeZone` names, and the setting's value as SHOW prints it; None where it names none.
    pub fn setting(text: &str) -> Option<(Self, String)> {
        if let Ok(hours) = text.trim().parse::<f64>() {
            let seconds = hours * 3_600.0;
            // Truncated, as PostgreSQL has it.
            let zone = (seconds.abs() < OFFSET_SECONDS_MAX as f64).then_some(Self::Fixed(seconds as i64))?;
            return Some((zone, zone.name().into_owned()));
        }
        if let Some(zone) = NAMED.get(&text.to_ascii_lowercase()) {
            return Some((Self::Named(*zone), zone.name().to_owned()));
        }
        // Seconds are taken for leap seconds.
        let seconds = posix_offset(&text.to_ascii_lowercase()).filter(|seconds| seconds % 60 == 0)?;
        Some((Self::Fixed(seconds), text.to_ascii_uppercase()))
    }

    /// The zone of an interval, which is an offset.
    ///
    /// # Errors
    /// 22023 for months and days.
    pub fn of_interval(interval: crate::interval::Interval) -> Result<Self> {
        if interval.months == 0 && interval.days == 0 {
            return Ok(Self::Fixed(interval.micros / MICROS_PER_SECOND));
        }
        let mut text = String::new();
        crate::text::write_interval(interval, &mut text);
        Err(Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("interval time zone \"{text}\" must not include months or days"),
        ))
    }

    /// A name that [`Zone::setting`] takes.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Named(zone) => Cow::Borrowed(zone.name()),
            Self::Fixed(seconds) => {
                let digits = digits_of(seconds);
                let (east, west) = if seconds < 0 { ('-', '+') } else { ('+', '-') };
                Cow::Owned(format!("<{east}{digits}>{west}{digits}"))
            }
        }
    }

    /// Whether clocks show UTC.
    pub fn is_utc(self) -> bool {
        self == Self::UTC || self == Self::Fixed(0)
    }

    /// Seconds by which clocks are ahead of UTC at a moment.
    ///
    /// # Errors
    /// 22008 for a moment that is out of range.
    pub fn offset(self, moment: i64) -> Result<i64> {
        match self {
            Self::Fixed(seconds) => Ok(seconds),
            Self::Named(chrono_tz::Tz::UTC) => Ok(0),
            Self::Named(zone) => Ok(seconds(
                &zone.offset_from_utc_datetime(&date_time(mapped(zone, moment))?),
            )),
        }
    }

    /// What its clocks are called at a moment: `CEST`, or `+02` where they have no name.
    ///
    /// # Errors
    /// 22008 for a moment that is out of range.
    pub fn abbreviation(self, moment: i64) -> Result<String> {
        let offset = match self {
            Self::Fixed(seconds) => seconds,
            Self::Named(zone) => {
                let offset = zone.offset_from_utc_datetime(&date_time(mapped(zone, moment))?);
                match offset.abbreviation() {
                    Some(name) => return Ok(name.to_owned()),
                    None => seconds(&offset),
                }
            }
        };
        let sign = if offset < 0 { '-' } else { '+' };
        Ok(format!("{sign}{}", digits_of(offset)))
    }

    /// What its clocks show at a moment.
    ///
    /// # Errors
    /// 22008 out of range.
    pub fn to_local(self, moment: i64) -> Result<i64> {
        let shown = moment.checked_add(self.offset(moment)? * MICROS_PER_SECOND);
        shown.ok_or_else(out_of_range)
    }

    /// The moment at which its clocks show a time.
    ///
    /// # Errors
    /// 22008 out of range.
    pub fn to_moment(self, local: i64) -> Result<i64> {
        let seconds = match self {
            Self::Fixed(seconds) => seconds,
            Self::Named(chrono_tz::Tz::UTC) => 0,
            Self::Named(zone) => {
                let shown = date_time(mapped(zone, local))?;
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
        local.checked_sub(seconds * MICROS_PER_SECOND).ok_or_else(out_of_range)
    }
}

/// Hours, and minutes and seconds where there are some, of an offset without its sign.
fn digits_of(offset: i64) -> String {
    let mut digits = format!("{:02}", offset.abs() / 3_600);
    let rest = offset.abs() % 3_600;
    if rest != 0 {
        digits.push_str(&format!(":{:02}", rest / 60));
    }
    if rest % 60 != 0 {
        digits.push_str(&format!(":{:02}", rest % 60));
    }
    digits
}

/// Seconds east of Greenwich.
fn seconds(offset: &impl Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc())
}

fn date_time(micros: i64) -> Result<NaiveDateTime> {
    let moment = DateTime::from_timestamp_micros(micros).ok_or_else(out_of_range)?;
    Ok(moment.naive_utc())
}

/// The time in a year that the database has, on the same day of a year with the same calendar.
fn mapped(zone: chrono_tz::Tz, micros: i64) -> i64 {
    let days = micros.div_euclid(MICROS_PER_DAY);
    let (year, month, day) = civil_from_days(days);
    if year < MAPPED_FROM_YEAR || UNMAPPED.contains(&zone) {
        return micros;
    }
    let calendar = |year| {
        let first = days_from_civil(year, 1, 1);
        (first.rem_euclid(7), days_from_civil(year + 1, 1, 1) - first)
    };
    let wanted = calendar(year);
    let same = (1..=CALENDARS).map(|back| MAPPED_FROM_YEAR - back);
    let same = same.into_iter().find(|year| calendar(*year) == wanted);
    let same = same.expect("each calendar is among 28 years in a row");
    micros - (days - days_from_civil(same, month, day)) * MICROS_PER_DAY
}

fn out_of_range() -> Error {
    Error::invalid(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

pub(crate) fn unknown(text: &str) -> Error {
    Error::invalid(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("time zone \"{text}\" not recognized"),
    )
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
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | ':'))
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
            ("<+05:30>-05:30", Some(19_800)),
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

    /// What PostgreSQL 15 shows after SET timezone.
    #[test]
    fn what_is_set_is_shown() {
        for (text, shown, seconds) in [
            ("3", "<+03>-03", 10_800),
            ("-3.5", "<-03:30>+03:30", -12_600),
            ("0", "<+00>-00", 0),
            ("+5.75", "<+05:45>-05:45", 20_700),
            ("utc+3", "UTC+3", -10_800),
            ("foo-3:30", "FOO-3:30", 12_600),
            ("3:30", "3:30", -12_600),
            ("<+03>-03", "<+03>-03", 10_800),
            ("est", "EST", -18_000),
        ] {
            let (zone, canonical) = Zone::setting(text).expect(text);
            assert_eq!((zone.offset(0).expect("in range"), &*canonical), (seconds, shown));
            let again = Zone::setting(&zone.name()).expect("its own name");
            assert_eq!(again.0, zone, "{text}");
        }
        let berlin = Zone::setting("europe/BERLIN").expect("a zone");
        assert_eq!(berlin.1, "Europe/Berlin");
        for text in ["", "CEST", "Mars/Olympus", "foo-3:30:15", "200", "z", "nan"] {
            assert_eq!(Zone::setting(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_comes_back_but_from_a_gap() {
        let zone = Zone::parse("europe/BERLIN").expect("a zone");
        // All half hours of 2024, in which the clocks are set twice, and of a year that the database does not have.
        for year in [2024, 2152] {
            let first = days_from_civil(year, 1, 1) * MICROS_PER_DAY;
            let mut times = 0;
            for half_hour in 0..366 * 48 {
                let moment = first + half_hour * 1_800_000_000;
                let local = zone.to_local(moment).expect("in range");
                let back = zone.to_moment(local).expect("in range");
                times += i32::from(back != moment);
                assert!(back == moment || back == moment + 3_600_000_000, "{moment}");
            }
            assert_eq!(times, 2, "the hour that the clocks of {year} show twice");
        }
        assert_eq!(
            zone.to_local(i64::MAX).map_err(|error| error.state()),
            Err(SqlState::DATETIME_FIELD_OVERFLOW)
        );
    }
}
