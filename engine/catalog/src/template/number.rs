//! `to_char` of numbers: makes the digits that `places` writes.
//!
//! A number whose digits before the point are more than the template's places is `#` in each of them. `numeric` and integers are rounded half
//! away from zero, floating point as C's `printf` does, and to as many digits as its type is sure of.

use aion_base::{Error, Result, SqlState};

use super::picture::Picture;
use super::places::{self, Digits, Sign};

/// The decimal digits that a double is sure of: C's `DBL_DIG`.
const DOUBLE_DIGITS: usize = 15;
/// The same of a float: `FLT_DIG`.
const FLOAT_DIGITS: usize = 6;
/// To how many places behind the point PostgreSQL rounds a `numeric` at most.
const NUMERIC_SCALE_MAX: usize = 2_000;
/// PostgreSQL's `printf` writes zeros behind so many digits.
const PRINTED_DIGITS_MAX: usize = 350;
/// Digits of a `numeric` before the point, beyond which it overflows.
const NUMERIC_SHIFT_MAX: usize = 131_071;
const ROMAN: [(i32, &str); 13] = [
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];
const ROMAN_MAX: i32 = 3_999;

/// Writes `unscaled / 10^scale` as a template says: `to_char(numeric, text)`.
///
/// # Errors
/// 42601 for a template that contradicts itself, 22003 for a Roman number beyond the integers.
pub fn write_numeric(unscaled: i128, scale: i8, template: &str, out: &mut String) -> Result<()> {
    let (mut picture, nodes) = Picture::parse(template)?;
    let decimal = Decimal::new(unscaled, scale);
    let digits = if picture.is_roman {
        roman(decimal.into_int4()?)
    } else if picture.has_exponent {
        exponential(decimal.scientific(picture.behind))
    } else {
        let shift = take_shift(&mut picture);
        if shift > NUMERIC_SHIFT_MAX {
            return Err(out_of_range("value overflows numeric format"));
        }
        let decimal = decimal.shifted(shift);
        let text = decimal.rounded(picture.behind.min(NUMERIC_SCALE_MAX)).text();
        fixed(text, &picture)
    };
    places::write(picture, &nodes, &digits, out)
}

/// Writes a `bigint` as a template says: `to_char(bigint, text)`.
///
/// # Errors
/// As of [`write_numeric`], and 22003 where `V` makes it no `bigint`.
pub fn write_int8(value: i64, template: &str, out: &mut String) -> Result<()> {
    let (mut picture, nodes) = Picture::parse(template)?;
    let digits = if picture.is_roman {
        roman(i32::try_from(value).map_err(|_| out_of_range("integer out of range"))?)
    } else if picture.has_exponent {
        exponential(Decimal::new(value.into(), 0).scientific(picture.behind))
    } else {
        let shift = take_shift(&mut picture);
        let power = u32::try_from(shift).ok().and_then(|shift| 10_i64.checked_pow(shift));
        let value = power.and_then(|power| value.checked_mul(power));
        integer(value.ok_or_else(|| out_of_range("bigint out of range"))?, &picture)
    };
    places::write(picture, &nodes, &digits, out)
}

/// Writes an `integer` or a `smallint` as a template says: `to_char(integer, text)`.
///
/// What `V` makes greater than an `integer` wraps around, as in PostgreSQL.
///
/// # Errors
/// 42601 for a template that contradicts itself.
pub fn write_int4(value: i32, template: &str, out: &mut String) -> Result<()> {
    let (mut picture, nodes) = Picture::parse(template)?;
    let digits = if picture.is_roman {
        roman(value)
    } else if picture.has_exponent {
        exponential(print_exponent(value.into(), picture.behind))
    } else {
        let shift = take_shift(&mut picture);
        // As C reckons: a power beyond the integers is the least one, and what is beyond them wraps around.
        let power = u32::try_from(shift)
            .ok()
            .and_then(|shift| 10_i32.checked_pow(shift))
            .unwrap_or(i32::MIN);
        integer(value.wrapping_mul(power).into(), &picture)
    };
    places::write(picture, &nodes, &digits, out)
}

/// Writes a `double precision` as a template says: `to_char(double precision, text)`.
///
/// # Errors
/// 42601 for a template that contradicts itself, 22P02 for the ordinal number of an infinity.
pub fn write_double(value: f64, template: &str, out: &mut String) -> Result<()> {
    write_inexact(
        value,
        |value, shift| value * 10f64.powf(shift),
        DOUBLE_DIGITS,
        template,
        out,
    )
}

/// Writes a `real` as a template says: `to_char(real, text)`.
///
/// # Errors
/// As of [`write_double`].
pub fn write_float(value: f32, template: &str, out: &mut String) -> Result<()> {
    let shifted = |value: f64, shift: f64| f64::from(value as f32 * 10f64.powf(shift) as f32);
    write_inexact(value.into(), shifted, FLOAT_DIGITS, template, out)
}

fn write_inexact(
    value: f64,
    shifted: impl Fn(f64, f64) -> f64,
    sure_digits: usize,
    template: &str,
    out: &mut String,
) -> Result<()> {
    let (mut picture, nodes) = Picture::parse(template)?;
    let digits = if picture.is_roman {
        let value = value.round_ties_even();
        // What is no integer cannot be shown, like one that is too great.
        let is_integer = f64::from(i32::MIN) <= value && value <= f64::from(i32::MAX);
        roman(if is_integer { value as i32 } else { i32::MIN })
    } else if picture.has_exponent {
        exponential(match value.is_finite() {
            true => print_exponent(value, picture.behind),
            false => format!("{}.{}", "#".repeat(picture.before), "#".repeat(picture.behind + 4)),
        })
    } else {
        let shift = take_shift(&mut picture);
        let value = match shift {
            0 => value,
            _ => shifted(value, shift as f64),
        };
        let whole_digits = print_fixed(value.abs(), 0).len();
        picture.behind = picture.behind.min(sure_digits.saturating_sub(whole_digits));
        fixed(print_fixed(value, picture.behind), &picture)
    };
    places::write(picture, &nodes, &digits, out)
}

