//! The text form of `interval`, `intervalstyle` postgres.
//!
//! ```text
//! input   {[+-] number [unit] | [+-] years '-' months | [+-] time} ['ago']
//!       | 'P' {number ('Y' | 'M' | 'W' | 'D')} ['T' {number ('H' | 'M' | 'S')}]         ISO 8601 4.4.3.2
//!       | 'P' years ['-' months ['-' days]] ['T' hours [':' minutes [':' seconds]]]     ISO 8601 4.4.3.3, also YYYYMMDD and HHMMSS
//! time    hours ':' minutes [':' seconds] | minutes ':' seconds '.' fraction
//! output  [years] [months] [days] [time]                                              1 year 2 mons -3 days +04:05:06.7
//! ```
//!
//! 1. Text is cut into numbers, signed numbers and words; other punctuation is a separator (`@ 1 day, 2 hours`).
//! 2. They are read from right to left, as PostgreSQL does it: a unit stands behind its number. No unit may come twice. A
//!    number without one has that of what stands behind it; before a time it is days, at the end seconds.
//! 3. Fractions spill into the smaller fields, in doubles.
//!
//! Errors: 22007 malformed, 22015 a number out of range, 22008 an interval out of range.

use aion_base::{Error, Result, SqlState};

use super::{append, quoted};
use crate::interval::{
    DAYS_PER_MONTH, Interval, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, MONTHS_PER_YEAR,
    Unit,
};

/// Of a word, as many characters count as PostgreSQL's tables of words have.
const WORD_BYTES_MAX: usize = 10;
/// Text of more tokens is no interval.
const TOKENS_MAX: usize = 25;
/// ISO 8601 numbers are read as doubles, and are less than this.
const ISO_NUMBER_MAX: f64 = 1e15;

/// Reads an `interval`.
pub fn parse_interval(text: &str) -> Result<Interval> {
    let fields = match read_fields(text) {
        Err(Problem::Malformed) => read_iso(text.as_bytes()),
        other => other,
    };
    match fields {
        Ok(fields) => {
            let months = i64::from(fields.years) * i64::from(MONTHS_PER_YEAR) + i64::from(fields.months);
            Interval::narrowed(months, fields.days.into(), fields.micros)
        }
        Err(Problem::Malformed) => Err(Error::invalid(
            SqlState::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type interval: {}", quoted(text)),
        )),
        Err(Problem::OutOfRange) => Err(Error::invalid(
            SqlState::INTERVAL_FIELD_OVERFLOW,
            format!("interval field value out of range: {}", quoted(text)),
        )),
    }
}

