//! Records of text and CSV, one after another.
//!
//! A *record* is one row of the data: in CSV (RFC 4180, with PostgreSQL's reading of quotes) a quoted field may hold line
//! ends, in text a backslash may stand before one. The common readers do not say whether a field was quoted, and that is
//! what tells NULL from an empty text.
//!
//! Lines are read into one buffer and taken apart where they lie: what quotes and backslashes leave out closes up to the
//! left, so a field is a range of the buffer and nothing is copied twice.

use std::io::{BufRead, BufReader, Read};

use aion_base::{Error, Result, SqlState};

use super::options::{CopyOptions, Format};

/// Bytes of one record, at most: what storage takes as a row, and some.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 20;

/// Bytes read at once.
pub(super) const BUFFER_BYTES: usize = 1 << 20;

/// One record: its fields, and where it begins.
#[derive(Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    line: u64,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    start: usize,
    end: usize,
    is_null: bool,
}

impl Record {
    /// The number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// The line that the record begins on, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// A field's text; None for NULL and for a field that is not there.
    ///
    /// # Errors
    /// 22021 for bytes that are no UTF-8.
    pub fn field(&self, at: usize) -> Result<Option<&str>> {
        let Some(field) = self.fields.get(at).filter(|field| !field.is_null) else {
            return Ok(None);
        };
        let bytes = &self.bytes[field.start..field.end];
        str::from_utf8(bytes).map(Some).map_err(|error| {
            let from = error.valid_up_to();
            let wrong = &bytes[from..(from + error.error_len().unwrap_or(bytes.len() - from)).min(from + 4)];
            let wrong: Vec<_> = wrong.iter().map(|byte| format!("0x{byte:02x}")).collect();
            Error::invalid(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                format!("invalid byte sequence for encoding \"UTF8\": {}", wrong.join(" ")),
            )
        })
    }
}

/// Reads records, one after another.
#[derive(Debug)]
pub struct RecordReader<R> {
    input: BufReader<R>,
    format: Format,
    delimiter: u8,
    quote: u8,
    escape: u8,
    null: Vec<u8>,
    line: u64,
}

