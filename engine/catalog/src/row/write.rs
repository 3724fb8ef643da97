//! Writing a row.

use super::{HEADER_BYTES, Parts, RowLayout, VERSION};
use crate::interval::Interval;
use crate::types::SqlType;
use crate::value::Value;

/// Appends one row to a buffer. Columns that are not set are NULL; variable columns are set in rising order.
#[derive(Debug)]
pub struct RowWriter<'a> {
    layout: &'a RowLayout,
    out: &'a mut Vec<u8>,
    start: usize,
    parts: Parts,
    /// Variable columns whose end is written.
    ended: usize,
}

impl<'a> RowWriter<'a> {
    /// Begins a row at the end of `out`.
    pub fn new(layout: &'a RowLayout, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        let count = layout.places.len();
        let parts = layout.parts(count);
        out.push(VERSION);
        // A table has at most 1600 columns, as in PostgreSQL.
        out.extend_from_slice(&(count as u16).to_le_bytes());
        out.resize(start + parts.fixed, 0xff);
        if let Some(last) = out[start + HEADER_BYTES..].last_mut()
            && !count.is_multiple_of(8)
        {
            *last = (1 << (count % 8)) - 1;
        }
        out.resize(start + parts.variable, 0);
        Self {
            layout,
            out,
            start,
            parts,
            ended: 0,
        }
    }

    /// Sets a boolean.
    pub fn bool(&mut self, column: usize, value: bool) {
        self.fixed(column, [u8::from(value)]);
    }

    /// Sets a smallint.
    pub fn i16(&mut self, column: usize, value: i16) {
        self.fixed(column, value.to_le_bytes());
    }

    /// Sets an integer, or a date as days since 1970-01-01.
    pub fn i32(&mut self, column: usize, value: i32) {
        self.fixed(column, value.to_le_bytes());
    }

    /// Sets a bigint, a timestamp as microseconds since 1970-01-01, a time as those since midnight, or an enum by its position.
    pub fn i64(&mut self, column: usize, value: i64) {
        self.fixed(column, value.to_le_bytes());
    }

    /// Sets a numeric: the value times ten to the power of the column's scale.
    pub fn i128(&mut self, column: usize, value: i128) {
        self.fixed(column, value.to_le_bytes());
    }

    /// Sets a real.
    pub fn f32(&mut self, column: usize, value: f32) {
        self.fixed(column, value.to_le_bytes());
    }

    /// Sets a double precision.
    pub fn f64(&mut self, column: usize, value: f64) {
        self.fixed(column, value.to_le_bytes());
    }

    /// Sets a uuid.
    pub fn uuid(&mut self, column: usize, value: [u8; 16]) {
        self.fixed(column, value);
    }

    /// Sets an interval.
    pub fn interval(&mut self, column: usize, value: Interval) {
        self.fixed(column, value.to_bytes());
    }

    /// Sets a text, varchar or json by its UTF-8, a bytea, or a jsonb by its document.
    pub fn bytes(&mut self, column: usize, value: &[u8]) {
        self.begin_variable(column);
        self.out.extend_from_slice(value);
        self.end_variable();
    }

    /// Sets a vector.
    pub fn vector(&mut self, column: usize, components: &[f32]) {
        self.begin_variable(column);
        for component in components {
            self.out.extend_from_slice(&component.to_le_bytes());
        }
        self.end_variable();
    }

    /// Sets an array by its elements, which are of its type or NULL.
    pub fn array(&mut self, column: usize, elements: &[Value]) {
        let SqlType::Array(element) = self.layout.place(column).sql_type else {
            unreachable!("the caller writes an array into a column of arrays");
        };
        self.begin_variable(column);
        crate::array::write(element, elements, self.out);
        self.end_variable();
    }

    /// Sets a value that is of the column's type; NULL leaves it NULL.
    pub fn value(&mut self, column: usize, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(value) => self.bool(column, *value),
            Value::I16(value) => self.i16(column, *value),
            Value::I32(value) | Value::Date(value) => self.i32(column, *value),
            Value::I64(value) | Value::Time(value) | Value::Timestamp(value) | Value::Enum(value) => {
                self.i64(column, *value)
            }
            Value::F32(value) => self.f32(column, *value),
            Value::F64(value) => self.f64(column, *value),
            Value::Decimal(value, _) => self.i128(column, *value),
            Value::Text(value) | Value::Json(value) => self.bytes(column, value.as_bytes()),
            Value::Bytes(value) => self.bytes(column, value),
            Value::Jsonb(value) => self.bytes(column, value.as_bytes()),
            Value::Interval(value) => self.interval(column, *value),
            Value::Uuid(value) => self.uuid(column, *value),
            Value::Vector(value) => self.vector(column, value),
            Value::Array(elements) => self.array(column, elements),
        }
    }

    /// Ends the row.
    pub fn finish(mut self) {
        let count = (self.parts.variable - self.parts.ends) / 4;
        while self.ended < count {
            self.end_variable();
        }
    }

    fn fixed<const N: usize>(&mut self, column: usize, bytes: [u8; N]) {
        let place = *self.layout.place(column);
        assert_eq!(place.width, Some(N), "column {column} is a {}", place.sql_type);
        let at = self.start + self.parts.fixed + place.fixed_before;
        self.out[at..at + N].copy_from_slice(&bytes);
        self.clear_null(place.slot);
    }

    fn clear_null(&mut self, slot: usize) {
        self.out[self.start + HEADER_BYTES + slot / 8] &= !(1 << (slot % 8));
    }

    fn begin_variable(&mut self, column: usize) {
        let place = *self.layout.place(column);
        assert_eq!(place.width, None, "column {column} is a {}", place.sql_type);
        assert!(
            self.ended <= place.variable_before,
            "variable columns are set in rising order"
        );
        while self.ended < place.variable_before {
            self.end_variable();
        }
        self.clear_null(place.slot);
    }

    fn end_variable(&mut self) {
        let end = self.out.len() - self.start - self.parts.variable;
        let at = self.start + self.parts.ends + 4 * self.ended;
        // A row is limited to a few MiB by storage.
        self.out[at..at + 4].copy_from_slice(&(end as u32).to_le_bytes());
        self.ended += 1;
    }
}
