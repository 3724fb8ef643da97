//! The numbers of JSON, exact, as PostgreSQL's `numeric` prints them.
//!
//! A *number* is kept as its canonical text: no exponent, no `+`, no `-0`, no zero before another digit of the whole part, and as
//! many digits after the point as the input gave it (`1.10` stays, `1e3` is `1000`, `1.5e-2` is `0.015`). Numbers compare by value,
//! on that text; only arithmetic (of [`super::path`]) goes through a big integer.

use std::borrow::Cow;
use std::cmp::Ordering;

use aion_base::{Error, Result, SqlState};
use num_bigint::{BigInt, Sign};

/// Digits before the point that a `numeric` holds.
const WHOLE_DIGITS_MAX: i64 = 131_072;
/// Digits after the point that a `numeric` holds.
const SCALE_MAX: i64 = 16_383;
/// Beyond these an exponent overflows whatever the digits are.
const EXPONENT_LIMIT: i64 = 1 << 30;
/// Digits that a quotient has at least, and digits after its point that it has at most, as in PostgreSQL.
const QUOTIENT_DIGITS_MIN: i64 = 16;
const QUOTIENT_SCALE_MAX: i64 = 1_000;

/// A number as its canonical text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number<'a>(Cow<'a, str>);

impl<'a> Number<'a> {
    /// Reads digits with an optional sign, point and exponent; None for anything else.
    ///
    /// # Errors
    /// 22003 where a `numeric` cannot hold the value.
    pub fn parse(text: &'a str) -> Result<Option<Self>> {
        if is_canonical(text) && text.len() <= SCALE_MAX as usize {
            return Ok(Some(Self(Cow::Borrowed(text))));
        }
        let Some(parts) = Parts::of(text) else { return Ok(None) };
        Ok(Some(Number(Cow::Owned(parts.canonical()?))))
    }

    /// What lies in a document: canonical, since this module wrote it.
    pub(super) fn stored(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// The canonical text, as PostgreSQL prints the `numeric`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        self.0
            .parse()
            .expect("canonical digits are a double, at worst infinite")
    }

    /// The integer, where the number is one up to zeroes after its point.
    pub fn to_i64(&self) -> Option<i64> {
        let (whole, fraction) = halves(&self.0);
        if fraction.is_empty() { whole.parse().ok() } else { None }
    }

    /// The number of its own.
    pub fn into_owned(self) -> Number<'static> {
        Number(Cow::Owned(self.0.into_owned()))
    }

    /// The text without zeroes at the end of its fraction: equal for equal numbers.
    pub(super) fn normal(&self) -> &str {
        let text = &*self.0;
        if !text.contains('.') {
            return text;
        }
        let trimmed = text.trim_end_matches('0').trim_end_matches('.');
        if trimmed == "-0" { "0" } else { trimmed }
    }

    /// The order of the values: `1.0` equals `1.00`.
    pub fn compare(&self, other: &Number<'_>) -> Ordering {
        let (one, other) = (self.normal(), other.normal());
        match (one.strip_prefix('-'), other.strip_prefix('-')) {
            (None, None) => compare_magnitudes(one, other),
            (Some(one), Some(other)) => compare_magnitudes(other, one),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        }
    }
}

impl From<i64> for Number<'_> {
    fn from(value: i64) -> Self {
        Self(Cow::Owned(value.to_string()))
    }
}

/// The order of two unsigned canonical texts without zeroes at the end of the fraction.
fn compare_magnitudes(one: &str, other: &str) -> Ordering {
    let ((whole, fraction), (other_whole, other_fraction)) = (halves(one), halves(other));
    whole
        .len()
        .cmp(&other_whole.len())
        .then_with(|| whole.cmp(other_whole))
        .then_with(|| fraction.cmp(other_fraction))
}

/// What stands before and after the point, the latter without zeroes at its end.
fn halves(text: &str) -> (&str, &str) {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    (whole, fraction.trim_end_matches('0'))
}

/// Whether the text is canonical as it stands.
pub(super) fn is_canonical(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(all_digits)
        && (unsigned.len() == text.len() || unsigned.bytes().any(|byte| matches!(byte, b'1'..=b'9')))
}

