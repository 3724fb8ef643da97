//! Models come and go; damage, power cuts and files of others keep nothing from opening.

#![allow(
    clippy::disallowed_methods,
    reason = "damages files of the operating system as a test must"
)]

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use aion_base::files::{File, OsFiles, PowerCutFiles, SkipSyncFiles};

use super::*;
use crate::conformance::{Golden, check_predictor};
use crate::predictor::Predictor;
use crate::tests::{features, manifest, model_file};

const NAME: &str = "cardinality";

fn open(directory: &Path) -> Registry {
    Registry::open(Arc::new(OsFiles), directory).expect("it opens whatever lies there")
}

fn stages(registry: &Registry) -> Vec<(u64, Stage)> {
    let of_name = registry.list().iter().filter(|model| model.name == NAME);
    of_name.map(|model| (model.version, model.stage)).collect()
}

#[test]
fn a_model_goes_its_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("models");
    let mut registry = open(&path);
    assert!(registry.list().is_empty() && !path.exists(), "opening writes nothing");
    for version in 1..=3 {
        let added = registry.add(manifest(NAME), &model_file(version)).unwrap();
        assert_eq!(
            (added.version, added.bytes),
            (version, model_file(version).len() as u64)
        );
    }
    registry.add(manifest("other"), &model_file(9)).unwrap();
    registry.set_stage(NAME, 1, Stage::Shadow).unwrap();
    registry.set_stage(NAME, 1, Stage::Candidate).unwrap();
    registry.set_stage(NAME, 1, Stage::Live).unwrap();
    registry.set_stage(NAME, 2, Stage::Shadow).unwrap();
    registry.set_stage(NAME, 3, Stage::Shadow).unwrap();
    let expected = [(1, Stage::Live), (2, Stage::Retired), (3, Stage::Shadow)];
    assert_eq!(stages(&registry), expected);
    registry
        .measure(NAME, 3, |model| {
            model.q_error_p50 = Some(1.5);
            model.stage = Stage::Live;
            model.version = 99;
        })
        .unwrap();
    let mut registry = open(&path);
    assert_eq!(stages(&registry), expected);
    assert_eq!(registry.shadow(NAME).unwrap().q_error_p50, Some(1.5));
    registry.set_stage(NAME, 3, Stage::Live).unwrap();
    assert_eq!(registry.live(NAME).unwrap().version, 3);
    assert_eq!(registry.shadow(NAME), None);
    // Back again.
    registry.set_stage(NAME, 1, Stage::Live).unwrap();
    assert_eq!(
        stages(&registry),
        [(1, Stage::Live), (2, Stage::Retired), (3, Stage::Retired)]
    );
    let model = registry.load(NAME, 1).unwrap();
    assert_eq!(model.bytes, model_file(1));
    assert_eq!(model.facts.mlp.predict(&[0.0; 4]).unwrap().len(), 3);
    assert_eq!(registry.live("other"), None);
    assert_eq!(registry.load(NAME, 7).unwrap_err().state(), SqlState::UNDEFINED_OBJECT);
}

#[test]
fn what_is_not_right_is_not_added() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = open(directory.path());
    let mut wrong = manifest(NAME);
    wrong.features = features(5);
    assert!(registry.add(wrong, &model_file(1)).is_err());
    assert!(registry.add(manifest("../up"), &model_file(1)).is_err());
    assert!(registry.add(manifest(NAME), b"no model").is_err());
    let mut live = manifest(NAME);
    live.stage = Stage::Live;
    assert!(registry.add(live, &model_file(1)).is_err());
    assert!(registry.list().is_empty());
    assert!(open(directory.path()).list().is_empty());
    for _ in 0..ACTIVE_MAX {
        registry.add(manifest(NAME), &model_file(1)).unwrap();
    }
    let error = registry.add(manifest(NAME), &model_file(1)).unwrap_err();
    assert_eq!(
        (error.kind(), error.state()),
        (ErrorKind::Exhausted, SqlState::PROGRAM_LIMIT_EXCEEDED)
    );
}

#[test]
fn of_what_is_over_the_last_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = open(directory.path());
    let count = KEPT_MAX as u64 + 5;
    for version in 1..=count {
        registry.add(manifest(NAME), &model_file(version)).unwrap();
        registry.set_stage(NAME, version, Stage::Live).unwrap();
    }
    let expected: Vec<u64> = (count - KEPT_MAX as u64..=count).collect();
    let versions = |registry: &Registry| registry.list().iter().map(|model| model.version).collect::<Vec<_>>();
    assert_eq!(versions(&registry), expected);
    assert_eq!(versions(&open(directory.path())), expected);
    assert_eq!(OsFiles.list(directory.path()).unwrap().len(), 2 * expected.len());
    assert_eq!(registry.add(manifest(NAME), &model_file(0)).unwrap().version, count + 1);
}

