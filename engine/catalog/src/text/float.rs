//! The text form of `real` and `double precision`.
//!
//! A float is written with the fewest digits that read back as the same float, with an exponent where PostgreSQL has
//! one: below 1e-4, and from 1e15 (`real`: 1e6) on. PostgreSQL's Ryu differs from Rust's shortest form in two points:
//! it does not count a decimal that lies exactly half way to the next float, although that reads back too, by
//! rounding to even (`80482496::real` prints 8.0482496e+07 and not 8.04825e+07); and of two decimals that are equally
//! near it takes the even one, not the greater (`3133155.25::real` prints 3.1331552e+06).

use std::fmt::{LowerExp, Write};
use std::str::FromStr;

use aion_base::Result;

use super::number::out_of_range;
use super::{append, invalid_syntax, quoted, trim};

/// Reads a `real`; 22003 where the nearest float is infinite, or zero and the text is not.
pub fn parse_f32(text: &str) -> Result<f32> {
    parse(text)
}

/// Reads a `double precision`; 22003 where the nearest float is infinite, or zero and the text is not.
pub fn parse_f64(text: &str) -> Result<f64> {
    parse(text)
}

/// Writes a `real`.
pub fn write_f32(value: f32, out: &mut String) {
    write(value, out);
}

/// Writes a `double precision`.
pub fn write_f64(value: f64, out: &mut String) {
    write(value, out);
}

/// What the two float types differ in.
trait Float: Copy + PartialEq + FromStr + LowerExp + Into<f64> {
    const TYPE_NAME: &'static str;
    /// The first exponent, at the great end, that is written.
    const EXPONENT_FROM: i32;
    /// Digits that suffice for every float, without the first.
    const FURTHER_DIGITS_MAX: usize;
    /// Bits of the mantissa that are stored.
    const MANTISSA_BITS: u32;
    /// Subtracted from the stored exponent, for an integer mantissa.
    const BIAS: i32;

    /// The bits without the sign.
    fn magnitude_bits(self) -> u64;
}

impl Float for f32 {
    const TYPE_NAME: &'static str = "real";
    const EXPONENT_FROM: i32 = 6;
    const FURTHER_DIGITS_MAX: usize = 8;
    const MANTISSA_BITS: u32 = 23;
    const BIAS: i32 = 127 + 23;

    fn magnitude_bits(self) -> u64 {
        self.abs().to_bits().into()
    }
}

impl Float for f64 {
    const TYPE_NAME: &'static str = "double precision";
    const EXPONENT_FROM: i32 = 15;
    const FURTHER_DIGITS_MAX: usize = 16;
    const MANTISSA_BITS: u32 = 52;
    const BIAS: i32 = 1023 + 52;

    fn magnitude_bits(self) -> u64 {
        self.abs().to_bits()
    }
}

fn parse<T: Float>(text: &str) -> Result<T> {
    let number = trim(text);
    let Ok(value) = number.parse::<T>() else {
        return Err(invalid_syntax(T::TYPE_NAME, text));
    };
    let read: f64 = value.into();
    let overflows = read.is_infinite() && number.bytes().any(|byte| byte.is_ascii_digit());
    let mantissa = || number.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    if overflows || read == 0.0 && mantissa().any(|byte| matches!(byte, b'1'..=b'9')) {
        return Err(out_of_range(format!(
            "{} is out of range for type {}",
            quoted(number),
            T::TYPE_NAME
        )));
    }
    Ok(value)
}

fn write<T: Float>(value: T, out: &mut String) {
    match value.into() {
        f64::INFINITY => out.push_str("Infinity"),
        f64::NEG_INFINITY => out.push_str("-Infinity"),
        other if other.is_nan() => out.push_str("NaN"),
        _ => {
            let mut shortest = Scientific::of(format_args!("{value:e}"));
            if is_half_way(&shortest, value) {
                shortest = rounded(shortest.fraction().len() + 1, value).unwrap_or(shortest);
            } else if is_tie(&shortest, value) {
                // Below a power of two the even one may not read back.
                shortest = rounded(shortest.fraction().len(), value)
                    .filter(|even| even.e == shortest.e)
                    .unwrap_or(shortest);
            }
            shortest.write(T::EXPONENT_FROM, out);
        }
    }
}

