//! SASLprep (RFC 4013) as PostgreSQL does it: two spellings of a password are one, and no password is refused.
//!
//! 1. Bytes that are ASCII, or no UTF-8, stay as they are.
//! 2. Spaces of all kinds become U+0020; characters that RFC 3454 maps to nothing go.
//! 3. If nothing is left, or what is left holds a character that is prohibited or was unassigned in Unicode 3.2, or mixes
//!    directions, the bytes stay as they are: the fallback.
//! 4. The rest is brought into the form NFKC.
//!
//! Step 3 looks at the characters *before* they are normalised, where RFC 4013 says after: U+0340, which is prohibited and
//! would normalise to U+0300, makes PostgreSQL fall back. Its clients compute the same, so what differs from PostgreSQL
//! here is a password that cannot log in. This is why the function of the crate stringprep is not used, only its tables.

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

/// What is hashed for the password that was typed as `password`.
pub(crate) fn saslprep(password: &[u8]) -> Cow<'_, [u8]> {
    if password.is_ascii() {
        return Cow::Borrowed(password);
    }
    match std::str::from_utf8(password).ok().and_then(prepared) {
        Some(prepared) => Cow::Owned(prepared.into_bytes()),
        None => Cow::Borrowed(password),
    }
}

fn prepared(password: &str) -> Option<String> {
    let mapped: Vec<char> = password.chars().filter_map(map).collect();
    let fits = !mapped.is_empty() && !mapped.iter().copied().any(is_prohibited) && !mixes_directions(&mapped);
    fits.then(|| mapped.into_iter().nfkc().collect())
}

/// Spaces first: U+200B is in both tables, and PostgreSQL makes it a space.
fn map(character: char) -> Option<char> {
    if tables::non_ascii_space_character(character) {
        return Some(' ');
    }
    (!tables::commonly_mapped_to_nothing(character)).then_some(character)
}

/// RFC 4013, sections 2.3 and 2.5.
fn is_prohibited(character: char) -> bool {
    tables::non_ascii_space_character(character)
        || tables::ascii_control_character(character)
        || tables::non_ascii_control_character(character)
        || tables::private_use(character)
        || tables::non_character_code_point(character)
        || tables::surrogate_code(character)
        || tables::inappropriate_for_plain_text(character)
        || tables::inappropriate_for_canonical_representation(character)
        || tables::change_display_properties_or_deprecated(character)
        || tables::tagging_character(character)
        || tables::unassigned_code_point(character)
}

/// RFC 3454, section 6: text with a character written from right to left begins and ends with one, and holds none that is
/// written from left to right.
fn mixes_directions(characters: &[char]) -> bool {
    let is_leftward = |character: Option<&char>| character.is_some_and(|&character| tables::bidi_r_or_al(character));
    let any_leftward = characters.iter().any(|character| is_leftward(Some(character)));
    let any_rightward = characters.iter().any(|&character| tables::bidi_l(character));
    any_leftward && (any_rightward || !is_leftward(characters.first()) || !is_leftward(characters.last()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepares(typed: &str, expected: &str) {
        let prepared = saslprep(typed.as_bytes());
        assert_eq!(prepared.as_ref(), expected.as_bytes(), "{typed:?}");
    }

    /// The table of RFC 4013, section 3.
    #[test]
    fn the_examples_of_the_rfc() {
        prepares("I\u{AD}X", "IX");
        prepares("user", "user");
        prepares("USER", "USER");
        prepares("\u{AA}", "a");
        prepares("\u{2168}", "IX");
        // Prohibited, and mixed directions: where the RFC has an error, PostgreSQL takes the bytes.
        prepares("\u{7}", "\u{7}");
        prepares("\u{627}1", "\u{627}1");
    }

    #[test]
    fn what_does_not_fit_stays_as_it_was_typed() {
        prepares("\u{AD}", "\u{AD}");
        prepares("\u{340}\u{2168}", "\u{340}\u{2168}");
        prepares("\u{2168}\u{221}", "\u{2168}\u{221}");
        prepares("\u{2168}\t", "\u{2168}\t");
        prepares("", "");
        assert_eq!(saslprep(b"\xff\xfe").as_ref(), b"\xff\xfe");
    }

    #[test]
    fn spaces_and_spellings_become_one() {
        prepares("a\u{A0}b\u{3000}c\u{200B}d", "a b c d");
        prepares("u\u{308}ber", "\u{FC}ber");
        prepares("\u{627}\u{628}", "\u{627}\u{628}");
    }
}
