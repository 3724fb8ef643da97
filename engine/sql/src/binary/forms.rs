//! The binary forms of single values, both ways.
//!
//! The `put_` functions append what PostgreSQL's `_send` functions give, the `take_` functions read what its `_recv`
//! functions accept. Integers are big endian. Dates and times count from 2000-01-01, ours from 1970-01-01. `numeric`
//! is
//!
//! ```text
//! ndigits i16 | weight i16 | sign u16 | dscale u16 | digit u16 * ndigits
//! ```
//!
//! with digits in base 10,000, the first of which counts 10,000^weight; `vector` is pgvector's
//! `dimensions u16 | unused u16 | element f32 * dimensions`.
//!
//! A `take_` function answers None for bytes that are no value of its type; the caller says so with 22P03.

use std::fmt::Write;

use aion_catalog::interval::Interval;
use bytes::{BufMut, BytesMut};

/// What the binary form of a jsonb begins with; its text follows.
pub const JSONB_VERSION: u8 = 1;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

const NUMERIC_POSITIVE: u16 = 0;
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_NAN: u16 = 0xc000;
const NUMERIC_INFINITY: u16 = 0xd000;
const NUMERIC_NEGATIVE_INFINITY: u16 = 0xf000;
const NUMERIC_BASE: u16 = 10_000;
const NUMERIC_DIGITS: usize = 4;
/// Digits in base 10,000 of an i128 on one side of the point, at most.
const NUMERIC_SIDE_MAX: usize = 10;

/// Appends a `date`, given in days since 1970-01-01. The two ends stand for infinity and stay.
pub fn put_date(days: i32, out: &mut BytesMut) {
    out.put_i32(match days {
        i32::MIN | i32::MAX => days,
        _ => days.saturating_sub(EPOCH_DAYS),
    });
}

/// Appends a `timestamp`, given in microseconds since 1970-01-01. The two ends stand for infinity and stay.
pub fn put_timestamp(micros: i64, out: &mut BytesMut) {
    out.put_i64(match micros {
        i64::MIN | i64::MAX => micros,
        _ => micros.saturating_sub(EPOCH_MICROS),
    });
}

/// Appends an `interval`: microseconds, days, months.
pub fn put_interval(interval: Interval, out: &mut BytesMut) {
    out.put_i64(interval.micros);
    out.put_i32(interval.days);
    out.put_i32(interval.months);
}

/// Appends a `numeric`, given as an integer and the power of ten that it is divided by.
pub fn put_numeric(unscaled: i128, scale: i8, out: &mut BytesMut) {
    let scale = usize::try_from(scale).unwrap_or(0);
    // Digits of base 10,000, lowest first.
    let mut digits = [0u16; 2 * NUMERIC_SIDE_MAX + 1];
    let mut count = 0;
    let mut push = |digit: u128| {
        digits[count] = digit as u16;
        count += 1;
    };
    let mut rest = unscaled.unsigned_abs();
    let fraction_digits = scale.div_ceil(NUMERIC_DIGITS);
    // The lowest digit of the fraction is filled up with zeros on its right.
    let partial = scale % NUMERIC_DIGITS;
    if partial > 0 {
        let power = 10u128.pow(partial as u32);
        push(rest % power * 10u128.pow((NUMERIC_DIGITS - partial) as u32));
        rest /= power;
    }
    for _ in 0..scale / NUMERIC_DIGITS {
        push(rest % u128::from(NUMERIC_BASE));
        rest /= u128::from(NUMERIC_BASE);
    }
    while rest > 0 {
        push(rest % u128::from(NUMERIC_BASE));
        rest /= u128::from(NUMERIC_BASE);
    }
    while count > 0 && digits[count - 1] == 0 {
        count -= 1;
    }
    let trailing = digits[..count].iter().take_while(|&&digit| digit == 0).count();
    let weight = if trailing == count {
        0
    } else {
        count as i16 - 1 - fraction_digits as i16
    };
    out.put_i16((count - trailing) as i16);
    out.put_i16(weight);
    out.put_u16(if unscaled < 0 {
        NUMERIC_NEGATIVE
    } else {
        NUMERIC_POSITIVE
    });
    out.put_u16(scale as u16);
    for digit in digits[trailing..count].iter().rev() {
        out.put_u16(*digit);
    }
}

