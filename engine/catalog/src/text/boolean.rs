//! The text form of `boolean`.

use aion_base::Result;

use super::{invalid_syntax, trim};

/// Reads a boolean: any beginning of true, false, yes or no, on, off, 1 or 0, in any case.
pub fn parse_bool(text: &str) -> Result<bool> {
    let word = trim(text);
    let begins =
        |whole: &str| !word.is_empty() && whole.len() >= word.len() && whole[..word.len()].eq_ignore_ascii_case(word);
    if word.is_ascii() {
        if begins("true") || begins("yes") || word == "1" || word.eq_ignore_ascii_case("on") {
            return Ok(true);
        }
        if begins("false") || begins("no") || word == "0" || word.len() > 1 && begins("off") {
            return Ok(false);
        }
    }
    Err(invalid_syntax("boolean", text))
}

/// Writes `t` or `f`.
pub fn write_bool(value: bool, out: &mut String) {
    out.push(if value { 't' } else { 'f' });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_postgres_reads() {
        for text in ["t", "TRUE", " tru ", "y", "yes", "on", "On", "1"] {
            assert!(parse_bool(text).expect(text), "{text}");
        }
        for text in ["f", "False", "n", "no", "of", "off", "0"] {
            assert!(!parse_bool(text).expect(text), "{text}");
        }
        for text in ["", " ", "o", "truee", "2", "01", "ß", "tß"] {
            let error = parse_bool(text).expect_err(text);
            assert_eq!(error.state().as_str(), "22P02");
            assert_eq!(
                error.message(),
                format!("invalid input syntax for type boolean: \"{text}\"")
            );
        }
    }
}
