//! What a backup holds, which damage is found, and what an interruption leaves.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use aion_base::files::{EntryKind, File, PowerCutFiles, SkipSyncFiles, read_all};
use aion_base::rng::SeededRng;

use super::super::tests::{begin, commit, content, get, open, reason, small};
use super::*;
use crate::commit::{Change, Outcome};

/// Somebody who waits to the end.
fn patient() -> impl FnMut(Progress) -> ControlFlow<()> {
    |_| ControlFlow::Continue(())
}

fn back_up(store: &Store, path: &Path) -> Result<BackupReport> {
    store.backup_to(path, &[], &mut patient())
}

/// A store of `count` keys, some of them changed and removed, with a log that does not begin with entry 1.
fn filled(dir: &tempfile::TempDir, count: u32) -> Store {
    let store = open(dir);
    for number in 0..count {
        let mut next = begin(&store, u128::from(number));
        next.write(number.to_be_bytes(), Change::Put(vec![number as u8; 700]));
        if number % 7 == 6 {
            next.write((number - 3).to_be_bytes(), Change::Delete);
        }
        assert_eq!(reason(&commit(&store, next)), None);
    }
    store
}

fn read(path: &Path) -> Vec<u8> {
    let file = OsFiles.open(path, Open::ReadOnly);
    file.and_then(|file| read_all(&*file)).expect("readable")
}

fn put(path: &Path, bytes: &[u8]) {
    match OsFiles.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
    OsFiles.create_dir_all(path.parent().expect("a folder")).expect("made");
    let file = OsFiles.open(path, Open::New).expect("made");
    file.write_at(bytes, 0).expect("written");
}

/// Neither [`verify`] nor [`restore`] takes it, both name `name`, and what restoring leaves opens as no store.
fn is_refused_naming(backup: &Path, name: &str) {
    let error = verify(backup, &mut patient()).expect_err(name);
    assert!(error.message().contains(name), "{name}: {error}");
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().join("restored");
    let error = restore(backup, &to, &mut patient()).expect_err(name);
    assert!(error.message().contains(name), "{name}: {error}");
    opens_as_no_store(&to);
}

/// It refuses to open, or there is nothing in it that could be mistaken for anything.
fn opens_as_no_store(path: &Path) {
    let entries = OsFiles.entries(path).unwrap_or_default();
    if !entries.is_empty() {
        let error = Store::open(path, small()).expect_err("half a copy");
        assert!(error.message().contains("not an Aion data directory"), "{error}");
    }
}

#[test]
fn a_restored_backup_is_the_store_that_it_was() {
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = filled(&dir, 500);
    // A rejection leaves a note in the rows, which the copy has, too.
    let (mut left, mut right) = (begin(&store, 9_999), begin(&store, 10_000));
    left.write(*b"taken", Change::Insert(b"x".to_vec()));
    right.write(*b"taken", Change::Insert(b"y".to_vec()));
    assert_eq!(reason(&commit(&store, left)), None);
    assert!(reason(&commit(&store, right)).is_some());
    let wanted = content(&store);
    let backup = backups.path().join("of tonight");
    let (mut last, mut calls) = (0, 0);
    let report = store.backup_to(&backup, &[], &mut |progress| {
        assert!((last..=progress.of).contains(&progress.bytes));
        (last, calls) = (progress.bytes, calls + 1);
        ControlFlow::Continue(())
    });
    let report = report.expect("a backup");
    assert_eq!((report.rows, report.bytes), (wanted.len() as u64, last));
    assert!(calls >= report.files && report.files > 3);
    assert_eq!(report.index, store.snapshot().read_point().expect("a read point").index);
    // What is changed afterwards is not in it.
    let mut more = begin(&store, 10_001);
    more.write(*b"more", Change::Put(b"x".to_vec()));
    assert_eq!(reason(&commit(&store, more)), None);

    let before = walk(&backup).expect("names");
    assert_eq!(verify(&backup, &mut patient()).expect("verified"), report);
    assert_eq!(walk(&backup).expect("names"), before, "verifying leaves no trace");
    let error = Store::open(&backup, small()).expect_err("a backup is no data directory");
    assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);

    for to in ["restored", "again"] {
        let to = backups.path().join(to);
        assert_eq!(restore(&backup, &to, &mut patient()).expect("restored"), report);
        for round in 0..2_u128 {
            let restored = Store::open(&to, small()).expect("opens");
            let point = restored.snapshot().read_point().expect("a read point");
            assert_eq!(point.index, LogIndex(report.index.0 + round as u64));
            assert!(point.timestamp >= report.last_commit);
            let mut rows = content(&restored);
            rows.retain(|(key, _)| !key.starts_with(b"own"));
            assert!(rows == wanted);
            let mut own = begin(&restored, 20_000 + round);
            own.write(format!("own {round}").into_bytes(), Change::Insert(vec![]));
            let Outcome::Committed { timestamp, .. } = commit(&restored, own) else {
                panic!("committed")
            };
            assert!(timestamp > report.last_commit);
            restored.close().expect("closes");
        }
    }
}