#[test]
fn a_failed_model_stays_out_of_use() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = open(directory.path());
    registry.add(manifest(NAME), &model_file(1)).unwrap();
    registry.set_stage(NAME, 1, Stage::Live).unwrap();
    registry.fail(NAME, 1, "its plans were slower").unwrap();
    for mut registry in [registry, open(directory.path())] {
        assert_eq!(registry.live(NAME), None);
        assert_eq!(
            registry.get(NAME, 1).unwrap().last_error.as_deref(),
            Some("its plans were slower")
        );
        let error = registry.set_stage(NAME, 1, Stage::Live).unwrap_err();
        assert_eq!(error.state(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert!(registry.load(NAME, 1).unwrap_err().message().contains("slower"));
    }
}

/// Each damage is done to a live model: the registry opens, the model is listed with what is wrong, no longer live, and its
/// neighbour loads.
#[test]
fn damage_is_listed_and_keeps_nothing_from_opening() {
    type Damage = (&'static str, fn(&Path, &Path));
    let damages: [Damage; 9] = [
        ("a bit of the model", |onnx, _| {
            let mut bytes = std::fs::read(onnx).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(onnx, bytes).unwrap();
        }),
        ("the model cut", |onnx, _| {
            let bytes = std::fs::read(onnx).unwrap();
            std::fs::write(onnx, &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("the model of another", |onnx, _| {
            std::fs::write(onnx, model_file(77)).unwrap()
        }),
        ("the model gone", |onnx, _| std::fs::remove_file(onnx).unwrap()),
        ("the model a directory", |onnx, _| {
            std::fs::remove_file(onnx).unwrap();
            std::fs::create_dir_all(onnx).unwrap();
        }),
        ("the manifest cut", |_, json| {
            let bytes = std::fs::read(json).unwrap();
            std::fs::write(json, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("the manifest empty", |_, json| std::fs::write(json, "").unwrap()),
        ("the manifest gone", |_, json| std::fs::remove_file(json).unwrap()),
        ("the manifest of another", |_, json| {
            let text = std::fs::read_to_string(json).unwrap();
            std::fs::write(json, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = open(directory.path());
        registry.add(manifest(NAME), &model_file(1)).unwrap();
        registry.set_stage(NAME, 1, Stage::Live).unwrap();
        registry.add(manifest(NAME), &model_file(2)).unwrap();
        registry.set_stage(NAME, 2, Stage::Shadow).unwrap();
        let path = |part| registry.path(NAME, 1, part);
        damage(&path(Part::Model), &path(Part::Manifest));
        for round in 0..2 {
            let mut registry = open(directory.path());
            assert!(registry.load(NAME, 1).is_err(), "{name}, opened {round} times before");
            let listed = registry.get(NAME, 1).expect(name);
            assert_eq!(listed.stage, Stage::Failed, "{name}");
            assert!(
                listed.last_error.as_ref().is_some_and(|error| !error.is_empty()),
                "{name}"
            );
            assert_eq!(registry.live(NAME), None, "{name}");
            assert!(registry.load(NAME, 2).is_ok(), "{name}");
        }
        // The next model is not given the version of the damaged one, and takes its place.
        let mut registry = open(directory.path());
        let added = registry.add(manifest(NAME), &model_file(3)).unwrap();
        assert_eq!(added.version, 3, "{name}");
        registry.set_stage(NAME, 3, Stage::Live).unwrap();
        assert!(registry.fail(NAME, 1, "again").is_ok(), "{name}");
    }
}

#[test]
fn files_of_others_and_leftovers_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = open(directory.path());
    registry.add(manifest(NAME), &model_file(1)).unwrap();
    let others = [
        "README.md",
        "cardinality-01.json",
        "cardinality-0.onnx",
        "-1.onnx",
        "Big-1.json",
        "x.new",
        "cardinality-1.onnx.bak",
    ];
    let leftovers = ["cardinality-1.json.new", "cardinality-2.onnx.new"];
    for name in others.iter().chain(&leftovers) {
        std::fs::write(directory.path().join(name), "?").unwrap();
    }
    let mut registry = open(directory.path());
    assert_eq!(registry.list().len(), 1);
    let left = OsFiles.list(directory.path()).unwrap();
    assert!(
        others.iter().all(|name| left.iter().any(|left| left == name)),
        "{left:?}"
    );
    assert!(
        !leftovers.iter().any(|name| left.iter().any(|left| left == name)),
        "{left:?}"
    );
    // One that is left while it is open is in nobody's way.
    std::fs::write(directory.path().join("cardinality-2.onnx.new"), "?").unwrap();
    assert_eq!(registry.add(manifest(NAME), &model_file(2)).unwrap().version, 2);
}

#[test]
fn of_two_that_claim_to_be_live_the_newer_one_is_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = open(directory.path());
    for version in 1..=3 {
        registry.add(manifest(NAME), &model_file(version)).unwrap();
        let path = registry.path(NAME, version, Part::Manifest);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"training\"", "\"live\"")).unwrap();
    }
    let mut registry = open(directory.path());
    assert_eq!(
        stages(&registry),
        [(1, Stage::Retired), (2, Stage::Retired), (3, Stage::Live)]
    );
    registry.set_stage(NAME, 3, Stage::Retired).unwrap();
    assert_eq!(
        open(directory.path()).live(NAME),
        None,
        "an older one does not come back"
    );
}

/// The files that `models/training/make_fixture.py` wrote: what Python writes is what is read here, byte for byte in its form.
#[test]
fn a_model_from_python_is_taken_and_predicts_what_python_predicts() {
    let artifacts = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../artifacts"));
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "synthetic-1.onnx",
        "synthetic-1.json",
        "synthetic-1.golden.json",
        "README.md",
    ] {
        std::fs::copy(artifacts.join(name), directory.path().join(name)).unwrap();
    }
    let mut registry = open(directory.path());
    assert_eq!(registry.list().len(), 1);
    assert_eq!(registry.get("synthetic", 1).unwrap().last_error, None);
    registry.set_stage("synthetic", 1, Stage::Shadow).unwrap();
    let model = registry.load("synthetic", 1).unwrap();
    assert_eq!((model.facts.features.count, model.manifest.test_rows), (8, 198));
    assert_eq!(model.facts.metadata[0].0, "trained_by");
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(artifacts.join("synthetic-1.golden.json")).unwrap()).unwrap();
    let numbers = |key: &str| {
        let numbers = golden[key].as_array().unwrap().iter();
        numbers
            .map(|number| number.as_f64().unwrap() as f32)
            .collect::<Vec<f32>>()
    };
    let golden = Golden {
        rows: numbers("rows"),
        expected: numbers("expected"),
    };
    assert_eq!(golden.rows.len(), 32 * 8);
    assert!(model.manifest.has_seen(&golden.rows[..8]));
    check_predictor(&model.facts.mlp, &golden).unwrap();
    // Added again as the next version, it is the same file.
    let again = registry
        .add(
            Manifest {
                stage: Stage::Training,
                ..model.manifest.clone()
            },
            &model.bytes,
        )
        .unwrap();
    assert_eq!((again.version, again.sha256), (2, model.manifest.sha256));
}

/// Files that fail: at the call after so many, or for one path.
#[derive(Debug)]
struct FailingFiles {
    inner: Arc<dyn Files>,
    calls_left: Arc<AtomicI64>,
    unreadable: Mutex<Option<String>>,
}

#[derive(Debug)]
struct FailingFile(Box<dyn File>, Arc<AtomicI64>);

fn count(left: &AtomicI64) -> io::Result<()> {
    match left.fetch_sub(1, Ordering::Relaxed) {
        ..=0 => Err(io::Error::other("the power is cut")),
        _ => Ok(()),
    }
}

impl FailingFiles {
    fn new(inner: Arc<dyn Files>, calls: i64) -> Arc<Self> {
        Arc::new(Self {
            inner,
            calls_left: Arc::new(AtomicI64::new(calls)),
            unreadable: Mutex::new(None),
        })
    }
}

impl Files for FailingFiles {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        count(&self.calls_left)?;
        self.inner.create_dir_all(dir)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        count(&self.calls_left)?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if self.unreadable.lock().unwrap().as_deref() == Some(name) {
            return Err(io::Error::other("a sector cannot be read"));
        }
        Ok(Box::new(FailingFile(
            self.inner.open(path, how)?,
            self.calls_left.clone(),
        )))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        count(&self.calls_left)?;
        self.inner.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        count(&self.calls_left)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        count(&self.calls_left)?;
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        count(&self.calls_left)?;
        self.inner.sync_dir(dir)
    }
}

impl File for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        count(&self.1)?;
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        count(&self.1)?;
        self.0.write_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        count(&self.1)?;
        self.0.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        count(&self.1)?;
        self.0.sync_data()
    }
}

/// Adds version 2 and makes it live in the place of version 1, with the power cut after `calls` calls. Returns whether it was done,
/// and how many things that a user was told did not hold afterwards.
fn cut_after(calls: i64, forget_syncs: bool) -> (bool, usize) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("models");
    let mut before = open(&path);
    before.add(manifest(NAME), &model_file(1)).unwrap();
    before.set_stage(NAME, 1, Stage::Live).unwrap();
    let cut = Arc::new(PowerCutFiles::new(calls as u64));
    let inner: Arc<dyn Files> = if forget_syncs {
        Arc::new(SkipSyncFiles(cut.clone()))
    } else {
        cut.clone()
    };
    let mut registry = Registry::open(FailingFiles::new(inner.clone(), i64::MAX), &path).unwrap();
    registry.files = FailingFiles::new(inner, calls);
    let added = registry.add(manifest(NAME), &model_file(2)).is_ok();
    let is_live = added && registry.set_stage(NAME, 2, Stage::Live).is_ok();
    cut.cut();
    // As the machine that comes up does.
    drop(PowerCutFiles::new(0).list(&path).unwrap());
    let mut after = open(&path);
    let mut broken = 0;
    broken += usize::from(added && after.get(NAME, 2).is_none_or(|model| model.bytes == 0));
    broken += usize::from(is_live && after.live(NAME).map(|model| model.version) != Some(2));
    let live: Vec<u64> = after
        .list()
        .iter()
        .filter(|model| model.stage == Stage::Live)
        .map(|model| model.version)
        .collect();
    broken += usize::from(live.len() > 1);
    broken += usize::from(!added && live != [1]);
    for version in live {
        broken += usize::from(after.load(NAME, version).is_err());
    }
    broken += usize::from(after.get(NAME, 1).is_none_or(|model| model.stage == Stage::Failed));
    (is_live, broken)
}

#[test]
fn a_power_cut_at_any_call_leaves_the_state_before_or_after() {
    let mut calls = 0;
    loop {
        let (is_done, broken) = cut_after(calls, false);
        assert_eq!(broken, 0, "cut after {calls} calls");
        if is_done {
            break;
        }
        calls += 1;
        assert!(calls < 200, "it is never done");
    }
    assert!(calls > 15, "{calls} calls: the cuts were not where files are written");
    // The test sees what it looks for: without syncs, what was told to be done is gone.
    let (is_done, broken) = cut_after(calls, true);
    assert!(is_done && broken > 0);
}

#[test]
fn what_cannot_be_read_for_now_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = open(directory.path());
    for version in 1..=2 {
        registry.add(manifest(NAME), &model_file(version)).unwrap();
    }
    registry.set_stage(NAME, 1, Stage::Live).unwrap();
    let files = FailingFiles::new(Arc::new(OsFiles), i64::MAX);
    for unreadable in ["cardinality-1.json", "cardinality-1.onnx"] {
        *files.unreadable.lock().unwrap() = Some(unreadable.to_owned());
        let mut registry = Registry::open(files.clone(), directory.path()).unwrap();
        assert_eq!(registry.get(NAME, 1).unwrap().stage, Stage::Failed);
        for _ in 0..KEPT_MAX + 2 {
            let version = registry.add(manifest(NAME), &model_file(5)).unwrap().version;
            registry.set_stage(NAME, version, Stage::Retired).unwrap();
        }
        assert_eq!(open(directory.path()).live(NAME).unwrap().version, 1);
    }
    // While it is open: the model stays, with a note.
    *files.unreadable.lock().unwrap() = None;
    let mut registry = Registry::open(files.clone(), directory.path()).unwrap();
    *files.unreadable.lock().unwrap() = Some("cardinality-1.onnx".to_owned());
    assert_eq!(registry.load(NAME, 1).unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(
        registry
            .live(NAME)
            .unwrap()
            .last_error
            .as_ref()
            .unwrap()
            .contains("sector")
    );
    *files.unreadable.lock().unwrap() = None;
    registry.load(NAME, 1).unwrap();
    assert_eq!(registry.live(NAME).unwrap().last_error, None);
}
