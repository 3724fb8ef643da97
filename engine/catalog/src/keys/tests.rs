//! Keys of rows and of index entries.

use aion_base::key::KeyReader;

use super::*;
use crate::descriptor::{ColumnDescriptor, ColumnId, IndexColumn, IndexExpression};
use crate::row::RowWriter;

fn table(primary_key: &[u32], is_unique: bool) -> TableDescriptor {
    let column = |id, name: &str, sql_type| ColumnDescriptor::new(ColumnId(id), name, sql_type);
    let by_b = IndexColumn {
        column: ColumnId(2),
        is_descending: false,
        is_nulls_first: false,
    };
    TableDescriptor {
        // The keys begin with the storage id, whatever the table's own.
        id: TableId(7),
        storage: TableId(1000),
        version: 1,
        columns: vec![column(1, "a", SqlType::Integer), column(2, "b", SqlType::Text)],
        primary_key: primary_key.iter().map(|&id| ColumnId(id)).collect(),
        indexes: vec![IndexDescriptor {
            is_unique,
            ..IndexDescriptor::new(IndexId(1), "t_b", vec![by_b])
        }],
        next_column: 3,
        next_index: 2,
        ..TableDescriptor::new("public", "t")
    }
}

fn keys(table: &TableDescriptor, a: i32, b: Option<&str>) -> (Vec<u8>, IndexEntry) {
    let layout = RowLayout::new(&table.types());
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&layout, &mut bytes);
    writer.i32(0, a);
    if let Some(b) = b {
        writer.bytes(1, b.as_bytes());
    }
    writer.finish();
    let row = RowReader::new(&layout, &bytes).expect("intact");
    let (keys, mut key, mut entry) = (TableKeys::new(table), Vec::new(), IndexEntry::default());
    keys.row_key(&layout, &row, 7, &mut key).expect("short");
    keys.index_entry(
        &IndexKeys::new(table, &table.indexes[0]),
        &layout,
        &row,
        None,
        &key,
        &mut entry,
    )
    .expect("short");
    (key, entry)
}

#[test]
fn keys_sort_as_their_values_and_entries_find_their_row() {
    let table = table(&[1], false);
    let mut all: Vec<_> = [3, -1, i32::MIN, 0]
        .iter()
        .map(|&a| (keys(&table, a, Some("x")).0, a))
        .collect();
    all.sort();
    assert_eq!(all.iter().map(|(_, a)| *a).collect::<Vec<_>>(), [i32::MIN, -1, 0, 3]);
    let (row, entry) = keys(&table, 5, Some("x"));
    assert!(entry.key.ends_with(&row[6..]) && entry.value.is_empty() && !entry.is_unique);
}

/// The format is frozen: an interval is in a key by its length, and included as a row has it.
#[test]
fn an_interval_is_in_a_key_by_its_length() {
    let mut table = table(&[1], false);
    table.columns[1].sql_type = SqlType::Interval;
    table.indexes[0].included = vec![ColumnId(2)];
    let layout = RowLayout::new(&table.types());
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&layout, &mut bytes);
    writer.i32(0, 5);
    writer.value(
        1,
        &Value::text_in(&SqlType::Interval, "1 mon -2 days 3 us").expect("an interval"),
    );
    writer.finish();
    let row = RowReader::new(&layout, &bytes).expect("intact");
    let (keys, index) = (TableKeys::new(&table), IndexKeys::new(&table, &table.indexes[0]));
    let (mut key, mut entry) = (Vec::new(), IndexEntry::default());
    keys.row_key(&layout, &row, 7, &mut key).expect("short");
    keys.index_entry(&index, &layout, &row, None, &key, &mut entry)
        .expect("short");
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    assert_eq!(hex(&entry.key[6..]), "01800000000000000000000233438e80030180000005");
    assert_eq!(hex(&entry.value), "0101000000feffffff0300000000000000");
}

/// The format is frozen: a jsonb is in a key by its own key, and included as it is stored.
#[test]
fn a_jsonb_is_in_a_key_by_its_own() {
    let mut table = table(&[1], false);
    table.columns[1].sql_type = SqlType::Jsonb;
    table.indexes[0].included = vec![ColumnId(2)];
    let document = crate::json::Jsonb::parse("[1.50]").expect("JSON");
    let layout = RowLayout::new(&table.types());
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&layout, &mut bytes);
    writer.i32(0, 5);
    writer.bytes(1, document.as_bytes());
    writer.finish();
    let row = RowReader::new(&layout, &bytes).expect("intact");
    let (keys, index) = (TableKeys::new(&table), IndexKeys::new(&table, &table.indexes[0]));
    let (mut key, mut entry) = (Vec::new(), IndexEntry::default());
    keys.row_key(&layout, &row, 7, &mut key).expect("short");
    keys.index_entry(&index, &layout, &row, None, &key, &mut entry)
        .expect("short");
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let column = [
        "01",
        "05",
        "00ff00ff00ff01",
        "0301",
        "00ff00ff00ff01",
        "3135",
        "00ff",
        "0000",
    ]
    .concat();
    assert_eq!(hex(&entry.key[6..]), column + "0180000005");
    let included = [
        "01",
        "15",
        "0100ff",
        "0100ff00ff00ff",
        "0500ff00ff00ff",
        "13",
        "312e3530",
        "0000",
    ];
    assert_eq!(hex(&entry.value), included.concat());
    let mut values = vec![Value::Null; 2];
    keys.values_of_entry(&index, &layout, &entry.key, &entry.value, &mut values)
        .expect("an entry");
    let [Value::I32(5), Value::Jsonb(read)] = &values[..] else {
        panic!("{values:?}");
    };
    assert_eq!(read.as_bytes(), document.as_bytes());
}

