//! The text form of integers and `numeric`.

use std::num::IntErrorKind;
use std::str::FromStr;

use aion_base::{Error, Result, SqlState};

use super::{append, invalid_syntax, quoted, trim};

/// Reads a `smallint`.
pub fn parse_i16(text: &str) -> Result<i16> {
    parse_integer(text, "smallint")
}

/// Reads an `integer`.
pub fn parse_i32(text: &str) -> Result<i32> {
    parse_integer(text, "integer")
}

/// Reads a `bigint`.
pub fn parse_i64(text: &str) -> Result<i64> {
    parse_integer(text, "bigint")
}

fn parse_integer<T: FromStr<Err = std::num::ParseIntError>>(text: &str, type_name: &str) -> Result<T> {
    trim(text)
        .parse()
        .map_err(|error: std::num::ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => out_of_range(format!(
                "value {} is out of range for type {type_name}",
                quoted(trim(text))
            )),
            _ => invalid_syntax(type_name, text),
        })
}

#[cold]
pub(super) fn out_of_range(message: String) -> Error {
    Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

/// Writes an integer.
pub fn write_integer(value: i64, out: &mut String) {
    append(out, format_args!("{value}"));
}

/// Powers of ten that a u64 holds; chunks of a `numeric` are this long.
const CHUNK_DIGITS: i64 = 18;

/// Reads a `numeric(precision, scale)`, rounded half away from zero to the scale; the answer is unscaled.
pub fn parse_decimal(text: &str, precision: u8, scale: i8) -> Result<i128> {
    let number = trim(text);
    let (negative, unsigned) = match number.as_bytes() {
        [b'-', ..] => (true, &number[1..]),
        [b'+', ..] => (false, &number[1..]),
        _ => (false, number),
    };
    let bytes = unsigned.as_bytes();
    let mantissa = bytes
        .iter()
        .position(|byte| matches!(byte, b'e' | b'E'))
        .unwrap_or(bytes.len());
    let point = bytes[..mantissa]
        .iter()
        .position(|&byte| byte == b'.')
        .unwrap_or(mantissa);
    let (whole, fraction) = (&bytes[..point], bytes.get(point + 1..mantissa).unwrap_or_default());
    let Some(exponent) = parse_exponent(&unsigned[mantissa..]) else {
        return Err(invalid_syntax("numeric", text));
    };
    let digits = whole.iter().chain(fraction);
    if whole.len() + fraction.len() == 0 || !digits.clone().all(u8::is_ascii_digit) {
        let word = ["nan", "inf", "infinity"]
            .iter()
            .any(|word| unsigned.eq_ignore_ascii_case(word));
        return Err(if word {
            decimal_out_of_range(text, precision, scale)
        } else {
            invalid_syntax("numeric", text)
        });
    }
    // Positions count digits of the text; the unscaled value is those before `kept`, rounded by the one at it.
    let kept = whole.len() as i64 + exponent + i64::from(scale);
    let unscaled = Accumulator::sum(digits, kept, whole.len() + fraction.len());
    let limit = 10u128.pow(precision.into());
    match unscaled.filter(|unscaled| *unscaled < limit) {
        Some(unscaled) => {
            let unscaled = unscaled.cast_signed();
            Ok(if negative { -unscaled } else { unscaled })
        }
        None => Err(decimal_out_of_range(text, precision, scale)),
    }
}

/// The exponent after the mantissa, cut to a range that no sum overflows; `None` if malformed.
fn parse_exponent(text: &str) -> Option<i64> {
    const LIMIT: i64 = 1 << 40;
    let Some(exponent) = text.get(1..) else { return Some(0) };
    match exponent.parse::<i64>() {
        Ok(exponent) => Some(exponent.clamp(-LIMIT, LIMIT)),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Some(LIMIT),
            IntErrorKind::NegOverflow => Some(-LIMIT),
            _ => None,
        },
    }
}

/// Adds up decimal digits; multiplies 128 bits only once in [`CHUNK_DIGITS`] digits.
#[derive(Default)]
struct Accumulator {
    total: u128,
    chunk: u64,
    chunk_digits: u32,
}

impl Accumulator {
    /// The number of the first `kept` digits (with zeroes where there are fewer), rounded half up by the next one;
    /// `None` where it exceeds 128 bits.
    fn sum<'a>(digits: impl Iterator<Item = &'a u8>, kept: i64, count: usize) -> Option<u128> {
        let mut sum = Self::default();
        let mut round_up = false;
        for (digit, position) in digits.zip(0..) {
            if position >= kept {
                round_up = position == kept && *digit >= b'5';
                break;
            }
            sum.push(digit - b'0')?;
        }
        sum.flush()?;
        let zeroes = kept - count as i64;
        if zeroes > 0 && sum.total > 0 {
            let factor = 10u128.checked_pow(u32::try_from(zeroes).ok()?)?;
            sum.total = sum.total.checked_mul(factor)?;
        }
        sum.total.checked_add(round_up.into())
    }

    fn push(&mut self, digit: u8) -> Option<()> {
        self.chunk = self.chunk * 10 + u64::from(digit);
        self.chunk_digits += 1;
        if i64::from(self.chunk_digits) == CHUNK_DIGITS {
            self.flush()
        } else {
            Some(())
        }
    }

    fn flush(&mut self) -> Option<()> {
        let factor = 10u128.pow(self.chunk_digits);
        self.total = self.total.checked_mul(factor)?.checked_add(self.chunk.into())?;
        (self.chunk, self.chunk_digits) = (0, 0);
        Some(())
    }
}

