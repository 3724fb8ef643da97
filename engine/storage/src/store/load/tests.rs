//! Loads and crashes: the rows are there exactly if the commit is that says so.

use std::path::Path;

use aion_base::Result;
use aion_base::files::{Files, Open, OsFiles};
use aion_base::id::TableId;
use aion_base::range::KeyRange;

use super::super::tests::{begin, commit, get, image, open, reason, small};
use crate::commit::Change;
use crate::rows::{Direction, RisingRows};
use crate::store::Store;

/// Rows of a table, each with its number.
struct Numbered {
    table: u32,
    next: u32,
    end: u32,
    row: (Vec<u8>, Vec<u8>),
}

fn rows(table: u32, end: u32) -> Numbered {
    Numbered {
        table,
        next: 0,
        end,
        row: Default::default(),
    }
}

impl RisingRows for Numbered {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.next == self.end {
            return Ok(None);
        }
        let number = self.next.to_be_bytes();
        self.row = ([self.table.to_be_bytes(), number].concat(), number.repeat(30));
        self.next += 1;
        Ok(Some((&self.row.0, &self.row.1)))
    }
}

fn count(store: &Store, table: u32) -> usize {
    let snapshot = store.snapshot();
    let mut scan = snapshot.scan(&KeyRange::table(TableId(table)), Direction::Forward);
    let mut count = 0;
    while scan.advance().expect("readable") {
        assert_eq!(scan.value(), scan.key()[4..].repeat(30));
        count += 1;
    }
    count
}

fn note(store: &Store, txn: u128, key: &str) {
    let mut next = begin(store, txn);
    next.write(key, Change::Put(b"x".to_vec()));
    assert_eq!(reason(&commit(store, next)), None);
}

fn opened(path: &Path) -> Store {
    Store::open(path, small()).expect("opens")
}

/// More than one file, killed before and after the commit; nothing is flushed in between, so the commit is replayed.
#[test]
fn what_a_commit_says_is_there_is_there_after_a_kill() {
    const ROWS: u32 = 700_000;
    let dir = tempfile::tempdir().expect("a directory");
    let images = tempfile::tempdir().expect("another");
    let store = open(&dir);
    note(&store, 1, "nobody's");
    let before = store.snapshot();
    store.load(&mut rows(9, ROWS)).expect("loaded");
    image(dir.path(), &images.path().join("loaded"));
    note(&store, 2, "somebody's");
    image(dir.path(), &images.path().join("committed"));
    assert_eq!(count(&store, 9), ROWS as usize);
    assert!(
        !before
            .scan(&KeyRange::table(TableId(9)), Direction::Forward)
            .advance()
            .expect("read")
    );
    drop(before);
    assert!(
        !dir.path().join("staging-1").exists(),
        "nothing is left of the files' folder"
    );

    let killed = opened(&images.path().join("loaded"));
    assert_eq!(get(&killed, b"somebody's"), None);
    killed.clear(&[KeyRange::table(TableId(9))]).expect("cleared");
    assert_eq!(count(&killed, 9), 0);
    let killed = opened(&images.path().join("committed"));
    assert_eq!(get(&killed, b"somebody's"), Some(b"x".to_vec()));
    assert_eq!(count(&killed, 9), ROWS as usize);

    // A clone and a backup have what was there before them.
    let (cloned, backup, restored) = (
        images.path().join("clone"),
        images.path().join("backup"),
        images.path().join("restored"),
    );
    store.clone_to(&cloned).expect("cloned");
    assert_eq!(count(&opened(&cloned), 9), ROWS as usize);
    let mut go_on = |_| std::ops::ControlFlow::Continue(());
    store.backup_to(&backup, &[], &mut go_on).expect("backed up");
    crate::backup::restore(&backup, &restored, &mut go_on).expect("restored");
    assert_eq!(count(&opened(&restored), 9), ROWS as usize);
}

/// A kill in the middle of a load leaves a folder of files that are not finished; it goes when the directory is opened.
#[test]
fn what_a_killed_load_left_is_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    open(&dir).close().expect("closed");
    let folder = dir.path().join("staging-1");
    OsFiles.create_dir_all(&folder).expect("made");
    let file = OsFiles.open(&folder.join("1.sst"), Open::New).expect("made");
    file.write_at(b"half", 0).expect("written");
    let store = open(&dir);
    assert!(!folder.exists());
    store.load(&mut rows(1, 10)).expect("loaded");
    assert_eq!(count(&store, 1), 10);
}