/// A number's text, taken apart.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], parse_exponent(&unsigned[at + 1..])?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole.bytes().chain(fraction.bytes());
        (whole.len() + fraction.len() > 0 && digits.clone().all(|byte| byte.is_ascii_digit())).then_some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    fn canonical(&self) -> Result<String> {
        let digits = [self.whole, self.fraction].concat();
        let significant = digits.trim_start_matches('0');
        // Digits before the point, once the exponent has moved it; at most 0 where the number is below 1.
        let whole = significant.len() as i64 - self.fraction.len() as i64 + self.exponent;
        let scale = (self.fraction.len() as i64 - self.exponent).max(0);
        if scale > SCALE_MAX || !significant.is_empty() && whole > WHOLE_DIGITS_MAX {
            return Err(overflow());
        }
        let mut out = String::new();
        if self.negative && !significant.is_empty() {
            out.push('-');
        }
        let zeroes = match significant {
            "" => 0,
            _ => (self.exponent - self.fraction.len() as i64).max(0) as usize,
        };
        // At least one digit stands before the point.
        out.extend((significant.len() + zeroes..=scale as usize).map(|_| '0'));
        out.push_str(significant);
        out.extend((0..zeroes).map(|_| '0'));
        if scale > 0 {
            out.insert(out.len() - scale as usize, '.');
        }
        Ok(out)
    }
}

/// The exponent, cut to a range that no sum overflows; None if malformed.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // All digits: what is no i64 is too great for one.
    let magnitude = digits.parse().unwrap_or(EXPONENT_LIMIT).min(EXPONENT_LIMIT);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

