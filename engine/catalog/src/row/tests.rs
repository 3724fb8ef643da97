//! Rows to bytes and back; damaged bytes; the format.

use aion_base::ErrorKind;
use proptest::prelude::*;

use super::*;
use crate::interval::Interval;

const TYPES: [SqlType; 17] = [
    SqlType::Text,
    SqlType::Boolean,
    SqlType::SmallInt,
    SqlType::Vector(None),
    SqlType::Integer,
    SqlType::BigInt,
    SqlType::Real,
    SqlType::Double,
    SqlType::NUMERIC,
    SqlType::Bytea,
    SqlType::Date,
    SqlType::TIMESTAMP,
    SqlType::TIMESTAMPTZ,
    SqlType::Uuid,
    SqlType::Interval,
    SqlType::Json,
    SqlType::Jsonb,
];

/// A column's content, whatever its type: bytes from which each type takes what it needs.
fn put(writer: &mut RowWriter<'_>, column: usize, sql_type: SqlType, seed: &[u8; 16], variable: &[u8]) {
    let number = i128::from_le_bytes(*seed);
    match sql_type {
        SqlType::Boolean => writer.bool(column, number % 2 != 0),
        SqlType::SmallInt => writer.i16(column, number as i16),
        SqlType::Integer | SqlType::Date => writer.i32(column, number as i32),
        SqlType::BigInt | SqlType::TIMESTAMP | SqlType::TIMESTAMPTZ => writer.i64(column, number as i64),
        SqlType::Real => writer.f32(column, number as i32 as f32),
        SqlType::Double => writer.f64(column, number as i64 as f64),
        SqlType::Numeric { .. } => writer.i128(column, number),
        SqlType::Uuid => writer.uuid(column, *seed),
        SqlType::Interval => writer.interval(column, Interval::of_bytes(*seed)),
        SqlType::Vector(_) => {
            writer.vector(
                column,
                &variable.iter().map(|byte| f32::from(*byte)).collect::<Vec<_>>(),
            );
        }
        _ => writer.bytes(column, variable),
    }
}

fn check(reader: &RowReader<'_>, column: usize, sql_type: SqlType, seed: &[u8; 16], variable: &[u8]) {
    let number = i128::from_le_bytes(*seed);
    match sql_type {
        SqlType::Boolean => assert_eq!(reader.bool(column), number % 2 != 0),
        SqlType::SmallInt => assert_eq!(reader.i16(column), number as i16),
        SqlType::Integer | SqlType::Date => assert_eq!(reader.i32(column), number as i32),
        SqlType::BigInt | SqlType::TIMESTAMP | SqlType::TIMESTAMPTZ => assert_eq!(reader.i64(column), number as i64),
        SqlType::Real => assert_eq!(reader.f32(column), number as i32 as f32),
        SqlType::Double => assert_eq!(reader.f64(column), number as i64 as f64),
        SqlType::Numeric { .. } => assert_eq!(reader.i128(column), number),
        SqlType::Uuid => assert_eq!(reader.uuid(column), *seed),
        SqlType::Interval => assert_eq!(reader.interval(column).to_bytes(), *seed),
        SqlType::Vector(_) => {
            let components = reader.vector(column).expect("intact");
            assert!(components.eq(variable.iter().map(|byte| f32::from(*byte))));
        }
        SqlType::Bytea => assert_eq!(reader.bytes(column).expect("intact"), variable),
        _ => assert_eq!(reader.text(column).expect("intact").as_bytes(), variable),
    }
}

type Cell = (usize, Option<([u8; 16], String)>);

fn row() -> impl Strategy<Value = Vec<Cell>> {
    prop::collection::vec(
        (0..TYPES.len(), prop::option::of((any::<[u8; 16]>(), "[a-zä]{0,9}"))),
        0..20,
    )
}

fn write(cells: &[Cell]) -> (RowLayout, Vec<u8>) {
    let types: Vec<_> = cells.iter().map(|(at, _)| TYPES[*at]).collect();
    let layout = RowLayout::new(&types);
    let mut bytes = b"before".to_vec();
    let mut writer = RowWriter::new(&layout, &mut bytes);
    for (column, (at, value)) in cells.iter().enumerate() {
        if let Some((seed, variable)) = value {
            put(&mut writer, column, TYPES[*at], seed, variable.as_bytes());
        }
    }
    writer.finish();
    bytes.drain(..6);
    (layout, bytes)
}

