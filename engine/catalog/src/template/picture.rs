//! Templates of numbers, understood.
//!
//! **Vocabulary.** A *place* is a `9` or a `0`. A *picture* counts the places and knows what modifies them.

use aion_base::{Error, Result, SqlState};

use super::{Letters, Node};

/// A pattern of a number's template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `9`
    Digit,
    /// `0`
    Zero,
    /// `.` or `D`
    Point,
    /// `,`
    Comma,
    /// `G`
    Group,
    /// `L`
    Currency,
    /// `S`
    Sign,
    /// `MI`
    Minus,
    /// `PL`
    Plus,
    /// `SG`
    EitherSign,
    /// `PR`
    Bracket,
    /// `RN`
    Roman(Letters),
    /// `TH`
    Ordinal(Letters),
    /// `V`
    Shift,
    /// `EEEE`
    Exponent,
    /// `FM`
    Fill,
    /// `B`, which only `EEEE` minds.
    Blank,
    /// `C` and `SP`, which say nothing.
    Ignored,
}

/// In the order in which they are tried, in capitals and in small letters.
const PLACES: &[(&str, Place)] = &[
    (",", Place::Comma),
    (".", Place::Point),
    ("0", Place::Zero),
    ("9", Place::Digit),
    ("B", Place::Blank),
    ("C", Place::Ignored),
    ("D", Place::Point),
    ("EEEE", Place::Exponent),
    ("FM", Place::Fill),
    ("G", Place::Group),
    ("L", Place::Currency),
    ("MI", Place::Minus),
    ("PL", Place::Plus),
    ("PR", Place::Bracket),
    ("RN", Place::Roman(Letters::Upper)),
    ("SG", Place::EitherSign),
    ("SP", Place::Ignored),
    ("S", Place::Sign),
    ("TH", Place::Ordinal(Letters::Upper)),
    ("V", Place::Shift),
    ("b", Place::Blank),
    ("c", Place::Ignored),
    ("d", Place::Point),
    ("eeee", Place::Exponent),
    ("fm", Place::Fill),
    ("g", Place::Group),
    ("l", Place::Currency),
    ("mi", Place::Minus),
    ("pl", Place::Plus),
    ("pr", Place::Bracket),
    ("rn", Place::Roman(Letters::Lower)),
    ("sg", Place::EitherSign),
    ("sp", Place::Ignored),
    ("s", Place::Sign),
    ("th", Place::Ordinal(Letters::Lower)),
    ("v", Place::Shift),
];

/// Where `S` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignPlace {
    Before,
    Behind,
}

/// What a number's template says, all in all.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    /// Places before the point, and with `V` before it.
    pub before: usize,
    /// Places behind the point.
    pub behind: usize,
    /// Places behind `V`.
    pub shift: usize,
    /// Places before the first `0`.
    pub zero_start: Option<usize>,
    /// Places up to the last `0`.
    pub zero_end: usize,
    pub sign: Option<SignPlace>,
    /// Places before `S`.
    pub places_before_sign: usize,
    pub has_point: bool,
    pub has_shift: bool,
    pub has_minus: bool,
    pub has_plus: bool,
    pub has_bracket: bool,
    pub has_exponent: bool,
    pub is_filled: bool,
    pub is_roman: bool,
    pub is_blank: bool,
}

impl Picture {
    /// The nodes of a template, and what they say together.
    ///
    /// # Errors
    /// 42601 for patterns that contradict each other.
    pub fn parse(template: &str) -> Result<(Self, Vec<Node<'_, Place>>)> {
        let mut picture = Self::default();
        let nodes = super::parse(template, |rest| {
            let Some((word, place)) = PLACES.iter().find(|(word, _)| rest.starts_with(word)) else {
                return Ok(None);
            };
            *rest = &rest[word.len()..];
            picture.add(*place)?;
            Ok(Some(*place))
        })?;
        Ok((picture, nodes))
    }

    fn add(&mut self, place: Place) -> Result<()> {
        if self.has_exponent && place != Place::Exponent {
            return wrong("\"EEEE\" must be the last pattern used");
        }
        match place {
            Place::Digit => {
                self.require_no_bracket("9")?;
                match (self.has_shift, self.has_point) {
                    (true, _) => self.shift += 1,
                    (_, true) => self.behind += 1,
                    _ => self.before += 1,
                }
            }
            Place::Zero => {
                self.require_no_bracket("0")?;
                if self.has_point {
                    self.behind += 1;
                } else {
                    self.zero_start.get_or_insert(self.before);
                    self.before += 1;
                }
                self.zero_end = self.before + self.behind;
            }
            Place::Blank => self.is_blank |= self.before == 0 && self.behind == 0,
            Place::Point if self.has_point => return wrong("multiple decimal points"),
            Place::Point | Place::Shift if self.has_point || self.has_shift && place == Place::Point => {
                return wrong("cannot use \"V\" and decimal point together");
            }
            Place::Point => self.has_point = true,
            Place::Shift => self.has_shift = true,
            Place::Fill => self.is_filled = true,
            Place::Sign | Place::Minus | Place::Plus | Place::EitherSign | Place::Bracket => self.add_sign(place)?,
            Place::Roman(_) => self.is_roman = true,
            Place::Exponent => self.add_exponent()?,
            Place::Comma | Place::Group | Place::Currency | Place::Ordinal(_) | Place::Ignored => {}
        }
        Ok(())
    }

    fn require_no_bracket(&self, name: &str) -> Result<()> {
        match self.has_bracket {
            true => wrong(&format!("\"{name}\" must be ahead of \"PR\"")),
            false => Ok(()),
        }
    }

    fn add_sign(&mut self, place: Place) -> Result<()> {
        let has_other = self.has_plus || self.has_minus || self.has_bracket;
        let with_sign = |name: &str| wrong(&format!("cannot use \"S\" and \"{name}\" together"));
        match place {
            Place::Sign if self.sign.is_some() => return wrong("cannot use \"S\" twice"),
            Place::Sign if has_other => {
                return wrong("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
            }
            Place::Sign if self.has_point => self.sign = Some(SignPlace::Behind),
            Place::Sign => {
                self.sign = Some(SignPlace::Before);
                self.places_before_sign = self.before;
            }
            Place::Minus if self.sign.is_some() => return with_sign("MI"),
            Place::Plus if self.sign.is_some() => return with_sign("PL"),
            Place::EitherSign if self.sign.is_some() => return with_sign("SG"),
            Place::Bracket if self.sign.is_some() || self.has_plus || self.has_minus => {
                return wrong("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
            }
            Place::Bracket => self.has_bracket = true,
            _ => {
                self.has_minus |= place != Place::Plus;
                self.has_plus |= place != Place::Minus;
            }
        }
        Ok(())
    }

    fn add_exponent(&mut self) -> Result<()> {
        if self.has_exponent {
            return wrong("cannot use \"EEEE\" twice");
        }
        let has_sign = self.sign.is_some() || self.has_bracket || self.has_minus || self.has_plus;
        if has_sign || self.is_blank || self.is_filled || self.is_roman || self.has_shift {
            let error = error_of("\"EEEE\" is incompatible with other formats");
            return Err(error.with_detail("\"EEEE\" may only be used together with digit and decimal point patterns."));
        }
        self.has_exponent = true;
        Ok(())
    }
}

fn error_of(message: &str) -> Error {
    Error::invalid(SqlState::SYNTAX_ERROR, message)
}

fn wrong<T>(message: &str) -> Result<T> {
    Err(error_of(message))
}