impl<R: Read> RecordReader<R> {
    /// A reader of `input` in the format of `options`, which is text or CSV.
    pub fn new(input: R, options: &CopyOptions) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            format: options.format,
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            null: options.null.clone().into_bytes(),
            line: 0,
        }
    }

    /// Reads the next record; false at the end.
    ///
    /// # Errors
    /// 22P04 for a quote that is not closed, 54000 for a record that is too long, 58030; what the input itself says.
    pub fn read(&mut self, record: &mut Record) -> Result<bool> {
        record.bytes.clear();
        record.fields.clear();
        if !self.next_line(&mut record.bytes)? {
            return Ok(false);
        }
        record.line = self.line;
        match self.format {
            Format::Text => self.split_text(record),
            _ => self.split_csv(record).map(|()| true),
        }
    }

    fn split_csv(&mut self, record: &mut Record) -> Result<()> {
        let bytes = &mut record.bytes;
        let mut at = 0;
        loop {
            let start = at;
            let mut end = at;
            let mut is_quoted = false;
            let is_last = loop {
                let (delimiter, quote) = (self.delimiter, self.quote);
                let run = find([delimiter, quote, b'\n'], &bytes[at..]);
                close_up(bytes, &mut end, at, run);
                at += run;
                match bytes.get(at) {
                    Some(&byte) if byte == quote => {
                        is_quoted = true;
                        at = self.quoted(bytes, at + 1, &mut end, record.line)?;
                    }
                    Some(&byte) if byte == delimiter => {
                        at += 1;
                        break false;
                    }
                    // The end of the line, or of the file; a carriage return before it belongs to it.
                    _ => {
                        if run > 0 && bytes[at - 1] == b'\r' {
                            end -= 1;
                        }
                        break true;
                    }
                }
            };
            let is_null = !is_quoted && bytes[start..end] == *self.null;
            record.fields.push(Field { start, end, is_null });
            if is_last {
                return Ok(());
            }
        }
    }

    /// Takes what is within quotes, from `at` on; answers where it goes on behind them.
    fn quoted(&mut self, bytes: &mut Vec<u8>, mut at: usize, end: &mut usize, first_line: u64) -> Result<usize> {
        loop {
            let (quote, escape) = (self.quote, self.escape);
            let run = find([quote, quote, escape], &bytes[at..]);
            close_up(bytes, end, at, run);
            at += run;
            match (bytes.get(at).copied(), bytes.get(at + 1).copied()) {
                (Some(byte), Some(next)) if byte == escape && (next == quote || next == escape) => {
                    bytes[*end] = next;
                    *end += 1;
                    at += 2;
                }
                (Some(byte), _) if byte == quote => return Ok(at + 1),
                (Some(byte), _) => {
                    bytes[*end] = byte;
                    *end += 1;
                    at += 1;
                }
                (None, _) => {
                    if !self.next_line(bytes)? {
                        let error = Error::invalid(SqlState::BAD_COPY_FILE_FORMAT, "unterminated CSV quoted field");
                        return Err(error.with_detail(format!("The field is in the record on line {first_line}.")));
                    }
                }
            }
        }
    }

    /// Takes a line of text apart; false for the line that ends the data, `\.`.
    fn split_text(&mut self, record: &mut Record) -> Result<bool> {
        let bytes = &mut record.bytes;
        if matches!(bytes.as_slice(), b"\\." | b"\\.\n" | b"\\.\r\n") {
            return Ok(false);
        }
        let mut at = 0;
        loop {
            let start = at;
            let mut end = at;
            let mut is_escaped = false;
            let is_last = loop {
                let delimiter = self.delimiter;
                let run = find([delimiter, b'\\', b'\n'], &bytes[at..]);
                close_up(bytes, &mut end, at, run);
                at += run;
                match bytes.get(at) {
                    Some(b'\\') => {
                        // What stands for NULL is compared as it is written.
                        if !is_escaped && at == start && self.is_null_here(&bytes[at..]) {
                            at += self.null.len();
                            record.fields.push(Field {
                                start,
                                end,
                                is_null: true,
                            });
                            match bytes.get(at) {
                                Some(&byte) if byte == delimiter => {
                                    at += 1;
                                    break None;
                                }
                                _ => return Ok(true),
                            }
                        }
                        is_escaped = true;
                        if at + 1 >= bytes.len() || bytes[at + 1] == b'\n' {
                            // The line goes on: the end of it is part of the field.
                            bytes.truncate(at + 2);
                            let is_more = self.next_line(bytes)?;
                            if at + 1 >= bytes.len() || !is_more {
                                break Some(true);
                            }
                        }
                        let (byte, length) = unescape(&bytes[at + 1..]);
                        bytes[end] = byte;
                        end += 1;
                        at += 1 + length;
                    }
                    Some(&byte) if byte == delimiter => {
                        at += 1;
                        break Some(false);
                    }
                    _ => {
                        if run > 0 && bytes[at - 1] == b'\r' {
                            end -= 1;
                        }
                        break Some(true);
                    }
                }
            };
            let Some(is_last) = is_last else { continue };
            let is_null = !is_escaped && bytes[start..end] == *self.null;
            record.fields.push(Field { start, end, is_null });
            if is_last {
                return Ok(true);
            }
        }
    }

    /// Whether the field that begins here is the NULL string, written with a backslash.
    fn is_null_here(&self, rest: &[u8]) -> bool {
        match rest.strip_prefix(self.null.as_slice()) {
            Some([]) | Some([b'\n', ..] | [b'\r', b'\n', ..]) => true,
            Some([next, ..]) => *next == self.delimiter,
            None => false,
        }
    }

    /// Appends a line with its end; false at the end of the data.
    fn next_line(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        let before = bytes.len();
        let mut limited = (&mut self.input).take((RECORD_BYTES_MAX - before.min(RECORD_BYTES_MAX)) as u64 + 1);
        limited.read_until(b'\n', bytes).map_err(read_error)?;
        self.line += 1;
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(too_long(self.line));
        }
        Ok(bytes.len() > before)
    }
}

/// The error for a record of more than [`RECORD_BYTES_MAX`].
pub(super) fn too_long(line: u64) -> Error {
    Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("the record on line {line} is longer than {RECORD_BYTES_MAX} bytes"),
    )
}

/// An error of the input: one of ours, such as a cancellation, comes back as it was.
pub(super) fn read_error(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(error) => Error::io("read the data of COPY", error),
    }
}

/// How many bytes come before the first of three.
fn find([first, second, third]: [u8; 3], bytes: &[u8]) -> usize {
    memchr::memchr3(first, second, third, bytes).unwrap_or(bytes.len())
}

/// Moves `count` bytes from `at` to `end`, which is never behind it.
fn close_up(bytes: &mut [u8], end: &mut usize, at: usize, count: usize) {
    if *end != at {
        bytes.copy_within(at..at + count, *end);
    }
    *end += count;
}