#[test]
fn a_unique_entry_has_the_same_key_for_the_same_values_and_none_for_nulls() {
    let table = table(&[1], true);
    let ((_, one), (row, two)) = (keys(&table, 1, Some("x")), keys(&table, 2, Some("x")));
    assert!(one.is_unique && one.key == two.key && two.value == row[6..]);
    let ((_, one), (_, two)) = (keys(&table, 1, None), keys(&table, 2, None));
    assert!(!one.is_unique && one.key != two.key);
}

#[test]
fn a_table_without_a_primary_key_uses_the_row_id() {
    let (key, entry) = keys(&table(&[], false), 1, Some("x"));
    let mut wanted = Vec::new();
    KeyWriter::new(&mut wanted)
        .table(TableId(1000), ROWS)
        .i64(7, ColumnOrder::ASC);
    assert_eq!(key, wanted);
    assert!(entry.key.ends_with(&wanted[6..]));
}

#[test]
fn an_entry_leads_back_to_its_row_and_holds_its_columns() {
    for (primary_key, is_unique) in [(&[1][..], false), (&[1], true), (&[], false)] {
        let table = table(primary_key, is_unique);
        let (layout, keys_of) = (RowLayout::new(&table.types()), TableKeys::new(&table));
        let index = IndexKeys::new(&table, &table.indexes[0]);
        for b in [Some("x\0y"), None] {
            let (row, entry) = keys(&table, 5, b);
            let mut found = Vec::new();
            keys_of
                .row_of_entry(&index, &layout, &entry.key, &entry.value, &mut found)
                .expect("an entry");
            assert_eq!(found, row, "{primary_key:?} {is_unique} {b:?}");
            let mut values = vec![Value::Bool(true); 2];
            keys_of
                .values_of_entry(&index, &layout, &entry.key, &entry.value, &mut values)
                .expect("an entry");
            assert_eq!(values[1], b.map_or(Value::Null, |b| Value::Text(b.to_owned())));
            let is_key = !primary_key.is_empty();
            assert_eq!(keys_of.is_covered(&index, &layout, 0), is_key);
            assert_eq!(values[0], if is_key { Value::I32(5) } else { Value::Bool(true) });
        }
    }
}

#[test]
fn bytes_that_are_no_entry_are_refused() {
    let table = table(&[1], false);
    let (layout, keys_of) = (RowLayout::new(&table.types()), TableKeys::new(&table));
    let index = IndexKeys::new(&table, &table.indexes[0]);
    let (_, entry) = keys(&table, 5, Some("x"));
    for length in 0..8 {
        let cut = &entry.key[..length];
        let found = keys_of.row_of_entry(&index, &layout, cut, &[], &mut Vec::new());
        assert!(found.is_err(), "{length} bytes");
    }
}

#[test]
fn a_value_is_written_as_the_column_that_holds_it() {
    let table = table(&[1], false);
    let (row, entry) = keys(&table, -5, Some("x\0y"));
    for order in [ColumnOrder::ASC, ColumnOrder::DESC] {
        for (value, sql_type) in [
            (Value::I32(-5), SqlType::Integer),
            (Value::Text("x\0y".to_owned()), SqlType::Text),
            (Value::Null, SqlType::Text),
        ] {
            let mut written = Vec::new();
            write_value(&value, order, &mut written).expect("ordered");
            let mut reader = KeyReader::new(&written);
            assert_eq!(read_value(&mut reader, sql_type, order).expect("intact"), value);
            assert!(reader.rest().is_empty());
        }
    }
    let mut written = Vec::new();
    write_value(&Value::I32(-5), KEY_ORDER, &mut written).expect("ordered");
    assert_eq!(row[6..], written);
    written.clear();
    write_value(&Value::Text("x\0y".to_owned()), ColumnOrder::ASC, &mut written).expect("ordered");
    assert!(entry.key[6..].starts_with(&written));
}

