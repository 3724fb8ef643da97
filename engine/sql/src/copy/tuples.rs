//! PostgreSQL's binary format: tuples of values in their binary form (see `binary`).
//!
//! ```text
//! PGCOPY \n 0xff \r \n 0x00 | flags i32 | extension length i32 | extension
//! tuple:   fields i16 | (length i32 | value)*         length -1: NULL
//! trailer: -1 i16
//! ```
//!
//! Numbers are big endian. The lower 16 flags, and the extension, are passed over; an upper one that is set says that the data cannot
//! be read without knowing it. As in PostgreSQL the data may end without the trailer, and nothing may follow it.

use std::io::{BufReader, Read};

use aion_base::{Error, Result, SqlState};
use aion_catalog::row::RowWriter;
use aion_catalog::{SqlType, text};
use bytes::{BufMut, BytesMut};

use super::fields::Fields;
use super::load::{Load, at_line};
use super::record::{BUFFER_BYTES, RECORD_BYTES_MAX, read_error, too_long};
use super::write::LineBatch;
use crate::binary;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Set where an OID stands before each tuple: PostgreSQL before 12.
const FLAG_OIDS: u32 = 1 << 16;

/// What a count of fields is in the trailer.
const TRAILER: i16 = -1;

/// Bytes of a tuple that is written, at most.
const TUPLE_BYTES_MAX: usize = 1 << 30;

/// Writes tuples.
#[derive(Debug, Default)]
pub struct TupleWriter {
    is_begun: bool,
    /// Memory for one tuple.
    tuple: BytesMut,
}

impl TupleWriter {
    /// As [`Writer::rows`](super::write::Writer::rows). What stands before all tuples is one piece with the first.
    pub fn rows(
        &mut self,
        batch: &LineBatch,
        first: usize,
        bytes_full: usize,
        out: &mut Vec<u8>,
        mut ended: impl FnMut(usize),
    ) -> Result<usize> {
        let cells = batch.cells();
        let mut row = first;
        while row < batch.rows() && out.len() < bytes_full {
            let tuple = &mut self.tuple;
            tuple.clear();
            // As many as a SELECT may have.
            tuple.put_i16(cells.len() as i16);
            for (column, cell) in &cells {
                if cell.is_null(row) {
                    tuple.put_i32(-1);
                    continue;
                }
                let at = tuple.len();
                tuple.put_i32(0);
                binary::put(column, cell, row, tuple)?;
                if tuple.len() > TUPLE_BYTES_MAX {
                    return Err(Error::exhausted(
                        SqlState::PROGRAM_LIMIT_EXCEEDED,
                        format!("a row of the data has more than {TUPLE_BYTES_MAX} bytes"),
                    ));
                }
                let length = (tuple.len() - at - 4) as i32;
                tuple[at..at + 4].copy_from_slice(&length.to_be_bytes());
            }
            self.begin(out);
            out.extend_from_slice(&self.tuple);
            ended(out.len());
            row += 1;
        }
        Ok(row)
    }

    /// Appends the trailer.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(&TRAILER.to_be_bytes());
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_begun, true) {
            out.extend_from_slice(SIGNATURE);
            // No flags, no extension.
            out.extend_from_slice(&[0; 8]);
        }
    }
}

/// Reads tuples.
pub struct TupleReader<'a, R> {
    load: &'a Load,
    input: BufReader<R>,
    /// The values of a tuple, one behind the other.
    bytes: Vec<u8>,
    /// Where each value lies; None for NULL.
    fields: Vec<Option<std::ops::Range<usize>>>,
    line: u64,
    is_over: bool,
}

impl<'a, R: Read> TupleReader<'a, R> {
    /// A reader of `input`, behind what stands before the tuples.
    ///
    /// # Errors
    /// 22P04 for what is not this format, and for flags that are not known.
    pub fn new(load: &'a Load, input: R) -> Result<Self> {
        let mut reader = Self {
            load,
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            bytes: Vec::new(),
            fields: Vec::with_capacity(load.columns.len()),
            line: 0,
            is_over: false,
        };
        reader.head()?;
        Ok(reader)
    }

