//! The patterns of date and time templates.

use aion_base::Result;

use super::{Letters, Node};

/// What a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// `FX`: no liberty is taken with white space from here on.
    Exact,
    /// `AM`, `PM`
    HalfDay,
    /// `AD`, `BC`
    Era,
    Hour12,
    Hour24,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    /// `FF1` to `FF6`: so many digits of the fraction of a second.
    Fraction(u8),
    SecondOfDay,
    ZoneName,
    ZoneHour,
    ZoneMinute,
    ZoneOffset,
    MonthName,
    MonthShort,
    Month,
    /// `RM`
    RomanMonth,
    DayName,
    DayShort,
    Day,
    DayOfYear,
    DayOfIsoYear,
    WeekDay,
    IsoWeekDay,
    WeekOfYear,
    WeekOfMonth,
    IsoWeek,
    Quarter,
    Century,
    /// `Y,YYY`
    YearWithComma,
    /// The last digits of the year, so many.
    Year(u8),
    IsoYear(u8),
    Julian,
}

/// The calendar that a field is counted in; fields of both cannot be read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calendar {
    Gregorian,
    Iso,
}

/// In the order in which they are tried: a pattern stands before those that are its beginning.
const UPPER: &[(&str, Field)] = &[
    ("A.D.", Field::Era),
    ("A.M.", Field::HalfDay),
    ("AD", Field::Era),
    ("AM", Field::HalfDay),
    ("B.C.", Field::Era),
    ("BC", Field::Era),
    ("CC", Field::Century),
    ("DAY", Field::DayName),
    ("DDD", Field::DayOfYear),
    ("DD", Field::Day),
    ("DY", Field::DayShort),
    ("D", Field::WeekDay),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("FX", Field::Exact),
    ("HH24", Field::Hour24),
    ("HH12", Field::Hour12),
    ("HH", Field::Hour12),
    ("IDDD", Field::DayOfIsoYear),
    ("ID", Field::IsoWeekDay),
    ("IW", Field::IsoWeek),
    ("IYYY", Field::IsoYear(4)),
    ("IYY", Field::IsoYear(3)),
    ("IY", Field::IsoYear(2)),
    ("I", Field::IsoYear(1)),
    ("J", Field::Julian),
    ("MI", Field::Minute),
    ("MM", Field::Month),
    ("MONTH", Field::MonthName),
    ("MON", Field::MonthShort),
    ("MS", Field::Millisecond),
    ("OF", Field::ZoneOffset),
    ("P.M.", Field::HalfDay),
    ("PM", Field::HalfDay),
    ("Q", Field::Quarter),
    ("RM", Field::RomanMonth),
    ("SSSSS", Field::SecondOfDay),
    ("SSSS", Field::SecondOfDay),
    ("SS", Field::Second),
    ("TZH", Field::ZoneHour),
    ("TZM", Field::ZoneMinute),
    ("TZ", Field::ZoneName),
    ("US", Field::Microsecond),
    ("WW", Field::WeekOfYear),
    ("W", Field::WeekOfMonth),
    ("Y,YYY", Field::YearWithComma),
    ("YYYY", Field::Year(4)),
    ("YYY", Field::Year(3)),
    ("YY", Field::Year(2)),
    ("Y", Field::Year(1)),
];
/// Those with a capital and small letters behind it.
const CAPITALIZED: &[(&str, Field)] = &[
    ("Day", Field::DayName),
    ("Dy", Field::DayShort),
    ("Month", Field::MonthName),
    ("Mon", Field::MonthShort),
];

/// A pattern and its modifiers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern<'a> {
    pub field: Field,
    /// As it stands in the template.
    pub name: &'a str,
    /// `FM`: without padding.
    pub is_filled: bool,
    /// `TM`: with the names of the locale, which are the English ones.
    pub is_translated: bool,
    /// `TH`: with the ending of an ordinal number.
    pub ordinal: Option<Letters>,
}

impl Pattern<'_> {
    /// How its text is written.
    pub fn letters(&self) -> Letters {
        let is_upper = |at: usize| self.name.as_bytes().get(at).is_some_and(u8::is_ascii_uppercase);
        match (is_upper(0), is_upper(1) || self.name.contains('.')) {
            (true, true) => Letters::Upper,
            (true, false) => Letters::Capitalized,
            (false, _) => Letters::Lower,
        }
    }

    /// Whether it is digits alone.
    pub fn is_number(&self) -> bool {
        !matches!(
            self.field,
            Field::Exact
                | Field::HalfDay
                | Field::Era
                | Field::ZoneName
                | Field::ZoneHour
                | Field::ZoneOffset
                | Field::MonthName
                | Field::MonthShort
                | Field::RomanMonth
                | Field::DayName
                | Field::DayShort
        )
    }

    /// The calendar that it belongs to, if it is counted in one of them alone.
    pub fn calendar(&self) -> Option<Calendar> {
        match self.field {
            Field::DayOfIsoYear | Field::IsoWeekDay | Field::IsoWeek | Field::IsoYear(_) => Some(Calendar::Iso),
            Field::MonthName
            | Field::MonthShort
            | Field::Month
            | Field::RomanMonth
            | Field::Day
            | Field::DayOfYear
            | Field::WeekDay
            | Field::WeekOfYear
            | Field::WeekOfMonth
            | Field::YearWithComma
            | Field::Year(_) => Some(Calendar::Gregorian),
            _ => None,
        }
    }
}

/// The nodes of a date and time template.
pub(super) fn parse(template: &str) -> Result<Vec<Node<'_, Pattern<'_>>>> {
    super::parse(template, |rest| Ok(pattern(rest)))
}

/// Takes modifiers and the pattern that they belong to off the beginning. A modifier without a pattern is taken, too, and says nothing.
fn pattern<'a>(rest: &mut &'a str) -> Option<Pattern<'a>> {
    let is_filled = take(rest, &["FM", "fm"]).is_some();
    let is_translated = !is_filled && take(rest, &["TM", "tm"]).is_some();
    let (field, length) = keyword(rest)?;
    let name;
    (name, *rest) = rest.split_at(length);
    let ordinal = match take(rest, &["TH", "th", "SP"]) {
        Some("TH") => Some(Letters::Upper),
        Some("th") => Some(Letters::Lower),
        _ => None,
    };
    Some(Pattern {
        field,
        name,
        is_filled,
        is_translated,
        ordinal,
    })
}

fn take(rest: &mut &str, words: &[&'static str]) -> Option<&'static str> {
    let word = words.iter().find(|word| rest.starts_with(**word))?;
    *rest = &rest[word.len()..];
    Some(word)
}

/// The pattern at the beginning, in capitals or small letters throughout, and its length.
fn keyword(rest: &str) -> Option<(Field, usize)> {
    let first = rest.as_bytes().first()?;
    let is_lower = first.is_ascii_lowercase();
    let begins = |word: &str| match is_lower {
        false => rest.starts_with(word),
        true => {
            rest.len() >= word.len()
                && rest
                    .bytes()
                    .zip(word.bytes())
                    .all(|(byte, upper)| byte == upper.to_ascii_lowercase())
        }
    };
    let find = |table: &'static [(&str, Field)]| table.iter().find(|(word, _)| begins(word));
    // `D` is the beginning of `Day`, but `M` is no pattern.
    let capitalized = if is_lower { None } else { find(CAPITALIZED) };
    let (word, field) = capitalized.or_else(|| find(UPPER))?;
    Some((*field, word.len()))
}