#[test]
fn an_empty_store_can_be_backed_up() {
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = open(&dir);
    let backup = backups.path().join("backup");
    let report = back_up(&store, &backup).expect("a backup");
    assert_eq!((report.index, report.rows), (LogIndex(0), 0));
    assert_eq!(verify(&backup, &mut patient()).expect("verified"), report);
    restore(&backup, &backups.path().join("restored"), &mut patient()).expect("restored");
    assert!(content(&open_at(&backups.path().join("restored"))).is_empty());
}

fn open_at(path: &Path) -> Store {
    Store::open(path, small()).expect("opens")
}

/// Money moves between accounts while backups are made, one after the other and two at once. In each copy the sum is what it was, all that was
/// acknowledged before the call is there, and it ends exactly at the entry that it names.
#[test]
fn a_backup_among_commits_is_a_moment() {
    const ACCOUNTS: u64 = 50;
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = open(&dir);
    let mut setup = begin(&store, 1);
    (0..ACCOUNTS as u8).for_each(|account| setup.write([b'a', account], Change::Put(vec![100])));
    assert_eq!(reason(&commit(&store, setup)), None);
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let seed = 17;
    println!("seed {seed}");
    let transfer = |rng: &mut SeededRng, number: u64| {
        let mut next = begin(&store, u128::from(number) << 64);
        let (from, to) = (rng.below(ACCOUNTS) as u8, rng.below(ACCOUNTS) as u8);
        let balance = |account: u8| get(&store, &[b'a', account]).expect("there")[0];
        if from != to && balance(from) > 0 && balance(to) < 255 {
            next.write([b'a', from], Change::Put(vec![balance(from) - 1]));
            next.write([b'a', to], Change::Put(vec![balance(to) + 1]));
        }
        next.write(*b"number", Change::Put(number.to_be_bytes().to_vec()));
        match commit(&store, next) {
            Outcome::Committed { index, .. } => index,
            Outcome::Rejected(rejection) => panic!("one writer, and it is rejected: {rejection:?}"),
        }
    };
    let backup_and_count = |name: &str| {
        let before = acknowledged.load(Ordering::SeqCst);
        let path = backups.path().join(name);
        (before, back_up(&store, &path).expect("a backup"), path)
    };
    let (made, indexes) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut rng = SeededRng::new(seed);
            let mut indexes = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let number = indexes.len() as u64 + 1;
                indexes.push(transfer(&mut rng, number));
                acknowledged.store(number, Ordering::SeqCst);
            }
            indexes
        });
        let mut made: Vec<_> = (0..3)
            .map(|round| backup_and_count(&format!("backup {round}")))
            .collect();
        let left = scope.spawn(|| backup_and_count("left"));
        let right = scope.spawn(|| backup_and_count("right"));
        made.push(left.join().expect("no panic"));
        made.push(right.join().expect("no panic"));
        stop.store(true, Ordering::SeqCst);
        (made, writer.join().expect("no panic"))
    });
    for (before, report, path) in made {
        assert_eq!(verify(&path, &mut patient()).expect("verified"), report);
        let to = path.with_extension("restored");
        restore(&path, &to, &mut patient()).expect("restored");
        let restored = open_at(&to);
        let sum: u64 = (0..ACCOUNTS as u8)
            .map(|account| u64::from(get(&restored, &[b'a', account]).expect("there")[0]))
            .sum();
        assert_eq!(sum, ACCOUNTS * 100);
        let number =
            get(&restored, b"number").map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().expect("a number")));
        assert!(number >= before, "{before} were acknowledged, and {number} are there");
        assert_eq!(
            number,
            indexes.iter().filter(|index| **index <= report.index).count() as u64
        );
    }
    assert!(indexes.len() > 100, "{} commits went on beside it", indexes.len());
    assert!(
        !walk(dir.path())
            .expect("names")
            .1
            .iter()
            .any(|folder| folder.starts_with("staging-"))
    );
}

