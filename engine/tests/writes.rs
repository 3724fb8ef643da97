//! What statements write: the log takes what changed, and no more.

use aion_db::{Database, DatabaseOptions, Mode};

use crate::nearest::Client;

/// Bytes that a statement puts into the log.
fn logged(database: &Database, client: &mut Client<'_>, sql: &str) -> u64 {
    let bytes = || database.counters().expect("counters").log_bytes;
    let before = bytes();
    client.query(sql, &[]);
    bytes() - before
}

/// Each UPDATE used to write every entry of every index again: of 1,000 rows with three indexes, three deletions and three insertions
/// each, though none of their columns had changed.
#[test]
fn an_update_writes_the_entries_that_changed() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = DatabaseOptions {
        memory_bytes: 256 << 20,
        ai_mode: Some(Mode::Off),
        ..DatabaseOptions::default()
    };
    let database = Database::open(directory.path(), options).expect("it opens");
    let mut client = Client::new(&database);
    client.query(
        "CREATE TABLE items (id integer PRIMARY KEY, kind integer, code text, price integer, note integer)",
        &[],
    );
    client.query(
        "INSERT INTO items SELECT i, i % 7, 'code ' || i, i, 0 FROM generate_series(1, 1000) AS s(i)",
        &[],
    );
    let plain = logged(&database, &mut client, "UPDATE items SET note = 1");
    client.query("CREATE INDEX items_kind ON items (kind)", &[]);
    client.query("CREATE UNIQUE INDEX items_code ON items (code)", &[]);
    client.query("CREATE INDEX items_price ON items (price)", &[]);
    let beside = logged(&database, &mut client, "UPDATE items SET note = 2");
    assert!(beside < plain * 21 / 20, "{beside} bytes, {plain} without indexes");
    let one = logged(&database, &mut client, "UPDATE items SET price = price + 1");
    assert!(one > plain * 5 / 4, "{one} bytes, {plain} without indexes");
    let all = logged(
        &database,
        &mut client,
        "UPDATE items SET price = price + 1, kind = kind + 1, code = code || 'x'",
    );
    assert!(all > one * 5 / 4, "{all} bytes, {one} where one column changed");
    // A new primary key changes every entry.
    let moved = logged(&database, &mut client, "UPDATE items SET id = id + 10000");
    assert!(moved > one, "{moved} bytes, {one} where one column changed");
    for (query, rows) in [
        ("SELECT count(*) FROM items WHERE kind BETWEEN 1 AND 7", "1000"),
        ("SELECT count(*) FROM items WHERE code = 'code 500x'", "1"),
        ("SELECT count(*) FROM items WHERE price >= 502", "501"),
        ("SELECT count(*) FROM items WHERE note = 2", "1000"),
    ] {
        assert_eq!(client.query(query, &[]), [[rows]], "{query}");
    }
    // What is unique stays so.
    let error = client.run("UPDATE items SET code = 'code 1x', note = 3 WHERE id = 10002", &[]);
    assert_eq!(error.expect_err("it is taken").state().as_str(), "23505");
    client.query("UPDATE items SET code = 'code 1x', note = 3 WHERE id = 10001", &[]);
    assert_eq!(client.query("SELECT id FROM items WHERE note = 3", &[]), [["10001"]]);
    drop(client);
    database.close().expect("it closes");
}
