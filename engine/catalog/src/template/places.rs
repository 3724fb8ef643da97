//! Writes the digits of a number into the places of a template.
//!
//! 1. A place before the number's first digit is a space, or a zero once the template's first `0` was passed.
//! 2. The sign stands before the first digit, or where a pattern wants it.
//! 3. Every other place takes the next character of the number: a digit, or the point.
//! 4. `FM` leaves out spaces, and the zeros behind the last digit that says something, but for those that a `0` wants.

use aion_base::Result;

use super::picture::{Picture, Place, SignPlace};
use super::{Letters, Node, ordinal};

/// To which Roman numbers are padded.
const ROMAN_WIDTH: usize = 15;
/// PostgreSQL's text ends where it writes this: places beyond the digits of a number show so.
const END: char = '\0';

/// A number's digits.
#[derive(Debug)]
pub(super) struct Digits {
    /// Without a sign, with a point and digits behind it if the template has any; or what stands for a number that cannot be shown.
    pub text: String,
    pub sign: Sign,
    /// How many places before the point it leaves free.
    pub spaces: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
    /// Roman numbers have none.
    None,
}

impl Sign {
    fn letter(self) -> char {
        match self {
            Self::Plus => '+',
            Self::Minus => '-',
            Self::None => END,
        }
    }
}

/// Writes a number as a template says.
pub(super) fn write(mut picture: Picture, nodes: &[Node<'_, Place>], digits: &Digits, out: &mut String) -> Result<()> {
    if picture.has_exponent {
        out.push_str(&digits.text);
        return Ok(());
    }
    if picture.is_roman {
        picture = Picture {
            is_filled: picture.is_filled,
            is_roman: true,
            ..Picture::default()
        };
    }
    let begin = out.len();
    let mut writer = Writer::new(picture, digits, out);
    for node in nodes {
        match node {
            Node::Space(text) | Node::Separator(text) | Node::Character(text) => writer.out.push_str(text),
            Node::Pattern(place) => writer.write_place(*place)?,
        }
    }
    if let Some(end) = out[begin..].find(END) {
        out.truncate(begin + end);
    }
    Ok(())
}

struct Writer<'a> {
    picture: Picture,
    digits: &'a Digits,
    /// The next character of the number.
    next: usize,
    /// Of `FM`: the last character of the number that is not a zero behind the point.
    last_relevant: Option<usize>,
    is_sign_written: bool,
    /// Whether the last place shows a digit.
    is_in_number: bool,
    /// How many places were passed.
    passed: usize,
    /// The place behind which a sign may stand.
    end: usize,
    out: &'a mut String,
}

impl<'a> Writer<'a> {
    fn new(mut picture: Picture, digits: &'a Digits, out: &'a mut String) -> Self {
        let has_own_sign = picture.has_plus || picture.has_minus;
        let is_sign_written = if has_own_sign {
            picture.has_minus
        } else {
            picture.has_bracket &= digits.sign == Sign::Minus || !picture.is_filled;
            // An `S` behind the last place before the point is written behind the number.
            if picture.sign == Some(SignPlace::Before) && picture.before == picture.places_before_sign {
                picture.sign = Some(SignPlace::Behind);
            }
            digits.sign == Sign::Plus && picture.is_filled && picture.sign.is_none()
        };
        let mut end = picture.before + picture.behind + usize::from(picture.has_point);
        if digits.spaces == 0 && is_sign_written {
            end = end.saturating_sub(1);
        }
        let last_relevant = last_relevant(&picture, digits);
        Self {
            picture,
            digits,
            next: 0,
            last_relevant,
            is_sign_written,
            is_in_number: false,
            passed: 0,
            end,
            out,
        }
    }

    fn is_fill(&self) -> bool {
        self.picture.is_filled
    }

    /// The character of the number at an index.
    fn at(&self, index: usize) -> Option<u8> {
        self.digits.text.as_bytes().get(index).copied()
    }

    /// A space, which `FM` leaves out.
    fn space(&mut self) {
        if !self.is_fill() {
            self.out.push(' ');
        }
    }

    fn write_place(&mut self, place: Place) -> Result<()> {
        match place {
            Place::Digit | Place::Zero | Place::Point if !self.picture.is_roman => self.write_next(place),
            Place::Comma | Place::Group if self.is_in_number => self.out.push(','),
            Place::Comma | Place::Group => self.space(),
            Place::Currency => self.out.push(' '),
            Place::Minus if self.digits.sign == Sign::Minus => self.out.push('-'),
            Place::Plus if self.digits.sign == Sign::Plus => self.out.push('+'),
            Place::Minus | Place::Plus => self.space(),
            Place::EitherSign => self.out.push(self.digits.sign.letter()),
            Place::Roman(letters) => self.write_roman(letters),
            Place::Ordinal(letters) => self.write_ordinal(letters)?,
            _ => {}
        }
        Ok(())
    }

