//! Dates and times as people and programs write them, beyond `2001-02-03 04:05:06`: what PostgreSQL 15 reads with `DateStyle` `ISO, MDY`.
//!
//! ```text
//! Jan 8, 1999     8 January 1999     1999-Jan-08     08-Jan-99     Friday, 8 Jan 1999
//! 1/8/1999        01/08/99           1.8.1999        1999/01/08    1 8 1999
//! 990108          1999.008 and 1999-008, of the year's days        J2451187.5, of the Julian days
//! 0044-03-15 BC   Sun Nov  6 08:49:37 1994           Sun, 06 Nov 1994 08:49:37 GMT
//! 10:20 PM        10:20pm PST        20130506T102030-07            2013-05-06 1020        epoch
//! ```
//!
//! **Vocabulary.** A *field* is a piece of the text that is understood at once: a number, a time of day, an offset from
//! Greenwich, a word, or a *dashed* one, whose parts are joined by `-`, `/` or `.`, which is a date or a zone. A *part* is what a field tells:
//! the year, the month, the time, ...
//!
//! **How it works**, after `ParseDateTime` and `DecodeDateTime` of PostgreSQL:
//!
//! 1. The text is cut into fields. What is no letter, digit, sign or point only separates.
//! 2. Fields are understood from left to right, by what they look like and by the parts that are known: of three numbers, the first
//!    is a year if it has three digits or more, and a month otherwise. A part that is told twice is malformed.
//! 3. Year, month and day are put together: years of two digits are those from 1970 to 2069.
//!
//! **Guarantees.** What is read means what it means to PostgreSQL. Nothing is allocated but for the name of a zone.
//!
//! **Left out**, and refused as malformed: `now` and its like, and `infinity`; `epoch` beside anything else; the letters of
//! `y2001m02d04`; `allballs`; `MET DST`; a day with a fraction; `J` without a number behind it, and a Julian day with an offset
//! at its end (`J2451187-05`); a month's name that touches digits in a dashed date (`1999-Jan08`); a zone before a dashed date; texts of more than
//! [`BYTES_MAX`]. Times of digits only that no clock shows, such as `256199`, are out of range.

use super::calendar::{
    DAYS_MIN, Fault, MICROS_PER_DAY, MICROS_PER_SECOND, Moment, NOON, Refusal, Scanner, ZONE_HOUR_MAX,
};
use super::calendar::{civil_from_days, days_from_civil, days_of_month};
use crate::zone::Zone;

/// PostgreSQL takes no more.
const FIELDS_MAX: usize = 25;
/// Of a text without the space around it. PostgreSQL counts without the space between fields too.
pub(super) const BYTES_MAX: usize = 128;
/// The number of 1970-01-01 among the Julian days.
const UNIX_EPOCH_JULIAN: i64 = 2_440_588;
/// Numbers are of 32 bits.
const NUMBER_MAX: i64 = i32::MAX as i64;

const MONTHS: [(&str, &str); 12] = [
    ("jan", "january"),
    ("feb", "february"),
    ("mar", "march"),
    ("apr", "april"),
    ("may", "may"),
    ("jun", "june"),
    ("jul", "july"),
    ("aug", "august"),
    ("sep", "september"),
    ("oct", "october"),
    ("nov", "november"),
    ("dec", "december"),
];
const WEEKDAYS: [&str; 18] = [
    "mon",
    "monday",
    "tue",
    "tues",
    "tuesday",
    "wed",
    "weds",
    "wednesday",
    "thu",
    "thur",
    "thurs",
    "thursday",
    "fri",
    "friday",
    "sat",
    "saturday",
    "sun",
    "sunday",
];
const OTHERS: [(&str, Word); 12] = [
    ("ad", Word::Era { before_christ: false }),
    ("bc", Word::Era { before_christ: true }),
    ("am", Word::Half { is_afternoon: false }),
    ("pm", Word::Half { is_afternoon: true }),
    ("at", Word::Filler),
    ("on", Word::Filler),
    ("t", Word::Time),
    ("j", Word::Julian),
    ("jd", Word::Julian),
    ("julian", Word::Julian),
    ("epoch", Word::Epoch),
    ("sept", Word::Month(9)),
];
/// Words of PostgreSQL that mean nothing here. Like those above they end where a sign or a digit follows, and no zone has their name.
const LEFT_OUT: [&str; 17] = [
    "allballs",
    "d",
    "dow",
    "doy",
    "dst",
    "h",
    "infinity",
    "isodow",
    "isoyear",
    "m",
    "mm",
    "now",
    "s",
    "today",
    "tomorrow",
    "y",
    "yesterday",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Month(i64),
    Weekday,
    Half {
        is_afternoon: bool,
    },
    Era {
        before_christ: bool,
    },
    /// `T`: a time follows.
    Time,
    /// A number of Julian days follows.
    Julian,
    Epoch,
    Filler,
    LeftOut,
}