/// The shortest decimal of at least so many digits after the first, rounded half to even, that is nearer to `value`
/// than to any other float.
#[cold]
fn rounded<T: Float>(digits: usize, value: T) -> Option<Scientific> {
    (digits..=T::FURTHER_DIGITS_MAX)
        .map(|digits| Scientific::of(format_args!("{value:.digits$e}")))
        .find(|decimal| decimal.text().parse::<T>().is_ok_and(|read| read == value) && !is_half_way(decimal, value))
}

/// Integer mantissa and exponent: the magnitude is `mantissa * 2^exponent`; and whether the float below is nearer than
/// the one above, as it is below a power of two.
fn parts<T: Float>(value: T) -> (u64, i32, bool) {
    let bits = value.magnitude_bits();
    let stored_exponent = (bits >> T::MANTISSA_BITS) as i32;
    let stored_mantissa = bits & ((1 << T::MANTISSA_BITS) - 1);
    let implicit = if stored_exponent == 0 { 0 } else { 1 << T::MANTISSA_BITS };
    let is_nearer_below = stored_mantissa == 0 && stored_exponent > 1;
    (
        stored_mantissa | implicit,
        stored_exponent.max(1) - T::BIAS,
        is_nearer_below,
    )
}

/// Whether `decimal` lies exactly half way between `value` and the next float above or below.
fn is_half_way<T: Float>(decimal: &Scientific, value: T) -> bool {
    let (mantissa, exponent, is_nearer_below) = parts(value);
    // Only an even mantissa attracts the half way points; Rust would not answer with one otherwise.
    if mantissa == 0 || mantissa % 2 == 1 {
        return false;
    }
    let below = if is_nearer_below {
        (4 * mantissa - 1, exponent - 2)
    } else {
        (2 * mantissa - 1, exponent - 1)
    };
    let (digits, shift) = decimal.digits();
    equal(digits, shift, 2 * mantissa + 1, exponent - 1) || equal(digits, shift, below.0, below.1)
}

/// Whether `value` lies exactly half way between `decimal` and the next smaller decimal of as many digits.
fn is_tie<T: Float>(decimal: &Scientific, value: T) -> bool {
    let (mantissa, exponent, _) = parts(value);
    let (digits, shift) = decimal.digits();
    if mantissa == 0 {
        return false;
    }
    let twos = mantissa.trailing_zeros();
    equal(digits * 10 - 5, shift - 1, mantissa >> twos, exponent + twos as i32)
}

/// Whether `digits * 10^shift` is `odd * 2^power`, exactly; `digits` is below 10^18, `odd` is odd and below 2^55.
///
/// Both sides are compared by their odd parts and their powers of two. The power of five of the one side must
/// divide the other side's integer; 5^27 exceeds both.
fn equal(digits: u128, shift: i32, odd: u64, power: i32) -> bool {
    if digits == 0 || shift.abs() >= 27 {
        return false;
    }
    let fives = 5u128.pow(shift.unsigned_abs());
    let (decimal, binary) = if shift >= 0 {
        (digits * fives, odd.into())
    } else {
        (digits, u128::from(odd) * fives)
    };
    let twos = decimal.trailing_zeros();
    decimal >> twos == binary && twos as i32 + shift == power
}

/// A number in Rust's scientific notation, `-1.234e-7`, taken apart; needs no allocation.
struct Scientific {
    bytes: [u8; 32],
    length: usize,
    /// Where the first digit and the `e` stand.
    first: usize,
    e: usize,
    exponent: i32,
}

impl Scientific {
    fn of(format: std::fmt::Arguments<'_>) -> Self {
        let mut this = Self {
            bytes: [0; 32],
            length: 0,
            first: 0,
            e: 0,
            exponent: 0,
        };
        this.write_fmt(format)
            .expect("17 digits and an exponent fit the buffer");
        this.first = usize::from(this.bytes[0] == b'-');
        this.e = this.text().find('e').expect("the notation has an exponent");
        this.exponent = this.text()[this.e + 1..]
            .parse()
            .expect("the notation's exponent is an integer");
        this
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("only text was written")
    }