/// Appends a `vector`; its length is that of the slice.
pub fn put_vector(elements: &[f32], out: &mut BytesMut) {
    // At most 16,000: the type's limit.
    out.put_u16(elements.len() as u16);
    out.put_u16(0);
    out.reserve(4 * elements.len());
    for element in elements {
        out.put_f32(*element);
    }
}

/// Reads a `boolean`.
pub fn take_bool(bytes: &[u8]) -> Option<bool> {
    <[u8; 1]>::try_from(bytes).ok().map(|[byte]| byte != 0)
}

/// Reads a `smallint`.
pub fn take_i16(bytes: &[u8]) -> Option<i16> {
    bytes.try_into().ok().map(i16::from_be_bytes)
}

/// Reads an `integer`.
pub fn take_i32(bytes: &[u8]) -> Option<i32> {
    bytes.try_into().ok().map(i32::from_be_bytes)
}

/// Reads a `bigint`.
pub fn take_i64(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}

/// Reads a `real`.
pub fn take_f32(bytes: &[u8]) -> Option<f32> {
    bytes.try_into().ok().map(f32::from_be_bytes)
}

/// Reads a `double precision`.
pub fn take_f64(bytes: &[u8]) -> Option<f64> {
    bytes.try_into().ok().map(f64::from_be_bytes)
}

/// Reads a `date` as days since 1970-01-01; None also beyond what an i32 of such days holds, and for infinity.
pub fn take_date(bytes: &[u8]) -> Option<i32> {
    take_i32(bytes)
        .filter(|days| *days > i32::MIN && *days < i32::MAX)?
        .checked_add(EPOCH_DAYS)
}

/// Reads a `timestamp` as microseconds since 1970-01-01; None also beyond what an i64 of those holds, and for infinity.
pub fn take_timestamp(bytes: &[u8]) -> Option<i64> {
    take_i64(bytes)
        .filter(|micros| *micros > i64::MIN && *micros < i64::MAX)?
        .checked_add(EPOCH_MICROS)
}

/// Reads an `interval`; None also beyond the time that one has here.
pub fn take_interval(bytes: &[u8]) -> Option<Interval> {
    let (micros, rest) = bytes.split_first_chunk::<8>()?;
    let (days, months) = rest.split_first_chunk::<4>()?;
    let interval = Interval {
        months: take_i32(months)?,
        days: i32::from_be_bytes(*days),
        micros: i64::from_be_bytes(*micros),
    };
    interval.in_nanos_range().ok()
}

/// Reads a `uuid`.
pub fn take_uuid(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}