    fn head(&mut self) -> Result<()> {
        let mut signature = [0; SIGNATURE.len()];
        if self.fill(&mut signature)? < signature.len() || signature != *SIGNATURE {
            return Err(bad("COPY file signature not recognized"));
        }
        let flags = self
            .number()?
            .ok_or_else(|| bad("invalid COPY file header (missing flags)"))?;
        let flags = u32::from_be_bytes(flags);
        if flags & FLAG_OIDS != 0 {
            return Err(bad("invalid COPY file header (WITH OIDS)"));
        }
        if flags >> 16 != 0 {
            return Err(bad("unrecognized critical flags in COPY file header"));
        }
        let length = self
            .number()?
            .map(i32::from_be_bytes)
            .and_then(|length| u64::try_from(length).ok());
        let length = length.ok_or_else(|| bad("invalid COPY file header (missing length)"))?;
        let passed = std::io::copy(&mut (&mut self.input).take(length), &mut std::io::sink()).map_err(read_error)?;
        match passed == length {
            true => Ok(()),
            false => Err(bad("invalid COPY file header (wrong length)")),
        }
    }

    /// Reads the next tuple; false at the end.
    fn tuple(&mut self) -> Result<bool> {
        self.bytes.clear();
        self.fields.clear();
        let Some(count) = self.number()?.map(i16::from_be_bytes) else {
            return Ok(false);
        };
        let expected = self.load.columns.len();
        if count != TRAILER && usize::try_from(count) != Ok(expected) {
            return Err(self.at_line(bad(format!("row field count is {count}, expected {expected}"))));
        }
        if count == TRAILER {
            let more = self.fill(&mut [0])?;
            return match more {
                0 => Ok(false),
                _ => Err(self.at_line(bad("received copy data after EOF marker"))),
            };
        }
        for field in 0..expected {
            self.value().map_err(|error| self.at_field(error, field))?;
        }
        Ok(true)
    }

    /// Reads the next value of a tuple.
    fn value(&mut self) -> Result<()> {
        let length = self.number()?.map(i32::from_be_bytes).ok_or_else(cut_off)?;
        if length == -1 {
            self.fields.push(None);
            return Ok(());
        }
        let length = usize::try_from(length).map_err(|_| bad("invalid field size"))?;
        let start = self.bytes.len();
        if length > RECORD_BYTES_MAX - start {
            return Err(too_long(self.line));
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(start + length, 0);
        let filled = self.fill(&mut bytes[start..])?;
        self.bytes = bytes;
        if filled < length {
            return Err(cut_off());
        }
        self.fields.push(Some(start..start + length));
        Ok(())
    }

    fn at_line(&self, error: Error) -> Error {
        self.load.context(error, &at_line(self.line), None, None)
    }

    fn at_field(&self, error: Error, field: usize) -> Error {
        let column = self.load.columns.get(field);
        let column = column.map(|&column| self.load.shape.descriptor.columns[column].name.as_str());
        self.load.context(error, &at_line(self.line), column, None)
    }

    /// The bytes of a number; None where the data ends before it does.
    fn number<const N: usize>(&mut self) -> Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        Ok((self.fill(&mut bytes)? == N).then_some(bytes))
    }

    /// Fills `bytes`, as far as the data goes; answers how far.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(error)),
            }
        }
        Ok(filled)
    }

    fn field(&self, at: usize) -> Option<&[u8]> {
        let range = self.fields.get(at)?.clone()?;
        self.bytes.get(range)
    }
}

impl<R: Read> Fields for TupleReader<'_, R> {
    fn next(&mut self) -> Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        self.line += 1;
        self.is_over = !self.tuple()?;
        self.line -= u64::from(self.is_over);
        Ok(!self.is_over)
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn put(&mut self, field: usize, writer: &mut RowWriter<'_>, position: usize, sql_type: SqlType) -> Result<bool> {
        let Some(bytes) = self.field(field) else {
            return Ok(false);
        };
        let written = || binary::utf8(bytes).and_then(text::parse_text);
        match sql_type {
            // Straight from where they lie: these would be copied into a value.
            SqlType::Text => writer.bytes(position, written()?.as_bytes()),
            SqlType::Varchar(limit) => writer.bytes(position, text::parse_varchar(written()?, limit)?.as_bytes()),
            SqlType::Bytea => writer.bytes(position, bytes),
            _ => match binary::take_value(sql_type, bytes)? {
                Some(value) => writer.value(position, &value),
                None => {
                    return Err(Error::invalid(
                        SqlState::INVALID_BINARY_REPRESENTATION,
                        "incorrect binary data format",
                    ));
                }
            },
        }
        Ok(true)
    }

    fn shown(&self, _field: usize) -> Option<&str> {
        None
    }
}

fn cut_off() -> Error {
    bad("unexpected EOF in COPY data")
}

fn bad(message: impl Into<String>) -> Error {
    Error::invalid(SqlState::BAD_COPY_FILE_FORMAT, message)
}
