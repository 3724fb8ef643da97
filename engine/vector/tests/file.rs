//! An index in a file: the same answers, the state of the position, and every kind of damage refused.

#![allow(clippy::unwrap_used, reason = "test code")]

mod reference;

use std::path::{Path, PathBuf};

use aion_base::files::{Files, Open, OsFiles, PowerCutFiles, SkipSyncFiles, read_all};
use aion_base::id::LogIndex;
use aion_base::rng::SeededRng;
use aion_base::{Error, ErrorKind, SqlState};
use aion_vector::{HnswOptions, Metric, VectorIndex};
use reference::{assert_same, clustered, key, load, random_vector, seeded};

const DIMENSIONS: usize = 5;

fn sample(metric: Metric, rows: usize) -> VectorIndex {
    let mut rng = seeded(21);
    let index = VectorIndex::new(DIMENSIONS, metric, HnswOptions::default()).unwrap();
    load(&index, &clustered(&mut rng, rows, DIMENSIONS), LogIndex(3));
    for row in 0..rows / 10 {
        let vector = random_vector(&mut rng, DIMENSIONS);
        index.put(&key(row * 7 % rows), &vector, LogIndex(4)).unwrap();
        index.remove(&key(row * 11 % rows), LogIndex(4)).unwrap();
    }
    index.put(b"far", &[3e38, -3e38, 0.0, 0.0, 0.0], LogIndex(4)).unwrap();
    index.put(b"zero", &[0.0; DIMENSIONS], LogIndex(4)).unwrap();
    index.advance(LogIndex(4));
    index
}

fn restore(files: &dyn Files, path: &Path, metric: Metric) -> aion_base::Result<VectorIndex> {
    VectorIndex::restore(files, path, DIMENSIONS, metric, HnswOptions::default())
}

fn assert_same_answers(one: &VectorIndex, other: &VectorIndex) {
    let mut rng = SeededRng::new(8);
    for _ in 0..50 {
        let query = random_vector(&mut rng, DIMENSIONS);
        for read_point in [2, 3, 4].map(LogIndex) {
            let graph = |index: &VectorIndex| index.nearest(&query, 10, read_point).unwrap();
            assert_same(&graph(one), &graph(other), read_point);
            let scan = |index: &VectorIndex| index.nearest_exact(&query, 10, read_point).unwrap();
            assert_same(&scan(one), &scan(other), read_point);
        }
    }
}

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    (directory, path)
}

fn assert_refused(error: &Error, path: &Path, what: &str) {
    assert_eq!(
        (error.kind(), error.state()),
        (ErrorKind::Corrupt, SqlState::INDEX_CORRUPTED),
        "{error}"
    );
    assert!(error.message().contains(&path.display().to_string()), "{error}");
    assert!(error.message().contains(what), "{error}");
}

#[test]
fn a_restored_index_answers_the_same_and_goes_on() {
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let (_directory, path) = directory();
        let index = sample(metric, 3_000);
        index.save(&OsFiles, &path).unwrap();
        let restored = restore(&OsFiles, &path, metric).unwrap();
        assert_eq!(restored.position(), LogIndex(4));
        let (before, after) = (index.stats(), restored.stats());
        assert_eq!(
            (after.rows, after.dead, after.nodes, after.strays),
            (before.rows, before.dead, before.nodes, before.strays)
        );
        assert_same_answers(&index, &restored);
        // Both take the same changes: replays, new rows, overwrites and growth.
        let mut rng = SeededRng::new(9);
        for index in [&index, &restored] {
            index.put(&key(1), &[9.0; DIMENSIONS], LogIndex(4)).unwrap();
        }
        let more = clustered(&mut rng, 3_000, DIMENSIONS);
        for index in [&index, &restored] {
            let rows = more
                .iter()
                .enumerate()
                .map(|(row, vector)| Ok((key(row + 1_500), vector)));
            index.load(rows, LogIndex(5), |_| Ok(())).unwrap();
            index.advance(LogIndex(5));
            index.forget(LogIndex(4));
            assert_eq!(index.nearest(&more[0], 10, LogIndex(5)).unwrap().len(), 10);
        }
        let query = random_vector(&mut rng, DIMENSIONS);
        let exact = |index: &VectorIndex| index.nearest_exact(&query, 5_000, LogIndex(5)).unwrap();
        assert_same(&exact(&restored), &exact(&index), "after more changes");
        // Equal vectors still find their node.
        assert_eq!(restored.stats().nodes, index.stats().nodes);
        restored.save(&OsFiles, &path).unwrap();
        assert_eq!(restore(&OsFiles, &path, metric).unwrap().len(), index.len());
    }
}

#[test]
fn an_empty_index_is_saved_too() {
    let (_directory, path) = directory();
    let index = VectorIndex::new(DIMENSIONS, Metric::L2, HnswOptions::default()).unwrap();
    index.advance(LogIndex(17));
    index.save(&OsFiles, &path).unwrap();
    let restored = restore(&OsFiles, &path, Metric::L2).unwrap();
    assert_eq!((restored.len(), restored.position()), (0, LogIndex(17)));
    restored.put(b"a", &[1.0; DIMENSIONS], LogIndex(18)).unwrap();
    assert_eq!(restored.nearest(&[0.0; DIMENSIONS], 1, LogIndex(18)).unwrap().len(), 1);
}