#[test]
fn included_columns_are_read_back_as_the_row_has_them() {
    let types = [
        SqlType::Integer,
        SqlType::Text,
        SqlType::Real,
        SqlType::Double,
        SqlType::Json,
        SqlType::Vector(Some(2)),
        SqlType::Bytea,
    ];
    let rows = [
        vec![
            Value::I32(5),
            Value::Text("x".to_owned()),
            Value::F32(-0.0),
            Value::F64(f64::from_bits(0xfff8_0000_0000_0001)),
            Value::Json("{\"a\": \"\u{0}\"}".to_owned()),
            Value::Vector(vec![1.5, -0.0]),
            Value::Bytes(vec![0, 1, 0, 255]),
        ],
        vec![
            Value::I32(6),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
        ],
    ];
    for (primary_key, is_unique, is_nulls_equal) in [
        (&[1][..], false, false),
        (&[1], true, false),
        (&[1], true, true),
        (&[], false, false),
        (&[], true, true),
    ] {
        let mut table = table(primary_key, is_unique);
        table.columns = (1..)
            .zip(types)
            .map(|(id, sql_type)| ColumnDescriptor::new(ColumnId(id), format!("c{id}"), sql_type))
            .collect();
        table.indexes[0].included = (3..=7).map(ColumnId).collect();
        table.indexes[0].is_nulls_equal = is_nulls_equal;
        let (layout, keys_of) = (RowLayout::new(&types), TableKeys::new(&table));
        let index = IndexKeys::new(&table, &table.indexes[0]);
        for row in &rows {
            let mut bytes = Vec::new();
            let mut writer = RowWriter::new(&layout, &mut bytes);
            for (column, value) in row.iter().enumerate().filter(|(_, value)| **value != Value::Null) {
                writer.value(column, value);
            }
            writer.finish();
            let reader = RowReader::new(&layout, &bytes).expect("intact");
            let (mut key, mut found, mut entry) = (Vec::new(), Vec::new(), IndexEntry::default());
            keys_of.row_key(&layout, &reader, 7, &mut key).expect("short");
            keys_of
                .index_entry(&index, &layout, &reader, None, &key, &mut entry)
                .expect("short");
            assert_eq!(entry.is_unique, is_unique && (is_nulls_equal || row[1] != Value::Null));
            keys_of
                .row_of_entry(&index, &layout, &entry.key, &entry.value, &mut found)
                .expect("an entry");
            assert_eq!(found, key, "{primary_key:?} {is_unique} {row:?}");
            let mut values = vec![Value::Bool(true); types.len()];
            keys_of
                .values_of_entry(&index, &layout, &entry.key, &entry.value, &mut values)
                .expect("an entry");
            for column in (0..types.len()).filter(|&column| keys_of.is_covered(&index, &layout, column)) {
                // NaN is not equal to itself.
                assert_eq!(format!("{:?}", values[column]), format!("{:?}", row[column]));
            }
            assert!((1..types.len()).all(|column| keys_of.is_covered(&index, &layout, column)));
        }
    }
}

#[test]
fn what_is_computed_is_part_of_the_key_and_of_no_row() {
    for (is_unique, computed_type) in [(false, SqlType::Text), (true, SqlType::Text), (true, SqlType::Double)] {
        let mut table = table(&[1], is_unique);
        table.indexes[0].columns.insert(
            0,
            IndexColumn {
                column: ColumnId::EXPRESSION,
                is_descending: true,
                is_nulls_first: false,
            },
        );
        table.indexes[0].expressions.push(IndexExpression {
            text: "of no matter here".to_owned(),
            sql_type: computed_type,
        });
        let (layout, keys_of) = (RowLayout::new(&table.types()), TableKeys::new(&table));
        let index = IndexKeys::new(&table, &table.indexes[0]);
        let mut bytes = Vec::new();
        let mut writer = RowWriter::new(&layout, &mut bytes);
        writer.i32(0, 5);
        writer.bytes(1, b"b");
        writer.finish();
        let row = RowReader::new(&layout, &bytes).expect("intact");
        let its = RowLayout::new(&[computed_type]);
        for is_null in [false, true] {
            let mut values = Vec::new();
            let mut writer = RowWriter::new(&its, &mut values);
            match computed_type {
                _ if is_null => {}
                SqlType::Text => writer.bytes(0, b"computed"),
                _ => writer.f64(0, -0.0),
            }
            writer.finish();
            let computed = RowReader::new(&its, &values).expect("intact");
            let computed = Computed {
                layout: &its,
                row: &computed,
            };
            let (mut key, mut found, mut entry) = (Vec::new(), Vec::new(), IndexEntry::default());
            keys_of.row_key(&layout, &row, 7, &mut key).expect("short");
            let missing = keys_of.index_entry(&index, &layout, &row, None, &key, &mut entry);
            assert!(missing.is_err(), "nothing was computed");
            keys_of
                .index_entry(&index, &layout, &row, Some(computed), &key, &mut entry)
                .expect("short");
            assert_eq!(entry.is_unique, is_unique && !is_null);
            keys_of
                .row_of_entry(&index, &layout, &entry.key, &entry.value, &mut found)
                .expect("an entry");
            assert_eq!(found, key, "{is_unique} {computed_type} {is_null}");
            let mut read = vec![Value::Null; layout.len()];
            keys_of
                .values_of_entry(&index, &layout, &entry.key, &entry.value, &mut read)
                .expect("an entry");
            assert_eq!(read, [Value::I32(5), Value::Text("b".to_owned())]);
        }
    }
}