#[test]
fn files_that_are_not_the_stores_go_along() {
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = filled(&dir, 20);
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number / 7) as u8).collect();
    put(&dir.path().join("vectors/deep/one.hnsw"), &large);
    put(&dir.path().join("vectors/empty"), b"");
    put(&dir.path().join("unnamed"), b"stays");
    let extra = ["vectors/empty", "vectors/deep/one.hnsw", "vectors/empty"].map(PathBuf::from);
    let (backup, to) = (backups.path().join("backup"), backups.path().join("restored"));
    store.backup_to(&backup, &extra, &mut patient()).expect("a backup");
    restore(&backup, &to, &mut patient()).expect("restored");
    assert!(read(&to.join("vectors/deep/one.hnsw")) == large);
    assert_eq!(read(&to.join("vectors/empty")), b"");
    assert!(!to.join("unnamed").exists());
    assert!(content(&open_at(&to)) == content(&store));

    for wrong in [
        "data/CURRENT",
        "FORMAT",
        "LOCK",
        "log",
        "backup.json",
        "staging-1/x",
        "../x",
        "/etc/hosts",
        "a/../../x",
        "",
    ] {
        let error = store.backup_to(&backups.path().join("other"), &[wrong.into()], &mut patient());
        let error = error.expect_err(wrong);
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE, "{wrong}");
    }
    let error = store.backup_to(&backups.path().join("other"), &["not there".into()], &mut patient());
    assert_eq!(error.expect_err("missing").state(), SqlState::UNDEFINED_FILE);
    assert!(!backups.path().join("other").exists());
}

#[test]
fn damage_to_a_backup_is_found_and_named() {
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = filled(&dir, 300);
    put(&dir.path().join("notes/a.txt"), b"of the caller");
    put(&dir.path().join("notes/empty"), b"");
    let backup = backups.path().join("backup");
    let extra = ["notes/a.txt", "notes/empty"].map(PathBuf::from);
    let report = store.backup_to(&backup, &extra, &mut patient()).expect("a backup");
    let seed = 23;
    println!("seed {seed}");
    let mut rng = SeededRng::new(seed);
    let mut names: Vec<String> = walk(&backup).expect("names").0.into_iter().collect();
    assert_eq!(names.len() as u64, report.files + 1);
    names.sort();
    for name in &names {
        let path = backup.join(name);
        let bytes = read(&path);
        for _ in 0..if bytes.is_empty() { 0 } else { 12 } {
            let (at, bit) = (rng.below(bytes.len() as u64) as usize, rng.below(8));
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            put(&path, &flipped);
            is_refused_naming(&backup, name);
        }
        if !bytes.is_empty() {
            put(&path, &bytes[..rng.below(bytes.len() as u64) as usize]);
            is_refused_naming(&backup, name);
        }
        put(&path, &[&bytes[..], b"\0"].concat());
        is_refused_naming(&backup, name);
        OsFiles.remove(&path).expect("removed");
        is_refused_naming(&backup, name);
        put(&path, &bytes);
    }
    for unknown in ["letter.txt", "data/000099.sst", "notes/deep/x"] {
        put(&backup.join(unknown), b"Dear reader");
        is_refused_naming(&backup, unknown);
        OsFiles.remove(&backup.join(unknown)).expect("removed");
    }
    is_refused_naming(&backup, "notes/deep");
    OsFiles.remove_dir_all(&backup.join("notes/deep")).expect("removed");
    std::os::unix::fs::symlink("/etc/hosts", backup.join("link")).expect("linked");
    is_refused_naming(&backup, "link");
    OsFiles.remove(&backup.join("link")).expect("removed");
    assert_eq!(verify(&backup, &mut patient()).expect("whole again"), report);
}

/// A backup that faithfully copied a damaged block verified by its hashes, and was of no use.
#[test]
fn damage_to_the_stores_own_files_is_found_when_the_backup_is_made() {
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = filled(&dir, 2_000);
    store.flush().expect("flushes");
    let data = dir.path().join("data");
    let tables = OsFiles
        .list(&data)
        .expect("names")
        .into_iter()
        .filter(|name| name.ends_with(".sst"));
    let largest = tables.max_by_key(|name| read(&data.join(name)).len()).expect("a table");
    let file = OsFiles.open(&data.join(&largest), Open::Existing).expect("opens");
    let at = file.len().expect("a length") / 4;
    let mut byte = [0];
    file.read_at(&mut byte, at).expect("read");
    file.write_at(&[byte[0] ^ 1], at).expect("written");
    let backup = backups.path().join("backup");
    let error = back_up(&store, &backup).expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains(&largest), "{error}");
    is_refused_naming(&backup, MANIFEST_FILE);
}

