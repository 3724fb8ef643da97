//! `to_number`: reads a number as a template says.
//!
//! 1. A place reads a digit or the point, whichever the text goes on with, and the sign before the first digit or behind the last.
//! 2. A separator of thousands, a sign and a currency are passed over where the text has them; any other character of the template
//!    passes over one of the text.
//! 3. What the text holds beyond the template is not read.

use aion_base::{Error, Result, SqlState};

use super::Node;
use super::picture::{Picture, Place};

/// Digits behind the point of what `V` divides by, and of the quotient.
const SHIFTED_SCALE: u32 = 16;
/// What begins or goes on with a number, and is not passed over for something else.
const NUMBER: &[u8] = b"0123456789.,+-";

/// Reads a number as a template says: `to_number(text, text)`, the digits of a `numeric` and how many of them are behind the point.
///
/// # Errors
/// 22P02 for a text without a number in it, 22003 for a number of more digits than the template has places or 128 bits hold, 0A000 for
/// `RN` and `EEEE`, 42601 for a template that contradicts itself.
pub fn read_number(text: &str, template: &str) -> Result<(i128, i8)> {
    let (picture, nodes) = Picture::parse(template)?;
    for (is_there, name) in [(picture.has_exponent, "EEEE"), (picture.is_roman, "RN")] {
        if is_there {
            return Err(Error::unsupported(format!("\"{name}\" not supported for input")));
        }
    }
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
        picture,
        sign: b' ',
        number: String::new(),
        before: 0,
        behind: 0,
        has_point: false,
    };
    reader.read_nodes(&nodes);
    reader.value()
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    picture: Picture,
    /// A space before one was read.
    sign: u8,
    /// The digits and the point that were read.
    number: String,
    /// Digits that were read before the point.
    before: usize,
    /// And behind it.
    behind: usize,
    has_point: bool,
}

impl Reader<'_> {
    fn first(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn read_nodes(&mut self, nodes: &[Node<'_, Place>]) {
        for node in nodes {
            let Some(first) = self.first() else { return };
            let Node::Pattern(place) = node else {
                self.at += length_of(first);
                continue;
            };
            match place {
                Place::Digit | Place::Zero | Place::Point => {
                    self.read_place(*place);
                    self.at += 1;
                }
                // FM takes no comma: as if none were in the number.
                Place::Comma | Place::Group if first == b',' && !self.picture.is_filled => self.at += 1,
                Place::Currency => self.skip(1),
                Place::Ordinal(_) if !self.picture.has_point => self.skip(2),
                Place::Minus => self.read_sign(b"-"),
                Place::Plus => self.read_sign(b"+"),
                Place::EitherSign => self.read_sign(b"-+"),
                _ => {}
            }
        }
    }

    /// Passes over so many characters that do not belong to a number.
    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            match self.first() {
                Some(byte) if !NUMBER.contains(&byte) => self.at += length_of(byte),
                _ => return,
            }
        }
    }

    fn read_sign(&mut self, signs: &[u8]) {
        match self.first() {
            Some(sign) if signs.contains(&sign) => {
                self.sign = sign;
                self.at += 1;
            }
            _ => self.skip(1),
        }
    }

    /// Leaves the position at the last byte that it takes.
    fn read_place(&mut self, place: Place) {
        if self.first() == Some(b' ') {
            self.at += 1;
        }
        if self.sign == b' ' && place != Place::Point && self.before + self.behind == 0 {
            self.read_sign_before();
        }
        let Some(first) = self.first() else { return };
        let mut is_read = false;
        if first.is_ascii_digit() {
            if self.has_point && self.behind == self.picture.behind {
                return;
            }
            self.number.push(first.into());
            match self.has_point {
                true => self.behind += 1,
                false => self.before += 1,
            }
            is_read = true;
        } else if first == b'.' && self.picture.has_point && !self.has_point {
            self.number.push('.');
            self.has_point = true;
            is_read = true;
        }
        if self.sign == b' ' && self.before + self.behind > 0 {
            self.read_sign_behind(first, is_read);
        }
    }

    fn read_sign_before(&mut self) {
        match self.first() {
            Some(sign @ (b'-' | b'+')) => self.sign = sign,
            Some(b'<') if self.picture.has_bracket => self.sign = b'-',
            _ => return,
        }
        self.at += 1;
    }

    fn read_sign_behind(&mut self, first: u8, is_read: bool) {
        let is_sign = |byte: u8| matches!(byte, b'-' | b'+');
        if self.picture.sign.is_some() {
            // `S` is right behind the last digit.
            if is_read && let Some(next) = self.text.get(self.at + 1).copied().filter(|next| is_sign(*next)) {
                self.at += 1;
                self.sign = next;
            }
        } else if !is_read && (self.picture.has_plus || self.picture.has_minus) && is_sign(first) {
            // `MI`, `PL` and `SG` may be further on in the template.
            self.sign = first;
        }
    }

    fn value(&self) -> Result<(i128, i8)> {
        let number = self.number.strip_suffix('.').unwrap_or(&self.number);
        if number.is_empty() {
            let sign = char::from(self.sign);
            let message = format!("invalid input syntax for type numeric: \"{sign}\"");
            return Err(Error::invalid(SqlState::INVALID_TEXT_REPRESENTATION, message));
        }
        let whole = number.split('.').next().unwrap_or_default().trim_start_matches('0');
        let places = self.picture.before + self.picture.shift;
        if whole.len() > places {
            let precision = places + self.behind;
            let limit = if places == 0 {
                "1".to_owned()
            } else {
                format!("10^{places}")
            };
            let detail = format!(
                "A field with precision {precision}, scale {} must round to an absolute value less than {limit}.",
                self.behind
            );
            return Err(out_of_range("numeric field overflow").with_detail(detail));
        }
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let too_long = || out_of_range("value overflows numeric format");
        let mut value: i128 = digits.parse().map_err(|_| too_long())?;
        if self.sign == b'-' {
            value = -value;
        }
        let mut scale = i8::try_from(self.behind).map_err(|_| too_long())?;
        if self.picture.has_shift {
            // The power of ten has so many digits behind its point: the 17th is lost.
            let power = u32::try_from(self.picture.shift)
                .ok()
                .and_then(|shift| SHIFTED_SCALE.checked_sub(shift));
            let power = power.map_or(0, |places| 10_i128.pow(places));
            value = value.checked_mul(power).ok_or_else(too_long)?;
            scale = SHIFTED_SCALE as i8;
        }
        Ok((value, scale))
    }
}

fn out_of_range(message: &str) -> Error {
    Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

/// Of the character that begins with a byte.
fn length_of(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}