/// The unit of a name or an abbreviation, in lower case.
pub(crate) fn unit_of(word: &str) -> Option<Unit> {
    let end = word.floor_char_boundary(WORD_BYTES_MAX);
    Some(match &word[..end] {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => Unit::Microsecond,
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" => Unit::Millisecond,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "qtr" | "quarter" => Unit::Quarter,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
        _ => return None,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Malformed,
    OutOfRange,
}

/// The fields while they are summed up, each of which must hold its sum.
#[derive(Clone, Copy, Default)]
struct Fields {
    years: i32,
    months: i32,
    days: i32,
    micros: i64,
}

impl Fields {
    /// Adds a number of this unit, its fraction apart.
    fn add(&mut self, unit: Unit, whole: i64, fraction: f64) -> Result<(), Problem> {
        match unit {
            Unit::Microsecond => self.add_micros(whole, fraction, 1),
            Unit::Millisecond => self.add_micros(whole, fraction, 1_000),
            Unit::Second => self.add_micros(whole, fraction, MICROS_PER_SECOND),
            Unit::Minute => self.add_micros(whole, fraction, MICROS_PER_MINUTE),
            Unit::Hour => self.add_micros(whole, fraction, MICROS_PER_HOUR),
            Unit::Day => {
                add_product(&mut self.days, whole, 1)?;
                self.add_micros(0, fraction, MICROS_PER_DAY)
            }
            Unit::Week => {
                add_product(&mut self.days, whole, 7)?;
                self.add_days(fraction * 7.0)
            }
            Unit::Month => {
                add_product(&mut self.months, whole, 1)?;
                self.add_days(fraction * f64::from(DAYS_PER_MONTH))
            }
            Unit::Quarter => Err(Problem::Malformed),
            Unit::Year => self.add_years(whole, fraction, 1),
            Unit::Decade => self.add_years(whole, fraction, 10),
            Unit::Century => self.add_years(whole, fraction, 100),
            Unit::Millennium => self.add_years(whole, fraction, 1000),
        }
    }

    fn add_years(&mut self, whole: i64, fraction: f64, years: i32) -> Result<(), Problem> {
        add_product(&mut self.years, whole, years.into())?;
        let months = (fraction * f64::from(years) * f64::from(MONTHS_PER_YEAR)).round_ties_even();
        add_product(&mut self.months, months as i64, 1)
    }

    /// Adds days with a fraction.
    fn add_days(&mut self, days: f64) -> Result<(), Problem> {
        add_product(&mut self.days, days.trunc() as i64, 1)?;
        self.add_micros(0, days - days.trunc(), MICROS_PER_DAY)
    }

    fn add_micros(&mut self, whole: i64, fraction: f64, micros: i64) -> Result<(), Problem> {
        add_product(&mut self.micros, whole, micros)?;
        let scaled = fraction * micros as f64;
        let rest = scaled - scaled.trunc();
        let rounded = scaled.trunc() as i64 + i64::from(rest > 0.5) - i64::from(rest < -0.5);
        add_product(&mut self.micros, rounded, 1)
    }

    fn negated(self) -> Option<Self> {
        Some(Self {
            years: self.years.checked_neg()?,
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            micros: self.micros.checked_neg()?,
        })
    }
}

/// Adds a product to a field.
fn add_product<T: Copy + Into<i64> + TryFrom<i64>>(field: &mut T, value: i64, factor: i64) -> Result<(), Problem> {
    let sum = value
        .checked_mul(factor)
        .and_then(|product| (*field).into().checked_add(product))
        .and_then(|sum| T::try_from(sum).ok());
    *field = sum.ok_or(Problem::OutOfRange)?;
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    /// Digits, perhaps with a point, colons or dashes between them; a sign before them, perhaps.
    Number(&'a str),
    Word(&'a str),
}

/// Cuts text into tokens.
fn tokens(text: &str) -> Result<Vec<(Option<u8>, Token<'_>)>, Problem> {
    let mut tokens = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    let run = |from: usize, is_in: &dyn Fn(u8) -> bool| bytes[from..].iter().take_while(|byte| is_in(**byte)).count();
    while let Some(&byte) = bytes.get(at) {
        let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'-');
        let mut sign = None;
        if matches!(byte, b'+' | b'-') {
            sign = Some(byte);
            at += 1 + run(at + 1, &|byte| byte.is_ascii_whitespace());
            if !bytes.get(at).is_some_and(u8::is_ascii_digit) {
                return Err(Problem::Malformed);
            }
        }
        let token = match bytes.get(at) {
            Some(b'0'..=b'9' | b'.') => {
                let length = run(at, &is_part);
                at += length;
                Token::Number(&text[at - length..at])
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                let length = run(at, &|byte| byte.is_ascii_alphabetic());
                at += length;
                // A date with the name of a month, or a zone with an offset, would begin so.
                if matches!(bytes.get(at), Some(b'-' | b'/' | b'.' | b'+')) {
                    return Err(Problem::Malformed);
                }
                Token::Word(&text[at - length..at])
            }
            Some(byte) if byte.is_ascii_whitespace() || byte.is_ascii_punctuation() || *byte == 0xb => {
                at += 1;
                continue;
            }
            _ => return Err(Problem::Malformed),
        };
        tokens.push((sign, token));
        if tokens.len() > TOKENS_MAX {
            return Err(Problem::Malformed);
        }
    }
    Ok(tokens)
}

/// What was given already: a bit for each unit, and more than one for a time or a second with a fraction.
#[derive(Default)]
struct Given(u16);

impl Given {
    fn add(&mut self, units: &[Unit]) -> Result<(), Problem> {
        let mask = units.iter().fold(0, |mask, unit| mask | 1 << *unit as u16);
        if self.0 & mask != 0 {
            return Err(Problem::Malformed);
        }
        self.0 |= mask;
        Ok(())
    }
}

const TIME_UNITS: [Unit; 5] = [
    Unit::Hour,
    Unit::Minute,
    Unit::Second,
    Unit::Millisecond,
    Unit::Microsecond,
];

fn read_fields(text: &str) -> Result<Fields, Problem> {
    let mut fields = Fields::default();
    let mut given = Given::default();
    let mut unit = None;
    let mut is_ago = false;
    for (sign, token) in tokens(text)?.into_iter().rev() {
        let is_negative = sign == Some(b'-');
        match token {
            Token::Word(word) => {
                let word = word.to_ascii_lowercase();
                if word == "ago" {
                    is_ago = true;
                    unit = Some(Unit::Second);
                } else {
                    unit = Some(unit_of(&word).ok_or(Problem::Malformed)?);
                }
            }
            Token::Number(number) if number.contains(':') => {
                let micros = read_time(number)?;
                add_product(&mut fields.micros, micros, if is_negative { -1 } else { 1 })?;
                given.add(&TIME_UNITS)?;
                unit = Some(Unit::Day);
            }
            Token::Number(number) => {
                let number = Number::read(number, is_negative)?;
                let of = if number.is_months {
                    Unit::Month
                } else {
                    unit.unwrap_or(Unit::Second)
                };
                unit = Some(of);
                fields.add(of, number.whole, number.fraction)?;
                match of {
                    Unit::Second if number.fraction != 0.0 => given.add(&TIME_UNITS[2..])?,
                    of => given.add(&[of])?,
                }
            }
        }
    }
    if given.0 == 0 {
        return Err(Problem::Malformed);
    }
    if is_ago {
        return fields.negated().ok_or(Problem::OutOfRange);
    }
    Ok(fields)
}

struct Number {
    whole: i64,
    fraction: f64,
    /// Whether it was years and months, `1-2`.
    is_months: bool,
}

impl Number {
    fn read(text: &str, is_negative: bool) -> Result<Self, Problem> {
        let end = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = text.split_at(end);
        let mut whole = integer(digits)?;
        let mut fraction = 0.0;
        let mut is_months = false;
        match rest.as_bytes() {
            [] => {}
            [b'.', decimals @ ..] if decimals.iter().all(u8::is_ascii_digit) => {
                if !decimals.is_empty() {
                    fraction = rest.parse().map_err(|_| Problem::Malformed)?;
                }
            }
            [b'-', ..] => {
                let months = &rest[1..];
                if months
                    .strip_prefix('-')
                    .is_some_and(|months| months.starts_with(|c: char| c.is_ascii_digit()))
                {
                    return Err(Problem::OutOfRange);
                }
                if !months.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Problem::Malformed);
                }
                let months = integer(months)?;
                if months >= MONTHS_PER_YEAR.into() {
                    return Err(Problem::OutOfRange);
                }
                is_months = true;
                let years = whole.checked_mul(MONTHS_PER_YEAR.into());
                whole = years
                    .and_then(|years| years.checked_add(months))
                    .ok_or(Problem::OutOfRange)?;
            }
            _ => return Err(Problem::Malformed),
        }
        let sign = if is_negative { -1 } else { 1 };
        Ok(Self {
            whole: whole * sign,
            fraction: fraction * sign as f64,
            is_months,
        })
    }
}

/// The integer of digits, of which there may be none.
fn integer(digits: &str) -> Result<i64, Problem> {
    if digits.is_empty() {
        return Ok(0);
    }
    digits.parse().map_err(|_| Problem::OutOfRange)
}

/// The microseconds of a time; its hours are any number.
fn read_time(text: &str) -> Result<i64, Problem> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = [0; 3];
    let mut count = 0;
    for part in clock.split(':') {
        if count == parts.len() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Problem::Malformed);
        }
        parts[count] = integer(part)?;
        count += 1;
    }
    let [hour, minute, second] = match (count, fraction) {
        (2, Some(_)) => [0, parts[0], parts[1]],
        _ => parts,
    };
    let micros = match fraction {
        Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => return Err(Problem::Malformed),
        Some(digits) => {
            let fraction: f64 = format!("0.{digits}").parse().map_err(|_| Problem::Malformed)?;
            (fraction * 1e6).round_ties_even() as i64
        }
        None => 0,
    };
    if minute > 59 || second > 60 {
        return Err(Problem::OutOfRange);
    }
    let mut sum = 0;
    add_product(&mut sum, hour, MICROS_PER_HOUR)?;
    add_product(&mut sum, minute, MICROS_PER_MINUTE)?;
    add_product(&mut sum, second, MICROS_PER_SECOND)?;
    add_product(&mut sum, micros, 1)?;
    Ok(sum)
}

