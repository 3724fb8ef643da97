//! Settings that are whole numbers with a unit, as PostgreSQL reads and shows them: `1500` is `1500ms`, and `2000` is shown as `2s`.

use aion_base::{Error, Result, SqlState};

/// A whole number of a unit; for some, -1 is none.
#[derive(Clone, Copy, Debug)]
pub struct Integer {
    min: i64,
    max: i64,
    /// From the smallest, of which a number without a unit is, to the largest; each with how many of the smallest it is.
    units: &'static [(&'static str, i64)],
    hint: &'static str,
}

/// A time.
pub const MILLISECONDS: Integer = Integer {
    min: -1,
    max: i32::MAX as i64,
    units: &[
        ("ms", 1),
        ("s", 1_000),
        ("min", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ],
    hint: "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
};

/// A time that is never negative.
pub const TIME: Integer = Integer { min: 0, ..MILLISECONDS };

/// A long time.
pub const SECONDS: Integer = Integer {
    min: 0,
    max: i32::MAX as i64,
    units: &[("s", 1), ("min", 60), ("h", 3_600), ("d", 86_400)],
    hint: "Valid units for this parameter are \"s\", \"min\", \"h\", and \"d\".",
};

/// A length.
pub const BYTES: Integer = Integer {
    min: -1,
    max: 1_073_741_823,
    units: &[("B", 1), ("kB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30)],
    hint: "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".",
};

impl Integer {
    /// The number that a text is.
    pub fn read(&self, text: &str) -> Option<i64> {
        let text = text.trim();
        let end = text
            .find(|character: char| !character.is_ascii_digit() && character != '-')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: i64 = number.parse().ok()?;
        let factor = match unit.trim() {
            "" => 1,
            unit => self.units.iter().find(|(name, _)| *name == unit)?.1,
        };
        number.checked_mul(factor)
    }

    /// The value as it is shown: in the largest unit of which it is a whole number.
    ///
    /// # Errors
    /// 22023 for what is no such number.
    pub fn check(&self, name: &str, value: &str) -> Result<String> {
        let number = self.read(value).ok_or_else(|| {
            Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"{name}\": \"{value}\""),
            )
            .with_hint(self.hint)
        })?;
        let (smallest, min, max) = (self.units[0].0, self.min, self.max);
        if !(min..=max).contains(&number) {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("{number} {smallest} is outside the valid range for parameter \"{name}\" ({min} .. {max})"),
            ));
        }
        if number <= 0 {
            return Ok(number.to_string());
        }
        let whole = self.units.iter().rev().find(|(_, factor)| number % factor == 0);
        let (unit, factor) = whole.unwrap_or(&self.units[0]);
        Ok(format!("{}{unit}", number / factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_in_their_largest_unit() {
        for (given, shown) in [
            ("-1", "-1"),
            ("0", "0"),
            ("250", "250ms"),
            ("2000", "2s"),
            ("120s", "2min"),
            (" 1 h ", "1h"),
            ("90min", "90min"),
        ] {
            assert_eq!(MILLISECONDS.check("a", given).expect("a time"), shown);
            assert_eq!(MILLISECONDS.read(given), MILLISECONDS.read(shown), "{given}");
        }
        assert_eq!(BYTES.check("a", "2048").expect("a length"), "2kB");
        assert_eq!(SECONDS.check("a", "7200").expect("a time"), "2h");
        assert_eq!(SECONDS.read("2h"), Some(7_200));
        for none in [SECONDS, TIME] {
            assert_eq!(none.check("a", "0").expect("none"), "0");
            none.check("a", "-1").expect_err("negative");
        }
        for wrong in ["-2", "x", "", "5 weeks", "3000000000", "1ms1"] {
            let error = MILLISECONDS.check("a", wrong).expect_err(wrong);
            assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
        }
    }
}
