//! The four strengths of a lock, and which of them exclude each other.

use std::fmt;

/// How much of a row a lock protects: PostgreSQL's row-level locks (its documentation, 13.3.2), rising.
///
/// A stronger mode excludes all that a weaker one excludes, so who holds the stronger holds both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LockMode {
    /// FOR KEY SHARE: the key stays. What a foreign key asks of the row that it refers to.
    KeyShare = 1,
    /// FOR SHARE: the row stays.
    Share = 2,
    /// FOR NO KEY UPDATE: an UPDATE that leaves the keys alone.
    NoKeyUpdate = 3,
    /// FOR UPDATE: a DELETE, and an UPDATE of a key.
    Update = 4,
}

impl LockMode {
    /// All of them, rising.
    pub const ALL: [Self; 4] = [Self::KeyShare, Self::Share, Self::NoKeyUpdate, Self::Update];

    /// Whether two owners cannot hold these on one key.
    ///
    /// ```text
    ///               KeyShare  Share  NoKeyUpdate  Update
    /// KeyShare                                      x
    /// Share                               x         x
    /// NoKeyUpdate               x         x         x
    /// Update            x       x         x         x
    /// ```
    ///
    /// That is: where their numbers add up to more than four. So a mode excludes one of several exactly if it excludes
    /// the strongest of them.
    pub fn conflicts_with(self, other: Self) -> bool {
        self as u8 + other as u8 > 4
    }

    /// The mode with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&mode| mode as u8 == number)
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyShare => "FOR KEY SHARE",
            Self::Share => "FOR SHARE",
            Self::NoKeyUpdate => "FOR NO KEY UPDATE",
            Self::Update => "FOR UPDATE",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::LockMode::{self, KeyShare, NoKeyUpdate, Share, Update};

    /// PostgreSQL's table 13.3, pair by pair.
    #[test]
    fn the_modes_exclude_each_other_as_in_postgresql() {
        let table = [
            (KeyShare, [false, false, false, true]),
            (Share, [false, false, true, true]),
            (NoKeyUpdate, [false, true, true, true]),
            (Update, [true, true, true, true]),
        ];
        for (asked, row) in table {
            for (held, conflicts) in LockMode::ALL.into_iter().zip(row) {
                assert_eq!(
                    asked.conflicts_with(held),
                    conflicts,
                    "{asked} while another holds {held}"
                );
            }
        }
    }

    #[test]
    fn a_stronger_mode_excludes_what_a_weaker_one_does() {
        for pair in LockMode::ALL.windows(2) {
            for other in LockMode::ALL {
                assert!(!pair[0].conflicts_with(other) || pair[1].conflicts_with(other));
            }
        }
    }

    #[test]
    fn a_number_names_its_mode() {
        for mode in LockMode::ALL {
            assert_eq!(LockMode::from_number(mode as u8), Some(mode));
        }
        assert_eq!(LockMode::from_number(0), None);
        assert_eq!(LockMode::from_number(5), None);
    }
}