impl Word {
    fn of(text: &[u8]) -> Option<Self> {
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        if let Some(index) = MONTHS.iter().position(|(short, long)| is(short) || is(long)) {
            return Some(Self::Month(index as i64 + 1));
        }
        if WEEKDAYS.iter().any(|word| is(word)) {
            return Some(Self::Weekday);
        }
        let other = OTHERS.iter().find(|(word, _)| is(word)).map(|(_, word)| *word);
        other.or_else(|| LEFT_OUT.iter().any(|word| is(word)).then_some(Self::LeftOut))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Digits, with a point at most.
    Number,
    /// Digits and `:`, with points.
    Time,
    /// `-`, `/` or `.` between letters and digits, or what can be the name of a zone.
    Dashed,
    /// Letters.
    Word,
    /// What follows `+` (1) or `-` (-1), which begins with a digit.
    Offset(i64),
    /// A sign and letters: `-infinity`.
    SignedWord,
}

#[derive(Clone, Copy)]
struct Field<'a> {
    kind: Kind,
    text: &'a [u8],
}

/// Cuts a text into fields, and answers how many they are.
fn cut<'a>(mut text: &'a [u8], fields: &mut [Field<'a>; FIELDS_MAX]) -> Result<usize, Fault> {
    let mut count = 0;
    while let [first, behind @ ..] = text {
        let is_sign = matches!(first, b'+' | b'-');
        if !is_sign && !first.is_ascii_alphanumeric() && *first != b'.' {
            if !first.is_ascii_punctuation() && !is_space(*first) {
                return Err(Fault::Malformed);
            }
            text = behind;
            continue;
        }
        let slot = fields.get_mut(count).ok_or(Fault::Malformed)?;
        if is_sign {
            let spaces = behind.iter().take_while(|byte| is_space(**byte)).count();
            text = &behind[spaces..];
        }
        let (kind, length) = match text.first() {
            Some(b'0'..=b'9') if is_sign => {
                let sign = if *first == b'+' { 1 } else { -1 };
                (
                    Kind::Offset(sign),
                    run(text, |byte| is_digit(byte) || b":.-".contains(&byte)),
                )
            }
            Some(b'0'..=b'9') => number_or_dashed(text),
            Some(b'.') if !is_sign => (Kind::Number, 1 + run(&text[1..], is_digit)),
            Some(byte) if byte.is_ascii_alphabetic() => {
                let (kind, length) = word_or_dashed(text);
                match is_sign {
                    true => (Kind::SignedWord, run(text, |byte| byte.is_ascii_alphabetic())),
                    false => (kind, length),
                }
            }
            _ => return Err(Fault::Malformed),
        };
        let (field, behind) = text.split_at(length);
        *slot = Field { kind, text: field };
        count += 1;
        text = behind;
    }
    Ok(count)
}

/// What begins with a digit.
fn number_or_dashed(text: &[u8]) -> (Kind, usize) {
    let digits = run(text, is_digit);
    let from = |at: usize, pass: &dyn Fn(u8) -> bool| at + run(&text[at..], pass);
    match text.get(digits) {
        Some(b':') => (
            Kind::Time,
            from(digits, &|byte| is_digit(byte) || matches!(byte, b':' | b'.')),
        ),
        Some(&joint @ (b'-' | b'/' | b'.')) => {
            let second = from(digits + 1, &is_digit);
            if second == digits + 1 {
                let end = from(second, &|byte| byte.is_ascii_alphanumeric() || byte == joint);
                (Kind::Dashed, end)
            } else if text.get(second) == Some(&joint) {
                (Kind::Dashed, from(second, &|byte| is_digit(byte) || byte == joint))
            } else {
                (if joint == b'.' { Kind::Number } else { Kind::Dashed }, second)
            }
        }
        _ => (Kind::Number, digits),
    }
}

