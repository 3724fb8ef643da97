//! The text form of arrays: `{1,NULL,"a b"}`.
//!
//! No column is an array; results are, and text is compared with them. One dimension, counted from 1.

use aion_base::{Error, Result, SqlState};

use super::{quoted, trim};

/// Reads the elements of an array, None for NULL, each as the text that its own type reads.
///
/// # Errors
/// 22P02 for what is no array of one dimension.
pub fn parse_array(text: &str) -> Result<Vec<Option<String>>> {
    let malformed = || {
        Error::invalid(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("malformed array literal: {}", quoted(text)),
        )
    };
    let inner = trim(text)
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .ok_or_else(malformed)?;
    let mut elements = Vec::new();
    if trim(inner).is_empty() {
        return Ok(elements);
    }
    let mut chars = inner.chars().peekable();
    loop {
        while chars.next_if(|&c| is_space(c)).is_some() {}
        let mut element = String::new();
        let is_quoted = chars.next_if_eq(&'"').is_some();
        loop {
            match chars.next_if(|&c| is_quoted || c != ',') {
                Some('"') if is_quoted => break,
                Some('\\') => element.push(chars.next().ok_or_else(malformed)?),
                Some('{' | '}' | '"') if !is_quoted => return Err(malformed()),
                Some(c) => element.push(c),
                None if is_quoted => return Err(malformed()),
                None => break,
            }
        }
        if !is_quoted {
            element.truncate(element.trim_end_matches(is_space).len());
            if element.is_empty() {
                return Err(malformed());
            }
        }
        let is_null = !is_quoted && element.eq_ignore_ascii_case("null");
        elements.push((!is_null).then_some(element));
        while chars.next_if(|&c| is_space(c)).is_some() {}
        match chars.next() {
            None => return Ok(elements),
            Some(',') => {}
            Some(_) => return Err(malformed()),
        }
    }
}

/// C's isspace, as PostgreSQL asks: the vertical tab is one, which Rust's ASCII whitespace leaves out.
fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// Writes an element's text, in quotes where [`parse_array`] asks for them.
pub fn write_array_element(element: &str, out: &mut String) {
    let is_plain = |c: char| !matches!(c, '{' | '}' | ',' | '"' | '\\') && !is_space(c);
    if !element.is_empty() && !element.eq_ignore_ascii_case("null") && element.chars().all(is_plain) {
        out.push_str(element);
        return;
    }
    out.push('"');
    for c in element.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arrays_are_read() {
        let read = |text| {
            let elements = parse_array(text).expect(text).into_iter();
            elements
                .map(|element| element.unwrap_or_else(|| "-".to_owned()))
                .collect::<Vec<_>>()
        };
        assert!(read(" { } ").is_empty());
        assert_eq!(read("{1, null ,3}"), ["1", "-", "3"]);
        assert_eq!(
            read(r#"{"",a b,"NULL","x\"y\\z" ,",",\,}"#),
            ["", "a b", "NULL", "x\"y\\z", ",", ","]
        );
        for wrong in [
            "", "1,2", "{1", "{\"1}", "{1,}", "{,}", "{{1}}", "{\"1\"2}", "{a\"b}", "{\\",
        ] {
            let error = parse_array(wrong).expect_err(wrong);
            assert_eq!(error.state(), SqlState::INVALID_TEXT_REPRESENTATION);
        }
    }

    /// An element that was a vertical tab alone was written bare and read back as no element at all.
    #[test]
    fn a_vertical_tab_is_white_space() {
        let mut text = String::from("{");
        write_array_element("\u{b}", &mut text);
        text.push('}');
        assert_eq!(parse_array(&text).expect("written above"), [Some("\u{b}".to_owned())]);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(elements in proptest::collection::vec(proptest::option::of(".{0,8}"), 0..6)) {
            let mut text = String::from("{");
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                match element {
                    None => text.push_str("NULL"),
                    Some(element) => write_array_element(element, &mut text),
                }
            }
            text.push('}');
            prop_assert_eq!(parse_array(&text).expect("written above"), elements);
        }

        #[test]
        fn noise_never_panics(text in ".{0,30}") {
            let _ = parse_array(&text);
        }
    }
}