/// The shift of `V`, whose places are before the point from now on.
fn take_shift(picture: &mut Picture) -> usize {
    picture.before += picture.shift;
    picture.shift
}

#[cold]
fn out_of_range(message: &str) -> Error {
    Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

/// C's `%.*f`, without a sign for what is no number.
fn print_fixed(value: f64, behind: usize) -> String {
    match (value.is_nan(), value.is_infinite()) {
        (true, _) => "NaN".to_owned(),
        (_, true) if value < 0.0 => "-Infinity".to_owned(),
        (_, true) => "Infinity".to_owned(),
        _ => format!("{value:.behind$}"),
    }
}

/// C's `%.*e`
fn print_exponent(value: f64, behind: usize) -> String {
    let printed = format!("{value:.*e}", behind.min(PRINTED_DIGITS_MAX));
    let (significand, exponent) = printed.split_once('e').unwrap_or((&printed, "0"));
    let zeros = "0".repeat(behind.saturating_sub(PRINTED_DIGITS_MAX));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    format!("{significand}{zeros}e{exponent:+03}")
}

/// Of a number without places for its sign.
fn exponential(printed: String) -> Digits {
    let text = if printed.starts_with('-') {
        printed
    } else {
        format!(" {printed}")
    };
    Digits {
        text,
        sign: Sign::None,
        spaces: 0,
    }
}

fn roman(value: i32) -> Digits {
    let mut text = String::new();
    if (1..=ROMAN_MAX).contains(&value) {
        let mut rest = value;
        for (size, letters) in ROMAN {
            while rest >= size {
                rest -= size;
                text.push_str(letters);
            }
        }
    } else {
        text.push_str("###############");
    }
    Digits {
        text,
        sign: Sign::None,
        spaces: 0,
    }
}

/// An integer has zeros behind the point, however many.
fn integer(value: i64, picture: &Picture) -> Digits {
    let mut text = value.to_string();
    if picture.behind > 0 {
        text.push('.');
        text.extend(std::iter::repeat_n('0', picture.behind));
    }
    fixed(text, picture)
}

/// Of a text that has a sign if it is negative.
fn fixed(text: String, picture: &Picture) -> Digits {
    let (sign, text) = match text.strip_prefix('-') {
        Some(digits) => (Sign::Minus, digits.to_owned()),
        None => (Sign::Plus, text),
    };
    let whole_digits = text.find('.').unwrap_or(text.len());
    let text = match whole_digits > picture.before {
        true => format!("{}.{}", "#".repeat(picture.before), "#".repeat(picture.behind)),
        false => text,
    };
    Digits {
        text,
        sign,
        spaces: picture.before.saturating_sub(whole_digits),
    }
}

/// A decimal number of any length.
struct Decimal {
    is_negative: bool,
    /// All its digits.
    digits: String,
    /// How many of them are behind the point. If it is negative, so many zeros follow the digits.
    scale: i64,
}

impl Decimal {
    fn new(unscaled: i128, scale: i8) -> Self {
        Self {
            is_negative: unscaled < 0,
            digits: unscaled.unsigned_abs().to_string(),
            scale: scale.into(),
        }
    }

    fn shifted(self, places: usize) -> Self {
        Self {
            scale: self.scale - i64::try_from(places).unwrap_or(i64::MAX / 2),
            ..self
        }
    }

    /// With so many digits behind the point: a half is rounded away from zero.
    fn rounded(self, behind: usize) -> Self {
        let behind = behind as i64;
        let mut digits = self.digits.into_bytes();
        let missing = behind - self.scale;
        if missing >= 0 {
            digits.extend(std::iter::repeat_n(b'0', missing as usize));
        } else {
            let cut = missing.unsigned_abs() as usize;
            // At least one digit stays, and one is cut off.
            let leading = (cut + 1).saturating_sub(digits.len());
            digits.splice(0..0, std::iter::repeat_n(b'0', leading));
            let kept = digits.len() - cut;
            let is_up = digits[kept] >= b'5';
            digits.truncate(kept);
            if is_up {
                increment(&mut digits);
            }
        }
        Self {
            is_negative: self.is_negative && digits.iter().any(|digit| *digit != b'0'),
            digits: digits.into_iter().map(char::from).collect(),
            scale: behind,
        }
    }

    /// Sign, digits, and a point before those behind it. Its scale is not negative.
    fn text(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let behind = self.scale as usize;
        let padding = "0".repeat((behind + 1).saturating_sub(self.digits.len()));
        let digits = format!("{padding}{}", self.digits);
        let (whole, fraction) = digits.split_at(digits.len() - behind);
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            whole => whole,
        };
        let point = if behind > 0 { "." } else { "" };
        format!("{sign}{whole}{point}{fraction}")
    }

    fn into_int4(self) -> Result<i32> {
        let text = self.rounded(0).text();
        text.parse().map_err(|_| out_of_range("integer out of range"))
    }

    /// With an exponent. The exponent is found before the digits are rounded, so that 9.99 may become `10.0e+00`.
    fn scientific(self, behind: usize) -> String {
        let significant = self.digits.trim_start_matches('0').len() as i64;
        let exponent = if significant == 0 {
            0
        } else {
            significant - 1 - self.scale
        };
        let significand = Self {
            scale: self.scale + exponent,
            ..self
        };
        format!("{}e{exponent:+03}", significand.rounded(behind).text())
    }
}

/// Adds one to decimal digits.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}