/// What begins with a letter.
fn word_or_dashed(text: &[u8]) -> (Kind, usize) {
    let letters = run(text, |byte| byte.is_ascii_alphabetic());
    let is_dashed = match text.get(letters) {
        Some(b'-' | b'/' | b'.') => true,
        Some(b'+' | b'0'..=b'9') => Word::of(&text[..letters]).is_none(),
        _ => false,
    };
    match is_dashed {
        true => (
            Kind::Dashed,
            run(text, |byte| byte.is_ascii_alphanumeric() || b"+-/_.:".contains(&byte)),
        ),
        false => (Kind::Word, letters),
    }
}

/// Bytes at the beginning that pass.
fn run(text: &[u8], pass: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| pass(**byte)).count()
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Sets of parts.
type Parts = u16;
const YEAR: Parts = 1;
const MONTH: Parts = 2;
const DAY: Parts = 4;
const YEAR_MONTH: Parts = YEAR | MONTH;
const MONTH_DAY: Parts = MONTH | DAY;
const DATE: Parts = YEAR | MONTH | DAY;
/// Told as the day of a year, which is month and day.
const DAY_OF_YEAR: Parts = 8;
const TIME: Parts = 16;
const ZONE: Parts = 32;
const HALF: Parts = 64;
const ERA: Parts = 128;
const WEEKDAY: Parts = 256;

/// What the fields have told.
#[derive(Default)]
struct Told {
    known: Parts,
    year: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    zone: Option<Zone>,
    is_afternoon: bool,
    before_christ: bool,
    is_julian: bool,
    /// The month was a word, not a number.
    has_named_month: bool,
    /// The year had two digits at most.
    is_short_year: bool,
    /// `T` and `J` say what the next field is.
    announced: Option<Word>,
}

/// Reads a text that has no space around it.
#[inline(never)]
pub(super) fn read(text: &[u8]) -> Result<Moment, Refusal<'_>> {
    if text.len() > BYTES_MAX {
        return Err(Fault::Malformed.into());
    }
    let nothing = Field {
        kind: Kind::Word,
        text: &[],
    };
    let mut fields = [nothing; FIELDS_MAX];
    let count = cut(text, &mut fields)?;
    let fields = &fields[..count];
    if let [field] = fields
        && field.kind == Kind::Word
        && Word::of(field.text) == Some(Word::Epoch)
    {
        return Ok(Moment {
            days: 0,
            time: 0,
            zone: Some(Zone::Fixed(0)),
        });
    }
    let mut told = Told::default();
    for (index, field) in fields.iter().enumerate() {
        let next = fields.get(index + 1).map(|field| field.kind);
        let parts = told.field(*field, next)?;
        if parts & told.known != 0 {
            return Err(Fault::Malformed.into());
        }
        told.known |= parts;
    }
    Ok(told.moment()?)
}

