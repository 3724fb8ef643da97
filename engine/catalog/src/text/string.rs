//! The text form of `text`, `character varying`, `character` and `json`.

use aion_base::{Error, Result, SqlState};

use crate::types::SqlType;

/// Reads a `text`; 22021 if it holds the character U+0000, as in PostgreSQL.
pub fn parse_text(text: &str) -> Result<&str> {
    if !text.as_bytes().contains(&0) {
        return Ok(text);
    }
    Err(Error::invalid(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        "invalid byte sequence for encoding \"UTF8\": 0x00",
    ))
}

/// Reads a `character varying(limit)`: what exceeds the limit must be spaces, and is cut off.
pub fn parse_varchar(text: &str, limit: Option<u32>) -> Result<&str> {
    let text = parse_text(text)?;
    let Some(limit) = limit.map(|limit| limit as usize).filter(|limit| text.len() > *limit) else {
        return Ok(text);
    };
    let Some((end, _)) = text.char_indices().nth(limit) else {
        return Ok(text);
    };
    if text.as_bytes()[end..].iter().all(|&byte| byte == b' ') {
        return Ok(&text[..end]);
    }
    Err(Error::invalid(
        SqlState::STRING_DATA_RIGHT_TRUNCATION,
        format!("value too long for type character varying({limit})"),
    ))
}

/// Reads a `character(length)`: blanks at its end are no part of the value.
pub fn parse_char(text: &str, length: u32) -> Result<&str> {
    let text = parse_text(text)?.trim_end_matches(' ');
    if text.len() > length as usize && text.chars().nth(length as usize).is_some() {
        return Err(Error::invalid(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("value too long for type character({length})"),
        ));
    }
    Ok(text)
}

/// Appends a text, and the blanks that a `character(n)` is shown with.
pub fn write_padded(text: &str, sql_type: &SqlType, out: &mut String) {
    out.push_str(text);
    if let SqlType::Char(length) = sql_type {
        let blanks = (*length as usize).saturating_sub(text.chars().count());
        out.extend(std::iter::repeat_n(' ', blanks));
    }
}

/// Refuses what is not one JSON value (RFC 8259); a `json` keeps the text as it was given.
pub fn check_json(text: &str) -> Result<()> {
    crate::json::check_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varchar_counts_characters_and_cuts_spaces() {
        assert_eq!(parse_varchar("ßßß", Some(3)).expect("three characters"), "ßßß");
        assert_eq!(parse_varchar("ab   ", Some(3)).expect("spaces only"), "ab ");
        assert_eq!(parse_varchar("any length", None).expect("no limit"), "any length");
        let error = parse_varchar("abcd", Some(3)).expect_err("four characters");
        assert_eq!(error.state().as_str(), "22001");
        assert_eq!(error.message(), "value too long for type character varying(3)");
        assert_eq!(parse_text("a\0").expect_err("a zero").state().as_str(), "22021");
    }

    #[test]
    fn json_is_checked() {
        for text in ["null", " {\"a\": [1, 2.5e3, \"\\u00e9\"]} ", "1e999"] {
            check_json(text).expect(text);
        }
        for text in ["", "{", "{'a': 1}", "[1,]", "1 2", "NaN"] {
            let error = check_json(text).expect_err(text);
            assert_eq!(error.state().as_str(), "22P02");
            assert!(error.message().starts_with("invalid input syntax for type json"));
            assert!(error.detail().is_some());
        }
        check_json(&"[".repeat(100_000)).expect_err("nested without end");
    }
}