    fn write_roman(&mut self, letters: Letters) {
        let text = self.digits.text.as_str();
        if !self.is_fill() {
            self.out
                .extend(std::iter::repeat_n(' ', ROMAN_WIDTH.saturating_sub(text.len())));
        }
        match letters {
            Letters::Lower => self.out.push_str(&text.to_ascii_lowercase()),
            _ => self.out.push_str(text),
        }
    }

    /// Only whole numbers that are not negative are ordinal ones.
    fn write_ordinal(&mut self, letters: Letters) -> Result<()> {
        let is_other = self.picture.is_roman || self.picture.has_point;
        if !is_other && self.at(0) != Some(b'#') && self.digits.sign != Sign::Minus {
            self.out.push_str(ordinal(&self.digits.text, letters)?);
        }
        Ok(())
    }

    /// Whether the next character is the zero before the point, which is a space where no `0` wants it: ` .1`.
    fn is_zero_before_point(&self) -> bool {
        let has_zero = self.picture.zero_start.is_some();
        !has_zero && self.next == 0 && self.at(0) == Some(b'0') && self.picture.behind != 0
    }

    /// Whether nothing relevant is behind the point.
    fn is_whole(&self) -> bool {
        self.last_relevant.is_some_and(|index| self.at(index) == Some(b'.'))
    }

    fn write_next(&mut self, place: Place) {
        self.is_in_number = false;
        let is_before = self.passed < self.digits.spaces;
        let zero_start = self.picture.zero_start;
        if !self.is_sign_written
            && (!is_before || zero_start == Some(self.passed))
            && (!self.is_zero_before_point() || self.is_whole())
        {
            self.write_sign_before();
        }
        if is_before {
            if zero_start.is_some_and(|start| start <= self.passed) {
                self.out.push('0');
                self.is_in_number = true;
            } else {
                self.space();
            }
        } else {
            self.write_character(place);
        }
        // Nothing is behind the number while its last relevant character is still to come.
        if self.last_relevant != Some(self.next) && self.passed + 1 == self.end {
            self.write_sign_behind();
        }
        self.passed += 1;
    }

    /// The next character of the number.
    fn write_character(&mut self, place: Place) {
        let character = self.at(self.next);
        if character == Some(b'.') {
            // `FM9.9` shows the point of a whole number: `7.`
            if !self.is_whole() || self.is_fill() {
                self.out.push('.');
            }
        } else if place != Place::Zero && self.last_relevant.is_some_and(|last| last < self.next) {
            // A zero that says nothing.
        } else if !self.is_zero_before_point() {
            self.out.push(character.map_or(END, char::from));
            self.is_in_number = true;
        } else if !self.is_fill() {
            self.out.push(' ');
        } else if self.is_whole() {
            // `FM9.9` of zero is `0.`
            self.out.push('0');
        }
        if character.is_some() {
            self.next += 1;
        }
    }

    fn write_sign_before(&mut self) {
        match (self.picture.sign, self.digits.sign) {
            (Some(SignPlace::Behind), _) => return,
            (Some(SignPlace::Before), sign) => self.out.push(if sign == Sign::Minus { '-' } else { '+' }),
            (None, Sign::Plus) if self.picture.has_bracket => self.out.push(' '),
            (None, _) if self.picture.has_bracket => self.out.push('<'),
            (None, Sign::Plus) => self.space(),
            (None, Sign::Minus) => self.out.push('-'),
            (None, Sign::None) => return,
        }
        self.is_sign_written = true;
    }

    fn write_sign_behind(&mut self) {
        let is_minus = self.digits.sign == Sign::Minus;
        if self.is_sign_written && self.picture.has_bracket {
            self.out.push(if is_minus { '>' } else { ' ' });
        } else if self.picture.sign == Some(SignPlace::Behind) {
            self.out.push(if is_minus { '-' } else { '+' });
        }
    }
}

/// Behind it nothing is written by `FM`.
fn last_relevant(picture: &Picture, digits: &Digits) -> Option<usize> {
    if !picture.is_filled || !picture.has_point {
        return None;
    }
    let point = digits.text.find('.')?;
    let last = digits
        .text
        .rfind(|character| character != '0')
        .unwrap_or(point)
        .max(point);
    match picture.zero_end > digits.spaces {
        true => Some(last.max((digits.text.len() - 1).min(picture.zero_end - digits.spaces))),
        false => Some(last),
    }
}