#[cold]
fn decimal_out_of_range(text: &str, precision: u8, scale: i8) -> Error {
    let whole_digits = i16::from(precision) - i16::from(scale);
    out_of_range(format!(
        "numeric field overflow: value {} is out of range for type numeric({precision},{scale})",
        quoted(trim(text))
    ))
    .with_detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {}.",
        if whole_digits == 0 {
            "1".to_owned()
        } else {
            format!("10^{whole_digits}")
        }
    ))
}

/// Writes a `numeric` with all digits of its scale.
pub fn write_decimal(unscaled: i128, scale: i8, out: &mut String) {
    let Ok(digits @ 1..) = u32::try_from(scale) else {
        return append(out, format_args!("{unscaled}"));
    };
    let factor = 10u128.pow(digits);
    let magnitude = unscaled.unsigned_abs();
    let (whole, fraction) = (magnitude / factor, magnitude % factor);
    let sign = if unscaled < 0 { "-" } else { "" };
    append(
        out,
        format_args!("{sign}{whole}.{fraction:0width$}", width = digits as usize),
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse_f64;
    use super::*;

    fn text(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn integers_are_strict() {
        assert_eq!(parse_i32(" -12\n").expect("spaces are allowed"), -12);
        assert_eq!(parse_i16("+32767").expect("the greatest"), i16::MAX);
        let error = parse_i16("32768").expect_err("one more");
        assert_eq!(error.state().as_str(), "22003");
        assert_eq!(error.message(), "value \"32768\" is out of range for type smallint");
        for wrong in ["", " ", "-", "1.0", "1e3", "0x1", "1_000", "--1", "1 2", "\u{A0}1"] {
            let error = parse_i64(wrong).expect_err(wrong);
            assert_eq!(error.state().as_str(), "22P02");
            assert_eq!(
                error.message(),
                format!("invalid input syntax for type bigint: \"{wrong}\"")
            );
        }
    }

    #[test]
    fn decimals_round_half_away_from_zero() {
        for (input, expected) in [
            ("1.5", "1.50"),
            ("1.005", "1.01"),
            ("-1.005", "-1.01"),
            ("1.0049999999999999999999999999999999999999999999", "1.00"),
            ("999999.994", "999999.99"),
            (".5", "0.50"),
            ("5.", "5.00"),
            ("1e3", "1000.00"),
            ("12345678e-5", "123.46"),
            ("-0.004", "0.00"),
            ("0e99999999999999999999", "0.00"),
            ("1e-99999999999999999999", "0.00"),
            ("0000000000000000000000000000000000000000000000001", "1.00"),
        ] {
            let value = parse_decimal(input, 8, 2).expect(input);
            assert_eq!(text(|out| write_decimal(value, 2, out)), expected, "{input}");
        }
        let greatest = "9".repeat(38);
        let value = parse_decimal(&greatest, 38, 0).expect("38 digits");
        assert_eq!(text(|out| write_decimal(value, 0, out)), greatest);
        for wrong in ["999999.995", "1e6", "1e99999", "NaN", "-Infinity"] {
            let error = parse_decimal(wrong, 8, 2).expect_err(wrong);
            assert_eq!(error.state().as_str(), "22003");
            assert!(error.message().contains(wrong) && error.message().contains("numeric(8,2)"));
        }
        let error = parse_decimal("1000000", 8, 2).expect_err("too great");
        let detail = "A field with precision 8, scale 2 must round to an absolute value less than 10^6.";
        assert_eq!(error.detail(), Some(detail));
        for wrong in [
            "", ".", "-", "1.2.3", "1e", "1e+", "e5", "1 2", "--1", "ß", "1ß", "1e5ß",
        ] {
            assert_eq!(parse_decimal(wrong, 8, 2).expect_err(wrong).state().as_str(), "22P02");
        }
    }

    proptest! {
        #[test]
        fn decimals_read_back(unscaled in -(10i128.pow(38)) + 1..10i128.pow(38), scale in 0i8..=38) {
            let printed = text(|out| write_decimal(unscaled, scale, out));
            prop_assert_eq!(parse_decimal(&printed, 38, scale)?, unscaled);
        }

        #[test]
        fn any_text_is_read_or_refused(input in "[-+.0-9eE ]{0,24}") {
            let decimal = parse_decimal(&input, 38, 10);
            prop_assert_eq!(decimal.is_ok() || decimal.is_err_and(|error| error.state().as_str() == "22003"),
                parse_f64(&input).is_ok() || parse_f64(&input).is_err_and(|error| error.state().as_str() == "22003"));
        }
    }
}
