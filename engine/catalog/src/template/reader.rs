//! Reads a text pattern by pattern, as a template of dates and times says.
//!
//! 1. A number is as long as its pattern, unless `FM` stands before it or something else than a digit is next in the template.
//! 2. Without `FX`, white space before and behind a pattern is passed over, a separator of the template stands for any separator of the text,
//!    or for none, and another character for any character, unless there was white space that the template does not speak of.
//! 3. Behind `FX` each of them stands for one character, whatever it is.
//! 4. The text may end before the template does, and the template before the text.

use aion_base::{Error, Result};

use super::input::{Read, malformed, out_of_range};
use super::keywords::{Field, Pattern};
use super::moment::{DAYS, MONTHS, ROMAN_MONTHS, SHORT};
use super::{Node, is_separator, is_space};

/// The text, and what was read of it.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// How many characters were passed over that the template does not speak of.
    skipped: i32,
    /// Behind `FX`.
    is_exact: bool,
    read: Read,
}

impl<'a> Reader<'a> {
    /// Reads the text as the nodes of a template say.
    pub fn read(text: &'a str, nodes: &[Node<'_, Pattern<'_>>]) -> Result<Read> {
        let mut reader = Self {
            text,
            at: 0,
            skipped: 0,
            is_exact: false,
            read: Read::default(),
        };
        reader.read_nodes(nodes)?;
        Ok(reader.read)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn first(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_character(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    fn skip_spaces(&mut self) {
        while self.first().is_some_and(is_space) {
            self.at += 1;
            self.skipped += 1;
        }
    }

    /// Until the text ends: what the template wants of it then is not read.
    fn read_nodes(&mut self, nodes: &[Node<'_, Pattern<'_>>]) -> Result<()> {
        for (index, node) in nodes.iter().enumerate() {
            if self.rest().is_empty() {
                break;
            }
            let is_exact_mark = matches!(node, Node::Pattern(pattern) if pattern.field == Field::Exact);
            let is_pattern = matches!(node, Node::Pattern(_));
            if !self.is_exact && !is_exact_mark && (is_pattern || index == 0) {
                self.skip_spaces();
            }
            match node {
                Node::Space(_) | Node::Separator(_) if !self.is_exact => {
                    if self.first().is_some_and(|byte| is_space(byte) || is_separator(byte)) {
                        self.at += 1;
                    } else {
                        self.skipped -= 1;
                    }
                }
                // What was passed over may be this one.
                Node::Character(_) if !self.is_exact && self.skipped > 0 => self.skipped -= 1,
                Node::Space(_) | Node::Separator(_) | Node::Character(_) => self.skip_character(),
                Node::Pattern(pattern) => {
                    self.enter_calendar(pattern)?;
                    self.read_pattern(pattern, ends_number(pattern, nodes.get(index + 1)))?;
                    if !self.is_exact {
                        self.skipped = 0;
                        self.skip_spaces();
                    }
                }
            }
        }
        Ok(())
    }

    fn enter_calendar(&mut self, pattern: &Pattern<'_>) -> Result<()> {
        let Some(calendar) = pattern.calendar() else {
            return Ok(());
        };
        if *self.read.calendar.get_or_insert(calendar) == calendar {
            return Ok(());
        }
        let hint = "Do not mix Gregorian and ISO week date conventions in a formatting template.";
        Err(malformed("invalid combination of date conventions".to_owned()).with_hint(hint))
    }

    fn read_pattern(&mut self, pattern: &Pattern<'_>, is_open: bool) -> Result<()> {
        match pattern.field {
            Field::Exact => self.is_exact = true,
            Field::HalfDay => {
                let words = if pattern.name.contains('.') {
                    ["a.m.", "p.m."]
                } else {
                    ["am", "pm"]
                };
                let half = self.word(&words, pattern)?;
                set(&mut self.read.half_day, half, pattern)?;
                self.read.is_hour_of_12 = true;
            }
            Field::Era => {
                let words = if pattern.name.contains('.') {
                    ["a.d.", "b.c."]
                } else {
                    ["ad", "bc"]
                };
                let era = self.word(&words, pattern)?;
                set(&mut self.read.era, era, pattern)?;
            }
            Field::MonthName | Field::MonthShort => {
                let is_short = pattern.field == Field::MonthShort;
                let month = self.word(
                    &MONTHS.map(|name| if is_short { &name[..SHORT] } else { name }),
                    pattern,
                )?;
                set(&mut self.read.month, month + 1, pattern)?;
            }
            Field::RomanMonth => {
                let month = self.word(&ROMAN_MONTHS, pattern)?;
                set(&mut self.read.month, 12 - month, pattern)?;
            }
            Field::DayName | Field::DayShort => {
                let is_short = pattern.field == Field::DayShort;
                let day = self.word(&DAYS.map(|name| if is_short { &name[..SHORT] } else { name }), pattern)?;
                set(&mut self.read.week_day, day, pattern)?;
                self.read.week_day += 1;
            }
            Field::ZoneName | Field::ZoneOffset => {
                let message = format!("formatting field \"{}\" is only supported in to_char", pattern.name);
                return Err(Error::unsupported(message));
            }
            Field::ZoneHour | Field::ZoneMinute => self.read_zone(pattern, is_open)?,
            field => {
                self.read_number(field, pattern, is_open)?;
                if pattern.ordinal.is_some() {
                    self.skip_character();
                    self.skip_character();
                }
            }
        }
        Ok(())
    }

    /// The index of the first of the words that the text goes on with, in capitals or small letters.
    fn word(&mut self, words: &[&str], pattern: &Pattern<'_>) -> Result<i32> {
        let rest = self.rest();
        let begins = |word: &&str| {
            rest.get(..word.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(word))
        };
        if let Some(index) = words.iter().position(begins) {
            self.at += words[index].len();
            return Ok(index as i32);
        }
        let value =
            rest.split(|character: char| character.is_ascii() && is_space(character as u8) && character != '\u{B}');
        let value = value.into_iter().next().unwrap_or_default();
        let error = malformed(format!("invalid value \"{value}\" for \"{}\"", pattern.name));
        Err(error.with_detail("The given value did not match any of the allowed values for this field."))
    }

    /// A sign may have been passed over for a separator of the template.
    fn read_zone(&mut self, pattern: &Pattern<'_>, is_open: bool) -> Result<()> {
        if pattern.field == Field::ZoneMinute {
            if self.read.zone_sign == 0 {
                self.read.zone_sign = 1;
            }
            let (minute, _) = self.number(2, pattern, is_open)?;
            return set(&mut self.read.zone_minute, minute, pattern);
        }
        let has_sign = matches!(self.first(), Some(b'+' | b'-' | b' '));
        let sign_at = match has_sign {
            true => Some(self.at),
            false if self.skipped > 0 => self.at.checked_sub(1),
            false => None,
        };
        let is_minus = sign_at.is_some_and(|at| self.text.as_bytes().get(at) == Some(&b'-'));
        self.read.zone_sign = if is_minus { -1 } else { 1 };
        self.at += usize::from(has_sign);
        let (hour, _) = self.number(2, pattern, is_open)?;
        set(&mut self.read.zone_hour, hour, pattern)
    }

    fn read_number(&mut self, field: Field, pattern: &Pattern<'_>, is_open: bool) -> Result<()> {
        if field == Field::YearWithComma {
            let year = self.year_with_comma()?;
            self.read.year_digits = 4;
            return set(&mut self.read.year, year, pattern);
        }
        let length = match field {
            Field::Hour12 | Field::Hour24 => 2,
            Field::Millisecond | Field::DayOfIsoYear => 3,
            Field::Fraction(digits) => usize::from(digits),
            Field::Microsecond => 6,
            Field::IsoWeekDay => 1,
            _ => pattern.name.len(),
        };
        let (value, used) = self.number(length, pattern, is_open)?;
        let read = &mut self.read;
        match field {
            Field::Hour12 | Field::Hour24 => {
                set(&mut read.hour, value, pattern)?;
                read.is_hour_of_12 |= field == Field::Hour12;
            }
            Field::Minute => set(&mut read.minute, value, pattern)?,
            Field::Second => set(&mut read.second, value, pattern)?,
            Field::SecondOfDay => set(&mut read.second_of_day, value, pattern)?,
            Field::Millisecond => {
                set(&mut read.millis, value, pattern)?;
                read.millis = read.millis.wrapping_mul(decimals(used, 3));
            }
            Field::Microsecond | Field::Fraction(_) => {
                if let Field::Fraction(digits) = field {
                    read.fraction_digits = digits;
                }
                set(&mut read.micros, value, pattern)?;
                read.micros = read.micros.wrapping_mul(decimals(used, 6));
            }
            Field::Century => set(&mut read.century, value, pattern)?,
            Field::Year(digits) | Field::IsoYear(digits) => {
                set(&mut read.year, value, pattern)?;
                read.year_digits = digits;
                if digits < 4 && used < 4 {
                    read.year = nearest_to_2020(value);
                }
            }
            Field::Month => set(&mut read.month, value, pattern)?,
            Field::Day => set(&mut read.day, value, pattern)?,
            Field::DayOfYear | Field::DayOfIsoYear => set(&mut read.day_of_year, value, pattern)?,
            Field::WeekDay => set(&mut read.week_day, value, pattern)?,
            Field::IsoWeekDay => {
                set(&mut read.week_day, value, pattern)?;
                // Sunday is the first day of the others.
                read.week_day = if value >= 7 { 1 } else { value + 1 };
            }
            Field::WeekOfYear | Field::IsoWeek => set(&mut read.week, value, pattern)?,
            Field::WeekOfMonth => set(&mut read.week_of_month, value, pattern)?,
            Field::Julian => set(&mut read.julian, value, pattern)?,
            // A quarter says nothing of the day.
            _ => {}
        }
        Ok(())
    }

    /// An integer, and how many bytes it took with the white space before it. It has `length` of them if the template goes on with a digit.
    fn number(&mut self, length: usize, pattern: &Pattern<'_>, is_open: bool) -> Result<(i32, usize)> {
        let begin = self.at;
        while self.first().is_some_and(is_space) {
            self.at += 1;
        }
        let rest = self.rest().as_bytes();
        let window = &rest[..rest.len().min(length)];
        // Without half a character at its end.
        let shown = &self.rest()[..self.rest().floor_char_boundary(length)];
        let name = pattern.name;
        let (value, used) = if is_open || pattern.is_filled {
            leading_integer(rest)
        } else {
            let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
            if rest.len() < length {
                let error = malformed(format!("source string too short for \"{name}\" formatting field"));
                let detail = format!("Field requires {length} characters, but only {} remain.", rest.len());
                return Err(error.with_detail(detail).with_hint(hint));
            }
            let (value, used) = leading_integer(window);
            if (1..length).contains(&used) {
                let error = malformed(format!("invalid value \"{shown}\" for \"{name}\""));
                let detail = format!("Field requires {length} characters, but only {used} could be parsed.");
                return Err(error.with_detail(detail).with_hint(hint));
            }
            (value, used)
        };
        self.at += used;
        let is_missing = match is_open || pattern.is_filled {
            true => used == 0,
            false => self.at == begin,
        };
        if is_missing {
            let error = malformed(format!("invalid value \"{shown}\" for \"{name}\""));
            return Err(error.with_detail("Value must be an integer."));
        }
        let value = value.and_then(|value| i32::try_from(value).ok()).ok_or_else(|| {
            let error = out_of_range(format!("value for \"{name}\" in source string is out of range"));
            error.with_detail(format!("Value must be in the range {} to {}.", i32::MIN, i32::MAX))
        })?;
        Ok((value, self.at - begin))
    }

    /// C's `scanf` of `%d,%03d`: both numbers may have white space before them, and signs.
    fn year_with_comma(&mut self) -> Result<i32> {
        let wrong = || malformed("invalid input string for \"Y,YYY\"".to_owned());
        let (thousands, used) = leading_integer(self.rest().as_bytes());
        self.at += used;
        if used == 0 || self.first() != Some(b',') {
            return Err(wrong());
        }
        self.at += 1;
        while self.first().is_some_and(is_space) {
            self.at += 1;
        }
        let rest = self.rest().as_bytes();
        let (years, used) = leading_integer(&rest[..rest.len().min(3)]);
        if used == 0 {
            return Err(wrong());
        }
        self.at += used;
        // Beyond 64 bits it is the greatest number, of which 32 bits are taken.
        let thousands = thousands.unwrap_or(i64::MAX) as i32;
        Ok((years.unwrap_or_default() as i32).wrapping_add(thousands.wrapping_mul(1000)))
    }
}

/// Whether a number's end is not to be counted: no digit is next in the template.
fn ends_number(pattern: &Pattern<'_>, next: Option<&Node<'_, Pattern<'_>>>) -> bool {
    pattern.ordinal.is_some()
        || match next {
            None => true,
            Some(Node::Pattern(next)) => !next.is_number(),
            Some(Node::Space(text) | Node::Separator(text) | Node::Character(text)) => {
                !text.as_bytes().first().is_some_and(u8::is_ascii_digit)
            }
        }
}

/// Sets a field. What was set before must agree.
fn set(field: &mut i32, value: i32, pattern: &Pattern<'_>) -> Result<()> {
    if *field != 0 && *field != value {
        let error = malformed(format!(
            "conflicting values for \"{}\" field in formatting string",
            pattern.name
        ));
        return Err(error.with_detail("This value contradicts a previous setting for the same field type."));
    }
    *field = value;
    Ok(())
}

/// C's `strtol`: the number at the beginning, None beyond 64 bits, and its length with the white space before it; 0 without digits.
fn leading_integer(text: &[u8]) -> (Option<i64>, usize) {
    let spaces = text.iter().take_while(|byte| is_space(**byte)).count();
    let sign = usize::from(matches!(text.get(spaces), Some(b'+' | b'-')));
    let digits = text[spaces + sign..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 {
        return (Some(0), 0);
    }
    let end = spaces + sign + digits;
    let value = std::str::from_utf8(&text[spaces..end])
        .ok()
        .and_then(|text| text.parse().ok());
    (value, end)
}

/// What a fraction of so many digits is multiplied with to have `all` of them.
fn decimals(digits: usize, all: usize) -> i32 {
    10_i32.pow(all.saturating_sub(digits) as u32)
}

/// The year nearest to 2020 with these last digits.
fn nearest_to_2020(year: i32) -> i32 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}