impl Told {
    /// Understands a field, and answers the parts that it tells.
    fn field<'a>(&mut self, field: Field<'a>, next: Option<Kind>) -> Result<Parts, Refusal<'a>> {
        let text = field.text;
        let parts = match field.kind {
            Kind::Dashed => return self.dashed(text),
            Kind::Number => match self.announced.take() {
                Some(Word::Julian) => self.julian(text),
                // Never a date: that is known.
                Some(_) => self.digits_only(text, self.known | DATE),
                None => self.number(text),
            },
            Kind::Time => {
                self.announced = None;
                self.time(text)
            }
            Kind::Offset(sign) => offset(sign, text).map(|zone| {
                self.zone = Some(zone);
                ZONE
            }),
            Kind::Word => self.word(text, next),
            Kind::SignedWord => Err(Fault::Malformed),
        };
        Ok(parts?)
    }

    /// A date, a zone, or a time of digits only with an offset to the west.
    fn dashed<'a>(&mut self, text: &'a [u8]) -> Result<Parts, Refusal<'a>> {
        let is_time = self.announced.take().is_some();
        if !is_time && self.known & MONTH_DAY != MONTH_DAY {
            return Ok(self.date(text)?);
        }
        if !is_time && !text[0].is_ascii_digit() {
            let name = std::str::from_utf8(text).map_err(|_| Fault::Malformed)?;
            self.zone = Some(Zone::parse(name).map_err(|_| Refusal::UnknownZone(name))?);
            return Ok(ZONE);
        }
        let sign = text.iter().position(|byte| *byte == b'-');
        let sign = sign.filter(|_| self.known & TIME == 0).ok_or(Fault::Malformed)?;
        self.zone = Some(offset(-1, &text[sign + 1..])?);
        Ok(self.digits_only(&text[..sign], self.known)? | ZONE)
    }

    fn word(&mut self, text: &[u8], next: Option<Kind>) -> Result<Parts, Fault> {
        let Some(word) = Word::of(text) else {
            let name = String::from_utf8_lossy(text).to_ascii_lowercase();
            self.zone = Some(Zone::of_name(&name).ok_or(Fault::Malformed)?);
            return Ok(ZONE);
        };
        match word {
            Word::Month(month) => {
                // Of "8 Jan" the 8 was taken for the month.
                let was_day =
                    self.known & MONTH_DAY == MONTH && !self.has_named_month && (1..=31).contains(&self.month);
                if was_day {
                    self.day = self.month;
                }
                self.has_named_month = true;
                self.month = month;
                Ok(if was_day { DAY } else { MONTH })
            }
            Word::Weekday => Ok(WEEKDAY),
            Word::Half { is_afternoon } => {
                self.is_afternoon = is_afternoon;
                Ok(HALF)
            }
            Word::Era { before_christ } => {
                self.before_christ = before_christ;
                Ok(ERA)
            }
            Word::Time if self.known & DATE == DATE => {
                let follows = matches!(next, Some(Kind::Number | Kind::Time | Kind::Dashed));
                self.announced = follows.then_some(word);
                if follows { Ok(0) } else { Err(Fault::Malformed) }
            }
            Word::Julian if next == Some(Kind::Number) => {
                self.announced = Some(word);
                Ok(0)
            }
            Word::Filler => Ok(0),
            Word::Time | Word::Julian | Word::Epoch | Word::LeftOut => Err(Fault::Malformed),
        }
    }

    /// A number of Julian days.
    fn julian(&mut self, text: &[u8]) -> Result<Parts, Fault> {
        let (days, fraction) = integer(text)?;
        (self.year, self.month, self.day) = civil_from_days(days - UNIX_EPOCH_JULIAN);
        self.is_julian = true;
        if fraction.is_empty() {
            return Ok(DATE);
        }
        let fraction = std::str::from_utf8(fraction).ok().filter(|text| text.len() > 1);
        let fraction = fraction
            .and_then(|text| text.parse::<f64>().ok())
            .ok_or(Fault::Malformed)?;
        self.set_micros_of_day((fraction * MICROS_PER_DAY as f64) as i64);
        Ok(DATE | TIME)
    }

    fn set_micros_of_day(&mut self, micros: i64) {
        let seconds = micros / MICROS_PER_SECOND;
        (self.hour, self.minute, self.second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        self.micros = micros % MICROS_PER_SECOND;
    }

    /// A time with `:` between its parts. Two parts with a fraction are minutes and seconds.
    fn time(&mut self, text: &[u8]) -> Result<Parts, Fault> {
        let (hour, rest) = integer(text)?;
        let (minute, rest) = integer(rest.strip_prefix(b":").ok_or(Fault::Malformed)?)?;
        (self.hour, self.minute, self.second) = (hour, minute, 0);
        let fraction = match rest {
            [b':', rest @ ..] => {
                let (second, rest) = integer(rest)?;
                self.second = second;
                rest
            }
            [b'.', ..] => {
                (self.hour, self.minute, self.second) = (0, hour, minute);
                rest
            }
            _ => rest,
        };
        self.micros = micros(fraction)?;
        self.check_time()
    }

    fn check_time(&self) -> Result<Parts, Fault> {
        let is_shown = self.minute < 60 && self.second <= 60 && self.micros_of_day() <= MICROS_PER_DAY;
        if is_shown { Ok(TIME) } else { Err(Fault::OutOfRange) }
    }

    fn micros_of_day(&self) -> i64 {
        (self.hour * 3_600 + self.minute * 60 + self.second) * MICROS_PER_SECOND + self.micros
    }

    /// A date whose parts are joined.
    fn date(&mut self, text: &[u8]) -> Result<Parts, Fault> {
        let mut known = self.known;
        let mut tell = |parts: Parts| {
            let is_new = parts & known == 0;
            known |= parts;
            if is_new { Ok(known) } else { Err(Fault::Malformed) }
        };
        let mut has_named_month = false;
        for piece in pieces(text).filter(|piece| !piece.first().is_some_and(u8::is_ascii_digit)) {
            let Some(Word::Month(month)) = Word::of(piece) else {
                return Err(Fault::Malformed);
            };
            self.month = month;
            has_named_month = true;
            tell(MONTH)?;
        }
        let mut told = tell(0)?;
        for piece in pieces(text).filter(|piece| piece.first().is_some_and(u8::is_ascii_digit)) {
            told = tell(self.part_of_date(piece, has_named_month, told)?)?;
        }
        if told & !DAY_OF_YEAR == DATE {
            Ok(told & !self.known)
        } else {
            Err(Fault::Malformed)
        }
    }

    /// A number that is no part of a joined date.
    fn number(&mut self, text: &[u8]) -> Result<Parts, Fault> {
        match text.iter().position(|byte| *byte == b'.') {
            Some(_) if self.known & DATE == 0 => self.date(text),
            Some(3..) => self.digits_only(text, self.known),
            Some(_) => Err(Fault::Malformed),
            None if text.len() >= 6 && (self.known & DATE == 0 || self.known & TIME == 0) => {
                self.digits_only(text, self.known)
            }
            None if self.known & DATE == DATE => self.digits_only(text, self.known),
            None => self.part_of_date(text, self.has_named_month, self.known),
        }
    }

    /// Year, month or day, whichever it can be.
    fn part_of_date(&mut self, text: &[u8], has_named_month: bool, known: Parts) -> Result<Parts, Fault> {
        let (value, rest) = integer(text)?;
        if !rest.is_empty() {
            return Err(Fault::Malformed);
        }
        let is_long = text.len() >= 3;
        let part = match known & DATE {
            YEAR if text.len() == 3 && (1..=366).contains(&value) => {
                self.day_of_year = value;
                return Ok(DAY_OF_YEAR | MONTH | DAY);
            }
            0 if is_long => YEAR,
            0 | YEAR | DAY => MONTH,
            MONTH if has_named_month && is_long => YEAR,
            MONTH => DAY,
            YEAR_MONTH if has_named_month && is_long && self.is_short_year => {
                // The first number was not the year after all.
                self.day = self.year;
                self.year = value;
                self.is_short_year = false;
                return Ok(DAY);
            }
            YEAR_MONTH => DAY,
            MONTH_DAY => YEAR,
            _ => return Err(Fault::Malformed),
        };
        match part {
            YEAR => {
                self.year = value;
                self.is_short_year = !is_long;
            }
            MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(part)
    }

    /// `yyyymmdd`, `yymmdd`, `hhmmss` with or without a fraction, or `hhmm`.
    fn digits_only(&mut self, text: &[u8], known: Parts) -> Result<Parts, Fault> {
        let point = text.iter().position(|byte| *byte == b'.');
        let (digits, fraction) = text.split_at(point.unwrap_or(text.len()));
        let count = digits.len();
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(Fault::Malformed);
        }
        let two = |at: usize| i64::from(digits[at] - b'0') * 10 + i64::from(digits[at + 1] - b'0');
        if point.is_none() && known & DATE != DATE && count >= 6 {
            self.year = integer(&digits[..count - 4])?.0;
            self.is_short_year = count == 6;
            (self.month, self.day) = (two(count - 4), two(count - 2));
            return Ok(DATE);
        }
        if known & TIME != 0 || !matches!(count, 4 | 6) {
            return Err(Fault::Malformed);
        }
        self.micros = micros(fraction)?;
        (self.hour, self.minute) = (two(0), two(2));
        self.second = if count == 6 { two(4) } else { 0 };
        self.check_time()
    }

    /// Puts the parts together.
    fn moment(mut self) -> Result<Moment, Fault> {
        if self.known & YEAR != 0 && !self.is_julian {
            if self.year <= 0 && (self.before_christ || !self.is_short_year) {
                return Err(Fault::OutOfRange);
            }
            self.year = match self.year {
                year if self.before_christ => 1 - year,
                year @ ..70 if self.is_short_year => 2_000 + year,
                year @ ..100 if self.is_short_year => 1_900 + year,
                year => year,
            };
        }
        if self.known & DAY_OF_YEAR != 0 {
            let days = days_from_civil(self.year, 1, 1) + self.day_of_year - 1;
            (self.year, self.month, self.day) = civil_from_days(days);
        }
        let has = |parts: Parts| self.known & parts == parts;
        let is_valid = (!has(MONTH) || (1..=12).contains(&self.month))
            && (!has(DAY) || (1..=31).contains(&self.day))
            && (!has(DATE) || self.day <= days_of_month(self.year, self.month));
        if !is_valid || has(HALF) && self.hour > 12 {
            return Err(Fault::OutOfRange);
        }
        if !has(DATE) {
            return Err(Fault::Malformed);
        }
        let mut time = self.micros_of_day();
        if has(HALF) {
            time += match self.hour {
                12 if !self.is_afternoon => -NOON,
                ..12 if self.is_afternoon => NOON,
                _ => 0,
            };
        }
        let days = days_from_civil(self.year, self.month, self.day);
        if days < DAYS_MIN {
            return Err(Fault::OutOfRange);
        }
        Ok(Moment {
            days,
            time,
            zone: self.zone,
        })
    }
}

