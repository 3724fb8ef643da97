//! The text form of arrays: `{1,NULL,"a b"}`, `{{1,2},{3,4}}`, `[0:1]={5,6}`.
//!
//! ```text
//! array     [bounds '='] braces              spaces may stand around every part
//! bounds    {'[' [lower ':'] upper ']'}      one for each dimension; the lower bound is 1 where none is given
//! braces    '{' [part {',' part}] '}'        parts are braces, or elements in the innermost ones, equally many in all of one level
//! element   NULL | "text" | text             a backslash takes the next character as it is, and what it stands in is no NULL
//! ```
//!
//! **Guarantees.** Input is read, and refused, as PostgreSQL 15 does for any type with the delimiter `,`; output is quoted as there, and
//! reads back. An array without elements has no dimensions.

use aion_base::{Error, Result, SqlState};

use super::{append, quoted};

/// How many dimensions an array has at most.
pub const DIMENSIONS_MAX: usize = 6;

/// An array: its dimensions, outermost first, and its elements, row by row; None for NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayValue<T> {
    /// None where there are no elements.
    pub dimensions: Vec<Dimension>,
    /// As many as the product of the lengths.
    pub elements: Vec<Option<T>>,
}

/// One dimension of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimension {
    /// The index of the first element.
    pub lower: i32,
    /// How many there are, 1 or more.
    pub length: usize,
}

impl<T> ArrayValue<T> {
    /// An array of one dimension, counted from 1.
    pub fn of(elements: Vec<Option<T>>) -> Self {
        let length = elements.len();
        let dimensions = if length == 0 {
            Vec::new()
        } else {
            vec![Dimension { lower: 1, length }]
        };
        Self { dimensions, elements }
    }

    /// Reads an array; `read` reads the text of an element that is not NULL.
    ///
    /// # Errors
    /// 22P02 for what is no array, 2202E for bounds that are none, 54000 beyond the limits, and the errors of `read`.
    pub fn parse(text: &str, mut read: impl FnMut(&str) -> Result<T>) -> Result<Self> {
        let reader = Reader {
            text,
            rest: text,
            lengths: Vec::new(),
            leaf_depth: None,
            elements: Vec::new(),
        };
        // All braces are read before the first element is: their errors come first.
        let array = reader.array()?;
        let mut elements = Vec::with_capacity(array.elements.len());
        for element in &array.elements {
            elements.push(element.as_deref().map(&mut read).transpose()?);
        }
        Ok(Self {
            dimensions: array.dimensions,
            elements,
        })
    }

    /// Appends the text; `write` appends that of an element, which is then quoted where it must be.
    pub fn write(&self, mut write: impl FnMut(&T, &mut String), out: &mut String) {
        if self.elements.is_empty() {
            out.push_str("{}");
            return;
        }
        if self.dimensions.iter().any(|dimension| dimension.lower != 1) {
            for dimension in &self.dimensions {
                let upper = i64::from(dimension.lower) + dimension.length as i64 - 1;
                append(out, format_args!("[{}:{upper}]", dimension.lower));
            }
            out.push('=');
        }
        let mut text = String::new();
        for (index, element) in self.elements.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.extend((0..self.edges(index)).map(|_| '{'));
            match element {
                None => out.push_str("NULL"),
                Some(element) => {
                    text.clear();
                    write(element, &mut text);
                    write_array_element(&text, out);
                }
            }
            out.extend((0..self.edges(index + 1)).map(|_| '}'));
        }
    }

    /// How many dimensions begin at the element of this index, or end before it.
    fn edges(&self, index: usize) -> usize {
        let mut size = 1;
        self.dimensions
            .iter()
            .rev()
            .take_while(|dimension| {
                size *= dimension.length;
                index.is_multiple_of(size)
            })
            .count()
    }
}