/// A commit of two rows, saved between the two: what is above the position is not in the file, or the replay of the
/// commit would find half of it done.
#[test]
fn a_half_put_commit_is_left_out() {
    let (_directory, path) = directory();
    let index = VectorIndex::new(1, Metric::L2, HnswOptions::default()).unwrap();
    index.put(b"a", &[1.0], LogIndex(1)).unwrap();
    index.put(b"b", &[2.0], LogIndex(1)).unwrap();
    index.advance(LogIndex(1));
    index.put(b"a", &[7.0], LogIndex(2)).unwrap();
    index.remove(b"b", LogIndex(2)).unwrap();
    index.save(&OsFiles, &path).unwrap();
    let restored = VectorIndex::restore(&OsFiles, &path, 1, Metric::L2, HnswOptions::default()).unwrap();
    let found = |read_point: u64| -> Vec<_> {
        let hits = restored.nearest(&[0.0], 9, LogIndex(read_point)).unwrap();
        hits.iter().map(|hit| (hit.key.to_vec(), hit.distance)).collect()
    };
    assert_eq!(found(2), [(b"a".to_vec(), 1.0), (b"b".to_vec(), 2.0)]);
    restored.put(b"a", &[7.0], LogIndex(2)).unwrap();
    restored.remove(b"b", LogIndex(2)).unwrap();
    assert_eq!(found(1), [(b"a".to_vec(), 1.0), (b"b".to_vec(), 2.0)]);
    assert_eq!(found(2), [(b"a".to_vec(), 7.0)]);
}

#[test]
fn another_index_and_no_file_are_refused() {
    let (_directory, path) = directory();
    let missing = restore(&OsFiles, &path, Metric::L2).unwrap_err();
    assert_eq!(
        (missing.kind(), missing.state()),
        (ErrorKind::NotFound, SqlState::UNDEFINED_FILE)
    );
    sample(Metric::L2, 100).save(&OsFiles, &path).unwrap();
    assert_refused(
        &restore(&OsFiles, &path, Metric::Cosine).unwrap_err(),
        &path,
        "its metric is 1, expected was 2",
    );
    let options = HnswOptions {
        connectivity: 8,
        ..HnswOptions::default()
    };
    let other = VectorIndex::restore(&OsFiles, &path, DIMENSIONS, Metric::L2, options).unwrap_err();
    assert_refused(&other, &path, "its m is 16, expected was 8");
    let other = VectorIndex::restore(&OsFiles, &path, 6, Metric::L2, HnswOptions::default()).unwrap_err();
    assert_refused(&other, &path, "its dimensions is 5");
}

fn overwrite(path: &Path, bytes: &[u8]) {
    OsFiles.remove(path).unwrap();
    OsFiles.open(path, Open::New).unwrap().write_at(bytes, 0).unwrap();
}

/// Each byte of the header and of the file's end, and five hundred places between: flipped bits, cut files, bytes too
/// many. usearch's loader would follow damaged lengths and links; it must never see one.
#[test]
fn damage_is_refused() {
    let (_directory, path) = directory();
    let index = sample(Metric::L2, 300);
    index.save(&OsFiles, &path).unwrap();
    let good = read_all(&*OsFiles.open(&path, Open::Existing).unwrap()).unwrap();
    let mut rng = seeded(31);
    let mut offsets: Vec<usize> = (0..100).chain(good.len() - 100..good.len()).collect();
    offsets.extend((0..500).map(|_| rng.below(good.len() as u64) as usize));
    let file = OsFiles.open(&path, Open::Existing).unwrap();
    for offset in offsets {
        let bit = 1u8 << rng.below(8);
        file.write_at(&[good[offset] ^ bit], offset as u64).unwrap();
        let error = restore(&OsFiles, &path, Metric::L2).expect_err("a damaged file");
        assert_refused(&error, &path, "");
        file.write_at(&good[offset..=offset], offset as u64).unwrap();
    }
    for length in (0..100).chain((0..100).map(|_| rng.below(good.len() as u64) as usize)) {
        overwrite(&path, &good[..length]);
        assert_refused(&restore(&OsFiles, &path, Metric::L2).unwrap_err(), &path, "");
    }
    overwrite(&path, &[good.as_slice(), &[0]].concat());
    assert_refused(
        &restore(&OsFiles, &path, Metric::L2).unwrap_err(),
        &path,
        "its header says otherwise",
    );
    overwrite(&path, b"not an index");
    assert_refused(
        &restore(&OsFiles, &path, Metric::L2).unwrap_err(),
        &path,
        "no such file",
    );
    overwrite(&path, &good);
    assert_same_answers(&index, &restore(&OsFiles, &path, Metric::L2).unwrap());
}

/// A save is durable when it returns.
#[test]
fn a_saved_index_survives_a_power_cut() {
    let survives = |wrap: fn(std::sync::Arc<PowerCutFiles>) -> std::sync::Arc<dyn Files>| {
        let (_directory, path) = directory();
        let cut = std::sync::Arc::new(PowerCutFiles::new(5));
        let files = wrap(cut.clone());
        sample(Metric::L2, 200).save(&*files, &path).unwrap();
        sample(Metric::L2, 300).save(&*files, &path).unwrap();
        cut.cut();
        restore(&OsFiles, &path, Metric::L2).map(|index| index.len())
    };
    assert_eq!(survives(|files| files).unwrap(), sample(Metric::L2, 300).len());
    // The test can fail: without syncs the file is not whole.
    assert!(survives(|files| std::sync::Arc::new(SkipSyncFiles(files))).is_err());
}
