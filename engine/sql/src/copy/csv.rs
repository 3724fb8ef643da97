//! Records of a CSV file (RFC 4180, with PostgreSQL's reading of quotes).
//!
//! The common readers do not say whether a field was quoted, and that is what tells NULL from an empty text. Lines end with LF or
//! CRLF; a quoted field may hold them; a doubled quote within quotes is one quote.

use std::io::{BufRead, BufReader, Read};

use aion_base::{Error, Result, SqlState};

use super::CopyOptions;

/// Bytes of one record, at most: what storage takes as a row, and some.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// One record: its fields' bytes, and whether each was quoted.
#[derive(Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    /// Where each field ends, and whether it was quoted.
    fields: Vec<(usize, bool)>,
    line: u64,
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

    /// A field's text, and whether it was quoted.
    ///
    /// # Errors
    /// 22021 for bytes that are no UTF-8.
    pub fn field(&self, at: usize) -> Result<Option<(&str, bool)>> {
        let Some(&(end, is_quoted)) = self.fields.get(at) else {
            return Ok(None);
        };
        let start = at.checked_sub(1).map_or(0, |before| self.fields[before].0);
        let text = str::from_utf8(&self.bytes[start..end]).map_err(|_| {
            Error::invalid(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                "invalid byte sequence for encoding \"UTF8\"",
            )
        })?;
        Ok(Some((text, is_quoted)))
    }
}

/// Reads records, one after another.
#[derive(Debug)]
pub struct CsvReader<R> {
    input: BufReader<R>,
    delimiter: u8,
    quote: u8,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: Read> CsvReader<R> {
    /// A reader of `input`.
    pub fn new(input: R, options: &CopyOptions) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 20, input),
            delimiter: options.delimiter,
            quote: options.quote,
            line: 0,
            buffer: Vec::new(),
        }
    }

    /// Reads the next record; false at the end.
    ///
    /// # Errors
    /// 22P04 for a quote that is not closed, 54000 for a record that is too long, 58030.
    pub fn read(&mut self, record: &mut Record) -> Result<bool> {
        record.bytes.clear();
        record.fields.clear();
        if !self.next_line()? {
            return Ok(false);
        }
        record.line = self.line;
        let mut is_quoted = false;
        let mut is_inside = false;
        loop {
            let mut at = 0;
            while at < self.buffer.len() {
                let byte = self.buffer[at];
                if is_inside {
                    if byte != self.quote {
                        record.bytes.push(byte);
                    } else if self.buffer.get(at + 1) == Some(&self.quote) {
                        record.bytes.push(byte);
                        at += 1;
                    } else {
                        is_inside = false;
                    }
                } else if byte == self.quote {
                    is_inside = true;
                    is_quoted = true;
                } else if byte == self.delimiter {
                    record.fields.push((record.bytes.len(), is_quoted));
                    is_quoted = false;
                } else if byte == b'\n' || (byte == b'\r' && matches!(self.buffer.get(at + 1), None | Some(b'\n'))) {
                    break;
                } else {
                    record.bytes.push(byte);
                }
                at += 1;
            }
            if !is_inside {
                break;
            }
            if record.bytes.len() > RECORD_BYTES_MAX {
                return Err(too_long(record.line));
            }
            if !self.next_line()? {
                let error = Error::invalid(SqlState::BAD_COPY_FILE_FORMAT, "unterminated CSV quoted field");
                return Err(error.with_detail(format!("The field begins in the record on line {}.", record.line)));
            }
        }
        record.fields.push((record.bytes.len(), is_quoted));
        Ok(true)
    }

    /// Reads a line with its end into the buffer; false at the end of the file.
    fn next_line(&mut self) -> Result<bool> {
        self.buffer.clear();
        let mut limited = (&mut self.input).take(RECORD_BYTES_MAX as u64 + 1);
        let read = limited
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| Error::io("read the file", error))?;
        self.line += 1;
        if read > RECORD_BYTES_MAX {
            return Err(too_long(self.line));
        }
        Ok(read > 0)
    }
}

fn too_long(line: u64) -> Error {
    Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("the record on line {line} is longer than {RECORD_BYTES_MAX} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Result<Vec<Vec<(String, bool)>>> {
        let options = CopyOptions {
            has_header: false,
            delimiter: b',',
            quote: b'"',
            null: String::new(),
        };
        let mut reader = CsvReader::new(text.as_bytes(), &options);
        let mut record = Record::default();
        let mut all = Vec::new();
        while reader.read(&mut record)? {
            let fields = (0..record.len()).map(|at| {
                let (text, is_quoted) = record.field(at)?.expect("there");
                Ok((text.to_owned(), is_quoted))
            });
            all.push(fields.collect::<Result<_>>()?);
        }
        Ok(all)
    }

    fn plain(fields: &[&str]) -> Vec<(String, bool)> {
        fields.iter().map(|field| ((*field).to_owned(), false)).collect()
    }

    #[test]
    fn fields_quotes_and_line_ends() {
        assert_eq!(
            records("a,b\r\n,\nlast").expect("read"),
            [plain(&["a", "b"]), plain(&["", ""]), plain(&["last"])]
        );
        let quoted = records("\"a \"\"b\"\",\nc\",\"\",d\"e\"\n").expect("read");
        assert_eq!(
            quoted,
            [[
                ("a \"b\",\nc".to_owned(), true),
                (String::new(), true),
                ("de".to_owned(), true)
            ]]
        );
        assert_eq!(records("").expect("read").len(), 0);
    }

    #[test]
    fn an_open_quote_and_bad_bytes_are_errors() {
        assert_eq!(
            records("a\n\"b").expect_err("open").state(),
            SqlState::BAD_COPY_FILE_FORMAT
        );
        let options = CopyOptions {
            has_header: false,
            delimiter: b',',
            quote: b'"',
            null: String::new(),
        };
        let mut reader = CsvReader::new(&[0xff, b'\n'][..], &options);
        let mut record = Record::default();
        assert!(reader.read(&mut record).expect("a record"));
        assert_eq!(
            record.field(0).expect_err("no text").state(),
            SqlState::CHARACTER_NOT_IN_REPERTOIRE
        );
    }
}