/// The letters and the digits of a joined date. Where they touch there is an empty piece, which nobody understands.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let joints = run(rest, |byte| !byte.is_ascii_alphanumeric());
        let piece = &rest[joints..];
        let length = match piece.first() {
            Some(byte) if byte.is_ascii_digit() => run(piece, is_digit),
            _ => run(piece, |byte| byte.is_ascii_alphabetic()),
        };
        let (piece, behind) = piece.split_at(length);
        match behind {
            [byte, ..] if byte.is_ascii_alphanumeric() => {
                rest = &[];
                Some(&rest[..0])
            }
            _ => {
                // One joint at the end is of no account.
                rest = behind.get(1..).unwrap_or_default();
                Some(piece)
            }
        }
    })
}

/// The number that a text begins with, 0 where there is none, and what is behind it.
fn integer(text: &[u8]) -> Result<(i64, &[u8]), Fault> {
    let (digits, rest) = text.split_at(run(text, is_digit));
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    if value > NUMBER_MAX {
        return Err(Fault::OutOfRange);
    }
    Ok((value, rest))
}

/// The fraction of a second that is all of a text, if there is one.
fn micros(text: &[u8]) -> Result<i64, Fault> {
    let mut scanner = Scanner(text);
    let micros = scanner.micros();
    if scanner.0.is_empty() {
        Ok(micros)
    } else {
        Err(Fault::Malformed)
    }
}

/// `5`, `05`, `0530`, `5:30` or `05:30:15`, east of Greenwich (1) or west (-1).
fn offset(sign: i64, text: &[u8]) -> Result<Zone, Fault> {
    let (mut hour, mut rest) = integer(text)?;
    let (mut minute, mut second) = (0, 0);
    if let Some(behind) = rest.strip_prefix(b":") {
        (minute, rest) = integer(behind)?;
        if let Some(behind) = rest.strip_prefix(b":") {
            (second, rest) = integer(behind)?;
        }
    } else if rest.is_empty() && text.len() > 2 {
        (hour, minute) = (hour / 100, hour % 100);
    }
    if hour > ZONE_HOUR_MAX || minute > 59 || second > 59 {
        return Err(Fault::OutOfRange);
    }
    if !rest.is_empty() {
        return Err(Fault::Malformed);
    }
    Ok(Zone::Fixed(sign * (hour * 3_600 + minute * 60 + second)))
}
