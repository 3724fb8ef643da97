//! The options of a COPY, checked against each other.

use aion_base::{Error, Result, SqlState};
use datafusion::sql::sqlparser::ast;

/// The layout of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines with tabs and backslashes, PostgreSQL's default.
    Text,
    /// RFC 4180, with PostgreSQL's reading of quotes.
    Csv,
    /// PostgreSQL's tuples of values in their binary form.
    Binary,
    /// Columns in row groups; files only.
    Parquet,
}

/// What a COPY says besides table and file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// The layout.
    pub format: Format,
    /// The first line names columns and is no row.
    pub has_header: bool,
    /// Between fields.
    pub delimiter: u8,
    /// Around fields, in CSV.
    pub quote: u8,
    /// Before a quote within quotes, in CSV.
    pub escape: u8,
    /// The text that is NULL: in CSV where it is not quoted, in text where it is written so.
    pub null: String,
}

/// What the statement says, before the format's defaults fill it up.
#[derive(Debug, Default)]
struct Given {
    format: Option<Format>,
    has_header: Option<bool>,
    delimiter: Option<char>,
    quote: Option<char>,
    escape: Option<char>,
    null: Option<String>,
}

impl CopyOptions {
    /// The defaults of a format.
    pub fn of(format: Format) -> Self {
        let (delimiter, null) = match format {
            Format::Text => (b'\t', "\\N"),
            Format::Csv | Format::Binary | Format::Parquet => (b',', ""),
        };
        Self {
            format,
            has_header: false,
            delimiter,
            quote: b'"',
            escape: b'"',
            null: null.to_owned(),
        }
    }

    /// Reads the options of the statement, those before PostgreSQL 9 (`WITH CSV HEADER`) too.
    ///
    /// # Errors
    /// 0A000 for what is not there yet, 22023 for a value that cannot be, 42601 for an option that is given twice.
    pub fn new(options: &[ast::CopyOption], legacy: &[ast::CopyLegacyOption]) -> Result<Self> {
        let mut given = Given::default();
        options.iter().try_for_each(|option| given.take(option))?;
        legacy.iter().try_for_each(|option| given.take_legacy(option))?;
        given.finish()
    }
}

impl Given {
    fn take(&mut self, option: &ast::CopyOption) -> Result<()> {
        match option {
            ast::CopyOption::Format(name) => set(&mut self.format, format(&name.value)?, "format"),
            ast::CopyOption::Header(has_header) => set(&mut self.has_header, *has_header, "header"),
            ast::CopyOption::Delimiter(character) => set(&mut self.delimiter, *character, "delimiter"),
            ast::CopyOption::Quote(character) => set(&mut self.quote, *character, "quote"),
            ast::CopyOption::Escape(character) => set(&mut self.escape, *character, "escape"),
            ast::CopyOption::Null(text) => set(&mut self.null, text.clone(), "null"),
            ast::CopyOption::Encoding(name) => check_encoding(name),
            // A hint about when rows become visible: here they do at the commit.
            ast::CopyOption::Freeze(_) => Ok(()),
            other => Err(Error::unsupported(format!("COPY option {other} is not there yet"))),
        }
    }

    fn take_legacy(&mut self, option: &ast::CopyLegacyOption) -> Result<()> {
        match option {
            ast::CopyLegacyOption::Csv(options) => {
                set(&mut self.format, Format::Csv, "format")?;
                options.iter().try_for_each(|option| match option {
                    ast::CopyLegacyCsvOption::Header => set(&mut self.has_header, true, "header"),
                    ast::CopyLegacyCsvOption::Quote(character) => set(&mut self.quote, *character, "quote"),
                    ast::CopyLegacyCsvOption::Escape(character) => set(&mut self.escape, *character, "escape"),
                    other => Err(Error::unsupported(format!("COPY option {other} is not there yet"))),
                })
            }
            ast::CopyLegacyOption::Header => set(&mut self.has_header, true, "header"),
            ast::CopyLegacyOption::Delimiter(character) => set(&mut self.delimiter, *character, "delimiter"),
            ast::CopyLegacyOption::Null(text) => set(&mut self.null, text.clone(), "null"),
            ast::CopyLegacyOption::Binary => set(&mut self.format, Format::Binary, "format"),
            other => Err(
                Error::unsupported(format!("COPY option {other} without parentheses is not there"))
                    .with_hint("Write COPY t FROM '/path/file' (FORMAT csv, HEADER true)."),
            ),
        }
    }

    fn finish(self) -> Result<CopyOptions> {
        let mut found = CopyOptions::of(self.format.unwrap_or(Format::Text));
        found.has_header = self.has_header.unwrap_or(false);
        if found.format == Format::Binary {
            self.check_binary(&found)?;
        }
        if found.format != Format::Csv && (self.quote.is_some() || self.escape.is_some()) {
            return Err(invalid("COPY quote and escape are for FORMAT csv only"));
        }
        if found.format == Format::Parquet {
            if self.has_header.is_some() || self.delimiter.is_some() || self.null.is_some() {
                return Err(invalid("COPY header, delimiter and null are not for FORMAT parquet"));
            }
            return Ok(found);
        }
        if found.format == Format::Binary {
            return Ok(found);
        }
        if let Some(delimiter) = self.delimiter {
            found.delimiter = one_byte(delimiter, "delimiter")?;
        }
        if let Some(quote) = self.quote {
            found.quote = one_byte(quote, "quote")?;
        }
        // As in PostgreSQL the quote is its own escape unless said otherwise.
        found.escape = self
            .escape
            .map_or(Ok(found.quote), |escape| one_byte(escape, "escape"))?;
        if let Some(null) = self.null {
            found.null = null;
        }
        found.check()?;
        Ok(found)
    }

