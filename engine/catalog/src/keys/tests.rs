//! Keys of rows and of index entries.

use super::*;
use crate::descriptor::{ColumnDescriptor, ColumnId, IndexColumn, IndexMethod, IndexState};
use crate::row::RowWriter;

fn table(primary_key: &[u32], is_unique: bool) -> TableDescriptor {
    let column = |id, name: &str, sql_type| ColumnDescriptor {
        id: ColumnId(id),
        name: name.to_owned(),
        sql_type,
        is_nullable: true,
        default: None,
    };
    TableDescriptor {
        id: TableId(1000),
        schema: "public".to_owned(),
        name: "t".to_owned(),
        version: 1,
        columns: vec![column(1, "a", SqlType::Integer), column(2, "b", SqlType::Text)],
        primary_key: primary_key.iter().map(|&id| ColumnId(id)).collect(),
        primary_key_name: None,
        indexes: vec![IndexDescriptor {
            id: IndexId(1),
            name: "t_b".to_owned(),
            columns: vec![IndexColumn {
                column: ColumnId(2),
                is_descending: false,
                is_nulls_first: false,
            }],
            is_unique,
            method: IndexMethod::Ordered,
            state: IndexState::Readable,
        }],
        next_column: 3,
        next_index: 2,
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