/// The byte that stands behind a backslash, and how many bytes were read for it. `rest` is not empty.
fn unescape(rest: &[u8]) -> (u8, usize) {
    let digit = |byte: Option<&u8>, radix| byte.and_then(|byte| char::from(*byte).to_digit(radix));
    match rest[0] {
        b'b' => (8, 1),
        b'f' => (12, 1),
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'v' => (11, 1),
        b'x' => match (digit(rest.get(1), 16), digit(rest.get(2), 16)) {
            (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            (Some(low), None) => (low as u8, 2),
            (None, _) => (b'x', 1),
        },
        b'0'..=b'7' => {
            let mut value = 0;
            let mut length = 0;
            while let Some(octal) = digit(rest.get(length), 8).filter(|_| length < 3) {
                value = value * 8 + octal;
                length += 1;
            }
            (value as u8, length)
        }
        other => (other, 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Fields = Vec<Option<String>>;

    fn records(format: Format, text: &[u8]) -> Result<Vec<Fields>> {
        let mut reader = RecordReader::new(text, &CopyOptions::of(format));
        let mut record = Record::default();
        let mut all = Vec::new();
        while reader.read(&mut record)? {
            let fields = (0..record.len()).map(|at| Ok(record.field(at)?.map(str::to_owned)));
            all.push(fields.collect::<Result<_>>()?);
        }
        Ok(all)
    }

    fn some(fields: &[&str]) -> Fields {
        fields.iter().map(|field| Some((*field).to_owned())).collect()
    }

    #[test]
    fn csv_has_quotes_and_line_ends_within_them() {
        let found = records(Format::Csv, b"a,b\r\n,\nlast").expect("read");
        assert_eq!(found, [some(&["a", "b"]), vec![None, None], some(&["last"])]);
        let found = records(Format::Csv, b"\"a \"\"b\"\",\r\nc\",\"\",d\"e\"\r\n").expect("read");
        assert_eq!(found, [some(&["a \"b\",\r\nc", "", "de"])]);
        assert!(records(Format::Csv, b"").expect("read").is_empty());
        assert_eq!(
            records(Format::Csv, b"\n\"\n\"\n").expect("read"),
            [vec![None], some(&["\n"])]
        );
    }

    #[test]
    fn text_has_tabs_and_backslashes() {
        let found = records(Format::Text, b"a\tb\\tc\t\\N\t\n\\N\n\\\\N\tx\\\ny\\x41\\101\\q\r\n").expect("read");
        let expected = [
            vec![Some("a".into()), Some("b\tc".into()), None, Some(String::new())],
            vec![None],
            some(&["\\N", "x\nyAAq"]),
        ];
        assert_eq!(found, expected);
        let found = records(Format::Text, b"a\n\\.\nnot read\n").expect("read");
        assert_eq!(found, [some(&["a"])], "a lone \\. ends the data");
    }

    #[test]
    fn an_open_quote_and_bad_bytes_are_errors() {
        let error = records(Format::Csv, b"a\n\"b\nc").expect_err("open");
        assert_eq!(error.state(), SqlState::BAD_COPY_FILE_FORMAT);
        assert!(error.detail().is_some_and(|detail| detail.contains("line 2")));
        let error = records(Format::Csv, b"a,\xc3(\n").expect_err("no UTF-8");
        assert_eq!(error.state(), SqlState::CHARACTER_NOT_IN_REPERTOIRE);
        assert!(error.message().ends_with(": 0xc3"), "{error}");
    }

    #[test]
    fn another_escape_and_another_null() {
        let options = CopyOptions {
            escape: b'\\',
            null: "nil".into(),
            ..CopyOptions::of(Format::Csv)
        };
        let mut reader = RecordReader::new(&b"\"a\\\"b\\c\\\\\",nil,\"nil\",\n"[..], &options);
        let mut record = Record::default();
        assert!(reader.read(&mut record).expect("read"));
        let fields: Vec<_> = (0..record.len()).map(|at| record.field(at).expect("text")).collect();
        assert_eq!(fields, [Some("a\"b\\c\\"), None, Some("nil"), Some("")]);
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(prop::sample::select(b"a,\t\"\\\n\r.Nx7\xc3".to_vec()), 0..60)) {
            for format in [Format::Text, Format::Csv] {
                let _ = records(format, &bytes);
            }
        }
    }
}
