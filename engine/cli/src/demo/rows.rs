//! Rows of the flights as keys and values, until the catalog has a row codec.
//!
//! ```text
//! table   airlines 1000, airports 1001, planes 1002, weather 1003, flights 1004; index 0
//! key     the primary key, in the key codec of base:
//!         carrier text | faa text | tailnum text | origin text, time_hour i64 (microseconds since 1970) | id i32
//! value   for each column of the load-ready CSV: v(0) for NULL, else v(length + 1) and the field's bytes
//!
//! v       unsigned LEB128
//! ```

use aion_base::id::{IndexId, TableId};
use aion_base::key::{ColumnOrder, KeyWriter};
use aion_base::{Error, KeyRange, Result};
use aion_datasets::flights::{Table, UtcHour};
use csv::ByteRecord;

use super::expect_known;

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// Where a table's rows are.
pub fn table_id(table: Table) -> TableId {
    TableId(match table {
        Table::Airlines => 1000,
        Table::Airports => 1001,
        Table::Planes => 1002,
        Table::Weather => 1003,
        Table::Flights => 1004,
    })
}

/// The keys of a table's rows.
pub fn range(table: Table) -> KeyRange {
    KeyRange::index(table_id(table), IndexId(0))
}

/// The key of a row.
pub fn key(table: Table, record: &ByteRecord) -> Result<Vec<u8>> {
    let mut key = Vec::with_capacity(24);
    let mut writer = KeyWriter::new(&mut key);
    writer.table(table_id(table), IndexId(0));
    match table {
        Table::Airlines | Table::Airports | Table::Planes => {
            writer.text(text(record, 0)?, ColumnOrder::ASC);
        }
        Table::Weather => {
            let hour = expect_known(UtcHour::parse(text(record, 14)?), "a bad hour")?;
            writer.text(text(record, 0)?, ColumnOrder::ASC);
            writer.i64(i64::from(hour.hours_since_epoch()) * MICROS_PER_HOUR, ColumnOrder::ASC);
        }
        Table::Flights => {
            let id = expect_known(text(record, 0)?.parse().ok(), "a bad id")?;
            writer.i32(id, ColumnOrder::ASC);
        }
    }
    Ok(key)
}

fn text(record: &ByteRecord, column: usize) -> Result<&str> {
    let field = record.get(column).and_then(|field| std::str::from_utf8(field).ok());
    expect_known(field, "a bad field")
}

/// The value of a row.
pub fn value(record: &ByteRecord) -> Vec<u8> {
    let mut value = Vec::with_capacity(record.as_slice().len() + record.len() + 2);
    for field in record {
        if field.is_empty() {
            value.push(0);
        } else {
            put_number(&mut value, field.len() + 1);
            value.extend_from_slice(field);
        }
    }
    value
}

/// The fields of a value, None where NULL.
pub fn fields(value: &[u8]) -> Result<Vec<Option<&[u8]>>> {
    let damaged = || Error::corrupt("a row of the demo has no valid value");
    let mut fields = Vec::with_capacity(24);
    let mut rest = value;
    while !rest.is_empty() {
        let number = take_number(&mut rest).ok_or_else(damaged)?;
        let Some(length) = number.checked_sub(1) else {
            fields.push(None);
            continue;
        };
        let (field, after) = rest.split_at_checked(length).ok_or_else(damaged)?;
        fields.push(Some(field));
        rest = after;
    }
    Ok(fields)
}

fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..28).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_gives_its_fields_back() {
        let long = "x".repeat(300);
        let record = ByteRecord::from(vec!["UA", "", long.as_str()]);
        let value = value(&record);
        let wanted = vec![Some(&b"UA"[..]), None, Some(long.as_bytes())];
        assert_eq!(fields(&value).expect("fields"), wanted);
        assert_eq!(
            fields(&value[..value.len() - 1]).expect_err("cut short").kind(),
            aion_base::ErrorKind::Corrupt
        );
    }

    #[test]
    fn keys_are_in_the_order_of_their_columns() {
        let flight = |id: &str| key(Table::Flights, &ByteRecord::from(vec![id])).expect("a key");
        assert!(flight("9") < flight("10"));
        assert!(range(Table::Flights).contains(&flight("9")) && !range(Table::Weather).contains(&flight("9")));
        let weather = |origin: &str, hour: &str| {
            let mut record = ByteRecord::from(vec![origin]);
            (1..14).for_each(|_| record.push_field(b""));
            record.push_field(hour.as_bytes());
            key(Table::Weather, &record).expect("a key")
        };
        assert!(weather("EWR", "2013-01-01T10:00:00Z") < weather("EWR", "2013-01-01T11:00:00Z"));
        assert!(weather("EWR", "2013-12-01T10:00:00Z") < weather("JFK", "2013-01-01T10:00:00Z"));
    }
}
