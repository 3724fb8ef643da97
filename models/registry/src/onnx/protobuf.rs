//! As much of the wire format of protocol buffers as the model file has: numbers and lengths with bytes.

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

const NUMBER: u64 = 0;
const BYTES: u64 = 2;

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(super) fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | NUMBER);
        self.varint(value);
    }

    pub(super) fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | BYTES);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub(super) fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.bytes);
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

/// The fields of a message, one after the other. It descends nowhere by itself, so the depth of what is read is that of the code that
/// reads it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    left: &'a [u8],
    message: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], message: &'static str) -> Self {
        Self { left: bytes, message }
    }

    /// The next field, or None at the end.
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, String> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        let value = match tag & 7 {
            NUMBER => Value::Number(self.varint()?),
            BYTES => {
                let length = self.varint()?;
                let length = usize::try_from(length).ok().filter(|length| *length <= self.left.len());
                let Some(length) = length else {
                    return Err(format!(
                        "field {number} of {} is longer than what is left",
                        self.message
                    ));
                };
                let (value, left) = self.left.split_at(length);
                self.left = left;
                Value::Bytes(value)
            }
            other => {
                return Err(format!(
                    "field {number} of {} has wire type {other}, which no field of the format has",
                    self.message
                ));
            }
        };
        Ok(Some(Field { number, value }))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some((byte, left)) = self.left.split_first() else {
                return Err(format!("{} ends in the middle of a number", self.message));
            };
            self.left = left;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(format!("a number in {} has more than 64 bits", self.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        let numbers = [0, 1, 127, 128, 300, 1 << 35, u64::MAX];
        for (at, number) in numbers.into_iter().enumerate() {
            writer.number(at as u64 + 1, number);
        }
        writer.message(99, |inner| inner.text(1, "text"));
        let mut reader = Reader::new(&writer.bytes, "test");
        for (at, number) in numbers.into_iter().enumerate() {
            let field = Field {
                number: at as u64 + 1,
                value: Value::Number(number),
            };
            assert_eq!(reader.next(), Ok(Some(field)));
        }
        let Ok(Some(Field {
            number: 99,
            value: Value::Bytes(inner),
        })) = reader.next()
        else {
            panic!("field 99 is there");
        };
        assert_eq!(reader.next(), Ok(None));
        // As the documentation of the format encodes it.
        assert_eq!(inner, b"\x0a\x04text");
        assert_eq!(&writer.bytes[..2], b"\x08\x00");
    }

    #[test]
    fn numbers_and_lengths_that_are_too_large_are_errors() {
        let wrong: [&[u8]; 6] = [
            // Eleven bytes of a number; a tenth byte with more than one bit; one that ends.
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            &[0x08, 0xff],
            // Lengths beyond what is left: by one, and by almost all that 64 bits can say.
            &[0x0a, 0x02, 0x00],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00],
            // A group.
            &[0x0b, 0x0c],
        ];
        for bytes in wrong {
            assert!(Reader::new(bytes, "test").next().is_err(), "{bytes:x?}");
        }
    }
}