    /// The digits after the point.
    fn fraction(&self) -> &str {
        self.text().get(self.first + 2..self.e).unwrap_or_default()
    }

    /// The magnitude as an integer and a power of ten.
    fn digits(&self) -> (u128, i32) {
        let digits = self.text()[self.first..self.e].bytes().filter(u8::is_ascii_digit);
        let digits = digits.fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        (digits.into(), self.exponent - self.fraction().len() as i32)
    }

    /// Writes the number in PostgreSQL's way; an exponent is written from `exponent_from` on.
    fn write(&self, exponent_from: i32, out: &mut String) {
        let (text, fraction, exponent) = (self.text(), self.fraction(), self.exponent);
        let first = &text[self.first..=self.first];
        out.push_str(&text[..self.first]);
        if !(-4..exponent_from).contains(&exponent) {
            out.push_str(&text[self.first..self.e]);
            let sign = if exponent < 0 { '-' } else { '+' };
            append(out, format_args!("e{sign}{:02}", exponent.abs()));
        } else if exponent < 0 {
            out.push_str("0.");
            out.extend((1..-exponent).map(|_| '0'));
            out.push_str(first);
            out.push_str(fraction);
        } else {
            let whole = exponent.unsigned_abs() as usize;
            out.push_str(first);
            out.push_str(&fraction[..whole.min(fraction.len())]);
            out.extend((fraction.len()..whole).map(|_| '0'));
            if fraction.len() > whole {
                out.push('.');
                out.push_str(&fraction[whole..]);
            }
        }
    }
}

impl Write for Scientific {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    /// Printed by PostgreSQL 15.
    #[test]
    fn doubles_print_as_in_postgres() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (1e20, "1e+20"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (123456789012345.6, "123456789012345.6"),
            (1234567890123456.7, "1.2345678901234568e+15"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-300, "1.5e-300"),
            (2f64.powi(-24), "5.960464477539063e-08"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (-f64::NAN, "NaN"),
        ] {
            assert_eq!(text(|out| write_f64(value, out)), expected);
        }
        for (value, expected) in [
            (0.1f32, "0.1"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (123_456.7, "123456.7"),
            (1_234_567.0, "1.234567e+06"),
            (f32::MIN, "-3.4028235e+38"),
            (80_482_496.0, "8.0482496e+07"),
            (489_254_016.0, "4.8925402e+08"),
            (-117_760_704.0, "-1.17760704e+08"),
            (12_532_621.0 / 4.0, "3.1331552e+06"),
            (0.000_244_140_63, "0.00024414062"),
        ] {
            assert_eq!(text(|out| write_f32(value, out)), expected);
        }
    }

    #[test]
    fn floats_refuse_what_they_cannot_hold() {
        assert_eq!(parse_f64(" .5 ").expect("a fraction"), 0.5);
        assert_eq!(parse_f64("-INF").expect("a word"), f64::NEG_INFINITY);
        assert!(parse_f64("nan").expect("a word").is_nan());
        assert_eq!(parse_f64("0e-999").expect("zero"), 0.0);
        assert_eq!(parse_f32("1e-45").expect("the smallest"), f32::from_bits(1));
        for wrong in ["1e400", "-1e400", "1e-400"] {
            let error = parse_f64(wrong).expect_err(wrong);
            assert_eq!(error.state().as_str(), "22003");
            assert_eq!(
                error.message(),
                format!("\"{wrong}\" is out of range for type double precision")
            );
        }
        assert_eq!(parse_f32("1e39").expect_err("too great").state().as_str(), "22003");
        for wrong in ["", ".", "1e", "infinit", "1,5", "0x1p3"] {
            assert_eq!(parse_f64(wrong).expect_err(wrong).state().as_str(), "22P02");
        }
    }

    proptest! {
        #[test]
        fn floats_read_back(double in prop::num::f64::ANY, single in prop::num::f32::ANY) {
            let back = parse_f64(&text(|out| write_f64(double, out)))?;
            prop_assert!(back.to_bits() == double.to_bits() || back.is_nan() && double.is_nan());
            let back = parse_f32(&text(|out| write_f32(single, out)))?;
            prop_assert!(back.to_bits() == single.to_bits() || back.is_nan() && single.is_nan());
        }
    }
}