#[cold]
fn overflow() -> Error {
    Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

/// A number to calculate with: `unscaled / 10^scale`.
#[derive(Clone, Debug)]
pub(super) struct Decimal {
    unscaled: BigInt,
    scale: u32,
}

impl Decimal {
    pub(super) fn of(number: &Number<'_>) -> Self {
        let text = number.as_str();
        let scale = text.find('.').map_or(0, |point| text.len() - point - 1);
        let digits = text.replace('.', "");
        Self {
            unscaled: digits
                .parse()
                .expect("canonical digits without the point are an integer"),
            scale: scale as u32,
        }
    }

    /// As a number again.
    ///
    /// # Errors
    /// 22003 where a `numeric` cannot hold it.
    pub(super) fn number(&self) -> Result<Number<'static>> {
        let magnitude = self.unscaled.magnitude().to_string();
        let scale = self.scale as usize;
        let mut text = String::new();
        if self.unscaled.sign() == Sign::Minus {
            text.push('-');
        }
        // At least one digit stands before the point.
        text.extend((magnitude.len()..=scale).map(|_| '0'));
        text.push_str(&magnitude);
        if scale > 0 {
            text.insert(text.len() - scale, '.');
        }
        if text.len() as i64 - i64::from(self.scale) > WHOLE_DIGITS_MAX + 2 || i64::from(self.scale) > SCALE_MAX {
            return Err(overflow());
        }
        Ok(Number(Cow::Owned(text)))
    }

    /// The unscaled value at a scale that is not smaller.
    fn at(&self, scale: u32) -> BigInt {
        &self.unscaled * power_of_ten(scale - self.scale)
    }

    pub(super) fn negate(self) -> Self {
        Self {
            unscaled: -self.unscaled,
            scale: self.scale,
        }
    }

    pub(super) fn abs(self) -> Self {
        if self.unscaled.sign() == Sign::Minus {
            self.negate()
        } else {
            self
        }
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let scale = self.scale.max(other.scale);
        Self {
            unscaled: self.at(scale) + other.at(scale),
            scale,
        }
    }

    pub(super) fn multiply(&self, other: &Self) -> Self {
        let product = Self {
            unscaled: &self.unscaled * &other.unscaled,
            scale: self.scale + other.scale,
        };
        if i64::from(product.scale) <= SCALE_MAX {
            return product;
        }
        let divisor = power_of_ten(product.scale - SCALE_MAX as u32);
        Self {
            unscaled: divide_half_away(&product.unscaled, &divisor),
            scale: SCALE_MAX as u32,
        }
    }

    /// The quotient with as many digits as PostgreSQL gives it, rounded half away from zero.
    ///
    /// # Errors
    /// 22012 for a divisor of zero.
    pub(super) fn divide(&self, other: &Self) -> Result<Self> {
        other.check_divisor()?;
        let (weight, first) = self.leading_group();
        let (other_weight, other_first) = other.leading_group();
        let quotient_weight = weight - other_weight - i64::from(first <= other_first);
        let scale = (QUOTIENT_DIGITS_MIN - quotient_weight * 4)
            .max(self.scale.into())
            .max(other.scale.into())
            .clamp(0, QUOTIENT_SCALE_MAX) as u32;
        // (a / 10^s) / (b / 10^t) at scale r is a * 10^(r + t) / (b * 10^s).
        let dividend = &self.unscaled * power_of_ten(scale + other.scale);
        let divisor = &other.unscaled * power_of_ten(self.scale);
        Ok(Self {
            unscaled: divide_half_away(&dividend, &divisor),
            scale,
        })
    }

    /// What remains of a division truncated towards zero.
    ///
    /// # Errors
    /// 22012 for a divisor of zero.
    pub(super) fn remainder(&self, other: &Self) -> Result<Self> {
        other.check_divisor()?;
        let scale = self.scale.max(other.scale);
        Ok(Self {
            unscaled: self.at(scale) % other.at(scale),
            scale,
        })
    }

    fn check_divisor(&self) -> Result<()> {
        if self.unscaled.sign() == Sign::NoSign {
            return Err(Error::invalid(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        Ok(())
    }

    /// The greatest integer that is not greater.
    pub(super) fn floor(&self) -> Self {
        let divisor = power_of_ten(self.scale);
        let truncated = &self.unscaled / &divisor;
        let is_below = self.unscaled.sign() == Sign::Minus && &truncated * &divisor != self.unscaled;
        Self {
            unscaled: truncated - i32::from(is_below),
            scale: 0,
        }
    }

    /// The smallest integer that is not smaller.
    pub(super) fn ceiling(self) -> Self {
        self.negate().floor().negate()
    }

    /// The integer towards zero, where it is one of 32 bits.
    pub(super) fn truncated(&self) -> Option<i32> {
        i32::try_from(&self.unscaled / power_of_ten(self.scale)).ok()
    }

    /// In base 10000 aligned at the point, as PostgreSQL keeps a numeric: the weight of the first digit that is not zero, and
    /// that digit.
    fn leading_group(&self) -> (i64, u32) {
        let digits = self.unscaled.magnitude().to_string();
        if digits == "0" {
            return (0, 0);
        }
        let exponent = digits.len() as i64 - 1 - i64::from(self.scale);
        let weight = exponent.div_euclid(4);
        let count = exponent.rem_euclid(4) as usize + 1;
        let mut group = String::from(&digits[..count.min(digits.len())]);
        group.extend((group.len()..count).map(|_| '0'));
        (weight, group.parse().expect("at most four digits"))
    }
}

fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

/// The quotient rounded half away from zero.
fn divide_half_away(dividend: &BigInt, divisor: &BigInt) -> BigInt {
    let quotient = dividend / divisor;
    let remainder = dividend - &quotient * divisor;
    if remainder.magnitude() * 2u32 < *divisor.magnitude() {
        return quotient;
    }
    let is_negative = (dividend.sign() == Sign::Minus) != (divisor.sign() == Sign::Minus);
    quotient + if is_negative { -1 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let number = Number::parse(text).expect(text).expect(text);
        assert!(is_canonical(number.as_str()), "{text}");
        number.as_str().to_owned()
    }

    #[test]
    fn digits_are_kept_and_exponents_are_not() {
        for (text, expected) in [
            ("1.10", "1.10"),
            ("1e3", "1000"),
            ("1.5E-2", "0.015"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("12.345e1", "123.45"),
            ("12.345e3", "12345"),
            ("12.345e5", "1234500"),
            ("100e-2", "1.00"),
            ("0e-3", "0.000"),
            ("0e999999", "0"),
            ("0.001e1", "0.01"),
            ("0.001e3", "1"),
            (".5", "0.5"),
            ("5.", "5"),
            ("007.70", "7.70"),
            ("123e-5", "0.00123"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
        for wrong in ["", "-", ".", "1e", "1e+", "e5", "1x", "1.2.3", "NaN", "--1"] {
            assert!(Number::parse(wrong).expect(wrong).is_none(), "{wrong}");
        }
        for wrong in ["1e131072", "1e-16384", "1e99999999999999999999"] {
            assert_eq!(Number::parse(wrong).expect_err(wrong).state().as_str(), "22003");
        }
        assert_eq!(canonical("1e131071").len(), 131_072);
    }

    #[test]
    fn numbers_compare_by_value() {
        let ordered = [
            "-10", "-9.5", "-9.05", "-0.1", "0.00", "0.01", "0.1", "0.11", "1", "9.99", "10", "100",
        ];
        for (at, one) in ordered.iter().enumerate() {
            for (other_at, other) in ordered.iter().enumerate() {
                let order = Number::stored(one).compare(&Number::stored(other));
                assert_eq!(order, at.cmp(&other_at), "{one} {other}");
            }
        }
        assert!(Number::stored("1.0").compare(&Number::stored("1.000")).is_eq());
        assert_eq!(Number::stored("7.00").to_i64(), Some(7));
        assert_eq!(Number::stored("7.01").to_i64(), None);
    }
}