/// Reads an interval of ISO 8601.
fn read_iso(text: &[u8]) -> Result<Fields, Problem> {
    let Some(mut rest) = text.strip_prefix(b"P").filter(|rest| !rest.is_empty()) else {
        return Err(Problem::Malformed);
    };
    let mut fields = Fields::default();
    // Of the date, then of the time, whether a field was given.
    let (mut is_time, mut has_field) = (false, false);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix(b"T") {
            (rest, is_time, has_field) = (time, true, false);
            continue;
        }
        let field = rest;
        let (whole, fraction) = iso_number(&mut rest)?;
        let designator = rest.first().copied();
        let unit = match (is_time, designator) {
            (false, Some(b'Y')) => Unit::Year,
            (false, Some(b'M')) => Unit::Month,
            (false, Some(b'W')) => Unit::Week,
            (false, Some(b'D')) => Unit::Day,
            (true, Some(b'H')) => Unit::Hour,
            (true, Some(b'M')) => Unit::Minute,
            (true, Some(b'S')) => Unit::Second,
            _ if has_field => return Err(Problem::Malformed),
            _ => {
                iso_alternative(&mut fields, is_time, field, (whole, fraction), &mut rest)?;
                continue;
            }
        };
        fields.add(unit, whole, fraction)?;
        rest = &rest[1..];
        has_field = true;
    }
    Ok(fields)
}

