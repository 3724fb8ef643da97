//! What each implementation keeps, and what a power cut leaves.

use super::*;
use crate::rng::SeededRng;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a new directory")
}

fn write(files: &dyn Files, path: &Path, bytes: &[u8]) -> Box<dyn File> {
    let file = files.open(path, Open::New).expect("a new file");
    file.write_at(bytes, 0).expect("a write");
    file
}

#[test]
fn reads_see_writes_before_and_after_sync() {
    for files in [Box::new(OsFiles) as Box<dyn Files>, Box::new(PowerCutFiles::new(1))] {
        let holder = directory();
        let dir = holder.path();
        let path = dir.join("a");
        let file = write(&*files, &path, b"hello");
        file.write_at(b"world", 2_000).expect("a write");
        for synced in [false, true] {
            if synced {
                file.sync_data().expect("a sync");
            }
            assert_eq!(file.len().expect("a length"), 2_005);
            let mut buffer = [1; 12];
            assert_eq!(file.read_at(&mut buffer, 1_998).expect("a read"), 7);
            assert_eq!(&buffer[..7], b"\0\0world");
            assert_eq!(&read_all(&*file).expect("all")[..6], b"hello\0");
        }
        assert_eq!(files.list(dir).expect("names"), ["a"]);
        assert_eq!(
            files.open(&path, Open::New).expect_err("exists").kind(),
            io::ErrorKind::AlreadyExists
        );
        files.rename(&path, &dir.join("b")).expect("a rename");
        assert_eq!(
            files.open(&path, Open::Existing).expect_err("renamed").kind(),
            io::ErrorKind::NotFound
        );
        files.remove(&dir.join("b")).expect("a removal");
        assert!(files.list(dir).expect("names").is_empty());
    }
}

#[test]
fn files_open_for_reading_only_are_not_written() {
    for files in [Box::new(OsFiles) as Box<dyn Files>, Box::new(PowerCutFiles::new(1))] {
        let holder = directory();
        let path = holder.path().join("a");
        assert_eq!(
            files.open(&path, Open::ReadOnly).expect_err("missing").kind(),
            io::ErrorKind::NotFound
        );
        write(&*files, &path, b"hello");
        let file = files.open(&path, Open::ReadOnly).expect("a file");
        assert_eq!(read_all(&*file).expect("all"), b"hello");
        file.write_at(b"x", 0).expect_err("for reading only");
        assert_eq!(read_all(&*file).expect("all"), b"hello");
    }
}

#[test]
fn nested_directories_are_made_and_everything_in_them_is_listed() {
    let holder = directory();
    let dir = holder.path();
    for _ in 0..2 {
        OsFiles.create_dir_all(&dir.join("a/b/c/")).expect("made, or there");
    }
    write(&OsFiles, &dir.join("a/file"), b"x");
    std::os::unix::fs::symlink("file", dir.join("a/link")).expect("a link");
    OsFiles
        .create_dir_all(&dir.join("a/file/below"))
        .expect_err("a file is no directory");
    let entries = OsFiles.entries(&dir.join("a")).expect("names");
    let expected = [
        ("b", EntryKind::Directory),
        ("file", EntryKind::File),
        ("link", EntryKind::Other),
    ];
    assert_eq!(entries, expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert_eq!(OsFiles.list(&dir.join("a")).expect("names"), ["file"]);
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_no_name_that_was_not() {
    let holder = directory();
    let dir = holder.path();
    let files = PowerCutFiles::new(2);
    let kept = write(&files, &dir.join("kept"), &[7; 3_000]);
    kept.sync_data().expect("a sync");
    files.sync_dir(dir).expect("a sync");
    write(&files, &dir.join("nameless"), b"synced, but its name is not")
        .sync_data()
        .expect("a sync");
    files.rename(&dir.join("kept"), &dir.join("renamed")).expect("a rename");
    kept.write_at(&[9; 3_000], 3_000).expect("a write");
    files.cut();
    assert!(kept.sync_data().is_err(), "no file works after the cut");

    let after = PowerCutFiles::new(3);
    assert_eq!(after.list(dir).expect("names"), ["kept"]);
    let bytes = read_all(&*after.open(&dir.join("kept"), Open::Existing).expect("kept")).expect("all");
    assert_eq!(bytes[..3_000], [7; 3_000]);
}

#[test]
fn unsynced_writes_are_sometimes_lost_and_sometimes_torn() {
    let (mut lost, mut torn) = (0, 0);
    for seed in 0..40 {
        let holder = directory();
        let dir = holder.path();
        let files = PowerCutFiles::new(seed);
        let file = write(&files, &dir.join("f"), &[0; 4_096]);
        file.sync_data().expect("a sync");
        files.sync_dir(dir).expect("a sync");
        file.write_at(&[1; 4_096], 0).expect("a write");
        files.cut();
        let bytes = read_all(&*OsFiles.open(&dir.join("f"), Open::Existing).expect("f")).expect("all");
        match bytes.iter().filter(|&&byte| byte == 1).count() {
            0 => lost += 1,
            4_096 => {}
            _ => torn += 1,
        }
    }
    assert!(lost > 0 && torn > 0, "lost {lost}, torn {torn}");
}

#[test]
fn files_that_skip_the_sync_lose_what_they_answered_for() {
    let holder = directory();
    let dir = holder.path();
    let power = Arc::new(PowerCutFiles::new(4));
    let files = SkipSyncFiles(power.clone());
    let file = write(&files, &dir.join("f"), &[5; 100_000]);
    file.sync_data().expect("an answer");
    files.sync_dir(dir).expect("a sync");
    power.cut();
    let bytes = read_all(&*OsFiles.open(&dir.join("f"), Open::Existing).expect("f")).expect("all");
    assert!(bytes.iter().filter(|&&byte| byte == 5).count() < 100_000);
}

/// The overlay against a plain vector: random writes, syncs and reads.
#[test]
fn the_overlay_reads_like_a_vector() {
    let mut rng = SeededRng::new(11);
    for round in 0..20 {
        let holder = directory();
        let dir = holder.path();
        let files = PowerCutFiles::new(round);
        let file = files.open(&dir.join("f"), Open::New).expect("a file");
        let mut model: Vec<u8> = Vec::new();
        for _ in 0..60 {
            let offset = rng.below(5_000) as usize;
            let length = rng.below(2_000) as usize + 1;
            match rng.below(4) {
                0 => file.sync_data().expect("a sync"),
                1 => {
                    let mut buffer = vec![0; length];
                    let read = file.read_at(&mut buffer, offset as u64).expect("a read");
                    let expected = model.get(offset..).unwrap_or_default();
                    assert_eq!(&buffer[..read], &expected[..expected.len().min(length)]);
                }
                _ => {
                    let byte = rng.below(255) as u8 + 1;
                    if model.len() < offset + length {
                        model.resize(offset + length, 0);
                    }
                    model[offset..offset + length].fill(byte);
                    file.write_at(&vec![byte; length], offset as u64).expect("a write");
                }
            }
        }
    }
}