#[test]
fn places_where_something_is_are_refused() {
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = filled(&dir, 20);
    let backup = backups.path().join("backup");
    back_up(&store, &backup).expect("a backup");
    let is_refused = |error: Error, why: &str| {
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE, "{error}");
        assert!(error.message().contains(why), "{error}");
        assert!(error.hint().is_some());
    };
    is_refused(back_up(&store, &backup).expect_err("over another"), "is not empty");
    is_refused(
        back_up(&store, &dir.path().join("inside/deep")).expect_err("inside"),
        "is in the data directory",
    );
    is_refused(
        restore(&backup, dir.path(), &mut patient()).expect_err("over a store"),
        "is not empty",
    );
    is_refused(
        restore(&backup, &backup, &mut patient()).expect_err("over itself"),
        "is not empty",
    );
    is_refused(
        restore(&backup, &backup.join("x"), &mut patient()).expect_err("into itself"),
        "is in the backup",
    );
    assert!(!backup.join("x").exists() && !dir.path().join("inside").exists());
    verify(&backup, &mut patient()).expect("as before");
    let empty = backups.path().join("empty");
    OsFiles.create_dir_all(&empty).expect("made");
    is_refused(verify(&empty, &mut patient()).expect_err("no manifest"), MANIFEST_FILE);
    restore(&backup, &empty, &mut patient()).expect("an empty directory will do");
    assert!(content(&open_at(&empty)) == content(&store));
    let error = verify(&backups.path().join("nowhere"), &mut patient()).expect_err("nothing there");
    assert_eq!(error.state(), SqlState::UNDEFINED_FILE);
    let memory = Store::in_memory(&small());
    let error = back_up(&memory, &backups.path().join("memory")).expect_err("in memory");
    assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED);
}

#[test]
fn who_cancels_gets_no_backup_and_no_store() {
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = filled(&dir, 20);
    put(&dir.path().join("large"), &vec![7; 5 << 20]);
    let extra = [PathBuf::from("large")];
    let late = |progress: Progress| match progress.bytes * 2 > progress.of {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let half = backups.path().join("half");
    let error = store.backup_to(&half, &extra, &mut { late }).expect_err("cancelled");
    assert_eq!(error.state(), SqlState::QUERY_CANCELED);
    is_refused_naming(&half, MANIFEST_FILE);
    let error = back_up(&store, &half).expect_err("half of another is in it");
    assert!(error.hint().expect("a hint").contains("remove it"), "{error}");
    let whole = backups.path().join("whole");
    store.backup_to(&whole, &extra, &mut patient()).expect("a backup");
    assert_eq!(
        verify(&whole, &mut { late }).expect_err("cancelled").state(),
        SqlState::QUERY_CANCELED
    );
    let to = backups.path().join("restored");
    assert_eq!(
        restore(&whole, &to, &mut { late }).expect_err("cancelled").state(),
        SqlState::QUERY_CANCELED
    );
    opens_as_no_store(&to);
    let folders = walk(dir.path()).expect("names").1;
    assert!(
        !folders
            .iter()
            .any(|folder| folder.to_string_lossy().starts_with("staging-"))
    );
}

/// Files whose power is cut at one of the calls.
#[derive(Debug)]
struct CutAt {
    files: Arc<PowerCutFiles>,
    calls_left: Arc<AtomicI64>,
}

#[derive(Debug)]
struct CutFile {
    file: Box<dyn File>,
    files: Arc<PowerCutFiles>,
    calls_left: Arc<AtomicI64>,
}

fn count(files: &PowerCutFiles, calls_left: &AtomicI64) {
    if calls_left.fetch_sub(1, Ordering::SeqCst) == 0 {
        files.cut();
    }
}

impl Files for CutAt {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        count(&self.files, &self.calls_left);
        self.files.create_dir_all(dir)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        count(&self.files, &self.calls_left);
        Ok(Box::new(CutFile {
            file: self.files.open(path, how)?,
            files: self.files.clone(),
            calls_left: self.calls_left.clone(),
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.files.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        count(&self.files, &self.calls_left);
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        count(&self.files, &self.calls_left);
        self.files.sync_dir(dir)
    }
}

impl File for CutFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        count(&self.files, &self.calls_left);
        self.file.write_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        count(&self.files, &self.calls_left);
        self.file.sync_data()
    }
}

/// Cuts the power at each call in turn; `copy` is the work, and `check` says of the folder whether the copy is there, after it was done or not.
fn cut_everywhere(copy: impl Fn(Arc<dyn Files>, &Path) -> Result<BackupReport>, check: impl Fn(&Path, bool) -> bool) {
    let (mut cut, mut done) = (0, 0);
    for calls in 0.. {
        let holder = tempfile::tempdir().expect("a directory");
        let path = holder.path().join("copy");
        let power = Arc::new(PowerCutFiles::new(calls));
        let calls_left = Arc::new(AtomicI64::new(calls as i64));
        let files = CutAt {
            files: power.clone(),
            calls_left: calls_left.clone(),
        };
        let answer = copy(Arc::new(files), &path);
        power.cut();
        let is_there = check(&path, answer.is_ok());
        assert!(
            is_there || answer.is_err(),
            "call {calls}: what was answered for is gone"
        );
        cut += u32::from(answer.is_err());
        done += u32::from(answer.is_ok());
        // A last one that was not cut at all.
        if calls_left.load(Ordering::SeqCst) >= 0 {
            break;
        }
    }
    assert!(cut > 20, "{cut} calls were cut");
    assert_eq!(done, 1);
}

#[test]
fn a_power_cut_at_any_call_leaves_a_whole_backup_or_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = filled(&dir, 50);
    let wanted = content(&store);
    let copy = |files: Arc<dyn Files>, path: &Path| store.backup_through(&*files, path, &[], &mut patient());
    cut_everywhere(copy, |path, is_done| {
        opens_as_no_store(path);
        if verify(path, &mut patient()).is_err() {
            return false;
        }
        if is_done {
            let to = path.with_extension("restored");
            restore(path, &to, &mut patient()).expect("restored");
            assert!(content(&open_at(&to)) == wanted);
        }
        true
    });
}