proptest! {
    #[test]
    fn a_row_reads_back_also_with_columns_added_later(cells in row(), added in 0..4usize) {
        let (_, bytes) = write(&cells);
        let mut types: Vec<_> = cells.iter().map(|(at, _)| TYPES[*at]).collect();
        types.extend(&TYPES[..added]);
        let layout = RowLayout::new(&types);
        let reader = RowReader::new(&layout, &bytes).expect("intact");
        for (column, (at, value)) in cells.iter().enumerate() {
            prop_assert_eq!(reader.is_null(column), value.is_none());
            prop_assert!(!reader.is_absent(column));
            if let Some((seed, variable)) = value {
                check(&reader, column, TYPES[*at], seed, variable.as_bytes());
            }
        }
        for column in cells.len()..types.len() {
            prop_assert!(reader.is_null(column) && reader.is_absent(column));
        }
    }

    #[test]
    fn damaged_rows_never_panic(cells in row(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let (layout, mut bytes) = write(&cells);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        match RowReader::new(&layout, &bytes) {
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Corrupt),
            Ok(reader) => for (column, (at, _)) in cells.iter().enumerate() {
                if width(TYPES[*at]).is_none() && !reader.is_absent(column) {
                    let _ = reader.text(column);
                    let _ = reader.vector(column).map(Iterator::count);
                }
            }
        }
    }
}

/// The format is frozen: these bytes lie on disks.
#[test]
fn the_bytes_are_the_format() {
    let types = [
        SqlType::BigInt,
        SqlType::Text,
        SqlType::Boolean,
        SqlType::Vector(Some(1)),
        SqlType::Text,
    ];
    let layout = RowLayout::new(&types);
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&layout, &mut bytes);
    writer.i64(0, 258);
    writer.bytes(1, b"ab");
    writer.vector(3, &[1.0]);
    writer.finish();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "01",
            "0500",
            "14",
            "0201000000000000",
            "00",
            "02000000",
            "06000000",
            "06000000",
            "6162",
            "0000803f"
        )
    );
}

/// What was dropped keeps its bytes, what was added reads as its descriptor says, whatever was there when the row was written.
#[test]
fn rows_outlive_changes_of_their_table() {
    use crate::descriptor::{ColumnDescriptor, ColumnId, DroppedColumn};
    use crate::value::Value;

    let column = |id, sql_type| ColumnDescriptor::new(ColumnId(id), format!("c{id}"), sql_type);
    let mut table = TableDescriptor::new("public", "t");
    table.columns = vec![
        column(1, SqlType::Integer),
        column(2, SqlType::Text),
        column(3, SqlType::Text),
    ];
    let layout = RowLayout::of(&table).expect("no values");
    let mut old = Vec::new();
    let mut writer = RowWriter::new(&layout, &mut old);
    for (at, value) in [Value::I32(7), Value::Text("gone".into()), Value::Text("stays".into())]
        .iter()
        .enumerate()
    {
        writer.value(at, value);
    }
    writer.finish();

    table.columns.remove(1);
    table.dropped.push(DroppedColumn {
        id: ColumnId(2),
        sql_type: SqlType::Text,
    });
    table.columns.push(ColumnDescriptor {
        missing: Some("2.50".into()),
        ..column(
            4,
            SqlType::Numeric {
                precision: Some(5),
                scale: 2,
            },
        )
    });
    table.columns.push(column(5, SqlType::Boolean));
    table.columns.push(ColumnDescriptor {
        missing: Some("new".into()),
        ..column(6, SqlType::Text)
    });
    let layout = RowLayout::of(&table).expect("of their types");
    let values = |bytes: &[u8]| -> Vec<Value> {
        let row = RowReader::new(&layout, bytes).expect("intact");
        (0..layout.len())
            .map(|column| row.value(column).expect("intact"))
            .collect()
    };
    let new = Value::Text("new".into());
    assert_eq!(
        values(&old),
        [
            Value::I32(7),
            Value::Text("stays".into()),
            Value::Decimal(250, 2),
            Value::Null,
            new
        ]
    );

    let written = [
        Value::Null,
        Value::Text("b".into()),
        Value::Null,
        Value::Bool(true),
        Value::Null,
    ];
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&layout, &mut bytes);
    for (at, value) in written.iter().enumerate() {
        writer.value(at, value);
    }
    writer.finish();
    assert_eq!(values(&bytes), written, "a NULL that was written stays one");

    table.columns[2].missing = Some("no number".into());
    assert!(RowLayout::of(&table).is_err());
}
