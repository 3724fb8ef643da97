//! Digits of a second: what the modifiers of `time(p)`, `timestamp(p)` and `timestamp(p) with time zone` keep.
//!
//! **Guarantees.** As PostgreSQL 15 (`AdjustTimeForTypmod`, `AdjustTimestampForTypmod`): rounded, a half away from zero, where
//! zero is midnight for a time and 2000-01-01 for a timestamp. A time may become `24:00:00`.

use crate::types::SECOND_DIGITS_MAX;

/// 2000-01-01 in microseconds since 1970-01-01.
const EPOCH: i64 = 946_684_800_000_000;

/// A time of so many digits, in microseconds since midnight.
pub fn time(micros: i64, digits: u8) -> i64 {
    rounded(micros, digits)
}

/// A timestamp of so many digits, in microseconds since 1970-01-01. One at the very end of the range stays what it is.
pub fn timestamp(micros: i64, digits: u8) -> i64 {
    if digits >= SECOND_DIGITS_MAX {
        return micros;
    }
    let rounded = micros.checked_sub(EPOCH).map(|since| rounded(since, digits));
    rounded.and_then(|since| since.checked_add(EPOCH)).unwrap_or(micros)
}

fn rounded(micros: i64, digits: u8) -> i64 {
    let unit = 10_i64.pow(SECOND_DIGITS_MAX.saturating_sub(digits).into());
    let half = unit / 2 * micros.signum();
    micros.checked_add(half).map_or(micros, |micros| micros / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{parse_time, parse_timestamp, write_time, write_timestamp};

    /// `SELECT text::timestamp(digits)` and `text::time(digits)` of PostgreSQL 15.
    #[test]
    fn halves_go_away_from_zero() {
        for (text, digits, expected) in [
            ("2001-01-01 00:00:00.5", 0, "2001-01-01 00:00:01"),
            ("2001-01-01 00:00:01.5", 0, "2001-01-01 00:00:02"),
            ("1999-01-01 00:00:00.5", 0, "1999-01-01 00:00:00"),
            ("1999-01-01 00:00:01.5", 0, "1999-01-01 00:00:01"),
            ("1999-01-01 00:00:01.500001", 0, "1999-01-01 00:00:02"),
            ("1999-12-31 23:59:59.9995", 3, "1999-12-31 23:59:59.999"),
            ("1999-12-31 23:59:59.99951", 3, "2000-01-01 00:00:00"),
            ("2013-05-05 05:05:05.123456", 6, "2013-05-05 05:05:05.123456"),
            ("2013-05-05 05:05:05.123456", 5, "2013-05-05 05:05:05.12346"),
        ] {
            let mut written = String::new();
            write_timestamp(timestamp(parse_timestamp(text).expect(text), digits), &mut written);
            assert_eq!(written, expected, "{text}");
        }
        for (text, digits, expected) in [
            ("23:59:59.9999", 3, "24:00:00"),
            ("10:00:00.5", 0, "10:00:01"),
            ("10:00:00.0449", 2, "10:00:00.04"),
            ("10:00:00.045", 2, "10:00:00.05"),
        ] {
            let mut written = String::new();
            write_time(time(parse_time(text).expect(text), digits), &mut written);
            assert_eq!(written, expected, "{text}");
        }
        assert_eq!((timestamp(i64::MAX, 0), timestamp(i64::MIN, 0)), (i64::MAX, i64::MIN));
    }
}
