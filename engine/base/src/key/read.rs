//! Reads keys; the format stands in the header of [`super`].

use std::borrow::Cow;

use super::{ColumnOrder, ESCAPE, PREFIX_BYTES, TAG_VALUE, TERMINATOR};
use crate::error::{Error, Result};
use crate::id::{IndexId, TableId};

/// Reads the parts of a key in the order in which they were written.
///
/// Each column method answers `None` for NULL. Bytes that no writer of that type and order produces are
/// [`Error::corrupt`], and where the reader stands after an error is unspecified.
#[derive(Clone)]
pub struct KeyReader<'a> {
    key: &'a [u8],
    position: usize,
}

impl<'a> KeyReader<'a> {
    /// Reads `key` from its first byte.
    pub fn new(key: &'a [u8]) -> Self {
        Self { key, position: 0 }
    }

    /// Table and index.
    pub fn table(&mut self) -> Result<(TableId, IndexId)> {
        let [a, b, c, d, e, f] = self.take::<PREFIX_BYTES>()?;
        Ok((
            TableId(u32::from_be_bytes([a, b, c, d])),
            IndexId(u16::from_be_bytes([e, f])),
        ))
    }

    /// A boolean.
    pub fn bool(&mut self, order: ColumnOrder) -> Result<Option<bool>> {
        match self.fixed(order)? {
            None => Ok(None),
            Some([0]) => Ok(Some(false)),
            Some([1]) => Ok(Some(true)),
            Some(_) => Err(self.corrupt("a byte is no boolean")),
        }
    }

    /// A 16-bit integer.
    pub fn i16(&mut self, order: ColumnOrder) -> Result<Option<i16>> {
        Ok(self.fixed(order)?.map(|bytes| i16::from_be_bytes(bytes) ^ i16::MIN))
    }

    /// A 32-bit integer or a date.
    pub fn i32(&mut self, order: ColumnOrder) -> Result<Option<i32>> {
        Ok(self.fixed(order)?.map(|bytes| i32::from_be_bytes(bytes) ^ i32::MIN))
    }

    /// A 64-bit integer or a timestamp.
    pub fn i64(&mut self, order: ColumnOrder) -> Result<Option<i64>> {
        Ok(self.fixed(order)?.map(|bytes| i64::from_be_bytes(bytes) ^ i64::MIN))
    }

    /// The unscaled value of a decimal.
    pub fn i128(&mut self, order: ColumnOrder) -> Result<Option<i128>> {
        Ok(self.fixed(order)?.map(|bytes| i128::from_be_bytes(bytes) ^ i128::MIN))
    }

    /// A 32-bit float; a zero is +0.0.
    pub fn f32(&mut self, order: ColumnOrder) -> Result<Option<f32>> {
        let Some(bytes) = self.fixed(order)? else {
            return Ok(None);
        };
        let stored = u32::from_be_bytes(bytes);
        let sign_mask = ((!stored as i32 >> 31) as u32) | 1 << 31;
        let value = f32::from_bits(stored ^ sign_mask);
        let canonical = !value.is_nan() || value.to_bits() == 0x7FC0_0000;
        if !canonical || value.to_bits() == 1 << 31 {
            return Err(self.corrupt("a float is not in its one form"));
        }
        Ok(Some(value))
    }

    /// A 64-bit float; a zero is +0.0.
    pub fn f64(&mut self, order: ColumnOrder) -> Result<Option<f64>> {
        let Some(bytes) = self.fixed(order)? else {
            return Ok(None);
        };
        let stored = u64::from_be_bytes(bytes);
        let sign_mask = ((!stored as i64 >> 63) as u64) | 1 << 63;
        let value = f64::from_bits(stored ^ sign_mask);
        let canonical = !value.is_nan() || value.to_bits() == 0x7FF8_0000_0000_0000;
        if !canonical || value.to_bits() == 1 << 63 {
            return Err(self.corrupt("a float is not in its one form"));
        }
        Ok(Some(value))
    }

    /// A UUID.
    pub fn uuid(&mut self, order: ColumnOrder) -> Result<Option<[u8; 16]>> {
        self.fixed(order)
    }