/// Reads a `numeric` into its text form, which the catalog reads at the scale that is wanted.
pub fn take_numeric(bytes: &[u8]) -> Option<String> {
    let (header, digits) = bytes.split_first_chunk::<8>()?;
    let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (count, weight, sign, scale) = (field(0), field(2) as i16, field(4), field(6));
    if digits.len() != usize::from(count) * 2 {
        return None;
    }
    let mut text = match sign {
        NUMERIC_POSITIVE => String::new(),
        NUMERIC_NEGATIVE => "-".to_owned(),
        NUMERIC_NAN => return Some("NaN".to_owned()),
        NUMERIC_INFINITY => return Some("Infinity".to_owned()),
        NUMERIC_NEGATIVE_INFINITY => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    // The digit that counts 10,000^power.
    let digit = |power: i32| -> Option<u16> {
        let Some(at) = usize::try_from(i32::from(weight) - power)
            .ok()
            .filter(|at| *at < usize::from(count))
        else {
            return Some(0);
        };
        let digit = u16::from_be_bytes([digits[2 * at], digits[2 * at + 1]]);
        (digit < NUMERIC_BASE).then_some(digit)
    };
    text.push('0');
    for power in (0..=i32::from(weight)).rev() {
        write!(text, "{:04}", digit(power)?).ok()?;
    }
    text.push('.');
    // Beyond the scale digits are cut, as PostgreSQL does; a scale of 0 with a fraction is so no fraction.
    let point = text.len();
    for power in 1..=usize::from(scale).div_ceil(NUMERIC_DIGITS) {
        write!(text, "{:04}", digit(-i32::try_from(power).ok()?)?).ok()?;
    }
    text.truncate(point + usize::from(scale));
    text.truncate(text.trim_end_matches('.').len());
    Some(text)
}

/// Reads a `vector` of finite elements.
pub fn take_vector(bytes: &[u8]) -> Option<Vec<f32>> {
    let (header, rest) = bytes.split_first_chunk::<4>()?;
    let [high, low, 0, 0] = *header else { return None };
    let count = usize::from(u16::from_be_bytes([high, low]));
    let (elements, []) = rest.as_chunks::<4>() else {
        return None;
    };
    if elements.len() != count {
        return None;
    }
    let elements: Vec<f32> = elements.iter().map(|element| f32::from_be_bytes(*element)).collect();
    elements.iter().all(|element| element.is_finite()).then_some(elements)
}

#[cfg(test)]
mod tests {
    use aion_catalog::text::{parse_date, parse_decimal, parse_timestamp, write_decimal};
    use proptest::prelude::*;

    use super::*;

    fn put(put: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        put(&mut out);
        out.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    /// `encode(numeric_send(...), 'hex')` of PostgreSQL 15.
    #[test]
    fn numeric_golden() {
        for (text, hex) in [
            ("0", "0000000000000000"),
            ("0.00", "0000000000000002"),
            ("1", "00010000000000000001"),
            ("-1", "00010000400000000001"),
            ("10000", "00010001000000000001"),
            ("9999", "0001000000000000270f"),
            ("12345678.9012", "000300010000000404d2162e2334"),
            ("0.0001", "0001ffff000000040001"),
            ("0.00001", "0001fffe0000000503e8"),
            ("-0.000012345", "0002fffe4000000904d21388"),
            (
                "99999999999999999999999999999999999999",
                "000a0009000000000063270f270f270f270f270f270f270f270f270f",
            ),
            ("10000000000", "00010002000000000064"),
            ("100000000", "00010002000000000001"),
            ("1.10", "0002000000000002000103e8"),
            ("0.1000", "0001ffff0000000403e8"),
            ("123.4500000000", "000200000000000a007b1194"),
            ("-9999.9999", "0002000040000004270f270f"),
            (
                "1000000000000.0000000001",
                "000700030000000a0001000000000000000000000064",
            ),
        ] {
            let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i8);
            let unscaled: i128 = text.replace('.', "").parse().expect("digits");
            assert_eq!(put(|out| put_numeric(unscaled, scale, out)), hex, "{text}");
            let read = take_numeric(&bytes(hex)).expect("sent by PostgreSQL");
            assert_eq!(
                parse_decimal(&read, 38, scale).expect(&read),
                unscaled,
                "{text} read as {read}"
            );
        }
    }

    #[test]
    fn numeric_refuses_what_is_none() {
        for hex in [
            "",
            "00010000000000",
            "0001000000000000",
            "00010000000000002710",
            "00010000123400000001",
            "000100000000000000010001",
        ] {
            assert_eq!(take_numeric(&bytes(hex)), None, "{hex}");
        }
        assert_eq!(take_numeric(&bytes("00000000c0000000")).as_deref(), Some("NaN"));
        // Scale 0 with a fraction: PostgreSQL cuts it.
        assert_eq!(
            take_numeric(&bytes("000200000000000000011388")).as_deref(),
            Some("00001")
        );
    }

    /// `encode(date_send(...), 'hex')` and `encode(timestamp_send(...), 'hex')` of PostgreSQL 15.
    #[test]
    fn calendar_golden() {
        for (text, hex) in [
            ("1970-01-01", "ffffd533"),
            ("2000-01-01", "00000000"),
            ("1999-12-31", "ffffffff"),
            ("2024-02-29", "00002279"),
            ("0001-01-01", "fff4dbf9"),
            ("9999-12-31", "002c95d3"),
        ] {
            let days = parse_date(text).expect(text);
            assert_eq!(put(|out| put_date(days, out)), hex, "{text}");
            assert_eq!(take_date(&bytes(hex)), Some(days));
        }
        for (text, hex) in [
            ("1970-01-01 00:00:00", "fffca2fec4c82000"),
            ("2000-01-01 00:00:00", "0000000000000000"),
            ("1999-12-31 23:59:59.999999", "ffffffffffffffff"),
            ("2024-02-29 12:34:56.7", "0002b58341712a60"),
            ("2024-02-29 12:34:56.000001", "0002b58341667c01"),
        ] {
            let micros = parse_timestamp(text).expect(text);
            assert_eq!(put(|out| put_timestamp(micros, out)), hex, "{text}");
            assert_eq!(take_timestamp(&bytes(hex)), Some(micros));
        }
        assert_eq!(put(|out| put_timestamp(i64::MAX, out)), "7fffffffffffffff");
        assert_eq!(
            take_timestamp(&i64::MAX.to_be_bytes()),
            None,
            "infinity has no value here"
        );
        assert_eq!(
            take_timestamp(&(i64::MAX - 1).to_be_bytes()),
            None,
            "beyond the last microsecond"
        );
        assert_eq!(take_date(&(i32::MAX - 1).to_be_bytes()), None);
    }

    #[test]
    fn the_others_golden() {
        assert_eq!(put(|out| put_vector(&[1.0, -2.5], out)), "000200003f800000c0200000");
        assert_eq!(take_vector(&bytes("000200003f800000c0200000")), Some(vec![1.0, -2.5]));
        for hex in [
            "0002",
            "000200003f800000",
            "000100013f800000",
            "000100007fc00000",
            "000000003f800000",
        ] {
            assert_eq!(take_vector(&bytes(hex)), None, "{hex}");
        }
        assert_eq!(
            (take_bool(&[1]), take_bool(&[0]), take_bool(&[]), take_bool(&[1, 1])),
            (Some(true), Some(false), None, None)
        );
        assert_eq!((take_i16(&[0xff, 0xfe]), take_i16(&[0; 4])), (Some(-2), None));
        assert_eq!(take_i32(&bytes("fffffffe")), Some(-2));
        assert_eq!(take_i64(&bytes("fffffffffffffffe")), Some(-2));
        assert_eq!(take_f64(&bytes("3fb999999999999a")), Some(0.1));
        assert_eq!(take_f32(&bytes("3dcccccd")), Some(0.1));
        assert_eq!(take_uuid(&[7; 15]), None);
        // `interval_send('1 mon -2 days 03:04:05.000006')` of PostgreSQL 15.
        let interval = aion_catalog::text::parse_interval("1 mon -2 days 03:04:05.000006").expect("an interval");
        let hex = "0000000292555346fffffffe00000001";
        assert_eq!(put(|out| put_interval(interval, out)), hex);
        assert_eq!(take_interval(&bytes(hex)), Some(interval));
        assert_eq!(take_interval(&bytes(&hex[2..])), None);
        assert_eq!(take_interval(&[0x7f; 16]), None);
    }

    proptest! {
        #[test]
        fn numeric_reads_back(unscaled: i128, scale in 0i8..=38) {
            // Beyond 38 digits nothing is a numeric of ours.
            let unscaled = unscaled % 10i128.pow(38);
            let mut out = BytesMut::new();
            put_numeric(unscaled, scale, &mut out);
            let text = take_numeric(&out).expect("put above");
            let mut expected = String::new();
            write_decimal(unscaled, scale, &mut expected);
            prop_assert_eq!(parse_decimal(&text, 38, scale).expect("in range"), unscaled, "{} for {}", text, expected);
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (take_numeric(&bytes), take_vector(&bytes), take_date(&bytes), take_timestamp(&bytes));
        }

        #[test]
        fn vectors_read_back(elements in proptest::collection::vec(-1e30f32..1e30, 1..50)) {
            let mut out = BytesMut::new();
            put_vector(&elements, &mut out);
            prop_assert_eq!(take_vector(&out), Some(elements));
        }
    }
}