/// Reads the elements of an array of one dimension or none, each as the text that its own type reads.
///
/// # Errors
/// 22P02 for what is no array of one dimension.
pub fn parse_array(text: &str) -> Result<Vec<Option<String>>> {
    let array = ArrayValue::parse(text, |element| Ok(element.to_owned()))?;
    if array.dimensions.len() > 1 {
        return Err(malformed(text, "An array of one dimension is wanted here."));
    }
    Ok(array.elements)
}

#[cold]
fn malformed(text: &str, detail: &str) -> Error {
    Error::invalid(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: {}", quoted(text)),
    )
    .with_detail(detail)
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    /// How many parts the braces of each level have, once the first of them are closed.
    lengths: Vec<Option<usize>>,
    /// In how many braces the elements stand, once there is one.
    leaf_depth: Option<usize>,
    elements: Vec<Option<String>>,
}

impl Reader<'_> {
    #[cold]
    fn malformed(&self, detail: &str) -> Error {
        malformed(self.text, detail)
    }

    fn takes(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start_matches(is_space);
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn array(mut self) -> Result<ArrayValue<String>> {
        let bounds = self.bounds()?;
        if !self.takes('{') {
            return Err(self.malformed(if bounds.is_empty() {
                "Array value must start with \"{\" or dimension information."
            } else {
                "Array contents must start with \"{\"."
            }));
        }
        self.braces(0)?;
        if !self.rest.trim_start_matches(is_space).is_empty() {
            return Err(self.malformed("Junk after closing right brace."));
        }
        let lengths: Vec<usize> = self
            .lengths
            .iter()
            .copied()
            .flatten()
            .filter(|length| *length > 0)
            .collect();
        if bounds.is_empty() {
            let of = |length| Dimension { lower: 1, length };
            let dimensions = lengths.into_iter().map(of).collect();
            return Ok(ArrayValue {
                dimensions,
                elements: self.elements,
            });
        }
        if !lengths.iter().eq(bounds.iter().map(|bound| &bound.length)) {
            return Err(self.malformed("Specified array dimensions do not match array contents."));
        }
        Ok(ArrayValue {
            dimensions: bounds,
            elements: self.elements,
        })
    }

    /// The dimensions that stand before the braces.
    fn bounds(&mut self) -> Result<Vec<Dimension>> {
        let mut bounds = Vec::new();
        while self.takes('[') {
            if bounds.len() == DIMENSIONS_MAX {
                return Err(too_many_dimensions(bounds.len() + 1));
            }
            let mut lower = 1;
            let mut upper = self.bound("\"[\" must introduce explicitly-specified array dimensions.")?;
            if self.rest.starts_with(':') {
                self.rest = &self.rest[1..];
                (lower, upper) = (upper, self.bound("Missing array dimension value.")?);
            }
            if !self.rest.starts_with(']') {
                return Err(self.malformed("Missing \"]\" after array dimensions."));
            }
            self.rest = &self.rest[1..];
            if upper < lower {
                return Err(Error::invalid(
                    SqlState::ARRAY_SUBSCRIPT_ERROR,
                    "upper bound cannot be less than lower bound",
                ));
            }
            let length = (i64::from(upper) - i64::from(lower) + 1) as usize;
            bounds.push(Dimension { lower, length });
        }
        if !bounds.is_empty() && !self.takes('=') {
            return Err(self.malformed("Missing \"=\" after array dimensions."));
        }
        Ok(bounds)
    }

    fn bound(&mut self, missing: &str) -> Result<i32> {
        let sign = usize::from(self.rest.starts_with(['-', '+']));
        let digits = self.rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(sign + digits);
        if digits == 0 {
            return Err(self.malformed(missing));
        }
        self.rest = rest;
        number
            .parse()
            .map_err(|_| self.malformed("Array bound is out of integer range."))
    }

    /// Reads what follows an opening brace, up to the one that closes it.
    fn braces(&mut self, depth: usize) -> Result<()> {
        if depth == DIMENSIONS_MAX {
            return Err(too_many_dimensions(depth + 1));
        }
        if self.leaf_depth.is_some_and(|leaf| leaf < depth) {
            return Err(self.malformed("Unexpected \"{\" character."));
        }
        if self.lengths.len() == depth {
            self.lengths.push(None);
        }
        let mut count = 0;
        if self.takes('}') {
            if depth > 0 {
                return Err(self.malformed("Unexpected \"}\" character."));
            }
        } else {
            loop {
                if self.takes('{') {
                    self.braces(depth + 1)?;
                } else {
                    self.element(depth)?;
                }
                count += 1;
                if self.takes('}') {
                    break;
                }
                if !self.takes(',') {
                    return Err(self.malformed(match self.rest.chars().next() {
                        None => "Unexpected end of input.",
                        Some('{') => "Unexpected \"{\" character.",
                        Some(_) => "Unexpected array element.",
                    }));
                }
            }
        }
        if *self.lengths[depth].get_or_insert(count) != count {
            return Err(self.malformed("Multidimensional arrays must have sub-arrays with matching dimensions."));
        }
        Ok(())
    }

    fn element(&mut self, depth: usize) -> Result<()> {
        if self.rest.starts_with('}') {
            return Err(self.malformed("Unexpected \"}\" character."));
        }
        // Braces below this level were given, so that here only braces may stand.
        if self.lengths.len() > depth + 1 {
            return Err(self.malformed("Unexpected array element."));
        }
        self.leaf_depth = Some(depth);
        let is_quoted = self.takes('"');
        let mut element = String::new();
        // How much of it was escaped, and is kept though it be a space.
        let mut kept = 0;
        let mut has_escape = false;
        loop {
            let Some(c) = self.rest.chars().next() else {
                return Err(self.malformed("Unexpected end of input."));
            };
            match c {
                ',' | '}' if !is_quoted => break,
                '{' if !is_quoted => return Err(self.malformed("Unexpected \"{\" character.")),
                '"' if !is_quoted => return Err(self.malformed("Unexpected array element.")),
                _ => {}
            }
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '"' => break,
                '\\' => {
                    let Some(c) = self.rest.chars().next() else {
                        return Err(self.malformed("Unexpected end of input."));
                    };
                    self.rest = &self.rest[c.len_utf8()..];
                    element.push(c);
                    kept = element.len();
                    has_escape = true;
                }
                c => element.push(c),
            }
        }
        if is_quoted {
            self.elements.push(Some(element));
            return Ok(());
        }
        let trimmed = element[kept..].trim_end_matches(is_space).len();
        element.truncate(kept + trimmed);
        if element.is_empty() {
            let found = if self.rest.starts_with(',') {
                "Unexpected \",\" character."
            } else {
                "Unexpected \"}\" character."
            };
            return Err(self.malformed(found));
        }
        let is_null = !has_escape && element.eq_ignore_ascii_case("null");
        self.elements.push((!is_null).then_some(element));
        Ok(())
    }
}

#[cold]
fn too_many_dimensions(count: usize) -> Error {
    Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"),
    )
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
        fn dimensions_read_back(lowers in proptest::collection::vec(-3i32..3, 1..=4), length in 1usize..4, seed in any::<u64>()) {
            let dimensions: Vec<Dimension> = lowers.iter().map(|&lower| Dimension { lower, length }).collect();
            let count = length.pow(dimensions.len() as u32);
            let elements = (0..count).map(|index| (seed >> (index % 64) & 1 == 0).then(|| index.to_string())).collect();
            let array = ArrayValue { dimensions, elements };
            let mut text = String::new();
            array.write(|element, out| out.push_str(element), &mut text);
            prop_assert_eq!(ArrayValue::parse(&text, |element| Ok(element.to_owned()))?, array);
        }

        #[test]
        fn noise_never_panics(text in r#"(.|[{},"\\\[\]:= ab1]){0,30}"#) {
            let _ = parse_array(&text);
        }
    }
}