    /// What is said of lines says nothing of tuples.
    fn check_binary(&self, found: &CopyOptions) -> Result<()> {
        for (is_given, name) in [(self.delimiter.is_some(), "DELIMITER"), (self.null.is_some(), "NULL")] {
            if is_given {
                let message = format!("cannot specify {name} in BINARY mode");
                return Err(Error::invalid(SqlState::SYNTAX_ERROR, message));
            }
        }
        match found.has_header {
            true => Err(Error::unsupported("cannot specify HEADER in BINARY mode")),
            false => Ok(()),
        }
    }
}

impl CopyOptions {
    fn check(&self) -> Result<()> {
        if self.null.contains(['\n', '\r']) {
            return Err(invalid(
                "COPY null representation cannot use newline or carriage return",
            ));
        }
        if self.null.as_bytes().contains(&self.delimiter) {
            return Err(invalid("COPY delimiter must not appear in the NULL specification"));
        }
        match self.format {
            Format::Csv if self.delimiter == self.quote => Err(invalid("COPY delimiter and quote must be different")),
            Format::Csv if self.null.as_bytes().contains(&self.quote) => {
                Err(invalid("CSV quote character must not appear in the NULL specification"))
            }
            // Letters and digits follow a backslash, and a dot ends the data.
            Format::Text if self.delimiter.is_ascii_alphanumeric() || b"\\.".contains(&self.delimiter) => Err(invalid(
                format!("COPY delimiter cannot be \"{}\"", char::from(self.delimiter)),
            )),
            _ => Ok(()),
        }
    }
}

fn set<T>(place: &mut Option<T>, value: T, name: &str) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            format!("conflicting or redundant options: {name} is given twice"),
        )),
    }
}

fn format(name: &str) -> Result<Format> {
    match name.to_ascii_lowercase().as_str() {
        "text" => Ok(Format::Text),
        "csv" => Ok(Format::Csv),
        "parquet" => Ok(Format::Parquet),
        "binary" => Ok(Format::Binary),
        _ => Err(invalid(format!("COPY format \"{name}\" not recognized"))
            .with_hint("There are text, csv, binary and parquet.")),
    }
}

fn check_encoding(name: &str) -> Result<()> {
    if name.replace('-', "").eq_ignore_ascii_case("utf8") {
        return Ok(());
    }
    Err(Error::unsupported(format!("COPY reads and writes UTF-8, not {name}")))
}

fn one_byte(character: char, option: &str) -> Result<u8> {
    match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() && byte != b'\n' && byte != b'\r' => Ok(byte),
        _ => Err(invalid(format!("COPY {option} must be a single one-byte character"))),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn options(text: &str) -> Result<CopyOptions> {
        let statements = parse(&format!("COPY t FROM '/f' {text}"))?;
        match &statements[0].ast {
            ast::Statement::Copy {
                options,
                legacy_options,
                ..
            } => CopyOptions::new(options, legacy_options),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn both_ways_to_write_them() {
        let expected = CopyOptions {
            has_header: true,
            delimiter: b';',
            ..CopyOptions::of(Format::Csv)
        };
        assert_eq!(options("(FORMAT csv, HEADER, DELIMITER ';')").expect("new"), expected);
        assert_eq!(options("DELIMITER ';' CSV HEADER").expect("old"), expected);
        assert_eq!(options("").expect("none"), CopyOptions::of(Format::Text));
        assert_eq!(options("BINARY").expect("old"), CopyOptions::of(Format::Binary));
        assert_eq!(options("(FORMAT csv, QUOTE '|')").expect("quote").escape, b'|');
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, state) in [
            ("(FORMAT binary, DELIMITER ',')", "42601"),
            ("BINARY NULL 'x'", "42601"),
            ("(FORMAT binary, HEADER)", "0A000"),
            ("(FORMAT xml)", "22023"),
            ("(FORMAT csv, FORMAT csv)", "42601"),
            ("(FORMAT csv, DELIMITER '\"')", "22023"),
            ("(FORMAT csv, DELIMITER 'ä')", "42601"),
            ("(DELIMITER 'a')", "22023"),
            ("(QUOTE 'x')", "22023"),
            ("(FORMAT parquet, HEADER)", "22023"),
            ("(FORMAT csv, NULL 'a,b')", "22023"),
            ("(FORMAT csv, ENCODING 'LATIN1')", "0A000"),
        ] {
            assert_eq!(options(text).expect_err(text).state().as_str(), state, "{text}");
        }
    }
}