    /// Text; borrowed from the key where it holds no 0x00 and the column ascends.
    pub fn text(&mut self, order: ColumnOrder) -> Result<Option<Cow<'a, str>>> {
        let text = match self.bytes(order)? {
            None => return Ok(None),
            Some(Cow::Borrowed(bytes)) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Some(Cow::Owned(bytes)) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        match text {
            Some(text) => Ok(Some(text)),
            None => Err(self.corrupt("a text is not UTF-8")),
        }
    }

    /// A byte string; borrowed from the key where it holds no 0x00 and the column ascends.
    pub fn bytes(&mut self, order: ColumnOrder) -> Result<Option<Cow<'a, [u8]>>> {
        if !self.value_follows(order)? {
            return Ok(None);
        }
        let mask = order.mask();
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            let (run, last) = self.run(mask)?;
            match (&mut unescaped, last) {
                (None, true) if mask == 0 => return Ok(Some(Cow::Borrowed(run))),
                (bytes, _) => {
                    let bytes = bytes.get_or_insert_with(Vec::new);
                    bytes.extend(run.iter().map(|byte| byte ^ mask));
                    if last {
                        return Ok(unescaped.map(Cow::Owned));
                    }
                    bytes.push(0);
                }
            }
        }
    }

    /// Passes over a column whose payload is `width` bytes; true if it held a value, false for NULL.
    pub fn skip_fixed(&mut self, width: usize, order: ColumnOrder) -> Result<bool> {
        if !self.value_follows(order)? {
            return Ok(false);
        }
        if self.rest().len() < width {
            return Err(self.corrupt("the key ends within a value"));
        }
        self.position += width;
        Ok(true)
    }

    /// Passes over a text or byte string; true if it held a value, false for NULL.
    pub fn skip_bytes(&mut self, order: ColumnOrder) -> Result<bool> {
        if !self.value_follows(order)? {
            return Ok(false);
        }
        while !self.run(order.mask())?.1 {}
        Ok(true)
    }

    /// The bytes that were not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.key[self.position..]
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Refuses bytes after the last column.
    pub fn finish(&self) -> Result<()> {
        if self.rest().is_empty() {
            return Ok(());
        }
        Err(self.corrupt("bytes follow the last column"))
    }

    /// Reads the tag: whether a value follows.
    fn value_follows(&mut self, order: ColumnOrder) -> Result<bool> {
        let [tag] = self.take()?.map(|byte: u8| byte ^ order.mask());
        if tag == TAG_VALUE {
            Ok(true)
        } else if tag == order.null_tag() {
            Ok(false)
        } else {
            Err(self.corrupt("a byte begins no column of this order"))
        }
    }

    /// The still masked bytes up to the next 00, which is passed over with the byte after it, and whether that
    /// byte ended the payload.
    fn run(&mut self, mask: u8) -> Result<(&'a [u8], bool)> {
        let rest = self.rest();
        let Some(length) = rest.iter().position(|&byte| byte == mask) else {
            return Err(self.corrupt("a text is not terminated"));
        };
        self.position += length + 1;
        let [after] = self.take()?;
        match after ^ mask {
            TERMINATOR => Ok((&rest[..length], true)),
            ESCAPE => Ok((&rest[..length], false)),
            _ => Err(self.corrupt("a zero byte of a text is not escaped")),
        }
    }

    fn fixed<const WIDTH: usize>(&mut self, order: ColumnOrder) -> Result<Option<[u8; WIDTH]>> {
        if !self.value_follows(order)? {
            return Ok(None);
        }
        let mask = order.mask();
        Ok(Some(self.take::<WIDTH>()?.map(|byte| byte ^ mask)))
    }

    fn take<const WIDTH: usize>(&mut self) -> Result<[u8; WIDTH]> {
        let Some(bytes) = self.rest().first_chunk::<WIDTH>() else {
            return Err(self.corrupt("the key ends within a value"));
        };
        self.position += WIDTH;
        Ok(*bytes)
    }

    /// The message gives places, not bytes: a key holds a user's data, and errors are logged.
    #[cold]
    fn corrupt(&self, what: &str) -> Error {
        Error::corrupt(format!(
            "key of {} bytes is damaged before byte {}: {what}",
            self.key.len(),
            self.position
        ))
    }
}
