//! Writes keys; the format stands in the header of [`super`].

use super::{ColumnOrder, ESCAPE, TAG_VALUE, TERMINATOR, index_prefix};
use crate::id::{IndexId, TableId};

/// Appends the parts of a key to a buffer, column by column; allocates nothing but the buffer's growth.
///
/// A NULL of any type is written with [`KeyWriter::null`].
pub struct KeyWriter<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> KeyWriter<'a> {
    /// Appends to `buffer`, which may hold the beginning of the key already.
    pub fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer }
    }

    /// Table and index, the beginning of every key.
    pub fn table(&mut self, table: TableId, index: IndexId) -> &mut Self {
        self.buffer.extend_from_slice(&index_prefix(table, index));
        self
    }

    /// NULL.
    pub fn null(&mut self, order: ColumnOrder) -> &mut Self {
        self.buffer.push(order.null_tag() ^ order.mask());
        self
    }

    /// A boolean; false sorts first.
    pub fn bool(&mut self, value: bool, order: ColumnOrder) -> &mut Self {
        self.fixed([u8::from(value)], order)
    }

    /// A 16-bit integer.
    pub fn i16(&mut self, value: i16, order: ColumnOrder) -> &mut Self {
        self.fixed((value ^ i16::MIN).to_be_bytes(), order)
    }

    /// A 32-bit integer or a date.
    pub fn i32(&mut self, value: i32, order: ColumnOrder) -> &mut Self {
        self.fixed((value ^ i32::MIN).to_be_bytes(), order)
    }

    /// A 64-bit integer or a timestamp.
    pub fn i64(&mut self, value: i64, order: ColumnOrder) -> &mut Self {
        self.fixed((value ^ i64::MIN).to_be_bytes(), order)
    }

    /// The unscaled value of a decimal.
    pub fn i128(&mut self, value: i128, order: ColumnOrder) -> &mut Self {
        self.fixed((value ^ i128::MIN).to_be_bytes(), order)
    }

    /// A 32-bit float: -0.0 becomes +0.0, NaN is the greatest.
    pub fn f32(&mut self, value: f32, order: ColumnOrder) -> &mut Self {
        let bits = if value.is_nan() {
            0x7FC0_0000
        } else {
            (value + 0.0).to_bits()
        };
        let sign_mask = ((bits as i32 >> 31) as u32) | 1 << 31;
        self.fixed((bits ^ sign_mask).to_be_bytes(), order)
    }

    /// A 64-bit float: -0.0 becomes +0.0, NaN is the greatest.
    pub fn f64(&mut self, value: f64, order: ColumnOrder) -> &mut Self {
        let bits = if value.is_nan() {
            0x7FF8_0000_0000_0000
        } else {
            (value + 0.0).to_bits()
        };
        let sign_mask = ((bits as i64 >> 63) as u64) | 1 << 63;
        self.fixed((bits ^ sign_mask).to_be_bytes(), order)
    }

    /// A UUID.
    pub fn uuid(&mut self, value: &[u8; 16], order: ColumnOrder) -> &mut Self {
        self.fixed(*value, order)
    }

    /// Text, ordered by its UTF-8 bytes.
    pub fn text(&mut self, value: &str, order: ColumnOrder) -> &mut Self {
        self.bytes(value.as_bytes(), order)
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8], order: ColumnOrder) -> &mut Self {
        self.bytes_prefix(value, order);
        let mask = order.mask();
        self.buffer.extend_from_slice(&[mask, TERMINATOR ^ mask]);
        self
    }

    /// The beginning of a byte string or text: `KeyRange::prefix` of the result holds all that start with it, as
    /// `LIKE 'abc%'` asks for. Not a key; nothing can follow it.
    pub fn bytes_prefix(&mut self, value: &[u8], order: ColumnOrder) -> &mut Self {
        let mask = order.mask();
        self.buffer.reserve(value.len() + 3);
        self.buffer.push(TAG_VALUE ^ mask);
        let mut runs = value.split(|&byte| byte == 0);
        if let Some(run) = runs.next() {
            self.masked(run, mask);
        }
        for run in runs {
            self.buffer.extend_from_slice(&[mask, ESCAPE ^ mask]);
            self.masked(run, mask);
        }
        self
    }

    /// Columns that another key of the same orders already holds encoded.
    pub fn encoded(&mut self, columns: &[u8]) -> &mut Self {
        self.buffer.extend_from_slice(columns);
        self
    }

    fn fixed<const WIDTH: usize>(&mut self, mut payload: [u8; WIDTH], order: ColumnOrder) -> &mut Self {
        let mask = order.mask();
        for byte in &mut payload {
            *byte ^= mask;
        }
        self.buffer.push(TAG_VALUE ^ mask);
        self.buffer.extend_from_slice(&payload);
        self
    }

    fn masked(&mut self, bytes: &[u8], mask: u8) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        if mask != 0 {
            for byte in &mut self.buffer[start..] {
                *byte ^= mask;
            }
        }
    }
}