#[test]
fn a_power_cut_at_any_call_leaves_a_whole_store_or_nothing_that_opens() {
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = filled(&dir, 50);
    put(&dir.path().join("extra"), b"of the caller");
    let wanted = content(&store);
    let backup = backups.path().join("backup");
    store
        .backup_to(&backup, &["extra".into()], &mut patient())
        .expect("a backup");
    let copy = |files: Arc<dyn Files>, path: &Path| restore_through(&files, &backup, path, &mut patient());
    cut_everywhere(copy, |path, _| {
        if !path.join("FORMAT").exists() {
            opens_as_no_store(path);
            return false;
        }
        assert!(content(&open_at(path)) == wanted);
        assert_eq!(read(&path.join("extra")), b"of the caller");
        true
    });
}

#[test]
fn the_power_cut_tests_notice_a_skipped_sync() {
    let (dir, backups) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let store = filled(&dir, 50);
    let backup = backups.path().join("backup");
    back_up(&store, &backup).expect("a backup");
    let skipping = || {
        let power = Arc::new(PowerCutFiles::new(1));
        (power.clone(), Arc::new(SkipSyncFiles(power)) as Arc<dyn Files>)
    };
    let (power, files) = skipping();
    let path = backups.path().join("lost");
    let answer = store.backup_through(&*files, &path, &[], &mut patient());
    power.cut();
    assert!(answer.is_err() || verify(&path, &mut patient()).is_err());
    let (power, files) = skipping();
    let path = backups.path().join("lost store");
    let answer = restore_through(&files, &backup, &path, &mut patient());
    power.cut();
    assert!(answer.is_err() || Store::open(&path, small()).is_err());
}

/// A killed backup left its links in the data directory, and with them every file that was compacted since.
#[test]
fn what_a_killed_backup_left_goes_when_the_store_is_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = filled(&dir, 20);
    store.close().expect("closes");
    put(&dir.path().join("staging-1/000007.sst"), b"a link");
    put(&dir.path().join("staging-2.tmp/CURRENT"), b"half a checkpoint");
    put(&dir.path().join("clones/a"), b"of somebody else");
    let store = open(&dir);
    let names: Vec<_> = OsFiles.entries(dir.path()).expect("names");
    assert!(!names.iter().any(|(name, _)| name.starts_with("staging-")), "{names:?}");
    assert!(names.contains(&("clones".to_owned(), EntryKind::Directory)));
    assert_eq!(store.snapshot().read_point().expect("a read point").index, LogIndex(20));
}