/// Reads what follows the first number of the form without designators, up to the time or the end.
fn iso_alternative(
    fields: &mut Fields,
    is_time: bool,
    field: &[u8],
    (whole, fraction): (i64, f64),
    rest: &mut &[u8],
) -> Result<(), Problem> {
    let (units, separator, width) = if is_time {
        ([Unit::Hour, Unit::Minute, Unit::Second], b':', 6)
    } else {
        ([Unit::Year, Unit::Month, Unit::Day], b'-', 8)
    };
    let is_end = |rest: &[u8]| rest.is_empty() || !is_time && rest[0] == b'T';
    let digits = field
        .strip_prefix(b"-")
        .unwrap_or(field)
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    if is_end(rest) && digits.count() == width {
        fields.add(units[0], whole / 10_000, 0.0)?;
        fields.add(units[1], whole / 100 % 100, 0.0)?;
        fields.add(units[2], whole % 100, 0.0)?;
        // PostgreSQL takes the fraction of HHMMSS for one of a microsecond.
        let of = if is_time { Unit::Microsecond } else { Unit::Day };
        return fields.add(of, 0, fraction);
    }
    fields.add(units[0], whole, fraction)?;
    for unit in &units[1..] {
        if is_end(rest) {
            return Ok(());
        }
        *rest = rest.strip_prefix(&[separator]).ok_or(Problem::Malformed)?;
        let (whole, fraction) = iso_number(rest)?;
        fields.add(*unit, whole, fraction)?;
    }
    if is_end(rest) { Ok(()) } else { Err(Problem::Malformed) }
}

fn iso_number(rest: &mut &[u8]) -> Result<(i64, f64), Problem> {
    let length = rest
        .iter()
        .enumerate()
        .take_while(|(at, byte)| byte.is_ascii_digit() || **byte == b'.' || *at == 0 && **byte == b'-')
        .count();
    let number: Option<f64> = std::str::from_utf8(&rest[..length])
        .ok()
        .and_then(|text| text.parse().ok());
    let number = number.ok_or(Problem::Malformed)?;
    *rest = &rest[length..];
    if number.abs() > ISO_NUMBER_MAX {
        return Err(Problem::OutOfRange);
    }
    Ok((number.trunc() as i64, number - number.trunc()))
}

/// Writes an `interval`: each field with its sign, which a field behind a negative one shows also where it is positive.
pub fn write_interval(interval: Interval, out: &mut String) {
    let start = out.len();
    let mut is_after_negative = false;
    let (years, months) = (interval.months / MONTHS_PER_YEAR, interval.months % MONTHS_PER_YEAR);
    for (value, name) in [(years, "year"), (months, "mon"), (interval.days, "day")] {
        if value == 0 {
            continue;
        }
        let space = if out.len() > start { " " } else { "" };
        let plus = if is_after_negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        append(out, format_args!("{space}{plus}{value} {name}{plural}"));
        is_after_negative = value < 0;
    }
    if interval.micros == 0 && out.len() > start {
        return;
    }
    let space = if out.len() > start { " " } else { "" };
    let sign = match interval.micros {
        ..0 => "-",
        _ if is_after_negative => "+",
        _ => "",
    };
    let micros = interval.micros.unsigned_abs();
    let (seconds, mut fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    append(out, format_args!("{space}{sign}{hour:02}:{minute:02}:{second:02}"));
    if fraction != 0 {
        let mut width = 6;
        while fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        append(out, format_args!(".{fraction:0width$}"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(interval: Interval) -> String {
        let mut out = String::new();
        write_interval(interval, &mut out);
        out
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(months in any::<i32>(), days in any::<i32>(), micros in -i64::MAX..=i64::MAX) {
            let interval = Interval { months, days, micros };
            prop_assert_eq!(parse_interval(&text(interval))?, interval);
        }

        #[test]
        fn noise_never_panics(input in "[-+0-9.:PYMWDTHS a-z@]{0,24}") {
            let _ = parse_interval(&input);
        }
    }
}
